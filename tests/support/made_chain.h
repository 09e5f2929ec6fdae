/* SPDX-License-Identifier: GPL-3.0-or-later */
/* made_chain.h: a whole valid chain out of a seed, for tests and the demo, in memory.
 *
 * Block 1's parent is the block of the genesis.json that comes with it. As heights rise the chain
 * goes through every fork (made_chain.c, enum made_fork), so headers grow from 15 to 21 fields and
 * the transactions are of all types; some blocks have uncles, from Shanghai on most have
 * withdrawals. Every root, hash, bloom, gas sum, link and signature is right, except that state
 * roots after the genesis are any 32 bytes: nothing was executed. The same seed and count make the
 * same bytes; a longer chain begins as the shorter one does. Running out of memory aborts. One
 * thread makes it; any may read it. */
#ifndef MADE_CHAIN_H
#define MADE_CHAIN_H

#include "base/buffer.h"
#include "base/bytes.h"

enum { MADE_CHAIN_ID = 20221 };

struct made_transaction {
    uint8_t hash[32];
    uint8_t sender[20];
    unsigned type;
    bool creates;
    uint8_t created[20];
    struct bytes envelope; /* inside the chain's memory; consensus encoding */
    struct bytes receipt;
};

struct made_block {
    uint64_t number;
    uint8_t hash[32];
    uint8_t parent_hash[32];
    uint8_t state_root[32];
    uint8_t difficulty[32];
    struct buffer block;    /* RLP */
    struct buffer receipts; /* RLP list, see receipt.h */
    struct buffer senders;  /* 20 bytes a transaction */
    struct buffer bodies;   /* what envelope and receipt of each transaction point into */
    struct made_transaction *transactions;
    size_t transaction_count;
};

struct made_chain;

/* Blocks 1 to COUNT over a genesis made from SEED. */
struct made_chain *made_chain_create(uint64_t seed, uint64_t count);

/* COUNT other blocks on top of block HEIGHT of BASE (0: its genesis): a side branch. BASE may be
 * destroyed before it. A SEED other than the base's makes other blocks. */
struct made_chain *made_chain_create_branch(const struct made_chain *base, uint64_t height,
                                            uint64_t seed, uint64_t count);

/* The same, but many of its transactions are those of BASE above HEIGHT, in their order, though not
 * in the same blocks nor with the same receipts: two branches that include what the same pool had.
 */
struct made_chain *made_chain_create_rival(const struct made_chain *base, uint64_t height,
                                           uint64_t seed, uint64_t count);
void made_chain_destroy(struct made_chain *chain);

/* Text of the genesis.json; for a branch its base's. */
struct bytes made_chain_genesis_json(const struct made_chain *chain);
const uint8_t *made_chain_genesis_hash(const struct made_chain *chain);

/* Number of the first block, and how many there are. */
uint64_t made_chain_first(const struct made_chain *chain);
uint64_t made_chain_count(const struct made_chain *chain);

/* NULL where the chain has no block NUMBER (it never has the genesis). */
const struct made_block *made_chain_block(const struct made_chain *chain, uint64_t number);

/* All blocks one after another, as geth exports them: appended to OUT. */
void made_chain_export(const struct made_chain *chain, struct buffer *out);

/* One line of execution.jsonl for BLOCK: number, hash, stateRoot, txs, receipts. */
void made_chain_execution(const struct made_block *block, struct buffer *out);

#endif
