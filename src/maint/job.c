/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/job.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "maint/job_private.h"
#include "store/store_folder.h"
#include "store/store_upkeep.h"

static const uint64_t space_reserve = UINT64_C(16) << 20; /* stays free besides what is made */

static const char *const names[STOA_JOBS] = {
#define STOA_JOB(name, text, every, bytes, operations, help) #text,
#include "stoa/job.def"
#undef STOA_JOB
};

static const char *const helps[STOA_JOBS] = {
#define STOA_JOB(name, text, every, bytes, operations, help) help,
#include "stoa/job.def"
#undef STOA_JOB
};

static const char *const states[] = {
    [STOA_JOB_IDLE] = "idle",
    [STOA_JOB_RUNNING] = "running",
    [STOA_JOB_WAITING] = "waiting",
    [STOA_JOB_PAUSED] = "paused",
};

const char *stoa_job_name(int job)
{
    return job < 0 || job >= STOA_JOBS ? NULL : names[job];
}

const char *stoa_job_help(int job)
{
    return job < 0 || job >= STOA_JOBS ? NULL : helps[job];
}

const char *stoa_job_state_name(int state)
{
    return state < STOA_JOB_IDLE || state > STOA_JOB_PAUSED ? NULL : states[state];
}

const char *job_name(const struct job *job)
{
    return names[job->kind->number];
}

/* ---- what a kind is told ---- */

void *job_state(struct job *job)
{
    return job->state;
}

const struct job_order *job_order(const struct job *job)
{
    return &job->order;
}

struct store *job_store(struct job *job)
{
    return job->jobs->store;
}

struct io *job_loop(struct job *job)
{
    return job->jobs->io;
}

const struct stoa_maintenance *job_settings(const struct job *job)
{
    return &job->jobs->settings;
}

struct error_detail *job_detail(struct job *job)
{
    return &job->detail;
}

struct job_damages *job_damages(struct job *job)
{
    return &job->damages;
}

bool job_is_stopping(const struct job *job)
{
    return __atomic_load_n(&job->stopping, __ATOMIC_RELAXED); /* a hint only */
}

/* ---- what a kind tells ---- */

void job_set_error(struct job *job, int result)
{
    job->result = result;
    if (result != 0 && job->detail.code == 0) {
        (void)error_set(&job->detail, result, "%s", stoa_strerror(result)); /* text only */
    }
}

enum job_next job_fail(struct job *job, int result)
{
    ensure(result < 0);
    job_set_error(job, result);
    return JOB_ENDED;
}

void job_spend(struct job *job, uint64_t bytes, uint64_t operations)
{
    __atomic_fetch_add(&job->spent_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&job->spent_operations, operations, __ATOMIC_RELAXED);
}

void job_progress(struct job *job, uint64_t done, uint64_t total)
{
    ensure(done <= total && !job->works);
    if (!job->measured) {
        job->measured = true;
        job->done_at_begin = done;
    }
    job->info.done = done;
    job->info.total = total;
}

void job_say(struct job *job, const char *format, ...)
{
    va_list arguments;
    ensure(!job->works);
    va_start(arguments, format);
    (void)vsnprintf(job->info.text, sizeof(job->info.text), format, arguments);
    va_end(arguments);
}

void job_fact(struct job *job, const char *name, uint64_t value)
{
    struct stoa_job_info *info = &job->info;
    unsigned i = 0;
    ensure(strlen(name) < sizeof(info->facts[0].name) && !job->works);
    while (i < info->fact_count && strcmp(info->facts[i].name, name) != 0) {
        i++;
    }
    ensure(i < STOA_JOB_FACTS_MAX);
    if (i == info->fact_count) {
        info->fact_count++;
        (void)snprintf(info->facts[i].name, sizeof(info->facts[i].name), "%s", name);
    }
    info->facts[i].value = value;
}

uint64_t job_fact_get(const struct job *job, const char *name)
{
    for (unsigned i = 0; i < job->info.fact_count; i++) {
        if (strcmp(job->info.facts[i].name, name) == 0) {
            return job->info.facts[i].value;
        }
    }
    return 0;
}

void job_keep(struct job *job, struct bytes point)
{
    ensure(point.size <= JOB_POINT_SIZE_MAX);
    buffer_clear(&job->point);
    int result = buffer_append(&job->point, point.data, point.size);
    ensure(result == 0); /* its room was made before */
    job->point_is_new = true;
}

/* ---- waiting ---- */

void job_continue(struct job *job)
{
    if (job->stepping) {
        job->continued = true;
        return;
    }
    ensure(job->waits);
    job->waits = false;
    job_advance(job);
}

static void end_work(struct job *job, int result, const struct error_detail *detail)
{
    job->works = false;
    if (result != 0 && job->result == 0) {
        if (detail != NULL && detail->code != 0) {
            job->detail = *detail;
        }
        job_set_error(job, result);
    }
    job_continue(job);
}

static int run_on_tables(struct store_work *work, struct kv_session *session)
{
    struct job *job = work->context;
    return job->run(job, session);
}

static void done_on_tables(struct store_work *work)
{
    end_work(work->context, work->result, &work->detail);
}

static void run_plain(struct workers_job *work, void *worker_state)
{
    struct job *job = work->context;
    (void)worker_state; /* there is none */
    job->table_work.result = job->run(job, NULL);
}

static void done_plain(struct workers_job *work)
{
    struct job *job = work->context;
    end_work(job, job->table_work.result, NULL);
}

enum job_next job_work(struct job *job, bool tables,
                       int (*run)(struct job *job, struct kv_session *session))
{
    job->run = run;
    if (tables) {
        job->table_work.run = run_on_tables;
        job->table_work.done = done_on_tables;
        job->table_work.context = job;
        job->works = true;
        int result = store_work_start(job->jobs->store, &job->table_work);
        if (result != 0) {
            job->works = false;
            job->detail = job->table_work.detail;
            return job_fail(job, result);
        }
        return JOB_WAITS;
    }
    job->works = true;
    job->plain_work = (struct workers_job){
        .run = run_plain, .done = done_plain, .context = job, .kind = METRICS_JOB_UPKEEP};
    workers_submit(job->jobs->workers, &job->plain_work);
    return JOB_WAITS;
}

enum job_next job_rest(struct job *job)
{
    job->rests = true;
    return JOB_AGAIN;
}

int job_check_space(struct job *job, const char *folder, uint64_t bytes, const char *what)
{
    char path[STORE_PATH_SIZE_MAX];
    uint64_t free_bytes = UINT64_MAX;
    uint64_t total;
    int result = store_folder_path(path, store_directory(job_store(job)), folder, job_detail(job));
    if (result != 0) {
        return result;
    }
    if (io_space(job_loop(job), path, &free_bytes, &total) != 0) {
        (void)store_get_space(job_store(job), &free_bytes, &total); /* else it is tried */
    }
    return free_bytes >= bytes + space_reserve
               ? 0
               : error_set(job_detail(job), STOA_ENOSPACE,
                           "%s takes up to %" PRIu64 " bytes, %" PRIu64 " are free", what, bytes,
                           free_bytes);
}

static void done_io(struct io_request *request)
{
    job_continue(request->context);
}

enum job_next job_io(struct job *job, struct io_request *request)
{
    request->done = done_io;
    request->context = job;
    io_submit(job->jobs->io, request);
    return JOB_WAITS;
}

static bool stop_merge(void *context)
{
    const struct job *job = context;
    return job_is_stopping(job) || /* a hint only, as that */
           __atomic_load_n(&job->jobs->hold, __ATOMIC_RELAXED) == JOBS_FROZEN;
}

static void done_merge(struct store_merge *merge)
{
    struct job *job = merge->context;
    if (merge->result == STOA_ECANCELED) {
        merge->result = STOA_EBUSY; /* whether the job ends as well is the machine's to say */
    } else if (merge->result != 0 && merge->result != STOA_EBUSY) {
        job->detail = merge->detail;
        (void)job_fail(job, merge->result); /* its next step is its end */
    }
    job_continue(job);
}

enum job_next job_merge(struct job *job, struct store_merge *merge,
                        bool (*start)(struct store *store, struct store_merge *merge))
{
    merge->stop = stop_merge;
    merge->done = done_merge;
    merge->context = job;
    job_spend(job, 0, 1);
    if (!start(job->jobs->store, merge)) {
        merge->result = STOA_EBUSY;
        return job_rest(job);
    }
    return JOB_WAITS;
}

static void done_save(struct store_request *request)
{
    struct job *job = request->context;
    if (request->result != 0) {
        job->detail = request->detail;
        (void)job_fail(job, request->result); /* likewise */
    }
    job_continue(job);
}

enum job_next job_save(struct job *job, struct store_request *request)
{
    *request = (struct store_request){.kind = STORE_CHECKPOINT, .done = done_save, .context = job};
    store_submit(job->jobs->store, request);
    return JOB_WAITS;
}

/* ---- for the engine ---- */

static void forget(struct job_waiter **list, const struct job_waiter *waiter)
{
    while (*list != NULL && *list != waiter) {
        list = &(*list)->next;
    }
    if (*list != NULL) {
        *list = waiter->next;
    }
}

void jobs_forget_waiter(struct jobs *jobs, struct job_waiter *waiter)
{
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        forget(&jobs->jobs[i].waiters, waiter);
        forget(&jobs->jobs[i].next_waiters, waiter);
    }
}

const struct job_damages *jobs_damages(const struct jobs *jobs, enum stoa_job number)
{
    return &jobs->jobs[number].damages;
}

bool jobs_is_active(const struct jobs *jobs, enum stoa_job number)
{
    return jobs->jobs[number].active;
}

void jobs_hold(struct jobs *jobs, enum jobs_hold hold, const struct error_detail *why)
{
    static const struct error_detail nothing;
    if (jobs != NULL) {
        __atomic_store_n(&jobs->hold, hold, __ATOMIC_RELAXED);
        jobs->why = why != NULL ? *why : nothing;
    }
}

void jobs_set_short_of_space(struct jobs *jobs, bool is_short)
{
    if (jobs != NULL) {
        jobs->is_short = is_short;
    }
}
