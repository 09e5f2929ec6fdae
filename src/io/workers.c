/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workers.c: with threads, `waiting` is guarded by the lock; a worker pushes what it ran on
 * `completed`, a stack without a lock, and wakes the loop, whose hook takes the whole stack and
 * runs `done` in the order of completion.
 *
 * On a simulated loop a timer stands for the workers: its first ring, after a delay of the seed's,
 * runs a waiting job, its second runs that job's done. Which job, the seed says as well: any of the
 * first that so many workers might have in hand. */
#include "io/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/look.h"

enum { NAME_SIZE = 16, COUNT_MAX = 1024, NICE = 10 };

struct worker {
    struct workers *workers;
    pthread_t thread;
    unsigned index;
    bool started;
    void *state;
    pthread_cond_t wake; /* it is idle no more */
    bool idle;
    struct worker *idle_before;
    int error;
    struct error_detail detail;
};

struct workers {
    struct workers_options options;
    char name[NAME_SIZE];
    unsigned pending; /* the loop's */

    pthread_mutex_t lock;
    pthread_cond_t ready; /* `running`, for workers_create */
    struct workers_job *first;
    struct workers_job *last;
    struct worker *idle;     /* who fell idle last, and is woken first */
    bool looking;            /* one worker looks for more before it sleeps */
    atomic_bool has_waiting; /* as `first`, for the one that looks; orders nothing */
    unsigned ready_count;    /* have started or failed to */
    bool stopping;

    /* Released by the worker that pushes, acquired by the loop that takes all. */
    _Atomic(struct workers_job *) completed;

    struct io_request timer; /* simulation */
    struct workers_job *running;
    unsigned turn;

    unsigned count; /* threads made; in a simulation, states */
    struct worker all[];
};

static bool is_simulated(const struct workers *workers)
{
    return workers->options.io->ops->job_delay_ns != NULL;
}

static void push_waiting(struct workers *workers, struct workers_job *job)
{
    job->next = NULL;
    if (workers->last == NULL) {
        workers->first = job;
    } else {
        workers->last->next = job;
    }
    workers->last = job;
    atomic_store_explicit(&workers->has_waiting, true, memory_order_relaxed);
}

static struct workers_job *pop_waiting(struct workers *workers)
{
    struct workers_job *job = workers->first;
    if (job != NULL) {
        workers->first = job->next;
        if (workers->first == NULL) {
            workers->last = NULL;
            atomic_store_explicit(&workers->has_waiting, false, memory_order_relaxed);
        }
    }
    return job;
}

static int start_worker(struct worker *worker)
{
    const struct workers_options *options = &worker->workers->options;
    if (options->start == NULL) {
        worker->started = true;
        return 0;
    }
    int error = options->start(options->context, worker->index, &worker->state, &worker->detail);
    worker->started = error == 0;
    return error;
}

static void stop_worker(struct worker *worker)
{
    const struct workers_options *options = &worker->workers->options;
    if (worker->started && options->stop != NULL) {
        options->stop(options->context, worker->state);
    }
    worker->started = false;
}

/* Threads */

static void push_completed(struct workers *workers, struct workers_job *job)
{
    struct workers_job *head = atomic_load_explicit(&workers->completed, memory_order_relaxed);
    do {
        job->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&workers->completed, &head, job,
                                                    memory_order_release, memory_order_relaxed));
    if (head == NULL) {
        io_wake(workers->options.io); /* else whoever pushed the first has done so */
    }
}

/* Who waits for each answer asks again soon after it (io_run_lingering), and one job is often the
 * first of several. With the lock held, which is let go meanwhile. */
static void look_for_more(struct workers *workers)
{
    struct io *io = workers->options.io;
    struct look look;
    workers->looking = true;
    pthread_mutex_unlock(&workers->lock);
    for (bool on = look_begin(&look, io, io->ops->linger_ns);
         on && !atomic_load_explicit(&workers->has_waiting, memory_order_relaxed);
         on = look_again(&look)) {
    }
    pthread_mutex_lock(&workers->lock);
    workers->looking = false;
}

/* The one that fell idle last has done the most of late: its session has the tables open, and its
 * memory is at hand. With the lock held. */
static void wake_one(struct workers *workers)
{
    struct worker *worker = workers->idle;
    workers->idle = worker->idle_before;
    worker->idle = false;
    pthread_cond_signal(&worker->wake);
}

static void fall_idle(struct worker *worker)
{
    struct workers *workers = worker->workers;
    worker->idle = true;
    worker->idle_before = workers->idle;
    workers->idle = worker;
    while (worker->idle) {
        pthread_cond_wait(&worker->wake, &workers->lock);
    }
}

static void work(struct worker *worker)
{
    struct workers *workers = worker->workers;
    bool has_looked = true;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        struct workers_job *job = pop_waiting(workers);
        if (job == NULL) {
            if (workers->stopping) {
                break;
            }
            if (!has_looked && !workers->looking) {
                has_looked = true;
                look_for_more(workers);
                continue;
            }
            fall_idle(worker);
            continue;
        }
        pthread_mutex_unlock(&workers->lock);
        job->run(job, worker->state);
        push_completed(workers, job);
        has_looked = workers->options.gives_way;
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct workers *workers = worker->workers;
    if (workers->options.gives_way) {
        /* Of this thread alone, on Linux. Where it is not allowed the job is done all the same. */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    }
    worker->error = start_worker(worker);
    pthread_mutex_lock(&workers->lock);
    workers->ready_count++;
    pthread_cond_signal(&workers->ready);
    pthread_mutex_unlock(&workers->lock);
    if (worker->error == 0) {
        work(worker);
        stop_worker(worker);
    }
    return NULL;
}

/* Waiting in the queue counts as well. */
static void end_job(struct workers *workers, struct workers_job *job)
{
    struct metrics *metrics = workers->options.io->metrics;
    if (metrics != NULL) {
        metrics_count(metrics, METRICS_JOBS + job->kind, 1);
        metrics_record(metrics, METRICS_JOB_TIME + job->kind,
                       io_now_ns(workers->options.io) - job->submitted_ns);
    }
    job->done(job);
}

static void run_completed(void *context)
{
    struct workers *workers = context;
    struct workers_job *newest =
        atomic_exchange_explicit(&workers->completed, NULL, memory_order_acquire);
    struct workers_job *oldest = NULL;
    while (newest != NULL) {
        struct workers_job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct workers_job *job = oldest;
        oldest = job->next;
        job->next = NULL;
        ensure(workers->pending > 0);
        workers->pending--;
        end_job(workers, job);
    }
}

static void join_all(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    while (workers->idle != NULL) {
        wake_one(workers);
    }
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++) {
        int error = pthread_join(workers->all[i].thread, NULL);
        ensure(error == 0);
        pthread_cond_destroy(&workers->all[i].wake);
    }
    pthread_cond_destroy(&workers->ready);
    pthread_mutex_destroy(&workers->lock);
}

static int make_thread(struct worker *worker)
{
    int error = pthread_cond_init(&worker->wake, NULL);
    ensure(error == 0);
    error = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (error == 0) {
        /* A thread without its name works as well. */
        (void)pthread_setname_np(worker->thread, worker->workers->name);
    } else {
        pthread_cond_destroy(&worker->wake);
    }
    return error;
}

static int start_threads(struct workers *workers, struct error_detail *detail)
{
    int error = pthread_mutex_init(&workers->lock, NULL);
    ensure(error == 0);
    error = pthread_cond_init(&workers->ready, NULL);
    ensure(error == 0);

    /* Signals of the process are for threads of its own. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* cannot fail */
    int masked = pthread_sigmask(SIG_SETMASK, &all, &before);
    ensure(masked == 0);
    while (error == 0 && workers->count < workers->options.count) {
        error = make_thread(&workers->all[workers->count]);
        workers->count += error == 0 ? 1 : 0;
    }
    masked = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ensure(masked == 0);

    pthread_mutex_lock(&workers->lock);
    while (workers->ready_count < workers->count) {
        pthread_cond_wait(&workers->ready, &workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    if (error != 0) {
        return error_set_errno(detail, error, "start %u worker threads", workers->options.count);
    }
    return 0;
}

/* Simulation */

static void sim_ring(struct workers *workers)
{
    struct io *io = workers->options.io;
    workers->timer.deadline_ns = io_now_ns(io) + io->ops->job_delay_ns(io);
    io_submit(io, &workers->timer);
}

/* Of several workers any may end first: what runs next is one of as many jobs as there are workers.
 */
static struct workers_job *sim_pop(struct workers *workers)
{
    uint32_t random;
    struct workers_job *before = NULL;
    struct workers_job **link = &workers->first;
    ensure(*link != NULL);
    io_random(workers->options.io, &random, sizeof(random));
    for (uint32_t skip = random % workers->count; skip > 0 && (*link)->next != NULL; skip--) {
        before = *link;
        link = &before->next;
    }
    struct workers_job *job = *link;
    *link = job->next;
    if (job->next == NULL) {
        workers->last = before;
    }
    return job;
}

static void sim_step(struct io_request *timer)
{
    struct workers *workers = timer->context;
    struct workers_job *job = workers->running;
    if (job == NULL) {
        job = sim_pop(workers);
        workers->running = job;
        job->run(job, workers->all[workers->turn].state);
        workers->turn = (workers->turn + 1) % workers->count;
        sim_ring(workers);
        return;
    }
    workers->running = NULL;
    workers->pending--;
    if (workers->first != NULL) {
        sim_ring(workers);
    }
    end_job(workers, job);
}

static void sim_start(struct workers *workers)
{
    workers->timer = (struct io_request){.op = IO_TIMER, .done = sim_step, .context = workers};
    while (workers->count < workers->options.count) {
        struct worker *worker = &workers->all[workers->count++];
        worker->error = start_worker(worker);
        if (worker->error != 0) {
            return;
        }
    }
}

/* Both */

static int first_error(const struct workers *workers, struct error_detail *detail)
{
    for (unsigned i = 0; i < workers->count; i++) {
        if (workers->all[i].error != 0) {
            if (detail != NULL) {
                *detail = workers->all[i].detail;
                detail->code = workers->all[i].error;
            }
            return workers->all[i].error;
        }
    }
    return 0;
}

static void tear_down(struct workers *workers)
{
    if (is_simulated(workers)) {
        for (unsigned i = 0; i < workers->count; i++) {
            stop_worker(&workers->all[i]);
        }
    } else {
        join_all(workers);
    }
    io_hook_remove(workers->options.io, run_completed, workers);
    memory_free(workers);
}

int workers_create(const struct workers_options *options, struct workers **out_workers,
                   struct error_detail *detail)
{
    ensure(options->count > 0);
    ensure(options->count <= COUNT_MAX);
    struct workers *workers =
        memory_alloc_zeroed(1, sizeof(struct workers) + options->count * sizeof(struct worker));
    if (workers == NULL) {
        return error_set(detail, STOA_ENOMEM, "create workers: out of memory");
    }
    workers->options = *options;
    snprintf(workers->name, sizeof(workers->name), "%s",
             options->name == NULL ? "worker" : options->name);
    for (unsigned i = 0; i < options->count; i++) {
        workers->all[i].workers = workers;
        workers->all[i].index = i;
    }
    int error = io_hook_add(options->io, run_completed, workers);
    if (error != 0) {
        memory_free(workers);
        return error_set(detail, error, "create workers: too many on one loop");
    }
    if (is_simulated(workers)) {
        sim_start(workers);
    } else {
        error = start_threads(workers, detail);
    }
    if (error == 0) {
        error = first_error(workers, detail);
    }
    if (error != 0) {
        tear_down(workers);
        return error;
    }
    *out_workers = workers;
    return 0;
}

void workers_destroy(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    while (workers->pending > 0 && io_run(workers->options.io, UINT64_MAX) >= 0) {
    }
    tear_down(workers);
}

void workers_submit(struct workers *workers, struct workers_job *job)
{
    workers->pending++;
    if (workers->options.io->metrics != NULL) {
        job->submitted_ns = io_now_ns(workers->options.io);
    }
    if (is_simulated(workers)) {
        push_waiting(workers, job);
        if (!workers->timer.pending && workers->running == NULL) {
            sim_ring(workers);
        }
        return;
    }
    pthread_mutex_lock(&workers->lock);
    bool is_found = workers->looking && workers->first == NULL;
    push_waiting(workers, job);
    if (workers->idle != NULL && !is_found) {
        wake_one(workers);
    }
    pthread_mutex_unlock(&workers->lock);
}

unsigned workers_pending(const struct workers *workers)
{
    return workers->pending;
}
