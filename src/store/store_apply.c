/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the pending tier into the tables, off the latency path. Blocks gather in the open batch;
 * when it is large or old enough it is frozen and applied by a worker in one table transaction, and
 * the next one takes blocks meanwhile. Merges of runs and checkpoints run beside it. When the
 * tables fall behind, puts wait: see store_apply_has_room.
 *
 * A failed apply stops writing: the ledger has everything, the next open replays it. */
#include "base/ensure.h"
#include "store/store_private.h"

static const uint64_t tick_ns = 100000000;       /* how often age is looked at */
static const uint64_t batch_age_ns = 1000000000; /* a batch is applied at the latest after this */

static void start_apply(struct store *store);
static void start_merge(struct store *store);

/* The first failure is the one that is told. */
static void fail(struct store *store, enum metrics_job job, int result,
                 const struct error_detail *detail)
{
    metrics_count(store->io->metrics, METRICS_JOB_ERRORS + job, 1);
    store_note_tables(store, result);
    if (store->apply_failed == 0) {
        store->apply_failed = result;
        store->failed_detail = *detail;
    }
}

static bool batch_is_full(const struct pending *batch)
{
    return pending_block_count(batch) >= STORE_BATCH_BLOCKS_MAX ||
           pending_size(batch) >= STORE_BATCH_SIZE_MAX;
}

bool store_apply_has_room(const struct store *store)
{
    return (store->frozen_count < STORE_FROZEN_MAX || !batch_is_full(store->open)) &&
           store_tries_have_room(store);
}

/* A full disk is met here, before the tables meet it: they could not be flushed, and their engine
 * would stop. */
int store_apply_check_space(struct store *store, struct error_detail *detail)
{
    uint64_t free_bytes;
    uint64_t total;
    int result = io_space(store->io, store->directory, &free_bytes, &total);
    if (result != 0) {
        return error_set(detail, result, "free space of %s: %s", store->directory,
                         stoa_strerror(result));
    }
    uint64_t pending = pending_size(store->open);
    for (unsigned i = 0; i < store->frozen_count; i++) {
        pending += pending_size(store->frozen[i]);
    }
    uint64_t least = store->options.space_reserve;
    uint64_t reserve = (least != 0 ? least : STORE_SPACE_RESERVE) + 2 * pending;
    if (reserve >= least && free_bytes >= reserve) {
        return 0;
    }
    return error_set(detail, STOA_ENOSPACE,
                     "no space: %llu bytes are free, writing stops below %llu; reads go on",
                     (unsigned long long)free_bytes, (unsigned long long)reserve);
}

static struct pending *take_idle(struct store *store)
{
    ensure(store->idle_count > 0);
    return store->idle[--store->idle_count];
}

static void freeze(struct store *store)
{
    /* One without blocks takes what is held of the tries into the tables. */
    bool empty = pending_block_count(store->open) == 0;
    bool flushes = store->frozen_count == 0 && store->tries.flush_wanted &&
                   store_tries_unsettled(store) && store->apply_failed == 0;
    if ((empty && !flushes) || store->frozen_count == STORE_FROZEN_MAX) {
        return;
    }
    store->frozen_applied[store->frozen_count] = store->open_applied;
    store->frozen[store->frozen_count++] = store->open;
    store->open = take_idle(store);
    start_apply(store);
}

void store_apply_freeze(struct store *store)
{
    if (store_settle(store) == 0) {
        freeze(store);
    }
}

/* The oldest frozen batch is in the tables. It is gone before anybody is told: who is told may
 * freeze the next. */
static void retire_first(struct store *store)
{
    ensure(store->frozen_count > 0);
    struct pending *batch = store->frozen[0];
    if (pending_block_count(batch) != 0) {
        metrics_record(store->io->metrics, METRICS_BATCH_BLOCKS, pending_block_count(batch));
    }
    store->applied = store->frozen_applied[0];
    store->branch_epoch += pending_is_cut(batch, PLACE_HEIGHT_MAX) || pending_replaces(batch);
    store->frozen_count--;
    for (unsigned i = 0; i < store->frozen_count; i++) {
        store->frozen[i] = store->frozen[i + 1];
        store->frozen_applied[i] = store->frozen_applied[i + 1];
    }
    pending_clear(batch);
    store->idle[store->idle_count++] = batch;
    store->applying = false;
    store_tries_applied(store);
}

static void run_apply(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    /* The loop touches neither the first frozen batch's contents nor its applied position until
     * done. */
    store->apply_result =
        index_apply(store->index, worker_state, store->apply_batch, &store->frozen_applied[0],
                    &store->tries.flush, &store->apply_detail);
}

static void done_apply(struct workers_job *job)
{
    struct store *store = job->context;
    ensure(store->applying && store->frozen[0] == store->apply_batch);
    store->apply_result = store_blame_space(store, store->apply_result, &store->apply_detail);
    if (store->apply_result != 0) {
        store->applying = false;
        fail(store, METRICS_JOB_APPLY, store->apply_result, &store->apply_detail);
        store_through_step(store); /* those that wait are told */
        store_put_advance(store);
        store_rebuild_continue(store);
        return;
    }
    retire_first(store);
    if (batch_is_full(store->open)) {
        freeze(store);
    }
    start_apply(store);
    start_merge(store);
    store_through_step(store);
    store_put_advance(store);
    store_rebuild_continue(store);
}

void store_apply_go_on(struct store *store)
{
    start_apply(store);
    start_merge(store);
}

static void start_apply(struct store *store)
{
    if (store->applying || store->frozen_count == 0 || store->apply_failed != 0 ||
        store->rebuild_holds || store->writers == NULL) {
        return;
    }
    store->applying = true;
    if (store_tries_flush(store)) {
        store_apply_gathered(store, 0);
    }
}

void store_apply_gathered(struct store *store, int result)
{
    ensure(store->applying);
    store->apply_batch = store->frozen[0];
    if (result != 0) {
        store->apply_result = error_set(&store->apply_detail, result, "gather the tries");
        done_apply(&store->apply_job);
        return;
    }
    store->apply_job = (struct workers_job){
        .run = run_apply, .done = done_apply, .context = store, .kind = METRICS_JOB_APPLY};
    workers_submit(store->writers, &store->apply_job);
}

bool store_merge_should_stop(const struct store *store)
{
    return __atomic_load_n(&store->closing, __ATOMIC_RELAXED) || /* hints only */
           __atomic_load_n(&store->rebuild_holds, __ATOMIC_RELAXED);
}

static bool merge_should_stop(void *context)
{
    return store_merge_should_stop(context);
}

static void run_merge(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    bool merged;
    struct runs_stop stop = {merge_should_stop, store};
    store->merge_result = index_merge(store->index, worker_state, &store->merge_floors, &stop,
                                      &merged, &store->merge_detail);
}

static void done_merge(struct workers_job *job)
{
    struct store *store = job->context;
    store->merging = false;
    store->merge_result = store_blame_space(store, store->merge_result, &store->merge_detail);
    if (store->merge_result == 0) {
        start_merge(store);
    } else if (store->merge_result != STOA_ECANCELED && store->merge_result != STOA_EBUSY) {
        fail(store, METRICS_JOB_MERGE, store->merge_result, &store->merge_detail);
    }
    store_rebuild_continue(store);
}

static void start_merge(struct store *store)
{
    if (store->merging || store->closing || store->apply_failed != 0 || store->rebuild_holds) {
        return;
    }
    store->merge_floors = store_floors_to_merge(store);
    if (!index_merge_due(store->index, &store->merge_floors)) {
        return;
    }
    store->merging = true;
    store->merge_job = (struct workers_job){
        .run = run_merge, .done = done_merge, .context = store, .kind = METRICS_JOB_MERGE};
    workers_submit(store->writers, &store->merge_job);
}

void store_apply_freeze_full(struct store *store)
{
    if (batch_is_full(store->open) && store->writers != NULL) {
        freeze(store);
    }
}

static void run_grow(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    (void)worker_state; /* memory needs none */
    store->grown = pending_chunk_make();
}

static void done_grow(struct workers_job *job)
{
    struct store *store = job->context;
    store->growing = false;
    if (store->grown != NULL) { /* else the loop tries, when it is needed */
        pending_chunk_give(store->open, store->grown);
        store->grown = NULL;
    }
}

void store_apply_grow(struct store *store)
{
    if (store->growing || store->closing || store->verifiers == NULL ||
        !pending_wants_chunk(store->open)) {
        return;
    }
    store->growing = true;
    store->grow_job = (struct workers_job){
        .run = run_grow, .done = done_grow, .context = store, .kind = METRICS_JOB_INDEX};
    workers_submit(store->verifiers, &store->grow_job);
}

int store_apply_add(struct store *store, const struct pending_block *block,
                    const struct pending_entries *entries)
{
    if (pending_block_count(store->open) == 0) {
        store->open_since_ns = io_now_ns(store->io);
    }
    int result = pending_add(store->open, block, entries);
    if (result != 0) {
        return result;
    }
    store->open_applied.position = block->position;
    if (!block->side) {
        store->open_applied.has_head = true;
        store->open_applied.head_height = block->height;
        memcpy(store->open_applied.head_hash, block->hash, 32);
        memcpy(store->open_applied.head_total_difficulty, block->total_difficulty, 32);
    }
    store_apply_freeze_full(store);
    store_apply_grow(store);
    return 0;
}

bool store_apply_has_room_apart(const struct store *store)
{
    return store->frozen_count + 2 <= STORE_FROZEN_MAX;
}

int store_apply_replace(struct store *store, const struct pending_block *block,
                        const struct pending_entries *entries, size_t count)
{
    int result = pending_replace(store->open, block, entries, count);
    if (result == 0) {
        store->open_since_ns = io_now_ns(store->io);
        store->open_applied.position = block->position;
    }
    return result;
}

static void run_checkpoint(struct workers_job *job, void *worker_state)
{
    struct store *store = job->context;
    store->checkpoint_result = kv_checkpoint(worker_state, &store->checkpoint_detail);
}

static void done_checkpoint(struct workers_job *job)
{
    struct store *store = job->context;
    store->checkpointing = false;
    store->checkpoint_result =
        store_blame_space(store, store->checkpoint_result, &store->checkpoint_detail);
    if (store->checkpoint_result == STOA_EBUSY) {
        store->checkpointed_sequence = 0; /* the next tick tries again */
    } else if (store->checkpoint_result != 0) {
        fail(store, METRICS_JOB_CHECKPOINT, store->checkpoint_result, &store->checkpoint_detail);
    } else {
        store->checkpoint_at = store->checkpoint_next;
    }
    store_through_checkpointed(store); /* first: the other may begin the next, with its result */
    store_rebuild_continue(store);
}

static void start_checkpoint(struct store *store)
{
    ensure(!store->checkpointing);
    store->checkpointing = true;
    store->checkpoint_last_ns = io_now_ns(store->io);
    store->tries.flush_ended = false;
    store->checkpointed_sequence = store->applied.position.sequence;
    store->checkpoint_next = store->tries.complete; /* the replay begins there */
    store->checkpoint_job = (struct workers_job){.run = run_checkpoint,
                                                 .done = done_checkpoint,
                                                 .context = store,
                                                 .kind = METRICS_JOB_CHECKPOINT};
    workers_submit(store->writers, &store->checkpoint_job);
}

void store_apply_start_checkpoint(struct store *store)
{
    start_checkpoint(store);
}

void store_apply_flush(struct store *store)
{
    if (store->tries.flush_wanted && !store->applying && store->frozen_count == 0 &&
        store->writers != NULL) {
        store_apply_freeze(store);
    }
}

/* After one that comes with the tries no more than a checkpoint's time is replayed. */
static void checkpoint_is_due(struct store *store)
{
    struct store_tries *tries = &store->tries;
    if (!tries->flush_ended && store_tries_unsettled(store)) {
        tries->flush_wanted = true;
        store_apply_freeze(store);
    } else if (store->applied.position.sequence != store->checkpointed_sequence) {
        start_checkpoint(store);
    }
}

static void tick(struct io_request *timer)
{
    struct store *store = timer->context;
    uint64_t now = io_now_ns(store->io);
    if (store->closing || timer->result == STOA_ECANCELED) {
        return;
    }
    bool whole = store->writers != NULL; /* not while they are opened again */
    store_through_step(store); /* whatever failed may have ended nothing that they wait for */
    if (whole && pending_block_count(store->open) != 0 && !store->applying &&
        now - store->open_since_ns >= batch_age_ns) {
        store_apply_freeze(store);
    }
    store_apply_flush(store);
    if (whole && !store->checkpointing && store->apply_failed == 0 &&
        now - store->checkpoint_last_ns >= store->checkpoint_ns) {
        checkpoint_is_due(store);
    }
    store_metrics_tick(store, now);
    timer->deadline_ns = now + tick_ns;
    io_submit(store->io, timer);
}

void store_apply_start_timer(struct store *store)
{
    uint64_t now = io_now_ns(store->io);
    store->checkpoint_last_ns = now;
    store->timer = (struct io_request){
        .op = IO_TIMER, .deadline_ns = now + tick_ns, .done = tick, .context = store};
    io_submit(store->io, &store->timer);
}

static const uint64_t wait_ns = 1000000000; /* of one turn; a completion ends it early */

/* One turn of the loop while something is waited for. */
static int turn(struct store *store)
{
    int result = io_run(store->io, wait_ns);
    return result < 0 ? result : 0;
}

void store_apply_wait_idle(struct store *store)
{
    store_rebuild_stop(store);
    while (store->applying || store->merging || store_tries_merging(store) ||
           store->checkpointing || store->counting || store->works != 0 || store->rebuild != NULL) {
        if (turn(store) != 0) {
            return; /* a loop that is broken completes nothing more */
        }
    }
}

int store_apply_all(struct store *store, struct error_detail *detail)
{
    int result = 0;
    while (result == 0 && store->apply_failed == 0 &&
           (store->settling.count != 0 || store->frozen_count != 0 ||
            pending_block_count(store->open) != 0 || store_tries_unsettled(store))) {
        store->tries.flush_wanted = true;
        store_apply_freeze(store);
        start_apply(store);
        result = turn(store);
    }
    if (result != 0) {
        return error_set(detail, result, "apply to the tables");
    }
    if (store->apply_failed != 0 && detail != NULL) {
        *detail = store->failed_detail;
    }
    return store->apply_failed;
}

int store_apply_here(struct store *store, struct error_detail *detail)
{
    if (pending_block_count(store->open) == 0) {
        return 0;
    }
    int result = index_apply(store->index, store->session, store->open, &store->open_applied,
                             &(struct index_tries){.held = false}, detail);
    if (result != 0) {
        store_note_tables(store, result);
        return result;
    }
    store->applied = store->open_applied;
    store_tries_applied(store);
    store->branch_epoch += pending_is_cut(store->open, PLACE_HEIGHT_MAX);
    pending_clear(store->open);
    bool merged = true;
    while (result == 0 && merged) {
        result = index_merge(store->index, store->session, &(struct index_floors){0, 0},
                             &(struct runs_stop){NULL, NULL}, &merged, detail);
    }
    store_note_tables(store, result);
    return result;
}

int store_apply_checkpoint(struct store *store, struct error_detail *detail)
{
    int result = store_apply_all(store, detail);
    if (result != 0) {
        return result;
    }
    while (store->checkpointing) {
        result = turn(store);
        if (result != 0) {
            return error_set(detail, result, "checkpoint");
        }
    }
    if (store->apply_failed != 0 ||
        store->checkpointed_sequence == store->applied.position.sequence) {
        return store->apply_failed;
    }
    start_checkpoint(store);
    while (store->checkpointing) {
        result = turn(store);
        if (result != 0) {
            return error_set(detail, result, "checkpoint");
        }
    }
    if (store->checkpoint_result != 0 && detail != NULL) {
        *detail = store->checkpoint_detail;
    }
    return store->checkpoint_result;
}
