/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys are compared eight bytes at a time, loaded once as numbers. A range of items is ordered by
 * the eight bytes at one depth (radix sort where it is large, merge sort where it is small, both
 * stable); what is equal there is ordered by the next eight. A key that ends inside counts as
 * followed by zeros; of keys that are equal so to their ends, the shorter goes first. */
#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

enum { RADIX_FROM = 1500, INSERTION_TO = 12, DIGITS = 8 };

struct sort_item {
    uint64_t digits;
    uint32_t index;
    uint32_t size; /* of the key */
};

struct sorter {
    const struct runs_entry *entries;
    struct sort_item *scratch; /* as many as items */
};

static uint64_t load_digits(struct bytes key, size_t depth)
{
    if (key.size >= depth + 8) {
        return bytes_load_be64(key.data + depth);
    }
    uint8_t padded[8] = {0};
    if (key.size > depth) {
        memcpy(padded, key.data + depth, key.size - depth);
    }
    return bytes_load_be64(padded);
}

static void radix_sort(struct sort_item *items, size_t count, struct sort_item *scratch)
{
    static_assert(DIGITS == sizeof(items->digits), "one digit a byte");
    size_t counts[DIGITS][256] = {{0}};
    for (size_t i = 0; i < count; i++) {
        for (int digit = 0; digit < DIGITS; digit++) {
            counts[digit][items[i].digits >> 8 * digit & 255]++;
        }
    }
    struct sort_item *from = items;
    struct sort_item *to = scratch;
    for (int digit = 0; digit < DIGITS; digit++) {
        size_t *places = counts[digit];
        if (places[from[0].digits >> 8 * digit & 255] == count) {
            continue; /* the same in all */
        }
        size_t sum = 0;
        for (int value = 0; value < 256; value++) {
            size_t own = places[value];
            places[value] = sum;
            sum += own;
        }
        for (size_t i = 0; i < count; i++) {
            to[places[from[i].digits >> 8 * digit & 255]++] = from[i];
        }
        struct sort_item *other = from;
        from = to;
        to = other;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof(*items));
    }
}

static void insertion_sort(struct sort_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct sort_item item = items[i];
        size_t place = i;
        while (place > 0 && items[place - 1].digits > item.digits) {
            items[place] = items[place - 1];
            place--;
        }
        items[place] = item;
    }
}

static void merge_sort(struct sort_item *items, size_t count, struct sort_item *scratch)
{
    for (size_t i = 0; i < count; i += INSERTION_TO) {
        insertion_sort(items + i, count - i < INSERTION_TO ? count - i : INSERTION_TO);
    }
    struct sort_item *from = items;
    struct sort_item *to = scratch;
    for (size_t width = INSERTION_TO; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t left = start;
            size_t middle = start + width < count ? start + width : count;
            size_t right = middle;
            size_t end = middle + width < count ? middle + width : count;
            for (size_t place = start; place < end; place++) {
                bool take_left =
                    left < middle && (right >= end || from[left].digits <= from[right].digits);
                to[place] = take_left ? from[left++] : from[right++];
            }
        }
        struct sort_item *other = from;
        from = to;
        to = other;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof(*items));
    }
}

/* As what is loaded often is behind what it has in common. */
static bool is_sorted(const struct sort_item *items, size_t count)
{
    size_t i = 1;
    while (i < count && items[i - 1].digits <= items[i].digits) {
        i++;
    }
    return i >= count;
}

static void sort_by_digits(struct sort_item *items, size_t count, struct sort_item *scratch)
{
    if (is_sorted(items, count)) {
        return;
    }
    if (count >= RADIX_FROM) {
        radix_sort(items, count, scratch);
    } else {
        merge_sort(items, count, scratch);
    }
}

/* Items are equal in all bytes before DEPTH. Recursion is KV_KEY_SIZE_MAX / 8 deep at most. */
static void sort_range(const struct sorter *sorter, struct sort_item *items, size_t count,
                       size_t depth)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        longest = items[i].size > longest ? items[i].size : longest;
        items[i].digits = load_digits(sorter->entries[items[i].index].key, depth);
    }
    sort_by_digits(items, count, sorter->scratch);
    for (size_t start = 0; start < count;) {
        size_t end = start + 1;
        bool same_size = true;
        while (end < count && items[end].digits == items[start].digits) {
            same_size = same_size && items[end].size == items[start].size;
            end++;
        }
        if (end - start > 1 && longest > depth + 8) {
            sort_range(sorter, items + start, end - start, depth + 8);
        } else if (!same_size) {
            for (size_t i = start; i < end; i++) {
                items[i].digits = items[i].size;
            }
            sort_by_digits(items + start, end - start, sorter->scratch);
        }
        start = end;
    }
}

int runs_sort(const struct runs_entry *entries, size_t count, uint32_t **out_order)
{
    ensure(count != 0);
    if (count > UINT32_MAX) {
        return STOA_ETOOBIG;
    }
    struct sort_item *items = memory_alloc(2 * count * sizeof(*items));
    uint32_t *order = memory_alloc(count * sizeof(*order));
    if (items == NULL || order == NULL) {
        memory_free(items);
        memory_free(order);
        return STOA_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        items[i].index = (uint32_t)i;
        items[i].size = (uint32_t)entries[i].key.size;
    }
    struct sorter sorter = {.entries = entries, .scratch = items + count};
    sort_range(&sorter, items, count, 0);
    for (size_t i = 0; i < count; i++) {
        order[i] = items[i].index;
    }
    memory_free(items);
    *out_order = order;
    return 0;
}
