/* SPDX-License-Identifier: GPL-3.0-or-later */
/* repair_private.h: shared by repair.c and repair_packed.c (packed segments). */
#ifndef REPAIR_PRIVATE_H
#define REPAIR_PRIVATE_H

#include "maint/backup_private.h"
#include "maint/repair.h"
#include "store/identity.h"

/* A damaged place of the ledger. */
struct wound {
    struct ledger_damage damage;
    char what[64];
    const char *source; /* where its bytes came from; NULL: nowhere yet */
};

struct repair {
    const struct repair_options *options;
    struct io *io;
    struct identity identity;
    struct wound *wounds; /* owned */
    size_t count;
    size_t capacity;
    int result;                       /* of noting them */
    char (*own)[STORE_PATH_SIZE_MAX]; /* the store's snapshots; owned */
    size_t own_count;
    bool tables_damaged;
    struct repair_report report;
    struct error_detail *detail;
};

/* The source of what follows from the format alone. */
extern const char repair_the_format[];

size_t repair_source_count(const struct repair *repair);
const char *repair_source_at(const struct repair *repair, size_t index);
/* Where SOURCE has NAME ("ledger/00000042.seg"): in itself, or under the name that its newest
 * backup gives it. False: it has not. */
bool repair_find_in_source(const struct repair *repair, const char *source, const char *name,
                           char out[STORE_PATH_SIZE_MAX]);
/* The source that another wound of the same packed frames was mended from. */
const char *repair_source_of(const struct repair *repair, const struct wound *wound);

/* What a segment is called in a store: packed; as it was written, or thinned. */
void repair_packed_name(uint32_t number, char out_name[64]);
void repair_segment_name(uint32_t number, bool thin, char out_name[64]);

/* Bytes START to END, multiples of IO_ALIGNMENT, of PATH; what the file does not have reads as
 * zeros. NULL: it cannot be read. */
uint8_t *repair_read_place(const struct repair *repair, const char *path, uint64_t start,
                           uint64_t end);
int repair_write_place(const struct repair *repair, const char *path, uint64_t start, uint8_t *data,
                       uint64_t size);

/* Mend a place of a packed segment, where that can be done; its source says whether. */
int repair_packed_mend(struct repair *repair, struct wound *wound);

#endif
