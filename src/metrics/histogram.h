/* SPDX-License-Identifier: GPL-3.0-or-later */
/* histogram.h: how values are spread: count, sum, maximum, quantiles. Any thread records, without
 * locks; any thread reads, and sees values that were recorded while it reads or does not.
 *
 * Log-linear: values below 16 have a bucket each, and each doubling above has 16 of equal width, so
 * that a quantile is never more than a sixteenth too high, and never too low. Values of 2^44 and
 * above (nanoseconds: 5 hours) share the last bucket; their maximum and sum are exact. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 4,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS,
    HISTOGRAM_VALUE_BITS = 44,
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS,
};

/* All zero: empty. The atomics order nothing. */
struct histogram {
    _Atomic(uint64_t) buckets[HISTOGRAM_BUCKETS];
    _Atomic(uint64_t) sum;
    _Atomic(uint64_t) max;
};

/* What a histogram held at a time; or, after histogram_subtract, between two. */
struct histogram_snapshot {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum;
    uint64_t max;
};

void histogram_record(struct histogram *histogram, uint64_t value);

void histogram_read(const struct histogram *histogram, struct histogram_snapshot *out_snapshot);

/* Take away what an EARLIER snapshot of the same histogram held. The maximum stays that of all,
 * unless a lower bound of the bucket it must lie in says that it is older. */
void histogram_subtract(struct histogram_snapshot *snapshot,
                        const struct histogram_snapshot *earlier);

/* The value that the share NUMERATOR / DENOMINATOR of all values does not exceed; 0 where there is
 * none. */
uint64_t histogram_quantile(const struct histogram_snapshot *snapshot, uint64_t numerator,
                            uint64_t denominator);

/* How many values were below 2^BITS. */
uint64_t histogram_count_below(const struct histogram_snapshot *snapshot, unsigned bits);

#endif
