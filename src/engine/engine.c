/* SPDX-License-Identifier: GPL-3.0-or-later */
/* engine.c: implements stoa.h: one thread runs the loop that owns the store; callers' threads put
 * messages into its mailbox and wait for the answer, or reap it from the queue of completions.
 *
 * Crossing threads: the mailbox; a semaphore a blocking call; the queue of completions (one mutex);
 * the stack of released views (one atomic). Everything else belongs to the loop's thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "actor/mailbox.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "config.h"
#include "stoa.h"
#include "store/store.h"

enum {
    UNDER_WAY_MAX = 4096,
    MAILBOX_CAPACITY = 8191,
    STATE_KEY_MAX = 128,
    IO_ENTRIES = 512,
    DAMAGES_KEPT_MAX = 100000,
    WORKERS_MAX = 256,
    LOOP_WAIT_NS = 1000000000,
};

enum message_kind { MESSAGE_REQUEST, MESSAGE_CALL };

/* A store request on its way from a caller's thread and back. */
struct engine_request {
    struct mailbox_message message; /* first */
    struct stoa *stoa;
    struct store_request request;
    uint8_t state_key[STATE_KEY_MAX];
    uint64_t tag;
    bool blocking;
    bool retried;   /* after the tables were mended */
    sem_t answered; /* blocking calls only */
    struct engine_request *next;
};

/* Something to run on the loop's thread while the caller waits. */
struct engine_call {
    struct mailbox_message message; /* first */
    void (*run)(struct stoa *stoa, struct engine_call *call);
    void *context;
    int result;
    struct error_detail detail;
    sem_t answered;
};

enum open_state { OPENING, OPENED, OPEN_FAILED };

struct stoa {
    pthread_t thread;
    struct io *io;
    struct store *store;
    struct mailbox *mailbox;
    char *directory;
    struct stoa_options options;

    /* Opening: the thread tells the caller how far it is. */
    pthread_mutex_t open_mutex;
    pthread_cond_t open_changed;
    enum open_state open_state;
    int open_result;
    struct error_detail open_detail;
    bool progress_due;
    const char *progress_what;
    uint64_t progress_done;
    uint64_t progress_total;

    /* Completions of submitted requests. */
    pthread_mutex_t done_mutex;
    pthread_cond_t done_changed;
    struct engine_request *done_first;
    struct engine_request **done_last;
    unsigned under_way; /* submitted and not yet reaped */
    unsigned waiting;   /* threads in stoa_reap */
    int done_fd;        /* -1 until asked for */
    struct engine_request *free_requests;

    /* Views that callers gave back: pushed with release, taken whole with acquire. */
    _Atomic(struct stoa_view *) released;

    /* The loop's. */
    bool closing;
    struct engine_request
        *retry;        /* reads that met damaged tables, to be made again when those are mended */
    sem_t left_to_end; /* whoever closes touches mailbox and loop no more */
    int close_result;
    struct error_detail close_detail;
};

const char *stoa_version(void)
{
    return PACKAGE_VERSION;
}

/* The internal detail as the public one; NULL is allowed. */
static void tell(struct stoa_detail *to, const struct error_detail *from)
{
    static_assert(sizeof(to->text) == sizeof(from->text), "one is copied to the other");
    if (to != NULL) {
        to->code = from->code;
        to->os_error = from->os_error;
        memcpy(to->text, from->text, sizeof(to->text));
    }
}

static int refuse(struct stoa_detail *to, int code, const char *text)
{
    struct error_detail detail;
    (void)error_set(&detail, code, "%s", text); /* returned below */
    tell(to, &detail);
    return code;
}

/* ---- the loop's thread ---- */

static void bring_views_home(struct stoa *stoa)
{
    struct stoa_view *view = atomic_exchange_explicit(&stoa->released, NULL, memory_order_acquire);
    while (view != NULL) {
        struct stoa_view *next = view->next;
        store_view_release(view);
        view = next;
    }
}

static void done_request(struct store_request *request)
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
        own->request.done = done_request;
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

static void run_loop(struct stoa *stoa)
{
    int result = 0;
    while (!stoa->closing && result >= 0) {
        struct mailbox_message *message;
        while ((message = mailbox_pop(stoa->mailbox)) != NULL) {
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

static void *loop_thread(void *context)
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

/* ---- opening and closing ---- */

/* Of an option struct: an older program's is smaller, and the rest keeps its defaults. */
static bool size_is_valid(size_t size, size_t known)
{
    return size >= sizeof(size_t) && size <= known;
}

int stoa_create(const char *directory, const struct stoa_create_options *options,
                struct stoa_detail *detail)
{
    struct stoa_create_options own = STOA_CREATE_OPTIONS_INIT;
    if (directory == NULL || (options != NULL && !size_is_valid(options->size, sizeof(own)))) {
        return refuse(detail, STOA_EINVAL, "create: bad argument");
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
    tell(detail, &inner);
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

static void destroy(struct stoa *stoa)
{
    while (stoa->free_requests != NULL) {
        struct engine_request *next = stoa->free_requests->next;
        memory_free(stoa->free_requests);
        stoa->free_requests = next;
    }
    if (stoa->done_fd >= 0) {
        close(stoa->done_fd);
    }
    pthread_mutex_destroy(&stoa->open_mutex);
    pthread_cond_destroy(&stoa->open_changed);
    pthread_mutex_destroy(&stoa->done_mutex);
    pthread_cond_destroy(&stoa->done_changed);
    sem_destroy(&stoa->left_to_end);
    memory_free(stoa->directory);
    memory_free(stoa);
}

static struct stoa *make(const char *directory, const struct stoa_options *options)
{
    struct stoa *stoa = memory_alloc_zeroed(1, sizeof(*stoa));
    if (stoa == NULL) {
        return NULL;
    }
    stoa->directory = memory_copy_text(directory);
    if (stoa->directory == NULL) {
        memory_free(stoa);
        return NULL;
    }
    stoa->options = *options;
    stoa->done_fd = -1;
    atomic_init(&stoa->released, NULL);
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
        (options != NULL && !size_is_valid(options->size, sizeof(own)))) {
        return refuse(detail, STOA_EINVAL, "open: bad argument");
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    if ((unsigned)own.io > STOA_IO_THREADS) {
        return refuse(detail, STOA_EINVAL, "open: io is none of STOA_IO_…");
    }
    if (own.table_workers > WORKERS_MAX || own.verify_workers > WORKERS_MAX) {
        return refuse(detail, STOA_EINVAL, "open: more than 256 workers of a kind");
    }
    struct stoa *stoa = make(directory, &own);
    if (stoa == NULL) {
        return refuse(detail, STOA_ENOMEM, "open");
    }
    int error = pthread_create(&stoa->thread, NULL, loop_thread, stoa);
    if (error != 0) {
        (void)error_set_errno(&stoa->open_detail, error, "start a thread"); /* returned below */
        tell(detail, &stoa->open_detail);
        destroy(stoa);
        return error_from_errno(error);
    }
    wait_until_open(stoa);
    if (stoa->open_state == OPEN_FAILED && stoa->open_detail.code != stoa->open_result) {
        (void)error_set(&stoa->open_detail, stoa->open_result, "open: %s", /* told below */
                        stoa_strerror(stoa->open_result));
    }
    tell(detail, &stoa->open_detail);
    if (stoa->open_state == OPEN_FAILED) {
        pthread_join(stoa->thread, NULL);
        int result = stoa->open_result;
        destroy(stoa);
        return result;
    }
    *out_stoa = stoa;
    return 0;
}

/* ---- requests ---- */

/* With the mutex held: after COUNT fewer are under way, nobody waits for nothing. */
static void count_down(struct stoa *stoa, unsigned count)
{
    ensure(stoa->under_way >= count);
    stoa->under_way -= count;
    if (stoa->under_way == 0 && stoa->waiting != 0) {
        pthread_cond_broadcast(&stoa->done_changed);
    }
}

/* What was counted as submitted was not. */
static void not_under_way(struct stoa *stoa, bool blocking)
{
    if (!blocking) {
        pthread_mutex_lock(&stoa->done_mutex);
        count_down(stoa, 1);
        pthread_mutex_unlock(&stoa->done_mutex);
    }
}

/* STOA_EBUSY: as many as may be are under way. STOA_ENOMEM. */
static int take_request(struct stoa *stoa, bool blocking, struct engine_request **out_request)
{
    pthread_mutex_lock(&stoa->done_mutex);
    struct engine_request *own = NULL;
    bool full = !blocking && stoa->under_way >= UNDER_WAY_MAX;
    if (!full && stoa->free_requests != NULL) {
        own = stoa->free_requests;
        stoa->free_requests = own->next;
    }
    if (!full && !blocking) {
        stoa->under_way++;
    }
    pthread_mutex_unlock(&stoa->done_mutex);
    if (full) {
        return STOA_EBUSY;
    }
    if (own == NULL) {
        own = memory_alloc(sizeof(*own));
        if (own == NULL) {
            not_under_way(stoa, blocking);
            return STOA_ENOMEM;
        }
    }
    own->message.kind = MESSAGE_REQUEST;
    own->stoa = stoa;
    own->blocking = blocking;
    own->retried = false;
    memset(&own->request, 0, sizeof(own->request));
    *out_request = own;
    return 0;
}

static void give_back(struct stoa *stoa, struct engine_request *own)
{
    pthread_mutex_lock(&stoa->done_mutex);
    own->next = stoa->free_requests;
    stoa->free_requests = own;
    pthread_mutex_unlock(&stoa->done_mutex);
}

static int copy_put(const struct stoa_store_block *block, struct stoa_store_block *out)
{
    struct stoa_store_block own = STOA_STORE_BLOCK_INIT;
    if (block == NULL || block->size > sizeof(own) ||
        block->size < offsetof(struct stoa_store_block, receipts)) {
        return STOA_EINVAL;
    }
    memcpy(&own, block, block->size);
    own.size = sizeof(own);
    *out = own;
    bool valid = (own.skip & ~(unsigned)STOA_SKIP_ALL) == 0 &&
                 (own.flags & ~(unsigned)STOA_STORE_SIDE) == 0 && own.block.data != NULL &&
                 (own.changes != NULL || own.change_count == 0);
    for (size_t i = 0; valid && i < own.change_count; i++) {
        valid = own.changes[i].key.data != NULL;
    }
    return valid ? 0 : STOA_EINVAL;
}

/* What is to be done, by kind. STOA_EINVAL. */
static int fill_request(struct engine_request *own, enum store_request_kind kind, const void *what)
{
    struct store_request *request = &own->request;
    request->kind = kind;
    if (what == NULL) {
        return STOA_EINVAL;
    }
    switch (kind) {
    case STORE_PUT_BLOCK:
        return copy_put(what, &request->put);
    case STORE_GET_BLOCK:
        request->key = *(const struct stoa_block_key *)what;
        return request->key.by < STOA_BY_HEIGHT || request->key.by > STOA_LATEST ? STOA_EINVAL : 0;
    case STORE_GET_TRANSACTION:
        memcpy(request->hash, what, 32);
        return 0;
    case STORE_GET_STATE: {
        const struct stoa_bytes *key = what;
        if (key->data == NULL || key->size < 1 || key->size > STATE_KEY_MAX) {
            return STOA_EINVAL;
        }
        memcpy(own->state_key, key->data, key->size);
        request->state_key = bytes_of(own->state_key, key->size);
        return 0;
    }
    }
    return STOA_EINVAL;
}

/* Submit and wait. OUT_REQUEST gets what came back. */
static int ask(struct stoa *stoa, enum store_request_kind kind, const void *what,
               struct store_request *out_request, struct stoa_detail *detail)
{
    struct engine_request *own;
    int result = take_request(stoa, true, &own);
    if (result != 0) {
        return refuse(detail, result, stoa_strerror(result));
    }
    result = fill_request(own, kind, what);
    if (result == 0) {
        sem_init(&own->answered, 0, 0);
        result = mailbox_push(stoa->mailbox, &own->message);
        if (result == 0) {
            while (sem_wait(&own->answered) != 0) {
                ensure(errno == EINTR);
            }
        }
        sem_destroy(&own->answered);
        if (result == 0) {
            result = own->request.result;
            *out_request = own->request;
            tell(detail, &own->request.detail);
            give_back(stoa, own);
            return result;
        }
    }
    give_back(stoa, own);
    return refuse(detail, result, stoa_strerror(result));
}

static int submit(struct stoa *stoa, enum store_request_kind kind, const void *what, uint64_t tag)
{
    struct engine_request *own;
    int result = take_request(stoa, false, &own);
    if (result != 0) {
        return result;
    }
    own->tag = tag;
    result = fill_request(own, kind, what);
    if (result == 0) {
        result = mailbox_push(stoa->mailbox, &own->message);
    }
    if (result != 0) {
        give_back(stoa, own);
        not_under_way(stoa, false);
    }
    return result;
}

int stoa_store_block(struct stoa *stoa, const struct stoa_store_block *block,
                     struct stoa_detail *detail)
{
    struct store_request request;
    return ask(stoa, STORE_PUT_BLOCK, block, &request, detail);
}

int stoa_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                   struct stoa_block *out_block, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_block == NULL) {
        return refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STORE_GET_BLOCK, key, &request, detail);
    if (result == 0) {
        *out_block = request.block;
    }
    return result;
}

int stoa_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    struct store_request request;
    if (out_transaction == NULL) {
        return refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STORE_GET_TRANSACTION, hash, &request, detail);
    if (result == 0) {
        *out_transaction = request.transaction;
    }
    return result;
}

int stoa_get_state(struct stoa *stoa, struct stoa_bytes key, struct stoa_bytes *out_value,
                   struct stoa_detail *detail)
{
    struct store_request request;
    if (out_value == NULL) {
        return refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = ask(stoa, STORE_GET_STATE, &key, &request, detail);
    if (result == 0) {
        *out_value = (struct stoa_bytes){request.value.data, request.value.size};
    }
    return result;
}

void stoa_free(void *pointer)
{
    memory_free(pointer);
}

void stoa_release(struct stoa_view *view)
{
    if (view == NULL) {
        return;
    }
    struct stoa *stoa = view->home;
    struct stoa_view *first = atomic_load_explicit(&stoa->released, memory_order_relaxed);
    do {
        view->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&stoa->released, &first, view,
                                                    memory_order_release, memory_order_relaxed));
    /* The loop takes the stack at its next turn; buffers wait no longer than its longest sleep. */
}

int stoa_submit_store_block(struct stoa *stoa, const struct stoa_store_block *block, uint64_t tag)
{
    return submit(stoa, STORE_PUT_BLOCK, block, tag);
}

int stoa_submit_get_block(struct stoa *stoa, const struct stoa_block_key *key, uint64_t tag)
{
    return submit(stoa, STORE_GET_BLOCK, key, tag);
}

int stoa_submit_get_transaction(struct stoa *stoa, const uint8_t hash[32], uint64_t tag)
{
    return submit(stoa, STORE_GET_TRANSACTION, hash, tag);
}

int stoa_submit_get_state(struct stoa *stoa, struct stoa_bytes key, uint64_t tag)
{
    return submit(stoa, STORE_GET_STATE, &key, tag);
}

/* ---- completions ---- */

static void fill_completion(const struct engine_request *own, struct stoa_completion *out)
{
    const struct store_request *request = &own->request;
    *out = (struct stoa_completion){.tag = own->tag, .result = request->result};
    tell(&out->detail, &request->detail);
    if (request->kind == STORE_PUT_BLOCK) {
        memcpy(out->hash, request->hash, 32);
        out->height = request->height;
    }
    if (request->result != 0) {
        return;
    }
    if (request->kind == STORE_GET_BLOCK) {
        out->block = request->block;
    } else if (request->kind == STORE_GET_TRANSACTION) {
        out->transaction = request->transaction;
    } else if (request->kind == STORE_GET_STATE) {
        out->value = (struct stoa_bytes){request->value.data, request->value.size};
    }
}

/* Wait with the mutex held until something is done, nothing is under way, or the time has passed.
 */
static void wait_for_completion(struct stoa *stoa, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    int waited = 0;
    stoa->waiting++;
    while (stoa->done_first == NULL && stoa->under_way != 0 && waited == 0) {
        if (timeout_ms < 0) {
            pthread_cond_wait(&stoa->done_changed, &stoa->done_mutex);
        } else {
            waited = pthread_cond_timedwait(&stoa->done_changed, &stoa->done_mutex, &until);
        }
    }
    stoa->waiting--;
}

int stoa_reap(struct stoa *stoa, struct stoa_completion *out, unsigned count, int timeout_ms)
{
    unsigned taken = 0;
    pthread_mutex_lock(&stoa->done_mutex);
    if (stoa->done_first == NULL && timeout_ms != 0) {
        wait_for_completion(stoa, timeout_ms);
    }
    while (taken < count && stoa->done_first != NULL) {
        struct engine_request *own = stoa->done_first;
        stoa->done_first = own->next;
        fill_completion(own, &out[taken++]);
        own->next = stoa->free_requests;
        stoa->free_requests = own;
    }
    if (taken != 0 && stoa->done_first == NULL && stoa->done_fd >= 0) {
        eventfd_t ignored;
        (void)eventfd_read(stoa->done_fd, &ignored); /* empty again; EAGAIN where it was already */
    }
    count_down(stoa, taken);
    pthread_mutex_unlock(&stoa->done_mutex);
    return (int)taken;
}

int stoa_completion_fd(struct stoa *stoa)
{
    pthread_mutex_lock(&stoa->done_mutex);
    if (stoa->done_fd < 0) {
        stoa->done_fd = eventfd(stoa->done_first != NULL, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    int fd = stoa->done_fd < 0 ? error_from_errno(errno) : stoa->done_fd;
    pthread_mutex_unlock(&stoa->done_mutex);
    return fd;
}

/* ---- calls that run on the loop ---- */

static int call(struct stoa *stoa, void (*run)(struct stoa *stoa, struct engine_call *call),
                void *context, struct stoa_detail *detail)
{
    struct engine_call own = {.message = {.kind = MESSAGE_CALL}, .run = run, .context = context};
    sem_init(&own.answered, 0, 0);
    int result = mailbox_push(stoa->mailbox, &own.message);
    if (result != 0) {
        sem_destroy(&own.answered);
        return refuse(detail, result, stoa_strerror(result));
    }
    while (sem_wait(&own.answered) != 0) {
        ensure(errno == EINTR);
    }
    sem_destroy(&own.answered);
    tell(detail, &own.detail);
    return own.result;
}

static void run_head(struct stoa *stoa, struct engine_call *call)
{
    store_get_head(stoa->store, call->context);
}

int stoa_get_head(struct stoa *stoa, struct stoa_head *out_head)
{
    return out_head == NULL ? STOA_EINVAL : call(stoa, run_head, out_head, NULL);
}

static void run_stats(struct stoa *stoa, struct engine_call *call)
{
    store_get_stats(stoa->store, call->context);
}

int stoa_get_stats(struct stoa *stoa, struct stoa_stats *out_stats)
{
    struct stoa_stats stats;
    if (out_stats == NULL || !size_is_valid(out_stats->size, sizeof(stats))) {
        return STOA_EINVAL;
    }
    int result = call(stoa, run_stats, &stats, NULL);
    if (result == 0) {
        size_t size = out_stats->size;
        memcpy(out_stats, &stats, size);
        out_stats->size = size;
    }
    return result;
}

static void run_checkpoint(struct stoa *stoa, struct engine_call *call)
{
    call->result = store_checkpoint(stoa->store, &call->detail);
}

int stoa_checkpoint(struct stoa *stoa, struct stoa_detail *detail)
{
    return call(stoa, run_checkpoint, NULL, detail);
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
        return refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    int result = call(stoa, run_verify, &verify, detail);
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

/* ---- closing ---- */

/* Completions nobody reaped give their views and values back. */
static void drop_completions(struct stoa *stoa)
{
    struct stoa_completion completion;
    while (stoa_reap(stoa, &completion, 1, -1) == 1) {
        stoa_release(completion.transaction.block.view != NULL ? completion.transaction.block.view
                                                               : completion.block.view);
        memory_free((void *)(uintptr_t)completion.value.data);
    }
}

static void run_close(struct stoa *stoa, struct engine_call *call)
{
    unsigned out = store_views_out(stoa->store);
    if (out != 0) {
        call->result = error_set(&call->detail, STOA_EBUSY,
                                 "close: %u views are not released; release them, then close", out);
    } else {
        stoa->closing = true;
    }
}

int stoa_close(struct stoa *stoa, struct stoa_detail *detail)
{
    if (stoa == NULL) {
        return 0;
    }
    drop_completions(stoa);
    int result = call(stoa, run_close, NULL, detail);
    if (result != 0) {
        return result;
    }
    sem_post(&stoa->left_to_end);
    pthread_join(stoa->thread, NULL);
    result = stoa->close_result;
    tell(detail, &stoa->close_detail);
    destroy(stoa);
    return result;
}
