/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/kv_memory_tree.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

struct memory_node {
    uint32_t references;
    struct memory_item *item;
    struct memory_node *child[2];
};

struct memory_item *kv_memory_tree_item(struct bytes key, struct bytes value)
{
    struct memory_item *item = memory_alloc(sizeof(*item) + key.size + value.size);
    if (item == NULL) {
        return NULL;
    }
    item->references = 1;
    item->priority = (uint32_t)XXH3_64bits(key.data, key.size);
    item->key_size = (uint32_t)key.size;
    item->value_size = (uint32_t)value.size;
    memcpy(item->data, key.data, key.size);
    if (value.size != 0) {
        memcpy(item->data + key.size, value.data, value.size);
    }
    return item;
}

struct memory_item *kv_memory_tree_item_take(struct memory_item *item)
{
    item->references++;
    return item;
}

void kv_memory_tree_item_release(struct memory_item *item)
{
    if (item != NULL) {
        ensure(item->references != 0);
        if (--item->references == 0) {
            memory_free(item);
        }
    }
}

static struct memory_node *node_take(struct memory_node *node)
{
    if (node != NULL) {
        node->references++;
    }
    return node;
}

/* Recursion is as deep as the tree: a small multiple of the logarithm of its size. */
static void node_release(struct memory_node *node)
{
    while (node != NULL) {
        ensure(node->references != 0);
        if (--node->references != 0) {
            return;
        }
        struct memory_node *right = node->child[1];
        node_release(node->child[0]);
        kv_memory_tree_item_release(node->item);
        memory_free(node);
        node = right;
    }
}

/* Make the node at LINK this tree's alone. */
static int node_own(struct memory_node **link)
{
    struct memory_node *node = *link;
    if (node->references == 1) {
        return 0;
    }
    struct memory_node *clone = memory_alloc(sizeof(*clone));
    if (clone == NULL) {
        return STOA_ENOMEM;
    }
    clone->references = 1;
    clone->item = kv_memory_tree_item_take(node->item);
    clone->child[0] = node_take(node->child[0]);
    clone->child[1] = node_take(node->child[1]);
    node->references--;
    *link = clone;
    return 0;
}

/* Lift the child on SIDE above its parent at LINK; both are owned. */
static void node_lift(struct memory_node **link, int side)
{
    struct memory_node *parent = *link;
    struct memory_node *child = parent->child[side];
    parent->child[side] = child->child[!side];
    child->child[!side] = parent;
    *link = child;
}

static int node_put(struct memory_node **link, struct memory_item *item,
                    struct memory_item **out_old)
{
    if (*link == NULL) {
        struct memory_node *leaf = memory_alloc_zeroed(1, sizeof(*leaf));
        if (leaf == NULL) {
            return STOA_ENOMEM;
        }
        leaf->references = 1;
        leaf->item = kv_memory_tree_item_take(item);
        *link = leaf;
        return 0;
    }
    int order = bytes_compare(kv_memory_tree_key(item), kv_memory_tree_key((*link)->item));
    int result = node_own(link);
    if (result != 0) {
        return result;
    }
    struct memory_node *node = *link;
    if (order == 0) {
        *out_old = node->item;
        node->item = kv_memory_tree_item_take(item);
        return 0;
    }
    int side = order > 0;
    result = node_put(&node->child[side], item, out_old);
    if (result == 0 && node->child[side]->item->priority > node->item->priority) {
        node_lift(link, side);
    }
    return result;
}

struct memory_item *kv_memory_tree_find(const struct memory_tree *tree, struct bytes key)
{
    struct memory_node *node = tree->root;
    while (node != NULL) {
        int order = bytes_compare(key, kv_memory_tree_key(node->item));
        if (order == 0) {
            return node->item;
        }
        node = node->child[order > 0];
    }
    return NULL;
}

/* The nearest item after (SIDE 1) or before (SIDE 0) KEY, or at it where INCLUSIVE. KEY NULL: the
 * first or the last. */
struct memory_item *kv_memory_tree_near(const struct memory_tree *tree, const struct bytes *key,
                                        int side, bool inclusive)
{
    struct memory_item *best = NULL;
    struct memory_node *node = tree->root;
    while (node != NULL) {
        int order = key == NULL ? (side == 1 ? -1 : 1)
                                : bytes_compare(*key, kv_memory_tree_key(node->item));
        if (order == 0 && inclusive) {
            return node->item;
        }
        bool candidate = side == 1 ? order < 0 : order > 0;
        if (candidate) {
            best = node->item;
        }
        node = node->child[candidate ? !side : side];
    }
    return best;
}

int kv_memory_tree_put(struct memory_tree *tree, struct memory_item *item)
{
    struct memory_item *old = NULL;
    int result = node_put(&tree->root, item, &old);
    if (result != 0) {
        return result;
    }
    uint64_t size = (uint64_t)item->key_size + item->value_size;
    tree->bytes += size;
    tree->dirty_bytes += size;
    if (old != NULL) {
        tree->bytes -= (uint64_t)old->key_size + old->value_size;
        kv_memory_tree_item_release(old);
    }
    return 0;
}

int kv_memory_tree_remove(struct memory_tree *tree, struct bytes key)
{
    struct memory_item *found = kv_memory_tree_find(tree, key);
    if (found == NULL) {
        return 0;
    }
    uint64_t size = (uint64_t)found->key_size + found->value_size;
    struct memory_node **link = &tree->root;
    int order;
    do {
        order = bytes_compare(key, kv_memory_tree_key((*link)->item));
        if (node_own(link) != 0) {
            return STOA_ENOMEM;
        }
        if (order != 0) {
            link = &(*link)->child[order > 0];
            ensure(*link != NULL);
        }
    } while (order != 0);
    while ((*link)->child[0] != NULL && (*link)->child[1] != NULL) {
        struct memory_node *node = *link;
        int side = node->child[1]->item->priority > node->child[0]->item->priority;
        if (node_own(&node->child[side]) != 0) {
            return STOA_ENOMEM;
        }
        node_lift(link, side);
        link = &(*link)->child[!side];
    }
    struct memory_node *node = *link;
    *link = node->child[node->child[0] == NULL];
    node->child[0] = NULL;
    node->child[1] = NULL;
    node_release(node);
    tree->bytes -= size;
    tree->dirty_bytes += key.size;
    return 0;
}

struct memory_tree kv_memory_tree_take(const struct memory_tree *tree)
{
    struct memory_tree copy = *tree;
    node_take(copy.root);
    return copy;
}

void kv_memory_tree_release(struct memory_tree *tree)
{
    node_release(tree->root);
    *tree = (struct memory_tree){.root = NULL};
}
