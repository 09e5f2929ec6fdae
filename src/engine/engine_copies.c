/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copies of a store: backups, restoring. They run on the calling thread with a loop of
 * its own, and take from the store's loop no more than the moment that is to be copied: what lies
 * before it in the ledger never changes again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/header.h"
#include "engine/engine_private.h"
#include "maint/backup.h"
#include "maint/repair.h"
#include "maint/restore.h"
#include "store/store_folder.h"

enum { POINT_TRIES = 2000, POINT_PAUSE_NS = 1000000, COPY_IO_ENTRIES = 64, COPY_IO_THREADS = 4 };

/* ---- a loop for the calling thread, and its pace ---- */

struct copying {
    struct io *io;
    struct pace pace;
    struct stoa_pace given;
    uint64_t started_ns;
    uint64_t moved;
    struct error_detail detail;
};

static void rest(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* Wait until the bytes moved so far are within the budget, and look whether to go on meanwhile. */
static int keep_pace(void *context, uint64_t bytes, uint64_t done, uint64_t total)
{
    enum { LOOK_NS = 100000000 };
    struct copying *copying = context;
    const struct stoa_pace *given = &copying->given;
    copying->moved += bytes;
    for (;;) {
        if (given->progress != NULL && given->progress(given->context, done, total) != 0) {
            return STOA_ECANCELED;
        }
        uint64_t gone = io_now_ns(copying->io) - copying->started_ns;
        double due = given->bytes_per_second == 0
                         ? 0
                         : (double)copying->moved * 1e9 / (double)given->bytes_per_second;
        if (due <= (double)gone) {
            return 0;
        }
        double left = due - (double)gone;
        rest(left > LOOK_NS ? LOOK_NS : (uint64_t)left);
    }
}

static int begin(struct copying *copying, const struct stoa_pace *given)
{
    struct io_options options = {
        .backend = IO_BACKEND_THREADS, .threads = COPY_IO_THREADS, .entries = COPY_IO_ENTRIES};
    *copying = (struct copying){.pace = {.step = keep_pace, .context = copying}};
    if (given != NULL) {
        if (!engine_size_is_valid(given->size, sizeof(*given))) {
            return error_set(&copying->detail, STOA_EINVAL, "pace: bad size");
        }
        memcpy(&copying->given, given, given->size);
    }
    int result = io_create(&options, &copying->io, &copying->detail);
    if (result == 0) {
        copying->detail = (struct error_detail){.code = 0};
        copying->started_ns = io_now_ns(copying->io);
    }
    return result;
}

static int finish(struct copying *copying, int result, struct stoa_detail *detail)
{
    io_destroy(copying->io);
    if (result != 0 && copying->detail.code == 0) {
        (void)error_set(&copying->detail, result, "%s", stoa_strerror(result)); /* returned */
    }
    engine_tell(detail, &copying->detail);
    return result;
}

/* ---- the moment ---- */

static void run_point(struct stoa *stoa, struct engine_call *call)
{
    call->result = store_get_point(stoa->store, call->context);
}

/* The moment that is to be copied, and its head's state root. */
static int take_point(struct stoa *stoa, struct store_point *out_point, uint8_t out_root[32],
                      struct error_detail *detail)
{
    int result = STOA_EBUSY;
    for (unsigned i = 0; i < POINT_TRIES && result == STOA_EBUSY; i++) {
        result = engine_run_on_loop(stoa, run_point, out_point, NULL);
        if (result == STOA_EBUSY) {
            rest(POINT_PAUSE_NS);
        }
    }
    if (result != 0) {
        return error_set(detail, result, "%s",
                         result == STOA_ENOTFOUND ? "the store is empty" : stoa_strerror(result));
    }
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_header found;
    struct header header;
    struct stoa_detail why = {.code = 0};
    memcpy(key.hash, out_point->head.hash, 32);
    result = stoa_get_header(stoa, &key, &found, &why);
    if (result != 0) {
        return error_set(detail, result, "the head: %s", why.text);
    }
    result = header_decode(bytes_of(found.header.data, found.header.size), &header, detail);
    if (result == 0) {
        memcpy(out_root, header.state_root, 32);
    }
    stoa_release(found.view);
    return result;
}

void engine_copies_describe(const struct manifest *manifest, struct stoa_copy_info *out)
{
    out->number = manifest->number;
    out->created = manifest->created_ns / 1000000000;
    out->store_id = manifest->store_id;
    out->chain_id = manifest->chain_id;
    out->height = manifest->height;
    memcpy(out->hash, manifest->hash, 32);
    memcpy(out->state_root, manifest->state_root, 32);
    out->files = manifest->file_count;
    out->bytes = manifest_bytes(manifest);
}

/* ---- backups ---- */

static int note_made(void *context, const struct stoa_copy_info *info)
{
    struct stoa_copy_info *made = context;
    if (info->number == made->number && info->damaged == NULL) {
        uint64_t copied = made->copied_bytes;
        uint64_t removed = made->removed;
        *made = *info;
        made->copied_bytes = copied;
        made->own_bytes = copied;
        made->removed = removed;
    }
    return 0;
}

/* What the job made, and of its manifest what this process may read. */
static void describe_made(const struct stoa_job_info *info, const char *directory,
                          struct stoa_copy_info *out)
{
    *out = (struct stoa_copy_info){.number = engine_jobs_fact(info, "backup"),
                                   .created = info->ended,
                                   .height = engine_jobs_fact(info, "number"),
                                   .files = engine_jobs_fact(info, "files"),
                                   .bytes = engine_jobs_fact(info, "bytes"),
                                   .own_bytes = engine_jobs_fact(info, "copiedBytes"),
                                   .copied_bytes = engine_jobs_fact(info, "copiedBytes"),
                                   .removed = engine_jobs_fact(info, "removed")};
    (void)stoa_backup_list(directory, note_made, out, NULL); /* else the job's facts have to do */
}

static int wait_for_job(struct stoa *stoa, int job, const struct stoa_pace *pace,
                        struct stoa_job_info *out_info, struct stoa_detail *detail)
{
    enum { LOOK_NS = 50000000 };
    struct stoa_job_info infos[STOA_JOBS];
    size_t count = 0;
    bool stopped = false;
    for (;;) {
        int result = stoa_list_jobs(stoa, infos, STOA_JOBS, &count, detail);
        if (result != 0 || (size_t)job >= count) {
            return result != 0 ? result : engine_refuse(detail, STOA_ENOTSUP, "no such job");
        }
        *out_info = infos[job];
        if (infos[job].active == 0) {
            return infos[job].last_result == 0
                       ? 0
                       : engine_refuse(detail, infos[job].last_result, infos[job].last_error);
        }
        if (!stopped && pace != NULL && pace->progress != NULL &&
            pace->progress(pace->context, infos[job].done, infos[job].total) != 0) {
            stopped = true;
            (void)stoa_cancel_job(stoa, job, NULL); /* it may have ended by itself */
        }
        rest(LOOK_NS);
    }
}

/* The process that has the store open does it, as a job. */
static int back_up_there(struct stoa *stoa, const char *directory,
                         const struct stoa_backup_options *given, struct stoa_copy_info *out_info,
                         struct stoa_detail *detail)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_job_info info;
    char path[STORE_PATH_SIZE_MAX] = "";
    size_t length = 0;
    if (directory[0] != '/') { /* it may be at home elsewhere */
        if (getcwd(path, sizeof(path) - 1) == NULL) {
            return engine_refuse(detail, error_from_errno(errno), "back up: where are we?");
        }
        length = strlen(path);
        path[length++] = '/';
    }
    int written = snprintf(path + length, sizeof(path) - length, "%s", directory);
    if (written < 0 || (size_t)written >= sizeof(path) - length) {
        return engine_refuse(detail, STOA_EINVAL, "back up: the path is too long");
    }
    options.job = STOA_JOB_BACKUP;
    options.path = path;
    options.full = given->full;
    options.keep = given->keep == 0 ? STOA_KEEP_ALL : given->keep;
    options.bytes_per_second = given->pace == NULL ? 0 : given->pace->bytes_per_second;
    int result = stoa_start_job(stoa, &options, detail);
    if (result == 0) {
        result = wait_for_job(stoa, options.job, given->pace, &info, detail);
    }
    if (result == 0 && out_info != NULL) {
        describe_made(&info, path, out_info);
    }
    return result;
}

int stoa_backup(struct stoa *stoa, const char *directory, const struct stoa_backup_options *options,
                struct stoa_copy_info *out_info, struct stoa_detail *detail)
{
    struct stoa_backup_options own = STOA_BACKUP_OPTIONS_INIT;
    struct copying copying;
    struct store_point point;
    struct backup_report report;
    uint8_t root[32];
    if (directory == NULL ||
        (options != NULL && !engine_size_is_valid(options->size, sizeof(own)))) {
        return engine_refuse(detail, STOA_EINVAL, "backup: bad argument");
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    if (stoa->remote != NULL) {
        return back_up_there(stoa, directory, &own, out_info, detail);
    }
    int result = begin(&copying, own.pace);
    if (result == 0) {
        result = take_point(stoa, &point, root, &copying.detail);
    }
    if (result == 0) {
        struct backup_options wanted = {.io = copying.io,
                                        .directory = stoa->directory,
                                        .target = directory,
                                        .full = own.full != 0,
                                        .keep = own.keep,
                                        .pace = &copying.pace};
        result = backup_create(&wanted, &point, root, &report, &copying.detail);
    }
    if (result == 0 && out_info != NULL) {
        *out_info = (struct stoa_copy_info){
            .number = report.number,
            .created = io_wall_ns(copying.io) / 1000000000,
            .store_id = point.store_id,
            .chain_id = point.head.chain_id,
            .height = report.height,
            .files = report.files,
            .bytes = report.bytes,
            .own_bytes = report.copied_bytes,
            .copied_bytes = report.copied_bytes,
            .removed = report.removed,
        };
        memcpy(out_info->hash, point.head.hash, 32);
        memcpy(out_info->state_root, root, 32);
    }
    return finish(&copying, result, detail);
}

/* Who is told of each copy. */
struct listing {
    int (*each)(void *context, const struct stoa_copy_info *info);
    void *context;
};

static int tell_backup(void *context, uint64_t number, const struct manifest *manifest,
                       uint64_t own_bytes, const struct error_detail *why)
{
    const struct listing *listing = context;
    struct stoa_copy_info info = {.number = number, .own_bytes = own_bytes};
    if (manifest == NULL) {
        info.damaged = why->text;
    } else {
        engine_copies_describe(manifest, &info);
    }
    return listing->each(listing->context, &info);
}

int stoa_backup_list(const char *directory,
                     int (*each)(void *context, const struct stoa_copy_info *info), void *context,
                     struct stoa_detail *detail)
{
    struct copying copying;
    struct listing listing = {each, context};
    if (directory == NULL || each == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "list backups: bad argument");
    }
    int result = begin(&copying, NULL);
    if (result == 0) {
        result = backup_list(copying.io, directory, tell_backup, &listing, &copying.detail);
    }
    return finish(&copying, result, detail);
}

int stoa_backup_verify(const char *directory, uint64_t number, const struct stoa_pace *pace,
                       void (*damage)(void *context, const char *file, const char *what),
                       void *context, struct stoa_backup_check *out_check,
                       struct stoa_detail *detail)
{
    struct copying copying;
    struct backup_check check = {.backups = 0};
    if (directory == NULL || out_check == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "verify backups: bad argument");
    }
    int result = begin(&copying, pace);
    if (result == 0) {
        result = backup_verify(copying.io, directory, number, &copying.pace, damage, context,
                               &check, &copying.detail);
    }
    *out_check = (struct stoa_backup_check){.backups = check.backups,
                                            .files = check.files,
                                            .bytes = check.bytes,
                                            .damages = check.damages};
    return finish(&copying, result, detail);
}

int stoa_backup_prune(const char *directory, unsigned keep, uint64_t *out_removed,
                      struct stoa_detail *detail)
{
    struct copying copying;
    uint64_t removed = 0;
    if (directory == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "prune backups: bad argument");
    }
    int result = begin(&copying, NULL);
    if (result == 0) {
        result = backup_prune(copying.io, directory, keep, &removed, &copying.detail);
    }
    if (out_removed != NULL) {
        *out_removed = removed;
    }
    return finish(&copying, result, detail);
}

int stoa_restore(const char *backup, const char *directory,
                 const struct stoa_restore_options *options, struct stoa_restore_report *out_report,
                 struct stoa_detail *detail)
{
    struct stoa_restore_options own = STOA_RESTORE_OPTIONS_INIT;
    struct restore_report report = {.height = 0};
    struct copying copying;
    if (backup == NULL || directory == NULL ||
        (options != NULL && !engine_size_is_valid(options->size, sizeof(own)))) {
        return engine_refuse(detail, STOA_EINVAL, "restore: bad argument");
    }
    if (options != NULL) {
        memcpy(&own, options, options->size);
    }
    int result = begin(&copying, own.pace);
    if (result == 0) {
        struct restore_options wanted = {.io = copying.io,
                                         .backup = backup,
                                         .target = directory,
                                         .has_height = own.has_height != 0,
                                         .height = own.height,
                                         .pace = &copying.pace};
        result = restore_run(&wanted, &report, &copying.detail);
    }
    if (result == 0 && out_report != NULL) {
        *out_report = (struct stoa_restore_report){
            .height = report.height,
            .files = report.files,
            .bytes = report.bytes,
            .copy_ms = report.copy_ns / 1000000,
            .tables_ms = report.tables_ns / 1000000,
            .verify_ms = report.verify_ns / 1000000,
        };
        memcpy(out_report->hash, report.hash, 32);
        memcpy(out_report->state_root, report.state_root, 32);
    }
    return finish(&copying, result, detail);
}

/* ---- scrub, repair ---- */

int stoa_scrub(struct stoa *stoa, const struct stoa_pace *pace,
               void (*damage)(void *context, const struct stoa_damage *damage), void *context,
               struct stoa_scrub_report *out_report, struct stoa_detail *detail)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_pace own = STOA_PACE_INIT;
    struct stoa_job_info info;
    if (pace != NULL && !engine_size_is_valid(pace->size, sizeof(own))) {
        return engine_refuse(detail, STOA_EINVAL, "scrub: bad pace");
    }
    if (pace != NULL) {
        memcpy(&own, pace, pace->size);
    }
    options.job = STOA_JOB_SCRUB;
    options.bytes_per_second = own.bytes_per_second;
    options.flags = own.bytes_per_second == 0 && stoa->remote == NULL ? STOA_JOB_HURRY : 0;
    int result = stoa_start_job(stoa, &options, detail);
    if (result == 0) {
        result = wait_for_job(stoa, options.job, &own, &info, detail);
    }
    if (result == 0 || result == STOA_ECORRUPT) {
        struct stoa_detail ignored;
        int listed =
            stoa_list_damages(stoa, damage, context, out_report, result == 0 ? detail : &ignored);
        result = result == 0 ? listed : result;
    }
    return result;
}

struct repairing {
    void (*damage)(void *context, const struct stoa_repair_damage *damage);
    void *context;
};

static void tell_mended(void *context, const struct repair_damage *found)
{
    const struct repairing *repairing = context;
    struct stoa_repair_damage damage = {
        .file = found->file,
        .offset = found->offset,
        .size = found->size,
        .has_height = found->has_height ? 1 : 0,
        .height = found->height,
        .what = found->what,
        .source = found->source,
    };
    if (repairing->damage != NULL) {
        repairing->damage(repairing->context, &damage);
    }
}

int stoa_repair(const char *directory, const char *const *sources, size_t count,
                void (*damage)(void *context, const struct stoa_repair_damage *damage),
                void *context, struct stoa_repair_report *out_report, struct stoa_detail *detail)
{
    struct copying copying;
    struct repairing repairing = {damage, context};
    struct repair_report report = {.damages = 0};
    if (directory == NULL || (sources == NULL && count != 0)) {
        return engine_refuse(detail, STOA_EINVAL, "repair: bad argument");
    }
    int result = begin(&copying, NULL);
    if (result == 0) {
        struct repair_options wanted = {.io = copying.io,
                                        .directory = directory,
                                        .sources = sources,
                                        .source_count = count,
                                        .damage = tell_mended,
                                        .context = &repairing};
        result = repair_run(&wanted, &report, &copying.detail);
    }
    if (out_report != NULL) {
        *out_report = (struct stoa_repair_report){.damages = report.damages,
                                                  .mended = report.mended,
                                                  .left = report.left,
                                                  .rebuilt_tables = report.rebuilt_tables ? 1 : 0};
    }
    return finish(&copying, result, detail);
}
