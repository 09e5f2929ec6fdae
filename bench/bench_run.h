/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_run.h: the run itself: engines take turns, slice by slice, phase by phase. One thread. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench_engine.h"
#include "bench_report.h"

enum bench_phase {
    BENCH_PHASE_IMPORT = 1 << 0,
    BENCH_PHASE_COMMIT = 1 << 1,
    BENCH_PHASE_HOT = 1 << 2,
    BENCH_PHASE_COLD = 1 << 3,
    BENCH_PHASE_VERIFIED = 1 << 4,
    BENCH_PHASE_ALL = (1 << 5) - 1,
};

struct bench_plan {
    const char *directory; /* an empty one */
    uint64_t blocks;       /* to import */
    uint64_t seed;
    unsigned rounds;         /* of commit, hot, cold and verified */
    unsigned slice;          /* blocks of an import's round */
    unsigned chain_slice;    /* blocks of the valid chain a round */
    unsigned commits;        /* a round */
    unsigned hot_reads;      /* a round and kind */
    unsigned cold_reads;     /* a round, 32 in flight */
    unsigned cold_reads_one; /* a round, one in flight */
    unsigned phases;
    bool drop_caches; /* the machine's whole page cache before cold reads, not only our files' */
    const struct bench_engine_ops *engines[BENCH_PEER_COUNT]; /* NULL: left out */
    FILE *progress;                                           /* NULL: say nothing */
};

/* Fills REPORT but for command, machine, directory and date. -1 with FAULT filled. */
int bench_run(const struct bench_plan *plan, struct bench_report *report,
              struct bench_fault *fault);

#endif
