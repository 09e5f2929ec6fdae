/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Write-through: a write that is durable and readable is answered when the tables hold it as well.
 *
 * Answers wait here. As soon as the tables are at no other batch, all that wait have theirs frozen
 * together, and are given when it was applied: so many writes that wait share one transaction. What
 * leaves nothing for the tables (a mark, a head that was the head) is answered then as well. Where
 * the tables fail, those that wait are told so, and that they may have been done: the ledger has
 * them, and opening again brings them into the tables. */
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

/* None is added to ANSWERS meanwhile: what comes goes to others. */
static void give(struct store *store, struct store_answers *answers, int result)
{
    while (answers->first != NULL) {
        struct store_request *request = answers->first;
        answers->first = request->next;
        request->next = NULL;
        if (result != 0) {
            request->appended = true; /* it is in the ledger: nobody takes it for undone */
            request->detail = store->failed_detail;
        }
        store_finish_request(store, request, result);
    }
}

void store_through_step(struct store *store)
{
    struct store_through *own = &store->through;
    if (own->frozen.first != NULL && store->applied.position.sequence >= own->sequence) {
        struct store_answers in = own->frozen;
        own->frozen.first = NULL;
        give(store, &in, 0);
    }
    bool free = own->frozen.first == NULL && store->frozen_count == 0 && store->writers != NULL;
    if (own->waiting.first != NULL && free && store_settle(store) == 0) {
        struct store_answers moved = own->waiting;
        own->waiting.first = NULL;
        store_apply_freeze(store);
        if (store->frozen_count == 0) {
            give(store, &moved, 0);
        } else {
            own->frozen = moved;
            own->sequence = store->frozen_applied[store->frozen_count - 1].position.sequence;
        }
    }
    if (store->apply_failed != 0) {
        struct store_answers failed[] = {own->frozen, own->waiting};
        own->frozen.first = NULL;
        own->waiting.first = NULL;
        give(store, &failed[0], store->apply_failed);
        give(store, &failed[1], store->apply_failed);
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
    if (!store->options.write_through || result != 0) {
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
