/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_threads.h: reads shared out among threads, each taking the next as it is done with one. */
#ifndef BENCH_THREADS_H
#define BENCH_THREADS_H

#include "bench_engine.h"

enum { BENCH_THREADS_MAX = 64 };

struct bench_threads_ops {
    /* What a thread reads with; NULL: it needs nothing. */
    int (*begin)(struct bench_engine *engine, void **out_reader, struct bench_fault *fault);
    void (*end)(void *reader);

    /* Make READ, bring the checksum of what came. */
    int (*read)(struct bench_engine *engine, void *reader, const struct bench_read *read,
                uint64_t *out_sum, struct bench_fault *fault);
};

/* All READS on COUNT threads (1: on the caller's own). -1 with FAULT of the first that failed, or
 * that brought another checksum. */
int bench_threads_run(struct bench_engine *engine, const struct bench_reads *reads, unsigned count,
                      const struct bench_threads_ops *ops, struct bench_fault *fault);

#endif
