/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/simstore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/hot.h"
#include "support/fixture.h"

static const char directory[] = "/store";
static const uint64_t turn_ns = 1000000000;

void simstore_init(struct simstore *sim, uint64_t seed)
{
    *sim = (struct simstore){.segment_size = LEDGER_SEGMENT_SIZE_MIN,
                             .cache_size = CACHE_SIZE_MIN,
                             .maintenance = STOA_MAINTENANCE_INIT};
    sim->maintenance.off = 1;
    sim->disk = io_disk_create(seed);
    sim->tables = kv_memory_disk_create();
    assert_non_null(sim->disk);
    assert_non_null(sim->tables);
}

void simstore_deinit(struct simstore *sim)
{
    assert_null(sim->store);
    simstore_unpower(sim);
    io_disk_destroy(sim->disk);
    kv_memory_disk_destroy(sim->tables);
}

void simstore_power(struct simstore *sim, const struct io_sim_options *options)
{
    assert_null(sim->io);
    assert_int_equal(io_sim_create(sim->disk, options, &sim->io), 0);
}

void simstore_unpower(struct simstore *sim)
{
    io_destroy(sim->io);
    sim->io = NULL;
}

int simstore_create(struct simstore *sim, const struct made_chain *chain)
{
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    options.segment_size = sim->first_segment_size;
    if (chain != NULL) {
        struct bytes json = made_chain_genesis_json(chain);
        options.genesis_json = (const char *)json.data;
        options.genesis_json_size = json.size;
    }
    return store_create(sim->io, directory, &options, &sim->detail);
}

static void create_cache(struct simstore *sim)
{
    const struct cache_options options = {
        .size = sim->cache_size, .share = {48, 5, 2, 35, 2}, .head_blocks = 4, .seed = 1};
    sim->cache = cache_create(&options);
    assert_non_null(sim->cache);
    cache_tick(sim->cache, io_now_ns(sim->io));
}

static void destroy_cache(struct simstore *sim)
{
    cache_destroy(sim->cache);
    sim->cache = NULL;
}

int simstore_open(struct simstore *sim)
{
    if (sim->cache_size != 0) {
        create_cache(sim);
    }
    struct store_options options = {
        .io = sim->io,
        .directory = directory,
        .segment_size = sim->segment_size,
        .unwind_max = sim->unwind_max,
        .write_through = sim->write_through,
        .history_blocks = sim->history_blocks,
        .trie_history_blocks = sim->trie_history_blocks,
        .trie_cache_size = sim->trie_cache_size,
        .cache = sim->cache,
        .memory_tables = sim->tables,
        .is_stopping = sim->is_stopping,
        .stopping_context = sim->stopping_context,
    };
    sim->detail = (struct error_detail){.code = 0};
    int result = store_open(&options, &sim->store, &sim->detail);
    struct jobs_options jobs = {
        .store = sim->store, .io = sim->io, .settings = &sim->maintenance, .kinds = sim->kinds};
    if (result == 0 && sim->with_jobs) {
        result = jobs_create(&jobs, &sim->jobs, &sim->detail);
        if (result != 0) {
            store_abandon(sim->store);
            sim->store = NULL;
        }
    }
    if (result != 0) {
        destroy_cache(sim);
    }
    return result;
}

int simstore_close(struct simstore *sim)
{
    jobs_stop(sim->jobs);
    jobs_destroy(sim->jobs);
    sim->jobs = NULL;
    int result = store_close(sim->store, &sim->detail);
    sim->store = NULL;
    destroy_cache(sim);
    return result;
}

struct simstore simstore_beside(const struct simstore *sim)
{
    struct simstore beside = *sim;
    beside.store = NULL;
    beside.jobs = NULL;
    beside.cache = NULL;
    return beside;
}

void simstore_cut(struct simstore *sim, uint64_t seed, bool torn)
{
    struct io_disk *left = io_disk_cut(sim->disk, seed, torn);
    assert_non_null(left);
    store_abandon(sim->store);
    sim->store = NULL;
    destroy_cache(sim);
    jobs_destroy(sim->jobs);
    sim->jobs = NULL;
    simstore_unpower(sim);
    io_disk_destroy(sim->disk);
    sim->disk = left;
}

void simstore_restart(struct simstore *sim, const struct io_sim_options *options, bool whole,
                      uint64_t seed)
{
    struct io_sim_options calm = *options;
    if (whole) {
        simstore_unpower(sim);
    } else {
        simstore_cut(sim, seed, true);
    }
    calm.cut_at = 0;
    simstore_power(sim, &calm);
    assert_int_equal(simstore_open(sim), 0);
}

uint64_t simstore_seeds(uint64_t count)
{
    const char *wanted = getenv("STOA_SIM_SEEDS");
    return wanted == NULL ? count : strtoull(wanted, NULL, 10);
}

void simstore_cut_everywhere(uint64_t seed, uint64_t step, uint64_t cuts_max,
                             bool (*run)(void *context, uint64_t seed, uint64_t cut_at),
                             void *context)
{
    uint64_t cut_at = 1;
    while (run(context, seed, cut_at)) {
        cut_at += step;
        assert_true(cut_at < cuts_max);
    }
    print_message("seed %llu: cuts up to %llu\n", (unsigned long long)seed,
                  (unsigned long long)cut_at - 1);
    assert_true(cut_at > 10);
}

void simstore_lose_tables(struct simstore *sim)
{
    assert_null(sim->store);
    kv_memory_disk_destroy(sim->tables);
    sim->tables = kv_memory_disk_create();
    assert_non_null(sim->tables);
}

struct stoa_store_block simstore_put_of(const struct made_block *block)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    put.expected_hash = block->hash;
    return put;
}

static void note_done(struct store_request *request)
{
    bool *done = request->context;
    *done = true;
}

/* Submit and run the loop until it is answered or power is gone. */
static int ask(struct simstore *sim, struct store_request *request)
{
    bool done = false;
    request->done = note_done;
    request->context = &done;
    store_submit(sim->store, request);
    while (!done) {
        int ran = io_run(sim->io, turn_ns);
        if (ran < 0) {
            return ran;
        }
    }
    sim->detail = request->detail;
    return request->result;
}

int simstore_query_logs(struct simstore *sim, const struct stoa_log_filter *filter,
                        struct stoa_logs *out_logs)
{
    struct store_request request = {.kind = STORE_QUERY_LOGS, .log_filter = *filter};
    int result = ask(sim, &request);
    if (result == 0) {
        *out_logs = request.logs;
    }
    return result;
}

int simstore_query_history(struct simstore *sim, const struct stoa_history_query *query,
                           struct stoa_history *out_history)
{
    struct store_request request = {.kind = STORE_QUERY_HISTORY, .history_query = *query};
    int result = ask(sim, &request);
    if (result == 0) {
        *out_history = request.history;
    }
    return result;
}

static void note_job_ended(struct job_waiter *waiter)
{
    bool *done = waiter->context;
    *done = true;
}

int simstore_run_job(struct simstore *sim, enum stoa_job number, const struct job_order *order,
                     struct stoa_job_info *out_info)
{
    bool done = false;
    struct job_waiter waiter = {.done = note_job_ended, .context = &done};
    int result = jobs_start(sim->jobs, number, order, &waiter, &sim->detail);
    while (result == 0 && !done) {
        int ran = io_run(sim->io, turn_ns);
        result = ran < 0 ? ran : 0;
    }
    if (result != 0) {
        return result;
    }
    if (out_info != NULL) {
        *out_info = waiter.info;
    }
    sim->detail = waiter.detail;
    return waiter.result;
}

static void note_rebuilt(struct store_rebuild *rebuild)
{
    bool *done = rebuild->context;
    *done = true;
}

int simstore_rebuild(struct simstore *sim, enum store_index index)
{
    bool done = false;
    struct store_rebuild rebuild = {.index = index, .done = note_rebuilt, .context = &done};
    store_rebuild_start(sim->store, &rebuild);
    while (!done) {
        int ran = io_run(sim->io, turn_ns);
        if (ran < 0) {
            return ran;
        }
    }
    sim->detail = rebuild.detail;
    return rebuild.result;
}

int simstore_put(struct simstore *sim, const struct stoa_store_block *block)
{
    struct store_request request = {.kind = STORE_PUT_BLOCK, .put = *block};
    return ask(sim, &request);
}

int simstore_receipts(struct simstore *sim, const struct made_block *block)
{
    struct store_request request = {.kind = STORE_RECEIPTS};
    request.put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    request.put.expected_hash = block->hash;
    request.put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    return ask(sim, &request);
}

int simstore_update(struct simstore *sim, const struct stoa_change *changes, size_t count)
{
    struct store_request request = {.kind = STORE_UPDATE_STATE};
    request.put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    request.put.changes = changes;
    request.put.change_count = count;
    return ask(sim, &request);
}

void simstore_fill(struct simstore *sim, uint64_t seed, unsigned count, size_t size)
{
    uint8_t *value = malloc(size);
    assert_non_null(value);
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        int length = snprintf(key, sizeof(key), "value %u", i);
        fixture_random_fill(&seed, value, size);
        struct stoa_change change = {.key = {(const uint8_t *)key, (size_t)length},
                                     .value = {value, size}};
        assert_int_equal(simstore_update(sim, &change, 1), 0);
    }
    free(value);
}

void simstore_fill_first_segment(struct simstore *sim)
{
    simstore_fill(sim, 7, 42, 800000);
}

struct store_point simstore_point(struct simstore *sim)
{
    struct store_point point;
    int result;
    while ((result = store_get_point(sim->store, &point)) == STOA_EBUSY) {
        assert_true(io_run(sim->io, 1000000) >= 0);
    }
    assert_int_equal(result, 0);
    return point;
}

int simstore_batch(struct simstore *sim, struct store_batch *batch,
                   const struct stoa_change *changes, size_t count)
{
    struct store_request request = {.kind = STORE_BATCH, .batch = batch};
    request.put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    request.put.changes = changes;
    request.put.change_count = count;
    return ask(sim, &request);
}

int simstore_update_head(struct simstore *sim, const uint8_t hash[32])
{
    struct store_request request = {.kind = STORE_UPDATE_HEAD};
    memcpy(request.hash, hash, 32);
    return ask(sim, &request);
}

int simstore_set_mark(struct simstore *sim, enum store_request_kind kind, uint64_t height)
{
    struct store_request request = {.kind = kind, .key = {.by = STOA_BY_HEIGHT, .height = height}};
    return ask(sim, &request);
}

int simstore_get(struct simstore *sim, const struct stoa_block_key *key,
                 struct stoa_block *out_block)
{
    struct store_request request = {.kind = STORE_GET_BLOCK, .key = *key};
    if (hot_get_block(sim->cache, key, out_block)) {
        return 0;
    }
    int result = ask(sim, &request);
    if (result == 0) {
        *out_block = request.block;
    }
    return result;
}

int simstore_get_transaction(struct simstore *sim, const uint8_t hash[32],
                             struct stoa_transaction *out_transaction)
{
    struct store_request request = {.kind = STORE_GET_TRANSACTION};
    if (hot_get_transaction(sim->cache, hash, out_transaction)) {
        return 0;
    }
    memcpy(request.hash, hash, 32);
    int result = ask(sim, &request);
    if (result == 0) {
        *out_transaction = request.transaction;
    }
    return result;
}

int simstore_get_state(struct simstore *sim, const char *key, struct bytes *out_value)
{
    struct stoa_bytes value;
    struct stoa_view *view;
    int result;
    if (hot_get_raw(sim->cache, bytes_of(key, strlen(key)), &value, &view, &result)) {
        if (result == 0) {
            uint8_t *copy = memory_alloc(value.size);
            assert_non_null(copy);
            memcpy(copy, value.data, value.size);
            *out_value = bytes_of(copy, value.size);
            store_view_release(view);
        }
        return result;
    }
    return simstore_get_state_at(sim, key, STOA_AT_HEAD, out_value);
}

int simstore_get_state_at(struct simstore *sim, const char *key, uint64_t height,
                          struct bytes *out_value)
{
    struct store_request request = {.kind = STORE_GET_STATE,
                                    .state_key = bytes_of(key, strlen(key)),
                                    .query = {.height = height}};
    int result = ask(sim, &request);
    if (result == 0) {
        *out_value = request.value;
    }
    return result;
}

int simstore_get_state_root(struct simstore *sim, uint64_t height, uint8_t out_root[32])
{
    struct store_request request = {.kind = STORE_GET_STATE_ROOT, .query = {.height = height}};
    int result = ask(sim, &request);
    if (result == 0) {
        memcpy(out_root, request.hash, 32);
    }
    return result;
}

static void assert_bytes(struct stoa_bytes is, struct bytes wanted)
{
    assert_int_equal(is.size, wanted.size);
    assert_memory_equal(is.data, wanted.data, wanted.size);
}

static void expect_block(struct simstore *sim, const struct made_block *block)
{
    struct stoa_block_key by_height = {.by = STOA_BY_HEIGHT, .height = block->number};
    struct stoa_block_key by_hash = {.by = STOA_BY_HASH};
    const struct stoa_block_key *keys[] = {&by_height, &by_hash};
    memcpy(by_hash.hash, block->hash, 32);
    for (size_t i = 0; i < 2; i++) {
        struct stoa_block found;
        assert_int_equal(simstore_get(sim, keys[i], &found), 0);
        assert_int_equal(found.height, block->number);
        assert_memory_equal(found.hash, block->hash, 32);
        assert_true(found.canonical);
        assert_bytes(found.block, buffer_bytes(&block->block));
        assert_bytes(found.receipts, buffer_bytes(&block->receipts));
        if (block->transaction_count != 0) {
            assert_bytes(found.senders, buffer_bytes(&block->senders));
        }
        store_view_release(found.view);
    }
}

void simstore_expect(struct simstore *sim, const struct made_chain *chain, uint64_t first,
                     uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        const struct made_block *block = made_chain_block(chain, number);
        assert_non_null(block);
        expect_block(sim, block);
        for (size_t i = 0; i < block->transaction_count; i++) {
            const struct made_transaction *transaction = &block->transactions[i];
            struct stoa_transaction found;
            assert_int_equal(simstore_get_transaction(sim, transaction->hash, &found), 0);
            assert_int_equal(found.index, i);
            assert_int_equal(found.block.height, number);
            assert_bytes(found.transaction, transaction->envelope);
            assert_bytes(found.receipt, transaction->receipt);
            assert_memory_equal(found.sender, transaction->sender, 20);
            store_view_release(found.block.view);
        }
    }
}

static void print_damage(void *context, const struct stoa_damage *damage)
{
    unsigned *count = context;
    (*count)++;
    print_message("damage: %s offset %llu: %s\n", damage->file, (unsigned long long)damage->offset,
                  damage->what);
}

int simstore_verify(struct simstore *sim, unsigned *out_damages)
{
    struct stoa_verify_report report;
    unsigned damages = 0;
    int result = store_verify(sim->store, true, print_damage, &damages, &report, &sim->detail);
    if (out_damages != NULL) {
        *out_damages = damages;
    }
    return result;
}
