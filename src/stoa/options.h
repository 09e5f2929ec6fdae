/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.h: the command line of stoa(1), read by argp. Options of the whole program may stand
 * before the command or after it, those of a command after it. Both vocabularies are tables:
 * options.def and commands.def. A wrong line ends the process with status 2. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Which commands an option goes with. */
enum {
    OPTIONS_INIT = 1 << 0,
    OPTIONS_IMPORT = 1 << 1,
    OPTIONS_EXPORT = 1 << 2,
    OPTIONS_SHOW = 1 << 3,
    OPTIONS_STATE = 1 << 4,
    OPTIONS_STATS = 1 << 5,
    OPTIONS_ALL = 1 << 6,
    OPTIONS_LOGS = 1 << 7,
    OPTIONS_HISTORY = 1 << 8,
    OPTIONS_VERIFY = 1 << 9,
    OPTIONS_JOB = 1 << 10, /* of upkeep */
    OPTIONS_BACKUP = 1 << 20,
    OPTIONS_RESTORE = 1 << 21,
    OPTIONS_SNAPSHOT = 1 << 22,
    OPTIONS_SCRUB = 1 << 23,
    OPTIONS_REPAIR = 1 << 24,
    OPTIONS_ARCHIVE = 1 << 25, /* and back */
    OPTIONS_ARCHIVE_KEEP = 1 << 26,
    OPTIONS_ANALYZE = 1 << 27,
    OPTIONS_PRUNE = 1 << 12,
};

enum { OPTIONS_TOPICS_MAX = 4, OPTIONS_CURSOR_SIZE = 8 + 32 + 8, OPTIONS_SOURCES_MAX = 16 };

enum options_format { OPTIONS_FORMAT_RLP, OPTIONS_FORMAT_ERA1 };

struct command;

struct options {
    const struct command *command;
    const char *directory;
    const char *socket; /* NULL: the store itself, or the daemon that has it open */
    bool json;
    const char *genesis; /* NULL: none */
    uint64_t chain_id;   /* 0: none */
    const char *execution;
    unsigned skip; /* STOA_SKIP_… */
    bool side;
    bool progress;
    uint64_t keep_history; /* 0: all */
    uint64_t keep_tries;
    uint64_t keep_bodies;
    uint64_t keep_receipts;
    uint64_t keep_logs;
    uint64_t keep_transactions;
    bool has_keep; /* one of them, or a preset, is given */
    bool has_from;
    bool has_to;
    uint64_t from;
    uint64_t to;
    enum options_format format;
    bool raw;
    bool prometheus;
    bool deep;
    bool dry_run;
    bool has_at;
    uint64_t at;
    bool has_block;
    uint8_t block[32];
    struct buffer addresses;                  /* 20 bytes each */
    struct buffer topics[OPTIONS_TOPICS_MAX]; /* 32 bytes each; none: any */
    unsigned topic_count;
    uint64_t limit; /* 0: none given */
    bool full;
    bool storage;
    uint64_t keep;         /* backups; 0: none given */
    uint64_t archive_keep; /* 0: none given */
    const char *sources[OPTIONS_SOURCES_MAX];
    size_t source_count;
    uint64_t rate; /* bytes a second; 0: none given */
    bool has_before;
    uint64_t before;
    bool oldest_first;
    uint8_t cursor[OPTIONS_CURSOR_SIZE]; /* height and hash of the block that holds it, place;
                                            zeros: none given */
    char *const *arguments;              /* into argv */
    size_t argument_count;
};

/* Read the line. Does not return where the line is wrong, or asks for help or the version. */
void options_parse(int argc, char **argv, struct options *out_options);
void options_deinit(struct options *options);

/* Print the help of COMMAND, or of the program for NULL, to standard output, and end the process.
 */
void options_print_help(const struct command *command);

/* A whole number, decimal or 0x-hexadecimal, nothing around it. */
bool options_parse_number(const char *text, uint64_t *out);

#endif
