/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/hot_places.h"

#include <string.h>

#include "base/ensure.h"
#include "chain/keccak_many.h"
#include "chain/receipt.h"
#include "chain/rlp.h"

struct entry {
    uint8_t hash[32];
    uint32_t transaction_offset; /* in the record */
    uint32_t transaction_size;
    uint32_t receipt_offset;
    uint32_t receipt_size;
};

enum {
    HASH_SIZE = 32,
    HASHED_TOGETHER = 16,
    INDEX_BITS = 16, /* of a hint; the rest is the height */
    AHEAD = 8,       /* hints whose places are fetched while others are written */
};

static_assert(sizeof(struct entry) == 48, "entries follow each other without gaps");

/* ---- making ---- */

static struct entry *entry_at(struct buffer *out, size_t first, size_t index)
{
    return (struct entry *)(void *)(out->data + first + index * sizeof(struct entry));
}

static int add_transactions(const struct block *block, struct buffer *out)
{
    struct bytes cursor = block->transactions;
    struct bytes envelope;
    while (block_next_transaction(&cursor, &envelope, NULL) == 0) {
        struct entry entry = {
            .transaction_offset =
                (uint32_t)(RECORD_HEADER_SIZE + (envelope.data - block->encoding.data)),
            .transaction_size = (uint32_t)envelope.size,
        };
        int result = buffer_append(out, &entry, sizeof(entry));
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static void add_hashes(const struct block *block, struct buffer *out, size_t first, size_t count)
{
    for (size_t done = 0; done < count;) {
        struct bytes envelopes[HASHED_TOGETHER];
        uint8_t hashes[HASHED_TOGETHER][HASH_SIZE];
        size_t some = 0;
        for (; some < HASHED_TOGETHER && done + some < count; some++) {
            const struct entry *entry = entry_at(out, first, done + some);
            envelopes[some] =
                bytes_of(block->encoding.data + entry->transaction_offset - RECORD_HEADER_SIZE,
                         entry->transaction_size);
        }
        keccak_256_many(envelopes, some, hashes);
        for (size_t i = 0; i < some; i++) {
            memcpy(entry_at(out, first, done + i)->hash, hashes[i], HASH_SIZE);
        }
        done += some;
    }
}

static int add_receipts(const struct block *block, struct bytes receipts, struct buffer *out,
                        size_t first)
{
    struct bytes cursor = receipts;
    struct bytes list;
    struct bytes receipt;
    size_t offset = RECORD_HEADER_SIZE + block->encoding.size;
    if (receipts.size == 0) {
        return 0;
    }
    if (rlp_read_list(&cursor, &list, NULL) != 0) {
        return STOA_EINVAL;
    }
    for (size_t i = 0; i < block->transaction_count; i++) {
        if (receipt_next(&list, &receipt, NULL) != 0) {
            return STOA_EINVAL;
        }
        struct entry *entry = entry_at(out, first, i);
        entry->receipt_offset = (uint32_t)(offset + (size_t)(receipt.data - receipts.data));
        entry->receipt_size = (uint32_t)receipt.size;
    }
    return 0;
}

int hot_places_build(const struct block *block, struct bytes receipts, const uint8_t *hashes,
                     struct buffer *out)
{
    size_t count = block->transaction_count;
    int result = buffer_reserve(out, HASH_SIZE + count * sizeof(struct entry));
    if (result == 0) {
        result = buffer_append(out, block->hash, HASH_SIZE);
    }
    size_t first = out->size;
    if (result == 0) {
        result = add_transactions(block, out);
    }
    if (result == 0) {
        result = out->size - first == count * sizeof(struct entry)
                     ? add_receipts(block, receipts, out, first)
                     : STOA_EINVAL;
    }
    if (result == 0 && hashes == NULL) {
        add_hashes(block, out, first, count);
    }
    for (size_t i = 0; result == 0 && hashes != NULL && i < count; i++) {
        memcpy(entry_at(out, first, i)->hash, hashes + i * HASH_SIZE, HASH_SIZE);
    }
    return result;
}

int hot_places_of_record(const struct record *record, struct buffer *out)
{
    struct block block;
    int result = block_decode(record->block, &block, NULL);
    return result != 0 ? result : hot_places_build(&block, record->receipts, NULL, out);
}

/* ---- keeping ---- */

static const uint8_t *hash_at(struct bytes places, size_t index)
{
    return places.data + HASH_SIZE + index * sizeof(struct entry);
}

void hot_places_put(struct cache *cache, uint64_t height, struct bytes places,
                    const struct cache_ticket *ticket)
{
    struct hot_height_key key;
    struct cache_entry entry = {
        .class = CACHE_PLACES,
        .key = hot_height_key(height, &key),
        .parts = {places},
        .part_count = 1,
        .height = height,
        .head = ticket == NULL,
    };
    size_t count = (places.size - HASH_SIZE) / sizeof(struct entry);
    if (count == 0 || height >> (CACHE_HINT_BITS - INDEX_BITS) != 0 ||
        !(ticket == NULL ? cache_put(cache, &entry) : cache_fill(cache, &entry, *ticket))) {
        return;
    }
    for (size_t i = 0; i < count && i >> INDEX_BITS == 0; i++) {
        if (i + AHEAD < count) {
            cache_fetch_hint(cache, CACHE_HINTS_PLACES,
                             bytes_load_be64(hash_at(places, i + AHEAD)));
        }
        cache_hint(cache, CACHE_HINTS_PLACES, bytes_load_be64(hash_at(places, i)),
                   height << INDEX_BITS | i);
    }
}

bool hot_places_find(struct cache *cache, hot_find_fn *find, const uint8_t hash[32],
                     struct hot_place *out_place)
{
    uint64_t hint;
    struct hot_height_key key;
    struct cache_hit hit;
    if (!cache_find_hint(cache, CACHE_HINTS_PLACES, bytes_load_be64(hash), &hint) ||
        !find(cache, CACHE_PLACES, hot_height_key(hint >> INDEX_BITS, &key), &hit)) {
        return false;
    }
    size_t index = hint & ((1U << INDEX_BITS) - 1);
    struct entry entry;
    bool found = HASH_SIZE + (index + 1) * sizeof(entry) <= hit.value.size;
    if (found) {
        memcpy(&entry, hash_at(hit.value, index), sizeof(entry));
        found = memcmp(entry.hash, hash, HASH_SIZE) == 0;
    }
    if (found) {
        *out_place = (struct hot_place){
            .index = (uint32_t)index,
            .transaction_offset = entry.transaction_offset,
            .transaction_size = entry.transaction_size,
            .receipt_offset = entry.receipt_offset,
            .receipt_size = entry.receipt_size,
        };
        memcpy(out_place->block, hit.value.data, HASH_SIZE);
    }
    cache_release(hit.object);
    return found;
}
