/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding blocks for changes of branch; the marks; the list of branches. */
#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_private.h"

const struct pending *store_batch_at(const struct store *store, unsigned index)
{
    if (index == 0) {
        store_settle_before_look(store);
        return store->open;
    }
    return index <= store->frozen_count ? store->frozen[store->frozen_count - index] : NULL;
}

const struct pending_block *store_find_pending_height(const struct store *store, uint64_t height,
                                                      bool *out_settled)
{
    const struct pending *batch;
    *out_settled = false;
    for (unsigned i = 0; (batch = store_batch_at(store, i)) != NULL; i++) {
        const struct pending_block *block = pending_find_height(batch, height);
        if (block != NULL || pending_is_cut(batch, height)) {
            *out_settled = true;
            return block;
        }
    }
    return NULL;
}

const struct pending_block *store_find_pending_hash(const struct store *store,
                                                    const uint8_t hash[32])
{
    const struct pending *batch;
    for (unsigned i = 0; (batch = store_batch_at(store, i)) != NULL; i++) {
        const struct pending_block *block = pending_find_hash(batch, hash);
        if (block != NULL) {
            return block;
        }
    }
    return NULL;
}

int store_is_canonical(struct store *store, struct kv_session *session, uint64_t height,
                       const uint8_t hash[32], struct error_detail *detail)
{
    uint8_t found[32];
    struct index_place place;
    bool settled;
    const struct pending_block *block = store_find_pending_height(store, height, &settled);
    if (block != NULL) {
        return memcmp(block->hash, hash, 32) == 0 ? 0 : STOA_ENOTFOUND;
    }
    if (settled) {
        return STOA_ENOTFOUND;
    }
    int result = index_find_height(store->index, session, height, found, &place, detail);
    return result != 0 ? result : memcmp(found, hash, 32) == 0 ? 0 : STOA_ENOTFOUND;
}

/* ---- the marks ---- */

struct mark_change {
    struct store_put *put;
    struct head_mark safe; /* as they will be */
    struct head_mark finalized;
    struct head_mark mark;
    bool canonical;
    struct workers_job job;
    struct ledger_append append;
    uint8_t record[HEAD_RECORD_MARKS_SIZE];
    int result;
};

static void finish(struct mark_change *change, int result)
{
    struct store_put *put = change->put;
    memory_free(change);
    store_put_finish_first(put, result);
}

static void done_record(struct ledger_append *append)
{
    struct mark_change *change = append->context;
    struct store *store = change->put->store;
    struct store_request *request = change->put->request;
    if (append->result != 0) {
        (void)ledger_stopped(store->ledger, &request->detail); /* says what failed first */
        finish(change, append->result);
        return;
    }
    store_set_marks(store, &change->safe, &change->finalized, &append->position);
    finish(change, 0);
}

void store_set_marks(struct store *store, const struct head_mark *safe,
                     const struct head_mark *finalized, const struct ledger_position *position)
{
    store->safe = *safe;
    store->finalized = *finalized;
    store_cache_head(store);
    store->open_applied.safe = *safe;
    store->open_applied.finalized = *finalized;
    store->open_applied.position = *position;
    store_branch_raise_line(store);
}

/* The block is there: may the mark rise to it? */
static int check_mark(struct mark_change *change)
{
    const struct store_request *request = change->put->request;
    const struct store *store = change->put->store;
    struct error_detail *detail = &change->put->request->detail;
    bool finalize = request->kind == STORE_SET_FINALIZED;
    const struct head_mark *now = finalize ? &store->finalized : &store->safe;
    const char *name = finalize ? "finalized" : "safe";
    if (!change->canonical) {
        return error_set(detail, STOA_EREFUSED, "%s: block %llu is not on the canonical chain",
                         name, (unsigned long long)change->mark.height);
    }
    if (now->present && change->mark.height < now->height) {
        return error_set(detail, STOA_EREFUSED, "%s: it is at height %llu, and only rises", name,
                         (unsigned long long)now->height);
    }
    change->safe = store->safe;
    change->finalized = store->finalized;
    if (!finalize) {
        change->safe = change->mark;
    } else {
        change->finalized = change->mark;
        if (!change->safe.present || change->safe.height < change->mark.height) {
            change->safe = change->mark;
        }
    }
    return 0;
}

static bool same_mark(const struct head_mark *a, const struct head_mark *b)
{
    return a->present == b->present && a->height == b->height && memcmp(a->hash, b->hash, 32) == 0;
}

static void found(struct mark_change *change)
{
    struct store_put *put = change->put;
    const struct store *store = put->store;
    int result = check_mark(change);
    put->request->height = change->mark.height;
    memcpy(put->request->hash, change->mark.hash, 32);
    if (result != 0 || (same_mark(&change->safe, &store->safe) &&
                        same_mark(&change->finalized, &store->finalized))) {
        finish(change, result);
        return;
    }
    head_record_encode_marks(&change->safe, &change->finalized, change->record);
    change->append = (struct ledger_append){
        .kind = LEDGER_FINALIZED,
        .height = change->mark.height,
        .parts = {bytes_of(change->record, sizeof(change->record))},
        .part_count = 1,
        .done = done_record,
        .context = change,
    };
    put->request->appended = true;
    ledger_append(store->ledger, &change->append);
}

static void run_find(struct workers_job *job, void *worker_state)
{
    struct mark_change *change = job->context;
    struct store_request *request = change->put->request;
    struct index *index = change->put->store->index;
    struct index_place place;
    if (request->key.by == STOA_BY_HASH) {
        change->result =
            index_find_hash(index, worker_state, request->key.hash, &place, &request->detail);
        memcpy(change->mark.hash, request->key.hash, 32);
    } else {
        change->result = index_find_height(index, worker_state, request->key.height,
                                           change->mark.hash, &place, &request->detail);
    }
    if (change->result == 0) {
        change->mark.height = place.height;
        change->canonical = place.canonical;
    }
}

static void done_find(struct workers_job *job)
{
    struct mark_change *change = job->context;
    store_note_tables(change->put->store, change->result);
    if (change->result == 0) {
        found(change);
    } else {
        finish(change, change->result);
    }
}

void store_branch_set_mark(struct store_put *put)
{
    struct store *store = put->store;
    struct stoa_block_key *key = &put->request->key;
    if (key->by == STOA_LATEST) {
        key->by = STOA_BY_HEIGHT;
        key->height = store->head.height;
    }
    if (!store->head.present || (key->by == STOA_BY_HEIGHT && key->height > store->head.height)) {
        store_put_finish_first(put, STOA_ENOTFOUND);
        return;
    }
    struct mark_change *change = memory_alloc_zeroed(1, sizeof(*change));
    if (change == NULL) {
        store_put_finish_first(put, STOA_ENOMEM);
        return;
    }
    bool settled;
    const struct pending_block *block =
        key->by == STOA_BY_HASH ? store_find_pending_hash(store, key->hash)
                                : store_find_pending_height(store, key->height, &settled);
    change->put = put;
    change->mark.present = true;
    if (block == NULL) {
        change->job = (struct workers_job){.run = run_find, .done = done_find, .context = change};
        workers_submit(store->readers, &change->job);
        return;
    }
    change->mark.height = block->height;
    memcpy(change->mark.hash, block->hash, 32);
    change->canonical = !block->side;
    found(change);
}

/* ---- the list ---- */

static int compare_branches(const void *a, const void *b)
{
    const struct stoa_branch *left = a;
    const struct stoa_branch *right = b;
    int order = memcmp(right->total_difficulty, left->total_difficulty, 32);
    return order != 0 ? order : memcmp(left->hash, right->hash, 32);
}

static void describe(const struct store *store, const struct branches_block *tip,
                     struct stoa_branch *out)
{
    *out = (struct stoa_branch){.height = tip->height};
    memcpy(out->hash, tip->hash, 32);
    memcpy(out->total_difficulty, tip->total_difficulty, 32);
    const struct branches_block *at = tip;
    while (at != NULL) {
        out->fork_height = at->height - 1;
        memcpy(out->fork_hash, at->parent_hash, 32);
        at = branches_find(store->branches, at->parent_hash);
    }
}

int store_get_branches(const struct store *store, struct stoa_branch *out, size_t capacity,
                       size_t *out_count)
{
    size_t count = branches_tips(store->branches, NULL, 0);
    struct branches_block *tips = memory_alloc_zeroed(count, sizeof(*tips));
    struct stoa_branch *all = memory_alloc_zeroed(count + 1, sizeof(*all));
    if (tips == NULL || all == NULL) {
        memory_free(tips);
        memory_free(all);
        return STOA_ENOMEM;
    }
    (void)branches_tips(store->branches, tips, count); /* as many as before */
    size_t filled = 0;
    if (store->head.present) {
        all[filled] = (struct stoa_branch){
            .height = store->head.height,
            .canonical = 1,
            .fork_height = store->head.height,
        };
        memcpy(all[filled].hash, store->head.hash, 32);
        memcpy(all[filled].fork_hash, store->head.hash, 32);
        memcpy(all[filled].total_difficulty, store->head.total_difficulty, 32);
        filled++;
    }
    for (size_t i = 0; i < count; i++) {
        describe(store, &tips[i], &all[filled + i]);
    }
    qsort(all + filled, count, sizeof(*all), compare_branches);
    count += filled;
    for (size_t i = 0; i < count && i < capacity; i++) {
        out[i] = all[i];
    }
    memory_free(tips);
    memory_free(all);
    *out_count = count;
    return 0;
}
