/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A block's way into the store. Verification and index entries are computed by workers in any
 * order; linking to the parent, appending and acknowledging happen on the loop in the order
 * submitted, so that a block may follow its parent without waiting for it. When an append fails,
 * the blocks behind it fail too and the tip goes back to the head. */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_private.h"

static void queue_push(struct store_put_queue *queue, struct store_put *put)
{
    put->next = NULL;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    *queue->last = put;
    queue->last = &put->next;
    queue->count++;
}

static struct store_put *queue_pop(struct store_put_queue *queue)
{
    struct store_put *put = queue->first;
    ensure(put != NULL && queue->count != 0);
    queue->first = put->next;
    queue->count--;
    return put;
}

static void put_destroy(struct store_put *put)
{
    if (put->batch != NULL && put->request != NULL) { /* its own, not a member's */
        store_batch_release(put);
    }
    prepare_deinit(&put->prepare);
    buffer_deinit(&put->places);
    store_fill_drop(put);
    buffer_deinit(&put->values);
    buffer_deinit(&put->value_hashes);
    trie_layer_release(put->layer);
    memory_free(put->parent_read); /* a power cut left it under way */
    memory_free(put);
}

void store_put_free_pool(struct store *store)
{
    struct store_put *lists[] = {store->put_pool, store->puts.first, store->appended.first,
                                 store->settling.first, store->filling.first};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        while (lists[i] != NULL) {
            struct store_put *next = lists[i]->next;
            while (lists[i]->members != NULL) {
                struct store_put *member = lists[i]->members;
                lists[i]->members = member->next;
                put_destroy(member);
            }
            put_destroy(lists[i]);
            lists[i] = next;
        }
    }
    store->put_pool = NULL;
    store->puts = (struct store_put_queue){.first = NULL};
    store->appended = (struct store_put_queue){.first = NULL};
    store->appended_sides = 0;
    store->settling = (struct store_put_queue){.first = NULL};
    store->filling = (struct store_put_queue){.first = NULL};
}

void store_put_take_first(struct store_put *put)
{
    struct store_put *first = queue_pop(&put->store->puts);
    ensure(first == put);
}

void store_put_push_appended(struct store_put *put)
{
    queue_push(&put->store->appended, put);
}

static void free_put(struct store_put *put)
{
    struct store *store = put->store;
    trie_layer_release(put->layer);
    put->layer = NULL;
    store_fill_drop(put);
    put->next = store->put_pool;
    store->put_pool = put;
}

static void free_batch(struct store_put *put)
{
    store_batch_release(put);
    while (put->members != NULL) {
        struct store_put *member = put->members;
        put->members = member->next;
        member->batch = NULL;
        free_put(member);
    }
}

void store_put_answer(struct store_put *put, int result)
{
    struct store *store = put->store;
    struct store_request *request = put->request;
    request->work = NULL;
    put->request = NULL;
    if (put->batch != NULL) {
        free_batch(put);
    }
    free_put(put);
    store_through_finish(store, request, result);
}

static void run_verify(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    (void)prepare_verify(&put->prepare, worker_state); /* kept in prepare.result */
}

static void run_index(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    (void)worker_state; /* hashing needs none */
    (void)prepare_index(&put->prepare,
                        buffer_bytes(&put->prepare.changes)); /* kept in prepare.result */
    store_cache_find_places(put);
}

static void done_index(struct workers_job *job)
{
    struct store_put *put = job->context;
    put->indexed = true;
    store_put_advance_appended(put->store);
    store_settle_go_on(put->store);
}

/* The block's own frame comes after it and answers for both. */
static void done_state_append(struct ledger_append *append)
{
    (void)append;
}

static void done_append(struct ledger_append *append)
{
    struct store_put *put = append->context;
    put->durable = true;
    store_put_advance_appended(put->store);
}

/* SUM = A + B, 256 bits, big-endian. */
static void add_difficulty(const uint8_t a[32], const uint8_t b[32], uint8_t sum[32])
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        unsigned digit = (unsigned)a[i] + b[i] + carry;
        sum[i] = (uint8_t)digit;
        carry = digit >> 8;
    }
}

void store_put_make_record(struct store_put *put, const uint8_t parent_difficulty[32])
{
    const struct stoa_store_block *given = put->prepare.put;
    const struct prepare *prepare = &put->prepare;
    bool has_senders = prepare->senders.size != 0;
    add_difficulty(parent_difficulty, prepare->block.header.difficulty, put->total_difficulty);
    struct record record = {
        .flags = (put->side ? RECORD_SIDE : 0) |
                 (given->receipts.data != NULL ? RECORD_RECEIPTS : 0) |
                 (has_senders ? RECORD_SENDERS : 0) |
                 (given->envelope.data != NULL ? RECORD_ENVELOPE : 0) |
                 (prepare->changes.size != 0 ? RECORD_CHANGES : 0) |
                 ((given->skip & STOA_SKIP_STATE_ROOT) != 0 ? RECORD_ANY_STATE : 0) |
                 (put->in_batch ? RECORD_BATCH : 0),
        .transaction_count = (uint32_t)prepare->block.transaction_count,
        .hash = prepare->block.hash,
        .total_difficulty = put->total_difficulty,
        .envelope_hash = given->envelope_hash,
        .block = bytes_of(given->block.data, given->block.size),
        .receipts = bytes_of(given->receipts.data, given->receipts.size),
        .senders = buffer_bytes(&prepare->senders),
        .envelope = bytes_of(given->envelope.data, given->envelope.size),
    };
    record_encode_header(&record, prepare->block_sum, put->record_header);
    put->append = (struct ledger_append){
        .kind = LEDGER_BLOCK,
        .height = prepare->block.header.number,
        .parts = {bytes_of(put->record_header, RECORD_HEADER_SIZE), record.block, record.receipts,
                  record.senders, record.envelope},
        .part_count = 5,
        .done = done_append,
        .context = put,
    };
    record_encode_state_header(prepare->block.hash, put->state_header);
    if (put->in_batch) {
        record_mark_batch(put->state_header);
    }
    put->state_append = (struct ledger_append){
        .kind = LEDGER_STATE,
        .height = prepare->block.header.number,
        .parts = {bytes_of(put->state_header, RECORD_STATE_HEADER_SIZE),
                  buffer_bytes(&prepare->changes)},
        .part_count = 2,
        .done = done_state_append,
        .context = put,
    };
}

static void append(struct store_put *put, const uint8_t parent_difficulty[32])
{
    struct store *store = put->store;
    put->side = (put->prepare.put->flags & STOA_STORE_SIDE) != 0;
    store_put_make_record(put, parent_difficulty);
    put->request->appended = true;
    put->durable = false;
    put->indexed = false;
    put->cache_sequence = 0;
    put->settled = false;
    store_fill_begin(put);
    if (!put->side) {
        uint64_t state_end = store->tip.state_end;
        store->tip =
            (struct store_tip){.present = true, .height = put->prepare.block.header.number};
        memcpy(store->tip.hash, put->prepare.block.hash, 32);
        memcpy(store->tip.total_difficulty, put->total_difficulty, 32);
        store->tip.state_known = put->layer != NULL;
        store->tip.state_end = put->layer != NULL ? store->tip.height + 1 : state_end;
    }
    queue_push(&store->appended, put);
    store->appended_sides += put->side;
    put->prepare.plain = store->options.plain;
    put->prepare.keep_hashes = store->cache != NULL && !put->side && !store->options.bulk;
    put->index_job = (struct workers_job){
        .run = run_index, .done = done_index, .context = put, .kind = METRICS_JOB_INDEX};
    workers_submit(store->verifiers, &put->index_job);
    if (put->prepare.changes.size != 0) {
        ledger_append(store->ledger, &put->state_append);
    }
    ledger_append(store->ledger, &put->append);
    if (put->layer != NULL) {
        store_tries_merge(store, put->layer);
    }
    store_settle_soon(store);
    if (put->request->on_append != NULL) {
        put->request->on_append(put->request);
    }
}

bool store_cancel(struct store *store, struct store_request *request, int result)
{
    (void)store; /* whose request it is */
    struct store_put *put = request->work;
    if (put == NULL || put->begun || request->appended) {
        return false;
    }
    ensure(put->request == request && result != 0);
    put->canceled = result;
    return true;
}

/* Total difficulty of a side block's parent comes from its record, read by the same path as any
 * get. */
struct parent_read {
    struct store_request request;
    struct store_put *put;
};

static void done_parent(struct store_request *request)
{
    struct parent_read *parent = request->context;
    struct store_put *put = parent->put;
    struct store *store = put->store;
    put->parent_read = NULL;
    put->looking = false;
    ensure(store->puts.first == put);
    (void)queue_pop(&store->puts);
    if (request->result == 0 && put->canceled != 0) {
        store_view_release(request->block.view);
        store_put_answer(put, put->canceled);
    } else if (request->result == 0) {
        append(put, request->block.total_difficulty);
        store_view_release(request->block.view);
    } else {
        put->request->detail = request->detail;
        error_prefix(&put->request->detail, "read the parent");
        store_put_answer(put, request->result);
    }
    memory_free(parent);
    store_put_advance(store);
}

/* PUT stays first in the queue until its parent was read. */
static int start_parent_read(struct store_put *put)
{
    struct parent_read *parent = memory_alloc_zeroed(1, sizeof(*parent));
    if (parent == NULL) {
        return error_set(&put->request->detail, STOA_ENOMEM, "store a side block");
    }
    parent->put = put;
    put->parent_read = parent;
    parent->request = (struct store_request){
        .kind = STORE_GET_BLOCK,
        .key = {.by = STOA_BY_HASH},
        .done = done_parent,
        .context = parent,
    };
    memcpy(parent->request.key.hash, put->prepare.block.header.parent_hash, 32);
    put->looking = true;
    store_submit(put->store, &parent->request);
    return 0;
}

void store_put_finish_first(struct store_put *put, int result)
{
    struct store *store = put->store;
    ensure(store->puts.first == put);
    (void)queue_pop(&store->puts); /* PUT itself */
    store_put_answer(put, result);
    if (!store->advancing) {
        store_put_advance(store);
    }
}

/* A change of branch or of a mark: alone, behind all that was appended. */
static void start_branch(struct store *store, struct store_put *put)
{
    if (store->appended.first != NULL || store_tries_merging(store) ||
        (put->request->kind == STORE_RECEIPTS && !store_receipts_may_start(store))) {
        return;
    }
    int result = store_settle(store);
    if (result != 0) {
        put->request->detail = store->failed_detail;
        store_put_finish_first(put, result);
        return;
    }
    store_fill_stop(store);
    put->looking = true;
    put->begun = true;
    if (put->request->kind == STORE_UPDATE_HEAD) {
        store_branch_update_head(put);
    } else if (put->request->kind == STORE_BATCH) {
        store_batch_start(put);
    } else if (put->request->kind == STORE_RECEIPTS) {
        store_receipts_start(put);
    } else {
        store_branch_set_mark(put);
    }
}

/* The block is sound, its parent is not the head but stored. False: it waits for something. */
static int start_competing(struct store *store, struct store_put *put)
{
    const uint8_t *parent = put->prepare.block.header.parent_hash;
    const struct branches_block *side = branches_find(store->branches, parent);
    if (store->appended.first != NULL || store_tries_merging(store)) {
        return 0; /* its parent may be among them: wait until they are readable */
    }
    int result = store_settle(store);
    if (result != 0) {
        put->request->detail = store->failed_detail;
        return result;
    }
    if ((put->prepare.put->flags & STOA_STORE_CANONICAL) != 0) {
        store_fill_stop(store);
        put->looking = true;
        put->begun = true;
        store_branch_put(put);
        return 0;
    }
    if (side == NULL) {
        return start_parent_read(put);
    }
    (void)queue_pop(&store->puts); /* PUT itself */
    append(put, side->total_difficulty);
    return 0;
}

/* May anything be written now? */
static int check_writing(struct store *store, struct store_put *put)
{
    if (store->given_up) {
        put->request->detail = store->given_up_detail;
        return STOA_EREADONLY;
    }
    int result = ledger_stopped(store->ledger, &put->request->detail);
    return result == 0 ? store_apply_check_space(store, &put->request->detail) : result;
}

/* PUT extends the tip: append it, once its root is computed. */
static void append_next(struct store *store, struct store_put *put)
{
    static const uint8_t zero[32];
    if (store_tries_root(put)) {       /* else it was begun, or waits */
        (void)queue_pop(&store->puts); /* PUT itself */
        append(put, store->tip.present ? store->tip.total_difficulty : zero);
    }
}

/* One step for the first of the queue, until it waits for something: then it is still the first
 * afterwards. */
static void advance_first(struct store *store, struct store_put *put)
{
    if (put->canceled != 0) {
        store_put_finish_first(put, put->canceled);
        return;
    }
    bool is_block = put->request->kind == STORE_PUT_BLOCK;
    int result = is_block || put->update ? put->prepare.result : 0;
    if (result != 0) {
        put->request->detail = put->prepare.detail;
        store_put_finish_first(put, result);
        return;
    }
    result = check_writing(store, put);
    if (result != 0) {
        store_put_finish_first(put, result);
        return;
    }
    if (!is_block) {
        if (put->update) {
            store_update_start(store, put);
        } else {
            start_branch(store, put);
        }
        return;
    }
    memcpy(put->request->hash, put->prepare.block.hash, 32);
    put->request->height = put->prepare.block.header.number;
    if (put->lookup_job.context == NULL || put->lookup_failures != store->append_failures) {
        enum store_put_link link = store_put_link_plain(put, &result);
        if (link == STORE_PUT_LOOK_UP) {
            store_put_link_look_up(put);
        } else if (link == STORE_PUT_APPEND) {
            append_next(store, put);
        } else {
            store_put_finish_first(put, result);
        }
        return;
    }
    result = store_put_link_looked_up(put);
    if (result == 0 && store_put_link_is_next(put)) {
        append_next(store, put);
    } else if (result == 0) {
        result = start_competing(store, put);
    }
    if (result != 0) {
        store_put_finish_first(put, result);
    }
}

void store_put_advance(struct store *store)
{
    if (store->advancing) {
        return; /* the loop below goes on itself */
    }
    store->advancing = true;
    while (store->puts.first != NULL) {
        struct store_put *put = store->puts.first;
        if (!put->verified || put->looking) {
            break;
        }
        if (store->apply_failed != 0) {
            put->request->detail = store->given_up ? store->given_up_detail : store->failed_detail;
            store_put_finish_first(put, store->given_up ? STOA_EREADONLY : store->apply_failed);
            continue;
        }
        /* Everything appended must find room in the batches, and the ledger must not run far ahead.
         */
        if (!store_apply_has_room(store) || store->append_failed != 0) {
            break;
        }
        advance_first(store, put);
        if (store->puts.first == put) {
            break;
        }
    }
    store->advancing = false;
}

static void done_verify(struct workers_job *job)
{
    struct store_put *put = job->context;
    put->verified = true;
    store_put_advance(put->store);
}

void store_put_describe(const struct store_put *put, struct pending_block *out_block)
{
    const struct prepare *prepare = &put->prepare;
    *out_block = (struct pending_block){
        .height = prepare->block.header.number,
        .position = put->append.position,
        .front = record_front_size(prepare->put->block.size),
        .side = put->side,
        .has_envelope = prepare->put->envelope_hash != NULL,
    };
    if (prepare->changes.size != 0) {
        out_block->state_position = put->state_append.position;
    }
    memcpy(out_block->hash, prepare->block.hash, 32);
    memcpy(out_block->parent_hash, prepare->block.header.parent_hash, 32);
    memcpy(out_block->total_difficulty, put->total_difficulty, 32);
    if (out_block->has_envelope) {
        memcpy(out_block->envelope_hash, prepare->put->envelope_hash, 32);
    }
}

/* The block is durable and its entries are computed: it becomes visible. One of the canonical chain
 * is entered into the batch later, but before anybody looks. */
static int make_visible(struct store_put *put)
{
    struct store *store = put->store;
    struct pending_block *block = &put->block;
    if (put->update) {
        store_update_make_visible(put);
        return 0;
    }
    store_put_describe(put, block);
    if (put->side) {
        int result = store_settle(store);
        if (result == 0) {
            result = store_branch_note_side(store, block, put->parent.canonical);
        }
        return result == 0 ? store_apply_add(store, block, NULL) : result;
    }
    store->top = *block;
    uint64_t state_end = put->layer != NULL ? block->height + 1 : store->head.state_end;
    store->head = (struct store_tip){.present = true,
                                     .height = block->height,
                                     .state_known = put->layer != NULL,
                                     .state_end = state_end};
    memcpy(store->head.hash, block->hash, 32);
    memcpy(store->head.total_difficulty, block->total_difficulty, 32);
    store_branch_raise_line(store);
    store_cache_block(put, block);
    return 0;
}

/* What became of the frames of a block. Behind a failed append even a durable block has failed: its
 * parent is not there, or its changes are not, and replay passes such a block over as well. */
static int appended_result(struct store_put *put)
{
    struct store *store = put->store;
    int result = put->append.result;
    if (result == 0 && put->prepare.changes.size != 0 && !put->update) {
        result = put->state_append.result;
    }
    if (result == 0 && !put->side) {
        result = store->append_failed;
    }
    if (result != 0 && store->append_failed == 0 && !put->update) {
        store->append_failed = result; /* nothing stands on an update */
    }
    if (result != 0) {
        (void)ledger_stopped(store->ledger, &put->request->detail); /* says what failed first */
    }
    return result;
}

/* A durable block enters the pending tier. Where it cannot, the store takes no more: the ledger has
 * the block, and the next open will bring it back. */
int store_put_take_in(struct store_put *put)
{
    struct store *store = put->store;
    if (store->apply_failed == 0) {
        int result = put->prepare.result != 0 ? put->prepare.result : make_visible(put);
        if (result == 0) {
            return 0;
        }
        store->apply_failed = error_set(&store->failed_detail, result,
                                        "block %llu is durable but not indexed: reopen",
                                        (unsigned long long)put->prepare.block.header.number);
    }
    put->request->detail = store->failed_detail;
    return store->apply_failed;
}

struct pending_entries store_put_entries(const struct store_put *put)
{
    struct bytes changes = buffer_bytes(&put->prepare.changes);
    if (put->update) {
        return prepare_update_entries(&put->prepare, changes);
    }
    struct pending_entries entries = prepare_entries(&put->prepare, changes);
    entries.layer = put->layer;
    return entries;
}

void store_put_advance_appended(struct store *store)
{
    while (store->appended.first != NULL) {
        struct store_put *put = store->appended.first;
        if (!put->durable || !put->indexed) {
            return;
        }
        (void)queue_pop(&store->appended); /* PUT itself */
        store->appended_sides -= put->side;
        int result = appended_result(put);
        if (result == 0) {
            result = store_put_take_in(put);
        }
        struct store_put *members = put->members;
        put->members = NULL;
        if (result != 0 || put->side) {
            store_cache_open(put);
            store_put_answer(put, result);
            store_update_answer(store, members, result);
            continue;
        }
        struct store_request *request = put->request;
        put->request = NULL;
        request->work = NULL;
        store_through_finish(store, request, 0);
        store_update_answer(store, members, 0);
        store_settle_push(store, put);
    }
    if (store->append_failed != 0) {
        store->append_failures++;
        store->append_failed = 0;
        store->tip = store->head;
        store_tries_fall_back(store);
    }
    store_put_advance(store);
}

struct store_put *store_put_take(struct store *store)
{
    struct store_put *put = store->put_pool;
    if (put != NULL) {
        store->put_pool = put->next;
    } else {
        put = memory_alloc_zeroed(1, sizeof(*put));
        if (put == NULL) {
            return NULL;
        }
        prepare_init(&put->prepare);
        put->store = store;
    }
    put->canceled = 0;
    put->begun = false;
    put->rooted = false;
    put->verified = false;
    put->looking = false;
    put->known = false;
    put->parent_known = false;
    put->parent = (struct index_place){.height = 0};
    put->lookup_job.context = NULL;
    put->side = false;
    put->update = false;
    put->in_batch = false;
    put->members = NULL;
    put->batch = NULL;
    put->prepare.chain_id = store->identity.chain_id;
    put->prepare.detail.code = 0;
    put->prepare.detail.text[0] = '\0';
    put->prepare.keep_hashes = false;
    buffer_clear(&put->values);
    buffer_clear(&put->value_hashes);
    put->fill = (struct store_fill){.stage = STORE_FILL_READY};
    return put;
}

void store_put_submit(struct store *store, struct store_request *request)
{
    struct store_put *put = store_put_take(store);
    if (put == NULL) {
        store_finish_request(store, request, STOA_ENOMEM);
        return;
    }
    request->work = put;
    put->request = request;
    put->update = request->kind == STORE_UPDATE_STATE;
    put->prepare.put = &request->put;
    queue_push(&store->puts, put);
    if (put->update) {
        store_update_submit(put);
        return;
    }
    bool prepared = request->kind == STORE_PUT_BLOCK && request->prepared != NULL;
    if (prepared) {
        struct prepare old = put->prepare;
        put->prepare = *request->prepared;
        *request->prepared = old;
        request->prepared = NULL; /* another try is verified anew */
    }
    if (request->kind == STORE_BATCH) {
        store_batch_submit(put);
        return;
    }
    if (request->kind != STORE_PUT_BLOCK || prepared) {
        put->verified = true;
        store_put_advance(store);
        return;
    }
    put->verify_job = (struct workers_job){
        .run = run_verify, .done = done_verify, .context = put, .kind = METRICS_JOB_VERIFY};
    workers_submit(store->verifiers, &put->verify_job);
}
