/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_private.h: what the two real implementations share: the wake flag, timers and the queue of
 * what is complete. The blocking calls they share are in io_posix.h.
 *
 * The wake flag has three states. A waker sets DUE and makes a system call only where it found
 * WAITING; the loop goes from NONE to WAITING before it sleeps, and takes DUE back to NONE before
 * it runs the hooks. So a wake is never lost, a wake of a running loop costs one atomic exchange,
 * and many wakes cost one system call. */
#ifndef IO_PRIVATE_H
#define IO_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/io.h"
#include "io/io_heap.h"
#include "io/io_queue.h"

enum { IO_WAKE_NONE, IO_WAKE_WAITING, IO_WAKE_DUE };

enum { IO_TIMERS_START = 64 };

struct io_waker {
    /* Exchanges are acquire and release: what a thread wrote before io_wake is seen by the hooks.
     */
    atomic_uint state;
};

/* A waker's half. True: the loop sleeps and must be woken by a system call. */
static inline bool io_waker_raise(struct io_waker *waker)
{
    return atomic_exchange_explicit(&waker->state, IO_WAKE_DUE, memory_order_acq_rel) ==
           IO_WAKE_WAITING;
}

/* The loop is about to sleep. False: a wake is due, do not. */
static inline bool io_waker_begin_wait(struct io_waker *waker)
{
    unsigned expected = IO_WAKE_NONE;
    return atomic_compare_exchange_strong_explicit(&waker->state, &expected, IO_WAKE_WAITING,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/* The loop has slept. A wake that came meanwhile stays due. */
static inline void io_waker_end_wait(struct io_waker *waker)
{
    unsigned expected = IO_WAKE_WAITING;
    (void)atomic_compare_exchange_strong_explicit(&waker->state, &expected, IO_WAKE_NONE,
                                                  memory_order_acq_rel, memory_order_acquire);
}

static inline bool io_waker_is_due(struct io_waker *waker)
{
    return atomic_load_explicit(&waker->state, memory_order_relaxed) == IO_WAKE_DUE;
}

/* The loop is awake. True: a wake was due, run the hooks. */
static inline bool io_waker_take(struct io_waker *waker)
{
    return atomic_load_explicit(&waker->state, memory_order_relaxed) != IO_WAKE_NONE &&
           atomic_exchange_explicit(&waker->state, IO_WAKE_NONE, memory_order_acq_rel) ==
               IO_WAKE_DUE;
}

/* Several times what it takes to wake an idle processor. */
enum { IO_LINGER_NS = 50000 };

/* Run the internal hooks, then the owner's. */
void io_run_hooks(struct io *io);

/* Where a pending request is: io_request.place. */
enum io_place {
    IO_PLACE_QUEUE,    /* waits for its turn */
    IO_PLACE_HEAP,     /* a timer that runs */
    IO_PLACE_KERNEL,   /* with the kernel, a thread or the simulated device */
    IO_PLACE_FINISHED, /* waits for its callback */
};

/* REQUEST is complete: set its result, errno for a negative one, and queue it for its callback. */
void io_finish(struct io_queue *finished, struct io_request *request, int64_t result, int os_error);

/* The same from what the kernel returned: >= 0 or a negative errno. */
void io_finish_kernel(struct io_queue *finished, struct io_request *request, int64_t result);

/* Start a timer; without memory it is complete at once with STOA_ENOMEM. */
void io_timer_start(struct io_heap *timers, struct io_queue *finished, struct io_request *request);

/* As io_cancel for a timer: it becomes complete with STOA_ECANCELED. */
void io_timer_cancel(struct io_heap *timers, struct io_queue *finished, struct io_request *request);

/* Move the timers due at NOW to FINISHED. */
void io_timers_expire(struct io_heap *timers, struct io_queue *finished, uint64_t now);

/* How long may be slept until DEADLINE (UINT64_MAX: none) or the first timer; UINT64_MAX: for
 * ever. */
uint64_t io_timers_wait_ns(const struct io_heap *timers, uint64_t now, uint64_t deadline);

/* Run the callbacks of all that is in FINISHED now; what they finish waits for the next pass. */
int io_run_finished(struct io *io, struct io_queue *finished);

static inline bool io_op_is_of_sockets(enum io_op op)
{
    return op >= IO_ACCEPT;
}

/* Implementations. */
int io_ring_create(const struct io_options *options, struct io **out_io,
                   struct error_detail *detail);
int io_epoll_create(const struct io_options *options, struct io **out_io,
                    struct error_detail *detail);
int io_threads_create(const struct io_options *options, struct io **out_io,
                      struct error_detail *detail);

#endif
