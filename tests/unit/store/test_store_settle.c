/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who was told that a block is stored finds it, by any way, at once: whatever of it has not settled
 * yet, and whatever else is under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum { BLOCKS = 120, AT_ONCE = 12, ASKED = 6 };

enum question { BY_HEIGHT, BY_HASH, TRANSACTION, HISTORY, LOGS, CHAIN };

/* What is asked when a block was acknowledged, and what was answered. */
struct asked {
    struct store_request requests[ASKED];
};

struct trial {
    struct simtree tree;
    struct made_chain *chain;
    struct store_request puts[BLOCKS];
    struct simtree_changes changes[BLOCKS];
    struct asked asked[BLOCKS];
    unsigned acknowledged;
    unsigned asked_for; /* of these */
    unsigned answered;
    unsigned wanted; /* answers */
};

static void note_answer(struct store_request *request)
{
    struct trial *trial = request->context;
    trial->answered++;
    if (request->result == 0 && request->kind == STORE_GET_BLOCK) {
        store_view_release(request->block.view);
    } else if (request->result == 0 && request->kind == STORE_GET_TRANSACTION) {
        store_view_release(request->transaction.block.view);
    }
}

static void ask(struct trial *trial, struct store_request *request)
{
    request->done = note_answer;
    request->context = trial;
    trial->wanted++;
    store_submit(trial->tree.sim.store, request);
}

static struct store_request history_of(const struct made_block *block)
{
    struct store_request request = {.kind = STORE_QUERY_HISTORY};
    request.history_query = (struct stoa_history_query)STOA_HISTORY_QUERY_INIT;
    request.history_query.from = block->number;
    request.history_query.to = block->number;
    memcpy(request.history_query.address, block->transactions[0].sender, 20);
    return request;
}

static struct store_request logs_of(uint64_t from, uint64_t to)
{
    struct store_request request = {.kind = STORE_QUERY_LOGS};
    request.log_filter = (struct stoa_log_filter)STOA_LOG_FILTER_INIT;
    request.log_filter.from = from;
    request.log_filter.to = to;
    return request;
}

static void note_put(struct store_request *put)
{
    struct trial *trial = put->context;
    assert_int_equal(put->result, 0);
    assert_ptr_equal(put, &trial->puts[trial->acknowledged]);
    trial->acknowledged++;
}

/* Block I has been acknowledged just now. */
static void ask_for(struct trial *trial, size_t i)
{
    const struct made_block *block = made_chain_block(trial->chain, 1 + i);
    struct store_request *requests = trial->asked[i].requests;
    requests[BY_HEIGHT] = (struct store_request){
        .kind = STORE_GET_BLOCK, .key = {.by = STOA_BY_HEIGHT, .height = block->number}};
    requests[BY_HASH] =
        (struct store_request){.kind = STORE_GET_BLOCK, .key = {.by = STOA_BY_HASH}};
    memcpy(requests[BY_HASH].key.hash, block->hash, 32);
    requests[CHAIN] = logs_of(0, UINT64_MAX); /* it takes long, so others come meanwhile */
    requests[LOGS] = logs_of(block->number, block->number);
    ask(trial, &requests[CHAIN]);
    ask(trial, &requests[BY_HEIGHT]);
    ask(trial, &requests[BY_HASH]);
    ask(trial, &requests[LOGS]);
    if (block->transaction_count != 0) {
        requests[TRANSACTION] = (struct store_request){.kind = STORE_GET_TRANSACTION};
        memcpy(requests[TRANSACTION].hash, block->transactions[0].hash, 32);
        requests[HISTORY] = history_of(block);
        ask(trial, &requests[TRANSACTION]);
        ask(trial, &requests[HISTORY]);
    }
}

static void run_until(struct trial *trial, unsigned acknowledged_count)
{
    while (trial->acknowledged < acknowledged_count) {
        assert_true(io_run(trial->tree.sim.io, 1000000000) >= 0);
        while (trial->asked_for < trial->acknowledged) {
            ask_for(trial, trial->asked_for++);
        }
    }
}

/* The same log queries are answered the same when all is in the tables. */
static void expect_logs(struct trial *trial, const struct store_request *early, uint64_t from,
                        uint64_t to)
{
    struct store_request late = logs_of(from, to);
    struct stoa_logs logs;
    if (simstore_query_logs(&trial->tree.sim, &late.log_filter, &logs) != 0) {
        fail_msg("logs %llu to %llu: %s", (unsigned long long)from, (unsigned long long)to,
                 trial->tree.sim.detail.text);
    }
    if (early->result != 0) {
        fail_msg("early logs %llu to %llu: %d, %s", (unsigned long long)early->log_filter.from,
                 (unsigned long long)early->log_filter.to, early->result, early->detail.text);
    }
    assert_true(early->logs.count == logs.count);
    for (size_t i = 0; i < logs.count; i++) {
        assert_int_equal(early->logs.logs[i].height, logs.logs[i].height);
        assert_int_equal(early->logs.logs[i].log_index, logs.logs[i].log_index);
        assert_memory_equal(early->logs.logs[i].transaction_hash, logs.logs[i].transaction_hash,
                            32);
    }
    memory_free(logs.logs);
    memory_free(early->logs.logs);
}

static void expect_answers(struct trial *trial, size_t i)
{
    const struct made_block *block = made_chain_block(trial->chain, 1 + i);
    struct store_request *requests = trial->asked[i].requests;
    for (unsigned k = BY_HEIGHT; k <= BY_HASH; k++) {
        assert_int_equal(requests[k].result, 0);
        assert_int_equal(requests[k].block.height, block->number);
        assert_memory_equal(requests[k].block.hash, block->hash, 32);
    }
    expect_logs(trial, &requests[LOGS], block->number, block->number);
    const struct stoa_logs *all = &requests[CHAIN].logs;
    assert_int_equal(requests[CHAIN].result, 0);
    uint64_t top = all->count == 0 ? 0 : all->logs[all->count - 1].height;
    expect_logs(trial, &requests[CHAIN], 0, top > block->number ? top : block->number);
    if (block->transaction_count != 0) {
        assert_int_equal(requests[TRANSACTION].result, 0);
        assert_int_equal(requests[TRANSACTION].transaction.block.height, block->number);
        assert_int_equal(requests[HISTORY].result, 0);
        assert_true(requests[HISTORY].history.count >= 1);
        memory_free(requests[HISTORY].history.entries);
    }
}

static void what_was_acknowledged_is_found_at_once(void **state)
{
    (void)state;
    struct trial *trial = calloc(1, sizeof(*trial));
    assert_non_null(trial);
    trial->chain = made_chain_create(71, BLOCKS);
    simtree_init(&trial->tree, fixture_seed(), trial->chain);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct simtree_block *block =
            simtree_add_made(&trial->tree, made_chain_block(trial->chain, 1 + i));
        struct store_request *put = &trial->puts[i];
        *put = (struct store_request){.kind = STORE_PUT_BLOCK, .done = note_put, .context = trial};
        put->put = simtree_put_of(&trial->tree, block, &trial->changes[i]);
        store_submit(trial->tree.sim.store, put);
        if (i % AT_ONCE == AT_ONCE - 1) {
            run_until(trial, i + 1 - AT_ONCE / 2); /* some are under way always */
        }
        if (i == BLOCKS / 2) {
            simtree_checkpoint(&trial->tree);
        }
    }
    run_until(trial, BLOCKS);
    while (trial->answered < trial->wanted) {
        assert_true(io_run(trial->tree.sim.io, 1000000000) >= 0);
    }
    simtree_checkpoint(&trial->tree);
    for (size_t i = 0; i < BLOCKS; i++) {
        expect_answers(trial, i);
    }
    simtree_deinit(&trial->tree);
    made_chain_destroy(trial->chain);
    free(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_is_found_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
