/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Segments packed, unpacked and, packed, pruned on a simulated machine: every block, transaction
 * and query that is kept is what it was, the store verifies, tables made anew from packed segments
 * say the same, power may go at any I/O, and a full disk stops the job alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "maint/backup.h"
#include "maint/restore.h"
#include "store/store_folder.h"
#include "store/store_private.h"
#include "support/sanitized.h"
#include "support/simstore.h"

enum { BLOCKS = 900, FINALIZED = 860 };

static struct made_chain *chain;

static void power(struct simstore *sim, const struct io_sim_options *options)
{
    struct io_sim_options own = *options;
    own.seed = 3;
    own.delay_ns_max = 100000;
    simstore_power(sim, &own);
}

/* A store with the chain, all its jobs ready. */
static void init(struct simstore *sim, uint64_t seed)
{
    simstore_init(sim, seed);
    sim->with_jobs = true;
    sim->segment_size = 1 << 20;
    sim->first_segment_size = 1 << 20;
    power(sim, &(struct io_sim_options){.cut_at = 0});
    assert_int_equal(simstore_create(sim, chain), 0);
    assert_int_equal(simstore_open(sim), 0);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, number));
        assert_int_equal(simstore_put(sim, &put), 0);
    }
    assert_true(store_thin_last(sim->store) >= 1);
}

static void init_finalized(struct simstore *sim, uint64_t seed)
{
    init(sim, seed);
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, FINALIZED), 0);
}

static void deinit(struct simstore *sim)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    simstore_deinit(sim);
}

static int archive(struct simstore *sim, uint64_t keep, bool back, unsigned flags,
                   struct stoa_job_info *out_info)
{
    struct job_order order = {.flags = flags};
    order.numbers[JOB_ARCHIVE_KEEP] = keep;
    order.numbers[JOB_UNARCHIVE] = back;
    return simstore_run_job(sim, STOA_JOB_ARCHIVE, &order, out_info);
}

static int prune(struct simstore *sim, uint64_t keep, unsigned flags,
                 struct stoa_job_info *out_info)
{
    struct job_order order = {.flags = flags};
    order.numbers[JOB_KEEP_BODIES] = keep;
    return simstore_run_job(sim, STOA_JOB_PRUNE, &order, out_info);
}

static uint64_t fact(const struct stoa_job_info *info, const char *name)
{
    for (size_t i = 0; i < info->fact_count; i++) {
        if (strcmp(info->facts[i].name, name) == 0) {
            return info->facts[i].value;
        }
    }
    fail_msg("no fact %s", name);
    return 0;
}

static uint64_t ledger_bytes(const struct simstore *sim)
{
    struct stoa_stats stats;
    store_get_stats(sim->store, &stats);
    return stats.ledger_bytes;
}

static unsigned packed_segments(const struct simstore *sim)
{
    unsigned count = 0;
    for (uint32_t number = 1; number <= store_thin_last(sim->store); number++) {
        count += store_is_packed(sim->store, number);
    }
    return count;
}

/* ---- what the store says ---- */

/* Those below are pruned, and are refused with the window named. */
static uint64_t blocks_from(const struct simstore *sim)
{
    struct stoa_stats stats;
    store_get_stats(sim->store, &stats);
    return stats.bodies_from;
}

static void expect_block(struct simstore *sim, const struct made_block *made)
{
    struct stoa_block_key keys[] = {{.by = STOA_BY_HEIGHT, .height = made->number},
                                    {.by = STOA_BY_HASH}};
    memcpy(keys[1].hash, made->hash, 32);
    for (unsigned i = 0; i < 2; i++) {
        struct stoa_block block;
        int result = simstore_get(sim, &keys[i], &block);
        if (made->number < blocks_from(sim)) {
            char window[64];
            snprintf(window, sizeof(window), "those of %llu to %d are",
                     (unsigned long long)blocks_from(sim), BLOCKS);
            assert_int_equal(result, STOA_EPRUNED);
            assert_non_null(strstr(sim->detail.text, window));
            continue;
        }
        if (result != 0) {
            fail_msg("block %llu: %s", (unsigned long long)made->number, sim->detail.text);
        }
        assert_int_equal(block.block.size, made->block.size);
        assert_memory_equal(block.block.data, made->block.data, made->block.size);
        assert_int_equal(block.receipts.size, made->receipts.size);
        assert_memory_equal(block.receipts.data, made->receipts.data, made->receipts.size);
        store_view_release(block.view);
    }
}

static void expect_transactions(struct simstore *sim, const struct made_block *made)
{
    for (size_t i = 0; i < made->transaction_count; i++) {
        const struct made_transaction *own = &made->transactions[i];
        struct stoa_transaction found;
        int result = simstore_get_transaction(sim, own->hash, &found);
        if (made->number < blocks_from(sim)) {
            assert_int_equal(result, STOA_ENOTFOUND);
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(found.block.height, made->number);
        assert_int_equal(found.index, i);
        assert_true(
            bytes_equal(bytes_of(found.transaction.data, found.transaction.size), own->envelope));
        assert_true(bytes_equal(bytes_of(found.receipt.data, found.receipt.size), own->receipt));
        store_view_release(found.block.view);
    }
}

static size_t logs_of[BLOCKS + 1]; /* as the store has them before */

static void expect_logs(struct simstore *sim, const struct made_block *made, bool first)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    filter.from = made->number;
    filter.to = made->number;
    int result = simstore_query_logs(sim, &filter, &logs);
    if (made->number < blocks_from(sim)) {
        assert_int_equal(result, STOA_EPRUNED);
        return;
    }
    assert_int_equal(result, 0);
    logs_of[made->number] = first ? logs.count : logs_of[made->number];
    assert_int_equal(logs.count, logs_of[made->number]);
    assert_int_equal(logs.missing, 0);
    memory_free(logs.logs);
}

/* EVERY so many blocks are looked at. */
static void expect(struct simstore *sim, uint64_t every, bool first)
{
    for (uint64_t number = 1; number <= BLOCKS; number += every) {
        const struct made_block *made = made_chain_block(chain, number);
        expect_block(sim, made);
        expect_transactions(sim, made);
        expect_logs(sim, made, first);
    }
}

static void expect_verified(struct simstore *sim)
{
    unsigned damages = 0;
    assert_int_equal(simstore_verify(sim, &damages), 0);
    assert_int_equal(damages, 0);
}

/* ---- tests ---- */

static void everything_is_as_it_was(void **state)
{
    (void)state;
    struct simstore sim;
    struct stoa_job_info info;
    struct stoa_job_info dry;
    init_finalized(&sim, 5);
    expect(&sim, 1, true);
    uint64_t before = ledger_bytes(&sim);
    assert_int_equal(archive(&sim, 0, false, JOB_DRY_RUN, &dry), 0);
    assert_int_equal(ledger_bytes(&sim), before);
    assert_int_equal(packed_segments(&sim), 0);
    assert_int_equal(archive(&sim, 0, false, 0, &info), 0);
    assert_true(packed_segments(&sim) >= 1);
    assert_int_equal(fact(&info, "segmentsPacked"), packed_segments(&sim));
    assert_int_equal(fact(&info, "segmentsPacked"), fact(&dry, "segmentsPacked"));
    assert_int_equal(fact(&info, "sourceBytes"), fact(&dry, "sourceBytes"));
    assert_int_equal(fact(&info, "freedBytes"), before - ledger_bytes(&sim));
    assert_int_equal(fact(&info, "segmentsDamaged"), 0);
    expect(&sim, 1, false);
    expect_verified(&sim);
    assert_int_equal(archive(&sim, 0, false, 0, &info), 0); /* nothing is left to do */
    assert_int_equal(fact(&info, "segmentsPacked"), 0);
    assert_int_equal(simstore_close(&sim), 0);
    assert_int_equal(simstore_open(&sim), 0);
    expect(&sim, 3, false);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_lose_tables(&sim);
    assert_int_equal(simstore_open(&sim), 0); /* from what is packed */
    expect(&sim, 1, false);
    expect_verified(&sim);
    for (int index = STORE_INDEX_TRANSACTIONS; index <= STORE_INDEX_LOGS; index++) {
        assert_int_equal(simstore_rebuild(&sim, (enum store_index)index), 0);
    }
    expect(&sim, 3, false);
    assert_int_equal(archive(&sim, 0, true, 0, &info), 0);
    assert_int_equal(fact(&info, "segmentsUnpacked"), fact(&dry, "segmentsPacked"));
    assert_int_equal(packed_segments(&sim), 0);
    assert_int_equal(ledger_bytes(&sim), before);
    expect(&sim, 1, false);
    expect_verified(&sim);
    deinit(&sim);
}

static void what_may_change_yet_is_not_packed(void **state)
{
    (void)state;
    struct simstore sim;
    struct stoa_job_info info;
    init(&sim, 6);
    assert_int_equal(archive(&sim, 0, false, 0, NULL), STOA_EREFUSED);
    assert_non_null(strstr(sim.detail.text, "no block is finalized"));
    assert_int_equal(simstore_set_mark(&sim, STORE_SET_FINALIZED, 1), 0);
    assert_int_equal(archive(&sim, 0, false, 0, &info), 0);
    assert_int_equal(fact(&info, "segmentsPacked"), 0);
    assert_int_equal(simstore_set_mark(&sim, STORE_SET_FINALIZED, FINALIZED), 0);
    assert_int_equal(archive(&sim, BLOCKS - 1, false, 0, &info), 0);
    assert_int_equal(fact(&info, "segmentsPacked"), 0);
    struct job_order order = {.from = BLOCKS - 1};
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_ARCHIVE, &order, &info), 0);
    assert_int_equal(fact(&info, "segmentsPacked"), 0);
    order = (struct job_order){.to = 1};
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_ARCHIVE, &order, &info), 0);
    assert_int_equal(fact(&info, "segmentsPacked"), 0);
    assert_int_equal(archive(&sim, 0, false, 0, &info), 0);
    assert_true(fact(&info, "segmentsPacked") >= 1);
    deinit(&sim);
}

/* True: power went before the end of the job, pruning where KEEP is not 0. */
static bool cut_once(struct simstore *sim, uint64_t cut_at, uint64_t keep, bool back)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    power(sim, &(struct io_sim_options){.cut_at = cut_at});
    int result = simstore_open(sim);
    if (result == 0) { /* power may go */
        (void)(keep != 0 ? prune(sim, keep, 0, NULL) : archive(sim, 0, back, 0, NULL));
    }
    bool cut = io_sim_is_cut(sim->io);
    if (cut) {
        simstore_cut(sim, cut_at * 13, true);
        power(sim, &(struct io_sim_options){.cut_at = 0});
        assert_int_equal(simstore_open(sim), 0);
    }
    return cut;
}

static unsigned cut_everywhere(bool back)
{
    unsigned cuts = 0;
    unsigned moved = 0;
    struct simstore sim;
    init_finalized(&sim, back ? 8 : 7);
    expect(&sim, 1, true);
    if (back) {
        assert_int_equal(archive(&sim, 0, false, 0, NULL), 0);
    }
    unsigned whole = packed_segments(&sim);
    uint64_t cut_at = 1;
    while (cut_once(&sim, cut_at, 0, back)) {
        bool has_moved = packed_segments(&sim) != whole;
        expect(&sim, 61, false);
        expect_verified(&sim);
        moved += has_moved;
        if (has_moved) { /* the next cut finds it as this one did */
            assert_int_equal(archive(&sim, 0, !back, 0, NULL), 0);
            assert_int_equal(packed_segments(&sim), whole);
        }
        cut_at += 3 * SANITIZED_SLOWER; /* each is tests/unit/ledger/test_ledger_pack's affair */
        cuts++;
        assert_true(cut_at < 4000);
    }
    struct io_sim_options calm = {.seed = 3};
    (void)simstore_close(&sim); /* power may go yet */
    simstore_restart(&sim, &calm, !io_sim_is_cut(sim.io), 5);
    assert_int_equal(archive(&sim, 0, back, 0, NULL), 0);
    assert_true(back ? packed_segments(&sim) == 0 : packed_segments(&sim) >= 1);
    expect(&sim, 1, false);
    expect_verified(&sim);
    deinit(&sim);
    assert_true(moved > 0);
    return cuts;
}

static void power_may_go_at_any_moment(void **state)
{
    (void)state;
    print_message("%u cuts\n", cut_everywhere(false));
}

static void power_may_go_while_unpacking(void **state)
{
    (void)state;
    print_message("%u cuts\n", cut_everywhere(true));
}

static void full_disk_stops_the_job_and_nothing_else(void **state)
{
    (void)state;
    struct simstore sim;
    uint64_t free_bytes;
    uint64_t total;
    uint64_t size;
    init_finalized(&sim, 9);
    expect(&sim, 1, true);
    assert_int_equal(io_space(sim.io, "/", &free_bytes, &total), 0);
    uint64_t used = total - free_bytes;
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    power(&sim, &(struct io_sim_options){.capacity = used + (12 << 20)});
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(archive(&sim, 0, false, 0, NULL), STOA_ENOSPACE);
    assert_non_null(strstr(sim.detail.text, "are free"));
    assert_int_equal(io_file_size(sim.io, "/store/archive/00000001.arc.new", &size),
                     STOA_ENOTFOUND);
    expect(&sim, 3, false);
    expect_verified(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    power(&sim, &(struct io_sim_options){.capacity = 0});
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(archive(&sim, 0, false, 0, NULL), 0);
    expect(&sim, 3, false);
    expect_verified(&sim);
    deinit(&sim);
}

static void power_may_go_while_pruning(void **state)
{
    (void)state;
    unsigned cuts = 0;
    for (unsigned offset = 0; offset < 2; offset++) { /* in another store: other moments */
        struct simstore sim;
        unsigned thinned = 0;
        init_finalized(&sim, 11 + offset);
        expect(&sim, 1, true);
        assert_int_equal(archive(&sim, 0, false, 0, NULL), 0);
        unsigned packed = packed_segments(&sim);
        uint64_t before = ledger_bytes(&sim);
        uint64_t cut_at = 1 + offset;
        while (cut_once(&sim, cut_at, 300, false)) {
            assert_int_equal(packed_segments(&sim), packed);
            expect(&sim, 61, false);
            expect_verified(&sim);
            thinned += ledger_bytes(&sim) < before;
            cut_at += 2 * SANITIZED_SLOWER;
            cuts++;
            assert_true(cut_at < 4000);
        }
        struct io_sim_options calm = {.seed = 3};
        (void)simstore_close(&sim); /* power may go yet */
        simstore_restart(&sim, &calm, !io_sim_is_cut(sim.io), 5);
        assert_int_equal(prune(&sim, 300, 0, NULL), 0);
        assert_int_equal(blocks_from(&sim), BLOCKS - 300);
        assert_int_equal(packed_segments(&sim), packed);
        assert_true(thinned > 0);
        expect(&sim, 1, false);
        expect_verified(&sim);
        deinit(&sim);
    }
    print_message("%u cuts\n", cuts);
}

static void packed_segments_are_pruned(void **state)
{
    (void)state;
    struct simstore sim;
    struct stoa_job_info info;
    struct stoa_job_info dry;
    init_finalized(&sim, 14);
    expect(&sim, 1, true);
    assert_int_equal(archive(&sim, 0, false, 0, NULL), 0);
    unsigned packed = packed_segments(&sim);
    uint64_t before = ledger_bytes(&sim);
    assert_int_equal(prune(&sim, 600, JOB_DRY_RUN, &dry), 0);
    assert_int_equal(ledger_bytes(&sim), before);
    assert_int_equal(prune(&sim, 600, 0, &info), 0);
    assert_true(fact(&info, "packedSegmentsThinned") >= 1);
    assert_int_equal(fact(&info, "packedSegmentsThinned"), fact(&dry, "packedSegmentsThinned"));
    assert_int_equal(fact(&info, "segmentsThinned"), fact(&dry, "segmentsThinned"));
    assert_int_equal(fact(&info, "segmentsDamaged"), 0);
    assert_int_equal(fact(&info, "ledgerBytesFreed"), before - ledger_bytes(&sim));
    assert_true(fact(&info, "ledgerBytesFreed") >= fact(&dry, "ledgerBytesFreed") / 2);
    assert_true(fact(&info, "ledgerBytesFreed") <= fact(&dry, "ledgerBytesFreed") * 2);
    assert_int_equal(packed_segments(&sim), packed);
    expect(&sim, 1, false);
    expect_verified(&sim);
    assert_int_equal(prune(&sim, 300, 0, &info), 0); /* deeper */
    assert_true(fact(&info, "packedSegmentsThinned") >= 1);
    assert_int_equal(prune(&sim, 300, 0, &info), 0);
    assert_int_equal(fact(&info, "segmentsThinned"), 0);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_lose_tables(&sim);
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(blocks_from(&sim), BLOCKS - 300);
    expect(&sim, 1, false);
    expect_verified(&sim);
    assert_int_equal(archive(&sim, 0, true, 0, &info), 0);
    assert_int_equal(packed_segments(&sim), 0);
    expect(&sim, 3, false);
    expect_verified(&sim);
    deinit(&sim);
}

static void full_disk_stops_pruning_and_nothing_else(void **state)
{
    (void)state;
    struct simstore sim;
    uint64_t free_bytes;
    uint64_t total;
    uint64_t size;
    init_finalized(&sim, 15);
    expect(&sim, 1, true);
    assert_int_equal(archive(&sim, 0, false, 0, NULL), 0);
    unsigned packed = packed_segments(&sim);
    uint64_t before = ledger_bytes(&sim);
    assert_int_equal(io_space(sim.io, "/", &free_bytes, &total), 0);
    uint64_t used = total - free_bytes;
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    power(&sim, &(struct io_sim_options){.capacity = used + (12 << 20)});
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(prune(&sim, 300, 0, NULL), STOA_ENOSPACE);
    assert_non_null(strstr(sim.detail.text, "are free"));
    assert_int_equal(ledger_bytes(&sim), before);
    assert_int_equal(io_file_size(sim.io, "/store/ledger/00000001.thin.new", &size),
                     STOA_ENOTFOUND);
    assert_int_equal(io_file_size(sim.io, "/store/archive/00000001.arc.new", &size),
                     STOA_ENOTFOUND);
    expect(&sim, 3, false); /* what is below is refused already */
    expect_verified(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    power(&sim, &(struct io_sim_options){.capacity = 0});
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(prune(&sim, 300, 0, NULL), 0);
    assert_true(ledger_bytes(&sim) < before);
    assert_int_equal(packed_segments(&sim), packed);
    expect(&sim, 3, false);
    expect_verified(&sim);
    deinit(&sim);
}

/* What is pruned is packed without it. */
static void pruned_segments_are_packed_as_they_are(void **state)
{
    (void)state;
    struct simstore sim;
    struct stoa_job_info info;
    struct stoa_job_info pruned;
    init_finalized(&sim, 10);
    assert_int_equal(prune(&sim, 600, 0, &pruned), 0);
    assert_true(fact(&pruned, "segmentsThinned") >= 1);
    uint64_t before = ledger_bytes(&sim);
    assert_int_equal(archive(&sim, 0, false, 0, &info), 0);
    assert_true(fact(&info, "segmentsPacked") >= 1);
    assert_true(ledger_bytes(&sim) < before);
    expect_verified(&sim);
    assert_int_equal(blocks_from(&sim), BLOCKS - 600);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        expect_block(&sim, made_chain_block(chain, number));
    }
    assert_int_equal(simstore_close(&sim), 0);
    simstore_lose_tables(&sim);
    assert_int_equal(simstore_open(&sim), 0);
    expect_verified(&sim);
    expect_block(&sim, made_chain_block(chain, BLOCKS - 600));
    assert_int_equal(archive(&sim, 0, true, 0, &info), 0);
    assert_int_equal(ledger_bytes(&sim), before);
    expect_verified(&sim);
    deinit(&sim);
}

/* ---- replaced under a backup ---- */

/* Once the size of the file at PATH was asked for the LEFT-th time from now, only KEPT blocks of
 * the store are kept. */
static struct {
    struct io_ops ops;
    const struct io_ops *real;
    struct simstore *sim;
    char path[64];
    unsigned left;
    uint64_t kept;
} replacing;

static int size_and_prune(struct io *io, const char *path, uint64_t *out_size)
{
    int result = replacing.real->file_size(io, path, out_size);
    if (strcmp(path, replacing.path) == 0 && replacing.left != 0 && --replacing.left == 0) {
        uint64_t now;
        assert_int_equal(prune(replacing.sim, replacing.kept, 0, NULL), 0);
        assert_int_equal(replacing.real->file_size(io, path, &now), 0);
        assert_true(now < *out_size);
    }
    return result;
}

static int back_up(struct simstore *sim, struct backup_report *out_report)
{
    struct backup_options options = {
        .io = sim->io, .directory = "/store", .target = "/backup", .full = true};
    struct store_point point = simstore_point(sim);
    return backup_create(&options, &point, made_chain_block(chain, BLOCKS)->state_root, out_report,
                         &sim->detail);
}

/* What was restored of the backup has the blocks that were kept, and is sound. */
static void expect_backup(struct simstore *sim, uint64_t kept)
{
    struct kv_memory_disk *tables = kv_memory_disk_create();
    struct restore_options options = {
        .io = sim->io,
        .backup = "/backup",
        .target = "/restored",
        .store = {.segment_size = sim->segment_size, .memory_tables = tables}};
    struct restore_report report;
    if (restore_run(&options, &report, &sim->detail) != 0) {
        fail_msg("restore: %s", sim->detail.text);
    }
    assert_int_equal(report.height, BLOCKS);
    struct simstore restored = simstore_beside(sim);
    struct store_options opening = {.io = sim->io,
                                    .directory = "/restored",
                                    .segment_size = sim->segment_size,
                                    .memory_tables = tables};
    assert_int_equal(store_open(&opening, &restored.store, &restored.detail), 0);
    for (uint64_t number = BLOCKS - kept + 1; number <= BLOCKS; number += 7) {
        expect_block(&restored, made_chain_block(chain, number));
    }
    expect_verified(&restored);
    assert_int_equal(simstore_close(&restored), 0);
    assert_int_equal(store_folder_empty(sim->io, "/restored/ledger", NULL), 0);
    assert_int_equal(store_folder_empty(sim->io, "/restored/archive", NULL), 0);
    kv_memory_disk_destroy(tables);
}

/* A backup, under which only KEPT blocks are kept from the LOOK-th look at the last packed segment
 * on. False: it takes fewer looks. */
static bool back_up_and_prune(struct simstore *sim, unsigned look, uint64_t kept)
{
    struct backup_report report;
    replacing.real = sim->io->ops;
    replacing.ops = *sim->io->ops;
    replacing.ops.file_size = size_and_prune;
    replacing.sim = sim;
    replacing.kept = kept;
    replacing.left = look;
    snprintf(replacing.path, sizeof(replacing.path), "/store/archive/%08u.arc",
             packed_segments(sim));
    sim->io->ops = &replacing.ops;
    int result = back_up(sim, &report);
    sim->io->ops = replacing.real;
    if (result != 0) {
        fail_msg("backup, pruned at look %u: %s", look, sim->detail.text);
    }
    return replacing.left == 0;
}

/* Its name stays the same, and what is told of one file is not copied of the other. */
static void packed_segments_may_be_pruned_under_a_backup(void **state)
{
    (void)state;
    struct simstore sim;
    struct backup_check check;
    unsigned looks = 0;
    uint64_t kept = 260;
    init_finalized(&sim, 16);
    assert_int_equal(archive(&sim, 0, false, 0, NULL), 0);
    while (back_up_and_prune(&sim, looks + 1, kept)) {
        looks++;
        kept -= 20;
    }
    assert_int_equal(looks, 5); /* its form and size, counting and copying; and its size again */
    assert_int_equal(backup_verify(sim.io, "/backup", 0, NULL, NULL, NULL, &check, &sim.detail), 0);
    assert_int_equal(check.backups, looks + 1);
    assert_int_equal(simstore_close(&sim), 0);
    expect_backup(&sim, kept);
    simstore_unpower(&sim);
    simstore_deinit(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_as_it_was),
        cmocka_unit_test(what_may_change_yet_is_not_packed),
        cmocka_unit_test(power_may_go_at_any_moment),
        cmocka_unit_test(power_may_go_while_unpacking),
        cmocka_unit_test(full_disk_stops_the_job_and_nothing_else),
        cmocka_unit_test(power_may_go_while_pruning),
        cmocka_unit_test(packed_segments_are_pruned),
        cmocka_unit_test(full_disk_stops_pruning_and_nothing_else),
        cmocka_unit_test(pruned_segments_are_packed_as_they_are),
        cmocka_unit_test(packed_segments_may_be_pruned_under_a_backup),
    };
    chain = made_chain_create(21, BLOCKS);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    made_chain_destroy(chain);
    return failed;
}
