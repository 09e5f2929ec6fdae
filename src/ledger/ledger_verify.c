/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every byte of every segment: a frame by its sums and its index entry, the chain from frame to
 * frame, padding and unused space by being zero, seal and trailer by their sums. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

enum { ZERO_CHUNK = 1 << 20 };

struct verify {
    struct ledger *ledger;
    void (*damage)(void *context, const struct ledger_damage *damage);
    int (*frame)(void *context, const struct ledger_frame *frame);
    void *context;
    struct ledger_verify_report report;
    struct error_detail *detail;

    /* Of the segment looked at. */
    struct ledger_file *file;
    struct segment_reader reader;
    char name[SEGMENT_NAME_SIZE];
    const struct thin_trailer *thin; /* a thinned one; count 0: its trailer is damaged */
    uint64_t cursor;                 /* all before it was checked */
    bool chain_known;
    uint64_t chain;    /* checksum of the frame before */
    uint64_t expected; /* sequence of the next frame; 0: not known */
    uint64_t tail;     /* of the current segment when verify began */
    bool is_current;
};

static void report(struct verify *verify, uint64_t offset, uint64_t size, const char *what,
                   const struct segment_entry *entry)
{
    struct ledger_damage damage = {
        .file = verify->name,
        .segment = verify->file->number,
        .thin = verify->file->thin,
        .packed = verify->file->packed,
        .offset = offset,
        .size = size,
        .what = what,
    };
    ledger_form_place(verify->file, &damage.offset, &damage.size);
    if (entry != NULL) {
        damage.sequence = entry->sequence;
        damage.checksum = entry->count > 1 ? 0 : entry->checksum;
        damage.height = entry->height;
        damage.has_height = ledger_kind_is_store(entry->kind);
    }
    verify->report.damages++;
    if (verify->damage != NULL) {
        verify->damage(verify->context, &damage);
    }
}

/* A place of a packed file itself. */
static void report_packed(void *context, uint64_t offset, uint64_t size, const char *what)
{
    struct verify *verify = context;
    struct ledger_damage damage = {
        .file = verify->name,
        .segment = verify->file->number,
        .packed = true,
        .offset = offset,
        .size = size,
        .what = what,
    };
    verify->report.damages++;
    if (verify->damage != NULL) {
        verify->damage(verify->context, &damage);
    }
}

/* Others may use space that was free when verify began. */
static bool in_use_now(const struct verify *verify, uint64_t offset)
{
    const struct ledger_segment *segment = &verify->ledger->segment;
    if (verify->is_current) {
        return offset >= verify->tail &&
               (segment->number != verify->file->number || segment->tail > verify->tail);
    }
    return verify->tail == 0 && segment->number >= verify->file->number;
}

/* From the cursor to END all bytes must be zero. */
static int check_zeros(struct verify *verify, uint64_t end, const char *what)
{
    uint64_t first = 0;
    uint64_t last = 0;
    while (verify->cursor < end) {
        uint64_t size = end - verify->cursor < ZERO_CHUNK ? end - verify->cursor : ZERO_CHUNK;
        const uint8_t *data = segment_reader_get(&verify->reader, verify->cursor, size);
        if (data == NULL) {
            return verify->reader.result;
        }
        if (!frame_is_zero(data, size)) {
            for (uint64_t i = 0; i < size; i++) {
                if (data[i] != 0) {
                    first = last == 0 ? verify->cursor + i : first;
                    last = verify->cursor + i + 1;
                }
            }
        }
        verify->cursor += size;
    }
    if (last != 0 && !in_use_now(verify, first)) {
        report(verify, first, last - first, what, NULL);
    }
    return 0;
}

/* What the header says beyond the index: its place in the chain. */
static void check_chain(struct verify *verify, const struct segment_entry *entry,
                        const struct frame_header *header)
{
    if (verify->chain_known && verify->expected == entry->sequence &&
        header->previous != verify->chain) {
        report(verify, segment_entry_at(entry), segment_entry_size(entry), "chain is broken",
               entry);
    }
}

static void check_head(struct verify *verify, const struct segment_entry *entry,
                       const struct frame_header *header, struct bytes payload)
{
    struct segment_head head;
    if (!segment_decode_head(payload, &head) || entry->offset != 0 ||
        head.number != verify->file->number ||
        (verify->thin == NULL && head.size != verify->file->size) ||
        head.store_id != verify->ledger->store_id || head.first_sequence != entry->sequence ||
        head.previous != header->previous) {
        report(verify, segment_entry_at(entry), segment_entry_size(entry), "segment head", entry);
    }
}

static int check_frame(struct verify *verify, const struct segment_entry *entry)
{
    uint32_t at = segment_entry_at(entry);
    uint32_t size = segment_entry_size(entry);
    int result = check_zeros(verify, at, "padding is not zero");
    if (result < 0) {
        return result;
    }
    if (verify->expected != 0 && entry->sequence != verify->expected) {
        struct segment_entry missing = {.sequence = verify->expected};
        report(verify, at, 0, "frames are missing", &missing);
    }
    struct frame_header header = {0};
    struct bytes payload;
    const char *what =
        ledger_scan_check(&verify->reader, verify->ledger->store_id, entry, &header, &payload);
    if (verify->reader.result < 0) {
        return verify->reader.result;
    }
    if (what != NULL) {
        report(verify, at, size, what, entry);
    } else {
        verify->report.frames++;
        check_chain(verify, entry, &header);
        if (entry->kind == LEDGER_SEGMENT) {
            check_head(verify, entry, &header, payload);
        }
    }
    verify->chain = entry->checksum;
    verify->chain_known = entry->kind != 0 || entry->checksum != 0;
    verify->expected = entry->sequence + entry->count;
    verify->cursor = (uint64_t)at + size;
    if (what != NULL || verify->frame == NULL || !ledger_kind_is_store(entry->kind)) {
        return 0;
    }
    struct ledger_frame frame = {
        .position = {.segment = verify->file->number,
                     .offset = entry->offset,
                     .size = entry->size,
                     .sequence = entry->sequence},
        .kind = (enum ledger_kind)entry->kind,
        .height = entry->height,
        .payload = payload,
        .level = entry->level,
    };
    return verify->frame(verify->context, &frame);
}

static void report_trailer(struct verify *verify, const struct ledger_index *index, uint64_t end)
{
    struct ledger_damage damage = {
        .file = verify->name,
        .segment = verify->file->number,
        .packed = verify->file->packed,
        .offset = end,
        .size = SEGMENT_BLOCK,
        .what = "trailer",
        .seal_offset = index->has_seal ? index->seal.offset : 0,
        .seal_size = index->has_seal ? index->seal.size : 0,
    };
    ledger_form_place(verify->file, &damage.offset, &damage.size);
    verify->report.damages++;
    if (verify->damage != NULL) {
        verify->damage(verify->context, &damage);
    }
}

/* Behind the frames of a sealed segment: seal, nothing, trailer. */
static int check_seal(struct verify *verify, const struct ledger_index *index)
{
    uint64_t end = verify->file->size - SEGMENT_BLOCK;
    int result = 0;
    if (index->source == LEDGER_INDEX_BAD_TRAILER) {
        report_trailer(verify, index, end);
    }
    if (!index->has_seal) {
        /* Neither trailer nor seal tells what lies behind the last frame: all of it is damaged. */
        report(verify, verify->cursor, end - verify->cursor, "footer", NULL);
        verify->chain_known = false;
        verify->expected = 0;
        return 0;
    }
    result = check_zeros(verify, index->seal.offset, "padding is not zero");
    if (result < 0) {
        return result;
    }
    const struct segment_entry *seal = &index->seal;
    struct frame_header header = {0};
    struct bytes payload;
    const char *what =
        ledger_scan_check(&verify->reader, verify->ledger->store_id, seal, &header, &payload);
    if (verify->reader.result < 0) {
        return verify->reader.result;
    }
    if (what != NULL || index->source == LEDGER_INDEX_BAD_SEAL) {
        report(verify, seal->offset, seal->size, "footer", seal);
    } else {
        check_chain(verify, seal, &header);
    }
    verify->chain = seal->checksum;
    verify->chain_known = true;
    verify->expected = seal->sequence + 1;
    verify->cursor = (uint64_t)seal->offset + seal->size;
    return check_zeros(verify, end, "unused space is not zero");
}

/* Behind the frames of a thinned segment but the last: that one, the index, nothing, the trailer.
 */
static int check_thin_end(struct verify *verify, const struct ledger_index *index)
{
    uint64_t end = verify->file->size - SEGMENT_BLOCK;
    const struct thin_trailer *trailer = &index->trailer;
    int result = index->has_seal ? check_frame(verify, &index->seal) : 0;
    if (!index->has_seal) {
        verify->chain_known = false;
        verify->expected = 0;
    }
    if (result < 0 || index->source == LEDGER_INDEX_BAD_TRAILER) {
        report(verify, end, SEGMENT_BLOCK, "trailer", NULL);
        return result; /* where the index lies is not known */
    }
    if (index->source == LEDGER_INDEX_BAD_SEAL) {
        report(verify, trailer->index_offset, trailer->index_size, "footer", NULL);
    } else {
        result = check_zeros(verify, trailer->index_offset, "padding is not zero");
    }
    if (result == 0) {
        verify->cursor = (uint64_t)trailer->index_offset + trailer->index_size;
        result = check_zeros(verify, end, "padding is not zero");
    }
    return result;
}

/* Behind the frames of the segment in use. */
static int check_rest(struct verify *verify)
{
    uint64_t end = segment_align(verify->cursor);
    int result = check_zeros(verify, end, "padding is not zero");
    if (result < 0) {
        return result;
    }
    if (verify->cursor < verify->tail) {
        verify->cursor = verify->tail; /* a group was on its way */
    }
    return check_zeros(verify, verify->file->size, "unused space is not zero");
}

static int begin_file(struct verify *verify, struct ledger_file *file)
{
    struct ledger *ledger = verify->ledger;
    verify->file = file;
    ensure(verify->file != NULL);
    ledger_form_name(verify->file, verify->name);
    verify->cursor = 0;
    int result = ledger_files_hold(ledger, verify->file, false, verify->detail);
    if (result < 0) {
        return result;
    }
    result = ledger_files_reader(ledger, verify->file, true, &verify->reader);
    if (result < 0) {
        ledger_files_drop(verify->file);
        return error_set(verify->detail, result, "read %s: no memory", verify->name);
    }
    verify->report.segments++;
    verify->report.bytes += verify->file->disk_size;
    return 0;
}

static int end_file(struct verify *verify, int result)
{
    if (verify->reader.result < 0) {
        error_set(verify->detail, verify->reader.result, "read %s: %s", verify->name,
                  stoa_strerror(verify->reader.result));
    }
    segment_reader_deinit(&verify->reader);
    ledger_files_drop(verify->file);
    return result;
}

/* Held until end_file. */
static int begin_segment(struct verify *verify, uint32_t number, const struct ledger_index *index)
{
    struct ledger_file *file = index->file;
    int result = begin_file(verify, file != NULL ? file : ledger_files_get(verify->ledger, number));
    if (result < 0) {
        return result;
    }
    verify->thin = verify->file->thin ? &index->trailer : NULL;
    if (verify->file->packed) {
        result =
            ledger_pack_check(verify->ledger, verify->file, report_packed, verify, verify->detail);
    }
    return result < 0 ? end_file(verify, result) : 0;
}

/* The frames from *NEXT on that begin before UNTIL. */
static int check_frames(struct verify *verify, const struct ledger_index *index, uint32_t *next,
                        uint64_t until)
{
    int result = 0;
    while (*next < index->count && verify->cursor < until && result == 0) {
        result = check_frame(verify, &index->entries[(*next)++]);
    }
    return result;
}

static int check_end(struct verify *verify, const struct ledger_index *index, bool sealed)
{
    int result = verify->thin != NULL ? check_thin_end(verify, index)
                 : sealed             ? check_seal(verify, index)
                                      : check_rest(verify);
    verify->thin = NULL;
    return result;
}

static int verify_file(struct verify *verify, uint32_t number, const struct ledger_index *index,
                       bool sealed)
{
    uint32_t next = 0;
    int result = begin_segment(verify, number, index);
    if (result < 0) {
        return result;
    }
    result = check_frames(verify, index, &next, UINT64_MAX);
    if (result == 0) {
        result = check_end(verify, index, sealed);
    }
    verify->thin = NULL;
    return end_file(verify, result);
}

/* Its index; *OUT_MISSING, told: there is no such file, or it cannot be opened. */
static int load_sealed(struct verify *verify, uint32_t number, struct ledger_index *out_index,
                       bool *out_missing)
{
    verify->is_current = false;
    verify->tail = UINT64_MAX;
    struct ledger_file *file = ledger_files_get(verify->ledger, number);
    int result = ledger_index_load(verify->ledger, number, true, out_index, verify->detail);
    bool closed = file->packed && result == STOA_ECORRUPT; /* neither copy of a part is sound */
    *out_missing = result == STOA_ENOTFOUND || closed;
    if (*out_missing) {
        verify->file = file;
        ledger_form_name(file, verify->name);
        report(verify, 0, file->disk_size, closed ? file->open_what : "segment file is missing",
               NULL);
        verify->expected = 0;
        verify->chain_known = false;
        return 0;
    }
    return result;
}

static int verify_sealed(struct verify *verify, uint32_t number)
{
    struct ledger_index index;
    bool missing;
    int result = load_sealed(verify, number, &index, &missing);
    if (result < 0 || missing) {
        return result;
    }
    result = verify_file(verify, number, &index, true);
    ledger_index_deinit(&index);
    return result;
}

static int verify_spare(struct verify *verify, uint32_t number)
{
    verify->is_current = false;
    verify->tail = 0;
    int result = begin_file(verify, ledger_files_get(verify->ledger, number));
    if (result < 0) {
        return result;
    }
    result = check_zeros(verify, verify->file->size, "unused space is not zero");
    return end_file(verify, result);
}

int ledger_verify(struct ledger *ledger,
                  void (*damage)(void *context, const struct ledger_damage *damage),
                  int (*frame)(void *context, const struct ledger_frame *frame), void *context,
                  struct ledger_verify_report *out_report, struct error_detail *detail)
{
    struct verify verify = {
        .ledger = ledger,
        .damage = damage,
        .frame = frame,
        .context = context,
        .detail = detail,
        .expected = 1,
        .chain_known = true,
    };
    uint32_t last = ledger->segment.number;
    uint32_t spare_last = ledger->spare_last;
    uint64_t tail = ledger->segment.tail;
    bool sealed = ledger->segment.sealed;
    struct ledger_index current;
    int result = ledger_scan_snapshot(ledger, &current, detail);
    if (result < 0) {
        return result;
    }
    for (uint32_t number = 1; number <= spare_last && result == 0; number++) {
        if (number > last) {
            result = verify_spare(&verify, number);
        } else if (number < last || sealed) {
            result = verify_sealed(&verify, number);
        } else {
            verify.is_current = true;
            verify.tail = tail;
            result = verify_file(&verify, number, &current, false);
        }
    }
    ledger_index_deinit(&current);
    *out_report = verify.report;
    if (result == 0 && verify.report.damages > 0) {
        return error_set(detail, STOA_ECORRUPT, "%s: %llu damaged places", ledger->path,
                         (unsigned long long)verify.report.damages);
    }
    return result;
}

/* ---- piece by piece ---- */

struct ledger_verifying {
    struct verify verify;
    uint32_t number; /* of the segment it is at */
    uint32_t last;
    bool begun; /* INDEX is loaded, the file is held */
    struct ledger_index index;
    uint32_t next;   /* of its frames */
    uint64_t before; /* bytes of the segments that are done */
};

int ledger_verify_begin(struct ledger *ledger, uint32_t from,
                        void (*damage)(void *context, const struct ledger_damage *damage),
                        void *context, struct ledger_verifying **out_verifying,
                        struct error_detail *detail)
{
    struct ledger_verifying *own = memory_alloc_zeroed(1, sizeof(*own));
    ensure(ledger->foreign);
    ensure(from >= 1);
    if (own == NULL) {
        return error_set(detail, STOA_ENOMEM, "verify: no memory");
    }
    bool first = from == 1;
    own->verify = (struct verify){.ledger = ledger,
                                  .damage = damage,
                                  .context = context,
                                  .expected = first ? 1 : 0,
                                  .chain_known = first};
    own->number = from;
    own->last = ledger->segment.number;
    for (uint32_t number = 1; number < from && number <= own->last; number++) {
        own->before += ledger_files_get(ledger, number)->disk_size;
    }
    *out_verifying = own;
    return 0;
}

static int end_segment(struct ledger_verifying *own, int result)
{
    own->before += own->verify.file->disk_size;
    own->number++;
    own->next = 0;
    if (own->begun) {
        own->begun = false;
        result = end_file(&own->verify, result);
        ledger_index_deinit(&own->index);
    }
    own->verify.cursor = 0;
    return result;
}

int ledger_verify_step(struct ledger_verifying *own, uint64_t bytes, struct error_detail *detail)
{
    struct verify *verify = &own->verify;
    int result = 0;
    verify->detail = detail;
    if (own->number > own->last) {
        return 0;
    }
    if (!own->begun) {
        bool missing;
        result = load_sealed(verify, own->number, &own->index, &missing);
        if (missing) {
            return end_segment(own, result);
        }
        if (result == 0) {
            result = begin_segment(verify, own->number, &own->index);
            own->begun = result == 0;
            if (!own->begun) {
                ledger_index_deinit(&own->index);
            }
        }
        if (result < 0) {
            return result;
        }
    }
    result = check_frames(verify, &own->index, &own->next, verify->cursor + bytes);
    if (result == 0 && own->next < own->index.count) {
        return 0;
    }
    return end_segment(own, result == 0 ? check_end(verify, &own->index, true) : result);
}

uint32_t ledger_verify_number(const struct ledger_verifying *verifying)
{
    return verifying->number <= verifying->last ? verifying->number : 0;
}

uint64_t ledger_verify_bytes(const struct ledger_verifying *verifying)
{
    const struct ledger_file *file = verifying->verify.file;
    uint64_t cursor = verifying->begun ? verifying->verify.cursor : 0;
    if (cursor != 0 && file->packed) { /* of what it stands for */
        cursor = cursor * file->disk_size / file->size;
    }
    return verifying->before + cursor;
}

void ledger_verify_report(const struct ledger_verifying *verifying,
                          struct ledger_verify_report *out_report)
{
    *out_report = verifying->verify.report;
}

void ledger_verify_end(struct ledger_verifying *verifying)
{
    struct error_detail detail;
    if (verifying == NULL) {
        return;
    }
    if (verifying->begun) {
        verifying->verify.detail = &detail;
        (void)end_segment(verifying, 0); /* nobody wants to know any more */
    }
    memory_free(verifying);
}
