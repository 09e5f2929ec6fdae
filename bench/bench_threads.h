/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_threads.h: reads shared out among threads, each taking the next as it is done with one. */
#ifndef BENCH_THREADS_H
#define BENCH_THREADS_H

#include "bench_engine.h"

enum { BENCH_THREADS_MAX = 64 };

/* Make read INDEX of READS, note in READS->took how long it took, check what came. Called by any
 * of the threads. 0, or -1 with FAULT filled. */
typedef int (*bench_threads_read)(struct bench_engine *engine, const struct bench_reads *reads,
                                  size_t index, struct bench_fault *fault);

/* All READS on COUNT threads (1: on the caller's own). -1 with FAULT of the first that failed. */
int bench_threads_run(struct bench_engine *engine, const struct bench_reads *reads, unsigned count,
                      bench_threads_read read, struct bench_fault *fault);

#endif
