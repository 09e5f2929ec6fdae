/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/connections.h"

#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "server/connections_private.h"

enum {
    LOOK_NS = 200000000,    /* between two looks at what takes too long */
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
        uint64_t in = connection->closed ? 0 : connection->in.size;
        uint64_t out = connection->closed ? 0 : connection_queued(connection);
        ensure(client->queued_in >= connection->counted_in);
        ensure(client->queued_out >= connection->counted_out);
        client->queued_in += in - connection->counted_in;
        client->queued_out += out - connection->counted_out;
        connection->counted_in = in;
        connection->counted_out = out;
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

/* What CONNECTION has on the loop ends soon. */
static void give_up(struct connection *connection)
{
    struct io *io = server_io(connection->owner->server);
    sockets_shut_down(connection->fd);
    (void)io_cancel(io, &connection->receive); /* they need not be under way */
    (void)io_cancel(io, &connection->send);
    (void)io_cancel(io, &connection->hang_up);
}

void connection_close(struct connection *connection)
{
    struct connections *owner = connection->owner;
    if (connection->closed) {
        return;
    }
    connection->closed = true;
    give_up(connection);
    connection_abandon(connection);
    outbox_deinit(&connection->outbox);
    buffer_deinit(&connection->in);
    count_queue(connection);
    if (connection->client != NULL) {
        clients_leave(&owner->clients, connection->client, connection->reserved);
        connection->client = NULL;
    }
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
    pass_slot_on(owner);
}

/* One that ends while receiving is cancelled is settled again by its end. */
void connection_settle(struct connection *connection)
{
    struct io *io = server_io(connection->owner->server);
    bool listens = !connection->closed && connection->state != CONNECTION_ENDING;
    bool wanted = listens && !connection->waits;
    if (wanted && !connection->receive.pending) {
        io_submit(io, &connection->receive);
    } else if (!wanted) {
        (void)io_cancel(io, &connection->receive); /* it need not be under way */
    }
    if (listens && connection->waits && !connection->hang_up.pending) {
        io_submit(io, &connection->hang_up);
    }
}

void connection_end(struct connection *connection, int code, const char *text)
{
    if (connection->state == CONNECTION_ENDING || connection->closed) {
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
    connection_settle(connection);
    connection_touch(connection);
}

/* ---- the handshake ---- */

static void welcome(struct connection *connection)
{
    struct connections *owner = connection->owner;
    struct wire_welcome own = {
        .version = WIRE_VERSION,
        .features = connection->features,
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
    connection->features = hello.features & WIRE_FEATURES;
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
           !connection->closed) {
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
    if (connection->closed || connection->state == CONNECTION_ENDING) {
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
    connection_settle(connection);
}

/* Go on with what came before. */
static void take_kept(struct connection *connection)
{
    struct buffer *in = &connection->in;
    size_t taken = take_frames(connection, in->data, in->size);
    if (connection->closed || connection->state == CONNECTION_ENDING) {
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

/* SIZE bytes at DATA came. */
static void take_bytes(struct connection *connection, const uint8_t *data, size_t size)
{
    connection->owner->now_ns = io_now_ns(server_io(connection->owner->server));
    connection->received_ns = connection->owner->now_ns;
    connection->pinged = false;
    if (connection->in.size != 0) {
        if (buffer_append(&connection->in, data, size) != 0) {
            connection_end(connection, STOA_ENOMEM, "no memory for what came");
            return;
        }
        take_kept(connection);
        return;
    }
    size_t taken = take_frames(connection, data, size);
    connection->frame_ns = taken != 0 ? 0 : connection->frame_ns;
    keep_rest(connection, data + taken, size - taken);
}

void connection_received(struct io_request *request)
{
    struct connection *connection = request->context;
    if (connection->closed || connection->state == CONNECTION_ENDING) {
        return; /* nobody listens to it any more */
    }
    if (request->result > 0) {
        take_bytes(connection, request->data, (size_t)request->result);
    } else if (request->result == STOA_ECANCELED) {
        connection_settle(connection);
    } else {
        connection_close(connection);
    }
}

void connection_hung_up(struct io_request *request)
{
    struct connection *connection = request->context;
    if (request->result != STOA_ECANCELED && connection->waits) {
        connection_close(connection); /* what receives is told when all before was read */
    }
}

/* ---- writing ---- */

static void write_out(struct connection *connection)
{
    if (connection->closed || connection->send.pending) {
        return;
    }
    if (outbox_is_empty(&connection->sending)) {
        struct outbox empty = connection->sending;
        connection->sending = connection->outbox;
        connection->outbox = empty;
        connection->written_ns = connection->owner->now_ns;
    }
    count_queue(connection);
    if (!outbox_is_empty(&connection->sending)) {
        connection->send.part_count = outbox_parts(&connection->sending, connection->parts);
        io_submit(server_io(connection->owner->server), &connection->send);
    } else if (connection->state == CONNECTION_ENDING) {
        connection_close(connection);
    }
}

void connection_sent(struct io_request *request)
{
    struct connection *connection = request->context;
    if (request->result < 0) {
        connection_close(connection);
        return;
    }
    connection->owner->now_ns = io_now_ns(server_io(connection->owner->server));
    outbox_advance(&connection->sending, (size_t)request->result);
    connection->written_ns = connection->owner->now_ns;
    server_linger(connection->owner->server);
    if (!connection->closed) {
        connection_stream(connection);
        write_out(connection);
    }
}

/* Those that have something new; what that makes dirty again comes in the next turn. */
static bool write_dirty(struct connections *own)
{
    struct connection *connection = own->dirty;
    own->dirty = NULL;
    while (connection != NULL) {
        struct connection *next = connection->next_dirty;
        connection->dirty = false;
        if (!connection->closed) {
            connection_stream(connection);
            write_out(connection);
        }
        connection = next;
    }
    return own->dirty != NULL;
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
    if (connection->send.pending && now_ns - connection->written_ns > ms(settings->stall_ms)) {
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
        connections_listen(own);
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
        if (connection->dirty || connection->receive.pending || connection->send.pending ||
            connection->hang_up.pending) {
            at = &connection->next; /* it is in the list of this turn, or on the loop */
            continue;
        }
        *at = connection->next;
        sockets_close(connection->fd);
        outbox_deinit(&connection->sending);
        memory_free(connection);
    }
}

static uint64_t connections_turn(struct server_part *part, uint64_t now_ns)
{
    struct connections *own = part->context;
    own->now_ns = now_ns;
    aside_take(own->aside);
    connections_admit(own);
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

static void connections_start(struct server_part *part)
{
    connections_listen(part->context);
}

static void connections_stop(struct server_part *part)
{
    struct connections *own = part->context;
    own->stopping = true;
    own->now_ns = io_now_ns(server_io(own->server));
    for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
        (void)io_cancel(server_io(own->server), &own->listeners[i]); /* it may be paused */
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

static bool connections_close(struct server_part *part)
{
    struct connections *own = part->context;
    bool closed = true;
    while (own->first != NULL) {
        connection_close(own->first);
    }
    for (unsigned i = 0; i < CONNECTION_LISTENERS; i++) {
        closed = closed && !own->listeners[i].pending;
    }
    return closed && own->ended == NULL;
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
        .start = connections_start,
        .turn = connections_turn,
        .stop = connections_stop,
        .is_idle = connections_is_idle,
        .close = connections_close,
        .context = own,
    };
    connections_accept_init(own);
    int result = aside_create(server, &own->aside);
    if (result != 0) {
        (void)error_set(detail, result, "connections: threads"); /* returned */
    } else {
        result = connections_listen_at(own, path, address, detail);
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
    if (own->first != NULL || own->ended != NULL) {
        return; /* the loop broke, and what it has of them is left to the end of the process */
    }
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
        sockets_close(own->listeners[i].file);
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
