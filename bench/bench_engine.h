/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_engine.h: what the benchmark asks of a store. Each engine runs in a process of its own, so
 * that its memory and processor time are its own; bench_child.c drives it there. Functions return
 * 0, or -1 with FAULT filled. Within one process one thread calls. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>

#include "support/made_chain.h"
#include "support/made_load.h"

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
    BENCH_MODE_IMPORT, /* much is to be loaded */
    BENCH_MODE_SERVE,  /* durable commits and hot reads */
    BENCH_MODE_COLD,   /* nothing is in memory yet; reads go to the device */
    BENCH_MODE_CHAIN,  /* a store apart, empty but for the genesis of setup's chain */
};

enum bench_kind {
    BENCH_BLOCK,       /* block by hash */
    BENCH_EVERYTHING,  /* block, receipts and senders by the block's hash */
    BENCH_RECEIPTS,    /* receipts by the block's hash */
    BENCH_TRANSACTION, /* transaction, its receipt and its sender by its hash */
    BENCH_STATE,       /* state value by key */
    BENCH_KIND_COUNT,
};

/* One read, and the checksum of what it must bring. */
struct bench_read {
    uint64_t number; /* of the block */
    uint64_t sum;
    uint8_t key[32];
};

/* Reads to be made, and where the time each took goes, in nanoseconds. */
struct bench_reads {
    enum bench_kind kind;
    unsigned depth;   /* in flight at once; 1 where there is more than one thread */
    unsigned threads; /* that read, each with its own one in flight */
    const struct bench_read *items;
    uint64_t *took;
    size_t count;
};

struct bench_setup {
    const char *directory; /* the engine's own, empty at first */
    uint64_t blocks_max;
    uint64_t bytes_max;             /* of blocks_max blocks with everything, rounded up well */
    uint64_t chain_blocks;          /* of the valid chain */
    const struct made_chain *chain; /* made by the child; NULL where the engine cannot verify */
};

struct bench_engine; /* each engine has its own */

struct bench_engine_ops {
    const char *name;
    const char *(*describe)(void);
    bool wants_postings; /* its blocks come with them; Stoa computes its own */
    int (*open)(const struct bench_setup *setup, enum bench_mode mode,
                struct bench_engine **out_engine, struct bench_fault *fault);
    int (*close)(struct bench_engine *engine, struct bench_fault *fault);

    /* Durable when it returns. */
    int (*commit)(struct bench_engine *engine, const struct made_load_block *block,
                  struct bench_fault *fault);

    /* Durable every BENCH_SYNC_EVERY blocks, and all of them when it returns. */
    int (*import)(struct bench_engine *engine, const struct made_load_block *blocks, size_t count,
                  struct bench_fault *fault);

    /* Blocks FIRST to FIRST + COUNT - 1 of the chain, everything about them verified and senders
     * recovered, durable when it returns. NULL: it cannot. */
    int (*import_chain)(struct bench_engine *engine, const struct made_chain *chain, uint64_t first,
                        size_t count, struct bench_fault *fault);

    /* 1 where work in the background that earlier calls left may still be under way. */
    int (*busy)(struct bench_engine *engine, struct bench_fault *fault);

    /* Bring all that is only in memory and a log to its final place. */
    int (*flush)(struct bench_engine *engine, struct bench_fault *fault);

    bool (*can_read)(enum bench_kind kind);
    int (*read)(struct bench_engine *engine, const struct bench_reads *reads,
                struct bench_fault *fault);
};

extern const struct bench_engine_ops bench_engine_stoa;
extern const struct bench_engine_ops bench_engine_raw;
extern const struct bench_engine_ops bench_engine_rocksdb;

/* Checksum of a part of an answer; an answer of several parts has the exclusive or of them. */
uint64_t bench_sum(const void *data, size_t size);

/* A transaction's part of a block (RLP) and of its receipts (RLP list): their sums. -1: damaged. */
int bench_sum_transaction(struct bytes block, struct bytes receipts, uint32_t index,
                          uint64_t *out_sum);

uint64_t bench_now(void); /* nanoseconds */

#endif
