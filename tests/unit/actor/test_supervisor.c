/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t ms_ns = 1000000;
static const uint64_t second_ns = 1000000000;

static struct supervisor make(unsigned restarts)
{
    struct supervisor supervisor;
    struct supervisor_options options = {
        .restarts = restarts,
        .window_ns = 300 * second_ns,
        .pause_ns = 500 * ms_ns,
        .pause_max_ns = 4 * second_ns,
    };
    supervisor_init(&supervisor, &options);
    return supervisor;
}

static void first_start_is_at_once_and_others_wait_longer_and_longer(void **state)
{
    static const unsigned pauses_ms[] = {0, 500, 1000, 2000, 4000, 4000, 4000};
    struct supervisor supervisor = make(10);
    uint64_t now = 5;
    (void)state;
    for (unsigned i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
        uint64_t pause = pauses_ms[i] * ms_ns;
        assert_true(supervisor_ask(&supervisor, now, 0) == now + pause / 2);
        assert_true(supervisor_ask(&supervisor, now, pause / 2) == now + pause);
        now += pause;
        supervisor_note_start(&supervisor, now);
    }
}

static void budget_that_is_spent_allows_none_until_the_window_has_passed(void **state)
{
    struct supervisor supervisor = make(3);
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(supervisor_ask(&supervisor, i * second_ns, 0) != UINT64_MAX);
        supervisor_note_start(&supervisor, i * second_ns);
    }
    assert_true(supervisor_ask(&supervisor, 3 * second_ns, 0) == UINT64_MAX);
    assert_true(supervisor_ask(&supervisor, 300 * second_ns - 1, 0) == UINT64_MAX);
    assert_true(supervisor_ask(&supervisor, 300 * second_ns, 0) != UINT64_MAX);
    assert_true(supervisor_ask(&supervisor, 900 * second_ns, 0) == 900 * second_ns);
}

static void without_a_budget_there_is_no_start(void **state)
{
    struct supervisor supervisor = make(0);
    (void)state;
    assert_true(supervisor_ask(&supervisor, 1, 0) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_start_is_at_once_and_others_wait_longer_and_longer),
        cmocka_unit_test(budget_that_is_spent_allows_none_until_the_window_has_passed),
        cmocka_unit_test(without_a_budget_there_is_no_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
