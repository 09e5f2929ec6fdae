/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_argument.h: what a message asks, as stoa_submit takes it, to and from the payload of its
 * frame. Pure. */
#ifndef WIRE_ARGUMENT_H
#define WIRE_ARGUMENT_H

#include <stdbool.h>

#include "base/arena.h"
#include "wire/wire_message.h"

/* An argument that was read. */
struct wire_argument {
    const void *pointer; /* what stoa_submit takes; NULL: it takes none */
    bool borrows; /* payload and arena must stay until the answer; else until it is submitted */
    union {
        struct stoa_store_block block;
        struct stoa_store_receipts receipts;
        struct stoa_block_key key;
        struct stoa_block_range range;
        struct stoa_state_update update;
        struct stoa_bytes bytes;
        struct stoa_state_at state_at;
        struct stoa_state_query state_query;
        struct stoa_proof_query proof_query;
        uint64_t height;
        int number;
        struct stoa_batch batch;
        uint8_t hash[32];
        struct stoa_log_filter log_filter;
        struct stoa_history_query history_query;
        struct stoa_job_options job;
    } as;
};

/* Append ARGUMENT. STOA_EINVAL, STOA_ENOTSUP: the message does not travel. */
int wire_argument_write(struct wire_writer *writer, enum stoa_message message,
                        const void *argument);

/* Read PAYLOAD; arrays are made in ARENA, of at most eight times its size. STOA_EINVAL,
 * STOA_ENOTSUP, STOA_ENOMEM, STOA_ETOOBIG. */
int wire_argument_read(enum stoa_message message, struct bytes payload, struct arena *arena,
                       struct wire_argument *out, struct error_detail *detail);

#endif
