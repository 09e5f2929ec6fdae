/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs of upkeep (maint/job.h) as messages: one for each asks for it and is answered when it has
 * ended; others list, pause, resume and cancel them. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"

/* What a request brings a job, and how it learns of its end. */
struct engine_job {
    int number;
    struct job_order order;
    struct job_waiter waiter;
    bool silent; /* without options, as a checkpoint is asked for: the answer is its result alone */
};

enum { PRUNE_SECONDS = 86400, ARCHIVE_SECONDS = 3600 }; /* where settings say what, not when */

enum { FLAGS_KNOWN = STOA_JOB_DRY_RUN | STOA_JOB_HURRY | STOA_JOB_DETACH };

static const int jobs_of_messages[STOA_MESSAGE_END] = {
#define STOA_JOB(name, text, every, bytes, operations, help) \
    [STOA_MESSAGE_##name] = 1 + STOA_JOB_##name,
#include "stoa/job.def"
#undef STOA_JOB
};

static const int messages_of_jobs[STOA_JOBS] = {
#define STOA_JOB(name, text, every, bytes, operations, help) STOA_MESSAGE_##name,
#include "stoa/job.def"
#undef STOA_JOB
};

int engine_jobs_find(enum stoa_message message)
{
    return jobs_of_messages[message] - 1;
}

uint64_t engine_jobs_fact(const struct stoa_job_info *info, const char *name)
{
    for (unsigned i = 0; i < info->fact_count; i++) {
        if (strcmp(info->facts[i].name, name) == 0) {
            return info->facts[i].value;
        }
    }
    return 0;
}

/* ---- arguments ---- */

static bool take_text(char *out, size_t size, const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);
    if (length >= size) {
        return false;
    }
    memcpy(out, text == NULL ? "" : text, length);
    out[length] = '\0';
    return true;
}

static int take_options(struct engine_job *job, const struct stoa_job_options *given)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct job_order *order = &job->order;
    if (!engine_size_is_valid(given->size, sizeof(options))) {
        return STOA_EINVAL;
    }
    memcpy(&options, given, given->size);
    bool fits = take_text(order->name, sizeof(order->name), options.name) &&
                take_text(order->path, sizeof(order->path), options.path);
    if (!fits || options.job != job->number || (options.flags & ~(unsigned)FLAGS_KNOWN) != 0) {
        return STOA_EINVAL;
    }
    order->flags = options.flags;
    order->bytes_per_second = options.bytes_per_second;
    order->operations_per_second = options.operations_per_second;
    order->from = options.from;
    order->to = options.to;
    order->numbers[JOB_KEEP_HISTORY] = options.keep_history;
    order->numbers[JOB_KEEP_TRIES] = options.keep_tries;
    order->numbers[JOB_KEEP_BACKUPS] = options.keep;
    order->numbers[JOB_FULL] = options.full != 0;
    order->numbers[JOB_KEEP_BODIES] = options.keep_bodies;
    order->numbers[JOB_KEEP_RECEIPTS] = options.keep_receipts;
    order->numbers[JOB_KEEP_LOGS] = options.keep_logs;
    order->numbers[JOB_KEEP_TRANSACTIONS] = options.keep_transactions;
    order->numbers[JOB_ARCHIVE_KEEP] = options.archive_keep;
    order->numbers[JOB_UNARCHIVE] = options.unarchive != 0;
    return 0;
}

int engine_jobs_fill(struct engine_request *own, const void *argument)
{
    own->owned = true;
    if (own->what == STOA_MESSAGE_LIST_JOBS) {
        return 0;
    }
    int number = engine_jobs_find(own->what);
    if (number < 0) { /* pause, resume, cancel */
        if (argument == NULL || stoa_job_name(*(const int *)argument) == NULL) {
            return STOA_EINVAL;
        }
        own->index = *(const int *)argument;
        return 0;
    }
    own->job = memory_alloc_zeroed(1, sizeof(*own->job));
    if (own->job == NULL) {
        return STOA_ENOMEM;
    }
    own->job->number = number;
    own->job->silent = argument == NULL;
    return argument == NULL ? 0 : take_options(own->job, argument);
}

void engine_jobs_forget(struct engine_request *own)
{
    memory_free(own->job);
    own->job = NULL;
}

int engine_jobs_check(const struct stoa_options *options, struct stoa_maintenance *out,
                      struct stoa_detail *detail)
{
    const struct stoa_maintenance *given = options->maintenance;
    *out = (struct stoa_maintenance)STOA_MAINTENANCE_INIT;
    if (given != NULL) {
        if (!engine_size_is_valid(given->size, sizeof(*out))) {
            return engine_refuse(detail, STOA_EINVAL, "open: size of the maintenance options");
        }
        memcpy(out, given, given->size);
        out->size = sizeof(*out);
    }
    if ((out->space.warn != 0 && out->space.warn < out->space.stop) ||
        (out->space.stop != 0 && out->space.stop < out->space.refuse)) {
        return engine_refuse(detail, STOA_EINVAL, "open: watermarks out of order");
    }
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        if (out->jobs[i].window_from >= 1440 || out->jobs[i].window_to >= 1440) {
            return engine_refuse(detail, STOA_EINVAL, "open: a day has 1,440 minutes");
        }
    }
    if (out->backup_directory != NULL && strlen(out->backup_directory) >= JOB_PATH_SIZE) {
        return engine_refuse(detail, STOA_EINVAL, "open: the path for backups is too long");
    }
    if (out->backup_directory == NULL || out->backup_directory[0] == '\0') {
        out->jobs[STOA_JOB_BACKUP].every_seconds = STOA_JOB_NEVER;
    }
    bool prunes = (out->keep_history | out->keep_tries | out->keep_bodies | out->keep_receipts |
                   out->keep_logs | out->keep_transactions) != 0;
    if (prunes && out->jobs[STOA_JOB_PRUNE].every_seconds == 0) {
        out->jobs[STOA_JOB_PRUNE].every_seconds = PRUNE_SECONDS;
    }
    if (out->archive_keep != 0 && out->jobs[STOA_JOB_ARCHIVE].every_seconds == 0) {
        out->jobs[STOA_JOB_ARCHIVE].every_seconds = ARCHIVE_SECONDS;
    }
    if (out->jobs[STOA_JOB_CHECKPOINT].every_seconds == 0) {
        out->jobs[STOA_JOB_CHECKPOINT].every_seconds = options->checkpoint_seconds;
    }
    return 0;
}

void engine_jobs_take(struct stoa *stoa, const struct stoa_maintenance *checked)
{
    const char *directory = checked->backup_directory;
    bool fits = take_text(stoa->backup_directory, sizeof(stoa->backup_directory), directory);
    ensure(fits);
    stoa->maintenance = *checked;
    stoa->maintenance.backup_directory = stoa->backup_directory;
}

/* ---- on the loop ---- */

static void ended(struct job_waiter *waiter)
{
    struct engine_request *own = waiter->context;
    own->request.result = waiter->result;
    own->request.detail = waiter->detail;
    if (own->report != NULL) {
        memcpy(own->report, &waiter->info, sizeof(waiter->info));
        own->report_count = 1;
    }
    engine_deliver_done(&own->request);
}

static void serve_job(struct engine_request *own)
{
    struct engine_job *job = own->job;
    struct stoa *stoa = own->stoa;
    bool detach = (job->order.flags & STOA_JOB_DETACH) != 0;
    struct job_order order = job->order;
    order.flags &= ~(unsigned)STOA_JOB_DETACH;
    if (own->what == STOA_MESSAGE_CHECKPOINT) {
        engine_warm_save_soon(stoa);
    }
    bool tells = !detach && !job->silent;
    own->report = tells ? memory_alloc_zeroed(1, sizeof(struct stoa_job_info)) : NULL;
    own->report_count = 0;
    if (tells && own->report == NULL) {
        engine_deliver_served(own, STOA_ENOMEM);
        return;
    }
    job->waiter = (struct job_waiter){.done = ended, .context = own};
    int result = jobs_start(stoa->jobs, (enum stoa_job)job->number, &order,
                            detach ? NULL : &job->waiter, &own->request.detail);
    if (detach || result != 0) {
        engine_deliver_served(own, result);
    } else {
        engine_deliver_is_in_store(own);
    }
}

static void serve_list(struct engine_request *own)
{
    struct stoa_job_info *infos = memory_alloc_zeroed(STOA_JOBS, sizeof(*infos));
    own->report = infos;
    if (infos == NULL) {
        engine_deliver_served(own, STOA_ENOMEM);
        return;
    }
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        jobs_info(own->stoa->jobs, (enum stoa_job)i, &infos[i]);
    }
    own->report_count = STOA_JOBS;
    engine_deliver_served(own, 0);
}

static void serve_pause(struct engine_request *own)
{
    engine_deliver_served(
        own, jobs_pause(own->stoa->jobs, (enum stoa_job)own->index, &own->request.detail));
}

static void serve_resume(struct engine_request *own)
{
    engine_deliver_served(
        own, jobs_resume(own->stoa->jobs, (enum stoa_job)own->index, &own->request.detail));
}

static void serve_cancel(struct engine_request *own)
{
    engine_deliver_served(
        own, jobs_cancel(own->stoa->jobs, (enum stoa_job)own->index, &own->request.detail));
}

engine_serve_type engine_jobs_serve(enum stoa_message message)
{
    switch ((int)message) {
    case STOA_MESSAGE_LIST_JOBS:
        return serve_list;
    case STOA_MESSAGE_PAUSE_JOB:
        return serve_pause;
    case STOA_MESSAGE_RESUME_JOB:
        return serve_resume;
    case STOA_MESSAGE_CANCEL_JOB:
        return serve_cancel;
    default:
        return engine_jobs_find(message) >= 0 ? serve_job : NULL;
    }
}

bool engine_jobs_stop(struct engine_request *own)
{
    if (own->job == NULL || own->serve != serve_job || own->job->number == STOA_JOB_CHECKPOINT) {
        return false;
    }
    return jobs_cancel(own->stoa->jobs, (enum stoa_job)own->job->number, NULL) == 0;
}

int engine_jobs_create(struct stoa *stoa, struct error_detail *detail)
{
    struct jobs_options options = {
        .store = stoa->store, .io = stoa->io, .settings = &stoa->maintenance};
    return jobs_create(&options, &stoa->jobs, detail);
}

void engine_jobs_end(struct stoa *stoa)
{
    jobs_stop(stoa->jobs);
    jobs_destroy(stoa->jobs);
    stoa->jobs = NULL;
}

/* ---- the forms that wait ---- */

static int ask_job(struct stoa *stoa, const struct stoa_job_options *options, bool detach,
                   struct stoa_job_info *out_info, struct stoa_detail *detail)
{
    struct stoa_job_options asked = STOA_JOB_OPTIONS_INIT;
    struct engine_request *answer;
    if (options == NULL || !engine_size_is_valid(options->size, sizeof(asked))) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    memcpy(&asked, options, options->size);
    asked.size = sizeof(asked);
    asked.flags |= detach ? (unsigned)STOA_JOB_DETACH : 0;
    if (stoa_job_name(asked.job) == NULL || (options->flags & STOA_JOB_DETACH) != 0) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = engine_request_wait(stoa, (enum stoa_message)messages_of_jobs[asked.job], &asked,
                                     NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &answer->request.detail);
    result = answer->request.result;
    if (out_info != NULL) {
        *out_info = (struct stoa_job_info){.job = asked.job};
        if (answer->report != NULL && answer->report_count == 1) {
            memcpy(out_info, answer->report, sizeof(*out_info));
        }
    }
    engine_serve_forget(answer);
    engine_request_give(stoa, answer);
    return result;
}

int stoa_start_job(struct stoa *stoa, const struct stoa_job_options *options,
                   struct stoa_detail *detail)
{
    return ask_job(stoa, options, true, NULL, detail);
}

int stoa_run_job(struct stoa *stoa, const struct stoa_job_options *options,
                 struct stoa_job_info *out_info, struct stoa_detail *detail)
{
    return ask_job(stoa, options, false, out_info, detail);
}

int stoa_list_jobs(struct stoa *stoa, struct stoa_job_info *out, size_t capacity, size_t *out_count,
                   struct stoa_detail *detail)
{
    struct engine_request *answer;
    if (out_count == NULL || (out == NULL && capacity != 0)) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = engine_request_wait(stoa, STOA_MESSAGE_LIST_JOBS, NULL, NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &answer->request.detail);
    result = answer->request.result;
    if (result == 0) {
        const struct stoa_job_info *infos = answer->report;
        for (size_t i = 0; i < answer->report_count && i < capacity; i++) {
            out[i] = infos[i];
        }
        *out_count = answer->report_count;
    }
    engine_serve_forget(answer);
    engine_request_give(stoa, answer);
    return result;
}

static int tell_job(struct stoa *stoa, enum stoa_message message, int job,
                    struct stoa_detail *detail)
{
    struct engine_request *answer;
    int result = engine_request_wait(stoa, message, &job, NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &answer->request.detail);
    result = answer->request.result;
    engine_request_give(stoa, answer);
    return result;
}

int stoa_pause_job(struct stoa *stoa, int job, struct stoa_detail *detail)
{
    return tell_job(stoa, STOA_MESSAGE_PAUSE_JOB, job, detail);
}

int stoa_resume_job(struct stoa *stoa, int job, struct stoa_detail *detail)
{
    return tell_job(stoa, STOA_MESSAGE_RESUME_JOB, job, detail);
}

int stoa_cancel_job(struct stoa *stoa, int job, struct stoa_detail *detail)
{
    return tell_job(stoa, STOA_MESSAGE_CANCEL_JOB, job, detail);
}

int stoa_submit_job(struct stoa *stoa, const struct stoa_job_options *options,
                    const struct stoa_call *call)
{
    struct stoa_job_options asked = STOA_JOB_OPTIONS_INIT;
    if (options == NULL || !engine_size_is_valid(options->size, sizeof(asked))) {
        return STOA_EINVAL;
    }
    memcpy(&asked, options, options->size);
    return stoa_job_name(asked.job) == NULL
               ? STOA_EINVAL
               : stoa_submit(stoa, (enum stoa_message)messages_of_jobs[asked.job], options, call);
}

int stoa_submit_list_jobs(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_LIST_JOBS, NULL, call);
}
