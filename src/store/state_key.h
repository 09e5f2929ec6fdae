/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_key.h: names of what the state has a value for, in frames and in the state index. Pure.
 *
 * A state key is a domain byte and what it says:
 *
 *   STATE_KEY_RAW      the caller's key, 1 to 128 bytes
 *   STATE_KEY_ACCOUNT  address (20) -> RLP of the account
 *   STATE_KEY_SLOT     address (20), Keccak-256 of the slot's number (32) -> value without leading
 *                      zeros
 *   STATE_KEY_CODE     Keccak-256 of the code (32) -> the code
 *   STATE_KEY_NODE     trie (0 or 32 bytes of hash), path (nibbles) -> record of a trie node; not
 * in frames
 *
 * The index keeps versions (runs_get_version): its base is 16 bytes by which keys are spread and
 * filtered, the domain, for keys of no fixed size their size, and the key. Those 16 bytes are the
 * hash of the key; of accounts and slots, the first eight of the address's Keccak-256 and of the
 * slot's, so that an account stands before its slots. */
#ifndef STATE_KEY_H
#define STATE_KEY_H

#include "base/bytes.h"

enum {
    STATE_KEY_RAW = 0,
    STATE_KEY_ACCOUNT = 1,
    STATE_KEY_SLOT = 2,
    STATE_KEY_CODE = 3,
    STATE_KEY_NODE = 4,
    STATE_KEY_RAW_MAX = 128,          /* of the caller's key */
    STATE_KEY_MAX = 1 + 32 + 1 + 128, /* with its domain */
    STATE_KEY_SPREAD_SIZE = 16,
    STATE_KEY_BASE_MAX = STATE_KEY_SPREAD_SIZE + 1 + STATE_KEY_MAX,
};

/* Write the base of KEY (with its domain) to OUT. Returns its size. */
size_t state_key_base(struct bytes key, uint8_t out[STATE_KEY_BASE_MAX]);

/* Whether KEY has a domain of frames and the size that goes with it. */
bool state_key_is_valid(struct bytes key);

#endif
