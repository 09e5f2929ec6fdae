/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_message.h: the vocabulary: how each message's argument and reply look on the wire, and which
 * role may send it (wire_messages.def and stoa/message.def). Pure. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "stoa.h"
#include "wire/wire.h"

enum wire_argument_shape {
    WIRE_ARGUMENT_UNKNOWN, /* it does not travel */
    WIRE_ARGUMENT_NONE,
    WIRE_ARGUMENT_BLOCK,
    WIRE_ARGUMENT_RECEIPTS,
    WIRE_ARGUMENT_KEY,
    WIRE_ARGUMENT_RANGE,
    WIRE_ARGUMENT_UPDATE,
    WIRE_ARGUMENT_BYTES,
    WIRE_ARGUMENT_STATE_AT,
    WIRE_ARGUMENT_STATE_QUERY,
    WIRE_ARGUMENT_PROOF_QUERY,
    WIRE_ARGUMENT_HEIGHT,
    WIRE_ARGUMENT_NUMBER,
    WIRE_ARGUMENT_BATCH,
    WIRE_ARGUMENT_HASH,
    WIRE_ARGUMENT_LOG_FILTER,
    WIRE_ARGUMENT_HISTORY_QUERY,
    WIRE_ARGUMENT_JOB,
};

enum wire_reply_shape {
    WIRE_REPLY_UNKNOWN,
    WIRE_REPLY_NOTHING, /* beyond what every reply has */
    WIRE_REPLY_BLOCK,
    WIRE_REPLY_BLOCKS, /* a stream */
    WIRE_REPLY_HEADER,
    WIRE_REPLY_HEADERS,
    WIRE_REPLY_TRANSACTION,
    WIRE_REPLY_VALUE,
    WIRE_REPLY_ACCOUNT,
    WIRE_REPLY_PROOF,
    WIRE_REPLY_LOGS,
    WIRE_REPLY_HISTORY,
    WIRE_REPLY_HEAD,
    WIRE_REPLY_STATS,
    WIRE_REPLY_CACHE_STATS,
    WIRE_REPLY_HEALTH,
    WIRE_REPLY_ANALYSIS,
    WIRE_REPLY_VERIFIED,
    WIRE_REPLY_BRANCHES,
    WIRE_REPLY_JOBS,
    WIRE_REPLY_COPIES,
    WIRE_REPLY_ARCHIVE,
    WIRE_REPLY_STORAGE,
};

/* …_UNKNOWN for what is no message. */
enum wire_argument_shape wire_message_argument(unsigned message);
enum wire_reply_shape wire_message_reply(unsigned message);

/* Which role a frame of TYPE wants. */
enum wire_role wire_message_role(unsigned type);

/* Whether it changes nothing that is stored, so that it may be asked again at will. */
bool wire_message_reads(unsigned type);

#endif
