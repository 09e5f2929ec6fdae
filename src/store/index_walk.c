/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks over all of an index. */
#include "base/ensure.h"
#include "store/index_private.h"

enum { ASK_ENTRIES = 1 << 12 }; /* between two questions: a few milliseconds */

void index_ask(struct index *index, const struct index_asker *asker)
{
    index->asker = asker;
}

/* What a walk has seen so far. */
struct walked {
    const struct index *index;
    const struct kv_session *session;
    uint64_t count;
    uint64_t hidden; /* of these, not kept any more */
    const struct index_kept *kept;
    int (*entry)(void *context, const struct runs_entry *entry);
    void *context;
};

/* One entry more. STOA_ECANCELED: enough. */
static int go_on(struct walked *walked)
{
    const struct index_asker *asker = walked->index->asker;
    walked->count++;
    return walked->count % ASK_ENTRIES == 0 && asker != NULL && asker->session == walked->session &&
                   asker->is_stopping(asker->context)
               ? STOA_ECANCELED
               : 0;
}

static int count_table(struct index *index, struct kv_session *session, const char *table,
                       uint64_t *out_count, struct error_detail *detail)
{
    struct walked walked = {.index = index, .session = session};
    struct kv_cursor *cursor;
    int result = kv_cursor_open(session, table, &cursor, detail);
    if (result != 0) {
        return result;
    }
    while (result == 0) {
        result = kv_cursor_next(cursor, detail);
        result = result == 0 ? go_on(&walked) : result;
    }
    kv_cursor_close(cursor);
    *out_count = walked.count;
    return result == STOA_ENOTFOUND ? 0 : result;
}

static int count_entry(void *context, struct bytes key, struct bytes value)
{
    struct walked *walked = context;
    const struct index_kept *kept = walked->kept;
    (void)value;
    walked->hidden += kept->floor != 0 && kept->height_of(key) < kept->floor;
    return go_on(walked);
}

static int count_runs(struct index *index, struct kv_session *session, struct runs *runs,
                      const struct prune_floors *floors, uint64_t *out_count,
                      struct error_detail *detail)
{
    struct index_kept kept = index_kept_of(index, runs, floors);
    struct walked walked = {.index = index, .session = session, .kept = &kept};
    struct runs_version *version = runs_acquire(runs);
    int result = runs_prefix(version, session, bytes_of(NULL, 0), count_entry, &walked, detail);
    runs_release(runs, version);
    *out_count = walked.count - walked.hidden;
    return result;
}

static int walk_entry(void *context, const struct runs_entry *entry)
{
    struct walked *walked = context;
    int result = go_on(walked);
    return result == 0 ? walked->entry(walked->context, entry) : result;
}

static int walk_runs(struct index *index, struct runs *runs, struct walked *walked,
                     struct kv_session *session, struct error_detail *detail)
{
    struct runs_version *version = runs_acquire(runs);
    walked->index = index;
    walked->session = session;
    int result = runs_walk(version, session, bytes_of(NULL, 0), walk_entry, walked, detail);
    runs_release(runs, version);
    return result;
}

int index_walk_state(struct index *index, struct kv_session *session,
                     int (*entry)(void *context, const struct runs_entry *entry), void *context,
                     struct error_detail *detail)
{
    struct walked walked = {.entry = entry, .context = context};
    return walk_runs(index, index->state, &walked, session, detail);
}

int index_walk_trie(struct index *index, struct kv_session *session,
                    int (*entry)(void *context, const struct runs_entry *entry), void *context,
                    struct error_detail *detail)
{
    struct walked walked = {.entry = entry, .context = context};
    return walk_runs(index, index->trie, &walked, session, detail);
}

int index_count(struct index *index, struct kv_session *session, const struct prune_floors *kept,
                struct index_counts *out_counts, struct error_detail *detail)
{
    struct index_counts counts = {0};
    int result = count_table(index, session, INDEX_TABLE_HEIGHTS, &counts.heights, detail);
    if (result == 0) {
        result = count_table(index, session, INDEX_TABLE_BLOCKS, &counts.blocks, detail);
    }
    if (result == 0) {
        result = count_table(index, session, INDEX_TABLE_SIDES, &counts.sides, detail);
    }
    if (result == 0) {
        result =
            count_runs(index, session, index->transactions, kept, &counts.transactions, detail);
    }
    for (unsigned kind = 0; result == 0 && kind < POSTING_KINDS; kind++) {
        result =
            count_runs(index, session, index->postings[kind], kept, &counts.postings[kind], detail);
    }
    if (result == 0) {
        *out_counts = counts;
    }
    return result;
}
