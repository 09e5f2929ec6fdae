/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_single.h: what the benchmarks share that are programs of their own: a clock, the order of
 * times, the end where something fails. */
#ifndef BENCH_SINGLE_H
#define BENCH_SINGLE_H

#include <stdint.h>

#include "stoa.h"

uint64_t bench_single_ns(void);
double bench_single_us(void);

/* For qsort, of double. */
int bench_single_compare(const void *a, const void *b);

/* End the program where RESULT is not 0. DETAIL may be NULL. */
void bench_single_require(int result, const char *what, const struct stoa_detail *detail);

#endif
