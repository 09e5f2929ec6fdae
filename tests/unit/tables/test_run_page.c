/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pages of entries: what was put comes back in both directions, and damaged pages are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "stoa/error.h"
#include "support/fixture.h"
#include "tables/run_page.h"

enum { ENTRIES_MAX = RUN_PAGE_ENTRIES_MAX, ROUNDS = 400, DAMAGES = 4000, SPACE = 400 };

struct entry {
    uint8_t key[KV_KEY_SIZE_MAX];
    size_t key_size;
    uint8_t value[SPACE];
    size_t value_size;
    enum run_tag tag;
};

/* What a page holds. */
struct model {
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

static struct bytes key_at(const struct model *model, size_t i)
{
    return bytes_of(model->entries[i].key, model->entries[i].key_size);
}

static int compare(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    return bytes_compare(bytes_of(left->key, left->key_size),
                         bytes_of(right->key, right->key_size));
}

/* Entries of a shape that depends on ROUND: short and long keys, values of one size or of many,
 * tombstones in some. */
static void make_entries(struct model *model, unsigned round, uint64_t *random)
{
    size_t longest = round % 3 == 0 ? 14 : round % 3 == 1 ? 40 : KV_KEY_SIZE_MAX;
    unsigned letters = round % 4 == 0 ? 2 : 256;
    size_t count = 1 + fixture_random_below(random, ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &model->entries[i];
        entry->key_size = 1 + fixture_random_below(random, longest);
        for (size_t j = 0; j < entry->key_size; j++) {
            entry->key[j] = (uint8_t)fixture_random_below(random, letters);
        }
        entry->value_size = round % 5 < 3 ? round % 5 : fixture_random_below(random, 60);
        memset(entry->value, (int)i, entry->value_size);
        entry->tag = RUN_TAG_VALUE;
        if (round % 2 == 0 && fixture_random_below(random, 5) == 0) {
            entry->tag = i % 2 == 0 ? RUN_TAG_REMOVED : RUN_TAG_ABSENT;
            entry->value_size = 0;
        }
    }
    qsort(model->entries, count, sizeof(model->entries[0]), compare);
    model->count = 1;
    for (size_t i = 1; i < count; i++) {
        if (compare(&model->entries[model->count - 1], &model->entries[i]) != 0) {
            model->entries[model->count++] = model->entries[i];
        }
    }
}

/* As many as have room; the model is cut to them. */
static struct bytes make_page(struct run_page_maker *maker, struct model *model)
{
    struct bytes key;
    struct bytes page;
    size_t put = 0;
    while (put < model->count) {
        const struct entry *entry = &model->entries[put];
        struct bytes value = bytes_of(entry->value, entry->value_size);
        if (!run_page_maker_has_room(maker, key_at(model, put), value)) {
            break;
        }
        assert_int_equal(run_page_maker_put(maker, key_at(model, put), value, entry->tag), 0);
        put++;
    }
    assert_int_not_equal(put, 0);
    model->count = put;
    assert_int_equal(run_page_maker_take(maker, &key, &page), 0);
    assert_true(bytes_equal(key, key_at(model, put - 1)));
    assert_true(put == 1 || page.size <= RUN_PAGE_SIZE);
    return page;
}

static void expect_entry(const struct run_page *page, const struct entry *entry)
{
    assert_true(bytes_equal(run_page_key(page), bytes_of(entry->key, entry->key_size)));
    assert_true(bytes_equal(page->value, bytes_of(entry->value, entry->value_size)));
    assert_int_equal(page->tag, entry->tag);
}

static void walk_both_ways(struct run_page *page, const struct model *model)
{
    assert_int_equal(run_page_first(page), 0);
    for (size_t i = 0; i < model->count; i++) {
        expect_entry(page, &model->entries[i]);
        assert_int_equal(run_page_next(page), i + 1 < model->count ? 0 : STOA_ENOTFOUND);
    }
    assert_int_equal(run_page_last(page), 0);
    for (size_t i = model->count; i-- > 0;) {
        expect_entry(page, &model->entries[i]);
        assert_int_equal(run_page_previous(page), i != 0 ? 0 : STOA_ENOTFOUND);
    }
}

/* Each key, and what is just before and behind it. */
static void seek_everywhere(struct run_page *page, const struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        bool before;
        struct bytes key = key_at(model, i);
        uint8_t other[KV_KEY_SIZE_MAX + 1];
        assert_int_equal(run_page_seek(page, key), 0);
        expect_entry(page, &model->entries[i]);
        assert_int_equal(run_page_is_before(page, key, &before), 0);
        assert_false(before);
        memcpy(other, key.data, key.size);
        other[key.size] = 0; /* the least key behind it */
        bool ends = i + 1 == model->count;
        assert_int_equal(run_page_seek(page, bytes_of(other, key.size + 1)),
                         ends ? STOA_ENOTFOUND : 0);
        if (!ends) {
            expect_entry(page, &model->entries[i + 1]);
        }
        if (i == 0 && key.size > 1) {
            assert_int_equal(run_page_seek(page, bytes_of(key.data, key.size - 1)), 0);
            expect_entry(page, &model->entries[0]);
            assert_int_equal(run_page_is_before(page, bytes_of(key.data, key.size - 1), &before),
                             0);
            assert_true(before);
        }
    }
}

static void what_was_put_comes_back(void **state)
{
    (void)state;
    uint64_t random = fixture_seed();
    struct model *model = calloc(1, sizeof(*model));
    struct run_page_maker maker;
    run_page_maker_init(&maker);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct run_page page;
        make_entries(model, round, &random);
        struct bytes bytes = make_page(&maker, model);
        assert_int_equal(run_page_open(&page, bytes), 0);
        walk_both_ways(&page, model);
        seek_everywhere(&page, model);
    }
    run_page_maker_deinit(&maker);
    free(model);
}

static void a_large_entry_has_a_page_to_itself(void **state)
{
    (void)state;
    struct run_page_maker maker;
    struct bytes key = bytes_of((const uint8_t *)"key", 3);
    struct bytes last;
    struct bytes bytes;
    uint8_t *large = calloc(1, 1 << 20);
    run_page_maker_init(&maker);
    assert_int_equal(run_page_maker_take(&maker, &last, &bytes), 0);
    assert_int_equal(bytes.size, 0);
    assert_true(run_page_maker_has_room(&maker, key, bytes_of(large, 1 << 20)));
    assert_int_equal(run_page_maker_put(&maker, key, bytes_of(large, 1 << 20), RUN_TAG_VALUE), 0);
    assert_false(run_page_maker_has_room(&maker, key, bytes_of(NULL, 0)));
    assert_int_equal(run_page_maker_take(&maker, &last, &bytes), 0);
    assert_true(bytes.size <= (1 << 20) + RUN_PAGE_OVERHEAD_MAX);
    struct run_page page;
    assert_int_equal(run_page_open(&page, bytes), 0);
    assert_int_equal(run_page_first(&page), 0);
    assert_true(bytes_equal(page.value, bytes_of(large, 1 << 20)));
    assert_int_equal(run_page_next(&page), STOA_ENOTFOUND);
    run_page_maker_deinit(&maker);
    free(large);
}

static int settled(int result)
{
    assert_true(result == 0 || result == STOA_ENOTFOUND || result == STOA_ECORRUPT);
    return result;
}

/* Bytes of any kind are read within their bounds (a sanitizer sees the rest), and ends are reached.
 */
static void read_anything(struct bytes bytes, struct bytes key)
{
    struct run_page page;
    if (run_page_open(&page, bytes) != 0) {
        return;
    }
    size_t steps = 0;
    for (int result = settled(run_page_first(&page)); result == 0;) {
        result = settled(run_page_next(&page));
        assert_true(++steps <= bytes.size);
    }
    steps = 0;
    for (int result = settled(run_page_last(&page)); result == 0;) {
        result = settled(run_page_previous(&page));
        assert_true(++steps <= bytes.size);
    }
    bool before;
    settled(run_page_seek(&page, key));
    settled(run_page_is_before(&page, key, &before));
}

static void damaged_pages_are_read_within_their_bounds(void **state)
{
    (void)state;
    uint64_t random = fixture_seed();
    struct model *model = calloc(1, sizeof(*model));
    struct run_page_maker maker;
    run_page_maker_init(&maker);
    for (unsigned round = 0; round < DAMAGES; round++) {
        make_entries(model, round % 20, &random);
        model->count = model->count < 90 ? model->count : 90;
        struct bytes bytes = make_page(&maker, model);
        size_t size = round % 3 == 0 ? fixture_random_below(&random, bytes.size + 1) : bytes.size;
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, bytes.data, size);
        for (unsigned i = 0; size != 0 && i < round % 4; i++) {
            copy[fixture_random_below(&random, size)] = (uint8_t)fixture_random_below(&random, 256);
        }
        uint8_t *exact = malloc(size == 0 ? 1 : size); /* so that a byte too far is seen */
        memcpy(exact, copy, size);
        read_anything(bytes_of(exact, size), key_at(model, model->count / 2));
        free(copy);
        free(exact);
    }
    run_page_maker_deinit(&maker);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_comes_back),
        cmocka_unit_test(a_large_entry_has_a_page_to_itself),
        cmocka_unit_test(damaged_pages_are_read_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
