/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/bytes.h"

void bytes_to_hex(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    out[2 * size] = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

ptrdiff_t bytes_from_hex(const char *text, size_t length, void *out, size_t capacity)
{
    if (length >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
        length -= 2;
    }
    if (length % 2 != 0 || length / 2 > capacity) {
        return -1;
    }
    uint8_t *to = out;
    for (size_t i = 0; i < length / 2; i++) {
        int high = digit_value(text[2 * i]);
        int low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    return (ptrdiff_t)(length / 2);
}
