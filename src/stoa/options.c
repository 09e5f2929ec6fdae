/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "stoa.h"
#include "stoa/command.h"

enum option_key {
    OPTION_BEFORE_FIRST = 256,
#define STOA_OPTION(name, key, text, argument, groups, help) OPTION_##name,
#include "stoa/options.def"
#undef STOA_OPTION
    OPTION_AFTER_LAST,
};

enum { OPTION_COUNT = OPTION_AFTER_LAST - OPTION_BEFORE_FIRST - 1 };

static const struct {
    enum option_key id;
    int key;
    const char *text;
    const char *argument;
    unsigned groups;
    const char *help;
} table[OPTION_COUNT] = {
#define STOA_OPTION(name, key, text, argument, groups, help) \
    {OPTION_##name, (key) != 0 ? (key) : OPTION_##name, text, argument, groups, help},
#include "stoa/options.def"
#undef STOA_OPTION
};

static const struct {
    const char *name;
    unsigned skip;
} parts[] = {
    {"transactions", STOA_SKIP_TRANSACTIONS_ROOT},
    {"uncles", STOA_SKIP_UNCLES_HASH},
    {"withdrawals", STOA_SKIP_WITHDRAWALS_ROOT},
    {"receipts", STOA_SKIP_RECEIPTS},
    {"senders", STOA_SKIP_SENDERS},
    {"state-root", STOA_SKIP_STATE_ROOT},
    {"all", STOA_SKIP_ALL},
};

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    (void)fprintf(stream, "stoa %s\n", stoa_version()); /* argp ends the process next */
}

/* argp's own settings. */
void (*argp_program_version_hook)(FILE *, struct argp_state *) = print_version;
error_t argp_err_exit_status = COMMAND_USAGE;

/* What one of the two passes over the line (program, command) works on. */
struct pass {
    struct options *options;
    struct argp_option known[OPTION_COUNT + 1];
    struct buffer help;
    struct buffer arguments; /* their form */
    size_t argument_count;
    int first_argument; /* index in argv of the first word after the command; 0: none yet */
};

bool options_parse_number(const char *text, uint64_t *out)
{
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hexadecimal ? text + 2 : text;
    const char *allowed = hexadecimal ? "0123456789abcdefABCDEF" : "0123456789";
    size_t length = strlen(digits);
    if (length == 0 || strspn(digits, allowed) != length) {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(digits, NULL, hexadecimal ? 16 : 10);
    if (errno != 0) {
        return false;
    }
    *out = value;
    return true;
}

static uint64_t take_number(struct argp_state *state, const char *option, const char *text)
{
    uint64_t value = 0;
    if (!options_parse_number(text, &value)) {
        argp_error(state, "--%s: '%s' is no number", option, text);
    }
    return value;
}

static unsigned take_part(struct argp_state *state, const char *text)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(parts[i].name, text) == 0) {
            return parts[i].skip;
        }
    }
    argp_error(state, "--no-verify: '%s' is no part of verification", text);
    return 0;
}

static void take_depth(struct argp_state *state, struct options *options, enum option_key id,
                       const char *text)
{
    const struct {
        enum option_key id;
        const char *name;
        uint64_t *out;
    } depths[] = {
        {OPTION_KEEP_HISTORY, "keep-history", &options->keep_history},
        {OPTION_KEEP_TRIES, "keep-tries", &options->keep_tries},
        {OPTION_KEEP_BODIES, "keep-bodies", &options->keep_bodies},
        {OPTION_KEEP_RECEIPTS, "keep-receipts", &options->keep_receipts},
        {OPTION_KEEP_LOGS, "keep-logs", &options->keep_logs},
        {OPTION_KEEP_TRANSACTIONS, "keep-transactions", &options->keep_transactions},
    };
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        if (depths[i].id == id) {
            *depths[i].out = take_number(state, depths[i].name, text);
        }
    }
    options->has_keep = true;
}

#define ALL UINT64_MAX

/* How many blocks back is kept what. */
static void take_preset(struct options *options, struct argp_state *state, const char *text)
{
    static const struct {
        const char *name;
        uint64_t state;  /* values and tries */
        uint64_t blocks; /* bodies, receipts, and what logs are found by */
        uint64_t transactions;
    } presets[] = {
        {"minimal", 64, 10064, 10064}, {"full", 10064, ALL, 2350000}, {"archive", ALL, ALL, ALL}};
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(presets[i].name, text) == 0) {
            options->keep_history = presets[i].state;
            options->keep_tries = presets[i].state;
            options->keep_bodies = presets[i].blocks;
            options->keep_receipts = presets[i].blocks;
            options->keep_logs = presets[i].blocks;
            options->keep_transactions = presets[i].transactions;
            options->has_keep = true;
            return;
        }
    }
    argp_error(state, "--preset: '%s' is none of minimal, full and archive", text);
}

static enum options_format take_format(struct argp_state *state, const char *text)
{
    if (strcmp(text, "rlp") == 0) {
        return OPTIONS_FORMAT_RLP;
    }
    if (strcmp(text, "era1") != 0) {
        argp_error(state, "--format: '%s' is neither rlp nor era1", text);
    }
    return OPTIONS_FORMAT_ERA1;
}

/* Building what the program works on can only lack memory. */
static void require(int result)
{
    if (result != 0) {
        (void)fprintf(stderr, "stoa: %s\n", stoa_strerror(result)); /* nowhere left to tell it */
        exit(COMMAND_FAILED);
    }
}

/* SIZE bytes in hexadecimal digits, LENGTH characters of TEXT. */
static void take_bytes(struct argp_state *state, const char *option, const char *text,
                       size_t length, uint8_t *out, size_t size)
{
    if (bytes_from_hex(text, length, out, size) != (ptrdiff_t)size) {
        argp_error(state, "--%s: '%.*s' is not %zu bytes in hexadecimal digits", option,
                   (int)length, text, size);
    }
}

static void take_address(struct argp_state *state, struct options *options, const char *text)
{
    uint8_t address[20];
    take_bytes(state, "address", text, strlen(text), address, sizeof(address));
    require(buffer_append(&options->addresses, address, sizeof(address)));
}

static void take_topics(struct argp_state *state, struct options *options, const char *text)
{
    if (options->topic_count == OPTIONS_TOPICS_MAX) {
        argp_error(state, "--topic: a log has no more than %d", OPTIONS_TOPICS_MAX);
    }
    struct buffer *topics = &options->topics[options->topic_count++];
    if (strcmp(text, "-") == 0) {
        return;
    }
    const char *comma;
    do {
        uint8_t topic[32];
        comma = strchr(text, ',');
        size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);
        take_bytes(state, "topic", text, length, topic, sizeof(topic));
        require(buffer_append(topics, topic, sizeof(topic)));
        text += length + 1;
    } while (comma != NULL);
}

static uint64_t take_limit(struct argp_state *state, const char *text)
{
    uint64_t limit = take_number(state, "limit", text);
    if (limit == 0) {
        argp_error(state, "--limit: none is no limit");
    }
    return limit;
}

static uint64_t take_keep(struct argp_state *state, const char *text)
{
    uint64_t keep = take_number(state, "keep", text);
    if (keep == 0 || keep > UINT32_MAX) {
        argp_error(state, "--keep: at least one stays, and no more than %u", UINT32_MAX);
    }
    return keep;
}

/* Options of the commands that ask for what has to do with an address or a topic. */
static bool take_query_option(struct argp_state *state, struct options *options, enum option_key id,
                              const char *value)
{
    switch ((int)id) {
    case OPTION_BLOCK:
        options->has_block = true;
        take_bytes(state, "block", value, strlen(value), options->block, sizeof(options->block));
        return true;
    case OPTION_ADDRESS:
        take_address(state, options, value);
        return true;
    case OPTION_TOPIC:
        take_topics(state, options, value);
        return true;
    case OPTION_LIMIT:
        options->limit = take_limit(state, value);
        return true;
    case OPTION_BEFORE:
        options->has_before = true;
        options->before = take_number(state, "before", value);
        return true;
    case OPTION_OLDEST_FIRST:
        options->oldest_first = true;
        return true;
    case OPTION_CURSOR:
        take_bytes(state, "cursor", value, strlen(value), options->cursor, sizeof(options->cursor));
        return true;
    default:
        return false;
    }
}

static void take_option(struct argp_state *state, struct options *options, enum option_key id,
                        const char *value)
{
    switch (id) {
    case OPTION_DIRECTORY:
        options->directory = value;
        break;
    case OPTION_SOCKET:
        options->socket = value;
        break;
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_GENESIS:
        options->genesis = value;
        break;
    case OPTION_CHAIN_ID:
        options->chain_id = take_number(state, "chain-id", value);
        break;
    case OPTION_EXECUTION:
        options->execution = value;
        break;
    case OPTION_NO_VERIFY:
        options->skip |= take_part(state, value);
        break;
    case OPTION_SIDE:
        options->side = true;
        break;
    case OPTION_KEEP_HISTORY:
    case OPTION_KEEP_TRIES:
    case OPTION_KEEP_BODIES:
    case OPTION_KEEP_RECEIPTS:
    case OPTION_KEEP_LOGS:
    case OPTION_KEEP_TRANSACTIONS:
        take_depth(state, options, id, value);
        break;
    case OPTION_SOURCE:
        if (options->source_count == OPTIONS_SOURCES_MAX) {
            argp_error(state, "--from: at most %d", OPTIONS_SOURCES_MAX);
        }
        options->sources[options->source_count++] = value;
        break;
    case OPTION_FULL:
        options->full = true;
        break;
    case OPTION_STORAGE:
        options->storage = true;
        break;
    case OPTION_KEEP:
        options->keep = take_keep(state, value);
        break;
    case OPTION_RATE:
        options->rate = take_number(state, "rate", value);
        break;
    case OPTION_PROGRESS:
        options->progress = true;
        break;
    case OPTION_AT:
        options->has_at = true;
        options->at = take_number(state, "at", value);
        break;
    case OPTION_ARCHIVE_KEEP:
        options->archive_keep = take_keep(state, value);
        break;
    case OPTION_FROM:
    case OPTION_FIRST:
    case OPTION_LOWEST:
        options->has_from = true;
        options->from = take_number(state, "from", value);
        break;
    case OPTION_TO:
    case OPTION_HIGHEST:
    case OPTION_LAST:
    case OPTION_END:
        options->has_to = true;
        options->to = take_number(state, "to", value);
        break;
    case OPTION_FORMAT:
        options->format = take_format(state, value);
        break;
    case OPTION_RAW:
        options->raw = true;
        break;
    case OPTION_DEEP:
        options->deep = true;
        break;
    case OPTION_PRESET:
        take_preset(options, state, value);
        break;
    case OPTION_DRY_RUN:
        options->dry_run = true;
        break;
    case OPTION_PROMETHEUS:
        options->prometheus = true;
        break;
    case OPTION_BLOCK:
    case OPTION_ADDRESS:
    case OPTION_TOPIC:
    case OPTION_LIMIT:
    case OPTION_BEFORE:
    case OPTION_OLDEST_FIRST:
    case OPTION_CURSOR:
    case OPTION_BEFORE_FIRST:
    case OPTION_AFTER_LAST:
    default:
        ensure(take_query_option(state, options, id, value));
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct pass *pass = state->input;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (table[i].key == key) {
            take_option(state, pass->options, table[i].id, value);
            return 0;
        }
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse_program(int key, char *value, struct argp_state *state)
{
    struct pass *pass = state->input;
    if (key == ARGP_KEY_ARG) {
        pass->options->command = command_find(value);
        if (pass->options->command == NULL) {
            argp_error(state, "unknown command '%s'", value);
        }
        pass->first_argument = state->next;
        state->next = state->argc;
        return 0;
    }
    if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "no command");
    }
    return parse_option(key, value, state);
}

static error_t parse_command(int key, char *value, struct argp_state *state)
{
    struct pass *pass = state->input;
    const struct command *command = pass->options->command;
    if (key == ARGP_KEY_ARG) {
        if (pass->argument_count == command->arguments_max) {
            argp_error(state, "too many arguments");
        }
        /* argp moves them behind the options, so that they stand one after another. */
        if (pass->argument_count++ == 0) {
            pass->first_argument = state->next - 1;
        }
        return 0;
    }
    if (key == ARGP_KEY_END) {
        if (pass->argument_count < command->arguments_min) {
            argp_error(state, "%s: %s is missing", command->name, command->arguments);
        }
        return 0;
    }
    return parse_option(key, value, state);
}

/* Leave argp's note on short options out: there are too few of them to need it. */
static char *filter_help(int key, const char *text, void *input)
{
    (void)input;
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)(uintptr_t)text;
}

static void append_program_help(struct buffer *help)
{
    require(
        buffer_append_format(help, "Store, serve and check the blocks of a chain.\vCommands:\n\n"));
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s %s", command->name, command->arguments);
        require(buffer_append_format(help, "  %-24s %s\n", name, command->help));
    }
    require(buffer_append_format(
        help, "\n`stoa COMMAND --help' explains the options of a command. "
              "Exit status: 0 done, 1 failed, 2 usage, 3 no store, 4 damage found."));
}

/* Set up what argp needs for COMMAND, or for the program where it is NULL. */
static struct argp pass_init(struct pass *pass, struct options *options,
                             const struct command *command)
{
    *pass = (struct pass){.options = options};
    unsigned groups = OPTIONS_ALL | (command != NULL ? command->groups : 0);
    size_t count = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if ((table[i].groups & groups) != 0) {
            pass->known[count++] = (struct argp_option){
                .name = table[i].text,
                .key = table[i].key,
                .arg = table[i].argument,
                .doc = table[i].help,
            };
        }
    }
    if (command == NULL) {
        append_program_help(&pass->help);
        require(buffer_append_format(&pass->arguments, "COMMAND [ARGUMENT...]"));
    } else {
        require(buffer_append_format(&pass->help, "%s.", command->help));
        require(buffer_append_format(&pass->arguments, "%s%s%s", command->name,
                                     command->arguments[0] != '\0' ? " " : "", command->arguments));
    }
    require(buffer_append(&pass->help, "", 1));
    require(buffer_append(&pass->arguments, "", 1));
    return (struct argp){
        .options = pass->known,
        .parser = command == NULL ? parse_program : parse_command,
        .args_doc = (const char *)pass->arguments.data,
        .doc = (const char *)pass->help.data,
        .help_filter = filter_help,
    };
}

static void pass_deinit(struct pass *pass)
{
    buffer_deinit(&pass->help);
    buffer_deinit(&pass->arguments);
}

/* One pass over ARGV, whose first word argp and getopt name in their messages. */
static void pass_run(struct pass *pass, const struct argp *argp, int argc, char **argv,
                     unsigned flags)
{
    static char name[] = "stoa";
    argv[0] = name;
    error_t failed = argp_parse(argp, argc, argv, flags, NULL, pass);
    if (failed != 0) {
        (void)fprintf(stderr, "stoa: %s\n", strerror(failed)); /* as above */
        exit(COMMAND_FAILED);
    }
}

void options_parse(int argc, char **argv, struct options *out_options)
{
    const char *directory = getenv("STOA_DIR");
    *out_options = (struct options){
        .directory = directory != NULL && directory[0] != '\0' ? directory : "stoa-data",
    };
    struct pass program;
    struct argp argp = pass_init(&program, out_options, NULL);
    pass_run(&program, &argp, argc, argv, ARGP_IN_ORDER);
    int first = program.first_argument;
    pass_deinit(&program);
    ensure(first > 0 && out_options->command != NULL);

    struct pass command;
    argp = pass_init(&command, out_options, out_options->command);
    char **rest = argv + first - 1; /* the command's own word makes room for the name */
    pass_run(&command, &argp, argc - first + 1, rest, 0);
    out_options->arguments = rest + command.first_argument;
    out_options->argument_count = command.argument_count;
    pass_deinit(&command);
}

void options_deinit(struct options *options)
{
    buffer_deinit(&options->addresses);
    for (unsigned i = 0; i < OPTIONS_TOPICS_MAX; i++) {
        buffer_deinit(&options->topics[i]);
    }
}

void options_print_help(const struct command *command)
{
    struct options options = {.command = command};
    struct pass pass;
    struct argp argp = pass_init(&pass, &options, command);
    char name[] = "stoa";
    char help[] = "--help";
    char *line[] = {name, help, NULL};
    pass_run(&pass, &argp, 2, line, 0);
    pass_deinit(&pass);
}
