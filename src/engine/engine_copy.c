/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A request that may be answered while the store still works on it must not point into its caller's
 * memory. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/block.h"
#include "chain/rlp.h"
#include "engine/engine_private.h"

/* How many transactions BLOCK has: as many as can be read of it; verification says what is wrong
 * with it. */
static size_t count_transactions(struct stoa_bytes block)
{
    struct bytes cursor = bytes_of(block.data, block.size);
    struct bytes fields;
    struct bytes transactions;
    struct bytes envelope;
    struct rlp_item header;
    size_t count = 0;
    if (rlp_read_list(&cursor, &fields, NULL) != 0 || rlp_read(&fields, &header, NULL) != 0 ||
        rlp_read_list(&fields, &transactions, NULL) != 0) {
        return 0;
    }
    while (transactions.size != 0 && block_next_transaction(&transactions, &envelope, NULL) == 0) {
        count++;
    }
    return count;
}

static size_t size_of(const struct stoa_store_block *put, size_t senders_size)
{
    size_t size = put->change_count * sizeof(*put->changes) + put->block.size + put->receipts.size +
                  put->envelope.size + senders_size + (put->expected_hash != NULL ? 32 : 0) +
                  (put->envelope_hash != NULL ? 32 : 0);
    size += put->code_count * sizeof(*put->codes) + put->account_count * sizeof(*put->accounts) +
            put->slot_count * sizeof(*put->slots);
    for (size_t i = 0; i < put->code_count; i++) {
        size += put->codes[i].size;
    }
    for (size_t i = 0; i < put->change_count; i++) {
        size += put->changes[i].key.size + put->changes[i].value.size;
    }
    return size;
}

/* SIZE bytes of FROM, which may be NULL, to *AT. */
static const uint8_t *move(uint8_t **at, const uint8_t *from, size_t size)
{
    if (from == NULL) {
        return NULL;
    }
    uint8_t *to = *at;
    if (size != 0) {
        memcpy(to, from, size);
    }
    *at += size;
    return to;
}

static size_t senders_size_of(const struct stoa_store_block *put)
{
    return put->senders == NULL ? 0 : 20 * count_transactions(put->block);
}

/* All that PUT points at to *AT, which is aligned for anything, and is left at the end. */
static void move_put(struct stoa_store_block *put, uint8_t **to)
{
    static_assert(sizeof(struct stoa_change) % _Alignof(struct stoa_bytes) == 0 &&
                      sizeof(struct stoa_bytes) % _Alignof(struct stoa_account_change) == 0,
                  "arrays stand behind each other");
    static_assert(_Alignof(struct stoa_slot_change) == 1, "it stands anywhere");
    size_t senders_size = senders_size_of(put);
    struct stoa_change *changes = (void *)*to;
    struct stoa_bytes *codes = (struct stoa_bytes *)(changes + put->change_count);
    uint8_t *at = (uint8_t *)(codes + put->code_count);
    put->accounts = (const void *)move(&at, (const uint8_t *)put->accounts,
                                       put->account_count * sizeof(*put->accounts));
    put->slots =
        (const void *)move(&at, (const uint8_t *)put->slots, put->slot_count * sizeof(*put->slots));
    for (size_t i = 0; i < put->code_count; i++) {
        codes[i] = put->codes[i];
        codes[i].data = move(&at, codes[i].data, codes[i].size);
    }
    put->codes = put->code_count == 0 ? NULL : codes;
    for (size_t i = 0; i < put->change_count; i++) {
        changes[i] = put->changes[i];
        changes[i].key.data = move(&at, changes[i].key.data, changes[i].key.size);
        changes[i].value.data = move(&at, changes[i].value.data, changes[i].value.size);
    }
    put->changes = put->change_count == 0 ? NULL : changes;
    put->block.data = move(&at, put->block.data, put->block.size);
    put->receipts.data = move(&at, put->receipts.data, put->receipts.size);
    put->envelope.data = move(&at, put->envelope.data, put->envelope.size);
    put->senders = move(&at, put->senders, senders_size);
    put->expected_hash = move(&at, put->expected_hash, 32);
    put->envelope_hash = move(&at, put->envelope_hash, 32);
    *to = at;
}

static int copy_put(struct engine_request *own)
{
    struct stoa_store_block *put = &own->request.put;
    own->copy_size = size_of(put, senders_size_of(put));
    own->copy = memory_alloc(own->copy_size + 1); /* a copy of nothing has a place, too */
    if (own->copy == NULL) {
        return STOA_ENOMEM;
    }
    uint8_t *at = own->copy;
    move_put(put, &at);
    ensure((size_t)(at - (uint8_t *)own->copy) == own->copy_size);
    return 0;
}

enum { COPY_ALIGNMENT = 16 };

static size_t align(size_t size)
{
    return (size + COPY_ALIGNMENT - 1) & ~(size_t)(COPY_ALIGNMENT - 1);
}

/* The blocks' array is OWN's already; then come the keys, and the head's hash. */
static int copy_batch(struct engine_request *own)
{
    struct stoa_store_block *put = &own->request.put;
    struct store_batch *batch = &own->batch;
    size_t size = align(size_of(put, 0)) + 32;
    for (size_t i = 0; i < batch->block_count; i++) {
        size += align(size_of(&own->blocks[i], senders_size_of(&own->blocks[i])));
    }
    own->copy_size = size;
    own->copy = memory_alloc(size);
    if (own->copy == NULL) {
        return STOA_ENOMEM;
    }
    uint8_t *at = own->copy;
    move_put(put, &at);
    for (size_t i = 0; i < batch->block_count; i++) {
        at = (uint8_t *)own->copy + align((size_t)(at - (uint8_t *)own->copy));
        move_put(&own->blocks[i], &at);
    }
    batch->head = move(&at, batch->head, 32);
    ensure((size_t)(at - (uint8_t *)own->copy) <= own->copy_size);
    return 0;
}

static int copy_filter(struct engine_request *own)
{
    struct stoa_log_filter *filter = &own->request.log_filter;
    bool valid = filter->topic_count <= 4 && filter->address_count <= STOA_LOG_ALTERNATIVES_MAX &&
                 (filter->address_count == 0 || filter->addresses != NULL);
    size_t size = 20 * filter->address_count + 32;
    for (unsigned i = 0; valid && i < filter->topic_count; i++) {
        const struct stoa_topics *place = &filter->topics[i];
        valid = place->count <= STOA_LOG_ALTERNATIVES_MAX &&
                (place->count == 0 || place->topics != NULL);
        size += 32 * place->count;
    }
    if (!valid) {
        return STOA_EINVAL;
    }
    own->copy_size = size;
    own->copy = memory_alloc(size);
    if (own->copy == NULL) {
        return STOA_ENOMEM;
    }
    uint8_t *at = own->copy;
    filter->addresses = move(&at, filter->addresses, 20 * filter->address_count);
    filter->block_hash = move(&at, filter->block_hash, 32);
    for (unsigned i = 0; i < filter->topic_count; i++) {
        struct stoa_topics *place = &filter->topics[i];
        place->topics = move(&at, place->topics, 32 * place->count);
    }
    return 0;
}

int engine_copy_arguments(struct engine_request *own)
{
    int result = 0;
    switch (own->request.kind) {
    case STORE_PUT_BLOCK:
    case STORE_UPDATE_STATE:
    case STORE_RECEIPTS:
        result = copy_put(own);
        own->owned = result == 0;
        break;
    case STORE_BATCH:
        result = copy_batch(own);
        own->owned = result == 0;
        break;
    case STORE_QUERY_LOGS:
        result = copy_filter(own);
        own->owned = result == 0;
        break;
    case STORE_QUERY_HISTORY:
    case STORE_GET_RANGE:
    case STORE_GET_HEADERS:
    case STORE_BLOCK_EXISTS:
    case STORE_GET_BLOCK:
    case STORE_GET_TRANSACTION:
    case STORE_GET_STATE:
    case STORE_GET_ACCOUNT:
    case STORE_GET_STORAGE:
    case STORE_GET_CODE:
    case STORE_GET_PROOF:
    case STORE_GET_STATE_ROOT:
    case STORE_CHECKPOINT:
    case STORE_UPDATE_HEAD:
    case STORE_SET_SAFE:
    case STORE_SET_FINALIZED:
        own->owned = true; /* all is in the request */
        break;
    }
    return result;
}
