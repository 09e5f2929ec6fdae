/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_query_peer.h: the peer of stoa-bench-query: blocks, receipts and senders by height in
 * RocksDB, with the secondary indexes that are usual there, whole hashes and addresses in their
 * keys. It answers the same questions with the same contents, of which sums are compared. Its calls
 * end the program where they fail. */
#ifndef BENCH_QUERY_PEER_H
#define BENCH_QUERY_PEER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "stoa.h"

/* A block of the chain that all is measured on. */
struct bench_query_block {
    uint64_t number;
    uint8_t hash[32];
    uint64_t timestamp;
    struct bytes block;
    struct bytes receipts;
    struct bytes senders;  /* 20 bytes a transaction */
    const uint8_t *hashes; /* 32 bytes a transaction */
    size_t transactions;
};

struct bench_query_peer;

/* What an answer comes to, for Stoa and peer alike. */
uint64_t bench_query_sum_entry(const struct stoa_history_entry *entry);
uint64_t bench_query_sum_transaction(struct bytes envelope, struct bytes receipt,
                                     struct bytes sender);

/* COLD: reads go to the device. NULL: this build has no peer. */
struct bench_query_peer *bench_query_peer_open(const char *directory, bool cold);
void bench_query_peer_close(struct bench_query_peer *peer);

void bench_query_peer_put(struct bench_query_peer *peer, const struct bench_query_block *block);

/* All in its final place and compacted. */
void bench_query_peer_finish(struct bench_query_peer *peer);

/* Of the tables of transactions, addresses and logs. */
uint64_t bench_query_peer_index_bytes(struct bench_query_peer *peer);

/* Sum of the transaction with HASH, its receipt and its sender. */
uint64_t bench_query_peer_transaction(struct bench_query_peer *peer, const uint8_t hash[32]);

/* Sum of the LIMIT newest entries of ADDRESS. */
uint64_t bench_query_peer_history(struct bench_query_peer *peer, const uint8_t address[20],
                                  unsigned limit, size_t *out_count);

#endif
