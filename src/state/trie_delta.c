/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state/trie_delta.h"

#include "stoa/error.h"

enum {
    HEAD = 8,     /* bytes of records of different sizes that are compared in place */
    SAME_MIN = 6, /* bytes that are worth a part of their own */
    PART_EXTRA = 3 * TRIE_DELTA_NUMBER_MAX,
    RECORD_MAX = 1 << 26,
};

uint8_t *trie_delta_put_number(uint8_t *to, uint64_t number)
{
    for (; number >= 0x80; number >>= 7) {
        *to++ = (uint8_t)(number | 0x80);
    }
    *to++ = (uint8_t)number;
    return to;
}

bool trie_delta_take_number(struct bytes *cursor, uint64_t *out_number)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < TRIE_DELTA_NUMBER_MAX && i < cursor->size; i++) {
        uint64_t digit = cursor->data[i] & 0x7f;
        if (i == TRIE_DELTA_NUMBER_MAX - 1 && digit > 1) {
            return false;
        }
        number |= digit << 7 * i;
        if (cursor->data[i] < 0x80) {
            *cursor = bytes_of(cursor->data + i + 1, cursor->size - i - 1);
            *out_number = number;
            return true;
        }
    }
    return false;
}

/* What is not written yet of a delta. */
struct making {
    struct bytes from;
    struct bytes to;
    size_t from_done;
    size_t to_done;
    struct buffer *out;
};

/* SAME bytes are the same, then PASSED of FROM become NEW of TO. */
static int put_part(struct making *making, size_t same, size_t passed, size_t new)
{
    if (buffer_reserve(making->out, PART_EXTRA + new) != 0) {
        return STOA_ENOMEM;
    }
    uint8_t *to = making->out->data + making->out->size;
    to = trie_delta_put_number(to, same);
    to = trie_delta_put_number(to, passed);
    to = trie_delta_put_number(to, new);
    if (new != 0) {
        memcpy(to, making->to.data + making->to_done + same, new);
    }
    making->out->size = (size_t)(to - making->out->data) + new;
    making->from_done += same + passed;
    making->to_done += same + new;
    return 0;
}

static size_t same_bytes(const uint8_t *a, const uint8_t *b, size_t size)
{
    size_t same = 0;
    while (same + 8 <= size) {
        uint64_t differ = bytes_load_le64(a + same) ^ bytes_load_le64(b + same);
        if (differ != 0) {
            return same + (size_t)__builtin_ctzll(differ) / 8;
        }
        same += 8;
    }
    while (same < size && a[same] == b[same]) {
        same++;
    }
    return same;
}

/* How far the bytes differ, but for a few that are the same by chance. */
static size_t other_bytes(const uint8_t *a, const uint8_t *b, size_t size)
{
    size_t other = 0;
    while (other < size) {
        size_t left = size - other;
        size_t same = same_bytes(a + other, b + other, left < SAME_MIN ? left : SAME_MIN);
        if (same == SAME_MIN || same == left) {
            break;
        }
        other += same + 1;
    }
    return other;
}

/* The next bytes of both up to END lie at the same place. */
static int make_in_place(struct making *making, size_t end)
{
    int result = 0;
    while (result == 0) {
        const uint8_t *from = making->from.data + making->from_done;
        const uint8_t *to = making->to.data + making->to_done;
        size_t left = end - making->to_done;
        size_t same = same_bytes(from, to, left);
        if (same == left) {
            break;
        }
        size_t other = other_bytes(from + same, to + same, left - same);
        result = put_part(making, same, other, other);
    }
    return result;
}

/* What is left of both is the same at its beginning and at its end. */
static int make_rest(struct making *making)
{
    const uint8_t *from = making->from.data + making->from_done;
    const uint8_t *to = making->to.data + making->to_done;
    size_t from_left = making->from.size - making->from_done;
    size_t to_left = making->to.size - making->to_done;
    size_t left = from_left < to_left ? from_left : to_left;
    size_t before = left == 0 ? 0 : same_bytes(from, to, left);
    size_t behind = 0;
    while (behind < left - before && from[from_left - behind - 1] == to[to_left - behind - 1]) {
        behind++;
    }
    return put_part(making, before, from_left - before - behind, to_left - before - behind);
}

int trie_delta_make(struct bytes from, struct bytes to, struct buffer *out)
{
    size_t size = out->size;
    if (buffer_reserve(out, TRIE_DELTA_NUMBER_MAX) != 0) {
        return STOA_ENOMEM;
    }
    struct making making = {.from = from, .to = to, .out = out};
    out->size = (size_t)(trie_delta_put_number(out->data + size, to.size) - out->data);
    size_t least = from.size < to.size ? from.size : to.size;
    int result = 0;
    if (from.size == to.size) {
        result = to.size == 0 ? 0 : make_in_place(&making, to.size);
    } else {
        result = least < HEAD ? 0 : make_in_place(&making, HEAD);
        result = result == 0 ? make_rest(&making) : result;
    }
    if (result != 0) {
        out->size = size;
    }
    return result;
}

/* ---- reading ---- */

static bool take(struct bytes *cursor, uint64_t size, struct bytes *out)
{
    if (size > cursor->size) {
        return false;
    }
    if (size == 0) {
        *out = bytes_of(NULL, 0);
        return true;
    }
    *out = bytes_of(cursor->data, (size_t)size);
    *cursor = bytes_of(cursor->data + size, cursor->size - (size_t)size);
    return true;
}

/* The part at DELTA, of which at most LEFT bytes come. */
static int apply_part(struct bytes *from, struct bytes *delta, size_t left, struct buffer *out)
{
    uint64_t same;
    uint64_t passed;
    uint64_t new;
    struct bytes kept;
    struct bytes gone;
    struct bytes come;
    if (!trie_delta_take_number(delta, &same) || !trie_delta_take_number(delta, &passed) ||
        !trie_delta_take_number(delta, &new) || !take(from, same, &kept) ||
        !take(from, passed, &gone) || !take(delta, new, &come) || kept.size > left ||
        come.size > left - kept.size) {
        return STOA_ECORRUPT;
    }
    int result = buffer_append(out, kept.data, kept.size);
    return result == 0 ? buffer_append(out, come.data, come.size) : result;
}

int trie_delta_apply(struct bytes from, struct bytes delta, struct buffer *out)
{
    size_t start = out->size;
    uint64_t size;
    if (!trie_delta_take_number(&delta, &size) || size > RECORD_MAX) {
        return STOA_ECORRUPT;
    }
    int result = buffer_reserve(out, (size_t)size);
    while (result == 0 && delta.size != 0) {
        result = apply_part(&from, &delta, (size_t)size - (out->size - start), out);
    }
    struct bytes rest;
    if (result == 0 && !take(&from, size - (out->size - start), &rest)) {
        result = STOA_ECORRUPT;
    }
    result = result == 0 ? buffer_append(out, rest.data, rest.size) : result;
    if (result != 0) {
        out->size = start;
    }
    return result;
}
