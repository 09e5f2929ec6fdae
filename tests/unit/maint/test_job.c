/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine of jobs, on a simulated machine, with a job that counts: each step is one of COUNT,
 * by itself, on a worker, or on a worker with the tables, in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/simstore.h"

enum { COUNT = 60, STEP_BYTES = 1000, FAIL_AT_NONE = 0, BLOCKS = 40 };

static const uint64_t second_ns = 1000000000;

struct counter {
    uint64_t at;
};

/* What the counting job of a test has seen. */
static struct {
    unsigned begun;
    unsigned ended;
    uint64_t steps;
    uint64_t began_at; /* the point it was given */
    uint64_t fail_at;
    bool has_work;
} seen;

static int counter_begin(struct job *job, struct bytes point)
{
    struct counter *own = job_state(job);
    assert_int_equal(own->at, 0);
    if (point.size != 0) {
        assert_int_equal(point.size, 8);
        own->at = bytes_load_le64(point.data);
    }
    seen.began_at = own->at;
    seen.begun++;
    job_progress(job, own->at, COUNT);
    return 0;
}

static int count(struct job *job, struct kv_session *session)
{
    struct counter *own = job_state(job);
    assert_true((session != NULL) == (own->at % 3 == 2));
    if (seen.fail_at != 0 && own->at == seen.fail_at) {
        return STOA_EIO;
    }
    own->at++;
    job_spend(job, STEP_BYTES, 1);
    return 0;
}

static enum job_next counter_step(struct job *job)
{
    struct counter *own = job_state(job);
    uint8_t point[8];
    seen.steps++;
    bytes_store_le64(point, own->at);
    job_keep(job, bytes_of(point, sizeof(point)));
    job_progress(job, own->at, COUNT);
    job_fact(job, "counted", own->at);
    if (own->at == COUNT) {
        return JOB_ENDED;
    }
    if (own->at % 3 == 0) {
        int result = count(job, NULL);
        return result == 0 ? JOB_AGAIN : job_fail(job, result);
    }
    return job_work(job, own->at % 3 == 2, count);
}

static void counter_end(struct job *job)
{
    (void)job;
    seen.ended++;
}

static bool counter_has_work(struct job *job)
{
    (void)job;
    return seen.has_work;
}

static const struct job_kind counter = {
    .number = STOA_JOB_CHECKPOINT,
    .state_size = sizeof(struct counter),
    .begin = counter_begin,
    .step = counter_step,
    .end = counter_end,
    .has_work = counter_has_work,
};

static const struct job_kind *kinds[STOA_JOBS];

static const struct job_order plain = {.flags = 0};

static void open_with(struct simstore *sim, const struct io_sim_options *options)
{
    simstore_power(sim, options);
    assert_int_equal(simstore_open(sim), 0);
}

static struct made_chain *chain;

static void init(struct simstore *sim)
{
    struct io_sim_options options = {.seed = 4};
    simstore_init(sim, 3);
    memset(&seen, 0, sizeof(seen));
    simstore_power(sim, &options);
    assert_int_equal(simstore_create(sim, chain), 0);
    for (unsigned i = 0; i < STOA_JOBS; i++) {
        sim->maintenance.jobs[i].every_seconds = i == STOA_JOB_CHECKPOINT ? 0 : STOA_JOB_NEVER;
    }
    sim->with_jobs = true;
    sim->kinds = kinds;
    assert_int_equal(simstore_open(sim), 0);
}

static void reopen(struct simstore *sim)
{
    struct io_sim_options options = {.seed = 5};
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    open_with(sim, &options);
}

static void deinit(struct simstore *sim)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_deinit(sim);
    assert_int_equal(seen.begun, seen.ended);
}

static struct stoa_job_info info_of(const struct simstore *sim)
{
    struct stoa_job_info info;
    jobs_info(sim->jobs, STOA_JOB_CHECKPOINT, &info);
    return info;
}

/* Let TIME pass, or until the job has done UNTIL. */
static void run_for(struct simstore *sim, uint64_t time_ns, uint64_t until)
{
    uint64_t end = io_now_ns(sim->io) + time_ns;
    while (io_now_ns(sim->io) < end && info_of(sim).done < until) {
        assert_true(io_run(sim->io, 10000000) >= 0);
    }
}

static void a_job_runs_to_its_end_and_is_told(void **state)
{
    struct simstore sim;
    struct stoa_job_info info;
    (void)state;
    init(&sim);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &plain, &info), 0);
    assert_int_equal(seen.steps, COUNT + 1);
    assert_int_equal(info.done, COUNT);
    assert_int_equal(info.total, COUNT);
    assert_int_equal(info.bytes, COUNT * STEP_BYTES);
    assert_int_equal(info.operations, COUNT);
    assert_int_equal(info.runs, 1);
    assert_int_equal(info.active, 0);
    assert_int_equal(info.fact_count, 1);
    assert_string_equal(info.facts[0].name, "counted");
    assert_int_equal(info.facts[0].value, COUNT);
    reopen(&sim); /* its last run is known afterwards */
    info = info_of(&sim);
    assert_int_equal(info.runs, 1);
    assert_int_equal(info.bytes, COUNT * STEP_BYTES);
    assert_int_equal(info.facts[0].value, COUNT);
    assert_int_equal(info.interrupted, 0);
    deinit(&sim);
}

static void a_failed_step_ends_it_and_the_next_run_begins_anew(void **state)
{
    struct simstore sim;
    struct stoa_job_info info;
    (void)state;
    for (uint64_t at = 1; at <= 3; at++) { /* by itself, on a worker, with tables */
        init(&sim);
        seen.fail_at = 10 + at;
        assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &plain, &info), STOA_EIO);
        assert_int_equal(info.last_result, STOA_EIO);
        assert_int_equal(info.failures, 1);
        assert_true(info.last_error[0] != '\0');
        seen.fail_at = FAIL_AT_NONE;
        assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &plain, &info), 0);
        assert_int_equal(seen.began_at, 0);
        assert_int_equal(info.last_result, 0);
        assert_int_equal(info.failures, 1);
        deinit(&sim);
    }
}

static void the_budget_holds_in_the_long_run(void **state)
{
    struct simstore sim;
    struct job_order order = {.bytes_per_second = 10 * STEP_BYTES};
    (void)state;
    init(&sim);
    uint64_t begun = io_now_ns(sim.io);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &order, NULL), 0);
    uint64_t took = io_now_ns(sim.io) - begun;
    assert_in_range(took, 5 * second_ns, 7 * second_ns); /* 60 steps, 10 a second */
    order = (struct job_order){.operations_per_second = 20};
    begun = io_now_ns(sim.io);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &order, NULL), 0);
    took = io_now_ns(sim.io) - begun;
    assert_in_range(took, 5 * second_ns / 2, 4 * second_ns);
    order.flags = JOB_HURRY;
    begun = io_now_ns(sim.io);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &order, NULL), 0);
    assert_true(io_now_ns(sim.io) - begun < second_ns);
    deinit(&sim);
}

static void a_pause_holds_over_a_restart_and_a_resume_goes_on(void **state)
{
    struct simstore sim;
    struct error_detail detail;
    struct job_order order = {.operations_per_second = 20};
    (void)state;
    init(&sim);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    run_for(&sim, 10 * second_ns, 20);
    assert_int_equal(jobs_pause(sim.jobs, STOA_JOB_CHECKPOINT, &detail), 0);
    run_for(&sim, second_ns, COUNT);
    uint64_t at = info_of(&sim).done;
    assert_in_range(at, 20, 22);
    run_for(&sim, 20 * second_ns, COUNT);
    assert_int_equal(info_of(&sim).done, at);
    assert_int_equal(info_of(&sim).state, STOA_JOB_PAUSED);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), STOA_EBUSY);
    sim.maintenance.off = 0;
    reopen(&sim);
    run_for(&sim, 20 * second_ns, COUNT);
    assert_int_equal(info_of(&sim).state, STOA_JOB_PAUSED);
    assert_int_equal(info_of(&sim).interrupted, 1);
    assert_int_equal(jobs_resume(sim.jobs, STOA_JOB_CHECKPOINT, &detail), 0);
    run_for(&sim, 20 * second_ns, COUNT);
    assert_int_equal(seen.began_at, at);
    run_for(&sim, second_ns, COUNT + 1);
    assert_int_equal(info_of(&sim).active, 0);
    deinit(&sim);
}

static void an_interrupted_job_goes_on_where_it_was(void **state)
{
    struct simstore sim;
    struct error_detail detail;
    struct job_order order = {.operations_per_second = 20, .to = 9};
    struct job_order other = {.to = 8};
    (void)state;
    init(&sim);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    run_for(&sim, 10 * second_ns, 30);
    reopen(&sim); /* maintenance is off: it waits until it is asked for */
    run_for(&sim, 5 * second_ns, 1);
    assert_int_equal(info_of(&sim).interrupted, 1);
    assert_int_equal(info_of(&sim).active, 0);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &order, NULL), 0);
    assert_in_range(seen.began_at, 29, 31);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    run_for(&sim, 10 * second_ns, 30);
    reopen(&sim); /* asked for something else it begins anew */
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &other, NULL), 0);
    assert_int_equal(seen.began_at, 0);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    run_for(&sim, 10 * second_ns, 30);
    sim.maintenance.off = 0; /* it goes on by itself */
    reopen(&sim);
    run_for(&sim, 20 * second_ns, COUNT);
    assert_in_range(seen.began_at, 29, 31);
    deinit(&sim);
}

static void power_is_cut_and_it_goes_on_from_a_durable_point(void **state)
{
    struct simstore sim;
    struct error_detail detail;
    struct io_sim_options options = {.seed = 6};
    struct job_order order = {.operations_per_second = 10};
    uint64_t saved = 0;
    (void)state;
    init(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    options.cut_at = 150;
    open_with(&sim, &options);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    for (unsigned i = 1; i <= BLOCKS && !io_sim_is_cut(sim.io); i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        (void)simstore_put(&sim, &put); /* power may be cut */
        uint64_t until = io_now_ns(sim.io) + second_ns / 2;
        while (!io_sim_is_cut(sim.io) && io_now_ns(sim.io) < until) {
            (void)io_run(sim.io, 10000000); /* likewise */
        }
        if (i == 8) {
            saved = info_of(&sim).done;
            assert_int_equal(store_checkpoint(sim.store, &detail), 0);
        }
    }
    assert_true(io_sim_is_cut(sim.io));
    print_message("saved at %llu of %llu\n", (unsigned long long)saved,
                  (unsigned long long)info_of(&sim).done);
    assert_true(saved > 3);
    uint64_t at = info_of(&sim).done;
    assert_true(at > saved);
    simstore_cut(&sim, 8, true);
    options.cut_at = 0;
    open_with(&sim, &options);
    assert_int_equal(info_of(&sim).interrupted, 1);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &order, NULL), 0);
    assert_in_range(seen.began_at, saved < 12 ? 0 : saved - 12, at); /* a second before */
    deinit(&sim);
}

static void a_cancel_ends_it_for_good(void **state)
{
    struct simstore sim;
    struct error_detail detail;
    struct job_order order = {.operations_per_second = 20};
    (void)state;
    init(&sim);
    assert_int_equal(jobs_cancel(sim.jobs, STOA_JOB_CHECKPOINT, &detail), STOA_ENOTFOUND);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    run_for(&sim, 10 * second_ns, 30);
    assert_int_equal(jobs_cancel(sim.jobs, STOA_JOB_CHECKPOINT, &detail), 0);
    run_for(&sim, 5 * second_ns, COUNT);
    assert_int_equal(info_of(&sim).active, 0);
    assert_int_equal(info_of(&sim).last_result, STOA_ECANCELED);
    reopen(&sim);
    assert_int_equal(info_of(&sim).interrupted, 0);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &plain, NULL), 0);
    assert_int_equal(seen.began_at, 0);
    deinit(&sim);
}

static void a_schedule_begins_it_in_its_window_where_it_has_work(void **state)
{
    struct simstore sim;
    (void)state;
    init(&sim);
    struct stoa_job_schedule *schedule = &sim.maintenance.jobs[STOA_JOB_CHECKPOINT];
    sim.maintenance.off = 0;
    schedule->every_seconds = 100;
    reopen(&sim);
    uint64_t minute = io_wall_ns(sim.io) / second_ns / 60 % 1440; /* at each opening */
    run_for(&sim, 130 * second_ns, 1);
    assert_int_equal(seen.begun, 0);
    seen.has_work = true;
    run_for(&sim, 2 * second_ns, COUNT);
    run_for(&sim, second_ns, COUNT + 1);
    assert_int_equal(seen.begun, 1);
    run_for(&sim, 90 * second_ns, COUNT + 1);
    assert_int_equal(seen.begun, 1);
    run_for(&sim, 20 * second_ns, COUNT + 1);
    assert_int_equal(seen.begun, 2);
    schedule->window_from = (uint16_t)((minute + 5) % 1440); /* not now, for five minutes */
    schedule->window_to = (uint16_t)((minute + 8) % 1440);
    reopen(&sim);
    run_for(&sim, 200 * second_ns, COUNT + 1);
    assert_int_equal(seen.begun, 2);
    run_for(&sim, 150 * second_ns, COUNT + 1);
    assert_in_range(seen.begun, 3, 4);
    deinit(&sim);
}

static void a_dry_run_leaves_no_trace(void **state)
{
    struct simstore sim;
    struct stoa_job_info info;
    struct job_order dry = {.flags = JOB_DRY_RUN};
    (void)state;
    init(&sim);
    assert_int_equal(simstore_run_job(&sim, STOA_JOB_CHECKPOINT, &dry, &info), 0);
    assert_int_equal(info.flags, STOA_JOB_DRY_RUN);
    reopen(&sim);
    assert_int_equal(info_of(&sim).runs, 0);
    deinit(&sim);
}

static void a_job_gives_way_while_blocks_are_written(void **state)
{
    struct simstore sim;
    struct error_detail detail;
    struct job_order order = {.operations_per_second = 100};
    (void)state;
    init(&sim);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    uint64_t begun = io_now_ns(sim.io);
    for (unsigned i = 1; i <= BLOCKS && info_of(&sim).done < COUNT; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, i));
        assert_int_equal(simstore_put(&sim, &put), 0);
        run_for(&sim, 20000000, COUNT);
    }
    uint64_t rate = info_of(&sim).done * second_ns / (io_now_ns(sim.io) - begun);
    assert_in_range(rate, 10, 80); /* half of what it may, and its savings */
    run_for(&sim, 3 * second_ns, COUNT);
    deinit(&sim);
}

static void a_job_that_needs_space_waits_for_some(void **state)
{
    static struct job_kind needy;
    struct simstore sim;
    struct error_detail detail;
    struct job_order order = {.operations_per_second = 40};
    (void)state;
    needy = counter;
    needy.flags = JOB_TAKES_SPACE;
    kinds[STOA_JOB_CHECKPOINT] = &needy;
    init(&sim);
    assert_int_equal(jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &order, NULL, &detail), 0);
    run_for(&sim, 5 * second_ns, 10);
    jobs_set_short_of_space(sim.jobs, true);
    run_for(&sim, second_ns, COUNT);
    uint64_t at = info_of(&sim).done;
    run_for(&sim, 10 * second_ns, COUNT);
    assert_int_equal(info_of(&sim).done, at);
    assert_int_equal(info_of(&sim).state, STOA_JOB_WAITING);
    jobs_set_short_of_space(sim.jobs, false);
    run_for(&sim, 10 * second_ns, COUNT);
    assert_int_equal(info_of(&sim).done, COUNT);
    run_for(&sim, second_ns, COUNT + 1);
    kinds[STOA_JOB_CHECKPOINT] = &counter;
    deinit(&sim);
}

static void note_told(struct job_waiter *waiter)
{
    bool *told = waiter->context;
    assert_false(*told);
    *told = true;
}

/* Whoever asks while a run is under way waits for the run after it. The store is closed before
 * that, with the first run somewhere in the middle or at its end, all but told. */
static void who_waits_for_a_next_run_is_told_when_the_store_is_closed(void **state)
{
    static struct job_kind queued;
    struct error_detail detail;
    (void)state;
    queued = counter;
    queued.flags = JOB_QUEUES;
    kinds[STOA_JOB_CHECKPOINT] = &queued;
    for (unsigned at_end = 0; at_end < 2; at_end++) {
        struct simstore sim;
        bool told[2] = {false, false};
        struct job_waiter waiters[2] = {{.done = note_told, .context = &told[0]},
                                        {.done = note_told, .context = &told[1]}};
        init(&sim);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(
                jobs_start(sim.jobs, STOA_JOB_CHECKPOINT, &plain, &waiters[i], &detail), 0);
        }
        while (at_end != 0 ? seen.ended == 0 : info_of(&sim).done < COUNT / 2) {
            assert_true(io_run(sim.io, 10000000) >= 0);
        }
        assert_false(told[0]);
        assert_false(told[1]);
        jobs_stop(sim.jobs);
        assert_true(told[0]);
        assert_true(told[1]);
        assert_int_equal(waiters[0].result, at_end != 0 ? 0 : STOA_ECANCELED);
        assert_int_equal(waiters[1].result, STOA_ECANCELED);
        if (at_end != 0) {
            assert_non_null(strstr(waiters[1].detail.text, "did not begin"));
        }
        assert_int_equal(seen.begun, 1);
        deinit(&sim);
    }
    kinds[STOA_JOB_CHECKPOINT] = &counter;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_for_a_next_run_is_told_when_the_store_is_closed),
        cmocka_unit_test(a_job_runs_to_its_end_and_is_told),
        cmocka_unit_test(a_failed_step_ends_it_and_the_next_run_begins_anew),
        cmocka_unit_test(the_budget_holds_in_the_long_run),
        cmocka_unit_test(a_pause_holds_over_a_restart_and_a_resume_goes_on),
        cmocka_unit_test(an_interrupted_job_goes_on_where_it_was),
        cmocka_unit_test(power_is_cut_and_it_goes_on_from_a_durable_point),
        cmocka_unit_test(a_cancel_ends_it_for_good),
        cmocka_unit_test(a_schedule_begins_it_in_its_window_where_it_has_work),
        cmocka_unit_test(a_dry_run_leaves_no_trace),
        cmocka_unit_test(a_job_that_needs_space_waits_for_some),
        cmocka_unit_test(a_job_gives_way_while_blocks_are_written),
    };
    static struct job_kind others[STOA_JOBS];
    for (unsigned i = 0; i < STOA_JOBS; i++) { /* which nobody asks for */
        others[i] = counter;
        others[i].number = (enum stoa_job)i;
        kinds[i] = &others[i];
    }
    kinds[STOA_JOB_CHECKPOINT] = &counter;
    chain = made_chain_create(9, BLOCKS);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    made_chain_destroy(chain);
    return failed;
}
