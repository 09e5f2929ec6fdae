/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/filter.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

enum { BITS_PER_KEY = 6, POSITION_BITS = 9 };

static_assert(FILTER_BLOCK_SIZE * 8 == 1 << POSITION_BITS, "a position names any bit of a block");
static_assert(BITS_PER_KEY * POSITION_BITS <= 64, "all positions come from one number");

uint64_t filter_size(uint64_t count)
{
    uint64_t blocks = count / FILTER_KEYS_PER_BLOCK + 1;
    return blocks * FILTER_BLOCK_SIZE;
}

int filter_init(struct filter *filter, uint64_t size)
{
    if (size == 0 || size % FILTER_BLOCK_SIZE != 0 || size / FILTER_BLOCK_SIZE > UINT32_MAX) {
        return STOA_EINVAL;
    }
    uint8_t *bits = memory_alloc_aligned(size, FILTER_BLOCK_SIZE);
    if (bits == NULL) {
        return STOA_ENOMEM;
    }
    memset(bits, 0, size);
    *filter = (struct filter){.bits = bits, .block_count = size / FILTER_BLOCK_SIZE};
    return 0;
}

void filter_deinit(struct filter *filter)
{
    memory_free(filter->bits);
    *filter = (struct filter){.bits = NULL};
}

uint64_t filter_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

static uint8_t *block_of(const struct filter *filter, uint64_t hash)
{
    ensure(filter->block_count != 0);
    /* The high part of a product spreads the hash over any number of blocks without a division. */
    uint64_t block = (hash >> 32) * filter->block_count >> 32;
    return filter->bits + block * FILTER_BLOCK_SIZE;
}

static uint64_t positions_of(uint64_t hash)
{
    uint64_t mixed = hash * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ mixed >> 32;
}

void filter_add(struct filter *filter, uint64_t hash)
{
    uint8_t *block = block_of(filter, hash);
    uint64_t positions = positions_of(hash);
    for (int i = 0; i < BITS_PER_KEY; i++) {
        unsigned position = positions & ((1 << POSITION_BITS) - 1);
        block[position / 8] |= (uint8_t)(1 << position % 8);
        positions >>= POSITION_BITS;
    }
}

bool filter_may_hold(const struct filter *filter, uint64_t hash)
{
    if (filter->bits == NULL) {
        return true;
    }
    const uint8_t *block = block_of(filter, hash);
    uint64_t positions = positions_of(hash);
    unsigned all = 1;
    for (int i = 0; i < BITS_PER_KEY; i++) {
        unsigned position = positions & ((1 << POSITION_BITS) - 1);
        all &= (unsigned)block[position / 8] >> position % 8;
        positions >>= POSITION_BITS;
    }
    return (all & 1) != 0;
}

void filter_fold(struct filter *filter, uint64_t factor)
{
    ensure(factor != 0 && filter->block_count % factor == 0);
    uint64_t count = filter->block_count / factor;
    for (uint64_t i = 0; i < count && factor > 1; i++) {
        uint64_t words[FILTER_BLOCK_SIZE / 8] = {0};
        for (uint64_t j = 0; j < factor; j++) {
            const uint8_t *from = filter->bits + (i * factor + j) * FILTER_BLOCK_SIZE;
            for (size_t k = 0; k < FILTER_BLOCK_SIZE / 8; k++) {
                words[k] |= bytes_load_le64(from + 8 * k);
            }
        }
        memcpy(filter->bits + i * FILTER_BLOCK_SIZE, words, FILTER_BLOCK_SIZE);
    }
    filter->block_count = count;
}

void filter_prefetch(const struct filter *filter, uint64_t hash)
{
    if (filter->bits != NULL) {
        __builtin_prefetch(block_of(filter, hash));
    }
}
