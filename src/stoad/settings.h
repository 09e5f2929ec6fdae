/* SPDX-License-Identifier: GPL-3.0-or-later */
/* settings.h: what stoad(8) is told: one table (settings.def) for the command line, the file
 * stoa.conf(5) and the manual. The command line wins over the file, the file over the defaults. A
 * value is checked when it is read, and what is wrong is said with its place. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum setting {
#define STOAD_SETTING(name, text, kind, value, least, most, reload, argument, help) SETTING_##name,
#include "stoad/settings.def"
#undef STOAD_SETTING
    SETTING_COUNT
};

struct settings {
    char *text[SETTING_COUNT];      /* owned, as it was given */
    uint64_t number[SETTING_COUNT]; /* of TEXT: 0 */
    bool on_line[SETTING_COUNT];    /* given on the command line */
    char *file;                     /* that was read; NULL: none is there */
};

/* What the command line asks for besides. */
struct settings_line {
    const char *file; /* --config; NULL: DIR/stoa.conf, if it is there */
    bool check_config;
    bool print_limits;
};

/* Defaults. STOA_ENOMEM. */
int settings_init(struct settings *settings);
void settings_deinit(struct settings *settings);

/* Set one. STOA_EINVAL with a text that names it; STOA_ENOMEM. */
int settings_set(struct settings *settings, enum setting setting, const char *text,
                 struct error_detail *detail);

/* Read the line into SETTINGS. Does not return where it is wrong, or asks for help or the version.
 */
void settings_parse_line(struct settings *settings, int argc, char **argv,
                         struct settings_line *out_line);

/* Read the text of a file, SIZE bytes, that is called NAME: all settings that the command line did
 * not give. STOA_EINVAL with name and line. */
int settings_parse_text(struct settings *settings, const char *name, const char *text, size_t size,
                        struct error_detail *detail);

/* The same of the file itself: PATH, or the directory's own where that is NULL, which need not be
 * there. */
int settings_parse_file(struct settings *settings, const char *path, struct error_detail *detail);

const char *settings_name(enum setting setting);
bool settings_reloads(enum setting setting);

#endif
