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

/* True: there were some. */
static bool take_messages(struct stoa *stoa)
{
    struct mailbox_message *message;
    bool any = false;
    while (agenda_count(stoa->agenda) < AGENDA_CAPACITY &&
           (message = mailbox_pop(stoa->mailbox, MAILBOX_LOW)) != NULL) {
        any = true;
        switch ((enum message_kind)message->kind) {
        case MESSAGE_REQUEST:
            engine_deliver(stoa, (struct engine_request *)(void *)message);
            break;
        case MESSAGE_CALL:
            *stoa->calls_last = (struct engine_call *)(void *)message;
            stoa->calls_last = &(*stoa->calls_last)->next;
            break;
        }
    }
    return any;
}

/* After what came with them: a call sees each request that was submitted before it. */
static void run_calls(struct stoa *stoa)
{
    while (stoa->calls != NULL) {
        struct engine_call *call = stoa->calls;
        stoa->calls = call->next;
        if (stoa->calls == NULL) {
            stoa->calls_last = &stoa->calls;
        }
        bring_views_home(stoa);
        call->run(stoa, call);
        if (!call->later) {
            sem_post(&call->answered);
        }
    }
}

/* Wait for what comes next. Who was ANSWERED at once may ask again at once; what is under way in
 * the store takes its time. */
static int sleep_a_while(struct stoa *stoa, bool answered)
{
    uint64_t wait_ns = engine_deliver_wait_ns(stoa);
    uint64_t warm_ns = engine_warm_wait_ns(stoa);
    wait_ns = warm_ns < wait_ns ? warm_ns : wait_ns;
    return answered && store_pending(stoa->store) == 0 ? io_run_lingering(stoa->io, wait_ns)
                                                       : io_run(stoa->io, wait_ns);
}

int engine_loop_turn(struct stoa *stoa)
{
    int result = 0;
    bool any = take_messages(stoa);
    engine_deliver_turn(stoa);
    run_calls(stoa);
    bring_views_home(stoa);
    bool more = engine_warm_step(stoa);
    more = engine_warm_save_step(stoa) || more;
    if (stoa->cache != NULL) {
        cache_tick(stoa->cache, io_now_ns(stoa->io));
        store_pack(stoa->store);
    }
    if (!stoa->closing) {
        result = more ? io_run(stoa->io, 0) : sleep_a_while(stoa, any);
    }
    if (result >= 0) {
        engine_supervise_turn(stoa);
    }
    return result;
}

static void run_loop(struct stoa *stoa)
{
    int result = 0;
    while (!stoa->closing && result >= 0) {
        result = engine_loop_turn(stoa);
    }
    while (store_pending(stoa->store) != 0 && result >= 0) { /* some were told before they end */
        result = io_run(stoa->io, LOOP_WAIT_NS);
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
    stoa->io->metrics = stoa->metrics;
    stoa->mailbox = mailbox_create(stoa->io, MAILBOX_CAPACITY);
    if (stoa->mailbox == NULL || engine_deliver_init(stoa) != 0) {
        return error_set(&stoa->open_detail, STOA_ENOMEM, "open");
    }
    result = engine_cache_create(stoa);
    if (result != 0) {
        return result;
    }
    struct store_options options = {
        .io = stoa->io,
        .cache = stoa->cache,
        .directory = stoa->directory,
        .table_cache_size = stoa->options.table_cache_size,
        .segment_size = stoa->options.segment_size,
        .table_workers = stoa->options.table_workers,
        .verify_workers = stoa->options.verify_workers,
        .checkpoint_ns = UINT64_MAX, /* a job sees to that */
        .unwind_max = stoa->options.unwind_max,
        .history_blocks = stoa->options.history_blocks,
        .trie_history_blocks = stoa->options.trie_history_blocks,
        .trie_cache_size = stoa->options.trie_cache_size,
        .space_reserve = stoa->maintenance.space.refuse,
        .bulk = stoa->options.bulk != 0,
        .write_through = stoa->cache_options.policy == STOA_WRITE_THROUGH,
        .progress = stoa->options.progress == NULL ? NULL : note_progress,
        .progress_context = stoa,
        .is_stopping = engine_serve_is_stopping,
        .stopping_context = stoa,
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
        return result;
    }
    stoa->chain_id = store_chain_id(stoa->store);
    result = engine_serve_read_verified(stoa, &detail);
    if (result == 0) {
        result = engine_jobs_create(stoa, &detail);
    }
    if (result != 0) {
        stoa->open_detail = detail;
        (void)store_close(stoa->store, NULL); /* what failed first is told */
    }
    return result;
}

void *engine_loop_thread(void *context)
{
    struct stoa *stoa = context;
    stoa->open_result = open_on_loop(stoa);
    if (stoa->open_result != 0) {
        engine_deliver_deinit(stoa);
        cache_destroy(stoa->cache);
        mailbox_destroy(stoa->mailbox);
        io_destroy(stoa->io);
        set_open_state(stoa, OPEN_FAILED);
        return NULL;
    }
    if (stoa->cache_options.cold == 0) {
        (void)engine_warm_begin(stoa); /* nothing is under way yet */
    }
    (void)engine_warm_save_init(stoa); /* no memory: it is saved at the end */
    engine_health_start(stoa);
    set_open_state(stoa, OPENED);
    run_loop(stoa);
    engine_health_stop(stoa);
    engine_warm_end(stoa);
    engine_warm_save_end(stoa);
    engine_warm_save(stoa);
    engine_jobs_end(stoa);
    stoa->close_result = store_close(stoa->store, &stoa->close_detail);
    while (sem_wait(&stoa->left_to_end) != 0) {
        ensure(errno == EINTR);
    }
    engine_deliver_deinit(stoa);
    cache_destroy(stoa->cache);
    mailbox_destroy(stoa->mailbox);
    io_destroy(stoa->io);
    return NULL;
}
