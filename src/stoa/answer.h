/* SPDX-License-Identifier: GPL-3.0-or-later */
/* answer.h: what a command answers, growing as text for people or as JSON, as the options say, and
 * printed when it is whole. A command fills the sheet, the JSON, or both where that is shorter. */
#ifndef ANSWER_H
#define ANSWER_H

#include "render/json_writer.h"
#include "stoa/options.h"
#include "stoa/sheet.h"

struct answer {
    const struct options *options;
    struct buffer buffer; /* of the JSON */
    struct json_writer json;
    struct sheet sheet;
};

void answer_init(struct answer *answer, const struct options *options);
void answer_deinit(struct answer *answer);

/* Print it, or a message where that fails: an exit status. Deinit is still the caller's. */
int answer_print(struct answer *answer);

/* Print and deinit: an exit status. */
int answer_finish(struct answer *answer);

#endif
