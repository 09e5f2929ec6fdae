/* SPDX-License-Identifier: GPL-3.0-or-later */
/* archive_list.h: what the packed segments of a store say of themselves. */
#ifndef ARCHIVE_LIST_H
#define ARCHIVE_LIST_H

#include "base/error.h"
#include "io/io.h"
#include "ledger/arc.h"

struct archive_segment {
    uint32_t number;
    uint64_t size;            /* of the file */
    bool damaged;             /* neither header can be read */
    struct arc_header header; /* where it is not */
};

/* Tell EACH packed segment of the store in DIRECTORY, in order of their numbers, while jobs may
 * pack, unpack and prune them: one that goes meanwhile is not told. What EACH returns but 0 ends
 * it. Blocking: runs the loop. */
int archive_list(struct io *io, const char *directory, uint64_t store_id,
                 int (*each)(void *context, const struct archive_segment *segment), void *context,
                 struct error_detail *detail);

#endif
