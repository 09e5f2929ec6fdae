/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/prepare.h"

#include "base/ensure.h"
#include "chain/keccak_many.h"
#include "chain/receipt.h"
#include "store/body_map.h"
#include "store/record.h"
#include "store/state_change.h"

enum { HASHED_TOGETHER = 64 }; /* transactions */

void prepare_init(struct prepare *prepare)
{
    *prepare = (struct prepare){.put = NULL};
}

void prepare_deinit(struct prepare *prepare)
{
    buffer_deinit(&prepare->senders);
    buffer_deinit(&prepare->changes);
    buffer_deinit(&prepare->transaction_prefixes);
    buffer_deinit(&prepare->transaction_hashes);
    buffer_deinit(&prepare->change_hashes);
    buffer_deinit(&prepare->postings);
    buffer_deinit(&prepare->body_map);
}

static int check_hash(const struct prepare *prepare, struct error_detail *detail)
{
    const uint8_t *expected = prepare->put->expected_hash;
    if (expected == NULL || memcmp(expected, prepare->block.hash, 32) == 0) {
        return 0;
    }
    char is[65];
    char wanted[65];
    bytes_to_hex(prepare->block.hash, 32, is);
    bytes_to_hex(expected, 32, wanted);
    return error_set(detail, STOA_EREFUSED, "hash: block is 0x%s, expected 0x%s", is, wanted);
}

/* Sender of one transaction: recovered unless skipped, compared with what the caller gave. */
static int sender_of(struct prepare *prepare, struct transaction_recovery *recovery,
                     const struct transaction *transaction, size_t index,
                     struct error_detail *detail)
{
    uint8_t sender[20];
    int result = transaction_sender(recovery, transaction, sender, detail);
    if (result != 0) {
        error_prefix(detail, "transactions[%zu]", index);
        return result;
    }
    const uint8_t *given = prepare->put->senders;
    if (given != NULL && memcmp(given + 20 * index, sender, 20) != 0) {
        char is[41];
        char wanted[41];
        bytes_to_hex(sender, 20, is);
        bytes_to_hex(given + 20 * index, 20, wanted);
        return error_set(detail, STOA_EREFUSED,
                         "transactions[%zu].from: signed by 0x%s, given as 0x%s", index, is,
                         wanted);
    }
    return buffer_append(&prepare->senders, sender, 20);
}

static int check_transactions(struct prepare *prepare, struct transaction_recovery *recovery,
                              struct error_detail *detail)
{
    bool recover = (prepare->put->skip & STOA_SKIP_SENDERS) == 0;
    struct bytes cursor = prepare->block.transactions;
    struct bytes envelope;
    size_t index = 0;
    int result;
    while ((result = block_next_transaction(&cursor, &envelope, detail)) == 0) {
        struct transaction transaction;
        result = transaction_decode(envelope, &transaction, detail);
        if (result != 0) {
            error_prefix(detail, "transactions[%zu]", index);
            return result;
        }
        if (prepare->chain_id != 0 && transaction.has_chain_id &&
            transaction.chain_id != prepare->chain_id) {
            return error_set(
                detail, STOA_EREFUSED, "transactions[%zu].chainId: %llu, this chain is %llu", index,
                (unsigned long long)transaction.chain_id, (unsigned long long)prepare->chain_id);
        }
        if (recover) {
            result = sender_of(prepare, recovery, &transaction, index, detail);
            if (result != 0) {
                return result;
            }
        }
        index++;
    }
    if (result != STOA_ENOTFOUND) {
        return result;
    }
    ensure(index == prepare->block.transaction_count);
    if (!recover && prepare->put->senders != NULL) {
        return buffer_append(&prepare->senders, prepare->put->senders, 20 * index);
    }
    return 0;
}

static int check_roots(const struct prepare *prepare, struct error_detail *detail)
{
    const struct stoa_store_block *put = prepare->put;
    int result = 0;
    if ((put->skip & STOA_SKIP_TRANSACTIONS_ROOT) == 0) {
        result = block_check_transactions_root(&prepare->block, detail);
    }
    if (result == 0 && (put->skip & STOA_SKIP_UNCLES_HASH) == 0) {
        result = block_check_uncles_hash(&prepare->block, detail);
    }
    if (result == 0 && (put->skip & STOA_SKIP_WITHDRAWALS_ROOT) == 0) {
        result = block_check_withdrawals_root(&prepare->block, detail);
    }
    if (result == 0 && (put->skip & STOA_SKIP_RECEIPTS) == 0 && put->receipts.data != NULL) {
        result = receipt_check_list(&prepare->block.header, prepare->block.transactions,
                                    prepare->block.transaction_count,
                                    bytes_of(put->receipts.data, put->receipts.size), detail);
    }
    return result;
}

int prepare_verify(struct prepare *prepare, struct transaction_recovery *recovery)
{
    const struct stoa_store_block *put = prepare->put;
    struct error_detail *detail = &prepare->detail;
    ensure(put != NULL && (recovery != NULL || (put->skip & STOA_SKIP_SENDERS) != 0));
    buffer_clear(&prepare->senders);
    buffer_clear(&prepare->changes);
    int result = block_decode(bytes_of(put->block.data, put->block.size), &prepare->block, detail);
    if (result == 0) {
        result = check_hash(prepare, detail);
    }
    if (result == 0) {
        result = check_roots(prepare, detail);
    }
    if (result == 0) {
        result = check_transactions(prepare, recovery, detail);
    }
    if (result == 0 && (put->envelope.data == NULL) != (put->envelope_hash == NULL)) {
        result = error_set(detail, STOA_EINVAL, "envelope: it goes with its hash");
    }
    if (result == 0) {
        result = state_change_append(put, &prepare->changes, detail);
    }
    if (result == 0) {
        prepare->block_sum = record_block_sum(bytes_of(put->block.data, put->block.size));
        prepare->kept_with = prepare->block.encoding.data;
        prepare->kept_receipts = bytes_of(put->receipts.data, put->receipts.size);
        prepare->kept_senders = buffer_bytes(&prepare->senders);
        prepare->shortened = false;
    }
    prepare->result = result;
    return result;
}

int prepare_record(struct prepare *prepare, const struct record *record,
                   struct error_detail *detail)
{
    int result = block_decode(record->block, &prepare->block, detail);
    if (result != 0) {
        return STOA_ECORRUPT;
    }
    prepare->kept_with = prepare->block.encoding.data;
    prepare->kept_receipts = record->receipts;
    prepare->kept_senders = record->senders;
    prepare->shortened = record->gone != 0;
    return 0;
}

static int index_transactions(struct prepare *prepare)
{
    struct bytes cursor = prepare->block.transactions;
    struct bytes envelope;
    int result = buffer_reserve(&prepare->transaction_prefixes,
                                prepare->block.transaction_count * sizeof(uint64_t));
    for (bool more = true; result == 0 && more;) {
        struct bytes envelopes[HASHED_TOGETHER];
        uint8_t hashes[HASHED_TOGETHER][32];
        size_t count = 0;
        while (count < HASHED_TOGETHER &&
               (more = block_next_transaction(&cursor, &envelope, NULL) == 0)) {
            envelopes[count++] = envelope;
        }
        keccak_256_many(envelopes, count, hashes); /* as transaction_hash */
        for (size_t i = 0; result == 0 && i < count; i++) {
            uint64_t prefix = bytes_load_be64(hashes[i]);
            result = buffer_append(&prepare->transaction_prefixes, &prefix, sizeof(prefix));
        }
        if (result == 0 && prepare->keep_hashes) {
            result = buffer_append(&prepare->transaction_hashes, hashes, count * sizeof(hashes[0]));
        }
    }
    return result;
}

static int index_changes(struct prepare *prepare, struct bytes changes)
{
    struct record_change change;
    int result;
    buffer_clear(&prepare->change_hashes);
    while ((result = record_next_change(&changes, &change)) == 0) {
        uint64_t hash = pending_key_hash(change.key);
        result = buffer_append(&prepare->change_hashes, &hash, sizeof(hash));
        if (result != 0) {
            return result;
        }
    }
    return result == STOA_ENOTFOUND ? 0 : result;
}

/* Nothing of a block that lost something: its own bytes lie elsewhere. */
static int map_body(struct prepare *prepare)
{
    const struct body_map_source body = {
        .block = &prepare->block,
        .receipts = prepare->kept_receipts,
        .senders = prepare->kept_senders,
    };
    return prepare->shortened ? 0 : body_map_make(&body, &prepare->body_map);
}

int prepare_index(struct prepare *prepare, struct bytes changes)
{
    ensure(prepare->kept_with == prepare->block.encoding.data);
    buffer_clear(&prepare->transaction_prefixes);
    buffer_clear(&prepare->transaction_hashes);
    buffer_clear(&prepare->postings);
    buffer_clear(&prepare->body_map);
    int result = prepare->plain ? 0 : index_transactions(prepare);
    if (result == 0) {
        result = index_changes(prepare, changes);
    }
    if (result == 0 && !prepare->plain) {
        result = posting_compute(&prepare->postings, &prepare->block, prepare->kept_senders,
                                 prepare->kept_receipts);
    }
    if (result == 0 && !prepare->plain) {
        result = map_body(prepare);
    }
    if (result != 0) {
        prepare->result =
            error_set(&prepare->detail, result, "index entries of block %llu: %s",
                      (unsigned long long)prepare->block.header.number, stoa_strerror(result));
    }
    return result;
}

int prepare_changes(struct prepare *prepare, struct bytes changes)
{
    int result = index_changes(prepare, changes);
    prepare->result = result == 0 ? 0 : error_set(&prepare->detail, result, "changes");
    return prepare->result;
}

int prepare_update(struct prepare *prepare)
{
    buffer_clear(&prepare->changes);
    prepare->result = state_change_append(prepare->put, &prepare->changes, &prepare->detail);
    if (prepare->result == 0 && prepare->changes.size == 0) {
        prepare->result = error_set(&prepare->detail, STOA_EINVAL, "changes: there are none");
    }
    return prepare->result == 0 ? prepare_changes(prepare, buffer_bytes(&prepare->changes))
                                : prepare->result;
}

struct pending_entries prepare_update_entries(const struct prepare *prepare, struct bytes changes)
{
    return (struct pending_entries){
        .changes = changes,
        .hashes = (const void *)prepare->change_hashes.data,
        .hash_count = prepare->change_hashes.size / sizeof(uint64_t),
    };
}

int prepare_damaged(struct prepare *prepare)
{
    buffer_clear(&prepare->changes);
    buffer_clear(&prepare->transaction_prefixes);
    buffer_clear(&prepare->change_hashes);
    buffer_clear(&prepare->postings);
    buffer_clear(&prepare->body_map);
    return posting_compute_damaged(&prepare->postings);
}

struct pending_entries prepare_entries(const struct prepare *prepare, struct bytes changes)
{
    return (struct pending_entries){
        .prefixes = (const void *)prepare->transaction_prefixes.data,
        .prefix_count = prepare->transaction_prefixes.size / sizeof(uint64_t),
        .changes = changes,
        .hashes = (const void *)prepare->change_hashes.data,
        .hash_count = prepare->change_hashes.size / sizeof(uint64_t),
        .postings = (const void *)prepare->postings.data,
        .posting_count = prepare->postings.size / sizeof(struct posting),
        .body_map = buffer_bytes(&prepare->body_map),
    };
}
