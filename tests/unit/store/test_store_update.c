/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of raw state without a block, on a simulated machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum { BLOCKS = 6, MANY = 50 };

static struct stoa_bytes text(const char *from)
{
    return (struct stoa_bytes){(const uint8_t *)from, from == NULL ? 0 : strlen(from)};
}

static int update(struct simstore *sim, const char *key, const char *value)
{
    struct stoa_change change = {.key = text(key), .value = text(value)};
    return simstore_update(sim, &change, 1);
}

static void expect_at(struct simstore *sim, const char *key, uint64_t height, const char *wanted)
{
    struct bytes value;
    int result = simstore_get_state_at(sim, key, height, &value);
    if (wanted == NULL) {
        assert_int_equal(result, STOA_ENOTFOUND);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(value.size, strlen(wanted));
    assert_memory_equal(value.data, wanted, value.size);
    memory_free((void *)(uintptr_t)value.data);
}

static void expect(struct simstore *sim, const char *key, const char *wanted)
{
    expect_at(sim, key, STOA_AT_HEAD, wanted);
}

struct world {
    struct simtree tree;
    struct made_chain *chain;
    struct made_chain *rival; /* from block 2 on */
};

static void set_up(struct world *world)
{
    world->chain = made_chain_create(31, BLOCKS);
    world->rival = made_chain_create_rival(world->chain, 2, 32, BLOCKS);
    simtree_init(&world->tree, 33, world->chain);
    world->tree.no_state = true;
}

static void tear_down(struct world *world)
{
    simtree_deinit(&world->tree);
    made_chain_destroy(world->rival);
    made_chain_destroy(world->chain);
}

static struct simtree_block *put(struct world *world, const struct made_chain *chain,
                                 uint64_t number, unsigned flags)
{
    struct simtree_block *block = simtree_add_made(&world->tree, made_chain_block(chain, number));
    assert_int_equal(simtree_put(&world->tree, block, flags), 0);
    return block;
}

static void an_update_is_there_at_once_and_stays(void **state)
{
    (void)state;
    struct world world;
    struct simstore *sim = &world.tree.sim;
    set_up(&world);
    assert_int_equal(update(sim, "a", "of the genesis"), 0);
    expect(sim, "a", "of the genesis");
    put(&world, world.chain, 1, 0);
    assert_int_equal(update(sim, "a", "one"), 0);
    assert_int_equal(update(sim, "b", ""), 0);
    assert_int_equal(update(sim, "a", "one again"), 0);
    put(&world, world.chain, 2, 0);
    assert_int_equal(update(sim, "a", NULL), 0);
    for (unsigned i = 0; i < 4; i++) {
        expect(sim, "a", NULL);
        expect(sim, "b", "");
        expect_at(sim, "a", 2, NULL);
        expect_at(sim, "a", 1, "one again");
        expect_at(sim, "a", 0, "of the genesis");
        expect_at(sim, "b", 0, NULL);
        if (i == 0) {
            simtree_checkpoint(&world.tree);
        } else if (i == 1) {
            simtree_reopen(&world.tree);
        } else {
            assert_int_equal(simstore_close(sim), 0);
            simstore_lose_tables(sim);
            assert_int_equal(simstore_open(sim), 0);
        }
    }
    simtree_expect(&world.tree);
    simtree_expect_verified(&world.tree);
    tear_down(&world);
}

static void it_leaves_the_chain_and_comes_back_with_its_block(void **state)
{
    (void)state;
    struct world world;
    struct simstore *sim = &world.tree.sim;
    set_up(&world);
    put(&world, world.chain, 1, 0);
    put(&world, world.chain, 2, 0);
    assert_int_equal(update(sim, "a", "two"), 0);
    struct simtree_block *loser = put(&world, world.chain, 3, 0);
    assert_int_equal(update(sim, "a", "three"), 0);
    simtree_checkpoint(&world.tree); /* the next goes to another batch than its block */
    assert_int_equal(update(sim, "b", "three"), 0);
    assert_int_equal(update(sim, "a", "three, later"), 0);
    struct simtree_block *winner = put(&world, world.rival, 3, STOA_STORE_CANONICAL);
    expect(sim, "a", "two");
    expect(sim, "b", NULL);
    assert_int_equal(update(sim, "c", "of the rival"), 0);
    for (unsigned i = 0; i < 2; i++) {
        simtree_hop(&world.tree, loser);
        expect(sim, "a", "three, later");
        expect(sim, "b", "three");
        expect(sim, "c", NULL);
        simtree_reopen(&world.tree);
        simtree_hop(&world.tree, winner);
        expect(sim, "a", "two");
        expect(sim, "b", NULL);
        expect(sim, "c", "of the rival");
        assert_int_equal(simstore_close(sim), 0);
        simstore_lose_tables(sim);
        assert_int_equal(simstore_open(sim), 0);
    }
    simtree_hop(&world.tree, loser->parent); /* the chain is only taken back */
    expect(sim, "a", "two");
    assert_int_equal(update(sim, "a", "two, later"), 0);
    simtree_hop(&world.tree, winner);
    expect(sim, "a", "two, later");
    simtree_expect(&world.tree);
    simtree_expect_verified(&world.tree);
    tear_down(&world);
}

static void what_cannot_be_done_changes_nothing(void **state)
{
    (void)state;
    static char long_key[130];
    struct world world;
    struct simstore *sim = &world.tree.sim;
    set_up(&world);
    memset(long_key, 'k', sizeof(long_key) - 1);
    struct stoa_change changes[] = {
        {.key = text("a"), .value = text("1")},
        {.key = text(long_key), .value = text("2")},
    };
    assert_int_equal(simstore_update(sim, changes, 2), STOA_EINVAL);
    assert_non_null(strstr(sim->detail.text, "changes[1].key"));
    expect(sim, "a", NULL);
    size_t size = (4 << 20) + 1;
    uint8_t *big = memory_alloc_zeroed(size, 1);
    changes[1] = (struct stoa_change){.key = text("b"), .value = {big, size}};
    assert_int_equal(simstore_update(sim, changes, 2), STOA_ETOOBIG);
    changes[1].value.size = 2 << 20; /* more than fits one of this store's segments */
    assert_int_equal(simstore_update(sim, changes, 2), STOA_ETOOBIG);
    assert_int_equal(simstore_update(sim, changes, 0), STOA_EINVAL);
    memory_free(big);
    expect(sim, "a", NULL);
    expect(sim, "b", NULL);
    tear_down(&world);
}

static void an_empty_store_has_no_block_for_it(void **state)
{
    (void)state;
    struct simtree tree;
    simtree_init(&tree, 1, NULL);
    assert_int_equal(update(&tree.sim, "a", "1"), STOA_EREFUSED);
    expect(&tree.sim, "a", NULL);
    simtree_deinit(&tree);
}

/* ---- many at once ---- */

struct crowd {
    struct store_request requests[MANY];
    struct stoa_change changes[MANY];
    char keys[MANY][8];
    char values[MANY][8];
    unsigned order[MANY];
    unsigned done;
};

static void note_done(struct store_request *request)
{
    struct crowd *crowd = request->context;
    crowd->order[crowd->done++] = (unsigned)(request - crowd->requests);
}

/* Update NUMBER of key NUMBER % KEYS. */
static void submit(struct simstore *sim, struct crowd *crowd, unsigned number, unsigned keys)
{
    snprintf(crowd->keys[number], 8, "key%u", number % keys);
    snprintf(crowd->values[number], 8, "v%u", number);
    crowd->changes[number] = (struct stoa_change){.key = text(crowd->keys[number]),
                                                  .value = text(crowd->values[number])};
    crowd->requests[number] =
        (struct store_request){.kind = STORE_UPDATE_STATE, .done = note_done, .context = crowd};
    crowd->requests[number].put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    crowd->requests[number].put.changes = &crowd->changes[number];
    crowd->requests[number].put.change_count = 1;
    store_submit(sim->store, &crowd->requests[number]);
}

static void wait_for(struct simstore *sim, const struct crowd *crowd, unsigned count)
{
    while (crowd->done < count) {
        assert_true(io_run(sim->io, 1000000000) >= 0);
    }
}

static struct stoa_stats stats_of(struct simstore *sim)
{
    struct stoa_stats stats;
    store_get_stats(sim->store, &stats);
    return stats;
}

static void those_that_wait_together_share_a_frame(void **state)
{
    (void)state;
    struct world world;
    struct simstore *sim = &world.tree.sim;
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    set_up(&world);
    put(&world, world.chain, 1, 0);
    struct stoa_stats before = stats_of(sim);
    for (unsigned i = 0; i < MANY; i++) {
        submit(sim, crowd, i, 7);
    }
    wait_for(sim, crowd, MANY);
    assert_int_equal(stats_of(sim).appends - before.appends, 1);
    /* Of seven keys each stands in it once. */
    assert_true(stats_of(sim).frame_bytes - before.frame_bytes <= 64 + 64 + 7 * (6 + 5 + 3));
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(crowd->requests[i].result, 0);
        assert_int_equal(crowd->requests[i].height, 1);
        assert_int_equal(crowd->order[i], i);
    }
    for (unsigned i = MANY - 7; i < MANY; i++) {
        expect(sim, crowd->keys[i], crowd->values[i]);
    }
    /* While that is being written the rest gathers. */
    crowd->done = 0;
    submit(sim, crowd, 0, 7);
    for (unsigned i = 1; i < MANY; i++) {
        assert_true(io_run(sim->io, 0) >= 0);
        submit(sim, crowd, i, 7);
    }
    wait_for(sim, crowd, MANY);
    assert_true(stats_of(sim).appends - before.appends < 1 + MANY / 2);
    simtree_reopen(&world.tree);
    for (unsigned i = MANY - 7; i < MANY; i++) {
        expect(sim, crowd->keys[i], crowd->values[i]);
    }
    simtree_expect_verified(&world.tree);
    tear_down(&world);
    free(crowd);
}

static void one_that_is_called_off_or_bad_is_left_out(void **state)
{
    (void)state;
    struct world world;
    struct simstore *sim = &world.tree.sim;
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    set_up(&world);
    for (unsigned i = 0; i < 5; i++) {
        submit(sim, crowd, i, MANY);
    }
    assert_true(store_cancel(sim->store, &crowd->requests[0], STOA_ETIMEOUT));
    assert_true(store_cancel(sim->store, &crowd->requests[2], STOA_ECANCELED));
    crowd->requests[5] =
        (struct store_request){.kind = STORE_UPDATE_STATE, .done = note_done, .context = crowd};
    crowd->requests[5].put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    store_submit(sim->store, &crowd->requests[5]); /* of nothing */
    submit(sim, crowd, 6, MANY);
    wait_for(sim, crowd, 7);
    static const int wanted[] = {STOA_ETIMEOUT, 0, STOA_ECANCELED, 0, 0, STOA_EINVAL, 0};
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(crowd->requests[i].result, wanted[i]);
        if (i != 5) {
            expect(sim, crowd->keys[i], wanted[i] == 0 ? crowd->values[i] : NULL);
        }
    }
    assert_false(crowd->requests[0].appended || crowd->requests[2].appended);
    assert_true(crowd->requests[1].appended && crowd->requests[6].appended);
    tear_down(&world);
    free(crowd);
}

struct ordered {
    struct store_request request;
    bool done;
};

static void note_block(struct store_request *request)
{
    struct ordered *ordered = request->context;
    ordered->done = true;
}

static void blocks_and_updates_keep_their_order(void **state)
{
    (void)state;
    struct world world;
    struct simstore *sim = &world.tree.sim;
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    struct ordered blocks[BLOCKS];
    set_up(&world);
    for (unsigned i = 0; i < BLOCKS; i++) {
        submit(sim, crowd, 2 * i, 1);
        submit(sim, crowd, 2 * i + 1, 1);
        blocks[i] = (struct ordered){
            .request = {.kind = STORE_PUT_BLOCK,
                        .put = simstore_put_of(made_chain_block(world.chain, i + 1)),
                        .done = note_block,
                        .context = &blocks[i]}};
        store_submit(sim->store, &blocks[i].request);
    }
    submit(sim, crowd, 2 * BLOCKS, 1);
    wait_for(sim, crowd, 2 * BLOCKS + 1);
    for (unsigned i = 0; i <= BLOCKS; i++) {
        char value[8];
        snprintf(value, 8, "v%u", i == BLOCKS ? 2 * i : 2 * i + 1);
        expect_at(sim, "key0", i, value);
        assert_int_equal(crowd->requests[2 * i].height, i);
        assert_true(i == BLOCKS || (blocks[i].done && blocks[i].request.result == 0));
    }
    tear_down(&world);
    free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_is_there_at_once_and_stays),
        cmocka_unit_test(it_leaves_the_chain_and_comes_back_with_its_block),
        cmocka_unit_test(what_cannot_be_done_changes_nothing),
        cmocka_unit_test(an_empty_store_has_no_block_for_it),
        cmocka_unit_test(those_that_wait_together_share_a_frame),
        cmocka_unit_test(one_that_is_called_off_or_bad_is_left_out),
        cmocka_unit_test(blocks_and_updates_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
