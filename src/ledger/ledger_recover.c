/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What opening does.
 *
 * The last segment in use is the highest whose file holds a sound header; files above it must be
 * zero, and what is not is the torn first group of a segment that was about to be used. Only the
 * lowest of them can hold such a group, so those above it are not read whole: where the first and
 * the last block of two files in a row are zero, the upper one is a spare. The last
 * segment is walked. A bad place in it (a bad frame, a stretch without headers where frames are
 * missing) is judged by its sequence S:
 *
 *      a sound header of a later group follows: a frame with group > S     damage, stays
 *      S <= proven sequence                                                damage, stays
 *      else                                                                torn tail, cut
 *
 * for a group is written only when the one before is durable. The same holds for a mark and a seal,
 * which are groups. All judgements are monotonous in S, so the cut is at the first torn place, and
 * frames of the last group that lie before it are kept: nobody was told about them, but they are
 * sound, in order, and complete up to there.
 *
 * The cut zeroes everything from the end of the last kept frame to the last byte that is not zero,
 * from back to front, then flushes. Interrupted at any instant it leaves fewer of the same bytes
 * and zeros: no header that was not there before, so the same judgement again. Only the block that
 * the last kept frame shares with the cut is rewritten, and that frame belongs to the same
 * unacknowledged group. The flush is done in any case: after a mere kill, what was read may not be
 * on stable storage yet. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

enum { CUT_CHUNK = 1 << 20 };

struct recovery {
    struct ledger *ledger;
    uint64_t proven;
    uint64_t keep; /* the last sequence that stays */
    struct ledger_recovery report;
    struct error_detail *detail;
};

static int request_failed(const struct recovery *recovery, const struct io_request *request,
                          uint32_t number, const char *what)
{
    if (request->os_error != 0) {
        return error_set_errno(recovery->detail, request->os_error, "%s %08u.seg", what, number);
    }
    return error_set(recovery->detail, (int)request->result, "%s %08u.seg: %s", what, number,
                     stoa_strerror((int)request->result));
}

/* Wait until nothing that a killed process had under way can still reach FILE: reserving blocks
 * waits for direct writes in flight, and changes nothing where they are reserved. */
static int settle_file(const struct recovery *recovery, struct ledger_file *file)
{
    struct io_request request = {.op = IO_ALLOCATE, .file = file->file, .size = file->size};
    int64_t result = ledger_wait(recovery->ledger, &request);
    /* A file system that cannot reserve, or is full, has nothing to change either. */
    return result == STOA_ECLOSED ? STOA_ECLOSED : 0;
}

static int sync_file(const struct recovery *recovery, struct ledger_file *file)
{
    struct io_request request = {.op = IO_SYNC, .file = file->file};
    if (ledger_wait(recovery->ledger, &request) < 0) {
        return request_failed(recovery, &request, file->number, "flush");
    }
    return 0;
}

/* Zero bytes START to END of FILE, the last first. START's block is read and kept up to START. */
static int zero_range(const struct recovery *recovery, struct ledger_file *file, uint64_t start,
                      uint64_t end)
{
    ensure(start <= end);
    ensure(end <= file->size);
    uint8_t *data = memory_alloc_aligned(CUT_CHUNK, IO_ALIGNMENT);
    if (data == NULL) {
        return error_set(recovery->detail, STOA_ENOMEM, "cut %08u.seg: no memory", file->number);
    }
    struct io_request request = {0};
    memset(data, 0, CUT_CHUNK);
    uint64_t first = start & ~(uint64_t)(SEGMENT_BLOCK - 1);
    uint64_t whole = segment_align(start);
    end = segment_align(end);
    while (end > whole) {
        uint64_t size = end - whole < CUT_CHUNK ? end - whole : CUT_CHUNK;
        request = (struct io_request){
            .op = IO_WRITE, .file = file->file, .data = data, .size = size, .offset = end - size};
        if (ledger_wait(recovery->ledger, &request) < 0) {
            goto fail;
        }
        end -= size;
    }
    if (first < whole) {
        request = (struct io_request){.op = IO_READ,
                                      .file = file->file,
                                      .data = data,
                                      .size = SEGMENT_BLOCK,
                                      .offset = first};
        if (ledger_wait(recovery->ledger, &request) < 0) {
            goto fail;
        }
        memset(data + (start - first), 0, SEGMENT_BLOCK - (start - first));
        request.op = IO_WRITE;

        if (ledger_wait(recovery->ledger, &request) < 0) {
            goto fail;
        }
    }
    memory_free(data);
    return 0;
fail:
    memory_free(data);
    return request_failed(recovery, &request, file->number, "cut");
}

static bool is_torn(const struct recovery *recovery, const struct ledger_walk *walk,
                    uint64_t sequence)
{
    return sequence >= walk->last_group && sequence > recovery->proven;
}

/* Entries up to the first torn place, or up to where they are to stay; frames before it are kept.
 */
static uint32_t kept_entries(const struct recovery *recovery, const struct ledger_walk *walk)
{
    for (uint32_t i = 0; i < walk->entry_count; i++) {
        const struct segment_entry *entry = &walk->entries[i];
        if (entry->sequence > recovery->keep ||
            (entry->damaged && is_torn(recovery, walk, entry->sequence))) {
            return i;
        }
    }
    return walk->entry_count;
}

/* What lies behind the last frame, though the tables prove frames there: they are damaged. */
static int add_lost_tail(struct recovery *recovery, struct ledger_walk *walk)
{
    uint64_t start = frame_align(walk->frame_end);
    uint64_t end = walk->nonzero_end > start ? walk->nonzero_end : start;
    uint64_t missing = recovery->proven - walk->next_sequence + 1;
    if (walk->entry_count == SEGMENT_ENTRIES_MAX || missing > UINT32_MAX) {
        return error_set(recovery->detail, STOA_ECORRUPT,
                         "%s: frames %llu to %llu, which the tables know, are missing",
                         recovery->ledger->path, (unsigned long long)walk->next_sequence,
                         (unsigned long long)recovery->proven);
    }
    walk->entries[walk->entry_count++] = (struct segment_entry){
        .offset = (uint32_t)start,
        .size = (uint32_t)(end - start),
        .sequence = walk->next_sequence,
        .damaged = true,
        .count = (uint32_t)missing,
    };
    walk->next_sequence = recovery->proven + 1;
    walk->frame_end = end;
    walk->last_is_mark = false;
    walk->last_is_clean_mark = false;
    return 0;
}

/* The seal is there: its trailer has to be as well, and nothing else. */
static int finish_seal(const struct recovery *recovery, struct ledger_file *file,
                       const struct ledger_walk *walk)
{
    struct ledger *ledger = recovery->ledger;
    struct segment_trailer trailer = {
        .number = file->number,
        .seal_offset = walk->seal.offset,
        .seal_size = walk->seal.size,
        .seal_sequence = walk->seal.sequence,
        .seal_checksum = walk->seal.checksum,
    };
    uint8_t *data = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    uint8_t *wanted = memory_alloc(SEGMENT_BLOCK);
    struct io_request request = {
        .op = IO_READ,
        .file = file->file,
        .data = data,
        .size = SEGMENT_BLOCK,
        .offset = file->size - SEGMENT_BLOCK,
    };
    int result = 0;
    if (data == NULL || wanted == NULL) {
        result = error_set(recovery->detail, STOA_ENOMEM, "seal %08u.seg: no memory", file->number);
    } else if (ledger_wait(ledger, &request) < 0) {
        result = request_failed(recovery, &request, file->number, "read");
    } else {
        segment_encode_trailer(wanted, &trailer, ledger->store_id);
        if (memcmp(data, wanted, SEGMENT_BLOCK) != 0) {
            memcpy(data, wanted, SEGMENT_BLOCK);
            request.op = IO_WRITE;
            if (ledger_wait(ledger, &request) < 0) {
                result = request_failed(recovery, &request, file->number, "seal");
            }
        }
    }
    memory_free(data);
    memory_free(wanted);
    return result;
}

/* The whole file is to be a spare: zero what is not, from FROM on. */
static int clear_spare(struct recovery *recovery, struct ledger_file *file,
                       const struct ledger_walk *walk)
{
    if (walk->trailer_nonzero_end == 0) {
        return 0;
    }
    recovery->report.cut_bytes += walk->trailer_nonzero_end;
    int result = zero_range(recovery, file, 0, walk->trailer_nonzero_end);
    return result < 0 ? result : sync_file(recovery, file);
}

/* Make WALK, judged, the segment that is appended to. */
static void adopt(struct recovery *recovery, struct ledger_file *file,
                  const struct ledger_walk *walk)
{
    struct ledger *ledger = recovery->ledger;
    struct ledger_segment *segment = &ledger->segment;
    ensure(walk->entry_count > 0);
    segment->number = file->number;
    segment->file = file;
    segment->size = file->size;
    segment->entry_count = walk->entry_count;
    segment->sealed = walk->has_seal;
    segment->tail = segment_align(walk->frame_end);
    const struct segment_entry *last = &walk->entries[walk->entry_count - 1];
    ledger->next_sequence = walk->next_sequence;
    ledger->chain = walk->has_seal ? walk->seal.checksum : last->checksum;
    /* Damage up to the very end leaves no room for a seal: nothing is added to such a segment. */
    uint64_t seal = segment_align(FRAME_HEADER_SIZE + segment_seal_size(walk->entry_count));
    if (segment->tail + seal + SEGMENT_BLOCK > segment->size) {
        segment->sealed = true;
    }
    ledger->proven = walk->last_is_mark || walk->has_seal;
    ledger->clean = walk->last_is_clean_mark;
    for (uint32_t i = 0; i < walk->entry_count; i++) {
        if (walk->entries[i].damaged) {
            recovery->report.damaged_frames += walk->entries[i].count;
        }
    }
}

/* Judge the walked segment, cut what is torn. *OUT_USED: something of it is kept. */
static int judge(struct recovery *recovery, struct ledger_file *file, struct ledger_walk *walk,
                 bool *out_used)
{
    uint32_t kept = kept_entries(recovery, walk);
    bool cut = kept < walk->entry_count || (walk->has_seal && walk->seal.sequence > recovery->keep);
    *out_used = kept > 0;
    if (cut) {
        recovery->report.cut_sequence =
            kept < walk->entry_count ? walk->entries[kept].sequence : walk->seal.sequence;
        walk->entry_count = kept;
        walk->has_seal = false;
        walk->last_is_mark = false;
        walk->last_is_clean_mark = false;
        if (kept == 0) {
            return clear_spare(recovery, file, walk);
        }
        const struct segment_entry *last = &walk->entries[kept - 1];
        walk->frame_end = (uint64_t)last->offset + last->size;
        walk->next_sequence = last->sequence + last->count;
        /* Whether the frame before the cut is a mark decides if its group is proven. */
        walk->last_is_mark = last->kind == LEDGER_MARK;
    } else if (recovery->proven >= walk->next_sequence) {
        int result = add_lost_tail(recovery, walk);
        if (result < 0) {
            return result;
        }
    }
    uint64_t end = walk->has_seal ? walk->nonzero_end : walk->trailer_nonzero_end;
    if (end > walk->frame_end) {
        recovery->report.cut_bytes += end - walk->frame_end;
        if (recovery->report.cut_sequence == 0) {
            recovery->report.cut_sequence = walk->next_sequence;
        }
        int result = zero_range(recovery, file, walk->frame_end, end);
        if (result < 0) {
            return result;
        }
    }
    if (walk->has_seal) {
        int result = finish_seal(recovery, file, walk);
        if (result < 0) {
            return result;
        }
    }
    return sync_file(recovery, file);
}

/* Last sequence of sealed segment NUMBER, plus one. */
static int sequence_after(struct recovery *recovery, uint32_t number, uint64_t *out_sequence)
{
    struct ledger_index index;
    int result = ledger_index_load(recovery->ledger, number, false, &index, recovery->detail);
    if (result < 0) {
        return result;
    }
    *out_sequence = 0;
    if (index.has_seal) {
        *out_sequence = index.seal.sequence + 1;
    } else if (index.count > 0) {
        const struct segment_entry *last = &index.entries[index.count - 1];
        *out_sequence = last->sequence + last->count;
    }
    ledger_index_deinit(&index);
    return 0;
}

static int walk_file(struct recovery *recovery, struct ledger_file *file, struct ledger_walk *walk)
{
    struct ledger *ledger = recovery->ledger;
    int result = ledger_files_hold(ledger, file, true, recovery->detail);
    if (result < 0) {
        return result;
    }
    result = settle_file(recovery, file);
    if (result >= 0) {
        result = ledger_walk(ledger, file, 0, false, walk, recovery->detail);
    }
    bool headless = result >= 0 && walk->entry_count > 0 && !walk->has_head;
    if (headless) { /* count from the segment before, to know what is missing */
        uint64_t expected = 1;
        if (file->number > 1) {
            result = sequence_after(recovery, file->number - 1, &expected);
        }
        if (result >= 0) {
            result = ledger_walk(ledger, file, expected, false, walk, recovery->detail);
        }
    }
    if (result >= 0 && walk->has_head && walk->head.size != file->size) {
        result = error_set(recovery->detail, STOA_ECORRUPT,
                           "%08u.seg is %llu bytes long, not %u as it was made", file->number,
                           (unsigned long long)file->size, walk->head.size);
    }
    return result;
}

/* Whether the first and the last block of segment NUMBER are zero. */
static int looks_unused(struct recovery *recovery, uint32_t number, bool *out_unused)
{
    struct ledger *ledger = recovery->ledger;
    struct ledger_file *file = ledger_files_get(ledger, number);
    if (file->thin || file->packed) {
        *out_unused = false;
        return 0;
    }
    int result = ledger_files_hold(ledger, file, true, recovery->detail);
    if (result < 0) {
        return result;
    }
    uint8_t *data = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    if (data == NULL) {
        ledger_files_drop(file);
        return error_set(recovery->detail, STOA_ENOMEM, "read %08u.seg: no memory", number);
    }
    *out_unused = true;
    const uint64_t places[] = {0, file->size - SEGMENT_BLOCK};
    for (unsigned i = 0; i < 2 && result >= 0 && *out_unused; i++) {
        struct io_request request = {
            .op = IO_READ,
            .file = file->file,
            .data = data,
            .size = SEGMENT_BLOCK,
            .offset = places[i],
        };
        if (ledger_wait(ledger, &request) < SEGMENT_BLOCK) {
            *out_unused = false; /* whoever reads it whole says why */
        } else {
            *out_unused = frame_is_zero(data, SEGMENT_BLOCK);
        }
    }
    memory_free(data);
    ledger_files_drop(file);
    return result;
}

/* The highest file that has to be read whole; those above are spares, and stay open. */
static int skip_spares(struct recovery *recovery, uint32_t *out_number)
{
    uint32_t number = recovery->ledger->file_count;
    bool unused = false;
    int result = number > 1 ? looks_unused(recovery, number, &unused) : 0;
    while (result >= 0 && number > 1 && unused) {
        result = looks_unused(recovery, number - 1, &unused);
        if (result >= 0 && unused) {
            ledger_files_get(recovery->ledger, number)->users++; /* as every spare has */
            number--;
        }
    }
    *out_number = number;
    return result;
}

/* A thinned or packed segment is the last in use, in a copy that ends with it. All of it is kept,
 * or none: it is never written to. */
static int adopt_sealed(struct recovery *recovery, struct ledger_file *file)
{
    struct ledger *ledger = recovery->ledger;
    struct ledger_segment *segment = &ledger->segment;
    struct ledger_index index;
    int result = ledger_index_load(ledger, file->number, false, &index, recovery->detail);
    if (result < 0) {
        return result;
    }
    if (!index.has_seal || recovery->keep < index.seal.sequence ||
        recovery->proven > index.seal.sequence) {
        char name[SEGMENT_NAME_SIZE];
        ledger_form_name(file, name);
        result = error_set(recovery->detail,
                           recovery->keep < index.seal.sequence ? STOA_EPRUNED : STOA_ECORRUPT,
                           "%s: the ledger cannot end inside %s", ledger->path, name);
        ledger_index_deinit(&index);
        return result;
    }
    memcpy(segment->entries, index.entries, index.count * sizeof(*index.entries));
    segment->entry_count = index.count;
    segment->number = file->number;
    segment->file = file;
    segment->size = file->size;
    segment->tail = file->size;
    segment->sealed = true;
    ledger->next_sequence = index.seal.sequence + 1;
    ledger->chain = index.seal.checksum;
    ledger->proven = true;
    ledger->clean = true;
    file->users++; /* as every segment in use has */
    ledger_index_deinit(&index);
    return 0;
}

/* From the highest file down: spares, then the last in use. */
static int find_last(struct recovery *recovery, struct ledger_walk *walk)
{
    struct ledger *ledger = recovery->ledger;
    ledger->segment.number = 0;
    uint32_t highest = 0;
    int result = skip_spares(recovery, &highest);
    if (result < 0) {
        return result;
    }
    for (uint32_t number = highest; number >= 1; number--) {
        struct ledger_file *file = ledger_files_get(ledger, number);
        if (file->thin || file->packed) {
            return adopt_sealed(recovery, file);
        }
        result = walk_file(recovery, file, walk);
        if (result < 0) {
            return result;
        }
        bool used = false;
        if (walk->entry_count > 0 || walk->has_seal) {
            result = judge(recovery, file, walk, &used);
        } else {
            result = clear_spare(recovery, file, walk);
        }
        if (result < 0) {
            return result;
        }
        if (used) {
            adopt(recovery, file, walk);
            return 0;
        }
    }
    return 0;
}

/* Zeros from START to the end of FILE, unless its blocks were written before. */
static int prewrite(const struct recovery *recovery, struct ledger_file *file, uint64_t start)
{
    if (start >= file->size ||
        io_is_written(recovery->ledger->io, file->file, start, file->size - start)) {
        return 0;
    }
    int result = zero_range(recovery, file, start, file->size);
    return result < 0 ? result : sync_file(recovery, file);
}

/* A bulk import leaves blocks that are only reserved, where each flush would cost a commit of the
 * file system's journal. Zeros over zeros: what recovery would find is the same at any instant. */
static int prewrite_all(const struct recovery *recovery)
{
    struct ledger *ledger = recovery->ledger;
    const struct ledger_segment *segment = &ledger->segment;
    int result = 0;
    if (segment->number != 0 && !segment->sealed) {
        result = prewrite(recovery, segment->file, segment->tail);
    }
    for (uint32_t number = segment->number + 1; result >= 0 && number <= ledger->spare_last;
         number++) {
        result = prewrite(recovery, ledger_files_get(ledger, number), 0);
    }
    return result;
}

int ledger_recover(struct ledger *ledger, uint64_t proven_sequence, uint64_t keep_sequence,
                   struct ledger_recovery *out_recovery, struct error_detail *detail)
{
    struct recovery recovery = {
        .ledger = ledger, .proven = proven_sequence, .keep = keep_sequence, .detail = detail};
    struct ledger_walk walk = {.entries = ledger->segment.entries};
    ledger->next_sequence = 1;
    ledger->chain = 0;
    ledger->proven = true;
    ledger->clean = true;
    int result = find_last(&recovery, &walk);
    if (result < 0) {
        return result;
    }
    if (ledger->segment.number == 0 && proven_sequence > 0) {
        return error_set(detail, STOA_ECORRUPT,
                         "%s: no frame can be read, though the tables know %llu", ledger->path,
                         (unsigned long long)proven_sequence);
    }
    ledger->spare_last = ledger->file_count;
    if (ledger->segment.sealed && !ledger_spare_is_ready(ledger)) {
        return error_set(detail, STOA_ECORRUPT,
                         "%s: segment file %08u.seg is missing: the one before is sealed",
                         ledger->path, ledger->segment.number + 1);
    }
    if (ledger->prepare == LEDGER_PREWRITE) {
        result = prewrite_all(&recovery);
        if (result < 0) {
            return result;
        }
    }
    ledger->durable_sequence = ledger->next_sequence - 1;
    recovery.report.last_sequence = ledger->durable_sequence;
    recovery.report.clean = ledger->clean && recovery.report.cut_bytes == 0;
    *out_recovery = recovery.report;
    return 0;
}
