/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/simtree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/block.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "support/fixture.h"

void simtree_init(struct simtree *tree, uint64_t seed, const struct made_chain *chain)
{
    struct io_sim_options options = {.seed = seed, .delay_ns_max = 1000000};
    *tree = (struct simtree){.count = 0};
    simstore_init(&tree->sim, seed);
    simstore_power(&tree->sim, &options);
    assert_int_equal(simstore_create(&tree->sim, chain), 0);
    assert_int_equal(simstore_open(&tree->sim), 0);
}

void simtree_deinit(struct simtree *tree)
{
    if (tree->sim.store != NULL) {
        assert_int_equal(simstore_close(&tree->sim), 0);
    }
    simstore_deinit(&tree->sim);
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->blocks[i]->transactions);
        free(tree->blocks[i]->updates.updates);
        free((void *)(uintptr_t)tree->blocks[i]->block.data);
        free((void *)(uintptr_t)tree->blocks[i]->receipts.data);
        free(tree->blocks[i]);
    }
    free(tree->blocks);
    free(tree->canonical);
    free(tree->updates.updates);
}

struct simtree_block *simtree_find(const struct simtree *tree, const uint8_t hash[32])
{
    for (size_t i = 0; i < tree->count; i++) {
        if (memcmp(tree->blocks[i]->hash, hash, 32) == 0) {
            return tree->blocks[i];
        }
    }
    return NULL;
}

static void add_difficulty(uint8_t sum[32], const uint8_t more[32])
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        unsigned digit = (unsigned)sum[i] + more[i] + carry;
        sum[i] = (uint8_t)digit;
        carry = digit >> 8;
    }
}

static void read_transactions(struct simtree_block *out, const struct block *block)
{
    struct bytes cursor = block->transactions;
    struct bytes receipts = bytes_of(NULL, 0);
    struct bytes envelope;
    out->transaction_count = block->transaction_count;
    out->transactions = calloc(out->transaction_count + 1, sizeof(*out->transactions));
    assert_non_null(out->transactions);
    if (out->receipts.data != NULL) {
        struct bytes list = out->receipts;
        assert_int_equal(rlp_read_list(&list, &receipts, NULL), 0);
    }
    for (size_t i = 0; block_next_transaction(&cursor, &envelope, NULL) == 0; i++) {
        transaction_hash(envelope, out->transactions[i].hash);
        if (out->receipts.data != NULL) {
            assert_int_equal(receipt_next(&receipts, &out->transactions[i].receipt, NULL), 0);
        }
    }
}

static struct bytes copy_of(struct bytes bytes)
{
    if (bytes.data == NULL) {
        return bytes;
    }
    uint8_t *copy = malloc(bytes.size + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.size);
    return bytes_of(copy, bytes.size);
}

struct simtree_block *simtree_add(struct simtree *tree, struct bytes block, struct bytes receipts)
{
    struct block decoded;
    struct error_detail detail;
    struct simtree_block *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    made->block = copy_of(block);
    made->receipts = copy_of(receipts);
    if (block_decode(made->block, &decoded, &detail) != 0) {
        fail_msg("a block of the test: %s", detail.text);
    }
    made->number = decoded.header.number;
    memcpy(made->hash, decoded.hash, 32);
    memcpy(made->total_difficulty, decoded.header.difficulty, 32);
    made->parent = simtree_find(tree, decoded.header.parent_hash);
    if (made->parent != NULL) {
        add_difficulty(made->total_difficulty, made->parent->total_difficulty);
    }
    read_transactions(made, &decoded);
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity == 0 ? 64 : 2 * tree->capacity;
        tree->blocks = realloc(tree->blocks, tree->capacity * sizeof(*tree->blocks));
        assert_non_null(tree->blocks);
    }
    tree->blocks[tree->count++] = made;
    return made;
}

struct simtree_block *simtree_add_made(struct simtree *tree, const struct made_block *block)
{
    return simtree_add(tree, buffer_bytes(&block->block), buffer_bytes(&block->receipts));
}

void simtree_add_chains(struct simtree *tree, struct made_chain *const *chains, size_t count)
{
    for (size_t c = 0; c < count; c++) {
        for (uint64_t i = 0; i < made_chain_count(chains[c]); i++) {
            (void)simtree_add_made(tree,
                                   made_chain_block(chains[c], made_chain_first(chains[c]) + i));
        }
    }
}

/* ---- raw state: what a block changes follows from its hash ---- */

static void key_name(unsigned key, char out[8])
{
    snprintf(out, 8, "key-%u", key % 100);
}

/* Which key change INDEX of BLOCK concerns; no two of a block the same. */
static unsigned key_of(const struct simtree_block *block, unsigned index)
{
    return (block->hash[20] + index * 5) % SIMTREE_KEYS;
}

static bool removes(const struct simtree_block *block, unsigned index)
{
    return block->hash[10 + index] % 4 == 0;
}

struct stoa_store_block simtree_put_of(const struct simtree *tree,
                                       const struct simtree_block *block,
                                       struct simtree_changes *changes)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    put.expected_hash = block->hash;
    if (tree->accounts.data != NULL) {
        simstate_fill(block->hash, &changes->state, &put);
    }
    if (tree->no_state) {
        return put;
    }
    put.change_count = block->hash[9] % (SIMTREE_CHANGES + 1);
    put.changes = changes->changes;
    for (unsigned i = 0; i < put.change_count; i++) {
        key_name(key_of(block, i), changes->keys[i]);
        changes->changes[i].key =
            (struct stoa_bytes){(const uint8_t *)changes->keys[i], strlen(changes->keys[i])};
        changes->changes[i].value =
            removes(block, i) ? (struct stoa_bytes){NULL, 0} : (struct stoa_bytes){block->hash, 32};
    }
    return put;
}

void simtree_make_update(uint64_t seed, struct simtree_update *out_update)
{
    uint64_t random = seed * 977 + 1;
    *out_update = (struct simtree_update){
        .count = 1 + (unsigned)fixture_random_below(&random, SIMTREE_CHANGES)};
    for (unsigned i = 0; i < out_update->count; i++) { /* the same key twice happens */
        out_update->keys[i] = (unsigned)fixture_random_below(&random, SIMTREE_KEYS);
        out_update->removed[i] = fixture_random_below(&random, 4) == 0;
        for (unsigned j = 0; j < 32; j++) {
            out_update->values[i][j] = (uint8_t)fixture_random(&random);
        }
    }
}

void simtree_changes_of(const struct simtree_update *update, struct simtree_changes *out_changes)
{
    for (unsigned i = 0; i < update->count; i++) {
        char *key = out_changes->keys[i];
        key_name(update->keys[i], key);
        out_changes->changes[i] = (struct stoa_change){
            .key = {(const uint8_t *)key, strlen(key)},
            .value = {update->removed[i] ? NULL : update->values[i], update->removed[i] ? 0 : 32},
        };
    }
}

static struct simtree_updates *updates_of(struct simtree *tree, struct simtree_block *block)
{
    return block == NULL ? &tree->updates : &block->updates;
}

void simtree_note_update(struct simtree *tree, const struct simtree_update *update)
{
    struct simtree_updates *all = updates_of(tree, tree->head);
    all->updates = realloc(all->updates, (all->count + 1) * sizeof(*all->updates));
    assert_non_null(all->updates);
    all->updates[all->count++] = *update;
}

int simtree_update(struct simtree *tree, const struct simtree_update *update)
{
    struct simtree_changes changes;
    simtree_changes_of(update, &changes);
    int result = simstore_update(&tree->sim, changes.changes, update->count);
    if (result == 0) {
        simtree_note_update(tree, update);
    }
    return result;
}

/* The value that BLOCK (NULL: the genesis) gives KEY; false: it says nothing of it. */
static bool value_after(struct simtree *tree, struct simtree_block *block, unsigned key,
                        const uint8_t **out_value)
{
    const struct simtree_updates *all = updates_of(tree, block);
    for (size_t i = all->count; i > 0; i--) {
        const struct simtree_update *update = &all->updates[i - 1];
        for (unsigned j = update->count; j > 0; j--) {
            if (update->keys[j - 1] == key) {
                *out_value = update->removed[j - 1] ? NULL : update->values[j - 1];
                return true;
            }
        }
    }
    bool found = false;
    for (unsigned i = 0; block != NULL && i < block->hash[9] % (SIMTREE_CHANGES + 1); i++) {
        if (key_of(block, i) == key) {
            *out_value = removes(block, i) ? NULL : block->hash;
            found = true;
        }
    }
    return found;
}

/* From where on history is kept: no more of it than was asked for, and that all. */
static struct stoa_stats kept_from(const struct simtree *tree)
{
    struct stoa_stats stats;
    uint64_t head = tree->head == NULL ? 0 : tree->head->number;
    uint64_t values = tree->sim.history_blocks;
    uint64_t tries = tree->sim.trie_history_blocks;
    store_get_stats(tree->sim.store, &stats);
    assert_true(values == 0 || head < values || stats.history_from >= head - values);
    assert_true(tries == 0 || head < tries || stats.trie_history_from >= head - tries);
    bool pruned = tree->sim.with_jobs; /* a test with jobs says itself what is kept */
    assert_true(pruned || values != 0 || stats.history_from == 0);
    assert_true(pruned || tries != 0 || stats.trie_history_from == 0);
    return stats;
}

static void expect_key(struct simtree *tree, struct simtree_block *at, unsigned key,
                       uint64_t height)
{
    const uint8_t *wanted = NULL;
    bool found = value_after(tree, at, key, &wanted);
    while (!found && at != NULL) {
        at = at->parent;
        found = value_after(tree, at, key, &wanted);
    }
    char name[8];
    struct bytes value;
    key_name(key, name);
    int result = simstore_get_state_at(&tree->sim, name, height, &value);
    if (height < kept_from(tree).history_from) {
        assert_int_equal(result, STOA_EPRUNED);
        return;
    }
    if (wanted == NULL) {
        assert_int_equal(result, STOA_ENOTFOUND);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(value.size, 32);
    assert_memory_equal(value.data, wanted, 32);
    memory_free((void *)(uintptr_t)value.data);
}

/* The root of the branch up to BLOCK. */
static const uint8_t *root_of(const struct simtree *tree, struct simtree_block *block)
{
    enum { DEPTH_MAX = 256 };
    const uint8_t *hashes[DEPTH_MAX];
    size_t count = 0;
    for (const struct simtree_block *at = block; at != NULL && !block->rooted; at = at->parent) {
        assert_true(count < DEPTH_MAX);
        hashes[DEPTH_MAX - ++count] = at->hash;
    }
    if (!block->rooted) {
        simstate_root(tree->accounts, hashes + DEPTH_MAX - count, count, block->root);
        block->rooted = true;
    }
    return block->root;
}

static void expect_roots(struct simtree *tree)
{
    for (struct simtree_block *at = tree->head; tree->accounts.data != NULL && at != NULL;
         at = at->parent) {
        uint8_t root[32];
        int result = simstore_get_state_root(&tree->sim, at->number, root);
        if (at->number < kept_from(tree).trie_history_from) {
            assert_int_equal(result, STOA_EPRUNED);
            continue;
        }
        assert_int_equal(result, 0);
        assert_memory_equal(root, root_of(tree, at), 32);
    }
}

/* Of the head, and of some heights below. */
static void expect_state(struct simtree *tree)
{
    for (unsigned key = 0; key < SIMTREE_KEYS && !tree->no_state; key++) {
        expect_key(tree, tree->head, key, STOA_AT_HEAD);
        struct simtree_block *at = tree->head;
        for (unsigned back = 0; back < 3 + key && at != NULL; back++) {
            expect_key(tree, at, key, at->number);
            at = at->parent;
        }
    }
}

/* ---- batches ---- */

int simtree_ask_batch(struct simtree *tree, const struct simtree_batch *batch)
{
    struct stoa_store_block blocks[SIMTREE_BATCH_MAX];
    static struct simtree_changes changes[SIMTREE_BATCH_MAX + 1];
    struct store_batch given = {.blocks = blocks,
                                .block_count = batch->count,
                                .head = batch->head == NULL ? NULL : batch->head->hash};
    for (size_t i = 0; i < batch->count; i++) {
        blocks[i] = simtree_put_of(tree, batch->blocks[i], &changes[i]);
        blocks[i].flags |= batch->flags[i];
    }
    struct simtree_changes *update = &changes[SIMTREE_BATCH_MAX];
    if (batch->has_update) {
        simtree_changes_of(&batch->update, update);
    }
    return simstore_batch(&tree->sim, &given, update->changes,
                          batch->has_update ? batch->update.count : 0);
}

void simtree_note_batch(struct simtree *tree, const struct simtree_batch *batch)
{
    struct simtree_block *head = tree->head;
    for (size_t i = 0; i < batch->count; i++) {
        batch->blocks[i]->stored = true;
        head = (batch->flags[i] & STOA_STORE_SIDE) == 0 ? batch->blocks[i] : head;
    }
    head = batch->head != NULL ? batch->head : head;
    if (head != tree->head) {
        simtree_set_head(tree, head);
    }
    if (batch->has_update) {
        simtree_note_update(tree, &batch->update);
    }
}

static bool is_in(const struct simtree_batch *batch, const struct simtree_block *block)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->blocks[i] == block) {
            return true;
        }
    }
    return false;
}

/* A block that can come next; or, where STORED, one that can be the head. */
static struct simtree_block *pick(struct simtree *tree, uint64_t *random,
                                  const struct simtree_batch *batch, bool stored)
{
    size_t from = fixture_random_below(random, tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        struct simtree_block *block = tree->blocks[(from + i) % tree->count];
        bool there = block->stored || is_in(batch, block);
        if (stored ? there
                   : !there && (block->parent == NULL || block->parent->stored ||
                                is_in(batch, block->parent))) {
            return block;
        }
    }
    return NULL;
}

void simtree_make_batch(struct simtree *tree, uint64_t *random, struct simtree_batch *out_batch)
{
    struct simtree_batch *batch = out_batch;
    struct simtree_block *head = tree->head;
    size_t wanted = fixture_random_below(random, 7);
    *batch = (struct simtree_batch){.count = 0};
    for (size_t i = 0; i < wanted; i++) {
        struct simtree_block *block = pick(tree, random, batch, false);
        if (block == NULL) {
            break;
        }
        bool side = fixture_random_below(random, 3) == 0;
        batch->flags[batch->count] = side                    ? STOA_STORE_SIDE
                                     : block->parent == head ? 0
                                                             : STOA_STORE_CANONICAL;
        batch->blocks[batch->count++] = block;
        head = side ? head : block;
    }
    if (fixture_random_below(random, 3) == 0) {
        batch->head = pick(tree, random, batch, true);
    }
    batch->has_update =
        (batch->count == 0 && batch->head == NULL) || fixture_random_below(random, 2) == 0;
    uint64_t seed = fixture_random(random);
    simtree_make_update(seed, &batch->update);
    batch->update.removed[batch->update.count - 1] = false; /* so that one sees it was made */
}

/* ---- changing ---- */

void simtree_set_head(struct simtree *tree, struct simtree_block *block)
{
    free(tree->canonical);
    tree->head = block;
    uint64_t top = block == NULL ? 0 : block->number;
    tree->canonical = calloc(top + 1, sizeof(struct simtree_block *));
    assert_non_null(tree->canonical);
    for (struct simtree_block *at = block; at != NULL; at = at->parent) {
        tree->canonical[at->number] = at;
    }
}

int simtree_put(struct simtree *tree, struct simtree_block *block, unsigned flags)
{
    struct simtree_changes changes;
    struct stoa_store_block given = simtree_put_of(tree, block, &changes);
    given.flags |= flags;
    int result = simstore_put(&tree->sim, &given);
    if (result == 0) {
        block->stored = true;
        if ((flags & STOA_STORE_SIDE) == 0) {
            simtree_set_head(tree, block);
        }
    }
    return result;
}

void simtree_hop(struct simtree *tree, struct simtree_block *block)
{
    int result = simstore_update_head(&tree->sim, block->hash);
    if (result != 0) {
        fail_msg("update head: %s: %s", stoa_strerror(result), tree->sim.detail.text);
    }
    simtree_set_head(tree, block);
}

/* ---- comparing ---- */

static bool is_canonical(const struct simtree *tree, const struct simtree_block *block)
{
    return tree->head != NULL && block->number <= tree->head->number &&
           tree->canonical[block->number] == block;
}

static void assert_bytes(struct stoa_bytes is, struct bytes wanted)
{
    assert_int_equal(is.size, wanted.size);
    assert_true(wanted.size == 0 || memcmp(is.data, wanted.data, wanted.size) == 0);
}

static void expect_block(struct simtree *tree, const struct simtree_block *block)
{
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block found;
    memcpy(key.hash, block->hash, 32);
    int result = simstore_get(&tree->sim, &key, &found);
    if (!block->stored) {
        assert_int_equal(result, STOA_ENOTFOUND);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(found.height, block->number);
    assert_int_equal(found.canonical, is_canonical(tree, block));
    assert_bytes(found.block, block->block);
    assert_bytes(found.receipts, block->receipts);
    store_view_release(found.view);
}

static void expect_heights(struct simtree *tree)
{
    uint64_t top = tree->head == NULL ? 0 : tree->head->number;
    for (uint64_t height = 0; height <= top + 70; height++) {
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
        struct stoa_block found;
        if (height <= top && tree->canonical != NULL && tree->canonical[height] == NULL) {
            continue; /* the store's own genesis */
        }
        int result = simstore_get(&tree->sim, &key, &found);
        if (height > top) {
            assert_int_equal(result, STOA_ENOTFOUND);
            continue;
        }
        if (tree->canonical == NULL) {
            store_view_release(found.view);
            continue;
        }
        assert_int_equal(result, 0);
        assert_true(found.canonical);
        assert_memory_equal(found.hash, tree->canonical[height]->hash, 32);
        assert_bytes(found.receipts, tree->canonical[height]->receipts);
        store_view_release(found.view);
    }
}

static const struct simtree_transaction *
place_of(const struct simtree *tree, const uint8_t hash[32], const struct simtree_block **out_block)
{
    for (const struct simtree_block *at = tree->head; at != NULL; at = at->parent) {
        for (size_t i = 0; i < at->transaction_count; i++) {
            if (memcmp(at->transactions[i].hash, hash, 32) == 0) {
                *out_block = at;
                return &at->transactions[i];
            }
        }
    }
    return NULL;
}

static void expect_transactions(struct simtree *tree, const struct simtree_block *block)
{
    for (size_t i = 0; i < block->transaction_count; i++) {
        struct stoa_transaction found;
        const struct simtree_block *wanted_block = NULL;
        const uint8_t *hash = block->transactions[i].hash;
        const struct simtree_transaction *wanted = place_of(tree, hash, &wanted_block);
        int result = simstore_get_transaction(&tree->sim, hash, &found);
        if (wanted == NULL) {
            assert_int_equal(result, STOA_ENOTFOUND);
            continue;
        }
        assert_int_equal(result, 0);
        assert_true(found.block.canonical);
        assert_memory_equal(found.block.hash, wanted_block->hash, 32);
        assert_int_equal(found.index, wanted - wanted_block->transactions);
        assert_bytes(found.receipt, wanted->receipt);
        store_view_release(found.block.view);
    }
}

/* ---- logs and histories ---- */

enum { SAMPLES = 2 };

/* What is asked for: the contract or the first topic of some log, and how far the answers are. */
struct sample {
    struct receipt_log log;
    bool by_topic;
    const struct stoa_logs *logs;
    size_t log_next;
    const struct stoa_history *history;
    size_t history_next;
};

static bool is_wanted(const struct sample *sample, const struct receipt_log *log)
{
    return sample->by_topic
               ? log->topic_count != 0 && memcmp(log->topics[0], sample->log.topics[0], 32) == 0
               : memcmp(log->address, sample->log.address, 20) == 0;
}

/* Those of BLOCK, which is canonical, are what the answer has next. */
static void expect_logs_of(struct sample *sample, const struct simtree_block *block)
{
    uint32_t log_index = 0;
    for (uint32_t i = 0; i < block->transaction_count; i++) {
        struct receipt receipt;
        struct receipt_log log;
        bool emitted = false;
        if (block->transactions[i].receipt.data == NULL) {
            return;
        }
        assert_int_equal(receipt_decode(block->transactions[i].receipt, &receipt, NULL), 0);
        for (; receipt_next_log(&receipt.logs, &log, NULL) == 0; log_index++) {
            if (!is_wanted(sample, &log)) {
                continue;
            }
            assert_true(sample->log_next < sample->logs->count);
            const struct stoa_log *found = &sample->logs->logs[sample->log_next++];
            assert_memory_equal(found->block_hash, block->hash, 32);
            assert_memory_equal(found->transaction_hash, block->transactions[i].hash, 32);
            assert_int_equal(found->log_index, log_index);
            assert_memory_equal(found->address, log.address, 20);
            emitted = true;
        }
        if (emitted && sample->history != NULL) {
            assert_true(sample->history_next < sample->history->count);
            const struct stoa_history_entry *entry =
                &sample->history->entries[sample->history_next++];
            assert_int_equal(entry->height, block->number);
            assert_int_equal(entry->index, i);
            assert_memory_equal(entry->block_hash, block->hash, 32);
            assert_true((entry->roles & STOA_ROLE_EMITTER) != 0);
        }
    }
}

static void expect_sample(struct simtree *tree, struct sample *sample)
{
    struct stoa_topics topics = {.topics = sample->log.topics[0], .count = 1};
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_logs logs;
    struct stoa_history history;
    filter.allow_missing = 1;
    if (sample->by_topic) {
        filter.topics[0] = topics;
        filter.topic_count = 1;
    } else {
        filter.addresses = sample->log.address;
        filter.address_count = 1;
        memcpy(query.address, sample->log.address, 20);
        query.roles = STOA_ROLE_EMITTER;
        query.oldest_first = 1;
        query.limit = 10000;
        assert_int_equal(simstore_query_history(&tree->sim, &query, &history), 0);
        sample->history = &history;
    }
    assert_int_equal(simstore_query_logs(&tree->sim, &filter, &logs), 0);
    sample->logs = &logs;
    for (uint64_t height = 0; tree->head != NULL && height <= tree->head->number; height++) {
        if (tree->canonical[height] != NULL) {
            expect_logs_of(sample, tree->canonical[height]);
        }
    }
    assert_int_equal(sample->log_next, logs.count);
    memory_free(logs.logs);
    if (sample->history != NULL) {
        assert_int_equal(sample->history_next, history.count);
        memory_free(history.entries);
    }
}

/* The first log of BLOCK. */
static bool find_log(const struct simtree_block *block, struct receipt_log *out_log)
{
    for (size_t i = 0; i < block->transaction_count; i++) {
        struct receipt receipt;
        if (block->transactions[i].receipt.data != NULL &&
            receipt_decode(block->transactions[i].receipt, &receipt, NULL) == 0 &&
            receipt_next_log(&receipt.logs, out_log, NULL) == 0) {
            return true;
        }
    }
    return false;
}

/* Like logs of some blocks, on whatever branch those are; others with each call. */
static void expect_samples(struct simtree *tree)
{
    unsigned samples = 0;
    for (size_t i = 0; i < tree->count && samples < SAMPLES; i++) {
        struct sample sample = {.by_topic = samples % 2 == 1};
        const struct simtree_block *block = tree->blocks[tree->sampled++ * 7919 % tree->count];
        if (find_log(block, &sample.log) && (!sample.by_topic || sample.log.topic_count != 0)) {
            expect_sample(tree, &sample);
            samples++;
        }
    }
}

void simtree_expect(struct simtree *tree)
{
    struct stoa_head head;
    store_get_head(tree->sim.store, &head);
    assert_int_equal(head.height, tree->head == NULL ? 0 : tree->head->number);
    if (tree->head != NULL) {
        assert_memory_equal(head.hash, tree->head->hash, 32);
    }
    expect_heights(tree);
    for (size_t i = 0; i < tree->count; i++) {
        expect_block(tree, tree->blocks[i]);
        expect_transactions(tree, tree->blocks[i]);
    }
    expect_samples(tree);
    expect_state(tree);
    expect_roots(tree);
}

void simtree_expect_verified(struct simtree *tree)
{
    unsigned damages = 0;
    int result = simstore_verify(&tree->sim, &damages);
    assert_int_equal(damages, 0);
    assert_int_equal(result, 0);
}

void simtree_checkpoint(struct simtree *tree)
{
    assert_int_equal(store_checkpoint(tree->sim.store, &tree->sim.detail), 0);
}

void simtree_reopen(struct simtree *tree)
{
    assert_int_equal(simstore_close(&tree->sim), 0);
    assert_int_equal(simstore_open(&tree->sim), 0);
}
