/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_batch_private.h: a batch under way, shared by store_batch*.c.
 *
 *   store_batch.c       submitted, verified; its frames, and what comes of them
 *   store_batch_link.c  where its blocks have their places, and which block is the head afterwards
 */
#ifndef STORE_BATCH_PRIVATE_H
#define STORE_BATCH_PRIVATE_H

#include "store/store_branch_private.h"

struct batch_block {
    struct store_put *put;
    size_t parent;          /* in the batch: its index + 1; 0: it is stored */
    bool parent_difficulty; /* its total difficulty is known: in the put's */
};

struct store_batch_work {
    struct store_put *put; /* whose it is: the changes, and the members */
    struct batch_block *blocks;
    size_t count;
    size_t next; /* block whose parent is to be read */
    unsigned verifying;
    struct workers_job keys_job; /* encodes the changes */
    struct workers_job link_job;
    struct store_request read; /* of a parent */
    int result;
    size_t failed; /* which block it is about; COUNT: the head */
    struct error_detail detail;
    bool moves; /* the head will be another */
    uint8_t head[32];
    struct store_put **own; /* the last of the new branch, where the batch has them */
    size_t own_count;
    struct branch_change *change; /* or NULL */
    struct buffer record;
    struct ledger_append commit;
};

/* Find all places; then store_batch_linked, with WORK's result. */
void store_batch_link(struct store_batch_work *work);
void store_batch_linked(struct store_batch_work *work);

#endif
