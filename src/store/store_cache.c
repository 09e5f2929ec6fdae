/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store's side of the cache. A block that becomes visible goes in before it is acknowledged;
 * what a read brought from the tables or the ledger goes in if nothing changed meanwhile.
 *
 * Keys that a block changes are closed before it is acknowledged, and open when their new values
 * are there (store_fill.c), which may be later. So a thread that has seen one of the new values
 * finds no old one beside it, and the acknowledgement does not wait for a thousand copies.
 */
#include "base/ensure.h"
#include "store/hot_places.h"
#include "store/hot_values.h"
#include "store/state_key.h"
#include "store/store_private.h"

static_assert((int)STATE_KEY_MAX <= (int)CACHE_KEY_MAX, "every state key is a key of the cache");

void store_cache_head(struct store *store)
{
    struct stoa_head head;
    if (store->cache == NULL) {
        return;
    }
    store_get_head(store, &head);
    struct cache_entry entry = {
        .class = CACHE_HEIGHTS,
        .key = hot_head_key(),
        .parts = {bytes_of(&head, sizeof(head))},
        .part_count = 1,
        .height = head.height,
        .head = true,
    };
    (void)cache_put(store->cache, &entry); /* where there is no room the loop answers */
    if (!store->head.present || !store->head.state_known) {
        cache_remove(store->cache, CACHE_HEIGHTS, hot_known_key());
        return;
    }
    entry.key = hot_known_key();
    entry.part_count = 0;
    (void)cache_put(store->cache, &entry);
}

void store_cache_drop(struct store *store, uint64_t height)
{
    if (store->cache != NULL) {
        cache_drop_heights(store->cache, height);
        cache_remove(store->cache, CACHE_HEIGHTS, hot_head_key());
        cache_remove(store->cache, CACHE_HEIGHTS, hot_known_key());
    }
}

static void put_name(struct store *store, enum cache_class class, struct bytes key,
                     const struct pending_block *block)
{
    struct cache_entry entry = {
        .class = class,
        .key = key,
        .parts = {bytes_of(block->hash, 32)},
        .part_count = 1,
        .height = block->height,
        .flags = class == CACHE_BLOCKS ? HOT_ALIAS : 0,
        .head = true,
    };
    (void)cache_put(store->cache, &entry); /* no room: it is read when asked for */
}

static void put_header(struct store *store, const struct store_put *put,
                       const struct pending_block *block)
{
    struct record record;
    uint8_t start[HOT_HEADER_START_MAX];
    struct cache_entry entry = {
        .class = CACHE_HEADERS,
        .key = bytes_of(block->hash, 32),
        .part_count = 2,
        .height = block->height,
        .head = true,
    };
    record = (struct record){
        .hash = block->hash,
        .total_difficulty = block->total_difficulty,
        .block = put->append.parts[1], /* as store_put_make_record has it */
    };
    hot_header_parts(&record, start, entry.parts);
    (void)cache_put(store->cache, &entry); /* no room: it is read when asked for */
}

void store_cache_record(const struct store_put *put, struct cache_entry *out_entry)
{
    *out_entry = (struct cache_entry){
        .class = CACHE_BLOCKS,
        .key = bytes_of(put->prepare.block.hash, 32),
        .part_count = put->append.part_count,
        .height = put->append.height,
        .head = true,
    };
    static_assert((int)LEDGER_PARTS_MAX <= (int)CACHE_PARTS_MAX,
                  "an object takes the parts of a frame");
    for (unsigned i = 0; i < put->append.part_count; i++) {
        out_entry->parts[i] = put->append.parts[i];
    }
}

/* SHOWN: the whole block is there, not its header alone. */
static void put_names(struct store *store, const struct pending_block *block, bool shown)
{
    struct hot_height_key height;
    if (shown && block->has_envelope) {
        put_name(store, CACHE_BLOCKS, bytes_of(block->envelope_hash, 32), block);
    }
    put_name(store, CACHE_HEIGHTS, hot_height_key(block->height, &height), block);
}

void store_cache_forget(struct store *store, struct bytes changes)
{
    struct record_change change;
    struct bytes cursor = changes;
    while (store->cache != NULL && record_next_change(&cursor, &change) == 0) {
        uint64_t hash = cache_hash(store->cache, CACHE_STATE, change.key);
        cache_remove_hashed(store->cache, CACHE_STATE, change.key, hash);
        cache_drop_hint(store->cache, CACHE_HINTS_STATE, hash);
    }
}

static void close_keys(struct store_put *put)
{
    struct cache *cache = put->store->cache;
    struct record_change change;
    struct bytes cursor = buffer_bytes(&put->prepare.changes);
    const uint64_t *hashes = (const uint64_t *)(const void *)put->value_hashes.data;
    size_t count = put->value_hashes.size / sizeof(*hashes);
    for (size_t i = 0; i < count; i++) {
        cache_close(cache, hashes[i], put->cache_sequence);
    }
    while (count == 0 && record_next_change(&cursor, &change) == 0) {
        cache_close(cache, cache_hash(cache, CACHE_STATE, change.key), put->cache_sequence);
    }
}

void store_cache_forget_block(struct store *store, const struct pending_block *block,
                              struct bytes hashes)
{
    struct hot_height_key key;
    if (store->cache == NULL) {
        return;
    }
    cache_remove(store->cache, CACHE_BLOCKS, bytes_of(block->hash, 32));
    cache_remove(store->cache, CACHE_PLACES, hot_height_key(block->height, &key));
    for (size_t i = 0; i + 32 <= hashes.size; i += 32) {
        cache_remove(store->cache, CACHE_PLACES, bytes_of(hashes.data + i, 32));
    }
}

void store_cache_close(struct store_put *put)
{
    struct store *store = put->store;
    if (store->cache == NULL || put->cache_sequence != 0) {
        return;
    }
    put->cache_sequence = ++store->cache_sequence;
    store->cache_closed++;
    close_keys(put);
}

void store_cache_open(struct store_put *put)
{
    struct store *store = put->store;
    if (put->cache_sequence == 0) {
        return;
    }
    ensure(store->cache_closed > 0);
    /* Else its keys were open though their values were not there. */
    ensure(!put->settled || put->cache_sequence > store->cache_opened);
    store->cache_closed--;
    /* One that failed has others before it that do not have their values yet. */
    uint64_t sequence = store->cache_closed == 0 ? store->cache_sequence
                        : put->settled           ? put->cache_sequence
                                                 : 0;
    if (sequence > store->cache_opened) {
        store->cache_opened = sequence;
        cache_open(store->cache, sequence);
    }
    put->cache_sequence = 0;
}

/* Where it fails, the tables know them. */
void store_cache_find_places(struct store_put *put)
{
    const struct prepare *prepare = &put->prepare;
    buffer_clear(&put->places);
    if (prepare->keep_hashes && prepare->result == 0 &&
        hot_values_index(put->store->cache, buffer_bytes(&prepare->changes), &put->values,
                         &put->value_hashes) != 0) {
        buffer_clear(&put->values);
        buffer_clear(&put->value_hashes);
    }
    if (prepare->keep_hashes && prepare->result == 0 &&
        hot_places_build(&prepare->block, prepare->kept_receipts, prepare->transaction_hashes.data,
                         &put->places) != 0) {
        buffer_clear(&put->places);
    }
}

void store_cache_block(struct store_put *put, const struct pending_block *block)
{
    struct store *store = put->store;
    if (store->cache == NULL || block->side) {
        return;
    }
    if (store->options.bulk && store->cache_closed == 0 &&
        !cache_holds(store->cache, CACHE_STATE)) {
        cache_refuse_tickets(store->cache); /* nothing is there; what is on its way is old */
    } else {
        store_cache_close(put);
    }
    if (!store->options.bulk) {
        struct cache_entry record;
        store_cache_record(put, &record);
        bool shown = store_fill_show(put) || cache_put(store->cache, &record);
        put_header(store, put, block);
        put_names(store, block, shown);
    }
    store_cache_head(store);
}

/* ---- reads ---- */

/* KEY, raw, with its domain; empty where no such key can be. */
static struct bytes with_domain(struct bytes key, uint8_t out[STATE_KEY_MAX])
{
    if (key.size < 1 || key.size > STATE_KEY_RAW_MAX) {
        return bytes_of(NULL, 0);
    }
    out[0] = STATE_KEY_RAW;
    memcpy(out + 1, key.data, key.size);
    return bytes_of(out, 1 + key.size);
}

void store_cache_begin(struct store_get *get)
{
    const struct store *store = get->store;
    const struct store_request *request = get->request;
    uint8_t buffer[STATE_KEY_MAX];
    if (store->cache == NULL) {
        return;
    }
    struct bytes key = hot_head_key();
    if (request->kind == STORE_GET_STATE) {
        key = with_domain(request->state_key, buffer);
    } else if (request->kind == STORE_GET_ACCOUNT) {
        key =
            bytes_of(buffer, state_key_address(STATE_KEY_ACCOUNT, request->query.address, buffer));
    } else if (request->kind == STORE_GET_STORAGE) {
        key = bytes_of(buffer, state_key_address(STATE_KEY_WIPED, request->query.address, buffer));
        get->wiped_ticket = cache_take_ticket(store->cache, CACHE_STATE, key);
        key = bytes_of(buffer, state_key_slot(request->query.address, request->query.slot, buffer));
    }
    get->ticket = cache_take_ticket(store->cache, CACHE_STATE, key);
}

/* A block's own contents never change: only a change of branch since makes it old. */
static void fill_if_same_branch(struct store_get *get, const struct cache_entry *entry)
{
    struct cache *cache = get->store->cache;
    struct cache_ticket ticket = cache_take_ticket(cache, entry->class, entry->key);
    ticket.generation = get->ticket.generation;
    (void)cache_fill(cache, entry, ticket); /* else it is read again */
}

bool store_cache_admits(struct store_get *get, const uint8_t hash[32], size_t size)
{
    struct cache *cache = get->store->cache;
    get->refused = get->refused || cache == NULL ||
                   !cache_admit(cache, CACHE_BLOCKS, bytes_of(hash, 32), size);
    return !get->refused;
}

/* By the hash that was asked for, since the record is not read yet: an envelope's is noted apart.
 */
bool store_cache_wants_block(struct store_get *get, size_t size)
{
    const struct store_request *request = get->request;
    return request->key.by == STOA_BY_HASH && store_cache_admits(get, request->key.hash, size);
}

static void fill_name(struct store_get *get, const struct record *record)
{
    struct hot_height_key height;
    uint64_t number = get->view->read.height;
    struct cache_entry entry = {
        .class = CACHE_HEIGHTS,
        .key = hot_height_key(number, &height),
        .parts = {bytes_of(record->hash, 32)},
        .part_count = 1,
        .height = number,
    };
    if (get->canonical) {
        fill_if_same_branch(get, &entry);
    }
}

void store_cache_fill_header(struct store_get *get, const struct record *record)
{
    uint8_t start[HOT_HEADER_START_MAX];
    struct cache_entry entry = {
        .class = CACHE_HEADERS,
        .key = bytes_of(record->hash, 32),
        .part_count = 2,
        .height = get->view->read.height,
        .flags = get->canonical ? 0 : HOT_SIDE,
    };
    if (get->store->cache != NULL) {
        hot_header_parts(record, start, entry.parts);
        fill_if_same_branch(get, &entry);
        fill_name(get, record);
    }
}

bool store_cache_fill_block(struct store_get *get, const struct record *record)
{
    const struct ledger_read *read = &get->view->read;
    struct cache *cache = get->store->cache;
    struct bytes hash = bytes_of(record->hash, 32);
    if (cache == NULL ||
        (!get->request->keep && !store_cache_admits(get, record->hash, read->payload.size))) {
        return false;
    }
    struct cache_entry entry = {
        .class = CACHE_BLOCKS,
        .key = hash,
        .parts = {read->payload},
        .part_count = 1,
        .height = read->height,
        .flags = get->canonical ? 0 : HOT_SIDE,
    };
    fill_if_same_branch(get, &entry);
    fill_name(get, record);
    entry.parts[0] = bytes_of(record->hash, 32);
    if ((record->flags & RECORD_ENVELOPE) != 0) {
        entry.key = bytes_of(record->envelope_hash, 32);
        entry.flags = HOT_ALIAS;
        fill_if_same_branch(get, &entry);
    }
    return true;
}

void store_cache_fill_places(struct store_get *get)
{
    struct cache *cache = get->store->cache;
    struct hot_height_key key;
    uint64_t height = get->view->read.height;
    if (get->places.size == 0) {
        return;
    }
    struct cache_ticket ticket =
        cache_take_ticket(cache, CACHE_PLACES, hot_height_key(height, &key));
    ticket.generation = get->ticket.generation;
    hot_places_put(cache, height, buffer_bytes(&get->places), &ticket);
}

void store_cache_fill_place(struct store_get *get, const uint8_t hash[32], struct bytes payload,
                            uint64_t height)
{
    const struct stoa_transaction *found = &get->request->transaction;
    struct hot_place place = {
        .index = found->index,
        .transaction_offset = (uint32_t)(found->transaction.data - payload.data),
        .transaction_size = (uint32_t)found->transaction.size,
    };
    if (found->receipt.data != NULL) {
        place.receipt_offset = (uint32_t)(found->receipt.data - payload.data);
        place.receipt_size = (uint32_t)found->receipt.size;
    }
    memcpy(place.block, hash, 32);
    struct cache_entry entry = {
        .class = CACHE_PLACES,
        .key = bytes_of(found->hash, 32),
        .parts = {bytes_of(&place, sizeof(place))},
        .part_count = 1,
        .height = height,
    };
    fill_if_same_branch(get, &entry);
}

void store_cache_fill_transaction(struct store_get *get, const struct record *record)
{
    const struct ledger_read *read = &get->view->read;
    if (store_cache_fill_block(get, record)) { /* a place is of no use without the block */
        store_cache_fill_place(get, record->hash, read->payload, read->height);
    }
}

static void fill_probe(struct store_get *get, const struct store_probe *probe, bool holds,
                       struct cache_ticket ticket)
{
    const struct store *store = get->store;
    struct cache_entry entry = {
        .class = CACHE_STATE,
        .key = bytes_of(probe->key, probe->key_size),
        .parts = {probe->value},
        .part_count = holds ? 1 : 0,
        .height = holds ? probe->height : store->head.height,
        .flags = holds ? 0 : HOT_ABSENT,
    };
    (void)cache_fill(store->cache, &entry, ticket); /* else it is read again */
}

void store_cache_fill_probes(struct store_get *get)
{
    const struct store_probe *probes = get->probes;
    const struct store_request *request = get->request;
    bool storage = request->kind == STORE_GET_STORAGE;
    if (get->store->cache == NULL || request->query.height != STOA_AT_HEAD ||
        (!storage && request->kind != STORE_GET_ACCOUNT)) {
        return;
    }
    const struct store_probe *wiped = &probes[2];
    bool holds = probes[0].found && !(storage && wiped->found && wiped->height > probes[0].height);
    fill_probe(get, &probes[0], holds, get->ticket);
    if (storage) {
        fill_probe(get, wiped, wiped->found, get->wiped_ticket);
    }
}

void store_cache_fill_state(struct store_get *get, int result)
{
    const struct store *store = get->store;
    uint8_t buffer[STATE_KEY_MAX];
    struct bytes key = with_domain(get->request->state_key, buffer);
    if (store->cache == NULL || key.size == 0 || (result != 0 && result != STOA_ENOTFOUND)) {
        return;
    }
    struct cache_entry entry = {
        .class = CACHE_STATE,
        .key = key,
        .parts = {get->request->value},
        .part_count = result == 0 ? 1 : 0,
        .height = store->head.height,
        .flags = result == 0 ? 0 : HOT_ABSENT,
    };
    (void)cache_fill(store->cache, &entry, get->ticket); /* else it is read again */
}

void store_cache_fill_entry(struct store *store, uint64_t spot, const uint8_t address[20],
                            const struct stoa_history_entry *found)
{
    struct hot_entry_key key;
    if (store->cache == NULL) {
        return;
    }
    struct cache_entry entry = {
        .class = CACHE_PLACES,
        .key = hot_entry_key(spot, address, &key),
        .parts = {bytes_of(found, sizeof(*found))},
        .part_count = 1,
        .height = found->height,
    };
    struct cache_ticket ticket = cache_take_ticket(store->cache, CACHE_PLACES, entry.key);
    (void)cache_fill(store->cache, &entry, ticket); /* else it is judged again */
}
