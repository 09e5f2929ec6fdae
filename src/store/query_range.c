/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks of the canonical chain by height, each the parent of the next; or their headers, copied
 * out, so that what was read is let go of page by page. */
#include "base/memory.h"
#include "store/store_query.h"

static const uint64_t answer_size_max = 64 << 20;

static int range_begin(struct store_query *query)
{
    static const struct stoa_cursor none;
    const struct stoa_block_range *range = &query->request->range;
    if (range->count < 1 || range->count > STOA_RANGE_MAX || range->from > PLACE_HEIGHT_MAX) {
        return error_set(&query->request->detail, STOA_EINVAL,
                         "range: %zu blocks; 1 to %d are allowed", range->count, STOA_RANGE_MAX);
    }
    query->size = 0;
    int result = store_query_set_range(query, range->from, range->from + range->count - 1, &none);
    if (result == 0 && !query->finished && query->kind == &query_range_kind &&
        !query->request->pruned_too) {
        result = store_check_body(query->store, range->from, &query->request->detail);
    }
    return result == 0 && query->finished ? STOA_ENOTFOUND : result;
}

static int range_page(struct store_query *query, struct kv_session *session)
{
    bool full = false;
    int result = 0;
    uint64_t height = query->spot >> 24;
    while (result == 0 && !full && height <= query->to) {
        result = store_query_add_slot(query, session, height, &full);
        height += result == 0;
    }
    query->spot = posting_stream_spot(height, 0);
    query->finished = height > query->to;
    return result;
}

static void fill(struct query_slot *slot, struct stoa_block *out)
{
    const struct record *record = &slot->record;
    *out = (struct stoa_block){
        .height = slot->height,
        .canonical = 1,
        .block = {record->block.data, record->block.size},
        .view = slot->view,
    };
    memcpy(out->hash, record->hash, 32);
    memcpy(out->total_difficulty, record->total_difficulty, 32);
    if ((record->flags & RECORD_RECEIPTS) != 0) {
        out->receipts = (struct stoa_bytes){record->receipts.data, record->receipts.size};
    }
    out->receipts_pruned = (record->gone & RECORD_GONE_RECEIPTS) != 0;
    if (out->receipts.data != NULL && slot->height < slot->query->kept.receipts) {
        out->receipts = (struct stoa_bytes){.data = NULL};
        out->receipts_pruned = 1;
    }
    if ((record->flags & RECORD_SENDERS) != 0) {
        out->senders = (struct stoa_bytes){record->senders.data, record->senders.size};
    }
    if ((record->flags & RECORD_ENVELOPE) != 0) {
        out->envelope = (struct stoa_bytes){record->envelope.data, record->envelope.size};
    }
}

static int range_judge(struct store_query *query)
{
    for (unsigned i = 0; i < query->slot_count; i++) {
        struct query_slot *slot = &query->slots[i];
        size_t count = query->answers.size / sizeof(struct stoa_block);
        if (count != 0 && query->size >= answer_size_max) {
            query->finished = true;
            return 0;
        }
        int result = store_query_slot_decode(slot);
        if (result != 0) {
            return result;
        }
        const struct stoa_block *blocks = (const void *)query->answers.data;
        if (count != 0 && memcmp(blocks[count - 1].hash, slot->block.header.parent_hash, 32) != 0) {
            return STOA_ECANCELED;
        }
        struct stoa_block block;
        fill(slot, &block);
        if (buffer_append(&query->answers, &block, sizeof(block)) != 0) {
            return STOA_ENOMEM;
        }
        slot->view = NULL; /* the answer's */
        query->size += slot->position.size;
    }
    return 0;
}

static int range_answer(struct store_query *query)
{
    struct store_request *request = query->request;
    size_t size = query->answers.size;
    struct stoa_block *blocks = memory_alloc(size);
    if (blocks == NULL) {
        return STOA_ENOMEM;
    }
    memcpy(blocks, query->answers.data, size);
    buffer_clear(&query->answers);
    request->blocks = blocks;
    request->block_count = size / sizeof(*blocks);
    return 0;
}

/* Where its bytes are, each header is told when all are gathered. */
static int headers_judge(struct store_query *query)
{
    for (unsigned i = 0; i < query->slot_count; i++) {
        struct query_slot *slot = &query->slots[i];
        int result = store_query_slot_decode(slot);
        if (result != 0) {
            return result;
        }
        const struct stoa_header *headers = (const void *)query->answers.data;
        size_t count = query->answers.size / sizeof(*headers);
        const struct header *header = &slot->block.header;
        if (count != 0 && memcmp(headers[count - 1].hash, header->parent_hash, 32) != 0) {
            return STOA_ECANCELED;
        }
        struct stoa_header answer = {
            .height = slot->height,
            .canonical = 1,
            .header = {.size = header->encoding.size},
        };
        memcpy(answer.hash, slot->record.hash, 32);
        memcpy(answer.total_difficulty, slot->record.total_difficulty, 32);
        if (buffer_append(&query->answers, &answer, sizeof(answer)) != 0 ||
            buffer_append(&query->bytes, header->encoding.data, header->encoding.size) != 0) {
            return STOA_ENOMEM;
        }
    }
    return 0;
}

static int headers_answer(struct store_query *query)
{
    size_t size = query->answers.size;
    struct stoa_header *headers = memory_alloc(size + query->bytes.size);
    if (headers == NULL) {
        return STOA_ENOMEM;
    }
    uint8_t *bytes = (uint8_t *)headers + size;
    memcpy(headers, query->answers.data, size);
    memcpy(bytes, query->bytes.data, query->bytes.size);
    size_t count = size / sizeof(*headers);
    for (size_t i = 0; i < count; i++) {
        headers[i].header.data = bytes;
        bytes += headers[i].header.size;
    }
    query->request->headers = (struct stoa_headers){headers, count};
    return 0;
}

const struct store_query_kind query_headers_kind = {
    .begin = range_begin,
    .page = range_page,
    .judge = headers_judge,
    .answer = headers_answer,
};

const struct store_query_kind query_range_kind = {
    .begin = range_begin,
    .page = range_page,
    .judge = range_judge,
    .answer = range_answer,
};
