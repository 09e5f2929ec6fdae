/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "chain/header.h"
#include "support/chain_data.h"
#include "support/chain_maker.h"
#include "support/fixture.h"

static const unsigned counts[] = {15, 16, 17, 20, 21};

static void make(unsigned field_count, struct chain_maker *made, struct bytes *out_header)
{
    chain_maker_init(made, field_count, 42, NULL);
    *out_header = chain_maker_item(buffer_bytes(&made->block), 0);
}

static void headers_of_every_fork_decode(void **context)
{
    (void)context;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct chain_maker made;
        struct bytes encoding;
        struct header header;
        struct error_detail detail;
        make(counts[i], &made, &encoding);
        assert_int_equal(header_decode(encoding, &header, &detail), 0);
        assert_int_equal(header.field_count, counts[i]);
        assert_int_equal(header.number, 42);
        assert_int_equal(header.gas_limit, 30000000);
        assert_int_equal(header.gas_used, CHAIN_MAKER_GAS * CHAIN_MAKER_TRANSACTIONS);
        assert_int_equal(header.timestamp, 1700000000 + 12 * 42);
        assert_int_equal(bytes_load_be64(header.difficulty + 24), 131072);
        assert_memory_equal(header.extra_data.data, "made", 4);
        assert_int_equal(header.beneficiary[19], 0xbe);
        assert_int_equal(header.nonce[7], 0x42);
        assert_int_equal(header.mix_hash[31], 0x3d);
        assert_int_equal(bytes_load_be64(header.base_fee + 24), counts[i] > 15 ? 875000000 : 0);
        assert_int_equal(header.withdrawals_root != NULL, counts[i] > 16);
        assert_int_equal(header.blob_gas_used, counts[i] > 17 ? 131072 : 0);
        assert_int_equal(header.parent_beacon_root != NULL, counts[i] > 17);
        assert_int_equal(header.requests_hash != NULL, counts[i] > 20);
        chain_maker_deinit(&made);
    }
}

static void append_hex(struct buffer *out, const char *hex)
{
    uint8_t bytes[256];
    ptrdiff_t size = bytes_from_hex(hex, strlen(hex), bytes, sizeof(bytes));
    assert_true(size >= 0);
    assert_int_equal(rlp_append_string(out, bytes_of(bytes, (size_t)size)), 0);
}

static void append_zeros(struct buffer *out, size_t size)
{
    uint8_t zeros[256] = {0};
    assert_int_equal(rlp_append_string(out, bytes_of(zeros, size)), 0);
}

/* Field by field from the public definition of Ethereum's genesis. */
static void the_mainnet_genesis_header_has_its_hash(void **context)
{
    (void)context;
    struct buffer fields;
    struct buffer encoding;
    struct header header;
    uint8_t hash[32];
    char text[65];
    buffer_init(&fields);
    buffer_init(&encoding);
    append_zeros(&fields, 32);
    append_hex(&fields, "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
    append_zeros(&fields, 20);
    append_hex(&fields, "d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544");
    append_hex(&fields, "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
    append_hex(&fields, "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
    append_zeros(&fields, 256);
    append_hex(&fields, "0400000000");
    append_hex(&fields, "");
    append_hex(&fields, "1388");
    append_hex(&fields, "");
    append_hex(&fields, "");
    append_hex(&fields, "11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa");
    append_zeros(&fields, 32);
    append_hex(&fields, "0000000000000042");
    chain_maker_append_list(&encoding, buffer_bytes(&fields));
    assert_int_equal(header_decode(buffer_bytes(&encoding), &header, NULL), 0);
    assert_int_equal(header.gas_limit, 5000);
    assert_int_equal(header.number, 0);
    header_hash(&header, hash);
    bytes_to_hex(hash, 32, text);
    assert_string_equal(text, "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    buffer_deinit(&fields);
    buffer_deinit(&encoding);
}

static void assert_refused(struct bytes encoding, const char *begins)
{
    struct header header;
    struct error_detail detail = {0};
    memset(&header, 0xa5, sizeof(header));
    struct header before = header;
    assert_int_equal(header_decode(encoding, &header, &detail), STOA_EINVAL);
    assert_int_equal(detail.code, STOA_EINVAL);
    assert_memory_equal(&header, &before, sizeof(header));
    if (strncmp(detail.text, begins, strlen(begins)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", detail.text, begins);
    }
    assert_int_equal(header_decode(encoding, &header, NULL), STOA_EINVAL);
}

static const struct {
    const char *name;
    bool integer;
    unsigned bytes_max;
} fields_expected[HEADER_FIELDS_MAX] = {
    {"parentHash", false, 32},
    {"sha3Uncles", false, 32},
    {"miner", false, 20},
    {"stateRoot", false, 32},
    {"transactionsRoot", false, 32},
    {"receiptsRoot", false, 32},
    {"logsBloom", false, 256},
    {"difficulty", true, 32},
    {"number", true, 8},
    {"gasLimit", true, 8},
    {"gasUsed", true, 8},
    {"timestamp", true, 8},
    {"extraData", false, 0},
    {"mixHash", false, 32},
    {"nonce", false, 8},
    {"baseFeePerGas", true, 32},
    {"withdrawalsRoot", false, 32},
    {"blobGasUsed", true, 8},
    {"excessBlobGas", true, 8},
    {"parentBeaconBlockRoot", false, 32},
    {"requestsHash", false, 32},
};

static void assert_field_refused(struct bytes encoding, size_t index, struct bytes item,
                                 struct buffer *scratch)
{
    char begins[64];
    snprintf(begins, sizeof(begins), "%s: ", fields_expected[index].name);
    chain_maker_replace(encoding, index, item, scratch);
    assert_refused(buffer_bytes(scratch), begins);
}

static void each_wrong_field_is_refused_by_name(void **context)
{
    (void)context;
    struct chain_maker made;
    struct bytes encoding;
    struct buffer item;
    struct buffer changed;
    buffer_init(&item);
    buffer_init(&changed);
    make(21, &made, &encoding);
    for (size_t i = 0; i < HEADER_FIELDS_MAX; i++) {
        uint8_t long_string[300];
        memset(long_string, 0x77, sizeof(long_string));
        assert_field_refused(encoding, i, bytes_of("\xc0", 1), &changed); /* a list */
        if (fields_expected[i].bytes_max == 0) {
            continue; /* any string will do */
        }
        size_t too_long = fields_expected[i].bytes_max + 1;
        buffer_clear(&item);
        assert_int_equal(rlp_append_string(&item, bytes_of(long_string, too_long)), 0);
        assert_field_refused(encoding, i, buffer_bytes(&item), &changed);
        if (fields_expected[i].integer) {
            assert_field_refused(encoding, i, bytes_of("\x82\x00\x81", 3), &changed);
            assert_field_refused(encoding, i, bytes_of("\x00", 1), &changed);
        } else {
            buffer_clear(&item);
            assert_int_equal(rlp_append_string(&item, bytes_of(long_string, too_long - 2)), 0);
            assert_field_refused(encoding, i, buffer_bytes(&item), &changed);
            assert_field_refused(encoding, i, bytes_of("\x80", 1), &changed);
        }
        /* A length of 4 GiB in the field's prefix. */
        assert_field_refused(encoding, i, bytes_of("\xbb\xff\xff\xff\xff", 5), &changed);
    }
    buffer_deinit(&item);
    buffer_deinit(&changed);
    chain_maker_deinit(&made);
}

static void field_counts_of_no_fork_are_refused(void **context)
{
    (void)context;
    struct chain_maker made;
    struct bytes encoding;
    struct buffer shorter;
    struct buffer previous;
    buffer_init(&shorter);
    buffer_init(&previous);
    make(21, &made, &encoding);
    chain_maker_replace(encoding, 21, bytes_of("\x01", 1), &shorter);
    assert_refused(buffer_bytes(&shorter), "header: ");
    assert_int_equal(buffer_append(&previous, encoding.data, encoding.size), 0);
    for (size_t count = 20; count > 0; count--) {
        struct header header;
        chain_maker_replace(buffer_bytes(&previous), count, bytes_of(NULL, 0), &shorter);
        bool valid = count == 15 || count == 16 || count == 17 || count == 20;
        if (valid) {
            assert_int_equal(header_decode(buffer_bytes(&shorter), &header, NULL), 0);
            assert_int_equal(header.field_count, count);
        } else {
            assert_refused(buffer_bytes(&shorter), fields_expected[count].name);
        }
        buffer_clear(&previous);
        assert_int_equal(buffer_append(&previous, shorter.data, shorter.size), 0);
    }
    assert_refused(bytes_of("\xc0", 1), "parentHash: missing");
    buffer_deinit(&shorter);
    buffer_deinit(&previous);
    chain_maker_deinit(&made);
}

static void what_is_not_one_list_is_refused(void **context)
{
    (void)context;
    struct chain_maker made;
    struct bytes encoding;
    struct buffer longer;
    buffer_init(&longer);
    make(17, &made, &encoding);
    for (size_t size = 0; size < encoding.size; size++) {
        assert_refused(bytes_of(encoding.data, size), "header: ");
    }
    assert_int_equal(buffer_append(&longer, encoding.data, encoding.size), 0);
    assert_int_equal(buffer_append(&longer, "\x80", 1), 0);
    assert_refused(buffer_bytes(&longer), "header: ");
    assert_refused(bytes_of("\x80", 1), "header: ");
    assert_refused(bytes_of("\xfb\xff\xff\xff\xff", 5), "header: ");
    buffer_deinit(&longer);
    chain_maker_deinit(&made);
}

static void check_real(const struct chain_data_block *block, void *context)
{
    unsigned *seen = context;
    struct header header;
    struct error_detail detail = {0};
    struct bytes encoding = chain_maker_item(block->encoding, 0);
    if (header_decode(encoding, &header, &detail) != 0) {
        fail_msg("%s: %s", block->where, detail.text);
    }
    uint8_t expected[32];
    uint8_t hash[32];
    chain_data_hex_fixed(block->line, "hash", expected, 32);
    header_hash(&header, hash);
    assert_memory_equal(hash, expected, 32);
    if (json_object_get(block->line, "stateRoot") != NULL) {
        chain_data_hex_fixed(block->line, "stateRoot", expected, 32);
        assert_memory_equal(header.state_root, expected, 32);
    }
    json_int_t number = json_integer_value(json_object_get(block->line, "number"));
    assert_int_equal(header.number, number);
    seen[header.field_count]++;
}

static void real_headers_have_their_hashes(void **context)
{
    (void)context;
    unsigned seen[HEADER_FIELDS_MAX + 1] = {0};
    if (chain_data_for_each(check_real, seen) == 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        assert_true(seen[counts[i]] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_every_fork_decode),
        cmocka_unit_test(the_mainnet_genesis_header_has_its_hash),
        cmocka_unit_test(each_wrong_field_is_refused_by_name),
        cmocka_unit_test(field_counts_of_no_fork_are_refused),
        cmocka_unit_test(what_is_not_one_list_is_refused),
        cmocka_unit_test(real_headers_have_their_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
