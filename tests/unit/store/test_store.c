/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store's promises to its callers, on a simulated machine. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/rlp.h"
#include "support/simstore.h"

enum { BLOCKS = 40 };

static const uint64_t seed = 7;

struct fixture {
    struct simstore sim;
    struct made_chain *chain;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct io_sim_options options = {.seed = seed, .delay_ns_max = 1000000};
    fixture->chain = made_chain_create(seed, BLOCKS);
    simstore_init(&fixture->sim, seed);
    simstore_power(&fixture->sim, &options);
    assert_int_equal(simstore_create(&fixture->sim, fixture->chain), 0);
    assert_int_equal(simstore_open(&fixture->sim), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->sim.store != NULL) {
        assert_int_equal(simstore_close(&fixture->sim), 0);
    }
    simstore_deinit(&fixture->sim);
    made_chain_destroy(fixture->chain);
    free(fixture);
    return 0;
}

static void put_blocks(struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, number));
        assert_int_equal(simstore_put(&fixture->sim, &put), 0);
    }
}

static void reopen(struct fixture *fixture)
{
    assert_int_equal(simstore_close(&fixture->sim), 0);
    assert_int_equal(simstore_open(&fixture->sim), 0);
}

static void expect_head(struct fixture *fixture, uint64_t height)
{
    struct stoa_head head;
    store_get_head(fixture->sim.store, &head);
    assert_false(head.empty);
    assert_int_equal(head.height, height);
    assert_memory_equal(head.hash,
                        height == 0 ? made_chain_genesis_hash(fixture->chain)
                                    : made_chain_block(fixture->chain, height)->hash,
                        32);
}

static void expect_refusal(struct fixture *fixture, const struct stoa_store_block *put, int code,
                           const char *field)
{
    struct stoa_head before;
    struct stoa_head after;
    store_get_head(fixture->sim.store, &before);
    assert_int_equal(simstore_put(&fixture->sim, put), code);
    if (strstr(fixture->sim.detail.text, field) == NULL) {
        fail_msg("\"%s\" does not name %s", fixture->sim.detail.text, field);
    }
    store_get_head(fixture->sim.store, &after);
    assert_memory_equal(&before, &after, sizeof(before));
}

static void stored_blocks_are_read_back_at_once_and_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    expect_head(fixture, 0);
    put_blocks(fixture, 1, BLOCKS);
    expect_head(fixture, BLOCKS);
    simstore_expect(&fixture->sim, fixture->chain, 1, BLOCKS);
    assert_int_equal(store_checkpoint(fixture->sim.store, NULL), 0);
    simstore_expect(&fixture->sim, fixture->chain, 1, BLOCKS);
    reopen(fixture);
    expect_head(fixture, BLOCKS);
    simstore_expect(&fixture->sim, fixture->chain, 1, BLOCKS);
    assert_int_equal(simstore_verify(&fixture->sim, NULL), 0);
}

static void lost_tables_come_back_from_the_ledger(void **state)
{
    struct fixture *fixture = *state;
    put_blocks(fixture, 1, BLOCKS);
    assert_int_equal(simstore_close(&fixture->sim), 0);
    simstore_lose_tables(&fixture->sim);
    assert_int_equal(simstore_open(&fixture->sim), 0);
    expect_head(fixture, BLOCKS);
    simstore_expect(&fixture->sim, fixture->chain, 1, BLOCKS);
    assert_int_equal(simstore_verify(&fixture->sim, NULL), 0);
}

static void what_is_not_stored_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct stoa_block block;
    struct stoa_transaction transaction;
    struct bytes value;
    struct stoa_block_key by_height = {.by = STOA_BY_HEIGHT, .height = 1};
    struct stoa_block_key by_hash = {.by = STOA_BY_HASH, .hash = {1}};
    assert_int_equal(simstore_get(&fixture->sim, &by_height, &block), STOA_ENOTFOUND);
    assert_int_equal(simstore_get(&fixture->sim, &by_hash, &block), STOA_ENOTFOUND);
    assert_int_equal(simstore_get_transaction(&fixture->sim, by_hash.hash, &transaction),
                     STOA_ENOTFOUND);
    assert_int_equal(simstore_get_state(&fixture->sim, "key", &value), STOA_ENOTFOUND);
}

static void a_block_that_does_not_extend_the_head_is_refused(void **state)
{
    struct fixture *fixture = *state;
    put_blocks(fixture, 1, 3);
    struct stoa_store_block gap = simstore_put_of(made_chain_block(fixture->chain, 5));
    expect_refusal(fixture, &gap, STOA_EREFUSED, "parentHash");
    struct stoa_store_block again = simstore_put_of(made_chain_block(fixture->chain, 2));
    expect_refusal(fixture, &again, STOA_EEXISTS, "stored already");
    struct made_chain *branch = made_chain_create_branch(fixture->chain, 1, seed + 1, 2);
    struct stoa_store_block other = simstore_put_of(made_chain_block(branch, 2));
    expect_refusal(fixture, &other, STOA_EREFUSED, "parentHash");
    made_chain_destroy(branch);
    put_blocks(fixture, 4, 5);
    expect_head(fixture, 5);
}

static void an_empty_store_takes_block_0_only(void **state)
{
    struct fixture *fixture = *state;
    struct simstore sim;
    struct io_sim_options options = {.seed = seed};
    simstore_init(&sim, seed);
    simstore_power(&sim, &options);
    assert_int_equal(simstore_create(&sim, NULL), 0);
    assert_int_equal(simstore_open(&sim), 0);
    struct stoa_store_block first = simstore_put_of(made_chain_block(fixture->chain, 1));
    assert_int_equal(simstore_put(&sim, &first), STOA_EREFUSED);
    struct stoa_block genesis;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 0};
    assert_int_equal(simstore_get(&fixture->sim, &key, &genesis), 0);
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = genesis.block;
    assert_int_equal(simstore_put(&sim, &put), 0);
    assert_int_equal(simstore_put(&sim, &first), 0);
    store_view_release(genesis.view);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_deinit(&sim);
}

static void each_mutation_of_a_block_is_refused_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct made_block *good = made_chain_block(fixture->chain, 1);
    size_t size = good->block.size;
    uint8_t *copy = malloc(size + 1);
    struct stoa_store_block put = simstore_put_of(good);
    put.block = (struct stoa_bytes){copy, size};
    for (size_t bit = 0; bit < 8 * size; bit += 7) {
        memcpy(copy, good->block.data, size);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int result = simstore_put(&fixture->sim, &put);
        assert_true(result == STOA_EREFUSED || result == STOA_EINVAL);
        assert_true(strchr(fixture->sim.detail.text, ':') != NULL);
    }
    memcpy(copy, good->block.data, size);
    copy[size] = 0;
    put.block.size = size + 1;
    expect_refusal(fixture, &put, STOA_EINVAL, "after the end");
    for (size_t cut = 0; cut < size; cut += 13) {
        put.block.size = cut;
        assert_int_equal(simstore_put(&fixture->sim, &put), STOA_EINVAL);
    }
    free(copy);
    assert_int_not_equal(good->transaction_count, 0);
    struct stoa_store_block missing = simstore_put_of(good);
    missing.receipts = (struct stoa_bytes){(const uint8_t *)"\xc0", 1};
    expect_refusal(fixture, &missing, STOA_EREFUSED, "eceipts");
    put_blocks(fixture, 1, 1);
}

static void count_name(void *context, const char *name)
{
    unsigned *count = context;
    (void)name;
    (*count)++;
}

static void a_refused_genesis_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    struct error_detail detail;
    unsigned before = 0;
    unsigned after = 0;
    options.genesis_json = "{}";
    options.genesis_json_size = 2;
    assert_int_equal(io_list(fixture->sim.io, "/", count_name, &before), 0);
    assert_int_not_equal(store_create(fixture->sim.io, "/other", &options, &detail), 0);
    /* And where the disk fills up in the middle. */
    struct simstore small;
    struct io_sim_options small_options = {.seed = seed, .capacity = 100000};
    simstore_init(&small, seed);
    simstore_power(&small, &small_options);
    assert_int_equal(simstore_create(&small, fixture->chain), STOA_ENOSPACE);
    unsigned names = 0;
    assert_int_equal(io_list(small.io, "/", count_name, &names), 0);
    assert_int_equal(names, 0);
    simstore_deinit(&small);
    assert_int_equal(io_list(fixture->sim.io, "/", count_name, &after), 0);
    assert_int_equal(after, before);
}

static void given_senders_must_be_the_signers(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = 1;
    while (made_chain_block(fixture->chain, number)->transaction_count == 0) {
        number++;
    }
    put_blocks(fixture, 1, number - 1);
    const struct made_block *block = made_chain_block(fixture->chain, number);
    uint8_t *senders = malloc(block->senders.size);
    memcpy(senders, block->senders.data, block->senders.size);
    senders[3] ^= 1;
    struct stoa_store_block put = simstore_put_of(block);
    put.senders = senders;
    expect_refusal(fixture, &put, STOA_EREFUSED, "transactions[0].from");
    senders[3] ^= 1;
    assert_int_equal(simstore_put(&fixture->sim, &put), 0);
    free(senders);
}

static void a_side_block_is_readable_by_hash_and_leaves_the_chain_alone(void **state)
{
    struct fixture *fixture = *state;
    struct made_chain *branch = made_chain_create_branch(fixture->chain, 2, seed + 1, 3);
    put_blocks(fixture, 1, 5);
    struct stoa_store_block orphan = simstore_put_of(made_chain_block(branch, 4));
    orphan.flags = STOA_STORE_SIDE;
    expect_refusal(fixture, &orphan, STOA_EREFUSED, "parentHash");
    for (uint64_t number = 3; number <= 5; number++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(branch, number));
        put.flags = STOA_STORE_SIDE;
        assert_int_equal(simstore_put(&fixture->sim, &put), 0);
    }
    for (int round = 0; round < 2; round++) {
        expect_head(fixture, 5);
        simstore_expect(&fixture->sim, fixture->chain, 1, 5);
        for (uint64_t number = 3; number <= 5; number++) {
            const struct made_block *side = made_chain_block(branch, number);
            struct stoa_block_key key = {.by = STOA_BY_HASH};
            struct stoa_block found;
            memcpy(key.hash, side->hash, 32);
            assert_int_equal(simstore_get(&fixture->sim, &key, &found), 0);
            assert_false(found.canonical);
            assert_memory_equal(found.block.data, side->block.data, side->block.size);
            store_view_release(found.view);
        }
        assert_int_equal(simstore_verify(&fixture->sim, NULL), 0);
        reopen(fixture);
    }
    made_chain_destroy(branch);
    put_blocks(fixture, 6, 7);
}

static void an_envelope_and_its_hash_are_kept(void **state)
{
    struct fixture *fixture = *state;
    struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, 1));
    uint8_t envelope_hash[32] = {0xaa, 0xbb};
    put.envelope = (struct stoa_bytes){(const uint8_t *)"proof of work", 13};
    expect_refusal(fixture, &put, STOA_EINVAL, "envelope");
    put.envelope_hash = envelope_hash;
    assert_int_equal(simstore_put(&fixture->sim, &put), 0);
    for (int round = 0; round < 2; round++) {
        struct stoa_block_key key = {.by = STOA_BY_HASH, .hash = {0xaa, 0xbb}};
        struct stoa_block found;
        assert_int_equal(simstore_get(&fixture->sim, &key, &found), 0);
        assert_int_equal(found.height, 1);
        assert_int_equal(found.envelope.size, 13);
        assert_memory_equal(found.envelope.data, "proof of work", 13);
        store_view_release(found.view);
        reopen(fixture);
    }
    assert_int_equal(simstore_verify(&fixture->sim, NULL), 0);
}

static struct stoa_bytes text(const char *value)
{
    return (struct stoa_bytes){(const uint8_t *)value, value == NULL ? 0 : strlen(value)};
}

static void expect_state(struct fixture *fixture, const char *key, const char *wanted)
{
    struct bytes value;
    int result = simstore_get_state(&fixture->sim, key, &value);
    assert_int_equal(result, wanted == NULL ? STOA_ENOTFOUND : 0);
    if (wanted != NULL) {
        assert_int_equal(value.size, strlen(wanted));
        assert_memory_equal(value.data, wanted, value.size);
        memory_free((void *)(uintptr_t)value.data);
    }
}

static void the_newest_state_value_is_read_from_every_tier(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 1; number <= 6; number++) {
        char value[16];
        snprintf(value, sizeof(value), "value-%d", (int)number);
        struct stoa_change changes[] = {
            {text("changing"), text(value)},
            {text("toggling"), text(number % 2 == 0 ? NULL : "on")},
            {text(value), text("")},
        };
        struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, number));
        put.changes = changes;
        put.change_count = 3;
        assert_int_equal(simstore_put(&fixture->sim, &put), 0);
        expect_state(fixture, "changing", value);
        expect_state(fixture, "toggling", number % 2 == 0 ? NULL : "on");
        if (number % 3 == 0) {
            assert_int_equal(store_checkpoint(fixture->sim.store, NULL), 0);
            expect_state(fixture, "changing", value);
            expect_state(fixture, "toggling", number % 2 == 0 ? NULL : "on");
        }
    }
    expect_state(fixture, "value-2", "");
    assert_int_equal(simstore_close(&fixture->sim), 0);
    simstore_lose_tables(&fixture->sim);
    assert_int_equal(simstore_open(&fixture->sim), 0);
    expect_state(fixture, "changing", "value-6");
    expect_state(fixture, "toggling", NULL);
    expect_state(fixture, "value-5", "");
}

static void a_flipped_bit_is_named_and_costs_no_other_block(void **state)
{
    struct fixture *fixture = *state;
    put_blocks(fixture, 1, 12);
    assert_int_equal(simstore_close(&fixture->sim), 0);
    /* Somewhere in what is used: one block or none is hit. */
    assert_int_equal(io_disk_flip(fixture->sim.disk, "/store/ledger/00000001.seg", 9000, 3), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(simstore_open(&fixture->sim), 0);
        unsigned damaged = 0;
        for (uint64_t number = 0; number <= 12; number++) {
            struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
            struct stoa_block found;
            int result = simstore_get(&fixture->sim, &key, &found);
            if (result == STOA_ECORRUPT) {
                damaged++;
                assert_non_null(strstr(fixture->sim.detail.text, "00000001.seg"));
                continue;
            }
            assert_int_equal(result, 0);
            store_view_release(found.view);
        }
        assert_true(damaged <= 1);
        unsigned reported = 0;
        assert_int_equal(simstore_verify(&fixture->sim, &reported), STOA_ECORRUPT);
        assert_true(reported >= 1);
        assert_int_equal(simstore_close(&fixture->sim), 0);
        simstore_lose_tables(
            &fixture->sim); /* and the same when the tables are made anew around it */
    }
    assert_int_equal(simstore_open(&fixture->sim), 0);
}

static void note_done(struct store_request *request)
{
    bool *done = request->context;
    *done = true;
}

static void many_puts_in_flight_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    struct store_request requests[BLOCKS];
    bool done[BLOCKS] = {false};
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        struct store_request *request = &requests[number - 1];
        *request = (struct store_request){
            .kind = STORE_PUT_BLOCK,
            .put = simstore_put_of(made_chain_block(fixture->chain, number)),
            .done = note_done,
            .context = &done[number - 1],
        };
        store_submit(fixture->sim.store, request);
    }
    while (store_pending(fixture->sim.store) != 0) {
        assert_true(io_run(fixture->sim.io, 1000000000) >= 0);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        assert_true(done[i]);
        assert_int_equal(requests[i].result, 0);
    }
    simstore_expect(&fixture->sim, fixture->chain, 1, BLOCKS);
}

static void after_a_refused_block_those_that_build_on_it_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store_request requests[3];
    bool done[3] = {false};
    uint8_t *bad = malloc(made_chain_block(fixture->chain, 1)->block.size);
    memcpy(bad, made_chain_block(fixture->chain, 1)->block.data,
           made_chain_block(fixture->chain, 1)->block.size);
    bad[40] ^= 1;
    for (uint64_t number = 1; number <= 3; number++) {
        struct store_request *request = &requests[number - 1];
        *request = (struct store_request){
            .kind = STORE_PUT_BLOCK,
            .put = simstore_put_of(made_chain_block(fixture->chain, number)),
            .done = note_done,
            .context = &done[number - 1],
        };
        if (number == 1) {
            request->put.block.data = bad;
        }
        store_submit(fixture->sim.store, request);
    }
    while (store_pending(fixture->sim.store) != 0) {
        assert_true(io_run(fixture->sim.io, 1000000000) >= 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_true(requests[i].result == STOA_EREFUSED || requests[i].result == STOA_EINVAL);
    }
    free(bad);
    expect_head(fixture, 0);
    put_blocks(fixture, 1, 3);
}

/* Who is asked whether to go on. */
struct asked {
    uint64_t times;
    uint64_t no_from; /* 0: always */
};

static bool is_asked(void *context)
{
    struct asked *asked = context;
    return ++asked->times >= asked->no_from && asked->no_from != 0;
}

/* It asks once a frame at least, and ends with the first no. */
static void what_takes_long_ends_as_soon_as_it_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct asked asked = {.times = 0};
    put_blocks(fixture, 1, BLOCKS);
    assert_int_equal(simstore_close(&fixture->sim), 0);
    fixture->sim.is_stopping = is_asked;
    fixture->sim.stopping_context = &asked;
    uint64_t ends = 0;
    int result = STOA_ECANCELED;
    while (result == STOA_ECANCELED) { /* opening, at each frame of the replay */
        simstore_lose_tables(&fixture->sim);
        asked = (struct asked){.no_from = ends + 1};
        result = simstore_open(&fixture->sim);
        assert_true(result == 0 || asked.times == asked.no_from);
        ends += result == STOA_ECANCELED;
    }
    assert_int_equal(result, 0);
    assert_true(ends >= BLOCKS);
    expect_head(fixture, BLOCKS);
    ends = 0;
    do {
        asked = (struct asked){.no_from = ends + 1};
        result = simstore_verify(&fixture->sim, NULL);
        assert_true(result == 0 || asked.times == asked.no_from);
        ends += result == STOA_ECANCELED;
    } while (result == STOA_ECANCELED);
    assert_int_equal(result, 0);
    assert_true(ends >= BLOCKS);
    fixture->sim.is_stopping = NULL;
    reopen(fixture);
    simstore_expect(&fixture->sim, fixture->chain, 1, BLOCKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_blocks_are_read_back_at_once_and_after_reopening,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_tables_come_back_from_the_ledger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_stored_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_block_that_does_not_extend_the_head_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_empty_store_takes_block_0_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_mutation_of_a_block_is_refused_and_changes_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_genesis_leaves_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(given_senders_must_be_the_signers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_side_block_is_readable_by_hash_and_leaves_the_chain_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_envelope_and_its_hash_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_state_value_is_read_from_every_tier, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_named_and_costs_no_other_block, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_puts_in_flight_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_a_refused_block_those_that_build_on_it_are_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_takes_long_ends_as_soon_as_it_is_told, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
