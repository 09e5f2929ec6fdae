/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prepare.h: what is done to a block before it enters the ledger, on a worker: decode, verify,
 * recover senders, and compute what the indexes need. Pure but for the worker's recovery context;
 * one prepared block belongs to one thread at a time.
 *
 * Two stages, so that the second runs while the ledger writes:
 *   prepare_verify  encoding, hash, roots, receipts, senders, changes encoded;
 *   prepare_index   transaction hashes, hashes of changed keys, postings of addresses and logs,
 *                   where they all are in the record.
 * A stored block goes through prepare_record and prepare_index to have the same entries again.
 * The parent is checked by the store, which alone knows the order of blocks. */
#ifndef PREPARE_H
#define PREPARE_H

#include "base/buffer.h"
#include "base/error.h"
#include "chain/block.h"
#include "chain/transaction.h"
#include "stoa.h"
#include "store/pending.h"

/* Reused from block to block: the buffers keep their memory. */
struct prepare {
    const struct stoa_store_block *put; /* the caller's, until the block is stored */
    uint64_t chain_id;                  /* transactions must name it; 0: any */

    struct block block;                 /* views into put->block */
    uint64_t block_sum;                 /* record_block_sum, by prepare_verify */
    struct buffer senders;              /* 20 bytes a transaction, or empty */
    struct buffer changes;              /* encoded as in record.h */
    struct buffer transaction_prefixes; /* uint64_t each: first 8 bytes of the hash, big-endian */
    bool plain;                         /* to measure: prepare_index makes no such entries */
    bool keep_hashes;                   /* set by whoever wants the next one */
    struct buffer transaction_hashes;   /* 32 bytes each, where they are kept */
    struct buffer change_hashes;        /* uint64_t each: pending_key_hash */
    struct buffer postings;             /* struct posting each */
    struct buffer body_map;             /* body_map.h; empty where the block has none */
    /* What is kept with the block, for its postings: set by prepare_verify and prepare_record. */
    const uint8_t *kept_with; /* the block's encoding, to tell that they were set */
    struct bytes kept_receipts;
    struct bytes kept_senders;
    bool shortened; /* the record has lost something, so that the block's own bytes lie elsewhere */
    int result;
    struct error_detail detail;
};

void prepare_init(struct prepare *prepare);
void prepare_deinit(struct prepare *prepare);

/* RECOVERY may be NULL where senders are not recovered. Sets and returns prepare->result: 0,
 * STOA_EINVAL, STOA_EREFUSED, STOA_ENOMEM; detail names the field. */
int prepare_verify(struct prepare *prepare, struct transaction_recovery *recovery);

/* Decode the stored block of RECORD, for prepare_index; the record's views must live until that.
 * STOA_ECORRUPT. */
struct record;
int prepare_record(struct prepare *prepare, const struct record *record,
                   struct error_detail *detail);

/* After a good prepare_verify or prepare_record: the index entries of prepare->block and of CHANGES
 * (as in record.h; STOA_ECORRUPT where they are not). Sets prepare->result where it fails.
 * STOA_ENOMEM. */
int prepare_index(struct prepare *prepare, struct bytes changes);

/* Of changes that come without a block: encode those of prepare->put; or take CHANGES as they are.
 * Then their hashes. Sets prepare->result. STOA_EINVAL, STOA_ETOOBIG, STOA_ENOMEM, STOA_ECORRUPT.
 */
int prepare_update(struct prepare *prepare);
int prepare_changes(struct prepare *prepare, struct bytes changes);

/* The entries of changes that come without a block, as views into the buffers and CHANGES. */
struct pending_entries prepare_update_entries(const struct prepare *prepare, struct bytes changes);

/* The entries of a block that cannot be read: that nothing is known of it. STOA_ENOMEM. */
int prepare_damaged(struct prepare *prepare);

/* The entries, as views into the buffers and CHANGES. */
struct pending_entries prepare_entries(const struct prepare *prepare, struct bytes changes);

#endif
