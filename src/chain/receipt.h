/* SPDX-License-Identifier: GPL-3.0-or-later */
/* receipt.h: receipts of all types, logs and blooms. A list of receipts is encoded as in era1 files
 * and on the wire: one RLP list, legacy receipts as lists, typed ones as strings of type byte and
 * payload. Pure; any thread. */
#ifndef RECEIPT_H
#define RECEIPT_H

#include "chain/header.h"

struct receipt {
    struct bytes envelope; /* consensus encoding: list, or type byte and payload */
    unsigned type;
    bool has_state_root;       /* before Byzantium: an intermediate root in place of the status */
    const uint8_t *state_root; /* 32 */
    unsigned status;           /* 0 or 1 */
    uint64_t cumulative_gas_used;
    const uint8_t *logs_bloom; /* 256 */
    struct bytes logs;         /* payload of the list */
    size_t log_count;
};

struct receipt_log {
    const uint8_t *address;   /* 20 */
    unsigned topic_count;     /* 0 to 4 */
    const uint8_t *topics[4]; /* 32 each */
    struct bytes data;
};

/* ENVELOPE is exactly one receipt. Every log is checked. STOA_EINVAL with the field's name first.
 */
int receipt_decode(struct bytes envelope, struct receipt *out_receipt, struct error_detail *detail);

/* The same for who walks the logs anyhow: they are neither checked nor counted. */
int receipt_decode_outside(struct bytes envelope, struct receipt *out_receipt,
                           struct error_detail *detail);

/* Walk a list of receipts: *CURSOR begins as the list's payload. STOA_ENOTFOUND at the end. */
int receipt_next(struct bytes *cursor, struct bytes *out_envelope, struct error_detail *detail);

/* Walk the logs: *CURSOR begins as receipt->logs. STOA_ENOTFOUND at the end. */
int receipt_next_log(struct bytes *cursor, struct receipt_log *out_log,
                     struct error_detail *detail);

/* Set the three bits of VALUE (an address or a topic) in BLOOM. */
void receipt_bloom_add(uint8_t bloom[HEADER_BLOOM_SIZE], struct bytes value);

/* Check a block's RECEIPTS (encoding of the list) against its HEADER: one for each of
 * TRANSACTION_COUNT transactions with the same type (TRANSACTIONS is the payload of the block's
 * list), cumulative gas never falling and ending at gasUsed, each bloom that of its logs, logsBloom
 * their union, receiptsRoot. STOA_EINVAL, STOA_EREFUSED (field and both values), STOA_ENOMEM. */
int receipt_check_list(const struct header *header, struct bytes transactions,
                       size_t transaction_count, struct bytes receipts,
                       struct error_detail *detail);

#endif
