/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Segments of finalized blocks are packed (ledger/arc.h) into the folder of packed ones, or, when
 * that is asked, unpacked again. Segment by segment is looked at: one that has a block above what
 * may be packed stays, and so does one with damage, whose frames may yet be mended.
 *
 * What is read and written are small pieces on the loop; what is compressed a worker compresses. A
 * kill costs the segment that was under way, and the forms of the others say what is left to do, so
 * there is no point to be noted. */
#include <inttypes.h>

#include "base/ensure.h"
#include "ledger/ledger.h"
#include "maint/job_archive.h"
#include "maint/job_kinds.h"
#include "maint/job_packing.h"
#include "maint/snapshot.h"

struct archive {
    struct job_packing packing;
    bool unpack;
    uint64_t lowest; /* of the blocks that are wanted */
    uint64_t highest;
    uint32_t number; /* of the segment */
    uint64_t segments;
    uint64_t damaged;
    uint64_t before;
    uint64_t after;
    uint64_t held; /* by snapshots */
};

static bool is_dry(const struct job *job)
{
    return (job_order(job)->flags & JOB_DRY_RUN) != 0;
}

/* How many blocks back from the head stay as they are: as it was ordered, else as it is set. */
static uint64_t depth_of(const struct job *job)
{
    uint64_t ordered = job_order(job)->numbers[JOB_ARCHIVE_KEEP];
    return ordered != 0 ? ordered : job_settings(job)->archive_keep;
}

uint64_t job_archive_limit(const struct stoa_head *head, uint64_t depth)
{
    uint64_t deep = head->height > depth ? head->height - depth : 0;
    return depth != 0 && deep < head->finalized_height ? deep : head->finalized_height;
}

static int begin(struct job *job, struct bytes point)
{
    struct archive *own = job_state(job);
    const struct job_order *order = job_order(job);
    struct stoa_head head;
    (void)point; /* there is none */
    own->unpack = order->numbers[JOB_UNARCHIVE] != 0;
    own->lowest = order->from;
    own->highest = order->to != 0 ? order->to : UINT64_MAX;
    store_get_head(job_store(job), &head);
    if (own->unpack) {
        return 0;
    }
    if (!head.has_finalized) {
        (void)error_set(job_detail(job), STOA_EREFUSED,
                        "archive: no block is finalized, and only those up to one are packed");
        (void)job_fail(job, STOA_EREFUSED);
        return STOA_EREFUSED;
    }
    uint64_t limit = job_archive_limit(&head, depth_of(job));
    own->highest = own->highest < limit ? own->highest : limit;
    return 0;
}

static enum job_next finish(struct job *job, const struct archive *own)
{
    job_fact(job, own->unpack ? "segmentsUnpacked" : "segmentsPacked", own->segments);
    job_fact(job, "segmentsDamaged", own->damaged);
    job_fact(job, "sourceBytes", own->before);
    if (!is_dry(job)) {
        job_fact(job, "madeBytes", own->after);
        job_fact(job, "freedBytes", own->before > own->after ? own->before - own->after : 0);
        job_fact(job, "bytesHeldBySnapshots", own->held);
    }
    return JOB_ENDED;
}

static enum job_next next_segment(struct job *job)
{
    struct archive *own = job_state(job);
    struct ledger *ledger = store_ledger(job_store(job));
    uint32_t last = store_thin_last(job_store(job));
    uint32_t number = own->number + 1;
    while (number <= last && ledger_is_packed(ledger, number) != own->unpack) {
        number++;
    }
    job_progress(job, number < last ? number : last, (uint64_t)last + 1);
    if (number > last) {
        return finish(job, own);
    }
    int result = job_packing_start(job, number, own->unpack, 0);
    if (result == STOA_EBUSY) { /* the one before is being cleared away */
        return job_rest(job);
    }
    if (result != 0) {
        return job_fail(job, result);
    }
    own->number = number;
    job_say(job, "segment %" PRIu32 " of %" PRIu32, number, last);
    return JOB_WAITS;
}

static enum job_next leave_segment(struct job *job)
{
    job_packing_stop(job);
    return JOB_AGAIN;
}

/* Its index was read: is it wanted, and is there room? */
static enum job_next look_at_segment(struct job *job)
{
    struct archive *own = job_state(job);
    const struct ledger_packing *packing = &own->packing.packing;
    own->packing.looked = true;
    job_spend(job, packing->step_bytes, 1);
    bool above = packing->highest > own->highest;
    bool below = packing->highest < own->lowest;
    bool unwanted = own->unpack ? below || packing->lowest > own->highest : above || below;
    if (unwanted) {
        return leave_segment(job);
    }
    if (is_dry(job)) {
        own->segments++;
        own->before += packing->size;
        return leave_segment(job);
    }
    int result = job_packing_check_space(job, own->unpack ? "archive: unpacking a segment"
                                                          : "archive: packing a segment");
    return result != 0 ? job_fail(job, result) : job_packing_step(job);
}

static enum job_next segment_ended(struct job *job)
{
    struct archive *own = job_state(job);
    const struct ledger_packing *packing = &own->packing.packing;
    struct error_detail detail;
    bool is_held = false;
    own->packing.begun = false;
    if (packing->result == STOA_ECORRUPT) {
        own->damaged++;
        return JOB_AGAIN;
    }
    if (packing->result != 0) {
        *job_detail(job) = packing->detail;
        return job_fail(job, packing->result);
    }
    own->segments++;
    own->before += packing->size;
    own->after += packing->size_made;
    if (snapshot_holds(job_loop(job), store_directory(job_store(job)), own->number, &is_held,
                       &detail) == 0 &&
        is_held) {
        own->held += packing->size;
    }
    return JOB_AGAIN;
}

static enum job_next step(struct job *job)
{
    const struct job_packing *own = job_state(job);
    if (!own->begun) {
        return next_segment(job);
    }
    if (own->packing.ended) {
        return segment_ended(job);
    }
    return own->looked ? job_packing_step(job) : look_at_segment(job);
}

static void end(struct job *job)
{
    if (job_store(job) != NULL) { /* after a power cut it has gone with it */
        job_packing_stop(job);
    }
}

/* By schedule only where the settings say how much stays as it is. */
static bool has_work(struct job *job)
{
    struct stoa_head head;
    store_get_head(job_store(job), &head);
    return head.has_finalized && depth_of(job) != 0;
}

const struct job_kind job_kind_archive = {
    .number = STOA_JOB_ARCHIVE,
    .excludes = 1u << STOA_JOB_PRUNE,
    .state_size = sizeof(struct archive),
    .begin = begin,
    .step = step,
    .end = end,
    .has_work = has_work,
};
