/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One index made anew from blocks. Its progress is a record in the table "meta", under "rebuild-"
 * and the index's name, written with the list of its runs in one transaction:
 *   next height (8), hash of the block before it (32). */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/index_private.h"

enum { PROGRESS_SIZE = 40 };

struct index_anew {
    struct index *index;
    struct runs *runs; /* what it takes the place of */
    struct runs *anew;
    struct index part; /* scratch of its own, and ANEW where the kind's runs are */
    enum index_kind kind;
    const char *key; /* of its progress */
};

static const char *const keys[INDEX_RUNS] = {
    [INDEX_TRANSACTIONS] = "rebuild-transactions",
    [INDEX_ADDRESSES] = "rebuild-addresses",
    [INDEX_LOGS] = "rebuild-logs",
    [INDEX_STATE] = "rebuild-state",
};

static struct bytes progress_key(const struct index_anew *anew)
{
    return bytes_of(anew->key, strlen(anew->key));
}

static int read_progress(const struct index_anew *anew, struct kv_session *session,
                         struct index_progress *out, struct error_detail *detail)
{
    struct bytes value;
    int result = kv_get(session, INDEX_META_TABLE, progress_key(anew), &value, detail);
    *out = (struct index_progress){.next = 0};
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    if (result == 0 && value.size != PROGRESS_SIZE) {
        result = error_set(detail, STOA_ECORRUPT, "tables: progress of a rebuild is not readable");
    }
    if (result == 0) {
        out->next = bytes_load_le64(value.data);
        memcpy(out->hash, value.data + 8, 32);
    }
    return result;
}

static int write_progress(const struct index_anew *anew, struct kv_session *session,
                          const struct index_progress *progress, struct error_detail *detail)
{
    uint8_t value[PROGRESS_SIZE];
    bytes_store_le64(value, progress->next);
    memcpy(value + 8, progress->hash, 32);
    return kv_put(session, INDEX_META_TABLE, progress_key(anew), bytes_of(value, sizeof(value)),
                  detail);
}

static int start(struct index_anew *anew, struct kv_session *session,
                 struct index_progress *out_progress, struct error_detail *detail)
{
    int result = runs_anew_open(anew->runs, &anew->anew, detail);
    if (result != 0) {
        return result;
    }
    if (anew->kind == INDEX_TRANSACTIONS) {
        anew->part.transactions = anew->anew;
    } else if (anew->kind == INDEX_STATE) {
        anew->part.state = anew->anew;
    } else {
        anew->part.postings[anew->kind - INDEX_ADDRESSES] = anew->anew;
    }
    return read_progress(anew, session, out_progress, detail);
}

int index_anew_open(struct index *index, struct kv_session *session, enum index_kind kind,
                    struct index_anew **out_anew, struct index_progress *out_progress,
                    struct error_detail *detail)
{
    struct index_anew *anew = memory_alloc_zeroed(1, sizeof(*anew));
    ensure(keys[kind] != NULL);
    if (anew == NULL) {
        return error_set(detail, STOA_ENOMEM, "rebuild an index");
    }
    anew->index = index;
    anew->kind = kind;
    anew->key = keys[kind];
    anew->runs = index_runs_at(index, kind);
    int result = start(anew, session, out_progress, detail);
    if (result != 0) {
        index_anew_close(anew);
        return result;
    }
    *out_anew = anew;
    return 0;
}

void index_anew_close(struct index_anew *anew)
{
    if (anew != NULL) {
        memory_free(anew->part.entries);
        memory_free(anew->part.shorts);
        memory_free(anew->part.keys);
        memory_free(anew->part.rows);
        memory_free(anew);
    }
}

/* DO_IT in a transaction of its own, again where others changed the same tables meanwhile. */
static int
transact(struct index_anew *anew, struct kv_session *session, const struct index_progress *progress,
         int (*do_it)(struct index_anew *anew, struct kv_session *session,
                      const struct index_progress *progress, struct error_detail *detail),
         struct error_detail *detail)
{
    int result = STOA_EBUSY;
    for (unsigned tries = 0; result == STOA_EBUSY && tries < INDEX_COMMIT_TRIES; tries++) {
        result = kv_begin(session, detail);
        if (result != 0) {
            return result;
        }
        result = do_it(anew, session, progress, detail);
        if (result != 0) {
            kv_rollback(session);
        } else {
            result = kv_commit(session, detail);
        }
    }
    return result;
}

static int record(struct index_anew *anew, struct kv_session *session,
                  const struct index_progress *progress, struct error_detail *detail)
{
    int result = runs_record(anew->anew, session, detail);
    return result == 0 ? write_progress(anew, session, progress, detail) : result;
}

int index_anew_load(struct index_anew *anew, struct kv_session *session,
                    const struct pending *batch, const struct index_progress *progress,
                    struct error_detail *detail)
{
    if (index_reserve_scratch(&anew->part, batch, &index_tries_of_batch) != 0) {
        return error_set(detail, STOA_ENOMEM, "rebuild an index");
    }
    int result =
        index_load_runs(&anew->part, session, batch, &index_tries_of_batch, anew->kind, detail);
    if (result == 0 && progress == NULL) {
        result = runs_anew_keep(anew->anew, detail);
    } else if (result == 0) {
        result = transact(anew, session, progress, record, detail);
        if (result == 0) {
            runs_publish(anew->anew);
        }
    }
    if (result != 0) {
        runs_discard(anew->anew, session);
    }
    return result;
}

int index_anew_merge(struct index_anew *anew, struct kv_session *session,
                     bool (*stop)(void *context), void *context, struct error_detail *detail)
{
    int result = 0;
    while (result == 0 && runs_merge_due(anew->anew)) {
        result = runs_merge(anew->anew, session, stop, context, detail);
    }
    return result == STOA_EBUSY ? 0 : result; /* after the next batch, then */
}

/* The block before NEXT is the one that the tables have there. */
static int check_progress(const struct index_anew *anew, struct kv_session *session,
                          const struct index_progress *progress, struct error_detail *detail)
{
    struct index_place place;
    uint8_t hash[32];
    if (progress->next == 0) {
        return 0;
    }
    int result = index_find_height(anew->index, session, progress->next - 1, hash, &place, detail);
    if (result == STOA_ENOTFOUND || (result == 0 && memcmp(hash, progress->hash, 32) != 0)) {
        return error_set(detail, STOA_ECANCELED, "block %llu has left the canonical chain",
                         (unsigned long long)progress->next - 1);
    }
    return result;
}

static int swap(struct index_anew *anew, struct kv_session *session,
                const struct index_progress *progress, struct error_detail *detail)
{
    int result = check_progress(anew, session, progress, detail);
    if (result == 0) {
        result = kv_remove(session, INDEX_META_TABLE, progress_key(anew), detail);
    }
    return result == 0 ? runs_anew_record(anew->runs, session, detail) : result;
}

int index_anew_finish(struct index_anew *anew, struct kv_session *session,
                      const struct index_progress *progress, struct error_detail *detail)
{
    int result = STOA_EBUSY;
    for (unsigned tries = 0; result == STOA_EBUSY && tries < INDEX_COMMIT_TRIES; tries++) {
        result = kv_begin(session, detail);
        if (result != 0) {
            return result;
        }
        result = swap(anew, session, progress, detail);
        if (result != 0) {
            kv_rollback(session);
            continue;
        }
        result = kv_commit(session, detail);
        if (result != 0) {
            runs_anew_cancel(anew->runs);
        }
    }
    if (result == 0) {
        runs_anew_publish(anew->runs);
        index_anew_close(anew);
    }
    return result;
}

static int forget(struct index_anew *anew, struct kv_session *session,
                  const struct index_progress *progress, struct error_detail *detail)
{
    (void)progress;
    int result = kv_remove(session, INDEX_META_TABLE, progress_key(anew), detail);
    return result == 0 ? runs_anew_record_drop(anew->runs, session, detail) : result;
}

int index_anew_drop(struct index_anew *anew, struct kv_session *session,
                    struct error_detail *detail)
{
    int result = transact(anew, session, NULL, forget, detail);
    if (result != 0) {
        return result;
    }
    runs_anew_drop(anew->runs, session);
    anew->anew = NULL;
    struct index_progress none;
    return start(anew, session, &none, detail);
}

int index_anew_withdraw(struct index *index, struct kv_session *session, uint64_t height,
                        struct error_detail *detail)
{
    static const enum index_kind kinds[] = {INDEX_ADDRESSES, INDEX_LOGS};
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct index_progress progress;
        struct index_anew *anew;
        struct index_anew key = {.key = keys[kinds[i]]};
        result = read_progress(&key, session, &progress, detail);
        if (result != 0 || progress.next <= height) {
            continue; /* not begun, mostly */
        }
        result = index_anew_open(index, session, kinds[i], &anew, &progress, detail);
        if (result == 0) {
            result = index_anew_drop(anew, session, detail);
            index_anew_close(anew);
        }
    }
    return result;
}
