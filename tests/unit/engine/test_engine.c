/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa.h on an open store: blocking and submitted calls, completions, views, threads. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"

enum { UNDER_WAY_MAX = 4096, THREADS = 4 };

/* Submit blocks FIRST to LAST, tagged with their numbers. */
static void submit_puts(struct engine_rig *rig, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        assert_int_equal(stoa_submit_store_block(rig->stoa, &put, STOA_TAG(number)), 0);
    }
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready = poll(&poll_fd, 1, 0);
    assert_true(ready >= 0);
    return ready == 1;
}

static struct stoa_stats stats_of(struct stoa *stoa)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    assert_int_equal(stoa_get_stats(stoa, &stats), 0);
    return stats;
}

static void blocks_are_read_back_at_once_and_after_reopening(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_expect_head(rig, 0);
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    engine_rig_expect_head(rig, ENGINE_RIG_BLOCKS);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    engine_rig_close(rig);
    engine_rig_open(rig);
    engine_rig_expect_head(rig, ENGINE_RIG_BLOCKS);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stats_of(rig->stoa).recovered_blocks, 0);
}

static void what_is_not_stored_is_not_found(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block block;
    struct stoa_transaction transaction;
    struct stoa_bytes value;
    struct stoa_detail detail;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 1};
    struct stoa_bytes name = {(const uint8_t *)"nothing", 7};
    const uint8_t hash[32] = {1, 2, 3};
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, &detail), STOA_ENOTFOUND);
    assert_int_equal(detail.code, STOA_ENOTFOUND);
    assert_int_not_equal(detail.text[0], 0);
    key.by = STOA_BY_HASH;
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), STOA_ENOTFOUND);
    assert_int_equal(stoa_get_transaction(rig->stoa, hash, &transaction, NULL), STOA_ENOTFOUND);
    assert_int_equal(stoa_get_state(rig->stoa, name, &value, NULL), STOA_ENOTFOUND);
}

static void refused_block_says_why_and_changes_nothing(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 2);
    struct stoa_detail detail;
    assert_int_equal(stoa_store_block(rig->stoa, &put, &detail), STOA_EREFUSED);
    assert_int_equal(detail.code, STOA_EREFUSED);
    assert_non_null(strstr(detail.text, "parentHash"));
    engine_rig_expect_head(rig, 0);
    engine_rig_put(rig, 1, 2);
    assert_int_equal(stoa_store_block(rig->stoa, &put, &detail), STOA_EEXISTS);
    engine_rig_expect_head(rig, 2);
}

static void state_values_are_copies_of_the_newest(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_change changes[] = {
        {{(const uint8_t *)"a", 1}, {(const uint8_t *)"one", 3}},
        {{(const uint8_t *)"b", 1}, {(const uint8_t *)"", 0}},
    };
    put.changes = changes;
    put.change_count = 2;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    for (int round = 0; round < 2; round++) {
        struct stoa_bytes value;
        assert_int_equal(stoa_get_state(rig->stoa, changes[0].key, &value, NULL), 0);
        assert_int_equal(value.size, 3);
        assert_memory_equal(value.data, "one", 3);
        stoa_free((void *)(uintptr_t)value.data);
        assert_int_equal(stoa_get_state(rig->stoa, changes[1].key, &value, NULL), 0);
        assert_int_equal(value.size, 0);
        assert_non_null(value.data);
        stoa_free((void *)(uintptr_t)value.data);
        assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0); /* now from the tables */
    }
    put = engine_rig_put_of(rig, 2);
    changes[0].value = (struct stoa_bytes){NULL, 0};
    put.changes = changes;
    put.change_count = 1;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    struct stoa_bytes gone;
    assert_int_equal(stoa_get_state(rig->stoa, changes[0].key, &gone, NULL), STOA_ENOTFOUND);
}

static void many_submitted_puts_are_acknowledged_in_order_and_share_groups(void **state)
{
    struct engine_rig *rig = *state;
    submit_puts(rig, 1, ENGINE_RIG_BLOCKS);
    uint64_t next = 1;
    while (next <= ENGINE_RIG_BLOCKS) {
        struct stoa_completion completions[7];
        int count = stoa_reap(rig->stoa, completions, 7, -1);
        assert_in_range(count, 1, 7);
        for (int i = 0; i < count; i++) {
            const struct made_block *block = made_chain_block(rig->chain, next);
            assert_int_equal(completions[i].result, 0);
            assert_int_equal(completions[i].tag, next);
            assert_int_equal(completions[i].height, next);
            assert_memory_equal(completions[i].hash, block->hash, 32);
            next++;
        }
    }
    struct stoa_stats stats = stats_of(rig->stoa);
    assert_int_equal(stats.appends, ENGINE_RIG_BLOCKS);
    assert_true(stats.groups < stats.appends);
    engine_rig_expect_head(rig, ENGINE_RIG_BLOCKS);
}

static void one_bad_put_among_submitted_fails_with_all_that_build_on_it(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_completion completions[10];
    for (uint64_t number = 1; number <= 10; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        if (number == 6) {
            put.block.size--;
        }
        assert_int_equal(stoa_submit_store_block(rig->stoa, &put, STOA_TAG(number)), 0);
    }
    for (int i = 0; i < 10; i++) { /* a refusal may come before what waits for the disk */
        struct stoa_completion done;
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
        assert_in_range(done.tag, 1, 10);
        completions[done.tag - 1] = done;
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(completions[i].tag, i + 1);
        if (i < 5) {
            assert_int_equal(completions[i].result, 0);
        } else {
            assert_int_not_equal(completions[i].result, 0);
            assert_int_not_equal(completions[i].detail.text[0], 0);
        }
    }
    engine_rig_expect_head(rig, 5);
    engine_rig_put(rig, 6, 10);
}

static void submitted_gets_answer_as_the_blocking_ones(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_change change = {{(const uint8_t *)"k", 1}, {(const uint8_t *)"v", 1}};
    put.changes = &change;
    put.change_count = 1;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    engine_rig_put(rig, 2, 20);
    const struct made_block *block = made_chain_block(rig->chain, 20);
    struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_block_key missing = {.by = STOA_BY_HEIGHT, .height = 21};
    assert_true(block->transaction_count > 0);
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), 0);
    assert_int_equal(
        stoa_submit_get_transaction(rig->stoa, block->transactions[0].hash, STOA_TAG(1)), 0);
    assert_int_equal(stoa_submit_get_state(rig->stoa, change.key, STOA_TAG(2)), 0);
    assert_int_equal(stoa_submit_get_block(rig->stoa, &missing, STOA_TAG(3)), 0);
    bool seen[4] = {false};
    for (int i = 0; i < 4; i++) {
        struct stoa_completion done;
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
        assert_in_range(done.tag, 0, 3);
        assert_false(seen[done.tag]);
        seen[done.tag] = true;
        assert_int_equal(done.result, done.tag == 3 ? STOA_ENOTFOUND : 0);
        if (done.tag == 0) {
            assert_memory_equal(done.block.hash, block->hash, 32);
            stoa_release(done.block.view);
        } else if (done.tag == 1) {
            assert_memory_equal(done.transaction.hash, block->transactions[0].hash, 32);
            assert_null(done.block.view);
            stoa_release(done.transaction.block.view);
        } else if (done.tag == 2) {
            assert_int_equal(done.value.size, 1);
            assert_memory_equal(done.value.data, "v", 1);
            stoa_free((void *)(uintptr_t)done.value.data);
        } else {
            assert_null(done.block.view);
            assert_int_equal(done.detail.code, STOA_ENOTFOUND);
        }
    }
}

static void reap_with_nothing_under_way_does_not_wait(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_completion done;
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, 0), 0);
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 0);
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, 3600000), 0);
}

static void completion_descriptor_is_readable_exactly_while_there_is_one(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_completion done;
    int fd = stoa_completion_fd(rig->stoa);
    assert_true(fd >= 0);
    assert_int_equal(stoa_completion_fd(rig->stoa), fd);
    assert_false(is_readable(fd));
    submit_puts(rig, 1, 5);
    for (int i = 0; i < 5; i++) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, -1), 1);
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, 0), 1); /* readable: it does not wait */
    }
    assert_false(is_readable(fd));
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, 0), 0);
}

static void descriptor_asked_for_late_shows_what_is_done_already(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_completion done;
    struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_block block;
    submit_puts(rig, 1, 2);
    do { /* the second is the head when both are as good as done */
        assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
        stoa_release(block.view);
    } while (block.height != 2);
    struct stoa_stats stats = STOA_STATS_INIT;
    assert_int_equal(stoa_get_stats(rig->stoa, &stats), 0); /* by the loop, behind their answers */
    assert_true(is_readable(stoa_completion_fd(rig->stoa)));
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, 0), 1);
    assert_true(is_readable(stoa_completion_fd(rig->stoa)));
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, 0), 1);
    assert_false(is_readable(stoa_completion_fd(rig->stoa)));
}

static void submitting_past_the_limit_is_refused_until_one_is_reaped(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 1000};
    struct stoa_completion done;
    for (uint64_t i = 0; i < UNDER_WAY_MAX; i++) {
        assert_int_equal(stoa_submit_get_block(rig->stoa, &key, STOA_TAG(i)), 0);
    }
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), STOA_EBUSY);
    engine_rig_expect_head(rig, 0); /* blocking calls go on */
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), 0);
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), STOA_EBUSY);
    for (int i = 0; i < UNDER_WAY_MAX; i++) {
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
        assert_int_equal(done.result, STOA_ENOTFOUND);
    }
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 0);
}

struct caller {
    struct engine_rig *rig;
    unsigned index;
    uint64_t last;
};

static void *call_from_thread(void *context)
{
    const struct caller *caller = context;
    struct stoa_head head;
    for (int round = 0; round < 3; round++) {
        engine_rig_expect(caller->rig->stoa, caller->rig->chain, 1 + caller->index, caller->last);
        assert_int_equal(stoa_get_head(caller->rig->stoa, &head), 0);
        assert_true(head.height >= caller->last);
        (void)stats_of(caller->rig->stoa);
    }
    return NULL;
}

static void threads_call_at_once_while_blocks_are_stored(void **state)
{
    struct engine_rig *rig = *state;
    pthread_t threads[THREADS];
    struct caller callers[THREADS];
    engine_rig_put(rig, 1, 20);
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){rig, i, 20};
        assert_int_equal(pthread_create(&threads[i], NULL, call_from_thread, &callers[i]), 0);
    }
    engine_rig_put(rig, 21, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    engine_rig_expect_head(rig, ENGINE_RIG_BLOCKS);
}

struct reaper {
    struct engine_rig *rig;
    unsigned reaped;
};

static void *reap_from_thread(void *context)
{
    struct reaper *reaper = context;
    struct stoa_completion done;
    while (stoa_reap(reaper->rig->stoa, &done, 1, -1) == 1) {
        assert_int_equal(done.result, 0);
        stoa_release(done.block.view); /* from a thread that is not the getter's */
        reaper->reaped++;
    }
    return NULL;
}

static void threads_that_reap_get_each_completion_once_and_none_waits_for_ever(void **state)
{
    struct engine_rig *rig = *state;
    enum { GETS = 400 };
    struct stoa_block_key key = {.by = STOA_LATEST};
    pthread_t threads[THREADS];
    struct reaper reapers[THREADS];
    engine_rig_put(rig, 1, 3);
    for (int i = 0; i < GETS; i++) {
        assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        reapers[i] = (struct reaper){.rig = rig};
        assert_int_equal(pthread_create(&threads[i], NULL, reap_from_thread, &reapers[i]), 0);
    }
    unsigned reaped = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        reaped += reapers[i].reaped;
    }
    assert_int_equal(reaped, GETS);
}

struct waiter {
    struct engine_rig *rig;
    atomic_bool stop;
};

static void *reap_until_stopped(void *context)
{
    struct waiter *waiter = context;
    struct stoa_completion done;
    while (!atomic_load(&waiter->stop)) {
        assert_int_equal(stoa_reap(waiter->rig->stoa, &done, 1, -1), 0);
    }
    return NULL;
}

/* A submission that is refused counts as under way for a moment; who began to wait then must not
 * wait for it for ever. */
static void refused_submission_leaves_no_reaper_waiting(void **state)
{
    struct waiter waiter = {.rig = *state};
    struct stoa_block_key bad = {.by = 17};
    pthread_t thread;
    atomic_init(&waiter.stop, false);
    assert_int_equal(pthread_create(&thread, NULL, reap_until_stopped, &waiter), 0);
    for (int i = 0; i < 200000; i++) {
        assert_int_equal(stoa_submit_get_block(waiter.rig->stoa, &bad, NULL), STOA_EINVAL);
    }
    atomic_store(&waiter.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void closing_finishes_what_was_submitted_and_not_reaped(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 0};
    struct stoa_bytes name = {(const uint8_t *)"k", 1};
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_change change = {name, {(const uint8_t *)"v", 1}};
    put.changes = &change;
    put.change_count = 1;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    submit_puts(rig, 2, 30);
    const struct made_block *block = made_chain_block(rig->chain, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), 0);
        assert_int_equal(stoa_submit_get_state(rig->stoa, name, NULL), 0);
        if (block->transaction_count != 0) {
            assert_int_equal(
                stoa_submit_get_transaction(rig->stoa, block->transactions[0].hash, NULL), 0);
        }
    }
    engine_rig_close(rig);
    engine_rig_open(rig);
    engine_rig_expect_head(rig, 30);
    engine_rig_expect(rig->stoa, rig->chain, 1, 30);
}

static void closing_with_a_view_out_is_refused_and_the_store_goes_on(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_block block;
    struct stoa_detail detail;
    engine_rig_put(rig, 1, 2);
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
    assert_int_equal(stoa_close(rig->stoa, &detail), STOA_EBUSY);
    assert_int_equal(detail.code, STOA_EBUSY);
    assert_non_null(strstr(detail.text, "1 view"));
    assert_int_equal(block.block.size, made_chain_block(rig->chain, 2)->block.size);
    assert_memory_equal(block.block.data, made_chain_block(rig->chain, 2)->block.data,
                        block.block.size);
    engine_rig_put(rig, 3, 4);
    stoa_release(block.view);
    engine_rig_close(rig);
}

static void nothing_is_closed_and_nothing_released_without_harm(void **state)
{
    (void)state;
    assert_int_equal(stoa_close(NULL, NULL), 0);
    stoa_release(NULL);
    stoa_free(NULL);
}

static void bad_arguments_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block good = engine_rig_put_of(rig, 1);
    struct stoa_change change = {{NULL, 0}, {NULL, 0}};
    struct stoa_store_block bad[6];
    for (size_t i = 0; i < 6; i++) {
        bad[i] = good;
    }
    bad[0].size = sizeof(good) + 8;
    bad[1].size = 0;
    bad[2].skip = 1U << 20;
    bad[3].flags = 1U << 20;
    bad[4].change_count = 1; /* and no changes */
    bad[5].changes = &change;
    bad[5].change_count = 1;
    for (size_t i = 0; i < 6; i++) {
        struct stoa_detail detail = {.code = 0};
        assert_int_equal(stoa_store_block(rig->stoa, &bad[i], &detail), STOA_EINVAL);
        assert_int_equal(detail.code, STOA_EINVAL);
        assert_int_equal(stoa_submit_store_block(rig->stoa, &bad[i], NULL), STOA_EINVAL);
    }
    assert_int_equal(stoa_store_block(rig->stoa, NULL, NULL), STOA_EINVAL);
    struct stoa_block_key key = {.by = 3};
    struct stoa_block block;
    struct stoa_bytes value;
    uint8_t long_key[129] = {0};
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), STOA_EINVAL);
    assert_int_equal(stoa_get_block(rig->stoa, NULL, &block, NULL), STOA_EINVAL);
    key.by = STOA_LATEST;
    assert_int_equal(stoa_get_block(rig->stoa, &key, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_get_state(rig->stoa, (struct stoa_bytes){long_key, 0}, &value, NULL),
                     STOA_EINVAL);
    assert_int_equal(stoa_get_state(rig->stoa, (struct stoa_bytes){long_key, 129}, &value, NULL),
                     STOA_EINVAL);
    assert_int_equal(stoa_get_state(rig->stoa, (struct stoa_bytes){NULL, 5}, &value, NULL),
                     STOA_EINVAL);
    assert_int_equal(stoa_get_state(rig->stoa, (struct stoa_bytes){long_key, 128}, &value, NULL),
                     STOA_ENOTFOUND);
    struct stoa_transaction transaction;
    assert_int_equal(stoa_get_transaction(rig->stoa, NULL, &transaction, NULL), STOA_EINVAL);
    assert_int_equal(stoa_get_head(rig->stoa, NULL), STOA_EINVAL);
    assert_int_equal(stoa_get_stats(rig->stoa, NULL), STOA_EINVAL);
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, NULL, NULL), STOA_EINVAL);
    struct stoa_completion done;
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 0); /* none of them is under way */
    engine_rig_expect_head(rig, 0);
}

static void completions_say_which_message_and_what_became_of_it(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_store_block orphan = engine_rig_put_of(rig, 3);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 0};
    struct stoa_call call = STOA_CALL_INIT;
    call.tag = 1;
    call.correlation_id = 77;
    assert_int_equal(stoa_submit_store_block(rig->stoa, &put, &call), 0);
    assert_int_equal(stoa_submit_store_block(rig->stoa, &orphan, STOA_TAG(2)), 0);
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, STOA_TAG(3)), 0);
    uint64_t made[4] = {0};
    for (int i = 0; i < 3; i++) {
        struct stoa_completion done;
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
        assert_in_range(done.tag, 1, 3);
        made[done.tag] = done.correlation_id;
        assert_string_equal(stoa_message_name(done.message),
                            done.tag == 3 ? "GetBlockByHeight" : "StoreBlock");
        assert_int_equal(done.effect, done.tag == 2 ? STOA_EFFECT_NONE : STOA_EFFECT_DONE);
        stoa_release(done.block.view);
    }
    assert_int_equal(made[1], 77);
    assert_true(made[2] >= (uint64_t)1 << 63);
    assert_true(made[3] >= (uint64_t)1 << 63);
    assert_true(made[2] != made[3]);
}

static void calls_that_are_not_valid_or_not_served_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_call call = STOA_CALL_INIT;
    call.priority = STOA_PRIORITY_CRITICAL + 1;
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, &call), STOA_EINVAL);
    call.priority = STOA_PRIORITY_CRITICAL;
    call.size += 8;
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, &call), STOA_EINVAL);
    assert_int_equal(stoa_submit(rig->stoa, STOA_MESSAGE_END, &key, NULL), STOA_EINVAL);
    assert_int_equal(stoa_submit(rig->stoa, STOA_MESSAGE_NONE, &key, NULL), STOA_EINVAL);
    assert_int_equal(stoa_submit(rig->stoa, STOA_MESSAGE_RESTORE, &key, NULL), STOA_ENOTSUP);
    assert_string_equal(stoa_message_name(STOA_MESSAGE_END), "None");
    struct stoa_completion done;
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 0); /* none of them is under way */
}

static void block_options_of_an_older_program_are_taken(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    put.size = offsetof(struct stoa_store_block, skip);
    put.skip = ~0U; /* not its own any more */
    put.flags = ~0U;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    engine_rig_expect_head(rig, 1);
}

static void statistics_fit_the_size_the_caller_knows(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_stats stats;
    engine_rig_put(rig, 1, 5);
    memset(&stats, 0xee, sizeof(stats));
    stats.size = offsetof(struct stoa_stats, ledger_segments);
    assert_int_equal(stoa_get_stats(rig->stoa, &stats), 0);
    assert_int_equal(stats.size, offsetof(struct stoa_stats, ledger_segments));
    assert_int_equal(stats.blocks, 6);
    assert_true(stats.ledger_segments == 0xeeeeeeeeeeeeeeee);
    stats.size = sizeof(stats) + 1;
    assert_int_equal(stoa_get_stats(rig->stoa, &stats), STOA_EINVAL);
    stats.size = 0;
    assert_int_equal(stoa_get_stats(rig->stoa, &stats), STOA_EINVAL);
}

static void statistics_tell_what_was_done(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, 20);
    struct stoa_stats stats = stats_of(rig->stoa);
    assert_int_equal(stats.blocks, 21);
    assert_int_equal(stats.appends, 20);
    assert_true(stats.groups >= 1);
    assert_true(stats.frame_bytes > 0);
    assert_true(stats.written_bytes > stats.frame_bytes);
    assert_true(stats.ledger_bytes >= 1 << 20);
    assert_int_equal(stats.stopped, 0);
    assert_string_equal(stats.io, rig->io == STOA_IO_THREADS ? "threads" : "io_uring");
    assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0);
    stats = stats_of(rig->stoa);
    assert_int_equal(stats.pending_blocks, 0);
    assert_true(stats.applied_sequence > 20);
    assert_true(stats.applied_sequence <= stats.ledger_sequence);
    assert_true(stats.table_bytes > 0);
}

static void clean_store_verifies(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_verify_report report;
    size_t transactions = 0;
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
        transactions += made_chain_block(rig->chain, number)->transaction_count;
    }
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, NULL), 0);
    assert_int_equal(report.damages, 0);
    assert_int_equal(report.blocks, ENGINE_RIG_BLOCKS + 1);
    assert_int_equal(report.transactions, transactions);
}

/* Blocks stored meanwhile would be in the ledger and not in the tables. */
static void verify_right_behind_submitted_puts_finds_no_damage(void **state)
{
    struct engine_rig *rig = *state;
    for (uint64_t first = 1; first <= ENGINE_RIG_BLOCKS; first += 20) {
        struct stoa_verify_report report;
        struct stoa_detail detail = {.code = 0};
        submit_puts(rig, first, first + 19);
        int result = stoa_verify(rig->stoa, NULL, NULL, &report, &detail);
        if (result != 0) {
            fail_msg("verify: %d %s", result, detail.text);
        }
        assert_int_equal(report.blocks, first + 20);
    }
    struct stoa_completion done;
    for (int i = 0; i < ENGINE_RIG_BLOCKS; i++) {
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, 0), 1);
        assert_int_equal(done.result, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_ALL(blocks_are_read_back_at_once_and_after_reopening),
        ENGINE_RIG_ALL(what_is_not_stored_is_not_found),
        ENGINE_RIG_ALL(refused_block_says_why_and_changes_nothing),
        ENGINE_RIG_ALL(state_values_are_copies_of_the_newest),
        ENGINE_RIG_ALL(many_submitted_puts_are_acknowledged_in_order_and_share_groups),
        ENGINE_RIG_ALL(one_bad_put_among_submitted_fails_with_all_that_build_on_it),
        ENGINE_RIG_ALL(submitted_gets_answer_as_the_blocking_ones),
        ENGINE_RIG_ALL(reap_with_nothing_under_way_does_not_wait),
        ENGINE_RIG_ALL(completion_descriptor_is_readable_exactly_while_there_is_one),
        ENGINE_RIG_ALL(descriptor_asked_for_late_shows_what_is_done_already),
        ENGINE_RIG_ALL(submitting_past_the_limit_is_refused_until_one_is_reaped),
        ENGINE_RIG_ALL(threads_call_at_once_while_blocks_are_stored),
        ENGINE_RIG_ALL(threads_that_reap_get_each_completion_once_and_none_waits_for_ever),
        ENGINE_RIG_ALL(refused_submission_leaves_no_reaper_waiting),
        ENGINE_RIG_ALL(closing_finishes_what_was_submitted_and_not_reaped),
        ENGINE_RIG_ALL(closing_with_a_view_out_is_refused_and_the_store_goes_on),
        cmocka_unit_test(nothing_is_closed_and_nothing_released_without_harm),
        ENGINE_RIG_ALL(bad_arguments_are_refused),
        ENGINE_RIG_ALL(completions_say_which_message_and_what_became_of_it),
        ENGINE_RIG_ALL(calls_that_are_not_valid_or_not_served_are_refused),
        ENGINE_RIG_ALL(block_options_of_an_older_program_are_taken),
        ENGINE_RIG_ALL(statistics_fit_the_size_the_caller_knows),
        ENGINE_RIG_ALL(statistics_tell_what_was_done),
        ENGINE_RIG_ALL(clean_store_verifies),
        ENGINE_RIG_ALL(verify_right_behind_submitted_puts_finds_no_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
