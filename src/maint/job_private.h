/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_private.h: shared by job.c (what kinds call), job_run.c (the machine), job_note.c (notes). */
#ifndef JOB_PRIVATE_H
#define JOB_PRIVATE_H

#include "base/buffer.h"
#include "maint/job.h"

#define JOB_SECOND_NS UINT64_C(1000000000)

/* A run, between its begin and its end. */
struct job {
    struct jobs *jobs;
    const struct job_kind *kind;
    struct job_order order;
    struct stoa_job_info info; /* kept up but for state, times and text of what it waits for */
    struct error_detail detail;
    int result;
    void *state;
    struct job_damages damages; /* found, kept with the note */

    bool active;    /* begun */
    bool stepping;  /* inside its step */
    bool waits;     /* for job_continue */
    bool works;     /* a work is under way; set and taken back by the loop when there is none */
    bool continued; /* which came while it was inside its step */
    bool ended;     /* its final note is being written */
    bool paused;
    bool canceled;
    bool halted;   /* it was stopped, and only tells so yet */
    bool stopping; /* read by a work as well: end soon */
    bool by_schedule;
    bool interrupted;      /* the last process left it */
    struct job_order left; /* what that was asked for */

    bool rests; /* until a moment later: job_rest */
    uint64_t begun_ns;
    struct io_request timer; /* for its next step */
    bool begun;              /* its kind was told to */
    uint64_t work_ns;        /* when the step under way began */
    uint64_t due_ns;         /* the next step */
    uint64_t budget_ns;
    double byte_budget; /* what may be spent; below 0: wait */
    double operation_budget;
    uint64_t spent_bytes; /* since the budget was looked at; works spend too. Order nothing */
    uint64_t spent_operations;
    uint64_t done_at_begin;
    bool measured;         /* done_at_begin is */
    const char *waits_for; /* NULL: nothing but its step */
    uint64_t tried_ns;     /* when the schedule last looked */

    struct buffer point;
    bool point_is_new;
    uint64_t noted_ns;
    struct store_work note;
    struct buffer note_value; /* being written */
    bool noting;
    bool note_again;

    struct store_work table_work;
    struct workers_job plain_work;
    int (*run)(struct job *job, struct kv_session *session);

    struct job_waiter *waiters;
    struct job_waiter *next_waiters; /* of the run after this one */
};

struct jobs {
    struct store *store;
    struct io *io;
    struct stoa_maintenance settings;
    struct workers *workers; /* for works without tables */
    struct io_request timer;
    bool stopping;
    enum jobs_hold hold;
    struct error_detail why; /* of it */
    bool is_short;
    uint64_t opened_s;
    uint64_t groups; /* at the last look at the load */
    uint64_t looked_ns;
    uint64_t busy_until_ns;
    bool pressed;
    uint64_t pressed_since_ns;
    struct job jobs[STOA_JOBS];
};

/* job.c */
const char *job_name(const struct job *job);
void job_set_error(struct job *job, int result);

/* job_run.c */
/* Step JOB as often as it may. */
void job_advance(struct job *job);

/* job_note.c */
/* Write the note, now or behind the one that is being written; where it is worth it, or ALWAYS. */
void job_note_write(struct job *job, bool always);
int job_note_read(struct job *job, struct error_detail *detail);

#endif
