/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_writer.h: RLP written front to back, with lists whose size is found when they end. Long
 * strings are not copied but noted as cuts: places in the buffer where bytes of others belong. A
 * failure is kept until wire_writer_result, which the end of every frame asks. Pure. */
#ifndef WIRE_WRITER_H
#define WIRE_WRITER_H

#include <stdint.h>

#include "base/buffer.h"

enum {
    WIRE_CUTS_MAX = 8,
    WIRE_CUT_LEAST = 4096, /* shorter strings are copied */
};

/* BYTES belong before what is at AT of the buffer. */
struct wire_cut {
    size_t at;
    struct bytes bytes;
};

struct wire_writer {
    struct buffer *buffer;
    size_t start;
    unsigned cut_count;
    int result;
    struct wire_cut cuts[WIRE_CUTS_MAX];
};

struct wire_mark {
    size_t at;
    unsigned cut;
};

void wire_writer_begin(struct wire_writer *writer, struct buffer *buffer);

/* What was written since the beginning, cuts included. */
uint64_t wire_writer_size(const struct wire_writer *writer);
int wire_writer_result(const struct wire_writer *writer);

struct wire_mark wire_writer_list(struct wire_writer *writer);
void wire_writer_end(struct wire_writer *writer, struct wire_mark mark);

void wire_writer_u64(struct wire_writer *writer, uint64_t value);
void wire_writer_u256(struct wire_writer *writer, const uint8_t value[32]);
void wire_writer_string(struct wire_writer *writer, const void *data, size_t size); /* a copy */
/* Copied where it is short or there are too many cuts; else DATA stays as it is until the frame is
 * written. */
void wire_writer_long(struct wire_writer *writer, const void *data, size_t size);
void wire_writer_text(struct wire_writer *writer, const char *text);

/* A list with the string, or an empty one where DATA is NULL. */
void wire_writer_optional(struct wire_writer *writer, const void *data, size_t size);

#endif
