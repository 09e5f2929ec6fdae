/* SPDX-License-Identifier: GPL-3.0-or-later */
/* batch_record.h: the payload of the frame that makes a batch count (LEDGER_BATCH). Pure; any
 * thread. Integers are little-endian.
 *
 * A batch's frames are marked as such (RECORD_BATCH) and stand before this one, with nothing of the
 * store's between: of each block its state frame, where it has one, and its block frame; then the
 * update of the head, where there is one. They count from this frame on, all of them at once, and
 * not at all where it is not there. That a frame of an earlier attempt is not taken for one of this
 * batch, its sequence says: the batch's are above `base`. The blocks come in as side blocks, then
 * the change of head makes some of them canonical.
 *
 *   offset  size  field
 *        0     1  version, 1
 *        1     1  flags: BATCH_RECORD_UPDATE, BATCH_RECORD_HEAD
 *        2     2  zero
 *        4     4  number of blocks
 *        8     8  base
 *       16        blocks: hash (32), parent's hash (32), total difficulty (32, big-endian), height
 *                 (8), 1 where it has a state frame (8). What a damaged frame needs to be named
 *      ...        with BATCH_RECORD_HEAD: a change of branch, as head_record.h has it */
#ifndef BATCH_RECORD_H
#define BATCH_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

enum {
    BATCH_RECORD_VERSION = 1,
    BATCH_RECORD_HEADER_SIZE = 16,
    BATCH_RECORD_BLOCK_SIZE = 112,
    BATCH_RECORD_UPDATE = 1 << 0,
    BATCH_RECORD_HEAD = 1 << 1,
};

struct batch_record {
    unsigned flags;
    uint32_t block_count;
    uint64_t base;
    struct bytes blocks; /* decoded: views */
    struct bytes head;
};

struct batch_record_block {
    uint8_t hash[32];
    uint8_t parent_hash[32];
    uint8_t total_difficulty[32];
    uint64_t height;
    bool has_state;
};

void batch_record_encode_header(const struct batch_record *record,
                                uint8_t out[BATCH_RECORD_HEADER_SIZE]);
void batch_record_encode_block(const struct batch_record_block *block,
                               uint8_t out[BATCH_RECORD_BLOCK_SIZE]);

/* Views into PAYLOAD. STOA_ECORRUPT. */
int batch_record_decode(struct bytes payload, struct batch_record *out_record,
                        struct error_detail *detail);
void batch_record_decode_block(const struct batch_record *record, uint32_t index,
                               struct batch_record_block *out_block);

#endif
