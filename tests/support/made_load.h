/* SPDX-License-Identifier: GPL-3.0-or-later */
/* made_load.h: blocks shaped as a busy validator sees them, made fast out of (seed, number,
 * parent), for benchmarks: 200 transactions (transfers and calls of 110 to 400 bytes), receipts
 * with logs, and 1,000 changes of distinct 32-byte state keys, drawn by Zipf's law from 2 million,
 * with values of 32 to 100 bytes; about 175 KB in all. Encodings are well formed, and hashes and
 * parent links true; roots, blooms and signatures only look like it, so the blocks are stored with
 * STOA_SKIP_ALL and the senders that come with them; unless they are to be rooted: then all is true
 * but the state root and that the signatures are of whom they recover to, not of the senders, at
 * three times the price. One thread. */
#ifndef MADE_LOAD_H
#define MADE_LOAD_H

#include "base/buffer.h"
#include "stoa.h"

enum {
    MADE_LOAD_TRANSACTIONS = 200,
    MADE_LOAD_CHANGES = 1000,
    MADE_LOAD_KEYS = 2000000,
};

struct made_load_block {
    uint64_t number;
    uint8_t hash[32];
    unsigned transaction_count; /* MADE_LOAD_TRANSACTIONS and MADE_LOAD_CHANGES where no less is */
    unsigned change_count;      /* asked for */
    struct buffer block;        /* RLP */
    struct buffer receipts;     /* RLP list */
    uint8_t senders[MADE_LOAD_TRANSACTIONS][20];
    uint8_t transaction_hashes[MADE_LOAD_TRANSACTIONS][32];
    struct stoa_change changes[MADE_LOAD_CHANGES]; /* into state */
    uint32_t key_numbers[MADE_LOAD_CHANGES];
    struct buffer state;
    struct buffer postings; /* struct posting each, for peers that are to index the same; empty
                               until made_load_index */
};

struct made_load;

struct made_load *made_load_create(uint64_t seed);
void made_load_destroy(struct made_load *load);

/* Blocks have their true roots and blooms from now on. */
void made_load_set_rooted(struct made_load *load);

/* Blocks are smaller from now on: at most as many as without. Not with true roots. */
void made_load_set_shape(struct made_load *load, unsigned transactions, unsigned changes);

/* The key with this number, below MADE_LOAD_KEYS. */
void made_load_key(const struct made_load *load, uint32_t number, uint8_t out[32]);

/* OUT is zeroed before its first use and reuses its memory after; made_load_block_deinit frees it.
 * PARENT_HASH is 32 zeros for number 0. */
void made_load_make(struct made_load *load, uint64_t number, const uint8_t parent_hash[32],
                    struct made_load_block *out);
void made_load_block_deinit(struct made_load_block *block);

/* Compute BLOCK's postings of addresses and logs. */
void made_load_index(struct made_load_block *block);

/* Bytes that a store has to keep of BLOCK: block, receipts, senders, keys and values. */
uint64_t made_load_logical_size(const struct made_load_block *block);

#endif
