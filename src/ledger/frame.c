/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/frame.h"

#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the state may live on the stack */
#include <xxhash.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/ensure.h"

static const uint32_t frame_magic = 0x52465453; /* "STFR" */

enum {
    OFFSET_MAGIC = 0,
    OFFSET_VERSION = 4,
    OFFSET_KIND = 5,
    OFFSET_FLAGS = 6,
    OFFSET_LENGTH = 8,
    OFFSET_CRC = 12,
    OFFSET_SEQUENCE = 16,
    OFFSET_GROUP = 24,
    OFFSET_PREVIOUS = 32,
    OFFSET_CHECKSUM = 40,
    OFFSET_HEIGHT = 48,
    OFFSET_RESERVED = 56,
};

static uint32_t header_crc(const uint8_t *frame, uint64_t store_id)
{
    uint8_t covered[8 + FRAME_HEADER_SIZE];
    bytes_store_le64(covered, store_id);
    memcpy(covered + 8, frame, FRAME_HEADER_SIZE);
    bytes_store_le32(covered + 8 + OFFSET_CRC, 0);
    return (uint32_t)crc32(0, covered, sizeof(covered));
}

static uint64_t frame_sum(const uint8_t *frame, uint32_t length, uint64_t store_id)
{
    uint8_t header[FRAME_HEADER_SIZE];
    memcpy(header, frame, FRAME_HEADER_SIZE);
    bytes_store_le32(header + OFFSET_CRC, 0);
    bytes_store_le64(header + OFFSET_CHECKSUM, 0);
    XXH3_state_t state;
    /* Resetting keeps a secret that the state seems to have for this seed already. On the stack
     * that would be what an earlier call left there. */
    XXH3_INITSTATE(&state);
    XXH_errorcode failed = XXH3_64bits_reset_withSeed(&state, store_id);
    ensure(failed == XXH_OK);
    failed = XXH3_64bits_update(&state, header, sizeof(header));
    ensure(failed == XXH_OK);
    failed = XXH3_64bits_update(&state, frame + FRAME_HEADER_SIZE, length);
    ensure(failed == XXH_OK);
    return XXH3_64bits_digest(&state);
}

void frame_encode(uint8_t *frame, struct frame_header *header, uint64_t store_id)
{
    ensure(header->kind != 0);
    ensure(header->sequence != 0);
    ensure(header->group != 0);
    ensure(header->group <= header->sequence);
    ensure(header->length <= FRAME_LENGTH_MAX);
    memset(frame, 0, FRAME_HEADER_SIZE);
    bytes_store_le32(frame + OFFSET_MAGIC, frame_magic);
    frame[OFFSET_VERSION] = FRAME_VERSION;
    frame[OFFSET_KIND] = header->kind;
    bytes_store_le32(frame + OFFSET_LENGTH, header->length);
    bytes_store_le64(frame + OFFSET_SEQUENCE, header->sequence);
    bytes_store_le64(frame + OFFSET_GROUP, header->group);
    bytes_store_le64(frame + OFFSET_PREVIOUS, header->previous);
    bytes_store_le64(frame + OFFSET_HEIGHT, header->height);
    header->checksum = frame_sum(frame, header->length, store_id);
    bytes_store_le64(frame + OFFSET_CHECKSUM, header->checksum);
    bytes_store_le32(frame + OFFSET_CRC, header_crc(frame, store_id));
}

enum frame_status frame_decode(const uint8_t *frame, uint64_t store_id,
                               struct frame_header *out_header)
{
    if (bytes_load_le32(frame + OFFSET_MAGIC) != frame_magic ||
        bytes_load_le32(frame + OFFSET_CRC) != header_crc(frame, store_id)) {
        return FRAME_BAD;
    }
    if (frame[OFFSET_VERSION] > FRAME_VERSION) {
        return FRAME_NEWER;
    }
    struct frame_header header = {
        .kind = frame[OFFSET_KIND],
        .length = bytes_load_le32(frame + OFFSET_LENGTH),
        .sequence = bytes_load_le64(frame + OFFSET_SEQUENCE),
        .group = bytes_load_le64(frame + OFFSET_GROUP),
        .previous = bytes_load_le64(frame + OFFSET_PREVIOUS),
        .checksum = bytes_load_le64(frame + OFFSET_CHECKSUM),
        .height = bytes_load_le64(frame + OFFSET_HEIGHT),
    };
    if (frame[OFFSET_VERSION] != FRAME_VERSION || header.kind == 0 || header.sequence == 0 ||
        header.group == 0 || header.group > header.sequence || header.length > FRAME_LENGTH_MAX ||
        bytes_load_le16(frame + OFFSET_FLAGS) != 0 ||
        bytes_load_le64(frame + OFFSET_RESERVED) != 0) {
        return FRAME_BAD;
    }
    *out_header = header;
    return FRAME_GOOD;
}

bool frame_check(const uint8_t *frame, const struct frame_header *header, uint64_t store_id)
{
    return frame_sum(frame, header->length, store_id) == header->checksum;
}

bool frame_is_zero(const uint8_t *data, size_t size)
{
    size_t i = 0;
    for (; i + 64 <= size; i += 64) {
        uint64_t words[8];
        memcpy(words, data + i, sizeof(words));
        if ((words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] |
             words[7]) != 0) {
            return false;
        }
    }
    for (; i < size; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}
