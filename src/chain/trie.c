/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys come in ascending order, so only the branches on the path to the newest key are open: a
 * stack whose depth is bounded by the length of a key. How many nibbles a key shares with the one
 * before and the one after it says everything:
 *
 * - The longer of the two is the depth of the branch that holds the key. Where it is deeper than
 *   the innermost open branch, a branch is opened there.
 * - Once the key is in, every open branch deeper than what is shared with the next key is complete.
 *   It is hashed (or embedded, where its encoding has less than 32 bytes) into the branch above,
 *   below an extension where the two are more than one nibble apart.
 *
 * A branch keeps nothing but the encoding of its children so far. Leaves are most of what there is
 * to hash and need no other node, so they wait until there are some dozens, and are hashed side by
 * side. Nothing is allocated here but the hashed keys of trie_secure_root. */
#include "chain/trie.h"

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/keccak_many.h"
#include "chain/rlp.h"

enum {
    KEY_MAX = 64,
    DEPTH_MAX = 2 * KEY_MAX,         /* nibbles */
    REFERENCE_MAX = 1 + KECCAK_SIZE, /* a hash as RLP, or an embedded node of at most 31 bytes */
    CHILDREN = 16,
    PREFIX_MAX = 9, /* of RLP */
    PATH_MAX = 2 + 1 + KEY_MAX,
    HEAD_MAX = PREFIX_MAX + PATH_MAX + PREFIX_MAX, /* of a leaf: all but the value */
    WAITING_MAX = 64,                              /* leaves */
    ORDERED_KEY_MAX = 9,
    EMPTY = 0x80,
    LIST_SHORT = 0xc0,
    LIST_LONG = 0xf7,
    STRING_LONG = 0xb7,
    LONG_FROM = 56
};

const uint8_t trie_empty_root[32] = {
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
    0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
};

/* What a node's parent holds of it. */
struct reference {
    size_t size;
    uint8_t bytes[REFERENCE_MAX];
};

struct branch {
    size_t depth;       /* nibbles that all its keys share */
    unsigned written;   /* children that are in ENCODING, absent ones too */
    struct bytes value; /* of the key that ends here */
    size_t size;        /* of ENCODING */
    uint8_t encoding[CHILDREN * REFERENCE_MAX];
};

struct leaf {
    struct bytes key;
    struct bytes value;
    size_t depth;  /* of the branch that holds it */
    size_t shared; /* nibbles it shares with the next key */
    struct reference reference;
};

struct builder {
    size_t open;    /* branches, innermost last */
    size_t waiting; /* leaves that are in no branch yet */
    size_t before;  /* nibbles that the first of them shares with the key before it */
    size_t least;   /* nibbles that all keys so far share */
    struct leaf leaves[WAITING_MAX];
    struct branch branches[DEPTH_MAX];
};

/* ---- nodes ---- */

static unsigned nibble_at(struct bytes key, size_t index)
{
    ensure(index / 2 < key.size);
    unsigned byte = key.data[index / 2];
    return index % 2 == 0 ? byte >> 4 : byte & 15;
}

static size_t write_length(uint8_t *to, size_t size, unsigned short_base, unsigned long_base)
{
    if (size < LONG_FROM) {
        to[0] = (uint8_t)(short_base + size);
        return 1;
    }
    unsigned count = 8 - (unsigned)__builtin_clzll(size) / 8;
    to[0] = (uint8_t)(long_base + count);
    for (unsigned i = 0; i < count; i++) {
        to[1 + i] = (uint8_t)(size >> 8 * (count - 1 - i));
    }
    return 1 + (size_t)count;
}

/* The prefix of VALUE as an RLP string; none for a byte that stands for itself. */
static size_t write_string_prefix(uint8_t *to, struct bytes value)
{
    if (value.size == 1 && value.data[0] < EMPTY) {
        return 0;
    }
    return write_length(to, value.size, EMPTY, STRING_LONG);
}

/* Nibbles FROM up to UNTIL of KEY in the hex-prefix form, as an RLP string. */
static size_t write_path(uint8_t to[PATH_MAX], struct bytes key, size_t from, size_t until,
                         bool leaf)
{
    ensure(from <= until);
    size_t count = until - from;
    size_t size = 1 + count / 2;
    size_t at = size == 1 ? 0 : write_length(to, size, EMPTY, STRING_LONG);
    unsigned flag = leaf ? 0x20 : 0;
    if (count % 2 != 0) {
        flag |= 0x10 | nibble_at(key, from);
        from++;
    }
    to[at++] = (uint8_t)flag;
    if (size == 1) {
        return at;
    }
    if (from % 2 == 0) {
        memcpy(to + at, key.data + from / 2, size - 1);
        return at + size - 1;
    }
    for (; from < until; from += 2) {
        to[at++] = (uint8_t)(nibble_at(key, from) << 4 | nibble_at(key, from + 1));
    }
    return at;
}

static void reference_set_hash(struct reference *reference, const uint8_t hash[KECCAK_SIZE])
{
    reference->size = REFERENCE_MAX;
    reference->bytes[0] = EMPTY + KECCAK_SIZE;
    memcpy(reference->bytes + 1, hash, KECCAK_SIZE);
}

/* A node of PARTS: into its reference, or, for the ROOT, hashed whatever its size. */
static void refer(const struct bytes parts[3], bool root, struct reference *out)
{
    size_t size = parts[0].size + parts[1].size + parts[2].size;
    if (size < KECCAK_SIZE && !root) {
        out->size = 0;
        for (unsigned i = 0; i < 3; i++) {
            if (parts[i].size > 0) {
                memcpy(out->bytes + out->size, parts[i].data, parts[i].size);
                out->size += parts[i].size;
            }
        }
        return;
    }
    struct keccak state;
    keccak_init(&state);
    for (unsigned i = 0; i < 3; i++) {
        keccak_update(&state, parts[i].data, parts[i].size);
    }
    uint8_t hash[KECCAK_SIZE];
    keccak_final(&state, hash);
    reference_set_hash(out, hash);
}

/* A leaf's node up to its value, which is all that follows. */
static size_t write_leaf_head(uint8_t to[HEAD_MAX], const struct leaf *leaf, size_t from)
{
    uint8_t path[PATH_MAX + PREFIX_MAX];
    size_t path_size = write_path(path, leaf->key, from, 2 * leaf->key.size, true);
    path_size += write_string_prefix(path + path_size, leaf->value);
    size_t size = write_length(to, path_size + leaf->value.size, LIST_SHORT, LIST_LONG);
    memcpy(to + size, path, path_size);
    return size + path_size;
}

static void refer_extension(struct bytes key, size_t from, size_t until, bool root,
                            struct reference *child)
{
    uint8_t head[PREFIX_MAX];
    uint8_t path[PATH_MAX];
    size_t path_size = write_path(path, key, from, until, false);
    size_t head_size = write_length(head, path_size + child->size, LIST_SHORT, LIST_LONG);
    struct reference out;
    const struct bytes parts[3] = {bytes_of(head, head_size), bytes_of(path, path_size),
                                   bytes_of(child->bytes, child->size)};
    refer(parts, root, &out);
    *child = out;
}

static void branch_open(struct builder *builder, size_t depth)
{
    ensure(builder->open < DEPTH_MAX);
    struct branch *branch = &builder->branches[builder->open++];
    branch->depth = depth;
    branch->written = 0;
    branch->value = bytes_of(NULL, 0);
    branch->size = 0;
}

static void branch_skip_to(struct branch *branch, unsigned child)
{
    ensure(child <= CHILDREN);
    ensure(branch->written <= child);
    memset(branch->encoding + branch->size, EMPTY, child - branch->written);
    branch->size += child - branch->written;
    branch->written = child;
}

static void branch_add(struct branch *branch, unsigned child, const struct reference *reference)
{
    branch_skip_to(branch, child);
    memcpy(branch->encoding + branch->size, reference->bytes, reference->size);
    branch->size += reference->size;
    branch->written++;
}

static void refer_branch(struct branch *branch, bool root, struct reference *out)
{
    branch_skip_to(branch, CHILDREN);
    uint8_t tail_prefix[PREFIX_MAX];
    size_t tail_prefix_size = write_string_prefix(tail_prefix, branch->value);
    size_t payload = branch->size + tail_prefix_size + branch->value.size;
    /* The list's prefix, the children and the value's prefix lie in one piece. */
    uint8_t node[PREFIX_MAX + sizeof(branch->encoding) + PREFIX_MAX];
    size_t size = write_length(node, payload, LIST_SHORT, LIST_LONG);
    memcpy(node + size, branch->encoding, branch->size);
    size += branch->size;
    memcpy(node + size, tail_prefix, tail_prefix_size);
    size += tail_prefix_size;
    const struct bytes parts[3] = {bytes_of(node, size), branch->value, bytes_of(NULL, 0)};
    refer(parts, root, out);
}

/* ---- keys in ascending order ---- */

static size_t shared_nibbles(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    size_t i = 0;
    while (i < common && a.data[i] == b.data[i]) {
        i++;
    }
    size_t nibbles = 2 * i;
    if (i < common && a.data[i] >> 4 == b.data[i] >> 4) {
        nibbles++;
    }
    return nibbles;
}

static void builder_init(struct builder *builder)
{
    builder->open = 0;
    builder->waiting = 0;
    builder->before = 0;
    builder->least = DEPTH_MAX;
}

static struct branch *innermost(struct builder *builder)
{
    ensure(builder->open > 0);
    return &builder->branches[builder->open - 1];
}

static void place(struct builder *builder, const struct leaf *leaf)
{
    if (builder->open == 0 || innermost(builder)->depth < leaf->depth) {
        branch_open(builder, leaf->depth);
    }
    struct branch *branch = innermost(builder);
    ensure(branch->depth == leaf->depth);
    if (2 * leaf->key.size == leaf->depth) {
        ensure(branch->written == 0);
        branch->value = leaf->value;
        return;
    }
    branch_add(branch, nibble_at(leaf->key, leaf->depth), &leaf->reference);
}

/* Complete the branches deeper than SHARED, which KEY is the last one of. */
static void close_deeper(struct builder *builder, struct bytes key, size_t shared)
{
    while (builder->open > 0 && innermost(builder)->depth > shared) {
        struct branch *branch = innermost(builder);
        size_t depth = branch->depth;
        struct reference reference;
        refer_branch(branch, false, &reference);
        builder->open--;
        if (builder->open == 0 || innermost(builder)->depth < shared) {
            branch_open(builder, shared);
        }
        struct branch *parent = innermost(builder);
        ensure(parent->depth < depth);
        if (depth > parent->depth + 1) {
            refer_extension(key, parent->depth + 1, depth, false, &reference);
        }
        branch_add(parent, nibble_at(key, parent->depth), &reference);
    }
}

/* References of the first COUNT leaves, whose depths are known. */
static void refer_leaves(struct leaf *leaves, size_t count)
{
    uint8_t room[WAITING_MAX][HEAD_MAX];
    struct bytes heads[WAITING_MAX];
    struct bytes values[WAITING_MAX];
    uint8_t hashes[WAITING_MAX][KECCAK_SIZE];
    struct leaf *hashed[WAITING_MAX];
    size_t hashed_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct leaf *leaf = &leaves[i];
        if (2 * leaf->key.size == leaf->depth) {
            continue; /* the branch's own value */
        }
        uint8_t *head = room[hashed_count];
        size_t head_size = write_leaf_head(head, leaf, leaf->depth + 1);
        if (head_size + leaf->value.size < KECCAK_SIZE) {
            memcpy(leaf->reference.bytes, head, head_size);
            memcpy(leaf->reference.bytes + head_size, leaf->value.data, leaf->value.size);
            leaf->reference.size = head_size + leaf->value.size;
            continue;
        }
        heads[hashed_count] = bytes_of(head, head_size);
        values[hashed_count] = leaf->value;
        hashed[hashed_count++] = leaf;
    }
    if (hashed_count > 0) {
        keccak_256_many_joined(heads, values, hashed_count, hashes);
    }
    for (size_t i = 0; i < hashed_count; i++) {
        reference_set_hash(&hashed[i]->reference, hashes[i]);
    }
}

/* Put the first COUNT leaves, each of which knows what it shares with the next, into branches. */
static void settle(struct builder *builder, size_t count)
{
    size_t before = builder->before;
    for (size_t i = 0; i < count; i++) {
        struct leaf *leaf = &builder->leaves[i];
        leaf->depth = leaf->shared > before ? leaf->shared : before;
        before = leaf->shared;
    }
    refer_leaves(builder->leaves, count);
    for (size_t i = 0; i < count; i++) {
        struct leaf *leaf = &builder->leaves[i];
        place(builder, leaf);
        close_deeper(builder, leaf->key, leaf->shared);
    }
    builder->before = before;
}

/* KEY must stay until WAITING_MAX more have come, VALUE until the end. */
static void builder_add(struct builder *builder, struct bytes key, struct bytes value)
{
    ensure(key.size <= KEY_MAX);
    ensure(value.size > 0);
    if (builder->waiting > 0) {
        struct leaf *last = &builder->leaves[builder->waiting - 1];
        last->shared = shared_nibbles(last->key, key);
        ensure(last->shared < 2 * key.size);
        builder->least = last->shared < builder->least ? last->shared : builder->least;
    }
    if (builder->waiting == WAITING_MAX) {
        settle(builder, WAITING_MAX);
        builder->waiting = 0;
    }
    struct leaf *leaf = &builder->leaves[builder->waiting++];
    leaf->key = key;
    leaf->value = value;
}

/* The root where there is but one key. */
static void refer_only_leaf(const struct leaf *leaf, struct reference *out)
{
    uint8_t head[HEAD_MAX];
    size_t head_size = write_leaf_head(head, leaf, 0);
    const struct bytes parts[3] = {bytes_of(head, head_size), leaf->value, bytes_of(NULL, 0)};
    refer(parts, true, out);
}

static void builder_finish(struct builder *builder, uint8_t out_root[32])
{
    if (builder->waiting == 0) {
        memcpy(out_root, trie_empty_root, KECCAK_SIZE);
        return;
    }
    struct leaf *last = &builder->leaves[builder->waiting - 1];
    struct reference root;
    if (builder->least == DEPTH_MAX) {
        refer_only_leaf(last, &root);
    } else {
        last->shared = builder->least;
        settle(builder, builder->waiting);
        ensure(builder->open == 1);
        size_t depth = builder->branches[0].depth;
        refer_branch(&builder->branches[0], depth == 0, &root);
        if (depth > 0) {
            refer_extension(last->key, 0, depth, true, &root);
        }
    }
    ensure(root.size == REFERENCE_MAX);
    memcpy(out_root, root.bytes + 1, KECCAK_SIZE);
}

/* ---- sorting ---- */

/* Heap sort: in place, without recursion, and no input makes it slow. */
static void sift_down(struct trie_pair *pairs, size_t root, size_t count)
{
    struct trie_pair moved = pairs[root];
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && bytes_compare(pairs[child].key, pairs[child + 1].key) < 0) {
            child++;
        }
        if (bytes_compare(moved.key, pairs[child].key) >= 0) {
            break;
        }
        pairs[root] = pairs[child];
        root = child;
    }
    pairs[root] = moved;
}

static void sort_pairs(struct trie_pair *pairs, size_t count)
{
    for (size_t i = count / 2; i > 0; i--) {
        sift_down(pairs, i - 1, count);
    }
    for (size_t end = count; end > 1; end--) {
        struct trie_pair largest = pairs[0];
        pairs[0] = pairs[end - 1];
        pairs[end - 1] = largest;
        sift_down(pairs, 0, end - 1);
    }
}

/* ---- public ---- */

static size_t write_index_key(uint8_t to[ORDERED_KEY_MAX], size_t index)
{
    if (index == 0) {
        to[0] = EMPTY;
        return 1;
    }
    if (index < EMPTY) {
        to[0] = (uint8_t)index;
        return 1;
    }
    unsigned count = 8 - (unsigned)__builtin_clzll(index) / 8;
    to[0] = (uint8_t)(EMPTY + count);
    for (unsigned i = 0; i < count; i++) {
        to[1 + i] = (uint8_t)(index >> 8 * (count - 1 - i));
    }
    return 1 + (size_t)count;
}

int trie_ordered_root(const struct bytes *values, size_t count, uint8_t out_root[32])
{
    struct builder builder;
    builder_init(&builder);
    /* In the order of their keys: 1 to 127 are single bytes below 0x80, which is 0's; then the
     * longer ones ascend. */
    uint8_t keys[WAITING_MAX + 1][ORDERED_KEY_MAX];
    size_t small = count < EMPTY ? count : EMPTY;
    for (size_t i = 0; i < count; i++) {
        if (values[i].size == 0) {
            return STOA_EINVAL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t index = i + 1 < small ? i + 1 : i + 1 == small ? 0 : i;
        uint8_t *key = keys[i % (WAITING_MAX + 1)];
        builder_add(&builder, bytes_of(key, write_index_key(key, index)), values[index]);
    }
    builder_finish(&builder, out_root);
    return 0;
}

/* One key twice, too long a key or an empty value would give the root of some other trie. */
static bool are_valid(const struct trie_pair *sorted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sorted[i].key.size > KEY_MAX || sorted[i].value.size == 0 ||
            (i > 0 && bytes_equal(sorted[i - 1].key, sorted[i].key))) {
            return false;
        }
    }
    return true;
}

int trie_root(struct trie_pair *pairs, size_t count, uint8_t out_root[32])
{
    sort_pairs(pairs, count);
    if (!are_valid(pairs, count)) {
        return STOA_EINVAL;
    }
    struct builder builder;
    builder_init(&builder);
    for (size_t i = 0; i < count; i++) {
        builder_add(&builder, pairs[i].key, pairs[i].value);
    }
    builder_finish(&builder, out_root);
    return 0;
}

int trie_secure_root(const struct trie_pair *pairs, size_t count, uint8_t out_root[32])
{
    struct hashed {
        uint8_t key[KECCAK_SIZE];
    };
    struct trie_pair *copies = memory_alloc_zeroed(count, sizeof(*copies) + sizeof(struct hashed));
    if (copies == NULL) {
        return STOA_ENOMEM;
    }
    struct hashed *hashes = (struct hashed *)(copies + count);
    for (size_t i = 0; i < count; i++) {
        keccak_256(pairs[i].key.data, pairs[i].key.size, hashes[i].key);
        copies[i] = (struct trie_pair){.key = bytes_of(hashes[i].key, KECCAK_SIZE),
                                       .value = pairs[i].value};
    }
    int result = trie_root(copies, count, out_root);
    memory_free(copies);
    return result;
}
