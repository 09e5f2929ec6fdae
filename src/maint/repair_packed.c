/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mending packed segments (ledger/arc.h). What is there twice comes from its other copy; a group
 * from the packed segment of a source that has the same bytes there, or packed anew from the bytes
 * that a source has of the file it stands for. Where neither copy of a part is sound, or a group
 * cannot be packed to what it was, the whole segment is taken from a source, in whatever form that
 * has it. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/arc_load.h"
#include "maint/repair_private.h"

/* A packed file that is open. */
struct packed {
    struct io *io;
    int file; /* -1: it is not */
    struct arc_map *map;
};

static void close_packed(struct packed *packed)
{
    if (packed->file >= 0) {
        struct io_request close = {.op = IO_CLOSE, .file = packed->file};
        (void)io_wait(packed->io, &close); /* it was only read */
    }
    arc_map_destroy(packed->map);
    *packed = (struct packed){.file = -1};
}

static void note_loaded(struct arc_load *load)
{
    bool *done = load->context;
    *done = true;
}

/* STOA_ECORRUPT: neither copy of a part is sound. */
static int open_packed(const struct repair *repair, const char *path, uint32_t number,
                       struct packed *out_packed)
{
    struct packed packed = {.io = repair->io, .file = -1};
    struct io_request open = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_DIRECT};
    uint64_t size = 0;
    bool done = false;
    int result = io_file_size(repair->io, path, &size);
    int64_t file = result == 0 ? io_wait(repair->io, &open) : result;
    *out_packed = packed;
    if (file < 0) {
        return (int)file;
    }
    if (size % SEGMENT_BLOCK != 0 || size < 2 * SEGMENT_BLOCK) {
        packed.file = (int)file;
        close_packed(&packed);
        return STOA_ECORRUPT;
    }
    struct arc_load load = {.io = repair->io,
                            .file = (int)file,
                            .number = number,
                            .file_size = size,
                            .store_id = repair->identity.store_id,
                            .done = note_loaded,
                            .context = &done};
    arc_load_start(&load);
    while (!done && result >= 0) {
        result = io_run(repair->io, 1000000000);
    }
    packed.file = (int)file;
    packed.map = done && load.result == 0 ? load.map : NULL;
    result = result < 0 ? result : load.result;
    if (result < 0) {
        if (!done) {
            arc_load_drop(&load);
        }
        close_packed(&packed);
        return result;
    }
    *out_packed = packed;
    return 0;
}

/* ---- what is there twice ---- */

/* SIZE bytes at OFFSET, and zeros behind them to the end of their block, in PLACE of the store. */
static int put_part(struct repair *repair, struct wound *wound, const char *path, uint64_t offset,
                    struct bytes part)
{
    uint64_t start = offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
    uint64_t end = segment_align(offset + part.size);
    uint8_t *data = repair_read_place(repair, path, start, end);
    if (data == NULL) {
        return 0; /* what cannot be read is left as it is */
    }
    if (part.size != 0) {
        memcpy(data + (offset - start), part.data, part.size);
    }
    memset(data + (offset - start) + part.size, 0, end - offset - part.size);
    int result = repair_write_place(repair, path, start, data, end - start);
    wound->source = result == 0 ? repair_the_format : NULL;
    memory_free(data);
    return result;
}

static int mend_dictionary(struct repair *repair, struct wound *wound, const char *path,
                           const struct packed *own)
{
    const struct arc_header *header = &own->map->header;
    int result = 0;
    for (unsigned i = 0; i < 2 && result == 0 && wound->source == NULL; i++) {
        uint64_t offset = header->dictionary_offsets[i];
        uint8_t *data = repair_read_place(repair, path, offset,
                                          offset + segment_align(header->dictionary_size));
        struct bytes part = bytes_of(data, header->dictionary_size);
        if (data != NULL && arc_sum(part, repair->identity.store_id) == header->dictionary_sum) {
            result = put_part(repair, wound, path, wound->damage.offset, part);
        }
        memory_free(data);
    }
    return result;
}

static int mend_index(struct repair *repair, struct wound *wound, const char *path,
                      const struct packed *own)
{
    const struct arc_header *header = &own->map->header;
    uint32_t size = arc_index_size(header->group_count);
    uint8_t *index = memory_alloc(size);
    if (index == NULL) {
        return error_set(repair->detail, STOA_ENOMEM, "mend %s: no memory", path);
    }
    (void)arc_encode_index(index, header->number, own->map->groups, header->group_count,
                           repair->identity.store_id); /* the sum is in the header */
    int result = put_part(repair, wound, path, wound->damage.offset, bytes_of(index, size));
    memory_free(index);
    return result;
}

static int mend_header(struct repair *repair, struct wound *wound, const char *path,
                       const struct packed *own)
{
    uint8_t block[SEGMENT_BLOCK];
    arc_encode_header(block, &own->map->header, repair->identity.store_id);
    return put_part(repair, wound, path, wound->damage.offset, bytes_of(block, sizeof(block)));
}

/* ---- groups ---- */

static const struct arc_group *group_at(const struct packed *own, uint64_t offset)
{
    const struct arc_map *map = own->map;
    for (uint32_t i = 0; i < map->header.group_count; i++) {
        if (map->groups[i].offset == offset) {
            return &map->groups[i];
        }
    }
    return NULL;
}

/* The SIZE bytes at OFFSET of PATH, where they have SUM; to be freed. NULL: they have not. */
static uint8_t *read_summed(const struct repair *repair, const char *path, uint64_t offset,
                            uint64_t size, uint64_t sum)
{
    uint64_t start = offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
    uint8_t *data = repair_read_place(repair, path, start, segment_align(offset + size));
    if (data == NULL) {
        return NULL;
    }
    memmove(data, data + (offset - start), size);
    if (arc_sum(bytes_of(data, size), repair->identity.store_id) != sum) {
        memory_free(data);
        return NULL;
    }
    return data;
}

static int put_group(struct repair *repair, struct wound *wound, const char *path,
                     const struct arc_group *group, const uint8_t *bytes, const char *source)
{
    uint64_t start = group->offset & ~(uint32_t)(SEGMENT_BLOCK - 1);
    uint64_t end = segment_align((uint64_t)group->offset + group->size);
    uint8_t *data = repair_read_place(repair, path, start, end);
    if (data == NULL) {
        return 0; /* likewise */
    }
    memcpy(data + (group->offset - start), bytes, group->size);
    int result = repair_write_place(repair, path, start, data, end - start);
    wound->source = result == 0 ? source : NULL;
    memory_free(data);
    return result;
}

/* Pack the group's ORIGINAL as it was packed. */
static int pack_again(struct repair *repair, struct wound *wound, const char *path,
                      const struct packed *own, const struct arc_group *group,
                      const uint8_t *original, const char *source)
{
    const struct arc_header *header = &own->map->header;
    struct arc_packer *packer = NULL;
    struct arc_group made = {.at = group->at};
    uint8_t *dictionary = NULL;
    for (unsigned i = 0; i < 2 && dictionary == NULL && header->dictionary_size != 0; i++) {
        dictionary = read_summed(repair, path, header->dictionary_offsets[i],
                                 header->dictionary_size, header->dictionary_sum);
    }
    uint8_t *packed = memory_alloc(arc_pack_bound(group->at_size));
    int result = packed == NULL ? STOA_ENOMEM : 0;
    if (result == 0) {
        result = arc_packer_create(
            bytes_of(dictionary, dictionary == NULL ? 0 : header->dictionary_size), &packer);
    }
    if (result == 0) {
        result = arc_pack(packer, bytes_of(original, group->at_size), repair->identity.store_id,
                          packed, &made);
    }
    if (result == 0 && made.size == group->size && made.sum == group->sum) {
        result = put_group(repair, wound, path, group, packed, source);
    } else if (result == STOA_ENOMEM) {
        (void)error_set(repair->detail, result, "mend %s: no memory", path); /* returned below */
    }
    arc_packer_destroy(packer);
    memory_free(dictionary);
    memory_free(packed);
    return result;
}

/* SOURCE's bytes of the file that the packed one stands for. */
static int mend_from_live(struct repair *repair, struct wound *wound, const char *path,
                          const struct packed *own, const struct arc_group *group,
                          const char *source)
{
    char name[64];
    char from[STORE_PATH_SIZE_MAX];
    uint64_t size = 0;
    repair_segment_name(wound->damage.segment, own->map->header.thin, name);
    if (!repair_find_in_source(repair, source, name, from) ||
        io_file_size(repair->io, from, &size) != 0 || size != own->map->header.segment_size) {
        return 0;
    }
    uint8_t *original = read_summed(repair, from, group->at, group->at_size, group->at_sum);
    if (original == NULL) {
        return 0;
    }
    int result = pack_again(repair, wound, path, own, group, original, source);
    memory_free(original);
    return result;
}

static int mend_group(struct repair *repair, struct wound *wound, const char *path,
                      const struct packed *own)
{
    const struct arc_group *group = group_at(own, wound->damage.offset);
    char name[64];
    char from[STORE_PATH_SIZE_MAX];
    int result = 0;
    if (group == NULL) {
        return 0;
    }
    uint8_t *now = read_summed(repair, path, group->offset, group->size, group->sum);
    if (now != NULL) { /* another frame of it was mended with this one */
        memory_free(now);
        wound->source = repair_source_of(repair, wound);
        return 0;
    }
    repair_packed_name(wound->damage.segment, name);
    for (size_t i = 0; i < repair_source_count(repair) && result == 0 && wound->source == NULL;
         i++) {
        const char *source = repair_source_at(repair, i);
        uint8_t *bytes = repair_find_in_source(repair, source, name, from)
                             ? read_summed(repair, from, group->offset, group->size, group->sum)
                             : NULL;
        if (bytes != NULL) {
            result = put_group(repair, wound, path, group, bytes, source);
            memory_free(bytes);
        } else {
            result = mend_from_live(repair, wound, path, own, group, source);
        }
    }
    return result;
}

/* ---- all of it ---- */

/* The packed file of a source takes the place of the store's, where it can be opened. */
static int take_whole(struct repair *repair, struct wound *wound, const char *path)
{
    uint8_t sum[TRANSFER_SUM_SIZE];
    char name[64];
    char from[STORE_PATH_SIZE_MAX];
    int result = 0;
    repair_packed_name(wound->damage.segment, name);
    for (size_t i = 0; i < repair_source_count(repair) && result == 0 && wound->source == NULL;
         i++) {
        struct packed packed;
        uint64_t size = 0;
        if (!repair_find_in_source(repair, repair_source_at(repair, i), name, from) ||
            open_packed(repair, from, wound->damage.segment, &packed) != 0) {
            continue;
        }
        size = packed.map->header.file_size;
        close_packed(&packed);
        result = transfer_copy(repair->io, from, path, size, 0, NULL, NULL, sum, repair->detail);
        wound->source = result == 0 ? repair_source_at(repair, i) : NULL;
    }
    return result;
}

int repair_packed_mend(struct repair *repair, struct wound *wound)
{
    static const struct {
        const char *what;
        int (*mend)(struct repair *repair, struct wound *wound, const char *path,
                    const struct packed *own);
    } parts[] = {{"packed header", mend_header},
                 {"dictionary", mend_dictionary},
                 {"packed index", mend_index}};
    char name[64];
    char path[STORE_PATH_SIZE_MAX];
    struct packed own;
    repair_packed_name(wound->damage.segment, name);
    int result = store_folder_path(path, repair->options->directory, name, repair->detail);
    if (result != 0) {
        return result;
    }
    result = open_packed(repair, path, wound->damage.segment, &own);
    if (result != 0) {
        return result == STOA_ECLOSED || result == STOA_ENOMEM
                   ? error_set(repair->detail, result, "mend %s", path)
                   : take_whole(repair, wound, path);
    }
    bool is_part = false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(wound->what, parts[i].what) == 0) {
            is_part = true;
            result = parts[i].mend(repair, wound, path, &own);
        }
    }
    if (!is_part && strcmp(wound->what, "padding is not zero") == 0 &&
        group_at(&own, wound->damage.offset) == NULL) {
        is_part = true;
        result = put_part(repair, wound, path, wound->damage.offset, bytes_of(NULL, 0));
    }
    if (!is_part) {
        result = mend_group(repair, wound, path, &own);
    }
    close_packed(&own);
    return result;
}
