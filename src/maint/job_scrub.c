/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cold frames read again, at a set rate: every byte of the full segments is checked as
 * ledger_verify does, a piece at a time on a worker, with a loop of its own and files of its own,
 * so that nothing of the store waits for it. The segment that is being filled is none of it: what
 * it holds is new.
 *
 * Nothing is written but the note: where a kill comes costs the segment that was looked at. The
 * resume point is the next segment and what was counted before it, little-endian. What it finds is
 * told by the job's damages and by its result, STOA_ECORRUPT, once all was read. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "ledger/ledger.h"
#include "maint/job_kinds.h"
#include "store/store_folder.h"

enum { PIECE = 1 << 20, PIECE_HURRY = 8 << 20, POINT_SIZE = 4 + 3 * 8 };

struct scrub {
    struct store_point moment;
    struct io *io;
    struct ledger *ledger;
    struct ledger_verifying *verifying;
    uint64_t total; /* bytes of all full segments */
    /* Before this process, of the same run. */
    uint32_t from;
    uint64_t segments;
    uint64_t frames;
    uint64_t damages;
    struct job_damages found; /* by the work; the loop takes them over */
    bool has_moment;
    bool opened;
    bool ended;
};

static int begin(struct job *job, struct bytes point)
{
    struct scrub *own = job_state(job);
    own->from = 1;
    if (point.size == POINT_SIZE) {
        own->from = bytes_load_le32(point.data);
        own->segments = bytes_load_le64(point.data + 4);
        own->frames = bytes_load_le64(point.data + 12);
        own->damages = bytes_load_le64(point.data + 20);
    }
    if (own->from == 1) {
        job_damages_begin(job_damages(job));
    }
    return 0;
}

/* Which segments are full. */
static enum job_next take_moment(struct job *job, struct scrub *own)
{
    int result = store_get_point(job_store(job), &own->moment);
    if (result == STOA_EBUSY) {
        return job_rest(job);
    }
    own->has_moment = true;
    own->ended = result != 0 || own->moment.end.segment <= own->from; /* there is none */
    return JOB_AGAIN;
}

/* ---- on a worker ---- */

static void note_damage(void *context, const struct ledger_damage *damage)
{
    struct scrub *own = context;
    struct job_damage found = {.offset = damage->offset,
                               .size = damage->size,
                               .height = damage->height,
                               .has_height = damage->has_height};
    (void)snprintf(found.file, sizeof(found.file), "%s", damage->file);
    (void)snprintf(found.what, sizeof(found.what), "%s", damage->what);
    (void)job_damages_add(&own->found, &found); /* the report counts it in any case */
}

static int open_ledger(struct job *job, struct kv_session *session)
{
    struct scrub *own = job_state(job);
    struct io_options io = {.backend = IO_BACKEND_THREADS, .threads = 1};
    struct error_detail *detail = job_detail(job);
    struct ledger_stats stats;
    char path[STORE_PATH_SIZE_MAX];
    char archive[STORE_PATH_SIZE_MAX];
    (void)session; /* it needs no tables */
    int result = io_create(&io, &own->io, detail);
    if (result != 0) {
        return result;
    }
    detail->code = 0; /* it may have told why not the ring */
    result = store_folder_path(path, store_directory(job_store(job)), STORE_FOLDER_LEDGER, detail);
    if (result == 0) {
        result = store_folder_path(archive, store_directory(job_store(job)), STORE_FOLDER_ARCHIVE,
                                   detail);
    }
    if (result == 0) {
        struct ledger_options options = {
            .io = own->io, .path = path, .archive = archive, .store_id = own->moment.store_id};
        result = ledger_open_sealed(&options, own->moment.end.segment - 1, &own->ledger, detail);
    }
    if (result == 0) {
        ledger_stats(own->ledger, &stats);
        own->total = stats.segment_bytes;
        result =
            ledger_verify_begin(own->ledger, own->from, note_damage, own, &own->verifying, detail);
    }
    return result;
}

static int read_piece(struct job *job, struct kv_session *session)
{
    struct scrub *own = job_state(job);
    bool hurry = (job_order(job)->flags & JOB_HURRY) != 0;
    uint64_t before = ledger_verify_bytes(own->verifying);
    (void)session; /* it needs no tables */
    int result = ledger_verify_step(own->verifying, hurry ? PIECE_HURRY : PIECE, job_detail(job));
    uint64_t after = ledger_verify_bytes(own->verifying);
    job_spend(job, after > before ? after - before : 0, 1);
    return result;
}

/* ---- on the loop ---- */

/* What the last piece brought. */
static void tell(struct job *job, struct scrub *own)
{
    struct ledger_verify_report report;
    uint64_t done = ledger_verify_bytes(own->verifying);
    ledger_verify_report(own->verifying, &report);
    for (unsigned i = 0; i < own->found.count; i++) {
        (void)job_damages_add(job_damages(job), &own->found.items[i]); /* it is counted */
    }
    job_damages(job)->more += own->found.more;
    job_damages_clear(&own->found);
    job_progress(job, done < own->total ? done : own->total, own->total);
    job_fact(job, "segments", own->segments + report.segments);
    job_fact(job, "frames", own->frames + report.frames);
    job_fact(job, "bytes", done);
    job_fact(job, "damages", own->damages + report.damages);
}

static void keep_point(struct job *job, const struct scrub *own, uint32_t number)
{
    uint8_t point[POINT_SIZE];
    bytes_store_le32(point, number);
    bytes_store_le64(point + 4, job_fact_get(job, "segments"));
    bytes_store_le64(point + 12, job_fact_get(job, "frames"));
    bytes_store_le64(point + 20, job_fact_get(job, "damages"));
    ensure(number >= own->from);
    job_keep(job, bytes_of(point, sizeof(point)));
}

static enum job_next finish(struct job *job, const struct scrub *own)
{
    uint64_t damages = job_fact_get(job, "damages");
    if (!own->opened) { /* nothing is full yet */
        job_fact(job, "segments", own->segments);
        job_fact(job, "frames", own->frames);
        job_fact(job, "bytes", 0);
        job_fact(job, "damages", own->damages);
        damages = own->damages;
    }
    if (damages == 0 || (job_order(job)->flags & JOB_DRY_RUN) != 0) {
        return JOB_ENDED;
    }
    return job_fail(job, error_set(job_detail(job), STOA_ECORRUPT, "scrub: %" PRIu64 " damaged %s",
                                   damages, damages == 1 ? "place" : "places"));
}

static enum job_next step(struct job *job)
{
    struct scrub *own = job_state(job);
    bool dry = (job_order(job)->flags & JOB_DRY_RUN) != 0;
    if (!own->has_moment) {
        return take_moment(job, own);
    }
    if (own->ended) {
        return finish(job, own);
    }
    if (!own->opened) {
        own->opened = true;
        return job_work(job, false, open_ledger);
    }
    uint32_t number = ledger_verify_number(own->verifying);
    tell(job, own);
    own->ended = number == 0;
    if (dry) {
        job_fact(job, "segments", own->moment.end.segment - own->from);
        job_fact(job, "bytes", own->total);
        own->ended = true;
    }
    if (own->ended) {
        return finish(job, own);
    }
    if (number != own->from) { /* it was begun anew by who killed it before the first was done */
        keep_point(job, own, number);
    }
    job_say(job, "segment %" PRIu32 " of %" PRIu32, number, own->moment.end.segment - 1);
    return job_work(job, false, read_piece);
}

static void end(struct job *job)
{
    struct scrub *own = job_state(job);
    ledger_verify_end(own->verifying);
    ledger_abandon(own->ledger);
    io_destroy(own->io);
    job_damages_deinit(&own->found);
}

/* There is a full segment. */
static bool has_work(struct job *job)
{
    struct store_point moment;
    return store_get_point(job_store(job), &moment) == 0 && moment.end.segment > 1;
}

const struct job_kind job_kind_scrub = {
    .number = STOA_JOB_SCRUB,
    .flags = JOB_READS,
    .state_size = sizeof(struct scrub),
    .begin = begin,
    .step = step,
    .end = end,
    .has_work = has_work,
};
