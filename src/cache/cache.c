/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/cache.h"

#include <sched.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "cache/cache_private.h"

enum {
    BYTES_A_BUCKET = 256, /* of the size: about one object a bucket where they are small */
    BUCKETS_A_GHOST = 2,
    SHARE_WHOLE = 1 << 16,
    HEADROOM_PARTS = 16,  /* one of so many is left to no budget: room for what is leaving */
    SWEEPS_A_TURN = 1024, /* buckets */
    SWEEP_SECONDS = 32,   /* for all of them */
    NS_A_SECOND = 1000000000,
    VALUE_ALIGNMENT = 8,
    ADMIT_SIZE_MIN = 16 << 10, /* what is smaller is copied in the time that a read takes anyway */
    PAGES_LEAST = 8,           /* of a cache made smaller: its pages stay as large as they are */
};

static size_t buckets_for(size_t size)
{
    size_t buckets = 1;
    while (buckets * 2 * BYTES_A_BUCKET <= size) {
        buckets *= 2;
    }
    return buckets;
}

static void note_held(struct cache *cache)
{
    atomic_store_explicit(&cache->held_told, slab_held(cache->slab), memory_order_relaxed);
    atomic_store_explicit(&cache->limit_told, slab_limit(cache->slab), memory_order_relaxed);
}

/* ---- life ---- */

static void set_budgets(struct cache *cache)
{
    size_t limit = slab_limit(cache->slab);
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        struct cache_class_state *class = &cache->classes[i];
        uint64_t whole = limit - limit / HEADROOM_PARTS;
        class->budget = whole / SHARE_WHOLE * class->share;
        atomic_store_explicit(&class->budget_told, class->budget, memory_order_relaxed);
    }
}

/* Shares in parts of the whole. False: they are more than all of it. */
static bool set_shares(struct cache *cache, const struct cache_options *options)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        uint64_t share = (uint64_t)options->share[i] * SHARE_WHOLE / 100;
        if (options->budget[i] != 0) {
            if (options->budget[i] > options->size) {
                return false;
            }
            share = (options->budget[i] + options->size / SHARE_WHOLE) /
                    (options->size / SHARE_WHOLE + 1);
            share = share == 0 ? 1 : share;
        }
        cache->classes[i].share = share;
        cache->classes[i].time_to_live = options->time_to_live[i];
        sum += share;
    }
    return sum <= SHARE_WHOLE;
}

static bool make_ghost(struct cache *cache, size_t entries)
{
    size_t size = ghost_size(entries);
    if (!slab_charge(cache->slab, size)) {
        return false;
    }
    if (!ghost_init(&cache->ghost, entries)) {
        slab_refund(cache->slab, size);
        return false;
    }
    cache->ghost_size = size;
    return true;
}

static void drop_ghost(struct cache *cache)
{
    ghost_deinit(&cache->ghost);
    slab_refund(cache->slab, cache->ghost_size);
    cache->ghost_size = 0;
}

static bool make_parts(struct cache *cache, const struct cache_options *options)
{
    cache->slab = slab_create(options->size);
    if (cache->slab == NULL || !slab_charge(cache->slab, sizeof(*cache))) {
        return false;
    }
    size_t buckets = buckets_for(options->size);
    if (!slab_charge(cache->slab, cache_table_size(buckets))) {
        return false;
    }
    size_t doors = buckets < CACHE_DOORS ? buckets : CACHE_DOORS;
    if (!slab_charge(cache->slab, doors * sizeof(*cache->doors))) {
        return false;
    }
    cache->doors = memory_alloc_table(doors * sizeof(*cache->doors));
    cache->door_mask = doors - 1;
    if (cache->doors == NULL) {
        return false;
    }
    static const size_t buckets_a_hint[] = {[CACHE_HINTS_PLACES] = 4, [CACHE_HINTS_STATE] = 2};
    for (unsigned i = 0; i < CACHE_HINTS_COUNT; i++) {
        size_t hints = buckets / buckets_a_hint[i];
        if (!slab_charge(cache->slab, cache_hint_size(hints)) ||
            !cache_hint_init(cache, (enum cache_hints)i, hints)) {
            return false;
        }
    }
    struct cache_table *table = cache_table_create(buckets, 0);
    atomic_init(&cache->table, table);
    return table != NULL && make_ghost(cache, buckets / BUCKETS_A_GHOST);
}

struct cache *cache_create(const struct cache_options *options)
{
    if (options->size < CACHE_SIZE_MIN || options->head_blocks > CACHE_HEAD_BLOCKS_MAX ||
        options->packed_share > CACHE_PACKED_SHARE_MAX) {
        return NULL;
    }
    struct cache *cache = memory_alloc_aligned(sizeof(*cache), 64);
    if (cache == NULL) {
        return NULL;
    }
    memset(cache, 0, sizeof(*cache));
    readers_init(&cache->readers);
    cache->seed = options->seed;
    cache->head_blocks = options->head_blocks;
    cache->packed_share = options->packed_share;
    for (unsigned i = 0; i < CACHE_GENERATIONS; i++) {
        atomic_init(&cache->dropped_from[i], UINT64_MAX);
    }
    if (!set_shares(cache, options) || !make_parts(cache, options)) {
        cache_destroy(cache);
        return NULL;
    }
    set_budgets(cache);
    while (options->touch && slab_touch(cache->slab)) {
    }
    note_held(cache);
    return cache;
}

void cache_destroy(struct cache *cache)
{
    if (cache != NULL) {
        memory_free(atomic_load_explicit(&cache->table, memory_order_relaxed));
        memory_free(cache->old_table);
        memory_free(cache->doors);
        for (unsigned i = 0; i < CACHE_HINTS_COUNT; i++) {
            memory_free(cache->hints[i].places);
        }
        ghost_deinit(&cache->ghost);
        slab_destroy(cache->slab);
        memory_free(cache);
    }
}

/* ---- any thread ---- */

/* The hash of KEY is HASH. */
static bool find(struct cache *cache, enum cache_class class, struct bytes key, uint64_t hash,
                 struct cache_hit *out_hit, bool count_misses)
{
    struct readers_slot *slot = readers_enter(&cache->readers);
    if (slot == NULL) {
        return false;
    }
    bool closed = cache_is_closed(cache, class, hash);
    struct cache_object *object = closed ? NULL : cache_table_find(cache, hash, class, key);
    if (object == NULL || cache_reclaim_is_stale(cache, object)) {
        if (object != NULL && count_misses) {
            readers_count(slot, cache_counter_stale(class));
        }
        if (count_misses) {
            readers_count(slot, cache_counter_miss(class));
        }
        readers_leave(slot);
        return false;
    }
    /* It was in reach after we entered, so the cache's own reference is still there. */
    atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed);
    uint8_t frequency = atomic_load_explicit(&object->frequency, memory_order_relaxed);
    if (frequency < CACHE_FREQUENCY_MAX) {
        atomic_store_explicit(&object->frequency, frequency + 1, memory_order_relaxed);
    }
    enum cache_tier tier =
        (enum cache_tier)atomic_load_explicit(&object->tier, memory_order_relaxed);
    readers_count(slot, cache_counter_hit(class, tier));
    readers_leave(slot);
    cache_describe(object, NULL, out_hit);
    return true;
}

bool cache_find(struct cache *cache, enum cache_class class, struct bytes key,
                struct cache_hit *out_hit)
{
    return find(cache, class, key, cache_hash(cache, class, key), out_hit, true);
}

bool cache_find_hashed(struct cache *cache, enum cache_class class, struct bytes key, uint64_t hash,
                       struct cache_hit *out_hit)
{
    return find(cache, class, key, hash, out_hit, true);
}

bool cache_try(struct cache *cache, enum cache_class class, struct bytes key,
               struct cache_hit *out_hit)
{
    return find(cache, class, key, cache_hash(cache, class, key), out_hit, false);
}

void cache_describe(const struct cache_object *object, struct bytes *out_key,
                    struct cache_hit *out_hit)
{
    if (out_key != NULL) {
        *out_key = cache_key_of(object);
    }
    *out_hit = (struct cache_hit){
        .object = (struct cache_object *)(uintptr_t)object,
        .value = bytes_of((const uint8_t *)object + object->value_offset, object->value_size),
        .height = object->height,
        .flags = object->flags,
    };
}

bool cache_is_shut(const struct cache *cache, uint64_t hash)
{
    return cache_is_closed(cache, CACHE_STATE, hash);
}

void cache_pin(struct cache_object *object)
{
    atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed);
}

void cache_release(struct cache_object *object)
{
    /* The last one has seen what the others did with it. */
    if (atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct cache *cache = object->cache;
    struct cache_object *first = atomic_load_explicit(&cache->returned, memory_order_relaxed);
    do {
        object->newer = first;
    } while (!atomic_compare_exchange_weak_explicit(&cache->returned, &first, object,
                                                    memory_order_release, memory_order_relaxed));
}

static uint64_t told(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void cache_get_stats(const struct cache *cache, struct cache_stats *out_stats)
{
    *out_stats = (struct cache_stats){
        .limit = told(&cache->limit_told),
        .held = told(&cache->held_told),
        .leaving = told(&cache->leaving),
    };
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        const struct cache_class_state *class = &cache->classes[i];
        struct cache_class_stats *out = &out_stats->classes[i];
        for (unsigned tier = 0; tier < CACHE_TIER_COUNT; tier++) {
            out->hits[tier] = readers_sum(
                &cache->readers, cache_counter_hit((enum cache_class)i, (enum cache_tier)tier));
            out->bytes[tier] = told(&class->bytes[tier]);
            out->objects[tier] = told(&class->objects[tier]);
        }
        out->misses = readers_sum(&cache->readers, cache_counter_miss((enum cache_class)i));
        out->stale = readers_sum(&cache->readers, cache_counter_stale((enum cache_class)i));
        out->budget = told(&class->budget_told);
        out->inserts = told(&class->inserts);
        out->replaced = told(&class->replaced);
        out->returned = told(&class->returned);
        out->evictions = told(&class->evictions);
        out->expirations = told(&class->expirations);
        out->dropped = told(&class->dropped);
        out->refused = told(&class->refused);
    }
}

/* ---- the writer ---- */

void cache_tick(struct cache *cache, uint64_t now_ns)
{
    uint32_t clock = (uint32_t)(now_ns / NS_A_SECOND) + 1;
    atomic_store_explicit(&cache->clock, clock, memory_order_relaxed);
    if (clock != cache->sweep_clock) {
        const struct cache_table *table = atomic_load_explicit(&cache->table, memory_order_relaxed);
        cache->sweep_clock = clock;
        cache->sweep_left = table->mask / SWEEP_SECONDS + 1;
    }
    if (cache->sweep_left != 0) {
        size_t count = cache->sweep_left < SWEEPS_A_TURN ? cache->sweep_left : SWEEPS_A_TURN;
        cache->sweep_left -= count;
        cache_reclaim_sweep(cache, count);
    }
    cache_reclaim(cache);
    note_held(cache);
}

static uint32_t *changes_of(struct cache *cache, uint64_t hash)
{
    return &cache->changes[hash % CACHE_SHARDS];
}

struct cache_ticket cache_take_ticket(const struct cache *cache, enum cache_class class,
                                      struct bytes key)
{
    uint64_t hash = cache_hash(cache, class, key);
    return (struct cache_ticket){
        .changes = cache->changes[hash % CACHE_SHARDS],
        .generation = cache->ticket_generation,
        .closed = cache_is_closed(cache, class, hash),
    };
}

static bool is_valid(const struct cache *cache, uint64_t hash, struct cache_ticket ticket)
{
    return !ticket.closed && ticket.generation == cache->ticket_generation &&
           ticket.changes == cache->changes[hash % CACHE_SHARDS];
}

/* An object for ENTRY with room for SIZE bytes of value, not in reach yet, with one reference.
 * NULL: no room. */
static struct cache_object *make_object(struct cache *cache, const struct cache_entry *entry,
                                        size_t size)
{
    struct cache_class_state *class = &cache->classes[entry->class];
    bool packed = (entry->flags & CACHE_FLAG_PACKED) != 0;
    ensure(entry->key.size >= 1 && entry->key.size <= CACHE_KEY_MAX);
    size_t offset = offsetof(struct cache_object, key) + entry->key.size;
    offset = (offset + VALUE_ALIGNMENT - 1) / VALUE_ALIGNMENT * VALUE_ALIGNMENT;
    struct cache_object *object = NULL;
    if (size < UINT32_MAX - offset &&
        cache_queue_fit(cache, entry->class, slab_size_for(cache->slab, offset + size), packed)) {
        object = cache_reclaim_alloc(cache, entry->class, offset + size);
    }
    if (object == NULL) {
        cache_add(&class->refused, 1);
        return NULL;
    }
    atomic_init(&object->references, 1);
    atomic_init(&object->chain[0], NULL);
    atomic_init(&object->chain[1], NULL);
    atomic_init(&object->tier, CACHE_HOT);
    atomic_init(&object->frequency, 0);
    atomic_init(&object->generation, (uint8_t)(cache->generation % CACHE_GENERATIONS));
    object->hash = cache_hash(cache, entry->class, entry->key);
    object->cache = cache;
    object->newer = NULL;
    object->older = NULL;
    object->height = entry->height;
    object->expires = 0;
    object->value_size = (uint32_t)size;
    object->value_offset = (uint32_t)offset;
    object->key_size = (uint8_t)entry->key.size;
    object->class = (uint8_t)entry->class;
    object->flags = (uint8_t)entry->flags;
    object->queue = 0;
    object->state = CACHE_MADE;
    memcpy(object->key, entry->key.data, entry->key.size);
    return object;
}

static struct cache_object *make_with_value(struct cache *cache, const struct cache_entry *entry)
{
    ensure(entry->part_count <= CACHE_PARTS_MAX);
    size_t size = 0;
    for (unsigned i = 0; i < entry->part_count; i++) {
        size += entry->parts[i].size;
    }
    struct cache_object *object = make_object(cache, entry, size);
    if (object != NULL) {
        uint8_t *out = cache_value_of(object);
        for (unsigned i = 0; i < entry->part_count; i++) {
            if (entry->parts[i].size != 0) {
                memcpy(out, entry->parts[i].data, entry->parts[i].size);
                out += entry->parts[i].size;
            }
        }
    }
    return object;
}

/* The queue of a new object, in place of OLD where there is one. */
static enum cache_queue_kind queue_for(struct cache *cache, const struct cache_object *object,
                                       const struct cache_object *old, bool head)
{
    struct cache_class_state *class = &cache->classes[object->class];
    if ((object->flags & CACHE_FLAG_PACKED) != 0) {
        return CACHE_QUEUE_PACKED;
    }
    if (head && cache->head_blocks != 0) {
        return CACHE_QUEUE_HEAD;
    }
    if (old != NULL) {
        return old->queue == CACHE_QUEUE_MAIN || old->queue == CACHE_QUEUE_PACKED
                   ? CACHE_QUEUE_MAIN
                   : CACHE_QUEUE_SMALL;
    }
    uint64_t window = class->queues[CACHE_QUEUE_MAIN].count;
    if (ghost_take(&cache->ghost, object->hash, class->ghost_sequence,
                   window < UINT32_MAX ? (uint32_t)window : UINT32_MAX)) {
        cache_add(&class->returned, 1);
        return CACHE_QUEUE_MAIN;
    }
    return CACHE_QUEUE_SMALL;
}

/* Bring OBJECT into reach, with the reference it has as the cache's, in place of OLD. */
static void link_object(struct cache *cache, struct cache_object *object, struct cache_object *old,
                        bool head)
{
    struct cache_class_state *class = &cache->classes[object->class];
    uint32_t clock = atomic_load_explicit(&cache->clock, memory_order_relaxed);
    object->expires = class->time_to_live == 0 ? 0 : clock + class->time_to_live;
    object->state = CACHE_LINKED;
    if (old != NULL) {
        uint8_t frequency = atomic_load_explicit(&old->frequency, memory_order_relaxed);
        atomic_store_explicit(&object->frequency, frequency, memory_order_relaxed);
    }
    cache_queue_push(cache, object, queue_for(cache, object, old, head));
    cache_table_insert(cache, object);
    cache_add(&class->inserts, 1);
    if (old != NULL) { /* it is behind the new one in its chain */
        cache_add(&class->replaced, 1);
        cache_reclaim_retire(cache, old);
    }
    if (head) {
        if (object->height > cache->newest) {
            cache->newest = object->height;
        }
        cache_queue_age_head(cache, (enum cache_class)object->class);
    }
}

bool cache_put(struct cache *cache, const struct cache_entry *entry)
{
    uint64_t hash = cache_hash(cache, entry->class, entry->key);
    ++*changes_of(cache, hash);
    struct cache_object *object = make_with_value(cache, entry);
    /* Only now: making room may have evicted it. */
    struct cache_object *old = cache_table_find(cache, hash, entry->class, entry->key);
    if (object != NULL) {
        link_object(cache, object, old, entry->head);
    } else if (old != NULL) {
        cache_reclaim_retire(cache, old);
    }
    note_held(cache);
    return object != NULL;
}

void cache_remove(struct cache *cache, enum cache_class class, struct bytes key)
{
    cache_remove_hashed(cache, class, key, cache_hash(cache, class, key));
}

void cache_remove_hashed(struct cache *cache, enum cache_class class, struct bytes key,
                         uint64_t hash)
{
    ++*changes_of(cache, hash);
    struct cache_object *old = cache_table_find(cache, hash, class, key);
    if (old != NULL) {
        cache_add(&cache->classes[class].dropped, 1);
        cache_reclaim_retire(cache, old);
    }
}

void cache_close(struct cache *cache, uint64_t hash, uint64_t sequence)
{
    ++*changes_of(cache, hash);
    atomic_store_explicit(&cache->closed, sequence, memory_order_relaxed);
    atomic_store_explicit(&cache->doors[hash >> 32 & cache->door_mask], sequence,
                          memory_order_relaxed);
}

void cache_open(struct cache *cache, uint64_t sequence)
{
    ensure(sequence >= told(&cache->opened));
    atomic_store_explicit(&cache->opened, sequence, memory_order_release);
}

bool cache_peek(struct cache *cache, enum cache_class class, struct bytes key,
                struct cache_hit *out_hit)
{
    uint64_t hash = cache_hash(cache, class, key);
    struct cache_object *object = cache_table_find(cache, hash, class, key);
    if (object == NULL || cache_is_closed(cache, class, hash) ||
        cache_reclaim_is_stale(cache, object)) {
        return false;
    }
    cache_pin(object);
    cache_describe(object, NULL, out_hit);
    return true;
}

bool cache_holds_packed(const struct cache *cache)
{
    return cache->classes[CACHE_BLOCKS].queues[CACHE_QUEUE_PACKED].count != 0;
}

bool cache_holds(const struct cache *cache, enum cache_class class)
{
    const struct cache_queue *queues = cache->classes[class].queues;
    uint64_t count = 0;
    for (unsigned k = 0; k < CACHE_QUEUE_COUNT; k++) {
        count += queues[k].count;
    }
    return count != 0;
}

void cache_refuse_tickets(struct cache *cache)
{
    cache->ticket_generation++;
}

/* What may take the place of an object that is there: nothing does, but for a packed or a stale
 * one. */
static bool may_replace(const struct cache *cache, const struct cache_object *old)
{
    return old == NULL || (old->flags & CACHE_FLAG_PACKED) != 0 ||
           cache_reclaim_is_stale(cache, old);
}

bool cache_publish(struct cache *cache, struct cache_object *object, struct cache_ticket ticket)
{
    struct bytes key = cache_key_of(object);
    enum cache_class class = (enum cache_class)object->class;
    struct cache_object *old = cache_table_find(cache, object->hash, class, key);
    ensure(object->state == CACHE_MADE);
    if (!is_valid(cache, object->hash, ticket) || !may_replace(cache, old)) {
        cache_add(&cache->classes[class].refused, 1);
        return false;
    }
    cache_pin(object); /* the cache's own */
    link_object(cache, object, old, false);
    return true;
}

void cache_put_reserved(struct cache *cache, struct cache_object *object, bool head)
{
    enum cache_class class = (enum cache_class)object->class;
    ensure(object->state == CACHE_MADE);
    ++*changes_of(cache, object->hash);
    struct cache_object *old = cache_table_find(cache, object->hash, class, cache_key_of(object));
    cache_pin(object); /* the cache's own */
    link_object(cache, object, old, head);
    note_held(cache);
}

bool cache_admit(struct cache *cache, enum cache_class class, struct bytes key, size_t size)
{
    struct cache_class_state *state = &cache->classes[class];
    uint64_t hash = cache_hash(cache, class, key);
    if (size < ADMIT_SIZE_MIN || cache_table_find(cache, hash, class, key) != NULL) {
        return true;
    }
    uint64_t window = state->budget / size;
    if (ghost_has(&cache->ghost, hash, state->ghost_sequence,
                  window < UINT32_MAX ? (uint32_t)window : UINT32_MAX)) {
        return true; /* it stays noted for queue_for, which looks for it too */
    }
    ghost_note(&cache->ghost, hash, ++state->ghost_sequence);
    cache_add(&state->refused, 1);
    return false;
}

bool cache_fill(struct cache *cache, const struct cache_entry *entry, struct cache_ticket ticket)
{
    uint64_t hash = cache_hash(cache, entry->class, entry->key);
    if (!is_valid(cache, hash, ticket) ||
        !may_replace(cache, cache_table_find(cache, hash, entry->class, entry->key))) {
        cache_add(&cache->classes[entry->class].refused, 1);
        return false;
    }
    struct cache_object *object = make_with_value(cache, entry);
    if (object != NULL) {
        struct cache_object *old = cache_table_find(cache, hash, entry->class, entry->key);
        if (object->value_size >= ADMIT_SIZE_MIN) { /* admitted, so it was read before */
            atomic_store_explicit(&object->frequency, 1, memory_order_relaxed);
        }
        link_object(cache, object, old, false);
    }
    note_held(cache);
    return object != NULL;
}

struct cache_object *cache_reserve(struct cache *cache, const struct cache_entry *entry,
                                   size_t size, uint8_t **out_value)
{
    struct cache_object *object = make_object(cache, entry, size);
    if (object != NULL) {
        *out_value = cache_value_of(object);
    }
    note_held(cache);
    return object;
}

struct cache_object *cache_take_cold(struct cache *cache, struct cache_ticket *out_ticket)
{
    if (cache->cold_count == 0) {
        return NULL;
    }
    struct cache_object *object = cache->cold[--cache->cold_count];
    cache->cold_taken++;
    *out_ticket = (struct cache_ticket){
        .changes = *changes_of(cache, object->hash),
        .generation = cache->ticket_generation,
    };
    return object;
}

void cache_return_cold(struct cache *cache, struct cache_object *object)
{
    ensure(cache->cold_taken > 0);
    cache->cold_taken--;
    cache_release(object);
}

bool cache_fill_packed(struct cache *cache, const struct cache_object *block, struct bytes packed,
                       struct cache_ticket ticket)
{
    struct bytes key = cache_key_of(block);
    enum cache_class class = (enum cache_class)block->class;
    if (!is_valid(cache, block->hash, ticket) ||
        cache_table_find(cache, block->hash, class, key) != NULL) {
        return false;
    }
    struct cache_entry entry = {
        .class = class,
        .key = key,
        .parts = {packed},
        .part_count = 1,
        .height = block->height,
        .flags = block->flags | CACHE_FLAG_PACKED,
    };
    struct cache_object *object = make_with_value(cache, &entry);
    if (object != NULL) {
        link_object(cache, object, NULL, false);
    }
    note_held(cache);
    return object != NULL;
}

/* ---- all at once ---- */

static void drop_cold(struct cache *cache)
{
    while (cache->cold_count != 0) {
        cache_release(cache->cold[--cache->cold_count]);
    }
}

/* Every generation has its place, and places are used again: before that, what is left of older
 * ones joins the present one. */
static void join_generations(struct cache *cache)
{
    const struct cache_table *table = atomic_load_explicit(&cache->table, memory_order_relaxed);
    cache_reclaim_sweep(cache, table->mask + 1);
    uint64_t cursor = 0;
    struct slab_chunk *chunk;
    while ((chunk = slab_next(cache->slab, SLAB_LIVE, &cursor)) != NULL) {
        struct cache_object *object = (struct cache_object *)(void *)chunk;
        if (object->state == CACHE_LINKED) {
            atomic_store_explicit(&object->generation, 0, memory_order_relaxed);
        }
    }
    /* A reader that is on its way to one of those swept must not take the place for a new one. */
    uint64_t epoch = readers_epoch(&cache->readers);
    readers_advance(&cache->readers);
    while (readers_oldest(&cache->readers) <= epoch) {
        (void)sched_yield(); /* cannot fail on Linux */
    }
}

void cache_drop_heights(struct cache *cache, uint64_t height)
{
    for (unsigned i = 0; i < CACHE_GENERATIONS; i++) {
        if (height < told(&cache->dropped_from[i])) {
            atomic_store_explicit(&cache->dropped_from[i], height, memory_order_seq_cst);
        }
    }
    cache->generation++;
    cache->ticket_generation++;
    drop_cold(cache);
    unsigned place = cache->generation % CACHE_GENERATIONS;
    if (place == 0) {
        join_generations(cache);
    }
    atomic_store_explicit(&cache->dropped_from[place], UINT64_MAX, memory_order_seq_cst);
    if (cache->newest >= height) {
        cache->newest = height == 0 ? 0 : height - 1;
    }
}

void cache_clear(struct cache *cache)
{
    cache->ticket_generation++;
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        struct cache_class_state *class = &cache->classes[i];
        for (unsigned k = 0; k < CACHE_QUEUE_COUNT; k++) {
            while (class->queues[k].oldest != NULL) {
                cache_add(&class->dropped, 1);
                cache_reclaim_retire(cache, class->queues[k].oldest);
            }
        }
    }
    drop_cold(cache);
    cache_reclaim(cache);
    note_held(cache);
}

bool cache_resize(struct cache *cache, size_t size)
{
    if (size < CACHE_SIZE_MIN || size / PAGES_LEAST < slab_page_size(cache->slab)) {
        return false;
    }
    size_t buckets = buckets_for(size);
    bool smaller = size < slab_limit(cache->slab);
    size_t now = atomic_load_explicit(&cache->table, memory_order_relaxed)->mask + 1;
    if (!smaller && !slab_set_limit(cache->slab, size)) {
        return false;
    }
    drop_ghost(cache); /* what it took is room enough for a smaller table beside the old one */
    if (buckets != now) {
        (void)cache_table_rebuild(cache,
                                  buckets); /* the one that is there serves as well, slower */
    }
    if (smaller) {
        ensure(slab_set_limit(cache->slab, size));
    }
    set_budgets(cache);
    unsigned packed_share = cache->packed_share;
    cache->packed_share = 0; /* nothing waits to be packed now */
    drop_cold(cache);
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        cache_queue_age_head(cache, (enum cache_class)i);
        (void)cache_queue_fit(cache, (enum cache_class)i, 0, false); /* as far as it goes */
    }
    cache_reclaim_shrink(cache);
    cache->packed_share = packed_share;
    /* Where views hold what should have gone there is no room: then nothing is remembered. */
    (void)make_ghost(cache, buckets / BUCKETS_A_GHOST);
    note_held(cache);
    return true;
}

uint64_t cache_views_out(struct cache *cache)
{
    uint64_t sum = 0;
    uint64_t cursor = 0;
    struct slab_chunk *chunk;
    cache_reclaim(cache);
    while ((chunk = slab_next(cache->slab, SLAB_LIVE, &cursor)) != NULL) {
        const struct cache_object *object = (const struct cache_object *)(const void *)chunk;
        bool own = object->state == CACHE_LINKED || object->state == CACHE_RETIRED;
        sum += atomic_load_explicit(&object->references, memory_order_acquire) - (own ? 1 : 0);
    }
    unsigned cold = cache->cold_count + cache->cold_taken;
    ensure(sum >= cold);
    return sum - cold;
}

void cache_list(const struct cache *cache, enum cache_class class, size_t count,
                cache_each_type *each, void *context)
{
    static const enum cache_queue_kind order[] = {CACHE_QUEUE_MAIN, CACHE_QUEUE_HEAD,
                                                  CACHE_QUEUE_SMALL};
    /* First those read since they were queued, then the rest. */
    for (unsigned unread = 0; unread < 2; unread++) {
        for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
            const struct cache_object *object = cache->classes[class].queues[order[i]].newest;
            for (; object != NULL && count > 0; object = object->older) {
                bool read = atomic_load_explicit(&object->frequency, memory_order_relaxed) != 0;
                if (read == (unread == 0) && !cache_reclaim_is_stale(cache, object)) {
                    each(context, cache_key_of(object), cache_contents_of(object), read);
                    count--;
                }
            }
        }
    }
}
