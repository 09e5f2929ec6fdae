/* SPDX-License-Identifier: GPL-3.0-or-later */
/* position.h: the position of a frame as records and tables have it: segment (4), offset (4), size
 * (4), sequence (8), little-endian; all zero: there is none. Pure. */
#ifndef POSITION_H
#define POSITION_H

#include "base/bytes.h"
#include "ledger/ledger.h"

enum { POSITION_SIZE = 20 };

static inline void position_encode(const struct ledger_position *position,
                                   uint8_t out[POSITION_SIZE])
{
    bytes_store_le32(out, position->segment);
    bytes_store_le32(out + 4, position->offset);
    bytes_store_le32(out + 8, position->size);
    bytes_store_le64(out + 12, position->sequence);
}

static inline struct ledger_position position_decode(const uint8_t from[POSITION_SIZE])
{
    return (struct ledger_position){
        .segment = bytes_load_le32(from),
        .offset = bytes_load_le32(from + 4),
        .size = bytes_load_le32(from + 8),
        .sequence = bytes_load_le64(from + 12),
    };
}

static inline bool position_is_same(const struct ledger_position *a,
                                    const struct ledger_position *b)
{
    return a->segment == b->segment && a->offset == b->offset && a->size == b->size &&
           a->sequence == b->sequence;
}

#endif
