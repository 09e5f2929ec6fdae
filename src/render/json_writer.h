/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_writer.h: JSON text, written front to back into a buffer, compact, with the value forms of
 * Ethereum's JSON-RPC: quantities as 0x-hex without leading zeros, byte strings as 0x-hex. One
 * thread.
 *
 * Each value takes the KEY it stands under, or NULL inside an array and at the top. The only thing
 * that can fail is memory: that is remembered and told by json_writer_finish, without which nobody
 * uses the text; checking each of a hundred fields would bury what is written. Misuse (a key in an
 * array, an end too many) is a bug. */
#ifndef JSON_WRITER_H
#define JSON_WRITER_H

#include <stdbool.h>

#include "base/buffer.h"

enum { JSON_WRITER_DEPTH_MAX = 64 };

struct json_writer {
    struct buffer *out;
    unsigned depth;
    uint64_t filled;  /* bit per depth: something stands before the next value */
    uint64_t objects; /* bit per depth: an object, not an array */
    int result;
};

/* What is written is appended to OUT, which outlives the writer. */
void json_writer_init(struct json_writer *writer, struct buffer *out);

void json_writer_object_begin(struct json_writer *writer, const char *key);
void json_writer_object_end(struct json_writer *writer);
void json_writer_array_begin(struct json_writer *writer, const char *key);
void json_writer_array_end(struct json_writer *writer);

/* TEXT is UTF-8; what JSON must escape is escaped. */
void json_writer_text(struct json_writer *writer, const char *key, const char *text);

/* "0x…", two digits a byte; "0x" for none. */
void json_writer_hex(struct json_writer *writer, const char *key, const void *data, size_t size);

/* The same, null where DATA is NULL. */
void json_writer_hex_or_null(struct json_writer *writer, const char *key, const void *data,
                             size_t size);

/* "0x…" without leading zeros, "0x0" for 0. */
void json_writer_quantity(struct json_writer *writer, const char *key, uint64_t value);
void json_writer_quantity256(struct json_writer *writer, const char *key,
                             const uint8_t big_endian[32]);

/* Plain JSON. VALUE of a real is finite; it is written with three decimals. */
void json_writer_number(struct json_writer *writer, const char *key, uint64_t value);
void json_writer_real(struct json_writer *writer, const char *key, double value);

/* The shortest decimal number that reads as VALUE, which is finite. */
void json_writer_double(struct json_writer *writer, const char *key, double value);
void json_writer_bool(struct json_writer *writer, const char *key, bool value);
void json_writer_null(struct json_writer *writer, const char *key);

/* Everything begun is ended. STOA_ENOMEM where something could not be appended. */
int json_writer_finish(const struct json_writer *writer);

#endif
