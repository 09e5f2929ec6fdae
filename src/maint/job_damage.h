/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_damage.h: what a job found damaged, kept with the job's note until a later run finds it
 * sound: so who asks is told of it, and health tells it, also after the store was opened again. A
 * run that begins anew takes all that is known for stale; what it finds again is not; at its end
 * what is still stale goes. The first JOB_DAMAGES_MAX places are kept, more are only counted. */
#ifndef JOB_DAMAGE_H
#define JOB_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

enum { JOB_DAMAGES_MAX = 256 };

struct job_damage {
    char file[32];
    char what[64];
    uint64_t offset;
    uint64_t size;
    uint64_t height;
    bool has_height;
    bool is_stale;
};

struct job_damages {
    struct job_damage *items; /* owned, JOB_DAMAGES_MAX of them; NULL: none was found yet */
    unsigned count;
    uint64_t more; /* that were not kept */
};

/* STOA_ENOMEM: it is only counted. */
int job_damages_add(struct job_damages *damages, const struct job_damage *damage);
void job_damages_begin(struct job_damages *damages);  /* a run, from its beginning */
void job_damages_settle(struct job_damages *damages); /* it has seen everything */
void job_damages_clear(struct job_damages *damages);
void job_damages_deinit(struct job_damages *damages);

#endif
