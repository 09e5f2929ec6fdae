/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_method.h: the table of methods, method.def. */
#ifndef RPC_METHOD_H
#define RPC_METHOD_H

#include "rpc/rpc_call.h"

struct rpc_method {
    const char *name;
    rpc_handler *handler; /* NULL: known to other nodes, and not answered here */
    unsigned arguments_min;
    unsigned arguments_max;
    const char *help;
};

/* NULL: there is none. */
const struct rpc_method *rpc_method_find(const char *name);

/* The INDEX-th of the table, which is sorted by name; NULL past its end. */
const struct rpc_method *rpc_method_at(size_t index);

#endif
