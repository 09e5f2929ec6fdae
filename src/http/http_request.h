/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_request.h: what of an HTTP request is judged by its bytes alone: whose host it says it asks,
 * what its body is said to be, and its body as it comes in pieces. Pure but for memory; any thread.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>

#include "base/buffer.h"

/* Whether HOST, the header ("name", "name:port", "[::1]:port", NULL where there is none), is one
 * of LIST: names separated by commas, or "*" for any. A page of elsewhere that has its name point
 * at this machine is kept out by it. Case and a dot at the end count for nothing. */
bool http_request_host_is_in(const char *list, const char *host);

/* Whether ORIGIN ("https://name", NULL) is one of LIST, which is as above. */
bool http_request_origin_is_in(const char *list, const char *origin);

/* Whether TYPE, the header or NULL, is application/json, with or without parameters. */
bool http_request_is_json(const char *type);

/* A body: what is over MAX is counted and let go of, for a while, so that whoever sends it gets to
 * read why it is refused. */
struct http_body {
    size_t max;
    struct buffer bytes;
    size_t dropped;
};

enum { HTTP_BODY_DROPPED_MAX = 16 << 20 };

void http_body_init(struct http_body *body, size_t max);
void http_body_deinit(struct http_body *body);

/* STOA_ETOOBIG: far too much, stop listening. STOA_ENOMEM. */
int http_body_add(struct http_body *body, const void *data, size_t size);

static inline bool http_body_is_too_large(const struct http_body *body)
{
    return body->dropped > 0;
}

#endif
