/* SPDX-License-Identifier: GPL-3.0-or-later */
/* aside.h: a few threads for calls of the library that wait, so that the server's loop does not.
 * Jobs are embedded in their owners. */
#ifndef ASIDE_H
#define ASIDE_H

#include <stdbool.h>

struct aside;
struct server;

struct aside_job {
    void (*run)(struct aside_job *job);  /* on a thread aside */
    void (*done)(struct aside_job *job); /* on the loop's thread, by aside_take */
    struct aside_job *next;
};

enum { ASIDE_THREADS = 3, ASIDE_JOBS_MAX = 128 };

/* SERVER is woken when something is done. STOA_ENOMEM, STOA_EIO: no thread. */
int aside_create(struct server *server, struct aside **out_aside);

/* No job is under way. NULL is allowed. */
void aside_destroy(struct aside *aside);

/* False: ASIDE_JOBS_MAX are under way. On the loop's thread, as is the next. */
bool aside_begin(struct aside *aside, struct aside_job *job);

/* Wait until all are done, and run it of each. */
void aside_finish(struct aside *aside);

/* Run `done` of what is. */
void aside_take(struct aside *aside);

#endif
