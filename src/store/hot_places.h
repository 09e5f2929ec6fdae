/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hot_places.h: where all transactions of one block are in its record, as one object of the cache:
 * the block's hash, then an entry for each transaction in order. It is made on the worker that
 * hashes the transactions; a hint for each (cache_hint) leads from its hash to the height and the
 * entry. So a transaction of a new block is found without the tables, at a twentieth of what an
 * object for each would cost the loop. Pure. */
#ifndef HOT_PLACES_H
#define HOT_PLACES_H

#include "base/buffer.h"
#include "chain/block.h"
#include "store/hot.h"

/* Append the object's value for the block of RECORD, decoded as BLOCK, without senders looked at.
 * HASHES has 32 bytes for each transaction; NULL: they are computed. STOA_ENOMEM, or STOA_EINVAL
 * where block and receipts do not match. */
int hot_places_build(const struct block *block, struct bytes receipts, const uint8_t *hashes,
                     struct buffer *out);

/* The same of a record. */
int hot_places_of_record(const struct record *record, struct buffer *out);

/* Put PLACES of the block at HEIGHT in CACHE and tell of its transactions. The writer. With TICKET
 * only where nothing changed since it was taken. */
void hot_places_put(struct cache *cache, uint64_t height, struct bytes places,
                    const struct cache_ticket *ticket);

/* Any thread: the place of the transaction with HASH, if it is of a block that is known. */
bool hot_places_find(struct cache *cache, hot_find_fn *find, const uint8_t hash[32],
                     struct hot_place *out_place);

#endif
