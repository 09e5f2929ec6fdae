/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io.h: everything that reaches the outside: files, clock, randomness, waiting. One loop, one
 * thread.
 *
 * A loop is a `struct io` behind a table of operations with three implementations: io_ring.c
 * (io_uring), io_threads.c (blocking calls on a small pool, where io_uring is refused) and io_sim.c
 * (a simulated disk and clock from a seed). All pass the same contract suite. Only the thread that
 * created a loop calls it, except io_wake and io_now_ns, which any thread may call.
 *
 * A request is embedded in its owner, filled, and handed over by io_submit until its `done` runs;
 * it must not move or change meanwhile, nor may its data or paths. `done` always runs from io_run,
 * never from inside io_submit; it may submit again, also the same request. Requests complete in any
 * order. Submissions are gathered and reach the kernel together at the next io_run.
 *
 * Reads and writes move all they were asked to, or fail: short transfers, EINTR and EAGAIN are
 * handled inside. The one exception is a read that meets the end of the file, whose result is then
 * less than its size.
 *
 * A loop is for files or for sockets (io_options.sockets); timers are on both. Of sockets io_uring
 * serves many of one submission where the kernel can (see `features`), and epoll serves where
 * io_uring is refused (io_epoll.c), or a simulation (io_sim_socket.c); their owner sees no
 * difference:
 *
 * - IO_ACCEPT and IO_RECEIVE are streams: `done` runs for each socket or piece that comes, with a
 *   result above its end's, and the request stays pending; the last run has a result below 0, of
 *   IO_RECEIVE also 0, and ends it. A stream that is cancelled still delivers what had come, then
 *   ends. So a client is held up by a cancel, and goes on by a submit; that it goes meanwhile
 *   is told by IO_HANG_UP.
 * - A socket has one of each operation at most under way. It is closed by its owner (sockets_close)
 *   once none is; sockets_shut_down and a cancel make them end. */
#ifndef IO_H
#define IO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "metrics/metrics.h"

/* Offsets, sizes and addresses of requests on a file opened with IO_OPEN_DIRECT are multiples of
 * this. */
enum { IO_ALIGNMENT = 4096 };

enum io_op {
    IO_OPEN,  /* path, flags IO_OPEN_…; result: a file handle >= 0 */
    IO_CLOSE, /* file */
    IO_READ,  /* file, data, size, offset; result: bytes read, less than size only at the end of the
                 file */
    IO_WRITE, /* file, data (not written to), size, offset, flags IO_WRITE_DURABLE; result: size */
    IO_SYNC,  /* file: data, and the metadata needed to read it back (fdatasync) */
    IO_ALLOCATE, /* file, offset, size: reserve blocks; the file becomes at least that long and
                    reads as zeros there */
    IO_PUNCH,    /* file, offset, size: free the blocks, keep the length; reads as zeros */
    IO_RENAME, /* path to path_to, replacing it; atomic; durable after IO_SYNC_DIR of the parent */
    IO_LINK,   /* path_to becomes another name of the file at path; STOA_EEXISTS where it is taken;
                  durable after IO_SYNC_DIR of its parent */
    IO_UNLINK, /* path of a file */
    IO_RMDIR,  /* path of an empty directory */
    IO_MKDIR,  /* path, mode 0750 */
    IO_SYNC_DIR, /* path of a directory: its entries become durable */
    IO_TIMER,    /* deadline_ns by io_now_ns */
    IO_ACCEPT,   /* file: a socket that is listened at. Results: sockets, 0 or more */
    IO_RECEIVE,  /* file. Results: how many bytes came; they are at `data` until `done` returns. 0:
                    the other side has ended */
    IO_SEND,    /* file, parts, part_count. Result: how many bytes went: one at least, maybe not all
                 */
    IO_POLL,    /* file: until it can be read, or has failed. Result: 0 or more */
    IO_HANG_UP, /* file: until the other side has ended, whatever it sent before. Result: 0 or more
                 */
};

enum {
    IO_OPEN_WRITE = 1 << 0,     /* read and write; without it read only */
    IO_OPEN_CREATE = 1 << 1,    /* create where absent, mode 0640 */
    IO_OPEN_EXCLUSIVE = 1 << 2, /* with CREATE: STOA_EEXISTS where present */
    IO_OPEN_DIRECT = 1 << 3,    /* O_DIRECT where the file system has it, else buffered */
    IO_OPEN_TRUNCATE = 1 << 4,
    IO_WRITE_DURABLE = 1 << 8, /* as RWF_DSYNC: complete only when on stable storage */
};

struct io_request {
    enum io_op op;
    unsigned flags;
    int file;
    void *data;
    size_t size;
    uint64_t offset;
    uint64_t deadline_ns;
    const char *path;
    const char *path_to;
    const struct iovec *parts; /* they and what they point at stay as they are until `done` */
    unsigned part_count;
    void (*done)(struct io_request *request);
    void *context; /* the owner's */

    /* Set before done runs. */
    int64_t result; /* as the operation says, or a negative STOA_E… */
    int os_error;   /* errno behind a negative result, or 0 */

    /* The implementation's own. */
    struct io_request *next;
    struct io_request *previous;
    uint64_t moved;
    bool pending;  /* between io_submit and done */
    bool canceled; /* io_cancel asked while it was with the kernel */
    uint8_t place; /* enum io_place */
};

struct io;

struct io_ops {
    const char *name; /* "io_uring", "threads", "epoll", "simulated" */
    void (*destroy)(struct io *io);
    void (*submit)(struct io *io, struct io_request *request);
    bool (*cancel)(struct io *io, struct io_request *request);
    int (*run)(struct io *io, uint64_t wait_ns);
    void (*wake)(struct io *io);
    uint64_t (*now_ns)(struct io *io);
    uint64_t (*wall_ns)(struct io *io);
    void (*random)(struct io *io, void *out, size_t size);
    int (*list)(struct io *io, const char *path, void (*entry)(void *context, const char *name),
                void *context);
    int (*file_size)(struct io *io, const char *path, uint64_t *out_size);
    int (*space)(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total);
    bool (*is_written)(struct io *io, int file, uint64_t offset, uint64_t size);
    int (*lock)(struct io *io, const char *path, int *out_lock);
    void (*unlock)(struct io *io, int lock);
    /* NULL: nothing is gained by it. */
    bool (*buffer_add)(struct io *io, void *data, size_t size);
    void (*buffer_remove)(struct io *io, void *data);
    /* Simulation: when the next job of the workers moves on, from now. NULL: they are threads. */
    uint64_t (*job_delay_ns)(struct io *io);
    uint64_t linger_ns; /* io_run_lingering; 0 where sleeping costs nothing */
};

/* Something inside io that listens to wakes besides the owner of the loop, such as the workers. */
struct io_hook {
    void (*woken)(void *context);
    void *context;
};

enum { IO_HOOKS_MAX = 8 };

/* When its threads may look for what comes (look.h). Hints for all of them, so relaxed. */
struct io_looks {
    _Atomic(uint64_t) again_ns; /* not before */
    _Atomic(uint64_t) pause_ns; /* how long the last pause was; 0: there was room since */
};

/* First member of every implementation. */
struct io {
    const struct io_ops *ops;
    void (*woken)(void *context); /* runs from io_run after io_wake; many wakes may make one call */
    void *woken_context;
    struct io_hook hooks[IO_HOOKS_MAX]; /* run before `woken`; see io_hook_add */
    unsigned hook_count;
    struct metrics *metrics; /* the owner's, for all that has the loop; NULL: nothing is counted */
    unsigned batch;          /* submitted since the last turn, without timers */
    struct io_looks looks;
    char features[256]; /* what the probe found, for a log line */
};

enum io_backend {
    IO_BACKEND_AUTO, /* io_uring, or threads where the probe says no; the detail says why. The
                        environment's STOA_IO=ring or STOA_IO=threads decides instead, if set */
    IO_BACKEND_RING, /* io_uring or an error */
    IO_BACKEND_THREADS,
};

struct io_options {
    enum io_backend backend;
    unsigned entries; /* requests that may be with the kernel at once; more wait in order. 0: 256 */
    unsigned threads; /* of the threads backend. 0: 8 */
    bool sockets;     /* it serves sockets, and no files; the threads backend is then epoll */
    bool one_shot;    /* for tests: do as if the kernel had no buffers to provide */
};

/* A loop for this thread. OPTIONS may be NULL: all defaults. DETAIL may be filled on success too:
 * with code 0 and a warning that the fallback was taken. */
int io_create(const struct io_options *options, struct io **out_io, struct error_detail *detail);

/* No request may be pending. NULL is allowed. */
void io_destroy(struct io *io);

void io_submit(struct io *io, struct io_request *request);

/* Ask that a pending request end early: it completes with STOA_ECANCELED, or as if not asked where
 * that is too late. Timers always can be cancelled. False: it was not pending. */
bool io_cancel(struct io *io, struct io_request *request);

/* Hand over what was submitted, wait up to WAIT_NS for something to complete or a wake (0: do not
 * wait; UINT64_MAX: for ever), run what is due. Returns how many callbacks ran (a wake counts as
 * one), or a negative STOA_E… where the loop itself is broken. */
int io_run(struct io *io, uint64_t wait_ns);

/* As io_run, for a loop that has just answered somebody. Who waits for each answer asks again a few
 * microseconds after it, and to wake an idle processor takes several times as long: so before it
 * sleeps the loop looks for more for a short while, in which whoever else has work has the
 * processor. */
int io_run_lingering(struct io *io, uint64_t wait_ns);

/* Any thread. Makes a waiting io_run return soon; `woken` then runs. A flag avoids system calls
 * while a wake is due. */
void io_wake(struct io *io);

/* Submit REQUEST (whose done and context are not used) and run the loop until it is complete. Other
 * callbacks run meanwhile. For opening and closing, where nothing else is to be served. Returns the
 * result. */
int64_t io_wait(struct io *io, struct io_request *request);

/* Run RUN with a loop of its own, for files, where blocking is allowed: on a worker. DETAIL is
 * clean when RUN begins. Returns RUN's result, or why there is no loop. */
int io_run_apart(int (*run)(void *context, struct io *io), void *context,
                 struct error_detail *detail);

/* Monotonic and wall-clock time; in a simulation both are virtual. */
uint64_t io_now_ns(struct io *io);
uint64_t io_wall_ns(struct io *io);

void io_random(struct io *io, void *out, size_t size);

/* Run WOKEN with CONTEXT at every wake, besides the owner's own hook. STOA_EBUSY: IO_HOOKS_MAX are
 * there already. Not from inside a hook. */
int io_hook_add(struct io *io, void (*woken)(void *context), void *context);
void io_hook_remove(struct io *io, void (*woken)(void *context), void *context);

/* Blocking, for opening and closing: names in a directory (without . and ..; unordered), a file's
 * size, space on its file system, an advisory lock held by this process (STOA_ELOCKED where another
 * holds it). */
int io_list(struct io *io, const char *path, void (*entry)(void *context, const char *name),
            void *context);
int io_file_size(struct io *io, const char *path, uint64_t *out_size);
int io_space(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total);

/* Whether SIZE bytes at OFFSET of an open FILE lie in blocks that were written before, so that
 * writing them again changes no metadata. True also where the file system cannot say. Blocking, for
 * opening. */
bool io_is_written(struct io *io, int file, uint64_t offset, uint64_t size);
int io_lock(struct io *io, const char *path, int *out_lock);
void io_unlock(struct io *io, int lock);

/* Memory that many transfers will come from or go to, SIZE bytes at DATA: the kernel is told once,
 * where it takes that, and need not pin it for each. Transfers wholly inside are found by their
 * address. False: it was not told (too many, or more than may be locked), and they work as well.
 * The loop's thread. */
bool io_buffer_add(struct io *io, void *data, size_t size);

/* Before memory that was added is freed; no transfer with it is pending. Of any other, nothing
 * happens. */
void io_buffer_remove(struct io *io, void *data);

/* Memory that this process holds now; 0 where the system does not say. Any thread. */
uint64_t io_resident_bytes(void);

#endif
