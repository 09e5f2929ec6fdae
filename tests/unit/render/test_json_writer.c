/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "stoa/error.h"

static void doubles_are_as_short_as_reads_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"}, {0.5, "0.5"}, {0.1, "0.1"}, {0.0016543629259729885, "0.0016543629259729885"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buffer out;
        struct json_writer writer;
        buffer_init(&out);
        json_writer_init(&writer, &out);
        json_writer_double(&writer, NULL, rows[i].value);
        assert_int_equal(json_writer_finish(&writer), 0);
        assert_true(bytes_equal(buffer_bytes(&out), bytes_of(rows[i].text, strlen(rows[i].text))));
        buffer_deinit(&out);
    }
}

static void expect_text(struct buffer *buffer, const char *expected)
{
    assert_int_equal(buffer->size, strlen(expected));
    assert_memory_equal(buffer->data, expected, buffer->size);
}

static void commas_stand_between_values_at_every_depth(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    struct json_writer writer;
    json_writer_init(&writer, &buffer);
    json_writer_object_begin(&writer, NULL);
    json_writer_array_begin(&writer, "a");
    json_writer_number(&writer, NULL, 1);
    json_writer_array_begin(&writer, NULL);
    json_writer_array_end(&writer);
    json_writer_object_begin(&writer, NULL);
    json_writer_null(&writer, "x");
    json_writer_bool(&writer, "y", true);
    json_writer_object_end(&writer);
    json_writer_array_end(&writer);
    json_writer_real(&writer, "r", 1.5);
    json_writer_object_end(&writer);
    assert_int_equal(json_writer_finish(&writer), 0);
    expect_text(&buffer, "{\"a\":[1,[],{\"x\":null,\"y\":true}],\"r\":1.500}");
    buffer_deinit(&buffer);
}

static void quantities_have_no_leading_zeros_and_bytes_keep_theirs(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    struct json_writer writer;
    json_writer_init(&writer, &buffer);
    uint8_t word[32] = {[31] = 0x0f};
    uint8_t zero[32] = {0};
    json_writer_array_begin(&writer, NULL);
    json_writer_quantity(&writer, NULL, 0);
    json_writer_quantity(&writer, NULL, UINT64_MAX);
    json_writer_quantity256(&writer, NULL, word);
    json_writer_quantity256(&writer, NULL, zero);
    json_writer_hex(&writer, NULL, word + 30, 2);
    json_writer_hex(&writer, NULL, NULL, 0);
    json_writer_hex_or_null(&writer, NULL, NULL, 20);
    json_writer_array_end(&writer);
    assert_int_equal(json_writer_finish(&writer), 0);
    expect_text(&buffer, "[\"0x0\",\"0xffffffffffffffff\",\"0xf\",\"0x0\",\"0x000f\",\"0x\",null]");
    buffer_deinit(&buffer);
}

static void what_json_must_escape_is_escaped(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    struct json_writer writer;
    json_writer_init(&writer, &buffer);
    json_writer_text(&writer, NULL, "a\"b\\c\n\x01\xc3\xa9");
    assert_int_equal(json_writer_finish(&writer), 0);
    expect_text(&buffer, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"");
    buffer_deinit(&buffer);
}

static void lack_of_memory_is_told_at_the_end(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    struct json_writer writer;
    json_writer_init(&writer, &buffer);
    memory_fail_at(1);
    json_writer_array_begin(&writer, NULL);
    memory_fail_at(0);
    json_writer_hex(&writer, NULL, "x", 1);
    json_writer_array_end(&writer);
    assert_int_equal(json_writer_finish(&writer), STOA_ENOMEM);
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_values_at_every_depth),
        cmocka_unit_test(quantities_have_no_leading_zeros_and_bytes_keep_theirs),
        cmocka_unit_test(what_json_must_escape_is_escaped),
        cmocka_unit_test(doubles_are_as_short_as_reads_back),
        cmocka_unit_test(lack_of_memory_is_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
