/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/ensure.h"
#include "base/memory_private.h"

enum { HUGE_PAGE = 2 << 20 };

/* Counts only: no ordering between threads is wanted. */
static atomic_uint_fast64_t allocations;
static atomic_uint_fast64_t fail_at;

static bool fails_now(void)
{
    uint_fast64_t count = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    uint_fast64_t wanted = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return wanted != 0 && count == wanted;
}

void *memory_alloc(size_t size)
{
    return fails_now() ? NULL : memory_back_alloc(size == 0 ? 1 : size);
}

void *memory_alloc_zeroed(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total) || fails_now()) {
        return NULL;
    }
    return memory_back_alloc_zeroed(total == 0 ? 1 : total);
}

void *memory_alloc_aligned(size_t size, size_t alignment)
{
    ensure(alignment != 0 && (alignment & (alignment - 1)) == 0);
    return fails_now() ? NULL : memory_back_alloc_aligned(size == 0 ? 1 : size, alignment);
}

void *memory_alloc_table(size_t size)
{
    if (size < HUGE_PAGE) {
        return memory_alloc_zeroed(1, size);
    }
    void *table = memory_alloc_aligned(size, HUGE_PAGE);
    if (table != NULL) {
        memory_prefer_huge(table, size / HUGE_PAGE * HUGE_PAGE);
        memset(table, 0, size);
    }
    return table;
}

void memory_prefer_huge(void *pointer, size_t size)
{
    uintptr_t begin = (uintptr_t)pointer / HUGE_PAGE * HUGE_PAGE;
    uintptr_t end = ((uintptr_t)pointer + size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    /* Where it cannot be had, or only for a part, small pages do. */
    (void)madvise((uint8_t *)pointer - ((uintptr_t)pointer - begin), end - begin, MADV_HUGEPAGE);
}

void *memory_resize(void *pointer, size_t size)
{
    return fails_now() ? NULL : memory_back_resize(pointer, size == 0 ? 1 : size);
}

void memory_free(void *pointer)
{
    memory_back_free(pointer);
}

void memory_poison(void *pointer, size_t size)
{
    memory_back_poison(pointer, size);
}

void memory_unpoison(void *pointer, size_t size)
{
    memory_back_unpoison(pointer, size);
}

char *memory_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memory_alloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

uint64_t memory_allocation_count(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

void memory_fail_at(uint64_t n)
{
    uint_fast64_t now = atomic_load_explicit(&allocations, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n == 0 ? 0 : now + n, memory_order_relaxed);
}
