/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chain's ingest, to the last checkpoint, with all indexes and with none but that of blocks, by
 * turns. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_query.h"
#include "bench_single.h"
#include "store/store.h"

enum { INGESTS = 3, UNDER_WAY = 64 };

struct ingest {
    struct store *store;
    const struct bench_query_block *blocks;
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
    bench_single_require(request->result, "store", NULL);
    ingest->under_way--;
    if (ingest->next < ingest->last) {
        submit_next(ingest, request);
    }
}

static void submit_next(struct ingest *ingest, struct store_request *request)
{
    const struct bench_query_block *block = &ingest->blocks[ingest->next++];
    *request =
        (struct store_request){.kind = STORE_PUT_BLOCK, .done = done_block, .context = ingest};
    request->put = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    request->put.block = (struct stoa_bytes){block->block.data, block->block.size};
    request->put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    request->put.senders = (ingest->skip & STOA_SKIP_SENDERS) != 0 ? block->senders.data : NULL;
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
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct io_options io_options = {.entries = 512};
    struct io *io;
    char directory[300];
    char command[320];
    (void)snprintf(directory, sizeof(directory), "%s/ingest", base);
    bench_single_require(stoa_create(directory, &create, NULL), "create", NULL);
    bench_single_require(io_create(&io_options, &io, NULL), "io", NULL);
    struct store_options options = {.io = io, .directory = directory, .bulk = true, .plain = plain};
    bench_single_require(store_open(&options, &ingest.store, NULL), "open", NULL);
    double begin = bench_single_us();
    for (unsigned i = 0; i < UNDER_WAY && ingest.next < ingest.last; i++) {
        submit_next(&ingest, &ingest.requests[i]);
    }
    while (ingest.under_way != 0) {
        int ran = io_run(io, 1000000000);
        bench_single_require(ran < 0 ? ran : 0, "run", NULL);
    }
    bench_single_require(store_checkpoint(ingest.store, NULL), "checkpoint", NULL);
    double seconds = (bench_single_us() - begin) / 1e6;
    bench_single_require(store_close(ingest.store, NULL), "close", NULL);
    io_destroy(io);
    *out_bytes = bytes_of_tables(directory);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    bench_single_require(system(command) == 0 ? 0 : STOA_EIO, "remove", NULL);
    return seconds;
}

double bench_query_ingest(const char *base, const struct bench_query_block *blocks, uint64_t count,
                          const char *name, unsigned skip)
{
    struct ingest wanted = {.blocks = blocks, .skip = skip, .last = count};
    double with[INGESTS];
    double without[INGESTS];
    uint64_t bytes_with = 0;
    uint64_t bytes_without = 0;
    uint64_t transactions = 0;
    for (uint64_t i = 0; i < count; i++) {
        transactions += blocks[i].transactions;
    }
    for (unsigned i = 0; i < INGESTS; i++) {
        without[i] = time_ingest(base, &wanted, true, &bytes_without);
        with[i] = time_ingest(base, &wanted, false, &bytes_with);
    }
    double all = bench_query_median(with, INGESTS);
    double none = bench_query_median(without, INGESTS);
    double each = (double)(bytes_with - bytes_without) / (double)transactions;
    (void)printf("\"ingest_%s\": {\"transactions\": %" PRIu64
                 ", \"blocks_per_s\": %.0f, \"plain_blocks_per_s\": %.0f, "
                 "\"slower_percent\": %.1f, \"index_bytes_a_transaction\": %.1f}, ",
                 name, transactions, (double)count / all, (double)count / none,
                 (1 - none / all) * 100, each);
    return each;
}
