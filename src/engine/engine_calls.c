/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The typed form of each message: blocking, and submitted. */
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/hot.h"

/* OUT_REQUEST gets what came back. CALL may be NULL. */
static int ask_so(struct stoa *stoa, enum stoa_message message, const void *argument,
                  const struct stoa_call *call, struct store_request *out_request,
                  struct stoa_detail *detail)
{
    struct engine_request *answer;
    int result = engine_request_wait(stoa, message, argument, call, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    *out_request = answer->request;
    engine_request_give(stoa, answer);
    engine_tell(detail, &out_request->detail);
    return out_request->result;
}

static int ask(struct stoa *stoa, enum stoa_message message, const void *argument,
               struct store_request *out_request, struct stoa_detail *detail)
{
    return ask_so(stoa, message, argument, NULL, out_request, detail);
}

int stoa_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
             const struct stoa_call *call, struct stoa_completion *out_completion)
{
    struct engine_request *answer;
    if (stoa->remote != NULL) {
        return engine_remote_ask(stoa, message, argument, call, out_completion);
    }
    int result = engine_request_wait(stoa, message, argument, call, &answer);
    if (result != 0) {
        *out_completion = (struct stoa_completion){
            .message = message, .effect = STOA_EFFECT_NONE, .result = result};
        return engine_refuse(&out_completion->detail, result, stoa_strerror(result));
    }
    engine_completion_fill(answer, out_completion);
    engine_request_give(stoa, answer);
    return out_completion->result;
}

static enum stoa_message block_message(const struct stoa_block_key *key)
{
    return key != NULL && key->by == STOA_BY_HEIGHT ? STOA_MESSAGE_GET_BLOCK_BY_HEIGHT
                                                    : STOA_MESSAGE_GET_BLOCK;
}

int stoa_store_block(struct stoa *stoa, const struct stoa_store_block *block,
                     struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_STORE_BLOCK, block, &request, detail);
}

int stoa_store_receipts(struct stoa *stoa, const struct stoa_store_receipts *receipts,
                        struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_STORE_RECEIPTS, receipts, &request, detail);
}

int stoa_update_state(struct stoa *stoa, const struct stoa_state_update *update,
                      struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_UPDATE_STATE, update, &request, detail);
}

int stoa_batch_write(struct stoa *stoa, const struct stoa_batch *batch, struct stoa_detail *detail)
{
    struct store_request request;
    struct engine_request *check = engine_request_take(stoa);
    struct error_detail why = {.code = 0};
    int result = check == NULL ? STOA_ENOMEM : engine_batch_fill(check, batch, &why);
    engine_request_give(stoa, check);
    if (result != 0) { /* found before it is submitted: so it can be told what is wrong */
        engine_tell(detail, &why);
        return result;
    }
    return ask(stoa, STOA_MESSAGE_BATCH_WRITE, batch, &request, detail);
}

int stoa_update_head(struct stoa *stoa, const uint8_t hash[32], struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_UPDATE_HEAD, hash, &request, detail);
}

int stoa_set_finalized(struct stoa *stoa, const struct stoa_block_key *key,
                       struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_SET_FINALIZED, key, &request, detail);
}

int stoa_set_safe(struct stoa *stoa, const struct stoa_block_key *key, struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_SET_SAFE, key, &request, detail);
}

int stoa_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                   struct stoa_block *out_block, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_block == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (key != NULL && hot_get_block(stoa->cache, key, out_block)) {
        return engine_answered(detail);
    }
    int result = ask(stoa, block_message(key), key, &request, detail);
    if (result == 0) {
        *out_block = request.block;
    }
    return result;
}

int stoa_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                    struct stoa_header *out_header, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_header == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (stoa->remote != NULL) {
        return engine_remote_get_header(stoa, key, out_header, detail);
    }
    if (key != NULL && hot_get_header(stoa->cache, key, &request.block)) {
        *out_header = engine_completion_header(&request.block);
        return engine_answered(detail);
    }
    int result = ask(stoa, STOA_MESSAGE_GET_HEADER, key, &request, detail);
    if (result == 0) {
        *out_header = engine_completion_header(&request.block);
    }
    return result;
}

int stoa_block_exists(struct stoa *stoa, const struct stoa_block_key *key,
                      struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_BLOCK_EXISTS, key, &request, detail);
}

static int get_transaction(struct stoa *stoa, const uint8_t hash[32], const struct stoa_call *call,
                           struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    struct store_request request;
    if (hash != NULL && hot_get_transaction(stoa->cache, hash, out_transaction)) {
        return engine_answered(detail);
    }
    int result = ask_so(stoa, STOA_MESSAGE_GET_TRANSACTION, hash, call, &request, detail);
    if (result == 0) {
        *out_transaction = request.transaction;
    }
    return result;
}

int stoa_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    return out_transaction == NULL ? engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL))
                                   : get_transaction(stoa, hash, NULL, out_transaction, detail);
}

int stoa_get_transaction_parts(struct stoa *stoa, const uint8_t hash[32], unsigned parts,
                               struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    struct stoa_call call = STOA_CALL_INIT;
    call.parts = parts;
    return out_transaction == NULL || parts == 0 || !engine_parts_are_valid(parts)
               ? engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL))
               : get_transaction(stoa, hash, &call, out_transaction, detail);
}

int stoa_get_state(struct stoa *stoa, struct stoa_bytes key, struct stoa_bytes *out_value,
                   struct stoa_detail *detail)
{
    struct store_request request;
    if (out_value == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    request.kind = STORE_GET_STATE;
    request.query.height = STOA_AT_HEAD;
    request.state_key = bytes_of(key.data, key.size);
    if (key.data != NULL && engine_cache_answer(stoa, &request)) {
        if (request.result == 0) {
            *out_value = (struct stoa_bytes){request.value.data, request.value.size};
            return engine_answered(detail);
        }
        return engine_refuse(detail, request.result, stoa_strerror(request.result));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_STATE, &key, &request, detail);
    if (result == 0) {
        *out_value = (struct stoa_bytes){request.value.data, request.value.size};
    }
    return result;
}

int stoa_query_logs(struct stoa *stoa, const struct stoa_log_filter *filter,
                    struct stoa_logs *out_logs, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_logs == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_QUERY_LOGS, filter, &request, detail);
    if (result == 0) {
        *out_logs = request.logs;
    }
    return result;
}

int stoa_get_state_at(struct stoa *stoa, const struct stoa_state_at *at,
                      struct stoa_bytes *out_value, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_value == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_STATE_AT, at, &request, detail);
    if (result == 0) {
        *out_value = (struct stoa_bytes){request.value.data, request.value.size};
    }
    return result;
}

int stoa_get_address_transactions(struct stoa *stoa, const struct stoa_history_query *query,
                                  struct stoa_history *out_history, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_history == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_ADDRESS_TRANSACTIONS, query, &request, detail);
    if (result == 0) {
        *out_history = request.history;
    }
    return result;
}

int stoa_get_account(struct stoa *stoa, const struct stoa_state_query *query,
                     struct stoa_account *out_account, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_account == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result;
    if (query != NULL && query->height == STOA_AT_HEAD &&
        hot_get_account(stoa->cache, query->address, out_account, &result)) {
        return result == 0 ? engine_answered(detail)
                           : engine_refuse(detail, result, stoa_strerror(result));
    }
    result = ask(stoa, STOA_MESSAGE_GET_ACCOUNT, query, &request, detail);
    if (result == 0) {
        *out_account = request.account;
    }
    return result;
}

int stoa_get_block_range(struct stoa *stoa, const struct stoa_block_range *range,
                         struct stoa_block *out_blocks, size_t *out_count,
                         struct stoa_detail *detail)
{
    struct store_request request;
    if (out_blocks == NULL || out_count == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_BLOCK_RANGE, range, &request, detail);
    if (result == 0) {
        memcpy(out_blocks, request.blocks, request.block_count * sizeof(*out_blocks));
        memory_free(request.blocks);
        *out_count = request.block_count;
    }
    return result;
}

int stoa_get_header_range(struct stoa *stoa, const struct stoa_block_range *range,
                          struct stoa_headers *out_headers, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_headers == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_HEADER_RANGE, range, &request, detail);
    if (result == 0) {
        *out_headers = request.headers;
    }
    return result;
}

int stoa_get_storage(struct stoa *stoa, const struct stoa_state_query *query, uint8_t out_value[32],
                     struct stoa_detail *detail)
{
    struct store_request request;
    if (out_value == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (query != NULL && query->height == STOA_AT_HEAD &&
        hot_get_storage(stoa->cache, query->address, query->slot, out_value)) {
        return engine_answered(detail);
    }
    int result = ask(stoa, STOA_MESSAGE_GET_STORAGE, query, &request, detail);
    if (result == 0) {
        memcpy(out_value, request.value.data, 32);
        memory_free((void *)(uintptr_t)request.value.data);
    }
    return result;
}

int stoa_get_code(struct stoa *stoa, const struct stoa_state_query *query,
                  struct stoa_bytes *out_code, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_code == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_CODE, query, &request, detail);
    if (result == 0) {
        *out_code = (struct stoa_bytes){request.value.data, request.value.size};
    }
    return result;
}

int stoa_get_proof(struct stoa *stoa, const struct stoa_proof_query *query,
                   struct stoa_proof **out_proof, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_proof == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_PROOF, query, &request, detail);
    if (result == 0) {
        *out_proof = request.proof;
    }
    return result;
}

int stoa_get_state_root(struct stoa *stoa, uint64_t height, uint8_t out_root[32],
                        struct stoa_detail *detail)
{
    struct store_request request;
    if (out_root == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_STATE_ROOT, &height, &request, detail);
    if (result == 0) {
        memcpy(out_root, request.hash, 32);
    }
    return result;
}

void stoa_free(void *pointer)
{
    memory_free(pointer);
}

void stoa_release(struct stoa_view *view)
{
    if (view == NULL || engine_cache_release(view) || engine_remote_release(view)) {
        return;
    }
    struct stoa *stoa = view->home;
    struct stoa_view *first = atomic_load_explicit(&stoa->released, memory_order_relaxed);
    do {
        view->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&stoa->released, &first, view,
                                                    memory_order_release, memory_order_relaxed));
    /* The loop takes the stack at its next turn; buffers wait no longer than its longest sleep. */
}

int stoa_submit_store_block(struct stoa *stoa, const struct stoa_store_block *block,
                            const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_STORE_BLOCK, block, call);
}

int stoa_submit_update_head(struct stoa *stoa, const uint8_t hash[32], const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_UPDATE_HEAD, hash, call);
}

int stoa_submit_set_finalized(struct stoa *stoa, const struct stoa_block_key *key,
                              const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_SET_FINALIZED, key, call);
}

int stoa_submit_store_receipts(struct stoa *stoa, const struct stoa_store_receipts *receipts,
                               const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_STORE_RECEIPTS, receipts, call);
}

int stoa_submit_update_state(struct stoa *stoa, const struct stoa_state_update *update,
                             const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_UPDATE_STATE, update, call);
}

int stoa_submit_batch_write(struct stoa *stoa, const struct stoa_batch *batch,
                            const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_BATCH_WRITE, batch, call);
}

int stoa_submit_set_safe(struct stoa *stoa, const struct stoa_block_key *key,
                         const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_SET_SAFE, key, call);
}

int stoa_submit_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                          const struct stoa_call *call)
{
    return stoa_submit(stoa, block_message(key), key, call);
}

int stoa_submit_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                           const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_HEADER, key, call);
}

int stoa_submit_block_exists(struct stoa *stoa, const struct stoa_block_key *key,
                             const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_BLOCK_EXISTS, key, call);
}

int stoa_submit_get_header_range(struct stoa *stoa, const struct stoa_block_range *range,
                                 const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_HEADER_RANGE, range, call);
}

int stoa_submit_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                                const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_TRANSACTION, hash, call);
}

int stoa_submit_query_logs(struct stoa *stoa, const struct stoa_log_filter *filter,
                           const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_QUERY_LOGS, filter, call);
}

int stoa_submit_get_address_transactions(struct stoa *stoa, const struct stoa_history_query *query,
                                         const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_ADDRESS_TRANSACTIONS, query, call);
}

int stoa_submit_get_block_range(struct stoa *stoa, const struct stoa_block_range *range,
                                const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_BLOCK_RANGE, range, call);
}

int stoa_submit_get_state(struct stoa *stoa, struct stoa_bytes key, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_STATE, &key, call);
}

int stoa_submit_get_state_at(struct stoa *stoa, const struct stoa_state_at *at,
                             const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_STATE_AT, at, call);
}

int stoa_submit_get_account(struct stoa *stoa, const struct stoa_state_query *query,
                            const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_ACCOUNT, query, call);
}

int stoa_submit_get_storage(struct stoa *stoa, const struct stoa_state_query *query,
                            const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_STORAGE, query, call);
}

int stoa_submit_get_code(struct stoa *stoa, const struct stoa_state_query *query,
                         const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_CODE, query, call);
}

int stoa_submit_get_proof(struct stoa *stoa, const struct stoa_proof_query *query,
                          const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_PROOF, query, call);
}

int stoa_submit_get_state_root(struct stoa *stoa, uint64_t height, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_STATE_ROOT, &height, call);
}
