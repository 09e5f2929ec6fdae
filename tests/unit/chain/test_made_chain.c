/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The made chain and the chain codecs check each other: it is built without them (but for RLP,
 * Keccak and tries). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chain/block.h"
#include "chain/genesis.h"
#include "chain/keccak.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "support/fixture.h"
#include "support/made_chain.h"

enum { BLOCKS = 80 };

static void expect_ok(int result, const struct error_detail *detail, uint64_t number)
{
    if (result != 0) {
        fail_msg("block %llu: %s", (unsigned long long)number, detail->text);
    }
}

static void check_transactions(const struct made_block *made, const struct block *block,
                               struct transaction_recovery *recovery, unsigned seen[6])
{
    struct error_detail detail = {0};
    struct bytes cursor = block->transactions;
    assert_int_equal(block->transaction_count, made->transaction_count);
    for (size_t i = 0; i < made->transaction_count; i++) {
        const struct made_transaction *expected = &made->transactions[i];
        struct bytes envelope;
        struct transaction transaction;
        uint8_t hash[32], sender[20];
        expect_ok(block_next_transaction(&cursor, &envelope, &detail), &detail, made->number);
        assert_true(bytes_equal(envelope, expected->envelope));
        expect_ok(transaction_decode(envelope, &transaction, &detail), &detail, made->number);
        transaction_hash(envelope, hash);
        assert_memory_equal(hash, expected->hash, 32);
        expect_ok(transaction_sender(recovery, &transaction, sender, &detail), &detail,
                  made->number);
        assert_memory_equal(sender, expected->sender, 20);
        assert_memory_equal(sender, made->senders.data + 20 * i, 20);
        assert_int_equal(transaction.type, expected->type);
        assert_int_equal(transaction.to == NULL, expected->creates);
        if (expected->creates) {
            transaction_created_address(sender, transaction.nonce, sender);
            assert_memory_equal(sender, expected->created, 20);
        }
        seen[transaction.type == 0 && !transaction.has_chain_id ? 5 : transaction.type]++;
    }
}

static void check_block(const struct made_block *made, const uint8_t parent_hash[32],
                        struct block *block)
{
    struct error_detail detail = {0};
    expect_ok(block_decode(buffer_bytes(&made->block), block, &detail), &detail, made->number);
    assert_int_equal(block->header.number, made->number);
    assert_memory_equal(block->hash, made->hash, 32);
    assert_memory_equal(block->header.parent_hash, parent_hash, 32);
    assert_memory_equal(block->header.state_root, made->state_root, 32);
    assert_memory_equal(block->header.difficulty, made->difficulty, 32);
    expect_ok(block_check_transactions_root(block, &detail), &detail, made->number);
    expect_ok(block_check_uncles_hash(block, &detail), &detail, made->number);
    expect_ok(block_check_withdrawals_root(block, &detail), &detail, made->number);
    expect_ok(receipt_check_list(&block->header, block->transactions, block->transaction_count,
                                 buffer_bytes(&made->receipts), &detail),
              &detail, made->number);
}

static void every_block_decodes_and_checks(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(fixture_seed(), BLOCKS);
    struct transaction_recovery *recovery = transaction_recovery_create();
    assert_non_null(recovery);
    unsigned types[6] = {0}, fields[HEADER_FIELDS_MAX + 1] = {0};
    size_t uncles = 0, withdrawals = 0;
    const uint8_t *parent_hash = made_chain_genesis_hash(chain);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        const struct made_block *made = made_chain_block(chain, number);
        struct block block;
        check_block(made, parent_hash, &block);
        check_transactions(made, &block, recovery, types);
        fields[block.header.field_count]++;
        uncles += block.uncle_count;
        withdrawals += block.withdrawal_count;
        parent_hash = made->hash;
    }
    for (unsigned i = 0; i < 6; i++) {
        assert_true(types[i] > 0);
    }
    assert_true(fields[15] > 0 && fields[16] > 0 && fields[17] > 0 && fields[20] > 0 &&
                fields[21] > 0);
    assert_true(uncles > 0);
    assert_true(withdrawals > 0);
    transaction_recovery_destroy(recovery);
    made_chain_destroy(chain);
}

static void first_parent_is_the_genesis_of_the_json(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(fixture_seed(), 1);
    struct genesis genesis;
    struct error_detail detail = {0};
    expect_ok(genesis_parse(made_chain_genesis_json(chain), &genesis, &detail), &detail, 0);
    assert_int_equal(genesis.chain_id, MADE_CHAIN_ID);
    assert_memory_equal(genesis.hash, made_chain_genesis_hash(chain), 32);
    struct block block;
    check_block(made_chain_block(chain, 1), genesis.hash, &block);
    genesis_deinit(&genesis);
    made_chain_destroy(chain);
}

static void same_seed_makes_the_same_chain_whatever_its_length(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *shorter = made_chain_create(seed, 20);
    struct made_chain *longer = made_chain_create(seed, 40);
    struct made_chain *other = made_chain_create(seed + 1, 20);
    for (uint64_t number = 1; number <= 20; number++) {
        const struct made_block *a = made_chain_block(shorter, number);
        const struct made_block *b = made_chain_block(longer, number);
        assert_true(bytes_equal(buffer_bytes(&a->block), buffer_bytes(&b->block)));
        assert_true(bytes_equal(buffer_bytes(&a->receipts), buffer_bytes(&b->receipts)));
        assert_memory_not_equal(a->hash, made_chain_block(other, number)->hash, 32);
    }
    assert_null(made_chain_block(shorter, 21));
    assert_null(made_chain_block(shorter, 0));
    made_chain_destroy(other);
    made_chain_destroy(longer);
    made_chain_destroy(shorter);
}

static void branch_continues_from_its_base(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *base = made_chain_create(seed, 30);
    struct made_chain *branch = made_chain_create_branch(base, 20, seed + 1, 12);
    const uint8_t *parent_hash = made_chain_block(base, 20)->hash;
    assert_int_equal(made_chain_first(branch), 21);
    for (uint64_t number = 21; number <= 32; number++) {
        struct block block;
        check_block(made_chain_block(branch, number), parent_hash, &block);
        if (number <= 30) {
            assert_memory_not_equal(block.hash, made_chain_block(base, number)->hash, 32);
        }
        parent_hash = made_chain_block(branch, number)->hash;
    }
    made_chain_destroy(branch);
    made_chain_destroy(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_decodes_and_checks),
        cmocka_unit_test(first_parent_is_the_genesis_of_the_json),
        cmocka_unit_test(same_seed_makes_the_same_chain_whatever_its_length),
        cmocka_unit_test(branch_continues_from_its_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
