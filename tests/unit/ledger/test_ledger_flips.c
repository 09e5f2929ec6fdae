/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A flipped bit in any byte of any segment is found, and costs no other frame. Each place is tried
 * in a copy of the disk that is opened: one seeded bit of the byte. STOA_LONG=1 tries all bytes,
 * but for a spare segment and the unused part of the last: those of frames in the open ledger, and
 * one of REOPEN of them, as all others, in a copy that is opened. Else a sample. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ledger_rig.h"
#include "support/sanitized.h"

enum { MIB = 1 << 20, FRAMES = 60, SAMPLES = 400 / SANITIZED_SLOWER, REOPEN = 32 };

struct damage_seen {
    unsigned count;
    uint64_t offset;
    uint64_t size;
    unsigned segment;
};

static void see_damage(void *context, const struct ledger_damage *damage)
{
    struct damage_seen *seen = context;
    seen->count++;
    seen->segment = damage->segment;
    seen->offset = damage->offset;
    seen->size = damage->size;
}

/* Segments 1 and 2 sealed, 3 in use, 4 spare. */
static void make(struct ledger_rig *rig, unsigned *out_last)
{
    ledger_rig_init_sim(rig, 5, MIB);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        ledger_rig_append(rig, 8 + (size_t)i * 1733 % 90000);
        if (i % 3 == 0) {
            assert_int_equal(ledger_rig_wait(rig), 0);
        }
    }
    assert_int_equal(ledger_rig_wait(rig), 0);
    *out_last = rig->appends[FRAMES - 1].append.position.segment;
    assert_true(*out_last >= 3);
    struct ledger_stats stats;
    do { /* until the spare is there */
        assert_true(io_run(rig->io, 1000000) >= 0);
        ledger_stats(rig->ledger, &stats);
    } while (stats.segment_count <= *out_last);
    assert_int_equal(ledger_rig_close(rig), 0);
    io_destroy(rig->io);
    rig->io = NULL;
}

/* The append whose frame holds the byte, or -1. */
static int frame_at(const struct ledger_rig *rig, unsigned segment, uint64_t offset)
{
    for (unsigned i = 0; i < rig->append_count; i++) {
        const struct ledger_position *position = &rig->appends[i].append.position;
        if (position->segment == segment && offset >= position->offset &&
            offset < (uint64_t)position->offset + position->size) {
            return (int)i;
        }
    }
    return -1;
}

/* Flip, open, read all, verify. True: found, and only the frame hit is lost. */
static bool flip_is_found(struct ledger_rig *rig, unsigned segment, uint64_t offset, unsigned bit)
{
    struct io_disk *whole = rig->disk;
    int hit = frame_at(rig, segment, offset);
    bool good = true;
    rig->disk = io_disk_cut(whole, 1, false);
    assert_non_null(rig->disk);
    assert_int_equal(io_disk_flip(rig->disk, ledger_rig_segment(rig, segment), offset, bit), 0);
    int result = ledger_rig_open(rig, 0);
    if (result != 0) {
        printf("open: %s\n", rig->detail.text);
        good = false;
    }
    bool healed = rig->recovery.cut_bytes > 0;
    for (unsigned i = 0; i < FRAMES && good; i++) {
        int expected = (int)i == hit ? STOA_ECORRUPT : 0;
        if (ledger_rig_read(rig, i) != expected) {
            printf("frame %u: expected %d: %s\n", i, expected, rig->detail.text);
            good = false;
        }
    }
    struct damage_seen seen = {0};
    struct ledger_verify_report report = {0};
    if (good) {
        result = ledger_verify(rig->ledger, see_damage, NULL, &seen, &report, &rig->detail);
        bool found = result == STOA_ECORRUPT && seen.count == 1 && seen.segment == segment &&
                     offset >= seen.offset && offset < seen.offset + seen.size;
        /* What lies behind the last frame may be a torn tail for all that can be known: opening
         * heals it, and says so. */
        good = hit >= 0 ? found : found || (healed && result == 0);
    }
    if (!good) {
        printf("segment %u offset %llu bit %u frame %d: verify %d, %u damages, healed %d\n",
               segment, (unsigned long long)offset, bit, hit, result, seen.count, healed);
    }
    ledger_abandon(rig->ledger);
    rig->ledger = NULL;
    io_destroy(rig->io);
    rig->io = NULL;
    io_disk_destroy(rig->disk);
    rig->disk = whole;
    return good;
}

/* The same of a byte of frame HIT, in the ledger as it is open; one other frame is read as well. */
static bool flip_of_frame_is_found(struct ledger_rig *rig, unsigned hit, uint64_t offset,
                                   unsigned bit)
{
    unsigned segment = rig->appends[hit].append.position.segment;
    const char *path = ledger_rig_segment(rig, segment);
    assert_int_equal(io_disk_flip(rig->disk, path, offset, bit), 0);
    int read = ledger_rig_read(rig, hit);
    int other = ledger_rig_read(rig, (hit + 1 + (unsigned)offset % (FRAMES - 1)) % FRAMES);
    struct damage_seen seen = {0};
    struct ledger_verify_report report = {0};
    int result = ledger_verify(rig->ledger, see_damage, NULL, &seen, &report, &rig->detail);
    bool good = read == STOA_ECORRUPT && other == 0 && result == STOA_ECORRUPT && seen.count == 1 &&
                seen.segment == segment && offset >= seen.offset &&
                offset < seen.offset + seen.size;
    if (!good) {
        printf("segment %u offset %llu bit %u frame %u: read %d, another %d, verify %d\n", segment,
               (unsigned long long)offset, bit, hit, read, other, result);
    }
    assert_int_equal(io_disk_flip(rig->disk, path, offset, bit), 0);
    return good;
}

/* Every byte of every frame in place. */
static unsigned fail_of_frames(struct ledger_rig *rig, uint64_t *random)
{
    unsigned failed = 0;
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        struct ledger_position position = rig->appends[i].append.position;
        for (uint64_t at = 0; at < position.size; at++) {
            unsigned bit = (unsigned)(ledger_rig_random(random) % 8);
            failed += flip_of_frame_is_found(rig, i, position.offset + at, bit) ? 0 : 1;
        }
    }
    ledger_abandon(rig->ledger);
    rig->ledger = NULL;
    io_destroy(rig->io);
    rig->io = NULL;
    return failed;
}

/* Every byte of all segments up to the end of the last frame's block, in copies. */
static unsigned fail_of_all(struct ledger_rig *rig, unsigned last, uint64_t *random)
{
    const struct ledger_position *end = &rig->appends[FRAMES - 1].append.position;
    unsigned failed = 0;
    for (unsigned segment = 1; segment <= last; segment++) {
        uint64_t limit = segment < last ? MIB : (uint64_t)end->offset + end->size + 4096;
        for (uint64_t offset = 0; offset < limit; offset++) {
            unsigned bit = (unsigned)(ledger_rig_random(random) % 8);
            if (frame_at(rig, segment, offset) < 0 || ledger_rig_random(random) % REOPEN == 0) {
                failed += flip_is_found(rig, segment, offset, bit) ? 0 : 1;
            }
        }
    }
    return failed;
}

static unsigned fail_of_samples(struct ledger_rig *rig, unsigned last, uint64_t *random)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < SAMPLES; i++) {
        unsigned segment = 1 + (unsigned)(ledger_rig_random(random) % (last + 1));
        uint64_t offset = ledger_rig_random(random) % MIB;
        if (i % 2 == 0) { /* headers are rare and matter most */
            const struct ledger_position *position =
                &rig->appends[ledger_rig_random(random) % FRAMES].append.position;
            segment = position->segment;
            offset = position->offset + ledger_rig_random(random) % 64;
        }
        unsigned bit = (unsigned)(ledger_rig_random(random) % 8);
        failed += flip_is_found(rig, segment, offset, bit) ? 0 : 1;
    }
    return failed;
}

static void every_flipped_bit_is_found_and_costs_one_frame(void **state)
{
    (void)state;
    struct ledger_rig rig;
    unsigned last = 0;
    make(&rig, &last);
    uint64_t random = ledger_rig_seed_first() * UINT64_C(0x9e3779b97f4a7c15);
    unsigned failed = 0;
    if (getenv("STOA_LONG") != NULL) {
        failed += fail_of_frames(&rig, &random);
        failed += fail_of_all(&rig, last, &random);
    } else {
        failed += fail_of_samples(&rig, last, &random);
    }
    /* Of a first block, of a trailer, and of a seal's beginning. */
    for (uint64_t offset = 0; offset < 4096; offset += 97) {
        failed += flip_is_found(&rig, 1, offset, 3) ? 0 : 1;
        failed += flip_is_found(&rig, 2, MIB - 4096 + offset, 5) ? 0 : 1;
        failed += flip_is_found(&rig, last, offset, 1) ? 0 : 1;
    }
    assert_int_equal(failed, 0);
    ledger_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_is_found_and_costs_one_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
