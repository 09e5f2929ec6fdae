/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of receipts: each that decodes is written again, from its fields and logs, to the same
 * bytes; the walker of logs visits as many as were counted. The list as a whole is checked against
 * a made block: nothing but the right one passes. */
#include "base/ensure.h"
#include "chain/block.h"
#include "chain/receipt.h"
#include "fuzz/fuzz.h"
#include "support/chain_maker.h"

static void append_string(struct buffer *out, const uint8_t *data, size_t size)
{
    int appended = rlp_append_string(out, bytes_of(data, size));
    ensure(appended == 0);
}

static void append_log(struct buffer *out, const struct receipt_log *log)
{
    struct buffer topics;
    struct buffer fields;
    buffer_init(&topics);
    buffer_init(&fields);
    ensure(log->topic_count <= 4);
    for (unsigned i = 0; i < log->topic_count; i++) {
        append_string(&topics, log->topics[i], 32);
    }
    append_string(&fields, log->address, 20);
    chain_maker_append_list(&fields, buffer_bytes(&topics));
    append_string(&fields, log->data.data, log->data.size);
    chain_maker_append_list(out, buffer_bytes(&fields));
    buffer_deinit(&topics);
    buffer_deinit(&fields);
}

static void append_logs(struct buffer *out, const struct receipt *receipt)
{
    struct buffer logs;
    struct bytes cursor = receipt->logs;
    struct receipt_log log;
    size_t count = 0;
    int result;
    buffer_init(&logs);
    while ((result = receipt_next_log(&cursor, &log, NULL)) == 0) {
        append_log(&logs, &log);
        count++;
    }
    ensure(result == STOA_ENOTFOUND);
    ensure(count == receipt->log_count);
    chain_maker_append_list(out, buffer_bytes(&logs));
    buffer_deinit(&logs);
}

static void check_receipt(struct bytes envelope)
{
    struct receipt receipt;
    struct error_detail detail = {.code = 0};
    int result = receipt_decode(envelope, &receipt, &detail);
    if (result != 0) {
        ensure(result == STOA_EINVAL);
        ensure(detail.code == STOA_EINVAL);
        return;
    }
    struct buffer fields;
    struct buffer again;
    buffer_init(&fields);
    buffer_init(&again);
    if (receipt.has_state_root) {
        append_string(&fields, receipt.state_root, 32);
    } else {
        result = rlp_append_uint64(&fields, receipt.status);
        ensure(result == 0);
    }
    result = rlp_append_uint64(&fields, receipt.cumulative_gas_used);
    ensure(result == 0);
    append_string(&fields, receipt.logs_bloom, HEADER_BLOOM_SIZE);
    append_logs(&fields, &receipt);
    if (receipt.type != 0) {
        result = buffer_append(&again, &(uint8_t){(uint8_t)receipt.type}, 1);
        ensure(result == 0);
    }
    chain_maker_append_list(&again, buffer_bytes(&fields));
    ensure(bytes_equal(buffer_bytes(&again), envelope));
    buffer_deinit(&fields);
    buffer_deinit(&again);
}

/* Made once: signing its transactions takes longer than a run. */
static const struct chain_maker *made_block(void)
{
    static struct chain_maker made;
    if (made.block.size == 0) {
        chain_maker_init(&made, 15, 1, NULL);
    }
    return &made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct chain_maker *made = made_block();
    struct block block;
    struct error_detail detail = {.code = 0};
    int result = block_decode(buffer_bytes(&made->block), &block, NULL);
    ensure(result == 0);
    result = receipt_check_list(&block.header, block.transactions, block.transaction_count,
                                bytes_of(data, size), &detail);
    bool right = bytes_equal(bytes_of(data, size), buffer_bytes(&made->receipts));
    ensure(right == (result == 0));
    ensure(result == 0 || result == STOA_EINVAL || result == STOA_EREFUSED);

    struct bytes list = bytes_of(data, size);
    struct bytes cursor;
    struct bytes envelope;
    if (rlp_read_list(&list, &cursor, NULL) == 0) {
        while (receipt_next(&cursor, &envelope, NULL) == 0) {
            check_receipt(envelope);
        }
    }
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    const struct chain_maker *made = made_block();
    if (index > CHAIN_MAKER_TRANSACTIONS) {
        return false;
    }
    if (index == CHAIN_MAKER_TRANSACTIONS) {
        return buffer_append(out, made->receipts.data, made->receipts.size) == 0;
    }
    /* One alone: mutations then meet its fields more often. */
    chain_maker_append_list(out, chain_maker_item(buffer_bytes(&made->receipts), index));
    return true;
}
