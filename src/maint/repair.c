/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/repair.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/arc.h"
#include "ledger/frame.h"
#include "ledger/thin.h"
#include "maint/repair_private.h"
#include "maint/snapshot.h"

const char repair_the_format[] = "the format";

/* ---- sources ---- */

size_t repair_source_count(const struct repair *repair)
{
    return repair->own_count + repair->options->source_count;
}

const char *repair_source_at(const struct repair *repair, size_t index)
{
    return index < repair->own_count ? repair->own[index]
                                     : repair->options->sources[index - repair->own_count];
}

/* Where SOURCE has NAME ("ledger/00000042.seg"): in itself, or under the name that its newest
 * backup gives it. False: it has not. */
bool repair_find_in_source(const struct repair *repair, const char *source, const char *name,
                           char out[STORE_PATH_SIZE_MAX])
{
    struct manifest manifest;
    char directory[STORE_PATH_SIZE_MAX];
    char prefix[MANIFEST_NAME_SIZE];
    uint64_t size = 0;
    const char *dot = strrchr(name, '.');
    size_t stem = dot == NULL ? strlen(name) : (size_t)(dot - name);
    (void)snprintf(prefix, sizeof(prefix), "%.*s", (int)stem, name);
    if (backup_find(repair->io, source, &manifest, directory, NULL) == 0) {
        const struct manifest_file *file = manifest_find(&manifest, prefix);
        const char *kind = file != NULL ? strrchr(file->name, '.') : NULL;
        bool same = dot == NULL || (kind != NULL && strcmp(kind, dot) == 0);
        bool found = file != NULL && same &&
                     store_folder_path(out, directory, file->name, NULL) == 0 &&
                     io_file_size(repair->io, out, &size) == 0;
        manifest_deinit(&manifest);
        return found;
    }
    return store_folder_path(out, source, name, NULL) == 0 &&
           io_file_size(repair->io, out, &size) == 0;
}

static int note_own(void *context, const char *name, const struct manifest *manifest,
                    uint64_t own_bytes, const struct error_detail *why)
{
    struct repair *repair = context;
    (void)own_bytes;
    (void)why;
    if (manifest == NULL) {
        return 0;
    }
    void *own = memory_resize(repair->own, (repair->own_count + 1) * sizeof(*repair->own));
    if (own == NULL) {
        return STOA_ENOMEM;
    }
    repair->own = own;
    return snapshot_path(repair->io, repair->options->directory, name,
                         repair->own[repair->own_count++], repair->detail);
}

/* ---- reading and writing places of files ---- */

/* Bytes START to END, multiples of IO_ALIGNMENT, of PATH; what the file does not have reads as
 * zeros. NULL: it cannot be read. */
uint8_t *repair_read_place(const struct repair *repair, const char *path, uint64_t start,
                           uint64_t end)
{
    struct io_request open = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_DIRECT};
    int64_t file = io_wait(repair->io, &open);
    if (file < 0) {
        return NULL;
    }
    uint8_t *data = memory_alloc_aligned(end - start, IO_ALIGNMENT);
    if (data != NULL) {
        memset(data, 0, end - start);
        struct io_request read = {
            .op = IO_READ, .file = (int)file, .data = data, .size = end - start, .offset = start};
        if (io_wait(repair->io, &read) < 0) {
            memory_free(data);
            data = NULL;
        }
    }
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    (void)io_wait(repair->io, &close); /* it was only read */
    return data;
}

int repair_write_place(const struct repair *repair, const char *path, uint64_t start, uint8_t *data,
                       uint64_t size)
{
    struct io_request open = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_DIRECT | IO_OPEN_WRITE};
    int64_t file = io_wait(repair->io, &open);
    if (file < 0) {
        return error_set(repair->detail, (int)file, "open %s: %s", path, stoa_strerror((int)file));
    }
    struct io_request write = {.op = IO_WRITE,
                               .flags = IO_WRITE_DURABLE,
                               .file = (int)file,
                               .data = data,
                               .size = size,
                               .offset = start};
    int64_t result = io_wait(repair->io, &write);
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    (void)io_wait(repair->io, &close); /* it was written through */
    return result < 0 ? error_set(repair->detail, (int)result, "mend %s: %s", path,
                                  stoa_strerror((int)result))
                      : 0;
}

/* ---- mending a place ---- */

struct place {
    char path[STORE_PATH_SIZE_MAX]; /* of the store's own file */
    char name[64];                  /* in a store */
    uint64_t start;                 /* aligned, around the wound */
    uint64_t end;
    uint8_t *data; /* what the store has there; owned */
};

void repair_packed_name(uint32_t number, char out_name[64])
{
    char file[SEGMENT_NAME_SIZE];
    arc_name(number, true, file);
    (void)snprintf(out_name, 64, STORE_FOLDER_ARCHIVE "/%s", file);
}

void repair_segment_name(uint32_t number, bool thin, char out_name[64])
{
    char file[SEGMENT_NAME_SIZE];
    if (thin) {
        thin_name(number, true, file);
    } else {
        segment_name(number, true, file);
    }
    (void)snprintf(out_name, 64, STORE_FOLDER_LEDGER "/%s", file);
}

const char *repair_source_of(const struct repair *repair, const struct wound *wound)
{
    for (size_t i = 0; i < repair->count; i++) {
        const struct wound *other = &repair->wounds[i];
        if (other->damage.packed && other->damage.segment == wound->damage.segment &&
            other->damage.offset == wound->damage.offset && other->source != NULL) {
            return other->source;
        }
    }
    return repair_the_format;
}

static int open_place(struct repair *repair, const struct wound *wound, struct place *place)
{
    const struct ledger_damage *damage = &wound->damage;
    repair_segment_name(damage->segment, damage->thin, place->name);
    place->start = damage->offset & ~(uint64_t)(IO_ALIGNMENT - 1);
    place->end = (damage->offset + damage->size + IO_ALIGNMENT - 1) & ~(uint64_t)(IO_ALIGNMENT - 1);
    int result =
        store_folder_path(place->path, repair->options->directory, place->name, repair->detail);
    if (result != 0 || place->end == place->start) {
        return result;
    }
    place->data = repair_read_place(repair, place->path, place->start, place->end);
    return 0; /* what cannot be read is left as it is */
}

static int put(struct repair *repair, struct wound *wound, struct place *place, const char *source)
{
    int result = repair_write_place(repair, place->path, place->start, place->data,
                                    place->end - place->start);
    if (result == 0) {
        wound->source = source;
    }
    return result;
}

/* Whether the SIZE bytes at CANDIDATE are the very frame that was there, and zeros around it. */
static bool is_the_frame(const struct repair *repair, const struct wound *wound,
                         const uint8_t *candidate)
{
    const struct ledger_damage *damage = &wound->damage;
    struct frame_header header;
    struct segment_entry entry;
    struct bytes payload;
    uint64_t at = 0;
    if (damage->thin) { /* of one that was thinned in the same way */
        return damage->checksum != 0 &&
               thin_decode_frame(bytes_of(candidate, damage->size), repair->identity.store_id,
                                 &header, &entry, &payload) &&
               entry.checksum == damage->checksum && entry.sequence == damage->sequence &&
               entry.at_size == damage->size;
    }
    /* Where its header was damaged, the place begins with the padding before it. */
    while (at + FRAME_HEADER_SIZE < damage->size &&
           frame_is_zero(candidate + at, FRAME_ALIGNMENT)) {
        at += FRAME_ALIGNMENT;
    }
    if (at + FRAME_HEADER_SIZE > damage->size || damage->checksum == 0 ||
        frame_decode(candidate + at, repair->identity.store_id, &header) != FRAME_GOOD ||
        header.checksum != damage->checksum || header.sequence != damage->sequence) {
        return false;
    }
    uint64_t end = at + frame_size(&header);
    return end <= damage->size && frame_check(candidate + at, &header, repair->identity.store_id) &&
           frame_is_zero(candidate + end, damage->size - end);
}

/* What the format says must be zero. */
static bool is_zeros(const struct wound *wound)
{
    return strstr(wound->what, "not zero") != NULL;
}

static int mend_frame(struct repair *repair, struct wound *wound, struct place *place)
{
    const struct ledger_damage *damage = &wound->damage;
    uint64_t inside = damage->offset - place->start;
    if (damage->size < FRAME_HEADER_SIZE) {
        return 0;
    }
    for (size_t i = 0; i < repair_source_count(repair) && wound->source == NULL; i++) {
        char path[STORE_PATH_SIZE_MAX];
        if (!repair_find_in_source(repair, repair_source_at(repair, i), place->name, path)) {
            continue;
        }
        uint8_t *candidate = repair_read_place(repair, path, place->start, place->end);
        int result = 0;
        if (candidate != NULL && is_the_frame(repair, wound, candidate + inside)) {
            memcpy(place->data + inside, candidate + inside, damage->size);
            result = put(repair, wound, place, repair_source_at(repair, i));
        }
        memory_free(candidate);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

/* The trailer repeats what the seal says, where that is found. */
static int mend_trailer(struct repair *repair, struct wound *wound, struct place *place)
{
    const struct ledger_damage *damage = &wound->damage;
    struct frame_header header;
    if (damage->seal_size < FRAME_HEADER_SIZE) {
        return 0;
    }
    uint64_t end = segment_align((uint64_t)damage->seal_offset + damage->seal_size);
    uint8_t *seal = repair_read_place(repair, place->path, damage->seal_offset, end);
    if (seal == NULL) {
        return 0;
    }
    int result = 0;
    if (frame_decode(seal, repair->identity.store_id, &header) == FRAME_GOOD &&
        header.kind == LEDGER_SEAL && frame_size(&header) == damage->seal_size &&
        frame_check(seal, &header, repair->identity.store_id)) {
        struct segment_trailer trailer = {
            .number = damage->segment,
            .seal_offset = damage->seal_offset,
            .seal_size = damage->seal_size,
            .seal_sequence = header.sequence,
            .seal_checksum = header.checksum,
        };
        segment_encode_trailer(place->data, &trailer, repair->identity.store_id);
        result = put(repair, wound, place, repair_the_format);
    }
    memory_free(seal);
    return result;
}

/* Where the frames in DATA, a thinned segment of SIZE bytes, lie; each is sound and none is
 * missing. How many they are, 0 where that is not so; *OUT_END is behind the last. */
static uint32_t find_thin_frames(const struct repair *repair, const uint8_t *data, uint64_t size,
                                 struct segment_entry *out_entries, uint64_t *out_end)
{
    uint32_t count = 0;
    uint64_t at = 0;
    bool sealed = false;
    while (!sealed && count < THIN_ENTRIES_MAX && at + FRAME_HEADER_SIZE <= size) {
        struct frame_header header;
        struct bytes payload;
        struct segment_entry *entry = &out_entries[count];
        if (!thin_decode_frame(bytes_of(data + at, size - at), repair->identity.store_id, &header,
                               entry, &payload) ||
            (count != 0 && entry->sequence != out_entries[count - 1].sequence + 1)) {
            return 0;
        }
        entry->at = (uint32_t)at;
        at = frame_align(at + entry->at_size);
        sealed = entry->kind == LEDGER_SEAL;
        count++;
    }
    *out_end = at;
    return sealed ? count : 0;
}

/* The index and the trailer of a thinned segment repeat what its frames say, where all are sound.
 */
static int mend_thin_index(struct repair *repair, struct wound *wound, struct place *place)
{
    uint64_t size = 0;
    uint64_t end = 0;
    struct segment_head head;
    if (io_file_size(repair->io, place->path, &size) != 0 || size % IO_ALIGNMENT != 0) {
        return 0;
    }
    uint8_t *data = repair_read_place(repair, place->path, 0, size);
    struct segment_entry *entries = memory_alloc(THIN_ENTRIES_MAX * sizeof(*entries));
    uint32_t count =
        data != NULL && entries != NULL ? find_thin_frames(repair, data, size, entries, &end) : 0;
    int result = 0;
    uint64_t trailer_at = segment_align(end + thin_index_size(count));
    const struct bytes first = bytes_of(data, SEGMENT_HEAD_SIZE);
    if (count != 0 && trailer_at + SEGMENT_BLOCK == size &&
        segment_decode_head(bytes_of(first.data + FRAME_HEADER_SIZE + THIN_PREFIX_SIZE, first.size),
                            &head)) {
        struct thin_trailer trailer = {
            .number = wound->damage.segment,
            .index_offset = (uint32_t)end,
            .index_size = thin_index_size(count),
            .count = count,
            .first_sequence = entries[0].sequence,
            .segment_size = head.size,
        };
        uint64_t start = end & ~(uint64_t)(IO_ALIGNMENT - 1);
        memset(data + end, 0, size - end);
        trailer.index_checksum = thin_encode_index(data + end, trailer.number, entries, count,
                                                   repair->identity.store_id);
        thin_encode_trailer(data + trailer_at, &trailer, repair->identity.store_id);
        result = repair_write_place(repair, place->path, start, data + start, size - start);
        wound->source = result == 0 ? repair_the_format : NULL;
    }
    memory_free(entries);
    memory_free(data);
    return result;
}

/* A file that is not there is taken whole where a source has it; verifying it is for the last look.
 */
static int mend_missing(struct repair *repair, struct wound *wound, struct place *place)
{
    uint8_t sum[TRANSFER_SUM_SIZE];
    char parent[STORE_PATH_SIZE_MAX];
    for (size_t i = 0; i < repair_source_count(repair) && wound->source == NULL; i++) {
        char path[STORE_PATH_SIZE_MAX];
        uint64_t size = 0;
        if (!repair_find_in_source(repair, repair_source_at(repair, i), place->name, path) ||
            io_file_size(repair->io, path, &size) != 0 || size % IO_ALIGNMENT != 0) {
            continue;
        }
        uint8_t *block = repair_read_place(repair, path, 0, IO_ALIGNMENT);
        struct frame_header header;
        struct segment_head head;
        bool ours =
            block != NULL &&
            frame_decode(block, repair->identity.store_id, &header) == FRAME_GOOD &&
            frame_check(block, &header, repair->identity.store_id) &&
            segment_decode_head(bytes_of(block + FRAME_HEADER_SIZE, header.length), &head) &&
            head.number == wound->damage.segment && head.size == size;
        memory_free(block);
        if (!ours) {
            continue;
        }
        int result =
            transfer_copy(repair->io, path, place->path, size, 0, NULL, NULL, sum, repair->detail);
        if (result == 0) {
            result = store_folder_path(parent, repair->options->directory, STORE_FOLDER_LEDGER,
                                       repair->detail);
        }
        result = result == 0 ? store_folder_sync(repair->io, parent, repair->detail) : result;
        if (result != 0) {
            return result;
        }
        wound->source = repair_source_at(repair, i);
    }
    return 0;
}

static int mend(struct repair *repair, struct wound *wound)
{
    struct place place = {.data = NULL};
    const struct ledger_damage *damage = &wound->damage;
    if (strcmp(wound->what, "frames are missing") == 0 ||
        strcmp(wound->what, "chain is broken") == 0) {
        return 0; /* said of what lies around a place that is told itself, or not to be mended */
    }
    if (damage->packed) {
        return repair_packed_mend(repair, wound);
    }
    bool is_index = strcmp(wound->what, "trailer") == 0 || strcmp(wound->what, "footer") == 0;
    int result = open_place(repair, wound, &place);
    if (result == 0 && damage->thin && is_index) {
        result = mend_thin_index(repair, wound, &place);
    } else if (result == 0 && place.data != NULL && is_zeros(wound)) {
        memset(place.data + (damage->offset - place.start), 0, damage->size);
        result = put(repair, wound, &place, repair_the_format);
    } else if (result == 0 && place.data != NULL && strcmp(wound->what, "trailer") == 0) {
        result = mend_trailer(repair, wound, &place);
    } else if (result == 0 && place.data != NULL) {
        result = mend_frame(repair, wound, &place);
    }
    memory_free(place.data);
    return result;
}

/* ---- finding ---- */

static void note_wound(void *context, const struct ledger_damage *damage)
{
    struct repair *repair = context;
    if (repair->count == repair->capacity) {
        size_t capacity = repair->capacity == 0 ? 16 : 2 * repair->capacity;
        void *wounds = memory_resize(repair->wounds, capacity * sizeof(*repair->wounds));
        if (wounds == NULL) {
            repair->result = STOA_ENOMEM;
            return;
        }
        repair->wounds = wounds;
        repair->capacity = capacity;
    }
    struct wound *wound = &repair->wounds[repair->count++];
    *wound = (struct wound){.damage = *damage};
    (void)snprintf(wound->what, sizeof(wound->what), "%s", damage->what);
    wound->damage.what = NULL; /* the copy is used */
    wound->damage.file = NULL;
}

static void note_damage(void *context, const struct stoa_damage *damage)
{
    struct repair *repair = context;
    repair->tables_damaged = repair->tables_damaged || strncmp(damage->file, "tables", 6) == 0;
}

static int open_store(struct repair *repair, struct store **out_store)
{
    struct store_options options = repair->options->store;
    options.io = repair->io;
    options.directory = repair->options->directory;
    return store_open(&options, out_store, repair->detail);
}

/* Open the store, which mends what it can by itself, and look at every byte of its ledger. */
static int look(struct repair *repair)
{
    struct store *store = NULL;
    struct ledger_verify_report verified;
    int result = open_store(repair, &store);
    if (result != 0) {
        return result;
    }
    result =
        ledger_verify(store_ledger(store), note_wound, NULL, repair, &verified, repair->detail);
    result = result == STOA_ECORRUPT ? 0 : result;
    result = result == 0 ? repair->result : result;
    int closed = store_close(store, result == 0 ? repair->detail : NULL);
    return result == 0 ? closed : result;
}

/* The store's own identity, or that of a source whose ledger is the same store's. */
static int mend_identity(struct repair *repair)
{
    char path[STORE_PATH_SIZE_MAX];
    char from[STORE_PATH_SIZE_MAX];
    char segment[STORE_PATH_SIZE_MAX];
    int result =
        store_folder_path(path, repair->options->directory, STORE_FILE_IDENTITY, repair->detail);
    if (result == 0) {
        result = identity_read(repair->io, path, &repair->identity, repair->detail);
    }
    if (result != STOA_ECORRUPT && result != STOA_ENOTFOUND) {
        return result;
    }
    for (size_t i = 0; i < repair_source_count(repair); i++) {
        struct identity identity;
        struct frame_header header;
        if (!repair_find_in_source(repair, repair_source_at(repair, i), STORE_FILE_IDENTITY,
                                   from) ||
            identity_read(repair->io, from, &identity, NULL) != 0 ||
            store_folder_path(segment, repair->options->directory,
                              STORE_FOLDER_LEDGER "/00000001.seg", NULL) != 0) {
            continue;
        }
        uint8_t *block = repair_read_place(repair, segment, 0, IO_ALIGNMENT);
        bool same = block != NULL && frame_decode(block, identity.store_id, &header) == FRAME_GOOD;
        memory_free(block);
        if (!same) {
            continue;
        }
        uint8_t encoded[IDENTITY_SIZE];
        identity_encode(&identity, encoded);
        repair->identity = identity;
        repair->report.damages++;
        repair->report.mended++;
        if (repair->options->damage != NULL) {
            struct repair_damage damage = {.file = STORE_FILE_IDENTITY,
                                           .size = IDENTITY_SIZE,
                                           .what = "damaged",
                                           .source = repair_source_at(repair, i)};
            repair->options->damage(repair->options->context, &damage);
        }
        return transfer_write(repair->io, repair->options->directory, path,
                              bytes_of(encoded, sizeof(encoded)), repair->detail);
    }
    return result;
}

/* Segments that are not there keep the ledger from opening: they are looked for first. */
static int mend_files(struct repair *repair)
{
    struct backup_numbers numbers;
    int result =
        backup_segments_list(repair->io, repair->options->directory, &numbers, repair->detail);
    if (result != 0) {
        return result;
    }
    uint64_t expected = 1;
    for (size_t i = 0; i < numbers.count && result == 0; i++) {
        for (; expected < numbers.items[i] && result == 0; expected++) {
            struct ledger_damage damage = {.segment = (uint32_t)expected,
                                           .what = "segment file is missing"};
            struct place place = {.data = NULL};
            note_wound(repair, &damage);
            result = repair->result;
            struct wound *wound = result == 0 ? &repair->wounds[repair->count - 1] : NULL;
            if (wound != NULL && open_place(repair, wound, &place) == 0) {
                result = mend_missing(repair, wound, &place);
            }
        }
        expected = numbers.items[i] + 1;
    }
    backup_numbers_deinit(&numbers);
    return result;
}

static int forget_tables(struct repair *repair)
{
    char path[STORE_PATH_SIZE_MAX];
    repair->report.rebuilt_tables = true;
    if (repair->options->store.memory_tables != NULL) {
        return 0; /* simulated ones have no files, and outlive damage */
    }
    int result =
        store_folder_path(path, repair->options->directory, STORE_FOLDER_TABLES, repair->detail);
    return result == 0 ? store_folder_empty(repair->io, path, repair->detail) : result;
}

/* ---- all of it ---- */

/* Everything once more; tables that are damaged are made anew by that. */
static int look_again(struct repair *repair)
{
    struct stoa_verify_report verified;
    struct store *store = NULL;
    int result = 0;
    for (unsigned i = 0; i < 2; i++) {
        repair->tables_damaged = false;
        result = open_store(repair, &store);
        if (result != 0) {
            return result;
        }
        result = store_verify(store, false, note_damage, repair, &verified, repair->detail);
        repair->report.left = verified.damages;
        int closed = store_close(store, NULL);
        if ((result == 0 || result == STOA_ECORRUPT) && closed == 0 && repair->tables_damaged &&
            !repair->report.rebuilt_tables) {
            result = forget_tables(repair);
            if (result == 0) {
                continue;
            }
        }
        return result == 0 ? closed : result;
    }
    return result;
}

static void tell_wounds(struct repair *repair)
{
    char name[64];
    for (size_t i = 0; i < repair->count; i++) {
        const struct wound *wound = &repair->wounds[i];
        const struct ledger_damage *found = &wound->damage;
        const bool packed = found->packed;
        if (packed) {
            repair_packed_name(found->segment, name);
        } else {
            repair_segment_name(found->segment, found->thin, name);
        }
        struct repair_damage damage = {
            .file = packed ? name : name + strlen(STORE_FOLDER_LEDGER "/"),
            .offset = wound->damage.offset,
            .size = wound->damage.size,
            .height = wound->damage.height,
            .has_height = wound->damage.has_height,
            .what = wound->what,
            .source = wound->source,
        };
        repair->report.damages++;
        repair->report.mended += wound->source != NULL ? 1 : 0;
        if (repair->options->damage != NULL) {
            repair->options->damage(repair->options->context, &damage);
        }
    }
}

static int run(struct repair *repair)
{
    int result =
        snapshot_list(repair->io, repair->options->directory, note_own, repair, repair->detail);
    if (result == 0) {
        result = mend_identity(repair);
    }
    if (result == 0) {
        result = mend_files(repair);
    }
    size_t missing = repair->count;
    if (result == 0) {
        result = look(repair);
    }
    for (size_t i = missing; i < repair->count && result == 0; i++) {
        result = mend(repair, &repair->wounds[i]);
    }
    tell_wounds(repair);
    /* What was replayed without a frame that is there now is not what the ledger says. */
    if (result == 0 && repair->report.mended > 0) {
        result = forget_tables(repair);
    }
    return result == 0 ? look_again(repair) : result;
}

int repair_run(const struct repair_options *options, struct repair_report *out_report,
               struct error_detail *detail)
{
    struct repair repair = {.options = options, .io = options->io, .detail = detail};
    int result = run(&repair);
    memory_free(repair.wounds);
    memory_free(repair.own);
    *out_report = repair.report;
    return result;
}
