/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In place of bench_state_rocksdb.c in a build without RocksDB. */
#include "bench_state.h"

struct bench_state_peer *bench_state_peer_open(const char *directory, uint64_t cache)
{
    (void)directory;
    (void)cache;
    return NULL;
}

void bench_state_peer_close(struct bench_state_peer *peer)
{
    (void)peer;
}

void bench_state_peer_block(struct bench_state_peer *peer, const struct stoa_store_block *put)
{
    (void)peer;
    (void)put;
}

void bench_state_peer_flush(struct bench_state_peer *peer)
{
    (void)peer;
}
