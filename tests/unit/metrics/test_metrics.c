/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "metrics/metrics.h"
#include "support/exposition.h"

/* The text, terminated; the buffer owns it. */
static const char *text_of(const struct metrics *metrics, struct buffer *buffer)
{
    buffer_clear(buffer);
    assert_int_equal(metrics_text(metrics, buffer), 0);
    assert_int_equal(buffer_append(buffer, "", 1), 0);
    return (const char *)buffer->data;
}

static void assert_sound(const char *text)
{
    size_t line;
    const char *wrong = exposition_check(text, &line);
    if (wrong != NULL) {
        fail_msg("line %zu: %s", line, wrong);
    }
}

static void counting_in_nothing_does_nothing(void **state)
{
    (void)state;
    metrics_count(NULL, METRICS_GROUPS, 1);
    metrics_set(NULL, METRICS_GROUPS, 1);
    metrics_record(NULL, METRICS_COMMIT_TIME, 1);
    assert_int_equal(metrics_get(NULL, METRICS_GROUPS), 0);
    metrics_destroy(NULL);
}

static void rows_do_not_share_values(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    metrics_count(metrics, METRICS_MESSAGES + STOA_MESSAGE_END - 1, 3);
    metrics_count(metrics, METRICS_MESSAGES, 4);
    assert_int_equal(metrics_get(metrics, METRICS_MESSAGE_ERRORS), 0);
    assert_int_equal(metrics_get(metrics, METRICS_MESSAGES + STOA_MESSAGE_END - 1), 3);
    assert_int_equal(metrics_get(metrics, METRICS_MESSAGES), 4);
    metrics_destroy(metrics);
}

static void the_text_of_a_new_store_is_sound(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct buffer buffer;
    buffer_init(&buffer);
    const char *text = text_of(metrics, &buffer);
    assert_sound(text);
    assert_true(exposition_value(text, "stoa_ledger_groups_total") == 0);
    assert_true(exposition_value(text, "stoa_messages_total{message=\"StoreBlock\"}") == 0);
    assert_true(exposition_value(text, "stoa_ledger_commit_seconds_count") == 0);
    buffer_deinit(&buffer);
    metrics_destroy(metrics);
}

static void every_value_is_in_the_text(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct buffer buffer;
    buffer_init(&buffer);
    for (unsigned i = 0; i < METRICS_VALUES_END; i++) {
        metrics_count(metrics, i, i + 1);
    }
    for (unsigned i = 0; i < METRICS_HISTOGRAMS_END; i++) {
        metrics_record(metrics, i, i);
        metrics_record(metrics, i, UINT64_C(3) << i % 40);
    }
    assert_sound(text_of(metrics, &buffer));
    buffer_deinit(&buffer);
    metrics_destroy(metrics);
}

static void times_are_told_in_seconds(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct buffer buffer;
    buffer_init(&buffer);
    unsigned histogram = METRICS_MESSAGE_TIME + STOA_MESSAGE_GET_BLOCK;
    metrics_record(metrics, histogram, 2000000000);
    metrics_record(metrics, histogram, 500);
    const char *text = text_of(metrics, &buffer);
    assert_sound(text);
    assert_true(exposition_value(text, "stoa_message_seconds_sum{message=\"GetBlock\"}") ==
                2.0000005);
    assert_true(exposition_value(text, "stoa_message_seconds_bucket{message=\"GetBlock\","
                                       "le=\"0.000001023\"}") == 1);
    assert_true(exposition_value(text, "stoa_message_seconds_count{message=\"GetBlock\"}") == 2);
    assert_true(exposition_value(text, "stoa_message_seconds_count{message=\"GetHead\"}") == -1);
    buffer_deinit(&buffer);
    metrics_destroy(metrics);
}

static void note_commit(void *context, const struct stoa_metric *metric)
{
    if (strcmp(metric->name, "stoa_ledger_commit_seconds") == 0) {
        *(struct stoa_metric *)context = *metric;
    }
}

static void the_list_tells_quantiles(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct stoa_metric metric = {.size = 0};
    for (uint64_t i = 1; i <= 100; i++) {
        metrics_record(metrics, METRICS_COMMIT_TIME, i * 1000000);
    }
    metrics_list(metrics, note_commit, &metric);
    assert_int_equal(metric.kind, STOA_METRIC_HISTOGRAM);
    assert_null(metric.label);
    assert_int_equal(metric.count, 100);
    assert_true(metric.p50 >= 0.050 && metric.p50 <= 0.0532);
    assert_true(metric.p95 >= 0.095 && metric.p95 <= 0.100);
    assert_true(metric.p99 >= 0.099 && metric.p99 <= 0.100);
    assert_true(metric.max == 0.1);
    assert_true(metric.sum > 5.0499 && metric.sum < 5.0501);
    metrics_destroy(metrics);
}

static void count_metric(void *context, const struct stoa_metric *metric)
{
    assert_true((metric->label == NULL) == (metric->label_value == NULL));
    assert_true(metric->help[0] != '\0');
    assert_int_equal(strncmp(metric->name, "stoa_", 5), 0);
    ++*(unsigned *)context;
}

static void the_list_leaves_labels_that_never_counted_out(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    unsigned before = 0;
    unsigned after = 0;
    metrics_list(metrics, count_metric, &before);
    metrics_count(metrics, METRICS_MESSAGES + STOA_MESSAGE_GET_HEAD, 1);
    metrics_count(metrics, METRICS_ERRORS + 3, 1);                     /* STOA_EIO */
    metrics_count(metrics, METRICS_ERRORS + METRICS_ERROR_MAX - 1, 1); /* nobody's number */
    metrics_list(metrics, count_metric, &after);
    assert_int_equal(after, before + 2);
    metrics_destroy(metrics);
}

static void too_little_memory_is_told(void **state)
{
    (void)state;
    memory_fail_at(1);
    assert_null(metrics_create());
    struct metrics *metrics = metrics_create();
    struct buffer buffer;
    buffer_init(&buffer);
    memory_fail_at(3);
    assert_int_equal(metrics_text(metrics, &buffer), STOA_ENOMEM);
    memory_fail_at(0);
    buffer_deinit(&buffer);
    metrics_destroy(metrics);
}

/* The checker itself: each text is wrong in one place. */
static void the_checker_finds_what_is_wrong(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "x 1",
        "x_total 1\n",
        "# HELP x_total a\n# TYPE x_total counter\nx_total 1",
        "# HELP x_total a\n# TYPE x_total counter\nx_total -1\n",
        "# HELP x_total a\n# TYPE x_total counter\nx_total 1\nx_total 2\n",
        "# HELP x a\n# TYPE x counter\nx 1\n",
        "# HELP x a\n# TYPE x gauge\nx{a=b} 1\n",
        "# HELP x a\n# TYPE x gauge\nx one\n",
        "# HELP x a\n# TYPE x gauge\ny 1\n",
        "# HELP x a\n# TYPE x histogram\nx_bucket{le=\"1\"} 1\n",
        "# HELP x a\n# TYPE x histogram\nx_bucket{le=\"2\"} 1\nx_bucket{le=\"1\"} 2\n",
        "# HELP x a\n# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 1\n",
        "# HELP x a\n# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 2\n",
        "# HELP x a\n# TYPE x gauge\nx 1\n# HELP y a\n# TYPE y gauge\ny 1\n# HELP x a\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t line;
        if (exposition_check(texts[i], &line) == NULL) {
            fail_msg("text %zu was found sound", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_in_nothing_does_nothing),
        cmocka_unit_test(rows_do_not_share_values),
        cmocka_unit_test(the_text_of_a_new_store_is_sound),
        cmocka_unit_test(every_value_is_in_the_text),
        cmocka_unit_test(times_are_told_in_seconds),
        cmocka_unit_test(the_list_tells_quantiles),
        cmocka_unit_test(the_list_leaves_labels_that_never_counted_out),
        cmocka_unit_test(too_little_memory_is_told),
        cmocka_unit_test(the_checker_finds_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
