/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/thin.h"
#include "maint/backup_private.h"

/* ---- names ---- */

/* DIGITS digits at NAME, then SUFFIX. */
static uint64_t parse_name(const char *name, const char *suffix)
{
    enum { DIGITS = 8 };
    uint64_t number = 0;
    for (int i = 0; i < DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return 0;
        }
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    return strcmp(name + DIGITS, suffix) == 0 ? number : 0;
}

uint64_t backup_parse_manifest(const char *name)
{
    return parse_name(name, BACKUP_SUFFIX);
}

uint64_t backup_parse_segment(const char *name)
{
    bool finished = false;
    uint32_t number = segment_parse_name(name, &finished);
    number = number != 0 ? number : thin_parse_name(name, &finished);
    return finished ? number : 0;
}

uint64_t backup_parse_archive(const char *name)
{
    return parse_name(name, ".arc");
}

void backup_find_segment(struct io *io, const char *directory, uint64_t number,
                         struct backup_segment *out_segment)
{
    static const struct {
        const char *folder;
        const char *suffix;
    } forms[] = {{STORE_FOLDER_ARCHIVE, ".arc"},
                 {STORE_FOLDER_LEDGER, ".thin"},
                 {STORE_FOLDER_LEDGER, ".seg"}};
    for (size_t i = 0; i < 3; i++) {
        char path[STORE_PATH_SIZE_MAX];
        uint64_t size = 0;
        (void)snprintf(out_segment->stem, sizeof(out_segment->stem), "%s/%08" PRIu64,
                       forms[i].folder, number);
        out_segment->suffix = forms[i].suffix;
        int length = snprintf(out_segment->name, sizeof(out_segment->name), "%s/%08" PRIu64 "%s",
                              forms[i].folder, number, forms[i].suffix);
        ensure(length > 0 && (size_t)length < sizeof(out_segment->name));
        if (store_folder_path(path, directory, out_segment->name, NULL) == 0 &&
            io_file_size(io, path, &size) == 0) {
            return;
        }
    }
}

void backup_plain_name(const char *name, char out[MANIFEST_NAME_SIZE])
{
    const char *last = strrchr(name, '/');
    last = last == NULL ? name : last + 1;
    const char *dash = strchr(last, '-');
    size_t stem = dash == NULL ? strlen(name) : (size_t)(dash - name);
    const char *rest = dash == NULL ? "" : dash + 1 + strspn(dash + 1, "0123456789");
    int length = snprintf(out, MANIFEST_NAME_SIZE, "%.*s%s", (int)stem, name, rest);
    ensure(length > 0 && length < MANIFEST_NAME_SIZE);
}

int backup_manifest_path(char out[STORE_PATH_SIZE_MAX], const char *target, uint64_t number,
                         struct error_detail *detail)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "%08" PRIu64 BACKUP_SUFFIX, number);
    return store_folder_path(out, target, name, detail);
}

static void note_number(void *context, const char *name)
{
    struct backup_numbers *numbers = context;
    uint64_t number = numbers->parse(name);
    if (number == 0 || numbers->result != 0) {
        return;
    }
    if (numbers->count == numbers->capacity) {
        size_t capacity = numbers->capacity == 0 ? 64 : 2 * numbers->capacity;
        uint64_t *items = memory_resize(numbers->items, capacity * sizeof(*items));
        if (items == NULL) {
            numbers->result = STOA_ENOMEM;
            return;
        }
        numbers->items = items;
        numbers->capacity = capacity;
    }
    numbers->items[numbers->count++] = number;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* Rising, each once. */
static void sort_numbers(struct backup_numbers *numbers)
{
    size_t kept = 0;
    if (numbers->count > 1) {
        qsort(numbers->items, numbers->count, sizeof(*numbers->items), compare_numbers);
    }
    for (size_t i = 0; i < numbers->count; i++) { /* a segment that takes another form has two */
        if (i == 0 || numbers->items[i] != numbers->items[kept - 1]) {
            numbers->items[kept++] = numbers->items[i];
        }
    }
    numbers->count = kept;
}

static int add_numbers(struct io *io, const char *directory, struct backup_numbers *numbers,
                       struct error_detail *detail)
{
    int result = io_list(io, directory, note_number, numbers);
    result = result == STOA_ENOTFOUND ? 0 : result;
    result = result == 0 ? numbers->result : result;
    return result == 0 ? 0
                       : error_set(detail, result, "list %s: %s", directory, stoa_strerror(result));
}

int backup_numbers_list(struct io *io, const char *directory, uint64_t (*parse)(const char *name),
                        struct backup_numbers *out_numbers, struct error_detail *detail)
{
    *out_numbers = (struct backup_numbers){.parse = parse};
    int result = add_numbers(io, directory, out_numbers, detail);
    if (result != 0) {
        backup_numbers_deinit(out_numbers);
        return result;
    }
    sort_numbers(out_numbers);
    return 0;
}

int backup_segments_list(struct io *io, const char *directory, struct backup_numbers *out_numbers,
                         struct error_detail *detail)
{
    /* One that goes from either folder to the other meanwhile is seen in one of them. */
    static const char *const folders[] = {STORE_FOLDER_ARCHIVE, STORE_FOLDER_LEDGER,
                                          STORE_FOLDER_ARCHIVE};
    char path[STORE_PATH_SIZE_MAX];
    int result = 0;
    *out_numbers = (struct backup_numbers){.count = 0};
    for (size_t i = 0; i < 3 && result == 0; i++) {
        out_numbers->parse = i == 1 ? backup_parse_segment : backup_parse_archive;
        result = store_folder_path(path, directory, folders[i], detail);
        result = result == 0 ? add_numbers(io, path, out_numbers, detail) : result;
    }
    if (result != 0) {
        backup_numbers_deinit(out_numbers);
        return result;
    }
    sort_numbers(out_numbers);
    return 0;
}

void backup_numbers_deinit(struct backup_numbers *numbers)
{
    memory_free(numbers->items);
    numbers->items = NULL;
    numbers->count = 0;
    numbers->capacity = 0;
}

int backup_lock(struct io *io, const char *target, int *out_lock, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, target, BACKUP_LOCK, detail);
    if (result == 0) {
        result = store_folder_make_file(io, path, detail);
    }
    if (result != 0) {
        return result;
    }
    result = io_lock(io, path, out_lock);
    if (result == STOA_ELOCKED) {
        return error_set(detail, result, "%s is being changed by another process", target);
    }
    return result == 0 ? 0 : error_set(detail, result, "lock %s: %s", path, stoa_strerror(result));
}

void backup_fill_manifest(struct manifest *manifest, const struct store_point *point,
                          const uint8_t state_root[32], uint64_t created_ns)
{
    static const uint8_t none[32];
    manifest_init(manifest);
    manifest->created_ns = created_ns;
    manifest->store_id = point->store_id;
    manifest->chain_id = point->head.chain_id;
    manifest->has_genesis = memcmp(point->head.genesis_hash, none, 32) != 0;
    memcpy(manifest->genesis_hash, point->head.genesis_hash, 32);
    manifest->end = point->end;
    manifest->height = point->head.height;
    memcpy(manifest->hash, point->head.hash, 32);
    memcpy(manifest->state_root, state_root, 32);
    manifest->has_finalized = point->head.has_finalized != 0;
    manifest->finalized_height = point->head.finalized_height;
    memcpy(manifest->finalized_hash, point->head.finalized_hash, 32);
}

/* ---- looking ---- */

static int read_numbered(struct io *io, const char *target, uint64_t number,
                         struct manifest *out_manifest, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = backup_manifest_path(path, target, number, detail);
    result = result == 0 ? manifest_read(io, path, out_manifest, detail) : result;
    if (result == 0 && out_manifest->number != number) {
        manifest_deinit(out_manifest);
        result = error_set(detail, STOA_ECORRUPT, "%s has another number inside", path);
    }
    return result;
}

static bool has_same(const struct manifest *manifest, const struct manifest_file *file)
{
    const struct manifest_file *other = manifest_find(manifest, file->name);
    return other != NULL && strcmp(other->name, file->name) == 0 && other->size == file->size &&
           memcmp(other->sum, file->sum, TRANSFER_SUM_SIZE) == 0;
}

/* Bytes of MANIFEST that BEFORE does not have. */
static uint64_t bytes_beyond(const struct manifest *manifest, const struct manifest *before)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        const struct manifest_file *other = manifest_find(before, file->name);
        bool there = other != NULL && strcmp(other->name, file->name) == 0;
        uint64_t shared = there && other->size < file->size ? other->size : there ? file->size : 0;
        bytes += file->size - shared;
    }
    return bytes;
}

int backup_list(struct io *io, const char *target,
                int (*each)(void *context, uint64_t number, const struct manifest *manifest,
                            uint64_t own_bytes, const struct error_detail *detail),
                void *context, struct error_detail *detail)
{
    struct backup_numbers numbers;
    struct manifest before;
    uint64_t found;
    if (io_file_size(io, target, &found) == STOA_ENOTFOUND) {
        return error_set(detail, STOA_ENOTFOUND, "%s: there is no such directory", target);
    }
    int result = backup_numbers_list(io, target, backup_parse_manifest, &numbers, detail);
    if (result != 0) {
        return result;
    }
    manifest_init(&before);
    for (size_t i = 0; i < numbers.count && result == 0; i++) {
        struct manifest manifest;
        struct error_detail why = {.code = 0};
        if (read_numbered(io, target, numbers.items[i], &manifest, &why) != 0) {
            result = each(context, numbers.items[i], NULL, 0, &why);
            continue;
        }
        result = each(context, numbers.items[i], &manifest, bytes_beyond(&manifest, &before), NULL);
        manifest_deinit(&before);
        before = manifest;
    }
    manifest_deinit(&before);
    backup_numbers_deinit(&numbers);
    return result;
}

int backup_find(struct io *io, const char *path, struct manifest *out_manifest,
                char out_directory[], struct error_detail *detail)
{
    struct backup_numbers numbers;
    char target[STORE_PATH_SIZE_MAX];
    char parent[STORE_PATH_SIZE_MAX];
    int result = store_folder_split(path, target, parent, detail);
    if (result != 0) {
        return result;
    }
    const char *name = strrchr(target, '/');
    name = name == NULL ? target : name + 1;
    if (backup_parse_manifest(name) != 0) {
        memcpy(out_directory, parent, STORE_PATH_SIZE_MAX);
        return manifest_read(io, target, out_manifest, detail);
    }
    memcpy(out_directory, target, STORE_PATH_SIZE_MAX);
    uint64_t size = 0;
    result = store_folder_path(parent, target, BACKUP_SNAPSHOT_MANIFEST, detail);
    if (result == 0 && io_file_size(io, parent, &size) == 0) {
        return manifest_read(io, parent, out_manifest, detail);
    }
    result = backup_numbers_list(io, target, backup_parse_manifest, &numbers, detail);
    if (result != 0) {
        return result;
    }
    result =
        numbers.count == 0
            ? error_set(detail, STOA_ENOTFOUND, "%s: there is no backup", target)
            : read_numbered(io, target, numbers.items[numbers.count - 1], out_manifest, detail);
    backup_numbers_deinit(&numbers);
    return result;
}

/* ---- checking ---- */

struct checking {
    struct io *io;
    const char *target;
    struct pace *pace;
    void (*damage)(void *context, const char *file, const char *what);
    void *context;
    struct backup_check check;
    struct error_detail *detail;
};

static void report(struct checking *checking, const char *file, const char *what)
{
    checking->check.damages++;
    if (checking->damage != NULL) {
        checking->damage(checking->context, file, what);
    }
}

static int check_file(struct checking *checking, const struct manifest_file *file)
{
    char path[STORE_PATH_SIZE_MAX];
    uint8_t sum[TRANSFER_SUM_SIZE];
    int result = store_folder_path(path, checking->target, file->name, checking->detail);
    if (result != 0) {
        return result;
    }
    checking->check.files++;
    result = transfer_sum(checking->io, path, file->size, checking->pace, sum, checking->detail);
    if (result == STOA_ENOTFOUND) {
        report(checking, file->name, "the file is missing");
    } else if (result == STOA_ECORRUPT) {
        report(checking, file->name, "the file is too short");
    } else if (result == STOA_EIO) {
        report(checking, file->name, "the file cannot be read");
    } else if (result != 0) {
        return result;
    } else if (memcmp(sum, file->sum, sizeof(sum)) != 0) {
        report(checking, file->name, "checksum");
    }
    checking->check.bytes += file->size;
    return 0;
}

/* All files of MANIFEST but those that AFTER, which was checked before, has as well. */
static int check_manifest(struct checking *checking, const struct manifest *manifest,
                          const struct manifest *after)
{
    int result = 0;
    checking->check.backups++;
    for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
        if (!has_same(after, &manifest->files[i])) {
            result = check_file(checking, &manifest->files[i]);
        }
    }
    return result;
}

int backup_verify(struct io *io, const char *target, uint64_t number, struct pace *pace,
                  void (*damage)(void *context, const char *file, const char *what), void *context,
                  struct backup_check *out_check, struct error_detail *detail)
{
    struct checking checking = {.io = io,
                                .target = target,
                                .pace = pace,
                                .damage = damage,
                                .context = context,
                                .detail = detail};
    struct backup_numbers numbers;
    struct manifest after;
    int result = backup_numbers_list(io, target, backup_parse_manifest, &numbers, detail);
    if (result != 0) {
        return result;
    }
    manifest_init(&after);
    for (size_t i = numbers.count; i > 0 && result == 0; i--) {
        struct manifest manifest;
        if (number != 0 && numbers.items[i - 1] != number) {
            continue;
        }
        result = read_numbered(io, target, numbers.items[i - 1], &manifest, detail);
        if (result == STOA_ECORRUPT || result == STOA_EIO) {
            char name[32];
            (void)snprintf(name, sizeof(name), "%08" PRIu64 BACKUP_SUFFIX, numbers.items[i - 1]);
            report(&checking, name, "the manifest is damaged");
            result = 0;
        } else if (result == 0) {
            result = check_manifest(&checking, &manifest, &after);
            manifest_deinit(&after);
            after = manifest;
        }
    }
    manifest_deinit(&after);
    backup_numbers_deinit(&numbers);
    *out_check = checking.check;
    if (result == 0 && checking.check.backups == 0 && checking.check.damages == 0) {
        return error_set(detail, STOA_ENOTFOUND, "%s: there is no such backup", target);
    }
    if (result == 0 && checking.check.damages != 0) {
        return error_set(detail, STOA_ECORRUPT, "%s: %" PRIu64 " files are damaged or missing",
                         target, checking.check.damages);
    }
    return result;
}

/* ---- removing ---- */

/* Files of a folder that no manifest names. */
struct sweep {
    const struct manifest *kept;
    size_t kept_count;
    const char *folder; /* "ledger/", or "" */
    char (*names)[MANIFEST_NAME_SIZE];
    size_t count;
    size_t capacity;
    int result;
};

static bool is_named(const struct sweep *sweep, const char *name)
{
    for (size_t i = 0; i < sweep->kept_count; i++) {
        const struct manifest_file *file = manifest_find(&sweep->kept[i], name);
        if (file != NULL && strcmp(file->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Only what a backup makes is removed: nothing that somebody else put there. */
static bool is_ours(const char *name)
{
    char plain[MANIFEST_NAME_SIZE];
    if (strlen(name) + 1 > sizeof(plain)) {
        return false;
    }
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".new") == 0) {
        return true;
    }
    backup_plain_name(name, plain);
    const char *last = strrchr(plain, '/');
    last = last == NULL ? plain : last + 1;
    return backup_parse_segment(last) != 0 || backup_parse_archive(last) != 0 ||
           strcmp(last, "STORE") == 0 || strcmp(last, STORE_FILE_CHAIN) == 0 ||
           strcmp(last, "stoa.conf") == 0;
}

static void note_unnamed(void *context, const char *name)
{
    struct sweep *sweep = context;
    char whole[MANIFEST_NAME_SIZE];
    int length = snprintf(whole, sizeof(whole), "%s%s", sweep->folder, name);
    if (sweep->result != 0 || length < 0 || (size_t)length >= sizeof(whole) || !is_ours(whole) ||
        is_named(sweep, whole)) {
        return;
    }
    if (sweep->count == sweep->capacity) {
        size_t capacity = sweep->capacity == 0 ? 16 : 2 * sweep->capacity;
        void *names = memory_resize(sweep->names, capacity * sizeof(*sweep->names));
        if (names == NULL) {
            sweep->result = STOA_ENOMEM;
            return;
        }
        sweep->names = names;
        sweep->capacity = capacity;
    }
    memcpy(sweep->names[sweep->count++], whole, (size_t)length + 1);
}

static int sweep_folder(struct io *io, const char *target, const char *folder,
                        const struct manifest *kept, size_t kept_count, struct error_detail *detail)
{
    struct sweep sweep = {.kept = kept, .kept_count = kept_count, .folder = folder};
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, target, folder, detail);
    if (result == 0) {
        result = io_list(io, path, note_unnamed, &sweep);
        result = result == STOA_ENOTFOUND ? 0 : result;
        result = result == 0 ? sweep.result : result;
        if (result != 0) {
            (void)error_set(detail, result, "list %s", path); /* returned below */
        }
    }
    for (size_t i = 0; i < sweep.count && result == 0; i++) {
        result = store_folder_path(path, target, sweep.names[i], detail);
        result = result == 0 ? transfer_remove(io, path, detail) : result;
    }
    memory_free(sweep.names);
    return result;
}

/* Read the manifests that stay: the last KEEP. */
static int read_kept(struct io *io, const char *target, const struct backup_numbers *numbers,
                     size_t keep, struct manifest **out_kept, struct error_detail *detail)
{
    struct manifest *kept = memory_alloc_zeroed(keep, sizeof(*kept));
    if (kept == NULL) {
        return error_set(detail, STOA_ENOMEM, "prune backups: no memory");
    }
    int result = 0;
    size_t count = 0;
    while (count < keep && result == 0) {
        result = read_numbered(io, target, numbers->items[numbers->count - keep + count],
                               &kept[count], detail);
        count += result == 0 ? 1 : 0;
    }
    if (result != 0) {
        error_prefix(detail, "nothing is removed, as not all that stays can be read");
        for (size_t i = 0; i < count; i++) {
            manifest_deinit(&kept[i]);
        }
        memory_free(kept);
        return result;
    }
    *out_kept = kept;
    return 0;
}

int backup_prune_locked(struct io *io, const char *target, unsigned keep, uint64_t *out_removed,
                        struct error_detail *detail)
{
    struct backup_numbers numbers;
    struct manifest *kept = NULL;
    char path[STORE_PATH_SIZE_MAX];
    *out_removed = 0;
    int result = backup_numbers_list(io, target, backup_parse_manifest, &numbers, detail);
    if (result != 0 || numbers.count == 0) {
        return result;
    }
    size_t stay = numbers.count < keep ? numbers.count : keep;
    result = read_kept(io, target, &numbers, stay, &kept, detail);
    /* A manifest goes before its files, so that none is left that names what is gone. */
    for (size_t i = 0; i + stay < numbers.count && result == 0; i++) {
        result = backup_manifest_path(path, target, numbers.items[i], detail);
        result = result == 0 ? transfer_remove(io, path, detail) : result;
        *out_removed += result == 0 ? 1 : 0;
    }
    if (result == 0) {
        result = store_folder_sync(io, target, detail);
    }
    static const char *const folders[] = {STORE_FOLDER_LEDGER "/", STORE_FOLDER_ARCHIVE "/", ""};
    for (size_t i = 0; i < 3 && result == 0; i++) {
        result = sweep_folder(io, target, folders[i], kept, stay, detail);
    }
    for (size_t i = 0; kept != NULL && i < stay; i++) {
        manifest_deinit(&kept[i]);
    }
    memory_free(kept);
    backup_numbers_deinit(&numbers);
    return result;
}

int backup_prune(struct io *io, const char *target, unsigned keep, uint64_t *out_removed,
                 struct error_detail *detail)
{
    int lock = -1;
    if (keep == 0) {
        return error_set(detail, STOA_EINVAL, "prune backups: at least one is kept");
    }
    uint64_t found;
    if (io_file_size(io, target, &found) == STOA_ENOTFOUND) {
        return error_set(detail, STOA_ENOTFOUND, "%s: there is no such directory", target);
    }
    int result = backup_lock(io, target, &lock, detail);
    if (result == 0) {
        result = backup_prune_locked(io, target, keep, out_removed, detail);
        io_unlock(io, lock);
    }
    return result;
}
