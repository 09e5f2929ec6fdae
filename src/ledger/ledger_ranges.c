/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pieces of a frame's payload, read in place of all of it: one direct read each, all at once. */
#include <stddef.h>

#include "ledger/ledger_private.h"

uint64_t ledger_ranges_end(const struct ledger_ranges *ranges)
{
    uint64_t end = 0;
    for (unsigned i = 0; i < ranges->count; i++) {
        uint64_t own = (uint64_t)ranges->at[i].offset + ranges->at[i].size;
        end = own > end ? own : end;
    }
    return end;
}

/* Where RANGE begins in the file. */
static uint64_t range_begin(const struct ledger_read *read, const struct ledger_range *range)
{
    return (uint64_t)read->position.offset + FRAME_HEADER_SIZE + range->offset;
}

/* Bytes that are read for RANGE, in blocks of the file. */
static uint64_t range_room(const struct ledger_read *read, const struct ledger_range *range)
{
    uint64_t begin = range_begin(read, range);
    return segment_align(begin + range->size) - (begin & ~(uint64_t)(SEGMENT_BLOCK - 1));
}

uint64_t ledger_ranges_room(const struct ledger_read *read)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < read->ranges->count; i++) {
        size += range_room(read, &read->ranges->at[i]);
    }
    return size;
}

/* One piece was read; with the last the read is done. The first failure is its result. */
static void range_done(struct io_request *request)
{
    struct ledger_read *read = request->context;
    struct ledger_ranges *ranges = read->ranges;
    const struct ledger_range *range =
        (const void *)((const uint8_t *)request - offsetof(struct ledger_range, request));
    if (read->result == 0 && request->result < 0) {
        read->request = *request;
        read->result = ledger_files_report_failed(read);
    } else if (read->result == 0 && (uint64_t)request->result <
                                        range_begin(read, range) - request->offset + range->size) {
        read->result = ledger_files_report(read, "the file ends before", NULL);
    }
    if (--ranges->under_way == 0) {
        ledger_files_end_read(read);
    }
}

/* All at once; they lie one behind the other in the buffer. */
void ledger_ranges_read(struct ledger_file *file, struct ledger_read *read)
{
    struct ledger_ranges *ranges = read->ranges;
    uint8_t *to = read->buffer;
    ranges->under_way = ranges->count;
    for (unsigned i = 0; i < ranges->count; i++) {
        struct ledger_range *range = &ranges->at[i];
        uint64_t begin = range_begin(read, range);
        uint64_t start = begin & ~(uint64_t)(SEGMENT_BLOCK - 1);
        range->data = to + (begin - start);
        range->request = (struct io_request){
            .op = IO_READ,
            .file = file->file,
            .data = to,
            .size = range_room(read, range),
            .offset = start,
            .done = range_done,
            .context = read,
        };
        to += range->request.size;
    }
    for (unsigned i = 0, count = ranges->count; i < count; i++) {
        io_submit(file->ledger->io, &ranges->at[i].request);
    }
}
