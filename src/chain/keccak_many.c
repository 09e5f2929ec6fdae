/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/keccak_many.h"

static void one_by_one(const struct bytes *inputs, size_t count, uint8_t (*out)[KECCAK_SIZE])
{
    for (size_t i = 0; i < count; i++) {
        keccak_256(inputs[i].data, inputs[i].size, out[i]);
    }
}

#if defined(__x86_64__)

/* The last block: what is left of an input, less than a block, and the padding. */
static void keccak_pad(uint8_t block[KECCAK_RATE], struct bytes rest)
{
    memset(block, 0, KECCAK_RATE);
    if (rest.size > 0) {
        memcpy(block, rest.data, rest.size);
    }
    block[rest.size] = 0x01;
    block[KECCAK_RATE - 1] |= 0x80;
}

#define KECCAK_LANES_NAME(name) avx2_##name
#define KECCAK_LANES_WIDTH 4
#define KECCAK_LANES_ALONE 1
#define KECCAK_LANES_TARGET __attribute__((target("avx2")))
#include "chain/keccak_lanes.h"

#define KECCAK_LANES_NAME(name) avx512_##name
#define KECCAK_LANES_WIDTH 8
#define KECCAK_LANES_ALONE 1
#define KECCAK_LANES_TARGET __attribute__((target("avx512f,avx512vl")))
#include "chain/keccak_lanes.h"

bool keccak_256_many_by(enum keccak_way way, const struct bytes *inputs, size_t count,
                        uint8_t (*out)[KECCAK_SIZE])
{
    if (way == KECCAK_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl")) {
        avx512_many(inputs, count, out);
    } else if (way == KECCAK_AVX2 && __builtin_cpu_supports("avx2")) {
        avx2_many(inputs, count, out);
    } else if (way == KECCAK_ONE_BY_ONE) {
        one_by_one(inputs, count, out);
    } else {
        return false;
    }
    return true;
}

#else

bool keccak_256_many_by(enum keccak_way way, const struct bytes *inputs, size_t count,
                        uint8_t (*out)[KECCAK_SIZE])
{
    if (way == KECCAK_ONE_BY_ONE) {
        one_by_one(inputs, count, out);
    }
    return way == KECCAK_ONE_BY_ONE;
}

#endif

void keccak_256_many(const struct bytes *inputs, size_t count, uint8_t (*out)[KECCAK_SIZE])
{
    if (count < 2 || (!keccak_256_many_by(KECCAK_AVX512, inputs, count, out) &&
                      !keccak_256_many_by(KECCAK_AVX2, inputs, count, out))) {
        one_by_one(inputs, count, out);
    }
}
