/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: a segment file in one of its forms, which becomes the first of a ledger on a simulated
 * disk. That is opened, and where it opens, scanned, verified, read and appended to. It never ends
 * but with what ledger.h says; a frame that a scan gives for good is the same where it is read
 * alone; where verify finds nothing, neither does a scan; what was appended is there after another
 * opening.
 *
 * The first byte says which form, and whether sums are left as they are; else those of all frames
 * and of trailer or headers are made right, so that what opens is as wrong as its contents. The
 * second byte says how many blocks of 4096 bytes the file has, where its form leaves that open.
 * Extents follow: place (u16, in units of 64 bytes), size (u16), bytes; all else is zero. */
#include "base/ensure.h"
#include "base/memory.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_seal.h"
#include "io/io_sim.h"
#include "ledger/arc.h"
#include "ledger/ledger.h"
#include "ledger/thin.h"

/* SEALED: opened for reading alone. UNCHAINED: frames keep what they say of the one before. */
enum { FORM_SEGMENT, FORM_THIN, FORM_ARC, FORMS, FORM_MASK = 3, SEALED = 4, UNCHAINED = 8 };
enum {
    NUMBER = 1,
    FILE_SIZE = LEDGER_SEGMENT_SIZE_MIN, /* of a segment as it was written; the largest */
    BLOCKS_MIN = 2,
    EXTENT_HEAD = 4,
    FRAMES_MAX = 64, /* a scan is ended by then */
    READS_MAX = 8,
    SCAN_ENDED = 77,
    STEP_BYTES = 1 << 14,
    OFFSET_CHECKSUM = 40,
    OFFSET_PREVIOUS = 32,
    TRAILER_SUM = 40,
    TRAILER_FRAME_SUM = 32, /* of the seal */
    THIN_TRAILER_SUM = 48,
    THIN_TRAILER_FRAME_SUM = 40, /* of the index */
    ARC_HEADER_SUM = 112,
    WAIT_NS = 1000000000,
};

static const uint8_t frame_magic[4] = {'S', 'T', 'F', 'R'};
static const char folder[] = "/ledger";
static const char archive[] = "/archive";

/* A file, all of which is zero between two inputs. */
static uint8_t image[FILE_SIZE];

struct trial {
    unsigned form;
    unsigned flags; /* SEALED, UNCHAINED */
    size_t size;    /* of the file */
    struct io_disk *disk;
    struct io *io;
    struct ledger *ledger;
    struct ledger_options options;

    /* Of a scan. */
    unsigned frame_count;
    unsigned damaged_count;
    uint64_t sequence;                           /* of the last frame */
    bool whole;                                  /* the scan came to its end */
    struct ledger_position positions[READS_MAX]; /* of good frames */
    uint64_t sums[READS_MAX];
    unsigned position_count;
    unsigned damage_count; /* that verify told */
};

/* ---- the file ---- */

static size_t lay_out(struct bytes input)
{
    size_t end = 0;
    while (input.size >= EXTENT_HEAD) {
        size_t place = (size_t)bytes_load_le16(input.data) * FRAME_ALIGNMENT;
        size_t size = bytes_load_le16(input.data + 2);
        input = bytes_of(input.data + EXTENT_HEAD, input.size - EXTENT_HEAD);
        size = size < input.size ? size : input.size;
        if (place < FILE_SIZE && size != 0) {
            size_t fits = size < FILE_SIZE - place ? size : FILE_SIZE - place;
            memcpy(image + place, input.data, fits);
            end = place + fits > end ? place + fits : end;
        }
        input = bytes_of(input.data + size, input.size - size);
    }
    return end;
}

/* The entries of a seal from FROM on get the sums of the frames that they name. */
static void seal_entries(uint8_t *from, const uint8_t *end, const struct trial *trial)
{
    for (; from + SEGMENT_ENTRY_SIZE <= end; from += SEGMENT_ENTRY_SIZE) {
        uint32_t offset = bytes_load_le32(from);
        if (offset <= trial->size - FRAME_HEADER_SIZE && offset % FRAME_ALIGNMENT == 0) {
            bytes_store_le64(from + 24, bytes_load_le64(image + offset + OFFSET_CHECKSUM));
        }
    }
}

/* Frames up to USED, each with the sum of the one before it. Returns the last one's. */
static uint64_t seal_frames(const struct trial *trial, size_t used)
{
    uint64_t last = 0;
    size_t end = trial->size - SEGMENT_BLOCK;
    for (size_t at = 0; at < used && at + FRAME_HEADER_SIZE <= end; at += FRAME_ALIGNMENT) {
        uint8_t *frame = image + at;
        if (memcmp(frame, frame_magic, sizeof(frame_magic)) != 0) {
            continue;
        }
        size_t rest = end - at - FRAME_HEADER_SIZE;
        size_t length = bytes_load_le32(frame + 8);
        length = length < rest ? length : rest;
        uint8_t *payload = frame + FRAME_HEADER_SIZE;
        if ((trial->flags & UNCHAINED) == 0 && frame[5] != LEDGER_THIN &&
            frame[5] != LEDGER_THIN_INDEX) {
            bytes_store_le64(frame + OFFSET_PREVIOUS, last);
        }
        if (frame[5] == LEDGER_SEAL && length >= SEGMENT_SEAL_HEAD_SIZE) {
            seal_entries(payload + SEGMENT_SEAL_HEAD_SIZE, payload + length, trial);
        }
        fuzz_seal_frame(frame, length);
        last = bytes_load_le64(frame + OFFSET_CHECKSUM);
        at = (size_t)frame_align(at + length);
    }
    return last;
}

static void seal_arc(const struct trial *trial)
{
    uint8_t *header = image;
    size_t size = trial->size;
    uint32_t dictionary = bytes_load_le32(header + 28);
    uint32_t dictionary_size = bytes_load_le32(header + 24);
    uint32_t index = bytes_load_le32(header + 48);
    uint64_t count = bytes_load_le32(header + 36);
    uint64_t index_size = ARC_INDEX_HEAD_SIZE + count * ARC_ENTRY_SIZE;
    if (dictionary < size && dictionary_size <= size - dictionary) {
        bytes_store_le64(header + 40,
                         arc_sum(bytes_of(image + dictionary, dictionary_size), FUZZ_SEAL_STORE));
    }
    if (index < size && index_size <= size - index) {
        for (uint64_t i = 0; i < count; i++) {
            uint8_t *entry = image + index + ARC_INDEX_HEAD_SIZE + i * ARC_ENTRY_SIZE;
            uint32_t at = bytes_load_le32(entry);
            uint32_t at_size = bytes_load_le32(entry + 4);
            if (at < size && at_size <= size - at) {
                bytes_store_le64(entry + 24,
                                 arc_sum(bytes_of(image + at, at_size), FUZZ_SEAL_STORE));
            }
        }
        bytes_store_le64(header + 56,
                         arc_sum(bytes_of(image + index, index_size), FUZZ_SEAL_STORE));
    }
    fuzz_seal_block(header, ARC_HEADER_SUM);
    fuzz_seal_block(image + size - SEGMENT_BLOCK, ARC_HEADER_SUM);
}

static void seal(const struct trial *trial, size_t used)
{
    uint8_t *trailer = image + trial->size - SEGMENT_BLOCK;
    if (trial->form == FORM_ARC) {
        seal_arc(trial);
        return;
    }
    uint64_t last = seal_frames(trial, used);
    bool thin = trial->form == FORM_THIN;
    if (bytes_load_le32(trailer) != 0) {
        bytes_store_le64(trailer + (thin ? THIN_TRAILER_FRAME_SUM : TRAILER_FRAME_SUM), last);
        fuzz_seal_block(trailer, thin ? THIN_TRAILER_SUM : TRAILER_SUM);
    }
}

/* ---- the disk ---- */

static int64_t request(struct trial *trial, struct io_request *request)
{
    int64_t result = io_wait(trial->io, request);
    ensure(result >= 0);
    return result;
}

/* A file of SIZE bytes with those of the image up to USED. */
static void put_file(struct trial *trial, const char *path, size_t size, size_t used)
{
    struct io_request ask = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_WRITE | IO_OPEN_CREATE};
    int file = (int)request(trial, &ask);
    ask = (struct io_request){.op = IO_ALLOCATE, .file = file, .size = size};
    (void)request(trial, &ask); /* it is 0 */
    for (size_t at = 0; at < used && at < size; at += SEGMENT_BLOCK) {
        if (!frame_is_zero(image + at, SEGMENT_BLOCK)) {
            ask = (struct io_request){.op = IO_WRITE,
                                      .file = file,
                                      .data = image + at,
                                      .size = SEGMENT_BLOCK,
                                      .offset = at};
            (void)request(trial, &ask); /* it is the size */
        }
    }
    ask = (struct io_request){.op = IO_CLOSE, .file = file};
    (void)request(trial, &ask); /* it is 0 */
}

static void begin(struct trial *trial, size_t used)
{
    static const struct io_sim_options sim = {.seed = 1};
    static const char *const paths[FORMS] = {"/ledger/00000001.seg", "/ledger/00000001.thin",
                                             "/archive/00000001.arc"};
    trial->disk = io_disk_create(1);
    ensure(trial->disk != NULL);
    int result = io_sim_create(trial->disk, &sim, &trial->io);
    ensure(result == 0);
    struct io_request make = {.op = IO_MKDIR, .path = folder};
    (void)request(trial, &make); /* it is 0 */
    make = (struct io_request){.op = IO_MKDIR, .path = archive};
    (void)request(trial, &make); /* likewise */
    put_file(trial, paths[trial->form], trial->size, used);
    put_file(trial, "/ledger/00000002.seg", FILE_SIZE, 0);
    trial->options = (struct ledger_options){.io = trial->io,
                                             .path = folder,
                                             .archive = archive,
                                             .store_id = FUZZ_SEAL_STORE,
                                             .segment_size = FILE_SIZE};
}

static void end(struct trial *trial)
{
    ledger_abandon(trial->ledger);
    io_destroy(trial->io);
    io_disk_destroy(trial->disk);
}

/* ---- what is asked of the ledger ---- */

/* A failure is that of damage, or that something is of another version or store; with a reason. */
static void check_failure(int result, const struct error_detail *detail)
{
    ensure(result == STOA_ECORRUPT || result == STOA_EVERSION || result == STOA_EINVAL);
    ensure(detail->code == result);
    ensure(detail->text[0] != '\0');
}

static uint64_t sum_of(enum ledger_kind kind, uint64_t height, struct bytes payload)
{
    return arc_sum(payload, height * 31 + (uint64_t)kind);
}

static int see_frame(void *context, const struct ledger_frame *frame)
{
    struct trial *trial = context;
    ensure(frame->position.sequence > trial->sequence);
    trial->sequence = frame->position.sequence;
    ensure(frame->position.segment >= NUMBER);
    if (frame->result != 0) {
        check_failure(frame->result, frame->detail);
        ensure(frame->result == STOA_ECORRUPT);
        ensure(frame->payload.size == 0);
        trial->damaged_count++;
    } else if (trial->position_count < READS_MAX) {
        ensure(trial->form != FORM_SEGMENT ||
               frame->position.size == FRAME_HEADER_SIZE + frame->payload.size);
        trial->positions[trial->position_count] = frame->position;
        trial->sums[trial->position_count] = sum_of(frame->kind, frame->height, frame->payload);
        trial->position_count++;
    }
    return ++trial->frame_count == FRAMES_MAX ? SCAN_ENDED : 0;
}

static void see_damage(void *context, const struct ledger_damage *damage)
{
    struct trial *trial = context;
    trial->damage_count++;
    ensure(damage->what != NULL && damage->what[0] != '\0');
    ensure(damage->file != NULL && damage->file[0] != '\0');
    ensure(damage->segment >= NUMBER);
    ensure(damage->segment != NUMBER || damage->offset + damage->size <= trial->size);
}

static void scan(struct trial *trial)
{
    struct error_detail detail = {.code = 0};
    trial->frame_count = 0;
    trial->damaged_count = 0;
    trial->position_count = 0;
    trial->sequence = 0;
    int result = ledger_scan(trial->ledger, 0, NULL, see_frame, trial, &detail);
    ensure(result <= 0 || trial->frame_count == FRAMES_MAX);
    trial->whole = result == 0;
    if (result < 0) {
        check_failure(result, &detail);
    }
}

static void verify(struct trial *trial)
{
    struct ledger_verify_report report = {.segments = 0};
    struct error_detail detail = {.code = 0};
    trial->damage_count = 0;
    int result = ledger_verify(trial->ledger, see_damage, NULL, trial, &report, &detail);
    ensure(report.damages == trial->damage_count);
    ensure(result != 0 || report.damages == 0);
    if (result != 0) {
        check_failure(result, &detail);
    } else {
        ensure(trial->whole || trial->frame_count == FRAMES_MAX);
        ensure(trial->damaged_count == 0);
    }
}

/* Piece by piece it is the same. Of a ledger that was opened for reading alone. */
static void verify_in_steps(struct trial *trial)
{
    struct ledger_verifying *verifying = NULL;
    struct ledger_verify_report report;
    struct error_detail detail = {.code = 0};
    unsigned whole = trial->damage_count;
    int result = ledger_verify_begin(trial->ledger, NUMBER, see_damage, trial, &verifying, &detail);
    ensure(result == 0);
    trial->damage_count = 0;
    while (result == 0 && ledger_verify_number(verifying) != 0) {
        uint64_t before = ledger_verify_bytes(verifying);
        result = ledger_verify_step(verifying, STEP_BYTES, &detail);
        ensure(result != 0 || ledger_verify_bytes(verifying) >= before);
    }
    ledger_verify_report(verifying, &report);
    ensure(report.damages == trial->damage_count);
    if (result == 0) {
        ensure(trial->damage_count == whole);
        ensure(ledger_verify_bytes(verifying) == trial->size);
    } else {
        check_failure(result, &detail);
    }
    ledger_verify_end(verifying);
}

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

/* What WANTED names, or a piece of that; OUT_SUM of what was read. */
static int read_frame(struct trial *trial, const struct ledger_position *wanted,
                      struct ledger_ranges *ranges, uint64_t *out_sum)
{
    bool done = false;
    struct ledger_read read = {
        .position = *wanted, .ranges = ranges, .done = note_read, .context = &done};
    ledger_read(trial->ledger, &read);
    while (!done) {
        int ran = io_run(trial->io, WAIT_NS);
        ensure(ran >= 0);
    }
    int result = read.result;
    if (result == 0) {
        *out_sum = sum_of(read.kind, read.height, read.payload);
    } else {
        ensure(result == STOA_ECORRUPT || result == STOA_ENOTFOUND);
        ensure(read.detail.text[0] != '\0');
    }
    ledger_read_release(&read);
    return result;
}

static void read_all(struct trial *trial)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < trial->position_count; i++) {
        struct ledger_position other = trial->positions[i];
        int result = read_frame(trial, &other, NULL, &sum);
        /* Where the index is damaged a scan finds the frames of a thinned segment, a read does not.
         */
        ensure(result == 0 || (trial->form != FORM_SEGMENT && trial->damage_count != 0));
        ensure(result != 0 || sum == trial->sums[i]);
        struct ledger_ranges ranges = {.at = {{.size = 1}}, .count = 1};
        if (other.size > FRAME_HEADER_SIZE) {
            int piece = read_frame(trial, &other, &ranges, &sum);
            ensure(piece == 0 || result != 0);
        }
        other.sequence++;
        result = read_frame(trial, &other, NULL, &sum);
        ensure(result != 0);
        other = trial->positions[i];
        other.offset += FRAME_ALIGNMENT;
        (void)read_frame(trial, &other, NULL, &sum); /* what may lie there */
    }
}

static void note_append(struct ledger_append *append)
{
    bool *done = append->context;
    *done = true;
}

/* What is appended is the last frame of the ledger when it is opened again. */
static void append_and_reopen(struct trial *trial)
{
    bool done = false;
    struct ledger_recovery recovery;
    struct error_detail detail = {.code = 0};
    struct ledger_append append = {.kind = LEDGER_BLOCK,
                                   .height = 9,
                                   .parts = {bytes_of("appended", 8)},
                                   .part_count = 1,
                                   .done = note_append,
                                   .context = &done};
    ledger_append(trial->ledger, &append);
    while (!done) {
        int ran = io_run(trial->io, WAIT_NS);
        ensure(ran >= 0);
    }
    ensure(append.result == 0);
    int result = ledger_close(trial->ledger, &detail);
    trial->ledger = NULL;
    ensure(result == 0);
    result =
        ledger_open(&trial->options, append.position.sequence, &trial->ledger, &recovery, &detail);
    ensure(result == 0);
    ensure(recovery.last_sequence >= append.position.sequence);
    ensure(recovery.cut_bytes == 0);
    uint64_t sum = 0;
    result = read_frame(trial, &append.position, NULL, &sum);
    ensure(result == 0);
    ensure(sum == sum_of(LEDGER_BLOCK, 9, bytes_of("appended", 8)));
}

static void try_open(struct trial *trial)
{
    struct ledger_recovery recovery;
    struct error_detail detail = {.code = 0};
    int result = ledger_open(&trial->options, 0, &trial->ledger, &recovery, &detail);
    if (result != 0) {
        check_failure(result, &detail);
        return;
    }
    scan(trial);
    verify(trial);
    read_all(trial);
    append_and_reopen(trial);
}

static void try_sealed(struct trial *trial)
{
    struct error_detail detail = {.code = 0};
    struct ledger_survey survey;
    int result = ledger_open_sealed(&trial->options, NUMBER, &trial->ledger, &detail);
    ensure(result == 0);
    scan(trial);
    verify(trial);
    read_all(trial);
    verify_in_steps(trial);
    result = ledger_survey(trial->ledger, NUMBER, &(struct ledger_survey_gain){.gain = NULL},
                           &survey, &detail);
    if (result == 0) {
        ensure(survey.number == NUMBER && survey.bytes == trial->size);
        ensure(survey.lowest <= survey.highest);
    } else {
        ensure(result == STOA_EVERSION || result == STOA_EINVAL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct trial trial = {.form = (data[0] & FORM_MASK) % FORMS,
                          .flags = data[0] & (SEALED | UNCHAINED),
                          .size = FILE_SIZE};
    if (trial.form != FORM_SEGMENT) {
        trial.size = (size_t)(BLOCKS_MIN + data[1]) * SEGMENT_BLOCK;
        trial.size = trial.size < FILE_SIZE ? trial.size : FILE_SIZE;
    }
    size_t used = lay_out(bytes_of(data + 2, size - 2));
    if ((data[0] & FUZZ_SEAL_RAW) == 0) {
        seal(&trial, used);
        used = trial.size;
    }
    begin(&trial, used);
    if ((trial.flags & SEALED) != 0) {
        try_sealed(&trial);
    } else {
        try_open(&trial);
    }
    end(&trial);
    memset(image, 0, FILE_SIZE);
    return 0;
}

/* ---- seeds: what the ledger itself writes ---- */

enum { SMALL = 300, LARGE = 330000, SHORT = 8 };

static void run_until(struct trial *trial, const bool *done)
{
    while (!*done) {
        int ran = io_run(trial->io, WAIT_NS);
        ensure(ran >= 0);
    }
}

/* COUNT frames of SIZE bytes, which are zero but for some. */
static void append_frames(struct trial *trial, unsigned count, size_t size)
{
    uint8_t *payload = memory_alloc_zeroed(1, size);
    ensure(payload != NULL);
    for (unsigned i = 0; i < count; i++) {
        bool done = false;
        struct ledger_append append = {.kind = i % 3 == 1 ? LEDGER_STATE : LEDGER_BLOCK,
                                       .height = 100 + i,
                                       .parts = {bytes_of(payload, size)},
                                       .part_count = 1,
                                       .done = note_append,
                                       .context = &done};
        memset(payload, (int)(1 + i), 20);
        payload[size - 1] = 7;
        ledger_append(trial->ledger, &append);
        run_until(trial, &done);
        ensure(append.result == 0);
    }
    memory_free(payload);
}

static uint64_t gain_of(void *context, const struct ledger_frame *frame)
{
    (void)context;
    return frame->position.size > SMALL + FRAME_HEADER_SIZE ? frame->position.size - SHORT : 0;
}

static int shorten(void *context, const struct ledger_frame *frame, struct buffer *out,
                   uint8_t *out_level)
{
    (void)context;
    *out_level = 1;
    return buffer_append(out, frame->payload.data, SHORT);
}

static void note_thinning(struct ledger_thinning *thinning)
{
    bool *done = thinning->context;
    *done = true;
}

static void thin(struct trial *trial)
{
    bool done = false;
    struct ledger_thinning thinning = {.number = NUMBER,
                                       .gain = gain_of,
                                       .shorten = shorten,
                                       .done = note_thinning,
                                       .context = &done};
    int result = ledger_thin_start(trial->ledger, &thinning);
    ensure(result == 0);
    run_until(trial, &done);
    while (!thinning.ended) {
        done = false;
        ledger_thin_step(&thinning);
        run_until(trial, &done);
    }
    ensure(thinning.result == 0);
    ledger_thin_stop(&thinning);
}

static void note_packing(struct ledger_packing *packing)
{
    bool *done = packing->context;
    *done = true;
}

static void pack(struct trial *trial)
{
    bool done = false;
    struct ledger_packing packing = {.number = NUMBER, .done = note_packing, .context = &done};
    int result = ledger_pack_start(trial->ledger, &packing);
    while (result == STOA_EBUSY) { /* what was there before is being cleared away */
        int ran = io_run(trial->io, WAIT_NS);
        ensure(ran >= 0);
        result = ledger_pack_start(trial->ledger, &packing);
    }
    ensure(result == 0);
    run_until(trial, &done);
    while (!packing.ended) {
        done = false;
        if (packing.wants_work) {
            ledger_pack_work(&packing);
        }
        ledger_pack_step(&packing);
        run_until(trial, &done);
    }
    ensure(packing.result == 0);
    ledger_pack_stop(&packing);
}

/* The file at PATH as extents; its size. */
static size_t append_file(struct trial *trial, const char *path, struct buffer *out)
{
    enum { UNIT = FRAME_ALIGNMENT };
    uint64_t size = 0;
    int result = io_file_size(trial->io, path, &size);
    ensure(result == 0 && size <= FILE_SIZE);
    struct io_request ask = {.op = IO_OPEN, .path = path};
    int file = (int)request(trial, &ask);
    ask = (struct io_request){.op = IO_READ, .file = file, .data = image, .size = (size_t)size};
    (void)request(trial, &ask); /* it is the size */
    ask = (struct io_request){.op = IO_CLOSE, .file = file};
    (void)request(trial, &ask); /* it is 0 */
    for (size_t at = 0; at < size; at += UNIT) {
        uint8_t head[EXTENT_HEAD];
        size_t end = at;
        while (end < size && end - at < UINT16_MAX - UNIT && !frame_is_zero(image + end, UNIT)) {
            end += UNIT;
        }
        if (end != at) {
            bytes_store_le16(head, (uint16_t)(at / UNIT));
            bytes_store_le16(head + 2, (uint16_t)(end - at));
            int appended = buffer_append(out, head, sizeof(head));
            ensure(appended == 0);
            appended = buffer_append(out, image + at, end - at);
            ensure(appended == 0);
            at = end - UNIT;
        }
    }
    memset(image, 0, FILE_SIZE);
    return (size_t)size;
}

/* A ledger whose first segment is sealed where FULL, and so is the one behind it. */
static void make(struct trial *trial, bool full)
{
    struct ledger_recovery recovery;
    trial->size = FILE_SIZE;
    begin(trial, 0);
    int result = ledger_open(&trial->options, 0, &trial->ledger, &recovery, NULL);
    ensure(result == 0);
    append_frames(trial, 6, SMALL);
    if (full) {
        append_frames(trial, 7, LARGE);
    }
}

static const uint8_t seeds[] = {
    FORM_SEGMENT,
    FORM_SEGMENT | SEALED,
    FORM_SEGMENT | UNCHAINED,
    FORM_SEGMENT | FUZZ_SEAL_RAW,
    FORM_THIN,
    FORM_THIN | SEALED,
    FORM_THIN | SEALED | FUZZ_SEAL_RAW,
    FORM_ARC,
    FORM_ARC | SEALED,
    FORM_ARC | SEALED | FUZZ_SEAL_RAW,
};

/* Each of them of a full segment, then of one in use, which has the first form alone. What is
 * packed was thinned before in the second round. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    enum { SEEDS = sizeof(seeds) };
    static const char *const paths[FORMS] = {"/ledger/00000001.seg", "/ledger/00000001.thin",
                                             "/archive/00000001.arc"};
    if (index == (size_t)2 * SEEDS) {
        return false;
    }
    uint8_t head[2] = {seeds[index % SEEDS], 0};
    unsigned form = head[0] & FORM_MASK;
    bool second = index >= SEEDS;
    struct trial trial = {.form = FORM_SEGMENT};
    make(&trial, !second || form != FORM_SEGMENT);
    if (form == FORM_THIN || (form == FORM_ARC && second)) {
        thin(&trial);
    }
    if (form == FORM_ARC) {
        pack(&trial);
    }
    int result = ledger_close(trial.ledger, NULL);
    ensure(result == 0);
    trial.ledger = NULL;
    size_t before = out->size;
    result = buffer_append(out, head, sizeof(head));
    ensure(result == 0);
    size_t size = append_file(&trial, paths[form], out);
    out->data[before + 1] = (uint8_t)(size / SEGMENT_BLOCK - BLOCKS_MIN);
    end(&trial);
    return true;
}
