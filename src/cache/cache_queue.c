/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queues of each class: the head tier in order of arrival, S3-FIFO's small and main one, the
 * packed blocks in order of arrival. */
#include "base/ensure.h"
#include "cache/cache_private.h"

enum {
    SMALL_PARTS = 10,  /* the small queue has one of so many of the budget */
    WANTED_READS = 2,  /* in the small queue, to enter the main one */
    COLD_READS = 1,    /* there, to be worth packing */
    CHANCES_MAX = 128, /* objects kept while one is looked for to be evicted: a turn of the loop
                          stays short */
    COLD_SIZE_MIN = 4096,
    AGED_A_PUT = 2, /* a block's worth at once would take as long as putting one */
};

static const enum cache_tier tier_of[CACHE_QUEUE_COUNT] = {
    [CACHE_QUEUE_HEAD] = CACHE_HEAD,
    [CACHE_QUEUE_SMALL] = CACHE_HOT,
    [CACHE_QUEUE_MAIN] = CACHE_HOT,
    [CACHE_QUEUE_PACKED] = CACHE_PACKED,
};

static struct cache_queue *queue_of(struct cache *cache, const struct cache_object *object)
{
    return &cache->classes[object->class].queues[object->queue];
}

void cache_queue_push(struct cache *cache, struct cache_object *object, enum cache_queue_kind kind)
{
    struct cache_class_state *class = &cache->classes[object->class];
    struct cache_queue *queue = &class->queues[kind];
    enum cache_tier tier = tier_of[kind];
    uint64_t size = cache_size_of(object);
    object->queue = (uint8_t)kind;
    object->newer = NULL;
    object->older = queue->newest;
    if (queue->newest != NULL) {
        queue->newest->newer = object;
    } else {
        queue->oldest = object;
    }
    queue->newest = object;
    queue->bytes += size;
    queue->count++;
    atomic_store_explicit(&object->tier, (uint8_t)tier, memory_order_relaxed);
    cache_add(&class->bytes[tier], size);
    cache_add(&class->objects[tier], 1);
}

void cache_queue_remove(struct cache *cache, struct cache_object *object)
{
    struct cache_class_state *class = &cache->classes[object->class];
    struct cache_queue *queue = queue_of(cache, object);
    enum cache_tier tier = tier_of[object->queue];
    uint64_t size = cache_size_of(object);
    if (object->newer != NULL) {
        object->newer->older = object->older;
    } else {
        ensure(queue->newest == object);
        queue->newest = object->older;
    }
    if (object->older != NULL) {
        object->older->newer = object->newer;
    } else {
        ensure(queue->oldest == object);
        queue->oldest = object->newer;
    }
    ensure(queue->bytes >= size && queue->count > 0);
    queue->bytes -= size;
    queue->count--;
    cache_add(&class->bytes[tier], -size);
    cache_add(&class->objects[tier], -(uint64_t)1);
}

static void move(struct cache *cache, struct cache_object *object, enum cache_queue_kind kind,
                 uint8_t frequency)
{
    cache_queue_remove(cache, object);
    atomic_store_explicit(&object->frequency, frequency, memory_order_relaxed);
    cache_queue_push(cache, object, kind);
}

static uint8_t frequency_of(const struct cache_object *object)
{
    return atomic_load_explicit(&object->frequency, memory_order_relaxed);
}

void cache_queue_age_head(struct cache *cache, enum cache_class class)
{
    struct cache_class_state *state = &cache->classes[class];
    struct cache_queue *head = &state->queues[CACHE_QUEUE_HEAD];
    struct cache_object *object;
    unsigned moves = 0;
    while ((object = head->oldest) != NULL &&
           ((object->height + cache->head_blocks <= cache->newest && moves++ < AGED_A_PUT) ||
            head->bytes > state->budget / 2)) {
        if (object->newer != NULL && object->newer->newer != NULL) { /* the next puts' */
            __builtin_prefetch(object->newer->newer, 1);
        }
        move(cache, object, CACHE_QUEUE_SMALL, frequency_of(object));
    }
}

/* ---- evicting ---- */

/* A block that was read is kept aside for whoever packs. */
static void offer_cold(struct cache *cache, struct cache_object *object)
{
    if (cache->packed_share != 0 && object->class == CACHE_BLOCKS &&
        (object->flags & CACHE_FLAG_PACKED) == 0 && object->value_size >= COLD_SIZE_MIN &&
        cache->cold_count < CACHE_COLD_MAX) {
        cache_pin(object);
        cache->cold[cache->cold_count++] = object;
    }
}

static void evict(struct cache *cache, struct cache_object *object)
{
    if (object->newer != NULL) {
        cache_table_fetch(cache, object->newer); /* likely the next to go */
    }
    struct cache_class_state *class = &cache->classes[object->class];
    bool stale = cache_reclaim_is_stale(cache, object);
    if (stale) {
        cache_add(object->expires != 0 ? &class->expirations : &class->dropped, 1);
    } else {
        cache_add(&class->evictions, 1);
        if (object->queue == CACHE_QUEUE_SMALL) {
            ghost_note(&cache->ghost, object->hash, ++class->ghost_sequence);
        }
        if (object->queue == CACHE_QUEUE_MAIN ||
            (object->queue == CACHE_QUEUE_SMALL && frequency_of(object) >= COLD_READS)) {
            offer_cold(cache, object);
        }
    }
    cache_reclaim_retire(cache, object);
}

/* The oldest of the small queue that was not wanted leaves. False: there was none. */
static bool evict_small(struct cache *cache, struct cache_class_state *class, unsigned *chances)
{
    struct cache_object *object;
    while ((object = class->queues[CACHE_QUEUE_SMALL].oldest) != NULL) {
        if (frequency_of(object) < WANTED_READS || *chances == 0 ||
            cache_reclaim_is_stale(cache, object)) {
            evict(cache, object);
            return true;
        }
        (*chances)--;
        move(cache, object, CACHE_QUEUE_MAIN, 0);
    }
    return false;
}

static bool evict_main(struct cache *cache, struct cache_class_state *class, unsigned *chances)
{
    struct cache_object *object;
    while ((object = class->queues[CACHE_QUEUE_MAIN].oldest) != NULL) {
        uint8_t frequency = frequency_of(object);
        if (frequency == 0 || *chances == 0 || cache_reclaim_is_stale(cache, object)) {
            evict(cache, object);
            return true;
        }
        (*chances)--;
        move(cache, object, CACHE_QUEUE_MAIN, frequency - 1);
    }
    return false;
}

static bool evict_packed(struct cache *cache, struct cache_class_state *class)
{
    struct cache_object *object = class->queues[CACHE_QUEUE_PACKED].oldest;
    if (object != NULL) {
        evict(cache, object);
    }
    return object != NULL;
}

bool cache_queue_evict(struct cache *cache, enum cache_class class)
{
    struct cache_class_state *state = &cache->classes[class];
    unsigned chances = CHANCES_MAX;
    if (state->queues[CACHE_QUEUE_SMALL].bytes >= state->budget / SMALL_PARTS &&
        evict_small(cache, state, &chances)) {
        return true;
    }
    return evict_main(cache, state, &chances) || evict_small(cache, state, &chances) ||
           evict_packed(cache, state);
}

static uint64_t bytes_of_class(const struct cache_class_state *class)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CACHE_QUEUE_COUNT; i++) {
        sum += class->queues[i].bytes;
    }
    return sum;
}

bool cache_queue_fit(struct cache *cache, enum cache_class class, uint64_t size, bool packed)
{
    struct cache_class_state *state = &cache->classes[class];
    if (size > state->budget) {
        return false;
    }
    if (packed) {
        uint64_t most = state->budget / 100 * cache->packed_share;
        while (size <= most && state->queues[CACHE_QUEUE_PACKED].bytes > most - size) {
            ensure(evict_packed(cache, state));
        }
        if (size > most) {
            return false;
        }
    }
    while (bytes_of_class(state) > state->budget - size) {
        if (!cache_queue_evict(cache, class)) {
            return false;
        }
    }
    return true;
}

enum cache_class cache_queue_fullest(const struct cache *cache)
{
    enum cache_class fullest = CACHE_BLOCKS;
    uint64_t most = 0;
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        const struct cache_class_state *class = &cache->classes[i];
        uint64_t bytes = bytes_of_class(class) - class->queues[CACHE_QUEUE_HEAD].bytes;
        uint64_t fill = bytes == 0 ? 0 : 1 + bytes / (class->budget / 1024 + 1);
        if (fill > most) {
            most = fill;
            fullest = (enum cache_class)i;
        }
    }
    return fullest;
}
