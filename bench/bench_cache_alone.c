/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_cache_lmdb.h where LMDB is not there. */
#include <stdio.h>

#include "bench_cache_lmdb.h"
#include "stoa.h"

int bench_cache_lmdb_open(const char *directory, uint64_t count, bool renew, void **out_peer)
{
    (void)directory;
    (void)count;
    (void)renew;
    (void)out_peer;
    fprintf(stderr, "stoa-bench-cache: configured without lmdb: nothing beside it\n");
    return -1;
}

void bench_cache_lmdb_close(void *peer)
{
    (void)peer;
}

int bench_cache_lmdb_read(void *context, const struct bench_cache_object *object)
{
    (void)context;
    (void)object;
    return STOA_ENOTSUP;
}
