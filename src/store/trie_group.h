/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_group.h: several versions of a record of the tries as one entry of the tables: the newest as
 * it is, each older one as what makes it of the next newer one (trie_delta.h). The entry has the
 * height of the oldest, so of a record's entries the newest one at or below a height has the
 * version as of that height. A version alone is its record, and so is one that says that there is
 * none.
 *
 *   1  TRIE_GROUP_MARK, which no record begins with
 *   -  LEB128 height of the newest less that of the oldest
 *   -  LEB128 size of the newest, and the newest
 *   -  each older one: LEB128 height of the next newer less its own, LEB128 size, what makes it */
#ifndef TRIE_GROUP_H
#define TRIE_GROUP_H

#include "base/buffer.h"
#include "base/bytes.h"

struct error_detail;

enum { TRIE_GROUP_MARK = 0x80, TRIE_GROUP_SIZE_MAX = 8 << 10 };

/* Being made, newest first. */
struct trie_group {
    struct buffer older; /* the older ones as above */
    struct bytes newest; /* has to stay */
    uint64_t newest_height;
    uint64_t height; /* of the oldest so far */
};

void trie_group_init(struct trie_group *group);
void trie_group_deinit(struct trie_group *group);
void trie_group_begin(struct trie_group *group, struct bytes newest, uint64_t height);
/* The next older version of HEIGHT, by what makes it of the one before. STOA_ENOMEM. */
int trie_group_add(struct trie_group *group, struct bytes delta, uint64_t height);
/* How large it is, at most. */
size_t trie_group_size(const struct trie_group *group);
/* Write it to OUT, which has trie_group_size bytes. Returns its size. */
size_t trie_group_write(const struct trie_group *group, uint8_t *out);

/* The version as of BOUND of the entry ENTRY of HEIGHT, which is at or below it. SCRATCH is for the
 * record, where it is none of the entry's own bytes. STOA_ENOMEM; STOA_ECORRUPT. */
int trie_group_find(struct bytes entry, uint64_t height, uint64_t bound, struct buffer *scratch,
                    struct bytes *out_record, uint64_t *out_height, struct error_detail *detail);

/* The same entry without the versions above BOUND: into OUT, which is empty where there are none.
 * STOA_ENOMEM; STOA_ECORRUPT. */
int trie_group_cut(struct bytes entry, uint64_t height, uint64_t bound, struct buffer *out,
                   struct error_detail *detail);

#endif
