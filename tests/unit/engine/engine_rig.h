/* SPDX-License-Identifier: GPL-3.0-or-later */
/* engine_rig.h: a store of a made chain in a temporary directory, opened through stoa.h: once with
 * io_uring (where the machine allows it), once with threads, and once served over a socket, so that
 * the handle is a client's. */
#ifndef ENGINE_RIG_H
#define ENGINE_RIG_H

#include <stdbool.h>

#include "stoa.h"
#include "support/made_chain.h"

enum { ENGINE_RIG_BLOCKS = 60, ENGINE_RIG_PATH_SIZE = 256 };

struct engine_rig {
    char base[ENGINE_RIG_PATH_SIZE];      /* removed with all in it */
    char directory[ENGINE_RIG_PATH_SIZE]; /* the store's */
    struct made_chain *chain;
    enum stoa_io io;
    struct stoa *stoa;
    bool remote; /* STOA is a client's handle; these are what serves it: */
    struct stoa *served;
    struct server *server;
    struct connections *connections;
};

/* cmocka fixtures: a store with the genesis of the chain, opened. */
int engine_rig_set_up_ring(void **state);
int engine_rig_set_up_threads(void **state);
int engine_rig_set_up_remote(void **state);
int engine_rig_tear_down(void **state);

/* Three of cmocka's tests: TEST with each. */
#define ENGINE_RIG_ALL(test)                                                          \
    ENGINE_RIG_BOTH(test),                                                            \
    {                                                                                 \
#test " (socket)", test, engine_rig_set_up_remote, engine_rig_tear_down, NULL \
    }

/* Two: those with the store in the process, for what is about that. */
#define ENGINE_RIG_BOTH(test)                                                           \
    {#test " (io_uring)", test, engine_rig_set_up_ring, engine_rig_tear_down, NULL},    \
    {                                                                                   \
#test " (threads)", test, engine_rig_set_up_threads, engine_rig_tear_down, NULL \
    }

struct stoa_options engine_rig_options(const struct engine_rig *rig);
void engine_rig_open(struct engine_rig *rig);

/* Of a remote one: a server for the store, where there is none any more. */
void engine_rig_serve(struct engine_rig *rig);
void engine_rig_close(struct engine_rig *rig);

/* A put of block NUMBER of the chain, with receipts. */
struct stoa_store_block engine_rig_put_of(const struct engine_rig *rig, uint64_t number);
void engine_rig_put(struct engine_rig *rig, uint64_t first, uint64_t last);

/* Blocks FIRST to LAST are there by height and hash, and each transaction by its hash. */
void engine_rig_expect(struct stoa *stoa, const struct made_chain *chain, uint64_t first,
                       uint64_t last);
void engine_rig_expect_head(const struct engine_rig *rig, uint64_t height);

/* DIRECTORY/NAME. */
void engine_rig_path(const struct engine_rig *rig, const char *name,
                     char out[ENGINE_RIG_PATH_SIZE]);

/* Flip a bit of the byte at OFFSET of the store's file NAME. */
void engine_rig_flip(const struct engine_rig *rig, const char *name, long offset);

/* The same of the file at PATH. */
void engine_rig_flip_file(const char *path, long offset);

/* Remove a directory of the store with all in it. */
void engine_rig_remove(const char *path);

#endif
