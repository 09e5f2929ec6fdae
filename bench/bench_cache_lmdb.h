/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_cache_lmdb.h: LMDB beside the cache, where the library is there when it is configured. */
#ifndef BENCH_CACHE_LMDB_H
#define BENCH_CACHE_LMDB_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_CACHE_BATCH = 1000 };

struct bench_cache_object {
    uint8_t key[32];
    uint8_t value[64];
};

/* Object NUMBER, always the same. */
void bench_cache_make(uint64_t number, struct bench_cache_object *out);

/* 0, or STOA_E…. */
typedef int bench_cache_read(void *context, const struct bench_cache_object *object);

/* Objects 0 to COUNT - 1 in an environment in DIRECTORY; RENEW: each read is of the newest state,
 * by a transaction that is renewed. -1: it failed, or is not built in, and said so. */
int bench_cache_lmdb_open(const char *directory, uint64_t count, bool renew, void **out_peer);
void bench_cache_lmdb_close(void *peer);
bench_cache_read bench_cache_lmdb_read;

#endif
