/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"

/* Append those of SAMPLES that were made. */
static void append(uint64_t **to, size_t *count, size_t *max, const struct bench_samples *samples)
{
    if (*count + samples->count > *max) {
        size_t more = 2 * *max + samples->count;
        uint64_t *grown = memory_alloc_zeroed(more, sizeof(*grown));
        ensure(grown != NULL);
        if (*count > 0) {
            memcpy(grown, *to, *count * sizeof(*grown));
        }
        memory_free(*to);
        *to = grown;
        *max = more;
    }
    for (size_t i = 0; i < samples->count; i++) {
        if (samples->took[i] > 0) {
            (*to)[(*count)++] = samples->took[i];
        }
    }
}

void bench_tally_add(struct bench_tally *tally, const struct bench_outcome *outcome,
                     const struct bench_device_counters *device)
{
    tally->seconds += outcome->seconds;
    tally->cpu_seconds += outcome->cpu_seconds;
    tally->system_seconds += outcome->system_seconds;
    tally->blocks += outcome->blocks;
    tally->logical += outcome->logical;
    tally->written += outcome->written;
    if (device != NULL) {
        tally->device_known = true;
        tally->device.reads += device->reads;
        tally->device.written_bytes += device->written_bytes;
    }
    tally->upkeeps += outcome->upkeeps;
    tally->memory = outcome->memory > tally->memory ? outcome->memory : tally->memory;
    tally->backlog = outcome->backlog;
    append(&tally->samples, &tally->sample_count, &tally->samples_max, &outcome->done);
    append(&tally->reads, &tally->read_count, &tally->reads_max, &outcome->reads);
}

void bench_tally_deinit(struct bench_tally *tally)
{
    memory_free(tally->samples);
    memory_free(tally->reads);
    *tally = (struct bench_tally){0};
}

static int compare_samples(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static void set_times(struct bench_round *round, uint64_t *samples, size_t count)
{
    qsort(samples, count, sizeof(*samples), compare_samples);
    round->value[BENCH_MEASURE_P50] = 1e-9 * (double)bench_quantile(samples, count, 0.5);
    round->value[BENCH_MEASURE_P95] = 1e-9 * (double)bench_quantile(samples, count, 0.95);
    round->value[BENCH_MEASURE_P99] = 1e-9 * (double)bench_quantile(samples, count, 0.99);
    round->value[BENCH_MEASURE_MAX] = 1e-9 * (double)samples[count - 1];
}

static void set_writes(struct bench_round *round, const struct bench_tally *tally)
{
    double logical = (double)tally->logical;
    round->value[BENCH_MEASURE_WRITTEN] = share((double)tally->written, logical);
    if (tally->device_known) {
        round->value[BENCH_MEASURE_DEVICE] = share((double)tally->device.written_bytes, logical);
    }
    round->value[BENCH_MEASURE_BLOCKS] = (double)tally->blocks;
    round->value[BENCH_MEASURE_BACKLOG] = (double)tally->backlog;
    round->value[BENCH_MEASURE_MEMORY] = (double)tally->memory;
    if (tally->upkeeps > 0) {
        round->value[BENCH_MEASURE_UPKEEPS] = (double)tally->upkeeps;
    }
}

struct bench_round bench_tally_round(const struct bench_tally *tally)
{
    struct bench_round round = bench_round_empty();
    double count = (double)(tally->blocks > 0 ? tally->blocks : tally->sample_count);
    round.value[BENCH_MEASURE_RATE] = share(count, tally->seconds);
    round.value[BENCH_MEASURE_CPU] = share(tally->cpu_seconds, count);
    round.value[BENCH_MEASURE_SYSTEM] = share(tally->system_seconds, tally->cpu_seconds);
    if (tally->sample_count > 0) {
        set_times(&round, tally->samples, tally->sample_count);
    }
    if (tally->blocks > 0) {
        set_writes(&round, tally);
    } else if (tally->device_known) {
        round.value[BENCH_MEASURE_READS] = share((double)tally->device.reads, count);
    }
    if (tally->read_count > 0) {
        struct bench_round reads = bench_round_empty();
        set_times(&reads, tally->reads, tally->read_count);
        round.value[BENCH_MEASURE_READ_RATE] = share((double)tally->read_count, tally->seconds);
        round.value[BENCH_MEASURE_READ_P50] = reads.value[BENCH_MEASURE_P50];
        round.value[BENCH_MEASURE_READ_P99] = reads.value[BENCH_MEASURE_P99];
    }
    return round;
}
