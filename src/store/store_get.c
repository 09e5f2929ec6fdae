/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A read's way: the pending batches answer at once where they can; else a worker asks the tables;
 * then one direct read fetches the frame, and its checksum, hash and place are compared before
 * anything is handed out. Parts of a frame: store_get_parts.c. */
#include "base/ensure.h"
#include "base/memory.h"
#include "chain/block.h"
#include "chain/receipt.h"
#include "store/hot_places.h"
#include "store/position.h"
#include "store/store_private.h"

static struct store_get *take_get(struct store *store)
{
    struct store_get *get = store->get_pool;
    if (get != NULL) {
        store->get_pool = get->next;
        *get = (struct store_get){.store = store, .made_next = get->made_next};
        return get;
    }
    get = memory_alloc_zeroed(1, sizeof(*get));
    if (get != NULL) {
        get->store = store;
        get->made_next = store->gets_made;
        store->gets_made = get;
    }
    return get;
}

struct stoa_view *store_view_take(struct store *store)
{
    struct stoa_view *view = store->view_pool;
    if (view != NULL) {
        store->view_pool = view->next;
    } else {
        view = memory_alloc_zeroed(1, sizeof(*view));
        if (view != NULL) {
            view->made_next = store->views_made;
            store->views_made = view;
        }
    }
    if (view != NULL) {
        view->store = store;
        store->views_out++;
    }
    return view;
}

static void put_view(struct stoa_view *view)
{
    struct store *store = view->store;
    ensure(store->views_out > 0);
    store->views_out--;
    view->next = store->view_pool;
    store->view_pool = view;
}

void store_view_release(struct stoa_view *view)
{
    if (hot_is_view(view)) {
        hot_release(view);
    } else if (view != NULL) {
        ledger_read_release(&view->read);
        put_view(view);
    }
}

void store_get_free_pool(struct store *store)
{
    while (store->gets_made != NULL) {
        struct store_get *next = store->gets_made->made_next;
        store_state_forget(store->gets_made);
        memory_free(store->gets_made);
        store->gets_made = next;
    }
    while (store->views_made != NULL) {
        struct stoa_view *next = store->views_made->made_next;
        memory_free(store->views_made);
        store->views_made = next;
    }
    store->get_pool = NULL;
    store->view_pool = NULL;
}

void store_get_finish(struct store_get *get, int result)
{
    struct store *store = get->store;
    struct store_request *request = get->request;
    if (request->kind == STORE_GET_STATE && request->query.height == STOA_AT_HEAD) {
        store_cache_fill_state(get, result);
    }
    get->next = store->get_pool;
    store->get_pool = get;
    store_finish_request(store, request, result);
}

static struct bytes item_at(struct bytes cursor, uint32_t wanted,
                            int (*next)(struct bytes *cursor, struct bytes *out_item,
                                        struct error_detail *detail))
{
    struct bytes item = bytes_of(NULL, 0);
    for (uint32_t i = 0; i <= wanted; i++) {
        if (next(&cursor, &item, NULL) != 0) {
            return bytes_of(NULL, 0);
        }
    }
    return item;
}

static struct stoa_bytes public_bytes(struct bytes bytes)
{
    return (struct stoa_bytes){bytes.data, bytes.size};
}

static void fill_block(const struct record *record, struct store_get *get, uint64_t height,
                       struct stoa_block *out)
{
    hot_show_block(record, height, get->canonical, get->view, out);
    store_hide_pruned(get->store, out);
    out->receipts_pruned |= (record->gone & RECORD_GONE_RECEIPTS) != 0;
}

/* The parts of a block record that a transaction's answer needs. False: this is not the transaction
 * that was asked for. */
static bool fill_transaction(const struct record *record, struct store_get *get,
                             const struct index_transaction *place)
{
    struct store_request *request = get->request;
    uint32_t index = place->index;
    struct rlp_item header;
    struct bytes block;
    struct bytes transactions;
    struct bytes cursor = record->block;
    if (rlp_read_list(&cursor, &block, NULL) != 0 || rlp_read(&block, &header, NULL) != 0 ||
        rlp_read_list(&block, &transactions, NULL) != 0) {
        return false;
    }
    struct bytes envelope = item_at(transactions, index, block_next_transaction);
    uint8_t hash[32];
    if (envelope.data == NULL) {
        return false;
    }
    transaction_hash(envelope, hash);
    if (memcmp(hash, request->hash, 32) != 0) {
        return false;
    }
    struct stoa_transaction *out = &request->transaction;
    *out = (struct stoa_transaction){.index = index, .transaction = public_bytes(envelope)};
    fill_block(record, get, place->height, &out->block);
    memcpy(out->hash, hash, 32);
    if (out->block.receipts.data != NULL) {
        struct bytes receipts;
        cursor = record->receipts;
        if (rlp_read_list(&cursor, &receipts, NULL) == 0) {
            out->receipt = public_bytes(item_at(receipts, index, receipt_next));
        }
    }
    if (out->block.senders.data != NULL) {
        out->sender = out->block.senders.data + (size_t)20 * index;
    }
    return true;
}

static void start(struct store_get *get);

enum { TRIES_MAX = 100 };

/* The canonical chain changed, or reached the tables, while this was read: it may be of the old
 * branch, or found nothing because it looked at both. */
bool store_get_is_outdated(const struct store_get *get)
{
    return get->epoch != get->store->branch_epoch;
}

void store_get_start_again(struct store_get *get)
{
    struct store_request *request = get->request;
    request->detail.code = 0;
    request->detail.text[0] = '\0';
    if (++get->tries == TRIES_MAX) {
        store_get_finish(
            get, error_set(&request->detail, STOA_EBUSY, "the canonical chain keeps changing"));
        return;
    }
    get->candidate_count = 0;
    get->candidate_next = 0;
    get->from_tables = false;
    get->parts = (struct index_parts){.known = false};
    get->whole = false;
    start(get);
}

/* Of a block to be kept its transactions are known as well. */
static void run_places(struct workers_job *job, void *worker_state)
{
    struct store_get *get = job->context;
    struct record record;
    (void)worker_state; /* hashing needs none */
    buffer_init(&get->places);
    if (record_decode(get->view->read.payload, &record, NULL) != 0 ||
        hot_places_of_record(&record, &get->places) != 0) {
        buffer_clear(&get->places); /* then the tables know them */
    }
}

static void done_places(struct workers_job *job)
{
    struct store_get *get = job->context;
    store_cache_fill_places(get);
    buffer_deinit(&get->places);
    store_get_finish(get, 0);
}

int store_decode_read(const struct ledger_read *read, struct record *out_record,
                      struct error_detail *detail)
{
    if (read->kind != LEDGER_BLOCK) {
        return error_set(detail, STOA_ECORRUPT,
                         "tables: frame %llu is not a block, though an index says so",
                         (unsigned long long)read->position.sequence);
    }
    if (read->front == 0) {
        return record_decode(read->payload, out_record, detail);
    }
    int result = record_decode_front(read->payload, out_record, detail);
    if (result != 0) {
        error_prefix(detail, "%08u.seg: offset %u: sequence %llu: height %llu",
                     read->position.segment, read->position.offset,
                     (unsigned long long)read->position.sequence, (unsigned long long)read->height);
    }
    return result;
}

void store_get_done_read(struct ledger_read *read)
{
    struct store_get *get = read->context;
    struct store_request *request = get->request;
    struct record record;
    int result = read->result;
    if (store_get_is_outdated(get)) {
        store_view_release(get->view);
        store_get_start_again(get);
        return;
    }
    if (result != 0) {
        request->detail = read->detail;
        store_view_release(get->view);
        store_get_finish(get, result);
        return;
    }
    result = store_decode_read(read, &record, &request->detail);
    if (result == 0 && !request->header_only) {
        result = store_refuse_lost(&record, read->height, &request->detail);
    }
    if (result != 0) {
        store_view_release(get->view);
        store_get_finish(get, result);
        return;
    }
    if (request->kind == STORE_GET_BLOCK) {
        fill_block(&record, get, read->height, &request->block);
        if (request->header_only || request->keep) {
            store_cache_fill_header(get, &record);
        }
        if (request->header_only || read->front != 0 || read->height < get->store->kept.receipts) {
            store_get_finish(get, 0); /* the cache has whole records */
            return;
        }
        if (store_cache_fill_block(get, &record) && request->keep && get->canonical) {
            get->job = (struct workers_job){
                .run = run_places, .done = done_places, .context = get, .kind = METRICS_JOB_INDEX};
            workers_submit(get->store->verifiers, &get->job);
            return;
        }
        store_get_finish(get, 0); /* not in the cache: it is read again */
        return;
    }
    if (fill_transaction(&record, get, &get->candidates[get->candidate_next])) {
        if (get->view->read.height >= get->store->kept.receipts) {
            store_cache_fill_transaction(get, &record);
        }
        store_get_finish(get, 0);
        return;
    }
    store_view_release(get->view);
    get->candidate_next++;
    store_get_next_candidate(get);
}

enum { FRONT_LEAST_SAVED = 4096 };

/* How much of the frame that PLACE names is read; 0: all. FRONT is what precedes the receipts. */
static uint32_t front_to_read(struct store_get *get, const struct ledger_position *position,
                              uint32_t front)
{
    const struct store_request *request = get->request;
    bool alone = request->kind == STORE_GET_BLOCK && request->key.alone && !request->keep;
    return alone && front != 0 && position->size > front + FRONT_LEAST_SAVED &&
                   !store_cache_wants_block(get, position->size)
               ? front
               : 0;
}

static void start_read(struct store_get *get, const struct ledger_position *position,
                       uint32_t front)
{
    get->view = store_view_take(get->store);
    if (get->view == NULL) {
        store_get_finish(get, error_set(&get->request->detail, STOA_ENOMEM, "read a block"));
        return;
    }
    get->view->read = (struct ledger_read){.position = *position,
                                           .front = front_to_read(get, position, front),
                                           .done = store_get_done_read,
                                           .context = get};
    ledger_read(get->store->ledger, &get->view->read);
}

/* The transaction that the tables led to, where its block is in the cache for another's sake. */
static bool show_cached(struct store_get *get)
{
    const struct index_transaction *candidate = &get->candidates[get->candidate_next];
    const struct index_parts *parts = &get->parts;
    struct cache *cache = get->store->cache;
    struct cache_hit hit;
    struct bytes payload;
    struct record record;
    if (cache == NULL || parts->position.sequence == 0 ||
        !position_is_same(&candidate->position, &parts->position) ||
        candidate->height < get->store->kept.receipts ||
        !cache_peek(cache, CACHE_BLOCKS, bytes_of(parts->hash, 32), &hit)) {
        return false; /* to peek is no miss */
    }
    cache_release(hit.object);
    if ((hit.flags & CACHE_FLAG_PACKED) != 0 ||
        !hot_get_record(cache, parts->hash, &payload, &get->view)) {
        return false;
    }
    if (record_decode(payload, &record, NULL) != 0 || !fill_transaction(&record, get, candidate)) {
        hot_release(get->view);
        return false;
    }
    store_cache_fill_place(get, parts->hash, payload, candidate->height);
    store_get_finish(get, 0);
    return true;
}

/* Read the next place where the transaction may be; the tables are asked when the pending ones are
 * used up. */
void store_get_next_candidate(struct store_get *get)
{
    if (get->candidate_next < get->candidate_count) {
        const struct ledger_position *position = &get->candidates[get->candidate_next].position;
        get->canonical = true;
        if (!show_cached(get) && !store_get_read_parts(get, position)) {
            start_read(get, position, 0);
        }
    } else if (!get->from_tables) {
        store_get_ask_tables(get);
    } else if (get->store->kept.transactions == 0) {
        store_get_finish(get, STOA_ENOTFOUND);
    } else { /* it may have been in what is not kept */
        store_get_finish(
            get, error_set(&get->request->detail, STOA_ENOTFOUND,
                           "transactions of blocks %llu to %llu can be found: it is not of these",
                           (unsigned long long)get->store->kept.transactions,
                           (unsigned long long)get->store->head.height));
    }
}

static void run_lookup(struct workers_job *job, void *worker_state)
{
    struct store_get *get = job->context;
    struct store_request *request = get->request;
    struct index *index = get->store->index;
    struct error_detail *detail = &request->detail;
    uint8_t hash[32];
    bool block = request->kind == STORE_GET_BLOCK || request->kind == STORE_BLOCK_EXISTS;
    if (request->kind == STORE_GET_TRANSACTION) {
        get->lookup_result =
            index_find_transaction(index, worker_state, request->hash, get->candidates,
                                   &get->candidate_count, store_get_ask_parts(get), detail);
    } else if (block && request->key.by == STOA_BY_HEIGHT) {
        get->lookup_result =
            index_find_height(index, worker_state, request->key.height, hash, &get->place, detail);
    } else if (block) {
        get->lookup_result =
            index_find_hash(index, worker_state, request->key.hash, &get->place, detail);
    } else {
        get->lookup_result = store_state_look_up(get, worker_state);
    }
}

/* What the tables say of heights that the pending batches settle is old, unless it is the same
 * block: an update of its state, or its receipts, brought that back into a batch. */
static int sift_candidates(struct store_get *get)
{
    size_t kept = 0;
    int settled_all = store_settle(get->store);
    if (settled_all != 0) {
        get->request->detail = get->store->failed_detail;
        return settled_all;
    }
    for (size_t i = 0; i < get->candidate_count; i++) {
        const struct index_transaction *candidate = &get->candidates[i];
        bool settled;
        const struct pending_block *block =
            store_find_pending_height(get->store, candidate->height, &settled);
        bool same = block != NULL && (position_is_same(&block->position, &candidate->position) ||
                                      (block->replaced.sequence != 0 &&
                                       position_is_same(&block->replaced, &candidate->position)));
        if ((settled && !same) || candidate->height < get->store->kept.transactions) {
            continue;
        }
        if (candidate->position.sequence == 0) {
            return error_set(&get->request->detail, STOA_ECORRUPT,
                             "tables: a transaction names height %llu, which is not there",
                             (unsigned long long)candidate->height);
        }
        get->candidates[kept] = *candidate;
        if (settled) {
            get->candidates[kept].position = block->position;
        }
        kept++;
    }
    get->candidate_count = kept;
    return 0;
}

static void done_lookup(struct workers_job *job)
{
    struct store_get *get = job->context;
    struct store_request *request = get->request;
    if (store_proof_is_wanted(get)) {
        store_tries_leave(get->store);
    }
    if (store_get_is_outdated(get)) {
        memory_free(request->proof);
        request->proof = NULL;
        store_state_forget(get);
        store_get_start_again(get);
        return;
    }
    if (get->lookup_result == 0 && request->kind == STORE_GET_TRANSACTION) {
        get->lookup_result = sift_candidates(get);
    }
    if (get->probe_count != 0) {
        get->lookup_result = store_state_check_kept(get, get->lookup_result);
    }
    store_note_tables(get->store, get->lookup_result);
    if (get->probe_count != 0) {
        store_get_finish(get, store_state_finish(get, get->lookup_result));
    } else if (get->lookup_result != 0 || request->kind == STORE_BLOCK_EXISTS) {
        store_get_finish(get, get->lookup_result);
    } else if (request->kind == STORE_GET_BLOCK) {
        get->canonical = get->place.canonical;
        int kept = request->header_only
                       ? 0
                       : store_check_body(get->store, get->place.height, &request->detail);
        if (kept != 0) {
            store_get_finish(get, kept);
            return;
        }
        start_read(get, &get->place.position, get->place.front);
    } else {
        store_get_next_candidate(get);
    }
}

void store_get_ask_tables(struct store_get *get)
{
    struct store *store = get->store;
    if (store->readers == NULL) { /* the tables could not be mended */
        if (store_proof_is_wanted(get)) {
            store_tries_leave(store);
        }
        get->request->detail = store->failed_detail;
        store_get_finish(get, store->apply_failed);
        return;
    }
    get->from_tables = true;
    get->candidate_count = 0;
    get->candidate_next = 0;
    get->job = (struct workers_job){
        .run = run_lookup, .done = done_lookup, .context = get, .kind = METRICS_JOB_LOOKUP};
    workers_submit(store->readers, &get->job);
}

static void get_block(struct store_get *get)
{
    const struct stoa_block_key *key = &get->request->key;
    const struct store *store = get->store;
    const struct pending_block *block;
    bool settled = false;
    if (key->by == STOA_BY_HASH) {
        block = store_find_pending_hash(store, key->hash);
    } else {
        block = store_find_pending_height(store, key->height, &settled);
        settled = settled || !store->head.present || key->height > store->head.height;
    }
    int kept = 0;
    if (get->request->kind == STORE_GET_BLOCK && !get->request->header_only && !settled &&
        key->by != STOA_BY_HASH) {
        kept = store_check_body(store, key->height, &get->request->detail);
    } else if (get->request->kind == STORE_GET_BLOCK && !get->request->header_only &&
               block != NULL) {
        kept = store_check_body(store, block->height, &get->request->detail);
    }
    if (kept != 0) {
        store_get_finish(get, kept);
    } else if (block != NULL && get->request->kind == STORE_BLOCK_EXISTS) {
        store_get_finish(get, 0);
    } else if (block != NULL) {
        get->canonical = !block->side;
        start_read(get, &block->position, block->front);
    } else if (settled) {
        store_get_finish(get, STOA_ENOTFOUND);
    } else {
        store_get_ask_tables(get);
    }
}

static bool is_listed(const struct store_get *get, uint64_t height, uint32_t index)
{
    for (size_t i = 0; i < get->candidate_count; i++) {
        if (get->candidates[i].height == height && get->candidates[i].index == index) {
            return true;
        }
    }
    return false;
}

/* An entry of a block that has left the chain may still be in an older batch. It does no harm: it
 * leads to the canonical block of that height, where another transaction is found. */
static void add_candidate(struct store_get *get, const struct pending_transaction *transaction)
{
    bool settled;
    const struct pending_block *block =
        store_find_pending_height(get->store, transaction->height, &settled);
    if (transaction->removed || block == NULL ||
        transaction->height < get->store->kept.transactions ||
        is_listed(get, transaction->height, transaction->index)) {
        return;
    }
    get->candidates[get->candidate_count++] = (struct index_transaction){
        .height = transaction->height,
        .index = transaction->index,
        .position = block->position,
    };
}

static void get_transaction(struct store_get *get)
{
    const struct store *store = get->store;
    uint64_t prefix = bytes_load_be64(get->request->hash);
    const struct pending *batch;
    for (unsigned i = 0; (batch = store_batch_at(store, i)) != NULL; i++) {
        const struct pending_transaction *transaction;
        size_t cursor = SIZE_MAX;
        while (get->candidate_count < INDEX_CANDIDATES_MAX &&
               (transaction = pending_find_transaction(batch, prefix, &cursor)) != NULL) {
            add_candidate(get, transaction);
        }
    }
    store_get_next_candidate(get);
}

static void get_state(struct store_get *get)
{
    int result;
    if (store_state_start(get, &result)) {
        store_get_finish(get, result);
    } else if (store_proof_is_wanted(get)) {
        store_proof_start(get);
    } else {
        store_get_ask_tables(get);
    }
}

static void start(struct store_get *get)
{
    struct store *store = get->store;
    struct store_request *request = get->request;
    int settled = store_settle(store);
    if (settled != 0) {
        request->detail = store->failed_detail;
        store_get_finish(get, settled);
        return;
    }
    get->epoch = store->branch_epoch;
    if (get->latest) {
        request->key.height = store->head.height;
    }
    store_cache_begin(get);
    if (store_packed_answer(get)) {
        return;
    }
    if (request->kind == STORE_GET_BLOCK || request->kind == STORE_BLOCK_EXISTS) {
        get_block(get);
    } else if (request->kind == STORE_GET_TRANSACTION) {
        get_transaction(get);
    } else {
        get_state(get);
    }
}

void store_get_submit(struct store *store, struct store_request *request)
{
    bool block = request->kind == STORE_GET_BLOCK || request->kind == STORE_BLOCK_EXISTS;
    bool latest = block && request->key.by == STOA_LATEST;
    if (latest && !store->head.present) {
        store_finish_request(store, request, STOA_ENOTFOUND);
        return;
    }
    struct store_get *get = take_get(store);
    if (get == NULL) {
        store_finish_request(store, request, STOA_ENOMEM);
        return;
    }
    if (latest) {
        request->key.by = STOA_BY_HEIGHT;
    }
    get->latest = latest;
    get->request = request;
    start(get);
}
