/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a block brings into the cache, in pieces so small that an answer of the kernel never waits
 * for more than one. Most is done while the block is being written: its record and its values are
 * copied into objects that nobody can reach yet, and the hints to the values are written, whose
 * keys are closed (store_cache.c). Once the block is durable the objects are put in reach and the
 * keys opened, before it is acknowledged. What was not ready by then follows in the same pieces.
 *
 * The values of blocks become known in the order of the blocks: a hint to an older value must not
 * be written over one to a newer. Where a block fails, hints to its values lead to nothing. */
#include "base/ensure.h"
#include "store/hot_places.h"
#include "store/hot_values.h"
#include "store/store_private.h"

enum {
    FILL_MAX = 16,   /* blocks that may wait here */
    FILL_PIECE = 256 /* values told of in one turn of the loop */
};

static struct cache_object *reserve(struct store *store, const struct cache_entry *entry)
{
    size_t size = 0;
    for (unsigned i = 0; i < entry->part_count; i++) {
        size += entry->parts[i].size;
    }
    uint8_t *out;
    struct cache_object *object = cache_reserve(store->cache, entry, size, &out);
    for (unsigned i = 0; object != NULL && i < entry->part_count; i++) {
        if (entry->parts[i].size != 0) {
            memcpy(out, entry->parts[i].data, entry->parts[i].size);
            out += entry->parts[i].size;
        }
    }
    store->fill_objects += object != NULL;
    return object;
}

static void release(struct store *store, struct cache_object **object)
{
    if (*object != NULL) {
        ensure(store->fill_objects > 0);
        store->fill_objects--;
        cache_release(*object);
        *object = NULL;
    }
}

static void copy_record(struct store_put *put)
{
    struct cache_entry entry;
    store_cache_record(put, &entry);
    put->fill.record = reserve(put->store, &entry); /* no room: it is read when asked for */
}

static void copy_values(struct store_put *put)
{
    struct store *store = put->store;
    struct store_fill *fill = &put->fill;
    struct bytes changes = buffer_bytes(&put->prepare.changes);
    struct hot_values_key key;
    fill->rest = changes;
    if (put->values.size == 0 &&
        hot_values_index(store->cache, changes, &put->values, &put->value_hashes) != 0) {
        fill->forget = true; /* no memory: nothing is known of these keys */
        return;
    }
    fill->number = ++store->values_number;
    struct cache_entry entry = {
        .class = CACHE_STATE,
        .key = hot_values_key(fill->number, &key),
        .parts = {buffer_bytes(&put->values), changes},
        .part_count = 2,
        .height = put->append.height,
    };
    fill->values = reserve(store, &entry);
    fill->forget = fill->values == NULL;
}

/* The next piece. False: all is ready. */
static bool do_piece(struct store_put *put)
{
    struct store_fill *fill = &put->fill;
    struct store *store = put->store;
    switch (fill->stage) {
    case STORE_FILL_RECORD:
        if (!put->update && put->request != NULL) { /* else its bytes are not there any more */
            copy_record(put);
        }
        fill->stage = put->prepare.changes.size == 0 ? STORE_FILL_READY : STORE_FILL_VALUES;
        break;
    case STORE_FILL_VALUES:
        copy_values(put);
        fill->stage = STORE_FILL_HINTS;
        break;
    case STORE_FILL_HINTS:
        if (fill->forget) {
            store_cache_forget(store, buffer_bytes(&put->prepare.changes));
            fill->stage = STORE_FILL_READY;
        } else if (!hot_values_tell(store->cache, fill->number, buffer_bytes(&put->value_hashes),
                                    &fill->rest, &fill->next, FILL_PIECE)) {
            fill->stage = STORE_FILL_READY;
        }
        break;
    case STORE_FILL_READY:
        return false;
    }
    return true;
}

/* Of a block that is durable: its values are there. */
static void show_values(struct store_put *put)
{
    if (put->fill.values != NULL) {
        cache_put_reserved(put->store->cache, put->fill.values, true);
        release(put->store, &put->fill.values);
    }
    put->settled = true;
    store_cache_open(put);
}

void store_fill_begin(struct store_put *put)
{
    put->fill = (struct store_fill){.stage = STORE_FILL_RECORD};
}

void store_fill_drop(struct store_put *put)
{
    struct store_fill *fill = &put->fill;
    release(put->store, &fill->record);
    release(put->store, &fill->values);
    *fill = (struct store_fill){.stage = STORE_FILL_READY};
}

bool store_fill_show(struct store_put *put)
{
    struct store_fill *fill = &put->fill;
    bool shown = fill->record != NULL;
    if (shown) {
        cache_put_reserved(put->store->cache, fill->record, true);
        release(put->store, &fill->record);
    }
    if (fill->stage == STORE_FILL_READY) {
        show_values(put);
    }
    return shown;
}

static void give_back(struct store_put *put)
{
    store_fill_drop(put);
    put->next = put->store->put_pool;
    put->store->put_pool = put;
}

/* The first has its values. */
static void end_first(struct store *store)
{
    struct store_put *put = store->filling.first;
    ensure(put != NULL && store->filling.count != 0);
    store->filling.first = put->next;
    store->filling.count--;
    show_values(put);
    give_back(put);
}

void store_fill_push(struct store *store, struct store_put *put)
{
    struct store_put_queue *queue = &store->filling;
    if (store->cache != NULL && put->places.size != 0) {
        hot_places_put(store->cache, put->block.height, buffer_bytes(&put->places), NULL);
        buffer_clear(&put->places);
    }
    if (store->cache != NULL && store->options.bulk && !put->settled) {
        /* Nobody reads yet what is stored: only what is there is kept right. */
        if (cache_holds(store->cache, CACHE_STATE)) {
            store_cache_forget(store, buffer_bytes(&put->prepare.changes));
        }
        show_values(put);
    }
    if (store->cache == NULL || put->settled) {
        give_back(put);
        return;
    }
    put->next = NULL;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    *queue->last = put;
    queue->last = &put->next;
    queue->count++;
    while (queue->count > FILL_MAX) {
        (void)store_fill_piece(store); /* there is more */
    }
}

/* The first block that is durable and whose values are not all there. */
static struct store_put *find_durable(const struct store *store)
{
    struct store_put *put = store->filling.first;
    for (put = put != NULL ? put : store->settling.first; put != NULL; put = put->next) {
        if (!put->settled) {
            return put;
        }
    }
    return NULL;
}

/* The first on its way to the disk of which more can be done: its keys are closed, and what a
 * worker makes of it is there. */
static struct store_put *find_appended(const struct store *store)
{
    struct store_put *put = store->appended.first;
    while (put != NULL && (put->side || put->fill.stage == STORE_FILL_READY)) {
        put = put->next;
    }
    return put != NULL && put->indexed && put->prepare.result == 0 && put->cache_sequence != 0
               ? put
               : NULL;
}

bool store_fill_piece(struct store *store)
{
    if (store->cache == NULL || store->options.bulk) {
        return false;
    }
    struct store_put *put = find_durable(store);
    if (put == NULL) {
        put = find_appended(store);
        return put != NULL && do_piece(put);
    }
    if (!do_piece(put)) {
        if (put == store->filling.first) {
            end_first(store);
        } else {
            show_values(put);
        }
    }
    return true;
}

unsigned store_objects_held(const struct store *store)
{
    return store->fill_objects;
}

void store_fill_stop(struct store *store)
{
    while (store->filling.first != NULL) {
        struct store_put *put = store->filling.first;
        store_cache_forget(store, buffer_bytes(&put->prepare.changes));
        store_fill_drop(put);
        end_first(store);
    }
}
