/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c: the program stoa(1). */
#include "stoa/command.h"

int main(int argc, char **argv)
{
    struct options options;
    options_parse(argc, argv, &options);
    int status = options.command->run(&options);
    options_deinit(&options);
    return status;
}
