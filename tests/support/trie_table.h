/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_table.h: the records of tries in memory, for tests: what a trie_reader reads and to what the
 * writes of an update are applied. */
#ifndef TRIE_TABLE_H
#define TRIE_TABLE_H

#include "state/trie_update.h"

struct trie_table;

struct trie_table *trie_table_create(void);
void trie_table_destroy(struct trie_table *table);
struct trie_reader trie_table_reader(struct trie_table *table);

/* Apply WRITES; each record may be named once, and what is removed has to be there. */
void trie_table_apply(struct trie_table *table, const struct trie_writes *writes);
size_t trie_table_count(const struct trie_table *table);

/* The same records. */
bool trie_table_equal(const struct trie_table *a, const struct trie_table *b);

#endif
