/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that run on the loop while the caller waits. */
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

static void run_head(struct stoa *stoa, struct engine_call *call)
{
    store_get_head(stoa->store, call->context);
}

int stoa_get_head(struct stoa *stoa, struct stoa_head *out_head)
{
    if (out_head == NULL) {
        return STOA_EINVAL;
    }
    return hot_get_head(stoa->cache, out_head) ? 0
                                               : engine_run_on_loop(stoa, run_head, out_head, NULL);
}

struct branches_call {
    struct stoa_branch *out;
    size_t capacity;
    size_t *out_count;
};

static void run_branches(struct stoa *stoa, struct engine_call *call)
{
    const struct branches_call *branches = call->context;
    call->result =
        store_get_branches(stoa->store, branches->out, branches->capacity, branches->out_count);
}

int stoa_get_branches(struct stoa *stoa, struct stoa_branch *out, size_t capacity,
                      size_t *out_count, struct stoa_detail *detail)
{
    struct branches_call branches = {out, capacity, out_count};
    if (out_count == NULL || (out == NULL && capacity != 0)) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    return engine_run_on_loop(stoa, run_branches, &branches, detail);
}

static void run_stats(struct stoa *stoa, struct engine_call *call)
{
    store_get_stats(stoa->store, call->context);
}

int stoa_get_stats(struct stoa *stoa, struct stoa_stats *out_stats)
{
    struct stoa_stats stats;
    if (out_stats == NULL || !engine_size_is_valid(out_stats->size, sizeof(stats))) {
        return STOA_EINVAL;
    }
    int result = engine_run_on_loop(stoa, run_stats, &stats, NULL);
    if (result == 0) {
        size_t size = out_stats->size;
        memcpy(out_stats, &stats, size);
        out_stats->size = size;
    }
    return result;
}

static void run_checkpoint(struct stoa *stoa, struct engine_call *call)
{
    engine_warm_save_soon(stoa);
    call->result = store_checkpoint(stoa->store, &call->detail);
}

int stoa_checkpoint(struct stoa *stoa, struct stoa_detail *detail)
{
    return engine_run_on_loop(stoa, run_checkpoint, NULL, detail);
}

/* Damages are kept while the loop verifies and told on the caller's thread. */
struct kept_damage {
    struct stoa_damage damage;
    char file[64];
    char what[256];
    struct kept_damage *next;
};

struct verify_call {
    struct stoa_verify_report report;
    struct kept_damage *first;
    struct kept_damage **last;
    unsigned kept;
};

static void keep_damage(void *context, const struct stoa_damage *damage)
{
    struct verify_call *verify = context;
    if (verify->kept == DAMAGES_KEPT_MAX) {
        return; /* the report still counts it */
    }
    struct kept_damage *kept = memory_alloc_zeroed(1, sizeof(*kept));
    if (kept == NULL) {
        return; /* likewise */
    }
    kept->damage = *damage;
    snprintf(kept->file, sizeof(kept->file), "%s", damage->file);
    snprintf(kept->what, sizeof(kept->what), "%s", damage->what);
    kept->damage.file = kept->file;
    kept->damage.what = kept->what;
    *verify->last = kept;
    verify->last = &kept->next;
    verify->kept++;
}

static void run_verify(struct stoa *stoa, struct engine_call *call)
{
    struct verify_call *verify = call->context;
    while (store_pending(stoa->store) != 0 && call->result >= 0) { /* it wants the store quiet */
        call->result = io_run(stoa->io, LOOP_WAIT_NS);
    }
    if (call->result < 0) {
        (void)error_set(&call->detail, call->result, "verify"); /* the result is in the call */
        return;
    }
    call->result = store_verify(stoa->store, keep_damage, verify, &verify->report, &call->detail);
}

int stoa_verify(struct stoa *stoa, void (*damage)(void *context, const struct stoa_damage *damage),
                void *context, struct stoa_verify_report *out_report, struct stoa_detail *detail)
{
    struct verify_call verify = {.kept = 0};
    verify.last = &verify.first;
    if (out_report == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = engine_run_on_loop(stoa, run_verify, &verify, detail);
    while (verify.first != NULL) {
        struct kept_damage *kept = verify.first;
        verify.first = kept->next;
        if (damage != NULL) {
            damage(context, &kept->damage);
        }
        memory_free(kept);
    }
    if (result == 0 || result == STOA_ECORRUPT) {
        *out_report = verify.report;
    }
    return result;
}
