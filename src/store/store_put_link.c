/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A block's place among those that are there: is its parent the tip, or stored; is it stored
 * itself? */
#include <stdio.h>

#include "base/ensure.h"
#include "store/store_private.h"

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

int store_put_link_ask_tables(struct store_put *put, struct kv_session *session,
                              struct error_detail *detail)
{
    struct index *index = put->store->index;
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
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* Not the plain case: is the block stored already, is its parent? */
static void run_lookup(struct workers_job *job, void *worker_state)
{
    struct store_put *put = job->context;
    put->lookup_result = store_put_link_ask_tables(put, worker_state, &put->prepare.detail);
}

int store_put_link_refuse_parent(const struct store_put *put, const char *why,
                                 struct error_detail *detail)
{
    char parent[65];
    bytes_to_hex(put->prepare.block.header.parent_hash, 32, parent);
    return error_set(detail, STOA_EREFUSED, "parentHash: block %llu names 0x%s, %s",
                     (unsigned long long)put->prepare.block.header.number, parent, why);
}

static int check_number(const struct store_put *put, uint64_t parent_height,
                        struct error_detail *detail)
{
    uint64_t number = put->prepare.block.header.number;
    if (number == parent_height + 1) {
        return 0;
    }
    return error_set(detail, STOA_EREFUSED, "number: %llu, but its parent has %llu",
                     (unsigned long long)number, (unsigned long long)parent_height);
}

int store_put_link_check_place(const struct store_put *put, struct error_detail *detail)
{
    if (put->known) {
        return error_set(detail, STOA_EEXISTS, "block %llu is stored already",
                         (unsigned long long)put->prepare.block.header.number);
    }
    return put->parent_known ? check_number(put, put->parent.height, detail)
                             : store_put_link_refuse_parent(put, "which is not stored", detail);
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

int store_put_link_check_size(const struct store_put *put, struct error_detail *detail)
{
    uint64_t size = payload_size(put);
    uint64_t most = ledger_payload_max(put->store->ledger);
    uint64_t number = put->prepare.block.header.number;
    if (size > most) {
        return error_set(
            detail, STOA_ETOOBIG, "block %llu: %llu bytes; at most %llu fit a frame here",
            (unsigned long long)number, (unsigned long long)size, (unsigned long long)most);
    }
    if (number > PLACE_HEIGHT_MAX ||
        put->prepare.block.transaction_count > PLACE_TRANSACTION_INDEX_MAX) {
        return error_set(detail, STOA_ETOOBIG,
                         "number: heights up to 2^40 and 2^24 transactions are kept");
    }
    return 0;
}

/* A child of the tip is new, unless it was stored as a side block before: whether it may have been.
 */
static bool may_be_aside(const struct store_put *put)
{
    const struct store *store = put->store;
    return store->appended_sides != 0 || branches_count(store->branches) == BRANCHES_MAX ||
           branches_find(store->branches, put->prepare.block.hash) != NULL;
}

/* The plain cases, answered without the tables. Sets the request's detail where refused. */
enum store_put_link store_put_link_plain(struct store_put *put, int *out_result)
{
    struct store *store = put->store;
    const struct header *header = &put->prepare.block.header;
    bool side = (put->prepare.put->flags & STOA_STORE_SIDE) != 0;
    *out_result = store_put_link_check_size(put, &put->request->detail);
    if (*out_result != 0) {
        return STORE_PUT_REFUSED;
    }
    if (side) {
        return STORE_PUT_LOOK_UP;
    }
    if (!store->tip.present) {
        *out_result = check_genesis(put);
        return *out_result == 0 ? STORE_PUT_APPEND : STORE_PUT_REFUSED;
    }
    if (store->tip.damaged) {
        *out_result = error_set(&put->request->detail, STOA_ECORRUPT,
                                "the newest block, height %llu, is damaged: repair it first",
                                (unsigned long long)store->tip.height);
        return STORE_PUT_REFUSED;
    }
    if (memcmp(header->parent_hash, store->tip.hash, 32) == 0 && !may_be_aside(put)) {
        *out_result = check_number(put, store->tip.height, &put->request->detail);
        return *out_result == 0 ? STORE_PUT_APPEND : STORE_PUT_REFUSED;
    }
    return STORE_PUT_LOOK_UP;
}

/* Whether PUT's parent is the tip, and it is to become the next tip. */
bool store_put_link_is_next(const struct store_put *put)
{
    const struct store_tip *tip = &put->store->tip;
    return (put->prepare.put->flags & STOA_STORE_SIDE) == 0 && tip->present && !tip->damaged &&
           memcmp(put->prepare.block.header.parent_hash, tip->hash, 32) == 0;
}

/* With the answer of the lookup. 0: it can be stored; as a side block where it is not next. */
int store_put_link_looked_up(struct store_put *put)
{
    if (put->lookup_result != 0) {
        put->request->detail = put->prepare.detail;
        return put->lookup_result;
    }
    int result = store_put_link_check_place(put, &put->request->detail);
    if (result != 0) {
        return result;
    }
    if ((put->prepare.put->flags & (STOA_STORE_SIDE | STOA_STORE_CANONICAL)) == 0 &&
        !store_put_link_is_next(put)) {
        char text[96];
        snprintf(text, sizeof(text), "which is not the head (height %llu)",
                 (unsigned long long)put->store->tip.height);
        return store_put_link_refuse_parent(put, text, &put->request->detail);
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

void store_put_link_look_up(struct store_put *put)
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
