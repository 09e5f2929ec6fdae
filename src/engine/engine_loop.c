/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop's thread. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ensure.h"
#include "engine/engine_private.h"

static void bring_views_home(struct stoa *stoa)
{
    struct stoa_view *view = atomic_exchange_explicit(&stoa->released, NULL, memory_order_acquire);
    while (view != NULL) {
        struct stoa_view *next = view->next;
        store_view_release(view);
        view = next;
    }
}

void engine_done_request(struct store_request *request)
{
    struct engine_request *own = request->context;
    struct stoa *stoa = own->stoa;
    bool damage = request->result == STOA_ECORRUPT || request->result == STOA_ESTOPPED;
    if (damage && !own->retried && request->kind != STORE_PUT_BLOCK &&
        store_tables_damaged(stoa->store)) {
        own->retried = true;
        own->next = stoa->retry;
        stoa->retry = own;
        return;
    }
    if (request->result == 0 && request->kind == STORE_GET_BLOCK) {
        request->block.view->home = stoa;
    } else if (request->result == 0 && request->kind == STORE_GET_TRANSACTION) {
        request->transaction.block.view->home = stoa;
    }
    if (own->blocking) {
        sem_post(&own->answered);
        return;
    }
    pthread_mutex_lock(&stoa->done_mutex);
    bool first = stoa->done_first == NULL;
    own->next = NULL;
    if (first) {
        stoa->done_last = &stoa->done_first;
    }
    *stoa->done_last = own;
    stoa->done_last = &own->next;
    if (stoa->waiting != 0) {
        pthread_cond_signal(&stoa->done_changed);
    }
    if (first && stoa->done_fd >= 0) {
        (void)eventfd_write(stoa->done_fd, 1); /* it cannot overflow: reap takes it back to 0 */
    }
    pthread_mutex_unlock(&stoa->done_mutex);
}

static void take_message(struct stoa *stoa, struct mailbox_message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_REQUEST: {
        struct engine_request *own = (struct engine_request *)message;
        own->request.done = engine_done_request;
        own->request.context = own;
        store_submit(stoa->store, &own->request);
        break;
    }
    case MESSAGE_CALL: {
        struct engine_call *call = (struct engine_call *)message;
        bring_views_home(stoa);
        call->run(stoa, call);
        sem_post(&call->answered);
        break;
    }
    }
}

/* Damaged tables are made anew from the ledger, and the reads that met them are made again. */
static void mend_tables(struct stoa *stoa)
{
    while (store_pending(stoa->store) != 0) {
        int result = io_run(stoa->io, LOOP_WAIT_NS);
        ensure(result >= 0);
    }
    struct error_detail detail = {.code = 0};
    (void)store_mend_tables(stoa->store,
                            &detail); /* the store keeps it and tells it with every answer */
    while (stoa->retry != NULL) {
        struct engine_request *own = stoa->retry;
        stoa->retry = own->next;
        store_submit(stoa->store, &own->request);
    }
}

/* The lowest priority that the store takes on now. */
static enum mailbox_lane lowest_lane(const struct stoa *stoa)
{
    unsigned pending = store_pending(stoa->store);
    return pending < STORE_BUSY   ? MAILBOX_LOW
           : pending < STORE_FULL ? MAILBOX_HIGH
                                  : MAILBOX_CRITICAL;
}

static void run_loop(struct stoa *stoa)
{
    int result = 0;
    while (!stoa->closing && result >= 0) {
        struct mailbox_message *message;
        while ((message = mailbox_pop(stoa->mailbox, lowest_lane(stoa))) != NULL) {
            take_message(stoa, message);
        }
        bring_views_home(stoa);
        if (!stoa->closing) {
            result = io_run(stoa->io, LOOP_WAIT_NS);
        }
        if (store_tables_damaged(stoa->store)) {
            mend_tables(stoa);
        }
    }
    ensure(result >= 0); /* a loop that cannot run leaves nothing that could answer the callers */
}

static void set_open_state(struct stoa *stoa, enum open_state state)
{
    pthread_mutex_lock(&stoa->open_mutex);
    stoa->open_state = state;
    pthread_cond_signal(&stoa->open_changed);
    pthread_mutex_unlock(&stoa->open_mutex);
}

static void note_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct stoa *stoa = context;
    pthread_mutex_lock(&stoa->open_mutex);
    stoa->progress_what = what;
    stoa->progress_done = done;
    stoa->progress_total = total;
    if (!stoa->progress_due) {
        stoa->progress_due = true;
        pthread_cond_signal(&stoa->open_changed);
    }
    pthread_mutex_unlock(&stoa->open_mutex);
}

/* Make loop, mailbox and store. A warning of the loop's stays in the detail. */
static int open_on_loop(struct stoa *stoa)
{
    static const enum io_backend backends[] = {
        [STOA_IO_AUTO] = IO_BACKEND_AUTO,
        [STOA_IO_RING] = IO_BACKEND_RING,
        [STOA_IO_THREADS] = IO_BACKEND_THREADS,
    };
    struct io_options io_options = {.backend = backends[stoa->options.io], .entries = IO_ENTRIES};
    int result = io_create(&io_options, &stoa->io, &stoa->open_detail);
    if (result != 0) {
        return result;
    }
    stoa->mailbox = mailbox_create(stoa->io, MAILBOX_CAPACITY);
    if (stoa->mailbox == NULL) {
        return error_set(&stoa->open_detail, STOA_ENOMEM, "open");
    }
    struct store_options options = {
        .io = stoa->io,
        .directory = stoa->directory,
        .table_cache_size = stoa->options.table_cache_size,
        .segment_size = stoa->options.segment_size,
        .table_workers = stoa->options.table_workers,
        .verify_workers = stoa->options.verify_workers,
        .checkpoint_ns = (uint64_t)stoa->options.checkpoint_seconds * 1000000000,
        .unwind_max = stoa->options.unwind_max,
        .bulk = stoa->options.bulk != 0,
        .progress = stoa->options.progress == NULL ? NULL : note_progress,
        .progress_context = stoa,
    };
    if (options.verify_workers == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        options.verify_workers = processors < 1             ? 1
                                 : processors > WORKERS_MAX ? WORKERS_MAX
                                                            : (unsigned)processors;
    }
    struct error_detail detail = {.code = 0};
    result = store_open(&options, &stoa->store, &detail);
    if (result != 0) {
        stoa->open_detail = detail;
    }
    return result;
}

void *engine_loop_thread(void *context)
{
    struct stoa *stoa = context;
    stoa->open_result = open_on_loop(stoa);
    if (stoa->open_result != 0) {
        mailbox_destroy(stoa->mailbox);
        io_destroy(stoa->io);
        set_open_state(stoa, OPEN_FAILED);
        return NULL;
    }
    set_open_state(stoa, OPENED);
    run_loop(stoa);
    stoa->close_result = store_close(stoa->store, &stoa->close_detail);
    while (sem_wait(&stoa->left_to_end) != 0) {
        ensure(errno == EINTR);
    }
    mailbox_destroy(stoa->mailbox);
    io_destroy(stoa->io);
    return NULL;
}
