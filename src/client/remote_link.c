/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection: greeting, sending, receiving, breaking, and coming back. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "client/remote_private.h"
#include "io/sockets.h"

enum {
    PAUSE_FIRST_MS = 10,
    PAUSE_MAX_MS = 2000,
    TRY_MS = 1000, /* of a connection that is made again */
    IN_SIZE = 1 << 18,
    IN_KEEP = 1 << 20,
    TICK_MS = 50, /* how long a wait for a connection looks away */
};

static void tell(struct stoa_detail *detail, int code, const char *text)
{
    if (detail != NULL) {
        *detail = (struct stoa_detail){.code = code};
        (void)snprintf(detail->text, sizeof(detail->text), "%s", text);
    }
}

/* ---- the greeting ---- */

struct greeting {
    struct remote *remote;
    int fd;
    uint64_t until_ns;
    uint8_t nonce[WIRE_NONCE_SIZE];
    struct stoa_detail *detail;
};

/* Wait until FD has EVENTS. */
static int wait_until(const struct greeting *greeting, short events)
{
    struct pollfd wanted = {.fd = greeting->fd, .events = events};
    for (;;) {
        uint64_t now_ns = remote_now_ns();
        if (now_ns >= greeting->until_ns) {
            tell(greeting->detail, STOA_ETIMEOUT, "the daemon does not answer");
            return STOA_ETIMEOUT;
        }
        int count = poll(&wanted, 1, (int)((greeting->until_ns - now_ns) / 1000000) + 1);
        if (count > 0) {
            return 0;
        }
    }
}

static int send_all(const struct greeting *greeting, const struct buffer *frame)
{
    size_t at = 0;
    while (at < frame->size) {
        struct iovec part = {frame->data + at, frame->size - at};
        ptrdiff_t sent = sockets_send(greeting->fd, &part, 1);
        int result = sent >= 0 ? 0 : sent == STOA_EBUSY ? wait_until(greeting, POLLOUT) : (int)sent;
        if (result != 0) {
            return result;
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int receive_all(const struct greeting *greeting, uint8_t *out, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ptrdiff_t received = sockets_receive(greeting->fd, out + at, size - at);
        if (received == 0 || received == STOA_EIO) {
            tell(greeting->detail, STOA_ECLOSED, "the daemon has closed the connection");
            return STOA_ECLOSED;
        }
        if (received == STOA_EBUSY) {
            int result = wait_until(greeting, POLLIN);
            if (result != 0) {
                return result;
            }
            continue;
        }
        at += (size_t)received;
    }
    return 0;
}

/* The next frame of the greeting. */
static int receive_frame(const struct greeting *greeting, struct wire_header *out_header,
                         uint8_t payload[WIRE_HELLO_MAX])
{
    uint8_t header[WIRE_HEADER_SIZE];
    struct error_detail inner = {.code = 0};
    int result = receive_all(greeting, header, sizeof(header));
    if (result != 0) {
        return result;
    }
    if (wire_get_header(header, out_header, &inner) != 0 || out_header->size > WIRE_HELLO_MAX) {
        tell(greeting->detail, STOA_EVERSION, "no stoad answers there");
        return STOA_EVERSION;
    }
    result = receive_all(greeting, payload, out_header->size);
    if (result == 0 &&
        wire_check_payload(out_header, bytes_of(payload, out_header->size), &inner) != 0) {
        tell(greeting->detail, STOA_EVERSION, "no stoad answers there");
        return STOA_EVERSION;
    }
    return result;
}

static int answer_challenge(const struct greeting *greeting, struct bytes payload)
{
    struct wire_challenge challenge;
    struct error_detail inner = {.code = 0};
    uint8_t proof[WIRE_PROOF_SIZE];
    struct buffer frame = {.data = NULL};
    const struct remote *remote = greeting->remote;
    if (wire_read_challenge(payload, &challenge, &inner) != 0 || remote->token_size == 0) {
        tell(greeting->detail, STOA_EPERM, "the daemon wants a token");
        return STOA_EPERM;
    }
    wire_prove(bytes_of(remote->token, remote->token_size), challenge.nonce, greeting->nonce,
               proof);
    int result = wire_append_proof(&frame, proof);
    if (result == 0) {
        result = send_all(greeting, &frame);
    }
    buffer_deinit(&frame);
    return result;
}

static int take_goodbye(const struct greeting *greeting, struct bytes payload)
{
    struct wire_goodbye goodbye;
    struct error_detail inner = {.code = 0};
    if (wire_read_goodbye(payload, &goodbye, &inner) != 0 || goodbye.code >= 0) {
        return STOA_ECLOSED;
    }
    tell(greeting->detail, goodbye.code, goodbye.text);
    return goodbye.code;
}

static int greet(struct greeting *greeting)
{
    struct remote *remote = greeting->remote;
    struct wire_hello hello = {
        .version_least = WIRE_VERSION,
        .version_most = WIRE_VERSION,
        .features = WIRE_FEATURES,
    };
    struct buffer frame = {.data = NULL};
    struct error_detail inner = {.code = 0};
    if (!sockets_random(greeting->nonce, sizeof(greeting->nonce))) {
        return STOA_EIO;
    }
    memcpy(hello.nonce, greeting->nonce, sizeof(hello.nonce));
    (void)snprintf(hello.name, sizeof(hello.name), "%s", remote->name);
    int result = wire_append_hello(&frame, &hello);
    if (result == 0) {
        result = send_all(greeting, &frame);
    }
    buffer_deinit(&frame);
    result = result == STOA_EIO ? 0 : result; /* why it was not let in is still to be read */
    while (result == 0) {
        struct wire_header header;
        uint8_t payload[WIRE_HELLO_MAX];
        result = receive_frame(greeting, &header, payload);
        struct bytes bytes = bytes_of(payload, result == 0 ? header.size : 0);
        if (result == 0 && header.type == WIRE_WELCOME) {
            return wire_read_welcome(bytes, &remote->welcome, &inner);
        }
        if (result == 0) {
            result = header.type == WIRE_CHALLENGE ? answer_challenge(greeting, bytes)
                     : header.type == WIRE_GOODBYE ? take_goodbye(greeting, bytes)
                                                   : STOA_EVERSION;
        }
    }
    return result;
}

/* ---- open and broken ---- */

static void poll_it(struct remote *remote)
{
    if (remote->poll_fd >= 0 && remote->fd >= 0) {
        struct epoll_event event = {.events = EPOLLIN};
        remote->polled = epoll_ctl(remote->poll_fd, EPOLL_CTL_ADD, remote->fd, &event) == 0;
    }
}

int remote_link_open(struct remote *remote, unsigned timeout_ms, struct stoa_detail *detail)
{
    struct error_detail inner = {.code = 0};
    struct greeting greeting = {
        .remote = remote,
        .until_ns = remote_now_ns() + (uint64_t)timeout_ms * 1000000,
        .detail = detail,
    };
    ensure(remote->fd < 0);
    int result = sockets_connect(remote->address, (int)timeout_ms, &greeting.fd, &inner);
    if (result != 0) {
        tell(detail, result, inner.text);
        return result;
    }
    result = greet(&greeting);
    if (result != 0) {
        if (detail != NULL && detail->text[0] == '\0') {
            tell(detail, result, "the daemon did not greet");
        }
        sockets_close(greeting.fd);
        return result;
    }
    remote->fd = greeting.fd;
    remote->sent = 0;
    remote->heard_ns = remote_now_ns();
    remote->pinged = false;
    remote->broken_ns = 0;
    remote->pause_ms = PAUSE_FIRST_MS;
    poll_it(remote);
    return 0;
}

void remote_link_close(struct remote *remote)
{
    if (remote->fd >= 0) {
        sockets_close(remote->fd); /* which takes it out of what is polled */
        remote->fd = -1;
        remote->polled = false;
    }
    remote->out.size = 0;
    remote->out_at = 0;
    remote->in.size = 0;
    remote->in_at = 0;
}

/* What is under way when the connection breaks. */
static void fail_or_keep(struct remote *remote, struct remote_call *call, uint64_t sent)
{
    bool untouched = call->sent_from >= sent;
    remote_call_drop_parts(call); /* they come again */
    if (!call->reads && !untouched) {
        remote_call_fail(remote, call, STOA_ECLOSED, STOA_EFFECT_UNKNOWN,
                         "the connection broke before the answer came");
    }
}

void remote_link_break(struct remote *remote, int code, const char *text)
{
    uint64_t sent = remote->sent;
    remote->buffered_lost = remote->buffered_lost || remote->buffered;
    remote->buffered = false;
    remote_link_close(remote);
    tell(&remote->why, code, text);
    remote->broken_ns = remote_now_ns();
    remote->attempt_ns = remote->broken_ns;
    for (unsigned i = 0; i < REMOTE_CALLS_MAX; i++) {
        struct remote_call *call = &remote->calls[i];
        if (call->used && !call->done) {
            fail_or_keep(remote, call, sent);
        }
    }
    for (struct remote_cancel *one = remote->cancels; one != NULL; one = one->next) {
        one->done = true;
        one->result = STOA_ECLOSED;
        pthread_cond_signal(&one->waiter->changed);
    }
    remote->cancels = NULL;
}

/* All that waits goes out again, in the order that it came in. */
static void send_again(struct remote *remote)
{
    uint32_t serial = remote->next_serial - REMOTE_CALLS_MAX * 16;
    for (;;) {
        struct remote_call *next = NULL;
        for (unsigned i = 0; i < REMOTE_CALLS_MAX; i++) {
            struct remote_call *call = &remote->calls[i];
            if (call->used && !call->done && call->frame.size != 0 &&
                call->serial - serial < UINT32_MAX / 2 &&
                (next == NULL || call->serial - serial < next->serial - serial)) {
                next = call;
            }
        }
        if (next == NULL) {
            return;
        }
        serial = next->serial + 1;
        if (remote_link_queue(remote, next, buffer_bytes(&next->frame)) != 0) {
            remote_call_fail(remote, next, STOA_ENOMEM, STOA_EFFECT_NONE, "no memory to send it");
        }
    }
}

static void fail_all(struct remote *remote, const char *text)
{
    for (unsigned i = 0; i < REMOTE_CALLS_MAX; i++) {
        struct remote_call *call = &remote->calls[i];
        if (call->used && !call->done) {
            remote_call_fail(remote, call, STOA_ECLOSED, STOA_EFFECT_NONE, text);
        }
    }
}

/* Try to come back, if that is due. */
static void reconnect(struct remote *remote)
{
    uint64_t now_ns = remote_now_ns();
    if (now_ns < remote->attempt_ns) {
        return;
    }
    struct stoa_detail detail = {.code = 0};
    int result = remote_link_open(remote, TRY_MS, &detail);
    if (result == 0) {
        send_again(remote);
        return;
    }
    remote->why = detail;
    now_ns = remote_now_ns();
    remote->pause_ms = remote->pause_ms == 0 ? PAUSE_FIRST_MS : remote->pause_ms * 2;
    remote->pause_ms = remote->pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : remote->pause_ms;
    remote->attempt_ns = now_ns + (uint64_t)remote->pause_ms * 1000000;
    bool hopeless = result == STOA_EPERM || result == STOA_EVERSION;
    if (hopeless || now_ns - remote->broken_ns > (uint64_t)remote->reconnect_ms * 1000000) {
        fail_all(remote, detail.text);
    }
}

/* ---- sending ---- */

int remote_link_queue(struct remote *remote, struct remote_call *call, struct bytes frame)
{
    if (remote->out_at == remote->out.size) {
        remote->out.size = 0;
        remote->out_at = 0;
    }
    call->sent_from = remote->sent + (remote->out.size - remote->out_at);
    return buffer_append(&remote->out, frame.data, frame.size);
}

void remote_link_flush(struct remote *remote)
{
    while (remote->fd >= 0 && remote->out_at < remote->out.size) {
        struct iovec part = {remote->out.data + remote->out_at, remote->out.size - remote->out_at};
        ptrdiff_t sent = sockets_send(remote->fd, &part, 1);
        if (sent == STOA_EBUSY) {
            return;
        }
        if (sent < 0) {
            remote_link_break(remote, STOA_ECLOSED, "the connection broke");
            return;
        }
        remote->out_at += (size_t)sent;
        remote->sent += (uint64_t)sent;
    }
    if (remote->out_at == remote->out.size) {
        remote->out_at = 0;
        remote->out.size = 0;
        if (remote->out.capacity > IN_KEEP) {
            buffer_deinit(&remote->out);
        }
    }
}

/* ---- receiving ---- */

static void take_cancel(struct remote *remote, const struct wire_header *header)
{
    struct remote_cancel **at = &remote->cancels;
    while (*at != NULL && (*at)->id != header->id) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        struct remote_cancel *one = *at;
        *at = one->next;
        one->done = true;
        one->result = wire_result(header);
        pthread_cond_signal(&one->waiter->changed);
    }
}

static void send_pong(struct remote *remote, const struct wire_header *header)
{
    struct wire_header reply = {.type = WIRE_PING, .flags = WIRE_REPLY, .id = header->id};
    if (wire_append_empty(&remote->out, &reply) == 0) {
        remote_link_flush(remote);
    }
}

static void take_frame(struct remote *remote, const struct wire_header *header,
                       struct bytes payload)
{
    struct wire_goodbye goodbye;
    struct error_detail inner = {.code = 0};
    if (header->type == WIRE_PING) {
        if ((header->flags & WIRE_REPLY) == 0) {
            send_pong(remote, header);
        }
        return;
    }
    if (header->type == WIRE_GOODBYE) {
        bool read = wire_read_goodbye(payload, &goodbye, &inner) == 0;
        remote_link_break(remote, read ? goodbye.code : STOA_ECLOSED,
                          read ? goodbye.text : "the daemon ended the connection");
        return;
    }
    if ((header->flags & WIRE_REPLY) == 0) {
        remote_link_break(remote, STOA_EVERSION, "the daemon sent what is no reply");
        return;
    }
    if (header->type == WIRE_CANCEL) {
        take_cancel(remote, header);
        return;
    }
    struct remote_call *call = remote_call_find(remote, header->id);
    if (call != NULL && call->type == header->type) { /* else it was given up */
        remote_call_answer(remote, call, header, payload);
    }
}

/* The frames that are there. */
static void take_frames(struct remote *remote)
{
    struct error_detail inner = {.code = 0};
    while (remote->fd >= 0 && remote->in.size - remote->in_at >= WIRE_HEADER_SIZE) {
        struct wire_header header;
        const uint8_t *at = remote->in.data + remote->in_at;
        if (wire_get_header(at, &header, &inner) != 0 || header.size > WIRE_PAYLOAD_MAX) {
            remote_link_break(remote, STOA_ECORRUPT, "the daemon sent what is no frame");
            return;
        }
        if (remote->in.size - remote->in_at - WIRE_HEADER_SIZE < header.size) {
            size_t rest = WIRE_HEADER_SIZE + header.size;
            if (remote->in_at != 0) {
                remote->in.size -= remote->in_at;
                memmove(remote->in.data, at, remote->in.size);
                remote->in_at = 0;
            }
            if (remote->in.capacity < rest &&
                buffer_reserve(&remote->in, rest - remote->in.size) != 0) {
                remote_link_break(remote, STOA_ENOMEM, "no memory for an answer");
            }
            return;
        }
        struct bytes payload = bytes_of(at + WIRE_HEADER_SIZE, header.size);
        if (wire_check_payload(&header, payload, &inner) != 0) {
            remote_link_break(remote, STOA_ECORRUPT, inner.text);
            return;
        }
        remote->in_at += WIRE_HEADER_SIZE + header.size;
        take_frame(remote, &header, payload);
    }
    if (remote->in_at == remote->in.size) {
        remote->in_at = 0;
        remote->in.size = 0;
        if (remote->in.capacity > IN_KEEP) {
            buffer_deinit(&remote->in);
        }
    }
}

static void receive(struct remote *remote)
{
    if (remote->in.capacity - remote->in.size < IN_SIZE / 4 &&
        buffer_reserve(&remote->in, IN_SIZE) != 0) {
        remote_link_break(remote, STOA_ENOMEM, "no memory for an answer");
        return;
    }
    ptrdiff_t size = sockets_receive(remote->fd, remote->in.data + remote->in.size,
                                     remote->in.capacity - remote->in.size);
    if (size == STOA_EBUSY) {
        return;
    }
    if (size <= 0) {
        remote_link_break(remote, STOA_ECLOSED, "the daemon has closed the connection");
        return;
    }
    remote->heard_ns = remote_now_ns();
    remote->pinged = false;
    remote->in.size += (size_t)size;
    take_frames(remote);
}

/* A daemon that says nothing is asked, and then held for gone. */
static void check_silence(struct remote *remote)
{
    uint64_t silent_ns = remote_now_ns() - remote->heard_ns;
    uint64_t most_ns = (uint64_t)remote->silence_ms * 1000000;
    const struct wire_header ping = {.type = WIRE_PING};
    if (silent_ns > most_ns && remote->pinged) {
        remote_link_break(remote, STOA_ETIMEOUT, "the daemon says nothing any more");
    } else if (silent_ns > most_ns / 2 && !remote->pinged) {
        remote->pinged = true;
        remote->heard_ns = remote_now_ns() - most_ns / 2; /* it has half of that to answer */
        if (wire_append_empty(&remote->out, &ping) == 0) {
            remote_link_flush(remote);
        }
    }
}

void remote_link_turn(struct remote *remote, int wait_ms)
{
    if (remote->fd < 0) {
        reconnect(remote);
    }
    remote_link_flush(remote);
    if (remote->fd < 0) {
        pthread_mutex_unlock(&remote->mutex);
        (void)poll(NULL, 0, wait_ms < TICK_MS ? wait_ms : TICK_MS); /* a pause */
        pthread_mutex_lock(&remote->mutex);
        return;
    }
    int most_ms = (int)(remote->silence_ms / 4) + 1;
    struct pollfd wanted = {
        .fd = remote->fd,
        .events = (short)(POLLIN | (remote->out_at < remote->out.size ? POLLOUT : 0)),
    };
    pthread_mutex_unlock(&remote->mutex);
    int count = poll(&wanted, 1, wait_ms < most_ms ? wait_ms : most_ms);
    pthread_mutex_lock(&remote->mutex);
    if (remote->fd != wanted.fd) {
        return; /* a sender found it broken */
    }
    if (count > 0 && (wanted.revents & POLLOUT) != 0) {
        remote_link_flush(remote);
    }
    if (remote->fd >= 0 && count > 0 && (wanted.revents & ~POLLOUT) != 0) {
        receive(remote);
    } else if (remote->fd >= 0) {
        check_silence(remote);
    }
}
