/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run_reader.h: the entries of one run in order, across its pages. As a kv cursor: it starts
 * nowhere, and is nowhere after a move that failed. One thread's, with its session. */
#ifndef RUN_READER_H
#define RUN_READER_H

#include "tables/run_page.h"
#include "tables/runs.h"

struct run_reader {
    const char *table; /* the caller's */
    struct kv_cursor *cursor;
    struct bytes last_key; /* of the page */
    bool paged;            /* the cursor stands on PAGE's record */
    struct run_page page;
};

/* STOA_ECORRUPT: the table is missing. */
int run_reader_open(struct run_reader *reader, struct kv_session *session, const char *table,
                    struct error_detail *detail);
void run_reader_close(struct run_reader *reader); /* also where it was not opened */

/* To the first entry at KEY or behind it. */
int run_reader_seek(struct run_reader *reader, struct bytes key, struct error_detail *detail);

/* To the last entry at KEY or before it. */
int run_reader_seek_back(struct run_reader *reader, struct bytes key, struct error_detail *detail);

int run_reader_next(struct run_reader *reader, struct error_detail *detail);
int run_reader_previous(struct run_reader *reader, struct error_detail *detail);

/* What it stands on; views live until it moves. */
void run_reader_entry(const struct run_reader *reader, struct runs_entry *out_entry);

/* The first entry of TABLE at KEY or behind it, without a reader. PAGE is the caller's; the entry's
 * key is in it, its value lives until the session's next call. STOA_ENOTFOUND. */
int run_reader_get_from(struct kv_session *session, const char *table, struct bytes key,
                        struct run_page *page, struct runs_entry *out_entry,
                        struct error_detail *detail);

#endif
