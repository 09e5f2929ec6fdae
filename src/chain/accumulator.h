/* SPDX-License-Identifier: GPL-3.0-or-later */
/* accumulator.h: the root that names an era1 file: the SSZ hash tree root of
 * List[HeaderRecord{block hash, total difficulty}, 8192], computed as the records come, without
 * keeping them. Pure; a value is used by one thread at a time. Format:
 * ethereum/portal-network-specs, history network, header accumulator; ethereum/consensus-specs,
 * ssz/simple-serialize.md. */
#ifndef ACCUMULATOR_H
#define ACCUMULATOR_H

#include <stdint.h>

enum { ACCUMULATOR_DEPTH = 13, ACCUMULATOR_RECORDS_MAX = 1 << ACCUMULATOR_DEPTH };

struct accumulator {
    uint32_t count;
    uint8_t nodes[ACCUMULATOR_DEPTH + 1][32]; /* of each level one full subtree may wait */
};

void accumulator_init(struct accumulator *accumulator);

/* TOTAL_DIFFICULTY is big-endian. At most ACCUMULATOR_RECORDS_MAX. */
void accumulator_add(struct accumulator *accumulator, const uint8_t hash[32],
                     const uint8_t total_difficulty[32]);

void accumulator_root(const struct accumulator *accumulator, uint8_t out[32]);

#endif
