/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_reply_private.h: the tables that writing and reading of replies share. */
#ifndef WIRE_REPLY_PRIVATE_H
#define WIRE_REPLY_PRIVATE_H

#include "stoa.h"
#include "wire/wire_field.h"

/* Fields of a struct, by tables that do not change. */
struct wire_reply_table {
    const struct wire_field *fields;
    size_t count;
};

enum wire_reply_struct {
    WIRE_STRUCT_ACCOUNT,
    WIRE_STRUCT_HEAD,
    WIRE_STRUCT_STATS,
    WIRE_STRUCT_CACHE_STATS,
    WIRE_STRUCT_CACHE_CLASS,
    WIRE_STRUCT_HEALTH,
    WIRE_STRUCT_REASON,
    WIRE_STRUCT_ANALYSIS,
    WIRE_STRUCT_VERIFIED,
    WIRE_STRUCT_DAMAGE,
    WIRE_STRUCT_BRANCH,
    WIRE_STRUCT_LOG,
    WIRE_STRUCT_HISTORY_ENTRY,
    WIRE_STRUCT_CURSOR,
    WIRE_STRUCT_PROOF,
    WIRE_STRUCT_BLOCK,
    WIRE_STRUCT_HEADER,
    WIRE_STRUCT_JOB,
    WIRE_STRUCT_FACT,
};

struct wire_reply_table wire_reply_fields(enum wire_reply_struct which);

#endif
