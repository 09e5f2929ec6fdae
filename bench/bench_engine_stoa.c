/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stoa through its public interface. Verification of the made blocks is skipped, as they need it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wiredtiger.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_threads.h"
#include "config.h"

enum {
    STOA_REAP = 64,
    STOA_KEEP = 64,
    STOA_RECENT = 2048, /* blocks that the archive looks at */
    SCRUB_RATE = 8 << 20,
    LOOKS_MAX = 50,
};

struct bench_engine {
    struct stoa *stoa;
    struct stoa_completion completions[STOA_REAP];
    _Atomic uint64_t newest; /* block that was stored */
    char kept[4096];         /* where backups go */
};

static int stoa_fault(struct bench_fault *fault, const char *what, int result,
                      const struct stoa_detail *detail)
{
    return bench_fault_set(fault, "%s: %s: %s", what, stoa_strerror(result), detail->text);
}

static int stoa_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                      struct bench_engine **out_engine, struct bench_fault *fault)
{
    (void)ops; /* there is only one of it */
    char directory[4096];
    struct stoa_detail detail = {0};
    (void)snprintf(directory, sizeof(directory), "%s/store", setup->directory);
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    int result = access(directory, F_OK) == 0 ? 0 : stoa_create(directory, &create, &detail);
    if (result != 0) {
        return stoa_fault(fault, "create", result, &detail);
    }
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    (void)snprintf(engine->kept, sizeof(engine->kept), "%.900s/kept", setup->directory);
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    bool cold = setup->mode == BENCH_MODE_COLD;
    options.table_cache_size = (uint64_t)BENCH_CACHE_MIB << (cold ? 19 : 20);
    options.bulk = setup->mode == BENCH_MODE_IMPORT;
    cache.capacity = (uint64_t)BENCH_CACHE_MIB << (cold ? 19 : 20);
    cache.touch = setup->mode == BENCH_MODE_SERVE;
    cache.cold = cold; /* nobody else warms up */
    options.cache = &cache;
    maintenance.off = 1; /* but for checkpoints, as the peers' compaction has no clock either */
    options.maintenance = &maintenance;
    result = stoa_open(directory, &options, &engine->stoa, &detail);
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

static struct stoa_store_block stoa_request(const struct bench_block *block)
{
    struct stoa_store_block request = STOA_STORE_BLOCK_INIT;
    request.block = block->block;
    request.receipts = block->receipts;
    request.senders = block->senders.data;
    request.changes = block->changes;
    request.change_count = block->change_count;
    request.expected_hash = block->hash;
    request.skip = STOA_SKIP_ALL;
    return request;
}

static int stoa_commit(struct bench_engine *engine, const struct bench_block *block,
                       struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    struct stoa_store_block request = stoa_request(block);
    int result = stoa_store_block(engine->stoa, &request, &detail);
    engine->newest = block->number;
    return result == 0 ? 0 : stoa_fault(fault, "store block", result, &detail);
}

/* An import under way. */
struct stoa_window {
    const struct bench_block *blocks;
    size_t in_flight;
    _Atomic uint64_t *acked;
};

/* Wait until no more than LEFT of those in flight are not durable yet. */
static int reap_stores(struct bench_engine *engine, struct stoa_window *window, size_t left,
                       struct bench_fault *fault)
{
    while (window->in_flight > left) {
        int reaped = stoa_reap(engine->stoa, engine->completions, STOA_REAP, -1);
        if (reaped < 0) {
            return bench_fault_set(fault, "reap: %s", stoa_strerror(reaped));
        }
        for (int i = 0; i < reaped; i++) {
            const struct stoa_completion *completion = &engine->completions[i];
            if (completion->result != 0 && completion->result != STOA_EEXISTS) {
                return stoa_fault(fault, "import", completion->result, &completion->detail);
            }
            uint64_t next = window->blocks[completion->tag].number + 1;
            if (next > *window->acked) {
                *window->acked = next;
            }
        }
        window->in_flight -= (size_t)reaped;
    }
    return 0;
}

static int stoa_import(struct bench_engine *engine, const struct bench_block *blocks, size_t count,
                       _Atomic uint64_t *acked, struct bench_fault *fault)
{
    struct stoa_window window = {.blocks = blocks, .acked = acked};
    for (size_t i = 0; i < count; i++) {
        struct stoa_store_block request = stoa_request(&blocks[i]);
        if (reap_stores(engine, &window, BENCH_SYNC_EVERY - 1, fault) != 0) {
            return -1;
        }
        int result = stoa_submit_store_block(engine->stoa, &request, STOA_TAG(i));
        if (result != 0) {
            return bench_fault_set(fault, "submit: %s", stoa_strerror(result));
        }
        window.in_flight++;
        engine->newest = blocks[i].number;
    }
    return reap_stores(engine, &window, 0, fault);
}

static uint64_t stoa_backlog(struct bench_engine *engine)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    return stoa_get_stats(engine->stoa, &stats) == 0 ? stats.pending_blocks : 0;
}

static int stoa_flush(struct bench_engine *engine, struct bench_fault *fault)
{
    struct stoa_detail detail = {0};
    int result = stoa_checkpoint(engine->stoa, &detail);
    return result == 0 ? 0 : stoa_fault(fault, "checkpoint", result, &detail);
}

/* A second of it: all of it may take longer than there is. */
static int run_some(struct bench_engine *engine, const struct stoa_job_options *options,
                    struct stoa_detail *detail)
{
    static const struct timespec pause = {.tv_nsec = 20000000};
    struct stoa_job_info infos[STOA_JOBS];
    size_t count;
    int result = stoa_start_job(engine->stoa, options, detail);
    for (unsigned i = 0; result == 0; i++) {
        (void)nanosleep(&pause, NULL); /* sooner is well, too */
        result = stoa_list_jobs(engine->stoa, infos, STOA_JOBS, &count, detail);
        if (result != 0 || infos[options->job].active == 0) {
            break;
        }
        if (i == LOOKS_MAX) {
            (void)stoa_cancel_job(engine->stoa, options->job, NULL); /* it may have ended */
        }
    }
    return result;
}

static int finalize(struct bench_engine *engine, struct stoa_detail *detail)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = engine->newest - STOA_KEEP};
    return stoa_set_finalized(engine->stoa, &key, detail);
}

static int stoa_upkeep(struct bench_engine *engine, enum bench_upkeep upkeep, bool *out_done,
                       struct bench_fault *fault)
{
    static const int jobs[BENCH_UPKEEPS] = {STOA_JOB_CHECKPOINT, STOA_JOB_COMPACT,
                                            STOA_JOB_PRUNE,      STOA_JOB_BACKUP,
                                            STOA_JOB_SCRUB,      STOA_JOB_ARCHIVE};
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_detail detail = {0};
    int result = 0;
    options.job = jobs[upkeep];
    *out_done = true;
    switch (upkeep) {
    case BENCH_UPKEEP_BACKUP:
        options.path = engine->kept;
        options.full = 1;
        options.keep = 1;
        break;
    case BENCH_UPKEEP_PRUNE:
        options.keep_history = STOA_KEEP;
        options.keep_tries = STOA_KEEP;
        result = finalize(engine, &detail);
        break;
    case BENCH_UPKEEP_SCRUB:
        options.bytes_per_second = SCRUB_RATE;
        break;
    case BENCH_UPKEEP_ARCHIVE:
        options.from = engine->newest > STOA_RECENT ? engine->newest - STOA_RECENT : 0;
        result = finalize(engine, &detail);
        break;
    case BENCH_UPKEEP_CHECKPOINT:
    case BENCH_UPKEEP_COMPACT:
    case BENCH_UPKEEPS: /* as they are */
        break;
    }
    bool some = upkeep == BENCH_UPKEEP_SCRUB || upkeep == BENCH_UPKEEP_ARCHIVE;
    if (result == 0) {
        result = some ? run_some(engine, &options, &detail)
                      : stoa_run_job(engine->stoa, &options, NULL, &detail);
    }
    return result == 0 ? 0 : stoa_fault(fault, stoa_job_name(options.job), result, &detail);
}

/* ---- reads ---- */

static uint64_t sum_of(struct stoa_bytes bytes)
{
    return bench_sum(bytes.data, bytes.size);
}

static uint64_t sum_of_transaction(enum bench_kind kind, const struct stoa_transaction *found)
{
    return sum_of(kind == BENCH_RECEIPT ? found->receipt : found->transaction);
}

static unsigned parts_of(enum bench_kind kind)
{
    return kind == BENCH_RECEIPT ? STOA_PART_RECEIPT : STOA_PART_TRANSACTION;
}

static struct stoa_block_key key_of(const struct bench_read *read)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH, .alone = 1};
    memcpy(key.hash, read->key, 32);
    return key;
}

/* By the blocking calls: values are looked at in place. */
static int read_one(struct bench_engine *engine, void *reader, const struct bench_read *read,
                    uint64_t *out_sum, struct bench_fault *fault)
{
    (void)reader; /* any thread may call with the handle */
    struct stoa_detail detail = {0};
    int result;
    if (read->kind == BENCH_STATE) {
        struct stoa_value value;
        result =
            stoa_get_state_view(engine->stoa, (struct stoa_bytes){read->key, 32}, &value, &detail);
        if (result == 0) {
            *out_sum = sum_of(value.value);
            stoa_release(value.view);
        }
    } else if (read->kind == BENCH_BLOCK) {
        struct stoa_block block;
        struct stoa_block_key key = key_of(read);
        result = stoa_get_block(engine->stoa, &key, &block, &detail);
        if (result == 0) {
            *out_sum = sum_of(block.block);
            stoa_release(block.view);
        }
    } else {
        struct stoa_transaction transaction;
        result = stoa_get_transaction_parts(engine->stoa, read->key, parts_of(read->kind),
                                            &transaction, &detail);
        if (result == 0) {
            *out_sum = sum_of_transaction(read->kind, &transaction);
            stoa_release(transaction.block.view);
        }
    }
    return result == 0 ? 0 : stoa_fault(fault, "read", result, &detail);
}

static int submit_read(struct bench_engine *engine, const struct bench_read *read, uint64_t tag)
{
    if (read->kind == BENCH_STATE) {
        return stoa_submit_get_state(engine->stoa, (struct stoa_bytes){read->key, 32},
                                     STOA_TAG(tag));
    }
    if (read->kind == BENCH_BLOCK) {
        struct stoa_block_key key = key_of(read);
        return stoa_submit_get_block(engine->stoa, &key, STOA_TAG(tag));
    }
    struct stoa_call call = STOA_CALL_INIT;
    call.tag = tag;
    call.parts = parts_of(read->kind);
    return stoa_submit_get_transaction(engine->stoa, read->key, &call);
}

static int finish_read(const struct stoa_completion *completion, const struct bench_reads *reads,
                       struct bench_fault *fault)
{
    const struct bench_read *read = &reads->items[completion->tag];
    uint64_t sum;
    if (completion->result != 0) {
        return stoa_fault(fault, "read", completion->result, &completion->detail);
    }
    if (read->kind == BENCH_STATE) {
        sum = sum_of(completion->value);
        stoa_free((void *)(uintptr_t)completion->value.data);
    } else if (read->kind == BENCH_BLOCK) {
        sum = sum_of(completion->block.block);
        stoa_release(completion->block.view);
    } else {
        sum = sum_of_transaction(read->kind, &completion->transaction);
        stoa_release(completion->transaction.block.view);
    }
    reads->took[completion->tag] = bench_now() - reads->took[completion->tag];
    return bench_read_check(read, sum, fault);
}

/* DEPTH in flight; the time of one runs from its submission to its reaping. */
static int read_together(struct bench_engine *engine, const struct bench_reads *reads,
                         struct bench_fault *fault)
{
    size_t submitted = 0, done = 0;
    bool more = reads->count > 0;
    while (more || done < submitted) {
        while (more && submitted - done < reads->depth) {
            reads->took[submitted] = bench_now();
            int result = submit_read(engine, &reads->items[submitted], submitted);
            if (result == STOA_EBUSY) {
                reads->took[submitted] = 0;
                break;
            }
            if (result != 0) {
                return bench_fault_set(fault, "submit: %s", stoa_strerror(result));
            }
            more = reads->took[submitted] < reads->until && submitted + 1 < reads->count;
            submitted++;
        }
        int reaped = stoa_reap(engine->stoa, engine->completions, STOA_REAP, -1);
        if (reaped < 0) {
            return bench_fault_set(fault, "reap: %s", stoa_strerror(reaped));
        }
        for (int i = 0; i < reaped; i++) {
            if (finish_read(&engine->completions[i], reads, fault) != 0) {
                return -1;
            }
        }
        done += (size_t)reaped;
    }
    return 0;
}

static int stoa_read(struct bench_engine *engine, const struct bench_reads *reads,
                     struct bench_fault *fault)
{
    static const struct bench_threads_ops ops = {.read = read_one};
    return reads->depth == 1 ? bench_threads_run(engine, reads, reads->threads, &ops, fault)
                             : read_together(engine, reads, fault);
}

const struct bench_engine_ops bench_engine_stoa = {
    .name = "stoa",
    .version = PACKAGE_VERSION ", " WIREDTIGER_VERSION_STRING,
    .settings =
        "STOA_SKIP_ALL with senders given; tables 256 MiB and objects 256 MiB of cache (cold: half "
        "of each); "
        "import: bulk, at most 64 submitted and not durable; commit, one read in flight: blocking "
        "calls; "
        "16 in flight: stoa_submit; it keeps every version of the state, the peers only the newest",
    .phases = BENCH_ALL_PHASES,
    .open = stoa_start,
    .close = stoa_stop,
    .commit = stoa_commit,
    .import = stoa_import,
    .flush = stoa_flush,
    .read = stoa_read,
    .upkeep = stoa_upkeep,
    .backlog = stoa_backlog,
};
