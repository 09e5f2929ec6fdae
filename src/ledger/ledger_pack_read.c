/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading packed segments (arc.h). A single frame takes one direct read, that of its group, and the
 * unpacking of it, of a large one on a worker; where the group lies is known since the file was
 * opened. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

/* ---- one frame ---- */

static uint64_t block_of(uint64_t offset)
{
    return offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
}

/* The frame of READ in DATA, an unpacked GROUP of a segment as it was written. */
static int take_frame(struct ledger_read *read, const struct arc_group *group, struct bytes data)
{
    const struct ledger_position *position = &read->position;
    struct frame_header header;
    if (position->offset < group->at ||
        (uint64_t)position->offset + position->size > (uint64_t)group->at + data.size) {
        return ledger_files_report(read, "another frame lies there", NULL);
    }
    const uint8_t *frame = data.data + (position->offset - group->at);
    if (frame_decode(frame, read->ledger->store_id, &header) != FRAME_GOOD) {
        return ledger_files_report(read, "frame header", NULL);
    }
    if (header.sequence != position->sequence || frame_size(&header) != position->size) {
        return ledger_files_report(read, "another frame lies there", &header);
    }
    if (!frame_check(frame, &header, read->ledger->store_id)) {
        return ledger_files_report(read, "frame checksum", &header);
    }
    read->kind = (enum ledger_kind)header.kind;
    read->height = header.height;
    read->payload = bytes_of(frame + FRAME_HEADER_SIZE, header.length);
    return 0;
}

/* The same of a thinned one, whose frames say what they stand for. */
static int take_thin_frame(struct ledger_read *read, struct bytes data)
{
    const struct ledger_position *position = &read->position;
    struct frame_header header;
    struct segment_entry entry;
    struct bytes payload;
    uint64_t at = 0;
    while (at + FRAME_HEADER_SIZE <= data.size) {
        struct bytes rest = bytes_of(data.data + at, data.size - at);
        if (frame_decode(rest.data, read->ledger->store_id, &header) != FRAME_GOOD) {
            return ledger_files_report(read, "frame header", NULL);
        }
        if (header.sequence != position->sequence) {
            at = frame_align(at + frame_size(&header));
            continue;
        }
        if (!thin_decode_frame(rest, read->ledger->store_id, &header, &entry, &payload)) {
            return ledger_files_report(read, "frame checksum", NULL);
        }
        if (entry.offset != position->offset || entry.size != position->size) {
            break;
        }
        read->kind = (enum ledger_kind)header.kind;
        read->height = header.height;
        read->payload = payload;
        return 0;
    }
    return ledger_files_report(read, "another frame lies there", NULL);
}

static const struct arc_group *group_of(const struct ledger_read *read)
{
    const struct arc_map *map = read->file->arc;
    return &map->groups[arc_map_find(map, read->position.sequence)];
}

/* What was read of the file is unpacked to the read's buffer. */
static void unpack(struct ledger_read *read, struct arc_unpacker *unpacker)
{
    const struct arc_group *group = group_of(read);
    uint64_t skip = group->offset - read->request.offset;
    read->unpacked =
        arc_unpack(unpacker, read->file->arc, group, read->packed->data + skip, read->buffer);
}

/* It was tried to unpack it. */
static void end_unpack(struct ledger_read *read)
{
    const struct arc_map *map = read->file->arc;
    const struct arc_group *group = group_of(read);
    struct bytes data = bytes_of(read->buffer, group->at_size);
    ledger_files_give_buffer(read->ledger, read->packed);
    read->packed = NULL;
    read->front = 0;
    read->ranges = NULL;
    read->result = !read->unpacked         ? ledger_files_report(read, "packed frames", NULL)
                   : map->header.thin != 0 ? take_thin_frame(read, data)
                                           : take_frame(read, group, data);
    ledger_files_end_read(read);
}

/* On a worker, with what it needs to unpack made for this alone: nothing beside megabytes. */
static void run_unpack(struct workers_job *job, void *worker_state)
{
    struct ledger_read *read = job->context;
    struct arc_unpacker *unpacker;
    (void)worker_state; /* whose they are, the ledger does not know */
    read->result = arc_unpacker_create(&unpacker);
    if (read->result == 0) {
        unpack(read, unpacker);
        arc_unpacker_destroy(unpacker);
    }
}

static int refuse_memory(struct ledger_read *read)
{
    return error_set(&read->detail, STOA_ENOMEM, "no memory to unpack it into");
}

static void done_unpack(struct workers_job *job)
{
    struct ledger_read *read = job->context;
    if (read->result == 0) {
        end_unpack(read);
        return;
    }
    ledger_files_give_buffer(read->ledger, read->packed);
    read->packed = NULL;
    read->result = refuse_memory(read);
    ledger_files_end_read(read);
}

/* 0, where the read has what it unpacks, and a place for it. */
static int prepare(struct ledger_read *read)
{
    const struct io_request *request = &read->request;
    const struct arc_group *group = group_of(read);
    if (request->result < 0) {
        return ledger_files_report_failed(read);
    }
    if ((uint64_t)request->result < group->offset - request->offset + group->size) {
        return ledger_files_report(read, "the file ends before", NULL);
    }
    read->block = ledger_files_take_buffer(read->ledger, group->at_size);
    if (read->block == NULL) {
        return refuse_memory(read);
    }
    read->buffer = read->block->data;
    return 0;
}

static void group_done(struct io_request *request)
{
    struct ledger_read *read = request->context;
    struct ledger *ledger = read->ledger;
    metrics_count(ledger->io->metrics, METRICS_ARCHIVE_READS, 1);
    read->packed = read->block;
    read->block = NULL;
    read->buffer = NULL;
    read->result = prepare(read);
    if (read->result != 0) {
        ledger_files_give_buffer(ledger, read->packed);
        read->packed = NULL;
        ledger_files_end_read(read);
    } else if (ledger->workers != NULL && group_of(read)->at_size > LEDGER_UNPACK_MAX) {
        read->job = (struct workers_job){
            .run = run_unpack, .done = done_unpack, .context = read, .kind = METRICS_JOB_PACK};
        workers_submit(ledger->workers, &read->job);
    } else {
        unpack(read, ledger->unpacker);
        end_unpack(read);
    }
}

static void refused(struct io_request *request)
{
    struct ledger_read *read = request->context;
    ledger_files_end_read(read);
}

static void refuse(struct ledger_read *read, int result)
{
    read->result = result;
    read->request = (struct io_request){.op = IO_TIMER, .done = refused, .context = read};
    io_submit(read->ledger->io, &read->request);
}

void ledger_pack_read(struct ledger_file *file, struct ledger_read *read)
{
    const struct arc_map *map = file->arc;
    const struct ledger_position *position = &read->position;
    ensure(map != NULL && read->block == NULL);
    if (position->sequence < map->header.first_sequence ||
        position->sequence > map->header.last_sequence) {
        refuse(read, ledger_files_report(read, "another frame lies there", NULL));
        return;
    }
    const struct arc_group *group = &map->groups[arc_map_find(map, position->sequence)];
    uint64_t start = block_of(group->offset);
    uint64_t size = segment_align((uint64_t)group->offset + group->size) - start;
    read->block = ledger_files_take_buffer(file->ledger, size);
    if (read->block == NULL) {
        refuse(read, error_set(&read->detail, STOA_ENOMEM, "no memory to read it into"));
        return;
    }
    read->buffer = read->block->data;
    read->request = (struct io_request){
        .op = IO_READ,
        .file = file->file,
        .data = read->buffer,
        .size = size,
        .offset = start,
        .done = group_done,
        .context = read,
    };
    io_submit(file->ledger->io, &read->request);
}

/* ---- what is not a group ---- */

struct check {
    struct ledger *ledger;
    const struct ledger_file *file;
    void (*report)(void *context, uint64_t offset, uint64_t size, const char *what);
    void *context;
    struct error_detail *detail;
};

/* The SIZE bytes at OFFSET must be ORIGINAL, or, where that is NULL, have SUM; what follows them to
 * the end of their block must be zero. */
static int check_part(const struct check *check, uint64_t offset, uint64_t size,
                      const uint8_t *original, uint64_t sum, const char *what)
{
    uint64_t start = block_of(offset);
    uint64_t end = segment_align(offset + size);
    if (end == start) {
        return 0;
    }
    uint8_t *data = memory_alloc_aligned(end - start, IO_ALIGNMENT);
    if (data == NULL) {
        return error_set(check->detail, STOA_ENOMEM, "verify: no memory");
    }
    struct io_request request = {.op = IO_READ,
                                 .file = check->file->file,
                                 .data = data,
                                 .size = end - start,
                                 .offset = start};
    int64_t result = ledger_wait(check->ledger, &request);
    const uint8_t *part = data + (offset - start);
    bool good =
        result == (int64_t)(end - start) &&
        (original != NULL ? memcmp(part, original, size) == 0
                          : arc_sum(bytes_of(part, size), check->ledger->store_id) == sum) &&
        frame_is_zero(part + size, end - offset - size);
    memory_free(data);
    if (result == STOA_ECLOSED) {
        return error_set(check->detail, STOA_ECLOSED, "verify: the loop has ended");
    }
    if (!good) {
        check->report(check->context, offset, end - offset, what);
    }
    return 0;
}

int ledger_pack_check(struct ledger *ledger, const struct ledger_file *file,
                      void (*report)(void *context, uint64_t offset, uint64_t size,
                                     const char *what),
                      void *context, struct error_detail *detail)
{
    const struct check check = {
        .ledger = ledger, .file = file, .report = report, .context = context, .detail = detail};
    const struct arc_map *map = file->arc;
    const struct arc_header *header = &map->header;
    const struct arc_group *last = &map->groups[header->group_count - 1];
    const uint64_t headers[] = {0, header->file_size - SEGMENT_BLOCK};
    uint8_t block[SEGMENT_BLOCK];
    uint32_t index_size = arc_index_size(header->group_count);
    uint8_t *index = memory_alloc(index_size);
    if (index == NULL) {
        return error_set(detail, STOA_ENOMEM, "verify: no memory");
    }
    arc_encode_header(block, header, ledger->store_id);
    (void)arc_encode_index(index, header->number, map->groups, header->group_count,
                           ledger->store_id); /* the sum is in the header */
    int result = 0;
    for (unsigned i = 0; i < 2 && result == 0; i++) {
        result = check_part(&check, headers[i], sizeof(block), block, 0, "packed header");
        if (result == 0 && header->dictionary_size != 0) {
            result = check_part(&check, header->dictionary_offsets[i], header->dictionary_size,
                                NULL, header->dictionary_sum, "dictionary");
        }
        if (result == 0) {
            result =
                check_part(&check, header->index_offsets[i], index_size, index, 0, "packed index");
        }
    }
    memory_free(index);
    return result == 0 ? check_part(&check, (uint64_t)last->offset + last->size, 0, block, 0,
                                    "padding is not zero")
                       : result;
}
