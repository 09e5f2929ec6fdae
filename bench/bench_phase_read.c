/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The phases that read, and that open again: hot, mixed, cold, restart. */
#include "bench_run.h"

#include <stdio.h>

enum {
    HOT_READS = 200000,
    COLD_READS = 50000,
    QUICK_READS = 2000,
    RESTART_BLOCKS = 256,
    MIXED_BLOCKS = 2048,
    QUICK_BLOCKS = 64,
};

static size_t count_of(const struct bench_run *run, size_t count)
{
    return run->plan->quick ? QUICK_READS : count;
}

/* The newest blocks, which all that take part have. */
static int load_newest(struct bench_run *run, enum bench_phase phase)
{
    return bench_run_load(run, phase, BENCH_HOT_BLOCKS);
}

/* ---- hot ---- */

static int hot_slice(struct bench_run *run, unsigned engine, unsigned threads, unsigned round)
{
    static const char *const names[] = {"", "1 thread", "2 threads"};
    const struct bench_order order = {
        .action = BENCH_READ,
        .mix = BENCH_MIX_HOT,
        .depth = 1,
        .threads = threads,
        .seconds = bench_run_time(run, BENCH_PHASE_HOT) / (2 * (run->plan->rounds + 1)) /
                   (bench_run_peers(run, BENCH_PHASE_HOT) + 1),
        .count = count_of(run, HOT_READS),
        .salt = run->plan->seed + 64 * round + threads,
    };
    struct bench_tally tally = {0};
    bench_run_say(run, BENCH_PHASE_HOT, bench_engines[engine]->name);
    int result = bench_run_order(run, &run->children[engine], &order, &tally);
    if (result == 0 && round > 0) { /* the first warms the caches up */
        bench_run_add(run, BENCH_PHASE_HOT, names[threads], engine, &tally);
    }
    bench_tally_deinit(&tally);
    return result;
}

int bench_phase_hot(struct bench_run *run)
{
    if (bench_run_open(run, BENCH_MODE_SERVE) != 0 || load_newest(run, BENCH_PHASE_HOT) != 0) {
        return -1;
    }
    for (unsigned round = 0; round <= run->plan->rounds; round++) {
        for (unsigned threads = 1; threads <= 2; threads++) {
            for (unsigned i = 0; i < bench_engine_count; i++) {
                unsigned engine = bench_run_turn(round, i);
                if (bench_run_uses(run, engine, BENCH_PHASE_HOT) &&
                    hot_slice(run, engine, threads, round) != 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

/* ---- mixed ---- */

static int mixed_slice(struct bench_run *run, unsigned engine, bool beside, unsigned round)
{
    double time = bench_run_time(run, BENCH_PHASE_MIXED) / run->plan->rounds;
    const struct bench_order order = {
        .action = beside ? BENCH_MIXED : BENCH_COMMIT,
        .mix = BENCH_MIX_HALF,
        .whole = bench_run_is_stoa(engine),
        .seconds = 0.3 * time / (bench_run_peers(run, BENCH_PHASE_MIXED) + 1),
        .salt = run->plan->seed + round,
    };
    struct bench_tally tally = {0};
    bench_run_say(run, BENCH_PHASE_MIXED, bench_engines[engine]->name);
    if (beside) {
        run->all_dropped = bench_device_drop_caches(run->plan->directory, run->plan->drop_caches);
    }
    if (bench_run_order(run, &run->children[engine], &order, &tally) != 0) {
        return -1;
    }
    bench_run_add(run, BENCH_PHASE_MIXED, beside ? "mixed" : "commits alone", engine, &tally);
    return 0;
}

int bench_phase_mixed(struct bench_run *run)
{
    double time = bench_run_time(run, BENCH_PHASE_MIXED) / run->plan->rounds;
    if (bench_run_open(run, BENCH_MODE_SERVE) != 0) {
        return -1;
    }
    for (unsigned round = 0; round < run->plan->rounds; round++) {
        for (unsigned beside = 0; beside < 2; beside++) {
            double blocks = 0.15 * time * run->commit_rate;
            size_t max = run->plan->quick ? QUICK_BLOCKS : MIXED_BLOCKS;
            if (load_newest(run, BENCH_PHASE_MIXED) != 0) {
                return -1;
            }
            bench_blocks_make(run->blocks, blocks > (double)max ? max : (size_t)blocks + 16);
            for (unsigned i = 0; i < bench_engine_count; i++) {
                unsigned engine = bench_run_turn(round, i);
                if (bench_run_uses(run, engine, BENCH_PHASE_MIXED) &&
                    mixed_slice(run, engine, beside == 1, round) != 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

/* ---- cold ---- */

static const struct {
    const char *name;
    unsigned depth;
} cold_cases[] = {{"1 in flight", 1}, {"16 in flight", 16}, {"64 in flight", 64}};

enum { COLD_CASES = sizeof(cold_cases) / sizeof(cold_cases[0]) };

/* Begins with the store opened anew and the page cache empty. */
static int cold_slice(struct bench_run *run, unsigned engine, unsigned index, unsigned round)
{
    const struct bench_order open = {.action = BENCH_OPEN, .mode = BENCH_MODE_COLD};
    const struct bench_order order = {
        .action = BENCH_READ,
        .mix = BENCH_MIX_COLD,
        .depth = cold_cases[index].depth,
        .threads = 1,
        .seconds = 0.6 * bench_run_time(run, BENCH_PHASE_COLD) / run->plan->rounds /
                   (2 * (bench_run_peers(run, BENCH_PHASE_COLD) + 1)),
        .count = count_of(run, COLD_READS),
        .salt = run->plan->seed + round * COLD_CASES + index,
    };
    struct bench_tally tally = {0};
    bench_run_say(run, BENCH_PHASE_COLD, bench_engines[engine]->name);
    if (bench_child_run(&run->children[engine], &open, run->fault) != 0) {
        return -1;
    }
    run->all_dropped = bench_device_drop_caches(run->plan->directory, run->plan->drop_caches);
    if (bench_run_order(run, &run->children[engine], &order, &tally) != 0) {
        return -1;
    }
    bench_run_add(run, BENCH_PHASE_COLD, cold_cases[index].name, engine, &tally);
    return 0;
}

int bench_phase_cold(struct bench_run *run)
{
    for (unsigned round = 0; round < run->plan->rounds; round++) {
        for (unsigned k = 0; k < COLD_CASES; k++) {
            for (unsigned i = 0; i < bench_engine_count; i++) {
                unsigned engine = bench_run_turn(round, i);
                /* The deepest is the device's own: the peers would want as many threads. */
                bool takes = bench_run_uses(run, engine, BENCH_PHASE_COLD) &&
                             (k + 1 < COLD_CASES || bench_engines[engine] == &bench_engine_raw);
                if (takes && cold_slice(run, engine, k, round) != 0) {
                    return -1;
                }
            }
        }
    }
    run->open = false; /* some are open, in another mode */
    return 0;
}

/* ---- restart ---- */

/* Kill CHILD in the middle of an import of the slice, start it anew, open, look what is there, and
 * bring the rest. */
static int restart_slice(struct bench_run *run, unsigned engine, bool small)
{
    struct bench_child *child = small ? &run->small[engine] : &run->children[engine];
    const struct bench_blocks *blocks = small ? run->small_blocks : run->blocks;
    struct bench_order order = {.action = BENCH_IMPORT, .small = small};
    const struct bench_place place = {
        .directory = run->directories[small][engine],
        .bytes_max = run->plan->bytes_max,
        .blocks = run->blocks,
        .small_blocks = run->small_blocks,
    };
    size_t count;
    uint64_t first = bench_blocks_slice(blocks, &count)->number;
    struct bench_round round = bench_round_empty();
    if (bench_child_kill(child, &order, first + count / 2, run->fault) != 0 ||
        bench_child_start(child, bench_engines[engine], &place, run->fault) != 0) {
        return -1;
    }
    order = (struct bench_order){.action = BENCH_OPEN, .mode = BENCH_MODE_RESTART, .small = small};
    if (bench_child_run(child, &order, run->fault) != 0) {
        return -1;
    }
    round.value[BENCH_MEASURE_SECONDS] = child->outcome->seconds;
    order = (struct bench_order){.action = BENCH_CHECK,
                                 .mix = BENCH_MIX_COLD,
                                 .small = small,
                                 .count = 200,
                                 .salt = run->plan->seed};
    if (bench_child_run(child, &order, run->fault) != 0) {
        return -1;
    }
    round.value[BENCH_MEASURE_BLOCKS] = (double)child->outcome->blocks;
    bench_result_add(run->result, BENCH_PHASE_RESTART, small ? "a small store" : "the whole store",
                     bench_engines[engine]->name, &round);
    order = (struct bench_order){.action = BENCH_IMPORT, .small = small};
    return bench_child_run(child, &order, run->fault);
}

static int restart_round(struct bench_run *run, bool small)
{
    bench_blocks_make(small ? run->small_blocks : run->blocks,
                      run->plan->quick ? QUICK_BLOCKS : RESTART_BLOCKS);
    for (unsigned i = 0; i < bench_engine_count; i++) {
        bench_run_say(run, BENCH_PHASE_RESTART, bench_engines[i]->name);
        if (bench_run_uses(run, i, BENCH_PHASE_RESTART) && restart_slice(run, i, small) != 0) {
            return -1;
        }
    }
    return 0;
}

int bench_phase_restart(struct bench_run *run)
{
    const unsigned rounds = run->plan->quick ? 1 : 2;
    const struct bench_order open = {
        .action = BENCH_OPEN, .mode = BENCH_MODE_IMPORT, .small = true};
    if (bench_run_open(run, BENCH_MODE_IMPORT) != 0 ||
        bench_run_load(run, BENCH_PHASE_RESTART,
                       run->plan->quick ? QUICK_BLOCKS : RESTART_BLOCKS) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < bench_engine_count; i++) {
        if (bench_run_uses(run, i, BENCH_PHASE_RESTART) &&
            bench_child_run(&run->small[i], &open, run->fault) != 0) {
            return -1;
        }
    }
    for (unsigned round = 0; round < rounds; round++) {
        if (restart_round(run, true) != 0 || restart_round(run, false) != 0) {
            return -1;
        }
    }
    run->open = false; /* in another mode */
    return 0;
}
