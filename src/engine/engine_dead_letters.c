/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The box of dead letters, for its operator. The loop owns it: each call runs there. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "engine/engine_private.h"

static struct engine_request *request_of(struct dead_letter *letter)
{
    return (struct engine_request *)(void *)((char *)letter -
                                             offsetof(struct engine_request, letter));
}

struct list_call {
    struct stoa_dead_letter *out;
    size_t capacity;
    size_t count;
};

static void fill(const struct engine_request *own, uint64_t now_ns, struct stoa_dead_letter *out)
{
    *out = (struct stoa_dead_letter){
        .id = own->letter.id,
        .correlation_id = own->entry.id,
        .message = own->what,
        .reason = own->request.result,
        .tries = own->tries,
        .age_ms = (now_ns - own->letter.since_ns) / 1000000,
        .bytes = own->letter.size,
    };
    snprintf(out->text, sizeof(out->text), "%.*s", (int)sizeof(out->text) - 1,
             own->request.detail.text);
}

static void run_list(struct stoa *stoa, struct engine_call *call)
{
    struct list_call *list = call->context;
    uint64_t now = io_now_ns(stoa->io);
    dead_letters_age(stoa->dead_letters, now);
    struct dead_letter *letter = dead_letters_first(stoa->dead_letters);
    for (; letter != NULL; letter = letter->next) {
        if (list->count < list->capacity) {
            fill(request_of(letter), now, &list->out[list->count]);
        }
        list->count++;
    }
}

int stoa_dead_letters_list(struct stoa *stoa, struct stoa_dead_letter *out, size_t capacity,
                           size_t *out_count)
{
    struct list_call list = {.out = out, .capacity = capacity};
    if (out_count == NULL || (out == NULL && capacity != 0)) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return stoa->remote->letters_list(stoa->remote_state, out, capacity, out_count);
    }
    int result = engine_run_on_loop(stoa, run_list, &list, NULL);
    if (result == 0) {
        *out_count = list.count;
    }
    return result;
}

struct retry_call {
    uint64_t id;
    struct engine_request *spare;
    struct engine_waiter waiter;
};

static void run_retry(struct stoa *stoa, struct engine_call *call)
{
    struct retry_call *retry = call->context;
    dead_letters_age(stoa->dead_letters, io_now_ns(stoa->io));
    struct dead_letter *letter = dead_letters_find(stoa->dead_letters, retry->id);
    if (letter == NULL) {
        call->result = STOA_ENOTFOUND;
        return;
    }
    dead_letters_take(stoa->dead_letters, letter);
    struct engine_request *own = request_of(letter);
    ensure(own->spare == NULL && own->waiter == NULL);
    own->spare = retry->spare;
    own->waiter = &retry->waiter;
    own->given_up = false;
    own->durability = STOA_DURABLE;
    retry->spare = NULL;
    engine_deliver(stoa, own);
}

int stoa_dead_letters_retry(struct stoa *stoa, uint64_t id, struct stoa_detail *detail)
{
    if (stoa->remote != NULL) {
        return stoa->remote->letters_retry(stoa->remote_state, id, detail);
    }
    struct retry_call retry = {.id = id, .spare = engine_request_take(stoa)};
    if (retry.spare == NULL) {
        return engine_refuse(detail, STOA_ENOMEM, stoa_strerror(STOA_ENOMEM));
    }
    sem_init(&retry.waiter.answered, 0, 0);
    int result = engine_run_on_loop(stoa, run_retry, &retry, detail);
    if (result != 0) {
        sem_destroy(&retry.waiter.answered);
        engine_request_give(stoa, retry.spare);
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_wait_for_answer(stoa, &retry.waiter);
    struct engine_request *answer = retry.waiter.answer;
    result = answer->request.result;
    engine_tell(detail, &answer->request.detail);
    engine_request_give(stoa, answer);
    return result;
}

static void run_drop(struct stoa *stoa, struct engine_call *call)
{
    const uint64_t *id = call->context;
    struct dead_letters *box = stoa->dead_letters;
    struct dead_letter *letter = *id == 0 ? dead_letters_first(box) : dead_letters_find(box, *id);
    if (letter == NULL && *id != 0) {
        call->result = STOA_ENOTFOUND;
    }
    while (letter != NULL) {
        dead_letters_drop(box, letter);
        letter = *id == 0 ? dead_letters_first(box) : NULL;
    }
}

int stoa_dead_letters_drop(struct stoa *stoa, uint64_t id)
{
    if (stoa->remote != NULL) {
        return stoa->remote->letters_drop(stoa->remote_state, id);
    }
    return engine_run_on_loop(stoa, run_drop, &id, NULL);
}

static void run_count(struct stoa *stoa, struct engine_call *call)
{
    dead_letters_age(stoa->dead_letters, io_now_ns(stoa->io));
    dead_letters_count(stoa->dead_letters, call->context);
}

int stoa_dead_letters_count(struct stoa *stoa, struct stoa_dead_letter_counts *out_counts)
{
    struct dead_letters_counts counts;
    if (out_counts == NULL || !engine_size_is_valid(out_counts->size, sizeof(*out_counts))) {
        return STOA_EINVAL;
    }
    if (stoa->remote != NULL) {
        return engine_remote_letters_count(stoa, out_counts);
    }
    int result = engine_run_on_loop(stoa, run_count, &counts, NULL);
    if (result == 0) {
        struct stoa_dead_letter_counts own = {
            .size = out_counts->size,
            .kept = counts.kept,
            .kept_bytes = counts.size,
            .added = counts.added,
            .retried = counts.taken,
            .dropped = counts.dropped,
            .aged = counts.aged,
            .displaced = counts.displaced,
        };
        memcpy(out_counts, &own, out_counts->size);
    }
    return result;
}
