/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A backup as a job (backup.h): the moment is taken on the loop, then each step copies a file on a
 * worker, with a loop of the worker's own. A run that was interrupted is gone on with by the next:
 * what it had copied is noted in the target itself, so the job needs no point. */
#include <inttypes.h>

#include "maint/backup.h"
#include "maint/job_kinds.h"
#include "maint/job_moment.h"

enum { BACKUPS_KEPT = 7 }; /* where nothing else is set */

struct job_backup {
    struct job_moment moment;
    struct backup_creation *creation;
    struct pace pace;
    bool ended;
    struct backup_report report; /* once it has ended */
};

/* Where to: as it was ordered, else as it is set. NULL: nowhere. */
static const char *target_of(struct job *job)
{
    const char *set = job_settings(job)->backup_directory;
    const char *path = job_order(job)->path;
    return path[0] != '\0' ? path : set != NULL && set[0] != '\0' ? set : NULL;
}

static unsigned kept_by(struct job *job)
{
    uint64_t ordered = job_order(job)->numbers[JOB_KEEP_BACKUPS];
    unsigned set = job_settings(job)->backup_keep;
    if (ordered == STOA_KEEP_ALL) {
        return 0;
    }
    return ordered != 0 ? (unsigned)ordered : set != 0 ? set : BACKUPS_KEPT;
}

static int begin(struct job *job, struct bytes point)
{
    (void)point; /* there is none */
    if (target_of(job) == NULL) {
        (void)error_set(job_detail(job), STOA_EINVAL, "backup: it has no directory"); /* told */
        (void)job_fail(job, STOA_EINVAL);
        return STOA_EINVAL;
    }
    return 0;
}

static int keep_pace(void *context, uint64_t bytes, uint64_t done, uint64_t total)
{
    struct job *job = context;
    (void)done;
    (void)total;
    job_spend(job, bytes, 1);
    return job_is_stopping(job) ? STOA_ECANCELED : 0;
}

static int copy_next(void *context, struct io *io)
{
    struct job *job = context;
    struct job_backup *own = job_state(job);
    return backup_step(own->creation, io, &own->pace, &own->ended, &own->report, job_detail(job));
}

/* On a worker: the next file. One that was cut off by a pause or a stop is copied again. */
static int copy_file(struct job *job, struct kv_session *session)
{
    (void)session; /* it needs no tables */
    int result = io_run_apart(copy_next, job, job_detail(job));
    if (result == STOA_ECANCELED && job_is_stopping(job)) {
        *job_detail(job) = (struct error_detail){.code = 0};
        return 0;
    }
    return result;
}

static void tell_report(struct job *job, const struct backup_report *report)
{
    job_fact(job, "backup", report->number);
    job_fact(job, "number", report->height);
    job_fact(job, "files", report->files);
    job_fact(job, "bytes", report->bytes);
    job_fact(job, "copiedBytes", report->copied_bytes);
    job_fact(job, "removed", report->removed);
}

static enum job_next step(struct job *job)
{
    struct job_backup *own = job_state(job);
    if (!own->moment.taken) {
        return job_moment_take(job, &own->moment, "back up");
    }
    if (own->ended) {
        tell_report(job, &own->report);
        return JOB_ENDED;
    }
    job_say(job, "block %" PRIu64, own->moment.point.head.height);
    if ((job_order(job)->flags & JOB_DRY_RUN) != 0) {
        job_fact(job, "number", own->moment.point.head.height);
        return JOB_ENDED;
    }
    if (own->creation == NULL) {
        struct backup_options options = {.directory = store_directory(job_store(job)),
                                         .target = target_of(job),
                                         .full = job_order(job)->numbers[JOB_FULL] != 0,
                                         .keep = kept_by(job)};
        int result = backup_begin(&options, &own->moment.point, own->moment.root, &own->creation,
                                  job_detail(job));
        if (result != 0) {
            return job_fail(job, result);
        }
        own->pace = (struct pace){.step = keep_pace, .context = job};
    }
    if (own->pace.total != 0) {
        bool again = own->pace.done > own->pace.total; /* a file was copied twice */
        job_progress(job, again ? own->pace.total : own->pace.done, own->pace.total);
    }
    return job_work(job, false, copy_file);
}

static void end(struct job *job)
{
    struct job_backup *own = job_state(job);
    backup_end(own->creation, job_loop(job));
    own->creation = NULL;
}

const struct job_kind job_kind_backup = {
    .number = STOA_JOB_BACKUP,
    .state_size = sizeof(struct job_backup),
    .begin = begin,
    .step = step,
    .end = end,
};
