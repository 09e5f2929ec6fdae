/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Power is cut at every I/O (under a sanitizer, at some) of a workload that mixes blocks of two
 * branches, changes of branch, changes of raw state without a block and checkpoints. Afterwards the
 * store says what a model says that has taken every acknowledged step, and of the step under way
 * all or nothing.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/simtree.h"

enum { BLOCKS = 5, FORK = 2, LONGER = 4, STEPS = 18, CUTS_MAX = 600, SEEDS_SHORT = 1 };

enum kind { PUT_BLOCK, HOP, UPDATE, CHECKPOINT };

struct step {
    enum kind kind;
    struct simtree_block *block; /* PUT_BLOCK, HOP */
    unsigned flags;
    struct simtree_update update;
};

struct trial {
    struct simtree tree;
    uint64_t random;
    struct step step; /* under way */
};

static struct simtree_block *any_stored(struct trial *trial)
{
    struct simtree *tree = &trial->tree;
    size_t from = fixture_random_below(&trial->random, tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        struct simtree_block *block = tree->blocks[(from + i) % tree->count];
        if (block->stored) {
            return block;
        }
    }
    return NULL;
}

/* A block that is not stored, but whose parent is. */
static struct simtree_block *any_next(struct trial *trial)
{
    struct simtree *tree = &trial->tree;
    size_t from = fixture_random_below(&trial->random, tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        struct simtree_block *block = tree->blocks[(from + i) % tree->count];
        if (!block->stored && (block->parent == NULL || block->parent->stored)) {
            return block;
        }
    }
    return NULL;
}

/* Choose the next step from what is stored: the same of the same seed up to the cut. */
static void choose(struct trial *trial)
{
    struct step *step = &trial->step;
    uint64_t dice = fixture_random_below(&trial->random, 10);
    uint64_t seed = fixture_random(&trial->random);
    *step = (struct step){.kind = UPDATE};
    simtree_make_update(seed, &step->update);
    step->update.removed[step->update.count - 1] = false; /* so that one sees whether it was made */
    step->block = dice < 4 ? any_next(trial) : dice < 6 ? any_stored(trial) : NULL;
    if (step->block != NULL) {
        step->kind = dice < 4 ? PUT_BLOCK : HOP;
        bool extends = step->block->parent == trial->tree.head;
        bool side = fixture_random_below(&trial->random, 3) == 0;
        step->flags = side ? STOA_STORE_SIDE : extends ? 0 : STOA_STORE_CANONICAL;
    } else if (dice == 9) {
        step->kind = CHECKPOINT;
    }
}

static int ask(struct trial *trial)
{
    struct simtree *tree = &trial->tree;
    struct step *step = &trial->step;
    struct simtree_changes changes;
    if (step->kind == PUT_BLOCK) {
        struct stoa_store_block put = simtree_put_of(tree, step->block, &changes);
        put.flags = step->flags;
        return simstore_put(&tree->sim, &put);
    }
    if (step->kind == HOP) {
        return simstore_update_head(&tree->sim, step->block->hash);
    }
    if (step->kind == UPDATE) {
        simtree_changes_of(&step->update, &changes);
        return simstore_update(&tree->sim, changes.changes, step->update.count);
    }
    return store_checkpoint(tree->sim.store, &tree->sim.detail);
}

/* The model takes the step. */
static void take(struct trial *trial)
{
    struct step *step = &trial->step;
    if (step->kind == PUT_BLOCK) {
        step->block->stored = true;
    }
    if (step->kind == HOP || (step->kind == PUT_BLOCK && (step->flags & STOA_STORE_SIDE) == 0)) {
        simtree_set_head(&trial->tree, step->block);
    }
    if (step->kind == UPDATE) {
        simtree_note_update(&trial->tree, &step->update);
    }
}

static bool head_is(struct trial *trial, const struct simtree_block *block)
{
    struct stoa_head head;
    store_get_head(trial->tree.sim.store, &head);
    return memcmp(head.hash, block->hash, 32) == 0;
}

static bool is_stored(struct trial *trial, const struct simtree_block *block)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block found;
    memcpy(key.hash, block->hash, 32);
    int result = simstore_get(&trial->tree.sim, &key, &found);
    if (result == 0) {
        store_view_release(found.view);
    }
    return result == 0;
}

static bool update_was_made(struct trial *trial)
{
    const struct simtree_update *update = &trial->step.update;
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

/* Of the step that power was cut in: did it happen? */
static void find_out(struct trial *trial)
{
    struct step *step = &trial->step;
    if (step->kind == UPDATE) {
        if (update_was_made(trial)) {
            take(trial);
        }
    } else if (step->kind == HOP || step->kind == PUT_BLOCK) {
        bool side = step->kind == PUT_BLOCK && (step->flags & STOA_STORE_SIDE) != 0;
        if (!side && head_is(trial, step->block)) {
            take(trial);
        } else if (step->kind == PUT_BLOCK) { /* on its way to the head it may be a side block */
            step->block->stored = is_stored(trial, step->block);
        }
    }
}

/* False: power is gone. */
static bool work(struct trial *trial)
{
    struct simstore *sim = &trial->tree.sim;
    trial->step = (struct step){.kind = CHECKPOINT};
    if (simstore_open(sim) != 0 || io_sim_is_cut(sim->io)) {
        return false;
    }
    for (unsigned i = 0; i < STEPS; i++) {
        choose(trial);
        int result = ask(trial);
        if (result == 0) {
            take(trial);
            trial->step = (struct step){.kind = CHECKPOINT};
        }
        if (io_sim_is_cut(sim->io)) {
            return false;
        }
        if (result != 0) {
            fail_msg("step %u, kind %d: %s", i, (int)trial->step.kind, sim->detail.text);
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
    simtree_add_chains(tree, chains, 2);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_unpower(&tree->sim);
    simstore_power(&tree->sim, &options);
    bool whole = work(&trial);
    simstore_restart(&tree->sim, &options, whole, seed + 7 * cut_at);
    find_out(&trial);
    simtree_expect(tree);
    simtree_expect_verified(tree);
    struct simtree_update update;
    simtree_make_update(seed + cut_at, &update); /* it goes on */
    assert_int_equal(simtree_update(tree, &update), 0);
    assert_int_equal(simstore_close(&tree->sim), 0);
    if (cut_at % 2 == 0) {
        simstore_lose_tables(&tree->sim);
    }
    assert_int_equal(simstore_open(&tree->sim), 0);
    simtree_expect(tree);
    simtree_deinit(tree);
    return !whole;
}

static void every_step_is_whole_or_not_there_whenever_power_is_cut(void **state)
{
    (void)state;
    uint64_t count = simstore_seeds(SEEDS_SHORT);
    uint64_t first = fixture_seed();
    struct made_chain *chain = made_chain_create(41, BLOCKS);
    struct made_chain *chains[2] = {chain, made_chain_create_rival(chain, FORK, 42, LONGER)};
    for (uint64_t i = 0; i < count; i++) {
        simstore_cut_everywhere(first + i, SANITIZED_SLOWER, CUTS_MAX, run, chains);
    }
    made_chain_destroy(chains[1]);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_whole_or_not_there_whenever_power_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
