/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/archive_list.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "store/store_folder.h"

enum { MOVES_MAX = 16 }; /* of a segment that takes one form after the other meanwhile */

struct archive_listing {
    struct io *io;
    const char *directory;
    uint64_t store_id;
    struct buffer numbers; /* of uint32_t */
    uint8_t *block;
    int result;
    struct error_detail *detail;
};

static void note_name(void *context, const char *name)
{
    struct archive_listing *listing = context;
    bool finished = false;
    uint32_t number = arc_parse_name(name, &finished);
    if (number != 0 && finished && listing->result == 0) {
        listing->result = buffer_append(&listing->numbers, &number, sizeof(number));
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* The header at OFFSET of FILE. STOA_ECORRUPT, or what reading it failed with. */
static int read_header(struct archive_listing *listing, int file, uint64_t offset,
                       struct archive_segment *segment)
{
    struct io_request request = {.op = IO_READ,
                                 .file = file,
                                 .data = listing->block,
                                 .size = SEGMENT_BLOCK,
                                 .offset = offset};
    int64_t result = io_wait(listing->io, &request);
    if (result < 0) {
        return (int)result;
    }
    return result == SEGMENT_BLOCK &&
                   arc_decode_header(listing->block, segment->number, segment->size,
                                     listing->store_id, &segment->header) == FRAME_GOOD
               ? 0
               : STOA_ECORRUPT;
}

/* STOA_ENOTFOUND: it has gone. */
static int look_at(struct archive_listing *listing, const char *path,
                   struct archive_segment *segment)
{
    int result = io_file_size(listing->io, path, &segment->size);
    if (result != 0) {
        return result;
    }
    struct io_request open = {.op = IO_OPEN, .flags = IO_OPEN_DIRECT, .path = path};
    int64_t file = io_wait(listing->io, &open);
    if (file < 0) {
        return (int)file;
    }
    result = STOA_ECORRUPT;
    if (segment->size >= 2 * SEGMENT_BLOCK && segment->size % SEGMENT_BLOCK == 0) {
        result = read_header(listing, (int)file, 0, segment);
        if (result == STOA_ECORRUPT || result == STOA_EIO) {
            result = read_header(listing, (int)file, segment->size - SEGMENT_BLOCK, segment);
        }
    }
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    (void)io_wait(listing->io, &close); /* nothing was written to it */
    segment->damaged = result == STOA_ECORRUPT || result == STOA_EIO;
    return segment->damaged ? 0 : result;
}

/* One that looks damaged may have been replaced by another between two looks. */
static int look_again(struct archive_listing *listing, const char *path,
                      struct archive_segment *segment)
{
    int result = look_at(listing, path, segment);
    for (unsigned i = 0; i < MOVES_MAX && result == 0 && segment->damaged; i++) {
        uint64_t size = segment->size;
        uint64_t now = size;
        if (io_file_size(listing->io, path, &now) == 0 && now == size) {
            break;
        }
        result = look_at(listing, path, segment);
    }
    return result;
}

static int tell(struct archive_listing *listing, uint32_t number,
                int (*each)(void *context, const struct archive_segment *segment), void *context)
{
    struct archive_segment segment = {.number = number};
    char folder[STORE_PATH_SIZE_MAX];
    char path[STORE_PATH_SIZE_MAX];
    char name[SEGMENT_NAME_SIZE];
    arc_name(number, true, name);
    int result =
        store_folder_path(folder, listing->directory, STORE_FOLDER_ARCHIVE, listing->detail);
    if (result == 0) {
        result = store_folder_path(path, folder, name, listing->detail);
    }
    if (result != 0) {
        return result;
    }
    result = look_again(listing, path, &segment);
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    return result == 0
               ? each(context, &segment)
               : error_set(listing->detail, result, "read %s: %s", path, stoa_strerror(result));
}

static int list_numbers(struct archive_listing *listing)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, listing->directory, STORE_FOLDER_ARCHIVE, listing->detail);
    if (result != 0) {
        return result;
    }
    result = io_list(listing->io, path, note_name, listing);
    if (result == STOA_ENOTFOUND) {
        return 0; /* nothing was ever packed */
    }
    result = result == 0 ? listing->result : result;
    return result == 0
               ? 0
               : error_set(listing->detail, result, "list %s: %s", path, stoa_strerror(result));
}

int archive_list(struct io *io, const char *directory, uint64_t store_id,
                 int (*each)(void *context, const struct archive_segment *segment), void *context,
                 struct error_detail *detail)
{
    struct archive_listing listing = {
        .io = io,
        .directory = directory,
        .store_id = store_id,
        .block = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT),
        .detail = detail,
    };
    if (listing.block == NULL) {
        return error_set(detail, STOA_ENOMEM, "list packed segments: no memory");
    }
    buffer_init(&listing.numbers);
    int result = list_numbers(&listing);
    size_t count = listing.numbers.size / sizeof(uint32_t);
    uint32_t *numbers = (void *)listing.numbers.data;
    if (count > 1) {
        qsort(numbers, count, sizeof(*numbers), compare_numbers);
    }
    for (size_t i = 0; i < count && result == 0; i++) {
        result = tell(&listing, numbers[i], each, context);
    }
    buffer_deinit(&listing.numbers);
    memory_free(listing.block);
    return result;
}
