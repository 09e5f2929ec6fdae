/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls of the library that wait, or walk much: on threads aside. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "server/connections_private.h"
#include "wire/wire_service.h"

enum { LETTERS_MAX = 10000 };

static struct connection_request *request_of(struct aside_job *job)
{
    return (struct connection_request *)(void *)((uint8_t *)job -
                                                 offsetof(struct connection_request, job));
}

/* A list of metrics, written while they are told. */
struct metrics_list {
    struct wire_writer writer;
    struct buffer buffer;
};

static void note_metric(void *context, const struct stoa_metric *metric)
{
    struct metrics_list *list = context;
    wire_service_write_metric(&list->writer, metric);
}

/* The items, as one piece of memory. */
static int list_metrics(struct stoa *stoa, struct connection_request *request)
{
    struct metrics_list list = {.buffer = {.data = NULL}};
    wire_writer_begin(&list.writer, &list.buffer);
    int result = stoa_metrics_list(stoa, note_metric, &list);
    if (result == 0) {
        result = wire_writer_result(&list.writer);
    }
    if (result != 0) {
        buffer_deinit(&list.buffer);
        return result;
    }
    request->made = list.buffer.data; /* as stoa_free takes it */
    request->made_count = list.buffer.size;
    return 0;
}

static int list_letters(struct stoa *stoa, struct connection_request *request)
{
    size_t capacity = request->number < LETTERS_MAX ? (size_t)request->number : LETTERS_MAX;
    struct stoa_dead_letter *letters = memory_alloc_zeroed(capacity + 1, sizeof(*letters));
    size_t count;
    if (letters == NULL) {
        return STOA_ENOMEM;
    }
    int result = stoa_dead_letters_list(stoa, letters, capacity, &count);
    request->made = letters;
    request->made_count = result == 0 && count < capacity ? count : capacity;
    request->number = count;
    return result;
}

static void run_job(struct aside_job *job)
{
    struct connection_request *request = request_of(job);
    struct stoa *stoa = server_store(request->owner->server);
    struct stoa_detail *detail = &request->detail;
    struct stoa_block_changes *changes = NULL;
    char *text = NULL;
    switch (request->header.type) {
    case WIRE_SYNC:
        request->result = stoa_sync(stoa, detail);
        break;
    case WIRE_METRICS_TEXT:
        request->result = stoa_metrics_text(stoa, &text, &request->made_count);
        request->made = text;
        break;
    case WIRE_METRICS_LIST:
        request->result = list_metrics(stoa, request);
        break;
    case WIRE_DEAD_LETTERS_LIST:
        request->result = list_letters(stoa, request);
        break;
    case WIRE_DEAD_LETTERS_RETRY:
        request->result = stoa_dead_letters_retry(stoa, request->number, detail);
        break;
    case WIRE_DEAD_LETTERS_DROP:
        request->result = stoa_dead_letters_drop(stoa, request->number);
        break;
    case WIRE_DEAD_LETTERS_COUNT:
        request->counts = (struct stoa_dead_letter_counts)STOA_DEAD_LETTER_COUNTS_INIT;
        request->result = stoa_dead_letters_count(stoa, &request->counts);
        break;
    case WIRE_RESIZE_CACHE:
        request->result = stoa_resize_cache(stoa, request->number, detail);
        break;
    case WIRE_BLOCK_CHANGES:
        request->result = stoa_get_block_changes(stoa, &request->key, &changes, detail);
        request->made = changes;
        break;
    case WIRE_CANCEL:
        request->result = stoa_cancel(stoa, request->number);
        break;
    default:
        ensure(false);
    }
}

static void write_body(struct wire_writer *writer, const struct connection_request *request)
{
    const struct stoa_dead_letter *letters = request->made;
    struct wire_mark mark;
    switch (request->header.type) {
    case WIRE_METRICS_TEXT:
        wire_service_write_text(writer, request->made, request->made_count);
        break;
    case WIRE_METRICS_LIST:
        mark = wire_writer_list(writer);
        writer->result = writer->result != 0
                             ? writer->result
                             : buffer_append(writer->buffer, request->made, request->made_count);
        wire_writer_end(writer, mark);
        break;
    case WIRE_DEAD_LETTERS_LIST:
        wire_writer_u64(writer, request->number);
        mark = wire_writer_list(writer);
        for (size_t i = 0; i < request->made_count; i++) {
            wire_service_write_letter(writer, &letters[i]);
        }
        wire_writer_end(writer, mark);
        break;
    case WIRE_DEAD_LETTERS_COUNT:
        wire_service_write_counts(writer, &request->counts);
        break;
    case WIRE_BLOCK_CHANGES:
        wire_service_write_changes(writer, request->made);
        break;
    default:
        break;
    }
}

static void job_done(struct aside_job *job)
{
    struct connection_request *request = request_of(job);
    struct connection *connection = request->connection;
    if (connection == NULL) {
        connection_request_give(request);
        return;
    }
    struct wire_writer writer;
    struct wire_header header = {
        .type = request->header.type,
        .flags = WIRE_REPLY,
        .id = request->header.id,
        .deadline_ms = (uint32_t)request->result,
    };
    request->detail.code = request->result;
    if (request->result != 0 && request->detail.text[0] == '\0') {
        const char *text = stoa_strerror(request->result);
        memcpy(request->detail.text, text, strlen(text) + 1);
    }
    outbox_begin(&connection->outbox, &writer);
    struct wire_mark mark = wire_service_begin(&writer, &request->detail);
    if (request->result == 0) {
        write_body(&writer, request);
    }
    wire_service_end(&writer, mark);
    struct outbox_held held = {.memory = request->made};
    request->made = NULL;
    if (outbox_end(&connection->outbox, &writer, &header, held) != 0) {
        connection_close(connection);
    } else {
        connection_touch(connection);
    }
    connection_request_give(request);
}

/* What the store calls the request with the client's ID; 0: none is with the store. */
static uint64_t find_request(const struct connection *connection, uint64_t id)
{
    for (const struct connection_request *request = connection->requests; request != NULL;
         request = request->next) {
        if (request->header.id == id && request->with_store) {
            return request->base.store_id;
        }
    }
    return 0;
}

/* A request of a client that is gone, taken back. */
struct taking_back {
    struct aside_job job; /* first */
    struct stoa *stoa;
    uint64_t id;
};

static void take_back(struct aside_job *job)
{
    const struct taking_back *own = (struct taking_back *)(void *)job;
    (void)stoa_cancel(own->stoa, own->id); /* it may have ended by itself */
}

static void took_back(struct aside_job *job)
{
    memory_free(job);
}

void connection_take_back(const struct connection_request *request)
{
    struct taking_back *own = memory_alloc(sizeof(*own));
    if (own == NULL) {
        return; /* it ends by itself */
    }
    *own = (struct taking_back){.job = {.run = take_back, .done = took_back},
                                .stoa = server_store(request->owner->server),
                                .id = request->base.store_id};
    if (!request->with_store || !aside_begin(request->owner->aside, &own->job)) {
        memory_free(own);
    }
}

/* The request's one argument. */
static int read_argument(struct connection *connection, const struct wire_header *header,
                         struct bytes payload, struct connection_request *request,
                         struct error_detail *detail)
{
    if (header->type == WIRE_CANCEL) {
        request->number = find_request(connection, header->id);
        return request->number != 0 ? 0
                                    : error_set(detail, STOA_ENOTFOUND, "no such request is here");
    }
    if (header->type == WIRE_BLOCK_CHANGES) {
        struct wire_argument argument;
        int result =
            wire_argument_read(STOA_MESSAGE_GET_BLOCK, payload, &request->arena, &argument, detail);
        request->key = argument.as.key;
        return result;
    }
    return wire_service_read_number(payload, &request->number, detail);
}

int connection_serve_aside(struct connection *connection, const struct wire_header *header,
                           struct bytes payload, struct error_detail *detail)
{
    struct connections *owner = connection->owner;
    struct error_detail own = {.code = 0};
    uint64_t wait_ns;
    (void)detail; /* what is wrong here is answered */
    if (header->type != WIRE_CANCEL &&
        !clients_may_begin(connection->client, &owner->settings.limits, CONNECTION_COST_QUERY,
                           owner->now_ns, &wait_ns)) {
        owner->resume_ns = wait_ns < owner->resume_ns ? wait_ns : owner->resume_ns;
        return STOA_EBUSY;
    }
    struct connection_request *request = connection_request_take(
        connection, header, header->type == WIRE_CANCEL ? 0 : CONNECTION_COST_QUERY);
    if (request == NULL) {
        connection_refuse(connection, header, STOA_ENOMEM, "no memory for the request");
        return 0;
    }
    request->detail = (struct stoa_detail){.code = 0};
    request->job = (struct aside_job){.run = run_job, .done = job_done};
    int result = read_argument(connection, header, payload, request, &own);
    if (result != 0) {
        connection_request_give(request);
        connection_refuse(connection, header, result, own.text);
        return 0;
    }
    if (!aside_begin(owner->aside, &request->job)) {
        connection_request_give(request);
        owner->resume_ns = owner->resume_ns < 1000000 ? owner->resume_ns : 1000000;
        return STOA_EBUSY;
    }
    return 0;
}
