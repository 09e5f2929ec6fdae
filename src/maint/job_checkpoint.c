/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables are made durable: in the background, at the latest after so many seconds, or when so
 * much has gathered in the ledger that an opening would have to replay it; and when somebody asks.
 * Whoever asks while one is under way gets the next one, since what was acknowledged meanwhile is
 * not in it. */
#include "maint/job_kinds.h"

struct checkpoint {
    struct store_request request;
    bool asked;
};

enum { REPLAY_BYTES_MAX = 256 << 20 };

static int begin(struct job *job, struct bytes point)
{
    (void)job;
    (void)point; /* there is none */
    return 0;
}

static enum job_next step(struct job *job)
{
    struct checkpoint *own = job_state(job);
    if (own->asked) {
        job_progress(job, 1, 1);
        return JOB_ENDED;
    }
    own->asked = true;
    job_fact(job, "replayBytes", store_replay_bytes(job_store(job)));
    job_progress(job, 0, 1);
    if ((job_order(job)->flags & JOB_DRY_RUN) != 0) {
        return JOB_AGAIN;
    }
    return job_save(job, &own->request);
}

static bool has_work(struct job *job)
{
    return store_has_unsaved(job_store(job));
}

static bool is_due(struct job *job, uint64_t threshold)
{
    return store_replay_bytes(job_store(job)) >= threshold;
}

const struct job_kind job_kind_checkpoint = {
    .number = STOA_JOB_CHECKPOINT,
    .flags = JOB_UNNOTED | JOB_QUEUES | JOB_RELIEVES,
    .state_size = sizeof(struct checkpoint),
    .threshold = REPLAY_BYTES_MAX,
    .begin = begin,
    .step = step,
    .has_work = has_work,
    .is_due = is_due,
};
