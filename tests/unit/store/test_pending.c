/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/record.h"
#include "store/state_key.h"

static struct pending_block block_at(uint64_t height)
{
    struct pending_block block = {.height = height, .position = {.sequence = height + 1}};
    bytes_store_be64(block.hash, height * UINT64_C(0x9e3779b97f4a7c15));
    block.hash[31] = 1;
    return block;
}

static void append_change(struct buffer *changes, const char *key, const char *value)
{
    struct record_change change = {
        .key = bytes_of(key, strlen(key)),
        .value = bytes_of(value, value == NULL ? 0 : strlen(value)),
        .removed = value == NULL,
    };
    assert_int_equal(record_append_change(changes, &change), 0);
}

/* As a worker prepares it. */
static int add(struct pending *pending, const struct pending_block *block, const uint64_t *prefixes,
               size_t prefix_count, struct bytes changes)
{
    uint64_t hashes[8];
    struct pending_entries entries = {
        .prefixes = prefixes, .prefix_count = prefix_count, .changes = changes, .hashes = hashes};
    struct record_change change;
    struct bytes cursor = changes;
    while (record_next_change(&cursor, &change) == 0) {
        assert_true(entries.hash_count < 8);
        hashes[entries.hash_count++] = pending_key_hash(change.key);
    }
    return pending_add(pending, block, &entries);
}

static void blocks_are_found_by_hash_and_height(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    for (uint64_t height = 100; height < 3100; height++) {
        struct pending_block block = block_at(height);
        assert_int_equal(add(pending, &block, NULL, 0, bytes_of(NULL, 0)), 0);
    }
    assert_int_equal(pending_block_count(pending), 3000);
    for (uint64_t height = 100; height < 3100; height++) {
        struct pending_block block = block_at(height);
        const struct pending_block *found = pending_find_hash(pending, block.hash);
        assert_non_null(found);
        assert_int_equal(found->height, height);
        assert_ptr_equal(pending_find_height(pending, height), found);
    }
    assert_null(pending_find_height(pending, 99));
    assert_null(pending_find_height(pending, 3100));
    struct pending_block absent = block_at(5000);
    assert_null(pending_find_hash(pending, absent.hash));
    pending_destroy(pending);
}

/* What BATCH says of KEY at HEIGHT: its value, "" where it was removed, NULL where nothing. */
static const char *value_at(const struct pending *pending, const char *key, uint64_t height)
{
    static char text[32];
    struct pending_change change;
    bool done;
    if (!pending_find_change(pending, bytes_of(key, strlen(key)), &height, &change, &done)) {
        return NULL;
    }
    assert_int_equal(height >= change.height, 1);
    assert_true(change.value.size < sizeof(text));
    memset(text, 0, sizeof(text));
    if (change.value.size != 0) { /* a removed one's may have no address */
        memcpy(text, change.value.data, change.value.size);
    }
    return text;
}

static void a_side_block_is_found_by_hash_only(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    struct pending_block main_block = block_at(7);
    struct pending_block side = block_at(70);
    uint64_t prefix = 42;
    size_t cursor = SIZE_MAX;
    side.height = 7;
    side.side = true;
    assert_int_equal(add(pending, &main_block, NULL, 0, bytes_of(NULL, 0)), 0);
    struct buffer changes;
    buffer_init(&changes);
    append_change(&changes, "key", "of the side");
    assert_int_equal(add(pending, &side, &prefix, 1, buffer_bytes(&changes)), 0);
    assert_null(value_at(pending, "key", UINT64_MAX));
    buffer_deinit(&changes);
    assert_true(pending_find_hash(pending, side.hash)->side);
    assert_memory_equal(pending_find_height(pending, 7)->hash, main_block.hash, 32);
    assert_null(pending_find_transaction(pending, prefix, &cursor));
    pending_destroy(pending);
}

static void a_cut_chain_settles_what_is_above(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    uint64_t prefix = 42;
    struct pending_entries removed = {.prefixes = &prefix, .prefix_count = 1, .removed = true};
    for (uint64_t height = 10; height < 20; height++) {
        struct pending_block block = block_at(height);
        assert_int_equal(add(pending, &block, &prefix, 1, bytes_of(NULL, 0)), 0);
    }
    assert_false(pending_is_cut(pending, 19));
    pending_cut(pending, 15);
    for (uint64_t height = 15; height < 20; height++) {
        struct pending_block loser = block_at(height);
        loser.side = true;
        loser.moved = true;
        assert_int_equal(pending_add(pending, &loser, &removed), 0);
        assert_null(pending_find_height(pending, height));
        assert_true(pending_is_cut(pending, height));
        assert_true(pending_find_hash(pending, loser.hash)->side);
    }
    assert_false(pending_is_cut(pending, 14));
    assert_int_equal(pending_find_height(pending, 14)->height, 14);
    assert_int_equal(pending_canonical_count(pending), 5);
    size_t cursor = SIZE_MAX;
    for (uint64_t height = 20; height-- > 15;) {
        assert_true(pending_find_transaction(pending, prefix, &cursor)->removed);
    }
    struct pending_block winner = block_at(115);
    winner.height = 15;
    assert_int_equal(add(pending, &winner, &prefix, 1, bytes_of(NULL, 0)), 0);
    assert_memory_equal(pending_find_height(pending, 15)->hash, winner.hash, 32);
    assert_null(pending_find_height(pending, 16));
    cursor = SIZE_MAX;
    assert_false(pending_find_transaction(pending, prefix, &cursor)->removed);
    pending_cut(pending, 3);
    assert_int_equal(pending_canonical_count(pending), 0);
    assert_true(pending_is_cut(pending, 3));
    pending_clear(pending);
    assert_false(pending_is_cut(pending, 100));
    pending_destroy(pending);
}

static void an_envelope_hash_finds_its_block(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    struct pending_block block = block_at(7);
    block.has_envelope = true;
    memset(block.envelope_hash, 0xee, 32);
    assert_int_equal(add(pending, &block, NULL, 0, bytes_of(NULL, 0)), 0);
    for (uint64_t height = 8; height < 2000; height++) { /* the chains grow meanwhile */
        struct pending_block next = block_at(height);
        assert_int_equal(add(pending, &next, NULL, 0, bytes_of(NULL, 0)), 0);
    }
    assert_int_equal(pending_find_hash(pending, block.envelope_hash)->height, 7);
    static const uint8_t zero[32];
    assert_null(pending_find_hash(pending, zero));
    pending_destroy(pending);
}

static void transactions_that_begin_alike_are_all_found_newest_first(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    for (uint64_t height = 0; height < 50; height++) {
        struct pending_block block = block_at(height);
        uint64_t prefixes[100];
        for (uint64_t i = 0; i < 100; i++) {
            prefixes[i] = i == 3 ? 12345 : height * 1000000 + i;
        }
        assert_int_equal(add(pending, &block, prefixes, 100, bytes_of(NULL, 0)), 0);
    }
    size_t cursor = SIZE_MAX;
    for (uint64_t height = 50; height-- > 0;) {
        const struct pending_transaction *found = pending_find_transaction(pending, 12345, &cursor);
        assert_non_null(found);
        assert_int_equal(found->height, height);
        assert_int_equal(found->index, 3);
    }
    assert_null(pending_find_transaction(pending, 12345, &cursor));
    cursor = SIZE_MAX;
    assert_int_equal(pending_find_transaction(pending, 31000099, &cursor)->height, 31);
    pending_destroy(pending);
}

static void the_change_of_a_key_below_a_height_is_found(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    for (uint64_t height = 0; height < 3; height++) {
        struct pending_block block = block_at(height);
        struct buffer changes;
        buffer_init(&changes);
        append_change(&changes, "steady", height == 0 ? "first" : height == 1 ? "second" : "third");
        append_change(&changes, "gone", height < 2 ? "there" : NULL);
        char own[16];
        snprintf(own, sizeof(own), "own-%d", (int)height);
        append_change(&changes, own, "x");
        assert_int_equal(add(pending, &block, NULL, 0, buffer_bytes(&changes)), 0);
        buffer_deinit(&changes); /* the batch has its own copy */
    }
    assert_int_equal(pending_change_count(pending), 10); /* and a gap */
    assert_string_equal(value_at(pending, "steady", UINT64_MAX), "third");
    assert_string_equal(value_at(pending, "steady", 2), "third");
    assert_string_equal(value_at(pending, "steady", 1), "second");
    assert_string_equal(value_at(pending, "steady", 0), "first");
    assert_string_equal(value_at(pending, "gone", UINT64_MAX), "");
    assert_string_equal(value_at(pending, "gone", 1), "there");
    assert_string_equal(value_at(pending, "own-1", UINT64_MAX), "x");
    assert_null(value_at(pending, "own-1", 0));
    assert_null(value_at(pending, "own-9", UINT64_MAX));
    pending_destroy(pending);
}

static void a_block_that_does_not_mark_its_changes_as_all_leaves_a_gap(void **state)
{
    (void)state;
    static const char mark[] = {STATE_KEY_MARK, 0};
    static const char gap[] = {STATE_KEY_GAP, 0};
    struct pending *pending = pending_create();
    struct buffer changes;
    buffer_init(&changes);
    append_change(&changes, mark, "");
    for (uint64_t height = 0; height < 3; height++) {
        struct pending_block block = block_at(height);
        assert_int_equal(add(pending, &block, NULL, 0, buffer_bytes(&changes)), 0);
    }
    assert_int_equal(pending_change_count(pending), 0); /* a mark is no change */
    assert_null(value_at(pending, gap, UINT64_MAX));
    for (uint64_t height = 3; height < 6; height++) {
        struct pending_block block = block_at(height);
        assert_int_equal(add(pending, &block, NULL, 0, bytes_of(NULL, 0)), 0);
    }
    assert_int_equal(pending_change_count(pending), 1); /* one will do */
    assert_non_null(value_at(pending, gap, 3));
    assert_null(value_at(pending, gap, 2));
    for (uint64_t height = 3; height < 6; height++) { /* they leave the chain */
        struct pending_block block = block_at(height);
        struct pending_entries entries = {.removed = true};
        block.side = true;
        assert_int_equal(pending_add(pending, &block, &entries), 0);
    }
    assert_null(value_at(pending, gap, UINT64_MAX));
    buffer_deinit(&changes);
    pending_destroy(pending);
}

static void withdrawn_changes_lower_the_bound(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    struct buffer changes;
    uint64_t hash = pending_key_hash(bytes_of("key", 3));
    buffer_init(&changes);
    append_change(&changes, "key", "old");
    for (uint64_t height = 5; height < 8; height++) {
        struct pending_block block = block_at(height);
        assert_int_equal(add(pending, &block, NULL, 0, buffer_bytes(&changes)), 0);
    }
    for (uint64_t height = 6; height < 8; height++) { /* the branch from 6 on has lost */
        struct pending_block block = block_at(height);
        block.side = true;
        struct pending_entries entries = {
            .changes = buffer_bytes(&changes), .hashes = &hash, .hash_count = 1, .removed = true};
        assert_int_equal(pending_add(pending, &block, &entries), 0);
    }
    assert_string_equal(value_at(pending, "key", UINT64_MAX), "old");
    struct pending_change change;
    uint64_t bound = UINT64_MAX;
    bool done;
    assert_true(pending_find_change(pending, bytes_of("key", 3), &bound, &change, &done));
    assert_int_equal(change.height, 5);
    struct pending_block five = block_at(5);
    five.side = true;
    struct pending_entries entries = {
        .changes = buffer_bytes(&changes), .hashes = &hash, .hash_count = 1, .removed = true};
    assert_int_equal(pending_add(pending, &five, &entries), 0);
    bound = UINT64_MAX;
    assert_false(pending_find_change(pending, bytes_of("key", 3), &bound, &change, &done));
    assert_int_equal(bound, 4); /* what older batches may still say */
    assert_false(done);
    buffer_deinit(&changes);
    pending_destroy(pending);
}

static void a_cleared_batch_is_empty_and_a_warm_one_allocates_nothing(void **state)
{
    (void)state;
    struct pending *pending = pending_create();
    struct buffer changes;
    uint64_t prefixes[20] = {0};
    uint64_t count = 0;
    buffer_init(&changes);
    append_change(&changes, "key", "value");
    for (int round = 0; round < 3; round++) {
        if (round == 2) {
            count = memory_allocation_count();
        }
        for (uint64_t height = 0; height < 500; height++) {
            struct pending_block block = block_at(height);
            for (uint64_t i = 0; i < 20; i++) {
                prefixes[i] = height * 20 + i;
            }
            assert_int_equal(add(pending, &block, prefixes, 20, buffer_bytes(&changes)), 0);
        }
        assert_int_equal(pending_block_count(pending), 500);
        assert_int_equal(pending_transaction_count(pending), 10000);
        if (round == 2) {
            assert_int_equal(memory_allocation_count(), count);
        }
        pending_clear(pending);
        struct pending_block block = block_at(3);
        size_t cursor = SIZE_MAX;
        assert_int_equal(pending_block_count(pending), 0);
        assert_null(pending_find_hash(pending, block.hash));
        assert_null(pending_find_height(pending, 3));
        assert_null(pending_find_transaction(pending, 61, &cursor));
        assert_null(value_at(pending, "key", UINT64_MAX));
    }
    buffer_deinit(&changes);
    pending_destroy(pending);
}

/* Changes enough for all sizes that the tables of chains have, in memory that is made ahead. */
static void a_large_batch_is_found_in_whole_and_grows_by_what_it_is_given(void **state)
{
    (void)state;
    enum { BLOCKS = 5000, CHANGES = 8 };
    struct pending *pending = pending_create();
    struct buffer changes;
    char key[16];
    char value[16];
    uint64_t chunks = 0;
    buffer_init(&changes);
    assert_false(pending_wants_chunk(pending));
    for (unsigned height = 0; height < BLOCKS; height++) {
        buffer_clear(&changes);
        for (unsigned i = 0; i < CHANGES; i++) {
            (void)snprintf(key, sizeof(key), "%u", height * CHANGES + i);
            (void)snprintf(value, sizeof(value), "of %u", height);
            append_change(&changes, key, value);
        }
        uint64_t prefixes[] = {height, height ^ UINT64_C(0xffff0000)};
        struct pending_block block = block_at(height);
        assert_int_equal(add(pending, &block, prefixes, 2, buffer_bytes(&changes)), 0);
        if (pending_wants_chunk(pending)) {
            struct pending_chunk *chunk = pending_chunk_make();
            assert_non_null(chunk);
            pending_chunk_give(pending, chunk);
            assert_false(pending_wants_chunk(pending));
            chunks++;
        }
    }
    assert_true(chunks > 0);
    for (unsigned height = 0; height < BLOCKS; height++) {
        size_t cursor = SIZE_MAX;
        const struct pending_transaction *found =
            pending_find_transaction(pending, height, &cursor);
        assert_non_null(found);
        assert_int_equal(found->height, height);
        for (unsigned i = 0; i < CHANGES; i++) {
            (void)snprintf(key, sizeof(key), "%u", height * CHANGES + i);
            (void)snprintf(value, sizeof(value), "of %u", height);
            assert_string_equal(value_at(pending, key, UINT64_MAX), value);
        }
    }
    assert_null(value_at(pending, "40001", UINT64_MAX));
    buffer_deinit(&changes);
    pending_destroy(pending);
}

static void a_failed_allocation_adds_nothing(void **state)
{
    (void)state;
    struct buffer changes;
    uint64_t prefixes[2] = {1, 2};
    buffer_init(&changes);
    append_change(&changes, "key", "value");
    int result = STOA_ENOMEM;
    for (uint64_t n = 1; result != 0; n++) {
        struct pending *pending = pending_create();
        struct pending_block block = block_at(3);
        size_t cursor = SIZE_MAX;
        memory_fail_at(n);
        result = add(pending, &block, prefixes, 2, buffer_bytes(&changes));
        memory_fail_at(0);
        assert_true(result == 0 || result == STOA_ENOMEM);
        assert_int_equal(pending_block_count(pending), result == 0);
        assert_int_equal(pending_change_count(pending), result == 0 ? 2 : 0); /* and a gap */
        if (result != 0) {
            assert_null(pending_find_hash(pending, block.hash));
            assert_null(pending_find_transaction(pending, 1, &cursor));
        }
        pending_destroy(pending);
    }
    buffer_deinit(&changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_found_by_hash_and_height),
        cmocka_unit_test(a_side_block_is_found_by_hash_only),
        cmocka_unit_test(a_cut_chain_settles_what_is_above),
        cmocka_unit_test(an_envelope_hash_finds_its_block),
        cmocka_unit_test(transactions_that_begin_alike_are_all_found_newest_first),
        cmocka_unit_test(the_change_of_a_key_below_a_height_is_found),
        cmocka_unit_test(a_block_that_does_not_mark_its_changes_as_all_leaves_a_gap),
        cmocka_unit_test(withdrawn_changes_lower_the_bound),
        cmocka_unit_test(a_cleared_batch_is_empty_and_a_warm_one_allocates_nothing),
        cmocka_unit_test(a_large_batch_is_found_in_whole_and_grows_by_what_it_is_given),
        cmocka_unit_test(a_failed_allocation_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
