/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_block.h"

#include "base/ensure.h"
#include "chain/keccak.h"
#include "chain/transaction.h"
#include "render/json_transaction.h"
#include "stoa/error.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, NONCE_SIZE = 8, FIELDS_LONDON = 16, FIELDS_CANCUN = 20 };

static void append_header_members(struct json_writer *writer, const struct header *header,
                                  const uint8_t hash[32])
{
    json_writer_quantity(writer, "number", header->number);
    json_writer_hex(writer, "hash", hash, HASH_SIZE);
    json_writer_hex(writer, "parentHash", header->parent_hash, HASH_SIZE);
    json_writer_quantity(writer, "timestamp", header->timestamp);
    json_writer_hex(writer, "miner", header->beneficiary, ADDRESS_SIZE);
    json_writer_quantity256(writer, "difficulty", header->difficulty);
    json_writer_quantity(writer, "gasLimit", header->gas_limit);
    json_writer_quantity(writer, "gasUsed", header->gas_used);
    if (header->field_count >= FIELDS_LONDON) {
        json_writer_quantity256(writer, "baseFeePerGas", header->base_fee);
    }
    if (header->field_count >= FIELDS_CANCUN) {
        json_writer_quantity(writer, "blobGasUsed", header->blob_gas_used);
        json_writer_quantity(writer, "excessBlobGas", header->excess_blob_gas);
    }
    json_writer_hex(writer, "stateRoot", header->state_root, HASH_SIZE);
    json_writer_hex(writer, "transactionsRoot", header->transactions_root, HASH_SIZE);
    json_writer_hex(writer, "receiptsRoot", header->receipts_root, HASH_SIZE);
    json_writer_hex(writer, "sha3Uncles", header->uncles_hash, HASH_SIZE);
    if (header->withdrawals_root != NULL) {
        json_writer_hex(writer, "withdrawalsRoot", header->withdrawals_root, HASH_SIZE);
    }
    if (header->parent_beacon_root != NULL) {
        json_writer_hex(writer, "parentBeaconBlockRoot", header->parent_beacon_root, HASH_SIZE);
    }
    if (header->requests_hash != NULL) {
        json_writer_hex(writer, "requestsHash", header->requests_hash, HASH_SIZE);
    }
    json_writer_hex(writer, "logsBloom", header->logs_bloom, HEADER_BLOOM_SIZE);
    json_writer_hex(writer, "extraData", header->extra_data.data, header->extra_data.size);
    json_writer_hex(writer, "mixHash", header->mix_hash, HASH_SIZE);
    json_writer_hex(writer, "nonce", header->nonce, NONCE_SIZE);
}

static int append_transactions(struct json_writer *writer, const struct json_block *block,
                               struct error_detail *detail)
{
    struct bytes cursor = block->block->transactions;
    if (block->counted) {
        json_writer_quantity(writer, "transactionCount", block->block->transaction_count);
    }
    json_writer_array_begin(writer, "transactions");
    for (size_t i = 0; i < block->block->transaction_count; i++) {
        struct bytes envelope;
        int result = block_next_transaction(&cursor, &envelope, detail);
        bool shown = !block->counted || (i >= block->first && i - block->first < block->count);
        if (result == 0 && !shown) {
            continue;
        }
        if (result == 0 && !block->full) {
            uint8_t hash[HASH_SIZE];
            transaction_hash(envelope, hash);
            json_writer_hex(writer, NULL, hash, HASH_SIZE);
        } else if (result == 0) {
            bool known = block->senders.size >= (i + 1) * ADDRESS_SIZE;
            struct json_transaction transaction = {
                .block = block->block,
                .index = i,
                .envelope = envelope,
                .sender = known ? block->senders.data + i * ADDRESS_SIZE : NULL,
            };
            result = json_transaction_append(writer, NULL, &transaction, detail);
        }
        if (result != 0) {
            (void)error_prefix(detail, "transaction %zu", i);
            return result;
        }
    }
    json_writer_array_end(writer);
    return 0;
}

static int append_uncles(struct json_writer *writer, const struct block *block,
                         struct error_detail *detail)
{
    struct bytes cursor = block->uncles;
    struct bytes uncles;
    int result = rlp_read_list(&cursor, &uncles, detail);
    if (result != 0) {
        return result;
    }
    json_writer_array_begin(writer, "uncles");
    while (uncles.size > 0) {
        struct rlp_item uncle;
        result = rlp_read(&uncles, &uncle, detail);
        if (result != 0) {
            return result;
        }
        uint8_t hash[HASH_SIZE];
        keccak_256(uncle.encoding.data, uncle.encoding.size, hash);
        json_writer_hex(writer, NULL, hash, HASH_SIZE);
    }
    json_writer_array_end(writer);
    return 0;
}

static int append_withdrawals(struct json_writer *writer, struct bytes cursor,
                              struct error_detail *detail)
{
    json_writer_array_begin(writer, "withdrawals");
    while (cursor.size > 0) {
        struct bytes fields;
        uint64_t index;
        uint64_t validator;
        const uint8_t *address;
        uint64_t amount;
        int result = rlp_read_list(&cursor, &fields, detail);
        if (result == 0) {
            result = rlp_read_uint64(&fields, &index, detail);
        }
        if (result == 0) {
            result = rlp_read_uint64(&fields, &validator, detail);
        }
        if (result == 0) {
            result = rlp_read_fixed(&fields, ADDRESS_SIZE, &address, detail);
        }
        if (result == 0) {
            result = rlp_read_uint64(&fields, &amount, detail);
        }
        if (result != 0) {
            return result;
        }
        json_writer_object_begin(writer, NULL);
        json_writer_quantity(writer, "index", index);
        json_writer_quantity(writer, "validatorIndex", validator);
        json_writer_hex(writer, "address", address, ADDRESS_SIZE);
        json_writer_quantity(writer, "amount", amount);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
    return 0;
}

int json_block_append(struct json_writer *writer, const char *key, const struct json_block *block,
                      struct error_detail *detail)
{
    ensure(block->senders.size % ADDRESS_SIZE == 0);
    json_writer_object_begin(writer, key);
    append_header_members(writer, &block->block->header, block->block->hash);
    json_writer_quantity(writer, "size", block->block->encoding.size);
    if (block->total_difficulty != NULL) {
        json_writer_quantity256(writer, "totalDifficulty", block->total_difficulty);
    }
    int result = append_transactions(writer, block, detail);
    if (result != 0) {
        return result;
    }
    result = append_uncles(writer, block->block, detail);
    if (result != 0) {
        (void)error_prefix(detail, "uncles");
        return result;
    }
    if (block->block->has_withdrawals) {
        result = append_withdrawals(writer, block->block->withdrawals, detail);
        if (result != 0) {
            (void)error_prefix(detail, "withdrawals");
            return result;
        }
    }
    json_writer_object_end(writer);
    return 0;
}

void json_block_append_header(struct json_writer *writer, const char *key,
                              const struct header *header, const uint8_t hash[32])
{
    json_writer_object_begin(writer, key);
    append_header_members(writer, header, hash);
    json_writer_object_end(writer);
}

void json_block_append_uncle(struct json_writer *writer, const char *key,
                             const struct header *header, const uint8_t hash[32])
{
    /* The block that it would be without a body: a list of it, of no transactions and no uncles. */
    uint64_t payload = header->encoding.size + 2;
    json_writer_object_begin(writer, key);
    append_header_members(writer, header, hash);
    json_writer_quantity(writer, "size", rlp_list_size(payload));
    json_writer_array_begin(writer, "uncles");
    json_writer_array_end(writer);
    json_writer_object_end(writer);
}
