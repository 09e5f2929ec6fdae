/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of branch: where the blocks that change sides lie, and what they add to the indexes. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_branch_private.h"

enum { READS_MAX = 32 }; /* blocks whose frames are in flight */

static void read_on(struct branch_change *change);

/* ---- locating the losers ---- */

void store_branch_read_set_place(struct branch_item *item, const uint8_t hash[32],
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
    if (result == 0) {
        result = store_branch_tries_look_up_gap(change, worker_state);
    }
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
            store_branch_read_set_place(item, hash, &place.position, &place.state_position);
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

void store_branch_read_locate(struct branch_change *change)
{
    const struct store *store = change->store;
    const struct pending_block *block;
    bool settled;
    store_branch_tries_find_gap(change);
    for (size_t i = 0; i < change->item_count; i++) {
        struct branch_item *item = &change->items[i];
        block =
            item->located ? NULL : store_find_pending_height(store, item->block.height, &settled);
        if (block != NULL) {
            store_branch_read_set_place(item, block->hash, &block->position,
                                        &block->state_position);
        }
    }
    block = store_find_pending_height(store, change->ancestor.height, &settled);
    change->ancestor_known = settled;
    if (settled && (block == NULL || memcmp(block->hash, change->ancestor.hash, 32) != 0)) {
        int result = wrong_fork(change);
        if (result != 0) {
            store_branch_finish(change, result);
            return;
        }
    }
    change->job = (struct workers_job){.run = run_locate, .done = done_locate, .context = change};
    store_branch_run_job(change, store->readers, &change->job);
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
    item->any_state = (record.flags & RECORD_ANY_STATE) != 0;
    memcpy(item->block.parent_hash, prepare->block.header.parent_hash, 32);
    memcpy(item->block.total_difficulty, record.total_difficulty, 32);
    memcpy(item->block.envelope_hash, record.envelope_hash, 32);
    item->block.has_envelope = (record.flags & RECORD_ENVELOPE) != 0;
    item->block.front = record_front_size(record.block.size);
    return 0;
}

static int bad_state(const struct branch_item *item, const struct ledger_read *read,
                     struct error_detail *detail)
{
    return error_set(detail, STOA_ECORRUPT, "frame %llu is not the state of block %llu",
                     (unsigned long long)read->position.sequence,
                     (unsigned long long)item->block.height);
}

/* All its state frames, one behind the other. */
static int decode_states(struct branch_item *item, struct error_detail *detail)
{
    int result = 0;
    for (const struct branch_state *state = item->states; result == 0 && state != NULL;
         state = state->next) {
        const uint8_t *hash;
        struct bytes changes;
        result = record_decode_state(state->read.payload, &hash, &changes, detail);
        if (result == 0 && memcmp(hash, item->block.hash, 32) != 0) {
            result = bad_state(item, &state->read, detail);
        }
        if (result == 0) {
            result = buffer_append(&item->prepare.changes, changes.data, changes.size);
        }
    }
    return result;
}

static void run_compute(struct workers_job *job, void *worker_state)
{
    struct branch_item *item = job->context;
    (void)worker_state; /* decoding and hashing need none */
    int result = decode_item(item, &item->detail);
    if (result == 0 && item->role != PARENT) {
        result = decode_states(item, &item->detail);
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

static void release_states(struct branch_item *item)
{
    while (item->states != NULL) {
        struct branch_state *state = item->states;
        item->states = state->next;
        ledger_read_release(&state->read);
        memory_free(state);
    }
}

static void done_compute(struct workers_job *job)
{
    struct branch_item *item = job->context;
    ledger_read_release(&item->read);
    release_states(item);
    end_item(item);
}

static void start_compute(struct branch_item *item)
{
    struct branch_change *change = item->change;
    item->job = (struct workers_job){.run = run_compute, .done = done_compute, .context = item};
    store_branch_run_job(change, change->store->verifiers, &item->job);
}

static void fail_item(struct branch_item *item, int result)
{
    item->result = result;
    ledger_read_release(&item->read);
    release_states(item);
    end_item(item);
}

static void done_state_read(struct ledger_read *read);

/* The state frame at POSITION and, from it, those before. */
static void read_state(struct branch_item *item, const struct ledger_position *position)
{
    struct branch_state *state = memory_alloc_zeroed(1, sizeof(*state));
    if (state == NULL) {
        fail_item(item, error_set(&item->detail, STOA_ENOMEM, "read the state of a block"));
        return;
    }
    state->item = item;
    state->next = item->states;
    item->states = state;
    state->read =
        (struct ledger_read){.position = *position, .done = done_state_read, .context = state};
    ledger_read(item->change->store->ledger, &state->read);
}

static void done_state_read(struct ledger_read *read)
{
    struct branch_state *state = read->context;
    struct branch_item *item = state->item;
    struct ledger_position previous;
    if (read->result != 0) {
        item->detail = read->detail;
        fail_item(item, read->result);
    } else if (read->kind != LEDGER_STATE) {
        fail_item(item, bad_state(item, read, &item->detail));
    } else if (!record_is_update(read->payload, &previous) || previous.sequence == 0) {
        start_compute(item);
    } else if (previous.sequence >= read->position.sequence) {
        fail_item(item, bad_state(item, read, &item->detail));
    } else {
        read_state(item, &previous);
    }
}

static void done_read(struct ledger_read *read)
{
    struct branch_item *item = read->context;
    if (read->result != 0) {
        item->detail = read->detail;
        fail_item(item, read->result);
        return;
    }
    if (item->block.state_position.sequence == 0 || item->role == PARENT) {
        start_compute(item);
        return;
    }
    read_state(item, &item->block.state_position);
}

static void done_own_index(struct workers_job *job)
{
    struct branch_change *change = job->context;
    change->under_way--;
    read_on(change);
}

static void run_own_index(struct workers_job *job, void *worker_state)
{
    struct branch_change *change = job->context;
    (void)worker_state; /* hashing needs none */
    for (size_t i = 0; i < change->own_count; i++) {
        struct prepare *prepare = &change->own[i]->prepare;
        (void)prepare_index(prepare, buffer_bytes(&prepare->changes)); /* kept in prepare.result */
    }
}

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
    if (all && change->own_count != 0 && change->own_job.context == NULL && change->result == 0) {
        change->own_job =
            (struct workers_job){.run = run_own_index, .done = done_own_index, .context = change};
        change->under_way++;
        store_branch_run_job(change, change->store->verifiers, &change->own_job);
    }
    change->under_way--;
    if (all && change->under_way == 0) {
        store_branch_tries(change);
    }
}
