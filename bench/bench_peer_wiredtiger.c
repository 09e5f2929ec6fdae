/* SPDX-License-Identifier: GPL-3.0-or-later */
/* WiredTiger as a whole store, with its own log: a table per kind. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wiredtiger.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_peer.h"

struct bench_peer {
    WT_CONNECTION *connection;
    WT_SESSION *session; /* the writer's */
    WT_CURSOR *cursors[BENCH_FAMILIES];
};

struct bench_reader {
    WT_SESSION *session;
    WT_CURSOR *cursors[BENCH_FAMILIES];
};

static int wiredtiger_result(struct bench_fault *fault, const char *what, int result)
{
    return result == 0 ? 0 : bench_fault_set(fault, "%s: %s", what, wiredtiger_strerror(result));
}

static int wiredtiger_stop(struct bench_peer *peer, struct bench_fault *fault)
{
    int result = peer->connection == NULL ? 0 : peer->connection->close(peer->connection, NULL);
    memory_free(peer);
    return fault == NULL ? result : wiredtiger_result(fault, "close", result);
}

static int open_cursors(WT_SESSION *session, WT_CURSOR *cursors[BENCH_FAMILIES])
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < BENCH_FAMILIES; i++) {
        char uri[64];
        (void)snprintf(uri, sizeof(uri), "table:%s", bench_family_names[i]);
        result = session->open_cursor(session, uri, NULL, "raw,overwrite", &cursors[i]);
    }
    return result;
}

static int create_tables(struct bench_peer *peer)
{
    int result = peer->connection->open_session(peer->connection, NULL, NULL, &peer->session);
    for (unsigned i = 0; result == 0 && i < BENCH_FAMILIES; i++) {
        char uri[64], settings[256];
        bool large = bench_family_large[i];
        (void)snprintf(uri, sizeof(uri), "table:%s", bench_family_names[i]);
        (void)snprintf(settings, sizeof(settings),
                       "key_format=u,value_format=u,leaf_page_max=%s,leaf_value_max=%s,"
                       "memory_page_max=%s",
                       large ? "128KB" : "8KB", large ? "96KB" : "4KB", large ? "8MB" : "1MB");
        result = peer->session->create(peer->session, uri, settings);
    }
    return result != 0 ? result : open_cursors(peer->session, peer->cursors);
}

static int wiredtiger_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                            struct bench_peer **out_peer, struct bench_fault *fault)
{
    (void)ops; /* there is only one of it */
    char settings[1024];
    struct bench_peer *peer = memory_alloc_zeroed(1, sizeof(*peer));
    ensure(peer != NULL);
    (void)snprintf(settings, sizeof(settings),
                   "create,cache_size=%dMB,log=(enabled=true,file_max=256MB,prealloc=true),"
                   "transaction_sync=(enabled=true,method=fsync),checkpoint=(wait=30,log_size=1GB),"
                   "eviction_target=80,eviction_trigger=95,eviction_dirty_target=60,"
                   "eviction_dirty_trigger=85,eviction=(threads_min=1,threads_max=2),"
                   "session_max=128,mmap=false,file_manager=(close_idle_time=0)%s",
                   BENCH_CACHE_MIB, setup->mode == BENCH_MODE_COLD ? ",direct_io=[data]" : "");
    int result = wiredtiger_open(setup->directory, NULL, settings, &peer->connection);
    if (result == 0) {
        result = create_tables(peer);
    }
    if (wiredtiger_result(fault, "open", result) != 0) {
        (void)wiredtiger_stop(peer, NULL);
        return -1;
    }
    *out_peer = peer;
    return 0;
}

static int wiredtiger_begin(struct bench_peer *peer, struct bench_fault *fault)
{
    return wiredtiger_result(fault, "begin", peer->session->begin_transaction(peer->session, NULL));
}

static WT_ITEM item_of(struct stoa_bytes bytes)
{
    return (WT_ITEM){.data = bytes.data, .size = bytes.size};
}

static int wiredtiger_put(struct bench_peer *peer, enum bench_family family, struct stoa_bytes key,
                          struct stoa_bytes value, struct bench_fault *fault)
{
    WT_CURSOR *cursor = peer->cursors[family];
    WT_ITEM k = item_of(key), v = item_of(value);
    cursor->set_key(cursor, &k);
    cursor->set_value(cursor, &v);
    return wiredtiger_result(fault, "insert", cursor->insert(cursor));
}

static int wiredtiger_commit(struct bench_peer *peer, struct bench_fault *fault)
{
    return wiredtiger_result(fault, "commit",
                             peer->session->commit_transaction(peer->session, NULL));
}

static int wiredtiger_reader(struct bench_peer *peer, struct bench_reader **out_reader,
                             struct bench_fault *fault)
{
    struct bench_reader *reader = memory_alloc_zeroed(1, sizeof(*reader));
    ensure(reader != NULL);
    int result = peer->connection->open_session(peer->connection, NULL, NULL, &reader->session);
    if (result == 0) {
        result = open_cursors(reader->session, reader->cursors);
    }
    if (wiredtiger_result(fault, "session", result) != 0) {
        memory_free(reader);
        return -1;
    }
    *out_reader = reader;
    return 0;
}

static void wiredtiger_reader_end(struct bench_reader *reader)
{
    (void)reader->session->close(reader->session, NULL); /* it only read */
    memory_free(reader);
}

static int wiredtiger_get(struct bench_reader *reader, enum bench_family family,
                          struct stoa_bytes key, struct stoa_bytes *out_value,
                          struct bench_fault *fault)
{
    WT_CURSOR *cursor = reader->cursors[family];
    WT_ITEM k = item_of(key), v = {0};
    cursor->set_key(cursor, &k);
    int result = cursor->search(cursor);
    *out_value = (struct stoa_bytes){0};
    if (result == WT_NOTFOUND) {
        return 0;
    }
    if (result == 0) {
        result = cursor->get_value(cursor, &v);
        *out_value = (struct stoa_bytes){v.data, v.size};
    }
    return wiredtiger_result(fault, "search", result);
}

static void wiredtiger_release(struct bench_reader *reader)
{
    for (unsigned i = 0; i < BENCH_FAMILIES; i++) {
        (void)reader->cursors[i]->reset(reader->cursors[i]); /* gives its page back */
    }
}

static int wiredtiger_flush(struct bench_peer *peer, struct bench_fault *fault)
{
    WT_SESSION *session = NULL;
    int result = peer->connection->open_session(peer->connection, NULL, NULL, &session);
    if (result == 0) {
        result = session->checkpoint(session, NULL);
        (void)session->close(session, NULL); /* the checkpoint told */
    }
    return wiredtiger_result(fault, "checkpoint", result);
}

static int wiredtiger_compact(struct bench_peer *peer, struct bench_fault *fault)
{
    WT_SESSION *session = NULL;
    int result = peer->connection->open_session(peer->connection, NULL, NULL, &session);
    for (unsigned i = 0; result == 0 && i < BENCH_FAMILIES; i++) {
        char uri[64];
        (void)snprintf(uri, sizeof(uri), "table:%s", bench_family_names[i]);
        result = session->compact(session, uri, "timeout=10");
        result = result == EBUSY || result == ETIMEDOUT ? 0 : result; /* it ends early */
    }
    if (session != NULL) {
        (void)session->close(session, NULL); /* the compaction told */
    }
    return wiredtiger_result(fault, "compact", result);
}

static const struct bench_peer_ops wiredtiger_peer = {
    .open = wiredtiger_start,
    .close = wiredtiger_stop,
    .begin = wiredtiger_begin,
    .put = wiredtiger_put,
    .commit = wiredtiger_commit,
    .reader_create = wiredtiger_reader,
    .reader_destroy = wiredtiger_reader_end,
    .get = wiredtiger_get,
    .release = wiredtiger_release,
    .flush = wiredtiger_flush,
    .compact = wiredtiger_compact,
};

const struct bench_engine_ops bench_engine_wiredtiger = {
    .name = "wiredtiger",
    .version = WIREDTIGER_VERSION_STRING,
    .settings = "a table per kind, its own log, one sorted transaction, dirty targets 60 and 85 "
                "percent, checkpoints "
                "every 30 s, cache of 256 MiB; cold: direct reads",
    .peer = &wiredtiger_peer,
    .phases = BENCH_ALL_PHASES & ~(1U << BENCH_PHASE_MAINTENANCE),
    BENCH_PEER_FUNCTIONS,
};
