/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A phase as SVG: a row for each engine of each case; on the left bars of the first measure, on the
 * right, on a scale of tens, a line from the median of the times to the 99th percentile. */
#include <math.h>
#include <string.h>

#include "bench_report.h"
#include "bench_result.h"

enum {
    ROW = 20,
    HEAD = 30,
    LEFT = 130, /* where bars begin, */
    BAR = 330,  /* how long they are at most */
    VALUE = 90, /* what is written behind them */
    RIGHT = LEFT + BAR + VALUE,
    TIMES = 300,
    WIDTH = RIGHT + TIMES + 40,
};

struct picture {
    const json_t *result;
    const json_t *cases;
    enum bench_measure measure;
    double max; /* of the measure in the case */
    double low; /* of the times in the phase, powers of ten */
    double high;
    FILE *out;
    unsigned y;
};

static const char *color_of(const char *engine)
{
    if (strcmp(engine, "stoa") == 0) {
        return "#1f6f5c";
    }
    return strcmp(engine, "raw") == 0 || strcmp(engine, "memory") == 0 ? "#b9b9b9" : "#8fa8c8";
}

static double x_of(const struct picture *picture, double seconds)
{
    double span = log10(picture->high / picture->low);
    return RIGHT + TIMES * log10(seconds / picture->low) / (span > 0 ? span : 1);
}

/* The largest of the first measure in a case; the range of times over all cases. */
static void find_ranges(struct picture *picture, const char *only)
{
    const char *name, *engine;
    json_t *of_case, *of_engine;
    picture->max = 0;
    json_object_foreach((json_t *)(uintptr_t)picture->cases, name, of_case)
    {
        json_object_foreach(of_case, engine, of_engine)
        {
            double value = bench_result_value(picture->cases, name, engine, picture->measure);
            double p50 = bench_result_value(picture->cases, name, engine, BENCH_MEASURE_P50);
            double p99 = bench_result_value(picture->cases, name, engine, BENCH_MEASURE_P99);
            if (only != NULL && strcmp(only, name) == 0 && value > picture->max) {
                picture->max = value;
            }
            if (only == NULL && p50 > 0) {
                double low = pow(10, floor(log10(p50))), high = pow(10, ceil(log10(p99)));
                picture->low = picture->low == 0 || low < picture->low ? low : picture->low;
                picture->high = high > picture->high ? high : picture->high;
            }
        }
    }
}

static void put_row(struct picture *picture, const char *name, const char *engine)
{
    char text[32];
    double value = bench_result_value(picture->cases, name, engine, picture->measure);
    double p50 = bench_result_value(picture->cases, name, engine, BENCH_MEASURE_P50);
    double p99 = bench_result_value(picture->cases, name, engine, BENCH_MEASURE_P99);
    double length = picture->max > 0 && !isnan(value) ? BAR * value / picture->max : 0;
    unsigned y = picture->y;
    (void)fprintf(picture->out, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
                  y + 14, engine);
    (void)fprintf(picture->out,
                  "<rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", LEFT,
                  y + 3, length < 1 ? 1 : length, ROW - 6, color_of(engine));
    (void)fprintf(picture->out, "<text x=\"%.1f\" y=\"%u\">%s</text>\n", LEFT + length + 6, y + 14,
                  bench_value_text(picture->measure, value, text));
    if (p50 > 0 && picture->high > picture->low) {
        double from = x_of(picture, p50), to = x_of(picture, p99);
        (void)fprintf(picture->out,
                      "<line x1=\"%.1f\" y1=\"%u\" x2=\"%.1f\" y2=\"%u\" stroke=\"%s\" "
                      "stroke-width=\"4\"/>\n<circle cx=\"%.1f\" cy=\"%u\" r=\"4\" "
                      "fill=\"%s\"/>\n",
                      from, y + ROW / 2, to, y + ROW / 2, color_of(engine), from, y + ROW / 2,
                      color_of(engine));
    }
    picture->y += ROW;
}

static void put_case(struct picture *picture, const char *name)
{
    const char *engine;
    json_t *description;
    find_ranges(picture, name);
    (void)fprintf(picture->out, "<text x=\"8\" y=\"%u\" font-weight=\"bold\">%s</text>\n",
                  picture->y + 20, name);
    picture->y += HEAD;
    json_object_foreach(json_object_get(picture->result, "engines"), engine, description)
    {
        if (json_object_get(json_object_get(picture->cases, name), engine) != NULL) {
            put_row(picture, name, engine);
        }
    }
}

static void put_scale(struct picture *picture, unsigned height)
{
    char text[32];
    if (picture->high <= picture->low) {
        return;
    }
    for (double at = picture->low; at < picture->high * 1.01; at *= 10) {
        double x = x_of(picture, at);
        (void)fprintf(picture->out,
                      "<line x1=\"%.1f\" y1=\"40\" x2=\"%.1f\" y2=\"%u\" stroke=\"#ddd\"/>\n"
                      "<text x=\"%.1f\" y=\"36\" text-anchor=\"middle\" "
                      "fill=\"#666\">%s</text>\n",
                      x, x, height, x, bench_value_text(BENCH_MEASURE_P50, at * 1.0000001, text));
    }
}

static unsigned height_of(const json_t *cases)
{
    const char *name;
    json_t *of_case;
    unsigned height = 40 + ROW / 2;
    json_object_foreach((json_t *)(uintptr_t)cases, name, of_case)
    {
        height += HEAD + ROW * (unsigned)json_object_size(of_case);
    }
    return height;
}

int bench_report_picture(const json_t *result, enum bench_phase phase, FILE *out)
{
    struct picture picture = {
        .result = result,
        .cases = bench_result_cases(result, phase),
        .measure = phase == BENCH_PHASE_RESTART ? BENCH_MEASURE_SECONDS : BENCH_MEASURE_RATE,
        .out = out,
        .y = 40,
    };
    if (picture.cases == NULL) {
        return -1;
    }
    unsigned height = height_of(picture.cases);
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
                  "viewBox=\"0 0 %d %u\" font-family=\"sans-serif\" font-size=\"12\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
                  "<text x=\"8\" y=\"18\" font-size=\"14\">%s: %s</text>\n"
                  "<text x=\"%d\" y=\"36\" fill=\"#666\">%s</text>\n",
                  WIDTH, height, WIDTH, height, bench_phase_names[phase], bench_phase_titles[phase],
                  LEFT, bench_measure_heads[picture.measure]);
    find_ranges(&picture, NULL);
    put_scale(&picture, height);
    const char *name;
    json_t *of_case;
    json_object_foreach((json_t *)(uintptr_t)picture.cases, name, of_case)
    {
        put_case(&picture, name);
    }
    (void)fputs("</svg>\n", out);
    return 0;
}
