/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ensure_failed(const char *condition, const char *file, int line,
                             const char *function)
{
    fprintf(stderr, "stoa: bug: %s:%d: %s: ensure(%s) failed\n", file, line, function, condition);
    abort();
}
