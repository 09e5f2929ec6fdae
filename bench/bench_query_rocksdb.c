/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RocksDB, set up as bench_engine_rocksdb.c sets it up; the indexes:
 *   transactions  hash: height, index
 *   addresses     address, height, index: roles
 *   logs          place, address or topic, height: nothing
 * The rest of a history's answer (times and hashes) is in the blocks, as it is with Stoa. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_query_peer.h"
#include "chain/block.h"
#include "chain/header.h"
#include "chain/receipt.h"
#include "chain/transaction.h"

enum family {
    FAMILY_DEFAULT,
    FAMILY_BLOCKS,
    FAMILY_RECEIPTS,
    FAMILY_SENDERS,
    FAMILY_HEIGHTS,
    FAMILY_TRANSACTIONS,
    FAMILY_ADDRESSES,
    FAMILY_LOGS,
    FAMILY_COUNT,
};
enum { CACHE_MIB = 512, PARTIES_MAX = 64, PLACE_SIZE = 12, ADDRESS_KEY_SIZE = 20 + PLACE_SIZE };

struct bench_query_peer {
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
    rocksdb_options_t *options[FAMILY_COUNT];
    rocksdb_writeoptions_t *write_options;
    rocksdb_readoptions_t *read_options;
    rocksdb_writebatch_t *batch;
};

static void require(char *text)
{
    if (text != NULL) {
        (void)fprintf(stderr, "rocksdb: %s\n", text);
        exit(1);
    }
}

static void check(bool right, const char *what)
{
    if (!right) {
        (void)fprintf(stderr, "rocksdb: %s\n", what);
        exit(1);
    }
}

static rocksdb_options_t *make_options(const struct bench_query_peer *peer, enum family family,
                                       bool cold)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, -1);
    rocksdb_options_set_write_buffer_size(options, 64 << 20);
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_target_file_size_base(options, 64 << 20);
    rocksdb_options_set_max_bytes_for_level_base(options, 256 << 20);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_use_direct_reads(options, cold);
    if (family == FAMILY_BLOCKS || family == FAMILY_RECEIPTS) {
        rocksdb_options_set_enable_blob_files(options, 1);
        rocksdb_options_set_min_blob_size(options, 4096);
        rocksdb_options_set_blob_file_size(options, 256 << 20);
        rocksdb_options_set_blob_compression_type(options, rocksdb_lz4_compression);
        rocksdb_options_set_blob_cache(options, peer->cache);
    }
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, peer->cache);
    rocksdb_block_based_options_set_block_size(table, 8192);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

struct bench_query_peer *bench_query_peer_open(const char *directory, bool cold)
{
    static const char *const names[FAMILY_COUNT] = {
        "default", "blocks", "receipts", "senders", "heights", "transactions", "addresses", "logs",
    };
    struct bench_query_peer *peer = calloc(1, sizeof(*peer));
    char *text = NULL;
    check(peer != NULL, "memory");
    peer->cache = rocksdb_cache_create_lru((size_t)CACHE_MIB << 20);
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        peer->options[i] = make_options(peer, (enum family)i, cold);
    }
    peer->write_options = rocksdb_writeoptions_create();
    peer->read_options = rocksdb_readoptions_create();
    peer->batch = rocksdb_writebatch_create();
    peer->db = rocksdb_open_column_families(peer->options[0], directory, FAMILY_COUNT, names,
                                            (const rocksdb_options_t *const *)peer->options,
                                            peer->families, &text);
    require(text);
    return peer;
}

void bench_query_peer_close(struct bench_query_peer *peer)
{
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        rocksdb_column_family_handle_destroy(peer->families[i]);
    }
    rocksdb_close(peer->db);
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        rocksdb_options_destroy(peer->options[i]);
    }
    rocksdb_writebatch_destroy(peer->batch);
    rocksdb_readoptions_destroy(peer->read_options);
    rocksdb_writeoptions_destroy(peer->write_options);
    rocksdb_cache_destroy(peer->cache);
    free(peer);
}

/* ---- writing ---- */

static void put(struct bench_query_peer *peer, enum family family, struct bytes key,
                struct bytes value)
{
    rocksdb_writebatch_put_cf(peer->batch, peer->families[family], (const char *)key.data, key.size,
                              (const char *)value.data, value.size);
}

/* Who has to do with one transaction. */
struct parties {
    uint8_t addresses[PARTIES_MAX][20];
    uint8_t roles[PARTIES_MAX];
    unsigned count;
};

static void add_party(struct parties *parties, const uint8_t *address, unsigned role)
{
    unsigned i = 0;
    while (i < parties->count && memcmp(parties->addresses[i], address, 20) != 0) {
        i++;
    }
    if (i == parties->count) {
        check(i < PARTIES_MAX, "parties");
        memcpy(parties->addresses[i], address, 20);
        parties->roles[i] = 0;
        parties->count++;
    }
    parties->roles[i] |= (uint8_t)role;
}

static void put_log(struct bench_query_peer *peer, unsigned place, struct bytes value,
                    const uint8_t height[8])
{
    uint8_t key[1 + 32 + 8];
    key[0] = (uint8_t)place;
    memcpy(key + 1, value.data, value.size);
    memcpy(key + 1 + value.size, height, 8);
    put(peer, FAMILY_LOGS, bytes_of(key, 1 + value.size + 8), bytes_of(NULL, 0));
}

static void put_receipt(struct bench_query_peer *peer, struct bytes envelope,
                        struct parties *parties, const uint8_t height[8])
{
    struct receipt receipt;
    struct receipt_log log;
    check(receipt_decode(envelope, &receipt, NULL) == 0, "receipt");
    while (receipt_next_log(&receipt.logs, &log, NULL) == 0) {
        add_party(parties, log.address, STOA_ROLE_EMITTER);
        put_log(peer, 4, bytes_of(log.address, 20), height);
        for (unsigned i = 0; i < log.topic_count; i++) {
            put_log(peer, i, bytes_of(log.topics[i], 32), height);
        }
    }
}

static void put_transaction(struct bench_query_peer *peer, const struct bench_query_block *block,
                            uint32_t index, struct bytes envelope, struct bytes receipt)
{
    struct transaction transaction;
    struct parties parties = {.count = 0};
    const uint8_t *sender = block->senders.data + (size_t)20 * index;
    uint8_t place[PLACE_SIZE];
    bytes_store_be64(place, block->number);
    bytes_store_be32(place + 8, index);
    check(transaction_decode(envelope, &transaction, NULL) == 0, "transaction");
    put(peer, FAMILY_TRANSACTIONS, bytes_of(block->hashes + (size_t)32 * index, 32),
        bytes_of(place, sizeof(place)));
    add_party(&parties, sender, STOA_ROLE_SENDER);
    if (transaction.to != NULL) {
        add_party(&parties, transaction.to, STOA_ROLE_RECIPIENT);
    }
    put_receipt(peer, receipt, &parties, place);
    for (unsigned i = 0; i < parties.count; i++) {
        uint8_t key[ADDRESS_KEY_SIZE];
        memcpy(key, parties.addresses[i], 20);
        memcpy(key + 20, place, PLACE_SIZE);
        put(peer, FAMILY_ADDRESSES, bytes_of(key, sizeof(key)), bytes_of(&parties.roles[i], 1));
    }
}

void bench_query_peer_put(struct bench_query_peer *peer, const struct bench_query_block *made)
{
    struct block block;
    struct bytes receipts;
    struct bytes cursor = made->receipts;
    struct bytes envelope;
    struct bytes receipt;
    uint8_t height[8];
    char *text = NULL;
    bytes_store_be64(height, made->number);
    struct bytes key = bytes_of(height, sizeof(height));
    rocksdb_writebatch_clear(peer->batch);
    put(peer, FAMILY_BLOCKS, key, made->block);
    put(peer, FAMILY_RECEIPTS, key, made->receipts);
    put(peer, FAMILY_SENDERS, key, made->senders);
    put(peer, FAMILY_HEIGHTS, key, bytes_of(made->hash, 32));
    check(block_decode(made->block, &block, NULL) == 0, "block");
    check(rlp_read_list(&cursor, &receipts, NULL) == 0, "receipts");
    for (uint32_t i = 0; i < made->transactions; i++) {
        check(block_next_transaction(&block.transactions, &envelope, NULL) == 0 &&
                  receipt_next(&receipts, &receipt, NULL) == 0,
              "transactions");
        put_transaction(peer, made, i, envelope, receipt);
    }
    rocksdb_write(peer->db, peer->write_options, peer->batch, &text);
    require(text);
}

void bench_query_peer_finish(struct bench_query_peer *peer)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *text = NULL;
    rocksdb_flushoptions_set_wait(options, 1);
    for (unsigned i = 0; i < FAMILY_COUNT; i++) {
        rocksdb_flush_cf(peer->db, options, peer->families[i], &text);
        require(text);
        rocksdb_compact_range_cf(peer->db, peer->families[i], NULL, 0, NULL, 0);
    }
    rocksdb_flushoptions_destroy(options);
}

uint64_t bench_query_peer_index_bytes(struct bench_query_peer *peer)
{
    uint64_t sum = 0;
    for (unsigned i = FAMILY_TRANSACTIONS; i <= FAMILY_LOGS; i++) {
        uint64_t bytes = 0;
        check(rocksdb_property_int_cf(peer->db, peer->families[i], "rocksdb.live-sst-files-size",
                                      &bytes) == 0,
              "no size");
        sum += bytes;
    }
    return sum;
}

/* ---- reading ---- */

static rocksdb_pinnableslice_t *get(struct bench_query_peer *peer, enum family family,
                                    struct bytes key, struct bytes *out)
{
    char *text = NULL;
    size_t size = 0;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(peer->db, peer->read_options, peer->families[family],
                              (const char *)key.data, key.size, &text);
    require(text);
    check(slice != NULL, "it is not there");
    const char *data = rocksdb_pinnableslice_value(slice, &size);
    *out = bytes_of(data, size);
    return slice;
}

static struct bytes item_at(struct bytes cursor, uint32_t index,
                            int (*next)(struct bytes *cursor, struct bytes *out_item,
                                        struct error_detail *detail))
{
    struct bytes item = bytes_of(NULL, 0);
    for (uint32_t i = 0; i <= index; i++) {
        check(next(&cursor, &item, NULL) == 0, "no such item");
    }
    return item;
}

/* Header and transactions of a block, no more of it decoded than must be. */
static struct bytes open_block(struct bytes block, struct bytes *out_header)
{
    struct bytes fields;
    struct bytes transactions;
    struct rlp_item header;
    check(rlp_read_list(&block, &fields, NULL) == 0 && rlp_read(&fields, &header, NULL) == 0 &&
              rlp_read_list(&fields, &transactions, NULL) == 0,
          "block");
    *out_header = header.encoding;
    return transactions;
}

uint64_t bench_query_peer_transaction(struct bench_query_peer *peer, const uint8_t hash[32])
{
    struct bytes place;
    struct bytes block;
    struct bytes receipts;
    struct bytes senders;
    struct bytes header;
    struct bytes list;
    rocksdb_pinnableslice_t *slices[4];
    slices[0] = get(peer, FAMILY_TRANSACTIONS, bytes_of(hash, 32), &place);
    struct bytes height = bytes_of(place.data, 8);
    uint32_t index = bytes_load_be32(place.data + 8);
    slices[1] = get(peer, FAMILY_BLOCKS, height, &block);
    slices[2] = get(peer, FAMILY_RECEIPTS, height, &receipts);
    slices[3] = get(peer, FAMILY_SENDERS, height, &senders);
    struct bytes transactions = open_block(block, &header);
    check(rlp_read_list(&receipts, &list, NULL) == 0, "receipts");
    uint64_t sum = bench_query_sum_transaction(item_at(transactions, index, block_next_transaction),
                                               item_at(list, index, receipt_next),
                                               bytes_of(senders.data + (size_t)20 * index, 20));
    for (unsigned i = 0; i < 4; i++) {
        rocksdb_pinnableslice_destroy(slices[i]);
    }
    return sum;
}

/* The rest of what there is to say of the entry at PLACE. */
static void fill_entry(struct bench_query_peer *peer, const uint8_t place[PLACE_SIZE],
                       struct stoa_history_entry *entry)
{
    struct bytes height = bytes_of(place, 8);
    struct bytes block;
    struct bytes hash;
    struct bytes encoding;
    struct header header;
    rocksdb_pinnableslice_t *slices[] = {get(peer, FAMILY_BLOCKS, height, &block),
                                         get(peer, FAMILY_HEIGHTS, height, &hash)};
    entry->height = bytes_load_be64(place);
    entry->index = bytes_load_be32(place + 8);
    struct bytes transactions = open_block(block, &encoding);
    check(header_decode(encoding, &header, NULL) == 0, "header");
    entry->timestamp = header.timestamp;
    memcpy(entry->block_hash, hash.data, 32);
    transaction_hash(item_at(transactions, entry->index, block_next_transaction),
                     entry->transaction_hash);
    rocksdb_pinnableslice_destroy(slices[0]);
    rocksdb_pinnableslice_destroy(slices[1]);
}

uint64_t bench_query_peer_history(struct bench_query_peer *peer, const uint8_t address[20],
                                  unsigned limit, size_t *out_count)
{
    uint8_t last[ADDRESS_KEY_SIZE];
    uint64_t sum = 0;
    memcpy(last, address, 20);
    memset(last + 20, UINT8_MAX, PLACE_SIZE);
    rocksdb_iterator_t *iterator =
        rocksdb_create_iterator_cf(peer->db, peer->read_options, peer->families[FAMILY_ADDRESSES]);
    rocksdb_iter_seek_for_prev(iterator, (const char *)last, sizeof(last));
    for (*out_count = 0; *out_count < limit && rocksdb_iter_valid(iterator); ++*out_count) {
        size_t size;
        size_t roles_size;
        const char *key = rocksdb_iter_key(iterator, &size);
        const char *roles = rocksdb_iter_value(iterator, &roles_size);
        if (memcmp(key, address, 20) != 0) {
            break;
        }
        struct stoa_history_entry entry = {.roles = (uint8_t)roles[0]};
        fill_entry(peer, (const uint8_t *)key + 20, &entry);
        sum = 31 * sum + bench_query_sum_entry(&entry);
        rocksdb_iter_prev(iterator);
    }
    rocksdb_iter_destroy(iterator);
    return sum;
}
