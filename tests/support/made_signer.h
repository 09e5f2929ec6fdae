/* SPDX-License-Identifier: GPL-3.0-or-later */
/* made_signer.h: seeded accounts that sign transactions of every type. Signing hashes and sender
 * addresses are made here without src/chain's transaction code, so that each checks the other. One
 * thread. */
#ifndef MADE_SIGNER_H
#define MADE_SIGNER_H

#include "base/buffer.h"
#include "made_random.h"

enum { MADE_SIGNER_ACCOUNTS = 16 };

struct made_signer;

enum made_kind {
    MADE_LEGACY_OLD, /* before EIP-155: no chain id */
    MADE_LEGACY,
    MADE_ACCESS_LIST,
    MADE_DYNAMIC_FEE,
    MADE_BLOB,
    MADE_SET_CODE,
    MADE_KIND_COUNT,
};

struct made_signed {
    struct buffer envelope; /* consensus encoding: list, or type byte and payload */
    uint8_t hash[32];
    uint8_t sender[20];
    unsigned type;
    bool creates;
    uint8_t created[20]; /* address of the contract, where it creates one */
    unsigned blob_count;
};

/* The same accounts for the same SEED. */
struct made_signer *made_signer_create(uint64_t seed, uint64_t chain_id);
void made_signer_destroy(struct made_signer *signer);

const uint8_t *made_signer_address(const struct made_signer *signer, unsigned account);

/* A transaction of KIND from a random account with its next nonce, paying at least BASE_FEE. OUT's
 * buffer is initialised here; the caller deinits it. */
void made_signer_sign(struct made_signer *signer, enum made_kind kind, uint64_t base_fee,
                      struct made_random *random, struct made_signed *out);

#endif
