/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "stoa/error.h"
#include "tables/filter.h"

static uint64_t hash_of(uint64_t number)
{
    return filter_hash(bytes_of(&number, sizeof(number)));
}

static void fill(struct filter *filter, uint64_t size, uint64_t count)
{
    assert_int_equal(filter_init(filter, size), 0);
    for (uint64_t i = 0; i < count; i++) {
        filter_add(filter, hash_of(i));
    }
}

/* False positives among 100,000 keys that were not added. */
static unsigned mistakes(const struct filter *filter, uint64_t count)
{
    unsigned found = 0;
    for (uint64_t i = count; i < count + 100000; i++) {
        found += filter_may_hold(filter, hash_of(i));
    }
    return found;
}

static void every_key_added_is_held_and_few_others(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 1, 48, 1000, 300000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct filter filter;
        fill(&filter, filter_size(counts[i]), counts[i]);
        for (uint64_t key = 0; key < counts[i]; key++) {
            filter_prefetch(&filter, hash_of(key));
            assert_true(filter_may_hold(&filter, hash_of(key)));
        }
        assert_true(mistakes(&filter, counts[i]) < 1000);
        filter_deinit(&filter);
    }
}

static void ten_bits_a_key_are_enough(void **state)
{
    (void)state;
    assert_true(filter_size(1000000) * 8 < 11000000);
    assert_int_equal(filter_size(0), FILTER_BLOCK_SIZE);
    assert_int_equal(filter_size(12345) % FILTER_BLOCK_SIZE, 0);
}

static void an_empty_filter_holds_nothing_and_an_absent_one_everything(void **state)
{
    (void)state;
    struct filter filter;
    fill(&filter, filter_size(100), 0);
    assert_int_equal(mistakes(&filter, 0), 0);
    filter_deinit(&filter);
    assert_true(filter_may_hold(&filter, hash_of(1)));
    filter_prefetch(&filter, hash_of(1));
}

static void a_folded_filter_is_the_smaller_one(void **state)
{
    (void)state;
    struct filter large;
    struct filter small;
    fill(&large, 256 * FILTER_BLOCK_SIZE, 3000);
    fill(&small, 64 * FILTER_BLOCK_SIZE, 3000);
    filter_fold(&large, 4);
    assert_int_equal(large.block_count, small.block_count);
    assert_memory_equal(large.bits, small.bits, small.block_count * FILTER_BLOCK_SIZE);
    filter_fold(&large, 1);
    assert_int_equal(large.block_count, small.block_count);
    filter_deinit(&large);
    filter_deinit(&small);
}

static void stored_bits_mean_the_same_for_ever(void **state)
{
    (void)state;
    struct filter filter;
    fill(&filter, 2 * FILTER_BLOCK_SIZE, 20);
    assert_int_equal(filter_hash(bytes_of(filter.bits, 2 * FILTER_BLOCK_SIZE)),
                     UINT64_C(0x6ecbcdf915f6bfc9));
    filter_deinit(&filter);
}

static void a_size_that_is_none_is_refused(void **state)
{
    (void)state;
    struct filter filter;
    assert_int_equal(filter_init(&filter, 0), STOA_EINVAL);
    assert_int_equal(filter_init(&filter, FILTER_BLOCK_SIZE - 1), STOA_EINVAL);
    assert_int_equal(filter_init(&filter, UINT64_MAX / 64 * 64), STOA_EINVAL);
    memory_fail_at(1);
    assert_int_equal(filter_init(&filter, FILTER_BLOCK_SIZE), STOA_ENOMEM);
    memory_fail_at(0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_added_is_held_and_few_others),
        cmocka_unit_test(ten_bits_a_key_are_enough),
        cmocka_unit_test(an_empty_filter_holds_nothing_and_an_absent_one_everything),
        cmocka_unit_test(a_folded_filter_is_the_smaller_one),
        cmocka_unit_test(stored_bits_mean_the_same_for_ever),
        cmocka_unit_test(a_size_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
