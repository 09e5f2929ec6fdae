/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memory.h: the only place that calls an allocator: mimalloc, or libc's where a sanitizer must see
 * every block (chosen by configure: memory_mimalloc.c or memory_libc.c). Any thread. Failures
 * return NULL. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* SIZE bytes, not cleared. SIZE may be 0: the result is then a pointer that can be freed. */
void *memory_alloc(size_t size) __attribute__((malloc));

/* COUNT * SIZE bytes, cleared; NULL where the product overflows. */
void *memory_alloc_zeroed(size_t count, size_t size) __attribute__((malloc));

/* SIZE bytes aligned to ALIGNMENT (a power of two), not cleared. Freed by memory_free as well. */
void *memory_alloc_aligned(size_t size, size_t alignment) __attribute__((malloc));

/* SIZE bytes, cleared, for a table that is read at random places: of huge pages where it is large
 * and the system has them, since else each read of it costs a walk through the page tables as well.
 */
void *memory_alloc_table(size_t size) __attribute__((malloc));

/* The same for SIZE bytes at POINTER that are read at random places and not touched yet. What lies
 * in the same huge pages comes with them. */
void memory_prefer_huge(void *pointer, size_t size);

/* As realloc: on failure NULL, and POINTER stays valid. Not for aligned blocks. */
void *memory_resize(void *pointer, size_t size);

/* NULL is allowed. */
void memory_free(void *pointer);

/* Under AddressSanitizer: using these bytes is an error until they are unpoisoned. For what is cut
 * out of allocated memory. Else nothing happens. */
void memory_poison(void *pointer, size_t size);
void memory_unpoison(void *pointer, size_t size);

/* A terminated copy of TEXT. */
char *memory_copy_text(const char *text) __attribute__((malloc));

/* Allocations made so far by this process: tests assert that a path makes none. */
uint64_t memory_allocation_count(void);

/* For tests: the N-th allocation from now fails once (1 is the next one); 0 switches this off. */
void memory_fail_at(uint64_t n);

#endif
