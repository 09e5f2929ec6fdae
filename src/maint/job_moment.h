/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_moment.h: for jobs that copy the store: the moment that is copied, and its head's state root,
 * asked for on the loop while the store goes on. */
#ifndef JOB_MOMENT_H
#define JOB_MOMENT_H

#include "maint/job.h"

struct job_moment {
    struct store_point point;
    uint8_t root[32];
    bool taken; /* both are known */
    /* Its own. */
    bool has_point;
    struct store_request request;
};

/* What a step returns while MOMENT, zeroed before, is not taken. WHAT is done is for the error
 * where the store is empty. */
enum job_next job_moment_take(struct job *job, struct job_moment *moment, const char *what);

#endif
