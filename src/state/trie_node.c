/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state/trie_node.h"

#include "base/ensure.h"
#include "chain/keccak.h"
#include "chain/rlp.h"

enum {
    PREFIX_MAX = 9, /* of RLP */
    PACKED_MAX = 1 + TRIE_NIBBLES_MAX / 2,
    SIZE_MAX_BYTES = 10, /* of LEB128 */
    EMPTY_STRING = 0x80,
    HASH_STRING = EMPTY_STRING + TRIE_HASH_SIZE,
    RECORD_HEAD_SIZE = 2,
    RECORD_BITMAPS_SIZE = 4,
    VALUE_SIZE_MAX = 1 << 24,
};

/* ---- writing to memory that is large enough ---- */

static uint8_t *put_bytes(uint8_t *to, struct bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(to, bytes.data, bytes.size);
    }
    return to + bytes.size;
}

static uint8_t *put_length(uint8_t *to, size_t size, unsigned base)
{
    if (size < 56) {
        *to = (uint8_t)(base + size);
        return to + 1;
    }
    unsigned count = 8 - (unsigned)__builtin_clzll(size) / 8;
    *to++ = (uint8_t)(base + 55 + count);
    while (count-- > 0) {
        *to++ = (uint8_t)(size >> 8 * count);
    }
    return to;
}

static uint8_t *put_string(uint8_t *to, struct bytes string)
{
    if (string.size != 1 || string.data[0] >= EMPTY_STRING) {
        to = put_length(to, string.size, EMPTY_STRING);
    }
    return put_bytes(to, string);
}

/* NIBBLES in hex-prefix form. Returns the size. */
static size_t hex_prefix(uint8_t out[PACKED_MAX], struct bytes nibbles, bool leaf)
{
    ensure(nibbles.size <= TRIE_NIBBLES_MAX);
    size_t odd = nibbles.size % 2;
    out[0] = (uint8_t)((leaf ? 0x20 : 0) | (odd != 0 ? 0x10 | nibbles.data[0] : 0));
    size_t size = 1;
    for (size_t i = odd; i < nibbles.size; i += 2) {
        out[size++] = (uint8_t)(nibbles.data[i] << 4 | nibbles.data[i + 1]);
    }
    return size;
}

static uint8_t *put_reference(uint8_t *to, const struct trie_slot *slot)
{
    if (slot->kind == TRIE_EMPTY) {
        *to = EMPTY_STRING;
        return to + 1;
    }
    if (slot->reference_size == TRIE_HASH_SIZE) {
        *to++ = HASH_STRING;
        memcpy(to, slot->reference, TRIE_HASH_SIZE);
        return to + TRIE_HASH_SIZE;
    }
    return put_bytes(to, bytes_of(slot->reference, slot->reference_size));
}

static uint8_t *put_nibbles(uint8_t *to, struct bytes nibbles)
{
    ensure(nibbles.size <= TRIE_NIBBLES_MAX);
    *to++ = (uint8_t)nibbles.size;
    for (size_t i = 0; i < nibbles.size; i += 2) {
        unsigned low = i + 1 < nibbles.size ? nibbles.data[i + 1] : 0;
        *to++ = (uint8_t)(nibbles.data[i] << 4 | low);
    }
    return to;
}

static uint8_t *put_sized(uint8_t *to, struct bytes value)
{
    size_t left = value.size;
    for (; left >= 0x80; left >>= 7) {
        *to++ = (uint8_t)(left | 0x80);
    }
    *to++ = (uint8_t)left;
    return put_bytes(to, value);
}

/* ---- RLP ---- */

static size_t leaf_payload(const struct trie_slot *slot)
{
    uint8_t packed[PACKED_MAX];
    size_t size = hex_prefix(packed, slot->suffix, true);
    return rlp_string_size(bytes_of(packed, size)) + rlp_string_size(slot->value);
}

int trie_node_leaf_rlp(const struct trie_slot *slot, struct buffer *out)
{
    ensure(slot->kind == TRIE_LEAF);
    ensure(slot->value.size > 0);
    uint8_t packed[PACKED_MAX];
    struct bytes path = bytes_of(packed, hex_prefix(packed, slot->suffix, true));
    size_t payload = rlp_string_size(path) + rlp_string_size(slot->value);
    if (buffer_reserve(out, PREFIX_MAX + payload) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = put_length(out->data + out->size, payload, 0xc0);
    to = put_string(put_string(to, path), slot->value);
    out->size = (size_t)(to - out->data);
    return 0;
}

int trie_node_branch_rlp(const struct trie_node *node, struct buffer *out)
{
    size_t payload = rlp_string_size(node->value);
    for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
        const struct trie_slot *child = &node->children[i];
        ensure(!child->dirty);
        payload += child->kind == TRIE_EMPTY                 ? 1
                   : child->reference_size == TRIE_HASH_SIZE ? 1 + TRIE_HASH_SIZE
                                                             : child->reference_size;
    }
    if (buffer_reserve(out, PREFIX_MAX + payload) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = put_length(out->data + out->size, payload, 0xc0);
    const uint8_t *start = to;
    for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
        to = put_reference(to, &node->children[i]);
    }
    to = put_string(to, node->value);
    ensure((size_t)(to - start) == payload);
    out->size = (size_t)(to - out->data);
    return 0;
}

int trie_node_extension_rlp(const struct trie_node *node, struct bytes branch, struct buffer *out)
{
    ensure(node->extension.size > 0);
    ensure(branch.size <= TRIE_HASH_SIZE);
    uint8_t packed[PACKED_MAX];
    struct bytes path = bytes_of(packed, hex_prefix(packed, node->extension, false));
    size_t prefix = branch.size == TRIE_HASH_SIZE ? 1 : 0;
    size_t payload = rlp_string_size(path) + prefix + branch.size;
    if (buffer_reserve(out, PREFIX_MAX + payload) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = put_length(out->data + out->size, payload, 0xc0);
    to = put_string(to, path);
    if (prefix != 0) {
        *to++ = HASH_STRING;
    }
    to = put_bytes(to, branch);
    out->size = (size_t)(to - out->data);
    return 0;
}

size_t trie_node_refer(struct bytes rlp, uint8_t out[TRIE_HASH_SIZE])
{
    if (rlp.size < TRIE_HASH_SIZE) {
        memcpy(out, rlp.data, rlp.size);
        return rlp.size;
    }
    keccak_256(rlp.data, rlp.size, out);
    return TRIE_HASH_SIZE;
}

int trie_node_hash(struct trie_slot *slot, struct buffer *scratch)
{
    ensure(slot->kind != TRIE_EMPTY);
    buffer_clear(scratch);
    int result = slot->kind == TRIE_LEAF ? trie_node_leaf_rlp(slot, scratch)
                                         : trie_node_branch_rlp(slot->node, scratch);
    if (result != 0) {
        return result;
    }
    slot->reference_size = (uint8_t)trie_node_refer(buffer_bytes(scratch), slot->reference);
    if (slot->kind == TRIE_BRANCH && slot->node->extension.size > 0) {
        struct bytes branch = bytes_of(slot->reference, slot->reference_size);
        buffer_clear(scratch);
        result = trie_node_extension_rlp(slot->node, branch, scratch);
        if (result != 0) {
            return result;
        }
        slot->reference_size = (uint8_t)trie_node_refer(buffer_bytes(scratch), slot->reference);
    }
    slot->dirty = false;
    return 0;
}

/* ---- records ---- */

static size_t encoded_size_max(const struct trie_slot *slot)
{
    enum { CHILD_MAX = 1 + TRIE_NIBBLES_MAX / 2 + SIZE_MAX_BYTES + TRIE_HASH_SIZE };
    size_t size = RECORD_HEAD_SIZE + TRIE_NIBBLES_MAX / 2 + RECORD_BITMAPS_SIZE;
    if (slot->kind == TRIE_LEAF) {
        return size + slot->value.size;
    }
    size += SIZE_MAX_BYTES + slot->node->value.size;
    for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
        const struct trie_slot *child = &slot->node->children[i];
        size += child->kind == TRIE_EMPTY  ? 0
                : child->kind == TRIE_LEAF ? CHILD_MAX + child->value.size
                                           : 1 + TRIE_HASH_SIZE;
    }
    return size;
}

static uint8_t *put_child(uint8_t *to, const struct trie_slot *child, unsigned flags)
{
    if (child->kind == TRIE_BRANCH) {
        if ((flags & TRIE_RECORD_SIZED) != 0) {
            *to++ = child->reference_size;
        }
        return put_bytes(to, bytes_of(child->reference, child->reference_size));
    }
    to = put_sized(put_nibbles(to, child->suffix), child->value);
    if (child->reference_size == TRIE_HASH_SIZE) {
        to = put_bytes(to, bytes_of(child->reference, TRIE_HASH_SIZE));
    }
    return to;
}

static uint8_t *put_branch(uint8_t *to, const struct trie_node *node)
{
    unsigned flags = node->value.size > 0 ? TRIE_RECORD_VALUE : 0;
    unsigned present = 0;
    unsigned leaves = 0;
    for (unsigned i = 0; i < TRIE_CHILDREN; i++) {
        const struct trie_slot *child = &node->children[i];
        ensure(!child->dirty);
        present |= child->kind != TRIE_EMPTY ? 1U << i : 0;
        leaves |= child->kind == TRIE_LEAF ? 1U << i : 0;
        if (child->kind == TRIE_BRANCH && child->reference_size != TRIE_HASH_SIZE) {
            flags |= TRIE_RECORD_SIZED;
        }
    }
    *to++ = (uint8_t)flags;
    to = put_nibbles(to, node->extension);
    bytes_store_le16(to, (uint16_t)present);
    bytes_store_le16(to + 2, (uint16_t)leaves);
    to += RECORD_BITMAPS_SIZE;
    if (node->value.size > 0) {
        to = put_sized(to, node->value);
    }
    for (; present != 0; present &= present - 1) {
        to = put_child(to, &node->children[__builtin_ctz(present)], flags);
    }
    return to;
}

int trie_node_encode(const struct trie_slot *slot, struct buffer *out)
{
    ensure(slot->kind != TRIE_EMPTY);
    if (buffer_reserve(out, encoded_size_max(slot)) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = out->data + out->size;
    if (slot->kind == TRIE_LEAF) {
        *to++ = TRIE_RECORD_LEAF;
        to = put_bytes(put_nibbles(to, slot->suffix), slot->value);
    } else {
        to = put_branch(to, slot->node);
    }
    out->size = (size_t)(to - out->data);
    return 0;
}

void trie_node_unpack(struct bytes key, uint8_t *out)
{
    for (size_t i = 0; i < key.size; i++) {
        out[2 * i] = key.data[i] >> 4;
        out[2 * i + 1] = key.data[i] & 15;
    }
}

/* ---- reading a record: all of it is checked ---- */

static int corrupt(struct error_detail *detail, const char *what)
{
    return error_set(detail, STOA_ECORRUPT, "record of a trie node: %s", what);
}

static bool take(struct bytes *cursor, size_t size, struct bytes *out)
{
    if (cursor->size < size) {
        return false;
    }
    *out = bytes_of(cursor->data, size);
    cursor->data += size;
    cursor->size -= size;
    return true;
}

static int take_nibbles(struct bytes *cursor, struct arena *arena, struct bytes *out,
                        struct error_detail *detail)
{
    struct bytes count;
    struct bytes packed;
    if (!take(cursor, 1, &count) || count.data[0] > TRIE_NIBBLES_MAX ||
        !take(cursor, (count.data[0] + 1U) / 2, &packed)) {
        return corrupt(detail, "nibbles");
    }
    size_t size = count.data[0];
    uint8_t *nibbles = NULL;
    if (size > 0) {
        nibbles = arena_alloc(arena, 2 * packed.size);
        if (nibbles == NULL) {
            return error_set(detail, STOA_ENOMEM, "trie node");
        }
        trie_node_unpack(packed, nibbles);
    }
    *out = bytes_of(nibbles, size);
    return 0;
}

static int take_sized(struct bytes *cursor, struct bytes *out, struct error_detail *detail)
{
    size_t size = 0;
    struct bytes digit;
    unsigned shift = 0;
    do {
        if (shift > 28 || !take(cursor, 1, &digit)) {
            return corrupt(detail, "size of a value");
        }
        size |= (size_t)(digit.data[0] & 0x7f) << shift;
        shift += 7;
    } while ((digit.data[0] & 0x80) != 0);
    if (size == 0 || size > VALUE_SIZE_MAX || !take(cursor, size, out)) {
        return corrupt(detail, "value");
    }
    return 0;
}

static int take_reference(struct bytes *cursor, size_t size, struct trie_slot *slot,
                          struct error_detail *detail)
{
    struct bytes reference;
    if (size == 0 || size > TRIE_HASH_SIZE || !take(cursor, size, &reference)) {
        return corrupt(detail, "reference");
    }
    memcpy(slot->reference, reference.data, size);
    slot->reference_size = (uint8_t)size;
    return 0;
}

/* A leaf shorter than 32 bytes is its own reference. */
static int refer_short_leaf(struct trie_slot *leaf, struct error_detail *detail)
{
    struct buffer rlp;
    buffer_init(&rlp);
    int result = trie_node_hash(leaf, &rlp);
    buffer_deinit(&rlp);
    return result == 0 ? 0 : error_set(detail, result, "trie node");
}

static int take_leaf(struct bytes *cursor, struct arena *arena, struct trie_slot *leaf,
                     struct error_detail *detail)
{
    leaf->kind = TRIE_LEAF;
    int result = take_nibbles(cursor, arena, &leaf->suffix, detail);
    if (result == 0) {
        result = take_sized(cursor, &leaf->value, detail);
    }
    if (result != 0) {
        return result;
    }
    /* With a prefix of one byte it has 32 from a payload of 31 on. */
    return leaf_payload(leaf) >= TRIE_HASH_SIZE - 1
               ? take_reference(cursor, TRIE_HASH_SIZE, leaf, detail)
               : refer_short_leaf(leaf, detail);
}

static int take_children(struct bytes *cursor, unsigned flags, struct arena *arena,
                         struct trie_node *node, struct error_detail *detail)
{
    struct bytes bitmaps;
    if (!take(cursor, RECORD_BITMAPS_SIZE, &bitmaps)) {
        return corrupt(detail, "bitmaps");
    }
    unsigned present = bytes_load_le16(bitmaps.data);
    unsigned leaves = bytes_load_le16(bitmaps.data + 2);
    int result = 0;
    if ((flags & TRIE_RECORD_VALUE) != 0) {
        result = take_sized(cursor, &node->value, detail);
    }
    if (result == 0 && ((leaves & ~present) != 0 || present == 0)) {
        result = corrupt(detail, "bitmaps");
    }
    for (; result == 0 && present != 0; present &= present - 1) {
        unsigned index = (unsigned)__builtin_ctz(present);
        struct trie_slot *child = &node->children[index];
        if ((leaves >> index & 1) != 0) {
            result = take_leaf(cursor, arena, child, detail);
            continue;
        }
        child->kind = TRIE_BRANCH;
        child->stored = true;
        struct bytes size = bytes_of("\x20", 1);
        if ((flags & TRIE_RECORD_SIZED) != 0 && !take(cursor, 1, &size)) {
            return corrupt(detail, "reference");
        }
        result = take_reference(cursor, size.data[0], child, detail);
    }
    return result;
}

static int decode_leaf(struct bytes cursor, struct arena *arena, struct trie_slot *slot,
                       struct error_detail *detail)
{
    struct trie_slot leaf = {.kind = TRIE_LEAF, .stored = true};
    int result = take_nibbles(&cursor, arena, &leaf.suffix, detail);
    if (result == 0 && (cursor.size == 0 || cursor.size > VALUE_SIZE_MAX)) {
        result = corrupt(detail, "value");
    }
    if (result == 0) {
        leaf.value = cursor;
        *slot = leaf;
    }
    return result;
}

int trie_node_decode(struct bytes record, struct arena *arena, struct trie_slot *slot,
                     struct error_detail *detail)
{
    struct bytes cursor = record;
    struct bytes head;
    if (!take(&cursor, 1, &head)) {
        return corrupt(detail, "empty");
    }
    unsigned flags = head.data[0];
    if (flags == TRIE_RECORD_LEAF) {
        return decode_leaf(cursor, arena, slot, detail);
    }
    if ((flags & ~(unsigned)(TRIE_RECORD_VALUE | TRIE_RECORD_SIZED)) != 0) {
        return corrupt(detail, "flags");
    }
    struct trie_node *node = arena_alloc(arena, sizeof(*node));
    if (node == NULL) {
        return error_set(detail, STOA_ENOMEM, "trie node");
    }
    memset(node, 0, sizeof(*node));
    int result = take_nibbles(&cursor, arena, &node->extension, detail);
    if (result == 0) {
        result = take_children(&cursor, flags, arena, node, detail);
    }
    if (result == 0 && cursor.size != 0) {
        result = corrupt(detail, "bytes after its end");
    }
    if (result == 0) {
        slot->kind = TRIE_BRANCH;
        slot->stored = true;
        slot->node = node;
    }
    return result;
}
