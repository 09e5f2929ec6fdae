/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packed segments that are thinned: the packed file is the one or the other at any instant, what is
 * kept reads as before, also for who opens it later or reads beside, and nothing else is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "ledger/arc.h"
#include "ledger_rig.h"
#include "support/sanitized.h"

enum { MIB = 1 << 20, FRAMES = 360, SHORT = 8, EVERY = 3 };

static const char left[] = "/ledger/00000001.thin.new";

/* ---- a segment packed, or thinned and packed again ---- */

struct maker {
    struct ledger_rig *rig;
    struct ledger_packing packing;
    struct ledger_thinning thinning;
    unsigned below; /* sequences that count */
    bool done;
};

static bool is_kept(uint64_t height)
{
    return height % EVERY == 0;
}

static uint64_t gain(void *context, const struct ledger_frame *frame)
{
    const struct maker *maker = context;
    return is_kept(frame->height) || frame->level != 0 || frame->position.sequence >= maker->below
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

static void note_thinning(struct ledger_thinning *thinning)
{
    struct maker *maker = thinning->context;
    maker->done = true;
}

static void note_packing(struct ledger_packing *packing)
{
    struct maker *maker = packing->context;
    maker->done = true;
}

static int await(struct maker *maker)
{
    int result = 0;
    while (!maker->done && result >= 0) {
        result = io_run(maker->rig->io, 100000000);
    }
    maker->done = false;
    return result < 0 ? result : 0;
}

static int start_thinning(struct maker *maker, unsigned number)
{
    struct ledger *ledger = maker->rig->ledger;
    maker->thinning = (struct ledger_thinning){.number = number,
                                               .gain = gain,
                                               .shorten = shorten,
                                               .done = note_thinning,
                                               .context = maker};
    int result = ledger_thin_start(ledger, &maker->thinning);
    while (result == STOA_EBUSY) { /* what was made before is being cleared away */
        int ran = io_run(maker->rig->io, 1000000);
        result = ran < 0 ? ran : ledger_thin_start(ledger, &maker->thinning);
    }
    return result == 0 ? await(maker) : result;
}

static int start_packing(struct maker *maker, unsigned number, bool unpack, uint64_t thinned_size)
{
    struct ledger *ledger = maker->rig->ledger;
    maker->packing = (struct ledger_packing){.number = number,
                                             .unpack = unpack,
                                             .thinned_size = thinned_size,
                                             .done = note_packing,
                                             .context = maker};
    int result = ledger_pack_start(ledger, &maker->packing);
    while (result == STOA_EBUSY) {
        int ran = io_run(maker->rig->io, 1000000);
        result = ran < 0 ? ran : ledger_pack_start(ledger, &maker->packing);
    }
    return result == 0 ? await(maker) : result;
}

/* BETWEEN is called from step to step. */
static int pack(struct maker *maker, unsigned number, bool unpack, uint64_t thinned_size,
                void (*between)(struct maker *maker))
{
    int result = start_packing(maker, number, unpack, thinned_size);
    while (result == 0 && !maker->packing.ended) {
        if (maker->packing.wants_work) {
            ledger_pack_work(&maker->packing);
        }
        ledger_pack_step(&maker->packing);
        if (between != NULL) {
            between(maker);
        }
        result = await(maker);
    }
    return result == 0 ? maker->packing.result : result;
}

/* What there is to gain of packed segment NUMBER goes. STOA_ECLOSED: power went. */
static int thin(struct maker *maker, unsigned number, void (*between)(struct maker *maker))
{
    int result = start_thinning(maker, number);
    while (result == 0 && !maker->thinning.ended && maker->thinning.gain_frames != 0) {
        ledger_thin_step(&maker->thinning);
        if (between != NULL) {
            between(maker);
        }
        result = await(maker);
    }
    result = result == 0 ? maker->thinning.result : result;
    if (result != 0) {
        return result;
    }
    if (!maker->thinning.ended) { /* there is nothing to gain */
        ledger_thin_stop(&maker->thinning);
        return 0;
    }
    assert_true(maker->thinning.packed);
    assert_true(maker->thinning.size_thinned <= maker->thinning.size_needed + 8192);
    return pack(maker, number, false, maker->thinning.size_thinned, between);
}

static void open_packed(struct ledger_rig *rig, struct maker *maker, uint64_t seed)
{
    uint64_t random = seed * 77 + 1;
    ledger_rig_init_sim(rig, seed, MIB);
    rig->options.archive = "/archive";
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        ledger_rig_append(rig, 200 + ledger_rig_random(&random) % 20000);
        if (ledger_rig_random(&random) % 2 == 0) {
            assert_int_equal(ledger_rig_wait(rig), 0);
        }
    }
    assert_int_equal(ledger_rig_wait(rig), 0);
    assert_true(ledger_can_thin(rig->ledger, 2));
    *maker = (struct maker){.rig = rig, .below = UINT32_MAX};
    assert_int_equal(pack(maker, 1, false, 0, NULL), 0);
    assert_int_equal(pack(maker, 2, false, 0, NULL), 0);
}

static void restart(struct ledger_rig *rig, uint64_t cut_at)
{
    rig->ledger = NULL;
    io_destroy(rig->io);
    rig->io = NULL;
    rig->sim.cut_at = cut_at;
}

/* ---- what it holds ---- */

struct seen {
    struct ledger_rig *rig;
    unsigned next;
    unsigned shortened;
};

static int see(void *context, const struct ledger_frame *frame)
{
    struct seen *seen = context;
    const struct ledger_rig_append *append = &seen->rig->appends[seen->next++];
    size_t size = frame->level == 0 ? append->size : SHORT;
    assert_int_equal(frame->result, 0);
    assert_int_equal(frame->position.sequence, append->append.position.sequence);
    assert_int_equal(frame->position.offset, append->append.position.offset);
    assert_int_equal(frame->position.size, append->append.position.size);
    assert_int_equal(frame->height, append->append.height);
    assert_int_equal(frame->payload.size, size);
    assert_memory_equal(frame->payload.data, append->payload, size);
    assert_true(frame->level == 0 || !is_kept(frame->height));
    seen->shortened += frame->level != 0;
    return 0;
}

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

static void expect_read(struct ledger_rig *rig, struct ledger_read *read, unsigned number)
{
    const struct ledger_rig_append *append = &rig->appends[number];
    bool *done = read->context;
    while (!*done) {
        assert_true(io_run(rig->io, 100000000) >= 0);
    }
    assert_int_equal(read->result, 0);
    bool whole = read->payload.size == append->size;
    assert_true(whole || (read->payload.size == SHORT && !is_kept(append->append.height)));
    assert_memory_equal(read->payload.data, append->payload, read->payload.size);
    ledger_read_release(read);
}

static void read_one(struct ledger_rig *rig, struct ledger *ledger, unsigned number)
{
    bool done = false;
    struct ledger_read read = {
        .position = rig->appends[number].append.position, .done = note_read, .context = &done};
    ledger_read(ledger, &read);
    expect_read(rig, &read, number);
}

/* Returns how many are shortened. */
static unsigned check_all(struct ledger_rig *rig)
{
    struct seen seen = {.rig = rig};
    struct ledger_verify_report report;
    uint64_t size;
    assert_int_equal(ledger_scan(rig->ledger, 1, NULL, see, &seen, &rig->detail), 0);
    assert_int_equal(seen.next, FRAMES);
    assert_int_equal(ledger_rig_verify(rig, false, &report), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        read_one(rig, rig->ledger, i);
    }
    assert_true(ledger_is_packed(rig->ledger, 1));
    assert_int_equal(io_file_size(rig->io, left, &size), STOA_ENOTFOUND);
    return seen.shortened;
}

static void what_is_kept_reads_as_before(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct maker maker;
    struct ledger *sealed;
    struct ledger_stats before;
    struct ledger_stats after;
    struct ledger_verify_report report;
    open_packed(&rig, &maker, 3);
    assert_int_equal(check_all(&rig), 0);
    assert_int_equal(ledger_open_sealed(&rig.options, 2, &sealed, &rig.detail), 0);
    ledger_stats(rig.ledger, &before);
    maker.below = FRAMES / 6;
    assert_int_equal(thin(&maker, 1, NULL), 0);
    ledger_stats(rig.ledger, &after);
    assert_int_equal(before.segment_bytes - after.segment_bytes,
                     maker.thinning.size - maker.packing.size_made);
    assert_true(maker.packing.size_made < maker.thinning.size);
    unsigned some = check_all(&rig);
    assert_true(some > 0);
    maker.below = UINT32_MAX; /* once more, and one that was opened with another size before */
    assert_int_equal(thin(&maker, 1, NULL), 0);
    assert_int_equal(thin(&maker, 2, NULL), 0);
    unsigned more = check_all(&rig);
    assert_true(more > some);
    read_one(&rig, sealed, 1);
    assert_int_equal(ledger_verify(sealed, NULL, NULL, NULL, &report, &rig.detail), 0);
    ledger_abandon(sealed);
    ledger_stats(rig.ledger, &before);
    assert_int_equal(thin(&maker, 1, NULL), 0);
    assert_int_equal(maker.thinning.gain_frames, 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_stats(rig.ledger, &after);
    assert_int_equal(before.segment_bytes, after.segment_bytes);
    assert_int_equal(check_all(&rig), more);
    assert_int_equal(pack(&maker, 2, true, 0, NULL), 0);
    assert_false(ledger_is_packed(rig.ledger, 2));
    assert_int_equal(check_all(&rig), more);
    ledger_rig_deinit(&rig);
}

/* ---- reads beside it ---- */

enum { READS = 60 };

static struct ledger_read reads[READS];
static bool reads_done[READS];
static unsigned reads_begun;

static void read_some(struct maker *maker)
{
    struct ledger_rig *rig = maker->rig;
    for (unsigned i = 0; i < 3 && reads_begun < READS; i++, reads_begun++) {
        reads_done[reads_begun] = false;
        reads[reads_begun] =
            (struct ledger_read){.position = rig->appends[reads_begun].append.position,
                                 .done = note_read,
                                 .context = &reads_done[reads_begun]};
        ledger_read(rig->ledger, &reads[reads_begun]);
        assert_true(io_run(rig->io, 1000) >= 0);
    }
}

static void reads_beside_it_never_fail(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct maker maker;
    open_packed(&rig, &maker, 9);
    assert_int_equal(ledger_rig_close(&rig), 0);
    restart(&rig, 0);
    rig.sim.delay_ns_max = 3000000;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    for (unsigned round = 1; round <= 3; round++) {
        maker.below = round * 20;
        reads_begun = 0;
        assert_int_equal(thin(&maker, 1, read_some), 0);
        assert_true(reads_begun > 0);
        for (unsigned i = 0; i < reads_begun; i++) {
            expect_read(&rig, &reads[i], i);
        }
    }
    assert_true(check_all(&rig) > 0);
    ledger_rig_deinit(&rig);
}

/* ---- power cuts, full disks, damage ---- */

static void power_cuts_leave_the_one_or_the_other(void **state)
{
    (void)state;
    bool ended = false;
    unsigned before = 0;
    unsigned after = 0;
    for (uint64_t cut = 1; !ended; cut += SANITIZED_SLOWER) {
        struct ledger_rig rig;
        struct maker maker;
        open_packed(&rig, &maker, cut);
        assert_int_equal(ledger_rig_close(&rig), 0);
        restart(&rig, 0);
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        uint64_t base = io_sim_operation_count(rig.io);
        ledger_abandon(rig.ledger);
        restart(&rig, base + cut);
        int result = ledger_rig_open(&rig, 0); /* the cut may come in it */
        rig.ledger = result == 0 ? rig.ledger : NULL;
        result = result == 0 ? thin(&maker, 1, NULL) : result;
        ended = result == 0;
        if (!ended) {
            ledger_rig_cut(&rig, cut, cut % 3 != 0);
            rig.sim.cut_at = 0;
            assert_int_equal(ledger_rig_open(&rig, 0), 0);
            unsigned shortened = check_all(&rig);
            before += shortened == 0;
            after += shortened != 0;
            assert_int_equal(thin(&maker, 1, NULL), 0);
            assert_true(check_all(&rig) > 0);
            assert_true(shortened == 0 || maker.thinning.gain_frames == 0);
        }
        ledger_rig_deinit(&rig);
    }
    assert_true(before > 0 && after > 0);
}

static void full_disk_leaves_the_segment(void **state)
{
    (void)state;
    static const uint64_t spare[] = {30000, 500000}; /* it ends while thinning, or packing */
    for (unsigned i = 0; i < 2; i++) {
        struct ledger_rig rig;
        struct maker maker;
        uint64_t free_bytes;
        uint64_t total;
        open_packed(&rig, &maker, 8);
        assert_int_equal(ledger_rig_close(&rig), 0);
        assert_int_equal(io_space(rig.io, "/", &free_bytes, &total), 0);
        restart(&rig, 0);
        rig.sim.capacity = total - free_bytes + spare[i];
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        assert_int_equal(thin(&maker, 1, NULL), STOA_ENOSPACE);
        assert_int_equal(maker.thinning.ended && maker.thinning.result == 0, i == 1);
        assert_int_equal(check_all(&rig), 0);
        assert_int_equal(ledger_stopped(rig.ledger, NULL), 0);
        assert_int_equal(ledger_rig_close(&rig), 0);
        restart(&rig, 0);
        rig.sim.capacity = 0;
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        assert_int_equal(thin(&maker, 1, NULL), 0);
        assert_true(check_all(&rig) > 0);
        ledger_rig_deinit(&rig);
    }
}

static void damaged_segments_stay_as_they_are(void **state)
{
    (void)state;
    struct ledger_rig rig;
    struct maker maker;
    uint64_t size;
    open_packed(&rig, &maker, 5);
    assert_int_equal(io_file_size(rig.io, "/archive/00000001.arc", &size), 0);
    assert_int_equal(io_disk_flip(rig.disk, "/archive/00000001.arc", size / 2, 1), 0);
    assert_int_equal(thin(&maker, 1, NULL), STOA_ECORRUPT);
    assert_int_equal(io_disk_flip(rig.disk, "/archive/00000001.arc", size / 2, 1), 0);
    assert_int_equal(check_all(&rig), 0);
    assert_int_equal(thin(&maker, 1, NULL), 0);
    assert_true(check_all(&rig) > 0);
    ledger_rig_deinit(&rig);
}

static void given_up_it_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 8; steps++) {
        struct ledger_rig rig;
        struct maker maker;
        open_packed(&rig, &maker, 6);
        assert_int_equal(start_thinning(&maker, 1), 0);
        unsigned done = 0;
        for (; done < steps && !maker.thinning.ended; done++) {
            ledger_thin_step(&maker.thinning);
            assert_int_equal(await(&maker), 0);
        }
        if (maker.thinning.ended) {
            assert_int_equal(start_packing(&maker, 1, false, maker.thinning.size_thinned), 0);
            for (; done < steps && !maker.packing.wants_work; done++) {
                ledger_pack_step(&maker.packing);
                assert_int_equal(await(&maker), 0);
            }
            ledger_pack_stop(&maker.packing);
        } else {
            ledger_thin_stop(&maker.thinning);
        }
        assert_int_equal(thin(&maker, 2, NULL), 0); /* once that is cleared away */
        struct seen seen = {.rig = &rig};
        uint64_t size;
        assert_int_equal(ledger_scan(rig.ledger, 1, NULL, see, &seen, &rig.detail), 0);
        assert_int_equal(io_file_size(rig.io, left, &size), STOA_ENOTFOUND);
        assert_int_equal(thin(&maker, 1, NULL), 0);
        assert_true(check_all(&rig) > seen.shortened);
        ledger_rig_deinit(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_reads_as_before),
        cmocka_unit_test(reads_beside_it_never_fail),
        cmocka_unit_test(power_cuts_leave_the_one_or_the_other),
        cmocka_unit_test(full_disk_leaves_the_segment),
        cmocka_unit_test(damaged_segments_stay_as_they_are),
        cmocka_unit_test(given_up_it_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
