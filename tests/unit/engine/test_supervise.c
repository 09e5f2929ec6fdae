/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store whose disk fails for a while is opened again under its handle, on a simulated machine:
 * the test says when writes and flushes fail, and what time it is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "store/store_private.h"
#include "support/simstore.h"

enum { BLOCKS = 60, FAILURES_MAX = 64, TURNS_MAX = 20000, SEEDS = 25 };

static const uint64_t ms_ns = 1000000;

struct failure {
    struct io_request timer;
    struct io_request *request;
    bool busy;
};

/* Stands between the engine and the simulated loop. */
struct rig {
    struct simstore sim;
    struct made_chain *chain;
    struct stoa *stoa;
    struct io_ops ops;
    const struct io_ops *real;
    uint64_t later_ns; /* added to the time */
    unsigned failing;  /* so many writes and flushes to come */
    struct failure failures[FAILURES_MAX];
    struct kv_ops tables; /* that fail, once they are in place: until they are opened again */
};

static struct rig rig;

static uint64_t rig_now_ns(struct io *io)
{
    return rig.real->now_ns(io) + rig.later_ns;
}

static void fail_now(struct io_request *timer)
{
    struct failure *failure = timer->context;
    struct io_request *request = failure->request;
    failure->busy = false;
    request->result = STOA_EIO;
    request->os_error = EIO;
    request->done(request);
}

static void rig_submit(struct io *io, struct io_request *request)
{
    if (rig.failing != 0 && (request->op == IO_WRITE || request->op == IO_SYNC)) {
        unsigned i = 0;
        while (rig.failures[i].busy) {
            i++;
            assert_true(i < FAILURES_MAX);
        }
        rig.failing--;
        rig.failures[i] = (struct failure){.request = request, .busy = true};
        rig.failures[i].timer =
            (struct io_request){.op = IO_TIMER, .done = fail_now, .context = &rig.failures[i]};
        rig.real->submit(io, &rig.failures[i].timer);
        return;
    }
    if (request->op == IO_TIMER) { /* it was set by the rig's clock */
        request->deadline_ns -=
            request->deadline_ns < rig.later_ns ? request->deadline_ns : rig.later_ns;
    }
    rig.real->submit(io, request);
}

/* ---- tables that fail ---- */

static int fail_commit(struct kv_session *session, struct error_detail *detail)
{
    kv_rollback(session);
    return error_set(detail, STOA_ESTOPPED, "commit: the tables' engine has stopped");
}

static int fail_checkpoint(struct kv_session *session, struct error_detail *detail)
{
    (void)session;
    return error_set(detail, STOA_EIO, "checkpoint: %s", strerror(EIO));
}

static int meet_damage(struct kv_session *session, const char *table, struct bytes key,
                       struct bytes *out_value, struct error_detail *detail)
{
    (void)session;
    (void)key;
    (void)out_value;
    return error_set(detail, STOA_ECORRUPT, "table %s: bad checksum", table);
}

/* The same tables, and what the test changes of them. */
static struct kv_ops *spoil_tables(void)
{
    rig.tables = *rig.sim.store->kv->ops;
    rig.sim.store->kv->ops = &rig.tables;
    return &rig.tables;
}

/* The test's own thread turns the loop. */
static void rig_wake(struct io *io)
{
    (void)io;
}

static void start(const struct stoa_options *options, const struct io_sim_options *machine)
{
    simstore_power(&rig.sim, machine);
    rig.stoa = engine_make("/store", options);
    assert_non_null(rig.stoa);
    rig.sim.io->metrics = rig.stoa->metrics;
    rig.real = rig.sim.io->ops;
    rig.ops = *rig.real;
    rig.ops.now_ns = rig_now_ns;
    rig.ops.submit = rig_submit;
    rig.ops.wake = rig_wake;
    rig.stoa->io = rig.sim.io;
}

/* The store opens on a machine that does not fail yet. */
static void serve(void)
{
    assert_int_equal(simstore_open(&rig.sim), 0);
    rig.sim.io->ops = &rig.ops;
    rig.stoa->store = rig.sim.store;
    rig.stoa->mailbox = mailbox_create(rig.sim.io, MAILBOX_CAPACITY);
    assert_non_null(rig.stoa->mailbox);
    assert_int_equal(engine_deliver_init(rig.stoa), 0);
    engine_health_start(rig.stoa);
}

static void create(const struct stoa_options *options)
{
    struct io_sim_options machine = {.seed = 3};
    memset(&rig, 0, sizeof(rig));
    rig.chain = made_chain_create(17, BLOCKS);
    simstore_init(&rig.sim, 3);
    start(options, &machine);
    assert_int_equal(simstore_create(&rig.sim, rig.chain), 0);
    serve();
}

static int set_up(void **state)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    (void)state;
    create(&options);
    return 0;
}

static void stop(void)
{
    engine_health_stop(rig.stoa);
    engine_deliver_deinit(rig.stoa);
    mailbox_destroy(rig.stoa->mailbox);
    engine_free(rig.stoa);
    rig.sim.io->ops = rig.real;
    rig.sim.io->metrics = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    (void)simstore_close(&rig.sim); /* it fails where the store was given up */
    simstore_deinit(&rig.sim);
    made_chain_destroy(rig.chain);
    return 0;
}

/* Messages that were submitted are all answered by the end of some turns; the first COUNT of them
 * go to OUT. */
static void turn_until(struct stoa_completion *out, unsigned count)
{
    unsigned have = 0;
    for (unsigned i = 0; have < count; i++) {
        assert_true(i < TURNS_MAX);
        assert_true(engine_loop_turn(rig.stoa) >= 0);
        have += (unsigned)stoa_reap(rig.stoa, out + have, count - have, 0);
    }
}

static void turn(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        assert_true(engine_loop_turn(rig.stoa) >= 0);
    }
}

static void submit_put(uint64_t number, uint32_t deadline_ms)
{
    struct stoa_store_block put = simstore_put_of(made_chain_block(rig.chain, number));
    struct stoa_call call = STOA_CALL_INIT;
    call.tag = number;
    call.deadline_ms = deadline_ms;
    assert_int_equal(stoa_submit_store_block(rig.stoa, &put, &call), 0);
}

static struct stoa_completion put(uint64_t number)
{
    struct stoa_completion done;
    submit_put(number, 0);
    turn_until(&done, 1);
    return done;
}

static void put_all(uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        struct stoa_completion done = put(number);
        if (done.result != 0) {
            fail_msg("block %llu: %s", (unsigned long long)number, done.detail.text);
        }
    }
}

static struct stoa_block get(uint64_t number)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
    struct stoa_completion done;
    assert_int_equal(stoa_submit_get_block(rig.stoa, &key, NULL), 0);
    turn_until(&done, 1);
    assert_int_equal(done.result, 0);
    return done.block;
}

static void expect(uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        const struct made_block *made = made_chain_block(rig.chain, number);
        struct stoa_block block = get(number);
        assert_memory_equal(block.hash, made->hash, 32);
        assert_int_equal(block.block.size, made->block.size);
        assert_memory_equal(block.block.data, made->block.data, made->block.size);
        stoa_release(block.view);
    }
    turn(1); /* the views come home */
}

static struct stoa_health health(void)
{
    struct stoa_health now = STOA_HEALTH_INIT;
    assert_int_equal(stoa_get_health(rig.stoa, &now), 0);
    return now;
}

static uint64_t restarts(enum metrics_child child)
{
    return metrics_get(rig.stoa->metrics, METRICS_RESTARTS + child);
}

static void failed_flush_is_mended_and_nothing_acknowledged_is_lost(void **state)
{
    struct stoa_completion done[3];
    (void)state;
    put_all(1, 5);
    struct stoa_block held = get(3);
    uint64_t version = health().version;
    rig.failing = 1;
    submit_put(6, 0);
    submit_put(7, 0);
    submit_put(8, 0);
    turn_until(done, 3);
    assert_int_equal(done[0].tag, 6);
    assert_int_equal(done[0].result, STOA_ESTOPPED);
    assert_int_equal(done[0].effect, STOA_EFFECT_UNKNOWN);
    assert_non_null(strstr(done[0].detail.text, "may have been done"));
    turn(3);
    assert_int_equal(restarts(METRICS_CHILD_LEDGER), 1);
    assert_int_equal(health().restarts, 1);
    assert_int_equal(health().state, STOA_HEALTHY);
    assert_true(health().version >= version + 2); /* it was told that it began and that it ended */
    expect(1, 5);
    put_all(6, 20);
    expect(1, 20);
    const struct made_block *made = made_chain_block(rig.chain, 3);
    assert_memory_equal(held.block.data, made->block.data, made->block.size);
    stoa_release(held.view);
    turn(1);
}

static void write_that_comes_meanwhile_waits_and_is_stored(void **state)
{
    struct stoa_completion done;
    (void)state;
    put_all(1, 5);
    rig.failing = UINT32_MAX; /* also when it is opened again */
    assert_int_equal(put(6).effect, STOA_EFFECT_UNKNOWN);
    turn(20);
    assert_int_equal(health().state, STOA_DEGRADED);
    assert_non_null(strstr(health().reasons[0].text, "opened again"));
    submit_put(6, 0);
    submit_put(7, 0);
    turn(5);
    assert_int_equal(stoa_reap(rig.stoa, &done, 1, 0), 0);
    expect(1, 5); /* reads go on */
    rig.failing = 0;
    struct stoa_completion both[2];
    turn_until(both, 2);
    assert_int_equal(both[0].tag, 6);
    assert_int_equal(both[0].result, 0);
    assert_int_equal(both[1].result, 0);
    assert_int_equal(health().state, STOA_HEALTHY);
    assert_true(metrics_get(rig.stoa->metrics, METRICS_RESTART_ERRORS + METRICS_CHILD_LEDGER) > 0);
    expect(1, 7);
}

static void deadline_and_cancellation_reach_what_is_held(void **state)
{
    struct stoa_completion done;
    (void)state;
    put_all(1, 2);
    rig.failing = UINT32_MAX;
    assert_int_equal(put(3).effect, STOA_EFFECT_UNKNOWN);
    submit_put(3, 100);
    turn(5);
    rig.later_ns += 101 * ms_ns;
    turn_until(&done, 1);
    assert_int_equal(done.result, STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    rig.failing = 0;
    rig.later_ns += 60000 * ms_ns;
    turn(50);
    assert_int_equal(health().state, STOA_HEALTHY);
    put_all(3, 4);
    expect(1, 4);
}

static void spent_budget_leaves_it_read_only_and_says_why(void **state)
{
    struct stoa_completion done;
    (void)state;
    put_all(1, 5);
    rig.failing = UINT32_MAX;
    assert_int_equal(put(6).effect, STOA_EFFECT_UNKNOWN);
    submit_put(6, 0);
    for (unsigned i = 0; i < 200 && health().state != STOA_READ_ONLY; i++) {
        rig.later_ns += 1000 * ms_ns;
        turn(30);
    }
    assert_int_equal(health().state, STOA_READ_ONLY);
    assert_non_null(strstr(health().reasons[0].text, "read-only"));
    assert_non_null(strstr(health().reasons[0].text, strerror(EIO)));
    assert_int_equal(metrics_get(rig.stoa->metrics, METRICS_RESTART_ERRORS + METRICS_CHILD_LEDGER),
                     4);
    turn_until(&done, 1);
    assert_int_equal(done.result, STOA_EREADONLY);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    rig.failing = 0;
    assert_int_equal(put(6).result, STOA_EREADONLY); /* for good */
    expect(1, 5);
}

static int set_up_small_budget(void **state)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    (void)state;
    options.restarts_max = 4;
    options.restart_seconds = 3600;
    options.restart_pause_max_ms = 2000;
    create(&options);
    return 0;
}

static int set_up_no_budget(void **state)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    (void)state;
    options.restarts_max = STOA_NO_RESTARTS;
    create(&options);
    return 0;
}

static void without_restarts_the_first_failure_is_the_last(void **state)
{
    (void)state;
    put_all(1, 3);
    rig.failing = 1;
    assert_int_equal(put(4).effect, STOA_EFFECT_UNKNOWN);
    turn(3);
    assert_int_equal(health().state, STOA_READ_ONLY);
    assert_int_equal(put(4).result, STOA_EREADONLY);
    expect(1, 3);
}

/* ---- the tables alone ---- */

static void failed_transaction_of_the_tables_is_made_again_and_nothing_is_lost(void **state)
{
    (void)state;
    put_all(1, 5);
    spoil_tables()->commit = fail_commit;
    for (unsigned i = 0; restarts(METRICS_CHILD_TABLES) == 0; i++) {
        assert_true(i < 100);
        rig.later_ns += 100 * ms_ns; /* the batch comes of age */
        turn(10);
    }
    turn(3);
    assert_int_equal(restarts(METRICS_CHILD_TABLES), 1);
    assert_int_equal(restarts(METRICS_CHILD_LEDGER), 0);
    assert_int_equal(health().state, STOA_HEALTHY);
    assert_int_equal(health().restarts, 1);
    expect(1, 5);
    put_all(6, 12);
    expect(1, 12);
}

static void failed_checkpoint_is_mended_as_well(void **state)
{
    (void)state;
    put_all(1, 5);
    spoil_tables()->checkpoint = fail_checkpoint;
    for (unsigned i = 0; restarts(METRICS_CHILD_TABLES) == 0; i++) {
        assert_true(i < 100);
        rig.later_ns += 5000 * ms_ns;
        turn(20);
    }
    turn(3);
    assert_int_equal(health().state, STOA_HEALTHY);
    expect(1, 5);
    put_all(6, 8);
    expect(1, 8);
}

static void read_that_meets_damaged_tables_is_answered_when_they_were_made_anew(void **state)
{
    (void)state;
    put_all(1, 5);
    assert_int_equal(store_checkpoint(rig.stoa->store, NULL), 0);
    spoil_tables()->get = meet_damage;
    struct stoa_block block = get(3);
    assert_memory_equal(block.hash, made_chain_block(rig.chain, 3)->hash, 32);
    stoa_release(block.view);
    assert_int_equal(metrics_get(rig.stoa->metrics, METRICS_READS_AGAIN), 1);
    assert_int_equal(restarts(METRICS_CHILD_TABLES), 1);
    assert_int_equal(restarts(METRICS_CHILD_LEDGER), 0);
    expect(1, 5);
    put_all(6, 8);
    expect(1, 8);
}

static int set_up_write_through(void **state)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct io_sim_options machine = {.seed = 3};
    (void)state;
    memset(&rig, 0, sizeof(rig));
    rig.chain = made_chain_create(17, BLOCKS);
    simstore_init(&rig.sim, 3);
    rig.sim.write_through = true;
    start(&options, &machine);
    assert_int_equal(simstore_create(&rig.sim, rig.chain), 0);
    serve();
    return 0;
}

static uint64_t pending_blocks(void)
{
    struct stoa_stats stats;
    store_get_stats(rig.stoa->store, &stats);
    return stats.pending_blocks;
}

static void written_through_each_write_is_in_the_tables_when_it_is_answered(void **state)
{
    struct stoa_completion done[8];
    (void)state;
    for (uint64_t number = 1; number <= 5; number++) {
        put_all(number, number);
        assert_int_equal(pending_blocks(), 0);
        expect(1, number);
    }
    for (uint64_t number = 6; number <= 13; number++) {
        submit_put(number, 0);
    }
    turn_until(done, 8);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(done[i].result, 0);
        assert_int_equal(done[i].tag, 6 + i);
    }
    assert_int_equal(pending_blocks(), 0);
    struct stoa_change change = {.key = {(const uint8_t *)"key", 3},
                                 .value = {(const uint8_t *)"value", 5}};
    struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
    update.changes = &change;
    update.change_count = 1;
    assert_int_equal(stoa_submit_update_state(rig.stoa, &update, NULL), 0);
    turn_until(done, 1);
    assert_int_equal(done[0].result, 0);
    assert_int_equal(pending_blocks(), 0);
    /* What leaves nothing for the tables is answered all the same. */
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 3};
    assert_int_equal(stoa_submit_set_safe(rig.stoa, &key, NULL), 0);
    assert_int_equal(stoa_submit_update_head(rig.stoa, made_chain_block(rig.chain, 13)->hash, NULL),
                     0);
    assert_int_equal(stoa_submit_update_head(rig.stoa, made_chain_block(rig.chain, 10)->hash, NULL),
                     0);
    turn_until(done, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(done[i].result, 0);
    }
    assert_int_equal(pending_blocks(), 0);
    expect(1, 10);
}

static void written_through_a_failure_of_the_tables_is_told_and_the_write_is_there(void **state)
{
    struct stoa_completion done[3];
    (void)state;
    put_all(1, 5);
    spoil_tables()->commit = fail_commit;
    submit_put(6, 0);
    submit_put(7, 0);
    submit_put(8, 60000); /* with a deadline it may be tried again, but not when it may be done */
    turn_until(done, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(done[i].result, STOA_ESTOPPED);
        assert_int_equal(done[i].effect, STOA_EFFECT_UNKNOWN);
        assert_non_null(strstr(done[i].detail.text, "may have been done"));
    }
    turn(3);
    assert_int_equal(health().state, STOA_HEALTHY);
    assert_int_equal(restarts(METRICS_CHILD_TABLES), 1);
    expect(1, 8);
    assert_int_equal(put(8).result, STOA_EEXISTS);
    put_all(9, 12);
    assert_int_equal(pending_blocks(), 0);
}

/* Store block after block on a machine that fails at random; returns the last acknowledged. */
static uint64_t store_through_failures(void)
{
    uint64_t number = 1;
    for (unsigned tries = 0; number < BLOCKS - 2 && tries < 2000; tries++) {
        struct stoa_completion done = put(number);
        if (done.result == 0 || done.result == STOA_EEXISTS) {
            number++;
        } else {
            assert_int_equal(done.result, STOA_ESTOPPED);
        }
    }
    return number - 1;
}

static void machine_that_fails_at_random_and_loses_power_loses_nothing_acknowledged(void **state)
{
    uint64_t all = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stoa_options options = STOA_OPTIONS_INIT;
        struct io_sim_options machine = {.seed = seed, .delay_ns_max = 300000};
        options.restarts_max = SUPERVISOR_RESTARTS_MAX;
        options.restart_seconds = 1;
        create(&options);
        put_all(1, 1);
        stop();
        assert_int_equal(simstore_close(&rig.sim), 0);
        simstore_unpower(&rig.sim);
        machine.write_error_1_in = 25;
        machine.sync_error_1_in = 25;
        machine.torn = true;
        start(&options, &machine);
        if (simstore_open(&rig.sim) != 0) { /* it failed at once */
            engine_free(rig.stoa);
            simstore_unpower(&rig.sim);
            simstore_deinit(&rig.sim);
            made_chain_destroy(rig.chain);
            continue;
        }
        rig.sim.io->ops = &rig.ops;
        rig.stoa->store = rig.sim.store;
        rig.stoa->mailbox = mailbox_create(rig.sim.io, MAILBOX_CAPACITY);
        assert_int_equal(engine_deliver_init(rig.stoa), 0);
        engine_health_start(rig.stoa);
        uint64_t last = store_through_failures();
        expect(1, last);
        all += restarts(METRICS_CHILD_LEDGER);
        stop();
        struct io_disk *left = io_disk_cut(rig.sim.disk, seed, true); /* had power gone now */
        assert_non_null(left);
        (void)simstore_close(&rig.sim); /* it may fail as well */
        simstore_unpower(&rig.sim);
        io_disk_destroy(rig.sim.disk);
        rig.sim.disk = left;
        simstore_power(&rig.sim, &(struct io_sim_options){.seed = seed});
        assert_int_equal(simstore_open(&rig.sim), 0);
        simstore_expect(&rig.sim, rig.chain, 1, last);
        assert_int_equal(simstore_verify(&rig.sim, NULL), 0);
        assert_int_equal(simstore_close(&rig.sim), 0);
        simstore_deinit(&rig.sim);
        made_chain_destroy(rig.chain);
    }
    assert_true(all > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failed_flush_is_mended_and_nothing_acknowledged_is_lost,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(write_that_comes_meanwhile_waits_and_is_stored, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(deadline_and_cancellation_reach_what_is_held, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(spent_budget_leaves_it_read_only_and_says_why,
                                        set_up_small_budget, tear_down),
        cmocka_unit_test_setup_teardown(without_restarts_the_first_failure_is_the_last,
                                        set_up_no_budget, tear_down),
        cmocka_unit_test_setup_teardown(
            failed_transaction_of_the_tables_is_made_again_and_nothing_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_checkpoint_is_mended_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            read_that_meets_damaged_tables_is_answered_when_they_were_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            written_through_each_write_is_in_the_tables_when_it_is_answered, set_up_write_through,
            tear_down),
        cmocka_unit_test_setup_teardown(
            written_through_a_failure_of_the_tables_is_told_and_the_write_is_there,
            set_up_write_through, tear_down),
        cmocka_unit_test(machine_that_fails_at_random_and_loses_power_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
