/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks as a busy validator sees them (made_load.h), three times the cache in all. Nine of ten
 * reads are about one of the newest tenth of the blocks, the rest about any: half of them of a key
 * that the block changed, a fifth of a transaction with its receipt, the others of the block by its
 * height, its header by its hash, and the head. In the end the store is opened again, as it was
 * left and cold, and the hits of the first second are told. */
#include "bench_cache_mix.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_single.h"
#include "stoa.h"
#include "support/made_load.h"

enum {
    BLOCKS = 600,
    CACHE_SIZE = 32 << 20,
    READS = 20000,
    FIRST_READS = 1000, /* after a restart */
    KEYS = 100,         /* of each block that are asked for */
    KEY_SIZE = 32,
};

/* What is remembered of a block, to ask for it. */
struct known_block {
    uint8_t hash[32];
    uint8_t transactions[MADE_LOAD_TRANSACTIONS][32];
    uint8_t keys[KEYS][KEY_SIZE];
    size_t size;
};

struct load {
    double lookups; /* in tables */
    double reads;   /* of the ledger */
};

static int fail(const char *what, int result)
{
    fprintf(stderr, "stoa-bench-cache: %s: %s\n", what, stoa_strerror(result));
    return -1;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int put(struct stoa *stoa, const struct made_load_block *made)
{
    struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
    block.block = (struct stoa_bytes){made->block.data, made->block.size};
    block.receipts = (struct stoa_bytes){made->receipts.data, made->receipts.size};
    block.senders = made->senders[0];
    block.changes = made->changes;
    block.change_count = MADE_LOAD_CHANGES;
    block.skip = STOA_SKIP_ALL;
    return stoa_store_block(stoa, &block, NULL);
}

static int fill(const char *directory, struct known_block *known, double *out_bytes)
{
    static struct made_load_block made; /* large */
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa *stoa;
    uint8_t parent[32] = {0};
    int result = stoa_create(directory, &create, NULL);
    result = result == 0 ? stoa_open(directory, &options, &stoa, NULL) : result;
    if (result != 0) {
        return fail("make a chain", result);
    }
    struct made_load *load = made_load_create(5);
    *out_bytes = 0;
    for (uint64_t number = 0; number < BLOCKS && result == 0; number++) {
        struct known_block *one = &known[number];
        made_load_make(load, number, parent, &made);
        memcpy(one->hash, made.hash, 32);
        memcpy(one->transactions, made.transaction_hashes, sizeof(one->transactions));
        for (unsigned i = 0; i < KEYS; i++) {
            memcpy(one->keys[i], made.changes[i].key.data, KEY_SIZE);
        }
        one->size = made.block.size;
        *out_bytes += (double)made_load_logical_size(&made);
        memcpy(parent, made.hash, 32);
        result = put(stoa, &made);
    }
    made_load_block_deinit(&made);
    made_load_destroy(load);
    /* What were not in the tables yet would be read from memory, with a cache and without. */
    result = result == 0 ? stoa_checkpoint(stoa, NULL) : result;
    int closed = stoa_close(stoa, NULL);
    result = result != 0 ? result : closed;
    return result == 0 ? 0 : fail("store blocks", result);
}

static int read_state(struct stoa *stoa, const struct known_block *known, uint64_t random)
{
    struct stoa_value value;
    int result = stoa_get_state_view(
        stoa, (struct stoa_bytes){known->keys[random % KEYS], KEY_SIZE}, &value, NULL);
    if (result == 0) {
        stoa_release(value.view);
    }
    return result;
}

static int read_transaction(struct stoa *stoa, const struct known_block *known, uint64_t random)
{
    struct stoa_transaction found;
    int result = stoa_get_transaction(stoa, known->transactions[random % MADE_LOAD_TRANSACTIONS],
                                      &found, NULL);
    if (result == 0) {
        result = found.receipt.data == NULL ? STOA_ECORRUPT : 0;
        stoa_release(found.block.view);
    }
    return result;
}

static int read_block(struct stoa *stoa, const struct known_block *known, uint64_t height)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_block found;
    int result = stoa_get_block(stoa, &key, &found, NULL);
    if (result == 0) {
        result = found.block.size != known->size ? STOA_ECORRUPT : 0;
        stoa_release(found.view);
    }
    return result;
}

static int read_header(struct stoa *stoa, const struct known_block *known, uint64_t height)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_header found;
    memcpy(key.hash, known->hash, 32);
    int result = stoa_get_header(stoa, &key, &found, NULL);
    if (result == 0) {
        result = found.height != height ? STOA_ECORRUPT : 0;
        stoa_release(found.view);
    }
    return result;
}

static int read_one(struct stoa *stoa, const struct known_block *known, uint64_t *random)
{
    bool newest = next_random(random) % 10 != 0;
    uint64_t below = next_random(random) % (newest ? BLOCKS / 10 : BLOCKS);
    uint64_t height = BLOCKS - 1 - below;
    uint64_t dice = next_random(random) % 100;
    uint64_t which = next_random(random);
    if (dice < 50) {
        return read_state(stoa, &known[height], which);
    }
    if (dice < 70) {
        return read_transaction(stoa, &known[height], which);
    }
    if (dice < 85) {
        return read_block(stoa, &known[height], height);
    }
    if (dice < 95) {
        return read_header(stoa, &known[height], height);
    }
    struct stoa_head head;
    return stoa_get_head(stoa, &head);
}

static void note(void *context, const struct stoa_metric *metric)
{
    struct load *load = context;
    if (metric->label_value == NULL) {
        return;
    }
    if (strcmp(metric->name, "stoa_jobs_total") == 0 &&
        strcmp(metric->label_value, "lookup") == 0) {
        load->lookups = metric->value;
    }
    if (strcmp(metric->name, "stoa_io_requests_total") == 0 &&
        strcmp(metric->label_value, "read") == 0) {
        load->reads = metric->value;
    }
}

static void tell(struct stoa *stoa, const char *name, const struct load *load)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    (void)stoa_get_cache_stats(stoa, &stats); /* nothing to fail */
    printf("mixed reads, %-20s %8.0f look-ups in tables, %8.0f reads of the ledger, for %d\n", name,
           load->lookups, load->reads, READS);
    for (int i = 0; i < STOA_CACHE_CLASSES && stats.limit != 0; i++) {
        const struct stoa_cache_class_stats *class = &stats.classes[i];
        uint64_t hits = class->hits[STOA_TIER_HEAD] + class->hits[STOA_TIER_HOT] +
                        class->hits[STOA_TIER_PACKED];
        printf("  %-10s hit rate %.3f, of these packed %.3f\n", stoa_cache_class_name(i),
               hits == 0 ? 0 : (double)hits / (double)(hits + class->misses),
               hits == 0 ? 0 : (double)class->hits[STOA_TIER_PACKED] / (double)hits);
    }
}

static int measure(const char *directory, const struct known_block *known, const char *name,
                   uint64_t size, struct load *out_load)
{
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct load before = {0, 0};
    struct stoa *stoa;
    uint64_t random = 11;
    cache.capacity = size;
    options.cache = &cache;
    int result = stoa_open(directory, &options, &stoa, NULL);
    if (result != 0) {
        return fail(name, result);
    }
    do {                     /* what is read to warm it up is not the mix's load */
        (void)sched_yield(); /* cannot fail on Linux */
        (void)stoa_get_cache_stats(stoa, &stats); /* nothing to fail */
    } while (stats.warming != 0);
    (void)stoa_metrics_list(stoa, note, &before); /* it cannot fail with a function */
    for (unsigned i = 0; i < READS && result == 0; i++) {
        result = read_one(stoa, known, &random);
    }
    *out_load = before;
    (void)stoa_metrics_list(stoa, note, out_load);
    out_load->lookups -= before.lookups;
    out_load->reads -= before.reads;
    tell(stoa, name, out_load);
    int closed = stoa_close(stoa, NULL);
    result = result != 0 ? result : closed;
    return result == 0 ? 0 : fail(name, result);
}

static void note_messages(void *context, const struct stoa_metric *metric)
{
    if (strcmp(metric->name, "stoa_messages_total") == 0) {
        *(double *)context += metric->value;
    }
}

/* Of so many reads those, in per cent, that no message was sent for: the caller found them. */
static double hit_share(struct stoa *stoa, uint64_t reads)
{
    double messages = 0;
    (void)stoa_metrics_list(stoa, note_messages, &messages); /* it cannot fail with a function */
    return 100 - 100 * messages / (double)reads;
}

/* The first second after an open, which begins when stoa_open returns: nobody waits for the cache
 * to be warm. COLD: it is not warmed at all. */
static int restart(const char *directory, const struct known_block *known, bool cold)
{
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa *stoa;
    uint64_t random = 29; /* not the reads that were remembered, but their like */
    uint64_t count = 0;
    double first = 0;
    cache.capacity = CACHE_SIZE;
    cache.cold = cold;
    options.cache = &cache;
    uint64_t begin = bench_single_ns();
    int result = stoa_open(directory, &options, &stoa, NULL);
    if (result != 0) {
        return fail("restart", result);
    }
    uint64_t opened = bench_single_ns();
    while (result == 0 && bench_single_ns() - opened < UINT64_C(1000000000)) {
        result = read_one(stoa, known, &random);
        if (++count == FIRST_READS) {
            first = hit_share(stoa, count);
        }
    }
    printf("restart, %-6s open in %.2f s; hits: first %d reads %5.1f %%, first second (%" PRIu64
           " reads) %5.1f %%\n",
           cold ? "cold:" : "warm:", (double)(opened - begin) / 1e9, FIRST_READS, first, count,
           hit_share(stoa, count));
    int closed = stoa_close(stoa, NULL);
    result = result != 0 ? result : closed;
    return result == 0 ? 0 : fail("restart", result);
}

int bench_cache_mix(const char *directory)
{
    char chain[4096];
    double bytes;
    struct load without;
    struct load with;
    struct known_block *known = calloc(BLOCKS, sizeof(*known));
    int length = snprintf(chain, sizeof(chain), "%s/chain", directory);
    if (known == NULL || length < 0 || (size_t)length >= sizeof(chain)) {
        free(known);
        return fail("mixed reads", STOA_ENOMEM);
    }
    int result = fill(chain, known, &bytes);
    if (result == 0) {
        printf("mixed reads of %d blocks, %.0f MiB, with a cache of %d MiB\n", BLOCKS,
               bytes / (1 << 20), CACHE_SIZE >> 20);
        result = measure(chain, known, "without a cache:", STOA_NO_CACHE, &without);
    }
    if (result == 0) {
        result = measure(chain, known, "with the cache:", CACHE_SIZE, &with);
    }
    if (result == 0) {
        printf("%-44s %10.1f %% less\n", "  load on the tables",
               100 - 100 * with.lookups / without.lookups);
        printf("%-44s %10.1f %% less\n", "  load on the ledger",
               100 - 100 * with.reads / without.reads);
        result = restart(chain, known, false); /* by what the mix left */
    }
    if (result == 0) {
        result = restart(chain, known, true);
    }
    free(known);
    return result;
}
