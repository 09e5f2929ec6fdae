/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/answer.h"

#include "stoa/command.h"
#include "stoa/console.h"

void answer_init(struct answer *answer, const struct options *options)
{
    *answer = (struct answer){.options = options};
    buffer_init(&answer->buffer);
    json_writer_init(&answer->json, &answer->buffer);
    sheet_init(&answer->sheet);
}

void answer_deinit(struct answer *answer)
{
    buffer_deinit(&answer->buffer);
    sheet_deinit(&answer->sheet);
}

int answer_print(struct answer *answer)
{
    bool printed = answer->options->json ? console_write_json(&answer->json, &answer->buffer)
                                         : sheet_print(&answer->sheet);
    return printed ? COMMAND_DONE : COMMAND_FAILED;
}

int answer_finish(struct answer *answer)
{
    int status = answer_print(answer);
    answer_deinit(answer);
    return status;
}
