/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_node.h: one node of a Merkle-Patricia trie that is kept by path: in memory, as a record in a
 * table, and as RLP. Pure; any thread.
 *
 * A trie is a tree of slots. A slot is empty, a leaf, or a branch with the extension before it. The
 * root is the slot of path ""; the slot of child n of a branch has the path of the branch's own
 * slot, the branch's extension, and n. What is kept is one record a slot that holds a branch, under
 * the slot's path: the extension, and each child with what its parent's encoding has of it (a hash,
 * or the node itself where that is shorter than 32 bytes). A leaf is kept whole in its parent's
 * record (the root, if it is a leaf, in a record of its own). So a key is reached by reading as
 * many records as there are branches above it, nothing is ever read by hash, and a change rewrites
 * records in place. Record, integers little-endian:
 *
 *   1  flags: TRIE_RECORD_…
 *   1  nibbles of the extension (of a leaf: of what is left of its key), then they, two a byte
 *   a leaf: its value, to the end. A branch:
 *   2  bitmap of the children there are
 *   2  bitmap of those that are leaves
 *   -  with TRIE_RECORD_VALUE: size (LEB128) and value of the key that ends here
 *   -  each child in order. A branch: with TRIE_RECORD_SIZED 1 byte of size, then the reference, 32
 *      bytes where no size says otherwise. A leaf: 1 byte number of nibbles, they, size of the
 *      value (LEB128), the value, and its hash where the leaf's encoding has 32 bytes or more.
 *
 * In memory nibbles stand one a byte. */
#ifndef TRIE_NODE_H
#define TRIE_NODE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

enum {
    TRIE_NIBBLES_MAX = 128, /* of a key */
    TRIE_CHILDREN = 16,
    TRIE_HASH_SIZE = 32,
    TRIE_RECORD_LEAF = 1 << 0,
    TRIE_RECORD_VALUE = 1 << 1,
    TRIE_RECORD_SIZED = 1 << 2,
};

enum trie_kind { TRIE_EMPTY, TRIE_LEAF, TRIE_BRANCH };

struct trie_node;

struct trie_slot {
    uint8_t kind;           /* enum trie_kind */
    bool dirty;             /* the reference is not known */
    bool stored;            /* there is a record under the slot's path */
    uint8_t reference_size; /* 32: a hash; less: the node's encoding */
    uint8_t reference[TRIE_HASH_SIZE];
    struct bytes suffix;    /* of a leaf: nibbles */
    struct bytes value;     /* of a leaf */
    struct trie_node *node; /* of a branch; NULL until its record was read */
};

struct trie_node {
    struct bytes extension; /* nibbles */
    struct bytes value;     /* of the key that ends at the branch; size 0: none */
    struct trie_slot children[TRIE_CHILDREN];
};

/* Read RECORD into SLOT, whatever it held but for its reference; views point into RECORD or ARENA.
 * STOA_ECORRUPT, STOA_ENOMEM. */
int trie_node_decode(struct bytes record, struct arena *arena, struct trie_slot *slot,
                     struct error_detail *detail);

/* Append SLOT's record: a branch whose children's references are known, or a leaf. STOA_ENOMEM. */
int trie_node_encode(const struct trie_slot *slot, struct buffer *out);

/* Append the RLP of the nodes that SLOT is: a leaf; a branch; or, where the branch has an
 * extension, the extension with BRANCH_SIZE of 0 to 32 bytes of BRANCH as its child. STOA_ENOMEM.
 */
int trie_node_leaf_rlp(const struct trie_slot *slot, struct buffer *out);
int trie_node_branch_rlp(const struct trie_node *node, struct buffer *out);
int trie_node_extension_rlp(const struct trie_node *node, struct bytes branch, struct buffer *out);

/* What a parent has of a node that encodes as RLP: the hash, or itself. Returns the size. */
size_t trie_node_refer(struct bytes rlp, uint8_t out[TRIE_HASH_SIZE]);

/* Compute SLOT's reference; of a branch those of its children are known. SCRATCH is overwritten.
 * STOA_ENOMEM. */
int trie_node_hash(struct trie_slot *slot, struct buffer *scratch);

/* Two nibbles a byte to one. OUT has room for twice KEY's size. */
void trie_node_unpack(struct bytes key, uint8_t *out);

#endif
