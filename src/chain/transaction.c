/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/transaction.h"

#include <inttypes.h>
#include <secp256k1.h>
#include <secp256k1_preallocated.h>
#include <secp256k1_recovery.h>
#include <stddef.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/envelope.h"
#include "chain/keccak.h"

enum {
    ADDRESS_SIZE = 20,
    V_BEFORE_EIP155 = 27, /* and 28 */
    V_EIP155 = 35,        /* plus twice the chain id, plus the parity */
    PREFIX_SIZE_MAX = 9,
    LAYOUT_MAX = 11,
};

enum field_kind {
    FIELD_END,
    FIELD_UINT64,
    FIELD_UINT256,
    FIELD_STRING,
    FIELD_ADDRESS,
    FIELD_ADDRESS_OR_NONE,
    FIELD_ACCESS_LIST,
    FIELD_BLOB_HASHES,
    FIELD_AUTHORIZATIONS,
};

struct field {
    const char *name; /* as JSON-RPC writes it */
    enum field_kind kind;
    size_t offset;
};

#define FIELD(name, kind, member)                        \
    {                                                    \
        name, kind, offsetof(struct transaction, member) \
    }
#define CHAIN_ID FIELD("chainId", FIELD_UINT64, chain_id)
#define NONCE FIELD("nonce", FIELD_UINT64, nonce)
#define GAS_PRICE FIELD("gasPrice", FIELD_UINT256, gas_price)
#define PRIORITY_FEE FIELD("maxPriorityFeePerGas", FIELD_UINT256, max_priority_fee)
#define MAX_FEE FIELD("maxFeePerGas", FIELD_UINT256, max_fee)
#define GAS FIELD("gas", FIELD_UINT64, gas_limit)
#define TO FIELD("to", FIELD_ADDRESS, to)
#define TO_OR_NONE FIELD("to", FIELD_ADDRESS_OR_NONE, to)
#define VALUE FIELD("value", FIELD_UINT256, value)
#define INPUT FIELD("input", FIELD_STRING, input)
#define ACCESS_LIST FIELD("accessList", FIELD_ACCESS_LIST, access_list)
#define BLOB_FEE FIELD("maxFeePerBlobGas", FIELD_UINT256, max_fee_per_blob_gas)
#define BLOB_HASHES FIELD("blobVersionedHashes", FIELD_BLOB_HASHES, blob_hashes)
#define AUTHORIZATIONS FIELD("authorizationList", FIELD_AUTHORIZATIONS, authorizations)

/* What stands before the signature, by type; the entry after the last is all zero: FIELD_END. */
static const struct field layouts[ENVELOPE_TYPE_MAX + 1][LAYOUT_MAX + 1] = {
    {NONCE, GAS_PRICE, GAS, TO_OR_NONE, VALUE, INPUT},
    {CHAIN_ID, NONCE, GAS_PRICE, GAS, TO_OR_NONE, VALUE, INPUT, ACCESS_LIST},
    {CHAIN_ID, NONCE, PRIORITY_FEE, MAX_FEE, GAS, TO_OR_NONE, VALUE, INPUT, ACCESS_LIST},
    {CHAIN_ID, NONCE, PRIORITY_FEE, MAX_FEE, GAS, TO, VALUE, INPUT, ACCESS_LIST, BLOB_FEE,
     BLOB_HASHES},
    {CHAIN_ID, NONCE, PRIORITY_FEE, MAX_FEE, GAS, TO, VALUE, INPUT, ACCESS_LIST, AUTHORIZATIONS},
};

static int check_hashes(struct bytes cursor, struct error_detail *detail)
{
    int error = 0;
    while (error == 0 && cursor.size > 0) {
        const uint8_t *hash;
        error = rlp_read_fixed(&cursor, 32, &hash, detail);
    }
    return error;
}

static int check_access_list(struct bytes cursor, struct error_detail *detail)
{
    while (cursor.size > 0) {
        struct bytes entry;
        struct bytes slots;
        const uint8_t *address;
        int error = rlp_read_list(&cursor, &entry, detail);
        if (error != 0 || (error = rlp_read_fixed(&entry, ADDRESS_SIZE, &address, detail)) != 0 ||
            (error = rlp_read_list(&entry, &slots, detail)) != 0 ||
            (error = rlp_expect_end(entry, detail)) != 0 ||
            (error = check_hashes(slots, detail)) != 0) {
            return error;
        }
    }
    return 0;
}

/* [chain id, address, nonce, y parity, r, s]; whether its signature holds is for execution. */
static int check_authorizations(struct bytes cursor, struct error_detail *detail)
{
    while (cursor.size > 0) {
        struct bytes entry;
        const uint8_t *address;
        uint64_t nonce;
        uint64_t parity;
        uint8_t wide[32];
        int error = rlp_read_list(&cursor, &entry, detail);
        if (error != 0 || (error = rlp_read_uint256(&entry, wide, detail)) != 0 ||
            (error = rlp_read_fixed(&entry, ADDRESS_SIZE, &address, detail)) != 0 ||
            (error = rlp_read_uint64(&entry, &nonce, detail)) != 0 ||
            (error = rlp_read_uint64(&entry, &parity, detail)) != 0 ||
            (error = rlp_read_uint256(&entry, wide, detail)) != 0 ||
            (error = rlp_read_uint256(&entry, wide, detail)) != 0 ||
            (error = rlp_expect_end(entry, detail)) != 0) {
            return error;
        }
        if (parity > UINT8_MAX) {
            return error_set(detail, STOA_EINVAL, "yParity: %" PRIu64, parity);
        }
    }
    return 0;
}

static int read_address_or_none(struct bytes *cursor, const uint8_t **out,
                                struct error_detail *detail)
{
    struct bytes string;
    int error = rlp_read_string(cursor, &string, detail);
    if (error != 0) {
        return error;
    }
    if (string.size != 0 && string.size != ADDRESS_SIZE) {
        return error_set(detail, STOA_EINVAL, "%zu bytes, not %d and not none", string.size,
                         ADDRESS_SIZE);
    }
    *out = string.size == 0 ? NULL : string.data;
    return 0;
}

static int read_field(const struct field *field, struct bytes *cursor,
                      struct transaction *transaction, struct error_detail *detail)
{
    void *target = (uint8_t *)transaction + field->offset;
    struct bytes *view = target;
    int error = 0;
    switch (field->kind) {
    case FIELD_UINT64:
        return rlp_read_uint64(cursor, target, detail);
    case FIELD_UINT256:
        return rlp_read_uint256(cursor, target, detail);
    case FIELD_STRING:
        return rlp_read_string(cursor, target, detail);
    case FIELD_ADDRESS:
        return rlp_read_fixed(cursor, ADDRESS_SIZE, target, detail);
    case FIELD_ADDRESS_OR_NONE:
        return read_address_or_none(cursor, target, detail);
    case FIELD_ACCESS_LIST:
        error = rlp_read_list(cursor, view, detail);
        return error != 0 ? error : check_access_list(*view, detail);
    case FIELD_BLOB_HASHES:
        error = rlp_read_list(cursor, view, detail);
        return error != 0 ? error : check_hashes(*view, detail);
    case FIELD_AUTHORIZATIONS:
        error = rlp_read_list(cursor, view, detail);
        return error != 0 ? error : check_authorizations(*view, detail);
    case FIELD_END:
        break;
    }
    ensure(false);
    return 0;
}

/* v carries the parity, and from EIP-155 on the chain id as well. */
static int take_v(struct transaction *transaction, struct error_detail *detail)
{
    uint64_t v = transaction->v;
    if (v == V_BEFORE_EIP155 || v == V_BEFORE_EIP155 + 1) {
        transaction->y_parity = (unsigned)(v - V_BEFORE_EIP155);
        return 0;
    }
    if (v < V_EIP155) {
        return error_set(detail, STOA_EINVAL, "v: %" PRIu64 " is neither 27, 28 nor from 35 on", v);
    }
    transaction->has_chain_id = true;
    transaction->chain_id = (v - V_EIP155) / 2;
    transaction->y_parity = (unsigned)((v - V_EIP155) % 2);
    return 0;
}

static int take_parity(struct transaction *transaction, struct error_detail *detail)
{
    if (transaction->v > 1) {
        return error_set(detail, STOA_EINVAL, "yParity: %" PRIu64 " is neither 0 nor 1",
                         transaction->v);
    }
    transaction->has_chain_id = true;
    transaction->y_parity = (unsigned)transaction->v;
    return 0;
}

static int read_signature(struct bytes *cursor, struct transaction *transaction,
                          struct error_detail *detail)
{
    const char *name = transaction->type == 0 ? "v" : "yParity";
    int error = rlp_read_uint64(cursor, &transaction->v, detail);
    if (error == 0) {
        name = "r";
        error = rlp_read_uint256(cursor, transaction->r, detail);
    }
    if (error == 0) {
        name = "s";
        error = rlp_read_uint256(cursor, transaction->s, detail);
    }
    if (error != 0) {
        error_prefix(detail, "%s", name);
        return error;
    }
    return transaction->type == 0 ? take_v(transaction, detail) : take_parity(transaction, detail);
}

int transaction_decode(struct bytes envelope, struct transaction *out_transaction,
                       struct error_detail *detail)
{
    struct transaction transaction = {.envelope = envelope};
    struct bytes cursor;
    int error = envelope_open(envelope, &transaction.type, &cursor, detail);
    if (error != 0) {
        error_prefix(detail, "transaction");
        return error;
    }
    struct bytes payload = cursor;
    for (const struct field *field = layouts[transaction.type]; field->kind != FIELD_END; field++) {
        error = read_field(field, &cursor, &transaction, detail);
        if (error != 0) {
            error_prefix(detail, "%s", field->name);
            return error;
        }
    }
    transaction.unsigned_fields = bytes_of(payload.data, payload.size - cursor.size);
    error = read_signature(&cursor, &transaction, detail);
    if (error != 0) {
        return error;
    }
    error = rlp_expect_end(cursor, detail);
    if (error != 0) {
        error_prefix(detail, "transaction");
        return error;
    }
    *out_transaction = transaction;
    return 0;
}

void transaction_hash(struct bytes envelope, uint8_t out[32])
{
    keccak_256(envelope.data, envelope.size, out);
}

/* Write VALUE's bytes without leading zeros to OUT. Returns how many. */
static size_t put_big_endian(uint64_t value, uint8_t out[8])
{
    uint8_t all[8];
    bytes_store_be64(all, value);
    size_t zeros = value == 0 ? 8 : (size_t)__builtin_clzll(value) / 8;
    memcpy(out, all + zeros, 8 - zeros);
    return 8 - zeros;
}

static size_t put_uint64(uint64_t value, uint8_t out[PREFIX_SIZE_MAX])
{
    if (value > 0 && value < 0x80) {
        out[0] = (uint8_t)value;
        return 1;
    }
    size_t size = put_big_endian(value, out + 1);
    out[0] = (uint8_t)(0x80 + size);
    return size + 1;
}

static size_t put_list_prefix(uint64_t payload_size, uint8_t out[PREFIX_SIZE_MAX])
{
    if (payload_size <= 55) {
        out[0] = (uint8_t)(0xc0 + payload_size);
        return 1;
    }
    size_t size = put_big_endian(payload_size, out + 1);
    out[0] = (uint8_t)(0xf7 + size);
    return size + 1;
}

/* The unsigned fields stand together in the envelope, so they are hashed where they are: only the
 * list's prefix, and EIP-155's chain id with two empty strings, are made here. */
int transaction_signing_hash(const struct transaction *transaction, uint8_t out[32])
{
    struct bytes fields = transaction->unsigned_fields;
    uint8_t tail[PREFIX_SIZE_MAX + 2];
    size_t tail_size = 0;
    if (transaction->type == 0 && transaction->has_chain_id) {
        tail_size = put_uint64(transaction->chain_id, tail);
        tail[tail_size++] = 0x80;
        tail[tail_size++] = 0x80;
    }
    uint8_t head[1 + PREFIX_SIZE_MAX];
    size_t head_size = 0;
    if (transaction->type != 0) {
        head[head_size++] = (uint8_t)transaction->type;
    }
    head_size += put_list_prefix(fields.size + tail_size, head + head_size);

    struct keccak state;
    keccak_init(&state);
    keccak_update(&state, head, head_size);
    keccak_update(&state, fields.data, fields.size);
    keccak_update(&state, tail, tail_size);
    keccak_final(&state, out);
    return 0;
}

struct transaction_recovery {
    secp256k1_context *context; /* lives in MEMORY */
    void *memory;
};

struct transaction_recovery *transaction_recovery_create(void)
{
    struct transaction_recovery *recovery = memory_alloc_zeroed(1, sizeof(*recovery));
    if (recovery == NULL) {
        return NULL;
    }
    recovery->memory =
        memory_alloc_aligned(secp256k1_context_preallocated_size(SECP256K1_CONTEXT_VERIFY), 64);
    if (recovery->memory == NULL) {
        memory_free(recovery);
        return NULL;
    }
    recovery->context =
        secp256k1_context_preallocated_create(recovery->memory, SECP256K1_CONTEXT_VERIFY);
    ensure(recovery->context != NULL);
    return recovery;
}

void transaction_recovery_destroy(struct transaction_recovery *recovery)
{
    if (recovery == NULL) {
        return;
    }
    secp256k1_context_preallocated_destroy(recovery->context);
    memory_free(recovery->memory);
    memory_free(recovery);
}

int transaction_sender(struct transaction_recovery *recovery, const struct transaction *transaction,
                       uint8_t out[20], struct error_detail *detail)
{
    uint8_t signing_hash[32];
    int error = transaction_signing_hash(transaction, signing_hash);
    if (error != 0) {
        return error;
    }
    uint8_t compact[64];
    memcpy(compact, transaction->r, 32);
    memcpy(compact + 32, transaction->s, 32);
    secp256k1_ecdsa_recoverable_signature signature;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(recovery->context, &signature, compact,
                                                            (int)transaction->y_parity) == 0) {
        return error_set(detail, STOA_EREFUSED, "signature: r or s is not below the group's order");
    }
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recover(recovery->context, &key, &signature, signing_hash) == 0) {
        return error_set(detail, STOA_EREFUSED, "signature: no public key fits it");
    }
    uint8_t serialized[65];
    size_t size = sizeof(serialized);
    secp256k1_ec_pubkey_serialize(recovery->context, serialized, &size, &key,
                                  SECP256K1_EC_UNCOMPRESSED);
    ensure(size == sizeof(serialized));
    uint8_t hash[32];
    keccak_256(serialized + 1, 64, hash);
    memcpy(out, hash + 12, ADDRESS_SIZE);
    return 0;
}

void transaction_created_address(const uint8_t sender[20], uint64_t nonce, uint8_t out[20])
{
    uint8_t encoding[1 + 1 + ADDRESS_SIZE + PREFIX_SIZE_MAX];
    size_t nonce_size = put_uint64(nonce, encoding + 2 + ADDRESS_SIZE);
    encoding[0] = (uint8_t)(0xc0 + 1 + ADDRESS_SIZE + nonce_size);
    encoding[1] = 0x80 + ADDRESS_SIZE;
    memcpy(encoding + 2, sender, ADDRESS_SIZE);
    uint8_t hash[32];
    keccak_256(encoding, 2 + ADDRESS_SIZE + nonce_size, hash);
    memcpy(out, hash + 12, ADDRESS_SIZE);
}

/* A string of at most 55 bytes off the front of CURSOR. */
static bool take_short(struct bytes *cursor, struct bytes *out)
{
    if (cursor->size == 0) {
        return false;
    }
    uint8_t first = cursor->data[0];
    size_t head = first >= 0x80;
    size_t size = head == 0 ? 1 : (size_t)first - 0x80;
    if (first > 0xb7 || cursor->size < head + size) {
        return false;
    }
    *out = bytes_of(cursor->data + head, size);
    *cursor = bytes_of(out->data + size, cursor->size - head - size);
    return true;
}

int transaction_read_ends(struct bytes envelope, const uint8_t **out_to, uint64_t *out_nonce)
{
    /* Fields before the nonce and between it and the recipient, by type. */
    static const uint8_t before[] = {0, 1, 1, 1, 1};
    static const uint8_t between[] = {2, 2, 3, 3, 3};
    struct bytes fields;
    struct bytes field;
    size_t type = envelope.size != 0 && envelope.data[0] < 0xc0 ? envelope.data[0] : 0;
    struct bytes list = type == 0 ? envelope : bytes_of(envelope.data + 1, envelope.size - 1);
    if (type >= sizeof(before) || rlp_read_list(&list, &fields, NULL) != 0) {
        return STOA_EINVAL;
    }
    for (unsigned i = 0; i < before[type]; i++) {
        if (!take_short(&fields, &field)) {
            return STOA_EINVAL;
        }
    }
    if (!take_short(&fields, &field) || field.size > 8) {
        return STOA_EINVAL;
    }
    *out_nonce = 0;
    for (size_t i = 0; i < field.size; i++) {
        *out_nonce = *out_nonce << 8 | field.data[i];
    }
    for (unsigned i = 0; i < between[type]; i++) {
        if (!take_short(&fields, &field)) {
            return STOA_EINVAL;
        }
    }
    if (!take_short(&fields, &field) || (field.size != 0 && field.size != 20)) {
        return STOA_EINVAL;
    }
    *out_to = field.size == 0 ? NULL : field.data;
    return 0;
}
