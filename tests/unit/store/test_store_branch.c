/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of branch on a simulated machine: after each everything asked is compared with what brute
 * force over the winning branch says. STOA_LONG=1: 30 branches 64 deep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/simtree.h"

enum { CHAINS_MAX = 32 };

/* A tree, and the made chains its blocks are of. */
struct forest {
    struct simtree tree;
    struct made_chain *chains[CHAINS_MAX];
    size_t chain_count;
};

static void set_up(struct forest *forest, uint64_t seed, uint64_t blocks)
{
    *forest = (struct forest){.chain_count = 1};
    forest->chains[0] = made_chain_create(seed, blocks);
    simtree_init(&forest->tree, seed, forest->chains[0]);
    forest->tree.accounts = made_chain_genesis_json(forest->chains[0]);
}

static void tear_down(struct forest *forest)
{
    simtree_deinit(&forest->tree);
    for (size_t i = 0; i < forest->chain_count; i++) {
        made_chain_destroy(forest->chains[i]);
    }
}

/* COUNT blocks on top of block HEIGHT of chain BASE. */
static const struct made_chain *grow(struct forest *forest, size_t base, uint64_t height,
                                     uint64_t count)
{
    assert_true(forest->chain_count < CHAINS_MAX);
    struct made_chain *chain =
        made_chain_create_rival(forest->chains[base], height, 1000 + forest->chain_count, count);
    forest->chains[forest->chain_count++] = chain;
    return chain;
}

static struct simtree_block *block_of(struct forest *forest, const struct made_block *block)
{
    struct simtree_block *known = simtree_find(&forest->tree, block->hash);
    return known != NULL ? known : simtree_add_made(&forest->tree, block);
}

static int put(struct forest *forest, const struct made_block *block, unsigned flags)
{
    return simtree_put(&forest->tree, block_of(forest, block), flags);
}

static void put_all(struct forest *forest, const struct made_chain *chain, unsigned flags)
{
    uint64_t first = made_chain_first(chain);
    for (uint64_t i = 0; i < made_chain_count(chain); i++) {
        int result = put(forest, made_chain_block(chain, first + i), flags);
        if (result != 0) {
            fail_msg("put %llu: %s", (unsigned long long)(first + i), forest->tree.sim.detail.text);
        }
    }
}

static const struct made_block *last_of(const struct made_chain *chain)
{
    return made_chain_block(chain, made_chain_first(chain) + made_chain_count(chain) - 1);
}

static void hop(struct forest *forest, const struct made_block *block)
{
    simtree_hop(&forest->tree, block_of(forest, block));
}

static void the_head_moves_to_another_branch_and_back(void **state)
{
    (void)state;
    struct forest forest;
    struct simtree *tree = &forest.tree;
    set_up(&forest, 3, 12);
    put_all(&forest, forest.chains[0], 0);
    const struct made_chain *longer = grow(&forest, 0, 7, 9);
    const struct made_chain *shorter = grow(&forest, 0, 9, 2);
    put_all(&forest, longer, STOA_STORE_SIDE);
    simtree_expect(tree);
    put_all(&forest, shorter, STOA_STORE_SIDE);
    const struct made_block *heads[] = {last_of(longer), last_of(forest.chains[0]),
                                        last_of(shorter), last_of(longer), last_of(shorter)};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        hop(&forest, heads[i]);
        simtree_expect(tree);
        if (i % 2 == 1) {
            simtree_checkpoint(tree); /* the tables have it now, and nothing is pending */
            simtree_expect(tree);
        }
    }
    simtree_expect_verified(tree);
    simtree_reopen(tree);
    simtree_expect(tree);
    hop(&forest, heads[0]);
    simtree_reopen(tree);
    simtree_expect(tree);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_lose_tables(&tree->sim); /* all of it comes back from the ledger */
    assert_int_equal(simstore_open(&tree->sim), 0);
    simtree_expect(tree);
    simtree_expect_verified(tree);
    tear_down(&forest);
}

static void the_head_moves_along_its_own_chain(void **state)
{
    (void)state;
    struct forest forest;
    struct simtree *tree = &forest.tree;
    set_up(&forest, 4, 20);
    const struct made_chain *chain = forest.chains[0];
    put_all(&forest, chain, STOA_STORE_SIDE);
    simtree_expect(tree);
    hop(&forest, made_chain_block(chain, 5));
    simtree_expect(tree);
    hop(&forest, made_chain_block(chain, 20));
    simtree_expect(tree);
    simtree_checkpoint(tree);
    hop(&forest, made_chain_block(chain, 3));
    simtree_expect(tree);
    assert_int_equal(simstore_update_head(&tree->sim, made_chain_genesis_hash(chain)), 0);
    simtree_set_head(tree, NULL);
    simtree_expect(tree);
    simtree_checkpoint(tree);
    simtree_expect(tree);
    simtree_expect_verified(tree);
    hop(&forest, made_chain_block(chain, 20));
    hop(&forest, made_chain_block(chain, 20)); /* nothing to do */
    simtree_expect(tree);
    simtree_expect_verified(tree);
    tear_down(&forest);
}

static void a_canonical_put_changes_the_branch_in_one_step(void **state)
{
    (void)state;
    struct forest forest;
    struct simtree *tree = &forest.tree;
    set_up(&forest, 5, 10);
    put_all(&forest, forest.chains[0], STOA_STORE_CANONICAL);
    simtree_expect(tree);
    const struct made_chain *branch = grow(&forest, 0, 6, 6);
    put_all(&forest, branch, STOA_STORE_CANONICAL); /* the first takes four off, others extend */
    simtree_expect(tree);
    const struct made_chain *twig = grow(&forest, forest.chain_count - 1, 9, 2);
    assert_int_equal(put(&forest, made_chain_block(twig, 10), STOA_STORE_SIDE), 0);
    assert_int_equal(put(&forest, made_chain_block(twig, 11), STOA_STORE_CANONICAL), 0);
    simtree_expect(tree);
    assert_int_equal(put(&forest, made_chain_block(twig, 11), STOA_STORE_CANONICAL), STOA_EEXISTS);
    simtree_expect_verified(tree);
    simtree_reopen(tree);
    simtree_expect(tree);
    tear_down(&forest);
}

static void expect_marks(struct forest *forest, uint64_t safe, uint64_t finalized)
{
    struct stoa_head head;
    const struct made_chain *chain = forest->chains[0];
    store_get_head(forest->tree.sim.store, &head);
    assert_true(head.has_safe && head.has_finalized);
    assert_int_equal(head.finalized_height, finalized);
    assert_memory_equal(head.finalized_hash, made_chain_block(chain, finalized)->hash, 32);
    assert_int_equal(head.safe_height, safe);
    assert_memory_equal(head.safe_hash, made_chain_block(chain, safe)->hash, 32);
}

static void refused_changes_change_nothing(void **state)
{
    (void)state;
    struct forest forest;
    struct simtree *tree = &forest.tree;
    struct simstore *sim = &tree->sim;
    uint8_t unknown[32] = {1};
    set_up(&forest, 6, 12);
    put_all(&forest, forest.chains[0], 0);
    const struct made_chain *branch = grow(&forest, 0, 6, 8);
    const struct made_chain *other = grow(&forest, 0, 8, 8);
    put_all(&forest, branch, STOA_STORE_SIDE);
    put_all(&forest, other, STOA_STORE_SIDE);
    assert_int_equal(simstore_update_head(sim, unknown), STOA_ENOTFOUND);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, 7), 0);
    assert_int_equal(simstore_update_head(sim, last_of(branch)->hash), STOA_EREFUSED);
    assert_int_equal(simstore_update_head(sim, made_chain_block(forest.chains[0], 6)->hash),
                     STOA_EREFUSED);
    simtree_expect(tree);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, 6), STOA_EREFUSED);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, 13), STOA_ENOTFOUND);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_SAFE, 10), 0);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_SAFE, 9), STOA_EREFUSED);
    expect_marks(&forest, 10, 7);
    hop(&forest, last_of(other)); /* forks off above it; the safe block goes back to the fork */
    simtree_expect(tree);
    for (int i = 0; i < 2; i++) {
        expect_marks(&forest, 8, 7);
        simtree_reopen(tree);
        assert_int_equal(simstore_update_head(sim, last_of(branch)->hash), STOA_EREFUSED);
    }
    struct made_chain *late = made_chain_create_branch(branch, 14, 99, 1);
    const struct made_block *block = made_chain_block(late, 15);
    assert_int_equal(put(&forest, block, STOA_STORE_CANONICAL), STOA_EREFUSED);
    assert_int_equal(put(&forest, block, 0), STOA_EREFUSED);
    assert_int_equal(put(&forest, block, STOA_STORE_SIDE), 0); /* it can still be kept */
    simtree_expect(tree);
    simtree_expect_verified(tree);
    made_chain_destroy(late);
    tear_down(&forest);
}

static void marks_come_back_from_the_ledger(void **state)
{
    (void)state;
    struct forest forest;
    struct simstore *sim = &forest.tree.sim;
    set_up(&forest, 9, 12);
    put_all(&forest, forest.chains[0], 0);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_SAFE, 9), 0);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, 4), 0);
    expect_marks(&forest, 9, 4);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, 10), 0); /* takes safe along */
    expect_marks(&forest, 10, 10);
    simtree_reopen(&forest.tree);
    expect_marks(&forest, 10, 10);
    assert_int_equal(simstore_close(sim), 0);
    simstore_lose_tables(sim);
    assert_int_equal(simstore_open(sim), 0);
    expect_marks(&forest, 10, 10);
    tear_down(&forest);
}

/* A side block whose parent is the head would be the next block: it is stored, all the same. */
static void a_stored_side_child_of_the_head_is_not_stored_again(void **state)
{
    (void)state;
    static const unsigned flags[] = {0, STOA_STORE_CANONICAL, STOA_STORE_SIDE};
    struct forest forest;
    struct simtree *tree = &forest.tree;
    set_up(&forest, 23, 6);
    const struct made_chain *chain = forest.chains[0];
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(put(&forest, made_chain_block(chain, i), 0), 0);
    }
    assert_int_equal(put(&forest, made_chain_block(chain, 5), STOA_STORE_SIDE), 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
            assert_int_equal(put(&forest, made_chain_block(chain, 5), flags[i]), STOA_EEXISTS);
        }
        simtree_expect(tree);
        simtree_checkpoint(tree);
        simtree_reopen(tree);
    }
    hop(&forest, made_chain_block(chain, 5));
    simtree_expect(tree);
    simtree_checkpoint(tree);
    simtree_expect_verified(tree);
    tear_down(&forest);
}

static void branches_are_listed_with_their_forks(void **state)
{
    (void)state;
    struct forest forest;
    struct simtree *tree = &forest.tree;
    set_up(&forest, 8, 12);
    const struct made_chain *chain = forest.chains[0];
    put_all(&forest, chain, 0);
    const struct made_chain *branch = grow(&forest, 0, 6, 8);
    const struct made_chain *twig = grow(&forest, 1, 9, 2);
    put_all(&forest, branch, STOA_STORE_SIDE);
    put_all(&forest, twig, STOA_STORE_SIDE);
    struct stoa_branch found[4];
    size_t count;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_get_branches(tree->sim.store, found, 4, &count), 0);
        assert_int_equal(count, 3);
        assert_true(found[0].canonical);
        assert_memory_equal(found[0].hash, last_of(chain)->hash, 32);
        assert_false(found[1].canonical || found[2].canonical);
        assert_true(memcmp(found[1].total_difficulty, found[2].total_difficulty, 32) >= 0);
        for (int k = 1; k < 3; k++) {
            assert_int_equal(found[k].fork_height, 6);
            assert_memory_equal(found[k].fork_hash, made_chain_block(chain, 6)->hash, 32);
        }
        simtree_reopen(tree);
    }
    hop(&forest, last_of(branch));
    assert_int_equal(store_get_branches(tree->sim.store, found, 1, &count), 0);
    assert_int_equal(count, 3); /* the old head is one now */
    assert_memory_equal(found[0].hash, last_of(branch)->hash, 32);
    tear_down(&forest);
}

/* Requests that are submitted together take effect in that order. */
struct answers {
    unsigned count;
    int results[8];
    struct store_request *requests;
};

static void note_answer(struct store_request *request)
{
    struct answers *answers = request->context;
    answers->results[request - answers->requests] = request->result;
    answers->count++;
}

static void requests_take_effect_in_order(void **state)
{
    (void)state;
    struct forest forest;
    struct simtree *tree = &forest.tree;
    set_up(&forest, 10, 8);
    put_all(&forest, forest.chains[0], 0);
    const struct made_chain *branch = grow(&forest, 0, 5, 4);
    struct store_request requests[6] = {{.kind = STORE_PUT_BLOCK}};
    struct answers answers = {.requests = requests};
    struct simtree_changes changes[6];
    for (unsigned i = 0; i < 4; i++) {
        struct simtree_block *block = block_of(&forest, made_chain_block(branch, 6 + i));
        unsigned at = i < 2 ? i : i + 1;
        requests[at].kind = STORE_PUT_BLOCK;
        requests[at].put = simtree_put_of(tree, block, &changes[at]);
        requests[at].put.flags |= i < 2 ? STOA_STORE_SIDE : 0;
        block->stored = true;
    }
    requests[2].kind = STORE_UPDATE_HEAD; /* between them, so that the rest extends the head */
    memcpy(requests[2].hash, made_chain_block(branch, 7)->hash, 32);
    requests[5].kind = STORE_SET_FINALIZED;
    requests[5].key = (struct stoa_block_key){.by = STOA_LATEST};
    for (unsigned i = 0; i < 6; i++) {
        requests[i].done = note_answer;
        requests[i].context = &answers;
        store_submit(tree->sim.store, &requests[i]);
    }
    while (answers.count < 6) {
        assert_true(io_run(tree->sim.io, 1000000000) >= 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(answers.results[i], 0);
    }
    assert_int_equal(requests[5].height, 9);
    simtree_set_head(tree, block_of(&forest, made_chain_block(branch, 9)));
    simtree_expect(tree);
    tear_down(&forest);
}

/* ---- trees at random ---- */

enum { BRANCHES = 14, DEPTH = 24, HOPS = 30 };

/* Any block of the tree that can be a parent. */
static void grow_somewhere(struct forest *forest, uint64_t *random, uint64_t depth)
{
    size_t base = fixture_random_below(random, forest->chain_count);
    const struct made_chain *chain = forest->chains[base];
    uint64_t height = made_chain_first(chain) - 1 + fixture_random_below(random, depth);
    uint64_t last = last_of(chain)->number;
    height = height > last ? last : height;
    if (base > 0 && height < made_chain_first(chain)) {
        height = made_chain_first(chain);
    }
    (void)grow(forest, base, height, 1 + fixture_random_below(random, depth));
}

static void hop_at_random(struct forest *forest, uint64_t *random)
{
    struct simtree *tree = &forest->tree;
    struct simtree_block *block = tree->blocks[fixture_random_below(random, tree->count)];
    if (block->stored) {
        simtree_hop(tree, block);
    } else if (block->parent == NULL || block->parent->stored) {
        unsigned flags =
            fixture_random_below(random, 2) == 0 ? STOA_STORE_SIDE : STOA_STORE_CANONICAL;
        assert_int_equal(simtree_put(tree, block, flags), 0);
    }
}

static void every_hop_of_a_random_tree_is_as_brute_force(void **state)
{
    (void)state;
    bool large = getenv("STOA_LONG") != NULL;
    uint64_t random = fixture_seed();
    uint64_t depth = large ? 64 : DEPTH;
    struct forest forest;
    set_up(&forest, random % 1000, depth);
    for (unsigned i = 1; i < (large ? 30 : BRANCHES); i++) {
        grow_somewhere(&forest, &random, depth);
    }
    for (size_t i = 0; i < forest.chain_count; i++) {
        const struct made_chain *chain = forest.chains[i];
        for (uint64_t k = 0; k < made_chain_count(chain); k++) {
            struct simtree_block *block =
                block_of(&forest, made_chain_block(chain, made_chain_first(chain) + k));
            if (fixture_random_below(&random, 4) != 0 &&
                (block->parent == NULL || block->parent->stored)) {
                assert_int_equal(simtree_put(&forest.tree, block, STOA_STORE_SIDE), 0);
            }
        }
    }
    for (unsigned i = 0; i < (large ? 300 : HOPS); i++) {
        hop_at_random(&forest, &random);
        if (fixture_random_below(&random, 2) == 0) {
            struct simtree_update update;
            simtree_make_update(fixture_random(&random), &update);
            assert_int_equal(simtree_update(&forest.tree, &update), 0);
        }
        uint64_t dice = fixture_random_below(&random, 8);
        if (dice == 0) {
            simtree_checkpoint(&forest.tree);
        } else if (dice == 1) {
            simtree_reopen(&forest.tree);
        }
        simtree_expect(&forest.tree);
    }
    simtree_expect_verified(&forest.tree);
    tear_down(&forest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_moves_to_another_branch_and_back),
        cmocka_unit_test(the_head_moves_along_its_own_chain),
        cmocka_unit_test(a_canonical_put_changes_the_branch_in_one_step),
        cmocka_unit_test(refused_changes_change_nothing),
        cmocka_unit_test(marks_come_back_from_the_ledger),
        cmocka_unit_test(branches_are_listed_with_their_forks),
        cmocka_unit_test(a_stored_side_child_of_the_head_is_not_stored_again),
        cmocka_unit_test(requests_take_effect_in_order),
        cmocka_unit_test(every_hop_of_a_random_tree_is_as_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
