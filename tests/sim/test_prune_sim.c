/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks pruned on a simulated machine: what is kept is what it was, what is not is refused with
 * the window named, the store verifies, tables made anew from what is left say the same, and power
 * may go at any I/O. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/store_private.h"
#include "support/sanitized.h"
#include "support/simstore.h"

enum { BLOCKS = 900, FINALIZED = 860 };

static struct made_chain *chain;

static void power(struct simstore *sim, const struct io_sim_options *options)
{
    struct io_sim_options own = *options;
    own.seed = 3;
    own.delay_ns_max = 100000;
    simstore_power(sim, &own);
}

/* A store with the chain, all its jobs ready. */
static void init(struct simstore *sim, uint64_t seed)
{
    simstore_init(sim, seed);
    sim->with_jobs = true;
    sim->segment_size = 1 << 20;
    sim->first_segment_size = 1 << 20;
    power(sim, &(struct io_sim_options){.cut_at = 0});
    assert_int_equal(simstore_create(sim, chain), 0);
    assert_int_equal(simstore_open(sim), 0);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(chain, number));
        assert_int_equal(simstore_put(sim, &put), 0);
    }
    assert_int_equal(simstore_set_mark(sim, STORE_SET_FINALIZED, FINALIZED), 0);
    assert_true(store_thin_last(sim->store) >= 1);
}

static void deinit(struct simstore *sim)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    simstore_deinit(sim);
}

struct depths {
    uint64_t bodies;
    uint64_t receipts;
    uint64_t logs;
    uint64_t transactions;
};

static int prune(struct simstore *sim, struct depths depths, unsigned flags,
                 struct stoa_job_info *out_info)
{
    struct job_order order = {.flags = flags};
    order.numbers[JOB_KEEP_BODIES] = depths.bodies;
    order.numbers[JOB_KEEP_RECEIPTS] = depths.receipts;
    order.numbers[JOB_KEEP_LOGS] = depths.logs;
    order.numbers[JOB_KEEP_TRANSACTIONS] = depths.transactions;
    return simstore_run_job(sim, STOA_JOB_PRUNE, &order, out_info);
}

static uint64_t fact(const struct stoa_job_info *info, const char *name)
{
    for (size_t i = 0; i < info->fact_count; i++) {
        if (strcmp(info->facts[i].name, name) == 0) {
            return info->facts[i].value;
        }
    }
    fail_msg("no fact %s", name);
    return 0;
}

static struct stoa_stats stats_of(const struct simstore *sim)
{
    struct stoa_stats stats;
    store_get_stats(sim->store, &stats);
    return stats;
}

/* ---- what the store says ---- */

static void note(struct store_request *request)
{
    bool *done = request->context;
    *done = true;
}

static void expect_header(struct simstore *sim, uint64_t height)
{
    const struct made_block *made = made_chain_block(chain, height);
    bool done = false;
    struct store_request request = {
        .kind = STORE_GET_BLOCK,
        .key = {.by = STOA_BY_HEIGHT, .height = height},
        .header_only = true,
        .done = note,
        .context = &done,
    };
    store_submit(sim->store, &request);
    while (!done) {
        assert_true(io_run(sim->io, 1000000000) >= 0);
    }
    assert_int_equal(request.result, 0);
    assert_memory_equal(request.block.hash, made->hash, 32);
    struct block block;
    assert_int_equal(
        block_decode(bytes_of(request.block.block.data, request.block.block.size), &block, NULL),
        0);
    assert_memory_equal(block.hash, made->hash, 32);
    assert_memory_equal(block.header.state_root, made->state_root, 32);
    store_view_release(request.block.view);
}

static void expect_block(struct simstore *sim, const struct made_block *made,
                         const struct stoa_block_key *key)
{
    const struct stoa_stats stats = stats_of(sim);
    struct stoa_block block;
    int result = simstore_get(sim, key, &block);
    if (made->number < stats.bodies_from) {
        char window[64];
        snprintf(window, sizeof(window), "those of %llu to %d are",
                 (unsigned long long)stats.bodies_from, BLOCKS);
        assert_int_equal(result, STOA_EPRUNED);
        assert_non_null(strstr(sim->detail.text, window));
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(block.block.size, made->block.size);
    assert_memory_equal(block.block.data, made->block.data, made->block.size);
    if (made->number < stats.receipts_from) {
        assert_null(block.receipts.data);
        assert_true(block.receipts_pruned);
    } else {
        assert_false(block.receipts_pruned);
        assert_int_equal(block.receipts.size, made->receipts.size);
        assert_memory_equal(block.receipts.data, made->receipts.data, made->receipts.size);
    }
    store_view_release(block.view);
}

static void expect_transactions(struct simstore *sim, const struct made_block *made)
{
    const struct stoa_stats stats = stats_of(sim);
    for (size_t i = 0; i < made->transaction_count; i++) {
        const struct made_transaction *own = &made->transactions[i];
        struct stoa_transaction found;
        int result = simstore_get_transaction(sim, own->hash, &found);
        if (made->number < stats.transactions_from) {
            assert_int_equal(result, STOA_ENOTFOUND);
            assert_non_null(strstr(sim->detail.text, "can be found"));
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(found.block.height, made->number);
        assert_int_equal(found.index, i);
        assert_true(
            bytes_equal(bytes_of(found.transaction.data, found.transaction.size), own->envelope));
        if (made->number < stats.receipts_from) {
            assert_null(found.receipt.data);
            assert_true(found.block.receipts_pruned);
        } else {
            assert_true(
                bytes_equal(bytes_of(found.receipt.data, found.receipt.size), own->receipt));
        }
        store_view_release(found.block.view);
    }
}

static size_t logs_of[BLOCKS + 1]; /* as the whole store has them */
static size_t history_of[BLOCKS + 1];

static void expect_queries(struct simstore *sim, const struct made_block *made, bool first)
{
    const struct stoa_stats stats = stats_of(sim);
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    filter.from = made->number;
    filter.to = made->number;
    int result = simstore_query_logs(sim, &filter, &logs);
    if (made->number < stats.logs_from) {
        assert_int_equal(result, STOA_EPRUNED);
        assert_non_null(strstr(sim->detail.text, "are not kept any more: those of"));
    } else {
        assert_int_equal(result, 0);
        logs_of[made->number] = first ? logs.count : logs_of[made->number];
        assert_int_equal(logs.count, logs_of[made->number]);
        assert_int_equal(logs.missing, 0);
        memory_free(logs.logs);
    }
    if (made->transaction_count == 0) {
        return;
    }
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_history history;
    memcpy(query.address, made->transactions[0].sender, 20);
    query.from = made->number;
    query.to = made->number;
    result = simstore_query_history(sim, &query, &history);
    uint64_t floor =
        stats.logs_from > stats.transactions_from ? stats.logs_from : stats.transactions_from;
    if (made->number < floor) {
        assert_int_equal(result, STOA_EPRUNED);
        return;
    }
    assert_int_equal(result, 0);
    history_of[made->number] = first ? history.count : history_of[made->number];
    assert_true(history.count > 0);
    assert_int_equal(history.count, history_of[made->number]);
    memory_free(history.entries);
}

/* EVERY so many blocks are looked at. */
static void expect(struct simstore *sim, uint64_t every, bool first)
{
    for (uint64_t number = 1; number <= BLOCKS; number += every) {
        const struct made_block *made = made_chain_block(chain, number);
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = number};
        expect_header(sim, number);
        expect_block(sim, made, &key);
        key.by = STOA_BY_HASH;
        memcpy(key.hash, made->hash, 32);
        expect_block(sim, made, &key);
        expect_transactions(sim, made);
        expect_queries(sim, made, first);
    }
}

static void expect_verified(struct simstore *sim)
{
    unsigned damages = 0;
    assert_int_equal(simstore_verify(sim, &damages), 0);
    assert_int_equal(damages, 0);
}

static void expect_floors(const struct simstore *sim, struct depths floors)
{
    const struct stoa_stats stats = stats_of(sim);
    assert_int_equal(stats.bodies_from, floors.bodies);
    assert_int_equal(stats.receipts_from, floors.receipts);
    assert_int_equal(stats.logs_from, floors.logs);
    assert_int_equal(stats.transactions_from, floors.transactions);
}

/* ---- tests ---- */

static void each_has_a_depth_of_its_own(void **state)
{
    (void)state;
    struct simstore sim;
    struct stoa_job_info info;
    struct stoa_job_info dry;
    init(&sim, 5);
    expect(&sim, 1, true);
    uint64_t before = stats_of(&sim).ledger_bytes;
    const struct depths depths = {.bodies = 500, .receipts = 400, .logs = 350, .transactions = 300};
    assert_int_equal(prune(&sim, depths, JOB_DRY_RUN, &dry), 0);
    expect_floors(&sim, (struct depths){0});
    assert_int_equal(stats_of(&sim).ledger_bytes, before);
    assert_int_equal(prune(&sim, depths, 0, &info), 0);
    expect_floors(&sim, (struct depths){400, 500, 550, 600});
    assert_true(fact(&info, "segmentsThinned") >= 1);
    assert_int_equal(fact(&info, "segmentsThinned"), fact(&dry, "segmentsThinned"));
    assert_int_equal(before - stats_of(&sim).ledger_bytes, fact(&info, "ledgerBytesFreed"));
    assert_true(fact(&info, "ledgerBytesFreed") >= fact(&dry, "ledgerBytesFreed") / 2);
    assert_int_equal(fact(&info, "segmentsDamaged"), 0);
    expect(&sim, 1, false);
    expect_verified(&sim);
    assert_int_equal(simstore_close(&sim), 0);
    assert_int_equal(simstore_open(&sim), 0);
    expect_floors(&sim, (struct depths){400, 500, 550, 600});
    expect(&sim, 3, false);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_lose_tables(&sim);
    assert_int_equal(simstore_open(&sim), 0); /* from what is left */
    expect_floors(&sim, (struct depths){400, 500, 550, 600});
    expect(&sim, 1, false);
    expect_verified(&sim);
    for (int index = STORE_INDEX_TRANSACTIONS; index <= STORE_INDEX_LOGS; index++) {
        assert_int_equal(simstore_rebuild(&sim, (enum store_index)index), 0);
    }
    expect(&sim, 3, false);
    expect_verified(&sim);
    deinit(&sim);
}

static void what_cannot_be_read_is_not_kept(void **state)
{
    (void)state;
    struct simstore sim;
    struct stoa_job_info info;
    init(&sim, 6);
    expect(&sim, 1, true);
    assert_int_equal(prune(&sim, (struct depths){.bodies = 63}, 0, NULL), STOA_EINVAL);
    assert_int_equal(prune(&sim, (struct depths){.bodies = 100, .receipts = 101}, 0, NULL),
                     STOA_EINVAL);
    assert_int_equal(prune(&sim, (struct depths){.receipts = 100, .logs = 101}, 0, NULL),
                     STOA_EINVAL);
    assert_int_equal(prune(&sim, (struct depths){.bodies = 100, .transactions = 101}, 0, NULL),
                     STOA_EINVAL);
    expect_floors(&sim, (struct depths){0});
    assert_int_equal(prune(&sim, (struct depths){.bodies = 400}, 0, &info), 0);
    expect_floors(&sim, (struct depths){500, 500, 500, 500});
    assert_int_equal(prune(&sim, (struct depths){.logs = 450}, 0, &info), 0); /* they only rise */
    expect_floors(&sim, (struct depths){500, 500, 500, 500});
    assert_int_equal(prune(&sim, (struct depths){.logs = 300}, 0, &info), 0);
    expect_floors(&sim, (struct depths){500, 500, 600, 500});
    /* What was thinned is thinned once more; nothing above the finalized block goes. */
    assert_int_equal(prune(&sim, (struct depths){.bodies = 64}, 0, &info), 0);
    expect_floors(&sim, (struct depths){836, 836, 836, 836});
    expect(&sim, 1, false);
    expect_verified(&sim);
    struct stoa_store_block put = simstore_put_of(made_chain_block(chain, 7));
    assert_int_equal(simstore_put(&sim, &put), STOA_EEXISTS);
    assert_int_equal(simstore_receipts(&sim, made_chain_block(chain, 7)), STOA_EPRUNED);
    deinit(&sim);
}

static const struct depths cut_depths = {
    .bodies = 400, .receipts = 300, .logs = 250, .transactions = 200};

/* True: power went before the job's end. */
static bool cut_once(struct simstore *sim, uint64_t cut_at)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    power(sim, &(struct io_sim_options){.cut_at = cut_at});
    int result = simstore_open(sim);
    if (result == 0) {
        (void)prune(sim, cut_depths, 0, NULL); /* power may go */
    }
    bool cut = io_sim_is_cut(sim->io);
    if (cut) {
        simstore_cut(sim, cut_at * 13, true);
        power(sim, &(struct io_sim_options){.cut_at = 0});
        assert_int_equal(simstore_open(sim), 0);
    }
    return cut;
}

static void power_may_go_at_any_moment(void **state)
{
    (void)state;
    uint64_t cuts = 0;
    for (unsigned offset = 0; offset < 2; offset++) { /* in another store: other moments */
        struct simstore sim;
        init(&sim, 7 + offset);
        expect(&sim, 1, true);
        uint64_t cut_at = 1 + offset;
        while (cut_once(&sim, cut_at)) {
            expect(&sim, 61, false);
            expect_verified(&sim);
            cut_at += 2 * SANITIZED_SLOWER;
            cuts++;
            assert_true(cut_at < 4000);
        }
        struct io_sim_options calm = {.seed = 3};
        (void)simstore_close(&sim); /* power may go yet */
        simstore_restart(&sim, &calm, !io_sim_is_cut(sim.io), 5);
        assert_int_equal(prune(&sim, cut_depths, 0, NULL), 0);
        expect_floors(&sim, (struct depths){500, 600, 650, 700});
        expect(&sim, 1, false);
        expect_verified(&sim);
        deinit(&sim);
    }
    print_message("%llu cuts\n", (unsigned long long)cuts);
}

static void full_disk_stops_the_job_and_nothing_else(void **state)
{
    (void)state;
    struct simstore sim;
    uint64_t free_bytes;
    uint64_t total;
    init(&sim, 9);
    expect(&sim, 1, true);
    assert_int_equal(io_space(sim.io, "/", &free_bytes, &total), 0);
    uint64_t used = total - free_bytes;
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    power(&sim, &(struct io_sim_options){.capacity = used + (12 << 20)});
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(prune(&sim, cut_depths, 0, NULL), STOA_ENOSPACE);
    assert_non_null(strstr(sim.detail.text, "are free"));
    expect(&sim, 3, false); /* what is below is refused already */
    expect_verified(&sim);
    const uint64_t next = BLOCKS;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = next};
    struct stoa_block block;
    assert_int_equal(simstore_get(&sim, &key, &block), 0);
    store_view_release(block.view);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    power(&sim, &(struct io_sim_options){.capacity = 0});
    assert_int_equal(simstore_open(&sim), 0);
    assert_int_equal(prune(&sim, cut_depths, 0, NULL), 0);
    expect(&sim, 3, false);
    expect_verified(&sim);
    deinit(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_a_depth_of_its_own),
        cmocka_unit_test(what_cannot_be_read_is_not_kept),
        cmocka_unit_test(power_may_go_at_any_moment),
        cmocka_unit_test(full_disk_stops_the_job_and_nothing_else),
    };
    chain = made_chain_create(21, BLOCKS);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    made_chain_destroy(chain);
    return failed;
}
