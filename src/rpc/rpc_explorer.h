/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_explorer.h: what block explorers ask beyond eth_: the ots_ calls of Otterscan, and a few of
 * erigon_. Those that would have to execute anything are not among them. */
#ifndef RPC_EXPLORER_H
#define RPC_EXPLORER_H

#include "rpc/rpc_call.h"

rpc_handler rpc_explorer_level;
rpc_handler rpc_explorer_has_code;
rpc_handler rpc_explorer_details;
rpc_handler rpc_explorer_details_by_hash;
rpc_handler rpc_explorer_transactions;
rpc_handler rpc_explorer_search_before;
rpc_handler rpc_explorer_search_after;
rpc_handler rpc_explorer_by_nonce;
rpc_handler rpc_explorer_creator;
rpc_handler rpc_explorer_by_timestamp;
rpc_handler rpc_explorer_receipts_by_hash;

#endif
