/* SPDX-License-Identifier: GPL-3.0-or-later */
/* console.h: what a person or a script sees: messages and a progress line on standard error,
 * answers on standard output. One thread. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "render/json_writer.h"

/* "stoa: " and the text, on a line of its own. */
void console_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether a progress line would be shown: standard error is a terminal, and the last one is 100 ms
 * old. Cheap enough to ask for each block. */
bool console_progress_due(void);

/* Replace the progress line, where one is due. */
void console_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_progress_clear(void);

/* Write TEXT to standard output at once. False, with a message, where that fails. */
bool console_write(const struct buffer *text);

/* The same for what JSON wrote to TEXT, and a newline. */
bool console_write_json(const struct json_writer *json, struct buffer *text);

bool console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds of a clock that never goes back. */
double console_seconds(void);

#endif
