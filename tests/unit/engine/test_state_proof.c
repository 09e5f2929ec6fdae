/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Roots and proofs of real chains through stoa.h, at the head and at any height, while they are in
 * memory, in the tables, and after reopening; and what other clients answered about the state of
 * the same chains. */
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buffer.h"
#include "chain/rlp.h"
#include "stoa.h"
#include "stoa/execution_state.h"
#include "support/chain_data.h"
#include "support/fixture.h"
#include "support/state_lines.h"

enum { PATH_SIZE = 512, BLOCKS_MAX = 2000, SLOTS_MAX = 4 };

struct name {
    uint8_t address[20];
    uint8_t slot[32];
};

struct rig {
    char base[PATH_SIZE];
    char directory[PATH_SIZE];
    struct stoa *stoa;
    struct buffer names; /* struct name: every account and slot that was changed */
    uint8_t roots[BLOCKS_MAX + 1][32];
    uint8_t hashes[BLOCKS_MAX + 1][32];
    uint64_t head;
};

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static void rig_open(struct rig *rig)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_detail detail;
    if (stoa_open(rig->directory, &options, &rig->stoa, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
}

static void rig_reopen(struct rig *rig)
{
    assert_int_equal(stoa_close(rig->stoa, NULL), 0);
    rig_open(rig);
}

static void rig_remove(struct rig *rig)
{
    assert_int_equal(stoa_close(rig->stoa, NULL), 0);
    buffer_deinit(&rig->names);
    assert_int_equal(nftw(rig->base, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void load(const char *chain, const char *name, struct buffer *out)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "chains/%s/%s", chain, name);
    assert_true(fixture_load_data(path, out));
}

/* The state root and hash of a block or header. */
static void note_header(struct rig *rig, uint64_t height, struct bytes block)
{
    struct bytes fields;
    struct rlp_item item;
    const uint8_t *root;
    assert_int_equal(rlp_read_list(&block, &fields, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rlp_read(&fields, &item, NULL), 0);
    }
    assert_int_equal(rlp_read_fixed(&fields, 32, &root, NULL), 0);
    memcpy(rig->roots[height], root, 32);
}

static void rig_create(struct rig *rig, const char *chain)
{
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    const char *temporary = getenv("TMPDIR");
    struct buffer genesis;
    memset(rig, 0, sizeof(*rig));
    snprintf(rig->base, sizeof(rig->base), "%s/stoa-proof-XXXXXX",
             temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(rig->base));
    snprintf(rig->directory, sizeof(rig->directory), "%.480s/store", rig->base);
    load(chain, "genesis.json", &genesis);
    options.genesis_json = (const char *)genesis.data;
    options.genesis_json_size = genesis.size;
    assert_int_equal(stoa_create(rig->directory, &options, NULL), 0);
    buffer_deinit(&genesis);
    rig_open(rig);
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT};
    struct stoa_block block;
    assert_int_equal(stoa_get_block(rig->stoa, &key, &block, NULL), 0);
    struct bytes encoding = bytes_of(block.block.data, block.block.size);
    struct bytes header;
    assert_int_equal(rlp_read_list(&encoding, &header, NULL), 0);
    note_header(rig, 0, header);
    memcpy(rig->hashes[0], block.hash, 32);
    stoa_release(block.view);
}

static void note_names(struct rig *rig, const struct stoa_store_block *put)
{
    struct name name = {.address = {0}};
    for (size_t i = 0; i < put->account_count; i++) {
        memcpy(name.address, put->accounts[i].address, 20);
        assert_int_equal(buffer_append(&rig->names, &name, sizeof(name)), 0);
    }
    for (size_t i = 0; i < put->slot_count; i++) {
        memcpy(name.address, put->slots[i].address, 20);
        memcpy(name.slot, put->slots[i].slot, 32);
        assert_int_equal(buffer_append(&rig->names, &name, sizeof(name)), 0);
    }
}

static void store_blocks(struct rig *rig, struct bytes *blocks, struct bytes *lines, uint64_t count)
{
    struct bytes item;
    struct execution_state state = {.given = false};
    while (count-- > 0 && rig->head < BLOCKS_MAX && chain_data_next_item(blocks, &item)) {
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        struct stoa_detail detail = {.code = 0};
        json_t *line = state_lines_next(lines);
        assert_int_equal(execution_state_read(line, &state, NULL), 0);
        put.block = (struct stoa_bytes){item.data, item.size};
        put.skip = STOA_SKIP_SENDERS;
        execution_state_fill(&state, &put);
        note_names(rig, &put);
        rig->head++;
        chain_data_hex_fixed(line, "hash", rig->hashes[rig->head], 32);
        struct bytes fields;
        assert_int_equal(rlp_read_list(&item, &fields, NULL), 0);
        note_header(rig, rig->head, fields);
        if (stoa_store_block(rig->stoa, &put, &detail) != 0) {
            fail_msg("block %llu: %s", (unsigned long long)rig->head, detail.text);
        }
        json_decref(line);
    }
    execution_state_deinit(&state);
}

static void check_roots(struct rig *rig)
{
    uint8_t root[32];
    struct stoa_detail detail = {.code = 0};
    for (uint64_t height = 0; height <= rig->head; height++) {
        if (stoa_get_state_root(rig->stoa, height, root, &detail) != 0) {
            fail_msg("%s", detail.text);
        }
        assert_memory_equal(root, rig->roots[height], 32);
    }
    assert_int_equal(stoa_get_state_root(rig->stoa, STOA_AT_HEAD, root, NULL), 0);
    assert_memory_equal(root, rig->roots[rig->head], 32);
    assert_int_equal(stoa_get_state_root(rig->stoa, rig->head + 1, root, NULL), STOA_ENOTFOUND);
}

/* What the proof says is what the gets say. */
static void check_values(struct rig *rig, const struct stoa_proof *proof, uint64_t height)
{
    struct stoa_state_query query = {.height = height};
    struct stoa_account account;
    memcpy(query.address, proof->address, 20);
    int result = stoa_get_account(rig->stoa, &query, &account, NULL);
    if (result == 0) {
        assert_int_equal(account.nonce, proof->nonce);
        assert_memory_equal(account.balance, proof->balance, 32);
        assert_memory_equal(account.code_hash, proof->code_hash, 32);
    } else {
        static const uint8_t zero[32];
        assert_int_equal(result, STOA_ENOTFOUND);
        assert_int_equal(proof->nonce, 0);
        assert_memory_equal(proof->balance, zero, 32);
    }
    for (size_t i = 0; i < proof->slot_count; i++) {
        uint8_t value[32];
        memcpy(query.slot, proof->slots[i].key, 32);
        assert_int_equal(stoa_get_storage(rig->stoa, &query, value, NULL), 0);
        assert_memory_equal(value, proof->slots[i].value, 32);
    }
}

/* One bit of a node is flipped: it proves nothing any more. */
static void check_flip(const uint8_t root[32], const struct stoa_proof *proof,
                       const struct stoa_bytes *nodes, size_t count, uint64_t *random)
{
    if (count == 0) {
        return;
    }
    const struct stoa_bytes *node = &nodes[fixture_random_below(random, count)];
    uint8_t *byte = (uint8_t *)(uintptr_t)node->data + fixture_random_below(random, node->size);
    uint8_t bit = (uint8_t)(1U << fixture_random_below(random, 8));
    *byte ^= bit;
    assert_int_equal(stoa_proof_verify(root, proof, NULL), STOA_EREFUSED);
    *byte ^= bit;
}

static void check_proof(struct rig *rig, uint64_t *random)
{
    const struct name *names = (const void *)rig->names.data;
    size_t count = rig->names.size / sizeof(*names);
    uint8_t slots[SLOTS_MAX][32];
    struct stoa_proof_query query = {
        .height = fixture_random_below(random, rig->head + 1),
        .slots = slots[0],
        .slot_count = fixture_random_below(random, SLOTS_MAX + 1),
    };
    const struct name *name = &names[fixture_random_below(random, count)];
    memcpy(query.address, name->address, 20);
    if (fixture_random_below(random, 4) == 0) { /* absent */
        fixture_random_fill(random, query.address, 20);
    }
    for (size_t i = 0; i < query.slot_count; i++) {
        memcpy(slots[i], name->slot, 32);
        if (i != 0) {
            slots[i][31] = (uint8_t)fixture_random(random);
        }
    }
    struct stoa_proof *proof;
    struct stoa_detail detail = {.code = 0};
    if (stoa_get_proof(rig->stoa, &query, &proof, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    const uint8_t *root = rig->roots[query.height];
    assert_int_equal(proof->slot_count, query.slot_count);
    assert_memory_equal(proof->address, query.address, 20);
    if (stoa_proof_verify(root, proof, &detail) != 0) {
        fail_msg("height %llu: %s", (unsigned long long)query.height, detail.text);
    }
    check_values(rig, proof, query.height);
    check_flip(root, proof, proof->nodes, proof->node_count, random);
    for (size_t i = 0; i < proof->slot_count; i++) {
        check_flip(root, proof, proof->slots[i].nodes, proof->slots[i].node_count, random);
    }
    stoa_free(proof);
}

static void check_proofs(struct rig *rig, uint64_t *random, unsigned count)
{
    check_roots(rig);
    while (count-- > 0) {
        check_proof(rig, random);
    }
}

static bool data_is_there(void)
{
    struct buffer text;
    if (!fixture_load_data("chains/eapi-2023-07/genesis.json", &text)) {
        return false;
    }
    buffer_deinit(&text);
    return true;
}

static void roots_and_proofs_hold_at_every_height(void **context)
{
    (void)context;
    static struct rig rig;
    uint64_t random = fixture_seed();
    for (size_t i = 0; data_is_there() && state_lines_chains[i] != NULL; i++) {
        const char *chain = state_lines_chains[i];
        struct buffer blocks;
        struct buffer lines;
        rig_create(&rig, chain);
        load(chain, "chain.rlp", &blocks);
        load(chain, "execution.jsonl", &lines);
        struct bytes blocks_left = buffer_bytes(&blocks);
        struct bytes lines_left = buffer_bytes(&lines);
        store_blocks(&rig, &blocks_left, &lines_left, 7);
        check_proofs(&rig, &random, 20);
        assert_int_equal(stoa_checkpoint(rig.stoa, NULL), 0);
        store_blocks(&rig, &blocks_left, &lines_left, 150);
        check_proofs(&rig, &random, 50);
        rig_reopen(&rig);
        check_proofs(&rig, &random, 100);
        store_blocks(&rig, &blocks_left, &lines_left, BLOCKS_MAX); /* what is left */
        assert_int_equal(blocks_left.size, 0);
        check_proofs(&rig, &random, 100);
        rig_remove(&rig);
        buffer_deinit(&blocks);
        buffer_deinit(&lines);
    }
}

/* ---- what others answered ---- */

static void number_of(const char *text, uint8_t *out, size_t size)
{
    char padded[80] = "0";
    uint8_t bytes[32];
    size_t length = strlen(text + 2);
    memcpy(padded + length % 2, text + 2, length + 1);
    ptrdiff_t got = bytes_from_hex(padded, length + length % 2, bytes, size);
    assert_true(got >= 0);
    memset(out, 0, size);
    memcpy(out + size - (size_t)got, bytes, (size_t)got);
}

static void same_number(const json_t *value, const uint8_t *number, size_t size)
{
    uint8_t wanted[32];
    number_of(json_string_value(value), wanted, size);
    assert_memory_equal(wanted, number, size);
}

static void same_bytes(const json_t *value, const void *data, size_t size)
{
    const char *text = json_string_value(value);
    assert_int_equal(strlen(text), 2 + 2 * size);
    char *hex = malloc(2 * size + 1);
    assert_non_null(hex);
    bytes_to_hex(data, size, hex);
    assert_string_equal(hex, text + 2);
    free(hex);
}

static uint64_t height_of(const struct rig *rig, const json_t *block)
{
    if (json_is_object(block)) {
        const json_t *hash = json_object_get(block, "blockHash");
        block = hash != NULL ? hash : json_object_get(block, "blockNumber");
    }
    const char *text = json_is_string(block) ? json_string_value(block) : "latest";
    uint8_t number[32];
    if (strcmp(text, "earliest") == 0) {
        return 0;
    }
    if (text[0] != '0') {
        return rig->head; /* latest, safe, finalized, pending: the same in these chains */
    }
    number_of(text, number, 32);
    for (uint64_t height = 0; strlen(text) == 66 && height <= rig->head; height++) {
        if (memcmp(rig->hashes[height], number, 32) == 0) {
            return height;
        }
    }
    return strlen(text) == 66 ? UINT64_MAX : bytes_load_be64(number + 24);
}

static void same_nodes(const json_t *wanted, const struct stoa_bytes *nodes, size_t count)
{
    assert_int_equal(json_array_size(wanted), count);
    for (size_t i = 0; i < count; i++) {
        same_bytes(json_array_get(wanted, i), nodes[i].data, nodes[i].size);
    }
}

static void check_get_proof(struct rig *rig, const json_t *params, const json_t *result)
{
    uint8_t slots[SLOTS_MAX][32];
    const json_t *keys = json_array_get(params, 1);
    struct stoa_proof_query query = {
        .height = height_of(rig, json_array_get(params, 2)),
        .slots = slots[0],
        .slot_count = json_array_size(keys),
    };
    struct stoa_proof *proof;
    assert_true(query.slot_count <= SLOTS_MAX);
    number_of(json_string_value(json_array_get(params, 0)), query.address, 20);
    for (size_t i = 0; i < query.slot_count; i++) {
        number_of(json_string_value(json_array_get(keys, i)), slots[i], 32);
    }
    assert_int_equal(stoa_get_proof(rig->stoa, &query, &proof, NULL), 0);
    uint8_t nonce[8];
    bytes_store_be64(nonce, proof->nonce);
    same_number(json_object_get(result, "nonce"), nonce, 8);
    same_number(json_object_get(result, "balance"), proof->balance, 32);
    same_number(json_object_get(result, "codeHash"), proof->code_hash, 32);
    same_number(json_object_get(result, "storageHash"), proof->storage_root, 32);
    same_nodes(json_object_get(result, "accountProof"), proof->nodes, proof->node_count);
    const json_t *wanted = json_object_get(result, "storageProof");
    assert_int_equal(json_array_size(wanted), proof->slot_count);
    for (size_t i = 0; i < proof->slot_count; i++) {
        const json_t *slot = json_array_get(wanted, i);
        same_number(json_object_get(slot, "value"), proof->slots[i].value, 32);
        same_nodes(json_object_get(slot, "proof"), proof->slots[i].nodes,
                   proof->slots[i].node_count);
    }
    stoa_free(proof);
}

static void check_account(struct rig *rig, const char *method, struct stoa_state_query *query,
                          const json_t *result)
{
    struct stoa_account account = {.nonce = 0};
    struct stoa_bytes code = {NULL, 0};
    int found = stoa_get_account(rig->stoa, query, &account, NULL);
    assert_true(found == 0 || found == STOA_ENOTFOUND);
    if (strcmp(method, "eth_getBalance") == 0) {
        same_number(result, account.balance, 32);
    } else if (strcmp(method, "eth_getTransactionCount") == 0) {
        uint8_t nonce[8];
        bytes_store_be64(nonce, account.nonce);
        same_number(result, nonce, 8);
    } else {
        memcpy(query->slot, account.code_hash, 32);
        (void)stoa_get_code(rig->stoa, query, &code, NULL); /* none where there is none */
        same_bytes(result, code.data, code.size);
        stoa_free((void *)(uintptr_t)code.data);
    }
}

/* Many slots of many accounts at once. */
static void check_storage_values(struct rig *rig, const json_t *params, const json_t *result)
{
    struct stoa_state_query query = {.height = height_of(rig, json_array_get(params, 1))};
    json_t *asked = json_array_get(params, 0);
    const char *address;
    json_t *slots;
    assert_int_equal(json_object_size(asked), json_object_size(result));
    json_object_foreach(asked, address, slots)
    {
        const json_t *wanted = json_object_get(result, address);
        assert_int_equal(json_array_size(slots), json_array_size(wanted));
        number_of(address, query.address, 20);
        for (size_t i = 0; i < json_array_size(slots); i++) {
            uint8_t value[32];
            number_of(json_string_value(json_array_get(slots, i)), query.slot, 32);
            assert_int_equal(stoa_get_storage(rig->stoa, &query, value, NULL), 0);
            same_number(json_array_get(wanted, i), value, 32);
        }
    }
}

static void check_exchange(struct rig *rig, const char *method, const json_t *params,
                           const json_t *result)
{
    if (strcmp(method, "eth_getStorageValues") == 0) {
        check_storage_values(rig, params, result);
        return;
    }
    struct stoa_state_query query = {.height = height_of(rig, json_array_get(params, 1))};
    number_of(json_string_value(json_array_get(params, 0)), query.address, 20);
    if (strcmp(method, "eth_getProof") == 0) {
        check_get_proof(rig, params, result);
    } else if (strncmp(method, "eth_getStorage", strlen("eth_getStorage")) == 0) {
        uint8_t value[32];
        query.height = height_of(rig, json_array_get(params, 2));
        number_of(json_string_value(json_array_get(params, 1)), query.slot, 32);
        assert_int_equal(stoa_get_storage(rig->stoa, &query, value, NULL), 0);
        same_number(result, value, 32);
    } else {
        check_account(rig, method, &query, result);
    }
}

/* Returns how many exchanges it has. */
static size_t check_file(struct rig *rig, const char *chain, const char *method, const char *name)
{
    char path[PATH_SIZE];
    struct buffer text;
    size_t count = 0;
    json_t *request = NULL;
    snprintf(path, sizeof(path), "chains/%s/rpc/%s/%s", chain, method, name);
    assert_true(fixture_load_data(path, &text));
    struct bytes left = buffer_bytes(&text);
    while (left.size > 0) {
        const uint8_t *end = memchr(left.data, '\n', left.size);
        size_t size = end == NULL ? left.size : (size_t)(end - left.data);
        bool asks = size > 3 && memcmp(left.data, ">> ", 3) == 0;
        if (asks || (size > 3 && memcmp(left.data, "<< ", 3) == 0)) {
            json_t *message = json_loadb((const char *)left.data + 3, size - 3, 0, NULL);
            assert_non_null(message);
            const json_t *result = json_object_get(message, "result");
            if (!asks && result != NULL) { /* else it is an error */
                check_exchange(rig, method, json_object_get(request, "params"), result);
                count++;
            }
            json_decref(asks ? request : message);
            request = asks ? message : request;
        }
        size += end != NULL;
        left = bytes_of(left.data + size, left.size - size);
    }
    json_decref(request);
    buffer_deinit(&text);
    return count;
}

static size_t check_conversations(struct rig *rig, const char *chain)
{
    static const char *const methods[] = {
        "eth_getBalance",   "eth_getTransactionCount", "eth_getCode", "eth_getStorage",
        "eth_getStorageAt", "eth_getStorageValues",    "eth_getProof"};
    const char *data = getenv("STOA_TEST_DATA");
    const char *top = getenv("top_srcdir");
    size_t count = 0;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof(path), "%s%s/chains/%s/rpc/%s",
                 data != NULL  ? data
                 : top != NULL ? top
                               : ".",
                 data != NULL ? "" : "/../shared/data", chain, methods[i]);
        DIR *directory = opendir(path);
        struct dirent *entry;
        while (directory != NULL && (entry = readdir(directory)) != NULL) {
            if (strstr(entry->d_name, ".io") != NULL) {
                count += check_file(rig, chain, methods[i], entry->d_name);
            }
        }
        if (directory != NULL) {
            (void)closedir(directory);
        }
    }
    return count;
}

static void others_answer_alike(void **context)
{
    (void)context;
    static struct rig rig;
    size_t count = 0;
    for (size_t i = 0; data_is_there() && state_lines_chains[i] != NULL; i++) {
        const char *chain = state_lines_chains[i];
        struct buffer blocks;
        struct buffer lines;
        if (strncmp(chain, "eapi", 4) != 0) {
            continue;
        }
        rig_create(&rig, chain);
        load(chain, "chain.rlp", &blocks);
        load(chain, "execution.jsonl", &lines);
        struct bytes blocks_left = buffer_bytes(&blocks);
        struct bytes lines_left = buffer_bytes(&lines);
        store_blocks(&rig, &blocks_left, &lines_left, BLOCKS_MAX);
        count += check_conversations(&rig, chain);
        rig_remove(&rig);
        buffer_deinit(&blocks);
        buffer_deinit(&lines);
    }
    print_message("%zu exchanges\n", count);
    assert_true(count > 40 || !data_is_there());
}

static void what_cannot_be_asked_is_refused(void **context)
{
    (void)context;
    static struct rig rig;
    struct stoa_proof *proof;
    struct stoa_proof_query query = {.slot_count = 1};
    if (!data_is_there()) {
        return;
    }
    rig_create(&rig, "eapi-2023-07");
    assert_int_equal(stoa_get_proof(rig.stoa, &query, &proof, NULL), STOA_EINVAL);
    query.slot_count = STOA_PROOF_SLOTS_MAX + 1;
    query.slots = rig.roots[0];
    assert_int_equal(stoa_get_proof(rig.stoa, &query, &proof, NULL), STOA_EINVAL);
    query.slot_count = 0;
    assert_int_equal(stoa_get_proof(rig.stoa, NULL, &proof, NULL), STOA_EINVAL);
    assert_int_equal(stoa_get_proof(rig.stoa, &query, NULL, NULL), STOA_EINVAL);
    query.height = 1;
    assert_int_equal(stoa_get_proof(rig.stoa, &query, &proof, NULL), STOA_ENOTFOUND);
    query.height = STOA_AT_HEAD;
    assert_int_equal(stoa_get_proof(rig.stoa, &query, &proof, NULL), 0);
    assert_int_equal(stoa_proof_verify(rig.roots[0], proof, NULL), 0);
    stoa_free(proof);
    struct stoa_completion done;
    assert_int_equal(stoa_submit_get_state_root(rig.stoa, 0, STOA_TAG(7)), 0);
    assert_int_equal(stoa_submit_get_proof(rig.stoa, &query, STOA_TAG(8)), 0);
    for (unsigned left = 2; left > 0; left--) {
        assert_int_equal(stoa_reap(rig.stoa, &done, 1, -1), 1);
        assert_int_equal(done.result, 0);
        if (done.tag == 7) {
            assert_memory_equal(done.hash, rig.roots[0], 32);
        } else {
            assert_int_equal(stoa_proof_verify(rig.roots[0], done.proof, NULL), 0);
            stoa_free(done.proof);
        }
    }
    rig_remove(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_and_proofs_hold_at_every_height),
        cmocka_unit_test(others_answer_alike),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
