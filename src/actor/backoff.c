/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/backoff.h"

#include "base/ensure.h"

static const uint64_t first_ns = 500000000;
static const uint64_t last_ns = 60000000000;

uint64_t backoff_ns(unsigned failures, uint64_t lot)
{
    ensure(failures >= 1);
    uint64_t whole = first_ns;
    for (unsigned i = 1; i < failures && whole < last_ns; i++) {
        whole *= 2;
    }
    whole = whole < last_ns ? whole : last_ns;
    return whole / 2 + lot % (whole / 2 + 1);
}
