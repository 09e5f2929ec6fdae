/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_update.h: what changes of keys make of a trie that is kept by path (trie_node.h): its new
 * root and the records that change. The trie itself is behind a reader, and nothing is written
 * here: whoever keeps the records applies what comes out, or throws it away.
 *
 * The changes descend from the root together, in key order, so that each branch on their way is
 * read once and hashed once. Values are settled where a key's place is reached, with the old value
 * at hand (settle), so that a value may depend on the old one: an account's, on whose storage trie
 * another update is then run. Branches that lose all but one child collapse on the way back;
 * hashing follows in a second walk over what is dirty.
 *
 * A large update is spread over threads by the root's children: trie_update_begin, then
 * trie_update_part for each part on any thread, then trie_update_end. Each part has an arena and a
 * list of writes of its own. The reader and the settling must then bear calls from those threads.
 */
#ifndef TRIE_UPDATE_H
#define TRIE_UPDATE_H

#include "state/trie_node.h"

/* Looks up a trie's record. */
struct trie_reader {
    /* The record of the slot PATH (nibbles) of TRIE; it has to stay until the next call.
     * STOA_ENOTFOUND. */
    int (*read)(void *context, struct bytes trie, struct bytes path, struct bytes *out_record,
                struct error_detail *detail);
    void *context;
};

struct trie_change {
    struct bytes key;   /* nibbles, at most TRIE_NIBBLES_MAX */
    struct bytes value; /* size 0: the key is removed */
    void *settle;       /* with a settle function: what it is called with */
};

struct trie_write {
    struct trie_write *next;
    struct bytes trie;
    struct bytes path;   /* nibbles */
    struct bytes record; /* size 0: the record is removed */
};

struct trie_writes {
    struct trie_write *first;
    struct trie_write *last;
};

/* One thread's share of updates, with its own reader. */
struct trie_task {
    struct trie_reader reader;
    struct arena arena;
    struct buffer scratch;
    struct trie_writes writes;
    struct error_detail detail;
    uint64_t reads;
    uint64_t hashes;
};

struct trie_update {
    struct bytes trie; /* its name for the reader */
    /* NULL, or sets CHANGE's value from what it replaces (size 0: nothing); the value has to stay.
     * It is called once a change at most. */
    int (*settle)(struct trie_task *task, struct trie_change *change, struct bytes old);
    bool fresh; /* the trie is empty, whatever the reader has */
    struct trie_slot root;
    struct trie_change *changes; /* sorted by key, each key once; they stay until the end */
    size_t count;
    bool parted;
};

void trie_task_init(struct trie_task *task, const struct trie_reader *reader);
void trie_task_deinit(struct trie_task *task);

/* Forget what was allocated and written, keep the memory. */
void trie_task_reset(struct trie_task *task);

/* Read the root of UPDATE->trie. OUT_PARTS: 16 where it is a branch without extension and there is
 * enough to do that spreading it pays, else 0: then everything is done by trie_update_end. Failures
 * of all calls are in the task. */
int trie_update_begin(struct trie_update *update, struct trie_task *task, unsigned *out_parts);

/* Part INDEX of trie_update_begin's, on any thread with a task that no other thread uses. */
int trie_update_part(struct trie_update *update, struct trie_task *task, unsigned index);

/* The rest, and the root. After a failed part this is not called. The writes of all tasks together
 * name each record once. */
int trie_update_end(struct trie_update *update, struct trie_task *task, uint8_t out_root[32]);

/* All of it. */
int trie_update_run(struct trie_update *update, struct trie_task *task, uint8_t out_root[32]);

/* Add to the task's writes the removal of every record of TRIE, and call LEAF (may be NULL) with
 * the key (nibbles) and value of each leaf. */
int trie_update_wipe(struct bytes trie, struct trie_task *task,
                     int (*leaf)(void *context, struct bytes key, struct bytes value),
                     void *context);

/* Read the record of PATH into SLOT. STOA_ENOTFOUND. */
int trie_update_read(struct trie_task *task, struct bytes trie, struct bytes path,
                     struct trie_slot *slot);

/* The root as it is. */
int trie_update_root(struct bytes trie, struct trie_task *task, uint8_t out_root[32]);

#endif
