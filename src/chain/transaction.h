/* SPDX-License-Identifier: GPL-3.0-or-later */
/* transaction.h: transactions of type 0 (legacy, before and after EIP-155), 1 (EIP-2930), 2
 * (EIP-1559), 3 (EIP-4844, as in blocks, without blobs) and 4 (EIP-7702). Pure; any thread. */
#ifndef TRANSACTION_H
#define TRANSACTION_H

#include "chain/rlp.h"

/* Views are into the decoded envelope. Fields a type does not have are 0 or empty. */
struct transaction {
    struct bytes envelope;
    struct bytes unsigned_fields; /* of the list's payload: all that stands before the signature */
    unsigned type;
    bool has_chain_id; /* false only for legacy ones before EIP-155 */
    uint64_t chain_id;
    uint64_t nonce;
    uint8_t gas_price[32]; /* types 0, 1 */
    uint8_t max_priority_fee[32];
    uint8_t max_fee[32];
    uint64_t gas_limit;
    const uint8_t *to; /* 20 bytes; NULL: creates a contract */
    uint8_t value[32];
    struct bytes input;
    struct bytes access_list; /* payload */
    uint8_t max_fee_per_blob_gas[32];
    struct bytes blob_hashes;    /* payload */
    struct bytes authorizations; /* payload */
    uint64_t v;                  /* legacy: as encoded */
    unsigned y_parity;           /* 0 or 1 */
    uint8_t r[32];
    uint8_t s[32];
};

/* ENVELOPE is exactly one transaction as block_next_transaction yields it. STOA_EINVAL with the
 * field's name first. */
int transaction_decode(struct bytes envelope, struct transaction *out_transaction,
                       struct error_detail *detail);

void transaction_hash(struct bytes envelope, uint8_t out[32]);

/* The hash its signer signed. TRANSACTION comes from transaction_decode. Never fails, never
 * allocates. */
int transaction_signing_hash(const struct transaction *transaction, uint8_t out[32]);

/* One per thread: holds the curve's tables. */
struct transaction_recovery;
struct transaction_recovery *transaction_recovery_create(void);
void transaction_recovery_destroy(struct transaction_recovery *recovery);

/* The signer's address. STOA_EREFUSED "signature: …" where there is none. About 35 us. */
int transaction_sender(struct transaction_recovery *recovery, const struct transaction *transaction,
                       uint8_t out[20], struct error_detail *detail);

/* The recipient (NULL: it creates a contract) and the nonce of ENVELOPE, which transaction_decode
 * takes: as it says, several times quicker. STOA_EINVAL: it is none. */
int transaction_read_ends(struct bytes envelope, const uint8_t **out_to, uint64_t *out_nonce);

/* Address of the contract that a transaction of SENDER with NONCE creates. */
void transaction_created_address(const uint8_t sender[20], uint64_t nonce, uint8_t out[20]);

#endif
