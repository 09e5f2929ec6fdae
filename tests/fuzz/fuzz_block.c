/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What decodes as a block is put together again from its parts to the same bytes; the walker visits
 * as many transactions as were counted; the checks of the roots refuse but never find it invalid.
 */
#include "base/ensure.h"
#include "chain/block.h"
#include "chain/keccak.h"
#include "fuzz/fuzz.h"
#include "support/chain_maker.h"

static void append(struct buffer *out, struct bytes bytes)
{
    int appended = buffer_append(out, bytes.data, bytes.size);
    ensure(appended == 0);
}

static void check_parts(const struct block *block)
{
    struct buffer payload;
    struct buffer again;
    buffer_init(&payload);
    buffer_init(&again);
    append(&payload, block->header.encoding);
    chain_maker_append_list(&payload, block->transactions);
    append(&payload, block->uncles);
    if (block->has_withdrawals) {
        chain_maker_append_list(&payload, block->withdrawals);
    }
    chain_maker_append_list(&again, buffer_bytes(&payload));
    ensure(bytes_equal(buffer_bytes(&again), block->encoding));
    buffer_deinit(&payload);
    buffer_deinit(&again);
}

static void check_walk(const struct block *block)
{
    struct bytes cursor = block->transactions;
    struct bytes envelope;
    size_t count = 0;
    int result;
    while ((result = block_next_transaction(&cursor, &envelope, NULL)) == 0) {
        ensure(envelope.size > 0);
        count++;
    }
    ensure(result == STOA_ENOTFOUND);
    ensure(cursor.size == 0);
    ensure(count == block->transaction_count);
}

static void check_result(int result, const struct error_detail *detail)
{
    ensure(result == 0 || result == STOA_EREFUSED);
    ensure(result == 0 || detail->code == result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct block block;
    struct error_detail detail = {.code = 0};
    int result = block_decode(bytes_of(data, size), &block, &detail);
    int silent = block_decode(bytes_of(data, size), &block, NULL);
    ensure(silent == result);
    if (result != 0) {
        ensure(result == STOA_EINVAL);
        ensure(detail.code == STOA_EINVAL);
        ensure(detail.text[0] != '\0');
        return 0;
    }
    uint8_t hash[32];
    keccak_256(block.header.encoding.data, block.header.encoding.size, hash);
    ensure(memcmp(hash, block.hash, sizeof(hash)) == 0);
    check_parts(&block);
    check_walk(&block);
    check_result(block_check_transactions_root(&block, &detail), &detail);
    check_result(block_check_uncles_hash(&block, &detail), &detail);
    check_result(block_check_withdrawals_root(&block, &detail), &detail);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const unsigned counts[] = {15, 16, 17, 20, 21};
    if (index >= sizeof(counts) / sizeof(counts[0])) {
        return false;
    }
    struct chain_maker made;
    chain_maker_init(&made, counts[index], 1 + index, NULL);
    append(out, buffer_bytes(&made.block));
    chain_maker_deinit(&made);
    return true;
}
