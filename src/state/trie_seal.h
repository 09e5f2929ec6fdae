/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_seal.h: hashing what an update left dirty, and its records: the second half of
 * trie_update.h, which see. */
#ifndef TRIE_SEAL_H
#define TRIE_SEAL_H

#include "state/trie_update.h"

/* Gather what is dirty in SLOT of TRIE, whose path is DEPTH nibbles, 0 or FIRST alone, for
 * trie_task_hash. */
int trie_seal(struct bytes trie, struct trie_task *task, struct trie_slot *slot, size_t depth,
              unsigned first);

/* A write of PATH (which is copied) whose record is not known yet: none, until it is. NULL: no
 * memory, and the task says so. */
struct trie_write *trie_seal_plan(struct trie_task *task, struct bytes trie, struct bytes path);
void trie_seal_write(struct trie_task *task, struct trie_write *write); /* it is to be made */

#endif
