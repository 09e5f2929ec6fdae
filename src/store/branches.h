/* SPDX-License-Identifier: GPL-3.0-or-later */
/* branches.h: the stored blocks off the canonical chain that can still become part of it. In
 * memory, so that a change of branch is planned without reading anything; the table `sides` brings
 * it back at open. The loop's.
 *
 * Invariant: the parent of each block is in here too, or canonical and not below the line (see
 * branches_raise). So every walk along parents ends at a canonical block, which is where the branch
 * forks off. What forks off below the line is not in here: it stays readable by hash, and never
 * becomes canonical. */
#ifndef BRANCHES_H
#define BRANCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/ledger.h"

enum { BRANCHES_MAX = 1 << 20 }; /* blocks */

struct branches;

struct branches_block {
    uint8_t hash[32];
    uint8_t parent_hash[32];
    uint8_t total_difficulty[32];
    uint64_t height;
    struct ledger_position position;
    struct ledger_position state_position; /* of its state changes; sequence 0: it has none */
};

struct branches *branches_create(void);
void branches_destroy(struct branches *branches);

/* Forget everything, the line too. */
void branches_clear(struct branches *branches);

/* BLOCK is copied; its parent is in here or PARENT_CANONICAL. Where it is not, or the fork is below
 * the line, nothing happens, as where it is in here already. STOA_ENOMEM; STOA_ETOOBIG: there are
 * BRANCHES_MAX. */
int branches_add(struct branches *branches, const struct branches_block *block,
                 bool parent_canonical);

/* Room for COUNT blocks, so that as many calls of branches_add cannot fail for lack of memory. */
int branches_reserve(struct branches *branches, size_t count);

/* The block has become canonical; those on top of it stay. */
void branches_remove(struct branches *branches, const uint8_t hash[32]);

/* The block's frame is another now. Nothing where it is absent. */
void branches_set_position(struct branches *branches, const uint8_t hash[32],
                           const struct ledger_position *position);

/* NULL where absent. Valid until the next change. */
const struct branches_block *branches_find(const struct branches *branches, const uint8_t hash[32]);

/* Nothing forks off below HEIGHT any more: drop the branches that do. Lowering it is ignored. */
void branches_raise(struct branches *branches, uint64_t height);
uint64_t branches_line(const struct branches *branches);

size_t branches_count(const struct branches *branches);

/* The blocks that are nobody's parent, in no order: up to COUNT of them go to OUT. Returns how many
 * there are. */
size_t branches_tips(const struct branches *branches, struct branches_block *out, size_t count);

/* Whether a block in here has PARENT_HASH as its parent. */
bool branches_has_child(const struct branches *branches, const uint8_t parent_hash[32]);

#endif
