/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/run_page.h"

#include <string.h>

#include "base/ensure.h"
#include "stoa/error.h"

enum { NIBBLE_MAX = 15, ESCAPE = 0xff, COMMON_MAX = 255, HEADER_MAX = 1 + 2 + 2 + 5 };

static_assert(RUN_PAGE_SIZE <= UINT16_MAX, "restarts have two bytes");
static_assert(1 + HEADER_MAX + KV_KEY_SIZE_MAX + 2 <= RUN_PAGE_OVERHEAD_MAX, "of one entry");

/* ---- making one ---- */

void run_page_maker_init(struct run_page_maker *maker)
{
    memset(maker, 0, offsetof(struct run_page_maker, restarts));
    buffer_init(&maker->page);
}

void run_page_maker_deinit(struct run_page_maker *maker)
{
    buffer_deinit(&maker->page);
}

bool run_page_maker_has_room(const struct run_page_maker *maker, struct bytes key,
                             struct bytes value)
{
    if (maker->count == 0) {
        return true;
    }
    size_t tail = 2 * (maker->restart_count + 2);
    return maker->count < RUN_PAGE_ENTRIES_MAX &&
           maker->page.size + HEADER_MAX + key.size + value.size + tail <= RUN_PAGE_SIZE;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    return size;
}

static size_t put_header(uint8_t out[HEADER_MAX], size_t shared, size_t own, size_t value_size,
                         enum run_tag tag, size_t common_size)
{
    bool fits = shared <= NIBBLE_MAX && own <= NIBBLE_MAX && shared + own < 2 * NIBBLE_MAX &&
                tag == RUN_TAG_VALUE && value_size == common_size;
    if (fits) {
        out[0] = (uint8_t)(shared << 4 | own);
        return 1;
    }
    size_t size = 1;
    out[0] = ESCAPE;
    size += put_varint(out + size, shared);
    size += put_varint(out + size, own);
    return size + put_varint(out + size, (uint64_t)value_size << 2 | tag);
}

static size_t shared_size(const struct run_page_maker *maker, struct bytes key)
{
    size_t most = key.size < maker->key_size ? key.size : maker->key_size;
    size_t shared = 0;
    while (shared < most && maker->key[shared] == key.data[shared]) {
        shared++;
    }
    return shared;
}

int run_page_maker_put(struct run_page_maker *maker, struct bytes key, struct bytes value,
                       enum run_tag tag)
{
    struct buffer *page = &maker->page;
    ensure(key.size <= KV_KEY_SIZE_MAX && run_page_maker_has_room(maker, key, value));
    if (maker->count == 0) {
        buffer_clear(page);
        maker->restart_count = 0;
    }
    if (buffer_reserve(page, 1 + HEADER_MAX + key.size + value.size) != 0) {
        return STOA_ENOMEM;
    }
    if (maker->count == 0) {
        bool common = tag == RUN_TAG_VALUE && value.size <= COMMON_MAX;
        page->data[page->size++] = common ? (uint8_t)value.size : 0;
    }
    bool restart = maker->count % RUN_PAGE_RESTART == 0;
    if (restart && maker->count != 0) {
        maker->restarts[maker->restart_count++] = (uint16_t)page->size;
    }
    size_t shared = restart ? 0 : shared_size(maker, key);
    size_t own = key.size - shared;
    page->size += put_header(page->data + page->size, shared, own, value.size, tag, page->data[0]);
    memcpy(page->data + page->size, key.data + shared, own);
    page->size += own;
    if (value.size != 0) {
        memcpy(page->data + page->size, value.data, value.size);
        page->size += value.size;
    }
    memcpy(maker->key + shared, key.data + shared, own);
    maker->key_size = key.size;
    maker->count++;
    return 0;
}

int run_page_maker_take(struct run_page_maker *maker, struct bytes *out_key, struct bytes *out_page)
{
    struct buffer *page = &maker->page;
    *out_page = bytes_of(NULL, 0);
    *out_key = bytes_of(NULL, 0);
    if (maker->count == 0) {
        return 0;
    }
    if (buffer_reserve(page, 2 * (maker->restart_count + 1)) != 0) {
        return STOA_ENOMEM;
    }
    for (size_t i = 0; i < maker->restart_count; i++) {
        bytes_store_le16(page->data + page->size, maker->restarts[i]);
        page->size += 2;
    }
    bytes_store_le16(page->data + page->size, (uint16_t)maker->restart_count);
    page->size += 2;
    maker->count = 0;
    *out_key = bytes_of(maker->key, maker->key_size);
    *out_page = buffer_bytes(page);
    return 0;
}

/* ---- reading one ---- */

int run_page_open(struct run_page *page, struct bytes bytes)
{
    page->at = NULL;
    if (bytes.size < 3) {
        return STOA_ECORRUPT;
    }
    size_t restarts = bytes_load_le16(bytes.data + bytes.size - 2);
    if (bytes.size - 3 < 2 * restarts) {
        return STOA_ECORRUPT;
    }
    page->common_size = bytes.data[0];
    page->entries = bytes.data + 1;
    page->restarts = bytes.data + bytes.size - 2 - 2 * restarts;
    page->end = page->restarts;
    page->restart_count = restarts;
    return 0;
}

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* An entry as it stands there. */
struct raw {
    size_t shared;
    struct bytes own; /* of its key */
    struct bytes value;
    enum run_tag tag;
};

/* The entry at *AT, which moves behind it. False: it is damaged. */
static inline bool read_raw(const struct run_page *page, const uint8_t **at, struct raw *out)
{
    const uint8_t *p = *at;
    const uint8_t *end = page->end;
    if (p >= end) {
        return false;
    }
    uint8_t byte = *p++;
    uint64_t shared = byte >> 4;
    uint64_t own = byte & NIBBLE_MAX;
    uint64_t size = page->common_size;
    out->tag = RUN_TAG_VALUE;
    if (byte == ESCAPE) {
        uint64_t tagged;
        if (!get_varint(&p, end, &shared) || !get_varint(&p, end, &own) ||
            !get_varint(&p, end, &tagged) || (tagged & 3) >= RUN_TAGS) {
            return false;
        }
        size = tagged >> 2;
        out->tag = (enum run_tag)(tagged & 3);
    }
    if (shared + own > KV_KEY_SIZE_MAX || shared + own == 0 || own + size > (uint64_t)(end - p)) {
        return false;
    }
    out->shared = shared;
    out->own = bytes_of(p, own);
    out->value = bytes_of(p + own, size);
    *at = p + own + size;
    return true;
}

static int read_at(struct run_page *page, const uint8_t *at)
{
    struct raw raw;
    const uint8_t *next = at;
    if (!read_raw(page, &next, &raw) || (page->at == NULL && raw.shared != 0) ||
        (page->at != NULL && raw.shared > page->key_size)) {
        page->at = NULL;
        return STOA_ECORRUPT;
    }
    memcpy(page->key + raw.shared, raw.own.data, raw.own.size);
    page->key_size = raw.shared + raw.own.size;
    page->value = raw.value;
    page->tag = raw.tag;
    page->at = at;
    page->next = next;
    return 0;
}

/* Where restart PLACE is, the first one too. NULL: it is damaged. */
static const uint8_t *restart_at(const struct run_page *page, size_t place)
{
    if (place == 0) {
        return page->entries;
    }
    size_t offset = bytes_load_le16(page->restarts + 2 * (place - 1));
    return offset == 0 || offset > (size_t)(page->end - page->entries) ? NULL
                                                                       : page->entries + offset - 1;
}

static int go_to_restart(struct run_page *page, size_t place)
{
    const uint8_t *at = restart_at(page, place);
    page->at = NULL;
    return at == NULL ? STOA_ECORRUPT : read_at(page, at);
}

int run_page_first(struct run_page *page)
{
    return go_to_restart(page, 0);
}

int run_page_next(struct run_page *page)
{
    ensure(page->at != NULL);
    if (page->next == page->end) {
        page->at = NULL;
        return STOA_ENOTFOUND;
    }
    return read_at(page, page->next);
}

int run_page_last(struct run_page *page)
{
    int result = go_to_restart(page, page->restart_count);
    while (result == 0 && page->next != page->end) {
        result = read_at(page, page->next);
    }
    return result;
}

int run_page_previous(struct run_page *page)
{
    ensure(page->at != NULL);
    const uint8_t *until = page->at;
    if (until == page->entries) {
        page->at = NULL;
        return STOA_ENOTFOUND;
    }
    size_t low = 0; /* the last restart before UNTIL is not below it */
    size_t high = page->restart_count + 1;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const uint8_t *at = restart_at(page, middle);
        if (at == NULL) {
            page->at = NULL;
            return STOA_ECORRUPT;
        }
        if (at < until) {
            low = middle;
        } else {
            high = middle;
        }
    }
    int result = go_to_restart(page, low);
    while (result == 0 && page->next < until) {
        result = read_at(page, page->next);
    }
    if (result == 0 && page->next != until) {
        page->at = NULL;
        return STOA_ECORRUPT;
    }
    return result;
}

/* How KEY compares with that of restart PLACE. */
static int compare_restart(const struct run_page *page, size_t place, struct bytes key, int *out)
{
    const uint8_t *at = restart_at(page, place);
    struct raw raw;
    if (at == NULL || !read_raw(page, &at, &raw) || raw.shared != 0) {
        return STOA_ECORRUPT;
    }
    *out = bytes_compare(key, raw.own);
    return 0;
}

int run_page_seek(struct run_page *page, struct bytes key)
{
    size_t low = 0;
    size_t high = page->restart_count + 1;
    page->at = NULL;
    while (high - low > 1) { /* the first entry that is wanted is not before restart LOW */
        size_t middle = low + (high - low) / 2;
        int order;
        if (compare_restart(page, middle, key, &order) != 0) {
            return STOA_ECORRUPT;
        }
        if (order >= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    int result = go_to_restart(page, low);
    while (result == 0 && bytes_compare(run_page_key(page), key) < 0) {
        result = run_page_next(page);
    }
    return result;
}

int run_page_is_before(const struct run_page *page, struct bytes key, bool *out_before)
{
    int order;
    int result = compare_restart(page, 0, key, &order);
    *out_before = result != 0 || order < 0;
    return result;
}
