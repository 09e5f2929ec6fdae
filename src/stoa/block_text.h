/* SPDX-License-Identifier: GPL-3.0-or-later */
/* block_text.h: blocks, transactions and receipts for people. One thread. */
#ifndef BLOCK_TEXT_H
#define BLOCK_TEXT_H

#include "chain/block.h"
#include "render/receipt_walk.h"
#include "stoa/sheet.h"

void block_text_header(struct sheet *sheet, const struct header *header, const uint8_t hash[32]);

/* What of BLOCK is not in its header: TOTAL_DIFFICULTY, sizes, a line for each transaction.
 * SENDERS: 20 bytes a transaction, or empty. STOA_EINVAL. */
int block_text_body(struct sheet *sheet, const struct block *block, struct bytes senders,
                    const uint8_t total_difficulty[32], struct error_detail *detail);

/* The INDEX-th transaction of BLOCK. SENDER may be NULL. STOA_EINVAL. */
int block_text_transaction(struct sheet *sheet, const struct block *block, size_t index,
                           struct bytes envelope, const uint8_t *sender,
                           struct error_detail *detail);

/* STOA_EINVAL. */
int block_text_receipt(struct sheet *sheet, const struct receipt_walk_step *step,
                       struct error_detail *detail);

#endif
