/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_run.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/ensure.h"
#include "bench_child.h"
#include "bench_device.h"

enum { DEPTH = 32, FRAME_MAX = 196608 };

struct run {
    const struct bench_plan *plan;
    struct bench_report *report;
    struct bench_child children[BENCH_PEER_COUNT];
    struct bench_setup setups[BENCH_PEER_COUNT];
    char directories[BENCH_PEER_COUNT][512];
    double opens[BENCH_PEER_COUNT][BENCH_ROUNDS_MAX];
    uint64_t import_device[BENCH_PEER_COUNT];
    uint64_t import_logical[BENCH_PEER_COUNT];
    bool all_dropped;
};

static bool used(const struct run *run, unsigned peer)
{
    return run->plan->engines[peer] != NULL;
}

/* Whose turn it is: another one begins each round. */
static unsigned turn(unsigned round, unsigned index)
{
    return (round + index) % BENCH_PEER_COUNT;
}

static void say(const struct run *run, const char *what, uint64_t done, uint64_t total)
{
    if (run->plan->progress != NULL) {
        (void)fprintf(run->plan->progress, "\r%-10s %6llu of %llu   ", what,
                      (unsigned long long)done, (unsigned long long)total);
        (void)fflush(run->plan->progress);
    }
}

/* ---- one slice ---- */

static int compare_samples(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_round(struct run *run, enum bench_row row, unsigned peer, size_t count,
                      uint64_t device)
{
    struct bench_outcome *outcome = run->children[peer].outcome;
    struct bench_series *series = &run->report->series[row][peer];
    if (series->count == BENCH_ROUNDS_MAX) {
        return;
    }
    bool import = row == BENCH_ROW_IMPORT || row == BENCH_ROW_IMPORT_VERIFIED;
    struct bench_round *round = &series->rounds[series->count++];
    double logical = outcome->logical > 0 ? (double)outcome->logical : 1;
    *round = (struct bench_round){
        .rate = (double)count / (outcome->seconds + (import ? outcome->settle_seconds : 0)),
        .acknowledged_rate = (double)count / outcome->seconds,
        .cpu = outcome->cpu_seconds / (double)count,
        .written = (double)outcome->written / logical,
        .device = (double)device / logical,
    };
    size_t samples = outcome->sample_count;
    if (samples > 0) {
        qsort(outcome->samples, samples, sizeof(outcome->samples[0]), compare_samples);
        round->p50 = 1e-9 * (double)bench_report_quantile(outcome->samples, samples, 0.5);
        round->p95 = 1e-9 * (double)bench_report_quantile(outcome->samples, samples, 0.95);
        round->p99 = 1e-9 * (double)bench_report_quantile(outcome->samples, samples, 0.99);
        round->max = 1e-9 * (double)outcome->samples[samples - 1];
    }
    struct bench_totals *totals = &run->report->totals[peer];
    if (outcome->memory > totals->memory) {
        totals->memory = outcome->memory;
    }
}

static int write_slice(struct run *run, unsigned peer, enum bench_row row, size_t count,
                       struct bench_fault *fault)
{
    struct bench_order order = {
        .action = row == BENCH_ROW_IMPORT ? BENCH_IMPORT : BENCH_COMMIT,
        .count = count,
    };
    if (bench_device_sync(run->plan->directory) != 0) {
        return bench_fault_set(fault, "%s: sync: %s", run->plan->directory, strerror(errno));
    }
    uint64_t before = bench_device_written(run->plan->directory);
    if (bench_child_run(&run->children[peer], &order, fault) != 0) {
        return -1;
    }
    if (bench_device_sync(run->plan->directory) != 0) {
        return bench_fault_set(fault, "%s: sync: %s", run->plan->directory, strerror(errno));
    }
    uint64_t device = bench_device_written(run->plan->directory) - before;
    const struct bench_outcome *outcome = run->children[peer].outcome;
    run->report->totals[peer].logical += outcome->logical;
    if (row == BENCH_ROW_IMPORT) {
        struct bench_totals *totals = &run->report->totals[peer];
        totals->import_seconds += outcome->seconds + outcome->settle_seconds;
        totals->import_blocks += count;
        run->import_device[peer] += device;
        run->import_logical[peer] += outcome->logical;
    }
    if (row != BENCH_ROW_IMPORT || (run->plan->phases & BENCH_PHASE_IMPORT) != 0) {
        add_round(run, row, peer, count, device);
    }
    return 0;
}

static int open_all(struct run *run, enum bench_mode mode, struct bench_fault *fault)
{
    struct bench_order order = {.action = BENCH_OPEN, .mode = mode};
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (used(run, peer) && bench_child_run(&run->children[peer], &order, fault) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- phases ---- */

static int flush_all(struct run *run, struct bench_fault *fault)
{
    struct bench_order order = {.action = BENCH_FLUSH};
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (!used(run, peer)) {
            continue;
        }
        uint64_t before = bench_device_written(run->plan->directory);
        if (bench_child_run(&run->children[peer], &order, fault) != 0 ||
            bench_device_sync(run->plan->directory) != 0) {
            return -1;
        }
        struct bench_totals *totals = &run->report->totals[peer];
        totals->import_seconds +=
            run->children[peer].outcome->seconds + run->children[peer].outcome->settle_seconds;
        run->import_device[peer] += bench_device_written(run->plan->directory) - before;
        totals->import_device =
            (double)run->import_device[peer] / (double)run->import_logical[peer];
    }
    return 0;
}

static int run_import(struct run *run, struct bench_fault *fault)
{
    if (open_all(run, BENCH_MODE_IMPORT, fault) != 0) {
        return -1;
    }
    unsigned round = 0;
    for (uint64_t done = 0; done < run->plan->blocks; round++) {
        uint64_t left = run->plan->blocks - done;
        size_t count = left < run->plan->slice ? left : run->plan->slice;
        for (unsigned i = 0; i < BENCH_PEER_COUNT; i++) {
            unsigned peer = turn(round, i);
            if (used(run, peer) && write_slice(run, peer, BENCH_ROW_IMPORT, count, fault) != 0) {
                return -1;
            }
        }
        done += count;
        say(run, "import", done, run->plan->blocks);
    }
    return flush_all(run, fault);
}

static int run_commit(struct run *run, struct bench_fault *fault)
{
    if (open_all(run, BENCH_MODE_SERVE, fault) != 0) {
        return -1;
    }
    for (unsigned round = 0; round < run->plan->rounds; round++) {
        for (unsigned i = 0; i < BENCH_PEER_COUNT; i++) {
            unsigned peer = turn(round, i);
            if (used(run, peer) &&
                write_slice(run, peer, BENCH_ROW_COMMIT, run->plan->commits, fault) != 0) {
                return -1;
            }
        }
        say(run, "commit", round + 1, run->plan->rounds);
    }
    return 0;
}

static int run_reads(struct run *run, unsigned peer, enum bench_row row,
                     const struct bench_order *order, struct bench_fault *fault)
{
    if (!run->plan->engines[peer]->can_read(order->kind)) {
        return 0;
    }
    if (bench_child_run(&run->children[peer], order, fault) != 0) {
        return -1;
    }
    add_round(run, row, peer, order->count, 0);
    return 0;
}

struct hot_step {
    enum bench_row row;
    enum bench_kind kind;
    unsigned threads;
};

static const struct hot_step hot_steps[] = {
    {BENCH_ROW_HOT_BLOCK, BENCH_BLOCK, 1},
    {BENCH_ROW_HOT_BLOCK_2, BENCH_BLOCK, 2},
    {BENCH_ROW_HOT_RECEIPTS, BENCH_RECEIPTS, 1},
    {BENCH_ROW_HOT_RECEIPTS_2, BENCH_RECEIPTS, 2},
    {BENCH_ROW_HOT_TRANSACTION, BENCH_TRANSACTION, 1},
    {BENCH_ROW_HOT_TRANSACTION_2, BENCH_TRANSACTION, 2},
    {BENCH_ROW_HOT_STATE, BENCH_STATE, 1},
    {BENCH_ROW_HOT_STATE_2, BENCH_STATE, 2},
};

enum { HOT_STEPS = sizeof(hot_steps) / sizeof(hot_steps[0]) };

static int hot_round(struct run *run, unsigned round, struct bench_fault *fault)
{
    for (unsigned k = 0; k < HOT_STEPS; k++) {
        struct bench_order order = {
            .action = BENCH_READ_NEWEST,
            .kind = hot_steps[k].kind,
            .depth = 1,
            .threads = hot_steps[k].threads,
            .count = run->plan->hot_reads,
            .salt = run->plan->seed + round * 16 + k,
        };
        for (unsigned i = 0; i < BENCH_PEER_COUNT; i++) {
            unsigned peer = turn(round, i);
            if (used(run, peer) && peer != BENCH_RAW &&
                run_reads(run, peer, hot_steps[k].row, &order, fault) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int run_hot(struct run *run, struct bench_fault *fault)
{
    if ((run->plan->phases & BENCH_PHASE_COMMIT) == 0 &&
        open_all(run, BENCH_MODE_SERVE, fault) != 0) {
        return -1;
    }
    for (unsigned round = 0; round < run->plan->rounds + 1; round++) {
        if (hot_round(run, round, fault) != 0) {
            return -1;
        }
        for (unsigned k = 0; k < HOT_STEPS && round == 0; k++) { /* it warmed the caches up */
            for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
                run->report->series[hot_steps[k].row][peer].count = 0;
            }
        }
        say(run, "hot", round, run->plan->rounds);
    }
    return 0;
}

/* Every slice of cold reads begins with the store opened anew and the page cache empty. */
static int cold_round(struct run *run, unsigned peer, unsigned round, struct bench_fault *fault)
{
    const struct {
        enum bench_row row;
        enum bench_kind kind;
        unsigned depth;
        size_t count;
    } steps[] = {
        {BENCH_ROW_COLD_1, BENCH_BLOCK, 1, run->plan->cold_reads_one},
        {BENCH_ROW_COLD_32, BENCH_BLOCK, DEPTH, run->plan->cold_reads},
        {BENCH_ROW_COLD_ALL_32, BENCH_EVERYTHING, DEPTH, run->plan->cold_reads},
    };
    struct bench_order open = {.action = BENCH_OPEN, .mode = BENCH_MODE_COLD};
    for (unsigned k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
        if (bench_child_run(&run->children[peer], &open, fault) != 0) {
            return -1;
        }
        if (k == 0) {
            run->opens[peer][round] = run->children[peer].outcome->seconds;
        }
        run->all_dropped = bench_device_drop_caches(run->plan->directory, run->plan->drop_caches);
        struct bench_order order = {
            .action = BENCH_READ_ALL,
            .kind = steps[k].kind,
            .depth = steps[k].depth,
            .threads = 1,
            .count = steps[k].count < run->plan->blocks ? steps[k].count : run->plan->blocks,
            .salt = run->plan->seed + round * 16 + k,
        };
        if (run_reads(run, peer, steps[k].row, &order, fault) != 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int run_cold(struct run *run, struct bench_fault *fault)
{
    for (unsigned round = 0; round < run->plan->rounds; round++) {
        for (unsigned i = 0; i < BENCH_PEER_COUNT; i++) {
            unsigned peer = turn(round, i);
            if (used(run, peer) && cold_round(run, peer, round, fault) != 0) {
                return -1;
            }
        }
        say(run, "cold", round + 1, run->plan->rounds);
    }
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        qsort(run->opens[peer], run->plan->rounds, sizeof(double), compare_times);
        run->report->totals[peer].open_seconds = run->opens[peer][run->plan->rounds / 2];
    }
    (void)snprintf(run->report->cache_note, sizeof(run->report->cache_note),
                   "Before cold reads the store was opened anew and %s",
                   run->all_dropped ? "the page cache dropped"
                                    : "the page cache asked to forget its files");
    return 0;
}

/* The valid chain, for engines that verify: a store apart. */
static int run_verified(struct run *run, struct bench_fault *fault)
{
    struct bench_order open = {.action = BENCH_OPEN, .mode = BENCH_MODE_CHAIN};
    struct bench_order order = {.action = BENCH_IMPORT_CHAIN, .count = run->plan->chain_slice};
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (!used(run, peer) || run->plan->engines[peer]->import_chain == NULL) {
            continue;
        }
        if (bench_child_run(&run->children[peer], &open, fault) != 0) {
            return -1;
        }
        for (unsigned round = 0; round < run->plan->rounds; round++) {
            uint64_t before = bench_device_written(run->plan->directory);
            if (bench_child_run(&run->children[peer], &order, fault) != 0 ||
                bench_device_sync(run->plan->directory) != 0) {
                return -1;
            }
            add_round(run, BENCH_ROW_IMPORT_VERIFIED, peer, order.count,
                      bench_device_written(run->plan->directory) - before);
            run->report->chain_blocks += order.count;
            run->report->chain_bytes += run->children[peer].outcome->logical;
            run->report->chain_transactions += run->children[peer].outcome->transactions;
            say(run, "verified", round + 1, run->plan->rounds);
        }
    }
    return 0;
}

/* ---- the whole ---- */

static int start_children(struct run *run, struct bench_fault *fault)
{
    const struct bench_plan *plan = run->plan;
    uint64_t blocks_max = plan->blocks + (uint64_t)plan->rounds * plan->commits;
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        run->children[peer] = (struct bench_child){.pid = -1, .socket = -1};
    }
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (!used(run, peer)) {
            continue;
        }
        (void)snprintf(run->directories[peer], sizeof(run->directories[peer]), "%s/%s",
                       plan->directory, bench_peer_names[peer]);
        if (mkdir(run->directories[peer], 0777) != 0) {
            return bench_fault_set(fault, "%s: %s", run->directories[peer], strerror(errno));
        }
        run->setups[peer] = (struct bench_setup){
            .directory = run->directories[peer],
            .blocks_max = blocks_max,
            .bytes_max = blocks_max * FRAME_MAX,
            .chain_blocks = (uint64_t)plan->rounds * plan->chain_slice,
        };
        run->report->totals[peer].used = true;
        run->report->totals[peer].describe = plan->engines[peer]->describe();
        if (bench_child_start(&run->children[peer], plan->engines[peer], &run->setups[peer],
                              plan->seed, fault) != 0) {
            return -1;
        }
    }
    return 0;
}

static void note_sizes(struct run *run, unsigned peer)
{
    struct bench_totals *totals = &run->report->totals[peer];
    totals->disk = bench_device_usage(run->directories[peer]);
    uint64_t blocks = totals->import_blocks + (uint64_t)run->plan->commits *
                                                  run->report->series[BENCH_ROW_COMMIT][peer].count;
    run->report->block_bytes = blocks > 0 ? totals->logical / blocks : 0;
}

static int run_phases(struct run *run, struct bench_fault *fault)
{
    unsigned phases = run->plan->phases;
    bool load = (phases & (BENCH_PHASE_IMPORT | BENCH_PHASE_HOT | BENCH_PHASE_COLD)) != 0;
    if (load && run_import(run, fault) != 0) {
        return -1;
    }
    if ((phases & BENCH_PHASE_COMMIT) != 0 && run_commit(run, fault) != 0) {
        return -1;
    }
    if ((phases & BENCH_PHASE_HOT) != 0 && run_hot(run, fault) != 0) {
        return -1;
    }
    if ((phases & BENCH_PHASE_COLD) != 0 && run_cold(run, fault) != 0) {
        return -1;
    }
    struct bench_order order = {.action = BENCH_CLOSE};
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (used(run, peer)) {
            if (bench_child_run(&run->children[peer], &order, fault) != 0) {
                return -1;
            }
            note_sizes(run, peer);
        }
    }
    return (phases & BENCH_PHASE_VERIFIED) != 0 ? run_verified(run, fault) : 0;
}

int bench_run(const struct bench_plan *plan, struct bench_report *report, struct bench_fault *fault)
{
    struct run run = {.plan = plan, .report = report};
    ensure(plan->rounds > 0 && plan->rounds < BENCH_ROUNDS_MAX && plan->slice <= BENCH_SLICE_MAX);
    report->blocks = plan->blocks;
    report->seed = plan->seed;
    uint64_t begun = bench_now();
    int result = start_children(&run, fault);
    if (result == 0) {
        result = run_phases(&run, fault);
    }
    if (plan->progress != NULL) {
        (void)fputs("\r                                \r", plan->progress);
    }
    for (unsigned peer = 0; peer < BENCH_PEER_COUNT; peer++) {
        if (used(&run, peer)) {
            bench_child_stop(&run.children[peer]);
        }
    }
    report->seconds = 1e-9 * (double)(bench_now() - begun);
    return result;
}
