/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Proofs and roots of the state as of a height. A read of the state whose only probe is the gap:
 * whether the state is known there; then a worker walks the tries. It reads their cache, so it
 * waits while that changes. */
#include "base/ensure.h"
#include "base/memory.h"
#include "chain/keccak.h"
#include "chain/rlp.h"
#include "chain/trie.h"
#include "store/store_private.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, HASH_NIBBLES = 64 };

bool store_proof_is_wanted(const struct store_get *get)
{
    return get->request->kind == STORE_GET_PROOF || get->request->kind == STORE_GET_STATE_ROOT;
}

static void enter(struct store_tries_waiter *waiter)
{
    struct store_get *get = (void *)((uint8_t *)waiter - offsetof(struct store_get, tries_waiter));
    store_tries_reader(get->store, get->height, &get->tries_reader);
    store_get_ask_tables(get);
}

void store_proof_start(struct store_get *get)
{
    get->tries_waiter.enter = enter;
    if (store_tries_enter(get->store, &get->tries_waiter)) {
        enter(&get->tries_waiter);
    }
}

/* ---- on a worker ---- */

struct making {
    struct store_request *request;
    struct trie_task task;
    struct state_account account;
    bool exists;
    uint8_t address_hash[32];
    struct proof *proofs; /* of the account, then of each slot */
    size_t count;
};

static void hashed_key(const uint8_t *data, size_t size, uint8_t hash[32],
                       uint8_t nibbles[HASH_NIBBLES])
{
    keccak_256(data, size, hash);
    trie_node_unpack(bytes_of(hash, HASH_SIZE), nibbles);
}

static int prove_account(struct making *making)
{
    const struct stoa_proof_query *query = &making->request->proof_query;
    uint8_t nibbles[HASH_NIBBLES];
    hashed_key(query->address, ADDRESS_SIZE, making->address_hash, nibbles);
    int result = proof_make(&making->task, bytes_of(NULL, 0), bytes_of(nibbles, HASH_NIBBLES),
                            &making->proofs[0]);
    if (result != 0) {
        return result;
    }
    making->exists = making->proofs[0].value.size != 0;
    memcpy(making->account.storage_root, trie_empty_root, HASH_SIZE);
    memcpy(making->account.code_hash, state_empty_code_hash, HASH_SIZE);
    if (making->exists && state_account_decode(making->proofs[0].value, &making->account, NULL)) {
        return error_set(&making->task.detail, STOA_ECORRUPT, "state trie: a leaf is no account");
    }
    return 0;
}

static int prove_slots(struct making *making)
{
    const struct stoa_proof_query *query = &making->request->proof_query;
    bool empty = memcmp(making->account.storage_root, trie_empty_root, HASH_SIZE) == 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < query->slot_count; i++) {
        struct proof *proof = &making->proofs[1 + i];
        uint8_t hash[32];
        uint8_t nibbles[HASH_NIBBLES];
        proof->count = 0;
        proof->value = bytes_of(NULL, 0);
        hashed_key(query->slots + HASH_SIZE * i, HASH_SIZE, hash, nibbles);
        if (!empty) {
            result = proof_make(&making->task, bytes_of(making->address_hash, HASH_SIZE),
                                bytes_of(nibbles, HASH_NIBBLES), proof);
        }
    }
    return result;
}

/* The nodes of PROOF and where they are to be. */
static void place_nodes(const struct proof *proof, struct stoa_bytes **at, uint8_t **bytes)
{
    for (size_t i = 0; i < proof->count; i++) {
        struct bytes node = proof->nodes[i];
        memcpy(*bytes, node.data, node.size);
        *(*at)++ = (struct stoa_bytes){*bytes, node.size};
        *bytes += node.size;
    }
}

/* One piece of memory with all of it. */
static int gather(struct making *making)
{
    struct store_request *request = making->request;
    const struct stoa_proof_query *query = &request->proof_query;
    size_t nodes = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < making->count; i++) {
        nodes += making->proofs[i].count;
        for (size_t j = 0; j < making->proofs[i].count; j++) {
            bytes += making->proofs[i].nodes[j].size;
        }
    }
    struct stoa_proof *proof =
        memory_alloc(sizeof(*proof) + nodes * sizeof(struct stoa_bytes) +
                     query->slot_count * sizeof(struct stoa_proof_slot) + bytes);
    if (proof == NULL) {
        return error_set(&making->task.detail, STOA_ENOMEM, "proof");
    }
    struct stoa_proof_slot *slots = (struct stoa_proof_slot *)(proof + 1);
    struct stoa_bytes *at = (struct stoa_bytes *)(slots + query->slot_count);
    uint8_t *to = (uint8_t *)(at + nodes);
    *proof = (struct stoa_proof){
        .nonce = making->account.nonce,
        .nodes = at,
        .node_count = making->proofs[0].count,
        .slots = slots,
        .slot_count = query->slot_count,
    };
    memcpy(proof->address, query->address, ADDRESS_SIZE);
    memcpy(proof->balance, making->account.balance, HASH_SIZE);
    memcpy(proof->code_hash, making->account.code_hash, HASH_SIZE);
    memcpy(proof->storage_root, making->account.storage_root, HASH_SIZE);
    place_nodes(&making->proofs[0], &at, &to);
    for (size_t i = 0; i < query->slot_count; i++) {
        const struct proof *from = &making->proofs[1 + i];
        struct bytes value = from->value;
        slots[i] = (struct stoa_proof_slot){.nodes = at, .node_count = from->count};
        memcpy(slots[i].key, query->slots + HASH_SIZE * i, HASH_SIZE);
        if (value.size != 0 &&
            (rlp_read_uint256(&value, slots[i].value, NULL) != 0 || value.size != 0)) {
            memory_free(proof);
            return error_set(&making->task.detail, STOA_ECORRUPT,
                             "storage trie: a leaf is no value");
        }
        place_nodes(from, &at, &to);
    }
    request->proof = proof;
    return 0;
}

static int make_proof(struct making *making)
{
    making->count = 1 + making->request->proof_query.slot_count;
    making->proofs = memory_alloc(making->count * sizeof(*making->proofs));
    if (making->proofs == NULL) {
        return error_set(&making->task.detail, STOA_ENOMEM, "proof");
    }
    int result = prove_account(making);
    if (result == 0) {
        result = prove_slots(making);
    }
    if (result == 0) {
        result = gather(making);
    }
    memory_free(making->proofs);
    return result;
}

int store_proof_make(struct store_get *get, struct kv_session *session)
{
    struct store_request *request = get->request;
    struct making making = {.request = request};
    struct buffer scratch;
    buffer_init(&scratch);
    get->tries_reader.session = session;
    get->tries_reader.scratch = &scratch;
    struct trie_reader reader = tries_reader_of(&get->tries_reader);
    trie_task_init(&making.task, &reader);
    int result = request->kind == STORE_GET_PROOF
                     ? make_proof(&making)
                     : trie_update_root(bytes_of(NULL, 0), &making.task, request->hash);
    if (result != 0) {
        request->detail = making.task.detail;
    }
    trie_task_deinit(&making.task);
    buffer_deinit(&scratch);
    return result;
}
