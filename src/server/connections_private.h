/* SPDX-License-Identifier: GPL-3.0-or-later */
/* connections_private.h: what the files of the connections share. connections.c reads and
 * writes, connections_accept.c listens, connections_serve.c has the requests, connections_aside.c
 * the calls that wait. All on the loop's thread.
 *
 * A connection receives all the time, but where its frames wait or it ends: then that is cancelled.
 * That its client goes meanwhile is waited for by itself; what it had sent is dropped then. One
 * send at most is under way; what is to be written meanwhile gathers in the other outbox. A
 * connection that is closed stays until the loop has given its requests back.
 *
 * One that comes while all is taken waits for the end of that turn of the loop: then those are
 * looked for that have gone by now, before anybody is refused. It receives once it is let in. */
#ifndef CONNECTIONS_PRIVATE_H
#define CONNECTIONS_PRIVATE_H

#include "server/aside.h"
#include "server/connections.h"
#include "server/outbox.h"
#include "wire/wire_argument.h"
#include "wire/wire_reply.h"

enum connection_state {
    CONNECTION_HELLO, /* its first frame is awaited */
    CONNECTION_PROOF, /* the proof that it has the token */
    CONNECTION_OPEN,
    CONNECTION_ENDING, /* what it was told last is written, then it is closed */
};

enum {
    CONNECTION_COST_QUERY = 16,      /* what a query, a range or a proof counts in flight */
    CONNECTION_STREAM_LOW = 1 << 20, /* below so many bytes a stream writes its next part */
    CONNECTION_LISTENERS = 2,
};

struct connection_request;

struct connection {
    int fd;
    struct io_request receive;
    struct io_request send;
    struct io_request hang_up;            /* once it was held up, from then on */
    struct iovec parts[OUTBOX_PARTS_MAX]; /* of what is sent */
    struct connections *owner;
    struct client *client; /* NULL: it was refused */
    bool tcp;
    bool closed;
    bool reserved;
    enum connection_state state;
    uint64_t features; /* WIRE_FEATURE_… */
    enum wire_role role;
    bool waits; /* frames that came wait for the client to have less in flight */
    bool dirty; /* its outbox is to be written in this turn */
    bool pinged;
    uint64_t who;         /* its client is */
    uint64_t counted_in;  /* of IN, in the client's queue */
    uint64_t counted_out; /* of the outboxes, likewise */
    struct buffer in;     /* what came and is no whole frame, or waits */
    struct outbox outbox;
    struct outbox sending;
    struct connection_request *requests;
    struct connection_request *streams; /* of them: have parts to write */
    uint8_t server_nonce[WIRE_NONCE_SIZE];
    uint8_t client_nonce[WIRE_NONCE_SIZE];
    uint64_t opened_ns;
    uint64_t received_ns; /* something came */
    uint64_t frame_ns;    /* the frame that is not whole began; 0: none did */
    uint64_t written_ns;  /* something that is sent went, or began to */
    struct connection *next;
    struct connection *previous;
    struct connection *next_dirty;
    struct connection *next_newcomer;
};

/* A request that is with the store, aside, or streams its answer. */
struct connection_request {
    struct server_request base; /* first */
    struct aside_job job;
    struct connections *owner;
    struct connection *connection; /* NULL: it is gone, and the answer is dropped */
    struct client *client;
    struct wire_header header;
    unsigned cost;
    bool with_store; /* stoa_cancel finds it */
    struct arena arena;
    uint8_t *payload; /* a copy, where it must stay; or NULL */
    /* Of a stream. */
    struct stoa_completion *streamed;
    size_t streamed_next;
    struct connection_request *next_stream;
    /* Of a call that waits. */
    uint64_t number;
    struct stoa_block_key key;
    int result;
    struct stoa_detail detail;
    void *made; /* stoa_free */
    size_t made_count;
    struct stoa_dead_letter_counts counts;
    struct connection_request *next;
    struct connection_request *previous;
};

struct connections {
    struct server_part part;
    struct server *server;
    struct connections_settings settings;
    struct aside *aside;
    struct io_request listeners[CONNECTION_LISTENERS]; /* file -1: none */
    char *path;
    bool listening_paused;
    bool stopping;
    struct clients clients;
    struct connection *first;
    unsigned count;
    unsigned request_count;
    struct connection *dirty;
    struct connection *ended;     /* closed in this turn, to be freed at its end */
    struct connection *newcomers; /* of this turn, that found all taken; the first first */
    struct connection **newcomers_end;
    struct connection_request *free_requests;
    uint64_t looked_ns;
    uint64_t resume_ns; /* when one that waits for its rate may go on; UINT64_MAX: none */
    uint64_t chain_id;
    uint64_t now_ns; /* of this turn */
};

/* Bytes that CONNECTION has to write. */
static inline uint64_t connection_queued(const struct connection *connection)
{
    return connection->outbox.size + connection->sending.size;
}

/* connections.c */

/* The outbox has more: it is written at the end of the turn. */
void connection_touch(struct connection *connection);

/* Tell it why, and close it once that is written. */
void connection_end(struct connection *connection, int code, const char *text);

/* Close it now. It is freed at the end of the turn. */
void connection_close(struct connection *connection);

/* It receives, or waits for its client to go, or neither, as it is to by now. */
void connection_settle(struct connection *connection);

/* What its requests on the loop do. */
void connection_received(struct io_request *request);
void connection_sent(struct io_request *request);
void connection_hung_up(struct io_request *request);

/* connections_accept.c */

void connections_accept_init(struct connections *own);

/* Listen at PATH and ADDRESS: each may be NULL. */
int connections_listen_at(struct connections *own, const char *path, const char *address,
                          struct error_detail *detail);

/* Accept, or go on with it. */
void connections_listen(struct connections *own);

/* Let the newcomers in, in the place of those that have gone, or refuse them. */
void connections_admit(struct connections *own);

/* connections_serve.c */

/* Serve a frame of an open connection. STOA_EBUSY: not now, nothing was taken. STOA_EINVAL: it is
 * no request, and DETAIL says why. */
int connection_serve(struct connection *connection, const struct wire_header *header,
                     struct bytes payload, struct error_detail *detail);

/* Append parts of streams while there is room. */
void connection_stream(struct connection *connection);

/* CONNECTION ends: the answers to its requests will be dropped. */
void connection_abandon(struct connection *connection);

/* The reply to HEADER: RESULT with TEXT. */
void connection_refuse(struct connection *connection, const struct wire_header *header, int result,
                       const char *text);

struct connection_request *connection_request_take(struct connection *connection,
                                                   const struct wire_header *header, unsigned cost);
/* Its end: gone from its connection, to the pool. */
void connection_request_give(struct connection_request *request);

/* connections_aside.c */
/* REQUEST, which is with the store, is not wanted any more: tell the store so, where there is room
 * to. */
void connection_take_back(const struct connection_request *request);
int connection_serve_aside(struct connection *connection, const struct wire_header *header,
                           struct bytes payload, struct error_detail *detail);

#endif
