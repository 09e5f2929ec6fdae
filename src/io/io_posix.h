/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_posix.h: the system calls that the real implementations share: blocking ones of struct io_ops,
 * and how a request's flags and sizes are said to the kernel. */
#ifndef IO_POSIX_H
#define IO_POSIX_H

#include <fcntl.h>

#include "io/io.h"

enum {
    IO_POSIX_FILE_MODE = 0640,
    IO_POSIX_DIRECTORY_MODE = 0750,
    IO_POSIX_TRANSFER_MAX = 1 << 30, /* bytes one call is asked to move; a multiple of IO_ALIGNMENT
                                      */
};

uint64_t io_posix_now_ns(struct io *io);
uint64_t io_posix_wall_ns(struct io *io);
void io_posix_random(struct io *io, void *out, size_t size);
int io_posix_list(struct io *io, const char *path, void (*entry)(void *context, const char *name),
                  void *context);
int io_posix_file_size(struct io *io, const char *path, uint64_t *out_size);
int io_posix_space(struct io *io, const char *path, uint64_t *out_free, uint64_t *out_total);
bool io_posix_is_written(struct io *io, int file, uint64_t offset, uint64_t size);
int io_posix_lock(struct io *io, const char *path, int *out_lock);
void io_posix_unlock(struct io *io, int lock);

/* Flags of open(2) for IO_OPEN_… */
int io_posix_open_flags(unsigned flags);

/* Where open with IO_OPEN_DIRECT failed with EINVAL: flags for the second attempt, buffered. */
int io_posix_open_flags_buffered(unsigned flags);

/* What the next call of a transfer may move. */
static inline size_t io_posix_transfer_size(const struct io_request *request)
{
    size_t rest = request->size - (size_t)request->moved;
    return rest < IO_POSIX_TRANSFER_MAX ? rest : IO_POSIX_TRANSFER_MAX;
}

/* A call moved COUNT bytes of a read or write that is not a retry. Counts them; true where the
 * request is complete: all moved, or the end of the file. A write that moves nothing is for the
 * caller to refuse. */
bool io_posix_advance(struct io_request *request, size_t count);

#endif
