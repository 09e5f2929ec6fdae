/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics.h: what a store counts, by the table include/stoa/metrics.def. Any thread counts and any
 * thread reads, without locks; each value is exact, but values read together are of slightly
 * different moments. Counting in a `struct metrics *` that is NULL does nothing, so that parts that
 * run by themselves, as in tests, need none.
 *
 * A row with labels has one value a label, at METRICS_ROW + label. */
#ifndef METRICS_H
#define METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "metrics/histogram.h"
#include "stoa.h"

/* What the jobs, children, alerts are called in labels: METRICS_JOB(NAME, name). */
#define METRICS_JOB_TABLE(ROW)    \
    ROW(OTHER, "other")           \
    ROW(VERIFY, "verify")         \
    ROW(LOOKUP, "lookup")         \
    ROW(INDEX, "index")           \
    ROW(TRIE, "trie")             \
    ROW(APPLY, "apply")           \
    ROW(MERGE, "merge")           \
    ROW(REBUILD, "rebuild")       \
    ROW(CHECKPOINT, "checkpoint") \
    ROW(PACK, "pack")             \
    ROW(STATISTICS, "statistics") \
    ROW(UPKEEP, "upkeep")

#define METRICS_CHILD_TABLE(ROW) \
    ROW(TABLES, "tables")        \
    ROW(LEDGER, "ledger")

#define METRICS_IO_TABLE(ROW)       \
    ROW(OPEN, "open")               \
    ROW(CLOSE, "close")             \
    ROW(READ, "read")               \
    ROW(WRITE, "write")             \
    ROW(SYNC, "sync")               \
    ROW(ALLOCATE, "allocate")       \
    ROW(PUNCH, "punch")             \
    ROW(RENAME, "rename")           \
    ROW(UNLINK, "unlink")           \
    ROW(RMDIR, "rmdir")             \
    ROW(MKDIR, "mkdir")             \
    ROW(SYNC_DIR, "sync_directory") \
    ROW(TIMER, "timer")

#define METRICS_CLASS_TABLE(ROW) \
    ROW(BLOCKS, "blocks")        \
    ROW(PLACES, "places")        \
    ROW(HEIGHTS, "heights")      \
    ROW(STATE, "state")          \
    ROW(HEADERS, "headers")

#define METRICS_TIER_TABLE(ROW) \
    ROW(HEAD, "head")           \
    ROW(HOT, "hot")             \
    ROW(PACKED, "packed")

#define METRICS_ROW_JOB(name, text) METRICS_JOB_##name,
#define METRICS_ROW_CHILD(name, text) METRICS_CHILD_##name,
#define METRICS_ROW_IO(name, text) METRICS_IO_##name,
#define METRICS_ROW_CLASS(name, text) METRICS_CLASS_##name,
#define METRICS_ROW_TIER(name, text) METRICS_TIER_##name,
enum metrics_job { METRICS_JOB_TABLE(METRICS_ROW_JOB) METRICS_JOB_COUNT };
enum metrics_child { METRICS_CHILD_TABLE(METRICS_ROW_CHILD) METRICS_CHILD_COUNT };
enum metrics_io { METRICS_IO_TABLE(METRICS_ROW_IO) METRICS_IO_COUNT };
enum metrics_class { METRICS_CLASS_TABLE(METRICS_ROW_CLASS) METRICS_CLASS_COUNT };
enum metrics_tier { METRICS_TIER_TABLE(METRICS_ROW_TIER) METRICS_TIER_COUNT };
#undef METRICS_ROW_JOB
#undef METRICS_ROW_CHILD
#undef METRICS_ROW_IO
#undef METRICS_ROW_CLASS
#undef METRICS_ROW_TIER

enum { METRICS_ERROR_MAX = 32 }; /* above the highest error number */

/* How many values a row has, by its labels. */
enum metrics_values {
    METRICS_VALUES_NONE = 1,
    METRICS_VALUES_MESSAGE = STOA_MESSAGE_END,
    METRICS_VALUES_ERROR = METRICS_ERROR_MAX,
    METRICS_VALUES_IO = METRICS_IO_COUNT,
    METRICS_VALUES_JOB = METRICS_JOB_COUNT,
    METRICS_VALUES_UPKEEP = STOA_JOBS,
    METRICS_VALUES_CHILD = METRICS_CHILD_COUNT,
    METRICS_VALUES_CLASS = METRICS_CLASS_COUNT,
    METRICS_VALUES_TIER = METRICS_TIER_COUNT,
    METRICS_VALUES_ALERT = STOA_ALERT_END,
};

/* Where the values of a row begin: METRICS_MESSAGES and so on. */
enum metrics_value {
#define METRICS_ROW(name, labels) \
    METRICS_##name, METRICS_##name##_LAST = METRICS_##name + METRICS_VALUES_##labels - 1,
#define STOA_COUNTER(name, text, labels, unit, help) METRICS_ROW(name, labels)
#define STOA_GAUGE(name, text, labels, unit, help) METRICS_ROW(name, labels)
#define STOA_HISTOGRAM(name, text, labels, unit, help)
#include "stoa/metrics.def"
#undef STOA_COUNTER
#undef STOA_GAUGE
#undef STOA_HISTOGRAM
    METRICS_VALUES_END
};

enum metrics_histogram {
#define STOA_COUNTER(name, text, labels, unit, help)
#define STOA_GAUGE(name, text, labels, unit, help)
#define STOA_HISTOGRAM(name, text, labels, unit, help) METRICS_ROW(name, labels)
#include "stoa/metrics.def"
#undef STOA_COUNTER
#undef STOA_GAUGE
#undef STOA_HISTOGRAM
#undef METRICS_ROW
    METRICS_HISTOGRAMS_END
};

/* The atomics order nothing. */
struct metrics {
    _Atomic(uint64_t) values[METRICS_VALUES_END];
    struct histogram histograms[METRICS_HISTOGRAMS_END];
};

/* All 0. NULL: no memory. */
struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *metrics);

/* COUNT more of VALUE, which is METRICS_ROW + label. */
static inline void metrics_count(struct metrics *metrics, unsigned value, uint64_t count)
{
    if (metrics != NULL) {
        atomic_fetch_add_explicit(&metrics->values[value], count, memory_order_relaxed);
    }
}

/* A gauge; or a counter that is counted elsewhere and only copied here. */
static inline void metrics_set(struct metrics *metrics, unsigned value, uint64_t to)
{
    if (metrics != NULL) {
        atomic_store_explicit(&metrics->values[value], to, memory_order_relaxed);
    }
}

static inline uint64_t metrics_get(const struct metrics *metrics, unsigned value)
{
    return metrics == NULL ? 0
                           : atomic_load_explicit(&metrics->values[value], memory_order_relaxed);
}

/* VALUE in the row's unit, for SECONDS in nanoseconds. */
static inline void metrics_record(struct metrics *metrics, unsigned histogram, uint64_t value)
{
    if (metrics != NULL) {
        histogram_record(&metrics->histograms[histogram], value);
    }
}

/* Every value, row by row; of rows with labels only those that are not 0, and the first. */
void metrics_list(const struct metrics *metrics,
                  void (*each)(void *context, const struct stoa_metric *metric), void *context);

/* Append all as Prometheus' text format (0.0.4). STOA_ENOMEM. */
int metrics_text(const struct metrics *metrics, struct buffer *out);

#endif
