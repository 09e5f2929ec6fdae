/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_verify_private.h: what the files of store_verify share. */
#ifndef STORE_VERIFY_PRIVATE_H
#define STORE_VERIFY_PRIVATE_H

#include "store/store_private.h"
#include "store/values.h"

struct verify {
    struct store *store;
    void (*damage)(void *context, const struct stoa_damage *damage);
    void *damage_context;
    struct stoa_verify_report report;
    uint64_t canonical;
    uint64_t block_keys;
    uint64_t sides;
    uint64_t postings[POSTING_KINDS];
    struct prepare prepare; /* for what a block adds to the indexes */
    bool has_head;          /* what the ledger says so far */
    uint8_t head[32];
    /* Of the batch that the frames before are of: */
    uint64_t batch_frames; /* its blocks and its update, in the tables or not */
    uint64_t batch_known;  /* of these are in the tables */
    bool deep;
    struct buffer changes; /* of the block that comes next */
    uint8_t changed[32];   /* its hash */
    bool out_of_memory;
    struct tries_work tries;
    struct error_detail *detail;
};

void verify_report(struct verify *verify, const struct ledger_frame *frame, const char *file,
                   const char *what);

/* store_verify_deep.c */
/* CHANGES came with the block HASH, which is next. */
void verify_deep_note(struct verify *verify, const uint8_t hash[32], struct bytes changes);
/* The canonical block HASH; STATE_ROOT where its state is known and was compared, else NULL. */
int verify_deep_block(struct verify *verify, uint64_t height, const uint8_t hash[32],
                      const uint8_t *state_root);
int verify_deep_values(struct verify *verify); /* at the end */

#endif
