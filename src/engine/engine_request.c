/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages on their way in: taken from the pool, checked, numbered, and put into the mailbox. The
 * typed forms are in engine_calls.c, the way out in engine_completions.c. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "io/look.h"
#include "store/hot.h"

enum { LOOK_NS = 20000 };

void engine_request_count_down(struct stoa *stoa, unsigned count)
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

void engine_request_to_pool(struct stoa *stoa, struct engine_request *own)
{
    memory_free(own->copy);
    engine_jobs_forget(own);
    memory_free(own->changes);
    memory_free(own->blocks);
    own->copy = NULL;
    own->changes = NULL;
    own->blocks = NULL;
    engine_prepare_give(stoa, own);
    own->next = stoa->free_requests;
    stoa->free_requests = own;
}

void engine_request_give(struct stoa *stoa, struct engine_request *own)
{
    if (own != NULL) {
        pthread_mutex_lock(&stoa->done_mutex);
        if (own->spare != NULL) {
            engine_request_to_pool(stoa, own->spare);
        }
        engine_request_to_pool(stoa, own);
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

static bool changes_are_valid(const struct stoa_change *changes, size_t count)
{
    bool valid = changes != NULL || count == 0;
    for (size_t i = 0; valid && i < count; i++) {
        valid = changes[i].key.data != NULL;
    }
    return valid;
}

int engine_request_copy_put(const struct stoa_store_block *block, struct stoa_store_block *out)
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
        own.block.data != NULL && (own.accounts != NULL || own.account_count == 0) &&
        (own.slots != NULL || own.slot_count == 0) && (own.codes != NULL || own.code_count == 0);
    for (size_t i = 0; valid && i < own.code_count; i++) {
        valid = own.codes[i].data != NULL || own.codes[i].size == 0;
    }
    return valid && changes_are_valid(own.changes, own.change_count) ? 0 : STOA_EINVAL;
}

/* The store takes changes that come alone as it takes a block's. */
static int copy_update(const struct stoa_state_update *update, struct stoa_store_block *out)
{
    struct stoa_state_update own = STOA_STATE_UPDATE_INIT;
    if (!engine_size_is_valid(update->size, sizeof(own))) {
        return STOA_EINVAL;
    }
    memcpy(&own, update, update->size);
    if (own.change_count == 0 || !changes_are_valid(own.changes, own.change_count)) {
        return STOA_EINVAL;
    }
    *out = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    out->changes = own.changes;
    out->change_count = own.change_count;
    return 0;
}

/* Receipts that come alone, likewise. */
static int copy_receipts(const struct stoa_store_receipts *receipts, struct stoa_store_block *out)
{
    struct stoa_store_receipts own = STOA_STORE_RECEIPTS_INIT;
    if (!engine_size_is_valid(receipts->size, sizeof(own))) {
        return STOA_EINVAL;
    }
    memcpy(&own, receipts, receipts->size);
    if (own.block_hash == NULL || own.receipts.data == NULL ||
        (own.skip & ~(unsigned)STOA_SKIP_RECEIPTS) != 0) {
        return STOA_EINVAL;
    }
    *out = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    out->receipts = own.receipts;
    out->expected_hash = own.block_hash;
    out->skip = own.skip;
    return 0;
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
    case STOA_MESSAGE_GET_BLOCK_RECEIPTS:
    case STOA_MESSAGE_GET_HEADER:
        *out_kind = STORE_GET_BLOCK;
        return true;
    case STOA_MESSAGE_GET_TRANSACTION:
    case STOA_MESSAGE_GET_RECEIPT:
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
    case STOA_MESSAGE_UPDATE_STATE:
        *out_kind = STORE_UPDATE_STATE;
        return true;
    case STOA_MESSAGE_STORE_RECEIPTS:
        *out_kind = STORE_RECEIPTS;
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
    case STOA_MESSAGE_CHECKPOINT:
        *out_kind = STORE_CHECKPOINT;
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
    case STOA_MESSAGE_GET_PROOF:
        *out_kind = STORE_GET_PROOF;
        return true;
    case STOA_MESSAGE_GET_STATE_ROOT:
        *out_kind = STORE_GET_STATE_ROOT;
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

bool engine_parts_are_valid(unsigned parts)
{
    return (parts & ~(unsigned)(STOA_PART_TRANSACTION | STOA_PART_RECEIPT | STOA_PART_SENDER)) == 0;
}

static bool call_is_valid(const struct stoa_call *call)
{
    return call->priority >= STOA_PRIORITY_DEFAULT && call->priority <= STOA_PRIORITY_CRITICAL &&
           (call->durability == STOA_DURABLE || call->durability == STOA_BUFFERED) &&
           (call->flags & ~(unsigned)(STOA_CALL_NO_RETRY | STOA_CALL_MORE)) == 0 &&
           engine_parts_are_valid(call->parts);
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
    own->request.parts = given.parts;
    if (message == STOA_MESSAGE_GET_RECEIPT && given.parts != 0) {
        own->request.parts |= STOA_PART_RECEIPT;
    }
    own->pushed_ns = stoa->remote != NULL ? 0 : io_now_ns(stoa->io);
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

/* The slots are copied: few are worth asking whose they are. */
static int copy_proof_query(struct engine_request *own, const struct stoa_proof_query *query)
{
    size_t size = query->slot_count * 32;
    if (query->slot_count > STOA_PROOF_SLOTS_MAX || (size != 0 && query->slots == NULL)) {
        return STOA_EINVAL;
    }
    own->request.proof_query = *query;
    own->request.proof_query.slots = NULL;
    if (size == 0) {
        return 0;
    }
    own->copy = memory_alloc(size);
    if (own->copy == NULL) {
        return STOA_ENOMEM;
    }
    own->copy_size = size;
    memcpy(own->copy, query->slots, size);
    own->request.proof_query.slots = own->copy;
    return 0;
}

/* What is to be done, by kind. STOA_EINVAL, STOA_ENOMEM. */
static int fill_argument(struct engine_request *own, enum store_request_kind kind, const void *what)
{
    struct store_request *request = &own->request;
    request->kind = kind;
    if (kind == STORE_CHECKPOINT) {
        return 0; /* there is no argument */
    }
    if (what == NULL) {
        return STOA_EINVAL;
    }
    switch (kind) {
    case STORE_CHECKPOINT:
        break;
    case STORE_PUT_BLOCK:
        return engine_request_copy_put(what, &request->put);
    case STORE_UPDATE_STATE:
        return copy_update(what, &request->put);
    case STORE_RECEIPTS:
        return copy_receipts(what, &request->put);
    case STORE_SET_SAFE:
    case STORE_SET_FINALIZED:
    case STORE_GET_BLOCK:
    case STORE_BLOCK_EXISTS:
        request->header_only = own->what == STOA_MESSAGE_GET_HEADER;
        request->key = *(const struct stoa_block_key *)what;
        if (own->what == STOA_MESSAGE_GET_HEADER || own->what == STOA_MESSAGE_GET_BLOCK_RECEIPTS) {
            request->key.alone = own->what == STOA_MESSAGE_GET_HEADER;
        }
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
    case STORE_GET_PROOF:
        return copy_proof_query(own, what);
    case STORE_GET_STATE_ROOT:
        request->query.height = *(const uint64_t *)what;
        return 0;
    case STORE_GET_STATE: {
        const struct stoa_bytes *key = what;
        request->query.height = STOA_AT_HEAD;
        if (own->what == STOA_MESSAGE_GET_STATE_AT) {
            const struct stoa_state_at *at = what;
            key = &at->key;
            request->query.height = at->height;
        }
        if (key->data == NULL || key->size < 1 || key->size > RAW_KEY_MAX) {
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
    case STORE_BATCH:
        break; /* engine_batch_fill makes it */
    }
    return STOA_EINVAL;
}

/* A message of the caller's, ready for the mailbox. STOA_EINVAL, STOA_ENOTSUP, STOA_ENOMEM. */
static int fill_request(struct stoa *stoa, struct engine_request *own, enum stoa_message message,
                        const void *argument, const struct stoa_call *call)
{
    enum store_request_kind kind = STORE_GET_BLOCK;
    if (message <= STOA_MESSAGE_NONE || message >= STOA_MESSAGE_END) {
        return STOA_EINVAL;
    }
    bool batch = message == STOA_MESSAGE_BATCH_WRITE;
    own->serve = engine_serve_find(message);
    if (!batch && own->serve == NULL && !find_kind(message, &kind)) {
        return STOA_ENOTSUP;
    }
    int result = take_call(stoa, own, message, call);
    if (result == 0 && batch) {
        result = engine_batch_fill(own, argument, &own->request.detail);
    } else if (result == 0 && own->serve != NULL) {
        result = engine_serve_fill(own, argument);
    } else if (result == 0) {
        result = fill_argument(own, kind, argument);
    }
    bool may_be_told_early = stoa->remote == NULL &&
                             (own->deadline_ns != UINT64_MAX || own->durability == STOA_BUFFERED);
    if (result == 0 && may_be_told_early) {
        own->spare = engine_request_take(stoa);
        result = own->spare == NULL ? STOA_ENOMEM : own->owned ? 0 : engine_copy_arguments(own);
    }
    return result;
}

int engine_request_check(struct stoa *stoa, enum stoa_message message, const void *argument,
                         const struct stoa_call *call)
{
    struct engine_request *own = engine_request_take(stoa);
    int result = own == NULL ? STOA_ENOMEM : fill_request(stoa, own, message, argument, call);
    engine_request_give(stoa, own);
    return result;
}

/* What the loop knows it answers within microseconds, in less time than it takes to sleep and to be
 * woken: so who waits first looks for the answer for a short while. True: it is there. */
static bool comes_at_once(struct stoa *stoa, struct engine_waiter *waiter)
{
    struct look look;
    for (bool on = look_begin(&look, stoa->io, LOOK_NS); on; on = look_again(&look)) {
        if (sem_trywait(&waiter->answered) == 0) {
            return true;
        }
    }
    return false;
}

void engine_wait_for_answer(struct stoa *stoa, struct engine_waiter *waiter)
{
    bool answered = comes_at_once(stoa, waiter);
    while (!answered && sem_wait(&waiter->answered) != 0) {
        ensure(errno == EINTR);
    }
    sem_destroy(&waiter->answered);
}

int engine_request_begin(struct stoa *stoa, enum stoa_message message, const void *argument,
                         const struct stoa_call *call, struct engine_waiter *waiter)
{
    struct engine_request *own = engine_request_take(stoa);
    if (own == NULL) {
        return STOA_ENOMEM;
    }
    int result = fill_request(stoa, own, message, argument, call);
    if (result == 0) {
        engine_prepare(stoa, own);
        *waiter = (struct engine_waiter){.asked = own};
        own->waiter = waiter;
        sem_init(&waiter->answered, 0, 0);
        result = mailbox_push(stoa->mailbox, own->entry.lane, &own->message);
        if (result == 0) {
            return 0;
        }
        sem_destroy(&waiter->answered);
    }
    engine_request_give(stoa, own);
    engine_metrics_refused(stoa, message, result);
    return result;
}

int engine_request_wait(struct stoa *stoa, enum stoa_message message, const void *argument,
                        const struct stoa_call *call, struct engine_request **out_answer)
{
    struct engine_waiter waiter;
    if (stoa->remote != NULL) {
        int checked = engine_request_check(stoa, message, argument, call);
        return checked != 0 ? checked
                            : engine_remote_wait(stoa, message, argument, call, out_answer);
    }
    int result = engine_request_begin(stoa, message, argument, call, &waiter);
    if (result == 0) {
        engine_wait_for_answer(stoa, &waiter);
        *out_answer = waiter.answer;
    }
    return result;
}

int stoa_submit(struct stoa *stoa, enum stoa_message message, const void *argument,
                const struct stoa_call *call)
{
    if (stoa->remote != NULL) {
        int checked = engine_request_check(stoa, message, argument, call);
        return checked != 0 ? checked
                            : stoa->remote->submit(stoa->remote_state, message, argument, call);
    }
    int result = count_up(stoa);
    if (result != 0) {
        engine_metrics_refused(stoa, message, result);
        return result;
    }
    struct engine_request *own = engine_request_take(stoa);
    result = own == NULL ? STOA_ENOMEM : fill_request(stoa, own, message, argument, call);
    bool hot =
        result == 0 && (message == STOA_MESSAGE_GET_HEAD
                            ? hot_get_head(stoa->cache, &own->head)
                            : own->serve == NULL && engine_cache_answer(stoa, &own->request));
    if (hot) {
        engine_tell_answer(stoa, own);
        return 0;
    }
    if (result == 0) {
        result = mailbox_push(stoa->mailbox, own->entry.lane, &own->message);
    }
    if (result != 0) {
        engine_request_give(stoa, own);
        pthread_mutex_lock(&stoa->done_mutex);
        engine_request_count_down(stoa, 1);
        pthread_mutex_unlock(&stoa->done_mutex);
        engine_metrics_refused(stoa, message, result);
    }
    return result;
}
