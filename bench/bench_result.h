/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_result.h: what was measured, as the JSON that is written: phases, their cases, engines,
 * rounds and the medians of these, and how each goal stands. Results of several runs on one machine
 * can be put together, phase by phase. All other forms are made of it. One thread. */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <jansson.h>
#include <stdio.h>

#include "bench_engine.h"

enum bench_measure {
#define BENCH_MEASURE(name, text, head, unit, help) BENCH_MEASURE_##name,
#include "bench_measure.def"
#undef BENCH_MEASURE
    BENCH_MEASURES
};

enum bench_unit {
    BENCH_UNIT_COUNT,
    BENCH_UNIT_TIME,
    BENCH_UNIT_SHARE,
    BENCH_UNIT_RATIO,
    BENCH_UNIT_SIZE
};

extern const char *const bench_measure_names[BENCH_MEASURES];
extern const char *const bench_measure_heads[BENCH_MEASURES];
extern const enum bench_unit bench_measure_units[BENCH_MEASURES];
extern const char *const bench_phase_names[BENCH_PHASES];
extern const char *const bench_phase_titles[BENCH_PHASES];

/* One round; NAN: not measured. */
struct bench_round {
    double value[BENCH_MEASURES];
};

struct bench_round bench_round_empty(void);

/* Throughout: of what a result has; NULL: there is none such. */
json_t *bench_result_create(void);
void bench_result_add_engine(json_t *result, const struct bench_engine_ops *ops);
void bench_result_add(json_t *result, enum bench_phase phase, const char *name, const char *engine,
                      const struct bench_round *round);

/* Compute the medians and the goals. */
void bench_result_finish(json_t *result);

/* Phases and engines of OTHER into RESULT, in place of what it has of them. */
void bench_result_merge(json_t *result, json_t *other);

/* Cases of a phase, an object by name. */
json_t *bench_result_cases(const json_t *result, enum bench_phase phase);

/* NAN: not measured. */
double bench_result_value(const json_t *cases, const char *name, const char *engine,
                          enum bench_measure measure);

/* A value in the unit that suits it; "-" for NAN. */
const char *bench_value_text(enum bench_measure measure, double value, char text[32]);

/* The sorted SAMPLES' value below which the share Q of them lies. */
uint64_t bench_quantile(const uint64_t *samples, size_t count, double q);

#endif
