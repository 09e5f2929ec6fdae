/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "ledger_rig.h"

enum { MIB = 1 << 20 };

static void check_all_read(struct ledger_rig *rig)
{
    for (unsigned i = 0; i < rig->append_count; i++) {
        assert_int_equal(ledger_rig_read(rig, i), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_survive_a_reopen_on_the_simulated_disk),
        cmocka_unit_test(appends_survive_a_reopen_on_threads),
        cmocka_unit_test(appends_survive_a_reopen_on_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
