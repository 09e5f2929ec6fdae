/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches of blocks of several branches, changes of head and of raw state, and power cuts at every
 * I/O of them: afterwards all of the batch under way is there, in every lookup, or nothing of it.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum { BLOCKS = 8, FORK = 3, LONGER = 7, STEPS = 7, CUTS_MAX = 600, SEEDS_SHORT = 1 };

struct trial {
    struct simtree tree;
    uint64_t random;
    bool under_way;
    struct simtree_batch batch; /* under way */
};

static bool is_stored(struct trial *trial, const struct simtree_block *block)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block found;
    memcpy(key.hash, block->hash, 32);
    int result = simstore_get(&trial->tree.sim, &key, &found);
    if (result == 0) {
        store_view_release(found.view);
    } else {
        assert_int_equal(result, STOA_ENOTFOUND);
    }
    return result == 0;
}

static bool update_was_made(struct trial *trial)
{
    const struct simtree_update *update = &trial->batch.update;
    struct simtree_changes changes;
    struct bytes value;
    simtree_changes_of(update, &changes);
    if (simstore_get_state(&trial->tree.sim, changes.keys[update->count - 1], &value) != 0) {
        return false;
    }
    bool made = value.size == 32 && memcmp(value.data, update->values[update->count - 1], 32) == 0;
    memory_free((void *)(uintptr_t)value.data);
    return made;
}

/* Of the batch that power was cut in: did it happen? All its blocks are there, or none. */
static void find_out(struct trial *trial)
{
    const struct simtree_batch *batch = &trial->batch;
    struct stoa_head head;
    store_get_head(trial->tree.sim.store, &head);
    bool made = batch->count != 0   ? is_stored(trial, batch->blocks[0])
                : batch->has_update ? update_was_made(trial)
                                    : memcmp(head.hash, batch->head->hash, 32) == 0;
    for (size_t i = 0; i < batch->count; i++) {
        assert_int_equal(is_stored(trial, batch->blocks[i]), made);
    }
    if (made) {
        simtree_note_batch(&trial->tree, batch);
    }
}

static void store_batch(struct trial *trial)
{
    struct simtree *tree = &trial->tree;
    simtree_make_batch(tree, &trial->random, &trial->batch);
    trial->under_way = true;
    int result = simtree_ask_batch(tree, &trial->batch);
    if (result == 0) {
        simtree_note_batch(tree, &trial->batch);
        trial->under_way = false;
    } else if (!io_sim_is_cut(tree->sim.io)) {
        fail_msg("batch of %zu blocks: %s", trial->batch.count, tree->sim.detail.text);
    }
}

/* False: power is gone. */
static bool work(struct trial *trial)
{
    struct simstore *sim = &trial->tree.sim;
    if (simstore_open(sim) != 0 || io_sim_is_cut(sim->io)) {
        return false;
    }
    for (unsigned i = 0; i < STEPS; i++) {
        store_batch(trial);
        if (!io_sim_is_cut(sim->io) && fixture_random_below(&trial->random, 4) == 0) {
            (void)store_checkpoint(sim->store, &sim->detail); /* may be cut short */
        }
        if (io_sim_is_cut(sim->io)) {
            return false;
        }
    }
    (void)simstore_close(sim); /* may be cut short */
    return !io_sim_is_cut(sim->io);
}

/* False: the cut came too late for anything. */
static bool run(void *context, uint64_t seed, uint64_t cut_at)
{
    struct made_chain *const *chains = context;
    struct trial trial = {.random = seed};
    struct simtree *tree = &trial.tree;
    struct io_sim_options options = {
        .seed = seed + cut_at, .delay_ns_max = 1000000, .torn = true, .cut_at = cut_at};
    simtree_init(tree, seed, chains[0]);
    tree->accounts = made_chain_genesis_json(chains[0]);
    simtree_add_chains(tree, chains, 2);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_unpower(&tree->sim);
    simstore_power(&tree->sim, &options);
    bool whole = work(&trial);
    simstore_restart(&tree->sim, &options, whole, seed + 7 * cut_at);
    if (trial.under_way) {
        find_out(&trial);
    }
    simtree_expect(tree);
    simtree_expect_verified(tree);
    store_batch(&trial); /* it goes on */
    assert_int_equal(simstore_close(&tree->sim), 0);
    if (cut_at % 2 == 0) {
        simstore_lose_tables(&tree->sim);
    }
    assert_int_equal(simstore_open(&tree->sim), 0);
    simtree_expect(tree);
    simtree_expect_verified(tree);
    simtree_deinit(tree);
    return !whole;
}

static void a_batch_is_whole_or_not_there_whenever_power_is_cut(void **state)
{
    (void)state;
    uint64_t count = simstore_seeds(SEEDS_SHORT);
    uint64_t first = fixture_seed();
    struct made_chain *chain = made_chain_create(51, BLOCKS);
    struct made_chain *chains[2] = {chain, made_chain_create_rival(chain, FORK, 52, LONGER)};
    /* A change of branch that met the cache of the tries being told of a batch. */
    (void)run(chains, 1796008952943358771U, 119);
    for (uint64_t i = 0; i < count; i++) {
        simstore_cut_everywhere(first + i, 1, CUTS_MAX, run, chains);
    }
    made_chain_destroy(chains[1]);
    made_chain_destroy(chain);
}

/* Without a cut: many batches, everything asked after each. */
static void every_batch_is_as_brute_force(void **state)
{
    (void)state;
    enum { BATCHES = 60 };
    struct trial trial = {.random = fixture_seed()};
    struct simtree *tree = &trial.tree;
    struct made_chain *chain = made_chain_create(53, 30);
    struct made_chain *chains[4] = {chain, made_chain_create_rival(chain, 4, 54, 24),
                                    made_chain_create_rival(chain, 11, 55, 12), NULL};
    chains[3] = made_chain_create_rival(chains[1], 9, 56, 20);
    simtree_init(tree, 1, chain);
    tree->accounts = made_chain_genesis_json(chain);
    simtree_add_chains(tree, chains, 4);
    for (unsigned i = 0; i < BATCHES; i++) {
        store_batch(&trial);
        uint64_t dice = fixture_random_below(&trial.random, 6);
        if (dice == 0) {
            simtree_checkpoint(tree);
        } else if (dice == 1) {
            simtree_reopen(tree);
        }
        simtree_expect(tree);
    }
    simtree_expect_verified(tree);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_lose_tables(&tree->sim);
    assert_int_equal(simstore_open(&tree->sim), 0);
    simtree_expect(tree);
    simtree_expect_verified(tree);
    simtree_deinit(tree);
    for (unsigned i = 0; i < 4; i++) {
        made_chain_destroy(chains[i]);
    }
}

/* ---- more than one group of the ledger ---- */

enum { BIG_BLOCKS = 4, BIG_SIZE = 3 << 20, SEGMENT_SIZE = 8 << 20 };

static int store_big(struct simstore *sim, const struct made_chain *chain, const uint8_t *bytes)
{
    struct stoa_store_block blocks[BIG_BLOCKS];
    struct stoa_change changes[BIG_BLOCKS];
    struct store_batch batch = {.blocks = blocks, .block_count = BIG_BLOCKS};
    for (unsigned i = 0; i < BIG_BLOCKS; i++) {
        blocks[i] = simstore_put_of(made_chain_block(chain, 1 + i));
        changes[i] = (struct stoa_change){.key = {(const uint8_t *)"big", 3},
                                          .value = {bytes + i, BIG_SIZE}};
        blocks[i].changes = &changes[i];
        blocks[i].change_count = 1;
    }
    return simstore_batch(sim, &batch, NULL, 0);
}

static void expect_all_or_none(struct simstore *sim, const struct made_chain *chain,
                               const uint8_t *bytes, bool all)
{
    struct stoa_head head;
    struct bytes value = bytes_of(NULL, 0);
    store_get_head(sim->store, &head);
    bool is_there = head.height == BIG_BLOCKS;
    assert_true(is_there || (head.height == 0 && !all));
    for (unsigned i = 0; i < BIG_BLOCKS; i++) {
        struct stoa_block_key key = {.by = STOA_BY_HASH};
        struct stoa_block found;
        memcpy(key.hash, made_chain_block(chain, 1 + i)->hash, 32);
        int result = simstore_get(sim, &key, &found);
        assert_int_equal(result, is_there ? 0 : STOA_ENOTFOUND);
        if (is_there) {
            store_view_release(found.view);
        }
    }
    assert_int_equal(simstore_get_state(sim, "big", &value), is_there ? 0 : STOA_ENOTFOUND);
    if (is_there) {
        simstore_expect(sim, chain, 1, BIG_BLOCKS);
        assert_int_equal(value.size, BIG_SIZE);
        assert_memory_equal(value.data, bytes + BIG_BLOCKS - 1, BIG_SIZE);
        memory_free((void *)(uintptr_t)value.data);
    }
}

/* False: the cut came too late for anything. */
static bool run_big(uint64_t seed, const struct made_chain *chain, const uint8_t *bytes,
                    uint64_t cut_at, unsigned *dropped)
{
    struct simstore sim;
    struct io_sim_options options = {.seed = seed, .delay_ns_max = 1000000};
    simstore_init(&sim, seed);
    sim.segment_size = SEGMENT_SIZE;
    simstore_power(&sim, &options);
    assert_int_equal(simstore_create(&sim, chain), 0);
    simstore_unpower(&sim);
    options = (struct io_sim_options){
        .seed = seed + cut_at, .delay_ns_max = 1000000, .torn = true, .cut_at = cut_at};
    simstore_power(&sim, &options);
    bool whole = simstore_open(&sim) == 0 && !io_sim_is_cut(sim.io);
    bool acknowledged = whole && store_big(&sim, chain, bytes) == 0;
    if (whole && !io_sim_is_cut(sim.io)) {
        (void)simstore_close(&sim); /* may be cut short */
    }
    whole = whole && !io_sim_is_cut(sim.io);
    simstore_restart(&sim, &options, whole, seed + 7 * cut_at);
    expect_all_or_none(&sim, chain, bytes, acknowledged);
    struct stoa_head head;
    store_get_head(sim.store, &head);
    struct stoa_stats stats = {.size = sizeof(stats)};
    store_get_stats(sim.store, &stats);
    *dropped += head.height == 0 && stats.ledger_sequence > 3; /* some of it is in the ledger */
    if (head.height == 0) {
        assert_int_equal(store_big(&sim, chain, bytes), 0); /* once more */
    }
    assert_int_equal(simstore_verify(&sim, NULL), 0);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_lose_tables(&sim);
    assert_int_equal(simstore_open(&sim), 0);
    expect_all_or_none(&sim, chain, bytes, true);
    assert_int_equal(simstore_verify(&sim, NULL), 0);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_deinit(&sim);
    return !whole;
}

/* Its first groups may be durable without the last: they count for nothing. */
static void a_batch_of_several_groups_is_whole_or_not_there(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(57, BIG_BLOCKS);
    uint8_t *bytes = malloc(BIG_SIZE + BIG_BLOCKS);
    uint64_t random = fixture_seed();
    unsigned dropped = 0;
    assert_non_null(bytes);
    for (size_t i = 0; i < BIG_SIZE + BIG_BLOCKS; i++) {
        bytes[i] = (uint8_t)fixture_random(&random);
    }
    uint64_t cut_at = 1;
    while (run_big(1 + cut_at, chain, bytes, cut_at, &dropped)) {
        cut_at++;
        assert_true(cut_at < CUTS_MAX);
    }
    print_message("%llu cuts, %u with a part of it in the ledger\n", (unsigned long long)cut_at - 1,
                  dropped);
    assert_true(dropped != 0);
    free(bytes);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_is_as_brute_force),
        cmocka_unit_test(a_batch_is_whole_or_not_there_whenever_power_is_cut),
        cmocka_unit_test(a_batch_of_several_groups_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
