/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/state_key.h"

#include <xxhash.h>

#include "base/ensure.h"
#include "chain/keccak.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, HALF = STATE_KEY_SPREAD_SIZE / 2 };

bool state_key_is_valid(struct bytes key)
{
    if (key.size < 2) {
        return false;
    }
    switch (key.data[0]) {
    case STATE_KEY_RAW:
        return key.size <= 1 + STATE_KEY_RAW_MAX;
    case STATE_KEY_ACCOUNT:
        return key.size == 1 + ADDRESS_SIZE;
    case STATE_KEY_SLOT:
        return key.size == 1 + ADDRESS_SIZE + HASH_SIZE;
    case STATE_KEY_CODE:
        return key.size == 1 + HASH_SIZE;
    default:
        return false;
    }
}

size_t state_key_base(struct bytes key, uint8_t out[STATE_KEY_BASE_MAX])
{
    ensure(key.size > 0 && key.size <= STATE_KEY_MAX);
    uint8_t hash[KECCAK_SIZE];
    size_t size = STATE_KEY_SPREAD_SIZE;
    unsigned domain = key.data[0];
    if (domain == STATE_KEY_ACCOUNT || domain == STATE_KEY_SLOT) {
        ensure(key.size >= 1 + ADDRESS_SIZE);
        keccak_256(key.data + 1, ADDRESS_SIZE, hash);
        memcpy(out, hash, HALF);
        memset(out + HALF, 0, HALF);
        if (domain == STATE_KEY_SLOT) {
            ensure(key.size == 1 + ADDRESS_SIZE + HASH_SIZE);
            memcpy(out + HALF, key.data + 1 + ADDRESS_SIZE, HALF);
        }
    } else {
        XXH128_hash_t spread = XXH3_128bits(key.data, key.size);
        bytes_store_be64(out, spread.high64);
        bytes_store_be64(out + HALF, spread.low64);
    }
    out[size++] = (uint8_t)domain;
    if (domain == STATE_KEY_RAW || domain == STATE_KEY_NODE) {
        out[size++] = (uint8_t)(key.size - 1);
    }
    memcpy(out + size, key.data + 1, key.size - 1);
    return size + key.size - 1;
}
