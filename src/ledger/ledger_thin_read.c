/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading thinned segments (thin.h). A single frame takes two direct reads: its entry of the index,
 * then itself; the trailer that says where the index lies is read when the file is opened. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

/* ---- one frame ---- */

static uint64_t block_of(uint64_t offset)
{
    return offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
}

static void begin_read(struct ledger_read *read, uint64_t offset, uint64_t size,
                       void (*done)(struct io_request *request))
{
    uint64_t start = block_of(offset);
    uint64_t end = segment_align(offset + size);
    ensure(end - start <= ledger_files_buffer_size(read));
    read->request = (struct io_request){
        .op = IO_READ,
        .file = read->file->file,
        .data = read->buffer,
        .size = end - start,
        .offset = start,
        .done = done,
        .context = read,
    };
    io_submit(read->ledger->io, &read->request);
}

static int check_frame(struct ledger_read *read)
{
    const struct io_request *request = &read->request;
    const struct ledger_position *position = &read->position;
    struct frame_header header;
    struct segment_entry entry;
    struct bytes payload;
    uint64_t skip = read->begin;
    if (request->result < 0) {
        return ledger_files_report_failed(read);
    }
    if ((uint64_t)request->result <= skip ||
        !thin_decode_frame(bytes_of(read->buffer + skip, (uint64_t)request->result - skip),
                           read->ledger->store_id, &header, &entry, &payload)) {
        return ledger_files_report(read, "frame checksum", NULL);
    }
    if (entry.sequence != position->sequence || entry.offset != position->offset ||
        entry.size != position->size) {
        return ledger_files_report(read, "another frame lies there", &header);
    }
    read->front = 0;
    read->ranges = NULL;
    read->kind = (enum ledger_kind)header.kind;
    read->height = header.height;
    read->payload = payload;
    return 0;
}

static void frame_done(struct io_request *request)
{
    struct ledger_read *read = request->context;
    read->result = check_frame(read);
    ledger_files_end_read(read);
}

static void entry_done(struct io_request *request)
{
    struct ledger_read *read = request->context;
    const struct ledger_position *position = &read->position;
    const struct thin_trailer *trailer = &read->file->trailer;
    uint64_t where = thin_entry_offset(trailer, position->sequence - trailer->first_sequence);
    uint64_t skip = where - block_of(where);
    struct segment_entry entry;
    if (request->result < 0) {
        read->result = ledger_files_report_failed(read);
    } else if ((uint64_t)request->result < skip + THIN_ENTRY_SIZE) {
        read->result = ledger_files_report(read, "the file ends before", NULL);
    } else {
        thin_decode_entry(read->buffer + skip, position->sequence, &entry);
        uint64_t end = (uint64_t)entry.at + entry.at_size;
        bool sane = entry.offset == position->offset && entry.size == position->size &&
                    entry.at_size >= thin_frame_size(0) && end <= trailer->index_offset &&
                    segment_align(end) - block_of(entry.at) <= ledger_files_buffer_size(read);
        if (sane) {
            read->begin = (uint32_t)(entry.at - block_of(entry.at));
            begin_read(read, entry.at, entry.at_size, frame_done);
            return;
        }
        read->result = ledger_files_report(read, "entry of the index", NULL);
    }
    ledger_files_end_read(read);
}

static void refused(struct io_request *request)
{
    struct ledger_read *read = request->context;
    ledger_files_end_read(read);
}

void ledger_thin_read(struct ledger_file *file, struct ledger_read *read)
{
    const struct thin_trailer *trailer = &file->trailer;
    uint64_t index = read->position.sequence - trailer->first_sequence;
    if (!file->has_trailer) {
        read->result = ledger_files_report(read, "trailer", NULL);
    } else if (read->position.sequence < trailer->first_sequence || index >= trailer->count) {
        read->result = ledger_files_report(read, "another frame lies there", NULL);
    } else {
        begin_read(read, thin_entry_offset(trailer, index), THIN_ENTRY_SIZE, entry_done);
        return;
    }
    read->request = (struct io_request){.op = IO_TIMER, .done = refused, .context = read};
    io_submit(file->ledger->io, &read->request);
}

/* ---- all of it ---- */

const char *ledger_thin_check(struct segment_reader *reader, uint64_t store_id,
                              const struct segment_entry *entry, struct frame_header *out_header,
                              struct bytes *out_payload)
{
    struct segment_entry found;
    const uint8_t *frame = segment_reader_get(reader, entry->at, entry->at_size);
    *out_payload = bytes_of(NULL, 0);
    if (frame == NULL) {
        return "cannot be read";
    }
    if (!thin_decode_frame(bytes_of(frame, entry->at_size), store_id, out_header, &found,
                           out_payload)) {
        return "frame checksum";
    }
    if (found.sequence != entry->sequence || found.kind != entry->kind ||
        found.level != entry->level || found.offset != entry->offset || found.size != entry->size ||
        found.height != entry->height || found.checksum != entry->checksum ||
        found.at_size != entry->at_size) {
        *out_payload = bytes_of(NULL, 0);
        return "frame header";
    }
    return NULL;
}

static int read_index(struct ledger *ledger, struct ledger_file *file, struct ledger_index *index)
{
    uint8_t *block = NULL;
    uint8_t *frame = NULL;
    index->source = LEDGER_INDEX_BAD_TRAILER;
    int result =
        ledger_walk_read_range(ledger, file, file->size - SEGMENT_BLOCK, SEGMENT_BLOCK, &block);
    if (result < 0) {
        return result;
    }
    bool good =
        thin_decode_trailer(block, file->number, file->size, ledger->store_id, &index->trailer);
    memory_free(block);
    if (!good) {
        index->trailer = (struct thin_trailer){.count = 0};
        return STOA_ECORRUPT;
    }
    const struct thin_trailer *trailer = &index->trailer;
    uint64_t start = block_of(trailer->index_offset);
    index->source = LEDGER_INDEX_BAD_SEAL;
    result = ledger_walk_read_range(
        ledger, file, start,
        segment_align((uint64_t)trailer->index_offset + trailer->index_size) - start, &frame);
    if (result < 0) {
        return result;
    }
    good = thin_decode_index(bytes_of(frame + (trailer->index_offset - start), trailer->index_size),
                             trailer, ledger->store_id, index->entries);
    memory_free(frame);
    index->count = good ? trailer->count : 0;
    index->source = good ? LEDGER_INDEX_SEAL : LEDGER_INDEX_BAD_SEAL;
    return good ? 0 : STOA_ECORRUPT;
}

/* Frames found one by one where the index is damaged: every sound frame says what it stands for.
 * One that is not sound is missing between two that are. */
static int find_frames(struct ledger *ledger, struct ledger_file *file, bool tolerant,
                       struct ledger_index *index)
{
    struct segment_reader reader;
    uint64_t end = file->size - SEGMENT_BLOCK;
    uint64_t cursor = 0;
    uint64_t last_end = 0;
    int result = ledger_files_reader(ledger, file, tolerant, &reader);
    while (result == 0 && cursor + FRAME_ALIGNMENT <= end && index->count < THIN_ENTRIES_MAX) {
        struct frame_header header;
        struct segment_entry entry;
        struct bytes payload;
        const uint8_t *at = segment_reader_get(&reader, cursor, FRAME_ALIGNMENT);
        bool frame = at != NULL && frame_decode(at, ledger->store_id, &header) == FRAME_GOOD &&
                     header.kind == LEDGER_THIN && cursor + frame_size(&header) <= end;
        if (frame) {
            at = segment_reader_get(&reader, cursor, frame_size(&header));
        }
        if (at == NULL) {
            result = reader.result;
            break;
        }
        frame = frame && thin_decode_frame(bytes_of(at, frame_size(&header)), ledger->store_id,
                                           &header, &entry, &payload);
        const struct segment_entry *last =
            index->count != 0 ? &index->entries[index->count - 1] : NULL;
        uint64_t expected = last != NULL ? last->sequence + last->count : 0;
        if (!frame || entry.sequence < expected) {
            cursor += FRAME_ALIGNMENT;
            continue;
        }
        entry.at = (uint32_t)cursor;
        if (last != NULL && entry.sequence > expected && index->count + 1 < THIN_ENTRIES_MAX) {
            index->entries[index->count++] = (struct segment_entry){
                .thin = true,
                .at = (uint32_t)last_end,
                .at_size = (uint32_t)(cursor - last_end),
                .offset = last->offset,
                .sequence = expected,
                .damaged = true,
                .count = (uint32_t)(entry.sequence - expected),
            };
        }
        index->entries[index->count++] = entry;
        last_end = cursor + entry.at_size;
        cursor = frame_align(last_end);
    }
    segment_reader_deinit(&reader);
    return result;
}

int ledger_thin_load(struct ledger *ledger, struct ledger_file *file, bool tolerant,
                     struct ledger_index *index, struct error_detail *detail)
{
    int result = read_index(ledger, file, index);
    if (result == STOA_ECORRUPT || (result == STOA_EIO && tolerant)) {
        index->count = 0;
        result = find_frames(ledger, file, tolerant, index);
    }
    if (result < 0) {
        return error_set(detail, result, "read the index of %08u.thin: %s", file->number,
                         stoa_strerror(result));
    }
    if (index->count > 0 && index->entries[index->count - 1].kind == LEDGER_SEAL) {
        index->seal = index->entries[--index->count];
        index->has_seal = true;
    }
    return 0;
}
