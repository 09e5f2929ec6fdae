/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "client/remote_private.h"

enum {
    CONNECT_MS = 5000,
    RECONNECT_MS = 10000,
    SILENCE_MS = 10000,
    DEADLINE_GRACE_MS = 500, /* the daemon's answer to a deadline may take */
    TICK_NS = 100000000,     /* of the timer, while the descriptor is polled */
};

static const uint64_t correlation_first = (uint64_t)1 << 63;

uint64_t remote_now_ns(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    ensure(result == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- waiting ---- */

static void wake_next_reader(struct remote *remote)
{
    if (remote->waiters != NULL) {
        pthread_cond_signal(&remote->waiters->changed);
    }
}

static void add_waiter(struct remote *remote, struct remote_waiter *waiter)
{
    waiter->previous = NULL;
    waiter->next = remote->waiters;
    if (waiter->next != NULL) {
        waiter->next->previous = waiter;
    }
    remote->waiters = waiter;
}

static void remove_waiter(struct remote *remote, struct remote_waiter *waiter)
{
    if (waiter->previous != NULL) {
        waiter->previous->next = waiter->next;
    } else {
        remote->waiters = waiter->next;
    }
    if (waiter->next != NULL) {
        waiter->next->previous = waiter->previous;
    }
}

static void init_waiter(struct remote_waiter *waiter)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Read for all, or wait until whoever does has something for us. */
static void wait_once(struct remote *remote, struct remote_waiter *waiter, uint64_t until_ns)
{
    uint64_t now_ns = remote_now_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (!remote->reading) {
        uint64_t left_ms = left_ns / 1000000 + (left_ns % 1000000 != 0);
        remote->reading = true;
        remote_link_turn(remote, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        remote->reading = false;
        return;
    }
    add_waiter(remote, waiter);
    if (until_ns == UINT64_MAX) {
        pthread_cond_wait(&waiter->changed, &remote->mutex);
    } else {
        struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                                 .tv_nsec = (long)(until_ns % 1000000000)};
        (void)pthread_cond_timedwait(&waiter->changed, &remote->mutex, &until); /* looked at next */
    }
    remove_waiter(remote, waiter);
}

void remote_wait(struct remote *remote, struct remote_waiter *waiter, const bool *done,
                 uint64_t until_ns)
{
    while (!*done && remote_now_ns() < until_ns) {
        wait_once(remote, waiter, until_ns);
    }
    if (!remote->reading) {
        wake_next_reader(remote);
    }
}

/* Submitted calls whose deadline has passed without an answer. */
static void check_deadlines(struct remote *remote)
{
    uint64_t now_ns = remote_now_ns();
    for (unsigned i = 0; i < REMOTE_CALLS_MAX; i++) {
        struct remote_call *call = &remote->calls[i];
        if (call->used && !call->done && call->submitted && now_ns > call->deadline_ns) {
            bool sent = remote->fd >= 0 && call->sent_from < remote->sent;
            remote_call_drop_parts(call);
            remote_call_fail(remote, call, STOA_ETIMEOUT,
                             sent && !call->reads ? STOA_EFFECT_UNKNOWN : STOA_EFFECT_NONE, "");
        }
    }
}

/* ---- beginning ---- */

int remote_may_begin(struct remote *remote, struct stoa_detail *detail)
{
    uint64_t now_ns = remote_now_ns();
    bool open = remote->fd < 0 &&
                now_ns - remote->broken_ns > (uint64_t)remote->reconnect_ms * 1000000 &&
                now_ns < remote->attempt_ns;
    if (open && detail != NULL) {
        *detail = remote->why;
        detail->code = STOA_ECLOSED;
    }
    return open ? STOA_ECLOSED : 0;
}

static int copy_call(const struct stoa_call *given, struct stoa_call *own)
{
    *own = (struct stoa_call)STOA_CALL_INIT;
    if (given == NULL) {
        return 0;
    }
    if (given->size < sizeof(size_t) || given->size > sizeof(*own)) {
        return STOA_EINVAL;
    }
    memcpy(own, given, given->size);
    own->size = sizeof(*own);
    bool valid = own->priority >= STOA_PRIORITY_DEFAULT &&
                 own->priority <= STOA_PRIORITY_CRITICAL &&
                 (own->durability == STOA_DURABLE || own->durability == STOA_BUFFERED) &&
                 (own->flags & ~(unsigned)(STOA_CALL_NO_RETRY | STOA_CALL_MORE)) == 0 &&
                 (own->parts & ~(unsigned)(WIRE_PARTS >> WIRE_PARTS_SHIFT)) == 0;
    return valid ? 0 : STOA_EINVAL;
}

/* The frame with its cuts, in one piece. */
static int flatten(const struct wire_writer *writer, const struct buffer *frame, struct buffer *out)
{
    size_t at = 0;
    int result = buffer_reserve(out, frame->size + (size_t)wire_writer_size(writer));
    for (unsigned i = 0; result == 0 && i < writer->cut_count; i++) {
        const struct wire_cut *cut = &writer->cuts[i];
        result = buffer_append(out, frame->data + at, cut->at - at);
        if (result == 0) {
            result = buffer_append(out, cut->bytes.data, cut->bytes.size);
        }
        at = cut->at;
    }
    return result == 0 ? buffer_append(out, frame->data + at, frame->size - at) : result;
}

int remote_send(struct remote *remote, struct remote_call *call, const struct stoa_call *options,
                int (*fill)(struct wire_writer *writer, const void *context), const void *context)
{
    struct wire_writer writer;
    struct buffer parts = {.data = NULL};
    bool takes_parts = (remote->welcome.features & WIRE_FEATURE_PARTS) != 0; /* else all comes */
    struct wire_header header = {
        .type = call->type,
        .flags = (uint8_t)(((options->flags & STOA_CALL_NO_RETRY) != 0 ? WIRE_NO_RETRY : 0) |
                           (options->durability == STOA_BUFFERED ? WIRE_BUFFERED : 0) |
                           (takes_parts ? options->parts << WIRE_PARTS_SHIFT & WIRE_PARTS : 0)),
        .priority = (uint8_t)options->priority,
        .id = remote_call_id(call),
        .deadline_ms = options->deadline_ms,
    };
    wire_begin(&writer, &call->frame);
    int result = fill(&writer, context);
    if (result != 0 && writer.result == 0) {
        writer.result = result;
    }
    result = wire_end(&writer, &header);
    if (result == 0 && writer.cut_count != 0) {
        result = flatten(&writer, &call->frame, &parts);
        if (result == 0) {
            buffer_deinit(&call->frame);
            call->frame = parts;
        } else {
            buffer_deinit(&parts);
        }
    }
    if (result == 0 && remote->fd >= 0 &&
        call->frame.size > (uint64_t)remote->welcome.payload_max + WIRE_HEADER_SIZE) {
        result = STOA_ETOOBIG;
    }
    if (result == 0 && remote->fd >= 0) {
        result = remote_link_queue(remote, call, buffer_bytes(&call->frame));
    }
    if (result != 0) {
        return result;
    }
    remote->buffered = remote->buffered || options->durability == STOA_BUFFERED;
    bool later = (options->flags & STOA_CALL_MORE) != 0 &&
                 remote->out.size - remote->out_at < REMOTE_SEND_AT;
    if (!later) {
        remote_link_flush(remote);
    }
    return 0;
}

struct message_argument {
    enum stoa_message message;
    const void *argument;
};

static int write_argument(struct wire_writer *writer, const void *context)
{
    const struct message_argument *own = context;
    return wire_argument_write(writer, own->message, own->argument);
}

/* Begin MESSAGE: *OUT_CALL is under way. */
static int begin(struct remote *remote, enum stoa_message message, const void *argument,
                 const struct stoa_call *given, bool submitted, struct remote_call **out_call,
                 struct stoa_detail *detail)
{
    struct stoa_call options;
    struct message_argument own = {message, argument};
    int result = copy_call(given, &options);
    if (result == 0 && (message <= STOA_MESSAGE_NONE || message >= STOA_MESSAGE_END)) {
        result = STOA_EINVAL;
    }
    if (result == 0 && submitted && remote->submitted >= REMOTE_SUBMITTED_MAX) {
        result = STOA_EBUSY;
    }
    if (result == 0) {
        result = remote_may_begin(remote, detail);
    }
    struct remote_call *call = result == 0 ? remote_call_take(remote, message) : NULL;
    if (call == NULL) {
        return result != 0 ? result : STOA_EBUSY;
    }
    call->submitted = submitted;
    call->tag = options.tag;
    call->correlation_id =
        options.correlation_id != 0 ? options.correlation_id : remote->next_correlation++;
    if (options.deadline_ms != 0) {
        call->deadline_ns =
            remote_now_ns() + ((uint64_t)options.deadline_ms + DEADLINE_GRACE_MS) * 1000000;
    }
    remote->submitted += submitted;
    result = remote_send(remote, call, &options, write_argument, &own);
    if (result != 0) {
        remote->submitted -= submitted;
        remote_call_give(remote, call);
        return result;
    }
    *out_call = call;
    return 0;
}

/* What its caller gets of CALL, which is done. */
static void take_completion(struct remote *remote, struct remote_call *call,
                            struct stoa_completion *out)
{
    *out = call->completion;
    out->tag = call->tag;
    out->correlation_id = call->correlation_id;
    remote_call_give(remote, call);
}

void remote_ask(void *context, enum stoa_message message, const void *argument,
                const struct stoa_call *given, struct stoa_completion *out)
{
    struct remote *remote = context;
    struct remote_waiter waiter;
    struct remote_call *call;
    struct stoa_detail detail = {.code = 0};
    pthread_mutex_lock(&remote->mutex);
    int result = begin(remote, message, argument, given, false, &call, &detail);
    if (result != 0) {
        pthread_mutex_unlock(&remote->mutex);
        *out = (struct stoa_completion){
            .message = message, .effect = STOA_EFFECT_NONE, .result = result, .detail = detail};
        out->detail.code = result;
        if (detail.text[0] == '\0') {
            (void)snprintf(out->detail.text, sizeof(out->detail.text), "%s", stoa_strerror(result));
        }
        return;
    }
    init_waiter(&waiter);
    call->waiter = &waiter;
    remote_wait(remote, &waiter, &call->done, call->deadline_ns);
    if (!call->done) {
        bool sent = remote->fd >= 0 && call->sent_from < remote->sent;
        remote_call_drop_parts(call);
        remote_call_fail(remote, call, STOA_ETIMEOUT,
                         sent && !call->reads ? STOA_EFFECT_UNKNOWN : STOA_EFFECT_NONE, "");
    }
    take_completion(remote, call, out);
    pthread_mutex_unlock(&remote->mutex);
    pthread_cond_destroy(&waiter.changed);
}

int remote_submit(void *context, enum stoa_message message, const void *argument,
                  const struct stoa_call *given)
{
    struct remote *remote = context;
    struct remote_call *call;
    pthread_mutex_lock(&remote->mutex);
    int result = begin(remote, message, argument, given, true, &call, NULL);
    pthread_mutex_unlock(&remote->mutex);
    return result;
}

static int remote_reap(void *context, struct stoa_completion *out, unsigned count, int timeout_ms)
{
    struct remote *remote = context;
    struct remote_waiter waiter;
    uint64_t until_ns =
        timeout_ms < 0 ? UINT64_MAX : remote_now_ns() + (uint64_t)timeout_ms * 1000000;
    unsigned taken = 0;
    init_waiter(&waiter);
    pthread_mutex_lock(&remote->mutex);
    remote->reapers++;
    remote_link_flush(remote);
    if (remote->done_first == NULL && timeout_ms == 0 && !remote->reading &&
        remote->submitted != 0) {
        wait_once(remote, &waiter, 0);
        check_deadlines(remote);
    }
    while (remote->done_first == NULL && remote->submitted != 0 && remote_now_ns() < until_ns) {
        uint64_t tick_ns = remote_now_ns() + TICK_NS;
        wait_once(remote, &waiter, tick_ns < until_ns ? tick_ns : until_ns);
        check_deadlines(remote);
    }
    while (taken < count && remote->done_first != NULL) {
        struct remote_call *call = remote->done_first;
        remote->done_first = call->next;
        take_completion(remote, call, &out[taken++]);
    }
    remote->submitted -= taken;
    remote->reapers--;
    if (remote->done_fd >= 0 && remote->done_first == NULL) {
        eventfd_t ignored;
        (void)eventfd_read(remote->done_fd, &ignored); /* EAGAIN: it was empty */
    }
    if (remote->timer_fd >= 0) {
        eventfd_t ticks;
        (void)eventfd_read(remote->timer_fd, &ticks); /* reads its count as well; EAGAIN: none */
    }
    if (!remote->reading) {
        wake_next_reader(remote);
    }
    pthread_mutex_unlock(&remote->mutex);
    pthread_cond_destroy(&waiter.changed);
    return (int)taken;
}

/* The connection, what is done, and a clock for what else there is to do, behind one descriptor. */
static int make_poll_fd(struct remote *remote)
{
    const struct itimerspec tick = {.it_interval = {.tv_nsec = TICK_NS},
                                    .it_value = {.tv_nsec = TICK_NS}};
    struct epoll_event event = {.events = EPOLLIN};
    remote->done_fd = eventfd(remote->done_first != NULL, EFD_NONBLOCK | EFD_CLOEXEC);
    remote->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0 || remote->done_fd < 0 || remote->timer_fd < 0 ||
        timerfd_settime(remote->timer_fd, 0, &tick, NULL) != 0 ||
        epoll_ctl(fd, EPOLL_CTL_ADD, remote->done_fd, &event) != 0 ||
        epoll_ctl(fd, EPOLL_CTL_ADD, remote->timer_fd, &event) != 0) {
        int result = error_from_errno(errno);
        if (fd >= 0) {
            close(fd);
        }
        return result;
    }
    if (remote->fd >= 0) {
        remote->polled = epoll_ctl(fd, EPOLL_CTL_ADD, remote->fd, &event) == 0;
    }
    remote->poll_fd = fd;
    return 0;
}

static int remote_completion_fd(void *context)
{
    struct remote *remote = context;
    pthread_mutex_lock(&remote->mutex);
    int result = remote->poll_fd >= 0 ? 0 : make_poll_fd(remote);
    int fd = result == 0 ? remote->poll_fd : result;
    pthread_mutex_unlock(&remote->mutex);
    return fd;
}

int remote_cancel(void *context, uint64_t correlation_id)
{
    struct remote *remote = context;
    struct remote_waiter waiter;
    struct remote_cancel own = {.result = STOA_ENOTFOUND, .waiter = &waiter};
    struct remote_call *found = NULL;
    pthread_mutex_lock(&remote->mutex);
    for (unsigned i = 0; i < REMOTE_CALLS_MAX; i++) {
        struct remote_call *call = &remote->calls[i];
        bool same = call->used && !call->done && call->correlation_id == correlation_id;
        if (same && (found == NULL || (int32_t)(call->serial - found->serial) < 0)) {
            found = call;
        }
    }
    if (found != NULL && (remote->fd < 0 || found->sent_from >= remote->sent)) {
        if (remote->fd < 0) { /* it is not with the daemon */
            remote_call_fail(remote, found, STOA_ECANCELED, STOA_EFFECT_NONE, "");
            own.result = 0;
            found = NULL;
        }
    }
    if (found != NULL) {
        struct wire_header header = {.type = WIRE_CANCEL, .id = remote_call_id(found)};
        own.id = header.id;
        own.next = remote->cancels;
        remote->cancels = &own;
        init_waiter(&waiter);
        own.result = wire_append_empty(&remote->out, &header);
        if (own.result == 0) {
            remote_link_flush(remote);
            remote_wait(remote, &waiter, &own.done, UINT64_MAX);
        } else {
            remote->cancels = own.next;
        }
        pthread_cond_destroy(&waiter.changed);
    }
    pthread_mutex_unlock(&remote->mutex);
    return own.result;
}

/* ---- life ---- */

int remote_create(const char *address, const struct remote_options *options,
                  struct remote **out_remote, struct stoa_detail *detail)
{
    struct remote *remote = memory_alloc_zeroed(1, sizeof(*remote));
    if (remote == NULL) {
        return STOA_ENOMEM;
    }
    remote->fd = -1;
    remote->poll_fd = -1;
    remote->done_fd = -1;
    remote->timer_fd = -1;
    remote->health_fd = -1;
    remote->connect_ms = options->connect_ms;
    remote->reconnect_ms = options->reconnect_ms;
    remote->silence_ms = options->silence_ms;
    remote->next_correlation = correlation_first;
    remote->next_serial = 1;
    atomic_init(&remote->views, 0);
    pthread_mutex_init(&remote->mutex, NULL);
    pthread_cond_init(&remote->health_changed, NULL);
    remote->address = memory_copy_text(address);
    remote->name = memory_copy_text(options->name);
    remote->token = memory_alloc(options->token_size);
    remote->calls = memory_alloc_zeroed(REMOTE_CALLS_MAX, sizeof(*remote->calls));
    if (remote->address == NULL || remote->name == NULL || remote->token == NULL ||
        remote->calls == NULL) {
        remote_destroy(remote);
        return STOA_ENOMEM;
    }
    if (options->token_size != 0) {
        memcpy(remote->token, options->token, options->token_size);
    }
    remote->token_size = options->token_size;
    for (unsigned i = REMOTE_CALLS_MAX; i-- > 0;) {
        remote->calls[i].number = i;
        remote->calls[i].next = remote->free_calls;
        remote->free_calls = &remote->calls[i];
    }
    int result = remote_link_open(remote, remote->connect_ms, detail);
    if (result != 0) {
        remote_destroy(remote);
        return result;
    }
    *out_remote = remote;
    return 0;
}

static void close_if(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void remote_destroy(struct remote *remote)
{
    remote_link_close(remote);
    close_if(remote->poll_fd);
    close_if(remote->done_fd);
    close_if(remote->timer_fd);
    close_if(remote->health_fd);
    for (unsigned i = 0; remote->calls != NULL && i < REMOTE_CALLS_MAX; i++) {
        buffer_deinit(&remote->calls[i].frame);
    }
    buffer_deinit(&remote->in);
    buffer_deinit(&remote->out);
    pthread_mutex_destroy(&remote->mutex);
    pthread_cond_destroy(&remote->health_changed);
    memory_free(remote->calls);
    memory_free(remote->token);
    memory_free(remote->name);
    memory_free(remote->address);
    memory_free(remote);
}

/* What was submitted is waited for, as by a store in the process. */
static int remote_close(void *context, struct stoa_detail *detail)
{
    struct remote *remote = context;
    struct stoa_completion completion;
    while (remote_reap(remote, &completion, 1, -1) == 1) {
        engine_remote_forget(&completion);
    }
    unsigned views = atomic_load_explicit(&remote->views, memory_order_acquire);
    if (views != 0) {
        if (detail != NULL) {
            *detail = (struct stoa_detail){.code = STOA_EBUSY};
            (void)snprintf(detail->text, sizeof(detail->text),
                           "close: %u views are not released; release them, then close", views);
        }
        return STOA_EBUSY;
    }
    remote_service_end(remote);
    remote_destroy(remote);
    if (detail != NULL) {
        *detail = (struct stoa_detail){.code = 0};
    }
    return 0;
}

const struct engine_remote_ops remote_ops = {
    .close = remote_close,
    .submit = remote_submit,
    .ask = remote_ask,
    .reap = remote_reap,
    .completion_fd = remote_completion_fd,
    .cancel = remote_cancel,
    .sync = remote_service_sync,
    .metrics_list = remote_service_metrics_list,
    .metrics_text = remote_service_metrics_text,
    .letters_list = remote_service_letters_list,
    .letters_retry = remote_service_letters_retry,
    .letters_drop = remote_service_letters_drop,
    .letters_count = remote_service_letters_count,
    .resize_cache = remote_service_resize_cache,
    .block_changes = remote_service_block_changes,
    .rebuild_index = remote_service_rebuild_index,
    .wait_health = remote_service_wait_health,
    .health_fd = remote_service_health_fd,
};

int stoa_connect(const char *address, const struct stoa_connect_options *options,
                 struct stoa **out_stoa, struct stoa_detail *detail)
{
    struct stoa_connect_options own = STOA_CONNECT_OPTIONS_INIT;
    struct remote *remote;
    if (detail != NULL) {
        *detail = (struct stoa_detail){.code = 0};
    }
    if (address == NULL || out_stoa == NULL ||
        (options != NULL && (options->size < sizeof(size_t) || options->size > sizeof(own)))) {
        return STOA_EINVAL;
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    struct remote_options remote_options = {
        .token = own.token,
        .token_size = own.token == NULL ? 0 : own.token_size,
        .name = own.name != NULL ? own.name : "libstoa",
        .connect_ms = own.connect_ms != 0 ? own.connect_ms : CONNECT_MS,
        .reconnect_ms = own.reconnect_ms != 0 ? own.reconnect_ms : RECONNECT_MS,
        .silence_ms = own.silence_ms != 0 ? own.silence_ms : SILENCE_MS,
    };
    int result = remote_create(address, &remote_options, &remote, detail);
    if (result != 0) {
        return result;
    }
    result = engine_remote_make(&remote_ops, remote, out_stoa);
    if (result != 0) {
        remote_destroy(remote);
    }
    return result;
}
