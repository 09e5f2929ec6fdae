/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net.h: a loop for descriptors of others: sockets, event descriptors, libraries with a poll of
 * their own. One thread, that of the loop, calls it; net_wake any thread.
 *
 * Watches say that something can be read, or written. Their callbacks run from net_run, may add and
 * remove watches (their own as well), and are called again for as long as there is something to
 * read: they need not take all. */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct net;

/* Embedded in its owner; does not move between add and remove. */
struct net_watch {
    int fd; /* the owner's; open until after the remove */
    void (*ready)(struct net_watch *watch);
    void (*writable)(struct net_watch *watch); /* may be NULL; see net_watch_want */
    void *context;                             /* the owner's */

    /* The loop's own. */
    bool watched;
    bool wants_read;
    bool wants_write;
};

int net_create(struct net **out_net, struct error_detail *detail);

/* Nothing is watched any more. NULL is allowed. */
void net_destroy(struct net *net);

/* STOA_ENOMEM, STOA_EIO. */
int net_watch_add(struct net *net, struct net_watch *watch);
/* Of one that is not watched nothing happens. `ready` does not run after this. */
void net_watch_remove(struct net *net, struct net_watch *watch);

/* Whether READY is to be called, which it is at first, and WRITABLE, which it is not. An end or a
 * failure of the other side is told whatever is wanted: by WRITABLE where that is, else by READY.
 */
void net_watch_want(struct net *net, struct net_watch *watch, bool read, bool write);

enum { NET_RECEIVE_SIZE = 1 << 18 };

/* What has come on a socket, without waiting: a view that is good until the next net_receive, and
 * its size. 0: the other side has ended. STOA_EBUSY: nothing is there. STOA_EIO: the connection
 * broke. */
ptrdiff_t net_receive(struct net *net, int fd, const uint8_t **out_data);

/* Wait up to WAIT_NS (0: not at all; UINT64_MAX: for ever) for something to be ready or a wake, and
 * run what is. 0, or a negative STOA_E… where the loop itself is broken. */
int net_run(struct net *net, uint64_t wait_ns);

/* Any thread, and signal handlers. Makes a waiting net_run return soon, or the next one at once. */
void net_wake(struct net *net);

/* Monotonic time. */
uint64_t net_now_ns(void);

#endif
