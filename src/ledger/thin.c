/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/thin.h"

#include <string.h>
#include <xxhash.h>

#include "base/ensure.h"
#include "ledger/ledger.h"

static const uint32_t trailer_magic = 0x4e545453; /* "STTN" */

enum { TRAILER_VERSION = 1, TRAILER_OFFSET_CHECKSUM = 48 };

void thin_name(uint32_t number, bool finished, char out_name[SEGMENT_NAME_SIZE])
{
    segment_name_with(number, finished ? ".thin" : ".thin.new", out_name);
}

uint32_t thin_parse_name(const char *name, bool *out_finished)
{
    return segment_parse_with(name, ".thin", ".thin.new", out_finished);
}

/* ---- frames ---- */

void thin_encode_frame(uint8_t *out, const struct frame_header *original,
                       const struct segment_entry *entry, struct bytes payload, uint64_t store_id)
{
    uint8_t *prefix = out + FRAME_HEADER_SIZE;
    struct frame_header header = {
        .kind = LEDGER_THIN,
        .length = (uint32_t)(THIN_PREFIX_SIZE + payload.size),
        .sequence = original->sequence,
        .group = original->group,
        .previous = original->previous,
        .height = original->height,
    };
    ensure(original->sequence == entry->sequence);
    memset(prefix, 0, THIN_PREFIX_SIZE);
    prefix[0] = entry->kind;
    prefix[1] = entry->level;
    bytes_store_le32(prefix + 4, entry->offset);
    bytes_store_le32(prefix + 8, entry->size);
    bytes_store_le64(prefix + 16, entry->checksum);
    if (payload.size != 0) {
        memcpy(prefix + THIN_PREFIX_SIZE, payload.data, payload.size);
    }
    frame_encode(out, &header, store_id);
}

bool thin_decode_frame(struct bytes frame, uint64_t store_id, struct frame_header *out_original,
                       struct segment_entry *out_entry, struct bytes *out_payload)
{
    struct frame_header header;
    if (frame.size < FRAME_HEADER_SIZE + THIN_PREFIX_SIZE ||
        frame_decode(frame.data, store_id, &header) != FRAME_GOOD || header.kind != LEDGER_THIN ||
        header.length < THIN_PREFIX_SIZE || frame_size(&header) > frame.size ||
        !frame_check(frame.data, &header, store_id)) {
        return false;
    }
    const uint8_t *prefix = frame.data + FRAME_HEADER_SIZE;
    struct segment_entry entry = {
        .kind = prefix[0],
        .level = prefix[1],
        .offset = bytes_load_le32(prefix + 4),
        .size = bytes_load_le32(prefix + 8),
        .checksum = bytes_load_le64(prefix + 16),
        .sequence = header.sequence,
        .height = header.height,
        .count = 1,
        .thin = true,
        .at_size = frame_size(&header),
    };
    if (entry.kind == 0 || entry.size < FRAME_HEADER_SIZE) {
        return false;
    }
    *out_original = header;
    out_original->kind = entry.kind;
    out_original->length = entry.size - FRAME_HEADER_SIZE;
    out_original->checksum = entry.checksum;
    *out_entry = entry;
    *out_payload = bytes_of(prefix + THIN_PREFIX_SIZE, header.length - THIN_PREFIX_SIZE);
    return true;
}

/* ---- the index ---- */

uint64_t thin_encode_index(uint8_t *out, uint32_t number, const struct segment_entry *entries,
                           uint32_t count, uint64_t store_id)
{
    ensure(count >= 1);
    ensure(count <= THIN_ENTRIES_MAX);
    struct frame_header header = {
        .kind = LEDGER_THIN_INDEX,
        .length = thin_index_size(count) - FRAME_HEADER_SIZE,
        .sequence = entries[0].sequence,
        .group = entries[0].sequence,
    };
    uint8_t *at = out + FRAME_HEADER_SIZE;
    bytes_store_le32(at, number);
    bytes_store_le32(at + 4, count);
    bytes_store_le64(at + 8, entries[0].sequence);
    at += THIN_INDEX_HEAD_SIZE;
    for (uint32_t i = 0; i < count; i++, at += THIN_ENTRY_SIZE) {
        const struct segment_entry *entry = &entries[i];
        ensure(entry->thin);
        ensure(entry->sequence == entries[0].sequence + i);
        bytes_store_le32(at, entry->at);
        bytes_store_le32(at + 4, entry->at_size);
        bytes_store_le32(at + 8, entry->offset);
        bytes_store_le32(at + 12, entry->size);
        bytes_store_le64(at + 16, entry->height);
        bytes_store_le64(at + 24, entry->checksum);
        at[32] = entry->kind;
        at[33] = entry->level;
        memset(at + 34, 0, THIN_ENTRY_SIZE - 34);
    }
    frame_encode(out, &header, store_id);
    return header.checksum;
}

void thin_decode_entry(const uint8_t *from, uint64_t sequence, struct segment_entry *out_entry)
{
    *out_entry = (struct segment_entry){
        .thin = true,
        .at = bytes_load_le32(from),
        .at_size = bytes_load_le32(from + 4),
        .offset = bytes_load_le32(from + 8),
        .size = bytes_load_le32(from + 12),
        .sequence = sequence,
        .height = bytes_load_le64(from + 16),
        .checksum = bytes_load_le64(from + 24),
        .kind = from[32],
        .level = from[33],
        .count = 1,
    };
}

bool thin_decode_index(struct bytes frame, const struct thin_trailer *trailer, uint64_t store_id,
                       struct segment_entry *out_entries)
{
    struct frame_header header;
    if (frame.size < trailer->index_size ||
        frame_decode(frame.data, store_id, &header) != FRAME_GOOD ||
        header.kind != LEDGER_THIN_INDEX || frame_size(&header) != trailer->index_size ||
        header.checksum != trailer->index_checksum || !frame_check(frame.data, &header, store_id)) {
        return false;
    }
    const uint8_t *at = frame.data + FRAME_HEADER_SIZE;
    if (bytes_load_le32(at) != trailer->number || bytes_load_le32(at + 4) != trailer->count ||
        bytes_load_le64(at + 8) != trailer->first_sequence) {
        return false;
    }
    uint64_t end = 0;
    uint64_t logical_end = 0;
    at += THIN_INDEX_HEAD_SIZE;
    for (uint32_t i = 0; i < trailer->count; i++, at += THIN_ENTRY_SIZE) {
        struct segment_entry *entry = &out_entries[i];
        thin_decode_entry(at, trailer->first_sequence + i, entry);
        if (entry->at < end || entry->at_size < thin_frame_size(0) ||
            (uint64_t)entry->at + entry->at_size > trailer->index_offset ||
            entry->offset < logical_end || entry->size < FRAME_HEADER_SIZE ||
            (uint64_t)entry->offset + entry->size > trailer->segment_size || entry->kind == 0) {
            return false;
        }
        end = (uint64_t)entry->at + entry->at_size;
        logical_end = (uint64_t)entry->offset + entry->size;
    }
    return true;
}

/* ---- the trailer ---- */

void thin_encode_trailer(uint8_t out[SEGMENT_BLOCK], const struct thin_trailer *trailer,
                         uint64_t store_id)
{
    memset(out, 0, SEGMENT_BLOCK);
    bytes_store_le32(out, trailer_magic);
    bytes_store_le32(out + 4, TRAILER_VERSION);
    bytes_store_le32(out + 8, trailer->number);
    bytes_store_le32(out + 12, trailer->index_offset);
    bytes_store_le32(out + 16, trailer->index_size);
    bytes_store_le32(out + 20, trailer->count);
    bytes_store_le64(out + 24, trailer->first_sequence);
    bytes_store_le32(out + 32, trailer->segment_size);
    bytes_store_le64(out + 40, trailer->index_checksum);
    bytes_store_le64(out + TRAILER_OFFSET_CHECKSUM,
                     segment_trailer_sum(out, TRAILER_OFFSET_CHECKSUM, store_id));
}

bool thin_decode_trailer(const uint8_t block[SEGMENT_BLOCK], uint32_t number, uint64_t file_size,
                         uint64_t store_id, struct thin_trailer *out_trailer)
{
    if (bytes_load_le32(block) != trailer_magic || bytes_load_le32(block + 4) != TRAILER_VERSION ||
        bytes_load_le64(block + TRAILER_OFFSET_CHECKSUM) !=
            segment_trailer_sum(block, TRAILER_OFFSET_CHECKSUM, store_id)) {
        return false;
    }
    struct thin_trailer trailer = {
        .number = bytes_load_le32(block + 8),
        .index_offset = bytes_load_le32(block + 12),
        .index_size = bytes_load_le32(block + 16),
        .count = bytes_load_le32(block + 20),
        .first_sequence = bytes_load_le64(block + 24),
        .segment_size = bytes_load_le32(block + 32),
        .index_checksum = bytes_load_le64(block + 40),
    };
    if (trailer.number != number || trailer.count == 0 || trailer.count > THIN_ENTRIES_MAX ||
        trailer.first_sequence == 0 || trailer.first_sequence > UINT64_MAX - trailer.count ||
        trailer.index_size != thin_index_size(trailer.count) ||
        trailer.index_offset % FRAME_ALIGNMENT != 0 ||
        segment_align((uint64_t)trailer.index_offset + trailer.index_size) + SEGMENT_BLOCK !=
            file_size) {
        return false;
    }
    *out_trailer = trailer;
    return true;
}
