/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pending.h: blocks that are durable in the ledger and not yet in the tables, and what the tables
 * will learn from them.
 *
 * One `struct pending` is one batch: filled by the loop block by block, then frozen, applied as a
 * whole by a worker, and cleared for reuse. While it exists reads ask it before the tables, newest
 * batch first. State changes are kept by height: each is a version of its key.
 *
 * Memory: grows to the largest batch and is then reused: adding a block to a warm batch allocates
 * nothing. It comes in chunks of some MiB, and the first touch of one takes milliseconds; so one
 * may be made on a worker before it is needed. The loop owns a batch while it is open; a frozen one
 * is only read, by the loop and by the worker that applies it. */
#ifndef PENDING_H
#define PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "ledger/ledger.h"
#include "store/posting.h"
#include "store/trie_layer.h"

struct pending;

struct pending_block {
    uint8_t hash[32];
    uint8_t envelope_hash[32];
    uint8_t total_difficulty[32];
    uint8_t parent_hash[32];
    uint64_t height;
    struct ledger_position position;
    uint32_t front;                        /* record_front_size; 0: not known */
    struct ledger_position state_position; /* of its state changes; sequence 0: none */
    struct ledger_position replaced; /* the frame that its own took the place of; or sequence 0 */
    bool side;
    bool moved; /* a change of branch took it onto the canonical chain or off it */
    bool has_envelope;
    bool updated; /* the batch has no more of it than changes: height and place are known */
    struct bytes body_map; /* the batch's own copy of what came with the entries; or none */
};

struct pending_transaction {
    uint64_t prefix; /* first 8 bytes of the hash, big-endian */
    uint64_t height;
    uint32_t index;
    bool removed; /* its block has left the canonical chain */
};

/* What a height made of a state key. */
struct pending_change {
    struct bytes key; /* state_key.h */
    struct bytes value;
    uint64_t height;
    bool removed;   /* from there on it has no value */
    bool withdrawn; /* its block has left the canonical chain: nothing is said */
};

struct pending *pending_create(void);
void pending_destroy(struct pending *pending);

/* Forget everything, keep the memory. */
void pending_clear(struct pending *pending);

/* Hash of a changed key, by which a batch finds it: computed on a worker, where the block is
 * prepared. */
uint64_t pending_key_hash(struct bytes key);

/* What a block adds to the indexes. */
struct pending_entries {
    const uint64_t *prefixes; /* one a transaction */
    size_t prefix_count;
    struct bytes changes;   /* as in record.h; copied */
    const uint64_t *hashes; /* pending_key_hash of each change's key, in order */
    size_t hash_count;      /* as many as there are changes */
    bool removed;           /* of a block that leaves the canonical chain: what it added is gone */
    const struct posting *postings; /* of addresses and logs, in their order; copied */
    size_t posting_count;
    struct bytes body_map;    /* body_map.h, of a block that has one; copied */
    struct trie_layer *layer; /* of the tries; or NULL. The batch takes it over */
};

/* Add the next block; ENTRIES may be NULL, and of a side block none are taken but removed ones. A
 * block that is there already is superseded. STOA_ENOMEM: nothing was added, or taken over. */
int pending_add(struct pending *pending, const struct pending_block *block,
                const struct pending_entries *entries);

/* More changes of the newest canonical block, of BLOCK's height, whose place is BLOCK from now on.
 * It need not be in the batch yet: then the batch has it with these changes only. STOA_ENOMEM:
 * nothing was added. */
int pending_update(struct pending *pending, const struct pending_block *block,
                   const struct pending_entries *entries);

/* BLOCK, which is in the tables or an older batch, has another place from now on; and of ENTRIES
 * the postings, as those of a block at its height. The batch is empty. STOA_ENOMEM: nothing was
 * added.
 */
int pending_replace(struct pending *pending, const struct pending_block *block,
                    const struct pending_entries *entries, size_t count);

/* Whether pending_replace was what filled it. */
bool pending_replaces(const struct pending *pending);

/* Room for BLOCKS more blocks with as many entries and bytes of changes in all, so that adding them
 * cannot fail. STOA_ENOMEM. */
struct pending_room {
    size_t blocks;
    size_t transactions;
    size_t changes;
    size_t change_bytes;
    size_t postings;
};
int pending_reserve(struct pending *pending, const struct pending_room *room);

/* LAYER belongs to no block of the batch; it takes it over. */
void pending_add_layer(struct pending *pending, struct trie_layer *layer);

/* The canonical chain ends below HEIGHT, whatever this batch, older ones and the tables say; the
 * blocks that left it are then added as side blocks, and what follows begins at HEIGHT. */
void pending_cut(struct pending *pending, uint64_t height);

/* Whether the batch settles what is at HEIGHT: if it has no block there, there is none. */
bool pending_is_cut(const struct pending *pending, uint64_t height);

/* The lowest height that the batch settles so; UINT64_MAX: none. */
uint64_t pending_cut_from(const struct pending *pending);

/* A chunk of memory, touched. Any thread. NULL: no memory. Its owner frees it or gives it away. */
struct pending_chunk;
struct pending_chunk *pending_chunk_make(void);
void pending_chunk_free(struct pending_chunk *chunk);
void pending_chunk_give(struct pending *pending, struct pending_chunk *chunk);

/* Whether the chunk in use may be the last for not much longer. */
bool pending_wants_chunk(const struct pending *pending);

size_t pending_block_count(const struct pending *pending);
size_t pending_transaction_count(const struct pending *pending);
size_t pending_change_count(const struct pending *pending);

/* Bytes of keys and values copied, superseded ones included: what bounds a batch. */
size_t pending_size(const struct pending *pending);

/* In order of arrival. */
const struct pending_block *pending_block_at(const struct pending *pending, size_t index);
const struct pending_transaction *pending_transaction_at(const struct pending *pending,
                                                         size_t index);

/* Of the canonical chain as the batch leaves it, heights rising by one. */
size_t pending_canonical_count(const struct pending *pending);
const struct pending_block *pending_canonical_at(const struct pending *pending, size_t index);

/* In order of arrival: of the same key and height the last one counts. */
void pending_change_at(const struct pending *pending, size_t index,
                       struct pending_change *out_change);

/* In order of arrival: what comes later counts. */
const struct trie_layer *pending_layers(const struct pending *pending);

/* The postings of one block, in their order. */
struct pending_postings {
    struct posting_slice kinds[POSTING_KINDS];
    uint64_t height;
    bool removed; /* the block has left the canonical chain: these are no more */
    bool missing; /* some are of the lists of what is not stored */
};
size_t pending_postings_count(const struct pending *pending);
size_t pending_posting_total(const struct pending *pending, enum posting_kind kind);

/* In order of arrival: what comes later counts. */
const struct pending_postings *pending_postings_at(const struct pending *pending, size_t index);

/* By hash or by envelope hash; NULL where absent. */
const struct pending_block *pending_find_hash(const struct pending *pending,
                                              const uint8_t hash[32]);

/* Of the canonical chain; NULL where absent. */
const struct pending_block *pending_find_height(const struct pending *pending, uint64_t height);

/* The transactions whose hash begins with PREFIX, removed ones too; of the same height and index
 * the newest counts: the first after *CURSOR (begin with SIZE_MAX), newest first; NULL where no
 * more. */
const struct pending_transaction *pending_find_transaction(const struct pending *pending,
                                                           uint64_t prefix, size_t *cursor);

/* The newest change of KEY that is no higher than *BOUND. False: there is none, and *BOUND is what
 * older batches and the tables are to be asked for: lower where heights were withdrawn. False with
 * a bound of 0 and *OUT_DONE: nothing is left below. */
bool pending_find_change(const struct pending *pending, struct bytes key, uint64_t *bound,
                         struct pending_change *out_change, bool *out_done);

#endif
