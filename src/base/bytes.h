/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bytes.h: views of bytes, integers in a stated byte order, hex. Nothing here allocates or keeps
 * state. */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view: whoever hands it out says how long DATA lives. DATA may be NULL where SIZE is 0. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = data, .size = size};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Order of table keys: byte by byte, a prefix before what it begins. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static inline uint16_t bytes_load_le16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static inline uint32_t bytes_load_le32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static inline uint64_t bytes_load_le64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static inline void bytes_store_le16(uint8_t *p, uint16_t value)
{
    memcpy(p, &value, sizeof(value));
}

static inline void bytes_store_le32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, sizeof(value));
}

static inline void bytes_store_le64(uint8_t *p, uint64_t value)
{
    memcpy(p, &value, sizeof(value));
}

static inline uint16_t bytes_load_be16(const uint8_t *p)
{
    return __builtin_bswap16(bytes_load_le16(p));
}

static inline uint32_t bytes_load_be32(const uint8_t *p)
{
    return __builtin_bswap32(bytes_load_le32(p));
}

static inline uint64_t bytes_load_be64(const uint8_t *p)
{
    return __builtin_bswap64(bytes_load_le64(p));
}

static inline void bytes_store_be16(uint8_t *p, uint16_t value)
{
    bytes_store_le16(p, __builtin_bswap16(value));
}

static inline void bytes_store_be32(uint8_t *p, uint32_t value)
{
    bytes_store_le32(p, __builtin_bswap32(value));
}

static inline void bytes_store_be64(uint8_t *p, uint64_t value)
{
    bytes_store_le64(p, __builtin_bswap64(value));
}

/* Write SIZE bytes as 2 * SIZE lower-case hex digits and a terminator to OUT. */
void bytes_to_hex(const void *data, size_t size, char *out);

/* Read LENGTH hex digits, an optional 0x before them, into OUT (room for CAPACITY bytes). Returns
 * the number of bytes, or -1 for an odd count, a character that is no hex digit, or more than
 * CAPACITY bytes. */
ptrdiff_t bytes_from_hex(const char *text, size_t length, void *out, size_t capacity);

#endif
