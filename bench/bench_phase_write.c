/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The phases that write: import, commit, maintenance, growth. */
#include "bench_run.h"

#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"

enum {
    IMPORT_SLICE = 512,
    COMMIT_SLICE = 2048,
    WARM_UP = 1024, /* blocks of a store that nothing was imported into */
    QUICK = 64,     /* of all of these where it has to be quick */
};

static size_t slice_of(const struct bench_run *run, size_t size)
{
    return run->plan->quick ? QUICK : size;
}

/* ---- import ---- */

struct import {
    struct bench_tally tallies[BENCH_ENGINES_MAX];
    bool done[BENCH_ENGINES_MAX];
};

/* Cold reads are held against RocksDB's: it gets all of the same data, as Stoa and the device do.
 */
static bool is_bounded(unsigned engine)
{
    return bench_engines[engine]->peer != NULL && bench_engines[engine] != BENCH_MAIN_PEER;
}

/* How long each of the other peers may import. */
static double import_time(const struct bench_run *run)
{
    const double share = 0.4;
    unsigned count = 0;
    for (unsigned i = 0; i < bench_engine_count; i++) {
        count += bench_run_uses(run, i, BENCH_PHASE_IMPORT) && is_bounded(i);
    }
    return bench_run_time(run, BENCH_PHASE_IMPORT) * share / (count > 0 ? count : 1);
}

static int import_slice(struct bench_run *run, struct import *import, unsigned engine)
{
    const struct bench_order order = {.action = BENCH_IMPORT};
    struct bench_tally *tally = &import->tallies[engine];
    bench_run_say(run, BENCH_PHASE_IMPORT, bench_engines[engine]->name);
    if (bench_run_order(run, &run->children[engine], &order, tally) != 0) {
        return -1;
    }
    import->done[engine] = tally->logical >= run->plan->bytes_max ||
                           (is_bounded(engine) && tally->seconds >= import_time(run));
    return 0;
}

static int import_end(struct bench_run *run, struct import *import, unsigned engine)
{
    const struct bench_order order = {.action = BENCH_FLUSH};
    struct bench_tally *tally = &import->tallies[engine];
    bench_run_say(run, BENCH_PHASE_IMPORT, bench_engines[engine]->name);
    if (bench_run_order(run, &run->children[engine], &order, tally) != 0) {
        return -1;
    }
    struct bench_round round = bench_tally_round(tally);
    double disk = (double)bench_device_usage(run->directories[0][engine]);
    round.value[BENCH_MEASURE_DISK] = disk;
    round.value[BENCH_MEASURE_DISK_BYTE] = disk / (double)tally->logical;
    bench_result_add(run->result, BENCH_PHASE_IMPORT, "import", bench_engines[engine]->name,
                     &round);
    bench_tally_deinit(tally);
    return 0;
}

int bench_phase_import(struct bench_run *run)
{
    struct import import = {0};
    bool more = true;
    if (bench_run_open(run, BENCH_MODE_IMPORT) != 0) {
        return -1;
    }
    for (unsigned round = 0; more; round++) {
        more = false;
        bench_blocks_make(run->blocks, slice_of(run, IMPORT_SLICE));
        for (unsigned i = 0; i < bench_engine_count; i++) {
            unsigned engine = bench_run_turn(round, i);
            bool takes = !import.done[engine] || bench_run_is_stoa(engine); /* as it needs all */
            if (!bench_run_uses(run, engine, BENCH_PHASE_IMPORT) || !takes) {
                continue;
            }
            if (import_slice(run, &import, engine) != 0) {
                return -1;
            }
            more = more || !import.done[engine];
        }
    }
    for (unsigned i = 0; i < bench_engine_count; i++) {
        if (bench_run_uses(run, i, BENCH_PHASE_IMPORT) && import_end(run, &import, i) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- commit ---- */

/* Stores that have something, open to serve. */
static int prepare(struct bench_run *run, enum bench_phase phase)
{
    if (bench_blocks_next(run->blocks) == 0 &&
        (bench_run_open(run, BENCH_MODE_IMPORT) != 0 ||
         bench_run_load(run, phase, slice_of(run, WARM_UP)) != 0)) {
        return -1;
    }
    return bench_run_open(run, BENCH_MODE_SERVE);
}

/* Blocks that Stoa commits in SECONDS or so, of one slice at most. */
static size_t stoa_blocks(const struct bench_run *run, double seconds)
{
    double count = seconds * run->commit_rate;
    double max = (double)slice_of(run, COMMIT_SLICE);
    return count < 16 ? 16 : count > max ? (size_t)max : (size_t)count;
}

/* One engine's share of a slice: Stoa's blocks build on each other, so it takes them all. */
static int commit_slice(struct bench_run *run, unsigned engine, double seconds,
                        struct bench_order order, struct bench_tally *tally)
{
    order.whole = bench_run_is_stoa(engine);
    order.seconds = seconds;
    int result = bench_run_order(run, &run->children[engine], &order, tally);
    if (result == 0 && order.whole && order.action == BENCH_COMMIT) {
        const struct bench_outcome *outcome = run->children[engine].outcome;
        run->commit_rate = (double)outcome->blocks / outcome->seconds;
    }
    return result;
}

static void add_commits(struct bench_run *run, unsigned engine, unsigned round,
                        struct bench_tally *tally)
{
    unsigned rounds = run->plan->rounds;
    struct bench_round part = bench_tally_round(tally);
    const char *name = bench_engines[engine]->name;
    if (bench_engines[engine]->backlog != NULL && round < (rounds + 2) / 3) {
        bench_result_add(run->result, BENCH_PHASE_COMMIT, "the first third", name, &part);
    }
    if (bench_engines[engine]->backlog != NULL && round >= rounds - (rounds + 2) / 3) {
        bench_result_add(run->result, BENCH_PHASE_COMMIT, "the last third", name, &part);
    }
    bench_run_add(run, BENCH_PHASE_COMMIT, "commit", engine, tally);
}

/* Stoa goes on, slice after slice, until its time is over; the others take part in the first. */
static int commit_round(struct bench_run *run, unsigned round)
{
    const struct bench_order order = {.action = BENCH_COMMIT};
    struct bench_tally tallies[BENCH_ENGINES_MAX] = {0};
    double time = bench_run_time(run, BENCH_PHASE_COMMIT) / run->plan->rounds;
    unsigned peers = bench_run_peers(run, BENCH_PHASE_COMMIT);
    double stoa_time = 0.4 * time, peer_time = 0.4 * time / (peers > 0 ? peers : 1);
    unsigned stoa = 0;
    for (bool first = true; first || tallies[stoa].seconds < stoa_time; first = false) {
        bench_blocks_make(run->blocks, stoa_blocks(run, stoa_time));
        for (unsigned i = 0; i < bench_engine_count; i++) {
            unsigned engine = bench_run_turn(round, i);
            bool takes = bench_run_uses(run, engine, BENCH_PHASE_COMMIT) &&
                         (first || bench_run_is_stoa(engine));
            bench_run_say(run, BENCH_PHASE_COMMIT, bench_engines[engine]->name);
            if (takes && commit_slice(run, engine, peer_time, order, &tallies[engine]) != 0) {
                return -1;
            }
        }
        if (!bench_run_uses(run, stoa, BENCH_PHASE_COMMIT)) {
            break;
        }
    }
    for (unsigned i = 0; i < bench_engine_count; i++) {
        if (bench_run_uses(run, i, BENCH_PHASE_COMMIT)) {
            add_commits(run, i, round, &tallies[i]);
        }
    }
    return 0;
}

/* A slice that is not counted, so that the first round begins warm. */
static int warm_up(struct bench_run *run, enum bench_phase phase)
{
    const struct bench_order order = {.action = BENCH_COMMIT};
    bench_blocks_make(run->blocks, slice_of(run, 2 * QUICK));
    for (unsigned i = 0; i < bench_engine_count; i++) {
        if (bench_run_uses(run, i, phase) && commit_slice(run, i, 1, order, NULL) != 0) {
            return -1;
        }
    }
    return 0;
}

int bench_phase_commit(struct bench_run *run)
{
    if (prepare(run, BENCH_PHASE_COMMIT) != 0 || warm_up(run, BENCH_PHASE_COMMIT) != 0) {
        return -1;
    }
    for (unsigned round = 0; round < run->plan->rounds; round++) {
        if (commit_round(run, round) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- maintenance ---- */

static const char *const upkeep_names[BENCH_UPKEEPS + 1] = {
    "checkpoint", "compact", "prune", "backup", "scrub", "archive", "none"};

static int maintenance_slice(struct bench_run *run, unsigned engine, unsigned upkeep,
                             double seconds)
{
    struct bench_order order = {
        .action = upkeep == BENCH_UPKEEPS ? BENCH_COMMIT : BENCH_UPKEEP,
        .upkeep = (enum bench_upkeep)upkeep,
    };
    struct bench_tally tally = {0};
    bench_run_say(run, BENCH_PHASE_MAINTENANCE, bench_engines[engine]->name);
    if (commit_slice(run, engine, seconds, order, &tally) != 0) {
        return -1;
    }
    if (upkeep == BENCH_UPKEEPS || tally.upkeeps > 0) { /* else it has no such thing */
        bench_run_add(run, BENCH_PHASE_MAINTENANCE, upkeep_names[upkeep], engine, &tally);
    }
    bench_tally_deinit(&tally);
    return 0;
}

int bench_phase_maintenance(struct bench_run *run)
{
    unsigned peers = bench_run_peers(run, BENCH_PHASE_MAINTENANCE);
    double time =
        bench_run_time(run, BENCH_PHASE_MAINTENANCE) / (run->plan->rounds * (BENCH_UPKEEPS + 1));
    if (prepare(run, BENCH_PHASE_MAINTENANCE) != 0 || warm_up(run, BENCH_PHASE_MAINTENANCE) != 0) {
        return -1;
    }
    for (unsigned round = 0; round < run->plan->rounds; round++) {
        for (unsigned k = 0; k <= BENCH_UPKEEPS; k++) {
            unsigned upkeep = (k + BENCH_UPKEEPS) % (BENCH_UPKEEPS + 1); /* without first */
            bench_blocks_make(run->blocks, stoa_blocks(run, 0.4 * time));
            for (unsigned i = 0; i < bench_engine_count; i++) {
                if (bench_run_uses(run, i, BENCH_PHASE_MAINTENANCE) &&
                    maintenance_slice(run, i, upkeep, 0.3 * time / (peers > 0 ? peers : 1)) != 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

/* ---- growth ---- */

enum { GROWTH_SLICES_MAX = 4096, TENTHS = 10 };

struct growth {
    struct bench_round rounds[GROWTH_SLICES_MAX]; /* one a slice */
    unsigned count;
    double seconds;
};

static int growth_commits(struct bench_run *run, const char *name)
{
    struct bench_order order = {.action = BENCH_COMMIT, .small = true, .whole = true};
    bench_blocks_make(run->small_blocks, slice_of(run, COMMIT_SLICE / 2));
    for (unsigned i = 0; i < bench_engine_count; i++) {
        struct bench_tally tally = {0};
        if (!bench_run_uses(run, i, BENCH_PHASE_GROWTH)) {
            continue;
        }
        order.whole = bench_run_is_stoa(i);
        order.seconds = 1;
        if (bench_run_order(run, &run->small[i], &order, &tally) != 0) {
            return -1;
        }
        bench_run_add(run, BENCH_PHASE_GROWTH, name, i, &tally);
    }
    return 0;
}

static int growth_slice(struct bench_run *run, unsigned engine, struct growth *growth)
{
    const struct bench_order order = {.action = BENCH_IMPORT, .small = true};
    struct bench_tally tally = {0};
    bench_run_say(run, BENCH_PHASE_GROWTH, bench_engines[engine]->name);
    if (bench_run_order(run, &run->small[engine], &order, &tally) != 0) {
        return -1;
    }
    growth->seconds += tally.seconds;
    growth->rounds[growth->count++] = bench_tally_round(&tally);
    bench_tally_deinit(&tally);
    return 0;
}

static void growth_add(struct bench_run *run, unsigned engine, const struct growth *growth)
{
    const char *name = bench_engines[engine]->name;
    unsigned tenth = growth->count / TENTHS > 0 ? growth->count / TENTHS : 1;
    for (unsigned i = 0; i < growth->count; i++) {
        struct bench_round round = growth->rounds[i];
        bench_result_add(run->result, BENCH_PHASE_GROWTH, "all", name, &round);
        if (i < tenth) {
            bench_result_add(run->result, BENCH_PHASE_GROWTH, "the first tenth", name, &round);
        }
        if (i >= growth->count - tenth) {
            bench_result_add(run->result, BENCH_PHASE_GROWTH, "the last tenth", name, &round);
        }
    }
}

/* What the last slice brought is read again. */
static int growth_check(struct bench_run *run, unsigned engine)
{
    const struct bench_order order = {
        .action = BENCH_READ,
        .small = true,
        .mix = BENCH_MIX_SLICE,
        .depth = 1,
        .threads = 1,
        .seconds = 1,
        .count = 256,
        .salt = run->plan->seed,
    };
    return bench_run_order(run, &run->small[engine], &order, NULL);
}

static bool growth_wanted(const struct bench_run *run, unsigned engine, const struct growth *growth)
{
    unsigned peers = bench_run_peers(run, BENCH_PHASE_GROWTH);
    double time = bench_run_time(run, BENCH_PHASE_GROWTH);
    double allowed = bench_run_is_stoa(engine) ? 0.5 * time : 0.4 * time / (peers > 0 ? peers : 1);
    return bench_run_uses(run, engine, BENCH_PHASE_GROWTH) && growth->seconds < allowed &&
           growth->count < GROWTH_SLICES_MAX;
}

static int growth_all(struct bench_run *run, struct growth growths[BENCH_ENGINES_MAX])
{
    struct bench_order open = {.action = BENCH_OPEN, .mode = BENCH_MODE_SERVE, .small = true};
    for (unsigned i = 0; i < bench_engine_count; i++) {
        if (bench_run_uses(run, i, BENCH_PHASE_GROWTH) &&
            bench_run_order(run, &run->small[i], &open, NULL) != 0) {
            return -1;
        }
    }
    bool first = true, more = true;
    for (unsigned round = 0; more; round++, first = false) {
        more = false;
        bench_blocks_make(run->small_blocks, slice_of(run, COMMIT_SLICE));
        for (unsigned i = 0; i < bench_engine_count; i++) {
            unsigned engine = bench_run_turn(round, i);
            if (!growth_wanted(run, engine, &growths[engine])) {
                continue;
            }
            if (growth_slice(run, engine, &growths[engine]) != 0 ||
                growth_check(run, engine) != 0) {
                return -1;
            }
            more = more || growth_wanted(run, engine, &growths[engine]);
        }
        if (first && growth_commits(run, "the first commits") != 0) {
            return -1;
        }
    }
    return growth_commits(run, "the last commits");
}

int bench_phase_growth(struct bench_run *run)
{
    struct growth *growths = memory_alloc_zeroed(BENCH_ENGINES_MAX, sizeof(*growths));
    ensure(growths != NULL);
    int result = growth_all(run, growths);
    for (unsigned i = 0; result == 0 && i < bench_engine_count; i++) {
        growth_add(run, i, &growths[i]);
    }
    memory_free(growths);
    return result;
}
