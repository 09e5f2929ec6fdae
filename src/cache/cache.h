/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache.h: hot objects in memory of a fixed size, read in place by any thread.
 *
 * An object is a key of one of five classes, a value, a height. One thread, the writer (the
 * engine's loop), makes all changes; cache_find, cache_pin, cache_release and cache_get_stats may
 * be called by any thread at any time. A lookup takes no lock (readers.h) and pins what it found by
 * counting a reference inside the object: the view is the object itself, nothing is allocated or
 * copied for a hit. Whatever the writer does to an object meanwhile (evict, replace, drop), its
 * memory stays until the last view is released.
 *
 * Memory: slab.h. The bound covers the objects, the table of chains, the ghosts and the books.
 *
 * Tiers. An object put with `head` is in the head tier and stays there while its height is among
 * the newest (head_blocks), at most for half of its class's budget; then it is an object like any
 * other. All others are in the hot tier: S3-FIFO for each class. New ones wait in a small queue, a
 * tenth of the budget; those read more than once before they reach its end move to the main queue,
 * the rest leave but are remembered (ghost.h) and enter the main queue if they come back soon. So
 * one scan over everything does not push out what is used; and large objects that reads bring are
 * not even copied before the second time (cache_admit). Blocks that leave may be kept packed
 * (compressed by the owner, see cache_take_cold) with a part of the blocks' budget.
 *
 * Freshness. The writer changes or removes a key before it tells anyone of the change. A value that
 * was read from elsewhere meanwhile must not come in after it: whoever reads takes a ticket before
 * and shows it when filling; if the key (or one of its shard) was changed since, or heights were
 * dropped, nothing is stored. cache_drop_heights makes everything of a height and above invisible
 * at once, for reorganisations. Objects of a class with a time to live are not found after it, by
 * the clock that cache_tick sets. */
#ifndef CACHE_H
#define CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct cache;

enum cache_class {
    CACHE_BLOCKS,  /* block hash -> the record */
    CACHE_PLACES,  /* transaction hash -> where it is */
    CACHE_HEIGHTS, /* height or another name -> block hash */
    CACHE_STATE,   /* state key -> value */
    CACHE_HEADERS, /* block hash -> the record, of which the block is its header only */
    CACHE_CLASS_COUNT,
};

enum cache_tier { CACHE_HEAD, CACHE_HOT, CACHE_PACKED, CACHE_TIER_COUNT };

enum {
    CACHE_KEY_MAX = 168,
    CACHE_PARTS_MAX = 8,
    CACHE_SIZE_MIN = 1 << 20,
    CACHE_HEAD_BLOCKS_MAX = 1024,
    CACHE_PACKED_SHARE_MAX = 90,
    CACHE_COLD_MAX = 4,   /* blocks that wait to be packed */
    CACHE_HINT_BITS = 48, /* of a hint's number */
};

/* Flags of an object: the first is the cache's, the rest are the owner's. */
enum { CACHE_FLAG_PACKED = 1 << 0, CACHE_FLAG_OWN = 1 << 1 };

struct cache_options {
    size_t size;                              /* the bound. At least CACHE_SIZE_MIN */
    uint64_t budget[CACHE_CLASS_COUNT];       /* bytes; 0: share says */
    unsigned share[CACHE_CLASS_COUNT];        /* percent of the size; 0 with no budget: none kept */
    uint32_t time_to_live[CACHE_CLASS_COUNT]; /* seconds; 0: none */
    unsigned head_blocks;                     /* 0: no head tier */
    unsigned packed_share; /* percent of the blocks' budget, CACHE_PACKED_SHARE_MAX at most */
    uint64_t seed;         /* of the hash; random */
    bool touch;            /* take and touch all memory now */
};

/* NULL: no memory, or options out of range. */
struct cache *cache_create(const struct cache_options *options);

/* No view may be out. NULL is allowed. */
void cache_destroy(struct cache *cache);

/* ---- any thread ---- */

struct cache_object;

struct cache_hit {
    struct cache_object *object; /* pinned: cache_release */
    struct bytes value;          /* as long as it is pinned */
    uint64_t height;
    unsigned flags;
};

/* Look KEY up. On a hit the object is pinned; counts hit or miss. */
bool cache_find(struct cache *cache, enum cache_class class, struct bytes key,
                struct cache_hit *out_hit);

/* The hash of KEY, for the calls that take one; and of the key that FIRST and REST are. */
uint64_t cache_hash(const struct cache *cache, enum cache_class class, struct bytes key);
uint64_t cache_hash_of(const struct cache *cache, enum cache_class class, uint8_t first,
                       struct bytes rest);

/* cache_find where the hash of KEY is known. */
bool cache_find_hashed(struct cache *cache, enum cache_class class, struct bytes key, uint64_t hash,
                       struct cache_hit *out_hit);

/* Whether the key of CACHE_STATE with HASH is closed (cache_close). To be asked before a hint that
 * leads to its value is looked for. */
bool cache_is_shut(const struct cache *cache, uint64_t hash);

/* Two tables of hints. */
enum cache_hints { CACHE_HINTS_PLACES, CACHE_HINTS_STATE, CACHE_HINTS_COUNT };

/* The same for one of several places where the object may be: a miss is not counted. */
bool cache_try(struct cache *cache, enum cache_class class, struct bytes key,
               struct cache_hit *out_hit);

/* What the writer noted last under HASH, if it was not overwritten by others, higher ones first;
 * or what was noted under another hash with the same part. Look at what it leads to. */
bool cache_find_hint(const struct cache *cache, enum cache_hints hints, uint64_t hash,
                     uint64_t *out_number);

/* The writer: the same, counted as neither hit nor use. */
bool cache_peek(struct cache *cache, enum cache_class class, struct bytes key,
                struct cache_hit *out_hit);

/* One more reference to a pinned object; and one back. */
void cache_pin(struct cache_object *object);
void cache_release(struct cache_object *object);

struct cache_class_stats {
    uint64_t hits[CACHE_TIER_COUNT];
    uint64_t misses;
    uint64_t stale; /* of the misses: found, but expired or dropped */
    uint64_t bytes[CACHE_TIER_COUNT];
    uint64_t objects[CACHE_TIER_COUNT];
    uint64_t budget;
    uint64_t inserts;
    uint64_t replaced;
    uint64_t returned; /* of the inserts: evicted, or not admitted, a short while before */
    uint64_t evictions;
    uint64_t expirations;
    uint64_t dropped; /* removed by the owner, or by height */
    uint64_t refused; /* not stored: too big, no room, not admitted, or a ticket no longer valid */
};

struct cache_stats {
    uint64_t limit;
    uint64_t held;    /* bytes, books included; never above the limit but after it was lowered */
    uint64_t leaving; /* bytes of objects that are out of reach and not yet freed */
    struct cache_class_stats classes[CACHE_CLASS_COUNT];
};

void cache_get_stats(const struct cache *cache, struct cache_stats *out_stats);

/* ---- the writer ---- */

/* Set the clock, free what nobody sees any more, look for expired objects, a few at a time. Each
 * turn of the loop. */
void cache_tick(struct cache *cache, uint64_t now_ns);

struct cache_entry {
    enum cache_class class;
    struct bytes key;
    struct bytes parts[CACHE_PARTS_MAX]; /* the value, copied */
    unsigned part_count;
    uint64_t height;
    unsigned flags;
    bool head;
};

/* Store or replace: KEY has this value now. False: there was no room; what was stored under KEY is
 * gone all the same. */
bool cache_put(struct cache *cache, const struct cache_entry *entry);

/* KEY has another value now, or none: forget it. HASH is its hash. */
void cache_remove(struct cache *cache, enum cache_class class, struct bytes key);
void cache_remove_hashed(struct cache *cache, enum cache_class class, struct bytes key,
                         uint64_t hash);

/* Whether anything of CLASS is there; whether any packed block is. */
bool cache_holds(const struct cache *cache, enum cache_class class);
bool cache_holds_packed(const struct cache *cache);

/* Where many keys will be removed soon: begin to fetch what one will touch. */
void cache_fetch_ahead(const struct cache *cache, uint64_t hash);

/* The key of CACHE_STATE with HASH has another value from change SEQUENCE on, which is put or
 * removed later: until cache_open nobody finds it, nor a few others that share its place, and
 * tickets are not valid. So much cheaper than a change of the objects that it can be done for a
 * thousand keys before the caller of a write is told. Sequences only rise. */
void cache_close(struct cache *cache, uint64_t hash, uint64_t sequence);

/* All keys of the changes up to SEQUENCE have their values. */
void cache_open(struct cache *cache, uint64_t sequence);

/* Note NUMBER, of CACHE_HINT_BITS, under HASH. The table's size is fixed: where there is no room
 * the lowest number goes. Fetch it ahead where many are noted. Whatever was noted under HASH, and
 * under others with the same part, is gone; by cache_drop_hint too. */
void cache_hint(struct cache *cache, enum cache_hints hints, uint64_t hash, uint64_t number);
void cache_fetch_hint(const struct cache *cache, enum cache_hints hints, uint64_t hash);
void cache_drop_hint(struct cache *cache, enum cache_hints hints, uint64_t hash);

struct cache_ticket {
    uint32_t changes;
    uint32_t generation;
    bool closed; /* its value was on its way: never valid */
};

/* Before KEY is read from elsewhere. */
struct cache_ticket cache_take_ticket(const struct cache *cache, enum cache_class class,
                                      struct bytes key);

/* Tickets taken before are no longer valid, of any key. */
void cache_refuse_tickets(struct cache *cache);

/* Whether an object of SIZE bytes that a read brought is worth copying: a small one is, and what is
 * there already costs nothing; a large one when it is read again before as many others as its class
 * has room for, and until then it is only remembered. So a scan copies nothing. */
bool cache_admit(struct cache *cache, enum cache_class class, struct bytes key, size_t size);

/* Store what was read, if nothing changed since the ticket was taken and KEY is not there. */
bool cache_fill(struct cache *cache, const struct cache_entry *entry, struct cache_ticket ticket);

/* Everything of HEIGHT and above is gone, at once. Tickets taken before are no longer valid. */
void cache_drop_heights(struct cache *cache, uint64_t height);

/* Everything is gone. Tickets taken before are no longer valid. */
void cache_clear(struct cache *cache);

/* Change the bound; budgets keep their shares. Where it is lowered, what does not fit is evicted at
 * once, but for objects with views, whose memory comes back with them. False: too small (below
 * CACHE_SIZE_MIN or an eighth of the first size) or no memory. */
bool cache_resize(struct cache *cache, size_t size);

/* Views out. Looks at every object. */
uint64_t cache_views_out(struct cache *cache);

/* A block that was evicted and would be worth packing, pinned; or NULL. Its owner packs the value
 * wherever it likes, stores it with cache_fill_packed and the ticket, and gives it back. */
struct cache_object *cache_take_cold(struct cache *cache, struct cache_ticket *out_ticket);
void cache_return_cold(struct cache *cache, struct cache_object *object);

/* What a pinned object is. */
void cache_describe(const struct cache_object *object, struct bytes *out_key,
                    struct cache_hit *out_hit);

/* Store PACKED in place of the evicted BLOCK, if it was not changed or read again since. */
bool cache_fill_packed(struct cache *cache, const struct cache_object *block, struct bytes packed,
                       struct cache_ticket ticket);

/* An object under construction, pinned: SIZE bytes at OUT_VALUE, to be filled by any one thread,
 * then given to cache_publish, which stores it as cache_fill does. Stored or not, it is a view
 * until it is released. The entry's parts are not used. NULL: no room. */
struct cache_object *cache_reserve(struct cache *cache, const struct cache_entry *entry,
                                   size_t size, uint8_t **out_value);
bool cache_publish(struct cache *cache, struct cache_object *object, struct cache_ticket ticket);

/* Store such an object as cache_put does, with HEAD as there. */
void cache_put_reserved(struct cache *cache, struct cache_object *object, bool head);

/* READ: it was read more than once, or since it was queued. */
typedef void cache_each_type(void *context, struct bytes key, struct bytes value, bool read);

/* Objects of CLASS, at most COUNT, those most used first, as far as the queues tell: READ is that
 * then. */
void cache_list(const struct cache *cache, enum cache_class class, size_t count,
                cache_each_type *each, void *context);

/* The same a little at a time, in no order: those in BUCKETS places from *CURSOR on, 0 at first.
 * False: that was the end. */
bool cache_walk(const struct cache *cache, enum cache_class class, size_t *cursor, size_t buckets,
                cache_each_type *each, void *context);

#endif
