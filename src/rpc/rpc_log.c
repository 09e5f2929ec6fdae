/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_log.h"

#include "base/memory.h"
#include "render/json_log.h"

enum { HASH_SIZE = 32, ADDRESS_SIZE = 20 };

/* ---- reading what is asked for ---- */

static bool invalid(struct rpc_call *call, size_t index, const char *why)
{
    (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "invalid argument %zu: %s", index, why);
    return false;
}

/* VALUE, a text or an array of texts, as items of SIZE bytes: *OUT is the caller's to free. Null
 * stands for any, so does an array with a null in it: then *OUT_COUNT is 0. */
static bool read_items(struct rpc_call *call, size_t index, const json_t *value, size_t size,
                       uint8_t **out, size_t *out_count)
{
    const char *name = size == HASH_SIZE ? "Hash" : "Address";
    size_t count = json_is_array(value) ? json_array_size(value) : value != NULL;
    if (count > STOA_LOG_ALTERNATIVES_MAX) {
        return invalid(call, index, "too many addresses or topics");
    }
    *out_count = 0;
    if (count == 0 || json_is_null(value)) {
        return true;
    }
    *out = memory_alloc_zeroed(count, size);
    if (*out == NULL) {
        (void)rpc_call_fail(call, RPC_INTERNAL, "out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        if (json_is_null(item)) {
            return true;
        }
        if (!rpc_argument_fixed(call, index, item, size, name, *out + i * size)) {
            return false;
        }
    }
    *out_count = count;
    return true;
}

static bool read_topics(struct rpc_call *call, size_t index, const json_t *topics,
                        struct rpc_log_query *out)
{
    if (topics == NULL || json_is_null(topics)) {
        return true;
    }
    if (!json_is_array(topics)) {
        return invalid(call, index, "topics are an array");
    }
    if (json_array_size(topics) > RPC_LOG_TOPICS) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "exceed max topics");
        return false;
    }
    out->topic_count = (unsigned)json_array_size(topics);
    for (unsigned i = 0; i < out->topic_count; i++) {
        if (!read_items(call, index, json_array_get(topics, i), HASH_SIZE, &out->topics[i],
                        &out->topic_counts[i])) {
            return false;
        }
    }
    return true;
}

static bool read_range(struct rpc_call *call, size_t index, const json_t *value,
                       struct rpc_log_query *out)
{
    const json_t *hash = json_object_get(value, "blockHash");
    const json_t *from = json_object_get(value, "fromBlock");
    const json_t *to = json_object_get(value, "toBlock");
    hash = json_is_null(hash) ? NULL : hash;
    from = json_is_null(from) ? NULL : from;
    to = json_is_null(to) ? NULL : to;
    if (hash != NULL && (from != NULL || to != NULL)) {
        return invalid(
            call, index,
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other");
    }
    out->by_block = hash != NULL;
    out->has_from = from != NULL;
    out->has_to = to != NULL;
    if (hash != NULL) {
        return rpc_argument_fixed(call, index, hash, HASH_SIZE, "Hash", out->block_hash);
    }
    return rpc_argument_place(call, index, from, false, &out->from) &&
           rpc_argument_place(call, index, to, false, &out->to);
}

bool rpc_log_query_init(struct rpc_call *call, size_t index, struct rpc_log_query *out)
{
    const json_t *value = rpc_argument_at(call, index);
    *out = (struct rpc_log_query){.by_block = false};
    if (value != NULL && !json_is_object(value)) {
        return invalid(call, index, "not an object of a filter");
    }
    if (read_range(call, index, value, out) &&
        read_items(call, index, json_object_get(value, "address"), ADDRESS_SIZE, &out->addresses,
                   &out->address_count) &&
        read_topics(call, index, json_object_get(value, "topics"), out)) {
        return true;
    }
    rpc_log_query_deinit(out);
    return false;
}

void rpc_log_query_deinit(struct rpc_log_query *query)
{
    memory_free(query->addresses);
    for (unsigned i = 0; i < RPC_LOG_TOPICS; i++) {
        memory_free(query->topics[i]);
    }
    *query = (struct rpc_log_query){.by_block = false};
}

static bool copy_items(const uint8_t *items, size_t size, uint8_t **out)
{
    *out = memory_alloc(size);
    if (*out == NULL) {
        return false;
    }
    if (size > 0) {
        memcpy(*out, items, size);
    }
    return true;
}

bool rpc_log_query_copy(const struct rpc_log_query *query, struct rpc_log_query *out)
{
    *out = *query;
    out->addresses = NULL;
    memset(out->topics, 0, sizeof(out->topics));
    bool good = copy_items(query->addresses, query->address_count * ADDRESS_SIZE, &out->addresses);
    for (unsigned i = 0; i < RPC_LOG_TOPICS && good; i++) {
        good = copy_items(query->topics[i], query->topic_counts[i] * HASH_SIZE, &out->topics[i]);
    }
    if (!good) {
        rpc_log_query_deinit(out);
    }
    return good;
}

/* ---- answering ---- */

static void write_log(struct json_writer *writer, const struct stoa_log *log, bool removed)
{
    struct json_log shown = {
        .address = log->address,
        .topic_count = log->topic_count,
        .data = bytes_of(log->data.data, log->data.size),
        .height = log->height,
        .timestamp = log->timestamp,
        .block_hash = log->block_hash,
        .transaction_hash = log->transaction_hash,
        .transaction_index = log->transaction_index,
        .log_index = log->log_index,
        .removed = removed,
    };
    for (unsigned i = 0; i < log->topic_count; i++) {
        shown.topics[i] = log->topics[i];
    }
    json_log_append(writer, NULL, &shown);
}

/* Ask the store for FILTER, and write what it finds. */
static int run_query(struct rpc_call *call, struct stoa_log_filter *filter,
                     const struct rpc_log_query *query, bool removed)
{
    struct stoa_logs logs;
    struct stoa_detail detail = {.code = 0};
    filter->addresses = query->addresses;
    filter->address_count = query->address_count;
    filter->topic_count = query->topic_count;
    for (unsigned i = 0; i < query->topic_count; i++) {
        filter->topics[i] = (struct stoa_topics){query->topics[i], query->topic_counts[i]};
    }
    filter->limit = call->options->log_max;
    filter->time_ms = rpc_call_rest_ms(call);
    int result = stoa_query_logs(call->stoa, filter, &logs, &detail);
    if (result == STOA_ENOTFOUND && filter->block_hash != NULL) {
        return rpc_call_fail(call, RPC_FAILED, "unknown block");
    }
    if (result == STOA_EINVAL) {
        return rpc_call_fail(call, RPC_INVALID_PARAMS, "%s", detail.text);
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "logs");
    }
    bool cut = logs.more != 0;
    if (cut && logs.count >= filter->limit) {
        (void)rpc_call_fail(call, RPC_LIMIT, "query returned more than %u results", filter->limit);
    } else if (cut) {
        (void)rpc_call_fail(call, RPC_TIMEOUT, "query timeout exceeded");
    }
    for (size_t i = 0; i < logs.count && !cut; i++) {
        cut = !rpc_call_go_on(call);
        if (!cut) {
            write_log(call->writer, &logs.logs[i], removed);
        }
    }
    stoa_free(logs.logs);
    return cut ? -1 : 0;
}

int rpc_log_write_block(struct rpc_call *call, const struct rpc_log_query *query,
                        const uint8_t hash[32], bool removed)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    filter.block_hash = hash;
    return run_query(call, &filter, query, removed);
}

int rpc_log_write_range(struct rpc_call *call, const struct rpc_log_query *query, uint64_t from,
                        uint64_t to)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    filter.from = from;
    filter.to = to;
    return run_query(call, &filter, query, false);
}

/* The height that PLACE means; HEAD is the head. */
static bool height_of(struct rpc_call *call, const struct rpc_place *place,
                      const struct stoa_head *head, uint64_t *out)
{
    bool safe = place->tag == RPC_SAFE;
    bool finalized = place->tag == RPC_FINALIZED;
    if ((safe && !head->has_safe) || (finalized && !head->has_finalized)) {
        (void)rpc_call_fail(call, RPC_UNKNOWN_BLOCK, "%s block not found",
                            safe ? "safe" : "finalized");
        return false;
    }
    *out = safe                         ? head->safe_height
           : finalized                  ? head->finalized_height
           : place->tag == RPC_LATEST   ? head->height
           : place->tag == RPC_EARLIEST ? 0
                                        : place->height;
    return true;
}

int rpc_log_write(struct rpc_call *call, const struct rpc_log_query *query)
{
    if (query->by_block) {
        return rpc_log_write_block(call, query, query->block_hash, false);
    }
    struct stoa_head head;
    uint64_t from;
    uint64_t to;
    int result = stoa_get_head(call->stoa, &head);
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "head");
    }
    if (!height_of(call, &query->from, &head, &from) || !height_of(call, &query->to, &head, &to)) {
        return -1;
    }
    if (from > to) {
        return rpc_call_fail(call, RPC_INVALID_PARAMS, "invalid block range params");
    }
    if (to > head.height) {
        return rpc_call_fail(call, RPC_INVALID_PARAMS,
                             "block range extends beyond current head block");
    }
    unsigned blocks_max = call->options->log_blocks_max;
    if (blocks_max != 0 && to - from >= blocks_max) {
        return rpc_call_fail(call, RPC_INVALID_PARAMS, "block range greater than %u max",
                             blocks_max);
    }
    return head.empty ? 0 : rpc_log_write_range(call, query, from, to);
}

int rpc_log_get(struct rpc_call *call)
{
    struct rpc_log_query query;
    if (!rpc_log_query_init(call, 0, &query)) {
        return -1;
    }
    json_writer_array_begin(call->writer, NULL);
    int result = rpc_log_write(call, &query);
    rpc_log_query_deinit(&query);
    json_writer_array_end(call->writer);
    return result;
}

int rpc_log_by_hash(struct rpc_call *call)
{
    struct rpc_log_query query = {.by_block = true};
    if (!rpc_argument_hash(call, 0, query.block_hash)) {
        return -1;
    }
    json_writer_array_begin(call->writer, NULL);
    int result = rpc_log_write(call, &query);
    json_writer_array_end(call->writer);
    return result;
}
