/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/fixture.h"

enum { MIB = 1 << 20 };

static void chunks_are_aligned_and_at_most_a_quarter_larger_than_asked(void **state)
{
    (void)state;
    struct slab *slab = slab_create(64 * MIB);
    assert_non_null(slab);
    for (size_t size = 100; size < slab_page_size(slab) / 2; size += size / 7) {
        struct slab_chunk *chunk = slab_alloc(slab, size);
        assert_non_null(chunk);
        assert_int_equal((uintptr_t)chunk % SLAB_UNIT, 0);
        assert_true(slab_size_of(chunk) >= size);
        assert_true(slab_size_of(chunk) <= size + size / 4 + SLAB_UNIT);
        assert_int_equal(slab_size_of(chunk), slab_size_for(slab, size));
        memset(chunk + 1, 0xaa, slab_size_of(chunk) - sizeof(*chunk));
        slab_free(slab, chunk);
    }
    slab_destroy(slab);
}

static void what_is_larger_than_half_a_page_is_charged_exactly(void **state)
{
    (void)state;
    struct slab *slab = slab_create(16 * MIB);
    size_t before = slab_held(slab);
    struct slab_chunk *chunk = slab_alloc(slab, 5 * MIB);
    assert_non_null(chunk);
    assert_int_equal(slab_held(slab) - before, slab_size_of(chunk));
    assert_true(slab_size_of(chunk) < 5 * MIB + 2 * SLAB_LARGE_STEP);
    assert_null(slab_alloc(slab, 12 * MIB));
    slab_free(slab, chunk);
    assert_int_equal(slab_held(slab), before);
    slab_destroy(slab);
}

static void an_emptied_page_serves_another_class(void **state)
{
    (void)state;
    struct slab *slab = slab_create(MIB);
    struct slab_chunk *chunks[20000];
    size_t count = 0;
    while ((chunks[count] = slab_alloc(slab, 200)) != NULL) {
        count++;
    }
    size_t full = slab_held(slab);
    assert_true(full <= MIB);
    assert_true(count > 3000);
    assert_null(slab_alloc(slab, 10000));
    for (size_t i = 0; i < count; i++) {
        slab_free(slab, chunks[i]);
    }
    assert_int_equal(slab_held(slab), full);
    struct slab_chunk *large = slab_alloc(slab, 10000);
    assert_non_null(large);
    assert_int_equal(slab_held(slab), full);
    slab_destroy(slab);
}

static void a_lowered_bound_gives_back_what_is_empty_and_then_what_is_freed(void **state)
{
    (void)state;
    struct slab *slab = slab_create(8 * MIB);
    struct slab_chunk *chunks[8 * MIB / 20000 + 1];
    size_t count = 0;
    while ((chunks[count] = slab_alloc(slab, 20000)) != NULL) {
        count++;
    }
    assert_true(slab_set_limit(slab, 2 * MIB));
    assert_true(slab_held(slab) > 2 * MIB);
    assert_null(slab_alloc(slab, 100));
    for (size_t i = 0; i < count; i++) {
        slab_free(slab, chunks[i]);
    }
    assert_true(slab_held(slab) <= 2 * MIB);
    assert_true(slab_set_limit(slab, 20 * MIB));
    for (size_t i = 0; i < count; i++) {
        assert_non_null(slab_alloc(slab, 20000));
    }
    slab_destroy(slab);
}

static void touching_takes_pages_up_to_the_bound(void **state)
{
    (void)state;
    struct slab *slab = slab_create(4 * MIB);
    while (slab_touch(slab)) {
    }
    assert_true(slab_held(slab) <= 4 * MIB);
    assert_true(slab_held(slab) + slab_page_size(slab) > 4 * MIB);
    assert_non_null(slab_alloc(slab, 300));
    slab_destroy(slab);
}

static void a_walk_meets_every_live_chunk_once(void **state)
{
    (void)state;
    struct slab *slab = slab_create(16 * MIB);
    static const size_t sizes[] = {100, 1000, 50000, 700000};
    struct slab_chunk *chunks[40];
    for (size_t i = 0; i < 40; i++) {
        chunks[i] = slab_alloc(slab, sizes[i % 4]);
        assert_non_null(chunks[i]);
    }
    struct slab_chunk *gone = slab_alloc(slab, 1000);
    for (size_t i = 0; i < 40; i += 2) {
        slab_free(slab, chunks[i]);
    }
    slab_free(slab, gone);
    unsigned found = 0;
    uint64_t cursor = 0;
    struct slab_chunk *chunk;
    while ((chunk = slab_next(slab, SLAB_LIVE, &cursor)) != NULL) {
        size_t i = 1;
        while (i < 40 && chunks[i] != chunk) {
            i += 2;
        }
        if (i >= 40) {
            fail_msg("a chunk that nobody has");
            return;
        }
        chunks[i] = NULL;
        found++;
    }
    assert_int_equal(found, 20);
    slab_destroy(slab);
}

static void a_page_can_be_emptied_while_it_is_walked(void **state)
{
    (void)state;
    struct slab *slab = slab_create(MIB);
    assert_int_equal(slab_find_victim(slab), SLAB_LIVE);
    struct slab_chunk *first = slab_alloc(slab, 5000);
    assert_non_null(slab_alloc(slab, 5000));
    assert_non_null(slab_alloc(slab, 30000));
    assert_non_null(slab_alloc(slab, 30000));
    uint32_t victim = slab_find_victim(slab);
    assert_int_equal(victim, first->page);
    uint64_t cursor = 0;
    unsigned freed = 0;
    struct slab_chunk *chunk;
    while ((chunk = slab_next(slab, victim, &cursor)) != NULL) {
        slab_free(slab, chunk);
        freed++;
    }
    assert_int_equal(freed, 2);
    slab_destroy(slab);
}

struct live {
    struct slab_chunk *chunk;
    size_t size;
    uint8_t fill;
};

static void the_bound_holds_at_every_step_of_a_random_run(void **state)
{
    (void)state;
    uint64_t random = fixture_seed();
    size_t limit = 6 * MIB;
    struct slab *slab = slab_create(limit);
    static struct live live[4096];
    memset(live, 0, sizeof(live));
    for (unsigned step = 0; step < 40000; step++) {
        struct live *at = &live[fixture_random_below(&random, 4096)];
        if (at->chunk != NULL) {
            const uint8_t *data = (const uint8_t *)(at->chunk + 1);
            for (size_t i = 0; i < at->size - sizeof(*at->chunk); i += 61) {
                assert_int_equal(data[i], at->fill);
            }
            slab_free(slab, at->chunk);
            at->chunk = NULL;
        } else {
            uint64_t kind = fixture_random_below(&random, 100);
            size_t size = 100 + fixture_random_below(&random, kind == 0   ? 600000
                                                              : kind < 10 ? 40000
                                                                          : 1000);
            at->chunk = slab_alloc(slab, size);
            at->fill = (uint8_t)step;
            at->size = size;
            if (at->chunk != NULL) {
                memset(at->chunk + 1, at->fill, size - sizeof(*at->chunk));
            }
        }
        if (step % 5000 == 4999) {
            limit = (size_t)(2 + fixture_random_below(&random, 8)) * MIB;
            assert_true(slab_set_limit(slab, limit));
            for (unsigned i = 0; i < 4096 && slab_held(slab) > limit; i++) {
                if (live[i].chunk != NULL) {
                    slab_free(slab, live[i].chunk);
                    live[i].chunk = NULL;
                }
            }
        }
        assert_true(slab_held(slab) <= limit);
    }
    slab_destroy(slab);
}

static void creating_fails_cleanly_without_memory(void **state)
{
    (void)state;
    assert_null(slab_create(1000));
    for (uint64_t n = 1; n < 10; n++) {
        memory_fail_at(n);
        struct slab *slab = slab_create(MIB);
        bool made = slab != NULL;
        memory_fail_at(0);
        slab_destroy(slab);
        if (made) {
            assert_true(n > 2);
            return;
        }
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_aligned_and_at_most_a_quarter_larger_than_asked),
        cmocka_unit_test(what_is_larger_than_half_a_page_is_charged_exactly),
        cmocka_unit_test(an_emptied_page_serves_another_class),
        cmocka_unit_test(a_lowered_bound_gives_back_what_is_empty_and_then_what_is_freed),
        cmocka_unit_test(touching_takes_pages_up_to_the_bound),
        cmocka_unit_test(a_walk_meets_every_live_chunk_once),
        cmocka_unit_test(a_page_can_be_emptied_while_it_is_walked),
        cmocka_unit_test(the_bound_holds_at_every_step_of_a_random_run),
        cmocka_unit_test(creating_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
