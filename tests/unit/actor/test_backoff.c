/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;

static void delay_doubles_from_500_ms_to_60_s(void **state)
{
    (void)state;
    static const uint64_t whole_ms[] = {500,   1000,  2000,  4000,  8000,
                                        16000, 32000, 60000, 60000, 60000};
    for (unsigned i = 0; i < sizeof(whole_ms) / sizeof(whole_ms[0]); i++) {
        uint64_t half = whole_ms[i] * ms / 2;
        assert_true(backoff_ns(i + 1, 0) == half);
        assert_true(backoff_ns(i + 1, half) == 2 * half);
        assert_true(backoff_ns(i + 1, half + 1) == half);
    }
    assert_true(backoff_ns(4000000000u, 0) == 30000 * ms);
}

static void any_lot_falls_into_the_second_half(void **state)
{
    (void)state;
    uint64_t lot = UINT64_MAX;
    for (int i = 0; i < 1000; i++, lot = lot * 6364136223846793005u + 1442695040888963407u) {
        uint64_t delay = backoff_ns(3, lot);
        assert_true(delay >= 1000 * ms && delay <= 2000 * ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_doubles_from_500_ms_to_60_s),
        cmocka_unit_test(any_lot_falls_into_the_second_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
