/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the engine counts, as a program sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "support/exposition.h"

static char *text_of(const struct engine_rig *rig)
{
    char *text = NULL;
    size_t size = 0;
    size_t line;
    assert_int_equal(stoa_metrics_text(rig->stoa, &text, &size), 0);
    assert_int_equal(strlen(text), size);
    const char *wrong = exposition_check(text, &line);
    if (wrong != NULL) {
        fail_msg("line %zu: %s", line, wrong);
    }
    return text;
}

static void assert_value(const char *text, const char *series, double value)
{
    double found = exposition_value(text, series);
    if (found < value || found > value) {
        fail_msg("%s is %f, expected %f", series, found, value);
    }
}

static void stored_blocks_are_counted_and_timed(void **state)
{
    const struct engine_rig *rig = *state;
    engine_rig_put(*state, 1, 10);
    char *text = text_of(rig);
    assert_value(text, "stoa_messages_total{message=\"StoreBlock\"}", 10);
    assert_value(text, "stoa_message_seconds_count{message=\"StoreBlock\"}", 10);
    assert_value(text, "stoa_message_errors_total{message=\"StoreBlock\"}", 0);
    assert_true(exposition_value(text, "stoa_message_seconds_sum{message=\"StoreBlock\"}") > 0);
    assert_true(exposition_value(text, "stoa_mailbox_wait_seconds_count") >= 10);
    assert_value(text, "stoa_requests_under_way", 0);
    stoa_free(text);
}

static void the_ledger_and_its_writes_are_counted(void **state)
{
    const struct engine_rig *rig = *state;
    engine_rig_put(*state, 1, 10);
    char *text = text_of(rig);
    assert_true(exposition_value(text, "stoa_ledger_groups_total") >= 1);
    assert_true(exposition_value(text, "stoa_ledger_appends_total") >= 10);
    assert_true(exposition_value(text, "stoa_ledger_frame_bytes_total") > 1000);
    assert_true(exposition_value(text, "stoa_ledger_commit_seconds_count") >= 1);
    assert_true(exposition_value(text, "stoa_ledger_group_frames_sum") >= 10);
    assert_true(exposition_value(text, "stoa_io_requests_total{operation=\"write\"}") >= 1);
    assert_true(exposition_value(text, "stoa_io_bytes_total{operation=\"write\"}") > 1000);
    assert_true(exposition_value(text, "stoa_io_submissions_total") >= 1);
    assert_value(text, "stoa_ledger_commit_errors_total", 0);
    stoa_free(text);
}

static void checkpoints_and_applied_batches_are_counted(void **state)
{
    const struct engine_rig *rig = *state;
    engine_rig_put(*state, 1, 10);
    assert_int_equal(stoa_checkpoint(rig->stoa, NULL), 0);
    char *text = text_of(rig);
    assert_true(exposition_value(text, "stoa_jobs_total{job=\"apply\"}") >= 1);
    assert_true(exposition_value(text, "stoa_jobs_total{job=\"checkpoint\"}") >= 1);
    assert_true(exposition_value(text, "stoa_job_seconds_count{job=\"verify\"}") >= 10);
    assert_true(exposition_value(text, "stoa_applier_batch_blocks_sum") >= 10);
    assert_true(exposition_value(text, "stoa_table_bytes") > 0);
    assert_true(exposition_value(text, "stoa_ledger_bytes") > 0);
    assert_true(exposition_value(text, "stoa_disk_free_bytes") > 0);
    assert_true(exposition_value(text, "stoa_memory_bytes") > 1000000);
    stoa_free(text);
}

static void what_is_not_found_is_no_error_and_what_is_refused_is(void **state)
{
    const struct engine_rig *rig = *state;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 40};
    struct stoa_block block;
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), STOA_ENOTFOUND);
    struct stoa_store_block bad = engine_rig_put_of(rig, 1);
    bad.block.size--;
    assert_true(stoa_store_block(rig->stoa, &bad, NULL) < 0);
    char *text = text_of(rig);
    assert_value(text, "stoa_errors_total{error=\"STOA_ENOTFOUND\"}", 1);
    assert_value(text, "stoa_message_errors_total{message=\"GetBlockByHeight\"}", 0);
    assert_value(text, "stoa_message_errors_total{message=\"StoreBlock\"}", 1);
    stoa_free(text);
}

static void bad_arguments_are_refused(void **state)
{
    const struct engine_rig *rig = *state;
    assert_int_equal(stoa_metrics_text(rig->stoa, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_metrics_list(rig->stoa, NULL, NULL), STOA_EINVAL);
    assert_null(stoa_alert_name(STOA_ALERT_END));
    assert_string_equal(stoa_alert_name(STOA_ALERT_MEMORY), "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_BOTH(stored_blocks_are_counted_and_timed),
        ENGINE_RIG_BOTH(the_ledger_and_its_writes_are_counted),
        ENGINE_RIG_BOTH(checkpoints_and_applied_batches_are_counted),
        ENGINE_RIG_BOTH(what_is_not_found_is_no_error_and_what_is_refused_is),
        ENGINE_RIG_BOTH(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
