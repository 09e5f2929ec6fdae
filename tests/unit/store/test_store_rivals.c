/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real data with competing branches: blocks in the order they arrive, the head always the
 * heaviest; after every step all lookups are as brute force over the winning branch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/chain_data.h"
#include "support/fixture.h"
#include "support/simtree.h"

/* How the head is moved. */
enum style { BY_UPDATE, BY_CANONICAL_PUT, STYLES };

struct feeding {
    struct simtree tree;
    enum style style;
    bool open;
    uint8_t last_hash[32]; /* the head when all have come */
    unsigned tests;
    unsigned switches; /* changes of head that took blocks off the chain */
    unsigned steps;
};

static bool extends(const struct feeding *feeding, const struct simtree_block *block)
{
    return block->parent == feeding->tree.head;
}

static bool is_heavier(const struct feeding *feeding, const struct simtree_block *block)
{
    return memcmp(block->total_difficulty, feeding->tree.head->total_difficulty, 32) > 0;
}

/* A block arrives: it becomes the head where it is the heaviest. */
static void arrive(struct feeding *feeding, struct bytes encoding, struct bytes receipts)
{
    struct simtree *tree = &feeding->tree;
    struct simtree_block *block = simtree_add(tree, encoding, receipts);
    int result;
    if (tree->head == NULL) {
        result = simtree_put(tree, block, 0);
    } else if (is_heavier(feeding, block)) {
        feeding->switches += !extends(feeding, block);
        if (feeding->style == BY_CANONICAL_PUT) {
            result = simtree_put(tree, block, STOA_STORE_CANONICAL);
        } else {
            result = simtree_put(tree, block, STOA_STORE_SIDE);
            if (result == 0) {
                simtree_hop(tree, block);
            }
        }
    } else {
        result = simtree_put(tree, block, STOA_STORE_SIDE);
    }
    if (result != 0) {
        fail_msg("block %llu: %s", (unsigned long long)block->number, tree->sim.detail.text);
    }
    feeding->steps++;
    if (feeding->steps % 3 == 0) {
        simtree_checkpoint(tree);
    }
    simtree_expect(tree);
}

static void end_test(struct feeding *feeding)
{
    if (!feeding->open) {
        return;
    }
    struct simtree *tree = &feeding->tree;
    assert_memory_equal(tree->head->hash, feeding->last_hash, 32);
    simtree_expect_verified(tree);
    simtree_reopen(tree);
    simtree_expect(tree);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_lose_tables(&tree->sim);
    assert_int_equal(simstore_open(&tree->sim), 0);
    simtree_expect(tree);
    simtree_deinit(tree);
    feeding->open = false;
    feeding->tests++;
}

static void feed(const struct chain_data_block *block, void *context)
{
    struct feeding *feeding = context;
    if (json_object_get(block->line, "genesisRLP") != NULL) {
        end_test(feeding);
        simtree_init(&feeding->tree, 1 + feeding->tests, NULL);
        chain_data_hex_fixed(block->line, "lastblockhash", feeding->last_hash, 32);
        feeding->open = true;
    }
    arrive(feeding, block->encoding, block->receipts);
}

static void the_heaviest_branch_of_real_tests_wins_at_every_step(void **state)
{
    (void)state;
    for (enum style style = 0; style < STYLES; style++) {
        struct feeding feeding = {.style = style};
        if (chain_data_for_each_rival(feed, &feeding) == 0) {
            return;
        }
        end_test(&feeding);
        assert_int_equal(feeding.tests, 21);
        assert_true(feeding.switches >= 21);
    }
}

static bool has(const struct simtree *tree, struct bytes block)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (bytes_equal(tree->blocks[i]->block, block)) {
            return true;
        }
    }
    return false;
}

/* The fork chain: both continuations of the common blocks, by turns the head. */
static void feed_file(struct simtree *tree, const char *name, unsigned flags,
                      struct simtree_block **out_last)
{
    struct buffer file;
    assert_true(fixture_load_data(name, &file));
    struct bytes cursor = buffer_bytes(&file);
    struct bytes item;
    while (chain_data_next_item(&cursor, &item)) {
        if (has(tree, item)) {
            continue; /* each continuation has the common blocks as well */
        }
        *out_last = simtree_add(tree, item, bytes_of(NULL, 0));
        if (simtree_put(tree, *out_last, flags) != 0) {
            fail_msg("%s: %llu: %s", name, (unsigned long long)(*out_last)->number,
                     tree->sim.detail.text);
        }
        simtree_expect(tree);
    }
    buffer_deinit(&file);
}

static void the_fork_chain_goes_both_ways(void **state)
{
    (void)state;
    struct buffer file;
    if (!fixture_load_data("reorg/fork-chain/common.blocks", &file)) {
        return;
    }
    buffer_deinit(&file);
    struct simtree tree;
    struct simtree_block *common = NULL;
    struct simtree_block *outdated = NULL;
    struct simtree_block *upgraded = NULL;
    simtree_init(&tree, 5, NULL); /* the genesis is the first of the common blocks */
    feed_file(&tree, "reorg/fork-chain/common.blocks", 0, &common);
    feed_file(&tree, "reorg/fork-chain/fork-outdated.blocks", 0, &outdated);
    feed_file(&tree, "reorg/fork-chain/fork-upgraded.blocks", STOA_STORE_SIDE, &upgraded);
    assert_int_equal(common->number, 6);
    assert_ptr_equal(upgraded->parent->parent->parent->parent, common);
    for (int i = 0; i < 4; i++) {
        simtree_hop(&tree, i % 2 == 0 ? upgraded : outdated);
        simtree_expect(&tree);
        if (i == 1) {
            simtree_checkpoint(&tree);
        }
    }
    simtree_expect_verified(&tree);
    simtree_deinit(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heaviest_branch_of_real_tests_wins_at_every_step),
        cmocka_unit_test(the_fork_chain_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
