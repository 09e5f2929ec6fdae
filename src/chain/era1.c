/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/era1.h"

#include <inttypes.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/accumulator.h"
#include "chain/header.h"
#include "chain/snappy_frame.h"

enum {
    ENTRY_HEADER_SIZE = 8, /* type, length, two bytes that are 0 */
    ENTRY_VERSION = 0x3265,
    ENTRY_HEADER = 0x03,
    ENTRY_BODY = 0x04,
    ENTRY_RECEIPTS = 0x05,
    ENTRY_TOTAL_DIFFICULTY = 0x06,
    ENTRY_ACCUMULATOR = 0x07,
    ENTRY_BLOCK_INDEX = 0x3266,
    INDEX_SIZE_MIN = 16, /* first number and count, without the offsets between them */
};

_Static_assert((int)ERA1_BLOCKS_MAX == (int)ACCUMULATOR_RECORDS_MAX,
               "an era1 file holds as many blocks as its accumulator takes");

struct entry {
    unsigned type;
    struct bytes content;
};

/* Where in the file a walk over its blocks stands. */
struct walk {
    size_t position;
    uint64_t index;
    bool knows_total; /* of what was before: not at the first block, unless it is block 0 */
    uint8_t total_difficulty[32];
};

struct era1_reader {
    struct bytes file;
    uint64_t first_number;
    uint64_t count;
    const uint8_t *accumulator;
    struct walk next;
    struct snappy_frame frame;
    struct buffer header;
    struct buffer body;
    struct buffer receipts;
    struct buffer block;
};

/* Read the entry at *POSITION, which moves behind it. */
static int read_entry(struct bytes file, size_t *position, struct entry *out,
                      struct error_detail *detail)
{
    ensure(*position <= file.size);
    size_t there = file.size - *position;
    if (there < ENTRY_HEADER_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "offset %zu: truncated", *position);
    }
    const uint8_t *head = file.data + *position;
    uint32_t size = bytes_load_le32(head + 2);
    if (size > there - ENTRY_HEADER_SIZE) {
        return error_set(detail, STOA_ECORRUPT,
                         "offset %zu: truncated: entry of %" PRIu32 " bytes, %zu there", *position,
                         size, there - ENTRY_HEADER_SIZE);
    }
    if (bytes_load_le16(head + 6) != 0) {
        return error_set(detail, STOA_ECORRUPT, "offset %zu: reserved bytes are not 0", *position);
    }
    *out = (struct entry){.type = bytes_load_le16(head),
                          .content = bytes_of(head + ENTRY_HEADER_SIZE, size)};
    *position += ENTRY_HEADER_SIZE + (size_t)size;
    return 0;
}

static int expect_entry(struct bytes file, size_t *position, unsigned type, struct bytes *out,
                        struct error_detail *detail)
{
    struct entry entry;
    size_t start = *position;
    int error = read_entry(file, position, &entry, detail);
    if (error != 0) {
        return error;
    }
    if (entry.type != type) {
        return error_set(detail, STOA_ECORRUPT,
                         "offset %zu: entry type 0x%04x where 0x%04x belongs", start, entry.type,
                         type);
    }
    *out = entry.content;
    return 0;
}

/* The index ends the file. OUT_POSITION is where its entry begins. */
static int read_index(struct era1_reader *reader, size_t *out_position, const uint8_t **out_offsets,
                      struct error_detail *detail)
{
    struct bytes file = reader->file;
    uint64_t count = bytes_load_le64(file.data + file.size - 8);
    if (count == 0 || count > ERA1_BLOCKS_MAX) {
        return error_set(detail, STOA_ECORRUPT, "block index: %" PRIu64 " blocks", count);
    }
    size_t size = ENTRY_HEADER_SIZE + INDEX_SIZE_MIN + 8 * (size_t)count;
    if (size > file.size) {
        return error_set(detail, STOA_ECORRUPT, "block index: larger than the file");
    }
    size_t start = file.size - size;
    size_t position = start;
    struct bytes content;
    int error = expect_entry(file, &position, ENTRY_BLOCK_INDEX, &content, detail);
    if (error == 0 && position != file.size) {
        error = error_set(detail, STOA_ECORRUPT, "size does not fit %" PRIu64 " blocks", count);
    }
    if (error != 0) {
        error_prefix(detail, "block index");
        return error;
    }
    reader->first_number = bytes_load_le64(content.data);
    reader->count = count;
    if (reader->first_number > UINT64_MAX - count) {
        return error_set(detail, STOA_ECORRUPT, "block index: first number %" PRIu64,
                         reader->first_number);
    }
    *out_position = start;
    *out_offsets = content.data + 8;
    return 0;
}

static int check_block_entries(struct bytes file, size_t *position, struct error_detail *detail)
{
    static const unsigned types[] = {ENTRY_HEADER, ENTRY_BODY, ENTRY_RECEIPTS,
                                     ENTRY_TOTAL_DIFFICULTY};
    struct bytes content = {0};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int error = expect_entry(file, position, types[i], &content, detail);
        if (error != 0) {
            return error;
        }
    }
    if (content.size != 32) {
        return error_set(detail, STOA_ECORRUPT, "total difficulty: %zu bytes", content.size);
    }
    return 0;
}

/* Between the last block and the accumulator other entries may stand. */
static int find_accumulator(struct era1_reader *reader, size_t position, size_t end,
                            struct error_detail *detail)
{
    while (position < end) {
        struct entry entry;
        size_t start = position;
        int error = read_entry(reader->file, &position, &entry, detail);
        if (error != 0) {
            return error;
        }
        if (entry.type == ENTRY_ACCUMULATOR) {
            if (entry.content.size != 32 || position != end) {
                return error_set(detail, STOA_ECORRUPT,
                                 "accumulator: not 32 bytes right before the block index");
            }
            reader->accumulator = entry.content.data;
            return 0;
        }
        if (entry.type <= ENTRY_TOTAL_DIFFICULTY || entry.type == ENTRY_BLOCK_INDEX) {
            return error_set(detail, STOA_ECORRUPT,
                             "offset %zu: entry type 0x%04x after the last block", start,
                             entry.type);
        }
    }
    return error_set(detail, STOA_ECORRUPT, "accumulator: missing");
}

static int check_structure(struct era1_reader *reader, struct error_detail *detail)
{
    struct bytes file = reader->file;
    size_t position = 0;
    if (file.size < ENTRY_HEADER_SIZE ||
        bytes_load_le64(file.data) != ENTRY_VERSION) { /* no content, so all else is 0 */
        return error_set(detail, STOA_EINVAL, "not an era1 file: no version entry");
    }
    position += ENTRY_HEADER_SIZE;
    size_t end = 0;
    const uint8_t *offsets = NULL;
    int error = read_index(reader, &end, &offsets, detail);
    if (error != 0) {
        return error;
    }
    reader->next.position = position;
    reader->next.knows_total = reader->first_number == 0;
    for (uint64_t i = 0; i < reader->count; i++) {
        /* Offsets count from the index entry and are negative. */
        uint64_t offset = bytes_load_le64(offsets + 8 * i) + end;
        if (offset != position) {
            return error_set(detail, STOA_ECORRUPT,
                             "block index: block %" PRIu64 " at offset %" PRIu64 ", found at %zu",
                             reader->first_number + i, offset, position);
        }
        error = check_block_entries(file, &position, detail);
        if (error != 0) {
            error_prefix(detail, "block %" PRIu64, reader->first_number + i);
            return error;
        }
    }
    return find_accumulator(reader, position, end, detail);
}

int era1_reader_create(struct bytes file, struct era1_reader **out_reader,
                       struct error_detail *detail)
{
    struct era1_reader *reader = memory_alloc_zeroed(1, sizeof(*reader));
    if (reader == NULL) {
        return error_set(detail, STOA_ENOMEM, "no memory for an era1 reader");
    }
    reader->file = file;
    snappy_frame_init(&reader->frame);
    buffer_init(&reader->header);
    buffer_init(&reader->body);
    buffer_init(&reader->receipts);
    buffer_init(&reader->block);
    int error = check_structure(reader, detail);
    if (error != 0) {
        era1_reader_destroy(reader);
        return error;
    }
    *out_reader = reader;
    return 0;
}

void era1_reader_destroy(struct era1_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    buffer_deinit(&reader->header);
    buffer_deinit(&reader->body);
    buffer_deinit(&reader->receipts);
    buffer_deinit(&reader->block);
    memory_free(reader);
}

uint64_t era1_reader_first_number(const struct era1_reader *reader)
{
    return reader->first_number;
}

uint64_t era1_reader_block_count(const struct era1_reader *reader)
{
    return reader->count;
}

/* False where the sum overflows. Big-endian; OUT may be A or B. */
static bool add_uint256(const uint8_t a[32], const uint8_t b[32], uint8_t out[32])
{
    unsigned carry = 0;
    for (size_t i = 32; i-- > 0;) {
        carry += (unsigned)a[i] + b[i];
        out[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return carry == 0;
}

static void reverse(const uint8_t from[32], uint8_t to[32])
{
    for (size_t i = 0; i < 32; i++) {
        to[i] = from[31 - i];
    }
}

/* TOTAL, after a block of DIFFICULTY, follows from the one BEFORE where that is known. */
static bool total_follows(bool knows_before, const uint8_t before[32], const uint8_t difficulty[32],
                          const uint8_t total[32])
{
    uint8_t sum[32];
    return !knows_before ||
           (add_uint256(before, difficulty, sum) && memcmp(sum, total, sizeof(sum)) == 0);
}

/* ENCODING is one RLP list and nothing else. */
static int expect_list(struct bytes encoding, struct bytes *out_payload,
                       struct error_detail *detail)
{
    int error = rlp_read_list(&encoding, out_payload, detail);
    return error != 0 ? error : rlp_expect_end(encoding, detail);
}

/* What a file holds is damaged where decoding finds it invalid. */
static int as_damage(int error, const char *what, struct error_detail *detail)
{
    if (error == STOA_EINVAL) {
        error = STOA_ECORRUPT;
        if (detail != NULL) {
            detail->code = error;
        }
    }
    error_prefix(detail, "%s", what);
    return error;
}

static int read_content(struct era1_reader *reader, size_t *position, unsigned type,
                        struct buffer *out, struct error_detail *detail)
{
    struct bytes content;
    int error = expect_entry(reader->file, position, type, &content, detail);
    if (error != 0) {
        return error;
    }
    buffer_clear(out);
    return snappy_frame_decompress(&reader->frame, content, out, detail);
}

/* Take the header and the total difficulty of a block into WALK and OUT. */
static int take_header(const struct era1_reader *reader, struct walk *walk, const uint8_t *total,
                       struct era1_block *out, struct error_detail *detail)
{
    struct header header;
    int error = header_decode(buffer_bytes(&reader->header), &header, detail);
    if (error != 0) {
        return as_damage(error, "header", detail);
    }
    out->number = reader->first_number + walk->index;
    if (header.number != out->number) {
        return error_set(detail, STOA_ECORRUPT, "header: number is %" PRIu64, header.number);
    }
    reverse(total, out->total_difficulty);
    if (!total_follows(walk->knows_total, walk->total_difficulty, header.difficulty,
                       out->total_difficulty)) {
        return error_set(detail, STOA_ECORRUPT,
                         "total difficulty: not the last one plus the header's difficulty");
    }
    header_hash(&header, out->hash);
    memcpy(walk->total_difficulty, out->total_difficulty, 32);
    walk->knows_total = true;
    return 0;
}

/* Read the block at WALK into the reader's buffers. BODY is the body's payload, in a buffer. */
static int read_block(struct era1_reader *reader, struct walk *walk, struct era1_block *out,
                      struct bytes *out_body, struct error_detail *detail)
{
    const char *what = "header";
    struct walk after = *walk;
    struct bytes total;
    struct bytes payload;
    int error = read_content(reader, &after.position, ENTRY_HEADER, &reader->header, detail);
    if (error == 0) {
        what = "body";
        error = read_content(reader, &after.position, ENTRY_BODY, &reader->body, detail);
    }
    if (error == 0) {
        error = expect_list(buffer_bytes(&reader->body), out_body, detail);
    }
    if (error == 0) {
        what = "receipts";
        error = read_content(reader, &after.position, ENTRY_RECEIPTS, &reader->receipts, detail);
    }
    if (error == 0) {
        error = expect_list(buffer_bytes(&reader->receipts), &payload, detail);
    }
    if (error == 0) {
        what = "total difficulty";
        error = expect_entry(reader->file, &after.position, ENTRY_TOTAL_DIFFICULTY, &total, detail);
    }
    if (error != 0) {
        return as_damage(error, what, detail);
    }
    error = take_header(reader, &after, total.data, out, detail);
    if (error != 0) {
        return error;
    }
    out->receipts = buffer_bytes(&reader->receipts);
    after.index++;
    *walk = after;
    return 0;
}

int era1_reader_next(struct era1_reader *reader, struct era1_block *out_block,
                     struct error_detail *detail)
{
    if (reader->next.index == reader->count) {
        return STOA_ENOTFOUND;
    }
    struct era1_block block = {0};
    struct bytes body;
    struct walk after = reader->next;
    int error = read_block(reader, &after, &block, &body, detail);
    if (error != 0) {
        error_prefix(detail, "block %" PRIu64, reader->first_number + reader->next.index);
        return error;
    }
    buffer_clear(&reader->block);
    if (rlp_append_list_prefix(&reader->block, reader->header.size + body.size) != 0 ||
        buffer_append(&reader->block, reader->header.data, reader->header.size) != 0 ||
        buffer_append(&reader->block, body.data, body.size) != 0) {
        return error_set(detail, STOA_ENOMEM, "block %" PRIu64 ": no memory", block.number);
    }
    block.block = buffer_bytes(&reader->block);
    reader->next = after;
    *out_block = block;
    return 0;
}

int era1_reader_verify(struct era1_reader *reader, struct error_detail *detail)
{
    struct accumulator accumulator;
    accumulator_init(&accumulator);
    struct walk walk = {.position = ENTRY_HEADER_SIZE, .knows_total = reader->first_number == 0};
    while (walk.index < reader->count) {
        struct era1_block block = {0};
        struct bytes body;
        int error = read_block(reader, &walk, &block, &body, detail);
        if (error != 0) {
            error_prefix(detail, "block %" PRIu64, reader->first_number + walk.index);
            return error;
        }
        accumulator_add(&accumulator, block.hash, block.total_difficulty);
    }
    uint8_t root[32];
    accumulator_root(&accumulator, root);
    if (memcmp(root, reader->accumulator, sizeof(root)) != 0) {
        char said[65];
        char computed[65];
        bytes_to_hex(reader->accumulator, 32, said);
        bytes_to_hex(root, 32, computed);
        return error_set(detail, STOA_ECORRUPT, "accumulator: file says 0x%s, computed 0x%s", said,
                         computed);
    }
    return 0;
}

struct era1_writer {
    uint64_t first_number;
    uint64_t count;
    bool finished;
    uint8_t total_difficulty[32]; /* after the last block */
    size_t offsets[ERA1_BLOCKS_MAX];
    struct accumulator accumulator;
    struct snappy_frame frame;
    struct buffer body;
};

int era1_writer_create(uint64_t first_number, struct era1_writer **out_writer)
{
    struct era1_writer *writer = memory_alloc_zeroed(1, sizeof(*writer));
    if (writer == NULL) {
        return STOA_ENOMEM;
    }
    writer->first_number = first_number;
    accumulator_init(&writer->accumulator);
    snappy_frame_init(&writer->frame);
    buffer_init(&writer->body);
    *out_writer = writer;
    return 0;
}

void era1_writer_destroy(struct era1_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    buffer_deinit(&writer->body);
    memory_free(writer);
}

static int append_entry(struct buffer *out, unsigned type, struct bytes content)
{
    uint8_t head[ENTRY_HEADER_SIZE] = {0};
    ensure(content.size <= UINT32_MAX);
    bytes_store_le16(head, (uint16_t)type);
    bytes_store_le32(head + 2, (uint32_t)content.size);
    int error = buffer_append(out, head, sizeof(head));
    return error != 0 ? error : buffer_append(out, content.data, content.size);
}

static int append_compressed(const struct era1_writer *writer, struct buffer *out, unsigned type,
                             struct bytes content)
{
    size_t start = out->size;
    int error = append_entry(out, type, bytes_of(NULL, 0));
    if (error == 0) {
        error = snappy_frame_compress(&writer->frame, content, out);
    }
    if (error == 0) {
        size_t size = out->size - start - ENTRY_HEADER_SIZE;
        ensure(size <= UINT32_MAX); /* contents are at most SNAPPY_FRAME_CONTENT_MAX */
        bytes_store_le32(out->data + start + 2, (uint32_t)size);
    }
    return error;
}

/* Split BLOCK into header and body and check both against what comes with them and came before. */
static int check_block(const struct era1_writer *writer, const struct era1_block *block,
                       struct header *out_header, struct bytes *out_body,
                       struct error_detail *detail)
{
    struct rlp_item item;
    struct bytes receipts;
    uint8_t hash[32];
    int error = expect_list(block->block, out_body, detail);
    if (error == 0) {
        error = rlp_read(out_body, &item, detail);
    }
    if (error == 0) {
        error = header_decode(item.encoding, out_header, detail);
    }
    if (error == 0) {
        error = expect_list(block->receipts, &receipts, detail);
    }
    if (error != 0) {
        return error;
    }
    if (block->block.size > SNAPPY_FRAME_CONTENT_MAX ||
        block->receipts.size > SNAPPY_FRAME_CONTENT_MAX) {
        return error_set(detail, STOA_ETOOBIG, "block of %zu bytes, receipts of %zu",
                         block->block.size, block->receipts.size);
    }
    uint64_t number = writer->first_number + writer->count;
    if (block->number != number || out_header->number != number) {
        return error_set(detail, STOA_EINVAL, "number: given %" PRIu64 ", header says %" PRIu64,
                         block->number, out_header->number);
    }
    header_hash(out_header, hash);
    if (memcmp(hash, block->hash, sizeof(hash)) != 0) {
        return error_set(detail, STOA_EINVAL, "hash: not the header's");
    }
    if (!total_follows(writer->count > 0 || number == 0, writer->total_difficulty,
                       out_header->difficulty, block->total_difficulty)) {
        return error_set(detail, STOA_EINVAL,
                         "totalDifficulty: not the last one plus the header's difficulty");
    }
    return 0;
}

static int append_block(struct era1_writer *writer, const struct era1_block *block,
                        struct bytes header, struct bytes body, struct buffer *out)
{
    uint8_t total[32];
    reverse(block->total_difficulty, total);
    buffer_clear(&writer->body);
    int error = rlp_append_list_prefix(&writer->body, body.size);
    if (error != 0 || (error = buffer_append(&writer->body, body.data, body.size)) != 0 ||
        (error = append_compressed(writer, out, ENTRY_HEADER, header)) != 0 ||
        (error = append_compressed(writer, out, ENTRY_BODY, buffer_bytes(&writer->body))) != 0 ||
        (error = append_compressed(writer, out, ENTRY_RECEIPTS, block->receipts)) != 0 ||
        (error = append_entry(out, ENTRY_TOTAL_DIFFICULTY, bytes_of(total, 32))) != 0) {
        return error;
    }
    return 0;
}

int era1_writer_add(struct era1_writer *writer, const struct era1_block *block, struct buffer *out,
                    struct error_detail *detail)
{
    ensure(!writer->finished);
    if (writer->count == ERA1_BLOCKS_MAX) {
        return error_set(detail, STOA_ETOOBIG, "an era1 file holds at most %d blocks",
                         ERA1_BLOCKS_MAX);
    }
    struct header header;
    struct bytes body;
    int error = check_block(writer, block, &header, &body, detail);
    if (error != 0) {
        error_prefix(detail, "block %" PRIu64, writer->first_number + writer->count);
        return error;
    }
    size_t start = out->size;
    size_t offset = start;
    if (writer->count == 0) {
        ensure(start == 0);
        error = append_entry(out, ENTRY_VERSION, bytes_of(NULL, 0));
        offset = ENTRY_HEADER_SIZE;
    }
    if (error == 0) {
        error = append_block(writer, block, header.encoding, body, out);
    }
    if (error != 0) {
        out->size = start;
        return error_set(detail, error, "block %" PRIu64 ": no memory", block->number);
    }
    writer->offsets[writer->count++] = offset;
    memcpy(writer->total_difficulty, block->total_difficulty, 32);
    accumulator_add(&writer->accumulator, block->hash, block->total_difficulty);
    return 0;
}

static int append_index(const struct era1_writer *writer, struct buffer *out)
{
    size_t start = out->size;
    size_t size = INDEX_SIZE_MIN + 8 * (size_t)writer->count;
    int error = buffer_reserve(out, ENTRY_HEADER_SIZE + size);
    if (error == 0) {
        error = append_entry(out, ENTRY_BLOCK_INDEX, bytes_of(NULL, 0));
    }
    if (error != 0) {
        return error;
    }
    bytes_store_le32(out->data + start + 2, (uint32_t)size);
    uint8_t *to = out->data + out->size;
    bytes_store_le64(to, writer->first_number);
    for (uint64_t i = 0; i < writer->count; i++) {
        bytes_store_le64(to + 8 + 8 * i, (uint64_t)writer->offsets[i] - start);
    }
    bytes_store_le64(to + 8 + 8 * writer->count, writer->count);
    out->size += size;
    return 0;
}

int era1_writer_finish(struct era1_writer *writer, struct buffer *out, uint8_t out_accumulator[32],
                       struct error_detail *detail)
{
    ensure(!writer->finished);
    if (writer->count == 0) {
        return error_set(detail, STOA_EINVAL, "an era1 file holds at least one block");
    }
    uint8_t root[32];
    accumulator_root(&writer->accumulator, root);
    size_t start = out->size;
    int error = append_entry(out, ENTRY_ACCUMULATOR, bytes_of(root, sizeof(root)));
    if (error == 0) {
        error = append_index(writer, out);
    }
    if (error != 0) {
        out->size = start;
        return error_set(detail, error, "era1 block index: no memory");
    }
    writer->finished = true;
    memcpy(out_accumulator, root, sizeof(root));
    return 0;
}
