/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_store.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "chain/keccak.h"
#include "render/json_job.h"
#include "rpc/rpc_argument.h"

enum { HASH_SIZE = 32, BRANCHES_MAX = 256 };

static int get_head(struct rpc_call *call, struct stoa_head *out)
{
    int result = stoa_get_head(call->stoa, out);
    return result == 0 ? 0 : rpc_call_fail_store(call, result, NULL, "head");
}

/* ---- the node ---- */

int rpc_store_chain_id(struct rpc_call *call)
{
    struct stoa_head head;
    if (get_head(call, &head) != 0) {
        return -1;
    }
    if (head.chain_id == 0) {
        return rpc_call_fail(call, RPC_FAILED, "the chain's id is not known to this store");
    }
    json_writer_quantity(call->writer, NULL, head.chain_id);
    return 0;
}

int rpc_store_network(struct rpc_call *call)
{
    struct stoa_head head;
    if (get_head(call, &head) != 0) {
        return -1;
    }
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, head.chain_id);
    json_writer_text(call->writer, NULL, text);
    return 0;
}

/* Whether its node is behind others only the node knows. */
int rpc_store_syncing(struct rpc_call *call)
{
    json_writer_bool(call->writer, NULL, false);
    return 0;
}

int rpc_store_accounts(struct rpc_call *call)
{
    json_writer_array_begin(call->writer, NULL);
    json_writer_array_end(call->writer);
    return 0;
}

int rpc_store_listening(struct rpc_call *call)
{
    json_writer_bool(call->writer, NULL, true);
    return 0;
}

int rpc_store_peers(struct rpc_call *call)
{
    json_writer_quantity(call->writer, NULL, 0);
    return 0;
}

int rpc_store_client(struct rpc_call *call)
{
    json_writer_text(call->writer, NULL, call->options->client);
    return 0;
}

int rpc_store_sha3(struct rpc_call *call)
{
    const char *text = json_string_value(rpc_argument_at(call, 0));
    size_t length = text == NULL ? 0 : strlen(text);
    uint8_t hash[HASH_SIZE];
    if (text == NULL || length < 2 || text[0] != '0' || text[1] != 'x') {
        return rpc_call_fail(call, RPC_INVALID_PARAMS,
                             "invalid argument 0: hex string without 0x prefix");
    }
    uint8_t *data = memory_alloc(length);
    if (data == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    ptrdiff_t size = bytes_from_hex(text, length, data, length);
    if (size >= 0) {
        keccak_256(data, (size_t)size, hash);
        json_writer_hex(call->writer, NULL, hash, HASH_SIZE);
    }
    memory_free(data);
    return size >= 0
               ? 0
               : rpc_call_fail(call, RPC_INVALID_PARAMS, "invalid argument 0: invalid hex string");
}

int rpc_store_modules(struct rpc_call *call)
{
    static const char *const modules[] = {"debug", "erigon", "eth",  "net",
                                          "ots",   "rpc",    "stoa", "web3"};
    json_writer_object_begin(call->writer, NULL);
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
        json_writer_text(call->writer, modules[i], "1.0");
    }
    json_writer_object_end(call->writer);
    return 0;
}

/* ---- what can be asked of it ---- */

static void write_capability(struct json_writer *writer, const char *key, bool disabled,
                             uint64_t oldest)
{
    json_writer_object_begin(writer, key);
    json_writer_bool(writer, "disabled", disabled);
    json_writer_quantity(writer, "oldestBlock", oldest);
    json_writer_object_end(writer);
}

int rpc_store_capabilities(struct rpc_call *call)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_head head;
    struct json_writer *writer = call->writer;
    if (get_head(call, &head) != 0) {
        return -1;
    }
    int result = stoa_get_stats(call->stoa, &stats);
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "stats");
    }
    /* The state of a height is known where that of all blocks up to it is. */
    bool stateless = stats.state_heights <= head.height;
    json_writer_object_begin(writer, NULL);
    json_writer_object_begin(writer, "head");
    json_writer_quantity(writer, "number", head.height);
    json_writer_hex(writer, "hash", head.hash, HASH_SIZE);
    json_writer_object_end(writer);
    write_capability(writer, "state", stateless, stats.history_from);
    write_capability(writer, "tx", false, stats.transactions_from);
    write_capability(writer, "logs", false, stats.logs_from);
    write_capability(writer, "receipts", false, stats.receipts_from);
    write_capability(writer, "blocks", false, stats.bodies_from);
    write_capability(writer, "stateproofs", stateless, stats.trie_history_from);
    json_writer_object_end(writer);
    return 0;
}

/* ---- the store ---- */

int rpc_store_health(struct rpc_call *call)
{
    struct stoa_health health = STOA_HEALTH_INIT;
    struct json_writer *writer = call->writer;
    int result = stoa_get_health(call->stoa, &health);
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "health");
    }
    json_writer_object_begin(writer, NULL);
    json_writer_text(writer, "state", stoa_health_name(health.state));
    json_writer_array_begin(writer, "reasons");
    for (unsigned i = 0; i < health.reason_count; i++) {
        json_writer_object_begin(writer, NULL);
        if (health.reasons[i].code != 0) {
            json_writer_text(writer, "error", stoa_error_name(health.reasons[i].code));
        }
        json_writer_text(writer, "text", health.reasons[i].text);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
    json_writer_array_begin(writer, "alerts");
    for (unsigned alert = 0; alert < STOA_ALERT_END; alert++) {
        if ((health.alerts >> alert & 1) != 0) {
            json_writer_text(writer, NULL, stoa_alert_name(alert));
        }
    }
    json_writer_array_end(writer);
    json_writer_number(writer, "violations", health.violations);
    json_writer_number(writer, "breakersOpen", health.breakers_open);
    json_writer_number(writer, "restarts", health.restarts);
    json_writer_object_end(writer);
    return 0;
}

int rpc_store_stats(struct rpc_call *call)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    struct json_writer *writer = call->writer;
    int result = stoa_get_stats(call->stoa, &stats);
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "stats");
    }
    json_writer_object_begin(writer, NULL);
    json_writer_number(writer, "blocks", stats.blocks);
    json_writer_number(writer, "ledgerSegments", stats.ledger_segments);
    json_writer_number(writer, "ledgerBytes", stats.ledger_bytes);
    json_writer_number(writer, "ledgerSequence", stats.ledger_sequence);
    json_writer_number(writer, "appliedSequence", stats.applied_sequence);
    json_writer_number(writer, "pendingBlocks", stats.pending_blocks);
    json_writer_number(writer, "tableBytes", stats.table_bytes);
    json_writer_number(writer, "frameBytes", stats.frame_bytes);
    json_writer_number(writer, "writtenBytes", stats.written_bytes);
    json_writer_number(writer, "groups", stats.groups);
    json_writer_number(writer, "appends", stats.appends);
    json_writer_number(writer, "stateHeights", stats.state_heights);
    json_writer_number(writer, "historyFrom", stats.history_from);
    json_writer_number(writer, "trieHistoryFrom", stats.trie_history_from);
    json_writer_number(writer, "bodiesFrom", stats.bodies_from);
    json_writer_number(writer, "receiptsFrom", stats.receipts_from);
    json_writer_number(writer, "logsFrom", stats.logs_from);
    json_writer_number(writer, "transactionsFrom", stats.transactions_from);
    json_writer_bool(writer, "stopped", stats.stopped != 0);
    json_writer_text(writer, "io", stats.io);
    json_writer_object_end(writer);
    return 0;
}

static void write_class(struct json_writer *writer, const struct stoa_cache_class_stats *stats,
                        const char *key)
{
    uint64_t hits = 0;
    uint64_t bytes = 0;
    uint64_t objects = 0;
    for (size_t tier = 0; tier < STOA_TIERS; tier++) {
        hits += stats->hits[tier];
        bytes += stats->bytes[tier];
        objects += stats->objects[tier];
    }
    json_writer_object_begin(writer, key);
    json_writer_number(writer, "hits", hits);
    json_writer_number(writer, "misses", stats->misses);
    json_writer_number(writer, "bytes", bytes);
    json_writer_number(writer, "budget", stats->budget);
    json_writer_number(writer, "objects", objects);
    json_writer_number(writer, "inserts", stats->inserts);
    json_writer_number(writer, "evictions", stats->evictions);
    json_writer_number(writer, "expirations", stats->expirations);
    json_writer_object_end(writer);
}

int rpc_store_cache(struct rpc_call *call)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    struct json_writer *writer = call->writer;
    int result = stoa_get_cache_stats(call->stoa, &stats);
    if (result != 0) {
        return rpc_call_fail_store(call, result, NULL, "cache");
    }
    json_writer_object_begin(writer, NULL);
    json_writer_number(writer, "limit", stats.limit);
    json_writer_number(writer, "held", stats.held);
    json_writer_bool(writer, "warming", stats.warming != 0);
    json_writer_object_begin(writer, "classes");
    for (int i = 0; i < STOA_CACHE_CLASSES; i++) {
        write_class(writer, &stats.classes[i], stoa_cache_class_name(i));
    }
    json_writer_object_end(writer);
    json_writer_object_end(writer);
    return 0;
}

int rpc_store_branches(struct rpc_call *call)
{
    struct stoa_detail detail = {.code = 0};
    struct json_writer *writer = call->writer;
    size_t count = 0;
    struct stoa_branch *branches = memory_alloc_zeroed(BRANCHES_MAX, sizeof(*branches));
    int result = branches == NULL
                     ? STOA_ENOMEM
                     : stoa_get_branches(call->stoa, branches, BRANCHES_MAX, &count, &detail);
    if (result != 0) {
        memory_free(branches);
        return rpc_call_fail_store(call, result, &detail, "branches");
    }
    json_writer_array_begin(writer, NULL);
    for (size_t i = 0; i < count && i < BRANCHES_MAX; i++) {
        const struct stoa_branch *branch = &branches[i];
        json_writer_object_begin(writer, NULL);
        json_writer_quantity(writer, "number", branch->height);
        json_writer_hex(writer, "hash", branch->hash, HASH_SIZE);
        json_writer_quantity256(writer, "totalDifficulty", branch->total_difficulty);
        json_writer_bool(writer, "canonical", branch->canonical != 0);
        json_writer_quantity(writer, "forkNumber", branch->fork_height);
        json_writer_hex(writer, "forkHash", branch->fork_hash, HASH_SIZE);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
    memory_free(branches);
    return 0;
}

/* ---- jobs ---- */

int rpc_store_jobs(struct rpc_call *call)
{
    struct stoa_detail detail = {.code = 0};
    size_t count = 0;
    struct stoa_job_info *jobs = memory_alloc_zeroed(STOA_JOBS, sizeof(*jobs));
    int result =
        jobs == NULL ? STOA_ENOMEM : stoa_list_jobs(call->stoa, jobs, STOA_JOBS, &count, &detail);
    if (result == 0) {
        json_writer_array_begin(call->writer, NULL);
        for (size_t i = 0; i < count && i < STOA_JOBS; i++) {
            json_job_append(call->writer, NULL, &jobs[i]);
        }
        json_writer_array_end(call->writer);
    }
    memory_free(jobs);
    return result == 0 ? 0 : rpc_call_fail_store(call, result, &detail, "jobs");
}

/* ---- counters ---- */

static void write_metric(void *context, const struct stoa_metric *metric)
{
    struct json_writer *writer = context;
    json_writer_object_begin(writer, NULL);
    json_writer_text(writer, "name", metric->name);
    if (metric->label != NULL) {
        json_writer_object_begin(writer, "labels");
        json_writer_text(writer, metric->label, metric->label_value);
        json_writer_object_end(writer);
    }
    if (metric->kind != STOA_METRIC_HISTOGRAM) {
        json_writer_double(writer, "value", metric->value);
    } else {
        json_writer_number(writer, "count", metric->count);
        json_writer_double(writer, "sum", metric->sum);
        json_writer_double(writer, "max", metric->max);
        json_writer_double(writer, "p50", metric->p50);
        json_writer_double(writer, "p95", metric->p95);
        json_writer_double(writer, "p99", metric->p99);
    }
    json_writer_object_end(writer);
}

int rpc_store_metrics(struct rpc_call *call)
{
    json_writer_array_begin(call->writer, NULL);
    int result = stoa_metrics_list(call->stoa, write_metric, call->writer);
    json_writer_array_end(call->writer);
    return result == 0 ? 0 : rpc_call_fail_store(call, result, NULL, "metrics");
}
