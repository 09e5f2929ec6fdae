/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An index made anew: the loop does it piece by piece, beside all else; the caller waits, and looks
 * now and then how far it is. */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "base/ensure.h"
#include "engine/engine_private.h"

static const char *const index_names[STOA_INDEXES] = {
    [STOA_INDEX_TRANSACTIONS] = "transactions",
    [STOA_INDEX_ADDRESSES] = "addresses",
    [STOA_INDEX_LOGS] = "logs",
};

const char *stoa_index_name(int index)
{
    return index < 0 || index >= STOA_INDEXES ? NULL : index_names[index];
}

enum { LOOK_MS = 200 };

struct rebuild_call {
    struct engine_call call; /* first */
    struct store_rebuild rebuild;
    bool starting;
    bool ended; /* before it was under way */
};

struct look {
    const struct store_rebuild *rebuild;
    bool stop;
    uint64_t done;
    uint64_t total;
};

static void rebuild_done(struct store_rebuild *rebuild)
{
    struct rebuild_call *own = rebuild->context;
    own->call.result = rebuild->result;
    own->call.detail = rebuild->detail;
    if (own->starting) {
        own->ended = true;
    } else {
        sem_post(&own->call.answered);
    }
}

static void run_rebuild(struct stoa *stoa, struct engine_call *call)
{
    struct rebuild_call *own = (struct rebuild_call *)(void *)call;
    own->starting = true;
    store_rebuild_start(stoa->store, &own->rebuild);
    own->starting = false;
    call->later = !own->ended;
}

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
    static const enum store_index indexes[STOA_INDEXES] = {
        [STOA_INDEX_TRANSACTIONS] = STORE_INDEX_TRANSACTIONS,
        [STOA_INDEX_ADDRESSES] = STORE_INDEX_ADDRESSES,
        [STOA_INDEX_LOGS] = STORE_INDEX_LOGS,
    };
    if (stoa_index_name(index) == NULL) {
        return engine_refuse(detail, STOA_EINVAL, stoa_strerror(STOA_EINVAL));
    }
    struct rebuild_call own = {
        .call = {.message = {.kind = MESSAGE_CALL}, .run = run_rebuild},
        .rebuild = {.index = indexes[index], .done = rebuild_done, .context = &own},
    };
    struct look look = {.rebuild = &own.rebuild};
    sem_init(&own.call.answered, 0, 0);
    int result = mailbox_push(stoa->mailbox, MAILBOX_LOW, &own.call.message);
    if (result != 0) {
        sem_destroy(&own.call.answered);
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    while (!wait_a_while(&own.call.answered)) {
        if (engine_run_on_loop(stoa, run_look, &look, NULL) == 0 && progress != NULL) {
            look.stop = progress(context, look.done, look.total) != 0 || look.stop;
        }
    }
    sem_destroy(&own.call.answered);
    engine_tell(detail, &own.call.detail);
    return own.call.result;
}
