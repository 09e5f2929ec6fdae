/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/keccak_many.h"

static struct bytes head_at(const struct bytes *heads, size_t index)
{
    return heads == NULL ? bytes_of(NULL, 0) : heads[index];
}

static void one_by_one(const struct bytes *heads, const struct bytes *tails, size_t count,
                       uint8_t (*out)[KECCAK_SIZE])
{
    for (size_t i = 0; i < count; i++) {
        struct bytes head = head_at(heads, i);
        struct keccak state;
        keccak_init(&state);
        keccak_update(&state, head.data, head.size);
        keccak_update(&state, tails[i].data, tails[i].size);
        keccak_final(&state, out[i]);
    }
}

#if defined(__x86_64__)

/* What is left of an input. */
struct keccak_rest {
    struct bytes head;
    struct bytes tail;
};

static size_t keccak_move(uint8_t *block, size_t filled, struct bytes *from)
{
    size_t size = from->size < KECCAK_RATE - filled ? from->size : KECCAK_RATE - filled;
    if (size > 0) {
        memcpy(block + filled, from->data, size);
        *from = bytes_of(from->data + size, from->size - size);
    }
    return filled + size;
}

/* The next block, in place where it lies in one piece, else in ROOM. The last one, which has less
 * than a block of the input, is padded. */
static const uint8_t *keccak_next_block(struct keccak_rest *rest, uint8_t room[KECCAK_RATE],
                                        bool *out_last)
{
    *out_last = false;
    if (rest->head.size == 0 && rest->tail.size >= KECCAK_RATE) {
        const uint8_t *block = rest->tail.data;
        rest->tail = bytes_of(block + KECCAK_RATE, rest->tail.size - KECCAK_RATE);
        return block;
    }
    size_t filled = keccak_move(room, 0, &rest->head);
    filled = keccak_move(room, filled, &rest->tail);
    if (filled < KECCAK_RATE) {
        memset(room + filled, 0, KECCAK_RATE - filled);
        room[filled] = 0x01;
        room[KECCAK_RATE - 1] |= 0x80;
        *out_last = true;
    }
    return room;
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

bool keccak_256_many_by(enum keccak_way way, const struct bytes *heads, const struct bytes *tails,
                        size_t count, uint8_t (*out)[KECCAK_SIZE])
{
    if (way == KECCAK_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl")) {
        avx512_many(heads, tails, count, out);
    } else if (way == KECCAK_AVX2 && __builtin_cpu_supports("avx2")) {
        avx2_many(heads, tails, count, out);
    } else if (way == KECCAK_ONE_BY_ONE) {
        one_by_one(heads, tails, count, out);
    } else {
        return false;
    }
    return true;
}

#else

bool keccak_256_many_by(enum keccak_way way, const struct bytes *heads, const struct bytes *tails,
                        size_t count, uint8_t (*out)[KECCAK_SIZE])
{
    if (way == KECCAK_ONE_BY_ONE) {
        one_by_one(heads, tails, count, out);
    }
    return way == KECCAK_ONE_BY_ONE;
}

#endif

void keccak_256_many_joined(const struct bytes *heads, const struct bytes *tails, size_t count,
                            uint8_t (*out)[KECCAK_SIZE])
{
    if (count < 2 || (!keccak_256_many_by(KECCAK_AVX512, heads, tails, count, out) &&
                      !keccak_256_many_by(KECCAK_AVX2, heads, tails, count, out))) {
        one_by_one(heads, tails, count, out);
    }
}

void keccak_256_many(const struct bytes *inputs, size_t count, uint8_t (*out)[KECCAK_SIZE])
{
    keccak_256_many_joined(NULL, inputs, count, out);
}
