/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static struct bytes text(const char *chars)
{
    return bytes_of(chars, strlen(chars));
}

static void equal_means_same_size_and_same_bytes(void **state)
{
    (void)state;
    assert_true(bytes_equal(text("abc"), text("abc")));
    assert_false(bytes_equal(text("abc"), text("abd")));
    assert_false(bytes_equal(text("abc"), text("ab")));
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of("", 0)));
    assert_false(bytes_equal(bytes_of(NULL, 0), text("a")));
}

static void order_is_byte_by_byte_unsigned_and_prefix_first(void **state)
{
    (void)state;
    const uint8_t high[] = {0xff};
    const uint8_t low[] = {0x01, 0x02};
    assert_true(bytes_compare(text("a"), text("b")) < 0);
    assert_true(bytes_compare(text("b"), text("a")) > 0);
    assert_true(bytes_compare(text("a"), text("ab")) < 0);
    assert_true(bytes_compare(text("ab"), text("a")) > 0);
    assert_int_equal(bytes_compare(text("ab"), text("ab")), 0);
    assert_true(bytes_compare(bytes_of(high, 1), bytes_of(low, 2)) > 0);
    assert_int_equal(bytes_compare(bytes_of(NULL, 0), bytes_of(NULL, 0)), 0);
    assert_true(bytes_compare(bytes_of(NULL, 0), text("a")) < 0);
}

static void integers_have_the_byte_order_their_name_says(void **state)
{
    (void)state;
    uint8_t at[9];
    uint8_t *odd = at + 1; /* no alignment is needed */
    bytes_store_le16(odd, 0x0102);
    assert_memory_equal(odd, "\x02\x01", 2);
    assert_int_equal(bytes_load_le16(odd), 0x0102);
    assert_int_equal(bytes_load_be16(odd), 0x0201);
    bytes_store_be16(odd, 0x0102);
    assert_memory_equal(odd, "\x01\x02", 2);
    bytes_store_le32(odd, 0x01020304);
    assert_memory_equal(odd, "\x04\x03\x02\x01", 4);
    assert_int_equal(bytes_load_le32(odd), 0x01020304);
    bytes_store_be32(odd, 0x01020304);
    assert_memory_equal(odd, "\x01\x02\x03\x04", 4);
    assert_int_equal(bytes_load_be32(odd), 0x01020304);
    bytes_store_le64(odd, UINT64_C(0x0102030405060708));
    assert_memory_equal(odd, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_true(bytes_load_le64(odd) == UINT64_C(0x0102030405060708));
    bytes_store_be64(odd, UINT64_C(0x0102030405060708));
    assert_memory_equal(odd, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(bytes_load_be64(odd) == UINT64_C(0x0102030405060708));
}

static void big_endian_keys_sort_as_their_numbers(void **state)
{
    (void)state;
    const uint64_t numbers[] = {0,         1, 255, 256, 65535, 65536, UINT32_MAX, UINT64_MAX - 1,
                                UINT64_MAX};
    for (size_t i = 1; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint8_t a[8];
        uint8_t b[8];
        bytes_store_be64(a, numbers[i - 1]);
        bytes_store_be64(b, numbers[i]);
        assert_true(bytes_compare(bytes_of(a, 8), bytes_of(b, 8)) < 0);
    }
}

static void every_byte_survives_hex(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    char hex[513];
    bytes_to_hex(bytes, sizeof(bytes), hex);
    assert_int_equal(strlen(hex), 512);
    assert_memory_equal(hex, "000102", 6);
    assert_string_equal(hex + 506, "fdfeff");
    uint8_t back[256];
    assert_int_equal(bytes_from_hex(hex, 512, back, sizeof(back)), 256);
    assert_memory_equal(back, bytes, sizeof(bytes));
}

static void hex_is_read_with_and_without_prefix_in_both_cases(void **state)
{
    (void)state;
    uint8_t out[4];
    assert_int_equal(bytes_from_hex("0xaBcD", 6, out, 4), 2);
    assert_memory_equal(out, "\xab\xcd", 2);
    assert_int_equal(bytes_from_hex("0XFF", 4, out, 4), 1);
    assert_int_equal(out[0], 0xff);
    assert_int_equal(bytes_from_hex("0x", 2, out, 4), 0);
    assert_int_equal(bytes_from_hex("", 0, out, 0), 0);
}

static void bad_hex_is_refused(void **state)
{
    (void)state;
    uint8_t out[2];
    const char *bad[] = {"a", "0x0", "zz", "0g", " 0", "0x0x", "00 0", "/:", "@G", "`g"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(bytes_from_hex(bad[i], strlen(bad[i]), out, sizeof(out)), -1);
    }
    assert_int_equal(bytes_from_hex("000000", 6, out, sizeof(out)), -1);
    assert_int_equal(bytes_from_hex("0x0000", 6, out, sizeof(out)), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_means_same_size_and_same_bytes),
        cmocka_unit_test(order_is_byte_by_byte_unsigned_and_prefix_first),
        cmocka_unit_test(integers_have_the_byte_order_their_name_says),
        cmocka_unit_test(big_endian_keys_sort_as_their_numbers),
        cmocka_unit_test(every_byte_survives_hex),
        cmocka_unit_test(hex_is_read_with_and_without_prefix_in_both_cases),
        cmocka_unit_test(bad_hex_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
