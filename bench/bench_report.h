/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_report.h: a result (bench_result.h) in its other forms: a table for people, Markdown, and a
 * picture per phase. The same result gives the same text. One thread. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench_engine.h"

void bench_report_table(const json_t *result, FILE *out);

/* NOTES, which may be NULL, is text with a part per phase, each behind a line "## PHASE": it comes
 * behind the phase's tables. PICTURES is where the pictures are, as links say it; NULL: there are
 * none. */
void bench_report_markdown(const json_t *result, const char *notes, const char *pictures,
                           FILE *out);

/* Rates (or what is measured instead), and a line from the median to the 99th percentile of the
 * times. -1: the phase was not measured. */
int bench_report_picture(const json_t *result, enum bench_phase phase, FILE *out);

#endif
