/* SPDX-License-Identifier: GPL-3.0-or-later */
/* execution_state.h: the state changes in a line of an execution file. `accounts` maps addresses to
 * {nonce, balance, codeHash} as they are after the block (no codeHash: no code), or to null where
 * the account is gone; `storage` maps addresses to slots to values; `codes` maps hashes to codes.
 * Numbers are 0x-hexadecimal. One thread. */
#ifndef EXECUTION_STATE_H
#define EXECUTION_STATE_H

#include <jansson.h>

#include "base/buffer.h"
#include "base/error.h"
#include "stoa.h"

/* Arrays of what the buffers are named for; the buffers are the owner's. */
struct execution_state {
    bool given;
    struct buffer accounts; /* struct stoa_account_change */
    struct buffer slots;    /* struct stoa_slot_change */
    struct buffer codes;    /* struct stoa_bytes, into CODE_BYTES */
    struct buffer code_bytes;
};

void execution_state_deinit(struct execution_state *state);
void execution_state_clear(struct execution_state *state);
size_t execution_state_bytes(const struct execution_state *state);

/* Fill STATE, cleared first, from LINE; given is false where it has no accounts. STOA_EINVAL with
 * the member's name, STOA_ENOMEM. */
int execution_state_read(const json_t *line, struct execution_state *state,
                         struct error_detail *detail);

/* Put what is given into PUT. */
void execution_state_fill(const struct execution_state *state, struct stoa_store_block *put);

#endif
