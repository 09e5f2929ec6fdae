/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/command.h"

#include <string.h>

#include "base/ensure.h"
#include "stoa/console.h"

static const struct command commands[] = {
#define STOA_COMMAND(name, arguments, fewest, most, groups, run, help) \
    {name, arguments, fewest, most, groups, run, help},
#include "stoa/commands.def"
#undef STOA_COMMAND
};

static void show_rebuild(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)context;
    unsigned percent = total == 0 ? 100 : (unsigned)((double)done * 100 / (double)total);
    console_progress("%s: %u %%", what, percent);
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

const struct command *command_at(size_t index)
{
    return index < sizeof(commands) / sizeof(commands[0]) ? &commands[index] : NULL;
}

int command_open(const struct options *options, bool bulk, struct stoa **out_stoa)
{
    struct stoa_options open_options = STOA_OPTIONS_INIT;
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    maintenance.off = 1; /* a command does what it is told and no more */
    open_options.maintenance = &maintenance;
    open_options.bulk = bulk ? 1 : 0;
    open_options.progress = show_rebuild;
    open_options.history_blocks = options->keep_history;
    open_options.trie_history_blocks = options->keep_tries;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_open(options->directory, &open_options, out_stoa, &detail);
    console_progress_clear();
    if (result == 0) {
        if (detail.text[0] != '\0') {
            console_error("warning: %s", detail.text);
        }
        return COMMAND_DONE;
    }
    int status = command_fail(result, &detail, options->directory);
    return result == STOA_ENOTFOUND ? COMMAND_NO_STORE : status;
}

int command_close(struct stoa *stoa, int status)
{
    struct stoa_detail detail = {.code = 0};
    int result = stoa_close(stoa, &detail);
    if (result == 0) {
        return status;
    }
    int closed = command_fail(result, &detail, "close");
    return status == COMMAND_DONE ? closed : status;
}

int command_fail(int result, const struct stoa_detail *detail, const char *what)
{
    ensure(result < 0);
    const char *text = detail->text[0] != '\0' ? detail->text : stoa_strerror(result);
    console_error("%s: %s", what, text);
    return result == STOA_ECORRUPT ? COMMAND_DAMAGE : COMMAND_FAILED;
}

int command_help_run(const struct options *options)
{
    if (options->argument_count == 0) {
        options_print_help(NULL);
        return COMMAND_DONE;
    }
    const struct command *command = command_find(options->arguments[0]);
    if (command == NULL) {
        console_error("unknown command '%s'", options->arguments[0]);
        return COMMAND_USAGE;
    }
    options_print_help(command);
    return COMMAND_DONE;
}
