/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keccak_many.h: many Keccak-256 digests at once, side by side in the lanes of vector registers
 * where the processor has AVX2 (4) or AVX-512 (8), else one by one. The results are the same. Pure;
 * any thread. */
#ifndef KECCAK_MANY_H
#define KECCAK_MANY_H

#include <stdbool.h>

#include "chain/keccak.h"

/* COUNT inputs, of any sizes, and a digest each. */
void keccak_256_many(const struct bytes *inputs, size_t count, uint8_t (*out)[KECCAK_SIZE]);

/* The same where input I is HEADS[I] and behind it TAILS[I], which need not lie together. HEADS may
 * be NULL: there are none. */
void keccak_256_many_joined(const struct bytes *heads, const struct bytes *tails, size_t count,
                            uint8_t (*out)[KECCAK_SIZE]);

/* For tests: the latter in a given way. False: this processor cannot, and nothing was done. */
enum keccak_way { KECCAK_ONE_BY_ONE, KECCAK_AVX2, KECCAK_AVX512 };
bool keccak_256_many_by(enum keccak_way way, const struct bytes *heads, const struct bytes *tails,
                        size_t count, uint8_t (*out)[KECCAK_SIZE]);

#endif
