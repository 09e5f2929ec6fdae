/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers that wait for the tables: of checkpoints, and of all writes where the store writes
 * through, which are answered when the tables hold them as well.
 *
 * As soon as the tables are at no other batch, all that wait have theirs frozen
 * together, and are given when it was applied: so many writes that wait share one transaction. What
 * leaves nothing for the tables (a mark, a head that was the head) is answered then as well. Where
 * the tables fail, those that wait are told so, and that they may have been done: the ledger has
 * them, and opening again brings them into the tables.
 *
 * A checkpoint waits in the same way, so that it covers what was acknowledged before it, and then
 * for one of the tables that begins after that. The loop goes on meanwhile. */
#include "base/ensure.h"
#include "store/store_private.h"

static void push(struct store_answers *answers, struct store_request *request)
{
    request->next = NULL;
    if (answers->first == NULL) {
        answers->last = &answers->first;
    }
    *answers->last = request;
    answers->last = &request->next;
}

static struct store_request *pop(struct store_answers *answers)
{
    struct store_request *request = answers->first;
    answers->first = request->next;
    request->next = NULL;
    return request;
}

/* None is added to ANSWERS meanwhile: what comes goes to others. */
static void give(struct store *store, struct store_answers *answers, int result,
                 const struct error_detail *detail)
{
    while (answers->first != NULL) {
        struct store_request *request = pop(answers);
        if (result != 0) {
            /* A write is in the ledger: nobody may take it for undone. */
            request->appended = request->kind != STORE_CHECKPOINT;
            request->detail = *detail;
        }
        store_finish_request(store, request, result);
    }
}

/* The tables hold what ANSWERS waited for. */
static void give_held(struct store *store, struct store_answers *answers)
{
    while (answers->first != NULL) {
        struct store_request *request = pop(answers);
        if (request->kind == STORE_CHECKPOINT) {
            push(&store->through.due, request);
        } else {
            store_finish_request(store, request, 0);
        }
    }
}

static void begin_checkpoint(struct store *store)
{
    struct store_through *own = &store->through;
    if (own->due.first == NULL || store->checkpointing || store->writers == NULL) {
        return;
    }
    struct store_answers due = own->due;
    own->due.first = NULL;
    if (store->checkpointed_sequence == store->applied.position.sequence) {
        give(store, &due, 0, NULL); /* by one that has ended, with all that is there */
        return;
    }
    own->begun = due;
    store_apply_start_checkpoint(store);
}

void store_through_checkpointed(struct store *store)
{
    struct store_through *own = &store->through;
    int result = store->checkpoint_result;
    if (result == STOA_EBUSY) { /* the next tick tries again */
        while (own->begun.first != NULL) {
            push(&own->due, pop(&own->begun));
        }
        return;
    }
    struct store_answers ended = own->begun;
    own->begun.first = NULL;
    give(store, &ended, result, &store->checkpoint_detail);
    store_through_step(store);
}

/* Whether the tables hold the tries that were wanted. What was held back when the last batch went
 * in (they were being merged, or read) may have nothing left to bring by now; else it is asked for
 * once more. */
static bool tries_are_in(struct store *store)
{
    if (store->tries.flush_wanted && !store_tries_unsettled(store)) {
        store->tries.flush_wanted = false;
    }
    if (store->tries.flush_wanted && store->frozen_count == 0 && store->apply_failed == 0) {
        store_apply_freeze(store);
    }
    return !store->tries.flush_wanted;
}

void store_through_step(struct store *store)
{
    struct store_through *own = &store->through;
    if (own->frozen.first != NULL && store->applied.position.sequence >= own->sequence &&
        tries_are_in(store)) {
        struct store_answers in = own->frozen;
        own->frozen.first = NULL;
        give_held(store, &in);
    }
    bool free = own->frozen.first == NULL && store->frozen_count == 0 && store->writers != NULL;
    if (own->waiting.first != NULL && free && store_settle(store) == 0) {
        struct store_answers moved = own->waiting;
        own->waiting.first = NULL;
        store->tries.flush_wanted = store_tries_unsettled(store);
        store_apply_freeze(store);
        if (store->frozen_count == 0) {
            give_held(store, &moved);
        } else {
            own->frozen = moved;
            own->sequence = store->frozen_applied[store->frozen_count - 1].position.sequence;
        }
    }
    if (store->apply_failed != 0) {
        struct store_answers failed[] = {own->frozen, own->waiting, own->due};
        own->frozen.first = NULL;
        own->waiting.first = NULL;
        own->due.first = NULL;
        for (size_t i = 0; i < sizeof(failed) / sizeof(failed[0]); i++) {
            give(store, &failed[i], store->apply_failed, &store->failed_detail);
        }
    } else {
        begin_checkpoint(store);
    }
}

static void step(struct io_request *timer)
{
    struct store *store = timer->context;
    if (timer->result != STOA_ECANCELED) {
        store_through_step(store);
    }
}

void store_through_finish(struct store *store, struct store_request *request, int result)
{
    bool waits = store->options.write_through || request->kind == STORE_CHECKPOINT;
    if (!waits || result != 0) {
        store_finish_request(store, request, result);
        return;
    }
    push(&store->through.waiting, request);
    if (!store->through.timer.pending) { /* with all others of this turn of the loop */
        store->through.timer =
            (struct io_request){.op = IO_TIMER, .deadline_ns = 0, .done = step, .context = store};
        io_submit(store->io, &store->through.timer);
    }
}
