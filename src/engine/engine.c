/* SPDX-License-Identifier: GPL-3.0-or-later */
/* engine.c: implements stoa.h: one thread runs the loop that owns the store; callers' threads put
 * messages into its mailbox and wait for the answer, or reap it from the queue of completions.
 * Here: making, opening and closing a store. engine_loop.c is the loop's thread, engine_request.c
 * the messages on their way in, engine_completions.c on their way out, engine_calls.c their typed
 * forms, engine_upkeep.c what runs on the loop while a caller waits.
 *
 * Crossing threads: the mailbox; a semaphore a blocking call; the queue of completions (one mutex);
 * the stack of released views (one atomic). Everything else belongs to the loop's thread. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "config.h"
#include "engine/engine_private.h"

const char *stoa_version(void)
{
    return PACKAGE_VERSION;
}

void engine_tell(struct stoa_detail *to, const struct error_detail *from)
{
    static_assert(sizeof(to->text) == sizeof(from->text), "one is copied to the other");
    if (to != NULL) {
        to->code = from->code;
        to->os_error = from->os_error;
        memcpy(to->text, from->text, sizeof(to->text));
    }
}

int engine_refuse(struct stoa_detail *to, int code, const char *text)
{
    struct error_detail detail;
    (void)error_set(&detail, code, "%s", text); /* returned below */
    engine_tell(to, &detail);
    return code;
}

int engine_answered(struct stoa_detail *detail)
{
    static const struct error_detail nothing;
    engine_tell(detail, &nothing);
    return 0;
}

bool engine_size_is_valid(size_t size, size_t known)
{
    return size >= sizeof(size_t) && size <= known;
}

int stoa_create(const char *directory, const struct stoa_create_options *options,
                struct stoa_detail *detail)
{
    struct stoa_create_options own = STOA_CREATE_OPTIONS_INIT;
    if (directory == NULL ||
        (options != NULL && !engine_size_is_valid(options->size, sizeof(own)))) {
        return engine_refuse(detail, STOA_EINVAL, "create: bad argument");
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    struct io *io;
    struct io_options io_options = {.backend = IO_BACKEND_AUTO};
    struct error_detail inner = {.code = 0};
    int result = io_create(&io_options, &io, &inner);
    if (result == 0) {
        inner = (struct error_detail){.code = 0}; /* which loop serves matters at open */
        result = store_create(io, directory, &own, &inner);
        io_destroy(io);
    }
    engine_tell(detail, &inner);
    return result;
}

static void wait_until_open(struct stoa *stoa)
{
    pthread_mutex_lock(&stoa->open_mutex);
    while (stoa->open_state == OPENING || stoa->progress_due) { /* the last one is told as well */
        if (stoa->progress_due) {
            const char *what = stoa->progress_what;
            uint64_t done = stoa->progress_done;
            uint64_t total = stoa->progress_total;
            stoa->progress_due = false;
            pthread_mutex_unlock(&stoa->open_mutex);
            stoa->options.progress(stoa->options.progress_context, what, done, total);
            pthread_mutex_lock(&stoa->open_mutex);
        } else {
            pthread_cond_wait(&stoa->open_changed, &stoa->open_mutex);
        }
    }
    pthread_mutex_unlock(&stoa->open_mutex);
}

void engine_free(struct stoa *stoa)
{
    while (stoa->free_requests != NULL) {
        struct engine_request *next = stoa->free_requests->next;
        memory_free(stoa->free_requests);
        stoa->free_requests = next;
    }
    engine_prepare_free(stoa);
    if (stoa->done_fd >= 0) {
        close(stoa->done_fd);
    }
    pthread_mutex_destroy(&stoa->open_mutex);
    pthread_cond_destroy(&stoa->open_changed);
    pthread_mutex_destroy(&stoa->done_mutex);
    pthread_cond_destroy(&stoa->done_changed);
    sem_destroy(&stoa->left_to_end);
    engine_health_deinit(stoa);
    metrics_destroy(stoa->metrics);
    memory_free(stoa->directory);
    memory_free(stoa);
}

struct stoa *engine_make(const char *directory, const struct stoa_options *options)
{
    struct stoa *stoa = memory_alloc_zeroed(1, sizeof(*stoa));
    if (stoa == NULL) {
        return NULL;
    }
    stoa->directory = memory_copy_text(directory);
    stoa->metrics = metrics_create();
    if (stoa->directory == NULL || stoa->metrics == NULL) {
        metrics_destroy(stoa->metrics);
        memory_free(stoa->directory);
        memory_free(stoa);
        return NULL;
    }
    stoa->options = *options;
    if (engine_health_init(stoa) != 0) {
        metrics_destroy(stoa->metrics);
        memory_free(stoa->directory);
        memory_free(stoa);
        return NULL;
    }
    stoa->done_fd = -1;
    atomic_init(&stoa->released, NULL);
    atomic_init(&stoa->copies_out, 0);
    atomic_init(&stoa->ending, false);
    atomic_init(&stoa->checking, 0);
    atomic_init(&stoa->warming, false);
    atomic_init(&stoa->warmed, 0);
    atomic_init(&stoa->next_correlation, (uint64_t)1 << 63);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&stoa->open_mutex, NULL);
    pthread_cond_init(&stoa->open_changed, NULL);
    pthread_mutex_init(&stoa->done_mutex, NULL);
    pthread_cond_init(&stoa->done_changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sem_init(&stoa->left_to_end, 0, 0);
    return stoa;
}

int stoa_open(const char *directory, const struct stoa_options *options, struct stoa **out_stoa,
              struct stoa_detail *detail)
{
    struct stoa_options own = STOA_OPTIONS_INIT;
    if (directory == NULL || out_stoa == NULL ||
        (options != NULL && !engine_size_is_valid(options->size, sizeof(own)))) {
        return engine_refuse(detail, STOA_EINVAL, "open: bad argument");
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    if (own.alert_limits != NULL &&
        !engine_size_is_valid(own.alert_limits->size, sizeof(*own.alert_limits))) {
        return engine_refuse(detail, STOA_EINVAL, "open: bad alert limits");
    }
    if ((unsigned)own.io > STOA_IO_THREADS) {
        return engine_refuse(detail, STOA_EINVAL, "open: io is none of STOA_IO_…");
    }
    if (own.table_workers > WORKERS_MAX || own.verify_workers > WORKERS_MAX) {
        return engine_refuse(detail, STOA_EINVAL, "open: more than 256 workers of a kind");
    }
    struct stoa_cache_options cache_options;
    int checked = engine_cache_check(own.cache, &cache_options, detail);
    if (checked != 0) {
        return checked;
    }
    struct stoa_maintenance maintenance;
    checked = engine_jobs_check(&own, &maintenance, detail);
    if (checked != 0) {
        return checked;
    }
    struct stoa *stoa = engine_make(directory, &own);
    if (stoa == NULL) {
        return engine_refuse(detail, STOA_ENOMEM, "open");
    }
    stoa->cache_options = cache_options;
    engine_jobs_take(stoa, &maintenance);
    int error = pthread_create(&stoa->thread, NULL, engine_loop_thread, stoa);
    if (error == 0) {
        (void)pthread_setname_np(stoa->thread, "stoa-loop"); /* works as well without */
    }
    if (error != 0) {
        (void)error_set_errno(&stoa->open_detail, error, "start a thread"); /* returned below */
        engine_tell(detail, &stoa->open_detail);
        engine_free(stoa);
        return error_from_errno(error);
    }
    wait_until_open(stoa);
    if (stoa->open_state == OPEN_FAILED && stoa->open_detail.code != stoa->open_result) {
        (void)error_set(&stoa->open_detail, stoa->open_result, "open: %s", /* told below */
                        stoa_strerror(stoa->open_result));
    }
    engine_tell(detail, &stoa->open_detail);
    if (stoa->open_state == OPEN_FAILED) {
        pthread_join(stoa->thread, NULL);
        int result = stoa->open_result;
        engine_free(stoa);
        return result;
    }
    *out_stoa = stoa;
    return 0;
}

/* Completions nobody reaped give their views and values back. */
static void drop_completions(struct stoa *stoa)
{
    struct stoa_completion completion;
    while (stoa_reap(stoa, &completion, 1, -1) == 1) {
        engine_completion_drop(&completion);
    }
}

static void run_close(struct stoa *stoa, struct engine_call *call)
{
    engine_warm_end(stoa); /* its reads have views */
    uint64_t out = store_views_out(stoa->store) + engine_cache_views_out(stoa);
    if (out != 0) {
        call->result = error_set(&call->detail, STOA_EBUSY,
                                 "close: %llu views are not released; release them, then close",
                                 (unsigned long long)out);
        stoa->giving_up = false;
        atomic_store_explicit(&stoa->ending, false, memory_order_relaxed);
        jobs_go_on(stoa->jobs);
    } else {
        stoa->closing = true;
    }
}

static void run_give_up(struct stoa *stoa, struct engine_call *call)
{
    (void)call; /* it has no arguments */
    engine_deliver_give_up(stoa);
}

void stoa_prepare_close(struct stoa *stoa)
{
    if (stoa != NULL && stoa->remote == NULL) {
        atomic_store_explicit(&stoa->ending, true, memory_order_relaxed);
        (void)engine_run_on_loop(stoa, run_give_up, NULL, NULL); /* stoa_close does it again */
    }
}

int stoa_close(struct stoa *stoa, struct stoa_detail *detail)
{
    if (stoa == NULL) {
        return 0;
    }
    if (stoa->remote != NULL) {
        return engine_remote_close(stoa, detail);
    }
    stoa_prepare_close(stoa); /* else what takes long and what backs off is waited for */
    drop_completions(stoa);
    int result = engine_run_on_loop(stoa, run_close, NULL, detail);
    if (result != 0) {
        return result;
    }
    sem_post(&stoa->left_to_end);
    pthread_join(stoa->thread, NULL);
    result = stoa->close_result;
    engine_tell(detail, &stoa->close_detail);
    engine_free(stoa);
    return result;
}
