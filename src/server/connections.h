/* SPDX-License-Identifier: GPL-3.0-or-later */
/* connections.h: the wire protocol, stoa-protocol(7), as a part of the server: sockets that are
 * listened at, connections, the requests of each and their replies.
 *
 * What has come is cut into frames; each is read, submitted to the store, and answered whenever the
 * store has the answer. Where a client has as much in flight, queued or sent as it may, its
 * connections are not read until it has less: it feels that as a full socket. Frames that came
 * already wait in the connection meanwhile. Calls that wait go to threads aside.
 *
 * A connection is ended with a reason, where there is one: a handshake, a frame or a reply that
 * does not move on in its time, no frame for twice the idle time, what is no frame. What it still
 * has with the store goes on there; its answers are dropped. Where there is no room for a new
 * connection the oldest that has not got through the handshake makes some. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include "server/clients.h"
#include "server/server.h"

struct connections;

struct connections_settings {
    struct clients_limits limits;
    struct clients_list roles[WIRE_ROLE_ADMIN + 1];
    enum wire_role role_otherwise; /* of a user who may connect and is in no list */
    enum wire_role role_tcp;
    uint32_t request_max;  /* bytes of a frame */
    uint32_t handshake_ms; /* until it is done */
    uint32_t idle_ms;
    uint32_t stall_ms; /* until a frame that began is there, or a reply moved on */
    uint8_t *token;    /* owned; memory_free */
    size_t token_size;
};

/* Listen at PATH (may be NULL) and ADDRESS (may be NULL; then there is a token). SETTINGS are taken
 * over, also their memory, where this succeeds. */
int connections_create(struct server *server, const char *path, const char *address,
                       const struct connections_settings *settings,
                       struct connections **out_connections, struct error_detail *detail);

/* The server's thread has ended, or never began. NULL is allowed. */
void connections_destroy(struct connections *connections);

/* On the loop's thread: other settings from now on; the old ones' memory is freed. */
void connections_reload(struct connections *connections,
                        const struct connections_settings *settings);

void connections_settings_deinit(struct connections_settings *settings);

#endif
