/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sockets: one suite for every loop that serves them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/io_sim.h"
#include "io/sockets.h"
#include "support/fixture.h"

enum { KIND_RING, KIND_RING_ONE_SHOT, KIND_EPOLL, KIND_SIMULATED, KIND_COUNT };

static const char *const kind_names[] = {"io_uring", "io_uring, one-shot", "epoll", "a simulation"};

struct world {
    struct io *io;
    char path[64]; /* for a socket */
};

struct fact {
    const char *name;
    void (*run)(struct world *world);
};

struct one_test {
    const struct fact *fact;
    int kind;
    char name[160];
};

/* A request and what was told of it. */
struct told {
    struct io_request request;
    struct world *world;
    uint8_t *bytes; /* that came, or NULL: only counted */
    size_t size;
    unsigned calls;
    unsigned cancel_at; /* cancel in this call; 0: never */
    int sockets[512];
    unsigned socket_count;
    bool ended;
};

static void take(struct io_request *request)
{
    struct told *told = request->context;
    told->calls++;
    if (request->op == IO_ACCEPT && request->result >= 0) {
        assert_true(request->pending);
        told->sockets[told->socket_count++] = (int)request->result;
    } else if (request->op == IO_RECEIVE && request->result > 0) {
        assert_true(request->pending);
        if (told->bytes != NULL) {
            memcpy(told->bytes + told->size, request->data, (size_t)request->result);
        }
        told->size += (size_t)request->result;
    } else {
        assert_false(request->pending);
        assert_false(told->ended);
        told->ended = true;
    }
    if (told->calls == told->cancel_at) {
        assert_true(io_cancel(told->world->io, request));
    }
}

static void begin(struct world *world, struct told *told, enum io_op op, int file)
{
    told->request.op = op;
    told->request.file = file;
    told->request.done = take;
    told->request.context = told;
    told->world = world;
    told->ended = false;
    io_submit(world->io, &told->request);
}

static void run(struct world *world)
{
    assert_true(io_run(world->io, UINT64_MAX) >= 0);
}

static int64_t run_to_end(struct world *world, struct told *told)
{
    while (!told->ended) {
        run(world);
    }
    return told->request.result;
}

static int64_t cancel(struct world *world, struct told *told)
{
    assert_true(io_cancel(world->io, &told->request));
    return run_to_end(world, told);
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static int64_t send_all(struct world *world, struct told *told, int file, const uint8_t *data,
                        size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    told->request.parts = &part;
    told->request.part_count = 1;
    begin(world, told, IO_SEND, file);
    return run_to_end(world, told);
}

static int connect_to(const struct world *world)
{
    int file = -1;
    assert_int_equal(sockets_connect(world->path, 5000, &file, NULL), 0);
    return file;
}

static void sockets_are_accepted_until_that_is_cancelled(struct world *world)
{
    enum { CLIENTS = 20 };
    int listening;
    int clients[CLIENTS];
    struct told told = {.calls = 0};
    assert_int_equal(sockets_listen_unix(world->path, &listening, NULL), 0);
    clients[0] = connect_to(world);
    begin(world, &told, IO_ACCEPT, listening);
    for (unsigned i = 1; i < CLIENTS; i++) {
        clients[i] = connect_to(world);
        if (i % 5 == 0) {
            (void)io_run(world->io, 0);
        }
    }
    while (told.socket_count < CLIENTS) {
        run(world);
    }
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    assert_int_equal(told.calls, CLIENTS + 1);
    int late = connect_to(world);
    assert_true(io_run(world->io, 1000000) >= 0);
    assert_int_equal(told.socket_count, CLIENTS);
    begin(world, &told, IO_ACCEPT, listening);
    while (told.socket_count < CLIENTS + 1) {
        run(world);
    }
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    /* What was accepted is connected, in order. */
    assert_int_equal(write(clients[3], "x", 1), 1);
    char byte = 0;
    assert_int_equal(recv(told.sockets[3], &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    for (unsigned i = 0; i < CLIENTS + 1; i++) {
        sockets_close(told.sockets[i]);
        sockets_close(i < CLIENTS ? clients[i] : late);
    }
    sockets_close(listening);
}

/* Without descriptors for them clients wait, and accepting ends: it is tried again by its owner. */
static void accepting_goes_on_when_there_are_descriptors_again(struct world *world)
{
    struct rlimit before;
    int listening;
    struct told told = {.calls = 0};
    assert_int_equal(sockets_listen_unix(world->path, &listening, NULL), 0);
    int client = connect_to(world);
    int next = dup(client);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    begin(world, &told, IO_ACCEPT, listening);
    int64_t result = run_to_end(world, &told);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(result < 0);
    assert_int_equal(told.request.os_error, EMFILE);
    begin(world, &told, IO_ACCEPT, listening);
    while (told.socket_count == 0) {
        run(world);
    }
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    sockets_close(told.sockets[0]);
    sockets_close(client);
    sockets_close(listening);
}

static void what_is_sent_in_parts_comes_whole_and_in_order(struct world *world)
{
    enum { SIZE = 3 << 20, PARTS = 7, PART = 10001 };
    int pair[2];
    uint8_t *data = malloc(SIZE);
    struct told in = {.bytes = malloc(SIZE)};
    struct told out = {.calls = 0};
    assert_true(data != NULL && in.bytes != NULL);
    for (unsigned i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)(i * 7 + i / 1000);
    }
    make_pair(pair);
    begin(world, &in, IO_RECEIVE, pair[0]);
    size_t sent = 0;
    while (sent < SIZE) {
        struct iovec parts[PARTS];
        size_t at = sent;
        unsigned count = 0;
        for (; count < PARTS && at < SIZE; count++) {
            size_t size = SIZE - at < PART ? SIZE - at : PART;
            parts[count] = (struct iovec){.iov_base = data + at, .iov_len = size};
            at += size;
        }
        out.request.parts = parts;
        out.request.part_count = count;
        begin(world, &out, IO_SEND, pair[1]);
        int64_t went = run_to_end(world, &out);
        assert_true(went > 0 && (size_t)went <= at - sent);
        sent += (size_t)went;
    }
    while (in.size < SIZE) {
        run(world);
    }
    assert_memory_equal(in.bytes, data, SIZE);
    close(pair[1]);
    assert_int_equal(run_to_end(world, &in), 0);
    assert_int_equal(in.size, SIZE);
    close(pair[0]);
    free(in.bytes);
    free(data);
}

static void an_end_comes_after_what_was_sent_before_it(struct world *world)
{
    int pair[2];
    struct told told = {.calls = 0};
    make_pair(pair);
    assert_int_equal(write(pair[1], "last words", 10), 10);
    close(pair[1]);
    begin(world, &told, IO_RECEIVE, pair[0]);
    assert_int_equal(run_to_end(world, &told), 0);
    assert_int_equal(told.size, 10);
    close(pair[0]);
}

static void sending_to_nobody_fails_without_a_signal(struct world *world)
{
    int pair[2];
    struct told told = {.calls = 0};
    make_pair(pair);
    close(pair[1]);
    assert_int_equal(send_all(world, &told, pair[0], (const uint8_t *)"x", 1), STOA_EIO);
    assert_int_equal(told.request.os_error, EPIPE);
    close(pair[0]);
}

static void a_reset_is_an_error(struct world *world)
{
    int pair[2];
    int listening;
    char address[32];
    struct told told = {.calls = 0};
    assert_int_equal(sockets_listen_tcp("127.0.0.1:0", &listening, NULL), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", sockets_port(listening));
    assert_int_equal(sockets_connect(address, 5000, &pair[0], NULL), 0);
    struct told accepting = {.calls = 0};
    begin(world, &accepting, IO_ACCEPT, listening);
    while (accepting.socket_count == 0) {
        run(world);
    }
    assert_int_equal(cancel(world, &accepting), STOA_ECANCELED);
    begin(world, &told, IO_RECEIVE, accepting.sockets[0]);
    (void)io_run(world->io, 0);
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(pair[0]);
    assert_int_equal(run_to_end(world, &told), STOA_EIO);
    assert_int_equal(told.request.os_error, ECONNRESET);
    close(accepting.sockets[0]);
    close(listening);
}

static void a_send_waits_for_room_and_can_be_cancelled(struct world *world)
{
    enum { SIZE = 8 << 20 };
    int pair[2];
    uint8_t *data = calloc(1, SIZE);
    struct iovec part = {.iov_base = data, .iov_len = SIZE};
    struct told out = {.request = {.parts = &part, .part_count = 1}};
    struct told in = {.calls = 0};
    size_t sent = 0;
    assert_non_null(data);
    make_pair(pair);
    for (;;) { /* until it is full */
        begin(world, &out, IO_SEND, pair[0]);
        for (unsigned i = 0; i < 3 && !out.ended; i++) {
            assert_true(io_run(world->io, 1000000) >= 0);
        }
        if (!out.ended) {
            break;
        }
        assert_true(out.request.result > 0);
        sent += (size_t)out.request.result;
    }
    assert_true(out.request.pending);
    assert_int_equal(cancel(world, &out), STOA_ECANCELED);
    /* And it goes when there is room. */
    begin(world, &out, IO_SEND, pair[0]);
    (void)io_run(world->io, 0);
    begin(world, &in, IO_RECEIVE, pair[1]);
    int64_t more = run_to_end(world, &out);
    assert_true(more > 0);
    while (in.size < sent + (size_t)more) {
        run(world);
    }
    assert_int_equal(cancel(world, &in), STOA_ECANCELED);
    assert_int_equal(in.size, sent + (size_t)more);
    close(pair[0]);
    close(pair[1]);
    free(data);
}

/* How a client is held up: each piece cancels, and nothing is lost between the streams. */
static void nothing_is_lost_by_a_cancel_and_a_new_stream(struct world *world)
{
    enum { SIZE = 200000 };
    int pair[2];
    static uint8_t data[SIZE];
    static uint8_t came[SIZE];
    struct told in = {.bytes = came};
    struct told out = {.calls = 0};
    for (unsigned i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)(i * 13 + i / 999);
    }
    make_pair(pair);
    size_t sent = 0;
    unsigned streams = 0;
    while (in.size < SIZE) {
        if (sent < SIZE && sent - in.size < 60000) { /* there is room for it */
            size_t size = SIZE - sent < 30000 ? SIZE - sent : 30000;
            int64_t went = send_all(world, &out, pair[1], data + sent, size);
            assert_true(went > 0);
            sent += (size_t)went;
        }
        in.cancel_at = in.calls + 1;
        begin(world, &in, IO_RECEIVE, pair[0]);
        assert_int_equal(run_to_end(world, &in), STOA_ECANCELED);
        streams++;
    }
    assert_true(streams > 1);
    assert_int_equal(in.size, SIZE);
    assert_memory_equal(came, data, SIZE);
    close(pair[0]);
    close(pair[1]);
}

static void a_stream_is_cancelled_before_it_began(struct world *world)
{
    int pair[2];
    struct told told = {.calls = 0};
    make_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    begin(world, &told, IO_RECEIVE, pair[0]);
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    assert_false(io_cancel(world->io, &told.request));
    begin(world, &told, IO_RECEIVE, pair[0]);
    while (told.size == 0) {
        run(world);
    }
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    close(pair[0]);
    close(pair[1]);
}

/* More than there are buffers for at once. */
static void many_that_send_at_once_are_all_heard(struct world *world)
{
    enum { MANY = 400, BYTES = 3 };
    static struct told told[MANY];
    static int pairs[MANY][2];
    memset(told, 0, sizeof(told));
    for (unsigned i = 0; i < MANY; i++) {
        make_pair(pairs[i]);
        assert_int_equal(write(pairs[i][1], "abc", BYTES), BYTES);
        begin(world, &told[i], IO_RECEIVE, pairs[i][0]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        while (told[i].size < BYTES) {
            run(world);
        }
        assert_int_equal(told[i].size, BYTES);
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(write(pairs[i][1], "defg", BYTES + 1), BYTES + 1);
        close(pairs[i][1]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(run_to_end(world, &told[i]), 0);
        assert_int_equal(told[i].size, 2 * BYTES + 1);
        close(pairs[i][0]);
    }
}

/* More that come by one socket than completions and buffers have room for. */
static void a_flood_is_taken_in_order(struct world *world)
{
    enum { SIZE = 16 << 20, AT_ONCE = 1 << 20 };
    int pair[2];
    uint8_t *data = malloc(AT_ONCE);
    struct told in = {.calls = 0};
    struct told out = {.calls = 0};
    assert_non_null(data);
    memset(data, 'f', AT_ONCE);
    make_pair(pair);
    begin(world, &in, IO_RECEIVE, pair[0]);
    size_t sent = 0;
    while (sent < SIZE) {
        int64_t went = send_all(world, &out, pair[1], data, AT_ONCE);
        assert_true(went > 0);
        sent += (size_t)went;
    }
    close(pair[1]);
    assert_int_equal(run_to_end(world, &in), 0);
    assert_int_equal(in.size, sent);
    close(pair[0]);
    free(data);
}

static void a_socket_that_does_not_block_is_waited_for_as_well(struct world *world)
{
    int pair[2];
    struct told told = {.calls = 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    begin(world, &told, IO_RECEIVE, pair[0]);
    assert_true(io_run(world->io, 1000000) >= 0);
    assert_int_equal(told.calls, 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    while (told.size == 0) {
        run(world);
    }
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    close(pair[0]);
    close(pair[1]);
}

static void shutting_down_ends_what_is_under_way(struct world *world)
{
    int pair[2];
    struct told told = {.calls = 0};
    make_pair(pair);
    begin(world, &told, IO_RECEIVE, pair[0]);
    (void)io_run(world->io, 0);
    sockets_shut_down(pair[0]);
    assert_int_equal(run_to_end(world, &told), 0);
    char byte;
    assert_int_equal(recv(pair[1], &byte, 1, 0), 0);
    close(pair[0]);
    close(pair[1]);
}

static void a_poll_tells_once_that_something_can_be_read(struct world *world)
{
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct told told = {.calls = 0};
    assert_true(event >= 0);
    begin(world, &told, IO_POLL, event);
    assert_true(io_run(world->io, 1000000) >= 0);
    assert_false(told.ended);
    assert_int_equal(eventfd_write(event, 1), 0);
    assert_true(run_to_end(world, &told) >= 0);
    begin(world, &told, IO_POLL, event); /* it still can */
    assert_true(run_to_end(world, &told) >= 0);
    assert_true(io_run(world->io, 1000000) >= 0);
    assert_int_equal(told.calls, 2);
    eventfd_t value;
    assert_int_equal(eventfd_read(event, &value), 0);
    begin(world, &told, IO_POLL, event);
    (void)io_run(world->io, 0);
    assert_int_equal(cancel(world, &told), STOA_ECANCELED);
    close(event);
}

/* Whatever it sent before, and also where it would still read. */
static void that_the_other_side_ends_is_told_while_nothing_is_received(struct world *world)
{
    int pair[2];
    uint8_t bytes[8];
    struct told gone = {.calls = 0};
    struct told in = {.bytes = bytes};
    make_pair(pair);
    assert_int_equal(write(pair[1], "unread", 6), 6);
    begin(world, &gone, IO_HANG_UP, pair[0]);
    assert_true(io_run(world->io, 1000000) >= 0);
    assert_false(gone.ended);
    assert_false(sockets_is_gone(pair[0]));
    assert_int_equal(cancel(world, &gone), STOA_ECANCELED);
    begin(world, &gone, IO_HANG_UP, pair[0]);
    (void)io_run(world->io, 0);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    assert_true(run_to_end(world, &gone) >= 0);
    assert_true(sockets_is_gone(pair[0]));
    begin(world, &gone, IO_HANG_UP, pair[0]); /* it has still */
    assert_true(run_to_end(world, &gone) >= 0);
    assert_int_equal(gone.calls, 3);
    begin(world, &in, IO_RECEIVE, pair[0]);
    assert_int_equal(run_to_end(world, &in), 0);
    assert_int_equal(in.size, 6);
    close(pair[0]);
    close(pair[1]);
}

static void an_end_is_waited_for_beside_receiving_and_sending(struct world *world)
{
    int pair[2];
    struct told gone = {.calls = 0};
    struct told in = {.calls = 0};
    struct told out = {.calls = 0};
    make_pair(pair);
    begin(world, &gone, IO_HANG_UP, pair[0]);
    begin(world, &in, IO_RECEIVE, pair[0]);
    assert_true(send_all(world, &out, pair[0], (const uint8_t *)"out", 3) > 0);
    assert_int_equal(write(pair[1], "in", 2), 2);
    while (in.size < 2) {
        run(world);
    }
    assert_false(gone.ended);
    close(pair[1]);
    assert_true(run_to_end(world, &gone) >= 0);
    assert_true(run_to_end(world, &in) <= 0); /* it had not read all */
    close(pair[0]);
}

static void note_wake(void *context)
{
    ++*(unsigned *)context;
}

static void wakes_and_timers_reach_a_loop_of_sockets(struct world *world)
{
    unsigned wakes = 0;
    int pair[2];
    struct told in = {.calls = 0};
    struct told timer = {.calls = 0};
    make_pair(pair);
    begin(world, &in, IO_RECEIVE, pair[0]);
    world->io->woken = note_wake;
    world->io->woken_context = &wakes;
    io_wake(world->io);
    io_wake(world->io);
    while (wakes == 0) {
        run(world);
    }
    assert_int_equal(wakes, 1);
    timer.request.deadline_ns = io_now_ns(world->io) + 2000000;
    begin(world, &timer, IO_TIMER, 0);
    assert_int_equal(run_to_end(world, &timer), 0);
    assert_true(io_now_ns(world->io) >= timer.request.deadline_ns);
    assert_int_equal(in.calls, 0);
    assert_int_equal(cancel(world, &in), STOA_ECANCELED);
    close(pair[0]);
    close(pair[1]);
}

static void run_fact(void **state)
{
    const struct one_test *test = *state;
    struct world world = {.io = NULL};
    struct error_detail detail = {0};
    struct io_options options = {
        .backend = test->kind == KIND_EPOLL ? IO_BACKEND_THREADS : IO_BACKEND_RING,
        .entries = 64,
        .sockets = true,
        .one_shot = test->kind == KIND_RING_ONE_SHOT,
    };
    const struct io_sim_socket_options chances = {
        .seed = fixture_seed(), .late_1_in = 3, .delay_ns_max = 1000000, .short_1_in = 3};
    int error = test->kind == KIND_SIMULATED ? io_sim_socket_create(&chances, &world.io)
                                             : io_create(&options, &world.io, &detail);
    if (error != 0 && test->kind < KIND_EPOLL && getenv("STOA_TEST_NEEDS_RING") == NULL) {
        print_message("skipped: %s\n", detail.text);
        return;
    }
    assert_int_equal(error, 0);
    if (test->kind == KIND_RING_ONE_SHOT) {
        assert_non_null(strstr(world.io->features, "one-shot"));
    }
    snprintf(world.path, sizeof(world.path), "./io-sockets.%d", (int)getpid());
    test->fact->run(&world);
    sockets_unlink(world.path);
    io_destroy(world.io);
}

static const struct fact facts[] = {
    {"sockets_are_accepted_until_that_is_cancelled", sockets_are_accepted_until_that_is_cancelled},
    {"accepting_goes_on_when_there_are_descriptors_again",
     accepting_goes_on_when_there_are_descriptors_again},
    {"what_is_sent_in_parts_comes_whole_and_in_order",
     what_is_sent_in_parts_comes_whole_and_in_order},
    {"an_end_comes_after_what_was_sent_before_it", an_end_comes_after_what_was_sent_before_it},
    {"sending_to_nobody_fails_without_a_signal", sending_to_nobody_fails_without_a_signal},
    {"a_reset_is_an_error", a_reset_is_an_error},
    {"a_send_waits_for_room_and_can_be_cancelled", a_send_waits_for_room_and_can_be_cancelled},
    {"nothing_is_lost_by_a_cancel_and_a_new_stream", nothing_is_lost_by_a_cancel_and_a_new_stream},
    {"a_stream_is_cancelled_before_it_began", a_stream_is_cancelled_before_it_began},
    {"many_that_send_at_once_are_all_heard", many_that_send_at_once_are_all_heard},
    {"a_flood_is_taken_in_order", a_flood_is_taken_in_order},
    {"a_socket_that_does_not_block_is_waited_for_as_well",
     a_socket_that_does_not_block_is_waited_for_as_well},
    {"shutting_down_ends_what_is_under_way", shutting_down_ends_what_is_under_way},
    {"a_poll_tells_once_that_something_can_be_read", a_poll_tells_once_that_something_can_be_read},
    {"that_the_other_side_ends_is_told_while_nothing_is_received",
     that_the_other_side_ends_is_told_while_nothing_is_received},
    {"an_end_is_waited_for_beside_receiving_and_sending",
     an_end_is_waited_for_beside_receiving_and_sending},
    {"wakes_and_timers_reach_a_loop_of_sockets", wakes_and_timers_reach_a_loop_of_sockets},
};

enum { FACT_COUNT = sizeof(facts) / sizeof(facts[0]) };

int main(void)
{
    static struct one_test all[KIND_COUNT * FACT_COUNT];
    static struct CMUnitTest tests[KIND_COUNT * FACT_COUNT];
    for (unsigned i = 0; i < KIND_COUNT * FACT_COUNT; i++) {
        struct one_test *one = &all[i];
        one->fact = &facts[i % FACT_COUNT];
        one->kind = (int)(i / FACT_COUNT);
        snprintf(one->name, sizeof(one->name), "%s on %s", one->fact->name, kind_names[one->kind]);
        tests[i] =
            (struct CMUnitTest){.name = one->name, .test_func = run_fact, .initial_state = one};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
