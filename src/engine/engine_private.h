/* SPDX-License-Identifier: GPL-3.0-or-later */
/* engine_private.h: what the files of the engine share. See engine.c for which thread owns what. */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "actor/mailbox.h"
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
    /* Requests in the store from which on low and normal ones wait in the mailbox, so that those
     * above them are not held up; and all but critical ones. */
    STORE_BUSY = 512,
    STORE_FULL = 2048,
};

enum message_kind { MESSAGE_REQUEST, MESSAGE_CALL };

/* A store request on its way from a caller's thread and back. */
struct engine_request {
    struct mailbox_message message; /* first */
    struct stoa *stoa;
    struct store_request request;
    uint8_t state_key[STATE_KEY_MAX];
    enum stoa_message what;
    uint64_t tag;
    uint64_t correlation_id;
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

    _Atomic(uint64_t) next_correlation; /* of those that are made */

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

/* The internal detail as the public one; NULL is allowed. */
void engine_tell(struct stoa_detail *to, const struct error_detail *from);

/* CODE, with TEXT in the detail. */
int engine_refuse(struct stoa_detail *to, int code, const char *text);

/* Of an option struct: an older program's is smaller, and the rest keeps its defaults. */
bool engine_size_is_valid(size_t size, size_t known);

/* The loop's thread: opens the store, serves until closing, closes it. CONTEXT is the handle. */
void *engine_loop_thread(void *context);

/* A store request's done, on the loop: the answer goes to the caller that waits, or to the queue of
 * completions. */
void engine_done_request(struct store_request *request);

/* Run RUN on the loop's thread and wait for it. STOA_EBUSY: the mailbox is full. */
int engine_run_on_loop(struct stoa *stoa, void (*run)(struct stoa *stoa, struct engine_call *call),
                       void *context, struct stoa_detail *detail);

#endif
