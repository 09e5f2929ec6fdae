/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_peer.h: stores of keys and values, which keep blocks the way someone who knows them would:
 * a family of keys for each kind of thing, a block whole under its height, small keys pointing at
 * it, one atomic batch a block (an import: 64 blocks), sorted by key, each key once. What all of
 * them do alike is in bench_peer.c; each has one file for the rest, which is this table.
 *
 * Between BEGIN and COMMIT one thread puts. Any number of threads get, each with a reader. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "bench_engine.h"

enum bench_family {
#define BENCH_FAMILY(name, text, large) BENCH_FAMILY_##name,
#include "bench_family.def"
#undef BENCH_FAMILY
    BENCH_FAMILIES
};

extern const char *const bench_family_names[BENCH_FAMILIES];
extern const bool bench_family_large[BENCH_FAMILIES]; /* values of many KiB, written once */

struct bench_peer;   /* each has its own */
struct bench_reader; /* likewise */

struct bench_peer_ops {
    int (*open)(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                struct bench_peer **out_peer, struct bench_fault *fault);
    int (*close)(struct bench_peer *peer, struct bench_fault *fault);

    int (*begin)(struct bench_peer *peer, struct bench_fault *fault);
    int (*put)(struct bench_peer *peer, enum bench_family family, struct stoa_bytes key,
               struct stoa_bytes value, struct bench_fault *fault);
    int (*commit)(struct bench_peer *peer, struct bench_fault *fault); /* durable */

    int (*reader_create)(struct bench_peer *peer, struct bench_reader **out_reader,
                         struct bench_fault *fault);
    void (*reader_destroy)(struct bench_reader *reader);

    /* *OUT_VALUE lives until release, of up to four gets. No data: there is no such key. */
    int (*get)(struct bench_reader *reader, enum bench_family family, struct stoa_bytes key,
               struct stoa_bytes *out_value, struct bench_fault *fault);
    void (*release)(struct bench_reader *reader);

    int (*flush)(struct bench_peer *peer, struct bench_fault *fault);
    int (*compact)(struct bench_peer *peer, struct bench_fault *fault); /* NULL: it cannot */
};

/* What serves the engines that have a table of these. */
int bench_peer_open(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                    struct bench_engine **out_engine, struct bench_fault *fault);
int bench_peer_close(struct bench_engine *engine, struct bench_fault *fault);
int bench_peer_commit(struct bench_engine *engine, const struct bench_block *block,
                      struct bench_fault *fault);
int bench_peer_import(struct bench_engine *engine, const struct bench_block *blocks, size_t count,
                      _Atomic uint64_t *acked, struct bench_fault *fault);
int bench_peer_flush(struct bench_engine *engine, struct bench_fault *fault);
int bench_peer_read(struct bench_engine *engine, const struct bench_reads *reads,
                    struct bench_fault *fault);
int bench_peer_upkeep(struct bench_engine *engine, enum bench_upkeep upkeep, bool *out_done,
                      struct bench_fault *fault);

/* These, as members of a struct bench_engine_ops. */
#define BENCH_PEER_FUNCTIONS                                                         \
    .open = bench_peer_open, .close = bench_peer_close, .commit = bench_peer_commit, \
    .import = bench_peer_import, .flush = bench_peer_flush, .read = bench_peer_read, \
    .upkeep = bench_peer_upkeep

#endif
