/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/restore.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/block.h"
#include "ledger/frame.h"
#include "ledger/segment.h"
#include "maint/backup.h"
#include "store/identity.h"
#include "store/position.h"
#include "store/record.h"
#include "store/store_folder.h"

static const uint64_t space_reserve = UINT64_C(64)
                                      << 20; /* besides the copies: tables, a segment */

struct restoring {
    const struct restore_options *options;
    struct io *io;
    struct manifest manifest;
    char source[STORE_PATH_SIZE_MAX];
    char making[STORE_PATH_SIZE_MAX];
    struct identity identity;
    uint64_t height; /* that the head is to have */
    uint8_t hash[32];
    uint8_t state_root[32];
    struct restore_report report;
    struct error_detail *detail;
};

static int path_in(struct restoring *restoring, const char *name, char out[STORE_PATH_SIZE_MAX])
{
    return store_folder_path(out, restoring->making, name, restoring->detail);
}

/* ---- copying ---- */

static int check_target(struct restoring *restoring, char parent[STORE_PATH_SIZE_MAX])
{
    const struct restore_options *options = restoring->options;
    char target[STORE_PATH_SIZE_MAX];
    size_t count = 0;
    uint64_t size = 0;
    int result = store_folder_split(options->target, target, parent, restoring->detail);
    if (result != 0) {
        return result;
    }
    result = io_list(restoring->io, target, store_folder_count, &count);
    if (io_file_size(restoring->io, target, &size) == 0 || (result == 0 && count != 0)) {
        return error_set(restoring->detail, STOA_EEXISTS, "%s exists and is not empty", target);
    }
    if (result != 0 && result != STOA_ENOTFOUND) {
        return error_set(restoring->detail, result, "list %s: %s", target, stoa_strerror(result));
    }
    uint64_t free_bytes = 0;
    uint64_t total = 0;
    uint64_t wanted = manifest_bytes(&restoring->manifest) + space_reserve;
    result = io_space(restoring->io, parent, &free_bytes, &total);
    if (result != 0) {
        return error_set(restoring->detail, result, "%s: %s", parent, stoa_strerror(result));
    }
    if (free_bytes < wanted) {
        return error_set(restoring->detail, STOA_ENOSPACE,
                         "restore: %" PRIu64 " bytes are wanted, %s has %" PRIu64 " free", wanted,
                         parent, free_bytes);
    }
    uint32_t random;
    io_random(restoring->io, &random, sizeof(random));
    int length =
        snprintf(restoring->making, sizeof(restoring->making), "%s.new-%08x", target, random);
    ensure(length > 0 && (size_t)length < sizeof(restoring->making));
    return 0;
}

static int make_folders(struct restoring *restoring)
{
    static const char *const folders[] = {STORE_FOLDER_LEDGER, STORE_FOLDER_TABLES};
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_make(restoring->io, restoring->making, restoring->detail);
    for (size_t i = 0; i < 2 && result == 0; i++) {
        result = path_in(restoring, folders[i], path);
        if (result == 0) {
            result = store_folder_make(restoring->io, path, restoring->detail);
        }
    }
    if (result == 0 && manifest_find(&restoring->manifest, STORE_FOLDER_ARCHIVE "/") != NULL) {
        result = path_in(restoring, STORE_FOLDER_ARCHIVE, path);
        if (result == 0) {
            result = store_folder_make(restoring->io, path, restoring->detail);
        }
    }
    if (result == 0) {
        result = path_in(restoring, STORE_FILE_LOCK, path);
    }
    return result == 0 ? store_folder_make_file(restoring->io, path, restoring->detail) : result;
}

static int copy_file(struct restoring *restoring, const struct manifest_file *file)
{
    static const uint8_t no_sum[TRANSFER_SUM_SIZE];
    char plain[MANIFEST_NAME_SIZE];
    char from[STORE_PATH_SIZE_MAX];
    char to[STORE_PATH_SIZE_MAX];
    uint8_t sum[TRANSFER_SUM_SIZE];
    backup_plain_name(file->name, plain);
    int result = store_folder_path(from, restoring->source, file->name, restoring->detail);
    if (result == 0) {
        result = path_in(restoring, plain, to);
    }
    if (result == 0) {
        result = transfer_copy(restoring->io, from, to, file->size, 0, NULL,
                               restoring->options->pace, sum, restoring->detail);
        if (result == STOA_ENOTFOUND) {
            result = error_set(restoring->detail, STOA_ECORRUPT, "%s is missing", from);
        }
    }
    bool summed = memcmp(file->sum, no_sum, sizeof(sum)) != 0; /* a snapshot's links are not */
    if (result == 0 && summed && memcmp(sum, file->sum, sizeof(sum)) != 0) {
        result = error_set(restoring->detail, STOA_ECORRUPT, "%s is damaged: checksum", from);
    }
    restoring->report.files++;
    restoring->report.bytes += file->size;
    return result;
}

static int copy_files(struct restoring *restoring)
{
    const struct manifest *manifest = &restoring->manifest;
    char path[STORE_PATH_SIZE_MAX];
    int result = make_folders(restoring);
    if (restoring->options->pace != NULL) {
        restoring->options->pace->total = manifest_bytes(manifest);
    }
    for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
        result = copy_file(restoring, &manifest->files[i]);
    }
    if (result == 0) {
        result = path_in(restoring, STORE_FILE_IDENTITY, path);
    }
    if (result == 0) {
        result = identity_read(restoring->io, path, &restoring->identity, restoring->detail);
    }
    if (result == 0 && restoring->identity.store_id != manifest->store_id) {
        result = error_set(restoring->detail, STOA_ECORRUPT,
                           "%s/STORE is not of the store that was backed up", restoring->source);
    }
    return result;
}

/* ---- the ledger's end ---- */

static int failed(struct restoring *restoring, const struct io_request *request, int64_t result,
                  const char *what, const char *path)
{
    if (request->os_error != 0) {
        return error_set_errno(restoring->detail, request->os_error, "%s %s", what, path);
    }
    return error_set(restoring->detail, (int)result, "%s %s: %s", what, path,
                     stoa_strerror((int)result));
}

/* Make segment NUMBER SIZE bytes long; what it gets reads as zeros. */
static int extend(struct restoring *restoring, uint32_t number, uint64_t size)
{
    char name[SEGMENT_NAME_SIZE];
    char relative[64];
    char path[STORE_PATH_SIZE_MAX];
    segment_name(number, true, name);
    (void)snprintf(relative, sizeof(relative), STORE_FOLDER_LEDGER "/%s", name);
    int result = path_in(restoring, relative, path);
    if (result != 0) {
        return result;
    }
    struct io_request open = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_WRITE | IO_OPEN_CREATE};
    int64_t file = io_wait(restoring->io, &open);
    if (file < 0) {
        return failed(restoring, &open, file, "open", path);
    }
    struct io_request allocate = {.op = IO_ALLOCATE, .file = (int)file, .size = size};
    struct io_request flush = {.op = IO_SYNC, .file = (int)file};
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    int64_t done = io_wait(restoring->io, &allocate);
    if (done < 0) {
        result = failed(restoring, &allocate, done, "extend", path);
    } else {
        done = io_wait(restoring->io, &flush);
        result = done < 0 ? failed(restoring, &flush, done, "flush", path) : 0;
    }
    (void)io_wait(restoring->io, &close); /* it was flushed */
    return result;
}

/* Size of segment NUMBER as its first frame says. */
static int read_segment_size(struct restoring *restoring, uint32_t number, uint64_t *out_size)
{
    char name[SEGMENT_NAME_SIZE];
    char relative[64];
    char path[STORE_PATH_SIZE_MAX];
    struct frame_header header;
    struct segment_head head;
    segment_name(number, true, name);
    (void)snprintf(relative, sizeof(relative), STORE_FOLDER_LEDGER "/%s", name);
    int result = path_in(restoring, relative, path);
    if (result != 0) {
        return result;
    }
    uint8_t *block = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    struct io_request open = {.op = IO_OPEN, .path = path};
    int64_t file = block == NULL ? STOA_ENOMEM : io_wait(restoring->io, &open);
    if (file < 0) {
        memory_free(block);
        return failed(restoring, &open, file, "open", path);
    }
    struct io_request read = {
        .op = IO_READ, .file = (int)file, .data = block, .size = SEGMENT_BLOCK};
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    bool good = io_wait(restoring->io, &read) == SEGMENT_BLOCK &&
                frame_decode(block, restoring->manifest.store_id, &header) == FRAME_GOOD &&
                header.length == SEGMENT_HEAD_SIZE &&
                frame_check(block, &header, restoring->manifest.store_id) &&
                segment_decode_head(bytes_of(block + FRAME_HEADER_SIZE, header.length), &head);
    (void)io_wait(restoring->io, &close); /* it was only read */
    memory_free(block);
    if (!good) {
        return error_set(restoring->detail, STOA_ECORRUPT, "%s has no head", path);
    }
    *out_size = head.size;
    return 0;
}

/* The copy's ledger; KEEP: the frame it is to end with, 0: where it ends. */
static int open_ledger(struct restoring *restoring, uint64_t keep, struct ledger **out_ledger)
{
    char path[STORE_PATH_SIZE_MAX];
    char archive[STORE_PATH_SIZE_MAX];
    struct ledger_recovery recovery;
    int result = path_in(restoring, STORE_FOLDER_LEDGER, path);
    if (result == 0) {
        result = path_in(restoring, STORE_FOLDER_ARCHIVE, archive);
    }
    if (result != 0) {
        return result;
    }
    struct ledger_options options = {.io = restoring->io,
                                     .path = path,
                                     .archive = archive,
                                     .store_id = restoring->manifest.store_id,
                                     .prepare = LEDGER_ALLOCATE,
                                     .keep_sequence = keep};
    return ledger_open(&options, 0, out_ledger, &recovery, restoring->detail);
}

/* The ledger ends with frame KEEP in segment NUMBER: what is behind it goes. */
static int end_ledger(struct restoring *restoring, uint32_t number, uint64_t keep)
{
    uint64_t size = 0;
    struct ledger *ledger;
    struct ledger_stats stats;
    int result = read_segment_size(restoring, number, &size);
    if (result == 0) {
        result = extend(restoring, number, size);
    }
    if (result == 0) {
        result = extend(restoring, number + 1, size); /* the spare that a ledger has */
    }
    if (result == 0) {
        result = open_ledger(restoring, keep, &ledger);
    }
    if (result != 0) {
        return result;
    }
    ledger_stats(ledger, &stats);
    result = ledger_close(ledger, restoring->detail);
    if (result == 0 && stats.last_sequence != keep) {
        result = error_set(restoring->detail, STOA_ECORRUPT,
                           "the ledger ends with frame %" PRIu64 ", not with %" PRIu64,
                           stats.last_sequence, keep);
    }
    return result;
}

/* Segments above NUMBER are removed. */
static int remove_above(struct restoring *restoring, uint32_t number)
{
    char path[STORE_PATH_SIZE_MAX];
    struct backup_segment segment;
    int result = 0;
    for (uint32_t next = restoring->manifest.end.segment + 2; next > number && result == 0;
         next--) {
        backup_find_segment(restoring->io, restoring->making, next, &segment);
        result = path_in(restoring, segment.name, path);
        if (result == 0) {
            result = transfer_remove(restoring->io, path, restoring->detail);
        }
    }
    return result;
}

/* ---- the store ---- */

/* Nothing is moved, but whoever paces it may want it to end. */
static bool is_stopping(void *context)
{
    struct restoring *restoring = context;
    return pace_step(restoring->options->pace, 0) != 0;
}

/* TABLES: simulated ones, for a look; NULL: as the options say. */
static int open_store(struct restoring *restoring, bool plain, struct kv_memory_disk *tables,
                      struct store **out_store)
{
    struct store_options options = restoring->options->store;
    options.io = restoring->io;
    options.directory = restoring->making;
    options.bulk = true;
    options.plain = plain;
    options.is_stopping = is_stopping;
    options.stopping_context = restoring;
    options.memory_tables = tables != NULL ? tables : options.memory_tables;
    return store_open(&options, out_store, restoring->detail);
}

/* Close STORE, or leave it where the loop has ended. RESULT, or what closing came to. */
static int close_store(struct restoring *restoring, struct store *store, int result)
{
    if (result == STOA_ECLOSED) {
        store_abandon(store);
        return result;
    }
    int closed = store_close(store, result == 0 ? restoring->detail : NULL);
    return result == 0 ? closed : result;
}

static void note_done(struct store_request *request)
{
    bool *done = request->context;
    *done = true;
}

static int ask(struct restoring *restoring, struct store *store, struct store_request *request)
{
    bool done = false;
    request->done = note_done;
    request->context = &done;
    store_submit(store, request);
    while (!done) {
        int result = io_run(restoring->io, 1000000000);
        if (result < 0) {
            return error_set(restoring->detail, result, "restore");
        }
    }
    if (request->result != 0 && restoring->detail != NULL) {
        *restoring->detail = request->detail;
    }
    return request->result;
}

/* A canonical block and its frame. */
struct found_block {
    struct ledger_position position;
    uint8_t hash[32];
    uint8_t state_root[32];
    unsigned flags; /* of its record */
};

static int find_block(struct restoring *restoring, struct store *store, uint64_t height,
                      struct found_block *out_found)
{
    struct store_request request = {.kind = STORE_GET_BLOCK,
                                    .key = {.by = STOA_BY_HEIGHT, .height = height}};
    struct record record;
    struct block block;
    int result = ask(restoring, store, &request);
    if (result != 0) {
        error_prefix(restoring->detail, "block %" PRIu64, height);
        return result;
    }
    const struct ledger_read *read = &request.block.view->read;
    *out_found = (struct found_block){.position = read->position};
    result = record_decode(read->payload, &record, restoring->detail);
    if (result == 0) {
        out_found->flags = record.flags;
        if (record.previous != NULL) { /* its receipts came later: where it came itself */
            out_found->position = position_decode(record.previous);
        }
        memcpy(out_found->hash, record.hash, 32);
        result = block_decode(record.block, &block, restoring->detail);
    }
    if (result == 0) {
        memcpy(out_found->state_root, block.header.state_root, 32);
    }
    store_view_release(request.block.view);
    return result;
}

/* Where the ledger has to end for the head to be a block. */
struct cut {
    uint32_t segment;
    uint64_t keep;
};

static int take_batch(void *context, const struct ledger_frame *frame)
{
    struct cut *cut = context;
    if (frame->kind != LEDGER_BATCH) {
        return 0;
    }
    cut->keep = frame->position.sequence;
    cut->segment = frame->position.segment;
    return 1;
}

/* A block of a batch counts from the batch's last frame on. */
static int find_batch_end(struct restoring *restoring, const struct found_block *found,
                          struct cut *cut)
{
    struct ledger *ledger;
    int result = open_ledger(restoring, 0, &ledger);
    if (result != 0) {
        return result;
    }
    result = ledger_scan(ledger, found->position.sequence, &found->position, take_batch, cut,
                         restoring->detail);
    int closed = ledger_close(ledger, result == 0 ? restoring->detail : NULL);
    if (result == 0) {
        return error_set(restoring->detail, STOA_ECORRUPT, "the batch of a block has no end");
    }
    return result == 1 ? closed : result;
}

/* Find, in the whole store, the block that is to be the head and what comes behind it: the frames
 * up to there, with the changes of keys that were made while it was the head. */
static int find_cut(struct restoring *restoring, struct kv_memory_disk *tables, struct cut *cut)
{
    struct store *store = NULL;
    struct found_block wanted;
    struct found_block next;
    struct stoa_head head;
    int result = open_store(restoring, true, tables, &store);
    if (result != 0) {
        return result;
    }
    store_get_head(store, &head);
    if (restoring->height > head.height) {
        result = error_set(restoring->detail, STOA_EINVAL,
                           "the backup ends with block %" PRIu64 ": there is no block %" PRIu64,
                           head.height, restoring->height);
    }
    if (result == 0) {
        result = find_block(restoring, store, restoring->height, &wanted);
    }
    if (result == 0) {
        result = find_block(restoring, store, restoring->height + 1, &next);
    }
    result = close_store(restoring, store, result);
    if (result != 0) {
        return result;
    }
    memcpy(restoring->hash, wanted.hash, 32);
    memcpy(restoring->state_root, wanted.state_root, 32);
    *cut = (struct cut){.segment = wanted.position.segment, .keep = wanted.position.sequence};
    if ((wanted.flags & RECORD_BATCH) != 0) {
        result = find_batch_end(restoring, &wanted, cut);
    }
    uint64_t before = next.position.sequence - 1 - ((next.flags & RECORD_CHANGES) != 0 ? 1 : 0);
    if (result == 0 && before > cut->keep) {
        *cut = (struct cut){.segment = next.position.segment, .keep = before};
    }
    return result;
}

/* Segment NUMBER as it was, where it is packed: the ledger is to end inside. */
static int unpack(struct restoring *restoring, uint32_t number)
{
    struct ledger *ledger;
    int result = open_ledger(restoring, 0, &ledger);
    if (result != 0) {
        return result;
    }
    result = ledger_unpack(ledger, number, restoring->detail);
    int closed = ledger_close(ledger, result == 0 ? restoring->detail : NULL);
    return result == 0 ? closed : result;
}

/* Cut back to the height asked for. */
static int cut_back(struct restoring *restoring)
{
    struct cut cut;
    struct backup_segment segment;
    char path[STORE_PATH_SIZE_MAX];
    struct kv_memory_disk *tables = NULL;
    if (restoring->options->store.memory_tables != NULL) {
        tables = kv_memory_disk_create();
        if (tables == NULL) {
            return error_set(restoring->detail, STOA_ENOMEM, "restore");
        }
    }
    int result = find_cut(restoring, tables, &cut);
    if (tables != NULL) {
        kv_memory_disk_destroy(tables);
    } else if (result == 0) {
        result = path_in(restoring, STORE_FOLDER_TABLES, path);
        result = result == 0 ? store_folder_empty(restoring->io, path, restoring->detail) : result;
    }
    if (result == 0) {
        result = unpack(restoring, cut.segment);
    }
    if (result == 0) {
        backup_find_segment(restoring->io, restoring->making, cut.segment, &segment);
    }
    if (result == 0 && strcmp(segment.suffix, ".thin") == 0) {
        result = error_set(restoring->detail, STOA_EPRUNED,
                           "block %" PRIu64 " is the end of a part that was pruned: a store cannot "
                           "end there, but with a later block",
                           restoring->height);
    }
    if (result == 0) {
        result = remove_above(restoring, cut.segment);
    }
    return result == 0 ? end_ledger(restoring, cut.segment, cut.keep) : result;
}

/* The head is what was asked for; where another block came in between, it is made so. */
static int check_head(struct restoring *restoring, struct store *store)
{
    struct stoa_head head;
    store_get_head(store, &head);
    int result = 0;
    if (memcmp(head.hash, restoring->hash, 32) != 0 && restoring->options->has_height) {
        struct store_request request = {.kind = STORE_UPDATE_HEAD};
        memcpy(request.hash, restoring->hash, 32);
        result = ask(restoring, store, &request);
        store_get_head(store, &head);
    }
    if (result == 0 && (head.empty != 0 || head.height != restoring->height ||
                        memcmp(head.hash, restoring->hash, 32) != 0)) {
        result = error_set(restoring->detail, STOA_ECORRUPT,
                           "the restored store ends with block %" PRIu64 ", not with %" PRIu64
                           " of the backup",
                           head.height, restoring->height);
    }
    struct found_block found;
    if (result == 0) {
        result = find_block(restoring, store, restoring->height, &found);
    }
    if (result == 0 && memcmp(found.state_root, restoring->state_root, 32) != 0) {
        result = error_set(restoring->detail, STOA_ECORRUPT, "block %" PRIu64 " has another root",
                           restoring->height);
    }
    return result;
}

static int make_tables(struct restoring *restoring)
{
    struct store *store = NULL;
    struct stoa_verify_report verified;
    uint64_t start = io_now_ns(restoring->io);
    int result = open_store(restoring, false, NULL, &store);
    if (result != 0) {
        error_prefix(restoring->detail, "make the tables");
        return result;
    }
    result = check_head(restoring, store);
    if (result == 0) {
        result = store_checkpoint(store, restoring->detail);
    }
    uint64_t made = io_now_ns(restoring->io);
    if (result == 0) {
        result = store_verify(store, false, NULL, NULL, &verified, restoring->detail);
    }
    restoring->report.tables_ns = made - start;
    restoring->report.verify_ns = io_now_ns(restoring->io) - made;
    return close_store(restoring, store, result);
}

/* ---- all of it ---- */

/* What was begun is removed as far as it can be: the error that led here is the one to tell. */
static void remove_unfinished(struct restoring *restoring)
{
    static const char *const folders[] = {STORE_FOLDER_LEDGER, STORE_FOLDER_TABLES,
                                          STORE_FOLDER_ARCHIVE};
    char path[STORE_PATH_SIZE_MAX];
    for (size_t i = 0; i < 3; i++) {
        if (store_folder_path(path, restoring->making, folders[i], NULL) == 0 &&
            store_folder_empty(restoring->io, path, NULL) == 0) {
            store_folder_remove(restoring->io, path);
        }
    }
    if (store_folder_empty(restoring->io, restoring->making, NULL) == 0) {
        store_folder_remove(restoring->io, restoring->making);
    }
}

static int put_in_place(struct restoring *restoring, const char *parent)
{
    char target[STORE_PATH_SIZE_MAX];
    char path[STORE_PATH_SIZE_MAX];
    const bool packed = manifest_find(&restoring->manifest, STORE_FOLDER_ARCHIVE "/") != NULL;
    int result = path_in(restoring, STORE_FOLDER_LEDGER, path);
    if (result == 0) {
        result = store_folder_sync(restoring->io, path, restoring->detail);
    }
    if (result == 0 && packed) {
        result = path_in(restoring, STORE_FOLDER_ARCHIVE, path);
    }
    if (result == 0 && packed) {
        result = store_folder_sync(restoring->io, path, restoring->detail);
    }
    if (result == 0) {
        result = store_folder_sync(restoring->io, restoring->making, restoring->detail);
    }
    if (result == 0) {
        result = store_folder_split(restoring->options->target, target, path, restoring->detail);
    }
    struct io_request rename = {.op = IO_RENAME, .path = restoring->making, .path_to = target};
    int64_t renamed = result == 0 ? io_wait(restoring->io, &rename) : 0;
    if (renamed < 0) {
        result = failed(restoring, &rename, renamed, "rename to", target);
    }
    return result == 0 ? store_folder_sync(restoring->io, parent, restoring->detail) : result;
}

static int restore(struct restoring *restoring)
{
    const struct restore_options *options = restoring->options;
    const struct manifest *manifest = &restoring->manifest;
    uint64_t start = io_now_ns(restoring->io);
    restoring->height = options->has_height ? options->height : manifest->height;
    memcpy(restoring->hash, manifest->hash, 32);
    memcpy(restoring->state_root, manifest->state_root, 32);
    if (restoring->height > manifest->height) {
        return error_set(restoring->detail, STOA_EINVAL,
                         "the backup ends with block %" PRIu64 ": there is no block %" PRIu64,
                         manifest->height, restoring->height);
    }
    int result = copy_files(restoring);
    restoring->report.copy_ns = io_now_ns(restoring->io) - start;
    if (result == 0) {
        result = end_ledger(restoring, manifest->end.segment, manifest->end.sequence);
    }
    if (result == 0 && restoring->height < manifest->height) {
        result = cut_back(restoring);
    }
    return result == 0 ? make_tables(restoring) : result;
}

int restore_run(const struct restore_options *options, struct restore_report *out_report,
                struct error_detail *detail)
{
    struct restoring restoring = {.options = options, .io = options->io, .detail = detail};
    char parent[STORE_PATH_SIZE_MAX];
    int result =
        backup_find(options->io, options->backup, &restoring.manifest, restoring.source, detail);
    if (result != 0) {
        return result;
    }
    result = check_target(&restoring, parent);
    if (result == 0) {
        result = restore(&restoring);
        if (result == 0) {
            result = put_in_place(&restoring, parent);
        }
        if (result != 0) {
            remove_unfinished(&restoring);
        }
    }
    manifest_deinit(&restoring.manifest);
    if (result == 0) {
        *out_report = restoring.report;
        out_report->height = restoring.height;
        memcpy(out_report->hash, restoring.hash, 32);
        memcpy(out_report->state_root, restoring.state_root, 32);
    }
    return result;
}
