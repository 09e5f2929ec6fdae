/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots: making and dropping one are jobs (maint/job_snapshot.c); who lists them is answered by
 * a worker that reads their manifests. A store of its own is made of one by who asks for it, here
 * or in a process that only has a socket: nothing of a snapshot changes, and restoring takes
 * minutes. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "maint/snapshot.h"
#include "store/store_folder.h"

/* The list while it grows: its texts have no place yet. */
struct listing {
    struct engine_work work;
    struct io *io;        /* the worker's */
    struct buffer copies; /* of struct found */
    struct buffer texts;
    char base[STORE_PATH_SIZE_MAX]; /* the store's directory, absolute */
    int result;
};

struct found {
    struct stoa_copy_info info;
    size_t name; /* in the texts */
    size_t path;
    size_t damaged; /* SIZE_MAX: it is not */
};

static size_t add_text(struct listing *listing, const char *text)
{
    size_t at = listing->texts.size;
    if (listing->result == 0) {
        listing->result = buffer_append(&listing->texts, text, strlen(text) + 1);
    }
    return at;
}

static int note_snapshot(void *context, const char *name, const struct manifest *manifest,
                         uint64_t own_bytes, const struct error_detail *why)
{
    struct listing *listing = context;
    struct found found = {.info = {.own_bytes = own_bytes}, .damaged = SIZE_MAX};
    char path[STORE_PATH_SIZE_MAX];
    found.name = add_text(listing, name);
    int result = snapshot_path(listing->io, listing->base, name, path, NULL);
    found.path = add_text(listing, result == 0 ? path : "");
    if (manifest == NULL) {
        found.damaged = add_text(listing, why->text);
    } else {
        engine_copies_describe(manifest, &found.info);
    }
    if (listing->result == 0) {
        listing->result = buffer_append(&listing->copies, &found, sizeof(found));
    }
    return listing->result;
}

/* The array, and its texts behind it, for OWN's caller. */
static int join(struct listing *listing)
{
    size_t count = listing->copies.size / sizeof(struct found);
    const struct found *found = (const void *)listing->copies.data;
    size_t size = count * sizeof(struct stoa_copy_info);
    struct stoa_copy_info *copies = memory_alloc_zeroed(1, size + listing->texts.size + 1);
    if (copies == NULL) {
        return STOA_ENOMEM;
    }
    char *texts = (char *)copies + size;
    if (listing->texts.size != 0) {
        memcpy(texts, listing->texts.data, listing->texts.size);
    }
    for (size_t i = 0; i < count; i++) {
        copies[i] = found[i].info;
        copies[i].name = texts + found[i].name;
        copies[i].path = texts + found[i].path;
        copies[i].damaged = found[i].damaged == SIZE_MAX ? NULL : texts + found[i].damaged;
    }
    listing->work.own->report = copies;
    listing->work.own->report_count = count;
    return 0;
}

static int run_list(struct engine_work *work, struct io *io, struct kv_session *session)
{
    struct listing *listing = (struct listing *)work; /* it is first */
    struct error_detail *detail = &work->work.detail;
    (void)session; /* it needs no tables */
    listing->io = io;
    static_assert(sizeof(listing->base) >= PATH_MAX, "what realpath fills");
    if (realpath(store_directory(work->work.store), listing->base) == NULL) {
        return error_set(detail, STOA_EIO, "list snapshots: where is the store?");
    }
    int result = snapshot_list(io, listing->base, note_snapshot, listing, detail);
    return result == 0 ? join(listing) : result;
}

static void end_list(struct engine_work *work)
{
    struct listing *listing = (struct listing *)work;
    buffer_deinit(&listing->copies);
    buffer_deinit(&listing->texts);
}

void engine_snapshots_serve(struct engine_request *own)
{
    struct listing *listing = engine_work_make(own, sizeof(*listing));
    if (listing == NULL) {
        return;
    }
    listing->work.run = run_list;
    listing->work.end = end_list;
    buffer_init(&listing->copies);
    buffer_init(&listing->texts);
    engine_work_start(&listing->work);
}

/* ---- the forms that wait ---- */

static int run_named(struct stoa *stoa, int job, const char *name, struct stoa_detail *detail)
{
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    if (name == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "a snapshot has a name");
    }
    options.job = job;
    options.flags = STOA_JOB_HURRY;
    options.name = name;
    return stoa_run_job(stoa, &options, NULL, detail);
}

int stoa_create_snapshot(struct stoa *stoa, const char *name, struct stoa_detail *detail)
{
    return run_named(stoa, STOA_JOB_CREATE_SNAPSHOT, name, detail);
}

int stoa_drop_snapshot(struct stoa *stoa, const char *name, struct stoa_detail *detail)
{
    return run_named(stoa, STOA_JOB_DROP_SNAPSHOT, name, detail);
}

int stoa_list_snapshots(struct stoa *stoa,
                        int (*each)(void *context, const struct stoa_copy_info *info),
                        void *context, struct stoa_detail *detail)
{
    struct engine_request *answer;
    if (each == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "list snapshots: nobody to tell");
    }
    int result = engine_request_wait(stoa, STOA_MESSAGE_LIST_SNAPSHOTS, NULL, NULL, &answer);
    if (result != 0) {
        return engine_refuse(detail, result, stoa_strerror(result));
    }
    engine_tell(detail, &answer->request.detail);
    result = answer->request.result;
    const struct stoa_copy_info *copies = answer->report;
    for (size_t i = 0; result == 0 && i < answer->report_count; i++) {
        result = each(context, &copies[i]);
    }
    engine_serve_forget(answer);
    engine_request_give(stoa, answer);
    return result;
}

/* Where the snapshot of that NAME is. */
struct finding {
    const char *name;
    char path[STORE_PATH_SIZE_MAX];
};

static int find(void *context, const struct stoa_copy_info *info)
{
    struct finding *finding = context;
    size_t size = strlen(info->path) + 1;
    if (strcmp(info->name, finding->name) == 0 && size <= sizeof(finding->path)) {
        memcpy(finding->path, info->path, size);
    }
    return 0;
}

int stoa_restore_snapshot(struct stoa *stoa, const char *name, const char *directory,
                          const struct stoa_restore_options *options,
                          struct stoa_restore_report *out_report, struct stoa_detail *detail)
{
    struct finding finding = {.name = name};
    if (name == NULL) {
        return engine_refuse(detail, STOA_EINVAL, "a snapshot has a name");
    }
    int result = stoa_list_snapshots(stoa, find, &finding, detail);
    if (result == 0 && finding.path[0] == '\0') {
        return engine_refuse(detail, STOA_ENOTFOUND, "there is no snapshot of that name");
    }
    return result == 0 ? stoa_restore(finding.path, directory, options, out_report, detail)
                       : result;
}
