/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An index made anew while the store serves.
 *
 *   gather   blocks are read as a range of the canonical chain is, a worker computes their entries,
 *            a batch of them becomes runs of the new index, its progress is written with it. Only
 *            blocks that cannot leave the chain go in (as far as one can say: see finish), so that
 *            what is in stays right. While it catches up the head moves on, so it does that a few
 *            times;
 *   hold     nothing is applied or merged from here on; blocks are stored as before, and gather;
 *   last     the blocks up to the tables' head. A change of branch that comes meanwhile waits among
 *            the pending batches, and withdraws later what it has to of old index and new alike;
 *   finish   if the last block gathered for good is canonical still, the new runs take the place of
 *            the old ones in one transaction. If not, all begins again;
 *   settle   a checkpoint, so that it stays so.
 *
 * Until finish the index that is there is used. Stopped or killed before it, the next one goes on
 * where this one was. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_rebuild_private.h"

enum {
    ENTRIES_MAX = 1 << 20, /* of a batch */
    PASSES_MAX = 8,
    TRIES_MAX = 16,
};

static void release_hold(struct store *store)
{
    __atomic_store_n(&store->rebuild_holds, false, __ATOMIC_RELAXED);
    store_apply_go_on(store);
}

static void free_work(struct store_rebuild_work *work)
{
    index_anew_close(work->anew);
    store_rebuild_heights_free(work);
    store_rebuild_state_free(work);
    pending_destroy(work->batch);
    prepare_deinit(&work->prepare);
    memory_free(work->range.blocks);
    work->store->rebuild = NULL;
    memory_free(work);
}

void store_rebuild_end(struct store_rebuild_work *work, int result)
{
    struct store *store = work->store;
    struct store_rebuild *owner = work->owner;
    free_work(work);
    if (store->rebuild_holds) {
        release_hold(store);
    }
    owner->result = result;
    if (result == 0) { /* what came last is in it as well */
        owner->total_blocks = store->applied.has_head ? store->applied.head_height + 1 : 0;
        owner->done_blocks = owner->total_blocks;
    }
    if (result != 0 && owner->detail.code == 0) {
        (void)error_set(&owner->detail, result, "%s", stoa_strerror(result)); /* text only */
    }
    owner->done(owner);
}

void store_rebuild_start_job(struct store_rebuild_work *work,
                             void (*run)(struct workers_job *job, void *worker_state),
                             void (*done)(struct workers_job *job))
{
    work->job = (struct workers_job){
        .run = run, .done = done, .context = work, .kind = METRICS_JOB_REBUILD};
    workers_submit(work->store->writers, &work->job);
}

/* ---- beginning ---- */

static void run_open(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    work->result = index_anew_open(work->store->index, worker_state, work->kind, &work->anew,
                                   &work->progress, &work->owner->detail);
}

static void run_drop(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    work->result = index_anew_drop(work->anew, worker_state, &work->owner->detail);
    work->progress = (struct index_progress){.next = 0};
}

static void done_open(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    store_note_tables(work->store, work->result);
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
        return;
    }
    work->at = work->progress;
    work->passes = 0;
    work->limit = 0;
    work->phase = REBUILD_GATHER;
    store_rebuild_go_on(work);
}

/* What was gathered is not of the canonical chain. */
static void begin_again(struct store_rebuild_work *work)
{
    if (++work->tries == TRIES_MAX) {
        store_rebuild_end(work, error_set(&work->owner->detail, STOA_EBUSY,
                                          "the canonical chain keeps changing"));
        return;
    }
    work->owner->detail = (struct error_detail){.code = 0};
    pending_clear(work->batch);
    work->entries = 0;
    release_hold(work->store);
    store_rebuild_start_job(work, run_drop, done_open);
}

void store_rebuild_start(struct store *store, struct store_rebuild *rebuild)
{
    static const enum index_kind kinds[] = {
        [STORE_INDEX_TRANSACTIONS] = INDEX_TRANSACTIONS,
        [STORE_INDEX_ADDRESSES] = INDEX_ADDRESSES,
        [STORE_INDEX_LOGS] = INDEX_LOGS,
        [STORE_INDEX_STATE] = INDEX_STATE,
    };
    bool of_heights = rebuild->index == STORE_INDEX_HEIGHTS;
    struct store_rebuild_work *work = NULL;
    rebuild->result = 0;
    rebuild->done_blocks = 0;
    rebuild->total_blocks = 0;
    rebuild->detail = (struct error_detail){.code = 0};
    if (store->rebuild != NULL) {
        rebuild->result = error_set(&rebuild->detail, STOA_EBUSY, "an index is being rebuilt");
    } else if (store->receipts != NULL) {
        rebuild->result = error_set(&rebuild->detail, STOA_EBUSY, "receipts are being stored");
    } else if (store->writers == NULL || store->apply_failed != 0) {
        rebuild->detail = store->failed_detail;
        rebuild->result = store->apply_failed;
    } else {
        work = memory_alloc_zeroed(1, sizeof(*work));
        rebuild->result = work == NULL ? STOA_ENOMEM : 0;
    }
    if (work != NULL) {
        work->store = store;
        work->owner = rebuild;
        work->kind = of_heights ? INDEX_TRANSACTIONS : kinds[rebuild->index]; /* theirs has none */
        prepare_init(&work->prepare);
        work->batch = pending_create();
        store->rebuild = work;
        if (work->batch == NULL || (of_heights && store_rebuild_heights_create(work) != 0)) {
            store_rebuild_end(work, STOA_ENOMEM);
        } else if (of_heights) {
            store_rebuild_go_on(work);
        } else {
            store_rebuild_start_job(work, run_open, done_open);
        }
    } else {
        rebuild->done(rebuild);
    }
}

void store_rebuild_stop(struct store *store)
{
    if (store->rebuild != NULL) {
        __atomic_store_n(&store->rebuild->stopping, true, __ATOMIC_RELAXED);
    }
}

void store_rebuild_free(struct store *store)
{
    if (store->rebuild != NULL) {
        free_work(store->rebuild);
    }
}

/* ---- taking blocks in ---- */

/* What of the block in PREPARE belongs to the index. */
static struct pending_entries entries_of(const struct store_rebuild_work *work)
{
    struct pending_entries entries = prepare_entries(&work->prepare, bytes_of(NULL, 0));
    const struct posting *postings = entries.postings;
    size_t addresses = 0;
    if (work->kind == INDEX_TRANSACTIONS) {
        entries.posting_count = 0;
        return entries;
    }
    entries.prefix_count = 0;
    while (addresses < entries.posting_count && postings[addresses].kind == POSTING_ADDRESS) {
        addresses++;
    }
    if (work->kind == INDEX_ADDRESSES) {
        entries.posting_count = addresses;
    } else {
        entries.postings = postings + addresses;
        entries.posting_count -= addresses;
    }
    return entries;
}

int store_rebuild_add(struct store_rebuild_work *work, const uint8_t hash[32],
                      const struct pending_entries *entries)
{
    struct pending_block block = {.height = work->at.next};
    memcpy(block.hash, hash, 32);
    int result = pending_add(work->batch, &block, entries);
    if (result == 0) {
        work->entries += entries->prefix_count + entries->posting_count + entries->hash_count;
        work->at.next++;
        memcpy(work->at.hash, hash, 32);
    }
    return result;
}

static int add(struct store_rebuild_work *work, const uint8_t hash[32])
{
    struct pending_entries entries = entries_of(work);
    return store_rebuild_add(work, hash, &entries);
}

static int take_block(struct store_rebuild_work *work, const struct stoa_block *block)
{
    struct error_detail *detail = &work->owner->detail;
    struct record record = {
        .block = bytes_of(block->block.data, block->block.size),
        .receipts = bytes_of(block->receipts.data, block->receipts.size),
        .senders = bytes_of(block->senders.data, block->senders.size),
    };
    int result = prepare_record(&work->prepare, &record, detail);
    if (result != 0) {
        return result;
    }
    const uint8_t *parent = work->prepare.block.header.parent_hash;
    if (work->phase == REBUILD_GATHER && work->at.next != 0 &&
        memcmp(parent, work->at.hash, 32) != 0) {
        return STOA_ECANCELED;
    }
    result = prepare_index(&work->prepare, bytes_of(NULL, 0));
    return result == 0 ? add(work, block->hash) : result;
}

static void run_take(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    int result = 0;
    (void)worker_state; /* the blocks say all */
    for (size_t i = 0; result == 0 && i < work->range.block_count; i++) {
        result = take_block(work, &work->range.blocks[i]);
    }
    work->result = result;
}

static void done_take(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    for (size_t i = 0; i < work->range.block_count; i++) {
        store_view_release(work->range.blocks[i].view);
    }
    memory_free(work->range.blocks);
    work->range.blocks = NULL;
    work->range.block_count = 0;
    if (work->result == STOA_ECANCELED) {
        begin_again(work);
    } else if (work->result != 0) {
        store_rebuild_end(work, work->result);
    } else {
        store_rebuild_go_on(work);
    }
}

/* The block's frame is damaged: that nothing is known of it. */
static void run_take_damaged(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct index_place place;
    uint8_t hash[32];
    int result = index_find_height(work->store->index, worker_state, work->at.next, hash, &place,
                                   &work->owner->detail);
    if (result == 0) {
        result = prepare_damaged(&work->prepare);
    }
    work->result = result == 0 ? add(work, hash) : result;
}

static void read_some(struct store_rebuild_work *work);

static void done_range(struct store_request *request)
{
    struct store_rebuild_work *work = request->context;
    const struct store *store = work->store;
    bool damage = request->result == STOA_ECORRUPT && store->tables_damage == STORE_SOUND;
    if (request->result == 0) {
        store_rebuild_start_job(work, run_take, done_take);
    } else if (damage && request->range.count > 1) {
        work->singly = request->range.count;
        read_some(work);
    } else if (damage) {
        store_rebuild_start_job(work, run_take_damaged, done_take);
    } else if (request->result == STOA_ENOTFOUND && work->phase == REBUILD_LAST) {
        work->limit = work->at.next; /* a change of branch that waits takes them off the chain */
        store_rebuild_go_on(work);
    } else if (request->result == STOA_ENOTFOUND) {
        begin_again(work);
    } else if (request->result == STOA_EBUSY && ++work->tries < TRIES_MAX) {
        store_rebuild_go_on(work);
    } else {
        work->owner->detail = request->detail;
        store_rebuild_end(work, request->result);
    }
}

static void read_some(struct store_rebuild_work *work)
{
    if (work->kind == INDEX_STATE) {
        store_rebuild_state_read(work);
        return;
    }
    uint64_t left = work->limit - work->at.next;
    uint64_t most = work->singly != 0 ? 1 : REBUILD_READ_BLOCKS;
    work->singly -= work->singly != 0;
    work->range = (struct store_request){
        .kind = STORE_GET_RANGE,
        .pruned_too = true,
        .range = {.from = work->at.next, .count = left < most ? left : most},
        .done = done_range,
        .context = work,
    };
    store_submit(work->store, &work->range);
}

/* ---- into the tables ---- */

static bool should_stop(void *context)
{
    const struct store_rebuild_work *work = context;
    return __atomic_load_n(&work->stopping, __ATOMIC_RELAXED); /* a hint only */
}

static void run_load(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    struct error_detail *detail = &work->owner->detail;
    bool kept = work->phase == REBUILD_GATHER;
    int result =
        index_anew_load(work->anew, worker_state, work->batch, kept ? &work->at : NULL, detail);
    if (result == 0 && kept) {
        work->progress = work->at;
        result = index_anew_merge(work->anew, worker_state, should_stop, work, detail);
    }
    work->result = result;
}

static void done_load(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    work->result = store_blame_space(work->store, work->result, &work->owner->detail);
    store_note_tables(work->store, work->result);
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
        return;
    }
    pending_clear(work->batch);
    work->entries = 0;
    store_rebuild_go_on(work);
}

static void run_finish(struct workers_job *job, void *worker_state)
{
    struct store_rebuild_work *work = job->context;
    work->result = index_anew_finish(work->anew, worker_state, &work->check, &work->owner->detail);
    if (work->result == 0) {
        work->anew = NULL; /* closed: the store may end before the loop hears of it */
    }
}

void store_rebuild_settle(struct store_rebuild_work *work)
{
    work->phase = REBUILD_SETTLE;
    release_hold(work->store);
    store_rebuild_go_on(work);
}

static void done_finish(struct workers_job *job)
{
    struct store_rebuild_work *work = job->context;
    store_note_tables(work->store, work->result);
    if (work->result == STOA_ECANCELED) {
        begin_again(work);
        return;
    }
    if (work->result != 0) {
        store_rebuild_end(work, work->result);
        return;
    }
    store_rebuild_settle(work);
}

/* What was gathered for good is right where its last block is canonical in the tables; and also
 * where it is so by the pending batches alone, since the tables' own blocks are withdrawn then. */
static void start_finish(struct store_rebuild_work *work)
{
    bool settled = true;
    const struct pending_block *block = NULL;
    work->check = work->progress;
    if (work->check.next != 0) {
        block = store_find_pending_height(work->store, work->check.next - 1, &settled);
    }
    if (block != NULL && memcmp(block->hash, work->check.hash, 32) == 0) {
        work->check.next = 0;
    }
    store_rebuild_start_job(work, run_finish, done_finish);
}

/* ---- one step after the other ---- */

/* Where a pass of gathering ends: what is below stays in the chain and is in the tables. */
uint64_t store_rebuild_line(const struct store *store)
{
    uint64_t line = branches_line(store->branches);
    uint64_t head = store->applied.head_height;
    return !store->applied.has_head ? 0 : line < head ? line : head;
}

static void settle(struct store_rebuild_work *work)
{
    struct store *store = work->store;
    if (store->checkpointing) {
        return; /* its end calls again */
    }
    if (work->own_checkpoint && store->checkpoint_result != STOA_EBUSY) {
        work->owner->detail = store->checkpoint_detail;
        store_rebuild_end(work, store->checkpoint_result);
        return;
    }
    work->own_checkpoint = true;
    store_apply_start_checkpoint(store);
}

static void last(struct store_rebuild_work *work)
{
    struct store *store = work->store;
    if (store->applying || store->merging) {
        return; /* their end calls again */
    }
    work->phase = REBUILD_LAST;
    if (work->heights_walk != NULL) {
        store_rebuild_heights_last(work);
    }
    work->limit = store->applied.has_head ? store->applied.head_height + 1 : 0;
    store_rebuild_go_on(work);
}

void store_rebuild_hold(struct store_rebuild_work *work)
{
    work->phase = REBUILD_HOLD;
    __atomic_store_n(&work->store->rebuild_holds, true, __ATOMIC_RELAXED);
    last(work);
}

static void next_pass(struct store_rebuild_work *work)
{
    uint64_t limit = store_rebuild_line(work->store);
    if (limit > work->at.next && work->passes++ < PASSES_MAX) {
        work->limit = limit;
        store_rebuild_go_on(work);
        return;
    }
    store_rebuild_hold(work);
}

void store_rebuild_go_on(struct store_rebuild_work *work)
{
    struct store *store = work->store;
    size_t gathered = pending_block_count(work->batch);
    bool full = gathered >= STORE_BATCH_BLOCKS_MAX || work->entries >= ENTRIES_MAX ||
                pending_size(work->batch) >= STORE_BATCH_SIZE_MAX;
    if (work->heights_walk == NULL) {
        work->owner->done_blocks = work->at.next;
        work->owner->total_blocks = store->applied.has_head ? store->applied.head_height + 1 : 0;
    }
    if (work->phase == REBUILD_SETTLE) {
        settle(work);
    } else if (work->stopping || store->closing || store->tables_damage != STORE_SOUND ||
               store->apply_failed != 0) {
        store_rebuild_end(
            work,
            error_set(&work->owner->detail, STOA_ECANCELED,
                      "rebuilding was stopped at block %llu; it goes on from there",
                      (unsigned long long)(work->heights_walk != NULL ? work->owner->done_blocks
                                                                      : work->progress.next)));
    } else if (work->phase == REBUILD_HOLD) {
        last(work);
    } else if (work->heights_walk != NULL) {
        store_rebuild_heights_step(work);
    } else if (work->at.next < work->limit && !full) {
        read_some(work);
    } else if (gathered != 0) {
        store_rebuild_start_job(work, run_load, done_load);
    } else if (work->phase == REBUILD_GATHER) {
        next_pass(work);
    } else {
        start_finish(work);
    }
}

void store_rebuild_continue(struct store *store)
{
    struct store_rebuild_work *work = store->rebuild;
    if (work != NULL && (work->phase == REBUILD_HOLD || work->phase == REBUILD_SETTLE)) {
        store_rebuild_go_on(work);
    }
}
