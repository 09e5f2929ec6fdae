/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_delta.h: a record of a trie as what makes it of another one of the same node: mostly that
 * differs in a child's hash or two of many. Pure.
 *
 *   LEB128 size of the record, then parts until that is reached, each
 *     LEB128 bytes that are as in the other one
 *     LEB128 bytes of the other one that are passed over
 *     LEB128 bytes that follow, and those
 *   what is missing then is as in the other one. */
#ifndef TRIE_DELTA_H
#define TRIE_DELTA_H

#include "base/buffer.h"
#include "base/bytes.h"

/* As many bytes as a number takes at most. */
enum { TRIE_DELTA_NUMBER_MAX = 10 };
uint8_t *trie_delta_put_number(uint8_t *to, uint64_t number);
/* False: there is none, or one of more than 64 bits. */
bool trie_delta_take_number(struct bytes *cursor, uint64_t *out_number);

/* Append to OUT what makes TO of FROM. STOA_ENOMEM. */
int trie_delta_make(struct bytes from, struct bytes to, struct buffer *out);

/* Append to OUT, which has nothing of FROM or DELTA, what DELTA makes of FROM. STOA_ENOMEM;
 * STOA_ECORRUPT. */
int trie_delta_apply(struct bytes from, struct bytes delta, struct buffer *out);

#endif
