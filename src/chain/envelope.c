/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/envelope.h"

#include "base/memory.h"
#include "chain/trie.h"

enum {
    LIST_PREFIX_MIN = 0xc0,
    VIEWS_ON_STACK = 256, /* more items than nearly every block has */
};

int envelope_next(struct bytes *cursor, struct bytes *out_envelope, struct error_detail *detail)
{
    if (cursor->size == 0) {
        return STOA_ENOTFOUND;
    }
    struct rlp_item item;
    int error = rlp_read(cursor, &item, detail);
    if (error != 0) {
        return error;
    }
    *out_envelope = item.list ? item.encoding : item.payload;
    return 0;
}

int envelope_open(struct bytes envelope, unsigned *out_type, struct bytes *out_payload,
                  struct error_detail *detail)
{
    if (envelope.size == 0) {
        return error_set(detail, STOA_EINVAL, "empty");
    }
    unsigned type = 0;
    struct bytes cursor = envelope;
    if (envelope.data[0] < LIST_PREFIX_MIN) {
        type = envelope.data[0];
        if (type == 0 || type > ENVELOPE_TYPE_MAX) {
            return error_set(detail, STOA_EINVAL, "type: %u is not known", type);
        }
        cursor = bytes_of(envelope.data + 1, envelope.size - 1);
    }
    struct bytes payload;
    int error = rlp_read_list(&cursor, &payload, detail);
    if (error == 0) {
        error = rlp_expect_end(cursor, detail);
    }
    if (error != 0) {
        return error;
    }
    *out_type = type;
    *out_payload = payload;
    return 0;
}

int envelope_root(struct bytes payload, size_t count, uint8_t out_root[32],
                  struct error_detail *detail)
{
    if (count > payload.size) {
        return error_set(detail, STOA_EINVAL, "%zu items do not fit in %zu bytes", count,
                         payload.size);
    }
    int error = 0;
    struct bytes on_stack[VIEWS_ON_STACK];
    struct bytes *allocated = NULL;
    struct bytes *views = on_stack;
    if (count > VIEWS_ON_STACK) {
        allocated = memory_alloc(count * sizeof(*allocated));
        if (allocated == NULL) {
            return error_set(detail, STOA_ENOMEM, "no memory for %zu views", count);
        }
        views = allocated;
    }
    for (size_t i = 0; i < count; i++) {
        error = envelope_next(&payload, &views[i], detail);
        if (error == STOA_ENOTFOUND) {
            error = error_set(detail, STOA_EINVAL, "%zu items, not %zu", i, count);
        }
        if (error != 0) {
            goto fail;
        }
    }
    error = rlp_expect_end(payload, detail);
    if (error != 0) {
        goto fail;
    }
    error = trie_ordered_root(views, count, out_root);
    if (error != 0) {
        error_set(detail, error, "no memory for the trie of %zu items", count);
    }
fail:
    memory_free(allocated);
    return error;
}
