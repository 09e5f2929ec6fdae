/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is older than so many blocks, and below the finalized one, goes: of blocks their bodies,
 * receipts and what they are found by; of the state old versions, of its tries as well.
 *
 *   keep    a frame of the ledger says from where on blocks are kept whole; what is below is
 *           refused from then on (store_prune.c);
 *   thin    segment by segment is looked at, and made anew without what is below where that gives
 *           something back. One with damage is left alone: its frames may yet be mended;
 *   merge   the runs of the indexes, of values and of tries that have something below are merged
 *           into one without it, which needs as much room as they take, so that is looked for
 *           first. It takes effect in one transaction; a checkpoint then takes the old files away.
 *
 * Each part sees for itself what is left to be done, so a kill costs the segment or the merge that
 * was under way. The ledger keeps all changes of the state.
 *
 * A packed segment is thinned as well; what is made of it is packed and takes its place at once, so
 * it is the one or the other at any instant, and a kill leaves it packed. */
#include <inttypes.h>
#include <string.h>

#include "base/ensure.h"
#include "maint/job_kinds.h"
#include "maint/job_packing.h"
#include "maint/job_prune.h"
#include "maint/snapshot.h"
#include "store/store_folder.h"

enum phase { KEEP, THIN, MEASURE, LOOK, MERGE, JUDGE, SETTLE, MEASURE_AGAIN, END };

enum { GAIN_PART = 16 }; /* of a segment's size, at least, or it is not worth it yet */

struct prune {
    struct job_packing packing; /* of what was thinned of a packed segment */
    enum phase phase;
    struct index_floors target;
    struct prune_floors kept;
    struct store_keep keep;
    struct store_thin thin;
    bool thinning;   /* THIN is begun */
    bool looked;     /* its first step has ended */
    uint32_t number; /* of the segment */
    uint64_t segments;
    uint64_t damaged;
    uint64_t packed; /* segments of those thinned */
    uint64_t held;   /* by snapshots: bytes */
    uint64_t gained;
    struct store_prune prune;
    struct store_request checkpoint;
    uint64_t bytes;     /* of the tables, as measured last */
    uint64_t run_bytes; /* of those that are merged */
    uint64_t before;
};

/* What somebody asks for, or the settings where nobody says anything. */
static void take_depths(const struct job *job, struct prune_floors *out_depths,
                        uint64_t *out_history, uint64_t *out_tries)
{
    const uint64_t *numbers = job_order(job)->numbers;
    const struct stoa_maintenance *settings = job_settings(job);
    *out_depths = (struct prune_floors){
        .bodies = numbers[JOB_KEEP_BODIES],
        .receipts = numbers[JOB_KEEP_RECEIPTS],
        .logs = numbers[JOB_KEEP_LOGS],
        .transactions = numbers[JOB_KEEP_TRANSACTIONS],
    };
    *out_history = numbers[JOB_KEEP_HISTORY];
    *out_tries = numbers[JOB_KEEP_TRIES];
    bool asked = (out_depths->bodies | out_depths->receipts | out_depths->logs |
                  out_depths->transactions | *out_history | *out_tries) != 0;
    if (!asked) {
        *out_depths = (struct prune_floors){
            .bodies = settings->keep_bodies,
            .receipts = settings->keep_receipts,
            .logs = settings->keep_logs,
            .transactions = settings->keep_transactions,
        };
        *out_history = settings->keep_history;
        *out_tries = settings->keep_tries;
    }
}

static int begin(struct job *job, struct bytes point)
{
    struct prune *own = job_state(job);
    struct prune_floors depths;
    uint64_t history;
    uint64_t tries;
    (void)point; /* what is done is told by the files and the tables */
    take_depths(job, &depths, &history, &tries);
    int result = store_prune_target(job_store(job), history, tries, &own->target, job_detail(job));
    return result == 0 ? store_kept_target(job_store(job), &depths, &own->kept, job_detail(job))
                       : result;
}

static bool is_dry(const struct job *job)
{
    return (job_order(job)->flags & JOB_DRY_RUN) != 0;
}

/* ---- blocks ---- */

static void kept(struct store_keep *keep)
{
    struct job *job = keep->context;
    if (keep->result != 0) {
        *job_detail(job) = keep->detail;
        (void)job_fail(job, keep->result); /* its next step is its end */
    }
    job_continue(job);
}

static enum job_next keep(struct job *job)
{
    struct prune *own = job_state(job);
    struct prune_floors now = store_kept(job_store(job));
    job_fact(job, "bodiesFrom", own->kept.bodies);
    job_fact(job, "receiptsFrom", own->kept.receipts);
    job_fact(job, "logsFrom", own->kept.logs);
    job_fact(job, "transactionsFrom", own->kept.transactions);
    own->phase = THIN;
    if (is_dry(job) || prune_floors_are_same(&now, &own->kept)) {
        return JOB_AGAIN;
    }
    own->keep.floors = own->kept;
    own->keep.done = kept;
    own->keep.context = job;
    job_spend(job, 0, 1);
    store_keep_start(job_store(job), &own->keep);
    return JOB_WAITS;
}

static void thinned(struct store_thin *thin)
{
    job_continue(thin->context);
}

static enum job_next next_segment(struct job *job)
{
    struct prune *own = job_state(job);
    uint32_t last = own->kept.receipts != 0 ? store_thin_last(job_store(job)) : 0;
    job_progress(job, own->number, (uint64_t)last + 1);
    if (own->number >= last) {
        own->phase = MEASURE;
        job_fact(job, "segmentsThinned", own->segments);
        job_fact(job, "segmentsDamaged", own->damaged);
        job_fact(job, "packedSegmentsThinned", own->packed);
        job_fact(job, "ledgerBytesFreed", own->gained);
        job_fact(job, "bytesHeldBySnapshots", own->held);
        return JOB_AGAIN;
    }
    own->thin.floors = own->kept;
    own->thin.done = thinned;
    own->thin.context = job;
    int result = store_thin_start(job_store(job), &own->thin, own->number + 1);
    if (result == STOA_EBUSY) { /* the one before is being cleared away */
        return job_rest(job);
    }
    if (result != 0) {
        return job_fail(job, result);
    }
    own->number++;
    own->thinning = true;
    own->looked = false;
    job_say(job, "segment %" PRIu32 " of %" PRIu32, own->number, last);
    return JOB_WAITS;
}

static enum job_next leave_segment(struct job *job)
{
    struct prune *own = job_state(job);
    store_thin_stop(&own->thin);
    own->thinning = false;
    return JOB_AGAIN;
}

bool job_prune_is_worth(uint64_t gain, uint64_t size)
{
    return gain != 0 && gain >= size / GAIN_PART;
}

/* Its index was read: is it worth it, and is there room? */
static enum job_next look_at_segment(struct job *job)
{
    struct prune *own = job_state(job);
    const struct ledger_thinning *thinning = &own->thin.thinning;
    own->looked = true;
    job_spend(job, 0, 1);
    uint64_t gain =
        thinning->size > thinning->size_expected ? thinning->size - thinning->size_expected : 0;
    if (thinning->gain_frames == 0 || !job_prune_is_worth(gain, thinning->size)) {
        return leave_segment(job);
    }
    if (is_dry(job)) {
        own->segments++;
        own->packed += thinning->packed;
        own->gained += gain;
        return leave_segment(job);
    }
    int result = job_check_space(job, STORE_FOLDER_LEDGER, thinning->size_needed,
                                 "prune: a thinned segment");
    if (result != 0) {
        return job_fail(job, result);
    }
    store_thin_step(&own->thin);
    return JOB_WAITS;
}

/* The segment has become MADE bytes. */
static void count_segment(struct job *job, uint64_t made)
{
    struct prune *own = job_state(job);
    const struct ledger_thinning *thinning = &own->thin.thinning;
    struct error_detail detail;
    bool is_held = false;
    own->segments++;
    own->packed += thinning->packed;
    own->gained += thinning->size > made ? thinning->size - made : 0;
    if (snapshot_holds(job_loop(job), store_directory(job_store(job)), own->number, &is_held,
                       &detail) == 0 &&
        is_held) {
        own->held += thinning->size;
    }
}

static enum job_next segment_failed(struct job *job, int result, const struct error_detail *detail)
{
    struct prune *own = job_state(job);
    if (result == STOA_ECORRUPT) {
        own->damaged++;
        return JOB_AGAIN;
    }
    *job_detail(job) = *detail;
    return job_fail(job, result);
}

static enum job_next segment_ended(struct job *job)
{
    struct prune *own = job_state(job);
    const struct ledger_thinning *thinning = &own->thin.thinning;
    own->thinning = false;
    if (thinning->result != 0) {
        return segment_failed(job, thinning->result, &thinning->detail);
    }
    if (thinning->packed) {
        int result = job_packing_start(job, own->number, false, thinning->size_thinned);
        return result == 0 ? JOB_WAITS : job_fail(job, result); /* the next open clears it away */
    }
    count_segment(job, thinning->size_thinned);
    return JOB_AGAIN;
}

/* What was thinned of a packed segment is packed in its place. */
static enum job_next pack(struct job *job)
{
    struct prune *own = job_state(job);
    const struct ledger_packing *packing = &own->packing.packing;
    if (packing->ended) {
        own->packing.begun = false;
        if (packing->result != 0) {
            return segment_failed(job, packing->result, &packing->detail);
        }
        count_segment(job, packing->size_made);
        return JOB_AGAIN;
    }
    if (!own->packing.looked) {
        own->packing.looked = true;
        int result = job_packing_check_space(job, "prune: packing a thinned segment");
        if (result != 0) {
            return job_fail(job, result);
        }
    }
    return job_packing_step(job);
}

static enum job_next thin(struct job *job)
{
    struct prune *own = job_state(job);
    if (own->packing.begun) {
        return pack(job);
    }
    if (!own->thinning) {
        return next_segment(job);
    }
    job_spend(job, own->thin.thinning.step_bytes, own->looked ? 1 : 0);
    if (own->thin.thinning.ended) {
        return segment_ended(job);
    }
    if (!own->looked) {
        return look_at_segment(job);
    }
    store_thin_step(&own->thin);
    return JOB_WAITS;
}

/* ---- how much there is in the tables ---- */

struct measuring {
    struct job *job;
    struct kv_session *session;
    bool state; /* what of them is merged */
    bool indexes;
};

static bool is_run_of(const char *table, const char *index)
{
    size_t size = strlen(index);
    return strncmp(table, "run-", 4) == 0 && strncmp(table + 4, index, size) == 0 &&
           table[4 + size] == '-';
}

static void measure_table(void *context, const char *table)
{
    const struct measuring *measuring = context;
    struct prune *own = job_state(measuring->job);
    struct kv_table_size size;
    struct error_detail detail;
    if (kv_table_size(measuring->session, table, &size, &detail) == 0) { /* else it is gone */
        bool runs =
            (measuring->state && (is_run_of(table, "state") || is_run_of(table, "trie"))) ||
            (measuring->indexes && (is_run_of(table, "transactions") ||
                                    is_run_of(table, "addresses") || is_run_of(table, "logs")));
        own->bytes += size.file_bytes;
        own->run_bytes += runs ? size.file_bytes : 0;
    }
}

static int measure(struct job *job, struct kv_session *session)
{
    struct prune *own = job_state(job);
    struct measuring measuring = {.job = job, .session = session};
    store_prune_lags(job_store(job), &own->target, &own->kept, &measuring.state,
                     &measuring.indexes);
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
    if (is_dry(job)) {
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

static bool start_merge(struct store *store, struct store_merge *merge)
{
    return store_prune_start(store, (struct store_prune *)merge); /* it is first */
}

static enum job_next merge(struct job *job)
{
    struct prune *own = job_state(job);
    own->prune.floors = own->target;
    own->prune.kept = own->kept;
    job_say(job, "merging without what is below %llu and %llu",
            (unsigned long long)own->target.values, (unsigned long long)own->target.tries);
    own->phase = JUDGE;
    enum job_next next = job_merge(job, &own->prune.merge, start_merge);
    job_spend(job, next == JOB_WAITS ? own->run_bytes : 0, 0);
    return next;
}

/* What the tables say now must be what was wanted. */
static enum job_next judge(struct job *job)
{
    struct prune *own = job_state(job);
    struct stoa_stats stats;
    if (own->prune.merge.result == STOA_EBUSY) {
        own->phase = MERGE; /* all of it again */
        return JOB_AGAIN;
    }
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
    if (own->phase > THIN) {
        job_progress(job, (uint64_t)own->phase, END);
    }
    switch (own->phase) {
    case KEEP:
        return keep(job);
    case THIN:
        return thin(job);
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
        own->phase = MEASURE_AGAIN;
        return job_save(job, &own->checkpoint);
    case MEASURE_AGAIN:
        own->phase = END;
        return job_work(job, true, measure);
    case END:
        break;
    }
    job_fact(job, "tableBytes", own->bytes);
    job_fact(job, "freedBytes",
             own->gained + (own->before > own->bytes ? own->before - own->bytes : 0));
    return JOB_ENDED;
}

static void end(struct job *job)
{
    struct prune *own = job_state(job);
    if (job_store(job) == NULL) { /* after a power cut it has gone with it */
        return;
    }
    if (own->thinning) {
        store_thin_stop(&own->thin);
    }
    job_packing_stop(job);
}

/* By schedule only where the settings say what is to be kept. */
static bool has_work(struct job *job)
{
    struct prune_floors depths;
    struct stoa_head head;
    uint64_t history;
    uint64_t tries;
    take_depths(job, &depths, &history, &tries);
    store_get_head(job_store(job), &head);
    return head.has_finalized && (depths.bodies | depths.receipts | depths.logs |
                                  depths.transactions | history | tries) != 0;
}

const struct job_kind job_kind_prune = {
    .number = STOA_JOB_PRUNE,
    .excludes = 1u << STOA_JOB_COMPACT | 1u << STOA_JOB_BACKUP,
    .state_size = sizeof(struct prune),
    .begin = begin,
    .step = step,
    .end = end,
    .has_work = has_work,
};
