/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values of many keys as one object of the cache: only the newest of each is found. */
#include "store/hot_values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/ensure.h"
#include "stoa/error.h"

enum { MIB = 1 << 20, KEY_SIZE = 8 };

struct block {
    uint64_t number;
    struct buffer changes;
    struct buffer index;
    struct buffer hashes;
};

static struct cache *make(void)
{
    struct cache_options options = {
        .size = 8 * MIB, .share = {20, 5, 5, 60}, .head_blocks = 4, .seed = 7};
    struct cache *cache = cache_create(&options);
    assert_non_null(cache);
    cache_tick(cache, 1);
    return cache;
}

static struct bytes key_of(uint64_t number, uint8_t out[KEY_SIZE + 1])
{
    out[0] = 0; /* a raw key */
    bytes_store_be64(out + 1, number);
    return bytes_of(out, KEY_SIZE + 1);
}

static void change(struct block *block, uint64_t number, const char *value)
{
    uint8_t key[KEY_SIZE + 1];
    struct record_change change = {
        .key = key_of(number, key),
        .value = bytes_of(value, value == NULL ? 0 : strlen(value)),
        .removed = value == NULL,
    };
    assert_int_equal(record_append_change(&block->changes, &change), 0);
}

/* Tell of the values of BLOCK, and with SHOW put them in reach. */
static void put(struct cache *cache, struct block *block, uint64_t height, bool show)
{
    struct bytes changes = buffer_bytes(&block->changes);
    struct bytes rest = changes;
    struct hot_values_key name;
    size_t next = 0;
    assert_int_equal(hot_values_index(cache, changes, &block->index, &block->hashes), 0);
    while (hot_values_tell(cache, block->number, buffer_bytes(&block->hashes), &rest, &next, 3)) {
    }
    assert_int_equal(rest.size, 0);
    struct cache_entry entry = {
        .class = CACHE_STATE,
        .key = hot_values_key(block->number, &name),
        .parts = {buffer_bytes(&block->index), changes},
        .part_count = 2,
        .height = height,
        .head = true,
    };
    assert_true(!show || cache_put(cache, &entry));
}

static void drop(struct block *block)
{
    buffer_deinit(&block->changes);
    buffer_deinit(&block->index);
    buffer_deinit(&block->hashes);
}

static bool has(struct cache *cache, uint64_t number, const char *value)
{
    uint8_t key[KEY_SIZE + 1];
    struct stoa_bytes found = {0};
    struct stoa_view *view = NULL;
    int result = 0;
    if (!hot_get_state(cache, key_of(number, key), &found, &view, &result)) {
        return false;
    }
    bool same = value == NULL ? result == STOA_ENOTFOUND
                              : result == 0 && found.size == strlen(value) &&
                                    memcmp(found.data, value, found.size) == 0;
    if (view != NULL) {
        hot_release(view);
    }
    assert_true(same); /* found, but another value */
    return true;
}

static void each_value_of_a_block_is_found(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block block = {.number = 1};
    for (uint64_t i = 0; i < 100; i++) {
        char value[16];
        (void)snprintf(value, sizeof(value), "value %d", (int)i);
        change(&block, i, i % 10 == 0 ? NULL : value);
    }
    put(cache, &block, 5, true);
    for (uint64_t i = 0; i < 100; i++) {
        char value[16];
        (void)snprintf(value, sizeof(value), "value %d", (int)i);
        assert_true(has(cache, i, i % 10 == 0 ? NULL : value));
    }
    assert_false(has(cache, 100, "no value"));
    drop(&block);
    cache_destroy(cache);
}

static void the_newest_block_says_what_a_key_is(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block blocks[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    change(&blocks[0], 1, "old");
    change(&blocks[0], 2, "kept");
    put(cache, &blocks[0], 1, true);
    change(&blocks[1], 1, "twice in one block");
    change(&blocks[1], 1, "new");
    put(cache, &blocks[1], 2, true);
    assert_true(has(cache, 1, "new"));
    assert_true(has(cache, 2, "kept"));
    change(&blocks[2], 1, NULL);
    put(cache, &blocks[2], 3, true);
    assert_true(has(cache, 1, NULL));
    for (unsigned i = 0; i < 3; i++) {
        drop(&blocks[i]);
    }
    cache_destroy(cache);
}

static void values_that_are_not_durable_hide_older_ones_and_are_not_found(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block blocks[2] = {{.number = 1}, {.number = 2}};
    change(&blocks[0], 1, "old");
    put(cache, &blocks[0], 1, true);
    change(&blocks[1], 1, "never written");
    put(cache, &blocks[1], 2, false);
    assert_false(has(cache, 1, "old"));
    drop(&blocks[0]);
    drop(&blocks[1]);
    cache_destroy(cache);
}

static void what_a_read_brought_goes_when_a_block_changes_it(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block block = {.number = 1};
    uint8_t key[KEY_SIZE + 1];
    struct cache_entry entry = {.class = CACHE_STATE,
                                .key = key_of(1, key),
                                .parts = {bytes_of("read", 4)},
                                .part_count = 1};
    struct cache_ticket ticket = cache_take_ticket(cache, CACHE_STATE, entry.key);
    assert_true(cache_fill(cache, &entry, ticket));
    assert_true(has(cache, 1, "read"));
    change(&block, 1, "made by a block");
    put(cache, &block, 1, false);
    assert_false(has(cache, 1, "read"));
    assert_false(cache_fill(cache, &entry, ticket)); /* read before the change */
    drop(&block);
    cache_destroy(cache);
}

static void a_branch_that_leaves_takes_its_values_along(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block blocks[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    change(&blocks[0], 1, "below");
    change(&blocks[0], 2, "below too");
    put(cache, &blocks[0], 1, true);
    change(&blocks[1], 1, "losing");
    put(cache, &blocks[1], 2, true);
    cache_drop_heights(cache, 2);
    assert_false(has(cache, 1, "losing"));
    assert_true(has(cache, 2, "below too"));
    change(&blocks[2], 1, "winning");
    put(cache, &blocks[2], 2, true);
    assert_true(has(cache, 1, "winning"));
    for (unsigned i = 0; i < 3; i++) {
        drop(&blocks[i]);
    }
    cache_destroy(cache);
}

static void a_dropped_hint_leads_nowhere(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block block = {.number = 1};
    uint8_t key[KEY_SIZE + 1];
    change(&block, 1, "value");
    put(cache, &block, 1, true);
    cache_drop_hint(cache, CACHE_HINTS_STATE, cache_hash(cache, CACHE_STATE, key_of(1, key)));
    assert_false(has(cache, 1, "value"));
    drop(&block);
    cache_destroy(cache);
}

static void closed_keys_are_not_found_until_they_open(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block block = {.number = 1};
    uint8_t key[KEY_SIZE + 1];
    change(&block, 1, "value");
    put(cache, &block, 1, true);
    cache_close(cache, cache_hash(cache, CACHE_STATE, key_of(1, key)), 1);
    assert_false(has(cache, 1, "value"));
    cache_open(cache, 1);
    assert_true(has(cache, 1, "value"));
    drop(&block);
    cache_destroy(cache);
}

struct seen {
    struct cache *cache;
    unsigned count;
    uint64_t sum;
};

static void note_key(void *context, struct bytes key)
{
    struct seen *seen = context;
    assert_int_equal(key.size, KEY_SIZE + 1);
    seen->count++;
    seen->sum += bytes_load_be64(key.data + 1);
}

static void note_object(void *context, struct bytes key, struct bytes value, bool read)
{
    struct seen *seen = context;
    hot_values_list(seen->cache, key, value, read, note_key, seen);
}

static void keys_that_were_read_and_are_the_newest_are_listed(void **state)
{
    (void)state;
    struct cache *cache = make();
    struct block blocks[2] = {{.number = 1}, {.number = 2}};
    for (uint64_t i = 0; i < 10; i++) {
        change(&blocks[0], i, "value");
    }
    put(cache, &blocks[0], 1, true);
    assert_true(has(cache, 3, "value"));
    assert_true(has(cache, 4, "value"));
    assert_true(has(cache, 5, "value"));
    change(&blocks[1], 4, "newer");
    put(cache, &blocks[1], 2, true);
    struct seen seen = {.cache = cache};
    cache_list(cache, CACHE_STATE, 100, note_object, &seen);
    assert_int_equal(seen.count, 3); /* 3 and 5 of the first, and all of the second: it has 4 */
    assert_int_equal(seen.sum, 3 + 4 + 5);
    drop(&blocks[0]);
    drop(&blocks[1]);
    cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_of_a_block_is_found),
        cmocka_unit_test(the_newest_block_says_what_a_key_is),
        cmocka_unit_test(values_that_are_not_durable_hide_older_ones_and_are_not_found),
        cmocka_unit_test(what_a_read_brought_goes_when_a_block_changes_it),
        cmocka_unit_test(a_branch_that_leaves_takes_its_values_along),
        cmocka_unit_test(a_dropped_hint_leads_nowhere),
        cmocka_unit_test(closed_keys_are_not_found_until_they_open),
        cmocka_unit_test(keys_that_were_read_and_are_the_newest_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
