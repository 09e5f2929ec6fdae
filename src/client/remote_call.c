/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls under way: taken and given, answered or failed; and the views of their answers. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "client/remote_private.h"

uint64_t remote_call_id(const struct remote_call *call)
{
    return (uint64_t)call->serial << 32 | call->number;
}

struct remote_call *remote_call_find(struct remote *remote, uint64_t id)
{
    uint32_t number = (uint32_t)id;
    struct remote_call *call = number < REMOTE_CALLS_MAX ? &remote->calls[number] : NULL;
    bool same = call != NULL && call->used && !call->done && remote_call_id(call) == id;
    return same ? call : NULL;
}

struct remote_call *remote_call_take(struct remote *remote, unsigned type)
{
    struct remote_call *call = remote->free_calls;
    if (call == NULL) {
        return NULL;
    }
    remote->free_calls = call->next;
    unsigned number = call->number;
    struct buffer frame = call->frame; /* its memory is kept */
    memset(call, 0, offsetof(struct remote_call, completion));
    call->blocks = NULL;
    call->block_count = 0;
    call->reply = NULL;
    call->next = NULL;
    frame.size = 0;
    call->frame = frame;
    call->used = true;
    call->number = number;
    call->serial = remote->next_serial++;
    call->type = (uint16_t)type;
    call->reads = wire_message_reads(type);
    call->deadline_ns = UINT64_MAX;
    remote->call_count++;
    return call;
}

void remote_call_give(struct remote *remote, struct remote_call *call)
{
    ensure(call->used && call->blocks == NULL);
    memory_free(call->reply);
    call->reply = NULL;
    call->used = false;
    call->next = remote->free_calls;
    remote->free_calls = call;
    remote->call_count--;
}

/* CALL has its answer: tell who waits, or queue it. */
static void finish(struct remote *remote, struct remote_call *call)
{
    call->done = true;
    if (!call->submitted) {
        if (call->waiter != NULL) {
            pthread_cond_signal(&call->waiter->changed);
        }
        return;
    }
    call->next = NULL;
    bool first = remote->done_first == NULL;
    if (first) {
        remote->done_last = &remote->done_first;
    }
    *remote->done_last = call;
    remote->done_last = &call->next;
    if (first && remote->done_fd >= 0) {
        (void)eventfd_write(remote->done_fd, 1); /* it cannot overflow: reap takes it back */
    }
    if (remote->reapers != 0) { /* they are among the waiters, wherever */
        for (struct remote_waiter *one = remote->waiters; one != NULL; one = one->next) {
            pthread_cond_signal(&one->changed);
        }
    }
}

void remote_call_fail(struct remote *remote, struct remote_call *call, int code,
                      enum stoa_effect effect, const char *text)
{
    call->completion = (struct stoa_completion){
        .message =
            call->type < STOA_MESSAGE_END ? (enum stoa_message)call->type : STOA_MESSAGE_NONE,
        .effect = effect,
        .result = code,
        .detail = {.code = code},
    };
    (void)snprintf(call->completion.detail.text, sizeof(call->completion.detail.text), "%s",
                   text[0] != '\0' ? text : stoa_strerror(code));
    call->reply_result = code;
    finish(remote, call);
}

/* ---- views ---- */

static void release_view(struct engine_remote_view *base)
{
    struct remote_view *view = (struct remote_view *)(void *)base;
    if (atomic_fetch_sub_explicit(&view->count, 1, memory_order_acq_rel) == 1) {
        atomic_fetch_sub_explicit(&view->remote->views, 1, memory_order_release);
        memory_free(view);
    }
}

/* A copy of PAYLOAD that COUNT views will share. NULL: no memory. */
static struct remote_view *make_view(struct remote *remote, struct bytes payload, unsigned count)
{
    struct remote_view *view = memory_alloc(sizeof(*view) + payload.size);
    if (view != NULL) {
        view->base.release = release_view;
        view->remote = remote;
        atomic_init(&view->count, count);
        memcpy(view->data, payload.data, payload.size);
        atomic_fetch_add_explicit(&remote->views, 1, memory_order_relaxed);
    }
    return view;
}

/* Blocks from number FIRST on share VIEW, which has one count of ours. */
static void share_view(struct remote_call *call, size_t first, struct remote_view *view)
{
    size_t added = call->block_count - first;
    atomic_fetch_add_explicit(&view->count, (unsigned)added, memory_order_relaxed);
    for (size_t i = first; i < call->block_count; i++) {
        call->blocks[i].view = engine_remote_mark(&view->base);
    }
    release_view(&view->base);
}

/* ---- answers ---- */

void remote_call_drop_parts(struct remote_call *call)
{
    for (size_t i = 0; i < call->block_count; i++) {
        stoa_release(call->blocks[i].view);
    }
    memory_free(call->blocks);
    call->blocks = NULL;
    call->block_count = 0;
}

/* A part of a range. */
static int take_part(struct remote *remote, struct remote_call *call, struct bytes payload,
                     struct error_detail *detail)
{
    struct remote_view *view = make_view(remote, payload, 1);
    if (view == NULL) {
        return STOA_ENOMEM;
    }
    size_t first = call->block_count;
    int result = wire_reply_read_part(bytes_of(view->data, payload.size), &call->blocks,
                                      &call->block_count, detail);
    share_view(call, first, view);
    return result;
}

/* The last of a range: its blocks go behind those of the parts. */
static int join_parts(struct remote_call *call, struct stoa_completion *own)
{
    if (call->block_count == 0) {
        memory_free(call->blocks);
        call->blocks = NULL;
        return 0;
    }
    size_t all = call->block_count + own->block_count;
    struct stoa_block *joined = memory_resize(call->blocks, (all + 1) * sizeof(*joined));
    if (joined == NULL) {
        return STOA_ENOMEM;
    }
    if (own->block_count != 0) {
        memcpy(joined + call->block_count, own->blocks, own->block_count * sizeof(*joined));
    }
    memory_free(own->blocks);
    own->blocks = joined;
    own->block_count = all;
    call->blocks = NULL;
    call->block_count = 0;
    return 0;
}

static bool wants_view(unsigned type)
{
    switch ((int)wire_message_reply(type)) {
    case WIRE_REPLY_BLOCK:
    case WIRE_REPLY_BLOCKS:
    case WIRE_REPLY_HEADER:
    case WIRE_REPLY_TRANSACTION:
        return true;
    default:
        return false;
    }
}

/* Views of what was read out of VIEW; without any it is let go. */
static void set_views(struct remote_view *view, const struct wire_reply_held *held,
                      struct stoa_completion *own)
{
    struct stoa_view *mark = engine_remote_mark(&view->base);
    if (held->block) {
        own->block.view = mark;
    } else if (held->header) {
        own->header.view = mark;
    } else if (held->transaction) {
        own->transaction.block.view = mark;
    } else {
        atomic_fetch_add_explicit(&view->count, (unsigned)own->block_count, memory_order_relaxed);
        for (size_t i = 0; i < own->block_count; i++) {
            own->blocks[i].view = mark;
        }
        release_view(&view->base);
    }
}

static int read_completion(struct remote *remote, struct remote_call *call, int result,
                           struct bytes payload, struct error_detail *detail)
{
    struct wire_reply_held held;
    struct remote_view *view = NULL;
    if (result == 0 && wants_view(call->type)) {
        view = make_view(remote, payload, 1);
        if (view == NULL) {
            return STOA_ENOMEM;
        }
        payload.data = view->data;
    }
    int read = wire_reply_read((enum stoa_message)call->type, result, payload, &call->completion,
                               &held, detail);
    if (read != 0) {
        if (view != NULL) {
            release_view(&view->base);
        }
        return read;
    }
    if (view != NULL) {
        set_views(view, &held, &call->completion);
    }
    return join_parts(call, &call->completion);
}

void remote_call_answer(struct remote *remote, struct remote_call *call,
                        const struct wire_header *header, struct bytes payload)
{
    struct error_detail detail = {.code = 0};
    int result = 0;
    if ((header->flags & WIRE_MORE) != 0) {
        result = take_part(remote, call, payload, &detail);
        if (result == 0) {
            return;
        }
    } else if (call->type >= WIRE_SYNC) {
        call->reply = memory_alloc(payload.size);
        if (call->reply != NULL) {
            memcpy(call->reply, payload.data, payload.size);
            call->reply_size = payload.size;
        }
        call->reply_result = wire_result(header);
        result = call->reply == NULL ? STOA_ENOMEM : 0;
    } else {
        result = read_completion(remote, call, wire_result(header), payload, &detail);
    }
    if (result != 0) {
        remote_call_drop_parts(call);
        remote_call_fail(remote, call, result, STOA_EFFECT_UNKNOWN, detail.text);
        return;
    }
    finish(remote, call);
}
