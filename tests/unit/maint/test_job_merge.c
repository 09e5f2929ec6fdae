/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs that merge all runs of an index, on a simulated machine, where power may go at any I/O.
 * Pruning of old versions of the state: what stays is what brute force says, what goes is refused,
 * a change of branch reaches as deep as the finalized block. Optimizing: nothing is told otherwise
 * than before, by fewer runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/store_private.h"
#include "support/fixture.h"
#include "support/simtree.h"

enum { BLOCKS = 160, FORK = 120, LONGER = 45, FINALIZED = 90, KEEP = 64, PIECE = 40 };

static struct made_chain *chain;
static struct made_chain *branch;

static void store_chain(struct simtree *tree, const struct made_chain *from, uint64_t first,
                        uint64_t last, unsigned flags)
{
    for (uint64_t number = first; number <= last; number++) {
        const struct made_block *made = made_chain_block(from, number);
        assert_int_equal(simtree_put(tree, simtree_add_made(tree, made), flags), 0);
    }
}

static void power(struct simtree *tree, uint64_t cut_at)
{
    struct io_sim_options options = {.seed = 3, .delay_ns_max = 100000, .cut_at = cut_at};
    simstore_power(&tree->sim, &options);
}

/* A store with the genesis, its jobs ready. */
static void init_empty(struct simtree *tree, uint64_t seed)
{
    simtree_init(tree, seed, chain);
    tree->accounts = made_chain_genesis_json(chain);
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_unpower(&tree->sim);
    tree->sim.with_jobs = true;
    power(tree, 0);
    assert_int_equal(simstore_open(&tree->sim), 0);
}

/* With the chain and a side branch. */
static void init(struct simtree *tree, uint64_t seed)
{
    init_empty(tree, seed);
    store_chain(tree, chain, 1, BLOCKS, 0);
    store_chain(tree, branch, FORK + 1, FORK + LONGER, STOA_STORE_SIDE);
}

static int prune(struct simtree *tree, uint64_t history, uint64_t tries, unsigned flags,
                 struct stoa_job_info *out_info)
{
    struct job_order order = {.flags = flags};
    order.numbers[JOB_KEEP_HISTORY] = history;
    order.numbers[JOB_KEEP_TRIES] = tries;
    return simstore_run_job(&tree->sim, STOA_JOB_PRUNE, &order, out_info);
}

static struct stoa_stats stats_of(const struct simtree *tree)
{
    struct stoa_stats stats;
    store_get_stats(tree->sim.store, &stats);
    return stats;
}

static uint64_t versions_of(struct simtree *tree)
{
    struct stoa_analysis analysis = STOA_ANALYSIS_INIT;
    struct error_detail detail;
    assert_int_equal(store_checkpoint(tree->sim.store, &detail), 0);
    assert_int_equal(store_analyze(tree->sim.store, &analysis, &detail), 0);
    return analysis.value_versions + analysis.trie_versions;
}

static uint64_t fact_of(const struct stoa_job_info *info, const char *name)
{
    for (unsigned i = 0; i < info->fact_count; i++) {
        if (strcmp(info->facts[i].name, name) == 0) {
            return info->facts[i].value;
        }
    }
    fail_msg("no fact %s", name);
    return 0;
}

static void only_what_is_finalized_goes(void **state)
{
    struct simtree tree;
    struct stoa_job_info info;
    (void)state;
    init(&tree, 5);
    assert_int_equal(prune(&tree, KEEP, KEEP, 0, NULL), STOA_EREFUSED);
    assert_int_equal(prune(&tree, KEEP - 1, KEEP, 0, NULL), STOA_EINVAL);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, FINALIZED), 0);
    uint64_t before = versions_of(&tree);
    assert_int_equal(prune(&tree, KEEP, KEEP + 30, JOB_DRY_RUN, &info), 0);
    assert_true(fact_of(&info, "mergedBytes") > 0); /* it has to have room for that */
    assert_true(fact_of(&info, "mergedBytes") < fact_of(&info, "tableBytesBefore"));
    assert_int_equal(stats_of(&tree).history_from, 0);
    assert_int_equal(versions_of(&tree), before);
    assert_int_equal(prune(&tree, KEEP, KEEP + 30, 0, &info), 0);
    assert_int_equal(info.last_result, 0);
    assert_int_equal(stats_of(&tree).history_from, FINALIZED); /* not 96 */
    assert_int_equal(stats_of(&tree).trie_history_from, BLOCKS - KEEP - 30);
    assert_true(versions_of(&tree) < before);
    simtree_expect(&tree);
    simtree_expect_verified(&tree);
    simtree_reopen(&tree); /* it is remembered */
    assert_int_equal(stats_of(&tree).history_from, FINALIZED);
    simtree_expect(&tree);
    simtree_deinit(&tree);
}

static void a_change_of_branch_above_it_still_works(void **state)
{
    struct simtree tree;
    (void)state;
    init(&tree, 6);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, FINALIZED), 0);
    assert_int_equal(prune(&tree, KEEP, KEEP, 0, NULL), 0);
    struct simtree_block *tip = simtree_find(&tree, made_chain_block(branch, FORK + LONGER)->hash);
    assert_int_equal(simstore_update_head(&tree.sim, tip->hash), 0);
    simtree_set_head(&tree, tip);
    simtree_expect(&tree);
    assert_int_equal(prune(&tree, KEEP, KEEP, 0, NULL), 0); /* nothing more is finalized */
    assert_int_equal(stats_of(&tree).history_from, FINALIZED);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, FORK + 10), 0);
    assert_int_equal(prune(&tree, KEEP, KEEP, 0, NULL), 0);
    assert_int_equal(stats_of(&tree).history_from, FORK + LONGER - KEEP);
    simtree_expect(&tree);
    simtree_expect_verified(&tree);
    simtree_deinit(&tree);
}

static int optimize(struct simtree *tree, unsigned flags, struct stoa_job_info *out_info)
{
    struct job_order order = {.flags = flags};
    return simstore_run_job(&tree->sim, STOA_JOB_OPTIMIZE, &order, out_info);
}

/* True: power went before the end of a job, a prune or an optimize. */
static bool cut_once(struct simtree *tree, enum stoa_job job, uint64_t cut_at, uint64_t seed)
{
    assert_int_equal(simstore_close(&tree->sim), 0);
    simstore_unpower(&tree->sim);
    power(tree, cut_at);
    int result = simstore_open(&tree->sim);
    if (result == 0) {
        (void)(job == STOA_JOB_PRUNE ? prune(tree, KEEP, KEEP, 0, NULL)
                                     : optimize(tree, 0, NULL)); /* power may go */
    }
    bool cut = io_sim_is_cut(tree->sim.io);
    if (cut) {
        simstore_cut(&tree->sim, seed, true);
        power(tree, 0);
        assert_int_equal(simstore_open(&tree->sim), 0);
    }
    return cut;
}

/* A power cut at every I/O of JOB in turn, until one is not reached any more; that run is whole. */
static void cut_everywhere(struct simtree *tree, enum stoa_job job)
{
    struct io_sim_options calm = {.seed = 3};
    uint64_t cut_at = 1;
    while (cut_once(tree, job, cut_at, cut_at * 13)) {
        simtree_expect(tree);
        cut_at++;
        assert_true(cut_at < 2000);
    }
    (void)simstore_close(&tree->sim); /* power may go yet */
    simstore_restart(&tree->sim, &calm, !io_sim_is_cut(tree->sim.io), 5);
    print_message("cuts up to %llu\n", (unsigned long long)cut_at - 1);
    simtree_expect(tree);
    simtree_expect_verified(tree);
}

static void power_may_go_at_any_moment_of_a_prune(void **state)
{
    struct simtree tree;
    (void)state;
    init(&tree, 7);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, FINALIZED), 0);
    cut_everywhere(&tree, STOA_JOB_PRUNE);
    assert_int_equal(stats_of(&tree).history_from, FINALIZED);
    simtree_deinit(&tree);
}

static void tables_made_anew_have_it_all_again(void **state)
{
    struct simtree tree;
    (void)state;
    init(&tree, 8);
    assert_int_equal(simstore_set_mark(&tree.sim, STORE_SET_FINALIZED, FINALIZED), 0);
    assert_int_equal(prune(&tree, KEEP, KEEP, 0, NULL), 0);
    assert_int_equal(simstore_close(&tree.sim), 0);
    simstore_lose_tables(&tree.sim);
    assert_int_equal(simstore_open(&tree.sim), 0);
    assert_int_equal(stats_of(&tree).history_from, 0); /* the ledger has kept it */
    simtree_expect(&tree);
    simtree_expect_verified(&tree);
    simtree_deinit(&tree);
}

static int count_runs(void *context, struct runs *runs)
{
    uint64_t *most = context;
    struct runs_stats stats;
    runs_stats(runs, &stats);
    *most = stats.run_count > *most ? stats.run_count : *most;
    return 0;
}

/* Of the index that has the most. */
static uint64_t most_runs(const struct simtree *tree)
{
    uint64_t most = 0;
    assert_int_equal(store_each_index(tree->sim.store, count_runs, &most), 0);
    return most;
}

/* A store whose indexes have several runs each. */
static void init_in_runs(struct simtree *tree, uint64_t seed)
{
    init_empty(tree, seed);
    for (uint64_t number = 1; number <= FORK; number += PIECE) {
        store_chain(tree, chain, number, number + PIECE - 1, 0);
        simtree_checkpoint(tree);
    }
    assert_true(most_runs(tree) > 1);
}

static void each_index_becomes_one_run(void **state)
{
    struct simtree tree;
    struct stoa_job_info dry;
    struct stoa_job_info info;
    (void)state;
    init_in_runs(&tree, 9);
    uint64_t before = most_runs(&tree);
    assert_int_equal(optimize(&tree, JOB_DRY_RUN, &dry), 0);
    assert_int_equal(most_runs(&tree), before);
    assert_true(fact_of(&dry, "runs") > fact_of(&dry, "indexes"));
    assert_int_equal(fact_of(&dry, "runs"), fact_of(&dry, "runsBefore"));
    assert_int_equal(optimize(&tree, 0, &info), 0);
    assert_int_equal(most_runs(&tree), 1);
    assert_int_equal(fact_of(&info, "runsBefore"), fact_of(&dry, "runs"));
    assert_int_equal(fact_of(&info, "mergedIndexes"), fact_of(&dry, "mergedIndexes"));
    assert_int_equal(fact_of(&info, "mergedBytes"), fact_of(&dry, "mergedBytes"));
    assert_int_equal(fact_of(&info, "runs"), fact_of(&info, "indexes"));
    simtree_expect(&tree);
    simtree_expect_verified(&tree);
    simtree_reopen(&tree);
    assert_int_equal(most_runs(&tree), 1);
    assert_int_equal(optimize(&tree, 0, &info), 0);
    assert_int_equal(fact_of(&info, "mergedIndexes"), 0);
    store_chain(&tree, chain, FORK + 1, BLOCKS, 0); /* it goes on from there */
    store_chain(&tree, branch, FORK + 1, FORK + LONGER, STOA_STORE_SIDE);
    simtree_checkpoint(&tree);
    struct simtree_block *tip = simtree_find(&tree, made_chain_block(branch, FORK + LONGER)->hash);
    assert_int_equal(simstore_update_head(&tree.sim, tip->hash), 0);
    simtree_set_head(&tree, tip);
    simtree_checkpoint(&tree);
    assert_int_equal(optimize(&tree, 0, NULL), 0); /* with what was withdrawn */
    assert_int_equal(most_runs(&tree), 1);
    simtree_expect(&tree);
    simtree_expect_verified(&tree);
    simtree_deinit(&tree);
}

static void note_ended(struct job_waiter *waiter)
{
    bool *ended = waiter->context;
    *ended = true;
}

/* The merge under way is given up, and made again, whether that is seen before it goes on or not.
 */
static void a_short_pause_does_not_end_an_optimize(void **state)
{
    struct simtree tree;
    struct job_order order = {.flags = 0};
    struct stoa_job_info info = {.active = 0};
    bool ended = false;
    struct job_waiter waiter = {.done = note_ended, .context = &ended};
    (void)state;
    init_in_runs(&tree, 12);
    struct jobs *jobs = tree.sim.jobs;
    assert_int_equal(jobs_start(jobs, STOA_JOB_OPTIMIZE, &order, &waiter, NULL), 0);
    while (strstr(info.text, " runs") == NULL) { /* merging */
        assert_false(ended);
        assert_true(io_run(tree.sim.io, 1000000) >= 0);
        jobs_info(jobs, STOA_JOB_OPTIMIZE, &info);
    }
    assert_int_equal(jobs_pause(jobs, STOA_JOB_OPTIMIZE, NULL), 0);
    assert_int_equal(jobs_resume(jobs, STOA_JOB_OPTIMIZE, NULL), 0);
    while (!ended) {
        assert_true(io_run(tree.sim.io, 1000000000) >= 0);
    }
    assert_int_equal(waiter.result, 0);
    assert_int_equal(most_runs(&tree), 1);
    simtree_expect(&tree);
    simtree_deinit(&tree);
}

static void power_may_go_at_any_moment_of_an_optimize(void **state)
{
    struct simtree tree;
    (void)state;
    init_in_runs(&tree, 10);
    cut_everywhere(&tree, STOA_JOB_OPTIMIZE);
    assert_int_equal(most_runs(&tree), 1);
    simtree_deinit(&tree);
}

static void a_full_disk_stops_an_optimize_and_nothing_else(void **state)
{
    struct simtree tree;
    uint64_t free_bytes;
    uint64_t total;
    (void)state;
    init_in_runs(&tree, 11);
    uint64_t before = most_runs(&tree);
    assert_int_equal(io_space(tree.sim.io, "/", &free_bytes, &total), 0);
    struct io_sim_options full = {.seed = 3, .capacity = total - free_bytes + (2 << 20)};
    assert_int_equal(simstore_close(&tree.sim), 0);
    simstore_unpower(&tree.sim);
    simstore_power(&tree.sim, &full);
    assert_int_equal(simstore_open(&tree.sim), 0);
    assert_int_equal(optimize(&tree, 0, NULL), STOA_ENOSPACE);
    assert_non_null(strstr(tree.sim.detail.text, "are free"));
    assert_int_equal(most_runs(&tree), before);
    simtree_expect(&tree);
    assert_int_equal(simstore_close(&tree.sim), 0);
    simstore_unpower(&tree.sim);
    power(&tree, 0);
    assert_int_equal(simstore_open(&tree.sim), 0);
    assert_int_equal(optimize(&tree, 0, NULL), 0);
    assert_int_equal(most_runs(&tree), 1);
    simtree_expect(&tree);
    simtree_deinit(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_finalized_goes),
        cmocka_unit_test(a_change_of_branch_above_it_still_works),
        cmocka_unit_test(power_may_go_at_any_moment_of_a_prune),
        cmocka_unit_test(tables_made_anew_have_it_all_again),
        cmocka_unit_test(each_index_becomes_one_run),
        cmocka_unit_test(a_short_pause_does_not_end_an_optimize),
        cmocka_unit_test(power_may_go_at_any_moment_of_an_optimize),
        cmocka_unit_test(a_full_disk_stops_an_optimize_and_nothing_else),
    };
    chain = made_chain_create(21, BLOCKS);
    branch = made_chain_create_branch(chain, FORK, 22, LONGER);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    made_chain_destroy(branch);
    made_chain_destroy(chain);
    return failed;
}
