/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc.c: from the bytes of a request to those of its answer. An answer is written behind the
 * member "id" straight into the caller's buffer; where a handler fails midway the buffer is cut
 * back to where its value began, and the error takes its place. */
#include "rpc/rpc.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "rpc/rpc_method.h"
#include "rpc/rpc_private.h"

enum {
    BODY_MAX = 1 << 20,
    DEPTH_MAX = 32,
    BATCH_MAX = 1000,
    ANSWER_MAX = 32 << 20,
    TIME_MS = 10000,
    LOG_MAX = 10000,
    FILTERS_MAX = 1000,
    FILTER_SECONDS = 300,
};

/* ---- calls ---- */

int rpc_call_fail(struct rpc_call *call, int code, const char *format, ...)
{
    ensure(code != 0);
    va_list arguments;
    call->error_code = code;
    va_start(arguments, format);
    (void)vsnprintf(call->error_text, sizeof(call->error_text), format, arguments);
    va_end(arguments);
    return -1;
}

int rpc_call_fail_store(struct rpc_call *call, int result, const struct stoa_detail *detail,
                        const char *what)
{
    ensure(result < 0);
    const char *text =
        detail != NULL && detail->text[0] != '\0' ? detail->text : stoa_strerror(result);
    if (result == STOA_ETIMEOUT) {
        return rpc_call_fail(call, RPC_TIMEOUT, "request timed out");
    }
    if (result == STOA_EBUSY) {
        return rpc_call_fail(call, RPC_LIMIT, "%s: %s", what, text);
    }
    bool ours = result == STOA_ECORRUPT || result == STOA_EIO || result == STOA_ENOMEM;
    return rpc_call_fail(call, ours ? RPC_INTERNAL : RPC_FAILED, "%s: %s", what, text);
}

int rpc_call_fail_render(struct rpc_call *call, const struct error_detail *detail, const char *what)
{
    return rpc_call_fail(call, RPC_INTERNAL, "%s: %s", what, detail->text);
}

uint64_t rpc_call_now_ms(const struct rpc_call *call)
{
    return call->options->now_ms(call->options->now_context);
}

unsigned rpc_call_rest_ms(const struct rpc_call *call)
{
    uint64_t now = rpc_call_now_ms(call);
    return now >= call->deadline_ms ? 1 : (unsigned)(call->deadline_ms - now);
}

bool rpc_call_go_on(struct rpc_call *call)
{
    if (call->writer->out->size > call->options->answer_max) {
        (void)rpc_call_fail(call, RPC_TOO_LARGE, "response too large");
        return false;
    }
    if (rpc_call_now_ms(call) >= call->deadline_ms) {
        (void)rpc_call_fail(call, RPC_TIMEOUT, "request timed out");
        return false;
    }
    return true;
}

/* ---- answers ---- */

static int append_text(struct buffer *out, const char *text)
{
    return buffer_append(out, text, strlen(text));
}

static int append_id_bytes(const char *bytes, size_t size, void *out)
{
    return buffer_append(out, bytes, size) == 0 ? 0 : -1;
}

static int begin_answer(struct buffer *out, const json_t *id)
{
    int result = append_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (result == 0 && id == NULL) {
        result = append_text(out, "null");
    } else if (result == 0) {
        int dumped = json_dump_callback(id, append_id_bytes, out, JSON_ENCODE_ANY | JSON_COMPACT);
        result = dumped == 0 ? 0 : STOA_ENOMEM;
    }
    return result;
}

static int append_error(struct buffer *out, int code, const char *text)
{
    int result = append_text(out, ",\"error\":{\"code\":");
    if (result == 0) {
        result = buffer_append_format(out, "%d,\"message\":", code);
    }
    if (result == 0) {
        struct json_writer writer;
        json_writer_init(&writer, out);
        json_writer_text(&writer, NULL, text);
        result = json_writer_finish(&writer);
    }
    return result == 0 ? append_text(out, "}}") : result;
}

static int append_failure(struct buffer *out, const json_t *id, int code, const char *text)
{
    int result = begin_answer(out, id);
    return result == 0 ? append_error(out, code, text) : result;
}

int rpc_refuse(int code, const char *text, struct buffer *out)
{
    return append_failure(out, NULL, code, text);
}

/* Whether PARAMS suit METHOD; the error is told where not. */
static bool check_params(struct rpc_call *call, const struct rpc_method *method,
                         const json_t *params)
{
    if (params != NULL && !json_is_array(params) && !json_is_null(params)) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "non-array args");
        return false;
    }
    size_t count = json_array_size(params);
    if (count > method->arguments_max) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "too many arguments, want at most %u",
                            method->arguments_max);
        return false;
    }
    if (count < method->arguments_min) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "missing value for required argument %zu",
                            count);
        return false;
    }
    call->params = count > 0 ? params : NULL;
    return true;
}

/* Call METHOD and write its result, or fail. */
static bool run_method(struct rpc_call *call, const char *name, const json_t *params)
{
    const struct rpc_method *method = rpc_method_find(name);
    if (method == NULL || method->handler == NULL) {
        (void)rpc_call_fail(call, RPC_NO_METHOD, "the method %.64s does not exist/is not available",
                            name);
        return false;
    }
    if (!check_params(call, method, params) || method->handler(call) != 0) {
        ensure(call->error_code != 0);
        return false;
    }
    if (json_writer_finish(call->writer) != 0) {
        (void)rpc_call_fail(call, RPC_INTERNAL, "out of memory");
        return false;
    }
    return call->writer->out->size <= call->options->answer_max ||
           rpc_call_fail(call, RPC_TOO_LARGE, "response too large") == 0;
}

static int answer_call(struct rpc *rpc, const json_t *id, const char *name, const json_t *params,
                       uint64_t deadline_ms, struct buffer *out)
{
    int result = begin_answer(out, id);
    if (result != 0) {
        return result;
    }
    size_t mark = out->size;
    result = append_text(out, ",\"result\":");
    if (result != 0) {
        return result;
    }
    struct json_writer writer;
    json_writer_init(&writer, out);
    struct rpc_call call = {
        .rpc = rpc,
        .stoa = rpc->options.stoa,
        .options = &rpc->options,
        .writer = &writer,
        .deadline_ms = deadline_ms,
    };
    if (rpc_call_go_on(&call) && run_method(&call, name, params)) {
        return append_text(out, "}");
    }
    (void)atomic_fetch_add_explicit(&rpc->errors, 1, memory_order_relaxed);
    out->size = mark;
    return append_error(out, call.error_code, call.error_text);
}

/* One request that is a JSON value. Nothing is appended where it wants no answer. */
static int answer_value(struct rpc *rpc, const json_t *value, uint64_t deadline_ms,
                        struct buffer *out)
{
    (void)atomic_fetch_add_explicit(&rpc->calls, 1, memory_order_relaxed);
    const json_t *id = json_object_get(value, "id");
    const char *version = json_string_value(json_object_get(value, "jsonrpc"));
    const char *name = json_string_value(json_object_get(value, "method"));
    bool id_is_one = id == NULL || json_is_string(id) || json_is_number(id) || json_is_null(id);
    if (!json_is_object(value) || version == NULL || strcmp(version, "2.0") != 0 || name == NULL ||
        !id_is_one) {
        (void)atomic_fetch_add_explicit(&rpc->errors, 1, memory_order_relaxed);
        return append_failure(out, id_is_one ? id : NULL, RPC_INVALID_REQUEST, "invalid request");
    }
    if (id == NULL) {
        return 0; /* a notification: nobody would see what a read finds */
    }
    return answer_call(rpc, id, name, json_object_get(value, "params"), deadline_ms, out);
}

static int answer_batch(struct rpc *rpc, const json_t *batch, uint64_t deadline_ms,
                        struct buffer *out)
{
    size_t count = json_array_size(batch);
    if (count == 0 || count > rpc->options.batch_max) {
        return append_failure(out, NULL, RPC_INVALID_REQUEST,
                              count == 0 ? "empty batch" : "batch too large");
    }
    size_t start = out->size;
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        size_t mark = out->size;
        result = append_text(out, mark == start ? "[" : ",");
        size_t before = out->size;
        if (result == 0) {
            result = answer_value(rpc, json_array_get(batch, i), deadline_ms, out);
        }
        if (result == 0 && out->size == before) {
            out->size = mark;
        }
    }
    return result == 0 && out->size > start ? append_text(out, "]") : result;
}

/* Whether brackets nest deeper than DEPTH_MAX: before a parser that recurses sees them. */
static bool is_too_deep(struct bytes body, unsigned depth_max)
{
    unsigned depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < body.size; i++) {
        uint8_t c = body.data[i];
        if (in_text) {
            i += c == '\\';
            in_text = c != '"';
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max) {
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

int rpc_answer(struct rpc *rpc, struct bytes body, struct buffer *out)
{
    (void)atomic_fetch_add_explicit(&rpc->requests, 1, memory_order_relaxed);
    if (body.size > rpc->options.body_max) {
        return rpc_refuse(RPC_INVALID_REQUEST, "request too large", out);
    }
    if (is_too_deep(body, rpc->options.depth_max)) {
        return rpc_refuse(RPC_INVALID_REQUEST, "request nests too deep", out);
    }
    json_t *value = json_loadb((const char *)body.data, body.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (value == NULL) {
        return rpc_refuse(RPC_PARSE_ERROR, "parse error", out);
    }
    uint64_t deadline_ms = rpc->options.now_ms(rpc->options.now_context) + rpc->options.time_ms;
    int result = json_is_array(value) ? answer_batch(rpc, value, deadline_ms, out)
                                      : answer_value(rpc, value, deadline_ms, out);
    json_decref(value);
    return result;
}

/* ---- life ---- */

static void set_defaults(struct rpc_options *options)
{
    options->body_max = options->body_max != 0 ? options->body_max : BODY_MAX;
    options->depth_max = options->depth_max != 0 ? options->depth_max : DEPTH_MAX;
    options->batch_max = options->batch_max != 0 ? options->batch_max : BATCH_MAX;
    options->answer_max = options->answer_max != 0 ? options->answer_max : ANSWER_MAX;
    options->time_ms = options->time_ms != 0 ? options->time_ms : TIME_MS;
    options->log_max = options->log_max != 0 ? options->log_max : LOG_MAX;
    options->filters_max = options->filters_max != 0 ? options->filters_max : FILTERS_MAX;
    options->filter_seconds =
        options->filter_seconds != 0 ? options->filter_seconds : FILTER_SECONDS;
    options->client = options->client != NULL ? options->client : "stoa";
}

int rpc_create(const struct rpc_options *options, struct rpc **out_rpc, struct error_detail *detail)
{
    ensure(options->stoa != NULL);
    ensure(options->now_ms != NULL);
    struct rpc *rpc = memory_alloc_zeroed(1, sizeof(*rpc));
    if (rpc == NULL) {
        return error_set(detail, STOA_ENOMEM, "JSON-RPC: %s", stoa_strerror(STOA_ENOMEM));
    }
    rpc->options = *options;
    set_defaults(&rpc->options);
    int result =
        rpc_filters_create(rpc->options.filters_max, UINT64_C(1000) * rpc->options.filter_seconds,
                           options->seed, &rpc->filters);
    if (result == 0 && options->chain_config.size > 0) {
        rpc->chain_config = json_loadb((const char *)options->chain_config.data,
                                       options->chain_config.size, JSON_REJECT_DUPLICATES, NULL);
        result = json_is_object(rpc->chain_config) ? 0 : STOA_EINVAL;
    }
    if (result != 0) {
        rpc_destroy(rpc);
        return error_set(detail, result, "JSON-RPC: %s",
                         result == STOA_EINVAL ? "the chain's config is no JSON object"
                                               : stoa_strerror(result));
    }
    rpc->options.chain_config = bytes_of(NULL, 0);
    *out_rpc = rpc;
    return 0;
}

void rpc_destroy(struct rpc *rpc)
{
    if (rpc == NULL) {
        return;
    }
    json_decref(rpc->chain_config);
    rpc_filters_destroy(rpc->filters);
    memory_free(rpc);
}

void rpc_get_counts(struct rpc *rpc, struct rpc_counts *out_counts)
{
    *out_counts = (struct rpc_counts){
        .requests = atomic_load_explicit(&rpc->requests, memory_order_relaxed),
        .calls = atomic_load_explicit(&rpc->calls, memory_order_relaxed),
        .errors = atomic_load_explicit(&rpc->errors, memory_order_relaxed),
        .filters = rpc_filters_count(rpc->filters, rpc->options.now_ms(rpc->options.now_context)),
    };
}

size_t rpc_body_max(const struct rpc *rpc)
{
    return rpc->options.body_max;
}
