/* SPDX-License-Identifier: GPL-3.0-or-later */
/* import_window.h: blocks, and receipts of stored ones, on their way into the store. As many as the
 * window holds are submitted before the first is durable; the store takes them in the order
 * submitted. Each sits in a slot that owns its bytes until it is done. The first failure in that
 * order stops the window: no slot is given out after it. One thread. */
#ifndef IMPORT_WINDOW_H
#define IMPORT_WINDOW_H

#include <stdbool.h>

#include "stoa.h"
#include "stoa/execution_file.h"

/* Blocks and bytes under way at once, unless a single block is larger. */
enum { IMPORT_WINDOW_BLOCKS = 512, IMPORT_WINDOW_BYTES = 64 << 20 };

/* What is to be stored: filled by the caller between take and submit. */
struct import_slot {
    struct buffer block;
    struct execution_block execution; /* what of it is used, the flags say */
    bool has_receipts;
    bool receipts_only;    /* the block is stored, HASH says which; its receipts are to be */
    bool has_expectations; /* hash and senders as well */
    uint64_t number;
    uint8_t hash[32];
    uint64_t sequence; /* of the window, from here on */
    bool done;
    int result; /* then */
};

struct import_window {
    struct stoa *stoa; /* the caller's */
    unsigned skip;     /* STOA_SKIP_… */
    bool print_stored; /* a line for each group of blocks that is durable */
    struct import_slot slots[IMPORT_WINDOW_BLOCKS];
    struct import_slot *unused[IMPORT_WINDOW_BLOCKS];
    size_t unused_count;
    struct import_slot *order[IMPORT_WINDOW_BLOCKS]; /* by sequence modulo its size */
    uint64_t first;                                  /* sequence of the oldest not done */
    uint64_t next;
    size_t bytes;
    uint64_t stored;
    uint64_t stored_bytes;
    uint64_t stored_number; /* the newest */
    uint64_t receipts;      /* blocks that were stored before and have theirs now */
    int failure;            /* 0, or of the block below */
    bool side;              /* store them off the canonical chain */
    uint64_t failed_sequence;
    uint64_t failed_number;
    struct stoa_detail failure_detail;
};

/* STOA_ENOMEM. */
int import_window_create(struct stoa *stoa, unsigned skip, bool print_stored,
                         struct import_window **out_window);

/* Nothing is under way. NULL is allowed. */
void import_window_destroy(struct import_window *window);

/* A slot with empty buffers, once one is free. NULL after a failure. */
struct import_slot *import_window_take(struct import_window *window);

/* Send SLOT, which the window then owns. False after a failure. */
bool import_window_submit(struct import_window *window, struct import_slot *slot);

/* Take back a slot that is not to be sent. */
void import_window_drop(struct import_window *window, struct import_slot *slot);

/* Wait for all that is under way. Returns the failure, or 0. */
int import_window_drain(struct import_window *window);

#endif
