/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the engine counts of messages, and how a caller gets at all that is counted. */
#include <string.h>

#include "base/ensure.h"
#include "engine/engine_private.h"

void engine_metrics_taken(struct engine_request *own)
{
    struct metrics *metrics = own->stoa->metrics;
    if (own->tries == 1) {
        metrics_record(metrics, METRICS_WAIT_TIME, io_now_ns(own->stoa->io) - own->pushed_ns);
    } else {
        metrics_count(metrics, METRICS_RETRIES + own->what, 1);
    }
    metrics_set(metrics, METRICS_UNDER_WAY, store_pending(own->stoa->store) + 1);
}

void engine_metrics_let_go(struct stoa *stoa)
{
    metrics_set(stoa->metrics, METRICS_UNDER_WAY, store_pending(stoa->store));
}

/* Answers that a caller asks for on purpose are no errors. */
static bool is_error(int result)
{
    return result != 0 && result != STOA_ENOTFOUND && result != STOA_EEXISTS;
}

void engine_metrics_answered(struct engine_request *own)
{
    struct metrics *metrics = own->stoa->metrics;
    int result = own->request.result;
    metrics_count(metrics, METRICS_MESSAGES + own->what, 1);
    metrics_record(metrics, METRICS_MESSAGE_TIME + own->what,
                   io_now_ns(own->stoa->io) - own->pushed_ns);
    if (is_error(result)) {
        metrics_count(metrics, METRICS_MESSAGE_ERRORS + own->what, 1);
    }
    if (!engine_message_writes(own->what) && (result == STOA_ETIMEOUT || own->given_up)) {
        metrics_count(metrics, METRICS_READS_GIVEN_UP + own->what, 1);
        metrics_count(metrics, METRICS_READS_GIVEN_UP_WHY + (unsigned)-result, 1);
    }
    if (result != 0) {
        ensure(-result > 0);
        ensure(-result < METRICS_ERROR_MAX);
        metrics_count(metrics, METRICS_ERRORS + (unsigned)-result, 1);
    }
}

void engine_metrics_refused(struct stoa *stoa, enum stoa_message message, int result)
{
    if (result == STOA_EBUSY && (unsigned)message < STOA_MESSAGE_END) {
        metrics_count(stoa->metrics, METRICS_REFUSED + message, 1);
    }
}

void engine_metrics_lettered(struct stoa *stoa, enum stoa_message message)
{
    metrics_count(stoa->metrics, METRICS_DEAD_LETTERS + message, 1);
}

void engine_metrics_cache(struct stoa *stoa)
{
    struct metrics *metrics = stoa->metrics;
    struct cache_stats stats;
    uint64_t tier_hits[CACHE_TIER_COUNT] = {0};
    uint64_t tier_bytes[CACHE_TIER_COUNT] = {0};
    uint64_t tier_objects[CACHE_TIER_COUNT] = {0};
    if (stoa->cache == NULL) {
        return;
    }
    cache_get_stats(stoa->cache, &stats);
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        const struct cache_class_stats *class = &stats.classes[i];
        uint64_t hits = 0;
        uint64_t bytes = 0;
        uint64_t objects = 0;
        for (unsigned tier = 0; tier < CACHE_TIER_COUNT; tier++) {
            hits += class->hits[tier];
            bytes += class->bytes[tier];
            objects += class->objects[tier];
            tier_hits[tier] += class->hits[tier];
            tier_bytes[tier] += class->bytes[tier];
            tier_objects[tier] += class->objects[tier];
        }
        metrics_set(metrics, METRICS_CACHE_HITS + i, hits);
        metrics_set(metrics, METRICS_CACHE_MISSES + i, class->misses);
        metrics_set(metrics, METRICS_CACHE_INSERTS + i, class->inserts);
        metrics_set(metrics, METRICS_CACHE_EVICTIONS + i, class->evictions);
        metrics_set(metrics, METRICS_CACHE_EXPIRATIONS + i, class->expirations);
        metrics_set(metrics, METRICS_CACHE_DROPS + i, class->dropped);
        metrics_set(metrics, METRICS_CACHE_BYTES + i, bytes);
        metrics_set(metrics, METRICS_CACHE_OBJECTS + i, objects);
    }
    for (unsigned tier = 0; tier < CACHE_TIER_COUNT; tier++) {
        metrics_set(metrics, METRICS_CACHE_TIER_HITS + tier, tier_hits[tier]);
        metrics_set(metrics, METRICS_CACHE_TIER_BYTES + tier, tier_bytes[tier]);
        metrics_set(metrics, METRICS_CACHE_TIER_OBJECTS + tier, tier_objects[tier]);
    }
    metrics_set(metrics, METRICS_CACHE_HELD, stats.held);
    metrics_set(metrics, METRICS_CACHE_LIMIT, stats.limit);
}

int stoa_metrics_list(struct stoa *stoa,
                      void (*each)(void *context, const struct stoa_metric *metric), void *context)
{
    if (each == NULL) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return stoa->remote->metrics_list(stoa->remote_state, each, context);
    }
    metrics_set(stoa->metrics, METRICS_MEMORY, io_resident_bytes());
    engine_health_tell_cache(stoa);
    metrics_list(stoa->metrics, each, context);
    return 0;
}

int stoa_metrics_text(struct stoa *stoa, char **out_text, size_t *out_size)
{
    if (out_text == NULL) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return stoa->remote->metrics_text(stoa->remote_state, out_text, out_size);
    }
    struct buffer buffer;
    buffer_init(&buffer);
    metrics_set(stoa->metrics, METRICS_MEMORY, io_resident_bytes());
    engine_health_tell_cache(stoa);
    int result = metrics_text(stoa->metrics, &buffer);
    if (result == 0) {
        result = buffer_append(&buffer, "", 1);
    }
    if (result != 0) {
        buffer_deinit(&buffer);
        return result;
    }
    *out_text = (char *)buffer.data;
    if (out_size != NULL) {
        *out_size = buffer.size - 1;
    }
    return 0;
}
