/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_ring.c: io_uring.
 *
 * What is submitted waits in `waiting`; io_run turns it into entries of the ring while fewer than
 * `entries` requests are in flight, and one system call hands all of them over and waits. A request
 * that is not at its end when the kernel answers (a short transfer, EINTR, EAGAIN, the next step of
 * several) goes to the front of `waiting` again. Callbacks run only after every answer of a pass
 * was taken.
 *
 * Files are opened as plain descriptors; those small enough are registered with the ring under
 * their own number as well, which saves the kernel a look-up at each request.
 *
 * Before it takes anything the ring is restricted, for good, to the operations and registrations
 * that are used here: a filter of system calls (stoad's confine.h) does not see what goes through a
 * ring.
 *
 * A wake from another thread is a message to the ring (MSG_RING by a registration call, which needs
 * no ring of the waker's), or where the kernel lacks that, a write to an eventfd that the ring
 * reads. Polling a ring of deferred task work is never relied on, nor are drained requests: both
 * hang. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_posix.h"
#include "io/io_ring_private.h"

/* Steps of IO_SYNC_DIR, kept in `moved`: the step and above it the directory's descriptor. */
enum { STEP_OPEN, STEP_SYNC, STEP_CLOSE, STEP_BITS = 2 };

static const int file_operations[] = {
    IORING_OP_OPENAT,      IORING_OP_CLOSE,     IORING_OP_READ,         IORING_OP_WRITE,
    IORING_OP_FSYNC,       IORING_OP_FALLOCATE, IORING_OP_RENAMEAT,     IORING_OP_LINKAT,
    IORING_OP_UNLINKAT,    IORING_OP_MKDIRAT,   IORING_OP_ASYNC_CANCEL, IORING_OP_READ_FIXED,
    IORING_OP_WRITE_FIXED,
};

/* The read is of the eventfd. */
static const int socket_operations[] = {
    IORING_OP_ACCEPT,   IORING_OP_RECV,         IORING_OP_SENDMSG,
    IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_READ,
};

/* Registrations once it is set up; the last one by io_uring_queue_exit. */
static const __u8 file_registrations[] = {
    IORING_REGISTER_FILES_UPDATE,
    IORING_REGISTER_BUFFERS_UPDATE,
    IORING_UNREGISTER_RING_FDS,
};
static const __u8 socket_registrations[] = {IORING_UNREGISTER_RING_FDS};

/* What a ring may be used for. */
struct ring_use {
    const int *operations;
    unsigned operation_count;
    const __u8 *registrations;
    unsigned registration_count;
    __u8 flags;
};

static const struct ring_use uses[] = {
    {file_operations, sizeof(file_operations) / sizeof(file_operations[0]), file_registrations,
     sizeof(file_registrations), IOSQE_FIXED_FILE},
    {socket_operations, sizeof(socket_operations) / sizeof(socket_operations[0]),
     socket_registrations, sizeof(socket_registrations), IOSQE_BUFFER_SELECT},
};

enum { OPERATIONS_MAX = 16, REGISTRATIONS_MAX = 4 };

static struct io_ring *ring_of(struct io *io)
{
    return (struct io_ring *)io;
}

/* Registered files */

static bool is_registered(const struct io_ring *self, int file)
{
    return file >= 0 && (unsigned)file < self->file_slots && self->registered[file];
}

/* Where it fails the plain descriptor serves. */
static void register_file(struct io_ring *self, int file)
{
    if (file >= 0 && (unsigned)file < self->file_slots) {
        self->registered[file] =
            io_uring_register_files_update(&self->ring, (unsigned)file, &file, 1) == 1;
    }
}

static void unregister_file(struct io_ring *self, int file)
{
    if (is_registered(self, file)) {
        const int none = -1;
        int count = io_uring_register_files_update(&self->ring, (unsigned)file, &none, 1);
        ensure(count == 1); /* a slot that kept a closed file would write into it */
        self->registered[file] = false;
    }
}

/* Registered memory */

static bool set_buffer(struct io_ring *self, unsigned slot, char *data, size_t size)
{
    const struct iovec memory = {.iov_base = data, .iov_len = size};
    const __u64 none = 0;
    return io_uring_register_buffers_update_tag(&self->ring, slot, &memory, &none, 1) == 1;
}

static bool ring_buffer_add(struct io *io, void *data, size_t size)
{
    struct io_ring *self = ring_of(io);
    ensure(data != NULL && size > 0);
    for (unsigned i = 0; i < self->buffer_slots && size <= BUFFER_SIZE_MAX; i++) {
        struct ring_buffer *buffer = &self->buffers[i];
        if (buffer->data == NULL) {
            if (!set_buffer(self, i, data, size)) {
                return false;
            }
            *buffer = (struct ring_buffer){.data = data, .size = size};
            return true;
        }
    }
    return false;
}

static void ring_buffer_remove(struct io *io, void *data)
{
    struct io_ring *self = ring_of(io);
    for (unsigned i = 0; i < self->buffer_slots; i++) {
        if (self->buffers[i].data == data) {
            bool removed = set_buffer(self, i, NULL, 0);
            ensure(removed); /* a transfer would reach what this memory was */
            self->buffers[i].data = NULL;
        }
    }
}

/* The slot of the memory that SIZE bytes at DATA are in; -1. */
static int find_buffer(const struct io_ring *self, const char *data, size_t size)
{
    for (unsigned i = 0; i < self->buffer_slots; i++) {
        const struct ring_buffer *buffer = &self->buffers[i];
        if (buffer->data != NULL && data >= buffer->data && size <= buffer->size &&
            (size_t)(data - buffer->data) <= buffer->size - size) {
            return (int)i;
        }
    }
    return -1;
}

/* Requests to entries */

static void prepare_transfer(const struct io_ring *self, const struct io_request *request,
                             struct io_uring_sqe *sqe)
{
    char *data = (char *)request->data + request->moved;
    unsigned size = (unsigned)io_posix_transfer_size(request);
    uint64_t offset = request->offset + request->moved;
    int buffer = find_buffer(self, data, size);
    if (request->op == IO_READ && buffer >= 0) {
        io_uring_prep_read_fixed(sqe, request->file, data, size, offset, buffer);
    } else if (request->op == IO_READ) {
        io_uring_prep_read(sqe, request->file, data, size, offset);
    } else {
        if (buffer >= 0) {
            io_uring_prep_write_fixed(sqe, request->file, data, size, offset, buffer);
        } else {
            io_uring_prep_write(sqe, request->file, data, size, offset);
        }
        sqe->rw_flags = (request->flags & IO_WRITE_DURABLE) != 0 ? RWF_DSYNC : 0;
    }
}

static void prepare_sync_dir(const struct io_request *request, struct io_uring_sqe *sqe)
{
    int directory = (int)(request->moved >> STEP_BITS);
    unsigned step = (unsigned)(request->moved & ((1u << STEP_BITS) - 1));
    if (step == STEP_OPEN) {
        io_uring_prep_openat(sqe, AT_FDCWD, request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    } else if (step == STEP_SYNC) {
        io_uring_prep_fsync(sqe, directory, 0);
    } else {
        io_uring_prep_close(sqe, directory);
    }
}

static void prepare(struct io_ring *self, struct io_request *request, struct io_uring_sqe *sqe)
{
    off_t offset = (off_t)request->offset;
    off_t size = (off_t)request->size;
    switch (request->op) {
    case IO_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, request->path,
                             request->moved == 0 ? io_posix_open_flags(request->flags)
                                                 : io_posix_open_flags_buffered(request->flags),
                             IO_POSIX_FILE_MODE);
        break;
    case IO_CLOSE:
        unregister_file(self, request->file);
        io_uring_prep_close(sqe, request->file);
        break;
    case IO_READ:
    case IO_WRITE:
        prepare_transfer(self, request, sqe);
        break;
    case IO_SYNC:
        io_uring_prep_fsync(sqe, request->file, IORING_FSYNC_DATASYNC);
        break;
    case IO_ALLOCATE:
        io_uring_prep_fallocate(sqe, request->file, 0, offset, size);
        break;
    case IO_PUNCH:
        io_uring_prep_fallocate(sqe, request->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                offset, size);
        break;
    case IO_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, request->path, AT_FDCWD, request->path_to, 0);
        break;
    case IO_LINK:
        io_uring_prep_linkat(sqe, AT_FDCWD, request->path, AT_FDCWD, request->path_to, 0);
        break;
    case IO_UNLINK:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, request->path, 0);
        break;
    case IO_RMDIR:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, request->path, AT_REMOVEDIR);
        break;
    case IO_MKDIR:
        io_uring_prep_mkdirat(sqe, AT_FDCWD, request->path, IO_POSIX_DIRECTORY_MODE);
        break;
    case IO_SYNC_DIR:
        prepare_sync_dir(request, sqe);
        break;
    case IO_ACCEPT:
    case IO_RECEIVE:
    case IO_SEND:
    case IO_POLL:
    case IO_HANG_UP:
        io_ring_sockets_prepare(self, request, sqe);
        break;
    case IO_TIMER:
        ensure(request->op != IO_TIMER);
        break;
    }
    if (request->op >= IO_READ && request->op <= IO_PUNCH && is_registered(self, request->file)) {
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

static struct io_uring_sqe *get_entry(struct io_ring *self)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    if (sqe == NULL) {
        /* What matters is room; whatever went wrong shows at the next pass. */
        (void)io_uring_submit(&self->ring);
        sqe = io_uring_get_sqe(&self->ring);
    }
    return sqe;
}

/* Sockets mostly wait for others: any number of them is in flight, and no turn sleeps while one has
 * no entry yet. */
static void feed(struct io_ring *self)
{
    while ((self->in_flight < self->entries || self->sockets != NULL) &&
           !io_queue_is_empty(&self->waiting)) {
        struct io_uring_sqe *sqe =
            self->sockets != NULL ? get_entry(self) : io_uring_get_sqe(&self->ring);
        if (sqe == NULL) {
            return; /* the rest goes with the next pass */
        }
        struct io_request *request = io_queue_pop(&self->waiting);
        prepare(self, request, sqe);
        io_uring_sqe_set_data(sqe, request);
        request->place = IO_PLACE_KERNEL;
        self->in_flight++;
    }
}

/* Answers */

void io_ring_again(struct io_ring *self, struct io_request *request)
{
    request->place = IO_PLACE_QUEUE;
    io_queue_push_front(&self->waiting, request);
}

static void answer_transfer(struct io_ring *self, struct io_request *request, int result)
{
    if (result < 0) {
        io_finish_kernel(&self->finished, request, result);
    } else if (result == 0 && request->op == IO_WRITE && request->moved < request->size) {
        io_finish_kernel(&self->finished, request, -EIO);
    } else if (io_posix_advance(request, (size_t)result)) {
        io_finish_kernel(&self->finished, request, (int64_t)request->moved);
    } else if (request->canceled) {
        io_finish_kernel(&self->finished, request, -ECANCELED);
    } else {
        io_ring_again(self, request);
    }
}

static void answer_open(struct io_ring *self, struct io_request *request, int result)
{
    if (result == -EINVAL && (request->flags & IO_OPEN_DIRECT) != 0 && request->moved == 0) {
        request->moved = 1;
        io_ring_again(self, request);
        return;
    }
    if (result >= 0) {
        register_file(self, result);
    }
    io_finish_kernel(&self->finished, request, result);
}

static void answer_sync_dir(struct io_ring *self, struct io_request *request, int result)
{
    unsigned step = (unsigned)(request->moved & ((1u << STEP_BITS) - 1));
    if (step == STEP_OPEN && result < 0) {
        io_finish_kernel(&self->finished, request, result);
    } else if (step == STEP_OPEN) {
        request->moved = ((uint64_t)(unsigned)result << STEP_BITS) | STEP_SYNC;
        io_ring_again(self, request);
    } else if (step == STEP_SYNC) {
        request->result = result;
        request->moved += STEP_CLOSE - STEP_SYNC;
        io_ring_again(self, request);
    } else {
        if (result == -ECANCELED) {
            /* Only the descriptor is left to lose. */
            (void)close((int)(request->moved >> STEP_BITS));
        }
        io_finish_kernel(&self->finished, request, request->result);
    }
}

static bool is_closing(const struct io_request *request)
{
    return request->op == IO_CLOSE ||
           (request->op == IO_SYNC_DIR && request->moved % (1u << STEP_BITS) == STEP_CLOSE);
}

static void answer(struct io_ring *self, struct io_request *request, int result)
{
    ensure(self->in_flight > 0);
    self->in_flight--;
    if (result == -EINTR && is_closing(request)) {
        result = 0; /* the descriptor is gone all the same */
    }
    if (result == -EINTR || result == -EAGAIN) {
        if (!request->canceled) {
            io_ring_again(self, request);
            return;
        }
        result = -ECANCELED;
    }
    if (request->op == IO_READ || request->op == IO_WRITE) {
        answer_transfer(self, request, result);
    } else if (request->op == IO_OPEN) {
        answer_open(self, request, result);
    } else if (request->op == IO_SYNC_DIR) {
        answer_sync_dir(self, request, result);
    } else {
        io_finish_kernel(&self->finished, request, result);
    }
}

static void take_answers(struct io_ring *self)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned count = 0;
    io_uring_for_each_cqe(&self->ring, head, cqe)
    {
        count++;
        if (cqe->user_data > TAG_LAST && self->sockets != NULL) {
            io_ring_sockets_answer(self, io_uring_cqe_get_data(cqe), cqe->res, cqe->flags);
        } else if (cqe->user_data > TAG_LAST) {
            answer(self, io_uring_cqe_get_data(cqe), cqe->res);
        } else if (cqe->user_data == TAG_WAKE) {
            self->wake_armed = false;
        }
    }
    io_uring_cq_advance(&self->ring, count);
}

/* The loop */

static void ring_submit(struct io *io, struct io_request *request)
{
    struct io_ring *self = ring_of(io);
    ensure(request->op == IO_TIMER || io_op_is_of_sockets(request->op) == (self->sockets != NULL));
    if (request->op == IO_TIMER) {
        io_timer_start(&self->timers, &self->finished, request);
    } else {
        request->place = IO_PLACE_QUEUE;
        io_queue_push(&self->waiting, request);
    }
}

static bool ring_cancel(struct io *io, struct io_request *request)
{
    struct io_ring *self = ring_of(io);
    if (request->op == IO_TIMER) {
        io_timer_cancel(&self->timers, &self->finished, request);
    } else if (request->place == IO_PLACE_QUEUE && request->moved == 0) {
        io_queue_remove(&self->waiting, request);
        io_finish_kernel(&self->finished, request, -ECANCELED);
    } else if (request->place == IO_PLACE_KERNEL && !request->canceled) {
        struct io_uring_sqe *sqe = get_entry(self);
        if (sqe != NULL) {
            request->canceled = true;
            io_uring_prep_cancel(sqe, request, 0);
            io_uring_sqe_set_data64(sqe, TAG_CANCEL);
        }
    }
    return true;
}

static void arm_wake(struct io_ring *self)
{
    if (self->wake_event < 0 || self->wake_armed) {
        return;
    }
    struct io_uring_sqe *sqe = get_entry(self);
    if (sqe != NULL) {
        io_uring_prep_read(sqe, self->wake_event, &self->wake_value, sizeof(self->wake_value), 0);
        io_uring_sqe_set_data64(sqe, TAG_WAKE);
        self->wake_armed = true;
    }
}

static int hand_over(struct io_ring *self)
{
    if (io_uring_sq_ready(&self->ring) > 0) {
        return io_uring_submit_and_get_events(&self->ring);
    }
    unsigned flags = IO_URING_READ_ONCE(*self->ring.sq.kflags);
    bool has_work = (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    if (has_work || (self->in_flight > 0 && !self->has_taskrun_flag)) {
        return io_uring_get_events(&self->ring);
    }
    return 0;
}

static int hand_over_and_wait(struct io_ring *self, uint64_t wait_ns)
{
    struct io_uring_cqe *cqe;
    if (wait_ns == UINT64_MAX) {
        return io_uring_submit_and_wait_timeout(&self->ring, &cqe, 1, NULL, NULL);
    }
    struct __kernel_timespec time = {.tv_sec = (long long)(wait_ns / 1000000000u),
                                     .tv_nsec = (long long)(wait_ns % 1000000000u)};
    return io_uring_submit_and_wait_timeout(&self->ring, &cqe, 1, &time, NULL);
}

/* One system call at most. WAIT_NS 0: no waiting. */
static int enter(struct io_ring *self, uint64_t wait_ns)
{
    int result;
    bool may_wait = wait_ns > 0 && io_uring_cq_ready(&self->ring) == 0;
    if (may_wait) {
        arm_wake(self);
        may_wait = self->wake_event < 0 || self->wake_armed;
    }
    if (may_wait && io_waker_begin_wait(&self->waker)) {
        result = hand_over_and_wait(self, wait_ns);
        io_waker_end_wait(&self->waker);
    } else {
        result = hand_over(self);
    }
    bool passing = result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
    return result >= 0 || passing ? 0 : error_from_errno(-result);
}

static int ring_run(struct io *io, uint64_t wait_ns)
{
    struct io_ring *self = ring_of(io);
    uint64_t now = wait_ns == 0 && self->timers.count == 0 ? 0 : io_posix_now_ns(io);
    uint64_t deadline = wait_ns > UINT64_MAX - now ? UINT64_MAX : now + wait_ns;
    for (;;) {
        feed(self);
        bool sleeps = io_queue_is_empty(&self->finished) && !io_waker_is_due(&self->waker) &&
                      (self->sockets == NULL || io_queue_is_empty(&self->waiting));
        int error = enter(self, sleeps ? io_timers_wait_ns(&self->timers, now, deadline) : 0);
        if (error != 0) {
            return error;
        }
        take_answers(self);
        if (self->timers.count > 0) {
            now = io_posix_now_ns(io);
            io_timers_expire(&self->timers, &self->finished, now);
        }
        int ran = 0;
        if (io_waker_take(&self->waker)) {
            io_run_hooks(io);
            ran++;
        }
        if (self->sockets != NULL) {
            ran += io_ring_sockets_run(self);
        }
        ran += io_run_finished(io, &self->finished);
        if (ran > 0 || wait_ns == 0) {
            return ran;
        }
        now = io_posix_now_ns(io);
        if (now >= deadline) {
            return 0;
        }
    }
}

static int send_message(int ring)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_MSG_RING, .fd = ring, .off = TAG_WAKE};
    return (int)syscall(__NR_io_uring_register, -1, REGISTER_SEND_MSG_RING, &sqe, 1);
}

static void ring_wake(struct io *io)
{
    struct io_ring *self = ring_of(io);
    if (!io_waker_raise(&self->waker)) {
        return;
    }
    if (self->wake_event < 0) {
        int result;
        do {
            result = send_message(self->ring.ring_fd);
        } while (result < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOMEM));
        ensure(result >= 0);
    } else {
        const uint64_t one = 1;
        ssize_t written = write(self->wake_event, &one, sizeof(one));
        ensure(written == sizeof(one)); /* far from full: a wake is written once a wait */
    }
}

static void release(struct io_ring *self)
{
    io_uring_queue_exit(&self->ring);
    if (self->wake_event >= 0) {
        (void)close(self->wake_event); /* nothing to lose */
    }
    io_ring_sockets_destroy(self);
    io_heap_deinit(&self->timers);
    memory_free(self);
}

static void ring_destroy(struct io *io)
{
    struct io_ring *self = ring_of(io);
    ensure(self->in_flight == 0);
    ensure(io_queue_is_empty(&self->waiting));
    ensure(io_queue_is_empty(&self->finished));
    ensure(self->timers.count == 0);
    release(self);
}

static const struct io_ops ring_ops = {
    .name = "io_uring",
    .destroy = ring_destroy,
    .submit = ring_submit,
    .cancel = ring_cancel,
    .run = ring_run,
    .wake = ring_wake,
    .now_ns = io_posix_now_ns,
    .wall_ns = io_posix_wall_ns,
    .random = io_posix_random,
    .list = io_posix_list,
    .file_size = io_posix_file_size,
    .space = io_posix_space,
    .is_written = io_posix_is_written,
    .buffer_add = ring_buffer_add,
    .buffer_remove = ring_buffer_remove,
    .lock = io_posix_lock,
    .unlock = io_posix_unlock,
    .linger_ns = IO_LINGER_NS,
};

/* Probing */

struct ring_mode {
    unsigned flags;
    const char *name;
};

static const struct ring_mode modes[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
         IORING_SETUP_TASKRUN_FLAG,
     "single issuer, deferred task work"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "cooperative task work"},
    {0, "plain"},
};

enum { MODE_COUNT = sizeof(modes) / sizeof(modes[0]) };

static int set_up(struct io_ring *self, const struct ring_mode **out_mode,
                  struct error_detail *detail)
{
    int error = -EINVAL;
    for (size_t i = 0; i < MODE_COUNT && error == -EINVAL; i++) {
        struct io_uring_params params = {.flags = modes[i].flags | IORING_SETUP_CLAMP |
                                                  IORING_SETUP_R_DISABLED};
        error = io_uring_queue_init_params(self->entries, &self->ring, &params);
        *out_mode = &modes[i];
    }
    if (error != 0) {
        return error_set_errno(detail, -error, "set up io_uring");
    }
    self->has_taskrun_flag = ((*out_mode)->flags & IORING_SETUP_TASKRUN_FLAG) != 0;
    return 0;
}

static int check_operations(struct io_ring *self, const struct ring_use *use,
                            bool *out_has_multishot, struct error_detail *detail)
{
    const unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
    if ((self->ring.features & needed) != needed) {
        return error_set(detail, STOA_ENOTSUP, "io_uring of this kernel is too old");
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&self->ring);
    if (probe == NULL) {
        return error_set(detail, STOA_ENOTSUP, "io_uring cannot be probed");
    }
    int error = 0;
    for (unsigned i = 0; i < use->operation_count; i++) {
        if (!io_uring_opcode_supported(probe, use->operations[i])) {
            error =
                error_set(detail, STOA_ENOTSUP, "io_uring lacks operation %d", use->operations[i]);
        }
    }
    /* Nothing asks for it itself; this operation came with the same kernel. */
    *out_has_multishot = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    io_uring_free_probe(probe);
    return error;
}

/* How the kernel takes a message from no ring is tried on ourselves; the answer is then taken as a
 * wake that nobody asked for. */
static int set_up_wake(struct io_ring *self, struct error_detail *detail)
{
    self->wake_event = -1;
    if (send_message(self->ring.ring_fd) >= 0) {
        return 0;
    }
    self->wake_event = eventfd(0, EFD_CLOEXEC);
    return self->wake_event >= 0 ? 0 : error_set_errno(detail, errno, "make an eventfd");
}

static void set_up_files(struct io_ring *self)
{
    struct rlimit limit;
    unsigned slots = FILE_SLOTS;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < slots) {
        slots = (unsigned)limit.rlim_cur;
    }
    if (slots > 0 && io_uring_register_files_sparse(&self->ring, slots) == 0) {
        self->file_slots = slots;
    }
}

static void set_up_buffers(struct io_ring *self)
{
    if (io_uring_register_buffers_sparse(&self->ring, BUFFER_SLOTS) == 0) {
        self->buffer_slots = BUFFER_SLOTS;
    }
}

/* Debian's liburing declares the calls for these two, but does not have them. */
static bool restrict_ring(struct io_ring *self, const struct ring_use *use)
{
    struct io_uring_restriction allowed[OPERATIONS_MAX + REGISTRATIONS_MAX + 1] = {
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = use->flags},
    };
    unsigned count = 1;
    ensure(use->operation_count <= OPERATIONS_MAX && use->registration_count <= REGISTRATIONS_MAX);
    for (unsigned i = 0; i < use->operation_count; i++) {
        allowed[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP,
                                                         .sqe_op = (__u8)use->operations[i]};
    }
    for (unsigned i = 0; i < use->registration_count; i++) {
        allowed[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP,
                                                         .register_op = use->registrations[i]};
    }
    return syscall(__NR_io_uring_register, self->ring.ring_fd, IORING_REGISTER_RESTRICTIONS,
                   allowed, count) == 0;
}

static int enable(struct io_ring *self, struct error_detail *detail)
{
    long result =
        syscall(__NR_io_uring_register, self->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return result == 0 ? 0 : error_set_errno(detail, errno, "enable io_uring");
}

static void describe(struct io_ring *self, const char *mode, bool ring_registered, bool restricted)
{
    char served[128];
    if (self->sockets == NULL) {
        snprintf(served, sizeof(served), "files %s; buffers %s",
                 self->file_slots > 0 ? "registered" : "not registered",
                 self->buffer_slots > 0 ? "registered" : "not registered");
    } else if (self->sockets->multishot) {
        snprintf(served, sizeof(served), "multishot accept and receive; %d provided buffers of %d",
                 SOCKET_BUFFERS, SOCKET_BUFFER_SIZE);
    } else {
        snprintf(served, sizeof(served), "one-shot accept and receive");
    }
    snprintf(self->io.features, sizeof(self->io.features),
             "io_uring with %u entries: %s; ring %s; %s; wake by %s; %s", self->entries, mode,
             ring_registered ? "registered" : "not registered", served,
             self->wake_event < 0 ? "message" : "eventfd",
             restricted ? "restricted to these operations" : "not restricted");
}

int io_ring_create(const struct io_options *options, struct io **out_io,
                   struct error_detail *detail)
{
    struct io_ring *self = memory_alloc_zeroed(1, sizeof(*self));
    if (self == NULL || io_heap_init(&self->timers, IO_TIMERS_START) != 0) {
        memory_free(self);
        return error_set(detail, STOA_ENOMEM, "create the ring: out of memory");
    }
    self->io.ops = &ring_ops;
    self->entries = options->entries;
    self->wake_event = -1;
    const struct ring_mode *mode;
    int error = set_up(self, &mode, detail);
    if (error != 0) {
        io_heap_deinit(&self->timers);
        memory_free(self);
        return error;
    }
    const struct ring_use *use = &uses[options->sockets];
    bool has_multishot = false;
    error = check_operations(self, use, &has_multishot, detail);
    bool ring_registered = false;
    bool restricted = false;
    if (error == 0 && options->sockets) {
        error = io_ring_sockets_create(self, has_multishot && !options->one_shot, detail);
    } else if (error == 0) {
        set_up_files(self);
        set_up_buffers(self);
    }
    if (error == 0) {
        ring_registered = io_uring_register_ring_fd(&self->ring) == 1;
        restricted = restrict_ring(self, use);
        error = enable(self, detail);
    }
    if (error == 0) {
        error = set_up_wake(self, detail);
    }
    if (error != 0) {
        release(self);
        return error;
    }
    describe(self, mode->name, ring_registered, restricted);
    *out_io = &self->io;
    return 0;
}
