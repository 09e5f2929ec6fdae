/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages that the engine serves itself, submitted as all others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"

enum { HALF = ENGINE_RIG_BLOCKS / 2 };

static struct stoa_completion reap(struct stoa *stoa, uint64_t tag)
{
    struct stoa_completion completion;
    assert_int_equal(stoa_reap(stoa, &completion, 1, -1), 1);
    assert_int_equal(completion.tag, tag);
    return completion;
}

static void what_is_asked_of_the_store_itself_comes_as_completions(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa *stoa = rig->stoa;
    struct stoa_completion done;
    engine_rig_put(rig, 1, 10);
    struct stoa_store_block side = engine_rig_put_of(rig, 11);
    side.flags = STOA_STORE_SIDE;
    assert_int_equal(stoa_store_block(stoa, &side, NULL), 0);

    assert_int_equal(stoa_submit_get_head(stoa, STOA_TAG(1)), 0);
    done = reap(stoa, 1);
    assert_int_equal(done.message, STOA_MESSAGE_GET_HEAD);
    assert_int_equal(done.head.height, 10);
    assert_memory_equal(done.head.hash, made_chain_block(rig->chain, 10)->hash, 32);

    assert_int_equal(stoa_submit_get_branches(stoa, STOA_TAG(2)), 0);
    done = reap(stoa, 2);
    assert_int_equal(done.branch_count, 2);
    assert_true(done.branches[0].canonical);
    assert_memory_equal(done.branches[1].hash, made_chain_block(rig->chain, 11)->hash, 32);
    stoa_free(done.branches);

    assert_int_equal(stoa_submit_get_stats(stoa, STOA_TAG(3)), 0);
    done = reap(stoa, 3);
    assert_int_equal(done.stats->blocks, 11);
    stoa_free(done.stats);

    assert_int_equal(stoa_submit_get_cache_stats(stoa, STOA_TAG(4)), 0);
    done = reap(stoa, 4);
    assert_int_equal(done.cache_stats->size, sizeof(*done.cache_stats));
    assert_true(done.cache_stats->limit > 0);
    stoa_free(done.cache_stats);

    assert_int_equal(stoa_submit_get_health(stoa, STOA_TAG(5)), 0);
    done = reap(stoa, 5);
    assert_int_equal(done.health->state, STOA_HEALTHY);
    stoa_free(done.health);

    assert_int_equal(stoa_submit_flush_cache(stoa, STOA_TAG(6)), 0);
    assert_int_equal(reap(stoa, 6).result, 0);
    assert_int_equal(stoa_submit_get_head(stoa, STOA_TAG(7)), 0); /* by the loop */
    assert_int_equal(reap(stoa, 7).head.height, 10);
    assert_int_equal(stoa_submit_warm_cache(stoa, STOA_TAG(8)), 0);
    done = reap(stoa, 8);
    assert_true(done.result == 0 || done.result == STOA_EBUSY); /* as opening does it */
}

static void an_analysis_comes_as_a_completion_as_well(void **state)
{
    struct engine_rig *rig = *state;
    static const struct stoa_change changes[] = {
        {.key = {(const uint8_t *)"one", 3}, .value = {(const uint8_t *)"value", 5}},
        {.key = {(const uint8_t *)"another", 7}, .value = {(const uint8_t *)"", 0}},
    };
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    put.changes = changes;
    put.change_count = 2;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    assert_int_equal(stoa_submit_analyze(rig->stoa, STOA_TAG(1)), 0);
    struct stoa_completion done = reap(rig->stoa, 1);
    assert_int_equal(done.result, 0);
    assert_int_equal(done.analysis->height, 1);
    assert_int_equal(done.analysis->raw_keys, 2);
    assert_int_equal(done.analysis->raw_bytes, 15);
    struct stoa_analysis asked = STOA_ANALYSIS_INIT;
    assert_int_equal(stoa_analyze(rig->stoa, &asked, NULL), 0);
    assert_memory_equal(&asked, done.analysis, sizeof(asked));
    stoa_free(done.analysis);
    asked.size = 0;
    assert_int_equal(stoa_analyze(rig->stoa, &asked, NULL), STOA_EINVAL);
}

static uint64_t pending_of(struct stoa *stoa)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    assert_int_equal(stoa_get_stats(stoa, &stats), 0);
    return stats.pending_blocks;
}

static void a_checkpoint_covers_what_was_acknowledged_and_lets_others_go_on(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa *stoa = rig->stoa;
    engine_rig_put(rig, 1, HALF);
    assert_int_equal(stoa_submit_checkpoint(stoa, STOA_TAG(1)), 0);
    assert_int_equal(reap(stoa, 1).result, 0);
    assert_int_equal(pending_of(stoa), 0);
    assert_int_equal(stoa_submit_checkpoint(stoa, STOA_TAG(2)), 0); /* nothing is left to do */
    assert_int_equal(reap(stoa, 2).result, 0);

    unsigned under_way = 0;
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = 1};
    for (uint64_t number = HALF + 1; number <= ENGINE_RIG_BLOCKS; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        assert_int_equal(stoa_submit_store_block(stoa, &put, NULL), 0);
        assert_int_equal(stoa_submit_checkpoint(stoa, NULL), 0);
        assert_int_equal(stoa_submit_get_block(stoa, &key, NULL), 0);
        under_way += 3;
    }
    for (; under_way != 0; under_way--) {
        struct stoa_completion done;
        assert_int_equal(stoa_reap(stoa, &done, 1, -1), 1);
        assert_int_equal(done.result, 0);
        stoa_release(done.block.view);
    }
    assert_int_equal(stoa_checkpoint(stoa, NULL), 0);
    assert_int_equal(pending_of(stoa), 0);
    engine_rig_expect(stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);
}

static void a_verification_brings_what_it_found(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, HALF);
    assert_int_equal(stoa_submit_verify(rig->stoa, STOA_TAG(1)), 0);
    struct stoa_completion done = reap(rig->stoa, 1);
    assert_int_equal(done.result, 0);
    assert_int_equal(done.verified->blocks, HALF + 1);
    assert_null(done.damages);
    assert_int_equal(done.verified->full_roots, 0);
    stoa_free(done.verified);
    assert_int_equal(stoa_submit_verify_deep(rig->stoa, STOA_TAG(3)), 0);
    done = reap(rig->stoa, 3);
    assert_int_equal(done.result, 0);
    assert_int_equal(done.verified->blocks, HALF + 1);
    stoa_free(done.verified);

    engine_rig_close(rig);
    engine_rig_flip(rig, "ledger/00000001.seg", 60000);
    engine_rig_open(rig);
    assert_int_equal(stoa_submit_verify(rig->stoa, STOA_TAG(2)), 0);
    done = reap(rig->stoa, 2);
    assert_int_equal(done.result, STOA_ECORRUPT);
    assert_true(done.damage_count >= 1);
    assert_int_equal(done.verified->damages, done.damage_count);
    assert_string_equal(done.damages[0].file, "ledger/00000001.seg");
    assert_true(strlen(done.damages[0].what) > 0);
    stoa_free(done.verified);
    stoa_free(done.damages);
}

/* What the store keeps of its verifications: COUNT of them, the one at PLACE to *OUT. */
static void look_back(struct stoa *stoa, size_t count, size_t place, struct stoa_verification *out)
{
    struct stoa_storage *storage;
    assert_int_equal(stoa_query_storage(stoa, &storage, NULL), 0);
    assert_int_equal(storage->verification_count, count);
    if (place < count) {
        *out = storage->verifications[place];
    }
    stoa_free(storage);
}

static bool advises_repair(struct stoa *stoa)
{
    struct stoa_storage *storage;
    assert_int_equal(stoa_query_storage(stoa, &storage, NULL), 0);
    bool found = false;
    for (size_t i = 0; i < storage->advice_count; i++) {
        found = found || strcmp(storage->advice[i].action, "repair") == 0;
    }
    stoa_free(storage);
    return found;
}

static void expect_note(const struct stoa_verification *note, bool deep, int result,
                        const struct stoa_verify_report *report)
{
    assert_int_equal(note->deep, deep);
    assert_int_equal(note->result, result);
    assert_true(note->began > 1500000000 && note->began <= note->ended);
    assert_int_equal(note->height, HALF);
    assert_int_equal(note->report.noted, report->noted);
    assert_memory_equal(&note->report, report, offsetof(struct stoa_verify_report, noted));
}

static void how_verifications_came_out_is_kept_by_depth(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_verify_report plain = {.noted = 0};
    struct stoa_verify_report deep = {.noted = 0};
    struct stoa_verify_report damaged = {.noted = 0};
    struct stoa_verification note;
    engine_rig_put(rig, 1, HALF);
    look_back(rig->stoa, 0, 0, &note);
    assert_int_equal(stoa_verify_deep(rig->stoa, NULL, NULL, &deep, NULL), 0);
    assert_int_equal(deep.noted, 1);
    look_back(rig->stoa, 1, 0, &note);
    expect_note(&note, true, 0, &deep);
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &plain, NULL), 0);

    engine_rig_close(rig);
    engine_rig_open(rig);
    look_back(rig->stoa, 2, 0, &note);
    expect_note(&note, false, 0, &plain);
    look_back(rig->stoa, 2, 1, &note);
    expect_note(&note, true, 0, &deep);
    assert_false(advises_repair(rig->stoa));

    engine_rig_close(rig);
    engine_rig_flip(rig, "ledger/00000001.seg", 60000);
    engine_rig_open(rig);
    assert_int_equal(stoa_verify_deep(rig->stoa, NULL, NULL, &damaged, NULL), STOA_ECORRUPT);
    assert_int_equal(damaged.noted, 1);
    engine_rig_close(rig);
    engine_rig_open(rig);
    look_back(rig->stoa, 2, 0, &note);
    expect_note(&note, false, 0, &plain);
    look_back(rig->stoa, 2, 1, &note);
    expect_note(&note, true, STOA_ECORRUPT, &damaged);
    assert_true(note.report.damages >= 1);
    assert_true(advises_repair(rig->stoa));
}

/* Those that wait, and the one that is under way, which holds the loop. */
static void verifications_are_taken_back(void **state)
{
    enum { COUNT = 40 };
    struct engine_rig *rig = *state;
    int taken_back[COUNT];
    engine_rig_put(rig, 1, HALF);
    for (unsigned i = 0; i < COUNT; i++) {
        struct stoa_call call = STOA_CALL_INIT;
        call.tag = i;
        call.correlation_id = i + 1;
        assert_int_equal(stoa_submit_verify_deep(rig->stoa, &call), 0);
    }
    for (unsigned i = COUNT; i > 0; i--) { /* the newest first */
        taken_back[i - 1] = stoa_cancel(rig->stoa, i);
        assert_true(taken_back[i - 1] == 0 || taken_back[i - 1] == STOA_ENOTFOUND);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        struct stoa_completion done;
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
        assert_true(done.tag < COUNT);
        assert_int_equal(done.result, taken_back[done.tag] == 0 ? STOA_ECANCELED : 0);
        stoa_free(done.verified);
        stoa_free(done.damages);
    }
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, NULL), 0);
}

static void what_takes_long_is_over_before_a_close(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_verify_report report;
    struct stoa_analysis analysis = STOA_ANALYSIS_INIT;
    struct stoa_detail detail;
    engine_rig_put(rig, 1, HALF);
    assert_int_equal(stoa_submit_verify(rig->stoa, STOA_TAG(1)), 0);
    stoa_prepare_close(rig->stoa);
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, &detail), STOA_ECANCELED);
    assert_int_equal(stoa_analyze(rig->stoa, &analysis, &detail), STOA_ECANCELED);
    struct stoa_completion done;
    assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
    assert_true(done.result == 0 || done.result == STOA_ECANCELED);
    stoa_free(done.verified);
    stoa_free(done.damages);
    engine_rig_put(rig, HALF + 1, HALF + 1); /* all else goes on */
    engine_rig_expect(rig->stoa, rig->chain, 1, HALF + 1);

    /* A close that could not be was not the end. */
    struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_block block;
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, &detail), 0);
    assert_int_equal(stoa_close(rig->stoa, &detail), STOA_EBUSY);
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, &detail), 0);
    stoa_release(block.view);
}

static void an_index_is_made_anew_by_message_and_stopped_by_canceling(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_call call = STOA_CALL_INIT;
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_submit_rebuild_index(rig->stoa, STOA_INDEXES, NULL), STOA_EINVAL);
    assert_int_equal(stoa_submit_rebuild_index(rig->stoa, STOA_INDEX_TRANSACTIONS, STOA_TAG(1)), 0);
    assert_int_equal(reap(rig->stoa, 1).result, 0);
    assert_int_equal(stoa_flush_cache(rig->stoa, NULL), 0);
    engine_rig_expect(rig->stoa, rig->chain, 1, ENGINE_RIG_BLOCKS);

    call.correlation_id = 77;
    assert_int_equal(stoa_submit_rebuild_index(rig->stoa, STOA_INDEX_LOGS, &call), 0);
    int canceled = stoa_cancel(rig->stoa, 77); /* it may be done already */
    int result = reap(rig->stoa, 0).result;
    assert_true(canceled == STOA_ENOTFOUND ? result == 0 : result == STOA_ECANCELED || result == 0);
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &(struct stoa_verify_report){0}, NULL), 0);
}

struct told {
    unsigned times;
    uint64_t done;
    uint64_t total;
};

static int note_told(void *context, uint64_t done, uint64_t total)
{
    struct told *told = context;
    *told = (struct told){.times = told->times + 1, .done = done, .total = total};
    return 0;
}

/* Over a socket who waits is told at least once, in the end. */
static void how_far_an_index_is_comes_over_a_socket(void **state)
{
    struct engine_rig *rig = *state;
    struct told told = {.times = 0};
    struct stoa_detail detail;
    engine_rig_put(rig, 1, ENGINE_RIG_BLOCKS);
    assert_int_equal(stoa_checkpoint(rig->stoa, &detail), 0); /* what is in no table comes later */
    for (int index = 0; index < STOA_INDEX_LOGS; index++) {
        assert_int_equal(stoa_rebuild_index(rig->stoa, index, note_told, &told, &detail), 0);
        assert_true(told.times > 0);
        assert_int_equal(told.total, ENGINE_RIG_BLOCKS + 1);
        assert_int_equal(told.done, ENGINE_RIG_BLOCKS + 1);
        told.times = 0;
    }
}

static void receipts_come_with_their_transaction_and_block(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_completion done;
    engine_rig_put(rig, 1, 5);
    const struct made_block *made = made_chain_block(rig->chain, 5);
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    memcpy(key.hash, made->hash, 32);
    assert_int_equal(stoa_ask(rig->stoa, STOA_MESSAGE_GET_BLOCK_RECEIPTS, &key, NULL, &done), 0);
    assert_int_equal(done.block.receipts.size, made->receipts.size);
    assert_memory_equal(done.block.receipts.data, made->receipts.data, made->receipts.size);
    stoa_release(done.block.view);
    uint8_t unknown[32] = {1};
    assert_int_equal(stoa_ask(rig->stoa, STOA_MESSAGE_GET_RECEIPT, unknown, NULL, &done),
                     STOA_ENOTFOUND);
}

/* Whatever it is: served, not served yet, or without an argument it needs. */
static void every_message_is_answered_or_refused_with_a_reason(void **state)
{
    struct engine_rig *rig = *state;
    unsigned served = 0;
    engine_rig_put(rig, 1, 3);
    for (int message = STOA_MESSAGE_NONE + 1; message < STOA_MESSAGE_END; message++) {
        struct stoa_completion done;
        struct stoa_call call = STOA_CALL_INIT;
        call.deadline_ms = 60000;
        int result = stoa_submit(rig->stoa, (enum stoa_message)message, NULL, &call);
        assert_true(result == 0 || result == STOA_EINVAL || result == STOA_ENOTSUP);
        if (result != 0) {
            continue;
        }
        served++;
        assert_int_equal(stoa_reap(rig->stoa, &done, 1, -1), 1);
        assert_int_equal(done.message, message);
        stoa_free(done.stats);
        stoa_free(done.cache_stats);
        stoa_free(done.health);
        stoa_free(done.branches);
        stoa_free(done.verified);
        stoa_free(done.damages);
        stoa_free(done.analysis);
        stoa_free(done.jobs);
        stoa_free(done.copies);
        stoa_free(done.archive);
        stoa_free(done.storage);
    }
    assert_true(served >= 8);
}

static void completions_that_nobody_takes_do_not_keep_it_open(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_block_range range = {.from = 1, .count = 3};
    engine_rig_put(rig, 1, 5);
    assert_int_equal(stoa_submit_get_header(rig->stoa, &key, NULL), 0);
    assert_int_equal(stoa_submit_get_block(rig->stoa, &key, NULL), 0);
    assert_int_equal(stoa_submit_get_block_range(rig->stoa, &range, NULL), 0);
    assert_int_equal(stoa_submit_get_header_range(rig->stoa, &range, NULL), 0);
    assert_int_equal(stoa_submit_get_health(rig->stoa, NULL), 0);
    assert_int_equal(stoa_submit_verify(rig->stoa, NULL), 0);
    assert_int_equal(stoa_submit_analyze(rig->stoa, NULL), 0);
    assert_int_equal(stoa_submit_checkpoint(rig->stoa, NULL), 0);
    assert_int_equal(stoa_submit_rebuild_index(rig->stoa, STOA_INDEX_ADDRESSES, NULL), 0);
    engine_rig_close(rig);
    engine_rig_open(rig);
    engine_rig_expect(rig->stoa, rig->chain, 1, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_ALL(what_is_asked_of_the_store_itself_comes_as_completions),
        ENGINE_RIG_ALL(an_analysis_comes_as_a_completion_as_well),
        ENGINE_RIG_ALL(a_checkpoint_covers_what_was_acknowledged_and_lets_others_go_on),
        ENGINE_RIG_ALL(a_verification_brings_what_it_found),
        ENGINE_RIG_ALL(how_verifications_came_out_is_kept_by_depth),
        ENGINE_RIG_ALL(verifications_are_taken_back),
        ENGINE_RIG_BOTH(what_takes_long_is_over_before_a_close),
        ENGINE_RIG_ALL(an_index_is_made_anew_by_message_and_stopped_by_canceling),
        {"how_far_an_index_is_comes_over_a_socket", how_far_an_index_is_comes_over_a_socket,
         engine_rig_set_up_remote, engine_rig_tear_down, NULL},
        ENGINE_RIG_ALL(receipts_come_with_their_transaction_and_block),
        ENGINE_RIG_ALL(every_message_is_answered_or_refused_with_a_reason),
        ENGINE_RIG_ALL(completions_that_nobody_takes_do_not_keep_it_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
