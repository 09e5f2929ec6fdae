/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_argument.h: arguments of a call, read and checked. Where one is not what it must be, the
 * error is told and false or -1 comes back. */
#ifndef RPC_ARGUMENT_H
#define RPC_ARGUMENT_H

#include "rpc/rpc_call.h"

enum rpc_tag { RPC_BY_HEIGHT, RPC_BY_HASH, RPC_LATEST, RPC_EARLIEST, RPC_SAFE, RPC_FINALIZED };

/* Which block is meant. */
struct rpc_place {
    enum rpc_tag tag; /* pending is the latest: there is no pool */
    uint64_t height;
    uint8_t hash[32];
    bool require_canonical;
};

/* NULL: it is not there, or null. */
const json_t *rpc_argument_at(const struct rpc_call *call, size_t index);

/* VALUE as bytes: a 0x-text of exactly SIZE; NAME is "Hash" or "Address". INDEX is the argument's,
 * for the message. */
bool rpc_argument_fixed(struct rpc_call *call, size_t index, const json_t *value, size_t size,
                        const char *name, uint8_t *out);
bool rpc_argument_hash(struct rpc_call *call, size_t index, uint8_t out[32]);
bool rpc_argument_address(struct rpc_call *call, size_t index, uint8_t out[20]);

/* A 0x-quantity of up to 64 bits without leading zeros. */
bool rpc_argument_quantity(struct rpc_call *call, size_t index, uint64_t *out);

/* The same, or a plain JSON number. */
bool rpc_argument_number(struct rpc_call *call, size_t index, uint64_t *out);

/* Not there: OTHERWISE. */
bool rpc_argument_bool(struct rpc_call *call, size_t index, bool otherwise, bool *out);

/* What the parts of a quantity are: NULL, or why TEXT is none. */
const char *rpc_argument_parse_quantity(const char *text, uint64_t *out);

/* VALUE as a height or a tag; with ANY_HASH also a hash or an object as EIP-1898 has it. NULL: the
 * latest. */
bool rpc_argument_place(struct rpc_call *call, size_t index, const json_t *value, bool any_hash,
                        struct rpc_place *out);

/* PLACE as the store knows it. A tag that nothing is known of is an error. */
bool rpc_argument_key(struct rpc_call *call, const struct rpc_place *place,
                      struct stoa_block_key *out);

/* Argument INDEX as a block: both of the above. */
bool rpc_argument_block(struct rpc_call *call, size_t index, bool any_hash,
                        struct stoa_block_key *out);

#endif
