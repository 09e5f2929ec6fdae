/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/block_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/ensure.h"
#include "chain/rlp.h"
#include "stoa/error.h"

enum { CHUNK_SIZE = 4 << 20 };

void block_file_init(struct block_file *file, struct byte_input *input)
{
    *file = (struct block_file){.input = input};
    buffer_init(&file->chunk);
}

void block_file_deinit(struct block_file *file)
{
    buffer_deinit(&file->chunk);
}

struct bytes block_file_rest(const struct block_file *file)
{
    if (file->chunk.size == file->begin) {
        return bytes_of(NULL, 0);
    }
    return bytes_of(file->chunk.data + file->begin, file->chunk.size - file->begin);
}

int block_file_look(struct block_file *file, size_t size, struct error_detail *detail)
{
    size_t left = file->chunk.size - file->begin;
    if (left >= size || file->ended) {
        return 0;
    }
    if (left > 0) {
        memmove(file->chunk.data, file->chunk.data + file->begin, left);
    }
    file->chunk.size = left;
    file->begin = 0;
    size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    if (buffer_reserve(&file->chunk, room - left) != 0) {
        return error_set(detail, STOA_ENOMEM, "no memory for %zu bytes", room);
    }
    while (file->chunk.size < size && !file->ended) {
        size_t count;
        int result = byte_input_read(file->input, file->chunk.data + file->chunk.size,
                                     room - file->chunk.size, &count, detail);
        if (result != 0) {
            return result;
        }
        file->chunk.size += count;
        file->ended = count == 0;
    }
    return 0;
}

/* Find out how long the next block is. STOA_ENOTFOUND at the end of the stream. */
static int peek_size(struct block_file *file, size_t *out_size, struct error_detail *detail)
{
    enum { PREFIX_SIZE_MAX = 9, FIRST_LIST_PREFIX = 0xc0 };
    int result = block_file_look(file, PREFIX_SIZE_MAX, detail);
    if (result != 0) {
        return result;
    }
    struct bytes rest = block_file_rest(file);
    if (rest.size == 0) {
        return STOA_ENOTFOUND;
    }
    if (rest.data[0] < FIRST_LIST_PREFIX) {
        return error_set(detail, STOA_EINVAL, "offset %" PRIu64 ": no block begins here",
                         file->offset);
    }
    uint64_t size;
    result = rlp_peek_size(rest, &size, detail);
    if (result == STOA_EBUSY) {
        return error_set(detail, STOA_EINVAL, "offset %" PRIu64 ": block truncated", file->offset);
    }
    if (result != 0) {
        (void)error_prefix(detail, "offset %" PRIu64 ": length prefix", file->offset);
        return result;
    }
    if (size > BLOCK_FILE_BLOCK_SIZE_MAX) {
        return error_set(detail, STOA_EINVAL,
                         "offset %" PRIu64 ": block: length prefix says %" PRIu64
                         " bytes, more than %d",
                         file->offset, size, BLOCK_FILE_BLOCK_SIZE_MAX);
    }
    *out_size = (size_t)size;
    return 0;
}

int block_file_next(struct block_file *file, struct bytes *out_block, struct error_detail *detail)
{
    size_t size = 0;
    int result = peek_size(file, &size, detail);
    if (result != 0) {
        return result;
    }
    result = block_file_look(file, size, detail);
    if (result != 0) {
        return result;
    }
    struct bytes rest = block_file_rest(file);
    if (rest.size < size) {
        return error_set(detail, STOA_EINVAL,
                         "offset %" PRIu64 ": block truncated: %zu of %zu bytes", file->offset,
                         rest.size, size);
    }
    *out_block = bytes_of(rest.data, size);
    file->begin += size;
    file->offset += size;
    ensure(file->begin <= file->chunk.size);
    return 0;
}
