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
#include "maint/job_kinds.h"
#include "maint/snapshot.h"
#include "store/store_folder.h"

static const uint64_t space_reserve = UINT64_C(16) << 20; /* stays free besides a packed segment */

struct archive {
    bool unpack;
    uint64_t lowest; /* of the blocks that are wanted */
    uint64_t highest;
    uint32_t number; /* of the segment */
    bool begun;      /* PACKING is */
    bool looked;     /* its first step has ended */
    bool worked;     /* what it wanted was done */
    struct ledger_packing packing;
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
    uint64_t depth = depth_of(job);
    uint64_t deep = head.height > depth ? head.height - depth : 0;
    uint64_t limit = depth != 0 && deep < head.finalized_height ? deep : head.finalized_height;
    own->highest = own->highest < limit ? own->highest : limit;
    return 0;
}

static void stepped(struct ledger_packing *packing)
{
    job_continue(packing->context);
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
    own->packing = (struct ledger_packing){
        .number = number, .unpack = own->unpack, .done = stepped, .context = job};
    int result = ledger_pack_start(ledger, &own->packing);
    if (result == STOA_EBUSY) { /* the one before is being cleared away */
        return job_rest(job);
    }
    if (result != 0) {
        return job_fail(job, result);
    }
    own->number = number;
    own->begun = true;
    own->looked = false;
    own->worked = false;
    job_say(job, "segment %" PRIu32 " of %" PRIu32, number, last);
    return JOB_WAITS;
}

static enum job_next leave_segment(struct job *job)
{
    struct archive *own = job_state(job);
    ledger_pack_stop(&own->packing);
    own->begun = false;
    return JOB_AGAIN;
}

/* Where the space has to be: the folder of packed segments may be another file system's. */
static int check_space(struct job *job)
{
    struct archive *own = job_state(job);
    const char *directory = store_directory(job_store(job));
    char path[STORE_PATH_SIZE_MAX];
    uint64_t wanted = own->packing.size_expected + space_reserve;
    uint64_t free_bytes = UINT64_MAX;
    uint64_t total;
    int result = store_folder_path(path, directory, STORE_FOLDER_ARCHIVE, job_detail(job));
    if (result != 0) {
        return result;
    }
    if (own->unpack || io_space(job_loop(job), path, &free_bytes, &total) != 0) {
        (void)io_space(job_loop(job), directory, &free_bytes, &total); /* else it is tried */
    }
    return free_bytes >= wanted ? 0
                                : error_set(job_detail(job), STOA_ENOSPACE,
                                            "archive: %s a segment takes up to %" PRIu64
                                            " bytes, %" PRIu64 " are free",
                                            own->unpack ? "unpacking" : "packing",
                                            own->packing.size_expected, free_bytes);
}

/* Its index was read: is it wanted, and is there room? */
static enum job_next look_at_segment(struct job *job)
{
    struct archive *own = job_state(job);
    const struct ledger_packing *packing = &own->packing;
    own->looked = true;
    job_spend(job, 0, 1);
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
    int result = check_space(job);
    if (result != 0) {
        return job_fail(job, result);
    }
    ledger_pack_step(&own->packing);
    return JOB_WAITS;
}

static enum job_next segment_ended(struct job *job)
{
    struct archive *own = job_state(job);
    const struct ledger_packing *packing = &own->packing;
    struct error_detail detail;
    bool is_held = false;
    own->begun = false;
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

/* On a worker. */
static int work(struct job *job, struct kv_session *session)
{
    struct archive *own = job_state(job);
    (void)session; /* it needs no tables */
    ledger_pack_work(&own->packing);
    own->worked = true;
    return 0;
}

static enum job_next step(struct job *job)
{
    struct archive *own = job_state(job);
    if (!own->begun) {
        return next_segment(job);
    }
    if (own->packing.ended) {
        return segment_ended(job);
    }
    if (own->packing.wants_work && !own->worked) {
        return job_work(job, false, work);
    }
    job_spend(job, own->packing.step_bytes, own->looked ? 1 : 0);
    if (!own->looked) {
        return look_at_segment(job);
    }
    own->worked = false;
    ledger_pack_step(&own->packing);
    return JOB_WAITS;
}

static void end(struct job *job)
{
    struct archive *own = job_state(job);
    if (own->begun && job_store(job) != NULL) { /* after a power cut it has gone with it */
        ledger_pack_stop(&own->packing);
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
