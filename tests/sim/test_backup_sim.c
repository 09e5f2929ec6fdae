/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backups on a simulated machine: taken while blocks are stored, restored elsewhere, they are what
 * the store was at their height; a flipped bit in any of their files is found; power cuts and a
 * full disk at any I/O leave those before whole and the next one to go on.
 *
 * STOA_TEST_SEED=S begins at S. STOA_LONG=1 flips in every file of a backup, at many places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chain/block.h"
#include "maint/backup.h"
#include "maint/restore.h"
#include "store/store_folder.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum { BLOCKS = 240, BACKUPS = 20, WINDOW = 4, CUT_BLOCKS = 40, VALUE_SIZE = 300000, VALUES = 12 };

/* Blocks that are stored while something else runs the loop. */
struct feed {
    struct simstore *sim;
    const struct made_chain *chain;
    struct store_request requests[WINDOW];
    bool busy[WINDOW];
    uint64_t next;
    uint64_t last;
    uint64_t acknowledged;
};

static void feed_more(struct feed *feed);

static void fed(struct store_request *request)
{
    struct feed *feed = request->context;
    assert_int_equal(request->result, 0);
    feed->acknowledged = request->height;
    feed->busy[request - feed->requests] = false;
    feed_more(feed);
}

static void feed_more(struct feed *feed)
{
    for (unsigned i = 0; i < WINDOW && feed->next <= feed->last; i++) {
        if (!feed->busy[i]) {
            feed->busy[i] = true;
            feed->requests[i] = (struct store_request){
                .kind = STORE_PUT_BLOCK,
                .put = simstore_put_of(made_chain_block(feed->chain, feed->next++)),
                .done = fed,
                .context = feed,
            };
            store_submit(feed->sim->store, &feed->requests[i]);
        }
    }
}

static struct backup_options options_of(struct simstore *sim)
{
    return (struct backup_options){.io = sim->io, .directory = "/store", .target = "/backup"};
}

/* Here any 32 bytes but for the genesis: restoring compares them with the header. */
static void root_of(struct simstore *sim, uint64_t height, uint8_t out[32])
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_block stored;
    struct block block;
    assert_int_equal(simstore_get(sim, &key, &stored), 0);
    assert_int_equal(block_decode(bytes_of(stored.block.data, stored.block.size), &block, NULL), 0);
    memcpy(out, block.header.state_root, 32);
    store_view_release(stored.view);
}

static int back_up(struct simstore *sim, const struct backup_options *options,
                   struct backup_report *out_report)
{
    uint8_t root[32];
    struct store_point point = simstore_point(sim);
    root_of(sim, point.head.height, root);
    return backup_create(options, &point, root, out_report, &sim->detail);
}

/* Restore BACKUP as /restored. */
static int restore(struct simstore *sim, const char *backup, const uint64_t *height,
                   struct kv_memory_disk *tables, struct restore_report *out_report)
{
    struct restore_options options = {
        .io = sim->io,
        .backup = backup,
        .target = "/restored",
        .has_height = height != NULL,
        .height = height != NULL ? *height : 0,
        .store = {.segment_size = sim->segment_size, .memory_tables = tables},
    };
    return restore_run(&options, out_report, &sim->detail);
}

static void remove_folder(struct simstore *sim, const char *path)
{
    static const char *const folders[] = {"/ledger", "/tables", ""};
    char name[128];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, folders[i]);
        assert_int_equal(store_folder_empty(sim->io, name, NULL), 0);
        store_folder_remove(sim->io, name);
    }
}

/* What /restored holds is blocks 1 to HEIGHT of CHAIN, whole, and nothing else; it takes more. */
static void expect_restored(struct simstore *sim, const struct made_chain *chain, uint64_t height,
                            struct kv_memory_disk *tables)
{
    struct simstore restored = simstore_beside(sim);
    struct store_options options = {.io = sim->io,
                                    .directory = "/restored",
                                    .segment_size = sim->segment_size,
                                    .memory_tables = tables};
    struct stoa_head head;
    assert_int_equal(store_open(&options, &restored.store, &restored.detail), 0);
    store_get_head(restored.store, &head);
    assert_int_equal(head.height, height);
    simstore_expect(&restored, chain, 1, height);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height + 1};
    struct stoa_block block;
    assert_int_equal(simstore_get(&restored, &key, &block), STOA_ENOTFOUND);
    assert_int_equal(simstore_verify(&restored, NULL), 0);
    const struct made_block *more = made_chain_block(chain, height + 1);
    if (more != NULL) {
        struct stoa_store_block put = simstore_put_of(more);
        assert_int_equal(simstore_put(&restored, &put), 0);
    }
    assert_int_equal(simstore_close(&restored), 0);
    remove_folder(sim, "/restored");
}

static void start(struct simstore *sim, uint64_t seed, const struct made_chain *chain,
                  const struct io_sim_options *options)
{
    simstore_init(sim, seed);
    simstore_power(sim, options);
    assert_int_equal(simstore_create(sim, chain), 0);
    assert_int_equal(simstore_open(sim), 0);
}

static void finish(struct simstore *sim)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_deinit(sim);
}

static void incremental_backups_under_commits_are_what_the_store_was(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, BLOCKS);
    struct simstore sim;
    uint64_t heights[BACKUPS];
    uint64_t copied = 0;
    struct io_sim_options machine = {.seed = seed, .delay_ns_max = 200000};
    start(&sim, seed, chain, &machine);
    struct feed feed = {.sim = &sim, .chain = chain, .next = 1};
    for (unsigned i = 0; i < BACKUPS; i++) {
        struct backup_report report;
        struct backup_options options = options_of(&sim);
        if (i == 5) {
            while (store_pending(sim.store) != 0) {
                assert_true(io_run(sim.io, 1000000) >= 0);
            }
            simstore_fill_first_segment(&sim);
            simstore_fill(&sim, seed, VALUES, VALUE_SIZE); /* some segments more */
        }
        feed.last = (i + 1) * (BLOCKS / BACKUPS) - 2;
        feed_more(&feed);
        int result = back_up(&sim, &options, &report);
        if (result != 0) {
            fail_msg("backup %u: %s", i, sim.detail.text);
        }
        assert_int_equal(report.number, i + 1);
        assert_true(i == 0 || report.height >= heights[i - 1]);
        heights[i] = report.height;
        copied += report.copied_bytes;
        while (store_pending(sim.store) != 0) {
            assert_true(io_run(sim.io, 1000000) >= 0);
        }
        assert_int_equal(feed.acknowledged, feed.last);
    }
    struct backup_check check;
    assert_int_equal(backup_verify(sim.io, "/backup", 0, NULL, NULL, NULL, &check, &sim.detail), 0);
    assert_int_equal(check.backups, BACKUPS);
    struct stoa_stats stats;
    store_get_stats(sim.store, &stats);
    assert_true(simstore_point(&sim).end.segment > 3);
    assert_true(copied <= stats.ledger_bytes + 4096);
    for (unsigned i = 0; i < BACKUPS; i += i < 8 ? 1 : 3) {
        char path[64];
        struct restore_report report;
        struct kv_memory_disk *tables = kv_memory_disk_create();
        (void)snprintf(path, sizeof(path), "/backup/%08u.backup", i + 1);
        if (restore(&sim, path, NULL, tables, &report) != 0) {
            fail_msg("restore %u: %s", i + 1, sim.detail.text);
        }
        assert_int_equal(report.height, heights[i]);
        expect_restored(&sim, chain, heights[i], tables);
        kv_memory_disk_destroy(tables);
    }
    finish(&sim);
    made_chain_destroy(chain);
}

static void a_restore_ends_at_the_height_asked_for(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, CUT_BLOCKS);
    struct simstore sim;
    struct backup_report made;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    struct backup_options options = options_of(&sim);
    for (uint64_t i = 1; i <= CUT_BLOCKS; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
        if (i == CUT_BLOCKS / 2) {
            simstore_fill_first_segment(&sim);
            simstore_fill(&sim, seed, VALUES, VALUE_SIZE); /* they belong to this block */
        }
    }
    assert_int_equal(back_up(&sim, &options, &made), 0);
    for (uint64_t height = 0; height <= CUT_BLOCKS; height += 8) {
        struct restore_report report;
        struct kv_memory_disk *tables = kv_memory_disk_create();
        if (restore(&sim, "/backup", &height, tables, &report) != 0) {
            fail_msg("restore to %llu: %s", (unsigned long long)height, sim.detail.text);
        }
        expect_restored(&sim, chain, height, tables);
        kv_memory_disk_destroy(tables);
    }
    uint64_t beyond = CUT_BLOCKS + 1;
    struct restore_report report;
    assert_int_equal(restore(&sim, "/backup", &beyond, NULL, &report), STOA_EINVAL);
    finish(&sim);
    made_chain_destroy(chain);
}

/* Receipts that came when the chain was higher are not there yet at the height of their block. */
static void a_restore_ends_before_receipts_that_came_later(void **state)
{
    (void)state;
    enum { LATE = 4, HIGHER = 9 };
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, HIGHER + 2);
    struct simstore sim;
    struct backup_report made;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    struct backup_options options = options_of(&sim);
    for (uint64_t i = 1; i <= HIGHER + 1; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        if (i == LATE) {
            put.receipts = (struct stoa_bytes){NULL, 0};
        }
        assert_int_equal(simstore_put(&sim, &put), 0);
        if (i == HIGHER) {
            assert_int_equal(simstore_receipts(&sim, made_chain_block(chain, LATE)), 0);
        }
    }
    assert_int_equal(back_up(&sim, &options, &made), 0);
    const uint64_t heights[] = {LATE - 1, LATE, HIGHER};
    for (unsigned i = 0; i < sizeof(heights) / sizeof(heights[0]); i++) {
        struct restore_report report;
        struct kv_memory_disk *tables = kv_memory_disk_create();
        struct simstore restored = simstore_beside(&sim);
        struct store_options opening = {.io = sim.io,
                                        .directory = "/restored",
                                        .segment_size = sim.segment_size,
                                        .memory_tables = tables};
        struct stoa_head head;
        if (restore(&sim, "/backup", &heights[i], tables, &report) != 0) {
            fail_msg("restore to %llu: %s", (unsigned long long)heights[i], sim.detail.text);
        }
        if (heights[i] != LATE) {
            expect_restored(&sim, chain, heights[i], tables);
            kv_memory_disk_destroy(tables);
            continue;
        }
        assert_int_equal(store_open(&opening, &restored.store, &restored.detail), 0);
        store_get_head(restored.store, &head);
        assert_int_equal(head.height, LATE);
        assert_int_equal(simstore_receipts(&restored, made_chain_block(chain, LATE)), 0);
        simstore_expect(&restored, chain, 1, LATE);
        assert_int_equal(simstore_close(&restored), 0);
        remove_folder(&sim, "/restored");
        kv_memory_disk_destroy(tables);
    }
    finish(&sim);
    made_chain_destroy(chain);
}

/* A store with a branch, its backup, and the branch that won back. */
static void a_branch_is_restored_to_any_of_its_heights(void **state)
{
    (void)state;
    enum { FORK = 10, LONG = 20 };
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, CUT_BLOCKS);
    struct made_chain *branch = made_chain_create_branch(chain, FORK, seed + 1, LONG);
    struct simstore sim;
    struct backup_report made;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    for (uint64_t i = 1; i <= FORK + 6; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
    }
    for (uint64_t i = FORK + 1; i <= FORK + LONG; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(branch, i));
        put.flags |= STOA_STORE_SIDE;
        assert_int_equal(simstore_put(&sim, &put), 0);
    }
    assert_int_equal(simstore_update_head(&sim, made_chain_block(branch, FORK + LONG)->hash), 0);
    struct backup_options options = options_of(&sim);
    struct store_point point = simstore_point(&sim);
    assert_int_equal(backup_create(&options, &point,
                                   made_chain_block(branch, FORK + LONG)->state_root, &made,
                                   &sim.detail),
                     0);
    for (uint64_t height = FORK - 2; height <= FORK + LONG; height += 3) {
        struct restore_report report;
        struct kv_memory_disk *tables = kv_memory_disk_create();
        if (restore(&sim, "/backup", &height, tables, &report) != 0) {
            fail_msg("restore to %llu: %s", (unsigned long long)height, sim.detail.text);
        }
        const struct made_chain *winner = height <= FORK ? chain : branch;
        assert_memory_equal(report.hash, made_chain_block(winner, height)->hash, 32);
        remove_folder(&sim, "/restored");
        kv_memory_disk_destroy(tables);
    }
    finish(&sim);
    made_chain_destroy(branch);
    made_chain_destroy(chain);
}

/* ---- cuts ---- */

struct cutting {
    const struct made_chain *chain;
    uint64_t last; /* blocks that are there at the first and the second backup */
    bool creating; /* else pruning is cut */
};

static bool cut_once(void *context, uint64_t seed, uint64_t cut_at)
{
    struct cutting *cutting = context;
    struct simstore sim;
    struct backup_report report;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, cutting->chain, &machine);
    for (uint64_t i = 1; i <= cutting->last; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(cutting->chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
        if (i == 2 || i == cutting->last / 2 || i == cutting->last / 2 + 1) {
            struct backup_options options = options_of(&sim);
            options.full = !cutting->creating; /* the more is there to remove */
            assert_int_equal(back_up(&sim, &options, &report), 0);
            simstore_fill(&sim, seed, 2, VALUE_SIZE);
        }
    }
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    simstore_power(&sim, &machine);
    assert_int_equal(simstore_open(&sim), 0);
    struct store_point point = simstore_point(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    machine.cut_at = cut_at;
    machine.torn = true;
    simstore_power(&sim, &machine);
    struct backup_options options = options_of(&sim);
    uint64_t removed;
    options.keep = 2;
    int result = cutting->creating
                     ? backup_create(&options, &point,
                                     made_chain_block(cutting->chain, cutting->last)->state_root,
                                     &report, &sim.detail)
                     : backup_prune(sim.io, "/backup", 1, &removed, &sim.detail);
    bool cut = io_sim_is_cut(sim.io);
    assert_true(cut || result == 0);
    machine.cut_at = 0;
    simstore_restart(&sim, &machine, !cut, seed + cut_at);
    struct backup_check check;
    if (backup_verify(sim.io, "/backup", 0, NULL, NULL, NULL, &check, &sim.detail) != 0) {
        fail_msg("cut at %llu: %s", (unsigned long long)cut_at, sim.detail.text);
    }
    options = options_of(&sim);
    options.keep = 2;
    assert_int_equal(back_up(&sim, &options, &report), 0);
    assert_int_equal(backup_verify(sim.io, "/backup", 0, NULL, NULL, NULL, &check, &sim.detail), 0);
    assert_true(check.backups <= 2);
    if (cut_at % 7 == 0) {
        struct restore_report restored;
        struct kv_memory_disk *tables = kv_memory_disk_create();
        assert_int_equal(restore(&sim, "/backup", NULL, tables, &restored), 0);
        expect_restored(&sim, cutting->chain, cutting->last, tables);
        kv_memory_disk_destroy(tables);
    }
    finish(&sim);
    return cut;
}

static void a_power_cut_at_any_io_leaves_what_was_backed_up_before(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(5, CUT_BLOCKS);
    struct cutting cutting = {.chain = chain, .last = 6, .creating = true};
    simstore_cut_everywhere(fixture_seed(), 1, 400, cut_once, &cutting);
    made_chain_destroy(chain);
}

static void a_power_cut_while_pruning_leaves_what_stays(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(5, CUT_BLOCKS);
    struct cutting cutting = {.chain = chain, .last = 6};
    simstore_cut_everywhere(fixture_seed(), 1, 400, cut_once, &cutting);
    made_chain_destroy(chain);
}

/* A restore that is cut off leaves nothing at its target, or the whole store. */
static bool cut_restore(void *context, uint64_t seed, uint64_t cut_at)
{
    const struct made_chain *chain = context;
    struct simstore sim;
    struct backup_report made;
    struct restore_report restored;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    for (uint64_t i = 1; i <= 6; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
    }
    struct backup_options options = options_of(&sim);
    assert_int_equal(back_up(&sim, &options, &made), 0);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    machine.cut_at = cut_at;
    machine.torn = true;
    simstore_power(&sim, &machine);
    struct kv_memory_disk *tables = kv_memory_disk_create();
    (void)restore(&sim, "/backup", NULL, tables, &restored); /* power may be cut */
    bool cut = io_sim_is_cut(sim.io);
    machine.cut_at = 0;
    simstore_restart(&sim, &machine, !cut, seed + cut_at);
    size_t count = 0;
    int there = io_list(sim.io, "/restored", store_folder_count, &count);
    assert_true(there == 0 || there == STOA_ENOTFOUND);
    if (there == STOA_ENOTFOUND) {
        kv_memory_disk_destroy(tables);
        tables = kv_memory_disk_create();
        assert_int_equal(restore(&sim, "/backup", NULL, tables, &restored), 0);
    }
    expect_restored(&sim, chain, 6, tables);
    kv_memory_disk_destroy(tables);
    finish(&sim);
    return cut;
}

static void a_restore_that_is_cut_off_offers_nothing(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(5, CUT_BLOCKS);
    simstore_cut_everywhere(fixture_seed(), 3, 1200, cut_restore, chain);
    made_chain_destroy(chain);
}

static int end_at(void *context, uint64_t bytes, uint64_t done, uint64_t total)
{
    uint64_t *left = context;
    (void)bytes;
    assert_true(done <= total || total == 0);
    return *left == 0 || --*left == 0 ? STOA_ECANCELED : 0;
}

/* While files are copied, while the tables are made, while all of it is verified. */
static void a_restore_that_is_told_to_end_does_and_offers_nothing(void **state)
{
    enum { HEIGHT = 6 };
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, CUT_BLOCKS);
    struct simstore sim;
    struct backup_report made;
    struct restore_report restored;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    for (uint64_t i = 1; i <= HEIGHT; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
    }
    struct backup_options backup = options_of(&sim);
    assert_int_equal(back_up(&sim, &backup, &made), 0);
    int result = STOA_ECANCELED;
    uint64_t asked = 0;
    for (; result == STOA_ECANCELED; asked++) {
        uint64_t left = asked + 1;
        struct pace pace = {.step = end_at, .context = &left};
        struct kv_memory_disk *tables = kv_memory_disk_create();
        struct restore_options options = {
            .io = sim.io,
            .backup = "/backup",
            .target = "/restored",
            .pace = &pace,
            .store = {.segment_size = sim.segment_size, .memory_tables = tables},
        };
        result = restore_run(&options, &restored, &sim.detail);
        if (result == 0) {
            expect_restored(&sim, chain, HEIGHT, tables);
        } else {
            size_t count = 0;
            assert_int_equal(io_list(sim.io, "/restored", store_folder_count, &count),
                             STOA_ENOTFOUND);
        }
        kv_memory_disk_destroy(tables);
    }
    assert_int_equal(result, 0);
    assert_true(asked > 2 * HEIGHT); /* each block of the replay, and of what is verified */
    finish(&sim);
    made_chain_destroy(chain);
}

/* ---- damage ---- */

static void count_damage(void *context, const char *file, const char *what)
{
    unsigned *count = context;
    assert_true(file[0] != '\0' && what[0] != '\0');
    (*count)++;
}

/* Flip a bit of FILE: both verify and restore say so. */
static void expect_found(struct simstore *sim, const char *file, uint64_t offset, unsigned bit)
{
    char path[128];
    unsigned damages = 0;
    struct backup_check check;
    struct restore_report report;
    (void)snprintf(path, sizeof(path), "/backup/%s", file);
    assert_int_equal(io_disk_flip(sim->disk, path, offset, bit), 0);
    int result =
        backup_verify(sim->io, "/backup", 0, NULL, count_damage, &damages, &check, &sim->detail);
    if (result != STOA_ECORRUPT || damages == 0) {
        fail_msg("%s: offset %llu: verify says %d", file, (unsigned long long)offset, result);
    }
    struct kv_memory_disk *tables = kv_memory_disk_create();
    result = restore(sim, "/backup", NULL, tables, &report);
    if (result != STOA_ECORRUPT && result != STOA_EVERSION) {
        fail_msg("%s: offset %llu: restore says %d", file, (unsigned long long)offset, result);
    }
    size_t count = 0;
    assert_int_equal(io_list(sim->io, "/restored", store_folder_count, &count), STOA_ENOTFOUND);
    kv_memory_disk_destroy(tables);
    assert_int_equal(io_disk_flip(sim->disk, path, offset, bit), 0); /* back */
}

static void a_flipped_bit_in_any_file_is_found(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, CUT_BLOCKS);
    struct simstore sim;
    struct backup_report made;
    struct manifest manifest;
    char directory[STORE_PATH_SIZE_MAX];
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    struct stoa_store_block put = simstore_put_of(made_chain_block(chain, 1));
    assert_int_equal(simstore_put(&sim, &put), 0);
    simstore_fill(&sim, seed, 5, VALUE_SIZE);
    struct backup_options options = options_of(&sim);
    assert_int_equal(back_up(&sim, &options, &made), 0);
    assert_int_equal(backup_find(sim.io, "/backup", &manifest, directory, &sim.detail), 0);
    assert_non_null(manifest_find(&manifest, "chain.json")); /* the genesis has a config */
    unsigned flips = getenv("STOA_LONG") != NULL ? 400 : 12;
    for (size_t i = 0; i < manifest.file_count; i++) {
        for (unsigned k = 0; k < flips; k++) {
            expect_found(&sim, manifest.files[i].name,
                         fixture_random_below(&seed, manifest.files[i].size),
                         (unsigned)fixture_random_below(&seed, 8));
        }
    }
    uint64_t size = 0;
    assert_int_equal(io_file_size(sim.io, "/backup/00000001.backup", &size), 0);
    for (uint64_t offset = 0; offset < size; offset++) {
        expect_found(&sim, "00000001.backup", offset, (unsigned)fixture_random_below(&seed, 8));
    }
    manifest_deinit(&manifest);
    finish(&sim);
    made_chain_destroy(chain);
}

/* ---- refusals ---- */

static void a_full_disk_ends_a_backup_and_leaves_those_before(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, CUT_BLOCKS);
    struct simstore sim;
    struct backup_report made;
    struct backup_check check;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    struct stoa_store_block put = simstore_put_of(made_chain_block(chain, 1));
    assert_int_equal(simstore_put(&sim, &put), 0);
    struct backup_options options = options_of(&sim);
    assert_int_equal(back_up(&sim, &options, &made), 0);
    simstore_fill(&sim, seed, VALUES, VALUE_SIZE);
    struct store_point point = simstore_point(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    machine.capacity = (28 << 20); /* less than the store, its backup and the reserve */
    simstore_power(&sim, &machine);
    options = options_of(&sim);
    assert_int_equal(
        backup_create(&options, &point, made_chain_block(chain, 1)->state_root, &made, &sim.detail),
        STOA_ENOSPACE);
    assert_int_equal(backup_verify(sim.io, "/backup", 0, NULL, NULL, NULL, &check, &sim.detail), 0);
    assert_int_equal(check.backups, 1);
    struct restore_report restored;
    assert_int_equal(restore(&sim, "/backup", NULL, NULL, &restored), STOA_ENOSPACE);
    simstore_unpower(&sim);
    machine.capacity = 0;
    simstore_power(&sim, &machine);
    assert_int_equal(simstore_open(&sim), 0);
    options = options_of(&sim);
    assert_int_equal(back_up(&sim, &options, &made), 0);
    assert_int_equal(made.number, 2);
    finish(&sim);
    made_chain_destroy(chain);
}

static void another_store_or_another_history_is_refused(void **state)
{
    (void)state;
    uint64_t seed = fixture_seed();
    struct made_chain *chain = made_chain_create(seed, CUT_BLOCKS);
    struct simstore sim;
    struct backup_report made;
    struct restore_report report;
    struct io_sim_options machine = {.seed = seed};
    start(&sim, seed, chain, &machine);
    for (uint64_t i = 1; i <= 10; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
    }
    struct backup_options options = options_of(&sim);
    assert_int_equal(back_up(&sim, &options, &made), 0);
    /* A store that went back and went on otherwise, with as many frames. */
    struct kv_memory_disk *tables = kv_memory_disk_create();
    uint64_t height = 5;
    assert_int_equal(restore(&sim, "/backup", &height, tables, &report), 0);
    struct simstore other = simstore_beside(&sim);
    struct store_options open = {.io = sim.io,
                                 .directory = "/restored",
                                 .segment_size = sim.segment_size,
                                 .memory_tables = tables};
    assert_int_equal(store_open(&open, &other.store, &other.detail), 0);
    simstore_fill(&other, seed, 3, VALUE_SIZE);
    for (uint64_t i = 6; i <= 20; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&other, &put), 0);
    }
    options.directory = "/restored";
    assert_int_equal(back_up(&other, &options, &made), STOA_EINVAL);
    assert_non_null(strstr(other.detail.text, "another history"));
    options.full = true; /* shares nothing */
    assert_int_equal(back_up(&other, &options, &made), 0);
    struct backup_check check;
    assert_int_equal(backup_verify(sim.io, "/backup", 0, NULL, NULL, NULL, &check, &sim.detail), 0);
    options.full = false; /* on top of the full one */
    assert_int_equal(back_up(&other, &options, &made), 0);
    assert_int_equal(simstore_close(&other), 0);
    kv_memory_disk_destroy(tables);
    finish(&sim);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incremental_backups_under_commits_are_what_the_store_was),
        cmocka_unit_test(a_restore_ends_at_the_height_asked_for),
        cmocka_unit_test(a_restore_ends_before_receipts_that_came_later),
        cmocka_unit_test(a_branch_is_restored_to_any_of_its_heights),
        cmocka_unit_test(a_power_cut_at_any_io_leaves_what_was_backed_up_before),
        cmocka_unit_test(a_power_cut_while_pruning_leaves_what_stays),
        cmocka_unit_test(a_restore_that_is_cut_off_offers_nothing),
        cmocka_unit_test(a_restore_that_is_told_to_end_does_and_offers_nothing),
        cmocka_unit_test(a_flipped_bit_in_any_file_is_found),
        cmocka_unit_test(a_full_disk_ends_a_backup_and_leaves_those_before),
        cmocka_unit_test(another_store_or_another_history_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
