/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache_private.h: the cache's state, shared by cache*.c. All of it is the writer's, but for what
 * is atomic. */
#ifndef CACHE_PRIVATE_H
#define CACHE_PRIVATE_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/ghost.h"
#include "cache/readers.h"
#include "cache/slab.h"

enum {
    CACHE_SHARDS = 4096,     /* of keys, for tickets */
    CACHE_DOORS = 1 << 17,   /* of keys, for cache_close; fewer where there are fewer buckets */
    CACHE_GENERATIONS = 64,  /* droppings that objects are told apart by */
    CACHE_FREQUENCY_MAX = 3, /* as S3-FIFO has it */
};

/* Where an object is. */
enum cache_queue_kind { CACHE_QUEUE_HEAD, CACHE_QUEUE_SMALL, CACHE_QUEUE_MAIN, CACHE_QUEUE_PACKED };
enum { CACHE_QUEUE_COUNT = 4 };

enum cache_object_state {
    CACHE_MADE,    /* not in reach yet */
    CACHE_LINKED,  /* in reach */
    CACHE_RETIRED, /* out of reach; readers may still be on their way to it */
    CACHE_LEFT,    /* nobody can reach it any more; only views keep it */
};

struct cache_object {
    struct slab_chunk chunk;                 /* first */
    _Atomic(uint32_t) references;            /* one is the cache's, until CACHE_LEFT */
    _Atomic(struct cache_object *) chain[2]; /* next in the bucket, by table */
    uint64_t hash;
    struct cache *cache;
    struct cache_object *newer; /* in its queue; retired: the next to be freed */
    union {
        struct cache_object *older;
        uint64_t retired_epoch;
    };
    uint64_t height;
    uint32_t expires; /* by the cache's clock; 0: never */
    uint32_t value_size;
    uint32_t value_offset; /* from the object's start */
    uint8_t key_size;
    uint8_t class;
    uint8_t flags;
    uint8_t queue;
    uint8_t state;
    _Atomic(uint8_t) generation; /* place in dropped_from */
    _Atomic(uint8_t) tier;
    _Atomic(uint8_t) frequency; /* reads since it was queued, up to CACHE_FREQUENCY_MAX */
    uint8_t key[];
};

static_assert(offsetof(struct cache_object, key) <= 96, "a small object is small");

/* Chains of objects by hash. There are two while the writer changes from one to another; an object
 * has a link for each. */
struct cache_table {
    size_t mask;
    size_t size; /* bytes */
    unsigned which;
    _Atomic(struct cache_object *) buckets[];
};

struct cache_queue {
    struct cache_object *oldest;
    struct cache_object *newest;
    uint64_t bytes;
    uint64_t count;
};

struct cache_class_state {
    struct cache_queue queues[CACHE_QUEUE_COUNT];
    uint64_t share; /* of the size, in 1/65536 */
    uint64_t budget;
    uint32_t time_to_live;
    uint32_t ghost_sequence;
    /* Counters: written by the writer, read by anyone. */
    _Atomic(uint64_t) bytes[CACHE_TIER_COUNT];
    _Atomic(uint64_t) objects[CACHE_TIER_COUNT];
    _Atomic(uint64_t) budget_told;
    _Atomic(uint64_t) inserts;
    _Atomic(uint64_t) replaced;
    _Atomic(uint64_t) returned;
    _Atomic(uint64_t) evictions;
    _Atomic(uint64_t) expirations;
    _Atomic(uint64_t) dropped;
    _Atomic(uint64_t) refused;
};

/* cache_hint.c */
struct cache_hint_table {
    _Atomic(uint64_t) *places;
    size_t mask; /* of sets */
};

struct cache {
    struct readers readers;
    _Atomic(struct cache_table *) table;
    _Atomic(uint32_t) clock;                           /* seconds, from 1; 0: not set yet */
    _Atomic(uint64_t) dropped_from[CACHE_GENERATIONS]; /* of an object of that generation: heights
                                                          from this one are gone */
    _Atomic(struct cache_object *) returned;           /* left, and released by another thread */
    _Atomic(uint64_t) *doors;                          /* by hash: the last change that closed it */
    size_t door_mask;
    struct cache_hint_table hints[CACHE_HINTS_COUNT];
    _Atomic(uint64_t) opened; /* changes up to this one are there */
    _Atomic(uint64_t) closed; /* the last change that closed any key */

    struct slab *slab;
    struct ghost ghost;
    size_t ghost_size;
    struct cache_table *old_table; /* readers may still be in it */
    uint64_t old_table_epoch;
    uint64_t seed;
    uint32_t generation;        /* number of droppings */
    uint32_t ticket_generation; /* of droppings and clearings */
    uint64_t newest;            /* height put with head */
    unsigned head_blocks;
    unsigned packed_share;
    struct cache_class_state classes[CACHE_CLASS_COUNT];
    struct cache_object *retired_first;
    struct cache_object *retired_last;
    struct cache_object *cold[CACHE_COLD_MAX];
    unsigned cold_count;
    unsigned cold_taken; /* and not given back */
    size_t sweep;        /* bucket */
    uint32_t sweep_clock;
    size_t sweep_left;
    _Atomic(uint64_t) leaving;
    _Atomic(uint64_t) held_told;
    _Atomic(uint64_t) limit_told;
    uint32_t changes[CACHE_SHARDS];
};

/* Counters of a reader's place. */
static inline unsigned cache_counter_hit(enum cache_class class, enum cache_tier tier)
{
    return (unsigned)class * 5 + (unsigned)tier;
}

static inline unsigned cache_counter_miss(enum cache_class class)
{
    return (unsigned)class * 5 + 3;
}

static inline unsigned cache_counter_stale(enum cache_class class)
{
    return (unsigned)class * 5 + 4;
}

static_assert(CACHE_CLASS_COUNT * 5 <= READERS_COUNTS, "a place has room for the counters");

/* A counter that only the writer changes. */
static inline void cache_add(_Atomic(uint64_t) *counter, uint64_t value)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
                          memory_order_relaxed);
}

static inline struct bytes cache_key_of(const struct cache_object *object)
{
    return bytes_of(object->key, object->key_size);
}

static inline uint8_t *cache_value_of(struct cache_object *object)
{
    return (uint8_t *)object + object->value_offset;
}

static inline struct bytes cache_contents_of(const struct cache_object *object)
{
    return bytes_of((const uint8_t *)object + object->value_offset, object->value_size);
}

static inline uint64_t cache_size_of(const struct cache_object *object)
{
    return slab_size_of(&object->chunk);
}

/* Whether KEY's value of CACHE_STATE is on its way. Any thread. */
static inline bool cache_is_closed(const struct cache *cache, enum cache_class class, uint64_t hash)
{
    if (class != CACHE_STATE) {
        return false;
    }
    /* Who sees the change opened sees its values; who was told of it sees the door closed. Most of
     * the time none is, and the doors need not be fetched. */
    uint64_t opened = atomic_load_explicit(&cache->opened, memory_order_acquire);
    return atomic_load_explicit(&cache->closed, memory_order_relaxed) > opened &&
           atomic_load_explicit(&cache->doors[hash >> 32 & cache->door_mask],
                                memory_order_relaxed) > opened;
}

/* cache_table.c */
struct cache_table *cache_table_create(size_t buckets, unsigned which);
size_t cache_table_size(size_t buckets);
void cache_table_insert(struct cache *cache, struct cache_object *object);
void cache_table_remove(struct cache *cache, struct cache_object *object);
/* Begin to fetch what removing OBJECT from its bucket and its queue will touch. */
void cache_table_fetch(const struct cache *cache, const struct cache_object *object);
/* Any thread between readers_enter and readers_leave, or the writer. */
struct cache_object *cache_table_find(const struct cache *cache, uint64_t hash,
                                      enum cache_class class, struct bytes key);
/* Move all objects to a table of BUCKETS, a power of two. False: no memory, or readers are still in
 * the table before: nothing changed. */
bool cache_table_rebuild(struct cache *cache, size_t buckets);
/* Free the table before, where no reader is in it. */
void cache_table_free_old(struct cache *cache);

/* cache_hint.c */
/* COUNT is a power of two; freed with the cache. */
bool cache_hint_init(struct cache *cache, enum cache_hints hints, size_t count);
size_t cache_hint_size(size_t count);

/* cache_queue.c */
void cache_queue_push(struct cache *cache, struct cache_object *object, enum cache_queue_kind kind);
void cache_queue_remove(struct cache *cache, struct cache_object *object);
/* Objects of CLASS whose heights are no longer among the newest leave the head tier, a few more
 * than come in with each put; and those for which it has no room. */
void cache_queue_age_head(struct cache *cache, enum cache_class class);
/* Evict one object of CLASS. False: none is left but in the head tier. */
bool cache_queue_evict(struct cache *cache, enum cache_class class);
/* Evict until SIZE more bytes are within the budget of CLASS, for the packed tier's part with
 * PACKED. False: they cannot be. */
bool cache_queue_fit(struct cache *cache, enum cache_class class, uint64_t size, bool packed);
/* The class that is fullest for its budget. */
enum cache_class cache_queue_fullest(const struct cache *cache);

/* cache_reclaim.c */
/* Take OBJECT out of reach: out of its bucket and its queue; freed when nobody sees it. */
void cache_reclaim_retire(struct cache *cache, struct cache_object *object);
/* Free what can be freed. */
void cache_reclaim(struct cache *cache);
/* Whether expired, or dropped by height. Any thread. */
bool cache_reclaim_is_stale(const struct cache *cache, const struct cache_object *object);
/* Memory for an object of SIZE bytes, evicting where needed; NULL. */
struct cache_object *cache_reclaim_alloc(struct cache *cache, enum cache_class class, size_t size);
/* Evict until no more than the bound is held, as far as views allow. */
void cache_reclaim_shrink(struct cache *cache);
/* Retire the stale objects of up to COUNT buckets. */
void cache_reclaim_sweep(struct cache *cache, size_t count);

#endif
