/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_filter.h: filters that are asked again and again for what is new (eth_newFilter and so on).
 *
 * A filter remembers the block up to which it has answered. Asked again, it goes back from there to
 * where the chain of then parts from that of now: logs of blocks that were left are told as
 * removed, newest first, then those of the blocks that came. One answer covers up to a thousand new
 * blocks; the next goes on. A filter answers one call at a time.
 *
 * Their number is bounded, and one that nobody asks about is forgotten. Ids cannot be guessed. Any
 * thread: one lock around the table, never held while the store is asked. */
#ifndef RPC_FILTER_H
#define RPC_FILTER_H

#include "rpc/rpc_call.h"

struct rpc_filters;

/* STOA_ENOMEM. */
int rpc_filters_create(size_t count_max, uint64_t idle_ms, const uint8_t seed[32],
                       struct rpc_filters **out_filters);
void rpc_filters_destroy(struct rpc_filters *filters);

/* How many there are, without those that are to be forgotten. */
size_t rpc_filters_count(struct rpc_filters *filters, uint64_t now_ms);

rpc_handler rpc_filter_new;
rpc_handler rpc_filter_new_block;
rpc_handler rpc_filter_changes;
rpc_handler rpc_filter_logs;
rpc_handler rpc_filter_uninstall;

#endif
