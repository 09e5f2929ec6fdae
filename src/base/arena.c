/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/arena.h"

#include "base/ensure.h"
#include "base/memory.h"

enum { BLOCK_SIZE = 64 << 10, ALIGNMENT = 8 };

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    uint64_t data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){.first = NULL};
}

static void free_list(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        memory_free(block);
        block = next;
    }
}

void arena_deinit(struct arena *arena)
{
    free_list(arena->first);
    free_list(arena->idle);
    arena_init(arena);
}

/* A block with room for SIZE bytes: an idle one that has it, else a new one. */
static struct arena_block *take_block(struct arena *arena, size_t size)
{
    struct arena_block **link = &arena->idle;
    while (*link != NULL && (*link)->capacity < size) {
        link = &(*link)->next;
    }
    struct arena_block *block = *link;
    if (block != NULL) {
        *link = block->next;
        return block;
    }
    size_t capacity = size < BLOCK_SIZE ? BLOCK_SIZE : size;
    block = memory_alloc(sizeof(*block) + capacity);
    if (block != NULL) {
        block->capacity = capacity;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->first == NULL || arena->first->capacity - arena->used < rounded) {
        struct arena_block *block = take_block(arena, rounded);
        if (block == NULL) {
            return NULL;
        }
        block->next = arena->first;
        arena->first = block;
        arena->used = 0;
    }
    void *result = (uint8_t *)arena->first->data + arena->used;
    arena->used += rounded;
    ensure(arena->used <= arena->first->capacity);
    return result;
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes)
{
    uint8_t *copy = arena_alloc(arena, bytes.size);
    if (copy == NULL) {
        return bytes_of(NULL, 0);
    }
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return bytes_of(copy, bytes.size);
}

void arena_reset(struct arena *arena)
{
    while (arena->first != NULL) {
        struct arena_block *block = arena->first;
        arena->first = block->next;
        block->next = arena->idle;
        arena->idle = block;
    }
    arena->used = 0;
}
