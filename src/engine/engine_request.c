/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to the store: submitted, waited for, reaped. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "engine/engine_private.h"
#include "store/hot.h"

/* With the mutex held: after COUNT fewer are under way, nobody waits for nothing. */
static void count_down(struct stoa *stoa, unsigned count)
{
    ensure(stoa->under_way >= count);
    stoa->under_way -= count;
    if (stoa->under_way == 0 && stoa->waiting != 0) {
        pthread_cond_broadcast(&stoa->done_changed);
    }
}

struct engine_request *engine_request_take(struct stoa *stoa)
{
    pthread_mutex_lock(&stoa->done_mutex);
    struct engine_request *own = stoa->free_requests;
    if (own != NULL) {
        stoa->free_requests = own->next;
    }
    pthread_mutex_unlock(&stoa->done_mutex);
    if (own == NULL) {
        own = memory_alloc(sizeof(*own));
    }
    if (own != NULL) {
        memset(own, 0, sizeof(*own));
        own->message.kind = MESSAGE_REQUEST;
        own->stoa = stoa;
    }
    return own;
}

/* With the mutex held. */
static void to_pool(struct stoa *stoa, struct engine_request *own)
{
    memory_free(own->copy);
    own->copy = NULL;
    engine_prepare_give(stoa, own);
    own->next = stoa->free_requests;
    stoa->free_requests = own;
}

void engine_request_give(struct stoa *stoa, struct engine_request *own)
{
    if (own != NULL) {
        pthread_mutex_lock(&stoa->done_mutex);
        if (own->spare != NULL) {
            to_pool(stoa, own->spare);
        }
        to_pool(stoa, own);
        pthread_mutex_unlock(&stoa->done_mutex);
    }
}

/* One more is submitted. STOA_EBUSY: as many as may be are under way. */
static int count_up(struct stoa *stoa)
{
    pthread_mutex_lock(&stoa->done_mutex);
    bool full = stoa->under_way >= UNDER_WAY_MAX;
    if (!full) {
        stoa->under_way++;
    }
    pthread_mutex_unlock(&stoa->done_mutex);
    return full ? STOA_EBUSY : 0;
}

static int copy_put(const struct stoa_store_block *block, struct stoa_store_block *out)
{
    struct stoa_store_block own = STOA_STORE_BLOCK_INIT;
    if (block == NULL || block->size > sizeof(own) ||
        block->size < offsetof(struct stoa_store_block, receipts)) {
        return STOA_EINVAL;
    }
    memcpy(&own, block, block->size);
    own.size = sizeof(own);
    own.receipts.size = own.receipts.data == NULL ? 0 : own.receipts.size;
    own.envelope.size = own.envelope.data == NULL ? 0 : own.envelope.size;
    *out = own;
    bool valid =
        (own.skip & ~(unsigned)STOA_SKIP_ALL) == 0 &&
        (own.flags & ~(unsigned)(STOA_STORE_SIDE | STOA_STORE_CANONICAL | STOA_STORE_STATE)) == 0 &&
        (own.flags & (STOA_STORE_SIDE | STOA_STORE_CANONICAL)) !=
            (STOA_STORE_SIDE | STOA_STORE_CANONICAL) &&
        own.block.data != NULL && (own.changes != NULL || own.change_count == 0) &&
        (own.accounts != NULL || own.account_count == 0) &&
        (own.slots != NULL || own.slot_count == 0) && (own.codes != NULL || own.code_count == 0);
    for (size_t i = 0; valid && i < own.code_count; i++) {
        valid = own.codes[i].data != NULL || own.codes[i].size == 0;
    }
    for (size_t i = 0; valid && i < own.change_count; i++) {
        valid = own.changes[i].key.data != NULL;
    }
    return valid ? 0 : STOA_EINVAL;
}

static const char *const message_names[STOA_MESSAGE_END] = {
    [STOA_MESSAGE_NONE] = "None",
#define STOA_MESSAGE(name, text, priority, kind) [STOA_MESSAGE_##name] = text,
#include "stoa/message.def"
#undef STOA_MESSAGE
};

static const int message_priorities[STOA_MESSAGE_END] = {
#define STOA_MESSAGE(name, text, priority, kind) [STOA_MESSAGE_##name] = STOA_PRIORITY_##priority,
#include "stoa/message.def"
#undef STOA_MESSAGE
};

const char *stoa_message_name(enum stoa_message message)
{
    bool known = (unsigned)message < STOA_MESSAGE_END;
    return message_names[known ? message : STOA_MESSAGE_NONE];
}

/* The store's request for MESSAGE. False: there is none yet. */
static bool find_kind(enum stoa_message message, enum store_request_kind *out_kind)
{
    switch ((int)message) {
    case STOA_MESSAGE_STORE_BLOCK:
        *out_kind = STORE_PUT_BLOCK;
        return true;
    case STOA_MESSAGE_GET_BLOCK:
    case STOA_MESSAGE_GET_BLOCK_BY_HEIGHT:
    case STOA_MESSAGE_GET_HEADER:
        *out_kind = STORE_GET_BLOCK;
        return true;
    case STOA_MESSAGE_GET_TRANSACTION:
        *out_kind = STORE_GET_TRANSACTION;
        return true;
    case STOA_MESSAGE_GET_STATE:
    case STOA_MESSAGE_GET_STATE_AT:
        *out_kind = STORE_GET_STATE;
        return true;
    case STOA_MESSAGE_UPDATE_HEAD:
        *out_kind = STORE_UPDATE_HEAD;
        return true;
    case STOA_MESSAGE_SET_FINALIZED:
        *out_kind = STORE_SET_FINALIZED;
        return true;
    case STOA_MESSAGE_SET_SAFE:
        *out_kind = STORE_SET_SAFE;
        return true;
    case STOA_MESSAGE_QUERY_LOGS:
        *out_kind = STORE_QUERY_LOGS;
        return true;
    case STOA_MESSAGE_GET_ADDRESS_TRANSACTIONS:
        *out_kind = STORE_QUERY_HISTORY;
        return true;
    case STOA_MESSAGE_GET_BLOCK_RANGE:
        *out_kind = STORE_GET_RANGE;
        return true;
    case STOA_MESSAGE_GET_HEADER_RANGE:
        *out_kind = STORE_GET_HEADERS;
        return true;
    case STOA_MESSAGE_BLOCK_EXISTS:
        *out_kind = STORE_BLOCK_EXISTS;
        return true;
    case STOA_MESSAGE_GET_ACCOUNT:
        *out_kind = STORE_GET_ACCOUNT;
        return true;
    case STOA_MESSAGE_GET_STORAGE:
        *out_kind = STORE_GET_STORAGE;
        return true;
    case STOA_MESSAGE_GET_CODE:
        *out_kind = STORE_GET_CODE;
        return true;
    default:
        return false;
    }
}

bool engine_message_writes(enum stoa_message message)
{
    static const bool writes[STOA_MESSAGE_END] = {
#define WRITE true
#define READ false
#define UPKEEP false
#define STOA_MESSAGE(name, text, priority, kind) [STOA_MESSAGE_##name] = kind,
#include "stoa/message.def"
#undef STOA_MESSAGE
#undef WRITE
#undef READ
#undef UPKEEP
    };
    return writes[message];
}

static bool call_is_valid(const struct stoa_call *call)
{
    return call->priority >= STOA_PRIORITY_DEFAULT && call->priority <= STOA_PRIORITY_CRITICAL &&
           (call->durability == STOA_DURABLE || call->durability == STOA_BUFFERED) &&
           (call->flags & ~(unsigned)STOA_CALL_NO_RETRY) == 0;
}

/* Number and treatment of a message, as the caller wants it. STOA_EINVAL. */
static int take_call(struct stoa *stoa, struct engine_request *own, enum stoa_message message,
                     const struct stoa_call *call)
{
    static const enum mailbox_lane lanes[] = {
        [STOA_PRIORITY_LOW] = MAILBOX_LOW,
        [STOA_PRIORITY_NORMAL] = MAILBOX_NORMAL,
        [STOA_PRIORITY_HIGH] = MAILBOX_HIGH,
        [STOA_PRIORITY_CRITICAL] = MAILBOX_CRITICAL,
    };
    struct stoa_call given = STOA_CALL_INIT;
    if (call != NULL) {
        if (!engine_size_is_valid(call->size, sizeof(given))) {
            return STOA_EINVAL;
        }
        memcpy(&given, call, call->size);
        if (!call_is_valid(&given)) {
            return STOA_EINVAL;
        }
    }
    own->what = message;
    own->tag = given.tag;
    own->flags = given.flags;
    own->durability = given.durability;
    own->pushed_ns = io_now_ns(stoa->io);
    own->deadline_ns = given.deadline_ms == 0
                           ? UINT64_MAX
                           : own->pushed_ns + (uint64_t)given.deadline_ms * 1000000;
    own->entry.id = given.correlation_id;
    if (own->entry.id == 0) {
        own->entry.id = atomic_fetch_add_explicit(&stoa->next_correlation, 1, memory_order_relaxed);
    }
    own->entry.lane = lanes[given.priority != STOA_PRIORITY_DEFAULT ? given.priority
                                                                    : message_priorities[message]];
    return 0;
}

/* Of an option struct with its defaults in OUT; SIZE is the newest's. STOA_EINVAL. */
static int copy_options(const void *given, size_t size, void *out)
{
    size_t given_size;
    memcpy(&given_size, given, sizeof(given_size));
    if (!engine_size_is_valid(given_size, size)) {
        return STOA_EINVAL;
    }
    memcpy(out, given, given_size);
    return 0;
}

/* What is to be done, by kind. STOA_EINVAL. */
static int fill_argument(struct engine_request *own, enum store_request_kind kind, const void *what)
{
    struct store_request *request = &own->request;
    request->kind = kind;
    if (what == NULL) {
        return STOA_EINVAL;
    }
    switch (kind) {
    case STORE_PUT_BLOCK:
        return copy_put(what, &request->put);
    case STORE_SET_SAFE:
    case STORE_SET_FINALIZED:
    case STORE_GET_BLOCK:
    case STORE_BLOCK_EXISTS:
        request->key = *(const struct stoa_block_key *)what;
        return request->key.by < STOA_BY_HEIGHT || request->key.by > STOA_LATEST ? STOA_EINVAL : 0;
    case STORE_UPDATE_HEAD:
    case STORE_GET_TRANSACTION:
        memcpy(request->hash, what, 32);
        return 0;
    case STORE_GET_ACCOUNT:
    case STORE_GET_STORAGE:
    case STORE_GET_CODE:
        request->query = *(const struct stoa_state_query *)what;
        return 0;
    case STORE_GET_STATE: {
        const struct stoa_bytes *key = what;
        request->query.height = STOA_AT_HEAD;
        if (own->what == STOA_MESSAGE_GET_STATE_AT) {
            const struct stoa_state_at *at = what;
            key = &at->key;
            request->query.height = at->height;
        }
        if (key->data == NULL || key->size < 1 || key->size > STATE_KEY_MAX) {
            return STOA_EINVAL;
        }
        memcpy(own->state_key, key->data, key->size);
        request->state_key = bytes_of(own->state_key, key->size);
        return 0;
    }
    case STORE_QUERY_LOGS:
        request->log_filter = (struct stoa_log_filter)STOA_LOG_FILTER_INIT;
        return copy_options(what, sizeof(request->log_filter), &request->log_filter);
    case STORE_QUERY_HISTORY:
        request->history_query = (struct stoa_history_query)STOA_HISTORY_QUERY_INIT;
        return copy_options(what, sizeof(request->history_query), &request->history_query);
    case STORE_GET_RANGE:
    case STORE_GET_HEADERS:
        request->range = *(const struct stoa_block_range *)what;
        return 0;
    }
    return STOA_EINVAL;
}

/* A message of the caller's, ready for the mailbox. STOA_EINVAL, STOA_ENOTSUP, STOA_ENOMEM. */
static int fill_request(struct stoa *stoa, struct engine_request *own, enum stoa_message message,
                        const void *argument, const struct stoa_call *call)
{
    enum store_request_kind kind;
    if (message <= STOA_MESSAGE_NONE || message >= STOA_MESSAGE_END) {
        return STOA_EINVAL;
    }
    if (!find_kind(message, &kind)) {
        return STOA_ENOTSUP;
    }
    int result = take_call(stoa, own, message, call);
    if (result == 0) {
        result = fill_argument(own, kind, argument);
    }
    bool may_be_told_early = own->deadline_ns != UINT64_MAX || own->durability == STOA_BUFFERED;
    if (result == 0 && may_be_told_early) {
        own->spare = engine_request_take(stoa);
        result = own->spare == NULL ? STOA_ENOMEM : engine_copy_arguments(own);
    }
    return result;
}

void engine_wait_for_answer(struct engine_waiter *waiter)
{
    while (sem_wait(&waiter->answered) != 0) {
        ensure(errno == EINTR);
    }
    sem_destroy(&waiter->answered);
}

/* Submit and wait. *OUT_ANSWER is the caller's to give back. */
static int call_and_wait(struct stoa *stoa, enum stoa_message message, const void *argument,
                         const struct stoa_call *call, struct engine_request **out_answer)
{
    struct engine_waiter waiter = {.answer = NULL};
    struct engine_request *own = engine_request_take(stoa);
    if (own == NULL) {
        return STOA_ENOMEM;
    }
    int result = fill_request(stoa, own, message, argument, call);
    if (result == 0) {
        engine_prepare(stoa, own);
        own->waiter = &waiter;
        sem_init(&waiter.answered, 0, 0);
        result = mailbox_push(stoa->mailbox, own->entry.lane, &own->message);
        if (result == 0) {
            engine_wait_for_answer(&waiter);
            *out_answer = waiter.answer;
            return 0;
        }
        sem_destroy(&waiter.answered);
    }
    engine_request_give(stoa, own);
    engine_metrics_refused(stoa, message, result);
    return result;
}

/* OUT_REQUEST gets what came back. */
static int ask(struct stoa *stoa, enum stoa_message message, const void *argument,
               struct store_request *out_request, struct stoa_detail *detail)
{
    struct engine_request *answer;
    int result = call_and_wait(stoa, message, argument, NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    *out_request = answer->request;
    engine_request_give(stoa, answer);
    engine_tell(detail, &out_request->detail);
    return out_request->result;
}

int stoa_submit(struct stoa *stoa, enum stoa_message message, const void *argument,
                const struct stoa_call *call)
{
    int result = count_up(stoa);
    if (result != 0) {
        engine_metrics_refused(stoa, message, result);
        return result;
    }
    struct engine_request *own = engine_request_take(stoa);
    result = own == NULL ? STOA_ENOMEM : fill_request(stoa, own, message, argument, call);
    if (result == 0 && engine_cache_answer(stoa, &own->request)) {
        engine_tell_answer(stoa, own);
        return 0;
    }
    if (result == 0) {
        result = mailbox_push(stoa->mailbox, own->entry.lane, &own->message);
    }
    if (result != 0) {
        engine_request_give(stoa, own);
        pthread_mutex_lock(&stoa->done_mutex);
        count_down(stoa, 1);
        pthread_mutex_unlock(&stoa->done_mutex);
        engine_metrics_refused(stoa, message, result);
    }
    return result;
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

/* Of a block that verified once; so its first field is a header. */
static struct stoa_header header_of(const struct stoa_block *block)
{
    struct bytes cursor = bytes_of(block->block.data, block->block.size);
    struct bytes fields = cursor;
    struct rlp_item item = {.encoding = cursor};
    bool is_block =
        rlp_read_list(&cursor, &fields, NULL) == 0 && rlp_read(&fields, &item, NULL) == 0;
    ensure(is_block);
    struct stoa_header header = {
        .height = block->height,
        .canonical = block->canonical,
        .header = {item.encoding.data, item.encoding.size},
        .view = block->view,
    };
    memcpy(header.hash, block->hash, 32);
    memcpy(header.total_difficulty, block->total_difficulty, 32);
    return header;
}

int stoa_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                    struct stoa_header *out_header, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_header == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (key != NULL && hot_get_block(stoa->cache, key, &request.block)) {
        *out_header = header_of(&request.block);
        return engine_answered(detail);
    }
    int result = ask(stoa, STOA_MESSAGE_GET_HEADER, key, &request, detail);
    if (result == 0) {
        *out_header = header_of(&request.block);
    }
    return result;
}

int stoa_block_exists(struct stoa *stoa, const struct stoa_block_key *key,
                      struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STOA_MESSAGE_BLOCK_EXISTS, key, &request, detail);
}

int stoa_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_transaction == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (hash != NULL && hot_get_transaction(stoa->cache, hash, out_transaction)) {
        return engine_answered(detail);
    }
    int result = ask(stoa, STOA_MESSAGE_GET_TRANSACTION, hash, &request, detail);
    if (result == 0) {
        *out_transaction = request.transaction;
    }
    return result;
}

int stoa_get_state(struct stoa *stoa, struct stoa_bytes key, struct stoa_bytes *out_value,
                   struct stoa_detail *detail)
{
    struct store_request request;
    if (out_value == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    request.kind = STORE_GET_STATE;
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
    int result = ask(stoa, STOA_MESSAGE_GET_ACCOUNT, query, &request, detail);
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

void stoa_free(void *pointer)
{
    memory_free(pointer);
}

void stoa_release(struct stoa_view *view)
{
    if (view == NULL || engine_cache_release(view)) {
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

/* ---- completions ---- */

static void fill_completion(const struct engine_request *own, struct stoa_completion *out)
{
    const struct store_request *request = &own->request;
    *out = (struct stoa_completion){
        .tag = own->tag,
        .correlation_id = own->entry.id,
        .message = own->what,
        .tries = own->tries,
        .effect = request->result == 0 ? STOA_EFFECT_DONE
                  : request->appended  ? STOA_EFFECT_UNKNOWN
                                       : STOA_EFFECT_NONE,
        .result = request->result,
    };
    engine_tell(&out->detail, &request->detail);
    if (request->kind == STORE_PUT_BLOCK || request->kind >= STORE_UPDATE_HEAD) {
        memcpy(out->hash, request->hash, 32);
        out->height = request->height;
    }
    if (request->result != 0) {
        return;
    }
    if (own->what == STOA_MESSAGE_GET_HEADER) {
        out->header = header_of(&request->block);
    } else if (request->kind == STORE_GET_BLOCK) {
        out->block = request->block;
    } else if (request->kind == STORE_GET_TRANSACTION) {
        out->transaction = request->transaction;
    } else if (request->kind == STORE_QUERY_LOGS) {
        out->logs = request->logs;
    } else if (request->kind == STORE_QUERY_HISTORY) {
        out->history = request->history;
    } else if (request->kind == STORE_GET_RANGE) {
        out->blocks = request->blocks;
        out->block_count = request->block_count;
    } else if (request->kind == STORE_GET_HEADERS) {
        out->headers = request->headers;
    } else if (request->kind == STORE_GET_ACCOUNT) {
        out->account = request->account;
    } else if (request->kind == STORE_GET_STATE || request->kind == STORE_GET_STORAGE ||
               request->kind == STORE_GET_CODE) {
        out->value = (struct stoa_bytes){request->value.data, request->value.size};
    }
}

int stoa_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
             const struct stoa_call *call, struct stoa_completion *out_completion)
{
    struct engine_request *answer;
    int result = call_and_wait(stoa, message, argument, call, &answer);
    if (result != 0) {
        *out_completion = (struct stoa_completion){
            .message = message, .effect = STOA_EFFECT_NONE, .result = result};
        return engine_refuse(&out_completion->detail, result, stoa_strerror(result));
    }
    fill_completion(answer, out_completion);
    engine_request_give(stoa, answer);
    return out_completion->result;
}

void engine_tell_answer(struct stoa *stoa, struct engine_request *own)
{
    engine_metrics_answered(own);
    if (own->waiter != NULL) {
        own->waiter->answer = own;
        sem_post(&own->waiter->answered);
        return;
    }
    pthread_mutex_lock(&stoa->done_mutex);
    bool first = stoa->done_first == NULL;
    own->next = NULL;
    if (first) {
        stoa->done_last = &stoa->done_first;
    }
    *stoa->done_last = own;
    stoa->done_last = &own->next;
    if (stoa->waiting != 0) {
        pthread_cond_signal(&stoa->done_changed);
    }
    if (first && stoa->done_fd >= 0) {
        (void)eventfd_write(stoa->done_fd, 1); /* it cannot overflow: reap takes it back to 0 */
    }
    pthread_mutex_unlock(&stoa->done_mutex);
}

/* Wait with the mutex held until something is done, nothing is under way, or the time has passed.
 */
static void wait_for_completion(struct stoa *stoa, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    int waited = 0;
    stoa->waiting++;
    while (stoa->done_first == NULL && stoa->under_way != 0 && waited == 0) {
        if (timeout_ms < 0) {
            pthread_cond_wait(&stoa->done_changed, &stoa->done_mutex);
        } else {
            waited = pthread_cond_timedwait(&stoa->done_changed, &stoa->done_mutex, &until);
        }
    }
    stoa->waiting--;
}

int stoa_reap(struct stoa *stoa, struct stoa_completion *out, unsigned count, int timeout_ms)
{
    unsigned taken = 0;
    pthread_mutex_lock(&stoa->done_mutex);
    if (stoa->done_first == NULL && timeout_ms != 0) {
        wait_for_completion(stoa, timeout_ms);
    }
    while (taken < count && stoa->done_first != NULL) {
        struct engine_request *own = stoa->done_first;
        stoa->done_first = own->next;
        fill_completion(own, &out[taken++]);
        if (own->spare != NULL) {
            to_pool(stoa, own->spare);
        }
        to_pool(stoa, own);
    }
    if (taken != 0 && stoa->done_first == NULL && stoa->done_fd >= 0) {
        eventfd_t ignored;
        (void)eventfd_read(stoa->done_fd, &ignored); /* empty again; EAGAIN where it was already */
    }
    count_down(stoa, taken);
    pthread_mutex_unlock(&stoa->done_mutex);
    return (int)taken;
}

int stoa_completion_fd(struct stoa *stoa)
{
    pthread_mutex_lock(&stoa->done_mutex);
    if (stoa->done_fd < 0) {
        stoa->done_fd = eventfd(stoa->done_first != NULL, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    int fd = stoa->done_fd < 0 ? error_from_errno(errno) : stoa->done_fd;
    pthread_mutex_unlock(&stoa->done_mutex);
    return fd;
}
