/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_block.h: calls about blocks and headers, and how calls get at them. */
#ifndef RPC_BLOCK_H
#define RPC_BLOCK_H

#include "chain/block.h"
#include "rpc/rpc_call.h"

/* A block of the store, decoded. */
struct rpc_block {
    struct stoa_block stored;
    struct block block;
};

/* 0: OUT is the caller's to release. STOA_ENOTFOUND: there is none, and no error is told. -1: the
 * error is told. */
int rpc_block_get(struct rpc_call *call, const struct stoa_block_key *key, struct rpc_block *out);
void rpc_block_release(struct rpc_block *block);

/* The same for what argument INDEX names. */
int rpc_block_get_argument(struct rpc_call *call, size_t index, bool any_hash,
                           struct rpc_block *out);

struct rpc_header {
    struct stoa_header stored;
    struct header header;
};
int rpc_block_get_header(struct rpc_call *call, const struct stoa_block_key *key,
                         struct rpc_header *out);

static inline struct bytes rpc_block_bytes(struct stoa_bytes view)
{
    return bytes_of(view.data, view.size);
}

rpc_handler rpc_block_number;
rpc_handler rpc_block_by_number;
rpc_handler rpc_block_by_hash;
rpc_handler rpc_block_count_by_number;
rpc_handler rpc_block_count_by_hash;
rpc_handler rpc_block_uncle_count_by_number;
rpc_handler rpc_block_uncle_count_by_hash;
rpc_handler rpc_block_uncle_by_number;
rpc_handler rpc_block_uncle_by_hash;
rpc_handler rpc_block_raw;
rpc_handler rpc_block_raw_header;
rpc_handler rpc_block_header_by_number;
rpc_handler rpc_block_header_by_hash;

#endif
