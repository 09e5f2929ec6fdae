/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A batch of blocks, changes of raw keys and a change of head, as one (batch_record.h). It stands
 * in the queue of puts and runs alone, as a change of branch does: what was appended before is
 * acknowledged first, what comes after waits.
 *
 *   verify   workers take the blocks side by side;
 *   link     store_batch_link.c: each is new and has its place; which is the head afterwards;
 *   change   as a change of head reads what leaves the chain and what comes onto it, and computes
 *            the tries (store_branch.c); nothing where the head stays;
 *   append   all frames in a row, the last of which makes them count;
 *   take in  between two turns of the loop, and unable to fail: the blocks as side blocks, then the
 *            switch, then the changes of the head.
 *
 * The changes belong to the block that is the head afterwards. Where the batch has that block, they
 * go into its own state frame; else they are an update (store_update.c). */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/batch_record.h"
#include "store/store_batch_private.h"

static size_t key_count(const struct store_put *put)
{
    return put->prepare.put->change_count;
}

/* Whether the changes have a frame of their own. */
static bool has_update(const struct store_batch_work *work)
{
    return key_count(work->put) != 0 && work->own_count == 0;
}

void store_batch_release(struct store_put *put)
{
    struct store_batch_work *work = put->batch;
    if (work != NULL) {
        if (work->change != NULL) {
            store_branch_deinit(work->change);
            memory_free(work->change);
        }
        buffer_deinit(&work->record);
        memory_free(work->own);
        memory_free(work->blocks);
        memory_free(work);
        put->batch = NULL;
    }
}

/* ---- submitting ---- */

static void verified(struct store_batch_work *work)
{
    ensure(work->verifying != 0);
    if (--work->verifying == 0) {
        work->put->verified = true;
        store_put_advance(work->put->store);
    }
}

static void run_verify(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    (void)prepare_verify(&put->prepare, worker_state); /* kept in prepare.result */
}

static void done_verify(struct workers_job *job)
{
    struct store_put *put = job->context;
    verified(put->batch);
}

static void run_keys(struct workers_job *job, void *worker_state)
{
    struct store_batch_work *work = job->context;
    (void)worker_state;                        /* encoding needs none */
    (void)prepare_update(&work->put->prepare); /* kept in prepare.result */
}

static void done_keys(struct workers_job *job)
{
    verified(job->context);
}

static int make_members(struct store_batch_work *work)
{
    struct store_put *put = work->put;
    const struct store_batch *given = put->request->batch;
    struct store_put **last = &put->members;
    work->blocks = memory_alloc_zeroed(given->block_count + 1, sizeof(*work->blocks));
    if (work->blocks == NULL) {
        return STOA_ENOMEM;
    }
    for (size_t i = 0; i < given->block_count; i++) {
        struct store_put *member = store_put_take(put->store);
        if (member == NULL) {
            return STOA_ENOMEM;
        }
        member->request = NULL;
        member->prepare.put = &given->blocks[i];
        member->next = NULL;
        *last = member;
        last = &member->next;
        work->blocks[i].put = member;
        work->count = i + 1;
    }
    return 0;
}

/* One job at least, whose end lets the puts go on. */
void store_batch_submit(struct store_put *put)
{
    struct store *store = put->store;
    struct store_batch_work *work = memory_alloc_zeroed(1, sizeof(*work));
    put->batch = work;
    if (work != NULL) {
        work->put = put;
        buffer_init(&work->record);
    }
    put->prepare.result = work == NULL ? STOA_ENOMEM : make_members(work);
    if (put->prepare.result != 0) {
        if (work != NULL) {
            work->count = 0; /* nothing was verified */
        }
        put->verified = true;
        store_put_advance(store);
        return;
    }
    work->verifying = (unsigned)work->count + 1;
    buffer_clear(&put->prepare.changes);
    for (size_t i = 0; i < work->count; i++) {
        struct store_put *member = work->blocks[i].put;
        member->batch = work;
        member->verify_job = (struct workers_job){
            .run = run_verify, .done = done_verify, .context = member, .kind = METRICS_JOB_VERIFY};
        workers_submit(store->verifiers, &member->verify_job);
    }
    if (key_count(put) == 0) {
        verified(work);
        return;
    }
    work->keys_job = (struct workers_job){
        .run = run_keys, .done = done_keys, .context = work, .kind = METRICS_JOB_VERIFY};
    workers_submit(store->verifiers, &work->keys_job);
}

/* ---- ending ---- */

/* RESULT is work->result, or the change's. */
static void finish(struct store_batch_work *work, int result)
{
    struct store_put *put = work->put;
    put->request->batch->failed = work->failed;
    store_put_finish_first(put, result);
}

static void refuse(struct store_batch_work *work, size_t index, int result)
{
    work->failed = index;
    work->put->request->detail = work->detail;
    finish(work, result);
}

/* ---- beginning ---- */

/* What the blocks' own bytes say. 0, or why not, and FAILED. */
static int check_prepared(struct store_batch_work *work)
{
    struct store_put *put = work->put;
    for (size_t i = 0; i < work->count; i++) {
        const struct store_put *member = work->blocks[i].put;
        int result = member->prepare.result;
        work->failed = i;
        if (result != 0) {
            work->detail = member->prepare.detail;
            return result;
        }
        result = store_put_link_check_size(member, &work->detail);
        if (result != 0) {
            return result;
        }
    }
    work->failed = work->count;
    if (put->prepare.result != 0) {
        work->failed = SIZE_MAX; /* of the keys, and says which */
        work->detail = put->prepare.detail;
        return put->prepare.result;
    }
    const struct store *store = put->store;
    if (!store->head.present) {
        return error_set(&work->detail, STOA_EREFUSED,
                         "the store is empty, and its first block is stored alone");
    }
    if (store->head.damaged || store->top.height != store->head.height ||
        memcmp(store->top.hash, store->head.hash, 32) != 0) {
        return error_set(&work->detail, STOA_ECORRUPT,
                         "the newest block, height %llu, is damaged: repair it first",
                         (unsigned long long)store->head.height);
    }
    return 0;
}

void store_batch_start(struct store_put *put)
{
    struct store_batch_work *work = put->batch;
    if (work == NULL) { /* no memory */
        store_put_finish_first(put, put->prepare.result);
        return;
    }
    int result = check_prepared(work);
    if (result != 0) {
        refuse(work, work->failed, result);
        return;
    }
    store_batch_link(work);
}

/* ---- its frames ---- */

static void done_part(struct ledger_append *append)
{
    (void)append; /* the commit frame, the last, asks for all results */
}

static int encode(struct store_batch_work *work)
{
    struct ledger_stats stats;
    const struct branch_change *change = work->change;
    struct bytes head = change != NULL ? buffer_bytes(&change->record) : bytes_of(NULL, 0);
    size_t size = BATCH_RECORD_HEADER_SIZE + work->count * BATCH_RECORD_BLOCK_SIZE + head.size;
    if (buffer_reserve(&work->record, size) != 0) {
        return STOA_ENOMEM;
    }
    ledger_stats(work->put->store->ledger, &stats);
    struct batch_record record = {
        .flags =
            (has_update(work) ? BATCH_RECORD_UPDATE : 0) | (change != NULL ? BATCH_RECORD_HEAD : 0),
        .block_count = (uint32_t)work->count,
        .base = stats.last_sequence,
    };
    uint8_t *at = work->record.data;
    batch_record_encode_header(&record, at);
    at += BATCH_RECORD_HEADER_SIZE;
    for (size_t i = 0; i < work->count; i++) {
        const struct store_put *put = work->blocks[i].put;
        struct batch_record_block block = {
            .height = put->prepare.block.header.number,
            .has_state = put->prepare.changes.size != 0,
        };
        memcpy(block.hash, put->prepare.block.hash, 32);
        memcpy(block.parent_hash, put->prepare.block.header.parent_hash, 32);
        memcpy(block.total_difficulty, put->total_difficulty, 32);
        batch_record_encode_block(&block, at);
        at += BATCH_RECORD_BLOCK_SIZE;
    }
    if (head.size != 0) {
        memcpy(at, head.data, head.size);
    }
    work->record.size = size;
    return size <= ledger_payload_max(work->put->store->ledger)
               ? 0
               : error_set(&work->detail, STOA_ETOOBIG,
                           "the batch has too many blocks for a frame");
}

/* The block that the changes belong to, stored already. */
static void get_top(const struct store_batch_work *work, struct pending_block *out_top)
{
    const struct branch_change *change = work->change;
    *out_top = change == NULL ? work->put->store->top : change->items[change->item_count - 1].block;
}

static void make_update(struct store_batch_work *work)
{
    struct store_put *put = work->put;
    struct pending_block top;
    get_top(work, &top);
    record_encode_update_header(top.hash, &top.state_position, put->update_header);
    record_mark_batch(put->update_header);
    put->append = (struct ledger_append){
        .kind = LEDGER_STATE,
        .height = top.height,
        .parts = {bytes_of(put->update_header, RECORD_UPDATE_HEADER_SIZE),
                  buffer_bytes(&put->prepare.changes)},
        .part_count = 2,
        .done = done_part,
        .context = put,
    };
}

static int appended_result(const struct store_batch_work *work)
{
    int result = work->commit.result;
    for (size_t i = 0; result == 0 && i < work->count; i++) {
        const struct store_put *put = work->blocks[i].put;
        result = put->append.result;
        if (result == 0 && put->prepare.changes.size != 0) {
            result = put->state_append.result;
        }
    }
    return result == 0 && has_update(work) ? work->put->append.result : result;
}

/* Room for all that is taken in. STOA_ENOMEM. */
static int reserve(struct store_batch_work *work)
{
    struct store *store = work->put->store;
    struct pending_entries keys =
        prepare_update_entries(&work->put->prepare, buffer_bytes(&work->put->prepare.changes));
    struct pending_room room = {
        .blocks = work->count + 1,
        .changes = keys.hash_count,
        .change_bytes = keys.changes.size,
    };
    if (!has_update(work)) {
        room.changes = 0;
        room.change_bytes = 0;
    }
    if (work->change != NULL) {
        work->change->extra = room;
        return store_branch_reserve(work->change);
    }
    int result = pending_reserve(store->open, &room);
    return result == 0 ? branches_reserve(store->branches, room.blocks) : result;
}

static void take_in_update(struct store_batch_work *work)
{
    struct store_put *put = work->put;
    struct store *store = put->store;
    struct pending_entries keys =
        prepare_update_entries(&put->prepare, buffer_bytes(&put->prepare.changes));
    store->top.state_position = put->append.position;
    int result = pending_update(store->open, &store->top, &keys);
    ensure(result == 0); /* there is room */
    store_cache_forget(store, keys.changes);
}

static void take_in(struct store_batch_work *work)
{
    struct store *store = work->put->store;
    if (pending_block_count(store->open) == 0) {
        store->open_since_ns = io_now_ns(store->io);
    }
    for (size_t i = 0; i < work->count; i++) {
        struct store_put *put = work->blocks[i].put;
        struct pending_block block;
        store_put_describe(put, &block);
        int result = store_branch_note_side(store, &block, put->parent.canonical);
        ensure(result == 0); /* there is room */
        result = pending_add(store->open, &block, NULL);
        ensure(result == 0); /* likewise */
    }
    if (work->change != NULL) {
        store_branch_switch_over(work->change, &work->commit.position);
    }
    if (has_update(work)) {
        take_in_update(work);
    }
    store->open_applied.position = work->commit.position;
    store_apply_freeze_full(store);
}

static void done_commit(struct ledger_append *append)
{
    struct store_batch_work *work = append->context;
    struct store_put *put = work->put;
    struct store *store = put->store;
    int result = appended_result(work);
    work->failed = SIZE_MAX; /* of none alone */
    if (result != 0) {
        (void)ledger_stopped(store->ledger, &put->request->detail); /* says what failed first */
        finish(work, result);
        return;
    }
    result = reserve(work); /* the batch that was open may be another by now */
    if (result != 0) {
        store->apply_failed =
            error_set(&store->failed_detail, result, "a batch is durable but not indexed: reopen");
        put->request->detail = store->failed_detail;
        finish(work, result);
        return;
    }
    take_in(work);
    put->request->height = store->head.height;
    memcpy(put->request->hash, store->head.hash, 32);
    finish(work, 0);
}

static void append_all(struct store_batch_work *work)
{
    struct ledger *ledger = work->put->store->ledger;
    work->put->request->appended = true;
    for (size_t i = 0; i < work->count; i++) {
        struct store_put *put = work->blocks[i].put;
        put->append.done = done_part;
        put->state_append.done = done_part;
        if (put->prepare.changes.size != 0) {
            ledger_append(ledger, &put->state_append);
        }
        ledger_append(ledger, &put->append);
    }
    if (has_update(work)) {
        make_update(work);
        ledger_append(ledger, &work->put->append);
    }
    work->commit = (struct ledger_append){
        .kind = LEDGER_BATCH,
        .height = work->change != NULL ? work->change->head.height : work->put->store->head.height,
        .parts = {buffer_bytes(&work->record)},
        .part_count = 1,
        .done = done_commit,
        .context = work,
    };
    ledger_append(ledger, &work->commit);
}

/* ---- the change of head ---- */

static void write_all(struct store_batch_work *work)
{
    int result = reserve(work);
    if (result == 0) {
        result = encode(work);
    }
    if (result != 0) {
        refuse(work, SIZE_MAX, result);
        return;
    }
    append_all(work);
}

static void done_change(struct branch_change *change)
{
    struct store_batch_work *work = change->put->batch;
    const struct store_put *last = work->own_count != 0 ? work->own[work->own_count - 1] : NULL;
    if (last != NULL) {
        memcpy(change->total_difficulty, last->total_difficulty, 32);
    }
    work->change = change; /* the batch's from now on */
    int result = store_branch_encode_record(change);
    if (result != 0) {
        refuse(work, work->count, result);
        return;
    }
    write_all(work);
}

void store_batch_linked(struct store_batch_work *work)
{
    struct store_put *put = work->put;
    if (work->result != 0) {
        refuse(work, work->failed, work->result);
        return;
    }
    if (!work->moves) {
        write_all(work);
        return;
    }
    work->failed = work->count;
    put->request->batch->failed = work->count; /* where the change fails it is about the head */
    struct branch_change *change =
        store_branch_for_batch(put, work->own, work->own_count, work->head);
    if (change == NULL) {
        refuse(work, work->count, STOA_ENOMEM);
        return;
    }
    change->ready = done_change;
    store_branch_start(change);
}
