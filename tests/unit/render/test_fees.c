/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/fees.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "render/wide.h"

static uint64_t low(const uint8_t value[32])
{
    for (size_t i = 0; i < 24; i++) {
        assert_int_equal(value[i], 0);
    }
    return bytes_load_be64(value + 24);
}

static void blob_price_is_an_exponential_of_the_excess(void **state)
{
    (void)state;
    /* Cancun's and Prague's fractions: e^(excess / fraction), rounded down; from EIP-4844's own
     * definition, computed independently. */
    static const struct {
        uint64_t excess;
        unsigned fields;
        uint64_t price;
    } cases[] = {
        {0, 20, 1},
        {2314057, 20, 1},
        {2314058, 20, 2},
        {10485760, 20, 23},
        {148099578, 20, UINT64_C(18446739238971471609)},
        {0, 21, 1},
        {10485760, 21, 8},
        {3471087, 21, 2},
        {3471086, 21, 1},
    };
    static const uint8_t hash[32] = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct header header = {
            .field_count = cases[i].fields,
            .excess_blob_gas = cases[i].excess,
            .requests_hash = cases[i].fields == 21 ? hash : NULL,
        };
        uint8_t price[32];
        assert_true(fees_blob_price(&header, price));
        assert_int_equal(low(price), cases[i].price);
    }
}

static void blob_price_is_unknown_without_blob_gas_and_beyond_256_bits(void **state)
{
    (void)state;
    uint8_t price[32];
    struct header shanghai = {.field_count = 17};
    assert_false(fees_blob_price(&shanghai, price));
    struct header huge = {.field_count = 20, .excess_blob_gas = UINT64_MAX};
    assert_false(fees_blob_price(&huge, price));
}

static void gas_price_is_the_base_fee_and_what_the_maximum_leaves(void **state)
{
    (void)state;
    struct header header = {.field_count = 16};
    struct transaction transaction = {.type = 2};
    header.base_fee[31] = 100;
    transaction.max_priority_fee[31] = 7;
    transaction.max_fee[31] = 200;
    uint8_t price[32];
    fees_gas_price(&transaction, &header, price);
    assert_int_equal(low(price), 107);
    transaction.max_fee[31] = 103;
    fees_gas_price(&transaction, &header, price);
    assert_int_equal(low(price), 103);
    memset(transaction.max_priority_fee, 0xff, 32);
    memset(transaction.max_fee, 0xff, 32);
    fees_gas_price(&transaction, &header, price);
    assert_memory_equal(price, transaction.max_fee, 32);
    transaction.type = 1;
    transaction.gas_price[31] = 9;
    fees_gas_price(&transaction, &header, price);
    assert_int_equal(low(price), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob_price_is_an_exponential_of_the_excess),
        cmocka_unit_test(blob_price_is_unknown_without_blob_gas_and_beyond_256_bits),
        cmocka_unit_test(gas_price_is_the_base_fee_and_what_the_maximum_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
