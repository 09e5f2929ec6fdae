/* SPDX-License-Identifier: GPL-3.0-or-later */
/* breaker.h: whether a caller should try. Pure: the owner passes the time in and serialises calls.
 *
 *      closed     every call passes; FAILURES in a row open it
 *      open       none passes; after a pause it is half open. The pause doubles with each time that
 *                 it opens again without having closed, up to PAUSE_MAX_NS
 *      half open  PROBES calls pass; when all of them succeed it closes, when one fails it opens
 *
 * A call that passed while it was closed and fails after it opened says nothing new. */
#ifndef BREAKER_H
#define BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_options {
    unsigned failures; /* at least 1 */
    unsigned probes;   /* at least 1 */
    uint64_t pause_ns;
    uint64_t pause_max_ns; /* at least pause_ns */
};

struct breaker {
    struct breaker_options options;
    enum breaker_state state;
    unsigned failed; /* in a row, while closed */
    unsigned probing;
    unsigned succeeded; /* of the probes */
    uint64_t pause_ns;  /* of this or the next time it is open */
    uint64_t until_ns;  /* while open; while half open: when probes nobody reports are forgotten */
    uint64_t trips;
    uint64_t refusals;
};

void breaker_init(struct breaker *breaker, const struct breaker_options *options);

/* True: call, then report. */
bool breaker_allow(struct breaker *breaker, uint64_t now_ns);

/* How a call that was allowed went. True: this opened it. */
bool breaker_report(struct breaker *breaker, bool failed, uint64_t now_ns);

/* As breaker_allow would find it at NOW_NS. */
enum breaker_state breaker_look(const struct breaker *breaker, uint64_t now_ns);

#endif
