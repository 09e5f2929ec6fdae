/* SPDX-License-Identifier: GPL-3.0-or-later */
/* filter.h: a blocked Bloom filter over keys: one cache line a lookup, about 10 bits a key, below
 * 1 % false positives, never a false negative. The bits may be stored and loaded as they are:
 * their meaning (blocks of 64 bytes, XXH3, the positions taken from it) is part of the format.
 *
 * Six bits of one 512-bit block are set for each key. The upper half of the 64-bit hash picks the
 * block, the product of the whole with an odd constant gives six 9-bit positions. */
#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { FILTER_BLOCK_SIZE = 64, FILTER_KEYS_PER_BLOCK = 48 };

struct filter {
    uint8_t *bits; /* owned, aligned to a block; NULL: empty, everything may be in it */
    uint64_t block_count;
};

/* Bytes of a filter for COUNT keys. */
uint64_t filter_size(uint64_t count);

/* A filter of SIZE bytes (filter_size's, or a stored one's: a multiple of FILTER_BLOCK_SIZE), no
 * bits set. STOA_EINVAL, STOA_ENOMEM. */
int filter_init(struct filter *filter, uint64_t size);
void filter_deinit(struct filter *filter);

uint64_t filter_hash(struct bytes key);

void filter_add(struct filter *filter, uint64_t hash);

/* False: the key is surely absent. */
bool filter_may_hold(const struct filter *filter, uint64_t hash);

/* Make it FACTOR times smaller, which must divide block_count: the result is the filter that would
 * have come of fewer blocks from the start. */
void filter_fold(struct filter *filter, uint64_t factor);

/* Bring the line that a lookup will read. */
void filter_prefetch(const struct filter *filter, uint64_t hash);

#endif
