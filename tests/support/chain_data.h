/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chain_data.h: the real chains, block by block with what executing them yields. Failures to read
 * what is there abort the test. */
#ifndef CHAIN_DATA_H
#define CHAIN_DATA_H

#include <jansson.h>

#include "base/buffer.h"

struct chain_data_block {
    const char *where;     /* the file */
    struct bytes encoding; /* of the block */
    struct bytes receipts; /* RLP list, made of LINE's */
    const json_t *line;    /* hash, receipts; in chains also txs with hash, from, type, created */
};

typedef void chain_data_visit(const struct chain_data_block *block, void *context);

/* VISIT every block of all chains, of mainnet/blocks-with-receipts and of reorg/multi-chain.
 * Returns how many there were: 0, with a line that says so, where the data is absent. */
size_t chain_data_for_each(chain_data_visit *visit, void *context);

/* VISIT every line of reorg/multi-chain: of each test its genesis, without receipts and with LINE
 * about the test, then its blocks in the order they arrive. Returns how many there were. */
size_t chain_data_for_each_rival(chain_data_visit *visit, void *context);

/* Take the first item off CURSOR, a file of RLP items. False at its end. */
bool chain_data_next_item(struct bytes *cursor, struct bytes *out_item);

/* The bytes of OBJECT's hex MEMBER replace what OUT holds; it has to be there. */
void chain_data_hex(const json_t *object, const char *member, struct buffer *out);

/* The same for one of 32 or 20 bytes: SIZE is demanded. */
void chain_data_hex_fixed(const json_t *object, const char *member, uint8_t *out, size_t size);

#endif
