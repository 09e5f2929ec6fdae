/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From reach to free memory: an object is retired when it is unlinked, leaves when no reader can be
 * on its way to it any more, and is freed when the last view is released. */
#include "base/ensure.h"
#include "cache/cache_private.h"

enum {
    EVICTIONS_MAX = 64, /* for one allocation, before pages are emptied */
    PAGES_MAX = 4,      /* emptied for one allocation */
};

bool cache_reclaim_is_stale(const struct cache *cache, const struct cache_object *object)
{
    uint8_t generation = atomic_load_explicit(&object->generation, memory_order_relaxed);
    uint64_t gone = atomic_load_explicit(&cache->dropped_from[generation], memory_order_acquire);
    if (object->height >= gone) {
        return true;
    }
    return object->expires != 0 &&
           atomic_load_explicit(&cache->clock, memory_order_relaxed) >= object->expires;
}

void cache_reclaim_retire(struct cache *cache, struct cache_object *object)
{
    ensure(object->state == CACHE_LINKED);
    cache_table_remove(cache, object);
    cache_queue_remove(cache, object);
    object->state = CACHE_RETIRED;
    object->newer = NULL;
    object->retired_epoch = readers_epoch(&cache->readers);
    if (cache->retired_last != NULL) {
        cache->retired_last->newer = object;
    } else {
        cache->retired_first = object;
    }
    cache->retired_last = object;
    cache_add(&cache->leaving, cache_size_of(object));
}

static void free_object(struct cache *cache, struct cache_object *object)
{
    if (object->state == CACHE_LEFT) {
        cache_add(&cache->leaving, -cache_size_of(object));
    }
    slab_free(cache->slab, &object->chunk);
}

void cache_reclaim(struct cache *cache)
{
    if (atomic_load_explicit(&cache->returned, memory_order_relaxed) != NULL) {
        struct cache_object *object =
            atomic_exchange_explicit(&cache->returned, NULL, memory_order_acquire);
        while (object != NULL) {
            struct cache_object *next = object->newer;
            free_object(cache, object);
            object = next;
        }
    }
    if (cache->old_table != NULL) {
        cache_table_free_old(cache);
    }
    if (cache->retired_first == NULL) {
        return;
    }
    readers_advance(&cache->readers);
    uint64_t oldest = readers_oldest(&cache->readers);
    struct cache_object *object;
    while ((object = cache->retired_first) != NULL && object->retired_epoch < oldest) {
        cache->retired_first = object->newer;
        if (cache->retired_first == NULL) {
            cache->retired_last = NULL;
        }
        if (object->newer != NULL) {
            __builtin_prefetch(object->newer, 1);
        }
        object->state = CACHE_LEFT;
        /* Whoever released it did so before; the last one frees. */
        if (atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) == 1) {
            free_object(cache, object);
        }
    }
}

/* Retire whatever is in a page that is cheap to empty. */
static bool empty_page(struct cache *cache)
{
    uint32_t page = slab_find_victim(cache->slab);
    if (page == SLAB_LIVE) {
        return false;
    }
    uint64_t cursor = 0;
    struct slab_chunk *chunk;
    while ((chunk = slab_next(cache->slab, page, &cursor)) != NULL) {
        struct cache_object *object = (struct cache_object *)(void *)chunk;
        if (object->state == CACHE_LINKED) {
            cache_add(&cache->classes[object->class].evictions, 1);
            cache_reclaim_retire(cache, object);
        }
    }
    return true;
}

static bool over_budget(const struct cache *cache)
{
    return slab_held(cache->slab) > slab_limit(cache->slab);
}

/* One step towards more free memory. False: there is none left to take. */
static bool make_room(struct cache *cache, unsigned step)
{
    if (step < EVICTIONS_MAX) {
        if (cache_queue_evict(cache, cache_queue_fullest(cache))) {
            return true;
        }
        step = EVICTIONS_MAX;
    }
    return step < EVICTIONS_MAX + PAGES_MAX && empty_page(cache);
}

struct cache_object *cache_reclaim_alloc(struct cache *cache, enum cache_class class, size_t size)
{
    void *chunk = slab_alloc(cache->slab, size);
    if (chunk == NULL) {
        cache_reclaim(cache);
        chunk = slab_alloc(cache->slab, size);
    }
    /* What has the size that is wanted is found soonest in its own class. */
    for (unsigned i = 0; chunk == NULL && i < EVICTIONS_MAX; i++) {
        if (!cache_queue_evict(cache, class)) {
            break;
        }
        cache_reclaim(cache);
        chunk = slab_alloc(cache->slab, size);
    }
    for (unsigned step = 0; chunk == NULL && make_room(cache, step); step++) {
        cache_reclaim(cache);
        chunk = slab_alloc(cache->slab, size);
    }
    return chunk;
}

void cache_reclaim_shrink(struct cache *cache)
{
    cache_reclaim(cache);
    size_t pages = slab_held(cache->slab) / slab_page_size(cache->slab) + 1;
    size_t tries = 0;
    while (over_budget(cache) && tries++ < 4 * pages && empty_page(cache)) {
        cache_reclaim(cache);
    }
    while (over_budget(cache) && cache_queue_evict(cache, cache_queue_fullest(cache))) {
        cache_reclaim(cache);
    }
}

void cache_reclaim_sweep(struct cache *cache, size_t count)
{
    const struct cache_table *table = atomic_load_explicit(&cache->table, memory_order_relaxed);
    for (size_t i = 0; i < count && i <= table->mask; i++) {
        size_t bucket = cache->sweep++ & table->mask;
        struct cache_object *object =
            atomic_load_explicit(&table->buckets[bucket], memory_order_relaxed);
        while (object != NULL) {
            struct cache_object *next =
                atomic_load_explicit(&object->chain[table->which], memory_order_relaxed);
            if (cache_reclaim_is_stale(cache, object)) {
                struct cache_class_state *class = &cache->classes[object->class];
                cache_add(object->expires != 0 ? &class->expirations : &class->dropped, 1);
                cache_reclaim_retire(cache, object);
            }
            object = next;
        }
    }
}
