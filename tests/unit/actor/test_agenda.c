/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ENTRIES = 256, STEPS = 20000, ALL = (1 << MAILBOX_LANES) - 1 };

struct fixture {
    struct agenda *agenda;
    struct agenda_entry entries[ENTRIES];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->agenda = agenda_create(ENTRIES);
    assert_non_null(fixture->agenda);
    *state = fixture;
    return 0;
}

static void remove_entry(void *context, struct agenda_entry *entry)
{
    agenda_remove(context, entry);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    agenda_each(fixture->agenda, remove_entry, fixture->agenda);
    assert_int_equal(agenda_count(fixture->agenda), 0);
    agenda_destroy(fixture->agenda);
    free(fixture);
    return 0;
}

static struct agenda_entry *add(struct fixture *fixture, unsigned index, enum mailbox_lane lane)
{
    struct agenda_entry *entry = &fixture->entries[index];
    *entry = (struct agenda_entry){.id = index, .lane = lane};
    assert_int_equal(agenda_add(fixture->agenda, entry), 0);
    return entry;
}

static struct agenda_entry *add_waiting(struct fixture *fixture, unsigned index,
                                        enum mailbox_lane lane)
{
    struct agenda_entry *entry = add(fixture, index, lane);
    agenda_wait(fixture->agenda, entry);
    return entry;
}

static void higher_lanes_go_first_and_low_ones_do_not_starve(void **state)
{
    struct fixture *fixture = *state;
    unsigned taken[MAILBOX_LANES] = {0};
    for (unsigned i = 0; i < ENTRIES; i++) {
        add_waiting(fixture, i, (enum mailbox_lane)(i % MAILBOX_LANES));
    }
    assert_int_equal(agenda_take(fixture->agenda, ALL)->lane, MAILBOX_CRITICAL);
    taken[MAILBOX_CRITICAL]++;
    for (int i = 1; i < 60; i++) { /* four rounds, no lane runs dry */
        taken[agenda_take(fixture->agenda, ALL)->lane]++;
    }
    assert_int_equal(taken[MAILBOX_CRITICAL], 32);
    assert_int_equal(taken[MAILBOX_HIGH], 16);
    assert_int_equal(taken[MAILBOX_NORMAL], 8);
    assert_int_equal(taken[MAILBOX_LOW], 4);
}

static void a_lane_keeps_its_order(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < ENTRIES; i++) {
        add_waiting(fixture, i, MAILBOX_NORMAL);
    }
    for (unsigned i = 0; i < ENTRIES; i++) {
        assert_ptr_equal(agenda_take(fixture->agenda, ALL), &fixture->entries[i]);
    }
    assert_null(agenda_take(fixture->agenda, ALL));
}

static void lanes_that_are_not_asked_for_wait(void **state)
{
    struct fixture *fixture = *state;
    struct agenda_entry *low = add_waiting(fixture, 0, MAILBOX_LOW);
    struct agenda_entry *high = add_waiting(fixture, 1, MAILBOX_HIGH);
    assert_ptr_equal(agenda_take(fixture->agenda, 1u << MAILBOX_HIGH), high);
    assert_null(agenda_take(fixture->agenda, 1u << MAILBOX_HIGH));
    assert_ptr_equal(agenda_take(fixture->agenda, ALL), low);
}

static void what_is_removed_does_not_wait_any_more(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 3; i++) {
        add_waiting(fixture, i, MAILBOX_LOW);
    }
    agenda_remove(fixture->agenda, &fixture->entries[1]);
    assert_ptr_equal(agenda_take(fixture->agenda, ALL), &fixture->entries[0]);
    assert_ptr_equal(agenda_take(fixture->agenda, ALL), &fixture->entries[2]);
    assert_null(agenda_find(fixture->agenda, 1));
    assert_ptr_equal(agenda_find(fixture->agenda, 2), &fixture->entries[2]);
}

static void full_agenda_takes_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct agenda_entry more = {.id = 1000};
    for (unsigned i = 0; i < ENTRIES; i++) {
        add(fixture, i, MAILBOX_LOW);
    }
    assert_int_equal(agenda_add(fixture->agenda, &more), STOA_EBUSY);
    agenda_remove(fixture->agenda, &fixture->entries[7]);
    assert_int_equal(agenda_add(fixture->agenda, &more), 0);
    assert_ptr_equal(agenda_find(fixture->agenda, 1000), &more);
    agenda_remove(fixture->agenda, &more);
}

static void of_two_with_one_id_the_first_is_found(void **state)
{
    struct fixture *fixture = *state;
    fixture->entries[0] = (struct agenda_entry){.id = 5};
    fixture->entries[1] = (struct agenda_entry){.id = 5};
    assert_int_equal(agenda_add(fixture->agenda, &fixture->entries[0]), 0);
    assert_int_equal(agenda_add(fixture->agenda, &fixture->entries[1]), 0);
    assert_ptr_equal(agenda_find(fixture->agenda, 5), &fixture->entries[0]);
    agenda_remove(fixture->agenda, &fixture->entries[0]);
    assert_ptr_equal(agenda_find(fixture->agenda, 5), &fixture->entries[1]);
}

static void times_come_due_in_order_and_once(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t times[] = {50, 10, 40, 10, 30, 20};
    static const unsigned order[] = {1, 3, 5, 4, 2, 0}; /* equal times in the order they were set */
    for (unsigned i = 0; i < 6; i++) {
        agenda_set_time(fixture->agenda, add(fixture, i, MAILBOX_LOW), times[i]);
    }
    assert_null(agenda_due(fixture->agenda, 9));
    assert_true(agenda_next_time(fixture->agenda) == 10);
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_equal(agenda_due(fixture->agenda, 50), &fixture->entries[order[i]]);
    }
    assert_null(agenda_due(fixture->agenda, UINT64_MAX));
    assert_true(agenda_next_time(fixture->agenda) == UINT64_MAX);
}

/* Against a plain model: the earliest of what has a time. */
static void times_that_change_and_go_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    const char *given = getenv("STOA_TEST_SEED");
    uint64_t random = given == NULL ? 5 : strtoull(given, NULL, 0);
    print_message("seed %llu\n", (unsigned long long)random);
    for (unsigned i = 0; i < ENTRIES; i++) {
        add(fixture, i, MAILBOX_LOW);
    }
    for (int step = 0; step < STEPS; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct agenda_entry *entry = &fixture->entries[random >> 56];
        uint64_t time = random >> 20 & 0xfff;
        agenda_set_time(fixture->agenda, entry, time < 1000 ? UINT64_MAX : time);
        uint64_t earliest = UINT64_MAX;
        for (unsigned i = 0; i < ENTRIES; i++) {
            uint64_t own = fixture->entries[i].time_ns;
            earliest = own < earliest ? own : earliest;
        }
        assert_true(agenda_next_time(fixture->agenda) == earliest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(higher_lanes_go_first_and_low_ones_do_not_starve, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lane_keeps_its_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lanes_that_are_not_asked_for_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_removed_does_not_wait_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_agenda_takes_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_two_with_one_id_the_first_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_come_due_in_order_and_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_that_change_and_go_keep_their_order, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
