/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sockets.h: stream sockets of this machine: Unix ones by path, TCP ones on loopback. Descriptors
 * are closed on exec; those that are listened on or accepted do not block. Any thread. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

/* Listen at PATH, mode 0660. A socket that nobody listens at any more is replaced. STOA_EEXISTS:
 * somebody listens there, or it is no socket. */
int sockets_listen_unix(const char *path, int *out_fd, struct error_detail *detail);

/* Listen at ADDRESS, as "127.0.0.1:7547" or "[::1]:7547", port 0 for any. STOA_EINVAL: not so, or
 * not loopback. */
int sockets_listen_tcp(const char *address, int *out_fd, struct error_detail *detail);

/* The port that FD listens at. */
int sockets_port(int fd);

/* Larger buffers and such, of a socket that was accepted. */
void sockets_tune(int fd, bool tcp);

/* The other side has ended, or the connection has failed. What came before may be there. */
bool sockets_is_gone(int fd);

enum { SOCKETS_GROUPS_MAX = 256 };

/* Who is at the other end of a Unix socket. */
struct sockets_peer {
    uint32_t user;
    uint32_t groups[SOCKETS_GROUPS_MAX + 1];
    unsigned group_count;
};
int sockets_peer(int fd, struct sockets_peer *out_peer);

/* Connect: a path (it has a slash), or an address as above. Waits no longer than TIMEOUT_MS.
 * STOA_ENOTFOUND: nobody listens there. STOA_EPERM. STOA_ETIMEOUT. */
int sockets_connect(const char *address, int timeout_ms, int *out_fd, struct error_detail *detail);

/* Send what goes without waiting: how much, or STOA_EBUSY (nothing), STOA_EIO (it broke). */
ptrdiff_t sockets_send(int fd, const struct iovec *parts, int count);

/* Receive likewise. 0: the other side has ended. */
ptrdiff_t sockets_receive(int fd, void *data, size_t size);

/* Bytes that nobody can guess, 256 at most. False: the system has none. */
bool sockets_random(void *out, size_t size);

/* A connection that waits at LISTENER, closed on exec; FLAGS: those of accept4 beside that. -1,
 * errno. */
int sockets_take(int listener, int flags);

/* The other side sees an end, and what waits on FD ends. */
void sockets_shut_down(int fd);

void sockets_close(int fd); /* below 0: nothing */

/* Remove the socket at PATH, if it is there. */
void sockets_unlink(const char *path);

#endif
