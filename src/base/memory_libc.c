/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/memory_private.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(HAVE_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(pointer, size) ((void)(pointer), (void)(size))
#define __asan_unpoison_memory_region(pointer, size) ((void)(pointer), (void)(size))
#endif

void *memory_back_alloc(size_t size)
{
    return malloc(size);
}

void *memory_back_alloc_zeroed(size_t size)
{
    return calloc(1, size);
}

void *memory_back_alloc_aligned(size_t size, size_t alignment)
{
    void *pointer = NULL;
    size_t least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    return posix_memalign(&pointer, least, size) == 0 ? pointer : NULL;
}

void *memory_back_resize(void *pointer, size_t size)
{
    return realloc(pointer, size);
}

void memory_back_free(void *pointer)
{
    free(pointer);
}

void memory_back_poison(void *pointer, size_t size)
{
    __asan_poison_memory_region(pointer, size);
}

void memory_back_unpoison(void *pointer, size_t size)
{
    __asan_unpoison_memory_region(pointer, size);
}
