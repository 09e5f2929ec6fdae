/* SPDX-License-Identifier: GPL-3.0-or-later */
/* made_random.h: a small, fast, seeded generator (SplitMix64), so that made data is the same on
 * every machine. Pure. */
#ifndef MADE_RANDOM_H
#define MADE_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 made_random_wide;

struct made_random {
    uint64_t state;
};

static inline uint64_t made_random_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static inline uint64_t made_random_next(struct made_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    return made_random_mix(random->state);
}

/* Streams of different INDEX do not overlap in practice. */
static inline struct made_random made_random_of(uint64_t seed, uint64_t index)
{
    return (struct made_random){made_random_mix(seed + UINT64_C(0x5851f42d4c957f2d)) ^
                                made_random_mix(index * UINT64_C(0x14057b7ef767814f) + 1)};
}

/* 0 to BOUND - 1. */
static inline uint64_t made_random_below(struct made_random *random, uint64_t bound)
{
    return (uint64_t)(((made_random_wide)made_random_next(random) * bound) >> 64);
}

static inline uint64_t made_random_between(struct made_random *random, uint64_t low, uint64_t high)
{
    return low + made_random_below(random, high - low + 1);
}

static inline void made_random_fill(struct made_random *random, uint8_t *out, size_t size)
{
    while (size >= 8) {
        uint64_t value = made_random_next(random);
        memcpy(out, &value, 8);
        out += 8;
        size -= 8;
    }
    if (size > 0) {
        uint64_t value = made_random_next(random);
        memcpy(out, &value, size);
    }
}

#endif
