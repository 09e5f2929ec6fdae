/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-query: what queries, changes of branch and indexes cost, on a made chain of blocks of
 * 200 transactions (made_load.h), beside RocksDB with the usual secondary indexes.
 *
 *   stoa-bench-query [BLOCKS [DIRECTORY]]
 *
 * Logs with a topic that one block has: by the index, at a quarter of the chain's length and at its
 * whole length (the same answer; medians), and by what one would do without it: read all headers,
 * and of those whose bloom filter admits the topic the block. A transaction with its receipt and
 * sender by its hash, and the 50 newest transactions of an address: some of them again and again
 * (hot), and each of others once after the store was opened and its files dropped from the page
 * cache (cold), one at a time; the answers of both are compared. Changes of branch, 16 blocks off
 * and 16 on. The chain's ingest, bench_query_ingest.c; and what the indexes take on disk. One JSON
 * object on standard output. */
#include "bench_query.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "bench_single.h"
#include "chain/block.h"
#include "chain/header.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "support/made_load.h"
#include "support/made_random.h"

enum {
    TABLES_MIB = 128, /* of cache; with OBJECTS_MIB as much as the peer has in one */
    OBJECTS_MIB = 384,
    BLOCKS_DEFAULT = 5000,
    RECOVERED = 5, /* the part of them whose senders are recovered */
    ROUNDS = 51,
    WARM_ROUNDS = 20,
    DEEP = 16,
    CHANGES = 20,
    HEADERS_AT_ONCE = 1000,
    NEWEST = 50,
    HOT_TRANSACTIONS = 1000,
    HOT_ADDRESSES = 30,
    HOT_ROUNDS = 12,
    WARM_HOT_ROUNDS = 4,
    COLD_TRANSACTIONS = 400,
    COLD_ADDRESSES = 120,
};

double bench_query_median(double *times, size_t count)
{
    qsort(times, count, sizeof(*times), bench_single_compare);
    return times[count / 2];
}

uint64_t bench_query_sum_entry(const struct stoa_history_entry *entry)
{
    uint64_t numbers[4] = {entry->height, entry->index, entry->roles, entry->timestamp};
    return XXH3_64bits(numbers, sizeof(numbers)) ^ XXH3_64bits(entry->transaction_hash, 32) ^
           3 * XXH3_64bits(entry->block_hash, 32);
}

uint64_t bench_query_sum_transaction(struct bytes envelope, struct bytes receipt,
                                     struct bytes sender)
{
    return XXH3_64bits(envelope.data, envelope.size) ^ XXH3_64bits(receipt.data, receipt.size) ^
           XXH3_64bits(sender.data, sender.size);
}

/* ---- the chain ---- */

struct chain {
    struct bench_query_block *blocks;
    uint64_t count;
};

static struct bytes copy(const void *data, size_t size)
{
    uint8_t *to = malloc(size);
    bench_single_require(to == NULL ? STOA_ENOMEM : 0, "memory", NULL);
    memcpy(to, data, size);
    return bytes_of(to, size);
}

/* COUNT blocks of SEED from number FIRST on. */
static struct chain make_chain(uint64_t seed, uint64_t first, const uint8_t parent[32],
                               uint64_t count)
{
    struct made_load *load = made_load_create(seed);
    struct made_load_block *made = calloc(1, sizeof(*made));
    struct chain chain = {calloc(count, sizeof(*chain.blocks)), count};
    uint8_t last[32];
    bench_single_require(made == NULL || chain.blocks == NULL ? STOA_ENOMEM : 0, "memory", NULL);
    memcpy(last, parent, 32);
    made_load_set_rooted(load);
    for (uint64_t i = 0; i < count; i++) {
        struct bench_query_block *block = &chain.blocks[i];
        made_load_make(load, first + i, last, made);
        memcpy(last, made->hash, 32);
        block->number = first + i;
        memcpy(block->hash, made->hash, 32);
        block->block = copy(made->block.data, made->block.size);
        block->receipts = copy(made->receipts.data, made->receipts.size);
        block->senders = copy(made->senders, sizeof(made->senders));
        block->hashes = copy(made->transaction_hashes, sizeof(made->transaction_hashes)).data;
        block->transactions = MADE_LOAD_TRANSACTIONS;
    }
    made_load_block_deinit(made);
    made_load_destroy(load);
    free(made);
    return chain;
}

static void store(struct stoa *stoa, const struct bench_query_block *block, unsigned flags)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    put.senders = block->senders.data;
    put.skip = STOA_SKIP_SENDERS;
    put.flags = flags;
    bench_single_require(stoa_store_block(stoa, &put, NULL), "store", NULL);
}

/* ---- logs ---- */

static struct stoa_log_filter filter_of(const uint8_t *topic)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    filter.topics[1] = (struct stoa_topics){topic, 1};
    filter.topic_count = 2;
    return filter;
}

/* The second topic of the first log there is: no other log has it. */
static void choose_topic(struct stoa *stoa, uint8_t out_topic[32])
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    filter.limit = 1;
    bench_single_require(stoa_query_logs(stoa, &filter, &logs, NULL), "logs", NULL);
    bench_single_require(logs.count == 1 ? 0 : STOA_ENOTFOUND, "a log", NULL);
    memcpy(out_topic, logs.logs[0].topics[1], 32);
    stoa_free(logs.logs);
}

/* The median of some, once readers have opened what they need. */
static double time_query(struct stoa *stoa, const uint8_t topic[32], uint64_t to, size_t *out_count)
{
    struct stoa_log_filter filter = filter_of(topic);
    double times[ROUNDS] = {0};
    filter.to = to;
    for (unsigned i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        struct stoa_logs logs;
        double begin = bench_single_us();
        bench_single_require(stoa_query_logs(stoa, &filter, &logs, NULL), "logs", NULL);
        if (i >= WARM_ROUNDS) {
            times[i - WARM_ROUNDS] = bench_single_us() - begin;
        }
        *out_count = logs.count;
        stoa_free(logs.logs);
    }
    return bench_query_median(times, ROUNDS);
}

static bool bloom_admits(const uint8_t *bloom, const uint8_t wanted[HEADER_BLOOM_SIZE])
{
    for (unsigned i = 0; i < HEADER_BLOOM_SIZE; i++) {
        if ((bloom[i] & wanted[i]) != wanted[i]) {
            return false;
        }
    }
    return true;
}

/* Candidates are read, not decoded: that is in the scan's favour. */
static double time_scan(struct stoa *stoa, const uint8_t topic[32], uint64_t blocks,
                        uint64_t *out_candidates)
{
    uint8_t wanted[HEADER_BLOOM_SIZE] = {0};
    receipt_bloom_add(wanted, bytes_of(topic, 32));
    double begin = bench_single_us();
    *out_candidates = 0;
    for (uint64_t from = 0; from < blocks; from += HEADERS_AT_ONCE) {
        struct stoa_block_range range = {from, HEADERS_AT_ONCE};
        struct stoa_headers headers;
        bench_single_require(stoa_get_header_range(stoa, &range, &headers, NULL), "headers", NULL);
        for (size_t i = 0; i < headers.count; i++) {
            struct stoa_bytes encoding = headers.headers[i].header;
            struct header header;
            bench_single_require(
                header_decode(bytes_of(encoding.data, encoding.size), &header, NULL), "header",
                NULL);
            if (bloom_admits(header.logs_bloom, wanted)) {
                struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = header.number};
                struct stoa_block block;
                bench_single_require(stoa_get_block(stoa, &key, &block, NULL), "block", NULL);
                stoa_release(block.view);
                ++*out_candidates;
            }
        }
        stoa_free(headers.headers);
    }
    return bench_single_us() - begin;
}

static double time_changes(struct stoa *stoa, const struct chain *chain)
{
    const struct bench_query_block *fork = &chain->blocks[chain->count - DEEP - 1];
    struct chain rival = make_chain(77, fork->number + 1, fork->hash, DEEP);
    for (uint64_t i = 0; i < DEEP; i++) {
        store(stoa, &rival.blocks[i], STOA_STORE_SIDE);
    }
    const uint8_t *heads[] = {rival.blocks[DEEP - 1].hash, chain->blocks[chain->count - 1].hash};
    double begin = bench_single_us();
    for (unsigned i = 0; i < CHANGES; i++) {
        bench_single_require(stoa_update_head(stoa, heads[i % 2], NULL), "head", NULL);
    }
    return (bench_single_us() - begin) / CHANGES; /* the rival's memory is the process's */
}

/* ---- single answers, of both ---- */

/* Who is asked. */
struct asked {
    struct stoa *stoa;
    struct bench_query_peer *peer;
};

static uint64_t ask_transaction(const struct asked *asked, const uint8_t hash[32])
{
    if (asked->peer != NULL) {
        return bench_query_peer_transaction(asked->peer, hash);
    }
    struct stoa_transaction found;
    bench_single_require(
        stoa_get_transaction_parts(asked->stoa, hash,
                                   STOA_PART_TRANSACTION | STOA_PART_RECEIPT | STOA_PART_SENDER,
                                   &found, NULL),
        "transaction", NULL);
    uint64_t sum = bench_query_sum_transaction(
        bytes_of(found.transaction.data, found.transaction.size),
        bytes_of(found.receipt.data, found.receipt.size), bytes_of(found.sender, 20));
    stoa_release(found.block.view);
    return sum;
}

static uint64_t ask_history(const struct asked *asked, const uint8_t address[20])
{
    size_t count;
    if (asked->peer != NULL) {
        return bench_query_peer_history(asked->peer, address, NEWEST, &count);
    }
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_history history;
    memcpy(query.address, address, 20);
    query.limit = NEWEST;
    bench_single_require(stoa_get_address_transactions(asked->stoa, &query, &history, NULL),
                         "history", NULL);
    uint64_t sum = 0;
    for (size_t i = 0; i < history.count; i++) {
        sum = 31 * sum + bench_query_sum_entry(&history.entries[i]);
    }
    stoa_free(history.entries);
    return sum;
}

/* What is asked for: the same of both. */
struct questions {
    uint8_t hashes[HOT_TRANSACTIONS + COLD_TRANSACTIONS][32];
    uint8_t addresses[HOT_ADDRESSES + COLD_ADDRESSES][20];
};

/* By turns the sender and the recipient of transactions drawn from all. */
static void draw_questions(const struct chain *chain, struct questions *out)
{
    struct made_random random = made_random_of(4711, 1);
    for (unsigned i = 0; i < HOT_TRANSACTIONS + COLD_TRANSACTIONS; i++) {
        const struct bench_query_block *from =
            &chain->blocks[made_random_below(&random, chain->count)];
        uint64_t index = made_random_below(&random, from->transactions);
        memcpy(out->hashes[i], from->hashes + 32 * index, 32);
        if (i >= HOT_ADDRESSES + COLD_ADDRESSES) {
            continue;
        }
        struct block block;
        struct bytes envelope = bytes_of(NULL, 0);
        struct transaction transaction;
        memcpy(out->addresses[i], from->senders.data + 20 * index, 20);
        bench_single_require(block_decode(from->block, &block, NULL), "block", NULL);
        for (uint64_t j = 0; j <= index; j++) {
            bench_single_require(block_next_transaction(&block.transactions, &envelope, NULL),
                                 "transactions", NULL);
        }
        bench_single_require(transaction_decode(envelope, &transaction, NULL), "transaction", NULL);
        if (i % 2 == 0 && transaction.to != NULL) {
            memcpy(out->addresses[i], transaction.to, 20);
        }
    }
}

struct times {
    double transaction_us; /* medians */
    double history_us;
    double transaction_mean_us;
    double history_mean_us;
    uint64_t sum; /* of all answers */
};

static double mean(const double *times, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += times[i];
    }
    return sum / (double)count;
}

/* COUNT questions of each kind from the given ones on, ROUNDS times; the rounds behind WARM ones
 * are timed. */
static struct times time_answers(const struct asked *asked, const struct questions *questions,
                                 bool hot)
{
    unsigned rounds = hot ? HOT_ROUNDS : 1;
    unsigned warm = hot ? WARM_HOT_ROUNDS : 0;
    unsigned hashes = hot ? HOT_TRANSACTIONS : COLD_TRANSACTIONS;
    unsigned addresses = hot ? HOT_ADDRESSES : COLD_ADDRESSES;
    const uint8_t(*hash)[32] = questions->hashes + (hot ? 0 : HOT_TRANSACTIONS);
    const uint8_t(*address)[20] = questions->addresses + (hot ? 0 : HOT_ADDRESSES);
    double *took = calloc((size_t)HOT_TRANSACTIONS * HOT_ROUNDS, sizeof(*took));
    struct times times = {.sum = 0};
    size_t taken = 0;
    bench_single_require(took == NULL ? STOA_ENOMEM : 0, "memory", NULL);
    for (unsigned i = 0; i < (rounds + warm) * hashes; i++) {
        double begin = bench_single_us();
        times.sum += ask_transaction(asked, hash[i % hashes]);
        if (i >= warm * hashes) {
            took[taken++] = bench_single_us() - begin;
        }
    }
    times.transaction_mean_us = mean(took, taken);
    times.transaction_us = bench_query_median(took, taken);
    taken = 0;
    for (unsigned i = 0; i < (rounds + warm) * addresses; i++) {
        double begin = bench_single_us();
        times.sum += ask_history(asked, address[i % addresses]);
        if (i >= warm * addresses) {
            took[taken++] = bench_single_us() - begin;
        }
    }
    times.history_mean_us = mean(took, taken);
    times.history_us = bench_query_median(took, taken);
    free(took);
    return times;
}

static int drop_file(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)place;
    int file = type == FTW_F ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        (void)fsync(file);
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(file);
    }
    return 0;
}

/* Nothing of the files is in memory any more. */
static void drop_pages(const char *directory)
{
    bench_single_require(nftw(directory, drop_file, 16, FTW_PHYS) == 0 ? 0 : STOA_EIO, "drop pages",
                         NULL);
}

static void print_times(const char *name, const struct times *times)
{
    (void)printf("\"%s\": {\"transaction_us\": %.1f, \"transaction_mean_us\": %.1f, "
                 "\"history_us\": %.1f, \"history_mean_us\": %.1f}, ",
                 name, times->transaction_us, times->transaction_mean_us, times->history_us,
                 times->history_mean_us);
}

/* The peer's times; they are of the answers that SUMS are of. */
static double measure_peer(const char *base, const struct chain *chain,
                           const struct questions *questions, const uint64_t sums[2])
{
    char directory[300];
    (void)snprintf(directory, sizeof(directory), "%s/peer", base);
    struct asked asked = {.peer = bench_query_peer_open(directory, false)};
    if (asked.peer == NULL) {
        return 0;
    }
    for (uint64_t i = 0; i < chain->count; i++) {
        bench_query_peer_put(asked.peer, &chain->blocks[i]);
    }
    bench_query_peer_finish(asked.peer);
    double each = (double)bench_query_peer_index_bytes(asked.peer) /
                  (double)(chain->count * MADE_LOAD_TRANSACTIONS);
    struct times hot = time_answers(&asked, questions, true);
    bench_query_peer_close(asked.peer);
    drop_pages(directory);
    asked.peer = bench_query_peer_open(directory, true);
    struct times cold = time_answers(&asked, questions, false);
    bench_query_peer_close(asked.peer);
    bench_single_require(hot.sum == sums[0] && cold.sum == sums[1] ? 0 : STOA_ECORRUPT,
                         "the peer's answers are not the same", NULL);
    print_times("rocksdb_hot", &hot);
    print_times("rocksdb_cold", &cold);
    (void)printf("\"rocksdb_index_bytes_a_transaction\": %.1f, ", each);
    return each;
}

/* Store the chain and ask. The sums of the answers, hot and cold, go to OUT_SUMS. */
static void measure_stoa(const char *base, const struct chain *chain,
                         const struct questions *questions, uint64_t out_sums[2])
{
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct asked asked = {.peer = NULL};
    char directory[300];
    uint8_t topic[32] = {0};
    size_t quarter_count = 0;
    size_t count = 0;
    uint64_t candidates = 0;
    double quarter = 0;
    options.table_cache_size = (uint64_t)TABLES_MIB << 20;
    cache.capacity = (uint64_t)OBJECTS_MIB << 20;
    options.cache = &cache;
    (void)snprintf(directory, sizeof(directory), "%s/store", base);
    bench_single_require(stoa_create(directory, &create, NULL), "create", NULL);
    bench_single_require(stoa_open(directory, &options, &asked.stoa, NULL), "open", NULL);
    for (uint64_t i = 0; i < chain->count; i++) {
        store(asked.stoa, &chain->blocks[i], 0);
        if (i == chain->count / 4) {
            bench_single_require(stoa_checkpoint(asked.stoa, NULL), "checkpoint", NULL);
            choose_topic(asked.stoa, topic);
            quarter = time_query(asked.stoa, topic, chain->count / 4, &quarter_count);
        }
    }
    bench_single_require(stoa_checkpoint(asked.stoa, NULL), "checkpoint", NULL);
    double same = time_query(asked.stoa, topic, chain->count / 4, &count);
    double whole = time_query(asked.stoa, topic, UINT64_MAX, &count);
    double scan = time_scan(asked.stoa, topic, chain->count, &candidates);
    double change = time_changes(asked.stoa, chain);
    struct times hot = time_answers(&asked, questions, true);
    bench_single_require(stoa_close(asked.stoa, NULL), "close", NULL);
    drop_pages(directory);
    bench_single_require(stoa_open(directory, &options, &asked.stoa, NULL), "open", NULL);
    struct times cold = time_answers(&asked, questions, false);
    bench_single_require(stoa_close(asked.stoa, NULL), "close", NULL);
    (void)printf("\"query_quarter_us\": %.1f, \"same_query_whole_us\": %.1f, "
                 "\"logs_quarter\": %zu, \"query_us\": %.1f, \"logs\": %zu, \"bloom_scan_us\": "
                 "%.1f, \"bloom_candidates\": %" PRIu64 ", \"scan_to_query\": %.1f, "
                 "\"change_of_branch_us\": %.1f, \"change_depth\": %d, ",
                 quarter, same, quarter_count, whole, count, scan, candidates, scan / whole, change,
                 DEEP);
    print_times("stoa_hot", &hot);
    print_times("stoa_cold", &cold);
    out_sums[0] = hot.sum;
    out_sums[1] = cold.sum;
}

int main(int argc, char **argv)
{
    static const uint8_t none[32];
    uint64_t blocks = argc > 1 ? strtoull(argv[1], NULL, 10) : BLOCKS_DEFAULT;
    static struct questions questions;
    char base[256];
    char command[320];
    uint64_t sums[2];
    if (blocks < 4 * DEEP) {
        (void)fprintf(stderr, "usage: stoa-bench-query [BLOCKS [DIRECTORY]], 64 blocks at least\n");
        return 2;
    }
    (void)snprintf(base, sizeof(base), "%s/bench-query-XXXXXX", argc > 2 ? argv[2] : "/tmp");
    if (mkdtemp(base) == NULL) {
        perror(base);
        return 1;
    }
    struct chain chain = make_chain(7, 0, none, blocks);
    draw_questions(&chain, &questions);
    (void)printf("{\"blocks\": %" PRIu64 ", \"transactions\": %" PRIu64 ", ", blocks,
                 blocks * MADE_LOAD_TRANSACTIONS);
    measure_stoa(base, &chain, &questions, sums);
    (void)fflush(stdout);
    double theirs = measure_peer(base, &chain, &questions, sums);
    (void)fflush(stdout);
    double ours = bench_query_ingest(base, chain.blocks, blocks, "verified", STOA_SKIP_SENDERS);
    (void)bench_query_ingest(base, chain.blocks, blocks, "unverified", STOA_SKIP_ALL);
    /* As the tool imports: all is verified, and who signed is worked out. Slow, so a part will do.
     */
    (void)bench_query_ingest(base, chain.blocks, blocks / RECOVERED, "recovered", 0);
    (void)printf("\"index_bytes_to_rocksdb\": %.2f, \"directory\": \"%s\"}\n",
                 theirs == 0 ? 0 : ours / theirs, argc > 2 ? argv[2] : "/tmp");
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
    return system(command) == 0 ? 0 : 1;
}
