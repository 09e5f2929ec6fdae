/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state/trie_seal.h"

#include "base/ensure.h"
#include "chain/keccak_many.h"

enum { HASHED_AT_ONCE = 64 };

static int no_memory(struct trie_task *task)
{
    return error_set(&task->detail, STOA_ENOMEM, "update of a trie");
}

struct trie_write *trie_seal_plan(struct trie_task *task, struct bytes trie, struct bytes path)
{
    struct trie_write *write = arena_alloc(&task->arena, sizeof(*write) + path.size);
    if (write == NULL) {
        (void)no_memory(task);
        return NULL;
    }
    uint8_t *copy = (uint8_t *)(write + 1);
    if (path.size > 0) {
        memcpy(copy, path.data, path.size);
    }
    *write = (struct trie_write){.trie = trie, .path = bytes_of(copy, path.size)};
    return write;
}

void trie_seal_write(struct trie_task *task, struct trie_write *write)
{
    if (task->writes.first == NULL) {
        task->writes.first = write;
    } else {
        task->writes.last->next = write;
    }
    task->writes.last = write;
}

static int add_dirty(struct trie_task *task, struct trie_slot *slot, unsigned level,
                     struct trie_write *write)
{
    struct trie_dirty *dirty = arena_alloc(&task->arena, sizeof(*dirty));
    if (dirty == NULL) {
        return no_memory(task);
    }
    ensure(level < TRIE_LEVELS);
    *dirty = (struct trie_dirty){.next = task->dirty[level], .slot = slot, .write = write};
    task->dirty[level] = dirty;
    task->levels = level < task->levels ? task->levels : level + 1;
    return 0;
}

/* Gather what is dirty in SLOT, at DEPTH nibbles of PATH. *OUT_LEVELS: how many levels that is. */
static int seal(struct bytes trie, struct trie_task *task, struct trie_slot *slot,
                uint8_t path[TRIE_NIBBLES_MAX], size_t depth, unsigned *out_levels)
{
    *out_levels = 0;
    if (!slot->dirty || slot->kind == TRIE_EMPTY) {
        return 0;
    }
    int result = 0;
    unsigned below_levels = 0;
    if (slot->kind == TRIE_BRANCH) {
        struct trie_node *node = slot->node;
        size_t below = depth + node->extension.size;
        ensure(below < TRIE_NIBBLES_MAX);
        if (node->extension.size > 0) {
            memcpy(path + depth, node->extension.data, node->extension.size);
        }
        for (unsigned i = 0; result == 0 && i < TRIE_CHILDREN; i++) {
            unsigned levels;
            path[below] = (uint8_t)i;
            result = seal(trie, task, &node->children[i], path, below + 1, &levels);
            below_levels = levels > below_levels ? levels : below_levels;
        }
    }
    struct trie_write *write = NULL;
    if (result == 0 && (slot->kind == TRIE_BRANCH || depth == 0)) {
        write = trie_seal_plan(task, trie, bytes_of(path, depth));
        result = write == NULL ? STOA_ENOMEM : 0;
        slot->stored = true;
    }
    *out_levels = below_levels + 1;
    return result == 0 ? add_dirty(task, slot, below_levels, write) : result;
}

int trie_seal(struct bytes trie, struct trie_task *task, struct trie_slot *slot, size_t depth,
              unsigned first)
{
    uint8_t path[TRIE_NIBBLES_MAX] = {(uint8_t)first};
    unsigned levels;
    return seal(trie, task, slot, path, depth, &levels);
}

/* Encodings of slots, to be referred to. */
struct group {
    struct trie_dirty *members[HASHED_AT_ONCE];
    size_t offsets[HASHED_AT_ONCE + 1]; /* in the scratch */
    size_t count;
};

/* Refer to what the scratch has of the members of GROUP. */
static void refer_group(struct trie_task *task, const struct group *group)
{
    struct bytes inputs[HASHED_AT_ONCE];
    uint8_t hashes[HASHED_AT_ONCE][TRIE_HASH_SIZE];
    struct trie_slot *hashed[HASHED_AT_ONCE];
    size_t count = 0;
    for (size_t i = 0; i < group->count; i++) {
        struct trie_slot *slot = group->members[i]->slot;
        struct bytes rlp = bytes_of(task->scratch.data + group->offsets[i],
                                    group->offsets[i + 1] - group->offsets[i]);
        if (rlp.size < TRIE_HASH_SIZE) {
            slot->reference_size = (uint8_t)trie_node_refer(rlp, slot->reference);
            continue;
        }
        hashed[count] = slot;
        inputs[count++] = rlp;
    }
    if (count == 0) {
        return;
    }
    keccak_256_many(inputs, count, hashes);
    for (size_t i = 0; i < count; i++) {
        memcpy(hashed[i]->reference, hashes[i], TRIE_HASH_SIZE);
        hashed[i]->reference_size = TRIE_HASH_SIZE;
    }
    task->hashes += count;
}

static int hash_group(struct trie_task *task, struct group *group)
{
    struct group extended = {.count = 0};
    int result = 0;
    buffer_clear(&task->scratch);
    for (size_t i = 0; result == 0 && i < group->count; i++) {
        const struct trie_slot *slot = group->members[i]->slot;
        group->offsets[i] = task->scratch.size;
        result = slot->kind == TRIE_LEAF ? trie_node_leaf_rlp(slot, &task->scratch)
                                         : trie_node_branch_rlp(slot->node, &task->scratch);
        if (slot->kind == TRIE_BRANCH && slot->node->extension.size > 0) {
            extended.members[extended.count++] = group->members[i];
        }
    }
    group->offsets[group->count] = task->scratch.size;
    if (result != 0) {
        return result;
    }
    refer_group(task, group);
    buffer_clear(&task->scratch);
    for (size_t i = 0; result == 0 && i < extended.count; i++) {
        const struct trie_slot *slot = extended.members[i]->slot;
        extended.offsets[i] = task->scratch.size;
        result = trie_node_extension_rlp(
            slot->node, bytes_of(slot->reference, slot->reference_size), &task->scratch);
    }
    extended.offsets[extended.count] = task->scratch.size;
    if (result == 0 && extended.count != 0) {
        refer_group(task, &extended);
    }
    for (size_t i = 0; i < group->count; i++) {
        group->members[i]->slot->dirty = false;
    }
    return result;
}

/* The records of a group, whose children's references are known. */
static int write_group(struct trie_task *task, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        struct trie_write *write = group->members[i]->write;
        if (write == NULL) {
            continue;
        }
        buffer_clear(&task->scratch);
        if (trie_node_encode(group->members[i]->slot, &task->scratch) != 0) {
            return STOA_ENOMEM;
        }
        write->record = arena_copy(&task->arena, buffer_bytes(&task->scratch));
        if (write->record.data == NULL) {
            return STOA_ENOMEM;
        }
        trie_seal_write(task, write);
    }
    return 0;
}

int trie_task_hash(struct trie_task *task)
{
    for (unsigned level = 0; level < task->levels; level++) {
        while (task->dirty[level] != NULL) {
            struct group group = {.count = 0};
            while (task->dirty[level] != NULL && group.count < HASHED_AT_ONCE) {
                group.members[group.count++] = task->dirty[level];
                task->dirty[level] = task->dirty[level]->next;
            }
            if (hash_group(task, &group) != 0 || write_group(task, &group) != 0) {
                return no_memory(task);
            }
        }
    }
    task->levels = 0;
    return 0;
}
