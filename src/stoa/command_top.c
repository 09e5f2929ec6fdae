/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_top.c: what a store does, looked at again and again: two looks at its metrics make rates.
 * On a terminal it is a screen that is redrawn until q; else, and in JSON, one look a second after
 * the first. The screen is text first and drawn second, so both are the same. */
#include <inttypes.h>
#include <math.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/console.h"

enum { ROWS_MAX = 64, NAME_SIZE = 32, PAUSE_MAX_S = 60, REASONS_SHOWN = 4 };

/* Values of one label: a message, a class of the cache, a job. */
struct row {
    char name[NAME_SIZE];
    double count; /* of messages, hits, jobs */
    double other; /* of errors, misses, failures */
    double bytes;
    double p50;
    double p95;
    double p99;
};

struct rows {
    size_t count;
    struct row rows[ROWS_MAX];
};

struct look {
    struct timespec at;
    struct rows messages;
    struct rows classes;
    struct rows jobs;
    double head;
    double memory;
    double disk_free;
    double ledger;
    double tables;
    double pending;
    double waiting; /* batches of the applier */
    double under_way;
    double views;
    double sequence;
    double applied;
    double frame_bytes;
    double commits;
    double commit_p50;
    double commit_p99;
};

/* ---- looking ---- */

static struct row *row_of(struct rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (strcmp(rows->rows[i].name, name) == 0) {
            return &rows->rows[i];
        }
    }
    if (rows->count == ROWS_MAX) {
        return NULL;
    }
    struct row *row = &rows->rows[rows->count++];
    *row = (struct row){.count = 0};
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

static void note_row(struct look *look, const struct stoa_metric *metric)
{
    static const struct {
        const char *name;
        size_t rows;  /* in struct look */
        size_t value; /* in struct row; of a histogram the first of its three */
    } known[] = {
        {"stoa_messages_total", offsetof(struct look, messages), offsetof(struct row, count)},
        {"stoa_message_errors_total", offsetof(struct look, messages), offsetof(struct row, other)},
        {"stoa_message_seconds", offsetof(struct look, messages), offsetof(struct row, p50)},
        {"stoa_cache_hits_total", offsetof(struct look, classes), offsetof(struct row, count)},
        {"stoa_cache_misses_total", offsetof(struct look, classes), offsetof(struct row, other)},
        {"stoa_cache_bytes", offsetof(struct look, classes), offsetof(struct row, bytes)},
        {"stoa_jobs_total", offsetof(struct look, jobs), offsetof(struct row, count)},
        {"stoa_job_errors_total", offsetof(struct look, jobs), offsetof(struct row, other)},
        {"stoa_job_seconds", offsetof(struct look, jobs), offsetof(struct row, p50)},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(metric->name, known[i].name) != 0 || metric->label_value == NULL) {
            continue;
        }
        struct row *row =
            row_of((struct rows *)(void *)((char *)look + known[i].rows), metric->label_value);
        if (row == NULL) {
            return;
        }
        if (metric->kind == STOA_METRIC_HISTOGRAM) {
            row->p50 = metric->p50;
            row->p95 = metric->p95;
            row->p99 = metric->p99;
        } else {
            *(double *)(void *)((char *)row + known[i].value) = metric->value;
        }
    }
}

static void note_metric(void *context, const struct stoa_metric *metric)
{
    struct look *look = context;
    const struct {
        const char *name;
        double *value;
    } known[] = {
        {"stoa_head_height", &look->head},
        {"stoa_memory_bytes", &look->memory},
        {"stoa_disk_free_bytes", &look->disk_free},
        {"stoa_ledger_bytes", &look->ledger},
        {"stoa_table_bytes", &look->tables},
        {"stoa_pending_blocks", &look->pending},
        {"stoa_applier_batches", &look->waiting},
        {"stoa_requests_under_way", &look->under_way},
        {"stoa_views", &look->views},
        {"stoa_ledger_sequence", &look->sequence},
        {"stoa_applied_sequence", &look->applied},
        {"stoa_ledger_frame_bytes_total", &look->frame_bytes},
        {"stoa_ledger_groups_total", &look->commits},
    };
    note_row(look, metric);
    if (strcmp(metric->name, "stoa_ledger_commit_seconds") == 0) {
        look->commit_p50 = metric->p50;
        look->commit_p99 = metric->p99;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(metric->name, known[i].name) == 0) {
            *known[i].value = metric->value;
        }
    }
}

static int take_look(struct stoa *stoa, struct look *out)
{
    *out = (struct look){.head = 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &out->at); /* this clock is always there */
    return stoa_metrics_list(stoa, note_metric, out);
}

static double seconds_between(const struct look *before, const struct look *now)
{
    double seconds = (double)(now->at.tv_sec - before->at.tv_sec) +
                     (double)(now->at.tv_nsec - before->at.tv_nsec) / 1e9;
    return seconds > 0.001 ? seconds : 0.001;
}

static const struct row *row_before(const struct rows *rows, const char *name)
{
    static const struct row none;
    for (size_t i = 0; i < rows->count; i++) {
        if (strcmp(rows->rows[i].name, name) == 0) {
            return &rows->rows[i];
        }
    }
    return &none;
}

/* ---- as text ---- */

static const char *time_text(double seconds, char out[NAME_SIZE])
{
    if (seconds <= 0) {
        (void)snprintf(out, NAME_SIZE, "-");
    } else if (seconds < 0.001) {
        (void)snprintf(out, NAME_SIZE, "%.0f us", seconds * 1e6);
    } else if (seconds < 1) {
        (void)snprintf(out, NAME_SIZE, "%.1f ms", seconds * 1e3);
    } else {
        (void)snprintf(out, NAME_SIZE, "%.1f s", seconds);
    }
    return out;
}

static const char *bytes_text(double bytes, char out[SHEET_TEXT_SIZE])
{
    return sheet_size_text(bytes > 0 ? (uint64_t)bytes : 0, out);
}

static void add_top(struct sheet *sheet, const struct look *before, const struct look *now)
{
    char a[SHEET_TEXT_SIZE];
    char b[SHEET_TEXT_SIZE];
    char c[NAME_SIZE];
    char d[NAME_SIZE];
    double seconds = seconds_between(before, now);
    sheet_add(sheet, "memory %s   free on disk %s", bytes_text(now->memory, a),
              bytes_text(now->disk_free, b));
    sheet_add(sheet, "   ledger %s", bytes_text(now->ledger, a));
    sheet_add(sheet, "   tables %s\n", bytes_text(now->tables, a));
    sheet_add(sheet,
              "under way %.0f   views %.0f   pending blocks %.0f   batches %.0f   behind %.0f\n",
              now->under_way, now->views, now->pending, now->waiting, now->sequence - now->applied);
    sheet_add(sheet, "commits %.0f/s   written %s/s   commit p50 %s p99 %s\n",
              (now->commits - before->commits) / seconds,
              bytes_text((now->frame_bytes - before->frame_bytes) / seconds, a),
              time_text(now->commit_p50, c), time_text(now->commit_p99, d));
}

static void add_messages(struct sheet *sheet, const struct look *before, const struct look *now)
{
    double seconds = seconds_between(before, now);
    sheet_add(sheet, "\n%-24s %10s %10s %10s %10s %10s\n", "MESSAGE", "a second", "errors/s", "p50",
              "p95", "p99");
    for (size_t i = 0; i < now->messages.count; i++) {
        const struct row *row = &now->messages.rows[i];
        const struct row *old = row_before(&before->messages, row->name);
        char p50[NAME_SIZE];
        char p95[NAME_SIZE];
        char p99[NAME_SIZE];
        sheet_add(sheet, "%-24s %10.0f %10.0f %10s %10s %10s\n", row->name,
                  (row->count - old->count) / seconds, (row->other - old->other) / seconds,
                  time_text(row->p50, p50), time_text(row->p95, p95), time_text(row->p99, p99));
    }
}

static void add_cache(struct sheet *sheet, const struct look *before, const struct look *now)
{
    double seconds = seconds_between(before, now);
    sheet_add(sheet, "\n%-24s %10s %10s %10s\n", "CACHE", "lookups/s", "hit rate", "memory");
    for (size_t i = 0; i < now->classes.count; i++) {
        const struct row *row = &now->classes.rows[i];
        const struct row *old = row_before(&before->classes, row->name);
        double hits = row->count - old->count;
        double lookups = hits + row->other - old->other;
        char memory[SHEET_TEXT_SIZE];
        sheet_add(sheet, "%-24s %10.0f ", row->name, lookups / seconds);
        if (lookups > 0) {
            sheet_add(sheet, "%8.1f %%", 100 * hits / lookups);
        } else {
            sheet_add(sheet, "%10s", "-");
        }
        sheet_add(sheet, " %10s\n", bytes_text(row->bytes, memory));
    }
}

static void add_jobs(struct sheet *sheet, const struct look *before, const struct look *now)
{
    sheet_add(sheet, "\n%-24s %10s %10s %10s %10s\n", "JOB", "ended", "since", "failed", "p99");
    for (size_t i = 0; i < now->jobs.count; i++) {
        const struct row *row = &now->jobs.rows[i];
        const struct row *old = row_before(&before->jobs, row->name);
        char p99[NAME_SIZE];
        sheet_add(sheet, "%-24s %10.0f %10.0f %10.0f %10s\n", row->name, row->count,
                  row->count - old->count, row->other, time_text(row->p99, p99));
    }
}

/* All of a screen; its first line says how the store is. */
static int add_screen(struct sheet *sheet, struct stoa *stoa, const struct look *before,
                      const struct look *now)
{
    struct stoa_health health = STOA_HEALTH_INIT;
    int result = stoa_get_health(stoa, &health);
    if (result != 0) {
        return result;
    }
    sheet_add(sheet, "stoa %s   %s   head %.0f (+%.0f)\n", stoa_version(),
              stoa_health_name(health.state), now->head, now->head - before->head);
    for (unsigned i = 0; i < health.reason_count && i < REASONS_SHOWN; i++) {
        sheet_add(sheet, "  %s\n", health.reasons[i].text);
    }
    add_top(sheet, before, now);
    add_messages(sheet, before, now);
    add_cache(sheet, before, now);
    add_jobs(sheet, before, now);
    return 0;
}

/* ---- as JSON ---- */

static void write_rows(struct json_writer *json, const char *key, const struct rows *before,
                       const struct rows *now, double seconds)
{
    json_writer_array_begin(json, key);
    for (size_t i = 0; i < now->count; i++) {
        const struct row *row = &now->rows[i];
        const struct row *old = row_before(before, row->name);
        json_writer_object_begin(json, NULL);
        json_writer_text(json, "name", row->name);
        json_writer_real(json, "perSecond", (row->count - old->count) / seconds);
        json_writer_real(json, "otherPerSecond", (row->other - old->other) / seconds);
        json_writer_real(json, "total", row->count);
        json_writer_real(json, "bytes", row->bytes);
        json_writer_real(json, "p50Ms", row->p50 * 1e3);
        json_writer_real(json, "p99Ms", row->p99 * 1e3);
        json_writer_object_end(json);
    }
    json_writer_array_end(json);
}

static void write_json(struct json_writer *json, const char *health, const struct look *before,
                       const struct look *now)
{
    double seconds = seconds_between(before, now);
    json_writer_object_begin(json, NULL);
    json_writer_text(json, "health", health);
    json_writer_real(json, "head", now->head);
    json_writer_real(json, "memoryBytes", now->memory);
    json_writer_real(json, "diskFreeBytes", now->disk_free);
    json_writer_real(json, "pendingBlocks", now->pending);
    json_writer_real(json, "underWay", now->under_way);
    json_writer_real(json, "commitsPerSecond", (now->commits - before->commits) / seconds);
    write_rows(json, "messages", &before->messages, &now->messages, seconds);
    write_rows(json, "cache", &before->classes, &now->classes, seconds);
    write_rows(json, "jobs", &before->jobs, &now->jobs, seconds);
    json_writer_object_end(json);
}

/* ---- once ---- */

static int show_once(const struct options *options, struct stoa *stoa, struct look looks[2])
{
    const struct timespec second = {.tv_sec = 1};
    struct answer answer;
    int result = take_look(stoa, &looks[0]);
    if (result == 0) {
        (void)nanosleep(&second, NULL); /* a signal makes it a shorter look */
        result = take_look(stoa, &looks[1]);
    }
    answer_init(&answer, options);
    struct stoa_health health = STOA_HEALTH_INIT;
    if (result == 0) {
        result = stoa_get_health(stoa, &health);
    }
    if (result == 0) {
        write_json(&answer.json, stoa_health_name(health.state), &looks[0], &looks[1]);
        result = add_screen(&answer.sheet, stoa, &looks[0], &looks[1]);
    }
    if (result != 0) {
        answer_deinit(&answer);
        struct stoa_detail detail = {.code = result};
        return command_fail(result, &detail, "top");
    }
    return answer_finish(&answer);
}

/* ---- on a terminal ---- */

static void draw(const struct sheet *sheet, bool colors)
{
    int lines;
    int columns;
    getmaxyx(stdscr, lines, columns);
    erase();
    const char *p = (const char *)sheet->text.data;
    const char *end = p + sheet->text.size;
    for (int y = 0; y < lines - 1 && p < end; y++) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        int size = (int)((line_end == NULL ? end : line_end) - p);
        bool bold = y == 0 || (size > 0 && p[0] >= 'A' && p[0] <= 'Z');
        int attributes = bold ? (int)A_BOLD : 0;
        if (colors && y == 0) {
            bool good = strstr(p, "healthy") != NULL && strstr(p, "healthy") < p + size;
            attributes |= (int)COLOR_PAIR(good ? 1 : 2);
        }
        attron(attributes);
        mvaddnstr(y, 0, p, size < columns ? size : columns);
        attroff(attributes);
        p += size + 1;
    }
    mvaddnstr(lines - 1, 0, "q ends   + - time between two looks", columns);
    refresh();
}

static bool start_screen(bool *out_colors)
{
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (screen == NULL) {
        console_error("top: this terminal cannot be drawn on");
        return false;
    }
    (void)set_term(screen);
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    const char *none = getenv("NO_COLOR");
    *out_colors = has_colors() && (none == NULL || none[0] == '\0');
    if (*out_colors) {
        start_color();
        use_default_colors();
        init_pair(1, COLOR_GREEN, -1);
        init_pair(2, COLOR_RED, -1);
    }
    return true;
}

static int show_screen(struct stoa *stoa, struct look looks[2])
{
    bool colors;
    int pause_s = 2;
    int key = 0;
    if (!start_screen(&colors)) {
        return COMMAND_FAILED;
    }
    int result = take_look(stoa, &looks[0]);
    timeout(500); /* the first rates come sooner */
    while (result == 0 && key != 'q' && key != 'Q') {
        key = getch();
        pause_s += key == '+' && pause_s < PAUSE_MAX_S;
        pause_s -= key == '-' && pause_s > 1;
        result = take_look(stoa, &looks[1]);
        struct sheet sheet;
        sheet_init(&sheet);
        if (result == 0) {
            result = add_screen(&sheet, stoa, &looks[0], &looks[1]);
        }
        if (result == 0) {
            draw(&sheet, colors);
            looks[0] = looks[1];
        }
        sheet_deinit(&sheet);
        timeout(pause_s * 1000);
    }
    endwin();
    struct stoa_detail detail = {.code = result};
    return result == 0 ? COMMAND_DONE : command_fail(result, &detail, "top");
}

int command_top_run(const struct options *options)
{
    struct look *looks = memory_alloc_zeroed(2, sizeof(*looks));
    struct stoa *stoa;
    if (looks == NULL) {
        console_error("top: %s", stoa_strerror(STOA_ENOMEM));
        return COMMAND_FAILED;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        memory_free(looks);
        return status;
    }
    bool screen = !options->json && isatty(STDOUT_FILENO) != 0 && isatty(STDIN_FILENO) != 0;
    status = screen ? show_screen(stoa, looks) : show_once(options, stoa, looks);
    memory_free(looks);
    return command_close(stoa, status);
}
