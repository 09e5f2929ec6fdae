/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/receipt.h"

#include <inttypes.h>

#include "chain/envelope.h"
#include "chain/keccak.h"

enum { TOPICS_MAX = 4, BLOOM_BITS = 8 * HEADER_BLOOM_SIZE };

static int read_topics(struct bytes *cursor, struct receipt_log *log, struct error_detail *detail)
{
    struct bytes topics;
    int error = rlp_read_list(cursor, &topics, detail);
    while (error == 0 && topics.size > 0) {
        if (log->topic_count == TOPICS_MAX) {
            return error_set(detail, STOA_EINVAL, "more than %d", TOPICS_MAX);
        }
        error = rlp_read_fixed(&topics, 32, &log->topics[log->topic_count], detail);
        if (error == 0) {
            log->topic_count++;
        }
    }
    return error;
}

int receipt_next_log(struct bytes *cursor, struct receipt_log *out_log, struct error_detail *detail)
{
    if (cursor->size == 0) {
        return STOA_ENOTFOUND;
    }
    struct bytes rest = *cursor;
    struct bytes fields;
    struct receipt_log log = {0};
    const char *name = "log";
    int error = rlp_read_list(&rest, &fields, detail);
    if (error == 0) {
        name = "address";
        error = rlp_read_fixed(&fields, 20, &log.address, detail);
    }
    if (error == 0) {
        name = "topics";
        error = read_topics(&fields, &log, detail);
    }
    if (error == 0) {
        name = "data";
        error = rlp_read_string(&fields, &log.data, detail);
    }
    if (error == 0) {
        name = "log";
        error = rlp_expect_end(fields, detail);
    }
    if (error != 0) {
        error_prefix(detail, "%s", name);
        return error;
    }
    *cursor = rest;
    *out_log = log;
    return 0;
}

/* Before Byzantium the first field is a root of 32 bytes, after it a status of 0 or 1. */
static int read_outcome(struct bytes *cursor, struct receipt *receipt, struct error_detail *detail)
{
    struct bytes outcome;
    int error = rlp_read_string(cursor, &outcome, detail);
    if (error != 0) {
        return error;
    }
    if (outcome.size == 32 && receipt->type == 0) {
        receipt->has_state_root = true;
        receipt->state_root = outcome.data;
        return 0;
    }
    if (outcome.size > 1 || (outcome.size == 1 && outcome.data[0] != 1)) {
        return error_set(detail, STOA_EINVAL, "neither 0 nor 1%s",
                         receipt->type == 0 ? " nor a root" : "");
    }
    receipt->status = (unsigned)outcome.size;
    return 0;
}

static int count_logs(struct bytes cursor, size_t *out_count, struct error_detail *detail)
{
    size_t count = 0;
    struct receipt_log log;
    int error;
    while ((error = receipt_next_log(&cursor, &log, detail)) == 0) {
        count++;
    }
    if (error != STOA_ENOTFOUND) {
        error_prefix(detail, "item %zu", count);
        return error;
    }
    *out_count = count;
    return 0;
}

static int decode(struct bytes envelope, bool with_logs, struct receipt *out_receipt,
                  struct error_detail *detail)
{
    struct receipt receipt = {.envelope = envelope};
    struct bytes fields;
    const char *name = "receipt";
    int error = envelope_open(envelope, &receipt.type, &fields, detail);
    if (error == 0) {
        name = "status";
        error = read_outcome(&fields, &receipt, detail);
    }
    if (error == 0) {
        name = "cumulativeGasUsed";
        error = rlp_read_uint64(&fields, &receipt.cumulative_gas_used, detail);
    }
    if (error == 0) {
        name = "logsBloom";
        error = rlp_read_fixed(&fields, HEADER_BLOOM_SIZE, &receipt.logs_bloom, detail);
    }
    if (error == 0) {
        name = "logs";
        error = rlp_read_list(&fields, &receipt.logs, detail);
    }
    if (error == 0 && with_logs) {
        error = count_logs(receipt.logs, &receipt.log_count, detail);
    }
    if (error == 0) {
        name = "receipt";
        error = rlp_expect_end(fields, detail);
    }
    if (error != 0) {
        error_prefix(detail, "%s", name);
        return error;
    }
    *out_receipt = receipt;
    return 0;
}

int receipt_decode(struct bytes envelope, struct receipt *out_receipt, struct error_detail *detail)
{
    return decode(envelope, true, out_receipt, detail);
}

int receipt_decode_outside(struct bytes envelope, struct receipt *out_receipt,
                           struct error_detail *detail)
{
    return decode(envelope, false, out_receipt, detail);
}

int receipt_next(struct bytes *cursor, struct bytes *out_envelope, struct error_detail *detail)
{
    return envelope_next(cursor, out_envelope, detail);
}

void receipt_bloom_add(uint8_t bloom[HEADER_BLOOM_SIZE], struct bytes value)
{
    uint8_t hash[32];
    keccak_256(value.data, value.size, hash);
    for (size_t i = 0; i < 6; i += 2) {
        unsigned bit = bytes_load_be16(hash + i) % BLOOM_BITS;
        bloom[HEADER_BLOOM_SIZE - 1 - bit / 8] |= (uint8_t)(1U << bit % 8);
    }
}

/* RECEIPT's logs were checked by receipt_decode. Logs of one address in a row hash it once. */
static void bloom_of_logs(const struct receipt *receipt, uint8_t out[HEADER_BLOOM_SIZE])
{
    memset(out, 0, HEADER_BLOOM_SIZE);
    struct bytes cursor = receipt->logs;
    struct receipt_log log;
    const uint8_t *last_address = NULL;
    while (receipt_next_log(&cursor, &log, NULL) == 0) {
        if (last_address == NULL || memcmp(last_address, log.address, 20) != 0) {
            receipt_bloom_add(out, bytes_of(log.address, 20));
            last_address = log.address;
        }
        for (unsigned i = 0; i < log.topic_count; i++) {
            receipt_bloom_add(out, bytes_of(log.topics[i], 32));
        }
    }
}

/* A bloom is too long for a message: the first byte that differs stands for it. */
static int check_bloom(const char *who, const uint8_t *said, const uint8_t *computed,
                       struct error_detail *detail)
{
    if (memcmp(said, computed, HEADER_BLOOM_SIZE) == 0) {
        return 0;
    }
    size_t at = 0;
    while (said[at] == computed[at]) {
        at++;
    }
    return error_set(detail, STOA_EREFUSED,
                     "logsBloom: %s says 0x%02x at byte %zu, computed 0x%02x", who, said[at], at,
                     computed[at]);
}

/* What receipt_check_list carries from one receipt to the next. */
struct list_check {
    uint64_t gas_used;
    uint8_t bloom[HEADER_BLOOM_SIZE];
};

static int check_one(struct list_check *check, struct bytes transaction, struct bytes envelope,
                     struct error_detail *detail)
{
    struct receipt receipt;
    unsigned type;
    struct bytes payload;
    int error = receipt_decode(envelope, &receipt, detail);
    if (error == 0) {
        error = envelope_open(transaction, &type, &payload, detail);
    }
    if (error != 0) {
        return error;
    }
    if (type != receipt.type) {
        return error_set(detail, STOA_EREFUSED, "type: transaction says %u, receipt says %u", type,
                         receipt.type);
    }
    if (receipt.cumulative_gas_used < check->gas_used) {
        return error_set(detail, STOA_EREFUSED, "cumulativeGasUsed: %" PRIu64 " after %" PRIu64,
                         receipt.cumulative_gas_used, check->gas_used);
    }
    check->gas_used = receipt.cumulative_gas_used;
    uint8_t bloom[HEADER_BLOOM_SIZE];
    bloom_of_logs(&receipt, bloom);
    error = check_bloom("receipt", receipt.logs_bloom, bloom, detail);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < HEADER_BLOOM_SIZE; i++) {
        check->bloom[i] |= bloom[i];
    }
    return 0;
}

static int check_receipts(struct list_check *check, struct bytes transactions,
                          size_t transaction_count, struct bytes receipts,
                          struct error_detail *detail)
{
    for (size_t i = 0; i < transaction_count; i++) {
        struct bytes transaction;
        struct bytes envelope;
        int error = envelope_next(&transactions, &transaction, detail);
        if (error == STOA_ENOTFOUND) {
            return error_set(detail, STOA_EINVAL, "transactions: %zu, not %zu", i,
                             transaction_count);
        }
        if (error == 0) {
            error = receipt_next(&receipts, &envelope, detail);
        }
        if (error == STOA_ENOTFOUND) {
            return error_set(detail, STOA_EREFUSED, "receipts: %zu for %zu transactions", i,
                             transaction_count);
        }
        if (error == 0) {
            error = check_one(check, transaction, envelope, detail);
        }
        if (error != 0) {
            error_prefix(detail, "receipts: item %zu", i);
            return error;
        }
    }
    if (receipts.size > 0) {
        return error_set(detail, STOA_EREFUSED, "receipts: more than %zu for as many transactions",
                         transaction_count);
    }
    return 0;
}

int receipt_check_list(const struct header *header, struct bytes transactions,
                       size_t transaction_count, struct bytes receipts, struct error_detail *detail)
{
    struct bytes payload;
    int error = rlp_read_list(&receipts, &payload, detail);
    if (error == 0) {
        error = rlp_expect_end(receipts, detail);
    }
    if (error != 0) {
        error_prefix(detail, "receipts");
        return error;
    }
    struct list_check check = {0};
    error = check_receipts(&check, transactions, transaction_count, payload, detail);
    if (error != 0) {
        return error;
    }
    if (check.gas_used != header->gas_used) {
        return error_set(detail, STOA_EREFUSED,
                         "gasUsed: header says %" PRIu64 ", computed %" PRIu64, header->gas_used,
                         check.gas_used);
    }
    error = check_bloom("header", header->logs_bloom, check.bloom, detail);
    if (error != 0) {
        return error;
    }
    uint8_t root[32];
    error = envelope_root(payload, transaction_count, root, detail);
    if (error != 0) {
        error_prefix(detail, "receiptsRoot");
        return error;
    }
    if (memcmp(root, header->receipts_root, sizeof(root)) != 0) {
        return header_refuse("receiptsRoot", header->receipts_root, root, detail);
    }
    return 0;
}
