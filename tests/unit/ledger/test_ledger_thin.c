/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thinned segments: what is kept reads as before, what was shortened is told from damage, whatever
 * goes wrong while one is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "ledger/thin.h"
#include "ledger_rig.h"
#include "support/sanitized.h"

enum { MIB = 1 << 20, FRAMES = 360, SHORT = 8, EVERY = 3 };

/* Frames of every third append stay; those of the others become their first bytes. */
struct thinner {
    struct ledger_thinning thinning;
    struct ledger_rig *rig;
    unsigned below; /* sequences that count */
    bool done;
};

static bool is_kept(uint64_t height)
{
    return height % EVERY == 0;
}

static uint64_t gain(void *context, const struct ledger_frame *frame)
{
    const struct thinner *thinner = context;
    return is_kept(frame->height) || frame->level != 0 || frame->position.sequence >= thinner->below
               ? 0
               : frame->position.size - SHORT;
}

static int shorten(void *context, const struct ledger_frame *frame, struct buffer *out,
                   uint8_t *out_level)
{
    (void)context;
    *out_level = 1;
    return buffer_append(out, frame->payload.data, SHORT);
}

static void note(struct ledger_thinning *thinning)
{
    struct thinner *thinner = thinning->context;
    thinner->done = true;
}

/* Until the step that was begun has ended. */
static int await(struct thinner *thinner)
{
    int result = 0;
    while (!thinner->done && result >= 0) {
        result = io_run(thinner->rig->io, 100000000);
    }
    return result < 0 ? result : 0;
}

/* All of segment NUMBER. STOA_ECLOSED: power went. */
static int thin(struct ledger_rig *rig, unsigned number, unsigned below, struct thinner *thinner)
{
    *thinner = (struct thinner){
        .rig = rig,
        .below = below,
        .thinning = {.number = number, .gain = gain, .shorten = shorten, .done = note},
    };
    thinner->thinning.context = thinner;
    int result = ledger_thin_start(rig->ledger, &thinner->thinning);
    while (result == STOA_EBUSY) { /* what was made before is being cleared away */
        int ran = io_run(rig->io, 1000000);
        result = ran < 0 ? ran : ledger_thin_start(rig->ledger, &thinner->thinning);
    }
    result = result == 0 ? await(thinner) : result;
    while (result == 0 && !thinner->thinning.ended && thinner->thinning.gain_frames != 0) {
        thinner->done = false;
        ledger_thin_step(&thinner->thinning);
        result = await(thinner);
    }
    if (result == 0 && !thinner->thinning.ended) { /* there is nothing to gain */
        ledger_thin_stop(&thinner->thinning);
    }
    return result == 0 ? thinner->thinning.result : result;
}

/* One append after the other: each is a group, with padding behind it. */
static void fill(struct ledger_rig *rig, uint64_t seed)
{
    uint64_t random = seed * 77 + 1;
    for (unsigned i = 0; i < FRAMES; i++) {
        ledger_rig_append(rig, 200 + ledger_rig_random(&random) % 20000);
        if (ledger_rig_random(&random) % 2 == 0) {
            assert_int_equal(ledger_rig_wait(rig), 0);
        }
    }
    assert_int_equal(ledger_rig_wait(rig), 0);
}

/* ---- what it holds ---- */

struct seen {
    struct ledger_rig *rig;
    unsigned next;
    unsigned shortened;
    unsigned damaged;
};

static int see(void *context, const struct ledger_frame *frame)
{
    struct seen *seen = context;
    const struct ledger_rig_append *append = &seen->rig->appends[seen->next];
    assert_int_equal(frame->position.sequence, append->append.position.sequence);
    assert_int_equal(frame->position.segment, append->append.position.segment);
    if (frame->result != 0) {
        assert_int_equal(frame->result, STOA_ECORRUPT);
        seen->damaged++;
        seen->next++;
        return 0;
    }
    assert_int_equal(frame->position.offset, append->append.position.offset);
    assert_int_equal(frame->position.size, append->append.position.size);
    assert_int_equal(frame->height, append->append.height);
    size_t size = frame->level == 0 ? append->size : SHORT;
    assert_int_equal(frame->payload.size, size);
    assert_memory_equal(frame->payload.data, append->payload, size);
    assert_true(frame->level == 0 || !is_kept(frame->height));
    seen->shortened += frame->level != 0;
    seen->next++;
    return 0;
}

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

/* 0 and whether it was shortened, or what reading it ended with. */
static int read_one(struct ledger_rig *rig, unsigned number, uint32_t front, bool *out_short)
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
    *out_short = false;
    if (read.result == 0) {
        *out_short = read.payload.size == SHORT && append->size != SHORT;
        size_t size = *out_short ? SHORT : read.front != 0 ? read.front : append->size;
        assert_int_equal(read.payload.size, size);
        assert_int_equal(read.height, append->append.height);
        assert_memory_equal(read.payload.data, append->payload, size);
    }
    ledger_read_release(&read);
    return read.result;
}

static unsigned check_all(struct ledger_rig *rig)
{
    struct seen seen = {.rig = rig};
    struct ledger_verify_report report;
    unsigned shortened = 0;
    assert_int_equal(ledger_scan(rig->ledger, 1, NULL, see, &seen, &rig->detail), 0);
    assert_int_equal(seen.next, FRAMES);
    assert_int_equal(seen.damaged, 0);
    assert_int_equal(ledger_rig_verify(rig, false, &report), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        bool is_short;
        bool whole;
        assert_int_equal(ledger_rig_read_ranges(rig, i, i, &whole), 0);
        assert_int_equal(read_one(rig, i, i % 2 == 0 ? 0 : 100, &is_short), 0);
        assert_true(whole || !is_short);
        shortened += is_short;
    }
    assert_int_equal(shortened, seen.shortened);
    return shortened;
}

static void thin_all(struct ledger_rig *rig, unsigned below)
{
    struct thinner thinner;
    for (unsigned number = 1; ledger_can_thin(rig->ledger, number); number++) {
        struct ledger_stats before;
        struct ledger_stats after;
        ledger_stats(rig->ledger, &before);
        assert_int_equal(thin(rig, number, below, &thinner), 0);
        ledger_stats(rig->ledger, &after);
        if (thinner.thinning.gain_frames != 0) {
            assert_true(before.segment_bytes - after.segment_bytes >=
                        thinner.thinning.gain_bytes - MIB / 8);
            assert_true(thinner.thinning.size_expected + 8192 >= thinner.thinning.size_thinned);
        }
    }
}

static void use(struct ledger_rig *rig)
{
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    fill(rig, 5);
    assert_true(ledger_can_thin(rig->ledger, 2));
    assert_int_equal(check_all(rig), 0);
    thin_all(rig, FRAMES / 3);
    unsigned some = check_all(rig);
    assert_true(some > 0);
    thin_all(rig, UINT32_MAX); /* one that was thinned, once more */
    unsigned more = check_all(rig);
    assert_true(more > some);
    thin_all(rig, UINT32_MAX); /* nothing is left to do */
    assert_int_equal(ledger_rig_close(rig), 0);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    assert_int_equal(check_all(rig), more);
    struct ledger *sealed;
    struct seen seen = {.rig = rig};
    assert_int_equal(ledger_open_sealed(&rig->options, 2, &sealed, &rig->detail), 0);
    assert_int_equal(ledger_scan(sealed, 1, NULL, see, &seen, &rig->detail), 0);
    assert_true(seen.shortened > 0);
    ledger_abandon(sealed);
    assert_int_equal(ledger_rig_close(rig), 0);
}

static void what_is_kept_reads_as_before(void **state)
{
    static const enum io_backend backends[] = {IO_BACKEND_THREADS, IO_BACKEND_RING};
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 3, MIB);
    use(&rig);
    ledger_rig_deinit(&rig);
    for (unsigned i = 0; i < 2; i++) {
        ledger_rig_init_real(&rig, backends[i], MIB);
        if (rig.io != NULL) {
            use(&rig);
        }
        ledger_rig_deinit(&rig);
    }
}

static void reads_under_way_see_the_segment_as_it_was(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct thinner thinner = {.rig = &rig, .below = UINT32_MAX};
    enum { READS = 40 };
    struct ledger_read reads[READS];
    bool done[READS] = {false};
    ledger_rig_init_sim(&rig, 9, MIB);
    rig.sim.delay_ns_max = 3000000;
    io_destroy(rig.io);
    rig.io = NULL;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    fill(&rig, 9);
    thinner.thinning = (struct ledger_thinning){
        .number = 1, .gain = gain, .shorten = shorten, .done = note, .context = &thinner};
    assert_int_equal(ledger_thin_start(rig.ledger, &thinner.thinning), 0);
    assert_int_equal(await(&thinner), 0);
    struct ledger_thinning second = thinner.thinning;
    assert_int_equal(ledger_thin_start(rig.ledger, &second), STOA_EBUSY);
    unsigned begun = 0;
    while (!thinner.thinning.ended) {
        thinner.done = false;
        ledger_thin_step(&thinner.thinning);
        for (unsigned i = 0; i < 8; i++) {
            if (begun < READS) {
                reads[begun] = (struct ledger_read){.position = rig.appends[begun].append.position,
                                                    .done = note_read,
                                                    .context = &done[begun]};
                ledger_read(rig.ledger, &reads[begun]);
                begun++;
            }
            assert_true(io_run(rig.io, 1000) >= 0);
        }
        assert_int_equal(await(&thinner), 0);
    }
    assert_int_equal(thinner.thinning.result, 0);
    for (unsigned i = 0; i < begun; i++) {
        while (!done[i]) {
            assert_true(io_run(rig.io, 1000000) >= 0);
        }
        assert_int_equal(reads[i].result, 0);
        assert_memory_equal(reads[i].payload.data, rig.appends[i].payload, SHORT);
        ledger_read_release(&reads[i]);
    }
    assert_true(check_all(&rig) > 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_deinit(&rig);
}

/* ---- power cuts ---- */

static void power_cuts_leave_the_one_or_the_other(void **state)
{
    (void)state;
    unsigned every = SANITIZED_SLOWER;
    bool ended = false;
    unsigned before = 0;
    unsigned after = 0;
    for (uint64_t cut = 1; !ended; cut += every) {
        struct ledger_rig rig;
        struct thinner thinner;
        ledger_rig_init_sim(&rig, cut, MIB);
        rig.options.spare_count = 2;
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        fill(&rig, 4);
        assert_int_equal(ledger_rig_close(&rig), 0);
        rig.ledger = NULL;
        io_destroy(rig.io);
        rig.io = NULL;
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        uint64_t base = io_sim_operation_count(rig.io);
        ledger_abandon(rig.ledger);
        rig.ledger = NULL;
        io_destroy(rig.io);
        rig.io = NULL;
        rig.sim.cut_at = base + cut;
        int result = ledger_rig_open(&rig, 0); /* the cut may come in it */
        rig.ledger = result == 0 ? rig.ledger : NULL;
        result = result == 0 ? thin(&rig, 1, UINT32_MAX, &thinner) : result;
        ended = result == 0 && thinner.thinning.ended;
        result = result == 0 ? thin(&rig, 2, UINT32_MAX, &thinner) : result;
        ended = ended && result == 0;
        if (!ended) {
            ledger_rig_cut(&rig, cut, cut % 3 != 0);
            rig.sim.cut_at = 0;
            assert_int_equal(ledger_rig_open(&rig, 0), 0);
            unsigned shortened = check_all(&rig);
            before += shortened == 0;
            after += shortened != 0;
            assert_int_equal(thin(&rig, 1, UINT32_MAX, &thinner), 0);
            assert_true(check_all(&rig) > 0);
        }
        ledger_rig_deinit(&rig);
    }
    assert_true(before > 0 && after > 0);
}

/* ---- damage, full disks ---- */

static void flipped_bits_are_found_or_do_no_harm(void **state)
{
    (void)state;
    uint64_t random = 99;
    struct ledger_rig rig;
    struct thinner thinner;
    ledger_rig_init_sim(&rig, 21, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    fill(&rig, 21);
    assert_int_equal(thin(&rig, 1, UINT32_MAX, &thinner), 0);
    assert_int_equal(thin(&rig, 2, UINT32_MAX, &thinner), 0);
    uint64_t size = thinner.thinning.size_thinned;
    unsigned rounds = 300 / SANITIZED_SLOWER;
    assert_int_equal(ledger_rig_close(&rig), 0);
    rig.ledger = NULL;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t offset = i % 3 == 0 ? size - 1 - ledger_rig_random(&random) % 20000
                                     : ledger_rig_random(&random) % size;
        struct seen seen = {.rig = &rig};
        char path[128];
        char name[SEGMENT_NAME_SIZE];
        thin_name(2, true, name);
        snprintf(path, sizeof(path), "%s/%s", rig.directory, name);
        assert_int_equal(io_disk_flip(rig.disk, path, offset, i % 8), 0);
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        assert_int_equal(ledger_rig_verify(&rig, true, NULL), STOA_ECORRUPT);
        assert_int_equal(ledger_scan(rig.ledger, 1, NULL, see, &seen, &rig.detail), 0);
        assert_int_equal(seen.next, FRAMES);
        assert_true(seen.damaged <= 1);
        unsigned bad = 0;
        for (unsigned j = 0; j < FRAMES; j++) {
            bool is_short;
            int result = read_one(&rig, j, 0, &is_short);
            assert_true(result == 0 || result == STOA_ECORRUPT);
            bad += result != 0;
        }
        assert_true(bad >= seen.damaged);
        assert_int_equal(ledger_rig_close(&rig), 0);
        rig.ledger = NULL;
        assert_int_equal(io_disk_flip(rig.disk, path, offset, i % 8), 0);
    }
    ledger_rig_deinit(&rig);
}

static void damaged_segments_stay_as_they_are(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct thinner thinner;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    fill(&rig, 8);
    const struct ledger_position *position = &rig.appends[4].append.position;
    assert_int_equal(position->segment, 1);
    assert_int_equal(io_disk_flip(rig.disk, ledger_rig_segment(&rig, 1), position->offset + 70, 1),
                     0);
    assert_int_equal(thin(&rig, 1, UINT32_MAX, &thinner), STOA_ECORRUPT);
    bool is_short;
    assert_int_equal(read_one(&rig, 4, 0, &is_short), STOA_ECORRUPT);
    assert_int_equal(read_one(&rig, 5, 0, &is_short), 0);
    assert_false(is_short);
    assert_int_equal(thin(&rig, 2, UINT32_MAX, &thinner), 0);
    ledger_rig_deinit(&rig);
}

static void full_disk_leaves_the_segment(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct thinner thinner;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    fill(&rig, 8);
    assert_int_equal(ledger_rig_close(&rig), 0);
    rig.ledger = NULL;
    uint64_t free_bytes;
    uint64_t total;
    assert_int_equal(io_space(rig.io, "/", &free_bytes, &total), 0);
    io_destroy(rig.io);
    rig.io = NULL;
    rig.sim.capacity = total - free_bytes + 30000;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(thin(&rig, 1, UINT32_MAX, &thinner), STOA_ENOSPACE);
    assert_int_equal(check_all(&rig), 0);
    assert_int_equal(ledger_stopped(rig.ledger, NULL), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    rig.ledger = NULL;
    io_destroy(rig.io);
    rig.io = NULL;
    rig.sim.capacity = 0;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(thin(&rig, 1, UINT32_MAX, &thinner), 0);
    assert_true(check_all(&rig) > 0);
    ledger_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_reads_as_before),
        cmocka_unit_test(reads_under_way_see_the_segment_as_it_was),
        cmocka_unit_test(power_cuts_leave_the_one_or_the_other),
        cmocka_unit_test(flipped_bits_are_found_or_do_no_harm),
        cmocka_unit_test(damaged_segments_stay_as_they_are),
        cmocka_unit_test(full_disk_leaves_the_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
