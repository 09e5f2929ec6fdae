/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_state.h: calls about accounts, storage and code, as of any block of the canonical chain. */
#ifndef RPC_STATE_H
#define RPC_STATE_H

#include "rpc/rpc_call.h"

/* Argument INDEX as the height that state is asked of: STOA_AT_HEAD for the latest. */
struct rpc_state_place {
    uint64_t height;
    bool by_hash; /* then HASH is that of the canonical block there */
    uint8_t hash[32];
};
bool rpc_state_place(struct rpc_call *call, size_t index, struct rpc_state_place *out);

/* Whether what was read at PLACE is of the block that was asked for: the chain may have changed
 * meanwhile. The error is told. */
bool rpc_state_still(struct rpc_call *call, const struct rpc_state_place *place);

/* The account of ADDRESS as of HEIGHT, all zero where there is none. 0, or -1 with the error told.
 */
int rpc_state_get_account(struct rpc_call *call, const uint8_t address[20], uint64_t height,
                          struct stoa_account *out);

/* The code of ADDRESS as of HEIGHT: owned, stoa_free. STOA_ENOTFOUND: none; -1: the error is told.
 */
int rpc_state_get_code(struct rpc_call *call, const uint8_t address[20], uint64_t height,
                       struct stoa_bytes *out_code);

rpc_handler rpc_state_balance;
rpc_handler rpc_state_nonce;
rpc_handler rpc_state_code;
rpc_handler rpc_state_storage;
rpc_handler rpc_state_storage_values;
rpc_handler rpc_state_proof;

#endif
