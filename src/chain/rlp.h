/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rlp.h: recursive length prefix, strictly: only the one canonical form of each item is accepted,
 * every length is checked against what is there, and nothing recurses on the input's depth. Pure;
 * any thread. Views point into the input. Format: Ethereum yellow paper, appendix B. */
#ifndef RLP_H
#define RLP_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

struct rlp_item {
    bool list;
    struct bytes payload;  /* without the prefix */
    struct bytes encoding; /* with it */
};

/* Take the next item off the front of CURSOR. STOA_EINVAL: truncated, or not canonical. A detail
 * (may be NULL) says what is wrong; the caller prefixes the field's name. On failure CURSOR is
 * unchanged. The same for all below. */
int rlp_read(struct bytes *cursor, struct rlp_item *out_item, struct error_detail *detail);

int rlp_read_list(struct bytes *cursor, struct bytes *out_payload, struct error_detail *detail);
int rlp_read_string(struct bytes *cursor, struct bytes *out_string, struct error_detail *detail);

/* A string of exactly SIZE bytes; the view points at them. */
int rlp_read_fixed(struct bytes *cursor, size_t size, const uint8_t **out,
                   struct error_detail *detail);

/* An integer without leading zeros. */
int rlp_read_uint64(struct bytes *cursor, uint64_t *out, struct error_detail *detail);

/* Up to 32 bytes without leading zeros, right-aligned in OUT, big-endian. */
int rlp_read_uint256(struct bytes *cursor, uint8_t out[32], struct error_detail *detail);

/* STOA_EINVAL "N bytes after the end" where CURSOR is not empty. */
int rlp_expect_end(struct bytes cursor, struct error_detail *detail);

/* How many items PAYLOAD (of a list) has; checks each item's prefix, not what is inside lists. */
int rlp_count(struct bytes payload, size_t *out_count, struct error_detail *detail);

/* Total size of the item that begins with HEAD (its first 9 bytes are enough): to cut a stream into
 * items before all of one is there. STOA_EBUSY: more bytes of the prefix are needed. STOA_EINVAL:
 * not canonical, or longer than 2^48. */
int rlp_peek_size(struct bytes head, uint64_t *out_size, struct error_detail *detail);

/* Encoding, appended to a buffer. STOA_ENOMEM. */
int rlp_append_string(struct buffer *buffer, struct bytes string);
int rlp_append_uint64(struct buffer *buffer, uint64_t value);
int rlp_append_uint256(struct buffer *buffer, const uint8_t value[32]);
int rlp_append_list_prefix(struct buffer *buffer, uint64_t payload_size);

size_t rlp_string_size(struct bytes string);
size_t rlp_uint64_size(uint64_t value);
size_t rlp_list_size(uint64_t payload_size);

#endif
