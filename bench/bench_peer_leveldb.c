/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LevelDB: one space of keys, in which a first byte tells the kinds apart. */
#include <leveldb/c.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_peer.h"
#include "config.h"

enum { GETS = 4, KEY_MAX = 160 };

struct bench_peer {
    leveldb_t *db;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_options_t *options;
    leveldb_writeoptions_t *synced;
    leveldb_readoptions_t *read_options;
    leveldb_writebatch_t *batch;
};

struct bench_reader {
    struct bench_peer *peer;
    char *values[GETS];
    unsigned count;
};

/* Move what the C interface allocated into FAULT. */
static int leveldb_result(struct bench_fault *fault, char *text)
{
    if (text == NULL) {
        return 0;
    }
    (void)bench_fault_set(fault, "%s", text);
    leveldb_free(text);
    return -1;
}

static int leveldb_stop(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* closing reports nothing */
    if (peer->db != NULL) {
        leveldb_close(peer->db);
    }
    leveldb_writebatch_destroy(peer->batch);
    leveldb_readoptions_destroy(peer->read_options);
    leveldb_writeoptions_destroy(peer->synced);
    leveldb_options_destroy(peer->options);
    leveldb_filterpolicy_destroy(peer->filter);
    leveldb_cache_destroy(peer->cache);
    memory_free(peer);
    return 0;
}

static int leveldb_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                         struct bench_peer **out_peer, struct bench_fault *fault)
{
    (void)ops; /* there is only one of it */
    struct bench_peer *peer = memory_alloc_zeroed(1, sizeof(*peer));
    ensure(peer != NULL);
    peer->cache = leveldb_cache_create_lru((size_t)BENCH_CACHE_MIB << 20);
    peer->filter = leveldb_filterpolicy_create_bloom(10);
    peer->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(peer->options, 1);
    leveldb_options_set_cache(peer->options, peer->cache);
    leveldb_options_set_filter_policy(peer->options, peer->filter);
    leveldb_options_set_write_buffer_size(peer->options, 64 << 20);
    leveldb_options_set_max_file_size(peer->options, 32 << 20);
    leveldb_options_set_max_open_files(peer->options, 4000);
    leveldb_options_set_compression(peer->options, leveldb_snappy_compression);
    peer->synced = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(peer->synced, 1);
    peer->read_options = leveldb_readoptions_create();
    peer->batch = leveldb_writebatch_create();
    char *text = NULL;
    peer->db = leveldb_open(peer->options, setup->directory, &text);
    if (leveldb_result(fault, text) != 0) {
        (void)leveldb_stop(peer, NULL);
        return -1;
    }
    *out_peer = peer;
    return 0;
}

static int leveldb_begin(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* cannot fail */
    leveldb_writebatch_clear(peer->batch);
    return 0;
}

/* KEY with its family before it. Returns its size. */
static size_t whole_key(enum bench_family family, struct stoa_bytes key, char out[KEY_MAX])
{
    ensure(key.size < KEY_MAX);
    out[0] = (char)family;
    memcpy(out + 1, key.data, key.size);
    return key.size + 1;
}

static int leveldb_add(struct bench_peer *peer, enum bench_family family, struct stoa_bytes key,
                       struct stoa_bytes value, struct bench_fault *fault)
{
    (void)fault; /* cannot fail */
    char whole[KEY_MAX];
    size_t size = whole_key(family, key, whole);
    leveldb_writebatch_put(peer->batch, whole, size, (const char *)value.data, value.size);
    return 0;
}

static int leveldb_commit(struct bench_peer *peer, struct bench_fault *fault)
{
    char *text = NULL;
    leveldb_write(peer->db, peer->synced, peer->batch, &text);
    return leveldb_result(fault, text);
}

static int leveldb_reader(struct bench_peer *peer, struct bench_reader **out_reader,
                          struct bench_fault *fault)
{
    (void)fault;
    struct bench_reader *reader = memory_alloc_zeroed(1, sizeof(*reader));
    ensure(reader != NULL);
    reader->peer = peer;
    *out_reader = reader;
    return 0;
}

static void leveldb_reader_end(struct bench_reader *reader)
{
    memory_free(reader);
}

static int leveldb_find(struct bench_reader *reader, enum bench_family family,
                        struct stoa_bytes key, struct stoa_bytes *out_value,
                        struct bench_fault *fault)
{
    char whole[KEY_MAX];
    char *text = NULL;
    size_t size = whole_key(family, key, whole);
    *out_value = (struct stoa_bytes){0};
    char *value = leveldb_get(reader->peer->db, reader->peer->read_options, whole, size,
                              &out_value->size, &text);
    if (value != NULL) {
        ensure(reader->count < GETS);
        reader->values[reader->count++] = value;
        out_value->data = (const uint8_t *)value;
    }
    return leveldb_result(fault, text);
}

static void leveldb_drop(struct bench_reader *reader)
{
    while (reader->count > 0) {
        leveldb_free(reader->values[--reader->count]);
    }
}

/* It has no call that only writes its memory out; a range without keys makes it do that much. */
static int leveldb_flush_all(struct bench_peer *peer, struct bench_fault *fault)
{
    (void)fault; /* it reports nothing */
    leveldb_compact_range(peer->db, "\xff", 1, "\xff\xff", 2);
    return 0;
}

static const struct bench_peer_ops leveldb_peer = {
    .open = leveldb_start,
    .close = leveldb_stop,
    .begin = leveldb_begin,
    .put = leveldb_add,
    .commit = leveldb_commit,
    .reader_create = leveldb_reader,
    .reader_destroy = leveldb_reader_end,
    .get = leveldb_find,
    .release = leveldb_drop,
    .flush = leveldb_flush_all,
};

static const char *leveldb_version(char text[32])
{
    (void)snprintf(text, 32, "%d.%d", leveldb_major_version(), leveldb_minor_version());
    return text;
}

const struct bench_engine_ops bench_engine_leveldb = {
    .name = "leveldb",
    .version = "",
    .version_of = leveldb_version,
    .settings = "a first byte for the kind, one sorted batch, snappy, bloom filters of 10 bits, 64 "
                "MiB write buffer, "
                "files of 32 MiB, cache of 256 MiB; reads copy",
    .peer = &leveldb_peer,
    .phases = BENCH_ALL_PHASES & ~(1U << BENCH_PHASE_MAINTENANCE),
    BENCH_PEER_FUNCTIONS,
};
