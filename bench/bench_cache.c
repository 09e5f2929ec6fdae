/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-cache: what the cache gives. Hot reads of small objects in place on one thread, beside
 * LMDB's reads of the same objects in the same run; and the load on the tables of a validator's mix
 * of reads, with the cache and without.
 *
 *   stoa-bench-cache [DIRECTORY]   makes its stores in a temporary directory there, removes it
 *
 * The mix: nine of ten reads are of the newest tenth of the keys, the rest of any. Then the same of
 * all that a validator reads (bench_cache_mix.c). */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench_cache_lmdb.h"
#include "bench_cache_mix.h"
#include "bench_single.h"
#include "stoa.h"

enum {
    BATCHES = 100,
    HOT_KEYS = 10000,
    ROUNDS = 9,
    READS = 1000000, /* a round */
    TIMED = 50000,   /* more, each by itself */
    MIX = 20000,
};

static int fail(const char *what, int result)
{
    fprintf(stderr, "stoa-bench-cache: %s: %s\n", what, stoa_strerror(result));
    return -1;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void bench_cache_make(uint64_t number, struct bench_cache_object *out)
{
    uint64_t state = number;
    for (size_t i = 0; i < sizeof(*out); i += 8) {
        uint64_t word = next_random(&state);
        memcpy((uint8_t *)out + i, &word, 8);
    }
}

static struct stoa_bytes key_of(const struct bench_cache_object *object)
{
    return (struct stoa_bytes){object->key, sizeof(object->key)};
}

static int fill(struct stoa *stoa)
{
    static struct bench_cache_object objects[BENCH_CACHE_BATCH];
    static struct stoa_change changes[BENCH_CACHE_BATCH];
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
        for (unsigned i = 0; i < BENCH_CACHE_BATCH; i++) {
            bench_cache_make(batch * BENCH_CACHE_BATCH + i, &objects[i]);
            changes[i].key = key_of(&objects[i]);
            changes[i].value = (struct stoa_bytes){objects[i].value, sizeof(objects[i].value)};
        }
        update.changes = changes;
        update.change_count = BENCH_CACHE_BATCH;
        int result = stoa_update_state(stoa, &update, NULL);
        if (result != 0) {
            return fail("update", result);
        }
    }
    return stoa_checkpoint(stoa, NULL);
}

/* ---- hot reads ---- */

static struct bench_cache_object hot[HOT_KEYS];

static int read_stoa(void *context, const struct bench_cache_object *object)
{
    struct stoa_value value;
    int result = stoa_get_state_view(context, key_of(object), &value, NULL);
    if (result == 0) {
        result = memcmp(value.value.data, object->value, 8) == 0 ? 0 : STOA_ECORRUPT;
        stoa_release(value.view);
    }
    return result;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* One way to read the hot keys, and what its rounds came to. */
struct way {
    const char *name;
    bench_cache_read *read;
    void *context;
    double rates[ROUNDS];
    uint64_t took[ROUNDS * TIMED];
};

static int read_some(struct way *way, uint64_t *random)
{
    int result = 0;
    for (unsigned i = 0; i < READS && result == 0; i++) {
        result = way->read(way->context, &hot[next_random(random) % HOT_KEYS]);
    }
    return result;
}

/* READS of random ones of the hot keys; then some more, each timed. */
static int measure(struct way *way, unsigned round)
{
    uint64_t random = round;
    uint64_t begin = bench_single_ns();
    int result = read_some(way, &random);
    way->rates[round] = READS / ((double)(bench_single_ns() - begin) / 1e9);
    for (unsigned i = 0; i < TIMED && result == 0; i++) {
        uint64_t start = bench_single_ns();
        result = way->read(way->context, &hot[next_random(&random) % HOT_KEYS]);
        way->took[round * TIMED + i] = bench_single_ns() - start;
    }
    return result;
}

static int compare_rates(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double rates[ROUNDS])
{
    double sorted[ROUNDS];
    memcpy(sorted, rates, sizeof(sorted));
    qsort(sorted, ROUNDS, sizeof(sorted[0]), compare_rates);
    return sorted[ROUNDS / 2];
}

static void tell(struct way *way, const struct way *own)
{
    double ratios[ROUNDS];
    enum { COUNT = ROUNDS * TIMED };
    qsort(way->took, COUNT, sizeof(way->took[0]), compare);
    printf("%-44s %10.0f a second, p50 %" PRIu64 " ns, p99 %" PRIu64 " ns\n", way->name,
           median(way->rates), way->took[COUNT / 2], way->took[COUNT / 100 * 99]);
    for (unsigned i = 0; i < ROUNDS; i++) {
        ratios[i] = own->rates[i] / way->rates[i];
    }
    if (way != own) {
        printf("%-44s %10.2f times (of %d rounds the median)\n", "  stoa's rate", median(ratios),
               ROUNDS);
    }
}

/* Ways take turns, so that what else the machine does meets all of them. */
static int measure_all(struct way *ways, unsigned count)
{
    uint64_t random = 7;
    for (unsigned way = 0; way < count; way++) {
        int result = read_some(&ways[way], &random); /* to warm it up */
        if (result != 0) {
            return fail(ways[way].name, result);
        }
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned way = 0; way < count; way++) {
            int result = measure(&ways[way], round);
            if (result != 0) {
                return fail(ways[way].name, result);
            }
        }
    }
    for (unsigned way = 0; way < count; way++) {
        tell(&ways[way], &ways[0]);
    }
    return 0;
}

static int bench_hot(struct stoa *stoa, const char *directory)
{
    static struct way ways[3] = {{.name = "stoa: state value in place", .read = read_stoa},
                                 {.name = "lmdb: all reads in one transaction"},
                                 {.name = "lmdb: a transaction renewed for each read"}};
    unsigned count = 1;
    ways[0].context = stoa;
    for (uint64_t i = 0; i < HOT_KEYS; i++) {
        bench_cache_make(i, &hot[i]);
    }
    for (; count < 3; count++) {
        ways[count].read = bench_cache_lmdb_read;
        if (bench_cache_lmdb_open(directory, (uint64_t)BATCHES * BENCH_CACHE_BATCH, count == 2,
                                  &ways[count].context) != 0) {
            break; /* not built in; it said so */
        }
    }
    int result = measure_all(ways, count);
    while (--count > 0) {
        bench_cache_lmdb_close(ways[count].context);
    }
    return result;
}

/* ---- the mix ---- */

static void note_lookups(void *context, const struct stoa_metric *metric)
{
    if (strcmp(metric->name, "stoa_jobs_total") == 0 && metric->label_value != NULL &&
        strcmp(metric->label_value, "lookup") == 0) {
        *(double *)context = metric->value;
    }
}

static int bench_mix(const char *store, const struct stoa_cache_options *cache, double *out_lookups)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    struct stoa_detail detail;
    struct stoa *stoa;
    options.cache = cache;
    int result = stoa_open(store, &options, &stoa, &detail);
    if (result != 0) {
        return fail(detail.text, result);
    }
    do {                     /* what reads to warm it up is not the mix's load */
        (void)sched_yield(); /* cannot fail on Linux */
        (void)stoa_get_cache_stats(stoa, &stats); /* nothing to fail */
    } while (stats.warming != 0);
    double before = 0;
    uint64_t keys = (uint64_t)BATCHES * BENCH_CACHE_BATCH;
    uint64_t random = 11;
    (void)stoa_metrics_list(stoa, note_lookups, &before); /* it cannot fail with a function */
    for (unsigned i = 0; i < MIX && result == 0; i++) {
        struct bench_cache_object object;
        bool newest = next_random(&random) % 10 != 0;
        uint64_t number = next_random(&random) % (newest ? keys / 10 : keys);
        bench_cache_make(newest ? keys - 1 - number : number, &object);
        result = read_stoa(stoa, &object);
    }
    *out_lookups = 0;
    (void)stoa_metrics_list(stoa, note_lookups, out_lookups);
    *out_lookups -= before;
    (void)stoa_get_cache_stats(stoa, &stats); /* nothing to fail */
    const struct stoa_cache_class_stats *class = &stats.classes[STOA_CACHE_STATE];
    uint64_t hits = class->hits[STOA_TIER_HEAD] + class->hits[STOA_TIER_HOT];
    printf("validator mix, %-28s hit rate %.3f, %.0f look-ups in tables for %d reads\n",
           stats.limit == 0 ? "without a cache:" : "with the cache:",
           hits == 0 ? 0 : (double)hits / (double)(hits + class->misses), *out_lookups, MIX);
    int closed = stoa_close(stoa, &detail);
    return result != 0 ? fail("mix", result) : closed;
}

static int bench(const char *directory)
{
    static const char genesis[] = "{\"config\": {\"chainId\": 7}, \"difficulty\": \"0x1\","
                                  " \"gasLimit\": \"0x47e7c4\", \"alloc\": {}}";
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_detail detail;
    struct stoa *stoa;
    char store[4200];
    (void)snprintf(store, sizeof(store), "%s/store", directory);
    create.genesis_json = genesis;
    create.genesis_json_size = sizeof(genesis) - 1;
    int result = stoa_create(store, &create, &detail);
    if (result == 0) {
        result = stoa_open(store, NULL, &stoa, &detail);
    }
    if (result != 0) {
        return fail(detail.text, result);
    }
    result = fill(stoa);
    if (result == 0) {
        result = bench_hot(stoa, directory);
    }
    int closed = stoa_close(stoa, &detail);
    if (result != 0 || closed != 0) {
        return -1;
    }
    struct stoa_cache_options with = STOA_CACHE_OPTIONS_INIT;
    struct stoa_cache_options without = STOA_CACHE_OPTIONS_INIT;
    double lookups[2];
    without.capacity = STOA_NO_CACHE;
    if (bench_mix(store, &without, &lookups[0]) != 0 || bench_mix(store, &with, &lookups[1]) != 0) {
        return -1;
    }
    printf("%-44s %10.1f %% less\n", "  load on the tables", 100 - 100 * lookups[1] / lookups[0]);
    return bench_cache_mix(directory);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    char directory[4000];
    (void)snprintf(directory, sizeof(directory), "%s/stoa-bench-cache-XXXXXX",
                   argc > 1 ? argv[1] : ".");
    if (mkdtemp(directory) == NULL) {
        fprintf(stderr, "stoa-bench-cache: %s: %s\n", directory, strerror(errno));
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* it takes a while */
    int result = bench(directory);
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* what is left is seen */
    return result == 0 ? 0 : 1;
}
