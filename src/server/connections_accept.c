/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listening, and who is let in. */
#include "base/ensure.h"
#include "base/memory.h"
#include "server/connections_private.h"

/* Close the oldest connection that has not got through the handshake: those never keep others out.
 * False: there is none. */
static bool make_room(struct connections *own)
{
    struct connection *oldest = NULL;
    for (struct connection *one = own->first; one != NULL; one = one->next) {
        bool half_open = one->state == CONNECTION_HELLO || one->state == CONNECTION_PROOF;
        if (half_open && one->client != NULL) {
            oldest = one; /* newer ones stand before it */
        }
    }
    if (oldest != NULL) {
        connection_close(oldest);
    }
    return oldest != NULL;
}

/* False: all is taken, and *OUT_WHY says of what. */
static bool let_in(struct connection *connection, const char **out_why)
{
    struct connections *own = connection->owner;
    bool admin = connection->role == WIRE_ROLE_ADMIN && !connection->tcp;
    connection->client = clients_enter(&own->clients, &own->settings.limits, connection->who, admin,
                                       &connection->reserved, out_why);
    if (connection->client == NULL) {
        return false;
    }
    connection_settle(connection);
    return true;
}

/* Their ends may be told behind a newcomer that connected after them, or behind what they had sent.
 */
static void close_gone(struct connections *own)
{
    for (struct connection *next, *connection = own->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->client != NULL && sockets_is_gone(connection->fd)) {
            connection_close(connection);
        }
    }
}

void connections_admit(struct connections *own)
{
    struct connection *newcomer = own->newcomers;
    if (newcomer == NULL) {
        return;
    }
    own->newcomers = NULL;
    own->newcomers_end = &own->newcomers;
    close_gone(own);
    for (; newcomer != NULL; newcomer = newcomer->next_newcomer) {
        const char *why = NULL;
        bool in = newcomer->closed || newcomer->state != CONNECTION_HELLO; /* the server stops */
        do {
            in = in || let_in(newcomer, &why);
        } while (!in && make_room(own));
        if (!in) {
            connection_end(newcomer, STOA_EBUSY, why);
        }
    }
}

static void enter(struct connections *own, int fd, bool tcp)
{
    struct sockets_peer peer;
    const char *why; /* not yet */
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
        .hang_up = {.op = IO_HANG_UP,
                    .file = fd,
                    .done = connection_hung_up,
                    .context = connection},
        .owner = own,
        .tcp = tcp,
        .role = own->settings.role_tcp,
        .who = (uint64_t)1 << CLIENTS_TCP_BIT,
        .opened_ns = own->now_ns,
        .received_ns = own->now_ns,
        .written_ns = own->now_ns,
    };
    if (!tcp && sockets_peer(fd, &peer) != 0) {
        sockets_close(fd);
        memory_free(connection);
        return;
    }
    if (!tcp) {
        connection->who = peer.user;
        connection->role = clients_role(own->settings.roles, own->settings.role_otherwise, &peer);
    }
    sockets_tune(fd, tcp);
    connection->next = own->first;
    if (own->first != NULL) {
        own->first->previous = connection;
    }
    own->first = connection;
    own->count++;
    if (connection->role == WIRE_ROLE_NONE) {
        connection_end(connection, STOA_EPERM, "this user has no role here");
    } else if (!let_in(connection, &why)) {
        *own->newcomers_end = connection;
        own->newcomers_end = &connection->next_newcomer;
    }
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
    own->newcomers_end = &own->newcomers;
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
