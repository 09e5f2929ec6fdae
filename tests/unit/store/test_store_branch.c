/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of branch on a simulated machine: after each everything asked is compared with what brute
 * force over the winning branch says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/simstore.h"

enum { BLOCKS_MAX = 512, CHAINS_MAX = 32 };

/* A tree of made blocks, and which of them is the head. */
struct tree {
    struct simstore sim;
    struct made_chain *chains[CHAINS_MAX];
    size_t chain_count;
    const struct made_block *blocks[BLOCKS_MAX];
    size_t count;
    const struct made_block *head; /* NULL: the genesis */
};

static const struct made_block *find(const struct tree *tree, const uint8_t hash[32])
{
    for (size_t i = 0; i < tree->count; i++) {
        if (memcmp(tree->blocks[i]->hash, hash, 32) == 0) {
            return tree->blocks[i];
        }
    }
    return NULL;
}

static bool is_canonical(const struct tree *tree, const struct made_block *block)
{
    const struct made_block *at = tree->head;
    while (at != NULL && at->number > block->number) {
        at = find(tree, at->parent_hash);
    }
    return at == block;
}

static uint64_t head_height(const struct tree *tree)
{
    return tree->head == NULL ? 0 : tree->head->number;
}

static void make_tree(struct tree *tree, uint64_t seed, uint64_t blocks)
{
    struct io_sim_options options = {.seed = seed, .delay_ns_max = 1000000};
    memset(tree, 0, sizeof(*tree));
    tree->chains[tree->chain_count++] = made_chain_create(seed, blocks);
    simstore_init(&tree->sim, seed);
    simstore_power(&tree->sim, &options);
    assert_int_equal(simstore_create(&tree->sim, tree->chains[0]), 0);
    assert_int_equal(simstore_open(&tree->sim), 0);
}

static void drop_tree(struct tree *tree)
{
    if (tree->sim.store != NULL) {
        assert_int_equal(simstore_close(&tree->sim), 0);
    }
    simstore_deinit(&tree->sim);
    for (size_t i = 0; i < tree->chain_count; i++) {
        made_chain_destroy(tree->chains[i]);
    }
}

/* COUNT blocks on top of block HEIGHT of chain BASE. */
static const struct made_chain *grow_branch(struct tree *tree, size_t base, uint64_t height,
                                            uint64_t count)
{
    assert_true(tree->chain_count < CHAINS_MAX);
    struct made_chain *chain =
        made_chain_create_branch(tree->chains[base], height, 1000 + tree->chain_count, count);
    tree->chains[tree->chain_count++] = chain;
    return chain;
}

static int put(struct tree *tree, const struct made_block *block, unsigned flags)
{
    struct stoa_store_block given = simstore_put_of(block);
    given.flags = flags;
    int result = simstore_put(&tree->sim, &given);
    if (result == 0) {
        assert_true(tree->count < BLOCKS_MAX);
        tree->blocks[tree->count++] = block;
        if ((flags & STOA_STORE_SIDE) == 0) {
            tree->head = block;
        }
    }
    return result;
}

static void put_all(struct tree *tree, const struct made_chain *chain, unsigned flags)
{
    uint64_t first = made_chain_first(chain);
    for (uint64_t i = 0; i < made_chain_count(chain); i++) {
        assert_int_equal(put(tree, made_chain_block(chain, first + i), flags), 0);
    }
}

static const struct made_block *last_of(const struct made_chain *chain)
{
    return made_chain_block(chain, made_chain_first(chain) + made_chain_count(chain) - 1);
}

static void hop(struct tree *tree, const struct made_block *block)
{
    int result = simstore_update_head(&tree->sim, block->hash);
    if (result != 0) {
        fail_msg("update head: %s", tree->sim.detail.text);
    }
    tree->head = block;
}

static void assert_bytes(struct stoa_bytes is, const struct buffer *wanted)
{
    assert_int_equal(is.size, wanted->size);
    assert_memory_equal(is.data, wanted->data, wanted->size);
}

static void expect_block(struct tree *tree, const struct made_block *block)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block found;
    bool canonical = is_canonical(tree, block);
    memcpy(key.hash, block->hash, 32);
    assert_int_equal(simstore_get(&tree->sim, &key, &found), 0);
    assert_int_equal(found.height, block->number);
    assert_int_equal(found.canonical, canonical);
    assert_bytes(found.block, &block->block);
    assert_bytes(found.receipts, &block->receipts);
    store_view_release(found.view);
    key = (struct stoa_block_key){.by = STOA_BY_HEIGHT, .height = block->number};
    int result = simstore_get(&tree->sim, &key, &found);
    if (block->number > head_height(tree)) {
        assert_int_equal(result, STOA_ENOTFOUND);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(memcmp(found.hash, block->hash, 32) == 0, canonical);
    assert_true(found.canonical);
    store_view_release(found.view);
}

/* Where a transaction is on the canonical chain. NULL: not there. */
static const struct made_block *place_of(const struct tree *tree, const uint8_t hash[32],
                                         size_t *out_index)
{
    for (const struct made_block *at = tree->head; at != NULL; at = find(tree, at->parent_hash)) {
        for (size_t i = 0; i < at->transaction_count; i++) {
            if (memcmp(at->transactions[i].hash, hash, 32) == 0) {
                *out_index = i;
                return at;
            }
        }
    }
    return NULL;
}

static void expect_transactions(struct tree *tree, const struct made_block *block)
{
    for (size_t i = 0; i < block->transaction_count; i++) {
        struct stoa_transaction found;
        size_t index = 0;
        const uint8_t *hash = block->transactions[i].hash;
        const struct made_block *wanted = place_of(tree, hash, &index);
        int result = simstore_get_transaction(&tree->sim, hash, &found);
        if (wanted == NULL) {
            assert_int_equal(result, STOA_ENOTFOUND);
            continue;
        }
        assert_int_equal(result, 0);
        assert_memory_equal(found.block.hash, wanted->hash, 32);
        assert_int_equal(found.index, index);
        struct bytes receipt = wanted->transactions[index].receipt;
        assert_int_equal(found.receipt.size, receipt.size);
        assert_memory_equal(found.receipt.data, receipt.data, receipt.size);
        store_view_release(found.block.view);
    }
}

static void expect_all(struct tree *tree)
{
    struct stoa_head head;
    store_get_head(tree->sim.store, &head);
    assert_int_equal(head.height, head_height(tree));
    if (tree->head != NULL) {
        assert_memory_equal(head.hash, tree->head->hash, 32);
    }
    for (size_t i = 0; i < tree->count; i++) {
        expect_block(tree, tree->blocks[i]);
        expect_transactions(tree, tree->blocks[i]);
    }
}

static void expect_verified(struct tree *tree)
{
    unsigned damages = 0;
    int result = simstore_verify(&tree->sim, &damages);
    assert_int_equal(damages, 0);
    assert_int_equal(result, 0);
}

static void checkpoint(struct tree *tree)
{
    assert_int_equal(store_checkpoint(tree->sim.store, &tree->sim.detail), 0);
}

static void reopen(struct tree *tree)
{
    assert_int_equal(simstore_close(&tree->sim), 0);
    assert_int_equal(simstore_open(&tree->sim), 0);
}

static void the_head_moves_to_another_branch_and_back(void **state)
{
    (void)state;
    struct tree tree;
    make_tree(&tree, 3, 12);
    put_all(&tree, tree.chains[0], 0);
    const struct made_chain *longer = grow_branch(&tree, 0, 7, 9);
    const struct made_chain *shorter = grow_branch(&tree, 0, 9, 2);
    put_all(&tree, longer, STOA_STORE_SIDE);
    expect_all(&tree);
    put_all(&tree, shorter, STOA_STORE_SIDE);
    const struct made_block *heads[] = {last_of(longer), last_of(tree.chains[0]), last_of(shorter),
                                        last_of(longer), last_of(shorter)};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        hop(&tree, heads[i]);
        expect_all(&tree);
        if (i % 2 == 1) {
            checkpoint(&tree); /* the tables have it now, and nothing is pending */
            expect_all(&tree);
        }
    }
    expect_verified(&tree);
    reopen(&tree);
    expect_all(&tree);
    hop(&tree, heads[0]);
    reopen(&tree);
    expect_all(&tree);
    simstore_close(&tree.sim);
    simstore_lose_tables(&tree.sim); /* all of it comes back from the ledger */
    assert_int_equal(simstore_open(&tree.sim), 0);
    expect_all(&tree);
    expect_verified(&tree);
    drop_tree(&tree);
}

static void the_head_moves_along_its_own_chain(void **state)
{
    (void)state;
    struct tree tree;
    make_tree(&tree, 4, 20);
    const struct made_chain *chain = tree.chains[0];
    for (uint64_t number = 1; number <= 20; number++) {
        assert_int_equal(put(&tree, made_chain_block(chain, number), STOA_STORE_SIDE), 0);
    }
    expect_all(&tree);
    hop(&tree, made_chain_block(chain, 5));
    expect_all(&tree);
    hop(&tree, made_chain_block(chain, 20));
    expect_all(&tree);
    checkpoint(&tree);
    hop(&tree, made_chain_block(chain, 3));
    expect_all(&tree);
    assert_int_equal(simstore_update_head(&tree.sim, made_chain_genesis_hash(chain)), 0);
    tree.head = NULL;
    expect_all(&tree);
    checkpoint(&tree);
    expect_all(&tree);
    expect_verified(&tree);
    hop(&tree, made_chain_block(chain, 20));
    hop(&tree, made_chain_block(chain, 20)); /* nothing to do */
    expect_all(&tree);
    expect_verified(&tree);
    drop_tree(&tree);
}

static void a_canonical_put_changes_the_branch_in_one_step(void **state)
{
    (void)state;
    struct tree tree;
    make_tree(&tree, 5, 10);
    put_all(&tree, tree.chains[0], STOA_STORE_CANONICAL);
    expect_all(&tree);
    const struct made_chain *branch = grow_branch(&tree, 0, 6, 6);
    put_all(&tree, branch, STOA_STORE_CANONICAL); /* the first takes four off, others extend */
    expect_all(&tree);
    const struct made_chain *twig = grow_branch(&tree, tree.chain_count - 1, 9, 2);
    assert_int_equal(put(&tree, made_chain_block(twig, 10), STOA_STORE_SIDE), 0);
    assert_int_equal(put(&tree, made_chain_block(twig, 11), STOA_STORE_CANONICAL), 0);
    expect_all(&tree);
    assert_int_equal(put(&tree, made_chain_block(twig, 11), STOA_STORE_CANONICAL), STOA_EEXISTS);
    expect_verified(&tree);
    reopen(&tree);
    expect_all(&tree);
    drop_tree(&tree);
}

static void refused_changes_change_nothing(void **state)
{
    (void)state;
    struct tree tree;
    uint8_t unknown[32] = {1};
    make_tree(&tree, 6, 12);
    put_all(&tree, tree.chains[0], 0);
    const struct made_chain *branch = grow_branch(&tree, 0, 6, 8);
    const struct made_chain *other = grow_branch(&tree, 0, 8, 8);
    put_all(&tree, branch, STOA_STORE_SIDE);
    put_all(&tree, other, STOA_STORE_SIDE);
    assert_int_equal(simstore_update_head(&tree.sim, unknown), STOA_ENOTFOUND);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, 7), 0);
    assert_int_equal(simstore_update_head(&tree.sim, last_of(branch)->hash), STOA_EREFUSED);
    assert_int_equal(simstore_update_head(&tree.sim, made_chain_block(tree.chains[0], 6)->hash),
                     STOA_EREFUSED);
    expect_all(&tree);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, 6), STOA_EREFUSED);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, 13), STOA_ENOTFOUND);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_SAFE, 10), 0);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_SAFE, 9), STOA_EREFUSED);
    struct stoa_head head;
    store_get_head(tree.sim.store, &head);
    assert_int_equal(head.finalized_height, 7);
    assert_int_equal(head.safe_height, 10);
    hop(&tree, last_of(other)); /* forks off above it; the safe block goes back to the fork */
    expect_all(&tree);
    for (int i = 0; i < 2; i++) {
        store_get_head(tree.sim.store, &head);
        assert_true(head.has_safe && head.has_finalized);
        assert_int_equal(head.finalized_height, 7);
        assert_memory_equal(head.finalized_hash, made_chain_block(tree.chains[0], 7)->hash, 32);
        assert_int_equal(head.safe_height, 8);
        assert_memory_equal(head.safe_hash, made_chain_block(tree.chains[0], 8)->hash, 32);
        reopen(&tree);
        assert_int_equal(simstore_update_head(&tree.sim, last_of(branch)->hash), STOA_EREFUSED);
    }
    struct made_chain *late = made_chain_create_branch(branch, 14, 99, 1);
    struct stoa_store_block given = simstore_put_of(made_chain_block(late, 15));
    given.flags = STOA_STORE_CANONICAL;
    assert_int_equal(simstore_put(&tree.sim, &given), STOA_EREFUSED);
    given.flags = 0;
    assert_int_equal(simstore_put(&tree.sim, &given), STOA_EREFUSED);
    given.flags = STOA_STORE_SIDE; /* it can still be kept */
    assert_int_equal(simstore_put(&tree.sim, &given), 0);
    expect_all(&tree);
    expect_verified(&tree);
    made_chain_destroy(late);
    drop_tree(&tree);
}

static void branches_are_listed_with_their_forks(void **state)
{
    (void)state;
    struct tree tree;
    make_tree(&tree, 8, 12);
    put_all(&tree, tree.chains[0], 0);
    const struct made_chain *branch = grow_branch(&tree, 0, 6, 8);
    const struct made_chain *twig = grow_branch(&tree, 1, 9, 2);
    put_all(&tree, branch, STOA_STORE_SIDE);
    put_all(&tree, twig, STOA_STORE_SIDE);
    for (int i = 0; i < 2; i++) {
        struct stoa_branch found[4];
        size_t count;
        assert_int_equal(store_get_branches(tree.sim.store, found, 4, &count), 0);
        assert_int_equal(count, 3);
        assert_true(found[0].canonical);
        assert_memory_equal(found[0].hash, last_of(tree.chains[0])->hash, 32);
        assert_false(found[1].canonical || found[2].canonical);
        assert_true(memcmp(found[1].total_difficulty, found[2].total_difficulty, 32) >= 0);
        for (int k = 1; k < 3; k++) {
            assert_int_equal(found[k].fork_height, 6);
            assert_memory_equal(found[k].fork_hash, made_chain_block(tree.chains[0], 6)->hash, 32);
        }
        reopen(&tree);
    }
    hop(&tree, last_of(branch));
    struct stoa_branch found[1];
    size_t count;
    assert_int_equal(store_get_branches(tree.sim.store, found, 1, &count), 0);
    assert_int_equal(count, 3); /* the old head is one now */
    assert_memory_equal(found[0].hash, last_of(branch)->hash, 32);
    drop_tree(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_moves_to_another_branch_and_back),
        cmocka_unit_test(the_head_moves_along_its_own_chain),
        cmocka_unit_test(a_canonical_put_changes_the_branch_in_one_step),
        cmocka_unit_test(refused_changes_change_nothing),
        cmocka_unit_test(branches_are_listed_with_their_forks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
