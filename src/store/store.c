/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store.h"

#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_private.h"

static const uint64_t checkpoint_ns_default = 30000000000;
enum { TABLE_WORKERS_DEFAULT = 16, WRITER_COUNT = 4, KEEPER_COUNT = 2, VERIFY_WORKERS_DEFAULT = 2 };

static int start_session(void *context, unsigned index, void **out_state,
                         struct error_detail *detail)
{
    struct store *store = context;
    (void)index;
    struct kv_session *session;
    int result = kv_session_open(store->kv, &session, detail);
    if (result == 0) {
        *out_state = session;
    }
    return result;
}

static void stop_session(void *context, void *state)
{
    (void)context;
    kv_session_close(state);
}

static int start_recovery(void *context, unsigned index, void **out_state,
                          struct error_detail *detail)
{
    (void)context;
    (void)index;
    *out_state = transaction_recovery_create();
    return *out_state == NULL ? error_set(detail, STOA_ENOMEM, "signature recovery") : 0;
}

static void stop_recovery(void *context, void *state)
{
    (void)context;
    transaction_recovery_destroy(state);
}

static int open_kv(struct store *store, const char *path, struct error_detail *detail)
{
    const struct store_options *options = &store->options;
    struct kv_options kv_options = {.path = path, .cache_size = options->table_cache_size};
    int result = options->memory_tables != NULL
                     ? kv_memory_open(options->memory_tables, &store->kv, detail)
                     : kv_wiredtiger_open(&kv_options, &store->kv, detail);
    if (result == 0) {
        result = kv_session_open(store->kv, &store->session, detail);
    }
    if (result == 0) {
        result = index_open(store->kv, store->session, store->identity.store_id, &store->index,
                            &store->applied, detail);
    }
    return result;
}

void store_close_tables(struct store *store)
{
    index_close(store->index);
    kv_session_close(store->session);
    if (store->kv != NULL) {
        kv_close(store->kv);
    }
    store->index = NULL;
    store->session = NULL;
    store->kv = NULL;
}

/* Tables that are missing or damaged are made anew; the replay that follows fills them from the
 * ledger. */
int store_open_tables(struct store *store, bool anew, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, store->directory, STORE_FOLDER_TABLES, detail);
    if (result != 0) {
        return result;
    }
    if (store->options.memory_tables != NULL) {
        return open_kv(store, path, detail);
    }
    size_t count = 0;
    result = io_list(store->io, path, store_folder_count, &count);
    if (result == STOA_ENOTFOUND) {
        store->rebuilt = true;
        result = store_folder_make(store->io, path, detail);
    } else if (result != 0) {
        return error_set(detail, result, "list %s: %s", path, stoa_strerror(result));
    }
    if (result == 0) {
        result = anew ? STOA_ECORRUPT : open_kv(store, path, detail);
    }
    if (result == STOA_ECORRUPT) {
        store->rebuilt = true;
        store_close_tables(store);
        result = store_folder_empty(store->io, path, detail);
        if (result == 0) {
            result = open_kv(store, path, detail);
        }
    }
    return result;
}

static int open_ledger(struct store *store, const struct store_options *options,
                       struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    char archive[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, store->directory, STORE_FOLDER_LEDGER, detail);
    if (result == 0) {
        result = store_folder_path(archive, store->directory, STORE_FOLDER_ARCHIVE, detail);
    }
    struct ledger_options ledger_options = {
        .io = store->io,
        .path = path,
        .archive = archive,
        .store_id = store->identity.store_id,
        .segment_size = options->segment_size,
        .prepare = options->bulk ? LEDGER_ALLOCATE : LEDGER_PREWRITE,
        .spare_count = STORE_SPARE_SEGMENTS,
    };
    if (result == 0) {
        result = ledger_open(&ledger_options, store->applied.position.sequence, &store->ledger,
                             &store->recovery, detail);
    }
    return result;
}

/* The workers that call the tables. */
int store_start_table_workers(struct store *store, struct error_detail *detail)
{
    const struct store_options *options = &store->options;
    struct workers_options tables = {
        .io = store->io,
        .count = options->table_workers != 0 ? options->table_workers : TABLE_WORKERS_DEFAULT,
        .name = "stoa-read",
        .start = start_session,
        .stop = stop_session,
        .context = store,
    };
    int result = workers_create(&tables, &store->readers, detail);
    if (result == 0) {
        tables.count = WRITER_COUNT;
        tables.name = "stoa-apply";
        tables.gives_way = true;
        result = workers_create(&tables, &store->writers, detail);
    }
    if (result == 0) {
        tables.count = KEEPER_COUNT;
        tables.name = "stoa-keep";
        result = workers_create(&tables, &store->keepers, detail);
    }
    return result;
}

static int start_verifiers(struct store *store, struct error_detail *detail)
{
    unsigned count = store->options.verify_workers;
    struct workers_options verify = {
        .io = store->io,
        .count = count != 0 ? count : VERIFY_WORKERS_DEFAULT,
        .name = "stoa-verify",
        .start = start_recovery,
        .stop = stop_recovery,
    };
    int result = workers_create(&verify, &store->verifiers, detail);
    if (result == 0) {
        ledger_set_workers(store->ledger, store->verifiers);
    }
    return result;
}

static int read_identity(struct store *store, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, store->directory, STORE_FILE_IDENTITY, detail);
    if (result == 0) {
        result = identity_read(store->io, path, &store->identity, detail);
    }
    if (result == STOA_ENOTFOUND) {
        return error_set(detail, result, "%s is not a store", store->directory);
    }
    if (result != 0) {
        return result;
    }
    result = store_folder_path(path, store->directory, STORE_FILE_LOCK, detail);
    if (result != 0) {
        return result;
    }
    result = io_lock(store->io, path, &store->lock);
    if (result == STOA_ELOCKED) {
        return error_set(detail, result, "%s is in use by another process", store->directory);
    }
    return result == 0 ? 0 : error_set(detail, result, "lock %s: %s", path, stoa_strerror(result));
}

static int make_batches(struct store *store, struct error_detail *detail)
{
    int result = store_tries_init(store, detail);
    if (result != 0) {
        return result;
    }
    store->branches = branches_create();
    if (store->branches == NULL) {
        return error_set(detail, STOA_ENOMEM, "open");
    }
    for (unsigned i = 0; i < STORE_FROZEN_MAX + 1; i++) {
        struct pending *batch = pending_create();
        if (batch == NULL) {
            return error_set(detail, STOA_ENOMEM, "open");
        }
        if (store->open == NULL) {
            store->open = batch;
        } else {
            store->idle[store->idle_count++] = batch;
        }
    }
    return 0;
}

static int open_parts(struct store *store, const struct store_options *options,
                      struct error_detail *detail)
{
    int result = read_identity(store, detail);
    if (result == 0) {
        result = make_batches(store, detail);
    }
    if (result == 0) {
        result = store_open_tables(store, false, detail);
    }
    if (result == 0) {
        result = open_ledger(store, options, detail);
    }
    if (result == 0) {
        result = store_replay(store, detail);
    }
    if (result != 0 && store->tables_damage == STORE_REBUILD) {
        result = store_replay_anew(store, detail);
    }
    if (result == 0) {
        result = store_start_table_workers(store, detail);
    }
    return result == 0 ? start_verifiers(store, detail) : result;
}

int store_open(const struct store_options *options, struct store **out_store,
               struct error_detail *detail)
{
    struct store *store = memory_alloc_zeroed(1, sizeof(*store));
    char parent[STORE_PATH_SIZE_MAX];
    if (store == NULL) {
        return error_set(detail, STOA_ENOMEM, "open");
    }
    store->io = options->io;
    if ((options->history_blocks != 0 && options->history_blocks < STORE_RETENTION_MIN) ||
        (options->trie_history_blocks != 0 && options->trie_history_blocks < STORE_RETENTION_MIN)) {
        memory_free(store);
        return error_set(detail, STOA_EINVAL, "open: history of fewer than %d blocks",
                         STORE_RETENTION_MIN);
    }
    store->unwind_max = options->unwind_max != 0 ? options->unwind_max : STORE_UNWIND_DEFAULT;
    store->lock = -1;
    store->options = *options;
    store->checkpoint_ns =
        options->checkpoint_ns != 0 ? options->checkpoint_ns : checkpoint_ns_default;
    int result = store_folder_split(options->directory, store->directory, parent, detail);
    if (result == 0) {
        result = open_parts(store, options, detail);
    }
    if (result != 0) {
        result = store_blame_space(store, result, detail);
        store_abandon(store);
        return result;
    }
    store->checkpointed_sequence = store->rebuilt ? 0 : store->applied.position.sequence;
    store->checkpoint_at = store->applied.position;
    store_metrics_start(store);
    store_apply_start_timer(store);
    store->cache = options->cache;
    store_cache_head(store);
    *out_store = store;
    return 0;
}

/* ---- closing ---- */

static void release(struct store *store)
{
    workers_destroy(store->verifiers);
    workers_destroy(store->readers);
    workers_destroy(store->writers);
    workers_destroy(store->keepers);
    store_rebuild_free(store);
    store_close_tables(store);
    store_tries_deinit(store);
    store_branch_free(store);
    store_put_free_pool(store);
    store_packed_deinit(store);
    store_receipts_free(store);
    store_query_free_all(store);
    store_get_free_pool(store);
    branches_destroy(store->branches);
    pending_chunk_free(store->grown); /* a power cut left it off */
    pending_destroy(store->open);
    for (unsigned i = 0; i < store->frozen_count; i++) {
        pending_destroy(store->frozen[i]);
    }
    for (unsigned i = 0; i < store->idle_count; i++) {
        pending_destroy(store->idle[i]);
    }
    if (store->lock >= 0) {
        io_unlock(store->io, store->lock);
    }
    memory_free(store);
}

void store_abandon(struct store *store)
{
    if (store != NULL) {
        __atomic_store_n(&store->closing, true, __ATOMIC_RELAXED);
        ledger_abandon(store->ledger);
        release(store);
    }
}

int store_close(struct store *store, struct error_detail *detail)
{
    if (store == NULL) {
        return 0;
    }
    int result = 0;
    store_rebuild_stop(store);
    while (store->pending_requests != 0 && result >= 0) {
        result = io_run(store->io, 1000000000);
    }
    ensure(store->views_out == 0);
    result = result < 0 ? error_set(detail, result, "close") : 0;
    __atomic_store_n(&store->closing, true, __ATOMIC_RELAXED);
    if (result == 0) {
        result = store_apply_checkpoint(store, detail);
    }
    if (result == STOA_ECANCELED && store->tables_damage != STORE_SOUND) {
        result = 0; /* this close stopped their mending: the ledger has everything, the next open
                       mends them */
    }
    store_apply_wait_idle(store);
    (void)io_cancel(store->io, &store->timer); /* it may have run out already */
    (void)io_cancel(store->io, &store->settle_timer);
    (void)io_cancel(store->io, &store->through.timer);
    while ((store->timer.pending || store->settle_timer.pending || store->through.timer.pending) &&
           io_run(store->io, 1000000000) >= 0) {
    }
    int closed = ledger_close(store->ledger, result == 0 ? detail : NULL);
    store->ledger = NULL;
    release(store);
    return result != 0 ? result : closed;
}

/* ---- serving ---- */

bool store_is_stopping(const struct store *store)
{
    return store->options.is_stopping != NULL &&
           store->options.is_stopping(store->options.stopping_context);
}

void store_finish_request(struct store *store, struct store_request *request, int result)
{
    ensure(store->pending_requests > 0);
    store->pending_requests--;
    request->result = result;
    if (result != 0 && request->detail.code == 0) {
        (void)error_set(&request->detail, result, "%s", stoa_strerror(result)); /* text only */
    }
    request->done(request);
}

void store_submit(struct store *store, struct store_request *request)
{
    store->pending_requests++;
    request->result = 0;
    request->appended = false;
    request->work = NULL;
    request->detail.code = 0;
    request->detail.os_error = 0;
    request->detail.text[0] = '\0';
    if (request->kind == STORE_PUT_BLOCK || request->kind >= STORE_UPDATE_HEAD) {
        store_put_submit(store, request);
    } else if (request->kind == STORE_CHECKPOINT) {
        store_through_finish(store, request, 0);
    } else if (request->kind == STORE_QUERY_LOGS || request->kind == STORE_QUERY_HISTORY ||
               request->kind == STORE_GET_RANGE || request->kind == STORE_GET_HEADERS) {
        store_query_submit(store, request);
    } else {
        store_get_submit(store, request);
    }
}

unsigned store_pending(const struct store *store)
{
    return store->pending_requests;
}

unsigned store_views_out(const struct store *store)
{
    return store->views_out;
}

uint64_t store_chain_id(const struct store *store)
{
    return store->identity.chain_id;
}

void store_get_head(const struct store *store, struct stoa_head *out_head)
{
    *out_head = (struct stoa_head){
        .empty = !store->head.present,
        .height = store->head.height,
        .chain_id = store->identity.chain_id,
    };
    memcpy(out_head->hash, store->head.hash, 32);
    memcpy(out_head->total_difficulty, store->head.total_difficulty, 32);
    memcpy(out_head->genesis_hash, store->identity.genesis_hash, 32);
    out_head->has_safe = store->safe.present;
    out_head->safe_height = store->safe.height;
    memcpy(out_head->safe_hash, store->safe.hash, 32);
    out_head->has_finalized = store->finalized.present;
    out_head->finalized_height = store->finalized.height;
    memcpy(out_head->finalized_hash, store->finalized.hash, 32);
}

uint64_t store_get_id(const struct store *store)
{
    return store->identity.store_id;
}

const char *store_directory(const struct store *store)
{
    return store->directory;
}

struct ledger *store_ledger(const struct store *store)
{
    return store->ledger;
}

int store_get_point(const struct store *store, struct store_point *out_point)
{
    struct ledger_stats ledger;
    ledger_stats(store->ledger, &ledger);
    if (!store->head.present) {
        return STOA_ENOTFOUND;
    }
    uint64_t keep = ledger.durable_sequence;
    const struct store_put *first = store->appended.first;
    if (store->changing != NULL || (first != NULL && first->batch != NULL)) {
        return STOA_EBUSY;
    }
    if (first != NULL && first->durable && first->append.result == 0) {
        /* Durable and not acknowledged yet, as are those behind it. */
        bool has_changes = first->prepare.changes.size != 0 && !first->update;
        keep = first->append.position.sequence - 1 - (has_changes ? 1 : 0);
    } else if (first != NULL && first->durable) {
        return STOA_EBUSY;
    }
    int result = ledger_get_end(store->ledger, keep, &out_point->end);
    store_get_head(store, &out_point->head);
    out_point->store_id = store->identity.store_id;
    return result;
}

void store_get_stats(struct store *store, struct stoa_stats *out_stats)
{
    struct ledger_stats ledger;
    ledger_stats(store->ledger, &ledger);
    struct index_floors floors = store_floors(store);
    uint64_t waiting = store->settling.count + pending_block_count(store->open);
    for (unsigned i = 0; i < store->frozen_count; i++) {
        waiting += pending_block_count(store->frozen[i]);
    }
    *out_stats = (struct stoa_stats){
        .size = sizeof(*out_stats),
        .blocks = store->head.present ? store->head.height + 1 : 0,
        .ledger_segments = ledger.segment_count,
        .ledger_bytes = ledger.segment_bytes,
        .ledger_sequence = ledger.last_sequence,
        .applied_sequence = store->applied.position.sequence,
        .pending_blocks = waiting,
        .table_bytes = store->statistics.file_bytes,
        .frame_bytes = ledger.frame_bytes,
        .written_bytes = ledger.written_bytes,
        .groups = ledger.group_count,
        .appends = ledger.append_count,
        .recovered_blocks = store->replayed_blocks,
        .cut_bytes = store->recovery.cut_bytes,
        .rebuilt_tables = store->rebuilt,
        .stopped = ledger.stopped || store->apply_failed != 0,
        .state_heights = store->head.state_end,
        .history_from = floors.values,
        .trie_history_from = floors.tries,
        .bodies_from = store->kept.bodies,
        .receipts_from = store->kept.receipts,
        .logs_from = store->kept.logs,
        .transactions_from = store->kept.transactions,
    };
    snprintf(out_stats->io, sizeof(out_stats->io), "%s", store->io->ops->name);
    snprintf(out_stats->io_features, sizeof(out_stats->io_features), "%s", store->io->features);
}

int store_checkpoint(struct store *store, struct error_detail *detail)
{
    return store_apply_checkpoint(store, detail);
}
