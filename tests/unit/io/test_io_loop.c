/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop: requests, timers, wake-ups, clocks: one suite for every implementation of io.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io_world.h"

/* The loop */

static void nothing_runs_before_the_loop_does(struct io_world *world)
{
    int file = io_world_open_new(world, "file", 0);
    struct io_request request = {.op = IO_WRITE,
                                 .file = file,
                                 .data = world->data,
                                 .size = 10,
                                 .done = io_world_count_done,
                                 .context = world};
    io_submit(world->io, &request);
    assert_true(request.pending);
    assert_int_equal(world->count, 0);
    io_world_run_until(world, 1);
    assert_false(request.pending);
    assert_int_equal(request.result, 10);
    io_world_close_file(world, file);
}

struct chain {
    struct io_request request;
    struct io_world *world;
    unsigned left;
};

static void submit_again(struct io_request *request)
{
    struct chain *chain = request->context;
    assert_int_equal(request->result, IO_WORLD_BLOCK);
    chain->world->count++;
    if (--chain->left > 0) {
        request->offset += IO_WORLD_BLOCK;
        io_submit(chain->world->io, request);
    }
}

static void a_callback_may_submit_its_own_request_again(struct io_world *world)
{
    int file = io_world_open_new(world, "file", 0);
    struct chain chain = {.world = world, .left = 100};
    chain.request = (struct io_request){.op = IO_WRITE,
                                        .file = file,
                                        .data = world->data,
                                        .size = IO_WORLD_BLOCK,
                                        .done = submit_again,
                                        .context = &chain};
    io_submit(world->io, &chain.request);
    io_world_run_until(world, 100);
    uint64_t size;
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "file"), &size), 0);
    assert_int_equal(size, 100 * IO_WORLD_BLOCK);
    io_world_close_file(world, file);
}

static void requests_beyond_the_ring_wait_their_turn(struct io_world *world)
{
    enum { MANY = 10000, SPAN = 64 };
    struct io_request *all = calloc(MANY, sizeof(*all));
    uint8_t *bytes = malloc((size_t)MANY * SPAN);
    assert_non_null(all);
    assert_non_null(bytes);
    int file = io_world_open_new(world, "many", 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        world->count = 0;
        for (unsigned i = 0; i < MANY; i++) {
            uint8_t *own = bytes + (size_t)i * SPAN;
            memset(own, pass == 0 ? (int)(i % 251) : 0, SPAN);
            all[i] = (struct io_request){.op = pass == 0 ? IO_WRITE : IO_READ,
                                         .file = file,
                                         .data = own,
                                         .size = SPAN,
                                         .offset = (uint64_t)i * SPAN,
                                         .done = io_world_count_done,
                                         .context = world};
            io_submit(world->io, &all[i]);
        }
        io_world_run_until(world, MANY);
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(all[i].result, SPAN);
            assert_int_equal(bytes[(size_t)i * SPAN + SPAN - 1], i % 251);
        }
    }
    io_world_close_file(world, file);
    free(bytes);
    free(all);
}

static void the_data_path_allocates_nothing(struct io_world *world)
{
    if (world->kind == IO_WORLD_IN_SIMULATION) {
        return; /* its disk is made of memory */
    }
    int file = io_world_open_new(world, "file", IO_OPEN_DIRECT);
    assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_SIZE, 0), IO_WORLD_SIZE);
    uint64_t before = memory_allocation_count();
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_SIZE, IO_WRITE_DURABLE),
                         IO_WORLD_SIZE);
        assert_int_equal(io_world_read_at(world, file, 0, IO_WORLD_SIZE), IO_WORLD_SIZE);
    }
    assert_int_equal(memory_allocation_count(), before);
    io_world_close_file(world, file);
}

/* Timers */

struct alarm {
    struct io_request request;
    struct io_world *world;
    unsigned number;
};

static void note_alarm(struct io_request *request)
{
    struct alarm *alarm = request->context;
    struct io_world *world = alarm->world;
    assert_true(request->result == STOA_ECANCELED || io_now_ns(world->io) >= request->deadline_ns);
    world->order[world->count++] = alarm->number;
}

static void set_alarm(struct io_world *world, struct alarm *alarm, unsigned number, uint64_t at)
{
    *alarm = (struct alarm){.world = world, .number = number};
    alarm->request = (struct io_request){
        .op = IO_TIMER, .deadline_ns = at, .done = note_alarm, .context = alarm};
    io_submit(world->io, &alarm->request);
}

static void timers_ring_in_the_order_of_their_deadlines(struct io_world *world)
{
    static const unsigned places[] = {5, 1, 4, 1, 3, 0, 2, 7, 6, 7};
    enum { COUNT = sizeof(places) / sizeof(places[0]) };
    struct alarm alarms[COUNT];
    uint64_t now = io_now_ns(world->io);
    for (unsigned i = 0; i < COUNT; i++) {
        set_alarm(world, &alarms[i], i, now + places[i] * 1000000u);
    }
    io_world_run_until(world, COUNT);
    for (unsigned i = 1; i < COUNT; i++) {
        unsigned earlier = world->order[i - 1];
        unsigned later = world->order[i];
        assert_true(places[earlier] < places[later] ||
                    (earlier < later && places[earlier] == places[later]));
    }
}

static void timers_grow_beyond_their_first_room(struct io_world *world)
{
    enum { COUNT = 1000 };
    struct io_request *all = calloc(COUNT, sizeof(*all));
    assert_non_null(all);
    uint64_t now = io_now_ns(world->io);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = (struct io_request){.op = IO_TIMER,
                                     .deadline_ns = now + (i * 7919u % COUNT) * 1000u,
                                     .done = io_world_count_done,
                                     .context = world};
        io_submit(world->io, &all[i]);
    }
    for (unsigned i = 0; i < COUNT; i += 3) {
        assert_true(io_cancel(world->io, &all[i]));
    }
    io_world_run_until(world, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(all[i].result, i % 3 == 0 ? STOA_ECANCELED : 0);
    }
    free(all);
}

static void a_canceled_timer_says_so(struct io_world *world)
{
    struct alarm alarm;
    set_alarm(world, &alarm, 0, io_now_ns(world->io) + 3600 * (uint64_t)1000000000);
    assert_int_equal(io_run(world->io, 0), 0);
    assert_true(io_cancel(world->io, &alarm.request));
    assert_int_equal(world->count, 0);
    io_world_run_until(world, 1);
    assert_int_equal(alarm.request.result, STOA_ECANCELED);
    assert_false(io_cancel(world->io, &alarm.request));
}

static void waiting_ends_in_time(struct io_world *world)
{
    uint64_t before = io_now_ns(world->io);
    assert_int_equal(io_run(world->io, 3000000), 0);
    assert_true(io_now_ns(world->io) >= before + 3000000);
    assert_int_equal(io_run(world->io, 0), 0);
}

static void a_request_canceled_before_the_loop_runs_never_starts(struct io_world *world)
{
    struct io_request request = {.op = IO_MKDIR,
                                 .path = io_world_path_of(world, "never"),
                                 .done = io_world_count_done,
                                 .context = world};
    io_submit(world->io, &request);
    assert_true(io_cancel(world->io, &request));
    io_world_run_until(world, 1);
    assert_int_equal(request.result, STOA_ECANCELED);
    assert_int_equal(io_world_on_path(world, IO_SYNC_DIR, "never"), STOA_ENOTFOUND);
}

static void a_request_canceled_on_its_way_ends_once(struct io_world *world)
{
    int file = io_world_open_new(world, "file", IO_OPEN_DIRECT);
    enum { COUNT = 64 };
    struct io_request all[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = (struct io_request){.op = i % 2 == 0 ? IO_WRITE : IO_SYNC_DIR,
                                     .file = file,
                                     .path = world->directory,
                                     .data = world->data,
                                     .size = IO_WORLD_SIZE,
                                     .flags = IO_WRITE_DURABLE,
                                     .done = io_world_count_done,
                                     .context = world};
        io_submit(world->io, &all[i]);
    }
    assert_true(io_run(world->io, 0) >= 0);
    for (unsigned i = 0; i < COUNT; i++) {
        (void)io_cancel(world->io, &all[i]);
    }
    io_world_run_until(world, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        int64_t good = i % 2 == 0 ? IO_WORLD_SIZE : 0;
        assert_true(all[i].result == good || all[i].result == STOA_ECANCELED);
        assert_false(all[i].pending);
    }
    assert_int_equal(io_run(world->io, 0), 0);
    io_world_close_file(world, file);
}

/* Wakes */

static void note_wake(void *context)
{
    struct io_world *world = context;
    world->count++;
}

static void a_wake_from_the_loop_itself_is_kept(struct io_world *world)
{
    world->io->woken = note_wake;
    world->io->woken_context = world;
    io_wake(world->io);
    io_wake(world->io);
    assert_int_equal(world->count, 0);
    assert_int_equal(io_run(world->io, UINT64_MAX), 1);
    assert_int_equal(world->count, 1);
    assert_int_equal(io_run(world->io, 0), 0);
}

static void hooks_hear_every_wake_until_removed(struct io_world *world)
{
    for (unsigned i = 0; i < IO_HOOKS_MAX; i++) {
        assert_int_equal(io_hook_add(world->io, note_wake, world), 0);
    }
    assert_int_equal(io_hook_add(world->io, note_wake, world), STOA_EBUSY);
    io_wake(world->io);
    assert_int_equal(io_run(world->io, UINT64_MAX), 1);
    assert_int_equal(world->count, IO_HOOKS_MAX);
    for (unsigned i = 0; i < IO_HOOKS_MAX; i++) {
        io_hook_remove(world->io, note_wake, world);
    }
    io_wake(world->io);
    assert_int_equal(io_run(world->io, UINT64_MAX), 1);
    assert_int_equal(world->count, IO_HOOKS_MAX);
}

struct caller {
    struct io *io;
    unsigned *shared; /* plain memory: the wake orders it */
    pthread_mutex_t lock;
    unsigned sum;
};

enum { CALLERS = 4, CALLS = 2000 };

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (unsigned i = 0; i < CALLS; i++) {
        pthread_mutex_lock(&caller->lock);
        caller->sum++;
        pthread_mutex_unlock(&caller->lock);
        io_wake(caller->io);
    }
    return NULL;
}

static void take_sum(void *context)
{
    struct caller *caller = context;
    pthread_mutex_lock(&caller->lock);
    *caller->shared = caller->sum;
    pthread_mutex_unlock(&caller->lock);
}

static void no_wake_of_another_thread_is_lost(struct io_world *world)
{
    if (world->kind == IO_WORLD_IN_SIMULATION) {
        return; /* one thread by design */
    }
    pthread_t threads[CALLERS];
    struct caller caller = {
        .io = world->io, .shared = &world->count, .lock = PTHREAD_MUTEX_INITIALIZER};
    world->io->woken = take_sum;
    world->io->woken_context = &caller;
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &caller), 0);
    }
    io_world_run_until(world, CALLERS * CALLS);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    pthread_mutex_destroy(&caller.lock);
}

static void *write_then_wake(void *argument)
{
    struct caller *caller = argument;
    *caller->shared = 1;
    io_wake(caller->io);
    return NULL;
}

static void what_was_written_before_a_wake_is_seen_after_it(struct io_world *world)
{
    if (world->kind == IO_WORLD_IN_SIMULATION) {
        return;
    }
    for (unsigned i = 0; i < 100; i++) {
        unsigned shared = 0;
        pthread_t thread;
        struct caller caller = {.io = world->io, .shared = &shared};
        assert_int_equal(pthread_create(&thread, NULL, write_then_wake, &caller), 0);
        while (io_run(world->io, UINT64_MAX) == 0) {
        }
        assert_int_equal(shared, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void a_loop_that_lingers_keeps_time_and_hears_wakes(struct io_world *world)
{
    uint64_t now = io_now_ns(world->io);
    assert_int_equal(io_run_lingering(world->io, 1000000), 0);
    assert_true(io_now_ns(world->io) >= now + 1000000);
    assert_int_equal(io_run_lingering(world->io, 0), 0);
    io_wake(world->io);
    assert_int_equal(io_run_lingering(world->io, UINT64_MAX), 1);
    struct io_request timer = {.op = IO_TIMER,
                               .deadline_ns = io_now_ns(world->io),
                               .done = io_world_count_done,
                               .context = world};
    io_submit(world->io, &timer);
    assert_int_equal(io_run_lingering(world->io, UINT64_MAX), 1);
    if (world->kind == IO_WORLD_IN_SIMULATION) {
        return;
    }
    for (unsigned i = 0; i < 200; i++) { /* it comes while the loop looks, or sleeps */
        unsigned shared = 0;
        pthread_t thread;
        struct caller caller = {.io = world->io, .shared = &shared};
        assert_int_equal(pthread_create(&thread, NULL, write_then_wake, &caller), 0);
        while (io_run_lingering(world->io, UINT64_MAX) == 0) {
        }
        assert_int_equal(shared, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

/* Clocks and chance */

static void clocks_go_forward(struct io_world *world)
{
    uint64_t now = io_now_ns(world->io);
    uint64_t wall = io_wall_ns(world->io);
    assert_int_equal(io_run(world->io, 1000000), 0);
    assert_true(io_now_ns(world->io) >= now + 1000000);
    assert_true(io_wall_ns(world->io) > wall);
    assert_true(wall > (uint64_t)1500000000 * 1000000000);
}

static void random_bytes_differ(struct io_world *world)
{
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    io_random(world->io, a, sizeof(a));
    io_random(world->io, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void several_loops_live_side_by_side(struct io_world *world)
{
    if (world->kind == IO_WORLD_IN_SIMULATION) {
        return;
    }
    struct io *more[3];
    struct io_options options = {.backend = world->kind == IO_WORLD_ON_RING ? IO_BACKEND_RING
                                                                            : IO_BACKEND_THREADS};
    int file = io_world_open_new(world, "file", 0);
    assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_SIZE, 0), IO_WORLD_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(io_create(&options, &more[i], NULL), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct io_request request = {
            .op = IO_READ, .file = file, .data = world->back, .size = IO_WORLD_SIZE};
        memset(world->back, 0, IO_WORLD_SIZE);
        assert_int_equal(io_wait(more[i], &request), IO_WORLD_SIZE);
        assert_memory_equal(world->back, world->data, IO_WORLD_SIZE);
    }
    for (unsigned i = 0; i < 3; i++) {
        io_destroy(more[i]);
    }
    io_world_close_file(world, file);
}

static int rest_apart(void *context, struct io *io)
{
    struct io_world *world = context;
    struct io_request request = {.op = IO_TIMER, .deadline_ns = io_now_ns(io)};
    assert_ptr_not_equal(io, world->io);
    assert_int_equal(io_wait(io, &request), 0);
    world->count++;
    return STOA_EBUSY;
}

static void what_runs_apart_has_a_loop_of_its_own(struct io_world *world)
{
    struct error_detail detail = {.code = STOA_EIO, .text = "of before"};
    assert_int_equal(io_run_apart(rest_apart, world, &detail), STOA_EBUSY);
    assert_int_equal(world->count, 1);
    assert_int_equal(detail.code, 0);
    assert_string_equal(detail.text, "");
    assert_int_equal(io_run_apart(rest_apart, world, NULL), STOA_EBUSY);
    assert_int_equal(world->count, 2);
}

static const struct io_world_fact facts[] = {
    {"nothing_runs_before_the_loop_does", nothing_runs_before_the_loop_does},
    {"a_callback_may_submit_its_own_request_again", a_callback_may_submit_its_own_request_again},
    {"requests_beyond_the_ring_wait_their_turn", requests_beyond_the_ring_wait_their_turn},
    {"the_data_path_allocates_nothing", the_data_path_allocates_nothing},
    {"timers_ring_in_the_order_of_their_deadlines", timers_ring_in_the_order_of_their_deadlines},
    {"timers_grow_beyond_their_first_room", timers_grow_beyond_their_first_room},
    {"a_canceled_timer_says_so", a_canceled_timer_says_so},
    {"waiting_ends_in_time", waiting_ends_in_time},
    {"a_request_canceled_before_the_loop_runs_never_starts",
     a_request_canceled_before_the_loop_runs_never_starts},
    {"a_request_canceled_on_its_way_ends_once", a_request_canceled_on_its_way_ends_once},
    {"a_wake_from_the_loop_itself_is_kept", a_wake_from_the_loop_itself_is_kept},
    {"hooks_hear_every_wake_until_removed", hooks_hear_every_wake_until_removed},
    {"no_wake_of_another_thread_is_lost", no_wake_of_another_thread_is_lost},
    {"what_was_written_before_a_wake_is_seen_after_it",
     what_was_written_before_a_wake_is_seen_after_it},
    {"a_loop_that_lingers_keeps_time_and_hears_wakes",
     a_loop_that_lingers_keeps_time_and_hears_wakes},
    {"clocks_go_forward", clocks_go_forward},
    {"random_bytes_differ", random_bytes_differ},
    {"several_loops_live_side_by_side", several_loops_live_side_by_side},
    {"what_runs_apart_has_a_loop_of_its_own", what_runs_apart_has_a_loop_of_its_own},
};

int main(void)
{
    return io_world_run(facts, sizeof(facts) / sizeof(facts[0]));
}
