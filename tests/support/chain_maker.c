/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/chain_maker.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "base/ensure.h"
#include "chain/keccak.h"
#include "chain/receipt.h"
#include "chain/rlp.h"
#include "chain/trie.h"

const uint8_t chain_maker_key[32] = {
    0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46,
    0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46, 0x46};

static void append(struct buffer *out, struct bytes bytes)
{
    int error = buffer_append(out, bytes.data, bytes.size);
    ensure(error == 0);
}

static void append_string(struct buffer *out, const void *data, size_t size)
{
    int error = rlp_append_string(out, bytes_of(data, size));
    ensure(error == 0);
}

static void append_filled(struct buffer *out, uint8_t value, size_t size)
{
    uint8_t bytes[256];
    ensure(size <= sizeof(bytes));
    memset(bytes, value, size);
    append_string(out, bytes, size);
}

static void append_number(struct buffer *out, uint64_t value)
{
    int error = rlp_append_uint64(out, value);
    ensure(error == 0);
}

void chain_maker_append_list(struct buffer *out, struct bytes payload)
{
    int error = rlp_append_list_prefix(out, payload.size);
    ensure(error == 0);
    append(out, payload);
}

void chain_maker_replace(struct bytes list, size_t index, struct bytes item, struct buffer *out)
{
    struct buffer payload;
    struct bytes cursor;
    struct rlp_item old;
    buffer_init(&payload);
    int error = rlp_read_list(&list, &cursor, NULL);
    ensure(error == 0);
    for (size_t i = 0; cursor.size > 0; i++) {
        error = rlp_read(&cursor, &old, NULL);
        ensure(error == 0);
        append(&payload, i == index ? item : old.encoding);
        if (cursor.size == 0 && index == i + 1) {
            append(&payload, item);
        }
    }
    buffer_clear(out);
    chain_maker_append_list(out, buffer_bytes(&payload));
    buffer_deinit(&payload);
}

struct bytes chain_maker_item(struct bytes list, size_t index)
{
    struct bytes cursor;
    struct rlp_item item = {0};
    int error = rlp_read_list(&list, &cursor, NULL);
    ensure(error == 0);
    for (size_t i = 0; i <= index; i++) {
        error = rlp_read(&cursor, &item, NULL);
        ensure(error == 0);
    }
    return item.encoding;
}

static void append_access_list(struct buffer *out)
{
    struct buffer slots;
    struct buffer entry;
    struct buffer list;
    buffer_init(&slots);
    buffer_init(&entry);
    buffer_init(&list);
    append_filled(&slots, 0x51, 32);
    append_filled(&slots, 0x52, 32);
    append_filled(&entry, 0x77, 20);
    chain_maker_append_list(&entry, buffer_bytes(&slots));
    chain_maker_append_list(&list, buffer_bytes(&entry));
    chain_maker_append_list(out, buffer_bytes(&list));
    buffer_deinit(&slots);
    buffer_deinit(&entry);
    buffer_deinit(&list);
}

static void append_authorizations(struct buffer *out)
{
    struct buffer entry;
    struct buffer list;
    buffer_init(&entry);
    buffer_init(&list);
    append_number(&entry, 1);
    append_filled(&entry, 0x66, 20);
    append_number(&entry, 9);
    append_number(&entry, 1);
    append_filled(&entry, 0x11, 32);
    append_filled(&entry, 0x12, 32);
    chain_maker_append_list(&list, buffer_bytes(&entry));
    chain_maker_append_list(out, buffer_bytes(&list));
    buffer_deinit(&entry);
    buffer_deinit(&list);
}

static void append_unsigned(struct buffer *out, unsigned type, uint64_t chain_id, uint64_t nonce)
{
    if (type > 0) {
        append_number(out, chain_id);
    }
    append_number(out, nonce);
    append_number(out, 20000000000); /* gas price or priority fee */
    if (type >= 2) {
        append_number(out, 30000000000);
    }
    append_number(out, 21000);
    append_filled(out, 0x35, 20);
    append_number(out, 1000000000000000000);
    append_filled(out, 0xab, 60);
    if (type > 0) {
        append_access_list(out);
    }
    if (type == 3) {
        struct buffer hashes;
        buffer_init(&hashes);
        append_filled(&hashes, 0x01, 32);
        append_filled(&hashes, 0x02, 32);
        append_number(out, 7);
        chain_maker_append_list(out, buffer_bytes(&hashes));
        buffer_deinit(&hashes);
    }
    if (type == 4) {
        append_authorizations(out);
    }
}

static void append_integer(struct buffer *out, const uint8_t value[32])
{
    int error = rlp_append_uint256(out, value);
    ensure(error == 0);
}

/* Sign FIELDS as they stand, hashed from a plain copy, and append the signature. */
static void sign(struct buffer *fields, unsigned type, uint64_t chain_id)
{
    struct buffer message;
    struct buffer plain;
    buffer_init(&message);
    buffer_init(&plain);
    append(&plain, buffer_bytes(fields));
    if (type == 0 && chain_id != 0) {
        append_number(&plain, chain_id);
        append_number(&plain, 0);
        append_number(&plain, 0);
    } else if (type != 0) {
        append(&message, bytes_of(&(uint8_t){(uint8_t)type}, 1));
    }
    chain_maker_append_list(&message, buffer_bytes(&plain));
    uint8_t hash[32];
    keccak_256(message.data, message.size, hash);

    secp256k1_context *context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    ensure(context != NULL);
    secp256k1_ecdsa_recoverable_signature signature;
    int signed_it =
        secp256k1_ecdsa_sign_recoverable(context, &signature, hash, chain_maker_key, NULL, NULL);
    ensure(signed_it == 1);
    uint8_t compact[64];
    int parity = 0;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(context, compact, &parity, &signature);
    secp256k1_context_destroy(context);
    uint64_t v = (uint64_t)parity;
    if (type == 0) {
        v += chain_id == 0 ? 27 : 35 + 2 * chain_id;
    }
    append_number(fields, v);
    append_integer(fields, compact);
    append_integer(fields, compact + 32);
    buffer_deinit(&message);
    buffer_deinit(&plain);
}

void chain_maker_transaction(unsigned type, uint64_t chain_id, uint64_t nonce, struct buffer *out)
{
    struct buffer fields;
    buffer_init(&fields);
    append_unsigned(&fields, type, chain_id, nonce);
    sign(&fields, type, chain_id);
    buffer_clear(out);
    if (type != 0) {
        append(out, bytes_of(&(uint8_t){(uint8_t)type}, 1));
    }
    chain_maker_append_list(out, buffer_bytes(&fields));
    buffer_deinit(&fields);
}

static void append_log(struct buffer *out, uint8_t seed, unsigned topic_count, uint8_t *bloom)
{
    struct buffer fields;
    struct buffer topics;
    buffer_init(&fields);
    buffer_init(&topics);
    uint8_t value[32];
    memset(value, seed, sizeof(value));
    append_string(&fields, value, 20);
    receipt_bloom_add(bloom, bytes_of(value, 20));
    for (unsigned i = 0; i < topic_count; i++) {
        value[0] = (uint8_t)i;
        append_string(&topics, value, 32);
        receipt_bloom_add(bloom, bytes_of(value, 32));
    }
    chain_maker_append_list(&fields, buffer_bytes(&topics));
    append_filled(&fields, 0xdd, 10 * topic_count);
    chain_maker_append_list(out, buffer_bytes(&fields));
    buffer_deinit(&fields);
    buffer_deinit(&topics);
}

static void make_receipt(unsigned type, unsigned index, uint8_t *bloom, struct buffer *out)
{
    struct buffer fields;
    struct buffer logs;
    buffer_init(&fields);
    buffer_init(&logs);
    uint8_t own[HEADER_BLOOM_SIZE] = {0};
    for (unsigned i = 0; i < CHAIN_MAKER_LOGS; i++) {
        append_log(&logs, (uint8_t)(0x30 + (index + i) / 2), (index + i) % 5, own);
    }
    if (index == 0) {
        append_filled(&fields, 0x99, 32); /* as before Byzantium */
    } else {
        append_number(&fields, index % 2);
    }
    append_number(&fields, (uint64_t)CHAIN_MAKER_GAS * (index + 1));
    append_string(&fields, own, sizeof(own));
    chain_maker_append_list(&fields, buffer_bytes(&logs));
    for (size_t i = 0; i < sizeof(own); i++) {
        bloom[i] |= own[i];
    }
    buffer_clear(out);
    if (type != 0) {
        append(out, bytes_of(&(uint8_t){(uint8_t)type}, 1));
    }
    chain_maker_append_list(out, buffer_bytes(&fields));
    buffer_deinit(&fields);
    buffer_deinit(&logs);
}

struct roots {
    uint8_t uncles[32];
    uint8_t transactions[32];
    uint8_t receipts[32];
    uint8_t withdrawals[32];
    uint8_t bloom[HEADER_BLOOM_SIZE];
};

static void append_header(struct buffer *out, unsigned field_count, uint64_t number,
                          const uint8_t *parent, const struct roots *roots)
{
    struct buffer fields;
    buffer_init(&fields);
    if (parent == NULL) {
        append_filled(&fields, 0, 32);
    } else {
        append_string(&fields, parent, 32);
    }
    append_string(&fields, roots->uncles, 32);
    append_filled(&fields, 0xbe, 20);
    append_filled(&fields, 0x5a, 32);
    append_string(&fields, roots->transactions, 32);
    append_string(&fields, roots->receipts, 32);
    append_string(&fields, roots->bloom, sizeof(roots->bloom));
    append_number(&fields, 131072);
    append_number(&fields, number);
    append_number(&fields, 30000000);
    append_number(&fields, (uint64_t)CHAIN_MAKER_GAS * CHAIN_MAKER_TRANSACTIONS);
    append_number(&fields, 1700000000 + 12 * number);
    append_string(&fields, "made", 4);
    append_filled(&fields, 0x3d, 32);
    append_filled(&fields, 0x42, 8);
    if (field_count > 15) {
        append_number(&fields, 875000000);
    }
    if (field_count > 16) {
        append_string(&fields, roots->withdrawals, 32);
    }
    if (field_count > 17) {
        append_number(&fields, 131072);
        append_number(&fields, 0);
        append_filled(&fields, 0xbb, 32);
    }
    if (field_count > 20) {
        append_filled(&fields, 0x4e, 32);
    }
    chain_maker_append_list(out, buffer_bytes(&fields));
    buffer_deinit(&fields);
}

/* Append an item to a list of transactions or receipts. */
static void append_envelope(struct buffer *list, unsigned type, struct bytes envelope)
{
    if (type == 0) {
        append(list, envelope);
    } else {
        append_string(list, envelope.data, envelope.size);
    }
}

static void make_items(struct chain_maker *made, struct buffer *transactions, struct roots *roots)
{
    struct buffer envelopes[2 * CHAIN_MAKER_TRANSACTIONS];
    struct bytes views[2 * CHAIN_MAKER_TRANSACTIONS];
    struct buffer receipts;
    buffer_init(&receipts);
    for (unsigned i = 0; i < CHAIN_MAKER_TRANSACTIONS; i++) {
        unsigned type = i == 0 ? 0 : i - 1;
        struct buffer *transaction = &envelopes[i];
        struct buffer *receipt = &envelopes[CHAIN_MAKER_TRANSACTIONS + i];
        buffer_init(transaction);
        buffer_init(receipt);
        chain_maker_transaction(type, i == 0 ? 0 : 1, i, transaction);
        make_receipt(type, i, roots->bloom, receipt);
        append_envelope(transactions, type, buffer_bytes(transaction));
        append_envelope(&receipts, type, buffer_bytes(receipt));
        views[i] = buffer_bytes(transaction);
        views[CHAIN_MAKER_TRANSACTIONS + i] = buffer_bytes(receipt);
    }
    int error = trie_ordered_root(views, CHAIN_MAKER_TRANSACTIONS, roots->transactions);
    ensure(error == 0);
    error = trie_ordered_root(views + CHAIN_MAKER_TRANSACTIONS, CHAIN_MAKER_TRANSACTIONS,
                              roots->receipts);
    ensure(error == 0);
    chain_maker_append_list(&made->receipts, buffer_bytes(&receipts));
    buffer_deinit(&receipts);
    for (size_t i = 0; i < 2 * CHAIN_MAKER_TRANSACTIONS; i++) {
        buffer_deinit(&envelopes[i]);
    }
}

static void make_withdrawals(struct buffer *out, uint8_t root[32])
{
    struct buffer items[2];
    struct bytes views[2];
    for (size_t i = 0; i < 2; i++) {
        struct buffer fields;
        buffer_init(&fields);
        append_number(&fields, 100 + i);
        append_number(&fields, 7 * i);
        append_filled(&fields, (uint8_t)(0x60 + i), 20);
        append_number(&fields, 12345678);
        buffer_init(&items[i]);
        chain_maker_append_list(&items[i], buffer_bytes(&fields));
        append(out, buffer_bytes(&items[i]));
        views[i] = buffer_bytes(&items[i]);
        buffer_deinit(&fields);
    }
    int error = trie_ordered_root(views, 2, root);
    ensure(error == 0);
    buffer_deinit(&items[0]);
    buffer_deinit(&items[1]);
}

static void find_sender(uint8_t out[20])
{
    secp256k1_context *context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    ensure(context != NULL);
    secp256k1_pubkey key;
    int created = secp256k1_ec_pubkey_create(context, &key, chain_maker_key);
    ensure(created == 1);
    uint8_t serialized[65];
    size_t size = sizeof(serialized);
    secp256k1_ec_pubkey_serialize(context, serialized, &size, &key, SECP256K1_EC_UNCOMPRESSED);
    secp256k1_context_destroy(context);
    uint8_t hash[32];
    keccak_256(serialized + 1, 64, hash);
    memcpy(out, hash + 12, 20);
}

void chain_maker_init(struct chain_maker *made, unsigned field_count, uint64_t number,
                      const uint8_t parent[32])
{
    struct roots roots = {0};
    struct buffer transactions;
    struct buffer uncles;
    struct buffer uncle_list;
    struct buffer withdrawals;
    struct buffer payload;
    buffer_init(&made->block);
    buffer_init(&made->receipts);
    buffer_init(&transactions);
    buffer_init(&uncles);
    buffer_init(&uncle_list);
    buffer_init(&withdrawals);
    buffer_init(&payload);
    find_sender(made->sender);
    make_items(made, &transactions, &roots);
    if (field_count < 17) {
        append_header(&uncles, field_count, number - 1, NULL, &roots);
    }
    chain_maker_append_list(&uncle_list, buffer_bytes(&uncles));
    keccak_256(uncle_list.data, uncle_list.size, roots.uncles);
    make_withdrawals(&withdrawals, roots.withdrawals);

    append_header(&payload, field_count, number, parent, &roots);
    chain_maker_append_list(&payload, buffer_bytes(&transactions));
    append(&payload, buffer_bytes(&uncle_list));
    if (field_count >= 17) {
        chain_maker_append_list(&payload, buffer_bytes(&withdrawals));
    }
    chain_maker_append_list(&made->block, buffer_bytes(&payload));
    buffer_deinit(&transactions);
    buffer_deinit(&uncles);
    buffer_deinit(&uncle_list);
    buffer_deinit(&withdrawals);
    buffer_deinit(&payload);
}

void chain_maker_deinit(struct chain_maker *made)
{
    buffer_deinit(&made->block);
    buffer_deinit(&made->receipts);
}
