/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/wide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct wide all_ones(void)
{
    return (struct wide){.limbs = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
}

static void addition_carries_across_limbs_and_tells_overflow(void **state)
{
    (void)state;
    struct wide a = {.limbs = {UINT64_MAX, UINT64_MAX, 0, 0}};
    struct wide one = wide_of(1);
    assert_true(wide_add(&a, &one, &a));
    struct wide expected = {.limbs = {0, 0, 1, 0}};
    assert_int_equal(wide_compare(&a, &expected), 0);
    struct wide full = all_ones();
    struct wide out = wide_of(7);
    assert_false(wide_add(&full, &one, &out));
    assert_int_equal(out.limbs[0], 7);
}

static void subtraction_borrows_across_limbs(void **state)
{
    (void)state;
    struct wide a = {.limbs = {0, 0, 1, 0}};
    struct wide one = wide_of(1);
    wide_subtract(&a, &one, &a);
    struct wide expected = {.limbs = {UINT64_MAX, UINT64_MAX, 0, 0}};
    assert_int_equal(wide_compare(&a, &expected), 0);
    wide_subtract(&a, &a, &a);
    assert_true(wide_is_zero(&a));
}

static void product_divided_by_its_factor_is_itself(void **state)
{
    (void)state;
    struct wide a = {.limbs = {UINT64_C(0x123456789abcdef0), UINT64_MAX, 42, 0}};
    struct wide product;
    struct wide back;
    assert_true(wide_multiply(&a, 1000000007, &product));
    assert_int_equal(wide_divide(&product, 1000000007, &back), 0);
    assert_int_equal(wide_compare(&a, &back), 0);
    struct wide full = all_ones();
    assert_false(wide_multiply(&full, 2, &product));
}

static void big_endian_bytes_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[32];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i + 1);
    }
    struct wide value = wide_load(bytes);
    assert_int_equal(value.limbs[3], UINT64_C(0x0102030405060708));
    uint8_t again[32];
    wide_store(&value, again);
    assert_memory_equal(bytes, again, 32);
}

static void order_is_that_of_the_most_significant_limb(void **state)
{
    (void)state;
    struct wide small = {.limbs = {UINT64_MAX, 0, 0, 0}};
    struct wide large = {.limbs = {0, 1, 0, 0}};
    assert_true(wide_compare(&small, &large) < 0);
    assert_true(wide_compare(&large, &small) > 0);
}

static void decimal_text_is_exact(void **state)
{
    (void)state;
    char text[WIDE_DECIMAL_SIZE];
    struct wide value = wide_of(0);
    assert_int_equal(wide_to_decimal(&value, text), 1);
    assert_string_equal(text, "0");
    value = all_ones();
    assert_int_equal(wide_to_decimal(&value, text), 78);
    assert_string_equal(
        text, "115792089237316195423570985008687907853269984665640564039457584007913129639935");
}

static void fractions_lose_only_trailing_zeros(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        unsigned decimals;
        const char *text;
    } cases[] = {
        {0, 18, "0"},
        {1, 18, "0.000000000000000001"},
        {UINT64_C(1500000000000000000), 18, "1.5"},
        {UINT64_C(2000000000000000000), 18, "2"},
        {UINT64_C(10000000000000000000), 18, "10"},
        {1000000001, 9, "1.000000001"},
        {999999999, 9, "0.999999999"},
        {42, 0, "42"},
        {100, 0, "100"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[WIDE_FRACTION_SIZE];
        struct wide value = wide_of(cases[i].value);
        wide_to_fraction(&value, cases[i].decimals, text);
        assert_string_equal(text, cases[i].text);
    }
    char text[WIDE_FRACTION_SIZE];
    struct wide value = all_ones();
    wide_to_fraction(&value, 32, text);
    assert_string_equal(
        text, "1157920892373161954235709850086879078532699846.65640564039457584007913129639935");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addition_carries_across_limbs_and_tells_overflow),
        cmocka_unit_test(subtraction_borrows_across_limbs),
        cmocka_unit_test(product_divided_by_its_factor_is_itself),
        cmocka_unit_test(big_endian_bytes_round_trip),
        cmocka_unit_test(order_is_that_of_the_most_significant_limb),
        cmocka_unit_test(decimal_text_is_exact),
        cmocka_unit_test(fractions_lose_only_trailing_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
