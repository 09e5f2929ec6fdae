/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_log.h: a log as Ethereum's JSON-RPC shows it (eth_getLogs, and in receipts). Pure but for
 * the writer's memory; any thread. */
#ifndef JSON_LOG_H
#define JSON_LOG_H

#include "render/json_writer.h"

enum { JSON_LOG_TOPICS_MAX = 4 };

struct json_log {
    const uint8_t *address;                     /* 20 bytes */
    const uint8_t *topics[JSON_LOG_TOPICS_MAX]; /* 32 bytes each, as the hashes */
    unsigned topic_count;
    struct bytes data;
    uint64_t height;
    uint64_t timestamp; /* of the block */
    const uint8_t *block_hash;
    const uint8_t *transaction_hash;
    uint64_t transaction_index;
    uint64_t log_index; /* in the block */
    bool removed;       /* its block has left the chain */
};

void json_log_append(struct json_writer *writer, const char *key, const struct json_log *log);

#endif
