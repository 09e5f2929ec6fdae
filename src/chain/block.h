/* SPDX-License-Identifier: GPL-3.0-or-later */
/* block.h: a block as the chain encodes it: [header, [transactions], [uncles]] or, from Shanghai
 * on, with [withdrawals]. Pure; any thread. */
#ifndef BLOCK_H
#define BLOCK_H

#include "chain/header.h"

struct block {
    struct bytes encoding;
    struct header header;
    uint8_t hash[32];
    struct bytes
        transactions; /* payload of the list: legacy ones as lists, typed ones as strings */
    size_t transaction_count;
    struct bytes uncles; /* encoding of the whole list */
    size_t uncle_count;
    bool has_withdrawals;
    struct bytes withdrawals; /* payload of the list */
    size_t withdrawal_count;
};

/* ENCODING is exactly one block. Decodes the header, checks the shape of the rest (each uncle is a
 * header, each withdrawal has its four fields, withdrawals are there exactly where the header has
 * their root), computes the hash; transactions are counted and their outer shape checked, not
 * decoded. STOA_EINVAL with the field's name first. */
int block_decode(struct bytes encoding, struct block *out_block, struct error_detail *detail);

/* Compare what the header promises with the body. STOA_EREFUSED; the detail names the field and
 * both values
 * ("transactionsRoot: header says 0x…, computed 0x…"). STOA_ENOMEM. */
int block_check_transactions_root(const struct block *block, struct error_detail *detail);
int block_check_uncles_hash(const struct block *block, struct error_detail *detail);
int block_check_withdrawals_root(const struct block *block, struct error_detail *detail);

/* Walk the transactions: *CURSOR begins as block->transactions. OUT_ENVELOPE is what is hashed and
 * what JSON-RPC calls raw: the list's encoding for legacy, type byte and payload for typed.
 * STOA_ENOTFOUND at the end. */
int block_next_transaction(struct bytes *cursor, struct bytes *out_envelope,
                           struct error_detail *detail);

#endif
