/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_reads.h: which reads are made, and what each must bring: drawn from the order's salt, so
 * that they are the same for all engines that hold the same blocks. One thread. */
#ifndef BENCH_READS_H
#define BENCH_READS_H

#include "bench_child.h"

/* COUNT reads of ORDER's mix into OUT. What KEPT says is stored is not nothing. */
void bench_reads_choose(const struct bench_blocks *blocks, const struct bench_kept *kept,
                        const struct bench_order *order, struct bench_read *out, size_t count);

#endif
