/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_usage.h: what this process has used. One thread. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include "bench_child.h"

struct bench_usage {
    uint64_t time;
    double cpu_seconds;
    double system_seconds;
    uint64_t written;
};

struct bench_usage bench_usage_now(void);

/* What was used since BEGIN. */
void bench_usage_store(const struct bench_usage *begin, struct bench_outcome *outcome);

/* Anonymous resident bytes. */
uint64_t bench_usage_memory(void);

#endif
