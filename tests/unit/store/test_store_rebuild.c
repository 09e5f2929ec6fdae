/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Indexes made anew, one at a time, from the ledger: whatever was wrong with them, while blocks are
 * stored and branches change, and over power cuts. And verify, which says what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/place.h"
#include "store/state_key.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/simtree.h"
#include "tables/runs.h"

enum { BLOCKS = 90, UNWIND = 16, FORK = 84, LONGER = 10, RUNS = 4, INDEXES = 5 };

static const struct {
    const char *name;
    size_t filter_size;
    bool has_values;
} indexes[RUNS] = {
    [STORE_INDEX_TRANSACTIONS] = {"transactions", PLACE_TRANSACTION_PREFIX_SIZE, false},
    [STORE_INDEX_ADDRESSES] = {"addresses", PLACE_POSTING_PREFIX_SIZE, true},
    [STORE_INDEX_LOGS] = {"logs", PLACE_POSTING_PREFIX_SIZE, false},
    [STORE_INDEX_STATE] = {"state", STATE_KEY_SPREAD_SIZE, true},
};

static void put_all(struct simtree *tree, const struct made_chain *chain, unsigned flags)
{
    for (uint64_t i = 0; i < made_chain_count(chain); i++) {
        struct simtree_block *block =
            simtree_add_made(tree, made_chain_block(chain, made_chain_first(chain) + i));
        assert_int_equal(simtree_put(tree, block, flags), 0);
    }
}

/* A store of CHAIN, most of which cannot leave it any more. */
static void set_up(struct simtree *tree, const struct made_chain *chain, uint64_t seed)
{
    simtree_init(tree, seed, chain);
    tree->sim.unwind_max = UNWIND;
    simtree_reopen(tree);
    put_all(tree, chain, 0);
}

static void expect_damages(struct simtree *tree, bool any)
{
    unsigned damages = 0;
    int result = simstore_verify(&tree->sim, &damages);
    if (!any && result != 0) {
        fail_msg("%s", tree->sim.detail.text);
    }
    assert_int_equal(result, any ? STOA_ECORRUPT : 0);
    assert_int_equal(damages != 0, any);
}

/* ---- damage: an entry more in the runs of an index ---- */

struct first_entry {
    uint8_t key[KV_KEY_SIZE_MAX];
    size_t size;
    uint8_t value[256];
    size_t value_size;
};

static int take_first(void *context, struct bytes key, struct bytes value)
{
    struct first_entry *first = context;
    if (value.size > sizeof(first->value)) {
        return 0;
    }
    memcpy(first->key, key.data, key.size);
    memcpy(first->value, value.data, value.size);
    first->size = key.size;
    first->value_size = value.size;
    return 1;
}

enum harm { MISSING, EXTRA, WRONG, HARMS };

/* To the closed store's table of heights. */
static void harm_height(struct simtree *tree, enum harm what)
{
    struct kv *kv;
    struct kv_session *session;
    struct bytes value;
    uint8_t key[PLACE_HEIGHT_KEY_SIZE];
    uint8_t copy[PLACE_HEIGHT_VALUE_SIZE];
    uint64_t head = tree->head->number;
    assert_int_equal(kv_memory_open(tree->sim.tables, &kv, NULL), 0);
    assert_int_equal(kv_session_open(kv, &session, NULL), 0);
    for (uint64_t i = 0; i < 3; i++) { /* below the line, and where a block can leave the chain */
        uint64_t heights[] = {head / 2, head - 1, head};
        uint64_t height = heights[i];
        place_encode_height_key(height, key);
        assert_int_equal(kv_get(session, "heights", bytes_of(key, sizeof(key)), &value, NULL), 0);
        memcpy(copy, value.data, sizeof(copy));
        place_encode_height_key(what == EXTRA ? head + 1 + 5 * i : height, key);
        copy[what == WRONG ? 11 * i : 0] ^= what == WRONG;
        assert_int_equal(kv_begin(session, NULL), 0);
        int result = what == MISSING
                         ? kv_remove(session, "heights", bytes_of(key, sizeof(key)), NULL)
                         : kv_put(session, "heights", bytes_of(key, sizeof(key)),
                                  bytes_of(copy, sizeof(copy)), NULL);
        assert_int_equal(result, 0);
        assert_int_equal(kv_commit(session, NULL), 0);
    }
    assert_int_equal(kv_checkpoint(session, NULL), 0);
    kv_session_close(session);
    kv_close(kv);
}

/* To the closed store's runs. False: entries of this index have nothing that could be wrong. */
static bool harm(struct simtree *tree, unsigned index, enum harm what)
{
    struct kv *kv;
    struct kv_session *session;
    struct runs *runs;
    if (index == STORE_INDEX_HEIGHTS) {
        harm_height(tree, what);
        return true;
    }
    assert_int_equal(kv_memory_open(tree->sim.tables, &kv, NULL), 0);
    assert_int_equal(kv_session_open(kv, &session, NULL), 0);
    assert_int_equal(
        runs_open(session, indexes[index].name, indexes[index].filter_size, &runs, NULL), 0);
    struct runs_version *version = runs_acquire(runs);
    struct first_entry first = {.size = 0};
    assert_int_equal(runs_prefix(version, session, bytes_of(NULL, 0), take_first, &first, NULL), 1);
    runs_release(runs, version);
    bool possible = what == MISSING || (what == WRONG && indexes[index].has_values) ||
                    (what == EXTRA && index != STORE_INDEX_STATE); /* a key nobody asks for */
    if (what == EXTRA) {
        first.key[0] ^= 1;
    }
    if (what == WRONG && first.value_size != 0) { /* it can still be decoded */
        first.value[first.value_size - 1] ^= 1;
    }
    struct runs_entry entry = {
        .key = bytes_of(first.key, first.size),
        .value = bytes_of(first.value, first.value_size),
        .removed = what == MISSING,
    };
    assert_int_equal(runs_load(runs, session, &entry, 1, NULL), 0);
    assert_int_equal(kv_begin(session, NULL), 0);
    assert_int_equal(runs_record(runs, session, NULL), 0);
    assert_int_equal(kv_commit(session, NULL), 0);
    runs_publish(runs);
    runs_close(runs);
    if (possible) {
        assert_int_equal(kv_checkpoint(session, NULL), 0);
    }
    kv_session_close(session);
    kv_close(kv);
    return possible;
}

static void what_is_wrong_with_an_index_is_found_and_mended(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(31, BLOCKS);
    struct simtree tree;
    set_up(&tree, chain, fixture_seed());
    expect_damages(&tree, false);
    unsigned harmed = 0;
    for (unsigned i = 0; i < INDEXES * HARMS; i++) {
        assert_int_equal(simstore_close(&tree.sim), 0);
        bool possible = harm(&tree, i / HARMS, (enum harm)(i % HARMS));
        assert_int_equal(simstore_open(&tree.sim), 0);
        if (possible) {
            expect_damages(&tree, true);
            unsigned other = (i / HARMS + 1) % INDEXES;
            if (i / HARMS != STORE_INDEX_HEIGHTS) { /* which lead to what the others are made of */
                assert_int_equal(simstore_rebuild(&tree.sim, (enum store_index)other), 0);
                expect_damages(&tree, true); /* that was another index */
            }
            assert_int_equal(simstore_rebuild(&tree.sim, (enum store_index)(i / HARMS)), 0);
            harmed++;
        }
        expect_damages(&tree, false);
    }
    assert_int_equal(harmed, 12); /* entries of transactions and logs have no value */
    simtree_expect(&tree);
    simtree_reopen(&tree);
    expect_damages(&tree, false);
    simtree_deinit(&tree);
    made_chain_destroy(chain);
}

/* ---- beside everything else ---- */

struct beside {
    struct store_rebuild rebuild;
    bool done;
};

static void note_done(struct store_rebuild *rebuild)
{
    struct beside *beside = rebuild->context;
    beside->done = true;
}

static void begin_beside(struct simtree *tree, struct beside *beside, enum store_index index)
{
    *beside = (struct beside){.rebuild = {.index = index, .done = note_done, .context = beside}};
    store_rebuild_start(tree->sim.store, &beside->rebuild);
}

static void finish_beside(struct simtree *tree, struct beside *beside)
{
    while (!beside->done) {
        assert_true(io_run(tree->sim.io, 1000000000) >= 0);
    }
    if (beside->rebuild.result != 0) {
        fail_msg("%s", beside->rebuild.detail.text);
    }
}

static void blocks_and_changes_of_branch_come_in_beside_it(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(32, BLOCKS);
    struct made_chain *rival = made_chain_create_rival(chain, FORK, 33, LONGER);
    struct made_chain *more = made_chain_create_branch(rival, FORK + LONGER, 34, 30);
    struct simtree tree;
    set_up(&tree, chain, fixture_seed());
    struct simtree_block *old = tree.head;
    put_all(&tree, rival, STOA_STORE_SIDE);
    struct simtree_block *heads[] = {tree.blocks[tree.count - 1], old};
    for (unsigned i = 0; i < 2 * INDEXES; i++) {
        struct beside beside;
        begin_beside(&tree, &beside, (enum store_index)(i / 2));
        for (unsigned turns = 0; turns < 5 * (i + 1); turns++) {
            assert_true(io_run(tree.sim.io, 1000000) >= 0);
        }
        simtree_hop(&tree, heads[i % 2]);
        struct simtree_update update;
        simtree_make_update(i, &update);
        assert_int_equal(simtree_update(&tree, &update), 0);
        if (i % 3 == 1) {
            simtree_checkpoint(&tree);
        }
        simtree_expect(&tree);
        finish_beside(&tree, &beside);
        simtree_expect(&tree);
        expect_damages(&tree, false);
    }
    simtree_hop(&tree, heads[0]);
    struct beside beside;
    begin_beside(&tree, &beside, STORE_INDEX_LOGS);
    put_all(&tree, more, 0);
    finish_beside(&tree, &beside);
    simtree_expect(&tree);
    expect_damages(&tree, false);
    simtree_deinit(&tree);
    made_chain_destroy(more);
    made_chain_destroy(rival);
    made_chain_destroy(chain);
}

static void one_at_a_time_and_closing_stops_it(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(35, BLOCKS);
    struct simtree tree;
    set_up(&tree, chain, fixture_seed());
    struct beside first;
    struct beside second;
    begin_beside(&tree, &first, STORE_INDEX_ADDRESSES);
    begin_beside(&tree, &second, STORE_INDEX_LOGS);
    assert_true(second.done);
    assert_int_equal(second.rebuild.result, STOA_EBUSY);
    while (first.rebuild.done_blocks == 0 && !first.done) {
        assert_true(io_run(tree.sim.io, 1000000) >= 0);
    }
    simtree_reopen(&tree); /* closes */
    assert_true(first.done);
    assert_int_equal(first.rebuild.result, STOA_ECANCELED);
    expect_damages(&tree, false);
    assert_int_equal(simstore_rebuild(&tree.sim, STORE_INDEX_ADDRESSES), 0);
    expect_damages(&tree, false);
    simtree_expect(&tree);
    simtree_deinit(&tree);
    made_chain_destroy(chain);
}

/* Rebuild INDEX under power that is cut at I/O CUT_AT. False: it was not cut. */
static bool cut(const struct made_chain *chain, enum store_index index, uint64_t seed,
                uint64_t cut_at)
{
    struct simtree tree;
    struct io_sim_options options = {
        .seed = seed + cut_at, .delay_ns_max = 1000000, .torn = true, .cut_at = cut_at};
    set_up(&tree, chain, seed);
    assert_int_equal(simstore_close(&tree.sim), 0);
    assert_true(harm(&tree, index, MISSING));
    simstore_unpower(&tree.sim);
    simstore_power(&tree.sim, &options);
    bool whole = simstore_open(&tree.sim) == 0 && !io_sim_is_cut(tree.sim.io);
    bool mended = whole && simstore_rebuild(&tree.sim, index) == 0;
    whole = whole && !io_sim_is_cut(tree.sim.io);
    if (whole) {
        (void)simstore_close(&tree.sim); /* may be cut short */
        whole = !io_sim_is_cut(tree.sim.io);
    }
    if (tree.sim.store != NULL || !whole) {
        simstore_cut(&tree.sim, seed + 7 * cut_at, true);
    } else {
        simstore_unpower(&tree.sim);
    }
    options.cut_at = 0;
    simstore_power(&tree.sim, &options);
    assert_int_equal(simstore_open(&tree.sim), 0);
    if (mended) {
        expect_damages(&tree, false); /* it was told that it is done */
    }
    assert_int_equal(simstore_rebuild(&tree.sim, index), 0);
    expect_damages(&tree, false);
    simtree_expect(&tree);
    simtree_deinit(&tree);
    return !whole;
}

static void cut_everywhere(const struct made_chain *chain, enum store_index index, uint64_t seed)
{
    uint64_t cut_at = 1;
    while (cut(chain, index, seed, cut_at)) {
        cut_at += SANITIZED_SLOWER;
        assert_true(cut_at < 500);
    }
    print_message("cuts at every %d of %llu\n", SANITIZED_SLOWER, (unsigned long long)cut_at);
    assert_true(cut_at > 20);
}

static void power_is_cut_at_every_io_of_it(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(36, 40);
    /* The first seed once cut between the swap on the worker and the loop's hearing of it. */
    cut_everywhere(chain, STORE_INDEX_LOGS, 1795992473588309259U);
    cut_everywhere(chain, STORE_INDEX_LOGS, fixture_seed());
    cut_everywhere(chain, STORE_INDEX_STATE, fixture_seed());
    cut_everywhere(chain, STORE_INDEX_HEIGHTS, fixture_seed());
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_an_index_is_found_and_mended),
        cmocka_unit_test(blocks_and_changes_of_branch_come_in_beside_it),
        cmocka_unit_test(one_at_a_time_and_closing_stops_it),
        cmocka_unit_test(power_is_cut_at_every_io_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
