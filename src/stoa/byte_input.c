/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/byte_input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "stoa/interrupt.h"

enum { RAW_SIZE = 1 << 20, GZIP_WINDOW = 15 + 16 };

struct byte_input {
    int fd; /* owned unless it is standard input */
    bool gzip;
    bool whole;       /* a file, read from its first byte on */
    bool ended;       /* the descriptor is at its end */
    bool member_open; /* a gzip member has begun and not ended */
    bool inflating;   /* ZLIB is initialised */
    uint64_t position;
    uint64_t total;
    z_stream zlib;
    size_t begin; /* of what is in RAW and not used yet */
    size_t end;
    uint8_t raw[RAW_SIZE];
};

static void *zlib_alloc(void *context, unsigned count, unsigned size)
{
    (void)context;
    return memory_alloc_zeroed(count, size);
}

static void zlib_free(void *context, void *pointer)
{
    (void)context;
    memory_free(pointer);
}

/* One read of the descriptor into OUT. */
static int read_some(struct byte_input *input, uint8_t *out, size_t capacity, size_t *out_size,
                     struct error_detail *detail)
{
    while (!input->ended) {
        if (!interrupt_wait_readable(input->fd)) {
            return error_set(detail, STOA_ECANCELED, "interrupted");
        }
        ssize_t count = read(input->fd, out, capacity);
        if (count > 0) {
            input->position += (uint64_t)count;
            *out_size = (size_t)count;
            return 0;
        }
        if (count == 0) {
            input->ended = true;
        } else if (errno != EINTR) {
            return error_set_errno(detail, errno, "read");
        }
    }
    *out_size = 0;
    return 0;
}

/* Append to RAW what one read gives. */
static int fill_raw(struct byte_input *input, struct error_detail *detail)
{
    if (input->begin == input->end) {
        input->begin = 0;
        input->end = 0;
    }
    ensure(input->end < RAW_SIZE);
    size_t count;
    int result = read_some(input, input->raw + input->end, RAW_SIZE - input->end, &count, detail);
    if (result == 0) {
        input->end += count;
    }
    return result;
}

/* Read the first bytes and set up for what they are. */
static int detect(struct byte_input *input, struct error_detail *detail)
{
    while (input->end < 2 && !input->ended) {
        int result = fill_raw(input, detail);
        if (result != 0) {
            return result;
        }
    }
    input->gzip = input->end >= 2 && input->raw[0] == 0x1f && input->raw[1] == 0x8b;
    if (!input->gzip) {
        return 0;
    }
    input->zlib.zalloc = zlib_alloc;
    input->zlib.zfree = zlib_free;
    if (inflateInit2(&input->zlib, GZIP_WINDOW) != Z_OK) {
        return error_set(detail, STOA_ENOMEM, "gzip: no memory");
    }
    input->inflating = true;
    return 0;
}

int byte_input_open(const char *path, struct byte_input **out_input, struct error_detail *detail)
{
    struct byte_input *input = memory_alloc_zeroed(1, sizeof(*input));
    if (input == NULL) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    bool standard = strcmp(path, "-") == 0;
    input->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int result = 0;
    struct stat info;
    if (input->fd < 0) {
        result = error_set_errno(detail, errno, "open");
    } else if (fstat(input->fd, &info) != 0) {
        result = error_set_errno(detail, errno, "fstat");
    } else if (S_ISDIR(info.st_mode)) {
        result = error_set_errno(detail, EISDIR, "open");
    } else if (S_ISREG(info.st_mode)) {
        input->total = (uint64_t)info.st_size;
        input->whole = lseek(input->fd, 0, SEEK_CUR) == 0;
        (void)posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
    }
    if (result == 0) {
        result = detect(input, detail);
    }
    if (result != 0) {
        byte_input_close(input);
        return result;
    }
    *out_input = input;
    return 0;
}

void byte_input_close(struct byte_input *input)
{
    if (input == NULL) {
        return;
    }
    if (input->inflating) {
        (void)inflateEnd(&input->zlib); /* says only that data was left */
    }
    if (input->fd > STDIN_FILENO) {
        (void)close(input->fd); /* opened for reading: nothing can be lost */
    }
    memory_free(input);
}

/* Have zlib turn what is in RAW into up to CAPACITY bytes of OUT. */
static int inflate_some(struct byte_input *input, uint8_t *out, size_t capacity, size_t *out_size,
                        struct error_detail *detail)
{
    z_stream *zlib = &input->zlib;
    zlib->next_in = input->raw + input->begin;
    zlib->avail_in = (uInt)(input->end - input->begin);
    zlib->next_out = out;
    zlib->avail_out = (uInt)(capacity < RAW_SIZE ? capacity : RAW_SIZE);
    uInt wanted = zlib->avail_out;
    input->member_open = true;
    int code = inflate(zlib, Z_NO_FLUSH);
    input->begin = input->end - zlib->avail_in;
    *out_size = wanted - zlib->avail_out;
    if (code == Z_STREAM_END) {
        input->member_open = false;
        code = inflateReset(zlib);
    }
    if (code == Z_OK || code == Z_BUF_ERROR) {
        return 0;
    }
    if (code == Z_MEM_ERROR) {
        return error_set(detail, STOA_ENOMEM, "gzip: no memory");
    }
    return error_set(detail, STOA_EINVAL, "gzip: %s", zlib->msg != NULL ? zlib->msg : "bad data");
}

static int read_gzip(struct byte_input *input, uint8_t *out, size_t capacity, size_t *out_size,
                     struct error_detail *detail)
{
    *out_size = 0;
    while (*out_size == 0) {
        if (input->begin == input->end && !input->ended) {
            int result = fill_raw(input, detail);
            if (result != 0) {
                return result;
            }
        }
        if (input->begin == input->end && input->ended) {
            if (input->member_open) {
                return error_set(detail, STOA_EINVAL, "gzip: truncated");
            }
            return 0;
        }
        int result = inflate_some(input, out, capacity, out_size, detail);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int byte_input_read(struct byte_input *input, uint8_t *out, size_t capacity, size_t *out_size,
                    struct error_detail *detail)
{
    ensure(capacity > 0);
    if (input->gzip) {
        return read_gzip(input, out, capacity, out_size, detail);
    }
    size_t left = input->end - input->begin;
    if (left == 0) {
        return read_some(input, out, capacity, out_size, detail);
    }
    size_t count = left < capacity ? left : capacity;
    memcpy(out, input->raw + input->begin, count);
    input->begin += count;
    *out_size = count;
    return 0;
}

int byte_input_plain_descriptor(const struct byte_input *input)
{
    return input->whole && !input->gzip ? input->fd : -1;
}

uint64_t byte_input_position(const struct byte_input *input)
{
    return input->position;
}

uint64_t byte_input_total(const struct byte_input *input)
{
    return input->total;
}
