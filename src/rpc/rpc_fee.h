/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_fee.h: prices, from what stored blocks paid: there is no pool to look into. */
#ifndef RPC_FEE_H
#define RPC_FEE_H

#include "chain/header.h"
#include "rpc/rpc_call.h"

/* The base fee of the block after that of HEADER (EIP-1559). False: HEADER has none itself. */
bool rpc_fee_next_base(const struct header *header, uint8_t out[32]);

rpc_handler rpc_fee_gas_price;
rpc_handler rpc_fee_priority;
rpc_handler rpc_fee_base;
rpc_handler rpc_fee_blob_base;
rpc_handler rpc_fee_history;

#endif
