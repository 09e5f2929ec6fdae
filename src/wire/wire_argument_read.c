/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "chain/rlp.h"
#include "wire/wire_argument.h"
#include "wire/wire_argument_private.h"

enum { ARENA_FACTOR = 8, ARENA_FREE = 65536 };

struct reading {
    struct arena *arena;
    uint64_t budget;
    struct error_detail *detail;
};

/* Room for as many objects of SIZE as the list PAYLOAD has items; NULL for none. */
static int make_array(struct reading *reading, struct bytes payload, size_t size, void **out_array,
                      size_t *out_count)
{
    size_t count;
    int result = rlp_count(payload, &count, reading->detail);
    if (result != 0) {
        return result;
    }
    *out_array = NULL;
    *out_count = count;
    if (count == 0) {
        return 0;
    }
    if (count > reading->budget / size) {
        return error_set(reading->detail, STOA_ETOOBIG, "too many items for a frame of its size");
    }
    reading->budget -= count * size;
    *out_array = arena_alloc(reading->arena, count * size);
    if (*out_array == NULL) {
        return error_set(reading->detail, STOA_ENOMEM, "a list");
    }
    memset(*out_array, 0, count * size);
    return 0;
}

/* 32 bytes, or NULL. */
static int read_optional_hash(struct bytes *cursor, const uint8_t **out,
                              struct error_detail *detail)
{
    struct stoa_bytes string;
    int result = wire_field_read_rest(cursor, &string, detail);
    if (result == 0 && string.data != NULL && string.size != 32) {
        result = error_set(detail, STOA_EINVAL, "a hash of %zu bytes", string.size);
    }
    if (result == 0) {
        *out = string.data;
    }
    return result;
}

/* The next list of CURSOR; an empty one where CURSOR is at its end. */
static int read_optional_list(struct bytes *cursor, struct bytes *out, struct error_detail *detail)
{
    *out = bytes_of(NULL, 0);
    return cursor->size == 0 ? 0 : rlp_read_list(cursor, out, detail);
}

static int read_changes(struct reading *reading, struct bytes *cursor,
                        const struct stoa_change **out_changes, size_t *out_count)
{
    struct bytes list;
    void *array = NULL;
    size_t count = 0;
    int result = read_optional_list(cursor, &list, reading->detail);
    if (result == 0) {
        result = make_array(reading, list, sizeof(struct stoa_change), &array, &count);
    }
    struct stoa_change *changes = array;
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct bytes change;
        result = rlp_read_list(&list, &change, reading->detail);
        if (result == 0) {
            result = wire_field_read_bytes(&change, &changes[i].key, reading->detail);
        }
        if (result == 0) {
            result = wire_field_read_rest(&change, &changes[i].value, reading->detail);
        }
    }
    *out_changes = changes;
    *out_count = count;
    return result;
}

/* The next list of CURSOR, as objects of SIZE by FIELDS. */
static int read_objects(struct reading *reading, struct bytes *cursor,
                        const struct wire_field *fields, size_t field_count, size_t size,
                        void **out_array, size_t *out_count)
{
    struct bytes list;
    int result = read_optional_list(cursor, &list, reading->detail);
    if (result == 0) {
        result = make_array(reading, list, size, out_array, out_count);
    }
    for (size_t i = 0; result == 0 && i < *out_count; i++) {
        result = wire_field_read_list(&list, fields, field_count, (uint8_t *)*out_array + i * size,
                                      reading->detail);
    }
    return result;
}

static int read_codes(struct reading *reading, struct bytes *cursor, struct stoa_store_block *out)
{
    struct bytes list;
    void *array = NULL;
    int result = read_optional_list(cursor, &list, reading->detail);
    if (result == 0) {
        result = make_array(reading, list, sizeof(struct stoa_bytes), &array, &out->code_count);
    }
    struct stoa_bytes *codes = array;
    for (size_t i = 0; result == 0 && i < out->code_count; i++) {
        result = wire_field_read_bytes(&list, &codes[i], reading->detail);
    }
    out->codes = codes;
    return result;
}

static int read_state(struct reading *reading, struct bytes *cursor, struct stoa_store_block *out)
{
    void *array = NULL;
    int result = read_objects(reading, cursor, wire_argument_account,
                              WIRE_ARGUMENT_COUNT(wire_argument_account),
                              sizeof(struct stoa_account_change), &array, &out->account_count);
    if (result != 0) {
        return result;
    }
    out->accounts = array;
    array = NULL;
    result =
        read_objects(reading, cursor, wire_argument_slot, WIRE_ARGUMENT_COUNT(wire_argument_slot),
                     sizeof(struct stoa_slot_change), &array, &out->slot_count);
    if (result != 0) {
        return result;
    }
    out->slots = array;
    return read_codes(reading, cursor, out);
}

static int read_senders(struct bytes *cursor, struct stoa_store_block *out,
                        struct error_detail *detail)
{
    struct stoa_bytes senders;
    int result = wire_field_read_rest(cursor, &senders, detail);
    if (result == 0 && senders.data != NULL &&
        senders.size != wire_argument_transactions(out->block) * 20) {
        result = error_set(detail, STOA_EINVAL, "senders: %zu bytes are not 20 a transaction",
                           senders.size);
    }
    if (result == 0) {
        out->senders = senders.data;
    }
    return result;
}

/* A block's fields: CURSOR is what its list holds. */
static int read_block(struct reading *reading, struct bytes cursor, struct stoa_store_block *out)
{
    struct error_detail *detail = reading->detail;
    uint32_t skip = 0;
    uint32_t flags = 0;
    *out = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    int result = wire_field_read_bytes(&cursor, &out->block, detail);
    if (result == 0) {
        result = wire_field_read_rest(&cursor, &out->receipts, detail);
    }
    if (result == 0) {
        result = read_optional_hash(&cursor, &out->expected_hash, detail);
    }
    if (result == 0) {
        result = read_senders(&cursor, out, detail);
    }
    if (result == 0) {
        result = read_changes(reading, &cursor, &out->changes, &out->change_count);
    }
    if (result == 0) {
        result = wire_field_read_rest(&cursor, &out->envelope, detail);
    }
    if (result == 0) {
        result = read_optional_hash(&cursor, &out->envelope_hash, detail);
    }
    if (result == 0 && cursor.size != 0) {
        result = wire_field_read_u32(&cursor, &skip, detail);
    }
    if (result == 0 && cursor.size != 0) {
        result = wire_field_read_u32(&cursor, &flags, detail);
    }
    out->skip = skip;
    out->flags = flags;
    return result == 0 ? read_state(reading, &cursor, out) : result;
}

static int read_receipts(struct bytes *cursor, struct stoa_store_receipts *out,
                         struct error_detail *detail)
{
    uint32_t skip = 0;
    *out = (struct stoa_store_receipts)STOA_STORE_RECEIPTS_INIT;
    int result = rlp_read_fixed(cursor, 32, &out->block_hash, detail);
    if (result == 0) {
        result = wire_field_read_bytes(cursor, &out->receipts, detail);
    }
    if (result == 0 && cursor->size != 0) {
        result = wire_field_read_u32(cursor, &skip, detail);
    }
    out->skip = skip;
    return result;
}

static int read_item(struct reading *reading, struct bytes cursor, struct stoa_item *out)
{
    struct error_detail *detail = reading->detail;
    uint32_t kind = 0;
    struct bytes block = {.data = NULL};
    int result = wire_field_read_u32(&cursor, &kind, detail);
    if (result == 0) {
        result = wire_field_read_rest(&cursor, &out->key, detail);
    }
    if (result == 0) {
        result = wire_field_read_rest(&cursor, &out->value, detail);
    }
    if (result == 0) {
        result = read_optional_list(&cursor, &block, detail);
    }
    if (result == 0) {
        result = read_optional_hash(&cursor, &out->hash, detail);
    }
    out->kind = (int)kind;
    if (result != 0 || block.size == 0) {
        return result;
    }
    struct bytes fields;
    void *own = NULL;
    size_t count;
    result = make_array(reading, block, sizeof(struct stoa_store_block), &own, &count);
    if (result == 0) {
        result = rlp_read_list(&block, &fields, detail);
    }
    if (result == 0) {
        result = read_block(reading, fields, own);
        out->block = own;
    }
    return result;
}

static int read_batch(struct reading *reading, struct bytes *cursor, struct stoa_batch *out)
{
    struct bytes list;
    void *array = NULL;
    *out = (struct stoa_batch)STOA_BATCH_INIT;
    int result = read_optional_list(cursor, &list, reading->detail);
    if (result == 0) {
        result = make_array(reading, list, sizeof(struct stoa_item), &array, &out->item_count);
    }
    struct stoa_item *items = array;
    for (size_t i = 0; result == 0 && i < out->item_count; i++) {
        struct bytes item;
        result = rlp_read_list(&list, &item, reading->detail);
        if (result == 0) {
            result = read_item(reading, item, &items[i]);
        }
        if (result != 0) {
            (void)error_prefix(reading->detail, "item %zu", i); /* returned */
        }
    }
    out->items = items;
    return result;
}

/* A string of so many pieces of SIZE bytes. */
static int read_pieces(struct bytes *cursor, size_t size, const uint8_t **out, size_t *out_count,
                       struct error_detail *detail)
{
    struct stoa_bytes string = {.data = NULL};
    int result = cursor->size == 0 ? 0 : wire_field_read_bytes(cursor, &string, detail);
    if (result == 0 && string.size % size != 0) {
        result =
            error_set(detail, STOA_EINVAL, "%zu bytes are no pieces of %zu", string.size, size);
    }
    if (result == 0) {
        *out = string.size == 0 ? NULL : string.data;
        *out_count = string.size / size;
    }
    return result;
}

static int read_cursor(struct bytes *cursor, struct stoa_cursor *out, struct error_detail *detail)
{
    return cursor->size == 0
               ? 0
               : wire_field_read_list(cursor, wire_argument_cursor,
                                      WIRE_ARGUMENT_COUNT(wire_argument_cursor), out, detail);
}

static int read_filter(struct bytes *cursor, struct stoa_log_filter *out,
                       struct error_detail *detail)
{
    struct bytes topics = {.data = NULL};
    *out = (struct stoa_log_filter)STOA_LOG_FILTER_INIT;
    int result = read_optional_hash(cursor, &out->block_hash, detail);
    if (result == 0) {
        result = wire_field_read(cursor, wire_argument_filter_range,
                                 WIRE_ARGUMENT_COUNT(wire_argument_filter_range), out, detail);
    }
    if (result == 0) {
        result = read_pieces(cursor, 20, &out->addresses, &out->address_count, detail);
    }
    if (result == 0) {
        result = read_optional_list(cursor, &topics, detail);
    }
    while (result == 0 && topics.size != 0) {
        if (out->topic_count == WIRE_ARGUMENT_TOPICS_MAX) {
            return error_set(detail, STOA_EINVAL, "more than %d topics", WIRE_ARGUMENT_TOPICS_MAX);
        }
        struct stoa_topics *topic = &out->topics[out->topic_count++];
        result = read_pieces(&topics, 32, &topic->topics, &topic->count, detail);
    }
    if (result == 0) {
        result = wire_field_read(cursor, wire_argument_filter_limit,
                                 WIRE_ARGUMENT_COUNT(wire_argument_filter_limit), out, detail);
    }
    return result == 0 ? read_cursor(cursor, &out->cursor, detail) : result;
}

/* A terminated copy, without zero bytes inside; NULL for an empty one. */
static int read_text(struct reading *reading, struct bytes *cursor, const char **out)
{
    struct bytes string = {.data = NULL};
    int result = cursor->size == 0 ? 0 : rlp_read_string(cursor, &string, reading->detail);
    *out = NULL;
    if (result != 0 || string.size == 0) {
        return result;
    }
    if (memchr(string.data, '\0', string.size) != NULL) {
        return error_set(reading->detail, STOA_EINVAL, "a text with a zero byte");
    }
    char *text = arena_alloc(reading->arena, string.size + 1);
    if (text == NULL) {
        return error_set(reading->detail, STOA_ENOMEM, "a text");
    }
    memcpy(text, string.data, string.size);
    text[string.size] = '\0';
    *out = text;
    return 0;
}

static int read_job(struct reading *reading, struct bytes *cursor, struct stoa_job_options *out)
{
    *out = (struct stoa_job_options)STOA_JOB_OPTIONS_INIT;
    int result = wire_field_read(cursor, wire_argument_job, WIRE_ARGUMENT_COUNT(wire_argument_job),
                                 out, reading->detail);
    if (result == 0) {
        result = read_text(reading, cursor, &out->name);
    }
    if (result == 0) {
        result = read_text(reading, cursor, &out->path);
    }
    return result == 0
               ? wire_field_read(cursor, wire_argument_job_more,
                                 WIRE_ARGUMENT_COUNT(wire_argument_job_more), out, reading->detail)
               : result;
}

static int read_items(struct reading *reading, enum wire_argument_shape shape, struct bytes cursor,
                      struct wire_argument *out)
{
    struct error_detail *detail = reading->detail;
    uint32_t number = 0;
    int result = 0;
    switch (shape) {
    case WIRE_ARGUMENT_BLOCK: {
        struct bytes fields;
        result = rlp_read_list(&cursor, &fields, detail);
        return result == 0 ? read_block(reading, fields, &out->as.block) : result;
    }
    case WIRE_ARGUMENT_RECEIPTS:
        return read_receipts(&cursor, &out->as.receipts, detail);
    case WIRE_ARGUMENT_KEY:
        return wire_field_read(&cursor, wire_argument_key, WIRE_ARGUMENT_COUNT(wire_argument_key),
                               &out->as.key, detail);
    case WIRE_ARGUMENT_RANGE:
        return wire_field_read(&cursor, wire_argument_range,
                               WIRE_ARGUMENT_COUNT(wire_argument_range), &out->as.range, detail);
    case WIRE_ARGUMENT_UPDATE:
        out->as.update = (struct stoa_state_update)STOA_STATE_UPDATE_INIT;
        return read_changes(reading, &cursor, &out->as.update.changes,
                            &out->as.update.change_count);
    case WIRE_ARGUMENT_BYTES:
        return wire_field_read_bytes(&cursor, &out->as.bytes, detail);
    case WIRE_ARGUMENT_STATE_AT:
        out->as.state_at.height = STOA_AT_HEAD;
        result = wire_field_read_bytes(&cursor, &out->as.state_at.key, detail);
        return result == 0 && cursor.size != 0
                   ? rlp_read_uint64(&cursor, &out->as.state_at.height, detail)
                   : result;
    case WIRE_ARGUMENT_STATE_QUERY:
        out->as.state_query.height = STOA_AT_HEAD;
        return wire_field_read(&cursor, wire_argument_state_query,
                               WIRE_ARGUMENT_COUNT(wire_argument_state_query), &out->as.state_query,
                               detail);
    case WIRE_ARGUMENT_PROOF_QUERY:
        result = wire_field_read_fixed(&cursor, out->as.proof_query.address, 20, detail);
        if (result == 0) {
            result = rlp_read_uint64(&cursor, &out->as.proof_query.height, detail);
        }
        return result == 0 ? read_pieces(&cursor, 32, &out->as.proof_query.slots,
                                         &out->as.proof_query.slot_count, detail)
                           : result;
    case WIRE_ARGUMENT_HEIGHT:
        return rlp_read_uint64(&cursor, &out->as.height, detail);
    case WIRE_ARGUMENT_NUMBER:
        result = cursor.size == 0 ? 0 : wire_field_read_u32(&cursor, &number, detail);
        out->as.number = (int)number;
        return result;
    case WIRE_ARGUMENT_BATCH:
        return read_batch(reading, &cursor, &out->as.batch);
    case WIRE_ARGUMENT_HASH: {
        const uint8_t *hash;
        result = rlp_read_fixed(&cursor, 32, &hash, detail);
        if (result == 0) {
            memcpy(out->as.hash, hash, 32);
        }
        return result;
    }
    case WIRE_ARGUMENT_LOG_FILTER:
        return read_filter(&cursor, &out->as.log_filter, detail);
    case WIRE_ARGUMENT_HISTORY_QUERY:
        out->as.history_query = (struct stoa_history_query)STOA_HISTORY_QUERY_INIT;
        result = wire_field_read(&cursor, wire_argument_history,
                                 WIRE_ARGUMENT_COUNT(wire_argument_history), &out->as.history_query,
                                 detail);
        return result == 0 ? read_cursor(&cursor, &out->as.history_query.cursor, detail) : result;
    case WIRE_ARGUMENT_JOB:
        return read_job(reading, &cursor, &out->as.job);
    case WIRE_ARGUMENT_NONE:
    case WIRE_ARGUMENT_UNKNOWN:
        break;
    }
    return 0;
}

int wire_argument_read(enum stoa_message message, struct bytes payload, struct arena *arena,
                       struct wire_argument *out, struct error_detail *detail)
{
    enum wire_argument_shape shape = wire_message_argument(message);
    struct reading reading = {
        .arena = arena,
        .budget = (uint64_t)payload.size * ARENA_FACTOR + ARENA_FREE,
        .detail = detail,
    };
    if (shape == WIRE_ARGUMENT_UNKNOWN) {
        return error_set(detail, STOA_ENOTSUP, "message %u is not served", (unsigned)message);
    }
    *out = (struct wire_argument){.pointer = NULL};
    struct bytes list;
    int result = rlp_read_list(&payload, &list, detail);
    if (result == 0) {
        result = rlp_expect_end(payload, detail);
    }
    if (result == 0) {
        result = read_items(&reading, shape, list, out);
    }
    if (result != 0) {
        (void)error_prefix(detail, "%s", stoa_message_name(message)); /* returned */
        return result;
    }
    bool nothing = shape == WIRE_ARGUMENT_NONE || (shape == WIRE_ARGUMENT_JOB && list.size == 0);
    out->pointer = nothing ? NULL : &out->as;
    /* Of the others the store copies what they point at when they are submitted. */
    out->borrows = shape == WIRE_ARGUMENT_BLOCK || shape == WIRE_ARGUMENT_RECEIPTS ||
                   shape == WIRE_ARGUMENT_UPDATE || shape == WIRE_ARGUMENT_BATCH ||
                   shape == WIRE_ARGUMENT_LOG_FILTER;
    return 0;
}
