/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/block_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "chain/transaction.h"
#include "render/fees.h"
#include "render/wide.h"
#include "stoa/error.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, FIELDS_LONDON = 16, FIELDS_CANCUN = 20 };

static const char *const type_names[] = {"legacy", "access list", "dynamic fee", "blob",
                                         "set code"};

static const char *type_name(unsigned type)
{
    return type < sizeof(type_names) / sizeof(type_names[0]) ? type_names[type] : "unknown";
}

static void add_extra_data(struct sheet *sheet, struct bytes extra)
{
    bool text = extra.size > 0;
    for (size_t i = 0; i < extra.size; i++) {
        text = text && extra.data[i] < 0x80 && isprint(extra.data[i]) != 0;
    }
    if (text) {
        sheet_line(sheet, "extra data", "\"%.*s\"", (int)extra.size, (const char *)extra.data);
    } else {
        sheet_hex(sheet, "extra data", extra.data, extra.size);
    }
}

static void add_gas(struct sheet *sheet, uint64_t used, uint64_t limit)
{
    char used_text[SHEET_TEXT_SIZE];
    char limit_text[SHEET_TEXT_SIZE];
    double percent = limit == 0 ? 0 : (double)used * 100 / (double)limit;
    sheet_line(sheet, "gas used", "%s of %s (%.1f %%)", sheet_count_text(used, used_text),
               sheet_count_text(limit, limit_text), percent);
}

void block_text_header(struct sheet *sheet, const struct header *header, const uint8_t hash[32])
{
    sheet_line(sheet, "block", "%" PRIu64, header->number);
    sheet_hex(sheet, "hash", hash, HASH_SIZE);
    sheet_hex(sheet, "parent", header->parent_hash, HASH_SIZE);
    sheet_time(sheet, "time", header->timestamp);
    sheet_hex(sheet, "beneficiary", header->beneficiary, ADDRESS_SIZE);
    sheet_decimal(sheet, "difficulty", header->difficulty);
    add_gas(sheet, header->gas_used, header->gas_limit);
    if (header->field_count >= FIELDS_LONDON) {
        sheet_gwei(sheet, "base fee", header->base_fee);
    }
    if (header->field_count >= FIELDS_CANCUN) {
        char text[SHEET_TEXT_SIZE];
        uint8_t price[32];
        sheet_line(sheet, "blob gas used", "%s", sheet_count_text(header->blob_gas_used, text));
        sheet_line(sheet, "excess blob gas", "%s", sheet_count_text(header->excess_blob_gas, text));
        if (fees_blob_price(header, price)) {
            sheet_gwei(sheet, "blob gas price", price);
        }
    }
    sheet_hex(sheet, "state root", header->state_root, HASH_SIZE);
    sheet_hex(sheet, "transactions root", header->transactions_root, HASH_SIZE);
    sheet_hex(sheet, "receipts root", header->receipts_root, HASH_SIZE);
    sheet_hex(sheet, "uncles hash", header->uncles_hash, HASH_SIZE);
    if (header->withdrawals_root != NULL) {
        sheet_hex(sheet, "withdrawals root", header->withdrawals_root, HASH_SIZE);
    }
    if (header->parent_beacon_root != NULL) {
        sheet_hex(sheet, "beacon root", header->parent_beacon_root, HASH_SIZE);
    }
    if (header->requests_hash != NULL) {
        sheet_hex(sheet, "requests hash", header->requests_hash, HASH_SIZE);
    }
    sheet_hex(sheet, "mix hash", header->mix_hash, HASH_SIZE);
    sheet_hex(sheet, "nonce", header->nonce, 8);
    add_extra_data(sheet, header->extra_data);
}

static int add_transaction_row(struct sheet *sheet, size_t index, struct bytes envelope,
                               const uint8_t *sender, struct error_detail *detail)
{
    struct transaction transaction;
    int result = transaction_decode(envelope, &transaction, detail);
    if (result != 0) {
        return result;
    }
    uint8_t hash[HASH_SIZE];
    transaction_hash(envelope, hash);
    struct wide wei = wide_load(transaction.value);
    char ether[WIDE_FRACTION_SIZE];
    wide_to_fraction(&wei, 18, ether);
    sheet_add(sheet, "%6zu  ", index);
    sheet_add_hex(sheet, hash, HASH_SIZE);
    sheet_add(sheet, "  ");
    if (sender != NULL) {
        sheet_add_hex(sheet, sender, ADDRESS_SIZE);
    } else {
        sheet_add(sheet, "%-42s", "-");
    }
    sheet_add(sheet, "  ");
    if (transaction.to != NULL) {
        sheet_add_hex(sheet, transaction.to, ADDRESS_SIZE);
    } else {
        sheet_add(sheet, "%-42s", "(creates a contract)");
    }
    sheet_add(sheet, "  %s ether\n", ether);
    return 0;
}

int block_text_body(struct sheet *sheet, const struct block *block, struct bytes senders,
                    const uint8_t total_difficulty[32], struct error_detail *detail)
{
    char text[SHEET_TEXT_SIZE];
    sheet_decimal(sheet, "total difficulty", total_difficulty);
    sheet_line(sheet, "size", "%s", sheet_size_text(block->encoding.size, text));
    sheet_line(sheet, "uncles", "%zu", block->uncle_count);
    if (block->has_withdrawals) {
        sheet_line(sheet, "withdrawals", "%zu", block->withdrawal_count);
    }
    sheet_line(sheet, "transactions", "%zu", block->transaction_count);
    struct bytes cursor = block->transactions;
    for (size_t i = 0; i < block->transaction_count; i++) {
        struct bytes envelope;
        bool known = senders.size >= (i + 1) * ADDRESS_SIZE;
        int result = block_next_transaction(&cursor, &envelope, detail);
        if (result == 0) {
            result = add_transaction_row(sheet, i, envelope,
                                         known ? senders.data + i * ADDRESS_SIZE : NULL, detail);
        }
        if (result != 0) {
            (void)error_prefix(detail, "transaction %zu", i);
            return result;
        }
    }
    return 0;
}

int block_text_transaction(struct sheet *sheet, const struct block *block, size_t index,
                           struct bytes envelope, const uint8_t *sender,
                           struct error_detail *detail)
{
    struct transaction transaction;
    int result = transaction_decode(envelope, &transaction, detail);
    if (result != 0) {
        return result;
    }
    char text[SHEET_TEXT_SIZE];
    uint8_t hash[HASH_SIZE];
    uint8_t price[32];
    transaction_hash(envelope, hash);
    fees_gas_price(&transaction, &block->header, price);
    sheet_hex(sheet, "transaction", hash, HASH_SIZE);
    sheet_line(sheet, "block", "%" PRIu64 ", index %zu", block->header.number, index);
    sheet_time(sheet, "time", block->header.timestamp);
    sheet_line(sheet, "type", "%u (%s)", transaction.type, type_name(transaction.type));
    sheet_hex(sheet, "from", sender, ADDRESS_SIZE);
    if (transaction.to != NULL) {
        sheet_hex(sheet, "to", transaction.to, ADDRESS_SIZE);
    } else {
        sheet_line(sheet, "to", "(creates a contract)");
    }
    sheet_line(sheet, "nonce", "%" PRIu64, transaction.nonce);
    sheet_ether(sheet, "value", transaction.value);
    sheet_line(sheet, "gas limit", "%s", sheet_count_text(transaction.gas_limit, text));
    sheet_gwei(sheet, "gas price", price);
    if (transaction.type >= 2) {
        sheet_gwei(sheet, "max fee", transaction.max_fee);
        sheet_gwei(sheet, "max priority fee", transaction.max_priority_fee);
    }
    if (transaction.type == 3) {
        sheet_gwei(sheet, "max blob gas fee", transaction.max_fee_per_blob_gas);
    }
    if (transaction.has_chain_id) {
        sheet_line(sheet, "chain id", "%" PRIu64, transaction.chain_id);
    }
    sheet_line(sheet, "size", "%s", sheet_size_text(envelope.size, text));
    sheet_hex(sheet, "input", transaction.input.data, transaction.input.size);
    return 0;
}

static int add_logs(struct sheet *sheet, const struct receipt_walk_step *step,
                    struct error_detail *detail)
{
    struct bytes cursor = step->receipt.logs;
    for (size_t i = 0; i < step->receipt.log_count; i++) {
        struct receipt_log log;
        int result = receipt_next_log(&cursor, &log, detail);
        if (result != 0) {
            return result;
        }
        char name[24];
        (void)snprintf(name, sizeof(name), "log %" PRIu64, step->first_log_index + i);
        sheet_hex(sheet, name, log.address, ADDRESS_SIZE);
        for (unsigned topic = 0; topic < log.topic_count; topic++) {
            sheet_hex(sheet, topic == 0 ? "  topics" : "", log.topics[topic], HASH_SIZE);
        }
        sheet_hex(sheet, "  data", log.data.data, log.data.size);
    }
    return 0;
}

int block_text_receipt(struct sheet *sheet, const struct receipt_walk_step *step,
                       struct error_detail *detail)
{
    const struct receipt *receipt = &step->receipt;
    char text[SHEET_TEXT_SIZE];
    sheet_hex(sheet, "transaction", step->hash, HASH_SIZE);
    sheet_line(sheet, "block", "%" PRIu64 ", index %zu", step->block->header.number, step->index);
    sheet_line(sheet, "type", "%u (%s)", receipt->type, type_name(receipt->type));
    if (receipt->has_state_root) {
        sheet_hex(sheet, "state root", receipt->state_root, HASH_SIZE);
    } else {
        sheet_line(sheet, "status", receipt->status == 1 ? "succeeded" : "failed");
    }
    sheet_hex(sheet, "from", step->sender, ADDRESS_SIZE);
    sheet_hex(sheet, "to", step->transaction.to, ADDRESS_SIZE);
    if (step->creates) {
        sheet_hex(sheet, "contract", step->contract, ADDRESS_SIZE);
    }
    sheet_line(sheet, "gas used", "%s", sheet_count_text(step->gas_used, text));
    sheet_line(sheet, "cumulative gas", "%s", sheet_count_text(receipt->cumulative_gas_used, text));
    sheet_gwei(sheet, "gas price", step->gas_price);
    if (step->transaction.type == 3) {
        sheet_line(sheet, "blob gas used", "%s", sheet_count_text(step->blob_gas_used, text));
        if (step->has_blob_price) {
            sheet_gwei(sheet, "blob gas price", step->blob_price);
        }
    }
    sheet_line(sheet, "logs", "%zu", receipt->log_count);
    return add_logs(sheet, step, detail);
}
