/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chains. The writer links a new object before the first of its bucket, and unlinks one by a
 * single store, so a reader sees a chain with it or without it. An unlinked object keeps its link:
 * who stands on it finds the rest of the chain. */
#define XXH_INLINE_ALL /* most keys are short: the call costs as much as the hash */
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "cache/cache_private.h"

uint64_t cache_hash_of(const struct cache *cache, enum cache_class class, uint8_t first,
                       struct bytes rest)
{
    return XXH3_64bits_withSeed(rest.data, rest.size,
                                cache->seed + ((uint64_t)first << 8 | (uint64_t) class));
}

uint64_t cache_hash(const struct cache *cache, enum cache_class class, struct bytes key)
{
    return cache_hash_of(cache, class, key.data[0], bytes_of(key.data + 1, key.size - 1));
}

size_t cache_table_size(size_t buckets)
{
    return sizeof(struct cache_table) + buckets * sizeof(_Atomic(struct cache_object *));
}

struct cache_table *cache_table_create(size_t buckets, unsigned which)
{
    ensure((buckets & (buckets - 1)) == 0);
    struct cache_table *table = memory_alloc_table(cache_table_size(buckets));
    if (table != NULL) {
        table->mask = buckets - 1;
        table->size = cache_table_size(buckets);
        table->which = which;
    }
    return table;
}

static struct cache_table *table_of(const struct cache *cache)
{
    return atomic_load_explicit(&cache->table, memory_order_seq_cst);
}

static void insert_into(struct cache_table *table, struct cache_object *object)
{
    _Atomic(struct cache_object *) *bucket = &table->buckets[object->hash & table->mask];
    struct cache_object *first = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(&object->chain[table->which], first, memory_order_relaxed);
    /* The object's contents come before it. */
    atomic_store_explicit(bucket, object, memory_order_seq_cst);
}

void cache_table_insert(struct cache *cache, struct cache_object *object)
{
    insert_into(table_of(cache), object);
}

void cache_table_remove(struct cache *cache, struct cache_object *object)
{
    struct cache_table *table = table_of(cache);
    _Atomic(struct cache_object *) *link = &table->buckets[object->hash & table->mask];
    struct cache_object *at;
    while ((at = atomic_load_explicit(link, memory_order_relaxed)) != object) {
        ensure(at != NULL);
        link = &at->chain[table->which];
    }
    struct cache_object *next =
        atomic_load_explicit(&object->chain[table->which], memory_order_relaxed);
    /* Before the writer's scan of the readers: see readers_enter. */
    atomic_store_explicit(link, next, memory_order_seq_cst);
}

struct cache_object *cache_table_find(const struct cache *cache, uint64_t hash,
                                      enum cache_class class, struct bytes key)
{
    const struct cache_table *table = table_of(cache);
    struct cache_object *object =
        atomic_load_explicit(&table->buckets[hash & table->mask], memory_order_seq_cst);
    while (object != NULL) {
        if (object->hash == hash && object->class == (uint8_t) class &&
            object->key_size == key.size && memcmp(object->key, key.data, key.size) == 0) {
            return object;
        }
        object = atomic_load_explicit(&object->chain[table->which], memory_order_seq_cst);
    }
    return NULL;
}

void cache_fetch_ahead(const struct cache *cache, uint64_t hash)
{
    const struct cache_table *table = table_of(cache);
    __builtin_prefetch(&table->buckets[hash & table->mask]);
}

void cache_table_fetch(const struct cache *cache, const struct cache_object *object)
{
    const struct cache_table *table = table_of(cache);
    __builtin_prefetch(&table->buckets[object->hash & table->mask], 1);
    if (object->newer != NULL) {
        __builtin_prefetch(object->newer, 1);
    }
    if (object->older != NULL) {
        __builtin_prefetch(object->older, 1);
    }
}

void cache_table_free_old(struct cache *cache)
{
    if (cache->old_table != NULL && readers_oldest(&cache->readers) > cache->old_table_epoch) {
        slab_refund(cache->slab, cache->old_table->size);
        memory_free(cache->old_table);
        cache->old_table = NULL;
    }
}

bool cache_table_rebuild(struct cache *cache, size_t buckets)
{
    cache_table_free_old(cache);
    size_t size = cache_table_size(buckets);
    if (cache->old_table != NULL || !slab_charge(cache->slab, size)) {
        return false; /* the objects' other links are still in use, or there is no room for both */
    }
    struct cache_table *old = table_of(cache);
    struct cache_table *table = cache_table_create(buckets, 1 - old->which);
    if (table == NULL) {
        slab_refund(cache->slab, size);
        return false;
    }
    for (size_t i = 0; i <= old->mask; i++) {
        struct cache_object *object = atomic_load_explicit(&old->buckets[i], memory_order_relaxed);
        while (object != NULL) {
            insert_into(table, object);
            object = atomic_load_explicit(&object->chain[old->which], memory_order_relaxed);
        }
    }
    atomic_store_explicit(&cache->table, table, memory_order_seq_cst);
    cache->old_table = old;
    cache->old_table_epoch = readers_epoch(&cache->readers);
    cache->sweep = 0;
    readers_advance(&cache->readers);
    cache_table_free_old(cache);
    return true;
}

bool cache_walk(const struct cache *cache, enum cache_class class, size_t *cursor, size_t buckets,
                cache_each_type *each, void *context)
{
    const struct cache_table *table = table_of(cache);
    for (size_t i = 0; i < buckets && *cursor <= table->mask; i++, ++*cursor) {
        const struct cache_object *object =
            atomic_load_explicit(&table->buckets[*cursor], memory_order_relaxed);
        for (; object != NULL;
             object = atomic_load_explicit(&object->chain[table->which], memory_order_relaxed)) {
            if (object->class == class && !cache_reclaim_is_stale(cache, object)) {
                bool main = object->queue == CACHE_QUEUE_MAIN;
                each(context, cache_key_of(object), cache_contents_of(object),
                     main || atomic_load_explicit(&object->frequency, memory_order_relaxed) != 0);
            }
        }
    }
    return *cursor <= table->mask;
}
