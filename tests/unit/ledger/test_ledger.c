/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "ledger/ledger_private.h"
#include "ledger_rig.h"

enum { MIB = 1 << 20 };

static void check_all_read(struct ledger_rig *rig)
{
    for (unsigned i = 0; i < rig->append_count; i++) {
        int result = ledger_rig_read(rig, i);
        if (result != 0) {
            fail_msg("frame %u: %s", i, rig->detail.text);
        }
        bool whole;
        assert_int_equal(ledger_rig_read_ranges(rig, i, rig->append_count + i, &whole), 0);
        assert_false(whole);
    }
}

static void append_and_reopen(struct ledger_rig *rig)
{
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    assert_int_equal(rig->recovery.last_sequence, 0);
    assert_true(rig->recovery.clean);
    for (unsigned i = 0; i < 300; i++) {
        ledger_rig_append(rig, 8 + i * 97 % 30000);
        if (i % 7 == 0) {
            assert_int_equal(ledger_rig_wait(rig), 0);
        }
    }
    assert_int_equal(ledger_rig_wait(rig), 0);
    assert_int_equal(rig->good_count, 300);
    check_all_read(rig);
    assert_int_equal(ledger_rig_close(rig), 0);
    assert_int_equal(ledger_rig_open(rig, 0), 0);
    assert_true(rig->recovery.clean);
    assert_int_equal(rig->recovery.cut_bytes, 0);
    assert_true(rig->recovery.last_sequence > 300);
    check_all_read(rig);
    ledger_rig_append(rig, 1000);
    assert_int_equal(ledger_rig_wait(rig), 0);
    check_all_read(rig);
    assert_int_equal(ledger_rig_close(rig), 0);
}

static void appends_survive_a_reopen_on_the_simulated_disk(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 1, MIB);
    append_and_reopen(&rig);
    ledger_rig_deinit(&rig);
}

static void appends_survive_a_reopen_on_threads(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_real(&rig, IO_BACKEND_THREADS, MIB);
    append_and_reopen(&rig);
    ledger_rig_deinit(&rig);
}

static void appends_survive_a_reopen_on_the_ring(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_real(&rig, IO_BACKEND_RING, MIB);
    if (rig.io == NULL) {
        printf("skipped: %s\n", rig.detail.text);
    } else {
        append_and_reopen(&rig);
    }
    ledger_rig_deinit(&rig);
}

static void appends_allocate_nothing(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct ledger_rig rig;
    ledger_rig_init_real(&rig, IO_BACKEND_THREADS, 16 * MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, 20000);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(ledger_rig_read(&rig, 0), 0);
    /* Until the next segment is ready: making it may allocate, once a segment. */
    uint64_t last = 0;
    struct ledger_stats stats;
    do {
        last = memory_allocation_count();
        for (int i = 0; i < 50; i++) {
            assert_true(io_run(rig.io, 20000000) >= 0);
        }
        ledger_stats(rig.ledger, &stats);
    } while (stats.segment_count < 2 || memory_allocation_count() != last);
    uint64_t rig_count = 0;
    uint64_t before = memory_allocation_count();
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t start = memory_allocation_count();
        struct ledger_rig_append *mine = ledger_rig_append(&rig, 20000);
        assert_non_null(mine);
        rig_count += 1; /* the rig's own payload */
        assert_int_equal(memory_allocation_count() - start, 1);
        if (i % 8 == 7) {
            assert_int_equal(ledger_rig_wait(&rig), 0);
        }
    }
    assert_int_equal(memory_allocation_count() - before, rig_count);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_deinit(&rig);
}

static bool is_written(struct ledger_rig *rig, unsigned segment)
{
    struct io_request open = {
        .op = IO_OPEN, .path = ledger_rig_segment(rig, segment), .flags = IO_OPEN_DIRECT};
    assert_true(io_wait(rig->io, &open) >= 0);
    int file = (int)open.result;
    bool written = io_is_written(rig->io, file, 0, rig->options.segment_size);
    struct io_request close = {.op = IO_CLOSE, .file = file};
    assert_int_equal(io_wait(rig->io, &close), 0);
    return written;
}

static void what_a_bulk_import_only_reserved_is_written_before_it_is_used(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_real(&rig, IO_BACKEND_THREADS, MIB);
    rig.options.prepare = LEDGER_ALLOCATE;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    struct ledger_stats stats;
    do {
        ledger_rig_append(&rig, 300000);
        assert_int_equal(ledger_rig_wait(&rig), 0);
        assert_true(io_run(rig.io, 1000000) >= 0);
        ledger_stats(rig.ledger, &stats);
    } while (stats.segment_count < 3);
    assert_int_equal(ledger_rig_close(&rig), 0);
    if (is_written(&rig, 3)) {
        printf("this file system does not tell reserved blocks from written ones\n");
    }
    rig.options.prepare = LEDGER_PREWRITE;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(rig.recovery.cut_bytes, 0);
    assert_true(is_written(&rig, 2));
    assert_true(is_written(&rig, 3));
    assert_int_equal(ledger_rig_scan(&rig), (int)rig.append_count);
    assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_deinit(&rig);
}

/* Let virtual time pass. */
static void pass_time(struct ledger_rig *rig, uint64_t time_ns)
{
    uint64_t until = io_now_ns(rig->io) + time_ns;
    while (io_now_ns(rig->io) < until) {
        assert_true(io_run(rig->io, 1000000) >= 0);
    }
}

static void stock_of_spares_is_made_in_quiet_times_and_used_in_busy_ones(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 3, MIB);
    rig.options.spare_count = 3;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_non_null(ledger_rig_append(&rig, 1000));
    assert_int_equal(ledger_rig_wait(&rig), 0);
    pass_time(&rig, 1000000000);
    struct ledger_stats stats;
    ledger_stats(rig.ledger, &stats);
    assert_int_equal(stats.segment_count, 4);

    uint64_t zeros = stats.written_bytes - stats.frame_bytes;
    unsigned segments = 0;
    for (unsigned i = 0; i < 25; i++) { /* more than two segments, no time between */
        assert_non_null(ledger_rig_append(&rig, 100000));
        assert_int_equal(ledger_rig_wait(&rig), 0);
    }
    ledger_stats(rig.ledger, &stats);
    assert_int_equal(stats.segment_count, 4);
    assert_true(stats.written_bytes - stats.frame_bytes - zeros < MIB / 4); /* seals and padding */

    for (unsigned i = 0; i < 40; i++) { /* and on, beyond the stock */
        assert_non_null(ledger_rig_append(&rig, 100000));
        assert_int_equal(ledger_rig_wait(&rig), 0);
    }
    assert_int_equal(rig.good_count, 66);
    pass_time(&rig, 1000000000);
    ledger_stats(rig.ledger, &stats);
    segments = stats.segment_count;
    assert_int_equal(ledger_rig_close(&rig), 0);

    assert_int_equal(ledger_rig_open(&rig, 0), 0); /* found again, not made again */
    ledger_stats(rig.ledger, &stats);
    assert_int_equal(stats.segment_count, segments);
    pass_time(&rig, 1000000000);
    ledger_stats(rig.ledger, &stats);
    assert_int_equal(stats.segment_count, segments);
    assert_int_equal(ledger_rig_scan(&rig), 66);
    assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_deinit(&rig);
}

static uint64_t zeros_of(const struct ledger_rig *rig)
{
    struct ledger_stats stats;
    ledger_stats(rig->ledger, &stats);
    return stats.written_bytes - stats.frame_bytes;
}

static void who_reads_is_not_held_up_by_spares(void **state)
{
    enum { CHUNK = 256 << 10, STEP_NS = 10000000 };
    (void)state;
    struct ledger_rig rig;
    struct ledger_stats stats;
    ledger_rig_init_sim(&rig, 4, 4 * MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_non_null(ledger_rig_append(&rig, 1000));
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    rig.options.spare_count = 3;
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(ledger_rig_read(&rig, 0), 0);
    uint64_t zeros = zeros_of(&rig);
    uint64_t from = io_now_ns(rig.io);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(ledger_rig_read(&rig, 0), 0);
        pass_time(&rig, 1000000);
    }
    uint64_t steps = (io_now_ns(rig.io) - from) / STEP_NS;
    assert_in_range(zeros_of(&rig) - zeros, CHUNK, (steps + 2) * CHUNK);
    pass_time(&rig, 1000000000);
    ledger_stats(rig.ledger, &stats);
    assert_int_equal(stats.segment_count, 4);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_deinit(&rig);
}

static void full_disk_fails_appends_and_lets_them_go_on_later(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, MIB);
    io_destroy(rig.io);
    rig.io = NULL;
    rig.sim.capacity = 5 * MIB / 2; /* two segments, not three */
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    unsigned full = 0;
    for (unsigned i = 0; i < 30; i++) {
        struct ledger_rig_append *mine = ledger_rig_append(&rig, 90000);
        assert_int_equal(ledger_rig_wait(&rig), 0);
        if (mine->append.result != 0) {
            assert_int_equal(mine->append.result, STOA_ENOSPACE);
            full++;
        } else {
            assert_int_equal(full, 0);
        }
    }
    assert_true(full > 0);
    unsigned good = rig.good_count;
    struct ledger_stats stats;
    ledger_stats(rig.ledger, &stats);
    assert_false(stats.stopped);
    for (unsigned i = 0; i < good; i++) {
        assert_int_equal(ledger_rig_read(&rig, i), 0);
    }
    assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    io_destroy(rig.io);
    rig.io = NULL;
    rig.sim.capacity = UINT64_C(1) << 40;
    ledger_rig_forget(&rig, good);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(ledger_rig_scan(&rig), good);
    for (unsigned i = 0; i < 20; i++) {
        ledger_rig_append(&rig, 90000);
    }
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(rig.good_count, rig.append_count);
    assert_int_equal(ledger_rig_scan(&rig), rig.append_count);
    ledger_rig_deinit(&rig);
}

static void failed_flush_stops_appends_for_good_and_reads_go_on(void **state)
{
    (void)state;
    unsigned stopped_count = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct ledger_rig rig;
        ledger_rig_init_sim(&rig, seed, MIB);
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        for (unsigned i = 0; i < 5; i++) {
            ledger_rig_append(&rig, 5000);
            assert_int_equal(ledger_rig_wait(&rig), 0);
        }
        assert_int_equal(ledger_rig_close(&rig), 0);
        io_destroy(rig.io);
        rig.io = NULL;
        rig.sim.seed = seed;
        rig.sim.sync_error_1_in = 10;
        if (ledger_rig_open(&rig, 0) != 0) { /* the flush at open failed */
            rig.sim.sync_error_1_in = 0;
            ledger_rig_deinit(&rig);
            continue;
        }
        bool failed = false;
        for (unsigned i = 0; i < 60; i++) {
            struct ledger_rig_append *mine = ledger_rig_append(&rig, 5000);
            assert_int_equal(ledger_rig_wait(&rig), 0);
            assert_true(mine->append.result == 0 || mine->append.result == STOA_ESTOPPED);
            assert_true(!failed || mine->append.result == STOA_ESTOPPED);
            failed = failed || mine->append.result != 0;
        }
        struct ledger_stats stats;
        ledger_stats(rig.ledger, &stats);
        assert_int_equal(stats.stopped, failed);
        for (unsigned i = 0; i < rig.good_count; i++) {
            assert_int_equal(ledger_rig_read(&rig, i), 0);
        }
        stopped_count += failed ? 1 : 0;
        assert_true(!failed || ledger_rig_close(&rig) == STOA_ESTOPPED);
        ledger_rig_deinit(&rig);
    }
    assert_true(stopped_count > 0);
}

static void frame_that_no_segment_holds_is_too_big_and_keeps_its_turn(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    struct ledger_rig_append *first = ledger_rig_append(&rig, 100);
    struct ledger_rig_append *big = ledger_rig_append(&rig, 2 * MIB);
    struct ledger_rig_append *last = ledger_rig_append(&rig, 100);
    while (!big->done) {
        assert_true(io_run(rig.io, 1000000) >= 0);
    }
    assert_true(first->done);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(big->append.result, STOA_ETOOBIG);
    assert_int_equal(first->append.result, 0);
    assert_int_equal(last->append.result, 0);
    assert_int_equal(ledger_rig_read(&rig, 2), 0);
    ledger_rig_deinit(&rig);
}

static void frame_bigger_than_a_group_buffer_is_kept(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, 16 * MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, 100);
    ledger_rig_append(&rig, 9 * MIB);
    ledger_rig_append(&rig, 100);
    ledger_rig_append(&rig, 10 * MIB);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    assert_int_equal(rig.good_count, 4);
    check_all_read(&rig);
    assert_int_equal(ledger_rig_close(&rig), 0);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(ledger_rig_scan(&rig), 4);
    assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
    ledger_rig_deinit(&rig);
}

/* Their files are open: what became of the names does not matter to reads any more. */
static void segments_are_open_soon_after_the_ledger_is(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_real(&rig, IO_BACKEND_THREADS, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    for (unsigned i = 0; i < 60; i++) {
        ledger_rig_append(&rig, 70000);
        assert_int_equal(ledger_rig_wait(&rig), 0);
    }
    struct ledger_position first = rig.appends[0].append.position;
    assert_true(rig.appends[59].append.position.segment >= 4);
    assert_int_equal(ledger_rig_close(&rig), 0);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    while (ledger_files_are_opening(rig.ledger)) {
        assert_true(io_run(rig.io, 1000000) >= 0);
    }
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/00000001.seg", rig.ledger->path);
    char aside[128];
    (void)snprintf(aside, sizeof(aside), "%s/00000001.aside", rig.ledger->path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(ledger_rig_read_at(&rig, &first, 0), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    /* And where it is closed before they are. */
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(ledger_rig_close(&rig), 0);
    ledger_rig_deinit(&rig);
}

static void places_outside_are_not_found(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, 100);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    struct ledger_position good = rig.appends[0].append.position;
    struct ledger_position bad = good;
    bad.segment = 9;
    assert_int_equal(ledger_rig_read_at(&rig, &bad, 0), STOA_ENOTFOUND);
    bad = good;
    bad.sequence += 100;
    assert_int_equal(ledger_rig_read_at(&rig, &bad, 0), STOA_ENOTFOUND);
    bad = good;
    bad.size = UINT32_MAX;
    assert_int_equal(ledger_rig_read_at(&rig, &bad, 0), STOA_ENOTFOUND);
    bad = good;
    bad.offset += 64;
    assert_int_equal(ledger_rig_read_at(&rig, &bad, 0), STOA_ECORRUPT);
    bad = good;
    bad.size += 1;
    assert_int_equal(ledger_rig_read_at(&rig, &bad, 0), STOA_ECORRUPT);
    ledger_rig_deinit(&rig);
}

static void note_end(struct ledger_read *read)
{
    *(bool *)read->context = true;
}

static void ranges_outside_are_not_found(void **state)
{
    enum { SIZE = 5000 };
    static const uint32_t outside[][2] = {
        {SIZE, 1}, {SIZE - 1, 2}, {0, SIZE + 1}, {UINT32_MAX, 1}, {1, UINT32_MAX}};
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    ledger_rig_append(&rig, SIZE);
    assert_int_equal(ledger_rig_wait(&rig), 0);
    for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        bool done = false;
        struct ledger_ranges ranges = {
            .at = {{.offset = 10, .size = 10}, {.offset = outside[i][0], .size = outside[i][1]}},
            .count = 2,
        };
        struct ledger_read read = {.position = rig.appends[0].append.position,
                                   .ranges = &ranges,
                                   .done = note_end,
                                   .context = &done};
        ledger_read(rig.ledger, &read);
        while (!done) {
            assert_true(io_run(rig.io, 1000000000) >= 0);
        }
        assert_int_equal(read.result, STOA_ENOTFOUND);
        ledger_read_release(&read);
    }
    ledger_rig_deinit(&rig);
}

static int stop_at_third(void *context, const struct ledger_frame *frame)
{
    unsigned *count = context;
    assert_int_equal(frame->result, 0);
    return ++*count == 3 ? 7 : 0;
}

static int check_from(void *context, const struct ledger_frame *frame)
{
    uint64_t *next = context;
    assert_int_equal(frame->result, 0);
    assert_true(frame->position.sequence >= *next);
    *next = frame->position.sequence + 1;
    return 0;
}

static void scan_begins_where_it_is_told_and_ends_when_told(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    for (unsigned i = 0; i < 60; i++) {
        ledger_rig_append(&rig, 70000);
    }
    assert_int_equal(ledger_rig_wait(&rig), 0);
    unsigned count = 0;
    assert_int_equal(ledger_scan(rig.ledger, 0, NULL, stop_at_third, &count, &rig.detail), 7);
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < 60; i += 7) {
        const struct ledger_position *position = &rig.appends[i].append.position;
        uint64_t last = rig.appends[59].append.position.sequence;
        uint64_t next = position->sequence;
        assert_int_equal(ledger_scan(rig.ledger, next, NULL, check_from, &next, &rig.detail), 0);
        assert_int_equal(next, last + 1);
        next = position->sequence;
        assert_int_equal(ledger_scan(rig.ledger, next, position, check_from, &next, &rig.detail),
                         0);
        assert_int_equal(next, last + 1);
    }
    ledger_rig_deinit(&rig);
}

static void closing_ends_what_waits(void **state)
{
    (void)state;
    struct ledger_rig rig;
    ledger_rig_init_sim(&rig, 8, MIB);
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    for (unsigned i = 0; i < 40; i++) {
        ledger_rig_append(&rig, 90000);
    }
    assert_int_equal(ledger_rig_close(&rig), 0);
    assert_int_equal(rig.done_count, 40);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(rig.appends[i].append.result, i < rig.good_count ? 0 : STOA_ECLOSED);
    }
    assert_int_equal(ledger_rig_open(&rig, 0), 0);
    assert_int_equal(ledger_rig_scan(&rig), rig.good_count);
    ledger_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_survive_a_reopen_on_the_simulated_disk),
        cmocka_unit_test(appends_survive_a_reopen_on_threads),
        cmocka_unit_test(appends_survive_a_reopen_on_the_ring),
        cmocka_unit_test(appends_allocate_nothing),
        cmocka_unit_test(what_a_bulk_import_only_reserved_is_written_before_it_is_used),
        cmocka_unit_test(stock_of_spares_is_made_in_quiet_times_and_used_in_busy_ones),
        cmocka_unit_test(who_reads_is_not_held_up_by_spares),
        cmocka_unit_test(full_disk_fails_appends_and_lets_them_go_on_later),
        cmocka_unit_test(failed_flush_stops_appends_for_good_and_reads_go_on),
        cmocka_unit_test(frame_that_no_segment_holds_is_too_big_and_keeps_its_turn),
        cmocka_unit_test(frame_bigger_than_a_group_buffer_is_kept),
        cmocka_unit_test(segments_are_open_soon_after_the_ledger_is),
        cmocka_unit_test(places_outside_are_not_found),
        cmocka_unit_test(ranges_outside_are_not_found),
        cmocka_unit_test(scan_begins_where_it_is_told_and_ends_when_told),
        cmocka_unit_test(closing_ends_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
