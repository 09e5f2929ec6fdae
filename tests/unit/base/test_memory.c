/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static void nothing_can_be_asked_for_and_freed(void **state)
{
    (void)state;
    void *a = memory_alloc(0);
    void *b = memory_alloc_zeroed(0, 16);
    void *c = memory_alloc_aligned(0, 64);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    memory_free(a);
    memory_free(b);
    memory_free(c);
    memory_free(NULL);
}

static void zeroed_memory_is_zero_even_where_memory_was_used_before(void **state)
{
    (void)state;
    for (int round = 0; round < 16; round++) {
        uint8_t *bytes = memory_alloc_zeroed(100, 7);
        assert_non_null(bytes);
        for (size_t i = 0; i < 700; i++) {
            assert_int_equal(bytes[i], 0);
        }
        memset(bytes, 0xff, 700);
        memory_free(bytes);
    }
}

static void a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    assert_null(memory_alloc_zeroed(SIZE_MAX / 2, 3));
    assert_null(memory_alloc_zeroed(SIZE_MAX, SIZE_MAX));
}

static void aligned_memory_is_aligned(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        uint8_t *bytes = memory_alloc_aligned(alignment + 1, alignment);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % alignment, 0);
        memset(bytes, 1, alignment + 1);
        memory_free(bytes);
    }
}

static void a_table_is_zero_whatever_its_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, (2 << 20) - 1, 2 << 20, (4 << 20) + 24};
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i / 2];
        uint8_t *bytes = memory_alloc_table(size);
        assert_non_null(bytes);
        for (size_t k = 0; k < size; k++) {
            assert_int_equal(bytes[k], 0);
        }
        memset(bytes, 0xff, size); /* the second time it is memory that was used */
        memory_free(bytes);
    }
    memory_fail_at(1);
    assert_null(memory_alloc_table(4 << 20));
    memory_fail_at(1);
    assert_null(memory_alloc_table(4096));
}

static void resizing_keeps_the_contents(void **state)
{
    (void)state;
    uint8_t *bytes = memory_resize(NULL, 3);
    assert_non_null(bytes);
    memcpy(bytes, "abc", 3);
    bytes = memory_resize(bytes, 100000);
    assert_non_null(bytes);
    assert_memory_equal(bytes, "abc", 3);
    bytes = memory_resize(bytes, 2);
    assert_non_null(bytes);
    assert_memory_equal(bytes, "ab", 2);
    memory_free(bytes);
}

static void a_copied_text_is_its_own(void **state)
{
    (void)state;
    char text[] = "stoa";
    char *copy = memory_copy_text(text);
    assert_non_null(copy);
    text[0] = 'X';
    assert_string_equal(copy, "stoa");
    memory_free(copy);
}

static void allocations_are_counted_and_frees_are_not(void **state)
{
    (void)state;
    uint64_t before = memory_allocation_count();
    void *a = memory_alloc(1);
    void *b = memory_alloc_zeroed(1, 1);
    void *c = memory_alloc_aligned(1, 8);
    a = memory_resize(a, 1000);
    assert_int_equal(memory_allocation_count() - before, 4);
    memory_free(a);
    memory_free(b);
    memory_free(c);
    assert_int_equal(memory_allocation_count() - before, 4);
}

static void only_the_nth_allocation_fails(void **state)
{
    (void)state;
    memory_fail_at(3);
    void *a = memory_alloc(8);
    void *b = memory_alloc_zeroed(2, 4);
    void *c = memory_alloc_aligned(8, 16);
    void *d = memory_alloc(8);
    memory_fail_at(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(d);
    memory_free(a);
    memory_free(b);
    memory_free(d);
}

static void a_resize_that_fails_leaves_the_block_valid(void **state)
{
    (void)state;
    char *text = memory_copy_text("kept");
    assert_non_null(text);
    memory_fail_at(1);
    char *larger = memory_resize(text, 1 << 20);
    memory_fail_at(0);
    assert_null(larger);
    assert_string_equal(text, "kept");
    memory_free(text);
}

static void a_failure_that_was_switched_off_does_not_happen(void **state)
{
    (void)state;
    memory_fail_at(1);
    memory_fail_at(0);
    void *a = memory_alloc(1);
    assert_non_null(a);
    memory_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_can_be_asked_for_and_freed),
        cmocka_unit_test(zeroed_memory_is_zero_even_where_memory_was_used_before),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(aligned_memory_is_aligned),
        cmocka_unit_test(a_table_is_zero_whatever_its_size),
        cmocka_unit_test(resizing_keeps_the_contents),
        cmocka_unit_test(a_copied_text_is_its_own),
        cmocka_unit_test(allocations_are_counted_and_frees_are_not),
        cmocka_unit_test(only_the_nth_allocation_fails),
        cmocka_unit_test(a_resize_that_fails_leaves_the_block_valid),
        cmocka_unit_test(a_failure_that_was_switched_off_does_not_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
