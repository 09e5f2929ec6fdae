/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/body_map.h"

#define XXH_STATIC_LINKING_ONLY /* the state may live on the stack */
#include <xxhash.h>

#include "base/ensure.h"
#include "chain/envelope.h"
#include "chain/receipt.h"
#include "stoa/error.h"

enum { SENDER_SIZE = 20, OFFSET_SUM = 20 };

/* A map as it stands in the table, checked against itself. */
struct body_map {
    unsigned shift;
    uint32_t transactions;
    uint32_t block_size;
    uint32_t receipts_size;
    uint32_t senders_size;
    uint32_t receipts_at;
    uint32_t count; /* of pieces */
    const uint8_t *pieces;
};

static uint64_t body_size(const struct body_map *map)
{
    return (uint64_t)map->block_size + map->receipts_size + map->senders_size;
}

static uint32_t pieces_of(uint64_t size, unsigned shift)
{
    return (uint32_t)((size + (UINT64_C(1) << shift) - 1) >> shift);
}

/* Of the map in FROM, a header at least. */
static uint32_t map_sum(struct bytes from, const uint8_t hash[32])
{
    uint8_t copy[BODY_MAP_SIZE_MAX];
    ensure(from.size <= sizeof(copy));
    memcpy(copy, from.data, from.size);
    bytes_store_le32(copy + OFFSET_SUM, 0);
    return (uint32_t)XXH3_64bits_withSeed(copy, from.size, bytes_load_le64(hash));
}

/* 0: there is none that fits. */
static unsigned shift_for(uint64_t size)
{
    for (unsigned shift = BODY_MAP_SHIFT_MIN; shift <= BODY_MAP_SHIFT_MAX; shift++) {
        if (pieces_of(size, shift) <= BODY_MAP_PIECES_MAX) {
            return size < BODY_MAP_BODY_MIN ? 0 : shift;
        }
    }
    return 0;
}

static uint64_t seed_of(const uint8_t hash[32], uint32_t piece)
{
    return bytes_load_le64(hash) + piece;
}

/* ---- making ---- */

static uint32_t first_item(const uint8_t *piece)
{
    return bytes_load_le16(piece + 4);
}

/* An item that begins at AT in the body, in order. */
static void note_item(uint8_t *pieces, unsigned shift, uint64_t at, uint32_t item)
{
    uint8_t *piece = pieces + (at >> shift) * BODY_MAP_PIECE_SIZE;
    if (first_item(piece) == BODY_MAP_NO_ITEM) {
        bytes_store_le16(piece + 4, (uint16_t)item);
        bytes_store_le16(piece + 6, (uint16_t)(at & ((UINT64_C(1) << shift) - 1)));
    }
}

/* The items of LIST (a list's payload), which stands at BASE in the body, numbered from FIRST on.
 * False: they are not COUNT. */
static bool note_items(uint8_t *pieces, unsigned shift, struct bytes list, uint64_t base,
                       uint32_t first, uint32_t count)
{
    struct bytes cursor = list;
    struct bytes envelope;
    for (uint32_t i = 0; i < count; i++) {
        if (cursor.size == 0) {
            return false; /* what is behind may be no piece any more */
        }
        note_item(pieces, shift, base + (uint64_t)(cursor.data - list.data), first + i);
        if (envelope_next(&cursor, &envelope, NULL) != 0) {
            return false;
        }
    }
    return cursor.size == 0;
}

/* The sums of all pieces of what PARTS make together. */
static void note_sums(uint8_t *pieces, unsigned shift, const struct bytes parts[BODY_PARTS],
                      const uint8_t hash[32])
{
    uint64_t room = UINT64_C(1) << shift; /* left in the piece */
    uint32_t number = 0;
    XXH3_state_t state;
    XXH3_INITSTATE(&state); /* as in frame.c; and no call fails of a sound state */
    (void)XXH3_64bits_reset_withSeed(&state, seed_of(hash, 0));
    for (unsigned i = 0; i < BODY_PARTS; i++) {
        struct bytes rest = parts[i];
        while (rest.size != 0) {
            size_t taken = rest.size < room ? rest.size : (size_t)room;
            (void)XXH3_64bits_update(&state, rest.data, taken);
            rest = bytes_of(rest.data + taken, rest.size - taken);
            room -= taken;
            bytes_store_le32(pieces + (size_t)number * BODY_MAP_PIECE_SIZE,
                             (uint32_t)XXH3_64bits_digest(&state));
            if (room == 0) {
                room = UINT64_C(1) << shift;
                (void)XXH3_64bits_reset_withSeed(&state, seed_of(hash, ++number));
            }
        }
    }
}

int body_map_make(const struct body_map_source *body, struct buffer *out)
{
    const struct block *block = body->block;
    const struct bytes parts[BODY_PARTS] = {block->encoding, body->receipts, body->senders};
    uint64_t size = (uint64_t)parts[0].size + parts[1].size + parts[2].size;
    unsigned shift = shift_for(size);
    size_t items = block->transaction_count * (body->receipts.size != 0 ? 2U : 1U);
    if (shift == 0 || block->transaction_count == 0 || items >= BODY_MAP_NO_ITEM) {
        return 0;
    }
    uint32_t transactions = (uint32_t)block->transaction_count;
    uint32_t count = pieces_of(size, shift);
    size_t bytes = BODY_MAP_HEADER_SIZE + (size_t)count * BODY_MAP_PIECE_SIZE;
    if (buffer_reserve(out, bytes) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = out->data + out->size;
    uint8_t *pieces = to + BODY_MAP_HEADER_SIZE;
    to[0] = BODY_MAP_VERSION;
    to[1] = (uint8_t)shift;
    bytes_store_le16(to + 2, (uint16_t)transactions);
    bytes_store_le32(to + 4, (uint32_t)parts[0].size);
    bytes_store_le32(to + 8, (uint32_t)parts[1].size);
    bytes_store_le32(to + 12, (uint32_t)parts[2].size);
    bytes_store_le32(to + 16, 0);
    memset(pieces, UINT8_MAX, (size_t)count * BODY_MAP_PIECE_SIZE); /* BODY_MAP_NO_ITEM in each */
    if (!note_items(pieces, shift, block->transactions,
                    (uint64_t)(block->transactions.data - block->encoding.data), 0, transactions)) {
        return 0;
    }
    if (body->receipts.size != 0) {
        struct bytes cursor = body->receipts;
        struct bytes list;
        if (rlp_read_list(&cursor, &list, NULL) != 0) {
            return 0;
        }
        uint64_t at = parts[0].size + (uint64_t)(list.data - body->receipts.data);
        bytes_store_le32(to + 16, (uint32_t)at);
        if (!note_items(pieces, shift, list, at, transactions, transactions)) {
            return 0;
        }
    }
    note_sums(pieces, shift, parts, block->hash);
    bytes_store_le32(to + OFFSET_SUM, map_sum(bytes_of(to, bytes), block->hash));
    out->size += bytes;
    return 0;
}

/* ---- finding ---- */

static bool open_map(struct bytes from, const uint8_t hash[32], struct body_map *out)
{
    if (from.size < BODY_MAP_HEADER_SIZE || from.size > BODY_MAP_SIZE_MAX ||
        from.data[0] != BODY_MAP_VERSION || from.data[1] < BODY_MAP_SHIFT_MIN ||
        from.data[1] > BODY_MAP_SHIFT_MAX ||
        map_sum(from, hash) != bytes_load_le32(from.data + OFFSET_SUM)) {
        return false;
    }
    *out = (struct body_map){
        .shift = from.data[1],
        .transactions = bytes_load_le16(from.data + 2),
        .block_size = bytes_load_le32(from.data + 4),
        .receipts_size = bytes_load_le32(from.data + 8),
        .senders_size = bytes_load_le32(from.data + 12),
        .receipts_at = bytes_load_le32(from.data + 16),
        .pieces = from.data + BODY_MAP_HEADER_SIZE,
    };
    if (body_size(out) > (uint64_t)BODY_MAP_PIECES_MAX << out->shift) {
        return false;
    }
    out->count = pieces_of(body_size(out), out->shift);
    return from.size == BODY_MAP_HEADER_SIZE + (size_t)out->count * BODY_MAP_PIECE_SIZE;
}

static const uint8_t *piece_at(const struct body_map *map, uint32_t number)
{
    return map->pieces + (size_t)number * BODY_MAP_PIECE_SIZE;
}

static uint64_t start_of(const struct body_map *map, uint32_t number)
{
    return (uint64_t)number << map->shift;
}

/* The pieces that hold the bytes FROM to END, which are not none. False: they are not in the body,
 * or too many. */
static bool span_over(const struct body_map *map, uint64_t from, uint64_t end,
                      struct body_map_span *span)
{
    if (from >= end || end > body_size(map)) {
        return false;
    }
    uint32_t first = (uint32_t)(from >> map->shift);
    uint32_t last = (uint32_t)((end - 1) >> map->shift);
    if (last - first >= BODY_MAP_SPAN_PIECES) {
        return false;
    }
    uint64_t stop = start_of(map, last + 1);
    stop = stop < body_size(map) ? stop : body_size(map);
    span->begin = (uint32_t)start_of(map, first);
    span->size = (uint32_t)(stop - span->begin);
    span->at = (uint32_t)(from - span->begin);
    span->first = first;
    span->shift = (uint8_t)map->shift;
    for (uint32_t i = first; i <= last; i++) {
        span->sums[i - first] = bytes_load_le32(piece_at(map, i));
    }
    return true;
}

/* The piece that ITEM begins in is the last whose first item is not behind it; it ends where the
 * next begins, which is there too or the first of a later piece. Between the transactions and the
 * receipts lies more of the block. */
static bool find_item(const struct body_map *map, uint32_t item, struct body_map_span *span)
{
    uint32_t home = map->count;
    uint32_t next = map->count;
    for (uint32_t i = 0; i < map->count && next == map->count; i++) {
        uint32_t first = first_item(piece_at(map, i));
        if (first != BODY_MAP_NO_ITEM) {
            home = first <= item ? i : home;
            next = first > item ? i : next;
        }
    }
    if (home == map->count) {
        return false;
    }
    const uint8_t *piece = piece_at(map, home);
    uint32_t first = first_item(piece);
    uint64_t from = start_of(map, home) + bytes_load_le16(piece + 6);
    uint64_t end = start_of(map, home + 1);
    uint64_t most =
        item < map->transactions ? map->block_size : (uint64_t)map->block_size + map->receipts_size;
    bool last = item + 1 == map->transactions || item + 1 == 2 * map->transactions;
    if (last) {
        end = most;
    } else if (next != map->count && first_item(piece_at(map, next)) == item + 1) {
        end = start_of(map, next) + bytes_load_le16(piece_at(map, next) + 6);
    }
    if (item >= map->transactions && first < map->transactions) {
        first = map->transactions;
        from = map->receipts_at;
    }
    span->skip = item - first;
    return span_over(map, from, end < most ? end : most, span);
}

bool body_map_find(struct bytes from, const uint8_t hash[32], enum body_part part, uint32_t index,
                   struct body_map_span *out_span)
{
    struct body_map map;
    struct body_map_span span = {.part = (uint8_t)part};
    if (!open_map(from, hash, &map) || index >= map.transactions) {
        return false;
    }
    bool found;
    if (part == BODY_SENDER) {
        uint64_t at = (uint64_t)map.block_size + map.receipts_size + (uint64_t)index * SENDER_SIZE;
        found = span_over(&map, at, at + SENDER_SIZE, &span);
    } else {
        found = (part == BODY_TRANSACTION || map.receipts_size != 0) &&
                find_item(&map, part == BODY_RECEIPT ? map.transactions + index : index, &span);
    }
    if (found) {
        *out_span = span;
    }
    return found;
}

bool body_map_has(struct bytes from, enum body_part part)
{
    ensure(from.size >= BODY_MAP_HEADER_SIZE && part != BODY_TRANSACTION);
    return bytes_load_le32(from.data + (part == BODY_RECEIPT ? 8 : 12)) != 0;
}

bool body_map_take(const struct body_map_span *span, const uint8_t hash[32], const uint8_t *data,
                   struct bytes *out_item)
{
    uint32_t piece_size = UINT32_C(1) << span->shift;
    ensure(span->size <= BODY_MAP_SPAN_PIECES * piece_size);
    for (uint32_t at = 0, i = 0; at < span->size; at += piece_size, i++) {
        uint32_t size = span->size - at < piece_size ? span->size - at : piece_size;
        if ((uint32_t)XXH3_64bits_withSeed(data + at, size, seed_of(hash, span->first + i)) !=
            span->sums[i]) {
            return false;
        }
    }
    struct bytes cursor = bytes_of(data + span->at, span->size - span->at);
    if (span->part == BODY_SENDER) {
        *out_item = bytes_of(cursor.data, SENDER_SIZE);
        return cursor.size >= SENDER_SIZE;
    }
    struct bytes item = bytes_of(NULL, 0);
    for (uint32_t i = 0; i <= span->skip; i++) {
        if (envelope_next(&cursor, &item, NULL) != 0) {
            return false;
        }
    }
    *out_item = item;
    return true;
}
