/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_state.h: the peer of stoa-bench-state: the tries of the state kept as is usual, each node's
 * encoding under its hash, in RocksDB; nothing is ever deleted, so every root stays readable. What
 * the nodes in memory take is bounded by the cache. The program ends where something fails. */
#ifndef BENCH_STATE_H
#define BENCH_STATE_H

#include "stoa.h"

struct bench_state_peer;

/* NULL: this build has no RocksDB. CACHE: bytes, half for nodes and half for RocksDB's blocks. */
struct bench_state_peer *bench_state_peer_open(const char *directory, uint64_t cache);
void bench_state_peer_close(struct bench_state_peer *peer);

/* Apply the changes of accounts (their fields) and slots, and make the new nodes durable. */
void bench_state_peer_block(struct bench_state_peer *peer, const struct stoa_store_block *put);
void bench_state_peer_flush(struct bench_state_peer *peer); /* wait for all that is behind */

#endif
