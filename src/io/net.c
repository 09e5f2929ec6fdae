/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"

enum { NET_EVENTS = 128 };

struct net {
    int poll_fd;
    int wake_fd;
    unsigned watch_count;
    /* What the last wait found and has not run yet: a removed watch is taken out. */
    struct epoll_event events[NET_EVENTS];
    int event_next;
    int event_count;
    uint8_t *received;
};

uint64_t net_now_ns(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    ensure(result == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int net_create(struct net **out_net, struct error_detail *detail)
{
    struct net *net = memory_alloc_zeroed(1, sizeof(*net));
    if (net == NULL) {
        return error_set(detail, STOA_ENOMEM, "network loop");
    }
    net->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    net->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
    net->received = memory_alloc(NET_RECEIVE_SIZE);
    if (net->received == NULL) {
        net_destroy(net);
        return error_set(detail, STOA_ENOMEM, "network loop");
    }
    if (net->poll_fd < 0 || net->wake_fd < 0 ||
        epoll_ctl(net->poll_fd, EPOLL_CTL_ADD, net->wake_fd, &wake) != 0) {
        int result = error_set_errno(detail, errno, "network loop");
        net_destroy(net);
        return result;
    }
    *out_net = net;
    return 0;
}

void net_destroy(struct net *net)
{
    if (net == NULL) {
        return;
    }
    ensure(net->watch_count == 0);
    if (net->wake_fd >= 0) {
        close(net->wake_fd);
    }
    if (net->poll_fd >= 0) {
        close(net->poll_fd);
    }
    memory_free(net->received);
    memory_free(net);
}

int net_watch_add(struct net *net, struct net_watch *watch)
{
    ensure(!watch->watched);
    ensure(watch->fd >= 0 && watch->ready != NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    if (epoll_ctl(net->poll_fd, EPOLL_CTL_ADD, watch->fd, &event) != 0) {
        return error_from_errno(errno);
    }
    watch->watched = true;
    watch->wants_read = true;
    watch->wants_write = false;
    net->watch_count++;
    return 0;
}

void net_watch_remove(struct net *net, struct net_watch *watch)
{
    if (!watch->watched) {
        return;
    }
    int result = epoll_ctl(net->poll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    ensure(result == 0);
    watch->watched = false;
    net->watch_count--;
    for (int i = net->event_next; i < net->event_count; i++) {
        if (net->events[i].data.ptr == watch) {
            net->events[i].events = 0;
        }
    }
}

void net_watch_want(struct net *net, struct net_watch *watch, bool read, bool write)
{
    ensure(watch->watched);
    ensure(!write || watch->writable != NULL);
    if (watch->wants_read == read && watch->wants_write == write) {
        return;
    }
    watch->wants_read = read;
    watch->wants_write = write;
    struct epoll_event event = {
        .events = (read ? (uint32_t)EPOLLIN : 0) | (write ? (uint32_t)EPOLLOUT : 0),
        .data.ptr = watch,
    };
    int result = epoll_ctl(net->poll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    ensure(result == 0);
}

ptrdiff_t net_receive(struct net *net, int fd, const uint8_t **out_data)
{
    ssize_t size;
    do {
        size = recv(fd, net->received, NET_RECEIVE_SIZE, MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return errno == EAGAIN ? STOA_EBUSY : STOA_EIO;
    }
    *out_data = net->received;
    return size;
}

/* What EVENTS say of WATCH, which its callbacks may remove. An end is told whatever is wanted: no
 * answer would arrive any more. */
static void run_watch(struct net_watch *watch, uint32_t events)
{
    bool ended = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (watch->wants_write && (ended || (events & EPOLLOUT) != 0)) {
        watch->writable(watch);
        return; /* it may be gone; what can be read is told by the next wait */
    }
    if (ended || (watch->wants_read && (events & EPOLLIN) != 0)) {
        watch->ready(watch);
    }
}

static void take_wake(struct net *net)
{
    eventfd_t ignored;
    (void)eventfd_read(net->wake_fd, &ignored); /* EAGAIN: another turn took it */
}

int net_run(struct net *net, uint64_t wait_ns)
{
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    ensure(net->event_next == net->event_count); /* not from inside a callback */
    int count = epoll_pwait2(net->poll_fd, net->events, NET_EVENTS,
                             wait_ns == UINT64_MAX ? NULL : &wait, NULL);
    if (count < 0) {
        return errno == EINTR ? 0 : error_from_errno(errno);
    }
    net->event_count = count;
    net->event_next = 0;
    while (net->event_next < net->event_count) {
        struct epoll_event event = net->events[net->event_next++];
        struct net_watch *watch = event.data.ptr;
        if (watch == NULL) {
            take_wake(net);
        } else if (event.events != 0) {
            run_watch(watch, event.events);
        }
    }
    return 0;
}

void net_wake(struct net *net)
{
    int saved = errno;                    /* it is called in signal handlers */
    (void)eventfd_write(net->wake_fd, 1); /* EAGAIN: it is more than awake */
    errno = saved;
}
