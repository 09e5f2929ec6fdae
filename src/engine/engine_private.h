/* SPDX-License-Identifier: GPL-3.0-or-later */
/* engine_private.h: what the files of the engine share. See engine.c for which thread owns what. */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "actor/agenda.h"
#include "actor/dead_letters.h"
#include "actor/mailbox.h"
#include "actor/supervisor.h"
#include "engine/engine_remote.h"
#include "maint/job.h"
#include "maint/verify_notes.h"
#include "metrics/metrics.h"
#include "stoa.h"
#include "store/store.h"

enum {
    UNDER_WAY_MAX = 4096,
    MAILBOX_CAPACITY = 8191,
    RAW_KEY_MAX = 128, /* as stoa.h says */
    IO_ENTRIES = 512,
    DAMAGES_KEPT_MAX = 100000,
    WORKERS_MAX = 256,
    LOOP_WAIT_NS = 1000000000,
    AGENDA_CAPACITY = 1 << 14,
};

enum message_kind { MESSAGE_REQUEST, MESSAGE_CALL };

/* A caller that waits for the answer to its request. */
struct engine_waiter {
    sem_t answered;
    struct engine_request *answer; /* the request, or its spare; the waiter gives it back */
    struct engine_request *asked;  /* the loop's, until it is answered */
};

enum engine_place {
    ENGINE_WAITING, /* for its turn */
    ENGINE_IN_STORE,
    ENGINE_BACKING_OFF, /* it failed; its time says when it is tried again */
    ENGINE_HELD,        /* a write, until the store is out of trouble */
};

struct engine_request;

/* Serve a message on the loop: ends with engine_deliver_served, or engine_deliver_done later. */
typedef void (*engine_serve_type)(struct engine_request *own);

/* A request of the store's, or served by the engine itself, on its way from a caller's thread and
 * back. */
struct engine_request {
    struct mailbox_message message; /* first */
    struct agenda_entry entry;      /* id and lane; in the agenda until the caller is told */
    struct stoa *stoa;
    struct store_request request;
    uint8_t state_key[RAW_KEY_MAX];
    enum stoa_message what;
    uint64_t tag;
    uint64_t pushed_ns;   /* when it came, by io_now_ns */
    uint64_t deadline_ns; /* by io_now_ns; UINT64_MAX: none */
    unsigned flags;       /* STOA_CALL_… */
    int durability;
    enum engine_place place;
    uint64_t order; /* in which they came */
    struct engine_request *held_next;
    struct engine_request *held_previous;
    unsigned tries;
    bool owned;    /* nothing of it is the caller's: it may be told before the store is done */
    bool told;     /* it was: what the store still says is dropped */
    bool given_up; /* it would have been tried again, had there been time */
    bool buffered; /* told when it was appended */
    bool dead;     /* told that it was not done: it goes to the dead letters when the store lets go
                      of it */
    bool retried;  /* after the tables were mended */
    struct stoa_change *changes;     /* of a batch; or NULL */
    struct stoa_store_block *blocks; /* of a batch; or NULL */
    struct store_batch batch;        /* with these */
    size_t batch_item; /* that the store's refusal is about; SIZE_MAX: of none alone */
    void *copy;        /* of the caller's bytes, where it is owned and has any */
    size_t copy_size;
    struct engine_prepared *prepared; /* or NULL */
    engine_serve_type serve;          /* NULL: it is the store's */
    int index; /* to be made anew; to verify: 1 deeply; of the archive: from which segment on */
    struct store_rebuild rebuild;
    struct engine_job *job; /* of upkeep (engine_jobs.c), or NULL */
    struct stoa_head head;
    void *report; /* of what was asked for; the caller's with the answer, as is the next */
    struct stoa_damage *damages;
    size_t report_count;          /* branches, or damages */
    struct engine_request *spare; /* tells the caller where the request itself must stay */
    struct engine_waiter *waiter; /* NULL: the answer is a completion */
    struct dead_letter letter;    /* id 0: it was never in the box */
    struct engine_request *next;
};

/* Something to run on the loop's thread while the caller waits. */
struct engine_call {
    struct mailbox_message message; /* first */
    void (*run)(struct stoa *stoa, struct engine_call *call);
    void *context;
    int result;
    struct error_detail detail;
    bool later; /* RUN did not end it: whoever does, after RUN, posts `answered`, and it is gone */
    sem_t answered;
    struct engine_call *next;
};

#define ENGINE_CHECK_CANCELED UINT64_MAX

enum open_state { OPENING, OPENED, OPEN_FAILED };

enum engine_trouble { ENGINE_SOUND, ENGINE_TROUBLED, ENGINE_GIVEN_UP };

/* The loop's: see engine_supervise.c. */
struct engine_supervision {
    struct supervisor supervisor;
    enum engine_trouble state;
    uint64_t due_ns; /* when it is opened again */
    uint64_t restarts;
    struct error_detail why;
    struct engine_request *held_first;
    struct engine_request *held_last;
};

enum { ENGINE_WARM_SLOTS = 8, ENGINE_WARM_BLOCKS = 1024, ENGINE_WARM_HEAD_SIZE = 16 };

/* A read that warms the cache up. */
struct engine_warm {
    struct store_request request;
    struct stoa *stoa;
    bool busy;
    uint8_t key[RAW_KEY_MAX];
};

struct stoa {
    const struct engine_remote_ops *remote; /* NULL: the store is in this process */
    void *remote_state;
    pthread_t thread;
    struct io *io;
    struct store *store;
    struct cache *cache; /* changed by the loop, read by all; NULL: none */
    struct stoa_cache_options cache_options;
    _Atomic(uint64_t) copies_out; /* views of state that are copies */
    struct mailbox *mailbox;
    struct metrics *metrics;
    struct engine_health *health;
    struct jobs *jobs;                      /* of upkeep, the loop's */
    struct verify_notes verified;           /* likewise */
    const struct store_rebuild *rebuilding; /* likewise; NULL: no index is made anew */
    struct stoa_maintenance maintenance;
    char backup_directory[JOB_PATH_SIZE]; /* what that points to */
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
    struct engine_prepared *prepared; /* free ones */
    uint64_t chain_id;

    _Atomic(uint64_t) next_correlation; /* of those that are made */

    /* Views that callers gave back: pushed with release, taken whole with acquire. */
    _Atomic(struct stoa_view *) released;

    /* Any thread ends with these what keeps the loop busy (engine_serve.c); hints, so relaxed. */
    _Atomic(bool) ending;       /* the handle will be closed */
    _Atomic(uint64_t) checking; /* correlation id of a verification or an analysis; 0: none;
                                   ENGINE_CHECK_CANCELED: it is not wanted any more */

    _Atomic(bool) warming; /* the loop's, told to anyone */
    _Atomic(uint64_t) warmed;

    /* The loop's. */
    struct agenda *agenda;
    unsigned in_store[MAILBOX_LANES]; /* requests of each lane */
    uint64_t next_order;
    struct engine_supervision supervision;
    struct dead_letters *dead_letters;
    struct engine_call *calls; /* taken from the mailbox, to be run in this order */
    struct engine_call **calls_last;
    uint64_t buffered_out;     /* told when they were appended, and not durable yet */
    struct engine_call *syncs; /* that wait for those to be durable */
    int buffered_result;       /* of the first of them that failed since the last stoa_sync */
    struct error_detail buffered_detail;
    bool giving_up; /* closing: what backs off is given up */
    struct engine_warm warm[ENGINE_WARM_SLOTS];
    unsigned warm_under_way;
    struct store_work warm_tables; /* the indexes that lead to blocks, by a worker */
    bool warm_tables_busy;
    _Atomic(bool) warm_tables_stop; /* the worker looks at it */
    struct engine_warm_save *warm_save;
    uint8_t *warm_file;
    struct bytes warm_keys; /* not yet read */
    uint64_t warm_next;     /* height */
    unsigned warm_blocks;   /* not yet read */
    uint64_t warm_bytes;    /* of blocks that still have room */
    bool asked;             /* somebody asked the store for something since warming looked */
    bool warm_held;         /* by that; until then: */
    uint64_t warm_at_ns;    /* the next request goes out while others ask */
    uint64_t warm_quiet_ns; /* nobody has asked for a while */
    bool closing;
    struct engine_request *last; /* verifications, in their order: one a turn, behind all that came
                                    meanwhile */
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

/* A handle without a thread, loop or store. NULL where memory is short. */
struct stoa *engine_make(const char *directory, const struct stoa_options *options);
void engine_free(struct stoa *stoa);
/* 0, and no detail. */
int engine_answered(struct stoa_detail *detail);

/* engine_cache.c */
int engine_cache_check(const struct stoa_cache_options *given, struct stoa_cache_options *out,
                       struct stoa_detail *detail);
int engine_cache_create(struct stoa *stoa); /* on the loop; fills open_detail */
/* Any thread: answer REQUEST at once, where the cache can. */
bool engine_cache_answer(struct stoa *stoa, struct store_request *request);
/* Any thread: true where VIEW was one of the cache's or a copy, and is released. */
bool engine_cache_release(struct stoa_view *view);
uint64_t engine_cache_views_out(struct stoa *stoa); /* on the loop */

/* engine_warm.c, on the loop */
int engine_warm_begin(struct stoa *stoa);        /* STOA_EBUSY: under way */
bool engine_warm_step(struct stoa *stoa);        /* each turn; true: there is more to do at once */
uint64_t engine_warm_wait_ns(struct stoa *stoa); /* until its next turn, at most LOOP_WAIT_NS */
void engine_warm_end(struct stoa *stoa);
void engine_warm_save(struct stoa *stoa); /* before the end; blocks */
int engine_warm_head(struct buffer *out); /* begin a file. STOA_ENOMEM */
int engine_warm_seal(struct buffer *out); /* and end it. STOA_ENOMEM */

/* engine_warm_save.c, on the loop */
int engine_warm_save_init(struct stoa *stoa); /* STOA_ENOMEM */
void engine_warm_save_end(struct stoa *stoa);
void engine_warm_save_soon(struct stoa *stoa);
bool engine_warm_save_step(struct stoa *stoa); /* each turn; true: there is more to do at once */

/* The loop's thread: opens the store, serves until closing, closes it. CONTEXT is the handle. */
void *engine_loop_thread(void *context);

/* Once around: take messages, serve them, wait for what comes next. What io_run returns. */
int engine_loop_turn(struct stoa *stoa);

/* ---- engine_request.c, any thread ---- */

/* A request from the pool, all zero but for STOA; it is not counted as under way. NULL where memory
 * is short. */
struct engine_request *engine_request_take(struct stoa *stoa);

/* To the pool, with its spare and its copy freed. NULL is allowed. */
void engine_request_give(struct stoa *stoa, struct engine_request *own);

/* With the mutex held: OWN alone to the pool; COUNT fewer are under way, nobody waits for nothing.
 */
void engine_request_to_pool(struct stoa *stoa, struct engine_request *own);
void engine_request_count_down(struct stoa *stoa, unsigned count);

/* An argument of the caller's, its arrays still the caller's. STOA_EINVAL. */
int engine_request_copy_put(const struct stoa_store_block *block, struct stoa_store_block *out);

/* engine_batch.c */
/* Make OWN the write that does all of GIVEN. STOA_EINVAL with the item's number, STOA_ENOMEM. */
int engine_batch_fill(struct engine_request *own, const struct stoa_batch *given,
                      struct error_detail *detail);
/* OWN is done: name the item in its detail. */
void engine_batch_explain(struct engine_request *own);

/* Put a message into the mailbox for WAITER, who then waits for the answer (and destroys the
 * semaphore, if not by engine_wait_for_answer). */
int engine_request_begin(struct stoa *stoa, enum stoa_message message, const void *argument,
                         const struct stoa_call *call, struct engine_waiter *waiter);
/* The same, and wait. *OUT_ANSWER is the caller's to give back. */
int engine_request_wait(struct stoa *stoa, enum stoa_message message, const void *argument,
                        const struct stoa_call *call, struct engine_request **out_answer);

/* STOA_PART_…, none or more. */
bool engine_parts_are_valid(unsigned parts);

/* What is wrong with a message that another process's store is to get, if anything. */
int engine_request_check(struct stoa *stoa, enum stoa_message message, const void *argument,
                         const struct stoa_call *call);

/* What it is, and whether it changes what is stored. */
bool engine_message_writes(enum stoa_message message);

/* ---- engine_completions.c, any thread ---- */

/* Of a block that was read. */
struct stoa_header engine_completion_header(const struct stoa_block *block);
void engine_completion_fill(const struct engine_request *own, struct stoa_completion *out);

/* Give back all that a completion nobody wants has brought. */
void engine_completion_drop(struct stoa_completion *completion);

/* Hand the answer, in OWN, to who waits for it: a waiter or the queue of completions. */
void engine_tell_answer(struct stoa *stoa, struct engine_request *own);

void engine_wait_for_answer(struct stoa *stoa, struct engine_waiter *waiter);

/* ---- engine_copy.c, any thread ---- */

/* Make OWN independent of its caller's memory, if its kind can be: own->owned. STOA_ENOMEM. */
int engine_copy_arguments(struct engine_request *own);

/* engine_prepare.c */
/* OWN's caller will wait for it: verify its block here where that is quicker. */
void engine_prepare(struct stoa *stoa, struct engine_request *own);
/* What was made for OWN is free again. With the mutex held. */
void engine_prepare_give(struct stoa *stoa, struct engine_request *own);
void engine_prepare_free(struct stoa *stoa);

/* ---- engine_deliver.c, the loop ---- */

/* STOA_ENOMEM. */
int engine_deliver_init(struct stoa *stoa);
void engine_deliver_deinit(struct stoa *stoa);

/* A request out of the mailbox. */
void engine_deliver(struct stoa *stoa, struct engine_request *own);

/* What is due, and as much of what waits as the store takes on. */
void engine_deliver_turn(struct stoa *stoa);

/* When the next turn is due at the latest, from now. */
uint64_t engine_deliver_wait_ns(struct stoa *stoa);

/* A store request's done. */
void engine_deliver_done(struct store_request *request);

/* Requests that back off are answered with their last failure, from now on at once. */
void engine_deliver_give_up(struct stoa *stoa);

/* A message that the engine serves: it was, with RESULT; it will be, by engine_deliver_done. */
void engine_deliver_served(struct engine_request *own, int result);
void engine_deliver_is_in_store(struct engine_request *own);

/* ---- engine_serve.c ---- */

/* NULL: MESSAGE is not served by the engine itself. Any thread. */
engine_serve_type engine_serve_find(enum stoa_message message);
int engine_serve_fill(struct engine_request *own, const void *argument); /* STOA_EINVAL */
void engine_serve_forget(struct engine_request *own);        /* what it was to bring its caller */
bool engine_serve_is_last(const struct engine_request *own); /* it wants the loop for itself */
/* On the loop: end what OWN began, soon. False: it did not begin anything. */
bool engine_serve_stop(struct engine_request *own);
void engine_serve_tell_rebuild(struct stoa *stoa); /* its metrics, now and then */
/* When the tables were opened: what they have of verifications. */
int engine_serve_read_verified(struct stoa *stoa, struct error_detail *detail);
/* Any thread. True: it is what the loop is busy with, and ends soon with STOA_ECANCELED. */
bool engine_serve_cancel(struct stoa *stoa, uint64_t correlation_id);
bool engine_serve_is_stopping(void *stoa); /* for the store */

/* ---- engine_jobs.c ---- */

/* Of the settings that OPTIONS bring. STOA_EINVAL. Any thread. */
int engine_jobs_check(const struct stoa_options *options, struct stoa_maintenance *out,
                      struct stoa_detail *detail);
/* CHECKED is STOA's, with a copy of what it points to. */
void engine_jobs_take(struct stoa *stoa, const struct stoa_maintenance *checked);
/* The job that MESSAGE asks for; -1: none. */
int engine_jobs_find(enum stoa_message message);

/* ---- engine_work.c ---- */

/* An answer while a worker makes it; first in what it is made of. */
struct engine_work {
    struct store_work work;
    struct engine_request *own;
    /* On the worker: make OWN's report. Fills work.detail where it fails. */
    int (*run)(struct engine_work *work, struct io *io, struct kv_session *session);
    void (*end)(struct engine_work *work); /* on the loop: give back what it holds */
};
/* SIZE zeroed bytes that begin with one for OWN: set RUN and END, and start it. NULL: no memory,
 * and OWN was told so. */
void *engine_work_make(struct engine_request *own, size_t size);
void engine_work_start(struct engine_work *work); /* OWN is answered when it has ended */
/* Any thread: ask for such a report, which is the caller's with *OUT_REPORT, for stoa_free. */
int engine_work_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
                    void **out_report, struct stoa_detail *detail);

/* engine_archive.c */
void engine_archive_serve(struct engine_request *own);
/* STOA_EINVAL. */
int engine_archive_fill(struct engine_request *own, const uint64_t *from);

void engine_storage_serve(struct engine_request *own); /* engine_storage.c */

/* engine_copies.c, engine_snapshots.c */
struct manifest;
void engine_copies_describe(const struct manifest *manifest, struct stoa_copy_info *out);
void engine_snapshots_serve(struct engine_request *own);

/* 0: there is none of that NAME. */
uint64_t engine_jobs_fact(const struct stoa_job_info *info, const char *name);
engine_serve_type engine_jobs_serve(enum stoa_message message); /* NULL: it is not about jobs */
int engine_jobs_fill(struct engine_request *own, const void *argument);
void engine_jobs_forget(struct engine_request *own); /* before OWN goes to the pool */
bool engine_jobs_stop(
    struct engine_request *own); /* soon; false: it asked for none, or shares it */
int engine_jobs_create(struct stoa *stoa,
                       struct error_detail *detail); /* on the loop, as the next */
void engine_jobs_end(struct stoa *stoa);             /* before the store's end; blocks */

/* ---- engine_supervise.c, the loop ---- */

void engine_supervise_init(struct stoa *stoa);

/* A failure may be the store's: look at it. */
void engine_supervise_notice(struct stoa *stoa);

/* Each turn: look at the store, and open it again where that is due. */
void engine_supervise_turn(struct stoa *stoa);
uint64_t engine_supervise_due_ns(const struct stoa *stoa); /* UINT64_MAX: nothing is */

/* Writes wait for the end of the trouble: hold one, take it back. */
bool engine_supervise_holds(const struct stoa *stoa);
void engine_supervise_hold(struct stoa *stoa, struct engine_request *request);
void engine_supervise_let_go(struct stoa *stoa, struct engine_request *request);

/* The handle is being closed: what waits is answered. */
void engine_supervise_end(struct stoa *stoa);

/* ---- engine_health.c ---- */

/* STOA_ENOMEM. */
int engine_health_init(struct stoa *stoa);
void engine_health_deinit(struct stoa *stoa);

/* The loop, while the store is open: look now and from then on; look once; stop. */
void engine_health_start(struct stoa *stoa);
void engine_health_look(struct stoa *stoa);
void engine_health_tell_cache(struct stoa *stoa); /* what the cache counts, to the metrics */
void engine_health_stop(struct stoa *stoa);

/* Any thread: one breaker more or fewer is not closed. */
void engine_health_count_breaker(struct stoa *stoa, bool open);

/* ---- engine_metrics.c, any thread: what is counted where a message goes ---- */

void engine_metrics_taken(struct engine_request *own);
void engine_metrics_let_go(struct stoa *stoa); /* by the store, on the loop */
void engine_metrics_refused(struct stoa *stoa, enum stoa_message message, int result);
void engine_metrics_answered(struct engine_request *own);
void engine_metrics_cache(struct stoa *stoa); /* one thread at a time */
void engine_metrics_lettered(struct stoa *stoa, enum stoa_message message);

/* ---- engine_remote.c: the same calls where stoa->remote is not NULL ---- */

int engine_remote_close(struct stoa *stoa, struct stoa_detail *detail);
/* As engine_request_wait; what is wrong with the request is told by the answer, too. */
int engine_remote_wait(struct stoa *stoa, enum stoa_message message, const void *argument,
                       const struct stoa_call *call, struct engine_request **out_answer);
int engine_remote_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
                      const struct stoa_call *call, struct stoa_completion *out_completion);
int engine_remote_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                             struct stoa_header *out_header, struct stoa_detail *detail);
int engine_remote_get_health(struct stoa *stoa, struct stoa_health *out_health);
int engine_remote_get_cache_stats(struct stoa *stoa, struct stoa_cache_stats *out_stats);
int engine_remote_wait_health(struct stoa *stoa, uint64_t seen, int timeout_ms,
                              struct stoa_health *out_health);
int engine_remote_letters_count(struct stoa *stoa, struct stoa_dead_letter_counts *out_counts);
/* True where VIEW was handed out by such a handle, and is released. */
bool engine_remote_release(struct stoa_view *view);

/* ---- engine_upkeep.c ---- */

/* Run RUN on the loop's thread and wait for it. STOA_EBUSY: the mailbox is full. */
int engine_run_on_loop(struct stoa *stoa, void (*run)(struct stoa *stoa, struct engine_call *call),
                       void *context, struct stoa_detail *detail);

#endif
