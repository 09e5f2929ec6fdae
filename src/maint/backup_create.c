/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making a backup: segments in the order of their numbers, each shared with the newest backup, or
 * grown from what that has, or copied. What was copied is noted in TARGET/partial now and then, so
 * that the next attempt goes on there. */
#include <inttypes.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/frame.h"
#include "ledger/segment.h"
#include "maint/backup_private.h"

enum { SETTINGS_SIZE_MAX = 1 << 20, NOTE_EVERY_FILES = 64 };

static const uint64_t note_every_bytes = UINT64_C(1) << 30;
static const uint64_t space_reserve = UINT64_C(16) << 20; /* stays free besides what is copied */

enum stage { PREPARE, IDENTITY, CHAIN, SEGMENTS, SETTINGS, SEAL, PRUNE, ENDED };

enum { MOVES_MAX = 16 }; /* of a segment that takes one form after the other meanwhile */

struct backup_creation {
    struct backup_options own;            /* with the texts that follow */
    const struct backup_options *options; /* OWN */
    char directory[STORE_PATH_SIZE_MAX];
    char target[STORE_PATH_SIZE_MAX];
    struct store_point point[1];
    enum stage stage;
    size_t next; /* of the segments */
    int lock;    /* -1: not held */
    uint64_t removed;
    struct manifest manifest; /* being made */
    struct manifest before;   /* the newest backup; no files: there is none to share with */
    struct manifest partial;  /* what an attempt before had copied */
    struct backup_numbers segments;
    uint64_t copied_bytes;
    unsigned unnoted_files;
    uint64_t unnoted_bytes;
    struct error_detail *detail;
};

static int target_path(struct backup_creation *creation, const char *name,
                       char out[STORE_PATH_SIZE_MAX])
{
    return store_folder_path(out, creation->options->target, name, creation->detail);
}

/* ---- what is there ---- */

static int make_target(struct backup_creation *creation)
{
    static const char *const folders[] = {STORE_FOLDER_LEDGER, STORE_FOLDER_ARCHIVE};
    const struct backup_options *options = creation->options;
    char path[STORE_PATH_SIZE_MAX];
    char parent[STORE_PATH_SIZE_MAX];
    int result = store_folder_split(options->target, path, parent, creation->detail);
    if (result == 0) {
        result = transfer_make_directory(options->io, path, creation->detail);
    }
    for (size_t i = 0; i < 2 && result == 0; i++) {
        result = target_path(creation, folders[i], path);
        if (result == 0) {
            result = transfer_make_directory(options->io, path, creation->detail);
        }
    }
    return result == 0 ? store_folder_sync(options->io, parent, creation->detail) : result;
}

/* The newest manifest; one that is damaged is passed over, but keeps its number. */
static int read_before(struct backup_creation *creation)
{
    struct io *io = creation->options->io;
    struct backup_numbers numbers;
    char path[STORE_PATH_SIZE_MAX];
    int result = backup_numbers_list(io, creation->options->target, backup_parse_manifest, &numbers,
                                     creation->detail);
    if (result != 0) {
        return result;
    }
    creation->manifest.number = numbers.count == 0 ? 1 : numbers.items[numbers.count - 1] + 1;
    bool found = false;
    for (size_t i = numbers.count; i > 0 && !found && result == 0; i--) {
        struct error_detail why = {.code = 0};
        result = backup_manifest_path(path, creation->options->target, numbers.items[i - 1],
                                      creation->detail);
        int read = result == 0 ? manifest_read(io, path, &creation->before, &why) : 0;
        found = result == 0 && read == 0;
        if (read == STOA_EVERSION || read == STOA_ENOMEM || read == STOA_ECLOSED) {
            result = error_set(creation->detail, read, "%s", why.text);
        }
    }
    backup_numbers_deinit(&numbers);
    if (result == 0 && found && creation->before.store_id != creation->point->store_id) {
        result = error_set(creation->detail, STOA_EINVAL, "%s has backups of another store",
                           creation->options->target);
    }
    return result;
}

/* What an attempt before had copied counts if it was one of this store; else it is forgotten. */
static void read_partial(struct backup_creation *creation)
{
    char path[STORE_PATH_SIZE_MAX];
    struct error_detail why;
    if (target_path(creation, BACKUP_PARTIAL, path) != 0 ||
        manifest_read(creation->options->io, path, &creation->partial, &why) != 0) {
        return;
    }
    if (creation->partial.store_id != creation->point->store_id ||
        creation->partial.number != creation->manifest.number) {
        manifest_deinit(&creation->partial);
    }
}

/* The frame that COPY ends with must be the store's too: one that was restored and went on
 * otherwise has the same id and another history. Where the segment is gone or its frame was punched
 * out it cannot be told. */
static int check_history(struct backup_creation *creation, const struct manifest *copy)
{
    const struct ledger_end *end = &copy->end;
    char name[SEGMENT_NAME_SIZE];
    char relative[64];
    char path[STORE_PATH_SIZE_MAX];
    struct frame_header header;
    if (copy->file_count == 0 || end->checksum == 0) {
        return 0;
    }
    bool same = end->sequence <= creation->point->end.sequence;
    segment_name(end->segment, true, name);
    (void)snprintf(relative, sizeof(relative), STORE_FOLDER_LEDGER "/%s", name);
    int result = store_folder_path(path, creation->options->directory, relative, creation->detail);
    if (result != 0) {
        return result;
    }
    uint8_t *block = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    if (block == NULL) {
        return error_set(creation->detail, STOA_ENOMEM, "back up: no memory");
    }
    struct io *io = creation->options->io;
    struct io_request open = {.op = IO_OPEN, .path = path};
    int64_t file = io_wait(io, &open);
    if (file >= 0) {
        struct io_request read = {.op = IO_READ,
                                  .file = (int)file,
                                  .data = block,
                                  .size = FRAME_HEADER_SIZE,
                                  .offset = end->offset};
        struct io_request close = {.op = IO_CLOSE, .file = (int)file};
        if (io_wait(io, &read) == FRAME_HEADER_SIZE && !frame_is_zero(block, FRAME_HEADER_SIZE)) {
            same = same && frame_decode(block, copy->store_id, &header) == FRAME_GOOD &&
                   header.sequence == end->sequence && header.checksum == end->checksum;
        }
        (void)io_wait(io, &close); /* it was only read */
    }
    memory_free(block);
    return same ? 0
                : error_set(creation->detail, STOA_EINVAL,
                            "%s has backups of another history of this store: its frame of block "
                            "%" PRIu64 " is another now; take another directory, or make a full "
                            "backup",
                            creation->options->target, copy->height);
}

/* ---- files ---- */

/* FILE of the target, if it has the bytes that ENTRY promises. */
static bool is_there(struct backup_creation *creation, const struct manifest_file *entry)
{
    char path[STORE_PATH_SIZE_MAX];
    uint64_t size = 0;
    return entry != NULL && target_path(creation, entry->name, path) == 0 &&
           io_file_size(creation->options->io, path, &size) == 0 && size >= entry->size;
}

/* Forms of a segment have nothing in common but what they stand for, and only one that is as it was
 * written can grow. */
static bool is_same_kind(const struct manifest_file *entry, const char *suffix, uint64_t size)
{
    size_t length = strlen(entry->name);
    size_t tail = strlen(suffix);
    bool ends = length >= tail && strcmp(entry->name + length - tail, suffix) == 0;
    return ends && (strcmp(suffix, ".seg") == 0 || entry->size == size);
}

/* What of PREFIX ("ledger/00000042", "STORE") can be shared: the partial attempt's own copy, which
 * is newer, else the last backup's. */
static const struct manifest_file *find_shared(struct backup_creation *creation, const char *prefix,
                                               const char *suffix, uint64_t size)
{
    const struct manifest_file *entry = manifest_find(&creation->partial, prefix);
    if (is_there(creation, entry) && is_same_kind(entry, suffix, size)) {
        return entry;
    }
    entry = manifest_find(&creation->before, prefix);
    return !creation->options->full && is_there(creation, entry) &&
                   is_same_kind(entry, suffix, size)
               ? entry
               : NULL;
}

/* What a file that shares nothing is called: never what a file of a backup before is. */
static void name_anew(struct backup_creation *creation, const char *prefix, const char *extension,
                      char out[MANIFEST_NAME_SIZE])
{
    char plain[MANIFEST_NAME_SIZE];
    (void)snprintf(plain, sizeof(plain), "%s%s", prefix, extension);
    bool taken = creation->options->full || manifest_find(&creation->before, prefix) != NULL;
    if (!taken) {
        memcpy(out, plain, MANIFEST_NAME_SIZE);
        return;
    }
    (void)snprintf(out, MANIFEST_NAME_SIZE, "%s-%" PRIu64 "%s", prefix, creation->manifest.number,
                   extension);
}

static int add(struct backup_creation *creation, const char *name, uint64_t size,
               const uint8_t *sum)
{
    return manifest_add(&creation->manifest, name, size, sum) == 0
               ? 0
               : error_set(creation->detail, STOA_ENOMEM, "back up: no memory");
}

static int write_partial(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    char path[STORE_PATH_SIZE_MAX];
    int result = target_path(creation, STORE_FOLDER_LEDGER, path);
    if (result == 0) {
        result = store_folder_sync(options->io, path, creation->detail);
    }
    if (result == 0) {
        result = target_path(creation, STORE_FOLDER_ARCHIVE, path);
    }
    if (result == 0) {
        result = store_folder_sync(options->io, path, creation->detail);
    }
    if (result == 0) {
        result = target_path(creation, BACKUP_PARTIAL, path);
    }
    if (result == 0) {
        result = manifest_write(options->io, options->target, path, &creation->manifest,
                                creation->detail);
    }
    creation->unnoted_files = 0;
    creation->unnoted_bytes = 0;
    return result;
}

static int note_copied(struct backup_creation *creation, uint64_t bytes)
{
    creation->copied_bytes += bytes;
    creation->unnoted_bytes += bytes;
    creation->unnoted_files++;
    bool due =
        creation->unnoted_files >= NOTE_EVERY_FILES || creation->unnoted_bytes >= note_every_bytes;
    return due ? write_partial(creation) : 0;
}

/* The first SIZE bytes of the store's FOLDER/STEM.EXTENSION become part of the backup.
 * STOA_ENOTFOUND: it was replaced meanwhile. */
static int take_file(struct backup_creation *creation, const char *prefix, const char *extension,
                     uint64_t size)
{
    const struct backup_options *options = creation->options;
    const struct manifest_file *shared = find_shared(creation, prefix, extension, size);
    char plain[MANIFEST_NAME_SIZE];
    char name[MANIFEST_NAME_SIZE];
    char from[STORE_PATH_SIZE_MAX];
    char to[STORE_PATH_SIZE_MAX];
    uint8_t sum[TRANSFER_SUM_SIZE];
    if (shared != NULL && shared->size == size) {
        return add(creation, shared->name, size, shared->sum);
    }
    if (shared != NULL && shared->size > size) {
        shared = NULL; /* it was longer: not what it was */
    }
    (void)snprintf(plain, sizeof(plain), "%s%s", prefix, extension);
    int result = store_folder_path(from, options->directory, plain, creation->detail);
    uint64_t kept = 0;
    if (result == 0 && shared != NULL) {
        memcpy(name, shared->name, sizeof(name));
        kept = shared->size;
        result = target_path(creation, name, to);
        if (result == 0) {
            result = transfer_copy(options->io, from, to, size, kept, shared->sum, options->pace,
                                   sum, creation->detail);
        }
        if (result == STOA_ECORRUPT) { /* the copy is damaged: it stays, another is made */
            result = 0;
            shared = NULL;
            kept = 0;
        }
    }
    if (result == 0 && shared == NULL) {
        name_anew(creation, prefix, extension, name);
        result = target_path(creation, name, to);
        if (result == 0) {
            result = transfer_copy(options->io, from, to, size, 0, NULL, options->pace, sum,
                                   creation->detail);
        }
        if (strcmp(extension, ".seg") != 0) { /* pruned or packed anew it has the same name */
            result = transfer_check_replaced(options->io, from, size, result);
        }
    }
    result = result == 0 ? add(creation, name, size, sum) : result;
    return result == 0 ? note_copied(creation, size - kept) : result;
}

/* Size of the store's file PREFIX.EXTENSION, of a segment what belongs to the backup. */
static int source_size(struct backup_creation *creation, const char *prefix, const char *extension,
                       uint64_t *out_size)
{
    char plain[MANIFEST_NAME_SIZE];
    char path[STORE_PATH_SIZE_MAX];
    (void)snprintf(plain, sizeof(plain), "%s%s", prefix, extension);
    int result = store_folder_path(path, creation->options->directory, plain, creation->detail);
    if (result != 0) {
        return result;
    }
    result = io_file_size(creation->options->io, path, out_size);
    return result == 0 || result == STOA_ENOTFOUND
               ? result
               : error_set(creation->detail, result, "%s: %s", path, stoa_strerror(result));
}

/* Size of segment NUMBER as far as it belongs to the backup. STOA_ENOTFOUND: it was moved. */
static int segment_size(struct backup_creation *creation, uint64_t number,
                        struct backup_segment *out_segment, uint64_t *out_size)
{
    const struct ledger_end *end = &creation->point->end;
    const struct backup_options *options = creation->options;
    backup_find_segment(options->io, options->directory, number, out_segment);
    int result = source_size(creation, out_segment->stem, out_segment->suffix, out_size);
    if (result == 0 && number == end->segment && strcmp(out_segment->suffix, ".seg") == 0) {
        *out_size = end->size; /* it grows on */
    }
    return result;
}

static int was_moved(struct backup_creation *creation, uint64_t number)
{
    return error_set(creation->detail, STOA_EBUSY,
                     "back up: segment %" PRIu64 " was moved meanwhile: try again", number);
}

struct amounts {
    uint64_t copied;
    uint64_t read;
};

/* What of a file with PREFIX and SIZE is to be copied, and what has to be read for that. */
static void count_file(struct backup_creation *creation, const char *prefix, const char *suffix,
                       uint64_t size, struct amounts *amounts)
{
    const struct manifest_file *shared = find_shared(creation, prefix, suffix, size);
    uint64_t *copied = &amounts->copied;
    uint64_t *read = &amounts->read;
    if (shared == NULL || shared->size > size) {
        *copied += size;
        *read += size;
    } else if (shared->size < size) {
        *copied += size - shared->size;
        *read += size; /* what is kept is checked */
    }
}

static int count_segments(struct backup_creation *creation, struct amounts *amounts)
{
    const struct backup_numbers *numbers = &creation->segments;
    int result = 0;
    for (size_t i = 0; i < numbers->count && result == 0; i++) {
        struct backup_segment segment;
        uint64_t size = 0;
        result = segment_size(creation, numbers->items[i], &segment, &size);
        if (result == 0) {
            count_file(creation, segment.stem, segment.suffix, size, amounts);
        }
        result = result == STOA_ENOTFOUND ? 0 : result; /* it is about as much in any form */
    }
    return result;
}

/* The next of them; false: there is none left. */
static bool take_segment(struct backup_creation *creation, int *out_result)
{
    const struct backup_numbers *numbers = &creation->segments;
    if (creation->next == numbers->count) {
        return false;
    }
    uint64_t number = numbers->items[creation->next];
    int result = STOA_ENOTFOUND;
    for (unsigned i = 0; i < MOVES_MAX && result == STOA_ENOTFOUND; i++) {
        struct backup_segment segment;
        uint64_t size = 0;
        result = segment_size(creation, number, &segment, &size);
        if (result == 0) {
            result = take_file(creation, segment.stem, segment.suffix, size);
        }
    }
    *out_result = result == STOA_ENOTFOUND ? was_moved(creation, number) : result;
    creation->next += *out_result == 0; /* else the next step takes it again */
    return true;
}

static int check_space(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    struct amounts amounts = {0, 0};
    uint64_t size = 0;
    uint64_t free_bytes = 0;
    uint64_t total = 0;
    int result = count_segments(creation, &amounts);
    if (result != 0) {
        return result;
    }
    if (source_size(creation, STORE_FILE_IDENTITY, "", &size) == 0) {
        count_file(creation, STORE_FILE_IDENTITY, "", size, &amounts);
    }
    if (source_size(creation, "chain", ".json", &size) == 0) {
        count_file(creation, "chain", ".json", size, &amounts);
    }
    if (options->pace != NULL) {
        options->pace->total = amounts.read;
    }
    uint64_t bytes = amounts.copied;
    result = io_space(options->io, options->target, &free_bytes, &total);
    if (result != 0) {
        return error_set(creation->detail, result, "space of %s: %s", options->target,
                         stoa_strerror(result));
    }
    return free_bytes >= bytes && free_bytes - bytes >= space_reserve
               ? 0
               : error_set(creation->detail, STOA_ENOSPACE,
                           "back up: %" PRIu64 " bytes are to be copied, %s has %" PRIu64 " free",
                           bytes, options->target, free_bytes);
}

/* The settings, if there are any; small, and every backup has its own. */
static int take_settings(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    char name[MANIFEST_NAME_SIZE];
    char path[STORE_PATH_SIZE_MAX];
    uint8_t sum[TRANSFER_SUM_SIZE];
    uint8_t *data = NULL;
    size_t size = 0;
    int result = store_folder_path(path, options->directory, "stoa.conf", creation->detail);
    if (result == 0) {
        result =
            transfer_read(options->io, path, SETTINGS_SIZE_MAX, &data, &size, creation->detail);
    }
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    if (result != 0) {
        return result;
    }
    (void)snprintf(name, sizeof(name), "stoa-%" PRIu64 ".conf", creation->manifest.number);
    result = target_path(creation, name, path);
    if (result == 0) {
        result = transfer_write(options->io, options->target, path, bytes_of(data, size),
                                creation->detail);
    }
    transfer_sum_bytes(bytes_of(data, size), sum);
    memory_free(data);
    return result == 0 ? add(creation, name, size, sum) : result;
}

/* List the files that it will be made of. Spares, and segments begun since, are not among them. */
static int list_files(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    struct backup_numbers *segments = &creation->segments;
    int result = backup_segments_list(options->io, options->directory, segments, creation->detail);
    while (segments->count > 0 &&
           segments->items[segments->count - 1] > creation->point->end.segment) {
        segments->count--;
    }
    return result == 0 ? check_space(creation) : result;
}

static int take_identity(struct backup_creation *creation)
{
    uint64_t size = 0;
    int result = source_size(creation, STORE_FILE_IDENTITY, "", &size);
    if (result == STOA_ENOTFOUND) {
        return error_set(creation->detail, result, "%s is not a store",
                         creation->options->directory);
    }
    return result == 0 ? take_file(creation, STORE_FILE_IDENTITY, "", size) : result;
}

/* The chain's configuration, which never changes, where the store was made with one. */
static int take_chain(struct backup_creation *creation)
{
    uint64_t size = 0;
    int result = source_size(creation, "chain", ".json", &size);
    return result == STOA_ENOTFOUND || (result == 0 && size == 0)
               ? 0
               : (result == 0 ? take_file(creation, "chain", ".json", size) : result);
}

/* ---- all of it ---- */

/* What was copied is durable, then the manifest that names it, then the note of what is not whole
 * goes. */
static int seal(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    char path[STORE_PATH_SIZE_MAX];
    int result = write_partial(creation);
    if (result == 0) {
        result = backup_manifest_path(path, options->target, creation->manifest.number,
                                      creation->detail);
    }
    if (result == 0) {
        result = manifest_write(options->io, options->target, path, &creation->manifest,
                                creation->detail);
    }
    if (result == 0) {
        result = target_path(creation, BACKUP_PARTIAL, path);
    }
    return result == 0 ? transfer_remove(options->io, path, creation->detail) : result;
}

/* All that comes before copying. */
static int prepare(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    int result = make_target(creation);
    if (result == 0) {
        result = backup_lock(options->io, options->target, &creation->lock, creation->detail);
    }
    if (result == 0) {
        result = read_before(creation);
    }
    if (result == 0 && !options->full) {
        result = check_history(creation, &creation->before);
    }
    if (result != 0) {
        return result;
    }
    read_partial(creation);
    struct error_detail why;
    struct error_detail *detail = creation->detail;
    creation->detail = &why; /* what was copied of another history is only forgotten */
    if (check_history(creation, &creation->partial) != 0) {
        manifest_deinit(&creation->partial);
    }
    creation->detail = detail;
    creation->manifest.created_ns = io_wall_ns(options->io);
    return list_files(creation);
}

static int prune(struct backup_creation *creation)
{
    const struct backup_options *options = creation->options;
    return options->keep == 0 ? 0
                              : backup_prune_locked(options->io, options->target, options->keep,
                                                    &creation->removed, creation->detail);
}

static int work(struct backup_creation *creation)
{
    int result = 0;
    switch (creation->stage) {
    case PREPARE:
        result = prepare(creation);
        break;
    case IDENTITY:
        result = take_identity(creation);
        break;
    case CHAIN:
        result = take_chain(creation);
        break;
    case SEGMENTS:
        if (take_segment(creation, &result)) {
            return result;
        }
        break;
    case SETTINGS:
        result = take_settings(creation);
        break;
    case SEAL:
        result = seal(creation);
        break;
    case PRUNE:
        result = prune(creation);
        break;
    case ENDED:
        break;
    }
    creation->stage += result == 0 ? 1 : 0;
    return result;
}

int backup_begin(const struct backup_options *options, const struct store_point *point,
                 const uint8_t state_root[32], struct backup_creation **out_creation,
                 struct error_detail *detail)
{
    char parent[STORE_PATH_SIZE_MAX];
    ensure(point->end.sequence > 0);
    struct backup_creation *creation = memory_alloc_zeroed(1, sizeof(*creation));
    if (creation == NULL) {
        return error_set(detail, STOA_ENOMEM, "back up: no memory");
    }
    creation->lock = -1;
    creation->own = *options;
    creation->own.directory = creation->directory;
    creation->own.target = creation->target;
    creation->options = &creation->own;
    *creation->point = *point;
    int result = store_folder_split(options->directory, creation->directory, parent, detail);
    if (result == 0) {
        result = store_folder_split(options->target, creation->target, parent, detail);
    }
    if (result != 0) {
        memory_free(creation);
        return result;
    }
    backup_fill_manifest(&creation->manifest, point, state_root, 0); /* its time is told later */
    *out_creation = creation;
    return 0;
}

int backup_step(struct backup_creation *creation, struct io *io, struct pace *pace, bool *out_ended,
                struct backup_report *out_report, struct error_detail *detail)
{
    ensure(creation->stage != ENDED);
    creation->own.io = io;
    creation->own.pace = pace;
    creation->detail = detail;
    int result = work(creation);
    creation->detail = NULL;
    *out_ended = result == 0 && creation->stage == ENDED;
    if (*out_ended) {
        *out_report = (struct backup_report){.number = creation->manifest.number,
                                             .height = creation->manifest.height,
                                             .files = creation->manifest.file_count,
                                             .bytes = manifest_bytes(&creation->manifest),
                                             .copied_bytes = creation->copied_bytes,
                                             .removed = creation->removed};
    }
    return result;
}

void backup_end(struct backup_creation *creation, struct io *io)
{
    if (creation == NULL) {
        return;
    }
    if (creation->lock >= 0) {
        io_unlock(io, creation->lock);
    }
    manifest_deinit(&creation->manifest);
    manifest_deinit(&creation->before);
    manifest_deinit(&creation->partial);
    backup_numbers_deinit(&creation->segments);
    memory_free(creation);
}

int backup_create(const struct backup_options *options, const struct store_point *point,
                  const uint8_t state_root[32], struct backup_report *out_report,
                  struct error_detail *detail)
{
    struct backup_creation *creation;
    int result = backup_begin(options, point, state_root, &creation, detail);
    bool ended = false;
    if (result != 0) {
        return result;
    }
    while (result == 0 && !ended) {
        result = backup_step(creation, options->io, options->pace, &ended, out_report, detail);
    }
    backup_end(creation, options->io);
    return result;
}
