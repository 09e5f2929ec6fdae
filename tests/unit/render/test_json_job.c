/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "render/json_job.h"

static void same_text(const struct stoa_job_info *info, const char *wanted)
{
    struct buffer buffer = {.data = NULL};
    struct json_writer writer;
    json_writer_init(&writer, &buffer);
    json_job_append(&writer, NULL, info);
    assert_int_equal(json_writer_finish(&writer), 0);
    assert_int_equal(buffer_append(&buffer, "", 1), 0);
    assert_string_equal((const char *)buffer.data, wanted);
    buffer_deinit(&buffer);
}

static void all_that_is_known_of_a_job_is_shown(void **state)
{
    (void)state;
    struct stoa_job_info info = {
        .job = STOA_JOB_SCRUB,
        .state = STOA_JOB_RUNNING,
        .active = 1,
        .interrupted = 1,
        .flags = STOA_JOB_DRY_RUN,
        .done = 2,
        .total = 3,
        .bytes = 4,
        .operations = 5,
        .elapsed_ms = 6,
        .remaining_ms = 7,
        .started = 8,
        .ended = 9,
        .next = 10,
        .runs = 11,
        .failures = 12,
        .last_result = STOA_ECORRUPT,
        .last_error = "why",
        .text = "what",
        .fact_count = 2,
        .facts = {{"segments", 13}, {"damages", 14}},
    };
    same_text(&info,
              "{\"job\":\"scrub\",\"state\":\"running\",\"active\":true,\"interrupted\":true,"
              "\"dryRun\":true,\"done\":2,\"total\":3,\"bytes\":4,\"operations\":5,"
              "\"elapsedMs\":6,\"remainingMs\":7,\"started\":8,\"ended\":9,\"next\":10,"
              "\"runs\":11,\"failures\":12,\"lastResult\":\"STOA_ECORRUPT\","
              "\"lastError\":\"why\",\"text\":\"what\","
              "\"results\":{\"segments\":13,\"damages\":14}}");
}

static void a_time_that_is_not_known_is_null(void **state)
{
    (void)state;
    struct stoa_job_info info = {.job = STOA_JOB_CHECKPOINT, .remaining_ms = UINT64_MAX};
    struct buffer buffer = {.data = NULL};
    struct json_writer writer;
    json_writer_init(&writer, &buffer);
    json_job_append(&writer, NULL, &info);
    assert_int_equal(buffer_append(&buffer, "", 1), 0);
    assert_non_null(strstr((const char *)buffer.data, "\"remainingMs\":null"));
    assert_non_null(strstr((const char *)buffer.data, "\"results\":{}"));
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_known_of_a_job_is_shown),
        cmocka_unit_test(a_time_that_is_not_known_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
