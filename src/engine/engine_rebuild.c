/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An index made anew, for a caller that waits: the message does it (engine_serve.c), piece by piece
 * beside all else, and the caller looks now and then how far it is. */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "base/ensure.h"
#include "engine/engine_private.h"

static const char *const index_names[STOA_INDEXES] = {
    [STOA_INDEX_TRANSACTIONS] = "transactions",
    [STOA_INDEX_ADDRESSES] = "addresses",
    [STOA_INDEX_LOGS] = "logs",
    [STOA_INDEX_STATE] = "state",
    [STOA_INDEX_HEIGHTS] = "heights",
};

const char *stoa_index_name(int index)
{
    return index < 0 || index >= STOA_INDEXES ? NULL : index_names[index];
}

enum { LOOK_MS = 200 };

struct look {
    const struct store_rebuild *rebuild;
    bool stop;
    uint64_t done;
    uint64_t total;
};

/* While the caller waits for the rebuild it is there, under way or just ended. */
static void run_look(struct stoa *stoa, struct engine_call *call)
{
    struct look *look = call->context;
    look->done = look->rebuild->done_blocks;
    look->total = look->rebuild->total_blocks;
    if (look->stop) {
        store_rebuild_stop(stoa->store);
    }
}

/* False: the time has passed. */
static bool wait_a_while(sem_t *answered)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int result;
    do {
        result = sem_timedwait(answered, &until);
    } while (result != 0 && errno == EINTR);
    ensure(result == 0 || errno == ETIMEDOUT);
    return result == 0;
}

int stoa_rebuild_index(struct stoa *stoa, int index,
                       int (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                       struct stoa_detail *detail)
{
    struct engine_waiter waiter;
    if (stoa->remote != NULL) {
        return stoa->remote->rebuild_index(stoa->remote_state, index, progress, context, detail);
    }
    int result = engine_request_begin(stoa, STOA_MESSAGE_REBUILD_INDEX, &index, NULL, &waiter);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    struct look look = {.rebuild = &waiter.asked->rebuild};
    while (!wait_a_while(&waiter.answered)) {
        if (engine_run_on_loop(stoa, run_look, &look, NULL) == 0 && progress != NULL) {
            look.stop = progress(context, look.done, look.total) != 0 || look.stop;
        }
    }
    sem_destroy(&waiter.answered);
    result = waiter.answer->request.result;
    engine_tell(detail, &waiter.answer->request.detail);
    engine_request_give(stoa, waiter.answer);
    return result;
}
