/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/segment.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/ensure.h"
#include "ledger/frame.h"

static const uint32_t trailer_magic = 0x52545453; /* "STTR" */

enum {
    NAME_DIGITS = 8,
    TRAILER_VERSION = 1,
    TRAILER_OFFSET_CHECKSUM = 40,
    ENTRY_DAMAGED = 1,
    MARK_CLEAN = 1,
};

void segment_name_with(uint32_t number, const char *suffix, char out_name[SEGMENT_NAME_SIZE])
{
    ensure(number >= 1);
    ensure(number <= 99999999);
    int length = snprintf(out_name, SEGMENT_NAME_SIZE, "%08u%s", number, suffix);
    ensure(length > NAME_DIGITS && length < SEGMENT_NAME_SIZE);
}

uint32_t segment_parse_with(const char *name, const char *suffix, const char *unfinished,
                            bool *out_finished)
{
    uint32_t number = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return 0;
        }
        number = number * 10 + (uint32_t)(name[i] - '0');
    }
    bool finished = strcmp(name + NAME_DIGITS, suffix) == 0;
    if (!finished && strcmp(name + NAME_DIGITS, unfinished) != 0) {
        return 0;
    }
    *out_finished = finished;
    return number;
}

void segment_name(uint32_t number, bool finished, char out_name[SEGMENT_NAME_SIZE])
{
    segment_name_with(number, finished ? ".seg" : ".new", out_name);
}

uint32_t segment_parse_name(const char *name, bool *out_finished)
{
    return segment_parse_with(name, ".seg", ".new", out_finished);
}

void segment_encode_head(uint8_t out[SEGMENT_HEAD_SIZE], const struct segment_head *head)
{
    memset(out, 0, SEGMENT_HEAD_SIZE);
    bytes_store_le32(out, head->format_version);
    bytes_store_le32(out + 4, head->number);
    bytes_store_le64(out + 8, head->store_id);
    bytes_store_le64(out + 16, head->first_sequence);
    bytes_store_le64(out + 24, head->previous);
    bytes_store_le32(out + 32, head->size);
}

bool segment_decode_head(struct bytes payload, struct segment_head *out_head)
{
    /* A newer format may have a longer payload; its first fields stay, so that it can be named. */
    if (payload.size < SEGMENT_HEAD_SIZE) {
        return false;
    }
    *out_head = (struct segment_head){
        .format_version = bytes_load_le32(payload.data),
        .number = bytes_load_le32(payload.data + 4),
        .store_id = bytes_load_le64(payload.data + 8),
        .first_sequence = bytes_load_le64(payload.data + 16),
        .previous = bytes_load_le64(payload.data + 24),
        .size = bytes_load_le32(payload.data + 32),
    };
    return out_head->format_version > SEGMENT_FORMAT_VERSION || payload.size == SEGMENT_HEAD_SIZE;
}

void segment_encode_seal(uint8_t *out, uint32_t number, const struct segment_entry *entries,
                         uint32_t count)
{
    ensure(count >= 1);
    ensure(count <= SEGMENT_ENTRIES_MAX);
    memset(out, 0, SEGMENT_SEAL_HEAD_SIZE);
    bytes_store_le32(out, number);
    bytes_store_le32(out + 4, count);
    bytes_store_le64(out + 8, entries[0].sequence);
    const struct segment_entry *last = &entries[count - 1];
    bytes_store_le64(out + 16, last->sequence + last->count - 1);
    uint8_t *at = out + SEGMENT_SEAL_HEAD_SIZE;
    for (uint32_t i = 0; i < count; i++, at += SEGMENT_ENTRY_SIZE) {
        const struct segment_entry *entry = &entries[i];
        bytes_store_le32(at, entry->offset);
        bytes_store_le32(at + 4, entry->size);
        bytes_store_le64(at + 8, entry->sequence);
        bytes_store_le64(at + 16, entry->height);
        bytes_store_le64(at + 24, entry->checksum);
        at[32] = entry->kind;
        at[33] = entry->damaged ? ENTRY_DAMAGED : 0;
        bytes_store_le16(at + 34, 0);
        bytes_store_le32(at + 36, entry->count);
    }
}

bool segment_decode_seal(struct bytes payload, uint32_t number, uint64_t file_size,
                         struct segment_entry *out_entries, uint32_t *out_count)
{
    if (payload.size < SEGMENT_SEAL_HEAD_SIZE || bytes_load_le32(payload.data) != number) {
        return false;
    }
    uint32_t count = bytes_load_le32(payload.data + 4);
    if (count == 0 || count > SEGMENT_ENTRIES_MAX || payload.size != segment_seal_size(count)) {
        return false;
    }
    const uint8_t *at = payload.data + SEGMENT_SEAL_HEAD_SIZE;
    uint64_t end = 0;
    uint64_t sequence = bytes_load_le64(payload.data + 8);
    for (uint32_t i = 0; i < count; i++, at += SEGMENT_ENTRY_SIZE) {
        struct segment_entry entry = {
            .offset = bytes_load_le32(at),
            .size = bytes_load_le32(at + 4),
            .sequence = bytes_load_le64(at + 8),
            .height = bytes_load_le64(at + 16),
            .checksum = bytes_load_le64(at + 24),
            .kind = at[32],
            .damaged = at[33] != 0,
            .count = bytes_load_le32(at + 36),
        };
        if (entry.offset < end || (uint64_t)entry.offset + entry.size > file_size ||
            entry.sequence != sequence || entry.count == 0 || sequence == 0 ||
            sequence > UINT64_MAX - entry.count ||
            (entry.kind != 0 && (entry.count != 1 || entry.size < FRAME_HEADER_SIZE))) {
            return false;
        }
        end = (uint64_t)entry.offset + entry.size;
        sequence = entry.sequence + entry.count;
        out_entries[i] = entry;
    }
    *out_count = count;
    return sequence == bytes_load_le64(payload.data + 16) + 1;
}

uint64_t segment_trailer_sum(const uint8_t block[SEGMENT_BLOCK], size_t offset, uint64_t store_id)
{
    uint8_t copy[SEGMENT_BLOCK];
    memcpy(copy, block, SEGMENT_BLOCK);
    bytes_store_le64(copy + offset, 0);
    return XXH3_64bits_withSeed(copy, SEGMENT_BLOCK, store_id);
}

void segment_encode_trailer(uint8_t out[SEGMENT_BLOCK], const struct segment_trailer *trailer,
                            uint64_t store_id)
{
    memset(out, 0, SEGMENT_BLOCK);
    bytes_store_le32(out, trailer_magic);
    bytes_store_le32(out + 4, TRAILER_VERSION);
    bytes_store_le32(out + 8, trailer->number);
    bytes_store_le32(out + 12, trailer->seal_offset);
    bytes_store_le32(out + 16, trailer->seal_size);
    bytes_store_le64(out + 24, trailer->seal_sequence);
    bytes_store_le64(out + 32, trailer->seal_checksum);
    bytes_store_le64(out + TRAILER_OFFSET_CHECKSUM,
                     segment_trailer_sum(out, TRAILER_OFFSET_CHECKSUM, store_id));
}

bool segment_decode_trailer(const uint8_t block[SEGMENT_BLOCK], uint64_t store_id,
                            struct segment_trailer *out_trailer)
{
    if (bytes_load_le32(block) != trailer_magic || bytes_load_le32(block + 4) != TRAILER_VERSION ||
        bytes_load_le64(block + TRAILER_OFFSET_CHECKSUM) !=
            segment_trailer_sum(block, TRAILER_OFFSET_CHECKSUM, store_id)) {
        return false;
    }
    *out_trailer = (struct segment_trailer){
        .number = bytes_load_le32(block + 8),
        .seal_offset = bytes_load_le32(block + 12),
        .seal_size = bytes_load_le32(block + 16),
        .seal_sequence = bytes_load_le64(block + 24),
        .seal_checksum = bytes_load_le64(block + 32),
    };
    return true;
}

void segment_encode_mark(uint8_t out[SEGMENT_MARK_SIZE], bool clean)
{
    memset(out, 0, SEGMENT_MARK_SIZE);
    bytes_store_le32(out, clean ? MARK_CLEAN : 0);
}

bool segment_decode_mark(struct bytes payload, bool *out_clean)
{
    if (payload.size != SEGMENT_MARK_SIZE) {
        return false;
    }
    *out_clean = (bytes_load_le32(payload.data) & MARK_CLEAN) != 0;
    return true;
}

uint32_t segment_frame_max(uint32_t size)
{
    /* Head frame, this frame, two marks, the seal over these four, the trailer. */
    uint64_t head = frame_align(FRAME_HEADER_SIZE + SEGMENT_HEAD_SIZE);
    uint64_t rest = segment_align(FRAME_HEADER_SIZE + segment_seal_size(4)) + 3 * SEGMENT_BLOCK;
    /* One block more: a big frame does not share its group with the head. */
    uint64_t used = segment_align(head) + rest;
    ensure(used + SEGMENT_BLOCK < size);
    return (uint32_t)(size - used);
}
