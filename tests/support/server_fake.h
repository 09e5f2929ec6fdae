/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server_fake.h: the server (server.h) on one thread and a simulated loop, with a store that knows
 * GetState alone: the value of a key is the key. No engine is linked. */
#ifndef SERVER_FAKE_H
#define SERVER_FAKE_H

#include "server/server.h"

struct server_fake_options {
    uint64_t seed;         /* of the store */
    unsigned delay_ns_max; /* an answer takes up to so long, so answers overtake each other */
    unsigned busy_1_in;    /* the store does not take a request. 0: never */
};

/* On IO, which outlives it. */
struct server *server_fake_create(struct io *io, const struct server_fake_options *options);
void server_fake_destroy(struct server *server);

/* The part that was attached begins. */
void server_fake_start(struct server *server);

/* One turn: what is ready, what the store has answered, the part's turn. WAIT_NS at most passes. */
void server_fake_turn(struct server *server, uint64_t wait_ns);

/* Stop as the server does, and wait for all that is under way. */
void server_fake_stop(struct server *server);

/* Memory and views of the library that are held now. */
uint64_t server_fake_held(void);

#endif
