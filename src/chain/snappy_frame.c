/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/snappy_frame.h"

#include <snappy-c.h>

#include "base/ensure.h"

enum {
    CHUNK_CONTENT_MAX = 65536,
    CHUNK_HEADER_SIZE = 4, /* type, 24-bit length of what follows */
    CHECKSUM_SIZE = 4,
    CHUNK_COMPRESSED = 0x00,
    CHUNK_UNCOMPRESSED = 0x01,
    CHUNK_SKIPPABLE_MIN = 0x80,
    CHUNK_STREAM = 0xff,
};

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78)
#define CHECKSUM_MASK UINT32_C(0xa282ead8)

static const uint8_t stream_identifier[10] = {CHUNK_STREAM, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'};

void snappy_frame_init(struct snappy_frame *frame)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC32C_POLYNOMIAL : 0);
        }
        frame->crc[0][i] = crc;
    }
    for (size_t table = 1; table < 8; table++) {
        for (size_t i = 0; i < 256; i++) {
            uint32_t crc = frame->crc[table - 1][i];
            frame->crc[table][i] = crc >> 8 ^ frame->crc[0][crc & 0xff];
        }
    }
}

static uint32_t masked_checksum(const struct snappy_frame *frame, const uint8_t *data, size_t size)
{
    const uint32_t(*table)[256] = frame->crc;
    uint32_t crc = UINT32_MAX;
    while (size >= 8) {
        uint64_t word = bytes_load_le64(data) ^ crc;
        crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^ table[5][word >> 16 & 0xff] ^
              table[4][word >> 24 & 0xff] ^ table[3][word >> 32 & 0xff] ^
              table[2][word >> 40 & 0xff] ^ table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
        data += 8;
        size -= 8;
    }
    while (size > 0) {
        crc = crc >> 8 ^ table[0][(crc ^ *data) & 0xff];
        data++;
        size--;
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + CHECKSUM_MASK;
}

static void put_chunk_header(uint8_t *to, uint8_t type, size_t size)
{
    to[0] = type;
    to[1] = (uint8_t)size;
    to[2] = (uint8_t)(size >> 8);
    to[3] = (uint8_t)(size >> 16);
}

/* OUT has room. */
static void compress_chunk(const struct snappy_frame *frame, struct bytes in, struct buffer *out)
{
    ensure(in.size <= CHUNK_CONTENT_MAX);
    uint8_t *head = out->data + out->size;
    uint8_t *content = head + CHUNK_HEADER_SIZE + CHECKSUM_SIZE;
    size_t size = snappy_max_compressed_length(in.size);
    uint8_t type = CHUNK_COMPRESSED;
    snappy_status status = snappy_compress((const char *)in.data, in.size, (char *)content, &size);
    ensure(status == SNAPPY_OK); /* fails only where the room is too small */
    if (size >= in.size - in.size / 8) {
        type = CHUNK_UNCOMPRESSED;
        size = in.size;
        memcpy(content, in.data, size);
    }
    put_chunk_header(head, type, CHECKSUM_SIZE + size);
    bytes_store_le32(head + CHUNK_HEADER_SIZE, masked_checksum(frame, in.data, in.size));
    out->size += CHUNK_HEADER_SIZE + CHECKSUM_SIZE + size;
}

int snappy_frame_compress(const struct snappy_frame *frame, struct bytes in, struct buffer *out)
{
    size_t chunks = in.size / CHUNK_CONTENT_MAX + 1;
    size_t chunk_max =
        CHUNK_HEADER_SIZE + CHECKSUM_SIZE + snappy_max_compressed_length(CHUNK_CONTENT_MAX);
    int error = buffer_reserve(out, sizeof(stream_identifier) + chunks * chunk_max);
    if (error != 0) {
        return error;
    }
    memcpy(out->data + out->size, stream_identifier, sizeof(stream_identifier));
    out->size += sizeof(stream_identifier);
    while (in.size > 0) {
        size_t part = in.size < CHUNK_CONTENT_MAX ? in.size : CHUNK_CONTENT_MAX;
        compress_chunk(frame, bytes_of(in.data, part), out);
        in = bytes_of(in.data + part, in.size - part);
    }
    return 0;
}

/* CHUNK is what follows the chunk's header. */
static int decompress_chunk(const struct snappy_frame *frame, bool compressed, struct bytes chunk,
                            struct buffer *out, struct error_detail *detail)
{
    if (chunk.size < CHECKSUM_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "snappy: chunk of %zu bytes", chunk.size);
    }
    const char *data = (const char *)chunk.data + CHECKSUM_SIZE;
    size_t data_size = chunk.size - CHECKSUM_SIZE;
    size_t size = data_size;
    if (compressed && snappy_uncompressed_length(data, data_size, &size) != SNAPPY_OK) {
        return error_set(detail, STOA_ECORRUPT, "snappy: chunk without a length");
    }
    if (size > CHUNK_CONTENT_MAX) {
        return error_set(detail, STOA_ECORRUPT, "snappy: chunk holds %zu bytes, more than %d", size,
                         CHUNK_CONTENT_MAX);
    }
    if (buffer_reserve(out, size + 1) != 0) { /* never nothing: OUT's data is then not NULL */
        return error_set(detail, STOA_ENOMEM, "snappy: no memory for %zu bytes", size);
    }
    uint8_t *to = out->data + out->size;
    if (!compressed) {
        memcpy(to, data, size);
    } else if (snappy_uncompress(data, data_size, (char *)to, &size) != SNAPPY_OK) {
        return error_set(detail, STOA_ECORRUPT, "snappy: chunk does not decompress");
    }
    if (masked_checksum(frame, to, size) != bytes_load_le32(chunk.data)) {
        return error_set(detail, STOA_ECORRUPT, "snappy: checksum of a chunk is wrong");
    }
    out->size += size;
    return 0;
}

static int decompress_all(const struct snappy_frame *frame, struct bytes in, struct buffer *out,
                          struct error_detail *detail)
{
    size_t start = out->size;
    while (in.size > 0) {
        if (in.size < CHUNK_HEADER_SIZE) {
            return error_set(detail, STOA_ECORRUPT, "snappy: ends inside a chunk's header");
        }
        uint8_t type = in.data[0];
        size_t size = bytes_load_le32(in.data) >> 8;
        in = bytes_of(in.data + CHUNK_HEADER_SIZE, in.size - CHUNK_HEADER_SIZE);
        if (size > in.size) {
            return error_set(detail, STOA_ECORRUPT, "snappy: chunk of %zu bytes, %zu there", size,
                             in.size);
        }
        struct bytes chunk = bytes_of(in.data, size);
        in = bytes_of(in.data + size, in.size - size);
        if (type == CHUNK_COMPRESSED || type == CHUNK_UNCOMPRESSED) {
            int error = decompress_chunk(frame, type == CHUNK_COMPRESSED, chunk, out, detail);
            if (error != 0) {
                return error;
            }
        } else if (type == CHUNK_STREAM) {
            if (!bytes_equal(chunk, bytes_of(stream_identifier + CHUNK_HEADER_SIZE, 6))) {
                return error_set(detail, STOA_ECORRUPT, "snappy: wrong stream identifier");
            }
        } else if (type < CHUNK_SKIPPABLE_MIN) {
            return error_set(detail, STOA_ECORRUPT, "snappy: chunk type 0x%02x is reserved", type);
        }
        if (out->size - start > SNAPPY_FRAME_CONTENT_MAX) {
            return error_set(detail, STOA_ECORRUPT, "snappy: holds more than %d bytes",
                             SNAPPY_FRAME_CONTENT_MAX);
        }
    }
    return 0;
}

int snappy_frame_decompress(const struct snappy_frame *frame, struct bytes in, struct buffer *out,
                            struct error_detail *detail)
{
    if (in.size < sizeof(stream_identifier) ||
        memcmp(in.data, stream_identifier, sizeof(stream_identifier)) != 0) {
        return error_set(detail, STOA_ECORRUPT, "snappy: no stream identifier");
    }
    size_t start = out->size;
    int error = decompress_all(frame, in, out, detail);
    if (error != 0) {
        out->size = start;
    }
    return error;
}
