/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_epoll.c: sockets where io_uring is refused.
 *
 * Each descriptor has a place for a request that waits until it can be read, one that waits until
 * it can be written, and one that waits for its other side's end. A pass tries what is to be sent,
 * waits, and serves what is ready; a stream is watched until it ends. What is ready is looked up
 * again by its descriptor when its turn comes: a callback before it may have cancelled it, closed
 * its descriptor and opened another with the same number, which then is found not to be ready. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_posix.h"
#include "io/io_private.h"
#include "io/sockets.h"

enum {
    EVENTS_MAX = 256,
    ACCEPTS_MAX = 64,          /* in a pass */
    RECEIVE_SIZE = 256 * 1024, /* at once */
    WATCHES_START = 64,
};

struct watch {
    struct io_request *reader; /* IO_ACCEPT, IO_RECEIVE, IO_POLL */
    struct io_request *writer; /* IO_SEND that found the socket full */
    struct io_request *hanger; /* IO_HANG_UP */
    uint32_t events;           /* that the kernel watches for; 0: it does not know the descriptor */
};

struct io_epoll {
    struct io io; /* first */
    struct io_waker waker;
    struct io_queue sending; /* to be tried in the next pass */
    struct io_queue finished;
    struct io_heap timers;
    int epoll;
    int wake_event;
    struct watch *watches; /* by descriptor */
    size_t watch_count;
    unsigned watched; /* requests in them */
    uint8_t *received;
    struct epoll_event events[EVENTS_MAX];
};

static struct io_epoll *epoll_of(struct io *io)
{
    return (struct io_epoll *)io;
}

/* ---- watching ---- */

static struct watch *watch_of(struct io_epoll *self, int file)
{
    ensure(file >= 0);
    if ((size_t)file >= self->watch_count) {
        size_t count = self->watch_count * 2;
        count = count > (size_t)file ? count : (size_t)file + 1;
        struct watch *grown = memory_resize(self->watches, count * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        for (size_t i = self->watch_count; i < count; i++) {
            grown[i] = (struct watch){.reader = NULL};
        }
        self->watches = grown;
        self->watch_count = count;
    }
    return &self->watches[file];
}

/* Tell the kernel what FILE is watched for by now. 0 or errno. */
static int settle(struct io_epoll *self, int file)
{
    struct watch *watch = &self->watches[file];
    uint32_t wanted = (watch->reader != NULL ? (uint32_t)EPOLLIN : 0) |
                      (watch->writer != NULL ? (uint32_t)EPOLLOUT : 0) |
                      (watch->hanger != NULL ? (uint32_t)EPOLLRDHUP : 0);
    if (wanted == watch->events) {
        return 0;
    }
    struct epoll_event event = {.events = wanted, .data.fd = file};
    int what = watch->events == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    watch->events = wanted;
    if (epoll_ctl(self->epoll, what, file, &event) == 0) {
        return 0;
    }
    watch->events = 0;
    return errno;
}

static struct io_request **place_of(struct watch *watch, const struct io_request *request)
{
    return request->op == IO_SEND      ? &watch->writer
           : request->op == IO_HANG_UP ? &watch->hanger
                                       : &watch->reader;
}

/* REQUEST waits for its descriptor, at its place of the watch. */
static void wait_for(struct io_epoll *self, struct io_request *request)
{
    struct watch *watch = watch_of(self, request->file);
    if (watch == NULL) {
        io_finish_kernel(&self->finished, request, -ENOMEM);
        return;
    }
    struct io_request **place = place_of(watch, request);
    ensure(*place == NULL); /* one of each operation */
    *place = request;
    int error = settle(self, request->file);
    if (error != 0) {
        *place = NULL;
        io_finish_kernel(&self->finished, request, -error);
        return;
    }
    request->place = IO_PLACE_KERNEL;
    self->watched++;
}

static void take_out(struct io_epoll *self, struct io_request *request)
{
    struct io_request **place = place_of(&self->watches[request->file], request);
    ensure(*place == request);
    ensure(self->watched > 0);
    *place = NULL;
    self->watched--;
    (void)settle(self, request->file); /* to watch for less cannot fail */
}

static void end(struct io_epoll *self, struct io_request *request, int64_t result)
{
    take_out(self, request);
    io_finish_kernel(&self->finished, request, result);
}

/* ---- serving ---- */

/* What a call gave: >= 0 or a negative errno. */
static int64_t send_parts(const struct io_request *request)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)request->parts,
                             .msg_iovlen = request->part_count};
    ssize_t sent;
    ensure(request->part_count > 0);
    do {
        sent = sendmsg(request->file, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : errno == ENOBUFS ? -EAGAIN : -errno;
}

static int64_t take_one(struct io_epoll *self, struct io_request *request)
{
    ssize_t result;
    do {
        if (request->op == IO_ACCEPT) {
            result = sockets_take(request->file, SOCK_NONBLOCK);
        } else {
            request->data = self->received;
            result = recv(request->file, self->received, RECEIVE_SIZE, MSG_DONTWAIT);
        }
    } while (result < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    return result >= 0 ? result : -errno;
}

static void try_sends(struct io_epoll *self)
{
    for (;;) {
        struct io_request *request = io_queue_pop(&self->sending);
        if (request == NULL) {
            return;
        }
        int64_t result = send_parts(request);
        if (result == -EAGAIN) {
            wait_for(self, request);
        } else {
            io_finish_kernel(&self->finished, request, result);
        }
    }
}

/* Its owner may cancel it in `done`: then it is in its place no more. */
static int serve_stream(struct io_epoll *self, int file)
{
    int ran = 0;
    for (;;) {
        struct io_request *request = self->watches[file].reader;
        if (request == NULL) {
            return ran;
        }
        int64_t result = take_one(self, request);
        if (result == -EAGAIN) {
            return ran;
        }
        if (result < (request->op == IO_RECEIVE ? 1 : 0)) {
            end(self, request, result);
            return ran;
        }
        request->result = result;
        request->os_error = 0;
        request->done(request);
        ran++;
        if (request->op == IO_RECEIVE || ran == ACCEPTS_MAX) {
            return ran; /* others have a turn; it is ready for the next pass as well */
        }
    }
}

static int serve(struct io_epoll *self, int file, uint32_t events)
{
    const uint32_t over = EPOLLERR | EPOLLHUP;
    const struct watch *watch = &self->watches[file];
    struct io_request *writer = watch->writer;
    if (writer != NULL && (events & (EPOLLOUT | over)) != 0) {
        int64_t result = send_parts(writer);
        if (result != -EAGAIN) {
            end(self, writer, result);
        }
    }
    if (watch->hanger != NULL && (events & (EPOLLRDHUP | over)) != 0 && sockets_is_gone(file)) {
        end(self, watch->hanger, 0);
    }
    struct io_request *reader = watch->reader;
    if (reader == NULL || (events & (EPOLLIN | over)) == 0) {
        return 0;
    }
    if (reader->op == IO_POLL) {
        struct pollfd still = {.fd = file, .events = POLLIN};
        if (poll(&still, 1, 0) > 0) {
            end(self, reader, 0);
        }
        return 0;
    }
    return serve_stream(self, file);
}

/* ---- the loop ---- */

static void epoll_submit(struct io *io, struct io_request *request)
{
    struct io_epoll *self = epoll_of(io);
    ensure(request->op >= IO_TIMER); /* files are on other loops */
    if (request->op == IO_TIMER) {
        io_timer_start(&self->timers, &self->finished, request);
    } else if (request->op == IO_SEND) {
        request->place = IO_PLACE_QUEUE;
        io_queue_push(&self->sending, request);
    } else {
        wait_for(self, request);
    }
}

static bool epoll_cancel(struct io *io, struct io_request *request)
{
    struct io_epoll *self = epoll_of(io);
    if (request->op == IO_TIMER) {
        io_timer_cancel(&self->timers, &self->finished, request);
    } else if (request->place == IO_PLACE_QUEUE) {
        io_queue_remove(&self->sending, request);
        io_finish_kernel(&self->finished, request, -ECANCELED);
    } else if (request->place == IO_PLACE_KERNEL) {
        end(self, request, -ECANCELED);
    }
    return true;
}

/* Wait, and take what is ready. Returns how many there are, or a negative STOA_E…. */
static int wait_ready(struct io_epoll *self, uint64_t wait_ns)
{
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    bool waits = wait_ns > 0 && io_waker_begin_wait(&self->waker);
    const struct timespec none = {.tv_sec = 0};
    int count = epoll_pwait2(self->epoll, self->events, EVENTS_MAX,
                             !waits                  ? &none
                             : wait_ns == UINT64_MAX ? NULL
                                                     : &wait,
                             NULL);
    int error = errno;
    if (waits) {
        io_waker_end_wait(&self->waker);
    }
    return count >= 0 ? count : error == EINTR ? 0 : error_from_errno(error);
}

static int serve_ready(struct io_epoll *self, int count)
{
    int ran = 0;
    for (int i = 0; i < count; i++) {
        int file = self->events[i].data.fd;
        if (file == self->wake_event) {
            eventfd_t ignored;
            (void)eventfd_read(file, &ignored); /* the flag says what was meant */
        } else {
            ran += serve(self, file, self->events[i].events);
        }
    }
    return ran;
}

static int epoll_run(struct io *io, uint64_t wait_ns)
{
    struct io_epoll *self = epoll_of(io);
    uint64_t now = io_posix_now_ns(io);
    uint64_t deadline = wait_ns > UINT64_MAX - now ? UINT64_MAX : now + wait_ns;
    for (;;) {
        try_sends(self);
        bool sleeps = io_queue_is_empty(&self->finished) && !io_waker_is_due(&self->waker);
        uint64_t wait = sleeps ? io_timers_wait_ns(&self->timers, now, deadline) : 0;
        int count = wait_ready(self, wait);
        if (count < 0) {
            return count;
        }
        int ran = serve_ready(self, count);
        now = io_posix_now_ns(io);
        io_timers_expire(&self->timers, &self->finished, now);
        if (io_waker_take(&self->waker)) {
            io_run_hooks(io);
            ran++;
        }
        ran += io_run_finished(io, &self->finished);
        if (ran > 0 || now >= deadline) {
            return ran;
        }
    }
}

static void epoll_wake(struct io *io)
{
    struct io_epoll *self = epoll_of(io);
    if (io_waker_raise(&self->waker)) {
        (void)eventfd_write(self->wake_event, 1); /* EAGAIN: it is more than awake */
    }
}

static void release(struct io_epoll *self)
{
    if (self->wake_event >= 0) {
        (void)close(self->wake_event); /* nothing to lose */
    }
    if (self->epoll >= 0) {
        (void)close(self->epoll);
    }
    io_heap_deinit(&self->timers);
    memory_free(self->watches);
    memory_free(self->received);
    memory_free(self);
}

static void epoll_destroy(struct io *io)
{
    struct io_epoll *self = epoll_of(io);
    ensure(self->watched == 0);
    ensure(io_queue_is_empty(&self->sending));
    ensure(io_queue_is_empty(&self->finished));
    ensure(self->timers.count == 0);
    release(self);
}

static const struct io_ops epoll_ops = {
    .name = "epoll",
    .destroy = epoll_destroy,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .run = epoll_run,
    .wake = epoll_wake,
    .now_ns = io_posix_now_ns,
    .wall_ns = io_posix_wall_ns,
    .random = io_posix_random,
    .list = io_posix_list,
    .file_size = io_posix_file_size,
    .space = io_posix_space,
    .is_written = io_posix_is_written,
    .lock = io_posix_lock,
    .unlock = io_posix_unlock,
    .linger_ns = IO_LINGER_NS,
};

int io_epoll_create(const struct io_options *options, struct io **out_io,
                    struct error_detail *detail)
{
    struct io_epoll *self = memory_alloc_zeroed(1, sizeof(*self));
    ensure(options->sockets);
    if (self == NULL || io_heap_init(&self->timers, IO_TIMERS_START) != 0) {
        memory_free(self);
        return error_set(detail, STOA_ENOMEM, "create the loop of sockets: out of memory");
    }
    self->io.ops = &epoll_ops;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->wake_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event wake = {.events = EPOLLIN, .data.fd = self->wake_event};
    if (self->epoll < 0 || self->wake_event < 0 ||
        epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->wake_event, &wake) != 0) {
        int error = error_set_errno(detail, errno, "create the loop of sockets");
        release(self);
        return error;
    }
    self->received = memory_alloc(RECEIVE_SIZE);
    self->watch_count = WATCHES_START;
    self->watches = memory_alloc_zeroed(WATCHES_START, sizeof(*self->watches));
    if (self->received == NULL || self->watches == NULL) {
        release(self);
        return error_set(detail, STOA_ENOMEM, "create the loop of sockets: out of memory");
    }
    snprintf(self->io.features, sizeof(self->io.features), "epoll; one-shot accept and receive");
    *out_io = &self->io;
    return 0;
}
