/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_pack_private.h"

bool pack_reserve(uint8_t **buffer, uint64_t *capacity, uint64_t kept, uint64_t size)
{
    if (size <= *capacity) {
        return true;
    }
    uint64_t larger = segment_align(size + (kept != 0 ? size / 2 : 0));
    uint8_t *grown = memory_alloc_aligned(larger, IO_ALIGNMENT);
    if (grown == NULL) {
        return false;
    }
    if (kept != 0) {
        memcpy(grown, *buffer, kept);
    }
    memory_free(*buffer);
    *buffer = grown;
    *capacity = larger;
    return true;
}

void pack_work_deinit(struct ledger_pack *pack)
{
    memory_free(pack->groups);
    memory_free(pack->samples);
    memory_free(pack->dictionary);
    memory_free(pack->check);
    arc_packer_destroy(pack->packer);
    arc_unpacker_destroy(pack->unpacker);
}

/* Room for SIZE bytes more in the output; what is there already stays. */
static uint8_t *reserve_output(struct ledger_pack *pack, uint64_t size)
{
    return pack_reserve(&pack->output, &pack->output_capacity, pack->output_size,
                        segment_align(pack->output_size + size))
               ? pack->output + pack->output_size
               : NULL;
}

/* ---- groups ---- */

static void add_group(struct ledger_pack *pack, uint64_t at, uint64_t size, uint64_t sequence)
{
    ensure(pack->group_count < ARC_GROUPS_MAX);
    pack->groups[pack->group_count++] =
        (struct arc_group){.at = (uint32_t)at, .at_size = (uint32_t)size, .sequence = sequence};
}

static void note_block(struct arc_header *header, const struct segment_entry *entry)
{
    if (entry->kind != LEDGER_BLOCK && entry->kind != LEDGER_STATE) {
        return;
    }
    header->block_count += entry->kind == LEDGER_BLOCK;
    header->lowest = entry->height < header->lowest ? entry->height : header->lowest;
    header->highest = entry->height > header->highest ? entry->height : header->highest;
}

bool pack_make_groups(struct ledger_pack *pack)
{
    const struct ledger_outline *outline = &pack->outline;
    const struct segment_entry *last = &outline->entries[outline->count - 1];
    pack->groups = memory_alloc(((uint64_t)outline->count + 2) * sizeof(*pack->groups));
    if (pack->groups == NULL) {
        return false;
    }
    pack->header.lowest = UINT64_MAX;
    for (uint32_t i = 0; i < outline->count; i++) {
        const struct segment_entry *entry = &outline->entries[i];
        uint64_t at = segment_entry_at(entry);
        uint64_t size = segment_entry_size(entry);
        struct arc_group *group =
            pack->group_count != 0 ? &pack->groups[pack->group_count - 1] : NULL;
        bool joins = size < ARC_GROUP_SIZE && entry->kind != LEDGER_SEAL; /* that finds the rest */
        if (group != NULL && group->at_size < ARC_GROUP_SIZE && joins) {
            group->at_size = (uint32_t)(at + size - group->at);
        } else {
            add_group(pack, at, size, entry->sequence);
        }
        note_block(&pack->header, entry);
    }
    if (outline->thin) {
        add_group(pack, outline->trailer.index_offset, outline->trailer.index_size,
                  last->sequence + 1);
    }
    add_group(pack, outline->size - SEGMENT_BLOCK, SEGMENT_BLOCK, last->sequence + 1);
    bool none = pack->header.lowest > pack->header.highest;
    pack->header.lowest = none ? 0 : pack->header.lowest;
    pack->header.number = pack->number;
    pack->header.thin = outline->thin;
    pack->header.segment_size = (uint32_t)outline->size;
    pack->header.group_count = pack->group_count;
    pack->header.first_sequence = outline->entries[0].sequence;
    pack->header.last_sequence = last->sequence;
    return true;
}

/* ---- samples ---- */

bool pack_next_sample(struct ledger_pack *pack, uint64_t *out_offset, uint64_t *out_size)
{
    const struct thin_trailer *trailer = &pack->outline.trailer;
    uint64_t area = trailer->index_offset & ~(uint64_t)(SEGMENT_BLOCK - 1); /* where frames are */
    if (pack->samples == NULL) {
        uint64_t wanted = (uint64_t)arc_dictionary_size(area) * ARC_SAMPLES_FACTOR;
        wanted = wanted < area ? wanted : area;
        pack->sample_count = (unsigned)((wanted + PACK_SAMPLE_SIZE - 1) / PACK_SAMPLE_SIZE);
        if (!pack_reserve(&pack->samples, &pack->samples_capacity, 0,
                          (uint64_t)pack->sample_count * PACK_SAMPLE_SIZE + SEGMENT_BLOCK)) {
            return false; /* it is packed without a dictionary */
        }
    }
    if (pack->sample_next >= pack->sample_count) {
        return false;
    }
    uint64_t start = area / pack->sample_count * pack->sample_next++;
    start &= ~(uint64_t)(SEGMENT_BLOCK - 1);
    *out_offset = start;
    *out_size = area - start < PACK_SAMPLE_SIZE ? area - start : PACK_SAMPLE_SIZE;
    return true;
}

void pack_take_sample(struct ledger_pack *pack, struct bytes data)
{
    ensure(pack->samples_size + data.size <= pack->samples_capacity);
    memcpy(pack->samples + pack->samples_size, data.data, data.size);
    pack->samples_size += data.size;
}

static void pad_output(struct ledger_pack *pack)
{
    uint64_t end = segment_align(pack->output_size);
    memset(pack->output + pack->output_size, 0, end - pack->output_size);
    pack->output_size = end;
}

static int put_dictionary(struct ledger_pack *pack)
{
    uint32_t size = pack->header.dictionary_size;
    uint8_t *out = reserve_output(pack, size);
    if (out == NULL) {
        return STOA_ENOMEM;
    }
    memcpy(out, pack->dictionary, size);
    pack->output_size += size;
    pad_output(pack);
    return 0;
}

static int train(struct ledger_pack *pack)
{
    uint32_t capacity = arc_dictionary_size(pack->outline.trailer.index_offset);
    struct arc_header *header = &pack->header;
    pack->dictionary = memory_alloc(capacity);
    if (pack->dictionary == NULL) {
        return STOA_ENOMEM;
    }
    header->dictionary_size =
        arc_train(bytes_of(pack->samples, pack->samples_size), pack->dictionary, capacity);
    struct bytes dictionary = bytes_of(pack->dictionary, header->dictionary_size);
    memory_free(pack->samples);
    pack->samples = NULL;
    header->dictionary_sum = arc_sum(dictionary, pack->ledger->store_id);
    int result = arc_packer_create(dictionary, &pack->packer);
    if (result == 0) {
        result = arc_map_create(header, pack->ledger->store_id, dictionary, &pack->map);
    }
    if (result == 0 && header->dictionary_size != 0) {
        header->dictionary_offsets[0] = SEGMENT_BLOCK;
        result = put_dictionary(pack);
    }
    return result;
}

void pack_work_train(struct ledger_pack *pack)
{
    pack->work_result = train(pack);
    pack->work_what = "no memory";
}

/* ---- pieces ---- */

void pack_next_piece(struct ledger_pack *pack, uint64_t *out_end)
{
    pack->piece_end = pack->next;
    uint64_t end = pack->position;
    if (pack->groups[pack->next].at - pack->position > PACK_PIECE_SIZE) {
        end += PACK_PIECE_SIZE; /* nothing but zeros */
    } else {
        while (pack->piece_end < pack->group_count) {
            const struct arc_group *group = &pack->groups[pack->piece_end];
            uint64_t group_end = (uint64_t)group->at + group->at_size;
            if (pack->piece_end != pack->next && group_end - pack->position > PACK_PIECE_SIZE) {
                break;
            }
            end = group_end;
            pack->piece_end++;
        }
    }
    pack->piece_position = end;
    *out_end = end;
}

static bool is_zero_to(struct ledger_pack *pack, uint64_t end)
{
    bool zero =
        frame_is_zero(pack->input + (pack->position - pack->input_offset), end - pack->position);
    pack->position = end;
    return zero;
}

/* The frames of GROUP are sound, and zeros are around them. */
static bool check_group(struct ledger_pack *pack, const struct arc_group *group)
{
    const struct ledger_outline *outline = &pack->outline;
    uint64_t end = (uint64_t)group->at + group->at_size;
    bool sound = is_zero_to(pack, group->at);
    while (sound && pack->entry < outline->count &&
           segment_entry_at(&outline->entries[pack->entry]) < end) {
        const struct segment_entry *entry = &outline->entries[pack->entry++];
        uint64_t at = segment_entry_at(entry);
        struct frame_header header;
        struct bytes payload;
        sound = is_zero_to(pack, at) &&
                ledger_outline_take_frame(outline, entry, pack->input + (at - pack->input_offset),
                                          &header, &payload);
        pack->position = at + segment_entry_size(entry);
    }
    pack->position = end; /* index and trailer were checked before */
    return sound;
}

/* Pack GROUP to the output, and see that it comes out again as it was. */
static int pack_group(struct ledger_pack *pack, struct arc_group *group)
{
    struct bytes data = bytes_of(pack->input + (group->at - pack->input_offset), group->at_size);
    uint8_t *out = reserve_output(pack, arc_pack_bound(data.size));
    if (out == NULL || !pack_reserve(&pack->check, &pack->check_capacity, 0, data.size)) {
        return STOA_ENOMEM;
    }
    group->offset = (uint32_t)(pack->written + pack->output_size);
    int result = arc_pack(pack->packer, data, pack->ledger->store_id, out, group);
    if (result != 0) {
        return result;
    }
    if (!arc_unpack(pack->unpacker, pack->map, group, out, pack->check) ||
        memcmp(pack->check, data.data, data.size) != 0) {
        return STOA_EIO;
    }
    pack->output_size += group->size;
    return 0;
}

static int put_index(struct ledger_pack *pack)
{
    uint32_t size = arc_index_size(pack->group_count);
    uint8_t *out = reserve_output(pack, size);
    if (out == NULL) {
        return STOA_ENOMEM;
    }
    pack->header.index_sum = arc_encode_index(out, pack->number, pack->groups, pack->group_count,
                                              pack->ledger->store_id);
    pack->output_size += size;
    pad_output(pack);
    return 0;
}

static uint32_t here(const struct ledger_pack *pack)
{
    return (uint32_t)(pack->written + pack->output_size);
}

/* What stands behind the groups. */
static int finish(struct ledger_pack *pack)
{
    struct arc_header *header = &pack->header;
    int result = reserve_output(pack, SEGMENT_BLOCK) == NULL ? STOA_ENOMEM : 0;
    if (result == 0) {
        pad_output(pack);
        header->index_offsets[0] = here(pack);
        result = put_index(pack);
    }
    if (result == 0 && header->dictionary_size != 0) {
        header->dictionary_offsets[1] = here(pack);
        result = put_dictionary(pack);
    }
    if (result == 0) {
        header->index_offsets[1] = here(pack);
        result = put_index(pack);
    }
    uint8_t *out = result == 0 ? reserve_output(pack, SEGMENT_BLOCK) : NULL;
    if (out == NULL) {
        return STOA_ENOMEM;
    }
    header->file_size = here(pack) + SEGMENT_BLOCK;
    arc_encode_header(pack->block, header, pack->ledger->store_id);
    memcpy(out, pack->block, SEGMENT_BLOCK);
    pack->output_size += SEGMENT_BLOCK;
    pack->is_last_step = true;
    return 0;
}

static int compress(struct ledger_pack *pack)
{
    int result = 0;
    if (pack->next == pack->piece_end) {
        return is_zero_to(pack, pack->piece_position) ? 0 : STOA_ECORRUPT;
    }
    for (; pack->next < pack->piece_end && result == 0; pack->next++) {
        struct arc_group *group = &pack->groups[pack->next];
        result = check_group(pack, group) ? pack_group(pack, group) : STOA_ECORRUPT;
    }
    return result == 0 && pack->next == pack->group_count ? finish(pack) : result;
}

void pack_work_compress(struct ledger_pack *pack)
{
    pack->work_result = compress(pack);
    pack->work_what = pack->work_result == STOA_ECORRUPT ? "frames of it are damaged"
                      : pack->work_result == STOA_EIO    ? "what was packed comes out otherwise"
                                                         : "no memory";
}

/* ---- unpacking ---- */

/* Where the next group begins, or the file ends. */
static uint64_t gap_end(const struct ledger_pack *pack)
{
    return pack->next < pack->group_count ? pack->map->groups[pack->next].at
                                          : pack->header.segment_size;
}

bool pack_is_gap(const struct ledger_pack *pack)
{
    return gap_end(pack) > pack->position;
}

int pack_fill_gap(struct ledger_pack *pack)
{
    uint64_t size = gap_end(pack) - pack->position;
    size = size < PACK_PIECE_SIZE ? size : PACK_PIECE_SIZE;
    uint8_t *out = reserve_output(pack, size);
    if (out == NULL) {
        return STOA_ENOMEM;
    }
    memset(out, 0, size);
    pack->output_size += size;
    pack->position += size;
    pack->is_last_step = pack->position == pack->header.segment_size;
    return 0;
}

int pack_unpack_piece(struct ledger_pack *pack)
{
    for (; pack->next < pack->piece_end; pack->next++) {
        const struct arc_group *group = &pack->map->groups[pack->next];
        uint64_t gap = group->at - pack->position;
        uint8_t *out = reserve_output(pack, gap + group->at_size);
        if (out == NULL) {
            return STOA_ENOMEM;
        }
        memset(out, 0, gap);
        if (!arc_unpack(pack->unpacker, pack->map, group,
                        pack->input + (group->offset - pack->input_offset), out + gap)) {
            return STOA_ECORRUPT;
        }
        pack->output_size += gap + group->at_size;
        pack->position = (uint64_t)group->at + group->at_size;
    }
    pack->is_last_step = pack->position == pack->header.segment_size;
    return 0;
}
