/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_world.h: a loop of each kind with a directory of its own, for suites that every kind must
 * pass; and short ways to ask it for one thing and wait. Include cmocka.h before. */
#ifndef IO_WORLD_H
#define IO_WORLD_H

#include "io/io_sim.h"

enum {
    IO_WORLD_PATH_SIZE = 256,
    IO_WORLD_BLOCK = IO_ALIGNMENT,
    IO_WORLD_BLOCKS = 16,
    IO_WORLD_SIZE = IO_WORLD_BLOCK * IO_WORLD_BLOCKS,
};

enum io_world_kind {
    IO_WORLD_ON_RING,
    IO_WORLD_ON_THREADS,
    IO_WORLD_IN_SIMULATION,
    IO_WORLD_KIND_COUNT
};

struct io_world {
    enum io_world_kind kind;
    struct io *io; /* NULL: refused here */
    struct io_disk *disk;
    char directory[IO_WORLD_PATH_SIZE];
    uint8_t *data; /* IO_WORLD_SIZE bytes, aligned, of a pattern */
    uint8_t *back; /* IO_WORLD_SIZE bytes, aligned */
    unsigned count;
    unsigned order[64];
};

/* What must hold of every kind. */
struct io_world_fact {
    const char *name;
    void (*run)(struct io_world *world);
};

/* main of a suite: every fact on every kind, each in a fresh world. */
int io_world_run(const struct io_world_fact *facts, size_t count);

/* The result of one request. */
int64_t io_world_wait_for(struct io_world *world, struct io_request request);

/* NAME in the world's directory. The fourth call after takes its place. */
const char *io_world_path_of(struct io_world *world, const char *name);
int64_t io_world_open_file(struct io_world *world, const char *name, unsigned flags);

/* Made and open to write; must succeed. */
int io_world_open_new(struct io_world *world, const char *name, unsigned flags);
void io_world_close_file(struct io_world *world, int file);

/* Of world->data. */
int64_t io_world_write_at(struct io_world *world, int file, uint64_t offset, size_t size,
                          unsigned flags);

/* Into world->back, which is spoilt first. */
int64_t io_world_read_at(struct io_world *world, int file, uint64_t offset, size_t size);

int64_t io_world_on_file(struct io_world *world, enum io_op op, int file, uint64_t offset,
                         size_t size);
int64_t io_world_on_path(struct io_world *world, enum io_op op, const char *name);
int64_t io_world_rename_to(struct io_world *world, const char *from, const char *to);
int64_t io_world_link_to(struct io_world *world, const char *from, const char *to);

void io_world_assert_zeros(const uint8_t *data, size_t size);

/* Run the loop until world->count is COUNT. */
void io_world_run_until(struct io_world *world, unsigned count);

/* A request's callback whose context is the world: counts. */
void io_world_count_done(struct io_request *request);

#endif
