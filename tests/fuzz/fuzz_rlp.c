/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the reader accepts is canonical: each item, written again, gives the same bytes; and all
 * readers agree with each other about it. */
#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "fuzz/fuzz.h"

static void check_string(const struct rlp_item *item)
{
    struct buffer again;
    buffer_init(&again);
    int appended = rlp_append_string(&again, item->payload);
    ensure(appended == 0);
    ensure(bytes_equal(buffer_bytes(&again), item->encoding));
    ensure(rlp_string_size(item->payload) == item->encoding.size);
    struct bytes cursor = item->encoding;
    uint64_t value;
    if (rlp_read_uint64(&cursor, &value, NULL) == 0) {
        buffer_clear(&again);
        appended = rlp_append_uint64(&again, value);
        ensure(appended == 0);
        ensure(bytes_equal(buffer_bytes(&again), item->encoding));
        ensure(rlp_uint64_size(value) == again.size);
    }
    cursor = item->encoding;
    uint8_t wide[32];
    if (rlp_read_uint256(&cursor, wide, NULL) == 0) {
        buffer_clear(&again);
        appended = rlp_append_uint256(&again, wide);
        ensure(appended == 0);
        ensure(bytes_equal(buffer_bytes(&again), item->encoding));
    }
    buffer_deinit(&again);
}

static void check_item(const struct rlp_item *item)
{
    uint64_t size;
    int peeked = rlp_peek_size(item->encoding, &size, NULL);
    ensure(peeked == 0);
    ensure(size == item->encoding.size);
    struct bytes cursor = item->encoding;
    struct bytes payload;
    int listed = rlp_read_list(&cursor, &payload, NULL);
    ensure((listed == 0) == item->list);
    if (!item->list) {
        check_string(item);
        return;
    }
    ensure(bytes_equal(payload, item->payload));
    ensure(rlp_list_size(payload.size) == item->encoding.size);
    struct buffer prefix;
    buffer_init(&prefix);
    int appended = rlp_append_list_prefix(&prefix, payload.size);
    ensure(appended == 0);
    ensure(prefix.size + payload.size == item->encoding.size);
    ensure(memcmp(prefix.data, item->encoding.data, prefix.size) == 0);
    buffer_deinit(&prefix);
}

/* Read the items of one list (or of the input) and keep the lists for later. */
static void check_items(struct bytes cursor, struct bytes *waiting, size_t *waiting_count)
{
    size_t expected = 0;
    int counted = rlp_count(cursor, &expected, NULL);
    size_t count = 0;
    while (cursor.size > 0) {
        struct error_detail detail = {.code = 0};
        struct rlp_item item;
        struct bytes before = cursor;
        int result = rlp_read(&cursor, &item, &detail);
        if (result != 0) {
            ensure(result == STOA_EINVAL);
            ensure(detail.code == STOA_EINVAL);
            ensure(cursor.data == before.data && cursor.size == before.size);
            ensure(counted == STOA_EINVAL);
            return;
        }
        ensure(cursor.data == before.data + item.encoding.size);
        ensure(cursor.size + item.encoding.size == before.size);
        check_item(&item);
        count++;
        if (item.list) {
            waiting[(*waiting_count)++] = item.payload;
        }
    }
    ensure(counted == 0);
    ensure(count == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Each list has a prefix of its own: there are at most SIZE of them. */
    struct bytes *waiting = memory_alloc_zeroed(size + 1, sizeof(*waiting));
    ensure(waiting != NULL);
    size_t count = 0;
    waiting[count++] = bytes_of(data, size);
    while (count > 0) {
        struct bytes payload = waiting[--count];
        check_items(payload, waiting, &count);
    }
    memory_free(waiting);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const struct {
        const char *text;
        size_t size;
    } seeds[] = {
        {"\x00", 1},
        {"\x80", 1},
        {"\xc0", 1},
        {"\x83"
         "dog",
         4},
        {"\x81\x80", 2},
        {"\xc7\xc0\xc1\xc0\xc3\xc0\xc1\xc0", 8},
        {"\xf8\x38\xb8\x36", 4},
        {"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\x00", 10},
        {"\xfc\x01\x00\x00\x00\x00\x00", 7},
        {"\x88\x01\x02\x03\x04\x05\x06\x07\x08\x89\x01\x02\x03\x04\x05\x06\x07\x08\x09", 19},
    };
    enum { LISTS = 4, LIST_ITEMS = 40 };
    size_t fixed = sizeof(seeds) / sizeof(seeds[0]);
    if (index < fixed) {
        return buffer_append(out, seeds[index].text, seeds[index].size) == 0;
    }
    if (index >= fixed + LISTS) {
        return false;
    }
    /* Lists of ever longer strings, one in the other. */
    int result = 0;
    for (size_t level = 0; result == 0 && level <= index - fixed; level++) {
        struct buffer list;
        buffer_init(&list);
        for (uint64_t i = 0; result == 0 && i < LIST_ITEMS; i++) {
            result = rlp_append_uint64(out, i << 3 * i % 61);
        }
        result = result != 0 ? result : rlp_append_list_prefix(&list, out->size);
        result = result != 0 ? result : buffer_append(&list, out->data, out->size);
        buffer_deinit(out);
        *out = list;
    }
    return result == 0;
}
