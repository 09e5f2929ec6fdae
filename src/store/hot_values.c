/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/hot_values.h"

#include "base/ensure.h"
#include "stoa/error.h"

enum {
    MARK = 0xff, /* first byte of an object's key; no domain of state_key.h */
    HEAD_SIZE = 8,
    OFFSET_SIZE = 4,
    ALIGNMENT = 8,
    INDEX_BITS = 16, /* of a hint; the rest is the object's number */
    LINE = 64,       /* of the processor's cache */
    AHEAD = 16,      /* keys whose places are fetched while others are told of */
};

static_assert(HOT_VALUES_MAX == 1 << INDEX_BITS, "each change has a number");

struct bytes hot_values_key(uint64_t number, struct hot_values_key *out_key)
{
    out_key->bytes[0] = MARK;
    bytes_store_be64(out_key->bytes + 1, number);
    return bytes_of(out_key->bytes, sizeof(out_key->bytes));
}

static bool is_values(struct bytes key)
{
    return key.size == HOT_VALUES_KEY_SIZE && key.data[0] == MARK;
}

static size_t index_size(size_t count)
{
    size_t size = HEAD_SIZE + count * (OFFSET_SIZE + 1);
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t hash_at(struct bytes hashes, size_t index)
{
    uint64_t hash;
    memcpy(&hash, hashes.data + index * sizeof(hash), sizeof(hash));
    return hash;
}

/* ---- making ---- */

int hot_values_index(const struct cache *cache, struct bytes changes, struct buffer *out_index,
                     struct buffer *out_hashes)
{
    struct record_change change;
    struct bytes cursor = changes;
    size_t count = 0;
    buffer_clear(out_index);
    buffer_clear(out_hashes);
    while (record_next_change(&cursor, &change) == 0) {
        uint64_t hash = cache_hash(cache, CACHE_STATE, change.key);
        if (buffer_append(out_hashes, &hash, sizeof(hash)) != 0) {
            return STOA_ENOMEM;
        }
        count++;
    }
    size_t shown = count < HOT_VALUES_MAX ? count : HOT_VALUES_MAX;
    if (buffer_reserve(out_index, index_size(shown)) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *index = out_index->data;
    out_index->size = index_size(shown);
    memset(index, 0, out_index->size);
    bytes_store_le32(index, (uint32_t)shown);
    cursor = changes;
    for (size_t i = 0; i < shown; i++) {
        bytes_store_le32(index + HEAD_SIZE + i * OFFSET_SIZE,
                         (uint32_t)(cursor.data - changes.data));
        int result = record_next_change(&cursor, &change);
        ensure(result == 0); /* as above */
    }
    return 0;
}

bool hot_values_tell(struct cache *cache, uint64_t number, struct bytes hashes,
                     struct bytes *changes, size_t *next, size_t count)
{
    size_t total = hashes.size / sizeof(uint64_t);
    struct record_change change;
    for (; count > 0 && *next < total; count--, ++*next) {
        size_t ahead = *next + AHEAD;
        if (ahead < total) {
            cache_fetch_hint(cache, CACHE_HINTS_STATE, hash_at(hashes, ahead));
            cache_fetch_ahead(cache, hash_at(hashes, ahead));
        }
        int result = record_next_change(changes, &change);
        ensure(result == 0); /* as many as there are hashes */
        uint64_t hash = hash_at(hashes, *next);
        cache_remove_hashed(cache, CACHE_STATE, change.key, hash);
        if (*next < HOT_VALUES_MAX) {
            cache_hint(cache, CACHE_HINTS_STATE, hash, number << INDEX_BITS | *next);
        } else {
            cache_drop_hint(cache, CACHE_HINTS_STATE, hash);
        }
    }
    return *next < total;
}

/* ---- looking ---- */

/* The change at INDEX of the object whose value is VALUE. */
static bool change_at(struct bytes value, size_t index, struct record_change *out_change)
{
    size_t count = bytes_load_le32(value.data);
    if (index >= count) {
        return false;
    }
    size_t offset = bytes_load_le32(value.data + HEAD_SIZE + index * OFFSET_SIZE);
    size_t start = index_size(count) + offset;
    ensure(start < value.size);
    struct bytes cursor = bytes_of(value.data + start, value.size - start);
    __builtin_prefetch(cursor.data + LINE); /* the value, beside its key and size */
    int result = record_next_change(&cursor, out_change);
    ensure(result == 0);
    return true;
}

/* Readers mark it, in an object that else does not change. */
static uint8_t *read_mark(struct bytes value, size_t index)
{
    size_t count = bytes_load_le32(value.data);
    return (uint8_t *)(uintptr_t)value.data + HEAD_SIZE + count * OFFSET_SIZE + index;
}

static bool is_key(struct bytes whole, uint8_t domain, struct bytes key)
{
    return whole.size == key.size + 1 && whole.data[0] == domain &&
           memcmp(whole.data + 1, key.data, key.size) == 0;
}

bool hot_values_find(struct cache *cache, uint8_t domain, struct bytes key, uint64_t hash,
                     struct hot_value *out_value)
{
    uint64_t hint;
    struct hot_values_key name;
    struct cache_hit hit;
    struct record_change change;
    if (cache_is_shut(cache, hash) || !cache_find_hint(cache, CACHE_HINTS_STATE, hash, &hint) ||
        !cache_find(cache, CACHE_STATE, hot_values_key(hint >> INDEX_BITS, &name), &hit)) {
        return false;
    }
    size_t index = hint & (HOT_VALUES_MAX - 1);
    if (!change_at(hit.value, index, &change) || !is_key(change.key, domain, key)) {
        cache_release(hit.object);
        return false;
    }
    uint8_t *mark = read_mark(hit.value, index);
    if (__atomic_load_n(mark, __ATOMIC_RELAXED) == 0) {
        __atomic_store_n(mark, 1, __ATOMIC_RELAXED);
    }
    *out_value = (struct hot_value){.object = hit.object,
                                    .value = change.value,
                                    .height = hit.height,
                                    .absent = change.removed};
    return true;
}

void hot_values_list(struct cache *cache, struct bytes key, struct bytes value, bool read,
                     void (*each)(void *context, struct bytes key), void *context)
{
    uint64_t hint;
    struct record_change change;
    if (!is_values(key)) {
        each(context, key);
        return;
    }
    uint64_t number = bytes_load_be64(key.data + 1);
    for (size_t i = 0; change_at(value, i, &change); i++) {
        bool was_read = __atomic_load_n(read_mark(value, i), __ATOMIC_RELAXED) != 0;
        uint64_t hash = cache_hash(cache, CACHE_STATE, change.key);
        if (was_read == read && cache_find_hint(cache, CACHE_HINTS_STATE, hash, &hint) &&
            hint == (number << INDEX_BITS | i)) {
            each(context, change.key);
        }
    }
}
