/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/block.h"
#include "chain/transaction.h"
#include "support/chain_data.h"
#include "support/chain_maker.h"
#include "support/fixture.h"

static const struct {
    unsigned type;
    uint64_t chain_id;
} kinds[] = {{0, 0}, {0, 1}, {0, 1337}, {0, UINT32_MAX}, {1, 1}, {2, 1}, {3, 11155111}, {4, 1}};

enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

static size_t from_hex(const char *hex, uint8_t *out, size_t capacity)
{
    ptrdiff_t size = bytes_from_hex(hex, strlen(hex), out, capacity);
    assert_true(size >= 0);
    return (size_t)size;
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
    char text[129];
    assert_true(size <= 64);
    bytes_to_hex(bytes, size, text);
    assert_string_equal(text, expected);
}

/* The example in EIP-155 itself. */
static void the_eip155_example_comes_out(void **context)
{
    (void)context;
    uint8_t envelope[256];
    size_t size = from_hex("f86c098504a817c800825208943535353535353535353535353535353535353535880d"
                           "e0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1"
                           "590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1"
                           "966a3b6d83",
                           envelope, sizeof(envelope));
    struct transaction transaction;
    struct error_detail detail = {0};
    assert_int_equal(transaction_decode(bytes_of(envelope, size), &transaction, &detail), 0);
    assert_int_equal(transaction.type, 0);
    assert_true(transaction.has_chain_id);
    assert_int_equal(transaction.chain_id, 1);
    assert_int_equal(transaction.nonce, 9);
    assert_int_equal(transaction.gas_limit, 21000);
    assert_int_equal(transaction.v, 37);
    assert_int_equal(transaction.y_parity, 0);
    assert_int_equal(transaction.input.size, 0);
    uint8_t hash[32];
    uint8_t sender[20];
    assert_int_equal(transaction_signing_hash(&transaction, hash), 0);
    assert_hex(hash, 32, "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    struct transaction_recovery *recovery = transaction_recovery_create();
    assert_non_null(recovery);
    assert_int_equal(transaction_sender(recovery, &transaction, sender, &detail), 0);
    assert_hex(sender, 20, "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
    transaction_recovery_destroy(recovery);
}

/* The first transaction on mainnet, in block 46147: before EIP-155. */
static void the_first_mainnet_transaction_comes_out(void **context)
{
    (void)context;
    uint8_t envelope[256];
    size_t size = from_hex("f86780862d79883d2000825208945df9b87991262f6ba471f09758cde1c0fc1de73482"
                           "7a69801ca088ff6cf0fefd94db46111149ae4bfc179e9b94721fffd821d38d16464b3f"
                           "71d0a045e0aff800961cfce805daef7016b9b675c137a6a41a548f7b60a3484c06a33a",
                           envelope, sizeof(envelope));
    struct transaction transaction;
    uint8_t hash[32];
    uint8_t sender[20];
    transaction_hash(bytes_of(envelope, size), hash);
    assert_hex(hash, 32, "5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060");
    assert_int_equal(transaction_decode(bytes_of(envelope, size), &transaction, NULL), 0);
    assert_false(transaction.has_chain_id);
    assert_int_equal(transaction.y_parity, 1);
    struct transaction_recovery *recovery = transaction_recovery_create();
    assert_int_equal(transaction_sender(recovery, &transaction, sender, NULL), 0);
    assert_hex(sender, 20, "a1e4380a3b1f749673e270229993ee55f35663b4");
    transaction_recovery_destroy(recovery);
}

/* Published examples of contract addresses: nonces of no, one and two bytes. */
static void created_addresses_come_out(void **context)
{
    (void)context;
    uint8_t sender[20];
    uint8_t created[20];
    from_hex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0", sender, sizeof(sender));
    transaction_created_address(sender, 0, created);
    assert_hex(created, 20, "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d");
    transaction_created_address(sender, 1, created);
    assert_hex(created, 20, "343c43a37d37dff08ae8c4a11544c718abb4fcf8");
    transaction_created_address(sender, 2, created);
    assert_hex(created, 20, "f778b86fa74e846c4f0a1fbd1335fe81c00a0c91");
    transaction_created_address(sender, 3, created);
    assert_hex(created, 20, "fffd933a0bc612844eaf0c6fe3e5b8e9b6c1d19c");
}

static void all_types_decode_and_recover(void **context)
{
    (void)context;
    struct chain_maker made;
    struct buffer envelope;
    struct transaction_recovery *recovery = transaction_recovery_create();
    chain_maker_init(&made, 21, 1, NULL);
    buffer_init(&envelope);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct transaction transaction;
        struct error_detail detail = {0};
        uint8_t sender[20];
        unsigned type = kinds[i].type;
        chain_maker_transaction(type, kinds[i].chain_id, 3000 + i, &envelope);
        assert_int_equal(transaction_decode(buffer_bytes(&envelope), &transaction, &detail), 0);
        assert_int_equal(transaction.type, type);
        assert_int_equal(transaction.has_chain_id, kinds[i].chain_id != 0);
        assert_int_equal(transaction.chain_id, kinds[i].chain_id);
        assert_int_equal(transaction.nonce, 3000 + i);
        assert_int_equal(transaction.gas_limit, 21000);
        assert_int_equal(transaction.to[19], 0x35);
        assert_int_equal(transaction.input.size, 60);
        assert_int_equal(bytes_load_be64(transaction.value + 24), 1000000000000000000);
        assert_int_equal(bytes_load_be64(transaction.gas_price + 24), type < 2 ? 20000000000 : 0);
        assert_int_equal(bytes_load_be64(transaction.max_priority_fee + 24),
                         type < 2 ? 0 : 20000000000);
        assert_int_equal(bytes_load_be64(transaction.max_fee + 24), type < 2 ? 0 : 30000000000);
        assert_int_equal(transaction.access_list.size > 0, type > 0);
        assert_int_equal(transaction.max_fee_per_blob_gas[31], type == 3 ? 7 : 0);
        assert_int_equal(transaction.blob_hashes.size, type == 3 ? 2 * 33 : 0);
        assert_int_equal(transaction.authorizations.size > 0, type == 4);
        uint64_t before = memory_allocation_count();
        assert_int_equal(transaction_sender(recovery, &transaction, sender, &detail), 0);
        assert_int_equal(memory_allocation_count(), before);
        assert_memory_equal(sender, made.sender, 20);
    }
    buffer_deinit(&envelope);
    chain_maker_deinit(&made);
    transaction_recovery_destroy(recovery);
}

static void assert_refused(struct bytes envelope, const char *begins)
{
    struct transaction transaction;
    struct error_detail detail = {0};
    memset(&transaction, 0xa5, sizeof(transaction));
    struct transaction before = transaction;
    assert_int_equal(transaction_decode(envelope, &transaction, &detail), STOA_EINVAL);
    assert_int_equal(detail.code, STOA_EINVAL);
    assert_memory_equal(&transaction, &before, sizeof(transaction));
    if (strncmp(detail.text, begins, strlen(begins)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", detail.text, begins);
    }
}

/* ENVELOPE's list with item INDEX replaced, as an envelope again. */
static void replace(struct bytes envelope, unsigned type, size_t index, struct bytes item,
                    struct buffer *out)
{
    struct buffer list;
    size_t skip = type != 0;
    buffer_init(&list);
    chain_maker_replace(bytes_of(envelope.data + skip, envelope.size - skip), index, item, &list);
    buffer_clear(out);
    assert_int_equal(buffer_append(out, envelope.data, skip), 0);
    assert_int_equal(buffer_append(out, list.data, list.size), 0);
    buffer_deinit(&list);
}

enum { FIELDS_MAX = 14 };

static const char *const names[5][FIELDS_MAX + 1] = {
    {"nonce", "gasPrice", "gas", "to", "value", "input", "v", "r", "s"},
    {"chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList", "yParity", "r",
     "s"},
    {"chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input",
     "accessList", "yParity", "r", "s"},
    {"chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input",
     "accessList", "maxFeePerBlobGas", "blobVersionedHashes", "yParity", "r", "s"},
    {"chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input",
     "accessList", "authorizationList", "yParity", "r", "s"},
};

static bool is_list(const char *name)
{
    return strcmp(name, "accessList") == 0 || strcmp(name, "blobVersionedHashes") == 0 ||
           strcmp(name, "authorizationList") == 0;
}

static void each_wrong_field_is_refused_by_name(void **context)
{
    (void)context;
    struct buffer envelope;
    struct buffer changed;
    buffer_init(&envelope);
    buffer_init(&changed);
    for (unsigned type = 0; type <= 4; type++) {
        chain_maker_transaction(type, 1, 5, &envelope);
        size_t count = 0;
        for (; names[type][count] != NULL; count++) {
            const char *name = names[type][count];
            uint8_t too_long[34] = {0xa0 + 1, 0x01};
            replace(buffer_bytes(&envelope), type, count,
                    is_list(name) ? bytes_of("\x80", 1) : bytes_of("\xc0", 1), &changed);
            assert_refused(buffer_bytes(&changed), name);
            replace(buffer_bytes(&envelope), type, count, bytes_of("\xbb\xff\xff\xff\xff", 5),
                    &changed);
            assert_refused(buffer_bytes(&changed), name);
            if (is_list(name)) {
                replace(buffer_bytes(&envelope), type, count, bytes_of("\xc1\x01", 2), &changed);
                assert_refused(buffer_bytes(&changed), name);
                replace(buffer_bytes(&envelope), type, count, bytes_of("\xc2\xc1\x80", 3),
                        &changed);
                assert_refused(buffer_bytes(&changed), name);
            } else if (strcmp(name, "input") != 0) {
                replace(buffer_bytes(&envelope), type, count, bytes_of(too_long, 34), &changed);
                assert_refused(buffer_bytes(&changed), name);
                replace(buffer_bytes(&envelope), type, count, bytes_of("\x82\x00\x81", 3),
                        &changed);
                assert_refused(buffer_bytes(&changed), name);
            }
        }
        replace(buffer_bytes(&envelope), type, count, bytes_of("\x80", 1), &changed);
        assert_refused(buffer_bytes(&changed), "transaction: ");
        replace(buffer_bytes(&envelope), type, count - 1, bytes_of(NULL, 0), &changed);
        assert_refused(buffer_bytes(&changed), "s: ");
    }
    buffer_deinit(&envelope);
    buffer_deinit(&changed);
}

static void impossible_v_and_parity_are_refused(void **context)
{
    (void)context;
    struct buffer envelope;
    struct buffer changed;
    buffer_init(&envelope);
    buffer_init(&changed);
    chain_maker_transaction(0, 0, 5, &envelope);
    for (uint8_t v = 1; v < 40; v++) {
        struct transaction transaction;
        replace(buffer_bytes(&envelope), 0, 6, bytes_of(&v, 1), &changed);
        if (v != 27 && v != 28 && v < 35) {
            assert_refused(buffer_bytes(&changed), "v: ");
            continue;
        }
        assert_int_equal(transaction_decode(buffer_bytes(&changed), &transaction, NULL), 0);
        assert_int_equal(transaction.y_parity, v < 35 ? v - 27 : (v - 35) % 2);
        assert_int_equal(transaction.chain_id, v < 35 ? 0 : (v - 35) / 2);
    }
    replace(buffer_bytes(&envelope), 0, 6, bytes_of("\x80", 1), &changed);
    assert_refused(buffer_bytes(&changed), "v: ");
    chain_maker_transaction(2, 1, 5, &envelope);
    replace(buffer_bytes(&envelope), 2, 9, bytes_of("\x02", 1), &changed);
    assert_refused(buffer_bytes(&changed), "yParity: 2");
    buffer_deinit(&envelope);
    buffer_deinit(&changed);
}

static void blob_and_code_transactions_create_no_contract(void **context)
{
    (void)context;
    struct buffer envelope;
    struct buffer changed;
    buffer_init(&envelope);
    buffer_init(&changed);
    for (unsigned type = 0; type <= 4; type++) {
        struct transaction transaction;
        size_t index = type == 0 ? 3 : type == 1 ? 4 : 5;
        chain_maker_transaction(type, 1, 5, &envelope);
        replace(buffer_bytes(&envelope), type, index, bytes_of("\x80", 1), &changed);
        if (type >= 3) {
            assert_refused(buffer_bytes(&changed), "to: ");
        } else {
            assert_int_equal(transaction_decode(buffer_bytes(&changed), &transaction, NULL), 0);
            assert_null(transaction.to);
        }
    }
    buffer_deinit(&envelope);
    buffer_deinit(&changed);
}

static void what_is_not_one_transaction_is_refused(void **context)
{
    (void)context;
    struct buffer envelope;
    buffer_init(&envelope);
    for (unsigned type = 0; type <= 4; type++) {
        chain_maker_transaction(type, 1, 5, &envelope);
        for (size_t size = 0; size < envelope.size; size++) {
            assert_refused(bytes_of(envelope.data, size), "transaction: ");
        }
        assert_int_equal(buffer_append(&envelope, "\x80", 1), 0);
        assert_refused(buffer_bytes(&envelope), "transaction: ");
        if (type != 0) {
            envelope.size--;
            envelope.data[0] = 0;
            assert_refused(buffer_bytes(&envelope), "transaction: type: ");
            envelope.data[0] = 5;
            assert_refused(buffer_bytes(&envelope), "transaction: type: 5 is not known");
        }
    }
    buffer_deinit(&envelope);
}

/* A flipped bit may still decode; it then never has the same hash, nor, wherever it is in what was
 * signed, the same sender. */
static void a_flipped_bit_changes_the_hash_and_the_sender(void **context)
{
    (void)context;
    struct chain_maker made;
    struct buffer envelope;
    struct transaction_recovery *recovery = transaction_recovery_create();
    chain_maker_init(&made, 21, 1, NULL);
    buffer_init(&envelope);
    chain_maker_transaction(2, 1, 5, &envelope);
    uint8_t good[32];
    transaction_hash(buffer_bytes(&envelope), good);
    for (size_t bit = 0; bit < 8 * envelope.size; bit++) {
        struct transaction transaction;
        uint8_t hash[32];
        uint8_t sender[20];
        envelope.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        transaction_hash(buffer_bytes(&envelope), hash);
        assert_memory_not_equal(hash, good, 32);
        if (transaction_decode(buffer_bytes(&envelope), &transaction, NULL) == 0 &&
            transaction_sender(recovery, &transaction, sender, NULL) == 0) {
            assert_memory_not_equal(sender, made.sender, 20);
        }
        envelope.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_deinit(&envelope);
    chain_maker_deinit(&made);
    transaction_recovery_destroy(recovery);
}

/* The group's order n, and the signature that negates s: before Homestead both were valid. */
static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                  0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};

static void a_high_s_recovers_as_before_homestead(void **context)
{
    (void)context;
    struct chain_maker made;
    struct buffer envelope;
    struct transaction transaction;
    uint8_t sender[20];
    struct transaction_recovery *recovery = transaction_recovery_create();
    chain_maker_init(&made, 15, 1, NULL);
    buffer_init(&envelope);
    chain_maker_transaction(0, 0, 5, &envelope);
    assert_int_equal(transaction_decode(buffer_bytes(&envelope), &transaction, NULL), 0);
    int borrow = 0;
    for (size_t i = 32; i-- > 0;) {
        int difference = order[i] - transaction.s[i] - borrow;
        borrow = difference < 0;
        transaction.s[i] = (uint8_t)difference;
    }
    assert_true(transaction.s[0] >= 0x80);
    transaction.y_parity ^= 1;
    assert_int_equal(transaction_sender(recovery, &transaction, sender, NULL), 0);
    assert_memory_equal(sender, made.sender, 20);
    buffer_deinit(&envelope);
    chain_maker_deinit(&made);
    transaction_recovery_destroy(recovery);
}

static void signatures_out_of_range_are_refused(void **context)
{
    (void)context;
    struct buffer envelope;
    struct transaction_recovery *recovery = transaction_recovery_create();
    buffer_init(&envelope);
    chain_maker_transaction(0, 1, 5, &envelope);
    for (unsigned i = 0; i < 6; i++) {
        struct transaction transaction;
        struct error_detail detail = {0};
        uint8_t sender[20];
        assert_int_equal(transaction_decode(buffer_bytes(&envelope), &transaction, NULL), 0);
        uint8_t *part = i % 2 == 0 ? transaction.r : transaction.s;
        if (i < 2) {
            memset(part, 0, 32);
        } else {
            memcpy(part, order, 32);
            part[31] = (uint8_t)(part[31] + i / 2 - 1);
        }
        assert_int_equal(transaction_sender(recovery, &transaction, sender, &detail),
                         STOA_EREFUSED);
        assert_int_equal(strncmp(detail.text, "signature: ", 11), 0);
    }
    buffer_deinit(&envelope);
    transaction_recovery_destroy(recovery);
}

static void lack_of_memory_is_reported(void **context)
{
    (void)context;
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_at(n);
        assert_null(transaction_recovery_create());
        memory_fail_at(0);
    }
    transaction_recovery_destroy(NULL);
}

struct seen {
    struct transaction_recovery *recovery;
    size_t types[5];
    size_t created;
};

static void check_real_one(struct seen *seen, struct bytes envelope, const json_t *line)
{
    struct transaction transaction;
    struct error_detail detail = {0};
    uint8_t address[20];
    uint8_t expected[32];
    uint8_t hash[32];
    if (transaction_decode(envelope, &transaction, &detail) != 0 ||
        transaction_sender(seen->recovery, &transaction, address, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    seen->types[transaction.type]++;
    if (line == NULL) {
        return;
    }
    transaction_hash(envelope, hash);
    chain_data_hex_fixed(line, "hash", expected, 32);
    assert_memory_equal(hash, expected, 32);
    chain_data_hex_fixed(line, "from", expected, 20);
    assert_memory_equal(address, expected, 20);
    assert_int_equal(transaction.type, json_integer_value(json_object_get(line, "type")));
    if (json_object_get(line, "created") != NULL) {
        assert_null(transaction.to);
        chain_data_hex_fixed(line, "created", expected, 20);
        transaction_created_address(address, transaction.nonce, address);
        assert_memory_equal(address, expected, 20);
        seen->created++;
    }
}

static void check_real(const struct chain_data_block *real, void *context)
{
    struct block block;
    assert_int_equal(block_decode(real->encoding, &block, NULL), 0);
    const json_t *lines = json_object_get(real->line, "txs");
    struct bytes cursor = block.transactions;
    struct bytes envelope;
    for (size_t i = 0; block_next_transaction(&cursor, &envelope, NULL) == 0; i++) {
        check_real_one(context, envelope, lines == NULL ? NULL : json_array_get(lines, i));
    }
}

static void real_senders_and_created_addresses_come_out(void **context)
{
    (void)context;
    struct seen seen = {.recovery = transaction_recovery_create()};
    if (chain_data_for_each(check_real, &seen) > 0) {
        for (size_t type = 0; type <= 4; type++) {
            assert_true(seen.types[type] > 0);
        }
        assert_true(seen.created > 0);
    }
    transaction_recovery_destroy(seen.recovery);
}

static void the_first_mainnet_blocks_have_senders(void **context)
{
    (void)context;
    struct buffer file;
    if (!fixture_load_data("mainnet/blocks-46350-46399.rlp", &file)) {
        return;
    }
    struct seen seen = {.recovery = transaction_recovery_create()};
    struct bytes cursor = buffer_bytes(&file);
    struct chain_data_block real = {0};
    while (chain_data_next_item(&cursor, &real.encoding)) {
        check_real(&real, &seen);
    }
    assert_true(seen.types[0] > 0);
    transaction_recovery_destroy(seen.recovery);
    buffer_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_eip155_example_comes_out),
        cmocka_unit_test(the_first_mainnet_transaction_comes_out),
        cmocka_unit_test(created_addresses_come_out),
        cmocka_unit_test(all_types_decode_and_recover),
        cmocka_unit_test(each_wrong_field_is_refused_by_name),
        cmocka_unit_test(impossible_v_and_parity_are_refused),
        cmocka_unit_test(blob_and_code_transactions_create_no_contract),
        cmocka_unit_test(what_is_not_one_transaction_is_refused),
        cmocka_unit_test(a_flipped_bit_changes_the_hash_and_the_sender),
        cmocka_unit_test(a_high_s_recovers_as_before_homestead),
        cmocka_unit_test(signatures_out_of_range_are_refused),
        cmocka_unit_test(lack_of_memory_is_reported),
        cmocka_unit_test(real_senders_and_created_addresses_come_out),
        cmocka_unit_test(the_first_mainnet_blocks_have_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
