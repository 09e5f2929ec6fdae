/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/state_key.h"

#include <xxhash.h>

#include "base/ensure.h"
#include "chain/keccak_many.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32, HALF = STATE_KEY_SPREAD_SIZE / 2 };

static bool is_of_address(struct bytes key)
{
    ensure(key.size > 0 && key.size <= STATE_KEY_MAX);
    unsigned domain = key.data[0];
    return domain == STATE_KEY_ACCOUNT || domain == STATE_KEY_SLOT;
}

static struct bytes address_of(struct bytes key)
{
    ensure(key.size >= 1 + ADDRESS_SIZE);
    return bytes_of(key.data + 1, ADDRESS_SIZE);
}

/* HASH: of the address, where it is of one. */
static size_t make_base(struct bytes key, const uint8_t hash[KECCAK_SIZE],
                        uint8_t out[STATE_KEY_BASE_MAX])
{
    size_t size = STATE_KEY_SPREAD_SIZE;
    unsigned domain = key.data[0];
    if (is_of_address(key)) {
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
    if (domain == STATE_KEY_RAW) {
        out[size++] = (uint8_t)(key.size - 1);
    }
    memcpy(out + size, key.data + 1, key.size - 1);
    return size + key.size - 1;
}

size_t state_key_base(struct bytes key, uint8_t out[STATE_KEY_BASE_MAX])
{
    uint8_t hash[KECCAK_SIZE];
    if (is_of_address(key)) {
        struct bytes address = address_of(key);
        keccak_256(address.data, address.size, hash);
    }
    return make_base(key, hash, out);
}

void state_key_bases(const struct bytes *keys, size_t count, uint8_t (*out)[STATE_KEY_BASE_MAX],
                     size_t *out_sizes)
{
    struct bytes addresses[STATE_KEY_BASES_MAX];
    uint8_t hashes[STATE_KEY_BASES_MAX][KECCAK_SIZE];
    ensure(count != 0 && count <= STATE_KEY_BASES_MAX);
    for (size_t i = 0; i < count; i++) {
        addresses[i] = is_of_address(keys[i]) ? address_of(keys[i]) : bytes_of(NULL, 0);
    }
    keccak_256_many(addresses, count, hashes);
    for (size_t i = 0; i < count; i++) {
        out_sizes[i] = make_base(keys[i], hashes[i], out[i]);
    }
}

size_t state_key_slot(const uint8_t address[20], const uint8_t slot[32], uint8_t out[STATE_KEY_MAX])
{
    size_t size = state_key_address(STATE_KEY_SLOT, address, out);
    keccak_256(slot, 32, out + size);
    return size + HASH_SIZE;
}

size_t state_key_address(unsigned domain, const uint8_t address[20], uint8_t out[STATE_KEY_MAX])
{
    out[0] = (uint8_t)domain;
    memcpy(out + 1, address, ADDRESS_SIZE);
    return 1 + ADDRESS_SIZE;
}

size_t state_key_code(const uint8_t hash[32], uint8_t out[STATE_KEY_MAX])
{
    out[0] = STATE_KEY_CODE;
    memcpy(out + 1, hash, HASH_SIZE);
    return 1 + HASH_SIZE;
}
