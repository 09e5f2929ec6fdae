/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deadlines, retries, cancellation, priorities, buffering and dead letters, on a simulated machine:
 * the test says what time it is, whether the disk is full, and when a group reaches the disk. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "support/simstore.h"

enum { BLOCKS = 20, HELD_MAX = 16, TURNS_MAX = 20000 };

static const uint64_t ms_ns = 1000000;

/* Stands between the engine and the simulated loop. */
struct rig {
    struct simstore sim;
    struct made_chain *chain;
    struct stoa *stoa;
    struct io_ops ops;
    const struct io_ops *real;
    uint64_t later_ns; /* added to the time */
    bool full;         /* the disk */
    bool hold;         /* groups of the ledger */
    struct io_request *held[HELD_MAX];
    unsigned held_count;
};

static struct rig rig;

static uint64_t rig_now_ns(struct io *io)
{
    return rig.real->now_ns(io) + rig.later_ns;
}

static int rig_space(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total)
{
    int result = rig.real->space(io, path, out_free, out_total);
    if (result == 0 && rig.full) {
        *out_free = 0;
    }
    return result;
}

static void rig_submit(struct io *io, struct io_request *request)
{
    if (rig.hold && request->op == IO_WRITE && (request->flags & IO_WRITE_DURABLE) != 0) {
        assert_true(rig.held_count < HELD_MAX);
        rig.held[rig.held_count++] = request;
        return;
    }
    if (request->op == IO_TIMER) { /* it was set by the rig's clock */
        request->deadline_ns -=
            request->deadline_ns < rig.later_ns ? request->deadline_ns : rig.later_ns;
    }
    rig.real->submit(io, request);
}

/* The rig's own thread turns the loop all the time. */
static void rig_wake(struct io *io)
{
    (void)io;
}

static void let_go(void)
{
    rig.hold = false;
    for (unsigned i = 0; i < rig.held_count; i++) {
        rig.real->submit(rig.sim.io, rig.held[i]);
    }
    rig.held_count = 0;
}

static int set_up(void **state)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct io_sim_options io_options = {.seed = 3};
    (void)state;
    memset(&rig, 0, sizeof(rig));
    rig.chain = made_chain_create(17, BLOCKS);
    simstore_init(&rig.sim, 3);
    simstore_power(&rig.sim, &io_options);
    assert_int_equal(simstore_create(&rig.sim, rig.chain), 0);
    assert_int_equal(simstore_open(&rig.sim), 0);
    rig.real = rig.sim.io->ops;
    rig.ops = *rig.real;
    rig.ops.now_ns = rig_now_ns;
    rig.ops.space = rig_space;
    rig.ops.submit = rig_submit;
    rig.ops.wake = rig_wake;
    rig.sim.io->ops = &rig.ops;
    rig.stoa = engine_make("/store", &options);
    assert_non_null(rig.stoa);
    rig.stoa->io = rig.sim.io;
    rig.stoa->store = rig.sim.store;
    rig.stoa->mailbox = mailbox_create(rig.sim.io, MAILBOX_CAPACITY);
    assert_non_null(rig.stoa->mailbox);
    assert_int_equal(engine_deliver_init(rig.stoa), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    let_go();
    while (store_pending(rig.sim.store) != 0) {
        assert_true(io_run(rig.sim.io, 1000 * ms_ns) >= 0);
    }
    engine_deliver_deinit(rig.stoa);
    mailbox_destroy(rig.stoa->mailbox);
    engine_free(rig.stoa);
    rig.sim.io->ops = rig.real;
    assert_int_equal(simstore_close(&rig.sim), 0);
    simstore_deinit(&rig.sim);
    made_chain_destroy(rig.chain);
    return 0;
}

/* What has been submitted is taken out of the mailbox. */
static void take(void)
{
    struct mailbox_message *message;
    while ((message = mailbox_pop(rig.stoa->mailbox, MAILBOX_LOW)) != NULL) {
        if (message->kind == MESSAGE_REQUEST) {
            engine_deliver(rig.stoa, (struct engine_request *)message);
        } else {
            assert_null(rig.stoa->calls);
            rig.stoa->calls = (struct engine_call *)message;
            rig.stoa->calls_last = &rig.stoa->calls->next;
        }
    }
}

/* It reaches the store, where that takes it; nothing there goes on. */
static void hand_over(void)
{
    take();
    engine_deliver_turn(rig.stoa);
}

static bool reap(struct stoa_completion *out)
{
    return stoa_reap(rig.stoa, out, 1, 0) == 1;
}

static struct stoa_completion reap_within_turns(void)
{
    struct stoa_completion done;
    for (int i = 0; i < TURNS_MAX; i++) {
        if (reap(&done)) {
            return done;
        }
        assert_true(engine_loop_turn(rig.stoa) >= 0);
    }
    fail_msg("nothing is done");
    return done;
}

static void settle_down(void)
{
    while (store_pending(rig.sim.store) != 0) {
        assert_true(engine_loop_turn(rig.stoa) >= 0);
    }
}

static struct stoa_call call_with_deadline(uint64_t tag, uint32_t deadline_ms)
{
    struct stoa_call call = STOA_CALL_INIT;
    call.tag = tag;
    call.deadline_ms = deadline_ms;
    return call;
}

static void submit_put(uint64_t number, const struct stoa_call *call)
{
    struct stoa_store_block put = simstore_put_of(made_chain_block(rig.chain, number));
    assert_int_equal(stoa_submit_store_block(rig.stoa, &put, call), 0);
}

static void submit_get(uint64_t height, const struct stoa_call *call)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    assert_int_equal(stoa_submit_get_block(rig.stoa, &key, call), 0);
}

static void expect_head(uint64_t height)
{
    struct stoa_head head;
    store_get_head(rig.sim.store, &head);
    assert_true(head.height == height);
}

/* The other calls block their caller: it is another thread, while this one is the loop. */
struct blocking {
    int (*call)(struct blocking *blocking);
    uint64_t id;
    struct stoa_detail detail;
    struct stoa_dead_letter letters[4];
    size_t count;
    struct stoa_dead_letter_counts counts;
    int result;
    atomic_bool done;
};

static void *block_on(void *context)
{
    struct blocking *blocking = context;
    blocking->result = blocking->call(blocking);
    atomic_store(&blocking->done, true);
    return NULL;
}

static int run_blocking(struct blocking *blocking, int (*call)(struct blocking *blocking))
{
    pthread_t thread;
    blocking->call = call;
    atomic_store(&blocking->done, false);
    assert_int_equal(pthread_create(&thread, NULL, block_on, blocking), 0);
    hand_over();
    while (rig.stoa->calls == NULL) { /* nothing goes on before the call is there */
        take();
        sched_yield();
    }
    while (!atomic_load(&blocking->done)) {
        bool goes_on = rig.stoa->calls != NULL || agenda_count(rig.stoa->agenda) != 0 ||
                       store_pending(rig.sim.store) != 0;
        if (goes_on) {
            assert_true(engine_loop_turn(rig.stoa) >= 0);
        } else {
            sched_yield(); /* a turn would move the clock on */
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    return blocking->result;
}

static int call_cancel(struct blocking *blocking)
{
    return stoa_cancel(rig.stoa, blocking->id);
}

static int call_sync(struct blocking *blocking)
{
    return stoa_sync(rig.stoa, &blocking->detail);
}

static int call_list(struct blocking *blocking)
{
    return stoa_dead_letters_list(rig.stoa, blocking->letters, 4, &blocking->count);
}

static int call_retry(struct blocking *blocking)
{
    return stoa_dead_letters_retry(rig.stoa, blocking->id, &blocking->detail);
}

static int call_drop(struct blocking *blocking)
{
    return stoa_dead_letters_drop(rig.stoa, blocking->id);
}

static int call_count(struct blocking *blocking)
{
    blocking->counts = (struct stoa_dead_letter_counts)STOA_DEAD_LETTER_COUNTS_INIT;
    return stoa_dead_letters_count(rig.stoa, &blocking->counts);
}

/* ---- deadlines ---- */

static void put_past_its_deadline_that_waits_is_not_done(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 1000);
    submit_put(1, &call);
    rig.later_ns += 1001 * ms_ns;
    struct stoa_completion done = reap_within_turns();
    assert_int_equal(done.result, STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_int_equal(done.message, STOA_MESSAGE_STORE_BLOCK);
    settle_down();
    expect_head(0);
}

static void put_past_its_deadline_before_its_write_is_not_done(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 1000);
    struct stoa_completion done;
    submit_put(1, &call);
    hand_over(); /* verification is under way */
    assert_int_equal(store_pending(rig.sim.store), 1);
    rig.later_ns += 1001 * ms_ns;
    hand_over();
    assert_true(reap(&done)); /* at once, though the store has not let go of it */
    assert_int_equal(done.result, STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_int_equal(done.detail.code, STOA_ETIMEOUT);
    settle_down();
    expect_head(0);
    submit_put(1, NULL);
    assert_int_equal(reap_within_turns().result, 0);
    expect_head(1);
}

static void put_past_its_deadline_after_its_write_may_have_been_done(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 1000);
    struct stoa_completion done;
    rig.hold = true;
    submit_put(1, &call);
    while (rig.held_count == 0) {
        assert_true(engine_loop_turn(rig.stoa) >= 0);
    }
    assert_false(reap(&done));
    rig.later_ns += 1001 * ms_ns;
    hand_over();
    assert_true(reap(&done));
    assert_int_equal(done.result, STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_UNKNOWN);
    let_go();
    settle_down();
    expect_head(1); /* this time it was */
    assert_false(reap(&done));
    struct blocking blocking = {.id = 0};
    assert_int_equal(run_blocking(&blocking, call_count), 0);
    assert_true(blocking.counts.added == 0); /* trying it again could not tell */
}

static void get_past_its_deadline_is_answered_and_its_block_dropped(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(7, 1000);
    struct stoa_completion done;
    submit_get(0, &call);
    hand_over();
    rig.later_ns += 1001 * ms_ns;
    hand_over();
    assert_true(reap(&done));
    assert_int_equal(done.result, STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_int_equal(metrics_get(rig.stoa->metrics, METRICS_READS_GIVEN_UP + done.message), 1);
    assert_true(done.tag == 7);
    settle_down();
    assert_int_equal(store_views_out(rig.sim.store), 0);
}

static void what_is_done_in_time_is_not_told_twice(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 1000);
    struct stoa_completion done;
    submit_put(1, &call);
    done = reap_within_turns();
    assert_int_equal(done.result, 0);
    assert_int_equal(done.effect, STOA_EFFECT_DONE);
    assert_int_equal(done.tries, 1);
    rig.later_ns += 5000 * ms_ns;
    hand_over();
    assert_false(reap(&done));
}

/* ---- retries and dead letters ---- */

static void put_on_a_full_disk_is_tried_again_and_done(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 10000);
    struct stoa_completion done;
    rig.full = true;
    submit_put(1, &call);
    hand_over();
    settle_down();
    assert_false(reap(&done));
    rig.full = false;
    rig.later_ns += 500 * ms_ns; /* the first wait is over by then */
    done = reap_within_turns();
    assert_int_equal(done.result, 0);
    assert_int_equal(done.tries, 2);
    expect_head(1);
}

static void without_deadline_or_retry_the_first_failure_is_the_answer(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 10000);
    call.flags = STOA_CALL_NO_RETRY;
    rig.full = true;
    submit_put(1, NULL);
    struct stoa_completion done = reap_within_turns();
    assert_int_equal(done.result, STOA_ENOSPACE);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    submit_put(1, &call);
    assert_int_equal(reap_within_turns().result, STOA_ENOSPACE);
    struct blocking blocking = {.id = 0};
    assert_int_equal(run_blocking(&blocking, call_count), 0);
    assert_true(blocking.counts.added == 0);
}

static void refused_put_is_not_tried_again(void **state)
{
    (void)state;
    struct stoa_call call = call_with_deadline(1, 10000);
    submit_put(2, &call); /* its parent is not there */
    struct stoa_completion done = reap_within_turns();
    assert_int_equal(done.result, STOA_EREFUSED);
    assert_int_equal(done.tries, 1);
}

/* Block 1 is given up on a full disk. Its letter's id. */
static uint64_t make_letter(struct blocking *blocking)
{
    struct stoa_call call = call_with_deadline(1, 10000);
    call.correlation_id = 77;
    rig.full = true;
    submit_put(1, &call);
    struct stoa_completion done;
    while (!reap(&done)) {
        assert_true(engine_loop_turn(rig.stoa) >= 0);
        rig.later_ns += store_pending(rig.sim.store) == 0 ? 100 * ms_ns : 0;
    }
    assert_true(done.result == STOA_ENOSPACE || done.result == STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_true(done.tries >= 3);
    assert_int_equal(run_blocking(blocking, call_list), 0);
    assert_int_equal(blocking->count, 1);
    assert_true(blocking->letters[0].correlation_id == 77);
    assert_int_equal(blocking->letters[0].message, STOA_MESSAGE_STORE_BLOCK);
    assert_int_equal(blocking->letters[0].reason, done.result);
    assert_int_equal(blocking->letters[0].tries, done.tries);
    assert_non_null(strstr(blocking->letters[0].text, "space"));
    return blocking->letters[0].id;
}

static void letter_tried_again_fails_and_stays_then_succeeds_and_goes(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 0};
    blocking.id = make_letter(&blocking);
    assert_int_equal(run_blocking(&blocking, call_retry), STOA_ENOSPACE);
    assert_int_equal(blocking.detail.code, STOA_ENOSPACE);
    assert_int_equal(run_blocking(&blocking, call_list), 0);
    assert_int_equal(blocking.count, 1);
    assert_true(blocking.letters[0].id == blocking.id);
    expect_head(0);
    rig.full = false;
    assert_int_equal(run_blocking(&blocking, call_retry), 0);
    expect_head(1);
    assert_int_equal(run_blocking(&blocking, call_list), 0);
    assert_int_equal(blocking.count, 0);
    assert_int_equal(run_blocking(&blocking, call_retry), STOA_ENOTFOUND);
    assert_int_equal(run_blocking(&blocking, call_count), 0);
    assert_true(blocking.counts.retried == 2);
    assert_true(blocking.counts.added == 2);
    assert_true(blocking.counts.kept == 0 && blocking.counts.kept_bytes == 0);
}

static void letter_whose_block_is_stored_meanwhile_goes(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 0};
    blocking.id = make_letter(&blocking);
    rig.full = false;
    submit_put(1, NULL);
    assert_int_equal(reap_within_turns().result, 0);
    assert_int_equal(run_blocking(&blocking, call_retry), STOA_EEXISTS);
    assert_int_equal(run_blocking(&blocking, call_list), 0);
    assert_int_equal(blocking.count, 0);
}

static void dropped_and_old_letters_are_gone_and_counted(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 0};
    uint64_t id = make_letter(&blocking);
    blocking.id = id + 1;
    assert_int_equal(run_blocking(&blocking, call_drop), STOA_ENOTFOUND);
    blocking.id = id;
    assert_int_equal(run_blocking(&blocking, call_drop), 0);
    (void)make_letter(&blocking);
    rig.later_ns += 3600 * 1000 * ms_ns;
    assert_int_equal(run_blocking(&blocking, call_list), 0);
    assert_int_equal(blocking.count, 0);
    assert_int_equal(run_blocking(&blocking, call_count), 0);
    assert_true(blocking.counts.dropped == 1 && blocking.counts.aged == 1);
}

static void put_called_off_in_the_store_becomes_a_letter_that_can_be_stored(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 0};
    struct stoa_call call = call_with_deadline(1, 1000);
    struct stoa_completion done;
    submit_put(1, &call);
    hand_over();
    rig.later_ns += 1001 * ms_ns;
    hand_over();
    assert_true(reap(&done));
    settle_down();
    assert_int_equal(run_blocking(&blocking, call_list), 0);
    assert_int_equal(blocking.count, 1);
    assert_int_equal(blocking.letters[0].reason, STOA_ETIMEOUT);
    blocking.id = blocking.letters[0].id;
    assert_int_equal(run_blocking(&blocking, call_retry), 0);
    expect_head(1);
}

/* ---- cancellation ---- */

static void canceled_message_is_completed_as_not_done(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 5};
    struct stoa_call call = STOA_CALL_INIT;
    call.correlation_id = 5;
    submit_put(1, &call);
    assert_int_equal(run_blocking(&blocking, call_cancel), 0);
    struct stoa_completion done = reap_within_turns();
    assert_int_equal(done.result, STOA_ECANCELED);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_true(done.correlation_id == 5);
    settle_down();
    expect_head(0);
    assert_int_equal(run_blocking(&blocking, call_cancel), STOA_ENOTFOUND);
}

static void write_that_went_out_is_not_canceled(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 5};
    struct stoa_call call = STOA_CALL_INIT;
    call.correlation_id = 5;
    rig.hold = true;
    submit_put(1, &call);
    while (rig.held_count == 0) {
        assert_true(engine_loop_turn(rig.stoa) >= 0);
    }
    assert_int_equal(run_blocking(&blocking, call_cancel), STOA_EBUSY);
    let_go();
    assert_int_equal(reap_within_turns().result, 0);
    expect_head(1);
}

static void canceled_retry_is_not_made(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 5};
    struct stoa_call call = call_with_deadline(1, 10000);
    call.correlation_id = 5;
    rig.full = true;
    submit_put(1, &call);
    hand_over();
    settle_down();
    assert_int_equal(run_blocking(&blocking, call_cancel), 0);
    struct stoa_completion done = reap_within_turns();
    assert_int_equal(done.result, STOA_ECANCELED);
    assert_int_equal(run_blocking(&blocking, call_list), 0);
    assert_int_equal(blocking.count, 0);
}

/* ---- priorities ---- */

static void critical_get_overtakes_a_flood_of_low_ones(void **state)
{
    (void)state;
    struct stoa_call low = STOA_CALL_INIT;
    struct stoa_call critical = STOA_CALL_INIT;
    enum { FLOOD = 1000 };
    low.priority = STOA_PRIORITY_LOW;
    critical.priority = STOA_PRIORITY_CRITICAL;
    critical.tag = 1;
    for (int i = 0; i < FLOOD; i++) {
        submit_get(0, &low);
    }
    hand_over();
    assert_true(store_pending(rig.sim.store) < FLOOD / 4);
    submit_get(0, &critical);
    int before = 0;
    struct stoa_completion done = reap_within_turns();
    for (; done.tag != 1; before++, done = reap_within_turns()) {
        stoa_release(done.block.view);
    }
    stoa_release(done.block.view);
    assert_true(before < FLOOD / 4);
    for (int i = before; i < FLOOD; i++) {
        done = reap_within_turns();
        assert_int_equal(done.result, 0);
        stoa_release(done.block.view);
    }
    assert_true(engine_loop_turn(rig.stoa) >= 0);
}

static void low_get_is_served_under_a_flood_of_critical_ones(void **state)
{
    (void)state;
    struct stoa_call low = STOA_CALL_INIT;
    struct stoa_call critical = STOA_CALL_INIT;
    enum { FLOOD = 3000 };
    low.priority = STOA_PRIORITY_LOW;
    low.tag = 1;
    critical.priority = STOA_PRIORITY_CRITICAL;
    for (int i = 0; i < FLOOD; i++) {
        submit_get(0, &critical);
    }
    submit_get(0, &low);
    int before = -1;
    for (int i = 0; i <= FLOOD; i++) {
        struct stoa_completion done = reap_within_turns();
        before = done.tag == 1 ? i : before;
        stoa_release(done.block.view);
    }
    assert_true(before >= 0 && before < 100); /* it is the ninth that is taken */
    assert_true(engine_loop_turn(rig.stoa) >= 0);
}

/* ---- buffering ---- */

static void buffered_puts_are_told_before_and_synced_after_they_are_durable(void **state)
{
    (void)state;
    struct blocking blocking = {.id = 0};
    struct stoa_call call = STOA_CALL_INIT;
    call.durability = STOA_BUFFERED;
    rig.hold = true;
    for (uint64_t number = 1; number <= 5; number++) {
        call.tag = number;
        submit_put(number, &call);
    }
    for (uint64_t number = 1; number <= 5; number++) {
        struct stoa_completion done = reap_within_turns();
        assert_int_equal(done.result, 0);
        assert_true(done.tag == number);
        assert_true(done.height == number);
        assert_memory_equal(done.hash, made_chain_block(rig.chain, number)->hash, 32);
    }
    expect_head(0); /* none of them is durable */
    let_go();
    assert_int_equal(run_blocking(&blocking, call_sync), 0);
    expect_head(5);
    assert_int_equal(run_blocking(&blocking, call_sync), 0); /* nothing to wait for */
}

static void refused_buffered_put_is_told_so(void **state)
{
    (void)state;
    struct stoa_call call = STOA_CALL_INIT;
    call.durability = STOA_BUFFERED;
    submit_put(2, &call);
    assert_int_equal(reap_within_turns().result, STOA_EREFUSED);
    struct blocking blocking = {.id = 0};
    assert_int_equal(run_blocking(&blocking, call_sync), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(put_past_its_deadline_that_waits_is_not_done),
        TEST(put_past_its_deadline_before_its_write_is_not_done),
        TEST(put_past_its_deadline_after_its_write_may_have_been_done),
        TEST(get_past_its_deadline_is_answered_and_its_block_dropped),
        TEST(what_is_done_in_time_is_not_told_twice),
        TEST(put_on_a_full_disk_is_tried_again_and_done),
        TEST(without_deadline_or_retry_the_first_failure_is_the_answer),
        TEST(refused_put_is_not_tried_again),
        TEST(letter_tried_again_fails_and_stays_then_succeeds_and_goes),
        TEST(letter_whose_block_is_stored_meanwhile_goes),
        TEST(dropped_and_old_letters_are_gone_and_counted),
        TEST(put_called_off_in_the_store_becomes_a_letter_that_can_be_stored),
        TEST(canceled_message_is_completed_as_not_done),
        TEST(write_that_went_out_is_not_canceled),
        TEST(canceled_retry_is_not_made),
        TEST(critical_get_overtakes_a_flood_of_low_ones),
        TEST(low_get_is_served_under_a_flood_of_critical_ones),
        TEST(buffered_puts_are_told_before_and_synced_after_they_are_durable),
        TEST(refused_buffered_put_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
