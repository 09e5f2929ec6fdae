/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_suite.h: runs every test of a suite over each kind of keyed store. A test's state is a fresh
 * struct kv_fixture. Include cmocka.h before. */
#ifndef KV_SUITE_H
#define KV_SUITE_H

#include "support/kv_fixture.h"

/* As cmocka_run_group_tests, NAME of each test preceded by the kind's. */
int kv_suite_run(const struct CMUnitTest *tests, size_t count);

/* End the test, saying what went wrong, where RESULT is not WANTED. */
void kv_suite_expect(int result, int wanted, const struct kv_fixture *fixture);

#endif
