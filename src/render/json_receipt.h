/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_receipt.h: a receipt with its logs as Ethereum's JSON-RPC shows it
 * (eth_getTransactionReceipt). Pure but for the writer's memory; any thread. */
#ifndef JSON_RECEIPT_H
#define JSON_RECEIPT_H

#include "render/json_writer.h"
#include "render/receipt_walk.h"

/* STOA_EINVAL (a log is malformed); what was begun in WRITER is then of no use. */
int json_receipt_append(struct json_writer *writer, const char *key,
                        const struct receipt_walk_step *step, struct error_detail *detail);

#endif
