/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: what the first byte says, a part of a thinned segment, or a packed one; sums are made
 * right unless that byte says not to. What decodes encodes to the same bytes, its places are in
 * order and inside the files, and what is unpacked has the sum it should have.
 *
 * Of a packed one the parts stand one behind the other, each but the last with its size (u16)
 * before it: what is asked for (offset and size, u32 each), the header's fields, dictionary, index,
 * and the groups. */
#include "base/ensure.h"
#include "base/memory.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_seal.h"
#include "ledger/arc.h"
#include "ledger/ledger.h"
#include "ledger/thin.h"

enum { KIND_FRAME, KIND_INDEX, KIND_TRAILER, KIND_ARC, KINDS };
enum {
    NUMBER = 3, /* of the segment */
    THIN_OFFSET_SUM = 48,
    INDEX_PREFIX = 8,   /* in an input: size of the segment, offset of the index */
    TRAILER_PREFIX = 4, /* likewise: size of the file */
    ARC_OFFSET_SUM = 112,
    ARC_FIELDS = 100,  /* bytes of a header that say something */
    OUT_MAX = 1 << 16, /* larger groups are not unpacked, */
    UNPACKED_MAX = 8,  /* nor more than so many */
};

/* ---- frames of a thinned segment ---- */

/* FRAME without what says nothing is what its parts make. */
static void check_frame_again(uint8_t *frame, const struct frame_header *original,
                              const struct segment_entry *entry, struct bytes payload)
{
    uint8_t *again = memory_alloc(entry->at_size);
    ensure(again != NULL);
    thin_encode_frame(again, original, entry, payload, FUZZ_SEAL_STORE);
    bytes_store_le16(frame + FRAME_HEADER_SIZE + 2, 0);
    bytes_store_le32(frame + FRAME_HEADER_SIZE + 12, 0);
    fuzz_seal_frame(frame, entry->at_size - FRAME_HEADER_SIZE);
    ensure(memcmp(again, frame, entry->at_size) == 0);
    memory_free(again);
}

static void check_frame(uint8_t *frame, size_t size, bool raw)
{
    struct frame_header original;
    struct segment_entry entry;
    struct bytes payload;
    if (size < FRAME_HEADER_SIZE) {
        return;
    }
    uint32_t length = bytes_load_le32(frame + 8);
    size_t rest = size - FRAME_HEADER_SIZE;
    if (!raw) {
        fuzz_seal_frame(frame, length < rest ? length : rest);
    }
    if (!thin_decode_frame(bytes_of(frame, size), FUZZ_SEAL_STORE, &original, &entry, &payload)) {
        return;
    }
    ensure(entry.thin && entry.kind != 0 && entry.count == 1);
    ensure(entry.at_size == thin_frame_size((uint32_t)payload.size));
    ensure(entry.at_size <= size);
    ensure(payload.data == frame + FRAME_HEADER_SIZE + THIN_PREFIX_SIZE);
    ensure(original.kind == entry.kind);
    ensure(frame_size(&original) == entry.size);
    ensure(original.sequence == entry.sequence && original.height == entry.height);
    ensure(original.checksum == entry.checksum);
    struct bytes less = bytes_of(frame, entry.at_size - 1);
    ensure(!thin_decode_frame(less, FUZZ_SEAL_STORE, &original, &entry, &payload));
    ensure(!thin_decode_frame(bytes_of(frame, size), FUZZ_SEAL_STORE + 1, &original, &entry,
                              &payload));
    check_frame_again(frame, &original, &entry, payload);
}

/* ---- index and trailer of a thinned segment ---- */

static void check_entries(const struct segment_entry *entries, const struct thin_trailer *trailer)
{
    uint64_t end = 0;
    uint64_t original_end = 0;
    for (uint32_t i = 0; i < trailer->count; i++) {
        const struct segment_entry *entry = &entries[i];
        ensure(entry->thin && entry->kind != 0 && entry->count == 1);
        ensure(entry->sequence == trailer->first_sequence + i);
        ensure(entry->sequence >= trailer->first_sequence);
        ensure(entry->at >= end && entry->at_size >= thin_frame_size(0));
        ensure(entry->offset >= original_end && entry->size >= FRAME_HEADER_SIZE);
        end = (uint64_t)entry->at + entry->at_size;
        original_end = (uint64_t)entry->offset + entry->size;
    }
    ensure(end <= trailer->index_offset);
    ensure(original_end <= trailer->segment_size);
}

/* FRAME decodes to ENTRIES: without what says nothing it is what they make. */
static void check_index_again(uint8_t *frame, const struct thin_trailer *trailer,
                              const struct segment_entry *entries)
{
    uint8_t *again = memory_alloc_zeroed(1, trailer->index_size);
    ensure(again != NULL);
    uint64_t sum =
        thin_encode_index(again, trailer->number, entries, trailer->count, FUZZ_SEAL_STORE);
    for (uint32_t i = 0; i < trailer->count; i++) {
        uint8_t *at =
            frame + FRAME_HEADER_SIZE + THIN_INDEX_HEAD_SIZE + (size_t)i * THIN_ENTRY_SIZE;
        memset(at + 34, 0, THIN_ENTRY_SIZE - 34);
    }
    fuzz_seal_frame(frame, trailer->index_size - FRAME_HEADER_SIZE);
    ensure(memcmp(again, frame, trailer->index_size) == 0);
    ensure(sum == bytes_load_le64(frame + 40));
    memory_free(again);
}

/* DATA: size of the segment, offset of the index, its payload. The trailer says what that does. */
static void check_index(const uint8_t *data, size_t size, bool raw)
{
    struct frame_header header = {.kind = LEDGER_THIN_INDEX};
    if (size < INDEX_PREFIX + THIN_INDEX_HEAD_SIZE + THIN_ENTRY_SIZE) {
        return;
    }
    const uint8_t *payload = data + INDEX_PREFIX;
    uint64_t count = (size - INDEX_PREFIX - THIN_INDEX_HEAD_SIZE) / THIN_ENTRY_SIZE;
    uint64_t first = bytes_load_le64(payload + 8);
    if (count > THIN_ENTRIES_MAX || first == 0 || first > UINT64_MAX - count) {
        return; /* no trailer says that */
    }
    struct thin_trailer trailer = {
        .number = NUMBER,
        .index_offset = bytes_load_le32(data + 4),
        .index_size = thin_index_size((uint32_t)count),
        .count = (uint32_t)count,
        .first_sequence = first,
        .segment_size = bytes_load_le32(data),
    };
    uint8_t *frame = memory_alloc(trailer.index_size);
    struct segment_entry *entries = memory_alloc(count * sizeof(*entries));
    ensure(frame != NULL && entries != NULL);
    memcpy(frame + FRAME_HEADER_SIZE, payload, trailer.index_size - FRAME_HEADER_SIZE);
    header.length = trailer.index_size - FRAME_HEADER_SIZE;
    header.sequence = trailer.first_sequence;
    header.group = trailer.first_sequence;
    frame_encode(frame, &header, FUZZ_SEAL_STORE);
    trailer.index_checksum = header.checksum ^ (raw ? 1 : 0);
    struct bytes whole = bytes_of(frame, trailer.index_size);
    bool good = thin_decode_index(whole, &trailer, FUZZ_SEAL_STORE, entries);
    ensure(!good || !raw);
    if (good) {
        struct bytes less = bytes_of(frame, trailer.index_size - 1);
        ensure(!thin_decode_index(less, &trailer, FUZZ_SEAL_STORE, entries));
        check_entries(entries, &trailer);
        check_index_again(frame, &trailer, entries);
    }
    memory_free(frame);
    memory_free(entries);
}

/* DATA: size of the file, the trailer. */
static void check_trailer(const uint8_t *data, size_t size, bool raw)
{
    struct thin_trailer trailer;
    uint8_t block[SEGMENT_BLOCK] = {0};
    uint8_t again[SEGMENT_BLOCK];
    if (size < TRAILER_PREFIX) {
        return;
    }
    uint64_t file_size = bytes_load_le32(data);
    size_t rest = size - TRAILER_PREFIX;
    memcpy(block, data + TRAILER_PREFIX, rest < sizeof(block) ? rest : sizeof(block));
    if (!raw) {
        fuzz_seal_block(block, THIN_OFFSET_SUM);
    }
    uint32_t number = bytes_load_le32(block + 8);
    if (!thin_decode_trailer(block, number, file_size, FUZZ_SEAL_STORE, &trailer)) {
        return;
    }
    struct thin_trailer other;
    ensure(!thin_decode_trailer(block, number + 1, file_size, FUZZ_SEAL_STORE, &other));
    ensure(!thin_decode_trailer(block, number, file_size + 1, FUZZ_SEAL_STORE, &other));
    ensure(!thin_decode_trailer(block, number, file_size, FUZZ_SEAL_STORE + 1, &other));
    ensure(trailer.count >= 1 && trailer.count <= THIN_ENTRIES_MAX);
    ensure(trailer.first_sequence >= 1);
    ensure(trailer.first_sequence + trailer.count > trailer.first_sequence);
    ensure((uint64_t)trailer.index_offset + trailer.index_size <= file_size - SEGMENT_BLOCK);
    ensure(thin_entry_offset(&trailer, trailer.count) ==
           (uint64_t)trailer.index_offset + trailer.index_size);
    thin_encode_trailer(again, &trailer, FUZZ_SEAL_STORE);
    bytes_store_le32(block + 36, 0);
    memset(block + THIN_OFFSET_SUM, 0, sizeof(block) - THIN_OFFSET_SUM);
    fuzz_seal_block(block, THIN_OFFSET_SUM);
    ensure(memcmp(again, block, sizeof(block)) == 0);
}

/* ---- packed segments ---- */

struct packed {
    uint32_t at; /* what is asked for */
    uint32_t at_size;
    uint8_t block[SEGMENT_BLOCK]; /* the header */
    struct bytes dictionary;
    uint8_t *index; /* owned */
    size_t index_size;
    struct bytes groups;
    struct arc_header header;
};

/* The next part of an input. False: there is none. */
static bool take_part(struct bytes *cursor, struct bytes *out)
{
    if (cursor->size < 2) {
        return false;
    }
    size_t size = bytes_load_le16(cursor->data);
    if (cursor->size - 2 < size) {
        return false;
    }
    *out = bytes_of(cursor->data + 2, size);
    *cursor = bytes_of(cursor->data + 2 + size, cursor->size - 2 - size);
    return true;
}

static bool read_packed(struct packed *packed, struct bytes input)
{
    struct bytes asked;
    struct bytes fields;
    struct bytes index;
    if (!take_part(&input, &asked) || asked.size != 8 || !take_part(&input, &fields) ||
        fields.size > ARC_FIELDS || !take_part(&input, &packed->dictionary) ||
        !take_part(&input, &index)) {
        return false;
    }
    packed->at = bytes_load_le32(asked.data);
    packed->at_size = bytes_load_le32(asked.data + 4);
    memset(packed->block, 0, sizeof(packed->block));
    memcpy(packed->block, fields.data, fields.size);
    packed->groups = input;
    packed->index_size = index.size;
    packed->index = memory_alloc(index.size != 0 ? index.size : 1);
    ensure(packed->index != NULL);
    memcpy(packed->index, index.data, index.size);
    return true;
}

/* The bytes of the group that the index has at FROM; none where they are not there. */
static struct bytes group_bytes(const struct packed *packed, uint32_t offset, uint32_t size)
{
    uint64_t start = SEGMENT_BLOCK + segment_align(packed->dictionary.size);
    return offset >= start && offset - start + size <= packed->groups.size
               ? bytes_of(packed->groups.data + (offset - start), size)
               : bytes_of(NULL, 0);
}

/* All sums but those of what groups stand for. */
static void seal_packed(struct packed *packed)
{
    for (size_t at = ARC_INDEX_HEAD_SIZE; at + ARC_ENTRY_SIZE <= packed->index_size;
         at += ARC_ENTRY_SIZE) {
        uint8_t *entry = packed->index + at;
        struct bytes data = group_bytes(packed, bytes_load_le32(entry), bytes_load_le32(entry + 4));
        if (data.data != NULL) {
            bytes_store_le64(entry + 24, arc_sum(data, FUZZ_SEAL_STORE));
        }
    }
    uint64_t sum = arc_sum(bytes_of(packed->index, packed->index_size), FUZZ_SEAL_STORE);
    bytes_store_le64(packed->block + 56, sum);
    bytes_store_le64(packed->block + 40, arc_sum(packed->dictionary, FUZZ_SEAL_STORE));
    fuzz_seal_block(packed->block, ARC_OFFSET_SUM);
}

/* What the header says lies inside the file; without what says nothing it encodes to the same. */
static bool check_header(struct packed *packed)
{
    uint8_t again[SEGMENT_BLOCK];
    struct arc_header *header = &packed->header;
    uint32_t file_size = bytes_load_le32(packed->block + 20);
    enum frame_status status =
        arc_decode_header(packed->block, NUMBER, file_size, FUZZ_SEAL_STORE, header);
    if (status != FRAME_GOOD) {
        ensure(status == FRAME_BAD || bytes_load_le32(packed->block + 4) != ARC_VERSION);
        return false;
    }
    struct arc_header other;
    status = arc_decode_header(packed->block, NUMBER, file_size + 1, FUZZ_SEAL_STORE, &other);
    ensure(status == FRAME_BAD);
    status = arc_decode_header(packed->block, NUMBER + 1, file_size, FUZZ_SEAL_STORE, &other);
    ensure(status == FRAME_BAD);
    uint64_t end = (uint64_t)file_size - SEGMENT_BLOCK;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t offset = header->index_offsets[i];
        ensure(offset >= SEGMENT_BLOCK);
        ensure(offset + arc_index_size(header->group_count) <= end);
        offset = header->dictionary_offsets[i];
        ensure(header->dictionary_size == 0 || offset + header->dictionary_size <= end);
    }
    arc_encode_header(again, header, FUZZ_SEAL_STORE);
    bytes_store_le32(packed->block + 12, header->thin ? 1 : 0);
    fuzz_seal_block(packed->block, ARC_OFFSET_SUM);
    ensure(memcmp(again, packed->block, sizeof(again)) == 0);
    return true;
}

static void check_groups(const struct arc_header *header, const struct arc_group *groups)
{
    uint64_t end = SEGMENT_BLOCK;
    uint64_t at_end = 0;
    uint64_t sequence = header->first_sequence;
    for (uint32_t i = 0; i < header->group_count; i++) {
        const struct arc_group *group = &groups[i];
        ensure(group->offset >= end && group->at >= at_end);
        ensure(group->size >= 1 && group->size <= group->at_size);
        ensure(group->at_size <= ARC_GROUP_MAX);
        ensure(group->sequence >= sequence);
        end = (uint64_t)group->offset + group->size;
        at_end = (uint64_t)group->at + group->at_size;
        sequence = group->sequence;
    }
    ensure(end <= header->index_offsets[0]);
    ensure(at_end <= header->segment_size);
}

static void check_index_of_groups(const struct packed *packed, const struct arc_group *groups)
{
    uint8_t *again = memory_alloc(packed->index_size);
    ensure(again != NULL);
    uint64_t sum =
        arc_encode_index(again, NUMBER, groups, packed->header.group_count, FUZZ_SEAL_STORE);
    uint8_t *wanted = packed->index;
    memset(wanted + 12, 0, 4);
    for (uint32_t i = 0; i < packed->header.group_count; i++) {
        uint8_t *at = wanted + ARC_INDEX_HEAD_SIZE + (size_t)i * ARC_ENTRY_SIZE;
        at[40] = at[40] == 1;
        memset(at + 41, 0, ARC_ENTRY_SIZE - 41);
    }
    ensure(memcmp(again, wanted, packed->index_size) == 0);
    ensure(sum == arc_sum(bytes_of(wanted, packed->index_size), FUZZ_SEAL_STORE));
    memory_free(again);
}

/* Groups are found as one finds them who looks at each. */
static void check_find(const struct arc_map *map, uint64_t at, uint64_t sequence)
{
    uint32_t count = map->header.group_count;
    uint32_t first = 0;
    while (first < count && (uint64_t)map->groups[first].at + map->groups[first].at_size <= at) {
        first++;
    }
    ensure(arc_map_find_at(map, at) == first);
    uint32_t last = 0;
    for (uint32_t i = 1; i < count; i++) {
        last = map->groups[i].sequence <= sequence ? i : last;
    }
    ensure(arc_map_find(map, sequence) == last);
}

/* What is unpacked has its sum; a flipped bit is found. */
static bool check_unpack(const struct packed *packed, struct arc_unpacker *unpacker,
                         const struct arc_map *map, const struct arc_group *group)
{
    struct bytes data = group_bytes(packed, group->offset, group->size);
    if (data.data == NULL || group->at_size > OUT_MAX) {
        return false;
    }
    uint8_t *out = memory_alloc(group->at_size);
    uint8_t *flipped = memory_alloc(data.size);
    ensure(out != NULL && flipped != NULL);
    memcpy(flipped, data.data, data.size);
    flipped[group->at_sum % data.size] ^= 1;
    bool good = arc_unpack(unpacker, map, group, data.data, out);
    ensure(!good || arc_sum(data, FUZZ_SEAL_STORE) == group->sum);
    ensure(!good || arc_sum(bytes_of(out, group->at_size), FUZZ_SEAL_STORE) == group->at_sum);
    ensure(!good || !arc_unpack(unpacker, map, group, flipped, out));
    memory_free(flipped);
    memory_free(out);
    return good;
}

/* All that was asked for lies in the stretch; where its groups unpack alone, they do together. */
static void check_stretch(const struct packed *packed, struct arc_unpacker *unpacker,
                          const struct arc_map *map)
{
    struct arc_stretch stretch;
    uint64_t size = packed->at_size % OUT_MAX;
    arc_map_stretch(map, packed->at, size, &stretch);
    ensure(stretch.first <= stretch.end && stretch.end <= map->header.group_count);
    ensure(stretch.at <= packed->at);
    ensure(stretch.at + stretch.at_size >= packed->at + size);
    struct bytes data = bytes_of(NULL, 0);
    if (stretch.first != stretch.end && stretch.size <= packed->groups.size) {
        data = group_bytes(packed, (uint32_t)stretch.offset, (uint32_t)stretch.size);
    }
    if (data.data == NULL || stretch.at_size > (uint64_t)4 * OUT_MAX) {
        return;
    }
    bool good = true;
    for (uint32_t i = stretch.first; i < stretch.end; i++) {
        good = check_unpack(packed, unpacker, map, &map->groups[i]) && good;
    }
    uint8_t *out = memory_alloc(stretch.at_size);
    ensure(out != NULL);
    bool together = arc_unpack_stretch(unpacker, map, &stretch, data.data, out);
    ensure(together || !good);
    memory_free(out);
}

static void check_map(struct packed *packed)
{
    struct arc_map *map = NULL;
    struct arc_unpacker *unpacker = NULL;
    const struct arc_header *header = &packed->header;
    struct bytes index = bytes_of(packed->index, packed->index_size);
    int result = arc_map_create(header, FUZZ_SEAL_STORE, packed->dictionary, &map);
    ensure(result == 0 || (result == STOA_ECORRUPT && packed->dictionary.size != 0));
    if (result != 0 || !arc_decode_index(index, header, FUZZ_SEAL_STORE, map->groups)) {
        arc_map_destroy(map);
        return;
    }
    check_groups(header, map->groups);
    check_find(map, packed->at, packed->at_size);
    check_find(map, packed->at, header->first_sequence + packed->at);
    result = arc_unpacker_create(&unpacker);
    ensure(result == 0);
    for (uint32_t i = 0; i < header->group_count && i < UNPACKED_MAX; i++) {
        (void)check_unpack(packed, unpacker, map, &map->groups[i]); /* damaged or not */
    }
    check_stretch(packed, unpacker, map);
    check_index_of_groups(packed, map->groups);
    arc_unpacker_destroy(unpacker);
    arc_map_destroy(map);
}

static void check_packed(struct bytes input, bool raw)
{
    struct packed packed = {.index = NULL};
    if (!read_packed(&packed, input)) {
        return;
    }
    if (!raw) {
        seal_packed(&packed);
    }
    if (check_header(&packed) && packed.header.dictionary_size == packed.dictionary.size) {
        check_map(&packed);
    }
    memory_free(packed.index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    bool raw = (data[0] & FUZZ_SEAL_RAW) != 0;
    size_t rest = size - 1;
    uint8_t *copy = fuzz_seal_copy(data + 1, rest);
    switch ((data[0] & FUZZ_SEAL_MASK) % KINDS) {
    case KIND_FRAME:
        check_frame(copy, rest, raw);
        break;
    case KIND_INDEX:
        check_index(copy, rest, raw);
        break;
    case KIND_TRAILER:
        check_trailer(copy, rest, raw);
        break;
    default:
        check_packed(bytes_of(copy, rest), raw);
        break;
    }
    memory_free(copy);
    return 0;
}

/* ---- seeds ---- */

static void append(struct buffer *out, const void *data, size_t size)
{
    int result = size != 0 ? buffer_append(out, data, size) : 0;
    ensure(result == 0);
}

static void append_part(struct buffer *out, struct bytes part)
{
    uint8_t size[2];
    ensure(part.size <= UINT16_MAX);
    bytes_store_le16(size, (uint16_t)part.size);
    append(out, size, sizeof(size));
    append(out, part.data, part.size);
}

static void append_frame(struct buffer *out, bool shortened)
{
    uint8_t frame[256];
    struct frame_header original = {
        .kind = LEDGER_BLOCK, .length = 36, .sequence = 41, .group = 40, .height = 1000};
    struct segment_entry entry = {.kind = LEDGER_BLOCK,
                                  .level = shortened ? 1 : 0,
                                  .offset = 4096,
                                  .size = 100,
                                  .sequence = 41,
                                  .checksum = 77};
    struct bytes payload = bytes_of("a payload of some thirty-six bytes..", shortened ? 9 : 36);
    thin_encode_frame(frame, &original, &entry, payload, FUZZ_SEAL_STORE);
    append(out, frame, thin_frame_size((uint32_t)payload.size));
}

static void append_index(struct buffer *out)
{
    enum { COUNT = 4, SIZE = 160, OFFSET = 4096 };
    struct segment_entry entries[COUNT];
    uint8_t prefix[INDEX_PREFIX];
    uint8_t frame[FRAME_HEADER_SIZE + THIN_INDEX_HEAD_SIZE + COUNT * THIN_ENTRY_SIZE] = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i] = (struct segment_entry){.thin = true,
                                            .at = i * SIZE,
                                            .at_size = SIZE,
                                            .offset = i * OFFSET,
                                            .size = 100,
                                            .sequence = 5 + i,
                                            .checksum = i,
                                            .kind = (uint8_t)(1 + i),
                                            .level = i == 2 ? 1 : 0,
                                            .count = 1};
    }
    bytes_store_le32(prefix, 1 << 20);
    bytes_store_le32(prefix + 4, OFFSET);
    (void)thin_encode_index(frame, NUMBER, entries, COUNT, FUZZ_SEAL_STORE); /* the sum is made */
    append(out, prefix, sizeof(prefix));
    append(out, frame + FRAME_HEADER_SIZE, sizeof(frame) - FRAME_HEADER_SIZE);
}

static void append_trailer(struct buffer *out, uint64_t first)
{
    uint8_t block[SEGMENT_BLOCK];
    uint8_t prefix[TRAILER_PREFIX];
    struct thin_trailer trailer = {.number = NUMBER,
                                   .index_offset = 4096,
                                   .index_size = thin_index_size(4),
                                   .count = 4,
                                   .first_sequence = first,
                                   .segment_size = 1 << 20,
                                   .index_checksum = 9};
    bytes_store_le32(prefix, 3 * SEGMENT_BLOCK);
    thin_encode_trailer(block, &trailer, FUZZ_SEAL_STORE);
    append(out, prefix, sizeof(prefix));
    append(out, block, THIN_OFFSET_SUM + 8);
}

/* What there is to pack: DATA, in stretches that compress, and one that does not. */
enum { STRETCHES = 4, STRETCH = 700, SPACE = 1024 };

static void fill_stretches(uint8_t data[STRETCHES][STRETCH])
{
    uint32_t state = 1;
    for (unsigned i = 0; i < STRETCHES; i++) {
        for (unsigned j = 0; j < STRETCH; j++) {
            state = state * 1664525 + 1013904223;
            data[i][j] = (uint8_t)(i == 1 ? state >> 24 : j * (i + 1) / 9);
        }
    }
}

/* DICTIONARY, which may be empty, and four groups. */
static void append_packed(struct buffer *out, struct bytes dictionary, bool thin)
{
    uint8_t data[STRETCHES][STRETCH];
    uint8_t packed[2 * STRETCH];
    uint8_t block[SEGMENT_BLOCK];
    uint8_t index[ARC_INDEX_HEAD_SIZE + STRETCHES * ARC_ENTRY_SIZE];
    uint8_t asked[8] = {0, 4, 0, 0, 0, 8};
    struct arc_group groups[STRETCHES];
    struct arc_packer *packer = NULL;
    struct buffer all;
    uint32_t begin = (uint32_t)(SEGMENT_BLOCK + segment_align(dictionary.size));
    buffer_init(&all);
    fill_stretches(data);
    int result = arc_packer_create(dictionary, &packer);
    ensure(result == 0 && arc_pack_bound(STRETCH) <= sizeof(packed));
    for (uint32_t i = 0; i < STRETCHES; i++) {
        groups[i] = (struct arc_group){
            .offset = begin + (uint32_t)all.size, .at = i * SPACE, .sequence = 5 + i};
        result = arc_pack(packer, bytes_of(data[i], STRETCH), FUZZ_SEAL_STORE, packed, &groups[i]);
        ensure(result == 0);
        append(&all, packed, groups[i].size);
    }
    uint32_t end = (uint32_t)segment_align(begin + all.size);
    uint32_t more = (uint32_t)segment_align(dictionary.size);
    struct arc_header header = {
        .number = NUMBER,
        .thin = thin,
        .segment_size = 1 << 20,
        .file_size = end + 3 * SEGMENT_BLOCK + more,
        .dictionary_size = (uint32_t)dictionary.size,
        .dictionary_offsets = {SEGMENT_BLOCK, end + SEGMENT_BLOCK},
        .dictionary_sum = arc_sum(dictionary, FUZZ_SEAL_STORE),
        .index_offsets = {end, end + SEGMENT_BLOCK + more},
        .group_count = STRETCHES,
        .index_sum = arc_encode_index(index, NUMBER, groups, STRETCHES, FUZZ_SEAL_STORE),
        .first_sequence = 5,
        .last_sequence = 8,
        .block_count = 2,
    };
    arc_encode_header(block, &header, FUZZ_SEAL_STORE);
    append_part(out, bytes_of(asked, sizeof(asked)));
    append_part(out, bytes_of(block, ARC_FIELDS));
    append_part(out, dictionary);
    append_part(out, bytes_of(index, sizeof(index)));
    append(out, all.data, all.size);
    arc_packer_destroy(packer);
    buffer_deinit(&all);
}

/* A dictionary that is trained, one of plain bytes, or none. */
static void append_arc(struct buffer *out, size_t form)
{
    enum { SAMPLES = 16, CAPACITY = 1024 };
    uint8_t dictionary[CAPACITY];
    uint8_t *samples;
    switch (form) {
    case 0:
        append_packed(out, bytes_of(NULL, 0), false);
        break;
    case 1:
        memset(dictionary, 7, 300);
        append_packed(out, bytes_of(dictionary, 300), true);
        break;
    default:
        samples = memory_alloc(SAMPLES * ARC_SAMPLE_SIZE);
        ensure(samples != NULL);
        for (unsigned i = 0; i < SAMPLES * ARC_SAMPLE_SIZE; i++) {
            samples[i] = (uint8_t)(i / 7 * (1 + i / ARC_SAMPLE_SIZE % 5));
        }
        uint32_t size =
            arc_train(bytes_of(samples, SAMPLES * ARC_SAMPLE_SIZE), dictionary, CAPACITY);
        memory_free(samples);
        append_packed(out, bytes_of(dictionary, size), false);
        break;
    }
}

/* Forms of each kind, sealed, then as it is. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    enum { FORMS = 6, RAW_FORM = 3 };
    size_t form = index % FORMS;
    size_t kind = index / FORMS;
    if (kind == KINDS) {
        return false;
    }
    uint8_t first = (uint8_t)(kind | (form >= RAW_FORM ? FUZZ_SEAL_RAW : 0));
    append(out, &first, 1);
    switch (kind) {
    case KIND_FRAME:
        append_frame(out, form % 2 != 0);
        break;
    case KIND_INDEX:
        append_index(out);
        break;
    case KIND_TRAILER:
        append_trailer(out, form == 0 ? 5 : UINT64_MAX - form);
        break;
    default:
        append_arc(out, form % RAW_FORM);
        break;
    }
    return true;
}
