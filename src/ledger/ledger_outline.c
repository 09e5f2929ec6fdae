/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a sealed segment, thinned or not, holds, for whoever makes another form of it and reads it
 * by himself: its trailer says where its index is, that names the frames. */
#include <string.h>

#include "base/memory.h"
#include "ledger/ledger_private.h"

int ledger_outline_init(struct ledger_outline *outline, const struct ledger_file *file)
{
    *outline = (struct ledger_outline){
        .number = file->number,
        .thin = file->thin,
        .size = file->size,
        .store_id = file->ledger->store_id,
        .entries = memory_alloc(THIN_ENTRIES_MAX * sizeof(*outline->entries)),
    };
    return outline->entries == NULL ? STOA_ENOMEM : 0;
}

void ledger_outline_deinit(struct ledger_outline *outline)
{
    memory_free(outline->entries);
    outline->entries = NULL;
}

bool ledger_outline_take_trailer(struct ledger_outline *outline, const uint8_t *block)
{
    struct segment_trailer trailer;
    if (outline->thin) {
        outline->segment_size = 0;
        if (!thin_decode_trailer(block, outline->number, outline->size, outline->store_id,
                                 &outline->trailer)) {
            return false;
        }
        outline->segment_size = outline->trailer.segment_size;
        return true;
    }
    if (!segment_decode_trailer(block, outline->store_id, &trailer) ||
        trailer.number != outline->number || trailer.seal_offset % SEGMENT_BLOCK != 0 ||
        (uint64_t)trailer.seal_offset + trailer.seal_size + SEGMENT_BLOCK > outline->size) {
        return false;
    }
    outline->segment_size = (uint32_t)outline->size;
    outline->trailer = (struct thin_trailer){
        .index_offset = trailer.seal_offset,
        .index_size = trailer.seal_size,
        .first_sequence = trailer.seal_sequence,
        .index_checksum = trailer.seal_checksum,
    };
    return true;
}

static bool take_seal(struct ledger_outline *outline, const uint8_t *frame)
{
    const struct thin_trailer *trailer = &outline->trailer;
    struct frame_header header;
    if (frame_decode(frame, outline->store_id, &header) != FRAME_GOOD ||
        header.kind != LEDGER_SEAL || frame_size(&header) != trailer->index_size ||
        header.sequence != trailer->first_sequence || header.checksum != trailer->index_checksum ||
        !frame_check(frame, &header, outline->store_id) ||
        !segment_decode_seal(bytes_of(frame + FRAME_HEADER_SIZE, header.length), outline->number,
                             trailer->index_offset, outline->entries, &outline->count)) {
        return false;
    }
    outline->entries[outline->count++] = (struct segment_entry){
        .offset = trailer->index_offset,
        .size = trailer->index_size,
        .sequence = header.sequence,
        .checksum = header.checksum,
        .kind = LEDGER_SEAL,
        .count = 1,
    };
    return true;
}

bool ledger_outline_take_index(struct ledger_outline *outline, const uint8_t *frame)
{
    if (!outline->thin) {
        return take_seal(outline, frame);
    }
    outline->count = outline->trailer.count;
    return thin_decode_index(bytes_of(frame, outline->trailer.index_size), &outline->trailer,
                             outline->store_id, outline->entries);
}

struct ledger_frame ledger_outline_frame(uint32_t number, const struct segment_entry *entry)
{
    return (struct ledger_frame){
        .position = {.segment = number,
                     .offset = entry->offset,
                     .size = entry->size,
                     .sequence = entry->sequence},
        .kind = (enum ledger_kind)entry->kind,
        .height = entry->height,
        .level = entry->level,
    };
}

bool ledger_outline_take_frame(const struct ledger_outline *outline,
                               const struct segment_entry *entry, const uint8_t *frame,
                               struct frame_header *out_header, struct bytes *out_payload)
{
    struct segment_entry found;
    uint64_t store_id = outline->store_id;
    if (entry->thin) {
        return thin_decode_frame(bytes_of(frame, entry->at_size), store_id, out_header, &found,
                                 out_payload) &&
               found.sequence == entry->sequence && found.kind == entry->kind &&
               found.level == entry->level && found.offset == entry->offset &&
               found.size == entry->size && found.checksum == entry->checksum;
    }
    if (frame_decode(frame, store_id, out_header) != FRAME_GOOD ||
        out_header->sequence != entry->sequence || out_header->kind != entry->kind ||
        out_header->checksum != entry->checksum || frame_size(out_header) != entry->size ||
        !frame_check(frame, out_header, store_id)) {
        return false;
    }
    *out_payload = bytes_of(frame + FRAME_HEADER_SIZE, out_header->length);
    return true;
}

bool ledger_outline_is_damaged(const struct ledger_outline *outline)
{
    for (uint32_t i = 0; i < outline->count; i++) {
        if (outline->entries[i].damaged || outline->entries[i].count != 1) {
            return true;
        }
    }
    return false;
}
