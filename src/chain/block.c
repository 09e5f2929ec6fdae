/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/block.h"

#include "chain/envelope.h"
#include "chain/keccak.h"

enum { WITHDRAWALS_ROOT_FIELD = 17 };

static int check_transactions(struct bytes cursor, size_t *out_count, struct error_detail *detail)
{
    size_t count = 0;
    struct bytes envelope;
    int error;
    while ((error = envelope_next(&cursor, &envelope, detail)) == 0) {
        unsigned type;
        struct bytes payload;
        error = envelope_open(envelope, &type, &payload, detail);
        if (error != 0) {
            break;
        }
        count++;
    }
    if (error != STOA_ENOTFOUND) {
        error_prefix(detail, "transactions: item %zu", count);
        return error;
    }
    *out_count = count;
    return 0;
}

static int check_uncles(struct bytes cursor, size_t *out_count, struct error_detail *detail)
{
    size_t count = 0;
    while (cursor.size > 0) {
        struct rlp_item item;
        struct header header;
        int error = rlp_read(&cursor, &item, detail);
        if (error == 0) {
            error = header_decode(item.encoding, &header, detail);
        }
        if (error != 0) {
            error_prefix(detail, "uncles: item %zu", count);
            return error;
        }
        count++;
    }
    *out_count = count;
    return 0;
}

static int check_withdrawal(struct bytes *cursor, struct error_detail *detail)
{
    struct bytes fields;
    uint64_t number;
    const uint8_t *address;
    int error = rlp_read_list(cursor, &fields, detail);
    if (error != 0) {
        return error;
    }
    const char *name = "index";
    error = rlp_read_uint64(&fields, &number, detail);
    if (error == 0) {
        name = "validatorIndex";
        error = rlp_read_uint64(&fields, &number, detail);
    }
    if (error == 0) {
        name = "address";
        error = rlp_read_fixed(&fields, 20, &address, detail);
    }
    if (error == 0) {
        name = "amount";
        error = rlp_read_uint64(&fields, &number, detail);
    }
    if (error != 0) {
        error_prefix(detail, "%s", name);
        return error;
    }
    return rlp_expect_end(fields, detail);
}

static int check_withdrawals(struct bytes cursor, size_t *out_count, struct error_detail *detail)
{
    size_t count = 0;
    while (cursor.size > 0) {
        int error = check_withdrawal(&cursor, detail);
        if (error != 0) {
            error_prefix(detail, "withdrawals: item %zu", count);
            return error;
        }
        count++;
    }
    *out_count = count;
    return 0;
}

static int read_header(struct bytes *cursor, struct header *out_header, struct error_detail *detail)
{
    struct rlp_item item;
    int error = rlp_read(cursor, &item, detail);
    if (error != 0) {
        error_prefix(detail, "header");
        return error;
    }
    return header_decode(item.encoding, out_header, detail);
}

static int read_transactions(struct bytes *cursor, struct block *block, struct error_detail *detail)
{
    int error = rlp_read_list(cursor, &block->transactions, detail);
    if (error != 0) {
        error_prefix(detail, "transactions");
        return error;
    }
    return check_transactions(block->transactions, &block->transaction_count, detail);
}

static int read_uncles(struct bytes *cursor, struct block *block, struct error_detail *detail)
{
    struct rlp_item item;
    int error = rlp_read(cursor, &item, detail);
    if (error == 0 && !item.list) {
        error = error_set(detail, STOA_EINVAL, "a string, not a list");
    }
    if (error != 0) {
        error_prefix(detail, "uncles");
        return error;
    }
    block->uncles = item.encoding;
    return check_uncles(item.payload, &block->uncle_count, detail);
}

static int read_withdrawals(struct bytes *cursor, struct block *block, struct error_detail *detail)
{
    block->has_withdrawals = block->header.field_count >= WITHDRAWALS_ROOT_FIELD;
    if (!block->has_withdrawals) {
        if (cursor->size > 0) {
            return error_set(detail, STOA_EINVAL,
                             "withdrawals: %zu bytes, but the header has no withdrawalsRoot",
                             cursor->size);
        }
        return 0;
    }
    if (cursor->size == 0) {
        return error_set(detail, STOA_EINVAL,
                         "withdrawals: missing, but the header has a withdrawalsRoot");
    }
    int error = rlp_read_list(cursor, &block->withdrawals, detail);
    if (error != 0) {
        error_prefix(detail, "withdrawals");
        return error;
    }
    return check_withdrawals(block->withdrawals, &block->withdrawal_count, detail);
}

int block_decode(struct bytes encoding, struct block *out_block, struct error_detail *detail)
{
    struct bytes rest = encoding;
    struct bytes cursor;
    int error = rlp_read_list(&rest, &cursor, detail);
    if (error == 0) {
        error = rlp_expect_end(rest, detail);
    }
    if (error != 0) {
        error_prefix(detail, "block");
        return error;
    }
    struct block block = {.encoding = encoding};
    if ((error = read_header(&cursor, &block.header, detail)) != 0 ||
        (error = read_transactions(&cursor, &block, detail)) != 0 ||
        (error = read_uncles(&cursor, &block, detail)) != 0 ||
        (error = read_withdrawals(&cursor, &block, detail)) != 0) {
        return error;
    }
    error = rlp_expect_end(cursor, detail);
    if (error != 0) {
        error_prefix(detail, "block");
        return error;
    }
    header_hash(&block.header, block.hash);
    *out_block = block;
    return 0;
}

static int check_root(const char *field, const uint8_t said[32], struct bytes payload, size_t count,
                      struct error_detail *detail)
{
    uint8_t root[32];
    int error = envelope_root(payload, count, root, detail);
    if (error != 0) {
        error_prefix(detail, "%s", field);
        return error;
    }
    if (memcmp(root, said, sizeof(root)) != 0) {
        return header_refuse(field, said, root, detail);
    }
    return 0;
}

int block_check_transactions_root(const struct block *block, struct error_detail *detail)
{
    return check_root("transactionsRoot", block->header.transactions_root, block->transactions,
                      block->transaction_count, detail);
}

int block_check_uncles_hash(const struct block *block, struct error_detail *detail)
{
    uint8_t hash[32];
    keccak_256(block->uncles.data, block->uncles.size, hash);
    if (memcmp(hash, block->header.uncles_hash, sizeof(hash)) != 0) {
        return header_refuse("sha3Uncles", block->header.uncles_hash, hash, detail);
    }
    return 0;
}

int block_check_withdrawals_root(const struct block *block, struct error_detail *detail)
{
    if (!block->has_withdrawals) {
        return 0; /* block_decode saw to it that the header has no root either */
    }
    return check_root("withdrawalsRoot", block->header.withdrawals_root, block->withdrawals,
                      block->withdrawal_count, detail);
}

int block_next_transaction(struct bytes *cursor, struct bytes *out_envelope,
                           struct error_detail *detail)
{
    return envelope_next(cursor, out_envelope, detail);
}
