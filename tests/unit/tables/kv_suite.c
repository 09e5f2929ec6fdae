/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "kv_suite.h"

enum { SUITE_MAX = 64, NAME_SIZE = 128 };

static int setup_memory(void **state)
{
    *state = kv_fixture_create(false);
    return 0;
}

static int setup_wiredtiger(void **state)
{
    *state = kv_fixture_create(true);
    return 0;
}

static int teardown(void **state)
{
    kv_fixture_destroy(*state);
    return 0;
}

int kv_suite_run(const struct CMUnitTest *tests, size_t count)
{
    char names[2 * SUITE_MAX][NAME_SIZE];
    struct CMUnitTest both[2 * SUITE_MAX];
    assert_in_range(count, 1, SUITE_MAX);
    for (size_t i = 0; i < 2 * count; i++) {
        bool on_disk = i >= count;
        both[i] = tests[i % count];
        snprintf(names[i], sizeof(names[i]), "%s: %s", on_disk ? "wiredtiger" : "memory",
                 both[i].name);
        both[i].name = names[i];
        both[i].setup_func = on_disk ? setup_wiredtiger : setup_memory;
        both[i].teardown_func = teardown;
    }
    return _cmocka_run_group_tests("both", both, 2 * count, NULL, NULL);
}

void kv_suite_expect(int result, int wanted, const struct kv_fixture *fixture)
{
    if (result != wanted) {
        print_error("got %d, wanted %d: %s\n", result, wanted, fixture->detail.text);
    }
    assert_int_equal(result, wanted);
}
