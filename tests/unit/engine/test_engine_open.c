/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening: what is not a store, is in use, is newer, lost its tables, or is damaged. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "engine_rig.h"

static int open_result(const struct engine_rig *rig, const char *directory,
                       struct stoa_detail *detail)
{
    struct stoa_options options = engine_rig_options(rig);
    struct stoa *stoa = NULL;
    *detail = (struct stoa_detail){.code = 1};
    int result = stoa_open(directory, &options, &stoa, detail);
    assert_int_equal(detail->code, result);
    if (result == 0) {
        assert_int_equal(stoa_close(stoa, NULL), 0);
    } else {
        assert_null(stoa);
        assert_int_not_equal(detail->text[0], 0);
    }
    return result;
}

static void second_open_is_locked_out(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    assert_int_equal(open_result(rig, rig->directory, &detail), STOA_ELOCKED);
    engine_rig_put(rig, 1, 2); /* the first goes on */
    engine_rig_close(rig);
    assert_int_equal(open_result(rig, rig->directory, &detail), 0);
}

static void missing_directory_is_not_found(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    char path[2 * ENGINE_RIG_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/nothing", rig->base);
    assert_int_equal(open_result(rig, path, &detail), STOA_ENOTFOUND);
    assert_non_null(strstr(detail.text, path));
}

static void directory_that_is_no_store_is_not_found_and_left_alone(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    assert_int_equal(open_result(rig, rig->base, &detail), STOA_ENOTFOUND);
    struct stat info;
    assert_int_equal(stat(rig->directory, &info), 0);
}

static void file_is_no_store(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    char path[ENGINE_RIG_PATH_SIZE];
    engine_rig_path(rig, "STORE", path);
    assert_true(open_result(rig, path, &detail) < 0);
}

static void creating_over_a_store_is_refused_and_changes_nothing(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    engine_rig_put(rig, 1, 3);
    engine_rig_close(rig);
    assert_true(stoa_create(rig->directory, NULL, &detail) < 0);
    assert_int_not_equal(detail.text[0], 0);
    engine_rig_open(rig);
    engine_rig_expect_head(rig, 3);
}

/* The version is the first number behind the magic; the checksum, at 64, is one that this program
 * cannot know, which must not hide it. */
static void store_of_a_newer_format_is_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    engine_rig_close(rig);
    engine_rig_flip(rig, "STORE", 9);
    engine_rig_flip(rig, "STORE", 64);
    assert_int_equal(open_result(rig, rig->directory, &detail), STOA_EVERSION);
    engine_rig_flip(rig, "STORE", 9);
    engine_rig_flip(rig, "STORE", 64);
    assert_int_equal(open_result(rig, rig->directory, &detail), 0);
}

static void flipped_bit_in_the_identity_is_damage(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_detail detail;
    engine_rig_close(rig);
    for (unsigned i = 0; i < 2; i++) {
        const long offsets[] = {20, 9}; /* of the store's number; of the version, and no more */
        engine_rig_flip(rig, "STORE", offsets[i]);
        assert_int_equal(open_result(rig, rig->directory, &detail), STOA_ECORRUPT);
        engine_rig_flip(rig, "STORE", offsets[i]);
    }
    assert_int_equal(open_result(rig, rig->directory, &detail), 0);
}

static void bad_options_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa *stoa;
    struct stoa_detail detail;
    struct stoa_options bad[7];
    engine_rig_close(rig);
    for (size_t i = 0; i < 7; i++) {
        bad[i] = engine_rig_options(rig);
    }
    bad[0].size = sizeof(struct stoa_options) + 1;
    bad[1].size = 0;
    bad[2].io = (enum stoa_io)9;
    bad[3].segment_size = 12345;
    bad[4].segment_size = 4096;
    bad[5].table_workers = 5000;
    bad[6].verify_workers = 5000;
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(stoa_open(rig->directory, &bad[i], &stoa, &detail), STOA_EINVAL);
        assert_int_equal(detail.code, STOA_EINVAL);
    }
    assert_int_equal(stoa_open(NULL, NULL, &stoa, &detail), STOA_EINVAL);
    assert_int_equal(stoa_open(rig->directory, NULL, NULL, &detail), STOA_EINVAL);
    assert_int_equal(stoa_open("", NULL, &stoa, &detail), STOA_EINVAL);
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    create.size = sizeof(create) + 1;
    assert_int_equal(stoa_create("unused", &create, NULL), STOA_EINVAL);
    create.size = 0;
    assert_int_equal(stoa_create("unused", &create, NULL), STOA_EINVAL);
    assert_int_equal(stoa_create(NULL, NULL, NULL), STOA_EINVAL);
}

static void options_of_an_older_program_and_none_at_all_are_taken(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_options options = engine_rig_options(rig);
    engine_rig_close(rig);
    options.size = offsetof(struct stoa_options, segment_size);
    options.segment_size = 1; /* not its own any more */
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), 0);
    engine_rig_close(rig);
    assert_int_equal(stoa_open(rig->directory, NULL, &rig->stoa, NULL), 0);
    engine_rig_expect_head(rig, 0);
}

struct told {
    pthread_t thread;
    unsigned count;
    uint64_t done;
    uint64_t total;
};

static void note_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct told *told = context;
    assert_true(pthread_equal(pthread_self(), told->thread));
    assert_non_null(what);
    assert_true(done >= told->done);
    assert_true(done <= total);
    told->count++;
    told->done = done;
    told->total = total;
}

static void expect_rebuilt(struct engine_rig *rig)
{
    struct told told = {.thread = pthread_self()};
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_verify_report report;
    struct stoa_detail detail;
    options.progress = note_progress;
    options.progress_context = &told;
    int result = stoa_open(rig->directory, &options, &rig->stoa, &detail);
    if (result != 0) {
        fail_msg("open: %d %s", result, detail.text);
    }
    assert_true(told.count >= 1);
    assert_int_equal(stoa_get_stats(rig->stoa, &stats), 0);
    assert_int_equal(stats.rebuilt_tables, 1);
    assert_int_equal(stats.recovered_blocks, ENGINE_RIG_BLOCKS + 1);
    engine_rig_expect_head(rig, ENGINE_RIG_BLOCKS);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, NULL), 0);
    engine_rig_close(rig);
    engine_rig_open(rig); /* and it stays so */
    assert_int_equal(stoa_get_stats(rig->stoa, &stats), 0);
    assert_int_equal(stats.rebuilt_tables, 0);
    assert_int_equal(stats.recovered_blocks, 0);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
}

static void removed_tables_are_rebuilt_with_progress_on_the_opening_thread(void **state)
{
    struct engine_rig *rig = *state;
    char tables[ENGINE_RIG_PATH_SIZE];
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    engine_rig_close(rig);
    engine_rig_path(rig, "tables", tables);
    engine_rig_remove(tables);
    expect_rebuilt(rig);
}

/* All contents of a file of the tables are replaced. */
static void spoil(const char *path)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_int_equal(fseek(file, 0, SEEK_SET), 0);
    for (long i = 0; i < size; i++) {
        assert_int_equal(fputc(0x5a, file), 0x5a);
    }
    assert_int_equal(fclose(file), 0);
}

static void garbage_in_any_file_of_the_tables_is_rebuilt(void **state)
{
    struct engine_rig *rig = *state;
    static const char *const names[] = {"WiredTiger.wt", "WiredTiger.turtle"};
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    engine_rig_close(rig);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[64];
        char path[ENGINE_RIG_PATH_SIZE];
        snprintf(name, sizeof(name), "tables/%s", names[i]);
        engine_rig_path(rig, name, path);
        spoil(path);
        expect_rebuilt(rig);
        engine_rig_close(rig);
    }
}

static void garbage_in_all_data_files_of_the_tables_is_rebuilt(void **state)
{
    struct engine_rig *rig = *state;
    char tables[ENGINE_RIG_PATH_SIZE];
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    engine_rig_close(rig);
    engine_rig_path(rig, "tables", tables);
    DIR *directory = opendir(tables);
    assert_non_null(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length > 3 && strcmp(entry->d_name + length - 3, ".wt") == 0) {
            char path[2 * ENGINE_RIG_PATH_SIZE];
            snprintf(path, sizeof(path), "%s/%s", tables, entry->d_name);
            spoil(path);
        }
    }
    closedir(directory);
    expect_rebuilt(rig);
}

struct damages {
    pthread_t thread;
    unsigned count;
    char file[64];
};

static void note_damage(void *context, const struct stoa_damage *damage)
{
    struct damages *damages = context;
    assert_true(pthread_equal(pthread_self(), damages->thread));
    assert_non_null(damage->what);
    snprintf(damages->file, sizeof(damages->file), "%s", damage->file);
    damages->count++;
}

/* Where in the segment's file block NUMBER lies. */
static long find_block(struct engine_rig *rig, const char *name, uint64_t number)
{
    char path[ENGINE_RIG_PATH_SIZE];
    engine_rig_path(rig, name, path);
    const struct made_block *block = made_chain_block(rig->chain, number);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static uint8_t contents[1 << 20];
    size_t size = fread(contents, 1, sizeof(contents), file);
    fclose(file);
    const uint8_t *at = memmem(contents, size, block->block.data, block->block.size);
    return at == NULL ? -1 : (long)(at - contents);
}

static void flipped_byte_is_found_by_verify_and_read_and_costs_no_other_block(void **state)
{
    struct engine_rig *rig = *state;
    static const char segment[] = "ledger/00000001.seg";
    enum { DAMAGED = 3, STORED = 20 };
    engine_rig_put(rig, 1, STORED);
    engine_rig_close(rig);
    long at = find_block(rig, segment, DAMAGED);
    if (at < 0) { /* the genesis alone may fill the first segment */
        fail_msg("block %d is not in %s", DAMAGED, segment);
    }
    engine_rig_flip(rig, segment, at + 7);
    engine_rig_open(rig);
    struct damages damages = {.thread = pthread_self()};
    struct stoa_verify_report report;
    struct stoa_detail detail;
    assert_int_equal(stoa_verify(rig->stoa, note_damage, &damages, &report, &detail),
                     STOA_ECORRUPT);
    assert_true(damages.count >= 1);
    assert_int_equal(damages.count, report.damages);
    assert_string_equal(damages.file, segment);
    assert_int_equal(detail.code, STOA_ECORRUPT);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = DAMAGED};
    struct stoa_block block;
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, &detail), STOA_ECORRUPT);
    assert_non_null(strstr(detail.text, "00000001.seg"));
    engine_rig_expect(rig->stoa, rig->chain, 1, DAMAGED - 1);
    engine_rig_expect(rig->stoa, rig->chain, DAMAGED + 1, STORED);
    engine_rig_put(rig, STORED + 1, STORED + 2);
    /* Without someone to tell it to it is found as well. */
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, NULL), STOA_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_BOTH(second_open_is_locked_out),
        ENGINE_RIG_BOTH(missing_directory_is_not_found),
        ENGINE_RIG_BOTH(directory_that_is_no_store_is_not_found_and_left_alone),
        ENGINE_RIG_BOTH(file_is_no_store),
        ENGINE_RIG_BOTH(creating_over_a_store_is_refused_and_changes_nothing),
        ENGINE_RIG_BOTH(store_of_a_newer_format_is_refused),
        ENGINE_RIG_BOTH(flipped_bit_in_the_identity_is_damage),
        ENGINE_RIG_BOTH(bad_options_are_refused),
        ENGINE_RIG_BOTH(options_of_an_older_program_and_none_at_all_are_taken),
        ENGINE_RIG_BOTH(removed_tables_are_rebuilt_with_progress_on_the_opening_thread),
        ENGINE_RIG_BOTH(garbage_in_any_file_of_the_tables_is_rebuilt),
        ENGINE_RIG_BOTH(garbage_in_all_data_files_of_the_tables_is_rebuilt),
        ENGINE_RIG_BOTH(flipped_byte_is_found_by_verify_and_read_and_costs_no_other_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
