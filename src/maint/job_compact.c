/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Space that is free inside the tables' files goes back to the file system, table by table, a
 * second of a table at a time, so that checkpoints, which wait for it, and pauses get their turn.
 * What is done of a table stays done, so the resume point is the name of the last one; runs that
 * were merged away meanwhile are passed over.
 *
 * It needs room: pages are written to the file's front before its end is cut. */
#include <string.h>

#include "base/ensure.h"
#include "maint/job_compact.h"
#include "maint/job_kinds.h"

enum {
    TRY_SECONDS = 1,
    TRIES_MAX = 60,
    FREE_PERCENT_MIN = 10,
    FREE_BYTES_MIN = 1 << 20,
    NAME_SIZE = 65
};

struct compact {
    struct buffer names; /* of all tables, each NAME_SIZE bytes */
    size_t count;
    size_t next;
    char after[NAME_SIZE]; /* where the last process was */
    bool listed;
    uint64_t before_bytes; /* of all files */
    uint64_t after_bytes;
    uint64_t dead_bytes;
    uint64_t compacted; /* tables */
};

static int begin(struct job *job, struct bytes point)
{
    struct compact *own = job_state(job);
    buffer_init(&own->names);
    if (point.size < NAME_SIZE) {
        memcpy(own->after, point.data, point.size);
    }
    return 0;
}

static void end(struct job *job)
{
    struct compact *own = job_state(job);
    buffer_deinit(&own->names);
}

struct listing {
    struct buffer *names;
    int result;
};

static void note_name(void *context, const char *table)
{
    struct listing *listing = context;
    char name[NAME_SIZE] = "";
    size_t length = strlen(table);
    ensure(length < sizeof(name));
    memcpy(name, table, length);
    if (listing->result == 0) {
        listing->result = buffer_append(listing->names, name, sizeof(name));
    }
}

static int list(struct job *job, struct kv_session *session)
{
    struct compact *own = job_state(job);
    struct listing listing = {.names = &own->names};
    int result = kv_table_list(session, note_name, &listing, job_detail(job));
    own->count = own->names.size / NAME_SIZE;
    return result == 0 ? listing.result : result;
}

/* As long as it gets smaller. */
static int shrink(struct job *job, struct kv_session *session, const char *name,
                  struct kv_table_size *size)
{
    struct error_detail detail;
    uint64_t before = UINT64_MAX;
    int result = 0;
    for (unsigned i = 0; i < TRIES_MAX && result == 0 && size->file_bytes < before; i++) {
        if (job_is_stopping(job)) {
            break;
        }
        before = size->file_bytes;
        result = kv_table_compact(session, name, TRY_SECONDS, job_detail(job));
        job_spend(job, size->free_bytes, 1);
        if (result == STOA_EBUSY || result == STOA_EINVAL) {
            return 0; /* another time; it is gone */
        }
        if (result == 0 && kv_table_size(session, name, size, &detail) != 0) {
            size->file_bytes = 0;
        }
    }
    return result;
}

bool job_compact_is_worth(const struct kv_table_size *size)
{
    return size->free_bytes >= FREE_BYTES_MIN &&
           size->free_bytes >= size->file_bytes / 100 * FREE_PERCENT_MIN;
}

static int compact_one(struct job *job, struct kv_session *session)
{
    struct compact *own = job_state(job);
    const char *name = (const char *)own->names.data + own->next++ * NAME_SIZE;
    struct kv_table_size size;
    struct error_detail detail;
    bool dry = (job_order(job)->flags & JOB_DRY_RUN) != 0;
    int result = kv_table_size(session, name, &size, &detail);
    if (result != 0) {
        return result == STOA_EINVAL ? 0 : result; /* it is gone */
    }
    own->before_bytes += size.file_bytes;
    own->dead_bytes += size.free_bytes;
    bool worth = job_compact_is_worth(&size);
    bool passed = strcmp(name, own->after) <= 0;
    if (worth && !dry && !passed) {
        own->compacted++;
        result = shrink(job, session, name, &size);
    }
    own->after_bytes += size.file_bytes;
    return result;
}

static enum job_next step(struct job *job)
{
    struct compact *own = job_state(job);
    if (!own->listed) {
        own->listed = true;
        return job_work(job, true, list);
    }
    uint64_t freed =
        own->before_bytes > own->after_bytes ? own->before_bytes - own->after_bytes : 0;
    job_progress(job, own->next, own->count);
    job_fact(job, "tables", own->next);
    job_fact(job, "tableBytes", own->after_bytes);
    job_fact(job, "deadBytes", own->dead_bytes);
    job_fact(job, "compactedTables", own->compacted);
    job_fact(job, "freedBytes", freed);
    if (own->next == own->count) {
        return JOB_ENDED;
    }
    const char *name = (const char *)own->names.data + own->next * NAME_SIZE;
    if (own->next != 0) {
        job_keep(job, bytes_of(name - NAME_SIZE, strlen(name - NAME_SIZE)));
    }
    job_say(job, "table %s", name);
    return job_work(job, true, compact_one);
}

const struct job_kind job_kind_compact = {
    .number = STOA_JOB_COMPACT,
    .flags = JOB_TAKES_SPACE,
    .state_size = sizeof(struct compact),
    .begin = begin,
    .step = step,
    .end = end,
};
