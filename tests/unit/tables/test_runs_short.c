/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short keys: sorted as any others are, the last of equal ones wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/fixture.h"
#include "tables/runs_private.h"

enum { ENTRIES_MAX = 3000, ROUNDS = 300 };

struct numbered {
    struct runs_short entry;
    size_t number;
};

static struct bytes key_of(const struct runs_short *entry, uint8_t out[16])
{
    bytes_store_be64(out, entry->high);
    bytes_store_be64(out + 8, entry->low);
    return bytes_of(out, entry->key_size);
}

static int compare(const void *a, const void *b)
{
    const struct numbered *left = a;
    const struct numbered *right = b;
    uint8_t space[2][16];
    int order = bytes_compare(key_of(&left->entry, space[0]), key_of(&right->entry, space[1]));
    return order != 0 ? order : (left->number > right->number) - (left->number < right->number);
}

/* Keys of few letters, so that many are equal or begin alike, in no order or nearly in order. */
static void make(struct numbered *out, size_t count, uint64_t *random)
{
    unsigned letters = 1 + (unsigned)fixture_random_below(random, 4);
    for (size_t i = 0; i < count; i++) {
        uint8_t key[16] = {0};
        size_t size = 1 + fixture_random_below(random, 16);
        for (size_t j = 0; j < size; j++) {
            key[j] = (uint8_t)(fixture_random_below(random, letters) * 85);
        }
        out[i] = (struct numbered){
            .entry = {.high = bytes_load_be64(key),
                      .low = bytes_load_be64(key + 8),
                      .key_size = (uint8_t)size,
                      .value_size = 1,
                      .value = (uint8_t)i},
            .number = i,
        };
    }
    if (fixture_random_below(random, 2) == 0) { /* in order, but for one */
        qsort(out, count, sizeof(*out), compare);
        struct numbered other = out[count / 2];
        out[count / 2] = out[0];
        out[0] = other;
        for (size_t i = 0; i < count; i++) {
            out[i].number = i;
            out[i].entry.value = (uint8_t)i;
        }
    }
}

static void short_keys_sort_as_any_others_and_equal_ones_stay(void **state)
{
    (void)state;
    uint64_t random = fixture_seed();
    struct numbered *wanted = calloc(ENTRIES_MAX, sizeof(*wanted));
    struct runs_short *entries = calloc((size_t)2 * ENTRIES_MAX, sizeof(*entries));
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t most = round % 2 == 0 ? 100 : ENTRIES_MAX;
        size_t count = 1 + fixture_random_below(&random, most);
        make(wanted, count, &random);
        for (size_t i = 0; i < count; i++) {
            entries[i] = wanted[i].entry;
        }
        qsort(wanted, count, sizeof(*wanted), compare);
        runs_sort_short(entries, count, entries + count);
        for (size_t i = 0; i < count; i++) {
            uint8_t space[2][16];
            assert_true(
                bytes_equal(key_of(&entries[i], space[0]), key_of(&wanted[i].entry, space[1])));
            assert_int_equal(entries[i].value, wanted[i].entry.value);
        }
    }
    free(wanted);
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_keys_sort_as_any_others_and_equal_ones_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
