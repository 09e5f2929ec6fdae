/* SPDX-License-Identifier: GPL-3.0-or-later */
/* posting_stream.h: the postings of one prefix in order of height and index, rising or falling:
 * what the pending batches said when the query began, over what the runs say. A worker walks it;
 * it holds no more than one entry of the runs at a time. */
#ifndef POSTING_STREAM_H
#define POSTING_STREAM_H

#include "store/place.h"
#include "store/posting.h"
#include "tables/runs.h"

/* Height and index as one number, which orders postings. */
static inline uint64_t posting_stream_spot(uint64_t height, uint32_t index)
{
    return height << 24 | index;
}

/* What pending batches say: one a spot, the newest, spots rising. */
struct posting_overlay {
    uint64_t spot;
    uint32_t order; /* of arrival: of the same spot the last counts */
    uint8_t roles;
    bool removed;
};

struct posting_spot {
    uint64_t spot;
    uint8_t roles;
};

struct posting_stream;

/* OVERLAY (COUNT) must outlive the stream; the version stays acquired meanwhile. */
int posting_stream_open(struct runs_version *version, struct kv_session *session,
                        const struct posting *wanted, bool descending,
                        struct posting_stream **out_stream, struct error_detail *detail);
void posting_stream_overlay(struct posting_stream *stream, const struct posting_overlay *overlay,
                            size_t count);                /* before the first seek */
void posting_stream_close(struct posting_stream *stream); /* NULL is allowed */

/* The first posting at SPOT or behind it in the stream's direction; never back. STOA_ENOTFOUND at
 * the end. Seeking what it stands at already costs nothing. */
int posting_stream_seek(struct posting_stream *stream, uint64_t spot, struct posting_spot *out_spot,
                        struct error_detail *detail);

#endif
