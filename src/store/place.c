/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/place.h"

#include "base/ensure.h"
#include "stoa/error.h"
#include "store/position.h"

enum { APPLIED_VERSION = 3 };

static_assert(PLACE_HEIGHT_VALUE_SIZE == 32 + POSITION_SIZE + 4, "layout");
static_assert(PLACE_BLOCK_VALUE_SIZE == 8 + 2 * POSITION_SIZE + 1 + 4, "layout");
static_assert(PLACE_SIDE_VALUE_SIZE == 32 + 32 + 2 * POSITION_SIZE, "layout");
static_assert(PLACE_APPLIED_SIZE == 8 + 8 + POSITION_SIZE + 1 + 4 + 8 + 32 + 32 +
                                        2 * HEAD_RECORD_MARK_SIZE + PRUNE_FLOORS_SIZE,
              "layout");

void place_encode_height_key(uint64_t height, uint8_t out[PLACE_HEIGHT_KEY_SIZE])
{
    bytes_store_be64(out, height);
}

uint64_t place_decode_height_key(const uint8_t *key)
{
    return bytes_load_be64(key);
}

size_t place_encode_height(const struct place_height *height, uint8_t out[PLACE_HEIGHT_VALUE_MAX])
{
    ensure(height->body_map.size <= BODY_MAP_SIZE_MAX);
    memcpy(out, height->hash, 32);
    position_encode(&height->position, out + 32);
    bytes_store_le32(out + 32 + POSITION_SIZE, height->front);
    if (height->body_map.size != 0) {
        memcpy(out + PLACE_HEIGHT_VALUE_SIZE, height->body_map.data, height->body_map.size);
    }
    return PLACE_HEIGHT_VALUE_SIZE + height->body_map.size;
}

int place_decode_height(struct bytes value, struct place_height *out_height)
{
    if (value.size < PLACE_HEIGHT_VALUE_SIZE) {
        return STOA_ECORRUPT;
    }
    *out_height = (struct place_height){
        .position = position_decode(value.data + 32),
        .front = bytes_load_le32(value.data + 32 + POSITION_SIZE),
        .body_map =
            bytes_of(value.data + PLACE_HEIGHT_VALUE_SIZE, value.size - PLACE_HEIGHT_VALUE_SIZE),
    };
    memcpy(out_height->hash, value.data, 32);
    return 0;
}

bool place_is_of_height(struct bytes value, struct bytes wanted)
{
    ensure(wanted.size == PLACE_HEIGHT_VALUE_SIZE);
    return value.size >= wanted.size && memcmp(value.data, wanted.data, wanted.size) == 0;
}

void place_encode_block(const struct place_block *block, uint8_t out[PLACE_BLOCK_VALUE_SIZE])
{
    bytes_store_le64(out, block->height);
    position_encode(&block->position, out + 8);
    out[8 + POSITION_SIZE] = (uint8_t)block->flags;
    position_encode(&block->state_position, out + 9 + POSITION_SIZE);
    bytes_store_le32(out + 9 + 2 * POSITION_SIZE, block->front);
}

int place_decode_block(struct bytes value, struct place_block *out_block)
{
    if (value.size != PLACE_BLOCK_VALUE_SIZE) {
        return STOA_ECORRUPT;
    }
    *out_block = (struct place_block){
        .height = bytes_load_le64(value.data),
        .position = position_decode(value.data + 8),
        .flags = value.data[8 + POSITION_SIZE],
        .state_position = position_decode(value.data + 9 + POSITION_SIZE),
        .front = bytes_load_le32(value.data + 9 + 2 * POSITION_SIZE),
    };
    return 0;
}

void place_encode_side_key(uint64_t height, const uint8_t hash[32],
                           uint8_t out[PLACE_SIDE_KEY_SIZE])
{
    bytes_store_be64(out, height);
    memcpy(out + 8, hash, 32);
}

void place_encode_side(const struct branches_block *block, uint8_t out[PLACE_SIDE_VALUE_SIZE])
{
    memcpy(out, block->parent_hash, 32);
    memcpy(out + 32, block->total_difficulty, 32);
    position_encode(&block->position, out + 64);
    position_encode(&block->state_position, out + 64 + POSITION_SIZE);
}

int place_decode_side(struct bytes key, struct bytes value, struct branches_block *out_block)
{
    if (key.size != PLACE_SIDE_KEY_SIZE || value.size != PLACE_SIDE_VALUE_SIZE) {
        return STOA_ECORRUPT;
    }
    out_block->height = bytes_load_be64(key.data);
    memcpy(out_block->hash, key.data + 8, 32);
    memcpy(out_block->parent_hash, value.data, 32);
    memcpy(out_block->total_difficulty, value.data + 32, 32);
    out_block->position = position_decode(value.data + 64);
    out_block->state_position = position_decode(value.data + 64 + POSITION_SIZE);
    return 0;
}

/* VALUE in as few bytes as may be, their number ahead of it in leading ones, so that longer ones,
 * which are larger, sort behind. Returns how many. */
static size_t put_rising(uint64_t value, uint8_t *out)
{
    size_t size = 1;
    while (size < 6 && value >> 7 * size != 0) {
        size++;
    }
    uint64_t ones = UINT64_C(0xff) << (9 - size) & 0xff;
    value |= ones << 8 * (size - 1);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    }
    return size;
}

/* The value at the beginning of *IN, which moves behind it. False: there is none. */
static bool take_rising(struct bytes *in, uint64_t *out)
{
    if (in->size == 0) {
        return false;
    }
    size_t size = 1;
    while (size < 7 && (in->data[0] & 0x80 >> (size - 1)) != 0) {
        size++;
    }
    if (size > 6 || in->size < size) {
        return false;
    }
    uint64_t value = in->data[0] & 0xffU >> size;
    for (size_t i = 1; i < size; i++) {
        value = value << 8 | in->data[i];
    }
    *in = bytes_of(in->data + size, in->size - size);
    *out = value;
    return true;
}

size_t place_encode_transaction_key(uint64_t prefix, uint64_t height, uint32_t index,
                                    uint8_t out[PLACE_TRANSACTION_KEY_MAX])
{
    ensure(height <= PLACE_HEIGHT_MAX);
    ensure(index <= PLACE_TRANSACTION_INDEX_MAX);
    bytes_store_be64(out, prefix);
    size_t size = PLACE_TRANSACTION_PREFIX_SIZE;
    size += put_rising(height, out + size);
    return size + put_rising(index, out + size);
}

/* Of REST: a height, and an index where one is WANTED, and nothing more. */
static int decode_place(struct bytes rest, bool indexed, uint64_t *out_height, uint32_t *out_index)
{
    uint64_t index = 0;
    if (!take_rising(&rest, out_height) || (indexed && !take_rising(&rest, &index)) ||
        rest.size != 0 || *out_height > PLACE_HEIGHT_MAX || index > PLACE_TRANSACTION_INDEX_MAX) {
        return STOA_ECORRUPT;
    }
    *out_index = (uint32_t)index;
    return 0;
}

int place_decode_transaction_key(struct bytes key, uint64_t *out_prefix, uint64_t *out_height,
                                 uint32_t *out_index)
{
    enum { SIZE = PLACE_TRANSACTION_PREFIX_SIZE };
    if (key.size < SIZE) {
        return STOA_ECORRUPT;
    }
    *out_prefix = bytes_load_be64(key.data);
    return decode_place(bytes_of(key.data + SIZE, key.size - SIZE), true, out_height, out_index);
}

void place_encode_posting_prefix(uint64_t prefix, uint8_t out[PLACE_POSTING_PREFIX_SIZE])
{
    ensure(prefix >> 8 * PLACE_POSTING_PREFIX_SIZE == 0);
    bytes_store_be16(out, (uint16_t)(prefix >> 32));
    bytes_store_be32(out + 2, (uint32_t)prefix);
}

size_t place_encode_posting_key(const struct posting *posting, uint64_t height,
                                uint8_t out[PLACE_POSTING_KEY_MAX])
{
    ensure(height <= PLACE_HEIGHT_MAX && posting->index <= PLACE_TRANSACTION_INDEX_MAX);
    place_encode_posting_prefix(posting->prefix, out);
    size_t size = PLACE_POSTING_PREFIX_SIZE;
    size += put_rising(height, out + size);
    return posting->kind == POSTING_ADDRESS ? size + put_rising(posting->index, out + size) : size;
}

int place_decode_posting_key(struct bytes key, enum posting_kind kind, uint64_t *out_height,
                             struct posting *out_posting)
{
    enum { SIZE = PLACE_POSTING_PREFIX_SIZE };
    struct posting posting = {.kind = (uint8_t)kind};
    if (key.size < SIZE) {
        return STOA_ECORRUPT;
    }
    posting.prefix = (uint64_t)bytes_load_be16(key.data) << 32 | bytes_load_be32(key.data + 2);
    int result = decode_place(bytes_of(key.data + SIZE, key.size - SIZE), kind == POSTING_ADDRESS,
                              out_height, &posting.index);
    *out_posting = posting;
    return result;
}

void place_encode_applied(const struct place_applied *applied, uint8_t out[PLACE_APPLIED_SIZE])
{
    memset(out, 0, PLACE_APPLIED_SIZE);
    bytes_store_le32(out, APPLIED_VERSION);
    bytes_store_le64(out + 8, applied->store_id);
    position_encode(&applied->position, out + 16);
    out[36] = applied->has_head;
    bytes_store_le64(out + 41, applied->head_height);
    memcpy(out + 49, applied->head_hash, 32);
    memcpy(out + 81, applied->head_total_difficulty, 32);
    head_record_encode_mark(&applied->safe, out + 113);
    head_record_encode_mark(&applied->finalized, out + 153);
    prune_floors_encode(&applied->kept, out + PLACE_APPLIED_SIZE_WHOLE);
}

int place_decode_applied(struct bytes value, struct place_applied *out_applied)
{
    if ((value.size != PLACE_APPLIED_SIZE && value.size != PLACE_APPLIED_SIZE_WHOLE) ||
        bytes_load_le32(value.data) != APPLIED_VERSION) {
        return STOA_ECORRUPT;
    }
    struct place_applied applied = {
        .store_id = bytes_load_le64(value.data + 8),
        .position = position_decode(value.data + 16),
        .has_head = value.data[36] != 0,
        .head_height = bytes_load_le64(value.data + 41),
    };
    memcpy(applied.head_hash, value.data + 49, 32);
    memcpy(applied.head_total_difficulty, value.data + 81, 32);
    head_record_decode_mark(value.data + 113, &applied.safe);
    head_record_decode_mark(value.data + 153, &applied.finalized);
    if (value.size == PLACE_APPLIED_SIZE) {
        prune_floors_decode(value.data + PLACE_APPLIED_SIZE_WHOLE, &applied.kept);
    }
    *out_applied = applied;
    return 0;
}
