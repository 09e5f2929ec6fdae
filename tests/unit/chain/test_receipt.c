/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/block.h"
#include "chain/receipt.h"
#include "support/chain_data.h"
#include "support/chain_maker.h"

static void assert_begins(const char *text, const char *begins)
{
    if (strncmp(text, begins, strlen(begins)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", text, begins);
    }
}

static int check(const struct block *block, struct bytes receipts, struct error_detail *detail)
{
    return receipt_check_list(&block->header, block->transactions, block->transaction_count,
                              receipts, detail);
}

static void made_receipts_check_without_allocation_per_item(void **context)
{
    (void)context;
    struct chain_maker made;
    struct block block;
    struct error_detail detail = {0};
    chain_maker_init(&made, 21, 1, NULL);
    assert_int_equal(block_decode(buffer_bytes(&made.block), &block, &detail), 0);
    assert_int_equal(check(&block, buffer_bytes(&made.receipts), &detail), 0);
    struct bytes list = buffer_bytes(&made.receipts);
    struct bytes cursor;
    struct bytes envelope;
    uint64_t before = memory_allocation_count();
    assert_int_equal(rlp_read_list(&list, &cursor, NULL), 0);
    for (unsigned i = 0; i < CHAIN_MAKER_TRANSACTIONS; i++) {
        struct receipt receipt;
        struct receipt_log log;
        assert_int_equal(receipt_next(&cursor, &envelope, NULL), 0);
        assert_int_equal(receipt_decode(envelope, &receipt, &detail), 0);
        assert_int_equal(receipt.type, i == 0 ? 0 : i - 1);
        assert_int_equal(receipt.has_state_root, i == 0);
        assert_int_equal(receipt.status, i % 2);
        assert_int_equal(receipt.cumulative_gas_used, CHAIN_MAKER_GAS * (i + 1));
        assert_int_equal(receipt.log_count, CHAIN_MAKER_LOGS);
        struct bytes logs = receipt.logs;
        for (unsigned j = 0; j < CHAIN_MAKER_LOGS; j++) {
            assert_int_equal(receipt_next_log(&logs, &log, NULL), 0);
            assert_int_equal(log.topic_count, (i + j) % 5);
            assert_int_equal(log.address[0], 0x30 + (i + j) / 2);
            assert_int_equal(log.data.size, 10 * log.topic_count);
        }
        assert_int_equal(receipt_next_log(&logs, &log, NULL), STOA_ENOTFOUND);
    }
    assert_int_equal(receipt_next(&cursor, &envelope, NULL), STOA_ENOTFOUND);
    assert_int_equal(memory_allocation_count(), before);
    chain_maker_deinit(&made);
}

/* The yellow paper's three bits, checked with the known bloom of one address. */
static void a_bloom_has_the_three_bits_of_its_value(void **context)
{
    (void)context;
    uint8_t bloom[HEADER_BLOOM_SIZE] = {0};
    uint8_t address[20];
    bytes_from_hex("0f572e5295c57f15886f9b263e2f6d2d6c7b5ec6", 40, address, sizeof(address));
    receipt_bloom_add(bloom, bytes_of(address, sizeof(address)));
    for (size_t i = 0; i < HEADER_BLOOM_SIZE; i++) {
        /* bits 1323, 431 and 1319 */
        uint8_t expected = i == 255 - 1323 / 8 ? 1 << 1323 % 8 : 0;
        expected = (uint8_t)(expected | (i == 255 - 431 / 8 ? 1 << 431 % 8 : 0));
        expected = (uint8_t)(expected | (i == 255 - 1319 / 8 ? 1 << 1319 % 8 : 0));
        assert_int_equal(bloom[i], expected);
    }
}

static void assert_list_refused(struct bytes receipts, int code, const char *begins)
{
    struct chain_maker made;
    struct block block;
    struct error_detail detail = {0};
    chain_maker_init(&made, 21, 1, NULL);
    assert_int_equal(block_decode(buffer_bytes(&made.block), &block, NULL), 0);
    assert_int_equal(check(&block, receipts, &detail), code);
    assert_int_equal(detail.code, code);
    assert_begins(detail.text, begins);
    assert_int_equal(check(&block, receipts, NULL), code);
    chain_maker_deinit(&made);
}

static void wrong_lists_are_refused_by_name(void **context)
{
    (void)context;
    struct chain_maker made;
    struct buffer changed;
    struct buffer swapped;
    struct buffer item;
    buffer_init(&changed);
    buffer_init(&swapped);
    buffer_init(&item);
    chain_maker_init(&made, 21, 1, NULL);
    struct bytes list = buffer_bytes(&made.receipts);
    assert_list_refused(bytes_of("\xc0", 1), STOA_EREFUSED, "receipts: 0 for 6 transactions");
    assert_list_refused(bytes_of("\x80", 1), STOA_EINVAL, "receipts: ");
    assert_list_refused(bytes_of("\xfb\xff\xff\xff\xff", 5), STOA_EINVAL, "receipts: ");
    chain_maker_replace(list, 5, bytes_of(NULL, 0), &changed);
    assert_list_refused(buffer_bytes(&changed), STOA_EREFUSED, "receipts: 5 for 6 transactions");
    chain_maker_replace(list, 6, chain_maker_item(list, 5), &changed);
    assert_list_refused(buffer_bytes(&changed), STOA_EREFUSED, "receipts: more than 6");
    chain_maker_replace(list, 2, chain_maker_item(list, 3), &changed);
    assert_list_refused(buffer_bytes(&changed), STOA_EREFUSED, "receipts: item 2: type: ");
    chain_maker_replace(list, 0, chain_maker_item(list, 1), &changed);
    chain_maker_replace(buffer_bytes(&changed), 1, chain_maker_item(list, 0), &swapped);
    assert_list_refused(buffer_bytes(&swapped), STOA_EREFUSED,
                        "receipts: item 1: cumulativeGasUsed: ");
    chain_maker_replace(chain_maker_item(list, 0), 1, bytes_of("\x05", 1), &item);
    chain_maker_replace(list, 0, buffer_bytes(&item), &changed);
    assert_list_refused(buffer_bytes(&changed), STOA_EREFUSED, "receiptsRoot: header says 0x");
    /* As much gas as before, which a transaction of the chain itself may use: for the root to say.
     */
    chain_maker_replace(chain_maker_item(list, 1), 1, bytes_of("\x82\x52\x08", 3), &item);
    chain_maker_replace(list, 1, buffer_bytes(&item), &changed);
    assert_list_refused(buffer_bytes(&changed), STOA_EREFUSED, "receiptsRoot: header says 0x");
    chain_maker_replace(chain_maker_item(list, 0), 3, bytes_of("\xc0", 1), &item);
    chain_maker_replace(list, 0, buffer_bytes(&item), &changed);
    assert_list_refused(buffer_bytes(&changed), STOA_EREFUSED,
                        "receipts: item 0: logsBloom: receipt says 0x");
    for (size_t size = 0; size < list.size; size++) {
        assert_list_refused(bytes_of(list.data, size), STOA_EINVAL, "receipts: ");
    }
    buffer_deinit(&changed);
    buffer_deinit(&swapped);
    buffer_deinit(&item);
    chain_maker_deinit(&made);
}

/* The receipts are right, the header is not. */
static void wrong_headers_are_refused_by_name(void **context)
{
    (void)context;
    static const struct {
        size_t offset;
        const char *begins;
    } wrong[] = {
        {offsetof(struct header, gas_used), "gasUsed: header says 126001, computed 126000"},
        {offsetof(struct header, logs_bloom), "logsBloom: header says 0x"},
        {offsetof(struct header, receipts_root), "receiptsRoot: header says 0x"},
    };
    struct chain_maker made;
    struct block block;
    uint8_t ones[HEADER_BLOOM_SIZE];
    memset(ones, 0xff, sizeof(ones));
    chain_maker_init(&made, 21, 1, NULL);
    for (size_t i = 0; i < 3; i++) {
        struct error_detail detail = {0};
        assert_int_equal(block_decode(buffer_bytes(&made.block), &block, NULL), 0);
        if (i == 0) {
            block.header.gas_used++;
        } else {
            *(const uint8_t **)(void *)((uint8_t *)&block.header + wrong[i].offset) = ones;
        }
        assert_int_equal(check(&block, buffer_bytes(&made.receipts), &detail), STOA_EREFUSED);
        assert_begins(detail.text, wrong[i].begins);
    }
    chain_maker_deinit(&made);
}

static void assert_receipt_refused(struct bytes envelope, const char *begins)
{
    struct receipt receipt;
    struct error_detail detail = {0};
    memset(&receipt, 0xa5, sizeof(receipt));
    struct receipt before = receipt;
    assert_int_equal(receipt_decode(envelope, &receipt, &detail), STOA_EINVAL);
    assert_memory_equal(&receipt, &before, sizeof(receipt));
    assert_begins(detail.text, begins);
}

static void wrong_receipts_are_refused_by_field(void **context)
{
    (void)context;
    static const char *const names[] = {
        "status: ", "cumulativeGasUsed: ", "logsBloom: ", "logs: ", "receipt: "};
    struct chain_maker made;
    struct buffer changed;
    buffer_init(&changed);
    chain_maker_init(&made, 21, 1, NULL);
    struct bytes good = chain_maker_item(buffer_bytes(&made.receipts), 1);
    uint8_t nine[] = {0x89, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (size_t i = 0; i < 5; i++) {
        chain_maker_replace(good, i, bytes_of(nine, sizeof(nine)), &changed);
        assert_receipt_refused(buffer_bytes(&changed), names[i]);
        chain_maker_replace(good, i, bytes_of("\xbb\xff\xff\xff\xff", 5), &changed);
        assert_receipt_refused(buffer_bytes(&changed), names[i]);
    }
    chain_maker_replace(good, 0, bytes_of("\x02", 1), &changed);
    assert_receipt_refused(buffer_bytes(&changed), "status: neither 0 nor 1");
    chain_maker_replace(good, 0, bytes_of("\x00", 1), &changed);
    assert_receipt_refused(buffer_bytes(&changed), "status: ");
    chain_maker_replace(good, 1, bytes_of("\x82\x00\x81", 3), &changed);
    assert_receipt_refused(buffer_bytes(&changed), "cumulativeGasUsed: ");
    for (size_t size = 0; size < good.size; size++) {
        assert_receipt_refused(bytes_of(good.data, size), "receipt: ");
    }
    /* A root in place of the status is for legacy ones only. */
    struct bytes legacy = chain_maker_item(buffer_bytes(&made.receipts), 0);
    buffer_clear(&changed);
    assert_int_equal(buffer_append(&changed, "\x02", 1), 0);
    assert_int_equal(buffer_append(&changed, legacy.data, legacy.size), 0);
    assert_receipt_refused(buffer_bytes(&changed), "status: ");
    buffer_deinit(&changed);
    chain_maker_deinit(&made);
}

static void wrong_logs_are_refused_by_field(void **context)
{
    (void)context;
    static const char *const names[] = {"logs: item 0: address: ", "logs: item 0: topics: ",
                                        "logs: item 0: data: ", "logs: item 0: log: "};
    static const char *const lists[] = {"\xc0", "\xc1\x80", "\xc1\xc0", "\xc0"};
    static const size_t sizes[] = {1, 2, 2, 1};
    struct chain_maker made;
    struct buffer log;
    struct buffer logs;
    struct buffer receipt;
    buffer_init(&log);
    buffer_init(&logs);
    buffer_init(&receipt);
    chain_maker_init(&made, 21, 1, NULL);
    struct bytes good = chain_maker_item(buffer_bytes(&made.receipts), 0);
    struct bytes good_logs = chain_maker_item(good, 3);
    for (size_t i = 0; i < 4; i++) {
        chain_maker_replace(chain_maker_item(good_logs, 0), i, bytes_of(lists[i], sizes[i]), &log);
        chain_maker_replace(good_logs, 0, buffer_bytes(&log), &logs);
        chain_maker_replace(good, 3, buffer_bytes(&logs), &receipt);
        assert_receipt_refused(buffer_bytes(&receipt), names[i]);
    }
    uint8_t five_topics[2 + 5 * 33];
    memset(five_topics, 0xa0, sizeof(five_topics));
    five_topics[0] = 0xf8;
    five_topics[1] = 5 * 33;
    chain_maker_replace(chain_maker_item(good_logs, 0), 1, bytes_of(five_topics, 167), &log);
    chain_maker_replace(good_logs, 0, buffer_bytes(&log), &logs);
    chain_maker_replace(good, 3, buffer_bytes(&logs), &receipt);
    assert_receipt_refused(buffer_bytes(&receipt), "logs: item 0: topics: more than 4");
    buffer_deinit(&log);
    buffer_deinit(&logs);
    buffer_deinit(&receipt);
    chain_maker_deinit(&made);
}

static void every_flipped_bit_is_found(void **context)
{
    (void)context;
    struct chain_maker made;
    struct block block;
    chain_maker_init(&made, 21, 1, NULL);
    assert_int_equal(block_decode(buffer_bytes(&made.block), &block, NULL), 0);
    for (size_t bit = 0; bit < 8 * made.receipts.size; bit++) {
        struct error_detail detail = {0};
        made.receipts.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int error = check(&block, buffer_bytes(&made.receipts), &detail);
        assert_true(error == STOA_EINVAL || error == STOA_EREFUSED);
        assert_non_null(strchr(detail.text, ':'));
        made.receipts.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    chain_maker_deinit(&made);
}

static void check_real(const struct chain_data_block *real, void *context)
{
    size_t *logs = context;
    struct block block;
    struct error_detail detail = {0};
    assert_int_equal(block_decode(real->encoding, &block, NULL), 0);
    if (check(&block, real->receipts, &detail) != 0) {
        fail_msg("%s: block %llu: %s", real->where, (unsigned long long)block.header.number,
                 detail.text);
    }
    struct bytes list = real->receipts;
    struct bytes cursor;
    struct bytes envelope;
    assert_int_equal(rlp_read_list(&list, &cursor, NULL), 0);
    while (receipt_next(&cursor, &envelope, NULL) == 0) {
        struct receipt receipt;
        assert_int_equal(receipt_decode(envelope, &receipt, NULL), 0);
        *logs += receipt.log_count;
    }
}

static void real_receipts_check(void **context)
{
    (void)context;
    size_t logs = 0;
    if (chain_data_for_each(check_real, &logs) > 0) {
        assert_true(logs > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_receipts_check_without_allocation_per_item),
        cmocka_unit_test(a_bloom_has_the_three_bits_of_its_value),
        cmocka_unit_test(wrong_lists_are_refused_by_name),
        cmocka_unit_test(wrong_headers_are_refused_by_name),
        cmocka_unit_test(wrong_receipts_are_refused_by_field),
        cmocka_unit_test(wrong_logs_are_refused_by_field),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(real_receipts_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
