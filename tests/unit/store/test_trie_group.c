/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trie_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "state/trie_delta.h"

enum { VERSIONS = 40, RECORD_MAX = 400 };

/* A history of a record as random changes make it; version I has height 10 + 3 * I. */
struct history {
    uint8_t data[VERSIONS][RECORD_MAX];
    size_t size[VERSIONS];
    uint8_t entry[VERSIONS * RECORD_MAX];
    size_t entry_size;
};

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static struct bytes version_of(const struct history *history, size_t i)
{
    return bytes_of(history->data[i], history->size[i]);
}

static uint64_t height_of(size_t i)
{
    return 10 + 3 * i;
}

static void change(struct history *history, size_t i, uint32_t *state)
{
    uint8_t *data = history->data[i];
    size_t size = history->size[i - 1];
    memcpy(data, history->data[i - 1], size);
    size_t at = draw(state) % size;
    size_t length = 1 + draw(state) % 40;
    unsigned kind = draw(state) % 4;
    if (kind == 0 && size + length <= RECORD_MAX) { /* something comes in between */
        memmove(data + at + length, data + at, size - at);
        size += length;
    } else if (kind == 1 && at + length < size) { /* or goes */
        memmove(data + at, data + at + length, size - at - length);
        size -= length;
    }
    for (size_t j = at; j < size && j < at + length; j++) {
        data[j] = (uint8_t)draw(state);
    }
    data[0] &= 0x7f;
    history->size[i] = size;
}

static void make(struct history *history, uint32_t seed)
{
    struct trie_group group;
    struct buffer delta;
    history->size[0] = 1 + draw(&seed) % 300;
    for (size_t i = 0; i < history->size[0]; i++) {
        history->data[0][i] = (uint8_t)(draw(&seed) & 0x7f);
    }
    for (size_t i = 1; i < VERSIONS; i++) {
        change(history, i, &seed);
    }
    trie_group_init(&group);
    buffer_init(&delta);
    trie_group_begin(&group, version_of(history, VERSIONS - 1), height_of(VERSIONS - 1));
    for (size_t i = VERSIONS - 1; i-- > 0;) {
        buffer_clear(&delta);
        assert_int_equal(
            trie_delta_make(version_of(history, i + 1), version_of(history, i), &delta), 0);
        assert_int_equal(trie_group_add(&group, buffer_bytes(&delta), height_of(i)), 0);
    }
    assert_true(trie_group_size(&group) <= sizeof(history->entry));
    history->entry_size = trie_group_write(&group, history->entry);
    assert_int_equal(group.height, height_of(0));
    buffer_deinit(&delta);
    trie_group_deinit(&group);
}

static void check(const struct history *history, struct bytes entry, size_t last)
{
    struct buffer scratch;
    buffer_init(&scratch);
    for (uint64_t bound = height_of(0); bound <= height_of(last) + 2; bound++) {
        struct bytes record;
        uint64_t height;
        size_t i = (size_t)(bound - height_of(0)) / 3;
        assert_int_equal(
            trie_group_find(entry, height_of(0), bound, &scratch, &record, &height, NULL), 0);
        assert_int_equal(height, height_of(i));
        assert_true(bytes_equal(record, version_of(history, i)));
    }
    buffer_deinit(&scratch);
}

static void each_version_is_found(void **context)
{
    (void)context;
    static struct history history;
    for (uint32_t seed = 0; seed < 200; seed++) {
        make(&history, seed);
        check(&history, bytes_of(history.entry, history.entry_size), VERSIONS - 1);
    }
}

static void what_is_cut_has_the_older_ones_as_they_were(void **context)
{
    (void)context;
    static struct history history;
    struct buffer cut;
    buffer_init(&cut);
    for (uint32_t seed = 0; seed < 20; seed++) {
        make(&history, seed);
        struct bytes entry = bytes_of(history.entry, history.entry_size);
        for (size_t last = 0; last + 1 < VERSIONS; last++) {
            assert_int_equal(trie_group_cut(entry, height_of(0), height_of(last) + 1, &cut, NULL),
                             0);
            assert_true(cut.size != 0);
            check(&history, buffer_bytes(&cut), last);
            struct bytes record;
            uint64_t height;
            struct buffer scratch;
            buffer_init(&scratch);
            assert_int_equal(trie_group_find(buffer_bytes(&cut), height_of(0), UINT64_MAX, &scratch,
                                             &record, &height, NULL),
                             0);
            assert_int_equal(height, height_of(last));
            buffer_deinit(&scratch);
        }
        assert_int_equal(trie_group_cut(entry, height_of(0), height_of(VERSIONS - 1), &cut, NULL),
                         0);
        assert_int_equal(cut.size, 0); /* nothing to cut */
    }
    buffer_deinit(&cut);
}

static void a_version_alone_is_its_record(void **context)
{
    (void)context;
    struct trie_group group;
    uint8_t out[100];
    struct bytes record;
    uint64_t height;
    trie_group_init(&group);
    trie_group_begin(&group, bytes_of("record", 6), 7);
    assert_int_equal(trie_group_write(&group, out), 6);
    assert_memory_equal(out, "record", 6);
    assert_int_equal(trie_group_find(bytes_of(out, 6), 7, 9, NULL, &record, &height, NULL), 0);
    assert_int_equal(height, 7);
    assert_int_equal(record.size, 6);
    assert_int_equal(trie_group_find(bytes_of(NULL, 0), 7, 9, NULL, &record, &height, NULL), 0);
    assert_int_equal(record.size, 0);
    trie_group_deinit(&group);
}

/* Whatever the bytes are, reading ends, and in what is there. */
static void damage_is_told_or_reads_as_something_else(void **context)
{
    (void)context;
    static struct history history;
    struct buffer scratch;
    uint32_t seed = 1;
    unsigned told = 0;
    buffer_init(&scratch);
    make(&history, 3);
    for (unsigned round = 0; round < 20000; round++) {
        size_t size = round % 3 == 0 ? draw(&seed) % history.entry_size : history.entry_size;
        uint8_t *copy = malloc(size + 1);
        struct bytes record;
        uint64_t height;
        struct error_detail detail;
        assert_non_null(copy);
        memcpy(copy, history.entry, size);
        copy[0] = TRIE_GROUP_MARK;
        copy[size == 0 ? 0 : draw(&seed) % size] ^= (uint8_t)(1 << draw(&seed) % 8);
        int result =
            trie_group_find(bytes_of(copy, size), 10, 10, &scratch, &record, &height, &detail);
        assert_true(result == 0 || result == STOA_ECORRUPT);
        told += result != 0;
        free(copy);
    }
    assert_true(told > 1000);
    buffer_deinit(&scratch);
}

/* What a damaged delta makes may be nothing, or begin as a group does: neither is a record. */
static void a_version_that_is_no_record_is_told(void **context)
{
    (void)context;
    static const struct bytes wrong[] = {{.data = NULL},
                                         {.data = (const uint8_t *)"\x80", .size = 1}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct trie_group group;
        struct buffer delta;
        struct buffer out;
        struct bytes record;
        struct error_detail detail;
        uint64_t height;
        uint8_t entry[100];
        trie_group_init(&group);
        buffer_init(&delta);
        buffer_init(&out);
        trie_group_begin(&group, bytes_of("record", 6), 9);
        assert_int_equal(trie_delta_make(bytes_of("record", 6), wrong[i], &delta), 0);
        assert_int_equal(trie_group_add(&group, buffer_bytes(&delta), 8), 0);
        buffer_clear(&delta);
        assert_int_equal(trie_delta_make(wrong[i], bytes_of("older", 5), &delta), 0);
        assert_int_equal(trie_group_add(&group, buffer_bytes(&delta), 7), 0);
        assert_true(trie_group_size(&group) <= sizeof(entry));
        struct bytes made = bytes_of(entry, trie_group_write(&group, entry));
        assert_int_equal(trie_group_find(made, 7, 8, &out, &record, &height, &detail),
                         STOA_ECORRUPT);
        assert_int_equal(trie_group_cut(made, 7, 8, &out, &detail), STOA_ECORRUPT);
        buffer_deinit(&out);
        buffer_deinit(&delta);
        trie_group_deinit(&group);
    }
}

/* Cut to its last version it would be that alone, as of the entry's height. */
static void an_entry_that_ends_above_its_height_is_not_cut(void **context)
{
    (void)context;
    struct trie_group group;
    struct buffer delta;
    struct buffer out;
    struct error_detail detail;
    uint8_t entry[100];
    trie_group_init(&group);
    buffer_init(&delta);
    buffer_init(&out);
    trie_group_begin(&group, bytes_of("record", 6), 9);
    assert_int_equal(trie_delta_make(bytes_of("record", 6), bytes_of("older", 5), &delta), 0);
    assert_int_equal(trie_group_add(&group, buffer_bytes(&delta), 8), 0);
    group.height = 7; /* so does the entry say */
    assert_true(trie_group_size(&group) <= sizeof(entry));
    struct bytes made = bytes_of(entry, trie_group_write(&group, entry));
    assert_int_equal(trie_group_cut(made, 7, 8, &out, &detail), STOA_ECORRUPT);
    buffer_deinit(&out);
    buffer_deinit(&delta);
    trie_group_deinit(&group);
}

static void a_change_of_one_child_takes_little_more_than_it(void **context)
{
    (void)context;
    uint8_t from[500] = {0};
    uint8_t to[500] = {0};
    struct buffer delta;
    buffer_init(&delta);
    for (size_t i = 200; i < 232; i++) {
        to[i] = (uint8_t)i;
    }
    assert_int_equal(
        trie_delta_make(bytes_of(from, sizeof(from)), bytes_of(to, sizeof(to)), &delta), 0);
    assert_in_range(delta.size, 32, 40);
    buffer_deinit(&delta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_is_found),
        cmocka_unit_test(what_is_cut_has_the_older_ones_as_they_were),
        cmocka_unit_test(a_version_alone_is_its_record),
        cmocka_unit_test(damage_is_told_or_reads_as_something_else),
        cmocka_unit_test(a_version_that_is_no_record_is_told),
        cmocka_unit_test(an_entry_that_ends_above_its_height_is_not_cut),
        cmocka_unit_test(a_change_of_one_child_takes_little_more_than_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
