/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/runs_cursor.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

/* One run, newest first in the array: filters leave few of them, so the first in order is found by
 * looking at each. */
struct source {
    struct run_reader reader;
    struct bytes key;
    bool placed;
    bool ended;
};

struct runs_cursor {
    size_t prefix_size;
    bool descending;
    bool at_entry; /* the sources at this key are still to be moved on */
    size_t key_size;
    size_t source_count;
    uint8_t prefix[KV_KEY_SIZE_MAX];
    uint8_t key[KV_KEY_SIZE_MAX];
    struct source sources[];
};

/* Negative: A comes first in the cursor's direction. */
static int order(const struct runs_cursor *cursor, struct bytes a, struct bytes b)
{
    return cursor->descending ? bytes_compare(b, a) : bytes_compare(a, b);
}

static void source_look(const struct runs_cursor *cursor, struct source *source, int moved)
{
    source->placed = moved == 0;
    source->ended = moved != 0;
    if (moved != 0) {
        return;
    }
    source->key = run_page_key(&source->reader.page);
    source->ended = source->key.size < cursor->prefix_size ||
                    memcmp(source->key.data, cursor->prefix, cursor->prefix_size) != 0;
}

static int source_step(const struct runs_cursor *cursor, struct source *source,
                       struct error_detail *detail)
{
    int result = cursor->descending ? run_reader_previous(&source->reader, detail)
                                    : run_reader_next(&source->reader, detail);
    source_look(cursor, source, result);
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* To KEY or the nearest behind it. */
static int source_seek(const struct runs_cursor *cursor, struct source *source, struct bytes key,
                       struct error_detail *detail)
{
    int result = cursor->descending ? run_reader_seek_back(&source->reader, key, detail)
                                    : run_reader_seek(&source->reader, key, detail);
    source_look(cursor, source, result);
    return result == STOA_ENOTFOUND ? 0 : result;
}

int runs_cursor_open(struct runs_version *version, struct kv_session *session, struct bytes prefix,
                     bool descending, struct runs_cursor **out_cursor, struct error_detail *detail)
{
    ensure(prefix.size != 0 && prefix.size < KV_KEY_SIZE_MAX);
    struct runs_cursor *cursor =
        memory_alloc(sizeof(*cursor) + version->count * sizeof(cursor->sources[0]));
    if (cursor == NULL) {
        return error_set(detail, STOA_ENOMEM, "walk runs: out of memory");
    }
    *cursor = (struct runs_cursor){.prefix_size = prefix.size, .descending = descending};
    memcpy(cursor->prefix, prefix.data, prefix.size);
    uint64_t hash = runs_prefix_hash(version, prefix);
    for (size_t i = 0; i < version->count; i++) {
        const struct run *run = version->list[i];
        if (!runs_may_hold(run, prefix, hash)) {
            continue;
        }
        struct source *source = &cursor->sources[cursor->source_count];
        source->placed = false;
        source->ended = false;
        int result = run_reader_open(&source->reader, session, run->table, detail);
        if (result != 0) {
            runs_cursor_close(cursor);
            return result;
        }
        cursor->source_count++;
    }
    *out_cursor = cursor;
    return 0;
}

void runs_cursor_close(struct runs_cursor *cursor)
{
    if (cursor == NULL) {
        return;
    }
    for (size_t i = 0; i < cursor->source_count; i++) {
        run_reader_close(&cursor->sources[i].reader);
    }
    memory_free(cursor);
}

/* The newest of the sources at the first key; NULL at the end. */
static struct source *first_source(struct runs_cursor *cursor)
{
    struct source *first = NULL;
    for (size_t i = 0; i < cursor->source_count; i++) {
        struct source *source = &cursor->sources[i];
        if (!source->ended && (first == NULL || order(cursor, source->key, first->key) < 0)) {
            first = source;
        }
    }
    return first;
}

/* Move every source on that stands at the current key. */
static int pass_entry(struct runs_cursor *cursor, struct error_detail *detail)
{
    struct bytes key = bytes_of(cursor->key, cursor->key_size);
    int result = 0;
    for (size_t i = 0; result == 0 && i < cursor->source_count; i++) {
        struct source *source = &cursor->sources[i];
        if (!source->ended && bytes_equal(source->key, key)) {
            result = source_step(cursor, source, detail);
        }
    }
    cursor->at_entry = false;
    return result;
}

/* From where the sources stand to the first entry that is no tombstone. */
static int settle(struct runs_cursor *cursor, struct runs_entry *out_entry,
                  struct error_detail *detail)
{
    for (;;) {
        struct source *first = first_source(cursor);
        if (first == NULL) {
            return STOA_ENOTFOUND;
        }
        ensure(first->key.size <= sizeof(cursor->key));
        memcpy(cursor->key, first->key.data, first->key.size);
        cursor->key_size = first->key.size;
        run_reader_entry(&first->reader, out_entry);
        if (!out_entry->removed && !out_entry->absent) {
            out_entry->key = bytes_of(cursor->key, cursor->key_size);
            cursor->at_entry = true;
            return 0;
        }
        int result = pass_entry(cursor, detail);
        if (result != 0) {
            return result;
        }
    }
}

int runs_cursor_seek(struct runs_cursor *cursor, struct bytes key, struct runs_entry *out_entry,
                     struct error_detail *detail)
{
    ensure(key.size >= cursor->prefix_size &&
           memcmp(key.data, cursor->prefix, cursor->prefix_size) == 0);
    int result = 0;
    for (size_t i = 0; result == 0 && i < cursor->source_count; i++) {
        struct source *source = &cursor->sources[i];
        if (!source->ended && (!source->placed || order(cursor, source->key, key) < 0)) {
            result = source_seek(cursor, source, key, detail);
        }
    }
    cursor->at_entry = false;
    return result == 0 ? settle(cursor, out_entry, detail) : result;
}

int runs_cursor_next(struct runs_cursor *cursor, struct runs_entry *out_entry,
                     struct error_detail *detail)
{
    if (cursor->at_entry) {
        int result = pass_entry(cursor, detail);
        return result == 0 ? settle(cursor, out_entry, detail) : result;
    }
    uint8_t first[KV_KEY_SIZE_MAX];
    memset(first, cursor->descending ? UINT8_MAX : 0, sizeof(first));
    memcpy(first, cursor->prefix, cursor->prefix_size);
    size_t size = cursor->descending ? sizeof(first) : cursor->prefix_size;
    return runs_cursor_seek(cursor, bytes_of(first, size), out_entry, detail);
}
