/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cache behind stoa.h: reads on the caller's thread, in place. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine_rig.h"
#include "support/made_random.h"

enum { KEYS = 3000, READERS = 4, PRODUCERS = 8, READS_MAX = 3000, MIB = 1 << 20 };

static struct stoa_cache_stats stats_of(struct stoa *stoa)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    assert_int_equal(stoa_get_cache_stats(stoa, &stats), 0);
    return stats;
}

static uint64_t hits_of(const struct stoa_cache_class_stats *class)
{
    return class->hits[STOA_TIER_HEAD] + class->hits[STOA_TIER_HOT] + class->hits[STOA_TIER_PACKED];
}

static void open_with(struct engine_rig *rig, const struct stoa_cache_options *cache)
{
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_detail detail;
    options.cache = cache;
    int result = stoa_open(rig->directory, &options, &rig->stoa, &detail);
    if (result != 0) {
        fail_msg("open: %d %s", result, detail.text);
    }
}

static void wait_until_warm(struct stoa *stoa)
{
    while (stats_of(stoa).warming != 0) {
        (void)sched_yield();
    }
}

struct value {
    uint64_t key;
    uint64_t height;
};

/* Store block NUMBER; it sets COUNT keys from FIRST on to its height. */
static void put_with_keys(struct engine_rig *rig, uint64_t number, uint64_t first, size_t count)
{
    struct stoa_store_block put = engine_rig_put_of(rig, number);
    struct value values[KEYS];
    struct stoa_change changes[KEYS];
    assert_true(count <= KEYS);
    for (size_t i = 0; i < count; i++) {
        values[i] = (struct value){.key = first + i, .height = number};
        changes[i].key = (struct stoa_bytes){(const uint8_t *)&values[i].key, 8};
        changes[i].value = (struct stoa_bytes){(const uint8_t *)&values[i], sizeof(values[i])};
    }
    put.changes = changes;
    put.change_count = count;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
}

/* The height that KEY was set at; 0 where it has no value. */
static uint64_t height_of_key(struct stoa *stoa, uint64_t key)
{
    struct stoa_value value;
    struct value found;
    int result =
        stoa_get_state_view(stoa, (struct stoa_bytes){(const uint8_t *)&key, 8}, &value, NULL);
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    if (result != 0 || value.value.size != sizeof(found)) {
        print_error("key %llu: %s, %zu bytes\n", (unsigned long long)key, stoa_strerror(result),
                    result == 0 ? value.value.size : 0);
        abort();
    }
    memcpy(&found, value.value.data, sizeof(found));
    stoa_release(value.view);
    return found.key == key ? found.height : UINT64_MAX;
}

static void a_stored_block_is_read_in_place_without_any_allocation(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, 20);
    struct stoa_cache_stats before = stats_of(rig->stoa);
    for (uint64_t number = 1; number <= 20; number++) {
        const struct made_block *made = made_chain_block(rig->chain, number);
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
        struct stoa_block block;
        assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
        assert_int_equal(block.block.size, made->block.size);
        assert_memory_equal(block.block.data, made->block.data, made->block.size);
        assert_int_equal(block.height, number);
        assert_true(block.canonical);
        stoa_release(block.view);
    }
    struct stoa_block_key key = {.by = STOA_LATEST};
    uint64_t allocations = memory_allocation_count();
    for (int i = 0; i < 1000; i++) {
        struct stoa_block block;
        assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
        assert_int_equal(block.height, 20);
        stoa_release(block.view);
    }
    assert_true(memory_allocation_count() <
                allocations + 100); /* the loop may be at its own work */
    struct stoa_cache_stats after = stats_of(rig->stoa);
    assert_int_equal(after.classes[STOA_CACHE_BLOCKS].hits[STOA_TIER_HEAD] -
                         before.classes[STOA_CACHE_BLOCKS].hits[STOA_TIER_HEAD],
                     1020);
    assert_int_equal(after.classes[STOA_CACHE_BLOCKS].misses,
                     before.classes[STOA_CACHE_BLOCKS].misses);
}

static void a_second_read_of_a_transaction_is_a_hit_and_the_same(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    struct stoa_cache_stats before = stats_of(rig->stoa);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    struct stoa_cache_stats after = stats_of(rig->stoa);
    assert_true(hits_of(&after.classes[STOA_CACHE_PLACES]) >
                hits_of(&before.classes[STOA_CACHE_PLACES]));
    assert_int_equal(after.classes[STOA_CACHE_PLACES].misses,
                     before.classes[STOA_CACHE_PLACES].misses);
}

/* Every transaction is read once: none of it asks the tables. */
static void expect_transactions_hot(struct engine_rig *rig)
{
    struct stoa_cache_stats before = stats_of(rig->stoa);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    struct stoa_cache_stats after = stats_of(rig->stoa);
    assert_true(hits_of(&after.classes[STOA_CACHE_PLACES]) >
                hits_of(&before.classes[STOA_CACHE_PLACES]));
    assert_int_equal(after.classes[STOA_CACHE_PLACES].misses,
                     before.classes[STOA_CACHE_PLACES].misses);
}

static void the_first_read_of_a_new_transaction_is_a_hit_also_after_a_restart(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(height_of_key(rig->stoa, 1), 0); /* whatever waited to be entered is */
    expect_transactions_hot(rig);
    engine_rig_close(rig);
    engine_rig_open(rig);
    wait_until_warm(rig->stoa);
    expect_transactions_hot(rig);
}

static void expect_each_write_read_next(struct engine_rig *rig)
{
    for (uint64_t number = 1; number <= 40; number++) {
        uint64_t first = number * 7 % 50;
        put_with_keys(rig, number, first, 60);
        for (uint64_t key = first; key < first + 60; key++) {
            assert_int_equal(height_of_key(rig->stoa, key), number);
        }
        if (number % 10 == 0) {
            assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0);
            assert_int_equal(stoa_flush_cache(rig->stoa, NULL), 0);
        }
    }
    struct stoa_cache_stats stats = stats_of(rig->stoa);
    assert_true(hits_of(&stats.classes[STOA_CACHE_STATE]) > 0);
}

static void each_acknowledged_value_is_what_is_read_next(void **state)
{
    expect_each_write_read_next(*state);
}

static void so_it_is_where_writes_go_through_and_then_nothing_is_pending(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_cache_options through = STOA_CACHE_OPTIONS_INIT;
    through.policy = STOA_WRITE_THROUGH;
    engine_rig_close(rig);
    open_with(rig, &through);
    expect_each_write_read_next(rig);
    for (uint64_t number = 41; number <= 50; number++) {
        struct stoa_stats stats = STOA_STATS_INIT;
        put_with_keys(rig, number, number, 5);
        assert_int_equal(stoa_get_stats(rig->stoa, &stats), 0);
        assert_int_equal(stats.pending_blocks, 0);
        assert_int_equal(height_of_key(rig->stoa, number), number);
    }
}

static void an_absent_key_is_remembered_until_it_is_set(void **state)
{
    struct engine_rig *rig = *state;
    assert_int_equal(height_of_key(rig->stoa, 5), 0);
    assert_int_equal(height_of_key(rig->stoa, 5), 0);
    assert_int_equal(hits_of(&stats_of(rig->stoa).classes[STOA_CACHE_STATE]), 1);
    put_with_keys(rig, 1, 5, 1);
    assert_int_equal(height_of_key(rig->stoa, 5), 1);
}

static void close_counts_views_of_the_cache(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    struct stoa_block block;
    struct stoa_value value;
    uint64_t key = 1;
    put_with_keys(rig, 1, 1, 1);
    assert_int_equal(height_of_key(rig->stoa, 1), 1);
    struct stoa_block_key latest = {.by = STOA_LATEST};
    assert_int_equal(stoa_get_block(rig->stoa, &latest, &block, NULL), 0);
    assert_int_equal(
        stoa_get_state_view(rig->stoa, (struct stoa_bytes){(const uint8_t *)&key, 8}, &value, NULL),
        0);
    assert_int_equal(stoa_flush_cache(rig->stoa, NULL), 0);
    assert_int_equal(stoa_close(rig->stoa, &detail), STOA_EBUSY);
    assert_non_null(strstr(detail.text, "2 views"));
    stoa_release(block.view);
    stoa_release(value.view);
}

/* What a block brings into the cache may still be on its way then. */
static void a_store_closes_right_after_a_write(void **state)
{
    struct engine_rig *rig = *state;
    for (uint64_t number = 1; number <= 30; number++) {
        put_with_keys(rig, number, 0, KEYS);
        engine_rig_close(rig);
        engine_rig_open(rig);
    }
    struct stoa_call call = STOA_CALL_INIT;
    call.durability = STOA_BUFFERED;
    for (uint64_t number = 31; number <= 50; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        struct stoa_completion done;
        assert_int_equal(stoa_ask(rig->stoa, STOA_MESSAGE_STORE_BLOCK, &put, &call, &done), 0);
        engine_rig_close(rig);
        engine_rig_open(rig);
    }
    engine_rig_expect_head(rig, 50);
}

static void submitted_reads_of_what_is_hot_complete_at_once(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, 3);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 2};
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, STOA_TAG(9)), 0);
    struct stoa_completion completion;
    assert_int_equal(stoa_reap(rig->stoa, &completion, 1, 0), 1); /* no waiting */
    assert_int_equal(completion.result, 0);
    assert_int_equal(completion.tag, 9);
    assert_int_equal(completion.block.height, 2);
    stoa_release(completion.block.view);
}

static void a_smaller_cache_and_none_serve_as_well(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_cache_options small = STOA_CACHE_OPTIONS_INIT;
    small.capacity = 8 * MIB;
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_resize_cache(rig->stoa, MIB, NULL), STOA_ENOMEM);
    engine_rig_close(rig);
    open_with(rig, &small);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_resize_cache(rig->stoa, MIB, NULL), 0);
    struct stoa_cache_stats stats = stats_of(rig->stoa);
    assert_int_equal(stats.limit, MIB);
    assert_true(stats.held <= stats.limit);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_resize_cache(rig->stoa, 1000, NULL), STOA_EINVAL);
    engine_rig_close(rig);
    struct stoa_cache_options none = STOA_CACHE_OPTIONS_INIT;
    none.capacity = STOA_NO_CACHE;
    open_with(rig, &none);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stats_of(rig->stoa).limit, 0);
    assert_int_equal(stoa_resize_cache(rig->stoa, 8 * MIB, NULL), STOA_EINVAL);
}

/* ---- packed blocks ---- */

/* An envelope of SIZE bytes around block NUMBER that LZ4 makes a third of, about. */
static void fill_envelope(uint64_t number, uint8_t *out, size_t size)
{
    struct made_random random = made_random_of(number, 0);
    for (size_t i = 0; i < size; i++) {
        out[i] = i % 48 < 16 ? (uint8_t)made_random_below(&random, 256) : 0;
    }
}

/* Block NUMBER is there as it was stored, asked for by WAY: height, hash, envelope's hash. */
static void expect_enveloped(struct engine_rig *rig, uint64_t number, unsigned way, size_t size)
{
    const struct made_block *made = made_chain_block(rig->chain, number);
    struct stoa_block_key key = {.by = way == 0 ? STOA_BY_HEIGHT : STOA_BY_HASH, .height = number};
    struct stoa_block block;
    uint8_t *envelope = memory_alloc(size);
    assert_non_null(envelope);
    memcpy(key.hash, made->hash, 32);
    if (way == 2) {
        memset(key.hash, (int)number, 32);
    }
    fill_envelope(number, envelope, size);
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
    assert_int_equal(block.height, number);
    assert_true(block.canonical);
    assert_int_equal(block.block.size, made->block.size);
    assert_memory_equal(block.block.data, made->block.data, made->block.size);
    assert_memory_equal(block.receipts.data, made->receipts.data, made->receipts.size);
    assert_int_equal(block.envelope.size, size);
    assert_memory_equal(block.envelope.data, envelope, size);
    stoa_release(block.view);
    memory_free(envelope);
}

static void put_enveloped(struct engine_rig *rig, size_t size)
{
    uint8_t *envelope = memory_alloc(size);
    assert_non_null(envelope);
    for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        uint8_t hash[32];
        memset(hash, (int)number, 32);
        fill_envelope(number, envelope, size);
        put.envelope = (struct stoa_bytes){envelope, size};
        put.envelope_hash = hash;
        assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    }
    memory_free(envelope);
}

/* Read at random until blocks came back from the packed tier, or there is no hope. */
static bool read_until_packed(struct engine_rig *rig, size_t size)
{
    struct made_random random = made_random_of(5, 0);
    for (unsigned i = 0; i < READS_MAX; i++) {
        uint64_t number = 1 + made_random_below(&random, ENGINE_RIG_BLOCKS);
        expect_enveloped(rig, number, i % 3, size);
        if (stats_of(rig->stoa).classes[STOA_CACHE_BLOCKS].hits[STOA_TIER_PACKED] >= 20) {
            return true;
        }
    }
    return false;
}

static void pack_blocks_of(struct engine_rig *rig, size_t size)
{
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    cache.capacity = 60 * size; /* not for half of them */
    cache.budget[STOA_CACHE_BLOCKS] = cache.capacity / 2;
    cache.head_blocks = 1;
    cache.packed_share = 50;
    engine_rig_close(rig);
    open_with(rig, &cache);
    put_enveloped(rig, size);
    assert_true(read_until_packed(rig, size));
    struct stoa_cache_class_stats blocks = stats_of(rig->stoa).classes[STOA_CACHE_BLOCKS];
    assert_true(blocks.bytes[STOA_TIER_PACKED] <= blocks.budget / 2);
    /* All transactions, from wherever. */
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);

    /* Without a share nothing is packed. */
    cache.packed_share = STOA_NO_PACKED;
    cache.cold = 1;
    engine_rig_close(rig);
    open_with(rig, &cache);
    assert_false(read_until_packed(rig, size));
    assert_int_equal(stats_of(rig->stoa).classes[STOA_CACHE_BLOCKS].objects[STOA_TIER_PACKED], 0);
}

static void blocks_that_leave_are_packed_and_come_back_whole(void **state)
{
    pack_blocks_of(*state, 40 << 10);
}

/* These are unpacked by a worker. */
static void large_blocks_are_packed_as_well(void **state)
{
    pack_blocks_of(*state, 200 << 10);
}

/* ---- headers ---- */

static void read_header(struct engine_rig *rig, uint64_t number, bool by_hash)
{
    const struct made_block *made = made_chain_block(rig->chain, number);
    struct stoa_block_key key = {.by = by_hash ? STOA_BY_HASH : STOA_BY_HEIGHT, .height = number};
    struct stoa_completion completion;
    struct stoa_header header;
    memcpy(key.hash, made->hash, 32);
    assert_int_equal(stoa_get_header(rig->stoa, &key, &header, NULL), 0);
    assert_int_equal(header.height, number);
    assert_true(header.canonical);
    assert_memory_equal(header.hash, made->hash, 32);
    /* The block begins with a list's start, then its header. */
    const uint8_t *begin = made->block.data + (made->block.data[0] - 0xf7) + 1;
    assert_memory_equal(header.header.data, begin, header.header.size);
    assert_int_equal(stoa_submit_get_header(rig->stoa, &key, NULL), 0);
    assert_int_equal(stoa_reap(rig->stoa, &completion, 1, -1), 1);
    assert_int_equal(completion.result, 0);
    assert_int_equal(completion.header.header.size, header.header.size);
    assert_memory_equal(completion.header.header.data, begin, header.header.size);
    assert_memory_equal(completion.header.total_difficulty, header.total_difficulty, 32);
    stoa_release(completion.header.view);
    stoa_release(header.view);
}

/* Headers stay when their blocks have left, and come back without them. */
static void headers_of_blocks_that_left_are_read_in_place(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    cache.capacity = 2 * MIB;
    cache.budget[STOA_CACHE_HEADERS] = 200 << 10;
    cache.head_blocks = 1;
    cache.cold = 1;
    engine_rig_close(rig);
    open_with(rig, &cache);
    put_enveloped(rig, 100 << 10);
    for (unsigned round = 0; round < 2; round++) {
        struct stoa_cache_stats before = stats_of(rig->stoa);
        for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
            read_header(rig, number, number % 2 == 0);
        }
        struct stoa_cache_stats after = stats_of(rig->stoa);
        uint64_t hits = hits_of(&after.classes[STOA_CACHE_HEADERS]) -
                        hits_of(&before.classes[STOA_CACHE_HEADERS]);
        /* After the flush the first of two reads misses. */
        assert_int_equal(hits, round == 0 ? 2 * ENGINE_RIG_BLOCKS : ENGINE_RIG_BLOCKS);
        assert_int_equal(stoa_flush_cache(rig->stoa, NULL), 0);
    }
}

static void bad_cache_options_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct stoa *stoa;
    options.cache = &cache;
    engine_rig_close(rig);
    cache.capacity = 1000;
    assert_int_equal(stoa_open(rig->directory, &options, &stoa, NULL), STOA_EINVAL);
    cache.capacity = 4 * MIB;
    cache.budget[STOA_CACHE_STATE] = 5 * MIB;
    assert_int_equal(stoa_open(rig->directory, &options, &stoa, NULL), STOA_EINVAL);
    cache = (struct stoa_cache_options)STOA_CACHE_OPTIONS_INIT;
    cache.preset = 17;
    assert_int_equal(stoa_open(rig->directory, &options, &stoa, NULL), STOA_EINVAL);
    cache = (struct stoa_cache_options)STOA_CACHE_OPTIONS_INIT;
    cache.policy = 2;
    assert_int_equal(stoa_open(rig->directory, &options, &stoa, NULL), STOA_EINVAL);
    cache = (struct stoa_cache_options)STOA_CACHE_OPTIONS_INIT;
    cache.packed_share = 91;
    assert_int_equal(stoa_open(rig->directory, &options, &stoa, NULL), STOA_EINVAL);
    engine_rig_open(rig);
}

/* Half of all reads are of the newest blocks, the rest of state, a few keys wanted most. */
static uint64_t read_as_a_validator(struct engine_rig *rig, unsigned count)
{
    struct made_random random = made_random_of(3, 0);
    struct stoa_cache_stats before = stats_of(rig->stoa);
    for (unsigned i = 0; i < count; i++) {
        if (i % 4 == 0) {
            struct stoa_block block;
            struct stoa_block_key key = {
                .by = STOA_BY_HEIGHT,
                .height = ENGINE_RIG_BLOCKS - made_random_below(&random, 16),
            };
            assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
            stoa_release(block.view);
        } else {
            uint64_t bound = (uint64_t)1 << (1 + made_random_below(&random, 8));
            (void)height_of_key(rig->stoa, made_random_below(&random, bound));
        }
    }
    struct stoa_cache_stats after = stats_of(rig->stoa);
    uint64_t hits = 0;
    uint64_t misses = 0;
    const unsigned classes[] = {STOA_CACHE_BLOCKS, STOA_CACHE_STATE};
    for (unsigned i = 0; i < 2; i++) {
        unsigned class = classes[i];
        hits += hits_of(&after.classes[class]) - hits_of(&before.classes[class]);
        misses += after.classes[class].misses - before.classes[class].misses;
    }
    return hits * 100 / (hits + misses);
}

/* It is the first reads that count: after some more a cold one hits as well. */
static void a_warm_restart_hits_from_the_beginning(void **state)
{
    struct engine_rig *rig = *state;
    enum { FIRST_READS = 100 };
    for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
        put_with_keys(rig, number, number * 4 % 256, 16);
    }
    (void)read_as_a_validator(rig, 2000);
    engine_rig_close(rig);
    engine_rig_open(rig);
    wait_until_warm(rig->stoa);
    assert_true(stats_of(rig->stoa).warmed > 50);
    uint64_t warm = read_as_a_validator(rig, FIRST_READS);
    assert_int_equal(stoa_warm_cache(rig->stoa, NULL), 0);
    wait_until_warm(rig->stoa);
    engine_rig_close(rig);
    struct stoa_cache_options options = STOA_CACHE_OPTIONS_INIT;
    options.cold = 1;
    open_with(rig, &options);
    uint64_t cold = read_as_a_validator(rig, FIRST_READS);
    assert_int_equal(stats_of(rig->stoa).warmed, 0);
    print_message("hits after a restart: warm %llu %%, cold %llu %%\n", (unsigned long long)warm,
                  (unsigned long long)cold);
    assert_true(warm >= 80);
    assert_true(cold < 80);
}

/* What a killed process leaves is what is on disk at that moment: a copy of it. */
static void copy_store(const struct engine_rig *rig, char out[ENGINE_RIG_PATH_SIZE])
{
    char command[3 * ENGINE_RIG_PATH_SIZE];
    int length = snprintf(out, ENGINE_RIG_PATH_SIZE, "%.200s/copy", rig->base);
    assert_in_range(length, 1, ENGINE_RIG_PATH_SIZE - 1);
    (void)snprintf(command, sizeof(command), "cp -r '%s' '%s'", rig->directory, out);
    assert_int_equal(system(command), 0); /* NOLINT: paths of our own */
}

static void a_killed_store_is_warm_after_its_restart_as_well(void **state)
{
    struct engine_rig *rig = *state;
    char warm[ENGINE_RIG_PATH_SIZE];
    char kept[ENGINE_RIG_PATH_SIZE];
    char copy[ENGINE_RIG_PATH_SIZE] = "";
    for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
        put_with_keys(rig, number, number * 4 % 256, 16);
    }
    wait_until_warm(rig->stoa);
    (void)read_as_a_validator(rig, 2000);
    assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0);
    engine_rig_path(rig, "WARM", warm);
    while (access(warm, F_OK) != 0) { /* it comes behind the checkpoint */
        (void)sched_yield();
    }
    copy_store(rig, copy);
    engine_rig_close(rig);
    memcpy(kept, rig->directory, sizeof(kept));
    memcpy(rig->directory, copy, sizeof(copy));
    engine_rig_open(rig);
    wait_until_warm(rig->stoa);
    uint64_t rate = read_as_a_validator(rig, 500);
    print_message("hits after a kill: %llu %%\n", (unsigned long long)rate);
    assert_true(rate >= 80);
    engine_rig_close(rig);
    memcpy(rig->directory, kept, sizeof(kept));
    engine_rig_open(rig);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Ask for COUNT blocks one after the other, each once, and for warming in between. The longest time
 * in which but one question may have come, and how long all took. */
static void ask_beside_warming(struct engine_rig *rig, unsigned count, uint64_t *out_widest,
                               uint64_t *out_all)
{
    uint64_t first = clock_ns();
    uint64_t asked = first;
    *out_widest = 0;
    for (unsigned i = 0; i < count; i++) {
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 1 + i};
        struct stoa_block block;
        uint64_t before = clock_ns();
        assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
        stoa_release(block.view);
        uint64_t wide = clock_ns() - asked;
        *out_widest = wide > *out_widest ? wide : *out_widest;
        asked = before;
        if (i == 1) {
            assert_int_equal(stoa_warm_cache(rig->stoa, NULL), 0);
        }
    }
    *out_all = clock_ns() - first;
}

/* One read every ten milliseconds while somebody asks, all that is left once nobody does. Where
 * this thread was not let run for so long, that was a pause: it is tried again. */
static void warming_waits_for_who_asks(void **state)
{
    struct engine_rig *rig = *state;
    enum { MOMENT_NS = 10000000, TRIES = 10000, QUESTIONS = 40 };
    uint64_t widest = UINT64_MAX;
    for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
        put_with_keys(rig, number, number * 4 % 256, 16);
    }
    for (unsigned i = 0; widest >= MOMENT_NS; i++) {
        uint64_t all;
        assert_true(i < TRIES);
        wait_until_warm(rig->stoa);
        assert_int_equal(stoa_flush_cache(rig->stoa, NULL), 0);
        uint64_t before = stats_of(rig->stoa).warmed;
        ask_beside_warming(rig, QUESTIONS, &widest, &all);
        struct stoa_cache_stats stats = stats_of(rig->stoa);
        if (widest < MOMENT_NS) {
            assert_true(stats.warmed - before <= 2 + all / MOMENT_NS);
            assert_int_equal(stats.warming, 1);
            wait_until_warm(rig->stoa);
            assert_true(stats_of(rig->stoa).warmed - before >= ENGINE_RIG_BLOCKS);
        }
    }
}

/* A change of branch leaves nothing of the blocks that left. */
static void a_head_that_is_taken_back_takes_its_values_with_it(void **state)
{
    struct engine_rig *rig = *state;
    put_with_keys(rig, 1, 0, 10);
    put_with_keys(rig, 2, 5, 10);
    for (uint64_t key = 0; key < 15; key++) {
        assert_int_equal(height_of_key(rig->stoa, key), key < 5 ? 1 : 2);
    }
    assert_int_equal(stoa_update_head(rig->stoa, made_chain_block(rig->chain, 1)->hash, NULL), 0);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 2};
    struct stoa_block block;
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), STOA_ENOTFOUND);
    engine_rig_expect_head(rig, 1);
    for (uint64_t state_key = 0; state_key < 15; state_key++) {
        assert_int_equal(height_of_key(rig->stoa, state_key), state_key < 10 ? 1 : 0);
    }
    assert_int_equal(stoa_update_head(rig->stoa, made_chain_block(rig->chain, 2)->hash, NULL), 0);
    for (uint64_t state_key = 0; state_key < 15; state_key++) {
        assert_int_equal(height_of_key(rig->stoa, state_key), state_key < 5 ? 1 : 2);
    }
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
    assert_true(block.canonical);
    stoa_release(block.view);
}

/* KEYS are more than reach the cache in one turn of the loop. */

static void values_on_their_way_into_the_cache_are_read_as_well(void **state)
{
    struct engine_rig *rig = *state;
    for (uint64_t number = 1; number <= 40; number++) {
        put_with_keys(rig, number, number * 10, KEYS);
        uint64_t last = number * 10 + KEYS - 1;
        assert_int_equal(height_of_key(rig->stoa, last), number);
        assert_int_equal(height_of_key(rig->stoa, number * 10 - 1), number - 1);
        assert_int_equal(height_of_key(rig->stoa, number * 10), number);
    }
    for (uint64_t key = 10; key < 410 + KEYS - 10; key++) {
        assert_int_equal(height_of_key(rig->stoa, key), key >= 400 ? 40 : key / 10);
    }
}

static void values_on_their_way_into_the_cache_go_with_their_block(void **state)
{
    struct engine_rig *rig = *state;
    put_with_keys(rig, 1, 0, KEYS);
    for (uint64_t number = 2; number <= 12; number++) {
        put_with_keys(rig, number, KEYS / 2, KEYS / 2);
        const uint8_t *parent = made_chain_block(rig->chain, number - 1)->hash;
        assert_int_equal(stoa_update_head(rig->stoa, parent, NULL), 0);
        for (uint64_t key = 0; key < KEYS; key++) {
            assert_int_equal(height_of_key(rig->stoa, key), key < KEYS / 2 ? 1 : number - 1);
        }
        const uint8_t *hash = made_chain_block(rig->chain, number)->hash;
        assert_int_equal(stoa_update_head(rig->stoa, hash, NULL), 0);
        assert_int_equal(height_of_key(rig->stoa, KEYS - 1), number);
    }
}

/* ---- stress ---- */

struct stress {
    struct engine_rig *rig;
    atomic_bool stop;
    _Atomic(uint64_t) acknowledged; /* height */
    _Atomic(uint64_t) wrong;
    _Atomic(uint64_t) reads;
};

enum { STRESS_KEYS = 16 };

/* Every block sets all keys to its height, so what is read is at least what was acknowledged. */
static void *read_many(void *context)
{
    struct stress *stress = context;
    struct stoa *stoa = stress->rig->stoa;
    struct made_random random = made_random_of(1, (uint64_t)pthread_self());
    while (!atomic_load(&stress->stop)) {
        uint64_t least = atomic_load(&stress->acknowledged);
        if (height_of_key(stoa, made_random_below(&random, STRESS_KEYS)) < least) {
            atomic_fetch_add(&stress->wrong, 1);
        }
        struct stoa_block block;
        struct stoa_block_key latest = {.by = STOA_LATEST};
        least = atomic_load(&stress->acknowledged);
        if (stoa_get_block(stoa, &latest, &block, NULL) == 0) {
            const struct made_block *made = made_chain_block(stress->rig->chain, block.height);
            if (block.height < least ||
                (made != NULL && /* the genesis is not among them */
                 (block.block.size != made->block.size ||
                  memcmp(block.block.data, made->block.data, made->block.size) != 0))) {
                atomic_fetch_add(&stress->wrong, 1);
            }
            stoa_release(block.view);
        }
        atomic_fetch_add(&stress->reads, 1);
    }
    return NULL;
}

/* Reads old blocks by message or in place, and makes the cache small, large and empty. */
static void *disturb(void *context)
{
    struct stress *stress = context;
    struct stoa *stoa = stress->rig->stoa;
    struct made_random random = made_random_of(2, (uint64_t)pthread_self());
    while (!atomic_load(&stress->stop)) {
        uint64_t action = made_random_below(&random, 64);
        struct stoa_block block;
        struct stoa_block_key key = {
            .by = STOA_BY_HEIGHT,
            .height = made_random_below(&random, atomic_load(&stress->acknowledged) + 1),
        };
        if (action == 0) {
            (void)stoa_resize_cache(stoa, (1 + made_random_below(&random, 4)) * MIB, NULL);
        } else if (action == 1) {
            (void)stoa_flush_cache(stoa, NULL);
        } else if (stoa_get_block(stoa, &key, &block, NULL) == 0) {
            if (block.height != key.height) {
                atomic_fetch_add(&stress->wrong, 1);
            }
            stoa_release(block.view);
        }
    }
    return NULL;
}

static void readers_beside_writers_see_what_was_acknowledged(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_cache_options small = STOA_CACHE_OPTIONS_INIT;
    engine_rig_close(rig);
    small.capacity = 4 * MIB;
    open_with(rig, &small);
    struct stress stress = {.rig = rig};
    pthread_t threads[READERS + PRODUCERS];
    for (unsigned i = 0; i < READERS + PRODUCERS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < READERS ? read_many : disturb, &stress), 0);
    }
    for (uint64_t number = 1; number <= ENGINE_RIG_BLOCKS; number++) {
        put_with_keys(rig, number, 0, STRESS_KEYS);
        atomic_store(&stress.acknowledged, number);
        uint64_t reads = atomic_load(&stress.reads);
        while (atomic_load(&stress.reads) < reads + 20) {
            (void)sched_yield();
        }
    }
    atomic_store(&stress.stop, true);
    for (unsigned i = 0; i < READERS + PRODUCERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(stress.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stored_block_is_read_in_place_without_any_allocation,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_second_read_of_a_transaction_is_a_hit_and_the_same,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(
            the_first_read_of_a_new_transaction_is_a_hit_also_after_a_restart,
            engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(each_acknowledged_value_is_what_is_read_next,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(
            so_it_is_where_writes_go_through_and_then_nothing_is_pending, engine_rig_set_up_ring,
            engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(an_absent_key_is_remembered_until_it_is_set,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(close_counts_views_of_the_cache, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_store_closes_right_after_a_write, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(submitted_reads_of_what_is_hot_complete_at_once,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_smaller_cache_and_none_serve_as_well,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        ENGINE_RIG_BOTH(blocks_that_leave_are_packed_and_come_back_whole),
        ENGINE_RIG_BOTH(large_blocks_are_packed_as_well),
        ENGINE_RIG_BOTH(headers_of_blocks_that_left_are_read_in_place),
        cmocka_unit_test_setup_teardown(bad_cache_options_are_refused, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_warm_restart_hits_from_the_beginning,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(warming_waits_for_who_asks, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_killed_store_is_warm_after_its_restart_as_well,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_head_that_is_taken_back_takes_its_values_with_it,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(values_on_their_way_into_the_cache_are_read_as_well,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(values_on_their_way_into_the_cache_go_with_their_block,
                                        engine_rig_set_up_threads, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(readers_beside_writers_see_what_was_acknowledged,
                                        engine_rig_set_up_threads, engine_rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
