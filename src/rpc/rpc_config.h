/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_config.h: what the config of the chain's genesis says about forks, where it is known
 * (rpc_options.chain_config), and what follows from it: the price of blobs, eth_config (EIP-7910).
 */
#ifndef RPC_CONFIG_H
#define RPC_CONFIG_H

#include "chain/header.h"
#include "rpc/rpc_call.h"

/* The height of London. False: not known, or never. */
bool rpc_config_london(struct rpc_call *call, uint64_t *out_height);

/* What a unit of blob gas costs in the block of HEADER. False: it has none. */
bool rpc_config_blob_price(struct rpc_call *call, const struct header *header, uint8_t out[32]);

/* The same in the block after it: zero where HEADER has none. */
void rpc_config_next_blob_price(struct rpc_call *call, const struct header *header,
                                uint8_t out[32]);

/* The share of the blob gas that the block of HEADER may have that it has. */
double rpc_config_blob_ratio(struct rpc_call *call, const struct header *header);

rpc_handler rpc_config_show;

#endif
