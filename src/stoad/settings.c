/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/settings.h"

#include <argp.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "stoa.h"

enum setting_kind { TEXT, NUMBER, SIZE, SWITCH, CHOICE };

enum { CONFIG_FILE_MAX = 1 << 20, EXIT_USAGE = 2, KEY_FIRST = 256 };
enum { KEY_CHECK = KEY_FIRST + SETTING_COUNT, KEY_LIMITS };

static const struct {
    const char *name;
    enum setting_kind kind;
    const char *value;
    uint64_t least;
    uint64_t most;
    int reload;
    const char *argument;
    const char *help;
} table[SETTING_COUNT] = {
#define STOAD_SETTING(name, text, kind, value, least, most, reload, argument, help) \
    {text, kind, value, least, most, reload, argument, help},
#include "stoad/settings.def"
#undef STOAD_SETTING
};

const char *settings_name(enum setting setting)
{
    return table[setting].name;
}

bool settings_reloads(enum setting setting)
{
    return table[setting].reload != 0;
}

/* Digits alone, then for a size K, M or G. */
static bool parse_number(const char *text, bool size, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = !size ? 0 : *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    end += shift != 0;
    if (errno != 0 || *end != '\0' || value > UINT64_MAX >> shift) {
        return false;
    }
    *out = (uint64_t)value << shift;
    return true;
}

/* Which word of "a|b|c" TEXT is. */
static bool parse_choice(const char *words, const char *text, uint64_t *out)
{
    size_t length = strlen(text);
    for (uint64_t i = 0; words != NULL; i++) {
        size_t word = strcspn(words, "|");
        if (word == length && memcmp(words, text, length) == 0) {
            *out = i;
            return true;
        }
        words = words[word] == '|' ? words + word + 1 : NULL;
    }
    return false;
}

int settings_set(struct settings *settings, enum setting setting, const char *text,
                 struct error_detail *detail)
{
    const char *name = table[setting].name;
    uint64_t number = 0;
    switch (table[setting].kind) {
    case TEXT:
        break;
    case NUMBER:
    case SIZE:
        if (!parse_number(text, table[setting].kind == SIZE, &number)) {
            return error_set(detail, STOA_EINVAL, "%s: '%.100s' is no %s", name, text,
                             table[setting].kind == SIZE ? "size" : "number");
        }
        if (number < table[setting].least || number > table[setting].most) {
            return error_set(detail, STOA_EINVAL, "%s: %.100s is not between %llu and %llu", name,
                             text, (unsigned long long)table[setting].least,
                             (unsigned long long)table[setting].most);
        }
        break;
    case SWITCH:
        if (!parse_choice("no|yes", text, &number)) {
            return error_set(detail, STOA_EINVAL, "%s: '%.100s' is neither yes nor no", name, text);
        }
        break;
    case CHOICE:
        if (!parse_choice(table[setting].argument, text, &number)) {
            return error_set(detail, STOA_EINVAL, "%s: '%.100s' is none of %s", name, text,
                             table[setting].argument);
        }
        break;
    }
    char *copy = memory_copy_text(text);
    if (copy == NULL) {
        return error_set(detail, STOA_ENOMEM, "%s", name);
    }
    memory_free(settings->text[setting]);
    settings->text[setting] = copy;
    settings->number[setting] = number;
    return 0;
}

int settings_init(struct settings *settings)
{
    *settings = (struct settings){.file = NULL};
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        const char *value = table[i].value;
        if (i == SETTING_DIRECTORY) {
            const char *directory = getenv("STOA_DIR");
            value = directory != NULL && directory[0] != '\0' ? directory : "stoa-data";
        }
        struct error_detail detail = {.code = 0};
        int result = settings_set(settings, (enum setting)i, value, &detail);
        ensure(result != STOA_EINVAL); /* the table's own */
        if (result != 0) {
            settings_deinit(settings);
            return result;
        }
    }
    return 0;
}

void settings_deinit(struct settings *settings)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        memory_free(settings->text[i]);
        settings->text[i] = NULL;
    }
    memory_free(settings->file);
    settings->file = NULL;
}

/* ---- the command line ---- */

struct line {
    struct settings *settings;
    struct settings_line *out;
};

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    (void)fprintf(stream, "stoad %s\n", stoa_version()); /* argp ends the process next */
}

/* argp's own settings. */
void (*argp_program_version_hook)(FILE *, struct argp_state *) = print_version;
error_t argp_err_exit_status = EXIT_USAGE;

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct line *line = state->input;
    struct error_detail detail = {.code = 0};
    enum setting setting = SETTING_DIRECTORY;
    switch (key) {
    case 'c':
        line->out->file = value;
        return 0;
    case KEY_CHECK:
        line->out->check_config = true;
        return 0;
    case KEY_LIMITS:
        line->out->print_limits = true;
        return 0;
    case 'd':
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is not understood", value);
        return 0;
    default:
        if (key < KEY_FIRST || key >= KEY_FIRST + SETTING_COUNT) {
            return ARGP_ERR_UNKNOWN;
        }
        setting = (enum setting)(key - KEY_FIRST);
    }
    if (settings_set(line->settings, setting, value, &detail) != 0) {
        argp_error(state, "%s", detail.text);
    }
    line->settings->on_line[setting] = true;
    return 0;
}

static char *filter_help(int key, const char *text, void *input)
{
    (void)input;
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)(uintptr_t)text;
}

void settings_parse_line(struct settings *settings, int argc, char **argv,
                         struct settings_line *out_line)
{
    static char name[] = "stoad";
    struct line line = {settings, out_line};
    struct argp_option known[SETTING_COUNT + 4] = {
        {"config", 'c', "FILE", 0, "Read this file (DIR/stoa.conf, if it is there)", 0},
        {"check-config", KEY_CHECK, NULL, 0, "Check the settings, and end", 0},
        {"print-limits", KEY_LIMITS, NULL, 0, "Print settings and limits, and end", 0},
    };
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        known[3 + i] = (struct argp_option){
            .name = table[i].name,
            .key = i == SETTING_DIRECTORY ? 'd' : KEY_FIRST + (int)i,
            .arg = table[i].argument,
            .doc = table[i].help,
        };
    }
    struct argp argp = {
        .options = known,
        .parser = parse_option,
        .doc = "Open a store and serve it until told to stop.",
        .help_filter = filter_help,
    };
    *out_line = (struct settings_line){.file = NULL};
    argv[0] = name;
    error_t failed = argp_parse(&argp, argc, argv, 0, NULL, &line);
    if (failed != 0) {
        (void)fprintf(stderr, "stoad: %s\n", strerror(failed)); /* nowhere else to say it */
        exit(1);
    }
}

/* ---- the file ---- */

struct parse {
    struct settings *settings;
    struct error_detail detail;
    bool seen[SETTING_COUNT];
};

/* One line of the file, for inih: 0 for a mistake. */
static int take_line(void *context, const char *section, const char *name, const char *value)
{
    struct parse *parse = context;
    if (parse->detail.code != 0) {
        return 0;
    }
    if (section[0] != '\0') {
        (void)error_set(&parse->detail, STOA_EINVAL, "there are no sections: [%.60s]", section);
        return 0;
    }
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(table[i].name, name) != 0) {
            continue;
        }
        if (parse->seen[i]) {
            (void)error_set(&parse->detail, STOA_EINVAL, "%s: given twice", name);
            return 0;
        }
        parse->seen[i] = true;
        if (parse->settings->on_line[i]) {
            return 1;
        }
        return settings_set(parse->settings, (enum setting)i, value, &parse->detail) == 0;
    }
    (void)error_set(&parse->detail, STOA_EINVAL, "unknown setting '%.60s'", name);
    return 0;
}

int settings_parse_text(struct settings *settings, const char *name, const char *text, size_t size,
                        struct error_detail *detail)
{
    if (memchr(text, '\0', size) != NULL) {
        return error_set(detail, STOA_EINVAL, "%s: a zero byte", name);
    }
    char *copy = memory_alloc(size + 1);
    if (copy == NULL) {
        return error_set(detail, STOA_ENOMEM, "%s", name);
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct parse parse = {.settings = settings};
    int line = ini_parse_string(copy, take_line, &parse);
    memory_free(copy);
    if (line == 0) {
        return 0;
    }
    if (line < 0) {
        return error_set(detail, STOA_ENOMEM, "%s", name);
    }
    if (parse.detail.code == 0) {
        (void)error_set(&parse.detail, STOA_EINVAL, "not of the form name = value"); /* below */
    }
    return error_set(detail, parse.detail.code, "%s:%d: %s", name, line, parse.detail.text);
}

int settings_parse_file(struct settings *settings, const char *path, struct error_detail *detail)
{
    struct buffer name = {.data = NULL};
    int result = path != NULL ? buffer_append_format(&name, "%s", path)
                              : buffer_append_format(&name, "%s/stoa.conf",
                                                     settings->text[SETTING_DIRECTORY]);
    result = result == 0 ? buffer_append(&name, "", 1) : result;
    if (result != 0) {
        buffer_deinit(&name);
        return error_set(detail, result, "configuration");
    }
    const char *file_name = (const char *)name.data;
    FILE *file = fopen(file_name, "re");
    if (file == NULL) {
        result =
            path == NULL && errno == ENOENT ? 0 : error_set_errno(detail, errno, "%s", file_name);
        buffer_deinit(&name);
        return result;
    }
    char *text = memory_alloc(CONFIG_FILE_MAX);
    size_t size = text == NULL ? 0 : fread(text, 1, CONFIG_FILE_MAX, file);
    if (text == NULL) {
        result = error_set(detail, STOA_ENOMEM, "%s", file_name);
    } else if (ferror(file) != 0) {
        result = error_set_errno(detail, errno, "%s", file_name);
    } else if (size == CONFIG_FILE_MAX) {
        result = error_set(detail, STOA_ETOOBIG, "%s: 1 MiB or more", file_name);
    } else {
        result = settings_parse_text(settings, file_name, text, size, detail);
    }
    (void)fclose(file); /* it was only read */
    memory_free(text);
    if (result == 0) {
        memory_free(settings->file);
        settings->file = memory_copy_text(file_name);
    }
    buffer_deinit(&name);
    return result;
}
