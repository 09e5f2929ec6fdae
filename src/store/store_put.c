/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A block's way into the store. Verification and index entries are computed by workers in any
 * order; linking to the parent, appending and acknowledging happen on the loop in the order
 * submitted, so that a block may follow its parent without waiting for it. When an append fails,
 * the blocks behind it fail too and the tip goes back to the head. */
#include <stdio.h>

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
    prepare_deinit(&put->prepare);
    buffer_deinit(&put->places);
    trie_layer_release(put->layer);
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

void store_put_answer(struct store_put *put, int result)
{
    struct store *store = put->store;
    struct store_request *request = put->request;
    request->work = NULL;
    put->request = NULL;
    trie_layer_release(put->layer);
    put->layer = NULL;
    put->next = store->put_pool;
    store->put_pool = put;
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
                 ((given->skip & STOA_SKIP_STATE_ROOT) != 0 ? RECORD_ANY_STATE : 0),
        .transaction_count = (uint32_t)prepare->block.transaction_count,
        .hash = prepare->block.hash,
        .total_difficulty = put->total_difficulty,
        .envelope_hash = given->envelope_hash,
        .block = bytes_of(given->block.data, given->block.size),
        .receipts = bytes_of(given->receipts.data, given->receipts.size),
        .senders = buffer_bytes(&prepare->senders),
        .envelope = bytes_of(given->envelope.data, given->envelope.size),
    };
    record_encode_header(&record, put->record_header);
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

/* Where a stored block is, among those appended and not yet acknowledged and in the pending
 * batches; of the former only height and side. False: it is not there. */
static bool find_recent(const struct store *store, const uint8_t hash[32],
                        struct index_place *out_place)
{
    for (const struct store_put *put = store->appended.first; put != NULL; put = put->next) {
        if (!put->update && memcmp(put->prepare.block.hash, hash, 32) == 0) {
            *out_place = (struct index_place){
                .height = put->prepare.block.header.number,
                .canonical = !put->side,
            };
            return true;
        }
    }
    const struct pending_block *block = store_find_pending_hash(store, hash);
    if (block != NULL) {
        *out_place = (struct index_place){
            .height = block->height,
            .position = block->position,
            .state_position = block->state_position,
            .canonical = !block->side,
        };
    }
    return block != NULL;
}

/* Not the plain case: is the block stored already, is its parent? Asks the tables. */
static void run_lookup(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    struct kv_session *session = worker_state;
    struct index *index = put->store->index;
    struct error_detail *detail = &put->prepare.detail;
    struct index_place place;
    int result = 0;
    if (!put->known) {
        result = index_find_hash(index, session, put->prepare.block.hash, &place, detail);
        put->known = result == 0;
    }
    if ((result == 0 || result == STOA_ENOTFOUND) && !put->parent_known) {
        result = index_find_hash(index, session, put->prepare.block.header.parent_hash,
                                 &put->parent, detail);
        put->parent_known = result == 0;
    }
    put->lookup_result = result == STOA_ENOTFOUND ? 0 : result;
}

static int refuse_parent(struct store_put *put, const char *why)
{
    char parent[65];
    bytes_to_hex(put->prepare.block.header.parent_hash, 32, parent);
    return error_set(&put->request->detail, STOA_EREFUSED, "parentHash: block %llu names 0x%s, %s",
                     (unsigned long long)put->prepare.block.header.number, parent, why);
}

static int check_number(struct store_put *put, uint64_t parent_height)
{
    uint64_t number = put->prepare.block.header.number;
    if (number == parent_height + 1) {
        return 0;
    }
    return error_set(&put->request->detail, STOA_EREFUSED, "number: %llu, but its parent has %llu",
                     (unsigned long long)number, (unsigned long long)parent_height);
}

/* The first block of an empty store. */
static int check_genesis(struct store_put *put)
{
    const struct store *store = put->store;
    uint64_t number = put->prepare.block.header.number;
    struct error_detail *detail = &put->request->detail;
    if (number != 0) {
        return error_set(detail, STOA_EREFUSED,
                         "number: %llu, but the store is empty and begins with block 0",
                         (unsigned long long)number);
    }
    if (store->identity.has_genesis &&
        memcmp(store->identity.genesis_hash, put->prepare.block.hash, 32) != 0) {
        return error_set(detail, STOA_EREFUSED, "hash: block 0 is not this store's genesis");
    }
    return 0;
}

/* Size of the larger of a block's two payloads. */
static uint64_t payload_size(const struct store_put *put)
{
    const struct stoa_store_block *given = put->prepare.put;
    uint64_t block = RECORD_HEADER_SIZE + (uint64_t)given->block.size + given->receipts.size +
                     put->prepare.senders.size + given->envelope.size;
    uint64_t state = RECORD_STATE_HEADER_SIZE + (uint64_t)put->prepare.changes.size;
    return block > state ? block : state;
}

enum { LINK_APPEND, LINK_LOOKUP, LINK_REFUSED };

/* A child of the tip is new, unless it was stored as a side block before: whether it may have been.
 */
static bool may_be_aside(const struct store_put *put)
{
    const struct store *store = put->store;
    return store->appended_sides != 0 || branches_count(store->branches) == BRANCHES_MAX ||
           branches_find(store->branches, put->prepare.block.hash) != NULL;
}

/* The plain cases, answered without the tables. Sets the request's detail where refused. */
static int link_plain(struct store_put *put, int *out_result)
{
    struct store *store = put->store;
    const struct header *header = &put->prepare.block.header;
    bool side = (put->prepare.put->flags & STOA_STORE_SIDE) != 0;
    if (payload_size(put) > ledger_payload_max(store->ledger)) {
        *out_result =
            error_set(&put->request->detail, STOA_ETOOBIG,
                      "block %llu: %llu bytes; at most %llu fit a frame here",
                      (unsigned long long)header->number, (unsigned long long)payload_size(put),
                      (unsigned long long)ledger_payload_max(store->ledger));
        return LINK_REFUSED;
    }
    if (header->number > PLACE_HEIGHT_MAX ||
        put->prepare.block.transaction_count > PLACE_TRANSACTION_INDEX_MAX) {
        *out_result = error_set(&put->request->detail, STOA_ETOOBIG,
                                "number: heights up to 2^40 and 2^24 transactions are kept");
        return LINK_REFUSED;
    }
    if (side) {
        return LINK_LOOKUP;
    }
    if (!store->tip.present) {
        *out_result = check_genesis(put);
        return *out_result == 0 ? LINK_APPEND : LINK_REFUSED;
    }
    if (store->tip.damaged) {
        *out_result = error_set(&put->request->detail, STOA_ECORRUPT,
                                "the newest block, height %llu, is damaged: repair it first",
                                (unsigned long long)store->tip.height);
        return LINK_REFUSED;
    }
    if (memcmp(header->parent_hash, store->tip.hash, 32) == 0 && !may_be_aside(put)) {
        *out_result = check_number(put, store->tip.height);
        return *out_result == 0 ? LINK_APPEND : LINK_REFUSED;
    }
    return LINK_LOOKUP;
}

/* Whether PUT's parent is the tip, and it is to become the next tip. */
static bool is_next(const struct store_put *put)
{
    const struct store_tip *tip = &put->store->tip;
    return (put->prepare.put->flags & STOA_STORE_SIDE) == 0 && tip->present && !tip->damaged &&
           memcmp(put->prepare.block.header.parent_hash, tip->hash, 32) == 0;
}

/* With the answer of the lookup. 0: it can be stored; as a side block where it is not next. */
static int link_looked_up(struct store_put *put)
{
    if (put->lookup_result != 0) {
        put->request->detail = put->prepare.detail;
        return put->lookup_result;
    }
    uint64_t number = put->prepare.block.header.number;
    if (put->known) {
        return error_set(&put->request->detail, STOA_EEXISTS, "block %llu is stored already",
                         (unsigned long long)number);
    }
    if (!put->parent_known) {
        return refuse_parent(put, "which is not stored");
    }
    int result = check_number(put, put->parent.height);
    if (result != 0) {
        return result;
    }
    if ((put->prepare.put->flags & (STOA_STORE_SIDE | STOA_STORE_CANONICAL)) == 0 &&
        !is_next(put)) {
        char text[96];
        snprintf(text, sizeof(text), "which is not the head (height %llu)",
                 (unsigned long long)put->store->tip.height);
        return refuse_parent(put, text);
    }
    return 0;
}

static void done_lookup(struct workers_job *job)
{
    struct store_put *put = job->context;
    put->looking = false;
    store_note_tables(put->store, put->lookup_result);
    store_put_advance(put->store);
}

static void start_lookup(struct store_put *put)
{
    struct store *store = put->store;
    struct index_place place;
    put->looking = true;
    put->lookup_failures = store->append_failures;
    (void)store_settle(store); /* where it fails no put goes on */
    put->known = find_recent(store, put->prepare.block.hash, &place);
    put->parent_known = find_recent(store, put->prepare.block.header.parent_hash, &put->parent);
    put->lookup_job = (struct workers_job){
        .run = run_lookup, .done = done_lookup, .context = put, .kind = METRICS_JOB_LOOKUP};
    workers_submit(store->readers, &put->lookup_job);
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
    if (store->appended.first != NULL || store_tries_merging(store)) {
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
        int link = link_plain(put, &result);
        if (link == LINK_LOOKUP) {
            start_lookup(put);
        } else if (link == LINK_APPEND) {
            append_next(store, put);
        } else {
            store_put_finish_first(put, result);
        }
        return;
    }
    result = link_looked_up(put);
    if (result == 0 && is_next(put)) {
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

static struct store_put *take_put(struct store *store)
{
    struct store_put *put = store->put_pool;
    if (put != NULL) {
        store->put_pool = put->next;
        return put;
    }
    put = memory_alloc_zeroed(1, sizeof(*put));
    if (put != NULL) {
        prepare_init(&put->prepare);
        put->store = store;
    }
    return put;
}

void store_put_submit(struct store *store, struct store_request *request)
{
    struct store_put *put = take_put(store);
    if (put == NULL) {
        store_finish_request(store, request, STOA_ENOMEM);
        return;
    }
    request->work = put;
    put->request = request;
    put->canceled = 0;
    put->begun = false;
    put->rooted = false;
    put->verified = false;
    put->looking = false;
    put->known = false;
    put->parent_known = false;
    put->lookup_job.context = NULL;
    put->side = false;
    put->update = request->kind == STORE_UPDATE_STATE;
    put->members = NULL;
    put->prepare.put = &request->put;
    put->prepare.chain_id = store->identity.chain_id;
    put->prepare.detail.code = 0;
    put->prepare.detail.text[0] = '\0';
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
    if (request->kind != STORE_PUT_BLOCK || prepared) {
        put->verified = true;
        store_put_advance(store);
        return;
    }
    put->verify_job = (struct workers_job){
        .run = run_verify, .done = done_verify, .context = put, .kind = METRICS_JOB_VERIFY};
    workers_submit(store->verifiers, &put->verify_job);
}
