/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stoa through its public interface. Of the made load verification is skipped, as its blocks need
 * it; the made chain is verified in full. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wiredtiger.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_engine.h"
#include "bench_threads.h"
#include "config.h"

enum { STOA_REAP = 64, STOA_DEPTH_MAX = 64 };

struct bench_engine {
    struct stoa *stoa;
    struct stoa_completion completions[STOA_REAP];
};

static const char *stoa_describe(void)
{
    return "libstoa " PACKAGE_VERSION ", " WIREDTIGER_VERSION_STRING
           "; STOA_SKIP_ALL with senders given, cache of tables 256 MiB, of objects 256 MiB, for "
           "commits and hot reads touched "
           "at open; import: bulk=1, at "
           "most 64 submitted and not durable yet; import-verified: nothing skipped, senders "
           "recovered; cold reads: stoa_submit_get_block; hot reads: blocking calls";
}

static int stoa_fault(struct bench_fault *fault, const char *what, int result,
                      const struct stoa_detail *detail)
{
    return bench_fault_set(fault, "stoa: %s: error %d: %s", what, result, detail->text);
}

/* Make the store where there is none yet. */
static int create_missing(const char *directory, const struct made_chain *chain,
                          struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    if (access(directory, F_OK) == 0) {
        return 0;
    }
    if (chain != NULL) {
        struct bytes json = made_chain_genesis_json(chain);
        create.genesis_json = (const char *)json.data;
        create.genesis_json_size = json.size;
    }
    int result = stoa_create(directory, &create, &detail);
    return result == 0 ? 0 : stoa_fault(fault, "create", result, &detail);
}

static int stoa_start(const struct bench_setup *setup, enum bench_mode mode,
                      struct bench_engine **out_engine, struct bench_fault *fault)
{
    char directory[4096];
    struct stoa_detail detail = {0};
    bool verified = mode == BENCH_MODE_CHAIN;
    (void)snprintf(directory, sizeof(directory), "%s/%s", setup->directory,
                   verified ? "verified" : "store");
    if (create_missing(directory, verified ? setup->chain : NULL, fault) != 0) {
        return -1;
    }
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    struct stoa_options options = STOA_OPTIONS_INIT;
    options.table_cache_size = (uint64_t)BENCH_CACHE_MIB << 20;
    options.bulk = mode == BENCH_MODE_IMPORT || verified;
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    cache.touch = mode == BENCH_MODE_SERVE;
    cache.cold = mode == BENCH_MODE_COLD; /* nobody else warms up */
    options.cache = &cache;
    int result = stoa_open(directory, &options, &engine->stoa, &detail);
    if (result != 0) {
        memory_free(engine);
        return stoa_fault(fault, "open", result, &detail);
    }
    *out_engine = engine;
    return 0;
}

static int stoa_stop(struct bench_engine *engine, struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    int result = stoa_close(engine->stoa, &detail);
    memory_free(engine);
    return result == 0 ? 0 : stoa_fault(fault, "close", result, &detail);
}

static struct stoa_store_block stoa_request(const struct made_load_block *block)
{
    struct stoa_store_block request = STOA_STORE_BLOCK_INIT;
    request.block = (struct stoa_bytes){block->block.data, block->block.size};
    request.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    request.senders = block->senders[0];
    request.changes = block->changes;
    request.change_count = MADE_LOAD_CHANGES;
    request.skip = STOA_SKIP_ALL;
    return request;
}

static int stoa_commit(struct bench_engine *engine, const struct made_load_block *block,
                       struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    struct stoa_store_block request = stoa_request(block);
    int result = stoa_store_block(engine->stoa, &request, &detail);
    return result == 0 ? 0 : stoa_fault(fault, "store block", result, &detail);
}

/* Wait until no more than LEFT of the IN_FLIGHT blocks are not durable yet. */
static int reap_stores(struct bench_engine *engine, size_t *in_flight, size_t left,
                       struct bench_fault *fault)
{
    while (*in_flight > left) {
        int reaped = stoa_reap(engine->stoa, engine->completions, STOA_REAP, -1);
        if (reaped <= 0) {
            return bench_fault_set(fault, "stoa: reap: %d", reaped);
        }
        for (int i = 0; i < reaped; i++) {
            const struct stoa_completion *completion = &engine->completions[i];
            if (completion->result != 0) {
                return stoa_fault(fault, "import", completion->result, &completion->detail);
            }
        }
        *in_flight -= (size_t)reaped;
    }
    return 0;
}

/* Submit one more, never more than BENCH_SYNC_EVERY that are not durable. */
static int submit_store(struct bench_engine *engine, const struct stoa_store_block *request,
                        size_t *in_flight, struct bench_fault *fault)
{
    if (reap_stores(engine, in_flight, BENCH_SYNC_EVERY - 1, fault) != 0) {
        return -1;
    }
    int result = stoa_submit_store_block(engine->stoa, request, STOA_TAG(0));
    if (result != 0) {
        return bench_fault_set(fault, "stoa: submit: error %d", result);
    }
    ++*in_flight;
    return 0;
}

static int stoa_import(struct bench_engine *engine, const struct made_load_block *blocks,
                       size_t count, struct bench_fault *fault)
{
    size_t in_flight = 0;
    for (size_t i = 0; i < count; i++) {
        struct stoa_store_block request = stoa_request(&blocks[i]);
        request.expected_hash = blocks[i].hash;
        if (submit_store(engine, &request, &in_flight, fault) != 0) {
            return -1;
        }
    }
    return reap_stores(engine, &in_flight, 0, fault);
}

static int stoa_import_chain(struct bench_engine *engine, const struct made_chain *chain,
                             uint64_t first, size_t count, struct bench_fault *fault)
{
    size_t in_flight = 0;
    for (size_t i = 0; i < count; i++) {
        const struct made_block *block = made_chain_block(chain, first + i);
        ensure(block != NULL);
        struct stoa_store_block request = STOA_STORE_BLOCK_INIT;
        request.block = (struct stoa_bytes){block->block.data, block->block.size};
        request.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
        request.expected_hash = block->hash;
        if (submit_store(engine, &request, &in_flight, fault) != 0) {
            return -1;
        }
    }
    return reap_stores(engine, &in_flight, 0, fault);
}

static int stoa_busy(struct bench_engine *engine, struct bench_fault *fault)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    int result = stoa_get_stats(engine->stoa, &stats);
    return result == 0 ? stats.pending_blocks > 0
                       : bench_fault_set(fault, "stoa: stats: error %d", result);
}

static int stoa_flush(struct bench_engine *engine, struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    int result = stoa_checkpoint(engine->stoa, &detail);
    return result == 0 ? 0 : stoa_fault(fault, "checkpoint", result, &detail);
}

static bool stoa_can_read(enum bench_kind kind)
{
    return kind < BENCH_KIND_COUNT;
}

/* ---- reads ---- */

static uint64_t sum_of(struct stoa_bytes bytes)
{
    return bench_sum(bytes.data, bytes.size);
}

static uint64_t sum_of_block(enum bench_kind kind, const struct stoa_block *block)
{
    if (kind == BENCH_BLOCK) {
        return sum_of(block->block);
    }
    if (kind == BENCH_RECEIPTS) {
        return sum_of(block->receipts);
    }
    return sum_of(block->block) ^ sum_of(block->receipts) ^ sum_of(block->senders);
}

static uint64_t sum_of_transaction(const struct stoa_transaction *transaction)
{
    return sum_of(transaction->transaction) ^ sum_of(transaction->receipt) ^
           (transaction->sender == NULL ? 0 : bench_sum(transaction->sender, 20));
}

static struct stoa_block_key key_of(enum bench_kind kind, const struct bench_read *read)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH, .alone = kind == BENCH_BLOCK};
    memcpy(key.hash, read->key, 32);
    return key;
}

static int get(struct bench_engine *engine, enum bench_kind kind, const struct bench_read *read,
               uint64_t *out_sum, struct stoa_detail *detail)
{
    if (kind == BENCH_STATE) {
        struct stoa_bytes value = {0};
        int result =
            stoa_get_state(engine->stoa, (struct stoa_bytes){read->key, 32}, &value, detail);
        if (result == 0) {
            *out_sum = sum_of(value);
            stoa_free((void *)(uintptr_t)value.data);
        }
        return result;
    }
    if (kind == BENCH_TRANSACTION) {
        struct stoa_transaction transaction;
        int result = stoa_get_transaction(engine->stoa, read->key, &transaction, detail);
        if (result == 0) {
            *out_sum = sum_of_transaction(&transaction);
            stoa_release(transaction.block.view);
        }
        return result;
    }
    struct stoa_block block;
    struct stoa_block_key key = key_of(kind, read);
    int result = stoa_get_block(engine->stoa, &key, &block, detail);
    if (result == 0) {
        *out_sum = sum_of_block(kind, &block);
        stoa_release(block.view);
    }
    return result;
}

/* By the blocking calls. */
static int read_one(struct bench_engine *engine, const struct bench_reads *reads, size_t index,
                    struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    const struct bench_read *read = &reads->items[index];
    uint64_t sum = 0;
    uint64_t begun = bench_now();
    int result = get(engine, reads->kind, read, &sum, &detail);
    reads->took[index] = bench_now() - begun;
    if (result != 0) {
        return stoa_fault(fault, "read", result, &detail);
    }
    return sum == read->sum ? 0 : bench_fault_set(fault, "stoa: a read came back wrong");
}

/* DEPTH block reads in flight; the time of one runs from its submission to its reaping. */
static int read_together(struct bench_engine *engine, const struct bench_reads *reads,
                         struct bench_fault *fault)
{
    size_t submitted = 0, done = 0;
    while (done < reads->count) {
        while (submitted < reads->count && submitted - done < reads->depth) {
            struct stoa_block_key key = key_of(reads->kind, &reads->items[submitted]);
            reads->took[submitted] = bench_now();
            int result = stoa_submit_get_block(engine->stoa, &key, STOA_TAG(submitted));
            if (result == STOA_EBUSY) {
                break;
            }
            if (result != 0) {
                return bench_fault_set(fault, "stoa: submit: error %d", result);
            }
            submitted++;
        }
        int reaped = stoa_reap(engine->stoa, engine->completions, STOA_REAP, -1);
        if (reaped <= 0) {
            return bench_fault_set(fault, "stoa: reap: %d", reaped);
        }
        for (int i = 0; i < reaped; i++) {
            const struct stoa_completion *completion = &engine->completions[i];
            if (completion->result != 0) {
                return stoa_fault(fault, "read", completion->result, &completion->detail);
            }
            uint64_t sum = sum_of_block(reads->kind, &completion->block);
            stoa_release(completion->block.view);
            if (sum != reads->items[completion->tag].sum) {
                return bench_fault_set(fault, "stoa: a read came back wrong");
            }
            reads->took[completion->tag] = bench_now() - reads->took[completion->tag];
        }
        done += (size_t)reaped;
    }
    return 0;
}

static int stoa_read(struct bench_engine *engine, const struct bench_reads *reads,
                     struct bench_fault *fault)
{
    ensure(reads->depth <= STOA_DEPTH_MAX);
    return reads->depth == 1 ? bench_threads_run(engine, reads, reads->threads, read_one, fault)
                             : read_together(engine, reads, fault);
}

const struct bench_engine_ops bench_engine_stoa = {
    .name = "stoa",
    .describe = stoa_describe,
    .open = stoa_start,
    .close = stoa_stop,
    .commit = stoa_commit,
    .import = stoa_import,
    .import_chain = stoa_import_chain,
    .busy = stoa_busy,
    .flush = stoa_flush,
    .can_read = stoa_can_read,
    .read = stoa_read,
};
