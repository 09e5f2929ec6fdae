/* SPDX-License-Identifier: GPL-3.0-or-later */
/* remote.h: a store over a socket: what stoa_connect gives. One connection, any number of threads.
 *
 * There is no thread of its own. Who waits for an answer reads for all (the *reader*: one at a
 * time, it polls without the mutex), and hands that on when it has what it wanted. So one thread
 * that asks and waits makes no change of threads on its side. A call is encoded at once and sent at
 * once, unless STOA_CALL_MORE says that others follow.
 *
 * When the connection breaks, calls that only read are sent again over the next, and those of which
 * not a byte was sent; writes that were sent are completed with STOA_EFFECT_UNKNOWN. Whoever waits
 * makes the next connection, after pauses that double. After reconnect_ms without one all calls
 * fail, and new ones fail at once but for one try every pause: a circuit breaker. */
#ifndef REMOTE_H
#define REMOTE_H

#include "stoa.h"

struct remote;

struct remote_options {
    const void *token;
    size_t token_size;
    const char *name;
    unsigned connect_ms;
    unsigned reconnect_ms;
    unsigned silence_ms;
};

/* All is set in OPTIONS. */
int remote_create(const char *address, const struct remote_options *options,
                  struct remote **out_remote, struct stoa_detail *detail);
void remote_destroy(struct remote *remote);

#endif
