/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What decodes as a transaction is written again, from its fields, to the same bytes; its signing
 * hash is that of a plain copy without the signature. */
#include "base/ensure.h"
#include "chain/keccak.h"
#include "chain/transaction.h"
#include "fuzz/fuzz.h"
#include "support/chain_maker.h"

static void append_string(struct buffer *out, struct bytes string)
{
    int appended = rlp_append_string(out, string);
    ensure(appended == 0);
}

static void append_uint64(struct buffer *out, uint64_t value)
{
    int appended = rlp_append_uint64(out, value);
    ensure(appended == 0);
}

static void append_uint256(struct buffer *out, const uint8_t value[32])
{
    int appended = rlp_append_uint256(out, value);
    ensure(appended == 0);
}

static void append_unsigned(struct buffer *out, const struct transaction *transaction)
{
    unsigned type = transaction->type;
    if (type > 0) {
        append_uint64(out, transaction->chain_id);
    }
    append_uint64(out, transaction->nonce);
    if (type < 2) {
        append_uint256(out, transaction->gas_price);
    } else {
        append_uint256(out, transaction->max_priority_fee);
        append_uint256(out, transaction->max_fee);
    }
    append_uint64(out, transaction->gas_limit);
    append_string(out, bytes_of(transaction->to, transaction->to == NULL ? 0 : 20));
    append_uint256(out, transaction->value);
    append_string(out, transaction->input);
    if (type > 0) {
        chain_maker_append_list(out, transaction->access_list);
    }
    if (type == 3) {
        append_uint256(out, transaction->max_fee_per_blob_gas);
        chain_maker_append_list(out, transaction->blob_hashes);
    }
    if (type == 4) {
        chain_maker_append_list(out, transaction->authorizations);
    }
}

/* TYPE's byte, where it has one, and FIELDS as a list. */
static void make_envelope(struct buffer *out, unsigned type, struct bytes fields)
{
    buffer_clear(out);
    if (type != 0) {
        int appended = buffer_append(out, &(uint8_t){(uint8_t)type}, 1);
        ensure(appended == 0);
    }
    chain_maker_append_list(out, fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transaction transaction;
    struct error_detail detail = {.code = 0};
    int result = transaction_decode(bytes_of(data, size), &transaction, &detail);
    if (result != 0) {
        ensure(result == STOA_EINVAL);
        ensure(detail.code == STOA_EINVAL);
        ensure(detail.text[0] != '\0');
        return 0;
    }
    struct buffer fields;
    struct buffer envelope;
    uint8_t expected[32];
    uint8_t hash[32];
    buffer_init(&fields);
    buffer_init(&envelope);
    append_unsigned(&fields, &transaction);
    size_t unsigned_size = fields.size;
    ensure(bytes_equal(buffer_bytes(&fields), transaction.unsigned_fields));
    append_uint64(&fields, transaction.v);
    append_uint256(&fields, transaction.r);
    append_uint256(&fields, transaction.s);
    make_envelope(&envelope, transaction.type, buffer_bytes(&fields));
    ensure(bytes_equal(buffer_bytes(&envelope), bytes_of(data, size)));

    fields.size = unsigned_size;
    if (transaction.type == 0 && transaction.has_chain_id) {
        append_uint64(&fields, transaction.chain_id);
        append_uint64(&fields, 0);
        append_uint64(&fields, 0);
    }
    make_envelope(&envelope, transaction.type, buffer_bytes(&fields));
    keccak_256(envelope.data, envelope.size, expected);
    result = transaction_signing_hash(&transaction, hash);
    ensure(result == 0);
    ensure(memcmp(hash, expected, sizeof(hash)) == 0);
    buffer_deinit(&fields);
    buffer_deinit(&envelope);

    struct transaction_recovery *recovery = transaction_recovery_create();
    ensure(recovery != NULL);
    uint8_t sender[20];
    result = transaction_sender(recovery, &transaction, sender, &detail);
    ensure(result == 0 || result == STOA_EREFUSED);
    transaction_recovery_destroy(recovery);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    enum { SEEDS = 7 }; /* legacy without and with chain id and again, types 1 to 4 */
    if (index >= SEEDS) {
        return false;
    }
    unsigned type = index < 2 ? 0 : (unsigned)index - 2;
    chain_maker_transaction(type, index == 0 ? 0 : 1 + 1000 * index, index, out);
    return true;
}
