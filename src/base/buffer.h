/* SPDX-License-Identifier: GPL-3.0-or-later */
/* buffer.h: bytes that grow. One owner, one thread. After a failed append the buffer is unchanged.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct buffer {
    uint8_t *data; /* owned; NULL while nothing was reserved */
    size_t size;
    size_t capacity;
};

void buffer_init(struct buffer *buffer);
void buffer_deinit(struct buffer *buffer);

/* Room for EXTRA more bytes without another allocation. STOA_ENOMEM. */
int buffer_reserve(struct buffer *buffer, size_t extra);

/* Append SIZE bytes. STOA_ENOMEM. */
int buffer_append(struct buffer *buffer, const void *data, size_t size);

/* Append formatted text, without its terminator. STOA_ENOMEM. */
int buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forget the contents, keep the memory. */
void buffer_clear(struct buffer *buffer);

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->data, buffer->size);
}

#endif
