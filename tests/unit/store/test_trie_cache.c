/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trie_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stoa/error.h"
#include "store/trie_group.h"
#include "store/trie_layer.h"

static struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

static void put(struct trie_cache *cache, const char *key, const char *value, uint64_t height,
                uint64_t below)
{
    assert_int_equal(trie_cache_put(cache, text(key), text(value), height, below), 0);
}

/* VALUE NULL: not here. */
static void check(const struct trie_cache *cache, const char *key, uint64_t bound,
                  const char *value)
{
    struct bytes found;
    struct buffer scratch;
    buffer_init(&scratch);
    assert_int_equal(trie_cache_find(cache, text(key), bound, &scratch, &found),
                     value != NULL ? 0 : STOA_ENOTFOUND);
    if (value != NULL) {
        assert_int_equal(found.size, strlen(value));
        assert_memory_equal(found.data, value, found.size);
    }
    buffer_deinit(&scratch);
}

static void versions_are_found_by_height(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "one", 1, 0);
    put(cache, "a", "three", 3, 0);
    put(cache, "a", "", 5, 0);
    check(cache, "a", 0, NULL);
    check(cache, "a", 1, "one");
    check(cache, "a", 2, "one");
    check(cache, "a", 4, "three");
    check(cache, "a", UINT64_MAX, "");
    check(cache, "b", 4, NULL);
    put(cache, "a", "five", 5, 0); /* the same height again */
    check(cache, "a", 5, "five");
    check(cache, "a", 4, "three");
    trie_cache_destroy(cache);
}

static size_t bytes_of_cache(const struct trie_cache *cache)
{
    struct trie_cache_stats stats;
    trie_cache_stats(cache, &stats);
    return stats.bytes;
}

static void versions_that_the_tables_have_go_but_for_the_newest(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "value", 1, 0);
    size_t one = bytes_of_cache(cache);
    put(cache, "a", "value", 2, 0);
    size_t version = bytes_of_cache(cache) - one;
    for (uint64_t height = 3; height < 1000; height++) {
        put(cache, "a", "value", height, height - 1); /* all but the last are in the tables */
        assert_true(bytes_of_cache(cache) <= one + 8 * version);
    }
    trie_cache_settle(cache, 1000);
    assert_int_equal(bytes_of_cache(cache), one);
    check(cache, "a", 998, NULL);
    check(cache, "a", 999, "value");
    trie_cache_destroy(cache);
}

/* What is gathered, version by version from the newest of a group on, as "key@height:value ". */
static void check_gathered(const struct trie_cache *cache, uint64_t below, uint64_t last,
                           const char *wanted)
{
    struct buffer out;
    struct buffer scratch;
    struct arena memory;
    char text_out[400] = "";
    buffer_init(&out);
    buffer_init(&scratch);
    arena_init(&memory);
    assert_int_equal(trie_cache_gather(cache, below, last, &memory, &out), 0);
    const struct trie_cache_version *versions = (const void *)out.data;
    for (size_t i = 0; i < out.size / sizeof(*versions); i++) {
        uint64_t bound = UINT64_MAX;
        uint64_t height;
        struct bytes record;
        do {
            assert_int_equal(trie_group_find(versions[i].record, versions[i].height, bound,
                                             &scratch, &record, &height, NULL),
                             0);
            size_t used = strlen(text_out);
            (void)snprintf(text_out + used, sizeof(text_out) - used, "%.*s@%d:%.*s ",
                           (int)versions[i].key.size, (const char *)versions[i].key.data,
                           (int)height, (int)record.size, (const char *)record.data);
            bound = height - 1;
        } while (height != versions[i].height);
    }
    assert_string_equal(text_out, wanted);
    arena_deinit(&memory);
    buffer_deinit(&scratch);
    buffer_deinit(&out);
}

static void what_the_tables_do_not_have_is_gathered(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "one", 1, 0);
    put(cache, "a", "two", 2, 0);
    put(cache, "a", "five", 5, 0);
    put(cache, "b", "three", 3, 0);
    assert_int_equal(trie_cache_keep(cache, text("c"), text("one"), 1), 0); /* they have it */
    check_gathered(cache, 0, 9, "b@3:three a@5:five a@2:two a@1:one ");
    check_gathered(cache, 0, 4, "b@3:three a@2:two a@1:one ");
    check_gathered(cache, 2, 3, "b@3:three a@2:two ");
    trie_cache_raise_floor(cache, 3); /* a@2 is asked for as of 3, a@1 never */
    check_gathered(cache, 0, 9, "b@3:three a@5:five a@2:two ");
    trie_cache_settle(cache, 4);
    check_gathered(cache, 4, 9, "a@5:five ");
    trie_cache_settle(cache, 6);
    check_gathered(cache, 6, 9, "");
    struct trie_cache_stats stats;
    trie_cache_stats(cache, &stats);
    assert_int_equal(stats.unsettled, 0);
    assert_int_equal(stats.unsettled_bytes, 0);
    put(cache, "a", "six", 6, 6);
    check_gathered(cache, 6, 9, "a@6:six ");
    assert_int_equal(trie_cache_drop(cache, 6), 0);
    check_gathered(cache, 6, 9, "");
    check(cache, "b", 9, "three");
    trie_cache_destroy(cache);
}

static void a_version_without_a_record_is_gathered_alone(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "one", 1, 0);
    put(cache, "a", "two", 2, 0);
    put(cache, "a", "", 3, 0);
    put(cache, "a", "four", 4, 0);
    put(cache, "a", "five", 5, 0);
    check_gathered(cache, 0, 9, "a@5:five a@4:four a@3: a@2:two a@1:one ");
    check(cache, "a", 3, "");
    check(cache, "a", 2, "two");
    trie_cache_destroy(cache);
}

static void a_long_history_is_gathered_in_groups(void **context)
{
    (void)context;
    enum { COUNT = 100 };
    struct trie_cache *cache = trie_cache_create(1 << 20);
    struct buffer out;
    struct buffer scratch;
    struct arena memory;
    char value[600];
    buffer_init(&out);
    buffer_init(&scratch);
    arena_init(&memory);
    for (unsigned height = 1; height <= COUNT; height++) {
        memset(value, (int)height % 128, sizeof(value));
        struct bytes record = bytes_of(value, 300 + height);
        assert_int_equal(trie_cache_put(cache, text("a"), record, height, 0), 0);
    }
    assert_int_equal(trie_cache_gather(cache, 0, COUNT, &memory, &out), 0);
    const struct trie_cache_version *versions = (const void *)out.data;
    size_t count = out.size / sizeof(*versions);
    assert_in_range(count, 4, COUNT / 2);
    uint64_t height = COUNT;
    for (size_t i = 0; i < count; i++) {
        assert_true(versions[i].record.size <= TRIE_GROUP_SIZE_MAX);
        for (; height >= versions[i].height; height--) {
            struct bytes record;
            uint64_t found;
            assert_int_equal(trie_group_find(versions[i].record, versions[i].height, height,
                                             &scratch, &record, &found, NULL),
                             0);
            assert_int_equal(found, height);
            assert_int_equal(record.size, 300 + height);
            assert_int_equal(record.data[0], height % 128);
            assert_int_equal(record.data[record.size - 1], height % 128);
        }
    }
    assert_int_equal(height, 0);
    arena_deinit(&memory);
    buffer_deinit(&scratch);
    buffer_deinit(&out);
    trie_cache_destroy(cache);
}

static void what_nobody_asks_for_goes_though_the_tables_never_had_it(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "value", 1, 0);
    size_t one = bytes_of_cache(cache);
    for (uint64_t height = 2; height < 1000; height++) {
        trie_cache_raise_floor(cache, height);
        put(cache, "a", "value", height, 0);
        assert_true(bytes_of_cache(cache) <= 10 * one);
    }
    check_gathered(cache, 0, 1000, "a@999:value ");
    trie_cache_destroy(cache);
}

static void what_was_gathered_stays_whatever_becomes_of_the_cache(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    struct buffer out;
    struct arena memory;
    buffer_init(&out);
    arena_init(&memory);
    put(cache, "key", "one", 1, 0);
    assert_int_equal(trie_cache_gather(cache, 0, 2, &memory, &out), 0);
    put(cache, "key", "two", 2, 0);
    trie_cache_clear(cache);
    check(cache, "key", 9, NULL);
    const struct trie_cache_version *versions = (const void *)out.data;
    assert_int_equal(out.size, sizeof(*versions));
    assert_memory_equal(versions[0].record.data, "one", 3);
    assert_memory_equal(versions[0].key.data, "key", 3);
    arena_deinit(&memory);
    buffer_deinit(&out);
    trie_cache_destroy(cache);
}

/* The version before is made of the one that is replaced. */
static void a_replaced_version_leaves_the_others_as_they_are(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "a value", 1, 0);
    put(cache, "a", "another value", 2, 0);
    put(cache, "a", "a value of 3", 3, 0);
    put(cache, "a", "3", 3, 0);
    put(cache, "a", "something longer than all of the others", 3, 0);
    check(cache, "a", 3, "something longer than all of the others");
    check(cache, "a", 2, "another value");
    check(cache, "a", 1, "a value");
    trie_cache_destroy(cache);
}

static void what_is_found_in_the_tables_replaces_nothing(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "two", 2, 0);
    assert_int_equal(trie_cache_keep(cache, text("a"), text("one"), 1), 0);
    assert_int_equal(trie_cache_keep(cache, text("b"), text("one"), 1), 0);
    check(cache, "a", 2, "two");
    check(cache, "a", 1, NULL);
    check(cache, "b", 2, "one");
    trie_cache_destroy(cache);
}

static void a_lost_branch_is_forgotten(void **context)
{
    (void)context;
    struct trie_cache *cache = trie_cache_create(1 << 20);
    put(cache, "a", "one", 1, 0);
    put(cache, "a", "three", 3, 0);
    put(cache, "a", "four", 4, 0);
    put(cache, "b", "three", 3, 0);
    assert_int_equal(trie_cache_drop(cache, 3), 0);
    check(cache, "a", 9, "one");
    check(cache, "b", 9, NULL);
    struct trie_cache_stats stats;
    trie_cache_stats(cache, &stats);
    assert_int_equal(stats.records, 1);
    trie_cache_clear(cache);
    trie_cache_stats(cache, &stats);
    assert_int_equal(stats.records, 0);
    assert_int_equal(stats.bytes, 0);
    trie_cache_destroy(cache);
}

static void only_what_the_tables_have_is_trimmed(void **context)
{
    (void)context;
    enum { COUNT = 20000 };
    struct trie_cache *cache = trie_cache_create(1);
    struct trie_cache_stats stats;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct bytes key = bytes_of(&i, sizeof(i));
        assert_int_equal(trie_cache_put(cache, key, text("value"), i, 0), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        trie_cache_trim(cache, COUNT / 2);
    }
    trie_cache_stats(cache, &stats);
    assert_int_equal(stats.records, COUNT / 2);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct bytes found;
        assert_int_equal(trie_cache_find(cache, bytes_of(&i, sizeof(i)), i, NULL, &found),
                         i >= COUNT / 2 ? 0 : STOA_ENOTFOUND);
    }
    trie_cache_destroy(cache);
}

/* ---- how records are named ---- */

static void names_differ_and_none_begins_another(void **context)
{
    (void)context;
    uint8_t name[32] = {0};
    uint8_t path[TRIE_LAYER_PATH_MAX] = {0};
    uint8_t bases[2 * (TRIE_LAYER_PATH_MAX + 1)][TRIE_LAYER_BASE_MAX];
    size_t sizes[2 * (TRIE_LAYER_PATH_MAX + 1)];
    size_t count = 0;
    for (size_t size = 0; size <= TRIE_LAYER_PATH_MAX; size++) {
        sizes[count] = trie_layer_base(bytes_of(NULL, 0), bytes_of(path, size), bases[count]);
        count++;
        sizes[count] = trie_layer_base(bytes_of(name, 32), bytes_of(path, size), bases[count]);
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(sizes[i] <= TRIE_LAYER_BASE_MAX);
        for (size_t j = 0; j < count; j++) {
            assert_true(i == j || sizes[i] > sizes[j] || memcmp(bases[i], bases[j], sizes[i]) != 0);
        }
    }
}

static void each_nibble_of_a_path_counts(void **context)
{
    (void)context;
    uint8_t path[TRIE_LAYER_PATH_MAX] = {0};
    uint8_t plain[TRIE_LAYER_BASE_MAX];
    uint8_t other[TRIE_LAYER_BASE_MAX];
    size_t size = trie_layer_base(bytes_of(NULL, 0), bytes_of(path, sizeof(path)), plain);
    for (size_t i = 0; i < sizeof(path); i++) {
        for (unsigned value = 1; value < 16; value++) {
            path[i] = (uint8_t)value;
            assert_int_equal(
                trie_layer_base(bytes_of(NULL, 0), bytes_of(path, sizeof(path)), other), size);
            assert_memory_not_equal(plain, other, size);
        }
        path[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_found_by_height),
        cmocka_unit_test(versions_that_the_tables_have_go_but_for_the_newest),
        cmocka_unit_test(what_the_tables_do_not_have_is_gathered),
        cmocka_unit_test(what_nobody_asks_for_goes_though_the_tables_never_had_it),
        cmocka_unit_test(a_version_without_a_record_is_gathered_alone),
        cmocka_unit_test(a_long_history_is_gathered_in_groups),
        cmocka_unit_test(what_was_gathered_stays_whatever_becomes_of_the_cache),
        cmocka_unit_test(a_replaced_version_leaves_the_others_as_they_are),
        cmocka_unit_test(what_is_found_in_the_tables_replaces_nothing),
        cmocka_unit_test(a_lost_branch_is_forgotten),
        cmocka_unit_test(only_what_the_tables_have_is_trimmed),
        cmocka_unit_test(names_differ_and_none_begins_another),
        cmocka_unit_test(each_nibble_of_a_path_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
