/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sockets on io_uring; io_ring_private.h says how. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_ring_private.h"
#include "io/sockets.h"

enum { ACCEPTS_MAX = 64 /* of one poll */ };

static uint8_t *buffer_at(const struct io_ring_sockets *sockets, unsigned index)
{
    ensure(index < SOCKET_BUFFERS);
    return sockets->memory + (size_t)index * SOCKET_BUFFER_SIZE;
}

static void give_buffer(struct io_ring_sockets *sockets, unsigned index)
{
    io_uring_buf_ring_add(sockets->provided, buffer_at(sockets, index), SOCKET_BUFFER_SIZE,
                          (unsigned short)index, io_uring_buf_ring_mask(SOCKET_BUFFERS), 0);
    io_uring_buf_ring_advance(sockets->provided, 1);
}

/* False: the kernel does not take them. */
static bool provide_buffers(struct io_ring *self)
{
    struct io_ring_sockets *sockets = self->sockets;
    size_t size = SOCKET_BUFFERS * sizeof(struct io_uring_buf);
    sockets->provided = memory_alloc_aligned(size, IO_ALIGNMENT);
    if (sockets->provided == NULL) {
        return false;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)sockets->provided,
        .ring_entries = SOCKET_BUFFERS,
        .bgid = SOCKET_BUFFER_GROUP,
    };
    memset(sockets->provided, 0, size);
    io_uring_buf_ring_init(sockets->provided);
    if (io_uring_register_buf_ring(&self->ring, &registration, 0) != 0) {
        memory_free(sockets->provided);
        sockets->provided = NULL;
        return false;
    }
    for (unsigned i = 0; i < SOCKET_BUFFERS; i++) {
        give_buffer(sockets, i);
    }
    return true;
}

int io_ring_sockets_create(struct io_ring *self, bool has_multishot, struct error_detail *detail)
{
    struct io_ring_sockets *sockets = memory_alloc_zeroed(1, sizeof(*sockets));
    if (sockets == NULL) {
        return error_set(detail, STOA_ENOMEM, "create the ring: out of memory");
    }
    self->sockets = sockets;
    sockets->arrival_capacity = *self->ring.cq.kring_entries;
    sockets->memory =
        memory_alloc_aligned((size_t)SOCKET_BUFFERS * SOCKET_BUFFER_SIZE, IO_ALIGNMENT);
    sockets->headers = memory_alloc_zeroed(*self->ring.sq.kring_entries, sizeof(struct msghdr));
    sockets->arrivals =
        memory_alloc_zeroed(sockets->arrival_capacity, sizeof(struct io_ring_arrival));
    if (sockets->memory == NULL || sockets->headers == NULL || sockets->arrivals == NULL) {
        return error_set(detail, STOA_ENOMEM, "create the ring: out of memory");
    }
    sockets->multishot = has_multishot && provide_buffers(self);
    return 0;
}

void io_ring_sockets_destroy(struct io_ring *self)
{
    struct io_ring_sockets *sockets = self->sockets;
    if (sockets == NULL) {
        return;
    }
    ensure(sockets->arrival_count == 0);
    memory_free(sockets->arrivals);
    memory_free(sockets->headers);
    memory_free(sockets->memory);
    memory_free(sockets->provided);
    memory_free(sockets);
    self->sockets = NULL;
}

/* The kernel reads the header when the entry is handed over, and no more after that. */
static void prepare_send(struct io_ring *self, const struct io_request *request,
                         struct io_uring_sqe *sqe)
{
    struct msghdr *header = &self->sockets->headers[sqe - self->ring.sq.sqes];
    ensure(request->part_count > 0);
    *header = (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)request->parts,
                              .msg_iovlen = request->part_count};
    io_uring_prep_sendmsg(sqe, request->file, header, MSG_NOSIGNAL);
}

void io_ring_sockets_prepare(struct io_ring *self, struct io_request *request,
                             struct io_uring_sqe *sqe)
{
    bool multishot = self->sockets->multishot;
    if (request->op == IO_SEND) {
        prepare_send(self, request, sqe);
    } else if (request->op == IO_ACCEPT && multishot) {
        io_uring_prep_multishot_accept(sqe, request->file, NULL, NULL, SOCK_CLOEXEC);
    } else if (request->op == IO_RECEIVE && multishot) {
        io_uring_prep_recv_multishot(sqe, request->file, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = SOCKET_BUFFER_GROUP;
    } else {
        io_uring_prep_poll_add(sqe, request->file, request->op == IO_HANG_UP ? POLLRDHUP : POLLIN);
    }
}

/* The ring waits by itself, for sockets that would wait. */
static void make_waiting(int file)
{
    int flags = fcntl(file, F_GETFL);
    if (flags >= 0) {
        (void)fcntl(file, F_SETFL, flags & ~O_NONBLOCK); /* then it is asked again and again */
    }
}

/* What goes on by itself after RESULT: nothing had come, or there was no room for it. */
static bool is_passing(const struct io_request *request, int result)
{
    bool accepts = request->op == IO_ACCEPT && (result == -ECONNABORTED || result == -EPROTO);
    bool receives = request->op == IO_RECEIVE && result == -ENOBUFS;
    return result == -EAGAIN || result == -EINTR || accepts || receives;
}

/* REQUEST has no entry any more, but its owner did not ask for an end. */
static void go_on(struct io_ring *self, struct io_request *request, int result)
{
    if (request->canceled) {
        io_finish_kernel(&self->finished, request, -ECANCELED);
        return;
    }
    if (result == -EAGAIN && (self->sockets->multishot || request->op == IO_SEND)) {
        make_waiting(request->file);
    }
    io_ring_again(self, request);
}

void io_ring_sockets_answer(struct io_ring *self, struct io_request *request, int result,
                            unsigned flags)
{
    struct io_ring_sockets *sockets = self->sockets;
    if ((flags & IORING_CQE_F_MORE) == 0) {
        ensure(self->in_flight > 0);
        self->in_flight--;
    }
    if (request->op == IO_ACCEPT || request->op == IO_RECEIVE) {
        ensure(sockets->arrival_count < sockets->arrival_capacity);
        sockets->arrivals[sockets->arrival_count++] =
            (struct io_ring_arrival){.request = request, .result = result, .flags = flags};
    } else if (is_passing(request, result)) {
        go_on(self, request, result);
    } else {
        io_finish_kernel(&self->finished, request, result);
    }
}

static void tell(struct io_request *request, int64_t result)
{
    request->result = result;
    request->os_error = 0;
    request->done(request);
}

/* A socket or data, of a stream that goes on. Its owner may cancel it in `done`. */
static void tell_and_go_on(struct io_ring *self, const struct io_ring_arrival *arrival)
{
    struct io_request *request = arrival->request;
    bool has_ended = (arrival->flags & IORING_CQE_F_MORE) == 0;
    bool was_canceled = request->canceled;
    if (has_ended && !was_canceled) {
        io_ring_again(self, request);
    }
    tell(request, arrival->result);
    if (has_ended && was_canceled) {
        io_finish_kernel(&self->finished, request, -ECANCELED);
    }
}

static int run_shot(struct io_ring *self, const struct io_ring_arrival *arrival)
{
    struct io_request *request = arrival->request;
    struct io_ring_sockets *sockets = self->sockets;
    bool has_buffer = (arrival->flags & IORING_CQE_F_BUFFER) != 0;
    unsigned buffer = arrival->flags >> IORING_CQE_BUFFER_SHIFT;
    bool goes_on = arrival->result >= (request->op == IO_RECEIVE ? 1 : 0);
    int ran = 0;
    if (goes_on) {
        ensure(has_buffer || request->op == IO_ACCEPT);
        request->data = has_buffer ? buffer_at(sockets, buffer) : NULL;
        tell_and_go_on(self, arrival);
        ran = 1;
    } else if (is_passing(request, arrival->result)) {
        go_on(self, request, arrival->result);
    } else {
        io_finish_kernel(&self->finished, request, arrival->result);
    }
    if (has_buffer) {
        give_buffer(sockets, buffer);
    }
    return ran;
}

/* What one call gives of a socket that was polled: a result, or a negative errno. */
static int take_one(const struct io_ring_sockets *sockets, struct io_request *request)
{
    ssize_t result;
    do {
        if (request->op == IO_ACCEPT) {
            result = sockets_take(request->file, 0);
        } else {
            request->data = sockets->memory;
            result = recv(request->file, sockets->memory,
                          (size_t)SOCKET_BUFFERS * SOCKET_BUFFER_SIZE, MSG_DONTWAIT);
        }
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : (int)result;
}

/* Without provided buffers: the answer was a poll's. The entry is made anew first, since the owner
 * may cancel it. */
static int run_polled(struct io_ring *self, const struct io_ring_arrival *arrival)
{
    struct io_request *request = arrival->request;
    int ran = 0;
    if (arrival->result < 0) {
        io_finish_kernel(&self->finished, request, arrival->result);
        return 0;
    }
    for (int taken = 0; taken < (request->op == IO_ACCEPT ? (int)ACCEPTS_MAX : 1); taken++) {
        int result = take_one(self->sockets, request);
        if (is_passing(request, result) || (result < 0 && request->canceled)) {
            break;
        }
        if (result < (request->op == IO_RECEIVE ? 1 : 0)) {
            io_finish_kernel(&self->finished, request, result);
            return ran;
        }
        tell(request, result);
        ran++;
    }
    go_on(self, request, 0);
    return ran;
}

int io_ring_sockets_run(struct io_ring *self)
{
    struct io_ring_sockets *sockets = self->sockets;
    int ran = 0;
    for (unsigned i = 0; i < sockets->arrival_count; i++) {
        struct io_ring_arrival arrival = sockets->arrivals[i];
        ran += sockets->multishot ? run_shot(self, &arrival) : run_polled(self, &arrival);
    }
    sockets->arrival_count = 0;
    return ran;
}
