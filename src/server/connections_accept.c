/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listening, and who is let in. */
#include "base/ensure.h"
#include "base/memory.h"
#include "server/connections_private.h"

/* Close the oldest connection that has not got through the handshake: those never keep others out.
 * False: there is none. */
static bool make_room(struct connections *own, const struct connection *newest)
{
    struct connection *oldest = NULL;
    for (struct connection *one = own->first; one != NULL; one = one->next) {
        bool half_open = one->state == CONNECTION_HELLO || one->state == CONNECTION_PROOF;
        if (one != newest && half_open && one->client != NULL) {
            oldest = one; /* newer ones stand before it */
        }
    }
    if (oldest != NULL) {
        connection_close(oldest);
    }
    return oldest != NULL;
}

static void enter_client(struct connection *connection, uint64_t who)
{
    struct connections *own = connection->owner;
    const char *why = NULL;
    bool admin = connection->role == WIRE_ROLE_ADMIN && !connection->tcp;
    do {
        connection->client = clients_enter(&own->clients, &own->settings.limits, who, admin,
                                           &connection->reserved, &why);
    } while (connection->client == NULL && make_room(own, connection));
    if (connection->client == NULL) {
        connection_end(connection, STOA_EBUSY, why);
    }
}

static void enter(struct connections *own, int fd, bool tcp)
{
    struct sockets_peer peer;
    struct connection *connection = memory_alloc_zeroed(1, sizeof(*connection));
    if (connection == NULL) {
        sockets_close(fd);
        return;
    }
    *connection = (struct connection){
        .fd = fd,
        .receive = {.op = IO_RECEIVE,
                    .file = fd,
                    .done = connection_received,
                    .context = connection},
        .send = {.op = IO_SEND,
                 .file = fd,
                 .parts = connection->parts,
                 .done = connection_sent,
                 .context = connection},
        .owner = own,
        .tcp = tcp,
        .role = own->settings.role_tcp,
        .opened_ns = own->now_ns,
        .received_ns = own->now_ns,
        .written_ns = own->now_ns,
    };
    uint64_t who = (uint64_t)1 << CLIENTS_TCP_BIT;
    if (!tcp && sockets_peer(fd, &peer) != 0) {
        sockets_close(fd);
        memory_free(connection);
        return;
    }
    if (!tcp) {
        who = peer.user;
        connection->role = clients_role(own->settings.roles, own->settings.role_otherwise, &peer);
    }
    sockets_tune(fd, tcp);
    connection_settle(connection);
    connection->next = own->first;
    if (own->first != NULL) {
        own->first->previous = connection;
    }
    own->first = connection;
    own->count++;
    if (connection->role == WIRE_ROLE_NONE) {
        connection_end(connection, STOA_EPERM, "this user has no role here");
        return;
    }
    enter_client(connection, who);
}

static void accepted(struct io_request *request)
{
    struct connections *own = request->context;
    own->now_ns = io_now_ns(server_io(own->server));
    if (request->result < 0) {
        own->listening_paused = true; /* no descriptors, for one: it goes on in a while */
    } else if (own->stopping) {
        sockets_close((int)request->result);
    } else {
        enter(own, (int)request->result, request == &own->listeners[1]);
    }
}

void connections_listen(struct connections *own)
{
    own->listening_paused = false;
    for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
        if (own->listeners[i].file >= 0 && !own->listeners[i].pending) {
            io_submit(server_io(own->server), &own->listeners[i]);
        }
    }
}

void connections_accept_init(struct connections *own)
{
    for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
        own->listeners[i] =
            (struct io_request){.op = IO_ACCEPT, .file = -1, .done = accepted, .context = own};
    }
}

int connections_listen_at(struct connections *own, const char *path, const char *address,
                          struct error_detail *detail)
{
    int result = 0;
    if (path != NULL) {
        own->path = memory_copy_text(path);
        result = own->path == NULL ? error_set(detail, STOA_ENOMEM, "%s", path)
                                   : sockets_listen_unix(path, &own->listeners[0].file, detail);
        if (result != 0) {
            memory_free(own->path); /* it is not ours to remove */
            own->path = NULL;
        }
    }
    if (result == 0 && address != NULL) {
        result = sockets_listen_tcp(address, &own->listeners[1].file, detail);
    }
    return result;
}
