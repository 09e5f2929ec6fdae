/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_engine.h: what the benchmark asks of a store. Each engine runs in a process of its own, so
 * that its memory and processor time are its own; bench_child.c drives it there. Functions return
 * 0, or -1 with FAULT filled. One thread calls, but READ, which may be called beside COMMIT. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>

#include "bench_blocks.h"
#include "config.h"

enum {
    BENCH_SYNC_EVERY = 64, /* blocks between flushes during an import */
    BENCH_CACHE_MIB = 256, /* of table or block cache, the same for all */
};

struct bench_fault {
    char text[400];
};

int bench_fault_set(struct bench_fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How a store is opened. */
enum bench_mode {
    BENCH_MODE_IMPORT,  /* much is to be loaded */
    BENCH_MODE_SERVE,   /* durable commits and hot reads */
    BENCH_MODE_COLD,    /* nothing is in memory yet; reads go to the device */
    BENCH_MODE_RESTART, /* as it is set up where nothing is said */
};

struct bench_setup {
    const char *directory; /* the engine's own, empty at first */
    enum bench_mode mode;
    uint64_t bytes_max; /* of what will be stored; those that go round in a circle may take less */
};

/* The parts of a run. */
enum bench_phase {
#define BENCH_PHASE(name, text, title, share) BENCH_PHASE_##name,
#include "bench_phase.def"
#undef BENCH_PHASE
    BENCH_PHASES
};

enum bench_kind {
    BENCH_STATE,       /* value by key */
    BENCH_TRANSACTION, /* by its hash */
    BENCH_RECEIPT,     /* by its transaction's hash */
    BENCH_BLOCK,       /* by hash */
    BENCH_KINDS,
};

/* One read, and the checksum of what it must bring. */
struct bench_read {
    enum bench_kind kind;
    uint64_t sum;
    uint8_t key[32];
};

/* Reads to be made, and where the time each took goes, in nanoseconds: 0 where it was not made. */
struct bench_reads {
    const struct bench_read *items;
    uint64_t *took;
    size_t count;
    unsigned depth;   /* in flight at once; 1 where there is more than one thread */
    unsigned threads; /* that read, each with its own one in flight */
    uint64_t until;   /* on bench_now's clock: none is begun later */
};

/* Upkeep that runs beside commits. */
enum bench_upkeep {
    BENCH_UPKEEP_CHECKPOINT, /* what is in memory and a log goes to its final place */
    BENCH_UPKEEP_COMPACT,
    BENCH_UPKEEP_PRUNE,  /* old versions of the state are dropped */
    BENCH_UPKEEP_BACKUP, /* all of it is copied, to the same file system */
    BENCH_UPKEEP_SCRUB,  /* what is stored is read again and checked, at the rate of its schedule */
    BENCH_UPKEEP_ARCHIVE, /* what was stored last is packed */
    BENCH_UPKEEPS,
};

enum {
    BENCH_ALL_PHASES = (1 << BENCH_PHASES) - 1,
    BENCH_LIMIT_PHASES = 1 << BENCH_PHASE_IMPORT | 1 << BENCH_PHASE_COMMIT | 1 << BENCH_PHASE_COLD,
};

struct bench_engine; /* each engine has its own */
struct bench_peer_ops;

struct bench_engine_ops {
    const char *name;
    const char *version;
    const char *(*version_of)(
        char text[32]);                /* in its place, where only the library knows; else NULL */
    const char *settings;              /* for the report */
    const struct bench_peer_ops *peer; /* of those that bench_peer.c serves */
    unsigned phases;                   /* that it takes part in: 1 << BENCH_PHASE_… */

    int (*open)(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                struct bench_engine **out_engine, struct bench_fault *fault);
    int (*close)(struct bench_engine *engine, struct bench_fault *fault);

    /* Durable when it returns. */
    int (*commit)(struct bench_engine *engine, const struct bench_block *block,
                  struct bench_fault *fault);

    /* Durable every BENCH_SYNC_EVERY blocks, and all of them when it returns. *ACKED is raised to
     * the number of blocks, since the first ever, that are durable. A block that is stored already
     * may come again, behind a crash. */
    int (*import)(struct bench_engine *engine, const struct bench_block *blocks, size_t count,
                  _Atomic uint64_t *acked, struct bench_fault *fault);

    /* Bring all that is only in memory and a log to its final place, and what is owed with it. */
    int (*flush)(struct bench_engine *engine, struct bench_fault *fault);

    int (*read)(struct bench_engine *engine, const struct bench_reads *reads,
                struct bench_fault *fault);

    /* Once. Any thread. *OUT_DONE: whether it has such a thing. */
    int (*upkeep)(struct bench_engine *engine, enum bench_upkeep upkeep, bool *out_done,
                  struct bench_fault *fault);

    /* Blocks that are durable and not yet in their final place. */
    uint64_t (*backlog)(struct bench_engine *engine);
};

/* Those of this build, in the order of reports. */
extern const struct bench_engine_ops *const bench_engines[];
extern const unsigned bench_engine_count;

#ifdef HAVE_ROCKSDB
#define BENCH_MAIN_PEER (&bench_engine_rocksdb) /* whom goals name */
#else
#define BENCH_MAIN_PEER NULL
#endif

extern const struct bench_engine_ops bench_engine_stoa;
extern const struct bench_engine_ops bench_engine_rocksdb;
extern const struct bench_engine_ops bench_engine_rocksdb_blob;
extern const struct bench_engine_ops bench_engine_leveldb;
extern const struct bench_engine_ops bench_engine_lmdb;
extern const struct bench_engine_ops bench_engine_wiredtiger;
extern const struct bench_engine_ops bench_engine_memory;
extern const struct bench_engine_ops bench_engine_raw;

/* Checksum of a part of an answer. */
uint64_t bench_sum(const void *data, size_t size);

/* READ brought something with checksum SUM. -1 with FAULT: it is not what it must bring. */
int bench_read_check(const struct bench_read *read, uint64_t sum, struct bench_fault *fault);

uint64_t bench_now(void); /* nanoseconds */

#endif
