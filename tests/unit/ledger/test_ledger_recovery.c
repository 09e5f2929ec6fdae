/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cases of recovery (ledger_recover.c), one test each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "ledger/segment.h"
#include "ledger_rig.h"

enum { MIB = 1 << 20, FRAMES = 6 };

static void raw(struct ledger_rig *rig, enum io_op op, const char *path, uint64_t offset,
                void *data)
{
    struct io_request request = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_WRITE};
    int file = (int)io_wait(rig->io, &request);
    assert_true(file >= 0);
    request =
        (struct io_request){.op = op, .file = file, .data = data, .size = 4096, .offset = offset};
    assert_int_equal(io_wait(rig->io, &request), 4096);
    request = (struct io_request){.op = IO_SYNC, .file = file};
    assert_int_equal(io_wait(rig->io, &request), 0);
    request = (struct io_request){.op = IO_CLOSE, .file = file};
    assert_int_equal(io_wait(rig->io, &request), 0);
}

/* Zero the 4096-byte block at OFFSET. */
static void lose_block(struct ledger_rig *rig, unsigned segment, uint64_t offset)
{
    uint8_t *zeros = memory_alloc_aligned(4096, 4096);
    memset(zeros, 0, 4096);
    ledger_rig_start(rig);
    raw(rig, IO_WRITE, ledger_rig_segment(rig, segment), offset & ~UINT64_C(4095), zeros);
    memory_free(zeros);
}

static void flip(struct ledger_rig *rig, unsigned segment, uint64_t offset)
{
    assert_int_equal(io_disk_flip(rig->disk, ledger_rig_segment(rig, segment), offset, 2), 0);
}

/* FRAMES appends of SIZE, a group each but the last two, which share one. Then power goes: no mark
 * unless MARK. */
static void make(struct ledger_rig *rig, size_t size, bool mark)
{
    ledger_rig_init_sim(rig, 3, MIB);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        ledger_rig_append(rig, size);
        if (i + 2 != FRAMES) {
            assert_int_equal(ledger_rig_wait(rig), 0);
        }
    }
    if (mark) {
        uint64_t until = io_now_ns(rig->io) + 100000000;
        while (io_now_ns(rig->io) < until) {
            assert_true(io_run(rig->io, 10000000) >= 0);
        }
    }
    ledger_rig_cut(rig, 9, false);
}

static const struct ledger_position *place(const struct ledger_rig *rig, unsigned number)
{
    return &rig->appends[number].append.position;
}

/* Open, and expect exactly the first KEPT frames to be there, in good order, and to go on. */
static void expect_kept(struct ledger_rig *rig, unsigned kept)
{
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    assert_int_equal(rig->recovery.damaged_frames, 0);
    assert_int_equal(ledger_rig_scan(rig), kept);
    assert_int_equal(ledger_rig_verify(rig, false, NULL), 0);
    ledger_rig_forget(rig, kept);
    ledger_rig_append(rig, 3000);
    assert_int_equal(ledger_rig_wait(rig), 0);
    assert_int_equal(ledger_rig_close(rig), 0);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    assert_true(rig->recovery.clean);
    assert_int_equal(ledger_rig_scan(rig), kept + 1);
    ledger_rig_deinit(rig);
}

/* Open, and expect frame NUMBER to be damaged and all others there; also after going on. */
static void expect_damage(struct ledger_rig *rig, unsigned number, uint64_t proven)
{
    for (int round = 0; round < 2; round++) {
        assert_int_equal(ledger_rig_open(rig, proven), 0);
        assert_int_equal(rig->recovery.cut_bytes, 0);
        assert_int_equal(rig->recovery.damaged_frames, 1);
        for (unsigned i = 0; i < rig->append_count; i++) {
            assert_int_equal(ledger_rig_read(rig, i), i == number ? STOA_ECORRUPT : 0);
        }
        struct ledger_verify_report report;
        assert_int_equal(ledger_rig_verify(rig, true, &report), STOA_ECORRUPT);
        assert_int_equal(report.damages, 1);
        ledger_rig_append(rig, 3000);
        assert_int_equal(ledger_rig_wait(rig), 0);
        assert_int_equal(ledger_rig_close(rig), 0);
    }
    ledger_rig_deinit(rig);
}

static void clean_end_is_told_from_a_kill(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 5000, false);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_false(rig.recovery.clean);
    assert_int_equal(ledger_rig_scan(&rig), FRAMES);
    assert_int_equal(ledger_rig_close(&rig), 0);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_true(rig.recovery.clean);
    ledger_rig_deinit(&rig);
}

static void last_group_without_its_header_is_cut(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    lose_block(&rig, 1, place(&rig, FRAMES - 2)->offset);
    expect_kept(&rig, FRAMES - 2);
}

static void last_group_without_a_middle_block_is_cut_there(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    lose_block(&rig, 1, (uint64_t)place(&rig, FRAMES - 1)->offset + 5000);
    expect_kept(&rig, FRAMES - 1);
}

static void last_group_without_its_end_is_cut(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    lose_block(&rig, 1, (uint64_t)place(&rig, FRAMES - 1)->offset + 9000);
    expect_kept(&rig, FRAMES - 1);
}

static void garbage_behind_the_last_frame_is_cut(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    flip(&rig, 1, 300000);
    expect_kept(&rig, FRAMES);
}

static void bad_payload_before_a_later_group_is_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    flip(&rig, 1, place(&rig, 2)->offset + 100);
    expect_damage(&rig, 2, 0);
}

static void bad_header_before_a_later_group_is_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    flip(&rig, 1, place(&rig, 2)->offset + 17);
    expect_damage(&rig, 2, 0);
}

static void flipped_bit_in_the_last_group_before_a_mark_is_taken_for_torn(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    flip(&rig, 1, place(&rig, FRAMES - 1)->offset + 100);
    expect_kept(&rig, FRAMES - 1);
}

static void flipped_bit_in_the_last_group_behind_which_a_mark_lies_is_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, true);
    flip(&rig, 1, place(&rig, FRAMES - 1)->offset + 100);
    expect_damage(&rig, FRAMES - 1, 0);
}

static void flipped_header_in_the_last_group_behind_which_a_mark_lies_is_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, true);
    flip(&rig, 1, place(&rig, FRAMES - 1)->offset + 9);
    expect_damage(&rig, FRAMES - 1, 0);
}

static void flipped_bit_in_what_the_tables_prove_is_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    flip(&rig, 1, place(&rig, FRAMES - 1)->offset + 100);
    expect_damage(&rig, FRAMES - 1, place(&rig, FRAMES - 1)->sequence);
}

static void flipped_last_header_that_the_tables_prove_is_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    flip(&rig, 1, place(&rig, FRAMES - 1)->offset + 9);
    expect_damage(&rig, FRAMES - 1, place(&rig, FRAMES - 1)->sequence);
}

static void bad_mark_at_the_end_is_cut(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, true);
    uint64_t end = place(&rig, FRAMES - 1)->offset + place(&rig, FRAMES - 1)->size;
    flip(&rig, 1, ((end + 4095) & ~UINT64_C(4095)) + 20);
    expect_kept(&rig, FRAMES);
}

/* Fill segment 1 so that the next append seals it, and count the operations of doing that. */
static unsigned make_full(struct ledger_rig *rig)
{
    ledger_rig_init_sim(rig, 4, MIB);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    for (unsigned i = 0; i < 10; i++) {
        ledger_rig_append(rig, 98000);
        assert_int_equal(ledger_rig_wait(rig), 0);
    }
    assert_int_equal(place(rig, 9)->segment, 1);
    assert_int_equal(ledger_rig_close(rig), 0);
    io_destroy(rig->io);
    rig->io = NULL;
    return 10;
}

static void a_roll_cut_at_any_operation_loses_nothing(void **state)
{
    (void)state;
    struct ledger_rig rig;
    unsigned frames = make_full(&rig);
    bool ended = false;
    for (uint64_t cut_at = 1; !ended && cut_at < 500; cut_at++) {
        struct io_disk *whole = rig.disk;
        rig.disk = io_disk_cut(whole, cut_at, false);
        rig.sim.cut_at = cut_at;
        int result = ledger_rig_open(&rig, 0);
        if (result == 0) {
            for (unsigned i = 0; i < 3; i++) {
                ledger_rig_append(&rig, 98000);
            }
            ended = ledger_rig_wait(&rig) == 0;
        }
        unsigned good = rig.good_count;
        ledger_rig_cut(&rig, cut_at * 31, true);
        rig.sim.cut_at = 0;
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        int found = ledger_rig_scan(&rig);
        assert_true(found >= (int)good);
        assert_int_equal(rig.recovery.damaged_frames, 0);
        assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
        ledger_rig_forget(&rig, (unsigned)found);
        ledger_rig_append(&rig, 98000);
        assert_int_equal(ledger_rig_wait(&rig), 0);
        assert_int_equal(ledger_rig_scan(&rig), found + 1);
        ledger_abandon(rig.ledger);
        rig.ledger = NULL;
        io_destroy(rig.io);
        rig.io = NULL;
        io_disk_destroy(rig.disk);
        rig.disk = whole;
        ledger_rig_forget(&rig, frames);
    }
    assert_true(ended);
    ledger_rig_deinit(&rig);
}

static void torn_trailer_is_written_again(void **state)
{
    (void)state;
    struct ledger_rig rig;
    unsigned frames = make_full(&rig);
    /* A roll that is cut right behind the seal leaves this; so does losing trailer and next head.
     */
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, 98000);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(place(&rig, frames)->segment, 2);
    ledger_rig_cut(&rig, 1, false);
    lose_block(&rig, 1, MIB - 4096);
    for (uint64_t offset = 0; offset < 102400; offset += 4096) {
        lose_block(&rig, 2, offset);
    }
    ledger_rig_forget(&rig, frames);
    expect_kept(&rig, frames);
}

static void torn_first_group_of_a_segment_leaves_a_spare(void **state)
{
    (void)state;
    struct ledger_rig rig;
    unsigned frames = make_full(&rig);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, 98000);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    ledger_rig_cut(&rig, 1, false);
    lose_block(&rig, 2, 0);
    ledger_rig_forget(&rig, frames);
    expect_kept(&rig, frames);
}

static void the_cut_itself_can_be_cut_at_any_operation(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 60000, false);
    lose_block(&rig, 1, (uint64_t)place(&rig, FRAMES - 1)->offset + 9000);
    io_destroy(rig.io);
    rig.io = NULL;
    bool ended = false;
    for (uint64_t cut_at = 1; !ended && cut_at < 500; cut_at++) {
        struct io_disk *torn = rig.disk;
        rig.disk = io_disk_cut(torn, cut_at, true);
        rig.sim.cut_at = cut_at;
        int result = ledger_rig_open(&rig, 0);
        ended = result == 0;
        ledger_rig_cut(&rig, cut_at * 17, true);
        rig.sim.cut_at = 0;
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        assert_int_equal(rig.recovery.damaged_frames, 0);
        assert_in_range(ledger_rig_scan(&rig), FRAMES - 2, FRAMES - 1);
        assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
        ledger_abandon(rig.ledger);
        rig.ledger = NULL;
        io_destroy(rig.io);
        rig.io = NULL;
        io_disk_destroy(rig.disk);
        rig.disk = torn;
    }
    assert_true(ended);
    ledger_rig_deinit(&rig);
}

static void unlink_segment(struct ledger_rig *rig, unsigned number)
{
    ledger_rig_start(rig);
    struct io_request request = {.op = IO_UNLINK, .path = ledger_rig_segment(rig, number)};
    assert_int_equal(io_wait(rig->io, &request), 0);
}

static void missing_segments_are_named(void **state)
{
    (void)state;
    for (unsigned which = 1; which <= 2; which++) {
        struct ledger_rig rig;
        make_full(&rig);
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        for (unsigned i = 0; i < 12; i++) {
            ledger_rig_append(&rig, 98000);
        }
        assert_int_equal(ledger_rig_wait(&rig), 0);
        assert_int_equal(ledger_rig_close(&rig), 0);
        unlink_segment(&rig, which);
        assert_int_equal(ledger_rig_open(&rig, 0), STOA_ECORRUPT);
        assert_non_null(strstr(rig.detail.text, which == 1 ? "00000001.seg" : "00000002.seg"));
        ledger_rig_deinit(&rig);
    }
}

static void missing_last_segments_are_noticed(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make_full(&rig);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, 98000);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_start(&rig);
    unlink_segment(&rig, 2);
    struct io_request request = {.op = IO_UNLINK, .path = ledger_rig_segment(&rig, 3)};
    (void)io_wait(rig.io, &request); /* the spare need not be there yet */
    assert_int_equal(ledger_rig_open(&rig, 0), STOA_ECORRUPT);
    assert_non_null(strstr(rig.detail.text, "00000002.seg is missing"));
    ledger_rig_deinit(&rig);
}

static void another_stores_ledger_is_refused_and_left_alone(void **state)
{
    (void)state;
    struct ledger_rig rig;
    make(&rig, 9000, false);
    uint64_t id = rig.options.store_id;
    rig.options.store_id = id + 1;
    assert_int_equal(ledger_rig_open(&rig, 0), STOA_EINVAL);
    assert_non_null(strstr(rig.detail.text, "belongs to store"));
    rig.options.store_id = id;
    expect_kept(&rig, FRAMES);
}

static void empty_directory_holds_no_ledger(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 3, MIB);
    unlink_segment(&rig, 1);
    assert_int_equal(ledger_rig_open(&rig, 0), STOA_ENOTFOUND);
    ledger_rig_deinit(&rig);
}

static void tables_ahead_of_an_empty_ledger_are_damage(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 3, MIB);
    assert_int_equal(ledger_rig_open(&rig, 10), STOA_ECORRUPT);
    ledger_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_end_is_told_from_a_kill),
        cmocka_unit_test(last_group_without_its_header_is_cut),
        cmocka_unit_test(last_group_without_a_middle_block_is_cut_there),
        cmocka_unit_test(last_group_without_its_end_is_cut),
        cmocka_unit_test(garbage_behind_the_last_frame_is_cut),
        cmocka_unit_test(bad_payload_before_a_later_group_is_damage),
        cmocka_unit_test(bad_header_before_a_later_group_is_damage),
        cmocka_unit_test(flipped_bit_in_the_last_group_before_a_mark_is_taken_for_torn),
        cmocka_unit_test(flipped_bit_in_the_last_group_behind_which_a_mark_lies_is_damage),
        cmocka_unit_test(flipped_header_in_the_last_group_behind_which_a_mark_lies_is_damage),
        cmocka_unit_test(flipped_bit_in_what_the_tables_prove_is_damage),
        cmocka_unit_test(flipped_last_header_that_the_tables_prove_is_damage),
        cmocka_unit_test(bad_mark_at_the_end_is_cut),
        cmocka_unit_test(a_roll_cut_at_any_operation_loses_nothing),
        cmocka_unit_test(torn_trailer_is_written_again),
        cmocka_unit_test(torn_first_group_of_a_segment_leaves_a_spare),
        cmocka_unit_test(the_cut_itself_can_be_cut_at_any_operation),
        cmocka_unit_test(missing_segments_are_named),
        cmocka_unit_test(missing_last_segments_are_noticed),
        cmocka_unit_test(another_stores_ledger_is_refused_and_left_alone),
        cmocka_unit_test(empty_directory_holds_no_ledger),
        cmocka_unit_test(tables_ahead_of_an_empty_ledger_are_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
