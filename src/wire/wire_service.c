/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_service.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "wire/wire_argument_private.h"
#include "wire/wire_field.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct wire_field metric_fields[] = {
    WIRE_FIELD(struct stoa_metric, kind, WIRE_INT),
    WIRE_FIELD(struct stoa_metric, value, WIRE_DOUBLE),
    WIRE_FIELD(struct stoa_metric, count, WIRE_U64),
    WIRE_FIELD(struct stoa_metric, sum, WIRE_DOUBLE),
    WIRE_FIELD(struct stoa_metric, max, WIRE_DOUBLE),
    WIRE_FIELD(struct stoa_metric, p50, WIRE_DOUBLE),
    WIRE_FIELD(struct stoa_metric, p95, WIRE_DOUBLE),
    WIRE_FIELD(struct stoa_metric, p99, WIRE_DOUBLE),
};

static const struct wire_field letter_fields[] = {
    WIRE_FIELD(struct stoa_dead_letter, id, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter, correlation_id, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter, message, WIRE_INT),
    WIRE_FIELD(struct stoa_dead_letter, reason, WIRE_INT),
    WIRE_FIELD(struct stoa_dead_letter, tries, WIRE_U32),
    WIRE_FIELD(struct stoa_dead_letter, age_ms, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter, text, WIRE_TEXT),
};

static const struct wire_field counts_fields[] = {
    WIRE_FIELD(struct stoa_dead_letter_counts, kept, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter_counts, kept_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter_counts, added, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter_counts, retried, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter_counts, dropped, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter_counts, aged, WIRE_U64),
    WIRE_FIELD(struct stoa_dead_letter_counts, displaced, WIRE_U64),
};

static const struct wire_field changes_fields[] = {
    WIRE_FIELD(struct stoa_block_changes, hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_block_changes, height, WIRE_U64),
    WIRE_FIELD(struct stoa_block_changes, complete, WIRE_INT),
};

static const struct wire_field slot_fields[] = {
    WIRE_FIELD(struct stoa_slot_changed, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_slot_changed, slot_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_slot_changed, value, WIRE_U256),
};

void wire_service_write_number(struct wire_writer *writer, uint64_t number)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_writer_u64(writer, number);
    wire_writer_end(writer, mark);
}

int wire_service_read_number(struct bytes payload, uint64_t *out, struct error_detail *detail)
{
    struct bytes list;
    uint64_t number = 0;
    int result = rlp_read_list(&payload, &list, detail);
    if (result == 0) {
        result = rlp_expect_end(payload, detail);
    }
    if (result == 0 && list.size != 0) {
        result = rlp_read_uint64(&list, &number, detail);
    }
    if (result == 0) {
        *out = number;
    }
    return result;
}

struct wire_mark wire_service_begin(struct wire_writer *writer, const struct stoa_detail *detail)
{
    struct wire_mark mark = wire_writer_list(writer);
    bool failed = detail != NULL && (detail->code != 0 || detail->text[0] != '\0');
    wire_writer_u64(writer, failed ? STOA_EFFECT_NONE : STOA_EFFECT_DONE);
    wire_writer_u64(writer, 1);
    struct wire_mark list = wire_writer_list(writer);
    if (failed) {
        wire_writer_u64(writer, (uint32_t)detail->os_error);
        wire_writer_text(writer, detail->text);
    }
    wire_writer_end(writer, list);
    wire_writer_string(writer, NULL, 0); /* no hash */
    wire_writer_u64(writer, 0);          /* no height */
    return mark;
}

void wire_service_end(struct wire_writer *writer, struct wire_mark mark)
{
    wire_writer_end(writer, mark);
}

int wire_service_read(struct bytes payload, int result, struct stoa_detail *out_detail,
                      struct bytes *out_body, struct error_detail *detail)
{
    struct bytes list;
    struct bytes told = {.data = NULL};
    struct rlp_item passed;
    struct bytes text = {.data = NULL};
    uint32_t os_error = 0;
    int read = rlp_read_list(&payload, &list, detail);
    for (int i = 0; read == 0 && i < 2; i++) { /* effect and tries */
        read = rlp_read(&list, &passed, detail);
    }
    if (read == 0) {
        read = rlp_read_list(&list, &told, detail);
    }
    if (read == 0 && told.size != 0) {
        read = wire_field_read_u32(&told, &os_error, detail);
        if (read == 0) {
            read = rlp_read_string(&told, &text, detail);
        }
    }
    for (int i = 0; read == 0 && i < 2 && list.size != 0; i++) { /* hash and height */
        read = rlp_read(&list, &passed, detail);
    }
    if (read != 0) {
        return read;
    }
    *out_detail = (struct stoa_detail){.code = result, .os_error = (int)os_error};
    size_t length = text.size < sizeof(out_detail->text) ? text.size : sizeof(out_detail->text) - 1;
    if (length != 0) {
        memcpy(out_detail->text, text.data, length);
    }
    *out_body = list;
    return 0;
}

void wire_service_write_text(struct wire_writer *writer, const char *text, size_t size)
{
    wire_writer_long(writer, text, size);
}

int wire_service_read_text(struct bytes *body, char **out_text, size_t *out_size,
                           struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(body, &string, detail);
    char *copy = result == 0 ? memory_alloc(string.size + 1) : NULL;
    if (copy == NULL) {
        return result != 0 ? result : error_set(detail, STOA_ENOMEM, "a text");
    }
    if (string.size != 0) {
        memcpy(copy, string.data, string.size);
    }
    copy[string.size] = '\0';
    *out_text = copy;
    *out_size = string.size;
    return 0;
}

void wire_service_write_metric(struct wire_writer *writer, const struct stoa_metric *metric)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_field_write(writer, metric_fields, COUNT(metric_fields), metric);
    wire_writer_text(writer, metric->name);
    wire_writer_text(writer, metric->help);
    wire_writer_text(writer, metric->label != NULL ? metric->label : "");
    wire_writer_text(writer, metric->label_value != NULL ? metric->label_value : "");
    wire_writer_end(writer, mark);
}

int wire_service_read_metric(struct bytes *body, char *texts, struct stoa_metric *out,
                             struct error_detail *detail)
{
    const char *read[4] = {NULL, NULL, NULL, NULL};
    struct bytes list;
    struct stoa_metric metric = {.size = sizeof(metric)};
    int result = rlp_read_list(body, &list, detail);
    if (result == 0) {
        result = wire_field_read(&list, metric_fields, COUNT(metric_fields), &metric, detail);
    }
    for (int i = 0; result == 0 && i < 4; i++) {
        struct bytes string;
        result = rlp_read_string(&list, &string, detail);
        if (result == 0) {
            if (string.size != 0) {
                memcpy(texts, string.data, string.size);
            }
            texts[string.size] = '\0';
            read[i] = texts;
            texts += string.size + 1;
        }
    }
    if (result == 0) {
        metric.name = read[0];
        metric.help = read[1];
        metric.label = read[2][0] == '\0' ? NULL : read[2];
        metric.label_value = read[2][0] == '\0' ? NULL : read[3];
        *out = metric;
    }
    return result;
}

void wire_service_write_letter(struct wire_writer *writer, const struct stoa_dead_letter *letter)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_field_write(writer, letter_fields, COUNT(letter_fields), letter);
    wire_writer_end(writer, mark);
}

int wire_service_read_letter(struct bytes *body, struct stoa_dead_letter *out,
                             struct error_detail *detail)
{
    *out = (struct stoa_dead_letter){.id = 0};
    return wire_field_read_list(body, letter_fields, COUNT(letter_fields), out, detail);
}

void wire_service_write_counts(struct wire_writer *writer,
                               const struct stoa_dead_letter_counts *counts)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_field_write(writer, counts_fields, COUNT(counts_fields), counts);
    wire_writer_end(writer, mark);
}

int wire_service_read_counts(struct bytes *body, struct stoa_dead_letter_counts *out,
                             struct error_detail *detail)
{
    *out = (struct stoa_dead_letter_counts)STOA_DEAD_LETTER_COUNTS_INIT;
    return wire_field_read_list(body, counts_fields, COUNT(counts_fields), out, detail);
}

static void write_objects(struct wire_writer *writer, const struct wire_field *fields,
                          size_t field_count, const void *objects, size_t size, size_t count)
{
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < count; i++) {
        struct wire_mark one = wire_writer_list(writer);
        wire_field_write(writer, fields, field_count, (const uint8_t *)objects + i * size);
        wire_writer_end(writer, one);
    }
    wire_writer_end(writer, list);
}

void wire_service_write_changes(struct wire_writer *writer, const struct stoa_block_changes *own)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_field_write(writer, changes_fields, COUNT(changes_fields), own);
    write_objects(writer, wire_argument_account, COUNT(wire_argument_account), own->accounts,
                  sizeof(*own->accounts), own->account_count);
    write_objects(writer, slot_fields, COUNT(slot_fields), own->slots, sizeof(*own->slots),
                  own->slot_count);
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < own->code_count; i++) {
        wire_writer_string(writer, own->codes[i].data, own->codes[i].size);
    }
    wire_writer_end(writer, list);
    list = wire_writer_list(writer);
    for (size_t i = 0; i < own->change_count; i++) {
        struct wire_mark one = wire_writer_list(writer);
        wire_writer_string(writer, own->changes[i].key.data, own->changes[i].key.size);
        wire_writer_optional(writer, own->changes[i].value.data, own->changes[i].value.size);
        wire_writer_end(writer, one);
    }
    wire_writer_end(writer, list);
    wire_writer_end(writer, mark);
}

/* The lists of a block's changes, in their order, and how many items each has. */
struct lists {
    struct bytes list[4];
    size_t count[4];
};

static int read_lists(struct bytes *fields, struct lists *out, struct error_detail *detail)
{
    int result = 0;
    for (int i = 0; result == 0 && i < 4; i++) {
        result = rlp_read_list(fields, &out->list[i], detail);
        if (result == 0) {
            result = rlp_count(out->list[i], &out->count[i], detail);
        }
    }
    return result;
}

static int read_objects(struct bytes list, const struct wire_field *fields, size_t field_count,
                        uint8_t *objects, size_t size, size_t count, struct error_detail *detail)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = wire_field_read_list(&list, fields, field_count, objects + i * size, detail);
    }
    return result;
}

static int read_view(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(cursor, &string, detail);
    if (result == 0) {
        *out = (struct stoa_bytes){string.data, string.size};
    }
    return result;
}

static int read_raw(struct bytes list, struct stoa_change *changes, size_t count,
                    struct error_detail *detail)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct bytes one;
        struct bytes value = {.data = NULL};
        result = rlp_read_list(&list, &one, detail);
        if (result == 0) {
            result = read_view(&one, &changes[i].key, detail);
        }
        if (result == 0) {
            result = wire_field_read_optional(&one, &value, detail);
        }
        changes[i].value = (struct stoa_bytes){value.data, value.size};
    }
    return result;
}

/* All arrays in the memory behind OWN, in the order of LISTS, whose bytes stay. */
static int fill_changes(const struct lists *lists, struct stoa_block_changes *own,
                        struct error_detail *detail)
{
    struct stoa_change *changes = (struct stoa_change *)(own + 1);
    struct stoa_bytes *codes = (struct stoa_bytes *)(changes + lists->count[3]);
    struct stoa_account_change *accounts = (struct stoa_account_change *)(codes + lists->count[2]);
    struct stoa_slot_changed *slots = (struct stoa_slot_changed *)(accounts + lists->count[0]);
    own->accounts = accounts;
    own->account_count = lists->count[0];
    own->slots = slots;
    own->slot_count = lists->count[1];
    own->codes = codes;
    own->code_count = lists->count[2];
    own->changes = changes;
    own->change_count = lists->count[3];
    int result = read_objects(lists->list[0], wire_argument_account, COUNT(wire_argument_account),
                              (uint8_t *)accounts, sizeof(*accounts), lists->count[0], detail);
    if (result == 0) {
        result = read_objects(lists->list[1], slot_fields, COUNT(slot_fields), (uint8_t *)slots,
                              sizeof(*slots), lists->count[1], detail);
    }
    struct bytes list = lists->list[2];
    for (size_t i = 0; result == 0 && i < lists->count[2]; i++) {
        result = read_view(&list, &codes[i], detail);
    }
    return result == 0 ? read_raw(lists->list[3], changes, lists->count[3], detail) : result;
}

int wire_service_read_changes(struct bytes *body, struct stoa_block_changes **out,
                              struct error_detail *detail)
{
    struct bytes fields;
    struct lists lists;
    struct stoa_block_changes head = {.height = 0};
    int result = rlp_read_list(body, &fields, detail);
    struct bytes encoding = fields;
    if (result == 0) {
        result = wire_field_read(&fields, changes_fields, COUNT(changes_fields), &head, detail);
    }
    if (result == 0) {
        result = read_lists(&fields, &lists, detail);
    }
    if (result != 0) {
        return result;
    }
    size_t arrays = lists.count[0] * sizeof(struct stoa_account_change) +
                    lists.count[1] * sizeof(struct stoa_slot_changed) +
                    lists.count[2] * sizeof(struct stoa_bytes) +
                    lists.count[3] * sizeof(struct stoa_change);
    struct stoa_block_changes *own = memory_alloc_zeroed(1, sizeof(*own) + arrays + encoding.size);
    if (own == NULL) {
        return error_set(detail, STOA_ENOMEM, "changes");
    }
    *own = head;
    uint8_t *copy = (uint8_t *)(own + 1) + arrays;
    memcpy(copy, encoding.data, encoding.size);
    for (int i = 0; i < 4; i++) { /* strings are views into the copy */
        lists.list[i].data = copy + (lists.list[i].data - encoding.data);
    }
    result = fill_changes(&lists, own, detail);
    if (result != 0) {
        memory_free(own);
        return result;
    }
    *out = own;
    return 0;
}
