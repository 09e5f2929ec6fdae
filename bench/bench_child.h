/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_child.h: an engine in a process of its own, doing one piece of work at an order. Between
 * orders the process is stopped (SIGSTOP): what an engine owes in the background it has to do in
 * its own time, and takes no one else's. What must outlive the process (it may be killed) is in
 * memory that it shares with the parent. The parent is one thread. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

#include "bench_engine.h"

enum { BENCH_SAMPLES_MAX = 1 << 18 };

enum bench_action {
    BENCH_OPEN,   /* (again) in MODE */
    BENCH_IMPORT, /* the slice, all of it */
    BENCH_COMMIT, /* the slice: all of it where WHOLE, else as much as SECONDS allow; meanwhile, */
    BENCH_MIXED,  /* one thread reads, half hot, half cold */
    BENCH_UPKEEP, /* UPKEEP runs over and over */
    BENCH_FLUSH,
    BENCH_READ,  /* COUNT reads of MIX, as many as SECONDS allow */
    BENCH_CHECK, /* blocks of the slice that were acknowledged before a crash, and COUNT others */
    BENCH_CLOSE,
};

enum bench_mix {
    BENCH_MIX_HOT,  /* the newest BENCH_HOT_BLOCKS: 50 % state, 20 transactions, 15 receipts, 15
                       blocks */
    BENCH_MIX_COLD, /* all that was imported: 30 % state, 30 transactions, 30 receipts, 10 blocks */
    BENCH_MIX_HALF, /* half of each */
    BENCH_MIX_SLICE, /* blocks of the slice */
};

struct bench_order {
    enum bench_action action;
    enum bench_mode mode;
    bool small; /* of the blocks of bench_run's growth, not the others; an open store is of one */
    bool whole;
    double seconds;
    enum bench_mix mix;
    enum bench_upkeep upkeep;
    unsigned depth;
    unsigned threads;
    size_t count;
    uint64_t salt; /* which reads: the same for all engines */
};

struct bench_samples {
    size_t count;
    uint64_t took[BENCH_SAMPLES_MAX]; /* nanoseconds each; 0: not made */
};

struct bench_outcome {
    int result;
    struct bench_fault fault;
    double seconds;
    double cpu_seconds;    /* of all threads */
    double system_seconds; /* of these, in the kernel */
    uint64_t written;      /* bytes, as /proc/self/io says */
    uint64_t logical;      /* bytes stored */
    uint64_t blocks;       /* stored */
    uint64_t upkeeps;      /* that ended */
    uint64_t memory;       /* anonymous resident bytes now, less those before the first open */
    uint64_t backlog;
    struct bench_samples done;  /* of commits, or of reads where there are no commits */
    struct bench_samples reads; /* beside commits */
};

/* What outlives an engine's process. */
struct bench_kept {
    _Atomic uint64_t acked; /* blocks since the first that are durable, as far as was told */
    uint64_t imported;      /* all blocks below this are stored */
    uint64_t state_sums[MADE_LOAD_KEYS]; /* of the newest value of each key; 0: there is none */
};

struct bench_child {
    const struct bench_engine_ops *ops;
    pid_t pid;
    int socket;
    struct bench_outcome *outcome; /* shared with the child; of the last order */
    struct bench_kept *kept;       /* likewise */
};

struct bench_place {
    const char *directory; /* the engine's own, empty at first */
    uint64_t bytes_max;
    struct bench_blocks *blocks; /* made before the fork */
    struct bench_blocks *small_blocks;
};

/* Fork the child; its store is not open yet. CHILD is zeroed before the first time; where it was
 * killed what it kept is kept. */
int bench_child_start(struct bench_child *child, const struct bench_engine_ops *ops,
                      const struct bench_place *place, struct bench_fault *fault);

/* Let the child do ORDER and wait for it. -1 where it failed or died. */
int bench_child_run(struct bench_child *child, const struct bench_order *order,
                    struct bench_fault *fault);

/* Let it begin a BENCH_IMPORT, and kill it when it has told that ACKED blocks are durable. */
int bench_child_kill(struct bench_child *child, const struct bench_order *order, uint64_t acked,
                     struct bench_fault *fault);

/* End the child's process. */
void bench_child_stop(struct bench_child *child);

#endif
