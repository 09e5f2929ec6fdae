/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-state: a state of many accounts and slots, and blocks of 1,000 to 5,000 changes drawn
 * by Zipf's law, each with its root and its history.
 *
 *   stoa-bench-state [-n ITEMS] [-b BLOCKS] [-c CACHE-MIB] [-k KEEP] [-f FLIGHT] [-d DIRECTORY]
 *                    [-p | -a]
 *   stoa-bench-state -r
 *
 * A fifth of the items are accounts, each with four slots. First they are stored, then come the
 * blocks that are timed: acknowledged when durable, as soon as the one before is. Then reads of
 * values, now and as far back as the blocks go (1,000 at most), one after the other and 32 in
 * flight, and proofs. The cache is that of the tables and of the tries, a half each. With -k the
 * tries are kept for so many blocks back, instead of all. With -p the same changes go to the peer
 * instead (bench_state_rocksdb.c): the same tries kept node by hash in RocksDB, with the whole
 * cache; with -a first to Stoa and then to the peer, each in a process of its own, and how they
 * compare is a third object. With -r the root alone is timed: 1,000 changes of a state in memory,
 * on one thread. One JSON object on standard output. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_single.h"
#include "bench_state.h"
#include "chain/keccak.h"
#include "state/state_update.h"
#include "stoa.h"
#include "store/trie_cache.h"
#include "store/trie_layer.h"
#include "support/made_chain.h"

enum { SLOTS_EACH = 4, FILL_CHANGES = 20000, CHANGES_MIN = 1000, CHANGES_MAX = 5000 };
enum { READS = 10000, IN_FLIGHT = 32 };

/* What the engines are compared by. */
struct outcome {
    double blocks_s;
    double growth; /* bytes a change */
    double p99;
};

struct bench {
    uint64_t items;
    uint64_t accounts;
    uint64_t blocks;
    uint64_t cache_mib;
    bool peer;
    bool both;
    bool root_only;
    struct outcome *outcomes; /* of Stoa and the peer, in shared memory */
    uint64_t keep;
    char base[256];
    uint64_t random;
    uint64_t flight;
    struct stoa_account_change *changed_accounts; /* of the block that is made */
    struct stoa_slot_change *changed_slots;
    struct stoa_account_change *all_accounts; /* of all that are under way */
    struct stoa_slot_change *all_slots;
    uint8_t (*names)[20]; /* of the accounts */
    uint64_t *seen;       /* block that changed an item last */
};

static uint64_t draw(struct bench *bench)
{
    bench->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = bench->random;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* The item of rank x is drawn with a frequency of 1/x; neighbours in rank are none in the tries. */
static uint64_t draw_item(struct bench *bench)
{
    double unit = (double)(draw(bench) >> 11) / 9007199254740992.0;
    uint64_t rank = (uint64_t)exp(unit * log((double)bench->items));
    return rank % bench->items;
}

static void name_accounts(struct bench *bench)
{
    bench->names = calloc(bench->accounts, sizeof(*bench->names));
    for (uint64_t i = 0; i < bench->accounts; i++) {
        uint8_t hash[32];
        keccak_256((const uint8_t *)&i, sizeof(i), hash);
        memcpy(bench->names[i], hash, 20);
    }
}

static void name_account(const struct bench *bench, uint64_t account, uint8_t address[20])
{
    memcpy(address, bench->names[account], 20);
}

/* The changes of one block into PUT: items FIRST to LAST, or COUNT that are drawn. */
static void change_item(struct bench *bench, uint64_t item, uint64_t block,
                        struct stoa_store_block *put)
{
    uint64_t account = item % bench->accounts;
    uint64_t slot = item / bench->accounts;
    if (bench->seen[item] == block) {
        return;
    }
    bench->seen[item] = block;
    if (slot == 0) {
        struct stoa_account_change *change = &bench->changed_accounts[put->account_count++];
        *change = (struct stoa_account_change){.nonce = block};
        name_account(bench, account, change->address);
        bytes_store_be64(change->balance + 24, draw(bench));
        memcpy(change->code_hash, state_empty_code_hash, sizeof(change->code_hash));
        return;
    }
    struct stoa_slot_change *change = &bench->changed_slots[put->slot_count++];
    memset(change, 0, sizeof(*change));
    name_account(bench, account, change->address);
    bytes_store_be64(change->slot + 24, slot);
    bytes_store_be64(change->value + 24, draw(bench) | 1);
}

static struct stoa_store_block begin_block(struct bench *bench, const struct made_block *block)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.skip = STOA_SKIP_ALL;
    put.flags = STOA_STORE_STATE;
    put.accounts = bench->changed_accounts;
    put.slots = bench->changed_slots;
    return put;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static uint64_t disk_bytes(const struct bench *bench)
{
    char command[320];
    unsigned long long bytes = 0;
    (void)snprintf(command, sizeof(command), "du -s -B1 '%s' | cut -f1", bench->base);
    FILE *pipe = popen(command, "r");
    if (pipe != NULL) {
        if (fscanf(pipe, "%llu", &bytes) != 1) {
            bytes = 0;
        }
        (void)pclose(pipe);
    }
    return bytes;
}

/* What the process has read or written: NAME says which of it. */
static uint64_t io_bytes(const char *name)
{
    unsigned long long bytes = 0;
    char line[128];
    size_t size = strlen(name);
    FILE *file = fopen("/proc/self/io", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, size) == 0 && line[size] == ':') {
            bytes = strtoull(line + size + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static void print_job(void *context, const struct stoa_metric *metric)
{
    (void)context;
    if (metric->kind == STOA_METRIC_HISTOGRAM && metric->label_value != NULL &&
        strcmp(metric->name, "stoa_job_seconds") == 0 && metric->count != 0) {
        (void)printf(", \"job_%s_s\": %.3f, \"job_%s_p50_ms\": %.3f", metric->label_value,
                     metric->sum, metric->label_value, metric->p50 * 1e3);
    }
}

/* What is read: an account (slot 0) or one of its slots. */
static uint64_t draw_query(struct bench *bench, uint64_t height, bool hot,
                           struct stoa_state_query *query)
{
    uint64_t item = hot ? draw_item(bench) : draw(bench) % bench->items;
    uint64_t slot = item / bench->accounts;
    *query = (struct stoa_state_query){.height = height};
    name_account(bench, item % bench->accounts, query->address);
    bytes_store_be64(query->slot + 24, slot);
    return slot;
}

static void read_one(struct stoa *stoa, const struct stoa_state_query *query, uint64_t slot)
{
    struct stoa_detail detail;
    struct stoa_account account;
    uint8_t value[32];
    if (slot == 0) {
        bench_single_require(stoa_get_account(stoa, query, &account, &detail), "account", &detail);
    } else {
        bench_single_require(stoa_get_storage(stoa, query, value, &detail), "storage", &detail);
    }
}

/* Reads a second, one after the other, of accounts and slots as they are drawn, as of HEIGHT. Hot
 * ones are read twice, and timed the second time. */
static double time_reads(struct bench *bench, struct stoa *stoa, uint64_t height, bool hot)
{
    struct stoa_state_query *queries = calloc(READS, sizeof(*queries));
    uint64_t *slots = calloc(READS, sizeof(*slots));
    for (unsigned i = 0; i < READS; i++) {
        slots[i] = draw_query(bench, height, hot, &queries[i]);
    }
    for (unsigned i = 0; hot && i < READS; i++) {
        read_one(stoa, &queries[i], slots[i]);
    }
    double begin = bench_single_us();
    for (unsigned i = 0; i < READS; i++) {
        read_one(stoa, &queries[i], slots[i]);
    }
    double seconds = (bench_single_us() - begin) / 1e6;
    free(queries);
    free(slots);
    return READS / seconds;
}

/* The same with IN_FLIGHT of them at any time. */
static double time_reads_in_flight(struct bench *bench, struct stoa *stoa, uint64_t height)
{
    unsigned submitted = 0;
    unsigned reaped = 0;
    double begin = bench_single_us();
    while (reaped < READS) {
        struct stoa_completion done[IN_FLIGHT];
        struct stoa_state_query query;
        while (submitted < READS && submitted - reaped < IN_FLIGHT) {
            uint64_t slot = draw_query(bench, height, false, &query);
            int result = slot == 0 ? stoa_submit_get_account(stoa, &query, NULL)
                                   : stoa_submit_get_storage(stoa, &query, NULL);
            bench_single_require(result, "submit", NULL);
            submitted++;
        }
        int count = stoa_reap(stoa, done, IN_FLIGHT, -1);
        for (int i = 0; i < count; i++) {
            bench_single_require(done[i].result, "read", NULL);
            stoa_free((void *)(uintptr_t)done[i].value.data);
        }
        reaped += (unsigned)(count > 0 ? count : 0);
    }
    return READS / ((bench_single_us() - begin) / 1e6);
}

static double time_proofs(struct bench *bench, struct stoa *stoa)
{
    double begin = bench_single_us();
    for (unsigned i = 0; i < READS; i++) {
        uint8_t slot[32] = {0};
        struct stoa_proof_query query = {.height = STOA_AT_HEAD, .slots = slot, .slot_count = 1};
        struct stoa_proof *proof;
        struct stoa_detail detail;
        slot[31] = 1;
        name_account(bench, draw_item(bench) % bench->accounts, query.address);
        bench_single_require(stoa_get_proof(stoa, &query, &proof, &detail), "proof", &detail);
        stoa_free(proof);
    }
    return READS / ((bench_single_us() - begin) / 1e6);
}

/* What takes the changes of the blocks. */
struct taker {
    struct stoa *stoa;
    struct bench_state_peer *peer;
};

static void take_block(const struct taker *taker, const struct stoa_store_block *put)
{
    struct stoa_detail detail = {.code = 0};
    if (taker->peer != NULL) {
        bench_state_peer_block(taker->peer, put);
    } else {
        bench_single_require(stoa_store_block(taker->stoa, put, &detail), "store", &detail);
    }
}

/* One more answer is there; TIMES has when its block was given, and then how long that took. */
static void reap_block(struct stoa *stoa, double *times)
{
    struct stoa_completion done;
    bench_single_require(stoa_reap(stoa, &done, 1, -1) == 1 ? 0 : STOA_EIO, "reap", NULL);
    bench_single_require(done.result, "store", NULL);
    times[done.tag] = bench_single_us() - times[done.tag];
}

/* Block I of those that are timed. */
static void time_block(struct bench *bench, const struct taker *taker,
                       const struct stoa_store_block *put, uint64_t i, double *times)
{
    if (taker->peer != NULL || bench->flight == 1) {
        double at = bench_single_us();
        take_block(taker, put);
        times[i] = bench_single_us() - at;
        return;
    }
    times[i] = bench_single_us();
    bench_single_require(stoa_submit_store_block(taker->stoa, put, STOA_TAG(i)), "submit", NULL);
    if (i + 1 >= bench->flight) {
        reap_block(taker->stoa, times);
    }
}

static void settle(const struct taker *taker)
{
    if (taker->peer != NULL) {
        bench_state_peer_flush(taker->peer);
    } else {
        bench_single_require(stoa_checkpoint(taker->stoa, NULL), "checkpoint", NULL);
    }
}

static uint64_t fill(struct bench *bench, const struct taker *taker, const struct made_chain *chain)
{
    uint64_t number = 0;
    for (uint64_t item = 0; item < bench->items;) {
        struct stoa_store_block put = begin_block(bench, made_chain_block(chain, ++number));
        /* An account before its slots: they follow in later blocks. */
        for (unsigned i = 0; i < FILL_CHANGES && item < bench->items; i++) {
            change_item(bench, item++, number, &put);
        }
        take_block(taker, &put);
    }
    settle(taker);
    return number;
}

static void run(struct bench *bench, const struct taker *taker, const struct made_chain *chain)
{
    double begin = bench_single_us();
    uint64_t number = fill(bench, taker, chain);
    double filled = (bench_single_us() - begin) / 1e6;
    uint64_t disk = disk_bytes(bench);
    uint64_t written = io_bytes("write_bytes");
    uint64_t read = io_bytes("rchar");
    double *times = calloc(bench->blocks, sizeof(*times));
    uint64_t changes = 0;
    begin = bench_single_us();
    for (uint64_t i = 0; i < bench->blocks; i++) {
        uint64_t place = i % bench->flight; /* the one before there has its answer */
        bench->changed_accounts = bench->all_accounts + place * FILL_CHANGES;
        bench->changed_slots = bench->all_slots + place * FILL_CHANGES;
        struct stoa_store_block put = begin_block(bench, made_chain_block(chain, ++number));
        uint64_t count = CHANGES_MIN + draw(bench) % (CHANGES_MAX - CHANGES_MIN + 1);
        for (uint64_t j = 0; j < count; j++) {
            change_item(bench, draw_item(bench), number, &put);
        }
        changes += put.account_count + put.slot_count;
        time_block(bench, taker, &put, i, times);
    }
    for (uint64_t i = 1; taker->peer == NULL && i < bench->flight; i++) {
        reap_block(taker->stoa, times);
    }
    double acknowledged = (bench_single_us() - begin) / 1e6;
    settle(taker);
    double seconds = (bench_single_us() - begin) / 1e6;
    uint64_t growth = disk_bytes(bench) - disk;
    written = io_bytes("write_bytes") - written;
    read = io_bytes("rchar") - read;
    qsort(times, bench->blocks, sizeof(*times), compare);
    (void)printf("{\"engine\": \"%s\", \"items\": %" PRIu64 ", \"blocks\": %" PRIu64
                 ", \"in_flight\": %" PRIu64 ", \"changes_a_block\": %.0f, \"cache_mib\": %" PRIu64
                 ", \"fill_s\": %.1f, \"blocks_s\": %.1f, \"blocks_s_settled\": %.1f, "
                 "\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"disk_a_change\": %.1f, "
                 "\"written_a_change\": %.1f, \"read_a_change\": %.1f, \"state_disk_mib\": %.1f",
                 bench->peer ? "rocksdb, node by hash" : "stoa", bench->items, bench->blocks,
                 bench->peer ? 1 : bench->flight, (double)changes / (double)bench->blocks,
                 bench->cache_mib, filled, (double)bench->blocks / acknowledged,
                 (double)bench->blocks / seconds, times[bench->blocks / 2] / 1e3,
                 times[bench->blocks * 99 / 100] / 1e3, (double)growth / (double)changes,
                 (double)written / (double)changes, (double)read / (double)changes,
                 (double)disk / 1048576.0);
    bench->outcomes[bench->peer] =
        (struct outcome){.blocks_s = (double)bench->blocks / acknowledged,
                         .growth = (double)growth / (double)changes,
                         .p99 = times[bench->blocks * 99 / 100] / 1e3};
    if (taker->stoa != NULL) {
        uint64_t back = bench->blocks < 1000 ? bench->blocks : 1000;
        (void)stoa_metrics_list(taker->stoa, print_job, NULL);
        (void)printf(", \"hot_reads_s\": %.0f", time_reads(bench, taker->stoa, STOA_AT_HEAD, true));
        (void)printf(", \"cold_reads_s\": %.0f, \"cold_reads_32_s\": %.0f",
                     time_reads(bench, taker->stoa, STOA_AT_HEAD, false),
                     time_reads_in_flight(bench, taker->stoa, STOA_AT_HEAD));
        (void)printf(", \"hot_reads_back_s\": %.0f",
                     time_reads(bench, taker->stoa, number - back, true));
        (void)printf(", \"cold_reads_back_s\": %.0f, \"cold_reads_back_32_s\": %.0f",
                     time_reads(bench, taker->stoa, number - back, false),
                     time_reads_in_flight(bench, taker->stoa, number - back));
        (void)printf(", \"proofs_s\": %.0f", time_proofs(bench, taker->stoa));
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf(", \"memory_mib\": %ld}\n", usage.ru_maxrss / 1024);
    free(times);
}

static void run_stoa(struct bench *bench, const struct made_chain *chain)
{
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct taker taker = {.stoa = NULL};
    struct stoa_detail detail = {.code = 0};
    char directory[300];
    struct bytes genesis = made_chain_genesis_json(chain);
    (void)snprintf(directory, sizeof(directory), "%s/store", bench->base);
    create.genesis_json = (const char *)genesis.data;
    create.genesis_json_size = genesis.size;
    options.table_cache_size = bench->cache_mib << 19;
    options.trie_cache_size = bench->cache_mib << 19;
    options.trie_history_blocks = bench->keep;
    bench_single_require(stoa_create(directory, &create, &detail), "create", &detail);
    bench_single_require(stoa_open(directory, &options, &taker.stoa, &detail), "open", &detail);
    run(bench, &taker, chain);
    bench_single_require(stoa_close(taker.stoa, &detail), "close", &detail);
}

static void run_peer(struct bench *bench, const struct made_chain *chain)
{
    struct taker taker = {.stoa = NULL};
    char directory[300];
    (void)snprintf(directory, sizeof(directory), "%s/rocksdb", bench->base);
    taker.peer = bench_state_peer_open(directory, bench->cache_mib << 20);
    if (taker.peer == NULL) {
        (void)fprintf(stderr, "this build has no peer\n");
        exit(1);
    }
    run(bench, &taker, chain);
    bench_state_peer_close(taker.peer);
}

static void run_one(struct bench *bench, const struct made_chain *chain)
{
    char command[320];
    if (bench->peer) {
        run_peer(bench, chain);
    } else {
        run_stoa(bench, chain);
    }
    (void)fflush(stdout);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'/*", bench->base);
    bench_single_require(system(command) == 0 ? 0 : STOA_EIO, command, NULL);
}

static void run_both(struct bench *bench, const struct made_chain *chain)
{
    const struct outcome *own = &bench->outcomes[0];
    const struct outcome *peer = &bench->outcomes[1];
    for (unsigned i = 0; i < 2; i++) {
        int status = 1;
        bench->peer = i == 1;
        pid_t child = fork();
        if (child == 0) {
            run_one(bench, chain);
            _exit(0);
        }
        bench_single_require(
            child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : STOA_EIO, "run",
            NULL);
    }
    (void)printf("{\"block_rate_times_peer\": %.2f, \"disk_growth_of_peer\": %.3f, "
                 "\"p99_of_peer\": %.2f}\n",
                 own->blocks_s / peer->blocks_s, own->growth / peer->growth, own->p99 / peer->p99);
}

/* ---- the root alone ---- */

enum { ROOT_ACCOUNTS = 100000, ROOT_CHANGED = 500, ROOT_ROUNDS = 300 };

static int read_record(void *context, struct bytes trie, struct bytes path,
                       struct bytes *out_record, struct error_detail *detail)
{
    uint8_t base[TRIE_LAYER_BASE_MAX];
    size_t size = trie_layer_base(trie, path, base);
    (void)detail;
    /* The newest needs no memory. */
    int result = trie_cache_find(context, bytes_of(base, size), UINT64_MAX, NULL, out_record);
    return result == 0 && out_record->size == 0 ? STOA_ENOTFOUND : result;
}

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(((const struct state_account_change *)a)->address_hash,
                  ((const struct state_account_change *)b)->address_hash, 32);
}

/* COUNT accounts, FIRST on or drawn, each with its fields and a slot; the time until the root. */
static double update_root(struct bench *bench, struct trie_task *task, struct trie_cache *cache,
                          uint64_t first, size_t count)
{
    struct state_account_change *accounts = calloc(count, sizeof(*accounts));
    struct state_slot_change *slots = calloc(count, sizeof(*slots));
    size_t used = 0;
    uint8_t root[32];
    for (size_t i = 0; i < count; i++) {
        uint64_t name = first == UINT64_MAX ? draw(bench) % ROOT_ACCOUNTS : first + i;
        struct state_account_change *account = &accounts[i];
        account->flags = STATE_ACCOUNT_FIELDS;
        account->nonce = draw(bench);
        account->balance[31] = 1;
        keccak_256((const uint8_t *)&name, sizeof(name), account->address_hash);
    }
    qsort(accounts, count, sizeof(*accounts), compare_hashes);
    for (size_t i = 0; i < count; i++) {
        if (used == 0 || compare_hashes(&accounts[used - 1], &accounts[i]) != 0) {
            accounts[used] = accounts[i];
            accounts[used].slots = &slots[used];
            accounts[used].slot_count = 1;
            slots[used].key_hash[0] = (uint8_t)draw(bench);
            slots[used].value[31] = 1;
            used++;
        }
    }
    double begin = bench_single_us();
    bench_single_require(state_update_run(task, accounts, used, root), "root", NULL);
    double took = bench_single_us() - begin;
    for (const struct trie_write *write = task->writes.first; write != NULL; write = write->next) {
        uint8_t base[TRIE_LAYER_BASE_MAX];
        size_t size = trie_layer_base(write->trie, write->path, base);
        bench_single_require(trie_cache_put(cache, bytes_of(base, size), write->record, 0, 0),
                             "put", NULL);
    }
    trie_task_reset(task);
    free(accounts);
    free(slots);
    return took;
}

static void time_roots(struct bench *bench)
{
    struct trie_cache *cache = trie_cache_create(SIZE_MAX);
    struct trie_reader reader = {.read = read_record, .context = cache};
    struct trie_task task;
    static double times[ROOT_ROUNDS];
    trie_task_init(&task, &reader);
    for (uint64_t i = 0; i < ROOT_ACCOUNTS; i += 10000) {
        (void)update_root(bench, &task, cache, i, 10000);
    }
    for (unsigned i = 0; i < ROOT_ROUNDS; i++) {
        times[i] = update_root(bench, &task, cache, UINT64_MAX, ROOT_CHANGED);
    }
    qsort(times, ROOT_ROUNDS, sizeof(*times), compare);
    (void)printf("{\"root_of_1000_changes_p50_ms\": %.2f, \"p99_ms\": %.2f, \"threads\": 1}\n",
                 times[ROOT_ROUNDS / 2] / 1e3, times[ROOT_ROUNDS * 99 / 100] / 1e3);
    trie_task_deinit(&task);
    trie_cache_destroy(cache);
}

static void take_arguments(struct bench *bench, int argc, char **argv)
{
    const char *directory = "/tmp";
    int option;
    while ((option = getopt(argc, argv, "n:b:c:d:f:k:apr")) != -1) {
        if (option == 'n') {
            bench->items = strtoull(optarg, NULL, 10);
        } else if (option == 'b') {
            bench->blocks = strtoull(optarg, NULL, 10);
        } else if (option == 'c') {
            bench->cache_mib = strtoull(optarg, NULL, 10);
        } else if (option == 'd') {
            directory = optarg;
        } else if (option == 'k') {
            bench->keep = strtoull(optarg, NULL, 10);
        } else if (option == 'f') {
            bench->flight = strtoull(optarg, NULL, 10);
        } else if (option == 'r') {
            bench->root_only = true;
        } else if (option == 'a') {
            bench->both = true;
        } else if (option == 'p') {
            bench->peer = true;
        } else {
            exit(2);
        }
    }
    bench->accounts = bench->items / (1 + SLOTS_EACH);
    bench->items = bench->accounts * (1 + SLOTS_EACH);
    if (bench->items == 0 || bench->cache_mib == 0 || bench->flight == 0 ||
        bench->blocks < bench->flight) {
        exit(2);
    }
    (void)snprintf(bench->base, sizeof(bench->base), "%s/bench-state-XXXXXX", directory);
    if (mkdtemp(bench->base) == NULL) {
        perror(bench->base);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .items = 200000, .blocks = 1100, .cache_mib = 512, .flight = 1, .random = 1};
    take_arguments(&bench, argc, argv);
    if (bench.root_only) {
        time_roots(&bench);
        return rmdir(bench.base) == 0 ? 0 : 1;
    }
    uint64_t fills = bench.items / FILL_CHANGES + 1;
    struct made_chain *chain = made_chain_create(7, fills + bench.blocks);
    bench.all_accounts = calloc(bench.flight * FILL_CHANGES, sizeof(*bench.all_accounts));
    bench.all_slots = calloc(bench.flight * FILL_CHANGES, sizeof(*bench.all_slots));
    bench.changed_accounts = bench.all_accounts;
    bench.changed_slots = bench.all_slots;
    name_accounts(&bench);
    bench.seen = calloc(bench.items, sizeof(*bench.seen));
    bench.outcomes = mmap(NULL, 2 * sizeof(struct outcome), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_single_require(bench.outcomes == MAP_FAILED ? STOA_ENOMEM : 0, "memory", NULL);
    if (bench.both) {
        run_both(&bench, chain);
    } else {
        run_one(&bench, chain);
    }
    (void)munmap(bench.outcomes, 2 * sizeof(struct outcome));
    free(bench.all_accounts);
    free(bench.all_slots);
    free(bench.names);
    free(bench.seen);
    made_chain_destroy(chain);
    return rmdir(bench.base) == 0 ? 0 : 1;
}
