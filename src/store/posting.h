/* SPDX-License-Identifier: GPL-3.0-or-later */
/* posting.h: what a block adds to the indexes of addresses and logs. Pure; any thread.
 *
 * An address posting says that an address has to do with a transaction of the block, and how (role
 * bits of stoa.h). Withdrawals (on a merge-mined chain: peg-ins) belong to no transaction: they
 * have the index POSTING_INDEX_MAX, behind every transaction.
 * A log posting says that the block has logs of an address, or with a topic at one of its four
 * places, in any of its logs: the block's receipts tell which. Two more lists name the blocks that
 * have transactions but whose receipts or whose senders are not stored, so that a query can say
 * what it could not see.
 *
 * Addresses and topics are known by 6 bytes of a hash: whoever finds a posting settles by the block
 * whether it is meant. */
#ifndef POSTING_H
#define POSTING_H

#include "base/buffer.h"
#include "chain/block.h"

enum posting_kind { POSTING_ADDRESS, POSTING_LOG };
enum { POSTING_KINDS = 2 };

/* The lists of POSTING_LOG. */
enum posting_place {
    POSTING_PLACE_TOPIC, /* and 1, 2, 3 more */
    POSTING_PLACE_EMITTER = 4,
    POSTING_PLACE_NO_RECEIPTS, /* all blocks with transactions whose receipts are not stored */
    POSTING_PLACE_NO_SENDERS,
};

enum { POSTING_PREFIX_SPARE = 16 }; /* bits of a hash that a prefix has not */

#define POSTING_INDEX_MAX ((UINT32_C(1) << 24) - 1)

struct posting {
    uint64_t prefix;
    uint32_t index; /* of the transaction; 0 in POSTING_LOG */
    uint8_t kind;
    uint8_t roles; /* STOA_ROLE_…; 0 in POSTING_LOG */
    uint16_t zero;
};

uint64_t posting_address_prefix(const uint8_t address[20]);

/* VALUE: 20 bytes of an address, 32 of a topic, nothing for the lists of what is not stored. */
uint64_t posting_log_prefix(enum posting_place place, struct bytes value);

/* Append the postings of BLOCK to OUT, in order of kind, prefix and index, each once. SENDERS (20
 * bytes a transaction) and RECEIPTS (encoding of the list) may be empty; receipts that do not
 * decode, or are too few, count as not stored. STOA_ENOMEM; STOA_ECORRUPT: a transaction does not
 * decode. */
int posting_compute(struct buffer *out, const struct block *block, struct bytes senders,
                    struct bytes receipts);

/* Those of a block whose contents are not readable: it is on both lists of what is missing. */
int posting_compute_damaged(struct buffer *out);

/* Postings of one kind, in order. */
struct posting_slice {
    const struct posting *postings;
    size_t count;
};

/* Those of KIND among POSTINGS (COUNT, in order). */
struct posting_slice posting_of_kind(const struct posting *postings, size_t count,
                                     enum posting_kind kind);

/* Where PREFIX would be in SLICE, which is not empty, if prefixes were spread evenly: they are
 * hashes, so it is near. For whoever searches many, to fetch the memory of all before the first. */
const struct posting *posting_guess(const struct posting_slice *slice, uint64_t prefix);

/* The first of SLICE with PREFIX; those equal to it follow. NULL. */
const struct posting *posting_find(const struct posting_slice *slice, uint64_t prefix);

/* Whether it is of a list of what is not stored; whether any of SLICE is, which is of POSTING_LOG.
 */
bool posting_is_missing(const struct posting *posting);
bool posting_has_missing(const struct posting_slice *slice);

/* The roles that ADDRESS has in the transaction INDEX of a block, or in its withdrawals
 * (POSTING_INDEX_MAX): exact, by the block itself; and the transaction's envelope (NULL for
 * withdrawals). STOA_ECORRUPT: there is no such transaction. */
int posting_roles_at(const struct block *block, struct bytes senders, struct bytes receipts,
                     const uint8_t address[20], uint32_t index, unsigned *out_roles,
                     struct bytes *out_envelope);

#endif
