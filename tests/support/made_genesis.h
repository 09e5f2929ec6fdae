/* SPDX-License-Identifier: GPL-3.0-or-later */
/* made_genesis.h: the fork schedule, the headers and the genesis of made chains. Blocks come 12
 * seconds apart, so that forks by time fall on known heights. */
#ifndef MADE_GENESIS_H
#define MADE_GENESIS_H

#include "made_signer.h"

/* First block of each fork. */
enum made_fork {
    MADE_FORK_HOMESTEAD = 2,
    MADE_FORK_TANGERINE = 4,
    MADE_FORK_SPURIOUS = 6,
    MADE_FORK_BYZANTIUM = 8,
    MADE_FORK_ISTANBUL = 10,
    MADE_FORK_BERLIN = 12,
    MADE_FORK_LONDON = 16,
    MADE_FORK_MERGE = 20,
    MADE_FORK_SHANGHAI = 24,
    MADE_FORK_CANCUN = 28,
    MADE_FORK_PRAGUE = 32,
};

/* Which fields are encoded follows from NUMBER. */
struct made_header {
    uint64_t number;
    uint64_t timestamp;
    uint64_t difficulty;
    uint64_t gas_limit;
    uint64_t gas_used;
    uint64_t base_fee;
    uint64_t blob_gas_used;
    uint64_t excess_blob_gas;
    uint8_t parent_hash[32];
    uint8_t uncles_hash[32];
    uint8_t beneficiary[20];
    uint8_t state_root[32];
    uint8_t transactions_root[32];
    uint8_t receipts_root[32];
    uint8_t bloom[256];
    uint8_t extra[32];
    size_t extra_size;
    uint8_t mix_hash[32];
    uint8_t nonce[8];
    uint8_t withdrawals_root[32];
    uint8_t parent_beacon_root[32];
};

/* A header of block NUMBER with an empty body, and random values where any will do. */
void made_header_init(struct made_header *header, uint64_t number, struct made_random *random);

bool made_header_has_base_fee(uint64_t number);

/* Append its encoding to OUT. */
void made_header_encode(const struct made_header *header, struct buffer *out, uint8_t out_hash[32]);

/* A genesis.json with the schedule above and an alloc (SIGNER's accounts, a plain one, a contract
 * with code and storage), and the hash of its block, made here without chain/genesis.h. OUT_JSON
 * is empty before. */
void made_genesis(uint64_t seed, const struct made_signer *signer, struct buffer *out_json,
                  uint8_t out_hash[32]);

#endif
