/* SPDX-License-Identifier: GPL-3.0-or-later */
/* repair.h: a store's damage mended from what has the same bytes. Blocking: runs the loop.
 *
 * Nothing is guessed: a frame is put back only where its checksum is the one that the index of its
 * segment or the frame behind it names, so that it is the same byte by byte; what the format says
 * must be zero becomes zero; a trailer is written again from its seal. Nothing is dropped: what no
 * source has stays as it is and is told. Tables are made anew from the ledger where anything was
 * mended or they are damaged themselves.
 *
 * A source is a directory: a store, a directory of backups, or a snapshot. The store's own
 * snapshots are looked at as well. */
#ifndef REPAIR_H
#define REPAIR_H

#include "store/store.h"

struct repair_damage {
    const char *file;
    uint64_t offset;
    uint64_t size;
    uint64_t height;
    bool has_height;
    const char *what;
    const char
        *source; /* what it was mended from: a directory, "the format"; NULL: nothing had it */
};

struct repair_options {
    struct io *io;
    const char *directory;
    const char *const *sources;
    size_t source_count;
    struct store_options store; /* how it is opened; io, directory: not used */
    void (*damage)(void *context, const struct repair_damage *damage); /* or NULL */
    void *context;
};

struct repair_report {
    uint64_t damages; /* of the files, as found */
    uint64_t mended;
    uint64_t left; /* damages that a last look at all of it still finds */
    bool rebuilt_tables;
};

/* No other process has the store open. STOA_ECORRUPT: something is left. */
int repair_run(const struct repair_options *options, struct repair_report *out_report,
               struct error_detail *detail);

#endif
