/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/branches.h"

#include <string.h>

#include "base/bytes.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

enum { HEADS_MIN = 64 };

/* In two hash chains: by its own hash, and by its parent's. */
struct node {
    struct branches_block block;
    struct node *next;
    struct node *next_sibling; /* of the chain of parent hashes */
};

struct branches {
    struct node **heads;
    struct node **parents;
    size_t head_count; /* of each, a power of two */
    size_t count;
    struct node *spare;
    size_t spare_count;
    uint64_t line;
    uint64_t lowest; /* no block is below it; it may lie lower than it need */
};

static size_t slot(const struct branches *branches, const uint8_t hash[32])
{
    /* The last bytes: proof of work makes the first ones alike. */
    return (size_t)bytes_load_le64(hash + 24) & (branches->head_count - 1);
}

static void link_node(struct branches *branches, struct node *node)
{
    struct node **head = &branches->heads[slot(branches, node->block.hash)];
    struct node **parent = &branches->parents[slot(branches, node->block.parent_hash)];
    node->next = *head;
    *head = node;
    node->next_sibling = *parent;
    *parent = node;
}

static void unlink_node(struct branches *branches, struct node *node)
{
    struct node **at = &branches->heads[slot(branches, node->block.hash)];
    while (*at != node) {
        ensure(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    at = &branches->parents[slot(branches, node->block.parent_hash)];
    while (*at != node) {
        ensure(*at != NULL);
        at = &(*at)->next_sibling;
    }
    *at = node->next_sibling;
    branches->count--;
    memory_free(node);
}

static struct node *find(const struct branches *branches, const uint8_t hash[32])
{
    struct node *node = branches->heads[slot(branches, hash)];
    while (node != NULL && memcmp(node->block.hash, hash, 32) != 0) {
        node = node->next;
    }
    return node;
}

static int make_heads(struct branches *branches, size_t count)
{
    struct node **heads = memory_alloc_zeroed(count, sizeof(*heads));
    struct node **parents = memory_alloc_zeroed(count, sizeof(*parents));
    if (heads == NULL || parents == NULL) {
        memory_free(heads);
        memory_free(parents);
        return STOA_ENOMEM;
    }
    struct node **old = branches->heads;
    size_t old_count = branches->head_count;
    memory_free(branches->parents);
    branches->heads = heads;
    branches->parents = parents;
    branches->head_count = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct node *node = old[i];
            old[i] = node->next;
            link_node(branches, node);
        }
    }
    memory_free(old);
    return 0;
}

struct branches *branches_create(void)
{
    struct branches *branches = memory_alloc_zeroed(1, sizeof(*branches));
    if (branches == NULL || make_heads(branches, HEADS_MIN) != 0) {
        memory_free(branches);
        return NULL;
    }
    branches->lowest = UINT64_MAX;
    return branches;
}

void branches_clear(struct branches *branches)
{
    for (size_t i = 0; i < branches->head_count; i++) {
        while (branches->heads[i] != NULL) {
            unlink_node(branches, branches->heads[i]);
        }
    }
    ensure(branches->count == 0);
    branches->line = 0;
    branches->lowest = UINT64_MAX;
}

void branches_destroy(struct branches *branches)
{
    if (branches != NULL) {
        branches_clear(branches);
        while (branches->spare != NULL) {
            struct node *next = branches->spare->next;
            memory_free(branches->spare);
            branches->spare = next;
        }
        memory_free(branches->heads);
        memory_free(branches->parents);
        memory_free(branches);
    }
}

static int reserve_heads(struct branches *branches, size_t count)
{
    size_t heads = branches->head_count;
    while (heads < count) {
        heads *= 2;
    }
    return heads == branches->head_count ? 0 : make_heads(branches, heads);
}

int branches_reserve(struct branches *branches, size_t count)
{
    while (branches->spare_count < count) {
        struct node *node = memory_alloc_zeroed(1, sizeof(*node));
        if (node == NULL) {
            return STOA_ENOMEM;
        }
        node->next = branches->spare;
        branches->spare = node;
        branches->spare_count++;
    }
    return reserve_heads(branches, branches->count + count);
}

static struct node *take_node(struct branches *branches)
{
    struct node *node = branches->spare;
    if (node == NULL) {
        return memory_alloc_zeroed(1, sizeof(*node));
    }
    branches->spare = node->next;
    branches->spare_count--;
    return node;
}

int branches_add(struct branches *branches, const struct branches_block *block,
                 bool parent_canonical)
{
    bool forks_in_time = parent_canonical && block->height > branches->line;
    if (find(branches, block->hash) != NULL ||
        (!forks_in_time && find(branches, block->parent_hash) == NULL)) {
        return 0;
    }
    if (branches->count == BRANCHES_MAX) {
        return STOA_ETOOBIG;
    }
    if (reserve_heads(branches, branches->count + 1) != 0) {
        return STOA_ENOMEM;
    }
    struct node *node = take_node(branches);
    if (node == NULL) {
        return STOA_ENOMEM;
    }
    node->block = *block;
    link_node(branches, node);
    branches->count++;
    if (block->height < branches->lowest) {
        branches->lowest = block->height;
    }
    return 0;
}

void branches_remove(struct branches *branches, const uint8_t hash[32])
{
    struct node *node = find(branches, hash);
    if (node != NULL) {
        unlink_node(branches, node);
    }
}

const struct branches_block *branches_find(const struct branches *branches, const uint8_t hash[32])
{
    const struct node *node = find(branches, hash);
    return node == NULL ? NULL : &node->block;
}

void branches_set_position(struct branches *branches, const uint8_t hash[32],
                           const struct ledger_position *position)
{
    struct node *node = find(branches, hash);
    if (node != NULL) {
        node->block.position = *position;
    }
}

static struct node *find_child(const struct branches *branches, const uint8_t parent_hash[32])
{
    struct node *node = branches->parents[slot(branches, parent_hash)];
    while (node != NULL && memcmp(node->block.parent_hash, parent_hash, 32) != 0) {
        node = node->next_sibling;
    }
    return node;
}

/* NODE and all on top of it go, leaves first; no recursion, however deep a branch is. */
static void drop_tree(struct branches *branches, struct node *node)
{
    struct node *root = node;
    for (;;) {
        struct node *child = find_child(branches, node->block.hash);
        if (child != NULL) {
            node = child;
            continue;
        }
        if (node == root) {
            unlink_node(branches, node);
            return;
        }
        struct node *parent = find(branches, node->block.parent_hash);
        ensure(parent != NULL);
        unlink_node(branches, node);
        node = parent;
    }
}

void branches_raise(struct branches *branches, uint64_t height)
{
    if (height <= branches->line) {
        return;
    }
    branches->line = height;
    if (branches->lowest > height) {
        return;
    }
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < branches->head_count; i++) {
        struct node *node = branches->heads[i];
        while (node != NULL) {
            if (node->block.height <= height) {
                drop_tree(branches, node);
                node = branches->heads[i]; /* any of the chain may have gone */
                continue;
            }
            lowest = node->block.height < lowest ? node->block.height : lowest;
            node = node->next;
        }
    }
    branches->lowest = lowest;
}

uint64_t branches_line(const struct branches *branches)
{
    return branches->line;
}

size_t branches_count(const struct branches *branches)
{
    return branches->count;
}

bool branches_has_child(const struct branches *branches, const uint8_t parent_hash[32])
{
    return find_child(branches, parent_hash) != NULL;
}

size_t branches_tips(const struct branches *branches, struct branches_block *out, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < branches->head_count; i++) {
        for (const struct node *node = branches->heads[i]; node != NULL; node = node->next) {
            if (branches_has_child(branches, node->block.hash)) {
                continue;
            }
            if (found < count) {
                out[found] = node->block;
            }
            found++;
        }
    }
    return found;
}
