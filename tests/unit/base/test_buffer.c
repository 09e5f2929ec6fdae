/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "stoa/error.h"

static void a_new_buffer_is_empty_and_owns_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer_bytes(&buffer).size, 0);
    buffer_deinit(&buffer);
    buffer_deinit(&buffer);
}

static void appended_bytes_stay_in_order_while_it_grows(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    for (size_t i = 0; i < 5000; i++) {
        const uint8_t piece[] = {(uint8_t)i, (uint8_t)(i >> 8), 0};
        assert_int_equal(buffer_append(&buffer, piece, sizeof(piece)), 0);
    }
    assert_int_equal(buffer.size, 15000);
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(bytes_load_le16(buffer.data + 3 * i), i);
    }
    buffer_deinit(&buffer);
    assert_int_equal(buffer.size, 0);
}

static void appending_nothing_does_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_append(&buffer, NULL, 0), 0);
    assert_null(buffer.data);
    buffer_deinit(&buffer);
}

static void reserved_room_needs_no_further_allocation(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_reserve(&buffer, 10000), 0);
    uint64_t before = memory_allocation_count();
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(buffer_append(&buffer, "x", 1), 0);
    }
    assert_int_equal(memory_allocation_count(), before);
    buffer_deinit(&buffer);
}

static void growth_is_geometric(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    uint64_t before = memory_allocation_count();
    for (size_t i = 0; i < 1 << 20; i++) {
        assert_int_equal(buffer_append(&buffer, "x", 1), 0);
    }
    assert_true(memory_allocation_count() - before <= 16);
    buffer_deinit(&buffer);
}

static void formatted_text_is_appended_without_its_terminator(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_append_format(&buffer, "block %d", 7), 0);
    assert_int_equal(buffer_append_format(&buffer, "%s", ""), 0);
    assert_int_equal(buffer_append_format(&buffer, " of %0600d", 9), 0);
    assert_int_equal(buffer.size, 7 + 4 + 600);
    assert_memory_equal(buffer.data, "block 7 of 000", 14);
    assert_int_equal(buffer.data[buffer.size - 1], '9');
    buffer_deinit(&buffer);
}

static void a_failed_append_changes_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_append(&buffer, "kept", 4), 0);
    char large[4096];
    memset(large, 'z', sizeof(large));
    memory_fail_at(1);
    assert_int_equal(buffer_append(&buffer, large, sizeof(large)), STOA_ENOMEM);
    memory_fail_at(1);
    assert_int_equal(buffer_append_format(&buffer, "%.*s", 4096, large), STOA_ENOMEM);
    memory_fail_at(0);
    assert_int_equal(buffer.size, 4);
    assert_memory_equal(buffer.data, "kept", 4);
    assert_int_equal(buffer_append(&buffer, large, sizeof(large)), 0);
    assert_int_equal(buffer.size, 4100);
    buffer_deinit(&buffer);
}

static void a_size_beyond_all_memory_is_refused(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_append(&buffer, "kept", 4), 0);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX - 2), STOA_ENOMEM);
    assert_int_equal(buffer.size, 4);
    buffer_deinit(&buffer);
}

static void clearing_forgets_the_contents_and_keeps_the_memory(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_append(&buffer, "abc", 3), 0);
    size_t capacity = buffer.capacity;
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(buffer.capacity, capacity);
    assert_int_equal(buffer_append(&buffer, "d", 1), 0);
    assert_memory_equal(buffer.data, "d", 1);
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(appended_bytes_stay_in_order_while_it_grows),
        cmocka_unit_test(appending_nothing_does_nothing),
        cmocka_unit_test(reserved_room_needs_no_further_allocation),
        cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(formatted_text_is_appended_without_its_terminator),
        cmocka_unit_test(a_failed_append_changes_nothing),
        cmocka_unit_test(a_size_beyond_all_memory_is_refused),
        cmocka_unit_test(clearing_forgets_the_contents_and_keeps_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
