/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Power is cut at every I/O (under a sanitizer, at some) of a change of branch, until its effects
 * are in the tables and the store is closed: afterwards the old or the new branch is there, whole,
 * in every lookup; and the new one where it was acknowledged.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/simtree.h"

enum { BLOCKS = 10, FORK = 6, LONGER = 7, CUTS_MAX = 400, SEEDS_SHORT = 1 };

/* By what the branch changes. */
enum way { BY_UPDATE, BY_CANONICAL_PUT, WAYS };

struct trial {
    struct simtree tree;
    struct simtree_block *before;
    struct simtree_block *after;
    struct simtree_block *last; /* of the new branch as stored */
    bool acknowledged;
};

static struct simtree_block *store_all(struct simtree *tree, const struct made_chain *chain,
                                       uint64_t leave, unsigned flags)
{
    struct simtree_block *block = NULL;
    for (uint64_t i = 0; i + leave < made_chain_count(chain); i++) {
        block = simtree_add_made(tree, made_chain_block(chain, made_chain_first(chain) + i));
        assert_int_equal(simtree_put(tree, block, flags), 0);
    }
    return block;
}

/* The change, and all that follows from it. False: power is gone. */
static bool change(struct trial *trial, enum way way)
{
    struct simtree *tree = &trial->tree;
    struct simstore *sim = &tree->sim;
    if (simstore_open(sim) != 0 || io_sim_is_cut(sim->io)) {
        return false;
    }
    struct simtree_changes changes;
    struct stoa_store_block given = simtree_put_of(tree, trial->after, &changes);
    given.flags |= STOA_STORE_CANONICAL;
    int result = way == BY_UPDATE ? simstore_update_head(sim, trial->after->hash)
                                  : simstore_put(sim, &given);
    trial->acknowledged = result == 0;
    if (io_sim_is_cut(sim->io)) {
        return false;
    }
    assert_int_equal(result, 0);
    (void)store_checkpoint(sim->store, NULL); /* may be cut short */
    if (io_sim_is_cut(sim->io)) {
        return false;
    }
    (void)simstore_close(sim); /* likewise */
    return !io_sim_is_cut(sim->io);
}

static void expect_one_branch(struct trial *trial, enum way way)
{
    struct simtree *tree = &trial->tree;
    struct stoa_head head;
    store_get_head(tree->sim.store, &head);
    bool changed = memcmp(head.hash, trial->after->hash, 32) == 0;
    assert_true(changed || !trial->acknowledged);
    assert_true(changed || memcmp(head.hash, trial->before->hash, 32) == 0);
    if (way == BY_CANONICAL_PUT && !changed) {
        struct stoa_block found;
        struct stoa_block_key key = {.by = STOA_BY_HASH};
        memcpy(key.hash, trial->after->hash, 32);
        int result = simstore_get(&tree->sim, &key, &found);
        trial->after->stored = result == 0; /* on its way it may have become a side block */
        if (result == 0) {
            store_view_release(found.view);
        }
    } else {
        trial->after->stored = true;
    }
    simtree_set_head(tree, changed ? trial->after : trial->before);
    simtree_expect(tree);
}

struct plan {
    const struct made_chain *chain;
    const struct made_chain *branch;
    enum way way;
};

/* False: the cut came too late for anything. */
static bool run(void *context, uint64_t seed, uint64_t cut_at)
{
    const struct plan *plan = context;
    const struct made_chain *chain = plan->chain;
    const struct made_chain *branch = plan->branch;
    enum way way = plan->way;
    struct trial trial = {.acknowledged = false};
    struct simtree *tree = &trial.tree;
    struct io_sim_options options = {
        .seed = seed + cut_at, .delay_ns_max = 1000000, .torn = true, .cut_at = cut_at};
    simtree_init(tree, seed, chain);
    tree->accounts = made_chain_genesis_json(chain);
    trial.before = store_all(tree, chain, 0, 0);
    trial.last = store_all(tree, branch, way == BY_CANONICAL_PUT, STOA_STORE_SIDE);
    trial.after = way == BY_UPDATE
                      ? trial.last
                      : simtree_add_made(tree, made_chain_block(branch, FORK + LONGER));
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_unpower(&tree->sim);
    simstore_power(&tree->sim, &options);
    bool whole = change(&trial, way);
    simstore_restart(&tree->sim, &options, whole, seed + 7 * cut_at);
    expect_one_branch(&trial, way);
    simtree_expect_verified(tree);
    simtree_reopen(tree);
    simtree_expect(tree);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_lose_tables(&tree->sim);
    assert_int_equal(simstore_open(&tree->sim), 0);
    simtree_expect(tree);
    simtree_deinit(tree);
    return !whole;
}

static void a_change_of_branch_is_whole_whenever_power_is_cut(void **state)
{
    (void)state;
    uint64_t count = simstore_seeds(SEEDS_SHORT);
    uint64_t first = fixture_seed();
    struct made_chain *chain = made_chain_create(21, BLOCKS);
    struct made_chain *branch = made_chain_create_rival(chain, FORK, 22, LONGER);
    for (uint64_t i = 0; i < count * WAYS; i++) {
        struct plan plan = {chain, branch, (enum way)(i % WAYS)};
        simstore_cut_everywhere(first + i / WAYS, SANITIZED_SLOWER, CUTS_MAX, run, &plan);
    }
    made_chain_destroy(branch);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_branch_is_whole_whenever_power_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
