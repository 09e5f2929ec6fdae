/* SPDX-License-Identifier: GPL-3.0-or-later */
/* event.h: what the daemon says of itself: one line an event, its name first, then key=value. The
 * host sets the sink; without one nothing is said. Any thread may say; a sink is called by several
 * at once. */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_level { EVENT_ERROR, EVENT_WARNING, EVENT_INFO, EVENT_DEBUG };

struct event_field {
    const char *key;
    bool is_text;
    const char *text; /* NULL: there is none, and the field is left out */
    int64_t number;
};

struct event_sink {
    void (*say)(void *context, enum event_level level, const char *event,
                const struct event_field *fields, size_t count);
    void *context;
};

#define EVENT_TEXT(name, value)                         \
    {                                                   \
        .key = (name), .is_text = true, .text = (value) \
    }
#define EVENT_NUMBER(name, value)                 \
    {                                             \
        .key = (name), .number = (int64_t)(value) \
    }

/* SINK may be NULL. FIELDS is an array of COUNT; see EVENT_TEXT and EVENT_NUMBER. */
void event_say(const struct event_sink *sink, enum event_level level, const char *event,
               const struct event_field *fields, size_t count);

#endif
