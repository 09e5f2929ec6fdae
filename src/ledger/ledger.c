/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/ledger.h"

#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

char *ledger_path(const struct ledger *ledger, const char *name)
{
    size_t size = strlen(ledger->path) + 1 + strlen(name) + 1;
    char *path = memory_alloc(size);
    if (path != NULL) {
        int length = snprintf(path, size, "%s/%s", ledger->path, name);
        ensure(length >= 0);
        ensure((size_t)length == size - 1);
    }
    return path;
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
    memory_free(ledger->path);
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
    if (ledger->path == NULL) {
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
    uint32_t seen;
    uint32_t unfinished[8]; /* .new files; never more than one in practice */
    unsigned unfinished_count;
    uint32_t unfinished_thin[8];
    unsigned unfinished_thin_count;
    uint32_t *thin; /* owned; in no order */
    uint32_t thin_count;
    uint32_t thin_capacity;
    bool failed; /* no memory */
};

static void list_thin(struct listing *listing, uint32_t number, bool finished)
{
    if (!finished) {
        if (listing->unfinished_thin_count < 8) {
            listing->unfinished_thin[listing->unfinished_thin_count++] = number;
        }
        return;
    }
    if (listing->thin_count == listing->thin_capacity) {
        uint32_t capacity = listing->thin_capacity == 0 ? 64 : 2 * listing->thin_capacity;
        uint32_t *thin = memory_resize(listing->thin, capacity * sizeof(*thin));
        if (thin == NULL) {
            listing->failed = true;
            return;
        }
        listing->thin = thin;
        listing->thin_capacity = capacity;
    }
    listing->thin[listing->thin_count++] = number;
    listing->highest = number > listing->highest ? number : listing->highest;
}

static void list_entry(void *context, const char *name)
{
    struct listing *listing = context;
    bool finished = false;
    uint32_t number = thin_parse_name(name, &finished);
    if (number != 0) {
        list_thin(listing, number, finished);
        return;
    }
    number = segment_parse_name(name, &finished);
    if (number == 0) {
        return;
    }
    if (finished) {
        listing->seen++;
        if (number > listing->highest) {
            listing->highest = number;
        }
    } else if (listing->unfinished_count < 8) {
        listing->unfinished[listing->unfinished_count++] = number;
    }
}

static bool is_thin(const struct listing *listing, uint32_t number)
{
    for (uint32_t i = 0; listing != NULL && i < listing->thin_count; i++) {
        if (listing->thin[i] == number) {
            return true;
        }
    }
    return false;
}

/* Size of FILE; where there is no listing it is looked for under both names. */
static int find_size(struct ledger *ledger, const struct listing *listing, struct ledger_file *file,
                     struct error_detail *detail)
{
    char name[SEGMENT_NAME_SIZE];
    int result = STOA_ENOTFOUND;
    file->thin = is_thin(listing, file->number);
    for (unsigned i = 0; i < 2 && result == STOA_ENOTFOUND; i++) {
        ledger_files_name(file, name);
        char *path = ledger_path(ledger, name);
        if (path == NULL) {
            return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
        }
        result = io_file_size(ledger->io, path, &file->size);
        memory_free(path);
        if (result == STOA_ENOTFOUND) {
            file->thin = !file->thin;
        }
    }
    if (result == STOA_ENOTFOUND) {
        file->thin = false;
        ledger_files_name(file, name);
        return error_set(detail, STOA_ECORRUPT, "%s: segment file %s is missing", ledger->path,
                         name);
    }
    if (result < 0) {
        return error_set(detail, result, "%s/%s: %s", ledger->path, name, stoa_strerror(result));
    }
    uint64_t least = file->thin ? 2 * SEGMENT_BLOCK : LEDGER_SEGMENT_SIZE_MIN;
    if (file->size % IO_ALIGNMENT != 0 || file->size < least ||
        file->size > 2 * (uint64_t)LEDGER_SEGMENT_SIZE_MAX ||
        (!file->thin && file->size > LEDGER_SEGMENT_SIZE_MAX)) {
        return error_set(detail, STOA_ECORRUPT, "%s/%s: %llu bytes: no segment is that long",
                         ledger->path, name, (unsigned long long)file->size);
    }
    return 0;
}

/* Take file NUMBER into the table. */
static int add_file(struct ledger *ledger, const struct listing *listing, uint32_t number,
                    struct error_detail *detail)
{
    struct ledger_file *file = NULL;
    if (ledger_files_reserve(ledger, number, &file) < 0) {
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    }
    int result = find_size(ledger, listing, file, detail);
    if (result < 0) {
        memory_free(file);
        return result;
    }
    ledger_files_add(ledger, file);
    ledger->stats.segment_bytes += file->size;
    ledger->stats.segment_count++;
    return 0;
}

static int remove_file(struct ledger *ledger, const char *name, struct error_detail *detail)
{
    char *path = ledger_path(ledger, name);
    if (path == NULL) {
        return error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    }
    struct io_request request = {.op = IO_UNLINK, .path = path};
    int64_t result = ledger_wait(ledger, &request);
    memory_free(path);
    return result == 0 || result == STOA_ENOTFOUND
               ? 0
               : error_set(detail, (int)result, "remove %s/%s: %s", ledger->path, name,
                           stoa_strerror((int)result));
}

/* Files that were being made when a process ended, and segments that were just thinned. */
static int remove_unfinished(struct ledger *ledger, const struct listing *listing,
                             struct error_detail *detail)
{
    char name[SEGMENT_NAME_SIZE];
    int result = 0;
    for (unsigned i = 0; i < listing->unfinished_count && result == 0; i++) {
        segment_name(listing->unfinished[i], false, name);
        result = remove_file(ledger, name, detail);
    }
    for (unsigned i = 0; i < listing->unfinished_thin_count && result == 0; i++) {
        thin_name(listing->unfinished_thin[i], false, name);
        result = remove_file(ledger, name, detail);
    }
    for (uint32_t i = 0; i < listing->thin_count && result == 0 && listing->seen != 0; i++) {
        uint64_t size;
        segment_name(listing->thin[i], true, name);
        char *path = ledger_path(ledger, name);
        bool both = path != NULL && io_file_size(ledger->io, path, &size) == 0;
        memory_free(path);
        result = both ? remove_file(ledger, name, detail) : 0;
    }
    return result;
}

static int find_files(struct ledger *ledger, struct error_detail *detail)
{
    struct listing listing = {0};
    int result = io_list(ledger->io, ledger->path, list_entry, &listing);
    if (result < 0) {
        error_set(detail, result, "list %s: %s", ledger->path, stoa_strerror(result));
    } else if (listing.failed) {
        result = error_set(detail, STOA_ENOMEM, "open the ledger: no memory");
    } else if (listing.highest == 0) {
        result = error_set(detail, STOA_ENOTFOUND, "%s: there is no ledger", ledger->path);
    }
    for (uint32_t number = 1; number <= listing.highest && result == 0; number++) {
        result = add_file(ledger, &listing, number, detail);
    }
    /* A name may have been renamed and not made durable before the last process ended. */
    struct io_request request = {.op = IO_SYNC_DIR, .path = ledger->path};
    if (result == 0 && ledger_wait(ledger, &request) < 0) {
        result = error_set(detail, (int)request.result, "flush %s: %s", ledger->path,
                           stoa_strerror((int)request.result));
    }
    if (result == 0) {
        result = remove_unfinished(ledger, &listing, detail);
    }
    memory_free(listing.thin);
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
        result = add_file(ledger, NULL, number, detail);
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
           ledger_thin_is_busy(ledger) || ledger_files_are_opening(ledger);
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
    ledger->use_tick = old.use_tick;
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
    out_end->size = ledger->files[out_end->segment - 1]->size;
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
