/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_call.h: one call of a request, as its method's handler sees it: arguments in, a result
 * written or an error told. Lives on the stack of the thread that answers. */
#ifndef RPC_CALL_H
#define RPC_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "render/json_writer.h"
#include "rpc/rpc.h"

/* Codes of errors: JSON-RPC's own, and those Ethereum's nodes have added. */
enum {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_NO_METHOD = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL = -32603,
    RPC_FAILED = -32000, /* the request is fine, the answer is not to be had */
    RPC_TIMEOUT = -32002,
    RPC_TOO_LARGE = -32003,
    RPC_LIMIT = -32005,
    RPC_UNKNOWN_BLOCK = -39001, /* no block is known to be safe or finalized */
};

struct rpc_call {
    struct rpc *rpc;
    struct stoa *stoa;
    const struct rpc_options *options;
    const json_t *params;       /* an array, or NULL */
    struct json_writer *writer; /* takes one value, under NULL */
    uint64_t deadline_ms;
    int error_code; /* 0: none */
    char error_text[512];
};

/* Answers CALL: writes one value and returns 0, or returns what rpc_call_fail does. */
typedef int rpc_handler(struct rpc_call *call);

/* The call is answered with this error. Returns -1. */
int rpc_call_fail(struct rpc_call *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* RESULT (STOA_E…) of asking the store for WHAT, which is not an answer to the question. */
int rpc_call_fail_store(struct rpc_call *call, int result, const struct stoa_detail *detail,
                        const char *what);

/* What is stored cannot be shown: WHAT is damaged. */
int rpc_call_fail_render(struct rpc_call *call, const struct error_detail *detail,
                         const char *what);

uint64_t rpc_call_now_ms(const struct rpc_call *call);

/* Time that is left, at least 1. */
unsigned rpc_call_rest_ms(const struct rpc_call *call);

/* False, the error told: the time is up, or the answer has become too large. For loops. */
bool rpc_call_go_on(struct rpc_call *call);

#endif
