/* SPDX-License-Identifier: GPL-3.0-or-later */
/* simstate.h: changes of accounts and storage that follow from a block's hash, and the state root
 * that they lead to, worked out by a table of records in memory. The accounts and slots are few, so
 * that blocks and branches meet in them. */
#ifndef SIMSTATE_H
#define SIMSTATE_H

#include "base/bytes.h"
#include "stoa.h"

enum { SIMSTATE_ACCOUNTS = 3, SIMSTATE_SLOTS = 2 * SIMSTATE_ACCOUNTS };

struct simstate_changes {
    struct stoa_account_change accounts[SIMSTATE_ACCOUNTS];
    struct stoa_slot_change slots[SIMSTATE_SLOTS];
};

/* PUT stores the block of HASH with its changes, which outlive it. */
void simstate_fill(const uint8_t hash[32], struct simstate_changes *changes,
                   struct stoa_store_block *put);

/* The root after the blocks with HASHES, in their order, over the genesis of GENESIS_JSON. */
void simstate_root(struct bytes genesis_json, const uint8_t *const *hashes, size_t count,
                   uint8_t out_root[32]);

#endif
