/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In place of the peer, where there is no RocksDB. */
#include "bench_query_peer.h"

struct bench_query_peer *bench_query_peer_open(const char *directory, bool cold)
{
    (void)directory;
    (void)cold;
    return NULL;
}

void bench_query_peer_close(struct bench_query_peer *peer)
{
    (void)peer;
}

void bench_query_peer_put(struct bench_query_peer *peer, const struct bench_query_block *block)
{
    (void)peer;
    (void)block;
}

void bench_query_peer_finish(struct bench_query_peer *peer)
{
    (void)peer;
}

uint64_t bench_query_peer_index_bytes(struct bench_query_peer *peer)
{
    (void)peer;
    return 0;
}

uint64_t bench_query_peer_transaction(struct bench_query_peer *peer, const uint8_t hash[32])
{
    (void)peer;
    (void)hash;
    return 0;
}

uint64_t bench_query_peer_history(struct bench_query_peer *peer, const uint8_t address[20],
                                  unsigned limit, size_t *out_count)
{
    (void)peer;
    (void)address;
    (void)limit;
    *out_count = 0;
    return 0;
}
