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
 *   tries    a worker computes what losers made and winners make of the state's tries, and compares
 *            the winners' roots with their headers;
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
#include "store/store_branch_private.h"

enum { WINNERS_MAX = 1 << 16 }; /* of one change */

/* ---- beginning and ending ---- */

void store_branch_deinit(struct branch_change *change)
{
    for (size_t i = 0; i < change->item_count; i++) {
        prepare_deinit(&change->items[i].prepare);
        trie_layer_release(change->items[i].layer);
        while (change->items[i].states != NULL) { /* left off: what it read went with the ledger */
            struct branch_state *state = change->items[i].states;
            change->items[i].states = state->next;
            memory_free(state);
        }
    }
    memory_free(change->items);
    buffer_deinit(&change->record);
    trie_layer_release(change->held);
}

void store_branch_free(struct store *store)
{
    if (store->changing != NULL) {
        store_branch_deinit(store->changing);
        memory_free(store->changing);
        store->changing = NULL;
    }
}

/* Of a change that replay makes the memory is replay's. */
void store_branch_finish(struct branch_change *change, int result)
{
    struct store_put *put = change->put;
    change->result = result;
    change->finished = true;
    if (put != NULL) {
        ensure(put->store->changing == change);
        store_branch_free(put->store);
        store_put_finish_first(put, result);
    }
}

/* On a worker; in replay there are none. */
void store_branch_run_job(struct branch_change *change, struct workers *workers,
                          struct workers_job *job)
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
        ensure(put->store->changing == NULL); /* PUT is alone */
        put->store->changing = change;
    }
    return change;
}

struct head_mark store_branch_mark_of(uint64_t height, const uint8_t hash[32])
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
    struct index_floors floors = store_floors(store);
    if (ancestor->height < floors.values || ancestor->height < floors.tries) {
        return refuse(change, "head: it forks off where the state is not kept any more, at height",
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
    size_t stored = change->winner_count - change->own_count;
    change->loser_count = store->head.height - change->ancestor.height;
    change->item_count = change->loser_count + stored + (stored == 0 && !change->own_linked);
    if (change->item_count == 0) {
        return 0;
    }
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
        change->ancestor = store_branch_mark_of(block->height - 1, block->parent_hash);
        block = branches_find(store->branches, block->parent_hash);
    }
    change->winner_count += change->own_count;
    int result = check_ancestor(change);
    if (result == 0) {
        result = make_items(change, top);
    }
    if (result != 0) {
        store_branch_finish(change, result);
        return;
    }
    change->safe = store->safe;
    if (change->safe.present && change->safe.height > change->ancestor.height) {
        change->safe = change->ancestor;
    }
    store_branch_read_locate(change);
}

static void found(struct branch_change *change)
{
    if (!change->place.canonical) {
        store_branch_finish(
            change, error_set(change->detail, STOA_EREFUSED,
                              "head: its branch forks off below the finalized block or deeper "
                              "than is kept"));
        return;
    }
    change->ancestor = store_branch_mark_of(change->place.height, change->head.hash);
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
    store_branch_finish(change, change->result);
}

/* The new head is a stored block: which of them? */
static void find_head(struct branch_change *change)
{
    struct store *store = change->store;
    uint8_t hash[32];
    memcpy(hash, change->head.hash, 32);
    const struct branches_block *side = branches_find(store->branches, hash);
    const struct pending_block *recent = store_find_pending_hash(store, hash);
    if (side != NULL) {
        change->head.height = side->height;
        plan(change, hash);
    } else if (recent != NULL) {
        change->place = (struct index_place){.height = recent->height, .canonical = !recent->side};
        found(change);
    } else {
        change->job = (struct workers_job){.run = run_find, .done = done_find, .context = change};
        store_branch_run_job(change, store->readers, &change->job);
    }
}

/* The new head is the last of the change's own blocks. */
static void plan_own(struct branch_change *change)
{
    const struct store_put *first = change->own[0];
    const struct header *header = &first->prepare.block.header;
    if (branches_find(change->store->branches, header->parent_hash) == NULL &&
        !first->parent.canonical) {
        store_branch_finish(
            change, error_set(change->detail, STOA_EREFUSED,
                              "parentHash: its branch forks off below the finalized block or "
                              "deeper than is kept"));
        return;
    }
    change->ancestor = store_branch_mark_of(header->number - 1, header->parent_hash);
    plan(change, header->parent_hash);
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
    change->head = store_branch_mark_of(0, hash);
    find_head(change);
}

void store_branch_put(struct store_put *put)
{
    struct branch_change *change = change_create(put);
    if (change == NULL) {
        store_put_finish_first(put, STOA_ENOMEM);
        return;
    }
    change->own_one[0] = put;
    change->own = change->own_one;
    change->own_count = 1;
    change->head = store_branch_mark_of(put->prepare.block.header.number, put->prepare.block.hash);
    plan_own(change);
}

struct branch_change *store_branch_for_batch(struct store_put *put, struct store_put **own,
                                             size_t own_count, const uint8_t hash[32])
{
    struct branch_change *change = change_create(put);
    if (change != NULL) {
        change->own = own;
        change->own_count = own_count;
        change->own_linked = own_count != 0;
        change->head = store_branch_mark_of(
            own_count == 0 ? 0 : own[own_count - 1]->prepare.block.header.number, hash);
    }
    return change;
}

void store_branch_start(struct branch_change *change)
{
    if (change->own_count != 0) {
        plan_own(change);
    } else {
        find_head(change);
    }
}

/* ---- the record ---- */

static void add_room(struct pending_room *room, const struct prepare *prepare)
{
    struct pending_entries entries = prepare_entries(prepare, buffer_bytes(&prepare->changes));
    room->transactions += entries.prefix_count;
    room->changes += entries.hash_count;
    room->change_bytes += entries.changes.size;
    room->postings += entries.posting_count;
}

int store_branch_reserve(struct branch_change *change)
{
    struct store *store = change->store;
    struct pending_room room = change->extra;
    room.blocks += change->item_count + change->own_count;
    for (size_t i = 0; i < change->item_count; i++) {
        add_room(&room, &change->items[i].prepare);
    }
    for (size_t i = 0; i < change->own_count; i++) {
        add_room(&room, &change->own[i]->prepare);
    }
    int result = pending_reserve(store->open, &room);
    if (result == 0) {
        result = branches_reserve(store->branches, change->loser_count + change->extra.blocks);
    }
    return result == 0 ? 0 : error_set(change->detail, result, "change of head");
}

int store_branch_encode_record(struct branch_change *change)
{
    const struct store *store = change->store;
    struct head_record fixed = {
        .head = change->head,
        .ancestor = change->ancestor,
        .old_head = store_branch_mark_of(store->head.height, store->head.hash),
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
        size_t stored = change->winner_count - change->own_count;
        if (i >= stored) {
            memcpy(winner.hash, change->own[i - stored]->prepare.block.hash, 32);
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
                         const struct prepare *prepare, struct trie_layer *layer, bool wins)
{
    struct store *store = change->store;
    struct pending_entries entries = prepare_entries(prepare, buffer_bytes(&prepare->changes));
    entries.removed = !wins;
    entries.layer = layer;
    if (wins) {
        change->state_known = layer != NULL;
        if (layer != NULL) {
            change->state_end = block->height + 1;
            store_tries_switch_to(store, layer);
        }
    }
    store_cache_forget(store, entries.changes);
    block->side = !wins;
    block->moved = true;
    int result = pending_add(store->open, block, &entries);
    ensure(result == 0); /* there is room */
    if (wins) {
        store->top = *block;
        branches_remove(store->branches, block->hash);
    } else {
        result = store_branch_note_side(store, block, true);
        ensure(result == 0); /* likewise */
    }
}

/* Everything at once, and nothing that could fail. POSITION is the record's. */
void store_branch_switch_over(struct branch_change *change, const struct ledger_position *position)
{
    struct store *store = change->store;
    if (pending_block_count(store->open) == 0) {
        store->open_since_ns = io_now_ns(store->io);
    }
    change->state_end = change->state_known ? change->ancestor.height + 1 : store->tip.state_end;
    store_cache_drop(store, change->ancestor.height + 1);
    store_tries_switch(store, change->ancestor.height, position);
    pending_cut(store->open, change->ancestor.height + 1);
    if (change->held != NULL) {
        pending_add_layer(store->open, change->held);
        change->held = NULL;
    }
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        if (item->role == PARENT) {
            store->top = item->block;
        } else {
            switch_block(change, &item->block, &item->prepare, item->layer, item->role == WINNER);
            item->layer = NULL;
        }
    }
    for (size_t i = 0; i < change->own_count; i++) {
        struct store_put *own = change->own[i];
        struct pending_block block;
        store_put_describe(own, &block);
        switch_block(change, &block, &own->prepare, own->layer, true);
        own->layer = NULL;
    }
    store->tip = (struct store_tip){.present = true, .height = change->head.height};
    memcpy(store->tip.hash, change->head.hash, 32);
    memcpy(store->tip.total_difficulty, change->total_difficulty, 32);
    store->tip.state_known = change->state_known;
    store->tip.state_end = change->state_end;
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
    store_tries_switched(store);
}

/* The block is stored, but the change was not recorded: it stays a side block. */
static void keep_aside(struct branch_change *change, int result)
{
    struct store_put *put = change->own[0];
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
    store_branch_finish(change, result);
}

static void done_record(struct ledger_append *append)
{
    struct branch_change *change = append->context;
    struct store *store = change->store;
    struct store_put *put = change->put;
    int result = append->result;
    if (change->own_count != 0 && result == 0) {
        result = put->append.result;
    }
    if (change->own_count != 0 && result == 0 && put->prepare.changes.size != 0) {
        result = put->state_append.result;
    }
    if (result != 0 && change->own_count != 0) {
        keep_aside(change, result);
        return;
    }
    if (result != 0) {
        (void)ledger_stopped(store->ledger, change->detail); /* says what failed first */
        store_branch_finish(change, result);
        return;
    }
    store_branch_switch_over(change, &append->position);
    store_apply_freeze_full(store);
    put->request->height = change->head.height;
    store_branch_finish(change, 0);
}

/* The frames before the record answer for themselves, in done_record. */
static void done_part(struct ledger_append *append)
{
    (void)append;
}

/* All of the put's own were prepared well. */
static int check_own(struct branch_change *change)
{
    for (size_t i = 0; i < change->own_count; i++) {
        const struct prepare *prepare = &change->own[i]->prepare;
        if (prepare->result != 0) {
            *change->detail = prepare->detail;
            return prepare->result;
        }
    }
    return 0;
}

/* The frames of the put's own block, with the difficulty of what is below it. */
static void make_own_frames(struct branch_change *change)
{
    struct store_put *put = change->own[0];
    put->side = true;
    store_put_make_record(put, change->total_difficulty);
    put->append.done = done_part;
    memcpy(change->total_difficulty, put->total_difficulty, 32);
}

void store_branch_record(struct branch_change *change)
{
    struct store *store = change->store;
    struct store_put *put = change->own_count != 0 ? change->own[0] : NULL;
    int result = change->result == 0 ? check_own(change) : change->result;
    if (result == 0 && change->item_count != 0) { /* its last: a stored winner, or the parent */
        memcpy(change->total_difficulty,
               change->items[change->item_count - 1].block.total_difficulty, 32);
    }
    if (result == 0) {
        result = store_branch_reserve(change);
    }
    if (result == 0 && change->ready != NULL) {
        change->store->changing = NULL;
        change->ready(change);
        return;
    }
    if (result == 0 && put != NULL) {
        make_own_frames(change);
    }
    if (result == 0 && change->put != NULL) {
        result = store_branch_encode_record(change);
    }
    if (result != 0 || change->put == NULL) {
        store_branch_finish(change, result); /* replay then makes the switch */
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
