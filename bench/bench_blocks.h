/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_blocks.h: the workload. Blocks of the busy load (support/made_load.h) are made once, by the
 * parent, a slice at a time, in memory that it shares with the engines' processes: all get the same
 * bytes, and no engine's time or memory holds their making. What is remembered of every block is
 * enough to ask for it and to check what comes. Create it before forking. The parent alone makes;
 * whoever else looks does so while the parent waits for it. */
#ifndef BENCH_BLOCKS_H
#define BENCH_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "store/posting.h"
#include "support/made_load.h"

enum {
    BENCH_SLICE_MAX = 2048,
    BENCH_HOT_BLOCKS = 128,                              /* how many are hot: the newest */
    BENCH_HOT_KEPT = BENCH_HOT_BLOCKS + BENCH_SLICE_MAX, /* all of these is remembered */
    BENCH_PICKS = 4, /* transactions that are remembered of every block */
};

struct bench_part {
    uint32_t offset;
    uint32_t size;
};

struct bench_transaction {
    uint8_t hash[32];
    struct bench_part envelope; /* where it is in the block, */
    struct bench_part receipt;  /* and its receipt in the receipts */
};

struct bench_block {
    uint64_t number;
    uint64_t logical_size; /* bytes that a store has to keep of it */
    uint8_t hash[32];
    struct stoa_bytes block;
    struct stoa_bytes receipts;
    struct stoa_bytes senders; /* 20 bytes a transaction */
    const struct bench_transaction *transactions;
    size_t transaction_count;
    const struct stoa_change *changes;
    const uint32_t *key_numbers;
    size_t change_count;
    const struct posting *postings; /* of addresses and logs, for engines that do not find them */
    size_t posting_count;
};

/* A transaction, and the checksums of it and its receipt. */
struct bench_pick {
    uint8_t hash[32];
    uint64_t sum;
    uint64_t receipt_sum;
};

struct bench_memo {
    uint8_t hash[32];
    uint64_t sum; /* of the block */
    struct bench_pick picks[BENCH_PICKS];
};

struct bench_hot {
    struct bench_pick picks[MADE_LOAD_TRANSACTIONS];
    uint32_t key_numbers[MADE_LOAD_CHANGES];
};

struct bench_shape {
    unsigned transactions; /* of a block */
    unsigned changes;
};

struct bench_blocks;

/* BLOCKS_MAX: how many can be remembered; those above it are only made. NULL: no memory. */
struct bench_blocks *bench_blocks_create(uint64_t seed, struct bench_shape shape,
                                         uint64_t blocks_max);
void bench_blocks_destroy(struct bench_blocks *blocks);

/* Make the next COUNT blocks, at most BENCH_SLICE_MAX, in place of those made before. */
void bench_blocks_make(struct bench_blocks *blocks, size_t count);

/* How many were made since the beginning: the next number. */
uint64_t bench_blocks_next(const struct bench_blocks *blocks);

/* The slice made last. */
const struct bench_block *bench_blocks_slice(const struct bench_blocks *blocks, size_t *out_count);

/* Let the caller's process map what the slice takes, so that no fault falls into its time. */
void bench_blocks_touch(const struct bench_blocks *blocks);

/* NUMBER was made, and is below BLOCKS_MAX. */
const struct bench_memo *bench_blocks_memo(const struct bench_blocks *blocks, uint64_t number);

/* NUMBER is one of the BENCH_HOT_KEPT made last. */
const struct bench_hot *bench_blocks_hot(const struct bench_blocks *blocks, uint64_t number);

/* The key of the state with this number, below MADE_LOAD_KEYS. */
void bench_blocks_key(const struct bench_blocks *blocks, uint32_t number, uint8_t out[32]);

/* Memory that processes forked from now on share. NULL: there is none. */
void *bench_blocks_share(size_t size);

#endif
