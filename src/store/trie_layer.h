/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_layer.h: the records that one block changes in the tries of the state, on their way to the
 * tables; and how they are named there. Made by a worker, then only read; counted and freed on the
 * loop.
 *
 * The trie index keeps versions (runs_get_version). The base of a record is 16 bytes by which keys
 * are filtered and near each other on disk: eight of the trie's name (zeros: the accounts'), seven
 * of the path, two nibbles a byte, and the number of its nibbles; then 0, or 1 and the rest of the
 * name; then the rest of the path. */
#ifndef TRIE_LAYER_H
#define TRIE_LAYER_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"

enum {
    TRIE_LAYER_SPREAD_SIZE = 16,
    TRIE_LAYER_NAME_SIZE = 32, /* of a trie that has one */
    TRIE_LAYER_PATH_MAX = 64,  /* nibbles */
    TRIE_LAYER_BASE_MAX = TRIE_LAYER_SPREAD_SIZE + 1 + (TRIE_LAYER_NAME_SIZE - 8) +
                          (TRIE_LAYER_PATH_MAX - 14 + 1) / 2,
};

/* Write the base of the record of PATH (nibbles) in TRIE (no name, or 32 bytes). Returns its size.
 */
size_t trie_layer_base(struct bytes trie, struct bytes path, uint8_t out[TRIE_LAYER_BASE_MAX]);

struct trie_layer_entry {
    struct bytes base;
    struct bytes record; /* size 0: there is none from there on */
    uint64_t height;     /* that made it */
};

struct tries_work;

struct trie_layer {
    struct trie_layer *next;       /* of the batch */
    struct trie_layer *merge_next; /* of those that the cache does not know yet */
    const struct tries_work *work; /* has all entries and what was found (tries.h); or NULL */
    uint64_t height;
    bool withdrawn; /* the block has left the canonical chain: these are no more */
    unsigned references;
    size_t count;
    size_t base_bytes;     /* of all bases */
    struct buffer entries; /* what the height makes of records */
    struct buffer found;   /* what was found in the tables meanwhile, with its height */
};

/* With one reference. NULL: no memory. */
struct trie_layer *trie_layer_create(uint64_t height);

/* Drop a reference. NULL is allowed. */
void trie_layer_release(struct trie_layer *layer);

/* STOA_ENOMEM. */
int trie_layer_add(struct trie_layer *layer, struct bytes base, struct bytes record);

/* Likewise of a height before the layer's: what is on its way to the tables with it. */
int trie_layer_add_older(struct trie_layer *layer, const struct trie_layer_entry *entry);
int trie_layer_add_found(struct buffer *found, const struct trie_layer_entry *entry);

/* Walk entries or found: *CURSOR begins as the buffer's bytes. False at the end. */
bool trie_layer_next(struct bytes *cursor, struct trie_layer_entry *out_entry);

#endif
