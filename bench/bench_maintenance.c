/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-maintenance: what a durable commit takes while a job of upkeep runs beside it.
 *
 *   stoa-bench-maintenance [BLOCKS [ROUNDS [DIRECTORY]]]
 *
 * In one run, by turns: BLOCKS blocks of the busy load (made_load.h) committed one after the other
 * with no job but the scheduled checkpoints, then as many with each job running over and over. Each
 * phase of a round is held against the one without of the same round. A table in Markdown on
 * standard output. */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stoa.h"
#include "support/made_load.h"

enum { BLOCKS_DEFAULT = 600, ROUNDS_DEFAULT = 3, ROUNDS_MAX = 16, WARM_UP = 1500, KEEP = 64 };
enum { NONE = -1 };

static const int phases[] = {NONE, STOA_JOB_CHECKPOINT, STOA_JOB_COMPACT, STOA_JOB_PRUNE};
enum { PHASES = sizeof(phases) / sizeof(phases[0]) };

struct figures {
    double p50_ms;
    double p99_ms;
    uint64_t runs; /* of the job, that ended */
};

struct bench {
    struct stoa *stoa;
    struct made_load *load;
    struct made_load_block block;
    uint8_t parent[32];
    uint64_t next;
    uint64_t blocks;
    double *times;
    struct figures figures[ROUNDS_MAX][PHASES];
};

/* A thread that runs a job again and again. */
struct runner {
    struct stoa *stoa;
    int job;
    bool stop;
    uint64_t runs;
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void require(int result, const char *what, const struct stoa_detail *detail)
{
    if (result != 0) {
        (void)fprintf(stderr, "%s: %s %s\n", what, stoa_strerror(result), detail->text);
        exit(1);
    }
}

static double commit(struct bench *bench)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    struct stoa_detail detail = {.code = 0};
    made_load_make(bench->load, bench->next, bench->parent, &bench->block);
    put.block = (struct stoa_bytes){bench->block.block.data, bench->block.block.size};
    put.receipts = (struct stoa_bytes){bench->block.receipts.data, bench->block.receipts.size};
    put.senders = bench->block.senders[0];
    put.changes = bench->block.changes;
    put.change_count = MADE_LOAD_CHANGES;
    put.skip = STOA_SKIP_ALL;
    double begin = now_ms();
    require(stoa_store_block(bench->stoa, &put, &detail), "store", &detail);
    double took = now_ms() - begin;
    memcpy(bench->parent, bench->block.hash, 32);
    bench->next++;
    return took;
}

static void finalize(struct bench *bench)
{
    struct stoa_detail detail = {.code = 0};
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = bench->next - 1 - KEEP};
    require(stoa_set_finalized(bench->stoa, &key, &detail), "finalize", &detail);
}

static void *run_job(void *context)
{
    struct runner *runner = context;
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    options.job = runner->job;
    options.keep_history = KEEP;
    options.keep_tries = KEEP;
    while (!__atomic_load_n(&runner->stop, __ATOMIC_RELAXED)) {
        int result = stoa_run_job(runner->stoa, &options, NULL, &detail);
        if (result != STOA_ECANCELED) {
            require(result, stoa_job_name(runner->job), &detail);
            runner->runs++;
        }
    }
    return NULL;
}

static int compare_times(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static struct figures run_phase(struct bench *bench, int job)
{
    struct runner runner = {.stoa = bench->stoa, .job = job};
    pthread_t thread;
    if (job != NONE && pthread_create(&thread, NULL, run_job, &runner) != 0) {
        exit(1);
    }
    for (uint64_t i = 0; i < bench->blocks; i++) {
        bench->times[i] = commit(bench);
        if (i % 100 == 99) {
            finalize(bench);
        }
    }
    __atomic_store_n(&runner.stop, true, __ATOMIC_RELAXED);
    if (job != NONE) {
        if (job != STOA_JOB_CHECKPOINT) {
            (void)stoa_cancel_job(bench->stoa, job, NULL); /* it may have ended */
        }
        (void)pthread_join(thread, NULL);
    }
    qsort(bench->times, bench->blocks, sizeof(double), compare_times);
    return (struct figures){
        .p50_ms = bench->times[bench->blocks / 2],
        .p99_ms = bench->times[bench->blocks * 99 / 100],
        .runs = runner.runs,
    };
}

static double median_of(const struct bench *bench, unsigned rounds, unsigned phase, bool ratio)
{
    double values[ROUNDS_MAX] = {0};
    for (unsigned i = 0; i < rounds; i++) {
        double alone = ratio ? bench->figures[i][0].p99_ms : 1;
        values[i] = bench->figures[i][phase].p99_ms / alone;
    }
    qsort(values, rounds, sizeof(values[0]), compare_times);
    return values[rounds / 2];
}

static void print(const struct bench *bench, unsigned rounds)
{
    printf("| job beside it | runs that ended | p50 ms, by round | p99 ms, by round | p99, median "
           "| times that without |\n|---|---|---|---|---|---|\n");
    for (unsigned phase = 0; phase < PHASES; phase++) {
        uint64_t runs = 0;
        printf("| %s |", phases[phase] == NONE ? "none" : stoa_job_name(phases[phase]));
        for (unsigned i = 0; i < rounds; i++) {
            runs += bench->figures[i][phase].runs;
        }
        printf(" %" PRIu64 " |", runs);
        for (unsigned i = 0; i < rounds; i++) {
            printf(" %.2f", bench->figures[i][phase].p50_ms);
        }
        printf(" |");
        for (unsigned i = 0; i < rounds; i++) {
            printf(" %.2f", bench->figures[i][phase].p99_ms);
        }
        printf(" | %.2f | %.2f |\n", median_of(bench, rounds, phase, false),
               median_of(bench, rounds, phase, true));
    }
}

static void open_store(struct bench *bench, const char *directory)
{
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    struct stoa_detail detail = {.code = 0};
    maintenance.off = 1; /* but for checkpoints */
    options.maintenance = &maintenance;
    require(stoa_create(directory, &create, &detail), "create", &detail);
    require(stoa_open(directory, &options, &bench->stoa, &detail), "open", &detail);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : ROUNDS_DEFAULT;
    const char *directory = argc > 3 ? argv[3] : "stoa-bench-maintenance.store";
    struct stoa_detail detail = {.code = 0};
    bench.blocks = argc > 1 ? strtoull(argv[1], NULL, 10) : BLOCKS_DEFAULT;
    bench.load = made_load_create(7);
    bench.times = calloc(bench.blocks + 1, sizeof(double));
    if (bench.load == NULL || bench.times == NULL || bench.blocks == 0 || rounds == 0 ||
        rounds > ROUNDS_MAX) {
        return 2;
    }
    open_store(&bench, directory);
    for (unsigned i = 0; i < WARM_UP; i++) {
        (void)commit(&bench);
    }
    finalize(&bench);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned phase = 0; phase < PHASES; phase++) {
            bench.figures[round][phase] = run_phase(&bench, phases[phase]);
        }
    }
    print(&bench, rounds);
    require(stoa_close(bench.stoa, &detail), "close", &detail);
    made_load_block_deinit(&bench.block);
    made_load_destroy(bench.load);
    free(bench.times);
    return 0;
}
