/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_heap.h: requests by a time, the earliest first; equal times come out in the order they went
 * in. A request's `moved` is its place while it is inside. One owner, no locks. */
#ifndef IO_HEAP_H
#define IO_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

struct io_heap_entry {
    uint64_t key;
    uint64_t sequence;
    struct io_request *request;
};

struct io_heap {
    struct io_heap_entry *entries;
    size_t count;
    size_t capacity;
    uint64_t sequence;
};

/* With room for CAPACITY (at least 1) from the start; it grows by doubling. STOA_ENOMEM. */
int io_heap_init(struct io_heap *heap, size_t capacity);
void io_heap_deinit(struct io_heap *heap);

/* STOA_ENOMEM: it could not grow; the heap is unchanged. */
int io_heap_push(struct io_heap *heap, uint64_t key, struct io_request *request);

/* The earliest, or NULL; its key to OUT_KEY. It stays inside. */
struct io_request *io_heap_first(const struct io_heap *heap, uint64_t *out_key);

/* REQUEST is inside. */
void io_heap_remove(struct io_heap *heap, struct io_request *request);

#endif
