/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runs_cursor.h: a walk over the entries of an index of runs that begin with one prefix, in either
 * direction, with seeks, so that a long list is never taken whole and two lists can be intersected
 * by leaps. Of each key the newest entry counts; tombstones are passed over.
 *
 * Belongs to the thread of its session; the version stays acquired until it is closed. */
#ifndef RUNS_CURSOR_H
#define RUNS_CURSOR_H

#include "tables/runs.h"

struct runs_cursor;

/* Nowhere yet. PREFIX is copied. */
int runs_cursor_open(struct runs_version *version, struct kv_session *session, struct bytes prefix,
                     bool descending, struct runs_cursor **out_cursor, struct error_detail *detail);
void runs_cursor_close(struct runs_cursor *cursor); /* NULL is allowed */

/* To the first entry at KEY or behind it in the cursor's direction, but never back. KEY begins with
 * the prefix. STOA_ENOTFOUND at the end. The views live until the next call. */
int runs_cursor_seek(struct runs_cursor *cursor, struct bytes key, struct runs_entry *out_entry,
                     struct error_detail *detail);

/* The next entry; the first where it is nowhere yet. */
int runs_cursor_next(struct runs_cursor *cursor, struct runs_entry *out_entry,
                     struct error_detail *detail);

#endif
