/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads of the state. What is asked for is some versions of some keys (probes): pending batches
 * settle what they can, newest first; a worker asks the tables for the rest; then the answer is put
 * together:
 *
 *   a raw value: itself
 *   account, storage, code: itself, unless there is a gap as low as the height
 *   storage: not where the account was wiped after the slot was put */
#include "base/ensure.h"
#include "base/memory.h"
#include "store/state_change.h"
#include "store/store_private.h"

static int keep_value(struct store_probe *probe, struct bytes value)
{
    uint8_t *copy = memory_alloc(value.size);
    if (copy == NULL) {
        return STOA_ENOMEM;
    }
    if (value.size != 0) {
        memcpy(copy, value.data, value.size);
    }
    probe->value = bytes_of(copy, value.size);
    probe->found = true;
    return 0;
}

/* Ask the pending batches. */
static int probe_pending(const struct store *store, struct store_probe *probe)
{
    struct bytes key = bytes_of(probe->key, probe->key_size);
    const struct pending *batch;
    for (unsigned i = 0; !probe->settled && (batch = store_batch_at(store, i)) != NULL; i++) {
        struct pending_change change;
        if (pending_find_change(batch, key, &probe->bound, &change, &probe->settled)) {
            probe->settled = true;
            probe->height = change.height;
            return change.removed ? 0 : keep_value(probe, change.value);
        }
    }
    return 0;
}

int store_state_look_up(struct store_get *get, struct kv_session *session)
{
    struct index *index = get->store->index;
    int result = 0;
    for (unsigned i = 0; result == 0 && i < get->probe_count; i++) {
        struct store_probe *probe = &get->probes[i];
        struct bytes key = bytes_of(probe->key, probe->key_size);
        struct bytes value;
        if (probe->settled) {
            continue;
        }
        uint64_t bound = probe->bound; /* the lookup may be made again */
        result = index_find_state(index, session, key, &bound, &value, &get->request->detail);
        if (result == 0) {
            probe->height = bound;
            result = keep_value(probe, value);
        }
        result = result == STOA_ENOTFOUND ? 0 : result;
        probe->settled = result == 0;
    }
    if (result == 0 && store_proof_is_wanted(get) && !get->probes[0].found) {
        result = store_proof_make(get, session);
    }
    return result;
}

void store_state_forget(struct store_get *get)
{
    for (unsigned i = 0; i < get->probe_count; i++) {
        memory_free((void *)(uintptr_t)get->probes[i].value.data);
    }
    get->probe_count = 0;
}

static int answer_storage(struct store_get *get, const struct store_probe *slot,
                          const struct store_probe *wiped)
{
    uint8_t *value = memory_alloc_zeroed(1, 32);
    if (value == NULL) {
        return STOA_ENOMEM;
    }
    bool holds = slot->found && !(wiped->found && wiped->height > slot->height);
    if (holds && slot->value.size > 32) {
        memory_free(value);
        return error_set(&get->request->detail, STOA_ECORRUPT, "state: a slot of %zu bytes",
                         slot->value.size);
    }
    if (holds) {
        memcpy(value + 32 - slot->value.size, slot->value.data, slot->value.size);
    }
    get->request->value = bytes_of(value, 32);
    return 0;
}

/* All probes are settled. */
static int answer(struct store_get *get)
{
    struct store_request *request = get->request;
    struct store_probe *probes = get->probes;
    bool proof = store_proof_is_wanted(get);
    const struct store_probe *gap = proof ? &probes[0] : &probes[1];
    if (request->kind != STORE_GET_STATE && gap->found) {
        return error_set(&request->detail, STOA_ENOTSUP,
                         "the state at height %llu is not known: block %llu was stored without",
                         (unsigned long long)get->height, (unsigned long long)gap->height);
    }
    if (proof) {
        return 0; /* it was made */
    }
    if (request->kind == STORE_GET_STORAGE) {
        return answer_storage(get, &probes[0], &probes[2]);
    }
    if (!probes[0].found) {
        return STOA_ENOTFOUND;
    }
    if (request->kind == STORE_GET_ACCOUNT) {
        return state_change_read_account(probes[0].value, &request->account, &request->detail);
    }
    request->value = probes[0].value;
    probes[0].value = bytes_of(NULL, 0); /* the caller's now */
    return 0;
}

int store_state_check_kept(struct store_get *get, int result)
{
    struct store_request *request = get->request;
    int kept =
        store_check_kept(get->store, get->height, store_proof_is_wanted(get), &request->detail);
    if (kept != 0) {
        memory_free(request->proof);
        request->proof = NULL;
    }
    return kept != 0 ? kept : result;
}

int store_state_finish(struct store_get *get, int result)
{
    result = result == 0 ? answer(get) : result;
    if (result == 0 || result == STOA_ENOTFOUND) {
        store_cache_fill_probes(get);
    }
    store_state_forget(get);
    return result == STOA_ENOMEM ? error_set(&get->request->detail, result, "read the state")
                                 : result;
}

/* The next probe, for the reader's height. */
static uint8_t *add_probe(struct store_get *get)
{
    ensure(get->probe_count < STORE_PROBES_MAX);
    struct store_probe *probe = &get->probes[get->probe_count++];
    *probe = (struct store_probe){.bound = get->height};
    return probe->key;
}

static void make_probes(struct store_get *get)
{
    const struct store_request *request = get->request;
    const struct stoa_state_query *query = &request->query;
    struct store_probe *probes = get->probes;
    uint8_t *key = add_probe(get);
    if (store_proof_is_wanted(get)) {
        key[0] = STATE_KEY_GAP;
        probes[0].key_size = 1;
        return;
    }
    if (request->kind == STORE_GET_STATE) {
        key[0] = STATE_KEY_RAW;
        memcpy(key + 1, request->state_key.data, request->state_key.size);
        probes[0].key_size = 1 + request->state_key.size;
        return;
    }
    probes[0].key_size = request->kind == STORE_GET_ACCOUNT
                             ? state_key_address(STATE_KEY_ACCOUNT, query->address, key)
                         : request->kind == STORE_GET_STORAGE
                             ? state_key_slot(query->address, query->slot, key)
                             : state_key_code(query->slot, key);
    add_probe(get)[0] = STATE_KEY_GAP;
    probes[1].key_size = 1;
    if (request->kind == STORE_GET_STORAGE) {
        key = add_probe(get);
        probes[2].key_size = state_key_address(STATE_KEY_WIPED, query->address, key);
    }
}

bool store_state_start(struct store_get *get, int *out_result)
{
    const struct store *store = get->store;
    struct store_request *request = get->request;
    bool raw = request->kind == STORE_GET_STATE;
    bool proof = store_proof_is_wanted(get);
    uint64_t wanted =
        request->kind == STORE_GET_PROOF ? request->proof_query.height : request->query.height;
    *out_result = 0;
    if (raw && (request->state_key.size == 0 || request->state_key.size > STATE_KEY_RAW_MAX)) {
        *out_result = STOA_ENOTFOUND; /* no such key can have been put */
        return true;
    }
    bool above = wanted != STOA_AT_HEAD && (!store->head.present || wanted > store->head.height);
    if (above || (!raw && !store->head.present)) {
        *out_result = error_set(&request->detail, STOA_ENOTFOUND, "the chain is not that high");
        return true;
    }
    get->height = wanted != STOA_AT_HEAD || raw ? wanted : store->head.height;
    *out_result = store_check_kept(store, get->height, proof, &request->detail);
    if (*out_result != 0) {
        return true;
    }
    make_probes(get);
    bool settled = true;
    for (unsigned i = 0; *out_result == 0 && i < get->probe_count; i++) {
        *out_result = probe_pending(store, &get->probes[i]);
        settled = settled && get->probes[i].settled;
    }
    if (*out_result != 0 || (settled && (!proof || get->probes[0].found))) {
        *out_result = store_state_finish(get, *out_result);
        return true;
    }
    return false;
}
