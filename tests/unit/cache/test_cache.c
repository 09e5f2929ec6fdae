/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"

enum { MIB = 1 << 20 };

static const uint64_t second_ns = 1000000000;

static struct cache_options options_of(size_t size)
{
    return (struct cache_options){
        .size = size,
        .share = {45, 10, 5, 40},
        .head_blocks = 4,
        .packed_share = 25,
        .seed = 42,
    };
}

static struct cache *make(size_t size)
{
    struct cache_options options = options_of(size);
    struct cache *cache = cache_create(&options);
    assert_non_null(cache);
    return cache;
}

static struct bytes text(const char *text_)
{
    return bytes_of(text_, strlen(text_));
}

static struct cache_entry entry_of(enum cache_class class, struct bytes key, struct bytes value)
{
    return (struct cache_entry){.class = class, .key = key, .parts = {value}, .part_count = 1};
}

static bool put(struct cache *cache, enum cache_class class, const char *key, const char *value,
                uint64_t height)
{
    struct cache_entry entry = entry_of(class, text(key), text(value));
    entry.height = height;
    return cache_put(cache, &entry);
}

static bool has(struct cache *cache, enum cache_class class, const char *key, const char *value)
{
    struct cache_hit hit;
    if (!cache_find(cache, class, text(key), &hit)) {
        return false;
    }
    bool same = bytes_equal(hit.value, text(value));
    cache_release(hit.object);
    return same;
}

static struct cache_class_stats stats_of(struct cache *cache, enum cache_class class)
{
    struct cache_stats stats;
    cache_get_stats(cache, &stats);
    return stats.classes[class];
}

static void a_put_is_found_in_its_class_only(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    assert_true(put(cache, CACHE_STATE, "key", "value", 1));
    assert_true(has(cache, CACHE_STATE, "key", "value"));
    assert_false(has(cache, CACHE_BLOCKS, "key", "value"));
    assert_false(has(cache, CACHE_STATE, "ke", "value"));
    struct cache_class_stats stats = stats_of(cache, CACHE_STATE);
    assert_int_equal(stats.hits[CACHE_HOT], 1);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.objects[CACHE_HOT], 1);
    cache_destroy(cache);
}

static void parts_become_one_value_with_its_height_and_flags(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    struct cache_entry entry = {
        .class = CACHE_BLOCKS,
        .key = text("hash"),
        .parts = {text("one "), bytes_of(NULL, 0), text("two")},
        .part_count = 3,
        .height = 77,
        .flags = CACHE_FLAG_OWN,
    };
    struct cache_hit hit;
    assert_true(cache_put(cache, &entry));
    assert_true(cache_find(cache, CACHE_BLOCKS, text("hash"), &hit));
    assert_true(bytes_equal(hit.value, text("one two")));
    assert_int_equal(hit.height, 77);
    assert_int_equal(hit.flags, CACHE_FLAG_OWN);
    assert_int_equal((uintptr_t)hit.value.data % 8, 0);
    cache_release(hit.object);
    cache_destroy(cache);
}

static void a_hit_allocates_nothing(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    assert_true(put(cache, CACHE_STATE, "key", "value", 1));
    uint64_t before = memory_allocation_count();
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(has(cache, CACHE_STATE, "key", "value"));
    }
    assert_int_equal(memory_allocation_count(), before);
    cache_destroy(cache);
}

static void a_view_outlives_replacing_removing_and_clearing(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    struct cache_hit first;
    struct cache_hit second;
    assert_true(put(cache, CACHE_STATE, "key", "old", 1));
    assert_true(cache_find(cache, CACHE_STATE, text("key"), &first));
    assert_true(put(cache, CACHE_STATE, "key", "new", 2));
    assert_true(cache_find(cache, CACHE_STATE, text("key"), &second));
    cache_remove(cache, CACHE_STATE, text("key"));
    assert_false(has(cache, CACHE_STATE, "key", "new"));
    cache_clear(cache);
    cache_tick(cache, second_ns);
    assert_true(bytes_equal(first.value, text("old")));
    assert_true(bytes_equal(second.value, text("new")));
    assert_int_equal(cache_views_out(cache), 2);
    cache_release(first.object);
    assert_int_equal(cache_views_out(cache), 1);
    cache_pin(second.object);
    cache_release(second.object);
    cache_release(second.object);
    assert_int_equal(cache_views_out(cache), 0);
    struct cache_stats stats;
    cache_tick(cache, second_ns);
    cache_get_stats(cache, &stats);
    assert_int_equal(stats.leaving, 0);
    cache_destroy(cache);
}

/* ---- freshness ---- */

static void a_fill_after_a_change_of_its_key_is_refused(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    struct cache_entry stale = entry_of(CACHE_STATE, text("key"), text("stale"));
    struct cache_ticket ticket = cache_take_ticket(cache, CACHE_STATE, text("key"));
    assert_true(put(cache, CACHE_STATE, "key", "new", 2));
    assert_false(cache_fill(cache, &stale, ticket));
    assert_true(has(cache, CACHE_STATE, "key", "new"));
    ticket = cache_take_ticket(cache, CACHE_STATE, text("key"));
    cache_refuse_tickets(cache);
    assert_false(cache_fill(cache, &stale, ticket));
    ticket = cache_take_ticket(cache, CACHE_STATE, text("key"));
    cache_remove(cache, CACHE_STATE, text("key"));
    assert_false(cache_fill(cache, &stale, ticket));
    ticket = cache_take_ticket(cache, CACHE_STATE, text("key"));
    cache_drop_heights(cache, 1000);
    assert_false(cache_fill(cache, &stale, ticket));
    ticket = cache_take_ticket(cache, CACHE_STATE, text("key"));
    cache_clear(cache);
    assert_false(cache_fill(cache, &stale, ticket));
    assert_false(has(cache, CACHE_STATE, "key", "stale"));
    cache_destroy(cache);
}

static void a_fill_with_nothing_changed_comes_in_once(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    struct cache_entry entry = entry_of(CACHE_STATE, text("key"), text("value"));
    struct cache_ticket ticket = cache_take_ticket(cache, CACHE_STATE, text("key"));
    assert_true(cache_fill(cache, &entry, ticket));
    assert_false(cache_fill(cache, &entry, ticket)); /* two read it at once */
    assert_true(has(cache, CACHE_STATE, "key", "value"));
    assert_int_equal(stats_of(cache, CACHE_STATE).objects[CACHE_HOT], 1);
    cache_destroy(cache);
}

static void a_closed_key_is_not_found_until_it_is_opened(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    assert_true(put(cache, CACHE_STATE, "key", "old", 1));
    assert_true(put(cache, CACHE_STATE, "other", "same", 1));
    cache_close(cache, cache_hash(cache, CACHE_STATE, text("key")), 1);
    assert_false(has(cache, CACHE_STATE, "key", "old"));
    assert_true(has(cache, CACHE_STATE, "other", "same"));
    assert_true(put(cache, CACHE_STATE, "key", "new", 2));
    assert_false(has(cache, CACHE_STATE, "key", "new"));
    cache_open(cache, 1);
    assert_true(has(cache, CACHE_STATE, "key", "new"));
    cache_close(cache, cache_hash(cache, CACHE_STATE, text("key")), 2);
    cache_close(cache, cache_hash(cache, CACHE_STATE, text("key")), 3);
    cache_open(cache, 2);
    assert_false(has(cache, CACHE_STATE, "key", "new"));
    cache_open(cache, 3);
    assert_true(has(cache, CACHE_STATE, "key", "new"));
    cache_destroy(cache);
}

/* What is read while a key is closed may be what it was before. */
static void a_ticket_taken_before_or_while_a_key_is_closed_is_not_valid(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    struct cache_ticket before = cache_take_ticket(cache, CACHE_STATE, text("key"));
    cache_close(cache, cache_hash(cache, CACHE_STATE, text("key")), 1);
    struct cache_ticket during = cache_take_ticket(cache, CACHE_STATE, text("key"));
    cache_open(cache, 1);
    struct cache_entry entry = {
        .class = CACHE_STATE, .key = text("key"), .parts = {text("old")}, .part_count = 1};
    assert_false(cache_fill(cache, &entry, before));
    assert_false(cache_fill(cache, &entry, during));
    assert_true(cache_fill(cache, &entry, cache_take_ticket(cache, CACHE_STATE, text("key"))));
    cache_destroy(cache);
}

static void dropped_heights_are_gone_at_once_and_stay_gone(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    char key[16];
    for (uint64_t height = 1; height <= 100; height++) {
        (void)snprintf(key, sizeof(key), "key %llu", (unsigned long long)height);
        assert_true(put(cache, CACHE_HEIGHTS, key, "first", height));
    }
    cache_drop_heights(cache, 61);
    for (uint64_t height = 1; height <= 100; height++) {
        (void)snprintf(key, sizeof(key), "key %llu", (unsigned long long)height);
        assert_int_equal(has(cache, CACHE_HEIGHTS, key, "first"), height <= 60);
    }
    assert_true(put(cache, CACHE_HEIGHTS, "key 61", "second", 61));
    assert_true(has(cache, CACHE_HEIGHTS, "key 61", "second"));
    assert_int_equal(stats_of(cache, CACHE_HEIGHTS).stale, 40);
    for (unsigned i = 0; i < 100; i++) { /* memory comes back without anyone asking for them */
        cache_tick(cache, i * second_ns);
    }
    assert_int_equal(stats_of(cache, CACHE_HEIGHTS).objects[CACHE_HOT], 61);
    cache_destroy(cache);
}

/* Against a plain model, over more droppings than are told apart. */
static void many_reorganisations_leave_what_a_model_says(void **state)
{
    (void)state;
    uint64_t random = fixture_seed();
    struct cache *cache = make(4 * MIB);
    enum { KEYS = 200 };
    uint64_t heights[KEYS] = {0}; /* 0: not there */
    uint32_t versions[KEYS] = {0};
    for (uint32_t step = 1; step < 4000; step++) {
        uint64_t top = 1000 + fixture_random_below(&random, 300);
        if (step % 10 == 0) {
            cache_drop_heights(cache, top);
            for (unsigned i = 0; i < KEYS; i++) {
                heights[i] = heights[i] >= top ? 0 : heights[i];
            }
        }
        uint32_t i = (uint32_t)fixture_random_below(&random, KEYS);
        heights[i] = 900 + fixture_random_below(&random, 400);
        versions[i] = step;
        struct cache_entry entry = entry_of(CACHE_STATE, bytes_of(&i, sizeof(i)),
                                            bytes_of(&versions[i], sizeof(versions[i])));
        entry.height = heights[i];
        assert_true(cache_put(cache, &entry));
        for (unsigned k = 0; k < 20; k++) {
            struct cache_hit hit;
            i = (uint32_t)fixture_random_below(&random, KEYS);
            bool found = cache_find(cache, CACHE_STATE, bytes_of(&i, sizeof(i)), &hit);
            assert_int_equal(found, heights[i] != 0);
            if (found) {
                assert_int_equal(hit.height, heights[i]);
                assert_memory_equal(hit.value.data, &versions[i], sizeof(versions[i]));
                cache_release(hit.object);
            }
        }
    }
    cache_destroy(cache);
}

static void an_object_is_not_found_after_its_time_to_live(void **state)
{
    (void)state;
    struct cache_options options = options_of(4 * MIB);
    options.time_to_live[CACHE_STATE] = 300;
    struct cache *cache = cache_create(&options);
    uint64_t now = 5000 * second_ns;
    cache_tick(cache, now);
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < 4; i++) {
        assert_true(put(cache, CACHE_STATE, keys[i], "value", 1));
        assert_true(put(cache, CACHE_BLOCKS, keys[i], "value", 1));
    }
    cache_tick(cache, now + 299 * second_ns);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(has(cache, CACHE_STATE, keys[i], "value"));
    }
    cache_tick(cache, now + 300 * second_ns);
    for (unsigned i = 0; i < 4; i++) {
        assert_false(has(cache, CACHE_STATE, keys[i], "value"));
        assert_true(has(cache, CACHE_BLOCKS, keys[i], "value"));
    }
    for (uint64_t i = 0; i < 100; i++) {
        cache_tick(cache, now + (301 + i) * second_ns);
    }
    struct cache_class_stats stats = stats_of(cache, CACHE_STATE);
    assert_int_equal(stats.objects[CACHE_HOT], 0);
    assert_int_equal(stats.expirations, 4);
    assert_int_equal(stats.misses, 4);
    assert_in_range(stats.stale, 1, 4); /* a tick may have come across one before it was read */
    cache_destroy(cache);
}

/* ---- tiers and replacement ---- */

static bool put_number(struct cache *cache, enum cache_class class, uint64_t number, size_t size,
                       bool head)
{
    static uint8_t value[2 * MIB];
    assert_true(size <= sizeof(value));
    struct cache_entry entry =
        entry_of(class, bytes_of(&number, sizeof(number)), bytes_of(value, size));
    entry.height = number;
    entry.head = head;
    return cache_put(cache, &entry);
}

static bool find_number(struct cache *cache, enum cache_class class, uint64_t number)
{
    struct cache_hit hit;
    if (!cache_find(cache, class, bytes_of(&number, sizeof(number)), &hit)) {
        return false;
    }
    cache_release(hit.object);
    return true;
}

static void the_newest_heights_stay_whatever_else_comes(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    for (uint64_t height = 1; height <= 10; height++) {
        assert_true(put_number(cache, CACHE_BLOCKS, height, 20000, true));
    }
    assert_int_equal(stats_of(cache, CACHE_BLOCKS).objects[CACHE_HEAD], 4);
    for (uint64_t i = 1000; i < 2000; i++) {
        (void)put_number(cache, CACHE_BLOCKS, i, 20000, false); /* a flood */
    }
    for (uint64_t height = 1; height <= 10; height++) {
        assert_int_equal(find_number(cache, CACHE_BLOCKS, height), height > 6);
    }
    assert_int_equal(stats_of(cache, CACHE_BLOCKS).hits[CACHE_HEAD], 4);
    cache_destroy(cache);
}

/* The trace: a working set that fits is read again and again; then, between such reads, a scan goes
 * over many times as many objects, each once. A queue by age alone would lose all of it. */
static void a_scan_does_not_push_out_what_is_used(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    enum { SET = 2000, SIZE = 300, SCAN = 60000 };
    uint64_t hits = 0;
    uint64_t reads = 0;
    uint64_t random = 7;
    for (unsigned round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < SET; i++) {
            if (!find_number(cache, CACHE_STATE, i)) {
                assert_true(put_number(cache, CACHE_STATE, i, SIZE, false));
            }
        }
    }
    for (uint64_t i = 0; i < SCAN; i++) {
        uint64_t scanned = 1000000 + i;
        if (!find_number(cache, CACHE_STATE, scanned)) {
            assert_true(put_number(cache, CACHE_STATE, scanned, SIZE, false));
        }
        uint64_t used = fixture_random_below(&random, SET);
        reads++;
        if (find_number(cache, CACHE_STATE, used)) {
            hits++;
        } else {
            assert_true(put_number(cache, CACHE_STATE, used, SIZE, false));
        }
    }
    print_message("hit rate beside a scan: %.3f\n", (double)hits / (double)reads);
    assert_true(hits * 100 >= reads * 97);
    cache_destroy(cache);
}

/* Reads by rank, the frequent few and the many rare ones. */
static void what_comes_back_soon_is_remembered(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    uint64_t random = 11;
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t bound = (uint64_t)1 << (1 + fixture_random_below(&random, 16));
        uint64_t number = fixture_random_below(&random, bound);
        if (!find_number(cache, CACHE_STATE, number)) {
            assert_true(put_number(cache, CACHE_STATE, number, 200, false));
        }
    }
    struct cache_class_stats stats = stats_of(cache, CACHE_STATE);
    uint64_t hits = stats.hits[CACHE_HOT];
    print_message("hit rate by rank: %.3f, %llu came back\n",
                  (double)hits / (double)(hits + stats.misses), (unsigned long long)stats.returned);
    assert_true(hits * 100 >= (hits + stats.misses) * 75);
    assert_true(stats.returned > 0);
    cache_destroy(cache);
}

static void a_hint_leads_to_the_number_noted_last(void **state)
{
    (void)state;
    enum { MANY = 100000, KNOWN = 500 }; /* of 1,024 places in a cache of 1 MiB */
    struct cache *cache = make(MIB);
    uint64_t number = 0;
    assert_false(cache_find_hint(cache, CACHE_HINTS_STATE, 7, &number));
    cache_hint(cache, CACHE_HINTS_STATE, 7, 1);
    cache_hint(cache, CACHE_HINTS_STATE, 7, 2);
    assert_true(cache_find_hint(cache, CACHE_HINTS_STATE, 7, &number));
    assert_int_equal(number, 2);
    for (uint64_t i = 1; i <= MANY; i++) {
        cache_fetch_hint(cache, CACHE_HINTS_STATE, i);
        cache_hint(cache, CACHE_HINTS_STATE, i * UINT64_C(0x2545f4914f6cdd1d), i);
    }
    unsigned known = 0;
    for (uint64_t i = MANY - KNOWN + 1; i <= MANY; i++) {
        bool found =
            cache_find_hint(cache, CACHE_HINTS_STATE, i * UINT64_C(0x2545f4914f6cdd1d), &number);
        known += found && number == i ? 1 : 0;
    }
    print_message("of the newest %d hints %u are there\n", KNOWN, known);
    assert_true(known > KNOWN * 9 / 10);
    cache_destroy(cache);
}

static bool admit(struct cache *cache, uint64_t number, size_t size)
{
    return cache_admit(cache, CACHE_BLOCKS, bytes_of(&number, sizeof(number)), size);
}

static void what_is_large_is_admitted_when_it_is_read_again(void **state)
{
    (void)state;
    enum { SIZE = 100 << 10, OTHERS = 100 };
    struct cache *cache = make(4 * MIB); /* 1.7 MiB for blocks: 17 of that size */
    assert_true(admit(cache, 1, 1000));
    for (uint64_t number = 1; number <= OTHERS; number++) {
        assert_false(admit(cache, number, SIZE));
    }
    assert_true(admit(cache, OTHERS, SIZE));
    assert_true(admit(cache, OTHERS - 10, SIZE));
    assert_false(admit(cache, OTHERS - 30, SIZE)); /* too long ago */
    assert_true(admit(cache, OTHERS - 30, SIZE));
    cache_destroy(cache);
}

static void a_block_that_was_read_is_offered_for_packing(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    assert_true(put_number(cache, CACHE_BLOCKS, 1, 20000, false));
    assert_true(find_number(cache, CACHE_BLOCKS, 1));
    uint64_t next = 100;
    struct cache_object *cold;
    struct cache_ticket ticket;
    while ((cold = cache_take_cold(cache, &ticket)) == NULL) {
        assert_true(next < 10000);
        assert_true(put_number(cache, CACHE_BLOCKS, next++, 20000, false));
    }
    struct bytes key;
    struct cache_hit hit;
    cache_describe(cold, &key, &hit);
    uint64_t one = 1;
    assert_true(bytes_equal(key, bytes_of(&one, sizeof(one))));
    assert_int_equal(hit.value.size, 20000);
    assert_true(cache_fill_packed(cache, cold, text("packed"), ticket));
    cache_return_cold(cache, cold);
    assert_true(cache_find(cache, CACHE_BLOCKS, key, &hit));
    assert_true((hit.flags & CACHE_FLAG_PACKED) != 0);
    assert_int_equal(hit.height, 1);
    assert_int_equal(stats_of(cache, CACHE_BLOCKS).hits[CACHE_PACKED], 1);

    /* Unpacked it takes the place of the packed one. */
    uint8_t *value;
    struct cache_entry entry = entry_of(CACHE_BLOCKS, bytes_of(&one, sizeof(one)), text(""));
    ticket = cache_take_ticket(cache, CACHE_BLOCKS, entry.key);
    struct cache_object *made = cache_reserve(cache, &entry, 5, &value);
    assert_non_null(made);
    memcpy(value, "plain", 5);
    cache_release(hit.object);
    assert_true(cache_publish(cache, made, ticket));
    assert_int_equal(cache_views_out(cache), 1);
    cache_release(made);
    assert_true(cache_find(cache, CACHE_BLOCKS, entry.key, &hit));
    assert_true(bytes_equal(hit.value, text("plain")));
    cache_release(hit.object);
    assert_int_equal(stats_of(cache, CACHE_BLOCKS).objects[CACHE_PACKED], 0);
    cache_destroy(cache);
}

static void packing_what_changed_meanwhile_is_refused(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    uint64_t next = 1;
    struct cache_object *cold;
    struct cache_ticket ticket;
    while ((cold = cache_take_cold(cache, &ticket)) == NULL) {
        assert_true(put_number(cache, CACHE_BLOCKS, next, 20000, false));
        assert_true(find_number(cache, CACHE_BLOCKS, next++));
    }
    cache_drop_heights(cache, 0);
    assert_int_equal(cache_views_out(cache), 0); /* the packer's is none */
    assert_false(cache_fill_packed(cache, cold, text("packed"), ticket));
    cache_return_cold(cache, cold);
    assert_int_equal(cache_views_out(cache), 0);
    cache_destroy(cache);
}

/* ---- memory ---- */

static void check_bound(struct cache *cache, size_t size)
{
    struct cache_stats stats;
    cache_get_stats(cache, &stats);
    assert_int_equal(stats.limit, size);
    assert_true(stats.held <= size);
    for (unsigned i = 0; i < CACHE_CLASS_COUNT; i++) {
        const struct cache_class_stats *class = &stats.classes[i];
        assert_true(class->bytes[0] + class->bytes[1] + class->bytes[2] <= class->budget);
    }
}

static void the_bound_and_the_budgets_hold_at_every_step_of_a_random_run(void **state)
{
    (void)state;
    uint64_t random = fixture_seed();
    size_t size = 8 * MIB;
    struct cache *cache = make(size);
    struct cache_hit held[64];
    unsigned held_count = 0;
    for (unsigned step = 0; step < 60000; step++) {
        enum cache_class class = (enum cache_class)fixture_random_below(&random, CACHE_CLASS_COUNT);
        uint64_t number = fixture_random_below(&random, 3000);
        size_t value = fixture_random_below(&random, class == CACHE_BLOCKS ? 60000 : 400);
        switch (fixture_random_below(&random, 8)) {
        case 0:
            cache_remove(cache, class, bytes_of(&number, sizeof(number)));
            break;
        case 1:
        case 2:
            if (held_count == 64) {
                cache_release(held[--held_count].object);
            }
            if (cache_find(cache, class, bytes_of(&number, sizeof(number)), &held[held_count])) {
                held_count++;
            }
            break;
        case 3:
            while (held_count > 0 && fixture_random_below(&random, 4) != 0) {
                cache_release(held[--held_count].object);
            }
            break;
        default:
            (void)put_number(cache, class, number, value, fixture_random_below(&random, 4) == 0);
            break;
        }
        if (step % 1000 == 999) {
            while (held_count > 0) {
                cache_release(held[--held_count].object);
            }
            size = (1 + fixture_random_below(&random, 16)) * MIB;
            assert_true(cache_resize(cache, size));
        }
        if (step % 16 == 0) {
            cache_tick(cache, step * (second_ns / 16));
        }
        check_bound(cache, size);
    }
    while (held_count > 0) {
        cache_release(held[--held_count].object);
    }
    assert_int_equal(cache_views_out(cache), 0);
    cache_destroy(cache);
}

static void views_that_keep_memory_do_not_break_a_lowered_bound_for_long(void **state)
{
    (void)state;
    struct cache *cache = make(16 * MIB);
    static struct cache_hit held[20000];
    unsigned count = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        assert_true(put_number(cache, CACHE_STATE, i, 200, false));
        if (cache_find(cache, CACHE_STATE, bytes_of(&i, sizeof(i)), &held[count])) {
            count++;
        }
    }
    assert_true(cache_resize(cache, 2 * MIB));
    struct cache_stats stats;
    cache_get_stats(cache, &stats);
    assert_true(stats.held > stats.limit);                               /* the views hold it */
    assert_false(put_number(cache, CACHE_STATE, 1000000, 20000, false)); /* takes nothing more */
    for (unsigned i = 0; i < count; i++) {
        cache_release(held[i].object);
    }
    cache_tick(cache, second_ns);
    cache_get_stats(cache, &stats);
    assert_true(stats.held <= stats.limit);
    assert_true(put_number(cache, CACHE_STATE, 1000000, 20000, false));
    assert_int_equal(cache_views_out(cache), 0);
    cache_destroy(cache);
}

static void a_full_cache_fits_a_much_lower_bound_at_once(void **state)
{
    (void)state;
    struct cache *cache = make(8 * MIB);
    for (uint64_t i = 0; i < 5000; i++) {
        (void)put_number(cache, (enum cache_class)(i % CACHE_CLASS_COUNT), i, 100 + i % 40000,
                         i % 3 == 0);
    }
    assert_true(cache_resize(cache, MIB));
    struct cache_stats stats;
    cache_get_stats(cache, &stats);
    assert_true(stats.held <= stats.limit);
    assert_true(put_number(cache, CACHE_STATE, 1, 100, false));
    cache_destroy(cache);
}

static void growing_keeps_what_is_there(void **state)
{
    (void)state;
    struct cache *cache = make(2 * MIB);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(put_number(cache, CACHE_STATE, i, 100, false));
    }
    assert_true(cache_resize(cache, 64 * MIB));
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(find_number(cache, CACHE_STATE, i));
    }
    assert_false(cache_resize(cache, 1000));
    for (uint64_t i = 1000; i < 50000; i++) {
        assert_true(put_number(cache, CACHE_STATE, i, 100, false));
    }
    for (uint64_t i = 0; i < 50000; i++) {
        assert_true(find_number(cache, CACHE_STATE, i));
    }
    cache_destroy(cache);
}

static void what_is_larger_than_its_budget_is_refused(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    assert_true(put_number(cache, CACHE_BLOCKS, 1, 600000, false));
    assert_false(put_number(cache, CACHE_BLOCKS, 1, 2 * MIB, false));
    assert_false(find_number(cache, CACHE_BLOCKS, 1)); /* its value is no longer that one */
    assert_int_equal(stats_of(cache, CACHE_BLOCKS).refused, 1);
    cache_destroy(cache);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct cache_options options = options_of(CACHE_SIZE_MIN - 1);
    assert_null(cache_create(&options));
    options = options_of(4 * MIB);
    options.share[CACHE_STATE] = 80;
    assert_null(cache_create(&options));
    options = options_of(4 * MIB);
    options.budget[CACHE_STATE] = 5 * MIB;
    assert_null(cache_create(&options));
    options = options_of(4 * MIB);
    memory_fail_at(2);
    assert_null(cache_create(&options));
    memory_fail_at(4);
    assert_null(cache_create(&options));
    memory_fail_at(0);
    options.budget[CACHE_STATE] = MIB;
    struct cache *cache = cache_create(&options);
    struct cache_stats stats;
    cache_get_stats(cache, &stats);
    assert_true(stats.classes[CACHE_STATE].budget <= MIB);
    assert_true(stats.classes[CACHE_STATE].budget >= MIB * 9 / 10);
    cache_destroy(cache);
}

static void keep_key(void *context, struct bytes key, struct bytes value, bool read)
{
    assert_int_equal(value.size, 10);
    (void)read;
    uint64_t **next = context;
    memcpy((*next)++, key.data, sizeof(uint64_t));
}

static void keys_that_were_read_are_listed_first(void **state)
{
    (void)state;
    struct cache *cache = make(4 * MIB);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(put_number(cache, CACHE_STATE, i, 10, i >= 98));
    }
    for (uint64_t i = 0; i < 100; i += 10) {
        assert_true(find_number(cache, CACHE_STATE, i));
    }
    uint64_t keys[20];
    uint64_t *next = keys;
    cache_list(cache, CACHE_STATE, 20, keep_key, &next);
    assert_int_equal(next - keys, 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(keys[i] % 10 == 0, i < 10);
    }
    cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_is_found_in_its_class_only),
        cmocka_unit_test(parts_become_one_value_with_its_height_and_flags),
        cmocka_unit_test(a_hit_allocates_nothing),
        cmocka_unit_test(a_view_outlives_replacing_removing_and_clearing),
        cmocka_unit_test(a_fill_after_a_change_of_its_key_is_refused),
        cmocka_unit_test(a_fill_with_nothing_changed_comes_in_once),
        cmocka_unit_test(a_closed_key_is_not_found_until_it_is_opened),
        cmocka_unit_test(a_ticket_taken_before_or_while_a_key_is_closed_is_not_valid),
        cmocka_unit_test(dropped_heights_are_gone_at_once_and_stay_gone),
        cmocka_unit_test(many_reorganisations_leave_what_a_model_says),
        cmocka_unit_test(an_object_is_not_found_after_its_time_to_live),
        cmocka_unit_test(the_newest_heights_stay_whatever_else_comes),
        cmocka_unit_test(a_scan_does_not_push_out_what_is_used),
        cmocka_unit_test(what_comes_back_soon_is_remembered),
        cmocka_unit_test(a_hint_leads_to_the_number_noted_last),
        cmocka_unit_test(what_is_large_is_admitted_when_it_is_read_again),
        cmocka_unit_test(a_block_that_was_read_is_offered_for_packing),
        cmocka_unit_test(packing_what_changed_meanwhile_is_refused),
        cmocka_unit_test(the_bound_and_the_budgets_hold_at_every_step_of_a_random_run),
        cmocka_unit_test(views_that_keep_memory_do_not_break_a_lowered_bound_for_long),
        cmocka_unit_test(a_full_cache_fits_a_much_lower_bound_at_once),
        cmocka_unit_test(growing_keeps_what_is_there),
        cmocka_unit_test(what_is_larger_than_its_budget_is_refused),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(keys_that_were_read_are_listed_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
