/* SPDX-License-Identifier: GPL-3.0-or-later */
/* arena.h: memory that is given back all at once. One owner, one thread at a time. Blocks are kept
 * over a reset, so that a warm arena allocates nothing. */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *first; /* in use, the newest first */
    struct arena_block *idle;  /* of before a reset */
    size_t used;               /* of the first block */
};

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena);

/* SIZE bytes aligned to 8, not cleared, until the next reset. NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of BYTES; data is NULL where there is no memory for a size that is not 0. */
struct bytes arena_copy(struct arena *arena, struct bytes bytes);

/* What was allocated is gone; its memory is kept for what comes. */
void arena_reset(struct arena *arena);

#endif
