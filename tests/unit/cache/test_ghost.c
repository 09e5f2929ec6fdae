/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/ghost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t hash_at(uint64_t i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void what_was_noted_is_taken_once(void **state)
{
    (void)state;
    struct ghost ghost;
    assert_true(ghost_init(&ghost, 1024));
    ghost_note(&ghost, hash_at(1), 1);
    assert_false(ghost_take(&ghost, hash_at(2), 1, 100));
    assert_true(ghost_has(&ghost, hash_at(1), 1, 100));
    assert_false(ghost_has(&ghost, hash_at(2), 1, 100));
    assert_false(ghost_has(&ghost, hash_at(1), 102, 100));
    assert_true(ghost_take(&ghost, hash_at(1), 1, 100));
    assert_false(ghost_take(&ghost, hash_at(1), 1, 100));
    ghost_deinit(&ghost);
}

static void what_is_older_than_the_window_is_not_known(void **state)
{
    (void)state;
    struct ghost ghost;
    assert_true(ghost_init(&ghost, 1024));
    ghost_note(&ghost, hash_at(1), 10);
    ghost_note(&ghost, hash_at(2), 10);
    assert_true(ghost_take(&ghost, hash_at(1), 110, 100));
    assert_false(ghost_take(&ghost, hash_at(2), 111, 100));
    ghost_deinit(&ghost);
}

static void the_newest_of_many_are_remembered(void **state)
{
    (void)state;
    struct ghost ghost;
    assert_true(ghost_init(&ghost, 4096));
    for (uint32_t i = 1; i <= 100000; i++) {
        ghost_note(&ghost, hash_at(i), i);
    }
    unsigned known = 0;
    for (uint32_t i = 99001; i <= 100000; i++) {
        known += ghost_take(&ghost, hash_at(i), 100000, 4096) ? 1 : 0;
    }
    assert_true(known > 970);
    ghost_deinit(&ghost);
}

static void an_empty_one_knows_nothing(void **state)
{
    (void)state;
    struct ghost ghost = {.entries = NULL};
    ghost_note(&ghost, hash_at(1), 1);
    assert_false(ghost_take(&ghost, hash_at(1), 1, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_noted_is_taken_once),
        cmocka_unit_test(what_is_older_than_the_window_is_not_known),
        cmocka_unit_test(the_newest_of_many_are_remembered),
        cmocka_unit_test(an_empty_one_knows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
