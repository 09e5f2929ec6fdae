/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_prune.h: which segments pruning takes on. */
#ifndef JOB_PRUNE_H
#define JOB_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether GAIN bytes of a segment that takes SIZE are worth making it anew. */
bool job_prune_is_worth(uint64_t gain, uint64_t size);

#endif
