/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proof.h: that a key has a value in a trie, or has none, shown to who knows the root only: the
 * encodings of the nodes on the key's path, the root's first, each the one whose hash the one
 * before it names (a node shorter than 32 bytes is inside of that one and not listed). Pure; any
 * thread. */
#ifndef PROOF_H
#define PROOF_H

#include "state/trie_update.h"

enum { PROOF_NODES_MAX = TRIE_NIBBLES_MAX + 1 };

struct proof {
    struct bytes nodes[PROOF_NODES_MAX];
    size_t count;       /* 0: the trie is empty */
    struct bytes value; /* size 0: the key is absent */
};

/* Walk from the root of TRIE towards KEY (nibbles). OUT's views are in the task's arena. Failures
 * are in the task. */
int proof_make(struct trie_task *task, struct bytes trie, struct bytes key, struct proof *out);

/* What NODES say of KEY (bytes) in the trie of ROOT; OUT_VALUE is a view into them, of size 0 where
 * they show that it is absent. STOA_EREFUSED: they show nothing; a node that is not needed is
 * refused as well. */
int proof_verify(const uint8_t root[32], struct bytes key, const struct bytes *nodes, size_t count,
                 struct bytes *out_value, struct error_detail *detail);

#endif
