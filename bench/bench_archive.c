/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-archive: reads of packed blocks beside reads of live ones, on a made chain
 * (made_load.h).
 *
 *   stoa-bench-archive [BLOCKS [DIRECTORY]]
 *
 * The lower half of the chain is packed. Then whole blocks with their receipts are read by height,
 * one at a time, packed and live ones by turns, each once and none from the cache or the page cache
 * (the ledger is read directly). One JSON object on standard output. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "bench_single.h"
#include "stoa.h"
#include "support/made_load.h"

enum { BLOCKS_DEFAULT = 4000, BLOCKS_MIN = 400, BLOCKS_MAX = 1000000, WARM_UP = 20 };

static void *allocate(uint64_t count, size_t size)
{
    void *data = calloc(count, size);
    if (data == NULL) {
        (void)fputs("no memory\n", stderr);
        exit(1);
    }
    return data;
}

static uint64_t sum_of(struct stoa_bytes block, struct stoa_bytes receipts)
{
    return XXH3_64bits_withSeed(receipts.data, receipts.size, XXH3_64bits(block.data, block.size));
}

/* Store COUNT blocks; SUMS: of each, to know it by. */
static void fill(struct stoa *stoa, uint64_t count, uint64_t *sums)
{
    static struct made_load_block made; /* large */
    struct made_load *load = made_load_create(11);
    struct stoa_detail detail = {.code = 0};
    uint8_t parent[32] = {0};
    for (uint64_t number = 0; number < count; number++) {
        struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
        made_load_make(load, number, parent, &made);
        memcpy(parent, made.hash, 32);
        block.block = (struct stoa_bytes){made.block.data, made.block.size};
        block.receipts = (struct stoa_bytes){made.receipts.data, made.receipts.size};
        block.senders = made.senders[0];
        block.changes = made.changes;
        block.change_count = made.change_count;
        block.skip = STOA_SKIP_ALL;
        sums[number] = sum_of(block.block, block.receipts);
        bench_single_require(stoa_store_block(stoa, &block, &detail), "store a block", &detail);
    }
    made_load_block_deinit(&made);
    made_load_destroy(load);
}

static struct stoa *open_store(const char *directory, bool create)
{
    struct stoa_create_options create_options = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    struct stoa_detail detail = {.code = 0};
    struct stoa *stoa = NULL;
    if (create) {
        bench_single_require(stoa_create(directory, &create_options, &detail), "create a store",
                             &detail);
    }
    maintenance.off = 1;
    options.maintenance = &maintenance;
    cache.cold = 1; /* nothing is read before it is asked for */
    options.cache = &cache;
    bench_single_require(stoa_open(directory, &options, &stoa, &detail), "open the store", &detail);
    return stoa;
}

static void close_store(struct stoa *stoa)
{
    struct stoa_detail detail = {.code = 0};
    bench_single_require(stoa_close(stoa, &detail), "close the store", &detail);
}

static uint64_t fact_of(const struct stoa_job_info *info, const char *name)
{
    for (unsigned i = 0; i < info->fact_count; i++) {
        if (strcmp(info->facts[i].name, name) == 0) {
            return info->facts[i].value;
        }
    }
    return 0;
}

/* Pack the segments of blocks up to HEIGHT. */
static void pack(struct stoa *stoa, uint64_t height, struct stoa_job_info *out_info,
                 double *out_seconds)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    bench_single_require(stoa_set_finalized(stoa, &key, &detail), "finalize", &detail);
    options.job = STOA_JOB_ARCHIVE;
    double before = bench_single_us();
    bench_single_require(stoa_run_job(stoa, &options, out_info, &detail), "archive", &detail);
    *out_seconds = (bench_single_us() - before) / 1e6;
}

/* The highest block that is packed. */
static uint64_t packed_up_to(struct stoa *stoa)
{
    struct stoa_archive *archive;
    struct stoa_detail detail = {.code = 0};
    uint64_t highest = 0;
    bench_single_require(stoa_query_archive(stoa, 0, &archive, &detail), "query the archive",
                         &detail);
    for (size_t i = 0; i < archive->count; i++) {
        highest = archive->list[i].to > highest ? archive->list[i].to : highest;
    }
    stoa_free(archive);
    return highest;
}

/* What reading the block at HEIGHT takes, in microseconds. */
static double read_block(struct stoa *stoa, uint64_t height, uint64_t sum)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_block block;
    struct stoa_detail detail = {.code = 0};
    double before = bench_single_us();
    bench_single_require(stoa_get_block(stoa, &key, &block, &detail), "read a block", &detail);
    double took = bench_single_us() - before;
    if (sum_of(block.block, block.receipts) != sum) {
        (void)fprintf(stderr, "block %" PRIu64 " is not what was stored\n", height);
        exit(1);
    }
    stoa_release(block.view);
    return took;
}

/* COUNT heights from FIRST on, in an order without neighbours. */
static uint64_t *shuffled(uint64_t first, uint64_t count)
{
    uint64_t *heights = allocate(count, sizeof(*heights));
    uint64_t state = 0x9e3779b97f4a7c15;
    for (uint64_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t other = state % (i + 1);
        heights[i] = heights[other];
        heights[other] = first + i;
    }
    return heights;
}

struct times {
    double p50;
    double p99;
};

static struct times times_of(double *took, uint64_t count)
{
    qsort(took, count, sizeof(*took), bench_single_compare);
    return (struct times){took[count / 2], took[count - 1 - count / 100]};
}

/* Blocks below PACKED and those from it to COUNT by turns, as many of each as there are of both. */
static void compare(struct stoa *stoa, uint64_t packed, uint64_t count, const uint64_t *sums,
                    struct times out[2])
{
    uint64_t each = packed < count - packed ? packed : count - packed;
    uint64_t *heights[2] = {shuffled(0, each), shuffled(packed, each)};
    double *took[2] = {allocate(each, sizeof(double)), allocate(each, sizeof(double))};
    for (uint64_t i = 0; i < each; i++) {
        for (unsigned form = 0; form < 2; form++) {
            unsigned turn = (unsigned)(i + form) % 2; /* none is always the first */
            uint64_t height = heights[turn][i];
            took[turn][i] = read_block(stoa, height, sums[height]);
        }
    }
    for (unsigned form = 0; form < 2; form++) { /* the first ones wake what sleeps */
        out[form] = times_of(took[form] + WARM_UP, each - WARM_UP);
        free(took[form]);
        free(heights[form]);
    }
}

static void print(uint64_t count, uint64_t packed, const struct stoa_job_info *info, double seconds,
                  const struct times times[2])
{
    double source = (double)fact_of(info, "sourceBytes");
    printf("{\"blocks\":%" PRIu64 ",\"packed_blocks\":%" PRIu64 ",\"packed_ratio\":%.2f,"
           "\"packed_mb_per_second\":%.1f,\"packed_us\":{\"p50\":%.1f,\"p99\":%.1f},"
           "\"live_us\":{\"p50\":%.1f,\"p99\":%.1f},\"p99_ratio\":%.2f}\n",
           count, packed, source / (double)fact_of(info, "madeBytes"), source / 1e6 / seconds,
           times[0].p50, times[0].p99, times[1].p50, times[1].p99, times[0].p99 / times[1].p99);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : BLOCKS_DEFAULT;
    char base[256];
    char directory[300];
    char command[320];
    struct stoa_job_info info;
    struct times times[2];
    double seconds;
    if (count < BLOCKS_MIN || count > BLOCKS_MAX) {
        (void)fprintf(stderr, "usage: stoa-bench-archive [BLOCKS [DIRECTORY]], BLOCKS %d to %d\n",
                      BLOCKS_MIN, BLOCKS_MAX);
        return 2;
    }
    (void)snprintf(base, sizeof(base), "%s/bench-archive-XXXXXX", argc > 2 ? argv[2] : "/tmp");
    if (mkdtemp(base) == NULL) {
        perror(base);
        return 1;
    }
    (void)snprintf(directory, sizeof(directory), "%s/store", base);
    uint64_t *sums = allocate(count, sizeof(*sums));
    struct stoa *stoa = open_store(directory, true);
    fill(stoa, count, sums);
    pack(stoa, count / 2, &info, &seconds);
    uint64_t packed = packed_up_to(stoa) + 1;
    close_store(stoa);
    stoa = open_store(directory, false);
    compare(stoa, packed, count, sums, times);
    close_store(stoa);
    print(count, packed, &info, seconds, times);
    free(sums);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
    return system(command) == 0 ? 0 : 1;
}
