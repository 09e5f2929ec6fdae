/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hints: a set-associative table of numbers under parts of hashes, in one cache line a set. */
#include "base/ensure.h"
#include "base/memory.h"
#include "cache/cache_private.h"

enum { WAYS = 4, TAG_SHIFT = CACHE_HINT_BITS };

static const uint64_t number_mask = (UINT64_C(1) << CACHE_HINT_BITS) - 1;

/* Whoever chooses hashes does not know where they go. */
static uint64_t mix(const struct cache *cache, uint64_t hash)
{
    return (hash ^ cache->seed) * UINT64_C(0x9e3779b97f4a7c15);
}

static _Atomic(uint64_t) *set_of(const struct cache *cache, enum cache_hints hints, uint64_t mixed)
{
    const struct cache_hint_table *table = &cache->hints[hints];
    return &table->places[(mixed >> 16 & table->mask) * WAYS];
}

/* Never 0 with its number: that marks an empty place. */
static uint64_t tag_of(uint64_t mixed)
{
    uint64_t tag = mixed >> TAG_SHIFT;
    return tag == 0 ? 1 : tag;
}

size_t cache_hint_size(size_t count)
{
    return count * sizeof(_Atomic(uint64_t));
}

bool cache_hint_init(struct cache *cache, enum cache_hints hints, size_t count)
{
    struct cache_hint_table *table = &cache->hints[hints];
    table->mask = count / WAYS - 1;
    table->places = memory_alloc_table(cache_hint_size(count));
    return table->places != NULL;
}

void cache_fetch_hint(const struct cache *cache, enum cache_hints hints, uint64_t hash)
{
    __builtin_prefetch((void *)(uintptr_t)set_of(cache, hints, mix(cache, hash)), 1);
}

void cache_drop_hint(struct cache *cache, enum cache_hints hints, uint64_t hash)
{
    uint64_t mixed = mix(cache, hash);
    _Atomic(uint64_t) *set = set_of(cache, hints, mixed);
    for (unsigned i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set[i], memory_order_relaxed) >> TAG_SHIFT == tag_of(mixed)) {
            atomic_store_explicit(&set[i], 0, memory_order_relaxed);
        }
    }
}

void cache_hint(struct cache *cache, enum cache_hints hints, uint64_t hash, uint64_t number)
{
    uint64_t mixed = mix(cache, hash);
    _Atomic(uint64_t) *set = set_of(cache, hints, mixed);
    uint64_t tag = tag_of(mixed);
    unsigned place = 0;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t entry = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (entry >> TAG_SHIFT == tag) {
            place = i;
            break;
        }
        if ((entry & number_mask) < least || entry == 0) {
            least = entry == 0 ? 0 : entry & number_mask;
            place = i;
        }
    }
    atomic_store_explicit(&set[place], tag << TAG_SHIFT | (number & number_mask),
                          memory_order_relaxed);
}

bool cache_find_hint(const struct cache *cache, enum cache_hints hints, uint64_t hash,
                     uint64_t *out_number)
{
    uint64_t mixed = mix(cache, hash);
    const _Atomic(uint64_t) *set = set_of(cache, hints, mixed);
    uint64_t tag = tag_of(mixed);
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t entry = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (entry >> TAG_SHIFT == tag) {
            *out_number = entry & number_mask;
            return true;
        }
    }
    return false;
}
