/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workers.h: threads for what would block or burn the loop: table calls, hashing, signature
 * recovery.
 *
 * The loop's thread submits a job; a worker runs it; `done` runs on the loop from io_run (the
 * workers install themselves beside the loop's own wake). Jobs start in the order submitted, and
 * end in any. On a simulated loop there are no threads: jobs run on the loop, one at a time, at a
 * moment and in an order that the seed chooses, so that a simulation stays repeatable; of one
 * worker in the order submitted.
 *
 * Payload written by a job before it ends is visible to done (release by the worker, acquire by the
 * loop). */
#ifndef WORKERS_H
#define WORKERS_H

#include "io/io.h"

struct workers;

struct workers_job {
    void (*run)(struct workers_job *job, void *worker_state); /* on a worker */
    void (*done)(struct workers_job *job);                    /* on the loop */
    void *context;
    enum metrics_job kind; /* what it is counted as */
    uint64_t submitted_ns; /* the workers' own */
    struct workers_job *next;
};

struct workers_options {
    struct io *io;
    unsigned count;
    const char *name; /* of the threads, at most 12 characters */
    bool gives_way; /* its threads are nice to all others: nobody waits for single jobs of theirs */
    /* Called on each worker before its first job and after its last, such as to open and close a
     * session. */
    int (*start)(void *context, unsigned index, void **out_state, struct error_detail *detail);
    void (*stop)(void *context, void *state);
    void *context;
};

/* Returns after every worker has started; where one cannot, none is left. */
int workers_create(const struct workers_options *options, struct workers **out_workers,
                   struct error_detail *detail);

/* Runs what is queued to its end, done included, and joins. NULL is allowed. On a simulated loop
 * whose power is gone, what is queued is dropped. */
void workers_destroy(struct workers *workers);

void workers_submit(struct workers *workers, struct workers_job *job);

/* Submitted and not yet done. */
unsigned workers_pending(const struct workers *workers);

#endif
