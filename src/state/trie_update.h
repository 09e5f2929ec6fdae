/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trie_update.h: what changes of keys make of a trie that is kept by path (trie_node.h): its new
 * root and the records that change. The trie itself is behind a reader, and nothing is written
 * here: whoever keeps the records applies what comes out, or throws it away.
 *
 * The changes descend from the root together, in key order, so that each branch on their way is
 * read once and hashed once. Branches that lose all but one child collapse on the way back. Before,
 * the old values may be looked up, so that a new one may depend on its old one: an account's, on
 * whose storage trie another update is then run. That goes down level by level, and the reader is
 * told of each level's records before they are read.
 *
 * Hashing follows: a task gathers what is dirty in all its updates by how far it is from the
 * leaves, and hashes each such level at once, many side by side.
 *
 * A large update is spread over threads by the root's children: trie_update_begin, then
 * trie_update_part for each part on any thread, then trie_update_end. Each part has an arena and a
 * list of writes of its own. The reader must then bear calls from those threads. */
#ifndef TRIE_UPDATE_H
#define TRIE_UPDATE_H

#include "state/trie_node.h"

/* Looks up a trie's record. */
struct trie_reader {
    /* The record of the slot PATH (nibbles) of TRIE; it has to stay until the next call.
     * STOA_ENOTFOUND. */
    int (*read)(void *context, struct bytes trie, struct bytes path, struct bytes *out_record,
                struct error_detail *detail);
    /* That record will be read: bring what is needed for it near, in TRIE_READER_STEPS steps, each
     * a while after the one before. *PLACE is the reader's, from step to step. NULL: it cannot. */
    void (*ahead)(void *context, struct bytes trie, struct bytes path, unsigned step,
                  uint64_t *place);
    void *context;
};
enum { TRIE_READER_STEPS = 3 };

struct trie_change {
    struct bytes key;   /* nibbles, at most TRIE_NIBBLES_MAX */
    struct bytes value; /* size 0: the key is removed */
    struct bytes old;   /* set by trie_update_look_up; size 0: there is none */
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

/* A dirty slot. */
struct trie_dirty {
    struct trie_dirty *next;
    struct trie_slot *slot;
    struct trie_write *write; /* of its record; or NULL */
};

enum { TRIE_LEVELS = TRIE_NIBBLES_MAX + 1 };

/* One thread's share of updates, with its own reader. */
struct trie_task {
    struct trie_reader reader;
    struct arena arena;
    struct buffer scratch;
    struct trie_writes writes;
    struct trie_dirty *dirty[TRIE_LEVELS]; /* by the most branches there are below it */
    unsigned levels;                       /* that have any */
    struct error_detail detail;
    uint64_t reads;
    uint64_t hashes;
};

struct trie_update {
    struct bytes trie; /* its name for the reader */
    bool fresh;        /* the trie is empty, whatever the reader has */
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

/* Set what is old of the changes: all of them, or with parts those of part INDEX, on any thread
 * with the task that part is then for. Their values are not looked at. Optional. */
int trie_update_look_up(struct trie_update *update, struct trie_task *task, unsigned index);

/* The changes of part INDEX. */
struct trie_change *trie_update_changes(const struct trie_update *update, unsigned index,
                                        size_t *out_count);

/* Part INDEX of trie_update_begin's, on any thread with a task that no other thread uses. */
int trie_update_part(struct trie_update *update, struct trie_task *task, unsigned index);

/* The rest, and the root. After a failed part this is not called. The writes of all tasks together
 * name each record once. */
int trie_update_end(struct trie_update *update, struct trie_task *task, uint8_t out_root[32]);

/* All of it. */
int trie_update_run(struct trie_update *update, struct trie_task *task, uint8_t out_root[32]);

/* The same for many tries, whose nodes are then hashed together: trie_update_change for each, where
 * that returned 0 for all trie_task_hash, and trie_update_root_of for each. The updates stay until
 * then. */
int trie_update_change(struct trie_update *update, struct trie_task *task);
int trie_task_hash(struct trie_task *task);
int trie_update_root_of(struct trie_update *update, struct trie_task *task, uint8_t out_root[32]);

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
