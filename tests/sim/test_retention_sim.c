/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store that keeps a part of its history, through changes of branch and power cuts: what it keeps
 * is what brute force over the winning branch says, what it does not keep is refused, and so is a
 * change of branch that would need it.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/store_private.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum {
    BLOCKS = 170,
    FORK = 80,
    LONGER = 100,
    MORE = 40,
    DEPTH = 64,
    SEEDS_SHORT = 3,
    CUTS_MAX = 60
};

struct trial {
    struct simtree tree;
    const struct made_chain *chain;
    const struct made_chain *branch;
    uint64_t random;
    unsigned cuts;
};

static void power(struct trial *trial)
{
    struct io_sim_options options = {
        .seed = trial->random,
        .delay_ns_max = 1000000,
        .torn = true,
        .cut_at = trial->cuts < CUTS_MAX ? 1 + fixture_random_below(&trial->random, 600) : 0,
    };
    simstore_power(&trial->tree.sim, &options);
    while (simstore_open(&trial->tree.sim) != 0) { /* power is cut while it opens */
        assert_true(io_sim_is_cut(trial->tree.sim.io));
        simstore_cut(&trial->tree.sim, fixture_random(&trial->random), true);
        options.cut_at += options.cut_at == 0 ? 0 : 50;
        simstore_power(&trial->tree.sim, &options);
    }
}

/* Whether power was cut: then it is on again, and the model knows what the head is. */
static bool mend(struct trial *trial)
{
    struct simtree *tree = &trial->tree;
    if (!io_sim_is_cut(tree->sim.io)) {
        return false;
    }
    simstore_cut(&tree->sim, fixture_random(&trial->random), true);
    trial->cuts++;
    power(trial);
    struct stoa_head head;
    store_get_head(tree->sim.store, &head);
    struct simtree_block *block = simtree_find(tree, head.hash);
    assert_true(block != NULL || head.height == 0);
    if (block != NULL) {
        block->stored = true;
    }
    simtree_set_head(tree, block);
    return true;
}

static struct simtree_block *block_of(struct trial *trial, const struct made_chain *chain,
                                      uint64_t number)
{
    const struct made_block *made = made_chain_block(chain, number);
    struct simtree_block *block = simtree_find(&trial->tree, made->hash);
    return block != NULL ? block : simtree_add_made(&trial->tree, made);
}

/* What has come goes into the tables, and they are made durable; power may be cut. Of the tries all
 * goes with a checkpoint that is asked for, else only what the cache has too much of. */
static void apply(struct trial *trial)
{
    struct store *store = trial->tree.sim.store;
    if (fixture_random_below(&trial->random, 3) == 0) {
        (void)store_checkpoint(store, NULL);
        return;
    }
    store_apply_freeze(store);
    store_apply_wait_idle(store);
    if (store->apply_failed == 0 && !io_sim_is_cut(trial->tree.sim.io)) {
        store_apply_start_checkpoint(store);
        store_apply_wait_idle(store);
    }
}

/* Blocks FIRST to LAST of CHAIN, which are applied a few at a time. */
static void store_blocks(struct trial *trial, const struct made_chain *chain, uint64_t first,
                         uint64_t last, unsigned flags)
{
    for (uint64_t number = first; number <= last; number++) {
        struct simtree_block *block = block_of(trial, chain, number);
        int result;
        do {
            result = simtree_put(&trial->tree, block, flags);
            bool canonical = (flags & STOA_STORE_SIDE) == 0;
            if (result == STOA_EEXISTS) { /* power was cut before it was acknowledged */
                block->stored = true;
                break;
            }
            if (result == 0 && fixture_random_below(&trial->random, 3) == 0) {
                apply(trial);
            }
            if (mend(trial) && canonical && trial->tree.head != NULL &&
                trial->tree.head->number < number) {
                result = -1;
                number = trial->tree.head->number + 1;
                block = block_of(trial, chain, number);
            }
        } while (result != 0);
    }
}

/* From now on power stays. */
static void calm(struct trial *trial)
{
    struct simstore *sim = &trial->tree.sim;
    trial->cuts = CUTS_MAX;
    (void)simstore_close(sim); /* power may be cut */
    if (io_sim_is_cut(sim->io)) {
        simstore_cut(sim, fixture_random(&trial->random), true);
    } else {
        simstore_unpower(sim);
    }
    power(trial);
}

static void check_all(struct trial *trial)
{
    simtree_reopen(&trial->tree);
    simtree_expect(&trial->tree);
    simtree_expect_verified(&trial->tree);
}

static void run(uint64_t seed, const struct made_chain *chain, const struct made_chain *branch)
{
    struct trial trial = {.chain = chain, .branch = branch, .random = seed * 77 + 5};
    struct simtree *tree = &trial.tree;
    simtree_init(tree, seed, chain);
    tree->accounts = made_chain_genesis_json(chain);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_unpower(&tree->sim);
    tree->sim.history_blocks = DEPTH;
    tree->sim.trie_history_blocks = DEPTH + 20;
    /* So small that records of the tries come to the tables all the time, but not the newest; or so
     * large that they come with checkpoints only. */
    tree->sim.trie_cache_size = seed % 3 == 0 ? 0 : UINT64_C(8192) << seed % 3;
    power(&trial);
    store_blocks(&trial, chain, 1, FORK + 50, 0);
    store_blocks(&trial, branch, FORK + 1, FORK + LONGER, STOA_STORE_SIDE);
    struct simtree_block *before = tree->head;
    struct simtree_block *after = block_of(&trial, branch, FORK + LONGER);
    do { /* until it was done with power on */
        (void)simstore_update_head(&tree->sim, after->hash);
    } while (mend(&trial) && tree->head == before);
    simtree_set_head(tree, after);
    store_blocks(&trial, branch, FORK + LONGER + 1, FORK + LONGER + MORE, 0);
    calm(&trial);
    simtree_expect(tree);
    struct simtree_block *deep = block_of(&trial, chain, FORK + 50); /* forks off at FORK */
    assert_int_equal(simstore_update_head(&tree->sim, deep->hash), STOA_EREFUSED);
    check_all(&trial);
    struct stoa_stats stats;
    store_get_stats(tree->sim.store, &stats);
    assert_true(stats.history_from >= FORK + LONGER + MORE - DEPTH);
    assert_int_equal(stats.state_heights, FORK + LONGER + MORE + 1);
    struct index_floors floors; /* of what was really dropped */
    index_get_floors(tree->sim.store->index, &floors);
    assert_true(floors.values > FORK && floors.values <= stats.history_from);
    assert_true(floors.tries > FORK && floors.tries <= stats.trie_history_from);
    simtree_deinit(tree);
}

static void what_is_kept_of_history_is_right_whenever_power_is_cut(void **state)
{
    (void)state;
    uint64_t count = simstore_seeds(SEEDS_SHORT);
    uint64_t first = fixture_seed();
    struct made_chain *chain = made_chain_create(31, BLOCKS);
    struct made_chain *branch = made_chain_create_branch(chain, FORK, 32, LONGER + MORE);
    for (uint64_t i = 0; i < count; i++) {
        print_message("seed %llu\n", (unsigned long long)(first + i));
        run(first + i, chain, branch);
    }
    made_chain_destroy(branch);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_of_history_is_right_whenever_power_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
