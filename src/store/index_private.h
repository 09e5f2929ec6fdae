/* SPDX-License-Identifier: GPL-3.0-or-later */
/* index_private.h: what the files of index.h share. */
#ifndef INDEX_PRIVATE_H
#define INDEX_PRIVATE_H

#include "base/arena.h"
#include "store/index.h"

#define INDEX_META_TABLE INDEX_META

#define INDEX_TABLE_HEIGHTS "heights"
#define INDEX_TABLE_BLOCKS "blocks"
#define INDEX_TABLE_SIDES "sides"

enum {
    INDEX_COMMIT_TRIES = 1000,
    INDEX_RUNS_FIXED = 3,
    INDEX_RUNS = INDEX_RUNS_FIXED + POSTING_KINDS,
};

struct index {
    struct runs *transactions;
    struct runs *state;
    struct runs *trie;
    struct runs *postings[POSTING_KINDS];
    const struct index_asker *asker; /* index_ask */
    uint64_t newest;                 /* index_newest */
    uint64_t tries_floor;            /* as it was opened */
    /* Scratch of index_apply, kept from batch to batch. */
    struct runs_entry *entries;
    size_t entry_capacity;
    struct runs_short *shorts; /* and as many again to sort them */
    size_t short_capacity;
    uint8_t *keys;
    size_t key_capacity;
    struct block_row *rows;
    size_t row_capacity;
    struct arena cut; /* entries of the tries that are made anew (index_trie.c) */
};

/* One row of the table of blocks, to be sorted by hash. */
struct block_row {
    const uint8_t *hash;
    const struct pending_block *block;
    unsigned flags;
};

/* The runs of enum index_kind. */
struct runs *index_runs_at(const struct index *index, unsigned place);

/* Scratch for the entries of BATCH and TRIES. STOA_ENOMEM. */
int index_reserve_scratch(struct index *index, const struct pending *batch,
                          const struct index_tries *tries);

/* Of an index of blocks: what of it is kept, by the height that a key names. */
struct index_kept {
    uint64_t (*height_of)(struct bytes key);
    uint64_t floor;
};
struct index_kept index_kept_of(const struct index *index, const struct runs *runs,
                                const struct prune_floors *kept);

/* index_trie.c: the tries' part of index_load_runs; and how large the keys of its entries are, and
 * how many there are at most. */
int index_load_trie(struct index *index, struct kv_session *session, const struct pending *batch,
                    const struct index_tries *tries, struct error_detail *detail);
size_t index_trie_key_bytes(const struct pending *batch, const struct index_tries *tries,
                            size_t *out_count);

extern const struct index_tries index_tries_of_batch; /* those of its layers */

/* Load what BATCH has for the runs at PLACE. */
int index_load_runs(struct index *index, struct kv_session *session, const struct pending *batch,
                    const struct index_tries *tries, unsigned place, struct error_detail *detail);

#endif
