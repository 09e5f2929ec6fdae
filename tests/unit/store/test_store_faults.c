/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole store on a simulated machine whose disk fails or fills up: what was acknowledged is there
 * afterwards, nothing waits for ever, and every failure is told. */
#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/simstore.h"

enum { BEFORE = 8, AT_ONCE = 24, BLOCKS = 60, ROUNDS = 12, RESERVE = 8 << 20 };

static const uint64_t seed = 23;
static const uint64_t hour_ns = 3600000000000;
static const uint64_t much = (uint64_t)1 << 40;

struct fixture {
    struct simstore sim;
    struct made_chain *chain;
    struct store_request requests[AT_ONCE];
    bool is_done[AT_ONCE];
    unsigned done;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->chain = made_chain_create(seed, BLOCKS);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    made_chain_destroy(fixture->chain);
    free(fixture);
    return 0;
}

static void power(struct fixture *fixture, struct io_sim_options options)
{
    options.delay_ns_max = 500000;
    simstore_power(&fixture->sim, &options);
}

static void open_store(struct fixture *fixture)
{
    int result = simstore_open(&fixture->sim);
    if (result != 0) {
        fail_msg("open: %d %s", result, fixture->sim.detail.text);
    }
}

/* A store with blocks 0 to BEFORE, closed, on a machine that is off. */
static void begin(struct fixture *fixture, uint64_t machine_seed)
{
    struct simstore *sim = &fixture->sim;
    simstore_init(sim, machine_seed);
    sim->cache_size = 0; /* reads are to reach the disk */
    power(fixture, (struct io_sim_options){.seed = machine_seed});
    assert_int_equal(simstore_create(sim, fixture->chain), 0);
    open_store(fixture);
    for (uint64_t number = 1; number <= BEFORE; number++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, number));
        assert_int_equal(simstore_put(sim, &put), 0);
    }
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
}

/* A sound machine again: blocks 1 to ACKNOWLEDGED are there, and it goes on. */
static void expect_all_well(struct fixture *fixture, uint64_t acknowledged)
{
    struct simstore *sim = &fixture->sim;
    struct stoa_head head;
    power(fixture, (struct io_sim_options){.seed = seed});
    open_store(fixture);
    store_get_head(sim->store, &head);
    assert_true(head.height >= acknowledged);
    simstore_expect(sim, fixture->chain, 1, acknowledged);
    for (uint64_t number = head.height + 1; number <= head.height + 5; number++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, number));
        assert_int_equal(simstore_put(sim, &put), 0);
    }
    simstore_expect(sim, fixture->chain, 1, head.height + 5);
    assert_int_equal(simstore_verify(sim, NULL), 0);
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    simstore_deinit(sim);
}

static void note_done(struct store_request *request)
{
    struct fixture *fixture = request->context;
    fixture->is_done[request - fixture->requests] = true;
    fixture->done++;
}

/* A turn of the loop. False: power is gone. */
static bool turn(struct fixture *fixture)
{
    int result = io_run(fixture->sim.io, hour_ns);
    assert_true(result >= 0 || io_sim_is_cut(fixture->sim.io));
    return result >= 0;
}

/* Submit the AT_ONCE blocks behind BEFORE together and wait for all, or until power is gone.
 * Returns the height up to which they were acknowledged. */
static uint64_t put_at_once(struct fixture *fixture)
{
    struct simstore *sim = &fixture->sim;
    uint64_t acknowledged = BEFORE;
    uint64_t begun = io_now_ns(sim->io);
    bool powered = true;
    fixture->done = 0;
    memset(fixture->is_done, 0, sizeof(fixture->is_done));
    for (uint64_t i = 0; powered && i < AT_ONCE; i++) {
        fixture->requests[i] = (struct store_request){
            .kind = STORE_PUT_BLOCK,
            .put = simstore_put_of(made_chain_block(fixture->chain, BEFORE + 1 + i)),
            .done = note_done,
            .context = fixture,
        };
        store_submit(sim->store, &fixture->requests[i]);
        while (powered && i % 5 == 4 && fixture->done + 8 < i) { /* in several groups */
            powered = turn(fixture);
        }
    }
    while (powered && fixture->done < AT_ONCE) {
        powered = turn(fixture);
        assert_true(io_now_ns(sim->io) - begun < hour_ns); /* else it hangs */
    }
    for (uint64_t i = 0; i < AT_ONCE; i++) {
        const struct store_request *request = &fixture->requests[i];
        if (!fixture->is_done[i]) {
            assert_false(powered);
        } else if (request->result == 0) {
            assert_int_equal(acknowledged, BEFORE + i); /* a prefix */
            acknowledged++;
        } else {
            assert_int_not_equal(request->detail.text[0], 0);
            assert_int_not_equal(request->result, STOA_EREFUSED); /* the blocks are in order */
        }
    }
    return acknowledged;
}

/* What comes after the failure is told what failed. */
static void expect_stopped(struct fixture *fixture, uint64_t number)
{
    struct simstore *sim = &fixture->sim;
    struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, number));
    int result = simstore_put(sim, &put);
    if (result != STOA_ESTOPPED || strstr(sim->detail.text, strerror(EIO)) == NULL) {
        fail_msg("a put behind the failure: %d %s", result, sim->detail.text);
    }
}

/* Open and write on a failing machine; where OPENING failed nothing was acknowledged. */
static uint64_t try_writing(struct fixture *fixture, struct io_sim_options options)
{
    struct simstore *sim = &fixture->sim;
    uint64_t acknowledged = BEFORE;
    power(fixture, options);
    int result = simstore_open(sim);
    if (result != 0) {
        assert_int_not_equal(sim->detail.text[0], 0);
        simstore_unpower(sim);
        return acknowledged;
    }
    acknowledged = put_at_once(fixture);
    if (options.read_error_1_in == 0) { /* reads go on */
        simstore_expect(sim, fixture->chain, 1, acknowledged);
    }
    struct stoa_stats stats;
    store_get_stats(sim->store, &stats);
    if (acknowledged < BEFORE + AT_ONCE && options.read_error_1_in == 0) {
        assert_true(stats.stopped);
        expect_stopped(fixture, acknowledged + 1);
    }
    result = simstore_close(sim);
    if (stats.stopped) {
        assert_int_not_equal(result, 0);
        assert_int_not_equal(sim->detail.text[0], 0);
    }
    simstore_unpower(sim);
    return acknowledged;
}

static void writes_that_fail_lose_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned rates[] = {1, 2, 5, 15};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        begin(fixture, seed + round);
        expect_all_well(fixture, try_writing(fixture, (struct io_sim_options){
                                                          .seed = seed + round,
                                                          .write_error_1_in = rates[round % 4],
                                                      }));
    }
}

static void flushes_that_fail_lose_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned rates[] = {1, 2, 5, 15};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        begin(fixture, seed + round);
        expect_all_well(fixture, try_writing(fixture, (struct io_sim_options){
                                                          .seed = seed + round,
                                                          .sync_error_1_in = rates[round % 4],
                                                      }));
    }
}

/* Only reads are left to be done, where writing has stopped. */
static void read_until_cut(struct simstore *sim)
{
    struct stoa_block_key key = {.by = STOA_LATEST};
    while (!io_sim_is_cut(sim->io)) {
        struct stoa_block found;
        if (simstore_get(sim, &key, &found) == 0) {
            store_view_release(found.view);
        }
    }
}

/* Power goes when it has failed already: what was not flushed is lost, or half there. */
static void power_cut_behind_a_failed_write_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    struct simstore *sim = &fixture->sim;
    for (uint64_t round = 0; round < 4 * ROUNDS; round++) {
        uint64_t acknowledged = BEFORE;
        begin(fixture, seed + round);
        power(fixture, (struct io_sim_options){
                           .seed = seed + round,
                           .write_error_1_in = 9,
                           .sync_error_1_in = 9,
                           .torn = true,
                           .cut_at = 20 + round,
                       });
        if (simstore_open(sim) != 0) {
            simstore_unpower(sim); /* it failed before */
        } else {
            acknowledged = put_at_once(fixture);
            read_until_cut(sim);
            simstore_cut(sim, seed + round, true);
        }
        expect_all_well(fixture, acknowledged);
    }
}

static void reads_that_fail_are_told_and_nothing_wrong_is_served(void **state)
{
    struct fixture *fixture = *state;
    struct simstore *sim = &fixture->sim;
    unsigned failed = 0;
    unsigned served = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        begin(fixture, seed + round);
        power(fixture, (struct io_sim_options){.seed = seed + round, .read_error_1_in = 30});
        int opened = simstore_open(sim);
        for (uint64_t i = 0; opened == 0 && i < 10 * BEFORE; i++) {
            uint64_t number = 1 + i % BEFORE;
            struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
            const struct made_block *block = made_chain_block(fixture->chain, number);
            struct stoa_block found;
            int result = simstore_get(sim, &key, &found);
            if (result != 0) {
                assert_int_equal(result, STOA_EIO);
                assert_int_not_equal(sim->detail.text[0], 0);
                failed++;
                continue;
            }
            assert_int_equal(found.block.size, block->block.size);
            assert_memory_equal(found.block.data, block->block.data, block->block.size);
            store_view_release(found.view);
            served++;
        }
        if (opened == 0) {
            (void)simstore_close(sim); /* it may fail as well */
        } else {
            assert_int_not_equal(sim->detail.text[0], 0);
        }
        simstore_unpower(sim);
        expect_all_well(fixture, BEFORE);
    }
    assert_true(failed > 0);
    assert_true(served > 0);
}

/* With no byte readable the store must not take itself for empty or damaged, and change nothing. */
static void store_that_cannot_be_read_does_not_open_and_stays_whole(void **state)
{
    struct fixture *fixture = *state;
    struct simstore *sim = &fixture->sim;
    begin(fixture, seed);
    power(fixture, (struct io_sim_options){.seed = seed, .read_error_1_in = 1});
    assert_int_equal(simstore_open(sim), STOA_EIO);
    assert_int_not_equal(sim->detail.text[0], 0);
    simstore_unpower(sim);
    expect_all_well(fixture, BEFORE);
}

static uint64_t used_bytes(struct fixture *fixture)
{
    uint64_t free_bytes;
    uint64_t total;
    power(fixture, (struct io_sim_options){.seed = seed, .capacity = much});
    assert_int_equal(io_space(fixture->sim.io, "/", &free_bytes, &total), 0);
    simstore_unpower(&fixture->sim);
    return total - free_bytes;
}

/* Store from FIRST on, each with a large envelope, until it is refused; returns the last height. */
static uint64_t fill_disk(struct fixture *fixture, uint64_t first, struct stoa_bytes envelope)
{
    struct simstore *sim = &fixture->sim;
    for (uint64_t number = first;; number++) {
        assert_true(number < BLOCKS - 5); /* else it is never full */
        struct stoa_store_block put = simstore_put_of(made_chain_block(fixture->chain, number));
        uint8_t envelope_hash[32] = {(uint8_t)number, 0xee};
        put.envelope = envelope;
        put.envelope_hash = envelope_hash;
        int result = simstore_put(sim, &put);
        if (result != 0) {
            assert_int_equal(result, STOA_ENOSPACE);
            assert_int_not_equal(sim->detail.text[0], 0);
            return number - 1;
        }
    }
}

/* A disk with room for ROOM bytes and segments of SEGMENT_SIZE. */
static void fill_and_go_on(struct fixture *fixture, uint64_t room, uint32_t segment_size)
{
    struct simstore *sim = &fixture->sim;
    struct stoa_stats stats;
    struct stoa_bytes envelope = {calloc(1, 900000), 900000};
    assert_non_null(envelope.data);
    begin(fixture, seed);
    sim->segment_size = segment_size;
    struct io_sim_options small = {.seed = seed, .capacity = used_bytes(fixture) + room};
    power(fixture, small);
    open_store(fixture);
    uint64_t last = fill_disk(fixture, BEFORE + 1, envelope);
    assert_true(last > BEFORE);
    for (int again = 0; again < 3; again++) {
        assert_int_equal(fill_disk(fixture, last + 1, envelope), last);
    }
    store_get_stats(sim->store, &stats);
    assert_false(stats.stopped);
    simstore_expect(sim, fixture->chain, 1, last);
    assert_int_equal(simstore_verify(sim, NULL), 0);
    assert_int_equal(simstore_close(sim), 0);
    open_store(fixture); /* as full as before */
    simstore_expect(sim, fixture->chain, 1, last);
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    free((void *)(uintptr_t)envelope.data);
    expect_all_well(fixture, last);
}

static void full_disk_refuses_puts_at_the_watermark_and_reads_go_on(void **state)
{
    fill_and_go_on(*state, RESERVE + (3 << 20), LEDGER_SEGMENT_SIZE_MIN);
}

/* The next segment is larger than what the watermark leaves free. */
static void full_disk_refuses_the_next_segment_and_reads_go_on(void **state)
{
    fill_and_go_on(*state, RESERVE + (5 << 20), 18 << 20);
}

static void puts_at_once_on_a_full_disk_are_all_answered(void **state)
{
    struct fixture *fixture = *state;
    struct simstore *sim = &fixture->sim;
    begin(fixture, seed);
    power(fixture, (struct io_sim_options){.seed = seed, .capacity = used_bytes(fixture) + 4096});
    open_store(fixture);
    assert_int_equal(put_at_once(fixture), BEFORE);
    assert_int_equal(fixture->requests[0].result, STOA_ENOSPACE);
    simstore_expect(sim, fixture->chain, 1, BEFORE);
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    expect_all_well(fixture, BEFORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_that_fail_lose_nothing_acknowledged, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(flushes_that_fail_lose_nothing_acknowledged, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(power_cut_behind_a_failed_write_loses_nothing_acknowledged,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_that_fail_are_told_and_nothing_wrong_is_served,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(store_that_cannot_be_read_does_not_open_and_stays_whole,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_refuses_puts_at_the_watermark_and_reads_go_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_refuses_the_next_segment_and_reads_go_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(puts_at_once_on_a_full_disk_are_all_answered, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
