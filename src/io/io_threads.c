/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_threads.c: blocking system calls on a small pool, for machines that refuse io_uring.
 *
 * The loop gathers what was submitted in `gathered` and hands it to the pool's queue under one
 * lock in io_run; a thread takes one request, works it to its end and puts it to `completed`. The
 * lock guards `waiting`, `completed`, `idle` and `stopping`; the two conditions belong to it. Only
 * the wake flag is used without it. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_posix.h"
#include "io/io_private.h"

struct io_threads {
    struct io io; /* first */
    struct io_waker waker;
    struct io_queue gathered;
    struct io_queue finished;
    struct io_heap timers;
    unsigned with_pool; /* handed over and not yet taken back */

    pthread_mutex_t lock;
    pthread_cond_t work; /* for the pool: `waiting` or `stopping` */
    pthread_cond_t done; /* for the loop: `completed` or a wake */
    struct io_queue waiting;
    struct io_queue completed;
    unsigned idle;
    bool stopping;

    unsigned count;
    pthread_t threads[];
};

static struct io_threads *threads_of(struct io *io)
{
    return (struct io_threads *)io;
}

/* 0 or more, or a negative errno; EINTR is repeated. */
static int64_t open_file(const struct io_request *request)
{
    int flags = io_posix_open_flags(request->flags);
    for (;;) {
        int file = open(request->path, flags, IO_POSIX_FILE_MODE);
        if (file >= 0) {
            return file;
        }
        if (errno == EINVAL && (flags & O_DIRECT) != 0) {
            flags = io_posix_open_flags_buffered(request->flags);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

static int64_t transfer(struct io_request *request)
{
    int flags = (request->flags & IO_WRITE_DURABLE) != 0 ? RWF_DSYNC : 0;
    while (request->moved < request->size) {
        struct iovec part = {.iov_base = (char *)request->data + request->moved,
                             .iov_len = io_posix_transfer_size(request)};
        off_t offset = (off_t)(request->offset + request->moved);
        ssize_t count = request->op == IO_READ ? preadv2(request->file, &part, 1, offset, 0)
                                               : pwritev2(request->file, &part, 1, offset, flags);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (count < 0) {
            return -errno;
        }
        if (count == 0 && request->op == IO_WRITE) {
            return -EIO;
        }
        if (io_posix_advance(request, (size_t)count)) {
            break;
        }
    }
    return (int64_t)request->moved;
}

static int64_t sync_directory(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return -errno;
    }
    int64_t result = fsync(directory) == 0 ? 0 : -errno;
    (void)close(directory); /* fsync has said all there is to know */
    return result;
}

static int64_t call(struct io_request *request)
{
    off_t offset = (off_t)request->offset;
    off_t size = (off_t)request->size;
    switch (request->op) {
    case IO_OPEN:
        return open_file(request);
    case IO_CLOSE:
        return close(request->file) == 0 || errno == EINTR ? 0 : -errno;
    case IO_READ:
    case IO_WRITE:
        return transfer(request);
    case IO_SYNC:
        return fdatasync(request->file) == 0 ? 0 : -errno;
    case IO_ALLOCATE:
        return fallocate(request->file, 0, offset, size) == 0 ? 0 : -errno;
    case IO_PUNCH:
        return fallocate(request->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) ==
                       0
                   ? 0
                   : -errno;
    case IO_RENAME:
        return rename(request->path, request->path_to) == 0 ? 0 : -errno;
    case IO_LINK:
        return link(request->path, request->path_to) == 0 ? 0 : -errno;
    case IO_UNLINK:
        return unlink(request->path) == 0 ? 0 : -errno;
    case IO_RMDIR:
        return rmdir(request->path) == 0 ? 0 : -errno;
    case IO_MKDIR:
        return mkdir(request->path, IO_POSIX_DIRECTORY_MODE) == 0 ? 0 : -errno;
    case IO_SYNC_DIR:
        return sync_directory(request->path);
    case IO_TIMER:
    case IO_ACCEPT:
    case IO_RECEIVE:
    case IO_SEND:
    case IO_POLL:
    case IO_HANG_UP:
        break;
    }
    ensure(request->op < IO_TIMER); /* sockets are on other loops */
    return -EINVAL;
}

/* A flush is not repeated after anything but EINTR: after a failure a second one may lie. */
static void work_on(struct io_request *request)
{
    int64_t result;
    do {
        result = call(request);
    } while (result == -EINTR);
    request->result = result;
}

static void *thread_main(void *argument)
{
    struct io_threads *self = argument;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        struct io_request *request = io_queue_pop(&self->waiting);
        if (request == NULL) {
            if (self->stopping) {
                break;
            }
            self->idle++;
            pthread_cond_wait(&self->work, &self->lock);
            self->idle--;
            continue;
        }
        request->place = IO_PLACE_KERNEL;
        pthread_mutex_unlock(&self->lock);
        work_on(request);
        pthread_mutex_lock(&self->lock);
        bool first = io_queue_is_empty(&self->completed);
        io_queue_push(&self->completed, request);
        if (first) {
            pthread_cond_signal(&self->done);
        }
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void threads_submit(struct io *io, struct io_request *request)
{
    struct io_threads *self = threads_of(io);
    if (request->op == IO_TIMER) {
        io_timer_start(&self->timers, &self->finished, request);
    } else {
        request->place = IO_PLACE_QUEUE;
        io_queue_push(&self->gathered, request);
    }
}

static bool threads_cancel(struct io *io, struct io_request *request)
{
    struct io_threads *self = threads_of(io);
    if (request->op == IO_TIMER) {
        io_timer_cancel(&self->timers, &self->finished, request);
        return true;
    }
    bool taken = false;
    pthread_mutex_lock(&self->lock);
    if (request->place == IO_PLACE_QUEUE) {
        if (io_queue_contains(&self->waiting, request)) {
            io_queue_remove(&self->waiting, request);
            self->with_pool--;
        } else {
            io_queue_remove(&self->gathered, request);
        }
        taken = true;
    }
    pthread_mutex_unlock(&self->lock);
    if (taken) {
        io_finish(&self->finished, request, STOA_ECANCELED, ECANCELED);
    }
    return true;
}

static struct timespec timespec_of(uint64_t time_ns)
{
    return (struct timespec){.tv_sec = (time_t)(time_ns / 1000000000u),
                             .tv_nsec = (long)(time_ns % 1000000000u)};
}

/* Hand over what was gathered, sleep until UNTIL at most, take what is complete. */
static void exchange(struct io_threads *self, uint64_t until)
{
    struct io_queue completed = {0};
    pthread_mutex_lock(&self->lock);
    unsigned wanted = 0;
    for (struct io_request *one = self->gathered.first; one != NULL; one = one->next) {
        wanted++;
    }
    self->with_pool += wanted;
    io_queue_append(&self->waiting, &self->gathered);
    for (unsigned i = 0; i < wanted && i < self->idle; i++) {
        pthread_cond_signal(&self->work);
    }
    while (until != 0 && io_queue_is_empty(&self->completed) && io_waker_begin_wait(&self->waker)) {
        int error = 0;
        if (until == UINT64_MAX) {
            error = pthread_cond_wait(&self->done, &self->lock);
        } else {
            struct timespec time = timespec_of(until);
            error = pthread_cond_timedwait(&self->done, &self->lock, &time);
        }
        io_waker_end_wait(&self->waker);
        if (error == ETIMEDOUT || io_waker_is_due(&self->waker)) {
            break;
        }
    }
    io_queue_append(&completed, &self->completed);
    pthread_mutex_unlock(&self->lock);
    for (;;) {
        struct io_request *request = io_queue_pop(&completed);
        if (request == NULL) {
            return;
        }
        self->with_pool--;
        io_finish_kernel(&self->finished, request, request->result);
    }
}

static int threads_run(struct io *io, uint64_t wait_ns)
{
    struct io_threads *self = threads_of(io);
    uint64_t now = io_posix_now_ns(io);
    uint64_t deadline = wait_ns > UINT64_MAX - now ? UINT64_MAX : now + wait_ns;
    for (;;) {
        bool sleeps = io_queue_is_empty(&self->finished) && !io_waker_is_due(&self->waker);
        uint64_t wait = sleeps ? io_timers_wait_ns(&self->timers, now, deadline) : 0;
        exchange(self, wait == 0 ? 0 : wait == UINT64_MAX ? UINT64_MAX : now + wait);
        now = io_posix_now_ns(io);
        io_timers_expire(&self->timers, &self->finished, now);
        int ran = 0;
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

static void threads_wake(struct io *io)
{
    struct io_threads *self = threads_of(io);
    if (io_waker_raise(&self->waker)) {
        pthread_mutex_lock(&self->lock);
        pthread_cond_signal(&self->done);
        pthread_mutex_unlock(&self->lock);
    }
}

static void stop_threads(struct io_threads *self)
{
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_broadcast(&self->work);
    pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < self->count; i++) {
        int error = pthread_join(self->threads[i], NULL);
        ensure(error == 0);
    }
}

static void threads_destroy(struct io *io)
{
    struct io_threads *self = threads_of(io);
    ensure(self->with_pool == 0);
    ensure(io_queue_is_empty(&self->gathered));
    ensure(io_queue_is_empty(&self->finished));
    ensure(self->timers.count == 0);
    stop_threads(self);
    pthread_cond_destroy(&self->done);
    pthread_cond_destroy(&self->work);
    pthread_mutex_destroy(&self->lock);
    io_heap_deinit(&self->timers);
    memory_free(self);
}

static const struct io_ops threads_ops = {
    .name = "threads",
    .destroy = threads_destroy,
    .submit = threads_submit,
    .cancel = threads_cancel,
    .run = threads_run,
    .wake = threads_wake,
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

static void init_lock(struct io_threads *self)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    ensure(error == 0);
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    ensure(error == 0);
    error = pthread_mutex_init(&self->lock, NULL);
    ensure(error == 0);
    error = pthread_cond_init(&self->work, NULL);
    ensure(error == 0);
    error = pthread_cond_init(&self->done, &attributes);
    ensure(error == 0);
    (void)pthread_condattr_destroy(&attributes); /* cannot fail on what init made */
}

/* Signals of the process are for threads of its own. */
static int start_threads(struct io_threads *self, unsigned count)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* cannot fail */
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    ensure(error == 0);
    while (self->count < count) {
        error = pthread_create(&self->threads[self->count], NULL, thread_main, self);
        if (error != 0) {
            break;
        }
        self->count++;
    }
    int restored = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ensure(restored == 0);
    return error;
}

int io_threads_create(const struct io_options *options, struct io **out_io,
                      struct error_detail *detail)
{
    size_t size = sizeof(struct io_threads) + options->threads * sizeof(pthread_t);
    struct io_threads *self = memory_alloc_zeroed(1, size);
    if (self == NULL) {
        return error_set(detail, STOA_ENOMEM, "create the I/O threads: out of memory");
    }
    self->io.ops = &threads_ops;
    if (io_heap_init(&self->timers, IO_TIMERS_START) != 0) {
        memory_free(self);
        return error_set(detail, STOA_ENOMEM, "create the I/O threads: out of memory");
    }
    init_lock(self);
    int error = start_threads(self, options->threads);
    if (error != 0) {
        threads_destroy(&self->io);
        return error_set_errno(detail, error, "start %u I/O threads", options->threads);
    }
    snprintf(self->io.features, sizeof(self->io.features), "blocking calls on %u threads",
             self->count);
    *out_io = &self->io;
    return 0;
}
