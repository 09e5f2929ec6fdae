/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of raw state without a block (UpdateState). They belong to the block that is the head
 * when they are appended: they are versions at its height, leave the canonical chain with it and
 * come back with it. So a block's state frames make a chain, the newest first: each update's frame
 * names the one before it, and the block's place names the newest (record.h).
 *
 * An update stands in the queue of puts. It is appended when all that was appended before is
 * acknowledged: then the head is durable and the frame before known. Those that wait behind it go
 * along in one frame, in which a key that several of them change stands once, with its last value;
 * each is answered on its own, and one that was called off meanwhile is left out. To find others to
 * go along, one that meets an idle store waits for the rest of this turn of the loop.
 *
 * Blocks behind an update do not wait for it. From the acknowledgement on it goes the way of a
 * block: it settles (store_settle.c), and the applier takes it (store_apply.c). */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_private.h"

enum {
    HERE_CHANGES_MAX = 64, /* of an update that the loop encodes itself */
    HERE_BYTES_MAX = 16 << 10,
    GROUP_BYTES_MAX = 1 << 20, /* of a frame that more are added to */
    GROUP_MEMBERS_MAX = 1024,
};

/* ---- merging ---- */

struct merged_change {
    struct record_change change;
    uint64_t hash;
    bool superseded;
};

/* The changes of several updates, each key once. */
struct merge {
    struct merged_change *list; /* in order */
    size_t count;
    uint32_t *slots; /* index + 1 of the newest change of a key */
    size_t slot_count;
};

static void add_change(struct merge *merge, const struct record_change *change, uint64_t hash)
{
    size_t slot = hash & (merge->slot_count - 1);
    while (merge->slots[slot] != 0) {
        struct merged_change *other = &merge->list[merge->slots[slot] - 1];
        if (other->hash == hash && bytes_equal(other->change.key, change->key)) {
            other->superseded = true;
            break;
        }
        slot = (slot + 1) & (merge->slot_count - 1);
    }
    merge->list[merge->count++] = (struct merged_change){.change = *change, .hash = hash};
    merge->slots[slot] = (uint32_t)merge->count;
}

static void add_put(struct merge *merge, const struct store_put *put)
{
    struct pending_entries entries = store_put_entries(put);
    struct bytes cursor = entries.changes;
    for (size_t i = 0; i < entries.hash_count; i++) {
        struct record_change change;
        int result = record_next_change(&cursor, &change);
        ensure(result == 0); /* as many as there are hashes */
        add_change(merge, &change, entries.hashes[i]);
    }
}

/* What is not superseded, into CHANGES and HASHES. */
static int write_out(const struct merge *merge, struct buffer *changes, struct buffer *hashes)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < merge->count; i++) {
        const struct merged_change *item = &merge->list[i];
        if (!item->superseded) {
            result = record_append_change(changes, &item->change);
            result = result == 0 ? buffer_append(hashes, &item->hash, sizeof(item->hash)) : result;
        }
    }
    return result;
}

static size_t change_count(const struct store_put *put)
{
    return put->prepare.change_hashes.size / sizeof(uint64_t);
}

/* PUT gets the changes of its members behind its own. STOA_ENOMEM. */
static int merge_members(struct store_put *put)
{
    size_t count = change_count(put);
    for (const struct store_put *at = put->members; at != NULL; at = at->next) {
        count += change_count(at);
    }
    if (count < 2) {
        return 0;
    }
    struct merge merge = {.slot_count = 4};
    while (merge.slot_count < 2 * count) {
        merge.slot_count *= 2;
    }
    struct buffer changes;
    struct buffer hashes;
    buffer_init(&changes);
    buffer_init(&hashes);
    merge.list = memory_alloc(count * sizeof(*merge.list));
    merge.slots = memory_alloc_zeroed(merge.slot_count, sizeof(*merge.slots));
    int result = merge.list == NULL || merge.slots == NULL ? STOA_ENOMEM : 0;
    if (result == 0) {
        add_put(&merge, put);
        for (const struct store_put *at = put->members; at != NULL; at = at->next) {
            add_put(&merge, at);
        }
        result = write_out(&merge, &changes, &hashes);
    }
    memory_free(merge.list);
    memory_free(merge.slots);
    if (result == 0) {
        struct buffer old_changes = put->prepare.changes;
        struct buffer old_hashes = put->prepare.change_hashes;
        put->prepare.changes = changes;
        put->prepare.change_hashes = hashes;
        changes = old_changes;
        hashes = old_hashes;
    }
    buffer_deinit(&changes);
    buffer_deinit(&hashes);
    return result;
}

/* ---- appending ---- */

static void done_append(struct ledger_append *append)
{
    struct store_put *put = append->context;
    put->durable = true;
    store_put_advance_appended(put->store);
}

static void append(struct store_put *put)
{
    struct store *store = put->store;
    record_encode_update_header(store->top.hash, &store->top.state_position, put->update_header);
    put->append = (struct ledger_append){
        .kind = LEDGER_STATE,
        .height = store->top.height,
        .parts = {bytes_of(put->update_header, RECORD_UPDATE_HEADER_SIZE),
                  buffer_bytes(&put->prepare.changes)},
        .part_count = 2,
        .done = done_append,
        .context = put,
    };
    put->durable = false;
    put->indexed = true;
    put->cache_sequence = 0;
    put->settled = false;
    store_fill_begin(put);
    buffer_clear(&put->places);
    store_put_push_appended(put);
    ledger_append(store->ledger, &put->append);
    store_settle_soon(store);
    struct store_put *at = put;
    while (at != NULL) {
        struct store_put *next = at == put ? put->members : at->next;
        at->request->appended = true;
        at->request->height = store->top.height;
        memcpy(at->request->hash, store->top.hash, 32);
        if (at->request->on_append != NULL) {
            at->request->on_append(at->request);
        }
        at = next;
    }
}

/* Take those behind PUT along that are ready, up to a block or another message. */
static void take_members(struct store *store, struct store_put *put)
{
    struct store_put **last = &put->members;
    struct store_put *next;
    size_t bytes = put->prepare.changes.size;
    unsigned count = 1;
    while ((next = store->puts.first) != NULL && next->update && next->verified) {
        if (next->canceled != 0 || next->prepare.result != 0) {
            next->request->detail = next->prepare.detail; /* code 0 where it was called off */
            store_put_take_first(next);
            store_put_answer(next, next->canceled != 0 ? next->canceled : next->prepare.result);
            continue;
        }
        bytes += next->prepare.changes.size;
        if (bytes > GROUP_BYTES_MAX || ++count > GROUP_MEMBERS_MAX) {
            return;
        }
        store_put_take_first(next);
        next->next = NULL;
        *last = next;
        last = &next->next;
    }
}

/* May the head have changes? */
static int check_head(const struct store *store, struct error_detail *detail)
{
    if (!store->head.present) {
        return error_set(detail, STOA_EREFUSED,
                         "changes: they belong to a block, and the store has none yet");
    }
    if (store->head.damaged || store->top.height != store->head.height ||
        memcmp(store->top.hash, store->head.hash, 32) != 0) {
        return error_set(detail, STOA_ECORRUPT,
                         "the newest block, height %llu, is damaged: repair it first",
                         (unsigned long long)store->head.height);
    }
    return 0;
}

static int check_size(const struct store *store, const struct store_put *put)
{
    uint64_t size = RECORD_UPDATE_HEADER_SIZE + (uint64_t)put->prepare.changes.size;
    uint64_t most = ledger_payload_max(store->ledger);
    return size <= most ? 0
                        : error_set(&put->request->detail, STOA_ETOOBIG,
                                    "changes: %llu bytes; at most %llu fit a frame here",
                                    (unsigned long long)size, (unsigned long long)most);
}

void store_update_start(struct store *store, struct store_put *put)
{
    if (store->gathering || store->appended.first != NULL) {
        return;
    }
    int result = check_head(store, &put->request->detail);
    if (result == 0) {
        result = check_size(store, put);
    }
    if (result != 0) {
        store_put_finish_first(put, result);
        return;
    }
    store_put_take_first(put);
    take_members(store, put);
    result = merge_members(put);
    if (result == 0) {
        append(put);
        return;
    }
    struct store_put *members = put->members;
    put->members = NULL;
    store_put_answer(put, result);
    store_update_answer(store, members, result);
}

void store_update_answer(struct store *store, struct store_put *members, int result)
{
    while (members != NULL) {
        struct store_put *put = members;
        members = put->next;
        if (result != 0 && ledger_stopped(store->ledger, &put->request->detail) == 0 &&
            store->apply_failed != 0) {
            put->request->detail = store->failed_detail;
        }
        store_put_answer(put, result);
    }
}

/* ---- submitting ---- */

static void run_prepare(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    (void)worker_state;                  /* encoding needs none */
    (void)prepare_update(&put->prepare); /* kept in prepare.result */
}

static void done_prepare(struct workers_job *job)
{
    struct store_put *put = job->context;
    put->verified = true;
    store_put_advance(put->store);
}

static void gathered(struct io_request *timer)
{
    struct store *store = timer->context;
    store->gathering = false;
    store_put_advance(store);
}

static bool is_small(const struct stoa_store_block *given)
{
    size_t bytes = 0;
    for (size_t i = 0; i < given->change_count && i < HERE_CHANGES_MAX; i++) {
        bytes += given->changes[i].key.size + given->changes[i].value.size;
    }
    return given->change_count <= HERE_CHANGES_MAX && bytes <= HERE_BYTES_MAX;
}

void store_update_submit(struct store_put *put)
{
    struct store *store = put->store;
    if (!is_small(put->prepare.put)) {
        put->verify_job = (struct workers_job){
            .run = run_prepare, .done = done_prepare, .context = put, .kind = METRICS_JOB_VERIFY};
        workers_submit(store->verifiers, &put->verify_job);
        return;
    }
    (void)prepare_update(&put->prepare); /* kept in prepare.result */
    put->verified = true;
    if (store->puts.first == put && store->appended.first == NULL && !store->gather_timer.pending) {
        store->gathering = true;
        store->gather_timer = (struct io_request){
            .op = IO_TIMER, .deadline_ns = 0, .done = gathered, .context = store};
        io_submit(store->io, &store->gather_timer);
    }
    store_put_advance(store);
}

/* ---- taking in ---- */

void store_update_make_visible(struct store_put *put)
{
    struct store *store = put->store;
    store->top.state_position = put->append.position;
    put->block = store->top;
    store_cache_close(put);
    (void)store_fill_show(put); /* it has no record */
}

int store_update_take_in(struct store *store, const struct pending_block *block,
                         const struct pending_entries *entries)
{
    if (pending_block_count(store->open) == 0) {
        store->open_since_ns = io_now_ns(store->io);
    }
    int result = pending_update(store->open, block, entries);
    if (result == 0) {
        store->open_applied.position = block->state_position;
        store_apply_freeze_full(store);
    }
    return result;
}

int store_update_find_top(struct store *store, struct error_detail *detail)
{
    const struct store_tip *tip = &store->tip;
    if (!tip->present ||
        (store->top.height == tip->height && memcmp(store->top.hash, tip->hash, 32) == 0)) {
        return 0;
    }
    const struct pending_block *recent = store_find_pending_hash(store, tip->hash);
    if (recent != NULL) {
        store->top = *recent;
        return 0;
    }
    struct index_place place;
    int result = index_find_hash(store->index, store->session, tip->hash, &place, detail);
    if (result != 0) {
        store_note_tables(store, result);
        return result == STOA_ENOTFOUND ? 0 : result; /* its hash is not known: it is damaged */
    }
    store->top = (struct pending_block){
        .height = place.height,
        .position = place.position,
        .front = place.front,
        .state_position = place.state_position,
    };
    memcpy(store->top.hash, tip->hash, 32);
    memcpy(store->top.total_difficulty, tip->total_difficulty, 32);
    return 0;
}
