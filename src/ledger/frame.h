/* SPDX-License-Identifier: GPL-3.0-or-later */
/* frame.h: the ledger's frame: a 64-byte header, then the payload. Pure; reads and writes memory
 * only. stoa-format(5) has the same byte by byte.
 *
 *      0  u32  magic "STFR"              24  u64  group: sequence of its group's first frame
 *      4  u8   version                   32  u64  previous: checksum of the frame before
 *      5  u8   kind                      40  u64  checksum: XXH3-64 of header and payload
 *      6  u16  flags, 0                  48  u64  height
 *      8  u32  length of the payload     56  u64  reserved, 0
 *     12  u32  header CRC
 *     16  u64  sequence
 *
 * Both sums begin from the store's id, so that another store's frame never passes. The checksum is
 * over header and payload with both sums taken as zero; the header's CRC-32 (zlib's) is over the
 * store's id and the header with itself taken as zero, so it covers the checksum as well. It makes
 * length, sequence and height trustworthy where only the payload is damaged, and lets a reader find
 * the next frame after a damaged header. Being a CRC, it finds every single flipped bit.
 *
 * Frames start at multiples of 64. What lies between the end of one and the next start is zero. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_HEADER_SIZE = 64,
    FRAME_ALIGNMENT = 64,
    FRAME_VERSION = 1,
    FRAME_LENGTH_MAX = 1 << 30, /* no segment is longer; so a frame's size cannot overflow */
};

struct frame_header {
    uint8_t kind;
    uint32_t length;
    uint64_t sequence;
    uint64_t group;
    uint64_t previous;
    uint64_t checksum;
    uint64_t height;
};

enum frame_status {
    FRAME_GOOD,
    FRAME_BAD,   /* no header of this store */
    FRAME_NEWER, /* a sound header of a version this code does not know */
};

/* Write HEADER's fields to FRAME, where the payload already lies behind the header, and both sums.
 * HEADER's checksum is set as well. */
void frame_encode(uint8_t *frame, struct frame_header *header, uint64_t store_id);

/* Check the 64 bytes at FRAME without looking at the payload. *OUT_HEADER is written when good. */
enum frame_status frame_decode(const uint8_t *frame, uint64_t store_id,
                               struct frame_header *out_header);

/* Whether the payload behind the good header at FRAME is what was written. */
bool frame_check(const uint8_t *frame, const struct frame_header *header, uint64_t store_id);

/* Whether SIZE bytes are all zero. */
bool frame_is_zero(const uint8_t *data, size_t size);

/* Whole size of a frame with HEADER, without padding. */
static inline uint32_t frame_size(const struct frame_header *header)
{
    return FRAME_HEADER_SIZE + header->length;
}

/* OFFSET rounded up to where a frame may start. */
static inline uint64_t frame_align(uint64_t offset)
{
    return (offset + FRAME_ALIGNMENT - 1) & ~(uint64_t)(FRAME_ALIGNMENT - 1);
}

#endif
