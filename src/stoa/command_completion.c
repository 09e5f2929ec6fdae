/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_completion.c: what a shell needs to complete the command line of stoa, from the tables
 * that it is read by. */
#include <ctype.h>
#include <string.h>

#include "base/buffer.h"
#include "stoa/command.h"
#include "stoa/console.h"

struct option_row {
    int key; /* a letter, or 0 */
    const char *text;
    const char *argument;
    unsigned groups;
    const char *help;
};

static const struct option_row table[] = {
#define STOA_OPTION(name, key, text, argument, groups, help) {key, text, argument, groups, help},
#include "stoa/options.def"
#undef STOA_OPTION
};

enum { OPTIONS = sizeof(table) / sizeof(*table), OPTIONS_PROGRAM = OPTIONS_ALL };

struct script {
    struct buffer text;
    int result;
};

static void add(struct script *script, const char *text)
{
    if (script->result == 0) {
        script->result = buffer_append(&script->text, text, strlen(text));
    }
}

/* TEXT inside single quotes; for zsh also with what it would take apart. */
static void add_quoted(struct script *script, const char *text, bool zsh)
{
    for (const char *p = text; *p != '\0'; p++) {
        char one[2] = {*p, '\0'};
        if (*p == '\'') {
            add(script, "'\\''");
        } else if (zsh && strchr(":[]\\", *p) != NULL) {
            add(script, "\\");
            add(script, one);
        } else {
            add(script, one);
        }
    }
}

static bool is_file(const char *argument)
{
    return argument != NULL &&
           (strncmp(argument, "FILE", 4) == 0 || strncmp(argument, "DIR", 3) == 0 ||
            strncmp(argument, "SOCKET", 6) == 0);
}

/* The words among "A|b|c" that can be typed as they are, separated by spaces. */
static void add_words(struct script *script, const char *argument)
{
    const char *p = argument == NULL ? "" : argument;
    while (*p != '\0') {
        size_t size = strcspn(p, "| ");
        bool literal = size > 0;
        for (size_t i = 0; i < size; i++) {
            literal = literal && (islower((unsigned char)p[i]) || p[i] == '-');
        }
        for (size_t i = 0; literal && i < size; i++) {
            char one[2] = {p[i], '\0'};
            add(script, one);
        }
        add(script, literal ? " " : "");
        p += size + (p[size] != '\0');
    }
}

static bool goes_with(const struct option_row *option, const struct command *command)
{
    return (option->groups & (command->groups | OPTIONS_PROGRAM)) != 0;
}

/* ---- bash ---- */

static void add_bash(struct script *script)
{
    add(script, "_stoa() {\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                "    local command='' words='' files='' i\n"
                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "        case ${COMP_WORDS[i]} in\n        -d|--directory|-s|--socket) ((i++)) ;;\n"
                "        -*) ;;\n        *) command=${COMP_WORDS[i]}; break ;;\n"
                "        esac\n    done\n    case $prev in\n    -d) files=1 ;;\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        bool first = true;
        for (size_t j = 0; j < i; j++) {
            first = first && strcmp(table[i].text, table[j].text) != 0;
        }
        if (!first || !is_file(table[i].argument)) {
            continue;
        }
        add(script, "    --");
        add(script, table[i].text);
        add(script, ") files=1 ;;\n");
    }
    add(script, "    *)\n        case $command in\n        '') words='");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        add(script, command_at(i)->name);
        add(script, " ");
    }
    add(script, "' ;;\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        add(script, "        ");
        add(script, command->name);
        add(script, ") words='");
        add_words(script, command->arguments);
        for (size_t j = 0; j < OPTIONS; j++) {
            if (goes_with(&table[j], command)) {
                add(script, "--");
                add(script, table[j].text);
                add(script, " ");
            }
        }
        add(script, is_file(command->arguments) ? "' files=1 ;;\n" : "' ;;\n");
    }
    add(script, "        esac\n        ;;\n    esac\n"
                "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                "    if [ -n \"$files\" ]; then\n"
                "        compopt -o filenames\n"
                "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n    fi\n}\n"
                "complete -F _stoa stoa\n");
}

/* ---- zsh ---- */

static void add_zsh_option(struct script *script, const struct option_row *option)
{
    add(script, " '--");
    add(script, option->text);
    add(script, option->argument != NULL ? "=[" : "[");
    add_quoted(script, option->help, true);
    add(script, "]");
    if (option->argument != NULL) {
        add(script, ":");
        add_quoted(script, option->argument, true);
        add(script, is_file(option->argument) ? ":_files" : ":");
    }
    add(script, "'");
}

static void add_zsh(struct script *script)
{
    add(script, "#compdef stoa\n_stoa() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        add(script, "        '");
        add(script, command_at(i)->name);
        add(script, ":");
        add_quoted(script, command_at(i)->help, true);
        add(script, "'\n");
    }
    add(script, "    )\n    local curcontext=$curcontext state line\n    _arguments -C");
    for (size_t i = 0; i < OPTIONS; i++) {
        if ((table[i].groups & OPTIONS_PROGRAM) != 0) {
            add_zsh_option(script, &table[i]);
        }
    }
    add(script, " '1:command:->command' '*::argument:->argument'\n    case $state in\n"
                "    command) _describe command commands ;;\n    argument)\n"
                "        case $line[1] in\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        add(script, "        ");
        add(script, command->name);
        add(script, ") _arguments");
        for (size_t j = 0; j < OPTIONS; j++) {
            if (goes_with(&table[j], command)) {
                add_zsh_option(script, &table[j]);
            }
        }
        add(script, " '*:argument:");
        if (is_file(command->arguments)) {
            add(script, "_files");
        } else {
            add(script, "(");
            add_words(script, command->arguments);
            add(script, ")");
        }
        add(script, "' ;;\n");
    }
    add(script,
        "        esac\n        ;;\n    esac\n}\n"
        "if [ \"$funcstack[1]\" = _stoa ]; then _stoa \"$@\"; else compdef _stoa stoa; fi\n");
}

/* ---- fish ---- */

static void add_fish_option(struct script *script, const struct option_row *option,
                            const struct command *command)
{
    add(script, "complete -c stoa");
    if (command != NULL) {
        add(script, " -n '__fish_seen_subcommand_from ");
        add(script, command->name);
        add(script, "'");
    }
    if (option->key != 0) {
        char letter[] = {' ', '-', 's', ' ', (char)option->key, '\0'};
        add(script, letter);
    }
    add(script, " -l ");
    add(script, option->text);
    if (option->argument != NULL) {
        add(script, is_file(option->argument) ? " -r -F" : " -x");
    }
    add(script, " -d '");
    add_quoted(script, option->help, false);
    add(script, "'\n");
}

static void add_fish(struct script *script)
{
    add(script, "complete -c stoa -f\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        if ((table[i].groups & OPTIONS_PROGRAM) != 0) {
            add_fish_option(script, &table[i], NULL);
        }
    }
    for (size_t i = 0; command_at(i) != NULL; i++) {
        const struct command *command = command_at(i);
        add(script, "complete -c stoa -n __fish_use_subcommand -a ");
        add(script, command->name);
        add(script, " -d '");
        add_quoted(script, command->help, false);
        add(script, "'\n");
        add(script, "complete -c stoa -n '__fish_seen_subcommand_from ");
        add(script, command->name);
        add(script, is_file(command->arguments) ? "' -F" : "' -a '");
        if (!is_file(command->arguments)) {
            add_words(script, command->arguments);
            add(script, "'");
        }
        add(script, "\n");
        for (size_t j = 0; j < OPTIONS; j++) {
            if ((table[j].groups & command->groups) != 0) {
                add_fish_option(script, &table[j], command);
            }
        }
    }
}

int command_completion_run(const struct options *options)
{
    static const struct {
        const char *name;
        void (*add)(struct script *script);
    } shells[] = {{"bash", add_bash}, {"zsh", add_zsh}, {"fish", add_fish}};
    struct script script = {.result = 0};
    const char *shell = options->arguments[0];
    buffer_init(&script.text);
    for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].add(&script);
            bool printed = script.result == 0 && console_write(&script.text);
            buffer_deinit(&script.text);
            if (script.result != 0) {
                console_error("%s", stoa_strerror(script.result));
            }
            return printed ? COMMAND_DONE : COMMAND_FAILED;
        }
    }
    console_error("%s: none of bash, zsh, fish", shell);
    return COMMAND_USAGE;
}
