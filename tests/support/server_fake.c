/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/server_fake.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "support/fixture.h"

enum { ANSWERS_MAX = 4096, STOP_TURNS_MAX = 1000000 };

/* A request that the store has, and what it will say. */
struct answer {
    struct server_request *request;
    uint8_t *value;
    size_t size;
    uint64_t due_ns;
};

struct server {
    struct io *io;
    struct server_fake_options options;
    uint64_t random;
    struct server_part *part;
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
    bool stopping;
};

static uint64_t held;

struct server *server_fake_create(struct io *io, const struct server_fake_options *options)
{
    struct server *server = memory_alloc_zeroed(1, sizeof(*server));
    ensure(server != NULL);
    server->io = io;
    server->options = *options;
    server->random = options->seed;
    return server;
}

void server_fake_destroy(struct server *server)
{
    ensure(server->answer_count == 0);
    ensure(server->part == NULL);
    memory_free(server);
}

void server_fake_start(struct server *server)
{
    server->part->start(server->part);
}

static void reap(struct server *server)
{
    for (size_t i = 0; i < server->answer_count;) {
        struct answer answer = server->answers[i];
        if (answer.due_ns > io_now_ns(server->io)) {
            i++;
            continue;
        }
        server->answers[i] = server->answers[--server->answer_count];
        struct stoa_completion completion = {.value = {answer.value, answer.size}};
        answer.request->done(answer.request, &completion);
    }
}

void server_fake_turn(struct server *server, uint64_t wait_ns)
{
    int ran = io_run(server->io, wait_ns);
    ensure(ran >= 0);
    reap(server);
    (void)server->part->turn(server->part, io_now_ns(server->io)); /* it is soon asked again */
}

void server_fake_stop(struct server *server)
{
    unsigned turns = 0;
    server->stopping = true;
    server->part->stop(server->part);
    while (server->answer_count != 0 || !server->part->is_idle(server->part)) {
        ensure(turns++ < STOP_TURNS_MAX);
        server_fake_turn(server, 1000000);
    }
    while (!server->part->close(server->part)) {
        ensure(turns++ < STOP_TURNS_MAX);
        server_fake_turn(server, 1000000);
    }
}

uint64_t server_fake_held(void)
{
    return held;
}

/* ---- server.h ---- */

int server_attach(struct server *server, struct server_part *part)
{
    ensure(server->part == NULL);
    part->server = server;
    server->part = part;
    return 0;
}

void server_detach(struct server_part *part)
{
    if (part->server != NULL) {
        part->server->part = NULL;
        part->server = NULL;
    }
}

void server_wake(struct server *server)
{
    io_wake(server->io);
}

int server_submit(struct server *server, enum stoa_message message, const void *argument,
                  const struct stoa_call *call, bool admin, struct server_request *request)
{
    const struct stoa_bytes *key = argument;
    (void)call;
    (void)admin;
    ensure(message == STOA_MESSAGE_GET_STATE);
    bool busy = server->options.busy_1_in != 0 &&
                fixture_random_below(&server->random, server->options.busy_1_in) == 0;
    if (busy || server->answer_count == ANSWERS_MAX) {
        return STOA_EBUSY;
    }
    uint8_t *value = memory_alloc(key->size + 1);
    ensure(value != NULL);
    held++;
    memcpy(value, key->data, key->size);
    uint64_t delay = fixture_random_below(&server->random, server->options.delay_ns_max + 1);
    server->answers[server->answer_count++] = (struct answer){
        .request = request,
        .value = value,
        .size = key->size,
        .due_ns = io_now_ns(server->io) + delay,
    };
    return 0;
}

void server_linger(struct server *server)
{
    (void)server; /* it does not sleep */
}

void server_forget(struct stoa_completion *completion)
{
    stoa_free((void *)(uintptr_t)completion->value.data);
}

struct stoa *server_store(struct server *server)
{
    (void)server;
    return NULL; /* the calls below do without */
}

struct io *server_io(struct server *server)
{
    return server->io;
}

const struct event_sink *server_events(struct server *server)
{
    (void)server;
    return NULL;
}

/* ---- what the connections use of stoa.h ---- */

const char *stoa_version(void)
{
    return "fake";
}

const char *stoa_message_name(enum stoa_message message)
{
    return message == STOA_MESSAGE_GET_STATE ? "GetState" : NULL;
}

void stoa_free(void *pointer)
{
    held -= pointer != NULL;
    memory_free(pointer);
}

void stoa_release(struct stoa_view *view)
{
    ensure(view == NULL);
}

int stoa_get_head(struct stoa *stoa, struct stoa_head *out_head)
{
    (void)stoa;
    if (out_head == NULL) {
        return STOA_EINVAL; /* as the library's */
    }
    *out_head = (struct stoa_head){.chain_id = 1};
    return 0;
}

int stoa_sync(struct stoa *stoa, struct stoa_detail *detail)
{
    (void)stoa;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_metrics_text(struct stoa *stoa, char **out_text, size_t *out_size)
{
    (void)stoa;
    (void)out_text;
    (void)out_size;
    return STOA_ENOTSUP;
}

int stoa_metrics_list(struct stoa *stoa,
                      void (*each)(void *context, const struct stoa_metric *metric), void *context)
{
    (void)stoa;
    (void)each;
    (void)context;
    return STOA_ENOTSUP;
}

int stoa_dead_letters_list(struct stoa *stoa, struct stoa_dead_letter *out, size_t capacity,
                           size_t *out_count)
{
    (void)stoa;
    (void)out;
    (void)capacity;
    (void)out_count;
    return STOA_ENOTSUP;
}

int stoa_dead_letters_count(struct stoa *stoa, struct stoa_dead_letter_counts *out_counts)
{
    (void)stoa;
    (void)out_counts;
    return STOA_ENOTSUP;
}

int stoa_dead_letters_retry(struct stoa *stoa, uint64_t id, struct stoa_detail *detail)
{
    (void)stoa;
    (void)id;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_dead_letters_drop(struct stoa *stoa, uint64_t id)
{
    (void)stoa;
    (void)id;
    return STOA_ENOTSUP;
}

int stoa_resize_cache(struct stoa *stoa, uint64_t size, struct stoa_detail *detail)
{
    (void)stoa;
    (void)size;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_get_block_changes(struct stoa *stoa, const struct stoa_block_key *key,
                           struct stoa_block_changes **out, struct stoa_detail *detail)
{
    (void)stoa;
    (void)key;
    (void)out;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_cancel(struct stoa *stoa, uint64_t correlation_id)
{
    (void)stoa;
    (void)correlation_id;
    return STOA_ENOTSUP;
}
