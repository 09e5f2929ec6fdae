/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ensure.h"

static void append(struct json_writer *writer, const void *data, size_t size)
{
    if (writer->result == 0) {
        writer->result = buffer_append(writer->out, data, size);
    }
}

static void append_text(struct json_writer *writer, const char *text)
{
    append(writer, text, strlen(text));
}

static void append_escaped(struct json_writer *writer, const char *text)
{
    append(writer, "\"", 1);
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', *p};
            append(writer, pair, sizeof(pair));
        } else if (c < 0x20) {
            char code[7];
            (void)snprintf(code, sizeof(code), "\\u%04x", (unsigned)c);
            append_text(writer, code);
        } else {
            append(writer, p, 1);
        }
    }
    append(writer, "\"", 1);
}

/* What stands before each value: a comma after another one, and its key. */
static void begin_value(struct json_writer *writer, const char *key)
{
    uint64_t bit = UINT64_C(1) << writer->depth;
    ensure((key != NULL) == ((writer->objects & bit) != 0));
    ensure(writer->depth > 0 || (writer->filled & bit) == 0);
    if ((writer->filled & bit) != 0) {
        append(writer, ",", 1);
    }
    writer->filled |= bit;
    if (key != NULL) {
        append_escaped(writer, key);
        append(writer, ":", 1);
    }
}

static void begin_level(struct json_writer *writer, const char *key, bool object)
{
    begin_value(writer, key);
    append_text(writer, object ? "{" : "[");
    ensure(writer->depth + 1 < JSON_WRITER_DEPTH_MAX);
    writer->depth++;
    uint64_t bit = UINT64_C(1) << writer->depth;
    writer->filled &= ~bit;
    writer->objects = object ? writer->objects | bit : writer->objects & ~bit;
}

static void end_level(struct json_writer *writer, bool object)
{
    ensure(writer->depth > 0);
    ensure(((writer->objects >> writer->depth & 1) != 0) == object);
    writer->depth--;
    append_text(writer, object ? "}" : "]");
}

void json_writer_init(struct json_writer *writer, struct buffer *out)
{
    *writer = (struct json_writer){.out = out};
}

void json_writer_object_begin(struct json_writer *writer, const char *key)
{
    begin_level(writer, key, true);
}

void json_writer_object_end(struct json_writer *writer)
{
    end_level(writer, true);
}

void json_writer_array_begin(struct json_writer *writer, const char *key)
{
    begin_level(writer, key, false);
}

void json_writer_array_end(struct json_writer *writer)
{
    end_level(writer, false);
}

void json_writer_text(struct json_writer *writer, const char *key, const char *text)
{
    begin_value(writer, key);
    append_escaped(writer, text);
}

void json_writer_hex(struct json_writer *writer, const char *key, const void *data, size_t size)
{
    begin_value(writer, key);
    if (writer->result == 0) {
        writer->result = buffer_reserve(writer->out, 2 * size + 5);
    }
    if (writer->result != 0) {
        return;
    }
    char *end = (char *)writer->out->data + writer->out->size;
    memcpy(end, "\"0x", 3);
    bytes_to_hex(data, size, end + 3);
    end[3 + 2 * size] = '"';
    writer->out->size += 2 * size + 4;
}

void json_writer_hex_or_null(struct json_writer *writer, const char *key, const void *data,
                             size_t size)
{
    if (data == NULL) {
        json_writer_null(writer, key);
    } else {
        json_writer_hex(writer, key, data, size);
    }
}

void json_writer_quantity(struct json_writer *writer, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "\"0x%" PRIx64 "\"", value);
    begin_value(writer, key);
    append_text(writer, text);
}

void json_writer_quantity256(struct json_writer *writer, const char *key,
                             const uint8_t big_endian[32])
{
    char text[2 * 32 + 1];
    bytes_to_hex(big_endian, 32, text);
    const char *digits = text;
    while (*digits == '0' && digits[1] != '\0') {
        digits++;
    }
    begin_value(writer, key);
    append_text(writer, "\"0x");
    append_text(writer, digits);
    append_text(writer, "\"");
}

void json_writer_number(struct json_writer *writer, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    begin_value(writer, key);
    append_text(writer, text);
}

void json_writer_real(struct json_writer *writer, const char *key, double value)
{
    ensure(isfinite(value));
    char text[400];
    (void)snprintf(text, sizeof(text), "%.3f", value);
    begin_value(writer, key);
    append_text(writer, text);
}

void json_writer_double(struct json_writer *writer, const char *key, double value)
{
    ensure(isfinite(value));
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    begin_value(writer, key);
    append_text(writer, text);
}

void json_writer_bool(struct json_writer *writer, const char *key, bool value)
{
    begin_value(writer, key);
    append_text(writer, value ? "true" : "false");
}

void json_writer_null(struct json_writer *writer, const char *key)
{
    begin_value(writer, key);
    append_text(writer, "null");
}

int json_writer_finish(const struct json_writer *writer)
{
    ensure(writer->depth == 0);
    return writer->result;
}
