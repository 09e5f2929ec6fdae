/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the recorded conversations do not say: limits, malformed requests, batches, filters over
 * changes of branch. */
#include "rpc/rpc.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "rpc/rpc_fee.h"
#include "rpc/rpc_method.h"

enum { FORK = 40, STORED = 50, LONGER = 20 };

struct bench {
    struct engine_rig *rig;
    struct rpc *rpc;
    uint64_t now_ms;
    struct buffer out;
};

static uint64_t now_ms(void *context)
{
    return ((struct bench *)context)->now_ms;
}

static struct bench *begin(void **state, struct rpc_options options)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench->rig = *state;
    bench->now_ms = 1000;
    options.stoa = bench->rig->stoa;
    options.now_ms = now_ms;
    options.now_context = bench;
    buffer_init(&bench->out);
    assert_int_equal(rpc_create(&options, &bench->rpc, NULL), 0);
    return bench;
}

static void end(struct bench *bench)
{
    rpc_destroy(bench->rpc);
    buffer_deinit(&bench->out);
    free(bench);
}

/* The answer to BODY, NULL where there is none. */
static json_t *ask_bytes(struct bench *bench, const char *body, size_t size)
{
    buffer_clear(&bench->out);
    assert_int_equal(rpc_answer(bench->rpc, bytes_of(body, size), &bench->out), 0);
    if (bench->out.size == 0) {
        return NULL;
    }
    json_t *answer =
        json_loadb((const char *)bench->out.data, bench->out.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(answer);
    return answer;
}

static json_t *ask(struct bench *bench, const char *body)
{
    return ask_bytes(bench, body, strlen(body));
}

/* The result of METHOD with the JSON text PARAMS; it must not be an error. */
static json_t *result_of(struct bench *bench, const char *method, const char *params)
{
    char body[1024];
    snprintf(body, sizeof(body), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
             method, params);
    json_t *answer = ask(bench, body);
    json_t *result = json_incref(json_object_get(answer, "result"));
    if (result == NULL) {
        print_message("%s: %.*s\n", method, (int)bench->out.size, (const char *)bench->out.data);
    }
    assert_non_null(result);
    json_decref(answer);
    return result;
}

static int error_of(const json_t *answer)
{
    return (int)json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

/* The code of the error that METHOD is answered with. */
static int failure_of(struct bench *bench, const char *method, const char *params)
{
    char body[1024];
    snprintf(body, sizeof(body), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
             method, params);
    json_t *answer = ask(bench, body);
    int code = error_of(answer);
    assert_int_not_equal(code, 0);
    assert_null(json_object_get(answer, "result"));
    json_decref(answer);
    return code;
}

static void expect_error(struct bench *bench, const char *body, int code)
{
    json_t *answer = ask(bench, body);
    if (error_of(answer) != code) {
        print_message("%s\n", body);
    }
    assert_int_equal(error_of(answer), code);
    json_decref(answer);
}

/* ---- requests ---- */

static void what_is_no_request_is_told_by_its_code(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 3, .depth_max = 4});
    expect_error(bench, "", RPC_PARSE_ERROR);
    expect_error(bench, "{", RPC_PARSE_ERROR);
    expect_error(bench, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"} x",
                 RPC_PARSE_ERROR);
    expect_error(bench, "{\"id\":1,\"id\":2,\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}",
                 RPC_PARSE_ERROR);
    expect_error(bench, "1", RPC_INVALID_REQUEST);
    expect_error(bench, "[]", RPC_INVALID_REQUEST);
    expect_error(bench, "[1,1,1,1]", RPC_INVALID_REQUEST);
    expect_error(bench, "[[[[[]]]]]", RPC_INVALID_REQUEST);
    expect_error(bench, "{\"id\":1,\"method\":\"eth_chainId\"}", RPC_INVALID_REQUEST);
    expect_error(bench, "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"eth_chainId\"}",
                 RPC_INVALID_REQUEST);
    expect_error(bench, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", RPC_INVALID_REQUEST);
    expect_error(bench, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_nothing\"}", RPC_NO_METHOD);
    expect_error(bench, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":[{}]}",
                 RPC_NO_METHOD);
    expect_error(bench, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[1]}",
                 RPC_INVALID_PARAMS);
    expect_error(bench,
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getBlockByHash\",\"params\":{}}",
                 RPC_INVALID_PARAMS);
    /* Brackets inside a text are no depth. */
    json_t *answer =
        ask(bench, "{\"jsonrpc\":\"2.0\",\"id\":\"[[[[[[\\\"[[\",\"method\":\"eth_chainId\"}");
    assert_string_equal(json_string_value(json_object_get(answer, "id")), "[[[[[[\"[[");
    json_decref(answer);
    end(bench);
}

static void a_batch_answers_each_call_but_notifications(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 10});
    json_t *answer =
        ask(bench, "[{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"},"
                   "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"eth_chainId\"},"
                   "{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"},7,"
                   "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"eth_blockNumber\"}]");
    assert_int_equal(json_array_size(answer), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(answer, 0), "id")), "a");
    assert_int_equal(error_of(json_array_get(answer, 1)), RPC_INVALID_REQUEST);
    assert_true(json_is_null(json_object_get(json_array_get(answer, 2), "id")));
    json_decref(answer);
    assert_null(ask(bench, "[{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}]"));
    assert_null(ask(bench, "{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}"));
    end(bench);
}

static void what_does_not_fit_the_answer_is_an_error_in_its_place(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.answer_max = 3000});
    engine_rig_put(bench->rig, 1, STORED);
    json_t *answer = ask(bench, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"},"
                                "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_getBlockByNumber\","
                                "\"params\":[\"0x28\",true]},"
                                "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"eth_chainId\"}]");
    assert_int_equal(json_array_size(answer), 3);
    assert_non_null(json_object_get(json_array_get(answer, 0), "result"));
    assert_int_equal(error_of(json_array_get(answer, 1)), RPC_TOO_LARGE);
    assert_non_null(json_object_get(json_array_get(answer, 2), "result"));
    json_decref(answer);
    end(bench);
}

struct late {
    struct bench *bench;
    uint64_t step;
};

/* Each look at the clock finds it a second later. */
static uint64_t late_ms(void *context)
{
    struct late *late = context;
    return late->step += 1000;
}

static void calls_after_the_time_are_answered_as_late(void **state)
{
    struct engine_rig *rig = *state;
    struct late late = {.step = 0};
    struct rpc_options options = {
        .stoa = rig->stoa, .now_ms = late_ms, .now_context = &late, .time_ms = 2500};
    struct bench bench = {.rig = rig};
    assert_int_equal(rpc_create(&options, &bench.rpc, NULL), 0);
    json_t *answer = ask(&bench, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"},"
                                 "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_chainId\"},"
                                 "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"eth_chainId\"}]");
    assert_non_null(json_object_get(json_array_get(answer, 0), "result"));
    assert_int_equal(error_of(json_array_get(answer, 2)), RPC_TIMEOUT);
    json_decref(answer);
    rpc_destroy(bench.rpc);
    buffer_deinit(&bench.out);
}

static void arguments_that_are_none_are_refused(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 0});
    static const struct {
        const char *method;
        const char *params;
    } wrong[] = {
        {"eth_getBlockByNumber", "[]"},
        {"eth_getBlockByNumber", "[\"0x01\"]"},
        {"eth_getBlockByNumber", "[\"0x\"]"},
        {"eth_getBlockByNumber", "[\"0xg\"]"},
        {"eth_getBlockByNumber", "[\"0x10000000000000000\"]"},
        {"eth_getBlockByNumber", "[\"0x8000000000000000\"]"},
        {"eth_getBlockByNumber", "[\"newest\"]"},
        {"eth_getBlockByNumber", "[7]"},
        {"eth_getBlockByNumber", "[\"0x1\",1]"},
        {"eth_getBlockByHash", "[\"0x12\"]"},
        {"eth_getBlockByHash", "[null]"},
        {"eth_getBalance", "[\"0x00000000000000000000000000000000000000zz\"]"},
        {"eth_getBalance", "[\"0x0000000000000000000000000000000000000000\",{}]"},
        {"eth_getBalance", "[\"0x0000000000000000000000000000000000000000\","
                           "{\"blockNumber\":\"0x0\",\"blockHash\":\"0x0\"}]"},
        {"eth_getLogs", "[[]]"},
        {"eth_getLogs", "[{\"topics\":[[],[],[],[],[]]}]"},
        {"eth_getLogs", "[{\"address\":\"0x1\"}]"},
        {"eth_feeHistory", "[\"0x1\",\"latest\",[101]]"},
        {"eth_feeHistory", "[\"0x1\",\"latest\",[50,10]]"},
        {"eth_newFilter", "[{\"blockHash\":\"0x0000000000000000000000000000000000000000000000000000"
                          "000000000000\"}]"},
        {"ots_getBlockTransactions", "[1,0,0]"},
        {"ots_getBlockTransactions", "[1,0,100000]"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(failure_of(bench, wrong[i].method, wrong[i].params), RPC_INVALID_PARAMS);
    }
    assert_int_equal(failure_of(bench, "eth_getBlockByNumber", "[\"safe\"]"), RPC_UNKNOWN_BLOCK);
    end(bench);
}

/* ---- filters ---- */

static void hash_text(const uint8_t hash[32], char out[67])
{
    memcpy(out, "0x", 2);
    bytes_to_hex(hash, 32, out + 2);
}

static void expect_hash(const json_t *value, const uint8_t hash[32])
{
    char text[67];
    hash_text(hash, text);
    assert_string_equal(json_string_value(value), text);
}

/* "[\"ID\"]" of a new filter. */
static void new_filter(struct bench *bench, const char *method, const char *params, char out[64])
{
    json_t *id = result_of(bench, method, params);
    snprintf(out, 64, "[\"%s\"]", json_string_value(id));
    json_decref(id);
}

static size_t logs_of(struct bench *bench, uint64_t from, uint64_t to)
{
    char params[128];
    snprintf(params, sizeof(params), "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\"}]",
             (unsigned long long)from, (unsigned long long)to);
    json_t *logs = result_of(bench, "eth_getLogs", params);
    size_t count = json_array_size(logs);
    json_decref(logs);
    return count;
}

static void a_block_filter_tells_the_blocks_since_it_was_asked(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 0});
    char filter[64];
    engine_rig_put(bench->rig, 1, 10);
    new_filter(bench, "eth_newBlockFilter", "[]", filter);
    json_t *changes = result_of(bench, "eth_getFilterChanges", filter);
    assert_int_equal(json_array_size(changes), 0);
    json_decref(changes);
    engine_rig_put(bench->rig, 11, 13);
    changes = result_of(bench, "eth_getFilterChanges", filter);
    assert_int_equal(json_array_size(changes), 3);
    for (uint64_t i = 0; i < 3; i++) {
        expect_hash(json_array_get(changes, i), made_chain_block(bench->rig->chain, 11 + i)->hash);
    }
    json_decref(changes);
    changes = result_of(bench, "eth_getFilterChanges", filter);
    assert_int_equal(json_array_size(changes), 0);
    json_decref(changes);
    end(bench);
}

/* Store the blocks of a branch that is longer than the rig's, and make it canonical. */
static void change_branch(struct engine_rig *rig, const struct made_chain *branch)
{
    uint64_t last = made_chain_first(branch) + made_chain_count(branch) - 1;
    for (uint64_t number = made_chain_first(branch); number <= last; number++) {
        const struct made_block *block = made_chain_block(branch, number);
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        put.block = (struct stoa_bytes){block->block.data, block->block.size};
        put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
        put.flags = STOA_STORE_SIDE;
        assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    }
    assert_int_equal(stoa_update_head(rig->stoa, made_chain_block(branch, last)->hash, NULL), 0);
}

static void filters_see_a_change_of_branch(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 0});
    struct engine_rig *rig = bench->rig;
    char blocks[64];
    char logs[64];
    engine_rig_put(rig, 1, FORK);
    engine_rig_put(rig, FORK + 1, STORED);
    new_filter(bench, "eth_newBlockFilter", "[]", blocks);
    new_filter(bench, "eth_newFilter", "[{}]", logs);
    size_t left = logs_of(bench, FORK + 1, STORED);
    assert_true(left > 0);

    struct made_chain *branch = made_chain_create_branch(rig->chain, FORK, 77, LONGER);
    change_branch(rig, branch);
    size_t came = logs_of(bench, FORK + 1, FORK + LONGER);
    assert_true(came > 0);

    json_t *changes = result_of(bench, "eth_getFilterChanges", blocks);
    assert_int_equal(json_array_size(changes), LONGER);
    expect_hash(json_array_get(changes, 0), made_chain_block(branch, FORK + 1)->hash);
    json_decref(changes);

    changes = result_of(bench, "eth_getFilterChanges", logs);
    assert_int_equal(json_array_size(changes), left + came);
    uint64_t before = STORED + 1;
    for (size_t i = 0; i < left + came; i++) {
        const json_t *log = json_array_get(changes, i);
        uint64_t height =
            strtoull(json_string_value(json_object_get(log, "blockNumber")), NULL, 16);
        assert_int_equal(json_is_true(json_object_get(log, "removed")), i < left);
        assert_true(i >= left || height <= before);
        expect_hash(json_object_get(log, "blockHash"),
                    made_chain_block(i < left ? rig->chain : branch, height)->hash);
        before = height;
    }
    json_decref(changes);
    changes = result_of(bench, "eth_getFilterChanges", logs);
    assert_int_equal(json_array_size(changes), 0);
    json_decref(changes);
    made_chain_destroy(branch);
    end(bench);
}

static void filters_are_bounded_and_forgotten(void **state)
{
    struct bench *bench =
        begin(state, (struct rpc_options){.filters_max = 2, .filter_seconds = 60});
    char first[64];
    char second[64];
    engine_rig_put(bench->rig, 1, 3);
    new_filter(bench, "eth_newBlockFilter", "[]", first);
    new_filter(bench, "eth_newFilter", "[{}]", second);
    assert_string_not_equal(first, second);
    assert_int_equal(failure_of(bench, "eth_newBlockFilter", "[]"), RPC_LIMIT);
    bench->now_ms += 40000;
    json_decref(result_of(bench, "eth_getFilterChanges", first));
    bench->now_ms += 40000; /* the second has idled for 80 seconds, the first for 40 */
    assert_int_equal(failure_of(bench, "eth_getFilterChanges", second), RPC_FAILED);
    json_decref(result_of(bench, "eth_getFilterChanges", first));
    json_t *gone = result_of(bench, "eth_uninstallFilter", first);
    assert_true(json_is_true(gone));
    json_decref(gone);
    gone = result_of(bench, "eth_uninstallFilter", first);
    assert_true(json_is_false(gone));
    json_decref(gone);
    struct rpc_counts counts;
    rpc_get_counts(bench->rpc, &counts);
    assert_int_equal(counts.filters, 0);
    end(bench);
}

/* ---- explorers ---- */

static void pages_of_an_address_meet_without_gaps(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 0});
    const struct made_chain *chain = bench->rig->chain;
    char address[43];
    size_t wanted = 0;
    engine_rig_put(bench->rig, 1, STORED);
    const struct made_block *some = made_chain_block(chain, 30);
    assert_true(some->transaction_count > 0);
    memcpy(address, "0x", 2);
    bytes_to_hex(some->transactions[0].sender, 20, address + 2);
    char params[128];
    uint64_t below = 0;
    uint64_t last = UINT64_MAX;
    bool at_end = false;
    while (!at_end) {
        snprintf(params, sizeof(params), "[\"%s\",%llu,2]", address, (unsigned long long)below);
        json_t *page = result_of(bench, "ots_searchTransactionsBefore", params);
        const json_t *found = json_object_get(page, "txs");
        assert_int_equal(json_array_size(found),
                         json_array_size(json_object_get(page, "receipts")));
        assert_int_equal(json_is_true(json_object_get(page, "firstPage")), below == 0);
        for (size_t i = 0; i < json_array_size(found); i++) {
            last = strtoull(
                json_string_value(json_object_get(json_array_get(found, i), "blockNumber")), NULL,
                16);
            assert_true(below == 0 || last < below);
            wanted++;
        }
        below = last;
        at_end = json_is_true(json_object_get(page, "lastPage"));
        json_decref(page);
    }
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_history all;
    memcpy(query.address, some->transactions[0].sender, 20);
    query.roles = STOA_ROLE_ALL & ~STOA_ROLE_WITHDRAWAL;
    query.limit = 10000;
    assert_int_equal(stoa_get_address_transactions(bench->rig->stoa, &query, &all, NULL), 0);
    assert_int_equal(all.count, wanted);
    stoa_free(all.entries);
    end(bench);
}

static void blocks_are_found_by_time(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 0});
    engine_rig_put(bench->rig, 1, STORED);
    json_t *block = result_of(bench, "eth_getBlockByNumber", "[\"0x14\"]");
    uint64_t time = strtoull(json_string_value(json_object_get(block, "timestamp")), NULL, 16);
    json_decref(block);
    for (int later = 0; later < 2; later++) {
        char params[64];
        snprintf(params, sizeof(params), "[%llu]", (unsigned long long)time + (unsigned)later);
        block = result_of(bench, "erigon_getBlockByTimestamp", params);
        assert_string_equal(json_string_value(json_object_get(block, "number")), "0x14");
        json_decref(block);
    }
    end(bench);
}

static void the_store_tells_of_itself(void **state)
{
    struct bench *bench = begin(state, (struct rpc_options){.batch_max = 0});
    engine_rig_put(bench->rig, 1, 3);
    json_t *jobs = result_of(bench, "stoa_jobs", "[]");
    assert_int_equal(json_array_size(jobs), STOA_JOBS);
    assert_non_null(json_object_get(json_array_get(jobs, 0), "state"));
    assert_true(json_is_object(json_object_get(json_array_get(jobs, 0), "results")));
    json_decref(jobs);
    json_t *stats = result_of(bench, "stoa_stats", "[]");
    assert_int_equal(json_integer_value(json_object_get(stats, "blocks")), 4);
    json_decref(stats);
    json_t *health = result_of(bench, "stoa_health", "[]");
    assert_string_equal(json_string_value(json_object_get(health, "state")), "healthy");
    json_decref(health);
    json_decref(result_of(bench, "stoa_cacheStats", "[]"));
    json_t *branches = result_of(bench, "stoa_branches", "[]");
    assert_int_equal(json_array_size(branches), 1);
    json_decref(branches);
    json_t *metrics = result_of(bench, "stoa_metrics", "[]");
    assert_true(json_array_size(metrics) > 20);
    json_decref(metrics);
    end(bench);
}

/* ---- fees, tables ---- */

static void the_next_base_fee_follows_the_gas_used(void **state)
{
    (void)state;
    static const struct {
        uint64_t base, limit, used, next;
    } rows[] = {
        {1000000000, 10000000, 5000000, 1000000000},
        {1000000000, 10000000, 10000000, 1125000000},
        {1000000000, 10000000, 0, 875000000},
        {1, 10000000, 5000001, 2}, /* it rises by one at least */
        {7, 10000000, 0, 7},       /* and falls by whole wei */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct header header = {
            .field_count = 16, .gas_limit = rows[i].limit, .gas_used = rows[i].used};
        uint8_t next[32];
        bytes_store_be64(header.base_fee + 24, rows[i].base);
        assert_true(rpc_fee_next_base(&header, next));
        assert_int_equal(bytes_load_be64(next + 24), rows[i].next);
    }
    struct header old = {.field_count = 15, .gas_limit = 10000000};
    uint8_t next[32];
    assert_false(rpc_fee_next_base(&old, next));
}

static void the_table_of_methods_is_sorted(void **state)
{
    (void)state;
    size_t count = 0;
    for (; rpc_method_at(count) != NULL; count++) {
        const struct rpc_method *method = rpc_method_at(count);
        assert_ptr_equal(rpc_method_find(method->name), method);
        assert_true(method->arguments_min <= method->arguments_max);
        assert_true(count == 0 || strcmp(rpc_method_at(count - 1)->name, method->name) < 0);
    }
    assert_true(count > 70);
    assert_null(rpc_method_find("eth_"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_base_fee_follows_the_gas_used),
        cmocka_unit_test(the_table_of_methods_is_sorted),
        cmocka_unit_test_setup_teardown(what_is_no_request_is_told_by_its_code,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_batch_answers_each_call_but_notifications,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_the_answer_is_an_error_in_its_place,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(calls_after_the_time_are_answered_as_late,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(arguments_that_are_none_are_refused, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_block_filter_tells_the_blocks_since_it_was_asked,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(filters_see_a_change_of_branch, engine_rig_set_up_threads,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(filters_are_bounded_and_forgotten, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(pages_of_an_address_meet_without_gaps,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(the_store_tells_of_itself, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(blocks_are_found_by_time, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
