/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Flipped bits anywhere in the segments of a store: each is found, or changes nothing; with a
 * backup the store is mended byte by byte, without one it is left as it is and told.
 *
 * STOA_TEST_SEED=S begins at S. STOA_LONG=1 flips a hundred times as often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "maint/backup.h"
#include "maint/repair.h"
#include "maint/transfer.h"
#include "support/fixture.h"
#include "support/simstore.h"

enum { BLOCKS = 8, VALUE_SIZE = 300000, VALUES = 8, SEGMENTS_MAX = 16, FLIPS = 24 };

struct ward {
    struct simstore sim;
    struct made_chain *chain;
    struct ledger_end end;
    uint8_t sums[SEGMENTS_MAX][TRANSFER_SUM_SIZE]; /* of the segments up to the end */
    uint64_t sizes[SEGMENTS_MAX];
};

static void segment_path(uint32_t number, char out[64])
{
    (void)snprintf(out, 64, "/store/ledger/%08u.seg", number);
}

/* Sums of what the backup has. */
static void sum_up(struct ward *ward, uint8_t sums[SEGMENTS_MAX][TRANSFER_SUM_SIZE])
{
    for (uint32_t number = 1; number <= ward->end.segment; number++) {
        char path[64];
        segment_path(number, path);
        assert_int_equal(transfer_sum(ward->sim.io, path, ward->sizes[number], NULL, sums[number],
                                      &ward->sim.detail),
                         0);
    }
}

/* A closed store of several segments, and its backup. */
static void start(struct ward *ward, uint64_t seed)
{
    struct io_sim_options machine = {.seed = seed};
    struct backup_report report;
    struct store_point point;
    struct simstore *sim = &ward->sim;
    ward->chain = made_chain_create(3, BLOCKS);
    simstore_init(sim, seed);
    simstore_power(sim, &machine);
    assert_int_equal(simstore_create(sim, ward->chain), 0);
    assert_int_equal(simstore_open(sim), 0);
    simstore_fill_first_segment(sim);
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        struct stoa_store_block put = simstore_put_of(made_chain_block(ward->chain, i));
        assert_int_equal(simstore_put(sim, &put), 0);
        if (i == BLOCKS / 2) {
            simstore_fill(sim, 7, VALUES, VALUE_SIZE);
        }
    }
    int result;
    while ((result = store_get_point(sim->store, &point)) == STOA_EBUSY) {
        assert_true(io_run(sim->io, 1000000) >= 0);
    }
    assert_int_equal(result, 0);
    struct backup_options options = {.io = sim->io, .directory = "/store", .target = "/backup"};
    assert_int_equal(backup_create(&options, &point,
                                   made_chain_block(ward->chain, BLOCKS)->state_root, &report,
                                   &sim->detail),
                     0);
    assert_int_equal(simstore_close(sim), 0);
    ward->end = point.end;
    assert_true(point.end.segment > 2 && point.end.segment < SEGMENTS_MAX);
    for (uint32_t number = 1; number < point.end.segment; number++) {
        char path[64];
        segment_path(number, path);
        assert_int_equal(io_file_size(sim->io, path, &ward->sizes[number]), 0);
    }
    ward->sizes[point.end.segment] = point.end.size;
    sum_up(ward, ward->sums);
}

static void finish(struct ward *ward)
{
    simstore_deinit(&ward->sim);
    made_chain_destroy(ward->chain);
}

static void expect_as_before(struct ward *ward)
{
    uint8_t sums[SEGMENTS_MAX][TRANSFER_SUM_SIZE];
    sum_up(ward, sums);
    for (uint32_t number = 1; number <= ward->end.segment; number++) {
        if (memcmp(sums[number], ward->sums[number], TRANSFER_SUM_SIZE) != 0) {
            fail_msg("segment %u is not what it was", number);
        }
    }
}

static void count_told(void *context, const struct repair_damage *damage)
{
    unsigned *told = context;
    assert_non_null(damage->file);
    assert_true(damage->what[0] != '\0');
    (*told)++;
}

static int repair(struct ward *ward, bool with_backup, unsigned *told,
                  struct repair_report *out_report)
{
    static const char *const sources[] = {"/backup"};
    struct repair_options options = {
        .io = ward->sim.io,
        .directory = "/store",
        .sources = sources,
        .source_count = with_backup ? 1 : 0,
        .store = {.segment_size = ward->sim.segment_size, .memory_tables = ward->sim.tables},
        .damage = count_told,
        .context = told,
    };
    *told = 0;
    return repair_run(&options, out_report, &ward->sim.detail);
}

/* A place in a segment, more often where frames are than where nothing is. */
static void choose(struct ward *ward, uint64_t *random, uint32_t *out_number, uint64_t *out_offset)
{
    *out_number = 1 + (uint32_t)fixture_random_below(random, ward->end.segment);
    uint64_t size = ward->sizes[*out_number];
    switch (fixture_random_below(random, 4)) {
    case 0:
        *out_offset = fixture_random_below(random, 200); /* its head */
        break;
    case 1:
        *out_offset = size - 1 - fixture_random_below(random, 12288); /* seal, trailer, tail */
        break;
    default:
        *out_offset = fixture_random_below(random, size);
        break;
    }
}

static void a_flipped_bit_is_mended_from_a_backup(void **state)
{
    (void)state;
    struct ward ward;
    uint64_t random = fixture_seed();
    start(&ward, random);
    unsigned flips = getenv("STOA_LONG") != NULL ? 100 * FLIPS : FLIPS;
    for (unsigned i = 0; i < flips; i++) {
        struct repair_report report;
        uint32_t number;
        uint64_t offset;
        unsigned told;
        char path[64];
        choose(&ward, &random, &number, &offset);
        segment_path(number, path);
        assert_int_equal(
            io_disk_flip(ward.sim.disk, path, offset, (unsigned)fixture_random_below(&random, 8)),
            0);
        int result = repair(&ward, true, &told, &report);
        if (result != 0 || report.left != 0) {
            fail_msg("segment %u, offset %llu: %s", number, (unsigned long long)offset,
                     ward.sim.detail.text);
        }
        expect_as_before(&ward);
        assert_int_equal(simstore_open(&ward.sim), 0);
        simstore_expect(&ward.sim, ward.chain, 1, BLOCKS);
        assert_int_equal(simstore_close(&ward.sim), 0);
    }
    finish(&ward);
}

static void what_nothing_has_is_left_and_told(void **state)
{
    (void)state;
    struct ward ward;
    struct repair_report report;
    unsigned told;
    start(&ward, fixture_seed());
    char path[64];
    segment_path(1, path);
    assert_int_equal(io_disk_flip(ward.sim.disk, path, 5000000, 3), 0);
    assert_int_equal(repair(&ward, false, &told, &report), STOA_ECORRUPT);
    assert_int_equal(told, 1);
    assert_int_equal(report.mended, 0);
    assert_true(report.left >= 1);
    assert_int_equal(simstore_open(&ward.sim), 0);
    assert_int_equal(simstore_verify(&ward.sim, NULL), STOA_ECORRUPT);
    simstore_expect(&ward.sim, ward.chain, 1, BLOCKS); /* blocks around it are served */
    assert_int_equal(simstore_close(&ward.sim), 0);
    /* With the backup it is mended after all, and so are several places at once. */
    segment_path(2, path);
    assert_int_equal(io_disk_flip(ward.sim.disk, path, 70000, 1), 0);
    uint64_t trailer = ward.sizes[2] - IO_ALIGNMENT;
    assert_int_equal(io_disk_flip(ward.sim.disk, path, trailer + 9, 1), 0);
    assert_int_equal(repair(&ward, true, &told, &report), 0);
    assert_int_equal(report.mended, 3);
    assert_int_equal(report.left, 0);
    expect_as_before(&ward);
    finish(&ward);
}

static void a_source_that_is_damaged_there_too_gives_nothing(void **state)
{
    (void)state;
    struct ward ward;
    struct repair_report report;
    unsigned told;
    start(&ward, fixture_seed());
    assert_int_equal(io_disk_flip(ward.sim.disk, "/store/ledger/00000001.seg", 5000000, 3), 0);
    assert_int_equal(io_disk_flip(ward.sim.disk, "/backup/ledger/00000001.seg", 5000100, 3), 0);
    assert_int_equal(repair(&ward, true, &told, &report), STOA_ECORRUPT);
    assert_int_equal(report.mended, 0);
    finish(&ward);
}

static void a_missing_segment_comes_from_the_backup(void **state)
{
    (void)state;
    struct ward ward;
    struct repair_report report;
    unsigned told;
    start(&ward, fixture_seed());
    struct io_request request = {.op = IO_UNLINK, .path = "/store/ledger/00000001.seg"};
    assert_int_equal(io_wait(ward.sim.io, &request), 0);
    assert_int_equal(repair(&ward, true, &told, &report), 0);
    assert_int_equal(report.mended, 1);
    expect_as_before(&ward);
    finish(&ward);
}

static void the_identity_comes_from_the_backup(void **state)
{
    (void)state;
    struct ward ward;
    struct repair_report report;
    unsigned told;
    start(&ward, fixture_seed());
    for (uint64_t offset = 0; offset < 72; offset += 7) {
        assert_int_equal(io_disk_flip(ward.sim.disk, "/store/STORE", offset, 2), 0);
        int result = repair(&ward, false, &told, &report);
        assert_true(result == STOA_ECORRUPT || result == STOA_EVERSION);
        if (result == STOA_EVERSION) { /* a newer Stoa's, as far as one can tell */
            assert_int_equal(io_disk_flip(ward.sim.disk, "/store/STORE", offset, 2), 0);
            continue;
        }
        assert_int_equal(repair(&ward, true, &told, &report), 0);
        assert_int_equal(report.mended, 1);
    }
    expect_as_before(&ward);
    finish(&ward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_is_mended_from_a_backup),
        cmocka_unit_test(what_nothing_has_is_left_and_told),
        cmocka_unit_test(a_source_that_is_damaged_there_too_gives_nothing),
        cmocka_unit_test(a_missing_segment_comes_from_the_backup),
        cmocka_unit_test(the_identity_comes_from_the_backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
