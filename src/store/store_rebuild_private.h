/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_rebuild_private.h: an index that is made anew, shared by store_rebuild*.c.
 *
 *   store_rebuild.c          step by step; what comes from blocks
 *   store_rebuild_state.c    what comes from the state frames of blocks
 *   store_rebuild_heights.c  the table of heights */
#ifndef STORE_REBUILD_PRIVATE_H
#define STORE_REBUILD_PRIVATE_H

#include "store/store_private.h"

enum { REBUILD_READ_BLOCKS = 64 };

enum rebuild_phase { REBUILD_GATHER, REBUILD_HOLD, REBUILD_LAST, REBUILD_SETTLE };

struct rebuild_state;

/* A canonical block whose state frames are read. */
struct rebuild_height {
    uint8_t hash[32];
    struct ledger_position position; /* of its newest state frame; sequence 0: it has none */
    struct rebuild_state *states;    /* that were read, oldest first */
};

struct store_rebuild_work {
    struct store *store;
    struct store_rebuild *owner;
    enum index_kind kind;
    enum rebuild_phase phase;
    struct index_anew *anew;
    struct index_progress progress; /* written */
    struct index_progress at;       /* gathered */
    struct index_progress check;    /* of what is written, against the tables */
    uint64_t limit;                 /* of this pass: blocks below it */
    unsigned passes;
    unsigned tries;
    size_t singly; /* blocks still to be read one by one, to find the damaged one */
    struct store_request range;
    struct workers_job job;
    struct pending *batch;
    size_t entries; /* in it */
    struct prepare prepare;
    struct rebuild_height *heights; /* REBUILD_READ_BLOCKS of them, where state is made anew */
    unsigned height_count;
    unsigned height_next; /* to be read */
    unsigned reading;
    struct rebuild_heights *heights_walk;   /* where it is heights; else NULL */
    struct index_heights_note heights_kept; /* all below the line is right */
    bool stopping;                          /* read by workers as well */
    bool own_checkpoint;
    int result; /* of the job, or of the reads */
};

/* ---- store_rebuild.c ---- */

void store_rebuild_go_on(struct store_rebuild_work *work);
/* It is over with RESULT; WORK is gone. */
void store_rebuild_end(struct store_rebuild_work *work, int result);
void store_rebuild_start_job(struct store_rebuild_work *work,
                             void (*run)(struct workers_job *job, void *worker_state),
                             void (*done)(struct workers_job *job));
/* ENTRIES are those of the next block, with HASH. STOA_ENOMEM. */
int store_rebuild_add(struct store_rebuild_work *work, const uint8_t hash[32],
                      const struct pending_entries *entries);

/* Nothing is applied or merged from now on: the last part. */
void store_rebuild_hold(struct store_rebuild_work *work);
/* It has taken its place: a checkpoint, and it is over. */
void store_rebuild_settle(struct store_rebuild_work *work);
/* Blocks below it stay in the chain and are in the tables. */
uint64_t store_rebuild_line(const struct store *store);

/* ---- store_rebuild_heights.c ---- */

int store_rebuild_heights_create(struct store_rebuild_work *work); /* STOA_ENOMEM */
void store_rebuild_heights_step(struct store_rebuild_work *work);
void store_rebuild_heights_last(struct store_rebuild_work *work); /* the last part begins */
void store_rebuild_heights_free(struct store_rebuild_work *work);

/* ---- store_rebuild_state.c ---- */

/* Read and take in what some blocks from the next one on changed; then go on. */
void store_rebuild_state_read(struct store_rebuild_work *work);
void store_rebuild_state_free(struct store_rebuild_work *work);

#endif
