/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/genesis.h"
#include "chain/rlp.h"
#include "support/fixture.h"

static void assert_hash(const uint8_t hash[32], const char *expected)
{
    char text[67] = "0x";
    bytes_to_hex(hash, 32, text + 2);
    assert_string_equal(text, expected);
}

static void assert_parses(struct buffer *text, struct genesis *genesis)
{
    struct error_detail detail = {.code = 0};
    if (genesis_parse(buffer_bytes(text), genesis, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    buffer_deinit(text);
}

static size_t block_fields(const struct genesis *genesis, size_t *out_body_items)
{
    struct bytes cursor = buffer_bytes(&genesis->block);
    struct bytes block;
    struct bytes header;
    size_t count;
    assert_int_equal(rlp_read_list(&cursor, &block, NULL), 0);
    assert_int_equal(cursor.size, 0);
    assert_int_equal(rlp_count(block, out_body_items, NULL), 0);
    assert_int_equal(rlp_read_list(&block, &header, NULL), 0);
    assert_int_equal(rlp_count(header, &count, NULL), 0);
    return count;
}

static void the_config_is_kept_as_text(void **state)
{
    (void)state;
    static const char with[] = "{\"config\": {\"chainId\": 7, \"londonBlock\": 3}, \"alloc\": {}, "
                               "\"gasLimit\": \"0x1\", \"difficulty\": \"0x1\"}";
    static const char without[] = "{\"alloc\": {}, \"gasLimit\": \"0x1\", \"difficulty\": \"0x1\"}";
    static const char kept[] = "{\"chainId\":7,\"londonBlock\":3}";
    struct genesis genesis;
    assert_int_equal(genesis_parse(bytes_of(with, sizeof(with) - 1), &genesis, NULL), 0);
    assert_true(bytes_equal(buffer_bytes(&genesis.config), bytes_of(kept, sizeof(kept) - 1)));
    genesis_deinit(&genesis);
    assert_int_equal(genesis_parse(bytes_of(without, sizeof(without) - 1), &genesis, NULL), 0);
    assert_int_equal(genesis.config.size, 0);
    genesis_deinit(&genesis);
}

/* ---- real chains ---- */

static void check_chain(const char *chain, size_t header_fields)
{
    char name[128];
    struct buffer text;
    struct buffer blocks;
    struct genesis genesis;
    assert_true(snprintf(name, sizeof(name), "%s/genesis.json", chain) < (int)sizeof(name));
    if (!fixture_load_data(name, &text)) {
        return;
    }
    assert_parses(&text, &genesis);
    size_t body_items;
    assert_int_equal(block_fields(&genesis, &body_items), header_fields);
    assert_int_equal(body_items, header_fields >= 17 ? 4 : 3);
    assert_true(snprintf(name, sizeof(name), "%s/chain.rlp", chain) < (int)sizeof(name));
    assert_true(fixture_load_data(name, &blocks));
    struct bytes cursor = buffer_bytes(&blocks);
    struct bytes block;
    struct bytes header;
    const uint8_t *parent;
    assert_int_equal(rlp_read_list(&cursor, &block, NULL), 0);
    assert_int_equal(rlp_read_list(&block, &header, NULL), 0);
    assert_int_equal(rlp_read_fixed(&header, 32, &parent, NULL), 0);
    assert_memory_equal(genesis.hash, parent, 32);
    buffer_deinit(&blocks);
    genesis_deinit(&genesis);
}

static void the_first_block_of_every_chain_names_its_genesis(void **context)
{
    (void)context;
    check_chain("chains/eapi-2023-07", 17);
    check_chain("chains/eapi-2023-10", 20);
    check_chain("chains/eapi-2024-01", 20);
    check_chain("chains/eapi-2025-02", 15);
    check_chain("chains/eapi-2025-10", 15);
    check_chain("chains/ethtest-2023-12", 15);
    check_chain("chains/hive-half", 15);
    check_chain("chains/hive-sync-2023-10", 17);
}

static void mainnet_comes_out(void **context)
{
    (void)context;
    struct buffer text;
    struct genesis genesis;
    if (!fixture_load_data("mainnet/genesis.json", &text)) {
        return;
    }
    assert_parses(&text, &genesis);
    assert_hash(genesis.hash, "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    assert_hash(genesis.state_root,
                "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544");
    assert_int_equal(genesis.account_count, 8893);
    assert_int_equal(genesis.chain_id, 0);
    genesis_deinit(&genesis);
}

static void sepolia_comes_out(void **context)
{
    (void)context;
    struct buffer text;
    struct genesis genesis;
    assert_true(fixture_load_source("tests/data/sepolia-genesis.json", &text));
    assert_parses(&text, &genesis);
    assert_hash(genesis.state_root,
                "0x5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494");
    assert_hash(genesis.hash, "0x25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9");
    assert_int_equal(genesis.chain_id, 11155111);
    genesis_deinit(&genesis);
}

/* ---- own small ones ---- */

#define REQUIRED "\"gasLimit\":\"0x1388\",\"difficulty\":\"0x400\""

static int parse(const char *text, struct genesis *genesis, struct error_detail *detail)
{
    return genesis_parse(bytes_of(text, strlen(text)), genesis, detail);
}

static void assert_same_hash(const char *a, const char *b)
{
    struct genesis first;
    struct genesis second;
    struct error_detail detail = {.code = 0};
    assert_int_equal(parse(a, &first, &detail), 0);
    if (parse(b, &second, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    assert_memory_equal(first.hash, second.hash, 32);
    genesis_deinit(&first);
    genesis_deinit(&second);
}

static void a_number_may_be_written_in_every_way_geth_reads(void **context)
{
    (void)context;
    const char *plain = "{\"gasLimit\":\"0x1388\",\"difficulty\":\"0x400\",\"nonce\":\"0x42\","
                        "\"alloc\":{\"0000000000000000000000000000000000000001\":"
                        "{\"balance\":\"0xde0b6b3a7640000\"}}}";
    assert_same_hash(plain,
                     "{\"GASLIMIT\":5000,\"difficulty\":\"01024\",\"nonce\":\"66\",\"number\":null,"
                     "\"alloc\":{\"0x0000000000000000000000000000000000000001\":"
                     "{\"balance\":\"1000000000000000000\",\"comment\":\"rich\",\"storage\":{"
                     "\"0x01\":\"0x00\"}}}}");
    /* An integer that fits no machine word, where nobody asks for it. */
    assert_same_hash(plain, "{\"config\":{\"terminalTotalDifficulty\":58750000000000000000000},"
                            "\"gasLimit\":5000,\"difficulty\":1024,\"nonce\":66,"
                            "\"alloc\":{\"0000000000000000000000000000000000000001\":"
                            "{\"balance\":\"0x0000de0b6b3a7640000\"}}}");
}

static void forks_add_their_fields_in_order(void **context)
{
    (void)context;
    static const struct {
        const char *config;
        size_t fields;
    } cases[] = {
        {"{}", 15},
        {"{\"londonBlock\":1}", 15},
        {"{\"londonBlock\":0}", 16},
        {"{\"londonBlock\":0,\"shanghaiTime\":101}", 16},
        {"{\"londonBlock\":0,\"shanghaiTime\":100}", 17},
        {"{\"londonBlock\":0,\"shanghaiTime\":0,\"cancunTime\":100}", 20},
        {"{\"londonBlock\":0,\"shanghaiTime\":0,\"cancunTime\":0,\"pragueTime\":101}", 20},
        {"{\"londonBlock\":0,\"shanghaiTime\":0,\"cancunTime\":0,\"pragueTime\":0}", 21},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        int length = snprintf(text, sizeof(text),
                              "{" REQUIRED ",\"timestamp\":100,\"alloc\":{},\"config\":%s}",
                              cases[i].config);
        assert_true(length > 0 && length < (int)sizeof(text));
        struct genesis genesis;
        size_t body_items;
        assert_int_equal(parse(text, &genesis, NULL), 0);
        assert_int_equal(block_fields(&genesis, &body_items), cases[i].fields);
        assert_int_equal(body_items, cases[i].fields >= 17 ? 4 : 3);
        genesis_deinit(&genesis);
    }
}

static void accounts_are_handed_out_as_they_stand(void **context)
{
    (void)context;
    struct genesis genesis;
    assert_int_equal(parse("{" REQUIRED
                           ",\"alloc\":{\"0x00000000000000000000000000000000000000aa\":"
                           "{\"balance\":\"0x0102\",\"nonce\":\"7\",\"code\":\"0x6001\","
                           "\"storage\":{\"0x05\":\"0x0607\",\"0x06\":\"0x\"}}}}",
                           &genesis, NULL),
                     0);
    assert_int_equal(genesis.account_count, 1);
    const struct genesis_account *account = &genesis.accounts[0];
    assert_int_equal(account->address[19], 0xaa);
    assert_int_equal(account->balance[30], 1);
    assert_int_equal(account->balance[31], 2);
    assert_int_equal(account->nonce, 7);
    assert_true(bytes_equal(buffer_bytes(&account->code), bytes_of("\x60\x01", 2)));
    assert_int_equal(account->slot_count, 1);
    assert_int_equal(account->slots[0].key[31], 5);
    assert_int_equal(account->slots[0].value[30], 6);
    assert_int_equal(account->slots[0].value[31], 7);
    genesis_deinit(&genesis);
}

#define ADDRESS "\"00000000000000000000000000000000000000aa\""
#define ACCOUNT(members) "{" REQUIRED ",\"alloc\":{" ADDRESS ":" members "}}"

static void bad_files_are_refused_with_the_name_of_the_member(void **context)
{
    (void)context;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"", "line "},
        {"[]", "not a JSON object"},
        {"{" REQUIRED ",\"alloc\":{}} x", "line "},
        {"{" REQUIRED ",\"alloc\":{},\"alloc\":{}}", "line "},
        {"{" REQUIRED ",\"alloc\":{},\"Alloc\":{}}", "alloc: "},
        {"{" REQUIRED "}", "alloc: missing"},
        {"{" REQUIRED ",\"alloc\":[]}", "alloc: not an object"},
        {"{\"gasLimit\":1,\"alloc\":{}}", "difficulty: missing"},
        {"{\"difficulty\":1,\"alloc\":{}}", "gasLimit: missing"},
        {"{\"difficulty\":1,\"gasLimit\":\"0x10000000000000000\",\"alloc\":{}}", "gasLimit: "},
        {"{\"difficulty\":1,\"gasLimit\":-1,\"alloc\":{}}", "gasLimit: "},
        {"{\"difficulty\":1,\"gasLimit\":1.5,\"alloc\":{}}", "gasLimit: "},
        {"{\"difficulty\":1,\"gasLimit\":\"0x\",\"alloc\":{}}", "gasLimit: "},
        {"{\"difficulty\":1,\"gasLimit\":\"12z\",\"alloc\":{}}", "gasLimit: "},
        {"{\"difficulty\":{},\"gasLimit\":1,\"alloc\":{}}", "difficulty: "},
        {"{\"difficulty\":99999999999999999999,\"gasLimit\":1,\"alloc\":{}}", "difficulty: "},
        {"{" REQUIRED ",\"alloc\":{},\"number\":1}", "number: "},
        {"{" REQUIRED ",\"alloc\":{},\"parentHash\":\"0x00\"}", "parentHash: "},
        {"{" REQUIRED ",\"alloc\":{},\"extraData\":\"0x0\"}", "extraData: "},
        {"{" REQUIRED ",\"alloc\":{},\"extraData\":5}", "extraData: "},
        {"{" REQUIRED ",\"alloc\":{},\"config\":5}", "config: "},
        {"{" REQUIRED ",\"alloc\":{},\"config\":{\"chainId\":\"x\"}}", "config: chainId: "},
        {"{" REQUIRED ",\"alloc\":{},\"config\":{\"londonBlock\":0,\"cancunTime\":0}}",
         "config: cancunTime: "},
        {"{" REQUIRED ",\"alloc\":{},\"stateRoot\":\"0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1"
         "827a1709da30580f0544\"}",
         "stateRoot: "},
        {"{" REQUIRED ",\"alloc\":{\"0xaa\":{\"balance\":\"1\"}}}", "alloc: 0xaa: "},
        {ACCOUNT("5"), "alloc: 00000000000000000000000000000000000000aa: "},
        {ACCOUNT("{}"), "alloc: 00000000000000000000000000000000000000aa: balance: missing"},
        {ACCOUNT("{\"balance\":\"0x1000000000000000000000000000000000000000000000000000000000000000"
                 "0\"}"),
         "alloc: 00000000000000000000000000000000000000aa: balance: "},
        {ACCOUNT("{\"balance\":\"115792089237316195423570985008687907853269984665640564039457584007"
                 "913129639936\"}"),
         "alloc: 00000000000000000000000000000000000000aa: balance: "},
        {ACCOUNT("{\"balance\":1,\"code\":\"0xzz\"}"),
         "alloc: 00000000000000000000000000000000000000aa: code: "},
        {ACCOUNT("{\"balance\":1,\"storage\":[]}"),
         "alloc: 00000000000000000000000000000000000000aa: storage: "},
        {ACCOUNT("{\"balance\":1,\"storage\":{\"0x0\":\"0x01\"}}"),
         "alloc: 00000000000000000000000000000000000000aa: storage: slot 0x0: "},
        {ACCOUNT("{\"balance\":1,\"storage\":{\"0x00\":1}}"),
         "alloc: 00000000000000000000000000000000000000aa: storage: slot 0x00: value: "},
        {ACCOUNT("{\"balance\":1,\"storage\":{\"0x01\":\"0x02\",\"0x0001\":\"0x03\"}}"),
         "alloc: 0x00000000000000000000000000000000000000aa: storage: a slot is there twice"},
        {"{" REQUIRED ",\"alloc\":{" ADDRESS ":{\"balance\":1},"
         "\"0x00000000000000000000000000000000000000Aa\":{\"balance\":1}}}",
         "alloc: an address is there twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct genesis genesis;
        struct error_detail detail = {.code = 0};
        assert_int_equal(parse(cases[i].text, &genesis, &detail), STOA_EINVAL);
        if (strncmp(detail.text, cases[i].says, strlen(cases[i].says)) != 0) {
            fail_msg("%s\nsays \"%s\"\nnot  \"%s\"", cases[i].text, detail.text, cases[i].says);
        }
        assert_int_equal(parse(cases[i].text, &genesis, NULL), STOA_EINVAL);
    }
}

static void every_cut_of_a_good_file_is_refused(void **context)
{
    (void)context;
    const char *text = ACCOUNT("{\"balance\":1,\"storage\":{\"0x01\":\"0x02\"}}");
    for (size_t size = 0; size < strlen(text); size++) {
        struct genesis genesis;
        assert_int_equal(genesis_parse(bytes_of(text, size), &genesis, NULL), STOA_EINVAL);
    }
}

static void no_memory_at_any_point_is_an_error_without_leaks(void **context)
{
    (void)context;
    const char *text = ACCOUNT("{\"balance\":1,\"code\":\"0x01\",\"storage\":{\"0x01\":\"0x02\"}}");
    int result = STOA_ENOMEM;
    for (uint64_t n = 1; result != 0; n++) {
        struct genesis genesis;
        memory_fail_at(n);
        result = parse(text, &genesis, NULL);
        memory_fail_at(0);
        assert_true(result == 0 || result == STOA_ENOMEM);
        assert_true(n < 100);
        if (result == 0) {
            genesis_deinit(&genesis);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_block_of_every_chain_names_its_genesis),
        cmocka_unit_test(mainnet_comes_out),
        cmocka_unit_test(sepolia_comes_out),
        cmocka_unit_test(a_number_may_be_written_in_every_way_geth_reads),
        cmocka_unit_test(forks_add_their_fields_in_order),
        cmocka_unit_test(accounts_are_handed_out_as_they_stand),
        cmocka_unit_test(bad_files_are_refused_with_the_name_of_the_member),
        cmocka_unit_test(every_cut_of_a_good_file_is_refused),
        cmocka_unit_test(the_config_is_kept_as_text),
        cmocka_unit_test(no_memory_at_any_point_is_an_error_without_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
