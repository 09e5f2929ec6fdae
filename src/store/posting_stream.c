/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/posting_stream.h"

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_cursor.h"

struct posting_stream {
    struct runs_cursor *cursor;
    enum posting_kind kind;
    uint64_t prefix;
    bool descending;
    const struct posting_overlay *overlay;
    size_t overlay_count;
    size_t overlay_next; /* how many were passed, from the end where descending */
    bool run_known;      /* run_spot is where the cursor stands */
    bool run_ended;
    struct posting_spot run_spot;
};

/* Dense lists are walked, thin ones leapt over: so many steps are as dear as a seek. */
enum { STEPS_MAX = 4 };

int posting_stream_open(struct runs_version *version, struct kv_session *session,
                        const struct posting *wanted, bool descending,
                        struct posting_stream **out_stream, struct error_detail *detail)
{
    struct posting_stream *stream = memory_alloc_zeroed(1, sizeof(*stream));
    if (stream == NULL) {
        return error_set(detail, STOA_ENOMEM, "walk postings");
    }
    uint8_t prefix[PLACE_POSTING_PREFIX_SIZE];
    place_encode_posting_prefix(wanted->prefix, prefix);
    stream->kind = wanted->kind;
    stream->prefix = wanted->prefix;
    stream->descending = descending;
    int result = runs_cursor_open(version, session, bytes_of(prefix, sizeof(prefix)), descending,
                                  &stream->cursor, detail);
    if (result != 0) {
        posting_stream_close(stream);
        return result;
    }
    *out_stream = stream;
    return 0;
}

void posting_stream_overlay(struct posting_stream *stream, const struct posting_overlay *overlay,
                            size_t count)
{
    stream->overlay = overlay;
    stream->overlay_count = count;
}

void posting_stream_close(struct posting_stream *stream)
{
    if (stream != NULL) {
        runs_cursor_close(stream->cursor);
        memory_free(stream);
    }
}

static bool is_before(const struct posting_stream *stream, uint64_t a, uint64_t b)
{
    return stream->descending ? a > b : a < b;
}

/* What a move of the cursor to ENTRY said. */
static int take_run(struct posting_stream *stream, int moved, const struct runs_entry *entry,
                    struct error_detail *detail)
{
    stream->run_known = moved == 0;
    stream->run_ended = moved == STOA_ENOTFOUND;
    if (moved != 0) {
        return stream->run_ended ? 0 : moved;
    }
    struct posting posting;
    uint64_t height;
    size_t value_size = stream->kind == POSTING_ADDRESS ? 1 : 0;
    if (place_decode_posting_key(entry->key, stream->kind, &height, &posting) != 0 ||
        posting.prefix != stream->prefix || entry->value.size != value_size) {
        stream->run_known = false;
        return error_set(detail, STOA_ECORRUPT, "tables: a posting is not readable");
    }
    stream->run_spot = (struct posting_spot){
        .spot = posting_stream_spot(height, posting.index),
        .roles = value_size == 0 ? 0 : entry->value.data[0],
    };
    return 0;
}

/* Move the cursor to SPOT or behind it. */
static int run_seek(struct posting_stream *stream, uint64_t spot, struct error_detail *detail)
{
    struct runs_entry entry;
    for (unsigned i = 0; i < STEPS_MAX && stream->run_known; i++) {
        if (!is_before(stream, stream->run_spot.spot, spot)) {
            return 0;
        }
        int moved = runs_cursor_next(stream->cursor, &entry, detail);
        int result = take_run(stream, moved, &entry, detail);
        if (result != 0 || stream->run_ended) {
            return result;
        }
    }
    if (stream->run_known && !is_before(stream, stream->run_spot.spot, spot)) {
        return 0;
    }
    struct posting posting = {
        .prefix = stream->prefix,
        .kind = (uint8_t)stream->kind,
        .index = (uint32_t)(spot & POSTING_INDEX_MAX),
    };
    uint8_t key[PLACE_POSTING_KEY_MAX];
    size_t size = place_encode_posting_key(&posting, spot >> 24, key);
    int moved = runs_cursor_seek(stream->cursor, bytes_of(key, size), &entry, detail);
    int result = take_run(stream, moved, &entry, detail);
    while (result == 0 && stream->run_known && is_before(stream, stream->run_spot.spot, spot)) {
        moved = runs_cursor_next(stream->cursor, &entry, detail); /* keys of logs hold no index */
        result = take_run(stream, moved, &entry, detail);
    }
    return result;
}

/* The first of the overlay at SPOT or behind it; NULL: none. */
static const struct posting_overlay *overlay_seek(struct posting_stream *stream, uint64_t spot)
{
    size_t low = stream->overlay_next;
    size_t high = stream->overlay_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t place = stream->descending ? stream->overlay_count - 1 - middle : middle;
        if (is_before(stream, stream->overlay[place].spot, spot)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    stream->overlay_next = low;
    if (low == stream->overlay_count) {
        return NULL;
    }
    return &stream->overlay[stream->descending ? stream->overlay_count - 1 - low : low];
}

int posting_stream_seek(struct posting_stream *stream, uint64_t spot, struct posting_spot *out_spot,
                        struct error_detail *detail)
{
    uint64_t last = stream->descending ? 0 : UINT64_MAX;
    for (;;) {
        const struct posting_overlay *over = overlay_seek(stream, spot);
        if (!stream->run_ended) {
            int result = run_seek(stream, spot, detail);
            if (result != 0) {
                return result;
            }
        }
        bool run = !stream->run_ended;
        if (over == NULL && !run) {
            return STOA_ENOTFOUND;
        }
        if (over == NULL || (run && is_before(stream, stream->run_spot.spot, over->spot))) {
            *out_spot = stream->run_spot;
            return 0;
        }
        if (!over->removed) {
            *out_spot = (struct posting_spot){.spot = over->spot, .roles = over->roles};
            return 0;
        }
        if (over->spot == last) { /* withdrawn, and nothing can be behind it */
            return STOA_ENOTFOUND;
        }
        spot = stream->descending ? over->spot - 1 : over->spot + 1;
    }
}
