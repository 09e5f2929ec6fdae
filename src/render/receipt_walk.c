/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/receipt_walk.h"

#include "base/ensure.h"
#include "render/fees.h"
#include "stoa/error.h"

enum { ADDRESS_SIZE = 20 };

int receipt_walk_init(struct receipt_walk *walk, const struct block *block, struct bytes receipts,
                      struct bytes senders, struct error_detail *detail)
{
    ensure(senders.size % ADDRESS_SIZE == 0);
    struct bytes payload = {.data = NULL};
    if (receipts.size > 0) {
        int result = rlp_read_list(&receipts, &payload, detail);
        if (result != 0) {
            (void)error_prefix(detail, "receipts");
            return result;
        }
    }
    *walk = (struct receipt_walk){
        .block = block,
        .transactions = block->transactions,
        .receipts = payload,
        .senders = senders,
    };
    return 0;
}

static int fill_step(const struct receipt_walk *walk, struct bytes envelope, struct bytes receipt,
                     struct receipt_walk_step *step, struct error_detail *detail)
{
    int result = transaction_decode(envelope, &step->transaction, detail);
    if (result == 0) {
        result = receipt_decode(receipt, &step->receipt, detail);
    }
    if (result != 0) {
        return result;
    }
    if (step->receipt.cumulative_gas_used < walk->gas_before) {
        return error_set(detail, STOA_EINVAL, "cumulativeGasUsed: below that of the one before");
    }
    const struct header *header = &walk->block->header;
    step->block = walk->block;
    step->index = walk->index;
    bool known = walk->senders.size >= (walk->index + 1) * ADDRESS_SIZE;
    step->sender = known ? walk->senders.data + walk->index * ADDRESS_SIZE : NULL;
    transaction_hash(envelope, step->hash);
    step->gas_used = step->receipt.cumulative_gas_used - walk->gas_before;
    step->first_log_index = walk->logs_before;
    fees_gas_price(&step->transaction, header, step->gas_price);
    step->creates = step->transaction.to == NULL && step->sender != NULL;
    if (step->creates) {
        transaction_created_address(step->sender, step->transaction.nonce, step->contract);
    }
    step->blob_gas_used = 0;
    step->has_blob_price = false;
    if (step->transaction.type == 3) {
        size_t blobs;
        result = rlp_count(step->transaction.blob_hashes, &blobs, detail);
        if (result != 0) {
            return result;
        }
        step->blob_gas_used = fees_blob_gas(blobs);
        step->has_blob_price = fees_blob_price(header, step->blob_price);
    }
    return 0;
}

int receipt_walk_next(struct receipt_walk *walk, struct receipt_walk_step *out_step,
                      struct error_detail *detail)
{
    if (walk->index == walk->block->transaction_count) {
        if (walk->receipts.size > 0) {
            return error_set(detail, STOA_EINVAL, "receipts: more than transactions");
        }
        return STOA_ENOTFOUND;
    }
    struct bytes envelope;
    struct bytes receipt;
    int result = block_next_transaction(&walk->transactions, &envelope, detail);
    if (result == 0) {
        result = receipt_next(&walk->receipts, &receipt, detail);
        if (result == STOA_ENOTFOUND) {
            result = error_set(detail, STOA_EINVAL, "fewer than transactions");
        }
    }
    if (result == 0) {
        result = fill_step(walk, envelope, receipt, out_step, detail);
    }
    if (result != 0) {
        (void)error_prefix(detail, "receipt %zu", walk->index);
        return result;
    }
    walk->index++;
    walk->gas_before = out_step->receipt.cumulative_gas_used;
    walk->logs_before += out_step->receipt.log_count;
    return 0;
}
