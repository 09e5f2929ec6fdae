/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The promises of recovery, on a simulated machine from seeds: power is cut at a random I/O of
 * creating, storing, applying, closing or recovering; what was acknowledged is there afterwards,
 * complete with its indexes, and the store goes on.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/simstore.h"

enum { CHAIN_BLOCKS = 60, WINDOW = 8, LIVES_MAX = 12, SEEDS_SHORT = 12 / SANITIZED_SLOWER };

struct life {
    struct simstore *sim;
    const struct made_chain *chain;
    uint64_t *random;
    uint64_t acknowledged; /* height */
    struct store_request requests[WINDOW];
    uint64_t submitted;
    unsigned window; /* so many are under way at once */
};

static void acknowledge(struct store_request *request)
{
    struct life *life = request->context;
    if (request->result == 0) {
        struct stoa_stats stats;
        assert_true(request->height == life->acknowledged + 1);
        life->acknowledged = request->height;
        store_get_stats(life->sim->store, &stats);
        if (life->sim->write_through && life->window == 1) {
            assert_int_equal(stats.pending_blocks, 0); /* the tables hold it */
        }
    }
    request->done = NULL;
}

/* Keep some puts in flight until the chain is stored or power is gone. */
static bool store_on(struct life *life)
{
    struct stoa_head head;
    store_get_head(life->sim->store, &head);
    life->submitted = head.height;
    memset(life->requests, 0, sizeof(life->requests));
    life->window = 1 + (unsigned)fixture_random_below(life->random, WINDOW);
    while (life->acknowledged < CHAIN_BLOCKS || store_pending(life->sim->store) != 0) {
        while (life->submitted < CHAIN_BLOCKS && store_pending(life->sim->store) < life->window) {
            struct store_request *request = &life->requests[++life->submitted % WINDOW];
            assert_null(request->done);
            *request = (struct store_request){
                .kind = STORE_PUT_BLOCK,
                .put = simstore_put_of(made_chain_block(life->chain, life->submitted)),
                .done = acknowledge,
                .context = life,
            };
            store_submit(life->sim->store, request);
        }
        if (io_run(life->sim->io, 1000000000) < 0) {
            return false;
        }
    }
    return true;
}

static void expect_recovered(struct life *life)
{
    struct stoa_head head;
    store_get_head(life->sim->store, &head);
    assert_false(head.empty);
    assert_true(head.height >= life->acknowledged);
    life->acknowledged = head.height;
    simstore_expect(life->sim, life->chain, 1, head.height);
}

/* One life between power-on and power-off. True: the whole chain is stored and was closed in order.
 */
static bool live(struct life *life, bool *created, uint64_t cut_at)
{
    struct simstore *sim = life->sim;
    struct io_sim_options options = {
        .seed = fixture_random(life->random),
        .delay_ns_max = 2000000,
        .torn = true,
        .cut_at = cut_at,
    };
    sim->write_through = fixture_random_below(life->random, 2) == 0;
    simstore_power(sim, &options);
    if (!*created) {
        int result = simstore_create(sim, life->chain);
        if (io_sim_is_cut(sim->io)) {
            return false;
        }
        assert_true(result == 0 || result == STOA_EEXISTS);
        *created = true;
    }
    int result = simstore_open(sim);
    if (io_sim_is_cut(sim->io)) {
        if (result == 0) {
            store_abandon(sim->store);
            sim->store = NULL;
        }
        return false;
    }
    if (result != 0) {
        fail_msg("open: %s: %s", stoa_strerror(result), sim->detail.text);
    }
    if (cut_at == 0) {
        expect_recovered(life);
        if (simstore_verify(sim, NULL) != 0) {
            fail_msg("verify: %s", sim->detail.text);
        }
    }
    if (!store_on(life)) {
        return false;
    }
    (void)simstore_close(sim); /* may be cut short as well */
    return !io_sim_is_cut(sim->io);
}

static void run_seed(uint64_t seed, const struct made_chain *chain)
{
    uint64_t random = seed;
    struct simstore sim;
    struct life life = {.sim = &sim, .chain = chain, .random = &random};
    bool created = false;
    simstore_init(&sim, seed);
    for (int i = 0; i < LIVES_MAX; i++) {
        uint64_t cut_at = 1 + fixture_random_below(&random, i % 3 == 0 ? 40 : 400);
        bool last = i == LIVES_MAX - 1;
        /* Every other life begins with a look at what is there, undisturbed. */
        (void)live(&life, &created, last || i % 2 == 1 ? 0 : cut_at);
        if (last) {
            simstore_unpower(&sim);
        } else {
            simstore_cut(&sim, fixture_random(&random), true);
        }
    }
    assert_int_equal(life.acknowledged, CHAIN_BLOCKS);
    simstore_deinit(&sim);
}

static void acknowledged_blocks_survive_power_cuts_at_any_instant(void **state)
{
    (void)state;
    uint64_t count = simstore_seeds(SEEDS_SHORT);
    uint64_t first = fixture_seed();
    struct made_chain *chain = made_chain_create(11, CHAIN_BLOCKS);
    for (uint64_t i = 0; i < count; i++) {
        print_message("seed %llu\n", (unsigned long long)(first + i));
        run_seed(first + i, chain);
    }
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_blocks_survive_power_cuts_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
