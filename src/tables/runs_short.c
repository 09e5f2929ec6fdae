/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short keys are two numbers. What is many is spread by one byte of the first, which brings it into
 * ranges that the processor's caches hold, and those by the next; what is few, or equal in all of
 * the first, is merged where it is not in order already: it mostly is, since of equal beginnings it
 * was gathered so. All stable. */
#include <string.h>

#include "base/ensure.h"
#include "tables/runs_private.h"

enum { DIGITS = 8, FEW = 64, RUN = 8 };

static bool is_after(const struct runs_short *a, const struct runs_short *b)
{
    if (a->high != b->high) {
        return a->high > b->high;
    }
    return a->low != b->low ? a->low > b->low : a->key_size > b->key_size;
}

static bool is_sorted(const struct runs_short *entries, size_t count)
{
    size_t i = 1;
    while (i < count && !is_after(&entries[i - 1], &entries[i])) {
        i++;
    }
    return i >= count;
}

/* Short stretches, each entry moved to its place. */
static void insertion_sort(struct runs_short *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct runs_short moving = entries[i];
        size_t place = i;
        while (place > 0 && is_after(&entries[place - 1], &moving)) {
            entries[place] = entries[place - 1];
            place--;
        }
        entries[place] = moving;
    }
}

static void merge_sort(struct runs_short *entries, size_t count, struct runs_short *scratch)
{
    for (size_t i = 0; i < count; i += RUN) {
        insertion_sort(entries + i, count - i < RUN ? count - i : RUN);
    }
    struct runs_short *from = entries;
    struct runs_short *to = scratch;
    for (size_t width = RUN; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = middle + width < count ? middle + width : count;
            size_t left = start;
            size_t right = middle;
            for (size_t place = start; place < end; place++) {
                bool take_left =
                    left < middle && (right >= end || !is_after(&from[left], &from[right]));
                to[place] = take_left ? from[left++] : from[right++];
            }
        }
        struct runs_short *other = from;
        from = to;
        to = other;
    }
    if (from != entries) {
        memcpy(entries, from, count * sizeof(*entries));
    }
}

static unsigned digit_of(const struct runs_short *entry, unsigned digit)
{
    return (unsigned)(entry->high >> 8 * (DIGITS - 1 - digit) & UINT8_MAX);
}

/* The entries are equal in what is before DIGIT of the first number. The recursion ends with it. */
static void sort_range(struct runs_short *entries, size_t count, struct runs_short *scratch,
                       unsigned digit)
{
    if (is_sorted(entries, count)) {
        return;
    }
    size_t ends[UINT8_MAX + 1] = {0};
    while (count > FEW && digit < DIGITS) {
        for (size_t i = 0; i < count; i++) {
            ends[digit_of(&entries[i], digit)]++;
        }
        if (ends[digit_of(entries, digit)] != count) {
            break;
        }
        ends[digit_of(entries, digit++)] = 0; /* the same in all */
    }
    if (count <= FEW || digit == DIGITS) {
        merge_sort(entries, count, scratch);
        return;
    }
    size_t sum = 0;
    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        size_t own = ends[value];
        ends[value] = sum;
        sum += own;
    }
    for (size_t i = 0; i < count; i++) {
        scratch[ends[digit_of(&entries[i], digit)]++] = entries[i];
    }
    memcpy(entries, scratch, count * sizeof(*entries));
    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        size_t start = value == 0 ? 0 : ends[value - 1];
        sort_range(entries + start, ends[value] - start, scratch, digit + 1);
    }
}

void runs_sort_short(struct runs_short *entries, size_t count, struct runs_short *scratch)
{
    sort_range(entries, count, scratch, 0);
}
