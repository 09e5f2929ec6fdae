/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_transaction.h"

#include "base/ensure.h"
#include "render/json_receipt.h"
#include "render/json_transaction.h"
#include "rpc/rpc_argument.h"

enum { HASH_SIZE = 32, ADDRESS_SIZE = 20 };

/* ---- transactions ---- */

int rpc_transaction_find(struct rpc_call *call, const uint8_t hash[32], struct rpc_block *out,
                         size_t *out_index)
{
    struct stoa_transaction found;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_transaction(call->stoa, hash, &found, &detail);
    if (result == STOA_ENOTFOUND) {
        return result;
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "transaction");
    }
    struct error_detail why;
    if (block_decode(rpc_block_bytes(found.block.block), &out->block, &why) != 0) {
        stoa_release(found.block.view);
        return rpc_call_fail_render(call, &why, "block");
    }
    out->stored = found.block;
    *out_index = found.index;
    return 0;
}

/* The encoding of transaction INDEX of BLOCK, which has it. */
static int envelope_at(const struct block *block, size_t index, struct bytes *out,
                       struct error_detail *why)
{
    ensure(index < block->transaction_count);
    struct bytes cursor = block->transactions;
    int result = 0;
    for (size_t i = 0; i <= index && result == 0; i++) {
        result = block_next_transaction(&cursor, out, why);
    }
    return result;
}

int rpc_transaction_write(struct rpc_call *call, const struct rpc_block *found, size_t index)
{
    struct error_detail why;
    struct bytes senders = rpc_block_bytes(found->stored.senders);
    struct json_transaction shown = {.block = &found->block, .index = index};
    int result = envelope_at(&found->block, index, &shown.envelope, &why);
    if (result == 0) {
        bool known = senders.size >= (index + 1) * ADDRESS_SIZE;
        shown.sender = known ? senders.data + index * ADDRESS_SIZE : NULL;
        result = json_transaction_append(call->writer, NULL, &shown, &why);
    }
    return result == 0 ? 0 : rpc_call_fail_render(call, &why, "transaction");
}

/* RESULT of looking for something: null where it is not there, else the error told. */
static int answer_none(struct rpc_call *call, int result)
{
    if (result != STOA_ENOTFOUND) {
        return -1;
    }
    json_writer_null(call->writer, NULL);
    return 0;
}

int rpc_transaction_by_hash(struct rpc_call *call)
{
    uint8_t hash[HASH_SIZE];
    struct rpc_block found;
    size_t index;
    if (!rpc_argument_hash(call, 0, hash)) {
        return -1;
    }
    int result = rpc_transaction_find(call, hash, &found, &index);
    if (result != 0) {
        return answer_none(call, result);
    }
    result = rpc_transaction_write(call, &found, index);
    rpc_block_release(&found);
    return result;
}

static int answer_by_index(struct rpc_call *call, const struct stoa_block_key *key)
{
    uint64_t index;
    struct rpc_block found;
    if (!rpc_argument_quantity(call, 1, &index)) {
        return -1;
    }
    int result = rpc_block_get(call, key, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    if (index >= found.block.transaction_count) {
        json_writer_null(call->writer, NULL);
    } else {
        result = rpc_transaction_write(call, &found, (size_t)index);
    }
    rpc_block_release(&found);
    return result;
}

int rpc_transaction_by_block_hash(struct rpc_call *call)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    return rpc_argument_hash(call, 0, key.hash) ? answer_by_index(call, &key) : -1;
}

int rpc_transaction_by_block_number(struct rpc_call *call)
{
    struct stoa_block_key key;
    return rpc_argument_block(call, 0, false, &key) ? answer_by_index(call, &key) : -1;
}

int rpc_transaction_raw(struct rpc_call *call)
{
    uint8_t hash[HASH_SIZE];
    struct stoa_transaction found;
    struct stoa_detail detail = {.code = 0};
    if (!rpc_argument_hash(call, 0, hash)) {
        return -1;
    }
    int result = stoa_get_transaction(call->stoa, hash, &found, &detail);
    if (result == STOA_ENOTFOUND) {
        json_writer_hex(call->writer, NULL, NULL, 0);
        return 0;
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "transaction");
    }
    json_writer_hex(call->writer, NULL, found.transaction.data, found.transaction.size);
    stoa_release(found.block.view);
    return 0;
}

/* ---- receipts ---- */

bool rpc_transaction_has_receipts(struct rpc_call *call, const struct rpc_block *found)
{
    if (found->stored.receipts.data != NULL || found->block.transaction_count == 0) {
        return true;
    }
    (void)rpc_call_fail(call, RPC_FAILED, "receipts of block %llu are not %s",
                        (unsigned long long)found->stored.height,
                        found->stored.receipts_pruned != 0 ? "kept any more" : "stored");
    return false;
}

int rpc_transaction_write_receipts(struct rpc_call *call, const struct rpc_block *found)
{
    struct receipt_walk walk;
    struct receipt_walk_step step;
    struct error_detail why;
    int result = receipt_walk_init(&walk, &found->block, rpc_block_bytes(found->stored.receipts),
                                   rpc_block_bytes(found->stored.senders), &why);
    json_writer_array_begin(call->writer, NULL);
    while (result == 0) {
        if (!rpc_call_go_on(call)) {
            return -1;
        }
        result = receipt_walk_next(&walk, &step, &why);
        if (result == 0) {
            result = json_receipt_append(call->writer, NULL, &step, &why);
        }
    }
    if (result != STOA_ENOTFOUND) {
        return rpc_call_fail_render(call, &why, "receipts");
    }
    json_writer_array_end(call->writer);
    return 0;
}

int rpc_transaction_write_receipt(struct rpc_call *call, const struct rpc_block *found,
                                  size_t index)
{
    struct receipt_walk walk;
    struct receipt_walk_step step = {.index = 0};
    struct error_detail why;
    int result = receipt_walk_init(&walk, &found->block, rpc_block_bytes(found->stored.receipts),
                                   rpc_block_bytes(found->stored.senders), &why);
    for (size_t i = 0; i <= index && result == 0; i++) {
        result = receipt_walk_next(&walk, &step, &why);
    }
    if (result == 0) {
        result = json_receipt_append(call->writer, NULL, &step, &why);
    }
    return result == 0 ? 0 : rpc_call_fail_render(call, &why, "receipt");
}

int rpc_transaction_receipt(struct rpc_call *call)
{
    uint8_t hash[HASH_SIZE];
    struct rpc_block found;
    size_t index;
    if (!rpc_argument_hash(call, 0, hash)) {
        return -1;
    }
    int result = rpc_transaction_find(call, hash, &found, &index);
    if (result != 0) {
        return answer_none(call, result);
    }
    result = rpc_transaction_has_receipts(call, &found)
                 ? rpc_transaction_write_receipt(call, &found, index)
                 : -1;
    rpc_block_release(&found);
    return result;
}

int rpc_transaction_block_receipts(struct rpc_call *call)
{
    struct rpc_block found;
    int result = rpc_block_get_argument(call, 0, true, &found);
    if (result != 0) {
        return answer_none(call, result);
    }
    result = rpc_transaction_has_receipts(call, &found)
                 ? rpc_transaction_write_receipts(call, &found)
                 : -1;
    rpc_block_release(&found);
    return result;
}

static int write_raw_receipts(struct rpc_call *call, const struct rpc_block *found)
{
    struct bytes cursor = rpc_block_bytes(found->stored.receipts);
    struct bytes list = bytes_of(NULL, 0);
    struct error_detail why;
    int result = cursor.size == 0 ? 0 : rlp_read_list(&cursor, &list, &why);
    json_writer_array_begin(call->writer, NULL);
    while (result == 0) {
        struct bytes envelope;
        result = receipt_next(&list, &envelope, &why);
        if (result == 0) {
            json_writer_hex(call->writer, NULL, envelope.data, envelope.size);
        }
    }
    if (result != STOA_ENOTFOUND) {
        return rpc_call_fail_render(call, &why, "receipts");
    }
    json_writer_array_end(call->writer);
    return 0;
}

int rpc_transaction_raw_receipts(struct rpc_call *call)
{
    struct rpc_block found;
    int result = rpc_block_get_argument(call, 0, true, &found);
    if (result != 0) {
        return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "block not found") : -1;
    }
    result = rpc_transaction_has_receipts(call, &found) ? write_raw_receipts(call, &found) : -1;
    rpc_block_release(&found);
    return result;
}
