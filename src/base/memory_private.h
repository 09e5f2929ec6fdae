/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memory_private.h: what an allocator behind memory.c provides. One of the memory_*.c files
 * implements it. */
#ifndef MEMORY_PRIVATE_H
#define MEMORY_PRIVATE_H

#include <stddef.h>

void *memory_back_alloc(size_t size);
void *memory_back_alloc_zeroed(size_t size);
void *memory_back_alloc_aligned(size_t size, size_t alignment);
void *memory_back_resize(void *pointer, size_t size);
void memory_back_free(void *pointer);
void memory_back_poison(void *pointer, size_t size);
void memory_back_unpoison(void *pointer, size_t size);

#endif
