/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/batch_record.h"

#include <string.h>

#include "base/ensure.h"
#include "stoa/error.h"

enum {
    OFFSET_VERSION = 0,
    OFFSET_FLAGS = 1,
    OFFSET_BLOCK_COUNT = 4,
    OFFSET_BASE = 8,
    OFFSET_PARENT = 32,
    OFFSET_DIFFICULTY = 64,
    OFFSET_HEIGHT = 96,
    OFFSET_HAS_STATE = 104,
};

void batch_record_encode_header(const struct batch_record *record,
                                uint8_t out[BATCH_RECORD_HEADER_SIZE])
{
    memset(out, 0, BATCH_RECORD_HEADER_SIZE);
    out[OFFSET_VERSION] = BATCH_RECORD_VERSION;
    out[OFFSET_FLAGS] = (uint8_t)record->flags;
    bytes_store_le32(out + OFFSET_BLOCK_COUNT, record->block_count);
    bytes_store_le64(out + OFFSET_BASE, record->base);
}

void batch_record_encode_block(const struct batch_record_block *block,
                               uint8_t out[BATCH_RECORD_BLOCK_SIZE])
{
    memcpy(out, block->hash, 32);
    memcpy(out + OFFSET_PARENT, block->parent_hash, 32);
    memcpy(out + OFFSET_DIFFICULTY, block->total_difficulty, 32);
    bytes_store_le64(out + OFFSET_HEIGHT, block->height);
    bytes_store_le64(out + OFFSET_HAS_STATE, block->has_state);
}

int batch_record_decode(struct bytes payload, struct batch_record *out_record,
                        struct error_detail *detail)
{
    if (payload.size < BATCH_RECORD_HEADER_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "batch record: %zu bytes are too few",
                         payload.size);
    }
    const uint8_t *p = payload.data;
    if (p[OFFSET_VERSION] != BATCH_RECORD_VERSION ||
        (p[OFFSET_FLAGS] & ~(unsigned)(BATCH_RECORD_UPDATE | BATCH_RECORD_HEAD)) != 0) {
        return error_set(detail, STOA_ECORRUPT, "batch record: version %u, flags %u are unknown",
                         p[OFFSET_VERSION], p[OFFSET_FLAGS]);
    }
    struct batch_record record = {
        .flags = p[OFFSET_FLAGS],
        .block_count = bytes_load_le32(p + OFFSET_BLOCK_COUNT),
        .base = bytes_load_le64(p + OFFSET_BASE),
    };
    struct bytes rest =
        bytes_of(p + BATCH_RECORD_HEADER_SIZE, payload.size - BATCH_RECORD_HEADER_SIZE);
    uint64_t size = (uint64_t)record.block_count * BATCH_RECORD_BLOCK_SIZE;
    bool has_head = (record.flags & BATCH_RECORD_HEAD) != 0;
    if (size > rest.size || has_head != (rest.size > size)) {
        return error_set(detail, STOA_ECORRUPT, "batch record: %u blocks do not fit it",
                         record.block_count);
    }
    record.blocks = bytes_of(rest.data, size);
    record.head = bytes_of(rest.data + size, rest.size - size);
    *out_record = record;
    return 0;
}

void batch_record_decode_block(const struct batch_record *record, uint32_t index,
                               struct batch_record_block *out_block)
{
    ensure(index < record->block_count);
    const uint8_t *p = record->blocks.data + (size_t)index * BATCH_RECORD_BLOCK_SIZE;
    memcpy(out_block->hash, p, 32);
    memcpy(out_block->parent_hash, p + OFFSET_PARENT, 32);
    memcpy(out_block->total_difficulty, p + OFFSET_DIFFICULTY, 32);
    out_block->height = bytes_load_le64(p + OFFSET_HEIGHT);
    out_block->has_state = bytes_load_le64(p + OFFSET_HAS_STATE) != 0;
}
