/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of branch, and the marks. They stand in the queue of puts, so they take effect in the
 * order submitted, and run alone: what was appended before is acknowledged first, what comes after
 * waits.
 *
 *   find     the new head among the side blocks in memory, and the ancestor by walking parents; a
 *            head that is canonical already (the chain is taken back) is looked up;
 *   check    not below the finalized block, not deeper than is kept;
 *   locate   the losers: blocks of the canonical chain above the ancestor;
 *   read     the frames of losers and winners, many at once; workers compute their index entries;
 *   record   one frame: from here on it is durable;
 *   switch   between two turns of the loop, and unable to fail: tombstones of the losers, entries
 *            of the winners, heights, head, marks. Then the acknowledgement. The applier puts all
 *            of it into the tables in one transaction.
 *
 * Until the record is durable nothing has changed, and any failure leaves it so. Replay goes the
 * same way from the record's own list of winners, without workers. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/head_record.h"
#include "store/store_private.h"

enum {
    READS_MAX = 32,        /* blocks whose frames are in flight */
    WINNERS_MAX = 1 << 16, /* of one change */
};

enum item_role { LOSER, WINNER, PARENT };

/* A block that changes sides; or (PARENT) one of which only the total difficulty is needed. */
struct branch_item {
    struct branch_change *change;
    enum item_role role;
    bool located;
    struct pending_block block;
    struct prepare prepare;
    struct ledger_read read;
    struct ledger_read state_read;
    struct workers_job job;
    int result;
    struct error_detail detail;
};

struct branch_change {
    struct store *store;
    struct store_put *put;    /* whose it is; NULL: replay, on the loop */
    struct store_put *winner; /* PUT, where its own block is the last winner and not yet stored */
    struct head_mark head;
    struct head_mark ancestor;
    struct head_mark safe; /* as it will be */
    uint8_t total_difficulty[32];
    struct branch_item *items; /* losers, then winners, heights rising in each; then a parent */
    size_t loser_count;
    size_t winner_count; /* with the put's own, which is no item */
    size_t item_count;
    size_t item_next; /* to be read */
    unsigned under_way;
    struct workers_job job;
    struct workers_job winner_job;
    struct index_place place; /* of a block looked up */
    bool ancestor_known;      /* to be canonical */
    struct buffer record;
    struct ledger_append append;
    bool finished;
    int result;
    struct error_detail *detail;
};

static void locate(struct branch_change *change);
static void read_on(struct branch_change *change);

/* ---- beginning and ending ---- */

static void change_deinit(struct branch_change *change)
{
    for (size_t i = 0; i < change->item_count; i++) {
        prepare_deinit(&change->items[i].prepare);
    }
    memory_free(change->items);
    buffer_deinit(&change->record);
}

/* Of a change that replay makes the memory is replay's. */
static void finish(struct branch_change *change, int result)
{
    struct store_put *put = change->put;
    change->result = result;
    change->finished = true;
    if (put != NULL) {
        change_deinit(change);
        memory_free(change);
        store_put_finish_first(put, result);
    }
}

/* On a worker; in replay there are none. */
static void run_job(struct branch_change *change, struct workers *workers, struct workers_job *job)
{
    if (change->put != NULL) {
        workers_submit(workers, job);
    } else {
        job->run(job, change->store->session);
        job->done(job);
    }
}

static struct branch_change *change_create(struct store_put *put)
{
    struct branch_change *change = memory_alloc_zeroed(1, sizeof(*change));
    if (change != NULL) {
        change->store = put->store;
        change->put = put;
        change->detail = &put->request->detail;
    }
    return change;
}

static struct head_mark mark_of(uint64_t height, const uint8_t hash[32])
{
    struct head_mark mark = {.present = true, .height = height};
    memcpy(mark.hash, hash, 32);
    return mark;
}

/* ---- finding ---- */

static int refuse(struct branch_change *change, const char *why, uint64_t height)
{
    return error_set(change->detail, STOA_EREFUSED, "%s %llu", why, (unsigned long long)height);
}

/* The ancestor is known: may the chain be taken back to it? */
static int check_ancestor(struct branch_change *change)
{
    const struct store *store = change->store;
    const struct head_mark *ancestor = &change->ancestor;
    if (ancestor->height > store->head.height) {
        return error_set(change->detail, STOA_ECORRUPT,
                         "tables: block %llu is canonical, but above the head",
                         (unsigned long long)ancestor->height);
    }
    if (store->finalized.present && ancestor->height < store->finalized.height) {
        return refuse(change, "head: it forks off below the finalized block, height",
                      store->finalized.height);
    }
    if (store->head.height - ancestor->height > store->unwind_max) {
        return refuse(change, "head: it forks off deeper than is kept, at height",
                      ancestor->height);
    }
    if (change->winner_count > WINNERS_MAX) {
        return error_set(change->detail, STOA_ETOOBIG,
                         "head: %zu blocks in one step; at most %d, so move the head in steps",
                         change->winner_count, WINNERS_MAX);
    }
    return 0;
}

/* Make the items: which blocks, and where what memory knows of them lies. */
static int make_items(struct branch_change *change, const uint8_t top[32])
{
    struct store *store = change->store;
    size_t stored = change->winner_count - (change->winner != NULL);
    change->loser_count = store->head.height - change->ancestor.height;
    change->item_count = change->loser_count + stored + (stored == 0);
    change->items = memory_alloc_zeroed(change->item_count, sizeof(*change->items));
    if (change->items == NULL) {
        change->item_count = 0;
        return error_set(change->detail, STOA_ENOMEM, "change of head");
    }
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        item->change = change;
        item->role = i < change->loser_count ? LOSER : stored == 0 ? PARENT : WINNER;
        prepare_init(&item->prepare);
        item->block.height =
            change->ancestor.height + 1 + i - (i < change->loser_count ? 0 : change->loser_count);
        if (item->role == PARENT) {
            item->block.height = change->ancestor.height;
            memcpy(item->block.hash, change->ancestor.hash, 32);
        }
    }
    for (size_t i = stored; i > 0; i--) {
        const struct branches_block *known = branches_find(store->branches, top);
        struct branch_item *item = &change->items[change->loser_count + i - 1];
        ensure(known != NULL && known->height == item->block.height);
        memcpy(item->block.hash, known->hash, 32);
        item->block.position = known->position;
        item->block.state_position = known->state_position;
        item->located = true;
        top = known->parent_hash;
    }
    return 0;
}

/* From TOP, a side block in memory or the canonical block in change->ancestor: all that follows. */
static void plan(struct branch_change *change, const uint8_t top[32])
{
    const struct store *store = change->store;
    const struct branches_block *block = branches_find(store->branches, top);
    while (block != NULL) {
        change->winner_count++;
        change->ancestor = mark_of(block->height - 1, block->parent_hash);
        block = branches_find(store->branches, block->parent_hash);
    }
    change->winner_count += change->winner != NULL;
    int result = check_ancestor(change);
    if (result == 0) {
        result = make_items(change, top);
    }
    if (result != 0) {
        finish(change, result);
        return;
    }
    change->safe = store->safe;
    if (change->safe.present && change->safe.height > change->ancestor.height) {
        change->safe = change->ancestor;
    }
    locate(change);
}

static void found(struct branch_change *change)
{
    if (!change->place.canonical) {
        finish(change, error_set(change->detail, STOA_EREFUSED,
                                 "head: its branch forks off below the finalized block or deeper "
                                 "than is kept"));
        return;
    }
    change->ancestor = mark_of(change->place.height, change->head.hash);
    change->head.height = change->place.height;
    plan(change, change->head.hash);
}

static void run_find(struct workers_job *job, void *worker_state)
{
    struct branch_change *change = job->context;
    change->result = index_find_hash(change->store->index, worker_state, change->head.hash,
                                     &change->place, change->detail);
}

static void done_find(struct workers_job *job)
{
    struct branch_change *change = job->context;
    if (change->result == 0) {
        found(change);
        return;
    }
    store_note_tables(change->store, change->result);
    if (change->result == STOA_ENOTFOUND) {
        (void)error_set(change->detail, STOA_ENOTFOUND, "head: no such block is stored");
    }
    finish(change, change->result);
}

void store_branch_update_head(struct store_put *put)
{
    struct store *store = put->store;
    const uint8_t *hash = put->request->hash;
    if (store->head.present && memcmp(store->head.hash, hash, 32) == 0) {
        put->request->height = store->head.height;
        store_put_finish_first(put, 0);
        return;
    }
    struct branch_change *change = change_create(put);
    if (change == NULL) {
        store_put_finish_first(put, STOA_ENOMEM);
        return;
    }
    const struct branches_block *side = branches_find(store->branches, hash);
    const struct pending_block *recent = store_find_pending_hash(store, hash);
    change->head = mark_of(side != NULL ? side->height : 0, hash);
    if (side != NULL) {
        plan(change, hash);
    } else if (recent != NULL) {
        change->place = (struct index_place){.height = recent->height, .canonical = !recent->side};
        found(change);
    } else {
        change->job = (struct workers_job){.run = run_find, .done = done_find, .context = change};
        run_job(change, store->readers, &change->job);
    }
}

void store_branch_put(struct store_put *put)
{
    const struct header *header = &put->prepare.block.header;
    struct branch_change *change = change_create(put);
    if (change == NULL) {
        store_put_finish_first(put, STOA_ENOMEM);
        return;
    }
    change->winner = put;
    change->head = mark_of(header->number, put->prepare.block.hash);
    if (branches_find(put->store->branches, header->parent_hash) == NULL &&
        !put->parent.canonical) {
        finish(change, error_set(change->detail, STOA_EREFUSED,
                                 "parentHash: its branch forks off below the finalized block or "
                                 "deeper than is kept"));
        return;
    }
    change->ancestor = mark_of(header->number - 1, header->parent_hash);
    plan(change, header->parent_hash);
}

/* ---- locating the losers ---- */

static void set_place(struct branch_item *item, const uint8_t hash[32],
                      const struct ledger_position *position,
                      const struct ledger_position *state_position)
{
    memcpy(item->block.hash, hash, 32);
    item->block.position = *position;
    item->block.state_position = *state_position;
    item->located = true;
}

static int wrong_fork(struct branch_change *change)
{
    if (change->put == NULL) {
        return 0; /* replay, behind damage: the record is right */
    }
    return error_set(change->detail, STOA_ECORRUPT,
                     "tables: the canonical block %llu is not the one where the branch forks off",
                     (unsigned long long)change->ancestor.height);
}

/* Memory and tables must agree on the ancestor. */
static int check_fork(struct branch_change *change, struct kv_session *session)
{
    struct index_place place;
    uint8_t hash[32];
    int result = index_find_height(change->store->index, session, change->ancestor.height, hash,
                                   &place, change->detail);
    if (result == STOA_ENOTFOUND || (result == 0 && memcmp(hash, change->ancestor.hash, 32) != 0)) {
        return wrong_fork(change);
    }
    return result;
}

/* What is not in the pending batches: from the tables. */
static void run_locate(struct workers_job *job, void *worker_state)
{
    struct branch_change *change = job->context;
    struct index *index = change->store->index;
    int result = change->ancestor_known ? 0 : check_fork(change, worker_state);
    for (size_t i = 0; result == 0 && i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        struct index_place place;
        uint8_t hash[32];
        if (item->located) {
            continue;
        }
        result = index_find_height(index, worker_state, item->block.height, hash, &place,
                                   change->detail);
        if (result == 0) {
            result = index_find_hash(index, worker_state, hash, &place, change->detail);
        }
        if (result == 0) {
            set_place(item, hash, &place.position, &place.state_position);
        } else if (result == STOA_ENOTFOUND) {
            result = error_set(change->detail, STOA_ECORRUPT, "tables: block %llu is not there",
                               (unsigned long long)item->block.height);
        }
    }
    change->result = result;
}

static void done_locate(struct workers_job *job)
{
    struct branch_change *change = job->context;
    store_note_tables(change->store, change->result);
    read_on(change);
}

static void locate(struct branch_change *change)
{
    const struct store *store = change->store;
    const struct pending_block *block;
    bool settled;
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        block =
            item->located ? NULL : store_find_pending_height(store, item->block.height, &settled);
        if (block != NULL) {
            set_place(item, block->hash, &block->position, &block->state_position);
        }
    }
    block = store_find_pending_height(store, change->ancestor.height, &settled);
    change->ancestor_known = settled;
    if (settled && (block == NULL || memcmp(block->hash, change->ancestor.hash, 32) != 0)) {
        int result = wrong_fork(change);
        if (result != 0) {
            finish(change, result);
            return;
        }
    }
    change->job = (struct workers_job){.run = run_locate, .done = done_locate, .context = change};
    run_job(change, store->readers, &change->job);
}

/* ---- reading, and computing entries ---- */

static int decode_item(struct branch_item *item, struct error_detail *detail)
{
    struct record record;
    struct prepare *prepare = &item->prepare;
    if (item->read.kind != LEDGER_BLOCK) {
        return error_set(detail, STOA_ECORRUPT, "frame %llu is not a block",
                         (unsigned long long)item->block.position.sequence);
    }
    int result = record_decode(item->read.payload, &record, detail);
    if (result == 0) {
        result = prepare_record(prepare, &record, detail);
    }
    if (result == 0 && memcmp(record.hash, item->block.hash, 32) != 0) {
        result = error_set(detail, STOA_ECORRUPT, "frame %llu is another block",
                           (unsigned long long)item->block.position.sequence);
    }
    if (result != 0) {
        return result;
    }
    memcpy(item->block.parent_hash, prepare->block.header.parent_hash, 32);
    memcpy(item->block.total_difficulty, record.total_difficulty, 32);
    memcpy(item->block.envelope_hash, record.envelope_hash, 32);
    item->block.has_envelope = (record.flags & RECORD_ENVELOPE) != 0;
    return 0;
}

static int decode_state(struct branch_item *item, struct error_detail *detail)
{
    const uint8_t *hash;
    struct bytes changes;
    if (item->block.state_position.sequence == 0) {
        return 0;
    }
    int result = item->state_read.kind == LEDGER_STATE
                     ? record_decode_state(item->state_read.payload, &hash, &changes, detail)
                     : STOA_ECORRUPT;
    if (result == 0 && memcmp(hash, item->block.hash, 32) != 0) {
        result = STOA_ECORRUPT;
    }
    if (result == STOA_ECORRUPT) {
        return error_set(detail, result, "frame %llu is not the state of block %llu",
                         (unsigned long long)item->block.state_position.sequence,
                         (unsigned long long)item->block.height);
    }
    return result == 0 ? buffer_append(&item->prepare.changes, changes.data, changes.size) : result;
}

static void run_compute(struct workers_job *job, void *worker_state)
{
    struct branch_item *item = job->context;
    (void)worker_state; /* decoding and hashing need none */
    int result = decode_item(item, &item->detail);
    if (result == 0 && item->role != PARENT) {
        result = decode_state(item, &item->detail);
        if (result == 0) {
            result = prepare_index(&item->prepare, buffer_bytes(&item->prepare.changes));
            item->detail = result == 0 ? item->detail : item->prepare.detail;
        }
    }
    item->result = result;
}

/* In replay a block that cannot be read takes its place without entries, unless there are entries
 * in the tables to be taken back: then those are made anew. */
static int excuse(struct branch_item *item)
{
    struct store *store = item->change->store;
    if (item->change->put != NULL || item->result != STOA_ECORRUPT) {
        return item->result;
    }
    if (item->role == LOSER && store->applied.position.sequence != 0 && !store->rebuilt) {
        store_note_tables(store, STOA_ECORRUPT);
        return item->result;
    }
    return prepare_damaged(&item->prepare);
}

static void end_item(struct branch_item *item)
{
    struct branch_change *change = item->change;
    int result = item->result == 0 ? 0 : excuse(item);
    if (result != 0 && change->result == 0) {
        change->result = result;
        if (change->detail != NULL) {
            *change->detail = item->detail;
            error_prefix(change->detail, "change of head: block %llu",
                         (unsigned long long)item->block.height);
        }
    }
    change->under_way--;
    read_on(change);
}

static void done_compute(struct workers_job *job)
{
    struct branch_item *item = job->context;
    ledger_read_release(&item->read);
    if (item->block.state_position.sequence != 0 && item->role != PARENT) {
        ledger_read_release(&item->state_read);
    }
    end_item(item);
}

static void start_compute(struct branch_item *item)
{
    struct branch_change *change = item->change;
    item->job = (struct workers_job){.run = run_compute, .done = done_compute, .context = item};
    run_job(change, change->store->verifiers, &item->job);
}

static void done_state_read(struct ledger_read *read)
{
    struct branch_item *item = read->context;
    if (read->result != 0) {
        item->result = read->result;
        item->detail = read->detail;
        ledger_read_release(&item->read);
        ledger_read_release(read);
        end_item(item);
        return;
    }
    start_compute(item);
}

static void done_read(struct ledger_read *read)
{
    struct branch_item *item = read->context;
    if (read->result != 0) {
        item->result = read->result;
        item->detail = read->detail;
        ledger_read_release(read);
        end_item(item);
        return;
    }
    if (item->block.state_position.sequence == 0 || item->role == PARENT) {
        start_compute(item);
        return;
    }
    item->state_read = (struct ledger_read){
        .position = item->block.state_position, .done = done_state_read, .context = item};
    ledger_read(item->change->store->ledger, &item->state_read);
}

static void done_winner_index(struct workers_job *job)
{
    struct branch_change *change = job->context;
    change->under_way--;
    read_on(change);
}

static void run_winner_index(struct workers_job *job, void *worker_state)
{
    struct branch_change *change = job->context;
    struct prepare *prepare = &change->winner->prepare;
    (void)worker_state;                                            /* hashing needs none */
    (void)prepare_index(prepare, buffer_bytes(&prepare->changes)); /* kept in prepare.result */
}

static void record(struct branch_change *change);

/* Keep reads in flight; when the last block is through, go on. */
static void read_on(struct branch_change *change)
{
    change->under_way++; /* so that what ends at once does not come here again */
    while (change->result == 0 && change->under_way <= READS_MAX &&
           change->item_next < change->item_count) {
        struct branch_item *item = &change->items[change->item_next++];
        item->read = (struct ledger_read){
            .position = item->block.position, .done = done_read, .context = item};
        change->under_way++;
        ledger_read(change->store->ledger, &item->read);
    }
    bool all = change->item_next == change->item_count || change->result != 0;
    if (all && change->winner != NULL && change->winner_job.context == NULL &&
        change->result == 0) {
        change->winner_job = (struct workers_job){
            .run = run_winner_index, .done = done_winner_index, .context = change};
        change->under_way++;
        run_job(change, change->store->verifiers, &change->winner_job);
    }
    change->under_way--;
    if (all && change->under_way == 0) {
        record(change);
    }
}

/* ---- the record ---- */

static int reserve(struct branch_change *change)
{
    struct store *store = change->store;
    struct pending_room room = {.blocks = change->item_count + 1};
    for (size_t i = 0; i < change->item_count; i++) {
        const struct prepare *prepare = &change->items[i].prepare;
        struct pending_entries entries = prepare_entries(prepare, buffer_bytes(&prepare->changes));
        room.transactions += entries.prefix_count;
        room.changes += entries.hash_count;
        room.change_bytes += entries.changes.size;
        room.postings += entries.posting_count;
    }
    if (change->winner != NULL) {
        const struct prepare *prepare = &change->winner->prepare;
        struct pending_entries entries = prepare_entries(prepare, buffer_bytes(&prepare->changes));
        room.transactions += entries.prefix_count;
        room.changes += entries.hash_count;
        room.change_bytes += entries.changes.size;
        room.postings += entries.posting_count;
    }
    int result = pending_reserve(store->open, &room);
    if (result == 0) {
        result = branches_reserve(store->branches, change->loser_count);
    }
    return result == 0 ? 0 : error_set(change->detail, result, "change of head");
}

static int encode_record(struct branch_change *change)
{
    const struct store *store = change->store;
    struct head_record fixed = {
        .head = change->head,
        .ancestor = change->ancestor,
        .old_head = mark_of(store->head.height, store->head.hash),
        .safe = change->safe,
        .finalized = store->finalized,
        .winner_count = (uint32_t)change->winner_count,
    };
    size_t size = HEAD_RECORD_HEADER_SIZE + change->winner_count * HEAD_RECORD_WINNER_SIZE;
    memcpy(fixed.total_difficulty, change->total_difficulty, 32);
    if (buffer_reserve(&change->record, size) != 0) {
        return error_set(change->detail, STOA_ENOMEM, "change of head");
    }
    uint8_t *at = change->record.data;
    head_record_encode_header(&fixed, at);
    at += HEAD_RECORD_HEADER_SIZE;
    for (size_t i = 0; i < change->winner_count; i++) {
        struct head_winner winner = {.position = {.sequence = 0}};
        if (change->winner != NULL && i + 1 == change->winner_count) {
            memcpy(winner.hash, change->head.hash, 32);
        } else {
            const struct pending_block *block = &change->items[change->loser_count + i].block;
            memcpy(winner.hash, block->hash, 32);
            winner.position = block->position;
            winner.state_position = block->state_position;
        }
        head_record_encode_winner(&winner, at);
        at += HEAD_RECORD_WINNER_SIZE;
    }
    change->record.size = size;
    return 0;
}

/* ---- the switch ---- */

static void switch_block(struct branch_change *change, struct pending_block *block,
                         const struct prepare *prepare, bool wins)
{
    struct store *store = change->store;
    struct pending_entries entries = prepare_entries(prepare, buffer_bytes(&prepare->changes));
    entries.removed = !wins;
    store_cache_forget(store, entries.changes);
    block->side = !wins;
    block->moved = true;
    int result = pending_add(store->open, block, &entries);
    ensure(result == 0); /* there is room */
    if (wins) {
        branches_remove(store->branches, block->hash);
    } else {
        result = store_branch_note_side(store, block, true);
        ensure(result == 0); /* likewise */
    }
}

/* Everything at once, and nothing that could fail. POSITION is the record's. */
static void switch_over(struct branch_change *change, const struct ledger_position *position)
{
    struct store *store = change->store;
    if (pending_block_count(store->open) == 0) {
        store->open_since_ns = io_now_ns(store->io);
    }
    store_cache_drop(store, change->ancestor.height + 1);
    pending_cut(store->open, change->ancestor.height + 1);
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        if (item->role != PARENT) {
            switch_block(change, &item->block, &item->prepare, item->role == WINNER);
        }
    }
    if (change->winner != NULL) {
        struct pending_block block;
        store_put_describe(change->winner, &block);
        switch_block(change, &block, &change->winner->prepare, true);
    }
    store->tip = (struct store_tip){.present = true, .height = change->head.height};
    memcpy(store->tip.hash, change->head.hash, 32);
    memcpy(store->tip.total_difficulty, change->total_difficulty, 32);
    store->head = store->tip;
    store->safe = change->safe;
    store->branch_epoch++;
    struct place_applied *applied = &store->open_applied;
    applied->position = *position;
    applied->has_head = true;
    applied->head_height = store->tip.height;
    memcpy(applied->head_hash, store->tip.hash, 32);
    memcpy(applied->head_total_difficulty, store->tip.total_difficulty, 32);
    applied->safe = store->safe;
    applied->finalized = store->finalized;
    store_branch_raise_line(store);
    store_cache_head(store);
}

/* The block is stored, but the change was not recorded: it stays a side block. */
static void keep_aside(struct branch_change *change, int result)
{
    struct store_put *put = change->winner;
    struct store *store = change->store;
    struct error_detail detail = *change->detail;
    bool stored = put->append.result == 0 &&
                  (put->prepare.changes.size == 0 || put->state_append.result == 0);
    if (stored) {
        put->side = true;
        (void)store_put_take_in(put); /* the answer is RESULT in any case */
    }
    (void)ledger_stopped(store->ledger, &detail); /* says what failed first */
    *change->detail = detail;
    finish(change, result);
}

static void done_record(struct ledger_append *append)
{
    struct branch_change *change = append->context;
    struct store *store = change->store;
    struct store_put *put = change->put;
    int result = append->result;
    if (change->winner != NULL && result == 0) {
        result = put->append.result;
    }
    if (change->winner != NULL && result == 0 && put->prepare.changes.size != 0) {
        result = put->state_append.result;
    }
    if (result != 0 && change->winner != NULL) {
        keep_aside(change, result);
        return;
    }
    if (result != 0) {
        (void)ledger_stopped(store->ledger, change->detail); /* says what failed first */
        finish(change, result);
        return;
    }
    switch_over(change, &append->position);
    store_apply_freeze_full(store);
    put->request->height = change->head.height;
    finish(change, 0);
}

/* The frames before the record answer for themselves, in done_record. */
static void done_part(struct ledger_append *append)
{
    (void)append;
}

static void record(struct branch_change *change)
{
    struct store *store = change->store;
    struct store_put *put = change->winner;
    size_t stored = change->item_count;
    int result = change->result;
    if (result == 0 && put != NULL && put->prepare.result != 0) {
        result = put->prepare.result;
        *change->detail = put->prepare.detail;
    }
    if (result == 0) {
        ensure(stored != 0); /* the last is the highest winner stored, or the parent */
        memcpy(change->total_difficulty, change->items[stored - 1].block.total_difficulty, 32);
        result = reserve(change);
    }
    if (result == 0 && put != NULL) {
        put->side = true;
        store_put_make_record(put, change->total_difficulty);
        put->append.done = done_part;
        memcpy(change->total_difficulty, put->total_difficulty, 32);
    }
    if (result == 0 && change->put != NULL) {
        result = encode_record(change);
    }
    if (result != 0 || change->put == NULL) {
        finish(change, result); /* replay then makes the switch */
        return;
    }
    change->put->request->appended = true;
    if (put != NULL && put->prepare.changes.size != 0) {
        ledger_append(store->ledger, &put->state_append);
    }
    if (put != NULL) {
        ledger_append(store->ledger, &put->append);
    }
    change->append = (struct ledger_append){
        .kind = LEDGER_HEAD,
        .height = change->head.height,
        .parts = {buffer_bytes(&change->record)},
        .part_count = 1,
        .done = done_record,
        .context = change,
    };
    ledger_append(store->ledger, &change->append);
}

/* ---- replay ---- */

/* Winners as the record has them. One without a place is the block of the frame before, if that was
 * written. */
static int replay_items(struct branch_change *change, const struct head_record *record)
{
    struct store *store = change->store;
    bool above = store->tip.present && store->tip.height > change->ancestor.height;
    change->loser_count = above ? store->tip.height - change->ancestor.height : 0;
    change->winner_count = record->winner_count;
    change->item_count = change->loser_count + change->winner_count;
    change->items = memory_alloc_zeroed(change->item_count, sizeof(*change->items));
    if (change->items == NULL) {
        change->item_count = 0;
        return error_set(change->detail, STOA_ENOMEM, "replay a change of head");
    }
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        item->change = change;
        item->role = i < change->loser_count ? LOSER : WINNER;
        item->block.height = change->ancestor.height + 1 + i;
        prepare_init(&item->prepare);
    }
    for (uint32_t i = 0; i < record->winner_count; i++) {
        struct branch_item *item = &change->items[change->loser_count + i];
        struct head_winner winner;
        head_record_decode_winner(record, i, &winner);
        item->block.height = change->ancestor.height + 1 + i;
        const struct branches_block *known = branches_find(store->branches, winner.hash);
        if (winner.position.sequence == 0 && known == NULL) {
            return STOA_ENOTFOUND;
        }
        if (winner.position.sequence == 0) {
            winner.position = known->position;
            winner.state_position = known->state_position;
        }
        set_place(item, winner.hash, &winner.position, &winner.state_position);
    }
    return 0;
}

int store_branch_replay(struct store *store, const struct head_record *record,
                        const struct ledger_position *position, struct error_detail *detail)
{
    struct branch_change change = {
        .store = store,
        .head = record->head,
        .ancestor = record->ancestor,
        .safe = record->safe,
        .detail = detail,
    };
    int result = 0;
    bool gap = !store->tip.present || store->tip.height < record->ancestor.height;
    if (gap || pending_block_count(store->open) >= STORE_BATCH_BLOCKS_MAX) {
        result = store_apply_here(store, detail);
    }
    if (result == 0) {
        result = replay_items(&change, record);
    }
    if (result == STOA_ENOTFOUND) { /* its block was not written: nobody was told of the change */
        change_deinit(&change);
        return 0;
    }
    if (result == 0) {
        if (change.item_count != 0) {
            locate(&change);
        }
        while (change.item_count != 0 && !change.finished) {
            int ran = io_run(store->io, 1000000000);
            if (ran < 0) { /* its reads end with the loop */
                return error_set(detail, ran, "replay a change of head");
            }
        }
        result = change.result;
    }
    if (result == 0 && change.item_count == 0) {
        result = reserve(&change);
    }
    if (result == 0) {
        memcpy(change.total_difficulty, record->total_difficulty, 32);
        store->finalized = record->finalized;
        switch_over(&change, position);
    }
    change_deinit(&change);
    return result;
}

/* ---- what is kept in memory ---- */

void store_branch_raise_line(struct store *store)
{
    uint64_t height = store->tip.height;
    uint64_t line = height > store->unwind_max ? height - store->unwind_max : 0;
    if (store->finalized.present && store->finalized.height > line) {
        line = store->finalized.height;
    }
    branches_raise(store->branches, line);
}

int store_branch_note_side(struct store *store, const struct pending_block *block,
                           bool parent_canonical)
{
    struct branches_block side = {
        .height = block->height,
        .position = block->position,
        .state_position = block->state_position,
    };
    memcpy(side.hash, block->hash, 32);
    memcpy(side.parent_hash, block->parent_hash, 32);
    memcpy(side.total_difficulty, block->total_difficulty, 32);
    int result = branches_add(store->branches, &side, parent_canonical);
    return result == STOA_ETOOBIG ? 0 : result; /* past the limit it is readable, no more */
}

struct loading {
    struct store *store;
    struct error_detail *detail;
};

static int load_side(void *context, const struct branches_block *block)
{
    struct loading *loading = context;
    struct store *store = loading->store;
    int result = store_is_canonical(store, store->session, block->height - 1, block->parent_hash,
                                    loading->detail);
    if (result != 0 && result != STOA_ENOTFOUND) {
        return result;
    }
    int added = branches_add(store->branches, block, result == 0);
    return added == STOA_ENOMEM ? error_set(loading->detail, added, "open") : 0;
}

int store_branch_load(struct store *store, struct error_detail *detail)
{
    struct loading loading = {.store = store, .detail = detail};
    branches_clear(store->branches);
    store_branch_raise_line(store);
    return index_each_side(store->index, store->session, branches_line(store->branches) + 1,
                           load_side, &loading, detail);
}

uint64_t store_branch_epoch(const struct store *store)
{
    return store->branch_epoch;
}
