/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"

const char *const bench_measure_names[BENCH_MEASURES] = {
#define BENCH_MEASURE(name, text, head, unit, help) #text,
#include "bench_measure.def"
#undef BENCH_MEASURE
};

const char *const bench_measure_heads[BENCH_MEASURES] = {
#define BENCH_MEASURE(name, text, head, unit, help) head,
#include "bench_measure.def"
#undef BENCH_MEASURE
};

const enum bench_unit bench_measure_units[BENCH_MEASURES] = {
#define BENCH_MEASURE(name, text, head, unit, help) BENCH_UNIT_##unit,
#include "bench_measure.def"
#undef BENCH_MEASURE
};

const char *const bench_phase_names[BENCH_PHASES] = {
#define BENCH_PHASE(name, text, title, share) #text,
#include "bench_phase.def"
#undef BENCH_PHASE
};

const char *const bench_phase_titles[BENCH_PHASES] = {
#define BENCH_PHASE(name, text, title, share) title,
#include "bench_phase.def"
#undef BENCH_PHASE
};

struct bench_round bench_round_empty(void)
{
    struct bench_round round;
    for (unsigned i = 0; i < BENCH_MEASURES; i++) {
        round.value[i] = NAN;
    }
    return round;
}

/* ---- building ---- */

/* The member NAME of PARENT, made where there is none. */
static json_t *member(json_t *parent, const char *name)
{
    json_t *found = json_object_get(parent, name);
    if (found == NULL) {
        found = json_object();
        ensure(json_object_set_new(parent, name, found) == 0);
    }
    return found;
}

json_t *bench_result_create(void)
{
    json_t *result = json_pack("{s:s, s:i, s:{}, s:{}}", "benchmark", "stoa-bench", "format", 1,
                               "engines", "phases");
    ensure(result != NULL);
    return result;
}

void bench_result_add_engine(json_t *result, const struct bench_engine_ops *ops)
{
    char text[32];
    json_t *engine = json_pack("{s:s, s:s}", "version",
                               ops->version_of == NULL ? ops->version : ops->version_of(text),
                               "settings", ops->settings);
    ensure(engine != NULL);
    ensure(json_object_set_new(member(result, "engines"), ops->name, engine) == 0);
}

static json_t *round_json(const struct bench_round *round)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < BENCH_MEASURES; i++) {
        if (!isnan(round->value[i])) {
            ensure(json_object_set_new(object, bench_measure_names[i],
                                       json_real(round->value[i])) == 0);
        }
    }
    return object;
}

void bench_result_add(json_t *result, enum bench_phase phase, const char *name, const char *engine,
                      const struct bench_round *round)
{
    json_t *of_phase = member(member(result, "phases"), bench_phase_names[phase]);
    (void)json_object_set_new(of_phase, "title", json_string(bench_phase_titles[phase]));
    json_t *of_engine = member(member(member(of_phase, "cases"), name), engine);
    json_t *rounds = json_object_get(of_engine, "rounds");
    if (rounds == NULL) {
        rounds = json_array();
        ensure(json_object_set_new(of_engine, "rounds", rounds) == 0);
    }
    ensure(json_array_append_new(rounds, round_json(round)) == 0);
}

/* ---- medians ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const json_t *rounds, unsigned measure)
{
    enum { ROUNDS_MAX = 64 };
    double values[ROUNDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(rounds) && count < ROUNDS_MAX; i++) {
        json_t *value = json_object_get(json_array_get(rounds, i), bench_measure_names[measure]);
        if (value != NULL) {
            values[count++] = json_number_value(value);
        }
    }
    if (count == 0) {
        return NAN;
    }
    qsort(values, count, sizeof(values[0]), compare_doubles);
    if (measure == BENCH_MEASURE_MAX) {
        return values[count - 1];
    }
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void add_medians(json_t *cases)
{
    const char *name, *engine;
    json_t *of_case, *of_engine;
    json_object_foreach(cases, name, of_case)
    {
        json_object_foreach(of_case, engine, of_engine)
        {
            struct bench_round median;
            for (unsigned i = 0; i < BENCH_MEASURES; i++) {
                median.value[i] = median_of(json_object_get(of_engine, "rounds"), i);
            }
            ensure(json_object_set_new(of_engine, "median", round_json(&median)) == 0);
        }
    }
}

json_t *bench_result_cases(const json_t *result, enum bench_phase phase)
{
    return json_object_get(
        json_object_get(json_object_get(result, "phases"), bench_phase_names[phase]), "cases");
}

double bench_result_value(const json_t *cases, const char *name, const char *engine,
                          enum bench_measure measure)
{
    const json_t *of_engine = json_object_get(json_object_get(cases, name), engine);
    const json_t *value =
        json_object_get(json_object_get(of_engine, "median"), bench_measure_names[measure]);
    return value == NULL ? NAN : json_number_value(value);
}

/* ---- goals ---- */

enum relation { AT_LEAST, AT_MOST };

struct goal {
    enum bench_phase phase;
    const char *name;
    enum bench_measure measure;
    enum relation relation;
    double factor;
    enum bench_phase peer_phase;
    const char *peer_name;
    const char *peer;
    const char *text;
};

static const struct goal goals[] = {
#define BENCH_GOAL(phase, name, measure, relation, factor, peer_phase, peer_name, peer, text) \
    {BENCH_PHASE_##phase,                                                                     \
     name,                                                                                    \
     BENCH_MEASURE_##measure,                                                                 \
     relation,                                                                                \
     factor,                                                                                  \
     BENCH_PHASE_##peer_phase,                                                                \
     peer_name,                                                                               \
     peer,                                                                                    \
     text},
#include "bench_goal.def"
#undef BENCH_GOAL
};

enum { GOAL_COUNT = sizeof(goals) / sizeof(goals[0]) };

static json_t *goal_json(const json_t *result, const struct goal *goal)
{
    bool absolute = goal->peer[0] == '\0';
    double ours = bench_result_value(bench_result_cases(result, goal->phase), goal->name, "stoa",
                                     goal->measure);
    double theirs = absolute ? 1
                             : bench_result_value(bench_result_cases(result, goal->peer_phase),
                                                  goal->peer_name, goal->peer, goal->measure);
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:f}", "phase", bench_phase_names[goal->phase], "goal", goal->text,
        "relation", goal->relation == AT_LEAST ? "at least" : "at most", "factor", goal->factor);
    ensure(object != NULL);
    if (isnan(ours) || isnan(theirs)) {
        return object; /* not measured */
    }
    /* A count of 0 against one of 0 is no growth. */
    double ratio = theirs > 0 ? ours / theirs : ours > 0 ? HUGE_VAL : 1;
    ratio = isfinite(ratio) ? ratio : 1e9;
    bool met = goal->relation == AT_LEAST ? ratio >= goal->factor : ratio <= goal->factor;
    (void)json_object_set_new(object, "value", json_real(ratio));
    (void)json_object_set_new(object, "met", json_boolean(met));
    return object;
}

void bench_result_finish(json_t *result)
{
    for (unsigned phase = 0; phase < BENCH_PHASES; phase++) {
        add_medians(bench_result_cases(result, (enum bench_phase)phase));
    }
    json_t *array = json_array();
    for (unsigned i = 0; i < GOAL_COUNT; i++) {
        ensure(json_array_append_new(array, goal_json(result, &goals[i])) == 0);
    }
    ensure(json_object_set_new(result, "goals", array) == 0);
}

void bench_result_merge(json_t *result, json_t *other)
{
    static const char *const parts[] = {"engines", "phases"};
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        json_t *to = member(result, parts[i]);
        (void)json_object_update(to, json_object_get(other, parts[i]));
    }
    const char *name;
    json_t *value;
    json_object_foreach(other, name, value)
    {
        if (json_object_get(result, name) == NULL) {
            (void)json_object_set(result, name, value);
        }
    }
    bench_result_finish(result);
}

/* ---- text ---- */

static const char *time_text(double seconds, char text[32])
{
    if (seconds < 1e-3) {
        (void)snprintf(text, 32, "%.1f us", seconds * 1e6);
    } else if (seconds < 1) {
        (void)snprintf(text, 32, "%.2f ms", seconds * 1e3);
    } else {
        (void)snprintf(text, 32, "%.2f s", seconds);
    }
    return text;
}

const char *bench_value_text(enum bench_measure measure, double value, char text[32])
{
    if (isnan(value)) {
        (void)snprintf(text, 32, "-");
        return text;
    }
    switch (bench_measure_units[measure]) {
    case BENCH_UNIT_COUNT:
        (void)snprintf(text, 32, "%.0f", value);
        break;
    case BENCH_UNIT_TIME:
        return time_text(value, text);
    case BENCH_UNIT_SHARE:
        (void)snprintf(text, 32, "%.0f %%", value * 100);
        break;
    case BENCH_UNIT_RATIO:
        (void)snprintf(text, 32, "%.2f", value);
        break;
    case BENCH_UNIT_SIZE:
        (void)snprintf(text, 32, "%.0f MiB", value / 1048576);
        break;
    }
    return text;
}

uint64_t bench_quantile(const uint64_t *samples, size_t count, double q)
{
    ensure(count > 0);
    size_t index = (size_t)(q * (double)count);
    return samples[index < count ? index : count - 1];
}
