/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chain/accumulator.h"

#include <nettle/sha2.h>
#include <string.h>

#include "base/ensure.h"

void accumulator_init(struct accumulator *accumulator)
{
    memset(accumulator, 0, sizeof(*accumulator));
}

/* OUT may be LEFT or RIGHT. */
static void hash_pair(const uint8_t left[32], const uint8_t right[32], uint8_t out[32])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, 32, left);
    sha256_update(&context, 32, right);
    sha256_digest(&context, 32, out);
}

void accumulator_add(struct accumulator *accumulator, const uint8_t hash[32],
                     const uint8_t total_difficulty[32])
{
    ensure(accumulator->count < ACCUMULATOR_RECORDS_MAX);
    uint8_t node[32];
    for (size_t i = 0; i < 32; i++) {
        node[i] = total_difficulty[31 - i];
    }
    hash_pair(hash, node, node);
    unsigned level = 0;
    for (; (accumulator->count >> level & 1) != 0; level++) {
        hash_pair(accumulator->nodes[level], node, node);
    }
    memcpy(accumulator->nodes[level], node, sizeof(node));
    accumulator->count++;
}

void accumulator_root(const struct accumulator *accumulator, uint8_t out[32])
{
    uint8_t zero[32] = {0}; /* root of an empty subtree of this level */
    uint8_t node[32] = {0}; /* of the subtree of this level that holds the last record */
    for (unsigned level = 0; level < ACCUMULATOR_DEPTH; level++) {
        if ((accumulator->count >> level & 1) != 0) {
            hash_pair(accumulator->nodes[level], node, node);
        } else {
            hash_pair(node, zero, node);
        }
        hash_pair(zero, zero, zero);
    }
    if (accumulator->count == ACCUMULATOR_RECORDS_MAX) {
        memcpy(node, accumulator->nodes[ACCUMULATOR_DEPTH], sizeof(node));
    }
    uint8_t length[32] = {0};
    for (size_t i = 0; i < 4; i++) {
        length[i] = (uint8_t)(accumulator->count >> 8 * i);
    }
    hash_pair(node, length, out);
}
