/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_store.h: calls about the node and its store rather than about the chain. */
#ifndef RPC_STORE_H
#define RPC_STORE_H

#include "rpc/rpc_call.h"

rpc_handler rpc_store_chain_id;
rpc_handler rpc_store_syncing;
rpc_handler rpc_store_accounts;
rpc_handler rpc_store_capabilities;
rpc_handler rpc_store_network;
rpc_handler rpc_store_listening;
rpc_handler rpc_store_peers;
rpc_handler rpc_store_client;
rpc_handler rpc_store_sha3;
rpc_handler rpc_store_modules;
rpc_handler rpc_store_health;
rpc_handler rpc_store_stats;
rpc_handler rpc_store_cache;
rpc_handler rpc_store_branches;
rpc_handler rpc_store_metrics;
rpc_handler rpc_store_jobs;

#endif
