/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packed segments on a real disk: blocks of real chains take less than half the room, what reads,
 * copies and restores them says what it said before, also to a height inside a packed segment and
 * while segments are being moved; what is pruned of them goes; one packed read costs a few live
 * ones at most. STOA_LONG=1: all of the real chains. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/block.h"
#include "chain/era1.h"
#include "engine_rig.h"
#include "support/exposition.h"
#include "support/fixture.h"

enum { BLOCKS = 1200, INSIDE = 40 };

static struct made_chain *chain;

struct place {
    char base[64];
    char directory[96];
};

static void make_place(struct place *place)
{
    (void)snprintf(place->base, sizeof(place->base), "/tmp/stoa-archive-XXXXXX");
    assert_non_null(mkdtemp(place->base));
    (void)snprintf(place->directory, sizeof(place->directory), "%s/store", place->base);
}

static struct stoa *open_at(const char *directory)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    struct stoa_detail detail;
    struct stoa *stoa;
    maintenance.off = 1;
    options.maintenance = &maintenance;
    options.segment_size = 1 << 20;
    options.bulk = 1;
    if (stoa_open(directory, &options, &stoa, &detail) != 0) {
        fail_msg("open: %s", detail.text);
    }
    return stoa;
}

static void create_at(const char *directory, bool made)
{
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    struct stoa_detail detail;
    if (made) {
        struct bytes json = made_chain_genesis_json(chain);
        options.genesis_json = (const char *)json.data;
        options.genesis_json_size = json.size;
    }
    options.segment_size = 1 << 20;
    assert_int_equal(stoa_create(directory, &options, &detail), 0);
}

static void put(struct stoa *stoa, struct bytes encoding, struct bytes receipts)
{
    struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_completion done;
    call.durability = STOA_BUFFERED;
    block.block = (struct stoa_bytes){encoding.data, encoding.size};
    block.receipts = (struct stoa_bytes){receipts.data, receipts.size};
    assert_int_equal(stoa_ask(stoa, STOA_MESSAGE_STORE_BLOCK, &block, &call, &done), 0);
}

static void finalize(struct stoa *stoa, uint64_t height)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_detail detail;
    assert_int_equal(stoa_sync(stoa, &detail), 0);
    assert_int_equal(stoa_set_finalized(stoa, &key, &detail), 0);
}

static void put_made(struct stoa *stoa, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++) {
        const struct made_block *made = made_chain_block(chain, number);
        put(stoa, buffer_bytes(&made->block), buffer_bytes(&made->receipts));
    }
    finalize(stoa, to);
}

static struct stoa *make_store(const struct place *place)
{
    create_at(place->directory, true);
    struct stoa *stoa = open_at(place->directory);
    put_made(stoa, 1, BLOCKS);
    return stoa;
}

static void archive(struct stoa *stoa, bool back, struct stoa_job_info *out_info)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    options.job = STOA_JOB_ARCHIVE;
    options.flags = STOA_JOB_HURRY;
    options.unarchive = back;
    if (stoa_run_job(stoa, &options, out_info, &detail) != 0) {
        fail_msg("archive: %s", detail.text);
    }
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

static void say_damage(void *context, const struct stoa_damage *damage)
{
    (void)context;
    print_message("damage: %s %llu: %s\n", damage->file, (unsigned long long)damage->offset,
                  damage->what);
}

static void expect_verified(struct stoa *stoa)
{
    struct stoa_verify_report report;
    struct stoa_detail detail;
    if (stoa_verify(stoa, say_damage, NULL, &report, &detail) != 0) {
        fail_msg("verify: %s", detail.text);
    }
}

/* 0: it is what it was. */
static int look(struct stoa *stoa, uint64_t number)
{
    const struct made_block *made = made_chain_block(chain, number);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
    struct stoa_block block;
    int result = stoa_get_block(stoa, &key, &block, NULL);
    if (result != 0) {
        return result;
    }
    bool same = block.block.size == made->block.size &&
                memcmp(block.block.data, made->block.data, made->block.size) == 0 &&
                block.receipts.size == made->receipts.size &&
                memcmp(block.receipts.data, made->receipts.data, made->receipts.size) == 0;
    stoa_release(block.view);
    return same ? 0 : STOA_ECORRUPT;
}

static void expect(struct stoa *stoa, uint64_t head, uint64_t every)
{
    struct stoa_head now;
    assert_int_equal(stoa_get_head(stoa, &now), 0);
    assert_int_equal(now.height, head);
    for (uint64_t number = 1; number <= head; number += every) {
        assert_int_equal(look(stoa, number), 0);
    }
    expect_verified(stoa);
}

/* ---- size ---- */

static void real_chains_take_less_than_half(void **state)
{
    static const char *const files[] = {"era1/mainnet-00000-5ec1ffb8.era1",
                                        "era1/sepolia-00000-643a00f7.era1"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct place place = {.base = ""};
        struct buffer file;
        struct era1_reader *reader;
        struct era1_block archived;
        struct stoa_job_info info;
        struct stoa_detail detail;
        uint64_t height = 0;
        unsigned limit = getenv("STOA_LONG") != NULL ? UINT32_MAX : 4000;
        buffer_init(&file);
        if (!fixture_load_data(files[i], &file)) {
            buffer_deinit(&file);
            continue;
        }
        make_place(&place);
        create_at(place.directory, false);
        struct stoa *stoa = open_at(place.directory);
        assert_int_equal(era1_reader_create(buffer_bytes(&file), &reader, NULL), 0);
        while (limit-- != 0 && era1_reader_next(reader, &archived, NULL) == 0) {
            struct block block;
            assert_int_equal(block_decode(archived.block, &block, NULL), 0);
            height = block.header.number;
            put(stoa, archived.block, archived.receipts);
        }
        era1_reader_destroy(reader);
        finalize(stoa, height);
        archive(stoa, false, &info);
        print_message("%s: %llu bytes of %llu segments became %llu\n", files[i],
                      (unsigned long long)fact(&info, "sourceBytes"),
                      (unsigned long long)fact(&info, "segmentsPacked"),
                      (unsigned long long)fact(&info, "madeBytes"));
        assert_true(fact(&info, "segmentsPacked") >= 1);
        assert_true(fact(&info, "madeBytes") * 2 < fact(&info, "sourceBytes"));
        expect_verified(stoa);
        assert_int_equal(stoa_close(stoa, &detail), 0);
        engine_rig_remove(place.base);
        buffer_deinit(&file);
    }
}

/* ---- copies ---- */

static void restore(const char *from, const char *to, uint64_t height)
{
    struct stoa_restore_options options = STOA_RESTORE_OPTIONS_INIT;
    struct stoa_restore_report report;
    struct stoa_detail detail;
    options.has_height = height != 0;
    options.height = height;
    if (stoa_restore(from, to, &options, &report, &detail) != 0) {
        fail_msg("restore %s: %s", from, detail.text);
    }
}

static void expect_copy(const char *from, const char *to, uint64_t height)
{
    struct stoa_detail detail;
    restore(from, to, height);
    struct stoa *stoa = open_at(to);
    expect(stoa, height != 0 ? height : BLOCKS, 7);
    if (height != 0) { /* it goes on from there */
        const struct made_block *made = made_chain_block(chain, height + 1);
        put(stoa, buffer_bytes(&made->block), buffer_bytes(&made->receipts));
        assert_int_equal(stoa_sync(stoa, &detail), 0);
        assert_int_equal(look(stoa, height + 1), 0);
    }
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(to);
}

static void copies_of_packed_segments_are_whole(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_backup_check check;
    struct stoa_job_info job;
    struct stoa_detail detail;
    char kept[128];
    char again[128];
    char path[192];
    make_place(&place);
    (void)snprintf(kept, sizeof(kept), "%s/kept", place.base);
    (void)snprintf(again, sizeof(again), "%s/again", place.base);
    struct stoa *stoa = make_store(&place);
    assert_int_equal(stoa_backup(stoa, kept, &options, &info, &detail), 0);
    assert_int_equal(stoa_create_snapshot(stoa, "live", &detail), 0);
    archive(stoa, false, &job);
    assert_true(fact(&job, "segmentsPacked") >= 2);
    assert_true(fact(&job, "bytesHeldBySnapshots") > 0);
    expect(stoa, BLOCKS, 1);
    assert_int_equal(stoa_create_snapshot(stoa, "packed", &detail), 0);
    if (stoa_backup(stoa, kept, &options, &info, &detail) != 0) {
        fail_msg("backup: %s", detail.text);
    }
    assert_true(info.copied_bytes > 0);
    assert_int_equal(stoa_backup(stoa, kept, &options, &info, &detail), 0);
    assert_true(info.copied_bytes < fact(&job, "madeBytes")); /* it shares what is packed */
    archive(stoa, true, &job);
    assert_int_equal(stoa_create_snapshot(stoa, "unpacked", &detail), 0);
    expect(stoa, BLOCKS, 1);
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail), 0);
    struct stoa_scrub_report scrubbed;
    assert_int_equal(stoa_scrub(stoa, NULL, NULL, NULL, &scrubbed, &detail), 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    (void)snprintf(path, sizeof(path), "%s/00000001.backup", kept);
    expect_copy(path, again, 0);
    expect_copy(kept, again, 0);
    expect_copy(kept, again, INSIDE); /* inside a packed segment */
    static const char *const names[] = {"live", "packed", "unpacked"};
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/snapshots/%s", place.directory, names[i]);
        expect_copy(path, again, i == 1 ? INSIDE : 0);
    }
    engine_rig_remove(place.base);
}

/* ---- pruned ---- */

static void prune(struct stoa *stoa, uint64_t keep, struct stoa_job_info *out_info)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    options.job = STOA_JOB_PRUNE;
    options.flags = STOA_JOB_HURRY;
    options.keep_bodies = keep;
    if (stoa_run_job(stoa, &options, out_info, &detail) != 0) {
        fail_msg("prune: %s", detail.text);
    }
}

static void expect_window(struct stoa *stoa, uint64_t from)
{
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        assert_int_equal(look(stoa, number), number < from ? STOA_EPRUNED : 0);
    }
    expect_verified(stoa);
}

static void packed_segments_are_pruned(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_job_info packed;
    struct stoa_job_info job;
    struct stoa_stats before = STOA_STATS_INIT;
    struct stoa_stats after = STOA_STATS_INIT;
    struct stoa_detail detail;
    char kept[128];
    char again[128];
    make_place(&place);
    (void)snprintf(kept, sizeof(kept), "%s/kept", place.base);
    (void)snprintf(again, sizeof(again), "%s/again", place.base);
    struct stoa *stoa = make_store(&place);
    archive(stoa, false, &packed);
    assert_int_equal(stoa_get_stats(stoa, &before), 0);
    assert_int_equal(stoa_backup(stoa, kept, &options, &info, &detail), 0);
    prune(stoa, 300, &job);
    assert_int_equal(stoa_get_stats(stoa, &after), 0);
    assert_true(fact(&job, "packedSegmentsThinned") >= 1);
    assert_true(fact(&job, "packedSegmentsThinned") <= fact(&packed, "segmentsPacked"));
    assert_true(fact(&job, "ledgerBytesFreed") > 0);
    assert_int_equal(before.ledger_bytes - after.ledger_bytes, fact(&job, "ledgerBytesFreed"));
    expect_window(stoa, BLOCKS - 300);
    if (stoa_backup(stoa, kept, &options, &info, &detail) != 0) {
        fail_msg("backup: %s", detail.text);
    }
    archive(stoa, false, &job); /* what is packed stays so */
    assert_int_equal(stoa_close(stoa, &detail), 0);
    stoa = open_at(place.directory);
    expect_window(stoa, BLOCKS - 300);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    restore(kept, again, 0); /* the last: without what is pruned */
    stoa = open_at(again);
    expect_window(stoa, BLOCKS - 300);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(again);
    (void)snprintf(kept, sizeof(kept), "%s/kept/00000001.backup", place.base);
    expect_copy(kept, again, 0); /* the first has all of it yet */
    engine_rig_remove(place.base);
}

/* ---- what is in it ---- */

static struct stoa_archive *query(struct stoa *stoa, uint64_t from)
{
    struct stoa_archive *archive = NULL;
    struct stoa_detail detail;
    if (stoa_query_archive(stoa, from, &archive, &detail) != 0) {
        fail_msg("query the archive: %s", detail.text);
    }
    return archive;
}

/* It names COUNT segments, which a job said had LIVE bytes and have PACKED. */
static void expect_archive(struct stoa *stoa, uint64_t count, uint64_t packed, uint64_t live)
{
    struct stoa_archive *archive = query(stoa, 0);
    uint64_t blocks = 0;
    assert_int_equal(archive->segments, count);
    assert_int_equal(archive->count, count);
    assert_int_equal(archive->bytes, packed);
    assert_int_equal(archive->live_bytes, live);
    assert_int_equal(archive->damaged, 0);
    assert_int_equal(archive->next, 0);
    for (size_t i = 0; i < archive->count; i++) {
        const struct stoa_archive_segment *segment = &archive->list[i];
        assert_int_equal(segment->number, i + 1);
        assert_true(segment->from <= segment->to && segment->to <= BLOCKS);
        assert_true(segment->frames >= segment->blocks && segment->blocks > 0);
        assert_true(segment->bytes < segment->live_bytes);
        assert_false(segment->damaged || segment->pruned);
        blocks += segment->blocks;
    }
    assert_true(count == 0 || blocks > BLOCKS / 2);
    assert_true(blocks <= BLOCKS + 1);
    stoa_free(archive);
}

static void put_file(const char *directory, unsigned number, bool remove_it)
{
    static const char bytes[8192];
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/archive/%08u.arc", directory, number);
    if (remove_it) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, sizeof(bytes), file), sizeof(bytes));
    assert_int_equal(fclose(file), 0);
}

static uint64_t metric(struct stoa *stoa, const char *series)
{
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(stoa_metrics_text(stoa, &text, &size), 0);
    double value = exposition_value(text, series);
    stoa_free(text);
    return (uint64_t)value;
}

static void metrics_tell_what_is_packed(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_job_info job;
    struct stoa_detail detail;
    make_place(&place);
    struct stoa *stoa = make_store(&place);
    assert_int_equal(metric(stoa, "stoa_archive_segments"), 0);
    archive(stoa, false, &job);
    uint64_t saved = fact(&job, "sourceBytes") - fact(&job, "madeBytes");
    assert_int_equal(stoa_close(stoa, &detail), 0);
    stoa = open_at(place.directory);
    assert_int_equal(metric(stoa, "stoa_archive_segments"), fact(&job, "segmentsPacked"));
    assert_int_equal(metric(stoa, "stoa_archive_bytes"), fact(&job, "madeBytes"));
    uint64_t reads = metric(stoa, "stoa_archive_reads_total");
    assert_int_equal(look(stoa, 3), 0);
    assert_true(metric(stoa, "stoa_archive_reads_total") > reads);
    while (metric(stoa, "stoa_archive_saved_bytes") != saved) { /* all are opened by and by */
        assert_int_equal(look(stoa, 3), 0);
    }
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(place.base);
}

static void the_archive_tells_what_is_in_it(void **state)
{
    (void)state;
    enum { FIRST = 500, MORE = STOA_ARCHIVE_SEGMENTS_MAX + 5 };
    struct place place = {.base = ""};
    struct stoa_job_info job;
    struct stoa_detail detail;
    make_place(&place);
    struct stoa *stoa = make_store(&place);
    expect_archive(stoa, 0, 0, 0);
    assert_int_equal(stoa_query_archive(stoa, 0, NULL, &detail), STOA_EINVAL);
    archive(stoa, false, &job);
    uint64_t count = fact(&job, "segmentsPacked");
    uint64_t packed = fact(&job, "madeBytes");
    expect_archive(stoa, count, packed, fact(&job, "sourceBytes"));
    struct stoa_archive *last = query(stoa, count);
    assert_int_equal(last->count, 1);
    assert_int_equal(last->segments, count);
    stoa_free(last);
    last = query(stoa, UINT64_MAX);
    assert_int_equal(last->count, 0);
    stoa_free(last);
    for (unsigned i = 0; i < MORE; i++) { /* they have no header: a page and some more */
        put_file(place.directory, FIRST + i, false);
    }
    struct stoa_archive *first = query(stoa, 0);
    assert_int_equal(first->count, STOA_ARCHIVE_SEGMENTS_MAX);
    assert_int_equal(first->segments, count + MORE);
    assert_int_equal(first->damaged, MORE);
    assert_int_equal(first->bytes, packed + 8192 * MORE);
    assert_true(first->list[count].damaged);
    assert_int_equal(first->next, FIRST + MORE - 5 - count);
    struct stoa_archive *next = query(stoa, first->next);
    assert_int_equal(next->count, 5 + count);
    assert_int_equal(next->list[0].number, first->next);
    assert_int_equal(next->next, 0);
    stoa_free(first);
    stoa_free(next);
    for (unsigned i = 0; i < MORE; i++) {
        put_file(place.directory, FIRST + i, true);
    }
    prune(stoa, 300, &job);
    next = query(stoa, 1);
    assert_int_equal(next->count, count);
    assert_true(next->list[0].pruned);
    assert_true(next->bytes < packed);
    stoa_free(next);
    archive(stoa, true, &job);
    expect_archive(stoa, 0, 0, 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(place.base);
}

/* ---- where all bytes are ---- */

static struct stoa_storage *look_over(struct stoa *stoa)
{
    struct stoa_storage *storage = NULL;
    struct stoa_detail detail;
    if (stoa_query_storage(stoa, &storage, &detail) != 0) {
        fail_msg("query storage: %s", detail.text);
    }
    return storage;
}

static bool advises(const struct stoa_storage *storage, const char *action)
{
    for (size_t i = 0; i < storage->advice_count; i++) {
        if (strcmp(storage->advice[i].action, action) == 0) {
            return true;
        }
    }
    return false;
}

/* Sums of the lists are what is told of all, and of the ledger what else is known of it. */
static void expect_sums(struct stoa *stoa, const struct stoa_storage *storage)
{
    struct stoa_storage sums = {.segments = storage->segment_count};
    struct stoa_stats stats = STOA_STATS_INIT;
    uint64_t blocks = 0;
    for (size_t i = 0; i < storage->segment_count; i++) {
        const struct stoa_storage_segment *segment = &storage->list[i];
        assert_int_equal(segment->number, i + 1);
        assert_true(segment->from <= segment->to && segment->to <= BLOCKS);
        *(segment->form == STOA_SEGMENT_PACKED ? &sums.archive_bytes : &sums.ledger_bytes) +=
            segment->bytes;
        sums.spare_bytes += segment->form == STOA_SEGMENT_SPARE ? segment->bytes : 0;
        sums.dead_bytes += segment->dead_bytes;
        blocks += segment->blocks;
    }
    for (size_t i = 0; i < storage->table_count; i++) {
        sums.table_bytes += storage->tables[i].bytes;
        sums.table_free_bytes += storage->tables[i].free_bytes;
        assert_true(i == 0 || strcmp(storage->tables[i - 1].name, storage->tables[i].name) < 0);
    }
    assert_int_equal(storage->segments, sums.segments);
    assert_int_equal(storage->ledger_bytes, sums.ledger_bytes);
    assert_int_equal(storage->archive_bytes, sums.archive_bytes);
    assert_int_equal(storage->spare_bytes, sums.spare_bytes);
    assert_int_equal(storage->dead_bytes, sums.dead_bytes);
    assert_int_equal(storage->table_bytes, sums.table_bytes);
    assert_int_equal(storage->table_free_bytes, sums.table_free_bytes);
    assert_int_equal(blocks, BLOCKS + 1); /* and genesis */
    assert_int_equal(stoa_get_stats(stoa, &stats), 0);
    assert_int_equal(stats.ledger_bytes, sums.ledger_bytes + sums.archive_bytes);
}

/* The runs of each index, as the tables have them. */
static void expect_indexes(const struct stoa_storage *storage)
{
    uint64_t entries = 0;
    for (size_t i = 0; i < storage->index_count; i++) {
        const struct stoa_storage_index *index = &storage->indexes[i];
        uint64_t runs = 0;
        uint64_t bytes = 0;
        for (size_t j = 0; j < storage->table_count; j++) {
            bool own = strcmp(storage->tables[j].index, index->name) == 0;
            assert_true(!own || storage->tables[j].level >= 0);
            runs += own;
            bytes += own ? storage->tables[j].bytes : 0;
        }
        assert_int_equal(index->runs, runs);
        assert_int_equal(index->bytes, bytes);
        assert_int_equal(index->missing, 0);
        entries += index->entries;
    }
    assert_true(storage->index_count >= 4 && entries > BLOCKS);
}

static void rise_floors(struct stoa *stoa, uint64_t keep)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_job_info job;
    struct stoa_detail detail = {.code = 0};
    options.job = STOA_JOB_PRUNE;
    options.flags = STOA_JOB_HURRY;
    options.keep_bodies = keep;
    options.keep_receipts = keep;
    assert_int_equal(stoa_run_job(stoa, &options, &job, &detail), 0);
}

static void zero_tail_of(const char *directory, unsigned number)
{
    static const char zeros[8192];
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/ledger/%08u.seg", directory, number);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -(long)sizeof(zeros), SEEK_END), 0);
    assert_int_equal(fwrite(zeros, 1, sizeof(zeros), file), sizeof(zeros));
    assert_int_equal(fclose(file), 0);
}

static void all_that_is_stored_is_told(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_job_info job;
    struct stoa_detail detail;
    make_place(&place);
    struct stoa *stoa = make_store(&place);
    assert_int_equal(stoa_checkpoint(stoa, &detail), 0);
    assert_int_equal(stoa_query_storage(stoa, NULL, &detail), STOA_EINVAL);
    struct stoa_storage *storage = look_over(stoa);
    expect_sums(stoa, storage);
    expect_indexes(storage);
    assert_int_equal(storage->archive_bytes + storage->dead_bytes + storage->damaged, 0);
    assert_int_equal(storage->list[0].form, STOA_SEGMENT_LIVE);
    assert_true(advises(storage, "backup") && advises(storage, "scrub"));
    assert_false(advises(storage, "repair") || advises(storage, "prune"));
    stoa_free(storage);
    archive(stoa, false, &job);
    storage = look_over(stoa);
    expect_sums(stoa, storage);
    assert_int_equal(storage->archive_bytes, fact(&job, "madeBytes"));
    assert_int_equal(storage->list[0].form, STOA_SEGMENT_PACKED);
    stoa_free(storage);
    archive(stoa, true, &job);
    rise_floors(stoa, 64);
    storage = look_over(stoa);
    expect_sums(stoa, storage);
    assert_true(storage->dead_bytes > 0); /* what is sealed last waits for the next */
    assert_false(advises(storage, "prune"));
    assert_int_equal(storage->list[0].form, STOA_SEGMENT_THINNED);
    assert_int_equal(storage->list[0].dead_bytes, 0);
    stoa_free(storage);
    assert_int_equal(stoa_create_snapshot(stoa, "one", &detail), 0);
    archive(stoa, false, &job);
    storage = look_over(stoa);
    assert_int_equal(storage->snapshots, 1);
    assert_true(storage->snapshot_bytes > 0);
    stoa_free(storage);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(place.base);
}

/* What was not full when it was pruned is full of what is dead now. */
static void pruning_is_advised_where_it_would_free_something(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_detail detail;
    make_place(&place);
    create_at(place.directory, true);
    struct stoa *stoa = open_at(place.directory);
    put_made(stoa, 1, BLOCKS / 2);
    rise_floors(stoa, 64);
    struct stoa_storage *storage = look_over(stoa);
    uint64_t dead = storage->dead_bytes;
    assert_true(dead > 0);
    assert_false(advises(storage, "prune"));
    stoa_free(storage);
    put_made(stoa, BLOCKS / 2 + 1, BLOCKS);
    storage = look_over(stoa);
    assert_true(storage->dead_bytes >= dead);
    uint64_t worth = 0; /* how blocks fall into segments depends on how they were grouped */
    for (size_t i = 0; i < storage->segment_count; i++) {
        const struct stoa_storage_segment *segment = &storage->list[i];
        worth += segment->dead_bytes >= segment->bytes / 16 ? segment->dead_bytes : 0;
    }
    assert_true(worth > 0);
    assert_int_equal(advises(storage, "prune"), worth >= 1 << 20);
    stoa_free(storage);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(place.base);
}

static void a_segment_that_does_not_say_what_it_has_is_damaged(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_detail detail;
    make_place(&place);
    struct stoa *stoa = make_store(&place);
    assert_int_equal(stoa_checkpoint(stoa, &detail), 0);
    zero_tail_of(place.directory, 1);
    struct stoa_storage *storage = look_over(stoa);
    expect_sums(stoa, storage); /* its frames are found all the same */
    assert_int_equal(storage->damaged, 1);
    assert_true(storage->list[0].damaged && !storage->list[1].damaged);
    assert_true(advises(storage, "repair"));
    stoa_free(storage);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(place.base);
}

/* ---- damage ---- */

static uint64_t size_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return (uint64_t)about.st_size;
}

static void flip(const char *path, uint64_t offset)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 4, file), byte ^ 4);
    assert_int_equal(fclose(file), 0);
}

/* The COUNT places of segment 1, packed, were flipped: all are mended with SOURCES. */
static void expect_mended(const struct place *place, const char *const *sources, size_t count)
{
    struct stoa_repair_report report;
    struct stoa_verify_report verified;
    struct stoa_detail detail;
    struct stoa *stoa = open_at(place->directory);
    assert_int_equal(stoa_verify(stoa, NULL, NULL, &verified, &detail), STOA_ECORRUPT);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    if (stoa_repair(place->directory, sources, count, NULL, NULL, &report, &detail) != 0) {
        fail_msg("repair: %s", detail.text);
    }
    assert_true(report.damages > 0);
    assert_int_equal(report.mended, report.damages);
    assert_int_equal(report.left, 0);
    stoa = open_at(place->directory);
    expect(stoa, BLOCKS, 5);
    assert_int_equal(stoa_close(stoa, &detail), 0);
}

static void damage_of_a_packed_segment_is_mended(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_job_info job;
    struct stoa_detail detail;
    char live[128];
    char packed[128];
    char path[160];
    make_place(&place);
    (void)snprintf(live, sizeof(live), "%s/live", place.base);
    (void)snprintf(packed, sizeof(packed), "%s/packed", place.base);
    (void)snprintf(path, sizeof(path), "%s/archive/00000001.arc", place.directory);
    struct stoa *stoa = make_store(&place);
    assert_int_equal(stoa_backup(stoa, live, &options, &info, &detail), 0);
    archive(stoa, false, &job);
    assert_int_equal(stoa_backup(stoa, packed, &options, &info, &detail), 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    uint64_t size = size_of(path);
    uint64_t whole_before = size;
    /* What is there twice needs no source: both headers, dictionary, index. */
    const uint64_t twice[] = {50, size - 4000, 5000, size - 5000};
    for (unsigned i = 0; i < 4; i++) {
        flip(path, twice[i]);
        expect_mended(&place, NULL, 0);
    }
    /* Frames: from the same packed bytes, or packed again from those that were. */
    const char *const sources[] = {live, packed};
    for (unsigned i = 0; i < 2; i++) {
        flip(path, size / 3);
        flip(path, size / 2);
        expect_mended(&place, &sources[i], 1);
    }
    /* Neither header is left. */
    flip(path, 20);
    flip(path, size - 4090);
    expect_mended(&place, &sources[1], 1);
    assert_int_equal(size_of(path), whole_before);
    engine_rig_remove(place.base);
}

/* ---- moved beside everything else ---- */

struct readers {
    struct stoa *stoa;
    atomic_bool stop;
    atomic_uint reads;
    atomic_int result;
};

static void *read_on(void *argument)
{
    struct readers *readers = argument;
    uint64_t random = 77;
    while (!atomic_load(&readers->stop)) {
        int result = look(readers->stoa, 1 + fixture_random_below(&random, BLOCKS));
        if (result != 0) {
            atomic_store(&readers->result, result);
        }
        atomic_fetch_add(&readers->reads, 1);
    }
    return NULL;
}

static void copies_and_reads_beside_a_move_are_whole(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct readers readers = {.result = 0};
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_job_options order = STOA_JOB_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_backup_check check;
    struct stoa_detail detail;
    pthread_t thread;
    char kept[128];
    char again[128];
    char path[192];
    make_place(&place);
    (void)snprintf(kept, sizeof(kept), "%s/kept", place.base);
    (void)snprintf(again, sizeof(again), "%s/again", place.base);
    readers.stoa = make_store(&place);
    assert_int_equal(pthread_create(&thread, NULL, read_on, &readers), 0);
    order.job = STOA_JOB_ARCHIVE;
    order.flags = STOA_JOB_DETACH | STOA_JOB_HURRY;
    options.full = 1;
    for (unsigned round = 0; round < 6; round++) {
        char name[16];
        struct stoa_job_info job;
        order.unarchive = round % 2;
        assert_int_equal(stoa_submit_job(readers.stoa, &order, NULL), 0);
        (void)snprintf(name, sizeof(name), "s%u", round);
        assert_int_equal(stoa_create_snapshot(readers.stoa, name, &detail), 0);
        if (stoa_backup(readers.stoa, kept, &options, &info, &detail) != 0) {
            fail_msg("backup: %s", detail.text);
        }
        bool active = true;
        while (active) { /* until this direction is done */
            struct stoa_job_info infos[STOA_JOBS];
            size_t count = 0;
            assert_int_equal(stoa_list_jobs(readers.stoa, infos, STOA_JOBS, &count, &detail), 0);
            job = infos[STOA_JOB_ARCHIVE];
            active = job.active != 0;
        }
        assert_int_equal(job.last_result, 0);
        struct stoa_completion completion;
        while (stoa_reap(readers.stoa, &completion, 1, 0) == 1) {
            stoa_free(completion.jobs);
        }
    }
    atomic_store(&readers.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&readers.result), 0);
    assert_true(atomic_load(&readers.reads) > 0);
    assert_int_equal(stoa_close(readers.stoa, &detail), 0);
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail), 0);
    assert_int_equal(check.backups, 6);
    for (unsigned round = 0; round < 6; round += 2) {
        (void)snprintf(path, sizeof(path), "%s/snapshots/s%u", place.directory, round);
        expect_copy(path, again, 0);
        (void)snprintf(path, sizeof(path), "%s/%08u.backup", kept, round + 1);
        expect_copy(path, again, 0);
    }
    engine_rig_remove(place.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_chains_take_less_than_half),
        cmocka_unit_test(copies_of_packed_segments_are_whole),
        cmocka_unit_test(packed_segments_are_pruned),
        cmocka_unit_test(the_archive_tells_what_is_in_it),
        cmocka_unit_test(metrics_tell_what_is_packed),
        cmocka_unit_test(all_that_is_stored_is_told),
        cmocka_unit_test(pruning_is_advised_where_it_would_free_something),
        cmocka_unit_test(a_segment_that_does_not_say_what_it_has_is_damaged),
        cmocka_unit_test(damage_of_a_packed_segment_is_mended),
        cmocka_unit_test(copies_and_reads_beside_a_move_are_whole),
    };
    chain = made_chain_create(33, BLOCKS + 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    made_chain_destroy(chain);
    return failed;
}
