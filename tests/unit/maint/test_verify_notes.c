/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notes of verifications, on a simulated machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "maint/verify_notes.h"
#include "store/store_upkeep.h"
#include "support/made_chain.h"
#include "support/simstore.h"

enum { BLOCKS = 4, CUTS_MAX = 400 };

static struct made_chain *chain;

/* Each number is another one. */
static struct stoa_verification made(bool deep, int result, uint64_t from)
{
    return (struct stoa_verification){.deep = deep,
                                      .result = result,
                                      .began = from,
                                      .ended = from + 1,
                                      .height = from + 2,
                                      .report = {.segments = from + 3,
                                                 .frames = from + 4,
                                                 .bytes = from + 5,
                                                 .blocks = from + 6,
                                                 .transactions = from + 7,
                                                 .receipts = from + 8,
                                                 .damages = from + 9,
                                                 .changes = from + 10,
                                                 .roots = from + 11,
                                                 .full_roots = UINT64_MAX - from,
                                                 .noted = 1}};
}

static bool is_same(const struct stoa_verification *one, const struct stoa_verification *other)
{
    return one->deep == other->deep && one->result == other->result && one->began == other->began &&
           one->ended == other->ended && one->height == other->height &&
           one->report.noted == other->report.noted &&
           memcmp(&one->report, &other->report, offsetof(struct stoa_verify_report, noted)) == 0;
}

static void init(struct simstore *sim)
{
    struct io_sim_options options = {.seed = 4};
    simstore_init(sim, 3);
    simstore_power(sim, &options);
    assert_int_equal(simstore_create(sim, chain), 0);
    assert_int_equal(simstore_open(sim), 0);
}

static void deinit(struct simstore *sim)
{
    assert_int_equal(simstore_close(sim), 0);
    simstore_unpower(sim);
    simstore_deinit(sim);
}

static void read_notes(struct simstore *sim, struct verify_notes *notes)
{
    memset(notes, 0xff, sizeof(*notes));
    assert_int_equal(verify_notes_read(notes, sim->store, &sim->detail), 0);
}

static void keep(struct simstore *sim, struct verify_notes *notes,
                 const struct stoa_verification *verification)
{
    assert_int_equal(verify_notes_keep(notes, sim->store, verification, &sim->detail), 0);
    assert_true(is_same(&notes->kept[verification->deep], verification));
}

static void expect(struct simstore *sim, const struct stoa_verification *plain,
                   const struct stoa_verification *deep)
{
    struct verify_notes notes;
    read_notes(sim, &notes);
    assert_true(is_same(&notes.kept[0], plain));
    assert_true(is_same(&notes.kept[1], deep));
}

static const struct stoa_verification none;

static void the_last_of_each_depth_is_there_after_an_opening(void **state)
{
    (void)state;
    struct simstore sim;
    struct verify_notes notes;
    struct stoa_verification plain = made(false, 0, 1000);
    struct stoa_verification deep = made(true, STOA_ECORRUPT, 1ull << 40);
    init(&sim);
    read_notes(&sim, &notes);
    assert_true(is_same(&notes.kept[0], &none) && is_same(&notes.kept[1], &none));
    assert_null(verify_notes_newest(&notes));
    keep(&sim, &notes, &plain);
    expect(&sim, &plain, &none);
    keep(&sim, &notes, &deep);
    plain = made(false, STOA_EIO, 2000);
    keep(&sim, &notes, &plain);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_restart(&sim, &(struct io_sim_options){.seed = 5}, true, 6);
    expect(&sim, &plain, &deep);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_lose_tables(&sim);
    assert_int_equal(simstore_open(&sim), 0);
    expect(&sim, &none, &none);
    deinit(&sim);
}

static void the_newest_is_of_those_that_went_through(void **state)
{
    (void)state;
    struct verify_notes notes = {{made(false, 0, 1000), made(true, STOA_ECORRUPT, 1000)}};
    assert_ptr_equal(verify_notes_newest(&notes), &notes.kept[1]);
    notes.kept[0].ended++;
    assert_ptr_equal(verify_notes_newest(&notes), &notes.kept[0]);
    notes.kept[0].result = STOA_EIO;
    assert_ptr_equal(verify_notes_newest(&notes), &notes.kept[1]);
    notes.kept[1].result = STOA_ENOMEM;
    assert_null(verify_notes_newest(&notes));
}

static void a_note_that_is_not_readable_is_as_none(void **state)
{
    (void)state;
    struct simstore sim;
    struct verify_notes notes;
    struct stoa_verification plain = made(false, 0, 1000);
    struct buffer note;
    init(&sim);
    buffer_init(&note);
    read_notes(&sim, &notes);
    keep(&sim, &notes, &plain);
    assert_int_equal(store_note_get(sim.store, "verify", &note, &sim.detail), 0);
    struct bytes whole = buffer_bytes(&note);
    struct bytes shorter = bytes_of(whole.data, whole.size - 1);
    assert_int_equal(store_note_keep(sim.store, "verify-deep", whole, &sim.detail), 0);
    plain.deep = 1;
    assert_int_equal(store_note_keep(sim.store, "verify", shorter, &sim.detail), 0);
    expect(&sim, &none, &plain);
    note.data[0]++;
    assert_int_equal(store_note_keep(sim.store, "verify-deep", whole, &sim.detail), 0);
    expect(&sim, &none, &none);
    buffer_deinit(&note);
    deinit(&sim);
}

static void a_store_that_takes_no_writes_keeps_the_note_before(void **state)
{
    (void)state;
    struct simstore sim;
    struct verify_notes notes;
    struct stoa_verification first = made(false, 0, 1000);
    struct stoa_verification second = made(false, STOA_ECORRUPT, 2000);
    struct error_detail why;
    init(&sim);
    read_notes(&sim, &notes);
    keep(&sim, &notes, &first);
    (void)error_set(&why, STOA_EIO, "a disk failed");
    store_give_up(sim.store, &why);
    assert_int_equal(verify_notes_keep(&notes, sim.store, &second, &sim.detail), STOA_EREADONLY);
    assert_non_null(strstr(sim.detail.text, "a disk failed"));
    assert_true(is_same(&notes.kept[0], &first));
    assert_int_equal(simstore_verify(&sim, NULL), 0);
    expect(&sim, &first, &none);
    deinit(&sim);
}

static void put(struct simstore *sim, uint64_t number)
{
    struct stoa_store_block block = simstore_put_of(made_chain_block(chain, number));
    (void)simstore_put(sim, &block); /* power may go */
}

/* True: power went, before a note was kept or behind it. */
static bool cut_once(void *context, uint64_t seed, uint64_t cut_at)
{
    struct simstore sim;
    struct verify_notes notes;
    struct stoa_verification first = made(false, 0, 1000);
    struct stoa_verification second = made(false, STOA_ECORRUPT, 2000);
    struct io_sim_options machine = {.seed = seed, .cut_at = cut_at};
    (void)context;
    init(&sim);
    read_notes(&sim, &notes);
    keep(&sim, &notes, &first);
    assert_int_equal(simstore_close(&sim), 0);
    simstore_unpower(&sim);
    simstore_power(&sim, &machine);
    int result = simstore_open(&sim);
    if (result == 0) {
        put(&sim, 1);
        result = verify_notes_keep(&notes, sim.store, &second, &sim.detail);
        put(&sim, 2);
    }
    bool cut = io_sim_is_cut(sim.io);
    if (!cut) {
        assert_int_equal(result, 0);
        (void)simstore_close(&sim); /* power may go yet */
    }
    simstore_restart(&sim, &machine, !io_sim_is_cut(sim.io), seed + cut_at);
    read_notes(&sim, &notes);
    bool old = result != 0 && is_same(&notes.kept[0], &first);
    assert_true(old || is_same(&notes.kept[0], &second));
    deinit(&sim);
    return cut;
}

static void power_may_go_at_any_moment(void **state)
{
    (void)state;
    simstore_cut_everywhere(7, 1, CUTS_MAX, cut_once, NULL);
}

static int make(void **state)
{
    (void)state;
    chain = made_chain_create(5, BLOCKS);
    return chain != NULL ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    made_chain_destroy(chain);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_of_each_depth_is_there_after_an_opening),
        cmocka_unit_test(the_newest_is_of_those_that_went_through),
        cmocka_unit_test(a_note_that_is_not_readable_is_as_none),
        cmocka_unit_test(a_store_that_takes_no_writes_keeps_the_note_before),
        cmocka_unit_test(power_may_go_at_any_moment),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
