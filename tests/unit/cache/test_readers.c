/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/readers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

static struct readers *make(void)
{
    struct readers *readers = memory_alloc_aligned(sizeof(*readers), 64);
    assert_non_null(readers);
    readers_init(readers);
    return readers;
}

static void what_was_unlinked_before_a_reader_entered_may_go(void **state)
{
    (void)state;
    struct readers *readers = make();
    uint64_t unlinked = readers_epoch(readers);
    readers_advance(readers);
    assert_true(readers_oldest(readers) > unlinked);
    struct readers_slot *slot = readers_enter(readers);
    assert_true(readers_oldest(readers) > unlinked);
    readers_leave(slot);
    memory_free(readers);
}

static void what_was_unlinked_while_a_reader_is_inside_stays_until_it_leaves(void **state)
{
    (void)state;
    struct readers *readers = make();
    struct readers_slot *slot = readers_enter(readers);
    uint64_t unlinked = readers_epoch(readers);
    readers_advance(readers);
    readers_advance(readers);
    assert_false(readers_oldest(readers) > unlinked);
    struct readers_slot *later = readers_enter(readers);
    readers_leave(slot);
    assert_true(readers_oldest(readers) > unlinked);
    readers_leave(later);
    memory_free(readers);
}

static void when_all_places_are_taken_one_more_does_without(void **state)
{
    (void)state;
    struct readers *readers = make();
    struct readers_slot *slots[READERS_SLOTS];
    for (unsigned i = 0; i < READERS_SLOTS; i++) {
        slots[i] = readers_enter(readers);
        assert_non_null(slots[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_ptr_not_equal(slots[i], slots[k]);
        }
    }
    assert_null(readers_enter(readers));
    readers_leave(slots[77]);
    assert_ptr_equal(readers_enter(readers), slots[77]);
    memory_free(readers);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_many(void *context)
{
    struct readers *readers = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct readers_slot *slot = readers_enter(readers);
        readers_count(slot, i % 3);
        readers_leave(slot);
    }
    return NULL;
}

static void counts_of_all_threads_add_up(void **state)
{
    (void)state;
    struct readers *readers = make();
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, readers), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i < 3; i++) {
        sum += readers_sum(readers, i);
    }
    assert_int_equal(sum, THREADS * ROUNDS);
    assert_int_equal(readers_sum(readers, 3), 0);
    memory_free(readers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_unlinked_before_a_reader_entered_may_go),
        cmocka_unit_test(what_was_unlinked_while_a_reader_is_inside_stays_until_it_leaves),
        cmocka_unit_test(when_all_places_are_taken_one_more_does_without),
        cmocka_unit_test(counts_of_all_threads_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
