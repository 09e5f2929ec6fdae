/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie.h: roots of hexary Merkle-Patricia tries computed in one pass over sorted keys, without
 * building the trie. Pure; any thread. Format: Ethereum yellow paper, appendix D. */
#ifndef TRIE_H
#define TRIE_H

#include "base/bytes.h"

struct trie_pair {
    struct bytes key;
    struct bytes value; /* not empty */
};

/* Root of the trie that maps RLP(index) to VALUES[index]: transactionsRoot, receiptsRoot,
 * withdrawalsRoot. Allocates nothing. STOA_EINVAL: a value is empty. */
int trie_ordered_root(const struct bytes *values, size_t count, uint8_t out_root[32]);

/* Root of PAIRS (the array is sorted in place; one key may be a prefix of another). STOA_EINVAL: a
 * key twice or longer than 64 bytes, or an empty value. Allocates nothing. */
int trie_root(struct trie_pair *pairs, size_t count, uint8_t out_root[32]);

/* The same with every key replaced by its Keccak-256, as the state and storage tries have it.
 * STOA_EINVAL, STOA_ENOMEM. */
int trie_secure_root(const struct trie_pair *pairs, size_t count, uint8_t out_root[32]);

/* Root of the empty trie: Keccak-256 of the RLP empty string. */
extern const uint8_t trie_empty_root[32];

#endif
