/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All frames from a sequence on. The places come from the segments' indexes, not from following
 * headers, so a damaged header costs no other frame. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

struct scan {
    struct ledger *ledger;
    uint64_t from;
    uint64_t expected; /* next sequence; 0: not known yet */
    int (*frame)(void *context, const struct ledger_frame *frame);
    void *context;
    struct error_detail *detail;
};

int ledger_scan_snapshot(struct ledger *ledger, struct ledger_index *out_index,
                         struct error_detail *detail)
{
    const struct ledger_segment *segment = &ledger->segment;
    uint32_t count = segment->entry_count;
    while (count > 0 && segment->entries[count - 1].sequence > ledger->durable_sequence) {
        count--;
    }
    size_t size = count * sizeof(struct segment_entry);
    struct ledger_index index = {.count = count, .entries = memory_alloc(size)};
    if (index.entries == NULL) {
        return error_set(detail, STOA_ENOMEM, "read the ledger: no memory");
    }
    if (size > 0) {
        memcpy(index.entries, segment->entries, size);
    }
    *out_index = index;
    return 0;
}

const char *ledger_scan_check(struct segment_reader *reader, uint64_t store_id,
                              const struct segment_entry *entry, struct frame_header *out_header,
                              struct bytes *out_payload)
{
    *out_payload = bytes_of(NULL, 0);
    if (entry->kind == 0) {
        return entry->count == 1 ? "frame header" : "frames are missing";
    }
    if (entry->thin) {
        return ledger_thin_check(reader, store_id, entry, out_header, out_payload);
    }
    const uint8_t *frame = segment_reader_get(reader, entry->offset, entry->size);
    if (frame == NULL) {
        return "cannot be read";
    }
    if (frame_decode(frame, store_id, out_header) != FRAME_GOOD ||
        out_header->sequence != entry->sequence || out_header->kind != entry->kind ||
        out_header->height != entry->height || out_header->checksum != entry->checksum ||
        frame_size(out_header) != entry->size) {
        return "frame header";
    }
    if (!frame_check(frame, out_header, store_id)) {
        return "frame checksum";
    }
    *out_payload = bytes_of(frame + FRAME_HEADER_SIZE, out_header->length);
    return NULL;
}

static int present(struct scan *scan, uint32_t number, const struct segment_entry *entry,
                   uint64_t sequence, const char *what, struct bytes payload)
{
    struct error_detail detail = {0};
    struct ledger_frame frame = {
        .position = {.segment = number,
                     .offset = entry->offset,
                     .size = entry->size,
                     .sequence = sequence},
        .kind = (enum ledger_kind)entry->kind,
        .height = entry->height,
        .payload = payload,
        .level = entry->level,
        .detail = &detail,
    };
    if (what != NULL) {
        const struct ledger_file *file = ledger_files_get(scan->ledger, number);
        uint64_t offset = segment_entry_at(entry);
        char name[SEGMENT_NAME_SIZE];
        ledger_form_name(file, name);
        ledger_form_place(file, &offset, &(uint64_t){0});
        frame.result =
            error_set(&detail, STOA_ECORRUPT, "%s: offset %llu: sequence %llu: height %llu: %s",
                      name, (unsigned long long)offset, (unsigned long long)sequence,
                      (unsigned long long)entry->height, what);
    }
    return scan->frame(scan->context, &frame);
}

/* Sequences that no index names, up to ENTRY's. */
static int present_missing(struct scan *scan, uint32_t number, const struct segment_entry *entry)
{
    int result = 0;
    struct segment_entry nothing = {.offset = entry->offset};
    uint64_t sequence = scan->expected;
    if (sequence != 0 && sequence < scan->from) {
        sequence = scan->from;
    }
    for (; sequence != 0 && sequence < entry->sequence && result == 0; sequence++) {
        result = present(scan, number, &nothing, sequence, "frame is missing", bytes_of(NULL, 0));
    }
    return result;
}

static int present_entry(struct scan *scan, uint32_t number, struct segment_reader *reader,
                         const struct segment_entry *entry)
{
    struct frame_header header = {0};
    struct bytes payload;
    int result = 0;
    if (entry->kind != 0 && !ledger_kind_is_store(entry->kind)) {
        return 0;
    }
    const char *what = ledger_scan_check(reader, scan->ledger->store_id, entry, &header, &payload);
    if (reader->result < 0) {
        return error_set(scan->detail, reader->result, "read %08u.seg: %s", number,
                         stoa_strerror(reader->result));
    }
    uint64_t end = entry->sequence + entry->count;
    for (uint64_t sequence = entry->sequence; sequence < end && result == 0; sequence++) {
        if (sequence >= scan->from) {
            result = present(scan, number, entry, sequence, what, payload);
        }
    }
    return result;
}

static int scan_index(struct scan *scan, uint32_t number, const struct ledger_index *index)
{
    struct ledger *ledger = scan->ledger;
    struct ledger_file *file = index->file != NULL ? index->file : ledger_files_get(ledger, number);
    ensure(file != NULL);
    int result = ledger_files_hold(ledger, file, false, scan->detail);
    if (result < 0) {
        return result;
    }
    struct segment_reader reader;
    result = ledger_files_reader(ledger, file, true, &reader);
    if (result < 0) {
        error_set(scan->detail, result, "read %08u.seg: no memory", number);
    }
    for (uint32_t i = 0; i < index->count && result == 0; i++) {
        const struct segment_entry *entry = &index->entries[i];
        if (entry->sequence + entry->count > scan->from) {
            result = present_missing(scan, number, entry);
            if (result == 0) {
                result = present_entry(scan, number, &reader, entry);
            }
        }
        scan->expected = entry->sequence + entry->count;
    }
    segment_reader_deinit(&reader);
    ledger_files_drop(file);
    return result;
}

/* Highest segment up to LAST whose first frame is not after FROM. */
static int find_segment(struct ledger *ledger, uint64_t from, uint32_t last, uint32_t *out_number,
                        struct error_detail *detail)
{
    uint32_t low = 1;
    uint32_t high = last;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        uint64_t first = 0;
        int result = ledger_index_first_sequence(ledger, middle, &first, detail);
        if (result < 0) {
            return result;
        }
        if (first <= from) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    *out_number = low;
    return 0;
}

int ledger_scan(struct ledger *ledger, uint64_t from, const struct ledger_position *from_position,
                int (*frame)(void *context, const struct ledger_frame *frame), void *context,
                struct error_detail *detail)
{
    struct scan scan = {
        .ledger = ledger, .from = from, .frame = frame, .context = context, .detail = detail};
    uint32_t last = ledger->segment.number;
    if (last == 0 || from > ledger->durable_sequence) {
        return 0;
    }
    struct ledger_index current;
    int result = ledger_scan_snapshot(ledger, &current, detail);
    if (result < 0) {
        return result;
    }
    uint32_t number = 1;
    if (from_position != NULL && from_position->segment >= 1 && from_position->segment <= last) {
        number = from_position->segment;
    } else if (from > 1) {
        result = find_segment(ledger, from, last, &number, detail);
    }
    for (; number < last && result == 0; number++) {
        struct ledger_index index;
        result = ledger_index_load(ledger, number, true, &index, detail);
        if (result < 0) {
            break;
        }
        result = scan_index(&scan, number, &index);
        /* The seal has a sequence of its own, known or not. */
        scan.expected = index.has_seal ? index.seal.sequence + 1 : scan.expected + 1;
        ledger_index_deinit(&index);
    }
    if (result == 0) {
        result = scan_index(&scan, last, &current);
    }
    ledger_index_deinit(&current);
    return result;
}
