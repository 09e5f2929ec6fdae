/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short keys are two numbers: a radix sort by the first, a byte at a time, brings those together
 * that begin alike; they are mostly in order of the second then, since they were gathered so, and
 * merged where they are not. All stable. */
#include <string.h>

#include "base/ensure.h"
#include "tables/runs_private.h"

enum { DIGITS = 8, FEW = 64 };

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

static void merge_sort(struct runs_short *entries, size_t count, struct runs_short *scratch)
{
    struct runs_short *from = entries;
    struct runs_short *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
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

static void radix_sort(struct runs_short *entries, size_t count, struct runs_short *scratch)
{
    size_t counts[DIGITS][256] = {{0}};
    for (size_t i = 0; i < count; i++) {
        for (unsigned digit = 0; digit < DIGITS; digit++) {
            counts[digit][entries[i].high >> 8 * digit & 255]++;
        }
    }
    struct runs_short *from = entries;
    struct runs_short *to = scratch;
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        size_t *places = counts[digit];
        if (places[from[0].high >> 8 * digit & 255] == count) {
            continue; /* the same in all */
        }
        size_t sum = 0;
        for (unsigned value = 0; value < 256; value++) {
            size_t own = places[value];
            places[value] = sum;
            sum += own;
        }
        for (size_t i = 0; i < count; i++) {
            to[places[from[i].high >> 8 * digit & 255]++] = from[i];
        }
        struct runs_short *other = from;
        from = to;
        to = other;
    }
    if (from != entries) {
        memcpy(entries, from, count * sizeof(*entries));
    }
}

void runs_sort_short(struct runs_short *entries, size_t count, struct runs_short *scratch)
{
    if (count < FEW) {
        merge_sort(entries, count, scratch);
        return;
    }
    radix_sort(entries, count, scratch);
    for (size_t start = 0; start < count;) {
        size_t end = start + 1;
        while (end < count && entries[end].high == entries[start].high) {
            end++;
        }
        if (!is_sorted(entries + start, end - start)) {
            merge_sort(entries + start, end - start, scratch);
        }
        start = end;
    }
}
