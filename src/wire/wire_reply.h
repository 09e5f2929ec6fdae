/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_reply.h: what became of a message, a struct stoa_completion, to and from the payload of its
 * reply. Pure.
 *
 * Blocks are not copied on the way out: the frame has cuts, and what the completion brought must
 * stay until it is written. On the way in they point into the payload. A range of blocks is a
 * stream: frames with WIRE_MORE that hold a list of blocks each, then the reply itself, whose list
 * has the rest. */
#ifndef WIRE_REPLY_H
#define WIRE_REPLY_H

#include <stdbool.h>

#include "stoa.h"
#include "wire/wire_message.h"

/* The payload of COMPLETION's reply; of a range only blocks from number FIRST on. */
void wire_reply_write(struct wire_writer *writer, const struct stoa_completion *completion,
                      size_t first);

/* The payload of a part: COUNT blocks. */
void wire_reply_write_part(struct wire_writer *writer, const struct stoa_block *blocks,
                           size_t count);

/* What of a reply that was read points into its payload. */
struct wire_reply_held {
    bool block;
    bool header;
    bool transaction;
    bool blocks;
};

/* Read PAYLOAD, the reply to MESSAGE with RESULT, into OUT, but for tag, id and views. What OUT
 * then owns is freed with stoa_free. STOA_EINVAL, STOA_ENOMEM: OUT owns nothing. */
int wire_reply_read(enum stoa_message message, int result, struct bytes payload,
                    struct stoa_completion *out, struct wire_reply_held *out_held,
                    struct error_detail *detail);

/* The blocks of a part, or of a reply's rest, behind the *COUNT that *BLOCKS has; it is memory that
 * grows, freed with stoa_free. STOA_EINVAL, STOA_ENOMEM: as they were. */
int wire_reply_read_part(struct bytes payload, struct stoa_block **blocks, size_t *count,
                         struct error_detail *detail);

/* An error that was no answer of the store's: its text alone. */
void wire_reply_write_error(struct wire_writer *writer, enum stoa_effect effect, const char *text);

#endif
