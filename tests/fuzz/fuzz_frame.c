/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: what the first byte says, a frame or one of the ledger's own payloads; its sums are made
 * right unless that byte says not to. A header is good exactly where it is by frame.h, what decodes
 * encodes to the same bytes, no other store takes it, and each bit of a frame counts. */
#include "base/ensure.h"
#include "base/memory.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_seal.h"
#include "ledger/arc.h"
#include "ledger/frame.h"
#include "ledger/ledger.h"
#include "ledger/segment.h"
#include "ledger/thin.h"

enum { KIND_FRAME, KIND_HEAD, KIND_SEAL, KIND_TRAILER, KIND_MARK, KIND_NAME, KINDS };
enum {
    OFFSET_TRAILER_SUM = 40,
    HEAD_USED = 36,    /* bytes of a head that say something */
    TRAILER_USED = 48, /* likewise, and of them these do not: */
    TRAILER_UNUSED = 20,
    SEAL_PREFIX = 4, /* in an input: how large the file is */
};

static const uint8_t magic[4] = {'S', 'T', 'F', 'R'};

/* ---- frames ---- */

/* What frame.h says of a header, which no two readings of it can differ in. */
static enum frame_status status_of(const uint8_t *frame)
{
    uint64_t sequence = bytes_load_le64(frame + 16);
    uint64_t group = bytes_load_le64(frame + 24);
    if (memcmp(frame, magic, sizeof(magic)) != 0 ||
        bytes_load_le32(frame + 12) != fuzz_seal_crc(frame)) {
        return FRAME_BAD;
    }
    if (frame[4] > FRAME_VERSION) {
        return FRAME_NEWER;
    }
    bool good = frame[4] == FRAME_VERSION && frame[5] != 0 && bytes_load_le16(frame + 6) == 0 &&
                bytes_load_le32(frame + 8) <= FRAME_LENGTH_MAX && group != 0 && sequence >= group &&
                bytes_load_le64(frame + 56) == 0;
    return good ? FRAME_GOOD : FRAME_BAD;
}

/* A flipped bit in the header is always found, one in the payload as good as always. */
static void check_flip(uint8_t *frame, const struct frame_header *header, size_t bit)
{
    struct frame_header other;
    frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
    if (bit < 8 * FRAME_HEADER_SIZE) {
        ensure(frame_decode(frame, FUZZ_SEAL_STORE, &other) == FRAME_BAD);
    } else {
        ensure(!frame_check(frame, header, FUZZ_SEAL_STORE));
    }
    frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* The same encoded again is the same; FRAME has all of it. */
static void check_again(const uint8_t *frame, const struct frame_header *header)
{
    uint32_t size = frame_size(header);
    struct frame_header again = *header;
    uint8_t *copy = memory_alloc(size);
    ensure(copy != NULL);
    memset(copy, 0xdb, FRAME_HEADER_SIZE);
    memcpy(copy + FRAME_HEADER_SIZE, frame + FRAME_HEADER_SIZE, header->length);
    again.checksum = 0;
    frame_encode(copy, &again, FUZZ_SEAL_STORE);
    ensure(memcmp(copy, frame, size) == 0);
    ensure(again.checksum == header->checksum);
    memory_free(copy);
}

static void check_frame(uint8_t *frame, size_t size, bool raw)
{
    struct frame_header header;
    if (size < FRAME_HEADER_SIZE) {
        return;
    }
    size_t rest = size - FRAME_HEADER_SIZE;
    uint32_t length = bytes_load_le32(frame + 8);
    if (!raw) {
        fuzz_seal_frame(frame, length < rest ? length : rest);
    }
    enum frame_status status = frame_decode(frame, FUZZ_SEAL_STORE, &header);
    ensure(status == status_of(frame));
    if (status != FRAME_GOOD) {
        return;
    }
    ensure(header.length == length);
    struct frame_header other;
    ensure(frame_decode(frame, FUZZ_SEAL_STORE + 1, &other) == FRAME_BAD);
    check_flip(frame, &header, header.checksum % (8 * FRAME_HEADER_SIZE));
    if (length > rest) {
        return;
    }
    bool sound = fuzz_seal_checksum(frame, length) == header.checksum;
    ensure(frame_check(frame, &header, FUZZ_SEAL_STORE) == sound);
    ensure(sound || raw);
    if (sound) {
        ensure(!frame_check(frame, &header, FUZZ_SEAL_STORE + 1));
        check_flip(frame, &header, header.checksum % (8 * (uint64_t)frame_size(&header)));
        check_again(frame, &header);
    }
    bool zero = true;
    for (size_t i = FRAME_HEADER_SIZE; i < size; i++) {
        zero = zero && frame[i] == 0;
    }
    ensure(frame_is_zero(frame + FRAME_HEADER_SIZE, rest) == zero);
}

/* ---- payloads of the ledger's own ---- */

static void check_head(const uint8_t *data, size_t size)
{
    struct segment_head head;
    uint8_t again[SEGMENT_HEAD_SIZE];
    bool newer = size >= SEGMENT_HEAD_SIZE && bytes_load_le32(data) > SEGMENT_FORMAT_VERSION;
    bool good = segment_decode_head(bytes_of(data, size), &head);
    ensure(good == (newer || size == SEGMENT_HEAD_SIZE));
    if (good) {
        segment_encode_head(again, &head);
        ensure(memcmp(again, data, HEAD_USED) == 0);
    }
}

/* In order, apart, inside the file, and without a gap in the sequences. */
static void check_entries(const struct segment_entry *entries, uint32_t count, uint64_t file_size)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct segment_entry *entry = &entries[i];
        ensure(entry->offset >= end);
        end = (uint64_t)entry->offset + entry->size;
        ensure(end <= file_size);
        ensure(entry->count >= 1);
        ensure(entry->sequence >= 1);
        ensure(entry->sequence + entry->count > entry->sequence);
        ensure(!entry->thin);
        ensure(i == 0 || entry->sequence == entries[i - 1].sequence + entries[i - 1].count);
        ensure(entry->kind == 0 || (entry->count == 1 && entry->size >= FRAME_HEADER_SIZE));
    }
}

/* DATA: the size of the file, then the payload. */
static void check_seal(uint8_t *data, size_t size)
{
    static struct segment_entry entries[SEGMENT_ENTRIES_MAX];
    uint32_t count = 0;
    if (size < SEAL_PREFIX + SEGMENT_SEAL_HEAD_SIZE) {
        return;
    }
    uint32_t file_size = bytes_load_le32(data);
    struct bytes payload = bytes_of(data + SEAL_PREFIX, size - SEAL_PREFIX);
    uint32_t number = bytes_load_le32(payload.data);
    ensure(!segment_decode_seal(payload, number + 1, file_size, entries, &count));
    if (!segment_decode_seal(payload, number, file_size, entries, &count)) {
        return;
    }
    ensure(count >= 1 && count <= SEGMENT_ENTRIES_MAX);
    ensure(payload.size == segment_seal_size(count));
    check_entries(entries, count, file_size);
    uint64_t end = (uint64_t)entries[count - 1].offset + entries[count - 1].size;
    ensure(end == 0 || !segment_decode_seal(payload, number, end - 1, entries, &count));
    uint8_t *again = memory_alloc(payload.size);
    ensure(again != NULL);
    segment_encode_seal(again, number, entries, count);
    for (uint32_t i = 0; i < count; i++) { /* what says nothing may be anything */
        uint8_t *at = data + SEAL_PREFIX + SEGMENT_SEAL_HEAD_SIZE + (size_t)i * SEGMENT_ENTRY_SIZE;
        at[33] = at[33] != 0;
        bytes_store_le16(at + 34, 0);
    }
    ensure(memcmp(again, payload.data, payload.size) == 0);
    memory_free(again);
}

static void check_trailer(const uint8_t *data, size_t size, bool raw)
{
    struct segment_trailer trailer;
    uint8_t block[SEGMENT_BLOCK] = {0};
    uint8_t again[SEGMENT_BLOCK];
    memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
    if (!raw) {
        fuzz_seal_block(block, OFFSET_TRAILER_SUM);
    }
    bool good = segment_decode_trailer(block, FUZZ_SEAL_STORE, &trailer);
    ensure(good || raw || memcmp(block, "STTR\1\0\0\0", 8) != 0);
    if (!good) {
        return;
    }
    ensure(!segment_decode_trailer(block, FUZZ_SEAL_STORE + 1, &trailer));
    segment_encode_trailer(again, &trailer, FUZZ_SEAL_STORE);
    memset(block + TRAILER_UNUSED, 0, 4);
    memset(block + TRAILER_USED, 0, sizeof(block) - TRAILER_USED);
    fuzz_seal_block(block, OFFSET_TRAILER_SUM);
    ensure(memcmp(again, block, sizeof(block)) == 0);
}

static void check_mark(const uint8_t *data, size_t size)
{
    bool clean = false;
    bool again;
    uint8_t encoded[SEGMENT_MARK_SIZE];
    bool good = segment_decode_mark(bytes_of(data, size), &clean);
    ensure(good == (size == SEGMENT_MARK_SIZE));
    segment_encode_mark(encoded, clean);
    ensure(segment_decode_mark(bytes_of(encoded, sizeof(encoded)), &again));
    ensure(again == clean);
}

/* A name is that of one form at most, and is made again of what it says. */
static void check_name(const uint8_t *data, size_t size)
{
    static uint32_t (*const parse[])(const char *name, bool *out_finished) = {
        segment_parse_name, thin_parse_name, arc_parse_name};
    static void (*const make[])(uint32_t number, bool finished,
                                char out[SEGMENT_NAME_SIZE]) = {segment_name, thin_name, arc_name};
    char name[64];
    char again[SEGMENT_NAME_SIZE];
    unsigned forms = 0;
    size = size < sizeof(name) ? size : sizeof(name) - 1;
    memcpy(name, data, size);
    name[size] = '\0';
    for (unsigned i = 0; i < sizeof(parse) / sizeof(parse[0]); i++) {
        bool finished;
        uint32_t number = parse[i](name, &finished);
        if (number != 0) {
            make[i](number, finished, again);
            ensure(strcmp(again, name) == 0);
            forms++;
        }
    }
    ensure(forms <= 1);
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
    case KIND_HEAD:
        check_head(copy, rest);
        break;
    case KIND_SEAL:
        check_seal(copy, rest);
        break;
    case KIND_TRAILER:
        check_trailer(copy, rest, raw);
        break;
    case KIND_MARK:
        check_mark(copy, rest);
        break;
    default:
        check_name(copy, rest);
        break;
    }
    memory_free(copy);
    return 0;
}

/* ---- seeds ---- */

static void append(struct buffer *out, const void *data, size_t size)
{
    int result = buffer_append(out, data, size);
    ensure(result == 0);
}

static void append_frame(struct buffer *out, uint8_t kind, uint32_t length)
{
    uint8_t frame[FRAME_HEADER_SIZE + 256];
    struct frame_header header = {
        .kind = kind, .length = length, .sequence = 41, .group = 40, .previous = 7, .height = 1000};
    ensure(length <= 256);
    memset(frame, kind, sizeof(frame));
    frame_encode(frame, &header, FUZZ_SEAL_STORE);
    append(out, frame, frame_size(&header));
}

static void append_seal(struct buffer *out)
{
    enum { ENTRIES = 3 };
    static const struct segment_entry entries[ENTRIES] = {
        {.offset = 0,
         .size = 104,
         .sequence = 5,
         .checksum = 1,
         .kind = LEDGER_SEGMENT,
         .count = 1},
        {.offset = 4096, .size = 900, .sequence = 6, .damaged = true, .count = 2},
        {.offset = 8192, .size = 64, .sequence = 8, .height = 3, .kind = LEDGER_BLOCK, .count = 1},
    };
    uint8_t payload[SEAL_PREFIX + SEGMENT_SEAL_HEAD_SIZE + ENTRIES * SEGMENT_ENTRY_SIZE];
    bytes_store_le32(payload, 1 << 20);
    segment_encode_seal(payload + SEAL_PREFIX, 3, entries, ENTRIES);
    append(out, payload, sizeof(payload));
}

static void append_trailer(struct buffer *out)
{
    static const struct segment_trailer trailer = {.number = 3,
                                                   .seal_offset = 12288,
                                                   .seal_size = 208,
                                                   .seal_sequence = 9,
                                                   .seal_checksum = 77};
    uint8_t block[SEGMENT_BLOCK];
    segment_encode_trailer(block, &trailer, FUZZ_SEAL_STORE);
    append(out, block, TRAILER_USED);
}

static void append_head(struct buffer *out)
{
    static const struct segment_head head = {.format_version = SEGMENT_FORMAT_VERSION,
                                             .number = 3,
                                             .store_id = FUZZ_SEAL_STORE,
                                             .first_sequence = 5,
                                             .previous = 9,
                                             .size = 1 << 20};
    uint8_t payload[SEGMENT_HEAD_SIZE];
    segment_encode_head(payload, &head);
    append(out, payload, sizeof(payload));
}

/* One of each kind, sealed, then as it is; a frame of each kind the ledger has. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const names[] = {"00000042.seg", "00000042.thin.new", "99999999.arc"};
    uint8_t mark[SEGMENT_MARK_SIZE];
    size_t kind = index / 2;
    kind = kind < KIND_NAME ? kind : kind < KIND_NAME + 3 ? KIND_NAME : KIND_FRAME;
    size_t beyond = index / 2 - kind;
    if (kind == KIND_FRAME && beyond > KIND_NAME + LEDGER_THIN_INDEX) {
        return false;
    }
    uint8_t first = (uint8_t)(kind | (index % 2 != 0 ? FUZZ_SEAL_RAW : 0));
    append(out, &first, 1);
    switch (kind) {
    case KIND_FRAME:
        append_frame(out, (uint8_t)(1 + beyond % LEDGER_THIN_INDEX), (uint32_t)(beyond * 13));
        break;
    case KIND_HEAD:
        append_head(out);
        break;
    case KIND_SEAL:
        append_seal(out);
        break;
    case KIND_TRAILER:
        append_trailer(out);
        break;
    case KIND_MARK:
        segment_encode_mark(mark, index % 2 != 0);
        append(out, mark, sizeof(mark));
        break;
    default:
        append(out, names[beyond], strlen(names[beyond]));
        break;
    }
    return true;
}
