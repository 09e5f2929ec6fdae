/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks over all of an index. */
#include "base/ensure.h"
#include "store/index_private.h"

static int count_table(struct kv_session *session, const char *table, uint64_t *out_count,
                       struct error_detail *detail)
{
    struct kv_cursor *cursor;
    int result = kv_cursor_open(session, table, &cursor, detail);
    if (result != 0) {
        return result;
    }
    uint64_t count = 0;
    while ((result = kv_cursor_next(cursor, detail)) == 0) {
        count++;
    }
    kv_cursor_close(cursor);
    *out_count = count;
    return result == STOA_ENOTFOUND ? 0 : result;
}

static int count_entry(void *context, struct bytes key, struct bytes value)
{
    uint64_t *count = context;
    (void)key;
    (void)value;
    (*count)++;
    return 0;
}

static int count_runs(struct runs *runs, struct kv_session *session, uint64_t *out_count,
                      struct error_detail *detail)
{
    struct runs_version *version = runs_acquire(runs);
    int result = runs_prefix(version, session, bytes_of(NULL, 0), count_entry, out_count, detail);
    runs_release(runs, version);
    return result;
}

static int walk_runs(struct runs *runs, struct kv_session *session,
                     int (*entry)(void *context, const struct runs_entry *entry), void *context,
                     struct error_detail *detail)
{
    struct runs_version *version = runs_acquire(runs);
    int result = runs_walk(version, session, bytes_of(NULL, 0), entry, context, detail);
    runs_release(runs, version);
    return result;
}

int index_walk_state(struct index *index, struct kv_session *session,
                     int (*entry)(void *context, const struct runs_entry *entry), void *context,
                     struct error_detail *detail)
{
    return walk_runs(index->state, session, entry, context, detail);
}

int index_walk_trie(struct index *index, struct kv_session *session,
                    int (*entry)(void *context, const struct runs_entry *entry), void *context,
                    struct error_detail *detail)
{
    return walk_runs(index->trie, session, entry, context, detail);
}

int index_count(struct index *index, struct kv_session *session, struct index_counts *out_counts,
                struct error_detail *detail)
{
    struct index_counts counts = {0};
    int result = count_table(session, INDEX_TABLE_HEIGHTS, &counts.heights, detail);
    if (result == 0) {
        result = count_table(session, INDEX_TABLE_BLOCKS, &counts.blocks, detail);
    }
    if (result == 0) {
        result = count_table(session, INDEX_TABLE_SIDES, &counts.sides, detail);
    }
    if (result == 0) {
        result = count_runs(index->transactions, session, &counts.transactions, detail);
    }
    for (unsigned kind = 0; result == 0 && kind < POSTING_KINDS; kind++) {
        result = count_runs(index->postings[kind], session, &counts.postings[kind], detail);
    }
    if (result == 0) {
        *out_counts = counts;
    }
    return result;
}
