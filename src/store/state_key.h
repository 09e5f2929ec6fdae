/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_key.h: names of what the state has a value for, in frames and in the state index. Pure.
 *
 * A state key is a domain byte and what it says:
 *
 *   RAW      the caller's key, 1 to 128 bytes
 *   ACCOUNT  address (20) -> RLP list of nonce, balance, hash of the code
 *   SLOT     address (20), Keccak-256 of the slot's number (32) -> value without leading zeros
 *   CODE     Keccak-256 of the code (32) -> the code
 *   WIPED    address (20) -> nothing: its storage was emptied, before the slots of the same height
 *   MARK     nothing, in frames only: the block's changes of accounts and storage are all given
 *   GAP      nothing, in the index only: a block's were not. Where the state is not known at a
 *            height, there is one as low or lower
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
    STATE_KEY_WIPED = 4,
    STATE_KEY_MARK = 5,
    STATE_KEY_GAP = 6,
    STATE_KEY_RAW_MAX = 128,               /* of the caller's key */
    STATE_KEY_MAX = 1 + STATE_KEY_RAW_MAX, /* with its domain */
    STATE_KEY_ACCOUNT_SIZE = 1 + 20,
    STATE_KEY_SLOT_SIZE = 1 + 20 + 32,
    STATE_KEY_SPREAD_SIZE = 16,
    STATE_KEY_BASE_MAX = STATE_KEY_SPREAD_SIZE + 1 + STATE_KEY_MAX,
};

/* Whether KEY, which may be anything, is of a size that a key of its domain has. All that follows
 * is for keys that are. */
static inline bool state_key_is_sound(struct bytes key)
{
    if (key.size == 0 || key.size > STATE_KEY_MAX) {
        return false;
    }
    unsigned domain = key.data[0];
    return (domain != STATE_KEY_ACCOUNT || key.size == STATE_KEY_ACCOUNT_SIZE) &&
           (domain != STATE_KEY_SLOT || key.size == STATE_KEY_SLOT_SIZE);
}

/* Write the base of KEY (with its domain) to OUT. Returns its size. */
size_t state_key_base(struct bytes key, uint8_t out[STATE_KEY_BASE_MAX]);

/* The same of COUNT keys, of which many cost less together. */
enum { STATE_KEY_BASES_MAX = 32 };
void state_key_bases(const struct bytes *keys, size_t count, uint8_t (*out)[STATE_KEY_BASE_MAX],
                     size_t *out_sizes);

/* Write the key of an account's slot (its number: 32 bytes), of something else of the account, or
 * of a code to OUT. Returns its size. */
size_t state_key_slot(const uint8_t address[20], const uint8_t slot[32],
                      uint8_t out[STATE_KEY_MAX]);
size_t state_key_address(unsigned domain, const uint8_t address[20], uint8_t out[STATE_KEY_MAX]);
size_t state_key_code(const uint8_t hash[32], uint8_t out[STATE_KEY_MAX]);

#endif
