/* SPDX-License-Identifier: GPL-3.0-or-later */
/* thin.h: what a thinned segment holds. Pure codecs; stoa-format(5) has them byte by byte.
 *
 * NNNNNNNN.thin takes the place of NNNNNNNN.seg where much of that is not wanted any more: it has a
 * frame for each frame that the segment had, in the same order and with the same sequence, but
 * packed, without padding between groups, and some with a shorter payload. All that others know of
 * a frame stays: its segment, offset, size and sequence. Where it lies now the index says, whose
 * entries are of one size and in the order of sequences, so that one look finds an entry. A
 * thinned segment is made under another name and renamed into place when it is whole and durable:
 * there is the one or the other, and both say the same of what is kept.
 *
 * Why not holes in the segment itself: a block of 4096 bytes has several small frames, and what
 * stays of each would keep it; and a snapshot has the segment by a link, so a hole would reach into
 * that.
 *
 * A LEDGER_THIN frame (frame.h) has sequence, group, height and the previous frame's checksum of
 * the frame it stands for. Its payload:
 *
 *        0  u8   kind           8  u32  size of the whole frame    24  the payload,
 *        1  u8   level         12  u32  0                              or a shorter one
 *        2  u16  0             16  u64  checksum
 *        4  u32  offset
 *
 * of the frame it stands for. Level is the store's: what was left out of the payload. 0: nothing.
 *
 * The LEDGER_THIN_INDEX frame stands behind them all, with sequence and group of the first frame:
 *
 *        0  u32  segment number
 *        4  u32  number of entries
 *        8  u64  first sequence
 *       16  entries of 40 bytes:
 *              0  u32  offset in this file    12  u32  its whole size    32  u8   its kind
 *              4  u32  whole size here        16  u64  height            33  u8   level
 *              8  u32  offset of the frame    24  u64  its checksum      34  6 zero bytes
 *                      it stands for
 *
 * The last 4096 bytes are a trailer:
 *
 *        0  u32  magic "STTN"           24  u64  first sequence
 *        4  u32  version, 1             32  u32  size of the segment file before
 *        8  u32  segment number         36  u32  0
 *       12  u32  offset of the index    40  u64  checksum of the index frame
 *       16  u32  its whole size         48  u64  XXH3-64 of the block with this as zero,
 *       20  u32  number of entries               seeded with the store's id
 *
 * Everything else is zero. */
#ifndef THIN_H
#define THIN_H

#include "base/bytes.h"
#include "ledger/frame.h"
#include "ledger/segment.h"

enum {
    THIN_PREFIX_SIZE = 24,
    THIN_INDEX_HEAD_SIZE = 16,
    THIN_ENTRY_SIZE = 40,
    THIN_ENTRIES_MAX = SEGMENT_ENTRIES_MAX + 1, /* the seal is one as well */
};

/* "00000042.thin", or "00000042.thin.new" while it is being made. */
void thin_name(uint32_t number, bool finished, char out_name[SEGMENT_NAME_SIZE]);

/* The number in NAME, 0 where it is no such name. */
uint32_t thin_parse_name(const char *name, bool *out_finished);

/* Whole size of the frame that stands for another, with PAYLOAD_SIZE bytes of payload. */
static inline uint32_t thin_frame_size(uint32_t payload_size)
{
    return FRAME_HEADER_SIZE + THIN_PREFIX_SIZE + payload_size;
}

/* Write what stands for the frame with ORIGINAL header, which ENTRY names, to OUT. ENTRY's level
 * says what PAYLOAD is without. */
void thin_encode_frame(uint8_t *out, const struct frame_header *original,
                       const struct segment_entry *entry, struct bytes payload, uint64_t store_id);

/* The same read again: FRAME has all of it. OUT_ORIGINAL's length is what the payload was,
 * OUT_ENTRY has kind, level, offset, size, sequence, height and checksum. False: damaged, or no
 * such frame. */
bool thin_decode_frame(struct bytes frame, uint64_t store_id, struct frame_header *out_original,
                       struct segment_entry *out_entry, struct bytes *out_payload);

static inline uint32_t thin_index_size(uint32_t count)
{
    return FRAME_HEADER_SIZE + THIN_INDEX_HEAD_SIZE + count * THIN_ENTRY_SIZE;
}

/* The whole frame of an index over COUNT ENTRIES. Returns its checksum. */
uint64_t thin_encode_index(uint8_t *out, uint32_t number, const struct segment_entry *entries,
                           uint32_t count, uint64_t store_id);

struct thin_trailer {
    uint32_t number;
    uint32_t index_offset;
    uint32_t index_size;
    uint32_t count;
    uint64_t first_sequence;
    uint32_t segment_size;
    uint64_t index_checksum;
};

/* The entries that FRAME, of which TRAILER speaks, has, in order and inside the file. False: it is
 * damaged. */
bool thin_decode_index(struct bytes frame, const struct thin_trailer *trailer, uint64_t store_id,
                       struct segment_entry *out_entries);

/* Entry number INDEX alone, from its THIN_ENTRY_SIZE bytes, unchecked. */
void thin_decode_entry(const uint8_t *from, uint64_t sequence, struct segment_entry *out_entry);

/* Where entry INDEX lies in the file. */
static inline uint64_t thin_entry_offset(const struct thin_trailer *trailer, uint64_t index)
{
    return trailer->index_offset + FRAME_HEADER_SIZE + THIN_INDEX_HEAD_SIZE +
           index * THIN_ENTRY_SIZE;
}

void thin_encode_trailer(uint8_t out[SEGMENT_BLOCK], const struct thin_trailer *trailer,
                         uint64_t store_id);

/* False also where what it says cannot be of a file of FILE_SIZE bytes that has segment NUMBER. */
bool thin_decode_trailer(const uint8_t block[SEGMENT_BLOCK], uint32_t number, uint64_t file_size,
                         uint64_t store_id, struct thin_trailer *out_trailer);

#endif
