/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/breaker.h"

#include "base/ensure.h"

void breaker_init(struct breaker *breaker, const struct breaker_options *options)
{
    ensure(options->failures > 0);
    ensure(options->probes > 0);
    ensure(options->pause_ns <= options->pause_max_ns);
    *breaker = (struct breaker){.options = *options, .pause_ns = options->pause_ns};
}

static void trip(struct breaker *breaker, uint64_t now_ns)
{
    uint64_t max = breaker->options.pause_max_ns;
    breaker->state = BREAKER_OPEN;
    breaker->until_ns = now_ns + breaker->pause_ns;
    breaker->pause_ns = breaker->pause_ns > max / 2 ? max : 2 * breaker->pause_ns;
    breaker->failed = 0;
    breaker->trips++;
}

/* Probes that are never reported must not keep it half open for ever: others may try after as long
 * as it was open. */
static void begin_probing(struct breaker *breaker, uint64_t now_ns)
{
    breaker->state = BREAKER_HALF_OPEN;
    breaker->probing = 0;
    breaker->succeeded = 0;
    breaker->until_ns = now_ns + breaker->pause_ns;
}

bool breaker_allow(struct breaker *breaker, uint64_t now_ns)
{
    if (breaker->state == BREAKER_CLOSED) {
        return true;
    }
    bool spent = breaker->state == BREAKER_OPEN || breaker->probing == breaker->options.probes;
    if (spent && now_ns >= breaker->until_ns) {
        begin_probing(breaker, now_ns);
    }
    if (breaker->state == BREAKER_OPEN || breaker->probing == breaker->options.probes) {
        breaker->refusals++;
        return false;
    }
    breaker->probing++;
    return true;
}

bool breaker_report(struct breaker *breaker, bool failed, uint64_t now_ns)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
        breaker->failed = failed ? breaker->failed + 1 : 0;
        if (breaker->failed < breaker->options.failures) {
            return false;
        }
        trip(breaker, now_ns);
        return true;
    case BREAKER_HALF_OPEN:
        if (failed) {
            trip(breaker, now_ns);
            return true;
        }
        breaker->succeeded++;
        if (breaker->succeeded == breaker->options.probes) {
            breaker->state = BREAKER_CLOSED;
            breaker->failed = 0;
            breaker->pause_ns = breaker->options.pause_ns;
        }
        return false;
    case BREAKER_OPEN:
        return false;
    }
    ensure(false);
    return false;
}

enum breaker_state breaker_look(const struct breaker *breaker, uint64_t now_ns)
{
    return breaker->state == BREAKER_OPEN && now_ns >= breaker->until_ns ? BREAKER_HALF_OPEN
                                                                         : breaker->state;
}
