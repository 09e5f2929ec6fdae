/* SPDX-License-Identifier: GPL-3.0-or-later */
/* header.h: block headers of every fork from Frontier (15 fields) over London (16), Shanghai (17)
 * and Cancun (20) to Prague (21). Pure; any thread. */
#ifndef HEADER_H
#define HEADER_H

#include "chain/rlp.h"

enum { HEADER_BLOOM_SIZE = 256, HEADER_FIELDS_MIN = 15, HEADER_FIELDS_MAX = 21 };

/* Pointers and views are into the decoded bytes. What a fork does not have is NULL or 0 with
 * FIELD_COUNT saying so. */
struct header {
    unsigned field_count;
    struct bytes encoding;
    const uint8_t *parent_hash;       /* 32 */
    const uint8_t *uncles_hash;       /* 32 */
    const uint8_t *beneficiary;       /* 20 */
    const uint8_t *state_root;        /* 32 */
    const uint8_t *transactions_root; /* 32 */
    const uint8_t *receipts_root;     /* 32 */
    const uint8_t *logs_bloom;        /* 256 */
    uint8_t difficulty[32];           /* big-endian */
    uint64_t number;
    uint64_t gas_limit;
    uint64_t gas_used;
    uint64_t timestamp;
    struct bytes extra_data;
    const uint8_t *mix_hash;           /* 32 */
    const uint8_t *nonce;              /* 8 */
    uint8_t base_fee[32];              /* London, field 16 */
    const uint8_t *withdrawals_root;   /* Shanghai, field 17 */
    uint64_t blob_gas_used;            /* Cancun, 18 */
    uint64_t excess_blob_gas;          /* Cancun, 19 */
    const uint8_t *parent_beacon_root; /* Cancun, 20 */
    const uint8_t *requests_hash;      /* Prague, 21 */
};

/* ENCODING is exactly one header list. STOA_EINVAL; the detail begins with the field's name as
 * JSON-RPC writes it
 * ("gasLimit: leading zero"). */
int header_decode(struct bytes encoding, struct header *out_header, struct error_detail *detail);

/* Keccak-256 of the encoding. */
void header_hash(const struct header *header, uint8_t out[32]);

/* STOA_EREFUSED "FIELD: header says 0x…, computed 0x…". */
int header_refuse(const char *field, const uint8_t said[32], const uint8_t computed[32],
                  struct error_detail *detail);

#endif
