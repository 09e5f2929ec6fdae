/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The peer: RocksDB with a column family per kind and one atomic batch a block, set up as someone
 * who knows it would for this load on two cores: blocks and receipts, written once and large, in
 * blob files; bloom filters; cached and pinned partitioned indexes; large write buffers; log files
 * recycled, so that a synced write need not grow one. It is given the transactions' hashes. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_engine.h"
#include "bench_threads.h"
#include "config.h"
#include "store/posting.h"

enum family {
    FAMILY_DEFAULT,
    FAMILY_BLOCKS,       /* hash: block */
    FAMILY_RECEIPTS,     /* hash: receipts */
    FAMILY_SENDERS,      /* hash: senders */
    FAMILY_HEIGHTS,      /* height: hash */
    FAMILY_TRANSACTIONS, /* hash: block's hash, index */
    FAMILY_STATE,        /* key: value */
    FAMILY_ADDRESSES,    /* prefix of an address's hash, height, index: roles */
    FAMILY_LOGS,         /* prefix of the hash of an emitter or a topic with its place, height: - */
    FAMILY_COUNT,
};

struct bench_engine {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
    rocksdb_options_t *options[FAMILY_COUNT];
    rocksdb_writeoptions_t *synced;
    rocksdb_writeoptions_t *unsynced;
    rocksdb_readoptions_t *read_options;
    rocksdb_writebatch_t *batch;
};

static const char *rocksdb_describe(void)
{
    return "RocksDB " ROCKSDB_VERSION ", column family per kind, the same indexes of addresses "
           "and logs (their keys computed beforehand, not timed), one atomic batch a block; blob "
           "files for blocks and receipts, "
           "LZ4, bloom filters of 10 bits, partitioned index, 64 MiB write buffers, 2 background "
           "jobs, recycled logs, cache of 256 MiB; cold reads with use_direct_reads";
}

/* Move what the C interface allocated into FAULT. */
static int take_fault(struct bench_fault *fault, char *text)
{
    (void)bench_fault_set(fault, "rocksdb: %s", text);
    rocksdb_free(text);
    return -1;
}

static rocksdb_block_based_table_options_t *make_table_options(rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, 8192);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(10)); /* owned by TABLE from here */
    rocksdb_block_based_options_set_index_type(
        table, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
    rocksdb_block_based_options_set_format_version(table, 5);
    return table;
}

static rocksdb_options_t *make_options(struct bench_engine *engine, enum family family,
                                       enum bench_mode mode)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, -1);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20);
    rocksdb_options_set_recycle_log_file_num(options, 4);
    rocksdb_options_set_enable_pipelined_write(options, 1);
    rocksdb_options_set_write_buffer_size(options, 64 << 20);
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_target_file_size_base(options, 64 << 20);
    rocksdb_options_set_max_bytes_for_level_base(options, 256 << 20);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_use_direct_reads(options, mode == BENCH_MODE_COLD);
    if (family == FAMILY_BLOCKS || family == FAMILY_RECEIPTS) {
        rocksdb_options_set_enable_blob_files(options, 1);
        rocksdb_options_set_min_blob_size(options, 4096);
        rocksdb_options_set_blob_file_size(options, 256 << 20);
        rocksdb_options_set_blob_compression_type(options, rocksdb_lz4_compression);
        rocksdb_options_set_blob_cache(options, engine->cache);
        rocksdb_options_set_prepopulate_blob_cache(options, rocksdb_prepopulate_blob_flush_only);
    }
    rocksdb_block_based_table_options_t *table = make_table_options(engine->cache);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

static void rocksdb_release(struct bench_engine *engine)
{
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        if (engine->families[i] != NULL) {
            rocksdb_column_family_handle_destroy(engine->families[i]);
        }
    }
    if (engine->db != NULL) {
        rocksdb_close(engine->db);
    }
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        rocksdb_options_destroy(engine->options[i]);
    }
    rocksdb_writebatch_destroy(engine->batch);
    rocksdb_readoptions_destroy(engine->read_options);
    rocksdb_writeoptions_destroy(engine->synced);
    rocksdb_writeoptions_destroy(engine->unsynced);
    rocksdb_cache_destroy(engine->cache);
    memory_free(engine);
}

static int rocksdb_start(const struct bench_setup *setup, enum bench_mode mode,
                         struct bench_engine **out_engine, struct bench_fault *fault)
{
    static const char *const names[FAMILY_COUNT] = {
        "default",      "blocks", "receipts",  "senders", "heights",
        "transactions", "state",  "addresses", "logs",
    };
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    engine->cache = rocksdb_cache_create_lru((size_t)BENCH_CACHE_MIB << 20);
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        engine->options[i] = make_options(engine, (enum family)i, mode);
    }
    engine->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(engine->synced, 1);
    engine->unsynced = rocksdb_writeoptions_create();
    engine->read_options = rocksdb_readoptions_create();
    engine->batch = rocksdb_writebatch_create();
    char *text = NULL;
    engine->db = rocksdb_open_column_families(
        engine->options[0], setup->directory, FAMILY_COUNT, names,
        (const rocksdb_options_t *const *)engine->options, engine->families, &text);
    if (text != NULL) {
        (void)take_fault(fault, text);
        rocksdb_release(engine);
        return -1;
    }
    *out_engine = engine;
    return 0;
}

static int rocksdb_stop(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)fault; /* closing reports nothing */
    rocksdb_release(engine);
    return 0;
}

static void put(struct bench_engine *engine, enum family family, struct stoa_bytes key,
                struct stoa_bytes value)
{
    rocksdb_writebatch_put_cf(engine->batch, engine->families[family], (const char *)key.data,
                              key.size, (const char *)value.data, value.size);
}

static struct stoa_bytes view(const void *data, size_t size)
{
    return (struct stoa_bytes){data, size};
}

static int write_block(struct bench_engine *engine, const struct made_load_block *block, bool sync,
                       struct bench_fault *fault)
{
    struct stoa_bytes hash = view(block->hash, 32);
    uint8_t height[8];
    bytes_store_be64(height, block->number);
    rocksdb_writebatch_clear(engine->batch);
    put(engine, FAMILY_BLOCKS, hash, view(block->block.data, block->block.size));
    put(engine, FAMILY_RECEIPTS, hash, view(block->receipts.data, block->receipts.size));
    put(engine, FAMILY_SENDERS, hash, view(block->senders, sizeof(block->senders)));
    put(engine, FAMILY_HEIGHTS, view(height, sizeof(height)), hash);
    for (uint32_t i = 0; i < MADE_LOAD_TRANSACTIONS; i++) {
        uint8_t place[12];
        bytes_store_be64(place, block->number);
        bytes_store_be32(place + 8, i);
        put(engine, FAMILY_TRANSACTIONS, view(block->transaction_hashes[i], 32),
            view(place, sizeof(place)));
    }
    for (unsigned i = 0; i < MADE_LOAD_CHANGES; i++) {
        put(engine, FAMILY_STATE, block->changes[i].key, block->changes[i].value);
    }
    const struct posting *postings = (const void *)block->postings.data;
    for (size_t i = 0; i < block->postings.size / sizeof(*postings); i++) {
        uint8_t key[20];
        bool address = postings[i].kind == POSTING_ADDRESS;
        bytes_store_be64(key, postings[i].prefix);
        memcpy(key + 8, height, sizeof(height));
        bytes_store_be32(key + 16, postings[i].index);
        put(engine, address ? FAMILY_ADDRESSES : FAMILY_LOGS, view(key, address ? 20 : 16),
            view(&postings[i].roles, address ? 1 : 0));
    }
    char *text = NULL;
    rocksdb_write(engine->db, sync ? engine->synced : engine->unsynced, engine->batch, &text);
    return text == NULL ? 0 : take_fault(fault, text);
}

static int rocksdb_commit(struct bench_engine *engine, const struct made_load_block *block,
                          struct bench_fault *fault)
{
    return write_block(engine, block, true, fault);
}

static int rocksdb_import(struct bench_engine *engine, const struct made_load_block *blocks,
                          size_t count, struct bench_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        bool sync = (i + 1) % BENCH_SYNC_EVERY == 0 || i + 1 == count;
        if (write_block(engine, &blocks[i], sync, fault) != 0) {
            return -1;
        }
    }
    return 0;
}

static uint64_t property_sum(struct bench_engine *engine, const char *name)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        uint64_t value = 0;
        if (rocksdb_property_int_cf(engine->db, engine->families[i], name, &value) == 0) {
            sum += value;
        }
    }
    return sum;
}

static int rocksdb_busy(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)fault; /* asking cannot fail */
    return property_sum(engine, "rocksdb.num-running-compactions") +
               property_sum(engine, "rocksdb.num-running-flushes") +
               property_sum(engine, "rocksdb.compaction-pending") +
               property_sum(engine, "rocksdb.mem-table-flush-pending") >
           0;
}

static int rocksdb_flush_all(struct bench_engine *engine, struct bench_fault *fault)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    char *text = NULL;
    for (unsigned i = 0; i < FAMILY_COUNT && text == NULL; i++) {
        rocksdb_flush_cf(engine->db, options, engine->families[i], &text);
    }
    rocksdb_flushoptions_destroy(options);
    return text == NULL ? 0 : take_fault(fault, text);
}

/* ---- reads ---- */

static rocksdb_pinnableslice_t *get(struct bench_engine *engine, enum family family,
                                    const void *key, size_t key_size, struct bytes *out)
{
    char *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
        engine->db, engine->read_options, engine->families[family], key, key_size, &text);
    if (text != NULL) {
        rocksdb_free(text);
        return NULL;
    }
    size_t size = 0;
    const char *data = slice == NULL ? NULL : rocksdb_pinnableslice_value(slice, &size);
    *out = bytes_of(data, size);
    return slice;
}

static void drop(rocksdb_pinnableslice_t *slice)
{
    if (slice != NULL) {
        rocksdb_pinnableslice_destroy(slice);
    }
}

/* Sum of one value; 0 where it is not there. */
static uint64_t sum_of(struct bench_engine *engine, enum family family, const uint8_t key[32])
{
    struct bytes value = {0};
    rocksdb_pinnableslice_t *slice = get(engine, family, key, 32, &value);
    uint64_t sum = slice == NULL ? 0 : bench_sum(value.data, value.size);
    drop(slice);
    return sum;
}

static uint64_t sum_of_transaction(struct bench_engine *engine, const uint8_t key[32])
{
    struct bytes place = {0}, hash = {0}, block = {0}, receipts = {0}, senders = {0};
    uint64_t sum = 0;
    rocksdb_pinnableslice_t *slices[5] = {0};
    slices[0] = get(engine, FAMILY_TRANSACTIONS, key, 32, &place);
    if (slices[0] != NULL && place.size == 12) {
        slices[1] = get(engine, FAMILY_HEIGHTS, place.data, 8, &hash);
    }
    if (slices[1] != NULL) {
        slices[2] = get(engine, FAMILY_BLOCKS, hash.data, hash.size, &block);
        slices[3] = get(engine, FAMILY_RECEIPTS, hash.data, hash.size, &receipts);
        slices[4] = get(engine, FAMILY_SENDERS, hash.data, hash.size, &senders);
    }
    if (slices[2] != NULL && slices[3] != NULL && slices[4] != NULL) {
        uint32_t index = bytes_load_be32(place.data + 8);
        if (senders.size >= 20 * ((size_t)index + 1) &&
            bench_sum_transaction(block, receipts, index, &sum) == 0) {
            sum ^= bench_sum(senders.data + 20 * (size_t)index, 20);
        }
    }
    for (unsigned i = 0; i < 5; i++) {
        drop(slices[i]);
    }
    return sum;
}

static int read_one(struct bench_engine *engine, const struct bench_reads *reads, size_t index,
                    struct bench_fault *fault)
{
    const struct bench_read *read = &reads->items[index];
    uint64_t begun = bench_now();
    uint64_t sum = 0;
    switch (reads->kind) {
    case BENCH_BLOCK:
        sum = sum_of(engine, FAMILY_BLOCKS, read->key);
        break;
    case BENCH_EVERYTHING:
        sum = sum_of(engine, FAMILY_BLOCKS, read->key) ^
              sum_of(engine, FAMILY_RECEIPTS, read->key) ^
              sum_of(engine, FAMILY_SENDERS, read->key);
        break;
    case BENCH_RECEIPTS:
        sum = sum_of(engine, FAMILY_RECEIPTS, read->key);
        break;
    case BENCH_TRANSACTION:
        sum = sum_of_transaction(engine, read->key);
        break;
    case BENCH_STATE:
        sum = sum_of(engine, FAMILY_STATE, read->key);
        break;
    case BENCH_KIND_COUNT:
        break;
    }
    reads->took[index] = bench_now() - begun;
    return sum == read->sum ? 0 : bench_fault_set(fault, "rocksdb: a read came back wrong");
}

/* It has only calls that block: as many threads as are to be in flight. */
static int rocksdb_read(struct bench_engine *engine, const struct bench_reads *reads,
                        struct bench_fault *fault)
{
    unsigned threads = reads->threads > reads->depth ? reads->threads : reads->depth;
    return bench_threads_run(engine, reads, threads, read_one, fault);
}

static bool rocksdb_can_read(enum bench_kind kind)
{
    return kind < BENCH_KIND_COUNT;
}

const struct bench_engine_ops bench_engine_rocksdb = {
    .name = "rocksdb",
    .describe = rocksdb_describe,
    .wants_postings = true,
    .open = rocksdb_start,
    .close = rocksdb_stop,
    .commit = rocksdb_commit,
    .import = rocksdb_import,
    .busy = rocksdb_busy,
    .flush = rocksdb_flush_all,
    .can_read = rocksdb_can_read,
    .read = rocksdb_read,
};
