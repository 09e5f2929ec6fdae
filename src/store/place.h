/* SPDX-License-Identifier: GPL-3.0-or-later */
/* place.h: keys and values of the store's tables. Integers are big-endian in keys, little-endian in
 * values. Pure.
 *
 *   heights       height (8) -> block hash (32), position (20), front (4), body_map (body_map.h; it
 *                 may be absent)
 *                 canonical chain
 *   blocks        block or envelope hash (32) -> height (8), position (20), flags (1), position of
 *                 the state frame (20), front (4)
 *   sides         height (8), block hash (32) -> parent hash (32), total difficulty (32), position
 *                 (20), position of the state frame (20)
 *                 blocks off the canonical chain
 *   transactions  first 8 bytes of the hash, height, index -> nothing
 *                 runs; canonical chain
 *   addresses     first 6 bytes of a hash of the address, height, index -> roles (1)
 *   logs          first 6 bytes of a hash of address or topic and its place, height -> nothing
 *                 runs; canonical chain; these heights and indexes are as short as may be: as many
 *                 bytes as the first byte has leading ones and one more, of seven bits each, so
 *                 that they sort as numbers
 *   state         key -> value
 *                 runs; newest wins
 *   meta          "applied" -> see struct place_applied
 *
 * A position is segment (4), offset (4), size (4), sequence (8) of a frame; all zero: there is
 * none. A front is how much of the payload precedes the receipts (record.h); 0: not known. Two
 * transactions whose hashes begin alike have two entries; reading the blocks tells them apart. */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "ledger/ledger.h"
#include "store/body_map.h"
#include "store/branches.h"
#include "store/head_record.h"
#include "store/posting.h"
#include "store/prune_record.h"

enum {
    PLACE_HEIGHT_KEY_SIZE = 8,
    PLACE_HEIGHT_VALUE_SIZE = 56, /* without the body_map */
    PLACE_HEIGHT_VALUE_MAX = PLACE_HEIGHT_VALUE_SIZE + BODY_MAP_SIZE_MAX,
    PLACE_BLOCK_KEY_SIZE = 32,
    PLACE_BLOCK_VALUE_SIZE = 53,
    PLACE_SIDE_KEY_SIZE = 40,
    PLACE_SIDE_VALUE_SIZE = 104,
    PLACE_TRANSACTION_PREFIX_SIZE = 8,
    PLACE_TRANSACTION_KEY_MAX = 8 + 6 + 4,
    PLACE_POSTING_PREFIX_SIZE = 6,
    PLACE_POSTING_KEY_MAX = 6 + 6 + 4,
    PLACE_APPLIED_SIZE = 225,
    PLACE_APPLIED_SIZE_WHOLE = 193, /* of tables that say nothing of pruning */
    PLACE_SIDE = 1 << 0,            /* flag: not of the canonical chain */
    PLACE_ENVELOPE = 1 << 1,        /* flag: the key is the envelope's hash */
};

#define PLACE_HEIGHT_MAX ((UINT64_C(1) << 40) - 1)
#define PLACE_TRANSACTION_INDEX_MAX ((UINT32_C(1) << 24) - 1)

/* Up to where the tables speak for the ledger; changes with them in one transaction. */
struct place_applied {
    uint64_t store_id;
    struct ledger_position position; /* of the last frame applied; sequence 0: none */
    bool has_head;
    uint64_t head_height;
    uint8_t head_hash[32];
    uint8_t head_total_difficulty[32];
    struct head_mark safe;
    struct head_mark finalized;
    struct prune_floors kept;
};

void place_encode_height_key(uint64_t height, uint8_t out[PLACE_HEIGHT_KEY_SIZE]);
uint64_t place_decode_height_key(const uint8_t *key);

/* What the table of heights has of a block. */
struct place_height {
    uint8_t hash[32];
    struct ledger_position position;
    uint32_t front;
    struct bytes body_map; /* or none; decoded: a view into the value */
};

/* Its size. */
size_t place_encode_height(const struct place_height *height, uint8_t out[PLACE_HEIGHT_VALUE_MAX]);
int place_decode_height(struct bytes value, struct place_height *out_height);

/* Whether VALUE, which may be anything, says the same as WANTED, which has no map: then what map it
 * has is of that block. */
bool place_is_of_height(struct bytes value, struct bytes wanted);

/* What the table of blocks has of one. */
struct place_block {
    uint64_t height;
    struct ledger_position position;
    struct ledger_position state_position; /* sequence 0: it has no state changes */
    unsigned flags;
    uint32_t front;
};

void place_encode_block(const struct place_block *block, uint8_t out[PLACE_BLOCK_VALUE_SIZE]);
int place_decode_block(struct bytes value, struct place_block *out_block);

void place_encode_side_key(uint64_t height, const uint8_t hash[32],
                           uint8_t out[PLACE_SIDE_KEY_SIZE]);
void place_encode_side(const struct branches_block *block, uint8_t out[PLACE_SIDE_VALUE_SIZE]);
int place_decode_side(struct bytes key, struct bytes value, struct branches_block *out_block);

/* Its size. */
size_t place_encode_transaction_key(uint64_t prefix, uint64_t height, uint32_t index,
                                    uint8_t out[PLACE_TRANSACTION_KEY_MAX]);
int place_decode_transaction_key(struct bytes key, uint64_t *out_prefix, uint64_t *out_height,
                                 uint32_t *out_index);

/* Of POSTING at HEIGHT: its size. */
size_t place_encode_posting_key(const struct posting *posting, uint64_t height,
                                uint8_t out[PLACE_POSTING_KEY_MAX]);
/* What all keys of a list of postings begin with. */
void place_encode_posting_prefix(uint64_t prefix, uint8_t out[PLACE_POSTING_PREFIX_SIZE]);
/* OUT_POSTING's prefix, index and kind. */
int place_decode_posting_key(struct bytes key, enum posting_kind kind, uint64_t *out_height,
                             struct posting *out_posting);

void place_encode_applied(const struct place_applied *applied, uint8_t out[PLACE_APPLIED_SIZE]);
int place_decode_applied(struct bytes value, struct place_applied *out_applied);

#endif
