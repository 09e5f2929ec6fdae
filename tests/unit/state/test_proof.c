/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>

#include "chain/keccak.h"
#include "chain/trie.h"
#include "state/proof.h"
#include "state/state_update.h"
#include "stoa.h"
#include "support/fixture.h"
#include "support/state_lines.h"
#include "support/trie_table.h"

/* ---- made tries ---- */

enum { KEYS = 1200, KEY_SIZE = 32 };

struct made {
    uint8_t keys[KEYS][KEY_SIZE];
    uint8_t nibbles[KEYS][2 * KEY_SIZE];
    uint8_t values[KEYS][40];
    size_t value_sizes[KEYS];
    struct trie_table *table;
    struct trie_task task;
    uint8_t root[32];
};

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, KEY_SIZE);
}

/* COUNT keys are in the trie, the rest are not. NEAR: keys share much and values are short, so that
 * there are extensions and nodes inside of others. */
static void make_trie(struct made *made, uint64_t *random, size_t count, bool near)
{
    static struct trie_change changes[KEYS];
    memset(made, 0, sizeof(*made));
    made->table = trie_table_create();
    struct trie_reader reader = trie_table_reader(made->table);
    trie_task_init(&made->task, &reader);
    for (size_t i = 0; i < KEYS; i++) {
        keccak_256(&i, sizeof(i), made->keys[i]);
        if (near) {
            memset(made->keys[i], 0x11, KEY_SIZE - 3);
            made->keys[i][KEY_SIZE - 3] &= 0x11;
        }
    }
    qsort(made->keys, KEYS, KEY_SIZE, by_bytes);
    struct trie_update update = {.changes = changes};
    for (size_t i = 0; i < KEYS; i++) {
        bool same = i > 0 && memcmp(made->keys[i - 1], made->keys[i], KEY_SIZE) == 0;
        trie_node_unpack(bytes_of(made->keys[i], KEY_SIZE), made->nibbles[i]);
        if (same) {
            made->value_sizes[i] = made->value_sizes[i - 1];
            memcpy(made->values[i], made->values[i - 1], sizeof(made->values[i]));
        } else if (fixture_random_below(random, KEYS) < count) {
            made->value_sizes[i] = 1 + fixture_random_below(random, near ? 3 : 40);
            fixture_random_fill(random, made->values[i], made->value_sizes[i]);
            changes[update.count++] =
                (struct trie_change){.key = bytes_of(made->nibbles[i], 2 * KEY_SIZE),
                                     .value = bytes_of(made->values[i], made->value_sizes[i])};
        }
    }
    assert_int_equal(trie_update_run(&update, &made->task, made->root), 0);
    trie_table_apply(made->table, &made->task.writes);
    trie_task_reset(&made->task);
}

static void made_deinit(struct made *made)
{
    trie_task_deinit(&made->task);
    trie_table_destroy(made->table);
}

static void every_key_is_proved_present_or_absent(void **context)
{
    (void)context;
    static struct made made;
    uint64_t random = fixture_seed();
    static const size_t counts[] = {0, 1, 2, 10, 300, KEYS};
    for (unsigned round = 0; round < 12; round++) {
        make_trie(&made, &random, counts[round % 6], round >= 6);
        for (size_t i = 0; i < KEYS; i += round % 6 == 5 ? 7 : 1) {
            struct proof proof;
            struct bytes value;
            assert_int_equal(proof_make(&made.task, bytes_of(NULL, 0),
                                        bytes_of(made.nibbles[i], 2 * KEY_SIZE), &proof),
                             0);
            struct bytes wanted = bytes_of(made.values[i], made.value_sizes[i]);
            assert_true(bytes_equal(proof.value, wanted));
            assert_int_equal(proof_verify(made.root, bytes_of(made.keys[i], KEY_SIZE), proof.nodes,
                                          proof.count, &value, NULL),
                             0);
            assert_true(bytes_equal(value, wanted));
            trie_task_reset(&made.task);
        }
        made_deinit(&made);
    }
}

static void any_flipped_bit_and_any_node_more_or_less_is_refused(void **context)
{
    (void)context;
    static struct made made;
    uint64_t random = fixture_seed();
    for (unsigned near = 0; near < 2; near++) {
        make_trie(&made, &random, 600, near == 1);
        for (size_t i = 0; i < KEYS; i += 97) {
            struct proof proof;
            struct bytes value;
            struct bytes key = bytes_of(made.keys[i], KEY_SIZE);
            assert_int_equal(proof_make(&made.task, bytes_of(NULL, 0),
                                        bytes_of(made.nibbles[i], 2 * KEY_SIZE), &proof),
                             0);
            for (size_t n = 0; n < proof.count; n++) {
                uint8_t *bytes = malloc(proof.nodes[n].size);
                assert_non_null(bytes);
                struct bytes whole = proof.nodes[n];
                memcpy(bytes, whole.data, whole.size);
                proof.nodes[n] = bytes_of(bytes, whole.size);
                for (size_t bit = 0; bit < 8 * whole.size; bit++) {
                    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                    assert_int_equal(
                        proof_verify(made.root, key, proof.nodes, proof.count, &value, NULL),
                        STOA_EREFUSED);
                    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                }
                proof.nodes[n] = whole;
                free(bytes);
            }
            for (unsigned bit = 0; bit < 256; bit++) {
                uint8_t root[32];
                memcpy(root, made.root, 32);
                root[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_int_equal(proof_verify(root, key, proof.nodes, proof.count, &value, NULL),
                                 STOA_EREFUSED);
            }
            assert_int_equal(
                proof_verify(made.root, key, proof.nodes, proof.count - 1, &value, NULL),
                STOA_EREFUSED);
            struct bytes more[PROOF_NODES_MAX + 1];
            memcpy(more, proof.nodes, proof.count * sizeof(more[0]));
            more[proof.count] = more[0];
            assert_int_equal(proof_verify(made.root, key, more, proof.count + 1, &value, NULL),
                             STOA_EREFUSED);
            trie_task_reset(&made.task);
        }
        made_deinit(&made);
    }
}

/* ---- eth_getProof as others answered it ---- */

struct answer {
    struct stoa_proof proof;
    struct stoa_proof_slot slots[4];
    struct stoa_bytes nodes[PROOF_NODES_MAX];
    struct stoa_bytes slot_nodes[4][PROOF_NODES_MAX];
};

static void number_of(const json_t *object, const char *member, uint8_t *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, member));
    assert_non_null(text);
    char padded[80] = "0";
    size_t length = strlen(text + 2);
    memcpy(padded + length % 2, text + 2, length + 1);
    uint8_t bytes[32];
    ptrdiff_t got = bytes_from_hex(padded, length + length % 2, bytes, size);
    assert_true(got >= 0);
    memset(out, 0, size);
    memcpy(out + size - (size_t)got, bytes, (size_t)got);
}

static size_t read_nodes(const json_t *array, struct stoa_bytes *out)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        size_t size = strlen(text) / 2;
        uint8_t *bytes = malloc(size);
        assert_true(bytes != NULL && i < PROOF_NODES_MAX);
        ptrdiff_t got = bytes_from_hex(text, strlen(text), bytes, size);
        assert_true(got > 0);
        out[i] = (struct stoa_bytes){.data = bytes, .size = (size_t)got};
    }
    return json_array_size(array);
}

static void free_nodes(struct stoa_bytes *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)nodes[i].data);
    }
}

static void read_answer(const json_t *result, struct answer *out)
{
    memset(out, 0, sizeof(*out));
    uint8_t nonce[8];
    number_of(result, "address", out->proof.address, 20);
    number_of(result, "nonce", nonce, 8);
    out->proof.nonce = bytes_load_be64(nonce);
    number_of(result, "balance", out->proof.balance, 32);
    number_of(result, "codeHash", out->proof.code_hash, 32);
    number_of(result, "storageHash", out->proof.storage_root, 32);
    out->proof.nodes = out->nodes;
    out->proof.node_count = read_nodes(json_object_get(result, "accountProof"), out->nodes);
    const json_t *slots = json_object_get(result, "storageProof");
    out->proof.slots = out->slots;
    out->proof.slot_count = json_array_size(slots);
    assert_true(out->proof.slot_count <= 4);
    for (size_t i = 0; i < out->proof.slot_count; i++) {
        const json_t *slot = json_array_get(slots, i);
        number_of(slot, "key", out->slots[i].key, 32);
        number_of(slot, "value", out->slots[i].value, 32);
        out->slots[i].nodes = out->slot_nodes[i];
        out->slots[i].node_count = read_nodes(json_object_get(slot, "proof"), out->slot_nodes[i]);
    }
}

static void free_answer(struct answer *answer)
{
    for (size_t i = 0; i < answer->proof.slot_count; i++) {
        free_nodes(answer->slot_nodes[i], answer->slots[i].node_count);
    }
    free_nodes(answer->nodes, answer->proof.node_count);
}

/* Flip bits all over the proof: none may pass. */
static void check_flips(const uint8_t root[32], struct answer *answer)
{
    struct {
        uint8_t *bytes;
        size_t size;
    } parts[16];
    size_t count = 0;
    parts[count].bytes = answer->proof.balance;
    parts[count++].size = 32;
    parts[count].bytes = answer->proof.code_hash;
    parts[count++].size = 32;
    parts[count].bytes = answer->proof.storage_root;
    parts[count++].size = 32;
    parts[count].bytes = (uint8_t *)&answer->proof.nonce;
    parts[count++].size = 8;
    for (size_t i = 0; i < answer->proof.node_count && count < 10; i++) {
        parts[count].bytes = (uint8_t *)(uintptr_t)answer->nodes[i].data;
        parts[count++].size = answer->nodes[i].size;
    }
    for (size_t i = 0; i < answer->proof.slot_count && count < 14; i++) {
        parts[count].bytes = answer->slots[i].value;
        parts[count++].size = 32;
        if (answer->slots[i].node_count > 0) {
            parts[count].bytes = (uint8_t *)(uintptr_t)answer->slot_nodes[i][0].data;
            parts[count++].size = answer->slot_nodes[i][0].size;
        }
    }
    for (size_t part = 0; part < count; part++) {
        for (size_t bit = 0; bit < 8 * parts[part].size; bit++) {
            parts[part].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(stoa_proof_verify(root, &answer->proof, NULL), STOA_EREFUSED);
            parts[part].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* The state of CHAIN as of block NUMBER, or of HASH, or the last one. */
static void load_state(const char *chain, const char *block, struct trie_table *table,
                       struct trie_task *task, uint8_t root[32])
{
    char name[160];
    struct genesis genesis;
    struct buffer text;
    (void)snprintf(name, sizeof(name), "chains/%s/genesis.json", chain);
    assert_true(state_lines_load_genesis(name, &genesis));
    (void)snprintf(name, sizeof(name), "chains/%s/execution.jsonl", chain);
    assert_true(fixture_load_data(name, &text));
    struct bytes cursor = buffer_bytes(&text);
    struct state_lines lines;
    state_lines_genesis(&genesis, &lines);
    bool last = false;
    for (json_t *line = NULL;;) {
        assert_int_equal(state_update_run(task, lines.accounts, lines.count, root), 0);
        trie_table_apply(table, &task->writes);
        trie_task_reset(task);
        state_lines_deinit(&lines);
        json_decref(line);
        line = last ? NULL : state_lines_next(&cursor);
        if (line == NULL) {
            break;
        }
        state_lines_read(line, &lines);
        char number[24];
        (void)snprintf(number, sizeof(number), "0x%llx",
                       (unsigned long long)json_integer_value(json_object_get(line, "number")));
        last = strcmp(block, number) == 0 ||
               strcmp(block, json_string_value(json_object_get(line, "hash"))) == 0;
    }
    assert_true(last || strcmp(block, "latest") == 0);
    buffer_deinit(&text);
    genesis_deinit(&genesis);
}

static void same_nodes(const struct proof *proof, const struct stoa_bytes *nodes, size_t count)
{
    assert_int_equal(proof->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(bytes_equal(proof->nodes[i], bytes_of(nodes[i].data, nodes[i].size)));
    }
}

static void check_conversation(const char *chain, const json_t *request, const json_t *reply)
{
    const json_t *params = json_object_get(request, "params");
    const char *block = json_string_value(json_array_get(params, 2));
    struct answer answer;
    uint8_t root[32];
    uint8_t hash[32];
    uint8_t key[64];
    uint8_t storage_key[64];
    struct proof proof;
    struct trie_table *table = trie_table_create();
    struct trie_reader reader = trie_table_reader(table);
    struct trie_task task;
    trie_task_init(&task, &reader);
    read_answer(json_object_get(reply, "result"), &answer);
    load_state(chain, block == NULL ? "latest" : block, table, &task, root);
    assert_int_equal(stoa_proof_verify(root, &answer.proof, NULL), 0);
    keccak_256(answer.proof.address, 20, hash);
    trie_node_unpack(bytes_of(hash, 32), key);
    assert_int_equal(proof_make(&task, bytes_of(NULL, 0), bytes_of(key, 64), &proof), 0);
    same_nodes(&proof, answer.nodes, answer.proof.node_count);
    for (size_t i = 0; i < answer.proof.slot_count; i++) {
        uint8_t slot_hash[32];
        keccak_256(answer.slots[i].key, 32, slot_hash);
        trie_node_unpack(bytes_of(slot_hash, 32), storage_key);
        assert_int_equal(proof_make(&task, bytes_of(hash, 32), bytes_of(storage_key, 64), &proof),
                         0);
        same_nodes(&proof, answer.slot_nodes[i], answer.slots[i].node_count);
    }
    check_flips(root, &answer);
    free_answer(&answer);
    trie_task_deinit(&task);
    trie_table_destroy(table);
}

static void check_file(const char *chain, const char *name)
{
    char path[512];
    struct buffer text;
    (void)snprintf(path, sizeof(path), "chains/%s/rpc/eth_getProof/%s", chain, name);
    assert_true(fixture_load_data(path, &text));
    json_t *request = NULL;
    const char *at = (const char *)text.data;
    const char *end = at + text.size;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end == NULL ? end : line_end;
        if (line_end - at > 3 && (memcmp(at, ">> ", 3) == 0 || memcmp(at, "<< ", 3) == 0)) {
            json_t *message = json_loadb(at + 3, (size_t)(line_end - at - 3), 0, NULL);
            assert_non_null(message);
            if (at[0] == '>') {
                json_decref(request);
                request = message;
            } else {
                check_conversation(chain, request, message);
                json_decref(message);
            }
        }
        at = line_end + 1;
    }
    json_decref(request);
    buffer_deinit(&text);
}

static void recorded_conversations_are_answered_alike(void **context)
{
    (void)context;
    const char *data = getenv("STOA_TEST_DATA");
    for (size_t i = 0; state_lines_chains[i] != NULL; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/chains/%s/rpc/eth_getProof",
                       data == NULL ? "../shared/data" : data, state_lines_chains[i]);
        DIR *directory = opendir(path);
        if (directory == NULL) {
            print_message("skipped: no %s\n", path);
            continue;
        }
        struct dirent *entry;
        while ((entry = readdir(directory)) != NULL) {
            if (strstr(entry->d_name, ".io") != NULL) {
                check_file(state_lines_chains[i], entry->d_name);
            }
        }
        (void)closedir(directory);
    }
}

/* ---- what a proof of absence may say ---- */

static void an_absent_account_has_nothing(void **context)
{
    (void)context;
    struct stoa_proof proof = {.nonce = 0};
    assert_int_equal(stoa_proof_verify(trie_empty_root, &proof, NULL), 0);
    memcpy(proof.code_hash, state_empty_code_hash, 32);
    memcpy(proof.storage_root, trie_empty_root, 32);
    assert_int_equal(stoa_proof_verify(trie_empty_root, &proof, NULL), 0);
    struct stoa_proof_slot slot = {.key = {1}};
    proof.slots = &slot;
    proof.slot_count = 1;
    assert_int_equal(stoa_proof_verify(trie_empty_root, &proof, NULL), 0);
    slot.value[31] = 1;
    struct stoa_detail detail;
    assert_int_equal(stoa_proof_verify(trie_empty_root, &proof, &detail), STOA_EREFUSED);
    assert_non_null(strstr(detail.text, "slots[0]"));
    slot.value[31] = 0;
    proof.nonce = 1;
    assert_int_equal(stoa_proof_verify(trie_empty_root, &proof, NULL), STOA_EREFUSED);
    proof.nonce = 0;
    proof.node_count = 1;
    assert_int_equal(stoa_proof_verify(trie_empty_root, &proof, NULL), STOA_EINVAL);
    assert_int_equal(stoa_proof_verify(trie_empty_root, NULL, NULL), STOA_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_proved_present_or_absent),
        cmocka_unit_test(any_flipped_bit_and_any_node_more_or_less_is_refused),
        cmocka_unit_test(recorded_conversations_are_answered_alike),
        cmocka_unit_test(an_absent_account_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
