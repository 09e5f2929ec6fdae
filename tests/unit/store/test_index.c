/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transactions are found by their hash whatever the height and the index that stand in their keys,
 * in a batch whose keys are of several sizes, longer than runs_load_short takes. */
#include "store/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TRANSACTIONS = 17000, STORE_ID = 7 };

static uint64_t prefix_of(size_t index)
{
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* A batch of one block at HEIGHT is applied and each of its transactions looked up. */
static void apply_and_find(uint64_t height)
{
    struct error_detail detail = {0};
    struct kv_memory_disk *disk = kv_memory_disk_create();
    struct kv *kv;
    struct kv_session *session;
    struct index *index;
    struct place_applied applied;
    struct pending *batch = pending_create();
    uint64_t *prefixes = malloc(TRANSACTIONS * sizeof(*prefixes));
    assert_non_null(batch);
    assert_non_null(prefixes);
    assert_int_equal(kv_memory_open(disk, &kv, &detail), 0);
    assert_int_equal(kv_session_open(kv, &session, &detail), 0);
    assert_int_equal(index_open(kv, session, STORE_ID, &index, &applied, &detail), 0);
    for (size_t i = 0; i < TRANSACTIONS; i++) {
        prefixes[i] = prefix_of(i);
    }
    struct pending_block block = {.height = height, .position = {.sequence = 3}, .hash = {1}};
    struct pending_entries entries = {.prefixes = prefixes, .prefix_count = TRANSACTIONS};
    assert_int_equal(pending_add(batch, &block, &entries), 0);
    applied.position = block.position;
    applied.has_head = true;
    applied.head_height = height;
    assert_int_equal(
        index_apply(index, session, batch, &applied, &(struct index_tries){.held = false}, &detail),
        0);
    for (size_t i = 0; i < TRANSACTIONS; i++) {
        struct index_transaction found[INDEX_CANDIDATES_MAX];
        uint8_t hash[32] = {0};
        size_t count;
        bytes_store_be64(hash, prefix_of(i));
        assert_int_equal(index_find_transaction(index, session, hash, found, &count, NULL, &detail),
                         0);
        assert_int_equal(count, 1);
        assert_int_equal(found[0].height, height);
        assert_int_equal(found[0].index, i);
        assert_int_equal(found[0].position.sequence, 3);
    }
    index_close(index);
    kv_session_close(session);
    kv_close(kv);
    kv_memory_disk_destroy(disk);
    pending_destroy(batch);
    free(prefixes);
}

static void transactions_are_found_where_keys_are_short(void **state)
{
    (void)state;
    apply_and_find(1000);
}

static void transactions_are_found_where_keys_are_long(void **state)
{
    (void)state;
    uint8_t key[PLACE_TRANSACTION_KEY_MAX];
    assert_true(place_encode_transaction_key(0, PLACE_HEIGHT_MAX, TRANSACTIONS - 1, key) >
                RUNS_SHORT_KEY_MAX);
    assert_true(place_encode_transaction_key(0, PLACE_HEIGHT_MAX, 0, key) <= RUNS_SHORT_KEY_MAX);
    apply_and_find(PLACE_HEIGHT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_are_found_where_keys_are_short),
        cmocka_unit_test(transactions_are_found_where_keys_are_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
