/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chain_maker.h: small blocks for tests, complete and consistent: signed transactions of all types,
 * receipts with logs, uncles or withdrawals, every root right. */
#ifndef CHAIN_MAKER_H
#define CHAIN_MAKER_H

#include "base/buffer.h"

enum {
    CHAIN_MAKER_TRANSACTIONS = 6, /* type 0 without and with chain id, types 1 to 4 */
    CHAIN_MAKER_GAS = 21000,      /* that each of them uses */
    CHAIN_MAKER_LOGS = 3,         /* of each receipt */
};

extern const uint8_t chain_maker_key[32]; /* the private key that signs them */

struct chain_maker {
    struct buffer block;
    struct buffer receipts; /* RLP list */
    uint8_t sender[20];
};

/* A block whose header has FIELD_COUNT fields (15, 16, 17, 20, 21); with an uncle below 17, with
 * withdrawals from there on. PARENT may be NULL. */
void chain_maker_init(struct chain_maker *made, unsigned field_count, uint64_t number,
                      const uint8_t parent[32]);
void chain_maker_deinit(struct chain_maker *made);

/* The envelope of a transaction of TYPE replaces what OUT holds. CHAIN_ID 0: a legacy one from
 * before EIP-155. */
void chain_maker_transaction(unsigned type, uint64_t chain_id, uint64_t nonce, struct buffer *out);

/* The list LIST with its item INDEX replaced by ITEM (an encoding; empty removes it, and INDEX at
 * the end appends) replaces what OUT holds. */
void chain_maker_replace(struct bytes list, size_t index, struct bytes item, struct buffer *out);

/* Encoding of item INDEX of LIST. */
struct bytes chain_maker_item(struct bytes list, size_t index);

/* PAYLOAD as a list, appended to OUT. */
void chain_maker_append_list(struct buffer *out, struct bytes payload);

#endif
