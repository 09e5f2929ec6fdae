/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/log_lines.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TIME_SIZE = 40 };

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int level_numbers[] = {3, 4, 6, 7}; /* syslog's */

/* In quotation marks, in a form that JSON and a person can both read. */
static int append_quoted(struct buffer *out, const char *text)
{
    int result = buffer_append(out, "\"", 1);
    for (const char *c = text; result == 0 && *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            result = buffer_append_format(out, "\\%c", *c);
        } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            result = buffer_append_format(out, "\\u%04x", (unsigned)(unsigned char)*c);
        } else {
            result = buffer_append(out, c, 1);
        }
    }
    return result == 0 ? buffer_append(out, "\"", 1) : result;
}

/* Plain where it can stand without quotation marks. */
static int append_value(struct buffer *out, const char *text)
{
    bool plain = text[0] != '\0';
    for (const char *c = text; plain && *c != '\0'; c++) {
        plain = (unsigned char)*c > 0x20 && *c != '"' && *c != '=' && *c != '\\' && *c != 0x7f;
    }
    return plain ? buffer_append(out, text, strlen(text)) : append_quoted(out, text);
}

static int append_field(bool json, const struct event_field *field, struct buffer *out)
{
    if (field->is_text && field->text == NULL) {
        return 0;
    }
    int result = buffer_append_format(out, json ? ",\"%s\":" : " %s=", field->key);
    if (result != 0) {
        return result;
    }
    if (!field->is_text) {
        return buffer_append_format(out, "%lld", (long long)field->number);
    }
    return json ? append_quoted(out, field->text) : append_value(out, field->text);
}

int log_lines_format(const struct log_lines *lines, const char *time, enum event_level level,
                     const char *event, const struct event_field *fields, size_t count,
                     struct buffer *out)
{
    bool json = atomic_load_explicit(&lines->json, memory_order_relaxed);
    int result = 0;
    if (lines->journal) {
        result = buffer_append_format(out, "<%d>", level_numbers[level]);
    }
    if (result == 0 && json) {
        result =
            time != NULL
                ? buffer_append_format(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"",
                                       time, level_names[level], event)
                : buffer_append_format(out, "{\"level\":\"%s\",\"event\":\"%s\"",
                                       level_names[level], event);
    } else if (result == 0) {
        result = time != NULL
                     ? buffer_append_format(out, "time=%s level=%s event=%s", time,
                                            level_names[level], event)
                     : buffer_append_format(out, "level=%s event=%s", level_names[level], event);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = append_field(json, &fields[i], out);
    }
    return result == 0 ? buffer_append_format(out, json ? "}\n" : "\n") : result;
}

void log_lines_init(struct log_lines *lines, int file)
{
    *lines = (struct log_lines){.file = file};
    pthread_mutex_init(&lines->order, NULL);
    atomic_init(&lines->json, false);
    atomic_init(&lines->level, 0);
}

/* Whether PIPE_BUF bytes can be written without waiting. */
static bool takes_more(const struct log_lines *lines)
{
    struct pollfd look = {.fd = lines->file, .events = POLLOUT};
    int found;
    do {
        found = poll(&look, 1, 0);
    } while (found < 0 && errno == EINTR);
    return found > 0 && (look.revents & POLLOUT) != 0;
}

/* True: all of it. */
static bool write_all(struct log_lines *lines, struct bytes text)
{
    while (text.size != 0 && takes_more(lines)) {
        size_t size = text.size < PIPE_BUF ? text.size : PIPE_BUF;
        ssize_t written = write(lines->file, text.data, size);
        if (written > 0) {
            text = bytes_of(text.data + written, text.size - (size_t)written);
            lines->torn = text.size != 0;
        } else if (written == 0 || errno != EINTR) {
            break; /* nobody reads it: there is nowhere to say so */
        }
    }
    return text.size == 0;
}

static void write_line(struct log_lines *lines, struct bytes line)
{
    static const uint8_t end = '\n';
    if (!lines->torn || write_all(lines, bytes_of(&end, 1))) {
        lines->lost += !write_all(lines, line);
    } else {
        lines->lost++;
    }
}

/* "2026-11-30T12:00:00.000Z"; NULL where the journal has its own. */
static const char *time_of(const struct log_lines *lines, char text[TIME_SIZE])
{
    struct timespec now;
    struct tm parts;
    if (lines->journal) {
        return NULL;
    }
    text[0] = '\0';
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) != NULL) {
        size_t length = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
        (void)snprintf(text + length, TIME_SIZE - length, ".%03ldZ", now.tv_nsec / 1000000);
    }
    return text;
}

static void say(struct log_lines *lines, enum event_level level, const char *event,
                const struct event_field *fields, size_t count)
{
    char text[TIME_SIZE];
    struct buffer line = {.data = NULL};
    if (log_lines_format(lines, time_of(lines, text), level, event, fields, count, &line) == 0) {
        write_line(lines, buffer_bytes(&line));
    }
    buffer_deinit(&line);
}

void log_lines_say(void *context, enum event_level level, const char *event,
                   const struct event_field *fields, size_t count)
{
    struct log_lines *lines = context;
    if ((int)level > atomic_load_explicit(&lines->level, memory_order_relaxed)) {
        return;
    }
    pthread_mutex_lock(&lines->order);
    if (lines->lost != 0 && takes_more(lines)) {
        const struct event_field lost = EVENT_NUMBER("lines", lines->lost);
        lines->lost = 0;
        say(lines, EVENT_WARNING, "lines_lost", &lost, 1);
    }
    say(lines, level, event, fields, count);
    pthread_mutex_unlock(&lines->order);
}
