/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_private.h: what a struct rpc is, for the files of this folder that keep something in it. */
#ifndef RPC_PRIVATE_H
#define RPC_PRIVATE_H

#include <jansson.h>
#include <stdatomic.h>

#include "rpc/rpc.h"
#include "rpc/rpc_filter.h"

struct rpc {
    struct rpc_options options;
    json_t *chain_config; /* NULL: not known. Only read */
    struct rpc_filters *filters;
    /* Counters, in no order with anything. */
    _Atomic uint64_t requests;
    _Atomic uint64_t calls;
    _Atomic uint64_t errors;
};

#endif
