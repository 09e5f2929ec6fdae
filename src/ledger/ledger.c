/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + 1 + strlen(name) + 1;
    char *path = memory_alloc(size);
    if (path != NULL) {
        int length = snprintf(path, size, "%s/%s", folder, name);
        ensure(length >= 0);
        ensure((size_t)length == size - 1);
    }
    return path;
}

char *ledger_path(const struct ledger *ledger, const char *name)
{
    return join(ledger->path, name);
}

char *ledger_archive_path(const struct ledger *ledger, const char *name)
{
    ensure(ledger->archive != NULL);
    return join(ledger->archive, name);
}

int64_t ledger_wait(struct ledger *ledger, struct io_request *request)
{
    int64_t result = io_wait(ledger->io, request);
    if (result < 0) {
        request->result = result; /* also where the loop itself has ended */
    }
    return result;
}

/* Free all memory; files are closed, nothing is pending. */
static void free_ledger(struct ledger *ledger)
{
    ledger_thin_deinit(ledger);
    ledger_pack_deinit(ledger);
    ledger_spare_deinit(ledger);
    ledger_files_deinit(ledger);
    ledger_files_deinit_pool(ledger);
    for (int i = 0; i < 2; i++) {
        if (ledger->groups[i].buffer != NULL) {
            io_buffer_remove(ledger->io, ledger->groups[i].buffer);
        }
        memory_free(ledger->groups[i].buffer);
        memory_free(ledger->groups[i].temporary);
    }
    memory_free(ledger->segment.entries);
    arc_unpacker_destroy(ledger->unpacker);
    memory_free(ledger->path);
    memory_free(ledger->archive);
    memory_free(ledger);
}

static int check_options(const struct ledger_options *options, struct error_detail *detail)
{
    uint32_t size = options->segment_size;
    if (size != 0 && (size < LEDGER_SEGMENT_SIZE_MIN || size > LEDGER_SEGMENT_SIZE_MAX ||
                      size % IO_ALIGNMENT != 0)) {
        return error_set(detail, STOA_EINVAL,
                         "segment size %u: not a multiple of %d between %d and %d", size,
                         IO_ALIGNMENT, LEDGER_SEGMENT_SIZE_MIN, LEDGER_SEGMENT_SIZE_MAX);
    }
    if (options->spare_count > LEDGER_SPARES_MAX) {
        return error_set(detail, STOA_EINVAL, "%u spare segments: at most %d are kept",
                         options->spare_count, LEDGER_SPARES_MAX);
    }
    return 0;
}

static int make_ledger(const struct ledger_options *options, struct ledger **out_ledger,
                       struct error_detail *detail)
{
    int result = check_options(options, detail);
    if (result < 0) {
        return result;
    }
    struct ledger *ledger = memory_alloc_zeroed(1, sizeof(*ledger));
    if (ledger == NULL) {
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    }
    ledger->io = options->io;
    ledger->store_id = options->store_id;
    ledger->segment_size =
        options->segment_size == 0 ? LEDGER_SEGMENT_SIZE_DEFAULT : options->segment_size;
    ledger->prepare = options->prepare;
    unsigned delay_ms =
        options->mark_delay_ms == 0 ? LEDGER_MARK_DELAY_DEFAULT_MS : options->mark_delay_ms;
    ledger->mark_delay_ns = (uint64_t)delay_ms * 1000000;
    ledger->spare_count = options->spare_count == 0 ? 1 : options->spare_count;
    ledger->spare.file = -1;
    ledger->path = memory_copy_text(options->path);
    ledger->archive = options->archive != NULL ? memory_copy_text(options->archive) : NULL;
    if (ledger->path == NULL || (options->archive != NULL && ledger->archive == NULL)) {
        free_ledger(ledger);
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    }
    *out_ledger = ledger;
    return 0;
}

int ledger_create(const struct ledger_options *options, struct error_detail *detail)
{
    struct ledger *ledger = NULL;
    int result = make_ledger(options, &ledger, detail);
    if (result < 0) {
        return result;
    }
    ledger->spare_count = 1; /* the others are made while it is open */
    ledger_spare_start(ledger);
    result = ledger_spare_wait(ledger, detail);
    ledger_abandon(ledger);
    return result;
}

/* ---- opening ---- */

struct listing {
    uint32_t highest;
    char (*unfinished)[SEGMENT_NAME_SIZE]; /* owned: files that were being made */
    uint32_t unfinished_count;
    uint32_t unfinished_capacity;
    uint32_t *seen; /* owned: each number once for each form it has; in no order */
    uint32_t seen_count;
    uint32_t seen_capacity;
    bool failed; /* no memory */
};

/* Room for one more in the array at *ITEMS. */
static bool grow(void *items, uint32_t *capacity, uint32_t count, size_t size)
{
    void **array = items;
    if (count < *capacity) {
        return true;
    }
    uint32_t larger = *capacity == 0 ? 64 : 2 * *capacity;
    void *grown = memory_resize(*array, larger * size);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *capacity = larger;
    return true;
}

static void list_entry(void *context, const char *name)
{
    struct listing *listing = context;
    bool finished = false;
    uint32_t number = segment_parse_name(name, &finished);
    number = number != 0 ? number : thin_parse_name(name, &finished);
    number = number != 0 ? number : arc_parse_name(name, &finished);
    if (number == 0) {
        return;
    }
    bool room = finished ? grow(&listing->seen, &listing->seen_capacity, listing->seen_count,
                                sizeof(*listing->seen))
                         : grow(&listing->unfinished, &listing->unfinished_capacity,
                                listing->unfinished_count, sizeof(*listing->unfinished));
    if (!room) {
        listing->failed = true;
    } else if (finished) {
        listing->seen[listing->seen_count++] = number;
        listing->highest = number > listing->highest ? number : listing->highest;
    } else {
        (void)snprintf(listing->unfinished[listing->unfinished_count++], SEGMENT_NAME_SIZE, "%s",
                       name);
    }
}

/* Form and size of FILE. */
static int find_size(struct ledger *ledger, struct ledger_file *file, struct error_detail *detail)
{
    char name[SEGMENT_NAME_SIZE];
    int result = ledger_form_find(file);
    ledger_form_name(file, name);
    if (result == STOA_ENOTFOUND) {
        return error_set(detail, STOA_ECORRUPT, "%s: segment file %s is missing", ledger->path,
                         name);
    }
    if (result < 0) {
        return error_set(detail, result, "%s/%s: %s", ledger->path, name, stoa_strerror(result));
    }
    uint64_t size = file->disk_size;
    bool made = file->thin || file->packed;
    uint64_t least = made ? 2 * SEGMENT_BLOCK : LEDGER_SEGMENT_SIZE_MIN;
    if (size % IO_ALIGNMENT != 0 || size < least || size > 2 * (uint64_t)LEDGER_SEGMENT_SIZE_MAX ||
        (!made && size > LEDGER_SEGMENT_SIZE_MAX)) {
        return error_set(detail, STOA_ECORRUPT, "%s/%s: %llu bytes: no segment is that long",
                         ledger->path, name, (unsigned long long)size);
    }
    return 0;
}

/* Take file NUMBER into the table. */
static int add_file(struct ledger *ledger, uint32_t number, struct error_detail *detail)
{
    struct ledger_file *file = NULL;
    if (ledger_files_reserve(ledger, number, &file) < 0) {
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    }
    int result = find_size(ledger, file, detail);
    if (result < 0) {
        memory_free(file);
        return result;
    }
    ledger_files_add(ledger, file);
    ledger->stats.segment_bytes += file->disk_size;
    ledger->stats.segment_count++;
    return 0;
}

/* PATH is the caller's, freed here; NULL: no memory. */
static int remove_path(struct ledger *ledger, char *path, struct error_detail *detail)
{
    if (path == NULL) {
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    }
    struct io_request request = {.op = IO_UNLINK, .path = path};
    int64_t result = ledger_wait(ledger, &request);
    if (result < 0 && result != STOA_ENOTFOUND) {
        error_set(detail, (int)result, "remove %s: %s", path, stoa_strerror((int)result));
    }
    memory_free(path);
    return result == STOA_ENOTFOUND ? 0 : (int)result;
}

/* What was being made when a process ended. */
static int remove_unfinished(struct ledger *ledger, const struct listing *listing,
                             struct error_detail *detail)
{
    int result = 0;
    for (uint32_t i = 0; i < listing->unfinished_count && result == 0; i++) {
        const char *name = listing->unfinished[i];
        bool finished;
        bool packed = arc_parse_name(name, &finished) != 0;
        result = remove_path(
            ledger, packed ? ledger_archive_path(ledger, name) : ledger_path(ledger, name), detail);
    }
    return result;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* Forms of a segment that has taken another: a process ended just then. */
static int remove_others(struct ledger *ledger, struct listing *listing,
                         struct error_detail *detail)
{
    int result = 0;
    if (listing->seen_count > 1) {
        qsort(listing->seen, listing->seen_count, sizeof(*listing->seen), compare_numbers);
    }
    for (uint32_t i = 1; i < listing->seen_count && result == 0; i++) {
        uint32_t number = listing->seen[i];
        const struct ledger_file *file = ledger_files_get(ledger, number);
        char name[SEGMENT_NAME_SIZE];
        if (number != listing->seen[i - 1]) {
            continue;
        }
        ensure(file != NULL);
        segment_name(number, true, name);
        result = remove_path(ledger, ledger_path(ledger, name), detail);
        if (result == 0 && file->packed) {
            thin_name(number, true, name);
            result = remove_path(ledger, ledger_path(ledger, name), detail);
        }
    }
    return result;
}

/* A name may have been renamed and not made durable before the last process ended. */
static int sync_folder(struct ledger *ledger, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_SYNC_DIR, .path = path};
    if (ledger_wait(ledger, &request) < 0) {
        return error_set(detail, (int)request.result, "flush %s: %s", path,
                         stoa_strerror((int)request.result));
    }
    return 0;
}

static int list_folder(struct ledger *ledger, const char *path, struct listing *listing,
                       struct error_detail *detail)
{
    int result = io_list(ledger->io, path, list_entry, listing);
    if (result < 0) {
        return error_set(detail, result, "list %s: %s", path, stoa_strerror(result));
    }
    return listing->failed ? error_set(detail, STOA_ENOMEM, "open the ledger: no memory") : 0;
}

static int find_files(struct ledger *ledger, struct error_detail *detail)
{
    struct listing listing = {0};
    bool archive = false;
    int result = list_folder(ledger, ledger->path, &listing, detail);
    if (result == 0 && ledger->archive != NULL) {
        result = list_folder(ledger, ledger->archive, &listing, detail);
        archive = result == 0;
        result = result == STOA_ENOTFOUND ? 0 : result;
    }
    if (result == 0 && listing.highest == 0) {
        result = error_set(detail, STOA_ENOTFOUND, "%s: there is no ledger", ledger->path);
    }
    for (uint32_t number = 1; number <= listing.highest && result == 0; number++) {
        result = add_file(ledger, number, detail);
    }
    if (result == 0) {
        result = sync_folder(ledger, ledger->path, detail);
    }
    if (result == 0 && archive) {
        result = sync_folder(ledger, ledger->archive, detail);
    }
    if (result == 0) {
        result = remove_unfinished(ledger, &listing, detail);
    }
    if (result == 0) {
        result = remove_others(ledger, &listing, detail);
    }
    memory_free(listing.unfinished);
    memory_free(listing.seen);
    return result;
}

static int make_buffers(struct ledger *ledger, struct error_detail *detail)
{
    for (int i = 0; i < 2; i++) {
        ledger->groups[i].buffer = memory_alloc_aligned(LEDGER_GROUP_CAPACITY, IO_ALIGNMENT);
        if (ledger->groups[i].buffer == NULL) {
            return error_set(detail, STOA_ENOMEM, "open the ledger: no memory for a group");
        }
        memset(ledger->groups[i].buffer, 0, LEDGER_GROUP_CAPACITY); /* touched once for all */
        (void)io_buffer_add(ledger->io, ledger->groups[i].buffer,
                            LEDGER_GROUP_CAPACITY); /* else it is written like any other */
    }
    size_t size = SEGMENT_ENTRIES_MAX * sizeof(struct segment_entry);
    ledger->segment.entries = memory_alloc(size);
    if (ledger->segment.entries == NULL) {
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory for an index");
    }
    memset(ledger->segment.entries, 0, size);
    return 0;
}

/* Recovered, and nothing under way yet. */
static int open_quiet(const struct ledger_options *options, uint64_t proven_sequence,
                      uint64_t keep_sequence, struct ledger **out_ledger,
                      struct ledger_recovery *out_recovery, struct error_detail *detail)
{
    struct ledger *ledger = NULL;
    int result = make_ledger(options, &ledger, detail);
    if (result < 0) {
        return result;
    }
    result = make_buffers(ledger, detail);
    if (result < 0) {
        goto fail;
    }
    result = find_files(ledger, detail);
    if (result < 0) {
        goto fail;
    }
    result = ledger_recover(ledger, proven_sequence, keep_sequence, out_recovery, detail);
    if (result < 0) {
        goto fail;
    }
    *out_ledger = ledger;
    return 0;
fail:
    ledger_abandon(ledger);
    return result;
}

int ledger_open(const struct ledger_options *options, uint64_t proven_sequence,
                struct ledger **out_ledger, struct ledger_recovery *out_recovery,
                struct error_detail *detail)
{
    uint64_t keep = options->keep_sequence == 0 ? UINT64_MAX : options->keep_sequence;
    int result = open_quiet(options, proven_sequence, keep, out_ledger, out_recovery, detail);
    if (result == 0) {
        ledger_spare_start(*out_ledger);
        ledger_commit_arm_mark(*out_ledger);
        ledger_files_open_ahead(*out_ledger);
    }
    return result;
}

int ledger_open_sealed(const struct ledger_options *options, uint32_t last,
                       struct ledger **out_ledger, struct error_detail *detail)
{
    struct ledger *ledger = NULL;
    int result = make_ledger(options, &ledger, detail);
    if (result < 0) {
        return result;
    }
    for (uint32_t number = 1; number <= last && result == 0; number++) {
        result = add_file(ledger, number, detail);
    }
    if (result < 0) {
        free_ledger(ledger);
        return result;
    }
    ledger->foreign = true;
    ledger->segment.number = last;
    ledger->segment.sealed = true;
    ledger->spare_last = last;
    ledger->durable_sequence = UINT64_MAX;
    ledger->stopped = true;
    ledger->stop_result = STOA_EREADONLY;
    *out_ledger = ledger;
    return 0;
}

/* ---- closing ---- */

/* Something of LEDGER's own is under way. */
static bool is_busy(const struct ledger *ledger)
{
    return ledger->in_flight || ledger->tick.pending || ledger->mark.pending ||
           ledger->spare.request.pending || ledger->reads_in_flight > 0 ||
           ledger_thin_is_busy(ledger) || ledger_pack_is_busy(ledger) ||
           ledger_files_are_opening(ledger);
}

/* Run the loop until nothing is under way. */
static int settle(struct ledger *ledger)
{
    (void)io_cancel(ledger->io, &ledger->mark); /* it may not be pending */
    if (ledger->spare.state == LEDGER_SPARE_RESTING) {
        (void)io_cancel(ledger->io, &ledger->spare.request); /* it is pending */
    }
    while (is_busy(ledger)) {
        int result = io_run(ledger->io, LEDGER_WAIT_NS);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int ledger_close(struct ledger *ledger, struct error_detail *detail)
{
    if (ledger == NULL) {
        return 0;
    }
    ensure(!ledger->closing);
    ensure(!ledger->in_callbacks);
    ledger->closing = true;
    ledger_commit_step(ledger);
    int result = settle(ledger);
    if (result < 0) {
        error_set(detail, result, "close the ledger: the loop has ended");
    } else {
        ledger_commit_fail_waiting(ledger, ledger->stopped ? STOA_ESTOPPED : STOA_ECLOSED);
        result = ledger_commit_finish(ledger, detail);
        ensure(ledger->pool.lent == 0);
    }
    free_ledger(ledger);
    return result;
}

static void own_files(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        ledger->files[i]->ledger = ledger;
    }
    for (struct ledger_file *file = ledger->retired; file != NULL; file = file->retired_next) {
        file->ledger = ledger;
    }
}

/* FRESH takes LEDGER's place, whose buffers stay, and what was counted; LEDGER's files go. */
static void replace(struct ledger *ledger, struct ledger *fresh)
{
    struct ledger old = *ledger;
    *ledger = *fresh;
    *fresh = old;
    fresh->pool = ledger->pool;
    ledger->pool = old.pool;
    fresh->thin = ledger->thin;
    ledger->thin = old.thin; /* its own files are open; it goes on with what is there now */
    fresh->pack = ledger->pack;
    ledger->pack = old.pack; /* likewise */
    ledger->use_tick = old.use_tick;
    ledger->workers = old.workers;
    ledger->stats.frame_bytes += old.stats.frame_bytes;
    ledger->stats.written_bytes += old.stats.written_bytes;
    ledger->stats.group_count += old.stats.group_count;
    ledger->stats.append_count += old.stats.append_count;
    ledger->stats.flush_ns_total += old.stats.flush_ns_total;
    own_files(ledger);
    own_files(fresh);
    free_ledger(fresh);
}

int ledger_reopen(struct ledger *ledger, struct ledger_recovery *out_recovery,
                  struct error_detail *detail)
{
    struct ledger_options options = {
        .io = ledger->io,
        .path = ledger->path,
        .archive = ledger->archive,
        .store_id = ledger->store_id,
        .segment_size = ledger->segment_size,
        .prepare = ledger->prepare,
        .mark_delay_ms = (unsigned)(ledger->mark_delay_ns / 1000000),
        .spare_count = ledger->spare_count,
    };
    struct ledger *fresh;
    ensure(ledger->stopped && !ledger->closing && !ledger->in_callbacks);
    ledger->closing = true; /* until nothing of it is under way */
    int result = settle(ledger);
    ledger->closing = false;
    if (result < 0) {
        return error_set(detail, result, "open the ledger again: the loop has ended");
    }
    result = open_quiet(&options, ledger->durable_sequence, ledger->durable_sequence, &fresh,
                        out_recovery, detail);
    if (result == 0) {
        replace(ledger, fresh);
        ledger_spare_start(ledger);
        ledger_commit_arm_mark(ledger);
    }
    return result;
}

void ledger_abandon(struct ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    ledger->closing = true;
    (void)settle(ledger); /* where the loop has ended, nothing comes any more */
    free_ledger(ledger);
}

/* ---- the rest ---- */

void ledger_set_workers(struct ledger *ledger, struct workers *workers)
{
    ensure(ledger->reads_in_flight == 0);
    ledger->workers = workers;
}

void ledger_packed_stats(const struct ledger *ledger, struct ledger_packed_stats *out_stats)
{
    *out_stats = (struct ledger_packed_stats){.segments = 0};
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        const struct ledger_file *file = ledger->files[i];
        if (file->packed) {
            out_stats->segments++;
            out_stats->bytes += file->disk_size;
            out_stats->saved += file->size > file->disk_size ? file->size - file->disk_size : 0;
        }
    }
}

void ledger_stats(const struct ledger *ledger, struct ledger_stats *out_stats)
{
    *out_stats = ledger->stats;
    out_stats->last_sequence = ledger->next_sequence - 1;
    out_stats->durable_sequence = ledger->durable_sequence;
    out_stats->stopped = ledger->stopped;
    out_stats->segment_size = ledger->segment_size;
    out_stats->tail_segment = ledger->segment.number;
    out_stats->tail_offset = ledger->segment.tail;
}

int ledger_get_end(const struct ledger *ledger, uint64_t keep, struct ledger_end *out_end)
{
    const struct ledger_segment *segment = &ledger->segment;
    ensure(keep <= ledger->durable_sequence);
    if (keep == 0 || segment->number == 0) {
        return STOA_EBUSY;
    }
    uint32_t count = segment->entry_count;
    while (count > 0 && segment->entries[count - 1].sequence > keep) {
        count--;
    }
    *out_end = (struct ledger_end){.segment = segment->number, .sequence = keep};
    if (count > 0) {
        const struct segment_entry *last = &segment->entries[count - 1];
        out_end->size = segment_align((uint64_t)last->offset + last->size);
        out_end->checksum = last->sequence == keep ? last->checksum : 0;
        out_end->offset = last->offset;
        return 0;
    }
    if (segment->number == 1) {
        return STOA_EBUSY;
    }
    out_end->segment--; /* sealed, and whole */
    out_end->size = ledger->files[out_end->segment - 1]->disk_size;
    return 0;
}

int ledger_stopped(const struct ledger *ledger, struct error_detail *detail)
{
    if (!ledger->stopped) {
        return 0;
    }
    int result = error_set(detail, STOA_ESTOPPED, "writing stopped when the ledger failed: %s",
                           ledger->stop_os_error != 0 ? strerror(ledger->stop_os_error)
                                                      : stoa_strerror(ledger->stop_result));
    if (detail != NULL) {
        detail->os_error = ledger->stop_os_error;
    }
    return result;
}

void ledger_set_prepare(struct ledger *ledger, enum ledger_prepare prepare)
{
    ledger->prepare = prepare;
}
