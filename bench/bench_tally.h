/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_tally.h: what the orders of one round came to, together. One thread. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include "bench_child.h"
#include "bench_device.h"
#include "bench_result.h"

struct bench_tally {
    double seconds;
    double cpu_seconds;
    double system_seconds;
    uint64_t blocks;
    uint64_t logical;
    uint64_t written;
    struct bench_device_counters device;
    bool device_known;
    uint64_t upkeeps;
    uint64_t memory;
    uint64_t backlog;
    uint64_t *samples; /* owned */
    size_t sample_count;
    size_t samples_max;
    uint64_t *reads; /* owned: beside the commits */
    size_t read_count;
    size_t reads_max;
};

/* Zeroed before the first time; DEVICE may be NULL: not known; deinit frees it, and it may be used
 * again. */
void bench_tally_add(struct bench_tally *tally, const struct bench_outcome *outcome,
                     const struct bench_device_counters *device);
void bench_tally_deinit(struct bench_tally *tally);

/* Of writes an operation is a block, of reads one of the samples. */
struct bench_round bench_tally_round(const struct bench_tally *tally);

#endif
