/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/import_source.h"

#include <inttypes.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/era1.h"
#include "chain/header.h"
#include "stoa/block_file.h"
#include "stoa/error.h"
#include "stoa/spool_file.h"

enum { HASH_SIZE = 32, E2STORE_ENTRY_SIZE = 8 };

struct import_source {
    struct byte_input *input;
    struct block_file blocks; /* of an RLP stream; of any, its first bytes */
    struct bytes refused;     /* what the last block handed over by BLOCKS was, where it was bad */
    struct bytes map;         /* of an era1 file */
    struct era1_reader *era1; /* NULL: an RLP stream */
    uint64_t taken;           /* blocks of the era1 file */
};

/* Whether BYTES begin with an e2store version entry: type "e2", no content. */
static bool begins_as_era1(struct bytes bytes)
{
    static const uint8_t version[E2STORE_ENTRY_SIZE] = {'e', '2'};
    return bytes.size >= sizeof(version) && memcmp(bytes.data, version, sizeof(version)) == 0;
}

static int check_era1(struct bytes map, struct error_detail *detail)
{
    struct era1_reader *reader = NULL;
    int result = era1_reader_create(map, &reader, detail);
    if (result == 0) {
        result = era1_reader_verify(reader, detail);
    }
    era1_reader_destroy(reader);
    return result;
}

static int open_era1(struct import_source *source, struct error_detail *detail)
{
    int result =
        spool_file_map(source->input, block_file_rest(&source->blocks), &source->map, detail);
    if (result == 0) {
        result = check_era1(source->map, detail);
    }
    if (result == 0) {
        result = era1_reader_create(source->map, &source->era1, detail);
    }
    return result;
}

int import_source_open(const char *path, struct import_source **out_source,
                       struct error_detail *detail)
{
    struct import_source *source = memory_alloc_zeroed(1, sizeof(*source));
    if (source == NULL) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    int result = byte_input_open(path, &source->input, detail);
    block_file_init(&source->blocks, source->input);
    if (result == 0) {
        result = block_file_look(&source->blocks, E2STORE_ENTRY_SIZE, detail);
    }
    if (result == 0 && begins_as_era1(block_file_rest(&source->blocks))) {
        result = open_era1(source, detail);
    }
    if (result != 0) {
        import_source_close(source);
        return result;
    }
    *out_source = source;
    return 0;
}

void import_source_close(struct import_source *source)
{
    if (source == NULL) {
        return;
    }
    era1_reader_destroy(source->era1);
    spool_file_unmap(source->map);
    block_file_deinit(&source->blocks);
    byte_input_close(source->input);
    memory_free(source);
}

/* Fill ITEM from the header of its block. */
static int read_header(struct import_item *item, struct error_detail *detail)
{
    struct bytes cursor = item->block;
    struct bytes fields;
    struct rlp_item encoding;
    struct header header;
    int result = rlp_read_list(&cursor, &fields, detail);
    if (result == 0) {
        result = rlp_read(&fields, &encoding, detail);
    }
    if (result != 0) {
        (void)error_prefix(detail, "header");
        return result;
    }
    result = header_decode(encoding.encoding, &header, detail);
    if (result != 0) {
        return result;
    }
    item->number = header.number;
    memcpy(item->parent_hash, header.parent_hash, HASH_SIZE);
    header_hash(&header, item->hash);
    return 0;
}

static int next_era1(struct import_source *source, struct import_item *out_item,
                     struct error_detail *detail)
{
    struct era1_block block;
    int result = era1_reader_next(source->era1, &block, detail);
    if (result != 0) {
        return result;
    }
    source->taken++;
    *out_item = (struct import_item){.block = block.block, .receipts = block.receipts};
    result = read_header(out_item, detail);
    if (result != 0) {
        (void)error_prefix(detail, "block %" PRIu64, block.number);
    }
    return result;
}

int import_source_next(struct import_source *source, struct import_item *out_item,
                       struct error_detail *detail)
{
    if (source->era1 != NULL) {
        return next_era1(source, out_item, detail);
    }
    uint64_t offset = source->blocks.offset;
    *out_item = (struct import_item){.number = 0};
    source->refused = bytes_of(NULL, 0);
    int result = block_file_next(&source->blocks, &out_item->block, detail);
    if (result == STOA_ENOTFOUND && offset == 0) {
        return error_set(detail, STOA_EINVAL, "empty: no block");
    }
    if (result != 0) {
        source->refused = block_file_rest(&source->blocks);
        return result;
    }
    result = read_header(out_item, detail);
    if (result != 0) {
        source->refused = out_item->block;
        (void)error_prefix(detail, "offset %" PRIu64, offset);
    }
    return result;
}

/* Drop the prefix of a list that may be cut off behind it. */
static bool skip_list_prefix(struct bytes *cursor)
{
    enum { SHORT_LIST = 0xc0, LONG_LIST = 0xf7 };
    if (cursor->size == 0 || cursor->data[0] < SHORT_LIST) {
        return false;
    }
    size_t size = 1;
    if (cursor->data[0] > LONG_LIST) {
        size += (size_t)(cursor->data[0] - LONG_LIST);
    }
    if (cursor->size < size) {
        return false;
    }
    *cursor = bytes_of(cursor->data + size, cursor->size - size);
    return true;
}

bool import_source_peek_parent(const struct import_source *source, uint8_t out_parent_hash[32])
{
    enum { HASH_PREFIX = 0x80 + HASH_SIZE };
    struct bytes cursor = source->refused;
    if (!skip_list_prefix(&cursor) || !skip_list_prefix(&cursor) || cursor.size < 1 + HASH_SIZE ||
        cursor.data[0] != HASH_PREFIX) {
        return false;
    }
    memcpy(out_parent_hash, cursor.data + 1, HASH_SIZE);
    return true;
}

double import_source_fraction(const struct import_source *source)
{
    if (source->era1 != NULL) {
        uint64_t count = era1_reader_block_count(source->era1);
        return count == 0 ? 1 : (double)source->taken / (double)count;
    }
    uint64_t total = byte_input_total(source->input);
    return total == 0 ? -1 : (double)byte_input_position(source->input) / (double)total;
}
