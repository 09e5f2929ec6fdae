/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine: when a job begins, steps and ends. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "maint/job_kinds.h"
#include "maint/job_private.h"

static const uint64_t tick_ns = 250000000;  /* how often schedules and the load are looked at */
static const uint64_t retry_ns = 100000000; /* what is held up looks again */
static const uint64_t note_ns = 1000000000; /* between two notes of a point */
static const uint64_t busy_ns = 200000000;  /* for so long after a commit somebody writes */
static const uint64_t rest_ns_max = 500000000;
static const uint64_t pressed_ns_max = 2000000000; /* then one step is taken all the same */
static const uint64_t wait_ns = 1000000000;
enum { REST_FACTOR = 3, FIRST_SECONDS = 60, MINUTES_A_DAY = 1440, PLAIN_WORKERS = 2 };

static const struct stoa_job_schedule defaults[STOA_JOBS] = {
#define STOA_JOB(name, text, every, bytes, operations, help)   \
    {.every_seconds = (every) != 0 ? (every) : STOA_JOB_NEVER, \
     .bytes_per_second = (bytes),                              \
     .operations_per_second = (operations)},
#include "stoa/job.def"
#undef STOA_JOB
};

static uint64_t wall_seconds(const struct jobs *jobs)
{
    return jobs->io->ops->wall_ns(jobs->io) / JOB_SECOND_NS;
}

/* ---- load and budget ---- */

static void look_at_load(struct jobs *jobs, uint64_t now)
{
    struct store_load load;
    if (now - jobs->looked_ns < tick_ns / 10) {
        return;
    }
    jobs->looked_ns = now;
    store_get_load(jobs->store, &load);
    if (load.writing || load.groups != jobs->groups) {
        jobs->busy_until_ns = now + busy_ns;
    }
    jobs->groups = load.groups;
    if (load.pressed && !jobs->pressed) {
        jobs->pressed_since_ns = now;
    }
    jobs->pressed = load.pressed;
}

static bool is_busy(const struct jobs *jobs, uint64_t now)
{
    return now < jobs->busy_until_ns;
}

/* What a second may cost; 0: anything. Half of it while blocks are written. */
static uint64_t rate_of(const struct job *job, uint64_t ordered, uint64_t set, uint64_t by_default)
{
    bool off = job->jobs->settings.off != 0; /* then nothing but what somebody waits for runs */
    uint64_t rate = ordered != 0 ? ordered : set != 0 ? set : off ? 0 : by_default;
    if ((job->order.flags & JOB_HURRY) != 0) {
        return 0;
    }
    return rate > 1 && is_busy(job->jobs, io_now_ns(job->jobs->io)) ? rate / 2 : rate;
}

/* Nanoseconds until BUDGET, which gets RATE a second, is not overdrawn. A quarter of a second can
 * be saved up. */
static uint64_t overdraft(double *budget, uint64_t rate, uint64_t spent, double seconds)
{
    if (rate == 0) {
        *budget = 0;
        return 0;
    }
    double most = (double)rate / 4;
    *budget += (double)rate * seconds;
    *budget = *budget > most ? most : *budget;
    *budget -= (double)spent;
    return *budget >= 0 ? 0 : (uint64_t)(-*budget / (double)rate * 1e9) + 1;
}

/* When the budget allows a next step. */
static uint64_t budget_due_ns(struct job *job, uint64_t now)
{
    struct jobs *jobs = job->jobs;
    enum stoa_job number = job->kind->number;
    const struct stoa_job_schedule *set = &jobs->settings.jobs[number];
    const struct stoa_job_schedule *known = &defaults[number];
    uint64_t bytes = __atomic_exchange_n(&job->spent_bytes, 0, __ATOMIC_RELAXED);
    uint64_t operations = __atomic_exchange_n(&job->spent_operations, 0, __ATOMIC_RELAXED);
    double seconds = (double)(now - job->budget_ns) / 1e9;
    job->budget_ns = now;
    job->info.bytes += bytes;
    job->info.operations += operations;
    metrics_count(jobs->io->metrics, METRICS_UPKEEP_BYTES + number, bytes);
    metrics_count(jobs->io->metrics, METRICS_UPKEEP_OPERATIONS + number, operations);
    uint64_t by_bytes = overdraft(
        &job->byte_budget,
        rate_of(job, job->order.bytes_per_second, set->bytes_per_second, known->bytes_per_second),
        bytes, seconds);
    uint64_t by_operations =
        overdraft(&job->operation_budget,
                  rate_of(job, job->order.operations_per_second, set->operations_per_second,
                          known->operations_per_second),
                  operations, seconds);
    return now + (by_bytes > by_operations ? by_bytes : by_operations);
}

/* ---- what holds a job up ---- */

static bool in_window(const struct jobs *jobs, const struct job *job)
{
    const struct stoa_job_schedule *set = &jobs->settings.jobs[job->kind->number];
    unsigned minute = (unsigned)(wall_seconds(jobs) / 60 % MINUTES_A_DAY);
    if (set->window_from == set->window_to) {
        return true;
    }
    bool after = minute >= set->window_from;
    bool before = minute < set->window_to;
    return set->window_from < set->window_to ? after && before : after || before;
}

static const struct job *excluding(const struct job *job)
{
    const struct jobs *jobs = job->jobs;
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        const struct job *other = &jobs->jobs[i];
        bool either = (job->kind->excludes & (1u << i)) != 0 ||
                      (other->kind->excludes & (1u << job->kind->number)) != 0;
        if (other != job && either && other->active && other->begun) {
            return other;
        }
    }
    return NULL;
}

/* NULL: nothing does. */
static const char *find_hold(struct job *job, uint64_t now)
{
    const struct jobs *jobs = job->jobs;
    bool hurry = (job->order.flags & JOB_HURRY) != 0;
    bool relieves = (job->kind->flags & JOB_RELIEVES) != 0;
    bool stays = (job->kind->flags & (JOB_RELIEVES | JOB_READS)) != 0;
    if (job->paused) {
        return "paused";
    }
    if (jobs->hold == JOBS_FROZEN || (jobs->hold == JOBS_TROUBLED && !stays)) {
        return "waits until the store is mended";
    }
    if (jobs->is_short && (job->kind->flags & JOB_TAKES_SPACE) != 0 && !hurry) {
        return "waits for space on the disk";
    }
    if (job->by_schedule && !in_window(jobs, job)) {
        return "waits for its time of day";
    }
    if (!job->begun && excluding(job) != NULL) {
        return "waits for another job";
    }
    if (jobs->pressed && !hurry && !relieves && now - jobs->pressed_since_ns < pressed_ns_max) {
        return "waits for the tables to catch up";
    }
    return NULL;
}

/* ---- a run ---- */

static void done_timer(struct io_request *timer)
{
    struct job *job = timer->context;
    if (timer->result != STOA_ECANCELED || job->canceled) {
        job_advance(job);
    }
}

static void step_at(struct job *job, uint64_t at_ns)
{
    ensure(!job->timer.pending);
    job->timer = (struct io_request){
        .op = IO_TIMER, .deadline_ns = at_ns, .done = done_timer, .context = job};
    io_submit(job->jobs->io, &job->timer);
}

static uint64_t elapsed_ms(const struct job *job)
{
    return (io_now_ns(job->jobs->io) - job->begun_ns) / 1000000;
}

static void end_kind(struct job *job)
{
    if (job->begun && job->kind->end != NULL) {
        job->kind->end(job);
    }
    job->begun = false;
    memory_free(job->state);
    job->state = NULL;
}

static void tell(struct job_waiter *waiters, const struct job *job, int result)
{
    while (waiters != NULL) {
        struct job_waiter *waiter = waiters;
        waiters = waiter->next;
        waiter->result = result;
        waiter->detail = job->detail;
        jobs_info(job->jobs, job->kind->number, &waiter->info);
        waiter->done(waiter);
    }
}

static void begin_run(struct job *job, const struct job_order *order);

/* The last note is written: whoever waits is told. */
static void report(struct job *job)
{
    struct job_waiter *waiters = job->waiters;
    job->waiters = job->next_waiters;
    job->next_waiters = NULL;
    job->active = false;
    job->ended = false;
    if (job->waiters != NULL && !job->jobs->stopping) {
        static const struct job_order plain = {.flags = 0};
        int result = job->result;
        struct error_detail detail = job->detail;
        begin_run(job, &plain);
        job->detail = detail;
        tell(waiters, job, result);
        job->detail = (struct error_detail){.code = 0};
        return;
    }
    tell(waiters, job, job->result);
    waiters =
        job->waiters; /* wanted the run after this one, which the end of the store forestalls */
    job->waiters = NULL;
    if (waiters != NULL && job->result == 0) {
        (void)error_set(&job->detail, STOA_ECANCELED, /* told */
                        "%s did not begin: the store is being closed", job_name(job));
        tell(waiters, job, STOA_ECANCELED);
        return;
    }
    tell(waiters, job, job->result);
}

/* The job has come to its end, with its result. */
static void finish(struct job *job)
{
    struct jobs *jobs = job->jobs;
    struct stoa_job_info *info = &job->info;
    enum stoa_job number = job->kind->number;
    if (job->canceled && job->result == 0) {
        (void)error_set(&job->detail, STOA_ECANCELED, "%s was canceled", job_name(job)); /* next */
        job->result = STOA_ECANCELED;
    }
    (void)budget_due_ns(job, io_now_ns(jobs->io)); /* counts what was spent */
    end_kind(job);
    job->ended = true;
    buffer_clear(&job->point);
    if (job->result == 0 || job->result == STOA_ECORRUPT) { /* it came to its end */
        job_damages_settle(&job->damages);
    }
    info->elapsed_ms = elapsed_ms(job);
    info->ended = wall_seconds(jobs);
    info->last_result = job->result;
    (void)snprintf(info->last_error, sizeof(info->last_error), "%.*s",
                   (int)sizeof(info->last_error) - 1, job->result != 0 ? job->detail.text : "");
    info->text[0] = '\0';
    info->runs++;
    info->failures += job->result != 0 && job->result != STOA_ECANCELED;
    metrics_count(jobs->io->metrics, METRICS_UPKEEP_RUNS + number, 1);
    metrics_count(jobs->io->metrics, METRICS_UPKEEP_ERRORS + number, job->result != 0);
    metrics_set(jobs->io->metrics, METRICS_UPKEEP_ENDED + number, info->ended);
    metrics_record(jobs->io->metrics, METRICS_UPKEEP_TIME + number, info->elapsed_ms * 1000000);
    job_note_write(job, false);
    if (!job->noting) {
        report(job);
    }
}

static bool begin_kind(struct job *job)
{
    job->state = memory_alloc_zeroed(1, job->kind->state_size + 1);
    if (job->state == NULL) {
        job_set_error(job, STOA_ENOMEM);
        return false;
    }
    job->begun = true;
    int result = job->kind->begin(job, buffer_bytes(&job->point));
    if (result != 0) {
        job_set_error(job, result);
    }
    return result == 0;
}

/* One step. True: it is to be looked at again at once. */
static bool step(struct job *job, uint64_t now)
{
    job->work_ns = now;
    job->stepping = true;
    job->continued = false;
    enum job_next next = job->kind->step(job);
    job->stepping = false;
    if (next == JOB_ENDED) {
        finish(job);
        return false;
    }
    job->waits = next == JOB_WAITS && !job->continued;
    return !job->waits;
}

/* After a step and what it waited for: the pause before the next one. */
static uint64_t rest_of(const struct job *job, uint64_t now)
{
    uint64_t rest = (now - job->work_ns) * REST_FACTOR;
    bool hurry = (job->order.flags & JOB_HURRY) != 0;
    if (job->work_ns == 0 || hurry || !is_busy(job->jobs, now)) {
        return 0;
    }
    return rest < rest_ns_max ? rest : rest_ns_max;
}

/* True: a step is due now. Else the timer will look again, or nothing is to be done. */
static bool is_step_due(struct job *job, uint64_t now)
{
    look_at_load(job->jobs, now);
    job->waits_for = find_hold(job, now);
    if (job->waits_for != NULL) {
        job->work_ns = 0;
        step_at(job, now + retry_ns);
        return false;
    }
    if (job->work_ns != 0) { /* what it did is over */
        uint64_t due = budget_due_ns(job, now);
        uint64_t rested = now + (job->rests ? retry_ns : rest_of(job, now));
        job->rests = false;
        job->work_ns = 0;
        step_at(job, due > rested ? due : rested);
        return false;
    }
    return true;
}

/* The disk is full, and it would have to wait for somebody to make room. */
static bool meets_full_disk(const struct job *job)
{
    const struct jobs *jobs = job->jobs;
    return jobs->hold == JOBS_TROUBLED && jobs->why.code == STOA_ENOSPACE &&
           (job->kind->flags & (JOB_TAKES_SPACE | JOB_RELIEVES | JOB_READS)) == 0;
}

void job_advance(struct job *job)
{
    struct jobs *jobs = job->jobs;
    if (!job->active || job->halted || job->stepping || job->waits || job->timer.pending) {
        return;
    }
    if (job->ended) {
        if (!job->noting) {
            report(job);
        }
        return;
    }
    if (job->result == 0 && !job->canceled && meets_full_disk(job)) {
        job->detail = jobs->why;
        job_set_error(job, STOA_ENOSPACE);
    }
    if (job->result != 0 || job->canceled) {
        finish(job);
        return;
    }
    uint64_t now = io_now_ns(jobs->io);
    if (jobs->stopping || !is_step_due(job, now)) {
        return;
    }
    if (job->point_is_new && !job->noting && now - job->noted_ns >= note_ns) {
        job_note_write(job, false);
    }
    if (!job->begun && !begin_kind(job)) {
        finish(job);
        return;
    }
    if (step(job, now)) {
        job_advance(job); /* sets the timer */
    }
}

static void begin_run(struct job *job, const struct job_order *order)
{
    struct jobs *jobs = job->jobs;
    struct stoa_job_info *info = &job->info;
    ensure(!job->active);
    job->active = true;
    job->interrupted = false;
    job->order = *order;
    job->canceled = false;
    job->by_schedule = false;
    job->result = 0;
    job->detail = (struct error_detail){.code = 0};
    __atomic_store_n(&job->stopping, false, __ATOMIC_RELAXED);
    job->begun_ns = io_now_ns(jobs->io);
    job->budget_ns = job->begun_ns;
    job->byte_budget = 0;
    job->operation_budget = 0;
    job->work_ns = 0;
    job->measured = false;
    info->flags = order->flags;
    info->started = wall_seconds(jobs);
    info->done = 0;
    info->total = 0;
    info->bytes = 0;
    info->operations = 0;
    info->fact_count = 0;
    info->text[0] = '\0';
    if (!job->timer.pending) {
        step_at(job, 0);
    }
}

/* ---- the schedule ---- */

/* Wall-clock second at which JOB is due; 0: it has no schedule. */
static uint64_t due_second(const struct job *job)
{
    const struct jobs *jobs = job->jobs;
    uint32_t every = jobs->settings.jobs[job->kind->number].every_seconds;
    every = every != 0 ? every : defaults[job->kind->number].every_seconds;
    bool off = jobs->settings.off != 0 && (job->kind->flags & JOB_RELIEVES) == 0;
    if (every == STOA_JOB_NEVER || off || job->paused) {
        return 0;
    }
    if (job->info.ended == 0) {
        return jobs->opened_s + (every < FIRST_SECONDS ? every : FIRST_SECONDS);
    }
    bool is_past = job->info.ended <= wall_seconds(jobs); /* the clock may have been set back */
    return (is_past ? job->info.ended : jobs->opened_s) + every;
}

static bool is_due(struct job *job)
{
    const struct jobs *jobs = job->jobs;
    const struct job_kind *kind = job->kind;
    uint64_t due = due_second(job);
    if (due == 0 || !in_window(jobs, job)) {
        return false;
    }
    if (wall_seconds(jobs) >= due) {
        return kind->has_work == NULL || kind->has_work(job);
    }
    uint64_t threshold = jobs->settings.jobs[kind->number].threshold;
    threshold = threshold != 0 ? threshold : kind->threshold;
    return job->info.last_result == 0 && threshold != 0 && kind->is_due != NULL &&
           kind->is_due(job, threshold);
}

static void tell_metrics(const struct job *job)
{
    const struct stoa_job_info *info = &job->info;
    struct metrics *metrics = job->jobs->io->metrics;
    enum stoa_job number = job->kind->number;
    uint64_t percent = info->total == 0 ? 0 : info->done * 100 / info->total;
    metrics_set(metrics, METRICS_UPKEEP_ACTIVE + number, job->active);
    metrics_set(metrics, METRICS_UPKEEP_PAUSED + number, job->paused);
    metrics_set(metrics, METRICS_UPKEEP_PROGRESS + number, job->active ? percent : 0);
}

static void look_at_schedule(struct job *job)
{
    static const struct job_order plain = {.flags = 0};
    const struct jobs *jobs = job->jobs;
    tell_metrics(job);
    if (job->active || job->paused || jobs->hold != JOBS_FREE) {
        return;
    }
    if (job->interrupted && jobs->settings.off == 0) {
        begin_run(job, &job->left);
    } else if (is_due(job)) {
        buffer_clear(&job->point);
        begin_run(job, &plain);
        job->by_schedule = true;
    }
}

static void tick(struct io_request *timer)
{
    struct jobs *jobs = timer->context;
    if (timer->result == STOA_ECANCELED || jobs->stopping) {
        return;
    }
    uint64_t now = io_now_ns(jobs->io);
    look_at_load(jobs, now);
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        look_at_schedule(&jobs->jobs[i]);
    }
    timer->deadline_ns = now + tick_ns;
    io_submit(jobs->io, timer);
}

static void start_ticking(struct jobs *jobs)
{
    jobs->timer = (struct io_request){.op = IO_TIMER,
                                      .deadline_ns = io_now_ns(jobs->io) + tick_ns,
                                      .done = tick,
                                      .context = jobs};
    io_submit(jobs->io, &jobs->timer);
}

/* ---- making, ending ---- */

static int make_job(struct jobs *jobs, const struct job_kind *kind, struct error_detail *detail)
{
    struct job *job = &jobs->jobs[kind->number];
    job->jobs = jobs;
    job->kind = kind;
    job->info.job = (int)kind->number;
    buffer_init(&job->point);
    buffer_init(&job->note_value);
    int result = buffer_reserve(&job->point, JOB_POINT_SIZE_MAX);
    return result != 0 ? error_set(detail, result, "jobs") : job_note_read(job, detail);
}

int jobs_create(const struct jobs_options *options, struct jobs **out_jobs,
                struct error_detail *detail)
{
    static const struct job_kind *const known[STOA_JOBS] = {
#define STOA_JOB(name, text, every, bytes, operations, help) &job_kind_##text,
#include "stoa/job.def"
#undef STOA_JOB
    };
    const struct job_kind *const *kinds = options->kinds != NULL ? options->kinds : known;
    struct jobs *jobs = memory_alloc_zeroed(1, sizeof(*jobs));
    if (jobs == NULL) {
        return error_set(detail, STOA_ENOMEM, "jobs");
    }
    jobs->store = options->store;
    jobs->io = options->io;
    if (options->settings != NULL) {
        jobs->settings = *options->settings;
    }
    int result = 0;
    for (unsigned i = 0; i < STOA_JOBS && result == 0; i++) {
        ensure(kinds[i]->number == i);
        result = make_job(jobs, kinds[i], detail);
    }
    struct workers_options workers = {
        .io = jobs->io, .count = PLAIN_WORKERS, .name = "stoa-upkeep", .gives_way = true};
    if (result == 0) {
        result = workers_create(&workers, &jobs->workers, detail);
    }
    if (result != 0) {
        jobs_destroy(jobs);
        return result;
    }
    jobs->opened_s = wall_seconds(jobs);
    start_ticking(jobs);
    *out_jobs = jobs;
    return 0;
}

static bool turn(struct jobs *jobs)
{
    return io_run(jobs->io, wait_ns) >= 0;
}

bool jobs_are_quiet(const struct jobs *jobs)
{
    for (unsigned i = 0; jobs != NULL && i < STOA_JOBS; i++) {
        const struct job *job = &jobs->jobs[i];
        if (job->waits || job->stepping || job->noting) {
            return false;
        }
    }
    return true;
}

/* Nothing of it is under way any more: keep where it is, and tell. */
static void stop(struct job *job)
{
    struct jobs *jobs = job->jobs;
    if (!job->active) {
        return;
    }
    if (job->ended || job->result != 0 || job->canceled) {
        job_advance(job);
    } else {
        end_kind(job);
        job->info.elapsed_ms = elapsed_ms(job);
        (void)error_set(&job->detail, STOA_ECANCELED, /* the waiters are told */
                        "%s was interrupted; it goes on where it was", job_name(job));
        job->result = STOA_ECANCELED;
        job->halted = true;
        job->left = job->order;
        job->interrupted = (job->order.flags & JOB_DRY_RUN) == 0;
        job_note_write(job, false);
        while (job->noting && turn(jobs)) {
        }
        job->halted = false;
        report(job);
    }
    while (job->noting && turn(jobs)) {
    }
}

void jobs_stop(struct jobs *jobs)
{
    if (jobs == NULL || jobs->stopping) {
        return;
    }
    jobs->stopping = true;
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        __atomic_store_n(&jobs->jobs[i].stopping, true, __ATOMIC_RELAXED);
        (void)io_cancel(jobs->io, &jobs->jobs[i].timer); /* it may not be pending */
    }
    (void)io_cancel(jobs->io, &jobs->timer);
    bool whole = true;
    while (whole && !jobs_are_quiet(jobs)) {
        whole = turn(jobs);
    }
    for (unsigned i = 0; i < STOA_JOBS && whole; i++) {
        while (jobs->jobs[i].timer.pending && whole) {
            whole = turn(jobs);
        }
        stop(&jobs->jobs[i]);
    }
    while (jobs->timer.pending && whole) {
        whole = turn(jobs);
    }
}

void jobs_go_on(struct jobs *jobs)
{
    if (jobs == NULL || !jobs->stopping) {
        return;
    }
    jobs->stopping = false;
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        __atomic_store_n(&jobs->jobs[i].stopping, false, __ATOMIC_RELAXED);
    }
    start_ticking(jobs);
}

void jobs_destroy(struct jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    workers_destroy(jobs->workers);
    jobs->store = NULL; /* it may be gone */
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        if (jobs->jobs[i].jobs == NULL) {
            continue;
        }
        end_kind(&jobs->jobs[i]);
        buffer_deinit(&jobs->jobs[i].point);
        buffer_deinit(&jobs->jobs[i].note_value);
        job_damages_deinit(&jobs->jobs[i].damages);
    }
    memory_free(jobs);
}

/* ---- what is asked for ---- */

static bool is_same_order(const struct job_order *a, const struct job_order *b)
{
    return a->from == b->from && a->to == b->to &&
           memcmp(a->numbers, b->numbers, sizeof(a->numbers)) == 0 &&
           strcmp(a->name, b->name) == 0 && strcmp(a->path, b->path) == 0;
}

int jobs_start(struct jobs *jobs, enum stoa_job number, const struct job_order *order,
               struct job_waiter *waiter, struct error_detail *detail)
{
    struct job *job = &jobs->jobs[number];
    if (jobs->stopping) {
        return error_set(detail, STOA_ECLOSED, "%s: the store is being closed", job_name(job));
    }
    if (job->paused) {
        return error_set(detail, STOA_EBUSY, "%s is paused: resume it", job_name(job));
    }
    if (job->active && (job->kind->flags & JOB_QUEUES) == 0) {
        return error_set(detail, STOA_EBUSY, "%s is under way", job_name(job));
    }
    if (waiter != NULL) {
        struct job_waiter **list = job->active ? &job->next_waiters : &job->waiters;
        waiter->next = *list;
        *list = waiter;
    }
    if (job->active) {
        return 0;
    }
    bool dry = (order->flags & JOB_DRY_RUN) != 0;
    if (!job->interrupted || dry || !is_same_order(order, &job->left)) {
        buffer_clear(&job->point);
    }
    begin_run(job, order);
    return 0;
}

int jobs_pause(struct jobs *jobs, enum stoa_job number, struct error_detail *detail)
{
    struct job *job = &jobs->jobs[number];
    if (jobs->stopping) {
        return error_set(detail, STOA_ECLOSED, "%s: the store is being closed", job_name(job));
    }
    job->paused = true;
    __atomic_store_n(&job->stopping, true, __ATOMIC_RELAXED);
    job_note_write(job, true);
    return 0;
}

int jobs_resume(struct jobs *jobs, enum stoa_job number, struct error_detail *detail)
{
    struct job *job = &jobs->jobs[number];
    if (jobs->stopping) {
        return error_set(detail, STOA_ECLOSED, "%s: the store is being closed", job_name(job));
    }
    bool was = job->paused;
    job->paused = false;
    __atomic_store_n(&job->stopping, job->canceled, __ATOMIC_RELAXED);
    if (was) {
        job_note_write(job, true);
    }
    if (job->interrupted) {
        begin_run(job, &job->left); /* it was paused when the store was closed */
    }
    return 0;
}

int jobs_cancel(struct jobs *jobs, enum stoa_job number, struct error_detail *detail)
{
    struct job *job = &jobs->jobs[number];
    if (!job->active && job->interrupted) {
        job->interrupted = false;
        buffer_clear(&job->point);
        job_note_write(job, true);
        return 0;
    }
    if (!job->active || job->ended) {
        return error_set(detail, STOA_ENOTFOUND, "%s does not run", job_name(job));
    }
    job->canceled = true;
    __atomic_store_n(&job->stopping, true, __ATOMIC_RELAXED);
    (void)io_cancel(jobs->io, &job->timer); /* it ends at once where it only waited for its time */
    return 0;
}

/* ---- what is told ---- */

static uint64_t remaining_ms(const struct job *job)
{
    const struct stoa_job_info *info = &job->info;
    uint64_t done = info->done - job->done_at_begin;
    if (!job->active || !job->measured || done == 0) {
        return UINT64_MAX;
    }
    return (uint64_t)((double)elapsed_ms(job) / (double)done * (double)(info->total - info->done));
}

void jobs_info(const struct jobs *jobs, enum stoa_job number, struct stoa_job_info *out_info)
{
    const struct job *job = &jobs->jobs[number];
    *out_info = job->info;
    out_info->active = job->active;
    out_info->interrupted = job->interrupted;
    out_info->next = due_second(job);
    out_info->remaining_ms = remaining_ms(job);
    out_info->state = job->paused                             ? STOA_JOB_PAUSED
                      : !job->active                          ? STOA_JOB_IDLE
                      : job->waits_for != NULL && !job->waits ? STOA_JOB_WAITING
                                                              : STOA_JOB_RUNNING;
    if (job->active) {
        out_info->elapsed_ms = elapsed_ms(job);
    }
    if (out_info->state == STOA_JOB_WAITING) {
        (void)snprintf(out_info->text, sizeof(out_info->text), "%s", job->waits_for);
    }
}
