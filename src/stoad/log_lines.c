/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/log_lines.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static void write_all(const uint8_t *data, size_t size)
{
    while (size != 0) {
        ssize_t written = write(STDERR_FILENO, data, size);
        if (written <= 0) {
            return; /* nobody reads it: there is nowhere to say so */
        }
        data += written;
        size -= (size_t)written;
    }
}

void log_lines_say(void *context, enum event_level level, const char *event,
                   const struct event_field *fields, size_t count)
{
    const struct log_lines *lines = context;
    if ((int)level > atomic_load_explicit(&lines->level, memory_order_relaxed)) {
        return;
    }
    char time_text[40] = "";
    if (!lines->journal) {
        struct timespec now;
        struct tm parts;
        clock_gettime(CLOCK_REALTIME, &now);
        if (gmtime_r(&now.tv_sec, &parts) != NULL) {
            size_t length = strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S", &parts);
            (void)snprintf(time_text + length, sizeof(time_text) - length, ".%03ldZ",
                           now.tv_nsec / 1000000);
        }
    }
    struct buffer line = {.data = NULL};
    if (log_lines_format(lines, lines->journal ? NULL : time_text, level, event, fields, count,
                         &line) == 0) {
        write_all(line.data, line.size);
    }
    buffer_deinit(&line);
}
