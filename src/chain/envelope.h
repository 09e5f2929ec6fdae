/* SPDX-License-Identifier: GPL-3.0-or-later */
/* envelope.h: EIP-2718 envelopes, which transactions and receipts share. In a list, a legacy item
 * stands as an RLP list and a typed one as a string of type byte and list; its envelope is what is
 * hashed and what the list's trie holds: the encoding of the one, the content of the other.
 * Withdrawals are always lists, so their walk and their root are the same. Pure; any thread. */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "chain/rlp.h"

enum { ENVELOPE_TYPE_MAX = 4 };

/* Take the next item off CURSOR (a list's payload). STOA_ENOTFOUND, without a detail, at the end;
 * STOA_EINVAL. */
int envelope_next(struct bytes *cursor, struct bytes *out_envelope, struct error_detail *detail);

/* ENVELOPE's type (0 for legacy) and its list's payload; the list is all there is. STOA_EINVAL:
 * also for a type above ENVELOPE_TYPE_MAX. */
int envelope_open(struct bytes envelope, unsigned *out_type, struct bytes *out_payload,
                  struct error_detail *detail);

/* Root of the trie over the COUNT items of a list's PAYLOAD. STOA_EINVAL, STOA_ENOMEM. */
int envelope_root(struct bytes payload, size_t count, uint8_t out_root[32],
                  struct error_detail *detail);

#endif
