/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ensure.h: assertions that are on in every build. A failed one is a bug of ours: the process
 * prints where and aborts. Data from disk, network, user or WiredTiger is checked with errors,
 * never with these. */
#ifndef ENSURE_H
#define ENSURE_H

#include <assert.h>

_Noreturn void ensure_failed(const char *condition, const char *file, int line,
                             const char *function);

#define ensure(condition) \
    ((condition) ? (void)0 : ensure_failed(#condition, __FILE__, __LINE__, __func__))

#endif
