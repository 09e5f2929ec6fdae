/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exposition.h: reads Prometheus' text format (0.0.4) strictly, for tests. */
#ifndef EXPOSITION_H
#define EXPOSITION_H

#include <stddef.h>

/* NULL where TEXT is sound: every line well formed, one HELP and one TYPE before the samples of a
 * family, families in one piece, no series twice, counters named _total and not negative, buckets
 * of histograms rising to +Inf, which is their _count. Else what is wrong; *OUT_LINE says where. */
const char *exposition_check(const char *text, size_t *out_line);

/* The value of the sample whose line begins with SERIES and a space; -1: there is none. */
double exposition_value(const char *text, const char *series);

#endif
