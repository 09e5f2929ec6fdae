/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_reply_private.h: the tables that writing and reading of replies share, and what the files of
 * reading do. */
#ifndef WIRE_REPLY_PRIVATE_H
#define WIRE_REPLY_PRIVATE_H

#include "stoa.h"
#include "wire/wire_field.h"

/* Fields of a struct, by tables that do not change. */
struct wire_reply_table {
    const struct wire_field *fields;
    size_t count;
};

enum wire_reply_struct {
    WIRE_STRUCT_ACCOUNT,
    WIRE_STRUCT_HEAD,
    WIRE_STRUCT_STATS,
    WIRE_STRUCT_CACHE_STATS,
    WIRE_STRUCT_CACHE_CLASS,
    WIRE_STRUCT_HEALTH,
    WIRE_STRUCT_REASON,
    WIRE_STRUCT_ANALYSIS,
    WIRE_STRUCT_VERIFIED,
    WIRE_STRUCT_DAMAGE,
    WIRE_STRUCT_BRANCH,
    WIRE_STRUCT_LOG,
    WIRE_STRUCT_HISTORY_ENTRY,
    WIRE_STRUCT_CURSOR,
    WIRE_STRUCT_PROOF,
    WIRE_STRUCT_BLOCK,
    WIRE_STRUCT_HEADER,
    WIRE_STRUCT_JOB,
    WIRE_STRUCT_FACT,
    WIRE_STRUCT_COPY,
    WIRE_STRUCT_ARCHIVE,
    WIRE_STRUCT_ARCHIVE_SEGMENT,
    WIRE_STRUCT_STORAGE,
    WIRE_STRUCT_STORAGE_TABLE,
    WIRE_STRUCT_STORAGE_INDEX,
    WIRE_STRUCT_STORAGE_SEGMENT,
    WIRE_STRUCT_STORAGE_ADVICE,
    WIRE_STRUCT_VERIFICATION,
};

struct wire_reply_table wire_reply_fields(enum wire_reply_struct which);

/* ---- wire_reply_read.c: parts of reading ---- */

int wire_reply_read_fields(struct bytes *cursor, enum wire_reply_struct which, void *object,
                           struct error_detail *detail);
int wire_reply_read_list(struct bytes *cursor, enum wire_reply_struct which, void *object,
                         struct error_detail *detail);
/* How many items LIST has; no more than its bytes can justify. */
int wire_reply_count_items(struct bytes list, size_t size, size_t *out_count,
                           struct error_detail *detail);
/* COUNT objects of SIZE and EXTRA bytes behind them, zeros. */
void *wire_reply_make(size_t count, size_t size, size_t extra);
/* Where the pieces of one allocation go. */
struct wire_reply_room {
    uint8_t *at;
    size_t left;
};

void *wire_reply_take(struct wire_reply_room *room, size_t size);

/* ---- wire_reply_report.c: reports, each a piece of memory of its own ---- */

int wire_reply_read_report(struct bytes *cursor, enum wire_reply_struct which, size_t size,
                           bool sized, void **out, struct error_detail *detail);
int wire_reply_read_cache_stats(struct bytes *cursor, struct stoa_cache_stats **out,
                                struct error_detail *detail);
int wire_reply_read_health(struct bytes *cursor, struct stoa_health **out,
                           struct error_detail *detail);
int wire_reply_read_verified(struct bytes *cursor, struct stoa_completion *out,
                             struct error_detail *detail);
int wire_reply_read_copies(struct bytes *cursor, struct stoa_completion *out,
                           struct error_detail *detail);
int wire_reply_read_archive(struct bytes *cursor, struct stoa_archive **out,
                            struct error_detail *detail);
int wire_reply_read_storage(struct bytes *cursor, struct stoa_storage **out,
                            struct error_detail *detail);
int wire_reply_read_jobs(struct bytes *cursor, struct stoa_completion *out,
                         struct error_detail *detail);

#endif
