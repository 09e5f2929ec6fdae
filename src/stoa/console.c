/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/console.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stoa/error.h"

/* Of the process, as standard error is: whether a progress line stands on it, and since when. */
static bool line_shown;
static double line_time;
static enum { TERMINAL_UNKNOWN, TERMINAL_YES, TERMINAL_NO } terminal;

static void print_error_text(const char *text)
{
    console_progress_clear();
    (void)fprintf(stderr, "stoa: %s\n", text); /* nowhere left to tell a failure */
}

void console_error(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_error_text(text);
}

bool console_progress_due(void)
{
    if (terminal == TERMINAL_UNKNOWN) {
        terminal = isatty(STDERR_FILENO) != 0 ? TERMINAL_YES : TERMINAL_NO;
    }
    return terminal == TERMINAL_YES && (!line_shown || console_seconds() - line_time >= 0.1);
}

void console_progress(const char *format, ...)
{
    if (!console_progress_due()) {
        return;
    }
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\r%s\033[K", text); /* as above */
    (void)fflush(stderr);
    line_shown = true;
    line_time = console_seconds();
}

void console_progress_clear(void)
{
    if (line_shown) {
        (void)fputs("\r\033[K", stderr); /* as above */
        (void)fflush(stderr);
        line_shown = false;
    }
}

static bool flush_output(bool written)
{
    if (written && fflush(stdout) == 0) {
        return true;
    }
    char text[128];
    console_error("standard output: %s", strerror_r(errno, text, sizeof(text)));
    return false;
}

bool console_write(const struct buffer *text)
{
    console_progress_clear();
    return flush_output(text->size == 0 || fwrite(text->data, 1, text->size, stdout) == text->size);
}

bool console_write_json(const struct json_writer *json, struct buffer *text)
{
    int result = json_writer_finish(json);
    if (result == 0) {
        result = buffer_append(text, "\n", 1);
    }
    if (result != 0) {
        console_error("%s", stoa_strerror(result));
        return false;
    }
    return console_write(text);
}

bool console_print(const char *format, ...)
{
    console_progress_clear();
    va_list arguments;
    va_start(arguments, format);
    int length = vprintf(format, arguments);
    va_end(arguments);
    return flush_output(length >= 0);
}

double console_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
