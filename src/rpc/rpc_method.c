/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_method.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/rpc_block.h"
#include "rpc/rpc_config.h"
#include "rpc/rpc_explorer.h"
#include "rpc/rpc_fee.h"
#include "rpc/rpc_filter.h"
#include "rpc/rpc_log.h"
#include "rpc/rpc_state.h"
#include "rpc/rpc_store.h"
#include "rpc/rpc_transaction.h"

static const struct rpc_method methods[] = {
#define RPC_METHOD(name, handler, min, max, help) {name, handler, min, max, help},
#include "rpc/method.def"
#undef RPC_METHOD
};

enum { METHODS = sizeof(methods) / sizeof(*methods) };

static int compare(const void *name, const void *method)
{
    return strcmp(name, ((const struct rpc_method *)method)->name);
}

const struct rpc_method *rpc_method_find(const char *name)
{
    return bsearch(name, methods, METHODS, sizeof(*methods), compare);
}

const struct rpc_method *rpc_method_at(size_t index)
{
    return index < METHODS ? &methods[index] : NULL;
}
