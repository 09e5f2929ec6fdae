/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Power is cut at every I/O (under a sanitizer, at some) of a workload that stores blocks without
 * their receipts, gives receipts to blocks in any order, and makes checkpoints. Afterwards the
 * receipts that were acknowledged are there, of those under way all or nothing, and verify finds
 * every index as the ledger has it.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/simstore.h"

enum { BLOCKS = 6, STEPS = 16, CUTS_MAX = 400, SEEDS_SHORT = 1 };

struct trial {
    struct simstore sim;
    const struct made_chain *chain;
    uint64_t random;
    uint64_t height; /* acknowledged */
    bool given[BLOCKS + 1];
    uint64_t trying; /* receipts of this block are on their way */
};

static bool has_receipts(struct trial *trial, uint64_t number)
{
    const struct made_block *made = made_chain_block(trial->chain, number);
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block block;
    memcpy(key.hash, made->hash, 32);
    assert_int_equal(simstore_get(&trial->sim, &key, &block), 0);
    assert_int_equal(block.block.size, made->block.size);
    assert_memory_equal(block.block.data, made->block.data, made->block.size);
    bool has = block.receipts.data != NULL;
    if (has) {
        assert_int_equal(block.receipts.size, made->receipts.size);
        assert_memory_equal(block.receipts.data, made->receipts.data, made->receipts.size);
    }
    store_view_release(block.view);
    for (size_t i = 0; i < made->transaction_count; i++) {
        struct stoa_transaction found;
        assert_int_equal(simstore_get_transaction(&trial->sim, made->transactions[i].hash, &found),
                         0);
        assert_true((found.receipt.data != NULL) == has);
        store_view_release(found.block.view);
    }
    return has;
}

static void expect(struct trial *trial)
{
    struct stoa_head head;
    store_get_head(trial->sim.store, &head);
    assert_true(head.height >= trial->height);
    for (uint64_t number = 1; number <= trial->height; number++) {
        bool has = has_receipts(trial, number);
        if (number == trial->trying) {
            trial->given[number] = has;
        }
        assert_true(has == trial->given[number]);
    }
}

static void print_damage(void *context, const struct stoa_damage *damage)
{
    (void)context;
    print_error("%s: %s, height %llu\n", damage->file, damage->what,
                (unsigned long long)damage->height);
}

static void expect_verified(struct trial *trial)
{
    struct stoa_verify_report report;
    assert_int_equal(
        store_verify(trial->sim.store, false, print_damage, NULL, &report, &trial->sim.detail), 0);
}

static int step(struct trial *trial)
{
    uint64_t number = 1 + fixture_random_below(&trial->random, BLOCKS);
    if (fixture_random_below(&trial->random, 8) == 0) {
        return store_checkpoint(trial->sim.store, &trial->sim.detail);
    }
    if (number > trial->height) {
        const struct made_block *next = made_chain_block(trial->chain, trial->height + 1);
        struct stoa_store_block put = simstore_put_of(next);
        put.receipts = (struct stoa_bytes){NULL, 0};
        int result = simstore_put(&trial->sim, &put);
        trial->height += result == 0;
        return result;
    }
    trial->trying = number;
    int result = simstore_receipts(&trial->sim, made_chain_block(trial->chain, number));
    if (io_sim_is_cut(trial->sim.io)) {
        return STOA_ECLOSED;
    }
    assert_int_equal(result, trial->given[number] ? STOA_EEXISTS : 0);
    trial->given[number] = true;
    trial->trying = 0;
    return 0;
}

/* False: power is gone. */
static bool work(struct trial *trial)
{
    struct simstore *sim = &trial->sim;
    if (simstore_open(sim) != 0 || io_sim_is_cut(sim->io)) {
        return false;
    }
    for (unsigned i = 0; i < STEPS; i++) {
        int result = step(trial);
        if (io_sim_is_cut(sim->io)) {
            return false;
        }
        assert_int_equal(result, 0);
    }
    (void)simstore_close(sim); /* may be cut short */
    return !io_sim_is_cut(sim->io);
}

/* False: the cut came too late for anything. */
static bool run(void *context, uint64_t seed, uint64_t cut_at)
{
    struct trial trial = {.random = seed, .chain = context};
    struct simstore *sim = &trial.sim;
    struct io_sim_options calm = {.seed = seed};
    struct io_sim_options options = {
        .seed = seed + cut_at, .delay_ns_max = 1000000, .torn = true, .cut_at = cut_at};
    simstore_init(sim, seed);
    simstore_power(sim, &calm);
    assert_int_equal(simstore_create(sim, trial.chain), 0);
    simstore_unpower(sim);
    simstore_power(sim, &options);
    bool whole = work(&trial);
    simstore_restart(sim, &options, whole, seed + 7 * cut_at);
    expect(&trial);
    expect_verified(&trial);
    assert_int_equal(simstore_close(sim), 0);
    if (cut_at % 2 == 0) {
        simstore_lose_tables(sim);
    }
    assert_int_equal(simstore_open(sim), 0);
    expect(&trial);
    expect_verified(&trial);
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    simstore_deinit(sim);
    return !whole;
}

static void receipts_are_there_or_not_whenever_power_is_cut(void **state)
{
    (void)state;
    uint64_t count = simstore_seeds(SEEDS_SHORT);
    uint64_t first = fixture_seed();
    struct made_chain *chain = made_chain_create(43, BLOCKS);
    for (uint64_t i = 0; i < count; i++) {
        simstore_cut_everywhere(first + i, SANITIZED_SLOWER, CUTS_MAX, run, chain);
    }
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_are_there_or_not_whenever_power_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
