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
    while (reader->filled < end) {
        submit_ahead(reader);
        if (wait_slot(reader) < 0) {
            return NULL;
        }
    }
    submit_ahead(reader);
    return reader->buffer + (offset - reader->base);
}
