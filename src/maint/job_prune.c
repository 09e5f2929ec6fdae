/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Old versions of the state and of its tries go: what is older than so many blocks, and below the
 * finalized one. The runs that have them are merged into one without them, which needs as much room
 * as they take, so that is looked for first. What is below is refused from the moment the merge
 * begins; the merge takes effect in one transaction, so a kill leaves the runs as they were, or the
 * new one. A checkpoint then takes the old files away.
 *
 * The ledger keeps all that the versions were made of. */
#include <string.h>

#include "base/ensure.h"
#include "maint/job_kinds.h"

enum phase { MEASURE, LOOK, MERGE, JUDGE, SETTLE, MEASURE_AGAIN, END };

struct prune {
    enum phase phase;
    struct index_floors target;
    struct store_prune prune;
    struct store_request checkpoint;
    uint64_t bytes;     /* of the tables, as measured last */
    uint64_t run_bytes; /* of those that are merged */
    uint64_t before;
};

static int begin(struct job *job, struct bytes point)
{
    struct prune *own = job_state(job);
    const struct job_order *order = job_order(job);
    (void)point; /* what is done is told by the tables */
    return store_prune_target(job_store(job), order->numbers[JOB_KEEP_HISTORY],
                              order->numbers[JOB_KEEP_TRIES], &own->target, job_detail(job));
}

/* ---- how much there is ---- */

struct measuring {
    struct job *job;
    struct kv_session *session;
};

static void measure_table(void *context, const char *table)
{
    const struct measuring *measuring = context;
    struct prune *own = job_state(measuring->job);
    struct kv_table_size size;
    struct error_detail detail;
    if (kv_table_size(measuring->session, table, &size, &detail) == 0) { /* else it is gone */
        bool runs = strncmp(table, "state", 5) == 0 || strncmp(table, "trie", 4) == 0;
        own->bytes += size.file_bytes;
        own->run_bytes += runs ? size.file_bytes : 0;
    }
}

static int measure(struct job *job, struct kv_session *session)
{
    struct prune *own = job_state(job);
    struct measuring measuring = {job, session};
    own->bytes = 0;
    own->run_bytes = 0;
    return kv_table_list(session, measure_table, &measuring, job_detail(job));
}

/* ---- steps ---- */

static enum job_next look(struct job *job)
{
    struct prune *own = job_state(job);
    uint64_t free_bytes = UINT64_MAX;
    uint64_t total;
    own->before = own->bytes;
    job_fact(job, "tableBytesBefore", own->before);
    job_fact(job, "historyFrom", own->target.values);
    job_fact(job, "trieHistoryFrom", own->target.tries);
    job_fact(job, "mergedBytes", own->run_bytes);
    if ((job_order(job)->flags & JOB_DRY_RUN) != 0) {
        own->phase = END;
        return JOB_AGAIN;
    }
    if (store_get_space(job_store(job), &free_bytes, &total) == 0 && free_bytes < own->run_bytes) {
        return job_fail(job, error_set(job_detail(job), STOA_ENOSPACE,
                                       "prune: merging takes up to %llu bytes, %llu are free",
                                       (unsigned long long)own->run_bytes,
                                       (unsigned long long)free_bytes));
    }
    own->phase = MERGE;
    return JOB_AGAIN;
}

static bool is_stopping(void *context)
{
    return job_is_stopping(context);
}

static void pruned(struct store_prune *prune)
{
    struct job *job = prune->context;
    struct prune *own = job_state(job);
    if (prune->result == STOA_ECANCELED && job_is_stopping(job)) {
        own->phase = MERGE; /* it was paused, or is being stopped: all of it again */
    } else if (prune->result == STOA_EBUSY) {
        own->phase = MERGE;
    } else if (prune->result != 0) {
        *job_detail(job) = prune->detail;
        (void)job_fail(job, prune->result); /* its next step is its end */
    }
    job_continue(job);
}

static enum job_next merge(struct job *job)
{
    struct prune *own = job_state(job);
    own->prune.floors = own->target;
    own->prune.stop = is_stopping;
    own->prune.done = pruned;
    own->prune.context = job;
    job_say(job, "merging without what is below %llu and %llu",
            (unsigned long long)own->target.values, (unsigned long long)own->target.tries);
    own->phase = JUDGE;
    if (!store_prune_start(job_store(job), &own->prune)) {
        own->phase = MERGE;
        job_spend(job, 0, 1);
        return job_rest(job);
    }
    job_spend(job, own->run_bytes, 1);
    return JOB_WAITS;
}

static void checkpointed(struct store_request *request)
{
    struct job *job = request->context;
    if (request->result != 0) {
        *job_detail(job) = request->detail;
        (void)job_fail(job, request->result); /* likewise */
    }
    job_continue(job);
}

static enum job_next settle(struct job *job)
{
    struct prune *own = job_state(job);
    own->checkpoint =
        (struct store_request){.kind = STORE_CHECKPOINT, .done = checkpointed, .context = job};
    store_submit(job_store(job), &own->checkpoint);
    own->phase = MEASURE_AGAIN;
    return JOB_WAITS;
}

/* What the tables say now must be what was wanted. */
static enum job_next judge(struct job *job)
{
    struct prune *own = job_state(job);
    struct stoa_stats stats;
    store_get_stats(job_store(job), &stats);
    if (stats.history_from < own->target.values || stats.trie_history_from < own->target.tries) {
        return job_fail(job, error_set(job_detail(job), STOA_ECORRUPT,
                                       "prune: the tables keep versions from %llu and %llu on",
                                       (unsigned long long)stats.history_from,
                                       (unsigned long long)stats.trie_history_from));
    }
    own->phase = SETTLE;
    return JOB_AGAIN;
}

static enum job_next step(struct job *job)
{
    struct prune *own = job_state(job);
    job_progress(job, (uint64_t)own->phase, END);
    switch (own->phase) {
    case MEASURE:
        own->phase = LOOK;
        return job_work(job, true, measure);
    case LOOK:
        return look(job);
    case MERGE:
        return merge(job);
    case JUDGE:
        return judge(job);
    case SETTLE:
        return settle(job);
    case MEASURE_AGAIN:
        own->phase = END;
        return job_work(job, true, measure);
    case END:
        break;
    }
    job_fact(job, "tableBytes", own->bytes);
    job_fact(job, "freedBytes", own->before > own->bytes ? own->before - own->bytes : 0);
    return JOB_ENDED;
}

const struct job_kind job_kind_prune = {
    .number = STOA_JOB_PRUNE,
    .flags = JOB_TAKES_SPACE,
    .excludes = 1u << STOA_JOB_COMPACT,
    .state_size = sizeof(struct prune),
    .begin = begin,
    .step = step,
};
