/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/io.h"

#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "io/io_private.h"
#include "io/look.h"

enum { ENTRIES_DEFAULT = 256, ENTRIES_MAX = 32768, THREADS_DEFAULT = 8, THREADS_MAX = 256 };

static int backend_from_environment(enum io_backend *backend, struct error_detail *detail)
{
    const char *wanted = getenv("STOA_IO");
    if (wanted == NULL || wanted[0] == '\0') {
        return 0;
    }
    if (strcmp(wanted, "threads") == 0) {
        *backend = IO_BACKEND_THREADS;
        return 0;
    }
    if (strcmp(wanted, "ring") == 0) {
        *backend = IO_BACKEND_RING;
        return 0;
    }
    return error_set(detail, STOA_EINVAL, "STOA_IO=%s: use ring or threads", wanted);
}

static int create_without_ring(const struct io_options *options, struct io **out_io,
                               struct error_detail *detail)
{
    return options->sockets ? io_epoll_create(options, out_io, detail)
                            : io_threads_create(options, out_io, detail);
}

static int create_fallback(const struct io_options *options, struct io **out_io,
                           struct error_detail *detail, const struct error_detail *why)
{
    int error = create_without_ring(options, out_io, detail);
    if (error != 0 || detail == NULL) {
        return error;
    }
    (void)error_set(detail, why->code, "io_uring is not used, %s instead: %s",
                    options->sockets ? "epoll serves sockets" : "blocking threads serve",
                    why->text);
    detail->code = 0;
    detail->os_error = why->os_error;
    return 0;
}

int io_create(const struct io_options *options, struct io **out_io, struct error_detail *detail)
{
    struct io_options chosen = {0};
    if (options != NULL) {
        chosen = *options;
    }
    chosen.entries = chosen.entries == 0 ? ENTRIES_DEFAULT : chosen.entries;
    chosen.threads = chosen.threads == 0 ? THREADS_DEFAULT : chosen.threads;
    if (chosen.entries > ENTRIES_MAX || chosen.threads > THREADS_MAX) {
        return error_set(detail, STOA_EINVAL, "more than %d ring entries or %d threads",
                         ENTRIES_MAX, THREADS_MAX);
    }
    if (chosen.backend == IO_BACKEND_AUTO) {
        int error = backend_from_environment(&chosen.backend, detail);
        if (error != 0) {
            return error;
        }
    }
    if (chosen.backend == IO_BACKEND_THREADS) {
        return create_without_ring(&chosen, out_io, detail);
    }
    if (chosen.backend == IO_BACKEND_RING) {
        return io_ring_create(&chosen, out_io, detail);
    }
    struct error_detail why = {0};
    if (io_ring_create(&chosen, out_io, &why) == 0) {
        return 0;
    }
    return create_fallback(&chosen, out_io, detail, &why);
}

void io_destroy(struct io *io)
{
    if (io != NULL) {
        io->ops->destroy(io);
    }
}

void io_submit(struct io *io, struct io_request *request)
{
    ensure(!request->pending);
    ensure(request->done != NULL);
    request->pending = true;
    request->canceled = false;
    request->result = 0;
    request->os_error = 0;
    request->moved = 0;
    if (!io_op_is_of_sockets(request->op)) {
        metrics_count(io->metrics, METRICS_IO_REQUESTS + request->op, 1);
        io->batch += request->op != IO_TIMER;
    }
    io->ops->submit(io, request);
}

bool io_cancel(struct io *io, struct io_request *request)
{
    return request->pending && io->ops->cancel(io, request);
}

int io_run(struct io *io, uint64_t wait_ns)
{
    if (io->batch != 0) {
        metrics_count(io->metrics, METRICS_IO_ROUNDS, 1);
        metrics_record(io->metrics, METRICS_IO_BATCH, io->batch);
        io->batch = 0;
    }
    return io->ops->run(io, wait_ns);
}

int io_run_lingering(struct io *io, uint64_t wait_ns)
{
    uint64_t linger_ns = io->ops->linger_ns;
    uint64_t begin_ns = io_now_ns(io);
    struct look look;
    for (bool on = look_begin(&look, io, linger_ns < wait_ns ? linger_ns : wait_ns); on;
         on = look_again(&look)) {
        int ran = io_run(io, 0);
        if (ran != 0) {
            return ran;
        }
    }
    if (wait_ns != UINT64_MAX) {
        uint64_t spent_ns = look.now_ns - begin_ns;
        wait_ns = wait_ns > spent_ns ? wait_ns - spent_ns : 0;
    }
    return io_run(io, wait_ns);
}

void io_wake(struct io *io)
{
    io->ops->wake(io);
}

static void wait_done(struct io_request *request)
{
    *(bool *)request->context = true;
}

int64_t io_wait(struct io *io, struct io_request *request)
{
    bool done = false;
    request->done = wait_done;
    request->context = &done;
    io_submit(io, request);
    while (!done) {
        int ran = io_run(io, UINT64_MAX);
        if (ran < 0) {
            return ran;
        }
    }
    return request->result;
}

int io_run_apart(int (*run)(void *context, struct io *io), void *context,
                 struct error_detail *detail)
{
    struct io_options options = {.backend = IO_BACKEND_THREADS, .threads = 1};
    struct io *io;
    int result = io_create(&options, &io, detail);
    if (result != 0) {
        return result;
    }
    if (detail != NULL) {
        *detail = (struct error_detail){.code = 0};
    }
    result = run(context, io);
    io_destroy(io);
    return result;
}

uint64_t io_now_ns(struct io *io)
{
    return io->ops->now_ns(io);
}

uint64_t io_wall_ns(struct io *io)
{
    return io->ops->wall_ns(io);
}

void io_random(struct io *io, void *out, size_t size)
{
    io->ops->random(io, out, size);
}

int io_hook_add(struct io *io, void (*woken)(void *context), void *context)
{
    ensure(woken != NULL);
    if (io->hook_count == IO_HOOKS_MAX) {
        return STOA_EBUSY;
    }
    io->hooks[io->hook_count++] = (struct io_hook){.woken = woken, .context = context};
    return 0;
}

void io_hook_remove(struct io *io, void (*woken)(void *context), void *context)
{
    for (unsigned i = 0; i < io->hook_count; i++) {
        if (io->hooks[i].woken == woken && io->hooks[i].context == context) {
            memmove(&io->hooks[i], &io->hooks[i + 1],
                    (io->hook_count - i - 1) * sizeof(io->hooks[0]));
            io->hook_count--;
            return;
        }
    }
}

int io_list(struct io *io, const char *path, void (*entry)(void *context, const char *name),
            void *context)
{
    return io->ops->list(io, path, entry, context);
}

int io_file_size(struct io *io, const char *path, uint64_t *out_size)
{
    return io->ops->file_size(io, path, out_size);
}

int io_space(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total)
{
    return io->ops->space(io, path, out_free, out_total);
}

bool io_buffer_add(struct io *io, void *data, size_t size)
{
    return io->ops->buffer_add != NULL && io->ops->buffer_add(io, data, size);
}

void io_buffer_remove(struct io *io, void *data)
{
    if (io->ops->buffer_remove != NULL) {
        io->ops->buffer_remove(io, data);
    }
}

bool io_is_written(struct io *io, int file, uint64_t offset, uint64_t size)
{
    return io->ops->is_written(io, file, offset, size);
}

int io_lock(struct io *io, const char *path, int *out_lock)
{
    return io->ops->lock(io, path, out_lock);
}

void io_unlock(struct io *io, int lock)
{
    io->ops->unlock(io, lock);
}

void io_run_hooks(struct io *io)
{
    for (unsigned i = 0; i < io->hook_count; i++) {
        io->hooks[i].woken(io->hooks[i].context);
    }
    if (io->woken != NULL) {
        io->woken(io->woken_context);
    }
}

void io_finish(struct io_queue *finished, struct io_request *request, int64_t result, int os_error)
{
    request->result = result;
    request->os_error = os_error;
    request->place = IO_PLACE_FINISHED;
    io_queue_push(finished, request);
}

void io_finish_kernel(struct io_queue *finished, struct io_request *request, int64_t result)
{
    if (result >= 0) {
        io_finish(finished, request, result, 0);
    } else {
        io_finish(finished, request, error_from_errno((int)-result), (int)-result);
    }
}

void io_timer_start(struct io_heap *timers, struct io_queue *finished, struct io_request *request)
{
    int error = io_heap_push(timers, request->deadline_ns, request);
    if (error != 0) {
        io_finish(finished, request, error, 0);
        return;
    }
    request->place = IO_PLACE_HEAP;
}

void io_timer_cancel(struct io_heap *timers, struct io_queue *finished, struct io_request *request)
{
    ensure(request->op == IO_TIMER);
    if (request->place == IO_PLACE_FINISHED) {
        request->result = STOA_ECANCELED;
        return;
    }
    io_heap_remove(timers, request);
    io_finish(finished, request, STOA_ECANCELED, 0);
}

void io_timers_expire(struct io_heap *timers, struct io_queue *finished, uint64_t now)
{
    uint64_t key;
    for (;;) {
        struct io_request *request = io_heap_first(timers, &key);
        if (request == NULL || key > now) {
            return;
        }
        io_heap_remove(timers, request);
        io_finish(finished, request, 0, 0);
    }
}

uint64_t io_timers_wait_ns(const struct io_heap *timers, uint64_t now, uint64_t deadline)
{
    uint64_t first = UINT64_MAX;
    if (io_heap_first(timers, &first) == NULL || first > deadline) {
        first = deadline;
    }
    if (first == UINT64_MAX) {
        return UINT64_MAX;
    }
    return first > now ? first - now : 0;
}

static void count_finished(struct metrics *metrics, const struct io_request *request)
{
    if (io_op_is_of_sockets(request->op)) {
        return; /* who serves them counts what they are for */
    }
    if (request->result < 0 && request->result != STOA_ECANCELED) {
        metrics_count(metrics, METRICS_IO_ERRORS + request->op, 1);
    } else if (request->op == IO_READ || request->op == IO_WRITE) {
        metrics_count(metrics, METRICS_IO_BYTES + request->op, (uint64_t)request->result);
    }
}

int io_run_finished(struct io *io, struct io_queue *finished)
{
    int ran = 0;
    struct io_queue batch = *finished;
    *finished = (struct io_queue){0};
    for (;;) {
        struct io_request *request = io_queue_pop(&batch);
        if (request == NULL) {
            return ran;
        }
        request->pending = false;
        ran++;
        count_finished(io->metrics, request);
        request->done(request);
    }
}
