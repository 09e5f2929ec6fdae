/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { RETRY_MS = 2, BACKLOG = 128, BUFFER_SIZE = 1 << 20, SOCKET_MODE = 0660 };

union any_address {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int unix_address(const char *path, union any_address *out, struct error_detail *detail)
{
    size_t length = strlen(path);
    *out = (union any_address){.local = {.sun_family = AF_UNIX}};
    if (length == 0 || length >= sizeof(out->local.sun_path)) {
        return error_set(detail, STOA_EINVAL, "%s: a socket's path has 1 to %zu bytes", path,
                         sizeof(out->local.sun_path) - 1);
    }
    memcpy(out->local.sun_path, path, length);
    return 0;
}

/* "127.0.0.1:7547", "[::1]:7547", loopback alone. */
static int tcp_address(const char *text, union any_address *out, socklen_t *out_size,
                       struct error_detail *detail)
{
    char host[INET6_ADDRSTRLEN];
    bool v6 = text[0] == '[';
    const char *begin = v6 ? text + 1 : text;
    const char *end = v6 ? strstr(text, "]:") : strrchr(text, ':');
    if (end == NULL || (size_t)(end - begin) >= sizeof(host)) {
        return error_set(detail, STOA_EINVAL, "%s: not of the form 127.0.0.1:PORT or [::1]:PORT",
                         text);
    }
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    char *rest;
    const char *digits = end + (v6 ? 2 : 1);
    unsigned long port = strtoul(digits, &rest, 10);
    if (*digits < '0' || *digits > '9' || *rest != '\0' || port > UINT16_MAX) {
        return error_set(detail, STOA_EINVAL, "%s: '%s' is no port", text, digits);
    }
    *out = (union any_address){.v4 = {.sin_family = AF_INET}};
    if (!v6 && inet_pton(AF_INET, host, &out->v4.sin_addr) == 1 &&
        ntohl(out->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) {
        out->v4.sin_port = htons((uint16_t)port);
        *out_size = sizeof(out->v4);
        return 0;
    }
    *out = (union any_address){.v6 = {.sin6_family = AF_INET6}};
    if (v6 && inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1 &&
        IN6_IS_ADDR_LOOPBACK(&out->v6.sin6_addr)) {
        out->v6.sin6_port = htons((uint16_t)port);
        *out_size = sizeof(out->v6);
        return 0;
    }
    return error_set(detail, STOA_EINVAL, "%s: not an address of loopback", text);
}

static void set_number(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value)); /* it works as well without */
}

void sockets_tune(int fd, bool tcp)
{
    /* So that a turn of the loop moves more. */
    set_number(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_SIZE);
    set_number(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_SIZE);
    if (tcp) {
        set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    }
}

/* A socket that nobody listens at is in the way. */
static int clear_path(const char *path, const union any_address *address,
                      struct error_detail *detail)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? 0 : error_set_errno(detail, errno, "%s", path);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return error_set(detail, STOA_EEXISTS, "%s: it is there, and is no socket", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set_errno(detail, errno, "%s", path);
    }
    bool dead = connect(fd, &address->any, sizeof(address->local)) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!dead) {
        return error_set(detail, STOA_EEXISTS, "%s: somebody listens there", path);
    }
    return unlink(path) == 0 || errno == ENOENT ? 0 : error_set_errno(detail, errno, "%s", path);
}

int sockets_listen_unix(const char *path, int *out_fd, struct error_detail *detail)
{
    union any_address address;
    int result = unix_address(path, &address, detail);
    if (result == 0) {
        result = clear_path(path, &address, detail);
    }
    if (result != 0) {
        return result;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Nobody can connect before it is listened at, and then its mode is set. */
    if (fd < 0 || bind(fd, &address.any, sizeof(address.local)) != 0 ||
        chmod(path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0) {
        result = error_set_errno(detail, errno, "%s", path);
        sockets_close(fd);
        return result;
    }
    *out_fd = fd;
    return 0;
}

int sockets_listen_tcp(const char *address, int *out_fd, struct error_detail *detail)
{
    union any_address own;
    socklen_t size;
    int result = tcp_address(address, &own, &size, detail);
    if (result != 0) {
        return result;
    }
    int fd = socket(own.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        set_number(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (fd < 0 || bind(fd, &own.any, size) != 0 || listen(fd, BACKLOG) != 0) {
        result = error_set_errno(detail, errno, "%s", address);
        sockets_close(fd);
        return result;
    }
    *out_fd = fd;
    return 0;
}

int sockets_port(int fd)
{
    union any_address own;
    socklen_t size = sizeof(own);
    if (getsockname(fd, &own.any, &size) != 0) {
        return error_from_errno(errno);
    }
    return ntohs(own.any.sa_family == AF_INET6 ? own.v6.sin6_port : own.v4.sin_port);
}

bool sockets_is_gone(int fd)
{
    struct pollfd ended = {.fd = fd, .events = POLLRDHUP}; /* and a failure, unasked */
    return poll(&ended, 1, 0) > 0;
}

int sockets_peer(int fd, struct sockets_peer *out_peer)
{
    struct ucred who;
    socklen_t size = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) {
        return error_from_errno(errno);
    }
    out_peer->user = who.uid;
    size = SOCKETS_GROUPS_MAX * sizeof(out_peer->groups[0]);
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, out_peer->groups, &size) == 0;
    out_peer->group_count = known ? size / (socklen_t)sizeof(out_peer->groups[0]) : 0;
    out_peer->groups[out_peer->group_count++] = who.gid;
    return 0;
}

/* Wait until it is connected. 0 or errno. */
static int finish_connect(int fd, int timeout_ms)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    int count;
    do {
        count = poll(&wanted, 1, timeout_ms);
    } while (count < 0 && errno == EINTR);
    if (count <= 0) {
        return count == 0 ? ETIMEDOUT : errno;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ? errno : error;
}

int sockets_connect(const char *address, int timeout_ms, int *out_fd, struct error_detail *detail)
{
    union any_address own;
    socklen_t size = sizeof(own.local);
    int result = strchr(address, '/') != NULL ? unix_address(address, &own, detail)
                                              : tcp_address(address, &own, &size, detail);
    if (result != 0) {
        return result;
    }
    int fd = socket(own.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set_errno(detail, errno, "%s", address);
    }
    int error = connect(fd, &own.any, size) == 0 ? 0 : errno;
    for (int waited_ms = 0; error == EAGAIN && waited_ms < timeout_ms; waited_ms += RETRY_MS) {
        (void)poll(NULL, 0, RETRY_MS); /* many want to connect: there is nothing to wait for */
        error = connect(fd, &own.any, size) == 0 ? 0 : errno;
    }
    if (error == EINPROGRESS) {
        error = finish_connect(fd, timeout_ms);
    }
    if (error != 0) {
        sockets_close(fd);
        (void)error_set_errno(detail, error, "%s", address); /* the code may be another */
        return error == ECONNREFUSED || error == ENOENT ? STOA_ENOTFOUND
               : error == EAGAIN                        ? STOA_EBUSY
                                                        : error_from_errno(error);
    }
    sockets_tune(fd, own.any.sa_family != AF_UNIX);
    *out_fd = fd;
    return 0;
}

ptrdiff_t sockets_send(int fd, const struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : errno == EAGAIN || errno == ENOBUFS ? STOA_EBUSY : STOA_EIO;
}

ptrdiff_t sockets_receive(int fd, void *data, size_t size)
{
    ssize_t received;
    do {
        received = recv(fd, data, size, MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    return received >= 0 ? received : errno == EAGAIN ? STOA_EBUSY : STOA_EIO;
}

bool sockets_random(void *out, size_t size)
{
    return getrandom(out, size, 0) == (ssize_t)size;
}

int sockets_take(int listener, int flags)
{
    struct sockaddr_storage address; /* of no interest here, but cppcheck wants one */
    socklen_t size = sizeof(address);
    return accept4(listener, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | flags);
}

void sockets_shut_down(int fd)
{
    (void)shutdown(fd, SHUT_RDWR); /* the other side may have gone before */
}

void sockets_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void sockets_unlink(const char *path)
{
    (void)unlink(path); /* it may be gone already */
}
