/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_log.h: logs by what they are about. What is asked for is kept as it was read, so that a
 * filter can ask again. */
#ifndef RPC_LOG_H
#define RPC_LOG_H

#include "rpc/rpc_argument.h"

enum { RPC_LOG_TOPICS = 4 };

/* Owns its memory. */
struct rpc_log_query {
    bool by_block; /* of one block, by its hash */
    uint8_t block_hash[32];
    struct rpc_place from;
    struct rpc_place to;
    bool has_from;
    bool has_to;
    uint8_t *addresses; /* 20 bytes each */
    size_t address_count;
    uint8_t *topics[RPC_LOG_TOPICS]; /* 32 bytes each */
    size_t topic_counts[RPC_LOG_TOPICS];
    unsigned topic_count;
};

/* Read argument INDEX. On success OUT is the caller's to deinit. */
bool rpc_log_query_init(struct rpc_call *call, size_t index, struct rpc_log_query *out);
void rpc_log_query_deinit(struct rpc_log_query *query);

/* A copy. False: no memory. */
bool rpc_log_query_copy(const struct rpc_log_query *query, struct rpc_log_query *out);

/* Write as elements of an array what QUERY finds in the range it says. 0, or -1. */
int rpc_log_write(struct rpc_call *call, const struct rpc_log_query *query);

/* Likewise what it finds in the blocks FROM to TO, whatever range it says. */
int rpc_log_write_range(struct rpc_call *call, const struct rpc_log_query *query, uint64_t from,
                        uint64_t to);

/* Likewise what it finds in the block HASH, of any branch; as REMOVED where that was left. */
int rpc_log_write_block(struct rpc_call *call, const struct rpc_log_query *query,
                        const uint8_t hash[32], bool removed);

rpc_handler rpc_log_get;
rpc_handler rpc_log_by_hash;

#endif
