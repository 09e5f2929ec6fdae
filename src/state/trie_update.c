/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recursion is as deep as there are branches on a path: at most TRIE_NIBBLES_MAX, in a trie of
 * hashed keys about the logarithm of their number to the base 16. */
#include "state/trie_update.h"

#include "base/ensure.h"
#include "chain/keccak.h"
#include "chain/trie.h"
#include "state/trie_seal.h"

enum { PARTS_FROM = 64 }; /* changes; fewer are not worth a hand-over */

/* A run of changes whose keys begin alike, and where among their nibbles one stands. */
struct span {
    struct trie_change *changes;
    size_t count;
    size_t depth;
};

static int no_memory(struct trie_task *task)
{
    return error_set(&task->detail, STOA_ENOMEM, "update of a trie");
}

static struct bytes tail_of(struct bytes key, size_t from)
{
    ensure(from <= key.size);
    return bytes_of(key.data + from, key.size - from);
}

static size_t shared_nibbles(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    size_t i = 0;
    while (i < common && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

static struct bytes span_path(const struct span *span)
{
    ensure(span->count > 0);
    return bytes_of(span->changes[0].key.data, span->depth);
}

/* A, NIBBLE and B in one piece; NULL data: no memory. */
static struct bytes join(struct trie_task *task, struct bytes a, unsigned nibble, struct bytes b)
{
    size_t size = a.size + 1 + b.size;
    ensure(size <= TRIE_NIBBLES_MAX);
    uint8_t *out = arena_alloc(&task->arena, size);
    if (out == NULL) {
        return bytes_of(NULL, 0);
    }
    if (a.size > 0) {
        memcpy(out, a.data, a.size);
    }
    out[a.size] = (uint8_t)nibble;
    if (b.size > 0) {
        memcpy(out + a.size + 1, b.data, b.size);
    }
    return bytes_of(out, size);
}

/* The record of SLOT, which has PATH, is not there any more. */
static int remove_record(struct trie_task *task, struct bytes trie, struct trie_slot *slot,
                         struct bytes path)
{
    if (!slot->stored) {
        return 0;
    }
    slot->stored = false;
    struct trie_write *write = trie_seal_plan(task, trie, path);
    if (write == NULL) {
        return STOA_ENOMEM;
    }
    trie_seal_write(task, write);
    return 0;
}

/* That no key in SLOT, which was read from below DEPTH nibbles, is longer than keys are. */
static bool fits(const struct trie_slot *slot, size_t depth)
{
    if (slot->kind == TRIE_LEAF) {
        return depth + slot->suffix.size <= TRIE_NIBBLES_MAX;
    }
    const struct trie_node *node = slot->node;
    size_t below = depth + node->extension.size + 1;
    for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
        if (below + node->children[i].suffix.size > TRIE_NIBBLES_MAX) {
            return false;
        }
    }
    return true;
}

int trie_update_read(struct trie_task *task, struct bytes trie, struct bytes path,
                     struct trie_slot *slot)
{
    struct bytes record;
    task->reads++;
    int result = task->reader.read(task->reader.context, trie, path, &record, &task->detail);
    if (result != 0) {
        return result;
    }
    record = arena_copy(&task->arena, record);
    if (record.data == NULL) {
        return no_memory(task);
    }
    result = trie_node_decode(record, &task->arena, slot, &task->detail);
    if (result == 0 && !fits(slot, path.size)) {
        result = error_set(&task->detail, STOA_ECORRUPT, "record of a trie node: too deep");
    }
    return result;
}

/* The node of SLOT, which is a branch and has PATH. */
static int load_branch(struct trie_task *task, struct bytes trie, struct bytes path,
                       struct trie_slot *slot)
{
    ensure(slot->kind == TRIE_BRANCH);
    if (slot->node != NULL) {
        return 0;
    }
    int result = trie_update_read(task, trie, path, slot);
    if (result == STOA_ENOTFOUND || (result == 0 && slot->kind != TRIE_BRANCH)) {
        return error_set(&task->detail, STOA_ECORRUPT,
                         "trie: the branch %zu nibbles below the root is missing", path.size);
    }
    return result;
}

static struct trie_node *make_node(struct trie_task *task, struct bytes extension)
{
    struct trie_node *node = arena_alloc(&task->arena, sizeof(*node));
    if (node == NULL) {
        (void)no_memory(task);
        return NULL;
    }
    memset(node, 0, sizeof(*node));
    node->extension = extension;
    return node;
}

/* The changes of SPAN from *AT on that go on with the same nibble. False at the end. */
static bool next_group(const struct span *span, size_t depth, size_t *at, unsigned *out_nibble,
                       struct span *out)
{
    if (*at == span->count) {
        return false;
    }
    size_t first = *at;
    unsigned nibble = span->changes[first].key.data[depth];
    size_t end = first + 1;
    while (end < span->count && span->changes[end].key.data[depth] == nibble) {
        end++;
    }
    ensure(nibble < TRIE_CHILDREN);
    *at = end;
    *out_nibble = nibble;
    *out =
        (struct span){.changes = span->changes + first, .count = end - first, .depth = depth + 1};
    return true;
}

/* ---- what was empty or a leaf ---- */

/* Make of SLOT what maps the keys of SPAN to their values: settled, none of them removed. */
static int build(struct trie_task *task, struct trie_slot *slot, const struct span *span)
{
    ensure(span->count > 0);
    const struct trie_change *first = &span->changes[0];
    slot->dirty = true;
    if (span->count == 1) {
        slot->kind = TRIE_LEAF;
        slot->suffix = tail_of(first->key, span->depth);
        slot->value = first->value;
        return 0;
    }
    struct bytes low = tail_of(first->key, span->depth);
    struct bytes high = tail_of(span->changes[span->count - 1].key, span->depth);
    size_t shared = shared_nibbles(low, high);
    struct trie_node *node = make_node(task, bytes_of(low.data, shared));
    if (node == NULL) {
        return STOA_ENOMEM;
    }
    slot->kind = TRIE_BRANCH;
    slot->node = node;
    struct span rest = *span;
    size_t depth = span->depth + shared;
    if (first->key.size == depth) {
        node->value = first->value;
        rest.changes++;
        rest.count--;
    }
    size_t at = 0;
    unsigned nibble;
    struct span group;
    int result = 0;
    while (result == 0 && next_group(&rest, depth, &at, &nibble, &group)) {
        result = build(task, &node->children[nibble], &group);
    }
    return result;
}

/* The leaf that SLOT is as a change among those of SPAN. */
static int leaf_entry(struct trie_task *task, const struct trie_slot *slot, const struct span *span,
                      struct trie_change *out)
{
    size_t size = span->depth + slot->suffix.size;
    uint8_t *key = arena_alloc(&task->arena, size);
    if (key == NULL) {
        return no_memory(task);
    }
    if (span->depth > 0) {
        memcpy(key, span->changes[0].key.data, span->depth);
    }
    if (slot->suffix.size > 0) {
        memcpy(key + span->depth, slot->suffix.data, slot->suffix.size);
    }
    *out = (struct trie_change){.key = bytes_of(key, size), .value = slot->value};
    return 0;
}

/* What SLOT holds and what SPAN puts there, in order, to OUT. */
static int gather(struct trie_task *task, const struct trie_slot *slot, const struct span *span,
                  struct span *out)
{
    bool leaf = slot->kind == TRIE_LEAF;
    int result = 0;
    for (size_t i = 0; result == 0 && i < span->count; i++) {
        struct trie_change *change = &span->changes[i];
        struct bytes tail = tail_of(change->key, span->depth);
        int order = leaf ? bytes_compare(slot->suffix, tail) : 1;
        if (order < 0) {
            result = leaf_entry(task, slot, span, &out->changes[out->count++]);
        }
        leaf = leaf && order > 0;
        if (result == 0 && change->value.size > 0) {
            out->changes[out->count++] = *change;
        }
    }
    if (result == 0 && leaf) {
        result = leaf_entry(task, slot, span, &out->changes[out->count++]);
    }
    return result;
}

static int update_leaf(const struct trie_update *update, struct trie_task *task,
                       struct trie_slot *slot, const struct span *span)
{
    struct span entries = {.depth = span->depth};
    entries.changes = arena_alloc(&task->arena, (span->count + 1) * sizeof(*entries.changes));
    if (entries.changes == NULL) {
        return no_memory(task);
    }
    int result = gather(task, slot, span, &entries);
    if (result != 0) {
        return result;
    }
    if (entries.count == 0) {
        slot->dirty = slot->dirty || slot->kind == TRIE_LEAF;
        slot->kind = TRIE_EMPTY;
        return remove_record(task, update->trie, slot, span_path(span));
    }
    const struct trie_change *only = &entries.changes[0];
    if (entries.count == 1 && slot->kind == TRIE_LEAF && bytes_equal(only->value, slot->value) &&
        bytes_equal(tail_of(only->key, span->depth), slot->suffix)) {
        return 0;
    }
    return build(task, slot, &entries);
}

/* ---- a branch ---- */

static int update_slot(const struct trie_update *update, struct trie_task *task,
                       struct trie_slot *slot, const struct span *span);

/* The branch lost its last value or child but one: SLOT becomes what is left. */
static int shrink(const struct trie_update *update, struct trie_task *task, struct trie_slot *slot,
                  const struct span *span)
{
    struct trie_node *node = slot->node;
    unsigned count = node->value.size > 0 ? 1 : 0;
    unsigned last = 0;
    for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
        if (node->children[i].kind != TRIE_EMPTY) {
            count++;
            last = i;
        }
    }
    if (count > 1) {
        return 0;
    }
    slot->dirty = true;
    struct bytes path = span_path(span);
    if (count == 0) {
        slot->kind = TRIE_EMPTY;
        return remove_record(task, update->trie, slot, path);
    }
    if (node->value.size > 0) {
        slot->kind = TRIE_LEAF;
        slot->suffix = node->extension;
        slot->value = node->value;
        return path.size == 0 ? 0 : remove_record(task, update->trie, slot, path);
    }
    struct trie_slot *child = &node->children[last];
    if (child->kind == TRIE_LEAF) {
        slot->suffix = join(task, node->extension, last, child->suffix);
        slot->value = child->value;
        slot->kind = TRIE_LEAF;
        if (slot->suffix.data == NULL) {
            return no_memory(task);
        }
        return path.size == 0 ? 0 : remove_record(task, update->trie, slot, path);
    }
    struct bytes inner = join(task, node->extension, last, bytes_of(NULL, 0));
    struct bytes child_path = inner;
    if (path.size > 0 && inner.data != NULL) {
        child_path = join(task, path, inner.data[0], tail_of(inner, 1));
    }
    if (child_path.data == NULL) {
        return no_memory(task);
    }
    int result = load_branch(task, update->trie, child_path, child);
    if (result == 0) {
        result = remove_record(task, update->trie, child, child_path);
    }
    if (result == 0) {
        slot->node = child->node;
        slot->node->extension = join(task, node->extension, last, child->node->extension);
        result = slot->node->extension.data == NULL ? no_memory(task) : 0;
    }
    return result;
}

/* How far the keys of SPAN that are put go along with NODE's extension. */
static size_t measure_split(const struct trie_node *node, const struct span *span)
{
    size_t least = node->extension.size;
    for (size_t i = 0; least != 0 && i < span->count; i++) {
        const struct trie_change *change = &span->changes[i];
        size_t shared = shared_nibbles(tail_of(change->key, span->depth), node->extension);
        least = change->value.size > 0 && shared < least ? shared : least;
    }
    return least;
}

/* Cut the extension of SLOT's branch after SHARED nibbles by a new branch. */
static int split(struct trie_task *task, struct trie_slot *slot, size_t shared)
{
    struct trie_node *old = slot->node;
    ensure(shared < old->extension.size);
    struct trie_node *node = make_node(task, bytes_of(old->extension.data, shared));
    if (node == NULL) {
        return STOA_ENOMEM;
    }
    struct trie_slot *child = &node->children[old->extension.data[shared]];
    child->kind = TRIE_BRANCH;
    child->dirty = true;
    child->node = old;
    old->extension = tail_of(old->extension, shared + 1);
    slot->node = node;
    slot->dirty = true;
    return 0;
}

/* Those of SPAN that go along with all of NODE's extension. */
static struct span within(const struct trie_node *node, const struct span *span)
{
    size_t size = node->extension.size;
    size_t first = 0;
    size_t end = span->count;
    while (first < end && size > 0 &&
           shared_nibbles(tail_of(span->changes[first].key, span->depth), node->extension) < size) {
        first++;
    }
    while (end > first && size > 0 &&
           shared_nibbles(tail_of(span->changes[end - 1].key, span->depth), node->extension) <
               size) {
        end--;
    }
    return (struct span){
        .changes = span->changes + first, .count = end - first, .depth = span->depth + size};
}

static int update_branch(const struct trie_update *update, struct trie_task *task,
                         struct trie_slot *slot, const struct span *span)
{
    int result = load_branch(task, update->trie, span_path(span), slot);
    size_t shared = result == 0 ? measure_split(slot->node, span) : 0;
    if (result == 0 && shared < slot->node->extension.size) {
        result = split(task, slot, shared);
    }
    if (result != 0) {
        return result;
    }
    struct trie_node *node = slot->node;
    struct span rest = within(node, span);
    if (rest.count > 0 && rest.changes[0].key.size == rest.depth) {
        struct trie_change *change = &rest.changes[0];
        slot->dirty = slot->dirty || !bytes_equal(node->value, change->value);
        node->value = change->value;
        rest.changes++;
        rest.count--;
    }
    size_t at = 0;
    unsigned nibble;
    struct span group;
    while (result == 0 && next_group(&rest, rest.depth, &at, &nibble, &group)) {
        struct trie_slot *child = &node->children[nibble];
        result = update_slot(update, task, child, &group);
        slot->dirty = slot->dirty || child->dirty;
        child->dirty = child->dirty && child->kind != TRIE_EMPTY;
    }
    return result == 0 && slot->dirty ? shrink(update, task, slot, span) : result;
}

static int update_slot(const struct trie_update *update, struct trie_task *task,
                       struct trie_slot *slot, const struct span *span)
{
    ensure(span->count > 0);
    return slot->kind == TRIE_BRANCH ? update_branch(update, task, slot, span)
                                     : update_leaf(update, task, slot, span);
}

/* ---- looking up ---- */

/* A slot, and the changes that lead to it. */
struct look {
    struct trie_slot *slot;
    struct span span;
    uint64_t place; /* the reader's */
};

/* The old values at LOOK, or where to go on: *COUNT more in NEXT. */
static int look_at(const struct trie_update *update, struct trie_task *task, struct look *look,
                   struct look *next, size_t *count)
{
    struct trie_slot *slot = look->slot;
    struct span *span = &look->span;
    if (slot->kind == TRIE_LEAF) {
        for (size_t i = 0; i < span->count; i++) {
            struct trie_change *change = &span->changes[i];
            if (bytes_equal(tail_of(change->key, span->depth), slot->suffix)) {
                change->old = slot->value;
            }
        }
    }
    if (slot->kind != TRIE_BRANCH) {
        return 0;
    }
    int result = load_branch(task, update->trie, span_path(span), slot);
    if (result != 0) {
        return result;
    }
    struct span rest = within(slot->node, span);
    if (rest.count > 0 && rest.changes[0].key.size == rest.depth) {
        rest.changes[0].old = slot->node->value;
        rest.changes++;
        rest.count--;
    }
    size_t at = 0;
    unsigned nibble;
    struct span group;
    while (next_group(&rest, rest.depth, &at, &nibble, &group)) {
        next[(*count)++] = (struct look){.slot = &slot->node->children[nibble], .span = group};
    }
    return 0;
}

/* Level by level, so that what the records of one need comes from memory side by side. */
static int look_up(const struct trie_update *update, struct trie_task *task, struct trie_slot *slot,
                   const struct span *span)
{
    const struct trie_reader *reader = &task->reader;
    struct look *looks = arena_alloc(&task->arena, 2 * span->count * sizeof(*looks));
    if (looks == NULL) {
        return no_memory(task);
    }
    struct look *next = looks + span->count;
    size_t count = 1;
    int result = 0;
    looks[0] = (struct look){.slot = slot, .span = *span};
    while (result == 0 && count != 0) {
        size_t found = 0;
        for (unsigned step = 0; reader->ahead != NULL && step < TRIE_READER_STEPS; step++) {
            for (size_t i = 0; i < count; i++) {
                if (looks[i].slot->kind == TRIE_BRANCH && looks[i].slot->node == NULL) {
                    reader->ahead(reader->context, update->trie, span_path(&looks[i].span), step,
                                  &looks[i].place);
                }
            }
        }
        for (size_t i = 0; result == 0 && i < count; i++) {
            result = look_at(update, task, &looks[i], next, &found);
        }
        struct look *other = looks;
        looks = next;
        next = other;
        count = found;
    }
    return result;
}

/* ---- the root ---- */

/* The root's reference is its hash, however short it is. */
static void root_of(const struct trie_slot *root, uint8_t out_root[32])
{
    if (root->kind == TRIE_EMPTY) {
        memcpy(out_root, trie_empty_root, TRIE_HASH_SIZE);
    } else if (root->reference_size == TRIE_HASH_SIZE) {
        memcpy(out_root, root->reference, TRIE_HASH_SIZE);
    } else {
        keccak_256(root->reference, root->reference_size, out_root);
    }
}

/* ---- public ---- */

void trie_task_init(struct trie_task *task, const struct trie_reader *reader)
{
    *task = (struct trie_task){.reader = *reader};
    arena_init(&task->arena);
    buffer_init(&task->scratch);
}

void trie_task_deinit(struct trie_task *task)
{
    arena_deinit(&task->arena);
    buffer_deinit(&task->scratch);
}

void trie_task_reset(struct trie_task *task)
{
    arena_reset(&task->arena);
    task->writes = (struct trie_writes){.first = NULL};
    memset(task->dirty, 0, sizeof(task->dirty)); /* a failure may have left some */
    task->levels = 0;
    task->detail = (struct error_detail){.code = 0};
}

static int read_root(struct trie_task *task, struct bytes trie, struct trie_slot *root)
{
    *root = (struct trie_slot){.kind = TRIE_EMPTY};
    int result = trie_update_read(task, trie, bytes_of(NULL, 0), root);
    return result == STOA_ENOTFOUND ? 0 : result;
}

int trie_update_begin(struct trie_update *update, struct trie_task *task, unsigned *out_parts)
{
    for (size_t i = 0; i < update->count; i++) {
        ensure(update->changes[i].key.size <= TRIE_NIBBLES_MAX);
        ensure(i == 0 || bytes_compare(update->changes[i - 1].key, update->changes[i].key) < 0);
    }
    update->root = (struct trie_slot){.kind = TRIE_EMPTY};
    int result = update->fresh ? 0 : read_root(task, update->trie, &update->root);
    const struct trie_slot *root = &update->root;
    update->parted = result == 0 && root->kind == TRIE_BRANCH && root->node->extension.size == 0 &&
                     update->count >= PARTS_FROM && update->changes[0].key.size > 0;
    *out_parts = update->parted ? TRIE_CHILDREN : 0;
    return result;
}

/* The changes of part INDEX; none: COUNT 0. */
static struct span part_of(const struct trie_update *update, unsigned index)
{
    const struct span all = {.changes = update->changes, .count = update->count};
    size_t at = 0;
    unsigned nibble;
    struct span group;
    while (next_group(&all, 0, &at, &nibble, &group)) {
        if (nibble == index) {
            return group;
        }
    }
    return (struct span){.changes = update->changes};
}

struct trie_change *trie_update_changes(const struct trie_update *update, unsigned index,
                                        size_t *out_count)
{
    if (!update->parted) {
        *out_count = update->count;
        return update->changes;
    }
    struct span part = part_of(update, index);
    *out_count = part.count;
    return part.changes;
}

int trie_update_look_up(struct trie_update *update, struct trie_task *task, unsigned index)
{
    struct span span = {.changes = update->changes, .count = update->count};
    struct trie_slot *slot = &update->root;
    if (update->parted) {
        span = part_of(update, index);
        slot = &update->root.node->children[index];
    }
    return span.count == 0 ? 0 : look_up(update, task, slot, &span);
}

int trie_update_part(struct trie_update *update, struct trie_task *task, unsigned index)
{
    ensure(update->parted);
    ensure(index < TRIE_CHILDREN);
    struct trie_slot *child = &update->root.node->children[index];
    struct span part = part_of(update, index);
    if (part.count == 0) {
        return 0;
    }
    int result = update_slot(update, task, child, &part);
    result = result == 0 ? trie_seal(update->trie, task, child, 1, index) : result;
    return result == 0 ? trie_task_hash(task) : result;
}

/* With the root's changes made, or its parts'. */
static int change_root(struct trie_update *update, struct trie_task *task)
{
    struct trie_slot *root = &update->root;
    const struct span all = {.changes = update->changes, .count = update->count};
    int result = 0;
    if (update->parted) {
        /* Sealed children are not dirty any more: that any changed is not asked, since a large
         * update changes something. */
        root->dirty = true;
        for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
            root->node->children[i].dirty = false;
        }
        result = shrink(update, task, root, &all);
    } else if (update->count > 0) {
        result = update_slot(update, task, root, &all);
    }
    return result == 0 ? trie_seal(update->trie, task, root, 0, 0) : result;
}

int trie_update_root_of(struct trie_update *update, struct trie_task *task, uint8_t out_root[32])
{
    struct trie_slot *root = &update->root;
    ensure(!root->dirty || root->kind == TRIE_EMPTY);
    if (root->kind != TRIE_EMPTY && root->reference_size == 0) { /* unchanged */
        if (trie_node_hash(root, &task->scratch) != 0) {
            return no_memory(task);
        }
    }
    root_of(root, out_root);
    return 0;
}

int trie_update_end(struct trie_update *update, struct trie_task *task, uint8_t out_root[32])
{
    int result = change_root(update, task);
    result = result == 0 ? trie_task_hash(task) : result;
    return result == 0 ? trie_update_root_of(update, task, out_root) : result;
}

int trie_update_change(struct trie_update *update, struct trie_task *task)
{
    unsigned parts;
    int result = trie_update_begin(update, task, &parts);
    update->parted = false;
    return result == 0 ? change_root(update, task) : result;
}

int trie_update_run(struct trie_update *update, struct trie_task *task, uint8_t out_root[32])
{
    int result = trie_update_change(update, task);
    result = result == 0 ? trie_task_hash(task) : result;
    return result == 0 ? trie_update_root_of(update, task, out_root) : result;
}

int trie_update_root(struct bytes trie, struct trie_task *task, uint8_t out_root[32])
{
    struct trie_update update = {.trie = trie};
    return trie_update_run(&update, task, out_root);
}

/* ---- wiping ---- */

struct wipe {
    struct trie_task *task;
    struct bytes trie;
    int (*leaf)(void *context, struct bytes key, struct bytes value);
    void *context;
    uint8_t path[TRIE_NIBBLES_MAX];
};

static int wipe_leaf(struct wipe *wipe, size_t depth, struct bytes suffix, struct bytes value)
{
    ensure(depth + suffix.size <= TRIE_NIBBLES_MAX);
    if (wipe->leaf == NULL) {
        return 0;
    }
    if (suffix.size > 0) {
        memcpy(wipe->path + depth, suffix.data, suffix.size);
    }
    return wipe->leaf(wipe->context, bytes_of(wipe->path, depth + suffix.size), value);
}

static int wipe_slot(struct wipe *wipe, struct trie_slot *slot, size_t depth)
{
    if (slot->kind == TRIE_EMPTY) {
        return 0;
    }
    struct bytes path = bytes_of(wipe->path, depth);
    int result = 0;
    if (slot->kind == TRIE_BRANCH) {
        result = load_branch(wipe->task, wipe->trie, path, slot);
    }
    if (result == 0) {
        result = remove_record(wipe->task, wipe->trie, slot, path);
    }
    if (result != 0 || slot->kind == TRIE_LEAF) {
        return result == 0 ? wipe_leaf(wipe, depth, slot->suffix, slot->value) : result;
    }
    struct trie_node *node = slot->node;
    size_t below = depth + node->extension.size;
    ensure(below < TRIE_NIBBLES_MAX);
    if (node->value.size > 0) {
        result = wipe_leaf(wipe, depth, node->extension, node->value);
    }
    if (node->extension.size > 0) {
        memcpy(wipe->path + depth, node->extension.data, node->extension.size);
    }
    for (unsigned i = 0; result == 0 && i < TRIE_CHILDREN; i++) {
        wipe->path[below] = (uint8_t)i;
        result = wipe_slot(wipe, &node->children[i], below + 1);
    }
    return result;
}

int trie_update_wipe(struct bytes trie, struct trie_task *task,
                     int (*leaf)(void *context, struct bytes key, struct bytes value),
                     void *context)
{
    struct wipe wipe = {.task = task, .trie = trie, .leaf = leaf, .context = context};
    struct trie_slot root;
    int result = read_root(task, trie, &root);
    return result == 0 ? wipe_slot(&wipe, &root, 0) : result;
}
