/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/rlp.h"

#include <inttypes.h>

#include "base/ensure.h"

enum {
    SHORT_STRING = 0x80, /* + size up to SHORT_MAX */
    LONG_STRING = 0xb7,  /* + how many bytes the size has */
    SHORT_LIST = 0xc0,
    LONG_LIST = 0xf7,
    SHORT_MAX = 55
};

#define PEEK_MAX (UINT64_C(1) << 48)

struct prefix {
    bool list;
    size_t size;      /* of the prefix itself; 0 for a byte that stands for itself */
    uint64_t payload; /* size of what follows */
};

/* STOA_EBUSY: IN ends inside the prefix (or before the byte that says whether a string of one byte
 * is canonical). */
static int read_prefix(struct bytes in, struct prefix *out, struct error_detail *detail)
{
    if (in.size == 0) {
        return error_set(detail, STOA_EBUSY, "truncated: nothing there");
    }
    uint8_t first = in.data[0];
    if (first < SHORT_STRING) {
        *out = (struct prefix){.list = false, .size = 0, .payload = 1};
        return 0;
    }
    bool list = first >= SHORT_LIST;
    unsigned code = first - (list ? (unsigned)SHORT_LIST : (unsigned)SHORT_STRING);
    if (code <= SHORT_MAX) {
        *out = (struct prefix){.list = list, .size = 1, .payload = code};
        if (list || code != 1) {
            return 0;
        }
        if (in.size < 2) {
            return error_set(detail, STOA_EBUSY, "truncated: string of 1 byte, 0 there");
        }
        if (in.data[1] < SHORT_STRING) {
            return error_set(detail, STOA_EINVAL,
                             "not canonical: byte 0x%02x written as a string of one", in.data[1]);
        }
        return 0;
    }
    unsigned count = code - SHORT_MAX;
    if (in.size < 1 + (size_t)count) {
        return error_set(detail, STOA_EBUSY, "truncated: inside a length of %u bytes", count);
    }
    if (in.data[1] == 0) {
        return error_set(detail, STOA_EINVAL, "not canonical: length with a leading zero");
    }
    uint64_t payload = 0;
    for (unsigned i = 1; i <= count; i++) {
        payload = payload << 8 | in.data[i];
    }
    if (payload <= SHORT_MAX) {
        return error_set(detail, STOA_EINVAL,
                         "not canonical: length %" PRIu64 " written in the long form", payload);
    }
    *out = (struct prefix){.list = list, .size = 1 + (size_t)count, .payload = payload};
    return 0;
}

/* Detail texts may be wanted by nobody; what is on the way of good items stays short. */
static int read_item(struct bytes in, struct prefix *out, struct error_detail *detail)
{
    int result = read_prefix(in, out, detail);
    if (result == STOA_EBUSY) { /* there is no more to come */
        if (detail != NULL) {
            detail->code = STOA_EINVAL;
        }
        return STOA_EINVAL;
    }
    if (result != 0) {
        return result;
    }
    size_t there = in.size - out->size;
    if (out->payload > there) {
        return error_set(detail, STOA_EINVAL, "truncated: %s of %" PRIu64 " bytes, %zu there",
                         out->list ? "list" : "string", out->payload, there);
    }
    return 0;
}

static void advance(struct bytes *cursor, size_t size)
{
    ensure(size <= cursor->size);
    cursor->data += size;
    cursor->size -= size;
}

int rlp_read(struct bytes *cursor, struct rlp_item *out_item, struct error_detail *detail)
{
    struct prefix prefix = {0};
    int result = read_item(*cursor, &prefix, detail);
    if (result != 0) {
        return result;
    }
    size_t payload = (size_t)prefix.payload;
    out_item->list = prefix.list;
    out_item->payload = bytes_of(cursor->data + prefix.size, payload);
    out_item->encoding = bytes_of(cursor->data, prefix.size + payload);
    advance(cursor, prefix.size + payload);
    return 0;
}

static int read_payload(struct bytes *cursor, bool list, struct bytes *out,
                        struct error_detail *detail)
{
    struct prefix prefix = {0};
    int result = read_item(*cursor, &prefix, detail);
    if (result != 0) {
        return result;
    }
    if (prefix.list != list) {
        return error_set(detail, STOA_EINVAL, "%s where a %s belongs",
                         prefix.list ? "a list" : "a string", list ? "list" : "string");
    }
    *out = bytes_of(cursor->data + prefix.size, (size_t)prefix.payload);
    advance(cursor, prefix.size + out->size);
    return 0;
}

int rlp_read_list(struct bytes *cursor, struct bytes *out_payload, struct error_detail *detail)
{
    return read_payload(cursor, true, out_payload, detail);
}

int rlp_read_string(struct bytes *cursor, struct bytes *out_string, struct error_detail *detail)
{
    return read_payload(cursor, false, out_string, detail);
}

int rlp_read_fixed(struct bytes *cursor, size_t size, const uint8_t **out,
                   struct error_detail *detail)
{
    struct bytes rest = *cursor;
    struct bytes string = {0};
    int result = read_payload(&rest, false, &string, detail);
    if (result != 0) {
        return result;
    }
    if (string.size != size) {
        return error_set(detail, STOA_EINVAL, "%zu bytes instead of %zu", string.size, size);
    }
    *out = string.data;
    *cursor = rest;
    return 0;
}

/* The digits of an integer of at most MAX bytes; CURSOR goes on. */
static int read_integer(struct bytes *cursor, size_t max, struct bytes *out,
                        struct error_detail *detail)
{
    struct bytes rest = *cursor;
    int result = read_payload(&rest, false, out, detail);
    if (result != 0) {
        return result;
    }
    if (out->size > 0 && out->data[0] == 0) {
        return error_set(detail, STOA_EINVAL, "leading zero");
    }
    if (out->size > max) {
        return error_set(detail, STOA_EINVAL, "integer of %zu bytes, at most %zu", out->size, max);
    }
    *cursor = rest;
    return 0;
}

int rlp_read_uint64(struct bytes *cursor, uint64_t *out, struct error_detail *detail)
{
    struct bytes digits = {0};
    int result = read_integer(cursor, sizeof(uint64_t), &digits, detail);
    if (result != 0) {
        return result;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size; i++) {
        value = value << 8 | digits.data[i];
    }
    *out = value;
    return 0;
}

int rlp_read_uint256(struct bytes *cursor, uint8_t out[32], struct error_detail *detail)
{
    struct bytes digits = {0};
    int result = read_integer(cursor, 32, &digits, detail);
    if (result != 0) {
        return result;
    }
    memset(out, 0, 32 - digits.size);
    memcpy(out + 32 - digits.size, digits.data, digits.size);
    return 0;
}

int rlp_expect_end(struct bytes cursor, struct error_detail *detail)
{
    if (cursor.size == 0) {
        return 0;
    }
    return error_set(detail, STOA_EINVAL, "%zu byte%s after the end", cursor.size,
                     cursor.size == 1 ? "" : "s");
}

int rlp_count(struct bytes payload, size_t *out_count, struct error_detail *detail)
{
    size_t count = 0;
    for (; payload.size > 0; count++) {
        struct prefix prefix = {0};
        int result = read_item(payload, &prefix, detail);
        if (result != 0) {
            return result;
        }
        advance(&payload, prefix.size + (size_t)prefix.payload);
    }
    *out_count = count;
    return 0;
}

int rlp_peek_size(struct bytes head, uint64_t *out_size, struct error_detail *detail)
{
    struct prefix prefix = {0};
    int result = read_prefix(head, &prefix, detail);
    if (result != 0) {
        return result;
    }
    if (prefix.payload > PEEK_MAX - prefix.size) {
        return error_set(detail, STOA_EINVAL, "an item of %" PRIu64 " bytes, at most 2^48",
                         prefix.payload);
    }
    *out_size = prefix.size + prefix.payload;
    return 0;
}

/* How many bytes VALUE has without leading zeros. */
static unsigned significant_bytes(uint64_t value)
{
    return value == 0 ? 0 : 8 - (unsigned)__builtin_clzll(value) / 8;
}

static size_t prefix_size(uint64_t payload_size)
{
    return payload_size <= SHORT_MAX ? 1 : 1 + (size_t)significant_bytes(payload_size);
}

static void store_integer(uint8_t *to, uint64_t value, unsigned count)
{
    for (unsigned i = count; i > 0; i--) {
        to[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

/* Room for it is reserved. */
static void write_prefix(struct buffer *buffer, uint64_t payload_size, unsigned short_base)
{
    uint8_t *to = buffer->data + buffer->size;
    size_t size = prefix_size(payload_size);
    ensure(buffer->capacity - buffer->size >= size);
    if (payload_size <= SHORT_MAX) {
        to[0] = (uint8_t)(short_base + payload_size);
    } else {
        to[0] = (uint8_t)(short_base + SHORT_MAX + size - 1);
        store_integer(to + 1, payload_size, (unsigned)size - 1);
    }
    buffer->size += size;
}

int rlp_append_string(struct buffer *buffer, struct bytes string)
{
    int result = buffer_reserve(buffer, rlp_string_size(string));
    if (result != 0) {
        return result;
    }
    if (string.size != 1 || string.data[0] >= SHORT_STRING) {
        write_prefix(buffer, string.size, SHORT_STRING);
    }
    if (string.size > 0) {
        memcpy(buffer->data + buffer->size, string.data, string.size);
        buffer->size += string.size;
    }
    return 0;
}

int rlp_append_uint64(struct buffer *buffer, uint64_t value)
{
    uint8_t digits[sizeof(value)];
    unsigned count = significant_bytes(value);
    store_integer(digits, value, count);
    return rlp_append_string(buffer, bytes_of(digits, count));
}

int rlp_append_uint256(struct buffer *buffer, const uint8_t value[32])
{
    size_t zeros = 0;
    while (zeros < 32 && value[zeros] == 0) {
        zeros++;
    }
    return rlp_append_string(buffer, bytes_of(value + zeros, 32 - zeros));
}

int rlp_append_list_prefix(struct buffer *buffer, uint64_t payload_size)
{
    int result = buffer_reserve(buffer, prefix_size(payload_size));
    if (result == 0) {
        write_prefix(buffer, payload_size, SHORT_LIST);
    }
    return result;
}

size_t rlp_string_size(struct bytes string)
{
    bool bare = string.size == 1 && string.data[0] < SHORT_STRING;
    return bare ? 1 : prefix_size(string.size) + string.size;
}

size_t rlp_uint64_size(uint64_t value)
{
    return value < SHORT_STRING ? 1 : 1 + (size_t)significant_bytes(value);
}

size_t rlp_list_size(uint64_t payload_size)
{
    return prefix_size(payload_size) + (size_t)payload_size;
}
