/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The runs of each index become one, so that a look-up reads one table instead of asking a filter
 * for each, and what newer runs hide goes. Merging by levels, which goes on all the time, leaves up
 * to seven runs of each level; this is for a moment when reads matter more than writing all of an
 * index again.
 *
 * One index after the other, each in one transaction at its end, so a kill costs the merge that was
 * under way. Beside the new run the old ones lie on until the tables are durable, so there has to
 * be room for as much as they take, and that comes before the next one's turn. The resume point is
 * the name of the last index that was done: blocks that came meanwhile do not bring it all again.
 */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "maint/job_kinds.h"
#include "store/store_folder.h"

enum { INDEXES_MAX = 8 };

enum phase { LOOK, BEGIN, MERGE, JUDGE, LOOK_AGAIN, END };

struct found {
    char name[RUNS_NAME_SIZE_MAX + 1]; /* the index's */
    uint64_t runs;
    uint64_t bytes;
};

struct optimize {
    enum phase phase;
    char after[RUNS_NAME_SIZE_MAX + 1]; /* where the last process was; empty: nowhere */
    struct found indexes[INDEXES_MAX];
    unsigned count;
    unsigned next;
    uint64_t runs; /* of all, as looked at last */
    uint64_t bytes;
    uint64_t merged; /* indexes */
    uint64_t merged_bytes;
    struct store_optimize merge;
    struct store_request checkpoint;
};

static int begin(struct job *job, struct bytes point)
{
    struct optimize *own = job_state(job);
    if (point.size < sizeof(own->after)) {
        memcpy(own->after, point.data, point.size);
    }
    return 0;
}

/* ---- how many runs there are, on a worker ---- */

struct looking {
    struct job *job;
    struct kv_session *session;
    struct found *found;
};

static int look_at_run(void *context, const struct runs_run *run)
{
    const struct looking *looking = context;
    struct kv_table_size size = {.file_bytes = 0};
    int result = kv_table_size(looking->session, run->table, &size, job_detail(looking->job));
    looking->found->runs++;
    looking->found->bytes += size.file_bytes;
    return result;
}

static int look_at_index(void *context, struct runs *runs)
{
    struct looking *looking = context;
    struct optimize *own = job_state(looking->job);
    ensure(own->count < INDEXES_MAX);
    looking->found = &own->indexes[own->count++];
    *looking->found = (struct found){.runs = 0};
    (void)snprintf(looking->found->name, sizeof(looking->found->name), "%s",
                   runs_name(runs)); /* it fits */
    int result = runs_each(runs, look_at_run, looking);
    own->runs += looking->found->runs;
    own->bytes += looking->found->bytes;
    return result;
}

static int look(struct job *job, struct kv_session *session)
{
    struct optimize *own = job_state(job);
    struct looking looking = {.job = job, .session = session};
    own->count = 0;
    own->runs = 0;
    own->bytes = 0;
    return store_each_index(job_store(job), look_at_index, &looking);
}

/* ---- steps ---- */

static enum job_next begin_merges(struct job *job)
{
    struct optimize *own = job_state(job);
    own->phase = MERGE;
    job_fact(job, "indexes", own->count);
    job_fact(job, "runsBefore", own->runs);
    job_fact(job, "runBytesBefore", own->bytes);
    for (unsigned i = 0; i < own->count; i++) {
        if (strcmp(own->indexes[i].name, own->after) == 0) {
            own->next = i + 1;
        }
    }
    return JOB_AGAIN;
}

static bool start_merge(struct store *store, struct store_merge *merge)
{
    return store_optimize_start(store, (struct store_optimize *)merge); /* it is first */
}

static enum job_next merge_next(struct job *job)
{
    struct optimize *own = job_state(job);
    job_progress(job, own->next, own->count);
    while (own->next < own->count && own->indexes[own->next].runs < 2) {
        own->next++;
    }
    if (own->next == own->count) {
        own->phase = END;
        return JOB_AGAIN;
    }
    const struct found *found = &own->indexes[own->next];
    if ((job_order(job)->flags & JOB_DRY_RUN) != 0) {
        own->next++;
        own->merged++;
        own->merged_bytes += found->bytes;
        return JOB_AGAIN;
    }
    char what[64];
    (void)snprintf(what, sizeof(what), "optimize: merging the runs of %s", found->name); /* fits */
    int result = job_check_space(job, STORE_FOLDER_TABLES, found->bytes, what);
    if (result != 0) {
        return job_fail(job, result);
    }
    job_say(job, "%s, %llu runs", found->name, (unsigned long long)found->runs);
    own->merge.place = own->next;
    own->phase = JUDGE;
    return job_merge(job, &own->merge.merge, start_merge);
}

static enum job_next judge(struct job *job)
{
    struct optimize *own = job_state(job);
    const struct found *found = &own->indexes[own->next];
    if (own->merge.merge.result == STOA_EBUSY) {
        own->phase = MERGE;
        return JOB_AGAIN; /* all of it again */
    }
    own->next++;
    own->merged++;
    own->merged_bytes += found->bytes;
    job_spend(job, found->bytes, 0);
    job_keep(job, bytes_of(found->name, strlen(found->name)));
    own->phase = LOOK_AGAIN;
    return job_save(job, &own->checkpoint);
}

static enum job_next step(struct job *job)
{
    struct optimize *own = job_state(job);
    switch (own->phase) {
    case LOOK:
        own->phase = BEGIN;
        return job_work(job, true, look);
    case BEGIN:
        return begin_merges(job);
    case MERGE:
        return merge_next(job);
    case JUDGE:
        return judge(job);
    case LOOK_AGAIN:
        own->phase = MERGE;
        return job_work(job, true, look);
    case END:
        break;
    }
    job_fact(job, "mergedIndexes", own->merged);
    job_fact(job, "mergedBytes", own->merged_bytes);
    job_fact(job, "runs", own->runs);
    job_fact(job, "runBytes", own->bytes);
    return JOB_ENDED;
}

const struct job_kind job_kind_optimize = {
    .number = STOA_JOB_OPTIMIZE,
    .flags = JOB_TAKES_SPACE,
    .excludes = 1u << STOA_JOB_COMPACT | 1u << STOA_JOB_BACKUP | 1u << STOA_JOB_PRUNE,
    .state_size = sizeof(struct optimize),
    .begin = begin,
    .step = step,
};
