/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz/fuzz_seal.h"

#include <string.h>
#include <xxhash.h>
#include <zlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/frame.h"
#include "ledger/segment.h"

enum { OFFSET_CRC = 12, OFFSET_CHECKSUM = 40 };

uint8_t *fuzz_seal_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = memory_alloc(size != 0 ? size : 1);
    ensure(copy != NULL);
    memcpy(copy, data, size);
    return copy;
}

uint64_t fuzz_seal_checksum(const uint8_t *frame, size_t size)
{
    uint8_t *copy = memory_alloc(FRAME_HEADER_SIZE + size);
    ensure(copy != NULL);
    memcpy(copy, frame, FRAME_HEADER_SIZE + size);
    bytes_store_le32(copy + OFFSET_CRC, 0);
    bytes_store_le64(copy + OFFSET_CHECKSUM, 0);
    uint64_t sum = XXH3_64bits_withSeed(copy, FRAME_HEADER_SIZE + size, FUZZ_SEAL_STORE);
    memory_free(copy);
    return sum;
}

uint32_t fuzz_seal_crc(const uint8_t *frame)
{
    uint8_t id[8];
    uint8_t header[FRAME_HEADER_SIZE];
    bytes_store_le64(id, FUZZ_SEAL_STORE);
    memcpy(header, frame, sizeof(header));
    bytes_store_le32(header + OFFSET_CRC, 0);
    return (uint32_t)crc32(crc32(0, id, sizeof(id)), header, sizeof(header));
}

void fuzz_seal_frame(uint8_t *frame, size_t size)
{
    bytes_store_le64(frame + OFFSET_CHECKSUM, fuzz_seal_checksum(frame, size));
    bytes_store_le32(frame + OFFSET_CRC, fuzz_seal_crc(frame));
}

void fuzz_seal_block(uint8_t *block, size_t offset)
{
    bytes_store_le64(block + offset, segment_trailer_sum(block, offset, FUZZ_SEAL_STORE));
}
