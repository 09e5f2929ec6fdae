/* SPDX-License-Identifier: GPL-3.0-or-later */
/* supervisor.h: whether and when what failed is started again. Pure: the owner passes time and
 * randomness in.
 *
 * The first failure in a while is answered at once; each further one within the window after a
 * pause that doubles, half of it drawn by lot (backoff.h). When as many starts as the budget has
 * lie within the window, there is no other: something is wrong that starting again does not mend.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <stdint.h>

enum { SUPERVISOR_RESTARTS_MAX = 64 };

struct supervisor_options {
    unsigned restarts; /* in the window, at most SUPERVISOR_RESTARTS_MAX; 0: never */
    uint64_t window_ns;
    uint64_t pause_ns;     /* at least 2 */
    uint64_t pause_max_ns; /* at least pause_ns */
};

struct supervisor {
    struct supervisor_options options;
    uint64_t starts_ns[SUPERVISOR_RESTARTS_MAX]; /* those in the window, the oldest first */
    unsigned count;
};

void supervisor_init(struct supervisor *supervisor, const struct supervisor_options *options);

/* It has failed. When to start it again: NOW_NS or later; UINT64_MAX: the budget is spent. LOT: 64
 * random bits. */
uint64_t supervisor_ask(struct supervisor *supervisor, uint64_t now_ns, uint64_t lot);

/* It is started again now, whatever comes of it. */
void supervisor_note_start(struct supervisor *supervisor, uint64_t now_ns);

#endif
