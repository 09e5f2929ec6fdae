/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "stoa/error.h"

static void expect(struct sheet *sheet, const char *text)
{
    assert_int_equal(sheet->result, 0);
    assert_int_equal(sheet->text.size, strlen(text));
    assert_memory_equal(sheet->text.data, text, strlen(text));
    sheet_deinit(sheet);
    sheet_init(sheet);
}

static void values_are_aligned_and_carry_their_units(void **state)
{
    (void)state;
    struct sheet sheet;
    uint8_t wei[32] = {[31] = 1};
    sheet_init(&sheet);
    sheet_line(&sheet, "block", "%d", 7);
    expect(&sheet, "block             7\n");
    sheet_hex(&sheet, "hash", "\x01\xff", 2);
    expect(&sheet, "hash              0x01ff\n");
    sheet_hex(&sheet, "from", NULL, 20);
    expect(&sheet, "from              -\n");
    sheet_hex(&sheet, "input", NULL, 0);
    expect(&sheet, "input             0x\n");
    sheet_ether(&sheet, "value", wei);
    expect(&sheet, "value             0.000000000000000001 ether\n");
    sheet_gwei(&sheet, "fee", wei);
    expect(&sheet, "fee               0.000000001 gwei\n");
    sheet_deinit(&sheet);
}

static void times_are_dates_where_there_are_such(void **state)
{
    (void)state;
    struct sheet sheet;
    sheet_init(&sheet);
    sheet_time(&sheet, "time", 1438269988);
    expect(&sheet, "time              2015-07-30 15:26:28 UTC\n");
    sheet_time(&sheet, "time", 0);
    expect(&sheet, "time              1970-01-01 00:00:00 UTC\n");
    sheet_time(&sheet, "time", UINT64_MAX);
    expect(&sheet, "time              18446744073709551615 s after 1970\n");
    sheet_deinit(&sheet);
}

static void counts_and_sizes_are_readable(void **state)
{
    (void)state;
    char text[SHEET_TEXT_SIZE];
    assert_string_equal(sheet_count_text(0, text), "0");
    assert_string_equal(sheet_count_text(999, text), "999");
    assert_string_equal(sheet_count_text(1000, text), "1,000");
    assert_string_equal(sheet_count_text(UINT64_MAX, text), "18,446,744,073,709,551,615");
    assert_string_equal(sheet_size_text(1023, text), "1023 B");
    assert_string_equal(sheet_size_text(1536, text), "1.5 KiB");
    assert_string_equal(sheet_size_text(UINT64_MAX, text), "16.0 EiB");
}

static void lack_of_memory_is_remembered(void **state)
{
    (void)state;
    struct sheet sheet;
    sheet_init(&sheet);
    memory_fail_at(1);
    sheet_line(&sheet, "block", "7");
    memory_fail_at(0);
    sheet_add(&sheet, "more");
    assert_int_equal(sheet.result, STOA_ENOMEM);
    assert_false(sheet_print(&sheet));
    sheet_deinit(&sheet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_aligned_and_carry_their_units),
        cmocka_unit_test(times_are_dates_where_there_are_such),
        cmocka_unit_test(counts_and_sizes_are_readable),
        cmocka_unit_test(lack_of_memory_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
