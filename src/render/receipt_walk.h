/* SPDX-License-Identifier: GPL-3.0-or-later */
/* receipt_walk.h: the receipts of a block beside their transactions, with what follows only from
 * those before: the gas a transaction used itself, the number of its first log in the block. Pure;
 * any thread. Everything given to receipt_walk_init outlives the walk. */
#ifndef RECEIPT_WALK_H
#define RECEIPT_WALK_H

#include "chain/block.h"
#include "chain/receipt.h"
#include "chain/transaction.h"

struct receipt_walk {
    const struct block *block;
    struct bytes transactions; /* what is left */
    struct bytes receipts;
    struct bytes senders;
    size_t index;
    uint64_t gas_before;
    uint64_t logs_before;
};

struct receipt_walk_step {
    const struct block *block;
    size_t index;
    const uint8_t *sender; /* 20 bytes; NULL: unknown */
    uint8_t hash[32];      /* the transaction's */
    struct transaction transaction;
    struct receipt receipt;
    uint64_t gas_used;
    uint64_t first_log_index;
    uint8_t gas_price[32]; /* paid, in wei */
    bool creates;          /* CONTRACT is the address of what it deployed */
    uint8_t contract[20];
    uint64_t blob_gas_used; /* 0 without blobs */
    bool has_blob_price;
    uint8_t blob_price[32];
};

/* RECEIPTS is the encoding of the block's list, or empty where there is none to walk because the
 * block has no transactions. SENDERS: 20 bytes a transaction, or empty. STOA_EINVAL. */
int receipt_walk_init(struct receipt_walk *walk, const struct block *block, struct bytes receipts,
                      struct bytes senders, struct error_detail *detail);

/* The next one. STOA_ENOTFOUND at the end; STOA_EINVAL. */
int receipt_walk_next(struct receipt_walk *walk, struct receipt_walk_step *out_step,
                      struct error_detail *detail);

#endif
