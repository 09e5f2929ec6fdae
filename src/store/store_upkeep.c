/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_upkeep.h"

#include <string.h>

#include "base/ensure.h"
#include "store/index.h"
#include "store/store_private.h"

enum { NOTE_TRIES = 1000, PRESSED_PERCENT = 60, WARM_PART = 4 };

static const uint64_t cache_size_default = 256 << 20;

static void run_work(struct workers_job *job, void *worker_state)
{
    struct store_work *work = job->context;
    work->result = work->run(work, worker_state);
}

static void done_work(struct workers_job *job)
{
    struct store_work *work = job->context;
    struct store *store = work->store;
    store->works--;
    store_note_tables(store, work->result);
    if (work->noted) {
        store->checkpointed_sequence = 0; /* the next checkpoint has something to do */
    }
    work->done(work);
}

int store_work_start(struct store *store, struct store_work *work)
{
    if (store->keepers == NULL || store->tables_damage != STORE_SOUND) {
        return error_set(&work->detail, STOA_ESTOPPED, "the tables are being opened again");
    }
    work->store = store;
    work->noted = false;
    work->result = 0;
    work->detail = (struct error_detail){.code = 0};
    work->job = (struct workers_job){
        .run = run_work, .done = done_work, .context = work, .kind = METRICS_JOB_UPKEEP};
    store->works++;
    workers_submit(store->keepers, &work->job);
    return 0;
}

static uint64_t table_cache_size(const struct store *store)
{
    uint64_t size = store->options.table_cache_size;
    return size != 0 ? size : cache_size_default;
}

int store_warm_tables(struct store_work *work, struct kv_session *session,
                      bool (*stop)(void *context), void *context)
{
    const struct index *index = work->store->index;
    struct runs_warm warm = {
        .bytes_left = table_cache_size(work->store) / WARM_PART, .stop = stop, .context = context};
    int result = runs_warm(index_transactions(index), session, &warm, &work->detail);
    for (unsigned kind = 0; result == 0 && kind < POSTING_KINDS; kind++) {
        result = runs_warm(index_postings(index, (enum posting_kind)kind), session, &warm,
                           &work->detail);
    }
    return result;
}

int store_each_index(const struct store *store, int (*each)(void *context, struct runs *runs),
                     void *context)
{
    return index_each(store->index, each, context);
}

/* ---- merges on request ---- */

static bool merge_should_stop(void *context)
{
    const struct store_merge *merge = context;
    return store_merge_should_stop(merge->store) || merge->stop(merge->context);
}

struct runs_stop store_merge_stop(struct store_merge *merge)
{
    return (struct runs_stop){merge_should_stop, merge};
}

static void done_merge(struct workers_job *job)
{
    struct store_merge *merge = job->context;
    struct store *store = merge->store;
    store->merging = false;
    store->works--;
    store->checkpointed_sequence = 0; /* the next checkpoint takes the old runs away */
    merge->result = store_blame_space(store, merge->result, &merge->detail);
    store_note_tables(store, merge->result);
    store_apply_go_on(store);
    store_rebuild_continue(store);
    merge->done(merge);
}

bool store_merge_start(struct store *store, struct store_merge *merge,
                       void (*run)(struct workers_job *job, void *worker_state))
{
    if (store->merging || store->rebuild_holds || store->closing || store->apply_failed != 0 ||
        store->keepers == NULL || store->tables_damage != STORE_SOUND ||
        store_is_cut_from(store, 0)) {
        return false;
    }
    store->merging = true;
    store->works++;
    merge->store = store;
    merge->result = 0;
    merge->detail = (struct error_detail){.code = 0};
    merge->job = (struct workers_job){
        .run = run, .done = done_merge, .context = merge, .kind = METRICS_JOB_MERGE};
    workers_submit(store->keepers, &merge->job);
    return true;
}

static void run_optimize(struct workers_job *job, void *worker_state)
{
    struct store_merge *merge = job->context;
    const struct store_optimize *optimize = (struct store_optimize *)merge; /* it is first */
    struct runs_stop stop = store_merge_stop(merge);
    merge->result = index_optimize(merge->store->index, worker_state, optimize->place,
                                   &optimize->floors, &stop, &merge->detail);
}

bool store_optimize_start(struct store *store, struct store_optimize *optimize)
{
    optimize->floors = store_floors_to_merge(store);
    return store_merge_start(store, &optimize->merge, run_optimize);
}

/* ---- notes ---- */

static int put_note(struct kv_session *session, const char *key, struct bytes value,
                    struct error_detail *detail)
{
    int result = STOA_EBUSY;
    for (unsigned i = 0; i < NOTE_TRIES && result == STOA_EBUSY; i++) {
        result = kv_put(session, INDEX_META, bytes_of(key, strlen(key)), value, detail);
    }
    return result;
}

int store_note_put(struct store_work *work, struct kv_session *session, const char *key,
                   struct bytes value)
{
    int result = put_note(session, key, value, &work->detail);
    work->noted = work->noted || result == 0;
    return result;
}

/* No space is met before the tables meet it, as for any write: a note is not worth their stop. */
int store_note_keep(struct store *store, const char *key, struct bytes value,
                    struct error_detail *detail)
{
    int result = store->tables_damage == STORE_SOUND
                     ? store_check_writing(store, detail)
                     : error_set(detail, STOA_ESTOPPED, "the tables are being opened again");
    if (result != 0) {
        return result;
    }
    result = store_blame_space(store, put_note(store->session, key, value, detail), detail);
    store_note_tables(store, result);
    if (result != 0) {
        return result;
    }
    store->checkpointed_sequence = UINT64_MAX; /* no frame's: also where there is none */
    return store_apply_checkpoint(store, detail);
}

int store_note_get(struct store *store, const char *key, struct buffer *out,
                   struct error_detail *detail)
{
    struct bytes value;
    buffer_clear(out);
    if (store->session == NULL) {
        return error_set(detail, STOA_ESTOPPED, "the tables are being opened again");
    }
    int result = kv_get(store->session, INDEX_META, bytes_of(key, strlen(key)), &value, detail);
    if (result != 0) {
        return result == STOA_ENOTFOUND ? 0 : result;
    }
    result = buffer_append(out, value.data, value.size);
    return result == 0 ? 0 : error_set(detail, result, "%s", stoa_strerror(result));
}

void store_get_load(const struct store *store, struct store_load *out_load)
{
    struct ledger_stats ledger;
    const struct kv_statistics *tables = &store->statistics;
    uint64_t size = table_cache_size(store);
    ledger_stats(store->ledger, &ledger);
    out_load->groups = ledger.group_count;
    out_load->writing = store->puts.count + store->appended.count != 0;
    out_load->pressed = store->frozen_count >= STORE_FROZEN_MAX - 1 ||
                        tables->cache_dirty_bytes > size / 100 * PRESSED_PERCENT;
}

uint64_t store_replay_bytes(const struct store *store)
{
    struct ledger_stats ledger;
    const struct ledger_position *from = &store->checkpoint_at;
    ledger_stats(store->ledger, &ledger);
    uint64_t segments = ledger.tail_segment - from->segment;
    uint64_t bytes = segments * ledger.segment_size + ledger.tail_offset;
    return bytes > from->offset ? bytes - from->offset : 0;
}

bool store_has_unsaved(const struct store *store)
{
    return store->apply_failed == 0 && !store->checkpointing &&
           (store->applied.position.sequence != store->checkpointed_sequence ||
            store_tries_unsettled(store) ||
            pending_block_count(store->open) + store->frozen_count + store->settling.count != 0);
}

int store_get_space(const struct store *store, uint64_t *out_free, uint64_t *out_total)
{
    return io_space(store->io, store->directory, out_free, out_total);
}
