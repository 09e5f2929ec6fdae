/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to the store: submitted, waited for, reaped. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"

/* With the mutex held: after COUNT fewer are under way, nobody waits for nothing. */
static void count_down(struct stoa *stoa, unsigned count)
{
    ensure(stoa->under_way >= count);
    stoa->under_way -= count;
    if (stoa->under_way == 0 && stoa->waiting != 0) {
        pthread_cond_broadcast(&stoa->done_changed);
    }
}

/* What was counted as submitted was not. */
static void not_under_way(struct stoa *stoa, bool blocking)
{
    if (!blocking) {
        pthread_mutex_lock(&stoa->done_mutex);
        count_down(stoa, 1);
        pthread_mutex_unlock(&stoa->done_mutex);
    }
}

/* STOA_EBUSY: as many as may be are under way. STOA_ENOMEM. */
static int take_request(struct stoa *stoa, bool blocking, struct engine_request **out_request)
{
    pthread_mutex_lock(&stoa->done_mutex);
    struct engine_request *own = NULL;
    bool full = !blocking && stoa->under_way >= UNDER_WAY_MAX;
    if (!full && stoa->free_requests != NULL) {
        own = stoa->free_requests;
        stoa->free_requests = own->next;
    }
    if (!full && !blocking) {
        stoa->under_way++;
    }
    pthread_mutex_unlock(&stoa->done_mutex);
    if (full) {
        return STOA_EBUSY;
    }
    if (own == NULL) {
        own = memory_alloc(sizeof(*own));
        if (own == NULL) {
            not_under_way(stoa, blocking);
            return STOA_ENOMEM;
        }
    }
    own->message.kind = MESSAGE_REQUEST;
    own->stoa = stoa;
    own->blocking = blocking;
    own->retried = false;
    memset(&own->request, 0, sizeof(own->request));
    *out_request = own;
    return 0;
}

static void give_back(struct stoa *stoa, struct engine_request *own)
{
    pthread_mutex_lock(&stoa->done_mutex);
    own->next = stoa->free_requests;
    stoa->free_requests = own;
    pthread_mutex_unlock(&stoa->done_mutex);
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
    *out = own;
    bool valid = (own.skip & ~(unsigned)STOA_SKIP_ALL) == 0 &&
                 (own.flags & ~(unsigned)(STOA_STORE_SIDE | STOA_STORE_CANONICAL)) == 0 &&
                 own.flags != (STOA_STORE_SIDE | STOA_STORE_CANONICAL) && own.block.data != NULL &&
                 (own.changes != NULL || own.change_count == 0);
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
        *out_kind = STORE_GET_BLOCK;
        return true;
    case STOA_MESSAGE_GET_TRANSACTION:
        *out_kind = STORE_GET_TRANSACTION;
        return true;
    case STOA_MESSAGE_GET_STATE:
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
    default:
        return false;
    }
}

/* Number and treatment of a message, as the caller wants it. STOA_EINVAL. */
static int take_call(struct stoa *stoa, struct engine_request *own, enum stoa_message message,
                     const struct stoa_call *call, enum mailbox_lane *out_lane)
{
    static const enum mailbox_lane lanes[] = {
        [STOA_PRIORITY_LOW] = MAILBOX_LOW,
        [STOA_PRIORITY_NORMAL] = MAILBOX_NORMAL,
        [STOA_PRIORITY_HIGH] = MAILBOX_HIGH,
        [STOA_PRIORITY_CRITICAL] = MAILBOX_CRITICAL,
    };
    struct stoa_call given = STOA_CALL_INIT;
    if (call != NULL) {
        if (!engine_size_is_valid(call->size, sizeof(given)) ||
            call->priority < STOA_PRIORITY_DEFAULT || call->priority > STOA_PRIORITY_CRITICAL) {
            return STOA_EINVAL;
        }
        memcpy(&given, call, call->size);
    }
    own->what = message;
    own->tag = given.tag;
    own->correlation_id = given.correlation_id;
    if (own->correlation_id == 0) {
        own->correlation_id =
            atomic_fetch_add_explicit(&stoa->next_correlation, 1, memory_order_relaxed);
    }
    *out_lane = lanes[given.priority != STOA_PRIORITY_DEFAULT ? given.priority
                                                              : message_priorities[message]];
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
        request->key = *(const struct stoa_block_key *)what;
        return request->key.by < STOA_BY_HEIGHT || request->key.by > STOA_LATEST ? STOA_EINVAL : 0;
    case STORE_UPDATE_HEAD:
    case STORE_GET_TRANSACTION:
        memcpy(request->hash, what, 32);
        return 0;
    case STORE_GET_STATE: {
        const struct stoa_bytes *key = what;
        if (key->data == NULL || key->size < 1 || key->size > STATE_KEY_MAX) {
            return STOA_EINVAL;
        }
        memcpy(own->state_key, key->data, key->size);
        request->state_key = bytes_of(own->state_key, key->size);
        return 0;
    }
    }
    return STOA_EINVAL;
}

/* A message of the caller's, ready for the mailbox. STOA_EINVAL, STOA_ENOTSUP. */
static int fill_request(struct stoa *stoa, struct engine_request *own, enum stoa_message message,
                        const void *argument, const struct stoa_call *call,
                        enum mailbox_lane *out_lane)
{
    enum store_request_kind kind;
    if (message <= STOA_MESSAGE_NONE || message >= STOA_MESSAGE_END) {
        return STOA_EINVAL;
    }
    if (!find_kind(message, &kind)) {
        return STOA_ENOTSUP;
    }
    int result = take_call(stoa, own, message, call, out_lane);
    return result == 0 ? fill_argument(own, kind, argument) : result;
}

/* Submit and wait. OUT_REQUEST gets what came back. */
static int ask(struct stoa *stoa, enum stoa_message message, const void *what,
               struct store_request *out_request, struct stoa_detail *detail)
{
    struct engine_request *own;
    int result = take_request(stoa, true, &own);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    enum mailbox_lane lane;
    result = fill_request(stoa, own, message, what, NULL, &lane);
    if (result == 0) {
        sem_init(&own->answered, 0, 0);
        result = mailbox_push(stoa->mailbox, lane, &own->message);
        if (result == 0) {
            while (sem_wait(&own->answered) != 0) {
                ensure(errno == EINTR);
            }
        }
        sem_destroy(&own->answered);
        if (result == 0) {
            result = own->request.result;
            *out_request = own->request;
            engine_tell(detail, &own->request.detail);
            give_back(stoa, own);
            return result;
        }
    }
    give_back(stoa, own);
    return engine_refuse(detail, result, stoa_strerror(result));
}

int stoa_submit(struct stoa *stoa, enum stoa_message message, const void *argument,
                const struct stoa_call *call)
{
    struct engine_request *own;
    int result = take_request(stoa, false, &own);
    if (result != 0) {
        return result;
    }
    enum mailbox_lane lane;
    result = fill_request(stoa, own, message, argument, call, &lane);
    if (result == 0) {
        result = mailbox_push(stoa->mailbox, lane, &own->message);
    }
    if (result != 0) {
        give_back(stoa, own);
        not_under_way(stoa, false);
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
    int result = ask(stoa, block_message(key), key, &request, detail);
    if (result == 0) {
        *out_block = request.block;
    }
    return result;
}

int stoa_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_transaction == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
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
    int result = ask(stoa, STOA_MESSAGE_GET_STATE, &key, &request, detail);
    if (result == 0) {
        *out_value = (struct stoa_bytes){request.value.data, request.value.size};
    }
    return result;
}

void stoa_free(void *pointer)
{
    memory_free(pointer);
}

void stoa_release(struct stoa_view *view)
{
    if (view == NULL) {
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

int stoa_submit_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                                const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_TRANSACTION, hash, call);
}

int stoa_submit_get_state(struct stoa *stoa, struct stoa_bytes key, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_STATE, &key, call);
}

/* ---- completions ---- */

static void fill_completion(const struct engine_request *own, struct stoa_completion *out)
{
    const struct store_request *request = &own->request;
    *out = (struct stoa_completion){
        .tag = own->tag,
        .correlation_id = own->correlation_id,
        .message = own->what,
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
    if (request->kind == STORE_GET_BLOCK) {
        out->block = request->block;
    } else if (request->kind == STORE_GET_TRANSACTION) {
        out->transaction = request->transaction;
    } else if (request->kind == STORE_GET_STATE) {
        out->value = (struct stoa_bytes){request->value.data, request->value.size};
    }
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
        own->next = stoa->free_requests;
        stoa->free_requests = own;
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
