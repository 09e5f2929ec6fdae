/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simtree.h: a tree of blocks with competing branches in a store on a simulated machine, and what
 * brute force over the winning branch says about it: which block is at each height, where each
 * transaction is and with which receipt, what each raw key of the state holds, where logs like some
 * of the tree's are, and with which transactions their contracts have to do. */
#ifndef SIMTREE_H
#define SIMTREE_H

#include "support/simstate.h"
#include "support/simstore.h"

enum { SIMTREE_KEYS = 12, SIMTREE_CHANGES = 4 };

struct simtree_transaction {
    uint8_t hash[32];
    struct bytes receipt; /* data NULL: none */
};

/* Changes of raw keys without a block, made while a block was the head. */
struct simtree_update {
    unsigned count;
    unsigned keys[SIMTREE_CHANGES];
    bool removed[SIMTREE_CHANGES];
    uint8_t values[SIMTREE_CHANGES][32];
};

struct simtree_updates {
    struct simtree_update *updates; /* in their order */
    size_t count;
};

struct simtree_block {
    struct simtree_updates updates;
    struct bytes block;
    struct bytes receipts;
    uint64_t number;
    uint8_t hash[32];
    uint8_t total_difficulty[32];
    struct simtree_block *parent; /* NULL: the genesis, or it is */
    struct simtree_transaction *transactions;
    size_t transaction_count;
    bool stored;
    bool rooted; /* ROOT is known: of the state's trie, with the tree's accounts */
    uint8_t root[32];
};

struct simtree {
    struct simstore sim;
    struct simtree_block **blocks; /* in the order added */
    size_t count;
    size_t capacity;
    struct simtree_block *head;       /* NULL: the genesis that came with the store */
    struct simtree_block **canonical; /* by height; of the head */
    size_t sampled;                   /* how many logs were taken to ask for their like */
    struct bytes accounts; /* genesis.json: blocks change accounts and storage (simstate.h) */
    bool no_state;         /* blocks are stored without changes of raw keys */
    struct simtree_updates updates; /* of the genesis that came with the store */
};

/* An open store with the genesis of CHAIN (NULL: without one), on a machine that SEED drives. */
void simtree_init(struct simtree *tree, uint64_t seed, const struct made_chain *chain);
void simtree_deinit(struct simtree *tree);

/* Add a block to the tree, which the store does not have yet; its parent is in the tree already,
 * or it is the first on the store's own genesis. Both are copied. */
struct simtree_block *simtree_add(struct simtree *tree, struct bytes block, struct bytes receipts);
struct simtree_block *simtree_add_made(struct simtree *tree, const struct made_block *block);
/* All blocks of COUNT chains that begin in the tree. */
void simtree_add_chains(struct simtree *tree, struct made_chain *const *chains, size_t count);
struct simtree_block *simtree_find(const struct simtree *tree, const uint8_t hash[32]);

/* What storing BLOCK asks for; CHANGES has room for SIMTREE_CHANGES, VALUES outlives the put. */
struct simtree_changes {
    struct stoa_change changes[SIMTREE_CHANGES];
    char keys[SIMTREE_CHANGES][8];
    struct simstate_changes state;
};
struct stoa_store_block simtree_put_of(const struct simtree *tree,
                                       const struct simtree_block *block,
                                       struct simtree_changes *changes);

/* Store it; the model follows where it succeeds. */
int simtree_put(struct simtree *tree, struct simtree_block *block, unsigned flags);

/* Some changes that follow from SEED; the same as CHANGES, which has room for SIMTREE_CHANGES and
 * KEYS as well; store them, and the model follows; the model only. */
void simtree_make_update(uint64_t seed, struct simtree_update *out_update);
void simtree_changes_of(const struct simtree_update *update, struct simtree_changes *out_changes);
int simtree_update(struct simtree *tree, const struct simtree_update *update);
void simtree_note_update(struct simtree *tree, const struct simtree_update *update);

/* A batch: blocks with the flags they are stored with, a change of head, changes of the head. */
enum { SIMTREE_BATCH_MAX = 16 };
struct simtree_batch {
    struct simtree_block *blocks[SIMTREE_BATCH_MAX];
    unsigned flags[SIMTREE_BATCH_MAX];
    size_t count;
    struct simtree_block *head; /* NULL: as the flags say */
    bool has_update;
    struct simtree_update update;
};

/* Ask the store for it; and the same in the model only. */
int simtree_ask_batch(struct simtree *tree, const struct simtree_batch *batch);
void simtree_note_batch(struct simtree *tree, const struct simtree_batch *batch);

/* One that the store takes, with something in it, as RANDOM has it. */
void simtree_make_batch(struct simtree *tree, uint64_t *random, struct simtree_batch *out_batch);

/* Make BLOCK (NULL: the store's genesis with HASH) the head, in the model too. */
void simtree_hop(struct simtree *tree, struct simtree_block *block);
void simtree_set_head(struct simtree *tree, struct simtree_block *block); /* in the model only */

/* Everything the store says is what brute force over the winning branch says. */
void simtree_expect(struct simtree *tree);
void simtree_expect_verified(struct simtree *tree);

void simtree_checkpoint(struct simtree *tree);
void simtree_reopen(struct simtree *tree);

#endif
