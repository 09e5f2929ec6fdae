/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots (snapshot.h) of a store that goes on: the moment is taken on the loop, then a worker
 * with a loop of its own links what does not change again and copies the rest. It is there, whole,
 * once it is renamed into place; what a kill leaves goes with the next one that is made or dropped.
 * So nothing is gone on with, and nothing is noted. Two at a time would clear each other's away. */
#include <string.h>

#include "maint/job_kinds.h"
#include "maint/job_moment.h"
#include "maint/snapshot.h"

struct job_snapshot {
    struct job_moment moment;
    bool ended;
};

static int begin(struct job *job, struct bytes point)
{
    (void)point; /* there is none */
    return snapshot_check_name(job_order(job)->name, job_detail(job));
}

/* On a worker, as all that has a loop. */
static int make(void *context, struct io *io)
{
    struct job *job = context;
    struct job_snapshot *own = job_state(job);
    return snapshot_create(io, store_directory(job_store(job)), job_order(job)->name,
                           &own->moment.point, own->moment.root, job_detail(job));
}

static int run_make(struct job *job, struct kv_session *session)
{
    (void)session; /* it needs no tables */
    return io_run_apart(make, job, job_detail(job));
}

static enum job_next step_make(struct job *job)
{
    struct job_snapshot *own = job_state(job);
    bool dry = (job_order(job)->flags & JOB_DRY_RUN) != 0;
    if (!own->moment.taken) {
        return job_moment_take(job, &own->moment, "snapshot");
    }
    job_fact(job, "number", own->moment.point.head.height);
    if (own->ended || dry) {
        return JOB_ENDED;
    }
    own->ended = true;
    job_say(job, "%s", job_order(job)->name);
    job_spend(job, 0, 1);
    return job_work(job, false, run_make);
}

static int drop(void *context, struct io *io)
{
    struct job *job = context;
    return snapshot_drop(io, store_directory(job_store(job)), job_order(job)->name,
                         job_detail(job));
}

static int run_drop(struct job *job, struct kv_session *session)
{
    (void)session; /* it needs no tables */
    return io_run_apart(drop, job, job_detail(job));
}

static enum job_next step_drop(struct job *job)
{
    struct job_snapshot *own = job_state(job);
    if (own->ended || (job_order(job)->flags & JOB_DRY_RUN) != 0) {
        return JOB_ENDED;
    }
    own->ended = true;
    job_say(job, "%s", job_order(job)->name);
    job_spend(job, 0, 1);
    return job_work(job, false, run_drop);
}

const struct job_kind job_kind_snapshot = {
    .number = STOA_JOB_CREATE_SNAPSHOT,
    .flags = JOB_UNNOTED,
    .excludes = 1u << STOA_JOB_DROP_SNAPSHOT,
    .state_size = sizeof(struct job_snapshot),
    .begin = begin,
    .step = step_make,
};

const struct job_kind job_kind_dropsnapshot = {
    .number = STOA_JOB_DROP_SNAPSHOT,
    .flags = JOB_UNNOTED,
    .excludes = 1u << STOA_JOB_CREATE_SNAPSHOT,
    .state_size = sizeof(struct job_snapshot),
    .begin = begin,
    .step = step_drop,
};
