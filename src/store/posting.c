/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/posting.h"

#include <string.h>
#include <xxhash.h>

#include "base/ensure.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "stoa.h"

static_assert(sizeof(struct posting) == 16, "pending batches hold millions of them");

enum { PREFIX_DIGITS = 8 - POSTING_PREFIX_SPARE / 8, SORT_FEW = 48 };

/* Sees every address and every log of a block. */
struct visitor {
    int (*address)(struct visitor *visitor, const uint8_t address[20], uint32_t index,
                   unsigned role);
    int (*log)(struct visitor *visitor, const struct receipt_log *log); /* or NULL */
};

uint64_t posting_address_prefix(const uint8_t address[20])
{
    return XXH3_64bits(address, 20) >> POSTING_PREFIX_SPARE;
}

uint64_t posting_log_prefix(enum posting_place place, struct bytes value)
{
    return XXH3_64bits_withSeed(value.data, value.size, (uint64_t)place + 1) >>
           POSTING_PREFIX_SPARE;
}

static int visit_transaction(struct visitor *visitor, struct bytes envelope, const uint8_t *sender,
                             uint32_t index)
{
    const uint8_t *to;
    uint64_t nonce;
    if (transaction_read_ends(envelope, &to, &nonce) != 0) {
        return STOA_ECORRUPT;
    }
    int result = 0;
    if (sender != NULL) {
        result = visitor->address(visitor, sender, index, STOA_ROLE_SENDER);
    }
    if (result == 0 && to != NULL) {
        return visitor->address(visitor, to, index, STOA_ROLE_RECIPIENT);
    }
    if (result == 0 && sender != NULL) {
        uint8_t created[20];
        transaction_created_address(sender, nonce, created);
        result = visitor->address(visitor, created, index, STOA_ROLE_CREATED);
    }
    return result;
}

static int visit_logs(struct visitor *visitor, struct bytes logs, uint32_t index)
{
    struct receipt_log log;
    int result;
    while ((result = receipt_next_log(&logs, &log, NULL)) == 0) {
        result = visitor->address(visitor, log.address, index, STOA_ROLE_EMITTER);
        if (result == 0 && visitor->log != NULL) {
            result = visitor->log(visitor, &log);
        }
        if (result != 0) {
            return result;
        }
    }
    return result == STOA_ENOTFOUND ? 0 : STOA_ECORRUPT;
}

static int next_receipt(struct bytes *cursor, struct receipt *out_receipt)
{
    struct bytes envelope;
    int result = receipt_next(cursor, &envelope, NULL);
    if (result == 0) {
        result = receipt_decode_outside(envelope, out_receipt, NULL); /* visit_logs checks them */
    }
    return result == 0 ? 0 : STOA_ECORRUPT;
}

static int visit_transactions(struct visitor *visitor, const struct block *block,
                              struct bytes senders, struct bytes receipts)
{
    struct bytes cursor = block->transactions;
    struct bytes envelope;
    struct bytes receipt_cursor = bytes_of(NULL, 0);
    if (receipts.size != 0 && rlp_read_list(&receipts, &receipt_cursor, NULL) != 0) {
        return STOA_ECORRUPT;
    }
    bool has_receipts = receipt_cursor.data != NULL;
    for (uint32_t i = 0; i < block->transaction_count; i++) {
        const uint8_t *sender =
            senders.size >= ((size_t)i + 1) * 20 ? senders.data + (size_t)i * 20 : NULL;
        if (block_next_transaction(&cursor, &envelope, NULL) != 0) {
            return STOA_ECORRUPT;
        }
        int result = visit_transaction(visitor, envelope, sender, i);
        struct receipt receipt;
        if (result == 0 && has_receipts) {
            result = next_receipt(&receipt_cursor, &receipt);
            if (result == 0) {
                result = visit_logs(visitor, receipt.logs, i);
            }
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int visit_withdrawals(struct visitor *visitor, const struct block *block)
{
    struct bytes cursor = block->withdrawals;
    for (size_t i = 0; i < block->withdrawal_count; i++) {
        struct bytes fields;
        uint64_t number;
        const uint8_t *address;
        if (rlp_read_list(&cursor, &fields, NULL) != 0 ||
            rlp_read_uint64(&fields, &number, NULL) != 0 ||
            rlp_read_uint64(&fields, &number, NULL) != 0 ||
            rlp_read_fixed(&fields, 20, &address, NULL) != 0) {
            return STOA_ECORRUPT;
        }
        int result = visitor->address(visitor, address, POSTING_INDEX_MAX, STOA_ROLE_WITHDRAWAL);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int visit(struct visitor *visitor, const struct block *block, struct bytes senders,
                 struct bytes receipts)
{
    int result = visit_transactions(visitor, block, senders, receipts);
    return result == 0 && block->has_withdrawals ? visit_withdrawals(visitor, block) : result;
}

/* ---- all of a block ---- */

struct gather {
    struct visitor visitor; /* first */
    struct buffer *out;
};

static int gather_address(struct visitor *visitor, const uint8_t address[20], uint32_t index,
                          unsigned role)
{
    struct gather *gather = (struct gather *)visitor;
    struct posting posting = {
        .prefix = posting_address_prefix(address),
        .index = index,
        .kind = POSTING_ADDRESS,
        .roles = (uint8_t)role,
    };
    return buffer_append(gather->out, &posting, sizeof(posting));
}

static int gather_list(struct buffer *out, enum posting_place place, struct bytes value)
{
    struct posting posting = {.prefix = posting_log_prefix(place, value), .kind = POSTING_LOG};
    return buffer_append(out, &posting, sizeof(posting));
}

static int gather_log(struct visitor *visitor, const struct receipt_log *log)
{
    struct gather *gather = (struct gather *)visitor;
    int result = gather_list(gather->out, POSTING_PLACE_EMITTER, bytes_of(log->address, 20));
    for (unsigned i = 0; result == 0 && i < log->topic_count; i++) {
        result = gather_list(gather->out, POSTING_PLACE_TOPIC + i, bytes_of(log->topics[i], 32));
    }
    return result;
}

static int compare(const void *a, const void *b)
{
    const struct posting *left = a;
    const struct posting *right = b;
    if (left->kind != right->kind) {
        return left->kind < right->kind ? -1 : 1;
    }
    if (left->prefix != right->prefix) {
        return left->prefix < right->prefix ? -1 : 1;
    }
    return left->index < right->index ? -1 : left->index > right->index;
}

/* Few postings: each moved to its place. */
static void sort_few(struct posting *postings, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct posting moving = postings[i];
        size_t place = i;
        while (place > 0 && compare(&moving, &postings[place - 1]) < 0) {
            postings[place] = postings[place - 1];
            place--;
        }
        postings[place] = moving;
    }
}

static unsigned digit_of(const struct posting *posting, unsigned digit)
{
    uint64_t number = (uint64_t)posting->kind << 8 * PREFIX_DIGITS | posting->prefix;
    return (unsigned)(number >> 8 * digit & UINT8_MAX);
}

/* By kind and prefix, a byte at a time. They came in the order of their index, which stays. */
static void sort_many(struct posting *postings, size_t count, struct posting *scratch)
{
    uint32_t counts[PREFIX_DIGITS + 1][256] = {{0}};
    for (size_t i = 0; i < count; i++) {
        for (unsigned digit = 0; digit <= PREFIX_DIGITS; digit++) {
            counts[digit][digit_of(&postings[i], digit)]++;
        }
    }
    struct posting *from = postings;
    struct posting *to = scratch;
    for (unsigned digit = 0; digit <= PREFIX_DIGITS; digit++) {
        uint32_t sum = 0;
        for (unsigned value = 0; value < 256; value++) {
            uint32_t own = counts[digit][value];
            counts[digit][value] = sum;
            sum += own;
        }
        for (size_t i = 0; i < count; i++) {
            to[counts[digit][digit_of(&from[i], digit)]++] = from[i];
        }
        struct posting *other = from;
        from = to;
        to = other;
    }
    if (from != postings) {
        memcpy(postings, from, count * sizeof(*postings));
    }
}

/* Sort, and make one of those that are equal. STOA_ENOMEM. */
static int settle(struct buffer *out, size_t first)
{
    size_t count = (out->size - first) / sizeof(struct posting);
    if (count == 0) {
        return 0;
    }
    if (count > SORT_FEW && buffer_reserve(out, count * sizeof(struct posting)) != 0) {
        return STOA_ENOMEM;
    }
    struct posting *postings = (void *)(out->data + first);
    if (count > SORT_FEW) {
        sort_many(postings, count, postings + count);
    } else {
        sort_few(postings, count);
    }
    size_t kept = 0;
    for (size_t i = 1; i < count; i++) {
        if (compare(&postings[kept], &postings[i]) == 0) {
            postings[kept].roles |= postings[i].roles;
        } else {
            postings[++kept] = postings[i];
        }
    }
    out->size = first + (kept + 1) * sizeof(*postings);
    return 0;
}

int posting_compute(struct buffer *out, const struct block *block, struct bytes senders,
                    struct bytes receipts)
{
    struct gather gather = {
        .visitor = {.address = gather_address, .log = gather_log},
        .out = out,
    };
    size_t first = out->size;
    int result = visit(&gather.visitor, block, senders, receipts);
    if (result == STOA_ECORRUPT && receipts.size != 0) { /* they were stored unverified */
        out->size = first;
        receipts.size = 0;
        result = visit(&gather.visitor, block, senders, receipts);
    }
    if (result == 0 && block->transaction_count != 0 && receipts.size == 0) {
        result = gather_list(out, POSTING_PLACE_NO_RECEIPTS, bytes_of(NULL, 0));
    }
    if (result == 0 && block->transaction_count != 0 && senders.size == 0) {
        result = gather_list(out, POSTING_PLACE_NO_SENDERS, bytes_of(NULL, 0));
    }
    return result == 0 ? settle(out, first) : result;
}

int posting_compute_damaged(struct buffer *out)
{
    size_t first = out->size;
    int result = gather_list(out, POSTING_PLACE_NO_RECEIPTS, bytes_of(NULL, 0));
    if (result == 0) {
        result = gather_list(out, POSTING_PLACE_NO_SENDERS, bytes_of(NULL, 0));
    }
    return result == 0 ? settle(out, first) : result;
}

struct posting_slice posting_of_kind(const struct posting *postings, size_t count,
                                     enum posting_kind kind)
{
    static_assert(POSTING_KINDS == 2, "there is one border");
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (postings[middle].kind < POSTING_LOG) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return kind == POSTING_ADDRESS
               ? (struct posting_slice){.postings = postings, .count = low}
               : (struct posting_slice){.postings = postings + low, .count = count - low};
}

static size_t guess(const struct posting_slice *slice, uint64_t prefix)
{
    enum { HALF = (64 - POSTING_PREFIX_SPARE) / 2 };
    ensure(slice->count != 0);
    return (size_t)(((prefix >> HALF) * slice->count) >> HALF);
}

const struct posting *posting_guess(const struct posting_slice *slice, uint64_t prefix)
{
    return &slice->postings[guess(slice, prefix)];
}

/* By leaps away from the guess, each twice as far, then by halves within the last. */
const struct posting *posting_find(const struct posting_slice *slice, uint64_t prefix)
{
    const struct posting *postings = slice->postings;
    if (slice->count == 0) {
        return NULL;
    }
    size_t low = 0;                     /* all below are before PREFIX */
    size_t high = guess(slice, prefix); /* is not, or is the end */
    size_t leap = 1;
    if (postings[high].prefix < prefix) {
        while (high < slice->count && postings[high].prefix < prefix) {
            low = high + 1;
            high = leap < slice->count - high ? high + leap : slice->count;
            leap *= 2;
        }
    } else {
        while (low < high) {
            size_t below = leap < high ? high - leap : 0;
            if (postings[below].prefix < prefix) {
                low = below + 1;
                break;
            }
            high = below;
            leap *= 2;
        }
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (postings[middle].prefix < prefix) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < slice->count && postings[low].prefix == prefix ? &postings[low] : NULL;
}

static uint64_t missing_prefix(enum posting_place place)
{
    return posting_log_prefix(place, bytes_of(NULL, 0));
}

bool posting_is_missing(const struct posting *posting)
{
    return posting->kind == POSTING_LOG &&
           (posting->prefix == missing_prefix(POSTING_PLACE_NO_RECEIPTS) ||
            posting->prefix == missing_prefix(POSTING_PLACE_NO_SENDERS));
}

bool posting_has_missing(const struct posting_slice *slice)
{
    return posting_find(slice, missing_prefix(POSTING_PLACE_NO_RECEIPTS)) != NULL ||
           posting_find(slice, missing_prefix(POSTING_PLACE_NO_SENDERS)) != NULL;
}

/* ---- of one address ---- */

struct roles {
    struct visitor visitor; /* first */
    const uint8_t *address;
    unsigned roles;
};

static int roles_address(struct visitor *visitor, const uint8_t address[20], uint32_t index,
                         unsigned role)
{
    struct roles *roles = (struct roles *)visitor;
    (void)index; /* only one is visited */
    if (memcmp(address, roles->address, 20) == 0) {
        roles->roles |= role;
    }
    return 0;
}

/* The item INDEX of those that NEXT walks; data NULL: it is not there. */
static struct bytes item_at(struct bytes cursor, uint32_t index,
                            int (*next)(struct bytes *cursor, struct bytes *out_item,
                                        struct error_detail *detail))
{
    struct bytes item = bytes_of(NULL, 0);
    for (uint32_t i = 0; i <= index; i++) {
        if (next(&cursor, &item, NULL) != 0) {
            return bytes_of(NULL, 0);
        }
    }
    return item;
}

/* Receipts that do not decode emit nothing, as in posting_compute. */
static int visit_receipt(struct visitor *visitor, struct bytes receipts, uint32_t index)
{
    struct bytes list;
    struct receipt receipt;
    if (receipts.size == 0 || rlp_read_list(&receipts, &list, NULL) != 0) {
        return 0;
    }
    struct bytes envelope = item_at(list, index, receipt_next);
    if (envelope.data == NULL || receipt_decode(envelope, &receipt, NULL) != 0) {
        return 0;
    }
    return visit_logs(visitor, receipt.logs, index);
}

int posting_roles_at(const struct block *block, struct bytes senders, struct bytes receipts,
                     const uint8_t address[20], uint32_t index, unsigned *out_roles,
                     struct bytes *out_envelope)
{
    struct roles roles = {.visitor = {.address = roles_address}, .address = address};
    struct bytes envelope = bytes_of(NULL, 0);
    int result;
    if (index == POSTING_INDEX_MAX) {
        result = block->has_withdrawals ? visit_withdrawals(&roles.visitor, block) : 0;
    } else {
        const uint8_t *sender =
            senders.size >= ((size_t)index + 1) * 20 ? senders.data + (size_t)index * 20 : NULL;
        envelope = item_at(block->transactions, index, block_next_transaction);
        result = envelope.data == NULL ? STOA_ECORRUPT
                                       : visit_transaction(&roles.visitor, envelope, sender, index);
        if (result == 0) {
            result = visit_receipt(&roles.visitor, receipts, index);
        }
    }
    if (result == 0) {
        *out_roles = roles.roles;
        *out_envelope = envelope;
    }
    return result;
}
