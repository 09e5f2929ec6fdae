/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the loop does with a request between its mailbox and its answer.
 *
 * It waits in its lane of the agenda until the store takes it on: low and normal ones only while
 * the store has little to do, so that what is more urgent never stands behind them. It fails in a
 * way that can pass: where it has a deadline, it is tried again, after a time that doubles. Its
 * deadline passes: what waits is answered as not done. What is in the store already is answered at
 * once as well; a store that is not in the ledger yet is called off, so that "not done" stays true,
 * and of one that is, nobody can say yet. The store's own answer is then dropped when it comes; so
 * such requests own copies of all they need (engine_copy.c).
 *
 * A write that was not done in its time becomes a dead letter. */
#include <string.h>

#include "actor/backoff.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/hot.h"

static struct engine_request *request_of(struct agenda_entry *entry)
{
    return (struct engine_request *)(void *)((char *)entry -
                                             offsetof(struct engine_request, entry));
}

static void release_letter(void *context, struct dead_letter *letter)
{
    engine_request_give(context,
                        (struct engine_request *)(void *)((char *)letter -
                                                          offsetof(struct engine_request, letter)));
}

int engine_deliver_init(struct stoa *stoa)
{
    struct dead_letters_options options = {.release = release_letter, .context = stoa};
    stoa->calls_last = &stoa->calls;
    engine_supervise_init(stoa);
    stoa->agenda = agenda_create(AGENDA_CAPACITY);
    stoa->dead_letters = dead_letters_create(&options);
    return stoa->agenda == NULL || stoa->dead_letters == NULL ? STOA_ENOMEM : 0;
}

void engine_deliver_deinit(struct stoa *stoa)
{
    dead_letters_destroy(stoa->dead_letters);
    agenda_destroy(stoa->agenda);
    stoa->dead_letters = NULL;
    stoa->agenda = NULL;
}

static bool has_deadline(const struct engine_request *own)
{
    return own->deadline_ns != UINT64_MAX;
}

/* ---- answers ---- */

/* OWN's spare tells the caller, OWN stays. The store may be at work on OWN: of what it writes
 * nothing is looked at but what the loop writes. */
static struct engine_request *take_spare(struct engine_request *own)
{
    struct engine_request *answer = own->spare;
    ensure(answer != NULL);
    own->spare = NULL;
    answer->what = own->what;
    answer->pushed_ns = own->pushed_ns;
    answer->tag = own->tag;
    answer->entry.id = own->entry.id;
    answer->tries = own->tries;
    answer->waiter = own->waiter;
    answer->request.kind = own->request.kind;
    answer->batch_item = SIZE_MAX;
    answer->request.height = own->request.height;
    memcpy(answer->request.hash, own->request.hash, 32);
    own->waiter = NULL;
    return answer;
}

static void put_into_box(struct stoa *stoa, struct engine_request *own)
{
    own->letter.size = sizeof(*own) + own->copy_size;
    own->told = false;
    own->dead = false;
    own->deadline_ns = UINT64_MAX;
    dead_letters_add(stoa->dead_letters, &own->letter, io_now_ns(stoa->io));
    engine_metrics_lettered(stoa, own->what);
}

/* A letter that was tried again stays until it is done; EEXISTS says that it is. */
static bool belongs_into_box(const struct engine_request *own)
{
    int result = own->request.result;
    if (result == 0 || result == STOA_EEXISTS || own->request.appended) {
        return false;
    }
    bool again = own->letter.id != 0;
    bool given_up = has_deadline(own) && (own->flags & STOA_CALL_NO_RETRY) == 0 &&
                    (result == STOA_ETIMEOUT || own->given_up);
    return own->owned && engine_message_writes(own->what) && (again || given_up);
}

/* Tell the caller what is in OWN, which is then its answer's or a dead letter. */
static void settle(struct stoa *stoa, struct engine_request *own)
{
    struct store_request *request = &own->request;
    agenda_remove(stoa->agenda, &own->entry);
    if (belongs_into_box(own) && own->spare != NULL) {
        engine_batch_explain(own);
        struct engine_request *answer = take_spare(own);
        answer->request.result = request->result;
        answer->request.detail = request->detail;
        engine_tell_answer(stoa, answer);
        put_into_box(stoa, own);
        return;
    }
    struct stoa_view *view = NULL;
    if (request->result == 0 && request->kind == STORE_GET_BLOCK) {
        view = request->block.view;
    } else if (request->result == 0 && request->kind == STORE_GET_TRANSACTION) {
        view = request->transaction.block.view;
    }
    if (view != NULL && !hot_is_view(view)) {
        view->home = stoa;
    }
    for (size_t i = 0; i < request->block_count; i++) {
        if (!hot_is_view(request->blocks[i].view)) {
            request->blocks[i].view->home = stoa;
        }
    }
    engine_tell_answer(stoa, own);
}

/* The caller is told RESULT while the store still works on OWN. UNKNOWN: it may have been done. */
static void tell_early(struct stoa *stoa, struct engine_request *own, int result, bool unknown)
{
    struct engine_request *answer = take_spare(own);
    struct error_detail *detail = &answer->request.detail;
    agenda_remove(stoa->agenda, &own->entry);
    own->told = true;
    answer->request.result = result;
    answer->request.appended = unknown;
    if (result != 0) {
        (void)error_set(detail, result, "%s, %s", stoa_strerror(result), /* the result is there */
                        unknown ? "it may have been done" : "nothing was done");
    }
    engine_tell_answer(stoa, answer);
}

/* ---- failures that pass ---- */

static bool may_pass(const struct engine_request *own)
{
    switch (own->request.result) {
    case STOA_EBUSY:
    case STOA_ENOMEM:
    case STOA_ENOSPACE:
        return true;
    case STOA_EIO:
        return !engine_message_writes(own->what);
    default:
        return false;
    }
}

/* True: OWN, which failed, will be tried again. */
static bool back_off(struct stoa *stoa, struct engine_request *own)
{
    if (!has_deadline(own) || (own->flags & STOA_CALL_NO_RETRY) != 0 || stoa->giving_up ||
        own->request.appended || !may_pass(own)) {
        return false;
    }
    uint64_t lot;
    io_random(stoa->io, &lot, sizeof(lot));
    uint64_t due = io_now_ns(stoa->io) + backoff_ns(own->tries, lot);
    if (due >= own->deadline_ns) {
        own->given_up = true;
        return false;
    }
    own->place = ENGINE_BACKING_OFF;
    agenda_set_time(stoa->agenda, &own->entry, due);
    return true;
}

/* ---- told before the store was done ---- */

static void end_sync(struct stoa *stoa, struct engine_call *call)
{
    call->result = stoa->buffered_result;
    call->detail = stoa->buffered_detail;
    stoa->buffered_result = 0;
    stoa->buffered_detail = (struct error_detail){.code = 0};
}

/* One of those that were told when they were appended is durable, or will never be. */
static void end_buffered(struct stoa *stoa, const struct engine_request *own)
{
    ensure(stoa->buffered_out > 0);
    stoa->buffered_out--;
    if (own->request.result != 0 && stoa->buffered_result == 0) {
        stoa->buffered_result = own->request.result;
        stoa->buffered_detail = own->request.detail;
    }
    for (struct engine_call **link = &stoa->syncs; *link != NULL;) {
        struct engine_call *call = *link;
        uint64_t *left = call->context;
        if (--*left != 0) {
            link = &call->next;
            continue;
        }
        *link = call->next;
        end_sync(stoa, call);
        sem_post(&call->answered);
    }
}

/* What nobody waits for any more. */
static void drop(struct stoa *stoa, struct engine_request *own)
{
    struct store_request *request = &own->request;
    if (own->buffered) {
        end_buffered(stoa, own);
    }
    if (request->result == 0 && request->kind == STORE_GET_BLOCK) {
        store_view_release(request->block.view);
    } else if (request->result == 0 && request->kind == STORE_GET_TRANSACTION) {
        store_view_release(request->transaction.block.view);
    } else if (request->result == 0 && request->kind >= STORE_GET_STATE &&
               request->kind <= STORE_GET_CODE) { /* NULL for an account */
        memory_free((void *)(uintptr_t)request->value.data);
    }
    for (size_t i = 0; i < request->block_count; i++) {
        store_view_release(request->blocks[i].view);
    }
    memory_free(request->blocks); /* NULL but of the query that made it */
    memory_free(request->logs.logs);
    memory_free(request->proof);
    memory_free(request->history.entries);
    memory_free(request->headers.headers);
    engine_serve_forget(own);
    if (own->dead && request->result != 0 && !request->appended) {
        put_into_box(stoa, own);
    } else {
        engine_request_give(stoa, own);
    }
}

/* A write that a store in trouble has not begun, and will once it is out of it. */
static bool is_held_up(struct engine_request *own)
{
    int result = own->request.result;
    bool refused = result == STOA_ESTOPPED || result == STOA_EIO || result == STOA_ENOMEM ||
                   result == STOA_ECORRUPT || result == STOA_EBUSY;
    if (!refused || own->request.appended || !engine_message_writes(own->what)) {
        return false;
    }
    engine_supervise_notice(own->stoa);
    return engine_supervise_holds(own->stoa);
}

void engine_deliver_done(struct store_request *request)
{
    struct engine_request *own = request->context;
    struct stoa *stoa = own->stoa;
    bool damage = request->result == STOA_ECORRUPT || request->result == STOA_ESTOPPED;
    if (damage && own->serve == NULL && !own->told && !own->retried && !stoa->giving_up &&
        !engine_message_writes(own->what) && store_tables_damaged(stoa->store)) {
        own->retried = true;
        metrics_count(stoa->metrics, METRICS_READS_AGAIN, 1);
        own->next = stoa->retry;
        stoa->retry = own;
        return;
    }
    ensure(stoa->in_store[own->entry.lane] > 0);
    stoa->in_store[own->entry.lane]--;
    engine_metrics_let_go(stoa);
    if (request->result != 0 && request->appended && engine_message_writes(own->what)) {
        error_prefix(&request->detail, "it may have been done");
    }
    if (own->told) {
        drop(stoa, own);
    } else if (is_held_up(own)) {
        engine_supervise_hold(stoa, own);
    } else if (request->result == 0 || !back_off(stoa, own)) {
        settle(stoa, own);
    }
}

void engine_deliver_served(struct engine_request *own, int result)
{
    struct store_request *request = &own->request;
    request->result = result;
    if (result != 0 && request->detail.code == 0) {
        (void)error_set(&request->detail, result, "%s", stoa_strerror(result)); /* text only */
    }
    if (result == 0 || !back_off(own->stoa, own)) {
        settle(own->stoa, own);
    }
}

void engine_deliver_is_in_store(struct engine_request *own)
{
    own->place = ENGINE_IN_STORE;
    own->request.context = own;
    own->stoa->in_store[own->entry.lane]++;
}

/* A put is in the ledger's hands: who wants no more than that is told. */
static void done_append(struct store_request *request)
{
    struct engine_request *own = request->context;
    struct stoa *stoa = own->stoa;
    if (!own->told) {
        own->buffered = true;
        stoa->buffered_out++;
        tell_early(stoa, own, 0, false);
    }
}

/* ---- turns ---- */

/* The lanes of which the store takes on more now. Each has a limit of its own, so that many of one
 * hold up no other. */
static unsigned open_lanes(const struct stoa *stoa)
{
    static const unsigned limits[MAILBOX_LANES] = {
        [MAILBOX_LOW] = 128,
        [MAILBOX_NORMAL] = 512,
        [MAILBOX_HIGH] = 2048,
        [MAILBOX_CRITICAL] = AGENDA_CAPACITY,
    };
    unsigned lanes = 0;
    for (unsigned i = 0; i < MAILBOX_LANES; i++) {
        lanes |= stoa->in_store[i] < limits[i] ? 1u << i : 0;
    }
    return lanes;
}

void engine_deliver(struct stoa *stoa, struct engine_request *own)
{
    int result = agenda_add(stoa->agenda, &own->entry);
    ensure(result == 0); /* nothing is taken from the mailbox where it is full */
    if (has_deadline(own)) {
        agenda_set_time(stoa->agenda, &own->entry, own->deadline_ns);
    }
    own->place = ENGINE_WAITING;
    own->order = stoa->next_order++;
    agenda_wait(stoa->agenda, &own->entry);
}

static void put_last(struct stoa *stoa, struct engine_request *own)
{
    struct engine_request **at = &stoa->last;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    own->next = NULL;
    *at = own;
}

/* It will not be served; where it is not among the last this does nothing. */
static void drop_last(struct stoa *stoa, const struct engine_request *own)
{
    for (struct engine_request **at = &stoa->last; *at != NULL; at = &(*at)->next) {
        if (*at == own) {
            *at = own->next;
            return;
        }
    }
}

static void begin(struct stoa *stoa, struct engine_request *own)
{
    if (engine_message_writes(own->what) && engine_supervise_holds(stoa)) {
        engine_supervise_hold(stoa, own);
        return;
    }
    own->tries++;
    engine_metrics_taken(own);
    if (own->serve != NULL) {
        own->request.detail = (struct error_detail){.code = 0};
        engine_serve_forget(own); /* of another try */
        if (engine_serve_is_last(own)) {
            put_last(stoa, own);
        } else {
            own->serve(own);
        }
        return;
    }
    engine_deliver_is_in_store(own);
    own->request.done = engine_deliver_done;
    own->request.on_append = own->durability == STOA_BUFFERED && own->owned ? done_append : NULL;
    stoa->asked = true;
    store_submit(stoa->store, &own->request);
}

/* RESULT, with what its last try had said. */
static void set_result(struct engine_request *own, int result, const char *why)
{
    struct error_detail *detail = &own->request.detail;
    if (own->place == ENGINE_BACKING_OFF || own->place == ENGINE_HELD) {
        (void)error_prefix(detail, "%s after %u tries", why, own->tries); /* the code is set next */
        detail->code = result;
    } else {
        (void)error_set(detail, result, "%s", why); /* the result is set next */
    }
    own->request.result = result;
    own->request.appended = false;
}

static void expire_in_store(struct stoa *stoa, struct engine_request *own)
{
    bool writes = engine_message_writes(own->what);
    bool undone = store_cancel(stoa->store, &own->request, STOA_ETIMEOUT);
    (void)engine_serve_stop(own); /* what it says when it has ended is dropped */
    if (!own->owned) {
        return; /* the store's answer is waited for */
    }
    own->dead = undone && (own->flags & STOA_CALL_NO_RETRY) == 0;
    tell_early(stoa, own, STOA_ETIMEOUT, writes && !undone);
}

static void expire(struct stoa *stoa, struct engine_request *own, uint64_t now_ns)
{
    if (own->place == ENGINE_IN_STORE) {
        expire_in_store(stoa, own);
    } else if (now_ns >= own->deadline_ns) {
        set_result(own, STOA_ETIMEOUT, "deadline passed, nothing was done");
        if (own->place == ENGINE_HELD) {
            engine_supervise_let_go(stoa, own);
        }
        drop_last(stoa, own);
        settle(stoa, own);
    } else {
        own->place = ENGINE_WAITING;
        agenda_set_time(stoa->agenda, &own->entry, own->deadline_ns);
        agenda_wait(stoa->agenda, &own->entry);
    }
}

void engine_deliver_turn(struct stoa *stoa)
{
    struct agenda_entry *entry;
    if (agenda_next_time(stoa->agenda) != UINT64_MAX) {
        uint64_t now = io_now_ns(stoa->io);
        while ((entry = agenda_due(stoa->agenda, now)) != NULL) {
            expire(stoa, request_of(entry), now);
        }
    }
    while ((entry = agenda_take(stoa->agenda, open_lanes(stoa))) != NULL) {
        begin(stoa, request_of(entry));
    }
    if (stoa->last != NULL) { /* one a turn: what came meanwhile does not wait for all of them */
        struct engine_request *own = stoa->last;
        stoa->last = own->next;
        own->serve(own);
    }
}

uint64_t engine_deliver_wait_ns(struct stoa *stoa)
{
    if (stoa->last != NULL) {
        return 0;
    }
    uint64_t next = agenda_next_time(stoa->agenda);
    uint64_t due = engine_supervise_due_ns(stoa);
    next = due < next ? due : next;
    if (next == UINT64_MAX) {
        return LOOP_WAIT_NS;
    }
    uint64_t now = io_now_ns(stoa->io);
    uint64_t wait = next > now ? next - now : 0;
    return wait < LOOP_WAIT_NS ? wait : LOOP_WAIT_NS;
}

/* ---- cancellation, barrier, giving up ---- */

struct cancel_call {
    uint64_t id;
    struct engine_request *spare;
};

static void run_cancel(struct stoa *stoa, struct engine_call *call)
{
    struct cancel_call *cancel = call->context;
    struct agenda_entry *entry = agenda_find(stoa->agenda, cancel->id);
    if (entry == NULL) {
        call->result = STOA_ENOTFOUND;
        return;
    }
    struct engine_request *own = request_of(entry);
    if (own->place != ENGINE_IN_STORE) {
        set_result(own, STOA_ECANCELED, "canceled, nothing was done");
        if (own->place == ENGINE_HELD) {
            engine_supervise_let_go(stoa, own);
        }
        drop_last(stoa, own);
        agenda_remove(stoa->agenda, &own->entry);
        engine_tell_answer(stoa, own);
        return;
    }
    if (engine_message_writes(own->what)) {
        bool undone = store_cancel(stoa->store, &own->request, STOA_ECANCELED);
        call->result = undone ? 0 : STOA_EBUSY;
        own->flags |= undone ? (unsigned)STOA_CALL_NO_RETRY : 0;
        return; /* where it was called off, the store says so when it lets go of it */
    }
    if (engine_serve_stop(own)) {
        return; /* it says so when it has ended */
    }
    if (own->request.kind == STORE_QUERY_LOGS && !own->owned) {
        call->result = STOA_EBUSY; /* it reads its caller's filter */
        return;
    }
    if (own->spare == NULL) {
        own->spare = cancel->spare;
        cancel->spare = NULL;
    }
    tell_early(stoa, own, STOA_ECANCELED, false);
}

int stoa_cancel(struct stoa *stoa, uint64_t correlation_id)
{
    if (stoa->remote != NULL) {
        return stoa->remote->cancel(stoa->remote_state, correlation_id);
    }
    if (engine_serve_cancel(stoa, correlation_id)) {
        return 0;
    }
    struct cancel_call cancel = {.id = correlation_id, .spare = engine_request_take(stoa)};
    if (cancel.spare == NULL) {
        return STOA_ENOMEM;
    }
    int result = engine_run_on_loop(stoa, run_cancel, &cancel, NULL);
    engine_request_give(stoa, cancel.spare);
    return result;
}

static void run_sync(struct stoa *stoa, struct engine_call *call)
{
    uint64_t *left = call->context;
    *left = stoa->buffered_out;
    if (*left == 0) {
        end_sync(stoa, call);
        return;
    }
    call->later = true;
    call->next = stoa->syncs;
    stoa->syncs = call;
}

int stoa_sync(struct stoa *stoa, struct stoa_detail *detail)
{
    uint64_t left;
    if (stoa->remote != NULL) {
        return stoa->remote->sync(stoa->remote_state, detail);
    }
    return engine_run_on_loop(stoa, run_sync, &left, detail);
}

static void give_up(void *context, struct agenda_entry *entry)
{
    struct engine_request *own = request_of(entry);
    if (own->place == ENGINE_BACKING_OFF) {
        settle(context, own);
    }
}

void engine_deliver_give_up(struct stoa *stoa)
{
    stoa->giving_up = true;
    store_rebuild_stop(stoa->store); /* else it is waited for, as are jobs */
    jobs_stop(stoa->jobs);
    engine_supervise_end(stoa);
    agenda_each(stoa->agenda, give_up, stoa);
}
