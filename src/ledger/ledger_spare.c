/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The next segments, made ready in the background: NNNNNNNN.new is created, its blocks reserved (so
 * that a full disk is met at once), zeros written in bounded chunks one at a time (unless blocks
 * are to be reserved only), flushed, renamed to .seg, and the directory flushed. A .seg that is not
 * in use is therefore always whole and zero. A leftover .new means nothing and is removed at
 * open.
 *
 * Zeros that are written beside a group are flushed with it, and cost it more than its own bytes
 * do. So they are written while no groups are: as long as a spare is ready, the next one rests
 * until the ledger is quiet. Where none is ready it is made at the pace at which the segment in use
 * fills, each step right after a group has ended, while whoever waited for that group thinks; and
 * where appends wait for it, as fast as it goes. A stock of spares thus takes in a burst of as many
 * bytes without a zero written. Beside reads of a quiet ledger a step is taken now and then: who
 * asks a store that was just opened would wait for zeros otherwise. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

static void advance(struct io_request *request);

bool ledger_spare_is_ready(const struct ledger *ledger)
{
    return ledger->spare_last > ledger->segment.number;
}

static void submit(struct ledger *ledger, enum ledger_spare_state state, struct io_request request)
{
    struct ledger_spare *spare = &ledger->spare;
    ensure(!spare->request.pending);
    spare->state = state;
    request.file = spare->file;
    request.done = advance;
    request.context = ledger;
    spare->request = request;
    io_submit(ledger->io, &spare->request);
}

/* No groups are written, nor were a moment ago. */
static bool is_quiet(const struct ledger *ledger)
{
    return !ledger->in_flight && ledger->waiting_first == NULL &&
           ledger->groups[ledger->filling].size == 0 &&
           io_now_ns(ledger->io) - ledger->write_ended_ns >= LEDGER_SPARE_QUIET_NS;
}

/* Frames are read, and a step was taken a moment ago. */
static bool is_read(const struct ledger *ledger)
{
    uint64_t now = io_now_ns(ledger->io);
    return ledger->read_ns != 0 && now - ledger->read_ns < LEDGER_SPARE_READ_NS &&
           now - ledger->spare.stepped_ns < LEDGER_SPARE_READ_NS;
}

/* How much of the spare should be written by now: a little more of it than is used of the segment
 * in use, so that it is done well before its end. */
static uint64_t pace(const struct ledger *ledger)
{
    const struct ledger_segment *segment = &ledger->segment;
    double used = (double)segment->tail / (double)segment->size;
    return (uint64_t)((double)ledger->spare.size * used * 1.2) + LEDGER_SPARE_CHUNK;
}

/* Whether the next step is to be taken now. */
static bool is_due(const struct ledger *ledger)
{
    if (ledger->need_roll || ledger->segment.number == 0 || ledger->segment.sealed ||
        ledger->closing) {
        return true;
    }
    if (is_quiet(ledger) && !is_read(ledger)) {
        return true;
    }
    const struct ledger_spare *spare = &ledger->spare;
    return !ledger_spare_is_ready(ledger) &&
           (spare->written < pace(ledger) || spare->written == spare->size);
}

static void rest(struct ledger *ledger)
{
    submit(ledger, LEDGER_SPARE_RESTING,
           (struct io_request){
               .op = IO_TIMER,
               .deadline_ns = io_now_ns(ledger->io) + LEDGER_SPARE_QUIET_NS,
           });
}

static void forget_paths(struct ledger_spare *spare)
{
    memory_free(spare->path_new);
    memory_free(spare->path_seg);
    spare->path_new = NULL;
    spare->path_seg = NULL;
}

/* The attempt is over; what waits for it goes on, or fails. */
static void end_attempt(struct ledger *ledger)
{
    struct ledger_spare *spare = &ledger->spare;
    spare->state = LEDGER_SPARE_IDLE;
    forget_paths(spare);
    if (spare->result == 0) {
        ensure(spare->number == ledger->spare_last + 1);
        spare->entry->file = spare->file;
        spare->entry->state = LEDGER_FILE_OPEN;
        spare->entry->users = 1;
        spare->entry->size = spare->size;
        spare->entry->disk_size = spare->size;
        ledger->open_count++;
        ledger_files_add(ledger, spare->entry);
        spare->entry = NULL;
        ledger->spare_last = spare->number;
        ledger->stats.segment_bytes += spare->size;
        ledger->stats.segment_count++;
    } else {
        memory_free(spare->entry);
        spare->entry = NULL;
        spare->failed_at_ns = io_now_ns(ledger->io);
        if (spare->result != STOA_ENOSPACE && spare->result != STOA_ENOMEM && !ledger->closing) {
            ledger_commit_stop(ledger, spare->result, spare->os_error);
        }
    }
    spare->file = -1;
    if (ledger->closing) {
        return;
    }
    ledger_commit_step(ledger);
    if (spare->result == 0) {
        ledger_spare_start(ledger); /* the next of the stock */
    }
}

/* Remove what the failed attempt left. */
static void clean_up(struct ledger *ledger)
{
    struct ledger_spare *spare = &ledger->spare;
    if (spare->file >= 0) {
        submit(ledger, LEDGER_SPARE_CLOSING, (struct io_request){.op = IO_CLOSE});
        return;
    }
    submit(ledger, LEDGER_SPARE_UNLINKING,
           (struct io_request){.op = IO_UNLINK, .path = spare->path_new});
}

static void write_chunk(struct ledger *ledger)
{
    struct ledger_spare *spare = &ledger->spare;
    uint64_t size = spare->size - spare->written;
    if (!is_due(ledger)) {
        rest(ledger);
        return;
    }
    spare->stepped_ns = io_now_ns(ledger->io);
    if (size == 0 || spare->prepare == LEDGER_ALLOCATE) {
        submit(ledger, LEDGER_SPARE_SYNCING, (struct io_request){.op = IO_SYNC});
        return;
    }
    submit(ledger, LEDGER_SPARE_WRITING,
           (struct io_request){
               .op = IO_WRITE,
               .data = spare->zeros,
               .size = size < LEDGER_SPARE_CHUNK ? size : LEDGER_SPARE_CHUNK,
               .offset = spare->written,
           });
}

static void create(struct ledger *ledger)
{
    submit(ledger, LEDGER_SPARE_OPENING,
           (struct io_request){
               .op = IO_OPEN,
               .path = ledger->spare.path_new,
               .flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE | IO_OPEN_DIRECT,
           });
}

static void advance_good(struct ledger *ledger)
{
    struct ledger_spare *spare = &ledger->spare;
    struct io_request *request = &spare->request;
    switch (spare->state) {
    case LEDGER_SPARE_RESTING:
        if (spare->file >= 0) {
            write_chunk(ledger);
        } else if (is_due(ledger)) {
            create(ledger);
        } else {
            rest(ledger);
        }
        break;
    case LEDGER_SPARE_OPENING:
        spare->file = (int)request->result;
        submit(ledger, LEDGER_SPARE_ALLOCATING,
               (struct io_request){.op = IO_ALLOCATE, .size = spare->size});
        break;
    case LEDGER_SPARE_ALLOCATING:
        write_chunk(ledger);
        break;
    case LEDGER_SPARE_WRITING:
        spare->written += request->size;
        ledger->stats.written_bytes += request->size;
        write_chunk(ledger);
        break;
    case LEDGER_SPARE_SYNCING:
        submit(ledger, LEDGER_SPARE_RENAMING,
               (struct io_request){
                   .op = IO_RENAME, .path = spare->path_new, .path_to = spare->path_seg});
        break;
    case LEDGER_SPARE_RENAMING:
        submit(ledger, LEDGER_SPARE_SYNCING_DIRECTORY,
               (struct io_request){.op = IO_SYNC_DIR, .path = ledger->path});
        break;
    case LEDGER_SPARE_SYNCING_DIRECTORY:
        end_attempt(ledger);
        break;
    case LEDGER_SPARE_IDLE:
    case LEDGER_SPARE_CLOSING:
    case LEDGER_SPARE_UNLINKING:
    case LEDGER_SPARE_FAILING:
        ensure(false);
    }
}

static void advance(struct io_request *request)
{
    struct ledger *ledger = request->context;
    struct ledger_spare *spare = &ledger->spare;
    if (spare->state == LEDGER_SPARE_CLOSING) {
        spare->file = -1;
        clean_up(ledger);
        return;
    }
    if (spare->state == LEDGER_SPARE_UNLINKING || spare->state == LEDGER_SPARE_FAILING) {
        end_attempt(ledger);
        return;
    }
    if (spare->state == LEDGER_SPARE_ALLOCATING && request->result == STOA_ENOTSUP) {
        /* Zeros are written then, also where reserving would have been enough. */
        spare->prepare = LEDGER_PREWRITE;
        write_chunk(ledger);
        return;
    }
    if (request->result < 0 && spare->state != LEDGER_SPARE_RESTING) {
        spare->result = (int)request->result;
        spare->os_error = request->os_error;
        clean_up(ledger);
        return;
    }
    if (ledger->closing) {
        spare->result = STOA_ECANCELED;
        if (spare->state == LEDGER_SPARE_OPENING) {
            spare->file = (int)request->result;
        }
        if (spare->state != LEDGER_SPARE_RENAMING &&
            spare->state != LEDGER_SPARE_SYNCING_DIRECTORY) {
            clean_up(ledger);
            return;
        }
        spare->result = 0;
    }
    advance_good(ledger);
}

/* Whether one more than the first may be kept: not where the disk is getting full. */
static bool has_plenty_of_space(struct ledger *ledger)
{
    uint64_t free_bytes;
    uint64_t total;
    return io_space(ledger->io, ledger->path, &free_bytes, &total) == 0 &&
           free_bytes / LEDGER_SPARE_SPACE_FACTOR >= ledger->segment_size;
}

static bool has_enough(struct ledger *ledger)
{
    uint32_t ready = ledger->spare_last - ledger->segment.number;
    return ready >= 1 && (ready >= ledger->spare_count || ledger->prepare == LEDGER_ALLOCATE ||
                          !has_plenty_of_space(ledger));
}

/* Go on with a spare that rests. */
static void wake(struct ledger *ledger)
{
    if (ledger->spare.state == LEDGER_SPARE_RESTING) {
        (void)io_cancel(ledger->io, &ledger->spare.request); /* it ends in any case */
    }
}

void ledger_spare_pace(struct ledger *ledger)
{
    uint64_t now = io_now_ns(ledger->io);
    if (ledger->spare.state == LEDGER_SPARE_IDLE) {
        if (now - ledger->spare.failed_at_ns >= LEDGER_SPARE_RETRY_NS) {
            ledger_spare_start(ledger);
        }
    } else if (is_due(ledger)) {
        wake(ledger);
    }
}

void ledger_spare_start(struct ledger *ledger)
{
    struct ledger_spare *spare = &ledger->spare;
    if (ledger->closing || ledger->stopped) {
        return;
    }
    if (spare->state == LEDGER_SPARE_RESTING && is_due(ledger)) {
        wake(ledger);
    }
    if (spare->state != LEDGER_SPARE_IDLE || has_enough(ledger)) {
        return;
    }
    spare->number = ledger->spare_last + 1;
    spare->size = ledger->segment_size;
    spare->prepare = ledger->prepare;
    spare->written = 0;
    spare->result = 0;
    spare->os_error = 0;
    spare->file = -1;
    char name[SEGMENT_NAME_SIZE];
    segment_name(spare->number, false, name);
    spare->path_new = ledger_path(ledger, name);
    segment_name(spare->number, true, name);
    spare->path_seg = ledger_path(ledger, name);
    if (spare->zeros == NULL) {
        spare->zeros = memory_alloc_aligned(LEDGER_SPARE_CHUNK, IO_ALIGNMENT);
        if (spare->zeros != NULL) {
            memset(spare->zeros, 0, LEDGER_SPARE_CHUNK);
            (void)io_buffer_add(ledger->io, spare->zeros, LEDGER_SPARE_CHUNK); /* as the groups */
        }
    }
    int result = ledger_files_reserve(ledger, spare->number, &spare->entry);
    if (result < 0 || spare->path_new == NULL || spare->path_seg == NULL || spare->zeros == NULL) {
        /* Ends from the loop, as every attempt does. */
        spare->result = STOA_ENOMEM;
        submit(ledger, LEDGER_SPARE_FAILING, (struct io_request){.op = IO_TIMER});
        return;
    }
    if (ledger_spare_is_ready(ledger) && !is_quiet(ledger)) {
        rest(ledger);
    } else {
        create(ledger);
    }
}

int ledger_spare_wait(struct ledger *ledger, struct error_detail *detail)
{
    struct ledger_spare *spare = &ledger->spare;
    while (spare->state != LEDGER_SPARE_IDLE) {
        int result = io_run(ledger->io, LEDGER_WAIT_NS);
        if (result < 0) {
            return error_set(detail, result, "make a segment: the loop has ended");
        }
    }
    if (spare->result == 0) {
        return 0;
    }
    if (spare->os_error != 0) {
        error_set_errno(detail, spare->os_error, "make segment %08u in %s", spare->number,
                        ledger->path);
        return spare->result;
    }
    return error_set(detail, spare->result, "make segment %08u in %s: %s", spare->number,
                     ledger->path, stoa_strerror(spare->result));
}

void ledger_spare_deinit(struct ledger *ledger)
{
    struct ledger_spare *spare = &ledger->spare;
    if (spare->zeros != NULL) {
        io_buffer_remove(ledger->io, spare->zeros);
    }
    memory_free(spare->zeros);
    spare->zeros = NULL;
    memory_free(spare->entry);
    spare->entry = NULL;
    forget_paths(spare);
}
