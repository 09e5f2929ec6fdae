/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "bench_threads.h"

enum { HEIGHT_SIZE = 8, PLACE_SIZE = 24 };

const char *const bench_family_names[BENCH_FAMILIES] = {
#define BENCH_FAMILY(name, text, large) #text,
#include "bench_family.def"
#undef BENCH_FAMILY
};

const bool bench_family_large[BENCH_FAMILIES] = {
#define BENCH_FAMILY(name, text, large) large,
#include "bench_family.def"
#undef BENCH_FAMILY
};

/* One put of a batch; of those with one key the last counts. */
struct entry {
    uint64_t prefix; /* of the key, to sort by without looking further, mostly */
    uint32_t family;
    uint32_t order;
    struct stoa_bytes key;
    struct stoa_bytes value;
};

struct bench_engine {
    const struct bench_peer_ops *ops;
    struct bench_peer *peer;
    struct entry *entries;
    size_t entry_count;
    size_t entries_max;
    uint8_t *scratch; /* keys and values that are not in the blocks themselves */
    size_t scratch_used;
    size_t scratch_size;
};

int bench_peer_open(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                    struct bench_engine **out_engine, struct bench_fault *fault)
{
    enum { ENTRIES = 2500, SCRATCH = 50000 }; /* of a block, at most */
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    engine->ops = ops->peer;
    engine->entries_max = (size_t)BENCH_SYNC_EVERY * ENTRIES;
    engine->entries = memory_alloc_zeroed(engine->entries_max, sizeof(*engine->entries));
    engine->scratch_size = (size_t)BENCH_SYNC_EVERY * SCRATCH;
    engine->scratch = memory_alloc_zeroed(engine->scratch_size, 1);
    ensure(engine->entries != NULL);
    ensure(engine->scratch != NULL);
    if (engine->ops->open(ops, setup, &engine->peer, fault) != 0) {
        memory_free(engine->entries);
        memory_free(engine->scratch);
        memory_free(engine);
        return -1;
    }
    *out_engine = engine;
    return 0;
}

int bench_peer_close(struct bench_engine *engine, struct bench_fault *fault)
{
    int result = engine->ops->close(engine->peer, fault);
    memory_free(engine->entries);
    memory_free(engine->scratch);
    memory_free(engine);
    return result;
}

/* ---- writing ---- */

static uint8_t *take(struct bench_engine *engine, size_t size)
{
    ensure(engine->scratch_used + size <= engine->scratch_size);
    uint8_t *out = engine->scratch + engine->scratch_used;
    engine->scratch_used += size;
    return out;
}

static uint64_t prefix_of(struct stoa_bytes key)
{
    uint8_t bytes[8] = {0};
    memcpy(bytes, key.data, key.size < 8 ? key.size : 8);
    return bytes_load_be64(bytes);
}

static void add(struct bench_engine *engine, enum bench_family family, struct stoa_bytes key,
                struct stoa_bytes value)
{
    ensure(engine->entry_count < engine->entries_max);
    engine->entries[engine->entry_count] = (struct entry){
        .prefix = prefix_of(key),
        .family = family,
        .order = (uint32_t)engine->entry_count,
        .key = key,
        .value = value,
    };
    engine->entry_count++;
}

static struct stoa_bytes view(const void *data, size_t size)
{
    return (struct stoa_bytes){data, size};
}

static void add_postings(struct bench_engine *engine, const struct bench_block *block)
{
    for (size_t i = 0; i < block->posting_count; i++) {
        const struct posting *posting = &block->postings[i];
        bool address = posting->kind == POSTING_ADDRESS;
        uint8_t *key = take(engine, address ? 20 : 16);
        bytes_store_be64(key, posting->prefix);
        bytes_store_be64(key + 8, block->number);
        if (address) {
            bytes_store_be32(key + 16, posting->index);
        }
        add(engine, address ? BENCH_FAMILY_ADDRESSES : BENCH_FAMILY_LOGS,
            view(key, address ? 20 : 16), view(&posting->roles, address ? 1 : 0));
    }
}

static void add_block(struct bench_engine *engine, const struct bench_block *block)
{
    uint8_t *number = take(engine, HEIGHT_SIZE);
    bytes_store_be64(number, block->number);
    struct stoa_bytes height = view(number, HEIGHT_SIZE);
    add(engine, BENCH_FAMILY_BLOCKS, height, block->block);
    add(engine, BENCH_FAMILY_RECEIPTS, height, block->receipts);
    add(engine, BENCH_FAMILY_SENDERS, height, block->senders);
    add(engine, BENCH_FAMILY_HASHES, view(block->hash, 32), height);
    for (size_t i = 0; i < block->transaction_count; i++) {
        const struct bench_transaction *transaction = &block->transactions[i];
        uint8_t *place = take(engine, PLACE_SIZE);
        memcpy(place, number, HEIGHT_SIZE);
        bytes_store_be32(place + 8, transaction->envelope.offset);
        bytes_store_be32(place + 12, transaction->envelope.size);
        bytes_store_be32(place + 16, transaction->receipt.offset);
        bytes_store_be32(place + 20, transaction->receipt.size);
        add(engine, BENCH_FAMILY_TRANSACTIONS, view(transaction->hash, 32),
            view(place, PLACE_SIZE));
    }
    for (size_t i = 0; i < block->change_count; i++) {
        add(engine, BENCH_FAMILY_STATE, block->changes[i].key, block->changes[i].value);
    }
    add_postings(engine, block);
}

static int compare_keys(const struct entry *x, const struct entry *y)
{
    if (x->family != y->family) {
        return x->family < y->family ? -1 : 1;
    }
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    size_t size = x->key.size < y->key.size ? x->key.size : y->key.size;
    int order = memcmp(x->key.data, y->key.data, size);
    return order != 0 ? order : (x->key.size > y->key.size) - (x->key.size < y->key.size);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int order = compare_keys(x, y);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static int write_batch(struct bench_engine *engine, const struct bench_block *blocks, size_t count,
                       struct bench_fault *fault)
{
    engine->entry_count = 0;
    engine->scratch_used = 0;
    for (size_t i = 0; i < count; i++) {
        add_block(engine, &blocks[i]);
    }
    qsort(engine->entries, engine->entry_count, sizeof(*engine->entries), compare_entries);
    if (engine->ops->begin(engine->peer, fault) != 0) {
        return -1;
    }
    for (size_t i = 0; i < engine->entry_count; i++) {
        const struct entry *entry = &engine->entries[i];
        bool again = i + 1 < engine->entry_count && compare_keys(entry, entry + 1) == 0;
        if (!again &&
            engine->ops->put(engine->peer, entry->family, entry->key, entry->value, fault) != 0) {
            return -1;
        }
    }
    return engine->ops->commit(engine->peer, fault);
}

int bench_peer_commit(struct bench_engine *engine, const struct bench_block *block,
                      struct bench_fault *fault)
{
    return write_batch(engine, block, 1, fault);
}

int bench_peer_import(struct bench_engine *engine, const struct bench_block *blocks, size_t count,
                      _Atomic uint64_t *acked, struct bench_fault *fault)
{
    for (size_t i = 0; i < count; i += BENCH_SYNC_EVERY) {
        size_t batch = count - i < BENCH_SYNC_EVERY ? count - i : BENCH_SYNC_EVERY;
        if (write_batch(engine, &blocks[i], batch, fault) != 0) {
            return -1;
        }
        *acked = blocks[i + batch - 1].number + 1;
    }
    return 0;
}

int bench_peer_flush(struct bench_engine *engine, struct bench_fault *fault)
{
    return engine->ops->flush(engine->peer, fault);
}

int bench_peer_upkeep(struct bench_engine *engine, enum bench_upkeep upkeep, bool *out_done,
                      struct bench_fault *fault)
{
    *out_done = upkeep == BENCH_UPKEEP_CHECKPOINT ||
                (upkeep == BENCH_UPKEEP_COMPACT && engine->ops->compact != NULL);
    if (!*out_done) { /* nor does it copy or check itself beside writes as a job */
        return 0;
    }
    return upkeep == BENCH_UPKEEP_COMPACT ? engine->ops->compact(engine->peer, fault)
                                          : engine->ops->flush(engine->peer, fault);
}

/* ---- reading ---- */

struct peer_reader {
    const struct bench_peer_ops *ops;
    struct bench_reader *reader;
};

static int reader_begin(struct bench_engine *engine, void **out_reader, struct bench_fault *fault)
{
    struct peer_reader *reader = memory_alloc_zeroed(1, sizeof(*reader));
    ensure(reader != NULL);
    reader->ops = engine->ops;
    if (engine->ops->reader_create(engine->peer, &reader->reader, fault) != 0) {
        memory_free(reader);
        return -1;
    }
    *out_reader = reader;
    return 0;
}

static void reader_end(void *context)
{
    struct peer_reader *reader = context;
    reader->ops->reader_destroy(reader->reader);
    memory_free(reader);
}

static int get_found(struct peer_reader *reader, enum bench_family family, struct stoa_bytes key,
                     struct stoa_bytes *out_value, struct bench_fault *fault)
{
    if (reader->ops->get(reader->reader, family, key, out_value, fault) != 0) {
        return -1;
    }
    return out_value->data != NULL
               ? 0
               : bench_fault_set(fault, "%s: a key is not there", bench_family_names[family]);
}

static int read_transaction(struct peer_reader *reader, const struct bench_read *read,
                            struct stoa_bytes *out_value, struct bench_fault *fault)
{
    struct stoa_bytes place, whole;
    bool receipt = read->kind == BENCH_RECEIPT;
    if (get_found(reader, BENCH_FAMILY_TRANSACTIONS, view(read->key, 32), &place, fault) != 0) {
        return -1;
    }
    if (place.size != PLACE_SIZE) {
        return bench_fault_set(fault, "a place has %zu bytes", place.size);
    }
    const uint8_t *part = place.data + (receipt ? 16 : 8);
    size_t offset = bytes_load_be32(part), size = bytes_load_be32(part + 4);
    if (get_found(reader, receipt ? BENCH_FAMILY_RECEIPTS : BENCH_FAMILY_BLOCKS,
                  view(place.data, HEIGHT_SIZE), &whole, fault) != 0) {
        return -1;
    }
    if (offset + size > whole.size) {
        return bench_fault_set(fault, "a place is outside of its block");
    }
    *out_value = view(whole.data + offset, size);
    return 0;
}

static int read_one(struct bench_engine *engine, void *context, const struct bench_read *read,
                    uint64_t *out_sum, struct bench_fault *fault)
{
    (void)engine; /* the reader knows it */
    struct peer_reader *reader = context;
    struct stoa_bytes value = {0}, height;
    int result;
    if (read->kind == BENCH_STATE) {
        result = get_found(reader, BENCH_FAMILY_STATE, view(read->key, 32), &value, fault);
    } else if (read->kind == BENCH_BLOCK) {
        result = get_found(reader, BENCH_FAMILY_HASHES, view(read->key, 32), &height, fault);
        if (result == 0) {
            result = get_found(reader, BENCH_FAMILY_BLOCKS, height, &value, fault);
        }
    } else {
        result = read_transaction(reader, read, &value, fault);
    }
    *out_sum = result == 0 ? bench_sum(value.data, value.size) : 0;
    reader->ops->release(reader->reader);
    return result;
}

/* They have only calls that block: as many threads as are to be in flight. */
int bench_peer_read(struct bench_engine *engine, const struct bench_reads *reads,
                    struct bench_fault *fault)
{
    static const struct bench_threads_ops ops = {
        .begin = reader_begin, .end = reader_end, .read = read_one};
    unsigned threads = reads->threads > reads->depth ? reads->threads : reads->depth;
    return bench_threads_run(engine, reads, threads, &ops, fault);
}
