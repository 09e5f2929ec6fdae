/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
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

/* The token for a daemon on TCP. A file that is too long or not there gives none, which the daemon
 * then says. */
static size_t read_token(uint8_t *out, size_t size)
{
    const char *path = getenv("STOA_TOKEN_FILE");
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t count = fread(out, 1, size, file);
    (void)fclose(file); /* it was only read */
    while (count != 0 &&
           (out[count - 1] == '\n' || out[count - 1] == '\r' || out[count - 1] == ' ')) {
        count--;
    }
    return count;
}

static int connect_to(const char *address, struct stoa **out_stoa)
{
    struct stoa_connect_options connect_options = STOA_CONNECT_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    uint8_t token[4096];
    connect_options.name = "stoa";
    connect_options.token = token;
    connect_options.token_size = read_token(token, sizeof(token));
    int result = stoa_connect(address, &connect_options, out_stoa, &detail);
    if (result == 0) {
        return COMMAND_DONE;
    }
    int status = command_fail(result, &detail, address);
    return result == STOA_ENOTFOUND ? COMMAND_NO_STORE : status;
}

/* The store is open in another process: the daemon's, if its socket is there. False: it is not. */
static bool find_daemon(const struct options *options, struct stoa **out_stoa, int *out_status)
{
    struct buffer path = {.data = NULL};
    bool found = buffer_append_format(&path, "%s/stoad.sock", options->directory) == 0 &&
                 buffer_append(&path, "", 1) == 0 && access((const char *)path.data, F_OK) == 0;
    if (found) {
        *out_status = connect_to((const char *)path.data, out_stoa);
    }
    buffer_deinit(&path);
    return found;
}

int command_open(const struct options *options, bool bulk, struct stoa **out_stoa)
{
    int status;
    if (options->socket != NULL) {
        return connect_to(options->socket, out_stoa);
    }
    struct stoa_options open_options = STOA_OPTIONS_INIT;
    struct stoa_maintenance maintenance = STOA_MAINTENANCE_INIT;
    maintenance.off = 1; /* a command does what it is told and no more */
    open_options.maintenance = &maintenance;
    open_options.bulk = bulk ? 1 : 0;
    open_options.progress = show_rebuild;
    bool import = (options->command->groups & OPTIONS_IMPORT) != 0; /* to prune is a job's */
    open_options.history_blocks = import ? options->keep_history : 0;
    open_options.trie_history_blocks = import ? options->keep_tries : 0;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_open(options->directory, &open_options, out_stoa, &detail);
    console_progress_clear();
    if (result == 0) {
        if (detail.text[0] != '\0') {
            console_error("warning: %s", detail.text);
        }
        return COMMAND_DONE;
    }
    if (result == STOA_ELOCKED && find_daemon(options, out_stoa, &status)) {
        return status;
    }
    status = command_fail(result, &detail, options->directory);
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
