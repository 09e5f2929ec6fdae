/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests of open connections, and their replies. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "server/connections_private.h"
#include "wire/wire_service.h"

/* ---- requests ---- */

struct connection_request *connection_request_take(struct connection *connection,
                                                   const struct wire_header *header, unsigned cost)
{
    struct connections *owner = connection->owner;
    struct connection_request *request = owner->free_requests;
    if (request != NULL) {
        owner->free_requests = request->next;
    } else {
        request = memory_alloc_zeroed(1, sizeof(*request));
        if (request == NULL) {
            return NULL;
        }
        arena_init(&request->arena);
    }
    request->owner = owner;
    request->connection = connection;
    request->client = connection->client;
    request->header = *header;
    request->cost = cost;
    request->previous = NULL;
    request->next = connection->requests;
    if (request->next != NULL) {
        request->next->previous = request;
    }
    connection->requests = request;
    connection->client->requests += cost;
    owner->request_count++;
    return request;
}

static void leave_connection(struct connection_request *request)
{
    struct connection *connection = request->connection;
    if (connection == NULL) {
        return;
    }
    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        connection->requests = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
    request->connection = NULL;
}

/* What is left of a stream's answer. */
static void drop_stream(struct connection_request *request)
{
    if (request->streamed == NULL) {
        return;
    }
    for (size_t i = request->streamed_next; i < request->streamed->block_count; i++) {
        stoa_release(request->streamed->blocks[i].view);
    }
    stoa_free(request->streamed->blocks);
    memory_free(request->streamed);
    request->streamed = NULL;
}

void connection_request_give(struct connection_request *request)
{
    struct connections *owner = request->owner;
    struct client *client = request->client;
    leave_connection(request);
    drop_stream(request);
    memory_free(request->payload);
    stoa_free(request->made);
    request->payload = NULL;
    request->made = NULL;
    arena_reset(&request->arena);
    ensure(client->requests >= request->cost);
    client->requests -= request->cost;
    clients_settle(&owner->clients, client);
    owner->request_count--;
    request->with_store = false;
    request->next = owner->free_requests;
    owner->free_requests = request;
}

void connection_refuse(struct connection *connection, const struct wire_header *header, int result,
                       const char *text)
{
    struct wire_writer writer;
    struct wire_header reply = {
        .type = header->type,
        .flags = WIRE_REPLY,
        .id = header->id,
        .deadline_ms = (uint32_t)result,
    };
    outbox_begin(&connection->outbox, &writer);
    wire_reply_write_error(&writer, STOA_EFFECT_NONE, text);
    if (outbox_end(&connection->outbox, &writer, &reply, (struct outbox_held){NULL, NULL}) != 0) {
        connection_close(connection); /* it would wait for ever */
        return;
    }
    connection_touch(connection);
}

/* ---- answers ---- */

/* What a reply's cuts point into; the rest of COMPLETION is given back. */
static struct outbox_held hold(struct stoa_completion *completion)
{
    struct outbox_held held = {NULL, NULL};
    switch ((int)wire_message_reply(completion->message)) {
    case WIRE_REPLY_BLOCK:
        held.view = completion->block.view;
        completion->block.view = NULL;
        break;
    case WIRE_REPLY_TRANSACTION:
        held.view = completion->transaction.block.view;
        completion->transaction.block.view = NULL;
        break;
    case WIRE_REPLY_VALUE:
        held.memory = (void *)(uintptr_t)completion->value.data;
        completion->value.data = NULL;
        break;
    default:
        break;
    }
    return held;
}

/* Of a transaction no more than what was asked for is sent, also where its block was at hand. */
static void leave_parts(unsigned parts, struct stoa_transaction *own)
{
    static const struct stoa_bytes none = {.data = NULL};
    if (parts == 0) {
        return;
    }
    own->block.block = none;
    own->block.receipts = none;
    own->block.senders = none;
    own->block.envelope = none;
    own->block.receipts_pruned = 0;
    own->transaction = (parts & STOA_PART_TRANSACTION) != 0 ? own->transaction : none;
    own->receipt = (parts & STOA_PART_RECEIPT) != 0 ? own->receipt : none;
    own->sender = (parts & STOA_PART_SENDER) != 0 ? own->sender : NULL;
}

static unsigned parts_of(const struct wire_header *header)
{
    unsigned parts = (header->flags & (unsigned)WIRE_PARTS) >> WIRE_PARTS_SHIFT;
    return parts != 0 && header->type == STOA_MESSAGE_GET_RECEIPT ? parts | STOA_PART_RECEIPT
                                                                  : parts;
}

static void reply(struct connection *connection, const struct wire_header *header,
                  struct stoa_completion *completion)
{
    struct wire_writer writer;
    struct wire_header own = {
        .type = header->type,
        .flags = WIRE_REPLY,
        .id = header->id,
        .deadline_ms = (uint32_t)completion->result,
    };
    completion->message = (enum stoa_message)header->type;
    leave_parts(parts_of(header), &completion->transaction);
    outbox_begin(&connection->outbox, &writer);
    wire_reply_write(&writer, completion, 0);
    struct outbox_held held = hold(completion);
    int result = outbox_end(&connection->outbox, &writer, &own, held);
    server_forget(completion);
    if (result == STOA_ETOOBIG) {
        connection_refuse(connection, header, result, "the answer is too big for a frame");
    } else if (result != 0) {
        connection_close(connection);
    } else {
        connection_touch(connection);
    }
}

/* Begin to stream a range; false: no memory, nothing was taken. */
static bool begin_stream(struct connection_request *request, struct stoa_completion *completion)
{
    struct stoa_completion *own = memory_alloc(sizeof(*own));
    if (own == NULL) {
        return false;
    }
    *own = *completion;
    request->streamed = own;
    request->streamed_next = 0;
    request->with_store = false;
    /* Behind those that stream already. */
    struct connection_request **at = &request->connection->streams;
    while (*at != NULL) {
        at = &(*at)->next_stream;
    }
    request->next_stream = NULL;
    *at = request;
    connection_touch(request->connection);
    return true;
}

static void request_done(struct server_request *base, struct stoa_completion *completion)
{
    struct connection_request *request = (struct connection_request *)(void *)base;
    struct connection *connection = request->connection;
    if (connection == NULL) {
        server_forget(completion);
    } else if (completion->result == 0 && completion->block_count != 0) {
        if (begin_stream(request, completion)) {
            return;
        }
        server_forget(completion);
        connection_close(connection);
    } else {
        reply(connection, &request->header, completion);
    }
    connection_request_give(request);
}

/* One more block of REQUEST, or its end. False: the connection was closed. */
static bool stream_one(struct connection *connection, struct connection_request *request)
{
    struct wire_writer writer;
    struct stoa_completion *own = request->streamed;
    struct stoa_block *block = &own->blocks[request->streamed_next++];
    bool last = request->streamed_next == own->block_count;
    struct wire_header header = {
        .type = request->header.type,
        .flags = last ? WIRE_REPLY : WIRE_REPLY | WIRE_MORE,
        .id = request->header.id,
    };
    outbox_begin(&connection->outbox, &writer);
    if (last) {
        wire_reply_write(&writer, own, request->streamed_next - 1);
    } else {
        wire_reply_write_part(&writer, block, 1);
    }
    struct outbox_held held = {.view = block->view};
    if (outbox_end(&connection->outbox, &writer, &header, held) != 0) {
        connection_close(connection);
        return false;
    }
    return true;
}

void connection_stream(struct connection *connection)
{
    while (connection->streams != NULL && connection_queued(connection) < CONNECTION_STREAM_LOW) {
        struct connection_request *request = connection->streams;
        if (!stream_one(connection, request)) {
            return;
        }
        if (request->streamed_next == request->streamed->block_count) {
            connection->streams = request->next_stream;
            connection_request_give(request);
        }
    }
}

void connection_abandon(struct connection *connection)
{
    while (connection->streams != NULL) {
        struct connection_request *request = connection->streams;
        connection->streams = request->next_stream;
        connection_request_give(request);
    }
    while (connection->requests != NULL) {
        struct connection_request *request = connection->requests;
        unsigned type = request->header.type;
        leave_connection(request);
        if (type == STOA_MESSAGE_VERIFY || type == STOA_MESSAGE_ANALYZE_STORE) {
            connection_take_back(request); /* they hold all else up, and nobody waits for them */
        }
    }
}

/* ---- frames ---- */

static unsigned cost_of(unsigned type)
{
    switch ((int)wire_message_reply(type)) {
    case WIRE_REPLY_BLOCKS:
    case WIRE_REPLY_HEADERS:
    case WIRE_REPLY_LOGS:
    case WIRE_REPLY_HISTORY:
    case WIRE_REPLY_PROOF:
        return CONNECTION_COST_QUERY;
    default:
        return 1;
    }
}

static int submit(struct connection *connection, struct connection_request *request,
                  struct bytes payload, struct error_detail *detail)
{
    struct wire_argument argument;
    const struct wire_header *header = &request->header;
    enum stoa_message message = (enum stoa_message)header->type;
    enum wire_argument_shape shape = wire_message_argument(message);
    bool keeps = shape == WIRE_ARGUMENT_BLOCK || shape == WIRE_ARGUMENT_RECEIPTS ||
                 shape == WIRE_ARGUMENT_UPDATE || shape == WIRE_ARGUMENT_BATCH ||
                 shape == WIRE_ARGUMENT_LOG_FILTER;
    if (keeps) {
        request->payload = memory_alloc(payload.size);
        if (request->payload == NULL) {
            return error_set(detail, STOA_ENOMEM, "no memory for the request");
        }
        memcpy(request->payload, payload.data, payload.size);
        payload.data = request->payload;
    }
    int result = wire_argument_read(message, payload, &request->arena, &argument, detail);
    if (result != 0) {
        return result;
    }
    ensure(!argument.borrows || keeps);
    struct stoa_call call = STOA_CALL_INIT;
    call.priority = header->priority;
    call.durability = (header->flags & WIRE_BUFFERED) != 0 ? STOA_BUFFERED : STOA_DURABLE;
    call.deadline_ms = header->deadline_ms;
    call.flags = (header->flags & WIRE_NO_RETRY) != 0 ? STOA_CALL_NO_RETRY : 0;
    call.parts = parts_of(header);
    request->base.done = request_done;
    request->with_store = true;
    result = server_submit(connection->owner->server, message, argument.pointer, &call,
                           connection->role == WIRE_ROLE_ADMIN, &request->base);
    return result == 0 ? 0 : error_set(detail, result, "%s", stoa_strerror(result));
}

static int serve_message(struct connection *connection, const struct wire_header *header,
                         struct bytes payload)
{
    struct error_detail detail = {.code = 0};
    uint64_t wait_ns;
    unsigned cost = cost_of(header->type);
    struct connections *owner = connection->owner;
    if (!clients_may_begin(connection->client, &owner->settings.limits, cost, owner->now_ns,
                           &wait_ns)) {
        owner->resume_ns = wait_ns < owner->resume_ns ? wait_ns : owner->resume_ns;
        return STOA_EBUSY;
    }
    struct connection_request *request = connection_request_take(connection, header, cost);
    if (request == NULL) {
        connection_refuse(connection, header, STOA_ENOMEM, "no memory for the request");
        return 0;
    }
    int result = submit(connection, request, payload, &detail);
    if (result != 0) {
        connection_request_give(request);
        if (result == STOA_EBUSY) {
            owner->resume_ns = owner->resume_ns < 1000000 ? owner->resume_ns : 1000000;
            return STOA_EBUSY;
        }
        connection_refuse(connection, header, result, detail.text);
    }
    return 0;
}

static int serve_ping(struct connection *connection, const struct wire_header *header)
{
    if ((header->flags & WIRE_REPLY) != 0) {
        return 0; /* to ours */
    }
    struct wire_header reply_header = {.type = WIRE_PING, .flags = WIRE_REPLY, .id = header->id};
    size_t size = connection->outbox.bytes.size;
    if (wire_append_empty(&connection->outbox.bytes, &reply_header) != 0 ||
        outbox_note(&connection->outbox, connection->outbox.bytes.size - size) != 0) {
        connection_close(connection);
        return 0;
    }
    connection_touch(connection);
    return 0;
}

int connection_serve(struct connection *connection, const struct wire_header *header,
                     struct bytes payload, struct error_detail *detail)
{
    bool message = wire_message_argument(header->type) != WIRE_ARGUMENT_UNKNOWN;
    bool service = header->type >= WIRE_SYNC && header->type < WIRE_SERVICE_END;
    if (header->type == WIRE_PING) {
        return serve_ping(connection, header);
    }
    if ((header->flags & (WIRE_REPLY | WIRE_MORE)) != 0) {
        return error_set(detail, STOA_EINVAL, "a client sends no replies");
    }
    if (connection->owner->stopping) {
        connection_refuse(connection, header, STOA_ECLOSED, "the server stops");
        return 0;
    }
    if (!message && !service && header->type != WIRE_CANCEL) {
        connection_refuse(connection, header, STOA_ENOTSUP, "this is not served here");
        return 0;
    }
    if (wire_message_role(header->type) > connection->role) {
        connection_refuse(connection, header, STOA_EPERM, "the client's role does not allow that");
        return 0;
    }
    if (header->priority > STOA_PRIORITY_CRITICAL) {
        connection_refuse(connection, header, STOA_EINVAL, "there is no such priority");
        return 0;
    }
    return message ? serve_message(connection, header, payload)
                   : connection_serve_aside(connection, header, payload, detail);
}
