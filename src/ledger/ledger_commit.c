/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Appends, groups, marks and the roll to the next segment.
 *
 * An append is laid out in the filling group at once where it fits: header, payload, checksums, its
 * place and sequence are then settled. Otherwise it waits in a list. What comes in one turn of the
 * loop goes together: the first append of an idle ledger only arms a tick. Then
 *
 *      step → write the filling group → written → step (next group) → callbacks, in order
 *      step → the first waiting frame does not fit the segment: roll
 *             seal written → trailer written → take the spare → head frame in the filling group
 *
 * Only one write is ever in flight. So when one fails, all that was laid out after it is given up
 * together with it, and nothing that was acknowledged is concerned.
 *
 * No spare: where none is being made an attempt begins, and the appends wait for its end. If it
 * fails for lack of space they fail, and sequence and chain are as before: nothing of them was laid
 * out. Any other failure stops the ledger. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

static struct ledger_group *filling_group(struct ledger *ledger)
{
    return &ledger->groups[ledger->filling];
}

static uint8_t *group_data(const struct ledger_group *group)
{
    return group->temporary != NULL ? group->temporary : group->buffer;
}

static void list_push(struct ledger_append **first, struct ledger_append **last,
                      struct ledger_append *append)
{
    append->next = NULL;
    if (*last == NULL) {
        *first = append;
    } else {
        (*last)->next = append;
    }
    *last = append;
}

/* Run done of a list in order. Callers may append again meanwhile. */
static void end_list(struct ledger_append *first)
{
    while (first != NULL) {
        struct ledger_append *append = first;
        first = append->next;
        append->next = NULL;
        append->done(append);
    }
}

static void reset_group(struct ledger_group *group)
{
    memory_free(group->temporary);
    group->temporary = NULL;
    group->size = 0;
    group->frame_bytes = 0;
    group->ends_in_mark = false;
    group->first = NULL;
    group->last = NULL;
}

/* ---- laying out ---- */

/* Whether a frame of SIZE bytes fits behind what is laid out, with room left for the seal over it
 * and MARKS further marks, and for the trailer. */
static bool fits_segment(const struct ledger *ledger, const struct ledger_group *group,
                         uint64_t size, uint32_t marks)
{
    const struct ledger_segment *segment = &ledger->segment;
    if (segment->number == 0 || segment->sealed) {
        return false;
    }
    uint64_t start = group->size == 0 ? segment->tail : group->offset + frame_align(group->size);
    uint64_t entries = (uint64_t)segment->entry_count + 1 + marks;
    if (entries > SEGMENT_ENTRIES_MAX) {
        return false;
    }
    uint64_t seal = segment_align(FRAME_HEADER_SIZE + segment_seal_size((uint32_t)entries));
    return segment_align(start + size) + (uint64_t)marks * SEGMENT_BLOCK + seal + SEGMENT_BLOCK <=
           segment->size;
}

/* Place for a frame of SIZE bytes in GROUP; its padding before is zeroed. */
static uint8_t *place_frame(struct ledger *ledger, struct ledger_group *group, uint64_t size)
{
    uint8_t *data = group_data(group);
    if (group->size == 0) {
        group->offset = ledger->segment.tail;
        group->first_sequence = ledger->next_sequence;
        group->chain_before = ledger->chain;
        group->entries_before = ledger->segment.entry_count;
        group->ends_in_mark = false;
        group->frame_bytes = 0;
    }
    size_t start = frame_align(group->size);
    memset(data + group->size, 0, start - group->size);
    group->size = start + size;
    group->frame_bytes += size;
    return data + start;
}

/* Encode the frame whose payload was put behind FRAME, and take it into chain and index. */
static void settle_frame(struct ledger *ledger, const struct ledger_group *group, uint8_t *frame,
                         struct frame_header *header)
{
    header->sequence = ledger->next_sequence++;
    header->group = group->first_sequence;
    header->previous = ledger->chain;
    frame_encode(frame, header, ledger->store_id);
    ledger->chain = header->checksum;
    struct ledger_segment *segment = &ledger->segment;
    ensure(segment->entry_count < SEGMENT_ENTRIES_MAX);
    segment->entries[segment->entry_count++] = (struct segment_entry){
        .offset = (uint32_t)(group->offset + (uint64_t)(frame - group_data(group))),
        .size = frame_size(header),
        .sequence = header->sequence,
        .height = header->height,
        .checksum = header->checksum,
        .kind = header->kind,
        .count = 1,
    };
}

static void lay_own_frame(struct ledger *ledger, enum ledger_kind kind, const uint8_t *payload,
                          uint32_t length)
{
    struct ledger_group *group = filling_group(ledger);
    uint8_t *frame = place_frame(ledger, group, FRAME_HEADER_SIZE + (uint64_t)length);
    memcpy(frame + FRAME_HEADER_SIZE, payload, length);
    struct frame_header header = {.kind = (uint8_t)kind, .length = length};
    settle_frame(ledger, group, frame, &header);
    group->ends_in_mark = kind == LEDGER_MARK;
}

static uint64_t append_size(const struct ledger_append *append)
{
    uint64_t size = FRAME_HEADER_SIZE;
    for (unsigned i = 0; i < append->part_count; i++) {
        size += append->parts[i].size;
    }
    return size;
}

static void lay_append(struct ledger *ledger, struct ledger_append *append, uint64_t size)
{
    struct ledger_group *group = filling_group(ledger);
    uint8_t *frame = place_frame(ledger, group, size);
    uint8_t *at = frame + FRAME_HEADER_SIZE;
    for (unsigned i = 0; i < append->part_count; i++) {
        if (append->parts[i].size > 0) {
            memcpy(at, append->parts[i].data, append->parts[i].size);
            at += append->parts[i].size;
        }
    }
    struct frame_header header = {
        .kind = (uint8_t)append->kind,
        .length = (uint32_t)(size - FRAME_HEADER_SIZE),
        .height = append->height,
    };
    settle_frame(ledger, group, frame, &header);
    group->ends_in_mark = false;
    append->result = 0;
    append->position = (struct ledger_position){
        .segment = ledger->segment.number,
        .offset = (uint32_t)(group->offset + (uint64_t)(frame - group_data(group))),
        .size = (uint32_t)size,
        .sequence = header.sequence,
    };
}

uint64_t ledger_payload_max(const struct ledger *ledger)
{
    uint64_t fits = segment_frame_max(ledger->segment_size) - FRAME_HEADER_SIZE;
    return fits < LEDGER_FRAME_PAYLOAD_MAX ? fits : LEDGER_FRAME_PAYLOAD_MAX;
}

/* Try to lay out APPEND in the filling group. False: it must wait for the group or the segment. */
static bool take_append(struct ledger *ledger, struct ledger_append *append)
{
    struct ledger_group *group = filling_group(ledger);
    uint64_t size = append_size(append);
    if (size - FRAME_HEADER_SIZE > ledger_payload_max(ledger)) {
        append->result = STOA_ETOOBIG;
        list_push(&group->first, &group->last, append);
        return true;
    }
    if (!fits_segment(ledger, group, size, 2)) {
        ledger->need_roll = true;
        return false;
    }
    if (segment_align(frame_align(group->size) + size) > LEDGER_GROUP_CAPACITY) {
        if (group->size > 0) {
            return false;
        }
        ensure(group->temporary == NULL);
        group->temporary = memory_alloc_aligned(segment_align(size), IO_ALIGNMENT);
        if (group->temporary == NULL) {
            append->result = STOA_ENOMEM;
            list_push(&group->first, &group->last, append);
            return true;
        }
    }
    lay_append(ledger, append, size);
    list_push(&group->first, &group->last, append);
    return true;
}

/* Lay out what waits, as far as it fits. */
static void take_waiting(struct ledger *ledger)
{
    ledger->need_roll = false;
    while (ledger->waiting_first != NULL) {
        struct ledger_append *append = ledger->waiting_first;
        struct ledger_append *next = append->next;
        if (filling_group(ledger)->temporary != NULL || !take_append(ledger, append)) {
            return;
        }
        ledger->waiting_first = next;
        if (next == NULL) {
            ledger->waiting_last = NULL;
        }
    }
}

/* Undo what was laid out in the filling group; its appends are handed back as a list. */
static struct ledger_append *give_up_filling(struct ledger *ledger)
{
    struct ledger_group *group = filling_group(ledger);
    struct ledger_append *first = group->first;
    if (group->size > 0) {
        ledger->next_sequence = group->first_sequence;
        ledger->chain = group->chain_before;
        ledger->segment.entry_count = group->entries_before;
    }
    reset_group(group);
    return first;
}

/* ---- ending appends without writing them ---- */

static void fail_list(struct ledger_append *first, int result)
{
    for (struct ledger_append *append = first; append != NULL; append = append->next) {
        if (append->result == 0) {
            append->result = result;
        }
    }
    end_list(first);
}

void ledger_commit_fail_waiting(struct ledger *ledger, int result)
{
    struct ledger_append *laid_out = give_up_filling(ledger);
    struct ledger_append *waiting = ledger->waiting_first;
    ledger->waiting_first = NULL;
    ledger->waiting_last = NULL;
    ledger->need_roll = false;
    fail_list(laid_out, result);
    fail_list(waiting, result);
}

void ledger_commit_stop(struct ledger *ledger, int result, int os_error)
{
    ensure(result < 0);
    if (!ledger->stopped) {
        ledger->stopped = true;
        ledger->stop_result = result;
        ledger->stop_os_error = os_error;
    }
}

/* ---- writing ---- */

static void write_out(struct ledger *ledger, const uint8_t *data, size_t size, uint64_t offset,
                      void (*done)(struct io_request *request))
{
    ensure(!ledger->in_flight);
    ensure(size % SEGMENT_BLOCK == 0);
    ensure(offset % SEGMENT_BLOCK == 0);
    ensure(offset + size <= ledger->segment.size);
    ledger->in_flight = true;
    ledger->write_started_ns = io_now_ns(ledger->io);
    union {
        const uint8_t *from;
        void *data;
    } view = {.from = data}; /* a write does not change its data */
    ledger->write = (struct io_request){
        .op = IO_WRITE,
        .flags = IO_WRITE_DURABLE,
        .file = ledger->segment.file->file,
        .data = view.data,
        .size = size,
        .offset = offset,
        .done = done,
        .context = ledger,
    };
    io_submit(ledger->io, &ledger->write);
}

/* Account for the write that ended; stop where it failed. */
static bool write_ended(struct ledger *ledger)
{
    ensure(ledger->in_flight);
    ledger->in_flight = false;
    ledger->write_ended_ns = io_now_ns(ledger->io);
    uint64_t took = ledger->write_ended_ns - ledger->write_started_ns;
    ledger->stats.flush_ns_total += took;
    metrics_record(ledger->io->metrics, METRICS_COMMIT_TIME, took);
    if (ledger->write.result < 0) {
        metrics_count(ledger->io->metrics, METRICS_COMMIT_ERRORS, 1);
        ledger_commit_stop(ledger, (int)ledger->write.result, ledger->write.os_error);
        return false;
    }
    ledger->stats.written_bytes += ledger->write.size;
    return !ledger->stopped;
}

static void group_written(struct io_request *request);

static void write_group(struct ledger *ledger)
{
    struct ledger_group *group = filling_group(ledger);
    ensure(group->size > 0);
    size_t size = segment_align(group->size);
    memset(group_data(group) + group->size, 0, size - group->size);
    ledger->segment.tail = group->offset + size;
    ledger->filling = 1 - ledger->filling;
    ensure(filling_group(ledger)->first == NULL);
    ensure(filling_group(ledger)->size == 0);
    ledger->clean = false;
    write_out(ledger, group_data(group), size, group->offset, group_written);
}

static void count_group(struct metrics *metrics, const struct ledger_group *group, uint64_t frames)
{
    metrics_count(metrics, METRICS_GROUPS, 1);
    metrics_count(metrics, METRICS_APPENDS, frames);
    metrics_count(metrics, METRICS_FRAME_BYTES, group->frame_bytes);
    metrics_record(metrics, METRICS_GROUP_BYTES, group->size);
    metrics_record(metrics, METRICS_GROUP_FRAMES, frames);
}

static void group_written(struct io_request *request)
{
    struct ledger *ledger = request->context;
    struct ledger_group *group = &ledger->groups[1 - ledger->filling];
    bool written = write_ended(ledger);
    struct ledger_append *first = group->first;
    if (written) {
        const struct ledger_segment *segment = &ledger->segment;
        uint64_t next = filling_group(ledger)->size > 0 ? filling_group(ledger)->first_sequence
                                                        : ledger->next_sequence;
        ensure(segment->entry_count > 0);
        ensure(next > group->first_sequence);
        ledger->durable_sequence = next - 1;
        ledger->stats.group_count++;
        ledger->stats.frame_bytes += group->frame_bytes;
        count_group(ledger->io->metrics, group, next - group->first_sequence);
        ledger->proven = group->ends_in_mark;
    }
    reset_group(group);
    if (!written) {
        fail_list(first, STOA_ESTOPPED);
        ledger_commit_step(ledger);
        return;
    }
    /* The next group is on its way before callbacks take time. */
    if (!ledger->closing) {
        take_waiting(ledger);
    }
    if (filling_group(ledger)->size > 0) {
        write_group(ledger);
    }
    for (struct ledger_append *append = first; append != NULL; append = append->next) {
        if (append->result == 0) {
            ledger->stats.append_count++;
        }
    }
    ledger->in_callbacks = true; /* what they append goes together, right after them */
    end_list(first);
    ledger->in_callbacks = false;
    ledger_commit_step(ledger);
    uint64_t now = io_now_ns(ledger->io);
    ledger->mark_due_ns = now + ledger->mark_delay_ns;
    ledger_commit_arm_mark(ledger);
    ledger_spare_pace(ledger);
}

/* ---- rolling ---- */

static void take_spare(struct ledger *ledger)
{
    struct ledger_segment *segment = &ledger->segment;
    ensure(ledger_spare_is_ready(ledger));
    ensure(filling_group(ledger)->size == 0);
    if (segment->file != NULL) {
        ledger_files_drop(segment->file);
    }
    segment->number++;
    segment->file = ledger_files_get(ledger, segment->number);
    ensure(segment->file != NULL);
    ensure(segment->file->state == LEDGER_FILE_OPEN);
    segment->size = segment->file->size;
    segment->tail = 0;
    segment->sealed = false;
    segment->entry_count = 0;
    struct segment_head head = {
        .format_version = SEGMENT_FORMAT_VERSION,
        .number = segment->number,
        .store_id = ledger->store_id,
        .first_sequence = ledger->next_sequence,
        .previous = ledger->chain,
        .size = (uint32_t)segment->size,
    };
    uint8_t payload[SEGMENT_HEAD_SIZE];
    segment_encode_head(payload, &head);
    lay_own_frame(ledger, LEDGER_SEGMENT, payload, sizeof(payload));
    ledger_spare_start(ledger);
}

static void trailer_written(struct io_request *request)
{
    struct ledger *ledger = request->context;
    if (write_ended(ledger)) {
        ledger->segment.sealed = true;
    }
    ledger_commit_step(ledger);
}

static void seal_written(struct io_request *request)
{
    struct ledger *ledger = request->context;
    if (!write_ended(ledger)) {
        ledger_commit_step(ledger);
        return;
    }
    struct ledger_segment *segment = &ledger->segment;
    ledger->durable_sequence = ledger->next_sequence - 1;
    ledger->stats.group_count++;
    ledger->proven = true;
    struct ledger_group *group = filling_group(ledger);
    uint8_t *data = group->buffer;
    struct frame_header header;
    enum frame_status status = frame_decode(data, ledger->store_id, &header);
    ensure(status == FRAME_GOOD);
    struct segment_trailer trailer = {
        .number = segment->number,
        .seal_offset = (uint32_t)(segment->tail - segment_align(frame_size(&header))),
        .seal_size = frame_size(&header),
        .seal_sequence = header.sequence,
        .seal_checksum = header.checksum,
    };
    segment_encode_trailer(data, &trailer, ledger->store_id);
    write_out(ledger, data, SEGMENT_BLOCK, segment->size - SEGMENT_BLOCK, trailer_written);
}

/* The filling group's buffer is free: seal and trailer borrow it. */
static void write_seal(struct ledger *ledger)
{
    struct ledger_group *group = filling_group(ledger);
    struct ledger_segment *segment = &ledger->segment;
    ensure(group->size == 0);
    ensure(group->temporary == NULL);
    ensure(segment->entry_count > 0);
    uint64_t length = segment_seal_size(segment->entry_count);
    size_t size = segment_align(FRAME_HEADER_SIZE + length);
    ensure(size <= LEDGER_GROUP_CAPACITY);
    ensure(segment->tail + size + SEGMENT_BLOCK <= segment->size);
    memset(group->buffer, 0, size);
    segment_encode_seal(group->buffer + FRAME_HEADER_SIZE, segment->number, segment->entries,
                        segment->entry_count);
    struct frame_header header = {
        .kind = LEDGER_SEAL,
        .length = (uint32_t)length,
        .sequence = ledger->next_sequence,
        .group = ledger->next_sequence,
        .previous = ledger->chain,
    };
    frame_encode(group->buffer, &header, ledger->store_id);
    ledger->next_sequence++;
    ledger->chain = header.checksum;
    uint64_t offset = segment->tail;
    segment->tail += size;
    ledger->clean = false;
    write_out(ledger, group->buffer, size, offset, seal_written);
}

static void roll(struct ledger *ledger)
{
    ensure(ledger->waiting_first != NULL);
    if (!ledger_spare_is_ready(ledger)) {
        if (ledger->spare.state == LEDGER_SPARE_IDLE && ledger->roll_attempted) {
            ledger->roll_attempted = false;
            ledger_commit_fail_waiting(ledger, ledger->spare.result);
            return;
        }
        ledger->roll_attempted = true; /* the attempt under way, or a new one, decides */
        ledger_spare_start(ledger);
        return;
    }
    ledger->roll_attempted = false;
    if (ledger->segment.number == 0 || ledger->segment.sealed) {
        take_spare(ledger);
        ledger_commit_step(ledger);
        return;
    }
    write_seal(ledger);
}

void ledger_commit_step(struct ledger *ledger)
{
    if (ledger->in_flight) {
        return;
    }
    if (ledger->stopped) {
        ledger_commit_fail_waiting(ledger, STOA_ESTOPPED);
        return;
    }
    if (!ledger->closing) {
        take_waiting(ledger);
    }
    struct ledger_group *group = filling_group(ledger);
    if (group->size > 0) {
        write_group(ledger);
        return;
    }
    if (group->first != NULL) { /* only such as are not to be written */
        struct ledger_append *first = group->first;
        reset_group(group);
        end_list(first);
    }
    if (ledger->need_roll && !ledger->closing) {
        roll(ledger);
    }
}

static void tick_done(struct io_request *request)
{
    struct ledger *ledger = request->context;
    ledger_commit_step(ledger);
}

void ledger_append(struct ledger *ledger, struct ledger_append *append)
{
    ensure(ledger_kind_is_store((uint8_t)append->kind));
    ensure(append->part_count <= LEDGER_PARTS_MAX);
    ensure(append->done != NULL);
    ensure(!ledger->closing);
    append->result = 0;
    bool can_take = ledger->waiting_first == NULL && !ledger->stopped &&
                    filling_group(ledger)->temporary == NULL;
    if (!can_take || !take_append(ledger, append)) {
        list_push(&ledger->waiting_first, &ledger->waiting_last, append);
    }
    if (ledger->in_flight || ledger->in_callbacks || ledger->tick.pending) {
        return;
    }
    ledger->tick = (struct io_request){
        .op = IO_TIMER,
        .deadline_ns = 0,
        .done = tick_done,
        .context = ledger,
    };
    io_submit(ledger->io, &ledger->tick);
}

/* ---- marks ---- */

static bool lay_mark(struct ledger *ledger, bool clean)
{
    struct ledger_group *group = filling_group(ledger);
    ensure(group->size == 0);
    if (!fits_segment(ledger, group, FRAME_HEADER_SIZE + SEGMENT_MARK_SIZE, 0)) {
        return false;
    }
    uint8_t payload[SEGMENT_MARK_SIZE];
    segment_encode_mark(payload, clean);
    lay_own_frame(ledger, LEDGER_MARK, payload, sizeof(payload));
    return true;
}

static void mark_due(struct io_request *request)
{
    struct ledger *ledger = request->context;
    if (request->result < 0 || ledger->closing || ledger->stopped || ledger->proven) {
        return;
    }
    bool idle = !ledger->in_flight && ledger->waiting_first == NULL &&
                filling_group(ledger)->size == 0 && filling_group(ledger)->first == NULL;
    if (!idle || io_now_ns(ledger->io) < ledger->mark_due_ns) {
        ledger_commit_arm_mark(ledger);
        return;
    }
    if (lay_mark(ledger, false)) {
        write_group(ledger);
    }
}

void ledger_commit_arm_mark(struct ledger *ledger)
{
    if (ledger->mark.pending || ledger->closing || ledger->stopped || ledger->proven) {
        return;
    }
    uint64_t now = io_now_ns(ledger->io);
    if (ledger->mark_due_ns <= now) {
        ledger->mark_due_ns = now + ledger->mark_delay_ns;
    }
    ledger->mark = (struct io_request){
        .op = IO_TIMER,
        .deadline_ns = ledger->mark_due_ns,
        .done = mark_due,
        .context = ledger,
    };
    io_submit(ledger->io, &ledger->mark);
}

static void finish_written(struct io_request *request)
{
    struct ledger *ledger = request->context;
    struct ledger_group *group = &ledger->groups[1 - ledger->filling];
    if (write_ended(ledger)) {
        ledger->durable_sequence = ledger->next_sequence - 1;
        ledger->clean = true;
    }
    reset_group(group);
}

int ledger_commit_finish(struct ledger *ledger, struct error_detail *detail)
{
    ensure(ledger->closing);
    ensure(!ledger->in_flight);
    if (ledger->stopped) {
        error_set(detail, STOA_ESTOPPED, "a write or flush had failed");
        return STOA_ESTOPPED;
    }
    if (ledger->clean || ledger->segment.number == 0 || !lay_mark(ledger, true)) {
        return 0; /* it is clean already, or sealed: the seal proves as well */
    }
    struct ledger_group *group = filling_group(ledger);
    size_t size = segment_align(group->size);
    memset(group->buffer + group->size, 0, size - group->size);
    ledger->segment.tail = group->offset + size;
    ledger->filling = 1 - ledger->filling;
    write_out(ledger, group->buffer, size, group->offset, finish_written);
    while (ledger->in_flight) {
        int result = io_run(ledger->io, LEDGER_WAIT_NS);
        if (result < 0) {
            return error_set(detail, result, "write the mark of a clean end: the loop has ended");
        }
    }
    if (ledger->stopped) {
        return error_set_errno(detail, ledger->stop_os_error, "write the mark of a clean end");
    }
    return 0;
}
