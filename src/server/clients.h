/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clients.h: who is connected: a user of this machine, or all that come by TCP. Roles, and what
 * each may use at once over all of its connections. The loop's thread. */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/sockets.h"
#include "wire/wire.h"

/* Users and groups of a role. */
struct clients_list {
    uint32_t *users; /* owned; memory_free */
    size_t user_count;
    uint32_t *groups;
    size_t group_count;
};

struct clients_limits {
    unsigned connections;        /* of all */
    unsigned client_connections; /* of one client, as are the next */
    unsigned requests;           /* in flight; a query counts as several */
    uint64_t queued;             /* bytes, each way */
    unsigned rate;               /* requests a second, 0: any */
};

/* One client. */
struct client {
    uint64_t who;
    unsigned connections;
    unsigned requests;
    uint64_t queued_in;  /* bytes that came and are no request yet */
    uint64_t queued_out; /* bytes of answers that are not written */
    double tokens;       /* of the rate */
    uint64_t tokens_ns;
    struct client *next;
};

struct clients {
    struct client *first;
    unsigned connections; /* but for those in reserved slots */
    unsigned reserved;
};

enum { CLIENTS_TCP_BIT = 32, CLIENTS_ADMIN_SLOTS = 1 };

/* The role of PEER: the highest of those that name it; the daemon's own user and root are admins.
 */
enum wire_role clients_role(const struct clients_list lists[WIRE_ROLE_ADMIN + 1],
                            enum wire_role otherwise, const struct sockets_peer *peer);

/* A new connection of WHO: its client, or NULL with a text that says why not. Where all slots are
 * taken an admin gets one that is reserved for that. */
struct client *clients_enter(struct clients *clients, const struct clients_limits *limits,
                             uint64_t who, bool admin, bool *out_reserved, const char **out_why);
void clients_leave(struct clients *clients, struct client *client, bool reserved);

/* Whether a connection of CLIENT that has a reserved slot could have another by now; it has it. */
bool clients_may_move(const struct clients *clients, const struct clients_limits *limits,
                      const struct client *client);
void clients_move(struct clients *clients);

/* CLIENT has used less: it is forgotten where nothing is left of it. */
void clients_settle(struct clients *clients, struct client *client);

/* Whether CLIENT may begin a request of COST now; by rate it takes a token. *OUT_WAIT_NS: when to
 * ask again (UINT64_MAX: after an answer). */
bool clients_may_begin(struct client *client, const struct clients_limits *limits, unsigned cost,
                       uint64_t now_ns, uint64_t *out_wait_ns);

#endif
