/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_sim.h: a simulated machine: disk, clock and randomness from one seed, on one thread, bit by
 * bit repeatable.
 *
 * A `struct io_disk` outlives the loops on it. It keeps apart what is durable and what was written
 * but not flushed. A power cut ends the loop: pending requests never complete, and each unflushed
 * 512-byte sector is kept, lost or (with torn) left half old and half new or garbled, in any order
 * between writes; renames, creations and unlinks not yet made durable by IO_SYNC_DIR are kept or
 * lost. Flushed data is never touched by a cut.
 *
 * After a cut, io_disk_cut of the disk gives the machine that starts again; the disk itself, with a
 * new loop on it, is what a killed process leaves: all that was written is there, flushed or not.
 *
 * A pass of the loop takes a microsecond of virtual time; where nothing is due the clock moves to
 * what comes next. io_run(UINT64_MAX) with nothing to wait for returns 0 at once. Unaligned
 * requests on IO_OPEN_DIRECT files fail with STOA_EINVAL. */
#ifndef IO_SIM_H
#define IO_SIM_H

#include "io/io.h"

struct io_disk;

struct io_sim_options {
    uint64_t seed;
    uint64_t capacity;     /* bytes of data on the disk; a write or allocation past it fails with
                              STOA_ENOSPACE. 0: as good as none */
    unsigned delay_ns_max; /* completions are delayed by up to this, and so reordered. 0: in order,
                              at once */
    unsigned write_error_1_in; /* a write fails with STOA_EIO, part of it perhaps done. 0: never.
                                  Likewise below */
    unsigned sync_error_1_in; /* a flush or durable write fails, and what it should have flushed may
                                 be lost */
    unsigned read_error_1_in;
    bool torn; /* a cut may leave sectors of an unflushed write garbled, not only old or new */
    uint64_t cut_at; /* power goes when the N-th I/O operation since the loop's creation would
                        complete: that one and all in flight are then done in part, whole or not at
                        all. Timers do not count. 0: never */
};

/* An empty disk with a root directory; a relative path starts there too. NULL: out of memory. A
 * disk and what was copied from it belong to one thread. */
struct io_disk *io_disk_create(uint64_t seed);
void io_disk_destroy(struct io_disk *disk);

/* A copy of what a power cut right now could leave. Choices come from SEED. NULL: out of memory. */
struct io_disk *io_disk_cut(const struct io_disk *disk, uint64_t seed, bool torn);

/* Flip bit BIT (0 to 7) of byte OFFSET of PATH, durably. STOA_ENOTFOUND, STOA_EINVAL. */
int io_disk_flip(struct io_disk *disk, const char *path, uint64_t offset, unsigned bit);

/* A loop on DISK, which must outlive it and has one loop at a time. */
int io_sim_create(struct io_disk *disk, const struct io_sim_options *options, struct io **out_io);

/* True once power is gone: io_run then returns STOA_ECLOSED, nothing completes any more, io_destroy
 * accepts pending requests. */
bool io_sim_is_cut(const struct io *io);

/* I/O operations so far: to choose cut_at of a second run. */
uint64_t io_sim_operation_count(const struct io *io);

/* A loop for sockets (io_sim_socket.c). The sockets are the system's; as long as both ends of each
 * are used by one thread, all that happens follows from the seed and from what that thread does.
 * The clock is virtual, and moves as above. */
struct io_sim_socket_options {
    uint64_t seed;
    unsigned late_1_in; /* what could go on waits for up to DELAY_NS_MAX. 0: never. Likewise below
                         */
    unsigned delay_ns_max;
    unsigned short_1_in; /* a transfer moves a part of what it could, one byte at least */
    unsigned reset_1_in; /* one that could move something fails with STOA_EIO, as of a connection
                            that was reset */
};
int io_sim_socket_create(const struct io_sim_socket_options *options, struct io **out_io);

#endif
