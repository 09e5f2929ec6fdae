/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settled blocks whose values are on their way into the cache: a few at a time, block after block
 * in their order, because a thousand of them take the loop longer than the write of the next group.
 * Their keys stay closed meanwhile (store_cache.c), so whoever asks for one is answered by the
 * batches, which have it already. */
#include "base/ensure.h"
#include "store/hot_places.h"
#include "store/store_private.h"

enum {
    FILL_MAX = 16,   /* blocks that may wait here */
    FILL_PIECE = 64, /* values put in one turn of the loop */
    /* Memory is slow: what a value will touch is fetched while others before it are put. */
    BUCKETS_AHEAD = 16,
    OBJECTS_AHEAD = 10,
    NEIGHBOURS_AHEAD = 5,
};

typedef void fetch_fn(const struct cache *cache, enum cache_class class, struct bytes key);

static void fetch(struct store *store, struct bytes *cursor, fetch_fn *step)
{
    struct record_change change;
    if (record_next_change(cursor, &change) == 0) {
        step(store->cache, CACHE_STATE, change.key);
    }
}

static void begin(struct store_put *put)
{
    struct store_fill *fill = &put->fill;
    struct bytes changes = buffer_bytes(&put->prepare.changes);
    *fill = (struct store_fill){.begun = true,
                                .next = changes,
                                .buckets = changes,
                                .objects = changes,
                                .neighbours = changes};
    for (unsigned i = 0; i < BUCKETS_AHEAD; i++) {
        fetch(put->store, &fill->buckets, cache_fetch_ahead);
    }
    for (unsigned i = 0; i < OBJECTS_AHEAD; i++) {
        fetch(put->store, &fill->objects, cache_fetch_object);
    }
    for (unsigned i = 0; i < NEIGHBOURS_AHEAD; i++) {
        fetch(put->store, &fill->neighbours, cache_fetch_neighbours);
    }
}

/* Put up to COUNT more values. False: there are no more. */
static bool put_values(struct store_put *put, unsigned count)
{
    struct store *store = put->store;
    struct store_fill *fill = &put->fill;
    struct record_change change;
    for (; count > 0; count--) {
        if (record_next_change(&fill->next, &change) != 0) {
            return false;
        }
        fetch(store, &fill->buckets, cache_fetch_ahead);
        fetch(store, &fill->objects, cache_fetch_object);
        fetch(store, &fill->neighbours, cache_fetch_neighbours);
        struct cache_entry entry = {
            .class = CACHE_STATE,
            .key = change.key,
            .parts = {change.value},
            .part_count = change.removed ? 0 : 1,
            .height = put->block.height,
            .flags = change.removed ? HOT_ABSENT : 0,
            .head = true,
        };
        (void)cache_put(store->cache, &entry); /* no room: it is read when asked for */
    }
    return fill->next.size != 0;
}

/* The first has its values. */
static void end_first(struct store *store)
{
    struct store_put *put = store->filling.first;
    ensure(put != NULL && store->filling.count != 0);
    store->filling.first = put->next;
    store->filling.count--;
    put->settled = true;
    store_cache_open(put);
    put->next = store->put_pool;
    store->put_pool = put;
}

void store_fill_push(struct store *store, struct store_put *put)
{
    struct store_put_queue *queue = &store->filling;
    put->fill.begun = false;
    put->next = NULL;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    *queue->last = put;
    queue->last = &put->next;
    queue->count++;
    struct bytes changes = buffer_bytes(&put->prepare.changes);
    if (store->cache != NULL && put->places.size != 0) {
        hot_places_put(store->cache, put->block.height, buffer_bytes(&put->places), NULL);
        buffer_clear(&put->places);
    }
    if (store->cache == NULL) {
        end_first(store);
    } else if (store->options.bulk) {
        /* Nobody reads yet what is stored: only what is there is kept right. */
        if (cache_holds(store->cache, CACHE_STATE)) {
            store_cache_forget(store, changes);
        }
        end_first(store);
    }
    while (queue->count > FILL_MAX) {
        (void)store_fill_piece(store); /* there is more */
    }
}

bool store_fill_piece(struct store *store)
{
    struct store_put *put = store->filling.first;
    if (put == NULL) {
        return false;
    }
    if (!put->fill.begun) {
        begin(put);
    } else if (!put_values(put, FILL_PIECE)) {
        end_first(store);
    }
    return store->filling.first != NULL;
}

void store_fill_stop(struct store *store)
{
    while (store->filling.first != NULL) {
        struct store_put *put = store->filling.first;
        bool begun = put->fill.begun;
        store_cache_forget(store, begun ? put->fill.next : buffer_bytes(&put->prepare.changes));
        end_first(store);
    }
}
