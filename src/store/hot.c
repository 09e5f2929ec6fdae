/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/hot.h"

#include "base/ensure.h"
#include "chain/rlp.h"
#include "store/hot_places.h"
#include "store/hot_values.h"
#include "store/state_change.h"
#include "store/state_key.h"

enum { VIEW_MARK = 1 };

struct bytes hot_head_key(void)
{
    static const uint8_t key[] = {'h', 'e', 'a', 'd'};
    return bytes_of(key, sizeof(key));
}

struct bytes hot_known_key(void)
{
    static const uint8_t key[] = {'s', 't', 'a', 't', 'e'};
    return bytes_of(key, sizeof(key));
}

struct bytes hot_height_key(uint64_t height, struct hot_height_key *out_key)
{
    bytes_store_be64(out_key->bytes, height);
    return bytes_of(out_key->bytes, sizeof(out_key->bytes));
}

struct bytes hot_entry_key(uint64_t spot, const uint8_t address[20], struct hot_entry_key *out_key)
{
    bytes_store_be64(out_key->bytes, spot);
    memcpy(out_key->bytes + 8, address, 20);
    return bytes_of(out_key->bytes, sizeof(out_key->bytes));
}

/* ---- views ---- */

bool hot_is_view(const struct stoa_view *view)
{
    return ((uintptr_t)view & VIEW_MARK) != 0;
}

struct stoa_view *hot_view(struct cache_object *object)
{
    return (struct stoa_view *)((uintptr_t)object | VIEW_MARK);
}

void hot_release(struct stoa_view *view)
{
    ensure(hot_is_view(view));
    cache_release((struct cache_object *)((uintptr_t)view & ~(uintptr_t)VIEW_MARK));
}

/* ---- headers ---- */

/* A header is longer than 55 bytes: the length of its length, then that. */
static size_t write_list_prefix(size_t size, uint8_t out[HOT_HEADER_START_MAX - RECORD_HEADER_SIZE])
{
    uint8_t length[8];
    size_t zeros = 0;
    ensure(size > 55);
    bytes_store_be64(length, size);
    while (length[zeros] == 0) {
        zeros++;
    }
    out[0] = (uint8_t)(0xf7 + sizeof(length) - zeros);
    memcpy(out + 1, length + zeros, sizeof(length) - zeros);
    return 1 + sizeof(length) - zeros;
}

void hot_header_parts(const struct record *record, uint8_t out[HOT_HEADER_START_MAX],
                      struct bytes out_parts[2])
{
    struct bytes cursor = record->block;
    struct bytes fields = cursor;
    struct rlp_item header = {.encoding = cursor};
    bool is_block =
        rlp_read_list(&cursor, &fields, NULL) == 0 && rlp_read(&fields, &header, NULL) == 0;
    ensure(is_block); /* it was verified when it was stored */
    uint8_t *list = out + RECORD_HEADER_SIZE;
    size_t list_size = write_list_prefix(header.encoding.size, list);
    struct record part = *record;
    part.flags = 0;
    part.transaction_count = 0;
    part.block.size = list_size + header.encoding.size;
    part.receipts = bytes_of(NULL, 0);
    part.senders = bytes_of(NULL, 0);
    part.envelope = bytes_of(NULL, 0);
    record_encode_header(&part, 0, out); /* nobody looks at its sum */
    out_parts[0] = bytes_of(out, RECORD_HEADER_SIZE + list_size);
    out_parts[1] = header.encoding;
}

/* ---- blocks ---- */

static struct stoa_bytes public_bytes(struct bytes bytes)
{
    return (struct stoa_bytes){bytes.data, bytes.size};
}

void hot_show_block(const struct record *record, uint64_t height, bool canonical,
                    struct stoa_view *view, struct stoa_block *out_block)
{
    *out_block = (struct stoa_block){
        .height = height,
        .canonical = canonical,
        .block = public_bytes(record->block),
        .view = view,
    };
    memcpy(out_block->hash, record->hash, 32);
    memcpy(out_block->total_difficulty, record->total_difficulty, 32);
    if ((record->flags & RECORD_RECEIPTS) != 0) {
        out_block->receipts = public_bytes(record->receipts);
    }
    if ((record->flags & RECORD_SENDERS) != 0) {
        out_block->senders = public_bytes(record->senders);
    }
    if ((record->flags & RECORD_ENVELOPE) != 0) {
        out_block->envelope = public_bytes(record->envelope);
    }
}

/* The block's record, pinned; maybe packed. */
static bool find_record(struct cache *cache, hot_find_fn *find, struct bytes hash,
                        struct cache_hit *out_hit)
{
    if (!find(cache, CACHE_BLOCKS, hash, out_hit)) {
        return false;
    }
    if ((out_hit->flags & HOT_ALIAS) == 0) {
        return true;
    }
    struct cache_object *alias = out_hit->object;
    bool found = find(cache, CACHE_BLOCKS, out_hit->value, out_hit);
    cache_release(alias);
    if (found && (out_hit->flags & HOT_ALIAS) != 0) {
        cache_release(out_hit->object);
        return false;
    }
    return found;
}

static bool find_head(struct cache *cache, hot_find_fn *find, struct stoa_head *out_head)
{
    struct cache_hit hit;
    if (!find(cache, CACHE_HEIGHTS, hot_head_key(), &hit)) {
        return false;
    }
    ensure(hit.value.size == sizeof(*out_head));
    memcpy(out_head, hit.value.data, sizeof(*out_head));
    cache_release(hit.object);
    return true;
}

/* The header alone will do. Where neither is there, it is a header that was missed. */
static bool find_header(struct cache *cache, hot_find_fn *find, struct bytes hash,
                        struct cache_hit *out_hit)
{
    return cache_try(cache, CACHE_HEADERS, hash, out_hit) ||
           find_record(cache, cache_try, hash, out_hit) ||
           find(cache, CACHE_HEADERS, hash, out_hit);
}

typedef bool find_hash_fn(struct cache *cache, hot_find_fn *find, struct bytes hash,
                          struct cache_hit *out_hit);

static bool find_block(struct cache *cache, hot_find_fn *find, find_hash_fn *find_hash,
                       const struct stoa_block_key *key, struct cache_hit *out_hit)
{
    struct hot_height_key height;
    struct stoa_head head;
    struct cache_hit name;
    if (key->by == STOA_BY_HEIGHT) {
        if (!find(cache, CACHE_HEIGHTS, hot_height_key(key->height, &height), &name)) {
            return false;
        }
        bool found = find_hash(cache, find, name.value, out_hit);
        cache_release(name.object);
        return found;
    }
    if (key->by == STOA_LATEST) {
        return find_head(cache, find, &head) &&
               find_hash(cache, find, bytes_of(head.hash, 32), out_hit);
    }
    return key->by == STOA_BY_HASH && find_hash(cache, find, bytes_of(key->hash, 32), out_hit);
}

static bool find_transaction(struct cache *cache, hot_find_fn *find, const uint8_t hash[32],
                             struct hot_place *out_place, struct cache_hit *out_hit)
{
    struct cache_hit hit;
    if (!hot_places_find(cache, find, hash, out_place)) {
        if (!find(cache, CACHE_PLACES, bytes_of(hash, 32), &hit)) {
            return false;
        }
        ensure(hit.value.size == sizeof(*out_place));
        memcpy(out_place, hit.value.data, sizeof(*out_place));
        cache_release(hit.object);
    }
    return find_record(cache, find, bytes_of(out_place->block, 32), out_hit);
}

bool hot_show_hit(const struct cache_hit *hit, struct stoa_block *out_block)
{
    struct record record;
    if ((hit->flags & CACHE_FLAG_PACKED) != 0 || record_decode(hit->value, &record, NULL) != 0) {
        cache_release(hit->object); /* packed: the loop unpacks it */
        return false;
    }
    hot_show_block(&record, hit->height, (hit->flags & HOT_SIDE) == 0, hot_view(hit->object),
                   out_block);
    return true;
}

bool hot_show_transaction(const struct cache_hit *hit, const struct hot_place *place,
                          const uint8_t hash[32], struct stoa_transaction *out_transaction)
{
    struct stoa_transaction *out = out_transaction;
    *out = (struct stoa_transaction){.index = place->index};
    if (!hot_show_hit(hit, &out->block)) {
        return false;
    }
    ensure((uint64_t)place->transaction_offset + place->transaction_size <= hit->value.size);
    ensure((uint64_t)place->receipt_offset + place->receipt_size <= hit->value.size);
    memcpy(out->hash, hash, 32);
    out->transaction =
        (struct stoa_bytes){hit->value.data + place->transaction_offset, place->transaction_size};
    if (place->receipt_size != 0) {
        out->receipt =
            (struct stoa_bytes){hit->value.data + place->receipt_offset, place->receipt_size};
    }
    if (out->block.senders.data != NULL) {
        out->sender = out->block.senders.data + (size_t)20 * place->index;
    }
    return true;
}

bool hot_get_block(struct cache *cache, const struct stoa_block_key *key,
                   struct stoa_block *out_block)
{
    struct cache_hit hit;
    return cache != NULL && find_block(cache, cache_find, find_record, key, &hit) &&
           hot_show_hit(&hit, out_block);
}

bool hot_get_header(struct cache *cache, const struct stoa_block_key *key,
                    struct stoa_block *out_block)
{
    struct cache_hit hit;
    return cache != NULL && find_block(cache, cache_find, find_header, key, &hit) &&
           hot_show_hit(&hit, out_block);
}

bool hot_get_record(struct cache *cache, const uint8_t hash[32], struct bytes *out_record,
                    struct stoa_view **out_view)
{
    struct cache_hit hit;
    if (cache == NULL || !find_record(cache, cache_find, bytes_of(hash, 32), &hit)) {
        return false;
    }
    if ((hit.flags & CACHE_FLAG_PACKED) != 0) { /* the loop unpacks, or it is read */
        cache_release(hit.object);
        return false;
    }
    *out_record = hit.value;
    *out_view = hot_view(hit.object);
    return true;
}

bool hot_get_entry(struct cache *cache, uint64_t spot, const uint8_t address[20],
                   struct stoa_history_entry *out_entry)
{
    struct hot_entry_key key;
    struct cache_hit hit;
    if (cache == NULL ||
        !cache_find(cache, CACHE_PLACES, hot_entry_key(spot, address, &key), &hit)) {
        return false;
    }
    ensure(hit.value.size == sizeof(*out_entry));
    memcpy(out_entry, hit.value.data, sizeof(*out_entry));
    cache_release(hit.object);
    return true;
}

bool hot_get_transaction(struct cache *cache, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction)
{
    struct cache_hit hit;
    struct hot_place place;
    return cache != NULL && find_transaction(cache, cache_find, hash, &place, &hit) &&
           hot_show_transaction(&hit, &place, hash, out_transaction);
}

bool hot_peek_block(struct cache *cache, const struct stoa_block_key *key,
                    struct cache_hit *out_hit)
{
    return find_block(cache, cache_peek, find_record, key, out_hit);
}

bool hot_peek_transaction(struct cache *cache, const uint8_t hash[32], struct hot_place *out_place,
                          struct cache_hit *out_hit)
{
    return find_transaction(cache, cache_peek, hash, out_place, out_hit);
}

bool hot_get_head(struct cache *cache, struct stoa_head *out_head)
{
    return cache != NULL && find_head(cache, cache_find, out_head);
}

/* The newest value of KEY where it is an object alone. */
static bool find_alone(struct cache *cache, struct bytes key, uint64_t hash,
                       struct hot_value *out_value)
{
    struct cache_hit hit;
    if (!cache_find_hashed(cache, CACHE_STATE, key, hash, &hit)) {
        return false;
    }
    *out_value = (struct hot_value){.object = hit.object,
                                    .value = hit.value,
                                    .height = hit.height,
                                    .absent = (hit.flags & HOT_ABSENT) != 0};
    return true;
}

/* The newest value of KEY, among those of its block or alone. */
static bool find_value(struct cache *cache, struct bytes key, struct hot_value *out_value)
{
    struct bytes rest = bytes_of(key.data + 1, key.size - 1);
    uint64_t hash = cache_hash_of(cache, CACHE_STATE, key.data[0], rest);
    return hot_values_find(cache, key.data[0], rest, hash, out_value) ||
           find_alone(cache, key, hash, out_value);
}

/* True, for its callers' sake. */
static bool show_value(const struct hot_value *found, struct stoa_bytes *out_value,
                       struct stoa_view **out_view, int *out_result)
{
    if (found->absent) {
        cache_release(found->object);
        *out_result = STOA_ENOTFOUND;
        return true;
    }
    *out_value = public_bytes(found->value);
    *out_view = hot_view(found->object);
    *out_result = 0;
    return true;
}

bool hot_get_state(struct cache *cache, struct bytes key, struct stoa_bytes *out_value,
                   struct stoa_view **out_view, int *out_result)
{
    struct hot_value found;
    return cache != NULL && key.size >= 1 && key.size <= CACHE_KEY_MAX &&
           find_value(cache, key, &found) && show_value(&found, out_value, out_view, out_result);
}

static bool state_is_known(struct cache *cache)
{
    struct cache_hit hit;
    if (cache == NULL || !cache_find(cache, CACHE_HEIGHTS, hot_known_key(), &hit)) {
        return false;
    }
    cache_release(hit.object);
    return true;
}

bool hot_get_account(struct cache *cache, const uint8_t address[20],
                     struct stoa_account *out_account, int *out_result)
{
    uint8_t key[STATE_KEY_MAX];
    struct hot_value found;
    size_t size = state_key_address(STATE_KEY_ACCOUNT, address, key);
    if (!state_is_known(cache) || !find_value(cache, bytes_of(key, size), &found)) {
        return false;
    }
    *out_result = STOA_ENOTFOUND;
    if (!found.absent) {
        struct error_detail detail;
        *out_result = state_change_read_account(found.value, out_account, &detail);
    }
    cache_release(found.object);
    return *out_result == 0 || *out_result == STOA_ENOTFOUND; /* else let the loop look at it */
}

/* Whether a slot of ADDRESS that was put at HEIGHT is there since. False as well where that is not
 * known here. */
static bool is_not_wiped(struct cache *cache, const uint8_t address[20], uint64_t height)
{
    uint8_t key[STATE_KEY_MAX];
    struct hot_value found;
    size_t size = state_key_address(STATE_KEY_WIPED, address, key);
    if (!find_value(cache, bytes_of(key, size), &found)) {
        return false;
    }
    bool kept = found.absent || height >= found.height;
    cache_release(found.object);
    return kept;
}

bool hot_get_storage(struct cache *cache, const uint8_t address[20], const uint8_t slot[32],
                     uint8_t out_value[32])
{
    uint8_t key[STATE_KEY_MAX];
    struct hot_value found;
    if (!state_is_known(cache)) {
        return false;
    }
    size_t size = state_key_slot(address, slot, key);
    if (!find_value(cache, bytes_of(key, size), &found)) {
        return false;
    }
    bool known =
        found.absent || (found.value.size <= 32 && is_not_wiped(cache, address, found.height));
    if (known) {
        memset(out_value, 0, 32);
        if (!found.absent && found.value.size != 0) {
            memcpy(out_value + 32 - found.value.size, found.value.data, found.value.size);
        }
    }
    cache_release(found.object);
    return known;
}

bool hot_get_code(struct cache *cache, const uint8_t hash[32], struct stoa_bytes *out_value,
                  struct stoa_view **out_view, int *out_result)
{
    uint8_t key[STATE_KEY_MAX];
    size_t size = state_key_code(hash, key);
    return state_is_known(cache) &&
           hot_get_state(cache, bytes_of(key, size), out_value, out_view, out_result);
}

/* The key with its domain is made only where it must be: this is the read that is asked for most.
 */
static bool find_raw_alone(struct cache *cache, struct bytes key, uint64_t hash,
                           struct hot_value *out_value)
{
    uint8_t state_key[1 + STATE_KEY_RAW_MAX] = {STATE_KEY_RAW};
    memcpy(state_key + 1, key.data, key.size);
    return find_alone(cache, bytes_of(state_key, 1 + key.size), hash, out_value);
}

bool hot_get_raw(struct cache *cache, struct bytes key, struct stoa_bytes *out_value,
                 struct stoa_view **out_view, int *out_result)
{
    struct hot_value found;
    if (cache == NULL || key.size < 1 || key.size > STATE_KEY_RAW_MAX) {
        return false;
    }
    uint64_t hash = cache_hash_of(cache, CACHE_STATE, STATE_KEY_RAW, key);
    return (hot_values_find(cache, STATE_KEY_RAW, key, hash, &found) ||
            find_raw_alone(cache, key, hash, &found)) &&
           show_value(&found, out_value, out_view, out_result);
}

struct bytes hot_raw_key(struct bytes key)
{
    return key.size > 1 && key.data[0] == STATE_KEY_RAW ? bytes_of(key.data + 1, key.size - 1)
                                                        : bytes_of(NULL, 0);
}
