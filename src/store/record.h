/* SPDX-License-Identifier: GPL-3.0-or-later */
/* record.h: the payload of a LEDGER_BLOCK frame: one block with all that belongs to it. Pure; any
 * thread.
 *
 *   offset  size  field (little-endian)
 *        0     1  version, 1
 *        1     1  flags: RECORD_SIDE, RECORD_RECEIPTS, RECORD_SENDERS, RECORD_ENVELOPE
 *        2     2  zero
 *        4     4  number of transactions
 *        8     4  block size
 *       12     4  receipts size
 *       16     4  envelope size
 *       20     4  changes size
 *       24    32  block hash
 *       56    32  total difficulty, big-endian, this block included
 *       88    32  envelope hash, zero without one
 *      120        block (RLP), receipts (RLP list), senders (20 bytes a transaction), envelope,
 * changes
 *
 * Changes are, one after the other: key size (u16), value size (u32; RECORD_REMOVED: the key is
 * removed), key, value. */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

enum {
    RECORD_VERSION = 1,
    RECORD_HEADER_SIZE = 120,
    RECORD_SIDE = 1 << 0,
    RECORD_RECEIPTS = 1 << 1,
    RECORD_SENDERS = 1 << 2,
    RECORD_ENVELOPE = 1 << 3,
    RECORD_CHANGE_HEADER_SIZE = 6,
    RECORD_CHANGE_KEY_MAX = 128,
    RECORD_CHANGE_VALUE_MAX = 1 << 22,
};

#define RECORD_REMOVED UINT32_MAX

struct record {
    unsigned flags;
    uint32_t transaction_count;
    const uint8_t *hash;
    const uint8_t *total_difficulty;
    const uint8_t *envelope_hash;
    struct bytes block;
    struct bytes receipts;
    struct bytes senders;
    struct bytes envelope;
    struct bytes changes;
};

/* Write the fixed part of RECORD (sizes, hashes) to OUT. */
void record_encode_header(const struct record *record, uint8_t out[RECORD_HEADER_SIZE]);

/* Views into PAYLOAD. STOA_ECORRUPT: not a record (the frame's checksum was right, so a bug or
 * another version made it). */
int record_decode(struct bytes payload, struct record *out_record, struct error_detail *detail);

struct record_change {
    struct bytes key;
    struct bytes value;
    bool removed;
};

/* Walk the changes: *CURSOR begins as record.changes. STOA_ENOTFOUND at the end, STOA_ECORRUPT. */
int record_next_change(struct bytes *cursor, struct record_change *out_change);

/* STOA_ENOMEM. */
int record_append_change(struct buffer *buffer, const struct record_change *change);

#endif
