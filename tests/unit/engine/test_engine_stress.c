/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole engine under load: blocks are stored, evicted and expire while 8 threads send messages
 * of all kinds and change keys of their own, 4 read in place and hold views, and one makes the
 * cache smaller, larger and empty, has checkpoints made and indexes made anew. Every answer is
 * checked against what was acknowledged. By turns the writes go through or back.
 *
 * STOA_LONG=SECONDS runs for so long instead of once each; STOA_TEST_SEED=N begins at N. Meant for
 * the sanitizers as well. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "support/fixture.h"
#include "support/made_random.h"

enum {
    PRODUCERS = 8,
    READERS = 4,
    KEYS = 64,
    HELD_VIEWS = 6,
    PACE = 40, /* reads between two blocks */
    ROUND_SECONDS = 8,
    ROUND_SECONDS_MAX = 120,
    MIB = 1 << 20,
};

struct stress {
    struct engine_rig *rig;
    uint64_t seed;
    bool resizes;
    atomic_bool stop;
    _Atomic(uint64_t) acknowledged; /* height */
    _Atomic(uint64_t) wrong;
    _Atomic(uint64_t) reads;
    _Atomic(uint64_t) writes;
    _Atomic(uint64_t) answers;
};

struct thread {
    struct stress *stress;
    unsigned number;
    struct made_random random;
    pthread_t thread;
};

static void complain(struct stress *stress, const char *what, uint64_t is, uint64_t wanted)
{
    if (atomic_fetch_add(&stress->wrong, 1) < 10) {
        print_error("%s: %llu, not %llu\n", what, (unsigned long long)is,
                    (unsigned long long)wanted);
    }
}

static struct stoa_bytes bytes_of_number(const uint64_t *number)
{
    return (struct stoa_bytes){(const uint8_t *)number, sizeof(*number)};
}

/* ---- readers, in place ---- */

struct held {
    struct stoa_block block;
    bool is_held;
};

/* As it was when it was handed out, however long ago. */
static void check_block(struct stress *stress, const struct stoa_block *block)
{
    const struct made_block *made = made_chain_block(stress->rig->chain, block->height);
    if (made != NULL &&
        (block->block.size != made->block.size ||
         memcmp(block->block.data, made->block.data, made->block.size) != 0 ||
         block->receipts.size != made->receipts.size ||
         memcmp(block->receipts.data, made->receipts.data, made->receipts.size) != 0)) {
        complain(stress, "a block is another", block->height, block->height);
    }
}

static void give_back(struct stress *stress, struct held *held)
{
    if (held->is_held) {
        check_block(stress, &held->block);
        stoa_release(held->block.view);
        held->is_held = false;
    }
}

static void read_state(struct thread *own, uint64_t least)
{
    struct stress *stress = own->stress;
    uint64_t key = made_random_below(&own->random, KEYS);
    uint64_t height;
    struct stoa_value value;
    int result = stoa_get_state_view(stress->rig->stoa, bytes_of_number(&key), &value, NULL);
    if (result == STOA_ENOTFOUND && least == 0) {
        return;
    }
    if (result != 0 || value.value.size != sizeof(height)) {
        if (result != STOA_EBUSY) {
            complain(stress, "a key is not read", (uint64_t)-result, 0);
        }
        return;
    }
    memcpy(&height, value.value.data, sizeof(height));
    stoa_release(value.view);
    if (height < least) {
        complain(stress, "a key is old", height, least);
    }
}

static void *read_in_place(void *context)
{
    struct thread *own = context;
    struct stress *stress = own->stress;
    struct held held[HELD_VIEWS] = {{.is_held = false}};
    while (!atomic_load(&stress->stop)) {
        uint64_t least = atomic_load(&stress->acknowledged);
        struct held *place = &held[made_random_below(&own->random, HELD_VIEWS)];
        bool latest = made_random_below(&own->random, 4) != 0;
        struct stoa_block_key key = {
            .by = latest ? STOA_LATEST : STOA_BY_HEIGHT,
            .height = made_random_below(&own->random, least + 1),
        };
        read_state(own, least);
        give_back(stress, place);
        int result = stoa_get_block(stress->rig->stoa, &key, &place->block, NULL);
        place->is_held = result == 0;
        if (result == 0) {
            check_block(stress, &place->block);
            if (latest ? place->block.height < least : place->block.height != key.height) {
                complain(stress, "another block", place->block.height, key.height);
            }
        } else if (result != STOA_EBUSY) {
            complain(stress, "a block is not read", (uint64_t)-result, 0);
        }
        atomic_fetch_add(&stress->reads, 1);
    }
    for (unsigned i = 0; i < HELD_VIEWS; i++) {
        give_back(stress, &held[i]);
    }
    return NULL;
}

/* ---- producers ---- */

static void drop(struct stress *stress, struct stoa_completion *done)
{
    if (done->result == 0 && done->block.view != NULL) {
        check_block(stress, &done->block);
    }
    stoa_release(done->block.view);
    stoa_release(done->header.view);
    for (size_t i = 0; i < done->block_count; i++) {
        check_block(stress, &done->blocks[i]);
        stoa_release(done->blocks[i].view);
    }
    stoa_free(done->blocks);
    stoa_free((void *)(uintptr_t)done->value.data);
    stoa_free(done->logs.logs);
    stoa_free(done->history.entries);
    stoa_free(done->headers.headers);
    stoa_free(done->stats);
    stoa_free(done->cache_stats);
    stoa_free(done->health);
    stoa_free(done->branches);
    atomic_fetch_add(&stress->answers, 1);
}

static void reap(struct stress *stress, int timeout_ms)
{
    struct stoa_completion done[8];
    int count = stoa_reap(stress->rig->stoa, done, 8, timeout_ms);
    for (int i = 0; i < count; i++) {
        drop(stress, &done[i]);
    }
}

/* Anybody's completion is as good as one's own. */
static void submit_something(struct thread *own)
{
    struct stoa *stoa = own->stress->rig->stoa;
    uint64_t top = atomic_load(&own->stress->acknowledged);
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT,
                                 .height = made_random_below(&own->random, top + 1)};
    struct stoa_block_range range = {.from = key.height, .count = 3};
    struct stoa_history_query history = STOA_HISTORY_QUERY_INIT;
    uint64_t state_key = made_random_below(&own->random, KEYS);
    call.priority = (int)made_random_below(&own->random, STOA_PRIORITY_CRITICAL + 1);
    call.correlation_id = 1 + made_random_below(&own->random, 1000);
    call.deadline_ms = made_random_below(&own->random, 8) == 0
                           ? 1 + (uint32_t)made_random_below(&own->random, 9)
                           : 0;
    switch (made_random_below(&own->random, 12)) {
    case 0:
        (void)stoa_submit_get_header(stoa, &key, &call);
        break;
    case 1:
        (void)stoa_submit_get_block_range(stoa, &range, &call);
        break;
    case 2:
        (void)stoa_submit_get_header_range(stoa, &range, &call);
        break;
    case 3:
        history.address[19] = (uint8_t)made_random_below(&own->random, 8);
        (void)stoa_submit_get_address_transactions(stoa, &history, &call);
        break;
    case 4:
        (void)stoa_submit_get_stats(stoa, &call);
        break;
    case 5:
        (void)stoa_submit_get_health(stoa, &call);
        break;
    case 6:
        (void)stoa_submit_get_branches(stoa, &call);
        break;
    case 7:
        (void)stoa_submit_get_state(stoa, bytes_of_number(&state_key), &call);
        break;
    case 8:
        (void)stoa_cancel(stoa, call.correlation_id); /* somebody's, or nobody's */
        break;
    default:
        (void)stoa_submit_get_block(stoa, &key, &call); /* a full box is no harm */
        break;
    }
}

/* A key that nobody else writes has what was written last. */
static void write_own_key(struct thread *own, uint64_t value)
{
    struct stress *stress = own->stress;
    struct stoa *stoa = stress->rig->stoa;
    uint64_t key = 1000 + own->number;
    uint64_t found = 0;
    struct stoa_value view;
    struct stoa_change change = {.key = bytes_of_number(&key), .value = bytes_of_number(&value)};
    struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
    update.changes = &change;
    update.change_count = 1;
    int result;
    do {
        result = stoa_update_state(stoa, &update, NULL);
    } while (result == STOA_EBUSY);
    if (result != 0) {
        complain(stress, "an update fails", (uint64_t)-result, 0);
        return;
    }
    do {
        result = stoa_get_state_view(stoa, bytes_of_number(&key), &view, NULL);
    } while (result == STOA_EBUSY);
    if (result == 0) {
        memcpy(&found, view.value.data, sizeof(found));
        stoa_release(view.view);
    }
    if (found != value) {
        complain(stress, "not what was written", found, value);
    }
    atomic_fetch_add(&stress->writes, 1);
}

static void *produce(void *context)
{
    struct thread *own = context;
    uint64_t value = 1;
    while (!atomic_load(&own->stress->stop)) {
        for (unsigned i = 0; i < 6; i++) {
            submit_something(own);
        }
        reap(own->stress, 0);
        if (made_random_below(&own->random, 4) == 0) {
            write_own_key(own, value++);
        }
        reap(own->stress, 1);
    }
    return NULL;
}

/* ---- the rest ---- */

static void *disturb(void *context)
{
    struct thread *own = context;
    struct stress *stress = own->stress;
    struct stoa *stoa = stress->rig->stoa;
    while (!atomic_load(&stress->stop)) {
        char *text;
        switch (made_random_below(&own->random, 8)) {
        case 0:
            (void)stoa_flush_cache(stoa, NULL);
            break;
        case 1:
            (void)stoa_submit_checkpoint(stoa, NULL);
            break;
        case 2:
            (void)stoa_submit_warm_cache(stoa, NULL);
            break;
        case 3:
            (void)stoa_submit_rebuild_index(
                stoa, (int)made_random_below(&own->random, STOA_INDEXES), NULL);
            break;
        case 4:
            if (stoa_metrics_text(stoa, &text, NULL) == 0) {
                stoa_free(text);
            }
            break;
        default:
            if (stress->resizes) {
                (void)stoa_resize_cache(stoa, (1 + made_random_below(&own->random, 6)) * MIB, NULL);
            }
            break;
        }
        struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
        if (stoa_get_cache_stats(stoa, &stats) != 0 || (!stress->resizes && stats.held > 2 * MIB)) {
            complain(stress, "the cache is above its bound", stats.held, stats.limit);
        }
        uint64_t reads = atomic_load(&stress->reads);
        while (atomic_load(&stress->reads) < reads + PACE && !atomic_load(&stress->stop)) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void put_block(struct stress *stress, uint64_t number)
{
    struct stoa_store_block put = engine_rig_put_of(stress->rig, number);
    struct stoa_change changes[KEYS];
    uint64_t keys[KEYS];
    for (uint64_t i = 0; i < KEYS; i++) {
        keys[i] = i;
        changes[i] = (struct stoa_change){bytes_of_number(&keys[i]), bytes_of_number(&number)};
    }
    put.changes = changes;
    put.change_count = KEYS;
    struct stoa_detail detail = {.code = 0};
    int result;
    do {
        result = stoa_store_block(stress->rig->stoa, &put, &detail);
    } while (result == STOA_EBUSY);
    if (result != 0) {
        fail_msg("block %llu: %s", (unsigned long long)number, detail.text);
    }
    atomic_store(&stress->acknowledged, number);
}

static uint64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool has_expired_and_evicted(struct stoa *stoa)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    assert_int_equal(stoa_get_cache_stats(stoa, &stats), 0);
    return stats.classes[STOA_CACHE_STATE].expirations != 0 &&
           stats.classes[STOA_CACHE_BLOCKS].evictions + stats.classes[STOA_CACHE_BLOCKS].dropped +
                   stats.classes[STOA_CACHE_BLOCKS].replaced !=
               0;
}

/* Store the chain, and go on until all has happened that should and SECONDS have passed. */
static void load(struct stress *stress, uint64_t seconds)
{
    uint64_t began = seconds_now();
    uint64_t number = 1;
    bool done = false;
    while (!done && atomic_load(&stress->wrong) == 0) {
        if (number <= ENGINE_RIG_BLOCKS) {
            put_block(stress, number++);
        }
        uint64_t reads = atomic_load(&stress->reads);
        while (atomic_load(&stress->reads) < reads + PACE) {
            (void)sched_yield();
        }
        uint64_t passed = seconds_now() - began;
        done = number > ENGINE_RIG_BLOCKS && passed >= seconds &&
               (passed > ROUND_SECONDS_MAX || has_expired_and_evicted(stress->rig->stoa));
    }
}

static void run_round(uint64_t seed, bool resizes, uint64_t seconds)
{
    void *state = NULL;
    assert_int_equal(
        seed % 2 == 0 ? engine_rig_set_up_ring(&state) : engine_rig_set_up_threads(&state), 0);
    struct engine_rig *rig = state;
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct thread threads[PRODUCERS + READERS + 1];
    struct stress stress = {.rig = rig, .seed = seed, .resizes = resizes};
    cache.capacity = 2 * MIB;
    cache.head_blocks = 4;
    cache.time_to_live[STOA_CACHE_STATE] = 1;
    cache.policy = seed % 4 < 2 ? STOA_WRITE_BACK : STOA_WRITE_THROUGH;
    options.cache = &cache;
    options.checkpoint_seconds = 1;
    engine_rig_close(rig);
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), 0);
    for (unsigned i = 0; i < PRODUCERS + READERS + 1; i++) {
        threads[i] =
            (struct thread){.stress = &stress, .number = i, .random = made_random_of(seed, i)};
        void *(*run)(void *) = i < PRODUCERS             ? produce
                               : i < PRODUCERS + READERS ? read_in_place
                                                         : disturb;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
    }
    load(&stress, seconds);
    atomic_store(&stress.stop, true);
    for (unsigned i = 0; i < PRODUCERS + READERS + 1; i++) {
        assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
    }
    assert_int_equal(stress.wrong, 0);
    print_message("%llu reads in place, %llu answers, %llu writes\n",
                  (unsigned long long)stress.reads, (unsigned long long)stress.answers,
                  (unsigned long long)stress.writes);
    engine_rig_close(rig);
    engine_rig_open(rig);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(engine_rig_tear_down(&state), 0);
}

static void run_rounds(bool resizes)
{
    const char *wanted = getenv("STOA_LONG");
    uint64_t seconds = wanted == NULL ? 0 : strtoull(wanted, NULL, 10) / 2; /* two tests */
    uint64_t seed = fixture_seed();
    uint64_t began = seconds_now();
    do {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_round(seed++, resizes, seconds == 0 ? 0 : ROUND_SECONDS);
    } while (seconds_now() - began < seconds);
}

static void all_at_once_each_reads_what_was_acknowledged(void **state)
{
    (void)state;
    run_rounds(true);
}

/* The soak: of one size all the time. */
static void memory_is_never_above_its_bound(void **state)
{
    (void)state;
    run_rounds(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_at_once_each_reads_what_was_acknowledged),
        cmocka_unit_test(memory_is_never_above_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
