/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prune_record.h: what of blocks is kept, and the payload of the frame that says so. Pure; any
 * thread.
 *
 * Of a block below the height `bodies` only the header is kept, and what is found by its hash. The
 * receipts of those below `receipts` are not kept, those below `logs` are not in the index of logs,
 * those below `transactions` not in that of transactions. Nothing is kept without what it is read
 * from: so bodies <= receipts <= logs, and bodies <= transactions. All only ever rise, and never
 * above the finalized block.
 *
 * LEDGER_PRUNE, the floors from it on, written before anything goes; it may stand between any two
 * frames. A block in a thinned segment has lost the same (record.h), so that a copy of the ledger
 * which ends before the frame is told as well. Integers are little-endian.
 *
 *   offset  size  field
 *        0     1  version, 1
 *        1     7  zero
 *        8     8  bodies
 *       16     8  receipts
 *       24     8  logs
 *       32     8  transactions */
#ifndef PRUNE_RECORD_H
#define PRUNE_RECORD_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

enum { PRUNE_RECORD_VERSION = 1, PRUNE_RECORD_SIZE = 40, PRUNE_FLOORS_SIZE = 32 };

struct prune_floors {
    uint64_t bodies;
    uint64_t receipts;
    uint64_t logs;
    uint64_t transactions;
};

/* Raise FLOORS to those of BY, and each to what it is read from. */
void prune_floors_raise(struct prune_floors *floors, const struct prune_floors *by);

bool prune_floors_are_same(const struct prune_floors *a, const struct prune_floors *b);

/* From where on histories of addresses can be asked: they are judged by transactions and receipts,
 * and the index of logs says of which blocks some are missing. */
static inline uint64_t prune_floors_addresses(const struct prune_floors *floors)
{
    return floors->transactions > floors->logs ? floors->transactions : floors->logs;
}

void prune_floors_encode(const struct prune_floors *floors, uint8_t out[PRUNE_FLOORS_SIZE]);
void prune_floors_decode(const uint8_t *from, struct prune_floors *out_floors);

void prune_record_encode(const struct prune_floors *floors, uint8_t out[PRUNE_RECORD_SIZE]);
/* STOA_ECORRUPT. */
int prune_record_decode(struct bytes payload, struct prune_floors *out_floors,
                        struct error_detail *detail);

#endif
