/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/connections.h"

#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "server/connections_private.h"

enum {
    LOOK_NS = 200000000,    /* between two looks at what takes too long */
    ACCEPTS_MAX = 64,       /* in a turn */
    IN_KEEP = 1 << 16,      /* memory that a connection without a frame keeps */
    ENDING_NS = 1000000000, /* to write why it is closed */
};

static uint64_t ms(uint32_t value)
{
    return (uint64_t)value * 1000000;
}

void connection_touch(struct connection *connection)
{
    if (!connection->dirty) {
        connection->dirty = true;
        connection->next_dirty = connection->owner->dirty;
        connection->owner->dirty = connection;
    }
}

/* What it holds counts in its client's queue. */
static void count_queue(struct connection *connection)
{
    struct client *client = connection->client;
    if (client != NULL) {
        ensure(client->queued_in >= connection->counted_in);
        ensure(client->queued_out >= connection->counted_out);
        client->queued_in += connection->in.size - connection->counted_in;
        client->queued_out += connection->outbox.size - connection->counted_out;
        connection->counted_in = connection->in.size;
        connection->counted_out = connection->outbox.size;
    }
}

/* A slot is free: one that has a slot kept for admins takes it, so that the next admin finds that.
 */
static void pass_slot_on(struct connections *own)
{
    for (struct connection *one = own->first; one != NULL; one = one->next) {
        if (one->reserved && clients_may_move(&own->clients, &own->settings.limits, one->client)) {
            clients_move(&own->clients);
            one->reserved = false;
            return;
        }
    }
}

void connection_close(struct connection *connection)
{
    struct connections *owner = connection->owner;
    if (connection->watch.fd < 0) {
        return;
    }
    net_watch_remove(server_net(owner->server), &connection->watch);
    sockets_close(connection->watch.fd);
    connection->watch.fd = -1;
    connection_abandon(connection);
    outbox_deinit(&connection->outbox);
    buffer_deinit(&connection->in);
    count_queue(connection);
    if (connection->client != NULL) {
        clients_leave(&owner->clients, connection->client, connection->reserved);
        connection->client = NULL;
    }
    pass_slot_on(owner);
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        owner->first = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    owner->count--;
    connection->next = owner->ended;
    owner->ended = connection;
}

void connection_end(struct connection *connection, int code, const char *text)
{
    if (connection->state == CONNECTION_ENDING || connection->watch.fd < 0) {
        return;
    }
    const struct event_field fields[] = {
        EVENT_NUMBER("client", connection->client == NULL ? 0 : connection->client->who),
        EVENT_TEXT("error", stoa_error_name(code)),
        EVENT_TEXT("detail", text),
    };
    event_say(server_events(connection->owner->server),
              code == STOA_ECLOSED ? EVENT_DEBUG : EVENT_WARNING, "connection_ended", fields, 3);
    connection->state = CONNECTION_ENDING;
    connection->opened_ns = connection->owner->now_ns;
    buffer_clear(&connection->in);
    size_t size = connection->outbox.bytes.size;
    if (wire_append_goodbye(&connection->outbox.bytes, code, text) == 0) {
        (void)outbox_note(&connection->outbox, connection->outbox.bytes.size - size); /* or not */
    }
    net_watch_want(server_net(connection->owner->server), &connection->watch, false,
                   connection->watch.wants_write);
    connection_touch(connection);
}

/* ---- the handshake ---- */

static void welcome(struct connection *connection)
{
    struct connections *owner = connection->owner;
    struct wire_welcome own = {
        .version = WIRE_VERSION,
        .role = connection->role,
        .payload_max = owner->settings.request_max,
        .requests_max = owner->settings.limits.requests,
        .idle_ms = owner->settings.idle_ms,
        .chain_id = owner->chain_id,
    };
    (void)snprintf(own.name, sizeof(own.name), "stoad %s", stoa_version());
    size_t size = connection->outbox.bytes.size;
    connection->state = CONNECTION_OPEN;
    if (wire_append_welcome(&connection->outbox.bytes, &own) != 0 ||
        outbox_note(&connection->outbox, connection->outbox.bytes.size - size) != 0) {
        connection_close(connection);
        return;
    }
    connection_touch(connection);
}

static void take_hello(struct connection *connection, struct bytes payload)
{
    struct wire_hello hello;
    struct error_detail detail = {.code = 0};
    struct wire_challenge challenge;
    if (wire_read_hello(payload, &hello, &detail) != 0) {
        connection_end(connection, STOA_EINVAL, "no greeting that can be read");
        return;
    }
    if (hello.version_least > WIRE_VERSION || hello.version_most < WIRE_VERSION) {
        connection_end(connection, STOA_EVERSION, "only version 1 of the protocol is spoken here");
        return;
    }
    memcpy(connection->client_nonce, hello.nonce, sizeof(hello.nonce));
    if (!connection->tcp) {
        welcome(connection);
        return;
    }
    size_t size = connection->outbox.bytes.size;
    bool random = sockets_random(challenge.nonce, sizeof(challenge.nonce));
    memcpy(connection->server_nonce, challenge.nonce, sizeof(challenge.nonce));
    connection->state = CONNECTION_PROOF;
    if (!random || wire_append_challenge(&connection->outbox.bytes, &challenge) != 0 ||
        outbox_note(&connection->outbox, connection->outbox.bytes.size - size) != 0) {
        connection_close(connection);
        return;
    }
    connection_touch(connection);
}

static void take_proof(struct connection *connection, struct bytes payload)
{
    const struct connections_settings *settings = &connection->owner->settings;
    uint8_t given[WIRE_PROOF_SIZE];
    uint8_t wanted[WIRE_PROOF_SIZE];
    struct error_detail detail = {.code = 0};
    wire_prove(bytes_of(settings->token, settings->token_size), connection->server_nonce,
               connection->client_nonce, wanted);
    if (settings->token_size == 0 || wire_read_proof(payload, given, &detail) != 0 ||
        !wire_proofs_equal(given, wanted)) {
        connection_end(connection, STOA_EPERM, "the token is another");
        return;
    }
    welcome(connection);
}

/* A whole frame. STOA_EBUSY: it has to wait. */
static int take_frame(struct connection *connection, const struct wire_header *header,
                      struct bytes payload)
{
    struct error_detail detail = {.code = 0};
    enum connection_state state = connection->state;
    if ((state == CONNECTION_HELLO && header->type != WIRE_HELLO) ||
        (state == CONNECTION_PROOF && header->type != WIRE_PROOF)) {
        connection_end(connection, STOA_EINVAL, "not what the handshake begins with");
        return 0;
    }
    if (state == CONNECTION_OPEN && header->type < WIRE_HELLO &&
        connection->client->requests >= connection->owner->settings.limits.requests) {
        return STOA_EBUSY; /* before all its bytes are looked at each time */
    }
    int result = wire_check_payload(header, payload, &detail);
    if (result == 0) {
        switch (state) {
        case CONNECTION_HELLO:
            take_hello(connection, payload);
            return 0;
        case CONNECTION_PROOF:
            take_proof(connection, payload);
            return 0;
        case CONNECTION_OPEN:
            result = connection_serve(connection, header, payload, &detail);
            break;
        case CONNECTION_ENDING:
            return 0;
        }
    }
    if (result != 0 && result != STOA_EBUSY) {
        connection_end(connection, result, detail.text);
        return 0;
    }
    return result;
}

/* ---- reading ---- */

/* Take the frames off the front of DATA. Returns how much was taken; what is left waits for more,
 * or for its turn (connection->waits). */
static size_t take_frames(struct connection *connection, const uint8_t *data, size_t size)
{
    size_t taken = 0;
    connection->waits = false;
    while (size - taken >= WIRE_HEADER_SIZE && connection->state != CONNECTION_ENDING &&
           connection->watch.fd >= 0) {
        struct wire_header header;
        struct error_detail detail = {.code = 0};
        uint32_t most = connection->state == CONNECTION_OPEN
                            ? connection->owner->settings.request_max
                            : WIRE_HELLO_MAX;
        if (wire_get_header(data + taken, &header, &detail) != 0) {
            connection_end(connection, STOA_EINVAL, detail.text);
            break;
        }
        if (header.size > most) {
            connection_end(connection, STOA_ETOOBIG, "a frame that is longer than may be");
            break;
        }
        if (size - taken - WIRE_HEADER_SIZE < header.size) {
            break;
        }
        struct bytes payload = bytes_of(data + taken + WIRE_HEADER_SIZE, header.size);
        if (take_frame(connection, &header, payload) == STOA_EBUSY) {
            connection->waits = true;
            break;
        }
        taken += WIRE_HEADER_SIZE + header.size;
    }
    return taken;
}

/* What is left after the frames were taken stays, and says whether to read on. */
static void keep_rest(struct connection *connection, const uint8_t *rest, size_t size)
{
    struct net *net = server_net(connection->owner->server);
    if (connection->watch.fd < 0 || connection->state == CONNECTION_ENDING) {
        return;
    }
    if (size != 0 && buffer_append(&connection->in, rest, size) != 0) {
        connection_end(connection, STOA_ENOMEM, "no memory for what came");
        return;
    }
    count_queue(connection);
    bool partial = connection->in.size != 0 && !connection->waits;
    connection->frame_ns = !partial                    ? 0
                           : connection->frame_ns != 0 ? connection->frame_ns
                                                       : connection->owner->now_ns;
    net_watch_want(net, &connection->watch, !connection->waits, connection->watch.wants_write);
}

/* Go on with what came before. */
static void take_kept(struct connection *connection)
{
    struct buffer *in = &connection->in;
    size_t taken = take_frames(connection, in->data, in->size);
    if (connection->watch.fd < 0 || connection->state == CONNECTION_ENDING) {
        return;
    }
    if (taken != 0) {
        connection->frame_ns = 0;
        memmove(in->data, in->data + taken, in->size - taken);
        in->size -= taken;
    }
    if (in->size == 0 && in->capacity > IN_KEEP) {
        buffer_deinit(in);
    }
    keep_rest(connection, NULL, 0);
}

static void connection_ready(struct net_watch *watch)
{
    struct connection *connection = watch->context;
    struct net *net = server_net(connection->owner->server);
    const uint8_t *data;
    ptrdiff_t size = net_receive(net, watch->fd, &data);
    if (size == STOA_EBUSY) {
        return;
    }
    if (size <= 0) {
        connection_close(connection);
        return;
    }
    connection->owner->now_ns = net_now_ns();
    connection->received_ns = connection->owner->now_ns;
    connection->pinged = false;
    if (connection->in.size != 0) {
        if (buffer_append(&connection->in, data, (size_t)size) != 0) {
            connection_end(connection, STOA_ENOMEM, "no memory for what came");
            return;
        }
        take_kept(connection);
        return;
    }
    size_t taken = take_frames(connection, data, (size_t)size);
    connection->frame_ns = taken != 0 ? 0 : connection->frame_ns;
    keep_rest(connection, data + taken, (size_t)size - taken);
}

/* ---- writing ---- */

static void write_out(struct connection *connection)
{
    struct net *net = server_net(connection->owner->server);
    uint64_t before = connection->outbox.size;
    int result = outbox_write(&connection->outbox, connection->watch.fd);
    if (result == STOA_EIO) {
        connection_close(connection);
        return;
    }
    bool empty = outbox_is_empty(&connection->outbox);
    if (empty || connection->outbox.size != before) {
        connection->written_ns = connection->owner->now_ns;
    }
    count_queue(connection);
    if (empty && connection->state == CONNECTION_ENDING) {
        connection_close(connection);
        return;
    }
    net_watch_want(net, &connection->watch, connection->watch.wants_read, !empty);
    if (connection->streams != NULL && connection->outbox.size < CONNECTION_STREAM_LOW) {
        connection_touch(connection); /* there are more parts */
    }
}

static void connection_writable(struct net_watch *watch)
{
    struct connection *connection = watch->context;
    connection->owner->now_ns = net_now_ns();
    connection_stream(connection);
    write_out(connection);
}

/* Those that have something new; what that makes dirty again comes in the next turn. */
static bool write_dirty(struct connections *own)
{
    struct connection *connection = own->dirty;
    own->dirty = NULL;
    while (connection != NULL) {
        struct connection *next = connection->next_dirty;
        connection->dirty = false;
        if (connection->watch.fd >= 0) {
            connection_stream(connection);
            write_out(connection);
        }
        connection = next;
    }
    return own->dirty != NULL;
}

/* ---- accepting ---- */

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
        .watch = {.fd = fd,
                  .ready = connection_ready,
                  .writable = connection_writable,
                  .context = connection},
        .owner = own,
        .tcp = tcp,
        .role = own->settings.role_tcp,
        .opened_ns = own->now_ns,
        .received_ns = own->now_ns,
        .written_ns = own->now_ns,
    };
    uint64_t who = (uint64_t)1 << CLIENTS_TCP_BIT;
    bool known = tcp || sockets_peer(fd, &peer) == 0;
    if (!tcp && known) {
        who = peer.user;
        connection->role = clients_role(own->settings.roles, own->settings.role_otherwise, &peer);
    }
    if (!known || net_watch_add(server_net(own->server), &connection->watch) != 0) {
        sockets_close(fd);
        memory_free(connection);
        return;
    }
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

static void listener_ready(struct net_watch *watch)
{
    struct connections *own = watch->context;
    int fd;
    own->now_ns = net_now_ns();
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int result = sockets_accept(watch->fd, &fd);
        if (result == STOA_ENOMEM) { /* no descriptors: look again in a while */
            net_watch_want(server_net(own->server), watch, false, false);
            own->listening_paused = true;
        }
        if (result != 0) {
            return;
        }
        enter(own, fd, watch == &own->listeners[1]);
    }
}

/* ---- turns ---- */

static void look_at(struct connection *connection)
{
    const struct connections_settings *settings = &connection->owner->settings;
    uint64_t now_ns = connection->owner->now_ns;
    if (connection->state == CONNECTION_ENDING) {
        if (now_ns - connection->opened_ns > ENDING_NS) {
            connection_close(connection);
        }
        return;
    }
    if (connection->state != CONNECTION_OPEN) {
        if (now_ns - connection->opened_ns > ms(settings->handshake_ms)) {
            connection_end(connection, STOA_ETIMEOUT, "the handshake took too long");
        }
        return;
    }
    if (connection->frame_ns != 0 && now_ns - connection->frame_ns > ms(settings->stall_ms)) {
        connection_end(connection, STOA_ETIMEOUT, "a frame took too long to come");
        return;
    }
    if (!outbox_is_empty(&connection->outbox) &&
        now_ns - connection->written_ns > ms(settings->stall_ms)) {
        connection_close(connection); /* nobody reads what it would be told */
        return;
    }
    uint64_t idle_ns = now_ns - connection->received_ns;
    if (connection->requests != NULL || connection->waits || settings->idle_ms == 0 ||
        idle_ns < ms(settings->idle_ms)) {
        return;
    }
    if (idle_ns > 2 * ms(settings->idle_ms)) {
        connection_end(connection, STOA_ETIMEOUT, "nothing came for too long");
    } else if (!connection->pinged) {
        const struct wire_header ping = {.type = WIRE_PING};
        size_t size = connection->outbox.bytes.size;
        connection->pinged = true;
        if (wire_append_empty(&connection->outbox.bytes, &ping) == 0 &&
            outbox_note(&connection->outbox, connection->outbox.bytes.size - size) == 0) {
            connection_touch(connection);
        }
    }
}

static void look(struct connections *own)
{
    if (own->now_ns - own->looked_ns < LOOK_NS) {
        return;
    }
    own->looked_ns = own->now_ns;
    for (struct connection *next, *connection = own->first; connection != NULL; connection = next) {
        next = connection->next;
        look_at(connection);
    }
    if (own->listening_paused && !own->stopping) {
        own->listening_paused = false;
        for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
            if (own->listeners[i].fd >= 0) {
                net_watch_want(server_net(own->server), &own->listeners[i], true, false);
            }
        }
    }
}

/* Connections whose frames wait may go on where their clients have less in flight. */
static void resume(struct connections *own)
{
    own->resume_ns = UINT64_MAX;
    for (struct connection *next, *connection = own->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->waits && connection->state == CONNECTION_OPEN) {
            take_kept(connection);
        }
    }
}

static void free_ended(struct connections *own)
{
    struct connection **at = &own->ended;
    while (*at != NULL) {
        struct connection *connection = *at;
        if (connection->dirty) { /* it is in the list of this turn */
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        memory_free(connection);
    }
}

static uint64_t connections_turn(struct server_part *part, uint64_t now_ns)
{
    struct connections *own = part->context;
    own->now_ns = now_ns;
    aside_take(own->aside);
    resume(own);
    bool more = write_dirty(own);
    look(own);
    more = own->dirty != NULL || more;
    free_ended(own);
    if (more) {
        return 0;
    }
    return own->resume_ns < LOOK_NS ? own->resume_ns : LOOK_NS;
}

static void connections_stop(struct server_part *part)
{
    struct connections *own = part->context;
    own->stopping = true;
    own->now_ns = net_now_ns();
    for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
        net_watch_remove(server_net(own->server), &own->listeners[i]);
    }
    if (own->path != NULL) {
        sockets_unlink(own->path);
    }
    for (struct connection *next, *connection = own->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->requests == NULL) {
            connection_end(connection, STOA_ECLOSED, "the server stops");
        }
    }
}

static bool connections_is_idle(struct server_part *part)
{
    struct connections *own = part->context;
    for (struct connection *next, *connection = own->first; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->requests == NULL) {
            connection_end(connection, STOA_ECLOSED, "the server stops");
        }
    }
    return own->count == 0 && own->request_count == 0;
}

/* ---- life ---- */

void connections_settings_deinit(struct connections_settings *settings)
{
    for (unsigned i = 0; i <= WIRE_ROLE_ADMIN; i++) {
        memory_free(settings->roles[i].users);
        memory_free(settings->roles[i].groups);
    }
    memory_free(settings->token);
    *settings = (struct connections_settings){.token = NULL};
}

static int listen_at(struct connections *own, const char *path, const char *address,
                     struct error_detail *detail)
{
    int result = 0;
    if (path != NULL) {
        own->path = memory_copy_text(path);
        result = own->path == NULL ? error_set(detail, STOA_ENOMEM, "%s", path)
                                   : sockets_listen_unix(path, &own->listeners[0].fd, detail);
        if (result != 0) {
            memory_free(own->path); /* it is not ours to remove */
            own->path = NULL;
        }
    }
    if (result == 0 && address != NULL) {
        result = sockets_listen_tcp(address, &own->listeners[1].fd, detail);
    }
    for (unsigned i = 0; result == 0 && i < CONNECTION_LISTENERS; i++) {
        own->listeners[i].ready = listener_ready;
        own->listeners[i].context = own;
        if (own->listeners[i].fd >= 0) {
            result = net_watch_add(server_net(own->server), &own->listeners[i]);
        }
    }
    return result;
}

int connections_create(struct server *server, const char *path, const char *address,
                       const struct connections_settings *settings,
                       struct connections **out_connections, struct error_detail *detail)
{
    struct connections *own = memory_alloc_zeroed(1, sizeof(*own));
    if (own == NULL) {
        return error_set(detail, STOA_ENOMEM, "connections");
    }
    struct stoa_head head = {.empty = 1};
    (void)stoa_get_head(server_store(server), &head); /* then the chain is not known */
    own->server = server;
    own->chain_id = head.chain_id;
    own->resume_ns = UINT64_MAX;
    own->part = (struct server_part){
        .name = "connections",
        .fd = -1,
        .turn = connections_turn,
        .stop = connections_stop,
        .is_idle = connections_is_idle,
        .context = own,
    };
    own->listeners[0].fd = -1;
    own->listeners[1].fd = -1;
    int result = aside_create(server_net(server), &own->aside);
    if (result != 0) {
        (void)error_set(detail, result, "connections: threads"); /* returned */
    } else {
        result = listen_at(own, path, address, detail);
    }
    if (result == 0) {
        result = server_attach(server, &own->part);
    }
    if (result != 0) {
        connections_destroy(own);
        return result;
    }
    own->settings = *settings;
    *out_connections = own;
    return 0;
}

void connections_destroy(struct connections *own)
{
    if (own == NULL) {
        return;
    }
    server_detach(&own->part);
    while (own->first != NULL) {
        connection_close(own->first);
    }
    while (own->dirty != NULL) {
        own->dirty->dirty = false;
        own->dirty = own->dirty->next_dirty;
    }
    free_ended(own);
    if (own->aside != NULL) {
        aside_finish(own->aside);
    }
    ensure(own->request_count == 0);
    while (own->free_requests != NULL) {
        struct connection_request *next = own->free_requests->next;
        arena_deinit(&own->free_requests->arena);
        memory_free(own->free_requests);
        own->free_requests = next;
    }
    for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
        net_watch_remove(server_net(own->server), &own->listeners[i]);
        sockets_close(own->listeners[i].fd);
    }
    if (own->path != NULL) {
        sockets_unlink(own->path);
    }
    aside_destroy(own->aside);
    connections_settings_deinit(&own->settings);
    memory_free(own->path);
    memory_free(own);
}

void connections_reload(struct connections *own, const struct connections_settings *settings)
{
    connections_settings_deinit(&own->settings);
    own->settings = *settings;
}
