/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/engine_remote.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"

enum { REMOTE_MARK = 4 }; /* of views: 1 and 2 are the cache's and copies of state */

struct stoa_view *engine_remote_mark(struct engine_remote_view *view)
{
    ensure(((uintptr_t)view & 7) == 0);
    return (struct stoa_view *)((uintptr_t)view | REMOTE_MARK);
}

bool engine_remote_release(struct stoa_view *view)
{
    if (((uintptr_t)view & 7) != REMOTE_MARK) {
        return false;
    }
    struct engine_remote_view *own =
        (struct engine_remote_view *)((uintptr_t)view & ~(uintptr_t)REMOTE_MARK);
    own->release(own);
    return true;
}

int engine_remote_make(const struct engine_remote_ops *ops, void *state, struct stoa **out_stoa)
{
    const struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa *stoa = engine_make("", &options);
    if (stoa == NULL) {
        return STOA_ENOMEM;
    }
    stoa->remote = ops;
    stoa->remote_state = state;
    *out_stoa = stoa;
    return 0;
}

int engine_remote_close(struct stoa *stoa, struct stoa_detail *detail)
{
    int result = stoa->remote->close(stoa->remote_state, detail);
    if (result == 0) {
        engine_free(stoa);
    }
    return result;
}

void engine_remote_forget(struct stoa_completion *completion)
{
    engine_completion_drop(completion);
}

/* What came as a completion, in the form that the calls take it from a request of the loop's. */
static void fill_answer(struct engine_request *own, const struct stoa_completion *completion)
{
    struct store_request *request = &own->request;
    request->result = completion->result;
    request->detail.code = completion->detail.code;
    request->detail.os_error = completion->detail.os_error;
    memcpy(request->detail.text, completion->detail.text, sizeof(request->detail.text));
    request->height = completion->height;
    memcpy(request->hash, completion->hash, sizeof(request->hash));
    request->block = completion->block;
    request->transaction = completion->transaction;
    request->value = bytes_of(completion->value.data, completion->value.size);
    request->account = completion->account;
    request->proof = completion->proof;
    request->logs = completion->logs;
    request->history = completion->history;
    request->blocks = completion->blocks;
    request->block_count = completion->block_count;
    request->headers = completion->headers;
    own->head = completion->head;
    own->report = completion->stats != NULL         ? (void *)completion->stats
                  : completion->cache_stats != NULL ? (void *)completion->cache_stats
                  : completion->health != NULL      ? (void *)completion->health
                  : completion->branches != NULL    ? (void *)completion->branches
                  : completion->verified != NULL    ? (void *)completion->verified
                  : completion->jobs != NULL        ? (void *)completion->jobs
                  : completion->copies != NULL      ? (void *)completion->copies
                  : completion->archive != NULL     ? (void *)completion->archive
                  : completion->storage != NULL     ? (void *)completion->storage
                                                    : (void *)completion->analysis;
    own->damages = completion->damages;
    own->report_count = completion->branches != NULL ? completion->branch_count
                        : completion->jobs != NULL   ? completion->job_count
                        : completion->copies != NULL ? completion->copy_count
                                                     : completion->damage_count;
}

int engine_remote_wait(struct stoa *stoa, enum stoa_message message, const void *argument,
                       const struct stoa_call *call, struct engine_request **out_answer)
{
    struct stoa_completion completion;
    struct engine_request *own = engine_request_take(stoa);
    if (own == NULL) {
        return STOA_ENOMEM;
    }
    own->what = message;
    stoa->remote->ask(stoa->remote_state, message, argument, call, &completion);
    fill_answer(own, &completion);
    *out_answer = own;
    return 0;
}

int engine_remote_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
                      const struct stoa_call *call, struct stoa_completion *out_completion)
{
    int result = engine_request_check(stoa, message, argument, call);
    if (result != 0) {
        *out_completion = (struct stoa_completion){
            .message = message, .effect = STOA_EFFECT_NONE, .result = result};
        return engine_refuse(&out_completion->detail, result, stoa_strerror(result));
    }
    stoa->remote->ask(stoa->remote_state, message, argument, call, out_completion);
    return out_completion->result;
}

int engine_remote_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                             struct stoa_header *out_header, struct stoa_detail *detail)
{
    struct stoa_completion completion;
    (void)engine_remote_ask(stoa, STOA_MESSAGE_GET_HEADER, key, NULL, &completion); /* below */
    if (detail != NULL) {
        *detail = completion.detail;
    }
    if (completion.result == 0) {
        *out_header = completion.header;
    }
    return completion.result;
}

int engine_remote_get_health(struct stoa *stoa, struct stoa_health *out_health)
{
    struct stoa_completion completion;
    stoa->remote->ask(stoa->remote_state, STOA_MESSAGE_GET_HEALTH, NULL, NULL, &completion);
    if (completion.result == 0) {
        size_t size = out_health->size;
        memcpy(out_health, completion.health, size);
        out_health->size = size;
        memory_free(completion.health);
    }
    return completion.result;
}

int engine_remote_get_cache_stats(struct stoa *stoa, struct stoa_cache_stats *out_stats)
{
    struct stoa_completion completion;
    stoa->remote->ask(stoa->remote_state, STOA_MESSAGE_GET_CACHE_STATS, NULL, NULL, &completion);
    if (completion.result == 0) {
        size_t size = out_stats->size;
        memcpy(out_stats, completion.cache_stats, size);
        out_stats->size = size;
        memory_free(completion.cache_stats);
    }
    return completion.result;
}

int engine_remote_wait_health(struct stoa *stoa, uint64_t seen, int timeout_ms,
                              struct stoa_health *out_health)
{
    struct stoa_health health = STOA_HEALTH_INIT;
    int result = stoa->remote->wait_health(stoa->remote_state, seen, timeout_ms, &health);
    if (result == 0 || result == STOA_ETIMEOUT) {
        size_t size = out_health->size;
        memcpy(out_health, &health, size);
        out_health->size = size;
    }
    return result;
}

int engine_remote_letters_count(struct stoa *stoa, struct stoa_dead_letter_counts *out_counts)
{
    struct stoa_dead_letter_counts counts = STOA_DEAD_LETTER_COUNTS_INIT;
    int result = stoa->remote->letters_count(stoa->remote_state, &counts);
    if (result == 0) {
        size_t size = out_counts->size;
        memcpy(out_counts, &counts, size);
        out_counts->size = size;
    }
    return result;
}
