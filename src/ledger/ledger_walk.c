/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What frames a segment holds: read from its seal, or found by walking the file from its start.
 *
 * The walk trusts a header whose CRC is right: its length leads to the next frame even where the
 * payload is damaged. Where no header is right it goes on in steps of 64 bytes until one is, so a
 * damaged header costs that frame only. A header counts only when its sequence is not below what
 * is expected, so what lies about inside a damaged payload is not taken for a frame of ours that
 * came before. The walk goes to the end of the file: whether a bad place is a torn tail or damage
 * depends on what comes after it, however far. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

struct walker {
    struct ledger *ledger;
    struct ledger_file *file;
    struct segment_reader reader;
    struct ledger_walk *walk;
    uint64_t cursor;
    uint64_t end; /* of where frames may lie */
    struct error_detail *detail;
};

static int reader_failed(struct walker *walker)
{
    const struct segment_reader *reader = &walker->reader;
    ensure(reader->result < 0);
    if (reader->os_error != 0) {
        return error_set_errno(walker->detail, reader->os_error, "read %08u.seg",
                               walker->file->number);
    }
    return error_set(walker->detail, reader->result, "read %08u.seg: %s", walker->file->number,
                     stoa_strerror(reader->result));
}

static int add_entry(struct walker *walker, const struct segment_entry *entry)
{
    struct ledger_walk *walk = walker->walk;
    if (walk->entry_count == SEGMENT_ENTRIES_MAX) {
        return error_set(walker->detail, STOA_ECORRUPT, "%08u.seg: more frames than a segment has",
                         walker->file->number);
    }
    walk->entries[walk->entry_count++] = *entry;
    return 0;
}

/* The header's sequence is above what was expected: frames between are missing. */
static int add_gap(struct walker *walker, const struct frame_header *header)
{
    struct ledger_walk *walk = walker->walk;
    uint64_t start = frame_align(walk->frame_end);
    uint64_t missing = header->sequence - walk->next_sequence;
    struct segment_entry gap = {
        .offset = (uint32_t)start,
        .size = (uint32_t)(walker->cursor - start),
        .sequence = walk->next_sequence,
        .checksum = missing == 1 ? header->previous : 0,
        .damaged = true,
        .count = missing > UINT32_MAX ? UINT32_MAX : (uint32_t)missing,
    };
    return add_entry(walker, &gap);
}

/* A head that a newer version wrote has to be refused, not taken for damage. */
static int look_into(struct walker *walker, const struct frame_header *header, struct bytes payload)
{
    struct ledger_walk *walk = walker->walk;
    if (header->kind == LEDGER_MARK) {
        bool clean = false;
        walk->last_is_mark = true;
        walk->last_is_clean_mark = segment_decode_mark(payload, &clean) && clean;
    } else if (header->kind == LEDGER_SEGMENT && walker->cursor == 0) {
        walk->has_head = segment_decode_head(payload, &walk->head);
        if (walk->has_head && walk->head.format_version > SEGMENT_FORMAT_VERSION) {
            return error_set(
                walker->detail, STOA_EVERSION, "%08u.seg: format version %u, this program knows %d",
                walker->file->number, walk->head.format_version, SEGMENT_FORMAT_VERSION);
        }
    }
    return 0;
}

/* Take the frame with HEADER at the cursor. */
static int take_frame(struct walker *walker, const struct frame_header *header)
{
    struct ledger_walk *walk = walker->walk;
    uint32_t size = frame_size(header);
    const uint8_t *frame = segment_reader_get(&walker->reader, walker->cursor, size);
    if (frame == NULL) {
        return reader_failed(walker);
    }
    bool good = frame_check(frame, header, walker->ledger->store_id);
    int result = 0;
    if (walk->next_sequence != 0 && header->sequence > walk->next_sequence) {
        result = add_gap(walker, header);
        if (result < 0) {
            return result;
        }
    }
    walk->last_is_mark = false;
    walk->last_is_clean_mark = false;
    if (good) {
        result = look_into(walker, header, bytes_of(frame + FRAME_HEADER_SIZE, header->length));
        if (result < 0) {
            return result;
        }
    }
    struct segment_entry entry = {
        .offset = (uint32_t)walker->cursor,
        .size = size,
        .sequence = header->sequence,
        .height = header->height,
        .checksum = header->checksum,
        .kind = header->kind,
        .damaged = !good,
        .count = 1,
    };
    if (header->kind == LEDGER_SEAL && good) {
        walk->has_seal = true;
        walk->seal = entry;
    } else {
        walk->has_seal = false;
        result = add_entry(walker, &entry);
        if (result < 0) {
            return result;
        }
    }
    walk->last_group = header->group;
    walk->next_sequence = header->sequence + 1;
    walk->frame_end = walker->cursor + size;
    if (walk->frame_end > walk->nonzero_end) {
        walk->nonzero_end = walk->frame_end;
    }
    walker->cursor = frame_align(walk->frame_end);
    const uint8_t *padding =
        segment_reader_get(&walker->reader, walk->frame_end, walker->cursor - walk->frame_end);
    if (padding == NULL) {
        return reader_failed(walker);
    }
    if (!frame_is_zero(padding, walker->cursor - walk->frame_end)) {
        walk->nonzero_end = walker->cursor;
    }
    return 0;
}

/* The first frame was not sound. Another store's has its id inside, and is sound with that. */
static int check_store(struct walker *walker, const uint8_t *block)
{
    struct segment_head head;
    struct frame_header header;
    struct bytes payload = bytes_of(block + FRAME_HEADER_SIZE, SEGMENT_HEAD_SIZE);
    if (!segment_decode_head(payload, &head) || head.store_id == walker->ledger->store_id ||
        frame_decode(block, head.store_id, &header) == FRAME_BAD) {
        return 0;
    }
    return error_set(walker->detail, STOA_EINVAL,
                     "%08u.seg belongs to store %016llx, not to %016llx", walker->file->number,
                     (unsigned long long)head.store_id,
                     (unsigned long long)walker->ledger->store_id);
}

/* Look at the cursor, where no frame need be; move it on. */
static int step(struct walker *walker)
{
    struct ledger_walk *walk = walker->walk;
    uint64_t left = walker->end - walker->cursor;
    bool at_block = walker->cursor % SEGMENT_BLOCK == 0 && left >= SEGMENT_BLOCK;
    uint64_t size = at_block ? SEGMENT_BLOCK : FRAME_ALIGNMENT;
    const uint8_t *at = segment_reader_get(&walker->reader, walker->cursor, size);
    if (at == NULL) {
        return reader_failed(walker);
    }
    if (at_block && frame_is_zero(at, SEGMENT_BLOCK)) {
        walker->cursor += SEGMENT_BLOCK;
        return 0;
    }
    struct frame_header header;
    enum frame_status status = frame_decode(at, walker->ledger->store_id, &header);
    if (status == FRAME_NEWER) {
        return error_set(walker->detail, STOA_EVERSION,
                         "%08u.seg: offset %llu: a frame of a newer version", walker->file->number,
                         (unsigned long long)walker->cursor);
    }
    if (status == FRAME_GOOD && header.sequence >= walk->next_sequence &&
        walker->cursor + frame_size(&header) <= walker->end) {
        return take_frame(walker, &header);
    }
    if (walker->cursor == 0 && at_block) {
        int result = check_store(walker, at);
        if (result < 0) {
            return result;
        }
    }
    if (!frame_is_zero(at, FRAME_ALIGNMENT)) {
        walk->nonzero_end = walker->cursor + FRAME_ALIGNMENT;
    }
    walker->cursor += FRAME_ALIGNMENT;
    return 0;
}

int ledger_walk(struct ledger *ledger, struct ledger_file *file, uint64_t expected, bool tolerant,
                struct ledger_walk *walk, struct error_detail *detail)
{
    struct segment_entry *entries = walk->entries;
    *walk = (struct ledger_walk){.entries = entries, .next_sequence = expected};
    struct walker walker = {
        .ledger = ledger,
        .file = file,
        .walk = walk,
        .detail = detail,
        .end = file->size - SEGMENT_BLOCK,
    };
    ensure(file->size % SEGMENT_BLOCK == 0);
    ensure(file->size >= 2 * SEGMENT_BLOCK);
    int result = ledger_files_reader(ledger, file, tolerant, &walker.reader);
    if (result < 0) {
        error_set(detail, result, "read %08u.seg: no memory", file->number);
    }
    while (result >= 0 && walker.cursor + FRAME_ALIGNMENT <= walker.end) {
        result = step(&walker);
    }
    walk->trailer_nonzero_end = walk->nonzero_end;
    if (result >= 0) {
        const uint8_t *trailer = segment_reader_get(&walker.reader, walker.end, SEGMENT_BLOCK);
        if (trailer == NULL) {
            result = reader_failed(&walker);
        } else if (!frame_is_zero(trailer, SEGMENT_BLOCK)) {
            walk->trailer_nonzero_end = file->size;
        }
    }
    segment_reader_deinit(&walker.reader);
    return result;
}

/* ---- the index of a sealed segment ---- */

static int read_unpacked(struct ledger *ledger, struct ledger_file *file, uint64_t offset,
                         uint64_t size, uint8_t *out)
{
    struct segment_reader reader;
    int result = ledger_files_reader(ledger, file, false, &reader);
    const uint8_t *data = result == 0 ? segment_reader_get(&reader, offset, size) : NULL;
    if (data != NULL) {
        memcpy(out, data, size);
    }
    result = result == 0 ? reader.result : result;
    segment_reader_deinit(&reader);
    return result;
}

int ledger_walk_read_range(struct ledger *ledger, struct ledger_file *file, uint64_t offset,
                           uint64_t size, uint8_t **out_data)
{
    uint8_t *data = memory_alloc_aligned(size, IO_ALIGNMENT);
    if (data == NULL) {
        return STOA_ENOMEM;
    }
    if (file->packed) {
        int unpacked = read_unpacked(ledger, file, offset, size, data);
        *out_data = data;
        if (unpacked < 0) {
            memory_free(data);
        }
        return unpacked;
    }
    struct io_request request = {
        .op = IO_READ, .file = file->file, .data = data, .size = size, .offset = offset};
    int64_t result = ledger_wait(ledger, &request);
    if (result < (int64_t)size) {
        memory_free(data);
        return result < 0 ? (int)result : STOA_EIO;
    }
    *out_data = data;
    return 0;
}

/* Read trailer and seal. STOA_ECORRUPT: they are damaged. */
static int load_seal(struct ledger *ledger, struct ledger_file *file, struct ledger_index *index)
{
    uint8_t *block = NULL;
    index->source = LEDGER_INDEX_BAD_TRAILER;
    int result =
        ledger_walk_read_range(ledger, file, file->size - SEGMENT_BLOCK, SEGMENT_BLOCK, &block);
    if (result < 0) {
        return result;
    }
    struct segment_trailer trailer;
    bool good = segment_decode_trailer(block, ledger->store_id, &trailer);
    memory_free(block);
    uint64_t end = file->size - SEGMENT_BLOCK;
    if (!good || trailer.number != file->number || trailer.seal_offset % SEGMENT_BLOCK != 0 ||
        trailer.seal_size < FRAME_HEADER_SIZE + SEGMENT_SEAL_HEAD_SIZE ||
        trailer.seal_offset + segment_align(trailer.seal_size) > end) {
        return STOA_ECORRUPT;
    }
    index->source = LEDGER_INDEX_BAD_SEAL;
    index->has_seal = true;
    index->seal = (struct segment_entry){
        .offset = trailer.seal_offset,
        .size = trailer.seal_size,
        .sequence = trailer.seal_sequence,
        .checksum = trailer.seal_checksum,
        .kind = LEDGER_SEAL,
        .count = 1,
    };
    uint8_t *frame = NULL;
    result = ledger_walk_read_range(ledger, file, trailer.seal_offset,
                                    segment_align(trailer.seal_size), &frame);
    if (result < 0) {
        return result;
    }
    struct frame_header header;
    good = frame_decode(frame, ledger->store_id, &header) == FRAME_GOOD &&
           frame_size(&header) == trailer.seal_size && header.kind == LEDGER_SEAL &&
           header.sequence == trailer.seal_sequence &&
           frame_check(frame, &header, ledger->store_id) &&
           segment_decode_seal(bytes_of(frame + FRAME_HEADER_SIZE, header.length), file->number,
                               trailer.seal_offset, index->entries, &index->count);
    memory_free(frame);
    if (!good) {
        return STOA_ECORRUPT;
    }
    index->source = LEDGER_INDEX_SEAL;
    return 0;
}

/* The index of a segment as it was written; FILE is held. */
static int load_index(struct ledger *ledger, struct ledger_file *file, bool tolerant,
                      struct ledger_index *index, struct error_detail *detail)
{
    int result = load_seal(ledger, file, index);
    if (result == STOA_ECORRUPT || (result == STOA_EIO && tolerant)) {
        struct ledger_walk walk = {.entries = index->entries};
        result = ledger_walk(ledger, file, 0, tolerant, &walk, detail);
        index->count = walk.entry_count;
        if (result >= 0 && walk.has_seal && index->source == LEDGER_INDEX_BAD_TRAILER) {
            index->has_seal = true;
            index->seal = walk.seal;
        }
        /* The damaged seal is not one of the frames that it names. */
        if (index->count > 0 && index->source == LEDGER_INDEX_BAD_SEAL &&
            index->entries[index->count - 1].offset == index->seal.offset) {
            index->count--;
        }
    } else if (result < 0) {
        error_set(detail, result, "read the seal of %08u.seg: %s", file->number,
                  stoa_strerror(result));
    }
    return result;
}

int ledger_index_load(struct ledger *ledger, uint32_t number, bool tolerant,
                      struct ledger_index *out_index, struct error_detail *detail)
{
    struct ledger_index index = {0};
    struct ledger_file *file = ledger_files_get(ledger, number);
    ensure(file != NULL);
    index.entries = memory_alloc(THIN_ENTRIES_MAX * sizeof(*index.entries));
    if (index.entries == NULL) {
        return error_set(detail, STOA_ENOMEM, "index of %08u.seg: no memory", number);
    }
    int result = ledger_files_hold(ledger, file, false, detail);
    if (result < 0) {
        memory_free(index.entries);
        return result;
    }
    index.file = file;
    result = file->thin ? ledger_thin_load(ledger, file, tolerant, &index, detail)
                        : load_index(ledger, file, tolerant, &index, detail);
    if (result < 0) {
        ledger_index_deinit(&index);
        return result;
    }
    *out_index = index;
    return 0;
}

void ledger_index_deinit(struct ledger_index *index)
{
    if (index->file != NULL) {
        ledger_files_drop(index->file);
    }
    memory_free(index->entries);
    *index = (struct ledger_index){0};
}

int ledger_index_first_sequence(struct ledger *ledger, uint32_t number, uint64_t *out_sequence,
                                struct error_detail *detail)
{
    struct ledger_file *file = ledger_files_get(ledger, number);
    ensure(file != NULL);
    int result = ledger_files_hold(ledger, file, false, detail);
    if (result < 0) {
        return result;
    }
    if (file->packed) {
        *out_sequence = file->arc->header.first_sequence;
        ledger_files_drop(file);
        return 0;
    }
    uint8_t *block = NULL;
    struct frame_header header;
    result = ledger_walk_read_range(ledger, file, 0, SEGMENT_BLOCK, &block);
    ledger_files_drop(file);
    bool good = result >= 0 && frame_decode(block, ledger->store_id, &header) == FRAME_GOOD;
    memory_free(block);
    if (good) {
        *out_sequence = header.sequence;
        return 0;
    }
    struct ledger_index index;
    result = ledger_index_load(ledger, number, true, &index, detail);
    if (result < 0) {
        return result;
    }
    *out_sequence = index.count > 0 ? index.entries[0].sequence : 0;
    ledger_index_deinit(&index);
    return 0;
}
