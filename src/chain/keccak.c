/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The permutation is unrolled by two rounds that go from one set of lanes to another and back, so
 * that no lane is moved. Lane x + 5 * y is the word at (x, y) of FIPS 202. */
#include "chain/keccak.h"

#include "base/ensure.h"

enum { LANES = 25, RATE_LANES = KECCAK_RATE / 8 };

const uint64_t keccak_round_constants[KECCAK_ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

static inline uint64_t rotate(uint64_t lane, unsigned count)
{
    return lane << count | lane >> (64 - count);
}

/* Chi, one plane of five lanes each. Without an and-not instruction a complement costs as much as
 * the rest, so six lanes are kept complemented between rounds (complement() names them): by De
 * Morgan five complements a plane become about one, and every round leaves the same six lanes
 * complemented.
 */
#define INLINE __attribute__((always_inline)) static inline

INLINE void mix_plane_0(uint64_t *to, uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3,
                        uint64_t b4)
{
    to[0] = b0 ^ (b1 | b2);
    to[1] = b1 ^ (~b2 | b3);
    to[2] = b2 ^ (b3 & b4);
    to[3] = b3 ^ (b4 | b0);
    to[4] = b4 ^ (b0 & b1);
}

INLINE void mix_plane_1(uint64_t *to, uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3,
                        uint64_t b4)
{
    to[0] = b0 ^ (b1 | b2);
    to[1] = b1 ^ (b2 & b3);
    to[2] = b2 ^ (b3 | ~b4);
    to[3] = b3 ^ (b4 | b0);
    to[4] = b4 ^ (b0 & b1);
}

INLINE void mix_plane_2(uint64_t *to, uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3,
                        uint64_t b4)
{
    uint64_t n3 = ~b3;
    to[0] = b0 ^ (b1 | b2);
    to[1] = b1 ^ (b2 & b3);
    to[2] = b2 ^ (n3 & b4);
    to[3] = n3 ^ (b4 | b0);
    to[4] = b4 ^ (b0 & b1);
}

INLINE void mix_plane_3(uint64_t *to, uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3,
                        uint64_t b4)
{
    uint64_t n3 = ~b3;
    to[0] = b0 ^ (b1 & b2);
    to[1] = b1 ^ (b2 | b3);
    to[2] = b2 ^ (n3 | b4);
    to[3] = n3 ^ (b4 & b0);
    to[4] = b4 ^ (b0 | b1);
}

INLINE void mix_plane_4(uint64_t *to, uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3,
                        uint64_t b4)
{
    uint64_t n1 = ~b1;
    to[0] = b0 ^ (n1 & b2);
    to[1] = n1 ^ (b2 | b3);
    to[2] = b2 ^ (b3 & b4);
    to[3] = b3 ^ (b4 | b0);
    to[4] = b4 ^ (b0 & b1);
}

INLINE void round_to(const uint64_t *a, uint64_t *to, uint64_t constant)
{
    uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
    uint64_t c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
    uint64_t c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    uint64_t d0 = c4 ^ rotate(c1, 1);
    uint64_t d1 = c0 ^ rotate(c2, 1);
    uint64_t d2 = c1 ^ rotate(c3, 1);
    uint64_t d3 = c2 ^ rotate(c4, 1);
    uint64_t d4 = c3 ^ rotate(c0, 1);
    mix_plane_0(to, a[0] ^ d0, rotate(a[6] ^ d1, 44), rotate(a[12] ^ d2, 43),
                rotate(a[18] ^ d3, 21), rotate(a[24] ^ d4, 14));
    to[0] ^= constant;
    mix_plane_1(to + 5, rotate(a[3] ^ d3, 28), rotate(a[9] ^ d4, 20), rotate(a[10] ^ d0, 3),
                rotate(a[16] ^ d1, 45), rotate(a[22] ^ d2, 61));
    mix_plane_2(to + 10, rotate(a[1] ^ d1, 1), rotate(a[7] ^ d2, 6), rotate(a[13] ^ d3, 25),
                rotate(a[19] ^ d4, 8), rotate(a[20] ^ d0, 18));
    mix_plane_3(to + 15, rotate(a[4] ^ d4, 27), rotate(a[5] ^ d0, 36), rotate(a[11] ^ d1, 10),
                rotate(a[17] ^ d2, 15), rotate(a[23] ^ d3, 56));
    mix_plane_4(to + 20, rotate(a[2] ^ d2, 62), rotate(a[8] ^ d3, 55), rotate(a[14] ^ d4, 39),
                rotate(a[15] ^ d0, 41), rotate(a[21] ^ d1, 2));
}

/* Into and out of the form that the rounds work on. */
INLINE void complement(uint64_t *lanes)
{
    lanes[1] = ~lanes[1];
    lanes[2] = ~lanes[2];
    lanes[8] = ~lanes[8];
    lanes[12] = ~lanes[12];
    lanes[17] = ~lanes[17];
    lanes[20] = ~lanes[20];
}

static void permute(uint64_t lanes[LANES])
{
    uint64_t a[LANES];
    uint64_t b[LANES];
    memcpy(a, lanes, sizeof(a));
    complement(a);
    for (unsigned i = 0; i < KECCAK_ROUNDS; i += 2) {
        round_to(a, b, keccak_round_constants[i]);
        round_to(b, a, keccak_round_constants[i + 1]);
    }
    complement(a);
    memcpy(lanes, a, sizeof(a));
}

static inline void absorb(uint64_t lanes[LANES], const uint8_t *block)
{
    for (unsigned i = 0; i < RATE_LANES; i++) {
        lanes[i] ^= bytes_load_le64(block + 8 * i);
    }
    permute(lanes);
}

/* Pad BLOCK, of which FILLED bytes are used, and give the digest. */
static inline void finish(uint64_t lanes[LANES], uint8_t block[KECCAK_RATE], size_t filled,
                          uint8_t out[KECCAK_SIZE])
{
    ensure(filled < KECCAK_RATE);
    memset(block + filled, 0, KECCAK_RATE - filled);
    block[filled] = 0x01;
    block[KECCAK_RATE - 1] |= 0x80;
    absorb(lanes, block);
    memcpy(out, lanes, KECCAK_SIZE);
}

void keccak_init(struct keccak *state)
{
    memset(state->lanes, 0, sizeof(state->lanes));
    state->filled = 0;
}

void keccak_update(struct keccak *state, const void *data, size_t size)
{
    ensure(state->filled < KECCAK_RATE);
    const uint8_t *from = data;
    if (state->filled > 0) {
        size_t room = KECCAK_RATE - state->filled;
        size_t part = size < room ? size : room;
        if (part > 0) {
            memcpy(state->block + state->filled, from, part);
            state->filled += part;
            from += part;
            size -= part;
        }
        if (state->filled < KECCAK_RATE) {
            return;
        }
        absorb(state->lanes, state->block);
        state->filled = 0;
    }
    for (; size >= KECCAK_RATE; size -= KECCAK_RATE, from += KECCAK_RATE) {
        absorb(state->lanes, from);
    }
    if (size > 0) {
        memcpy(state->block, from, size);
        state->filled = size;
    }
}

void keccak_final(struct keccak *state, uint8_t out[KECCAK_SIZE])
{
    finish(state->lanes, state->block, state->filled, out);
}

void keccak_256(const void *data, size_t size, uint8_t out[KECCAK_SIZE])
{
    uint64_t lanes[LANES] = {0};
    uint8_t block[KECCAK_RATE];
    const uint8_t *from = data;
    for (; size >= KECCAK_RATE; size -= KECCAK_RATE, from += KECCAK_RATE) {
        absorb(lanes, from);
    }
    if (size > 0) {
        memcpy(block, from, size);
    }
    finish(lanes, block, size, out);
}
