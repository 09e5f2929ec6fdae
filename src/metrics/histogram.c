/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "metrics/histogram.h"

#include "base/ensure.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS) {
        return (unsigned)value;
    }
    unsigned top = 63 - (unsigned)__builtin_clzll(value);
    if (top >= HISTOGRAM_VALUE_BITS) {
        return HISTOGRAM_BUCKETS - 1;
    }
    unsigned step = (unsigned)(value >> (top - HISTOGRAM_STEP_BITS)) & (HISTOGRAM_STEPS - 1);
    return (top - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS + step;
}

/* The highest value of a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS) {
        return bucket;
    }
    unsigned shift = bucket / HISTOGRAM_STEPS - 1;
    uint64_t first = (uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << shift;
    return first + ((uint64_t)1 << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    atomic_fetch_add_explicit(&histogram->buckets[bucket_of(value)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    while (value > max &&
           !atomic_compare_exchange_weak_explicit(&histogram->max, &max, value,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void histogram_read(const struct histogram *histogram, struct histogram_snapshot *out_snapshot)
{
    out_snapshot->count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        out_snapshot->buckets[i] =
            atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        out_snapshot->count += out_snapshot->buckets[i];
    }
    out_snapshot->sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    out_snapshot->max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
}

void histogram_subtract(struct histogram_snapshot *snapshot,
                        const struct histogram_snapshot *earlier)
{
    unsigned last = 0;
    snapshot->count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        ensure(snapshot->buckets[i] >= earlier->buckets[i]);
        snapshot->buckets[i] -= earlier->buckets[i];
        snapshot->count += snapshot->buckets[i];
        last = snapshot->buckets[i] != 0 ? i : last;
    }
    /* A value may be counted and not yet summed up. */
    snapshot->sum = snapshot->sum > earlier->sum ? snapshot->sum - earlier->sum : 0;
    if (last != HISTOGRAM_BUCKETS - 1 && bucket_end(last) < snapshot->max) {
        snapshot->max = snapshot->count == 0 ? 0 : bucket_end(last);
    }
}

uint64_t histogram_quantile(const struct histogram_snapshot *snapshot, uint64_t numerator,
                            uint64_t denominator)
{
    ensure(denominator != 0);
    ensure(numerator <= denominator);
    if (snapshot->count == 0) {
        return 0;
    }
    /* Rounded up: of three values the median is the second. */
    uint64_t rank = snapshot->count / denominator * numerator +
                    (snapshot->count % denominator * numerator + denominator - 1) / denominator;
    uint64_t seen = 0;
    unsigned bucket = 0;
    for (; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
        seen += snapshot->buckets[bucket];
        if (seen >= rank && seen != 0) {
            break;
        }
    }
    uint64_t end = bucket == HISTOGRAM_BUCKETS - 1 ? snapshot->max : bucket_end(bucket);
    return end < snapshot->max ? end : snapshot->max;
}

uint64_t histogram_count_below(const struct histogram_snapshot *snapshot, unsigned bits)
{
    ensure(bits < 64);
    unsigned end =
        bits >= HISTOGRAM_VALUE_BITS ? HISTOGRAM_BUCKETS - 1 : bucket_of((uint64_t)1 << bits);
    uint64_t count = 0;
    for (unsigned i = 0; i < end; i++) {
        count += snapshot->buckets[i];
    }
    return count;
}
