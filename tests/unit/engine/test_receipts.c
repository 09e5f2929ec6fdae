/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Receipts that come after their blocks: afterwards the store answers as one whose blocks came with
 * them, now, after reopening, and after its tables were lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "support/made_random.h"

enum { BLOCKS = 40, LETTERS = 4 };

static struct stoa_store_receipts receipts_of(const struct made_block *block)
{
    struct stoa_store_receipts given = STOA_STORE_RECEIPTS_INIT;
    given.block_hash = block->hash;
    given.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    return given;
}

static int put_without(struct engine_rig *rig, uint64_t number, unsigned flags)
{
    struct stoa_store_block put = engine_rig_put_of(rig, number);
    put.receipts = (struct stoa_bytes){NULL, 0};
    put.flags = flags;
    return stoa_store_block(rig->stoa, &put, NULL);
}

static void put_all_without(struct engine_rig *rig)
{
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        assert_int_equal(put_without(rig, number, 0), 0);
    }
}

static int give(struct engine_rig *rig, uint64_t number, struct stoa_detail *detail)
{
    struct stoa_store_receipts given = receipts_of(made_chain_block(rig->chain, number));
    return stoa_store_receipts(rig->stoa, &given, detail);
}

static void expect_receipts(struct engine_rig *rig, uint64_t number)
{
    const struct made_block *made = made_chain_block(rig->chain, number);
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block block;
    memcpy(key.hash, made->hash, 32);
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
    assert_int_equal(block.receipts.size, made->receipts.size);
    assert_memory_equal(block.receipts.data, made->receipts.data, made->receipts.size);
    assert_int_equal(block.block.size, made->block.size);
    assert_memory_equal(block.block.data, made->block.data, made->block.size);
    assert_true(block.senders.data != NULL || made->transaction_count == 0);
    stoa_release(block.view);
    for (size_t i = 0; i < made->transaction_count; i++) {
        const struct made_transaction *wanted = &made->transactions[i];
        struct stoa_transaction found;
        assert_int_equal(stoa_get_transaction(rig->stoa, wanted->hash, &found, NULL), 0);
        assert_int_equal(found.receipt.size, wanted->receipt.size);
        assert_memory_equal(found.receipt.data, wanted->receipt.data, wanted->receipt.size);
        stoa_release(found.block.view);
    }
}

static void expect_same_logs(struct stoa *stoa, struct stoa *wanted)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs a;
    struct stoa_logs b;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_query_logs(stoa, &filter, &a, &detail);
    if (result != 0) {
        fail_msg("logs: %s", detail.text);
    }
    assert_int_equal(stoa_query_logs(wanted, &filter, &b, NULL), 0);
    assert_true(b.count > 0);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        assert_int_equal(a.logs[i].height, b.logs[i].height);
        assert_int_equal(a.logs[i].log_index, b.logs[i].log_index);
        assert_memory_equal(a.logs[i].address, b.logs[i].address, 20);
        assert_memory_equal(a.logs[i].transaction_hash, b.logs[i].transaction_hash, 32);
        /* By the index of its emitter, too. */
        struct stoa_log_filter one = STOA_LOG_FILTER_INIT;
        struct stoa_logs found;
        one.addresses = a.logs[i].address;
        one.address_count = 1;
        one.from = a.logs[i].height;
        one.to = a.logs[i].height;
        assert_int_equal(stoa_query_logs(stoa, &one, &found, NULL), 0);
        assert_true(found.count > 0);
        stoa_free(found.logs);
        struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
        struct stoa_history x;
        struct stoa_history y;
        memcpy(query.address, a.logs[i].address, 20);
        assert_int_equal(stoa_get_address_transactions(stoa, &query, &x, NULL), 0);
        assert_int_equal(stoa_get_address_transactions(wanted, &query, &y, NULL), 0);
        assert_int_equal(x.count, y.count);
        for (size_t k = 0; k < x.count; k++) {
            assert_int_equal(x.entries[k].height, y.entries[k].height);
            assert_int_equal(x.entries[k].roles, y.entries[k].roles);
        }
        stoa_free(x.entries);
        stoa_free(y.entries);
    }
    stoa_free(a.logs);
    stoa_free(b.logs);
}

static void print_damage(void *context, const struct stoa_damage *damage)
{
    (void)context;
    print_error("%s: %s (height %llu)\n", damage->file, damage->what,
                (unsigned long long)damage->height);
}

static void expect_sound(struct stoa *stoa, uint64_t receipts)
{
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify_deep(stoa, print_damage, NULL, &report, NULL), 0);
    assert_int_equal(report.blocks, BLOCKS + 1); /* and the genesis */
    assert_int_equal(report.receipts, receipts);
}

static uint64_t transactions_of(const struct engine_rig *rig)
{
    uint64_t sum = 0;
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        sum += made_chain_block(rig->chain, number)->transaction_count;
    }
    return sum;
}

static void remove_tables(struct engine_rig *rig)
{
    char path[ENGINE_RIG_PATH_SIZE];
    engine_rig_path(rig, "tables", path);
    engine_rig_remove(path);
}

static struct engine_rig *make_twin(void)
{
    void *state;
    assert_int_equal(engine_rig_set_up_threads(&state), 0);
    struct engine_rig *twin = state;
    engine_rig_put(twin, 1, BLOCKS);
    return twin;
}

static void drop_twin(struct engine_rig *twin)
{
    void *state = twin;
    assert_int_equal(engine_rig_tear_down(&state), 0);
}

static void they_are_as_if_they_had_come_with_their_blocks(void **state)
{
    struct engine_rig *rig = *state;
    struct engine_rig *twin = make_twin();
    struct made_random random = made_random_of(7, 0);
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    unsigned order[BLOCKS];
    put_all_without(rig);
    expect_sound(rig->stoa, 0);
    assert_int_equal(stoa_query_logs(rig->stoa, &filter, &logs, NULL), STOA_ENOTFOUND);
    for (unsigned i = 0; i < BLOCKS; i++) {
        order[i] = i + 1;
    }
    for (unsigned i = BLOCKS - 1; i > 0; i--) {
        unsigned other = (unsigned)made_random_below(&random, i + 1);
        unsigned kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct stoa_detail detail = {.code = 0};
        int result = give(rig, order[i], &detail);
        if (result != 0) {
            fail_msg("receipts of block %u: %d %s", order[i], result, detail.text);
        }
        expect_receipts(rig, order[i]);
    }
    expect_same_logs(rig->stoa, twin->stoa);
    engine_rig_expect(rig->stoa, rig->chain, 1, BLOCKS);
    expect_sound(rig->stoa, transactions_of(rig));
    engine_rig_close(rig);
    engine_rig_open(rig);
    expect_same_logs(rig->stoa, twin->stoa);
    engine_rig_expect(rig->stoa, rig->chain, 1, BLOCKS);
    engine_rig_close(rig);
    remove_tables(rig); /* all comes from the ledger */
    engine_rig_open(rig);
    expect_same_logs(rig->stoa, twin->stoa);
    engine_rig_expect(rig->stoa, rig->chain, 1, BLOCKS);
    expect_sound(rig->stoa, transactions_of(rig));
    drop_twin(twin);
}

static void what_is_wrong_changes_nothing(void **state)
{
    struct engine_rig *rig = *state;
    const struct made_block *second = made_chain_block(rig->chain, 2);
    struct stoa_detail detail = {.code = 0};
    uint8_t nobody[32] = {1};
    put_all_without(rig);
    struct stoa_store_receipts given = receipts_of(second);
    given.receipts = receipts_of(made_chain_block(rig->chain, 3)).receipts;
    int result = stoa_store_receipts(rig->stoa, &given, &detail);
    assert_true(result == STOA_EREFUSED || result == STOA_EINVAL);
    assert_true(strlen(detail.text) > 0);
    given = receipts_of(second);
    given.receipts.size--;
    assert_int_equal(stoa_store_receipts(rig->stoa, &given, &detail), STOA_EINVAL);
    given = receipts_of(second);
    given.block_hash = nobody;
    assert_int_equal(stoa_store_receipts(rig->stoa, &given, &detail), STOA_ENOTFOUND);
    given.block_hash = NULL;
    assert_int_equal(stoa_store_receipts(rig->stoa, &given, &detail), STOA_EINVAL);
    given = receipts_of(second);
    given.skip = STOA_SKIP_SENDERS;
    assert_int_equal(stoa_store_receipts(rig->stoa, &given, &detail), STOA_EINVAL);
    assert_int_equal(stoa_store_receipts(rig->stoa, NULL, &detail), STOA_EINVAL);
    expect_sound(rig->stoa, 0);
    assert_int_equal(give(rig, 2, &detail), 0);
    assert_int_equal(give(rig, 2, &detail), STOA_EEXISTS);
    expect_sound(rig->stoa, second->transaction_count);
    struct stoa_completion completion;
    assert_int_equal(stoa_ask(rig->stoa, STOA_MESSAGE_STORE_LOGS, second, NULL, &completion),
                     STOA_ENOTSUP);
}

/* What the cache knew of a block without receipts is no answer any more. */
static void a_cached_block_is_read_with_its_receipts(void **state)
{
    struct engine_rig *rig = *state;
    put_all_without(rig);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        const struct made_block *made = made_chain_block(rig->chain, number);
        for (size_t i = 0; i < made->transaction_count; i++) {
            struct stoa_transaction found;
            assert_int_equal(
                stoa_get_transaction(rig->stoa, made->transactions[i].hash, &found, NULL), 0);
            assert_null(found.receipt.data);
            stoa_release(found.block.view);
        }
        assert_int_equal(give(rig, number, NULL), 0);
        expect_receipts(rig, number);
        expect_receipts(rig, number);
    }
}

/* A block off the chain gets its receipts; when it becomes canonical its logs are found. */
static void side_blocks_take_theirs_along(void **state)
{
    struct engine_rig *rig = *state;
    struct engine_rig *twin = make_twin();
    enum { FORK = 30 };
    struct made_chain *other = made_chain_create_branch(rig->chain, FORK, 99, 20);
    uint64_t last = made_chain_first(other) + made_chain_count(other) - 1;
    put_all_without(rig);
    for (uint64_t number = FORK + 1; number <= last; number++) {
        const struct made_block *made = made_chain_block(other, number);
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        put.block = (struct stoa_bytes){made->block.data, made->block.size};
        put.flags = STOA_STORE_SIDE;
        assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
        put.receipts = (struct stoa_bytes){made->receipts.data, made->receipts.size};
        assert_int_equal(stoa_store_block(twin->stoa, &put, NULL), 0);
        struct stoa_store_receipts given = receipts_of(made);
        assert_int_equal(stoa_store_receipts(rig->stoa, &given, NULL), 0);
    }
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        assert_int_equal(give(rig, number, NULL), 0);
    }
    expect_same_logs(rig->stoa, twin->stoa);
    const uint8_t *heads[] = {made_chain_block(other, last)->hash,
                              made_chain_block(rig->chain, BLOCKS)->hash};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stoa_update_head(rig->stoa, heads[i], NULL), 0);
        assert_int_equal(stoa_update_head(twin->stoa, heads[i], NULL), 0);
        expect_same_logs(rig->stoa, twin->stoa);
        engine_rig_close(rig);
        if (i == 0) {
            remove_tables(rig);
        }
        engine_rig_open(rig);
        expect_same_logs(rig->stoa, twin->stoa);
    }
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify(rig->stoa, print_damage, NULL, &report, NULL), 0);
    made_chain_destroy(other);
    drop_twin(twin);
}

/* Submitted among blocks, in whatever order they wait; the arguments of those with a deadline are
 * copied. */
static void they_are_stored_beside_blocks(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_completion completions[8];
    unsigned open = 0;
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        struct stoa_store_receipts given = receipts_of(made_chain_block(rig->chain, number));
        struct stoa_call call = STOA_CALL_INIT;
        put.receipts = (struct stoa_bytes){NULL, 0};
        call.deadline_ms = number % 2 == 0 ? 600000 : 0;
        assert_int_equal(stoa_submit_store_block(rig->stoa, &put, NULL), 0);
        assert_int_equal(stoa_submit_store_receipts(rig->stoa, &given, &call), 0);
        memset(&given, 0, sizeof(given));
        for (open += 2; open != 0;) {
            int count = stoa_reap(rig->stoa, completions, 8, -1);
            assert_true(count > 0);
            for (int i = 0; i < count; i++) {
                assert_int_equal(completions[i].result, 0);
                assert_int_equal(completions[i].height, number);
            }
            open -= (unsigned)count;
        }
        expect_receipts(rig, number);
    }
    expect_sound(rig->stoa, transactions_of(rig));
}

/* An index that is being made anew has entries of the block already, or reads it later: in the end
 * it has its logs. */
static void an_index_made_anew_meanwhile_has_them(void **state)
{
    struct engine_rig *rig = *state;
    struct engine_rig *twin = make_twin();
    put_all_without(rig);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        struct stoa_completion completion;
        int result;
        assert_int_equal(
            stoa_submit_rebuild_index(
                rig->stoa, number % 2 == 0 ? STOA_INDEX_LOGS : STOA_INDEX_ADDRESSES, NULL),
            0);
        do {
            result = give(rig, number, NULL);
        } while (result == STOA_EBUSY);
        assert_int_equal(result, 0);
        assert_int_equal(stoa_reap(rig->stoa, &completion, 1, -1), 1);
        assert_true(completion.result == 0 || completion.result == STOA_EBUSY);
    }
    expect_same_logs(rig->stoa, twin->stoa);
    expect_sound(rig->stoa, transactions_of(rig));
    drop_twin(twin);
}

static void through_the_tables_as_well(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    cache.policy = STOA_WRITE_THROUGH;
    options.cache = &cache;
    engine_rig_close(rig);
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), 0);
    for (uint64_t number = 1; number <= LETTERS; number++) {
        struct stoa_stats stats = STOA_STATS_INIT;
        assert_int_equal(put_without(rig, number, 0), 0);
        assert_int_equal(give(rig, number, NULL), 0);
        assert_int_equal(stoa_get_stats(rig->stoa, &stats), 0);
        assert_int_equal(stats.pending_blocks, 0);
        expect_receipts(rig, number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_BOTH(they_are_as_if_they_had_come_with_their_blocks),
        ENGINE_RIG_BOTH(what_is_wrong_changes_nothing),
        ENGINE_RIG_BOTH(a_cached_block_is_read_with_its_receipts),
        ENGINE_RIG_BOTH(side_blocks_take_theirs_along),
        ENGINE_RIG_BOTH(they_are_stored_beside_blocks),
        ENGINE_RIG_BOTH(an_index_made_anew_meanwhile_has_them),
        ENGINE_RIG_BOTH(through_the_tables_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
