/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_sim_socket.c: a loop for sockets whose clock and luck come from a seed (io_sim.h).
 *
 * A pass tries all that waits, in order, without blocking. What could go on is put off now and then
 * until a later time; a stream goes to the end of the queue before its owner is told, who may
 * cancel it. Where nothing happens in a pass the clock moves to what was put off, a timer, or the
 * end of the wait. */
#include "io/io_sim.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_disk.h"
#include "io/io_posix.h"
#include "io/io_private.h"
#include "io/sockets.h"

enum {
    PASS_NS = 1000,
    RECEIVE_SIZE = 16384, /* as a buffer of io_uring's */
    SHORT_SIZE = 40,      /* a little more than a frame's header */
    PARTS_MAX = 64,
    TIMERS_START = 16,
};

struct sim_socket {
    struct io io; /* first */
    struct io_sim_socket_options options;
    struct io_waker waker;
    struct io_queue waiting; /* `moved`: not before that time */
    struct io_queue finished;
    struct io_heap timers;
    uint64_t now_ns;
    uint64_t chance;
    uint8_t received[RECEIVE_SIZE];
};

static struct sim_socket *socket_of(struct io *io)
{
    return (struct sim_socket *)io;
}

static bool happens(struct sim_socket *self, unsigned one_in)
{
    return one_in != 0 && io_disk_random_below(&self->chance, one_in) == 0;
}

/* How much of SIZE a transfer moves. */
static size_t cut_short(struct sim_socket *self, size_t size)
{
    if (!happens(self, self->options.short_1_in)) {
        return size;
    }
    size_t most = happens(self, 2) && size > SHORT_SIZE ? SHORT_SIZE : size;
    return 1 + (size_t)io_disk_random_below(&self->chance, most);
}

static bool is_ready(const struct io_request *request)
{
    struct pollfd one = {.fd = request->file,
                         .events = request->op == IO_HANG_UP ? POLLRDHUP : POLLIN};
    return request->op == IO_SEND || /* by trying: it often can before that is told */
           poll(&one, 1, 0) > 0;
}

static ssize_t send_some(struct sim_socket *self, const struct io_request *request)
{
    struct iovec parts[PARTS_MAX];
    size_t count = request->part_count < PARTS_MAX ? request->part_count : PARTS_MAX;
    size_t size = 0;
    ensure(count > 0);
    for (size_t i = 0; i < count; i++) {
        size += request->parts[i].iov_len;
    }
    size_t rest = cut_short(self, size);
    for (size_t i = 0; i < count; i++) {
        parts[i] = request->parts[i];
        parts[i].iov_len = parts[i].iov_len < rest ? parts[i].iov_len : rest;
        rest -= parts[i].iov_len;
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    return sendmsg(request->file, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A result, or a negative errno. */
static int64_t attempt(struct sim_socket *self, struct io_request *request)
{
    ssize_t result = 0; /* of a poll: it is ready */
    bool moves = request->op == IO_RECEIVE || request->op == IO_SEND;
    if (moves && happens(self, self->options.reset_1_in)) {
        return -ECONNRESET;
    }
    if (request->op == IO_ACCEPT) {
        result = sockets_take(request->file, SOCK_NONBLOCK);
    } else if (request->op == IO_RECEIVE) {
        request->data = self->received;
        result = recv(request->file, self->received, cut_short(self, RECEIVE_SIZE), MSG_DONTWAIT);
    } else if (request->op == IO_SEND) {
        result = send_some(self, request);
    }
    return result >= 0 ? result : -errno;
}

/* Returns how many callbacks ran. */
static int serve(struct sim_socket *self, struct io_request *request)
{
    bool streams = request->op == IO_ACCEPT || request->op == IO_RECEIVE;
    int64_t result = attempt(self, request);
    if (result == -EAGAIN) {
        io_queue_push(&self->waiting, request);
        return 0;
    }
    if (!streams || result < (request->op == IO_RECEIVE ? 1 : 0)) {
        io_finish_kernel(&self->finished, request, result);
        return 0;
    }
    io_queue_push(&self->waiting, request);
    request->result = result;
    request->os_error = 0;
    request->done(request);
    return 1;
}

static int pass(struct sim_socket *self)
{
    int ran = 0;
    size_t count = 0;
    for (const struct io_request *one = self->waiting.first; one != NULL; one = one->next) {
        count++;
    }
    for (; count > 0; count--) {
        struct io_request *request = io_queue_pop(&self->waiting);
        if (request == NULL) {
            return ran; /* they were cancelled by one before */
        }
        if (request->moved > self->now_ns || !is_ready(request)) {
            io_queue_push(&self->waiting, request);
        } else if (happens(self, self->options.late_1_in)) {
            request->moved =
                self->now_ns + 1 +
                io_disk_random_below(&self->chance, self->options.delay_ns_max + (uint64_t)1);
            io_queue_push(&self->waiting, request);
        } else {
            ran += serve(self, request);
        }
    }
    return ran;
}

/* When something is due that no event brings; UINT64_MAX: nothing is. */
static uint64_t next_due(const struct sim_socket *self, uint64_t deadline)
{
    uint64_t next = deadline;
    for (const struct io_request *one = self->waiting.first; one != NULL; one = one->next) {
        next = one->moved > self->now_ns && one->moved < next ? one->moved : next;
    }
    uint64_t wait = io_timers_wait_ns(&self->timers, self->now_ns, next);
    return wait == UINT64_MAX ? UINT64_MAX : self->now_ns + wait;
}

static int socket_run(struct io *io, uint64_t wait_ns)
{
    struct sim_socket *self = socket_of(io);
    uint64_t deadline = wait_ns > UINT64_MAX - self->now_ns ? UINT64_MAX : self->now_ns + wait_ns;
    for (;;) {
        int ran = pass(self);
        self->now_ns += PASS_NS;
        io_timers_expire(&self->timers, &self->finished, self->now_ns);
        if (io_waker_take(&self->waker)) {
            io_run_hooks(io);
            ran++;
        }
        ran += io_run_finished(io, &self->finished);
        uint64_t next = next_due(self, deadline);
        if (ran > 0 || self->now_ns >= deadline || next == UINT64_MAX) {
            return ran;
        }
        self->now_ns = next > self->now_ns ? next : self->now_ns;
    }
}

static void socket_submit(struct io *io, struct io_request *request)
{
    struct sim_socket *self = socket_of(io);
    ensure(request->op >= IO_TIMER); /* files are on other loops */
    if (request->op == IO_TIMER) {
        io_timer_start(&self->timers, &self->finished, request);
        return;
    }
    request->place = IO_PLACE_QUEUE;
    request->moved = 0;
    io_queue_push(&self->waiting, request);
}

static bool socket_cancel(struct io *io, struct io_request *request)
{
    struct sim_socket *self = socket_of(io);
    if (request->op == IO_TIMER) {
        io_timer_cancel(&self->timers, &self->finished, request);
    } else if (request->place == IO_PLACE_QUEUE) {
        io_queue_remove(&self->waiting, request);
        io_finish_kernel(&self->finished, request, -ECANCELED);
    }
    return true;
}

static void socket_wake(struct io *io)
{
    (void)io_waker_raise(&socket_of(io)->waker); /* it never sleeps */
}

static uint64_t socket_now_ns(struct io *io)
{
    return socket_of(io)->now_ns;
}

static void socket_random(struct io *io, void *out, size_t size)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)io_disk_random(&socket_of(io)->chance);
    }
}

static void socket_destroy(struct io *io)
{
    struct sim_socket *self = socket_of(io);
    ensure(io_queue_is_empty(&self->waiting));
    ensure(io_queue_is_empty(&self->finished));
    ensure(self->timers.count == 0);
    io_heap_deinit(&self->timers);
    memory_free(self);
}

static const struct io_ops socket_ops = {
    .name = "simulated",
    .destroy = socket_destroy,
    .submit = socket_submit,
    .cancel = socket_cancel,
    .run = socket_run,
    .wake = socket_wake,
    .now_ns = socket_now_ns,
    .wall_ns = socket_now_ns,
    .random = socket_random,
    .list = io_posix_list,
    .file_size = io_posix_file_size,
    .space = io_posix_space,
    .is_written = io_posix_is_written,
    .lock = io_posix_lock,
    .unlock = io_posix_unlock,
};

int io_sim_socket_create(const struct io_sim_socket_options *options, struct io **out_io)
{
    struct sim_socket *self = memory_alloc_zeroed(1, sizeof(*self));
    if (self == NULL || io_heap_init(&self->timers, TIMERS_START) != 0) {
        memory_free(self);
        return STOA_ENOMEM;
    }
    self->io.ops = &socket_ops;
    self->options = *options;
    self->chance = options->seed;
    (void)snprintf(self->io.features, sizeof(self->io.features), "simulated sockets");
    *out_io = &self->io;
    return 0;
}
