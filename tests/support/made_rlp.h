/* SPDX-License-Identifier: GPL-3.0-or-later */
/* made_rlp.h: RLP building for made data, where running out of memory ends the program. */
#ifndef MADE_RLP_H
#define MADE_RLP_H

#include "base/ensure.h"
#include "chain/rlp.h"

static inline void made_rlp_raw(struct buffer *out, const void *data, size_t size)
{
    ensure(buffer_append(out, data, size) == 0);
}

static inline void made_rlp_string(struct buffer *out, const void *data, size_t size)
{
    ensure(rlp_append_string(out, bytes_of(data, size)) == 0);
}

static inline void made_rlp_uint(struct buffer *out, uint64_t value)
{
    ensure(rlp_append_uint64(out, value) == 0);
}

static inline void made_rlp_uint256(struct buffer *out, const uint8_t value[32])
{
    ensure(rlp_append_uint256(out, value) == 0);
}

/* PAYLOAD as a list. */
static inline void made_rlp_list(struct buffer *out, const struct buffer *payload)
{
    ensure(rlp_append_list_prefix(out, payload->size) == 0);
    made_rlp_raw(out, payload->data, payload->size);
}

/* An envelope as an element of a block's list: legacy ones as they are, typed ones as strings. */
static inline void made_rlp_envelope(struct buffer *out, struct bytes envelope)
{
    if (envelope.data[0] >= 0xc0) {
        made_rlp_raw(out, envelope.data, envelope.size);
    } else {
        made_rlp_string(out, envelope.data, envelope.size);
    }
}

#endif
