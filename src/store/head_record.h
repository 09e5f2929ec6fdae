/* SPDX-License-Identifier: GPL-3.0-or-later */
/* head_record.h: the payloads of the frames that move head, safe and finalized mark. Pure; any
 * thread. Integers are little-endian. A mark is a height (8) and a hash (32), all zero where there
 * is none; a position is segment (4), offset (4), size (4), sequence (8).
 *
 * LEDGER_HEAD, a change of branch: from it on the canonical chain is that up to the ancestor and
 * then the winners, which are stored already, or in the frame before this one. The blocks between
 * ancestor and old head have left it. That a block simply extends the head needs no such record.
 *
 *   offset  size  field
 *        0     1  version, 1
 *        1     3  zero
 *        4     4  number of winners
 *        8    40  the new head
 *       48    32  its total difficulty, big-endian
 *       80    40  the ancestor
 *      120    40  the old head
 *      160    40  the safe block
 *      200    40  the finalized block
 *      240        winners, heights rising by one from the ancestor's: hash (32), position of its
 *                 block frame (20), position of its state frame (20; zero: it has none). The last
 *                 may have no positions: then its frames are those just before.
 *
 * LEDGER_FINALIZED, both marks as they are from it on:
 *
 *        0     1  version, 1
 *        1     7  zero
 *        8    40  the safe block
 *       48    40  the finalized block */
#ifndef HEAD_RECORD_H
#define HEAD_RECORD_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "ledger/ledger.h"

enum {
    HEAD_RECORD_VERSION = 1,
    HEAD_RECORD_HEADER_SIZE = 240,
    HEAD_RECORD_WINNER_SIZE = 72,
    HEAD_RECORD_MARKS_SIZE = 88,
    HEAD_RECORD_MARK_SIZE = 40,
};

/* A block of the canonical chain. */
struct head_mark {
    bool present;
    uint64_t height;
    uint8_t hash[32];
};

struct head_record {
    struct head_mark head;
    struct head_mark ancestor;
    struct head_mark old_head;
    struct head_mark safe;
    struct head_mark finalized;
    uint8_t total_difficulty[32];
    uint32_t winner_count;
    struct bytes winners; /* decoded: a view */
};

struct head_winner {
    uint8_t hash[32];
    struct ledger_position position; /* sequence 0: not known */
    struct ledger_position state_position;
};

void head_record_encode_mark(const struct head_mark *mark, uint8_t out[HEAD_RECORD_MARK_SIZE]);
void head_record_decode_mark(const uint8_t *from, struct head_mark *out_mark);

/* All but the winners. */
void head_record_encode_header(const struct head_record *record,
                               uint8_t out[HEAD_RECORD_HEADER_SIZE]);
void head_record_encode_winner(const struct head_winner *winner,
                               uint8_t out[HEAD_RECORD_WINNER_SIZE]);

/* Views into PAYLOAD. STOA_ECORRUPT. */
int head_record_decode(struct bytes payload, struct head_record *out_record,
                       struct error_detail *detail);
void head_record_decode_winner(const struct head_record *record, uint32_t index,
                               struct head_winner *out_winner);

void head_record_encode_marks(const struct head_mark *safe, const struct head_mark *finalized,
                              uint8_t out[HEAD_RECORD_MARKS_SIZE]);

/* STOA_ECORRUPT. */
int head_record_decode_marks(struct bytes payload, struct head_mark *out_safe,
                             struct head_mark *out_finalized, struct error_detail *detail);

#endif
