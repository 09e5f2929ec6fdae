/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state/proof.h"

#include "base/ensure.h"
#include "chain/keccak.h"
#include "chain/rlp.h"
#include "chain/trie.h"

/* ---- making ---- */

static int no_memory(struct trie_task *task)
{
    return error_set(&task->detail, STOA_ENOMEM, "proof");
}

/* The scratch holds a node. One shorter than a hash is listed only where it is the root. */
static int add_node(struct trie_task *task, struct proof *out)
{
    struct bytes node = buffer_bytes(&task->scratch);
    if (node.size < TRIE_HASH_SIZE && out->count > 0) {
        return 0;
    }
    ensure(out->count < PROOF_NODES_MAX);
    struct bytes copy = arena_copy(&task->arena, node);
    if (copy.data == NULL) {
        return no_memory(task);
    }
    out->nodes[out->count++] = copy;
    return 0;
}

static int add_leaf(struct trie_task *task, const struct trie_slot *slot, struct proof *out)
{
    buffer_clear(&task->scratch);
    if (trie_node_leaf_rlp(slot, &task->scratch) != 0) {
        return no_memory(task);
    }
    return add_node(task, out);
}

/* The extension before NODE, where it has one, then NODE itself unless the extension is all that
 * there is to show. */
static int add_branch(struct trie_task *task, const struct trie_node *node, bool whole,
                      struct proof *out)
{
    struct buffer *scratch = &task->scratch;
    uint8_t reference[TRIE_HASH_SIZE];
    int result = 0;
    if (node->extension.size > 0) {
        buffer_clear(scratch);
        if (trie_node_branch_rlp(node, scratch) != 0) {
            return no_memory(task);
        }
        size_t size = trie_node_refer(buffer_bytes(scratch), reference);
        buffer_clear(scratch);
        if (trie_node_extension_rlp(node, bytes_of(reference, size), scratch) != 0) {
            return no_memory(task);
        }
        result = add_node(task, out);
    }
    if (result != 0 || !whole) {
        return result;
    }
    buffer_clear(scratch);
    if (trie_node_branch_rlp(node, scratch) != 0) {
        return no_memory(task);
    }
    return add_node(task, out);
}

static bool begins_with(struct bytes key, size_t from, struct bytes part)
{
    return key.size - from >= part.size &&
           (part.size == 0 || memcmp(key.data + from, part.data, part.size) == 0);
}

int proof_make(struct trie_task *task, struct bytes trie, struct bytes key, struct proof *out)
{
    ensure(key.size <= TRIE_NIBBLES_MAX);
    out->count = 0;
    out->value = bytes_of(NULL, 0);
    struct trie_slot slot = {.kind = TRIE_EMPTY};
    size_t depth = 0;
    int result = trie_update_read(task, trie, bytes_of(key.data, 0), &slot);
    result = result == STOA_ENOTFOUND ? 0 : result;
    while (result == 0 && slot.kind == TRIE_BRANCH) {
        if (slot.node == NULL) {
            result = trie_update_read(task, trie, bytes_of(key.data, depth), &slot);
            if (result == STOA_ENOTFOUND || (result == 0 && slot.kind != TRIE_BRANCH)) {
                result = error_set(&task->detail, STOA_ECORRUPT, "trie: a branch is missing");
            }
            if (result != 0) {
                return result;
            }
        }
        const struct trie_node *node = slot.node;
        bool along = begins_with(key, depth, node->extension);
        result = add_branch(task, node, along, out);
        if (result != 0 || !along) {
            return result;
        }
        depth += node->extension.size;
        if (depth == key.size) {
            out->value = node->value;
            return 0;
        }
        slot = node->children[key.data[depth++]];
    }
    if (result == 0 && slot.kind == TRIE_LEAF) {
        result = add_leaf(task, &slot, out);
        if (slot.suffix.size == key.size - depth && begins_with(key, depth, slot.suffix)) {
            out->value = slot.value;
        }
    }
    return result;
}

/* ---- verifying ---- */

struct check {
    const struct bytes *nodes;
    size_t count;
    size_t next;
    struct error_detail *detail;
    uint8_t key[TRIE_NIBBLES_MAX];
    size_t size;
    size_t depth;
    struct bytes value;
    bool done;
};

static int refuse(const struct check *check, const char *what)
{
    return error_set(check->detail, STOA_EREFUSED, "proof: node %zu: %s", check->next, what);
}

/* The list that ITEM refers to: the node inside of it, or the next one, which must have its hash.
 */
static int enter_node(struct check *check, const struct rlp_item *item, struct bytes *out_list)
{
    if (item->list) {
        if (item->encoding.size >= TRIE_HASH_SIZE) {
            return refuse(check, "a node inside another is too long");
        }
        *out_list = item->payload;
        return 0;
    }
    if (item->payload.size != TRIE_HASH_SIZE) {
        return refuse(check, "no reference to a node");
    }
    if (check->next == check->count) {
        return refuse(check, "missing");
    }
    struct bytes node = check->nodes[check->next++];
    uint8_t hash[KECCAK_SIZE];
    keccak_256(node.data, node.size, hash);
    if (memcmp(hash, item->payload.data, KECCAK_SIZE) != 0) {
        return refuse(check, "not the one that is named");
    }
    /* Only the root is listed though it is short. */
    if (node.size < TRIE_HASH_SIZE && check->next > 1) {
        return refuse(check, "too short for a hash");
    }
    if (rlp_read_list(&node, out_list, NULL) != 0 || node.size != 0) {
        return refuse(check, "no list");
    }
    return 0;
}

static int step_branch(struct check *check, struct bytes list, struct rlp_item *out_child)
{
    struct rlp_item items[TRIE_CHILDREN + 1];
    for (unsigned i = 0; i <= TRIE_CHILDREN; i++) {
        if (rlp_read(&list, &items[i], NULL) != 0) {
            return refuse(check, "no branch");
        }
    }
    if (list.size != 0 || items[TRIE_CHILDREN].list) {
        return refuse(check, "no branch");
    }
    if (check->depth == check->size) {
        check->value = items[TRIE_CHILDREN].payload;
        check->done = true;
        return 0;
    }
    *out_child = items[check->key[check->depth++]];
    check->done = !out_child->list && out_child->payload.size == 0;
    return 0;
}

/* Read a path in hex-prefix form into NIBBLES. */
static bool read_path(struct bytes packed, uint8_t nibbles[TRIE_NIBBLES_MAX], size_t *out_size,
                      bool *out_leaf)
{
    if (packed.size == 0 || packed.size > 1 + TRIE_NIBBLES_MAX / 2) {
        return false;
    }
    unsigned flags = packed.data[0] >> 4;
    bool odd = (flags & 1) != 0;
    if (flags > 3 || (!odd && (packed.data[0] & 15) != 0) ||
        2 * (packed.size - 1) + odd > TRIE_NIBBLES_MAX) {
        return false;
    }
    size_t size = 0;
    if (odd) {
        nibbles[size++] = packed.data[0] & 15;
    }
    trie_node_unpack(bytes_of(packed.data + 1, packed.size - 1), nibbles + size);
    *out_size = size + 2 * (packed.size - 1);
    *out_leaf = (flags & 2) != 0;
    return true;
}

static int step_path(struct check *check, struct bytes list, struct rlp_item *out_child)
{
    struct rlp_item path;
    uint8_t nibbles[TRIE_NIBBLES_MAX];
    size_t size;
    bool leaf;
    if (rlp_read(&list, &path, NULL) != 0 || rlp_read(&list, out_child, NULL) != 0 ||
        list.size != 0 || path.list || !read_path(path.payload, nibbles, &size, &leaf)) {
        return refuse(check, "neither leaf nor extension");
    }
    if ((leaf && (out_child->list || out_child->payload.size == 0)) || (!leaf && size == 0)) {
        return refuse(check, "empty");
    }
    struct bytes rest = bytes_of(check->key, check->size);
    bool along = begins_with(rest, check->depth, bytes_of(nibbles, size));
    if (leaf) {
        bool found = along && size == check->size - check->depth;
        check->value = found ? out_child->payload : bytes_of(NULL, 0);
        check->done = true;
    } else if (!along) {
        check->done = true;
    } else {
        check->depth += size;
    }
    return 0;
}

int proof_verify(const uint8_t root[32], struct bytes key, const struct bytes *nodes, size_t count,
                 struct bytes *out_value, struct error_detail *detail)
{
    struct check check = {.nodes = nodes, .count = count, .detail = detail, .size = 2 * key.size};
    ensure(check.size <= TRIE_NIBBLES_MAX);
    trie_node_unpack(key, check.key);
    struct rlp_item item = {.payload = bytes_of(root, TRIE_HASH_SIZE)};
    check.done = count == 0 && memcmp(root, trie_empty_root, TRIE_HASH_SIZE) == 0;
    while (!check.done) {
        struct bytes list;
        size_t items;
        int result = enter_node(&check, &item, &list);
        if (result == 0 && rlp_count(list, &items, NULL) != 0) {
            result = refuse(&check, "no node");
        }
        if (result == 0) {
            result = items == 2 ? step_path(&check, list, &item) : step_branch(&check, list, &item);
        }
        if (result != 0) {
            return result;
        }
    }
    if (check.next != count) {
        return refuse(&check, "not needed");
    }
    *out_value = check.value;
    return 0;
}
