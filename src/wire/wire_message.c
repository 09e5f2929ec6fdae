/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_message.h"

enum message_kind { READ, WRITE, UPKEEP };

static const enum message_kind kinds[STOA_MESSAGE_END] = {
#define STOA_MESSAGE(name, text, priority, kind) [STOA_MESSAGE_##name] = kind,
#include "stoa/message.def"
#undef STOA_MESSAGE
};

static const struct {
    enum wire_argument_shape argument;
    enum wire_reply_shape reply;
} shapes[STOA_MESSAGE_END] = {
#define WIRE_MESSAGE(name, argument, reply) \
    [STOA_MESSAGE_##name] = {WIRE_ARGUMENT_##argument, WIRE_REPLY_##reply},
#include "wire/wire_messages.def"
#undef WIRE_MESSAGE
#define STOA_JOB(name, text, every, bytes, operations, help) \
    [STOA_MESSAGE_##name] = {WIRE_ARGUMENT_JOB, WIRE_REPLY_JOBS},
#include "stoa/job.def"
#undef STOA_JOB
};

enum wire_argument_shape wire_message_argument(unsigned message)
{
    return message < STOA_MESSAGE_END ? shapes[message].argument : WIRE_ARGUMENT_UNKNOWN;
}

enum wire_reply_shape wire_message_reply(unsigned message)
{
    return message < STOA_MESSAGE_END ? shapes[message].reply : WIRE_REPLY_UNKNOWN;
}

enum wire_role wire_message_role(unsigned type)
{
    static const enum wire_role roles[] = {
        [READ] = WIRE_ROLE_READ,
        [WRITE] = WIRE_ROLE_WRITE,
        [UPKEEP] = WIRE_ROLE_ADMIN,
    };
    if (type < STOA_MESSAGE_END) {
        return roles[kinds[type]];
    }
    switch (type) {
    case WIRE_METRICS_TEXT:
    case WIRE_METRICS_LIST:
    case WIRE_DEAD_LETTERS_LIST:
    case WIRE_DEAD_LETTERS_COUNT:
    case WIRE_BLOCK_CHANGES:
    case WIRE_PING:
    case WIRE_CANCEL:
        return WIRE_ROLE_READ;
    case WIRE_SYNC:
        return WIRE_ROLE_WRITE;
    default:
        return WIRE_ROLE_ADMIN;
    }
}

bool wire_message_reads(unsigned type)
{
    return wire_message_role(type) == WIRE_ROLE_READ;
}
