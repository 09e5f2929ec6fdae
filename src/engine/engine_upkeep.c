/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that run on the loop while the caller waits; and the forms of what the engine itself is
 * asked (engine_serve.c). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/hot.h"

int engine_run_on_loop(struct stoa *stoa, void (*run)(struct stoa *stoa, struct engine_call *call),
                       void *context, struct stoa_detail *detail)
{
    struct engine_call own = {.message = {.kind = MESSAGE_CALL}, .run = run, .context = context};
    if (stoa->remote != NULL) { /* it has no loop: what can go over a socket is asked otherwise */
        return engine_refuse(detail, STOA_ENOTSUP, stoa_strerror(STOA_ENOTSUP));
    }
    sem_init(&own.answered, 0, 0);
    int result = mailbox_push(stoa->mailbox, MAILBOX_HIGH, &own.message);
    if (result != 0) {
        sem_destroy(&own.answered);
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    while (sem_wait(&own.answered) != 0) {
        ensure(errno == EINTR);
    }
    sem_destroy(&own.answered);
    engine_tell(detail, &own.detail);
    return own.result;
}

/* Ask the engine itself. *OUT_ANSWER is the caller's to give back, whatever is returned, or NULL.
 */
static int ask_with(struct stoa *stoa, enum stoa_message message, const void *argument,
                    struct engine_request **out_answer, struct stoa_detail *detail)
{
    *out_answer = NULL;
    int result = engine_request_wait(stoa, message, argument, NULL, out_answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &(*out_answer)->request.detail);
    return (*out_answer)->request.result;
}

static int ask(struct stoa *stoa, enum stoa_message message, struct engine_request **out_answer,
               struct stoa_detail *detail)
{
    return ask_with(stoa, message, NULL, out_answer, detail);
}

static void give_back(struct stoa *stoa, struct engine_request *answer)
{
    if (answer != NULL) {
        engine_serve_forget(answer);
        engine_request_give(stoa, answer);
    }
}

/* ask, of what brings nothing. */
static int tell(struct stoa *stoa, enum stoa_message message, struct stoa_detail *detail)
{
    struct engine_request *answer;
    int result = ask(stoa, message, &answer, detail);
    give_back(stoa, answer); /* with what a job reports */
    return result;
}

int stoa_get_head(struct stoa *stoa, struct stoa_head *out_head)
{
    struct engine_request *answer;
    if (out_head == NULL) {
        return STOA_EINVAL;
    }
    if (hot_get_head(stoa->cache, out_head)) {
        return 0;
    }
    int result = ask(stoa, STOA_MESSAGE_GET_HEAD, &answer, NULL);
    if (result == 0) {
        *out_head = answer->head;
    }
    give_back(stoa, answer);
    return result;
}

int stoa_get_branches(struct stoa *stoa, struct stoa_branch *out, size_t capacity,
                      size_t *out_count, struct stoa_detail *detail)
{
    struct engine_request *answer;
    if (out_count == NULL || (out == NULL && capacity != 0)) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STOA_MESSAGE_GET_BRANCHES, &answer, detail);
    if (result == 0) {
        const struct stoa_branch *branches = answer->report;
        for (size_t i = 0; i < answer->report_count && i < capacity; i++) {
            out[i] = branches[i];
        }
        *out_count = answer->report_count;
    }
    give_back(stoa, answer);
    return result;
}

/* Ask for a report that begins with its size: OUT_REPORT takes as much of SIZE as it has room. */
static int ask_report(struct stoa *stoa, enum stoa_message message, void *out_report, size_t size,
                      struct stoa_detail *detail)
{
    struct engine_request *answer;
    size_t room = 0;
    if (out_report != NULL) {
        memcpy(&room, out_report, sizeof(room));
    }
    if (out_report == NULL || !engine_size_is_valid(room, size)) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, message, &answer, detail);
    if (result == 0) {
        memcpy(out_report, answer->report, room);
        memcpy(out_report, &room, sizeof(room));
    }
    give_back(stoa, answer);
    return result;
}

int stoa_get_stats(struct stoa *stoa, struct stoa_stats *out_stats)
{
    return ask_report(stoa, STOA_MESSAGE_GET_STATS, out_stats, sizeof(*out_stats), NULL);
}

int stoa_checkpoint(struct stoa *stoa, struct stoa_detail *detail)
{
    return tell(stoa, STOA_MESSAGE_CHECKPOINT, detail);
}

int stoa_flush_cache(struct stoa *stoa, struct stoa_detail *detail)
{
    return tell(stoa, STOA_MESSAGE_FLUSH_CACHE, detail);
}

int stoa_warm_cache(struct stoa *stoa, struct stoa_detail *detail)
{
    return tell(stoa, STOA_MESSAGE_WARM_CACHE, detail);
}

static int ask_damages(struct stoa *stoa, enum stoa_message message, const int *argument,
                       void (*damage)(void *context, const struct stoa_damage *damage),
                       void *context, struct stoa_verify_report *out_report,
                       struct stoa_detail *detail)
{
    struct engine_request *answer;
    int result = ask_with(stoa, message, argument, &answer, detail);
    if (answer != NULL && answer->report != NULL && (result == 0 || result == STOA_ECORRUPT)) {
        memcpy(out_report, answer->report, sizeof(*out_report));
        for (size_t i = 0; damage != NULL && i < answer->report_count; i++) {
            damage(context, &answer->damages[i]);
        }
    }
    give_back(stoa, answer);
    return result;
}

static int verify_all(struct stoa *stoa, int deep,
                      void (*damage)(void *context, const struct stoa_damage *damage),
                      void *context, struct stoa_verify_report *out_report,
                      struct stoa_detail *detail)
{
    if (out_report == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    return ask_damages(stoa, STOA_MESSAGE_VERIFY, &deep, damage, context, out_report, detail);
}

int stoa_list_damages(struct stoa *stoa,
                      void (*damage)(void *context, const struct stoa_damage *damage),
                      void *context, struct stoa_scrub_report *out_report,
                      struct stoa_detail *detail)
{
    struct stoa_verify_report report = {.segments = 0};
    int result =
        ask_damages(stoa, STOA_MESSAGE_LIST_DAMAGES, NULL, damage, context, &report, detail);
    if (result == 0 && out_report != NULL) {
        *out_report = (struct stoa_scrub_report){.segments = report.segments,
                                                 .frames = report.frames,
                                                 .bytes = report.bytes,
                                                 .damages = report.damages};
    }
    return result;
}

int stoa_verify(struct stoa *stoa, void (*damage)(void *context, const struct stoa_damage *damage),
                void *context, struct stoa_verify_report *out_report, struct stoa_detail *detail)
{
    return verify_all(stoa, 0, damage, context, out_report, detail);
}

int stoa_verify_deep(struct stoa *stoa,
                     void (*damage)(void *context, const struct stoa_damage *damage), void *context,
                     struct stoa_verify_report *out_report, struct stoa_detail *detail)
{
    return verify_all(stoa, 1, damage, context, out_report, detail);
}

int stoa_analyze(struct stoa *stoa, struct stoa_analysis *out_analysis, struct stoa_detail *detail)
{
    return ask_report(stoa, STOA_MESSAGE_ANALYZE_STORE, out_analysis, sizeof(*out_analysis),
                      detail);
}

struct changes_call {
    const struct stoa_block_key *key;
    struct stoa_block_changes **out;
};

static void run_changes(struct stoa *stoa, struct engine_call *call)
{
    const struct changes_call *changes = call->context;
    call->result = store_get_changes(stoa->store, changes->key, changes->out, &call->detail);
}

int stoa_get_block_changes(struct stoa *stoa, const struct stoa_block_key *key,
                           struct stoa_block_changes **out_changes, struct stoa_detail *detail)
{
    struct changes_call changes = {key, out_changes};
    if (key == NULL || out_changes == NULL || (unsigned)key->by > STOA_LATEST) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    if (stoa->remote != NULL) {
        return stoa->remote->block_changes(stoa->remote_state, key, out_changes, detail);
    }
    return engine_run_on_loop(stoa, run_changes, &changes, detail);
}

/* ---- the same, submitted ---- */

int stoa_submit_get_head(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_HEAD, NULL, call);
}

int stoa_submit_get_branches(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_BRANCHES, NULL, call);
}

int stoa_submit_get_stats(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_STATS, NULL, call);
}

int stoa_submit_get_cache_stats(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_CACHE_STATS, NULL, call);
}

int stoa_submit_get_health(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_GET_HEALTH, NULL, call);
}

int stoa_submit_checkpoint(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_CHECKPOINT, NULL, call);
}

int stoa_submit_verify(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_VERIFY, NULL, call);
}

int stoa_submit_verify_deep(struct stoa *stoa, const struct stoa_call *call)
{
    static const int deep = 1;
    return stoa_submit(stoa, STOA_MESSAGE_VERIFY, &deep, call);
}

int stoa_submit_analyze(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_ANALYZE_STORE, NULL, call);
}

int stoa_submit_rebuild_index(struct stoa *stoa, int index, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_REBUILD_INDEX, &index, call);
}

int stoa_submit_flush_cache(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_FLUSH_CACHE, NULL, call);
}

int stoa_submit_warm_cache(struct stoa *stoa, const struct stoa_call *call)
{
    return stoa_submit(stoa, STOA_MESSAGE_WARM_CACHE, NULL, call);
}
