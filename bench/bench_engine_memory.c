/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hash table in memory, as a limit of hot reads: every value is found by one look, where it is,
 * and nothing else is kept. Not a store: nothing is durable. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_threads.h"

enum { TABLE_BITS = 20, VALUES_SIZE = 256 << 20 };

struct entry {
    uint8_t key[32];
    const uint8_t *data; /* NULL: free */
    uint32_t size;
    uint32_t kind;
};

struct bench_engine {
    struct entry *table;
    size_t count;
    uint8_t *values;
    size_t used;
};

static int memory_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                        struct bench_engine **out_engine, struct bench_fault *fault)
{
    (void)ops; /* there is only one of it */
    (void)setup;
    (void)fault;
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    engine->table = memory_alloc_zeroed((size_t)1 << TABLE_BITS, sizeof(*engine->table));
    engine->values = memory_alloc(VALUES_SIZE);
    ensure(engine->table != NULL);
    ensure(engine->values != NULL);
    *out_engine = engine;
    return 0;
}

static int memory_stop(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)fault;
    memory_free(engine->table);
    memory_free(engine->values);
    memory_free(engine);
    return 0;
}

/* The entry of KEY, or the free one where it would be. Keys are hashes, or as random. */
static struct entry *find(const struct bench_engine *engine, enum bench_kind kind,
                          const uint8_t key[32])
{
    uint64_t at;
    memcpy(&at, key, sizeof(at));
    for (;; at++) {
        struct entry *entry = &engine->table[at & (((uint64_t)1 << TABLE_BITS) - 1)];
        if (entry->data == NULL || (entry->kind == kind && memcmp(entry->key, key, 32) == 0)) {
            return entry;
        }
    }
}

static void put(struct bench_engine *engine, enum bench_kind kind, const uint8_t key[32],
                struct stoa_bytes value)
{
    struct entry *entry = find(engine, kind, key);
    if (entry->data == NULL) {
        ensure(++engine->count < (size_t)1 << (TABLE_BITS - 1));
        memcpy(entry->key, key, 32);
        entry->kind = kind;
    }
    entry->data = value.data;
    entry->size = (uint32_t)value.size;
}

static struct stoa_bytes keep(struct bench_engine *engine, struct stoa_bytes value)
{
    ensure(engine->used + value.size <= VALUES_SIZE);
    uint8_t *out = engine->values + engine->used;
    memcpy(out, value.data, value.size);
    engine->used += value.size;
    return (struct stoa_bytes){out, value.size};
}

static int memory_import(struct bench_engine *engine, const struct bench_block *blocks,
                         size_t count, _Atomic uint64_t *acked, struct bench_fault *fault)
{
    (void)fault;
    for (const struct bench_block *block = blocks; block < blocks + count; block++) {
        struct stoa_bytes body = keep(engine, block->block);
        struct stoa_bytes receipts = keep(engine, block->receipts);
        put(engine, BENCH_BLOCK, block->hash, body);
        for (size_t i = 0; i < block->transaction_count; i++) {
            const struct bench_transaction *transaction = &block->transactions[i];
            put(engine, BENCH_TRANSACTION, transaction->hash,
                (struct stoa_bytes){body.data + transaction->envelope.offset,
                                    transaction->envelope.size});
            put(engine, BENCH_RECEIPT, transaction->hash,
                (struct stoa_bytes){receipts.data + transaction->receipt.offset,
                                    transaction->receipt.size});
        }
        for (size_t i = 0; i < block->change_count; i++) {
            put(engine, BENCH_STATE, block->changes[i].key.data,
                keep(engine, block->changes[i].value));
        }
        *acked = block->number + 1;
    }
    return 0;
}

static int memory_flush(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)engine; /* it has no place but memory */
    (void)fault;
    return 0;
}

static int read_one(struct bench_engine *engine, void *reader, const struct bench_read *read,
                    uint64_t *out_sum, struct bench_fault *fault)
{
    (void)reader;
    (void)fault;
    const struct entry *entry = find(engine, read->kind, read->key);
    *out_sum = entry->data == NULL ? 0 : bench_sum(entry->data, entry->size);
    return 0;
}

static int memory_read(struct bench_engine *engine, const struct bench_reads *reads,
                       struct bench_fault *fault)
{
    static const struct bench_threads_ops ops = {.read = read_one};
    return bench_threads_run(engine, reads, reads->threads, &ops, fault);
}

const struct bench_engine_ops bench_engine_memory = {
    .name = "memory",
    .version = "-",
    .settings = "limit of hot reads: a hash table in memory with every transaction, receipt, block "
                "and state value",
    .phases = 1 << BENCH_PHASE_HOT,
    .open = memory_start,
    .close = memory_stop,
    .import = memory_import,
    .flush = memory_flush,
    .read = memory_read,
};
