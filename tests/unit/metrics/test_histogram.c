/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/histogram.h"
#include "support/made_random.h"

enum { VALUE_COUNT = 20000, THREAD_COUNT = 4 };

static uint64_t seed(void)
{
    const char *given = getenv("STOA_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 42;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static struct histogram *make(void)
{
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    assert_non_null(histogram);
    return histogram;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void an_empty_one_has_no_values(void **state)
{
    (void)state;
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    histogram_read(histogram, &snapshot);
    assert_int_equal(snapshot.count, 0);
    assert_int_equal(histogram_quantile(&snapshot, 99, 100), 0);
    assert_int_equal(histogram_count_below(&snapshot, 40), 0);
    free(histogram);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    for (uint64_t value = 0; value < 32; value++) {
        histogram_record(histogram, value);
    }
    histogram_read(histogram, &snapshot);
    for (uint64_t rank = 1; rank <= 32; rank++) {
        assert_int_equal(histogram_quantile(&snapshot, rank, 32), rank - 1);
    }
    free(histogram);
}

static void the_median_of_three_is_the_second(void **state)
{
    (void)state;
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    histogram_record(histogram, 9);
    histogram_record(histogram, 3);
    histogram_record(histogram, 5);
    histogram_read(histogram, &snapshot);
    assert_int_equal(histogram_quantile(&snapshot, 50, 100), 5);
    assert_int_equal(histogram_quantile(&snapshot, 0, 100), 3);
    assert_int_equal(histogram_quantile(&snapshot, 100, 100), 9);
    free(histogram);
}

/* Spread over all magnitudes, as latencies are. */
static void quantiles_are_never_too_low_and_at_most_a_sixteenth_too_high(void **state)
{
    (void)state;
    struct made_random random = made_random_of(seed(), 1);
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    uint64_t *values = calloc(VALUE_COUNT, sizeof(*values));
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        values[i] = made_random_next(&random) >> made_random_between(&random, 20, 63);
        histogram_record(histogram, values[i]);
    }
    qsort(values, VALUE_COUNT, sizeof(*values), by_value);
    histogram_read(histogram, &snapshot);
    assert_int_equal(snapshot.count, VALUE_COUNT);
    assert_int_equal(snapshot.max, values[VALUE_COUNT - 1]);
    for (uint64_t share = 1; share <= 1000; share++) {
        uint64_t exact = values[(VALUE_COUNT * share + 999) / 1000 - 1];
        uint64_t told = histogram_quantile(&snapshot, share, 1000);
        assert_true(told >= exact);
        assert_true(told - exact <= exact / 16);
    }
    free(values);
    free(histogram);
}

static void counts_below_a_power_of_two_are_exact(void **state)
{
    (void)state;
    struct made_random random = made_random_of(seed(), 2);
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    uint64_t below[44] = {0};
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        uint64_t value = made_random_next(&random) >> made_random_between(&random, 20, 63);
        if (i < 44) {
            value = (uint64_t)1 << i; /* the bounds themselves */
        }
        histogram_record(histogram, value);
        for (unsigned bits = 0; bits < 44; bits++) {
            below[bits] += value < (uint64_t)1 << bits;
        }
    }
    histogram_read(histogram, &snapshot);
    for (unsigned bits = 0; bits < 44; bits++) {
        assert_int_equal(histogram_count_below(&snapshot, bits), below[bits]);
    }
    free(histogram);
}

static void huge_values_share_a_bucket_and_keep_their_maximum(void **state)
{
    (void)state;
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    histogram_record(histogram, UINT64_MAX);
    histogram_record(histogram, 7);
    histogram_read(histogram, &snapshot);
    assert_true(snapshot.max == UINT64_MAX);
    assert_true(histogram_quantile(&snapshot, 99, 100) == UINT64_MAX);
    assert_int_equal(histogram_quantile(&snapshot, 50, 100), 7);
    free(histogram);
}

static void a_difference_shows_what_came_between(void **state)
{
    (void)state;
    struct histogram *histogram = make();
    struct histogram_snapshot before;
    struct histogram_snapshot now;
    histogram_record(histogram, 5000000);
    histogram_read(histogram, &before);
    for (uint64_t i = 1; i <= 100; i++) {
        histogram_record(histogram, i);
    }
    histogram_read(histogram, &now);
    histogram_subtract(&now, &before);
    assert_int_equal(now.count, 100);
    assert_int_equal(now.sum, 5050);
    assert_in_range(histogram_quantile(&now, 50, 100), 50, 53);
    assert_in_range(now.max, 100, 107); /* the old maximum is not of this time */
    histogram_read(histogram, &now);
    histogram_read(histogram, &before);
    histogram_subtract(&now, &before);
    assert_int_equal(now.count, 0);
    assert_int_equal(now.max, 0);
    free(histogram);
}

static void *record_many(void *context)
{
    for (uint64_t i = 0; i < VALUE_COUNT; i++) {
        histogram_record(context, i);
    }
    return NULL;
}

static void values_of_many_threads_are_all_counted(void **state)
{
    (void)state;
    struct histogram *histogram = make();
    struct histogram_snapshot snapshot;
    pthread_t threads[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, histogram), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    histogram_read(histogram, &snapshot);
    assert_int_equal(snapshot.count, THREAD_COUNT * VALUE_COUNT);
    assert_int_equal(snapshot.sum, (uint64_t)THREAD_COUNT * VALUE_COUNT * (VALUE_COUNT - 1) / 2);
    assert_int_equal(snapshot.max, VALUE_COUNT - 1);
    free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_has_no_values),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(the_median_of_three_is_the_second),
        cmocka_unit_test(quantiles_are_never_too_low_and_at_most_a_sixteenth_too_high),
        cmocka_unit_test(counts_below_a_power_of_two_are_exact),
        cmocka_unit_test(huge_values_share_a_bucket_and_keep_their_maximum),
        cmocka_unit_test(a_difference_shows_what_came_between),
        cmocka_unit_test(values_of_many_threads_are_all_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
