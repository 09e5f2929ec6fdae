/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-query: what queries of logs and changes of branch cost, on a made chain of small
 * blocks.
 *
 *   stoa-bench-query [BLOCKS [DIRECTORY]]
 *
 * Logs with a topic that few blocks of the chain have: by the index, at a quarter of the chain's
 * length and at its whole length (the same answer; medians), and by what one would do without it:
 * read all headers, and of those whose bloom filter admits the topic the block. Then changes of
 * branch, 16 blocks off and 16 on; the chain's ingest, to the last checkpoint, with all indexes and
 * with none but that of blocks, by turns, verified but for the senders, and not at all; and what
 * the indexes take on disk. One JSON object on standard output. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chain/header.h"
#include "chain/receipt.h"
#include "stoa.h"
#include "store/store.h"
#include "support/made_chain.h"

enum { INGESTS = 3, UNDER_WAY = 64, WARM_ROUNDS = 20 };
enum { BLOCKS_DEFAULT = 20000, ROUNDS = 51, DEEP = 16, CHANGES = 20, HEADERS_AT_ONCE = 1000 };

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void require(int result, const char *what)
{
    if (result != 0) {
        (void)fprintf(stderr, "%s: %s\n", what, stoa_strerror(result));
        exit(1);
    }
}

static void store(struct stoa *stoa, const struct made_block *block, unsigned flags)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    put.senders = block->senders.data;
    put.skip = STOA_SKIP_SENDERS;
    put.flags = flags;
    require(stoa_store_block(stoa, &put, NULL), "store");
}

/* A topic at one of a log's places. */
struct wanted {
    unsigned place;
    uint8_t topic[32];
};

static struct stoa_log_filter filter_of(const struct wanted *wanted)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    filter.topics[wanted->place] = (struct stoa_topics){wanted->topic, 1};
    filter.topic_count = wanted->place + 1;
    return filter;
}

/* The rarest of those that logs of early blocks have. */
static void choose_topic(struct stoa *stoa, struct wanted *out)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    size_t fewest = SIZE_MAX;
    filter.limit = 20;
    filter.topic_count = 1; /* any, but one */
    require(stoa_query_logs(stoa, &filter, &logs, NULL), "logs");
    for (size_t i = 0; i < logs.count; i++) {
        for (unsigned place = 0; place < logs.logs[i].topic_count; place++) {
            struct wanted wanted = {.place = place};
            memcpy(wanted.topic, logs.logs[i].topics[place], 32);
            struct stoa_log_filter one = filter_of(&wanted);
            struct stoa_logs found;
            require(stoa_query_logs(stoa, &one, &found, NULL), "logs");
            if (found.count < fewest) {
                fewest = found.count;
                *out = wanted;
            }
            stoa_free(found.logs);
        }
    }
    stoa_free(logs.logs);
}

static int compare_times(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare_times);
    return times[count / 2];
}

/* The median of some, once readers have opened what they need. */
static double time_query(struct stoa *stoa, const struct wanted *wanted, uint64_t to,
                         size_t *out_count)
{
    struct stoa_log_filter filter = filter_of(wanted);
    double times[ROUNDS] = {0};
    filter.to = to;
    for (unsigned i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        struct stoa_logs logs;
        double begin = now_us();
        require(stoa_query_logs(stoa, &filter, &logs, NULL), "logs");
        if (i >= WARM_ROUNDS) {
            times[i - WARM_ROUNDS] = now_us() - begin;
        }
        *out_count = logs.count;
        stoa_free(logs.logs);
    }
    return median(times, ROUNDS);
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
    double begin = now_us();
    *out_candidates = 0;
    for (uint64_t from = 0; from <= blocks; from += HEADERS_AT_ONCE) {
        struct stoa_block_range range = {from, HEADERS_AT_ONCE};
        struct stoa_headers headers;
        require(stoa_get_header_range(stoa, &range, &headers, NULL), "headers");
        for (size_t i = 0; i < headers.count; i++) {
            struct stoa_bytes encoding = headers.headers[i].header;
            struct header header;
            require(header_decode(bytes_of(encoding.data, encoding.size), &header, NULL), "header");
            if (bloom_admits(header.logs_bloom, wanted)) {
                struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = header.number};
                struct stoa_block block;
                require(stoa_get_block(stoa, &key, &block, NULL), "block");
                stoa_release(block.view);
                ++*out_candidates;
            }
        }
        stoa_free(headers.headers);
    }
    return now_us() - begin;
}

static double time_changes(struct stoa *stoa, const struct made_chain *chain, uint64_t blocks)
{
    struct made_chain *rival = made_chain_create_rival(chain, blocks - DEEP, 77, DEEP);
    for (uint64_t i = 1; i <= DEEP; i++) {
        store(stoa, made_chain_block(rival, blocks - DEEP + i), STOA_STORE_SIDE);
    }
    const uint8_t *heads[] = {made_chain_block(rival, blocks)->hash,
                              made_chain_block(chain, blocks)->hash};
    double begin = now_us();
    for (unsigned i = 0; i < CHANGES; i++) {
        require(stoa_update_head(stoa, heads[i % 2], NULL), "head");
    }
    double each = (now_us() - begin) / CHANGES;
    made_chain_destroy(rival);
    return each;
}

/* ---- ingest ---- */

struct ingest {
    struct store *store;
    const struct made_chain *chain;
    unsigned skip;
    uint64_t next;
    uint64_t last;
    unsigned under_way;
    struct store_request requests[UNDER_WAY];
};

static void submit_next(struct ingest *ingest, struct store_request *request);

static void done_block(struct store_request *request)
{
    struct ingest *ingest = request->context;
    require(request->result, "store");
    ingest->under_way--;
    if (ingest->next <= ingest->last) {
        submit_next(ingest, request);
    }
}

static void submit_next(struct ingest *ingest, struct store_request *request)
{
    const struct made_block *block = made_chain_block(ingest->chain, ingest->next++);
    *request =
        (struct store_request){.kind = STORE_PUT_BLOCK, .done = done_block, .context = ingest};
    request->put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    request->put.block = (struct stoa_bytes){block->block.data, block->block.size};
    request->put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    request->put.senders = block->senders.data;
    request->put.skip = ingest->skip;
    ingest->under_way++;
    store_submit(ingest->store, request);
}

static uint64_t bytes_of_tables(const char *directory)
{
    char command[400];
    unsigned long long bytes = 0;
    (void)snprintf(command, sizeof(command), "du -sb '%s/tables' | cut -f1", directory);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fscanf(pipe, "%llu", &bytes) != 1) {
        bytes = 0;
    }
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
    return bytes;
}

/* Seconds for the whole chain, applied and checkpointed; what the tables take goes to OUT_BYTES. */
static double time_ingest(const char *base, const struct ingest *wanted, bool plain,
                          uint64_t *out_bytes)
{
    struct ingest ingest = *wanted;
    struct bytes genesis = made_chain_genesis_json(ingest.chain);
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct io_options io_options = {.entries = 512};
    struct io *io;
    char directory[300];
    char command[320];
    (void)snprintf(directory, sizeof(directory), "%s/ingest", base);
    create.genesis_json = (const char *)genesis.data;
    create.genesis_json_size = genesis.size;
    require(stoa_create(directory, &create, NULL), "create");
    require(io_create(&io_options, &io, NULL), "io");
    struct store_options options = {.io = io, .directory = directory, .bulk = true, .plain = plain};
    require(store_open(&options, &ingest.store, NULL), "open");
    double begin = now_us();
    for (unsigned i = 0; i < UNDER_WAY && ingest.next <= ingest.last; i++) {
        submit_next(&ingest, &ingest.requests[i]);
    }
    while (ingest.under_way != 0) {
        int ran = io_run(io, 1000000000);
        require(ran < 0 ? ran : 0, "run");
    }
    require(store_checkpoint(ingest.store, NULL), "checkpoint");
    double seconds = (now_us() - begin) / 1e6;
    require(store_close(ingest.store, NULL), "close");
    io_destroy(io);
    *out_bytes = bytes_of_tables(directory);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    require(system(command) == 0 ? 0 : STOA_EIO, "remove");
    return seconds;
}

static void measure_ingest(const char *base, const struct made_chain *chain, uint64_t blocks,
                           const char *name, unsigned skip)
{
    struct ingest wanted = {.chain = chain, .skip = skip, .next = 1, .last = blocks};
    double with[INGESTS];
    double without[INGESTS];
    uint64_t bytes_with = 0;
    uint64_t bytes_without = 0;
    uint64_t transactions = 0;
    for (uint64_t i = 1; i <= blocks; i++) {
        transactions += made_chain_block(chain, i)->transaction_count;
    }
    for (unsigned i = 0; i < INGESTS; i++) {
        without[i] = time_ingest(base, &wanted, true, &bytes_without);
        with[i] = time_ingest(base, &wanted, false, &bytes_with);
    }
    double all = median(with, INGESTS);
    double none = median(without, INGESTS);
    (void)printf("\"ingest_%s\": {\"transactions\": %" PRIu64
                 ", \"blocks_per_s\": %.0f, \"plain_blocks_per_s\": %.0f, "
                 "\"slower_percent\": %.1f, \"index_bytes_a_transaction\": %.1f}, ",
                 name, transactions, (double)blocks / all, (double)blocks / none,
                 (1 - none / all) * 100,
                 (double)(bytes_with - bytes_without) / (double)transactions);
}

int main(int argc, char **argv)
{
    uint64_t blocks = argc > 1 ? strtoull(argv[1], NULL, 10) : BLOCKS_DEFAULT;
    char base[256];
    char command[320];
    if (blocks < 4 * DEEP) {
        (void)fprintf(stderr, "usage: stoa-bench-query [BLOCKS [DIRECTORY]], 64 blocks at least\n");
        return 2;
    }
    (void)snprintf(base, sizeof(base), "%s/bench-query-XXXXXX", argc > 2 ? argv[2] : "/tmp");
    if (mkdtemp(base) == NULL) {
        perror(base);
        return 1;
    }
    struct made_chain *chain = made_chain_create(7, blocks);
    struct bytes genesis = made_chain_genesis_json(chain);
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa *stoa;
    char directory[300];
    (void)snprintf(directory, sizeof(directory), "%s/store", base);
    create.genesis_json = (const char *)genesis.data;
    create.genesis_json_size = genesis.size;
    require(stoa_create(directory, &create, NULL), "create");
    require(stoa_open(directory, &options, &stoa, NULL), "open");
    struct wanted wanted = {.place = 0};
    size_t quarter_count = 0;
    size_t count = 0;
    uint64_t candidates = 0;
    double quarter = 0;
    for (uint64_t i = 1; i <= blocks; i++) {
        store(stoa, made_chain_block(chain, i), 0);
        if (i == blocks / 4) {
            require(stoa_checkpoint(stoa, NULL), "checkpoint");
            choose_topic(stoa, &wanted);
            quarter = time_query(stoa, &wanted, blocks / 4, &quarter_count);
        }
    }
    require(stoa_checkpoint(stoa, NULL), "checkpoint");
    double same = time_query(stoa, &wanted, blocks / 4, &count);
    double whole = time_query(stoa, &wanted, UINT64_MAX, &count);
    double scan = time_scan(stoa, wanted.topic, blocks, &candidates);
    double change = time_changes(stoa, chain, blocks);
    (void)printf(
        "{\"blocks\": %" PRIu64 ", \"query_quarter_us\": %.1f, \"same_query_whole_us\": "
        "%.1f, \"logs_quarter\": %zu, \"query_us\": %.1f, \"logs\": %zu, \"bloom_scan_us\": "
        "%.1f, \"bloom_candidates\": %" PRIu64 ", \"scan_to_query\": %.1f, "
        "\"change_of_branch_us\": %.1f, \"change_depth\": %d, ",
        blocks, quarter, same, quarter_count, whole, count, scan, candidates, scan / whole, change,
        DEEP);
    require(stoa_close(stoa, NULL), "close");
    measure_ingest(base, chain, blocks, "verified", STOA_SKIP_SENDERS);
    measure_ingest(base, chain, blocks, "unverified", STOA_SKIP_ALL);
    (void)printf("\"directory\": \"%s\"}\n", argc > 2 ? argv[2] : "/tmp");
    made_chain_destroy(chain);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
    return system(command) == 0 ? 0 : 1;
}
