/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks are stored several at a time, each changes some of few keys, and whenever the loop comes
 * back the cache is asked for all of them, as a caller's thread may at any moment: what it says is
 * never older than what was acknowledged. Reads that take the loop's way, and fill the cache, are
 * under way meanwhile.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/hot.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/simstore.h"

enum {
    BLOCKS = 40,
    KEYS = 12,
    KEY_SIZE = 8,
    FLIGHTS = 8,
    READS = 4,
    VALUE_MAX = 200,
    TURN_NS = 30000,
    SEEDS_SHORT = 60,
};

struct trial;

struct flight { /* a block on its way */
    struct store_request request;
    struct trial *trial;
    bool taken;
    uint64_t number;
    struct stoa_change changes[KEYS];
    uint8_t values[KEYS][VALUE_MAX];
};

struct reading {
    struct store_request request;
    struct trial *trial;
    bool taken;
    unsigned key;
    uint64_t known; /* what was acknowledged when it was asked */
};

struct trial {
    struct simstore sim;
    const struct made_chain *chain;
    uint64_t random;
    char keys[KEYS][KEY_SIZE + 1];
    bool changed[BLOCKS + 1][KEYS];
    uint64_t submitted;
    uint64_t acknowledged;
    unsigned reads_done;
    unsigned hits;
    struct flight flights[FLIGHTS];
    struct reading readings[READS];
};

/* The newest block up to HEIGHT that changed KEY; 0: none. */
static uint64_t newest_change(const struct trial *trial, unsigned key, uint64_t height)
{
    uint64_t newest = 0;
    for (uint64_t number = 1; number <= height && number <= BLOCKS; number++) {
        newest = trial->changed[number][key] ? number : newest;
    }
    return newest;
}

/* VALUE was read when blocks up to KNOWN had been acknowledged. Values begin with their block. */
static void check_value(const struct trial *trial, unsigned key, uint64_t known, int result,
                        struct bytes value)
{
    uint64_t least = newest_change(trial, key, known);
    if (result == STOA_ENOTFOUND) {
        assert_int_equal(least, 0);
        return;
    }
    assert_int_equal(result, 0);
    uint64_t number = bytes_load_be64(value.data);
    assert_in_range(number, least > 0 ? least : 1, trial->submitted);
    assert_true(trial->changed[number][key]);
}

static void check_cached_values(struct trial *trial)
{
    for (unsigned key = 0; key < KEYS; key++) {
        struct stoa_bytes value = {NULL, 0};
        struct stoa_view *view;
        int result;
        if (!hot_get_raw(trial->sim.cache, bytes_of(trial->keys[key], KEY_SIZE), &value, &view,
                         &result)) {
            continue;
        }
        trial->hits++;
        check_value(trial, key, trial->acknowledged, result, bytes_of(value.data, value.size));
        if (result == 0) {
            store_view_release(view);
        }
    }
}

static void check_cached_block(struct trial *trial, uint64_t number)
{
    const struct made_block *made = made_chain_block(trial->chain, number);
    struct stoa_block_key keys[] = {{.by = STOA_BY_HEIGHT, .height = number}, {.by = STOA_BY_HASH}};
    memcpy(keys[1].hash, made->hash, 32);
    for (unsigned i = 0; i < 2; i++) {
        struct stoa_block block;
        if (hot_get_block(trial->sim.cache, &keys[i], &block)) {
            assert_int_equal(block.block.size, made->block.size);
            assert_memory_equal(block.block.data, made->block.data, made->block.size);
            store_view_release(block.view);
        }
    }
    for (size_t i = 0; i < made->transaction_count; i++) {
        const struct made_transaction *transaction = &made->transactions[i];
        struct stoa_transaction found;
        if (hot_get_transaction(trial->sim.cache, transaction->hash, &found)) {
            assert_int_equal(found.index, i);
            assert_int_equal(found.receipt.size, transaction->receipt.size);
            assert_memory_equal(found.receipt.data, transaction->receipt.data, found.receipt.size);
            store_view_release(found.block.view);
        }
    }
}

static void note_stored(struct store_request *request)
{
    struct flight *flight = request->context;
    struct trial *trial = flight->trial;
    assert_int_equal(request->result, 0);
    assert_int_equal(flight->number, trial->acknowledged + 1); /* in order */
    trial->acknowledged = flight->number;
    flight->taken = false;
    memset(flight->values, 0xee, sizeof(flight->values)); /* the caller's memory is his again */
    check_cached_values(trial);
}

static void store_next(struct trial *trial, struct flight *flight)
{
    uint64_t number = ++trial->submitted;
    size_t count = 0;
    flight->taken = true;
    flight->trial = trial;
    flight->number = number;
    for (unsigned key = 0; key < KEYS; key++) {
        if (fixture_random_below(&trial->random, 3) != 0) {
            continue;
        }
        size_t size = 8 + fixture_random_below(&trial->random, VALUE_MAX - 8);
        memset(flight->values[key], (int)number, size);
        bytes_store_be64(flight->values[key], number);
        flight->changes[count++] = (struct stoa_change){
            .key = {(const uint8_t *)trial->keys[key], KEY_SIZE},
            .value = {flight->values[key], size},
        };
        trial->changed[number][key] = true;
    }
    flight->request = (struct store_request){
        .kind = STORE_PUT_BLOCK,
        .put = simstore_put_of(made_chain_block(trial->chain, number)),
        .done = note_stored,
        .context = flight,
    };
    flight->request.put.changes = flight->changes;
    flight->request.put.change_count = count;
    store_submit(trial->sim.store, &flight->request);
}

static void note_read(struct store_request *request)
{
    struct reading *reading = request->context;
    struct trial *trial = reading->trial;
    check_value(trial, reading->key, reading->known, request->result, request->value);
    memory_free((void *)(uintptr_t)request->value.data);
    reading->taken = false;
    trial->reads_done++;
}

static void read_any(struct trial *trial, struct reading *reading)
{
    reading->taken = true;
    reading->trial = trial;
    reading->key = (unsigned)fixture_random_below(&trial->random, KEYS);
    reading->known = trial->acknowledged;
    reading->request = (struct store_request){
        .kind = STORE_GET_STATE,
        .state_key = bytes_of(trial->keys[reading->key], KEY_SIZE),
        .query = {.height = STOA_AT_HEAD},
        .done = note_read,
        .context = reading,
    };
    store_submit(trial->sim.store, &reading->request);
}

static void submit_some(struct trial *trial)
{
    for (unsigned i = 0; i < FLIGHTS; i++) {
        if (!trial->flights[i].taken && trial->submitted < BLOCKS &&
            fixture_random_below(&trial->random, 2) == 0) {
            store_next(trial, &trial->flights[i]);
        }
    }
    for (unsigned i = 0; i < READS; i++) {
        if (!trial->readings[i].taken && fixture_random_below(&trial->random, 4) == 0) {
            read_any(trial, &trial->readings[i]);
        }
    }
}

static bool under_way(const struct trial *trial)
{
    bool any = false;
    for (unsigned i = 0; i < READS; i++) {
        any = any || trial->readings[i].taken;
    }
    return any || trial->acknowledged < BLOCKS;
}

static void run_trial(const struct made_chain *chain, uint64_t seed, unsigned *hits)
{
    static struct trial trial;
    const struct io_sim_options options = {.seed = seed, .delay_ns_max = 200000};
    trial = (struct trial){.chain = chain, .random = seed};
    simstore_init(&trial.sim, seed);
    trial.sim.cache_size = CACHE_SIZE_MIN;
    for (unsigned key = 0; key < KEYS; key++) {
        (void)snprintf(trial.keys[key], sizeof(trial.keys[key]), "key %04u", key);
    }
    simstore_power(&trial.sim, &options);
    assert_int_equal(simstore_create(&trial.sim, chain), 0);
    assert_int_equal(simstore_open(&trial.sim), 0);
    while (trial.acknowledged < BLOCKS) {
        submit_some(&trial);
        assert_true(io_run(trial.sim.io, fixture_random_below(&trial.random, TURN_NS)) >= 0);
        check_cached_values(&trial);
        if (trial.acknowledged > 0) {
            check_cached_block(&trial,
                               1 + fixture_random_below(&trial.random, (size_t)trial.acknowledged));
        }
    }
    while (under_way(&trial)) {
        assert_true(io_run(trial.sim.io, TURN_NS) >= 0);
        check_cached_values(&trial);
    }
    assert_true(trial.reads_done > 0);
    *hits += trial.hits;
    assert_int_equal(simstore_close(&trial.sim), 0);
    simstore_deinit(&trial.sim);
}

static void the_cache_never_says_less_than_was_acknowledged(void **state)
{
    (void)state;
    uint64_t first = fixture_seed();
    uint64_t count = simstore_seeds(SEEDS_SHORT / SANITIZED_SLOWER);
    struct made_chain *chain = made_chain_create(11, BLOCKS);
    unsigned hits = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_trial(chain, seed, &hits);
    }
    assert_true(hits > count * BLOCKS); /* it was the cache that was asked */
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_never_says_less_than_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
