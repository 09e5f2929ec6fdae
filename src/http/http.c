/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http.c: a request goes through these steps, all on the loop's thread but for the job:
 *
 *   headers are there   begin: judge method, path, host, announced size; refuse at once
 *   the body comes      take_body
 *   the body is there   finish: answer what never waits; else suspend, and give it to the pool
 *   (pool)              run_job: make the answer, resume
 *   called again        send_answer
 *
 * An exchange is freed when libmicrohttpd says that the request is over, which it never does while
 * the connection is suspended; so a job always has its exchange. */
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "http/http_pool.h"
#include "http/http_request.h"

enum {
    THREADS = 4,
    CONNECTIONS = 256,
    IDLE_SECONDS = 30,
    CONNECTION_MEMORY = 32 << 10,
    TEXT_SIZE = 4096,
};

static const char own_hosts[] = "localhost,127.0.0.1,[::1]";
static const char json_type[] = "application/json";
static const char text_type[] = "text/plain; charset=utf-8";

struct http {
    struct http_options options;
    char *hosts;
    char *origins;
    struct MHD_Daemon *daemon;
    atomic_bool resumed; /* some connection is, since the loop last looked */
    struct http_pool *pool;
    struct server_part part;
    bool stopping;
    uint64_t under_way; /* exchanges */
    /* Counted on the loop, told by a job: in no order with anything. */
    _Atomic uint64_t requests;
    _Atomic uint64_t refused;
};

enum route { ROUTE_RPC, ROUTE_METRICS, ROUTE_HEALTHZ, ROUTE_READYZ };

struct exchange {
    struct http_job job;
    struct http *http;
    struct MHD_Connection *connection;
    enum route route;
    struct http_body body;
    struct buffer answer;
    int result;    /* of the job */
    bool answered; /* a response is queued */
    bool done;     /* the job is: written before the resume, read after it */
};

/* ---- responses ---- */

static void free_body(void *data)
{
    memory_free(data);
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    enum MHD_Result added = MHD_add_response_header(response, name, value);
    (void)added; /* without memory for it the answer is still right */
}

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void add_origin(const struct exchange *exchange, struct MHD_Response *response)
{
    const char *origin = header_of(exchange->connection, "Origin");
    if (http_request_origin_is_in(exchange->http->origins, origin)) {
        add_header(response, "Access-Control-Allow-Origin", origin);
        add_header(response, "Vary", "Origin");
    }
}

/* Queue RESPONSE (NULL: there was no memory for it) and let go of it. */
static enum MHD_Result queue(struct exchange *exchange, unsigned status,
                             struct MHD_Response *response)
{
    if (response == NULL) {
        return MHD_NO;
    }
    if (status >= 400) {
        (void)atomic_fetch_add_explicit(&exchange->http->refused, 1, memory_order_relaxed);
    }
    add_origin(exchange, response);
    if (exchange->http->stopping) {
        add_header(response, "Connection", "close");
    }
    exchange->answered = true;
    enum MHD_Result queued = MHD_queue_response(exchange->connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

/* Queue the bytes of ANSWER, which is then empty. */
static enum MHD_Result queue_buffer(struct exchange *exchange, unsigned status, const char *type,
                                    struct buffer *answer)
{
    struct MHD_Response *response =
        answer->size == 0 ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                          : MHD_create_response_from_buffer_with_free_callback(
                                answer->size, answer->data, free_body);
    if (response != NULL && answer->size != 0) {
        buffer_init(answer); /* the response has it now */
    }
    if (response != NULL) {
        add_header(response, "Content-Type", type);
    }
    return queue(exchange, status, response);
}

static enum MHD_Result queue_text(struct exchange *exchange, unsigned status, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response != NULL) {
        add_header(response, "Content-Type", text_type);
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
            add_header(response, "Allow", exchange->route == ROUTE_RPC ? "POST" : "GET, HEAD");
        }
    }
    return queue(exchange, status, response);
}

/* Refuse a call with CODE and TEXT as JSON-RPC does. */
static enum MHD_Result refuse_call(struct exchange *exchange, unsigned status, const char *text)
{
    buffer_clear(&exchange->answer);
    return rpc_refuse(-32600, text, &exchange->answer) != 0
               ? MHD_NO
               : queue_buffer(exchange, status, json_type, &exchange->answer);
}

/* ---- what is asked ---- */

static bool find_route(const char *path, enum route *out)
{
    static const char *const paths[] = {
        [ROUTE_RPC] = "/",
        [ROUTE_METRICS] = "/metrics",
        [ROUTE_HEALTHZ] = "/healthz",
        [ROUTE_READYZ] = "/readyz",
    };
    for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (strcmp(path, paths[i]) == 0) {
            *out = (enum route)i;
            return true;
        }
    }
    return false;
}

static void answer_health(struct exchange *exchange, char out[TEXT_SIZE], unsigned *out_status)
{
    struct stoa_health health = STOA_HEALTH_INIT;
    int result = stoa_get_health(exchange->http->options.stoa, &health);
    bool ready = exchange->route == ROUTE_READYZ;
    if (result != 0) {
        health = (struct stoa_health){.state = STOA_FAILED};
    }
    bool good = health.state < (ready ? STOA_READ_ONLY : STOA_FAILED) &&
                !(ready && exchange->http->stopping);
    int size = snprintf(out, TEXT_SIZE, "%s\n",
                        exchange->http->stopping ? "stopping" : stoa_health_name(health.state));
    for (unsigned i = 0; i < health.reason_count && size < TEXT_SIZE; i++) {
        size += snprintf(out + size, (size_t)(TEXT_SIZE - size), "%s\n", health.reasons[i].text);
    }
    *out_status = good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

struct values {
    uint64_t http_requests;
    uint64_t http_refused;
    uint64_t http_connections;
    uint64_t rpc_requests;
    uint64_t rpc_calls;
    uint64_t rpc_errors;
    uint64_t rpc_filters;
};

static struct values get_values(const struct http *http)
{
    struct rpc_counts counts;
    rpc_get_counts(http->options.rpc, &counts);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return (struct values){
        .http_requests = atomic_load_explicit(&http->requests, memory_order_relaxed),
        .http_refused = atomic_load_explicit(&http->refused, memory_order_relaxed),
        .http_connections = info == NULL ? 0 : info->num_connections,
        .rpc_requests = counts.requests,
        .rpc_calls = counts.calls,
        .rpc_errors = counts.errors,
        .rpc_filters = counts.filters,
    };
}

static int append_metrics(const struct http *http, const struct values *values, struct buffer *out)
{
    char *text;
    size_t size;
    int result = stoa_metrics_text(http->options.stoa, &text, &size);
    if (result == 0) {
        result = buffer_append(out, text, size);
        stoa_free(text);
    }
#define HTTP_METRIC(member, name, type, help)                                           \
    if (result == 0) {                                                                  \
        result = buffer_append_format(                                                  \
            out, "# HELP " name " " help "\n# TYPE " name " " type "\n" name " %llu\n", \
            (unsigned long long)values->member);                                        \
    }
#include "http/http_metrics.def"
#undef HTTP_METRIC
    return result;
}

/* On a thread of the pool. */
static void run_job(struct http_job *job)
{
    struct exchange *exchange = (struct exchange *)job;
    struct http *http = exchange->http;
    if (exchange->route == ROUTE_RPC) {
        exchange->result =
            rpc_answer(http->options.rpc, buffer_bytes(&exchange->body.bytes), &exchange->answer);
    } else {
        struct values values = get_values(http);
        exchange->result = append_metrics(http, &values, &exchange->answer);
    }
    exchange->done = true;
    /* The library's own wake does not reach a loop that is not its own. */
    MHD_resume_connection(exchange->connection);
    if (!atomic_exchange_explicit(&http->resumed, true, memory_order_acq_rel)) {
        server_wake(http->part.server);
    }
}

/* ---- steps of a request ---- */

/* The headers of a request for JSON-RPC. */
static enum MHD_Result begin_call(struct exchange *exchange, const char *method)
{
    struct MHD_Connection *connection = exchange->connection;
    const char *length = header_of(connection, "Content-Length");
    if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0 &&
        http_request_origin_is_in(exchange->http->origins, header_of(connection, "Origin"))) {
        struct MHD_Response *response =
            MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        if (response != NULL) {
            add_header(response, "Access-Control-Allow-Methods", "POST");
            add_header(response, "Access-Control-Allow-Headers", "Content-Type");
            add_header(response, "Access-Control-Max-Age", "600");
        }
        return queue(exchange, MHD_HTTP_NO_CONTENT, response);
    }
    if (strcmp(method, MHD_HTTP_METHOD_POST) != 0) {
        return queue_text(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "POST a JSON-RPC request\n");
    }
    if (!http_request_is_json(header_of(connection, "Content-Type"))) {
        return queue_text(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                          "invalid content type, only application/json is supported\n");
    }
    if (length != NULL && strtoull(length, NULL, 10) > exchange->body.max) {
        return refuse_call(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "request too large");
    }
    return MHD_YES;
}

static enum MHD_Result begin(struct exchange *exchange, const char *path, const char *method)
{
    (void)atomic_fetch_add_explicit(&exchange->http->requests, 1, memory_order_relaxed);
    if (!http_request_host_is_in(exchange->http->hosts, header_of(exchange->connection, "Host"))) {
        return queue_text(exchange, MHD_HTTP_FORBIDDEN, "invalid host specified\n");
    }
    if (!find_route(path, &exchange->route)) {
        return queue_text(exchange, MHD_HTTP_NOT_FOUND, "not found\n");
    }
    if (exchange->route == ROUTE_RPC) {
        return begin_call(exchange, method);
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return queue_text(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "GET it\n");
    }
    return MHD_YES;
}

/* All of the request is there. */
static enum MHD_Result finish(struct exchange *exchange)
{
    if (exchange->route == ROUTE_HEALTHZ || exchange->route == ROUTE_READYZ) {
        char text[TEXT_SIZE];
        unsigned status;
        answer_health(exchange, text, &status);
        return queue_text(exchange, status, text);
    }
    if (http_body_is_too_large(&exchange->body)) {
        return refuse_call(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "request too large");
    }
    MHD_suspend_connection(exchange->connection);
    exchange->job.run = run_job;
    http_pool_give(exchange->http->pool, &exchange->job);
    return MHD_YES;
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
    if (exchange->result != 0) {
        return queue_text(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    }
    return queue_buffer(exchange, MHD_HTTP_OK,
                        exchange->route == ROUTE_RPC ? json_type : "text/plain; version=0.0.4",
                        &exchange->answer);
}

static struct exchange *make_exchange(struct http *http, struct MHD_Connection *connection)
{
    struct exchange *exchange = memory_alloc_zeroed(1, sizeof(*exchange));
    if (exchange != NULL) {
        exchange->http = http;
        exchange->connection = connection;
        http_body_init(&exchange->body, rpc_body_max(http->options.rpc));
        buffer_init(&exchange->answer);
        http->under_way++;
    }
    return exchange;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    (void)version;
    struct exchange *exchange = *state;
    if (exchange == NULL) {
        exchange = make_exchange(context, connection);
        *state = exchange;
        return exchange == NULL ? MHD_NO : begin(exchange, path, method);
    }
    if (*size > 0) {
        int result = exchange->answered ? 0 : http_body_add(&exchange->body, data, *size);
        *size = 0;
        return result == 0 ? MHD_YES : MHD_NO;
    }
    if (exchange->answered) {
        return MHD_YES;
    }
    return exchange->done ? send_answer(exchange) : finish(exchange);
}

static void complete(void *context, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode code)
{
    struct http *http = context;
    struct exchange *exchange = *state;
    (void)connection;
    (void)code;
    if (exchange == NULL) {
        return;
    }
    http_body_deinit(&exchange->body);
    buffer_deinit(&exchange->answer);
    memory_free(exchange);
    *state = NULL;
    ensure(http->under_way > 0);
    http->under_way--;
}

/* ---- the part ---- */

static void run(struct http *http)
{
    enum MHD_Result ran = MHD_run(http->daemon);
    (void)ran; /* what went wrong with a connection has ended that connection */
}

static void part_ready(struct server_part *part)
{
    run(part->context);
}

/* libmicrohttpd may have more to do than its descriptor says. */
static uint64_t part_turn(struct server_part *part, uint64_t now_ns)
{
    struct http *http = part->context;
    MHD_UNSIGNED_LONG_LONG rest_ms;
    (void)now_ns;
    if (atomic_exchange_explicit(&http->resumed, false, memory_order_acq_rel)) {
        run(http);
    }
    if (MHD_get_timeout(http->daemon, &rest_ms) != MHD_YES) {
        return UINT64_MAX;
    }
    if (rest_ms == 0) {
        run(http);
        if (MHD_get_timeout(http->daemon, &rest_ms) != MHD_YES) {
            return UINT64_MAX;
        }
    }
    return rest_ms * UINT64_C(1000000);
}

static void part_stop(struct server_part *part)
{
    struct http *http = part->context;
    http->stopping = true;
    /* The descriptor stays the daemon's: it closes it when it is stopped. */
    MHD_socket listening = MHD_quiesce_daemon(http->daemon);
    (void)listening;
}

static bool part_is_idle(struct server_part *part)
{
    const struct http *http = part->context;
    return http->under_way == 0;
}

/* ---- life ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static int read_address(const char *text, uint16_t port, union address *out,
                        struct error_detail *detail)
{
    *out = (union address){.any = {.sa_family = AF_UNSPEC}};
    if (inet_pton(AF_INET, text, &out->four.sin_addr) == 1) {
        out->four.sin_family = AF_INET;
        out->four.sin_port = htons(port);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &out->six.sin6_addr) == 1) {
        out->six.sin6_family = AF_INET6;
        out->six.sin6_port = htons(port);
        return 0;
    }
    return error_set(detail, STOA_EINVAL, "HTTP: %s is no address", text);
}

bool http_is_address(const char *text)
{
    union address address;
    return read_address(text, 0, &address, NULL) == 0;
}

static int start_daemon(struct http *http, struct error_detail *detail)
{
    const struct http_options *options = &http->options;
    union address address;
    int result = read_address(options->address, options->port, &address, detail);
    if (result != 0) {
        return result;
    }
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    flags |= address.any.sa_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    unsigned connections = options->connections != 0 ? options->connections : CONNECTIONS;
    unsigned idle = options->idle_seconds != 0 ? options->idle_seconds : IDLE_SECONDS;
    http->daemon = MHD_start_daemon(
        flags, options->port, NULL, NULL, handle, http, MHD_OPTION_SOCK_ADDR, &address.any,
        MHD_OPTION_NOTIFY_COMPLETED, complete, http, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, idle, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
    if (http->daemon == NULL) {
        return error_set_errno(detail, errno, "HTTP: listen at %s port %u", options->address,
                               (unsigned)options->port);
    }
    return 0;
}

int http_create(const struct http_options *options, struct http **out_http,
                struct error_detail *detail)
{
    struct http *http = memory_alloc_zeroed(1, sizeof(*http));
    if (http == NULL) {
        return error_set(detail, STOA_ENOMEM, "HTTP: %s", stoa_strerror(STOA_ENOMEM));
    }
    http->options = *options;
    http->hosts = memory_copy_text(options->hosts != NULL ? options->hosts : own_hosts);
    http->origins = memory_copy_text(options->origins != NULL ? options->origins : "");
    int result = http->hosts == NULL || http->origins == NULL
                     ? error_set(detail, STOA_ENOMEM, "HTTP: %s", stoa_strerror(STOA_ENOMEM))
                     : start_daemon(http, detail);
    if (result == 0) {
        result = http_pool_create(options->threads != 0 ? options->threads : THREADS, &http->pool,
                                  detail);
    }
    if (result != 0) {
        http_destroy(http);
        return result;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    ensure(info != NULL);
    http->part = (struct server_part){
        .name = "http",
        .fd = info->epoll_fd,
        .ready = part_ready,
        .turn = part_turn,
        .stop = part_stop,
        .is_idle = part_is_idle,
        .context = http,
    };
    *out_http = http;
    return 0;
}

void http_destroy(struct http *http)
{
    if (http == NULL) {
        return;
    }
    server_detach(&http->part);
    http_pool_destroy(http->pool); /* every suspended connection is resumed now */
    if (http->daemon != NULL) {
        run(http);
        MHD_stop_daemon(http->daemon);
    }
    memory_free(http->hosts);
    memory_free(http->origins);
    memory_free(http);
}

struct server_part *http_part(struct http *http)
{
    return &http->part;
}

uint16_t http_port(const struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}
