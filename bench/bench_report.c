/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_report.h"

#include <math.h>
#include <string.h>

#include "base/ensure.h"
#include "bench_result.h"

enum { CELLS_MAX = BENCH_MEASURES + 4, CELL_SIZE = 32 };

/* ---- tables ---- */

struct cells {
    char text[CELLS_MAX][CELL_SIZE];
    unsigned count;
};

static void add_cell(struct cells *cells, const char *text)
{
    ensure(cells->count < CELLS_MAX);
    (void)snprintf(cells->text[cells->count++], CELL_SIZE, "%s", text); /* may be cut */
}

static void put_cells(const struct cells *cells, bool markdown, FILE *out)
{
    for (unsigned i = 0; i < cells->count; i++) {
        if (markdown) {
            (void)fprintf(out, "| %s ", cells->text[i]);
        } else {
            (void)fprintf(out, i == 0 ? "  %-13s" : " %10s", cells->text[i]);
        }
    }
    (void)fputs(markdown ? "|\n" : "\n", out);
}

static void put_rule(unsigned count, bool markdown, FILE *out)
{
    for (unsigned i = 0; markdown && i < count; i++) {
        (void)fputs(i == 0 ? "|---" : "|--:", out);
    }
    (void)fputs(markdown ? "|\n" : "", out);
}

/* Whether any engine of the case has MEASURE. */
static bool measured(const json_t *cases, const char *name, enum bench_measure measure)
{
    const char *engine;
    json_t *of_engine;
    json_object_foreach(json_object_get(cases, name), engine, of_engine)
    {
        if (!isnan(bench_result_value(cases, name, engine, measure))) {
            return true;
        }
    }
    return false;
}

/* What cases are compared by. */
static enum bench_measure main_measure(const json_t *cases, const char *name)
{
    return measured(cases, name, BENCH_MEASURE_RATE) ? BENCH_MEASURE_RATE : BENCH_MEASURE_SECONDS;
}

static bool is_limit(const char *engine)
{
    return strcmp(engine, "raw") == 0 || strcmp(engine, "memory") == 0;
}

/* Stoa's value against ENGINE's, as a factor. */
static void add_ratio(struct cells *cells, const json_t *cases, const char *name,
                      const char *engine)
{
    char text[CELL_SIZE] = "-";
    enum bench_measure measure = main_measure(cases, name);
    double ours = bench_result_value(cases, name, "stoa", measure);
    double theirs = bench_result_value(cases, name, engine, measure);
    if (strcmp(engine, "stoa") != 0 && !isnan(ours) && !isnan(theirs) && theirs > 0) {
        (void)snprintf(text, sizeof(text), "%.2f", ours / theirs);
    }
    add_cell(cells, text);
}

static void put_case(const json_t *result, const json_t *cases, const char *name, bool markdown,
                     FILE *out)
{
    struct cells heads = {.count = 0};
    add_cell(&heads, "");
    for (unsigned m = 0; m < BENCH_MEASURES; m++) {
        if (measured(cases, name, (enum bench_measure)m)) {
            add_cell(&heads, bench_measure_heads[m]);
        }
    }
    add_cell(&heads, "stoa is x");
    (void)fprintf(out, markdown ? "\n**%s**\n\n" : "\n%s\n", name);
    put_cells(&heads, markdown, out);
    put_rule(heads.count, markdown, out);
    const char *engine;
    json_t *description;
    json_object_foreach(json_object_get(result, "engines"), engine, description)
    {
        struct cells cells = {.count = 0};
        char text[CELL_SIZE];
        if (json_object_get(json_object_get(cases, name), engine) == NULL) {
            continue;
        }
        (void)snprintf(text, sizeof(text), is_limit(engine) ? "(%s)" : "%s", engine);
        add_cell(&cells, text);
        for (unsigned m = 0; m < BENCH_MEASURES; m++) {
            if (measured(cases, name, (enum bench_measure)m)) {
                double value = bench_result_value(cases, name, engine, (enum bench_measure)m);
                add_cell(&cells, bench_value_text((enum bench_measure)m, value, text));
            }
        }
        add_ratio(&cells, cases, name, engine);
        put_cells(&cells, markdown, out);
    }
}

/* ---- goals ---- */

static const char *goal_verdict(const json_t *goal, char text[64])
{
    const json_t *value = json_object_get(goal, "value");
    if (value == NULL) {
        (void)snprintf(text, 64, "not measured");
    } else if (json_is_true(json_object_get(goal, "met"))) {
        (void)snprintf(text, 64, "met: %.2f", json_number_value(value));
    } else {
        (void)snprintf(text, 64, "MISSED: %.2f, to be %s %.4g", json_number_value(value),
                       json_string_value(json_object_get(goal, "relation")),
                       json_number_value(json_object_get(goal, "factor")));
    }
    return text;
}

static void put_goals(const json_t *result, bool markdown, FILE *out)
{
    size_t index;
    json_t *goal;
    char text[64];
    (void)fputs(markdown ? "\n## Goals\n\n| goal | result |\n|---|---|\n" : "\ngoals\n", out);
    json_array_foreach(json_object_get(result, "goals"), index, goal)
    {
        const char *name = json_string_value(json_object_get(goal, "goal"));
        (void)fprintf(out, markdown ? "| %s | %s |\n" : "  %-72s %s\n", name,
                      goal_verdict(goal, text));
    }
}

static const char *text_of(const json_t *result, const char *name)
{
    const char *text = json_string_value(json_object_get(result, name));
    return text == NULL ? "" : text;
}

static void put_phases(const json_t *result, const char *notes, const char *pictures, bool markdown,
                       FILE *out);

void bench_report_table(const json_t *result, FILE *out)
{
    (void)fprintf(out, "%s\nseed %lld, %.0f s in all\n", text_of(result, "machine"),
                  (long long)json_integer_value(json_object_get(result, "seed")),
                  json_number_value(json_object_get(result, "seconds")));
    put_phases(result, NULL, NULL, false, out);
    put_goals(result, false, out);
}

/* ---- Markdown ---- */

/* The part of NOTES behind the line "## NAME", up to the next such line. */
static void put_notes(const char *notes, const char *name, FILE *out)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "## %s\n", name);
    const char *from = notes == NULL ? NULL : strstr(notes, line);
    if (from == NULL || (from > notes && from[-1] != '\n')) {
        return;
    }
    from += strlen(line);
    const char *to = strstr(from, "\n## ");
    size_t size = to == NULL ? strlen(from) : (size_t)(to - from) + 1;
    (void)fwrite(from, 1, size, out);
}

static void put_phases(const json_t *result, const char *notes, const char *pictures, bool markdown,
                       FILE *out)
{
    for (unsigned phase = 0; phase < BENCH_PHASES; phase++) {
        const json_t *cases = bench_result_cases(result, (enum bench_phase)phase);
        const char *phase_name = bench_phase_names[phase];
        if (cases == NULL) {
            continue;
        }
        (void)fprintf(out, markdown ? "\n## %s\n\n%s.\n" : "\n== %s: %s\n", phase_name,
                      bench_phase_titles[phase]);
        const json_t *of_phase = json_object_get(json_object_get(result, "phases"), phase_name);
        if (markdown && json_object_get(of_phase, "command") != NULL) {
            (void)fprintf(out, "`%s`, %.0f s.\n", text_of(of_phase, "command"),
                          json_number_value(json_object_get(of_phase, "seconds")));
        }
        if (pictures != NULL) {
            (void)fprintf(out, "\n![%s](%s/%s.svg)\n", phase_name, pictures, phase_name);
        }
        const char *name;
        json_t *of_case;
        json_object_foreach((json_t *)(uintptr_t)cases, name, of_case)
        {
            put_case(result, cases, name, markdown, out);
        }
        put_notes(notes, phase_name, out);
    }
}

static void put_engines(const json_t *result, FILE *out)
{
    const char *engine;
    json_t *description;
    (void)fputs("\n## Settings\n\n", out);
    json_object_foreach(json_object_get(result, "engines"), engine, description)
    {
        (void)fprintf(out, "- **%s** (%s): %s.\n", engine, text_of(description, "version"),
                      text_of(description, "settings"));
    }
}

static const char how_to_read[] = "\nEach engine runs in a process of its own, which is stopped "
                                  "while it is not its turn; turns are slices of a "
                                  "phase, in changing order. Figures are\nmedians over the rounds, "
                                  "`max` the largest of all. `stoa is x`: Stoa's "
                                  "first figure divided by this engine's. Engines in parentheses "
                                  "are limits, not\nstores. `CPU each` counts all "
                                  "threads. `io/byte` and `dev/byte` are bytes written a byte "
                                  "stored, as `/proc/PID/io` and the device count them; "
                                  "`dev reads`\nare the device's reads an operation. Every engine "
                                  "is given the same bytes: block, receipts, senders, "
                                  "transactions' hashes, changes of the state, and\n(but Stoa, "
                                  "which finds them itself) the keys of the indexes of "
                                  "addresses and logs. No one verifies blocks. The checksum of "
                                  "every value read is checked.\nStoa, RocksDB and the device "
                                  "import until the size is reached, the others for as "
                                  "long as their share of the run's time lasts: `blocks` says how "
                                  "much, and what is read\ncold is read from so much.\n";

void bench_report_markdown(const json_t *result, const char *notes, const char *pictures, FILE *out)
{
    (void)fprintf(out,
                  "# Benchmark results\n\nMade by `%s` on %s; do not edit.\n\n%s. Seed %lld; the "
                  "run took %.0f s.\n",
                  text_of(result, "command"), text_of(result, "date"), text_of(result, "machine"),
                  (long long)json_integer_value(json_object_get(result, "seed")),
                  json_number_value(json_object_get(result, "seconds")));
    put_goals(result, true, out);
    put_notes(notes, "goals", out);
    (void)fputs(how_to_read, out);
    put_phases(result, notes, pictures, true, out);
    put_notes(notes, "state", out);
    put_engines(result, out);
}
