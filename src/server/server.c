/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/server.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"

enum {
    SERVER_REAP = 64,           /* completions taken at once */
    SERVER_ADMIN_RESERVE = 256, /* requests on top of SERVER_UNDER_WAY_MAX */
    ALIVE_NS = 1000000000,
    DRAIN_NS = 10000000, /* between two looks while it ends */
    RING_ENTRIES = 512,
};

/* What another thread wants run on the loop. */
struct server_call {
    void (*run)(void *context);
    void *context;
    int result;
    sem_t answered;
    struct server_call *next;
};

struct server {
    struct server_options options;
    struct io *io; /* the thread's, while it runs; others wake it under the mutex */
    struct io_request completions;
    struct server_part *parts[SERVER_PARTS_MAX];
    unsigned part_count;
    unsigned under_way;
    uint64_t next_id;
    uint64_t alive_ns;
    bool stopping;
    bool lingers;
    bool closing; /* nothing is polled any more */
    struct stoa_completion reaped[SERVER_REAP];

    pthread_t thread;
    bool started;
    int result;
    sem_t ready;                /* the loop is there, or not, as the next three say */
    struct error_detail detail; /* of making it */
    const char *io_name;
    char io_features[sizeof(((struct io *)NULL)->features)];
    atomic_bool stop_wanted; /* relaxed: the wake that follows orders it */

    pthread_mutex_t mutex; /* of the next two, and of wakes */
    struct server_call *calls;
    bool ended;
};

static void reap(struct server *server)
{
    int count;
    do {
        count = stoa_reap(server->options.stoa, server->reaped, SERVER_REAP, 0);
        for (int i = 0; i < count; i++) {
            struct stoa_completion *completion = &server->reaped[i];
            struct server_request *request = (struct server_request *)(uintptr_t)completion->tag;
            ensure(server->under_way != 0);
            server->under_way--;
            request->done(request, completion);
        }
    } while (count == SERVER_REAP);
}

static void poll_for(struct server *server, struct io_request *request)
{
    if (!server->closing) {
        io_submit(server->io, request);
    }
}

/* True: what REQUEST polled can be read. A loop that cannot poll is broken. */
static bool is_ready(struct server *server, const struct io_request *request)
{
    if (request->result < 0 && request->result != STOA_ECANCELED) {
        server->result = (int)request->result;
    }
    return request->result >= 0 && !server->closing;
}

static void completions_polled(struct io_request *request)
{
    struct server *server = request->context;
    if (is_ready(server, request)) {
        reap(server);
        poll_for(server, request);
    }
}

static void part_polled(struct io_request *request)
{
    struct server_part *part = request->context;
    if (is_ready(part->server, request)) {
        part->ready(part);
        poll_for(part->server, request);
    }
}

int server_create(const struct server_options *options, struct server **out_server,
                  struct error_detail *detail)
{
    ensure(options->stoa != NULL);
    struct server *server = memory_alloc_zeroed(1, sizeof(*server));
    if (server == NULL) {
        return error_set(detail, STOA_ENOMEM, "server");
    }
    server->options = *options;
    server->next_id = 1;
    atomic_init(&server->stop_wanted, false);
    pthread_mutex_init(&server->mutex, NULL);
    sem_init(&server->ready, 0, 0);
    int fd = stoa_completion_fd(options->stoa);
    server->completions = (struct io_request){
        .op = IO_POLL, .file = fd, .done = completions_polled, .context = server};
    if (fd < 0) {
        server_destroy(server);
        return error_set(detail, fd, "server: completions");
    }
    *out_server = server;
    return 0;
}

void server_destroy(struct server *server)
{
    if (server == NULL) {
        return;
    }
    ensure(!server->started);
    sem_destroy(&server->ready);
    pthread_mutex_destroy(&server->mutex);
    memory_free(server);
}

int server_attach(struct server *server, struct server_part *part)
{
    ensure(!server->started);
    if (server->part_count == SERVER_PARTS_MAX) {
        return STOA_EBUSY;
    }
    part->server = server;
    server->parts[server->part_count++] = part;
    return 0;
}

void server_detach(struct server_part *part)
{
    struct server *server = part->server;
    if (server == NULL) {
        return;
    }
    ensure(!server->started);
    unsigned kept = 0;
    for (unsigned i = 0; i < server->part_count; i++) {
        if (server->parts[i] != part) {
            server->parts[kept++] = server->parts[i];
        }
    }
    ensure(kept + 1 == server->part_count);
    server->part_count = kept;
    part->server = NULL;
}

static void run_calls(struct server *server, int result)
{
    pthread_mutex_lock(&server->mutex);
    struct server_call *call = server->calls;
    server->calls = NULL;
    pthread_mutex_unlock(&server->mutex);
    while (call != NULL) {
        struct server_call *next = call->next;
        if (result == 0) {
            call->run(call->context);
        }
        call->result = result;
        sem_post(&call->answered);
        call = next;
    }
}

/* Each part's turn; how long the loop may sleep. */
static uint64_t turn_parts(struct server *server)
{
    uint64_t now_ns = io_now_ns(server->io);
    uint64_t wait_ns = ALIVE_NS;
    if (now_ns - server->alive_ns >= ALIVE_NS) {
        server->alive_ns = now_ns;
        if (server->options.alive != NULL) {
            server->options.alive(server->options.alive_context);
        }
    }
    for (unsigned i = 0; i < server->part_count; i++) {
        struct server_part *part = server->parts[i];
        uint64_t wanted = part->turn == NULL ? UINT64_MAX : part->turn(part, now_ns);
        wait_ns = wanted < wait_ns ? wanted : wait_ns;
    }
    return wait_ns;
}

static bool is_idle(struct server *server)
{
    bool idle = server->under_way == 0;
    for (unsigned i = 0; idle && i < server->part_count; i++) {
        idle = server->parts[i]->is_idle == NULL || server->parts[i]->is_idle(server->parts[i]);
    }
    return idle;
}

/* Wait for what is ready, WAIT_NS at most, and serve it. */
static void turn_loop(struct server *server, uint64_t wait_ns)
{
    bool lingers = server->lingers && server->under_way == 0; /* the store takes its time */
    server->lingers = false;
    int ran = lingers ? io_run_lingering(server->io, wait_ns) : io_run(server->io, wait_ns);
    server->result = ran < 0 ? ran : server->result;
    run_calls(server, 0);
}

/* End all that is on the loop; False: something is still under way. */
static bool close_all(struct server *server)
{
    server->closing = true;
    (void)io_cancel(server->io, &server->completions); /* it may not be polled just now */
    bool closed = !server->completions.pending;
    for (unsigned i = 0; i < server->part_count; i++) {
        struct server_part *part = server->parts[i];
        (void)io_cancel(server->io, &part->poll);
        closed = (part->close == NULL || part->close(part)) && !part->poll.pending && closed;
    }
    return closed;
}

/* No new work; what is under way has until then, and what takes long in the store ends at once.
 * Requests that still are with the store after that are waited for as well: their memory is theirs.
 */
static void run_end(struct server *server)
{
    server->stopping = true;
    for (unsigned i = 0; i < server->part_count; i++) {
        struct server_part *part = server->parts[i];
        if (part->stop != NULL) {
            part->stop(part);
        }
    }
    uint64_t end_ns = io_now_ns(server->io) + (uint64_t)server->options.stop_ms * 1000000;
    stoa_prepare_close(server->options.stoa); /* what takes long is not waited for */
    while (server->result == 0 &&
           (server->under_way != 0 || (!is_idle(server) && io_now_ns(server->io) < end_ns))) {
        uint64_t wait_ns = turn_parts(server);
        turn_loop(server, wait_ns < DRAIN_NS ? wait_ns : DRAIN_NS);
    }
    while (server->result == 0 && !close_all(server)) {
        uint64_t wait_ns = turn_parts(server);
        turn_loop(server, wait_ns < DRAIN_NS ? wait_ns : DRAIN_NS);
    }
}

/* The loop is this thread's. False: there is none. */
static bool make_loop(struct server *server)
{
    struct io_options options = {
        .backend = server->options.io, .entries = RING_ENTRIES, .sockets = true};
    struct io *io = NULL;
    server->result = io_create(&options, &io, &server->detail);
    if (server->result == 0) {
        server->io_name = io->ops->name;
        memcpy(server->io_features, io->features, sizeof(server->io_features));
        pthread_mutex_lock(&server->mutex);
        server->io = io;
        pthread_mutex_unlock(&server->mutex);
    }
    sem_post(&server->ready);
    return server->result == 0;
}

static void drop_loop(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    struct io *io = server->io;
    server->io = NULL;
    pthread_mutex_unlock(&server->mutex);
    if (server->result == 0) {
        io_destroy(io);
    } /* else it is broken, and what it has is the kernel's until the process ends */
}

static void *run_thread(void *context)
{
    struct server *server = context;
    if (!make_loop(server)) {
        return NULL;
    }
    poll_for(server, &server->completions);
    for (unsigned i = 0; i < server->part_count; i++) {
        struct server_part *part = server->parts[i];
        if (part->fd >= 0) {
            poll_for(server, &part->poll);
        }
        if (part->start != NULL) {
            part->start(part);
        }
    }
    while (server->result == 0 &&
           !atomic_load_explicit(&server->stop_wanted, memory_order_relaxed)) {
        turn_loop(server, turn_parts(server));
        reap(server); /* what was answered at once goes out in this turn */
    }
    run_end(server);
    drop_loop(server);
    pthread_mutex_lock(&server->mutex);
    server->ended = true;
    pthread_mutex_unlock(&server->mutex);
    run_calls(server, STOA_ECLOSED);
    return NULL;
}

int server_start(struct server *server, struct error_detail *detail)
{
    ensure(!server->started);
    for (unsigned i = 0; i < server->part_count; i++) {
        struct server_part *part = server->parts[i];
        part->poll = (struct io_request){
            .op = IO_POLL, .file = part->fd, .done = part_polled, .context = part};
    }
    int error = pthread_create(&server->thread, NULL, run_thread, server);
    if (error != 0) {
        return error_set_errno(detail, error, "start the server's thread");
    }
    (void)pthread_setname_np(server->thread, "stoa-server"); /* works as well without */
    while (sem_wait(&server->ready) != 0) {
        ensure(errno == EINTR);
    }
    if (detail != NULL) {
        *detail = server->detail;
    }
    if (server->io_name == NULL) {
        pthread_join(server->thread, NULL);
        return server->result;
    }
    server->started = true;
    return 0;
}

const char *server_io_name(const struct server *server)
{
    return server->io_name;
}

const char *server_io_features(const struct server *server)
{
    return server->io_features;
}

void server_stop(struct server *server)
{
    atomic_store_explicit(&server->stop_wanted, true, memory_order_relaxed);
    server_wake(server);
}

void server_wake(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    if (server->io != NULL) {
        io_wake(server->io);
    }
    pthread_mutex_unlock(&server->mutex);
}

int server_join(struct server *server)
{
    ensure(server->started);
    pthread_join(server->thread, NULL);
    server->started = false;
    return server->result;
}

int server_run_on_loop(struct server *server, void (*run)(void *context), void *context)
{
    struct server_call call = {.run = run, .context = context};
    sem_init(&call.answered, 0, 0);
    pthread_mutex_lock(&server->mutex);
    bool ended = server->ended;
    if (!ended) {
        call.next = server->calls;
        server->calls = &call;
    }
    pthread_mutex_unlock(&server->mutex);
    if (!ended) {
        server_wake(server);
        while (sem_wait(&call.answered) != 0) {
            ensure(errno == EINTR);
        }
    }
    sem_destroy(&call.answered);
    return ended ? STOA_ECLOSED : call.result;
}

int server_submit(struct server *server, enum stoa_message message, const void *argument,
                  const struct stoa_call *call, bool admin, struct server_request *request)
{
    struct stoa_call own = STOA_CALL_INIT;
    ensure(request->done != NULL);
    if (server->under_way >= SERVER_UNDER_WAY_MAX + (admin ? (unsigned)SERVER_ADMIN_RESERVE : 0)) {
        return STOA_EBUSY;
    }
    if (call != NULL) {
        ensure(call->size == sizeof(own));
        own = *call;
    }
    own.tag = (uint64_t)(uintptr_t)request;
    own.correlation_id = server->next_id++;
    request->store_id = own.correlation_id;
    int result = stoa_submit(server->options.stoa, message, argument, &own);
    if (result == 0) {
        server->under_way++;
    }
    return result;
}

void server_linger(struct server *server)
{
    server->lingers = true;
}

void server_forget(struct stoa_completion *completion)
{
    stoa_release(completion->transaction.block.view);
    stoa_release(completion->block.view);
    stoa_release(completion->header.view);
    for (size_t i = 0; i < completion->block_count; i++) {
        stoa_release(completion->blocks[i].view);
    }
    stoa_free((void *)(uintptr_t)completion->value.data);
    stoa_free(completion->blocks);
    stoa_free(completion->proof);
    stoa_free(completion->logs.logs);
    stoa_free(completion->history.entries);
    stoa_free(completion->headers.headers);
    stoa_free(completion->stats);
    stoa_free(completion->cache_stats);
    stoa_free(completion->health);
    stoa_free(completion->branches);
    stoa_free(completion->verified);
    stoa_free(completion->damages);
    stoa_free(completion->analysis);
    stoa_free(completion->jobs);
    stoa_free(completion->copies);
    stoa_free(completion->archive);
    stoa_free(completion->storage);
}

struct stoa *server_store(struct server *server)
{
    return server->options.stoa;
}

struct io *server_io(struct server *server)
{
    return server->io;
}

const struct event_sink *server_events(struct server *server)
{
    return server->options.events;
}

unsigned server_under_way(const struct server *server)
{
    return server->under_way;
}

bool server_is_stopping(const struct server *server)
{
    return server->stopping;
}
