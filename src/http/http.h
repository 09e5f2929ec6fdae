/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http.h: the daemon's HTTP, a part of its server: JSON-RPC on POST /, and for who watches it
 * /metrics, /healthz and /readyz.
 *
 * libmicrohttpd does the protocol, on the server's loop: its epoll descriptor is the part's. What
 * waits for the store runs on a few threads (http_pool.h), its connection suspended meanwhile, so
 * the loop never waits. Bounded are connections, their memory and idle time, and what rpc.h bounds;
 * a connection has one request under way.
 *
 * Refused are: a Host that is none of ours (403), a body that is too large (413) or no JSON (415),
 * another method (405) or path (404). */
#ifndef HTTP_H
#define HTTP_H

#include <stdint.h>

#include "rpc/rpc.h"
#include "server/server.h"

struct http;

struct http_options {
    struct stoa *stoa;     /* outlives it, */
    struct rpc *rpc;       /* likewise */
    const char *address;   /* to listen at: of IPv4 or IPv6, in digits */
    uint16_t port;         /* 0: any that is free */
    const char *hosts;     /* that may be asked for, see http_request.h; NULL: this machine's */
    const char *origins;   /* pages that may ask; NULL or empty: none */
    unsigned threads;      /* 0: 4 */
    unsigned connections;  /* 0: 256 */
    unsigned idle_seconds; /* after which a connection is closed. 0: 30 */
};

/* Listens from here on; serves once its part is attached to a server that runs. */
int http_create(const struct http_options *options, struct http **out_http,
                struct error_detail *detail);

/* After the server's thread has ended. NULL is allowed. */
void http_destroy(struct http *http);

/* Whether TEXT is what options.address takes. */
bool http_is_address(const char *text);

struct server_part *http_part(struct http *http);

/* Where it listens. */
uint16_t http_port(const struct http *http);

#endif
