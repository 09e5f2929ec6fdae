/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tries.h: what a block's changes make of the tries of the state: the new root and a layer of
 * records; and reading the tries as of a height. Records come from the cache (trie_cache.h), else
 * from the tables.
 *
 * A computation only reads what is shared, so several may go on at the same time; layers are merged
 * into the cache while none does (store_tries.c sees to that).
 *
 * One computation: tries_begin; where that says so tries_part for each part, on several threads,
 * each with a reader of its own; tries_end. */
#ifndef TRIES_H
#define TRIES_H

#include "state/proof.h"
#include "state/state_update.h"
#include "store/index.h"
#include "store/trie_cache.h"
#include "store/trie_layer.h"

enum { TRIES_TASKS = 4, TRIES_PARTS = TRIE_CHILDREN };

/* Where records come from, for one thread. */
struct tries_reader {
    const struct trie_cache *overlay; /* asked first; or NULL */
    const struct trie_cache *cache;
    struct index *index;
    struct kv_session *session;
    uint64_t bound;         /* versions up to this height */
    uint64_t table_bound;   /* likewise of the tables, where they know some that do not hold */
    struct buffer *found;   /* what comes from the tables goes here too; or NULL */
    struct buffer *scratch; /* for a record that is there as a part of others */
};

/* For trie_task_init; READER has to stay. */
struct trie_reader tries_reader_of(struct tries_reader *reader);

struct tries_work {
    struct tries_reader readers[TRIES_TASKS];
    struct trie_task tasks[TRIES_TASKS];
    struct buffer found[TRIES_TASKS];
    struct buffer scratch[TRIES_TASKS];
    struct state_update update;
    struct state_account_change *accounts;
    size_t account_count;
    uint64_t height; /* of the block */
    unsigned parts;  /* 0, or TRIES_PARTS */
    bool keep_found;
    bool
        in_place; /* the layer has no records but those of this, and goes before it is used again */
    /* Results. */
    uint8_t root[32];
    struct trie_layer *layer; /* the caller's then */
    struct error_detail detail;
};

/* The memory is kept from block to block. */
void tries_work_init(struct tries_work *work);
void tries_work_deinit(struct tries_work *work);

/* Begin with the block of HEIGHT, whose CHANGES are as in record.h and stay until the end. READER
 * says where records come from; its found and scratch are not looked at: with KEEP_FOUND the layer
 * has what was found. STOA_EREFUSED: the changes contradict each other or the state; STOA_ENOMEM;
 * STOA_ECORRUPT. The detail is in WORK. */
int tries_begin(struct tries_work *work, const struct tries_reader *reader, struct bytes changes,
                uint64_t height, bool keep_found);

/* All parts that are INDEX modulo COUNT, with SESSION. INDEX is below COUNT, and that at most
 * TRIES_TASKS. */
int tries_part(struct tries_work *work, struct kv_session *session, unsigned index, unsigned count);

/* After all parts, none of which failed, with SESSION: root and layer. */
int tries_end(struct tries_work *work, struct kv_session *session);

/* All of it, on one thread. */
int tries_run(struct tries_work *work, const struct tries_reader *reader, struct bytes changes,
              uint64_t height, bool keep_found);

/* Put what LAYER says into CACHE; BELOW as there. STOA_ENOMEM. */
int tries_merge(struct trie_cache *cache, const struct trie_layer *layer, uint64_t below);

/* Whether CHANGES are all that a block changed in accounts and storage. */
bool tries_is_marked(struct bytes changes);

#endif
