/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_state.c: the store answers about state by height. A hash is taken for the height of its
 * block, where that is canonical; it is looked at again after the answer, so that none of another
 * branch gets out. */
#include "rpc/rpc_state.h"

#include "base/memory.h"
#include "rpc/rpc_argument.h"
#include "rpc/rpc_block.h"

enum { HASH_SIZE = 32, ADDRESS_SIZE = 20, VALUES_MAX = STOA_PROOF_SLOTS_MAX };

/* ---- which block ---- */

static int canonical_height(struct rpc_call *call, const struct stoa_block_key *key,
                            uint64_t *out_height)
{
    struct stoa_header header;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_header(call->stoa, key, &header, &detail);
    if (result == STOA_ENOTFOUND) {
        return rpc_call_fail(call, RPC_FAILED,
                             key->by == STOA_BY_HASH ? "header for hash not found"
                                                     : "header not found");
    }
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "header");
    }
    bool canonical = header.canonical != 0;
    *out_height = header.height;
    stoa_release(header.view);
    return canonical ? 0 : rpc_call_fail(call, RPC_FAILED, "hash is not currently canonical");
}

bool rpc_state_place(struct rpc_call *call, size_t index, struct rpc_state_place *out)
{
    struct stoa_block_key key;
    if (!rpc_argument_block(call, index, true, &key)) {
        return false;
    }
    *out = (struct rpc_state_place){.height = STOA_AT_HEAD, .by_hash = key.by == STOA_BY_HASH};
    if (key.by == STOA_LATEST) {
        return true;
    }
    memcpy(out->hash, key.hash, HASH_SIZE);
    return canonical_height(call, &key, &out->height) == 0;
}

bool rpc_state_still(struct rpc_call *call, const struct rpc_state_place *place)
{
    if (!place->by_hash) {
        return true;
    }
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    uint64_t height;
    memcpy(key.hash, place->hash, HASH_SIZE);
    return canonical_height(call, &key, &height) == 0;
}

/* ---- accounts ---- */

int rpc_state_get_account(struct rpc_call *call, const uint8_t address[20], uint64_t height,
                          struct stoa_account *out)
{
    struct stoa_state_query query = {.height = height};
    struct stoa_detail detail = {.code = 0};
    memcpy(query.address, address, ADDRESS_SIZE);
    int result = stoa_get_account(call->stoa, &query, out, &detail);
    if (result == STOA_ENOTFOUND) {
        *out = (struct stoa_account){.nonce = 0};
        return 0;
    }
    return result == 0 ? 0 : rpc_call_fail_store(call, result, &detail, "account");
}

static int account_of_arguments(struct rpc_call *call, struct stoa_account *out)
{
    uint8_t address[ADDRESS_SIZE];
    struct rpc_state_place place;
    if (!rpc_argument_address(call, 0, address) || !rpc_state_place(call, 1, &place) ||
        rpc_state_get_account(call, address, place.height, out) != 0 ||
        !rpc_state_still(call, &place)) {
        return -1;
    }
    return 0;
}

int rpc_state_balance(struct rpc_call *call)
{
    struct stoa_account account;
    if (account_of_arguments(call, &account) != 0) {
        return -1;
    }
    json_writer_quantity256(call->writer, NULL, account.balance);
    return 0;
}

int rpc_state_nonce(struct rpc_call *call)
{
    struct stoa_account account;
    if (account_of_arguments(call, &account) != 0) {
        return -1;
    }
    json_writer_quantity(call->writer, NULL, account.nonce);
    return 0;
}

int rpc_state_get_code(struct rpc_call *call, const uint8_t address[20], uint64_t height,
                       struct stoa_bytes *out_code)
{
    struct stoa_state_query query = {.height = height};
    struct stoa_account account;
    struct stoa_detail detail = {.code = 0};
    memcpy(query.address, address, ADDRESS_SIZE);
    int result = stoa_get_account(call->stoa, &query, &account, &detail);
    if (result == 0) {
        memcpy(query.slot, account.code_hash, HASH_SIZE);
        result = stoa_get_code(call->stoa, &query, out_code, &detail);
    }
    if (result != 0 && result != STOA_ENOTFOUND) {
        return rpc_call_fail_store(call, result, &detail, "code");
    }
    return result;
}

int rpc_state_code(struct rpc_call *call)
{
    uint8_t address[ADDRESS_SIZE];
    struct rpc_state_place place;
    struct stoa_bytes code = {.data = NULL};
    if (!rpc_argument_address(call, 0, address) || !rpc_state_place(call, 1, &place)) {
        return -1;
    }
    int result = rpc_state_get_code(call, address, place.height, &code);
    if (result != 0 && result != STOA_ENOTFOUND) {
        return -1;
    }
    json_writer_hex(call->writer, NULL, code.data, result == 0 ? code.size : 0);
    if (result == 0) {
        stoa_free((void *)(uintptr_t)code.data);
    }
    return rpc_state_still(call, &place) ? 0 : -1;
}

/* ---- storage ---- */

/* VALUE as the number of a slot: up to 32 bytes of 0x-hex, right-aligned. COMPACT (may be NULL):
 * it was shorter than that. */
static bool read_slot(struct rpc_call *call, const json_t *value, uint8_t out[32], bool *compact)
{
    const char *text = json_string_value(value);
    if (text == NULL) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "storage key is not a hex string");
        return false;
    }
    bool prefixed = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = prefixed ? text + 2 : text;
    size_t length = strlen(digits);
    if (length > (size_t)2 * HASH_SIZE) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "storage key too long (want at most 32 bytes): \"%.200s\"", text);
        return false;
    }
    /* An odd number of digits lacks a zero in front. */
    char padded[2 * HASH_SIZE + 2];
    size_t odd = length % 2;
    padded[0] = '0';
    memcpy(padded + odd, digits, length + 1);
    size_t size = (length + odd) / 2;
    memset(out, 0, HASH_SIZE);
    bool doubled = padded[0] == '0' && (padded[1] == 'x' || padded[1] == 'X');
    if (doubled ||
        bytes_from_hex(padded, length + odd, out + HASH_SIZE - size, size) != (ptrdiff_t)size) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "invalid hex in storage key: \"%.200s\"",
                            text);
        return false;
    }
    if (compact != NULL) {
        *compact = length < (size_t)2 * HASH_SIZE;
    }
    return true;
}

static int get_storage(struct rpc_call *call, const uint8_t address[20], const uint8_t slot[32],
                       uint64_t height, uint8_t out[32])
{
    struct stoa_state_query query = {.height = height};
    struct stoa_detail detail = {.code = 0};
    memcpy(query.address, address, ADDRESS_SIZE);
    memcpy(query.slot, slot, HASH_SIZE);
    int result = stoa_get_storage(call->stoa, &query, out, &detail);
    return result == 0 ? 0 : rpc_call_fail_store(call, result, &detail, "storage");
}

int rpc_state_storage(struct rpc_call *call)
{
    uint8_t address[ADDRESS_SIZE];
    uint8_t slot[HASH_SIZE];
    uint8_t value[HASH_SIZE];
    struct rpc_state_place place;
    if (!rpc_argument_address(call, 0, address) ||
        !read_slot(call, rpc_argument_at(call, 1), slot, NULL) ||
        !rpc_state_place(call, 2, &place) ||
        get_storage(call, address, slot, place.height, value) != 0 ||
        !rpc_state_still(call, &place)) {
        return -1;
    }
    json_writer_hex(call->writer, NULL, value, HASH_SIZE);
    return 0;
}

/* The values of SLOTS of one account, as a member of the answer. */
static bool write_values(struct rpc_call *call, const char *key, const json_t *slots,
                         uint64_t height)
{
    uint8_t address[ADDRESS_SIZE];
    json_t *name = json_string(key);
    bool good = name != NULL && rpc_argument_fixed(call, 0, name, ADDRESS_SIZE, "Address", address);
    if (name == NULL) {
        (void)rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    json_decref(name);
    if (good && !json_is_array(slots)) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "invalid argument 0: the slots of an address are an array");
        good = false;
    }
    if (!good) {
        return false;
    }
    json_writer_array_begin(call->writer, key);
    for (size_t i = 0; i < json_array_size(slots); i++) {
        uint8_t slot[HASH_SIZE];
        uint8_t value[HASH_SIZE];
        if (!rpc_call_go_on(call) || !read_slot(call, json_array_get(slots, i), slot, NULL) ||
            get_storage(call, address, slot, height, value) != 0) {
            return false;
        }
        json_writer_hex(call->writer, NULL, value, HASH_SIZE);
    }
    json_writer_array_end(call->writer);
    return true;
}

int rpc_state_storage_values(struct rpc_call *call)
{
    /* Only read; jansson iterates over what it may change. */
    json_t *request = (json_t *)(uintptr_t)rpc_argument_at(call, 0);
    struct rpc_state_place place;
    const char *key;
    json_t *slots;
    size_t count = 0;
    if (!json_is_object(request)) {
        return rpc_call_fail(call, RPC_INVALID_PARAMS,
                             "invalid argument 0: not an object of addresses and slots");
    }
    json_object_foreach(request, key, slots)
    {
        count += json_array_size(slots);
    }
    if (count == 0 || count > VALUES_MAX) {
        return count == 0
                   ? rpc_call_fail(call, RPC_INVALID_PARAMS, "empty request")
                   : rpc_call_fail(call, RPC_INVALID_PARAMS, "too many slots (max %d)", VALUES_MAX);
    }
    if (!rpc_state_place(call, 1, &place)) {
        return -1;
    }
    json_writer_object_begin(call->writer, NULL);
    json_object_foreach(request, key, slots)
    {
        if (!write_values(call, key, slots, place.height)) {
            return -1;
        }
    }
    json_writer_object_end(call->writer);
    return rpc_state_still(call, &place) ? 0 : -1;
}

/* ---- proofs ---- */

struct slots_asked {
    size_t count;
    uint8_t slots[STOA_PROOF_SLOTS_MAX][HASH_SIZE];
    bool compact[STOA_PROOF_SLOTS_MAX]; /* as its number, not as 32 bytes, is it shown */
};

static bool read_slots(struct rpc_call *call, struct slots_asked *out)
{
    const json_t *keys = rpc_argument_at(call, 1);
    if (keys != NULL && !json_is_array(keys)) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS,
                            "invalid argument 1: not an array of storage keys");
        return false;
    }
    out->count = json_array_size(keys);
    if (out->count > STOA_PROOF_SLOTS_MAX) {
        (void)rpc_call_fail(call, RPC_INVALID_PARAMS, "too many keys (max %d)",
                            STOA_PROOF_SLOTS_MAX);
        return false;
    }
    for (size_t i = 0; i < out->count; i++) {
        if (!read_slot(call, json_array_get(keys, i), out->slots[i], &out->compact[i])) {
            return false;
        }
    }
    return true;
}

static void write_nodes(struct json_writer *writer, const char *key, const struct stoa_bytes *nodes,
                        size_t count)
{
    json_writer_array_begin(writer, key);
    for (size_t i = 0; i < count; i++) {
        json_writer_hex(writer, NULL, nodes[i].data, nodes[i].size);
    }
    json_writer_array_end(writer);
}

static void write_proof(struct json_writer *writer, const struct stoa_proof *proof,
                        const struct slots_asked *asked)
{
    json_writer_object_begin(writer, NULL);
    json_writer_hex(writer, "address", proof->address, ADDRESS_SIZE);
    write_nodes(writer, "accountProof", proof->nodes, proof->node_count);
    json_writer_quantity256(writer, "balance", proof->balance);
    json_writer_hex(writer, "codeHash", proof->code_hash, HASH_SIZE);
    json_writer_quantity(writer, "nonce", proof->nonce);
    json_writer_hex(writer, "storageHash", proof->storage_root, HASH_SIZE);
    json_writer_array_begin(writer, "storageProof");
    for (size_t i = 0; i < proof->slot_count; i++) {
        const struct stoa_proof_slot *slot = &proof->slots[i];
        json_writer_object_begin(writer, NULL);
        if (asked->compact[i]) {
            json_writer_quantity256(writer, "key", slot->key);
        } else {
            json_writer_hex(writer, "key", slot->key, HASH_SIZE);
        }
        json_writer_quantity256(writer, "value", slot->value);
        write_nodes(writer, "proof", slot->nodes, slot->node_count);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
    json_writer_object_end(writer);
}

static int answer_proof(struct rpc_call *call, struct slots_asked *asked)
{
    struct rpc_state_place place;
    struct stoa_proof_query query = {.slots = asked->slots[0]};
    struct stoa_proof *proof;
    struct stoa_detail detail = {.code = 0};
    if (!rpc_argument_address(call, 0, query.address) || !read_slots(call, asked) ||
        !rpc_state_place(call, 2, &place)) {
        return -1;
    }
    query.height = place.height;
    query.slot_count = asked->count;
    int result = stoa_get_proof(call->stoa, &query, &proof, &detail);
    if (result != 0) {
        return rpc_call_fail_store(call, result, &detail, "proof");
    }
    write_proof(call->writer, proof, asked);
    stoa_free(proof);
    return rpc_state_still(call, &place) ? 0 : -1;
}

int rpc_state_proof(struct rpc_call *call)
{
    struct slots_asked *asked = memory_alloc_zeroed(1, sizeof(*asked));
    if (asked == NULL) {
        return rpc_call_fail(call, RPC_INTERNAL, "out of memory");
    }
    int result = answer_proof(call, asked);
    memory_free(asked);
    return result;
}
