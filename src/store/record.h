/* SPDX-License-Identifier: GPL-3.0-or-later */
/* record.h: the payloads of the store's frames. Pure; any thread. Integers are little-endian.
 *
 * LEDGER_BLOCK, one block with all that is read with it:
 *
 *   offset  size  field
 *        0     1  version, 2
 *        1     1  flags: RECORD_SIDE, RECORD_RECEIPTS, RECORD_SENDERS, RECORD_ENVELOPE,
 *                 RECORD_CHANGES (its state changes are in the LEDGER_STATE frame before it),
 *                 RECORD_ANY_STATE (the root they make is not compared with the header's),
 *                 RECORD_BATCH (it counts where batch_record.h says so), RECORD_AGAIN (the block
 *                 is stored already: this is it with its receipts, which came later; its other
 *                 flags are those of its first frame)
 *        2     1  what it has lost (a thinned segment, prune_record.h):
 *                 RECORD_GONE_BODY (the block is its header with empty lists behind it, senders
 *                 and envelope are gone; the envelope's flag stays, that of the senders goes),
 *                 RECORD_GONE_RECEIPTS (it had receipts)
 *        3     1  zero
 *        4     4  number of transactions
 *        8     4  block size
 *       12     4  receipts size
 *       16     4  envelope size
 *       20     4  zero
 *       24    32  block hash
 *       56    32  total difficulty, big-endian, this block included
 *       88    32  envelope hash, zero without one
 *      120     8  XXH3-64 of the bytes before, seeded with that of the block: what precedes the
 *                 receipts can be read alone, and checked
 *      128        block (RLP), receipts (RLP list), senders (20 bytes a transaction), envelope;
 *                 with RECORD_AGAIN the position (position.h) of the block's frame before this one
 *
 * LEDGER_STATE, the state changes of the block in the next LEDGER_BLOCK frame. They stand apart, in
 * the same group, so that reading a block does not fetch them; before the block, so that a block is
 * never there without them:
 *
 *   offset  size  field
 *        0     1  version, 2
 *        1     1  1: of a batch (batch_record.h)
 *        2     6  zero
 *        8    32  hash of the block
 *       40        changes, one after the other: key size (u16), value size (u32; RECORD_REMOVED:
 *                 the key is removed), key (state_key.h), value
 *
 * LEDGER_STATE as well, an update: changes that were made while the named block was the head, which
 * therefore belong to it and leave the canonical chain and come back with it. So a block's state
 * frames make a chain, the newest first; its place names that one:
 *
 *        0     1  version, 3
 *        1     1  1: of a batch
 *        2     6  zero
 *        8    32  hash of the block
 *       40    20  position (position.h) of the block's state frame before this one, or zero
 *       60     4  zero
 *       64        changes, each key once */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "ledger/ledger.h"

enum {
    RECORD_VERSION = 2,
    RECORD_HEADER_SIZE = 128,
    RECORD_SIDE = 1 << 0,
    RECORD_RECEIPTS = 1 << 1,
    RECORD_SENDERS = 1 << 2,
    RECORD_ENVELOPE = 1 << 3,
    RECORD_CHANGES = 1 << 4,
    RECORD_ANY_STATE = 1 << 5,
    RECORD_BATCH = 1 << 6,
    RECORD_AGAIN = 1 << 7,
    RECORD_GONE_BODY = 1 << 0,
    RECORD_GONE_RECEIPTS = 1 << 1,
    RECORD_PREVIOUS_SIZE = 20,
    RECORD_STATE_HEADER_SIZE = 40,
    RECORD_CHANGE_HEADER_SIZE = 6,
    RECORD_STATE_VERSION = 2,
    RECORD_UPDATE_VERSION = 3,
    RECORD_UPDATE_HEADER_SIZE = 64,
    RECORD_CHANGE_VALUE_MAX = 1 << 22,
};

#define RECORD_REMOVED UINT32_MAX

struct record {
    unsigned flags;
    unsigned gone; /* RECORD_GONE_… */
    uint32_t transaction_count;
    const uint8_t *hash;
    const uint8_t *total_difficulty;
    const uint8_t *envelope_hash;
    struct bytes block;
    struct bytes receipts;
    struct bytes senders;
    struct bytes envelope;
    const uint8_t *previous; /* RECORD_PREVIOUS_SIZE, with RECORD_AGAIN */
};

/* The sum of a block that its record has; what takes a while of record_encode_header. */
uint64_t record_block_sum(struct bytes block);

/* Write the fixed part of RECORD (sizes, hashes) to OUT. BLOCK_SUM: record_block_sum of its block.
 */
void record_encode_header(const struct record *record, uint64_t block_sum,
                          uint8_t out[RECORD_HEADER_SIZE]);

/* Bytes of a payload that precede the receipts. */
static inline uint32_t record_front_size(size_t block_size)
{
    return (uint32_t)(RECORD_HEADER_SIZE + block_size);
}

/* Views into PAYLOAD. STOA_ECORRUPT: not a record (the frame's checksum was right, so a bug or
 * another version made it). */
int record_decode(struct bytes payload, struct record *out_record, struct error_detail *detail);

/* The same of the front alone, whose sum is checked: the parts behind the block are empty, and the
 * flags say that there are none. STOA_ECORRUPT also where the sum is wrong. */
int record_decode_front(struct bytes front, struct record *out_record, struct error_detail *detail);

/* Whether the sum of the front is right, of a PAYLOAD that record_decode takes. */
bool record_check_front(struct bytes payload);

/* What becomes of the record in PAYLOAD without GONE; what it is without already stays so. It is
 * put into OUT. STOA_ECORRUPT: not a record, STOA_ENOMEM. */
int record_shorten(struct bytes payload, unsigned gone, struct buffer *out,
                   struct error_detail *detail);

void record_encode_state_header(const uint8_t hash[32], uint8_t out[RECORD_STATE_HEADER_SIZE]);

/* Mark an encoded header of either kind of state frame as a batch's. */
void record_mark_batch(uint8_t *state_header);

/* Whether a LEDGER_STATE frame is a batch's. For PAYLOADs that record_decode_state takes. */
bool record_is_batch(struct bytes payload);

/* PREVIOUS: the block's state frame before, sequence 0 where it has none. */
void record_encode_update_header(const uint8_t hash[32], const struct ledger_position *previous,
                                 uint8_t out[RECORD_UPDATE_HEADER_SIZE]);

/* Whether a LEDGER_STATE frame is an update; *OUT_PREVIOUS is then the state frame before it, else
 * and where it is the first of its block sequence 0. For PAYLOADs that record_decode_state takes.
 */
bool record_is_update(struct bytes payload, struct ledger_position *out_previous);

/* The block's hash and the changes, views into PAYLOAD, of an update too. STOA_ECORRUPT. */
int record_decode_state(struct bytes payload, const uint8_t **out_hash, struct bytes *out_changes,
                        struct error_detail *detail);

struct record_change {
    struct bytes key;
    struct bytes value;
    bool removed;
};

/* Walk the changes: *CURSOR begins as what record_decode_state gave. STOA_ENOTFOUND at the end,
 * STOA_ECORRUPT. */
int record_next_change(struct bytes *cursor, struct record_change *out_change);

/* STOA_ENOMEM. */
int record_append_change(struct buffer *buffer, const struct record_change *change);

#endif
