/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/header.h"

#include <stddef.h>

#include "chain/keccak.h"

enum field_kind { FIELD_FIXED, FIELD_UINT64, FIELD_UINT256, FIELD_STRING };

struct field {
    const char *name; /* as JSON-RPC writes it */
    enum field_kind kind;
    size_t size; /* of a fixed one */
    size_t offset;
};

/* In the order of the encoding. */
static const struct field fields[HEADER_FIELDS_MAX] = {
    {"parentHash", FIELD_FIXED, 32, offsetof(struct header, parent_hash)},
    {"sha3Uncles", FIELD_FIXED, 32, offsetof(struct header, uncles_hash)},
    {"miner", FIELD_FIXED, 20, offsetof(struct header, beneficiary)},
    {"stateRoot", FIELD_FIXED, 32, offsetof(struct header, state_root)},
    {"transactionsRoot", FIELD_FIXED, 32, offsetof(struct header, transactions_root)},
    {"receiptsRoot", FIELD_FIXED, 32, offsetof(struct header, receipts_root)},
    {"logsBloom", FIELD_FIXED, HEADER_BLOOM_SIZE, offsetof(struct header, logs_bloom)},
    {"difficulty", FIELD_UINT256, 0, offsetof(struct header, difficulty)},
    {"number", FIELD_UINT64, 0, offsetof(struct header, number)},
    {"gasLimit", FIELD_UINT64, 0, offsetof(struct header, gas_limit)},
    {"gasUsed", FIELD_UINT64, 0, offsetof(struct header, gas_used)},
    {"timestamp", FIELD_UINT64, 0, offsetof(struct header, timestamp)},
    {"extraData", FIELD_STRING, 0, offsetof(struct header, extra_data)},
    {"mixHash", FIELD_FIXED, 32, offsetof(struct header, mix_hash)},
    {"nonce", FIELD_FIXED, 8, offsetof(struct header, nonce)},
    {"baseFeePerGas", FIELD_UINT256, 0, offsetof(struct header, base_fee)},
    {"withdrawalsRoot", FIELD_FIXED, 32, offsetof(struct header, withdrawals_root)},
    {"blobGasUsed", FIELD_UINT64, 0, offsetof(struct header, blob_gas_used)},
    {"excessBlobGas", FIELD_UINT64, 0, offsetof(struct header, excess_blob_gas)},
    {"parentBeaconBlockRoot", FIELD_FIXED, 32, offsetof(struct header, parent_beacon_root)},
    {"requestsHash", FIELD_FIXED, 32, offsetof(struct header, requests_hash)},
};

static int read_field(const struct field *field, struct bytes *cursor, struct header *header,
                      struct error_detail *detail)
{
    void *target = (uint8_t *)header + field->offset;
    int error = 0;
    switch (field->kind) {
    case FIELD_FIXED:
        error = rlp_read_fixed(cursor, field->size, target, detail);
        break;
    case FIELD_UINT64:
        error = rlp_read_uint64(cursor, target, detail);
        break;
    case FIELD_UINT256:
        error = rlp_read_uint256(cursor, target, detail);
        break;
    case FIELD_STRING:
        error = rlp_read_string(cursor, target, detail);
        break;
    }
    if (error != 0) {
        error_prefix(detail, "%s", field->name);
    }
    return error;
}

/* Forks add fields in groups: Cancun has three. */
static bool is_field_count_of_a_fork(unsigned count)
{
    return count == 15 || count == 16 || count == 17 || count == 20 || count == 21;
}

int header_decode(struct bytes encoding, struct header *out_header, struct error_detail *detail)
{
    struct bytes cursor = encoding;
    struct bytes payload;
    int error = rlp_read_list(&cursor, &payload, detail);
    if (error == 0) {
        error = rlp_expect_end(cursor, detail);
    }
    if (error != 0) {
        error_prefix(detail, "header");
        return error;
    }
    struct header header = {.encoding = encoding};
    unsigned count = 0;
    while (count < HEADER_FIELDS_MAX && payload.size > 0) {
        error = read_field(&fields[count], &payload, &header, detail);
        if (error != 0) {
            return error;
        }
        count++;
    }
    error = rlp_expect_end(payload, detail);
    if (error != 0) {
        error_prefix(detail, "header");
        return error;
    }
    if (!is_field_count_of_a_fork(count)) {
        return error_set(detail, STOA_EINVAL, "%s: missing", fields[count].name);
    }
    header.field_count = count;
    *out_header = header;
    return 0;
}

void header_hash(const struct header *header, uint8_t out[32])
{
    keccak_256(header->encoding.data, header->encoding.size, out);
}

int header_refuse(const char *field, const uint8_t said[32], const uint8_t computed[32],
                  struct error_detail *detail)
{
    char said_hex[65];
    char computed_hex[65];
    bytes_to_hex(said, 32, said_hex);
    bytes_to_hex(computed, 32, computed_hex);
    return error_set(detail, STOA_EREFUSED, "%s: header says 0x%s, computed 0x%s", field, said_hex,
                     computed_hex);
}
