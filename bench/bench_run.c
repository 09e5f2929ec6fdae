/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_run.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ensure.h"

static const double phase_shares[BENCH_PHASES] = {
#define BENCH_PHASE(name, text, title, share) share,
#include "bench_phase.def"
#undef BENCH_PHASE
};

static int (*const phase_functions[BENCH_PHASES])(struct bench_run *run) = {
#define BENCH_PHASE(name, text, title, share) bench_phase_##text,
#include "bench_phase.def"
#undef BENCH_PHASE
};

/* ---- for the phases ---- */

bool bench_run_uses(const struct bench_run *run, unsigned engine, enum bench_phase phase)
{
    return (run->plan->engines & 1U << engine) != 0 &&
           (bench_engines[engine]->phases & 1U << phase) != 0;
}

unsigned bench_run_turn(unsigned round, unsigned index)
{
    return (round + index) % bench_engine_count;
}

bool bench_run_is_stoa(unsigned engine)
{
    return bench_engines[engine] == &bench_engine_stoa;
}

double bench_run_time(const struct bench_run *run, enum bench_phase phase)
{
    return run->plan->seconds * phase_shares[phase] / 100;
}

unsigned bench_run_peers(const struct bench_run *run, enum bench_phase phase)
{
    unsigned count = 0;
    for (unsigned i = 0; i < bench_engine_count; i++) {
        count += bench_run_uses(run, i, phase) && !bench_run_is_stoa(i);
    }
    return count;
}

void bench_run_say(const struct bench_run *run, enum bench_phase phase, const char *engine)
{
    if (run->plan->progress != NULL) {
        (void)fprintf(run->plan->progress, "\r%-12s %-14s block %-8llu", bench_phase_names[phase],
                      engine, (unsigned long long)bench_blocks_next(run->blocks));
        (void)fflush(run->plan->progress);
    }
}

int bench_run_open(struct bench_run *run, enum bench_mode mode)
{
    struct bench_order order = {.action = BENCH_OPEN, .mode = mode};
    if (run->open && run->mode == mode) {
        return 0;
    }
    for (unsigned i = 0; i < bench_engine_count; i++) {
        if (run->children[i].pid > 0 &&
            bench_child_run(&run->children[i], &order, run->fault) != 0) {
            return -1;
        }
    }
    run->open = true;
    run->mode = mode;
    return 0;
}

int bench_run_order(struct bench_run *run, struct bench_child *child,
                    const struct bench_order *order, struct bench_tally *tally)
{
    const char *directory = run->plan->directory;
    if (run->plan->quick) { /* its bytes are not worth waiting for */
        if (bench_child_run(child, order, run->fault) != 0) {
            return -1;
        }
        if (tally != NULL) {
            bench_tally_add(tally, child->outcome, NULL);
        }
        return 0;
    }
    if (bench_device_sync(directory) != 0) {
        return bench_fault_set(run->fault, "%s: sync: %s", directory, strerror(errno));
    }
    struct bench_device_counters before = bench_device_count(directory);
    if (bench_child_run(child, order, run->fault) != 0) {
        return -1;
    }
    if (bench_device_sync(directory) != 0) {
        return bench_fault_set(run->fault, "%s: sync: %s", directory, strerror(errno));
    }
    struct bench_device_counters after = bench_device_count(directory);
    if (tally != NULL) {
        const struct bench_device_counters done = {
            .reads = after.reads - before.reads,
            .written_bytes = after.written_bytes - before.written_bytes,
        };
        bench_tally_add(tally, child->outcome, &done);
    }
    return 0;
}

int bench_run_load(struct bench_run *run, enum bench_phase phase, size_t count)
{
    struct bench_order order = {.action = BENCH_IMPORT};
    bench_blocks_make(run->blocks, count);
    for (unsigned i = 0; i < bench_engine_count; i++) {
        bench_run_say(run, phase, bench_engines[i]->name);
        if (bench_run_uses(run, i, phase) && run->children[i].pid > 0 &&
            bench_run_order(run, &run->children[i], &order, NULL) != 0) {
            return -1;
        }
    }
    return 0;
}

void bench_run_add(struct bench_run *run, enum bench_phase phase, const char *name, unsigned engine,
                   struct bench_tally *tally)
{
    struct bench_round round = bench_tally_round(tally);
    bench_result_add(run->result, phase, name, bench_engines[engine]->name, &round);
    bench_tally_deinit(tally);
}

/* ---- the whole ---- */

static int start_child(struct bench_run *run, unsigned engine, bool small)
{
    const struct bench_engine_ops *ops = bench_engines[engine];
    char *directory = run->directories[small][engine];
    (void)snprintf(directory, sizeof(run->directories[0][0]), "%s/%s%s", run->plan->directory,
                   ops->name, small ? "-small" : "");
    if (mkdir(directory, 0777) != 0) {
        return bench_fault_set(run->fault, "%s: %s", directory, strerror(errno));
    }
    struct bench_place place = {
        .directory = directory,
        .bytes_max = run->plan->bytes_max,
        .blocks = run->blocks,
        .small_blocks = run->small_blocks,
    };
    struct bench_child *child = small ? &run->small[engine] : &run->children[engine];
    return bench_child_start(child, ops, &place, run->fault);
}

static int start_children(struct bench_run *run)
{
    const unsigned of_small = 1 << BENCH_PHASE_RESTART | 1 << BENCH_PHASE_GROWTH;
    for (unsigned i = 0; i < bench_engine_count; i++) {
        const struct bench_engine_ops *ops = bench_engines[i];
        unsigned phases = ops->phases & run->plan->phases;
        if ((run->plan->engines & 1U << i) == 0 || phases == 0) {
            continue;
        }
        bench_result_add_engine(run->result, ops);
        if ((phases & ~(1U << BENCH_PHASE_GROWTH)) != 0 && start_child(run, i, false) != 0) {
            return -1;
        }
        if ((phases & of_small) != 0 && start_child(run, i, true) != 0) {
            return -1;
        }
    }
    return 0;
}

static void stop_children(struct bench_run *run)
{
    for (unsigned i = 0; i < bench_engine_count; i++) {
        bench_child_stop(&run->children[i]);
        bench_child_stop(&run->small[i]);
    }
}

static int run_phases(struct bench_run *run)
{
    for (unsigned phase = 0; phase < BENCH_PHASES; phase++) {
        uint64_t begun = bench_now();
        if ((run->plan->phases & 1U << phase) == 0) {
            continue;
        }
        if (phase_functions[phase](run) != 0) {
            return -1;
        }
        json_t *of_phase =
            json_object_get(json_object_get(run->result, "phases"), bench_phase_names[phase]);
        if (of_phase != NULL) {
            (void)json_object_set_new(of_phase, "seconds",
                                      json_real(1e-9 * (double)(bench_now() - begun)));
        }
    }
    return 0;
}

int bench_run(const struct bench_plan *plan, json_t *result, struct bench_fault *fault)
{
    enum { BLOCKS_MAX = 1 << 19, SMALL_TRANSACTIONS = 4, SMALL_CHANGES = 16 };
    static const struct bench_shape shape = {MADE_LOAD_TRANSACTIONS, MADE_LOAD_CHANGES};
    static const struct bench_shape small = {SMALL_TRANSACTIONS, SMALL_CHANGES};
    struct bench_run run = {.plan = plan, .result = result, .fault = fault, .commit_rate = 300};
    ensure(bench_engine_count <= BENCH_ENGINES_MAX);
    for (unsigned i = 0; i < bench_engine_count; i++) {
        run.children[i] = (struct bench_child){.pid = -1, .socket = -1};
        run.small[i] = run.children[i];
    }
    run.blocks = bench_blocks_create(plan->seed, shape, BLOCKS_MAX);
    run.small_blocks = bench_blocks_create(plan->seed + 1, small, 0);
    int outcome = -1;
    if (run.blocks == NULL || run.small_blocks == NULL) {
        (void)bench_fault_set(fault, "not enough memory");
    } else {
        outcome = start_children(&run);
        outcome = outcome == 0 ? run_phases(&run) : outcome;
    }
    if (plan->progress != NULL) {
        (void)fputs("\r                                             \r", plan->progress);
    }
    stop_children(&run);
    bench_blocks_destroy(run.blocks);
    bench_blocks_destroy(run.small_blocks);
    return outcome;
}
