/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stoad/limits.h"
#include "stoad/log_lines.h"
#include "stoad/settings.h"

static int parse(struct settings *settings, const char *text, struct error_detail *detail)
{
    *detail = (struct error_detail){.code = 0};
    return settings_parse_text(settings, "f", text, strlen(text), detail);
}

static void sizes_numbers_choices_and_switches_are_read(void **state)
{
    (void)state;
    struct settings settings;
    struct error_detail detail;
    assert_int_equal(settings_init(&settings), 0);
    assert_int_equal(settings.number[SETTING_CACHE_SIZE], 256 << 20);
    assert_int_equal(parse(&settings,
                           "cache-size = 2G\ntable-cache-size=5M\nio = threads\n"
                           "cache-touch = yes\nstop-seconds = 600\n",
                           &detail),
                     0);
    assert_int_equal(settings.number[SETTING_CACHE_SIZE], (uint64_t)2 << 30);
    assert_int_equal(settings.number[SETTING_TABLE_CACHE_SIZE], 5 << 20);
    assert_int_equal(settings.number[SETTING_IO], 2);
    assert_int_equal(settings.number[SETTING_CACHE_TOUCH], 1);
    assert_int_equal(settings.number[SETTING_STOP_SECONDS], 600);
    settings_deinit(&settings);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\ncache-size = 2X",
        "\ncache-size = -1",
        "\ncache-size =",
        "\nstop-seconds = 601",
        "\nstop-seconds = 5M",
        "\nio = rings",
        "\nio = ",
        "\ncache-touch = 1",
        "\nunknown = 1",
        "\ncache-size = 99999999999999999999",
        "\ncache-size = 18014398509481984K",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct settings settings;
        struct error_detail detail;
        assert_int_equal(settings_init(&settings), 0);
        assert_int_equal(parse(&settings, wrong[i], &detail), STOA_EINVAL);
        if (strncmp(detail.text, "f:2: ", 5) != 0) {
            fail_msg("%s: %s", wrong[i], detail.text);
        }
        settings_deinit(&settings);
    }
}

static void the_line_wins_and_nothing_is_given_twice(void **state)
{
    (void)state;
    struct settings settings;
    struct error_detail detail;
    assert_int_equal(settings_init(&settings), 0);
    assert_int_equal(settings_set(&settings, SETTING_CACHE_SIZE, "7M", &detail), 0);
    settings.on_line[SETTING_CACHE_SIZE] = true;
    assert_int_equal(parse(&settings, "cache-size = 8M\n", &detail), 0);
    assert_int_equal(settings.number[SETTING_CACHE_SIZE], 7 << 20);
    assert_int_equal(parse(&settings, "io = ring\nio = ring\n", &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "twice"));
    settings_deinit(&settings);
}

static void options_of_the_store_follow(void **state)
{
    (void)state;
    struct settings settings;
    struct error_detail detail;
    struct stoa_options options;
    struct stoa_cache_options cache;
    struct stoa_maintenance maintenance;
    assert_int_equal(settings_init(&settings), 0);
    assert_int_equal(parse(&settings,
                           "cache-size = 0\nwrite-policy = through\nrestarts-max = 0\n"
                           "keep-history = 64\nsegment-size = 1M\ncache-preset = write\n"
                           "backup-directory = /there\nbackup-seconds = 60\n",
                           &detail),
                     0);
    assert_int_equal(limits_check(&settings, &detail), 0);
    limits_store_options(&settings, &options, &cache, &maintenance);
    assert_true(cache.capacity == STOA_NO_CACHE);
    assert_int_equal(cache.policy, STOA_WRITE_THROUGH);
    assert_int_equal(cache.preset, STOA_PRESET_WRITE);
    assert_int_equal(options.restarts_max, STOA_NO_RESTARTS);
    assert_int_equal(options.history_blocks, 64);
    assert_int_equal(options.segment_size, 1 << 20);
    assert_ptr_equal(options.cache, &cache);
    assert_ptr_equal(options.maintenance, &maintenance);
    assert_string_equal(maintenance.backup_directory, "/there");
    assert_int_equal(maintenance.backup_keep, 7);
    assert_int_equal(maintenance.jobs[STOA_JOB_BACKUP].every_seconds, 60);
    assert_int_equal(parse(&settings, "keep-tries = 63\n", &detail), 0);
    assert_int_equal(limits_check(&settings, &detail), STOA_EINVAL);
    settings_deinit(&settings);
}

static void expect_line(bool json, bool journal, const char *wanted)
{
    struct log_lines lines;
    struct buffer out = {.data = NULL};
    const struct event_field fields[] = {
        EVENT_TEXT("plain", "word"),     EVENT_TEXT("spaces", "two words"),
        EVENT_TEXT("quote", "a\"b\\\n"), EVENT_TEXT("none", NULL),
        EVENT_TEXT("empty", ""),         EVENT_NUMBER("number", -5),
    };
    log_lines_init(&lines, -1);
    lines.journal = journal;
    atomic_init(&lines.json, json);
    assert_int_equal(
        log_lines_format(&lines, journal ? NULL : "T", EVENT_WARNING, "name", fields, 6, &out), 0);
    assert_int_equal(buffer_append(&out, "", 1), 0);
    assert_string_equal((const char *)out.data, wanted);
    buffer_deinit(&out);
}

static void lines_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    expect_line(false, false,
                "time=T level=warning event=name plain=word spaces=\"two words\" "
                "quote=\"a\\\"b\\\\\\u000a\" empty=\"\" number=-5\n");
    expect_line(true, false,
                "{\"time\":\"T\",\"level\":\"warning\",\"event\":\"name\",\"plain\":\"word\","
                "\"spaces\":\"two words\",\"quote\":\"a\\\"b\\\\\\u000a\",\"empty\":\"\","
                "\"number\":-5}\n");
    expect_line(false, true,
                "<4>level=warning event=name plain=word spaces=\"two words\" "
                "quote=\"a\\\"b\\\\\\u000a\" empty=\"\" number=-5\n");
}

/* How many lines TEXT has; a number behind "lines=" is of lines that it has not. */
static size_t count_lines(const char *text, size_t *lost)
{
    size_t count = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_non_null(strchr(line, '\n'));
        size_t length = (size_t)(strchr(line, '\n') - line);
        const char *told = strstr(line, "event=lines_lost lines=");
        if (told != NULL && told < line + length) {
            *lost += strtoul(told + strlen("event=lines_lost lines="), NULL, 10);
        } else {
            assert_non_null(strstr(line, "event=said"));
            count++;
        }
    }
    return count;
}

static void lines_that_nobody_reads_are_lost_and_counted(void **state)
{
    (void)state;
    enum { SAID = 3000, MORE = 10, PIPE_SIZE = 1 << 16 };
    static char text[2 * PIPE_SIZE];
    struct log_lines lines;
    int ends[2];
    size_t lost = 0;
    const struct event_field fields[] = {EVENT_TEXT("text", "some words that take room")};
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0); /* who waits for a reader waits for ever */
    log_lines_init(&lines, ends[1]);
    atomic_store(&lines.level, EVENT_INFO);
    for (unsigned i = 0; i < SAID; i++) {
        log_lines_say(&lines, EVENT_INFO, "said", fields, 1);
    }
    assert_true(lines.lost > 0);
    ssize_t got = read(ends[0], text, PIPE_SIZE);
    assert_true(got > 0);
    for (unsigned i = 0; i < MORE; i++) {
        log_lines_say(&lines, EVENT_INFO, "said", fields, 1);
    }
    ssize_t rest = read(ends[0], text + got, PIPE_SIZE);
    assert_true(rest > 0);
    text[got + rest] = '\0';
    size_t count = count_lines(text, &lost);
    assert_true(lost > 0);
    assert_int_equal(count + lost, SAID + MORE);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_numbers_choices_and_switches_are_read),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(the_line_wins_and_nothing_is_given_twice),
        cmocka_unit_test(options_of_the_store_follow),
        cmocka_unit_test(lines_are_quoted_where_they_must_be),
        cmocka_unit_test(lines_that_nobody_reads_are_lost_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
