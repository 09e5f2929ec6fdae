/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_sim.c: the simulated loop. What is submitted waits in `gathered` until the next pass, then is
 * in flight in `device` until its seeded time comes: then it takes effect on the disk and its
 * callback runs. A flush may, by chance, take its effect when it begins instead, so that it does
 * not cover writes that complete while it runs. Every pass costs a microsecond of virtual time;
 * where nothing is due, the clock moves to what is next. */
#include "io/io_sim.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_disk.h"
#include "io/io_private.h"

enum { PASS_NS = 1000, IN_FLIGHT_START = 64 };

/* Beside the IO_OPEN_… flags of a handle. */
enum { SIM_HANDLE_LOCK = 1 << 16 };

/* The wall clock begins here: 2020-09-13. */
static const uint64_t wall_start_ns = (uint64_t)1600000000 * 1000000000;

static const uint64_t capacity_without_limit = (uint64_t)1 << 50;

struct sim_handle {
    struct io_inode *inode; /* NULL: free */
    unsigned flags;
};

struct io_sim {
    struct io io; /* first */
    struct io_disk *disk;
    struct io_sim_options options;
    _Atomic(uint64_t) now; /* io.h: any thread may ask; it orders nothing */
    uint64_t random;       /* for io_random */
    uint64_t chance;       /* for faults, delays and order */
    struct io_queue gathered;
    struct io_queue finished;
    struct io_heap timers;
    struct io_heap device;
    uint64_t operations;
    bool is_cut;
    bool wake_due;
    struct sim_handle *handles;
    size_t handle_count;
};

static struct io_sim *sim_of(struct io *io)
{
    return (struct io_sim *)io;
}

static bool happens(struct io_sim *self, unsigned one_in)
{
    return one_in != 0 && io_disk_random_below(&self->chance, one_in) == 0;
}

static uint64_t delay(struct io_sim *self)
{
    uint64_t most = self->options.delay_ns_max;
    return most == 0 ? 0 : io_disk_random_below(&self->chance, most + 1);
}

/* Handles */

static int new_handle(struct io_sim *self, size_t *out_index)
{
    for (size_t i = 0; i < self->handle_count; i++) {
        if (self->handles[i].inode == NULL) {
            *out_index = i;
            return 0;
        }
    }
    size_t count = self->handle_count == 0 ? 16 : 2 * self->handle_count;
    struct sim_handle *grown = memory_resize(self->handles, count * sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    memset(grown + self->handle_count, 0, (count - self->handle_count) * sizeof(*grown));
    *out_index = self->handle_count;
    self->handles = grown;
    self->handle_count = count;
    return 0;
}

static struct sim_handle *handle_of(const struct io_sim *self, int file)
{
    if (file < 0 || (size_t)file >= self->handle_count || self->handles[file].inode == NULL) {
        return NULL;
    }
    return &self->handles[file];
}

static int64_t open_handle(struct io_sim *self, const char *path, unsigned flags)
{
    size_t index;
    struct io_inode *inode;
    int error = new_handle(self, &index);
    if (error == 0) {
        error = io_disk_open(self->disk, path, flags, &inode);
    }
    if (error != 0) {
        return error;
    }
    self->handles[index] = (struct sim_handle){.inode = inode, .flags = flags};
    return (int64_t)index;
}

static int close_handle(struct io_sim *self, int file)
{
    struct sim_handle *handle = handle_of(self, file);
    if (handle == NULL) {
        return -EBADF;
    }
    io_disk_release(self->disk, handle->inode);
    *handle = (struct sim_handle){0};
    return 0;
}

/* Effects */

static bool is_aligned(const struct io_request *request)
{
    return ((request->offset | request->size | (uintptr_t)request->data) % IO_ALIGNMENT) == 0;
}

/* Lay some of a write's sectors, by chance, over what is there: for what was in flight or failed.
 */
static void write_some(struct io_disk *disk, struct io_inode *inode,
                       const struct io_request *request, uint64_t *random,
                       const struct io_sim_options *options)
{
    const uint8_t *data = request->data;
    size_t done = 0;
    while (done < request->size) {
        size_t part =
            IO_DISK_SECTOR_SIZE - (size_t)((request->offset + done) % IO_DISK_SECTOR_SIZE);
        part = part < request->size - done ? part : request->size - done;
        uint8_t noise[IO_DISK_SECTOR_SIZE];
        uint64_t choice = io_disk_random_below(random, options->torn ? 8 : 6);
        if (choice >= 6) {
            for (size_t i = 0; i < sizeof(noise); i++) {
                noise[i] = (uint8_t)io_disk_random(random);
            }
        }
        if (choice >= 3) {
            struct bytes sector = bytes_of(choice >= 6 ? noise : data + done, part);
            /* What does not fit is one more thing that was not written. */
            (void)io_disk_write(disk, inode, request->offset + done, sector, options->capacity,
                                IO_DISK_VISIBLE);
        }
        done += part;
    }
}

static int64_t write_file(struct io_sim *self, const struct io_request *request)
{
    const struct sim_handle *handle = handle_of(self, request->file);
    if (handle == NULL || (handle->flags & IO_OPEN_WRITE) == 0) {
        return -EBADF;
    }
    if ((handle->flags & IO_OPEN_DIRECT) != 0 && !is_aligned(request)) {
        return -EINVAL;
    }
    bool durable = (request->flags & IO_WRITE_DURABLE) != 0;
    if (happens(self, self->options.write_error_1_in) ||
        (durable && happens(self, self->options.sync_error_1_in))) {
        struct io_sim_options options = {.capacity = self->options.capacity};
        write_some(self->disk, handle->inode, request, &self->chance, &options);
        return -EIO;
    }
    int error = io_disk_write(self->disk, handle->inode, request->offset,
                              bytes_of(request->data, request->size), self->options.capacity,
                              durable ? IO_DISK_DURABLE : IO_DISK_VISIBLE);
    return error != 0 ? error : (int64_t)request->size;
}

static int64_t read_file(struct io_sim *self, const struct io_request *request)
{
    const struct sim_handle *handle = handle_of(self, request->file);
    if (handle == NULL) {
        return -EBADF;
    }
    if ((handle->flags & IO_OPEN_DIRECT) != 0 && !is_aligned(request)) {
        return -EINVAL;
    }
    if (happens(self, self->options.read_error_1_in)) {
        return -EIO;
    }
    return (int64_t)io_disk_read(handle->inode, request->offset, request->data, request->size);
}

/* A flush that took its effect when it began only has to end. */
static int64_t sync_file(struct io_sim *self, const struct io_request *request)
{
    const struct sim_handle *handle = handle_of(self, request->file);
    if (handle == NULL) {
        return -EBADF;
    }
    if (happens(self, self->options.sync_error_1_in)) {
        io_disk_sync_fails(handle->inode, &self->chance);
        return -EIO;
    }
    return request->result != 0 ? 0 : io_disk_sync(handle->inode);
}

static int64_t reserve_or_punch(struct io_sim *self, const struct io_request *request)
{
    const struct sim_handle *handle = handle_of(self, request->file);
    if (handle == NULL || (handle->flags & IO_OPEN_WRITE) == 0) {
        return -EBADF;
    }
    return request->op == IO_ALLOCATE
               ? io_disk_allocate(self->disk, handle->inode, request->offset, request->size,
                                  self->options.capacity)
               : io_disk_punch(self->disk, handle->inode, request->offset, request->size);
}

static int64_t take_effect(struct io_sim *self, const struct io_request *request)
{
    switch (request->op) {
    case IO_OPEN:
        return open_handle(self, request->path, request->flags);
    case IO_CLOSE:
        return close_handle(self, request->file);
    case IO_READ:
        return read_file(self, request);
    case IO_WRITE:
        return write_file(self, request);
    case IO_SYNC:
        return sync_file(self, request);
    case IO_ALLOCATE:
    case IO_PUNCH:
        return reserve_or_punch(self, request);
    case IO_RENAME:
        return io_disk_rename(self->disk, request->path, request->path_to);
    case IO_LINK:
        return io_disk_link(self->disk, request->path, request->path_to);
    case IO_UNLINK:
        return io_disk_unlink(self->disk, request->path);
    case IO_RMDIR:
        return io_disk_remove_directory(self->disk, request->path);
    case IO_MKDIR:
        return io_disk_make_directory(self->disk, request->path);
    case IO_SYNC_DIR:
        return happens(self, self->options.sync_error_1_in)
                   ? -EIO
                   : io_disk_sync_directory(self->disk, request->path);
    case IO_TIMER:
    case IO_ACCEPT:
    case IO_RECEIVE:
    case IO_SEND:
    case IO_POLL:
    case IO_HANG_UP:
        break;
    }
    ensure(request->op < IO_TIMER); /* there are no sockets in it */
    return 0;
}

/* In flight at a cut: REQUEST may have reached DISK in part or whole, or not at all. */
static void take_partial_effect(const struct io_sim *self, struct io_disk *disk,
                                const struct io_request *request, uint64_t *random, bool torn)
{
    struct io_sim_options options = {.capacity = self->options.capacity, .torn = torn};
    const struct sim_handle *handle = handle_of(self, request->file);
    struct io_inode *inode =
        handle == NULL || request->op == IO_OPEN ? NULL : io_disk_twin(disk, handle->inode);
    if (request->op == IO_WRITE) {
        if (inode != NULL && (handle->flags & IO_OPEN_WRITE) != 0) {
            write_some(disk, inode, request, random, &options);
        }
        return;
    }
    if (io_disk_random_below(random, 2) == 0) {
        return;
    }
    /* Errors here are what the request would have been told; nobody is left to hear them. */
    if (request->op == IO_RENAME) {
        (void)io_disk_rename(disk, request->path, request->path_to);
    } else if (request->op == IO_LINK) {
        (void)io_disk_link(disk, request->path, request->path_to);
    } else if (request->op == IO_UNLINK) {
        (void)io_disk_unlink(disk, request->path);
    } else if (request->op == IO_RMDIR) {
        (void)io_disk_remove_directory(disk, request->path);
    } else if (request->op == IO_MKDIR) {
        (void)io_disk_make_directory(disk, request->path);
    } else if (request->op == IO_ALLOCATE && inode != NULL) {
        (void)io_disk_allocate(disk, inode, request->offset, request->size, options.capacity);
    } else if (request->op == IO_PUNCH && inode != NULL) {
        (void)io_disk_punch(disk, inode, request->offset, request->size);
    } else if (request->op == IO_OPEN) {
        struct io_inode *opened;
        if (io_disk_open(disk, request->path, request->flags, &opened) == 0) {
            io_disk_release(disk, opened);
        }
    }
}

static void apply_in_flight(void *loop, struct io_disk *copy, uint64_t *random, bool torn)
{
    const struct io_sim *self = loop;
    for (size_t i = 0; i < self->device.count; i++) {
        take_partial_effect(self, copy, self->device.entries[i].request, random, torn);
    }
}

/* The power goes: what was in flight is on the disk as unflushed as the rest, and forgotten here,
 * for its owners may be gone soon. */
static void cut_power(struct io_sim *self)
{
    apply_in_flight(self, self->disk, &self->chance, false);
    self->is_cut = true;
    self->device.count = 0;
    self->timers.count = 0;
    self->gathered = (struct io_queue){0};
    self->finished = (struct io_queue){0};
}

/* The loop */

static void sim_submit(struct io *io, struct io_request *request)
{
    struct io_sim *self = sim_of(io);
    request->place = IO_PLACE_QUEUE;
    if (!self->is_cut) {
        io_queue_push(&self->gathered, request);
    }
}

static bool sim_cancel(struct io *io, struct io_request *request)
{
    struct io_sim *self = sim_of(io);
    if (self->is_cut) {
        return false;
    }
    if (request->place == IO_PLACE_QUEUE) {
        io_queue_remove(&self->gathered, request);
        io_finish(&self->finished, request, STOA_ECANCELED, ECANCELED);
    } else if (request->op == IO_TIMER) {
        io_timer_cancel(&self->timers, &self->finished, request);
    } else if (request->place == IO_PLACE_KERNEL && happens(self, 2)) {
        io_heap_remove(&self->device, request);
        take_partial_effect(self, self->disk, request, &self->chance, false);
        io_finish(&self->finished, request, STOA_ECANCELED, ECANCELED);
    }
    return true;
}

static void start(struct io_sim *self, struct io_request *request)
{
    if (request->op == IO_TIMER) {
        io_timer_start(&self->timers, &self->finished, request);
        return;
    }
    const struct sim_handle *handle = handle_of(self, request->file);
    if (request->op == IO_SYNC && handle != NULL && happens(self, 2)) {
        request->result = io_disk_sync(handle->inode) == 0 ? 1 : 0;
    }
    request->place = IO_PLACE_KERNEL;
    int error = io_heap_push(&self->device, self->now + delay(self), request);
    if (error != 0) {
        io_finish(&self->finished, request, error, ENOMEM);
    }
}

static void complete(struct io_request *request)
{
    request->pending = false;
    request->done(request);
}

/* The device's next operation. False: the power went. */
static bool complete_operation(struct io_sim *self, struct io_request *request)
{
    self->operations++;
    if (self->operations == self->options.cut_at) {
        cut_power(self);
        return false;
    }
    io_heap_remove(&self->device, request);
    int64_t result = take_effect(self, request);
    request->os_error = result < 0 ? (int)-result : 0;
    request->result = result < 0 ? error_from_errno((int)-result) : result;
    complete(request);
    return true;
}

/* Run all that is due now, timers and operations by their times. */
static int run_due(struct io_sim *self)
{
    int ran = 0;
    while (!self->is_cut) {
        uint64_t timer_key = UINT64_MAX;
        uint64_t device_key = UINT64_MAX;
        struct io_request *timer = io_heap_first(&self->timers, &timer_key);
        struct io_request *operation = io_heap_first(&self->device, &device_key);
        if (operation != NULL && device_key <= self->now &&
            (timer == NULL || device_key <= timer_key)) {
            ran += complete_operation(self, operation) ? 1 : 0;
        } else if (timer != NULL && timer_key <= self->now) {
            io_heap_remove(&self->timers, timer);
            complete(timer);
            ran++;
        } else {
            break;
        }
    }
    return ran;
}

/* To what is next, at most UNTIL. False: nothing comes before that. */
static bool advance(struct io_sim *self, uint64_t until)
{
    uint64_t timer_key = UINT64_MAX;
    uint64_t device_key = UINT64_MAX;
    const struct io_request *timer = io_heap_first(&self->timers, &timer_key);
    const struct io_request *operation = io_heap_first(&self->device, &device_key);
    uint64_t next = timer_key < device_key ? timer_key : device_key;
    if ((timer == NULL && operation == NULL) || next > until) {
        self->now = until == UINT64_MAX ? self->now : until;
        return false;
    }
    self->now = next > self->now ? next : self->now;
    return true;
}

static int sim_run(struct io *io, uint64_t wait_ns)
{
    struct io_sim *self = sim_of(io);
    if (self->is_cut) {
        return STOA_ECLOSED;
    }
    self->now += PASS_NS;
    uint64_t until = wait_ns > UINT64_MAX - self->now ? UINT64_MAX : self->now + wait_ns;
    struct io_queue gathered = self->gathered;
    self->gathered = (struct io_queue){0};
    for (;;) {
        struct io_request *request = io_queue_pop(&gathered);
        if (request == NULL) {
            break;
        }
        start(self, request);
    }
    do {
        int ran = 0;
        if (self->wake_due) {
            self->wake_due = false;
            io_run_hooks(io);
            ran++;
        }
        ran += io_run_finished(io, &self->finished);
        ran += run_due(self);
        if (self->is_cut) {
            return STOA_ECLOSED;
        }
        if (ran > 0) {
            return ran;
        }
    } while (advance(self, until));
    return 0;
}

static void sim_wake(struct io *io)
{
    sim_of(io)->wake_due = true;
}

static uint64_t sim_now_ns(struct io *io)
{
    return atomic_load_explicit(&sim_of(io)->now, memory_order_relaxed);
}

static uint64_t sim_wall_ns(struct io *io)
{
    return wall_start_ns + sim_of(io)->now;
}

static void sim_random(struct io *io, void *out, size_t size)
{
    struct io_sim *self = sim_of(io);
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)io_disk_random(&self->random);
    }
}

static uint64_t sim_job_delay_ns(struct io *io)
{
    return delay(sim_of(io));
}

static int to_error(int result)
{
    return result < 0 ? error_from_errno(-result) : 0;
}

static int sim_list(struct io *io, const char *path, void (*entry)(void *context, const char *name),
                    void *context)
{
    return to_error(io_disk_list(sim_of(io)->disk, path, entry, context));
}

static int sim_file_size(struct io *io, const char *path, uint64_t *out_size)
{
    return to_error(io_disk_file_size(sim_of(io)->disk, path, out_size));
}

static int sim_space(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total)
{
    (void)path; /* one file system */
    const struct io_sim *self = sim_of(io);
    uint64_t used = io_disk_used(self->disk);
    *out_total = self->options.capacity;
    *out_free = used < self->options.capacity ? self->options.capacity - used : 0;
    return 0;
}

/* The simulated disk makes no difference: it says one or the other. */
static bool sim_is_written(struct io *io, int file, uint64_t offset, uint64_t size)
{
    uint8_t coin;
    (void)file;
    (void)offset;
    (void)size;
    sim_random(io, &coin, 1);
    return coin % 2 == 0;
}

/* A lock is a handle; a second one on the same file is refused. */
static int sim_lock(struct io *io, const char *path, int *out_lock)
{
    struct io_sim *self = sim_of(io);
    int64_t lock = open_handle(self, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (lock < 0) {
        return to_error((int)lock);
    }
    struct sim_handle *own = &self->handles[lock];
    for (size_t i = 0; i < self->handle_count; i++) {
        const struct sim_handle *other = &self->handles[i];
        if (other != own && other->inode == own->inode && (other->flags & SIM_HANDLE_LOCK) != 0) {
            (void)close_handle(self, (int)lock); /* it was opened just now */
            return STOA_ELOCKED;
        }
    }
    own->flags |= SIM_HANDLE_LOCK;
    *out_lock = (int)lock;
    return 0;
}

static void sim_unlock(struct io *io, int lock)
{
    int error = close_handle(sim_of(io), lock);
    ensure(error == 0);
}

static void sim_destroy(struct io *io)
{
    struct io_sim *self = sim_of(io);
    ensure(self->is_cut || (self->device.count == 0 && self->timers.count == 0));
    ensure(io_queue_is_empty(&self->gathered));
    ensure(io_queue_is_empty(&self->finished));
    for (size_t i = 0; i < self->handle_count; i++) {
        if (self->handles[i].inode != NULL) {
            io_disk_release(self->disk, self->handles[i].inode);
        }
    }
    io_disk_detach(self->disk);
    io_heap_deinit(&self->timers);
    io_heap_deinit(&self->device);
    memory_free(self->handles);
    memory_free(self);
}

static const struct io_ops sim_ops = {
    .name = "simulated",
    .destroy = sim_destroy,
    .submit = sim_submit,
    .cancel = sim_cancel,
    .run = sim_run,
    .wake = sim_wake,
    .now_ns = sim_now_ns,
    .wall_ns = sim_wall_ns,
    .random = sim_random,
    .list = sim_list,
    .file_size = sim_file_size,
    .space = sim_space,
    .is_written = sim_is_written,
    .lock = sim_lock,
    .unlock = sim_unlock,
    .job_delay_ns = sim_job_delay_ns,
};

int io_sim_create(struct io_disk *disk, const struct io_sim_options *options, struct io **out_io)
{
    struct io_sim *self = memory_alloc_zeroed(1, sizeof(*self));
    if (self == NULL) {
        return STOA_ENOMEM;
    }
    self->io.ops = &sim_ops;
    self->disk = disk;
    self->options = *options;
    if (self->options.capacity == 0) {
        self->options.capacity = capacity_without_limit;
    }
    self->random = options->seed ^ 0x5bd1e995u;
    self->chance = options->seed;
    if (io_heap_init(&self->timers, IO_TIMERS_START) != 0 ||
        io_heap_init(&self->device, IN_FLIGHT_START) != 0) {
        io_heap_deinit(&self->timers);
        memory_free(self);
        return STOA_ENOMEM;
    }
    snprintf(self->io.features, sizeof(self->io.features), "simulated from seed %llu",
             (unsigned long long)options->seed);
    struct io_disk_loop loop = {.apply_in_flight = apply_in_flight, .loop = self};
    io_disk_attach(disk, &loop);
    *out_io = &self->io;
    return 0;
}

bool io_sim_is_cut(const struct io *io)
{
    ensure(io->ops == &sim_ops);
    return ((const struct io_sim *)io)->is_cut;
}

uint64_t io_sim_operation_count(const struct io *io)
{
    ensure(io->ops == &sim_ops);
    return ((const struct io_sim *)io)->operations;
}
