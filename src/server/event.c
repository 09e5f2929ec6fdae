/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/event.h"

void event_say(const struct event_sink *sink, enum event_level level, const char *event,
               const struct event_field *fields, size_t count)
{
    if (sink != NULL && sink->say != NULL) {
        sink->say(sink->context, level, event, fields, count);
    }
}
