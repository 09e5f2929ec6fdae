/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks pruned on a real disk: what is dead comes back to the file system while blocks are stored,
 * copies that were made before stay whole, a killed process leaves nothing that is not to be there.
 * STOA_LONG=1: on 100,000 blocks. STOA_KILL_ROUNDS: kills. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "support/fixture.h"

enum { BLOCKS = 1600, BLOCKS_LONG = 100000, KEEP = 300, STEP = 100, BARE_MAX = 1100 };

static struct made_chain *chain;
static uint64_t blocks;

struct place {
    char base[64];
    char directory[96];
};

static void make_place(struct place *place)
{
    (void)snprintf(place->base, sizeof(place->base), "/tmp/stoa-prune-XXXXXX");
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

static void create_at(const char *directory)
{
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    struct stoa_detail detail;
    struct bytes json = made_chain_genesis_json(chain);
    options.genesis_json = (const char *)json.data;
    options.genesis_json_size = json.size;
    options.segment_size = 1 << 20;
    assert_int_equal(stoa_create(directory, &options, &detail), 0);
}

/* Blocks FIRST to LAST. 0, or what the first that failed said. */
static int put(struct stoa *stoa, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        const struct made_block *made = made_chain_block(chain, number);
        struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
        struct stoa_call call = STOA_CALL_INIT;
        struct stoa_completion done;
        call.durability = STOA_BUFFERED;
        block.block = (struct stoa_bytes){made->block.data, made->block.size};
        block.receipts = (struct stoa_bytes){made->receipts.data, made->receipts.size};
        block.senders = made->senders.data;
        int result = stoa_ask(stoa, STOA_MESSAGE_STORE_BLOCK, &block, &call, &done);
        if (result != 0) {
            return result;
        }
    }
    struct stoa_detail detail;
    return stoa_sync(stoa, &detail);
}

static int finalize(struct stoa *stoa, uint64_t height)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_detail detail;
    return stoa_set_finalized(stoa, &key, &detail);
}

static int prune(struct stoa *stoa, uint64_t keep, struct stoa_job_info *out_info)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    options.job = STOA_JOB_PRUNE;
    options.flags = STOA_JOB_HURRY;
    options.keep_bodies = keep;
    int result = stoa_run_job(stoa, &options, out_info, &detail);
    if (result != 0) {
        print_message("prune: %s\n", detail.text);
    }
    return result;
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

/* Every STEP-th block and those around the floor are as they are to be; and nothing is damaged. */
static void expect(struct stoa *stoa, uint64_t head, uint64_t every)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_detail detail;
    assert_int_equal(stoa_get_stats(stoa, &stats), 0);
    for (uint64_t number = 1; number <= head; number++) {
        bool near = number + 3 > stats.bodies_from && number < stats.bodies_from + 3;
        if (number % every != 0 && !near) {
            continue;
        }
        const struct made_block *made = made_chain_block(chain, number);
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
        struct stoa_header header;
        struct stoa_block block;
        assert_int_equal(stoa_get_header(stoa, &key, &header, &detail), 0);
        assert_memory_equal(header.hash, made->hash, 32);
        stoa_release(header.view);
        int result = stoa_get_block(stoa, &key, &block, &detail);
        if (number < stats.bodies_from) {
            assert_int_equal(result, STOA_EPRUNED);
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(block.block.size, made->block.size);
        assert_memory_equal(block.block.data, made->block.data, made->block.size);
        assert_int_equal(block.receipts.size, made->receipts.size);
        assert_memory_equal(block.receipts.data, made->receipts.data, made->receipts.size);
        stoa_release(block.view);
        for (size_t i = 0; i < made->transaction_count; i++) {
            struct stoa_transaction found;
            assert_int_equal(
                stoa_get_transaction(stoa, made->transactions[i].hash, &found, &detail), 0);
            assert_int_equal(found.block.height, number);
            stoa_release(found.block.view);
        }
    }
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify_deep(stoa, say_damage, NULL, &report, &detail), 0);
}

/* What the file system has of segments 1 to LAST. */
static uint64_t taken(const char *directory, unsigned last)
{
    static const char *const kinds[] = {"seg", "thin"};
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 2 * last; i++) {
        char path[192];
        struct stat status;
        (void)snprintf(path, sizeof(path), "%s/ledger/%08u.%s", directory, i / 2 + 1, kinds[i % 2]);
        bytes += stat(path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
    }
    return bytes;
}

struct storing {
    struct stoa *stoa;
    uint64_t first;
    uint64_t last;
    int result;
};

static void *store_on(void *context)
{
    struct storing *storing = context;
    storing->result = put(storing->stoa, storing->first, storing->last);
    return NULL;
}

static void dead_bytes_come_back_while_blocks_are_stored(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_job_info info;
    struct stoa_stats stats = STOA_STATS_INIT;
    make_place(&place);
    create_at(place.directory);
    struct stoa *stoa = open_at(place.directory);
    uint64_t head = blocks - KEEP / 2;
    uint64_t floor = head - KEEP;
    assert_int_equal(put(stoa, 1, head), 0);
    assert_int_equal(finalize(stoa, head - 64), 0);
    assert_int_equal(stoa_get_stats(stoa, &stats), 0);
    /* Segments of which all is below the floor: what of them is dead. */
    unsigned last = 0;
    uint64_t dead = 0;
    uint64_t stays = 0;
    for (uint64_t number = 1; number < floor; number++) {
        const struct made_block *made = made_chain_block(chain, number);
        uint64_t whole = made->block.size + made->receipts.size + made->senders.size;
        stays += BARE_MAX < whole ? BARE_MAX : whole;
        dead += whole > BARE_MAX ? whole - BARE_MAX : 0;
    }
    last = (unsigned)(stats.ledger_segments - 2);
    uint64_t before = taken(place.directory, last);
    struct storing storing = {stoa, head + 1, blocks, 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, store_on, &storing), 0);
    assert_int_equal(prune(stoa, KEEP, &info), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(storing.result, 0);
    uint64_t after = taken(place.directory, last);
    print_message("dead %llu, came back %llu of %llu, kept of dead blocks at most %llu\n",
                  (unsigned long long)dead, (unsigned long long)(before - after),
                  (unsigned long long)before, (unsigned long long)stays);
    assert_true(fact(&info, "segmentsThinned") >= 2);
    assert_true(before - after >= dead / 100 * 95);
    expect(stoa, blocks, STEP / 4);
    struct stoa_detail detail;
    assert_int_equal(stoa_close(stoa, &detail), 0);
    stoa = open_at(place.directory);
    expect(stoa, blocks, STEP);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_remove(place.base);
}

/* ---- copies ---- */

static void expect_copy(const char *directory, uint64_t head, bool whole)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_detail detail;
    struct stoa *stoa = open_at(directory);
    assert_int_equal(stoa_get_stats(stoa, &stats), 0);
    assert_true(whole == (stats.bodies_from == 0));
    expect(stoa, head, STEP);
    assert_int_equal(stoa_close(stoa, &detail), 0);
}

static void copies_made_before_stay_whole(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_job_info job;
    struct stoa_restore_report restored;
    struct stoa_backup_check check;
    struct stoa_detail detail;
    char kept[128];
    char again[128];
    make_place(&place);
    (void)snprintf(kept, sizeof(kept), "%s/kept", place.base);
    (void)snprintf(again, sizeof(again), "%s/again", place.base);
    create_at(place.directory);
    struct stoa *stoa = open_at(place.directory);
    uint64_t head = BLOCKS - 100;
    assert_int_equal(put(stoa, 1, head), 0);
    assert_int_equal(finalize(stoa, head - 64), 0);
    assert_int_equal(stoa_backup(stoa, kept, &options, &info, &detail), 0);
    assert_int_equal(stoa_create_snapshot(stoa, "before", &detail), 0);
    assert_int_equal(prune(stoa, KEEP, &job), 0);
    assert_true(fact(&job, "bytesHeldBySnapshots") > 0);
    assert_int_equal(stoa_create_snapshot(stoa, "after", &detail), 0);
    assert_int_equal(put(stoa, head + 1, BLOCKS), 0);
    if (stoa_backup(stoa, kept, &options, &info, &detail) != 0) {
        fail_msg("backup: %s", detail.text);
    }
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail), 0);
    assert_int_equal(check.backups, 2);
    struct stoa_scrub_report scrubbed;
    assert_int_equal(stoa_scrub(stoa, NULL, NULL, NULL, &scrubbed, &detail), 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    char first[160];
    (void)snprintf(first, sizeof(first), "%s/00000001.backup", kept);
    if (stoa_restore(first, again, NULL, &restored, &detail) != 0) {
        fail_msg("restore: %s", detail.text);
    }
    expect_copy(again, head, true);
    engine_rig_remove(again);
    if (stoa_restore(kept, again, NULL, &restored, &detail) != 0) {
        fail_msg("restore: %s", detail.text);
    }
    expect_copy(again, BLOCKS, false);
    engine_rig_remove(again);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(first, sizeof(first), "%s/snapshots/%s", place.directory,
                       i == 0 ? "before" : "after");
        if (stoa_restore(first, again, NULL, &restored, &detail) != 0) {
            fail_msg("restore: %s", detail.text);
        }
        expect_copy(again, head, i == 0);
        engine_rig_remove(again);
    }
    engine_rig_remove(place.base);
}

/* ---- damage ---- */

static void flip(const char *directory, const char *name, long offset, int from)
{
    char path[192];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, from), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, from), 0);
    assert_int_equal(fputc(byte ^ 4, file), byte ^ 4);
    assert_int_equal(fclose(file), 0);
}

static void damage_of_a_thinned_segment_is_mended(void **state)
{
    (void)state;
    static const char name[] = "ledger/00000001.thin";
    struct place place = {.base = ""};
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_job_info job;
    struct stoa_repair_report report;
    struct stoa_detail detail;
    char kept[128];
    make_place(&place);
    (void)snprintf(kept, sizeof(kept), "%s/kept", place.base);
    create_at(place.directory);
    struct stoa *stoa = open_at(place.directory);
    assert_int_equal(put(stoa, 1, BLOCKS), 0);
    assert_int_equal(finalize(stoa, BLOCKS - 64), 0);
    assert_int_equal(prune(stoa, KEEP, &job), 0);
    assert_int_equal(stoa_backup(stoa, kept, &options, &info, &detail), 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    /* The trailer and the index by the format, a frame from the backup. */
    const long places[] = {-4000, -9000, 30000};
    const char *const sources[] = {kept};
    for (unsigned i = 0; i < 3; i++) {
        flip(place.directory, name, places[i], i < 2 ? SEEK_END : SEEK_SET);
        struct stoa_verify_report verified;
        stoa = open_at(place.directory);
        assert_int_equal(stoa_verify(stoa, NULL, NULL, &verified, &detail), STOA_ECORRUPT);
        assert_int_equal(stoa_close(stoa, &detail), 0);
        if (stoa_repair(place.directory, sources, i < 2 ? 0 : 1, NULL, NULL, &report, &detail) !=
            0) {
            fail_msg("repair %u: %s", i, detail.text);
        }
        assert_int_equal(report.mended, report.damages);
        assert_true(report.damages > 0);
        assert_int_equal(report.left, 0);
        stoa = open_at(place.directory);
        expect(stoa, BLOCKS, STEP);
        assert_int_equal(stoa_close(stoa, &detail), 0);
    }
    engine_rig_remove(place.base);
}

/* ---- kills ---- */

/* In a process of its own, until it is killed. */
static void work(const char *directory)
{
    struct stoa *stoa = open_at(directory);
    struct stoa_head head;
    struct stoa_job_info info;
    for (uint64_t keep = BLOCKS; keep >= 64; keep -= 64) {
        if (stoa_get_head(stoa, &head) != 0) {
            _exit(1);
        }
        struct storing storing = {stoa, head.height + 1, head.height + 5, 0};
        pthread_t thread;
        if (storing.last > BLOCKS || pthread_create(&thread, NULL, store_on, &storing) != 0) {
            storing.last = 0;
        }
        if (finalize(stoa, head.height - 40) != 0 || prune(stoa, keep, &info) != 0) {
            _exit(1);
        }
        if (storing.last != 0) {
            (void)pthread_join(thread, NULL);
        }
    }
    struct stoa_detail detail;
    _exit(stoa_close(stoa, &detail) == 0 ? 0 : 1);
}

static void a_killed_process_leaves_the_window_as_it_was(void **state)
{
    (void)state;
    struct place place = {.base = ""};
    struct stoa_detail detail;
    struct stoa_head head;
    const char *given = getenv("STOA_KILL_ROUNDS");
    unsigned rounds = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 6;
    uint64_t seed = fixture_seed();
    unsigned killed = 0;
    make_place(&place);
    create_at(place.directory);
    struct stoa *stoa = open_at(place.directory);
    assert_int_equal(put(stoa, 1, BLOCKS - 200), 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    for (unsigned round = 0; round < rounds; round++) {
        (void)fflush(stdout);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            work(place.directory);
        }
        uint64_t wait_us = fixture_random_below(&seed, 400000);
        struct timespec wait = {.tv_nsec = (long)wait_us * 1000};
        (void)nanosleep(&wait, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        stoa = open_at(place.directory);
        assert_int_equal(stoa_get_head(stoa, &head), 0);
        assert_true(head.height >= BLOCKS - 200);
        expect(stoa, head.height, STEP);
        assert_int_equal(stoa_close(stoa, &detail), 0);
    }
    stoa = open_at(place.directory);
    struct stoa_job_info info;
    assert_int_equal(stoa_get_head(stoa, &head), 0);
    assert_int_equal(finalize(stoa, head.height), 0);
    assert_int_equal(prune(stoa, 64, &info), 0);
    expect(stoa, head.height, STEP);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    print_message("%u of %u killed\n", killed, rounds);
    engine_rig_remove(place.base);
}

int main(void)
{
    const char *is_long = getenv("STOA_LONG");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_leaves_the_window_as_it_was), /* before other threads */
        cmocka_unit_test(dead_bytes_come_back_while_blocks_are_stored),
        cmocka_unit_test(copies_made_before_stay_whole),
        cmocka_unit_test(damage_of_a_thinned_segment_is_mended),
    };
    blocks = is_long != NULL && strcmp(is_long, "0") != 0 ? BLOCKS_LONG : BLOCKS;
    chain = made_chain_create(33, blocks);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    made_chain_destroy(chain);
    return failed;
}
