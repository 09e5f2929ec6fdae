/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies on their way in. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "wire/wire_reply.h"
#include "wire/wire_reply_private.h"

/* Objects are never made for more than this many times the bytes that tell of them. */
enum { ITEM_FACTOR = 128 };

struct reading {
    struct error_detail *detail;
    struct wire_reply_held *held;
};

int wire_reply_read_fields(struct bytes *cursor, enum wire_reply_struct which, void *object,
                           struct error_detail *detail)
{
    struct wire_reply_table table = wire_reply_fields(which);
    return wire_field_read(cursor, table.fields, table.count, object, detail);
}

int wire_reply_read_list(struct bytes *cursor, enum wire_reply_struct which, void *object,
                         struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(cursor, &list, detail);
    return result == 0 ? wire_reply_read_fields(&list, which, object, detail) : result;
}

int wire_reply_count_items(struct bytes list, size_t size, size_t *out_count,
                           struct error_detail *detail)
{
    int result = rlp_count(list, out_count, detail);
    if (result == 0 && *out_count != 0 && list.size / *out_count < size / ITEM_FACTOR) {
        result = error_set(detail, STOA_EINVAL, "more items than their bytes can hold");
    }
    return result;
}

void *wire_reply_make(size_t count, size_t size, size_t extra)
{
    ensure(size == 0 || count <= (SIZE_MAX - extra) / size);
    return memory_alloc_zeroed(1, count * size + extra + 1);
}

static int read_block(struct bytes *cursor, struct stoa_block *out, struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_BLOCK, out, detail);
    }
    if (result == 0) {
        result = wire_field_read_bytes(&list, &out->block, detail);
    }
    if (result == 0) {
        result = wire_field_read_rest(&list, &out->receipts, detail);
    }
    if (result == 0) {
        result = wire_field_read_rest(&list, &out->senders, detail);
    }
    if (result == 0) {
        result = wire_field_read_rest(&list, &out->envelope, detail);
    }
    uint64_t pruned = 0;
    if (result == 0 && list.size != 0) {
        result = rlp_read_uint64(&list, &pruned, detail);
        out->receipts_pruned = pruned != 0;
    }
    return result;
}

static int read_header(struct bytes *cursor, struct stoa_header *out, struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_HEADER, out, detail);
    }
    return result == 0 ? wire_field_read_bytes(&list, &out->header, detail) : result;
}

/* A part of WHOLE by offset and size. */
static int read_place(struct bytes *cursor, struct stoa_bytes whole, struct stoa_bytes *out,
                      struct error_detail *detail)
{
    struct rlp_item item;
    uint64_t offset;
    uint64_t size;
    *out = (struct stoa_bytes){NULL, 0};
    int result = rlp_read(cursor, &item, detail);
    if (result != 0 || item.payload.size == 0) {
        return result;
    }
    if (!item.list && whole.data != NULL) {
        return error_set(detail, STOA_EINVAL, "a part beside its block");
    }
    if (!item.list) { /* its block does not come: it stands here itself */
        *out = (struct stoa_bytes){item.payload.data, item.payload.size};
        return 0;
    }
    struct bytes list = item.payload;
    result = rlp_read_uint64(&list, &offset, detail);
    if (result == 0) {
        result = rlp_read_uint64(&list, &size, detail);
    }
    if (result == 0 && (whole.data == NULL || offset > whole.size || size > whole.size - offset)) {
        result = error_set(detail, STOA_EINVAL, "a place outside of its block");
    }
    if (result == 0) {
        *out = (struct stoa_bytes){whole.data + offset, (size_t)size};
    }
    return result;
}

static int read_transaction(struct bytes *cursor, struct stoa_transaction *out,
                            struct error_detail *detail)
{
    struct bytes list;
    struct stoa_bytes sender = {.data = NULL};
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = read_block(&list, &out->block, detail);
    }
    if (result == 0 && out->block.block.size == 0) { /* of it only its name came */
        out->block.block = (struct stoa_bytes){NULL, 0};
    }
    if (result == 0) {
        result = wire_field_read_u32(&list, &out->index, detail);
    }
    if (result == 0) {
        result = wire_field_read_fixed(&list, out->hash, sizeof(out->hash), detail);
    }
    if (result == 0) {
        result = read_place(&list, out->block.block, &out->transaction, detail);
    }
    if (result == 0) {
        result = read_place(&list, out->block.receipts, &out->receipt, detail);
    }
    if (result == 0) {
        result = wire_field_read_rest(&list, &sender, detail);
    }
    if (result == 0 && sender.data != NULL && sender.size != 20) {
        result = error_set(detail, STOA_EINVAL, "a sender of %zu bytes", sender.size);
    }
    out->sender = sender.data;
    return result;
}

static int read_value(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(cursor, &string, detail);
    if (result != 0) {
        return result;
    }
    uint8_t *copy = memory_alloc(string.size);
    if (copy == NULL) {
        return error_set(detail, STOA_ENOMEM, "a value");
    }
    if (string.size != 0) {
        memcpy(copy, string.data, string.size);
    }
    *out = (struct stoa_bytes){copy, string.size};
    return 0;
}

void *wire_reply_take(struct wire_reply_room *room, size_t size)
{
    uint8_t *taken = room->at;
    ensure(size <= room->left);
    room->at += size;
    room->left -= size;
    return taken;
}

/* A list of strings, views into memory that stays. */
static int read_nodes(struct bytes *cursor, struct wire_reply_room *room,
                      const struct stoa_bytes **out, size_t *out_count, struct error_detail *detail)
{
    struct bytes list;
    size_t count;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = rlp_count(list, &count, detail);
    }
    if (result != 0) {
        return result;
    }
    struct stoa_bytes *nodes = wire_reply_take(room, count * sizeof(*nodes));
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = wire_field_read_bytes(&list, &nodes[i], detail);
    }
    *out = nodes;
    *out_count = count;
    return result;
}

static int read_proof_parts(struct bytes list, struct wire_reply_room *room, struct stoa_proof *out,
                            struct error_detail *detail)
{
    struct bytes slots;
    int result = wire_reply_read_fields(&list, WIRE_STRUCT_PROOF, out, detail);
    if (result == 0) {
        result = read_nodes(&list, room, &out->nodes, &out->node_count, detail);
    }
    if (result == 0) {
        result = rlp_read_list(&list, &slots, detail);
    }
    if (result == 0) {
        result = rlp_count(slots, &out->slot_count, detail);
    }
    if (result != 0) {
        return result;
    }
    struct stoa_proof_slot *array = wire_reply_take(room, out->slot_count * sizeof(*array));
    out->slots = array;
    for (size_t i = 0; result == 0 && i < out->slot_count; i++) {
        struct bytes slot;
        result = rlp_read_list(&slots, &slot, detail);
        if (result == 0) {
            result = rlp_read_uint256(&slot, array[i].key, detail);
        }
        if (result == 0) {
            result = rlp_read_uint256(&slot, array[i].value, detail);
        }
        if (result == 0) {
            result = read_nodes(&slot, room, &array[i].nodes, &array[i].node_count, detail);
        }
    }
    return result;
}

/* One piece of memory: the proof, its arrays, and a copy of the encoding that they point into. No
 * array can have more items than the encoding has bytes, and each byte is the first of one item at
 * most: so the largest struct a byte is enough. */
static int read_proof(struct bytes *cursor, struct stoa_proof **out, struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(cursor, &list, detail);
    if (result != 0) {
        return result;
    }
    if (list.size > WIRE_PAYLOAD_MAX / 128) {
        return error_set(detail, STOA_ETOOBIG, "a proof of %zu bytes", list.size);
    }
    size_t arrays = list.size * sizeof(struct stoa_proof_slot);
    struct stoa_proof *proof = wire_reply_make(1, sizeof(*proof), arrays + list.size);
    if (proof == NULL) {
        return error_set(detail, STOA_ENOMEM, "a proof");
    }
    struct wire_reply_room room = {(uint8_t *)(proof + 1), arrays};
    uint8_t *copy = (uint8_t *)(proof + 1) + arrays;
    if (list.size != 0) {
        memcpy(copy, list.data, list.size);
    }
    result = read_proof_parts(bytes_of(copy, list.size), &room, proof, detail);
    if (result != 0) {
        memory_free(proof);
        return result;
    }
    *out = proof;
    return 0;
}

static int read_log(struct bytes *cursor, struct stoa_log *out, struct error_detail *detail)
{
    struct bytes list;
    struct bytes topics;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = wire_reply_read_fields(&list, WIRE_STRUCT_LOG, out, detail);
    }
    if (result == 0) {
        result = rlp_read_string(&list, &topics, detail);
    }
    if (result == 0 && (topics.size % 32 != 0 || topics.size > sizeof(out->topics))) {
        result = error_set(detail, STOA_EINVAL, "%zu bytes of topics", topics.size);
    }
    if (result == 0) {
        if (topics.size != 0) {
            memcpy(out->topics, topics.data, topics.size);
        }
        out->topic_count = (unsigned)(topics.size / 32);
        result = wire_field_read_bytes(&list, &out->data, detail);
    }
    return result;
}

/* What stands behind the items of a query. */
static int read_rest(struct bytes *list, int *out_more, struct stoa_cursor *out_cursor,
                     unsigned *out_missing, struct error_detail *detail)
{
    uint32_t more;
    int result = wire_field_read_u32(list, &more, detail);
    if (result == 0) {
        *out_more = (int)more;
        result = wire_reply_read_list(list, WIRE_STRUCT_CURSOR, out_cursor, detail);
    }
    return result == 0 ? wire_field_read_u32(list, out_missing, detail) : result;
}

static int read_logs(struct bytes *cursor, struct stoa_logs *out, struct error_detail *detail)
{
    struct bytes list;
    struct bytes items;
    struct stoa_log *logs = NULL;
    size_t count = 0;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = rlp_read_list(&list, &items, detail);
    }
    if (result == 0) {
        result = wire_reply_count_items(items, sizeof(*logs), &count, detail);
    }
    if (result != 0) {
        return result;
    }
    /* The logs, then a copy of what their data lies in. */
    logs = wire_reply_make(count, sizeof(*logs), items.size);
    if (logs == NULL) {
        return error_set(detail, STOA_ENOMEM, "logs");
    }
    if (items.size != 0) {
        memcpy(logs + count, items.data, items.size);
    }
    items.data = (const uint8_t *)(logs + count);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = read_log(&items, &logs[i], detail);
    }
    if (result == 0) {
        result = read_rest(&list, &out->more, &out->cursor, &out->missing, detail);
    }
    if (result == 0) {
        result = rlp_read_uint64(&list, &out->missing_height, detail);
    }
    if (result != 0) {
        memory_free(logs);
        return result;
    }
    out->logs = logs;
    out->count = count;
    return 0;
}

/* The next list of CURSOR as an array of objects of SIZE. */
static int read_array(struct bytes *cursor, enum wire_reply_struct which, size_t size,
                      void **out_array, size_t *out_count, struct error_detail *detail)
{
    struct bytes items;
    size_t count = 0;
    int result = rlp_read_list(cursor, &items, detail);
    if (result == 0) {
        result = wire_reply_count_items(items, size, &count, detail);
    }
    if (result != 0) {
        return result;
    }
    uint8_t *array = wire_reply_make(count, size, 0);
    if (array == NULL) {
        return error_set(detail, STOA_ENOMEM, "a list");
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = wire_reply_read_list(&items, which, array + i * size, detail);
    }
    if (result != 0) {
        memory_free(array);
        return result;
    }
    *out_array = array;
    *out_count = count;
    return 0;
}

static int read_history(struct bytes *cursor, struct stoa_history *out, struct error_detail *detail)
{
    struct bytes list;
    void *array = NULL;
    int result = rlp_read_list(cursor, &list, detail);
    if (result == 0) {
        result = read_array(&list, WIRE_STRUCT_HISTORY_ENTRY, sizeof(struct stoa_history_entry),
                            &array, &out->count, detail);
    }
    if (result == 0) {
        result = read_rest(&list, &out->more, &out->cursor, &out->missing, detail);
    }
    if (result != 0) {
        memory_free(array);
        return result;
    }
    out->entries = array;
    return 0;
}

static int read_headers(struct bytes *cursor, struct stoa_headers *out, struct error_detail *detail)
{
    struct bytes items;
    size_t count = 0;
    int result = rlp_read_list(cursor, &items, detail);
    if (result == 0) {
        result = wire_reply_count_items(items, sizeof(struct stoa_header), &count, detail);
    }
    if (result != 0) {
        return result;
    }
    struct stoa_header *headers = wire_reply_make(count, sizeof(*headers), items.size);
    if (headers == NULL) {
        return error_set(detail, STOA_ENOMEM, "headers");
    }
    if (items.size != 0) {
        memcpy(headers + count, items.data, items.size);
    }
    items.data = (const uint8_t *)(headers + count);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = read_header(&items, &headers[i], detail);
    }
    if (result != 0) {
        memory_free(headers);
        return result;
    }
    *out = (struct stoa_headers){headers, count};
    return 0;
}

int wire_reply_read_part(struct bytes payload, struct stoa_block **blocks, size_t *count,
                         struct error_detail *detail)
{
    struct bytes list;
    size_t more = 0;
    int result = rlp_read_list(&payload, &list, detail);
    if (result == 0) {
        result = rlp_expect_end(payload, detail);
    }
    if (result == 0) {
        result = wire_reply_count_items(list, sizeof(struct stoa_block), &more, detail);
    }
    if (result == 0 &&
        more > STOA_RANGE_MAX - (*count < STOA_RANGE_MAX ? *count : STOA_RANGE_MAX)) {
        result = error_set(detail, STOA_EINVAL, "more blocks than may be asked for");
    }
    if (result != 0) {
        return result;
    }
    struct stoa_block *grown = memory_resize(*blocks, (*count + more + 1) * sizeof(*grown));
    if (grown == NULL) {
        return error_set(detail, STOA_ENOMEM, "blocks");
    }
    *blocks = grown;
    memset(grown + *count, 0, more * sizeof(*grown));
    for (size_t i = 0; result == 0 && i < more; i++) {
        result = read_block(&list, &grown[*count + i], detail);
    }
    if (result == 0) {
        *count += more;
    }
    return result;
}

/* The rest of a range, a list at the front of CURSOR. */
static int read_blocks(struct bytes *cursor, struct stoa_completion *out,
                       struct error_detail *detail)
{
    struct rlp_item item;
    int result = rlp_read(cursor, &item, detail);
    return result == 0
               ? wire_reply_read_part(item.encoding, &out->blocks, &out->block_count, detail)
               : result;
}

static int read_body(enum wire_reply_shape shape, struct bytes *cursor, struct stoa_completion *out,
                     const struct reading *reading)
{
    struct error_detail *detail = reading->detail;
    void *report = NULL;
    int result = 0;
    switch (shape) {
    case WIRE_REPLY_BLOCK:
        reading->held->block = true;
        return read_block(cursor, &out->block, detail);
    case WIRE_REPLY_BLOCKS:
        reading->held->blocks = true;
        return read_blocks(cursor, out, detail);
    case WIRE_REPLY_HEADER:
        reading->held->header = true;
        return read_header(cursor, &out->header, detail);
    case WIRE_REPLY_HEADERS:
        return read_headers(cursor, &out->headers, detail);
    case WIRE_REPLY_TRANSACTION:
        reading->held->transaction = true;
        return read_transaction(cursor, &out->transaction, detail);
    case WIRE_REPLY_VALUE:
        return read_value(cursor, &out->value, detail);
    case WIRE_REPLY_ACCOUNT:
        return wire_reply_read_list(cursor, WIRE_STRUCT_ACCOUNT, &out->account, detail);
    case WIRE_REPLY_PROOF:
        return read_proof(cursor, &out->proof, detail);
    case WIRE_REPLY_LOGS:
        return read_logs(cursor, &out->logs, detail);
    case WIRE_REPLY_HISTORY:
        return read_history(cursor, &out->history, detail);
    case WIRE_REPLY_HEAD:
        return wire_reply_read_list(cursor, WIRE_STRUCT_HEAD, &out->head, detail);
    case WIRE_REPLY_STATS:
        result = wire_reply_read_report(cursor, WIRE_STRUCT_STATS, sizeof(*out->stats), true,
                                        &report, detail);
        out->stats = report;
        return result;
    case WIRE_REPLY_CACHE_STATS:
        return wire_reply_read_cache_stats(cursor, &out->cache_stats, detail);
    case WIRE_REPLY_HEALTH:
        return wire_reply_read_health(cursor, &out->health, detail);
    case WIRE_REPLY_ANALYSIS:
        result = wire_reply_read_report(cursor, WIRE_STRUCT_ANALYSIS, sizeof(*out->analysis), true,
                                        &report, detail);
        out->analysis = report;
        return result;
    case WIRE_REPLY_VERIFIED:
        return wire_reply_read_verified(cursor, out, detail);
    case WIRE_REPLY_BRANCHES:
        result = read_array(cursor, WIRE_STRUCT_BRANCH, sizeof(struct stoa_branch), &report,
                            &out->branch_count, detail);
        out->branches = report;
        return result;
    case WIRE_REPLY_COPIES:
        return wire_reply_read_copies(cursor, out, detail);
    case WIRE_REPLY_ARCHIVE:
        return wire_reply_read_archive(cursor, &out->archive, detail);
    case WIRE_REPLY_STORAGE:
        return wire_reply_read_storage(cursor, &out->storage, detail);
    case WIRE_REPLY_JOBS:
        return wire_reply_read_jobs(cursor, out, detail);
    case WIRE_REPLY_NOTHING:
    case WIRE_REPLY_UNKNOWN:
        break;
    }
    return 0;
}

/* What every reply has. */
static int read_common(struct bytes *list, struct stoa_completion *out, struct error_detail *detail)
{
    struct bytes told = {.data = NULL};
    struct bytes text = {.data = NULL};
    uint32_t effect;
    uint32_t os_error = 0;
    int result = wire_field_read_u32(list, &effect, detail);
    if (result == 0 && effect > STOA_EFFECT_UNKNOWN) {
        result = error_set(detail, STOA_EINVAL, "effect %u", effect);
    }
    if (result == 0) {
        out->effect = (enum stoa_effect)effect;
        result = wire_field_read_u32(list, &out->tries, detail);
    }
    if (result == 0) {
        result = rlp_read_list(list, &told, detail);
    }
    bool has_detail = result == 0 && told.size != 0;
    if (has_detail) {
        result = wire_field_read_u32(&told, &os_error, detail);
        if (result == 0) {
            result = rlp_read_string(&told, &text, detail);
        }
    }
    if (result == 0 && list->size != 0) {
        result = wire_field_read_fixed(list, out->hash, sizeof(out->hash), detail);
    }
    if (result == 0 && list->size != 0) {
        result = rlp_read_uint64(list, &out->height, detail);
    }
    if (result == 0 && has_detail) {
        size_t length =
            text.size < sizeof(out->detail.text) ? text.size : sizeof(out->detail.text) - 1;
        if (length != 0) {
            memcpy(out->detail.text, text.data, length);
        }
        out->detail.code = out->result;
        out->detail.os_error = (int)os_error;
    }
    return result;
}

int wire_reply_read(enum stoa_message message, int result, struct bytes payload,
                    struct stoa_completion *out, struct wire_reply_held *out_held,
                    struct error_detail *detail)
{
    struct bytes list;
    struct stoa_completion own = {.message = message, .result = result};
    struct wire_reply_held held = {.block = false};
    struct reading reading = {detail, &held};
    int read = rlp_read_list(&payload, &list, detail);
    if (read == 0) {
        read = rlp_expect_end(payload, detail);
    }
    if (read == 0) {
        read = read_common(&list, &own, detail);
    }
    if (read == 0 && list.size != 0) {
        read = read_body(wire_message_reply(message), &list, &own, &reading);
    } else if (read == 0 && result == 0 && wire_message_reply(message) != WIRE_REPLY_NOTHING) {
        read = error_set(detail, STOA_EINVAL, "the answer is missing");
    }
    if (read != 0) {
        memory_free(own.blocks); /* all else is made last */
        (void)error_prefix(detail, "reply of %s", stoa_message_name(message)); /* returned */
        return read;
    }
    *out = own;
    *out_held = held;
    return 0;
}
