/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LMDB: a database per kind in one map, read in place; heights are appended. Its cache is the
 * page cache. */
#include <lmdb.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_peer.h"
#include "config.h"

struct bench_peer {
    MDB_env *env;
    MDB_txn *txn; /* the batch under way */
    MDB_dbi databases[BENCH_FAMILIES];
};

struct bench_reader {
    struct bench_peer *peer;
    MDB_txn *txn;
    bool active;
};

static int lmdb_result(struct bench_fault *fault, const char *what, int result)
{
    return result == 0 ? 0 : bench_fault_set(fault, "%s: %s", what, mdb_strerror(result));
}

static int lmdb_stop(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* closing reports nothing */
    if (peer->txn != NULL) {
        mdb_txn_abort(peer->txn);
    }
    mdb_env_close(peer->env);
    memory_free(peer);
    return 0;
}

static int open_databases(struct bench_peer *peer)
{
    MDB_txn *txn = NULL;
    int result = mdb_txn_begin(peer->env, NULL, 0, &txn);
    for (unsigned i = 0; result == 0 && i < BENCH_FAMILIES; i++) {
        result = mdb_dbi_open(txn, bench_family_names[i], MDB_CREATE, &peer->databases[i]);
    }
    if (result == 0) {
        return mdb_txn_commit(txn);
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    return result;
}

static int lmdb_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                      struct bench_peer **out_peer, struct bench_fault *fault)
{
    (void)ops; /* there is only one of it */
    const size_t map_size = (size_t)1 << 38;
    struct bench_peer *peer = memory_alloc_zeroed(1, sizeof(*peer));
    ensure(peer != NULL);
    if (lmdb_result(fault, "create", mdb_env_create(&peer->env)) != 0) {
        memory_free(peer);
        return -1;
    }
    (void)mdb_env_set_mapsize(peer->env, map_size); /* cannot fail before it is opened */
    (void)mdb_env_set_maxdbs(peer->env, BENCH_FAMILIES);
    (void)mdb_env_set_maxreaders(peer->env, 126);
    int result = mdb_env_open(peer->env, setup->directory, MDB_NOTLS | MDB_NORDAHEAD, 0666);
    if (result == 0) {
        result = open_databases(peer);
    }
    if (lmdb_result(fault, "open", result) != 0) {
        (void)lmdb_stop(peer, NULL);
        return -1;
    }
    *out_peer = peer;
    return 0;
}

static int lmdb_begin(struct bench_peer *peer, struct bench_fault *fault)
{
    return lmdb_result(fault, "begin", mdb_txn_begin(peer->env, NULL, 0, &peer->txn));
}

static int lmdb_put(struct bench_peer *peer, enum bench_family family, struct stoa_bytes key,
                    struct stoa_bytes value, struct bench_fault *fault)
{
    bool by_height = bench_family_large[family] || family == BENCH_FAMILY_SENDERS;
    MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
    MDB_val v = {.mv_size = value.size, .mv_data = (void *)(uintptr_t)value.data};
    MDB_dbi database = peer->databases[family];
    int result = mdb_put(peer->txn, database, &k, &v, by_height ? MDB_APPEND : 0);
    if (result == MDB_KEYEXIST) { /* it comes again, behind a crash */
        result = mdb_put(peer->txn, database, &k, &v, 0);
    }
    return lmdb_result(fault, "put", result);
}

static int lmdb_commit(struct bench_peer *peer, struct bench_fault *fault)
{
    MDB_txn *txn = peer->txn;
    peer->txn = NULL;
    return lmdb_result(fault, "commit", mdb_txn_commit(txn));
}

static int lmdb_reader(struct bench_peer *peer, struct bench_reader **out_reader,
                       struct bench_fault *fault)
{
    struct bench_reader *reader = memory_alloc_zeroed(1, sizeof(*reader));
    ensure(reader != NULL);
    reader->peer = peer;
    int result = mdb_txn_begin(peer->env, NULL, MDB_RDONLY, &reader->txn);
    if (lmdb_result(fault, "begin", result) != 0) {
        memory_free(reader);
        return -1;
    }
    mdb_txn_reset(reader->txn);
    *out_reader = reader;
    return 0;
}

static void lmdb_reader_end(struct bench_reader *reader)
{
    mdb_txn_abort(reader->txn);
    memory_free(reader);
}

static int lmdb_get(struct bench_reader *reader, enum bench_family family, struct stoa_bytes key,
                    struct stoa_bytes *out_value, struct bench_fault *fault)
{
    MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
    MDB_val v = {0};
    if (!reader->active) {
        if (lmdb_result(fault, "renew", mdb_txn_renew(reader->txn)) != 0) {
            return -1;
        }
        reader->active = true;
    }
    int result = mdb_get(reader->txn, reader->peer->databases[family], &k, &v);
    *out_value = (struct stoa_bytes){v.mv_data, v.mv_size};
    return lmdb_result(fault, "get", result == MDB_NOTFOUND ? 0 : result);
}

static void lmdb_release(struct bench_reader *reader)
{
    if (reader->active) {
        mdb_txn_reset(reader->txn);
        reader->active = false;
    }
}

static int lmdb_flush(struct bench_peer *peer, struct bench_fault *fault)
{
    return lmdb_result(fault, "sync", mdb_env_sync(peer->env, 1));
}

static const struct bench_peer_ops lmdb_peer = {
    .open = lmdb_start,
    .close = lmdb_stop,
    .begin = lmdb_begin,
    .put = lmdb_put,
    .commit = lmdb_commit,
    .reader_create = lmdb_reader,
    .reader_destroy = lmdb_reader_end,
    .get = lmdb_get,
    .release = lmdb_release,
    .flush = lmdb_flush,
};

const struct bench_engine_ops bench_engine_lmdb = {
    .name = "lmdb",
    .version = LMDB_VERSION,
    .settings = "a database per kind, one sorted transaction, heights appended, no read-ahead, "
                "values read in place; "
                "its cache is the page cache, without a bound",
    .peer = &lmdb_peer,
    .phases = BENCH_ALL_PHASES & ~(1U << BENCH_PHASE_MAINTENANCE),
    BENCH_PEER_FUNCTIONS,
};
