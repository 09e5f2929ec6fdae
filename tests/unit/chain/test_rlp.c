/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/memory.h"
#include "chain/rlp.h"
#include "support/fixture.h"

enum { VECTOR_MAX = 4096 };

/* Every item down to the last leaf is good, and nothing is behind it. The stack holds, for each
 * open list, what of it is still to be read. */
static int check_deeply(struct bytes encoding, size_t depth_max)
{
    struct bytes *open = calloc(depth_max + 1, sizeof(*open));
    assert_non_null(open);
    struct rlp_item item;
    size_t depth = 0;
    int result = rlp_read(&encoding, &item, NULL);
    if (result == 0) {
        result = rlp_expect_end(encoding, NULL);
    }
    if (result == 0 && item.list) {
        open[depth++] = item.payload;
    }
    while (result == 0 && depth > 0) {
        if (open[depth - 1].size == 0) {
            depth--;
            continue;
        }
        result = rlp_read(&open[depth - 1], &item, NULL);
        if (result == 0 && item.list) {
            assert_true(depth < depth_max);
            open[depth++] = item.payload;
        }
    }
    free(open);
    return result;
}

static struct bytes hex(const char *text, uint8_t *out, size_t capacity)
{
    ptrdiff_t size = bytes_from_hex(text, strlen(text), out, capacity);
    assert_true(size >= 0);
    return bytes_of(out, (size_t)size);
}

/* ---- public vectors ---- */

static json_t *load_vectors(const char *name)
{
    struct buffer text;
    if (!fixture_load_data(name, &text)) {
        return NULL;
    }
    json_error_t error;
    json_t *vectors = json_loadb((const char *)text.data, text.size,
                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    assert_non_null(vectors);
    buffer_deinit(&text);
    return vectors;
}

/* Vectors nest a few levels deep: recursion is fine here. */
static void encode(const json_t *value, struct buffer *out)
{
    if (json_is_integer(value)) {
        assert_int_equal(rlp_append_uint64(out, (uint64_t)json_integer_value(value)), 0);
    } else if (json_is_array(value)) {
        struct buffer payload;
        buffer_init(&payload);
        for (size_t i = 0; i < json_array_size(value); i++) {
            encode(json_array_get(value, i), &payload);
        }
        size_t before = out->size;
        assert_int_equal(rlp_append_list_prefix(out, payload.size), 0);
        assert_int_equal(buffer_append(out, payload.data, payload.size), 0);
        assert_int_equal(out->size - before, rlp_list_size(payload.size));
        buffer_deinit(&payload);
    } else {
        assert_true(json_is_string(value));
        struct bytes string = bytes_of(json_string_value(value), json_string_length(value));
        assert_int_equal(rlp_append_string(out, string), 0);
        assert_true(rlp_string_size(string) <= out->size);
    }
}

static void assert_decodes_to(const json_t *value, struct bytes *cursor)
{
    struct error_detail detail;
    if (json_is_integer(value)) {
        uint64_t number;
        assert_int_equal(rlp_read_uint64(cursor, &number, &detail), 0);
        assert_int_equal(number, (uint64_t)json_integer_value(value));
    } else if (json_is_array(value)) {
        struct bytes payload;
        size_t count;
        assert_int_equal(rlp_read_list(cursor, &payload, &detail), 0);
        assert_int_equal(rlp_count(payload, &count, &detail), 0);
        assert_int_equal(count, json_array_size(value));
        for (size_t i = 0; i < count; i++) {
            assert_decodes_to(json_array_get(value, i), &payload);
        }
        assert_int_equal(rlp_expect_end(payload, &detail), 0);
    } else {
        struct bytes string;
        assert_int_equal(rlp_read_string(cursor, &string, &detail), 0);
        assert_true(
            bytes_equal(string, bytes_of(json_string_value(value), json_string_length(value))));
    }
}

/* "#" begins a decimal number beyond 64 bits. */
static bool is_big(const json_t *value)
{
    return json_is_string(value) && json_string_value(value)[0] == '#';
}

static void public_vectors_encode_and_decode(void **context)
{
    (void)context;
    json_t *vectors = load_vectors("vectors/rlptest.json");
    size_t checked = 0;
    const char *name;
    json_t *vector;
    json_object_foreach(vectors, name, vector)
    {
        json_t *in = json_object_get(vector, "in");
        uint8_t room[VECTOR_MAX];
        struct bytes out = hex(json_string_value(json_object_get(vector, "out")), room, VECTOR_MAX);
        assert_int_equal(check_deeply(out, VECTOR_MAX), 0);
        uint64_t size;
        assert_int_equal(rlp_peek_size(out, &size, NULL), 0);
        assert_int_equal(size, out.size);
        if (!is_big(in)) {
            struct buffer buffer;
            buffer_init(&buffer);
            encode(in, &buffer);
            assert_true(bytes_equal(buffer_bytes(&buffer), out));
            buffer_deinit(&buffer);
            struct bytes cursor = out;
            assert_decodes_to(in, &cursor);
            assert_int_equal(cursor.size, 0);
        }
        checked++;
    }
    assert_true(vectors == NULL || checked >= 28);
    json_decref(vectors);
}

static void big_integers_of_the_vectors_are_read_up_to_256_bits(void **context)
{
    (void)context;
    uint8_t room[64];
    uint8_t value[32];
    /* 2^83: "bigint" of the older set; and 2^256, which has 33 bytes. */
    struct bytes cursor = hex("0x8f102030405060708090a0b0c0d0e0f2", room, sizeof(room));
    struct bytes whole = cursor;
    assert_int_equal(rlp_read_uint256(&cursor, value, NULL), 0);
    assert_int_equal(value[16], 0);
    assert_int_equal(value[17], 0x10);
    assert_int_equal(value[31], 0xf2);
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(rlp_append_uint256(&buffer, value), 0);
    assert_true(bytes_equal(buffer_bytes(&buffer), whole));
    buffer_deinit(&buffer);
    cursor = hex("0xa1010000000000000000000000000000000000000000000000000000000000000000", room,
                 sizeof(room));
    assert_int_equal(rlp_read_uint256(&cursor, value, NULL), STOA_EINVAL);
    assert_int_equal(cursor.size, 34);
}

static void public_invalid_vectors_are_refused(void **context)
{
    (void)context;
    json_t *vectors = load_vectors("vectors/invalidRLPTest.json");
    size_t checked = 0;
    const char *name;
    json_t *vector;
    json_object_foreach(vectors, name, vector)
    {
        uint8_t room[VECTOR_MAX];
        struct bytes out = hex(json_string_value(json_object_get(vector, "out")), room, VECTOR_MAX);
        if (check_deeply(out, VECTOR_MAX) != STOA_EINVAL) {
            fail_msg("%s was accepted", name);
        }
        checked++;
    }
    assert_true(vectors == NULL || checked >= 26);
    json_decref(vectors);
}

/* ---- own vectors ---- */

static void what_is_not_canonical_is_refused_and_moves_nothing(void **context)
{
    (void)context;
    static const char *const cases[] = {
        "",                     /* nothing */
        "8100",                 /* single bytes that stand for themselves */
        "817f",                 /* */
        "b800",                 /* long form of a short size */
        "b801ff",               /* */
        "f800",                 /* */
        "b90000",               /* leading zero in a size */
        "b9003800",             /* */
        "f90038",               /* */
        "bf0000000100000000",   /* */
        "81",                   /* truncated in every way */
        "b8",                   /* */
        "b9ff",                 /* */
        "b838",                 /* */
        "c1",                   /* */
        "f8",                   /* */
        "f838",                 /* */
        "bb0100000061",         /* 16 MiB */
        "bc010000000061",       /* 4 GiB */
        "fc010000000061",       /* */
        "bcffffffff61",         /* 4 GiB less one, cut */
        "bfffffffffffffffff61", /* 2^64 - 1 */
        "ffffffffffffffffff61", /* */
        "bf800000000000000061", /* 2^63 */
        "fffffffffffffffff761", /* size and prefix wrap around to 0 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t room[64];
        struct bytes cursor = hex(cases[i], room, sizeof(room));
        struct bytes before = cursor;
        struct rlp_item item;
        struct error_detail detail = {.code = 0};
        if (rlp_read(&cursor, &item, &detail) != STOA_EINVAL) {
            fail_msg("%s was accepted", cases[i]);
        }
        assert_int_equal(detail.code, STOA_EINVAL);
        assert_true(detail.text[0] != '\0');
        assert_ptr_equal(cursor.data, before.data);
        assert_int_equal(cursor.size, before.size);
        size_t count;
        assert_int_equal(rlp_count(cursor, &count, NULL), cursor.size == 0 ? 0 : STOA_EINVAL);
    }
}

static void the_wrong_kind_or_size_is_refused_and_moves_nothing(void **context)
{
    (void)context;
    uint8_t room[64];
    struct bytes list = hex("c20102", room, sizeof(room));
    struct bytes cursor = list;
    struct bytes view;
    uint64_t number;
    uint8_t wide[32];
    const uint8_t *fixed;
    struct error_detail detail;
    assert_int_equal(rlp_read_string(&cursor, &view, &detail), STOA_EINVAL);
    assert_string_equal(detail.text, "a list where a string belongs");
    assert_int_equal(rlp_read_uint64(&cursor, &number, &detail), STOA_EINVAL);
    assert_int_equal(rlp_read_uint256(&cursor, wide, &detail), STOA_EINVAL);
    assert_int_equal(rlp_read_fixed(&cursor, 2, &fixed, &detail), STOA_EINVAL);
    assert_true(cursor.data == list.data && cursor.size == list.size);

    struct bytes string = hex("820001", room, sizeof(room));
    cursor = string;
    assert_int_equal(rlp_read_list(&cursor, &view, &detail), STOA_EINVAL);
    assert_int_equal(rlp_read_uint64(&cursor, &number, &detail), STOA_EINVAL);
    assert_string_equal(detail.text, "leading zero");
    assert_int_equal(rlp_read_uint256(&cursor, wide, &detail), STOA_EINVAL);
    assert_int_equal(rlp_read_fixed(&cursor, 3, &fixed, &detail), STOA_EINVAL);
    assert_string_equal(detail.text, "2 bytes instead of 3");
    assert_true(cursor.data == string.data && cursor.size == string.size);
    assert_int_equal(rlp_read_fixed(&cursor, 2, &fixed, &detail), 0);
    assert_ptr_equal(fixed, room + 1);
    assert_int_equal(cursor.size, 0);

    cursor = hex("89010000000000000000", room, sizeof(room)); /* 2^64 */
    assert_int_equal(rlp_read_uint64(&cursor, &number, &detail), STOA_EINVAL);
    assert_int_equal(cursor.size, 10);
    cursor = hex("00", room, sizeof(room)); /* zero is the empty string */
    assert_int_equal(rlp_read_uint64(&cursor, &number, &detail), STOA_EINVAL);
    assert_int_equal(rlp_expect_end(cursor, &detail), STOA_EINVAL);
    assert_string_equal(detail.text, "1 byte after the end");
}

static void integers_come_back_at_every_bit_length(void **context)
{
    (void)context;
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t value = bits == 0 ? 0 : UINT64_MAX >> (64 - bits);
        struct buffer buffer;
        buffer_init(&buffer);
        assert_int_equal(rlp_append_uint64(&buffer, value), 0);
        assert_int_equal(buffer.size, rlp_uint64_size(value));
        struct bytes cursor = buffer_bytes(&buffer);
        uint64_t back = ~value;
        assert_int_equal(rlp_read_uint64(&cursor, &back, NULL), 0);
        assert_int_equal(back, value);
        cursor = buffer_bytes(&buffer);
        uint8_t wide[32];
        assert_int_equal(rlp_read_uint256(&cursor, wide, NULL), 0);
        assert_int_equal(bytes_load_be64(wide + 24), value);
        buffer_deinit(&buffer);
    }
}

static void strings_around_each_change_of_form_come_back(void **context)
{
    (void)context;
    static const size_t sizes[] = {0, 1, 2, 55, 56, 255, 256, 65535, 65536, 16777216};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *data = calloc(sizes[i] + 1, 1);
        assert_non_null(data);
        data[0] = 0x80;
        struct bytes string = bytes_of(data, sizes[i]);
        struct buffer buffer;
        buffer_init(&buffer);
        assert_int_equal(rlp_append_string(&buffer, string), 0);
        assert_int_equal(buffer.size, rlp_string_size(string));
        struct bytes cursor = buffer_bytes(&buffer);
        struct bytes back;
        assert_int_equal(rlp_read_string(&cursor, &back, NULL), 0);
        assert_true(bytes_equal(back, string));
        assert_int_equal(cursor.size, 0);
        uint64_t peeked;
        assert_int_equal(rlp_peek_size(buffer_bytes(&buffer), &peeked, NULL), 0);
        assert_int_equal(peeked, buffer.size);
        buffer_deinit(&buffer);
        free(data);
    }
}

static void every_cut_of_an_item_is_refused(void **context)
{
    (void)context;
    uint8_t data[400];
    memset(data, 0xee, sizeof(data));
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(rlp_append_list_prefix(&buffer, 3 + 300), 0);
    assert_int_equal(rlp_append_string(&buffer, bytes_of(data, 300)), 0);
    for (size_t size = 0; size < buffer.size; size++) {
        struct bytes cursor = bytes_of(buffer.data, size);
        struct rlp_item item;
        assert_int_equal(rlp_read(&cursor, &item, NULL), STOA_EINVAL);
        assert_int_equal(cursor.size, size);
    }
    assert_int_equal(check_deeply(buffer_bytes(&buffer), 10), 0);
    buffer_deinit(&buffer);
}

static void a_million_nested_lists_are_read_without_recursion(void **context)
{
    (void)context;
    enum { DEPTH = 1000000 };
    /* From the inside out: prefixes are written back to front. */
    uint8_t *data = malloc(9 * (size_t)DEPTH);
    assert_non_null(data);
    size_t at = 9 * (size_t)DEPTH;
    size_t size = 0;
    for (size_t i = 0; i < DEPTH; i++) {
        struct buffer prefix;
        buffer_init(&prefix);
        assert_int_equal(rlp_append_list_prefix(&prefix, size), 0);
        at -= prefix.size;
        memcpy(data + at, prefix.data, prefix.size);
        size += prefix.size;
        buffer_deinit(&prefix);
    }
    struct bytes nested = bytes_of(data + at, size);
    assert_int_equal(check_deeply(nested, DEPTH), 0);
    nested.size--; /* now each of them is too long */
    assert_int_equal(check_deeply(nested, DEPTH), STOA_EINVAL);
    free(data);
}

static void a_peek_wants_no_more_than_the_prefix(void **context)
{
    (void)context;
    static const struct {
        const char *head;
        int result;
        uint64_t size;
    } cases[] = {
        {"", STOA_EBUSY, 0},
        {"7f", 0, 1},
        {"80", 0, 1},
        {"81", STOA_EBUSY, 0},
        {"8180", 0, 2},
        {"8105", STOA_EINVAL, 0},
        {"b7", 0, 56},
        {"c0", 0, 1},
        {"f7", 0, 56},
        {"f8", STOA_EBUSY, 0},
        {"f838", 0, 58},
        {"f837", STOA_EINVAL, 0},
        {"f90100", 0, 259},
        {"f901", STOA_EBUSY, 0},
        {"fb010000", STOA_EBUSY, 0},
        {"fb01000000", 0, 16777221},
        {"fb00ffffff", STOA_EINVAL, 0},
        {"fc0100000000", 0, 4294967302},
        {"bdfffffffffff9", 0, UINT64_C(1) << 48},
        {"bdfffffffffffa", STOA_EINVAL, 0},
        {"be01000000000000", STOA_EINVAL, 0},
        {"ff0100000000000000", STOA_EINVAL, 0},
        {"ffffffffffffffffff", STOA_EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t room[16];
        uint64_t size = 0;
        int result = rlp_peek_size(hex(cases[i].head, room, sizeof(room)), &size, NULL);
        if (result != cases[i].result || size != cases[i].size) {
            fail_msg("%s: %d, %llu", cases[i].head, result, (unsigned long long)size);
        }
    }
}

static void a_failed_append_leaves_the_buffer_as_it_was(void **context)
{
    (void)context;
    struct buffer buffer;
    buffer_init(&buffer);
    memory_fail_at(1);
    assert_int_equal(rlp_append_string(&buffer, bytes_of("dog", 3)), STOA_ENOMEM);
    memory_fail_at(1);
    assert_int_equal(rlp_append_uint64(&buffer, 5), STOA_ENOMEM);
    memory_fail_at(1);
    assert_int_equal(rlp_append_list_prefix(&buffer, 5), STOA_ENOMEM);
    memory_fail_at(0);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(rlp_append_string(&buffer, bytes_of("dog", 3)), 0);
    assert_true(bytes_equal(buffer_bytes(&buffer), bytes_of("\x83"
                                                            "dog",
                                                            4)));
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_vectors_encode_and_decode),
        cmocka_unit_test(big_integers_of_the_vectors_are_read_up_to_256_bits),
        cmocka_unit_test(public_invalid_vectors_are_refused),
        cmocka_unit_test(what_is_not_canonical_is_refused_and_moves_nothing),
        cmocka_unit_test(the_wrong_kind_or_size_is_refused_and_moves_nothing),
        cmocka_unit_test(integers_come_back_at_every_bit_length),
        cmocka_unit_test(strings_around_each_change_of_form_come_back),
        cmocka_unit_test(every_cut_of_an_item_is_refused),
        cmocka_unit_test(a_million_nested_lists_are_read_without_recursion),
        cmocka_unit_test(a_peek_wants_no_more_than_the_prefix),
        cmocka_unit_test(a_failed_append_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
