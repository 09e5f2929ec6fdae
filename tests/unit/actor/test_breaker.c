/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/breaker.h"

static struct breaker made(void)
{
    struct breaker_options options = {
        .failures = 3, .probes = 2, .pause_ns = 100, .pause_max_ns = 350};
    struct breaker breaker;
    breaker_init(&breaker, &options);
    return breaker;
}

/* Fail until it opens at NOW. */
static void trip(struct breaker *breaker, uint64_t now)
{
    assert_true(breaker_allow(breaker, now));
    while (!breaker_report(breaker, true, now)) {
        assert_true(breaker_allow(breaker, now));
    }
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

static void it_begins_closed_and_lets_all_pass(void **state)
{
    (void)state;
    struct breaker breaker = made();
    for (unsigned i = 0; i < 10; i++) {
        assert_true(breaker_allow(&breaker, i));
    }
    assert_int_equal(breaker_look(&breaker, 0), BREAKER_CLOSED);
}

static void failures_in_a_row_open_it(void **state)
{
    (void)state;
    struct breaker breaker = made();
    assert_false(breaker_report(&breaker, true, 0));
    assert_false(breaker_report(&breaker, true, 0));
    assert_true(breaker_report(&breaker, true, 0));
    assert_false(breaker_allow(&breaker, 99));
    assert_int_equal(breaker.trips, 1);
    assert_int_equal(breaker.refusals, 1);
}

static void a_success_between_failures_keeps_it_closed(void **state)
{
    (void)state;
    struct breaker breaker = made();
    for (unsigned i = 0; i < 20; i++) {
        assert_false(breaker_report(&breaker, i % 3 != 2, i));
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void after_the_pause_as_many_probes_pass_as_are_set(void **state)
{
    (void)state;
    struct breaker breaker = made();
    trip(&breaker, 1000);
    assert_int_equal(breaker_look(&breaker, 1099), BREAKER_OPEN);
    assert_int_equal(breaker_look(&breaker, 1100), BREAKER_HALF_OPEN);
    assert_true(breaker_allow(&breaker, 1100));
    assert_true(breaker_allow(&breaker, 1100));
    assert_false(breaker_allow(&breaker, 1100));
}

static void it_closes_when_all_probes_succeed(void **state)
{
    (void)state;
    struct breaker breaker = made();
    trip(&breaker, 0);
    assert_true(breaker_allow(&breaker, 100));
    assert_true(breaker_allow(&breaker, 100));
    assert_false(breaker_report(&breaker, false, 110));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_false(breaker_report(&breaker, false, 110));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_false(breaker_report(&breaker, true, 110)); /* it counts from 0 again */
}

static void a_failed_probe_opens_it_for_twice_as_long_up_to_a_bound(void **state)
{
    (void)state;
    struct breaker breaker = made();
    const uint64_t pauses[] = {200, 350, 350};
    uint64_t now = 100;
    trip(&breaker, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(breaker_allow(&breaker, now));
        assert_true(breaker_report(&breaker, true, now));
        assert_false(breaker_allow(&breaker, now + pauses[i] - 1));
        now += pauses[i];
    }
    assert_int_equal(breaker.trips, 4);
}

static void once_closed_its_pause_is_short_again(void **state)
{
    (void)state;
    struct breaker breaker = made();
    trip(&breaker, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(breaker_allow(&breaker, 100));
        (void)breaker_report(&breaker, false, 100);
    }
    trip(&breaker, 200);
    assert_int_equal(breaker_look(&breaker, 300), BREAKER_HALF_OPEN);
}

static void probes_that_nobody_reports_do_not_block_it_for_ever(void **state)
{
    (void)state;
    struct breaker breaker = made();
    trip(&breaker, 0);
    assert_true(breaker_allow(&breaker, 100));
    assert_true(breaker_allow(&breaker, 100));
    assert_false(breaker_allow(&breaker, 200));
    assert_true(breaker_allow(&breaker, 300));
}

static void late_answers_of_an_open_one_say_nothing(void **state)
{
    (void)state;
    struct breaker breaker = made();
    trip(&breaker, 0);
    assert_false(breaker_report(&breaker, true, 50));
    assert_false(breaker_report(&breaker, false, 50));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_look(&breaker, 100), BREAKER_HALF_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_closed_and_lets_all_pass),
        cmocka_unit_test(failures_in_a_row_open_it),
        cmocka_unit_test(a_success_between_failures_keeps_it_closed),
        cmocka_unit_test(after_the_pause_as_many_probes_pass_as_are_set),
        cmocka_unit_test(it_closes_when_all_probes_succeed),
        cmocka_unit_test(a_failed_probe_opens_it_for_twice_as_long_up_to_a_bound),
        cmocka_unit_test(once_closed_its_pause_is_short_again),
        cmocka_unit_test(probes_that_nobody_reports_do_not_block_it_for_ever),
        cmocka_unit_test(late_answers_of_an_open_one_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
