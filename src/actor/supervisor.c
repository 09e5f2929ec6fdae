/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/supervisor.h"

#include <string.h>

#include "actor/backoff.h"
#include "base/ensure.h"

void supervisor_init(struct supervisor *supervisor, const struct supervisor_options *options)
{
    ensure(options->restarts <= SUPERVISOR_RESTARTS_MAX);
    *supervisor = (struct supervisor){.options = *options};
}

static void forget_old(struct supervisor *supervisor, uint64_t now_ns)
{
    unsigned old = 0;
    while (old < supervisor->count &&
           now_ns - supervisor->starts_ns[old] >= supervisor->options.window_ns) {
        old++;
    }
    supervisor->count -= old;
    memmove(supervisor->starts_ns, supervisor->starts_ns + old,
            supervisor->count * sizeof(supervisor->starts_ns[0]));
}

uint64_t supervisor_ask(struct supervisor *supervisor, uint64_t now_ns, uint64_t lot)
{
    const struct supervisor_options *options = &supervisor->options;
    forget_old(supervisor, now_ns);
    if (supervisor->count >= options->restarts) {
        return UINT64_MAX;
    }
    if (supervisor->count == 0) {
        return now_ns;
    }
    return now_ns +
           backoff_within_ns(supervisor->count, lot, options->pause_ns, options->pause_max_ns);
}

void supervisor_note_start(struct supervisor *supervisor, uint64_t now_ns)
{
    forget_old(supervisor, now_ns);
    ensure(supervisor->count < SUPERVISOR_RESTARTS_MAX);
    supervisor->starts_ns[supervisor->count++] = now_ns;
}
