/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/spool_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "stoa/error.h"
#include "stoa/file_output.h"

enum { PIECE_SIZE = 1 << 20, PATH_SIZE = 4096 };

static int map_descriptor(int fd, struct bytes *out_map, struct error_detail *detail)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return error_set_errno(detail, errno, "fstat");
    }
    size_t size = (size_t)info.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return error_set_errno(detail, errno, "mmap");
    }
    *out_map = bytes_of(data, size);
    return 0;
}

static int create(const char *directory, int *out_fd, struct error_detail *detail)
{
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof(path), "%s/stoa-import.XXXXXX", directory);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        return error_set(detail, STOA_EINVAL, "TMPDIR: too long");
    }
    int fd = mkstemp(path);
    if (fd < 0) {
        return error_set_errno(detail, errno, "create %s", path);
    }
    if (unlink(path) != 0) {
        int result = error_set_errno(detail, errno, "unlink %s", path);
        (void)close(fd); /* nothing was written */
        return result;
    }
    *out_fd = fd;
    return 0;
}

static int copy_rest(int fd, struct byte_input *input, struct error_detail *detail)
{
    struct buffer piece;
    buffer_init(&piece);
    int result = buffer_reserve(&piece, PIECE_SIZE);
    if (result != 0) {
        (void)error_set(detail, result, "no memory");
    }
    size_t count = 1;
    while (result == 0 && count > 0) {
        result = byte_input_read(input, piece.data, PIECE_SIZE, &count, detail);
        if (result == 0) {
            result = file_output_write_all(fd, bytes_of(piece.data, count), detail);
        }
    }
    buffer_deinit(&piece);
    return result;
}

int spool_file_map(struct byte_input *input, struct bytes begun, struct bytes *out_map,
                   struct error_detail *detail)
{
    ensure(begun.size > 0);
    int plain = byte_input_plain_descriptor(input);
    if (plain >= 0) {
        return map_descriptor(plain, out_map, detail);
    }
    const char *directory = getenv("TMPDIR");
    if (directory == NULL || directory[0] == '\0') {
        directory = "/var/tmp";
    }
    int fd = -1;
    int result = create(directory, &fd, detail);
    if (result != 0) {
        return result;
    }
    result = file_output_write_all(fd, begun, detail);
    if (result == 0) {
        result = copy_rest(fd, input, detail);
    }
    if (result == 0) {
        result = map_descriptor(fd, out_map, detail);
    }
    if (result != 0) {
        (void)error_prefix(detail, "copy in %s", directory);
    }
    (void)close(fd); /* it has no name, and the map keeps it */
    return result;
}

void spool_file_unmap(struct bytes map)
{
    if (map.data != NULL) {
        (void)munmap((void *)(uintptr_t)map.data, map.size); /* it was mapped */
    }
}
