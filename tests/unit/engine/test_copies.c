/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backups and snapshots of a store that another thread fills at full speed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine_rig.h"

enum { BACKUPS = 8, KEPT = 3 };

struct filling {
    struct engine_rig *rig;
    uint64_t last;
};

static void *fill(void *context)
{
    struct filling *filling = context;
    engine_rig_put(filling->rig, 1, filling->last);
    return NULL;
}

static void expect_store(const struct engine_rig *rig, const char *directory, uint64_t height)
{
    struct stoa *stoa;
    struct stoa_detail detail;
    struct stoa_head head;
    if (stoa_open(directory, NULL, &stoa, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    assert_int_equal(stoa_get_head(stoa, &head), 0);
    assert_int_equal(head.height, height);
    if (height > 0) {
        engine_rig_expect(stoa, rig->chain, 1, height);
    }
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify(stoa, NULL, NULL, &report, &detail), 0);
    assert_int_equal(stoa_close(stoa, &detail), 0);
}

static int note_last(void *context, const struct stoa_copy_info *info)
{
    struct stoa_copy_info *last = context;
    assert_null(info->damaged);
    assert_true(info->height >= last->height);
    *last = *info;
    return 0;
}

static void a_store_is_backed_up_while_it_is_filled(void **state)
{
    struct engine_rig *rig = *state;
    char kept[ENGINE_RIG_PATH_SIZE + 16];
    char again[ENGINE_RIG_PATH_SIZE + 16];
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_copy_info info;
    struct stoa_copy_info last = {.number = 0};
    struct stoa_detail detail;
    struct filling filling = {rig, made_chain_count(rig->chain)};
    pthread_t thread;
    (void)snprintf(kept, sizeof(kept), "%s.kept", rig->directory);
    (void)snprintf(again, sizeof(again), "%s.again", rig->directory);
    options.keep = KEPT;
    assert_int_equal(pthread_create(&thread, NULL, fill, &filling), 0);
    for (unsigned i = 1; i <= BACKUPS; i++) {
        if (stoa_backup(rig->stoa, kept, &options, &info, &detail) != 0) {
            fail_msg("backup %u: %s", i, detail.text);
        }
        assert_int_equal(info.number, i);
        if (i == BACKUPS / 2) {
            assert_int_equal(stoa_create_snapshot(rig->stoa, "middle", &detail), 0);
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(stoa_backup_list(kept, note_last, &last, &detail), 0);
    assert_int_equal(last.number, BACKUPS);
    struct stoa_backup_check check;
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail), 0);
    assert_int_equal(check.backups, KEPT);
    struct stoa_restore_report report;
    if (stoa_restore(kept, again, NULL, &report, &detail) != 0) {
        fail_msg("restore: %s", detail.text);
    }
    assert_int_equal(report.height, info.height);
    expect_store(rig, again, info.height);
    engine_rig_remove(again);
    if (stoa_restore_snapshot(rig->stoa, "middle", again, NULL, &report, &detail) != 0) {
        fail_msg("restore a snapshot: %s", detail.text);
    }
    expect_store(rig, again, report.height);
    assert_int_equal(stoa_drop_snapshot(rig->stoa, "middle", &detail), 0);
    engine_rig_remove(again);
    engine_rig_remove(kept);
}

static int stop(void *context, uint64_t done, uint64_t total)
{
    unsigned *calls = context;
    assert_true(done <= total);
    return ++*calls == 1;
}

static void a_backup_that_is_stopped_is_gone_on_with(void **state)
{
    struct engine_rig *rig = *state;
    char kept[ENGINE_RIG_PATH_SIZE + 16];
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_pace pace = STOA_PACE_INIT;
    struct stoa_copy_info info;
    struct stoa_detail detail;
    struct stoa_backup_check check;
    unsigned calls = 0;
    (void)snprintf(kept, sizeof(kept), "%s.kept", rig->directory);
    engine_rig_put(rig, 1, 5);
    pace.progress = stop;
    pace.context = &calls;
    options.pace = &pace;
    assert_int_equal(stoa_backup(rig->stoa, kept, &options, &info, &detail), STOA_ECANCELED);
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail),
                     STOA_ENOTFOUND);
    assert_int_equal(stoa_backup(rig->stoa, kept, &options, &info, &detail), 0);
    assert_int_equal(info.number, 1);
    assert_int_equal(info.height, 5);
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail), 0);
    engine_rig_remove(kept);
}

static uint64_t fact_of(const struct stoa_job_info *info, const char *name)
{
    for (unsigned i = 0; i < info->fact_count; i++) {
        if (strcmp(info->facts[i].name, name) == 0) {
            return info->facts[i].value;
        }
    }
    return UINT64_MAX;
}

static void a_backup_is_a_job_as_well(void **state)
{
    struct engine_rig *rig = *state;
    char kept[ENGINE_RIG_PATH_SIZE + 16];
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_job_info info;
    struct stoa_detail detail;
    struct stoa_backup_check check;
    (void)snprintf(kept, sizeof(kept), "%s.kept", rig->directory);
    engine_rig_put(rig, 1, 5);
    options.job = STOA_JOB_BACKUP;
    assert_int_equal(stoa_run_job(rig->stoa, &options, &info, &detail), STOA_EINVAL);
    options.path = kept;
    options.flags = STOA_JOB_DRY_RUN;
    assert_int_equal(stoa_run_job(rig->stoa, &options, &info, &detail), 0);
    assert_int_equal(stoa_backup_list(kept, note_last, NULL, &detail), STOA_ENOTFOUND);
    options.flags = 0;
    for (uint64_t i = 1; i <= 2; i++) {
        if (stoa_run_job(rig->stoa, &options, &info, &detail) != 0) {
            fail_msg("%s", detail.text);
        }
        assert_int_equal(fact_of(&info, "backup"), i);
        assert_int_equal(fact_of(&info, "number"), 5);
        assert_true(info.bytes >= fact_of(&info, "copiedBytes"));
    }
    assert_true(fact_of(&info, "copiedBytes") < fact_of(&info, "bytes"));
    assert_int_equal(stoa_backup_verify(kept, 0, NULL, NULL, NULL, &check, &detail), 0);
    assert_int_equal(check.backups, 2);
    engine_rig_remove(kept);
}

static void bad_arguments_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_backup_options options = STOA_BACKUP_OPTIONS_INIT;
    struct stoa_pace pace = STOA_PACE_INIT;
    struct stoa_detail detail;
    assert_int_equal(stoa_backup(rig->stoa, NULL, NULL, NULL, &detail), STOA_EINVAL);
    options.size = 1;
    assert_int_equal(stoa_backup(rig->stoa, "kept", &options, NULL, &detail), STOA_EINVAL);
    options.size = sizeof(options);
    options.pace = &pace;
    pace.size = 100000;
    assert_int_equal(stoa_backup(rig->stoa, "kept", &options, NULL, &detail), STOA_EINVAL);
    assert_int_equal(stoa_restore("/nonexistent", "new", NULL, NULL, &detail), STOA_ENOTFOUND);
    assert_int_equal(stoa_create_snapshot(rig->stoa, "a/b", &detail), STOA_EINVAL);
    assert_int_equal(stoa_backup_prune("/nonexistent", 1, NULL, &detail), STOA_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_BOTH(a_store_is_backed_up_while_it_is_filled),
        ENGINE_RIG_BOTH(a_backup_that_is_stopped_is_gone_on_with),
        ENGINE_RIG_BOTH(a_backup_is_a_job_as_well),
        ENGINE_RIG_BOTH(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
