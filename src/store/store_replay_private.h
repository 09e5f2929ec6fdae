/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_replay_private.h: the replay of the ledger's frames, shared by store_replay*.c.
 *
 *   store_replay.c        frame by frame
 *   store_replay_batch.c  frames that count with the end of their batch, and damaged ones, which
 *                         may be of one: held back until one knows */
#ifndef STORE_REPLAY_PRIVATE_H
#define STORE_REPLAY_PRIVATE_H

#include "store/batch_record.h"
#include "store/store_private.h"

/* A frame that is held back. */
struct replay_held {
    enum ledger_kind kind; /* as its header says */
    uint64_t height;
    struct ledger_position position;
    bool damaged;
    bool update;                /* LEDGER_STATE: of the head, not of a block */
    struct pending_block block; /* LEDGER_BLOCK; LEDGER_STATE: its hash only */
};

struct replay {
    struct store *store;
    struct prepare prepare;       /* for its index stage */
    struct pending_block damaged; /* the frame before was a damaged block */
    bool has_damaged;
    struct buffer changes; /* of the state frame before, for the block with this hash */
    uint8_t changes_hash[32];
    struct ledger_position changes_position;
    bool changes_damaged;                 /* that frame is not readable */
    struct buffer held;                   /* struct replay_held each, in order */
    struct buffer update;                 /* the changes of the update among them */
    bool head_lost;                       /* a frame that may have moved the head is damaged, */
    struct ledger_position lost_position; /* this one, and nothing has told since where it went */
    uint64_t first_sequence;              /* what the tables know already ends here */
    uint64_t total_frames;
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total);
    void *progress_context;
    struct error_detail *detail;
};

/* ---- store_replay.c ---- */

/* A side block: it can be made the head where it forks off in time. */
int store_replay_note_side(struct replay *replay, const struct pending_block *block);
/* The damaged block before, now with the hash its child gives it (NULL: unknown). */
int store_replay_add_damaged(struct replay *replay, const uint8_t *hash);
/* A damaged FRAME of no batch. */
int store_replay_note_damaged(struct replay *replay, const struct replay_held *frame);
/* Take the changes in as those of the block with HASH, which is the tip; else they are passed over.
 */
int store_replay_update(struct replay *replay, const struct ledger_position *position,
                        const uint8_t hash[32], struct bytes changes);

/* ---- store_replay_batch.c ---- */

/* FRAME is damaged. */
int store_replay_hold_damaged(struct replay *replay, const struct ledger_frame *frame);
/* FRAME is a batch's: BLOCK, or with NULL a state frame. */
int store_replay_hold(struct replay *replay, const struct ledger_frame *frame,
                      const struct pending_block *block);
/* What comes next is not of a batch: what is held was of none that counts. */
int store_replay_let_go(struct replay *replay);
/* FRAME makes the batch before it count. */
int store_replay_batch(struct replay *replay, const struct ledger_frame *frame);
/* A canonical block with PARENT_HASH comes. Where the frame that moved the head is damaged, that is
 * where it went. */
int store_replay_find_head(struct replay *replay, const uint8_t parent_hash[32]);

#endif
