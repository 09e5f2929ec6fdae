/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_transaction.h: calls about transactions and receipts. */
#ifndef RPC_TRANSACTION_H
#define RPC_TRANSACTION_H

#include "rpc/rpc_block.h"

/* Write the receipts of FOUND as an array. 0, or -1 with the error told. */
int rpc_transaction_write_receipts(struct rpc_call *call, const struct rpc_block *found);

/* Receipts of FOUND are there, or there are none to have. Else the error is told. */
bool rpc_transaction_has_receipts(struct rpc_call *call, const struct rpc_block *found);

/* Write transaction INDEX of FOUND, which has it. */
int rpc_transaction_write(struct rpc_call *call, const struct rpc_block *found, size_t index);

/* Write the receipt of transaction INDEX of FOUND, which has it. */
int rpc_transaction_write_receipt(struct rpc_call *call, const struct rpc_block *found,
                                  size_t index);

/* 0: OUT is the block of the transaction HASH, to be released, and *OUT_INDEX its place there.
 * STOA_ENOTFOUND: no such transaction. -1: the error is told. */
int rpc_transaction_find(struct rpc_call *call, const uint8_t hash[32], struct rpc_block *out,
                         size_t *out_index);

rpc_handler rpc_transaction_by_hash;
rpc_handler rpc_transaction_by_block_hash;
rpc_handler rpc_transaction_by_block_number;
rpc_handler rpc_transaction_receipt;
rpc_handler rpc_transaction_block_receipts;
rpc_handler rpc_transaction_raw;
rpc_handler rpc_transaction_raw_receipts;

#endif
