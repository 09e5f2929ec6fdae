/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/ghost.h"

#include "base/ensure.h"
#include "base/memory.h"

static size_t buckets_for(size_t entries)
{
    size_t buckets = 1;
    while (buckets * GHOST_WAYS < entries) {
        buckets *= 2;
    }
    return buckets;
}

size_t ghost_size(size_t entries)
{
    return buckets_for(entries) * GHOST_WAYS * sizeof(uint64_t);
}

bool ghost_init(struct ghost *ghost, size_t entries)
{
    size_t buckets = buckets_for(entries);
    ghost->entries = memory_alloc_zeroed(buckets * GHOST_WAYS, sizeof(*ghost->entries));
    ghost->mask = buckets - 1;
    return ghost->entries != NULL;
}

void ghost_deinit(struct ghost *ghost)
{
    memory_free(ghost->entries);
    ghost->entries = NULL;
}

static uint64_t *bucket_of(const struct ghost *ghost, uint64_t hash)
{
    return &ghost->entries[(hash & ghost->mask) * GHOST_WAYS];
}

/* 0 marks an empty place, so no part of a hash is 0. */
static uint32_t part_of(uint64_t hash)
{
    uint32_t part = (uint32_t)(hash >> 32);
    return part == 0 ? 1 : part;
}

void ghost_note(struct ghost *ghost, uint64_t hash, uint32_t sequence)
{
    if (ghost->entries == NULL) {
        return;
    }
    uint64_t *bucket = bucket_of(ghost, hash);
    uint32_t part = part_of(hash);
    unsigned place = 0;
    uint32_t place_age = 0;
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        if (bucket[i] == 0 || (uint32_t)(bucket[i] >> 32) == part) {
            place = i;
            break;
        }
        uint32_t age = sequence - (uint32_t)bucket[i];
        if (age >= place_age) {
            place = i;
            place_age = age;
        }
    }
    bucket[place] = (uint64_t)part << 32 | sequence;
}

/* The place of HASH, or NULL. */
static uint64_t *find(const struct ghost *ghost, uint64_t hash)
{
    if (ghost->entries == NULL) {
        return NULL;
    }
    uint64_t *bucket = bucket_of(ghost, hash);
    uint32_t part = part_of(hash);
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        if ((uint32_t)(bucket[i] >> 32) == part) {
            return &bucket[i];
        }
    }
    return NULL;
}

bool ghost_has(const struct ghost *ghost, uint64_t hash, uint32_t sequence, uint32_t window)
{
    const uint64_t *place = find(ghost, hash);
    return place != NULL && sequence - (uint32_t)*place <= window;
}

bool ghost_take(struct ghost *ghost, uint64_t hash, uint32_t sequence, uint32_t window)
{
    uint64_t *place = find(ghost, hash);
    if (place == NULL) {
        return false;
    }
    uint32_t age = sequence - (uint32_t)*place;
    *place = 0;
    return age <= window;
}
