/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ghost.h: hashes of what was evicted a short while ago, so that what comes back soon is known to
 * be wanted. One thread. A set of four places a bucket: a new hash takes the oldest one's, so an
 * entry may be forgotten early and, with 32 bits kept of each hash, be taken for another; both
 * only cost a good guess. One that is all zero (deinitialised) remembers nothing. */
#ifndef GHOST_H
#define GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost {
    uint64_t *entries; /* part of the hash in the upper half, when it was noted in the lower */
    size_t mask;       /* of buckets */
};

enum { GHOST_WAYS = 4 };

/* Room for ENTRIES, rounded up to a power of two. False: no memory. */
bool ghost_init(struct ghost *ghost, size_t entries);
void ghost_deinit(struct ghost *ghost);
size_t ghost_size(size_t entries); /* bytes it allocates */

/* Note HASH as number SEQUENCE of its kind, from 1. */
void ghost_note(struct ghost *ghost, uint64_t hash, uint32_t sequence);

/* Whether HASH was noted as one of the last WINDOW before SEQUENCE. */
bool ghost_has(const struct ghost *ghost, uint64_t hash, uint32_t sequence, uint32_t window);

/* The same; it is forgotten. */
bool ghost_take(struct ghost *ghost, uint64_t hash, uint32_t sequence, uint32_t window);

#endif
