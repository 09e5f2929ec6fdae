/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_cache_lmdb.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "stoa.h"

struct peer {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reading;
    bool renew;
};

static int put_some(struct peer *peer, uint64_t first, uint64_t count)
{
    MDB_txn *transaction;
    int result = mdb_txn_begin(peer->env, NULL, 0, &transaction);
    if (result != 0) {
        return result;
    }
    result = mdb_dbi_open(transaction, NULL, 0, &peer->dbi);
    for (uint64_t i = first; result == 0 && i < first + count; i++) {
        struct bench_cache_object object;
        bench_cache_make(i, &object);
        MDB_val key = {sizeof(object.key), object.key};
        MDB_val value = {sizeof(object.value), object.value};
        result = mdb_put(transaction, peer->dbi, &key, &value, 0);
    }
    if (result != 0) {
        mdb_txn_abort(transaction);
        return result;
    }
    return mdb_txn_commit(transaction);
}

static int open_env(struct peer *peer, const char *path)
{
    int result = mdb_env_create(&peer->env);
    if (result == 0) {
        result = mdb_env_set_mapsize(peer->env, (size_t)1 << 30);
    }
    if (result == 0) {
        result = mdb_env_open(peer->env, path, MDB_NOSYNC, 0644);
    }
    return result;
}

int bench_cache_lmdb_open(const char *directory, uint64_t count, bool renew, void **out_peer)
{
    char path[4200];
    struct peer *peer = calloc(1, sizeof(*peer));
    (void)snprintf(path, sizeof(path), "%s/lmdb%d", directory, renew ? 1 : 0);
    if (peer == NULL || mkdir(path, 0777) != 0) {
        free(peer);
        fprintf(stderr, "stoa-bench-cache: %s cannot be made\n", path);
        return -1;
    }
    peer->renew = renew;
    int result = open_env(peer, path);
    for (uint64_t i = 0; result == 0 && i < count; i += BENCH_CACHE_BATCH) {
        result = put_some(peer, i, BENCH_CACHE_BATCH);
    }
    if (result == 0) {
        result = mdb_txn_begin(peer->env, NULL, MDB_RDONLY, &peer->reading);
    }
    if (result != 0) {
        fprintf(stderr, "stoa-bench-cache: lmdb: %s\n", mdb_strerror(result));
        bench_cache_lmdb_close(peer);
        return -1;
    }
    *out_peer = peer;
    return 0;
}

void bench_cache_lmdb_close(void *context)
{
    struct peer *peer = context;
    if (peer->reading != NULL) {
        mdb_txn_abort(peer->reading);
    }
    mdb_env_close(peer->env);
    free(peer);
}

int bench_cache_lmdb_read(void *context, const struct bench_cache_object *object)
{
    struct peer *peer = context;
    MDB_val key = {sizeof(object->key), (void *)(uintptr_t)object->key};
    MDB_val value;
    if (peer->renew) {
        mdb_txn_reset(peer->reading);
        if (mdb_txn_renew(peer->reading) != 0) {
            return STOA_EIO;
        }
    }
    if (mdb_get(peer->reading, peer->dbi, &key, &value) != 0) {
        return STOA_ENOTFOUND;
    }
    return memcmp(value.mv_data, object->value, 8) == 0 ? 0 : STOA_ECORRUPT;
}
