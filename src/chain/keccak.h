/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keccak.h: Keccak-256 with the original padding, as Ethereum uses it (not SHA3-256). Pure; any
 * thread. */
#ifndef KECCAK_H
#define KECCAK_H

#include "base/bytes.h"

enum { KECCAK_SIZE = 32, KECCAK_RATE = 136, KECCAK_ROUNDS = 24 };

extern const uint64_t keccak_round_constants[KECCAK_ROUNDS];

struct keccak {
    uint64_t lanes[25];
    uint8_t block[KECCAK_RATE];
    size_t filled;
};

void keccak_init(struct keccak *state);
void keccak_update(struct keccak *state, const void *data, size_t size);
void keccak_final(struct keccak *state, uint8_t out[KECCAK_SIZE]);

void keccak_256(const void *data, size_t size, uint8_t out[KECCAK_SIZE]);

#endif
