/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_query.h: what the files of stoa-bench-query share. */
#ifndef BENCH_QUERY_H
#define BENCH_QUERY_H

#include "bench_query_peer.h"

double bench_query_median(double *times, size_t count);

/* Ingest BLOCKS in stores under BASE and print what it took. Index bytes a transaction. */
double bench_query_ingest(const char *base, const struct bench_query_block *blocks, uint64_t count,
                          const char *name, unsigned skip);

#endif
