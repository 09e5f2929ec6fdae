/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/branches.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "stoa/error.h"

/* Block NAME on PARENT. */
static struct branches_block block(uint64_t name, uint64_t parent, uint64_t height)
{
    struct branches_block made = {.height = height};
    bytes_store_le64(made.hash, name);
    bytes_store_le64(made.parent_hash, parent);
    return made;
}

static int add(struct branches *branches, uint64_t name, uint64_t parent, uint64_t height,
               bool canonical)
{
    struct branches_block made = block(name, parent, height);
    return branches_add(branches, &made, canonical);
}

static bool has(const struct branches *branches, uint64_t name)
{
    struct branches_block wanted = block(name, 0, 0);
    return branches_find(branches, wanted.hash) != NULL;
}

static void blocks_hang_together(void **state)
{
    (void)state;
    struct branches *branches = branches_create();
    assert_int_equal(add(branches, 1, 100, 11, true), 0);
    assert_int_equal(add(branches, 2, 1, 12, false), 0);
    assert_int_equal(add(branches, 3, 1, 12, false), 0);
    assert_int_equal(add(branches, 4, 77, 12, false), 0); /* of nobody's */
    assert_true(has(branches, 1) && has(branches, 2) && has(branches, 3));
    assert_false(has(branches, 4));
    assert_int_equal(branches_count(branches), 3);
    struct branches_block tips[4];
    assert_int_equal(branches_tips(branches, tips, 4), 2);
    assert_int_equal(tips[0].height, 12);
    assert_int_equal(tips[1].height, 12);
    struct branches_block first = block(1, 0, 0);
    branches_remove(branches, first.hash); /* it became canonical */
    assert_false(has(branches, 1));
    assert_int_equal(branches_tips(branches, NULL, 0), 2);
    branches_destroy(branches);
}

static void what_forks_off_below_the_line_goes(void **state)
{
    (void)state;
    struct branches *branches = branches_create();
    /* One branch from 10 on, one from 20 on, 300 blocks each; a twig on the first. */
    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(add(branches, 1000 + i, i == 0 ? 1 : 999 + i, 11 + i, i == 0), 0);
        assert_int_equal(add(branches, 2000 + i, i == 0 ? 2 : 1999 + i, 21 + i, i == 0), 0);
    }
    assert_int_equal(add(branches, 3000, 1100, 112, false), 0);
    branches_raise(branches, 10);
    assert_int_equal(branches_count(branches), 601);
    branches_raise(branches, 11); /* as far as its first block */
    assert_int_equal(branches_count(branches), 300);
    assert_false(has(branches, 3000));
    assert_true(has(branches, 2299));
    assert_int_equal(add(branches, 4000, 3, 11, true), 0); /* too low already */
    assert_false(has(branches, 4000));
    branches_raise(branches, 5); /* it does not sink */
    assert_int_equal(branches_line(branches), 11);
    branches_raise(branches, 21);
    assert_int_equal(branches_count(branches), 0);
    branches_destroy(branches);
}

static void reserved_room_needs_no_memory(void **state)
{
    (void)state;
    struct branches *branches = branches_create();
    assert_int_equal(branches_reserve(branches, 500), 0);
    uint64_t before = memory_allocation_count();
    for (uint64_t i = 0; i < 500; i++) {
        assert_int_equal(add(branches, i + 1, 1000, 5, true), 0);
    }
    assert_int_equal(memory_allocation_count(), before);
    branches_clear(branches);
    assert_int_equal(branches_count(branches), 0);
    memory_fail_at(1);
    assert_int_equal(add(branches, 1, 1000, 5, true), STOA_ENOMEM);
    memory_fail_at(0);
    assert_int_equal(add(branches, 1, 1000, 5, true), 0);
    branches_destroy(branches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_hang_together),
        cmocka_unit_test(what_forks_off_below_the_line_goes),
        cmocka_unit_test(reserved_room_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
