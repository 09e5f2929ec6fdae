/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots on a simulated machine: power cut at any I/O of making or dropping one leaves the store
 * as it was and the snapshot whole or absent; what is restored from one is what the store was, also
 * after the store itself has dropped the segments.
 *
 * STOA_TEST_SEED=S begins at S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chain/block.h"
#include "maint/restore.h"
#include "maint/snapshot.h"
#include "store/store_folder.h"
#include "support/fixture.h"
#include "support/simstore.h"

enum { BLOCKS = 12, HALF = 6, VALUE_SIZE = 300000, VALUES = 8 };

static void store_blocks(struct simstore *sim, const struct made_chain *chain, uint64_t first,
                         uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(sim, &put), 0);
    }
}

static void start(struct simstore *sim, uint64_t seed, const struct made_chain *chain,
                  const struct io_sim_options *machine)
{
    simstore_init(sim, seed);
    simstore_power(sim, machine);
    assert_int_equal(simstore_create(sim, chain), 0);
    assert_int_equal(simstore_open(sim), 0);
    simstore_fill_first_segment(sim);
    simstore_fill(sim, 7, VALUES, VALUE_SIZE);
    store_blocks(sim, chain, 1, HALF);
}

struct seen {
    unsigned count;
    uint64_t height;
    uint64_t own_bytes;
};

static int see(void *context, const char *name, const struct manifest *manifest, uint64_t own_bytes,
               const struct error_detail *why)
{
    struct seen *seen = context;
    assert_string_equal(name, "half");
    assert_non_null(manifest);
    assert_null(why);
    seen->count++;
    seen->height = manifest->height;
    seen->own_bytes = own_bytes;
    return 0;
}

static struct seen look(struct simstore *sim)
{
    struct seen seen = {.count = 0};
    assert_int_equal(snapshot_list(sim->io, "/store", see, &seen, &sim->detail), 0);
    return seen;
}

static void remove_restored(struct simstore *sim)
{
    static const char *const folders[] = {"/restored/ledger", "/restored/tables", "/restored"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(store_folder_empty(sim->io, folders[i], NULL), 0);
        store_folder_remove(sim->io, folders[i]);
    }
}

/* The snapshot is blocks 1 to HALF. */
static void expect_restorable(struct simstore *sim, const struct made_chain *chain)
{
    struct kv_memory_disk *tables = kv_memory_disk_create();
    struct restore_report report;
    char path[STORE_PATH_SIZE_MAX];
    assert_int_equal(snapshot_path(sim->io, "/store", "half", path, &sim->detail), 0);
    struct store_options options = {.segment_size = sim->segment_size, .memory_tables = tables};
    struct restore_options wanted = {
        .io = sim->io, .backup = path, .target = "/restored", .store = options};
    if (restore_run(&wanted, &report, &sim->detail) != 0) {
        fail_msg("restore: %s", sim->detail.text);
    }
    assert_int_equal(report.height, HALF);
    struct simstore restored = simstore_beside(sim);
    options.io = sim->io;
    options.directory = "/restored";
    assert_int_equal(store_open(&options, &restored.store, &restored.detail), 0);
    simstore_expect(&restored, chain, 1, HALF);
    assert_int_equal(simstore_verify(&restored, NULL), 0);
    assert_int_equal(simstore_close(&restored), 0);
    remove_restored(sim);
    kv_memory_disk_destroy(tables);
}

static void a_snapshot_is_what_the_store_was(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(3, BLOCKS);
    struct simstore sim;
    struct io_sim_options machine = {.seed = fixture_seed()};
    start(&sim, machine.seed, chain, &machine);
    struct store_point point = simstore_point(&sim);
    const uint8_t *root = made_chain_block(chain, HALF)->state_root;
    assert_int_equal(snapshot_create(sim.io, "/store", "half", &point, root, &sim.detail), 0);
    assert_int_equal(snapshot_create(sim.io, "/store", "half", &point, root, &sim.detail),
                     STOA_EEXISTS);
    struct seen seen = look(&sim);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.height, HALF);
    if (seen.own_bytes > LEDGER_SEGMENT_SIZE_MIN) { /* at most what was being filled */
        fail_msg("%llu bytes", (unsigned long long)seen.own_bytes);
    }
    bool held = false;
    assert_int_equal(snapshot_holds(sim.io, "/store", 1, &held, &sim.detail), 0);
    assert_true(held);
    assert_int_equal(snapshot_holds(sim.io, "/store", 99, &held, &sim.detail), 0);
    assert_false(held);
    store_blocks(&sim, chain, HALF + 1, BLOCKS);
    expect_restorable(&sim, chain);
    assert_int_equal(simstore_close(&sim), 0);
    /* What the store drops the snapshot keeps, and its cost shows it. */
    struct io_request request = {.op = IO_UNLINK, .path = "/store/ledger/00000001.seg"};
    assert_int_equal(io_wait(sim.io, &request), 0);
    assert_true(look(&sim).own_bytes >= LEDGER_SEGMENT_SIZE_MIN);
    expect_restorable(&sim, chain);
    assert_int_equal(snapshot_drop(sim.io, "/store", "half", &sim.detail), 0);
    assert_int_equal(look(&sim).count, 0);
    assert_int_equal(snapshot_drop(sim.io, "/store", "half", &sim.detail), STOA_ENOTFOUND);
    simstore_deinit(&sim);
    made_chain_destroy(chain);
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", ".x", "a/b", "a b", "\xc3\xa4", "a\n"};
    struct simstore sim;
    struct io_sim_options machine = {.seed = 1};
    struct store_point point = {.store_id = 1};
    static const uint8_t root[32];
    simstore_init(&sim, 1);
    simstore_power(&sim, &machine);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(snapshot_create(sim.io, "/store", bad[i], &point, root, &sim.detail),
                         STOA_EINVAL);
        assert_int_equal(snapshot_drop(sim.io, "/store", bad[i], &sim.detail), STOA_EINVAL);
    }
    simstore_deinit(&sim);
}

static bool cut_once(void *context, uint64_t seed, uint64_t cut_at)
{
    const struct made_chain *chain = context;
    struct simstore sim;
    struct io_sim_options machine = {.seed = seed};
    const uint8_t *root = made_chain_block(chain, HALF)->state_root;
    start(&sim, seed, chain, &machine);
    struct store_point point = simstore_point(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    machine.cut_at = cut_at;
    machine.torn = true;
    simstore_power(&sim, &machine);
    int made = snapshot_create(sim.io, "/store", "half", &point, root, &sim.detail);
    int dropped = made != 0 ? made : snapshot_drop(sim.io, "/store", "half", &sim.detail);
    bool cut = io_sim_is_cut(sim.io);
    assert_true(cut || dropped == 0);
    simstore_restart(&sim, &machine, !cut, seed + cut_at);
    simstore_expect(&sim, chain, 1, HALF);
    struct seen seen = look(&sim);
    if (seen.count != 0) {
        assert_true(cut);
        if (cut_at % 3 == 0) {
            expect_restorable(&sim, chain);
        }
        assert_int_equal(snapshot_drop(sim.io, "/store", "half", &sim.detail), 0);
    }
    point = simstore_point(&sim);
    assert_int_equal(snapshot_create(sim.io, "/store", "half", &point, root, &sim.detail), 0);
    assert_int_equal(look(&sim).count, 1);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_deinit(&sim);
    return cut;
}

static void a_power_cut_leaves_a_whole_snapshot_or_none(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(3, BLOCKS);
    simstore_cut_everywhere(fixture_seed(), 1, 400, cut_once, chain);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_what_the_store_was),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_power_cut_leaves_a_whole_snapshot_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
