/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_memory_tree.h: the ordered map behind kv_memory.c: a treap whose nodes and items are shared
 * and counted. Whoever wants to keep a moment takes a reference to the root; a writer clones the
 * shared nodes on its way down and changes its own. Priorities are hashes of the keys, so the shape
 * depends on the contents only and simulation repeats exactly.
 *
 * A failed clone leaves a tree that means what it meant: cloning changes nothing a reader sees, and
 * links change only after the nodes they need are owned. No locks: kv_memory.c's mutex guards all
 * trees that share nodes. */
#ifndef KV_MEMORY_TREE_H
#define KV_MEMORY_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct memory_item {
    uint32_t references;
    uint32_t priority;
    uint32_t key_size;
    uint32_t value_size;
    uint8_t data[]; /* key, then value */
};

struct memory_node;

struct memory_tree {
    struct memory_node *root;
    uint64_t bytes;       /* of keys and values */
    uint64_t dirty_bytes; /* written since the last checkpoint */
};

/* A copy of KEY and VALUE with one reference, or NULL. */
struct memory_item *kv_memory_tree_item(struct bytes key, struct bytes value);
struct memory_item *kv_memory_tree_item_take(struct memory_item *item);
void kv_memory_tree_item_release(struct memory_item *item); /* NULL is allowed */

static inline struct bytes kv_memory_tree_key(const struct memory_item *item)
{
    return bytes_of(item->data, item->key_size);
}

static inline struct bytes kv_memory_tree_value(const struct memory_item *item)
{
    return bytes_of(item->data + item->key_size, item->value_size);
}

/* The item is borrowed and lives as long as the tree holds it; NULL where the key is absent. */
struct memory_item *kv_memory_tree_find(const struct memory_tree *tree, struct bytes key);

/* The nearest item after (SIDE 1) or before (SIDE 0) KEY, or at it where INCLUSIVE. KEY NULL: the
 * first or the last. */
struct memory_item *kv_memory_tree_near(const struct memory_tree *tree, const struct bytes *key,
                                        int side, bool inclusive);

/* Takes a reference of its own to ITEM. STOA_ENOMEM. */
int kv_memory_tree_put(struct memory_tree *tree, struct memory_item *item);

/* 0 also where the key is absent. STOA_ENOMEM. */
int kv_memory_tree_remove(struct memory_tree *tree, struct bytes key);

/* A copy that shares everything. */
struct memory_tree kv_memory_tree_take(const struct memory_tree *tree);
void kv_memory_tree_release(struct memory_tree *tree);

#endif
