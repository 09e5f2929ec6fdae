/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

/* A run that still has entries. Sources stand in a heap: the least key first, of equal keys the
 * newest run. */
struct source {
    struct run_reader reader;
    struct bytes key;
    uint64_t digits; /* the key's first eight bytes: settles most comparisons */
    size_t age;      /* 0: the newest */
};

struct runs_iterator {
    struct bytes prefix; /* the caller's */
    size_t source_count;
    size_t heap_count;
    bool at_entry; /* the sources at the first's key are still to be moved on */
    struct source **heap;
    struct source *sources;
};

static bool source_before(const struct source *a, const struct source *b)
{
    if (a->digits != b->digits) {
        return a->digits < b->digits;
    }
    int order = bytes_compare(a->key, b->key);
    return order != 0 ? order < 0 : a->age < b->age;
}

static void sift_down(struct runs_iterator *iterator, size_t place)
{
    struct source **heap = iterator->heap;
    struct source *moving = heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= iterator->heap_count) {
            break;
        }
        if (child + 1 < iterator->heap_count && source_before(heap[child + 1], heap[child])) {
            child++;
        }
        if (!source_before(heap[child], moving)) {
            break;
        }
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = moving;
}

/* Look at what the cursor stands on. False: it is past the prefix. */
static bool source_look(const struct runs_iterator *iterator, struct source *source)
{
    source->key = run_page_key(&source->reader.page);
    if (source->key.size < iterator->prefix.size ||
        (iterator->prefix.size != 0 &&
         memcmp(source->key.data, iterator->prefix.data, iterator->prefix.size) != 0)) {
        return false;
    }
    uint8_t padded[8] = {0};
    memcpy(padded, source->key.data, source->key.size < 8 ? source->key.size : 8);
    source->digits = bytes_load_be64(padded);
    return true;
}

/* Whether the run can have keys with the prefix. */
static bool run_touches(const struct run *run, struct bytes prefix)
{
    struct bytes max = bytes_of(run->max, run->max_size);
    struct bytes min = bytes_of(run->min, run->min_size);
    min.size = min.size < prefix.size ? min.size : prefix.size;
    return bytes_compare(max, prefix) >= 0 && bytes_compare(min, prefix) <= 0;
}

static int source_open(struct runs_iterator *iterator, const struct run *run,
                       struct kv_session *session, size_t age, struct error_detail *detail)
{
    struct source *source = &iterator->sources[iterator->source_count];
    source->age = age;
    int result = run_reader_open(&source->reader, session, run->table, detail);
    if (result != 0) {
        return result;
    }
    iterator->source_count++;
    result = run_reader_seek(&source->reader, iterator->prefix, detail);
    if (result == 0 && source_look(iterator, source)) {
        iterator->heap[iterator->heap_count++] = source;
    }
    return result == STOA_ENOTFOUND ? 0 : result;
}

int runs_iterator_create(struct run *const *list, size_t count, struct kv_session *session,
                         struct bytes prefix, struct runs_iterator **out_iterator,
                         struct error_detail *detail)
{
    struct runs_iterator *iterator = memory_alloc_zeroed(1, sizeof(*iterator));
    if (iterator != NULL) {
        iterator->sources = memory_alloc_zeroed(count, sizeof(*iterator->sources));
        iterator->heap = memory_alloc_zeroed(count, sizeof(struct source *));
    }
    if (iterator == NULL || iterator->sources == NULL || iterator->heap == NULL) {
        runs_iterator_destroy(iterator);
        return error_set(detail, STOA_ENOMEM, "walk runs: out of memory");
    }
    iterator->prefix = prefix;
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (run_touches(list[i], prefix)) {
            result = source_open(iterator, list[i], session, i, detail);
        }
    }
    if (result != 0) {
        runs_iterator_destroy(iterator);
        return result;
    }
    for (size_t i = iterator->heap_count / 2; i-- > 0;) {
        sift_down(iterator, i);
    }
    *out_iterator = iterator;
    return 0;
}

void runs_iterator_destroy(struct runs_iterator *iterator)
{
    if (iterator == NULL) {
        return;
    }
    for (size_t i = 0; i < iterator->source_count; i++) {
        run_reader_close(&iterator->sources[i].reader);
    }
    memory_free(iterator->sources);
    memory_free(iterator->heap);
    memory_free(iterator);
}

/* Move the first source on, or take it out. */
static int advance_first(struct runs_iterator *iterator, struct error_detail *detail)
{
    struct source *first = iterator->heap[0];
    int result = run_reader_next(&first->reader, detail);
    if (result != 0 && result != STOA_ENOTFOUND) {
        return result;
    }
    if (result == STOA_ENOTFOUND || !source_look(iterator, first)) {
        iterator->heap[0] = iterator->heap[--iterator->heap_count];
    }
    if (iterator->heap_count != 0) {
        sift_down(iterator, 0);
    }
    return 0;
}

/* Move on every source that stands at the key of the first: the others are older entries of it. */
static int skip_older(struct runs_iterator *iterator, struct error_detail *detail)
{
    uint8_t key[KV_KEY_SIZE_MAX];
    struct bytes same = iterator->heap[0]->key;
    ensure(same.size <= sizeof(key));
    bool alone = iterator->heap_count == 1;
    if (!alone) {
        memcpy(key, same.data, same.size);
        same.data = key;
    }
    int result = advance_first(iterator, detail);
    while (!alone && result == 0 && iterator->heap_count != 0 &&
           bytes_equal(iterator->heap[0]->key, same)) {
        result = advance_first(iterator, detail);
    }
    return result;
}

int runs_iterator_next(struct runs_iterator *iterator, struct runs_entry *out_entry,
                       struct error_detail *detail)
{
    if (iterator->at_entry) {
        iterator->at_entry = false;
        int result = skip_older(iterator, detail);
        if (result != 0) {
            return result;
        }
    }
    if (iterator->heap_count == 0) {
        return STOA_ENOTFOUND;
    }
    run_reader_entry(&iterator->heap[0]->reader, out_entry);
    iterator->at_entry = true;
    return 0;
}
