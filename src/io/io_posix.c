/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/io_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"

enum { SECTOR_SIZE = 512 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    int error = clock_gettime(clock, &time);
    ensure(error == 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t io_posix_now_ns(struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t io_posix_wall_ns(struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_REALTIME);
}

void io_posix_random(struct io *io, void *out, size_t size)
{
    (void)io;
    size_t filled = 0;
    while (filled < size) {
        ssize_t got = getrandom((char *)out + filled, size - filled, 0);
        ensure(got > 0 || errno == EINTR);
        filled += got > 0 ? (size_t)got : 0;
    }
}

int io_posix_list(struct io *io, const char *path, void (*entry)(void *context, const char *name),
                  void *context)
{
    (void)io;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_from_errno(errno);
    }
    int error = 0;
    for (;;) {
        errno = 0;
        /* cppcheck-suppress readdirCalled ; the stream is ours alone */
        const struct dirent *found = readdir(directory);
        if (found == NULL) {
            error = errno == 0 ? 0 : error_from_errno(errno);
            break;
        }
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0) {
            entry(context, found->d_name);
        }
    }
    (void)closedir(directory); /* only read from: nothing can be lost */
    return error;
}

int io_posix_file_size(struct io *io, const char *path, uint64_t *out_size)
{
    (void)io;
    struct stat status;
    if (stat(path, &status) != 0) {
        return error_from_errno(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return STOA_EINVAL;
    }
    *out_size = (uint64_t)status.st_size;
    return 0;
}

int io_posix_space(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total)
{
    (void)io;
    struct statvfs status;
    if (statvfs(path, &status) != 0) {
        return error_from_errno(errno);
    }
    *out_free = (uint64_t)status.f_bavail * status.f_frsize;
    *out_total = (uint64_t)status.f_blocks * status.f_frsize;
    return 0;
}

bool io_posix_is_written(struct io *io, int file, uint64_t offset, uint64_t size)
{
    enum { EXTENTS = 64 };
    _Alignas(struct fiemap)
        uint8_t space[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
    struct fiemap *map = (void *)space;
    (void)io;
    uint64_t end = offset + size;
    while (offset < end) {
        memset(space, 0, sizeof(space));
        map->fm_start = offset;
        map->fm_length = end - offset;
        map->fm_extent_count = EXTENTS;
        if (ioctl(file, FS_IOC_FIEMAP, map) != 0) {
            return true;
        }
        for (uint32_t i = 0; i < map->fm_mapped_extents && offset < end; i++) {
            const struct fiemap_extent *extent = &map->fm_extents[i];
            bool unwritten = (extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0;
            if (unwritten || extent->fe_logical > offset) {
                return false;
            }
            offset = extent->fe_logical + extent->fe_length;
        }
        if (map->fm_mapped_extents < EXTENTS) {
            return offset >= end;
        }
    }
    return true;
}

/* flock belongs to the open file description, so a second lock by this process is refused too. */
int io_posix_lock(struct io *io, const char *path, int *out_lock)
{
    (void)io;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, IO_POSIX_FILE_MODE);
    if (file < 0) {
        return error_from_errno(errno);
    }
    int result;
    do {
        result = flock(file, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        int error = errno == EWOULDBLOCK ? STOA_ELOCKED : error_from_errno(errno);
        (void)close(file); /* nothing was written */
        return error;
    }
    *out_lock = file;
    return 0;
}

void io_posix_unlock(struct io *io, int lock)
{
    (void)io;
    int result = close(lock);
    ensure(result == 0 || errno != EBADF);
}

int io_posix_open_flags(unsigned flags)
{
    return O_CLOEXEC | ((flags & IO_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY) |
           ((flags & IO_OPEN_CREATE) != 0 ? O_CREAT : 0) |
           ((flags & IO_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0) |
           ((flags & IO_OPEN_DIRECT) != 0 ? O_DIRECT : 0) |
           ((flags & IO_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0);
}

/* The kernel refuses O_DIRECT only after it has created the file and found that it did not exist
 * before: asking for exclusive creation again would meet our own file. */
int io_posix_open_flags_buffered(unsigned flags)
{
    return io_posix_open_flags(flags) & ~(O_DIRECT | O_EXCL);
}

/* A short read of a direct file may be followed by another only from a sector's edge; a count that
 * is not whole sectors, asked by an aligned request, is the end of the file. */
bool io_posix_advance(struct io_request *request, size_t count)
{
    ensure(count <= request->size - request->moved);
    request->moved += count;
    if (request->moved == request->size) {
        return true;
    }
    if (request->op == IO_WRITE) {
        return false;
    }
    bool aligned = ((request->offset | request->size) % SECTOR_SIZE) == 0;
    return count == 0 || (aligned && request->moved % SECTOR_SIZE != 0);
}

uint64_t io_resident_bytes(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    ssize_t size = read(file, text, sizeof(text) - 1);
    close(file);
    text[size > 0 ? size : 0] = '\0';
    char *resident = strchr(text, ' '); /* the second number, in pages */
    long page = sysconf(_SC_PAGESIZE);
    return resident == NULL || page < 1 ? 0 : strtoull(resident, NULL, 10) * (uint64_t)page;
}
