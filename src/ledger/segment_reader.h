/* SPDX-License-Identifier: GPL-3.0-or-later */
/* segment_reader.h: a segment file read once from front to back in big direct reads with
 * read-ahead, presented as memory. Blocking: runs the loop. Of a packed segment what it stands for
 * is presented, without read-ahead; what is damaged of it is zero. */
#ifndef SEGMENT_READER_H
#define SEGMENT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/io.h"
#include "ledger/arc.h"

enum {
    SEGMENT_READER_CHUNK = 1 << 20,
    SEGMENT_READER_DEPTH = 4,
    SEGMENT_READER_WINDOW = 8 << 20,
};

struct segment_reader {
    struct io *io;
    int file;
    uint64_t size; /* of the file */
    bool tolerant; /* what cannot be read is presented as filler that passes no check */

    uint8_t *buffer; /* owned */
    uint64_t capacity;
    uint64_t base;   /* offset of buffer[0] in the file */
    uint64_t filled; /* read up to here without a gap */
    uint64_t asked;  /* reads were submitted up to here */
    struct segment_reader_slot {
        struct io_request request;
        bool done;
    } slots[SEGMENT_READER_DEPTH];
    unsigned slot_first; /* in order of offsets */
    unsigned slot_count;
    int result; /* first failure */
    int os_error;
    uint64_t unreadable; /* 4096-byte blocks, tolerant */

    const struct arc_map *arc; /* of a packed segment; NULL: it is none */
    struct arc_unpacker *unpacker;
    uint8_t *packed; /* owned: some of the file */
    uint64_t packed_capacity;
    uint64_t packed_base;
    uint64_t packed_filled;
    uint8_t *group; /* owned: the group that was unpacked last */
    uint64_t group_capacity;
    uint32_t group_index; /* group_count: none was */
};

/* FILE stays the caller's. Call deinit in any case. STOA_ENOMEM. */
int segment_reader_init(struct segment_reader *reader, struct io *io, int file, uint64_t size,
                        bool tolerant);
/* The same of a packed one, which MAP describes. */
int segment_reader_init_packed(struct segment_reader *reader, struct io *io, int file,
                               const struct arc_map *map, struct arc_unpacker *unpacker,
                               bool tolerant);
void segment_reader_deinit(struct segment_reader *reader);

/* Slow path of segment_reader_get. */
const uint8_t *segment_reader_fetch(struct segment_reader *reader, uint64_t offset, uint64_t size);

/* SIZE bytes at OFFSET, which must lie inside the file and not before what earlier calls asked for,
 * except inside the last view. The view lives until the next call. NULL: reader->result says
 * why. */
static inline const uint8_t *segment_reader_get(struct segment_reader *reader, uint64_t offset,
                                                uint64_t size)
{
    if (offset >= reader->base && offset + size <= reader->filled) {
        return reader->buffer + (offset - reader->base);
    }
    return segment_reader_fetch(reader, offset, size);
}

#endif
