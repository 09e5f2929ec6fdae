/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/file_output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

enum { BUFFERED_MAX = 1 << 20, MODE = 0666 };

struct file_output {
    int fd;
    bool standard;
    bool temporary_exists;
    char *path;
    struct buffer temporary; /* its name, terminated */
    struct buffer buffered;
};

static int open_temporary(struct file_output *output, struct error_detail *detail)
{
    int result =
        buffer_append_format(&output->temporary, "%s.tmp-%ld", output->path, (long)getpid());
    if (result == 0) {
        result = buffer_append(&output->temporary, "", 1);
    }
    if (result != 0) {
        return error_set(detail, result, "no memory");
    }
    const char *name = (const char *)output->temporary.data;
    output->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
    if (output->fd < 0) {
        return error_set_errno(detail, errno, "%s", name);
    }
    output->temporary_exists = true;
    return 0;
}

int file_output_create(const char *path, struct file_output **out_output,
                       struct error_detail *detail)
{
    struct file_output *output = memory_alloc_zeroed(1, sizeof(*output));
    if (output == NULL) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    output->fd = STDOUT_FILENO;
    output->standard = strcmp(path, "-") == 0;
    int result = 0;
    if (!output->standard) {
        output->fd = -1;
        output->path = memory_copy_text(path);
        result = output->path == NULL ? error_set(detail, STOA_ENOMEM, "no memory")
                                      : open_temporary(output, detail);
    }
    if (result != 0) {
        file_output_destroy(output);
        return result;
    }
    *out_output = output;
    return 0;
}

int file_output_write_all(int fd, struct bytes bytes, struct error_detail *detail)
{
    while (bytes.size > 0) {
        ssize_t count = write(fd, bytes.data, bytes.size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return error_set_errno(detail, errno, "write");
        }
        bytes = bytes_of(bytes.data + count, bytes.size - (size_t)count);
    }
    return 0;
}

static int flush_buffered(struct file_output *output, struct error_detail *detail)
{
    int result = file_output_write_all(output->fd, buffer_bytes(&output->buffered), detail);
    buffer_clear(&output->buffered);
    return result;
}

int file_output_write(struct file_output *output, struct bytes bytes, struct error_detail *detail)
{
    if (output->buffered.size + bytes.size > BUFFERED_MAX) {
        int result = flush_buffered(output, detail);
        if (result != 0) {
            return result;
        }
    }
    if (bytes.size > BUFFERED_MAX) {
        return file_output_write_all(output->fd, bytes, detail);
    }
    int result = buffer_append(&output->buffered, bytes.data, bytes.size);
    return result == 0 ? 0 : error_set(detail, result, "no memory");
}

/* The new name is durable once its directory is. */
static int sync_directory(const struct file_output *output, struct error_detail *detail)
{
    char *copy = memory_copy_text(output->path);
    if (copy == NULL) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    int result = 0;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        result = error_set_errno(detail, errno, "flush the directory");
    }
    if (fd >= 0) {
        (void)close(fd); /* opened for reading */
    }
    memory_free(copy);
    return result;
}

int file_output_commit(struct file_output *output, struct error_detail *detail)
{
    int result = flush_buffered(output, detail);
    if (result != 0 || output->standard) {
        return result;
    }
    if (fsync(output->fd) != 0) {
        return error_set_errno(detail, errno, "flush");
    }
    int closed = close(output->fd);
    output->fd = -1;
    if (closed != 0) {
        return error_set_errno(detail, errno, "close");
    }
    if (rename((const char *)output->temporary.data, output->path) != 0) {
        return error_set_errno(detail, errno, "rename");
    }
    output->temporary_exists = false;
    return sync_directory(output, detail);
}

void file_output_destroy(struct file_output *output)
{
    if (output == NULL) {
        return;
    }
    if (!output->standard && output->fd >= 0) {
        (void)close(output->fd); /* not committed: what is in it does not matter */
    }
    if (output->temporary_exists) {
        (void)unlink((const char *)output->temporary.data); /* best effort: it has its own name */
    }
    memory_free(output->path);
    buffer_deinit(&output->temporary);
    buffer_deinit(&output->buffered);
    memory_free(output);
}
