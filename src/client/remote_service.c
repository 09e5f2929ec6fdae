/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that are no messages; and health, which is asked for again and again where somebody waits
 * for it to change. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "client/remote_private.h"
#include "wire/wire_service.h"

enum { HEALTH_LOOK_MS = 250, REBUILD_LOOK_MS = 200 };

/* What a service brought: OUT's payload is owned. */
struct answer {
    uint8_t *payload;
    struct bytes body;
    int result;
};

static void set_detail(struct stoa_detail *detail, int code)
{
    if (detail != NULL) {
        const char *text = stoa_strerror(code);
        *detail = (struct stoa_detail){.code = code};
        memcpy(detail->text, text, strlen(text) + 1);
    }
}

static int write_number(struct wire_writer *writer, const void *context)
{
    wire_service_write_number(writer, *(const uint64_t *)context);
    return 0;
}

static int write_key(struct wire_writer *writer, const void *context)
{
    return wire_argument_write(writer, STOA_MESSAGE_GET_BLOCK, context);
}

/* Ask for the service TYPE and wait. Returns its result; the payload of OUT is the caller's to
 * free, whatever that is. */
static int serve(struct remote *remote, unsigned type,
                 int (*fill)(struct wire_writer *writer, const void *context), const void *context,
                 struct answer *out, struct stoa_detail *detail)
{
    const struct stoa_call options = STOA_CALL_INIT;
    struct remote_waiter waiter;
    struct stoa_detail told = {.code = 0};
    struct error_detail inner = {.code = 0};
    *out = (struct answer){.payload = NULL};
    pthread_cond_init(&waiter.changed, NULL);
    pthread_mutex_lock(&remote->mutex);
    int result = remote_may_begin(remote, &told);
    struct remote_call *call = result == 0 ? remote_call_take(remote, type) : NULL;
    if (call != NULL) {
        call->waiter = &waiter;
        result = remote_send(remote, call, &options, fill, context);
        if (result == 0) {
            remote_wait(remote, &waiter, &call->done, UINT64_MAX);
            result = call->reply_result;
            told = call->completion.detail;
            out->payload = call->reply;
            out->body = bytes_of(call->reply, call->reply_size);
            call->reply = NULL;
        }
        remote_call_give(remote, call);
    } else if (result == 0) {
        result = STOA_EBUSY;
    }
    pthread_mutex_unlock(&remote->mutex);
    pthread_cond_destroy(&waiter.changed);
    if (out->payload != NULL) {
        int read = wire_service_read(out->body, result, &told, &out->body, &inner);
        result = read != 0 ? read : result;
    }
    if (result != 0 && told.text[0] == '\0') {
        set_detail(&told, result);
    }
    told.code = result;
    if (detail != NULL) {
        *detail = told;
    }
    return result;
}

static int serve_number(struct remote *remote, unsigned type, uint64_t number, struct answer *out,
                        struct stoa_detail *detail)
{
    return serve(remote, type, write_number, &number, out, detail);
}

/* The same of what brings nothing. */
static int tell_number(struct remote *remote, unsigned type, uint64_t number,
                       struct stoa_detail *detail)
{
    struct answer answer;
    int result = serve_number(remote, type, number, &answer, detail);
    memory_free(answer.payload);
    return result;
}

int remote_service_sync(void *context, struct stoa_detail *detail)
{
    struct remote *remote = context;
    pthread_mutex_lock(&remote->mutex);
    bool lost = remote->buffered_lost;
    remote->buffered_lost = false;
    pthread_mutex_unlock(&remote->mutex);
    if (lost) {
        set_detail(detail, STOA_ECLOSED);
        return STOA_ECLOSED; /* another daemon would only speak for what it has itself */
    }
    return tell_number(remote, WIRE_SYNC, 0, detail);
}

int remote_service_letters_retry(void *context, uint64_t id, struct stoa_detail *detail)
{
    return tell_number(context, WIRE_DEAD_LETTERS_RETRY, id, detail);
}

int remote_service_letters_drop(void *context, uint64_t id)
{
    return tell_number(context, WIRE_DEAD_LETTERS_DROP, id, NULL);
}

int remote_service_resize_cache(void *context, uint64_t size, struct stoa_detail *detail)
{
    return tell_number(context, WIRE_RESIZE_CACHE, size, detail);
}

int remote_service_metrics_text(void *context, char **out_text, size_t *out_size)
{
    struct answer answer;
    struct error_detail inner = {.code = 0};
    size_t size;
    int result = serve_number(context, WIRE_METRICS_TEXT, 0, &answer, NULL);
    if (result == 0) {
        result = wire_service_read_text(&answer.body, out_text, &size, &inner);
    }
    if (result == 0 && out_size != NULL) {
        *out_size = size;
    }
    memory_free(answer.payload);
    return result;
}

int remote_service_metrics_list(void *context,
                                void (*each)(void *own, const struct stoa_metric *metric),
                                void *own)
{
    struct answer answer;
    struct bytes list = {.data = NULL};
    struct error_detail inner = {.code = 0};
    int result = serve_number(context, WIRE_METRICS_LIST, 0, &answer, NULL);
    if (result == 0) {
        result = rlp_read_list(&answer.body, &list, &inner);
    }
    char *texts = result == 0 ? memory_alloc(list.size + 4) : NULL;
    if (result == 0 && texts == NULL) {
        result = STOA_ENOMEM;
    }
    while (result == 0 && list.size != 0) {
        struct stoa_metric metric;
        result = wire_service_read_metric(&list, texts, &metric, &inner);
        if (result == 0) {
            each(own, &metric);
        }
    }
    memory_free(texts);
    memory_free(answer.payload);
    return result;
}

int remote_service_letters_list(void *context, struct stoa_dead_letter *out, size_t capacity,
                                size_t *out_count)
{
    struct answer answer;
    struct bytes list = {.data = NULL};
    struct error_detail inner = {.code = 0};
    uint64_t count = 0;
    int result = serve_number(context, WIRE_DEAD_LETTERS_LIST, capacity, &answer, NULL);
    if (result == 0) {
        result = rlp_read_uint64(&answer.body, &count, &inner);
    }
    if (result == 0) {
        result = rlp_read_list(&answer.body, &list, &inner);
    }
    for (size_t i = 0; result == 0 && i < capacity && list.size != 0; i++) {
        result = wire_service_read_letter(&list, &out[i], &inner);
    }
    if (result == 0) {
        *out_count = (size_t)count;
    }
    memory_free(answer.payload);
    return result;
}

int remote_service_letters_count(void *context, struct stoa_dead_letter_counts *out)
{
    struct answer answer;
    struct error_detail inner = {.code = 0};
    int result = serve_number(context, WIRE_DEAD_LETTERS_COUNT, 0, &answer, NULL);
    if (result == 0) {
        result = wire_service_read_counts(&answer.body, out, &inner);
    }
    memory_free(answer.payload);
    return result;
}

int remote_service_block_changes(void *context, const struct stoa_block_key *key,
                                 struct stoa_block_changes **out, struct stoa_detail *detail)
{
    struct answer answer;
    struct error_detail inner = {.code = 0};
    int result = serve(context, WIRE_BLOCK_CHANGES, write_key, key, &answer, detail);
    if (result == 0) {
        result = wire_service_read_changes(&answer.body, out, &inner);
        if (result != 0) {
            set_detail(detail, result);
        }
    }
    memory_free(answer.payload);
    return result;
}

struct rebuilt {
    uint64_t done;
    uint64_t total;
};

static void note_rebuilt(void *context, const struct stoa_metric *metric)
{
    struct rebuilt *rebuilt = context;
    if (strcmp(metric->name, "stoa_rebuild_blocks") == 0) {
        rebuilt->done = (uint64_t)metric->value;
    } else if (strcmp(metric->name, "stoa_rebuild_blocks_wanted") == 0) {
        rebuilt->total = (uint64_t)metric->value;
    }
}

/* There is one rebuild at a time, and the daemon's metrics say how far it is. What cannot be asked
 * is told as 0. */
static int tell_rebuilt(struct remote *remote,
                        int (*progress)(void *own, uint64_t done, uint64_t total), void *own)
{
    struct rebuilt rebuilt = {.done = 0};
    (void)remote_service_metrics_list(remote, note_rebuilt, &rebuilt); /* see above */
    return progress(own, rebuilt.done, rebuilt.total);
}

int remote_service_rebuild_index(void *context, int index,
                                 int (*progress)(void *own, uint64_t done, uint64_t total),
                                 void *own, struct stoa_detail *detail)
{
    struct remote *remote = context;
    struct stoa_completion completion;
    struct stoa_call call = STOA_CALL_INIT;
    bool stopping = false;
    pthread_mutex_lock(&remote->mutex);
    call.correlation_id = remote->next_correlation++;
    pthread_mutex_unlock(&remote->mutex);
    if (progress == NULL) {
        remote_ask(remote, STOA_MESSAGE_REBUILD_INDEX, &index, &call, &completion);
        if (detail != NULL) {
            *detail = completion.detail;
        }
        return completion.result;
    }
    struct remote_waiter waiter;
    pthread_cond_init(&waiter.changed, NULL);
    struct remote_call *made = NULL;
    int result = remote_submit(remote, STOA_MESSAGE_REBUILD_INDEX, &index, &call);
    if (result != 0) {
        pthread_cond_destroy(&waiter.changed);
        set_detail(detail, result);
        return result;
    }
    pthread_mutex_lock(&remote->mutex);
    for (unsigned i = 0; made == NULL; i++) { /* it is not reaped: it waits for us */
        ensure(i < REMOTE_CALLS_MAX);
        bool same = remote->calls[i].used && remote->calls[i].correlation_id == call.correlation_id;
        made = same ? &remote->calls[i] : NULL;
    }
    made->submitted = false;
    made->waiter = &waiter;
    remote->submitted--;
    while (!made->done) {
        remote_wait(remote, &waiter, &made->done,
                    remote_now_ns() + (uint64_t)REBUILD_LOOK_MS * 1000000);
        pthread_mutex_unlock(&remote->mutex);
        if (!stopping && tell_rebuilt(remote, progress, own) != 0) {
            stopping = true;
            (void)remote_cancel(remote, call.correlation_id); /* too late: it ends by itself */
        }
        pthread_mutex_lock(&remote->mutex);
    }
    completion = made->completion;
    remote_call_give(remote, made);
    pthread_mutex_unlock(&remote->mutex);
    pthread_cond_destroy(&waiter.changed);
    if (detail != NULL) {
        *detail = completion.detail;
    }
    return completion.result;
}

/* ---- health ---- */

int remote_service_wait_health(void *context, uint64_t seen, int timeout_ms,
                               struct stoa_health *out)
{
    uint64_t until_ns =
        timeout_ms < 0 ? UINT64_MAX : remote_now_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        struct stoa_completion completion;
        remote_ask(context, STOA_MESSAGE_GET_HEALTH, NULL, NULL, &completion);
        if (completion.result != 0) {
            return completion.result;
        }
        *out = *completion.health;
        memory_free(completion.health);
        if (out->version != seen) {
            return 0;
        }
        uint64_t now_ns = remote_now_ns();
        if (now_ns >= until_ns) {
            return STOA_ETIMEOUT;
        }
        uint64_t left_ns = until_ns - now_ns;
        uint64_t pause_ns = (uint64_t)HEALTH_LOOK_MS * 1000000;
        struct timespec pause = {.tv_nsec = (long)(left_ns < pause_ns ? left_ns : pause_ns)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* sooner is no harm */
    }
}

/* Looks at the health until the handle is closed. */
static void *watch_health(void *context)
{
    struct remote *remote = context;
    uint64_t seen = 0;
    bool lost = false;
    pthread_mutex_lock(&remote->mutex);
    while (!remote->health_ending) {
        struct stoa_completion completion;
        struct timespec until;
        pthread_mutex_unlock(&remote->mutex);
        remote_ask(remote, STOA_MESSAGE_GET_HEALTH, NULL, NULL, &completion);
        pthread_mutex_lock(&remote->mutex);
        bool failed = completion.result != 0;
        bool changed = failed != lost || (!failed && completion.health->version != seen);
        seen = failed ? seen : completion.health->version;
        lost = failed;
        memory_free(completion.health);
        if (changed) {
            (void)eventfd_write(remote->health_fd, 1); /* it cannot overflow in time */
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += HEALTH_LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!remote->health_ending) {
            (void)pthread_cond_timedwait(&remote->health_changed, &remote->mutex, &until);
        }
    }
    pthread_mutex_unlock(&remote->mutex);
    return NULL;
}

int remote_service_health_fd(void *context)
{
    struct remote *remote = context;
    int result = 0;
    pthread_mutex_lock(&remote->mutex);
    if (remote->health_fd < 0) {
        remote->health_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        result = remote->health_fd < 0 ? error_from_errno(errno) : 0;
    }
    if (result == 0 && !remote->health_running) {
        int error = pthread_create(&remote->health_thread, NULL, watch_health, remote);
        result = error == 0 ? 0 : error_from_errno(error);
        remote->health_running = error == 0;
    }
    int fd = result == 0 ? remote->health_fd : result;
    pthread_mutex_unlock(&remote->mutex);
    return fd;
}

void remote_service_end(struct remote *remote)
{
    if (!remote->health_running) {
        return;
    }
    pthread_mutex_lock(&remote->mutex);
    remote->health_ending = true;
    pthread_cond_signal(&remote->health_changed);
    pthread_mutex_unlock(&remote->mutex);
    pthread_join(remote->health_thread, NULL);
}
