/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advice.h: what an operator had better do, by what is known of a store: one rule an action, what
 * is most urgent first. Pure; any thread. */
#ifndef ADVICE_H
#define ADVICE_H

#include "base/buffer.h"
#include "stoa.h"

struct advice_facts {
    const struct stoa_storage *storage; /* its totals */
    uint64_t now;                       /* seconds since 1970 */
    uint64_t archivable;  /* segments that may be packed, as it is set to, and are not */
    uint64_t compactable; /* bytes that are free in tables which compacting would take on */
    uint64_t prunable;    /* bytes that are dead in segments which pruning would take on */
    uint64_t sealed;      /* segments that scrubbing reads */
    struct stoa_job_info jobs[STOA_JOBS];
    const struct stoa_verification *verified; /* the last that went through; NULL: there was none */
};

/* Append a struct stoa_storage_advice for each rule that applies. STOA_ENOMEM. */
int advice_find(const struct advice_facts *facts, struct buffer *out);

#endif
