/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_single.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t bench_single_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* it is there on Linux */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

double bench_single_us(void)
{
    return (double)bench_single_ns() / 1e3;
}

int bench_single_compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

void bench_single_require(int result, const char *what, const struct stoa_detail *detail)
{
    if (result != 0) {
        (void)fprintf(stderr, "%s: %s%s%s\n", what, stoa_strerror(result),
                      detail == NULL ? "" : ": ", detail == NULL ? "" : detail->text);
        exit(1);
    }
}
