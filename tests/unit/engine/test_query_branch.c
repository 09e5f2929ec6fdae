/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queries from four threads while the branch changes again and again: each answer is that of one
 * branch or of the other, never a mix. STOA_LONG=1: a thousand changes instead of a few. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "chain/keccak.h"
#include "stoa.h"
#include "support/fixture.h"
#include "support/made_chain.h"

enum {
    BLOCKS = 60,
    FORK = 40,
    LONGER = 25,
    THREADS = 4,
    QUESTIONS = 6,
    BRANCHES = 2,
    CHANGES_SHORT = 60,
    CHANGES_LONG = 1000,
    PATH_SIZE = 256,
};

/* Answers come down to a hash of all that is in them. */
struct digest {
    uint8_t hash[32];
};

struct contest {
    struct stoa *stoa;
    uint8_t address[20];
    uint8_t sender[20];
    uint8_t transaction[32]; /* on one branch alone */
    struct digest wanted[BRANCHES][QUESTIONS];
    atomic_bool over;
    atomic_uint answers;
    atomic_uint busy;
    atomic_uint mixed;
};

static void note(struct buffer *text, const void *data, size_t size)
{
    if (buffer_append(text, data, size) != 0) {
        abort();
    }
}

static int ask_logs(struct contest *contest, unsigned question, struct buffer *text)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    filter.addresses = contest->address;
    filter.address_count = question == 0; /* else all logs of some blocks around the fork */
    filter.from = question == 0 ? 0 : FORK - 3;
    filter.to = question == 0 ? UINT64_MAX : FORK + 10;
    int result = stoa_query_logs(contest->stoa, &filter, &logs, NULL);
    for (size_t i = 0; result == 0 && i < logs.count; i++) {
        note(text, logs.logs[i].block_hash, 32);
        note(text, logs.logs[i].transaction_hash, 32);
        note(text, &logs.logs[i].log_index, sizeof(logs.logs[i].log_index));
    }
    if (result == 0) {
        stoa_free(logs.logs);
    }
    return result;
}

static int ask_history(struct contest *contest, struct buffer *text)
{
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_history history;
    memcpy(query.address, contest->sender, 20);
    query.limit = 1000;
    int result = stoa_get_address_transactions(contest->stoa, &query, &history, NULL);
    for (size_t i = 0; result == 0 && i < history.count; i++) {
        note(text, history.entries[i].block_hash, 32);
        note(text, history.entries[i].transaction_hash, 32);
        note(text, &history.entries[i].roles, sizeof(history.entries[i].roles));
    }
    if (result == 0) {
        stoa_free(history.entries);
    }
    return result;
}

static int ask_blocks(struct contest *contest, struct buffer *text)
{
    struct stoa_block_range range = {.from = FORK - 5, .count = 15};
    struct stoa_block blocks[15];
    size_t count;
    int result = stoa_get_block_range(contest->stoa, &range, blocks, &count, NULL);
    for (size_t i = 0; result == 0 && i < count; i++) {
        note(text, blocks[i].hash, 32);
        stoa_release(blocks[i].view);
    }
    return result;
}

static int ask_headers(struct contest *contest, struct buffer *text)
{
    struct stoa_block_range range = {.from = FORK - 5, .count = 15};
    struct stoa_headers headers;
    int result = stoa_get_header_range(contest->stoa, &range, &headers, NULL);
    for (size_t i = 0; result == 0 && i < headers.count; i++) {
        note(text, headers.headers[i].hash, 32);
    }
    if (result == 0) {
        stoa_free(headers.headers);
    }
    return result;
}

/* Present on one branch, absent on the other. */
static int ask_transaction(struct contest *contest, struct buffer *text)
{
    struct stoa_transaction transaction;
    int result = stoa_get_transaction(contest->stoa, contest->transaction, &transaction, NULL);
    if (result == STOA_ENOTFOUND) {
        note(text, "none", 4);
        return 0;
    }
    if (result == 0) {
        note(text, transaction.block.hash, 32);
        note(text, transaction.receipt.data, transaction.receipt.size);
        stoa_release(transaction.block.view);
    }
    return result;
}

static int ask(struct contest *contest, unsigned question, struct digest *out)
{
    struct buffer text;
    buffer_init(&text);
    int result = question < 2    ? ask_logs(contest, question, &text)
                 : question == 2 ? ask_history(contest, &text)
                 : question == 3 ? ask_blocks(contest, &text)
                 : question == 4 ? ask_headers(contest, &text)
                                 : ask_transaction(contest, &text);
    keccak_256(text.data, text.size, out->hash);
    buffer_deinit(&text);
    return result;
}

static void *keep_asking(void *context)
{
    struct contest *contest = context;
    for (unsigned i = 0; !atomic_load(&contest->over); i++) {
        unsigned question = i % QUESTIONS;
        struct digest got;
        int result = ask(contest, question, &got);
        if (result == STOA_EBUSY) {
            atomic_fetch_add(&contest->busy, 1);
            continue;
        }
        bool one = result == 0 && (memcmp(&got, &contest->wanted[0][question], 32) == 0 ||
                                   memcmp(&got, &contest->wanted[1][question], 32) == 0);
        if (!one) {
            (void)fprintf(stderr, "question %u: %s\n", question,
                          result == 0 ? "a mix" : stoa_strerror(result));
            atomic_fetch_add(&contest->mixed, 1);
        }
        atomic_fetch_add(&contest->answers, 1);
    }
    return NULL;
}

static void store_all(struct stoa *stoa, const struct made_chain *chain, unsigned flags)
{
    for (uint64_t i = 0; i < made_chain_count(chain); i++) {
        const struct made_block *block = made_chain_block(chain, made_chain_first(chain) + i);
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        put.block = (struct stoa_bytes){block->block.data, block->block.size};
        put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
        put.flags = flags;
        assert_int_equal(stoa_store_block(stoa, &put, NULL), 0);
    }
}

/* A contract that logs, a sender, and a transaction that the rival alone has. */
static void choose(struct contest *contest, const struct made_chain *chain,
                   const struct made_chain *rival)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    filter.from = FORK - 10;
    assert_int_equal(stoa_query_logs(contest->stoa, &filter, &logs, NULL), 0);
    assert_true(logs.count != 0);
    memcpy(contest->address, logs.logs[logs.count / 2].address, 20);
    stoa_free(logs.logs);
    uint64_t number = FORK;
    while (made_chain_block(chain, number)->transaction_count == 0) {
        number--;
    }
    memcpy(contest->sender, made_chain_block(chain, number)->transactions[0].sender, 20);
    for (uint64_t i = 0; i < LONGER; i++) {
        const struct made_block *block = made_chain_block(rival, FORK + 1 + i);
        for (size_t j = 0; j < block->transaction_count; j++) {
            struct stoa_transaction found;
            memcpy(contest->transaction, block->transactions[j].hash, 32);
            if (stoa_get_transaction(contest->stoa, contest->transaction, &found, NULL) != 0) {
                return;
            }
            stoa_release(found.block.view);
        }
    }
}

static void each_answer_is_of_one_branch(void **state)
{
    (void)state;
    char base[PATH_SIZE];
    char directory[PATH_SIZE];
    char command[PATH_SIZE + 16];
    const char *temporary = getenv("TMPDIR");
    struct made_chain *chain = made_chain_create(51, BLOCKS);
    struct made_chain *rival = made_chain_create_rival(chain, FORK, 52, LONGER);
    struct bytes genesis = made_chain_genesis_json(chain);
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct contest contest = {.stoa = NULL};
    snprintf(base, sizeof(base), "%s/stoa-contest-XXXXXX", temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(base));
    snprintf(directory, sizeof(directory), "%.240s/store", base);
    create.genesis_json = (const char *)genesis.data;
    create.genesis_json_size = genesis.size;
    assert_int_equal(stoa_create(directory, &create, NULL), 0);
    options.io = STOA_IO_THREADS;
    assert_int_equal(stoa_open(directory, &options, &contest.stoa, NULL), 0);
    store_all(contest.stoa, chain, 0);
    store_all(contest.stoa, rival, STOA_STORE_SIDE);
    choose(&contest, chain, rival);
    const uint8_t *heads[BRANCHES] = {made_chain_block(chain, BLOCKS)->hash,
                                      made_chain_block(rival, FORK + LONGER)->hash};
    for (unsigned branch = 0; branch < BRANCHES; branch++) {
        assert_int_equal(stoa_update_head(contest.stoa, heads[branch], NULL), 0);
        for (unsigned question = 0; question < QUESTIONS; question++) {
            assert_int_equal(ask(&contest, question, &contest.wanted[branch][question]), 0);
        }
    }
    for (unsigned question = 0; question < QUESTIONS; question++) {
        assert_memory_not_equal(&contest.wanted[0][question], &contest.wanted[1][question], 32);
    }
    pthread_t threads[THREADS];
    unsigned changes = getenv("STOA_LONG") != NULL ? CHANGES_LONG : CHANGES_SHORT;
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, keep_asking, &contest), 0);
    }
    for (unsigned i = 0; i < changes; i++) {
        assert_int_equal(stoa_update_head(contest.stoa, heads[i % BRANCHES], NULL), 0);
        unsigned seen = atomic_load(&contest.answers); /* some answers between two changes */
        while (i % 4 == 3 && atomic_load(&contest.answers) < seen + THREADS &&
               atomic_load(&contest.mixed) == 0) {
            (void)sched_yield();
        }
    }
    atomic_store(&contest.over, true);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    print_message("%u changes, %u answers, %u busy\n", changes, atomic_load(&contest.answers),
                  atomic_load(&contest.busy));
    assert_int_equal(atomic_load(&contest.mixed), 0);
    assert_true(atomic_load(&contest.answers) > changes / 4);
    assert_int_equal(stoa_close(contest.stoa, NULL), 0);
    made_chain_destroy(rival);
    made_chain_destroy(chain);
    snprintf(command, sizeof(command), "rm -rf '%s'", base);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_is_of_one_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
