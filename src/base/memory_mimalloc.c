/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/memory_private.h"

#include <mimalloc.h>

/* Huge pages where the kernel has them: a page fault costs 12 us on a virtual machine whose page
 * tables the host shadows, and 512 of them fifty times what one of 2 MiB does. The allocator then
 * keeps what it has got, too. MIMALLOC_LARGE_OS_PAGES in the environment has the last word. */
__attribute__((constructor)) static void prefer_huge_pages(void)
{
    mi_option_set_enabled_default(mi_option_large_os_pages, true);
}

void *memory_back_alloc(size_t size)
{
    return mi_malloc(size);
}

void *memory_back_alloc_zeroed(size_t size)
{
    return mi_calloc(1, size);
}

void *memory_back_alloc_aligned(size_t size, size_t alignment)
{
    return mi_malloc_aligned(size, alignment);
}

void *memory_back_resize(void *pointer, size_t size)
{
    return mi_realloc(pointer, size);
}

void memory_back_free(void *pointer)
{
    mi_free(pointer);
}

/* No sanitizer sees into mimalloc's memory: libc's serves those builds. */
void memory_back_poison(void *pointer, size_t size)
{
    (void)pointer;
    (void)size;
}

void memory_back_unpoison(void *pointer, size_t size)
{
    (void)pointer;
    (void)size;
}
