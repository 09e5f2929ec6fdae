/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_transaction.h: a transaction of a block as Ethereum's JSON-RPC shows it
 * (eth_getTransactionByHash). Pure but for the writer's memory; any thread. */
#ifndef JSON_TRANSACTION_H
#define JSON_TRANSACTION_H

#include "chain/block.h"
#include "render/json_writer.h"

struct json_transaction {
    const struct block *block;
    size_t index;
    struct bytes envelope; /* consensus encoding */
    const uint8_t *sender; /* 20 bytes; NULL: unknown, and "from" is null */
};

/* STOA_EINVAL (the envelope is none) with the field's name first; what was begun in WRITER is then
 * of no use. */
int json_transaction_append(struct json_writer *writer, const char *key,
                            const struct json_transaction *transaction,
                            struct error_detail *detail);

#endif
