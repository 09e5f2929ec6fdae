/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_json.c: our rendering of blocks, transactions and receipts beside the answers recorded in
 * execution-apis, field by field. Everything is built from chain.rlp, genesis.json and
 * execution.jsonl, without a store. */
#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/genesis.h"
#include "render/json_block.h"
#include "render/json_receipt.h"
#include "render/json_transaction.h"
#include "render/receipt_walk.h"
#include "render/wide.h"
#include "stoa/error.h"
#include "support/fixture.h"

enum { BLOCKS_MAX = 64, HASH_SIZE = 32 };

struct stored {
    struct block block;
    struct buffer receipts;
    struct buffer senders;
    uint8_t total_difficulty[32];
};

struct chain {
    char name[32];
    struct buffer rlp;
    struct genesis genesis;
    struct stored blocks[BLOCKS_MAX];
    size_t count;
};

static const char *const chain_names[] = {"eapi-2023-07", "eapi-2023-10", "eapi-2024-01",
                                          "eapi-2025-02", "eapi-2025-10"};

static size_t compared_blocks;
static size_t compared_transactions;
static size_t compared_receipts;

/* ---- building the chain ---- */

static void append_hex_text(struct buffer *out, const json_t *text)
{
    const char *digits = json_string_value(text);
    assert_non_null(digits);
    size_t size = (strlen(digits) - 2) / 2;
    assert_int_equal(buffer_reserve(out, size + 1), 0);
    assert_int_equal(bytes_from_hex(digits, strlen(digits), out->data + out->size, size), size);
    out->size += size;
}

static void add_execution(struct stored *stored, const json_t *line)
{
    struct buffer payload;
    buffer_init(&payload);
    size_t index;
    json_t *receipt;
    json_array_foreach(json_object_get(line, "receipts"), index, receipt)
    {
        struct buffer one;
        buffer_init(&one);
        append_hex_text(&one, receipt);
        if (one.data[0] < 0x80) {
            assert_int_equal(rlp_append_string(&payload, buffer_bytes(&one)), 0);
        } else {
            assert_int_equal(buffer_append(&payload, one.data, one.size), 0);
        }
        buffer_deinit(&one);
    }
    assert_int_equal(rlp_append_list_prefix(&stored->receipts, payload.size), 0);
    assert_int_equal(buffer_append(&stored->receipts, payload.data, payload.size), 0);
    buffer_deinit(&payload);
    json_t *transaction;
    json_array_foreach(json_object_get(line, "txs"), index, transaction)
    {
        append_hex_text(&stored->senders, json_object_get(transaction, "from"));
    }
}

static void add_block(struct chain *chain, struct bytes encoding)
{
    assert_true(chain->count < BLOCKS_MAX);
    struct stored *stored = &chain->blocks[chain->count];
    struct error_detail detail = {.code = 0};
    if (block_decode(encoding, &stored->block, &detail) != 0) {
        fail_msg("block %zu: %s", chain->count, detail.text);
    }
    assert_int_equal(stored->block.header.number, chain->count);
    struct wide total = wide_load(stored->block.header.difficulty);
    if (chain->count > 0) {
        struct wide before = wide_load(chain->blocks[chain->count - 1].total_difficulty);
        assert_true(wide_add(&before, &total, &total));
    }
    wide_store(&total, stored->total_difficulty);
    chain->count++;
}

static void add_execution_lines(struct chain *chain, struct bytes text)
{
    size_t number = 1;
    const char *cursor = (const char *)text.data;
    const char *end = cursor + text.size;
    while (cursor < end) {
        const char *newline = memchr(cursor, '\n', (size_t)(end - cursor));
        size_t size = newline != NULL ? (size_t)(newline - cursor) : (size_t)(end - cursor);
        json_t *line = json_loadb(cursor, size, 0, NULL);
        assert_non_null(line);
        assert_int_equal(json_integer_value(json_object_get(line, "number")), number);
        add_execution(&chain->blocks[number], line);
        json_decref(line);
        number++;
        cursor += size + 1;
    }
    assert_int_equal(number, chain->count);
}

static bool load_part(const char *chain, const char *part, struct buffer *out)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "chains/%s/%s", chain, part);
    buffer_init(out);
    return fixture_load_data(path, out);
}

static struct chain *load_chain(const char *name)
{
    struct chain *chain = memory_alloc_zeroed(1, sizeof(*chain));
    assert_non_null(chain);
    (void)snprintf(chain->name, sizeof(chain->name), "%s", name);
    struct buffer genesis;
    struct buffer execution;
    if (!load_part(name, "genesis.json", &genesis)) {
        memory_free(chain);
        return NULL;
    }
    assert_true(load_part(name, "chain.rlp", &chain->rlp));
    assert_true(load_part(name, "execution.jsonl", &execution));
    assert_int_equal(genesis_parse(buffer_bytes(&genesis), &chain->genesis, NULL), 0);
    add_block(chain, buffer_bytes(&chain->genesis.block));
    struct bytes cursor = buffer_bytes(&chain->rlp);
    while (cursor.size > 0) {
        struct rlp_item item;
        assert_int_equal(rlp_read(&cursor, &item, NULL), 0);
        add_block(chain, item.encoding);
    }
    add_execution_lines(chain, buffer_bytes(&execution));
    buffer_deinit(&genesis);
    buffer_deinit(&execution);
    return chain;
}

static void free_chain(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        buffer_deinit(&chain->blocks[i].receipts);
        buffer_deinit(&chain->blocks[i].senders);
    }
    buffer_deinit(&chain->rlp);
    genesis_deinit(&chain->genesis);
    memory_free(chain);
}

/* ---- what we render ---- */

static json_t *parse_ours(struct buffer *text)
{
    json_error_t error;
    json_t *value =
        json_loadb((const char *)text->data, text->size, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        fail_msg("our JSON: %s", error.text);
    }
    buffer_deinit(text);
    return value;
}

static json_t *our_block(const struct stored *stored, const json_t *expected)
{
    struct buffer text;
    struct json_writer writer;
    struct json_block input = {.block = &stored->block, .senders = buffer_bytes(&stored->senders)};
    if (json_object_get(expected, "totalDifficulty") != NULL) {
        input.total_difficulty = stored->total_difficulty;
    }
    const json_t *first = json_array_get(json_object_get(expected, "transactions"), 0);
    input.full = json_is_object(first);
    buffer_init(&text);
    json_writer_init(&writer, &text);
    assert_int_equal(json_block_append(&writer, NULL, &input, NULL), 0);
    assert_int_equal(json_writer_finish(&writer), 0);
    return parse_ours(&text);
}

static json_t *our_transaction(const struct stored *stored, size_t index)
{
    struct bytes cursor = stored->block.transactions;
    struct json_transaction input = {.block = &stored->block, .index = index};
    for (size_t i = 0; i <= index; i++) {
        assert_int_equal(block_next_transaction(&cursor, &input.envelope, NULL), 0);
    }
    input.sender = stored->senders.data + 20 * index;
    struct buffer text;
    struct json_writer writer;
    buffer_init(&text);
    json_writer_init(&writer, &text);
    assert_int_equal(json_transaction_append(&writer, NULL, &input, NULL), 0);
    assert_int_equal(json_writer_finish(&writer), 0);
    return parse_ours(&text);
}

/* All receipts of the block, as an array. */
static json_t *our_receipts(const struct stored *stored)
{
    struct buffer text;
    struct json_writer writer;
    struct receipt_walk walk;
    struct receipt_walk_step step;
    int result;
    buffer_init(&text);
    json_writer_init(&writer, &text);
    json_writer_array_begin(&writer, NULL);
    assert_int_equal(receipt_walk_init(&walk, &stored->block, buffer_bytes(&stored->receipts),
                                       buffer_bytes(&stored->senders), NULL),
                     0);
    while ((result = receipt_walk_next(&walk, &step, NULL)) == 0) {
        assert_int_equal(json_receipt_append(&writer, NULL, &step, NULL), 0);
    }
    assert_int_equal(result, STOA_ENOTFOUND);
    json_writer_array_end(&writer);
    assert_int_equal(json_writer_finish(&writer), 0);
    return parse_ours(&text);
}

/* ---- comparing ---- */

/* OURS says all that EXPECTED says, and nothing else but blockTimestamp, which older answers lack.
 */
static void compare(const char *path, const json_t *ours, const json_t *expected)
{
    if (json_is_object(expected) && json_is_object(ours)) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)expected, key, value)
        {
            char name[256];
            (void)snprintf(name, sizeof(name), "%s.%s", path, key);
            if (json_object_get(ours, key) == NULL) {
                fail_msg("%s is missing", name);
            }
            compare(name, json_object_get(ours, key), value);
        }
        json_object_foreach((json_t *)(uintptr_t)ours, key, value)
        {
            if (json_object_get(expected, key) == NULL && strcmp(key, "blockTimestamp") != 0) {
                fail_msg("%s.%s is too much", path, key);
            }
        }
    } else if (json_is_array(expected) && json_is_array(ours)) {
        if (json_array_size(expected) != json_array_size(ours)) {
            fail_msg("%s has %zu elements, not %zu", path, json_array_size(ours),
                     json_array_size(expected));
        }
        for (size_t i = 0; i < json_array_size(expected); i++) {
            char name[256];
            (void)snprintf(name, sizeof(name), "%s[%zu]", path, i);
            compare(name, json_array_get(ours, i), json_array_get(expected, i));
        }
    } else if (!json_equal(ours, expected)) {
        char *a = json_dumps(ours, JSON_ENCODE_ANY);
        char *b = json_dumps(expected, JSON_ENCODE_ANY);
        fail_msg("%s is %s, not %s", path, a, b);
    }
}

static const struct stored *find_block(const struct chain *chain, const char *hash)
{
    assert_non_null(hash);
    uint8_t wanted[HASH_SIZE];
    assert_int_equal(bytes_from_hex(hash, strlen(hash), wanted, sizeof(wanted)), HASH_SIZE);
    for (size_t i = 0; i < chain->count; i++) {
        if (memcmp(chain->blocks[i].block.hash, wanted, HASH_SIZE) == 0) {
            return &chain->blocks[i];
        }
    }
    fail_msg("no block has the hash %s", hash);
    return NULL;
}

static size_t index_of(const json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "transactionIndex"));
    assert_non_null(text);
    return (size_t)strtoul(text, NULL, 16);
}

typedef void answer_function(const struct chain *chain, const char *path, const json_t *expected);

static void check_block(const struct chain *chain, const char *path, const json_t *expected)
{
    const char *hash = json_string_value(json_object_get(expected, "hash"));
    json_t *ours = our_block(find_block(chain, hash), expected);
    compare(path, ours, expected);
    json_decref(ours);
    compared_blocks++;
}

static void check_transaction(const struct chain *chain, const char *path, const json_t *expected)
{
    const char *hash = json_string_value(json_object_get(expected, "blockHash"));
    json_t *ours = our_transaction(find_block(chain, hash), index_of(expected));
    compare(path, ours, expected);
    json_decref(ours);
    compared_transactions++;
}

static void check_receipt(const struct chain *chain, const char *path, const json_t *expected)
{
    const char *hash = json_string_value(json_object_get(expected, "blockHash"));
    json_t *ours = our_receipts(find_block(chain, hash));
    compare(path, json_array_get(ours, index_of(expected)), expected);
    json_decref(ours);
    compared_receipts++;
}

static void check_receipts(const struct chain *chain, const char *path, const json_t *expected)
{
    size_t count = json_array_size(expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(index_of(json_array_get(expected, i)), i);
        check_receipt(chain, path, json_array_get(expected, i));
    }
    if (count > 0) {
        const char *hash =
            json_string_value(json_object_get(json_array_get(expected, 0), "blockHash"));
        assert_int_equal(find_block(chain, hash)->block.transaction_count, count);
    }
}

static void check_raw_header(const struct chain *chain, const char *path, const json_t *expected)
{
    struct buffer bytes;
    struct header header;
    uint8_t hash[HASH_SIZE];
    char text[2 * HASH_SIZE + 1];
    (void)path;
    buffer_init(&bytes);
    append_hex_text(&bytes, expected);
    assert_int_equal(header_decode(buffer_bytes(&bytes), &header, NULL), 0);
    header_hash(&header, hash);
    bytes_to_hex(hash, HASH_SIZE, text);
    const struct stored *stored = find_block(chain, text);
    assert_true(bytes_equal(stored->block.header.encoding, buffer_bytes(&bytes)));
    buffer_deinit(&bytes);
}

/* Hold each answer of one recorded conversation against ours. */
static void check_conversation(const struct chain *chain, const char *path,
                               answer_function *function)
{
    struct buffer text;
    buffer_init(&text);
    assert_true(fixture_load_data(path, &text));
    assert_int_equal(buffer_append(&text, "", 1), 0);
    char *rest = (char *)text.data;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (strncmp(line, "<< ", 3) != 0) {
            continue;
        }
        json_t *answer = json_loads(line + 3, 0, NULL);
        assert_non_null(answer);
        const json_t *result = json_object_get(answer, "result");
        if (result != NULL && !json_is_null(result)) {
            function(chain, path, result);
        }
        json_decref(answer);
    }
    buffer_deinit(&text);
}

static void check_method(const struct chain *chain, const char *method, answer_function *function)
{
    const char *root = getenv("STOA_TEST_DATA");
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/chains/%s/rpc/%s",
                   root != NULL ? root : "../shared/data", chain->name, method);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strstr(entry->d_name, ".io") != NULL) {
            (void)snprintf(path, sizeof(path), "chains/%s/rpc/%s/%s", chain->name, method,
                           entry->d_name);
            check_conversation(chain, path, function);
        }
    }
    (void)closedir(directory);
}

static void check_all(const char *method, answer_function *function)
{
    for (size_t i = 0; i < sizeof(chain_names) / sizeof(chain_names[0]); i++) {
        struct chain *chain = load_chain(chain_names[i]);
        if (chain != NULL) {
            check_method(chain, method, function);
            free_chain(chain);
        }
    }
}

static void blocks_are_what_others_answer(void **state)
{
    (void)state;
    check_all("eth_getBlockByNumber", check_block);
    check_all("eth_getBlockByHash", check_block);
    printf("%zu blocks compared\n", compared_blocks);
}

static void transactions_are_what_others_answer(void **state)
{
    (void)state;
    check_all("eth_getTransactionByHash", check_transaction);
    check_all("eth_getTransactionByBlockHashAndIndex", check_transaction);
    check_all("eth_getTransactionByBlockNumberAndIndex", check_transaction);
    printf("%zu transactions compared\n", compared_transactions);
}

static void receipts_are_what_others_answer(void **state)
{
    (void)state;
    check_all("eth_getTransactionReceipt", check_receipt);
    check_all("eth_getBlockReceipts", check_receipts);
    printf("%zu receipts compared\n", compared_receipts);
}

static void raw_headers_are_what_others_answer(void **state)
{
    (void)state;
    check_all("debug_getRawHeader", check_raw_header);
}

int main(void)
{
    struct buffer probe;
    buffer_init(&probe);
    bool present = fixture_load_data("chains/eapi-2025-10/genesis.json", &probe);
    buffer_deinit(&probe);
    if (!present) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_what_others_answer),
        cmocka_unit_test(transactions_are_what_others_answer),
        cmocka_unit_test(receipts_are_what_others_answer),
        cmocka_unit_test(raw_headers_are_what_others_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
