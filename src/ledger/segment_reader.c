/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/segment_reader.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"

enum { FILLER = 0xdb };

static const uint64_t reader_wait_ns = 1000000000;

static uint64_t align_down(uint64_t offset)
{
    return offset & ~(uint64_t)(IO_ALIGNMENT - 1);
}

static uint64_t align_up(uint64_t offset)
{
    return align_down(offset + IO_ALIGNMENT - 1);
}

static void slot_done(struct io_request *request)
{
    struct segment_reader_slot *slot = request->context;
    slot->done = true;
}

int segment_reader_init(struct segment_reader *reader, struct io *io, int file, uint64_t size,
                        bool tolerant)
{
    *reader = (struct segment_reader){.io = io, .file = file, .size = size, .tolerant = tolerant};
    reader->capacity = align_up(size < SEGMENT_READER_WINDOW ? size : SEGMENT_READER_WINDOW);
    if (reader->capacity == 0) {
        reader->capacity = IO_ALIGNMENT;
    }
    reader->buffer = memory_alloc_aligned(reader->capacity, IO_ALIGNMENT);
    if (reader->buffer == NULL) {
        return STOA_ENOMEM;
    }
    return 0;
}

int segment_reader_init_packed(struct segment_reader *reader, struct io *io, int file,
                               const struct arc_map *map, struct arc_unpacker *unpacker,
                               bool tolerant)
{
    int result = segment_reader_init(reader, io, file, map->header.segment_size, tolerant);
    reader->arc = map;
    reader->unpacker = unpacker;
    reader->group_index = map->header.group_count;
    return result;
}

/* Read again block by block and fill in for those that stay unreadable. */
static void read_blocks(struct segment_reader *reader, uint8_t *data, uint64_t offset,
                        uint64_t size)
{
    for (uint64_t done = 0; done < size; done += IO_ALIGNMENT) {
        struct io_request request = {
            .op = IO_READ,
            .file = reader->file,
            .data = data + done,
            .size = IO_ALIGNMENT,
            .offset = offset + done,
        };
        int64_t result = io_wait(reader->io, &request);
        if (result == STOA_ECLOSED) {
            reader->result = STOA_ECLOSED;
            return;
        }
        if (result < 0) {
            memset(data + done, FILLER, IO_ALIGNMENT);
            reader->unreadable++;
        }
    }
}

static void take_slot(struct segment_reader *reader)
{
    struct segment_reader_slot *slot = &reader->slots[reader->slot_first];
    reader->slot_first = (reader->slot_first + 1) % SEGMENT_READER_DEPTH;
    reader->slot_count--;
    struct io_request *request = &slot->request;
    ensure(request->offset == reader->filled);
    uint64_t wanted = request->size;
    if (request->offset + wanted > reader->size) {
        wanted = reader->size - request->offset;
    }
    if (request->result < 0 && reader->tolerant) {
        read_blocks(reader, request->data, request->offset, request->size);
    } else if (request->result < 0) {
        if (reader->result == 0) {
            reader->result = (int)request->result;
            reader->os_error = request->os_error;
        }
    } else if ((uint64_t)request->result < wanted) {
        /* The file is shorter than it was said to be. */
        if (reader->tolerant) {
            memset((uint8_t *)request->data + request->result, FILLER,
                   request->size - (size_t)request->result);
            reader->unreadable++;
        } else if (reader->result == 0) {
            reader->result = STOA_EIO;
        }
    }
    if (request->result >= 0 && wanted < request->size) {
        memset((uint8_t *)request->data + wanted, 0, request->size - wanted);
    }
    reader->filled = request->offset + request->size;
}

/* Wait for the oldest read. */
static int wait_slot(struct segment_reader *reader)
{
    ensure(reader->slot_count > 0);
    while (!reader->slots[reader->slot_first].done) {
        int result = io_run(reader->io, reader_wait_ns);
        if (result < 0) {
            reader->result = result;
            return result;
        }
    }
    take_slot(reader);
    return reader->result;
}

static int drain(struct segment_reader *reader)
{
    int result = reader->result;
    while (reader->slot_count > 0 && result != STOA_ECLOSED) {
        result = wait_slot(reader);
    }
    return reader->result;
}

void segment_reader_deinit(struct segment_reader *reader)
{
    if (reader->io != NULL) {
        (void)drain(reader); /* whoever reads has its error already */
    }
    memory_free(reader->buffer);
    memory_free(reader->packed);
    memory_free(reader->group);
    *reader = (struct segment_reader){0};
}

static void submit_ahead(struct segment_reader *reader)
{
    uint64_t limit = align_up(reader->size);
    if (limit > reader->base + reader->capacity) {
        limit = reader->base + reader->capacity;
    }
    while (reader->slot_count < SEGMENT_READER_DEPTH && reader->asked < limit) {
        unsigned index = (reader->slot_first + reader->slot_count) % SEGMENT_READER_DEPTH;
        struct segment_reader_slot *slot = &reader->slots[index];
        uint64_t size = limit - reader->asked;
        slot->done = false;
        slot->request = (struct io_request){
            .op = IO_READ,
            .file = reader->file,
            .data = reader->buffer + (reader->asked - reader->base),
            .size = size < SEGMENT_READER_CHUNK ? size : SEGMENT_READER_CHUNK,
            .offset = reader->asked,
            .done = slot_done,
            .context = slot,
        };
        reader->asked += slot->request.size;
        reader->slot_count++;
        io_submit(reader->io, &slot->request);
    }
}

/* Move the window so that it begins at START and holds SIZE bytes. */
static int move_window(struct segment_reader *reader, uint64_t start, uint64_t size)
{
    int result = drain(reader);
    if (result < 0) {
        return result;
    }
    uint64_t kept = start < reader->filled ? reader->filled - start : 0;
    uint8_t *from = kept > 0 ? reader->buffer + (start - reader->base) : NULL;
    if (size > reader->capacity) {
        uint8_t *buffer = memory_alloc_aligned(size, IO_ALIGNMENT);
        if (buffer == NULL) {
            reader->result = STOA_ENOMEM;
            return STOA_ENOMEM;
        }
        if (kept > 0) {
            memcpy(buffer, from, kept);
        }
        memory_free(reader->buffer);
        reader->buffer = buffer;
        reader->capacity = size;
    } else if (kept > 0) {
        memmove(reader->buffer, from, kept);
    }
    reader->base = start;
    reader->filled = start + kept;
    reader->asked = reader->filled;
    return 0;
}

/* ---- of a packed segment ---- */

/* Room for SIZE bytes at *BUFFER. */
static bool reserve(uint8_t **buffer, uint64_t *capacity, uint64_t size)
{
    if (size > *capacity) {
        memory_free(*buffer);
        *buffer = memory_alloc_aligned(size, IO_ALIGNMENT);
        *capacity = *buffer != NULL ? size : 0;
    }
    return *buffer != NULL;
}

/* Read bytes START to END of the file, multiples of IO_ALIGNMENT. */
static int64_t read_packed(struct segment_reader *reader, uint64_t start, uint64_t end)
{
    if (!reserve(&reader->packed, &reader->packed_capacity, end - start)) {
        return STOA_ENOMEM;
    }
    struct io_request request = {.op = IO_READ,
                                 .file = reader->file,
                                 .data = reader->packed,
                                 .size = end - start,
                                 .offset = start};
    int64_t result = io_wait(reader->io, &request);
    reader->packed_base = start;
    reader->packed_filled = start + (result > 0 ? (uint64_t)result : 0);
    reader->os_error = result < 0 ? request.os_error : reader->os_error;
    return result;
}

/* The bytes of GROUP in the file, and some behind them at once. NULL: they are damaged, or the
 * reader's result says more. */
static const uint8_t *get_packed(struct segment_reader *reader, const struct arc_group *group)
{
    uint64_t start = align_down(group->offset);
    uint64_t end = align_up((uint64_t)group->offset + group->size);
    uint64_t last = reader->arc->header.file_size;
    uint64_t ahead = start + SEGMENT_READER_CHUNK;
    int64_t result = 0;
    bool there = start >= reader->packed_base && end <= reader->packed_filled;
    if (!there) {
        ahead = ahead > last ? last : ahead;
        result = read_packed(reader, start, ahead > end ? ahead : end);
        if (result < 0 && result != STOA_ENOMEM && result != STOA_ECLOSED && ahead > end) {
            result = read_packed(reader, start, end); /* what follows need not be readable */
        }
    }
    if (result < 0 && (!reader->tolerant || result == STOA_ENOMEM || result == STOA_ECLOSED)) {
        reader->result = (int)result;
        return NULL;
    }
    if (end > reader->packed_filled || result < 0) {
        reader->unreadable += (end - start) / IO_ALIGNMENT;
        return NULL;
    }
    return reader->packed + (group->offset - reader->packed_base);
}

static int unpack_group(struct segment_reader *reader, uint32_t index)
{
    const struct arc_group *group = &reader->arc->groups[index];
    if (!reserve(&reader->group, &reader->group_capacity, group->at_size)) {
        reader->result = STOA_ENOMEM;
        return STOA_ENOMEM;
    }
    const uint8_t *packed = get_packed(reader, group);
    if (reader->result < 0) {
        return reader->result;
    }
    if (packed == NULL ||
        !arc_unpack(reader->unpacker, reader->arc, group, packed, reader->group)) {
        memset(reader->group, 0, group->at_size);
    }
    reader->group_index = index;
    return 0;
}

/* Some more behind what is filled: of a group, or what lies before the next. */
static int fill_packed(struct segment_reader *reader)
{
    const struct arc_map *map = reader->arc;
    uint64_t limit = align_up(reader->size);
    uint32_t index = arc_map_find_at(map, reader->filled);
    uint8_t *to = reader->buffer + (reader->filled - reader->base);
    limit = limit > reader->base + reader->capacity ? reader->base + reader->capacity : limit;
    uint64_t end = limit;
    if (index < map->header.group_count && map->groups[index].at <= reader->filled) {
        const struct arc_group *group = &map->groups[index];
        uint64_t group_end = (uint64_t)group->at + group->at_size;
        if (reader->group_index != index && unpack_group(reader, index) < 0) {
            return reader->result;
        }
        end = group_end < limit ? group_end : limit;
        memcpy(to, reader->group + (reader->filled - group->at), end - reader->filled);
    } else {
        uint64_t next = index < map->header.group_count ? map->groups[index].at : limit;
        end = next < limit ? next : limit;
        memset(to, 0, end - reader->filled);
    }
    reader->filled = end;
    reader->asked = end;
    return 0;
}

const uint8_t *segment_reader_fetch(struct segment_reader *reader, uint64_t offset, uint64_t size)
{
    ensure(offset >= reader->base);
    ensure(offset + size <= align_up(reader->size));
    if (reader->result < 0) {
        return NULL;
    }
    uint64_t start = align_down(offset);
    uint64_t end = align_up(offset + size);
    if (end > reader->base + reader->capacity || start > reader->asked) {
        if (move_window(reader, start, end - start) < 0) {
            return NULL;
        }
    }
    while (reader->arc != NULL && reader->filled < end) {
        if (fill_packed(reader) < 0) {
            return NULL;
        }
    }
    while (reader->filled < end) {
        submit_ahead(reader);
        if (wait_slot(reader) < 0) {
            return NULL;
        }
    }
    if (reader->arc == NULL) {
        submit_ahead(reader);
    }
    return reader->buffer + (offset - reader->base);
}
