/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_block.h: a block and its header as Ethereum's JSON-RPC shows them (eth_getBlockByNumber).
 * Fields that a fork does not have are left out. Pure but for the writer's memory; any thread. */
#ifndef JSON_BLOCK_H
#define JSON_BLOCK_H

#include "chain/block.h"
#include "render/json_writer.h"

struct json_block {
    const struct block *block;
    struct bytes senders;            /* 20 bytes a transaction; empty: unknown */
    const uint8_t *total_difficulty; /* 32 bytes, big-endian; NULL: left out */
    bool full;                       /* transactions whole, not as hashes */
    bool counted;                    /* tell transactionCount, and of the transactions */
    size_t first;                    /* only COUNT from FIRST on */
    size_t count;
};

/* STOA_EINVAL (something in the body is malformed); what was begun in WRITER is then of no use. */
int json_block_append(struct json_writer *writer, const char *key, const struct json_block *block,
                      struct error_detail *detail);

/* The header alone, with its hash. */
void json_block_append_header(struct json_writer *writer, const char *key,
                              const struct header *header, const uint8_t hash[32]);

/* An uncle: a block of which only the header is kept. */
void json_block_append_uncle(struct json_writer *writer, const char *key,
                             const struct header *header, const uint8_t hash[32]);

#endif
