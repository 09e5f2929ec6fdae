/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A ledger that stopped, opened again in place: what was acknowledged is there and nothing else,
 * however often it fails, also after a power cut. */
#include "ledger/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "ledger_rig.h"
#include "support/sanitized.h"

enum { MIB = 1 << 20, ROUNDS = 30 / SANITIZED_SLOWER, TRIES_MAX = 1000 };

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

/* Hold the first frame, as a view does. */
static void hold_first(struct ledger_rig *rig, struct ledger_read *read)
{
    bool done = false;
    *read = (struct ledger_read){
        .position = rig->appends[0].append.position, .done = note_read, .context = &done};
    ledger_read(rig->ledger, read);
    while (!done) {
        assert_true(io_run(rig->io, MIB) >= 0);
    }
}

/* Open it again until that works; true where it had stopped. */
static bool reopen(struct ledger_rig *rig)
{
    int result = STOA_EIO;
    if (ledger_stopped(rig->ledger, NULL) == 0) {
        return false;
    }
    ledger_rig_forget(rig, rig->good_count); /* nobody was told that they are there */
    for (unsigned i = 0; result != 0 && i < TRIES_MAX; i++) {
        for (unsigned j = 0; rig->sim.read_error_1_in == 0 && j < rig->good_count; j += 7) {
            assert_int_equal(ledger_rig_read(rig, j), 0); /* reads go on */
        }
        result = ledger_reopen(rig->ledger, &rig->recovery, &rig->detail);
        assert_true(result == 0 || rig->detail.text[0] != '\0');
    }
    assert_int_equal(result, 0);
    assert_int_equal(ledger_stopped(rig->ledger, NULL), 0);
    return true;
}

/* Append in groups on a failing machine, opening again whenever it stops. Returns how often. */
static unsigned go_on(struct ledger_rig *rig, uint64_t seed)
{
    unsigned reopened = 0;
    uint64_t random = seed;
    for (unsigned i = 0; i < 120; i++) {
        unsigned group = 1 + (unsigned)(ledger_rig_random(&random) % 4);
        for (unsigned j = 0; j < group; j++) {
            ledger_rig_append(rig, 8 + ledger_rig_random(&random) % 60000);
        }
        assert_int_equal(ledger_rig_wait(rig), 0);
        reopened += reopen(rig);
    }
    return reopened;
}

static void run(struct io_sim_options failing, bool cut)
{
    unsigned reopened = 0;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct ledger_rig rig;
        struct ledger_read held;
        ledger_rig_init_sim(&rig, seed, MIB);
        rig.options.spare_count = 2;
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        ledger_rig_append(&rig, 5000);
        assert_int_equal(ledger_rig_wait(&rig), 0);
        assert_int_equal(ledger_rig_close(&rig), 0);
        io_destroy(rig.io);
        rig.io = NULL;
        rig.sim = failing;
        rig.sim.seed = seed;
        if (ledger_rig_open(&rig, 0) != 0) {
            ledger_rig_deinit(&rig);
            continue; /* it failed at once */
        }
        hold_first(&rig, &held);
        reopened += go_on(&rig, seed);
        assert_true(held.result != 0 || ledger_rig_identify(held.payload) == 0);
        ledger_read_release(&held);
        if (cut) {
            ledger_rig_cut(&rig, seed, true);
        } else {
            (void)ledger_rig_close(&rig); /* it may fail once more */
            io_destroy(rig.io);
            rig.io = NULL;
        }
        rig.sim = (struct io_sim_options){.seed = seed};
        assert_int_equal(ledger_rig_open(&rig, 0), 0);
        assert_int_equal(ledger_rig_scan(&rig), rig.good_count);
        assert_int_equal(ledger_rig_verify(&rig, false, NULL), 0);
        ledger_rig_deinit(&rig);
    }
    assert_true(reopened > ROUNDS);
}

static void writes_that_fail_are_undone_and_it_goes_on(void **state)
{
    (void)state;
    run((struct io_sim_options){.write_error_1_in = 20, .delay_ns_max = 500000}, false);
}

static void flushes_that_fail_are_undone_and_it_goes_on(void **state)
{
    (void)state;
    run((struct io_sim_options){.sync_error_1_in = 20, .delay_ns_max = 500000}, false);
}

static void power_cut_later_finds_what_was_acknowledged(void **state)
{
    (void)state;
    run(
        (struct io_sim_options){
            .write_error_1_in = 25, .sync_error_1_in = 25, .torn = true, .delay_ns_max = 500000},
        true);
}

static void reads_that_fail_leave_it_stopped_and_whole(void **state)
{
    (void)state;
    run((struct io_sim_options){.write_error_1_in = 20, .read_error_1_in = 15}, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_that_fail_are_undone_and_it_goes_on),
        cmocka_unit_test(flushes_that_fail_are_undone_and_it_goes_on),
        cmocka_unit_test(power_cut_later_finds_what_was_acknowledged),
        cmocka_unit_test(reads_that_fail_leave_it_stopped_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
