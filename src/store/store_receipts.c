/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Receipts of a block that was stored without them (StoreReceipts). The block is written once more
 * with its receipts, as one frame that names the one before (RECORD_AGAIN), and that is its place
 * from then on: so reading it stays one read, and whatever is done with blocks and their receipts
 * needs to know nothing of this. It costs the bytes of the block a second time, which only those
 * pay who bring receipts later.
 *
 * In the order of stores, alone, behind all that was appended: the block is looked up and read, its
 * receipts are checked against its header and its postings computed by workers, the frame is
 * appended, and when it is durable the new place and the postings are a batch of their own. Reads
 * that are under way begin again. */
#include "base/ensure.h"
#include "base/memory.h"
#include "chain/receipt.h"
#include "store/position.h"
#include "store/store_private.h"

struct receipts_change {
    struct store_put *put;
    struct pending_block block; /* as it is so far */
    bool known;                 /* its place is */
    struct workers_job job;
    struct ledger_read read;
    bool reading; /* the read holds memory */
    struct record record;
    struct ledger_append append;
    uint8_t header[RECORD_HEADER_SIZE];
    uint8_t previous[RECORD_PREVIOUS_SIZE];
    int result;
};

static void finish(struct receipts_change *change, int result)
{
    struct store_put *put = change->put;
    if (change->reading) {
        ledger_read_release(&change->read);
    }
    put->store->receipts = NULL;
    memory_free(change);
    store_put_finish_first(put, result);
}

void store_receipts_free(struct store *store)
{
    memory_free(store->receipts);
    store->receipts = NULL;
}

/* ---- taking in ---- */

int store_receipts_take_in(struct store *store, struct pending_block *block,
                           const struct ledger_position *position, const struct prepare *prepare)
{
    const struct posting without = {
        .prefix = posting_log_prefix(POSTING_PLACE_NO_RECEIPTS, bytes_of(NULL, 0)),
        .kind = POSTING_LOG,
    };
    struct pending_entries with = prepare_entries(prepare, bytes_of(NULL, 0));
    struct pending_entries entries[] = {
        {.postings = &without, .posting_count = 1, .removed = true},
        {.postings = with.postings, .posting_count = with.posting_count},
    };
    bool indexed = !block->side && !store->options.plain;
    block->replaced = block->position;
    block->position = *position;
    block->body_map = with.body_map;
    int result = store_apply_replace(store, block, entries, indexed ? 2 : 0);
    block->body_map = bytes_of(NULL, 0); /* the batch has a copy */
    if (result != 0) {
        return result;
    }
    if (store->top.height == block->height && memcmp(store->top.hash, block->hash, 32) == 0) {
        store->top.position = *position;
    }
    branches_set_position(store->branches, block->hash, position);
    store_cache_forget_block(store, block, buffer_bytes(&prepare->transaction_hashes));
    store->branch_epoch++;
    return 0;
}

static void done_append(struct ledger_append *append)
{
    struct receipts_change *change = append->context;
    struct store *store = change->put->store;
    struct store_request *request = change->put->request;
    int result = append->result;
    if (result != 0) {
        (void)ledger_stopped(store->ledger, &request->detail); /* says what failed first */
        finish(change, result);
        return;
    }
    store_apply_freeze(store);
    result =
        store_receipts_take_in(store, &change->block, &append->position, &change->put->prepare);
    if (result == 0) {
        store_apply_freeze(store);
    } else if (store->apply_failed == 0) {
        store->apply_failed =
            error_set(&store->failed_detail, result,
                      "receipts of block %llu are durable but not indexed: reopen",
                      (unsigned long long)change->block.height);
    }
    if (result != 0) {
        request->detail = store->failed_detail;
        result = store->apply_failed;
    }
    finish(change, result);
}

static void append(struct receipts_change *change)
{
    struct store_put *put = change->put;
    struct store *store = put->store;
    struct record record = change->record;
    const struct stoa_bytes *receipts = &put->request->put.receipts;
    record.flags |= RECORD_RECEIPTS | RECORD_AGAIN;
    record.receipts = bytes_of(receipts->data, receipts->size);
    record_encode_header(&record, record_block_sum(record.block), change->header);
    position_encode(&change->block.position, change->previous);
    change->append = (struct ledger_append){
        .kind = LEDGER_BLOCK,
        .height = change->block.height,
        .parts = {bytes_of(change->header, RECORD_HEADER_SIZE), record.block, record.receipts,
                  record.senders, record.envelope,
                  bytes_of(change->previous, RECORD_PREVIOUS_SIZE)},
        .part_count = 6,
        .done = done_append,
        .context = change,
    };
    put->request->appended = true;
    ledger_append(store->ledger, &change->append);
}

/* ---- checking ---- */

static int check_size(struct receipts_change *change)
{
    const struct store *store = change->put->store;
    struct store_request *request = change->put->request;
    uint64_t size =
        (uint64_t)change->read.payload.size + request->put.receipts.size + RECORD_PREVIOUS_SIZE;
    uint64_t most = ledger_payload_max(store->ledger);
    return size <= most ? 0
                        : error_set(&request->detail, STOA_ETOOBIG,
                                    "receipts: with its block %llu bytes; at most %llu fit a frame",
                                    (unsigned long long)size, (unsigned long long)most);
}

/* On a worker: the receipts against the block's header, and what the indexes need. */
static void run_check(struct workers_job *job, void *worker_state)
{
    struct receipts_change *change = job->context;
    struct store_request *request = change->put->request;
    struct prepare *prepare = &change->put->prepare;
    struct bytes receipts = bytes_of(request->put.receipts.data, request->put.receipts.size);
    (void)worker_state; /* hashing needs none */
    change->record.receipts = receipts;
    prepare->plain = false;
    prepare->keep_hashes = true;
    change->result = prepare_record(prepare, &change->record, &request->detail);
    if (change->result == 0 && (request->put.skip & STOA_SKIP_RECEIPTS) == 0) {
        change->result =
            receipt_check_list(&prepare->block.header, prepare->block.transactions,
                               prepare->block.transaction_count, receipts, &request->detail);
    }
    if (change->result == 0 && prepare_index(prepare, bytes_of(NULL, 0)) != 0) {
        request->detail = prepare->detail;
        change->result = prepare->result;
    }
    prepare->keep_hashes = false;
}

static void done_check(struct workers_job *job)
{
    struct receipts_change *change = job->context;
    int result = change->result == 0 ? check_size(change) : change->result;
    if (result != 0) {
        finish(change, result);
    } else {
        append(change);
    }
}

/* ---- finding ---- */

static void done_read(struct ledger_read *read)
{
    struct receipts_change *change = read->context;
    struct store *store = change->put->store;
    struct store_request *request = change->put->request;
    struct record *record = &change->record;
    int result = read->result;
    change->reading = true;
    if (result != 0) {
        request->detail = read->detail;
    } else if (read->kind != LEDGER_BLOCK) {
        result = error_set(&request->detail, STOA_ECORRUPT,
                           "tables: frame %llu is not a block, though an index says so",
                           (unsigned long long)read->position.sequence);
    } else {
        result = record_decode(read->payload, record, &request->detail);
    }
    if (result == 0) {
        result = store_check_receipts(store, change->block.height, &request->detail);
    }
    if (result == 0) {
        result = store_refuse_lost(record, change->block.height, &request->detail);
    }
    if (result == 0 && (record->flags & RECORD_RECEIPTS) != 0) {
        result = error_set(&request->detail, STOA_EEXISTS, "block %llu has its receipts",
                           (unsigned long long)change->block.height);
    }
    if (result != 0) {
        finish(change, result);
        return;
    }
    struct pending_block *block = &change->block;
    memcpy(block->hash, record->hash, 32);
    memcpy(block->total_difficulty, record->total_difficulty, 32);
    memcpy(block->envelope_hash, record->envelope_hash, 32);
    block->has_envelope = (record->flags & RECORD_ENVELOPE) != 0;
    block->front = record_front_size(record->block.size);
    struct header header;
    struct block decoded;
    result = block_decode(record->block, &decoded, &request->detail);
    if (result != 0) {
        finish(change, STOA_ECORRUPT);
        return;
    }
    header = decoded.header;
    memcpy(block->parent_hash, header.parent_hash, 32);
    memcpy(request->hash, record->hash, 32);
    request->height = block->height;
    change->job = (struct workers_job){
        .run = run_check, .done = done_check, .context = change, .kind = METRICS_JOB_VERIFY};
    workers_submit(store->verifiers, &change->job);
}

/* On a worker with a session. */
static void run_find(struct workers_job *job, void *worker_state)
{
    struct receipts_change *change = job->context;
    struct store_request *request = change->put->request;
    struct index *index = change->put->store->index;
    struct index_place place;
    change->result = 0;
    if (!change->known) {
        change->result = index_find_hash(index, worker_state, request->put.expected_hash, &place,
                                         &request->detail);
    }
    if (change->result == 0 && !change->known) {
        change->block = (struct pending_block){
            .height = place.height,
            .position = place.position,
            .state_position = place.state_position,
            .side = !place.canonical,
        };
    }
    if (change->result == 0) {
        change->result =
            index_anew_withdraw(index, worker_state, change->block.height, &request->detail);
    }
}

static void done_find(struct workers_job *job)
{
    struct receipts_change *change = job->context;
    struct store *store = change->put->store;
    store_note_tables(store, change->result);
    if (change->result != 0) {
        finish(change, change->result);
        return;
    }
    change->read = (struct ledger_read){
        .position = change->block.position, .done = done_read, .context = change};
    ledger_read(store->ledger, &change->read);
}

bool store_receipts_may_start(const struct store *store)
{
    return store_apply_has_room_apart(store);
}

void store_receipts_start(struct store_put *put)
{
    struct store *store = put->store;
    if (store->rebuild != NULL) {
        store_put_finish_first(
            put, error_set(&put->request->detail, STOA_EBUSY, "an index is being rebuilt"));
        return;
    }
    struct receipts_change *change = memory_alloc_zeroed(1, sizeof(*change));
    if (change == NULL) {
        store_put_finish_first(put, STOA_ENOMEM);
        return;
    }
    ensure(store->receipts == NULL);
    store->receipts = change;
    change->put = put;
    const struct pending_block *block =
        store_find_pending_hash(store, put->request->put.expected_hash);
    if (block != NULL) {
        change->known = true;
        change->block = *block;
    }
    change->job = (struct workers_job){
        .run = run_find, .done = done_find, .context = change, .kind = METRICS_JOB_LOOKUP};
    workers_submit(store->readers, &change->job);
}
