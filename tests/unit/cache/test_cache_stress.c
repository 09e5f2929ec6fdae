/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One writer and four readers. Every value names its key and version, so a reader finds out when it
 * reads memory of another object, or a version older than one that was acknowledged before. Seconds
 * to run: STOA_TEST_SECONDS, 2. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "support/fixture.h"

enum { READERS = 4, KEYS = 4096, VIEWS = 32, MIB = 1 << 20 };

struct stress {
    struct cache *cache;
    atomic_bool stop;
    _Atomic(uint64_t) acknowledged[KEYS]; /* version that a reader finds at least, if any */
    _Atomic(uint64_t) wrong;
    _Atomic(uint64_t) hits;
    uint64_t seed;
};

struct reader {
    struct stress *stress;
    uint64_t random;
    pthread_t thread;
};

/* A value: key and version, then bytes that follow from both. */
static size_t fill_value(uint8_t *out, uint64_t key, uint64_t version, size_t size)
{
    memcpy(out, &key, 8);
    memcpy(out + 8, &version, 8);
    memset(out + 16, (int)((key + version) & 0xff), size);
    return 16 + size;
}

static bool value_is_whole(struct bytes value, uint64_t key, uint64_t least)
{
    uint64_t found_key;
    uint64_t version;
    memcpy(&found_key, value.data, 8);
    memcpy(&version, value.data + 8, 8);
    if (found_key != key || version < least) {
        return false;
    }
    for (size_t i = 16; i < value.size; i++) {
        if (value.data[i] != ((key + version) & 0xff)) {
            return false;
        }
    }
    return true;
}

static enum cache_class class_of(uint64_t key)
{
    return key % 16 == 0 ? CACHE_BLOCKS : CACHE_STATE;
}

static void *read_many(void *context)
{
    struct reader *reader = context;
    struct stress *stress = reader->stress;
    struct cache_hit views[VIEWS];
    uint64_t keys[VIEWS];
    unsigned count = 0;
    uint64_t hits = 0;
    while (!atomic_load_explicit(&stress->stop, memory_order_relaxed)) {
        uint64_t key = fixture_random_below(&reader->random, KEYS);
        uint64_t least = atomic_load_explicit(&stress->acknowledged[key], memory_order_acquire);
        if (cache_find(stress->cache, class_of(key), bytes_of(&key, 8), &views[count])) {
            if (!value_is_whole(views[count].value, key, least)) {
                atomic_fetch_add(&stress->wrong, 1);
            }
            keys[count++] = key;
            hits++;
        }
        if (count == VIEWS || (count > 0 && fixture_random_below(&reader->random, 8) == 0)) {
            while (count > 0) {
                count--;
                if (!value_is_whole(views[count].value, keys[count], 0)) {
                    atomic_fetch_add(&stress->wrong, 1);
                }
                cache_release(views[count].object);
            }
        }
    }
    while (count > 0) {
        cache_release(views[--count].object);
    }
    atomic_fetch_add(&stress->hits, hits);
    return NULL;
}

static void write_some(struct stress *stress, uint64_t *random, uint64_t version)
{
    static uint8_t value[40000];
    uint64_t key = fixture_random_below(random, KEYS);
    size_t size = fill_value(
        value, key, version,
        fixture_random_below(random, class_of(key) == CACHE_BLOCKS ? sizeof(value) - 16 : 300));
    struct cache_entry entry = {
        .class = class_of(key),
        .key = bytes_of(&key, 8),
        .parts = {bytes_of(value, size)},
        .part_count = 1,
        .height = version,
        .head = version % 4 == 0,
    };
    uint64_t action = fixture_random_below(random, 16);
    if (action == 0) {
        cache_remove(stress->cache, entry.class, entry.key);
        atomic_store_explicit(&stress->acknowledged[key], version, memory_order_release);
    } else if (action < 4) {
        struct cache_ticket ticket = cache_take_ticket(stress->cache, entry.class, entry.key);
        if (action == 1) {
            cache_remove(stress->cache, entry.class, entry.key);
            /* What was read before the change would be too old. */
            uint64_t old = 0;
            memcpy(value + 8, &old, 8);
            atomic_store_explicit(&stress->acknowledged[key], version, memory_order_release);
        }
        (void)cache_fill(stress->cache, &entry, ticket);
    } else {
        (void)cache_put(stress->cache, &entry);
        atomic_store_explicit(&stress->acknowledged[key], version, memory_order_release);
    }
}

static void run_writer(struct stress *stress, uint64_t seconds)
{
    uint64_t random = stress->seed;
    struct timespec start;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t version = 1;
    do {
        for (unsigned i = 0; i < 256; i++) {
            write_some(stress, &random, version++);
        }
        cache_tick(stress->cache, version * 1000000);
        struct cache_object *cold;
        struct cache_ticket ticket;
        while ((cold = cache_take_cold(stress->cache, &ticket)) != NULL) {
            cache_return_cold(stress->cache, cold);
        }
        uint64_t action = fixture_random_below(&random, 64);
        if (action == 0) {
            assert_true(
                cache_resize(stress->cache, (size_t)(1 + fixture_random_below(&random, 8)) * MIB));
        } else if (action < 4) {
            cache_drop_heights(stress->cache, version - fixture_random_below(&random, 500));
        } else if (action == 4) {
            cache_clear(stress->cache);
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((uint64_t)(now.tv_sec - start.tv_sec) < seconds);
}

static void readers_never_see_what_is_not_theirs(void **state)
{
    (void)state;
    static struct stress stress;
    struct cache_options options = {
        .size = 4 * MIB,
        .share = {40, 0, 0, 50},
        .time_to_live = {0, 0, 0, 3},
        .head_blocks = 64,
        .packed_share = 20,
        .seed = 1,
    };
    const char *seconds = getenv("STOA_TEST_SECONDS");
    stress.seed = fixture_seed();
    stress.cache = cache_create(&options);
    assert_non_null(stress.cache);
    struct reader readers[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.stress = &stress, .random = stress.seed + i + 1};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_many, &readers[i]), 0);
    }
    run_writer(&stress, seconds == NULL ? 2 : strtoull(seconds, NULL, 10));
    atomic_store(&stress.stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
    }
    print_message("%llu hits\n", (unsigned long long)stress.hits);
    assert_int_equal(stress.wrong, 0);
    assert_true(stress.hits > 1000);
    assert_int_equal(cache_views_out(stress.cache), 0);
    cache_destroy(stress.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_never_see_what_is_not_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
