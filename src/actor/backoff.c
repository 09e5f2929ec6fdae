/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/backoff.h"

#include "base/ensure.h"

static const uint64_t first_ns = 500000000;
static const uint64_t last_ns = 60000000000;

uint64_t backoff_within_ns(unsigned failures, uint64_t lot, uint64_t pause_ns,
                           uint64_t pause_max_ns)
{
    ensure(failures >= 1);
    uint64_t whole = pause_ns;
    for (unsigned i = 1; i < failures && whole < pause_max_ns; i++) {
        whole *= 2;
    }
    whole = whole < pause_max_ns ? whole : pause_max_ns;
    return whole / 2 + lot % (whole / 2 + 1);
}

uint64_t backoff_ns(unsigned failures, uint64_t lot)
{
    return backoff_within_ns(failures, lot, first_ns, last_ns);
}
