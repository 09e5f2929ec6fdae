/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_argument.h"

#include <string.h>

#include "chain/rlp.h"
#include "wire/wire_argument_private.h"

const struct wire_field wire_argument_key[3] = {
    WIRE_FIELD(struct stoa_block_key, by, WIRE_INT),
    WIRE_FIELD(struct stoa_block_key, height, WIRE_U64),
    WIRE_FIELD(struct stoa_block_key, hash, WIRE_FIXED),
};

const struct wire_field wire_argument_range[2] = {
    WIRE_FIELD(struct stoa_block_range, from, WIRE_U64),
    WIRE_FIELD(struct stoa_block_range, count, WIRE_U64),
};

const struct wire_field wire_argument_state_query[3] = {
    WIRE_FIELD(struct stoa_state_query, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_state_query, slot, WIRE_FIXED),
    WIRE_FIELD(struct stoa_state_query, height, WIRE_U64),
};

const struct wire_field wire_argument_account[5] = {
    WIRE_FIELD(struct stoa_account_change, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_account_change, flags, WIRE_U32),
    WIRE_FIELD(struct stoa_account_change, nonce, WIRE_U64),
    WIRE_FIELD(struct stoa_account_change, balance, WIRE_U256),
    WIRE_FIELD(struct stoa_account_change, code_hash, WIRE_FIXED),
};

const struct wire_field wire_argument_slot[3] = {
    WIRE_FIELD(struct stoa_slot_change, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_slot_change, slot, WIRE_U256),
    WIRE_FIELD(struct stoa_slot_change, value, WIRE_U256),
};

const struct wire_field wire_argument_cursor[3] = {
    WIRE_FIELD(struct stoa_cursor, spot, WIRE_U64),
    WIRE_FIELD(struct stoa_cursor, anchor_height, WIRE_U64),
    WIRE_FIELD(struct stoa_cursor, anchor_hash, WIRE_FIXED),
};

const struct wire_field wire_argument_filter_range[2] = {
    WIRE_FIELD(struct stoa_log_filter, from, WIRE_U64),
    WIRE_FIELD(struct stoa_log_filter, to, WIRE_U64),
};

const struct wire_field wire_argument_filter_limit[3] = {
    WIRE_FIELD(struct stoa_log_filter, limit, WIRE_U32),
    WIRE_FIELD(struct stoa_log_filter, time_ms, WIRE_U32),
    WIRE_FIELD(struct stoa_log_filter, allow_missing, WIRE_INT),
};

const struct wire_field wire_argument_history[7] = {
    WIRE_FIELD(struct stoa_history_query, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_history_query, roles, WIRE_U32),
    WIRE_FIELD(struct stoa_history_query, oldest_first, WIRE_INT),
    WIRE_FIELD(struct stoa_history_query, from, WIRE_U64),
    WIRE_FIELD(struct stoa_history_query, to, WIRE_U64),
    WIRE_FIELD(struct stoa_history_query, limit, WIRE_U32),
    WIRE_FIELD(struct stoa_history_query, time_ms, WIRE_U32),
};

const struct wire_field wire_argument_job[6] = {
    WIRE_FIELD(struct stoa_job_options, job, WIRE_INT),
    WIRE_FIELD(struct stoa_job_options, flags, WIRE_U32),
    WIRE_FIELD(struct stoa_job_options, bytes_per_second, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, operations_per_second, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, from, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, to, WIRE_U64),
};

/* Behind name and path. */
const struct wire_field wire_argument_job_more[10] = {
    WIRE_FIELD(struct stoa_job_options, keep_history, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_tries, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep, WIRE_U32),
    WIRE_FIELD(struct stoa_job_options, full, WIRE_INT),
    WIRE_FIELD(struct stoa_job_options, keep_bodies, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_receipts, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_logs, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, keep_transactions, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, archive_keep, WIRE_U64),
    WIRE_FIELD(struct stoa_job_options, unarchive, WIRE_INT),
};

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

uint64_t wire_argument_transactions(struct stoa_bytes block)
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
    wire_writer_optional(writer, block.senders,
                         (size_t)wire_argument_transactions(block.block) * 20);
    int result = write_changes(writer, block.changes, block.change_count);
    wire_writer_optional(writer, block.envelope.data, block.envelope.size);
    wire_writer_optional(writer, block.envelope_hash, 32);
    wire_writer_u64(writer, block.skip);
    wire_writer_u64(writer, block.flags);
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < block.account_count; i++) {
        write_list(writer, wire_argument_account, WIRE_ARGUMENT_COUNT(wire_argument_account),
                   &block.accounts[i]);
    }
    wire_writer_end(writer, list);
    list = wire_writer_list(writer);
    for (size_t i = 0; i < block.slot_count; i++) {
        write_list(writer, wire_argument_slot, WIRE_ARGUMENT_COUNT(wire_argument_slot),
                   &block.slots[i]);
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
    if (!copy_sized(given, &filter, sizeof(filter)) ||
        filter.topic_count > WIRE_ARGUMENT_TOPICS_MAX ||
        (filter.addresses == NULL && filter.address_count != 0) ||
        filter.address_count > STOA_LOG_ALTERNATIVES_MAX) {
        return STOA_EINVAL;
    }
    wire_writer_optional(writer, filter.block_hash, 32);
    wire_field_write(writer, wire_argument_filter_range,
                     WIRE_ARGUMENT_COUNT(wire_argument_filter_range), &filter);
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
    wire_field_write(writer, wire_argument_filter_limit,
                     WIRE_ARGUMENT_COUNT(wire_argument_filter_limit), &filter);
    write_list(writer, wire_argument_cursor, WIRE_ARGUMENT_COUNT(wire_argument_cursor),
               &filter.cursor);
    return 0;
}

static int write_history(struct wire_writer *writer, const struct stoa_history_query *given)
{
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    if (!copy_sized(given, &query, sizeof(query))) {
        return STOA_EINVAL;
    }
    wire_field_write(writer, wire_argument_history, WIRE_ARGUMENT_COUNT(wire_argument_history),
                     &query);
    write_list(writer, wire_argument_cursor, WIRE_ARGUMENT_COUNT(wire_argument_cursor),
               &query.cursor);
    return 0;
}

static int write_job(struct wire_writer *writer, const struct stoa_job_options *given)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    if (!copy_sized(given, &options, sizeof(options))) {
        return STOA_EINVAL;
    }
    wire_field_write(writer, wire_argument_job, WIRE_ARGUMENT_COUNT(wire_argument_job), &options);
    wire_writer_text(writer, options.name != NULL ? options.name : "");
    wire_writer_text(writer, options.path != NULL ? options.path : "");
    wire_field_write(writer, wire_argument_job_more, WIRE_ARGUMENT_COUNT(wire_argument_job_more),
                     &options);
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
        wire_field_write(writer, wire_argument_key, WIRE_ARGUMENT_COUNT(wire_argument_key),
                         argument);
        return 0;
    case WIRE_ARGUMENT_RANGE:
        wire_field_write(writer, wire_argument_range, WIRE_ARGUMENT_COUNT(wire_argument_range),
                         argument);
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
        wire_field_write(writer, wire_argument_state_query,
                         WIRE_ARGUMENT_COUNT(wire_argument_state_query), argument);
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
