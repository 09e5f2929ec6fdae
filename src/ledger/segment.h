/* SPDX-License-Identifier: GPL-3.0-or-later */
/* segment.h: what a segment file holds besides the store's frames. Pure codecs; stoa-format(5) has
 * them byte by byte.
 *
 * NNNNNNNN.seg (from 00000001) begins with a LEDGER_SEGMENT frame. Groups of frames follow, each
 * from a multiple of 4096. A full segment ends with a LEDGER_SEAL frame as a group of its own,
 * whose payload is the index of all frames before it, and with a trailer in the file's last 4096
 * bytes that says where the seal lies. So one read of the trailer and one of the seal describe the
 * segment even where headers in it are damaged. Everything else is zero. A segment that is ready
 * but not in use is zero throughout. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    SEGMENT_BLOCK = 4096, /* groups start at multiples of it; the trailer's size */
    SEGMENT_FORMAT_VERSION = 1,
    SEGMENT_NAME_SIZE = 28,      /* with its terminator, and a folder before it */
    SEGMENT_ENTRIES_MAX = 65536, /* frames of one segment, without the seal */
    SEGMENT_ENTRY_SIZE = 40,
    SEGMENT_HEAD_SIZE = 40, /* payload of the first frame */
    SEGMENT_SEAL_HEAD_SIZE = 24,
    SEGMENT_MARK_SIZE = 8,
};

/* "00000042.seg", or "00000042.new" while it is being made. */
void segment_name(uint32_t number, bool finished, char out_name[SEGMENT_NAME_SIZE]);

/* The number in NAME, 0 where it is no such name. *OUT_FINISHED: .seg, not .new. */
uint32_t segment_parse_name(const char *name, bool *out_finished);

/* The same of other forms of a segment: eight digits and SUFFIX, or UNFINISHED. */
void segment_name_with(uint32_t number, const char *suffix, char out_name[SEGMENT_NAME_SIZE]);
uint32_t segment_parse_with(const char *name, const char *suffix, const char *unfinished,
                            bool *out_finished);

/* Payload of LEDGER_SEGMENT. */
struct segment_head {
    uint32_t format_version;
    uint32_t number;
    uint64_t store_id;
    uint64_t first_sequence; /* of the frame itself */
    uint64_t previous;       /* checksum of the last frame of the segment before; 0: none */
    uint32_t size;           /* of the file */
};

void segment_encode_head(uint8_t out[SEGMENT_HEAD_SIZE], const struct segment_head *head);
bool segment_decode_head(struct bytes payload, struct segment_head *out_head);

/* A frame of the segment, or a damaged stretch in which frames are missing. */
struct segment_entry {
    uint32_t offset;
    uint32_t size; /* whole frame without padding */
    uint64_t sequence;
    uint64_t height;
    uint64_t checksum; /* 0 where not known */
    uint8_t kind;      /* 0: a stretch; COUNT frames from SEQUENCE are missing there */
    bool damaged;      /* was known to be bad when the entry was made */
    uint32_t count;
    bool thin;     /* of a thinned segment (thin.h): then it lies there, */
    uint8_t level; /* and has lost so much of its payload, in the store's words; 0: nothing */
    uint32_t at;
    uint32_t at_size;
};

/* Where the bytes of ENTRY lie in its file, and how many they are. */
static inline uint32_t segment_entry_at(const struct segment_entry *entry)
{
    return entry->thin ? entry->at : entry->offset;
}

static inline uint32_t segment_entry_size(const struct segment_entry *entry)
{
    return entry->thin ? entry->at_size : entry->size;
}

/* Size of a LEDGER_SEAL payload over COUNT entries. */
static inline uint64_t segment_seal_size(uint32_t count)
{
    return SEGMENT_SEAL_HEAD_SIZE + (uint64_t)count * SEGMENT_ENTRY_SIZE;
}

void segment_encode_seal(uint8_t *out, uint32_t number, const struct segment_entry *entries,
                         uint32_t count);

/* Entries of a seal, at most SEGMENT_ENTRIES_MAX, in order and inside FILE_SIZE. False where the
 * payload is no seal of segment NUMBER. */
bool segment_decode_seal(struct bytes payload, uint32_t number, uint64_t file_size,
                         struct segment_entry *out_entries, uint32_t *out_count);

struct segment_trailer {
    uint32_t number;
    uint32_t seal_offset;
    uint32_t seal_size; /* whole frame */
    uint64_t seal_sequence;
    uint64_t seal_checksum;
};

void segment_encode_trailer(uint8_t out[SEGMENT_BLOCK], const struct segment_trailer *trailer,
                            uint64_t store_id);
bool segment_decode_trailer(const uint8_t block[SEGMENT_BLOCK], uint64_t store_id,
                            struct segment_trailer *out_trailer);

/* The checksum of a trailer that keeps it at OFFSET: XXH3 of the block with zeros there. */
uint64_t segment_trailer_sum(const uint8_t block[SEGMENT_BLOCK], size_t offset, uint64_t store_id);

/* Payload of LEDGER_MARK. */
void segment_encode_mark(uint8_t out[SEGMENT_MARK_SIZE], bool clean);
bool segment_decode_mark(struct bytes payload, bool *out_clean);

static inline uint64_t segment_align(uint64_t offset)
{
    return (offset + SEGMENT_BLOCK - 1) & ~(uint64_t)(SEGMENT_BLOCK - 1);
}

/* Largest whole frame that a new segment of SIZE bytes can hold besides its own parts. */
uint32_t segment_frame_max(uint32_t size);

#endif
