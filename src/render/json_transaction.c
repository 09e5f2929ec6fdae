/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_transaction.h"

#include "chain/transaction.h"
#include "render/fees.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32 };

static int append_access_list(struct json_writer *writer, struct bytes list,
                              struct error_detail *detail)
{
    json_writer_array_begin(writer, "accessList");
    while (list.size > 0) {
        struct bytes entry;
        struct bytes keys;
        const uint8_t *address;
        int result = rlp_read_list(&list, &entry, detail);
        if (result == 0) {
            result = rlp_read_fixed(&entry, ADDRESS_SIZE, &address, detail);
        }
        if (result == 0) {
            result = rlp_read_list(&entry, &keys, detail);
        }
        if (result != 0) {
            (void)error_prefix(detail, "accessList");
            return result;
        }
        json_writer_object_begin(writer, NULL);
        json_writer_hex(writer, "address", address, ADDRESS_SIZE);
        json_writer_array_begin(writer, "storageKeys");
        while (keys.size > 0) {
            const uint8_t *slot;
            result = rlp_read_fixed(&keys, HASH_SIZE, &slot, detail);
            if (result != 0) {
                (void)error_prefix(detail, "accessList");
                return result;
            }
            json_writer_hex(writer, NULL, slot, HASH_SIZE);
        }
        json_writer_array_end(writer);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
    return 0;
}

static int append_blob_hashes(struct json_writer *writer, struct bytes list,
                              struct error_detail *detail)
{
    json_writer_array_begin(writer, "blobVersionedHashes");
    while (list.size > 0) {
        const uint8_t *hash;
        int result = rlp_read_fixed(&list, HASH_SIZE, &hash, detail);
        if (result != 0) {
            (void)error_prefix(detail, "blobVersionedHashes");
            return result;
        }
        json_writer_hex(writer, NULL, hash, HASH_SIZE);
    }
    json_writer_array_end(writer);
    return 0;
}

static int append_authorization(struct json_writer *writer, struct bytes fields,
                                struct error_detail *detail)
{
    uint8_t chain_id[32];
    const uint8_t *address;
    uint64_t nonce;
    uint8_t parity[32];
    uint8_t r[32];
    uint8_t s[32];
    int result = rlp_read_uint256(&fields, chain_id, detail);
    if (result == 0) {
        result = rlp_read_fixed(&fields, ADDRESS_SIZE, &address, detail);
    }
    if (result == 0) {
        result = rlp_read_uint64(&fields, &nonce, detail);
    }
    if (result == 0) {
        result = rlp_read_uint256(&fields, parity, detail);
    }
    if (result == 0) {
        result = rlp_read_uint256(&fields, r, detail);
    }
    if (result == 0) {
        result = rlp_read_uint256(&fields, s, detail);
    }
    if (result != 0) {
        return result;
    }
    json_writer_object_begin(writer, NULL);
    json_writer_quantity256(writer, "chainId", chain_id);
    json_writer_hex(writer, "address", address, ADDRESS_SIZE);
    json_writer_quantity(writer, "nonce", nonce);
    json_writer_quantity256(writer, "yParity", parity);
    json_writer_quantity256(writer, "r", r);
    json_writer_quantity256(writer, "s", s);
    json_writer_object_end(writer);
    return 0;
}

static int append_authorizations(struct json_writer *writer, struct bytes list,
                                 struct error_detail *detail)
{
    json_writer_array_begin(writer, "authorizationList");
    while (list.size > 0) {
        struct bytes fields;
        int result = rlp_read_list(&list, &fields, detail);
        if (result == 0) {
            result = append_authorization(writer, fields, detail);
        }
        if (result != 0) {
            (void)error_prefix(detail, "authorizationList");
            return result;
        }
    }
    json_writer_array_end(writer);
    return 0;
}

static void append_place(struct json_writer *writer, const struct json_transaction *place)
{
    const struct block *block = place->block;
    uint8_t hash[HASH_SIZE];
    transaction_hash(place->envelope, hash);
    json_writer_hex(writer, "hash", hash, HASH_SIZE);
    json_writer_hex(writer, "blockHash", block->hash, HASH_SIZE);
    json_writer_quantity(writer, "blockNumber", block->header.number);
    json_writer_quantity(writer, "blockTimestamp", block->header.timestamp);
    json_writer_quantity(writer, "transactionIndex", place->index);
}

static void append_fees(struct json_writer *writer, const struct transaction *decoded,
                        const struct header *header)
{
    uint8_t price[32];
    fees_gas_price(decoded, header, price);
    json_writer_quantity(writer, "gas", decoded->gas_limit);
    json_writer_quantity256(writer, "gasPrice", price);
    if (decoded->type >= 2) {
        json_writer_quantity256(writer, "maxFeePerGas", decoded->max_fee);
        json_writer_quantity256(writer, "maxPriorityFeePerGas", decoded->max_priority_fee);
    }
    if (decoded->type == 3) {
        json_writer_quantity256(writer, "maxFeePerBlobGas", decoded->max_fee_per_blob_gas);
    }
}

static void append_signature(struct json_writer *writer, const struct transaction *decoded)
{
    json_writer_quantity(writer, "v", decoded->type == 0 ? decoded->v : decoded->y_parity);
    json_writer_quantity256(writer, "r", decoded->r);
    json_writer_quantity256(writer, "s", decoded->s);
    if (decoded->type > 0) {
        json_writer_quantity(writer, "yParity", decoded->y_parity);
    }
}

static int append_lists(struct json_writer *writer, const struct transaction *decoded,
                        struct error_detail *detail)
{
    int result = 0;
    if (decoded->type >= 1) {
        result = append_access_list(writer, decoded->access_list, detail);
    }
    if (result == 0 && decoded->type == 3) {
        result = append_blob_hashes(writer, decoded->blob_hashes, detail);
    }
    if (result == 0 && decoded->type == 4) {
        result = append_authorizations(writer, decoded->authorizations, detail);
    }
    return result;
}

int json_transaction_append(struct json_writer *writer, const char *key,
                            const struct json_transaction *transaction, struct error_detail *detail)
{
    struct transaction decoded;
    int result = transaction_decode(transaction->envelope, &decoded, detail);
    if (result != 0) {
        return result;
    }
    json_writer_object_begin(writer, key);
    append_place(writer, transaction);
    json_writer_quantity(writer, "type", decoded.type);
    json_writer_hex_or_null(writer, "from", transaction->sender, ADDRESS_SIZE);
    json_writer_hex_or_null(writer, "to", decoded.to, ADDRESS_SIZE);
    json_writer_quantity(writer, "nonce", decoded.nonce);
    json_writer_quantity256(writer, "value", decoded.value);
    append_fees(writer, &decoded, &transaction->block->header);
    json_writer_hex(writer, "input", decoded.input.data, decoded.input.size);
    if (decoded.has_chain_id) {
        json_writer_quantity(writer, "chainId", decoded.chain_id);
    }
    result = append_lists(writer, &decoded, detail);
    if (result != 0) {
        return result;
    }
    append_signature(writer, &decoded);
    json_writer_object_end(writer);
    return 0;
}
