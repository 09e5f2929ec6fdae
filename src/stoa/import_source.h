/* SPDX-License-Identifier: GPL-3.0-or-later */
/* import_source.h: where the blocks of an import come from: a stream of RLP blocks or an era1
 * archive, gzipped or not. What it is, its first bytes tell. An era1 archive is read from both
 * ends: it is mapped, after a copy to a temporary file where it is no plain file (spool_file.h),
 * and its accumulator checked before its first block is handed out. One thread. */
#ifndef IMPORT_SOURCE_H
#define IMPORT_SOURCE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

struct import_source;

/* A block, and what of its header places it in a chain. Views last until the next call. */
struct import_item {
    struct bytes block;
    struct bytes receipts; /* RLP list; data NULL: the source has none */
    uint64_t number;
    uint8_t hash[32];
    uint8_t parent_hash[32];
};

/* PATH, or "-" for standard input. */
int import_source_open(const char *path, struct import_source **out_source,
                       struct error_detail *detail);
void import_source_close(struct import_source *source);

/* STOA_ENOTFOUND at the end; STOA_EINVAL, STOA_ECORRUPT for what cannot be read as a block, and for
 * a source without any. */
int import_source_next(struct import_source *source, struct import_item *out_item,
                       struct error_detail *detail);

/* After a failed import_source_next: the parentHash that the torn or malformed block names, as far
 * as its first bytes can be read. */
bool import_source_peek_parent(const struct import_source *source, uint8_t out_parent_hash[32]);

/* How much of the file was used, 0 to 1; below 0 where that is unknown. */
double import_source_fraction(const struct import_source *source);

#endif
