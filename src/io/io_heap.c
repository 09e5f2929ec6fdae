/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/io_heap.h"

#include <stdbool.h>

#include "base/ensure.h"
#include "base/memory.h"

static bool is_before(const struct io_heap_entry *a, const struct io_heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void place(struct io_heap *heap, size_t index, struct io_heap_entry entry)
{
    heap->entries[index] = entry;
    entry.request->moved = index;
}

static void move_up(struct io_heap *heap, size_t index, struct io_heap_entry entry)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!is_before(&entry, &heap->entries[parent])) {
            break;
        }
        place(heap, index, heap->entries[parent]);
        index = parent;
    }
    place(heap, index, entry);
}

static void move_down(struct io_heap *heap, size_t index, struct io_heap_entry entry)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            is_before(&heap->entries[child + 1], &heap->entries[child])) {
            child++;
        }
        if (!is_before(&heap->entries[child], &entry)) {
            break;
        }
        place(heap, index, heap->entries[child]);
        index = child;
    }
    place(heap, index, entry);
}

int io_heap_init(struct io_heap *heap, size_t capacity)
{
    ensure(capacity > 0);
    *heap = (struct io_heap){.capacity = capacity};
    heap->entries = memory_alloc_zeroed(capacity, sizeof(*heap->entries));
    return heap->entries == NULL ? STOA_ENOMEM : 0;
}

void io_heap_deinit(struct io_heap *heap)
{
    memory_free(heap->entries);
    *heap = (struct io_heap){0};
}

int io_heap_push(struct io_heap *heap, uint64_t key, struct io_request *request)
{
    ensure(heap->count <= heap->capacity);
    if (heap->count == heap->capacity) {
        size_t size = 2 * heap->capacity * sizeof(*heap->entries);
        struct io_heap_entry *grown = memory_resize(heap->entries, size);
        if (grown == NULL) {
            return STOA_ENOMEM;
        }
        heap->entries = grown;
        heap->capacity *= 2;
    }
    struct io_heap_entry entry = {.key = key, .sequence = heap->sequence++, .request = request};
    move_up(heap, heap->count++, entry);
    return 0;
}

struct io_request *io_heap_first(const struct io_heap *heap, uint64_t *out_key)
{
    if (heap->count == 0) {
        return NULL;
    }
    *out_key = heap->entries[0].key;
    return heap->entries[0].request;
}

void io_heap_remove(struct io_heap *heap, struct io_request *request)
{
    size_t index = (size_t)request->moved;
    ensure(index < heap->count);
    ensure(heap->entries[index].request == request);
    struct io_heap_entry last = heap->entries[--heap->count];
    if (index == heap->count) {
        return;
    }
    if (index > 0 && is_before(&last, &heap->entries[(index - 1) / 2])) {
        move_up(heap, index, last);
    } else {
        move_down(heap, index, last);
    }
}
