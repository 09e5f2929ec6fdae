/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RocksDB with a column family per kind, set up as someone who knows it would for this load on two
 * cores: bloom filters, LZ4, cached and pinned partitioned indexes, large write buffers, log files
 * recycled so that a synced write need not grow one; once with everything in the tables, once with
 * blocks and receipts, written once and large, in blob files. */
#include <rocksdb/c.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_peer.h"
#include "config.h"

enum { FAMILIES = BENCH_FAMILIES + 1, GETS = 4 }; /* the last family is RocksDB's own, empty */

struct bench_peer {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *families[FAMILIES];
    rocksdb_options_t *options[FAMILIES];
    rocksdb_writeoptions_t *synced;
    rocksdb_readoptions_t *read_options;
    rocksdb_writebatch_t *batch;
};

struct bench_reader {
    struct bench_peer *peer;
    rocksdb_pinnableslice_t *slices[GETS];
    unsigned count;
};

/* Move what the C interface allocated into FAULT. */
static int rocksdb_result(struct bench_fault *fault, char *text)
{
    if (text == NULL) {
        return 0;
    }
    (void)bench_fault_set(fault, "%s", text);
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

static rocksdb_options_t *make_options(struct bench_peer *peer, bool blobs, enum bench_mode mode)
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
    if (blobs) {
        rocksdb_options_set_enable_blob_files(options, 1);
        rocksdb_options_set_min_blob_size(options, 4096);
        rocksdb_options_set_blob_file_size(options, 256 << 20);
        rocksdb_options_set_blob_compression_type(options, rocksdb_lz4_compression);
        rocksdb_options_set_blob_cache(options, peer->cache);
        rocksdb_options_set_prepopulate_blob_cache(options, rocksdb_prepopulate_blob_flush_only);
    }
    rocksdb_block_based_table_options_t *table = make_table_options(peer->cache);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

static int rocksdb_stop(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* closing reports nothing */
    for (unsigned i = 0; i < FAMILIES; i++) {
        if (peer->families[i] != NULL) {
            rocksdb_column_family_handle_destroy(peer->families[i]);
        }
    }
    if (peer->db != NULL) {
        rocksdb_close(peer->db);
    }
    for (unsigned i = 0; i < FAMILIES; i++) {
        rocksdb_options_destroy(peer->options[i]);
    }
    rocksdb_writebatch_destroy(peer->batch);
    rocksdb_readoptions_destroy(peer->read_options);
    rocksdb_writeoptions_destroy(peer->synced);
    rocksdb_cache_destroy(peer->cache);
    memory_free(peer);
    return 0;
}

static int rocksdb_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                         struct bench_peer **out_peer, struct bench_fault *fault)
{
    const char *names[FAMILIES];
    struct bench_peer *peer = memory_alloc_zeroed(1, sizeof(*peer));
    ensure(peer != NULL);
    peer->cache = rocksdb_cache_create_lru((size_t)BENCH_CACHE_MIB << 20);
    for (unsigned i = 0; i < FAMILIES; i++) {
        bool large = i < BENCH_FAMILIES && bench_family_large[i];
        names[i] = i < BENCH_FAMILIES ? bench_family_names[i] : "default";
        peer->options[i] =
            make_options(peer, large && ops == &bench_engine_rocksdb_blob, setup->mode);
    }
    peer->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(peer->synced, 1);
    peer->read_options = rocksdb_readoptions_create();
    peer->batch = rocksdb_writebatch_create();
    char *text = NULL;
    peer->db = rocksdb_open_column_families(peer->options[0], setup->directory, FAMILIES, names,
                                            (const rocksdb_options_t *const *)peer->options,
                                            peer->families, &text);
    if (rocksdb_result(fault, text) != 0) {
        (void)rocksdb_stop(peer, NULL);
        return -1;
    }
    *out_peer = peer;
    return 0;
}

static int rocksdb_begin(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* cannot fail */
    rocksdb_writebatch_clear(peer->batch);
    return 0;
}

static int rocksdb_add(struct bench_peer *peer, enum bench_family family, struct stoa_bytes key,
                       struct stoa_bytes value, struct bench_fault *fault)
{
    (void)fault; /* cannot fail */
    rocksdb_writebatch_put_cf(peer->batch, peer->families[family], (const char *)key.data, key.size,
                              (const char *)value.data, value.size);
    return 0;
}

static int rocksdb_commit(struct bench_peer *peer, struct bench_fault *fault)
{
    char *text = NULL;
    rocksdb_write(peer->db, peer->synced, peer->batch, &text);
    return rocksdb_result(fault, text);
}

static int rocksdb_reader(struct bench_peer *peer, struct bench_reader **out_reader,
                          struct bench_fault *fault)
{
    (void)fault;
    struct bench_reader *reader = memory_alloc_zeroed(1, sizeof(*reader));
    ensure(reader != NULL);
    reader->peer = peer;
    *out_reader = reader;
    return 0;
}

static void rocksdb_reader_end(struct bench_reader *reader)
{
    memory_free(reader);
}

static int rocksdb_find(struct bench_reader *reader, enum bench_family family,
                        struct stoa_bytes key, struct stoa_bytes *out_value,
                        struct bench_fault *fault)
{
    struct bench_peer *peer = reader->peer;
    char *text = NULL;
    *out_value = (struct stoa_bytes){0};
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(peer->db, peer->read_options, peer->families[family],
                              (const char *)key.data, key.size, &text);
    if (slice != NULL) {
        ensure(reader->count < GETS);
        reader->slices[reader->count++] = slice;
        out_value->data = (const uint8_t *)rocksdb_pinnableslice_value(slice, &out_value->size);
    }
    return rocksdb_result(fault, text);
}

static void rocksdb_drop(struct bench_reader *reader)
{
    while (reader->count > 0) {
        rocksdb_pinnableslice_destroy(reader->slices[--reader->count]);
    }
}

static int rocksdb_flush_all(struct bench_peer *peer, struct bench_fault *fault)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    char *text = NULL;
    for (unsigned i = 0; i < BENCH_FAMILIES && text == NULL; i++) {
        rocksdb_flush_cf(peer->db, options, peer->families[i], &text);
    }
    rocksdb_flushoptions_destroy(options);
    return rocksdb_result(fault, text);
}

/* What is written over and over: all of it would take minutes. */
static int rocksdb_compact_state(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* it reports nothing */
    rocksdb_compact_range_cf(peer->db, peer->families[BENCH_FAMILY_STATE], NULL, 0, NULL, 0);
    return 0;
}

static const struct bench_peer_ops rocksdb_peer = {
    .open = rocksdb_start,
    .close = rocksdb_stop,
    .begin = rocksdb_begin,
    .put = rocksdb_add,
    .commit = rocksdb_commit,
    .reader_create = rocksdb_reader,
    .reader_destroy = rocksdb_reader_end,
    .get = rocksdb_find,
    .release = rocksdb_drop,
    .flush = rocksdb_flush_all,
    .compact = rocksdb_compact_state,
};

#define ROCKSDB_SETTINGS                                                                           \
    "column family per kind, one sorted batch, LZ4, bloom filters of 10 bits, partitioned index, " \
    "64 MiB write buffers, 2 background jobs, recycled logs, cache of 256 MiB; cold: direct reads"

const struct bench_engine_ops bench_engine_rocksdb = {
    .name = "rocksdb",
    .version = ROCKSDB_VERSION,
    .settings = ROCKSDB_SETTINGS,
    .peer = &rocksdb_peer,
    .phases = BENCH_ALL_PHASES,
    BENCH_PEER_FUNCTIONS,
};

const struct bench_engine_ops bench_engine_rocksdb_blob = {
    .name = "rocksdb-blob",
    .version = ROCKSDB_VERSION,
    .settings = ROCKSDB_SETTINGS "; blocks and receipts in blob files",
    .peer = &rocksdb_peer,
    .phases = BENCH_ALL_PHASES & ~(1U << BENCH_PHASE_MAINTENANCE),
    BENCH_PEER_FUNCTIONS,
};
