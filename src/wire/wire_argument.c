/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_argument.h"

#include <string.h>

#include "chain/rlp.h"
#include "wire/wire_field.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ARENA_FACTOR = 8, ARENA_FREE = 65536, TOPICS_MAX = 4 };

static const struct wire_field key_fields[] = {
    WIRE_FIELD(struct stoa_block_key, by, WIRE_INT),
    WIRE_FIELD(struct stoa_block_key, height, WIRE_U64),
    WIRE_FIELD(struct stoa_block_key, hash, WIRE_FIXED),
};

static const struct wire_field range_fields[] = {
    WIRE_FIELD(struct stoa_block_range, from, WIRE_U64),
    WIRE_FIELD(struct stoa_block_range, count, WIRE_U64),
};

static const struct wire_field state_query_fields[] = {
    WIRE_FIELD(struct stoa_state_query, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_state_query, slot, WIRE_FIXED),
    WIRE_FIELD(struct stoa_state_query, height, WIRE_U64),
};

static const struct wire_field account_fields[] = {
    WIRE_FIELD(struct stoa_account_change, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_account_change, flags, WIRE_U32),
    WIRE_FIELD(struct stoa_account_change, nonce, WIRE_U64),
    WIRE_FIELD(struct stoa_account_change, balance, WIRE_U256),
    WIRE_FIELD(struct stoa_account_change, code_hash, WIRE_FIXED),
};

static const struct wire_field slot_fields[] = {
    WIRE_FIELD(struct stoa_slot_change, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_slot_change, slot, WIRE_U256),
    WIRE_FIELD(struct stoa_slot_change, value, WIRE_U256),
};

static const struct wire_field cursor_fields[] = {
    WIRE_FIELD(struct stoa_cursor, spot, WIRE_U64),
    WIRE_FIELD(struct stoa_cursor, anchor_height, WIRE_U64),
    WIRE_FIELD(struct stoa_cursor, anchor_hash, WIRE_FIXED),
};

static const struct wire_field filter_range_fields[] = {
    WIRE_FIELD(struct stoa_log_filter, from, WIRE_U64),
    WIRE_FIELD(struct stoa_log_filter, to, WIRE_U64),
};

static const struct wire_field filter_limit_fields[] = {
    WIRE_FIELD(struct stoa_log_filter, limit, WIRE_U32),
    WIRE_FIELD(struct stoa_log_filter, time_ms, WIRE_U32),
    WIRE_FIELD(struct stoa_log_filter, allow_missing, WIRE_INT),
};

static const struct wire_field history_fields[] = {
    WIRE_FIELD(struct stoa_history_query, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_history_query, roles, WIRE_U32),
    WIRE_FIELD(struct stoa_history_query, oldest_first, WIRE_INT),
    WIRE_FIELD(struct stoa_history_query, from, WIRE_U64),
    WIRE_FIELD(struct stoa_history_query, to, WIRE_U64),
    WIRE_FIELD(struct stoa_history_query, limit, WIRE_U32),
    WIRE_FIELD(struct stoa_history_query, time_ms, WIRE_U32),
};

static const struct wire_field job_fields[] = {
    WIRE_FIELD(struct stoa_job_options, job, WIRE_INT),
    WIRE_FIELD(struct stoa_job_options, flags, WIRE_U32),
    WIRE_FIELD(struct stoa_job_options, bytes_per_second, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, operations_per_second, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, from, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, to, WIRE_U64),
};

/* Behind name and path. */
static const struct wire_field job_more_fields[] = {
    WIRE_FIELD(struct stoa_job_options, keep_history, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_tries, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep, WIRE_U32),
    WIRE_FIELD(struct stoa_job_options, full, WIRE_INT),
    WIRE_FIELD(struct stoa_job_options, keep_bodies, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_receipts, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_logs, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_transactions, WIRE_U64),
};

/* ---- writing ---- */

/* An option struct of an older program is smaller: the rest of OWN keeps its defaults. */
static bool copy_sized(const void *given, void *own, size_t size)
{
    size_t given_size;
    memcpy(&given_size, given, sizeof(given_size));
    if (given_size < sizeof(size_t) || given_size > size) {
        return false;
    }
    memcpy(own, given, given_size);
    return true;
}

static void write_list(struct wire_writer *writer, const struct wire_field *fields, size_t count,
                       const void *object)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_field_write(writer, fields, count, object);
    wire_writer_end(writer, mark);
}

static int write_changes(struct wire_writer *writer, const struct stoa_change *changes,
                         size_t count)
{
    if (changes == NULL && count != 0) {
        return STOA_EINVAL;
    }
    struct wire_mark mark = wire_writer_list(writer);
    for (size_t i = 0; i < count; i++) {
        struct wire_mark change = wire_writer_list(writer);
        wire_writer_string(writer, changes[i].key.data, changes[i].key.size);
        wire_writer_optional(writer, changes[i].value.data, changes[i].value.size);
        wire_writer_end(writer, change);
    }
    wire_writer_end(writer, mark);
    return 0;
}

static uint64_t transactions_of(struct stoa_bytes block)
{
    struct bytes cursor = bytes_of(block.data, block.size);
    struct bytes fields;
    struct bytes transactions;
    struct rlp_item header;
    size_t count = 0;
    bool known = rlp_read_list(&cursor, &fields, NULL) == 0 &&
                 rlp_read(&fields, &header, NULL) == 0 &&
                 rlp_read_list(&fields, &transactions, NULL) == 0 &&
                 rlp_count(transactions, &count, NULL) == 0;
    return known ? count : 0;
}

static int write_block(struct wire_writer *writer, const struct stoa_store_block *given)
{
    struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
    if (given == NULL || !copy_sized(given, &block, sizeof(block)) || block.block.data == NULL ||
        (block.accounts == NULL && block.account_count != 0) ||
        (block.slots == NULL && block.slot_count != 0) ||
        (block.codes == NULL && block.code_count != 0)) {
        return STOA_EINVAL;
    }
    struct wire_mark mark = wire_writer_list(writer);
    wire_writer_long(writer, block.block.data, block.block.size);
    wire_writer_optional(writer, block.receipts.data, block.receipts.size);
    wire_writer_optional(writer, block.expected_hash, 32);
    /* How many there are is said by the block: one that does not decode is refused for that. */
    wire_writer_optional(writer, block.senders, (size_t)transactions_of(block.block) * 20);
    int result = write_changes(writer, block.changes, block.change_count);
    wire_writer_optional(writer, block.envelope.data, block.envelope.size);
    wire_writer_optional(writer, block.envelope_hash, 32);
    wire_writer_u64(writer, block.skip);
    wire_writer_u64(writer, block.flags);
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < block.account_count; i++) {
        write_list(writer, account_fields, COUNT(account_fields), &block.accounts[i]);
    }
    wire_writer_end(writer, list);
    list = wire_writer_list(writer);
    for (size_t i = 0; i < block.slot_count; i++) {
        write_list(writer, slot_fields, COUNT(slot_fields), &block.slots[i]);
    }
    wire_writer_end(writer, list);
    list = wire_writer_list(writer);
    for (size_t i = 0; i < block.code_count; i++) {
        wire_writer_string(writer, block.codes[i].data, block.codes[i].size);
    }
    wire_writer_end(writer, list);
    wire_writer_end(writer, mark);
    return result;
}

static int write_receipts(struct wire_writer *writer, const struct stoa_store_receipts *given)
{
    struct stoa_store_receipts own = STOA_STORE_RECEIPTS_INIT;
    if (!copy_sized(given, &own, sizeof(own)) || own.block_hash == NULL ||
        own.receipts.data == NULL) {
        return STOA_EINVAL;
    }
    wire_writer_string(writer, own.block_hash, 32);
    wire_writer_long(writer, own.receipts.data, own.receipts.size);
    wire_writer_u64(writer, own.skip);
    return 0;
}

static int write_batch(struct wire_writer *writer, const struct stoa_batch *given)
{
    struct stoa_batch batch = STOA_BATCH_INIT;
    if (given == NULL || !copy_sized(given, &batch, sizeof(batch)) ||
        (batch.items == NULL && batch.item_count != 0)) {
        return STOA_EINVAL;
    }
    int result = 0;
    struct wire_mark mark = wire_writer_list(writer);
    for (size_t i = 0; result == 0 && i < batch.item_count; i++) {
        const struct stoa_item *item = &batch.items[i];
        struct wire_mark list = wire_writer_list(writer);
        wire_writer_u64(writer, (uint32_t)item->kind);
        wire_writer_optional(writer, item->key.data, item->key.size);
        wire_writer_optional(writer, item->value.data, item->value.size);
        struct wire_mark block = wire_writer_list(writer);
        if (item->kind == STOA_ITEM_BLOCK) {
            result = write_block(writer, item->block);
        }
        wire_writer_end(writer, block);
        wire_writer_optional(writer, item->kind == STOA_ITEM_HEAD ? item->hash : NULL, 32);
        wire_writer_end(writer, list);
    }
    wire_writer_end(writer, mark);
    return result;
}

static int write_update(struct wire_writer *writer, const struct stoa_state_update *given)
{
    struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
    if (!copy_sized(given, &update, sizeof(update))) {
        return STOA_EINVAL;
    }
    return write_changes(writer, update.changes, update.change_count);
}

static int write_filter(struct wire_writer *writer, const struct stoa_log_filter *given)
{
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    if (!copy_sized(given, &filter, sizeof(filter)) || filter.topic_count > TOPICS_MAX ||
        (filter.addresses == NULL && filter.address_count != 0) ||
        filter.address_count > STOA_LOG_ALTERNATIVES_MAX) {
        return STOA_EINVAL;
    }
    wire_writer_optional(writer, filter.block_hash, 32);
    wire_field_write(writer, filter_range_fields, COUNT(filter_range_fields), &filter);
    wire_writer_string(writer, filter.addresses, filter.address_count * 20);
    struct wire_mark topics = wire_writer_list(writer);
    for (unsigned i = 0; i < filter.topic_count; i++) {
        const struct stoa_topics *topic = &filter.topics[i];
        if ((topic->topics == NULL && topic->count != 0) ||
            topic->count > STOA_LOG_ALTERNATIVES_MAX) {
            return STOA_EINVAL;
        }
        wire_writer_string(writer, topic->topics, topic->count * 32);
    }
    wire_writer_end(writer, topics);
    wire_field_write(writer, filter_limit_fields, COUNT(filter_limit_fields), &filter);
    write_list(writer, cursor_fields, COUNT(cursor_fields), &filter.cursor);
    return 0;
}

static int write_history(struct wire_writer *writer, const struct stoa_history_query *given)
{
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    if (!copy_sized(given, &query, sizeof(query))) {
        return STOA_EINVAL;
    }
    wire_field_write(writer, history_fields, COUNT(history_fields), &query);
    write_list(writer, cursor_fields, COUNT(cursor_fields), &query.cursor);
    return 0;
}

static int write_job(struct wire_writer *writer, const struct stoa_job_options *given)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    if (!copy_sized(given, &options, sizeof(options))) {
        return STOA_EINVAL;
    }
    wire_field_write(writer, job_fields, COUNT(job_fields), &options);
    wire_writer_text(writer, options.name != NULL ? options.name : "");
    wire_writer_text(writer, options.path != NULL ? options.path : "");
    wire_field_write(writer, job_more_fields, COUNT(job_more_fields), &options);
    return 0;
}

static int write_proof_query(struct wire_writer *writer, const struct stoa_proof_query *query)
{
    if (query->slot_count > STOA_PROOF_SLOTS_MAX ||
        (query->slots == NULL && query->slot_count != 0)) {
        return STOA_EINVAL;
    }
    wire_field_write_fixed(writer, query->address, sizeof(query->address));
    wire_writer_u64(writer, query->height);
    wire_writer_string(writer, query->slots, query->slot_count * 32);
    return 0;
}

static int write_items(struct wire_writer *writer, enum wire_argument_shape shape,
                       const void *argument)
{
    const struct stoa_bytes *bytes = argument;
    const struct stoa_state_at *at = argument;
    switch (shape) {
    case WIRE_ARGUMENT_BLOCK:
        return write_block(writer, argument);
    case WIRE_ARGUMENT_RECEIPTS:
        return write_receipts(writer, argument);
    case WIRE_ARGUMENT_KEY:
        wire_field_write(writer, key_fields, COUNT(key_fields), argument);
        return 0;
    case WIRE_ARGUMENT_RANGE:
        wire_field_write(writer, range_fields, COUNT(range_fields), argument);
        return 0;
    case WIRE_ARGUMENT_UPDATE:
        return write_update(writer, argument);
    case WIRE_ARGUMENT_BYTES:
        wire_writer_string(writer, bytes->data, bytes->size);
        return bytes->data == NULL ? STOA_EINVAL : 0;
    case WIRE_ARGUMENT_STATE_AT:
        wire_writer_string(writer, at->key.data, at->key.size);
        wire_writer_u64(writer, at->height);
        return at->key.data == NULL ? STOA_EINVAL : 0;
    case WIRE_ARGUMENT_STATE_QUERY:
        wire_field_write(writer, state_query_fields, COUNT(state_query_fields), argument);
        return 0;
    case WIRE_ARGUMENT_PROOF_QUERY:
        return write_proof_query(writer, argument);
    case WIRE_ARGUMENT_HEIGHT:
        wire_writer_u64(writer, *(const uint64_t *)argument);
        return 0;
    case WIRE_ARGUMENT_NUMBER:
        wire_writer_u64(writer, (uint32_t) * (const int *)argument);
        return 0;
    case WIRE_ARGUMENT_BATCH:
        return write_batch(writer, argument);
    case WIRE_ARGUMENT_HASH:
        wire_writer_string(writer, argument, 32);
        return 0;
    case WIRE_ARGUMENT_LOG_FILTER:
        return write_filter(writer, argument);
    case WIRE_ARGUMENT_HISTORY_QUERY:
        return write_history(writer, argument);
    case WIRE_ARGUMENT_JOB:
        return write_job(writer, argument);
    case WIRE_ARGUMENT_NONE:
    case WIRE_ARGUMENT_UNKNOWN:
        break;
    }
    return 0;
}

int wire_argument_write(struct wire_writer *writer, enum stoa_message message, const void *argument)
{
    enum wire_argument_shape shape = wire_message_argument(message);
    static const int zero = 0;
    if (message <= STOA_MESSAGE_NONE || message >= STOA_MESSAGE_END) {
        return STOA_EINVAL;
    }
    if (shape == WIRE_ARGUMENT_UNKNOWN) {
        return STOA_ENOTSUP;
    }
    if (argument == NULL && message == STOA_MESSAGE_VERIFY) {
        argument = &zero; /* as the engine takes it */
    }
    bool nothing = argument == NULL && shape == WIRE_ARGUMENT_JOB; /* as the schedule has it */
    if (argument == NULL && shape != WIRE_ARGUMENT_NONE && !nothing) {
        return STOA_EINVAL;
    }
    struct wire_mark mark = wire_writer_list(writer);
    int result = nothing ? 0 : write_items(writer, shape, argument);
    wire_writer_end(writer, mark);
    return result;
}

/* ---- reading ---- */

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

static int read_bytes(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(cursor, &string, detail);
    if (result == 0) {
        *out = (struct stoa_bytes){string.data, string.size};
    }
    return result;
}

static int read_optional(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail)
{
    struct bytes string = {.data = NULL};
    int result = cursor->size == 0 ? 0 : wire_field_read_optional(cursor, &string, detail);
    if (result == 0) {
        *out = (struct stoa_bytes){string.data, string.size};
    }
    return result;
}

/* 32 bytes, or NULL. */
static int read_optional_hash(struct bytes *cursor, const uint8_t **out,
                              struct error_detail *detail)
{
    struct stoa_bytes string;
    int result = read_optional(cursor, &string, detail);
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
            result = read_bytes(&change, &changes[i].key, reading->detail);
        }
        if (result == 0) {
            result = read_optional(&change, &changes[i].value, reading->detail);
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
        result = read_bytes(&list, &codes[i], reading->detail);
    }
    out->codes = codes;
    return result;
}

static int read_state(struct reading *reading, struct bytes *cursor, struct stoa_store_block *out)
{
    void *array = NULL;
    int result = read_objects(reading, cursor, account_fields, COUNT(account_fields),
                              sizeof(struct stoa_account_change), &array, &out->account_count);
    if (result != 0) {
        return result;
    }
    out->accounts = array;
    array = NULL;
    result = read_objects(reading, cursor, slot_fields, COUNT(slot_fields),
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
    int result = read_optional(cursor, &senders, detail);
    if (result == 0 && senders.data != NULL && senders.size != transactions_of(out->block) * 20) {
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
    int result = read_bytes(&cursor, &out->block, detail);
    if (result == 0) {
        result = read_optional(&cursor, &out->receipts, detail);
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
        result = read_optional(&cursor, &out->envelope, detail);
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
        result = read_bytes(cursor, &out->receipts, detail);
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
        result = read_optional(&cursor, &out->key, detail);
    }
    if (result == 0) {
        result = read_optional(&cursor, &out->value, detail);
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
    int result = cursor->size == 0 ? 0 : read_bytes(cursor, &string, detail);
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
               : wire_field_read_list(cursor, cursor_fields, COUNT(cursor_fields), out, detail);
}

static int read_filter(struct bytes *cursor, struct stoa_log_filter *out,
                       struct error_detail *detail)
{
    struct bytes topics = {.data = NULL};
    *out = (struct stoa_log_filter)STOA_LOG_FILTER_INIT;
    int result = read_optional_hash(cursor, &out->block_hash, detail);
    if (result == 0) {
        result =
            wire_field_read(cursor, filter_range_fields, COUNT(filter_range_fields), out, detail);
    }
    if (result == 0) {
        result = read_pieces(cursor, 20, &out->addresses, &out->address_count, detail);
    }
    if (result == 0) {
        result = read_optional_list(cursor, &topics, detail);
    }
    while (result == 0 && topics.size != 0) {
        if (out->topic_count == TOPICS_MAX) {
            return error_set(detail, STOA_EINVAL, "more than %d topics", TOPICS_MAX);
        }
        struct stoa_topics *topic = &out->topics[out->topic_count++];
        result = read_pieces(&topics, 32, &topic->topics, &topic->count, detail);
    }
    if (result == 0) {
        result =
            wire_field_read(cursor, filter_limit_fields, COUNT(filter_limit_fields), out, detail);
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
    int result = wire_field_read(cursor, job_fields, COUNT(job_fields), out, reading->detail);
    if (result == 0) {
        result = read_text(reading, cursor, &out->name);
    }
    if (result == 0) {
        result = read_text(reading, cursor, &out->path);
    }
    return result == 0 ? wire_field_read(cursor, job_more_fields, COUNT(job_more_fields), out,
                                         reading->detail)
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
        return wire_field_read(&cursor, key_fields, COUNT(key_fields), &out->as.key, detail);
    case WIRE_ARGUMENT_RANGE:
        return wire_field_read(&cursor, range_fields, COUNT(range_fields), &out->as.range, detail);
    case WIRE_ARGUMENT_UPDATE:
        out->as.update = (struct stoa_state_update)STOA_STATE_UPDATE_INIT;
        return read_changes(reading, &cursor, &out->as.update.changes,
                            &out->as.update.change_count);
    case WIRE_ARGUMENT_BYTES:
        return read_bytes(&cursor, &out->as.bytes, detail);
    case WIRE_ARGUMENT_STATE_AT:
        out->as.state_at.height = STOA_AT_HEAD;
        result = read_bytes(&cursor, &out->as.state_at.key, detail);
        return result == 0 && cursor.size != 0
                   ? rlp_read_uint64(&cursor, &out->as.state_at.height, detail)
                   : result;
    case WIRE_ARGUMENT_STATE_QUERY:
        out->as.state_query.height = STOA_AT_HEAD;
        return wire_field_read(&cursor, state_query_fields, COUNT(state_query_fields),
                               &out->as.state_query, detail);
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
        result = wire_field_read(&cursor, history_fields, COUNT(history_fields),
                                 &out->as.history_query, detail);
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
