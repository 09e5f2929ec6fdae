/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_ring_private.h: what the two files of the loop on io_uring share. io_ring.c has the ring, its
 * files, wakes and turns; io_ring_socket.c what sockets add to that.
 *
 * A stream's one entry has many answers. They are kept in `arrivals` in the order that they came,
 * and told from the loop's turn before what is finished: an end comes after all data. An answer
 * that says that the kernel has ended a stream which goes on for its owner (no buffer was left, the
 * completions overflowed) makes an entry anew.
 *
 * Data of IO_RECEIVE is where the kernel put it: in one of the loop's buffers, which all sockets
 * share and the kernel picks from when something comes, so that a thousand connections that wait
 * hold no memory. A buffer is the kernel's again when its `done` returns. Kernels without such
 * buffers poll each socket, one entry at a time, and what came is read by a call. */
#ifndef IO_RING_PRIVATE_H
#define IO_RING_PRIVATE_H

#include <liburing.h>

#include "io/io_private.h"

enum {
    TAG_WAKE = 1,   /* user data of what is not a request's */
    TAG_CANCEL = 2, /* below any address */
    TAG_LAST = TAG_CANCEL,
    FILE_SLOTS = 1024,
    BUFFER_SLOTS = 16,
    BUFFER_SIZE_MAX = 1 << 30,   /* the kernel's */
    REGISTER_SEND_MSG_RING = 31, /* newer than Debian's header */
};

enum {
    SOCKET_BUFFERS = 128, /* a power of two */
    SOCKET_BUFFER_SIZE = 16384,
    SOCKET_BUFFER_GROUP = 1,
};

struct ring_buffer {
    char *data; /* NULL: the slot is free */
    size_t size;
};

struct io_ring {
    struct io io; /* first */
    struct io_uring ring;
    struct io_waker waker;
    struct io_queue waiting;
    struct io_queue finished;
    struct io_heap timers;
    unsigned entries;
    unsigned in_flight;

    int wake_event; /* -1: by message */
    bool wake_armed;
    uint64_t wake_value;

    bool has_taskrun_flag;
    unsigned file_slots; /* 0: files are not registered */
    bool registered[FILE_SLOTS];
    unsigned buffer_slots; /* 0: memory is not registered */
    struct ring_buffer buffers[BUFFER_SLOTS];
    struct io_ring_sockets *sockets; /* NULL: the loop is for files */
};

/* An answer to a stream. */
struct io_ring_arrival {
    struct io_request *request;
    int result;
    unsigned flags;
};

struct io_ring_sockets {
    bool multishot;
    struct io_uring_buf_ring *provided; /* NULL: none */
    uint8_t *memory;                    /* of all buffers; without them, of one */
    struct msghdr *headers;             /* one an entry of the ring, until that is handed over */
    struct io_ring_arrival *arrivals;
    unsigned arrival_count;
    unsigned arrival_capacity;
};

/* REQUEST is to have an entry again, before others. */
void io_ring_again(struct io_ring *self, struct io_request *request);

/* io_ring_socket.c */

/* Before the ring is enabled. HAS_MULTISHOT: the kernel can receive often for one entry. */
int io_ring_sockets_create(struct io_ring *self, bool has_multishot, struct error_detail *detail);

/* After the ring is gone. */
void io_ring_sockets_destroy(struct io_ring *self);

void io_ring_sockets_prepare(struct io_ring *self, struct io_request *request,
                             struct io_uring_sqe *sqe);

/* An answer to a request of a socket. */
void io_ring_sockets_answer(struct io_ring *self, struct io_request *request, int result,
                            unsigned flags);

/* Tell what came. Returns how many callbacks ran. */
int io_ring_sockets_run(struct io_ring *self);

#endif
