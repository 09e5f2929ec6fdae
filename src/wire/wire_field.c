/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_field.h"

#include <string.h>

#include "base/ensure.h"
#include "chain/rlp.h"

void wire_field_write_fixed(struct wire_writer *writer, const uint8_t *data, size_t size)
{
    bool zero = true;
    for (size_t i = 0; zero && i < size; i++) {
        zero = data[i] == 0;
    }
    wire_writer_string(writer, data, zero ? 0 : size);
}

static void write_double(struct wire_writer *writer, const uint8_t *at)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, at, sizeof(bits));
    bytes_store_be64(bytes, bits);
    wire_field_write_fixed(writer, bytes, sizeof(bytes));
}

static void write_field(struct wire_writer *writer, const struct wire_field *field,
                        const uint8_t *at)
{
    uint64_t wide;
    uint32_t narrow;
    switch ((enum wire_kind)field->kind) {
    case WIRE_U64:
        ensure(field->size == sizeof(wide));
        memcpy(&wide, at, sizeof(wide));
        wire_writer_u64(writer, wide);
        break;
    case WIRE_U32:
    case WIRE_INT:
        ensure(field->size == sizeof(narrow));
        memcpy(&narrow, at, sizeof(narrow));
        wire_writer_u64(writer, narrow);
        break;
    case WIRE_FIXED:
        wire_field_write_fixed(writer, at, field->size);
        break;
    case WIRE_U256:
        ensure(field->size == 32);
        wire_writer_u256(writer, at);
        break;
    case WIRE_TEXT:
        wire_writer_string(writer, at, strnlen((const char *)at, field->size));
        break;
    case WIRE_DOUBLE:
        ensure(field->size == sizeof(double));
        write_double(writer, at);
        break;
    }
}

void wire_field_write(struct wire_writer *writer, const struct wire_field *fields, size_t count,
                      const void *object)
{
    for (size_t i = 0; i < count; i++) {
        write_field(writer, &fields[i], (const uint8_t *)object + fields[i].offset);
    }
}

int wire_field_read_fixed(struct bytes *cursor, uint8_t *out, size_t size,
                          struct error_detail *detail)
{
    struct bytes after = *cursor;
    struct bytes string;
    int result = rlp_read_string(&after, &string, detail);
    if (result != 0) {
        return result;
    }
    if (string.size != 0 && string.size != size) {
        return error_set(detail, STOA_EINVAL, "%zu bytes instead of %zu", string.size, size);
    }
    memset(out, 0, size);
    if (string.size != 0) {
        memcpy(out, string.data, size);
    }
    *cursor = after;
    return 0;
}

int wire_field_read_u32(struct bytes *cursor, uint32_t *out, struct error_detail *detail)
{
    struct bytes after = *cursor;
    uint64_t value;
    int result = rlp_read_uint64(&after, &value, detail);
    if (result == 0 && value > UINT32_MAX) {
        result = error_set(detail, STOA_EINVAL, "more than 32 bits");
    }
    if (result == 0) {
        *out = (uint32_t)value;
        *cursor = after;
    }
    return result;
}

int wire_field_read_optional(struct bytes *cursor, struct bytes *out, struct error_detail *detail)
{
    struct bytes after = *cursor;
    struct bytes list;
    struct bytes string = {.data = NULL};
    int result = rlp_read_list(&after, &list, detail);
    if (result == 0 && list.size != 0) {
        result = rlp_read_string(&list, &string, detail);
    }
    if (result == 0 && list.size != 0) {
        result = rlp_expect_end(list, detail);
    }
    if (result == 0) {
        *out = string;
        *cursor = after;
    }
    return result;
}

static int read_double(struct bytes *cursor, uint8_t *at, struct error_detail *detail)
{
    uint8_t bytes[8];
    int result = wire_field_read_fixed(cursor, bytes, sizeof(bytes), detail);
    if (result == 0) {
        uint64_t bits = bytes_load_be64(bytes);
        memcpy(at, &bits, sizeof(bits));
    }
    return result;
}

static int read_text(struct bytes *cursor, char *at, size_t size, struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(cursor, &string, detail);
    if (result == 0) {
        size_t length = string.size < size ? string.size : size - 1; /* a longer one is cut */
        if (length != 0) {
            memcpy(at, string.data, length);
        }
        at[length] = '\0';
    }
    return result;
}

static int read_field(struct bytes *cursor, const struct wire_field *field, uint8_t *at,
                      struct error_detail *detail)
{
    uint64_t wide;
    uint32_t narrow;
    int result = STOA_EINVAL;
    switch ((enum wire_kind)field->kind) {
    case WIRE_U64:
        result = rlp_read_uint64(cursor, &wide, detail);
        if (result == 0) {
            memcpy(at, &wide, sizeof(wide));
        }
        break;
    case WIRE_U32:
    case WIRE_INT:
        result = wire_field_read_u32(cursor, &narrow, detail);
        if (result == 0) {
            memcpy(at, &narrow, sizeof(narrow));
        }
        break;
    case WIRE_FIXED:
        result = wire_field_read_fixed(cursor, at, field->size, detail);
        break;
    case WIRE_U256:
        result = rlp_read_uint256(cursor, at, detail);
        break;
    case WIRE_TEXT:
        result = read_text(cursor, (char *)at, field->size, detail);
        break;
    case WIRE_DOUBLE:
        result = read_double(cursor, at, detail);
        break;
    }
    return result;
}

int wire_field_read(struct bytes *cursor, const struct wire_field *fields, size_t count,
                    void *object, struct error_detail *detail)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < count && cursor->size != 0; i++) {
        result = read_field(cursor, &fields[i], (uint8_t *)object + fields[i].offset, detail);
        if (result != 0) {
            (void)error_prefix(detail, "item %zu", i); /* returned */
        }
    }
    return result;
}

int wire_field_read_list(struct bytes *cursor, const struct wire_field *fields, size_t count,
                         void *object, struct error_detail *detail)
{
    struct bytes list;
    int result = rlp_read_list(cursor, &list, detail);
    return result == 0 ? wire_field_read(&list, fields, count, object, detail) : result;
}

int wire_field_read_bytes(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail)
{
    struct bytes string;
    int result = rlp_read_string(cursor, &string, detail);
    if (result == 0) {
        *out = (struct stoa_bytes){string.data, string.size};
    }
    return result;
}

int wire_field_read_rest(struct bytes *cursor, struct stoa_bytes *out, struct error_detail *detail)
{
    struct bytes string = {.data = NULL};
    int result = cursor->size == 0 ? 0 : wire_field_read_optional(cursor, &string, detail);
    if (result == 0) {
        *out = (struct stoa_bytes){string.data, string.size};
    }
    return result;
}
