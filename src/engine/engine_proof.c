/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Verifying proofs: needs no store. */
#include "chain/keccak.h"
#include "chain/trie.h"
#include "engine/engine_private.h"
#include "state/proof.h"
#include "state/state_update.h"
#include "stoa.h"

static bool is_zero(const uint8_t value[32])
{
    static const uint8_t zero[32];
    return memcmp(value, zero, sizeof(zero)) == 0;
}

static bool is_either(const uint8_t value[32], const uint8_t other[32])
{
    return is_zero(value) || memcmp(value, other, 32) == 0;
}

/* What NODES show of KEY, hashed, in the trie of ROOT. */
static int show(const uint8_t root[32], struct bytes key, const struct stoa_bytes *nodes,
                size_t count, struct bytes *out_value, struct error_detail *detail)
{
    struct bytes views[PROOF_NODES_MAX];
    uint8_t hash[KECCAK_SIZE];
    if (count > PROOF_NODES_MAX) {
        return error_set(detail, STOA_EREFUSED, "proof: %zu nodes are too many", count);
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = bytes_of(nodes[i].data, nodes[i].size);
    }
    keccak_256(key.data, key.size, hash);
    return proof_verify(root, bytes_of(hash, sizeof(hash)), views, count, out_value, detail);
}

static int check_account(const uint8_t root[32], const struct stoa_proof *proof,
                         struct error_detail *detail)
{
    struct bytes value;
    struct state_account account;
    int result = show(root, bytes_of(proof->address, sizeof(proof->address)), proof->nodes,
                      proof->node_count, &value, detail);
    if (result != 0) {
        error_prefix(detail, "account");
        return result;
    }
    if (value.size == 0) {
        bool nothing = proof->nonce == 0 && is_zero(proof->balance) &&
                       is_either(proof->code_hash, state_empty_code_hash) &&
                       is_either(proof->storage_root, trie_empty_root);
        return nothing ? 0 : error_set(detail, STOA_EREFUSED, "account: proved to be absent");
    }
    if (state_account_decode(value, &account, NULL) != 0) {
        return error_set(detail, STOA_EREFUSED, "account: what is proved is no account");
    }
    bool same =
        account.nonce == proof->nonce &&
        memcmp(account.balance, proof->balance, sizeof(account.balance)) == 0 &&
        memcmp(account.code_hash, proof->code_hash, sizeof(account.code_hash)) == 0 &&
        memcmp(account.storage_root, proof->storage_root, sizeof(account.storage_root)) == 0;
    return same ? 0 : error_set(detail, STOA_EREFUSED, "account: another one is proved");
}

static int check_slot(const uint8_t root[32], const struct stoa_proof_slot *slot,
                      struct error_detail *detail)
{
    struct bytes value;
    uint8_t encoded[33];
    /* An absent account may say zero for the root of no storage. */
    const uint8_t *storage_root = is_zero(root) ? trie_empty_root : root;
    int result = show(storage_root, bytes_of(slot->key, sizeof(slot->key)), slot->nodes,
                      slot->node_count, &value, detail);
    if (result != 0) {
        return result;
    }
    size_t size = is_zero(slot->value) ? 0 : state_slot_encode(slot->value, encoded);
    return bytes_equal(value, bytes_of(encoded, size))
               ? 0
               : error_set(detail, STOA_EREFUSED, "another value is proved");
}

static bool nodes_are_valid(const struct stoa_bytes *nodes, size_t count)
{
    for (size_t i = 0; nodes != NULL && i < count; i++) {
        if (nodes[i].data == NULL) {
            return false;
        }
    }
    return nodes != NULL || count == 0;
}

static bool is_valid(const struct stoa_proof *proof)
{
    if (proof == NULL || !nodes_are_valid(proof->nodes, proof->node_count) ||
        (proof->slots == NULL && proof->slot_count != 0)) {
        return false;
    }
    for (size_t i = 0; i < proof->slot_count; i++) {
        if (!nodes_are_valid(proof->slots[i].nodes, proof->slots[i].node_count)) {
            return false;
        }
    }
    return true;
}

int stoa_proof_verify(const uint8_t state_root[32], const struct stoa_proof *proof,
                      struct stoa_detail *detail)
{
    if (state_root == NULL || !is_valid(proof)) {
        return engine_refuse(detail, STOA_EINVAL, "proof: a pointer is missing");
    }
    struct error_detail found = {.code = 0};
    int result = check_account(state_root, proof, &found);
    for (size_t i = 0; result == 0 && i < proof->slot_count; i++) {
        result = check_slot(proof->storage_root, &proof->slots[i], &found);
        if (result != 0) {
            error_prefix(&found, "slots[%zu]", i);
        }
    }
    engine_tell(detail, &found);
    return result;
}
