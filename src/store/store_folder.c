/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_folder.h"

#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

int store_folder_path(char out[STORE_PATH_SIZE_MAX], const char *directory, const char *name,
                      struct error_detail *detail)
{
    int length = snprintf(out, STORE_PATH_SIZE_MAX, "%s/%s", directory, name);
    ensure(length >= 0);
    return length < STORE_PATH_SIZE_MAX
               ? 0
               : error_set(detail, STOA_EINVAL, "the path of the store is too long");
}

int store_folder_split(const char *directory, char out[STORE_PATH_SIZE_MAX],
                       char out_parent[STORE_PATH_SIZE_MAX], struct error_detail *detail)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/') {
        length--;
    }
    if (length == 0 || length + 32 > STORE_PATH_SIZE_MAX) {
        return error_set(detail, STOA_EINVAL, "the path of the store is %s",
                         length == 0 ? "empty" : "too long");
    }
    memcpy(out, directory, length);
    out[length] = '\0';
    const char *slash = strrchr(out, '/');
    if (slash == NULL) {
        memcpy(out_parent, ".", 2);
    } else {
        size_t size = slash == out ? 1 : (size_t)(slash - out);
        memcpy(out_parent, out, size);
        out_parent[size] = '\0';
    }
    return 0;
}

int store_folder_make(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_MKDIR, .path = path};
    return io_wait(io, &request) < 0
               ? error_set_errno(detail, request.os_error, "make directory %s", path)
               : 0;
}

int store_folder_sync(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_SYNC_DIR, .path = path};
    return io_wait(io, &request) < 0
               ? error_set_errno(detail, request.os_error, "flush directory %s", path)
               : 0;
}

int store_folder_make_file(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request open = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_WRITE | IO_OPEN_CREATE};
    int64_t file = io_wait(io, &open);
    if (file < 0) {
        return error_set_errno(detail, open.os_error, "create %s", path);
    }
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    return io_wait(io, &close) < 0 ? error_set_errno(detail, close.os_error, "close %s", path) : 0;
}

int store_folder_write_file(struct io *io, const char *path, struct bytes content,
                            struct error_detail *detail)
{
    struct io_request open = {
        .op = IO_OPEN,
        .path = path,
        .flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE,
    };
    int64_t file = io_wait(io, &open);
    if (file < 0) {
        return error_set_errno(detail, open.os_error, "create %s", path);
    }
    struct io_request write = {
        .op = IO_WRITE,
        .file = (int)file,
        .data = (void *)(uintptr_t)content.data, /* only read */
        .size = content.size,
        .flags = IO_WRITE_DURABLE,
    };
    int64_t result = io_wait(io, &write);
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    int64_t closed = io_wait(io, &close);
    if (result < 0) {
        return error_set_errno(detail, write.os_error, "write %s", path);
    }
    return closed < 0 ? error_set_errno(detail, close.os_error, "close %s", path) : 0;
}

struct removal {
    struct io *io;
    const char *directory;
    char **names;
    size_t count;
    size_t capacity;
    int result;
};

static void note_name(void *context, const char *name)
{
    struct removal *removal = context;
    if (removal->count == removal->capacity) {
        size_t capacity = removal->capacity == 0 ? 64 : 2 * removal->capacity;
        char **names = memory_resize(removal->names, capacity * sizeof(*names));
        if (names == NULL) {
            removal->result = STOA_ENOMEM;
            return;
        }
        removal->names = names;
        removal->capacity = capacity;
    }
    removal->names[removal->count] = memory_copy_text(name);
    if (removal->names[removal->count] == NULL) {
        removal->result = STOA_ENOMEM;
        return;
    }
    removal->count++;
}

int store_folder_empty(struct io *io, const char *directory, struct error_detail *detail)
{
    struct removal removal = {.io = io, .directory = directory};
    int result = io_list(io, directory, note_name, &removal);
    if (result == 0) {
        result = removal.result;
    }
    if (result != 0) {
        (void)error_set(detail, result, "list %s", directory); /* text only */
    }
    for (size_t i = 0; i < removal.count; i++) {
        char path[STORE_PATH_SIZE_MAX];
        if (result == 0) {
            result = store_folder_path(path, directory, removal.names[i], detail);
        }
        struct io_request request = {.op = IO_UNLINK, .path = path};
        if (result == 0 && io_wait(io, &request) < 0) {
            result = error_set_errno(detail, request.os_error, "remove %s", path);
        }
        memory_free(removal.names[i]);
    }
    memory_free(removal.names);
    return result;
}

void store_folder_remove(struct io *io, const char *path)
{
    struct io_request request = {.op = IO_RMDIR, .path = path};
    (void)io_wait(io, &request); /* what cannot be removed stays for the operator to see */
}

void store_folder_count(void *context, const char *name)
{
    size_t *count = context;
    (void)name;
    (*count)++;
}
