/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_field.h: structs as items of RLP by tables of their fields: one table writes and reads.
 * Pure.
 */
#ifndef WIRE_FIELD_H
#define WIRE_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "stoa.h"
#include "wire/wire_writer.h"

enum wire_kind {
    WIRE_U64,
    WIRE_U32,    /* uint32_t or unsigned */
    WIRE_INT,    /* int or enum: as uint32_t, two's complement */
    WIRE_FIXED,  /* so many bytes, a string of that length; all zero: an empty one */
    WIRE_U256,   /* 32 bytes, big-endian, as an integer */
    WIRE_TEXT,   /* terminated, in an array of so many */
    WIRE_DOUBLE, /* 8 bytes, IEEE 754, big-endian; 0: empty */
};

struct wire_field {
    uint16_t offset;
    uint16_t size;
    uint8_t kind;
};

#define WIRE_FIELD(type, member, kind)                                                    \
    {                                                                                     \
        (uint16_t) offsetof(type, member), (uint16_t)sizeof(((type *)NULL)->member), kind \
    }

/* The fields of OBJECT as items, without a list around them. */
void wire_field_write(struct wire_writer *writer, const struct wire_field *fields, size_t count,
                      const void *object);

/* Items off the front of CURSOR, as many as are there; the other fields stay. STOA_EINVAL. */
int wire_field_read(struct bytes *cursor, const struct wire_field *fields, size_t count,
                    void *object, struct error_detail *detail);

/* The next list of CURSOR as OBJECT's fields; what is behind them is passed over. */
int wire_field_read_list(struct bytes *cursor, const struct wire_field *fields, size_t count,
                         void *object, struct error_detail *detail);

/* A string of at most SIZE bytes: exactly so many, or none, which is zeros. */
int wire_field_read_fixed(struct bytes *cursor, uint8_t *out, size_t size,
                          struct error_detail *detail);
void wire_field_write_fixed(struct wire_writer *writer, const uint8_t *data, size_t size);

/* An integer that fits INT or 32 bits. */
int wire_field_read_u32(struct bytes *cursor, uint32_t *out, struct error_detail *detail);

/* The string of a list that has one; data NULL where it has none. */
int wire_field_read_optional(struct bytes *cursor, struct bytes *out, struct error_detail *detail);

/* A string, in place. */
int wire_field_read_bytes(struct bytes *cursor, struct stoa_bytes *out,
                          struct error_detail *detail);

/* wire_field_read_optional of what came later than others: an older peer's list ends before it. */
int wire_field_read_rest(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail);

#endif
