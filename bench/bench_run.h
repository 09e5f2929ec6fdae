/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_run.h: a run: engines take turns, slice by slice, phase by phase, within the time that the
 * run may take: what does not fit is made smaller, and the report says how large it was. One
 * thread. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench_child.h"
#include "bench_result.h"
#include "bench_tally.h"

enum { BENCH_ENGINES_MAX = 8 };

struct bench_plan {
    const char *directory; /* an empty one */
    uint64_t seed;
    double seconds; /* that the whole may take */
    unsigned rounds;
    unsigned phases;    /* 1 << BENCH_PHASE_… */
    unsigned engines;   /* 1 << index in bench_engines */
    uint64_t bytes_max; /* of blocks that are imported, an engine */
    bool quick;         /* small slices: does it run, and are the values right */
    bool drop_caches;   /* the machine's whole page cache before cold reads, not only our files' */
    FILE *progress;     /* NULL: say nothing */
};

/* What the phases share. */
struct bench_run {
    const struct bench_plan *plan;
    json_t *result;
    struct bench_blocks *blocks;
    struct bench_blocks *small_blocks;
    struct bench_child children[BENCH_ENGINES_MAX];
    struct bench_child small[BENCH_ENGINES_MAX]; /* of stores of small blocks */
    char directories[2][BENCH_ENGINES_MAX][512];
    double commit_rate;   /* Stoa's, as far as is known */
    enum bench_mode mode; /* how the stores are open; */
    bool open;            /* whether they are */
    bool all_dropped;
    struct bench_fault *fault;
};

/* RESULT gets all but what bench_result_create has. -1 with FAULT filled. */
int bench_run(const struct bench_plan *plan, json_t *result, struct bench_fault *fault);

/* ---- for the phases ---- */

/* The phases. Each leaves the stores as bench_run_open found or made them. */
int bench_phase_import(struct bench_run *run);
int bench_phase_commit(struct bench_run *run);
int bench_phase_maintenance(struct bench_run *run);
int bench_phase_hot(struct bench_run *run);
int bench_phase_mixed(struct bench_run *run);
int bench_phase_cold(struct bench_run *run);
int bench_phase_restart(struct bench_run *run);
int bench_phase_growth(struct bench_run *run);

/* Whether the engine takes part. */
bool bench_run_uses(const struct bench_run *run, unsigned engine, enum bench_phase phase);

/* Whose turn it is: another one begins each round. */
unsigned bench_run_turn(unsigned round, unsigned index);

bool bench_run_is_stoa(unsigned engine);

/* Seconds that a phase may take. */
double bench_run_time(const struct bench_run *run, enum bench_phase phase);

/* How many peers and limits beside Stoa a phase has. */
unsigned bench_run_peers(const struct bench_run *run, enum bench_phase phase);

void bench_run_say(const struct bench_run *run, enum bench_phase phase, const char *engine);

/* Open all stores of blocks that PHASE needs, if they are not open in MODE. */
int bench_run_open(struct bench_run *run, enum bench_mode mode);

/* Let CHILD do ORDER, with the device quiet before and after; into TALLY where that is not NULL. */
int bench_run_order(struct bench_run *run, struct bench_child *child,
                    const struct bench_order *order, struct bench_tally *tally);

/* Make COUNT blocks and let all that take part in PHASE store them. */
int bench_run_load(struct bench_run *run, enum bench_phase phase, size_t count);

/* Add TALLY's round to the result, and empty it. */
void bench_run_add(struct bench_run *run, enum bench_phase phase, const char *name, unsigned engine,
                   struct bench_tally *tally);

#endif
