/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store that is in trouble is opened again under its handle: the ledger where a write or flush
 * failed, the tables where they are damaged, stopped, or take nothing any more. The first time at
 * once, then with pauses, within a budget (actor/supervisor.h). Views stay valid, and the cache is
 * read meanwhile.
 *
 * What is under way: a write that is in the ledger's hands is answered, that it may have been done.
 * Any other is held here, and goes to the store again when it is whole, in the order in which they
 * came; its deadline counts meanwhile. A read that met the tables waits as well, others are
 * answered. On a full disk nothing is held: writes are refused, and the store is opened again when
 * there is room.
 *
 * When the budget is spent, or the trouble is none that opening again could mend, the store is
 * read-only until it is closed. */
#include <string.h>

#include "base/ensure.h"
#include "engine/engine_private.h"

static const uint64_t second_ns = 1000000000;
enum { RESTARTS_DEFAULT = 10, WINDOW_SECONDS = 300, PAUSE_MS = 500, PAUSE_MAX_MS = 60000 };

void engine_supervise_init(struct stoa *stoa)
{
    const struct stoa_options *given = &stoa->options;
    struct engine_supervision *own = &stoa->supervision;
    unsigned restarts = given->restarts_max != 0 ? given->restarts_max : RESTARTS_DEFAULT;
    uint64_t pause_ms = given->restart_pause_ms != 0 ? given->restart_pause_ms : PAUSE_MS;
    uint64_t max_ms = given->restart_pause_max_ms != 0 ? given->restart_pause_max_ms : PAUSE_MAX_MS;
    uint64_t seconds = given->restart_seconds != 0 ? given->restart_seconds : WINDOW_SECONDS;
    struct supervisor_options options = {
        .restarts = given->restarts_max == STOA_NO_RESTARTS ? 0
                    : restarts < SUPERVISOR_RESTARTS_MAX    ? restarts
                                                            : SUPERVISOR_RESTARTS_MAX,
        .window_ns = seconds * second_ns,
        .pause_ns = pause_ms * 1000000,
        .pause_max_ns = (max_ms > pause_ms ? max_ms : pause_ms) * 1000000,
    };
    supervisor_init(&own->supervisor, &options);
}

/* ---- what is held ---- */

bool engine_supervise_holds(const struct stoa *stoa)
{
    const struct engine_supervision *own = &stoa->supervision;
    return own->state == ENGINE_TROUBLED && own->why.code != STOA_ENOSPACE && !stoa->giving_up;
}

void engine_supervise_hold(struct stoa *stoa, struct engine_request *request)
{
    struct engine_supervision *own = &stoa->supervision;
    struct engine_request *before = own->held_last;
    while (before != NULL && before->order > request->order) {
        before = before->held_previous;
    }
    request->place = ENGINE_HELD;
    request->request.result = own->why.code;
    request->request.detail = own->why;
    request->held_previous = before;
    request->held_next = before != NULL ? before->held_next : own->held_first;
    *(before != NULL ? &before->held_next : &own->held_first) = request;
    *(request->held_next != NULL ? &request->held_next->held_previous : &own->held_last) = request;
}

void engine_supervise_let_go(struct stoa *stoa, struct engine_request *request)
{
    struct engine_supervision *own = &stoa->supervision;
    ensure(request->place == ENGINE_HELD);
    *(request->held_previous != NULL ? &request->held_previous->held_next : &own->held_first) =
        request->held_next;
    *(request->held_next != NULL ? &request->held_next->held_previous : &own->held_last) =
        request->held_previous;
    request->held_next = NULL;
    request->held_previous = NULL;
    request->place = ENGINE_WAITING;
}

static void let_writes_go(struct stoa *stoa)
{
    struct engine_request *request;
    while ((request = stoa->supervision.held_first) != NULL) {
        engine_supervise_let_go(stoa, request);
        agenda_wait(stoa->agenda, &request->entry);
    }
}

/* All that waited for the end of the trouble goes on. */
static void resume(struct stoa *stoa)
{
    let_writes_go(stoa);
    while (stoa->retry != NULL) {
        struct engine_request *read = stoa->retry;
        stoa->retry = read->next;
        store_submit(stoa->store, &read->request);
    }
}

/* ---- trouble ---- */

static void give_up(struct stoa *stoa)
{
    struct engine_supervision *own = &stoa->supervision;
    own->state = ENGINE_GIVEN_UP;
    store_give_up(stoa->store, &own->why);
    engine_health_look(stoa);
    resume(stoa);
}

/* Find out when to open it again. */
static void plan(struct stoa *stoa)
{
    struct engine_supervision *own = &stoa->supervision;
    uint64_t lot;
    io_random(stoa->io, &lot, sizeof(lot));
    own->due_ns = supervisor_ask(&own->supervisor, io_now_ns(stoa->io), lot);
    if (own->due_ns == UINT64_MAX) {
        give_up(stoa);
    }
}

/* Opening again cannot mend these. */
static bool is_lasting(int result)
{
    return result == STOA_ECORRUPT || result == STOA_EVERSION || result == STOA_EINVAL ||
           result == STOA_ENOTFOUND || result == STOA_EPERM || result == STOA_EREADONLY;
}

static void reopen(struct stoa *stoa)
{
    struct engine_supervision *own = &stoa->supervision;
    struct error_detail detail = {.code = 0};
    struct stoa_head before;
    struct stoa_head after;
    store_rebuild_stop(stoa->store);
    jobs_hold(stoa->jobs, JOBS_FROZEN, NULL);
    while (store_pending(stoa->store) != 0 ||
           !jobs_are_quiet(stoa->jobs)) { /* none of them is held up by the trouble */
        if (io_run(stoa->io, LOOP_WAIT_NS) < 0) {
            return; /* the loop's next turn finds that as well */
        }
    }
    supervisor_note_start(&own->supervisor, io_now_ns(stoa->io));
    store_get_head(stoa->store, &before);
    int result = store_reopen(stoa->store, &detail);
    jobs_hold(stoa->jobs, JOBS_TROUBLED, &detail);
    if (result != 0) {
        if (detail.code == 0) {
            (void)error_set(&detail, result, "%s", stoa_strerror(result)); /* told below */
        }
        own->why = detail;
        if (is_lasting(result)) {
            give_up(stoa);
        } else {
            plan(stoa);
        }
        if (!engine_supervise_holds(stoa)) {
            let_writes_go(stoa);
        }
        engine_health_look(stoa);
        return;
    }
    own->state = ENGINE_SOUND;
    (void)engine_serve_read_verified(stoa, NULL); /* what is not readable is as none */
    jobs_hold(stoa->jobs, JOBS_FREE, NULL);
    own->restarts++;
    store_get_head(stoa->store, &after);
    if (stoa->cache != NULL &&
        (before.empty != after.empty || memcmp(before.hash, after.hash, 32) != 0)) {
        cache_clear(stoa->cache); /* a block that was durable but not taken in */
        store_refresh_cache(stoa->store);
    }
    engine_health_look(stoa);
    resume(stoa);
}

void engine_supervise_notice(struct stoa *stoa)
{
    struct engine_supervision *own = &stoa->supervision;
    struct error_detail detail = {.code = 0};
    if (own->state == ENGINE_SOUND && store_is_broken(stoa->store, &detail)) {
        own->state = ENGINE_TROUBLED;
        own->why = detail;
        jobs_hold(stoa->jobs, JOBS_TROUBLED, &detail);
        plan(stoa);
        engine_health_look(stoa);
    }
}

void engine_supervise_turn(struct stoa *stoa)
{
    struct engine_supervision *own = &stoa->supervision;
    engine_supervise_notice(stoa);
    if (own->state != ENGINE_TROUBLED || stoa->giving_up || stoa->closing) {
        return;
    }
    uint64_t now = io_now_ns(stoa->io);
    if (now < own->due_ns) {
        return;
    }
    struct error_detail detail;
    if (store_check_space(stoa->store, &detail) == STOA_ENOSPACE) {
        own->due_ns = now + second_ns; /* it costs nothing of the budget */
        return;
    }
    reopen(stoa);
}

uint64_t engine_supervise_due_ns(const struct stoa *stoa)
{
    const struct engine_supervision *own = &stoa->supervision;
    return own->state == ENGINE_TROUBLED && !stoa->giving_up ? own->due_ns : UINT64_MAX;
}

void engine_supervise_end(struct stoa *stoa)
{
    resume(stoa);
}
