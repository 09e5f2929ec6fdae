/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_child.h: an engine in a process of its own, doing one slice of work at an order, so that
 * engines take turns and each one's memory, processor time and writes can be told apart. The child
 * makes the blocks itself, before the clock starts. The parent is one thread. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

#include "bench_engine.h"

enum { BENCH_SAMPLES_MAX = 65536, BENCH_SLICE_MAX = 1024, BENCH_NEWEST = 128 };

enum bench_action {
    BENCH_OPEN,   /* (again) in MODE */
    BENCH_IMPORT, /* the next COUNT blocks */
    BENCH_COMMIT,
    BENCH_IMPORT_CHAIN, /* the next COUNT blocks of the valid chain, into the store of its mode */
    BENCH_FLUSH,
    BENCH_READ_NEWEST, /* COUNT reads of KIND in the newest BENCH_NEWEST blocks */
    BENCH_READ_ALL,    /* COUNT reads of KIND, no block twice, in all blocks */
    BENCH_CLOSE,
};

struct bench_order {
    enum bench_action action;
    enum bench_mode mode;
    enum bench_kind kind;
    unsigned depth;
    unsigned threads;
    size_t count;  /* at most BENCH_SLICE_MAX blocks, or BENCH_SAMPLES_MAX reads */
    uint64_t salt; /* which reads: the same for all engines */
};

struct bench_outcome {
    int result;
    struct bench_fault fault;
    double seconds;        /* from the first call to the last acknowledgement */
    double settle_seconds; /* from there until background work had ended, those with work done */
    double cpu_seconds;    /* of all threads, both times together */
    uint64_t written;      /* bytes, as /proc/self/io says */
    uint64_t logical;      /* bytes stored */
    uint64_t transactions; /* of an import of the chain */
    uint64_t memory;       /* anonymous resident bytes now, less those before the first open */
    size_t sample_count;
    uint64_t samples[BENCH_SAMPLES_MAX]; /* nanoseconds each */
};

struct bench_child {
    const struct bench_engine_ops *ops;
    pid_t pid;
    int socket;
    struct bench_outcome *outcome; /* shared with the child; of the last order */
};

/* Fork the child; its store is not open yet. */
int bench_child_start(struct bench_child *child, const struct bench_engine_ops *ops,
                      const struct bench_setup *setup, uint64_t seed, struct bench_fault *fault);

/* Let the child do ORDER and wait for it. -1 where it failed or died. */
int bench_child_run(struct bench_child *child, const struct bench_order *order,
                    struct bench_fault *fault);

/* End the child's process. */
void bench_child_stop(struct bench_child *child);

#endif
