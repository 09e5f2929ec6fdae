/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "maint/backup_private.h"

#define SNAPSHOT_FOLDER "snapshots"

static const char *const parts[] = {STORE_FOLDER_LEDGER, STORE_FOLDER_ARCHIVE};

static const uint64_t space_reserve = UINT64_C(16) << 20;

enum { MOVES_MAX = 16 }; /* of a segment that takes one form after the other meanwhile */

/* DIRECTORY/snapshots/BEFORE NAME AFTER */
static int path_of(const char *directory, const char *before, const char *name, const char *after,
                   char out[STORE_PATH_SIZE_MAX], struct error_detail *detail)
{
    char relative[STORE_PATH_SIZE_MAX];
    int length =
        snprintf(relative, sizeof(relative), SNAPSHOT_FOLDER "/%s%s%s", before, name, after);
    if (length < 0 || (size_t)length >= sizeof(relative)) {
        return error_set(detail, STOA_EINVAL, "the path of a snapshot is too long");
    }
    return store_folder_path(out, directory, relative, detail);
}

/* ---- removing ---- */

/* What is in FOLDER and FOLDER itself. */
static int remove_whole(struct io *io, const char *folder, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        int result = store_folder_path(path, folder, parts[i], detail);
        if (result != 0) {
            return result;
        }
        if (io_list(io, path, store_folder_count, &count) != 0) {
            continue; /* it has no such part */
        }
        result = store_folder_empty(io, path, detail);
        if (result != 0) {
            return result;
        }
        store_folder_remove(io, path);
    }
    int result = store_folder_empty(io, folder, detail);
    if (result == 0) {
        store_folder_remove(io, folder);
    }
    return result;
}

struct names {
    char (*items)[SNAPSHOT_NAME_MAX + 16]; /* owned */
    size_t count;
    size_t capacity;
    bool hidden; /* those with a dot; else the others */
    int result;
};

static void note_name(void *context, const char *name)
{
    struct names *names = context;
    size_t size = strlen(name) + 1;
    if (names->result != 0 || (name[0] == '.') != names->hidden || size > sizeof(names->items[0])) {
        return;
    }
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 16 : 2 * names->capacity;
        void *items = memory_resize(names->items, capacity * sizeof(names->items[0]));
        if (items == NULL) {
            names->result = STOA_ENOMEM;
            return;
        }
        names->items = items;
        names->capacity = capacity;
    }
    memcpy(names->items[names->count++], name, size);
}

/* Names in DIRECTORY/snapshots; none where there is no such folder. */
static int list_names(struct io *io, const char *directory, bool hidden, struct names *out_names,
                      struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    *out_names = (struct names){.hidden = hidden};
    int result = store_folder_path(path, directory, SNAPSHOT_FOLDER, detail);
    if (result != 0) {
        return result;
    }
    result = io_list(io, path, note_name, out_names);
    result = result == STOA_ENOTFOUND ? 0 : result;
    result = result == 0 ? out_names->result : result;
    if (result != 0) {
        memory_free(out_names->items);
        out_names->items = NULL;
        return error_set(detail, result, "list %s: %s", path, stoa_strerror(result));
    }
    return 0;
}

/* What was begun, or was being removed, when a process ended. */
static int clear_away(struct io *io, const char *directory, struct error_detail *detail)
{
    struct names names;
    char path[STORE_PATH_SIZE_MAX];
    int result = list_names(io, directory, true, &names, detail);
    for (size_t i = 0; i < names.count && result == 0; i++) {
        result = path_of(directory, "", names.items[i], "", path, detail);
        result = result == 0 ? remove_whole(io, path, detail) : result;
    }
    memory_free(names.items);
    return result;
}

/* ---- creating ---- */

/* What it copies, and some that stays for who stores blocks meanwhile. */
static int check_space(struct io *io, const char *directory, const struct store_point *point,
                       struct error_detail *detail)
{
    uint64_t free_bytes;
    uint64_t total;
    uint64_t wanted = point->end.size + space_reserve;
    int result = io_space(io, directory, &free_bytes, &total);
    if (result != 0) {
        return error_set(detail, result, "free space of %s: %s", directory, stoa_strerror(result));
    }
    return free_bytes >= wanted
               ? 0
               : error_set(detail, STOA_ENOSPACE,
                           "snapshot: %" PRIu64 " bytes are wanted, %s has %" PRIu64 " free",
                           wanted, directory, free_bytes);
}

struct snapshot {
    struct io *io;
    const char *directory;
    char making[STORE_PATH_SIZE_MAX];
    const struct store_point *point;
    struct manifest manifest;
    struct error_detail *detail;
};

static int rename_to(struct snapshot *snapshot, const char *from, const char *to)
{
    struct io_request request = {.op = IO_RENAME, .path = from, .path_to = to};
    int64_t result = io_wait(snapshot->io, &request);
    if (result < 0 && request.os_error != 0) {
        return error_set_errno(snapshot->detail, request.os_error, "rename %s to %s", from, to);
    }
    return result < 0 ? error_set(snapshot->detail, (int)result, "rename %s to %s", from, to) : 0;
}

/* A file of the archive. STOA_ENOTFOUND: it was replaced by another before it was opened. */
static int copy_whole(struct snapshot *snapshot, const char *from, const char *to,
                      uint64_t *out_size, uint8_t sum[TRANSFER_SUM_SIZE])
{
    int result = io_file_size(snapshot->io, from, out_size);
    if (result == 0) {
        result =
            transfer_copy(snapshot->io, from, to, *out_size, 0, NULL, NULL, sum, snapshot->detail);
        result = transfer_check_replaced(snapshot->io, from, *out_size, result);
    }
    return result;
}

/* NAME becomes part of it: linked where SIZE is 0, else its first SIZE bytes are copied. */
static int take(struct snapshot *snapshot, const char *name, uint64_t size)
{
    char from[STORE_PATH_SIZE_MAX];
    char to[STORE_PATH_SIZE_MAX];
    uint8_t sum[TRANSFER_SUM_SIZE] = {0};
    struct error_detail *detail = snapshot->detail;
    int result = store_folder_path(from, snapshot->directory, name, detail);
    if (result == 0) {
        result = store_folder_path(to, snapshot->making, name, detail);
    }
    if (result != 0) {
        return result;
    }
    if (size != 0) {
        result = transfer_copy(snapshot->io, from, to, size, 0, NULL, NULL, sum, detail);
    } else {
        struct io_request request = {.op = IO_LINK, .path = from, .path_to = to};
        int64_t linked = io_wait(snapshot->io, &request);
        if (linked < 0 && request.os_error == EXDEV) { /* the archive is on another file system */
            result = copy_whole(snapshot, from, to, &size, sum);
        } else if (linked < 0) {
            result = request.os_error != 0
                         ? error_set_errno(detail, request.os_error, "link %s to %s", from, to)
                         : error_set(detail, (int)linked, "link %s to %s", from, to);
        } else {
            result = io_file_size(snapshot->io, to, &size);
        }
    }
    if (result == 0 && manifest_add(&snapshot->manifest, name, size, sum) != 0) {
        result = error_set(detail, STOA_ENOMEM, "snapshot: no memory");
    }
    return result;
}

/* One that takes another form just then is looked for again. */
static int take_segment(struct snapshot *snapshot, uint64_t number)
{
    const struct ledger_end *end = &snapshot->point->end;
    int result = STOA_ENOTFOUND;
    for (int tries = 0; tries < MOVES_MAX && result == STOA_ENOTFOUND; tries++) {
        struct backup_segment segment;
        backup_find_segment(snapshot->io, snapshot->directory, number, &segment);
        bool grows = number == end->segment && strcmp(segment.suffix, ".seg") == 0;
        result = take(snapshot, segment.name, grows ? end->size : 0);
    }
    return result;
}

/* All segments up to the point's end. */
static int take_segments(struct snapshot *snapshot)
{
    struct backup_numbers numbers;
    char path[STORE_PATH_SIZE_MAX];
    int result =
        backup_segments_list(snapshot->io, snapshot->directory, &numbers, snapshot->detail);
    if (result != 0) {
        return result;
    }
    for (size_t i = 0; i < 2 && result == 0; i++) {
        result = store_folder_path(path, snapshot->making, parts[i], snapshot->detail);
        result = result == 0 ? store_folder_make(snapshot->io, path, snapshot->detail) : result;
    }
    for (size_t i = 0;
         i < numbers.count && numbers.items[i] <= snapshot->point->end.segment && result == 0;
         i++) {
        result = take_segment(snapshot, numbers.items[i]);
    }
    backup_numbers_deinit(&numbers);
    for (size_t i = 0; i < 2 && result == 0; i++) {
        result = store_folder_path(path, snapshot->making, parts[i], snapshot->detail);
        result = result == 0 ? store_folder_sync(snapshot->io, path, snapshot->detail) : result;
    }
    return result;
}

static int fill(struct snapshot *snapshot)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_make(snapshot->io, snapshot->making, snapshot->detail);
    if (result == 0) {
        result = take(snapshot, STORE_FILE_IDENTITY, 0);
    }
    uint64_t size = 0;
    if (result == 0) {
        result = store_folder_path(path, snapshot->directory, STORE_FILE_CHAIN, snapshot->detail);
    }
    if (result == 0 && io_file_size(snapshot->io, path, &size) == 0) {
        result = take(snapshot, STORE_FILE_CHAIN, 0);
    }
    if (result == 0) {
        result = take_segments(snapshot);
    }
    if (result == 0) {
        result =
            store_folder_path(path, snapshot->making, BACKUP_SNAPSHOT_MANIFEST, snapshot->detail);
    }
    return result == 0 ? manifest_write(snapshot->io, snapshot->making, path, &snapshot->manifest,
                                        snapshot->detail)
                       : result;
}

/* Letters, digits, dots, dashes, and no dot at the beginning. */
int snapshot_check_name(const char *name, struct error_detail *detail)
{
    size_t length = strlen(name);
    bool good = length > 0 && length <= SNAPSHOT_NAME_MAX && name[0] != '.';
    for (size_t i = 0; good && i < length; i++) {
        char at = name[i];
        good = (at >= 'a' && at <= 'z') || (at >= 'A' && at <= 'Z') || (at >= '0' && at <= '9') ||
               at == '-' || at == '_' || at == '.';
    }
    return good ? 0
                : error_set(detail, STOA_EINVAL,
                            "a snapshot's name is 1 to %d letters, digits, dots, dashes or "
                            "underscores, and does not begin with a dot",
                            SNAPSHOT_NAME_MAX);
}

int snapshot_create(struct io *io, const char *directory, const char *name,
                    const struct store_point *point, const uint8_t state_root[32],
                    struct error_detail *detail)
{
    struct snapshot snapshot = {.io = io, .directory = directory, .point = point, .detail = detail};
    char folder[STORE_PATH_SIZE_MAX];
    char path[STORE_PATH_SIZE_MAX];
    size_t count = 0;
    int result = snapshot_check_name(name, detail);
    if (result == 0) {
        result = path_of(directory, "", name, "", path, detail);
    }
    if (result == 0) {
        result = path_of(directory, ".", name, ".new", snapshot.making, detail);
    }
    if (result == 0) {
        result = store_folder_path(folder, directory, SNAPSHOT_FOLDER, detail);
    }
    if (result == 0) {
        result = transfer_make_directory(io, folder, detail);
    }
    if (result == 0) {
        result = store_folder_sync(io, directory, detail);
    }
    if (result == 0 && io_list(io, path, store_folder_count, &count) == 0) {
        result = error_set(detail, STOA_EEXISTS, "there is a snapshot %s already", name);
    }
    if (result == 0) {
        result = clear_away(io, directory, detail);
    }
    if (result == 0) {
        result = check_space(io, directory, point, detail);
    }
    if (result != 0) {
        return result;
    }
    backup_fill_manifest(&snapshot.manifest, point, state_root, io_wall_ns(io));
    result = fill(&snapshot);
    if (result == 0) {
        result = rename_to(&snapshot, snapshot.making, path);
    }
    if (result == 0) {
        result = store_folder_sync(io, folder, detail);
    } else {
        (void)remove_whole(io, snapshot.making, NULL); /* else the next one clears it away */
    }
    manifest_deinit(&snapshot.manifest);
    return result;
}

/* ---- the rest ---- */

/* Bytes that the store itself does not hold any more, or never shared. */
static uint64_t own_bytes(struct io *io, const char *directory, const struct manifest *manifest)
{
    static const uint8_t no_sum[TRANSFER_SUM_SIZE];
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        char path[STORE_PATH_SIZE_MAX];
        uint64_t size = 0;
        bool shared = memcmp(file->sum, no_sum, sizeof(no_sum)) == 0 &&
                      store_folder_path(path, directory, file->name, NULL) == 0 &&
                      io_file_size(io, path, &size) == 0;
        bytes += shared ? 0 : file->size;
    }
    return bytes;
}

int snapshot_list(struct io *io, const char *directory,
                  int (*each)(void *context, const char *name, const struct manifest *manifest,
                              uint64_t own_bytes, const struct error_detail *why),
                  void *context, struct error_detail *detail)
{
    struct names names;
    int result = list_names(io, directory, false, &names, detail);
    for (size_t i = 0; i < names.count && result == 0; i++) {
        char path[STORE_PATH_SIZE_MAX];
        struct manifest manifest;
        struct error_detail why = {.code = 0};
        result = path_of(directory, "", names.items[i], "/" BACKUP_SNAPSHOT_MANIFEST, path, detail);
        if (result == 0 && manifest_read(io, path, &manifest, &why) != 0) {
            result = each(context, names.items[i], NULL, 0, &why);
        } else if (result == 0) {
            result =
                each(context, names.items[i], &manifest, own_bytes(io, directory, &manifest), NULL);
            manifest_deinit(&manifest);
        }
    }
    memory_free(names.items);
    return result;
}

int snapshot_path(struct io *io, const char *directory, const char *name, char out_path[],
                  struct error_detail *detail)
{
    size_t count = 0;
    int result = snapshot_check_name(name, detail);
    if (result == 0) {
        result = path_of(directory, "", name, "", out_path, detail);
    }
    if (result == 0 && io_list(io, out_path, store_folder_count, &count) != 0) {
        result = error_set(detail, STOA_ENOTFOUND, "there is no snapshot %s", name);
    }
    return result;
}

int snapshot_drop(struct io *io, const char *directory, const char *name,
                  struct error_detail *detail)
{
    struct snapshot snapshot = {.io = io, .detail = detail};
    char path[STORE_PATH_SIZE_MAX];
    char going[STORE_PATH_SIZE_MAX];
    int result = snapshot_path(io, directory, name, path, detail);
    if (result == 0) {
        result = path_of(directory, ".", name, ".gone", going, detail);
    }
    if (result == 0) {
        result = clear_away(io, directory, detail);
    }
    if (result == 0) {
        result = rename_to(&snapshot, path, going);
    }
    if (result == 0) {
        result = store_folder_path(path, directory, SNAPSHOT_FOLDER, detail);
    }
    if (result == 0) {
        result = store_folder_sync(io, path, detail);
    }
    return result == 0 ? remove_whole(io, going, detail) : result;
}

int snapshot_holds(struct io *io, const char *directory, uint32_t number, bool *out_held,
                   struct error_detail *detail)
{
    struct names names;
    int result = list_names(io, directory, false, &names, detail);
    *out_held = false;
    for (size_t i = 0; i < names.count && result == 0 && !*out_held; i++) {
        struct backup_segment segment;
        char folder[STORE_PATH_SIZE_MAX];
        char path[STORE_PATH_SIZE_MAX];
        uint64_t size = 0;
        result = path_of(directory, "", names.items[i], "", folder, detail);
        if (result == 0) {
            backup_find_segment(io, folder, number, &segment);
            result = store_folder_path(path, folder, segment.name, detail);
        }
        *out_held = result == 0 && io_file_size(io, path, &size) == 0;
    }
    memory_free(names.items);
    return result;
}
