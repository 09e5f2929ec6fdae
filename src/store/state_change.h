/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_change.h: what a block changes in the state, as its frame has it (record.h, state_key.h),
 * and values as they are kept. Pure; any thread. */
#ifndef STATE_CHANGE_H
#define STATE_CHANGE_H

#include "base/buffer.h"
#include "base/error.h"
#include "stoa.h"

/* Append all changes that PUT gives. STOA_EINVAL, STOA_ETOOBIG with the member's name; STOA_ENOMEM.
 */
int state_change_append(const struct stoa_store_block *put, struct buffer *out,
                        struct error_detail *detail);

/* Read the value of an account. STOA_ECORRUPT. */
int state_change_read_account(struct bytes value, struct stoa_account *out_account,
                              struct error_detail *detail);

#endif
