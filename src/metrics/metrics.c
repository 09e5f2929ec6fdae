/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "metrics/metrics.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"

enum metrics_labels {
    LABELS_NONE,
    LABELS_MESSAGE,
    LABELS_ERROR,
    LABELS_IO,
    LABELS_JOB,
    LABELS_UPKEEP,
    LABELS_CHILD,
    LABELS_CLASS,
    LABELS_TIER,
    LABELS_ALERT,
};

enum metrics_unit { UNIT_ONE, UNIT_BYTES, UNIT_SECONDS };

static const uint64_t second_ns = 1000000000;

/* Buckets told to Prometheus end below a power of two, where ours do. Times from 1 microsecond to
 * 17 seconds, all else from 1 to 16 Mi. */
enum { TIME_BITS_MIN = 10, TIME_BITS_MAX = 34, SIZE_BITS_MIN = 1, SIZE_BITS_MAX = 24 };

/* A row of the table. */
struct row {
    enum stoa_metric_kind kind;
    enum metrics_labels labels;
    enum metrics_unit unit;
    unsigned first; /* value or histogram */
    unsigned count;
    const char *name;
    const char *help;
};

#define ROW(kind_, name_, text, labels_, unit_, help_) \
    {STOA_METRIC_##kind_,                              \
     LABELS_##labels_,                                 \
     UNIT_##unit_,                                     \
     METRICS_##name_,                                  \
     METRICS_VALUES_##labels_,                         \
     text,                                             \
     help_},
#define STOA_COUNTER(name, text, labels, unit, help) ROW(COUNTER, name, text, labels, unit, help)
#define STOA_GAUGE(name, text, labels, unit, help) ROW(GAUGE, name, text, labels, unit, help)
#define STOA_HISTOGRAM(name, text, labels, unit, help) \
    ROW(HISTOGRAM, name, text, labels, unit, help)
static const struct row rows[] = {
#include "stoa/metrics.def"
};
#undef STOA_COUNTER
#undef STOA_GAUGE
#undef STOA_HISTOGRAM
#undef ROW

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

#define STOA_JOB(name, text, every, bytes, operations, help) #text,
static const char *const upkeep_names[] = {
#include "stoa/job.def"
};
#undef STOA_JOB

#define TEXT(name, text) text,
static const char *const job_names[] = {METRICS_JOB_TABLE(TEXT)};
static const char *const child_names[] = {METRICS_CHILD_TABLE(TEXT)};
static const char *const io_names[] = {METRICS_IO_TABLE(TEXT)};
static const char *const class_names[] = {METRICS_CLASS_TABLE(TEXT)};
static const char *const tier_names[] = {METRICS_TIER_TABLE(TEXT)};
#undef TEXT

#define STOA_ALERT(name, text, limit, help) text,
static const char *const alert_names[] = {
#include "stoa/alert.def"
};
#undef STOA_ALERT

#define STOA_MESSAGE(name, text, priority, kind) [STOA_MESSAGE_##name] = text,
static const char *const message_names[STOA_MESSAGE_END] = {
    [STOA_MESSAGE_NONE] = "None",
#include "stoa/message.def"
};
#undef STOA_MESSAGE

#define STOA_ERROR(number, name, help) [-(number)] = "STOA_" #name,
static const char *const error_names[METRICS_ERROR_MAX] = {
#include "stoa/error.def"
};
#undef STOA_ERROR

const char *stoa_alert_name(enum stoa_alert alert)
{
    return (unsigned)alert < STOA_ALERT_END ? alert_names[alert] : NULL;
}

/* Name and values of a set of labels; a value may be NULL where nothing has that number. */
static const char *label_of(enum metrics_labels labels, unsigned i, const char **out_value)
{
    switch (labels) {
    case LABELS_NONE:
        *out_value = NULL;
        return NULL;
    case LABELS_MESSAGE:
        *out_value = message_names[i];
        return "message";
    case LABELS_ERROR:
        *out_value = error_names[i];
        return "error";
    case LABELS_IO:
        *out_value = io_names[i];
        return "operation";
    case LABELS_JOB:
        *out_value = job_names[i];
        return "job";
    case LABELS_UPKEEP:
        *out_value = upkeep_names[i];
        return "job";
    case LABELS_CHILD:
        *out_value = child_names[i];
        return "child";
    case LABELS_CLASS:
        *out_value = class_names[i];
        return "class";
    case LABELS_TIER:
        *out_value = tier_names[i];
        return "tier";
    case LABELS_ALERT:
        *out_value = alert_names[i];
        return "alert";
    }
    ensure(false);
    return NULL;
}

struct metrics *metrics_create(void)
{
    struct metrics *metrics = memory_alloc_aligned(sizeof(*metrics), 64);
    if (metrics != NULL) {
        memset(metrics, 0, sizeof(*metrics));
    }
    return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
    memory_free(metrics);
}

static double in_unit(enum metrics_unit unit, uint64_t value)
{
    return unit == UNIT_SECONDS ? (double)value / (double)second_ns : (double)value;
}

static void fill_histogram(enum metrics_unit unit, const struct histogram *histogram,
                           struct stoa_metric *metric)
{
    struct histogram_snapshot snapshot;
    histogram_read(histogram, &snapshot);
    metric->count = snapshot.count;
    metric->sum = in_unit(unit, snapshot.sum);
    metric->max = in_unit(unit, snapshot.max);
    metric->p50 = in_unit(unit, histogram_quantile(&snapshot, 50, 100));
    metric->p95 = in_unit(unit, histogram_quantile(&snapshot, 95, 100));
    metric->p99 = in_unit(unit, histogram_quantile(&snapshot, 99, 100));
}

void metrics_list(const struct metrics *metrics,
                  void (*each)(void *context, const struct stoa_metric *metric), void *context)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        for (unsigned j = 0; j < row->count; j++) {
            struct stoa_metric metric = {
                .size = sizeof(metric), .kind = row->kind, .name = row->name, .help = row->help};
            metric.label = label_of(row->labels, j, &metric.label_value);
            if (row->kind == STOA_METRIC_HISTOGRAM) {
                fill_histogram(row->unit, &metrics->histograms[row->first + j], &metric);
            } else {
                metric.value = in_unit(row->unit, metrics_get(metrics, row->first + j));
            }
            if (metric.label == NULL ||
                (metric.label_value != NULL && (metric.value > 0 || metric.count != 0))) {
                each(context, &metric);
            }
        }
    }
}

/* ---- Prometheus' text ---- */

static int write_number(struct buffer *out, enum metrics_unit unit, uint64_t value)
{
    if (unit == UNIT_SECONDS) {
        return buffer_append_format(out, "%llu.%09llu\n", (unsigned long long)(value / second_ns),
                                    (unsigned long long)(value % second_ns));
    }
    return buffer_append_format(out, "%llu\n", (unsigned long long)value);
}

/* NAME SUFFIX {label="value",le="bound"}, then a space. */
static int write_series(struct buffer *out, const struct row *row, unsigned i, const char *suffix,
                        const char *bound)
{
    const char *value;
    const char *label = label_of(row->labels, i, &value);
    int result = buffer_append_format(out, "%s%s", row->name, suffix);
    if (result == 0 && (label != NULL || bound != NULL)) {
        result = buffer_append_format(out, "{");
    }
    if (result == 0 && label != NULL) { /* none of our values needs escaping */
        result = buffer_append_format(out, "%s=\"%s\"%s", label, value, bound != NULL ? "," : "");
    }
    if (result == 0 && bound != NULL) {
        result = buffer_append_format(out, "le=\"%s\"", bound);
    }
    if (result == 0 && (label != NULL || bound != NULL)) {
        result = buffer_append_format(out, "}");
    }
    return result == 0 ? buffer_append_format(out, " ") : result;
}

static int write_bound(struct buffer *text, enum metrics_unit unit, unsigned bits)
{
    uint64_t bound = ((uint64_t)1 << bits) - 1; /* the bound itself belongs to the bucket */
    buffer_clear(text);
    int result =
        unit == UNIT_SECONDS
            ? buffer_append_format(text, "%llu.%09llu", (unsigned long long)(bound / second_ns),
                                   (unsigned long long)(bound % second_ns))
            : buffer_append_format(text, "%llu", (unsigned long long)bound);
    return result == 0 ? buffer_append(text, "", 1) : result;
}

static int write_histogram(struct buffer *out, const struct row *row, unsigned i,
                           const struct histogram_snapshot *snapshot)
{
    bool time = row->unit == UNIT_SECONDS;
    struct buffer bound;
    buffer_init(&bound);
    int result = 0;
    for (unsigned bits = time ? TIME_BITS_MIN : SIZE_BITS_MIN;
         result == 0 && bits <= (time ? TIME_BITS_MAX : SIZE_BITS_MAX); bits++) {
        result = write_bound(&bound, row->unit, bits);
        if (result == 0) {
            result = write_series(out, row, i, "_bucket", (const char *)bound.data);
        }
        if (result == 0) {
            result = write_number(out, UNIT_ONE, histogram_count_below(snapshot, bits));
        }
    }
    buffer_deinit(&bound);
    if (result == 0) {
        result = write_series(out, row, i, "_bucket", "+Inf");
    }
    if (result == 0) {
        result = write_number(out, UNIT_ONE, snapshot->count);
    }
    if (result == 0) {
        result = write_series(out, row, i, "_sum", NULL);
    }
    if (result == 0) {
        result = write_number(out, row->unit, snapshot->sum);
    }
    if (result == 0) {
        result = write_series(out, row, i, "_count", NULL);
    }
    return result == 0 ? write_number(out, UNIT_ONE, snapshot->count) : result;
}

static int write_value(struct buffer *out, const struct metrics *metrics, const struct row *row,
                       unsigned i)
{
    const char *text;
    bool named = label_of(row->labels, i, &text) == NULL || text != NULL;
    if (row->kind == STOA_METRIC_HISTOGRAM) {
        struct histogram_snapshot snapshot;
        histogram_read(&metrics->histograms[row->first + i], &snapshot);
        bool wanted = named && (row->labels == LABELS_NONE || snapshot.count != 0);
        return wanted ? write_histogram(out, row, i, &snapshot) : 0;
    }
    uint64_t value = metrics_get(metrics, row->first + i);
    if (!named || (row->labels == LABELS_MESSAGE && i == STOA_MESSAGE_NONE && value == 0)) {
        return 0;
    }
    int result = write_series(out, row, i, "", NULL);
    return result == 0 ? write_number(out, row->unit, value) : result;
}

int metrics_text(const struct metrics *metrics, struct buffer *out)
{
    static const char *const kinds[] = {
        [STOA_METRIC_COUNTER] = "counter",
        [STOA_METRIC_GAUGE] = "gauge",
        [STOA_METRIC_HISTOGRAM] = "histogram",
    };
    int result = 0;
    for (unsigned i = 0; i < ROW_COUNT && result == 0; i++) {
        const struct row *row = &rows[i];
        result = buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help,
                                      row->name, kinds[row->kind]);
        for (unsigned j = 0; j < row->count && result == 0; j++) {
            result = write_value(out, metrics, row, j);
        }
    }
    return result;
}
