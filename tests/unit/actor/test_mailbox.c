/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/mailbox.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CAPACITY = 64, PRODUCERS = 8, EACH = 20000 };

static const uint64_t second_ns = 1000000000;

struct fixture {
    struct io *io;
    struct mailbox *mailbox;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct io_options options = {.backend = IO_BACKEND_AUTO};
    assert_non_null(fixture);
    assert_int_equal(io_create(&options, &fixture->io, NULL), 0);
    fixture->mailbox = mailbox_create(fixture->io, CAPACITY);
    assert_non_null(fixture->mailbox);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    mailbox_destroy(fixture->mailbox);
    io_destroy(fixture->io);
    free(fixture);
    return 0;
}

static void empty_mailbox_gives_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_null(mailbox_pop(fixture->mailbox, MAILBOX_LOW));
    assert_null(mailbox_pop(fixture->mailbox, MAILBOX_LOW));
}

static void destroying_no_mailbox_is_allowed(void **state)
{
    (void)state;
    mailbox_destroy(NULL);
}

static void messages_come_in_the_order_pushed(void **state)
{
    struct fixture *fixture = *state;
    struct mailbox_message messages[CAPACITY];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < CAPACITY - round; i++) {
            messages[i].kind = i;
            assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &messages[i]), 0);
        }
        for (int i = 0; i < CAPACITY - round; i++) {
            assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &messages[i]);
            assert_int_equal(messages[i].kind, i);
        }
        assert_null(mailbox_pop(fixture->mailbox, MAILBOX_LOW));
    }
}

static void push_to_full_mailbox_is_refused_until_one_is_taken(void **state)
{
    struct fixture *fixture = *state;
    struct mailbox_message messages[CAPACITY];
    struct mailbox_message late = {.kind = 77};
    for (int i = 0; i < CAPACITY; i++) {
        assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &messages[i]), 0);
    }
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &late), STOA_EBUSY);
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &late), STOA_EBUSY);
    assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &messages[0]);
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &late), 0);
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &messages[0]), STOA_EBUSY);
    for (int i = 1; i < CAPACITY; i++) {
        assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &messages[i]);
    }
    assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &late);
    assert_null(mailbox_pop(fixture->mailbox, MAILBOX_LOW));
}

static void capacity_is_rounded_up(void **state)
{
    struct fixture *fixture = *state;
    struct mailbox_message messages[8];
    struct mailbox *mailbox = mailbox_create(fixture->io, 5);
    assert_non_null(mailbox);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(mailbox_push(mailbox, MAILBOX_NORMAL, &messages[i]), 0);
    }
    assert_int_equal(mailbox_push(mailbox, MAILBOX_NORMAL, &messages[0]), STOA_EBUSY);
    for (int i = 0; i < 8; i++) {
        assert_ptr_equal(mailbox_pop(mailbox, MAILBOX_LOW), &messages[i]);
    }
    mailbox_destroy(mailbox);
}

static void lanes_share_eight_four_two_one_and_low_never_starves(void **state)
{
    struct fixture *fixture = *state;
    static const char expected[] = "CCCCCCCCHHHHNNL";
    static const char letters[] = "LNHC";
    struct mailbox_message messages[MAILBOX_LANES][CAPACITY];
    char taken[2 * sizeof(expected)] = "";
    for (int lane = 0; lane < MAILBOX_LANES; lane++) {
        for (int i = 0; i < CAPACITY; i++) {
            messages[lane][i].kind = lane;
            assert_int_equal(
                mailbox_push(fixture->mailbox, (enum mailbox_lane)lane, &messages[lane][i]), 0);
        }
    }
    for (size_t i = 0; i < 2 * (sizeof(expected) - 1); i++) {
        const struct mailbox_message *message = mailbox_pop(fixture->mailbox, MAILBOX_LOW);
        assert_non_null(message);
        taken[i] = letters[message->kind];
    }
    assert_memory_equal(taken, expected, sizeof(expected) - 1);
    assert_memory_equal(taken + sizeof(expected) - 1, expected, sizeof(expected) - 1);
    int left = MAILBOX_LANES * CAPACITY - 2 * (int)(sizeof(expected) - 1);
    while (mailbox_pop(fixture->mailbox, MAILBOX_LOW) != NULL) {
        left--;
    }
    assert_int_equal(left, 0);
}

static void pop_leaves_lanes_below_the_lowest_alone(void **state)
{
    struct fixture *fixture = *state;
    struct mailbox_message low;
    struct mailbox_message high;
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_LOW, &low), 0);
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_HIGH, &high), 0);
    assert_null(mailbox_pop(fixture->mailbox, MAILBOX_CRITICAL));
    assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_NORMAL), &high);
    assert_null(mailbox_pop(fixture->mailbox, MAILBOX_NORMAL));
    assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &low);
}

static void full_lane_leaves_room_in_the_others(void **state)
{
    struct fixture *fixture = *state;
    struct mailbox_message messages[CAPACITY];
    struct mailbox_message urgent;
    for (int i = 0; i < CAPACITY; i++) {
        assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_LOW, &messages[i]), 0);
    }
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_LOW, &urgent), STOA_EBUSY);
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_CRITICAL, &urgent), 0);
    assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &urgent);
    for (int i = 0; i < CAPACITY; i++) {
        assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &messages[i]);
    }
}

struct numbered {
    struct mailbox_message message; /* first; its kind is the producer's number */
    int number;
};

struct producer {
    struct mailbox *mailbox;
    struct numbered *messages;
    int index;
    unsigned refused;
};

static void *produce(void *context)
{
    struct producer *producer = context;
    for (int i = 0; i < EACH; i++) {
        producer->messages[i] = (struct numbered){{producer->index}, i};
        while (mailbox_push(producer->mailbox, MAILBOX_NORMAL, &producer->messages[i].message) !=
               0) {
            producer->refused++;
            sched_yield();
        }
    }
    return NULL;
}

/* The loop sleeps for ever where nothing wakes it: a lost wake hangs here. */
static void each_message_of_many_threads_comes_once_in_its_threads_order(void **state)
{
    struct fixture *fixture = *state;
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    int next[PRODUCERS] = {0};
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.mailbox = fixture->mailbox, .index = i};
        producers[i].messages = calloc(EACH, sizeof(struct numbered));
        assert_non_null(producers[i].messages);
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int taken = 0; taken < PRODUCERS * EACH;) {
        struct mailbox_message *message = mailbox_pop(fixture->mailbox, MAILBOX_LOW);
        if (message == NULL) {
            assert_true(io_run(fixture->io, UINT64_MAX) >= 0);
            continue;
        }
        const struct numbered *numbered = (const struct numbered *)message;
        assert_in_range(message->kind, 0, PRODUCERS - 1);
        assert_int_equal(numbered->number, next[message->kind]);
        next[message->kind]++;
        taken++;
    }
    for (int i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(next[i], EACH);
        free(producers[i].messages);
    }
    assert_null(mailbox_pop(fixture->mailbox, MAILBOX_LOW));
}

static void *push_one(void *context)
{
    struct fixture *fixture = context;
    static struct mailbox_message message;
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &message), 0);
    return NULL;
}

static void push_wakes_the_loop(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, push_one, fixture), 0);
    assert_true(io_run(fixture->io, UINT64_MAX) > 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(mailbox_pop(fixture->mailbox, MAILBOX_LOW));
    assert_int_equal(io_run(fixture->io, 0), 0); /* a wake is told once */
}

static void wake_before_the_loop_sleeps_is_not_lost(void **state)
{
    struct fixture *fixture = *state;
    struct mailbox_message message;
    assert_int_equal(mailbox_push(fixture->mailbox, MAILBOX_NORMAL, &message), 0);
    uint64_t before = io_now_ns(fixture->io);
    assert_true(io_run(fixture->io, 3600 * second_ns) > 0);
    assert_true(io_now_ns(fixture->io) - before < 3600 * second_ns);
    assert_ptr_equal(mailbox_pop(fixture->mailbox, MAILBOX_LOW), &message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_mailbox_gives_nothing, set_up, tear_down),
        cmocka_unit_test(destroying_no_mailbox_is_allowed),
        cmocka_unit_test_setup_teardown(messages_come_in_the_order_pushed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(push_to_full_mailbox_is_refused_until_one_is_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lanes_share_eight_four_two_one_and_low_never_starves,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(pop_leaves_lanes_below_the_lowest_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_lane_leaves_room_in_the_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(capacity_is_rounded_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            each_message_of_many_threads_comes_once_in_its_threads_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(push_wakes_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wake_before_the_loop_sleeps_is_not_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
