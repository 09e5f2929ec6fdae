/* SPDX-License-Identifier: GPL-3.0-or-later */
/* body_map.h: what lets one transaction, receipt or sender be read without the rest of its block.
 * The body of a block's record (record.h: what is behind its header, the envelope left out) is cut
 * into pieces of one size; its map has the sum of each and the first item that begins in it, so
 * that an item is found by reading its piece, or few, and what was read is checked. The map stands
 * in the table of heights, beside the place of the frame that it is of. Pure; any thread.
 *
 *   offset  size  field, little-endian
 *        0     1  version, 1
 *        1     1  pieces have 2 to the power of this many bytes, the last may have fewer
 *        2     2  number of transactions
 *        4     4  size of the block
 *        8     4  size of the receipts, 0: there are none
 *       12     4  size of the senders, 0: there are none
 *       16     4  where the first receipt begins
 *       20     4  sum: the low half of XXH3-64 of all of the map with this taken as zero, seeded
 *                 with the first 8 bytes of the block's hash
 *       24     8  of each piece, in order:
 *          + 0  4  sum of its bytes: the low half of XXH3-64, seeded with the first 8 bytes of the
 *                  block's hash and the piece's number, added
 *          + 4  2  the first item that begins in it; BODY_MAP_NO_ITEM: none does
 *          + 6  2  where in it
 *
 * Items are the transactions and behind them the receipts. Bodies below 32 KiB are read whole and
 * have no map, nor have those above 4 MiB, without transactions, or of 65,535 items or more. */
#ifndef BODY_MAP_H
#define BODY_MAP_H

#include "base/buffer.h"
#include "chain/block.h"

enum {
    BODY_MAP_VERSION = 1,
    BODY_MAP_HEADER_SIZE = 24,
    BODY_MAP_PIECE_SIZE = 8,
    BODY_MAP_SHIFT_MIN = 13,
    BODY_MAP_SHIFT_MAX = 16,
    BODY_MAP_PIECES_MAX = 64,
    BODY_MAP_SIZE_MAX = BODY_MAP_HEADER_SIZE + BODY_MAP_PIECES_MAX * BODY_MAP_PIECE_SIZE,
    BODY_MAP_BODY_MIN = 32 << 10,
    BODY_MAP_NO_ITEM = UINT16_MAX,
    BODY_MAP_SPAN_PIECES = 4, /* an item that takes more is read with its block */
};

enum body_part { BODY_TRANSACTION, BODY_RECEIPT, BODY_SENDER };
enum { BODY_PARTS = 3 };

/* What a record's body is made of. RECEIPTS and SENDERS may be empty. */
struct body_map_source {
    const struct block *block; /* decoded */
    struct bytes receipts;     /* RLP list */
    struct bytes senders;
};

/* Append the map of BODY to OUT: nothing where it is too small or too large for one, or where
 * its receipts do not decode or are not one for each transaction. STOA_ENOMEM. */
int body_map_make(const struct body_map_source *body, struct buffer *out);

/* Where an item is to be read, and how it is found in what was read. */
struct body_map_span {
    uint32_t begin; /* in the body, whole pieces */
    uint32_t size;
    uint32_t at;    /* behind BEGIN: there the first item of its piece begins, or the sender */
    uint32_t skip;  /* so many items stand before it there */
    uint32_t first; /* number of the first piece */
    uint8_t shift;
    uint8_t part;
    uint32_t sums[BODY_MAP_SPAN_PIECES];
};

/* The span of PART of transaction INDEX of the block with HASH. False: read the block. MAP may be
 * anything, empty too. */
bool body_map_find(struct bytes map, const uint8_t hash[32], enum body_part part, uint32_t index,
                   struct body_map_span *out_span);

/* Whether the block has PART, which is not the transactions. Of a MAP in which one was found. */
bool body_map_has(struct bytes map, enum body_part part);

/* The item in DATA, which has the span's bytes, of the block with HASH: an envelope or a sender.
 * False: they are not what was written, or it is not there. */
bool body_map_take(const struct body_map_span *span, const uint8_t hash[32], const uint8_t *data,
                   struct bytes *out_item);

#endif
