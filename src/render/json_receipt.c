/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_receipt.h"

#include "render/json_log.h"
#include "stoa/error.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32 };

static void append_log(struct json_writer *writer, const struct receipt_walk_step *step,
                       const struct receipt_log *log, uint64_t log_index)
{
    const struct block *block = step->block;
    struct json_log input = {
        .address = log->address,
        .topic_count = log->topic_count,
        .data = log->data,
        .height = block->header.number,
        .timestamp = block->header.timestamp,
        .block_hash = block->hash,
        .transaction_hash = step->hash,
        .transaction_index = step->index,
        .log_index = log_index,
    };
    for (unsigned i = 0; i < log->topic_count; i++) {
        input.topics[i] = log->topics[i];
    }
    json_log_append(writer, NULL, &input);
}

static int append_logs(struct json_writer *writer, const struct receipt_walk_step *step,
                       struct error_detail *detail)
{
    json_writer_array_begin(writer, "logs");
    struct bytes cursor = step->receipt.logs;
    for (size_t i = 0; i < step->receipt.log_count; i++) {
        struct receipt_log log;
        int result = receipt_next_log(&cursor, &log, detail);
        if (result != 0) {
            return result;
        }
        append_log(writer, step, &log, step->first_log_index + i);
    }
    json_writer_array_end(writer);
    return 0;
}

int json_receipt_append(struct json_writer *writer, const char *key,
                        const struct receipt_walk_step *step, struct error_detail *detail)
{
    const struct receipt *receipt = &step->receipt;
    json_writer_object_begin(writer, key);
    json_writer_hex(writer, "transactionHash", step->hash, HASH_SIZE);
    json_writer_quantity(writer, "transactionIndex", step->index);
    json_writer_hex(writer, "blockHash", step->block->hash, HASH_SIZE);
    json_writer_quantity(writer, "blockNumber", step->block->header.number);
    json_writer_quantity(writer, "type", receipt->type);
    json_writer_hex_or_null(writer, "from", step->sender, ADDRESS_SIZE);
    json_writer_hex_or_null(writer, "to", step->transaction.to, ADDRESS_SIZE);
    json_writer_hex_or_null(writer, "contractAddress", step->creates ? step->contract : NULL,
                            ADDRESS_SIZE);
    if (receipt->has_state_root) {
        json_writer_hex(writer, "root", receipt->state_root, HASH_SIZE);
    } else {
        json_writer_quantity(writer, "status", receipt->status);
    }
    json_writer_quantity(writer, "gasUsed", step->gas_used);
    json_writer_quantity(writer, "cumulativeGasUsed", receipt->cumulative_gas_used);
    json_writer_quantity256(writer, "effectiveGasPrice", step->gas_price);
    if (step->transaction.type == 3) {
        json_writer_quantity(writer, "blobGasUsed", step->blob_gas_used);
        if (step->has_blob_price) {
            json_writer_quantity256(writer, "blobGasPrice", step->blob_price);
        }
    }
    int result = append_logs(writer, step, detail);
    if (result != 0) {
        (void)error_prefix(detail, "logs");
        return result;
    }
    json_writer_hex(writer, "logsBloom", receipt->logs_bloom, HEADER_BLOOM_SIZE);
    json_writer_object_end(writer);
    return 0;
}
