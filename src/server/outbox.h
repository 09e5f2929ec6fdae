/* SPDX-License-Identifier: GPL-3.0-or-later */
/* outbox.h: what is to be written to a client, in order: bytes of its own, and views of the store's
 * memory that are given back once they are written. A box that is being sent is not added to: what
 * comes meanwhile goes to another. The loop's thread. */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <sys/uio.h>

#include "stoa.h"
#include "wire/wire.h"

/* What a frame's cuts point into: given back when they are written. */
struct outbox_held {
    struct stoa_view *view; /* or NULL */
    void *memory;           /* stoa_free; or NULL */
};

struct outbox_piece;

struct outbox {
    struct buffer bytes; /* frames, but for what they have cut out */
    size_t bytes_at;     /* of them, written */
    struct outbox_piece *pieces;
    size_t piece_count;
    size_t piece_capacity;
    size_t piece_first; /* not yet written */
    size_t piece_at;    /* of it, written */
    uint64_t size;      /* not yet written */
};

/* Gives back all that is held. */
void outbox_deinit(struct outbox *outbox);

/* A frame: begin one with WRITER, fill it, end it. HELD is given back when it is written: at once
 * where nothing was cut out. STOA_ENOMEM, STOA_ETOOBIG: HELD was given back, nothing is appended.
 */
void outbox_begin(struct outbox *outbox, struct wire_writer *writer);
int outbox_end(struct outbox *outbox, struct wire_writer *writer, const struct wire_header *header,
               struct outbox_held held);

/* Frames that were appended to BYTES as they are: SIZE of them. STOA_ENOMEM. */
int outbox_note(struct outbox *outbox, size_t size);

enum { OUTBOX_PARTS_MAX = 256 };

/* Where its first bytes are. Returns how many PARTS that makes. */
unsigned outbox_parts(const struct outbox *outbox, struct iovec parts[OUTBOX_PARTS_MAX]);

/* SIZE bytes of them are written. */
void outbox_advance(struct outbox *outbox, size_t size);

static inline bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->size == 0;
}

#endif
