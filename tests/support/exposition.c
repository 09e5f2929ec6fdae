/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/exposition.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SIZE = 128, SERIES_MAX = 8192, LABELS_MAX_SIZE = 512 };

struct family {
    char name[NAME_MAX_SIZE];
    bool has_help;
    bool has_type;
    bool histogram;
    bool counter;
};

struct sample {
    char name[NAME_MAX_SIZE];
    char labels[LABELS_MAX_SIZE]; /* without le */
    char bound[64];
    double value;
};

struct reader {
    struct family family;
    char (*families)[NAME_MAX_SIZE];
    size_t family_count;
    char **series;
    size_t series_count;
    /* Of the histogram that is read. */
    char labels[LABELS_MAX_SIZE + 1]; /* after a =, once there are any */
    double last_bound;
    double last_count;
    bool ended;
};

static size_t name_length(const char *text)
{
    size_t length = 0;
    while (isalpha((unsigned char)text[length]) || text[length] == '_' || text[length] == ':' ||
           (length > 0 && isdigit((unsigned char)text[length]))) {
        length++;
    }
    return length;
}

static bool copy_name(char out[NAME_MAX_SIZE], const char *text, size_t length)
{
    if (length == 0 || length >= NAME_MAX_SIZE) {
        return false;
    }
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

static const char *begin_family(struct reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->family_count; i++) {
        if (strcmp(reader->families[i], name) == 0) {
            return "a family comes twice";
        }
    }
    if (reader->family.name[0] != '\0' && reader->family.histogram && !reader->ended &&
        reader->labels[0] != '\0') {
        return "a histogram does not end in +Inf";
    }
    reader->families = realloc(reader->families, (reader->family_count + 1) * NAME_MAX_SIZE);
    snprintf(reader->families[reader->family_count++], NAME_MAX_SIZE, "%s", name);
    reader->family = (struct family){.has_help = false};
    snprintf(reader->family.name, NAME_MAX_SIZE, "%s", name);
    reader->labels[0] = '\0';
    reader->ended = false;
    return NULL;
}

static const char *read_comment(struct reader *reader, const char *line)
{
    bool help = strncmp(line, "# HELP ", 7) == 0;
    if (!help && strncmp(line, "# TYPE ", 7) != 0) {
        return "a comment that is neither HELP nor TYPE";
    }
    char name[NAME_MAX_SIZE];
    size_t length = name_length(line + 7);
    if (!copy_name(name, line + 7, length) || line[7 + length] != ' ') {
        return "bad name";
    }
    const char *rest = line + 7 + length + 1;
    if (strcmp(name, reader->family.name) != 0) {
        const char *wrong = begin_family(reader, name);
        if (wrong != NULL) {
            return wrong;
        }
    }
    if (help) {
        bool again = reader->family.has_help;
        reader->family.has_help = true;
        return again ? "HELP comes twice" : rest[0] == '\0' ? "HELP says nothing" : NULL;
    }
    if (reader->family.has_type) {
        return "TYPE comes twice";
    }
    reader->family.has_type = true;
    reader->family.histogram = strcmp(rest, "histogram") == 0;
    reader->family.counter = strcmp(rest, "counter") == 0;
    bool known = reader->family.histogram || reader->family.counter || strcmp(rest, "gauge") == 0;
    size_t end = strlen(name);
    if (reader->family.counter && (end < 6 || strcmp(name + end - 6, "_total") != 0)) {
        return "a counter whose name does not end in _total";
    }
    return known ? NULL : "unknown TYPE";
}

/* {name="value",...}; returns what follows, or NULL. */
static const char *read_labels(const char *text, struct sample *sample)
{
    size_t used = 0;
    text++;
    while (*text != '}') {
        char name[NAME_MAX_SIZE];
        size_t length = name_length(text);
        if (!copy_name(name, text, length) || text[length] != '=' || text[length + 1] != '"') {
            return NULL;
        }
        const char *value = text + length + 2;
        size_t size = strcspn(value, "\"\\\n");
        if (value[size] != '"') {
            return NULL;
        }
        bool bound = strcmp(name, "le") == 0;
        if (bound && size < sizeof(sample->bound)) {
            memcpy(sample->bound, value, size);
            sample->bound[size] = '\0';
        } else if (!bound && used + length + size + 5 < LABELS_MAX_SIZE) {
            used += (size_t)snprintf(sample->labels + used, LABELS_MAX_SIZE - used, "%s=%.*s;",
                                     name, (int)size, value);
        } else {
            return NULL;
        }
        text = value + size + 1;
        if (*text == ',') {
            text++;
        } else if (*text != '}') {
            return NULL;
        }
    }
    return text + 1;
}

static const char *check_bucket(struct reader *reader, const struct sample *sample)
{
    char *end;
    double bound = strtod(sample->bound, &end);
    if (sample->bound[0] == '\0' || *end != '\0') {
        return "a bucket without a bound";
    }
    bool same = reader->labels[0] == '=' && strcmp(reader->labels + 1, sample->labels) == 0;
    if (same && !reader->ended && bound <= reader->last_bound) {
        return "bounds do not rise";
    }
    if (same && !reader->ended && sample->value < reader->last_count) {
        return "counts of buckets fall";
    }
    if (same && reader->ended) {
        return "a bucket after +Inf";
    }
    if (!same && reader->labels[0] != '\0' && !reader->ended) {
        return "a histogram does not end in +Inf";
    }
    reader->labels[0] = '=';
    snprintf(reader->labels + 1, LABELS_MAX_SIZE, "%s", sample->labels);
    reader->last_bound = bound;
    reader->last_count = sample->value;
    reader->ended = strcmp(sample->bound, "+Inf") == 0;
    return NULL;
}

static const char *check_sample(struct reader *reader, const struct sample *sample)
{
    const struct family *family = &reader->family;
    size_t length = strlen(family->name);
    if (!family->has_help || !family->has_type ||
        strncmp(sample->name, family->name, length) != 0) {
        return "a sample outside of its family";
    }
    const char *suffix = sample->name + length;
    if (family->counter && sample->value < 0) {
        return "a negative counter";
    }
    if (!family->histogram) {
        return suffix[0] == '\0' ? NULL : "a sample outside of its family";
    }
    if (strcmp(suffix, "_bucket") == 0) {
        return check_bucket(reader, sample);
    }
    if (!reader->ended || strcmp(reader->labels + 1, sample->labels) != 0) {
        return "a sum or count before +Inf";
    }
    if (strcmp(suffix, "_count") == 0) {
        return sample->value == reader->last_count ? NULL : "_count is not the bucket +Inf";
    }
    return strcmp(suffix, "_sum") == 0 ? NULL : "a histogram's sample with a strange name";
}

static const char *read_sample(struct reader *reader, const char *line)
{
    struct sample sample = {.value = 0};
    size_t length = name_length(line);
    if (!copy_name(sample.name, line, length)) {
        return "bad name";
    }
    const char *rest = line + length;
    if (*rest == '{') {
        rest = read_labels(rest, &sample);
        if (rest == NULL) {
            return "bad labels";
        }
    }
    char *end;
    sample.value = strtod(rest, &end);
    if (*rest != ' ' || end == rest || *end != '\0' || rest[1] == ' ') {
        return "bad value";
    }
    size_t series = (size_t)(rest - line);
    for (size_t i = 0; i < reader->series_count; i++) {
        if (strncmp(reader->series[i], line, series) == 0 && reader->series[i][series] == '\0') {
            return "a series comes twice";
        }
    }
    if (reader->series_count == SERIES_MAX) {
        return "more series than this test keeps";
    }
    reader->series[reader->series_count] = strndup(line, series);
    reader->series_count++;
    return check_sample(reader, &sample);
}

const char *exposition_check(const char *text, size_t *out_line)
{
    struct reader reader = {.family_count = 0};
    const char *wrong = NULL;
    size_t size = strlen(text);
    reader.series = calloc(SERIES_MAX, sizeof(*reader.series));
    *out_line = 0;
    if (size == 0 || text[size - 1] != '\n') {
        wrong = "it does not end in a newline";
    }
    while (wrong == NULL && *text != '\0') {
        size_t length = strcspn(text, "\n");
        char *line = strndup(text, length);
        (*out_line)++;
        wrong = line[0] == '#' ? read_comment(&reader, line) : read_sample(&reader, line);
        free(line);
        text += length + 1;
    }
    if (wrong == NULL && reader.family.histogram && reader.labels[0] != '\0' && !reader.ended) {
        wrong = "a histogram does not end in +Inf";
    }
    for (size_t i = 0; i < reader.series_count; i++) {
        free(reader.series[i]);
    }
    free(reader.series);
    free(reader.families);
    return wrong;
}

double exposition_value(const char *text, const char *series)
{
    size_t length = strlen(series);
    while (text != NULL && *text != '\0') {
        if (strncmp(text, series, length) == 0 && text[length] == ' ') {
            return strtod(text + length, NULL);
        }
        text = strchr(text, '\n');
        text = text == NULL ? NULL : text + 1;
    }
    return -1;
}
