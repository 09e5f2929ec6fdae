/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/memory_private.h"

#include <stdlib.h>

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
