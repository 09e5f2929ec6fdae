/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/arc.h"

#include <string.h>
#include <xxhash.h>
#include <zdict.h>
#include <zstd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

enum {
    HEADER_OFFSET_CHECKSUM = 112,
    LEVEL = 12,      /* packed once, on a worker, and read for years */
    SAMPLES_MIN = 8, /* fewer teach nothing */
    DICTIONARY_PART = 256,
};

static const uint32_t header_magic = 0x43525453; /* "STRC" */
static const uint32_t index_magic = 0x49525453;  /* "STRI" */

/* ---- names ---- */

void arc_name(uint32_t number, bool finished, char out_name[SEGMENT_NAME_SIZE])
{
    segment_name_with(number, finished ? ".arc" : ".arc.new", out_name);
}

uint32_t arc_parse_name(const char *name, bool *out_finished)
{
    return segment_parse_with(name, ".arc", ".arc.new", out_finished);
}

/* ---- header and index ---- */

uint64_t arc_sum(struct bytes data, uint64_t store_id)
{
    return XXH3_64bits_withSeed(data.data, data.size, store_id);
}

void arc_encode_header(uint8_t out[SEGMENT_BLOCK], const struct arc_header *header,
                       uint64_t store_id)
{
    memset(out, 0, SEGMENT_BLOCK);
    bytes_store_le32(out, header_magic);
    bytes_store_le32(out + 4, ARC_VERSION);
    bytes_store_le32(out + 8, header->number);
    bytes_store_le32(out + 12, header->thin ? 1 : 0);
    bytes_store_le32(out + 16, header->segment_size);
    bytes_store_le32(out + 20, header->file_size);
    bytes_store_le32(out + 24, header->dictionary_size);
    bytes_store_le32(out + 28, header->dictionary_offsets[0]);
    bytes_store_le32(out + 32, header->dictionary_offsets[1]);
    bytes_store_le32(out + 36, header->group_count);
    bytes_store_le64(out + 40, header->dictionary_sum);
    bytes_store_le32(out + 48, header->index_offsets[0]);
    bytes_store_le32(out + 52, header->index_offsets[1]);
    bytes_store_le64(out + 56, header->index_sum);
    bytes_store_le64(out + 64, header->first_sequence);
    bytes_store_le64(out + 72, header->last_sequence);
    bytes_store_le64(out + 80, header->lowest);
    bytes_store_le64(out + 88, header->highest);
    bytes_store_le32(out + 96, header->block_count);
    bytes_store_le64(out + HEADER_OFFSET_CHECKSUM,
                     segment_trailer_sum(out, HEADER_OFFSET_CHECKSUM, store_id));
}

/* A part of SIZE bytes at OFFSET lies between the headers, from a block on. */
static bool is_inside(const struct arc_header *header, uint32_t offset, uint64_t size)
{
    return offset >= SEGMENT_BLOCK && offset % SEGMENT_BLOCK == 0 &&
           offset + size <= header->file_size - SEGMENT_BLOCK;
}

static bool is_sane(const struct arc_header *header)
{
    bool good =
        header->group_count >= 1 && header->group_count <= ARC_GROUPS_MAX &&
        header->segment_size % SEGMENT_BLOCK == 0 && header->segment_size >= 2 * SEGMENT_BLOCK &&
        header->file_size >= 2 * SEGMENT_BLOCK && header->dictionary_size <= ARC_DICTIONARY_MAX &&
        header->last_sequence >= header->first_sequence;
    for (unsigned i = 0; i < 2 && good; i++) {
        good = is_inside(header, header->index_offsets[i], arc_index_size(header->group_count)) &&
               (header->dictionary_size == 0 ||
                is_inside(header, header->dictionary_offsets[i], header->dictionary_size));
    }
    return good;
}

enum frame_status arc_decode_header(const uint8_t block[SEGMENT_BLOCK], uint32_t number,
                                    uint64_t file_size, uint64_t store_id,
                                    struct arc_header *out_header)
{
    if (bytes_load_le32(block) != header_magic ||
        bytes_load_le64(block + HEADER_OFFSET_CHECKSUM) !=
            segment_trailer_sum(block, HEADER_OFFSET_CHECKSUM, store_id)) {
        return FRAME_BAD;
    }
    if (bytes_load_le32(block + 4) != ARC_VERSION) {
        return FRAME_NEWER;
    }
    struct arc_header header = {
        .number = bytes_load_le32(block + 8),
        .thin = bytes_load_le32(block + 12) == 1,
        .segment_size = bytes_load_le32(block + 16),
        .file_size = bytes_load_le32(block + 20),
        .dictionary_size = bytes_load_le32(block + 24),
        .dictionary_offsets = {bytes_load_le32(block + 28), bytes_load_le32(block + 32)},
        .group_count = bytes_load_le32(block + 36),
        .dictionary_sum = bytes_load_le64(block + 40),
        .index_offsets = {bytes_load_le32(block + 48), bytes_load_le32(block + 52)},
        .index_sum = bytes_load_le64(block + 56),
        .first_sequence = bytes_load_le64(block + 64),
        .last_sequence = bytes_load_le64(block + 72),
        .lowest = bytes_load_le64(block + 80),
        .highest = bytes_load_le64(block + 88),
        .block_count = bytes_load_le32(block + 96),
    };
    if (header.number != number || header.file_size != file_size || !is_sane(&header)) {
        return FRAME_BAD;
    }
    *out_header = header;
    return FRAME_GOOD;
}

uint64_t arc_encode_index(uint8_t *out, uint32_t number, const struct arc_group *groups,
                          uint32_t count, uint64_t store_id)
{
    uint8_t *at = out + ARC_INDEX_HEAD_SIZE;
    ensure(count >= 1 && count <= ARC_GROUPS_MAX);
    memset(out, 0, arc_index_size(count));
    bytes_store_le32(out, index_magic);
    bytes_store_le32(out + 4, number);
    bytes_store_le32(out + 8, count);
    for (uint32_t i = 0; i < count; i++, at += ARC_ENTRY_SIZE) {
        const struct arc_group *group = &groups[i];
        bytes_store_le32(at, group->offset);
        bytes_store_le32(at + 4, group->size);
        bytes_store_le32(at + 8, group->at);
        bytes_store_le32(at + 12, group->at_size);
        bytes_store_le64(at + 16, group->sequence);
        bytes_store_le64(at + 24, group->sum);
        bytes_store_le64(at + 32, group->at_sum);
        at[40] = group->is_stored ? 1 : 0;
    }
    return arc_sum(bytes_of(out, arc_index_size(count)), store_id);
}

bool arc_decode_index(struct bytes index, const struct arc_header *header, uint64_t store_id,
                      struct arc_group *out_groups)
{
    if (index.size != arc_index_size(header->group_count) ||
        arc_sum(index, store_id) != header->index_sum ||
        bytes_load_le32(index.data) != index_magic ||
        bytes_load_le32(index.data + 4) != header->number ||
        bytes_load_le32(index.data + 8) != header->group_count) {
        return false;
    }
    const uint8_t *at = index.data + ARC_INDEX_HEAD_SIZE;
    uint64_t end = SEGMENT_BLOCK + segment_align(header->dictionary_size);
    uint64_t at_end = 0;
    uint64_t sequence = header->first_sequence;
    for (uint32_t i = 0; i < header->group_count; i++, at += ARC_ENTRY_SIZE) {
        struct arc_group *group = &out_groups[i];
        *group = (struct arc_group){
            .offset = bytes_load_le32(at),
            .size = bytes_load_le32(at + 4),
            .at = bytes_load_le32(at + 8),
            .at_size = bytes_load_le32(at + 12),
            .sequence = bytes_load_le64(at + 16),
            .sum = bytes_load_le64(at + 24),
            .at_sum = bytes_load_le64(at + 32),
            .is_stored = at[40] == 1,
        };
        if (group->offset != end || group->size == 0 || group->at < at_end || group->at_size == 0 ||
            group->at_size > ARC_GROUP_MAX || group->size > group->at_size ||
            group->sequence < sequence) {
            return false;
        }
        end += group->size;
        at_end = (uint64_t)group->at + group->at_size;
        sequence = group->sequence;
    }
    return segment_align(end) == header->index_offsets[0] && at_end <= header->segment_size;
}

/* ---- packing ---- */

uint32_t arc_dictionary_size(uint64_t size)
{
    uint64_t wanted = size / DICTIONARY_PART;
    return wanted < ARC_DICTIONARY_MIN   ? ARC_DICTIONARY_MIN
           : wanted > ARC_DICTIONARY_MAX ? ARC_DICTIONARY_MAX
                                         : (uint32_t)wanted;
}

uint32_t arc_train(struct bytes data, uint8_t *out, uint32_t capacity)
{
    size_t count = (data.size + ARC_SAMPLE_SIZE - 1) / ARC_SAMPLE_SIZE;
    if (count < SAMPLES_MIN) {
        return 0;
    }
    size_t *sizes = memory_alloc(count * sizeof(*sizes));
    if (sizes == NULL) {
        return 0; /* it is packed without one */
    }
    for (size_t i = 0; i < count; i++) {
        sizes[i] = ARC_SAMPLE_SIZE;
    }
    sizes[count - 1] = data.size - (count - 1) * ARC_SAMPLE_SIZE;
    size_t size = ZDICT_trainFromBuffer(out, capacity, data.data, sizes, (unsigned)count);
    memory_free(sizes);
    return ZDICT_isError(size) != 0 ? 0 : (uint32_t)size;
}

struct arc_packer {
    ZSTD_CCtx *context;
    ZSTD_CDict *dictionary; /* NULL: none */
};

int arc_packer_create(struct bytes dictionary, struct arc_packer **out_packer)
{
    struct arc_packer *packer = memory_alloc_zeroed(1, sizeof(*packer));
    if (packer == NULL) {
        return STOA_ENOMEM;
    }
    packer->context = ZSTD_createCCtx();
    if (dictionary.size != 0) {
        packer->dictionary = ZSTD_createCDict(dictionary.data, dictionary.size, LEVEL);
    }
    if (packer->context == NULL || (dictionary.size != 0 && packer->dictionary == NULL)) {
        arc_packer_destroy(packer);
        return STOA_ENOMEM;
    }
    *out_packer = packer;
    return 0;
}

void arc_packer_destroy(struct arc_packer *packer)
{
    if (packer == NULL) {
        return;
    }
    (void)ZSTD_freeCDict(packer->dictionary); /* it cannot fail */
    (void)ZSTD_freeCCtx(packer->context);
    memory_free(packer);
}

uint64_t arc_pack_bound(uint64_t size)
{
    return ZSTD_compressBound(size);
}

int arc_pack(struct arc_packer *packer, struct bytes data, uint64_t store_id, uint8_t *out,
             struct arc_group *group)
{
    uint64_t bound = arc_pack_bound(data.size);
    size_t size = packer->dictionary != NULL
                      ? ZSTD_compress_usingCDict(packer->context, out, bound, data.data, data.size,
                                                 packer->dictionary)
                      : ZSTD_compressCCtx(packer->context, out, bound, data.data, data.size, LEVEL);
    if (ZSTD_isError(size) != 0) {
        return STOA_ENOMEM; /* there is room for it: nothing else can be short */
    }
    group->is_stored = size >= data.size;
    if (group->is_stored) {
        memcpy(out, data.data, data.size);
        size = data.size;
    }
    group->size = (uint32_t)size;
    group->at_size = (uint32_t)data.size;
    group->sum = arc_sum(bytes_of(out, size), store_id);
    group->at_sum = arc_sum(data, store_id);
    return 0;
}

/* ---- unpacking ---- */

struct arc_unpacker {
    ZSTD_DCtx *context;
};

int arc_unpacker_create(struct arc_unpacker **out_unpacker)
{
    struct arc_unpacker *unpacker = memory_alloc_zeroed(1, sizeof(*unpacker));
    if (unpacker == NULL) {
        return STOA_ENOMEM;
    }
    unpacker->context = ZSTD_createDCtx();
    if (unpacker->context == NULL) {
        memory_free(unpacker);
        return STOA_ENOMEM;
    }
    *out_unpacker = unpacker;
    return 0;
}

void arc_unpacker_destroy(struct arc_unpacker *unpacker)
{
    if (unpacker != NULL) {
        (void)ZSTD_freeDCtx(unpacker->context); /* it cannot fail */
        memory_free(unpacker);
    }
}

/* Why zstd makes nothing of DICTIONARY: it does not say whether there was no memory. */
static int judge_dictionary(struct bytes dictionary)
{
    bool trained = dictionary.size >= sizeof(uint32_t) &&
                   bytes_load_le32(dictionary.data) == ZSTD_MAGIC_DICTIONARY;
    size_t size = trained ? ZDICT_getDictHeaderSize(dictionary.data, dictionary.size) : 0;
    return ZDICT_isError(size) != 0 ? STOA_ECORRUPT : STOA_ENOMEM;
}

int arc_map_create(const struct arc_header *header, uint64_t store_id, struct bytes dictionary,
                   struct arc_map **out_map)
{
    struct arc_map *map = memory_alloc_zeroed(1, sizeof(*map));
    if (map == NULL) {
        return STOA_ENOMEM;
    }
    map->header = *header;
    map->store_id = store_id;
    map->groups = memory_alloc(header->group_count * sizeof(*map->groups));
    if (dictionary.size != 0) {
        map->dictionary = ZSTD_createDDict(dictionary.data, dictionary.size);
    }
    if (map->groups == NULL || (dictionary.size != 0 && map->dictionary == NULL)) {
        int result = map->groups == NULL ? STOA_ENOMEM : judge_dictionary(dictionary);
        arc_map_destroy(map);
        return result;
    }
    *out_map = map;
    return 0;
}

void arc_map_destroy(struct arc_map *map)
{
    if (map != NULL) {
        (void)ZSTD_freeDDict(map->dictionary); /* it cannot fail */
        memory_free(map->groups);
        memory_free(map);
    }
}

uint32_t arc_map_find(const struct arc_map *map, uint64_t sequence)
{
    uint32_t low = 0;
    uint32_t high = map->header.group_count - 1;
    while (low < high) { /* the last that does not begin behind it */
        uint32_t middle = low + (high - low + 1) / 2;
        if (map->groups[middle].sequence <= sequence) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

uint32_t arc_map_find_at(const struct arc_map *map, uint64_t at)
{
    uint32_t low = 0;
    uint32_t high = map->header.group_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct arc_group *group = &map->groups[middle];
        if ((uint64_t)group->at + group->at_size > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

bool arc_unpack(struct arc_unpacker *unpacker, const struct arc_map *map,
                const struct arc_group *group, const uint8_t *packed, uint8_t *out)
{
    if (arc_sum(bytes_of(packed, group->size), map->store_id) != group->sum) {
        return false;
    }
    size_t size = group->at_size;
    if (group->is_stored) {
        if (group->size != size) {
            return false;
        }
        memcpy(out, packed, size);
    } else if (map->dictionary != NULL) {
        size = ZSTD_decompress_usingDDict(unpacker->context, out, size, packed, group->size,
                                          map->dictionary);
    } else {
        size = ZSTD_decompressDCtx(unpacker->context, out, size, packed, group->size);
    }
    return size == group->at_size && arc_sum(bytes_of(out, size), map->store_id) == group->at_sum;
}

void arc_map_stretch(const struct arc_map *map, uint64_t at, uint64_t size,
                     struct arc_stretch *out_stretch)
{
    const struct arc_group *groups = map->groups;
    uint32_t first = arc_map_find_at(map, at);
    uint32_t end = first;
    while (end < map->header.group_count && groups[end].at < at + size) {
        end++;
    }
    *out_stretch = (struct arc_stretch){.first = first, .end = end, .at = at, .at_size = size};
    if (end == first) {
        return;
    }
    uint64_t at_end = (uint64_t)groups[end - 1].at + groups[end - 1].at_size;
    at_end = at_end > at + size ? at_end : at + size;
    out_stretch->at = groups[first].at < at ? groups[first].at : at;
    out_stretch->at_size = at_end - out_stretch->at;
    out_stretch->offset = groups[first].offset;
    out_stretch->size =
        (uint64_t)groups[end - 1].offset + groups[end - 1].size - groups[first].offset;
}

bool arc_unpack_stretch(struct arc_unpacker *unpacker, const struct arc_map *map,
                        const struct arc_stretch *stretch, const uint8_t *packed, uint8_t *out)
{
    memset(out, 0, stretch->at_size);
    for (uint32_t i = stretch->first; i < stretch->end; i++) {
        const struct arc_group *group = &map->groups[i];
        if (!arc_unpack(unpacker, map, group, packed + (group->offset - stretch->offset),
                        out + (group->at - stretch->at))) {
            return false;
        }
    }
    return true;
}
