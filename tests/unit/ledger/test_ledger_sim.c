/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random appends on a simulated disk whose power goes at random operations, also while opening.
 * After each cut: all that was acknowledged is there and exact, what is there is a prefix of the
 * order of the appends, verify finds nothing, and the ledger goes on. STOA_SIM_SEEDS sets how many
 * seeds, STOA_TEST_SEED the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "ledger_rig.h"
#include "support/sanitized.h"

enum { ROUNDS = 5, APPENDS_MAX = 1500 };

static size_t random_size(uint64_t *random)
{
    uint64_t choice = ledger_rig_random(random) % 100;
    if (choice < 50) {
        return 8 + ledger_rig_random(random) % 200;
    }
    if (choice < 90) {
        return 8 + ledger_rig_random(random) % 20000;
    }
    return 8 + ledger_rig_random(random) % (choice < 99 ? 150000 : 900000);
}

/* Append until power goes or enough is done. */
static void work(struct ledger_rig *rig, uint64_t *random)
{
    unsigned limit = rig->append_count + 20 + (unsigned)(ledger_rig_random(random) % 200);
    int result = 0;
    while (result >= 0 && rig->append_count < limit && rig->append_count < APPENDS_MAX) {
        unsigned burst = 1 + (unsigned)(ledger_rig_random(random) % 12);
        for (unsigned i = 0; i < burst && rig->append_count < LEDGER_RIG_FRAMES_MAX - 64; i++) {
            ledger_rig_append(rig, random_size(random));
        }
        uint64_t wait = ledger_rig_random(random) % 4;
        if (wait == 0) {
            result = ledger_rig_wait(rig);
        } else if (wait == 1) { /* idle long enough for a mark */
            uint64_t until = io_now_ns(rig->io) + 50000000;
            while (result >= 0 && io_now_ns(rig->io) < until) {
                result = io_run(rig->io, 10000000);
            }
        } else {
            for (uint64_t i = 0; i < wait && result >= 0; i++) {
                result = io_run(rig->io, 0);
            }
        }
    }
    if (result >= 0 && ledger_rig_random(random) % 2 == 0) {
        (void)ledger_rig_wait(rig); /* the cut may come in it */
    }
}

/* Open after a cut, itself perhaps cut. False: the cut came first. */
static bool reopen(struct ledger_rig *rig, uint64_t *random, bool *out_failed)
{
    uint64_t proven = 0;
    if (rig->good_count > 0 && ledger_rig_random(random) % 2 == 0) {
        uint64_t which = ledger_rig_random(random) % rig->good_count;
        proven = rig->appends[which].append.position.sequence;
    }
    int result = ledger_rig_open(rig, proven);
    if (result == STOA_ECLOSED || (result < 0 && ledger_rig_is_cut(rig))) {
        return false;
    }
    if (result != 0 || rig->recovery.damaged_frames != 0) {
        printf("open: %d %s, %llu damaged\n", result, rig->detail.text,
               (unsigned long long)rig->recovery.damaged_frames);
        *out_failed = true;
        return false;
    }
    int count = ledger_rig_scan(rig);
    if (ledger_rig_is_cut(rig)) {
        return false;
    }
    if (count < 0 || (unsigned)count < rig->good_count) {
        printf("acknowledged %u, found %d\n", rig->good_count, count);
        *out_failed = true;
        return false;
    }
    result = ledger_rig_verify(rig, false, NULL);
    if (ledger_rig_is_cut(rig)) {
        return false;
    }
    if (result != 0) {
        printf("verify: %s\n", rig->detail.text);
        *out_failed = true;
        return false;
    }
    ledger_rig_forget(rig, (unsigned)count);
    return true;
}

/* True where all held. */
static bool run(uint64_t seed, bool lying)
{
    uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct ledger_rig rig;
    bool failed = false;
    ledger_rig_init_sim(&rig, seed, 1 << 20);
    rig.lying = lying;
    rig.options.prepare = seed % 3 == 0 ? LEDGER_ALLOCATE : LEDGER_PREWRITE;
    rig.options.spare_count = 1 + (unsigned)(seed % 4);
    io_destroy(rig.io);
    rig.io = NULL;
    for (unsigned round = 0; round < ROUNDS && !failed; round++) {
        rig.sim.seed = seed * 1000 + round;
        rig.sim.delay_ns_max = seed % 2 == 0 ? 2000000 : 0;
        rig.sim.cut_at = 1 + ledger_rig_random(&random) % (round % 2 == 0 ? 250 : 40);
        if (reopen(&rig, &random, &failed)) {
            work(&rig, &random);
        }
        if (!failed) {
            ledger_rig_cut(&rig, seed * 77 + round, seed % 4 != 0);
        }
    }
    if (!failed) {
        rig.sim.cut_at = 0;
        failed = !reopen(&rig, &random, &failed);
    }
    if (!failed) { /* it goes on */
        ledger_rig_append(&rig, 5000);
        failed = ledger_rig_wait(&rig) != 0 || rig.good_count != rig.append_count ||
                 ledger_rig_scan(&rig) != (int)rig.append_count;
    }
    ledger_rig_deinit(&rig);
    return !failed;
}

static void acknowledged_frames_survive_power_cuts(void **state)
{
    (void)state;
    uint64_t first = ledger_rig_seed_first();
    unsigned count = ledger_rig_seed_count(150 / SANITIZED_SLOWER);
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!run(seed, false)) {
            fail_msg("seed %llu: repeat with STOA_TEST_SEED=%llu STOA_SIM_SEEDS=1",
                     (unsigned long long)seed, (unsigned long long)seed);
        }
    }
}

static void a_disk_that_lies_about_durability_is_caught(void **state)
{
    (void)state;
    unsigned caught = 0;
    for (uint64_t seed = 1; seed <= 20 && caught == 0; seed++) {
        caught += run(seed, true) ? 0 : 1;
    }
    assert_true(caught > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_frames_survive_power_cuts),
        cmocka_unit_test(a_disk_that_lies_about_durability_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
