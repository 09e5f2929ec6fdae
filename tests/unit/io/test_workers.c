/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io_sim.h"
#include "io/workers.h"

enum { JOBS = 5000, WORKERS = 3 };

struct state_of_worker {
    unsigned index;
    unsigned jobs;
};

struct yard {
    struct io *io;
    struct io_disk *disk; /* NULL: threads */
    struct workers *workers;
    struct state_of_worker states[WORKERS];
    atomic_uint started;
    atomic_uint stopped;
    unsigned fails_at; /* index + 1 of the worker that cannot start */
    unsigned done;
    unsigned more; /* jobs that done still submits */
    unsigned order[JOBS];
};

struct task {
    struct workers_job job;
    struct yard *yard;
    unsigned number;
    uint64_t payload; /* plain memory */
};

static int start_worker(void *context, unsigned index, void **out_state,
                        struct error_detail *detail)
{
    struct yard *yard = context;
    if (yard->fails_at == index + 1) {
        return error_set(detail, STOA_ENOSPACE, "worker %u has no room", index);
    }
    yard->states[index].index = index;
    *out_state = &yard->states[index];
    atomic_fetch_add(&yard->started, 1);
    return 0;
}

static void stop_worker(void *context, void *state)
{
    struct yard *yard = context;
    const struct state_of_worker *own = state;
    assert_ptr_equal(own, &yard->states[own->index]);
    atomic_fetch_add(&yard->stopped, 1);
}

static void run_task(struct workers_job *job, void *worker_state)
{
    struct task *task = job->context;
    struct state_of_worker *own = worker_state;
    own->jobs++;
    task->payload = (uint64_t)task->number * task->number;
}

static void finish_task(struct workers_job *job)
{
    struct task *task = job->context;
    struct yard *yard = task->yard;
    assert_int_equal(task->payload, (uint64_t)task->number * task->number);
    if (yard->done < JOBS) {
        yard->order[yard->done] = task->number;
    }
    yard->done++;
    if (yard->more > 0) {
        yard->more--;
        workers_submit(yard->workers, job);
    }
}

static int open_some_workers(struct yard *yard, unsigned count, struct error_detail *detail)
{
    struct workers_options options = {.io = yard->io,
                                      .count = count,
                                      .name = "yard",
                                      .start = start_worker,
                                      .stop = stop_worker,
                                      .context = yard};
    return workers_create(&options, &yard->workers, detail);
}

static int open_workers(struct yard *yard, struct error_detail *detail)
{
    return open_some_workers(yard, WORKERS, detail);
}

static void open_yard(struct yard *yard, bool simulated, uint64_t seed)
{
    memset(yard, 0, sizeof(*yard));
    if (simulated) {
        struct io_sim_options options = {.seed = seed, .delay_ns_max = 100000};
        yard->disk = io_disk_create(seed);
        assert_non_null(yard->disk);
        assert_int_equal(io_sim_create(yard->disk, &options, &yard->io), 0);
    } else {
        assert_int_equal(io_create(NULL, &yard->io, NULL), 0);
    }
}

static void close_yard(struct yard *yard)
{
    workers_destroy(yard->workers);
    io_destroy(yard->io);
    io_disk_destroy(yard->disk);
}

static struct task *make_tasks(struct yard *yard, unsigned count)
{
    struct task *tasks = calloc(count, sizeof(*tasks));
    assert_non_null(tasks);
    for (unsigned i = 0; i < count; i++) {
        tasks[i].yard = yard;
        tasks[i].number = i;
        tasks[i].job =
            (struct workers_job){.run = run_task, .done = finish_task, .context = &tasks[i]};
    }
    return tasks;
}

static void check_all_jobs_are_done(bool simulated)
{
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    open_yard(yard, simulated, 3);
    assert_int_equal(open_workers(yard, NULL), 0);
    assert_int_equal(yard->started, WORKERS);
    struct task *tasks = make_tasks(yard, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        workers_submit(yard->workers, &tasks[i].job);
    }
    assert_int_equal(workers_pending(yard->workers), JOBS);
    assert_int_equal(yard->done, 0);
    while (workers_pending(yard->workers) > 0) {
        assert_true(io_run(yard->io, UINT64_MAX) >= 0);
    }
    assert_int_equal(yard->done, JOBS);
    close_yard(yard);
    unsigned jobs = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        jobs += yard->states[i].jobs;
    }
    assert_int_equal(jobs, JOBS);
    assert_int_equal(yard->stopped, WORKERS);
    free(tasks);
    free(yard);
}

static void all_jobs_are_done_by_threads(void **state)
{
    (void)state;
    check_all_jobs_are_done(false);
}

static void all_jobs_are_done_in_simulation(void **state)
{
    (void)state;
    check_all_jobs_are_done(true);
}

struct partner {
    struct task task;
    atomic_bool *met;
};

static void wait_for_partner(struct workers_job *job, void *worker_state)
{
    struct task *task = job->context;
    struct partner *own = (struct partner *)(void *)task;
    while (!atomic_load(own->met)) {
    }
    run_task(job, worker_state);
}

static void meet_partner(struct workers_job *job, void *worker_state)
{
    struct task *task = job->context;
    struct partner *own = (struct partner *)(void *)task;
    atomic_store(own->met, true);
    run_task(job, worker_state);
}

/* Workers look for more or sleep when a job comes; one is not left to a worker that has another. */
static void a_job_starts_though_the_one_before_waits_for_it(void **state)
{
    (void)state;
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    open_yard(yard, false, 5);
    assert_int_equal(open_workers(yard, NULL), 0);
    for (unsigned round = 0; round < 1000; round++) {
        atomic_bool met = false;
        struct partner pair[2];
        for (unsigned i = 0; i < 2; i++) {
            pair[i] = (struct partner){.task = {.yard = yard, .number = i}, .met = &met};
            pair[i].task.job = (struct workers_job){.run = i == 0 ? wait_for_partner : meet_partner,
                                                    .done = finish_task,
                                                    .context = &pair[i].task};
        }
        workers_submit(yard->workers, &pair[0].task.job);
        workers_submit(yard->workers, &pair[1].task.job);
        while (workers_pending(yard->workers) > 0) {
            assert_true(io_run(yard->io, UINT64_MAX) >= 0);
        }
        assert_true(io_run(yard->io, round % 20 * 5000) >= 0); /* up to when all of them sleep */
    }
    assert_int_equal(yard->done, 2000);
    close_yard(yard);
    free(yard);
}

static void check_destroy_finishes_what_is_queued(bool simulated)
{
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    open_yard(yard, simulated, 4);
    assert_int_equal(open_workers(yard, NULL), 0);
    struct task *tasks = make_tasks(yard, 100);
    yard->more = 50;
    for (unsigned i = 0; i < 100; i++) {
        workers_submit(yard->workers, &tasks[i].job);
    }
    close_yard(yard);
    assert_int_equal(yard->done, 150);
    assert_int_equal(yard->stopped, WORKERS);
    free(tasks);
    free(yard);
}

static void destroy_finishes_what_is_queued(void **state)
{
    (void)state;
    check_destroy_finishes_what_is_queued(false);
    check_destroy_finishes_what_is_queued(true);
}

static void check_a_worker_that_cannot_start_stops_all(bool simulated)
{
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    open_yard(yard, simulated, 5);
    yard->fails_at = 2;
    struct error_detail detail = {0};
    assert_int_equal(open_workers(yard, &detail), STOA_ENOSPACE);
    assert_string_equal(detail.text, "worker 1 has no room");
    assert_null(yard->workers);
    assert_int_equal(yard->started, yard->stopped);
    yard->fails_at = 0;
    assert_int_equal(open_workers(yard, &detail), 0);
    close_yard(yard);
    free(yard);
}

static void a_worker_that_cannot_start_stops_all(void **state)
{
    (void)state;
    check_a_worker_that_cannot_start_stops_all(false);
    check_a_worker_that_cannot_start_stops_all(true);
}

/* Timers that ring between the jobs put the jobs' moments into the trace. */
struct tick {
    struct io_request request;
    struct yard *yard;
    unsigned *trace;
    unsigned *count;
};

static void note_tick(struct io_request *request)
{
    struct tick *tick = request->context;
    tick->trace[(*tick->count)++] = tick->yard->done;
    if (*tick->count < 200) {
        request->deadline_ns += 20000;
        io_submit(tick->yard->io, request);
    }
}

struct trace {
    unsigned ticks[200];
    unsigned order[100];
};

static void trace_of_seed(uint64_t seed, unsigned worker_count, struct trace *out_trace)
{
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    unsigned count = 0;
    open_yard(yard, true, seed);
    assert_int_equal(open_some_workers(yard, worker_count, NULL), 0);
    struct task *tasks = make_tasks(yard, 100);
    struct tick tick = {.yard = yard, .trace = out_trace->ticks, .count = &count};
    tick.request = (struct io_request){.op = IO_TIMER, .done = note_tick, .context = &tick};
    io_submit(yard->io, &tick.request);
    for (unsigned i = 0; i < 100; i++) {
        workers_submit(yard->workers, &tasks[i].job);
    }
    while (count < 200) {
        assert_true(io_run(yard->io, UINT64_MAX) >= 0);
    }
    close_yard(yard);
    assert_int_equal(yard->done, 100);
    memcpy(out_trace->order, yard->order, sizeof(out_trace->order));
    free(tasks);
    free(yard);
}

static unsigned inversions(const struct trace *trace)
{
    unsigned count = 0;
    for (unsigned i = 1; i < 100; i++) {
        count += trace->order[i] < trace->order[i - 1];
    }
    return count;
}

static void a_simulation_repeats_the_moments_of_its_jobs(void **state)
{
    (void)state;
    struct trace a = {0};
    struct trace b = {0};
    struct trace c = {0};
    trace_of_seed(11, WORKERS, &a);
    trace_of_seed(11, WORKERS, &b);
    trace_of_seed(12, WORKERS, &c);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(a.ticks, c.ticks, sizeof(a.ticks));
    assert_memory_not_equal(a.order, c.order, sizeof(a.order));
}

static void simulated_jobs_of_several_workers_end_in_any_order(void **state)
{
    (void)state;
    struct trace trace = {0};
    trace_of_seed(11, WORKERS, &trace);
    assert_in_range(inversions(&trace), 10, 90);
    trace_of_seed(11, 1, &trace);
    assert_int_equal(inversions(&trace), 0);
}

static void jobs_behind_a_power_cut_are_dropped(void **state)
{
    (void)state;
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    memset(yard, 0, sizeof(*yard));
    struct io_sim_options options = {.seed = 1, .delay_ns_max = 1000, .cut_at = 1};
    yard->disk = io_disk_create(1);
    assert_int_equal(io_sim_create(yard->disk, &options, &yard->io), 0);
    assert_int_equal(open_workers(yard, NULL), 0);
    struct task *tasks = make_tasks(yard, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        workers_submit(yard->workers, &tasks[i].job);
    }
    struct io_request request = {.op = IO_MKDIR, .path = "/x"};
    assert_int_equal(io_wait(yard->io, &request), STOA_ECLOSED);
    assert_true(workers_pending(yard->workers) > 0);
    close_yard(yard);
    assert_true(yard->done < 1000);
    assert_int_equal(yard->stopped, WORKERS);
    free(tasks);
    free(yard);
}

static void several_sets_share_one_loop(void **state)
{
    (void)state;
    struct yard *yard = malloc(sizeof(*yard));
    assert_non_null(yard);
    open_yard(yard, false, 0);
    assert_int_equal(open_workers(yard, NULL), 0);
    struct workers_options options = {.io = yard->io, .count = 2, .name = "other"};
    struct workers *other;
    assert_int_equal(workers_create(&options, &other, NULL), 0);
    struct task *tasks = make_tasks(yard, 100);
    for (unsigned i = 0; i < 100; i++) {
        workers_submit(yard->workers, &tasks[i].job);
    }
    workers_destroy(other);
    close_yard(yard);
    assert_int_equal(yard->done, 100);
    free(tasks);
    free(yard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_jobs_are_done_by_threads),
        cmocka_unit_test(all_jobs_are_done_in_simulation),
        cmocka_unit_test(a_job_starts_though_the_one_before_waits_for_it),
        cmocka_unit_test(destroy_finishes_what_is_queued),
        cmocka_unit_test(a_worker_that_cannot_start_stops_all),
        cmocka_unit_test(a_simulation_repeats_the_moments_of_its_jobs),
        cmocka_unit_test(simulated_jobs_of_several_workers_end_in_any_order),
        cmocka_unit_test(jobs_behind_a_power_cut_are_dropped),
        cmocka_unit_test(several_sets_share_one_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
