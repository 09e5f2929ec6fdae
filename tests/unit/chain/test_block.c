/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/block.h"
#include "chain/transaction.h"
#include "support/chain_data.h"
#include "support/chain_maker.h"
#include "support/fixture.h"

static const unsigned counts[] = {15, 16, 17, 20, 21};

static int check_all(struct bytes encoding, struct block *out, struct error_detail *detail)
{
    int error = block_decode(encoding, out, detail);
    if (error == 0) {
        error = block_check_transactions_root(out, detail);
    }
    if (error == 0) {
        error = block_check_uncles_hash(out, detail);
    }
    if (error == 0) {
        error = block_check_withdrawals_root(out, detail);
    }
    return error;
}

static void assert_begins(const char *text, const char *begins)
{
    if (strncmp(text, begins, strlen(begins)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", text, begins);
    }
}

static void assert_refused(struct bytes encoding, int code, const char *begins)
{
    struct block block;
    struct error_detail detail = {0};
    assert_int_equal(check_all(encoding, &block, &detail), code);
    assert_int_equal(detail.code, code);
    assert_begins(detail.text, begins);
}

static size_t count_transactions(const struct block *block)
{
    struct bytes cursor = block->transactions;
    struct bytes envelope;
    size_t count = 0;
    int error;
    while ((error = block_next_transaction(&cursor, &envelope, NULL)) == 0) {
        assert_true(envelope.size > 0);
        count++;
    }
    assert_int_equal(error, STOA_ENOTFOUND);
    return count;
}

static void blocks_of_every_fork_check(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct chain_maker made;
        struct block block;
        struct error_detail detail = {0};
        uint8_t hash[32];
        chain_maker_init(&made, counts[i], 1000, NULL);
        assert_int_equal(check_all(buffer_bytes(&made.block), &block, &detail), 0);
        assert_int_equal(block.transaction_count, CHAIN_MAKER_TRANSACTIONS);
        assert_int_equal(count_transactions(&block), CHAIN_MAKER_TRANSACTIONS);
        assert_int_equal(block.uncle_count, counts[i] < 17 ? 1 : 0);
        assert_int_equal(block.has_withdrawals, counts[i] >= 17);
        assert_int_equal(block.withdrawal_count, counts[i] >= 17 ? 2 : 0);
        assert_int_equal(block.encoding.size, made.block.size);
        header_hash(&block.header, hash);
        assert_memory_equal(block.hash, hash, 32);
        chain_maker_deinit(&made);
    }
}

static void decoding_and_small_roots_allocate_nothing_per_item(void **context)
{
    (void)context;
    struct chain_maker made;
    struct block block;
    chain_maker_init(&made, 21, 1, NULL);
    uint64_t before = memory_allocation_count();
    assert_int_equal(block_decode(buffer_bytes(&made.block), &block, NULL), 0);
    assert_int_equal(count_transactions(&block), CHAIN_MAKER_TRANSACTIONS);
    assert_int_equal(memory_allocation_count(), before);
    chain_maker_deinit(&made);
}

/* One flipped bit is found by the decoder, by a root, or by another hash than the chain expects. */
static void every_flipped_bit_is_found(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct chain_maker made;
        struct block good;
        uint8_t hash[32];
        unsigned outcomes[3] = {0};
        chain_maker_init(&made, counts[i], 7, NULL);
        assert_int_equal(block_decode(buffer_bytes(&made.block), &good, NULL), 0);
        memcpy(hash, good.hash, 32);
        for (size_t bit = 0; bit < 8 * made.block.size; bit++) {
            struct block block;
            struct error_detail detail = {0};
            made.block.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int error = check_all(buffer_bytes(&made.block), &block, &detail);
            if (error == 0) {
                assert_memory_not_equal(block.hash, hash, 32);
            } else {
                assert_true(error == STOA_EINVAL || error == STOA_EREFUSED);
                assert_int_equal(detail.code, error);
                assert_non_null(strchr(detail.text, ':'));
            }
            outcomes[error == 0 ? 0 : error == STOA_EINVAL ? 1 : 2]++;
            made.block.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(outcomes[0] > 0);
        assert_true(outcomes[1] > 0);
        assert_true(outcomes[2] > 0);
        chain_maker_deinit(&made);
    }
}

static void truncated_blocks_and_trailing_bytes_are_refused(void **context)
{
    (void)context;
    struct chain_maker made;
    chain_maker_init(&made, 21, 7, NULL);
    for (size_t size = 0; size < made.block.size; size++) {
        assert_refused(bytes_of(made.block.data, size), STOA_EINVAL, "block: ");
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        struct buffer longer;
        buffer_init(&longer);
        assert_int_equal(buffer_append(&longer, made.block.data, made.block.size), 0);
        assert_int_equal(buffer_append(&longer, &(uint8_t){(uint8_t)byte}, 1), 0);
        assert_refused(buffer_bytes(&longer), STOA_EINVAL, "block: ");
        buffer_deinit(&longer);
    }
    assert_refused(bytes_of("\xfb\xff\xff\xff\xff", 5), STOA_EINVAL, "block: ");
    assert_refused(bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9), STOA_EINVAL, "block: ");
    assert_refused(bytes_of("\xc0", 1), STOA_EINVAL, "header: ");
    assert_refused(bytes_of("\x80", 1), STOA_EINVAL, "block: ");
    chain_maker_deinit(&made);
}

/* A block of FIELD_COUNT with ITEM in place of part PART (0 header, 1 transactions, 2 uncles, 3
 * withdrawals). */
static void assert_part_refused(unsigned field_count, size_t part, struct bytes item, int code,
                                const char *begins)
{
    struct chain_maker made;
    struct buffer changed;
    buffer_init(&changed);
    chain_maker_init(&made, field_count, 7, NULL);
    chain_maker_replace(buffer_bytes(&made.block), part, item, &changed);
    assert_refused(buffer_bytes(&changed), code, begins);
    buffer_deinit(&changed);
    chain_maker_deinit(&made);
}

static void wrong_parts_are_refused_by_name(void **context)
{
    (void)context;
    struct bytes none = {0};
    assert_part_refused(21, 0, bytes_of("\x80", 1), STOA_EINVAL, "header: ");
    assert_part_refused(21, 1, bytes_of("\x80", 1), STOA_EINVAL, "transactions: ");
    assert_part_refused(21, 1, bytes_of("\xc1\x80", 2), STOA_EINVAL, "transactions: item 0: ");
    assert_part_refused(21, 1, bytes_of("\xc3\x82\x05\xc0", 4), STOA_EINVAL,
                        "transactions: item 0: type: 5 is not known");
    assert_part_refused(21, 1, bytes_of("\xc3\x82\x02\x80", 4), STOA_EINVAL,
                        "transactions: item 0: ");
    assert_part_refused(21, 1, bytes_of("\xc5\xc0\x83\x02\xc0\xc0", 6), STOA_EINVAL,
                        "transactions: item 1: ");
    assert_part_refused(21, 1, bytes_of("\xc2\xc0\x01", 3), STOA_EINVAL, "transactions: item 1: ");
    assert_part_refused(21, 1, bytes_of("\xfb\xff\xff\xff\xff", 5), STOA_EINVAL, "transactions: ");
    assert_part_refused(21, 1, bytes_of("\xc0", 1), STOA_EREFUSED,
                        "transactionsRoot: header says 0x");
    assert_part_refused(16, 2, bytes_of("\x80", 1), STOA_EINVAL, "uncles: ");
    assert_part_refused(16, 2, bytes_of("\xc1\xc0", 2), STOA_EINVAL,
                        "uncles: item 0: parentHash: ");
    assert_part_refused(16, 2, bytes_of("\xc0", 1), STOA_EREFUSED, "sha3Uncles: header says 0x");
    assert_part_refused(16, 3, bytes_of("\xc0", 1), STOA_EINVAL, "withdrawals: ");
    assert_part_refused(17, 3, none, STOA_EINVAL, "withdrawals: missing");
    assert_part_refused(17, 3, bytes_of("\x80", 1), STOA_EINVAL, "withdrawals: ");
    assert_part_refused(17, 3, bytes_of("\xc1\xc0", 2), STOA_EINVAL,
                        "withdrawals: item 0: index: ");
    assert_part_refused(17, 3, bytes_of("\xc0", 1), STOA_EREFUSED,
                        "withdrawalsRoot: header says 0x");
    assert_part_refused(17, 4, bytes_of("\xc0", 1), STOA_EINVAL, "block: ");
}

static void wrong_withdrawal_fields_are_refused_by_name(void **context)
{
    (void)context;
    static const char *const names[] = {"index", "validatorIndex", "address", "amount"};
    struct chain_maker made;
    struct buffer withdrawal;
    struct buffer withdrawals;
    struct buffer block;
    buffer_init(&withdrawal);
    buffer_init(&withdrawals);
    buffer_init(&block);
    chain_maker_init(&made, 17, 7, NULL);
    struct bytes list = chain_maker_item(buffer_bytes(&made.block), 3);
    for (size_t i = 0; i < 5; i++) {
        char begins[64];
        snprintf(begins, sizeof(begins), "withdrawals: item 1: %s", i < 4 ? names[i] : "");
        /* Nine bytes fit no field; as a fifth field they are too much. */
        chain_maker_replace(chain_maker_item(list, 1), i,
                            bytes_of("\x89\x01\x02\x03\x04\x05\x06\x07\x08\x09", 10), &withdrawal);
        chain_maker_replace(list, 1, buffer_bytes(&withdrawal), &withdrawals);
        chain_maker_replace(buffer_bytes(&made.block), 3, buffer_bytes(&withdrawals), &block);
        assert_refused(buffer_bytes(&block), STOA_EINVAL, begins);
    }
    buffer_deinit(&withdrawal);
    buffer_deinit(&withdrawals);
    buffer_deinit(&block);
    chain_maker_deinit(&made);
}

static void swapped_transactions_are_refused_by_their_root(void **context)
{
    (void)context;
    struct chain_maker made;
    struct buffer once;
    struct buffer twice;
    struct buffer block;
    buffer_init(&once);
    buffer_init(&twice);
    buffer_init(&block);
    chain_maker_init(&made, 21, 7, NULL);
    struct bytes list = chain_maker_item(buffer_bytes(&made.block), 1);
    for (size_t i = 1; i < CHAIN_MAKER_TRANSACTIONS; i++) {
        chain_maker_replace(list, i - 1, chain_maker_item(list, i), &once);
        chain_maker_replace(buffer_bytes(&once), i, chain_maker_item(list, i - 1), &twice);
        chain_maker_replace(buffer_bytes(&made.block), 1, buffer_bytes(&twice), &block);
        assert_refused(buffer_bytes(&block), STOA_EREFUSED, "transactionsRoot: header says 0x");
    }
    buffer_deinit(&once);
    buffer_deinit(&twice);
    buffer_deinit(&block);
    chain_maker_deinit(&made);
}

/* More transactions than the views on the stack hold, so that memory is needed and may fail. */
static void a_large_block_checks_and_reports_lack_of_memory(void **context)
{
    (void)context;
    struct chain_maker made;
    struct buffer payload;
    struct buffer list;
    struct buffer changed;
    struct buffer transaction;
    struct block block;
    struct error_detail detail = {0};
    buffer_init(&payload);
    buffer_init(&list);
    buffer_init(&changed);
    buffer_init(&transaction);
    chain_maker_init(&made, 21, 7, NULL);
    chain_maker_transaction(0, 1, 5, &transaction);
    for (unsigned i = 0; i < 700; i++) {
        assert_int_equal(buffer_append(&payload, transaction.data, transaction.size), 0);
    }
    chain_maker_append_list(&list, buffer_bytes(&payload));
    chain_maker_replace(buffer_bytes(&made.block), 1, buffer_bytes(&list), &changed);
    assert_int_equal(block_decode(buffer_bytes(&changed), &block, &detail), 0);
    assert_int_equal(block.transaction_count, 700);
    assert_int_equal(block_check_transactions_root(&block, &detail), STOA_EREFUSED);
    memory_fail_at(1);
    assert_int_equal(block_check_transactions_root(&block, &detail), STOA_ENOMEM);
    memory_fail_at(0);
    assert_begins(detail.text, "transactionsRoot: ");
    buffer_deinit(&payload);
    buffer_deinit(&list);
    buffer_deinit(&changed);
    buffer_deinit(&transaction);
    chain_maker_deinit(&made);
}

static void check_real(const struct chain_data_block *real, void *context)
{
    size_t *transactions = context;
    struct block block;
    struct error_detail detail = {0};
    uint8_t expected[32];
    if (check_all(real->encoding, &block, &detail) != 0) {
        fail_msg("%s: %s", real->where, detail.text);
    }
    chain_data_hex_fixed(real->line, "hash", expected, 32);
    assert_memory_equal(block.hash, expected, 32);
    assert_int_equal(count_transactions(&block), block.transaction_count);
    const json_t *lines = json_object_get(real->line, "txs");
    if (lines != NULL) {
        assert_int_equal(block.transaction_count, json_array_size(lines));
    }
    *transactions += block.transaction_count;
}

static void real_blocks_check(void **context)
{
    (void)context;
    size_t transactions = 0;
    if (chain_data_for_each(check_real, &transactions) > 0) {
        assert_true(transactions > 1000);
    }
}

static void check_file_of_blocks(const char *name, size_t expected_count)
{
    struct buffer file;
    if (!fixture_load_data(name, &file)) {
        return;
    }
    struct bytes cursor = buffer_bytes(&file);
    struct bytes encoding;
    uint8_t parent[32];
    size_t count = 0;
    while (chain_data_next_item(&cursor, &encoding)) {
        struct block block;
        struct error_detail detail = {0};
        if (check_all(encoding, &block, &detail) != 0) {
            fail_msg("%s: %s", name, detail.text);
        }
        if (count > 0) {
            assert_memory_equal(block.header.parent_hash, parent, 32);
        }
        memcpy(parent, block.hash, 32);
        count++;
    }
    assert_int_equal(count, expected_count);
    buffer_deinit(&file);
}

static void the_first_mainnet_transactions_check(void **context)
{
    (void)context;
    check_file_of_blocks("mainnet/blocks-46350-46399.rlp", 50);
}

/* A few real blocks of every fork, each bit of them. */
static void flip_real(const struct chain_data_block *real, void *context)
{
    unsigned *seen = context;
    struct block good;
    assert_int_equal(block_decode(real->encoding, &good, NULL), 0);
    if (good.transaction_count == 0 || real->encoding.size > 2000 ||
        seen[good.header.field_count] == 3) {
        return;
    }
    seen[good.header.field_count]++;
    struct buffer changed;
    buffer_init(&changed);
    assert_int_equal(buffer_append(&changed, real->encoding.data, real->encoding.size), 0);
    for (size_t bit = 0; bit < 8 * changed.size; bit++) {
        struct block block;
        changed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (check_all(buffer_bytes(&changed), &block, NULL) == 0) {
            assert_memory_not_equal(block.hash, good.hash, 32);
        }
        changed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_deinit(&changed);
}

static void every_flipped_bit_of_real_blocks_is_found(void **context)
{
    (void)context;
    unsigned seen[HEADER_FIELDS_MAX + 1] = {0};
    (void)chain_data_for_each(flip_real, seen); /* 0 where there is no data */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_every_fork_check),
        cmocka_unit_test(decoding_and_small_roots_allocate_nothing_per_item),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(truncated_blocks_and_trailing_bytes_are_refused),
        cmocka_unit_test(wrong_parts_are_refused_by_name),
        cmocka_unit_test(wrong_withdrawal_fields_are_refused_by_name),
        cmocka_unit_test(swapped_transactions_are_refused_by_their_root),
        cmocka_unit_test(a_large_block_checks_and_reports_lack_of_memory),
        cmocka_unit_test(real_blocks_check),
        cmocka_unit_test(the_first_mainnet_transactions_check),
        cmocka_unit_test(every_flipped_bit_of_real_blocks_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
