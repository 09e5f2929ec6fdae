/* SPDX-License-Identifier: GPL-3.0-or-later */
/* remote_private.h: what the files of a remote store share: remote.c has the calls, remote_link.c
 * the connection, remote_service.c the calls that are no messages. All with the mutex held, but
 * where it is said otherwise. */
#ifndef REMOTE_PRIVATE_H
#define REMOTE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "client/remote.h"
#include "engine/engine_remote.h"
#include "wire/wire_argument.h"
#include "wire/wire_reply.h"

enum {
    REMOTE_SUBMITTED_MAX = 4096,                    /* as of a store in the process */
    REMOTE_CALLS_MAX = REMOTE_SUBMITTED_MAX + 1024, /* with those that threads wait for */
    REMOTE_SEND_AT = 1 << 16,                       /* bytes that are sent though more follow */
};

/* Memory of a reply that views point into. */
struct remote_view {
    struct engine_remote_view base; /* first */
    struct remote *remote;
    _Atomic(unsigned) count; /* of views; release and acquire order the last use before the free */
    uint8_t data[];
};

/* One that waits for a call, or for any completion. */
struct remote_waiter {
    pthread_cond_t changed;
    struct remote_waiter *next;
    struct remote_waiter *previous;
};

/* A call that is under way. Its number and a serial number are its id on the wire. */
struct remote_call {
    bool used;
    bool done;
    bool submitted; /* a completion is reaped; else a thread waits for it */
    bool reads;     /* it may be sent again */
    uint32_t serial;
    unsigned number;
    uint16_t type;
    uint64_t tag;
    uint64_t correlation_id;
    struct buffer frame; /* as it was sent, where it may be sent again */
    uint64_t sent_from;  /* where in all that was sent on this connection it begins */
    uint64_t deadline_ns;
    struct remote_waiter *waiter; /* NULL: nobody waits for this one */
    struct stoa_completion completion;
    struct stoa_block *blocks; /* of a range, so far */
    size_t block_count;
    /* Of a service: the reply's payload, owned. */
    uint8_t *reply;
    size_t reply_size;
    int reply_result;
    struct remote_call *next; /* free, or done */
};

/* A message that is to be taken back: whoever asked waits. */
struct remote_cancel {
    uint64_t id;
    bool done;
    int result;
    struct remote_waiter *waiter;
    struct remote_cancel *next;
};

struct remote {
    char *address;
    char *name;
    uint8_t *token;
    size_t token_size;
    unsigned connect_ms;
    unsigned reconnect_ms;
    unsigned silence_ms;
    pthread_mutex_t mutex;

    /* The connection. */
    int fd; /* -1: none */
    struct buffer out;
    size_t out_at;
    uint64_t sent; /* bytes of this connection */
    struct buffer in;
    size_t in_at;
    uint64_t heard_ns; /* something came */
    bool pinged;
    uint64_t broken_ns;  /* since when there is none; 0: there is one */
    uint64_t attempt_ns; /* when the next try is due */
    unsigned pause_ms;
    struct stoa_detail why; /* it broke */
    struct wire_welcome welcome;
    bool buffered;      /* stores that need not be durable went over this connection */
    bool buffered_lost; /* or over one that broke: the daemon may have ended with it */

    /* Calls. */
    struct remote_call *calls; /* REMOTE_CALLS_MAX */
    struct remote_call *free_calls;
    unsigned call_count;
    unsigned submitted; /* under way or not reaped */
    struct remote_call *done_first;
    struct remote_call **done_last;
    struct remote_cancel *cancels;
    uint64_t next_correlation;
    uint32_t next_serial;
    atomic_uint views; /* out; relaxed, as whoever closes has them back */

    /* Waiting. */
    bool reading;
    struct remote_waiter *waiters;
    unsigned reapers;

    /* The descriptor that callers poll. */
    int poll_fd; /* -1: not asked for */
    int done_fd;
    int timer_fd;
    bool polled; /* the connection is in it */

    /* Health, see remote_service.c. */
    pthread_t health_thread;
    bool health_running;
    bool health_ending;
    pthread_cond_t health_changed;
    int health_fd;
};

/* ---- remote_link.c ---- */

/* Connect and greet, within TIMEOUT_MS; the mutex may be held or not. STOA_ENOTFOUND and so on. */
int remote_link_open(struct remote *remote, unsigned timeout_ms, struct stoa_detail *detail);
void remote_link_close(struct remote *remote);

/* Append the frame of CALL to what is to be sent. STOA_ENOMEM. */
int remote_link_queue(struct remote *remote, struct remote_call *call, struct bytes frame);

/* Send what goes without waiting. */
void remote_link_flush(struct remote *remote);

/* Wait up to WAIT_MS for something to come or to go, and take it. Lets go of the mutex meanwhile;
 * only the reader. Connects where that is due. */
void remote_link_turn(struct remote *remote, int wait_ms);

/* It broke: what was sent is failed or will be sent again. */
void remote_link_break(struct remote *remote, int code, const char *text);

/* ---- remote_call.c ---- */

/* A free call of TYPE, or NULL: REMOTE_CALLS_MAX are under way. */
struct remote_call *remote_call_take(struct remote *remote, unsigned type);
void remote_call_give(struct remote *remote, struct remote_call *call);
uint64_t remote_call_id(const struct remote_call *call);
struct remote_call *remote_call_find(struct remote *remote, uint64_t id);

/* CALL is answered: RESULT, with what PAYLOAD says. */
void remote_call_answer(struct remote *remote, struct remote_call *call,
                        const struct wire_header *header, struct bytes payload);
/* Parts of a range that came, given back. */
void remote_call_drop_parts(struct remote_call *call);

/* CALL has failed on this side. */
void remote_call_fail(struct remote *remote, struct remote_call *call, int code,
                      enum stoa_effect effect, const char *text);

/* ---- remote.c ---- */

/* Wait until *DONE, or UNTIL_NS has passed; WAITER is told. */
void remote_wait(struct remote *remote, struct remote_waiter *waiter, const bool *done,
                 uint64_t until_ns);

/* Queue CALL, whose frame's header is made here, and its payload by FILL. */
int remote_send(struct remote *remote, struct remote_call *call, const struct stoa_call *options,
                int (*fill)(struct wire_writer *writer, const void *context), const void *context);

/* Whether a call may begin: there is a connection, or one may come. 0, or STOA_ECLOSED. */
int remote_may_begin(struct remote *remote, struct stoa_detail *detail);

uint64_t remote_now_ns(void);

/* ---- remote_service.c ---- */

extern const struct engine_remote_ops remote_ops;

int remote_service_sync(void *context, struct stoa_detail *detail);
int remote_service_metrics_list(void *context,
                                void (*each)(void *own, const struct stoa_metric *metric),
                                void *own);
int remote_service_metrics_text(void *context, char **out_text, size_t *out_size);
int remote_service_letters_list(void *context, struct stoa_dead_letter *out, size_t capacity,
                                size_t *out_count);
int remote_service_letters_retry(void *context, uint64_t id, struct stoa_detail *detail);
int remote_service_letters_drop(void *context, uint64_t id);
int remote_service_letters_count(void *context, struct stoa_dead_letter_counts *out);
int remote_service_resize_cache(void *context, uint64_t size, struct stoa_detail *detail);
int remote_service_block_changes(void *context, const struct stoa_block_key *key,
                                 struct stoa_block_changes **out, struct stoa_detail *detail);
int remote_service_rebuild_index(void *context, int index,
                                 int (*progress)(void *own, uint64_t done, uint64_t total),
                                 void *own, struct stoa_detail *detail);
int remote_service_wait_health(void *context, uint64_t seen, int timeout_ms,
                               struct stoa_health *out);
int remote_service_health_fd(void *context);
void remote_service_end(struct remote *remote); /* without the mutex */

/* remote.c, for the above */
void remote_ask(void *context, enum stoa_message message, const void *argument,
                const struct stoa_call *call, struct stoa_completion *out);
int remote_submit(void *context, enum stoa_message message, const void *argument,
                  const struct stoa_call *call);
int remote_cancel(void *context, uint64_t correlation_id);

#endif
