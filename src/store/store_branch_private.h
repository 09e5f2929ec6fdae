/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_branch_private.h: a change of branch under way, shared by store_branch*.c.
 *
 *   store_branch.c         finding what changes, the record, the switch
 *   store_branch_read.c    where the blocks lie; their frames read, their entries computed
 *   store_branch_tries.c   what losers made of the state's tries, and what winners make of them
 *   store_branch_replay.c  the same at open, and what is kept in memory of the branches */
#ifndef STORE_BRANCH_PRIVATE_H
#define STORE_BRANCH_PRIVATE_H

#include "store/store_private.h"

enum item_role { LOSER, WINNER, PARENT };

/* One of the frames that say what a block changes in the state. */
struct branch_state {
    struct branch_item *item;
    struct ledger_read read;
    struct branch_state *next;
};

/* A block that changes sides; or (PARENT) one of which only the total difficulty is needed. */
struct branch_item {
    struct branch_change *change;
    enum item_role role;
    bool located;
    bool any_state; /* RECORD_ANY_STATE */
    struct trie_layer *layer;
    struct pending_block block;
    struct prepare prepare;
    struct ledger_read read;
    struct branch_state *states; /* the oldest first */
    struct workers_job job;
    int result;
    struct error_detail detail;
};

struct branch_change {
    struct store *store;
    struct store_put *put;  /* whose it is; NULL: replay, on the loop */
    struct store_put **own; /* the last winners, where they are not stored yet, lowest first */
    size_t own_count;
    struct store_put *own_one[1];                /* OWN of a put: itself */
    bool own_linked;                             /* their total difficulties are known (a batch) */
    void (*ready)(struct branch_change *change); /* a batch: instead of the record; or NULL */
    struct pending_room extra;                   /* that it needs besides */
    struct head_mark head;
    struct head_mark ancestor;
    struct head_mark safe; /* as it will be */
    uint8_t total_difficulty[32];
    struct branch_item *items; /* losers, then winners, heights rising in each; then a parent */
    size_t loser_count;
    size_t winner_count; /* with its own, which are no items */
    size_t item_count;
    size_t item_next; /* to be read */
    unsigned under_way;
    struct workers_job job;
    struct workers_job own_job;
    struct index_place place; /* of a block looked up */
    bool ancestor_known;      /* to be canonical */
    bool state_settled;       /* whether the state is known at the ancestor */
    bool state_known;
    uint64_t state_end;   /* once it is made */
    uint64_t state_bound; /* the tables are to be asked up to this height */
    struct store_tries_waiter tries_waiter;
    struct workers_job tries_job;
    bool holds;              /* HELD is to be made */
    uint64_t held_below;     /* the tables have all of the tries below */
    struct trie_layer *held; /* what they do not have up to the ancestor; or NULL */
    struct tries_reader reader;
    struct tries_work tries;
    struct buffer record;
    struct ledger_append append;
    bool finished;
    int result;
    struct error_detail *detail;
};
/* ---- store_branch.c ---- */

struct head_mark store_branch_mark_of(uint64_t height, const uint8_t hash[32]);

/* On a worker; in replay there are none. */
void store_branch_run_job(struct branch_change *change, struct workers *workers,
                          struct workers_job *job);
void store_branch_deinit(struct branch_change *change);

/* Of a change that replay makes the memory is replay's. */
void store_branch_finish(struct branch_change *change, int result);

/* All is read: write the record, and make the switch once it is durable. Replay has it already. */
void store_branch_record(struct branch_change *change);

/* A change of head for a batch, to HASH: a stored block, or the last of OWN, each of which is the
 * parent of the next; their total difficulties are the batch's affair. NULL: no memory. Once its
 * `ready` is set it is started: it is called when all is read, and the rest, from the record on, is
 * the batch's; or PUT is finished with why it cannot be. */
struct branch_change *store_branch_for_batch(struct store_put *put, struct store_put **own,
                                             size_t own_count, const uint8_t hash[32]);
void store_branch_start(struct branch_change *change);

/* The record of CHANGE, with its winners. STOA_ENOMEM. */
int store_branch_encode_record(struct branch_change *change);

/* Room for all that the switch adds. STOA_ENOMEM. */
int store_branch_reserve(struct branch_change *change);

/* Everything at once, and nothing that could fail. POSITION is the record's. */
void store_branch_switch_over(struct branch_change *change, const struct ledger_position *position);

/* ---- store_branch_read.c ---- */

/* Find out where the items lie, read them, compute their entries; then store_branch_tries. */
void store_branch_read_locate(struct branch_change *change);
void store_branch_read_set_place(struct branch_item *item, const uint8_t hash[32],
                                 const struct ledger_position *position,
                                 const struct ledger_position *state_position);

/* ---- store_branch_tries.c ---- */

/* Whether the state is known at the ancestor: the pending batches, then the tables are asked. */
void store_branch_tries_find_gap(struct branch_change *change);
int store_branch_tries_look_up_gap(struct branch_change *change, struct kv_session *session);

/* All is read: compute the layers, hold the winners' roots against their headers; then
 * store_branch_record. */
void store_branch_tries(struct branch_change *change);

#endif
