/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){.data = NULL};
}

void buffer_deinit(struct buffer *buffer)
{
    memory_free(buffer->data);
    buffer_init(buffer);
}

int buffer_reserve(struct buffer *buffer, size_t extra)
{
    ensure(buffer->size <= buffer->capacity);
    if (buffer->capacity - buffer->size >= extra) {
        return 0;
    }
    size_t wanted;
    if (__builtin_add_overflow(buffer->size, extra, &wanted)) {
        return STOA_ENOMEM;
    }
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
    while (capacity < wanted) {
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity)) {
            capacity = wanted;
        }
    }
    uint8_t *data = memory_resize(buffer->data, capacity);
    if (data == NULL) {
        return STOA_ENOMEM;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    int result = buffer_reserve(buffer, size);
    if (result == 0) {
        memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
    }
    return result;
}

int buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ensure(length >= 0);
    int result = buffer_reserve(buffer, (size_t)length + 1);
    if (result != 0) {
        return result;
    }
    va_start(arguments, format);
    (void)vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)length;
    return 0;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}
