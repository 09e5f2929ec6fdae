/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_cache.h: records of the tries in memory: the newest of those used lately, and every version
 * that is not in the tables yet. So of a record that is not here at all the tables have the newest
 * version; and of one whose versions here are all too new, the one that is asked for.
 *
 * Threads: any number may find while nobody changes anything. */
#ifndef TRIE_CACHE_H
#define TRIE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct trie_cache;

/* BUDGET: bytes that records in the tables may fill. NULL: no memory. */
struct trie_cache *trie_cache_create(size_t budget);
void trie_cache_destroy(struct trie_cache *cache);
void trie_cache_clear(struct trie_cache *cache);

/* The version of KEY as of BOUND, valid until the cache is changed. False: it is not here. */
bool trie_cache_find(const struct trie_cache *cache, struct bytes key, uint64_t bound,
                     struct bytes *out_record);

/* HEIGHT made RECORD of KEY (size 0: removed it). Versions of a key come in rising order; one of
 * the same height is replaced. The tables have all below the height BELOW: but for the newest one
 * such versions go. STOA_ENOMEM. */
int trie_cache_put(struct trie_cache *cache, struct bytes key, struct bytes record, uint64_t height,
                   uint64_t below);

/* The tables have RECORD, of HEIGHT, as the newest version of KEY: nothing where there is one in
 * here. */
int trie_cache_keep(struct trie_cache *cache, struct bytes key, struct bytes record,
                    uint64_t height);

/* Forget every version of HEIGHT and above. */
void trie_cache_drop(struct trie_cache *cache, uint64_t height);

/* Forget records whose newest version is of a height below BELOW, those not put for longest first,
 * until what is left fits or a share of them was looked at. */
void trie_cache_trim(struct trie_cache *cache, uint64_t below);

struct trie_cache_stats {
    size_t records;
    size_t bytes;
};
void trie_cache_stats(const struct trie_cache *cache, struct trie_cache_stats *out_stats);

#endif
