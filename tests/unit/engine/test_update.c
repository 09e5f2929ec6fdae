/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of raw state without a block, through stoa.h: read by any thread right after they were
 * acknowledged, from the cache too; buffered; in order with blocks. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"

enum { WRITERS = 4, ROUNDS = 200, MANY = 300, SYNCS = 500 };

static struct stoa_bytes text(const char *from)
{
    return (struct stoa_bytes){(const uint8_t *)from, from == NULL ? 0 : strlen(from)};
}

static int update(struct stoa *stoa, const char *key, const char *value)
{
    struct stoa_change change = {.key = text(key), .value = text(value)};
    struct stoa_state_update given = STOA_STATE_UPDATE_INIT;
    given.changes = &change;
    given.change_count = 1;
    return stoa_update_state(stoa, &given, NULL);
}

static void expect(struct stoa *stoa, const char *key, const char *wanted)
{
    struct stoa_bytes value = {NULL, 0};
    int result = stoa_get_state(stoa, text(key), &value, NULL);
    bool right = wanted == NULL ? result == STOA_ENOTFOUND
                                : result == 0 && value.size == strlen(wanted) &&
                                      memcmp(value.data, wanted, value.size) == 0;
    if (!right) { /* not cmocka's: it may be another thread */
        print_error("%s: %s\n", key, stoa_strerror(result));
        abort();
    }
    stoa_free((void *)(uintptr_t)value.data);
}

static void an_update_is_read_at_once_and_after_reopening(void **state)
{
    struct engine_rig *rig = *state;
    expect(rig->stoa, "a", NULL); /* the cache remembers that it is absent */
    assert_int_equal(update(rig->stoa, "a", "1"), 0);
    expect(rig->stoa, "a", "1");
    expect(rig->stoa, "a", "1");
    assert_int_equal(update(rig->stoa, "a", "2"), 0);
    expect(rig->stoa, "a", "2");
    engine_rig_put(rig, 1, 2);
    assert_int_equal(update(rig->stoa, "a", NULL), 0);
    expect(rig->stoa, "a", NULL);
    struct stoa_state_at at = {.key = text("a"), .height = 0};
    struct stoa_bytes value;
    assert_int_equal(stoa_get_state_at(rig->stoa, &at, &value, NULL), 0);
    assert_int_equal(value.size, 1);
    assert_int_equal(value.data[0], '2');
    stoa_free((void *)(uintptr_t)value.data);
    engine_rig_close(rig);
    engine_rig_open(rig);
    expect(rig->stoa, "a", NULL);
    assert_int_equal(update(rig->stoa, "b", "3"), 0);
    expect(rig->stoa, "b", "3");
    engine_rig_close(rig);
    engine_rig_open(rig);
    expect(rig->stoa, "b", "3");
}

static void it_leaves_the_cache_with_its_block(void **state)
{
    struct engine_rig *rig = *state;
    struct made_chain *rival = made_chain_create_rival(rig->chain, 2, 77, 2);
    engine_rig_put(rig, 1, 2);
    assert_int_equal(update(rig->stoa, "a", "two"), 0);
    engine_rig_put(rig, 3, 3);
    assert_int_equal(update(rig->stoa, "a", "three"), 0);
    expect(rig->stoa, "a", "three");
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    const struct made_block *block = made_chain_block(rival, 3);
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.flags = STOA_STORE_CANONICAL;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    expect(rig->stoa, "a", "two");
    assert_int_equal(update(rig->stoa, "a", "rival"), 0);
    expect(rig->stoa, "a", "rival");
    assert_int_equal(stoa_update_head(rig->stoa, made_chain_block(rig->chain, 3)->hash, NULL), 0);
    expect(rig->stoa, "a", "three");
    made_chain_destroy(rival);
}

static void bad_arguments_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_change change = {.key = {NULL, 1}, .value = text("1")};
    struct stoa_state_update given = STOA_STATE_UPDATE_INIT;
    assert_int_equal(stoa_update_state(rig->stoa, NULL, NULL), STOA_EINVAL);
    assert_int_equal(stoa_update_state(rig->stoa, &given, NULL), STOA_EINVAL);
    given.change_count = 1;
    assert_int_equal(stoa_update_state(rig->stoa, &given, NULL), STOA_EINVAL);
    given.changes = &change;
    assert_int_equal(stoa_update_state(rig->stoa, &given, NULL), STOA_EINVAL);
    change.key = text("");
    struct stoa_detail detail;
    assert_int_equal(stoa_update_state(rig->stoa, &given, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "changes[0].key"));
}

static void reap_all(struct stoa *stoa, unsigned count, unsigned failed)
{
    while (count != 0) {
        struct stoa_completion completions[16];
        int got = stoa_reap(stoa, completions, 16, -1);
        assert_true(got > 0);
        count -= (unsigned)got;
        for (int i = 0; i < got; i++) {
            assert_int_equal(completions[i].message, STOA_MESSAGE_UPDATE_STATE);
            failed -= completions[i].result != 0;
        }
    }
    assert_int_equal(failed, 0);
}

static void many_submitted_share_frames(void **state)
{
    struct engine_rig *rig = *state;
    static const int durabilities[] = {STOA_DURABLE, STOA_BUFFERED};
    char key[16] = "";
    char value[16] = "";
    for (unsigned kind = 0; kind < 2; kind++) {
        struct stoa_stats before = STOA_STATS_INIT;
        struct stoa_stats after = STOA_STATS_INIT;
        struct stoa_call call = STOA_CALL_INIT;
        call.durability = durabilities[kind];
        call.deadline_ms = 60000; /* and so it is copied */
        assert_int_equal(stoa_get_stats(rig->stoa, &before), 0);
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(key, sizeof(key), "key%u", i % 10);
            snprintf(value, sizeof(value), "%u of %u", i, kind);
            struct stoa_change change = {.key = text(key), .value = text(value)};
            struct stoa_state_update given = STOA_STATE_UPDATE_INIT;
            given.changes = &change;
            given.change_count = 1;
            assert_int_equal(stoa_submit_update_state(rig->stoa, &given, &call), 0);
        }
        reap_all(rig->stoa, MANY, 0);
        assert_int_equal(stoa_sync(rig->stoa, NULL), 0);
        expect(rig->stoa, key, value);
        assert_int_equal(stoa_get_stats(rig->stoa, &after), 0);
        assert_true(after.appends - before.appends <= MANY);
    }
    engine_rig_close(rig);
    engine_rig_open(rig);
    expect(rig->stoa, key, value);
}

/* Where the frames of calls that returned were, nothing is written any more. */
static __attribute__((noinline)) unsigned look_below(void)
{
    volatile uint8_t below[8192];
    unsigned written = 0;
    for (size_t i = 0; i < sizeof(below); i++) {
        below[i] = 0;
    }
    for (unsigned turn = 0; turn < 8; turn++) {
        for (size_t i = 0; i < sizeof(below); i++) {
            written += below[i];
        }
    }
    return written;
}

static void a_sync_with_nothing_to_wait_for_leaves_its_caller_alone(void **state)
{
    struct engine_rig *rig = *state;
    unsigned written = 0;
    for (unsigned i = 0; i < SYNCS; i++) {
        assert_int_equal(stoa_sync(rig->stoa, NULL), 0);
        written += look_below();
    }
    assert_int_equal(written, 0);
}

struct writer {
    pthread_t thread;
    struct stoa *stoa;
    unsigned number;
};

/* Each reads what it wrote right after it was acknowledged, while blocks are stored. */
static void *write_and_read(void *context)
{
    const struct writer *writer = context;
    char key[16];
    char value[16];
    snprintf(key, sizeof(key), "writer%u", writer->number);
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(value, sizeof(value), "%u", i);
        if (update(writer->stoa, key, i % 5 == 4 ? NULL : value) != 0) {
            abort();
        }
        expect(writer->stoa, key, i % 5 == 4 ? NULL : value);
    }
    return NULL;
}

static void every_writer_reads_what_it_wrote(void **state)
{
    struct engine_rig *rig = *state;
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.stoa = rig->stoa, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_and_read, &writers[i]), 0);
    }
    engine_rig_put(rig, 1, 30);
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    }
    engine_rig_expect(rig->stoa, rig->chain, 1, 30);
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, NULL), 0);
}

/* ---- batches ---- */

static int write_batch(struct engine_rig *rig, const struct stoa_item *items, size_t count,
                       struct stoa_detail *detail)
{
    struct stoa_batch batch = STOA_BATCH_INIT;
    batch.items = items;
    batch.item_count = count;
    return stoa_batch_write(rig->stoa, &batch, detail);
}

static void a_batch_is_all_there_or_refused_whole(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_change own = {.key = text("own"), .value = text("of the block")};
    struct stoa_detail detail;
    put.changes = &own;
    put.change_count = 1;
    struct stoa_item items[] = {
        {.kind = STOA_ITEM_PUT, .key = text("a"), .value = text("1")},
        {.kind = STOA_ITEM_BLOCK, .block = &put},
        {.kind = STOA_ITEM_PUT, .key = text("own"), .value = text("of the batch")},
        {.kind = STOA_ITEM_PUT, .key = text("b"), .value = text("2")},
        {.kind = STOA_ITEM_DELETE, .key = text("b")},
    };
    assert_int_equal(write_batch(rig, items, 5, NULL), 0);
    engine_rig_expect(rig->stoa, rig->chain, 1, 1);
    expect(rig->stoa, "a", "1");
    expect(rig->stoa, "own", "of the batch");
    expect(rig->stoa, "b", NULL);
    items[0].value = text("3");
    assert_int_equal(write_batch(rig, items, 5, &detail), STOA_EEXISTS); /* the block is old */
    assert_non_null(strstr(detail.text, "items[1]"));
    items[4].key = text("");
    assert_int_equal(write_batch(rig, items, 5, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "items[4].key"));
    expect(rig->stoa, "a", "1");
    assert_int_equal(write_batch(rig, items, 1, NULL), 0); /* keys alone */
    expect(rig->stoa, "a", "3");
    engine_rig_close(rig);
    engine_rig_open(rig);
    expect(rig->stoa, "a", "3");
    expect(rig->stoa, "own", "of the batch");
    engine_rig_expect(rig->stoa, rig->chain, 1, 1);
}

static void a_batch_changes_the_head(void **state)
{
    struct engine_rig *rig = *state;
    struct made_chain *rival = made_chain_create_rival(rig->chain, 2, 78, 2);
    const struct made_block *block = made_chain_block(rival, 3);
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    struct stoa_detail detail;
    engine_rig_put(rig, 1, 4);
    assert_int_equal(update(rig->stoa, "a", "four"), 0);
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.flags = STOA_STORE_SIDE;
    struct stoa_item items[] = {
        {.kind = STOA_ITEM_BLOCK, .block = &put},
        {.kind = STOA_ITEM_PUT, .key = text("a"), .value = text("rival")},
        {.kind = STOA_ITEM_HEAD, .hash = made_chain_block(rival, 4)->hash},
    };
    assert_int_equal(write_batch(rig, items, 3, &detail), STOA_ENOTFOUND); /* not stored */
    assert_non_null(strstr(detail.text, "items[2]"));
    engine_rig_expect_head(rig, 4);
    expect(rig->stoa, "a", "four");
    items[2].hash = block->hash;
    struct stoa_batch batch = STOA_BATCH_INIT;
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_completion completion;
    batch.items = items;
    batch.item_count = 3;
    call.deadline_ms = 60000;
    assert_int_equal(stoa_submit_batch_write(rig->stoa, &batch, &call), 0);
    assert_int_equal(stoa_reap(rig->stoa, &completion, 1, -1), 1);
    assert_int_equal(completion.result, 0);
    assert_int_equal(completion.message, STOA_MESSAGE_BATCH_WRITE);
    assert_memory_equal(completion.hash, block->hash, 32);
    struct stoa_head head;
    assert_int_equal(stoa_get_head(rig->stoa, &head), 0);
    assert_memory_equal(head.hash, block->hash, 32);
    expect(rig->stoa, "a", "rival");
    struct stoa_item back = {.kind = STOA_ITEM_HEAD, .hash = made_chain_block(rig->chain, 4)->hash};
    assert_int_equal(write_batch(rig, &back, 1, NULL), 0);
    expect(rig->stoa, "a", "four");
    uint8_t unknown[32] = {1};
    back.hash = unknown;
    assert_int_equal(write_batch(rig, &back, 1, &detail), STOA_ENOTFOUND);
    assert_non_null(strstr(detail.text, "items[0]"));
    made_chain_destroy(rival);
}

/* Blocks FIRST to LAST of CHAIN as items. */
static size_t items_of(const struct made_chain *chain, uint64_t first, uint64_t last,
                       unsigned flags, struct stoa_store_block *puts, struct stoa_item *items)
{
    size_t count = 0;
    for (uint64_t i = first; i <= last; i++, count++) {
        const struct made_block *block = made_chain_block(chain, i);
        puts[count] = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
        puts[count].block = (struct stoa_bytes){block->block.data, block->block.size};
        puts[count].receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
        puts[count].flags = flags;
        items[count] = (struct stoa_item){.kind = STOA_ITEM_BLOCK, .block = &puts[count]};
    }
    return count;
}

static void a_batch_of_several_blocks_is_one(void **state)
{
    struct engine_rig *rig = *state;
    struct made_chain *rival = made_chain_create_rival(rig->chain, 5, 79, 6);
    struct stoa_store_block puts[16];
    struct stoa_item items[20];
    struct stoa_detail detail;
    size_t count = items_of(rig->chain, 1, 8, 0, puts, items);
    items[count++] =
        (struct stoa_item){.kind = STOA_ITEM_PUT, .key = text("a"), .value = text("eight")};
    engine_rig_put(rig, 1, 1);
    assert_int_equal(write_batch(rig, items, count, &detail), STOA_EEXISTS);
    assert_non_null(strstr(detail.text, "items[0]"));
    count--;
    assert_int_equal(write_batch(rig, items + 2, count - 2, &detail), STOA_EREFUSED); /* a gap */
    assert_non_null(strstr(detail.text, "items[0]"));
    engine_rig_expect_head(rig, 1);
    assert_int_equal(write_batch(rig, items + 1, count, NULL), 0);
    engine_rig_expect_head(rig, 8);
    engine_rig_expect(rig->stoa, rig->chain, 1, 8);
    expect(rig->stoa, "a", "eight");
    count = items_of(rival, 6, 11, STOA_STORE_SIDE, puts, items);
    items[count++] =
        (struct stoa_item){.kind = STOA_ITEM_PUT, .key = text("a"), .value = text("nine")};
    items[count++] =
        (struct stoa_item){.kind = STOA_ITEM_HEAD, .hash = made_chain_block(rival, 9)->hash};
    puts[3].receipts.size--; /* what is wrong with one refuses all */
    assert_int_equal(write_batch(rig, items, count, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "items[3]"));
    engine_rig_expect_head(rig, 8);
    expect(rig->stoa, "a", "eight");
    puts[3].receipts.size++;
    assert_int_equal(write_batch(rig, items, count, NULL), 0);
    engine_rig_expect(rig->stoa, rival, 6, 9);
    expect(rig->stoa, "a", "nine");
    engine_rig_close(rig);
    engine_rig_open(rig);
    engine_rig_expect(rig->stoa, rival, 6, 9);
    expect(rig->stoa, "a", "nine");
    struct stoa_item back[] = {
        {.kind = STOA_ITEM_DELETE, .key = text("a")},
        {.kind = STOA_ITEM_HEAD, .hash = made_chain_block(rig->chain, 8)->hash},
    };
    assert_int_equal(write_batch(rig, back, 2, NULL), 0); /* a stored block, and its keys */
    engine_rig_expect(rig->stoa, rig->chain, 1, 8);
    expect(rig->stoa, "a", NULL);
    struct stoa_verify_report report;
    assert_int_equal(stoa_verify(rig->stoa, NULL, NULL, &report, NULL), 0);
    made_chain_destroy(rival);
}

static void a_batch_with_a_deadline_is_copied(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block puts[8];
    struct stoa_item items[8];
    struct stoa_batch batch = STOA_BATCH_INIT;
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_completion completion;
    char key[] = "a";
    uint8_t head[32];
    engine_rig_put(rig, 1, 2);
    batch.items = items;
    batch.item_count = items_of(rig->chain, 3, 6, STOA_STORE_SIDE, puts, items);
    items[batch.item_count++] =
        (struct stoa_item){.kind = STOA_ITEM_PUT, .key = text(key), .value = text("five")};
    items[batch.item_count++] = (struct stoa_item){.kind = STOA_ITEM_HEAD, .hash = head};
    memcpy(head, made_chain_block(rig->chain, 5)->hash, 32);
    call.deadline_ms = 60000;
    assert_int_equal(stoa_submit_batch_write(rig->stoa, &batch, &call), 0);
    memset(items, 0, sizeof(items)); /* nothing of it is the store's */
    memset(puts, 0, sizeof(puts));
    memset(head, 0, sizeof(head));
    key[0] = 'z';
    assert_int_equal(stoa_reap(rig->stoa, &completion, 1, -1), 1);
    assert_int_equal(completion.result, 0);
    assert_int_equal(completion.height, 5);
    assert_memory_equal(completion.hash, made_chain_block(rig->chain, 5)->hash, 32);
    engine_rig_expect(rig->stoa, rig->chain, 1, 5);
    expect(rig->stoa, "a", "five");
}

static void items_that_contradict_are_refused(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block puts[4];
    struct stoa_item items[6];
    struct stoa_detail detail;
    engine_rig_put(rig, 1, 1);
    size_t count = items_of(rig->chain, 2, 3, 0, puts, items);
    struct stoa_item head = {.kind = STOA_ITEM_HEAD, .hash = made_chain_block(rig->chain, 2)->hash};
    items[count] = head;
    items[count + 1] = head;
    assert_int_equal(write_batch(rig, items, count + 2, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "items[3]"));
    items[count] = items[1];
    items[1] = head;
    assert_int_equal(write_batch(rig, items, count + 1, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "items[2]"));
    items[1] = items[count];
    items[count] = items[1];
    assert_int_equal(write_batch(rig, items, count + 1, &detail), STOA_EEXISTS); /* twice */
    assert_non_null(strstr(detail.text, "items[2]"));
    engine_rig_expect_head(rig, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_update_is_read_at_once_and_after_reopening,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_sync_with_nothing_to_wait_for_leaves_its_caller_alone,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(it_leaves_the_cache_with_its_block, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(bad_arguments_are_refused, engine_rig_set_up_threads,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(many_submitted_share_frames, engine_rig_set_up_threads,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_batch_is_all_there_or_refused_whole,
                                        engine_rig_set_up_ring, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_batch_of_several_blocks_is_one, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_batch_with_a_deadline_is_copied,
                                        engine_rig_set_up_threads, engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(items_that_contradict_are_refused, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(a_batch_changes_the_head, engine_rig_set_up_threads,
                                        engine_rig_tear_down),
        cmocka_unit_test_setup_teardown(every_writer_reads_what_it_wrote, engine_rig_set_up_ring,
                                        engine_rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
