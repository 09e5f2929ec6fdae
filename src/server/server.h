/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server.h: the loop of the daemon, on a thread of its own: one of io.h for sockets. It knows the
 * store by stoa.h alone.
 *
 * What it serves are *parts*: each has sockets on the loop, or a descriptor of another library that
 * the loop polls, and handlers that run on the loop's thread, never wait, and pass work to the
 * store by server_submit; the answer comes back to the request's `done`, on the loop's thread too.
 * The wire protocol is one such part (connections.h); HTTP is another, by the descriptor of its
 * library.
 *
 * Life: create, attach the parts, start; the thread makes the loop, which is its own, and turns
 * until server_stop, then tells each part to stop, waits for what is with the store (for a bounded
 * time), has each close what it still has on the loop, and ends; join, destroy. Then the host
 * closes the store. */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/io.h"
#include "server/event.h"
#include "stoa.h"

enum { SERVER_PARTS_MAX = 8, SERVER_UNDER_WAY_MAX = 3072 };

struct server;

/* A message that a part has with the store. Embedded in its owner; it stays until `done` ran. */
struct server_request {
    /* Takes over all that COMPLETION brings: views to release, memory to free. */
    void (*done)(struct server_request *request, struct stoa_completion *completion);
    void *context;     /* the part's */
    uint64_t store_id; /* under which it may be taken back by stoa_cancel */
};

/* Something served. Embedded in its owner; all handlers run on the loop's thread and may be NULL,
 * but for `ready` of a part with a descriptor. */
struct server_part {
    const char *name;
    int fd; /* polled while the server runs; -1: none. libmicrohttpd's epoll descriptor fits */
    void (*ready)(struct server_part *part); /* FD can be read */
    void (*start)(struct server_part *part); /* before the first turn */
    /* Once a turn, after what was ready and done. Returns how long the loop may sleep for it, in
     * ns from now: UINT64_MAX as long as it likes. */
    uint64_t (*turn)(struct server_part *part, uint64_t now_ns);
    /* No new work from now on; what is under way may end. */
    void (*stop)(struct server_part *part);
    /* False: it still has something to write to its clients; the end waits for it, not for long. */
    bool (*is_idle)(struct server_part *part);
    /* End all that it has on the loop. False: something is under way there; it is asked again. */
    bool (*close)(struct server_part *part);
    void *context; /* the owner's */

    /* The server's own. */
    struct server *server;
    struct io_request poll;
};

struct server_options {
    struct stoa *stoa;               /* outlives the server */
    const struct event_sink *events; /* likewise; may be NULL */
    enum io_backend io;              /* what the loop is on */
    uint32_t stop_ms;                /* how long the end waits for what is under way */
    /* Called about once a second on the loop's thread, for the host's watchdog. May be NULL. */
    void (*alive)(void *context);
    void *alive_context;
};

int server_create(const struct server_options *options, struct server **out_server,
                  struct error_detail *detail);

/* Not while it runs. NULL is allowed. */
void server_destroy(struct server *server);

/* Before server_start. PART outlives the server's thread. */
int server_attach(struct server *server, struct server_part *part);

/* After server_join, and before PART's descriptor is closed; nothing where it is not attached. */
void server_detach(struct server_part *part);

/* The loop turns when this returns. DETAIL may be filled on success too, as by io_create. */
int server_start(struct server *server, struct error_detail *detail);

/* What the loop is on, and what that has: for a log line. After server_start. */
const char *server_io_name(const struct server *server);
const char *server_io_features(const struct server *server);

/* Any thread: end in order. Returns at once. */
void server_stop(struct server *server);

/* Any thread: the loop has a turn soon. Nothing where it has ended. */
void server_wake(struct server *server);

/* Wait until its thread has ended. Returns 0, or why the loop broke. */
int server_join(struct server *server);

/* Run RUN with CONTEXT on the loop's thread, and wait for it: for a reload of settings. Not from
 * the loop's thread. STOA_ECLOSED: the loop has ended; RUN did not run. */
int server_run_on_loop(struct server *server, void (*run)(void *context), void *context);

/* ---- on the loop's thread ---- */

/* Ask the store. CALL (may be NULL) as in stoa_submit; its tag and correlation id are the server's.
 * What ARGUMENT points at stays until `done`. On failure `done` does not run. STOA_EBUSY: as much
 * as may be is under way; ask again after an answer. ADMIN has a reserve of its own. */
int server_submit(struct server *server, enum stoa_message message, const void *argument,
                  const struct stoa_call *call, bool admin, struct server_request *request);

/* A client was answered and may ask again at once: the loop looks for that a little before it
 * sleeps. */
void server_linger(struct server *server);

/* Give back what COMPLETION brings, where nobody wants it. */
void server_forget(struct stoa_completion *completion);

struct stoa *server_store(struct server *server);
struct io *server_io(struct server *server);
const struct event_sink *server_events(struct server *server);
unsigned server_under_way(const struct server *server);
bool server_is_stopping(const struct server *server);

#endif
