/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc.h: Ethereum's JSON-RPC 2.0 over an open store: the bytes of a request in, the bytes of its
 * answer out. What methods there are stands in method.def; the transport is somebody else's.
 *
 * Any thread, any number at once; a call waits for the store. Between calls there are only filters
 * (rpc_filter.h). All is bounded: the request's size, depth and calls in a batch are looked at
 * before anything is made of it; the answer's size and time while it grows. What a limit cuts off
 * is answered with an error in its place, the rest of the batch as well.
 *
 * Codes and texts of errors are those that the recorded conversations of other nodes have, so that
 * programs which look at them find what they know. */
#ifndef RPC_H
#define RPC_H

#include "base/buffer.h"
#include "base/error.h"
#include "stoa.h"

struct rpc;

struct rpc_options {
    struct stoa *stoa;         /* outlives the rpc */
    struct bytes chain_config; /* JSON text of the genesis' config; empty: not known. Copied */
    const char *client;        /* what web3_clientVersion says; outlives it */
    size_t body_max;           /* bytes of a request. 0: 1 MiB */
    unsigned depth_max;        /* of brackets in it. 0: 32 */
    size_t batch_max;          /* calls of a batch. 0: 1,000 */
    size_t answer_max;         /* bytes of an answer. 0: 32 MiB */
    unsigned time_ms;          /* for a request, with all its calls. 0: 10,000 */
    unsigned log_blocks_max;   /* of a range of blocks that logs are asked of. 0: no limit */
    unsigned log_max;          /* logs in an answer. 0: 10,000 */
    size_t filters_max;        /* 0: 1,000 */
    unsigned filter_seconds;   /* a filter nobody asks about is forgotten after. 0: 300 */
    uint8_t seed[32];          /* random: nobody can guess another's filter */
    uint64_t (*now_ms)(void *context); /* a clock that never goes back; any thread */
    void *now_context;
};

/* STOA_ENOMEM; STOA_EINVAL: the chain's config is no JSON object. */
int rpc_create(const struct rpc_options *options, struct rpc **out_rpc,
               struct error_detail *detail);

/* NULL is allowed. No call is under way. */
void rpc_destroy(struct rpc *rpc);

/* Append to OUT the answer to BODY: nothing where there is none to give (notifications alone).
 * STOA_ENOMEM. */
int rpc_answer(struct rpc *rpc, struct bytes body, struct buffer *out);

/* The answer to a request that never came to be one, such as a body that is too large. */
int rpc_refuse(int code, const char *text, struct buffer *out);

/* What was done since it was made, for metrics. */
struct rpc_counts {
    uint64_t requests; /* bodies */
    uint64_t calls;
    uint64_t errors;  /* of the calls: answered with an error */
    uint64_t filters; /* now */
};
void rpc_get_counts(struct rpc *rpc, struct rpc_counts *out_counts);

size_t rpc_body_max(const struct rpc *rpc);

#endif
