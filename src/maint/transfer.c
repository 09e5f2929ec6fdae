/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/transfer.h"

#include <errno.h>
#include <stdio.h>

#define XXH_STATIC_LINKING_ONLY /* the size of its state */
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "store/store_folder.h"

static int fail(struct error_detail *detail, const struct io_request *request, int64_t result,
                const char *what, const char *path)
{
    if (request->os_error != 0) {
        return error_set_errno(detail, request->os_error, "%s %s", what, path);
    }
    return error_set(detail, (int)result, "%s %s: %s", what, path, stoa_strerror((int)result));
}

/* One request, waited for. */
static int64_t wait_for(struct io *io, struct io_request *request, struct error_detail *detail,
                        const char *what, const char *path)
{
    int64_t result = io_wait(io, request);
    return result < 0 ? fail(detail, request, result, what, path) : result;
}

static int pass_on(int64_t result)
{
    return result < 0 ? (int)result : 0;
}

/* A file read or written in turns, with a buffer. */
struct transfer {
    struct io *io;
    const char *path;
    int file; /* -1: closed */
    struct error_detail *detail;
};

static int open_file(struct transfer *transfer, unsigned flags)
{
    struct io_request request = {.op = IO_OPEN, .path = transfer->path, .flags = flags};
    int64_t result = wait_for(transfer->io, &request, transfer->detail, "open", transfer->path);
    transfer->file = result < 0 ? -1 : (int)result;
    return result < 0 ? (int)result : 0;
}

/* Closing what was flushed or only read cannot lose anything. */
static void close_file(struct transfer *transfer)
{
    if (transfer->file >= 0) {
        struct io_request request = {.op = IO_CLOSE, .file = transfer->file};
        (void)io_wait(transfer->io, &request); /* as above */
        transfer->file = -1;
    }
}

/* Read SIZE bytes, or as many as BUFFER has, at OFFSET; the file must have them. */
static int read_piece(const struct transfer *transfer, uint8_t *buffer, uint64_t offset,
                      uint64_t size)
{
    uint64_t whole = (size + IO_ALIGNMENT - 1) & ~(uint64_t)(IO_ALIGNMENT - 1);
    struct io_request request = {
        .op = IO_READ,
        .file = transfer->file,
        .data = buffer,
        .size = whole,
        .offset = offset,
    };
    int64_t got = wait_for(transfer->io, &request, transfer->detail, "read", transfer->path);
    if (got < 0) {
        return (int)got;
    }
    if ((uint64_t)got < size) {
        return error_set(transfer->detail, STOA_ECORRUPT, "%s ends at byte %llu", transfer->path,
                         (unsigned long long)(offset + (uint64_t)got));
    }
    return 0;
}

static uint64_t piece_size(uint64_t offset, uint64_t end)
{
    return end - offset < TRANSFER_CHUNK ? end - offset : TRANSFER_CHUNK;
}

/* Take bytes up to END of FROM into STATE, and write them to TO as well, where it is there. */
static int pass(const struct transfer *from, const struct transfer *to, uint64_t offset,
                uint64_t end, XXH3_state_t *state, uint8_t *buffer, struct pace *pace)
{
    int result = 0;
    while (offset < end && result == 0) {
        uint64_t size = piece_size(offset, end);
        result = read_piece(from, buffer, offset, size);
        if (result != 0) {
            return result;
        }
        (void)XXH3_128bits_update(state, buffer, size); /* fails for NULL only */
        if (to != NULL) {
            struct io_request request = {
                .op = IO_WRITE, .file = to->file, .data = buffer, .size = size, .offset = offset};
            result = pass_on(wait_for(to->io, &request, to->detail, "write", to->path));
        }
        offset += size;
        if (result == 0) {
            result = pace_step(pace, size);
            if (result != 0) {
                (void)error_set(from->detail, result, "stopped at %s", from->path); /* told below */
            }
        }
    }
    return result;
}

static void take_sum(const XXH3_state_t *state, uint8_t out_sum[TRANSFER_SUM_SIZE])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    static_assert(sizeof(canonical) == TRANSFER_SUM_SIZE, "a sum is 16 bytes");
    memcpy(out_sum, &canonical, TRANSFER_SUM_SIZE);
}

void transfer_sum_bytes(struct bytes data, uint8_t out_sum[TRANSFER_SUM_SIZE])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data.data, data.size));
    memcpy(out_sum, &canonical, TRANSFER_SUM_SIZE);
}

/* What summing needs. */
struct summing {
    XXH3_state_t *state;
    uint8_t *buffer;
};

static int begin_sum(struct summing *summing, struct error_detail *detail)
{
    summing->state = memory_alloc_aligned(sizeof(XXH3_state_t), 64);
    summing->buffer = memory_alloc_aligned(TRANSFER_CHUNK, IO_ALIGNMENT);
    if (summing->state == NULL || summing->buffer == NULL) {
        return error_set(detail, STOA_ENOMEM, "copy a file: no memory");
    }
    (void)XXH3_128bits_reset(summing->state); /* fails for NULL only */
    return 0;
}

static void end_sum(struct summing *summing)
{
    memory_free(summing->state);
    memory_free(summing->buffer);
}

int transfer_sum(struct io *io, const char *path, uint64_t size, struct pace *pace,
                 uint8_t out_sum[TRANSFER_SUM_SIZE], struct error_detail *detail)
{
    struct transfer from = {.io = io, .path = path, .file = -1, .detail = detail};
    struct summing summing;
    int result = begin_sum(&summing, detail);
    if (result == 0) {
        result = open_file(&from, IO_OPEN_DIRECT);
    }
    if (result == 0) {
        result = pass(&from, NULL, 0, size, summing.state, summing.buffer, pace);
    }
    if (result == 0) {
        take_sum(summing.state, out_sum);
    }
    close_file(&from);
    end_sum(&summing);
    return result;
}

/* The first KEPT bytes of TO, into STATE, if they are what they should be. */
static int check_kept(const struct transfer *to, uint64_t kept, const uint8_t *kept_sum,
                      struct summing *summing, struct pace *pace)
{
    uint8_t sum[TRANSFER_SUM_SIZE];
    if (kept == 0) {
        return 0;
    }
    ensure(kept_sum != NULL);
    int result = pass(to, NULL, 0, kept, summing->state, summing->buffer, pace);
    if (result != 0) {
        return result;
    }
    take_sum(summing->state, sum);
    return memcmp(sum, kept_sum, sizeof(sum)) == 0
               ? 0
               : error_set(to->detail, STOA_ECORRUPT, "%s is not what was copied to it: checksum",
                           to->path);
}

int transfer_copy(struct io *io, const char *from_path, const char *to_path, uint64_t size,
                  uint64_t kept, const uint8_t *kept_sum, struct pace *pace,
                  uint8_t out_sum[TRANSFER_SUM_SIZE], struct error_detail *detail)
{
    struct transfer from = {.io = io, .path = from_path, .file = -1, .detail = detail};
    struct transfer to = {.io = io, .path = to_path, .file = -1, .detail = detail};
    struct summing summing;
    ensure(kept <= size);
    bool aligned = size % IO_ALIGNMENT == 0 && kept % IO_ALIGNMENT == 0;
    int result = begin_sum(&summing, detail);
    if (result == 0) {
        result = open_file(&from, IO_OPEN_DIRECT);
    }
    if (result == 0) {
        result = open_file(&to, IO_OPEN_WRITE | IO_OPEN_CREATE |
                                    (aligned ? (unsigned)IO_OPEN_DIRECT : 0));
    }
    if (result == 0) {
        result = check_kept(&to, kept, kept_sum, &summing, pace);
    }
    if (result == 0) {
        result = pass(&from, &to, kept, size, summing.state, summing.buffer, pace);
    }
    if (result == 0) {
        struct io_request request = {.op = IO_SYNC, .file = to.file};
        result = pass_on(wait_for(io, &request, detail, "flush", to_path));
    }
    if (result == 0) {
        take_sum(summing.state, out_sum);
    }
    close_file(&from);
    close_file(&to);
    end_sum(&summing);
    return result;
}

int transfer_check_replaced(struct io *io, const char *path, uint64_t size, int result)
{
    uint64_t now = 0;
    if (result != 0 && result != STOA_ECORRUPT) {
        return result;
    }
    int looked = io_file_size(io, path, &now);
    return looked != 0 ? looked : now == size ? result : STOA_ENOTFOUND;
}

int transfer_read(struct io *io, const char *path, uint64_t size_max, uint8_t **out_data,
                  size_t *out_size, struct error_detail *detail)
{
    uint64_t size = 0;
    int result = io_file_size(io, path, &size);
    if (result != 0) {
        return error_set(detail, result, "%s: %s", path, stoa_strerror(result));
    }
    if (size > size_max) {
        return error_set(detail, STOA_ETOOBIG, "%s: %llu bytes are too many", path,
                         (unsigned long long)size);
    }
    uint64_t room = (size + IO_ALIGNMENT) & ~(uint64_t)(IO_ALIGNMENT - 1);
    struct transfer from = {.io = io, .path = path, .file = -1, .detail = detail};
    uint8_t *data = memory_alloc_aligned(room, IO_ALIGNMENT);
    if (data == NULL) {
        return error_set(detail, STOA_ENOMEM, "read %s: no memory", path);
    }
    result = open_file(&from, 0);
    if (result == 0) {
        result = read_piece(&from, data, 0, size);
    }
    close_file(&from);
    if (result != 0) {
        memory_free(data);
        return result;
    }
    *out_data = data;
    *out_size = size;
    return 0;
}

int transfer_write(struct io *io, const char *directory, const char *path, struct bytes data,
                   struct error_detail *detail)
{
    char beside[STORE_PATH_SIZE_MAX];
    int length = snprintf(beside, sizeof(beside), "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof(beside)) {
        return error_set(detail, STOA_EINVAL, "%s: the path is too long", path);
    }
    struct transfer to = {.io = io, .path = beside, .file = -1, .detail = detail};
    int result = open_file(&to, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE);
    struct io_request write = {
        .op = IO_WRITE, .file = to.file, .data = (void *)(uintptr_t)data.data, .size = data.size};
    struct io_request flush = {.op = IO_SYNC, .file = to.file};
    struct io_request rename = {.op = IO_RENAME, .path = beside, .path_to = path};
    if (result == 0 && data.size > 0) {
        result = pass_on(wait_for(io, &write, detail, "write", beside));
    }
    if (result == 0) {
        result = pass_on(wait_for(io, &flush, detail, "flush", beside));
    }
    close_file(&to);
    if (result == 0) {
        result = pass_on(wait_for(io, &rename, detail, "rename", beside));
    }
    return result == 0 ? store_folder_sync(io, directory, detail) : result;
}

int transfer_remove(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_UNLINK, .path = path};
    int64_t result = io_wait(io, &request);
    return result < 0 && result != STOA_ENOTFOUND ? fail(detail, &request, result, "remove", path)
                                                  : 0;
}

int transfer_make_directory(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_MKDIR, .path = path};
    int64_t result = io_wait(io, &request);
    return result < 0 && result != STOA_EEXISTS
               ? fail(detail, &request, result, "make directory", path)
               : 0;
}
