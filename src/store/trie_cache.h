/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_cache.h: records of the tries in memory: the newest of those used lately, and every version
 * that is not in the tables yet and may still be asked for. So of a record that is not here at all
 * the tables have the newest version; and of one whose versions here are all too new, the one that
 * is asked for.
 *
 * What the tables do not have is brought there many blocks at a time: of a record that each block
 * changes, only the versions that are still asked for then are ever written. Whoever does that
 * gathers a copy of them (trie_cache_gather), writes it while blocks go on, and says when it is
 * there (trie_cache_settle).
 *
 * Of a record's versions the newest is whole, the others are what makes them of the next newer ones
 * (trie_delta.h): mostly a fifth of it or less, and seldom asked for.
 *
 * Threads: any number may find while nobody changes anything. */
#ifndef TRIE_CACHE_H
#define TRIE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"

struct trie_cache;

/* BUDGET: bytes that records in the tables may fill. NULL: no memory. */
struct trie_cache *trie_cache_create(size_t budget);
void trie_cache_destroy(struct trie_cache *cache);
void trie_cache_clear(struct trie_cache *cache);

/* The version of KEY as of BOUND, valid until the cache or SCRATCH is changed. STOA_ENOTFOUND: it
 * is not here. STOA_ENOMEM. */
int trie_cache_find(const struct trie_cache *cache, struct bytes key, uint64_t bound,
                    struct buffer *scratch, struct bytes *out_record);

/* What finding the key of HASH will touch, brought near step by step, each a while after the one
 * before: the bucket, the entry, the newest record. */
enum trie_cache_step { TRIE_CACHE_BUCKET, TRIE_CACHE_ENTRY, TRIE_CACHE_RECORD };
void trie_cache_fetch_ahead(const struct trie_cache *cache, uint64_t hash,
                            enum trie_cache_step step);
uint64_t trie_cache_hash(struct bytes key);

/* HEIGHT made RECORD of KEY (size 0: removed it). Versions of a key come in rising order; one of
 * the same height is replaced. The tables have all below the height BELOW: but for the newest one
 * such versions may go; and so may those older than the newest one at or below the floor.
 * STOA_ENOMEM. */
int trie_cache_put(struct trie_cache *cache, struct bytes key, struct bytes record, uint64_t height,
                   uint64_t below);

/* The tables have RECORD, of HEIGHT, as the newest version of KEY: nothing where there is one in
 * here. */
int trie_cache_keep(struct trie_cache *cache, struct bytes key, struct bytes record,
                    uint64_t height);

/* Nothing is asked for as of heights below FLOOR any more. It only rises. */
void trie_cache_raise_floor(struct trie_cache *cache, uint64_t floor);

/* The versions that the tables do not have, of heights from BELOW to LAST, in groups as entries of
 * the tables have them (trie_group.h), each as a struct trie_cache_version behind what is in OUT.
 * All of it is copied into MEMORY. STOA_ENOMEM. */
struct trie_cache_version {
    struct bytes key;
    struct bytes record; /* or group of records */
    uint64_t height;     /* of the oldest */
};
int trie_cache_gather(const struct trie_cache *cache, uint64_t below, uint64_t last,
                      struct arena *memory, struct buffer *out);

/* The tables have all below the height BELOW by now. */
void trie_cache_settle(struct trie_cache *cache, uint64_t below);

/* Forget every version of HEIGHT and above. STOA_ENOMEM: some are there still. */
int trie_cache_drop(struct trie_cache *cache, uint64_t height);

/* Forget records whose newest version is of a height below BELOW, those not put for longest first,
 * until what is left fits or a share of them was looked at. */
void trie_cache_trim(struct trie_cache *cache, uint64_t below);

struct trie_cache_stats {
    size_t records;
    size_t bytes;
    size_t unsettled; /* of them: records that have versions which the tables may not have */
    size_t unsettled_bytes;
};
void trie_cache_stats(const struct trie_cache *cache, struct trie_cache_stats *out_stats);

#endif
