/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers that a worker makes, with a loop of its own and a session of the tables, while the store
 * goes on. */
#include "base/memory.h"
#include "engine/engine_private.h"

struct running {
    struct engine_work *work;
    struct kv_session *session;
};

static int run_with_loop(void *context, struct io *io)
{
    struct running *running = context;
    return running->work->run(running->work, io, running->session);
}

/* On a worker. */
static int run(struct store_work *work, struct kv_session *session)
{
    struct running running = {(struct engine_work *)work, session}; /* it is first */
    return io_run_apart(run_with_loop, &running, &work->detail);
}

static void end(struct engine_work *work, int result)
{
    struct engine_request *own = work->own;
    own->request.result = result;
    own->request.detail = work->work.detail;
    work->end(work);
    memory_free(work);
    engine_deliver_done(&own->request);
}

static void done(struct store_work *work)
{
    end((struct engine_work *)work, work->result); /* it is first */
}

void *engine_work_make(struct engine_request *own, size_t size)
{
    struct engine_work *work = memory_alloc_zeroed(1, size);
    if (work == NULL) {
        engine_deliver_served(own, STOA_ENOMEM);
        return NULL;
    }
    work->own = own;
    work->work.run = run;
    work->work.done = done;
    return work;
}

void engine_work_start(struct engine_work *work)
{
    engine_deliver_is_in_store(work->own);
    int result = store_work_start(work->own->stoa->store, &work->work);
    if (result != 0) {
        end(work, result);
    }
}

int engine_work_ask(struct stoa *stoa, enum stoa_message message, const void *argument,
                    void **out_report, struct stoa_detail *detail)
{
    struct engine_request *answer;
    int result = engine_request_wait(stoa, message, argument, NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &answer->request.detail);
    result = answer->request.result;
    if (result == 0) {
        *out_report = answer->report;
        answer->report = NULL; /* it is the caller's now */
    }
    engine_serve_forget(answer);
    engine_request_give(stoa, answer);
    return result;
}
