/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A damaged frame among those that move the head: replay without tables loses nothing but what that
 * frame alone says, and takes no branch for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/store_private.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum { BLOCKS = 9, FORK = 4, LONGER = 8, LATER = 2 };

struct fixture {
    struct simtree tree;
    struct made_chain *chain;
    struct made_chain *branch;
    struct simtree_block *own[BLOCKS];
    struct simtree_block *rival[LONGER];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->chain = made_chain_create(61, BLOCKS);
    fixture->branch = made_chain_create_rival(fixture->chain, FORK, 62, LONGER);
    simtree_init(&fixture->tree, 61, fixture->chain);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        fixture->own[i] = simtree_add_made(&fixture->tree, made_chain_block(fixture->chain, 1 + i));
    }
    for (uint64_t i = 0; i < LONGER; i++) {
        fixture->rival[i] =
            simtree_add_made(&fixture->tree, made_chain_block(fixture->branch, FORK + 1 + i));
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    simtree_deinit(&fixture->tree);
    made_chain_destroy(fixture->branch);
    made_chain_destroy(fixture->chain);
    free(fixture);
    return 0;
}

static void put(struct fixture *fixture, struct simtree_block **blocks, unsigned first,
                unsigned last, unsigned flags)
{
    for (unsigned i = first; i <= last; i++) {
        int result = simtree_put(&fixture->tree, blocks[i], flags);
        if (result != 0) {
            fail_msg("block %u: %s", i, fixture->tree.sim.detail.text);
        }
    }
}

/* Where the newest frame that the tables are to know lies. */
static struct ledger_position newest(const struct fixture *fixture)
{
    const struct store *store = fixture->tree.sim.store;
    return pending_block_count(store->open) == 0 ? store->applied.position
                                                 : store->open_applied.position;
}

static struct ledger_position place_of(struct fixture *fixture, const struct simtree_block *block,
                                       bool state)
{
    const struct pending_block *found =
        store_find_pending_hash(fixture->tree.sim.store, block->hash);
    assert_non_null(found);
    return state ? found->state_position : found->position;
}

/* Closed, damaged at OFFSET of the frame, and opened with nothing but the ledger. */
static void damage_at(struct fixture *fixture, const struct ledger_position *position,
                      uint64_t offset)
{
    struct simstore *sim = &fixture->tree.sim;
    char path[64];
    snprintf(path, sizeof(path), "/store/ledger/%08u.seg", position->segment);
    assert_int_equal(simstore_close(sim), 0);
    assert_int_equal(io_disk_flip(sim->disk, path, position->offset + offset, 2), 0);
    simstore_lose_tables(sim);
    int result = simstore_open(sim);
    if (result != 0) {
        fail_msg("open: %s", sim->detail.text);
    }
    assert_int_equal(sim->store->recovery.damaged_frames, 1);
}

static void damage(struct fixture *fixture, const struct ledger_position *position)
{
    damage_at(fixture, position, position->size - 9);
}

static void expect_head(struct fixture *fixture, const struct simtree_block *block)
{
    struct stoa_head head;
    store_get_head(fixture->tree.sim.store, &head);
    assert_int_equal(head.height, block->number);
    assert_memory_equal(head.hash, block->hash, 32);
}

/* It is damaged, and said to be; not absent. */
static void expect_damaged(struct fixture *fixture, const struct simtree_block *block)
{
    struct stoa_block_key keys[] = {{.by = STOA_BY_HASH},
                                    {.by = STOA_BY_HEIGHT, .height = block->number}};
    struct stoa_block found;
    memcpy(keys[0].hash, block->hash, 32);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(simstore_get(&fixture->tree.sim, &keys[i], &found), STOA_ECORRUPT);
    }
}

static void expect_sound(struct fixture *fixture, const struct simtree_block *block)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = block->number};
    struct stoa_block found;
    assert_int_equal(simstore_get(&fixture->tree.sim, &key, &found), 0);
    assert_memory_equal(found.hash, block->hash, 32);
    store_view_release(found.view);
    for (size_t i = 0; i < block->transaction_count; i++) {
        struct stoa_transaction transaction;
        assert_int_equal(
            simstore_get_transaction(&fixture->tree.sim, block->transactions[i].hash, &transaction),
            0);
        assert_int_equal(transaction.block.height, block->number);
        store_view_release(transaction.block.view);
    }
}

static void a_damaged_change_of_branch_is_told_by_the_next_block(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    put(fixture, fixture->rival, 0, LONGER - 1 - LATER, STOA_STORE_SIDE);
    simtree_hop(&fixture->tree, fixture->rival[LONGER - 1 - LATER]);
    struct ledger_position record = newest(fixture);
    put(fixture, fixture->rival, LONGER - LATER, LONGER - 1, 0);
    damage(fixture, &record);
    simtree_expect(&fixture->tree);
}

static void a_damaged_way_back_is_told_by_the_next_block(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    simtree_hop(&fixture->tree, fixture->own[FORK - 1]);
    struct ledger_position record = newest(fixture);
    put(fixture, fixture->rival, 0, LONGER - 1, 0);
    damage(fixture, &record);
    simtree_expect(&fixture->tree);
}

static void a_damaged_change_of_branch_that_nothing_follows_has_not_happened(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    put(fixture, fixture->rival, 0, LONGER - 1, STOA_STORE_SIDE);
    struct simtree_block *before = fixture->tree.head;
    simtree_hop(&fixture->tree, fixture->rival[LONGER - 1]);
    struct ledger_position record = newest(fixture);
    damage(fixture, &record);
    simtree_set_head(&fixture->tree, before);
    simtree_expect(&fixture->tree);
    simtree_hop(&fixture->tree, fixture->rival[LONGER - 1]); /* it can be said again */
    simtree_expect(&fixture->tree);
}

static void a_change_of_branch_with_a_damaged_header_is_told_by_the_next_block(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    put(fixture, fixture->rival, 0, LONGER - 1 - LATER, STOA_STORE_SIDE);
    simtree_hop(&fixture->tree, fixture->rival[LONGER - 1 - LATER]);
    struct ledger_position record = newest(fixture);
    put(fixture, fixture->rival, LONGER - LATER, LONGER - 1, 0);
    damage_at(fixture, &record, 20);
    simtree_expect(&fixture->tree);
}

/* The rival blocks and the head in one batch. */
static void store_rival(struct fixture *fixture)
{
    struct simtree_batch batch = {.count = LONGER - LATER,
                                  .head = fixture->rival[LONGER - 1 - LATER]};
    for (unsigned i = 0; i < batch.count; i++) {
        batch.blocks[i] = fixture->rival[i];
        batch.flags[i] = STOA_STORE_SIDE;
    }
    assert_int_equal(simtree_ask_batch(&fixture->tree, &batch), 0);
    simtree_note_batch(&fixture->tree, &batch);
}

static void a_damaged_end_of_a_batch_is_told_by_the_next_block(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    store_rival(fixture);
    struct ledger_position record = newest(fixture);
    put(fixture, fixture->rival, LONGER - LATER, LONGER - 1, 0);
    damage(fixture, &record);
    simtree_expect(&fixture->tree);
}

static void an_end_of_a_batch_with_a_damaged_header_is_told_by_the_next_block(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    store_rival(fixture);
    struct ledger_position record = newest(fixture);
    put(fixture, fixture->rival, LONGER - LATER, LONGER - 1, 0);
    damage_at(fixture, &record, 20);
    simtree_expect(&fixture->tree);
}

static void a_damaged_block_of_a_batch_costs_no_other(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    store_rival(fixture);
    unsigned which = (unsigned)(fixture_seed() % (LONGER - LATER));
    struct ledger_position frame = place_of(fixture, fixture->rival[which], false);
    put(fixture, fixture->rival, LONGER - LATER, LONGER - 1, 0);
    damage(fixture, &frame);
    expect_head(fixture, fixture->rival[LONGER - 1]);
    for (unsigned i = 0; i < LONGER; i++) {
        if (i == which) {
            expect_damaged(fixture, fixture->rival[i]);
        } else {
            expect_sound(fixture, fixture->rival[i]);
        }
    }
}

static void damaged_changes_of_a_block_of_a_batch_cost_no_block(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->own, 0, BLOCKS - 1, 0);
    store_rival(fixture);
    struct ledger_position frame = {.sequence = 0};
    for (unsigned i = 0; frame.sequence == 0 && i < LONGER - LATER; i++) {
        frame = place_of(fixture, fixture->rival[i], true);
    }
    assert_true(frame.sequence != 0);
    put(fixture, fixture->rival, LONGER - LATER, LONGER - 1, 0);
    damage(fixture, &frame);
    expect_head(fixture, fixture->rival[LONGER - 1]);
    for (unsigned i = 0; i < LONGER; i++) {
        expect_sound(fixture, fixture->rival[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_damaged_change_of_branch_is_told_by_the_next_block,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_change_of_branch_with_a_damaged_header_is_told_by_the_next_block, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            an_end_of_a_batch_with_a_damaged_header_is_told_by_the_next_block, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_way_back_is_told_by_the_next_block, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_damaged_change_of_branch_that_nothing_follows_has_not_happened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_end_of_a_batch_is_told_by_the_next_block, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_block_of_a_batch_costs_no_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damaged_changes_of_a_block_of_a_batch_cost_no_block, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
