/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keccak_lanes.h: the permutation of KECCAK_LANES_WIDTH states at once, and the digests of many
 * inputs by it. No header in the usual sense: keccak_many.c includes it once for each width, with
 * KECCAK_LANES_NAME(x) giving each its names and KECCAK_LANES_TARGET the instructions it may use.
 *
 * An input has a lane until its digest is there; then the next input has it. When no more come and
 * few lanes are left in use, each is finished alone. */

typedef uint64_t KECCAK_LANES_NAME(vector)
    __attribute__((vector_size(8 * KECCAK_LANES_WIDTH), may_alias));

/* State I's word J is lanes[J][I]. */
struct KECCAK_LANES_NAME(states) {
    _Alignas(64) uint64_t lanes[25][KECCAK_LANES_WIDTH];
};

#define VECTOR KECCAK_LANES_NAME(vector)
#define STATES struct KECCAK_LANES_NAME(states)
#define ROTATE(lane, count) ((lane) << (count) | (lane) >> (64 - (count)))
#define MIX(y, b0, b1, b2, b3, b4)           \
    do {                                     \
        to[(y) + 0] = (b0) ^ (~(b1) & (b2)); \
        to[(y) + 1] = (b1) ^ (~(b2) & (b3)); \
        to[(y) + 2] = (b2) ^ (~(b3) & (b4)); \
        to[(y) + 3] = (b3) ^ (~(b4) & (b0)); \
        to[(y) + 4] = (b4) ^ (~(b0) & (b1)); \
    } while (0)

__attribute__((always_inline)) KECCAK_LANES_TARGET static inline void
KECCAK_LANES_NAME(round_to)(const VECTOR *a, VECTOR *to, uint64_t constant)
{
    VECTOR c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
    VECTOR c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    VECTOR c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
    VECTOR c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    VECTOR c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    VECTOR d0 = c4 ^ ROTATE(c1, 1);
    VECTOR d1 = c0 ^ ROTATE(c2, 1);
    VECTOR d2 = c1 ^ ROTATE(c3, 1);
    VECTOR d3 = c2 ^ ROTATE(c4, 1);
    VECTOR d4 = c3 ^ ROTATE(c0, 1);
    VECTOR b0 = a[0] ^ d0;
    VECTOR b1 = ROTATE(a[6] ^ d1, 44);
    VECTOR b2 = ROTATE(a[12] ^ d2, 43);
    VECTOR b3 = ROTATE(a[18] ^ d3, 21);
    VECTOR b4 = ROTATE(a[24] ^ d4, 14);
    MIX(0, b0, b1, b2, b3, b4);
    to[0] ^= constant;
    b0 = ROTATE(a[3] ^ d3, 28);
    b1 = ROTATE(a[9] ^ d4, 20);
    b2 = ROTATE(a[10] ^ d0, 3);
    b3 = ROTATE(a[16] ^ d1, 45);
    b4 = ROTATE(a[22] ^ d2, 61);
    MIX(5, b0, b1, b2, b3, b4);
    b0 = ROTATE(a[1] ^ d1, 1);
    b1 = ROTATE(a[7] ^ d2, 6);
    b2 = ROTATE(a[13] ^ d3, 25);
    b3 = ROTATE(a[19] ^ d4, 8);
    b4 = ROTATE(a[20] ^ d0, 18);
    MIX(10, b0, b1, b2, b3, b4);
    b0 = ROTATE(a[4] ^ d4, 27);
    b1 = ROTATE(a[5] ^ d0, 36);
    b2 = ROTATE(a[11] ^ d1, 10);
    b3 = ROTATE(a[17] ^ d2, 15);
    b4 = ROTATE(a[23] ^ d3, 56);
    MIX(15, b0, b1, b2, b3, b4);
    b0 = ROTATE(a[2] ^ d2, 62);
    b1 = ROTATE(a[8] ^ d3, 55);
    b2 = ROTATE(a[14] ^ d4, 39);
    b3 = ROTATE(a[15] ^ d0, 41);
    b4 = ROTATE(a[21] ^ d1, 2);
    MIX(20, b0, b1, b2, b3, b4);
}

KECCAK_LANES_TARGET
static void KECCAK_LANES_NAME(permute)(STATES *states)
{
    VECTOR a[25];
    VECTOR b[25];
    memcpy(a, states->lanes, sizeof(a));
    for (unsigned i = 0; i < KECCAK_ROUNDS; i += 2) {
        KECCAK_LANES_NAME(round_to)(a, b, keccak_round_constants[i]);
        KECCAK_LANES_NAME(round_to)(b, a, keccak_round_constants[i + 1]);
    }
    memcpy(states->lanes, a, sizeof(a));
}

/* The next block of the input in lane I. False: it was the last. */
static bool KECCAK_LANES_NAME(absorb)(STATES *states, unsigned i, struct keccak_rest *rest)
{
    uint8_t room[KECCAK_RATE];
    bool last;
    const uint8_t *block = keccak_next_block(rest, room, &last);
    for (unsigned j = 0; j < KECCAK_RATE / 8; j++) {
        states->lanes[j][i] ^= bytes_load_le64(block + (size_t)8 * j);
    }
    return !last;
}

static void KECCAK_LANES_NAME(finish_alone)(const STATES *states, unsigned i,
                                            const struct keccak_rest *rest,
                                            uint8_t out[KECCAK_SIZE])
{
    struct keccak state = {.filled = 0};
    for (unsigned j = 0; j < 25; j++) {
        state.lanes[j] = states->lanes[j][i];
    }
    keccak_update(&state, rest->head.data, rest->head.size);
    keccak_update(&state, rest->tail.data, rest->tail.size);
    keccak_final(&state, out);
}

static void KECCAK_LANES_NAME(many)(const struct bytes *heads, const struct bytes *tails,
                                    size_t count, uint8_t (*out)[KECCAK_SIZE])
{
    STATES states;
    struct keccak_rest rest[KECCAK_LANES_WIDTH];
    size_t which[KECCAK_LANES_WIDTH];
    bool busy[KECCAK_LANES_WIDTH] = {false};
    size_t next = 0;
    unsigned in_use = 0;
    memset(&states, 0, sizeof(states));
    for (;;) {
        bool last[KECCAK_LANES_WIDTH];
        for (unsigned i = 0; i < KECCAK_LANES_WIDTH && next < count; i++) {
            if (!busy[i]) {
                busy[i] = true;
                which[i] = next;
                rest[i] = (struct keccak_rest){.head = head_at(heads, next), .tail = tails[next]};
                next++;
                in_use++;
                for (unsigned j = 0; j < 25; j++) {
                    states.lanes[j][i] = 0;
                }
            }
        }
        if (in_use <= KECCAK_LANES_ALONE) {
            break;
        }
        for (unsigned i = 0; i < KECCAK_LANES_WIDTH; i++) {
            last[i] = busy[i] && !KECCAK_LANES_NAME(absorb)(&states, i, &rest[i]);
        }
        KECCAK_LANES_NAME(permute)(&states);
        for (unsigned i = 0; i < KECCAK_LANES_WIDTH; i++) {
            if (last[i]) {
                for (unsigned j = 0; j < KECCAK_SIZE / 8; j++) {
                    bytes_store_le64(out[which[i]] + (size_t)8 * j, states.lanes[j][i]);
                }
                busy[i] = false;
                in_use--;
            }
        }
    }
    for (unsigned i = 0; i < KECCAK_LANES_WIDTH; i++) {
        if (busy[i]) {
            KECCAK_LANES_NAME(finish_alone)(&states, i, &rest[i], out[which[i]]);
        }
    }
}

#undef VECTOR
#undef STATES
#undef ROTATE
#undef MIX
#undef KECCAK_LANES_NAME
#undef KECCAK_LANES_WIDTH
#undef KECCAK_LANES_TARGET
#undef KECCAK_LANES_ALONE
