/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_argument_private.h: the tables that writing and reading of arguments share, and with them
 * what else tells of the same structs. */
#ifndef WIRE_ARGUMENT_PRIVATE_H
#define WIRE_ARGUMENT_PRIVATE_H

#include "stoa.h"
#include "wire/wire_field.h"

#define WIRE_ARGUMENT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { WIRE_ARGUMENT_TOPICS_MAX = 4 };

extern const struct wire_field wire_argument_key[3];
extern const struct wire_field wire_argument_range[2];
extern const struct wire_field wire_argument_state_query[3];
extern const struct wire_field wire_argument_account[5];
extern const struct wire_field wire_argument_slot[3];
extern const struct wire_field wire_argument_cursor[3];
extern const struct wire_field wire_argument_filter_range[2];
extern const struct wire_field wire_argument_filter_limit[3];
extern const struct wire_field wire_argument_history[7];
extern const struct wire_field wire_argument_job[6];
extern const struct wire_field wire_argument_job_more[10]; /* behind name and path */

/* Of a block as RLP; 0 where it has no list of them. */
uint64_t wire_argument_transactions(struct stoa_bytes block);

#endif
