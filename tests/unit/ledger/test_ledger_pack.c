/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packed segments: every frame reads as before, in every way there is to read one, whatever goes
 * wrong while one is packed or unpacked; what is flipped in one is found, named and costs no more
 * than the frames of its group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "ledger/arc.h"
#include "ledger_rig.h"
#include "support/sanitized.h"

enum { MIB = 1 << 20, FRAMES = 600 };

struct packer {
    struct ledger_packing packing;
    struct ledger_rig *rig;
    bool done;
};

static void note(struct ledger_packing *packing)
{
    struct packer *packer = packing->context;
    packer->done = true;
}

static int await(struct packer *packer)
{
    int result = 0;
    while (!packer->done && result >= 0) {
        result = io_run(packer->rig->io, 100000000);
    }
    return result < 0 ? result : 0;
}

static int start(struct packer *packer, unsigned number, bool unpack)
{
    struct ledger_rig *rig = packer->rig;
    packer->done = false;
    packer->packing = (struct ledger_packing){
        .number = number, .unpack = unpack, .done = note, .context = packer};
    int result = ledger_pack_start(rig->ledger, &packer->packing);
    while (result == STOA_EBUSY) { /* what was made before is being cleared away */
        int ran = io_run(rig->io, 1000000);
        result = ran < 0 ? ran : ledger_pack_start(rig->ledger, &packer->packing);
    }
    return result == 0 ? await(packer) : result;
}

static int step(struct packer *packer)
{
    packer->done = false;
    if (packer->packing.wants_work) {
        ledger_pack_work(&packer->packing);
    }
    ledger_pack_step(&packer->packing);
    return await(packer);
}

/* All of segment NUMBER. STOA_ECLOSED: power went. */
static int repack(struct ledger_rig *rig, unsigned number, bool unpack, struct packer *packer)
{
    *packer = (struct packer){.rig = rig};
    int result = start(packer, number, unpack);
    while (result == 0 && !packer->packing.ended) {
        result = step(packer);
    }
    return result == 0 ? packer->packing.result : result;
}

static void init(struct ledger_rig *rig, uint64_t seed)
{
    ledger_rig_init_sim(rig, seed, MIB);
    rig->options.archive = "/archive";
}

/* Payloads of the rig's cannot be packed well; that is what this is not about. */
static void fill(struct ledger_rig *rig, uint64_t seed)
{
    uint64_t random = seed * 77 + 1;
    for (unsigned i = 0; i < FRAMES; i++) {
        ledger_rig_append(rig, ledger_rig_random(&random) % 4 == 0
                                   ? 200 + ledger_rig_random(&random) % 40000
                                   : 100 + ledger_rig_random(&random) % 3000);
        if (ledger_rig_random(&random) % 2 == 0) {
            assert_int_equal(ledger_rig_wait(rig), 0);
        }
    }
    assert_int_equal(ledger_rig_wait(rig), 0);
}

static void open_filled(struct ledger_rig *rig, uint64_t seed)
{
    init(rig, seed);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    fill(rig, seed);
    assert_true(ledger_can_thin(rig->ledger, 1));
    assert_false(ledger_is_packed(rig->ledger, 1));
}

static void close_rig(struct ledger_rig *rig)
{
    assert_int_equal(ledger_rig_close(rig), 0);
    rig->ledger = NULL;
}

/* ---- what it holds ---- */

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

static int read_one(struct ledger_rig *rig, unsigned number, uint32_t front, char *out_text)
{
    const struct ledger_rig_append *append = &rig->appends[number];
    bool done = false;
    struct ledger_read read = {
        .position = append->append.position, .front = front, .done = note_read, .context = &done};
    ledger_read(rig->ledger, &read);
    while (!done) {
        int result = io_run(rig->io, 100000000);
        if (result < 0) {
            return result;
        }
    }
    if (read.result == 0) {
        size_t size = read.front != 0 ? read.front : append->size;
        assert_int_equal(read.payload.size, size);
        assert_int_equal(read.height, append->append.height);
        assert_memory_equal(read.payload.data, append->payload, size);
    } else if (out_text != NULL) {
        snprintf(out_text, sizeof(read.detail.text), "%s", read.detail.text);
    }
    ledger_read_release(&read);
    return read.result;
}

static void check_all(struct ledger_rig *rig)
{
    struct ledger_verify_report report;
    assert_int_equal(ledger_rig_scan(rig), FRAMES);
    assert_int_equal(ledger_rig_verify(rig, false, &report), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        bool whole;
        unsigned segment = rig->appends[i].append.position.segment;
        assert_int_equal(read_one(rig, i, i % 3 == 0 ? 50 : 0, NULL), 0);
        assert_int_equal(ledger_rig_read_ranges(rig, i, i, &whole), 0);
        assert_int_equal(whole, ledger_is_packed(rig->ledger, segment));
    }
}

static unsigned pack_all(struct ledger_rig *rig, bool unpack)
{
    struct packer packer;
    unsigned count = 0;
    for (unsigned number = 1; ledger_can_thin(rig->ledger, number); number++) {
        struct ledger_stats before;
        struct ledger_stats after;
        ledger_stats(rig->ledger, &before);
        assert_int_equal(repack(rig, number, unpack, &packer), 0);
        ledger_stats(rig->ledger, &after);
        assert_int_equal(ledger_is_packed(rig->ledger, number), !unpack);
        assert_int_equal(after.segment_bytes - before.segment_bytes,
                         packer.packing.size_made - packer.packing.size);
        assert_true(packer.packing.block_count > 0);
        assert_true(packer.packing.lowest <= packer.packing.highest);
        count++;
    }
    return count;
}

static void every_frame_reads_as_before(void **state)
{
    (void)state;
    struct ledger_rig rig;
    open_filled(&rig, 3);
    check_all(&rig);
    assert_true(pack_all(&rig, false) >= 2);
    check_all(&rig);
    close_rig(&rig);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_true(ledger_is_packed(rig.ledger, 1));
    check_all(&rig);
    struct ledger *sealed;
    assert_int_equal(ledger_open_sealed(&rig.options, 2, &sealed, &rig.detail), 0);
    assert_true(pack_all(&rig, true) >= 2); /* they are moved about meanwhile */
    struct ledger_verify_report report;
    assert_int_equal(ledger_verify(sealed, NULL, NULL, NULL, &report, &rig.detail), 0);
    assert_true(pack_all(&rig, false) >= 2);
    assert_int_equal(ledger_verify(sealed, NULL, NULL, NULL, &report, &rig.detail), 0);
    ledger_abandon(sealed);
    assert_true(pack_all(&rig, true) >= 2);
    check_all(&rig);
    close_rig(&rig);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    check_all(&rig);
    ledger_rig_deinit(&rig);
}

/* The bytes of a segment before it was packed, and after it was unpacked. */
static uint8_t *bytes_of_segment(struct ledger_rig *rig, unsigned number, uint64_t *out_size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s", ledger_rig_segment(rig, number));
    assert_int_equal(io_file_size(rig->io, path, out_size), 0);
    uint8_t *data = memory_alloc_aligned(*out_size, IO_ALIGNMENT);
    struct io_request open = {.op = IO_OPEN, .path = path};
    int64_t file = io_wait(rig->io, &open);
    assert_true(file >= 0);
    struct io_request read = {.op = IO_READ, .file = (int)file, .data = data, .size = *out_size};
    assert_int_equal(io_wait(rig->io, &read), *out_size);
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    assert_int_equal(io_wait(rig->io, &close), 0);
    return data;
}

static void unpacking_gives_the_same_bytes(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct packer packer;
    uint64_t size;
    uint64_t size_after;
    open_filled(&rig, 4);
    uint8_t *before = bytes_of_segment(&rig, 2, &size);
    assert_int_equal(repack(&rig, 2, false, &packer), 0);
    assert_int_equal(io_file_size(rig.io, ledger_rig_segment(&rig, 2), &size_after),
                     STOA_ENOTFOUND);
    assert_int_equal(repack(&rig, 2, true, &packer), 0);
    uint8_t *after = bytes_of_segment(&rig, 2, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    memory_free(before);
    memory_free(after);
    assert_int_equal(ledger_unpack(rig.ledger, 2, &rig.detail), 0); /* it is none */
    assert_int_equal(repack(&rig, 2, false, &packer), 0);
    assert_int_equal(ledger_unpack(rig.ledger, 2, &rig.detail), 0);
    assert_false(ledger_is_packed(rig.ledger, 2));
    check_all(&rig);
    ledger_rig_deinit(&rig);
}

static void reads_beside_it_never_fail(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct packer packer = {.rig = &rig};
    enum { READS = 60 };
    struct ledger_read reads[READS];
    bool done[READS] = {false};
    init(&rig, 9);
    rig.sim.delay_ns_max = 3000000;
    io_destroy(rig.io);
    rig.io = NULL;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    fill(&rig, 9);
    for (unsigned round = 0; round < 4; round++) {
        unsigned begun = 0;
        assert_int_equal(start(&packer, 1, round % 2 == 1), 0);
        struct ledger_packing second = packer.packing;
        assert_int_equal(ledger_pack_start(rig.ledger, &second), STOA_EBUSY);
        while (!packer.packing.ended) {
            packer.done = false;
            if (packer.packing.wants_work) {
                ledger_pack_work(&packer.packing);
            }
            ledger_pack_step(&packer.packing);
            for (unsigned i = 0; i < 4; i++) {
                if (begun < READS) {
                    unsigned number = begun % 40;
                    done[begun] = false;
                    reads[begun] =
                        (struct ledger_read){.position = rig.appends[number].append.position,
                                             .done = note_read,
                                             .context = &done[begun]};
                    ledger_read(rig.ledger, &reads[begun]);
                    begun++;
                }
                assert_true(io_run(rig.io, 1000) >= 0);
            }
            assert_int_equal(await(&packer), 0);
        }
        assert_int_equal(packer.packing.result, 0);
        for (unsigned i = 0; i < begun; i++) {
            while (!done[i]) {
                assert_true(io_run(rig.io, 1000000) >= 0);
            }
            assert_int_equal(reads[i].result, 0);
            assert_memory_equal(reads[i].payload.data, rig.appends[i % 40].payload,
                                rig.appends[i % 40].size);
            ledger_read_release(&reads[i]);
        }
    }
    check_all(&rig);
    ledger_rig_deinit(&rig);
}

/* ---- large frames ---- */

/* Whether workers were at work while frame NUMBER was read, which ended with RESULT. */
static bool read_by_workers(struct ledger_rig *rig, const struct workers *workers, unsigned number,
                            int result)
{
    const struct ledger_rig_append *append = &rig->appends[number];
    bool done = false;
    bool worked = false;
    struct ledger_read read = {
        .position = append->append.position, .done = note_read, .context = &done};
    ledger_read(rig->ledger, &read);
    while (!done) {
        assert_true(io_run(rig->io, 1000000) >= 0);
        worked = worked || workers_pending(workers) != 0;
    }
    assert_int_equal(read.result, result);
    if (result == 0) {
        assert_int_equal(read.payload.size, append->size);
        assert_memory_equal(read.payload.data, append->payload, append->size);
    } else {
        assert_non_null(strstr(read.detail.text, "archive/00000001.arc"));
    }
    ledger_read_release(&read);
    return worked;
}

static void large_frames_are_unpacked_by_workers(void **state)
{
    (void)state;
    enum { LARGE = 300000, SMALL = 2000, COUNT = 20 };
    struct ledger_rig rig;
    struct packer packer;
    struct workers *workers;
    uint64_t size;
    init(&rig, 12);
    rig.sim.delay_ns_max = 1000000;
    io_destroy(rig.io);
    rig.io = NULL;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        ledger_rig_append(&rig, i % 2 == 0 ? LARGE : SMALL);
        assert_int_equal(ledger_rig_wait(&rig), 0);
    }
    const struct workers_options options = {.io = rig.io, .count = 1, .name = "test"};
    assert_int_equal(workers_create(&options, &workers, &rig.detail), 0);
    assert_int_equal(repack(&rig, 1, false, &packer), 0);
    assert_false(read_by_workers(&rig, workers, 0, 0)); /* they are not told to */
    ledger_set_workers(rig.ledger, workers);
    assert_true(read_by_workers(&rig, workers, 0, 0));
    assert_false(read_by_workers(&rig, workers, 1, 0));
    const struct ledger_position *position = &rig.appends[2].append.position;
    assert_int_equal(position->segment, 1);
    assert_int_equal(io_file_size(rig.io, "/archive/00000001.arc", &size), 0);
    assert_int_equal(io_disk_flip(rig.disk, "/archive/00000001.arc", LARGE + LARGE / 2, 3), 0);
    assert_true(size > 2 * LARGE); /* so that is inside the second large one */
    assert_true(read_by_workers(&rig, workers, 2, STOA_ECORRUPT));
    assert_true(read_by_workers(&rig, workers, 0, 0));
    ledger_set_workers(rig.ledger, NULL);
    workers_destroy(workers);
    ledger_rig_deinit(&rig);
}

/* ---- power cuts ---- */

static void restart(struct ledger_rig *rig)
{
    io_destroy(rig->io);
    rig->io = NULL;
}

/* Packing, or unpacking what was packed, with power going at every CUT-th operation. */
static void cut_everywhere(bool unpack)
{
    bool ended = false;
    unsigned before = 0;
    unsigned after = 0;
    for (uint64_t cut = 1; !ended; cut += SANITIZED_SLOWER) {
        struct ledger_rig rig;
        struct packer packer;
        open_filled(&rig, cut);
        if (unpack) {
            assert_int_equal(repack(&rig, 1, false, &packer), 0);
        }
        close_rig(&rig);
        restart(&rig);
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        uint64_t base = io_sim_operation_count(rig.io);
        ledger_abandon(rig.ledger);
        rig.ledger = NULL;
        restart(&rig);
        rig.sim.cut_at = base + cut;
        int result = ledger_rig_open(&rig, 0); /* the cut may come in it */
        rig.ledger = result == 0 ? rig.ledger : NULL;
        result = result == 0 ? repack(&rig, 1, unpack, &packer) : result;
        ended = result == 0 && packer.packing.ended;
        if (!ended) {
            ledger_rig_cut(&rig, cut, cut % 3 != 0);
            rig.sim.cut_at = 0;
            assert_int_equal(ledger_rig_open(&rig, 0), 0);
            bool is_packed = ledger_is_packed(rig.ledger, 1);
            before += is_packed == unpack;
            after += is_packed != unpack;
            check_all(&rig);
            if (is_packed == unpack) {
                assert_int_equal(repack(&rig, 1, unpack, &packer), 0);
                check_all(&rig);
            }
        }
        ledger_rig_deinit(&rig);
    }
    assert_true(before > 0);
    assert_true(after > 0 || unpack); /* a packed file that is still there counts */
}

static void power_cuts_leave_the_one_or_the_other(void **state)
{
    (void)state;
    cut_everywhere(false);
}

static void power_cuts_of_unpacking_do_so_too(void **state)
{
    (void)state;
    cut_everywhere(true);
}

/* ---- damage, full disks ---- */

struct found {
    unsigned count;
    unsigned frames;
    uint64_t offset;
    uint64_t size;
    char what[32];
};

static void note_damage(void *context, const struct ledger_damage *damage)
{
    struct found *found = context;
    assert_string_equal(damage->file, "archive/00000001.arc");
    assert_true(damage->packed);
    found->count++;
    found->frames += damage->has_height;
    found->offset = damage->offset;
    found->size = damage->size;
    snprintf(found->what, sizeof(found->what), "%s", damage->what);
}

/* OFFSET of packed segment 1 has a flipped bit. Returns how many frames that costs. */
static unsigned look_at_flip(struct ledger_rig *rig, uint64_t offset)
{
    struct ledger_verify_report report;
    struct found found = {.count = 0};
    char text[512] = "";
    unsigned lost = 0;
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    assert_int_equal(ledger_verify(rig->ledger, note_damage, NULL, &found, &report, &rig->detail),
                     STOA_ECORRUPT);
    assert_true(found.count > 0);
    assert_true(offset >= found.offset && offset < found.offset + found.size);
    for (unsigned i = 0; i < FRAMES; i++) {
        int result = read_one(rig, i, 0, text);
        assert_true(result == 0 || result == STOA_ECORRUPT);
        assert_true(result == 0 || strstr(text, "archive/00000001.arc") != NULL);
        lost += result != 0;
    }
    assert_true(lost <= found.frames);
    close_rig(rig);
    return lost;
}

static void flipped_bits_are_found_and_named(void **state)
{
    (void)state;
    static const char path[] = "/archive/00000001.arc";
    uint64_t random = 99;
    struct ledger_rig rig;
    struct packer packer;
    unsigned harmless = 0;
    open_filled(&rig, 21);
    assert_int_equal(repack(&rig, 1, false, &packer), 0);
    uint64_t size = packer.packing.size_made;
    unsigned rounds = 200 / SANITIZED_SLOWER;
    close_rig(&rig);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t offset = ledger_rig_random(&random) % size;
        offset = i % 4 == 0 ? offset % 12000 : i % 4 == 1 ? size - 1 - offset % 24000 : offset;
        assert_int_equal(io_disk_flip(rig.disk, path, offset, i % 8), 0);
        unsigned lost = look_at_flip(&rig, offset);
        harmless += lost == 0;
        assert_true(lost <= 40);
        assert_int_equal(io_disk_flip(rig.disk, path, offset, i % 8), 0);
    }
    assert_true(harmless > 0);
    /* All that is there twice may lose its first copy at once. */
    struct arc_header header;
    uint64_t got;
    assert_int_equal(io_file_size(rig.io, path, &got), 0);
    assert_int_equal(got, size);
    uint8_t *block = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    struct io_request open = {.op = IO_OPEN, .path = path};
    int64_t file = io_wait(rig.io, &open);
    struct io_request read = {
        .op = IO_READ, .file = (int)file, .data = block, .size = SEGMENT_BLOCK};
    assert_int_equal(io_wait(rig.io, &read), SEGMENT_BLOCK);
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    assert_int_equal(io_wait(rig.io, &close), 0);
    assert_int_equal(arc_decode_header(block, 1, size, rig.options.store_id, &header), FRAME_GOOD);
    memory_free(block);
    assert_true(header.dictionary_size != 0);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t places[] = {i == 0 ? 9 : size - 4000, header.dictionary_offsets[i] + 77,
                                   header.index_offsets[i] + 50};
        for (unsigned j = 0; j < 3; j++) {
            assert_int_equal(io_disk_flip(rig.disk, path, places[j], 3), 0);
        }
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        assert_int_equal(ledger_rig_scan(&rig), FRAMES);
        for (unsigned j = 0; j < FRAMES; j++) {
            assert_int_equal(read_one(&rig, j, 0, NULL), 0);
        }
        struct found found = {.count = 0};
        struct ledger_verify_report report;
        assert_int_equal(ledger_verify(rig.ledger, note_damage, NULL, &found, &report, &rig.detail),
                         STOA_ECORRUPT);
        assert_int_equal(found.count, 3);
        close_rig(&rig);
        for (unsigned j = 0; j < 3; j++) {
            assert_int_equal(io_disk_flip(rig.disk, path, places[j], 3), 0);
        }
    }
    ledger_rig_deinit(&rig);
}

static void damage_of_both_copies_is_named(void **state)
{
    (void)state;
    static const char path[] = "/archive/00000001.arc";
    struct ledger_rig rig;
    struct packer packer;
    char text[512];
    open_filled(&rig, 6);
    assert_int_equal(repack(&rig, 1, false, &packer), 0);
    close_rig(&rig);
    assert_int_equal(io_disk_flip(rig.disk, path, 20, 1), 0);
    assert_int_equal(io_disk_flip(rig.disk, path, packer.packing.size_made - 4000, 1), 0);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(read_one(&rig, 0, 0, text), STOA_ECORRUPT);
    assert_non_null(strstr(text, "archive/00000001.arc: packed header"));
    assert_int_equal(read_one(&rig, FRAMES - 1, 0, NULL), 0);
    struct found found = {.count = 0};
    struct ledger_verify_report report;
    assert_int_equal(ledger_verify(rig.ledger, note_damage, NULL, &found, &report, &rig.detail),
                     STOA_ECORRUPT);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.what, "packed header");
    ledger_rig_deinit(&rig);
}

static void damaged_segments_stay_as_they_are(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct packer packer;
    open_filled(&rig, 8);
    const struct ledger_position *position = &rig.appends[4].append.position;
    const struct ledger_position *behind = &rig.appends[5].append.position;
    assert_int_equal(position->segment, 1);
    const char *path = ledger_rig_segment(&rig, 1);
    assert_int_equal(io_disk_flip(rig.disk, path, position->offset + 70, 1), 0);
    assert_int_equal(repack(&rig, 1, false, &packer), STOA_ECORRUPT);
    assert_false(ledger_is_packed(rig.ledger, 1));
    assert_int_equal(read_one(&rig, 4, 0, NULL), STOA_ECORRUPT);
    assert_int_equal(read_one(&rig, 5, 0, NULL), 0);
    assert_int_equal(io_disk_flip(rig.disk, path, position->offset + 70, 1), 0);
    /* Neither is padding that is not zero lost. */
    uint64_t padding = ((uint64_t)behind->offset + behind->size + 63) / 64 * 64 - 1;
    assert_int_equal(io_disk_flip(rig.disk, path, padding, 1), 0);
    assert_int_equal(repack(&rig, 1, false, &packer),
                     (behind->offset + behind->size) % 64 == 0 ? 0 : STOA_ECORRUPT);
    assert_int_equal(repack(&rig, 2, false, &packer), 0);
    ledger_rig_deinit(&rig);
}

static void full_disk_leaves_the_segment(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct packer packer;
    open_filled(&rig, 8);
    close_rig(&rig);
    uint64_t free_bytes;
    uint64_t total;
    uint64_t size;
    assert_int_equal(io_space(rig.io, "/", &free_bytes, &total), 0);
    restart(&rig);
    rig.sim.capacity = total - free_bytes + 30000;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(repack(&rig, 1, false, &packer), STOA_ENOSPACE);
    assert_non_null(strstr(packer.packing.detail.text, "pack segment 00000001"));
    assert_int_equal(io_file_size(rig.io, "/archive/00000001.arc.new", &size), STOA_ENOTFOUND);
    check_all(&rig);
    assert_int_equal(ledger_stopped(rig.ledger, NULL), 0);
    close_rig(&rig);
    restart(&rig);
    rig.sim.capacity = 0;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(repack(&rig, 1, false, &packer), 0);
    check_all(&rig);
    ledger_rig_deinit(&rig);
}

static void given_up_it_leaves_nothing(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct packer packer = {.rig = &rig};
    uint64_t size;
    open_filled(&rig, 12);
    for (unsigned steps = 0; steps < 12; steps++) {
        assert_int_equal(start(&packer, 1, false), 0);
        for (unsigned i = 0; i < steps && !packer.packing.ended; i++) {
            assert_int_equal(step(&packer), 0);
        }
        if (packer.packing.ended) {
            break;
        }
        ledger_pack_stop(&packer.packing);
        assert_int_equal(start(&packer, 2, false), 0); /* waits until it is cleared away */
        ledger_pack_stop(&packer.packing);
        assert_int_equal(io_file_size(rig.io, "/archive/00000001.arc.new", &size), STOA_ENOTFOUND);
    }
    check_all(&rig);
    ledger_rig_deinit(&rig);
}

/* ---- the codec ---- */

static void text_is_packed_small(void **state)
{
    (void)state;
    enum { PIECES = 64, SIZE = 4096 };
    struct arc_packer *packer;
    struct arc_unpacker *unpacker;
    struct arc_map *map;
    uint8_t *data = memory_alloc(PIECES * SIZE);
    uint8_t *dictionary = memory_alloc(ARC_DICTIONARY_MIN);
    uint8_t *packed = memory_alloc(arc_pack_bound(SIZE));
    uint8_t *out = memory_alloc(SIZE);
    for (unsigned i = 0; i < PIECES * SIZE; i++) { /* words in an order that changes */
        data[i] = (uint8_t) "the quick brown fox "[(i + i / 37 * 5) % 20];
    }
    uint32_t size = arc_train(bytes_of(data, PIECES * SIZE), dictionary, ARC_DICTIONARY_MIN);
    assert_true(size > 0 && size <= ARC_DICTIONARY_MIN);
    assert_int_equal(arc_train(bytes_of(data, 100), dictionary + size, 0), 0);
    struct arc_header header = {.number = 1, .group_count = 1, .dictionary_size = size};
    assert_int_equal(arc_packer_create(bytes_of(dictionary, size), &packer), 0);
    assert_int_equal(arc_unpacker_create(&unpacker), 0);
    assert_int_equal(arc_map_create(&header, 7, bytes_of(dictionary, size), &map), 0);
    struct arc_group group = {.at = 0};
    assert_int_equal(arc_pack(packer, bytes_of(data + SIZE, SIZE), 7, packed, &group), 0);
    assert_false(group.is_stored);
    assert_true(group.size < SIZE / 2);
    assert_true(arc_unpack(unpacker, map, &group, packed, out));
    assert_memory_equal(out, data + SIZE, SIZE);
    for (unsigned i = 0; i < group.size * 8; i++) {
        packed[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(arc_unpack(unpacker, map, &group, packed, out));
        packed[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    arc_map_destroy(map);
    arc_unpacker_destroy(unpacker);
    arc_packer_destroy(packer);
    memory_free(data);
    memory_free(dictionary);
    memory_free(packed);
    memory_free(out);
}

/* Its sum may be right all the same: that is damage, and not what the machine lacks. */
static void a_dictionary_that_is_none_is_corrupt(void **state)
{
    (void)state;
    uint8_t dictionary[300] = {0x37, 0xa4, 0x30, 0xec, 1, 2, 3, 4, 0xff, 0xff, 0xff};
    struct arc_header header = {
        .number = 1, .group_count = 1, .dictionary_size = sizeof(dictionary)};
    struct arc_map *map = NULL;
    struct bytes whole = bytes_of(dictionary, sizeof(dictionary));
    assert_int_equal(arc_map_create(&header, 7, whole, &map), STOA_ECORRUPT);
    dictionary[0] = 0; /* any bytes will do that do not begin as a trained one */
    assert_int_equal(arc_map_create(&header, 7, whole, &map), 0);
    arc_map_destroy(map);
}

static void names_are_read_back(void **state)
{
    (void)state;
    char name[SEGMENT_NAME_SIZE];
    bool finished = false;
    arc_name(42, true, name);
    assert_string_equal(name, "00000042.arc");
    assert_int_equal(arc_parse_name(name, &finished), 42);
    assert_true(finished);
    arc_name(42, false, name);
    assert_int_equal(arc_parse_name(name, &finished), 42);
    assert_false(finished);
    assert_int_equal(arc_parse_name("00000042.seg", &finished), 0);
    assert_int_equal(arc_parse_name("0000004x.arc", &finished), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_reads_as_before),
        cmocka_unit_test(unpacking_gives_the_same_bytes),
        cmocka_unit_test(reads_beside_it_never_fail),
        cmocka_unit_test(large_frames_are_unpacked_by_workers),
        cmocka_unit_test(power_cuts_leave_the_one_or_the_other),
        cmocka_unit_test(power_cuts_of_unpacking_do_so_too),
        cmocka_unit_test(flipped_bits_are_found_and_named),
        cmocka_unit_test(damage_of_both_copies_is_named),
        cmocka_unit_test(damaged_segments_stay_as_they_are),
        cmocka_unit_test(full_disk_leaves_the_segment),
        cmocka_unit_test(given_up_it_leaves_nothing),
        cmocka_unit_test(text_is_packed_small),
        cmocka_unit_test(a_dictionary_that_is_none_is_corrupt),
        cmocka_unit_test(names_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
