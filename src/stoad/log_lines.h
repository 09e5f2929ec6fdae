/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log_lines.h: events as lines on standard error: key=value, or JSON. Under systemd (JOURNAL_STREAM
 * is set) each begins with its level as <N>, and has no time, which the journal adds. Nobody waits
 * for a reader: what a full pipe cannot take is lost, and how much was is said once it can. */
#ifndef LOG_LINES_H
#define LOG_LINES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "server/event.h"

struct log_lines {
    int file;
    pthread_mutex_t order; /* of what is written; of the next two */
    bool torn;             /* the end of a line is missing */
    uint64_t lost;         /* lines, since the last one that was written */
    atomic_bool json;      /* relaxed, as is the next: a reload changes them under way */
    atomic_int level;      /* enum event_level: this and what is worse is said */
    bool journal;
};

/* Lines to FILE, all settings zero. */
void log_lines_init(struct log_lines *lines, int file);

/* Append a line to OUT; TIME may be NULL. STOA_ENOMEM. */
int log_lines_format(const struct log_lines *lines, const char *time, enum event_level level,
                     const char *event, const struct event_field *fields, size_t count,
                     struct buffer *out);

/* For a struct event_sink: CONTEXT is a struct log_lines. */
void log_lines_say(void *context, enum event_level level, const char *event,
                   const struct event_field *fields, size_t count);

#endif
